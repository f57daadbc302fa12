//! Single situations, each of which must end well.
use std::collections::BTreeSet;

use crate::world::World;

fn submit_to_all(world: &mut World) -> BTreeSet<quorate_primitives::Hash> {
    let up = world.up();
    up.into_iter().map(|node| world.submit(node)).collect()
}

#[test]
fn one_validator_alone_makes_progress() {
    let mut world = World::new(1, 1);
    let sent = submit_to_all(&mut world);
    world.run_until("the payment is final", 2_000, |world| world.all_have(&sent));
    world.run_until("empty blocks follow", 10_000, |world| world.lowest() > 4);
}

#[test]
fn one_validator_alone_comes_back_after_a_power_failure() {
    let mut world = World::new(1, 2);
    for _ in 0..10 {
        let sent = submit_to_all(&mut world);
        world.run_until("the payment is final", 5_000, |world| world.all_have(&sent));
        world.crash(0);
        world.start(0);
    }
    world.assert_nothing_lost();
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_the_chain() {
    let mut world = World::new(1, 4);
    world.nodes[0].skew_ms = 600_000;
    world.run_until("blocks are made with the wrong clock", 10_000, |world| world.lowest() > 2);
    world.nodes[0].skew_ms = 0;
    let height = world.lowest();
    world.run_until("blocks are made with the right clock", 10_000, |world| world.lowest() > height + 4);
}

#[test]
fn four_validators_make_progress() {
    let mut world = World::new(4, 3);
    let sent = submit_to_all(&mut world);
    world.run_until("all payments are final", 3_000, |world| world.all_have(&sent));
    world.run_until("empty blocks follow", 20_000, |world| world.lowest() > 8);
}

#[test]
fn seven_validators_make_progress_without_two_of_them() {
    let mut world = World::asleep(7, 0, 4);
    (0..5).for_each(|node| world.start(node));
    let sent = submit_to_all(&mut world);
    world.run_until("all payments are final", 20_000, |world| world.all_have(&sent));
    world.run_until("blocks follow", 60_000, |world| world.lowest() > 8);
}

#[test]
fn a_first_transaction_on_an_idle_chain_waits_for_nobody() {
    let mut world = World::new(4, 5);
    world.run(10_500);
    let begin = world.now;
    let sent = BTreeSet::from([world.submit(0)]);
    world.run_until("the payment is final", 2_000, |world| world.all_have(&sent));
    // Far less than the idle interval of one second: three delays, two intervals, one leader change.
    assert!(world.now - begin < 700, "took {} ms", world.now - begin);
}

#[test]
fn a_validator_that_was_away_for_300_blocks_catches_up_and_votes_again() {
    let mut world = World::new(4, 6);
    world.run(2_000);
    world.crash(3);
    while world.lowest() < 300 {
        submit_to_all(&mut world);
        world.run(200);
    }
    world.start(3);
    world.run_until("it has caught up", 20_000, |world| world.lowest() + 2 >= world.highest());
    // Without one of the others, nothing becomes final unless it votes.
    world.crash(0);
    let height = world.highest();
    let sent = submit_to_all(&mut world);
    world.run_until("it votes", 30_000, |world| world.lowest() > height + 5 && world.all_have(&sent));
    world.assert_nothing_lost();
}

#[test]
fn all_four_lose_power_at_once_and_continue() {
    let mut world = World::new(4, 7);
    for _ in 0..5 {
        for _ in 0..10 {
            submit_to_all(&mut world);
            world.run(150);
        }
        (0..4).for_each(|node| world.crash(node));
        world.run(500);
        (0..4).for_each(|node| world.start(node));
        let height = world.highest();
        world.run_until("the chain goes on", 30_000, |world| world.lowest() > height + 3);
    }
    world.assert_nothing_lost();
}

#[test]
fn a_log_that_was_replaced_by_its_checkpoint_brings_everything_back() {
    let mut world = World::new(4, 8);
    for round in 0..6 {
        submit_to_all(&mut world);
        world.run(1_030);
        world.checkpoint(round % 4);
        (0..4).for_each(|node| world.crash(node));
        (0..4).for_each(|node| world.start(node));
    }
    let height = world.highest();
    world.run_until("the chain goes on", 30_000, |world| world.lowest() > height + 3);
    world.assert_nothing_lost();
}

#[test]
fn bundles_that_their_author_withholds_are_fetched() {
    let mut world = World::new(4, 9);
    world.withholds = Some(2);
    let mut sent = BTreeSet::new();
    for _ in 0..20 {
        sent.insert(world.submit(2));
        world.run(37);
    }
    world.run_until("all payments are final", 30_000, |world| world.all_have(&sent));
    assert!(world.nodes.iter().all(|node| node.bans.is_empty()));
}

#[test]
fn an_observer_follows() {
    let mut world = World::asleep(4, 1, 10);
    world.check_signatures = true;
    (0..5).for_each(|node| world.start(node));
    assert_eq!(world.replica(4).index(), None);
    let sent: BTreeSet<_> = (0..5).map(|node| world.submit(node)).collect();
    world.run_until("the observer has all payments", 20_000, |world| world.all_have(&sent));
}

#[test]
fn a_payment_that_is_given_to_everybody_is_executed_once() {
    let mut world = World::new(4, 11);
    let chain = world.genesis.hash();
    let transaction = crate::network::payment(chain, world.now, 77);
    for node in 0..4 {
        let event = quorate_replica::Event::Submitted(vec![quorate_replica::Submission {
            ticket: 1,
            transaction: transaction.clone(),
        }]);
        world.step(node, event);
        assert_eq!(world.nodes[node].replies[&1], Ok(quorate_replica::Admitted::Pending));
    }
    // That it is in one block only is checked at every commit.
    let sent = BTreeSet::from([transaction.id()]);
    world.run_until("the payment is final", 5_000, |world| world.all_have(&sent));
    world.run(5_000);
    let event =
        quorate_replica::Event::Submitted(vec![quorate_replica::Submission { ticket: 2, transaction }]);
    world.step(0, event);
    let reply = &world.nodes[0].replies[&2];
    assert!(matches!(reply, Ok(quorate_replica::Admitted::AlreadyCommitted { .. })), "{reply:?}");
}
