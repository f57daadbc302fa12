//! Markers on disk: few rows, and exactly those markers after a restart that were there before.
use quorate_ledger::store::{Batch, Durability, Memory, Store, StoreError, Table, schema};
use quorate_ledger::{Ledger, OpenError};
use quorate_primitives::receipt::Failure;
use quorate_primitives::state::StateKey;
use std::sync::Arc;

use crate::world::*;

fn rows(store: &Memory, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    store.scan(table, b"", usize::MAX).unwrap()
}

fn markers(ledger: &Ledger) -> Vec<(StateKey, Vec<u8>)> {
    let is_marker = |key: &StateKey| matches!(key, StateKey::Nonce(..) | StateKey::Unauthorised(_));
    let entries = ledger.head().state().entries().filter(|(key, _)| is_marker(key));
    entries.map(|(key, value)| (key.clone(), value.to_vec())).collect()
}

/// What a node finds that starts on a copy of this store: it would refuse a state with another root.
fn assert_reopens(world: &World, store: &Memory) {
    let reopened = Ledger::open(Arc::new(store.backup()), &world.genesis).unwrap();
    assert_eq!(reopened.head().outcome(), world.ledger.head().outcome());
    assert_eq!(markers(&reopened), markers(&world.ledger));
}

fn payments(world: &mut World, valid_ms: impl Iterator<Item = u64>) {
    let now = world.ledger.head().time();
    let mut payment = |valid_ms| {
        let payment = world.draft(ALICE).actions(vec![own(transfer("GOLD", id(BOB), 1))]);
        payment.valid_until(now.saturating_add(valid_ms)).sign()
    };
    let payments = valid_ms.map(&mut payment).collect();
    world.block(payments);
}

#[test]
fn the_markers_after_any_block_are_there_after_a_restart() {
    let store = Arc::new(Memory::new());
    let mut world = World::with(genesis(), store.clone());
    for round in 0..300_u64 {
        // Long and short ones, so that they do not go in the order in which they came.
        payments(&mut world, (0..3).map(|number| 2_000 + (round * 5 + number * 11) % 17 * 1_000));
        let stranger = world.draft(ALICE).actions(vec![own(transfer("GOLD", id(BOB), 1))]);
        let receipt = world.run(Draft { keys: vec![BOB], ..stranger });
        assert_eq!(receipt.verdict, failed(Failure::Unauthorised));
        assert_reopens(&world, &store);
    }
    assert!(markers(&world.ledger).len() < 290 * 4, "some are swept");
    assert!(markers(&world.ledger).iter().any(|(key, _)| matches!(key, StateKey::Unauthorised(_))));
}

#[test]
fn a_ledger_that_was_reopened_forgets_the_same_markers() {
    let store = Arc::new(Memory::new());
    let mut world = World::with(genesis(), store.clone());
    let mut reopened = World::new();
    for round in 0..120_u64 {
        let valid_ms = |number: u64| 2_000 + (round * 5 + number * 11) % 17 * 1_000;
        payments(&mut world, (0..2).map(valid_ms));
        payments(&mut reopened, (0..2).map(valid_ms));
        world = world.reopen(|| store.clone());
        assert_eq!(world.ledger.head().outcome(), reopened.ledger.head().outcome());
    }
}

#[test]
fn markers_that_expire_together_take_one_row_for_a_block_and_none_afterwards() {
    let store = Arc::new(Memory::new());
    let mut world = World::with(genesis(), store.clone());
    let period_end = schema::PERIOD_MS - world.ledger.head().time().get() % schema::PERIOD_MS;
    payments(&mut world, (0..5).map(|number| period_end + 4_000 + number));
    assert_eq!(rows(&store, Table::Markers).len(), 1);
    payments(&mut world, [period_end + 4_000, period_end + 8_000].into_iter());
    assert_eq!(rows(&store, Table::Markers).len(), 3);
    let of_markers = |(key, _): &(Vec<u8>, Vec<u8>)| matches!(key.first(), Some(7 | 8));
    assert!(!rows(&store, Table::State).iter().any(of_markers));
    world.block_of(vec![], 3_600_000);
    assert_eq!(rows(&store, Table::Markers).len(), 3, "not all slices were swept");
    (1..256).for_each(|_| drop(world.block(vec![])));
    assert_eq!(markers(&world.ledger), []);
    assert_eq!(rows(&store, Table::Markers), []);
    assert_reopens(&world, &store);
}

#[test]
fn a_sweep_of_one_slice_is_known_after_a_restart() {
    let store = Arc::new(Memory::new());
    let mut world = World::with(genesis(), store.clone());
    // Those of one sender would all lie in one slice.
    let stranger = |world: &mut World| Draft { keys: vec![BOB], ..world.draft(ALICE) };
    let transactions = (0..400).map(|_| stranger(&mut world).sign()).collect();
    world.block(transactions);
    let mut left = Vec::new();
    for _ in 0..256 {
        world.block_of(vec![], 3_600_000);
        assert_reopens(&world, &store);
        left.push(markers(&world.ledger).len());
    }
    left.dedup();
    assert!(left.is_sorted_by(|more, fewer| more > fewer) && left.len() > 100, "{left:?}");
    assert_eq!(markers(&world.ledger), []);
    assert_reopens(&world, &store);
}

#[test]
fn markers_that_the_last_block_did_not_leave_are_refused() {
    let store = Arc::new(Memory::new());
    let mut world = World::with(genesis(), store.clone());
    payments(&mut world, [5_000, 9_000].into_iter());
    let refusal = |change: &dyn Fn(&mut Batch)| {
        let forged = store.backup();
        let mut batch = Batch::new();
        change(&mut batch);
        forged.write(batch, Durability::Synced).unwrap();
        Ledger::open(Arc::new(forged), &genesis()).err().expect("must be refused")
    };
    let (key, row) = rows(&store, Table::Markers).pop().unwrap();
    let of_root = |error| matches!(error, OpenError::StateRoot { .. });
    assert!(of_root(refusal(&|batch| batch.delete(Table::Markers, &key))));
    let swept = |batch: &mut Batch, before: &[u8]| {
        (0..=u8::MAX).for_each(|slice| batch.put(Table::Meta, schema::swept_key(slice), before));
    };
    assert!(of_root(refusal(&|batch| swept(batch, &u64::MAX.to_be_bytes()))));
    let corrupt = |error| matches!(error, OpenError::Store(StoreError::Corrupt { .. }));
    assert!(corrupt(refusal(&|batch| batch.put(Table::Markers, &key, &row[1..]))));
    assert!(corrupt(refusal(&|batch| batch.put(Table::Markers, &key[1..], &row))));
    assert!(corrupt(refusal(&|batch| swept(batch, &[0; 7]))));
}
