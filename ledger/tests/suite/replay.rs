//! Every transaction counts at most once, and only in its time.
use quorate_ledger::execute::block::SWEEP_MAX;
use quorate_ledger::{Refusal, admission, admissions, simulate};
use quorate_primitives::receipt::{Failure, Verdict};
use quorate_primitives::state::{Marker, StateKey};
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{Hash, Height};

use crate::world::*;

fn payment(world: &mut World, amount: u128) -> Draft {
    world.draft(ALICE).actions(vec![own(transfer("GOLD", id(BOB), amount))])
}

fn markers(world: &World) -> usize {
    let is_marker = |key: &StateKey| matches!(key, StateKey::Nonce(..) | StateKey::Unauthorised(_));
    world.ledger.head().state().entries().filter(|(key, _)| is_marker(key)).count()
}

#[test]
fn a_transaction_counts_once_within_a_block_and_in_later_ones() {
    let mut world = World::new();
    let signed = payment(&mut world, 10).sign();
    assert_eq!(world.block(vec![signed.clone(), signed.clone()]).len(), 1);
    assert_eq!(world.ledger.head().dropped(), &[signed.id()]);
    assert_eq!(world.block(vec![signed.clone()]), vec![]);
    assert_eq!(world.balance(id(BOB), "GOLD"), 10);
}

#[test]
fn a_used_nonce_belongs_to_its_first_transaction() {
    let mut world = World::new();
    let first = payment(&mut world, 10);
    let second = first.clone().actions(vec![own(transfer("GOLD", id(BOB), 11))]).sign();
    world.run(first);
    let receipts = world.block(vec![second.clone()]);
    assert_eq!(receipts[0].verdict, failed(Failure::NonceConflict));
    // It is remembered by its id, so it is reported once.
    assert_eq!(world.block(vec![second.clone()]), vec![]);
    let key = StateKey::Unauthorised(second.id());
    let marker: Marker = world.ledger.head().state().get(&key).unwrap();
    assert_eq!((marker.transaction, marker.height), (second.id(), Height::new(2)));
}

#[test]
fn nobody_uses_up_the_nonce_of_another() {
    let mut world = World::new();
    let honest = payment(&mut world, 10);
    let mut forged = honest.clone();
    forged.keys = vec![BOB];
    let forged = forged.sign();
    assert_eq!(world.block(vec![forged.clone()])[0].verdict, failed(Failure::Unauthorised));
    assert_eq!(world.block(vec![forged]), vec![]);
    assert_eq!(world.run(honest).verdict, Verdict::Committed);
}

#[test]
fn a_failed_transaction_used_its_nonce_and_cannot_come_back() {
    let mut world = World::new();
    let signed = payment(&mut world, 2_000).sign();
    assert_eq!(world.block(vec![signed.clone()])[0].verdict, failed_at(Failure::InsufficientFunds, 0));
    assert_eq!(world.block(vec![signed]), vec![]);
}

#[test]
fn a_transaction_outside_its_time_or_chain_leaves_no_trace() {
    let mut world = World::new();
    // The block's time will be START + STEP_MS.
    let time = START.saturating_add(STEP_MS);
    let latest = time.saturating_add(20_000 + 500);
    let root = world.ledger.head().state().root();
    let mut other_chain = payment(&mut world, 1);
    other_chain.envelope.chain = Hash::ZERO;
    let wrong = vec![
        payment(&mut world, 1).valid_until(time.saturating_sub(1)).sign(),
        payment(&mut world, 1).valid_until(latest.next()).sign(),
        other_chain.sign(),
    ];
    let ids: Vec<Hash> = wrong.iter().map(SignedTransaction::id).collect();
    assert_eq!(world.block(wrong), vec![]);
    assert_eq!(world.ledger.head().dropped(), ids);
    assert_eq!(world.ledger.head().state().root(), root);
}

#[test]
fn the_ends_of_the_time_window_count() {
    let mut world = World::new();
    let time = START.saturating_add(STEP_MS);
    let edges = vec![
        payment(&mut world, 1).valid_until(time).sign(),
        payment(&mut world, 1).valid_until(time.saturating_add(20_500)).sign(),
    ];
    assert_eq!(world.block(edges).len(), 2);
}

