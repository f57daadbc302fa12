//! Closing and opening again, and data that must not be trusted.
use quorate_ledger::store::{Batch, Durability, Memory, Rocks, Store, Table, schema};
use quorate_ledger::{Ledger, OpenError};
use quorate_primitives::codec::Text;
use quorate_primitives::state::StateKey;
use quorate_primitives::{Hash, Height, codec};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

use crate::world::*;

fn open_world(path: &Path) -> World {
    World::with(genesis(), Arc::new(Rocks::open(&path.join("db")).unwrap()))
}

fn pay(world: &mut World, amount: u128) {
    let signed = world.draft(ALICE).actions(vec![own(transfer("GOLD", id(BOB), amount))]).sign();
    world.block(vec![signed]);
}

fn refusal(store: Arc<dyn Store>) -> OpenError {
    Ledger::open(store, &genesis()).err().expect("must be refused")
}

#[test]
fn a_reopened_ledger_continues_with_the_same_roots() {
    let folder = TempDir::new().unwrap();
    let mut on_disk = open_world(folder.path());
    let mut in_memory = World::new();
    for round in 1..5_u128 {
        for amount in 1..4 {
            pay(&mut on_disk, round * amount);
            pay(&mut in_memory, round * amount);
        }
        on_disk = on_disk.reopen(|| Arc::new(Rocks::open(&folder.path().join("db")).unwrap()));
        let (disk, memory) = (on_disk.ledger.head(), in_memory.ledger.head());
        assert_eq!((disk.block(), disk.outcome()), (memory.block(), memory.outcome()));
        let certified = on_disk.ledger.certified().map(|(proof, state)| (proof.header.height, state.root()));
        assert_eq!(certified, Some((disk.height(), disk.state().root())));
    }
}

#[test]
fn a_reopened_ledger_still_knows_what_was_executed_and_what_expires() {
    let folder = TempDir::new().unwrap();
    let mut world = open_world(folder.path());
    let signed = world.draft(ALICE).actions(vec![own(transfer("GOLD", id(BOB), 1))]).sign();
    world.block(vec![signed.clone()]);
    let mut world = world.reopen(|| Arc::new(Rocks::open(&folder.path().join("db")).unwrap()));
    assert_eq!(world.block(vec![signed.clone()]), vec![]);
    world.sweep();
    let is_marker = |key: &StateKey| matches!(key, StateKey::Nonce(..));
    assert!(!world.ledger.head().state().entries().any(|(key, _)| is_marker(&key)));
    let reader = world.ledger.reader();
    assert_eq!(reader.position(&signed.id()).unwrap().map(|position| position.height), Some(Height::new(1)));
    let proof = reader.history_proof(Height::new(1), Height::new(3)).unwrap();
    assert!(proof.is_some());
}

#[test]
fn a_crash_takes_back_whole_blocks_from_the_end_only() {
    let memory = Arc::new(Memory::new());
    let mut world = World::with(genesis(), memory.clone());
    let mut roots = vec![world.ledger.head().outcome().digest()];
    for amount in 1..6 {
        pay(&mut world, amount);
        roots.push(world.ledger.head().outcome().digest());
        if amount == 2 {
            world.ledger.sync().unwrap();
        }
    }
    for kept in 0..=3 {
        let ledger = Ledger::open(Arc::new(memory.after_crash(kept)), &genesis()).unwrap();
        assert_eq!(ledger.head().height(), Height::new(2 + u64::try_from(kept).unwrap()));
        assert_eq!(ledger.head().outcome().digest(), roots[2 + kept]);
    }
}

/// A process that ended may have left blocks that only the operating system had: what is built upon is made
/// safe first.
#[test]
fn what_a_ledger_is_opened_with_is_safe_before_anything_follows() {
    let memory = Arc::new(Memory::new());
    let mut world = World::with(genesis(), memory.clone());
    pay(&mut world, 1);
    assert_eq!((memory.unsynced(), memory.high_water().unwrap().unwrap().height), (1, Height::ZERO));
    let ledger = Ledger::open(memory.clone(), &genesis()).unwrap();
    let mark = memory.high_water().unwrap().unwrap();
    assert_eq!((memory.unsynced(), mark.height, mark.block), (0, Height::new(1), ledger.head().block()));
    // Nothing is written when there is nothing to make safe.
    let calls = memory.calls();
    Ledger::open(memory.clone(), &genesis()).unwrap();
    assert_eq!(memory.calls(), calls);
}

#[test]
fn a_restored_old_copy_is_refused() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("db");
    let mut world = open_world(folder.path());
    pay(&mut world, 1);
    world.ledger.sync().unwrap();
    drop(world);
    let backup = folder.path().join("backup");
    fs::create_dir(&backup).unwrap();
    for entry in fs::read_dir(&database).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, backup.join(path.file_name().unwrap())).unwrap();
    }
    let mut world = open_world(folder.path());
    pay(&mut world, 2);
    world.ledger.sync().unwrap();
    drop(world);

    fs::remove_dir_all(&database).unwrap();
    fs::rename(&backup, &database).unwrap();
    let error = refusal(Arc::new(Rocks::open(&database).unwrap()));
    let lost = matches!(error, OpenError::LostData { expected, found }
        if expected == Height::new(2) && found == Height::new(1));
    assert!(lost, "{error}");

    fs::remove_dir_all(&database).unwrap();
    let error = refusal(Arc::new(Rocks::open(&database).unwrap()));
    assert!(
        matches!(error, OpenError::LostData { expected, found: Height::ZERO } if expected == Height::new(2))
    );
}

