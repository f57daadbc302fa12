//! What a validator does that may have forgotten what it said, or that is not alone with its key.
use quorate_consensus::Fault as Broken;
use quorate_primitives::codec::decode;
use quorate_primitives::{EpochNumber, Hash};
use quorate_replica::record::RECORD_BYTES_MAX;
use quorate_replica::{Fault, LogRecord, Voice};
use std::collections::BTreeSet;
use std::sync::Arc;

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
    assert_used_elsewhere(&world, 3);
}

fn assert_used_elsewhere(world: &World, node: usize) {
    let halted = &world.nodes[node].halted;
    let used_elsewhere = |fault: &Fault| matches!(fault, Fault::Consensus(broken) if matches!(**broken, Broken::KeyUsedElsewhere { .. }));
    assert!(halted.as_ref().is_some_and(used_elsewhere), "{halted:?}");
}

#[test]
fn an_old_copy_of_an_earlier_epoch_stops_when_it_comes_to_where_it_has_voted() {
    let mut world = World::asleep_on(found_with(4, Some(10)), 4, 13);
    (0..4).for_each(|node| world.start(node));
    grows(&mut world, 3, 5);
    world.crash(3);
    let (log, store) = (world.nodes[3].log.clone(), world.nodes[3].store.backup());
    world.start(3);
    grows(&mut world, 3, 8);
    // The two that stay have no quorum, so they are still in the second epoch when the old copy comes there.
    world.crash(0);
    world.crash(3);
    assert!([1, 2].iter().all(|node| world.replica(*node).status().epoch == EpochNumber::new(1)));
    world.nodes[3].log = log;
    world.nodes[3].store = Arc::new(store);
    world.nodes[3].told = quorate_primitives::Height::ZERO;
    world.may_halt = Some(3);
    world.start(3);
    world.run(20_000);
    assert_used_elsewhere(&world, 3);
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

#[test]
fn who_lost_its_ledger_does_not_vote_in_epochs_that_its_log_left() {
    let mut world = World::asleep_on(found_with(4, Some(10)), 4, 11);
    (0..4).for_each(|node| world.start(node));
    grows(&mut world, 0, 10);
    world.run_until("the epoch ends", 60_000, |world| world.lowest() >= 10);
    // Its log keeps nothing of the first epoch, and nothing was said in the second.
    world.checkpoint(3);
    let log = world.nodes[3].log.clone();
    world.wipe(3);
    world.nodes[3].log = log;
    world.crash(0);
    world.crash(1);
    world.crash(2);
    world.start(3);
    (0..3).for_each(|node| world.nodes[node].island = 1);
    (0..3).for_each(|node| world.start(node));
    world.run(1_000);
    (0..3).for_each(|node| world.nodes[node].island = 0);
    // Every vote of it is compared with all that it ever said.
    grows(&mut world, 3, 25);
}

#[test]
fn a_checkpoint_of_who_lost_its_ledger_keeps_the_bodies_of_later_epochs() {
    let mut world = World::asleep_on(found_with(4, Some(10)), 4, 12);
    (0..4).for_each(|node| world.start(node));
    grows(&mut world, 3, 13);
    let bodies = |world: &World| -> BTreeSet<Hash> {
        let body = |bytes: &Vec<u8>| match decode(bytes, RECORD_BYTES_MAX).unwrap() {
            LogRecord::Body { header, .. } if header.epoch == EpochNumber::new(1) => Some(header.id()),
            _ => None,
        };
        world.nodes[3].log.iter().filter_map(body).collect()
    };
    // Of what is final its log keeps nothing any more.
    world.checkpoint(3);
    world.run_until("a body is logged", 60_000, |world| !bodies(world).is_empty());
    let before = bodies(&world);
    (0..3).for_each(|node| world.crash(node));
    let log = world.nodes[3].log.clone();
    world.wipe(3);
    world.nodes[3].log = log;
    world.start(3);
    world.checkpoint(3);
    assert_eq!(bodies(&world), before);
}

#[test]
fn a_lie_about_the_turn_does_not_silence_who_lost_its_log() {
    let key = |node: usize| crate::network::validator_key(node).public_key();
    let mut solo = crate::solo::Solo::on(
        std::sync::Arc::new(quorate_ledger::store::Memory::new()),
        0,
        quorate_replica::Settings::default(),
    );
    solo.restore(vec![quorate_replica::LogRecord::Quarantine]);
    solo.lie = Some(quorate_primitives::View::MAX);
    solo.start();
    assert_eq!(solo.replica.status().voice, Voice::Quarantined, "an unproven turn counts for nothing");
    solo.lie = None;
    solo.step(quorate_replica::Event::Connected(key(1)));
    for _ in 0..3 {
        solo.elapse(quorate_replica::Timer::Guard, 1_000);
    }
    assert_ne!(
        solo.replica.status().voice,
        Voice::Silent { until: quorate_primitives::View::MAX },
        "it would be silent for ever"
    );
}
