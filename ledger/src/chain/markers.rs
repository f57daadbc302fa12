//! Markers on disk: the part of the state that comes and goes with every transaction.
//!
//! A marker is written once and goes some minutes later, so as a row of its own each would cost two changes
//! of the database. Instead those that a block leaves stand together in one row for each period in which
//! their transactions expire, and a row goes as a whole when the last period of its markers is over. Which
//! markers of the rows that are left are still in the state is told by the first of them, in the order in
//! which markers are swept: by the end of validity, then by the second half of the path, then by the first.
//!
//! That first one is enough, because no marker comes before one that was swept. A block with time `t` sweeps
//! the beginning of that order, and of it only what expired before `t`. Its own transactions and those of
//! later blocks, whose times are later, are valid at `t` at least, so their markers stand behind. Should a
//! marker still be given back that is none, or be lost, then the root of the state is not that of the block,
//! and the database is refused.
use borsh::BorshDeserialize;
use quorate_primitives::state::{Marker, Path, StateKey};
use quorate_primitives::{Height, Timestamp, codec};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::corrupt;
use crate::execute::Executed;
use crate::state::read;
use crate::store::schema::{META_MARKERS, PERIOD_MS, markers_key};
use crate::store::{Batch, Store, StoreError, Table};

/// A key of the state and its value.
type Entry = (StateKey, Vec<u8>);

/// Rows that are read at a time when a database is opened.
const PAGE: usize = 256;

/// The first marker that is in the state.
struct First {
    valid_until: Timestamp,
    path: Path,
}

/// Whether a marker was swept before this one.
fn is_before(valid_until: Timestamp, key: &StateKey, first: &First) -> bool {
    let turned = |path: &Path| {
        let (group, item) = path.halves();
        (*item, *group)
    };
    match valid_until.cmp(&first.valid_until) {
        Ordering::Less => true,
        Ordering::Equal => turned(&key.path()) < turned(&first.path),
        Ordering::Greater => false,
    }
}

/// Name of a row: the period in which its markers' transactions expire, and the block that left them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    period: u64,
    height: Height,
}

impl Row {
    fn new(valid_until: Timestamp, height: Height) -> Self {
        Self { period: valid_until.get().checked_div(PERIOD_MS).unwrap_or_default(), height }
    }

    fn key(self) -> [u8; 16] {
        markers_key(self.period, self.height)
    }
}

/// The rows of the table of markers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Markers(BTreeSet<Row>);

/// How a block changes them.
#[derive(Debug, Default)]
pub(crate) struct Change {
    comes: Vec<Row>,
    /// All rows of earlier periods go.
    first: u64,
}

impl Markers {
    /// Puts the markers that a block leaves into a batch, and takes out the rows of which none is left. To be
    /// [made known](Self::apply) when the batch is written.
    pub(crate) fn change(&self, batch: &mut Batch, executed: &Executed) -> Change {
        let mut rows: BTreeMap<Row, Vec<u8>> = BTreeMap::new();
        for write in executed.writes() {
            let (key, Some(value)) = (write.key(), write.value()) else { continue };
            if !is_marker(key) {
                continue;
            }
            let Some(marker) = read::<Marker>(value) else { continue };
            let row = rows.entry(Row::new(marker.valid_until, executed.height())).or_default();
            codec::encode_into(key, row);
            row.extend_from_slice(value);
        }
        let mut change = Change { comes: rows.keys().copied().collect(), first: u64::MAX };
        for (row, markers) in rows {
            batch.put(Table::Markers, row.key(), markers);
        }
        match executed.state().markers_by_expiry().next() {
            Some((valid_until, key)) => {
                change.first = Row::new(valid_until, Height::ZERO).period;
                let value = [valid_until.get().to_be_bytes().as_slice(), key.path().as_bytes()].concat();
                batch.put(Table::Meta, META_MARKERS, value);
            }
            None => batch.delete(Table::Meta, META_MARKERS),
        }
        for row in self.0.iter().take_while(|row| row.period < change.first) {
            batch.delete(Table::Markers, row.key());
        }
        change
    }

    /// The rows after a change that is written.
    pub(crate) fn apply(&mut self, change: Change) {
        while self.0.first().is_some_and(|row| row.period < change.first) {
            self.0.pop_first();
        }
        self.0.extend(change.comes);
    }

    /// Reads all rows, and the markers that are in the state after the head.
    pub(crate) fn load(store: &dyn Store) -> Result<(Self, Vec<Entry>), StoreError> {
        let (mut rows, mut entries) = (BTreeSet::new(), Vec::new());
        let Some(first) = read_first(store)? else { return Ok((Self::default(), entries)) };
        // What is deleted before it may still take time to be passed over.
        let mut from = Row::new(first.valid_until, Height::ZERO).key().to_vec();
        loop {
            let page = store.scan(Table::Markers, &from, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok((Self(rows), entries)) };
            from.clone_from(last);
            from.push(0);
            for (key, value) in page {
                rows.insert(row_of(&key)?);
                let markers = markers_of(&value)?.into_iter();
                let alive = markers.filter(|(key, marker)| !is_before(marker.valid_until, key, &first));
                entries.extend(alive.map(|(key, marker)| (key, codec::encode(&marker))));
            }
        }
    }
}

/// Whether a value of the state is kept here and not in the table of the state.
pub(crate) fn is_marker(key: &StateKey) -> bool {
    matches!(key, StateKey::Nonce(..) | StateKey::Unauthorised(_))
}

fn read_first(store: &dyn Store) -> Result<Option<First>, StoreError> {
    let Some(bytes) = store.get(Table::Meta, META_MARKERS)? else { return Ok(None) };
    let wrong = || corrupt(Table::Meta, "the first marker is not 72 bytes");
    let (valid_until, path) = bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
    let path: [u8; 64] = path.try_into().map_err(|_| wrong())?;
    let valid_until = Timestamp::new(u64::from_be_bytes(*valid_until));
    Ok(Some(First { valid_until, path: Path::from_bytes(path) }))
}

fn row_of(key: &[u8]) -> Result<Row, StoreError> {
    let wrong = || corrupt(Table::Markers, "a key is not 16 bytes");
    let (period, height) = key.split_first_chunk::<8>().ok_or_else(wrong)?;
    let height: [u8; 8] = height.try_into().map_err(|_| wrong())?;
    Ok(Row { period: u64::from_be_bytes(*period), height: Height::new(u64::from_be_bytes(height)) })
}

/// The markers of a row: key and value of each, one after the other.
fn markers_of(mut row: &[u8]) -> Result<Vec<(StateKey, Marker)>, StoreError> {
    let mut markers = Vec::new();
    while !row.is_empty() {
        let marker = BorshDeserialize::deserialize(&mut row);
        markers.push(marker.map_err(|error| corrupt(Table::Markers, &error.to_string()))?);
    }
    Ok(markers)
}
