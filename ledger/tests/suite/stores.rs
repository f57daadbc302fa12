//! One contract, two stores.
use quorate_ledger::store::{Batch, Durability, HighWater, Memory, Rocks, Store, StoreError, Table};
use quorate_primitives::{Hash, Height};
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use tempfile::TempDir;

fn on_both(check: impl Fn(&dyn Store)) {
    check(&Memory::new());
    let folder = TempDir::new().unwrap();
    check(&Rocks::open(&folder.path().join("db")).unwrap());
}

fn put(pairs: &[(Table, &[u8], &[u8])]) -> Batch {
    let mut batch = Batch::new();
    pairs.iter().for_each(|(table, key, value)| batch.put(*table, *key, *value));
    batch
}

fn mark(height: u64) -> HighWater {
    HighWater { height: Height::new(height), block: Hash::from_bytes([7; 32]) }
}

#[test]
fn what_was_written_is_read_from_its_own_table_only() {
    on_both(|store| {
        store
            .write(put(&[(Table::State, b"k", b"v"), (Table::Meta, b"k", b"w")]), Durability::Buffered)
            .unwrap();
        assert_eq!(store.get(Table::State, b"k").unwrap().as_deref(), Some(b"v".as_slice()));
        assert_eq!(store.get(Table::Meta, b"k").unwrap().as_deref(), Some(b"w".as_slice()));
        assert_eq!(store.get(Table::Blocks, b"k").unwrap(), None);
        assert_eq!(store.get(Table::State, b"").unwrap(), None);
    });
}

#[test]
fn every_table_is_looked_up_and_scanned_alike() {
    on_both(|store| {
        for table in Table::ALL {
            for key in [b"\xff".as_slice(), b"longer than any prefix", b"a", b"longer than any", b""] {
                store.write(put(&[(*table, key, table.name().as_bytes())]), Durability::Buffered).unwrap();
                assert_eq!(store.get(*table, key).unwrap().as_deref(), Some(table.name().as_bytes()));
            }
            assert_eq!(store.get(*table, b"longer").unwrap(), None);
            let keys = |from: &[u8]| -> Vec<Vec<u8>> {
                store.scan(*table, from, 3).unwrap().into_iter().map(|(key, _)| key).collect()
            };
            assert_eq!(keys(b""), [b"".as_slice(), b"a", b"longer than any"]);
            assert_eq!(keys(b"b"), [b"longer than any".as_slice(), b"longer than any prefix", b"\xff"]);
        }
    });
}

#[test]
fn the_last_change_of_a_key_wins_within_and_between_batches() {
    on_both(|store| {
        let mut batch =
            put(&[(Table::State, b"a", b"1"), (Table::State, b"a", b"2"), (Table::State, b"b", b"1")]);
        batch.delete(Table::State, b"b".as_slice());
        store.write(batch, Durability::Synced).unwrap();
        assert_eq!(store.get(Table::State, b"a").unwrap().as_deref(), Some(b"2".as_slice()));
        assert_eq!(store.get(Table::State, b"b").unwrap(), None);
        let mut batch = Batch::new();
        batch.delete(Table::State, b"a".as_slice());
        batch.delete(Table::State, b"never there".as_slice());
        store.write(batch, Durability::Buffered).unwrap();
        assert_eq!(store.get(Table::State, b"a").unwrap(), None);
    });
}

