//! What clients are answered, and whose transactions leave first.
use quorate_ledger::Refusal as LedgerRefusal;
use quorate_primitives::Hash;
use quorate_primitives::signed::Verified;
use quorate_primitives::transaction::SignedTransaction;
use quorate_replica::{Admitted, Effect, Event, PoolLimits, Refusal, Settings, Submission, Timer};

use crate::network::{payer, payment, payment_of};
use crate::solo::Solo;
use crate::world::World;

fn small(transactions_max: usize, sender_max: usize, bytes_max: usize) -> Settings {
    let pool =
        PoolLimits { transactions_max, sender_max, bytes_max, retry_after_ms: 500, ..PoolLimits::default() };
    Settings { pool, ..Settings::default() }
}

fn submit(solo: &mut Solo, transaction: Verified<SignedTransaction>) -> Result<Admitted, Refusal> {
    solo.step(Event::Submitted(vec![Submission { ticket: 7, transaction }]));
    let reply = |effect: &Effect| match effect {
        Effect::Reply { ticket: 7, outcome } => Some(outcome.clone()),
        _ => None,
    };
    let reply = solo.effects.iter().rev().find_map(reply).unwrap();
    solo.effects.retain(|effect| !matches!(effect, Effect::Reply { .. }));
    reply
}

#[test]
fn a_full_pool_says_when_to_try_again() {
    let mut solo = Solo::new(0, small(3, 100, 1 << 20));
    for number in 0..3 {
        let transaction = payment(solo.chain, solo.now, number);
        assert_eq!(submit(&mut solo, transaction), Ok(Admitted::Pending));
    }
    let transaction = payment(solo.chain, solo.now, 3);
    assert_eq!(submit(&mut solo, transaction), Err(Refusal::Full { retry_after_ms: 500 }));
}

#[test]
fn submissions_of_one_step_are_answered_in_order_and_count_for_each_other() {
    let mut solo = Solo::new(0, small(2, 100, 1 << 20));
    let paid = |number| payment(solo.chain, solo.now, number);
    let given = [paid(0), paid(0), paid(1), paid(2)];
    let submissions = (10..).zip(given).map(|(ticket, transaction)| Submission { ticket, transaction });
    let event = Event::Submitted(submissions.collect());
    solo.step(event);
    let reply = |effect: &Effect| match effect {
        Effect::Reply { ticket, outcome } => Some((*ticket, outcome.clone())),
        _ => None,
    };
    let replies: Vec<_> = solo.effects.iter().filter_map(reply).collect();
    let expected = [
        (10, Ok(Admitted::Pending)),
        (11, Ok(Admitted::AlreadyPending)),
        (12, Ok(Admitted::Pending)),
        (13, Err(Refusal::Full { retry_after_ms: 500 })),
    ];
    assert_eq!(replies, expected);
}

#[test]
fn a_pool_is_also_full_by_bytes() {
    let mut solo = Solo::new(0, small(100, 100, 700));
    let sizes = payment(solo.chain, solo.now, 0).size();
    assert!((240..700).contains(&sizes));
    let transaction = payment(solo.chain, solo.now, 0);
    assert_eq!(submit(&mut solo, transaction), Ok(Admitted::Pending));
    for number in 1..3 {
        let transaction = payment(solo.chain, solo.now, number);
        let _ = submit(&mut solo, transaction);
    }
    assert!(solo.replica.status().pool_bytes <= 700);
    assert!(solo.replica.status().pool_transactions < 3);
}

#[test]
fn one_sender_cannot_fill_the_pool() {
    of_one_sender_two_are_taken(Solo::new(0, small(100, 2, 1 << 20)));
}

fn of_one_sender_two_are_taken(mut solo: Solo) {
    let of = |solo: &Solo, from, number| payment_of(solo.chain, from, solo.now + 60_000, number);
    for number in 0..2 {
        let transaction = of(&solo, 0, number);
        assert_eq!(submit(&mut solo, transaction), Ok(Admitted::Pending));
    }
    let transaction = of(&solo, 0, 2);
    let refusal = Refusal::SenderFull { found: 2, allowed: 2, retry_after_ms: 500 };
    assert_eq!(submit(&mut solo, transaction), Err(refusal));
    let transaction = of(&solo, 1, 3);
    assert_eq!(submit(&mut solo, transaction), Ok(Admitted::Pending));
}

#[test]
fn giving_a_transaction_again_changes_nothing() {
    let mut solo = Solo::new(0, Settings::default());
    let transaction = payment(solo.chain, solo.now, 1);
    assert_eq!(submit(&mut solo, transaction.clone()), Ok(Admitted::Pending));
    assert_eq!(submit(&mut solo, transaction), Ok(Admitted::AlreadyPending));
    assert_eq!(solo.replica.status().pool_transactions, 1);
}

