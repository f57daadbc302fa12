//! Markers on disk: the part of the state that comes and goes with every transaction.
//!
//! A marker is written once and goes some minutes later, so as a row of its own each would cost two changes
//! of the database. Instead those that a block leaves stand together in one row for each period in which
//! their transactions expire, and a row goes as a whole when none of its markers is left. Which markers of
//! the rows are still in the state is told by one time for each [`Slice`]: those of transactions that were
//! valid until before it were swept, and no others.
//!
//! These times are enough, because no marker comes that would have been swept: a block with time `t` sweeps
//! what expired before `t`, and its own transactions and those of later blocks, whose times are later, are
//! valid at `t` at least. Should a marker still be given back that is none, or be lost, then the root of the
//! state is not that of the block, and the database is refused.
use borsh::BorshDeserialize;
use quorate_primitives::state::{Marker, StateKey};
use quorate_primitives::{Height, Timestamp, codec};
use std::collections::{BTreeMap, BTreeSet};

use super::corrupt;
use crate::execute::Executed;
use crate::state::read;
use crate::state::slice::Slice;
use crate::store::schema::{PERIOD_MS, markers_key, swept_key};
use crate::store::{Batch, Store, StoreError, Table};

/// A key of the state and its value.
type Entry = (StateKey, Vec<u8>);

/// Rows that are read at a time when a database is opened.
const PAGE: usize = 256;

/// For each slice, until before when transactions were valid whose markers were swept from it.
#[derive(Clone, Debug)]
struct Swept([Timestamp; Slice::COUNT]);

impl Default for Swept {
    fn default() -> Self {
        Self([Timestamp::ZERO; Slice::COUNT])
    }
}

impl Swept {
    fn get(&self, slice: Slice) -> Timestamp {
        self.0.get(usize::from(slice.number())).copied().unwrap_or_default()
    }

    /// A time only grows: should markers be kept longer from now on, those that are gone stay so.
    fn raise(&mut self, slice: Slice, before: Timestamp) {
        if let Some(time) = self.0.get_mut(usize::from(slice.number())) {
            *time = before.max(*time);
        }
    }

    /// No marker of a transaction that was valid until before this is left in any slice.
    fn least(&self) -> Timestamp {
        self.0.iter().copied().min().unwrap_or_default()
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

/// The rows of the table of markers, and which of the markers in them are gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Markers {
    rows: BTreeSet<Row>,
    swept: Swept,
}

/// How a block changes them.
#[derive(Debug)]
pub(crate) struct Change {
    comes: Vec<Row>,
    swept: Swept,
}

impl Change {
    /// All rows of earlier periods go.
    fn first(&self) -> u64 {
        Row::new(self.swept.least(), Height::ZERO).period
    }
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
        let mut swept = self.swept.clone();
        if let Some(sweep) = executed.sweep() {
            swept.raise(sweep.slice, sweep.before);
            let before = swept.get(sweep.slice).get().to_be_bytes();
            batch.put(Table::Meta, swept_key(sweep.slice.number()), before);
        }
        let change = Change { comes: rows.keys().copied().collect(), swept };
        for (row, markers) in rows {
            batch.put(Table::Markers, row.key(), markers);
        }
        let first = change.first();
        for row in self.rows.iter().take_while(|row| row.period < first) {
            batch.delete(Table::Markers, row.key());
        }
        change
    }

    /// The rows after a change that is written.
    pub(crate) fn apply(&mut self, change: Change) {
        let first = change.first();
        while self.rows.first().is_some_and(|row| row.period < first) {
            self.rows.pop_first();
        }
        self.rows.extend(change.comes);
        self.swept = change.swept;
    }

    /// Reads all rows, and the markers that are in the state after the head.
    pub(crate) fn load(store: &dyn Store) -> Result<(Self, Vec<Entry>), StoreError> {
        let mut found = Self { rows: BTreeSet::new(), swept: read_swept(store)? };
        let mut entries = Vec::new();
        // What is deleted before it may still take time to be passed over.
        let mut from = Row::new(found.swept.least(), Height::ZERO).key().to_vec();
        loop {
            let page = store.scan(Table::Markers, &from, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok((found, entries)) };
            from.clone_from(last);
            from.push(0);
            for (key, value) in page {
                found.rows.insert(row_of(&key)?);
                entries.extend(found.alive(markers_of(&value)?));
            }
        }
    }

    /// Those of a row's markers that were not swept.
    fn alive(&self, markers: Vec<(StateKey, Marker)>) -> impl Iterator<Item = Entry> {
        let (keys, markers): (Vec<StateKey>, Vec<Marker>) = markers.into_iter().unzip();
        let paths = StateKey::paths(&keys);
        let is_left = |path, marker: &Marker| marker.valid_until >= self.swept.get(Slice::of_path(path));
        let left: Vec<bool> =
            paths.iter().zip(&markers).map(|(path, marker)| is_left(path, marker)).collect();
        let all = keys.into_iter().zip(markers).zip(left).filter(|(_, is_left)| *is_left);
        all.map(|((key, marker), _)| (key, codec::encode(&marker)))
    }
}

/// Whether a value of the state is kept here and not in the table of the state.
pub(crate) fn is_marker(key: &StateKey) -> bool {
    matches!(key, StateKey::Nonce(..) | StateKey::Unauthorised(_))
}

fn read_swept(store: &dyn Store) -> Result<Swept, StoreError> {
    let mut swept = Swept::default();
    for slice in Slice::all() {
        let Some(bytes) = store.get(Table::Meta, &swept_key(slice.number()))? else { continue };
        let wrong = |_| corrupt(Table::Meta, "the time of a sweep is not 8 bytes");
        let before: [u8; 8] = bytes.as_slice().try_into().map_err(wrong)?;
        swept.raise(slice, Timestamp::new(u64::from_be_bytes(before)));
    }
    Ok(swept)
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