#[test]
fn a_scan_is_ascending_bounded_and_starts_where_it_is_told() {
    on_both(|store| {
        let pairs: Vec<(Table, &[u8], &[u8])> = vec![
            (Table::State, b"b", b"2"),
            (Table::State, b"a", b"1"),
            (Table::State, b"a\0", b"x"),
            (Table::State, b"\xff", b"3"),
            (Table::Receipts, b"c", b"other table"),
        ];
        store.write(put(&pairs), Durability::Buffered).unwrap();
        let keys = |from: &[u8], limit| -> Vec<Vec<u8>> {
            store.scan(Table::State, from, limit).unwrap().into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(keys(b"", 10), vec![b"a".to_vec(), b"a\0".to_vec(), b"b".to_vec(), b"\xff".to_vec()]);
        assert_eq!(keys(b"a\0", 2), vec![b"a\0".to_vec(), b"b".to_vec()]);
        assert_eq!(keys(b"c", 10), vec![b"\xff".to_vec()]);
        assert_eq!(keys(b"", 0), Vec::<Vec<u8>>::new());
        assert_eq!(store.scan(Table::Meta, b"", 10).unwrap(), vec![]);
    });
}

#[test]
fn the_high_water_record_is_that_of_the_last_sync() {
    on_both(|store| {
        assert_eq!(store.high_water().unwrap(), None);
        store.sync(mark(3)).unwrap();
        store.sync(mark(4)).unwrap();
        assert_eq!(store.high_water().unwrap(), Some(mark(4)));
    });
}

#[test]
fn an_empty_batch_changes_nothing() {
    on_both(|store| {
        store.write(Batch::new(), Durability::Synced).unwrap();
        assert!(Table::ALL.iter().all(|table| store.scan(*table, b"", 1).unwrap().is_empty()));
    });
}

#[test]
fn after_a_power_failure_a_prefix_of_the_unsynced_batches_is_left() {
    let memory = Memory::new();
    let write = |key: &[u8], durability| memory.write(put(&[(Table::State, key, b"v")]), durability).unwrap();
    write(b"1", Durability::Buffered);
    write(b"2", Durability::Synced);
    write(b"3", Durability::Buffered);
    write(b"4", Durability::Buffered);
    assert_eq!(memory.unsynced(), 2);
    for kept in 0..=2 {
        let left = memory.after_crash(kept).scan(Table::State, b"", 10).unwrap().len();
        assert_eq!(left, 2 + kept);
    }
    memory.sync(mark(1)).unwrap();
    assert_eq!(memory.after_crash(0).scan(Table::State, b"", 10).unwrap().len(), 4);
}

#[test]
fn a_database_on_disk_holds_what_it_held_when_it_was_closed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("db");
    let store = Rocks::open(&path).unwrap();
    store.write(put(&[(Table::State, b"k", b"v")]), Durability::Buffered).unwrap();
    store.sync(mark(1)).unwrap();
    drop(store);
    let store = Rocks::open(&path).unwrap();
    assert_eq!(store.get(Table::State, b"k").unwrap().as_deref(), Some(b"v".as_slice()));
    assert_eq!(store.high_water().unwrap(), Some(mark(1)));
}

#[test]
fn a_database_is_open_once_at_a_time_and_says_so() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("db");
    let _first = Rocks::open(&path).unwrap();
    let Err(error) = Rocks::open(&path) else { panic!("opened twice") };
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(error.to_string().ends_with("is in use by another process"));
}

#[test]
fn a_damaged_high_water_record_is_refused_at_every_byte() {
    let folder = TempDir::new().unwrap();
    let store = Rocks::open(&folder.path().join("db")).unwrap();
    store.sync(mark(5)).unwrap();
    let path = folder.path().join("HIGHWATER");
    let good = fs::read(&path).unwrap();
    assert_eq!(good.len(), 72);
    let refused = || matches!(store.high_water(), Err(StoreError::HighWaterDamaged { .. }));
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert!(refused(), "byte {position}");
        fs::write(&path, &good[..position]).unwrap();
        assert!(refused(), "cut at {position}");
    }
    fs::write(&path, [good.as_slice(), &[0]].concat()).unwrap();
    assert!(refused());
}

/// The newest log of the database: the only one, as so little was written.
fn log_of(folder: &std::path::Path) -> std::path::PathBuf {
    let logs = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<_> =
        logs.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    logs.sort();
    logs.pop().unwrap()
}

/// Copies an open database, as a crash would leave it.
fn copy_of(database: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(database).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
fn a_rotten_log_is_refused_and_a_torn_end_is_not() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("db");
    let store = Rocks::open(&database).unwrap();
    for number in 0..200_u32 {
        let key = number.to_be_bytes();
        store.write(put(&[(Table::State, &key, &[1; 100])]), Durability::Synced).unwrap();
    }
    let (rotten, torn) = (folder.path().join("rotten"), folder.path().join("torn"));
    copy_of(&database, &rotten);
    copy_of(&database, &torn);
    drop(store);

    let mut log = fs::OpenOptions::new().write(true).open(log_of(&rotten)).unwrap();
    log.seek(SeekFrom::Start(5_000)).unwrap();
    log.write_all(&[0xff; 8]).unwrap();
    assert!(matches!(Rocks::open(&rotten), Err(StoreError::Engine { .. })));

    let log = fs::OpenOptions::new().write(true).open(log_of(&torn)).unwrap();
    let length = log.metadata().unwrap().len();
    log.set_len(length - 30).unwrap();
    let store = Rocks::open(&torn).unwrap();
    assert_eq!(store.scan(Table::State, b"", 1_000).unwrap().len(), 199);
}