#[test]
fn a_database_without_its_high_water_record_is_refused() {
    let folder = TempDir::new().unwrap();
    let mut world = open_world(folder.path());
    pay(&mut world, 1);
    drop(world);
    fs::remove_file(folder.path().join("HIGHWATER")).unwrap();
    let error = refusal(Arc::new(Rocks::open(&folder.path().join("db")).unwrap()));
    assert!(matches!(error, OpenError::HighWaterMissing { height } if height == Height::new(1)));
}

#[test]
fn another_branch_of_the_same_height_is_refused() {
    let (ours, theirs) = (Arc::new(Memory::new()), Arc::new(Memory::new()));
    for (store, amount) in [(&ours, 1), (&theirs, 2)] {
        let mut world = World::with(genesis(), store.clone());
        pay(&mut world, amount);
        world.ledger.sync().unwrap();
    }
    let error = refusal(Arc::new(ours.rolled_back_to(&theirs)));
    assert!(matches!(error, OpenError::OtherBlock { height, .. } if height == Height::new(1)));
}

#[test]
fn a_database_of_another_chain_is_refused() {
    let memory = Arc::new(Memory::new());
    World::with(genesis(), memory.clone());
    let mut other = genesis();
    other.network = Text::new("other").unwrap();
    let error = Ledger::open(memory, &other).err().unwrap();
    let expected = other.hash();
    assert!(matches!(error, OpenError::OtherChain { expected: named, .. } if named == expected));
}

#[test]
fn an_unknown_format_is_refused_by_both_names() {
    let memory = Arc::new(Memory::new());
    World::with(genesis(), memory.clone());
    let mut batch = Batch::new();
    batch.put(Table::Meta, schema::META_FORMAT, 9_u32.to_le_bytes());
    memory.write(batch, Durability::Synced).unwrap();
    let message = refusal(memory).to_string();
    let both =
        "the database has format 9, but this software reads and writes format 5; fetch the chain from other";
    assert!(message.starts_with(both), "{message}");
}

#[test]
fn a_database_with_tables_of_another_format_still_names_its_version() {
    let folder = TempDir::new().unwrap();
    drop(open_world(folder.path()));
    let path = folder.path().join("db");
    let options = rocksdb::Options::default();
    let names = rocksdb::DB::list_cf(&options, &path).unwrap();
    let database = rocksdb::DB::open_cf(&options, &path, names).unwrap();
    database.create_cf("table of a later format", &options).unwrap();
    let meta = database.cf_handle(Table::Meta.name()).unwrap();
    database.put_cf(&meta, schema::META_FORMAT, 6_u32.to_le_bytes()).unwrap();
    drop(meta);
    drop(database);
    let error = refusal(Arc::new(Rocks::open(&path).unwrap()));
    assert!(matches!(error, OpenError::Format { found: 6, supported: 5 }), "{error}");
}

#[test]
fn a_state_that_the_last_block_did_not_leave_is_refused() {
    let memory = Arc::new(Memory::new());
    let mut world = World::with(genesis(), memory.clone());
    pay(&mut world, 1);
    let forged = memory.backup();
    let mut batch = Batch::new();
    batch.delete(Table::State, codec::encode(&StateKey::Balance(id(BOB), asset("GOLD"))));
    forged.write(batch, Durability::Synced).unwrap();
    assert!(matches!(refusal(Arc::new(forged)), OpenError::StateRoot { .. }));
}

#[test]
fn records_that_contradict_each_other_are_refused() {
    let memory = Arc::new(Memory::new());
    let mut world = World::with(genesis(), memory.clone());
    (1..4).for_each(|amount| pay(&mut world, amount));
    let top = |level, index| {
        (Table::History, schema::history_key(level, index).to_vec(), Hash::ZERO.as_bytes().to_vec())
    };
    let other_head = [3_u64.to_be_bytes().as_slice(), &[1; 64]].concat();
    for (table, key, value) in [top(1, 0), (Table::Meta, schema::META_HEAD.to_vec(), other_head)] {
        let forged = memory.backup();
        let mut batch = Batch::new();
        batch.put(table, key, value);
        forged.write(batch, Durability::Synced).unwrap();
        assert!(matches!(refusal(Arc::new(forged)), OpenError::Contradiction { .. }));
    }
}

#[test]
fn a_first_start_that_ended_before_its_record_was_written_is_continued() {
    let memory = Arc::new(Memory::new());
    World::with(genesis(), memory.clone());
    let interrupted = Memory::new().rolled_back_to(&memory);
    assert!(Ledger::open(Arc::new(interrupted), &genesis()).is_ok());
}
