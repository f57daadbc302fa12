//! Every transaction counts at most once, and only in its time.
use quorate_ledger::{Refusal, admission, admissions, simulate};
use quorate_primitives::receipt::{Failure, Verdict};
use quorate_primitives::state::{Marker, StateKey};
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{Hash, Height};
use std::collections::BTreeSet;

use crate::world::*;

fn payment(world: &mut World, amount: u128) -> Draft {
    world.draft(ALICE).actions(vec![own(transfer("GOLD", id(BOB), amount))])
}

fn marker_keys(world: &World) -> BTreeSet<StateKey> {
    let is_marker = |key: &StateKey| matches!(key, StateKey::Nonce(..) | StateKey::Unauthorised(_));
    world.ledger.head().state().entries().map(|(key, _)| key).filter(is_marker).collect()
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

/// The bits of a marker's path that say in which blocks it may be swept.
fn slice(key: &StateKey) -> u64 {
    let path = key.path();
    (1..9).fold(0, |slice, bit| slice << 1 | u64::from(path.bit(bit)))
}

#[test]
fn a_marker_goes_in_the_first_block_of_its_slice_after_its_retention() {
    let mut world = World::new();
    // Retention is 2,000 ms. All of these are over at the same time, in the middle of some slices.
    let valid_until = START.saturating_add(20_000);
    for number in 0..40 {
        let mut draft = payment(&mut world, 1).valid_until(valid_until);
        // Markers of one sender lie in one slice, those by id in all.
        draft.keys = vec![if number < 10 { ALICE } else { BOB }];
        world.block_of(vec![vec![draft.sign()]], 1);
    }
    let mut left: BTreeSet<StateKey> = marker_keys(&world);
    assert_eq!(left.len(), 40);
    let end = valid_until.saturating_add(2_000);
    while world.ledger.head().time() < end {
        let wait = end.distance_from(world.ledger.head().time()).min(200);
        world.block_of(vec![], wait);
        assert_eq!(marker_keys(&world), left, "a marker stays until exactly that much later");
    }
    for _ in 0..256 {
        world.block_of(vec![], 1);
        let height = world.ledger.head().height().get();
        left.retain(|key| slice(key) != height % 256);
        assert_eq!(marker_keys(&world), left);
    }
    assert!(left.is_empty());
}

#[test]
fn a_nonce_is_free_again_only_when_its_marker_is_swept() {
    let mut world = World::new();
    let first = payment(&mut world, 1).valid_until(START.saturating_add(STEP_MS));
    world.run(first.clone());
    let key = marker_keys(&world).pop_first().unwrap();
    world.block_of(vec![], 3_600_000);
    let mut other = first.actions(vec![own(transfer("GOLD", id(BOB), 2))]);
    loop {
        other = other.valid_until(world.ledger.head().time().saturating_add(10_000));
        let height = world.ledger.head().height().next().get();
        let receipts = world.block(vec![other.clone().sign()]);
        // The block that sweeps it may use it again.
        if slice(&key) == height % 256 {
            assert_eq!(receipts[0].verdict, Verdict::Committed);
            break;
        }
        assert_eq!(receipts[0].verdict, failed(Failure::NonceConflict));
    }
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
