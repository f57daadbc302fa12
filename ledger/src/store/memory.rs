//! A store without a disk, which can lose power on purpose.
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Batch, Durability, HighWater, Pair, Store, StoreError, Table};

type Tables = BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>;

/// Tables in memory.
///
/// It remembers which batches were not synced, so that [`Memory::after_crash`] can show what a disk
/// might hold after a power failure.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    now: Tables,
    safe: Tables,
    unsynced: Vec<Batch>,
    high_water: Option<HighWater>,
}

impl Inner {
    fn settle(&mut self) {
        for batch in std::mem::take(&mut self.unsynced) {
            apply(&mut self.safe, &batch);
        }
    }
}

fn apply(tables: &mut Tables, batch: &Batch) {
    for (table, key, value) in batch.iter() {
        let entries = tables.entry(table).or_default();
        match value {
            Some(value) => drop(entries.insert(key.to_vec(), value.to_vec())),
            None => drop(entries.remove(key)),
        }
    }
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of batches that a power failure could take back.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.lock().unsynced.len()
    }

    /// What is there after a power failure that only the first `kept` unsynced batches survived.
    #[must_use]
    pub fn after_crash(&self, kept: usize) -> Self {
        let mut inner = self.lock().clone();
        inner.unsynced.truncate(kept);
        inner.settle();
        inner.now = inner.safe.clone();
        Self(Mutex::new(inner))
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
        let found = entries.range(from.to_vec()..).take(limit);
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        let mut inner = self.lock();
        apply(&mut inner.now, &batch);
        inner.unsynced.push(batch);
        if durability == Durability::Synced {
            inner.settle();
        }
        Ok(())
    }

    fn sync(&self, mark: HighWater) -> Result<(), StoreError> {
        let mut inner = self.lock();
        inner.settle();
        inner.high_water = Some(mark);
        Ok(())
    }

    fn high_water(&self) -> Result<Option<HighWater>, StoreError> {
        Ok(self.lock().high_water)
    }
}
