//! The store on disk: RocksDB, one column family for each table. The only file that knows RocksDB.
//!
//! RocksDB's usual recovery gives up silently at the first damaged record of its log and forgets what
//! was synced after it, so the open mode here accepts a torn end and nothing else. A log that is gone
//! altogether is accepted by every mode: therefore the high-water record, a file outside the database
//! that says how far the data must reach. Source: RocksDB pull request 6963.
use quorate_primitives::hash::{Domain, hash};
use quorate_primitives::{Hash, Height};
use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, Direction, ErrorKind, IteratorMode, MemtableFactory, Options, ReadOptions,
    SliceTransform, WriteBatch, WriteOptions,
};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the database engine says when it fails.
pub use rocksdb::Error as EngineError;

use super::{Batch, Durability, HighWater, Pair, Store, StoreError, Table};

/// Name of the high-water record, in the folder that holds the database's folder.
pub const HIGH_WATER_FILE: &str = "HIGHWATER";
/// Memory for blocks read from disk, in bytes. State is in memory anyway; this serves old blocks.
const CACHE_BYTES: usize = 64 * 1024 * 1024;
/// Memory for one table's newest writes before they go to disk sorted, in bytes.
const WRITE_BUFFER_BYTES: usize = 32 * 1024 * 1024;
/// Memory for the newest writes of all tables, in bytes: the oldest buffer is written out before there is more.
const WRITE_BUFFERS_BYTES: usize = 64 * 1024 * 1024;
/// Log after which the tables that hold it back are written out, in bytes: bounds the time to open.
const LOG_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Files of a table, written one after the other, that are joined when there are so many: what is written again
/// and again is rewritten less often, and what is looked up is asked for in few files by their filters.
const FILES_BEFORE_COMPACTION: i32 = 8;
/// Places by which the newest transaction ids are looked up: a few for each of them, 8 bytes of memory for one.
const POSITION_BUCKETS: usize = 65_536;
/// What a change takes in a batch beside its key and value, at most: tags and lengths.
const CHANGE_BYTES: usize = 16;

/// Tables on disk. One process at a time may open a database.
pub struct Rocks {
    database: DB,
    path: PathBuf,
    mark: PathBuf,
}