#[test]
fn a_transaction_that_a_peer_has_bundled_is_already_pending() {
    let mut solo = Solo::new(0, Settings::default());
    let bundle = solo.bundle(2, 5..6);
    let transaction = bundle.verified_transactions().next().unwrap();
    let from = Some(crate::network::validator_key(2).public_key());
    solo.step(Event::Bundle { from, bundle });
    assert_eq!(submit(&mut solo, transaction), Ok(Admitted::AlreadyPending));
}

/// A replica of four validators that knows of ten transactions that another one bundled, and lets eight wait.
fn crowded() -> Solo {
    let pool = PoolLimits { backlog_min: 8, ..PoolLimits::default() };
    let mut solo = Solo::new(0, Settings { pool, ..Settings::default() });
    let bundle = solo.bundle(2, 100..110);
    let from = Some(crate::network::validator_key(2).public_key());
    solo.step(Event::Bundle { from, bundle });
    solo
}

#[test]
fn the_backlog_of_the_whole_network_counts_but_leaves_each_validator_its_share() {
    let mut solo = crowded();
    assert_eq!(solo.replica.room(), 2, "a quarter of eight");
    for number in 0..2 {
        let transaction = payment(solo.chain, solo.now, number);
        assert_eq!(submit(&mut solo, transaction), Ok(Admitted::Pending));
    }
    assert_eq!(solo.replica.room(), 0);
    let transaction = payment(solo.chain, solo.now, 2);
    assert_eq!(submit(&mut solo, transaction), Err(Refusal::Full { retry_after_ms: 500 }));
}

#[test]
fn one_sender_takes_no_more_than_a_quarter_of_the_room() {
    let pool = PoolLimits { backlog_min: 8, ..PoolLimits::default() };
    of_one_sender_two_are_taken(Solo::new(0, Settings { pool, ..Settings::default() }));
}

fn room(world: &mut World) -> usize {
    world.nodes[0].replica.as_mut().unwrap().room()
}

#[test]
fn as_much_may_wait_as_was_ordered_in_the_last_second() {
    let pool = PoolLimits { backlog_min: 8, ..PoolLimits::default() };
    let mut world = World::asleep(4, 0, 12);
    world.settings.pool = pool;
    (0..4).for_each(|node| world.start(node));
    let mut most = 0;
    for number in 0..200 {
        let transaction = payment(world.genesis.hash(), world.now, number);
        world.step(0, Event::Submitted(vec![Submission { ticket: number, transaction }]));
        world.run(20);
        most = most.max(room(&mut world));
    }
    // Fifty a second became final.
    assert!((20..=60).contains(&most), "{most}");
    world.run(5_000);
    assert_eq!(room(&mut world), 8, "nothing waits, and nothing was ordered lately");
}

#[test]
fn what_could_not_take_effect_is_refused_at_once() {
    let mut solo = Solo::new(0, Settings::default());
    let other_chain = payment(Hash::ZERO, solo.now, 1);
    let reply = submit(&mut solo, other_chain);
    assert!(matches!(reply, Err(Refusal::Ledger(LedgerRefusal::WrongChain { .. }))), "{reply:?}");
    let expired = payment_of(solo.chain, 0, solo.now - 1, 2);
    let reply = submit(&mut solo, expired);
    assert!(matches!(reply, Err(Refusal::Ledger(LedgerRefusal::Expired { .. }))), "{reply:?}");
    let too_far = payment_of(solo.chain, 0, solo.now + 86_400_000, 3);
    let reply = submit(&mut solo, too_far);
    assert!(matches!(reply, Err(Refusal::Ledger(LedgerRefusal::TooFar { .. }))), "{reply:?}");
    assert_eq!(solo.replica.status().pool_transactions, 0);
}

#[test]
fn senders_take_turns_whatever_the_order_in_which_they_came() {
    let mut solo = Solo::new(0, Settings::default());
    // The first one leaves at once; the others wait for the bundle interval.
    for (number, from) in [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1), (5, 2)] {
        let transaction = payment_of(solo.chain, from, solo.now + 60_000, number);
        assert_eq!(submit(&mut solo, transaction), Ok(Admitted::Pending));
    }
    solo.elapse(Timer::Bundle, 10);
    let order: Vec<_> = solo
        .departed()
        .iter()
        .flat_map(|bundle| {
            bundle.transactions().iter().map(|signed| signed.transaction().sender).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(order, [0, 0, 1, 2, 0, 0].map(payer).to_vec());
}

#[test]
fn what_expired_before_it_could_be_ordered_is_forgotten() {
    let mut world = World::new(4, 12);
    world.run(3_000);
    world.nodes[0].island = 1;
    let transaction = payment_of(world.genesis.hash(), 0, world.now + 2_000, 9);
    world.step(0, Event::Submitted(vec![Submission { ticket: 1, transaction }]));
    assert_eq!(world.nodes[0].replies[&1], Ok(Admitted::Pending));
    world.run(6_000);
    world.nodes[0].island = 0;
    let empty = |world: &World| {
        let status = world.replica(0).status();
        status.pool_transactions == 0 && status.bundles == 0
    };
    world.run_until("it is forgotten", 20_000, |world| empty(world));
    assert!(world.settled.is_empty());
}