#[test]
fn markers_stay_through_their_retention_and_then_go() {
    let mut world = World::new();
    let valid_until = START.saturating_add(STEP_MS);
    let draft = payment(&mut world, 1).valid_until(valid_until);
    world.run(draft);
    assert_eq!(markers(&world), 1);
    // Retention is 2,000 ms: in a block exactly that much later the marker stays.
    world.block_of(vec![], 2_000);
    assert_eq!(markers(&world), 1);
    world.block_of(vec![], 1);
    assert_eq!(markers(&world), 0);
}

#[test]
fn a_block_sweeps_a_bounded_number_of_markers_the_oldest_first() {
    let mut world = World::new();
    let total = SWEEP_MAX + 10;
    let early = |index: usize| START.saturating_add(if index < 10 { 2_000 } else { 1_000 });
    let transactions: Vec<_> =
        (0..total).map(|index| payment(&mut world, 0).valid_until(early(index)).sign()).collect();
    let lists = transactions.chunks(500).map(<[_]>::to_vec).collect();
    assert_eq!(world.block_of(lists, STEP_MS).len(), total);
    world.block_of(vec![], 3_600_000);
    let left = world.ledger.head().state().entries();
    let left: Vec<Marker> = left
        .filter_map(|(key, _)| match key {
            StateKey::Nonce(..) => world.ledger.head().state().get(&key),
            _ => None,
        })
        .collect();
    assert_eq!(left.len(), 10);
    assert!(left.iter().all(|marker| marker.valid_until == early(0)));
    world.block_of(vec![], 1);
    assert_eq!(markers(&world), 0);
}

#[test]
fn admission_answers_what_execution_would_and_changes_nothing() {
    let mut world = World::new();
    let now = world.ledger.head().time().next();
    let good = payment(&mut world, 10).sign();
    let poor = payment(&mut world, 2_000).sign();
    let late = payment(&mut world, 1).valid_until(now.saturating_sub(1)).sign();
    let early = payment(&mut world, 1).valid_until(now.saturating_add(20_001)).sign();
    let mut other = payment(&mut world, 1);
    other.envelope.chain = Hash::ZERO;
    let other = other.sign();
    let state = world.ledger.head().state().clone();
    let root = state.root();
    let refusal = |signed| admission(&state, signed, now).unwrap_err();
    assert_eq!(admission(&state, &good, now), Ok(()));
    let failed = Refusal::Failed { failure: Failure::InsufficientFunds, action: Some(0) };
    assert_eq!(refusal(&poor), failed);
    assert_eq!((refusal(&poor).code(), refusal(&poor).name()), (1019, "insufficient_funds"));
    assert_eq!(refusal(&late), Refusal::Expired { valid_until: now.saturating_sub(1), now });
    let latest = now.saturating_add(20_000);
    assert_eq!(refusal(&early), Refusal::TooFar { valid_until: latest.next(), latest });
    assert_eq!(refusal(&other), Refusal::WrongChain { expected: state.chain(), found: Hash::ZERO });
    let dry = simulate(&state, &good, now).unwrap();
    assert_eq!(state.root(), root);
    assert_eq!(world.block(vec![good.clone()]), vec![dry]);
    let after = world.ledger.head().state();
    assert_eq!(admission(after, &good, now), Err(Refusal::Duplicate { height: Height::new(1) }));
}

#[test]
fn many_transactions_are_judged_each_as_if_it_were_the_only_one() {
    let mut world = World::new();
    let known = payment(&mut world, 1).sign();
    world.block(vec![known.clone()]);
    let all = payment(&mut world, 999);
    let again = all.clone().actions(vec![own(transfer("GOLD", id(BOB), 998))]);
    let mut stranger = payment(&mut world, 1);
    stranger.keys = vec![BOB];
    let late = payment(&mut world, 1).valid_until(START);
    let other_end = again.clone().valid_until(START.saturating_add(7_000));
    // Whoever spends all, uses a nonce or is refused changes nothing for those after it.
    let drafts =
        [all.clone(), again, stranger.clone(), other_end, late, stranger, payment(&mut world, 2_000), all];
    let mut transactions: Vec<SignedTransaction> = drafts.into_iter().map(Draft::sign).collect();
    transactions.insert(3, known);
    let state = world.ledger.head().state();
    let now = state.time().next();
    let given: Vec<&SignedTransaction> = transactions.iter().collect();
    let together = admissions(state, &given, now);
    let alone = given.iter().map(|signed| admission(state, signed, now));
    assert_eq!(together, alone.collect::<Vec<_>>());
    let taken: Vec<bool> = together.iter().map(Result::is_ok).collect();
    assert_eq!(taken, [true, true, false, false, true, false, false, false, true]);
}