impl Rocks {
    /// Opens or creates the database in this folder. The high-water record lies beside the folder.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when it is open already; [`StoreError::Engine`] when it is damaged: then
    /// it must be rebuilt from other nodes, not repaired; [`StoreError::File`] for the folder itself.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let path =
            path.canonicalize().map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let cache = Cache::new_lru_cache(CACHE_BYTES);
        let database = match open_with(&database_options(), &path, &cache) {
            Err(error) if is_direct_io_refused(&error) => {
                let mut options = database_options();
                options.set_use_direct_io_for_flush_and_compaction(false);
                open_with(&options, &path, &cache)
            }
            opened => opened,
        };
        let database = database.map_err(|source| open_error(&path, source))?;
        let mark = path.parent().unwrap_or(&path).join(HIGH_WATER_FILE);
        Ok(Self { database, path, mark })
    }

    fn family(&self, table: Table) -> Result<Arc<BoundColumnFamily<'_>>, StoreError> {
        let missing = StoreError::TableMissing { table: table.name() };
        self.database.cf_handle(table.name()).ok_or(missing)
    }

    fn engine(&self, source: EngineError) -> StoreError {
        StoreError::Engine { path: self.path.clone(), source }
    }

    fn write_mark(&self, mark: HighWater) -> io::Result<()> {
        // A new file under a temporary name, then renamed: a power failure leaves the old or the new.
        let draft = self.mark.with_extension("new");
        let mut file = File::create(&draft)?;
        file.write_all(&encode_mark(mark))?;
        file.sync_all()?;
        fs::rename(&draft, &self.mark)?;
        let folder = self.mark.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

fn open_with(options: &Options, path: &Path, cache: &Cache) -> Result<DB, EngineError> {
    let names = table_names(options, path);
    let families = names.iter().map(|name| ColumnFamilyDescriptor::new(name, table_options(name, cache)));
    DB::open_cf_descriptors(options, path, families)
}

/// Whether the file system cannot write past the memory of the operating system.
fn is_direct_io_refused(error: &EngineError) -> bool {
    // Asked by RocksDB when a database is opened, of a file in it.
    error.kind() == ErrorKind::InvalidArgument && error.to_string().contains("Direct I/O is not supported")
}

/// Our tables and whatever else is there: RocksDB opens all or nothing, and a database of another
/// format must open for its version to be read.
fn table_names(options: &Options, path: &Path) -> BTreeSet<String> {
    // Fails for a folder without a database, which is how each begins.
    let found = DB::list_cf(options, path).unwrap_or_default();
    Table::ALL.iter().map(|table| table.name().to_owned()).chain(found).collect()
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_max_total_wal_size(LOG_BYTES_MAX);
    options.set_db_write_buffer_size(WRITE_BUFFERS_BYTES);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(4);
    // Needed by the buffers that are not sorted; there is one writer.
    options.set_allow_concurrent_memtable_write(false);
    // What is written out is seldom read again soon, and what is has its own cache: nothing is won by having
    // the operating system keep a copy, which costs more than the writing.
    options.set_use_direct_io_for_flush_and_compaction(true);
    options
}

fn table_options(name: &str, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    let mut options = Options::default();
    // Hashes, keys and signatures do not get shorter, and what repeats in receipts is left out before.
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_level_zero_file_num_compaction_trigger(FILES_BEFORE_COMPACTION);
    options.set_paranoid_checks(true);
    // The state is written all the time and read once, when the database is opened and nothing is in the
    // buffer yet: sorted when it is full, not at every write.
    if name == Table::State.name() {
        options.set_memtable_factory(MemtableFactory::Vector);
    }
    // Transaction ids come in no order and are only looked up: found at once, and sorted when the buffer is
    // full.
    if name == Table::Positions.name() {
        options.set_prefix_extractor(SliceTransform::create_noop());
        options.set_memtable_factory(MemtableFactory::HashLinkList { bucket_count: POSITION_BUCKETS });
    }
    // Elsewhere what is asked for is there.
    if [Table::Positions, Table::Heights].iter().any(|table| table.name() == name) {
        blocks.set_bloom_filter(10.0, false);
    }
    options.set_block_based_table_factory(&blocks);
    options
}

fn open_error(path: &Path, source: EngineError) -> StoreError {
    // RocksDB has no error kind for it: the lock is an input/output fault with this text.
    let text = source.to_string();
    let locked = text.contains("lock hold by current process") || text.contains("While lock file");
    if source.kind() == ErrorKind::IOError && locked {
        StoreError::Locked { path: path.to_owned() }
    } else {
        StoreError::Engine { path: path.to_owned(), source }
    }
}

/// Height (8, big endian) ‖ block (32) ‖ `hash(high water, the first 40 bytes)`.
fn encode_mark(mark: HighWater) -> Vec<u8> {
    let height = mark.height.get().to_be_bytes();
    let checksum = hash(Domain::HighWater, &[&height, mark.block.as_bytes()]);
    [height.as_slice(), mark.block.as_bytes(), checksum.as_bytes()].concat()
}

fn decode_mark(bytes: &[u8]) -> Option<HighWater> {
    let (height, rest) = bytes.split_first_chunk::<8>()?;
    let (block, _) = rest.split_first_chunk::<32>()?;
    let mark =
        HighWater { height: Height::new(u64::from_be_bytes(*height)), block: Hash::from_bytes(*block) };
    (encode_mark(mark) == bytes).then_some(mark)
}

impl Store for Rocks {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.database.get_cf(&self.family(table)?, key).map_err(|source| self.engine(source))
    }

    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Pair>, StoreError> {
        let mode = IteratorMode::From(from, Direction::Forward);
        let mut options = ReadOptions::default();
        // Tables that are only looked up come in order, too.
        options.set_total_order_seek(true);
        let pairs = self.database.iterator_cf_opt(&self.family(table)?, options, mode).take(limit);
        let mut found = Vec::new();
        for pair in pairs {
            let (key, value) = pair.map_err(|source| self.engine(source))?;
            found.push((key.into_vec(), value.into_vec()));
        }
        Ok(found)
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        let capacity = batch.changes.len().saturating_mul(CHANGE_BYTES).saturating_add(batch.bytes.len());
        let mut changes = WriteBatch::with_capacity_bytes(capacity);
        let mut last = None;
        for (table, key, value) in batch.changes() {
            // Looked up by its name each time, and changes of one table follow each other.
            let family = match last.take() {
                Some((same, family)) if same == table => family,
                Some(_) | None => self.family(table)?,
            };
            match value {
                Some(value) => changes.put_cf(&family, key, value),
                None => changes.delete_cf(&family, key),
            }
            last = Some((table, family));
        }
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Synced);
        self.database.write_opt(changes, &options).map_err(|source| self.engine(source))
    }

    fn sync(&self, mark: HighWater) -> Result<(), StoreError> {
        self.database.flush_wal(true).map_err(|source| self.engine(source))?;
        self.write_mark(mark).map_err(|source| StoreError::File { path: self.mark.clone(), source })
    }

    fn high_water(&self) -> Result<Option<HighWater>, StoreError> {
        let file = match File::open(&self.mark) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::File { path: self.mark.clone(), source }),
        };
        let mut bytes = Vec::new();
        // One byte more than a record has, so that a longer file is seen to be wrong.
        file.take(73)
            .read_to_end(&mut bytes)
            .map_err(|source| StoreError::File { path: self.mark.clone(), source })?;
        let damaged = || StoreError::HighWaterDamaged { path: self.mark.clone() };
        decode_mark(&bytes).map(Some).ok_or_else(damaged)
    }
}
