//! Where bytes are kept: ordered tables, written by atomic batches.
//!
//! [`Memory`] keeps them for tests and simulation and can lose power; [`Rocks`] keeps them on disk.
//! One suite of tests holds both to the same contract. [`schema`] names every table once.
pub mod memory;
pub mod rocks;
pub mod schema;

use quorate_primitives::{Hash, Height};
use std::ops::Range;
use std::path::PathBuf;

pub use memory::Memory;
pub use rocks::{EngineError, Rocks};
pub use schema::Table;

/// A key with its value, as a scan returns them.
pub type Pair = (Vec<u8>, Vec<u8>);

/// How safe a batch is when [`Store::write`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Survives the end of the process; a power failure may take it back, with all later batches.
    Buffered,
    /// Survives a power failure, and so do all earlier batches.
    Synced,
}

/// Changes that take effect together or not at all.
///
/// The last change of a key wins. Keys and values lie one after the other in one piece of memory: a block has
/// thousands of them.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    changes: Vec<Change>,
}

/// Where a key of a table and its new value lie in the bytes of a batch; a change without value removes.
#[derive(Clone, Debug)]
struct Change {
    table: Table,
    key: Range<usize>,
    value: Option<Range<usize>>,
}

impl Batch {
    /// No changes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No changes yet, and room for so many with so many bytes in all.
    pub(crate) fn with_capacity(changes: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), changes: Vec::with_capacity(changes) }
    }

    /// Sets a key.
    pub fn put(&mut self, table: Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.put_with(
            table,
            |bytes| bytes.extend_from_slice(key.as_ref()),
            |bytes| bytes.extend_from_slice(value.as_ref()),
        );
    }

    /// Sets a key; both append the key or the value to what they are given, and nothing else.
    pub(crate) fn put_with(
        &mut self,
        table: Table,
        key: impl FnOnce(&mut Vec<u8>),
        value: impl FnOnce(&mut Vec<u8>),
    ) {
        let key = self.append(key);
        let value = Some(self.append(value));
        self.changes.push(Change { table, key, value });
    }

    /// Removes a key, if it is there.
    pub fn delete(&mut self, table: Table, key: impl AsRef<[u8]>) {
        let key = self.append(|bytes| bytes.extend_from_slice(key.as_ref()));
        self.changes.push(Change { table, key, value: None });
    }

    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        let start = self.bytes.len();
        write(&mut self.bytes);
        start..self.bytes.len()
    }

    /// The changes as they were made: table, key, and new value or none.
    fn changes(&self) -> impl Iterator<Item = (Table, &[u8], Option<&[u8]>)> {
        let part = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        let change =
            move |change: &Change| (change.table, part(&change.key), change.value.as_ref().map(part));
        self.changes.iter().map(change)
    }
}

/// The last block known to be safe on disk, recorded apart from the data it is about.
///
/// A database cannot know that it lost its end; this can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HighWater {
    /// Height of the block.
    pub height: Height,
    /// Its id.
    pub block: Hash,
}

/// Ordered tables of bytes with atomic batches. Shared between one writer and many readers.
///
/// Once a write or a sync failed, nothing is known about what is on disk: the owner must stop, and
/// must not try again. Source: "Can applications recover from fsync failures?", USENIX ATC 2020.
pub trait Store: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StoreError`] when the medium fails.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Up to `limit` pairs in ascending order of keys, from `from` on.
    ///
    /// # Errors
    /// [`StoreError`] when the medium fails.
    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Pair>, StoreError>;

    /// Makes all changes of the batch, or none.
    ///
    /// # Errors
    /// [`StoreError`] when the medium fails; see the trait about what then remains to be done.
    fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError>;

    /// Makes everything written so far safe, then records that it is.
    ///
    /// # Errors
    /// [`StoreError`] when the medium fails; see the trait about what then remains to be done.
    fn sync(&self, mark: HighWater) -> Result<(), StoreError>;

    /// What the last completed [`Store::sync`] recorded.
    ///
    /// # Errors
    /// [`StoreError`] when the record is damaged or cannot be read.
    fn high_water(&self) -> Result<Option<HighWater>, StoreError>;
}

/// Why bytes could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process uses the database, or this one opened it twice.
    #[error("the database {path} is in use by another process")]
    Locked {
        /// Folder of the database.
        path: PathBuf,
    },
    /// The database engine reports a fault.
    #[error("database {path}: {source}")]
    Engine {
        /// Folder of the database.
        path: PathBuf,
        /// What the engine says.
        source: EngineError,
    },
    /// The operating system reports a fault.
    #[error("{path}: {source}")]
    File {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The high-water record does not match its checksum or has the wrong length.
    #[error("the high-water record {path} is damaged")]
    HighWaterDamaged {
        /// Which file.
        path: PathBuf,
    },
    /// A table without which the database cannot have been written by this software.
    #[error("the database has no table {table}")]
    TableMissing {
        /// Its name.
        table: &'static str,
    },
    /// A stored value is not what its table holds.
    #[error("table {table} holds a value that cannot be read: {reason}")]
    Corrupt {
        /// Name of the table.
        table: &'static str,
        /// What the decoder met.
        reason: String,
    },
}
