//! What a validator does that may have forgotten what it said, or that is not alone with its key.
use quorate_consensus::Fault as Broken;
use quorate_replica::{Fault, Voice};

use crate::network::found_with;
use crate::world::World;

fn voice(world: &World, node: usize) -> Voice {
    world.replica(node).status().voice
}

fn grows(world: &mut World, node: usize, blocks: u64) {
    let height = world.height(node) + blocks;
    world.run_until("the chain grows", 120_000, |world| world.height(node) >= height);
}

#[test]
fn a_validator_asks_before_it_votes() {
    let mut world = World::asleep(4, 0, 1);
    world.start(0);
    assert_eq!(voice(&world, 0), Voice::Asking);
    world.start(1);
    world.run(500);
    assert_eq!(voice(&world, 0), Voice::Asking, "one answer of two");
    world.start(2);
    world.run(500);
    assert_eq!(voice(&world, 0), Voice::Free);
}

#[test]
fn three_of_four_go_on_after_all_lost_power() {
    let mut world = World::new(4, 2);
    grows(&mut world, 0, 10);
    (0..4).for_each(|node| world.crash(node));
    (0..3).for_each(|node| world.start(node));
    grows(&mut world, 0, 10);
}

#[test]
fn one_validator_alone_asks_nobody() {
    let mut world = World::new(1, 3);
    grows(&mut world, 0, 10);
    world.crash(0);
    world.start(0);
    grows(&mut world, 0, 10);
}

#[test]
fn a_wiped_validator_keeps_silent_and_then_votes_again() {
    let mut world = World::new(4, 4);
    grows(&mut world, 0, 20);
    world.wipe(3);
    world.start(3);
    assert_eq!(voice(&world, 3), Voice::Quarantined);
    world.run_until("it votes again", 30_000, |world| voice(world, 3) == Voice::Free);
    // Its vote counts: the others cannot do without it now.
    world.crash(0);
    grows(&mut world, 3, 10);
}

#[test]
fn two_wiped_validators_of_four_do_not_vote() {
    let mut world = World::new(4, 5);
    grows(&mut world, 0, 20);
    world.wipe(2);
    world.wipe(3);
    world.start(2);
    world.start(3);
    world.run(60_000);
    assert_eq!(voice(&world, 2), Voice::Quarantined);
    assert_eq!(voice(&world, 3), Voice::Quarantined);
}

#[test]
fn quarantine_survives_a_restart_and_a_new_log() {
    let mut world = World::new(4, 6);
    grows(&mut world, 0, 20);
    world.crash(0);
    world.wipe(3);
    world.start(3);
    world.run(5_000);
    world.checkpoint(3);
    world.crash(3);
    world.start(3);
    world.run(5_000);
    assert_eq!(voice(&world, 3), Voice::Quarantined, "two answers of three");
    world.start(0);
    world.run_until("it votes again", 30_000, |world| voice(world, 3) == Voice::Free);
}

#[test]
fn the_silence_of_a_wiped_validator_survives_a_restart() {
    let mut world = World::new(4, 7);
    grows(&mut world, 0, 20);
    world.wipe(3);
    world.start(3);
    world.run_until("it knows where to begin", 30_000, |world| voice(world, 3) != Voice::Quarantined);
    let before = world.replica(3).status().view;
    world.crash(3);
    world.start(3);
    world.run_until("it may vote", 30_000, |world| voice(world, 3) == Voice::Free);
    assert!(world.replica(3).status().view >= before);
}

#[test]
fn a_log_that_is_older_than_its_votes_stops_the_validator() {
    let mut world = World::new(4, 8);
    grows(&mut world, 0, 10);
    let backup = world.nodes[3].log.clone();
    // The others stop, so that what it says next does not become final.
    grows(&mut world, 0, 1);
    world.crash(0);
    world.crash(1);
    world.run(5_000);
    world.crash(3);
    assert!(world.nodes[3].log.len() > backup.len());
    world.nodes[3].log = backup;
    world.nodes[3].told = quorate_primitives::Height::ZERO;
    world.may_halt = Some(3);
    world.start(0);
    world.start(3);
    world.run(10_000);
    let halted = world.nodes[3].halted.clone();
    let used_elsewhere = |fault: &Fault| matches!(fault, Fault::Consensus(broken) if matches!(**broken, Broken::KeyUsedElsewhere { .. }));
    assert!(halted.as_ref().is_some_and(used_elsewhere), "{halted:?}");
}

#[test]
fn a_ledger_that_was_deleted_comes_back_without_quarantine() {
    let mut world = World::asleep_on(found_with(4, Some(10)), 4, 9);
    (0..4).for_each(|node| world.start(node));
    grows(&mut world, 0, 35);
    world.crash(3);
    let log = world.nodes[3].log.clone();
    world.wipe(3);
    world.nodes[3].log = log;
    world.start(3);
    let height = world.height(0);
    world.run_until("it caught up", 60_000, |world| world.height(3) > height);
    assert_eq!(voice(&world, 3), Voice::Free);
}

#[test]
fn a_wiped_validator_comes_back_through_epochs() {
    let mut world = World::asleep_on(found_with(4, Some(10)), 4, 10);
    (0..4).for_each(|node| world.start(node));
    grows(&mut world, 0, 34);
    world.wipe(3);
    world.start(3);
    world.run_until("it votes again", 120_000, |world| voice(world, 3) == Voice::Free);
    assert!(world.replica(3).status().epoch.get() >= 3);
    world.crash(0);
    grows(&mut world, 3, 15);
}
