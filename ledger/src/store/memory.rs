//! A store without a disk, which can lose power, fail and forget on purpose.
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Batch, Durability, HighWater, Pair, Store, StoreError, Table};

type Tables = BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>;
/// What the keys of a batch held before each of its changes, in their order.
type Undo = Vec<(Table, Vec<u8>, Option<Vec<u8>>)>;

/// Tables in memory.
///
/// It remembers what the batches that were not synced replaced, so that [`Memory::after_crash`] can show
/// what a disk might hold after a power failure, and [`Memory::plan`] lets a coming write or sync fail.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Inner>);

/// What happens to the write or sync that meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Writes and syncs that still succeed.
    pub after: u64,
    /// Whether it is reported as a failure, or ends everything.
    pub kind: TroubleKind,
    /// How far it gets.
    pub progress: Progress,
}

/// How trouble shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// The call fails.
    Failure,
    /// The machine ends: the call fails, and so does every later one until [`Memory::restart`].
    Crash,
}

/// How far a write or sync gets that meets trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing was done.
    Nothing,
    /// A write was done; a sync made the batches safe, but did not record that it did.
    Half,
    /// All was done, and yet it fails.
    All,
}

#[derive(Clone, Debug, Default)]
struct Inner {
    now: Tables,
    /// For each batch what it replaced, the latest last; the last `unsynced` of them are not safe.
    undo: VecDeque<Undo>,
    unsynced: usize,
    /// Synced batches that can be taken back.
    history_max: usize,
    high_water: Option<HighWater>,
    calls: u64,
    trouble: Option<Trouble>,
    is_broken: bool,
}

impl Inner {
    fn settle(&mut self) {
        self.unsynced = 0;
        while self.undo.len() > self.history_max {
            self.undo.pop_front();
        }
    }

    fn apply(&mut self, batch: &Batch) {
        let mut undo = Vec::new();
        for (table, key, value) in batch.changes() {
            let entries = self.now.entry(table).or_default();
            let before = match value {
                Some(value) => entries.insert(key.to_vec(), value.to_vec()),
                None => entries.remove(key),
            };
            undo.push((table, key.to_vec(), before));
        }
        self.undo.push_back(undo);
        self.unsynced = self.unsynced.saturating_add(1);
    }

    /// Takes back the latest batches, synced or not.
    fn rewind(&mut self, batches: usize) {
        for _ in 0..batches {
            let Some(undo) = self.undo.pop_back() else { break };
            self.unsynced = self.unsynced.saturating_sub(1);
            // A batch may change a key twice.
            for (table, key, before) in undo.into_iter().rev() {
                let entries = self.now.entry(table).or_default();
                match before {
                    Some(value) => drop(entries.insert(key, value)),
                    None => drop(entries.remove(&key)),
                }
            }
        }
    }

    /// Counts a call; the trouble that it meets.
    fn call(&mut self) -> Result<Option<Trouble>, StoreError> {
        if self.is_broken {
            return Err(failure("the machine has ended"));
        }
        self.calls = self.calls.saturating_add(1);
        let Some(trouble) = self.trouble.as_mut() else { return Ok(None) };
        if trouble.after > 0 {
            trouble.after = trouble.after.saturating_sub(1);
            return Ok(None);
        }
        let trouble = self.trouble.take();
        self.is_broken = trouble.is_some_and(|trouble| trouble.kind == TroubleKind::Crash);
        Ok(trouble)
    }
}

fn failure(reason: &str) -> StoreError {
    StoreError::File { path: PathBuf::from("memory"), source: io::Error::other(reason) }
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store of which so many of the latest synced batches can be taken back.
    #[must_use]
    pub fn with_history(batches: usize) -> Self {
        Self(Mutex::new(Inner { history_max: batches, ..Inner::default() }))
    }

    /// Number of batches that a power failure could take back.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.lock().unsynced
    }

    /// Number of batches that [`Memory::rewind`] could take back.
    #[must_use]
    pub fn history(&self) -> usize {
        self.lock().undo.len()
    }

    /// Writes and syncs so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Has a coming write or sync meet trouble, in place of any that was planned.
    pub fn plan(&self, trouble: Option<Trouble>) {
        self.lock().trouble = trouble;
    }

    /// Whether planned trouble has ended the machine.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.lock().is_broken
    }

    /// The machine starts again after a power failure that only the first `kept` unsynced batches
    /// survived; all of them if there are no more. Planned trouble is forgotten.
    pub fn restart(&self, kept: usize) {
        let mut inner = self.lock();
        let lost = inner.unsynced.saturating_sub(kept);
        inner.rewind(lost);
        inner.settle();
        inner.trouble = None;
        inner.is_broken = false;
    }

    /// Takes back the latest batches although they were synced, and leaves the high-water record as it
    /// is: what a database shows that lost the end of its log.
    pub fn rewind(&self, batches: usize) {
        self.lock().rewind(batches);
    }

    /// Forgets everything, the high-water record included: an empty folder.
    pub fn wipe(&self) {
        let mut inner = self.lock();
        *inner = Inner { history_max: inner.history_max, calls: inner.calls, ..Inner::default() };
    }

    /// What is there after a power failure that only the first `kept` unsynced batches survived.
    #[must_use]
    pub fn after_crash(&self, kept: usize) -> Self {
        let left = self.backup();
        left.restart(kept);
        left
    }

    /// A copy of the data, as a backup of the folder would be, under the high-water record of this
    /// store: what an operator gets who restores old data.
    #[must_use]
    pub fn rolled_back_to(&self, backup: &Memory) -> Self {
        let mut inner = backup.lock().clone();
        inner.high_water = self.lock().high_water;
        Self(Mutex::new(inner))
    }

    /// A copy of everything.
    #[must_use]
    pub fn backup(&self) -> Self {
        Self(Mutex::new(self.lock().clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere cannot leave a batch half applied: every critical section is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().now.get(&table).and_then(|entries| entries.get(key)).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Pair>, StoreError> {
        let inner = self.lock();
        let Some(entries) = inner.now.get(&table) else { return Ok(Vec::new()) };
        let found = entries.range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Unbounded));
        Ok(found.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let trouble = inner.call()?;
        let progress = trouble.map_or(Progress::All, |trouble| trouble.progress);
        if progress != Progress::Nothing {
            inner.apply(&batch);
        }
        if progress == Progress::All && durability == Durability::Synced {
            inner.settle();
        }
        if trouble.is_some() { Err(failure("a write failed on purpose")) } else { Ok(()) }
    }

    fn sync(&self, mark: HighWater) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let trouble = inner.call()?;
        let progress = trouble.map_or(Progress::All, |trouble| trouble.progress);
        if progress != Progress::Nothing {
            inner.settle();
        }
        if progress == Progress::All {
            inner.high_water = Some(mark);
        }
        if trouble.is_some() { Err(failure("a sync failed on purpose")) } else { Ok(()) }
    }

    fn high_water(&self) -> Result<Option<HighWater>, StoreError> {
        Ok(self.lock().high_water)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_primitives::{Hash, Height};

    fn put(store: &Memory, key: &[u8], durability: Durability) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put(Table::State, key, b"v".as_slice());
        store.write(batch, durability)
    }

    fn keys(store: &Memory) -> Vec<Vec<u8>> {
        store.scan(Table::State, b"", 100).unwrap().into_iter().map(|(key, _)| key).collect()
    }

    fn mark(height: u64) -> HighWater {
        HighWater { height: Height::new(height), block: Hash::ZERO }
    }

    #[test]
    fn a_restart_keeps_a_prefix_of_the_unsynced_batches() {
        for kept in 0..=3 {
            let store = Memory::new();
            put(&store, b"0", Durability::Synced).unwrap();
            for key in [b"1", b"2", b"3"] {
                put(&store, key, Durability::Buffered).unwrap();
            }
            store.restart(kept);
            assert_eq!(keys(&store).len(), 1 + kept);
            assert_eq!(store.unsynced(), 0);
        }
    }

    #[test]
    fn a_batch_that_changes_a_key_twice_is_taken_back_as_a_whole() {
        let store = Memory::new();
        put(&store, b"k", Durability::Synced).unwrap();
        let mut batch = Batch::new();
        batch.put(Table::State, b"k", b"w");
        batch.delete(Table::State, b"k");
        batch.put(Table::State, b"k", b"x");
        store.write(batch, Durability::Buffered).unwrap();
        assert_eq!(store.get(Table::State, b"k").unwrap(), Some(b"x".to_vec()));
        store.restart(0);
        assert_eq!(store.get(Table::State, b"k").unwrap(), Some(b"v".to_vec()));
    }

    #[test]
    fn synced_batches_can_be_taken_back_as_far_as_the_history_reaches_and_the_mark_stays() {
        let store = Memory::with_history(2);
        for key in [b"1", b"2", b"3"] {
            put(&store, key, Durability::Synced).unwrap();
        }
        store.sync(mark(3)).unwrap();
        assert_eq!(store.history(), 2);
        store.rewind(5);
        assert_eq!(keys(&store), [b"1".to_vec()]);
        assert_eq!(store.high_water().unwrap(), Some(mark(3)));
    }

    #[test]
    fn trouble_meets_the_planned_call_and_no_other() {
        let store = Memory::new();
        store.plan(Some(Trouble { after: 1, kind: TroubleKind::Failure, progress: Progress::Nothing }));
        put(&store, b"1", Durability::Buffered).unwrap();
        assert!(put(&store, b"2", Durability::Buffered).is_err());
        put(&store, b"3", Durability::Buffered).unwrap();
        assert_eq!(keys(&store), [b"1".to_vec(), b"3".to_vec()]);
        assert_eq!((store.calls(), store.is_broken()), (3, false));
    }

    #[test]
    fn after_a_crash_nothing_can_be_written_until_the_restart() {
        let store = Memory::new();
        store.plan(Some(Trouble { after: 0, kind: TroubleKind::Crash, progress: Progress::Half }));
        assert!(put(&store, b"1", Durability::Synced).is_err());
        assert!(store.is_broken() && store.sync(mark(1)).is_err());
        store.restart(usize::MAX);
        assert_eq!(keys(&store), [b"1".to_vec()]);
        put(&store, b"2", Durability::Synced).unwrap();
    }

    #[test]
    fn a_sync_that_crashes_half_way_made_the_data_safe_but_not_the_mark() {
        let store = Memory::new();
        put(&store, b"1", Durability::Buffered).unwrap();
        store.plan(Some(Trouble { after: 0, kind: TroubleKind::Crash, progress: Progress::Half }));
        assert!(store.sync(mark(1)).is_err());
        store.restart(0);
        assert_eq!(keys(&store), [b"1".to_vec()]);
        assert_eq!(store.high_water().unwrap(), None);
    }

    #[test]
    fn a_wiped_store_is_empty() {
        let store = Memory::new();
        put(&store, b"1", Durability::Synced).unwrap();
        store.sync(mark(1)).unwrap();
        store.wipe();
        assert!(keys(&store).is_empty());
        assert_eq!(store.high_water().unwrap(), None);
    }
}
