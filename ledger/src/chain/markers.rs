//! Markers on disk: the part of the state that comes and goes with every transaction.
//!
//! A marker is written once and goes some minutes later, so as a row of its own each would cost two changes
//! of the database. Instead those that a block leaves stand together in one row for each period in which
//! their transactions expire, and a row goes as a whole when the last period of its markers is over. Which
//! markers of the rows that are left are still in the state is told by when the first of them expires.
//!
//! That is enough, because no marker that is there expires before one that is gone. A block with time `t`
//! forgets the markers that expired before some time which is not after `t`. Its own transactions and those
//! of later blocks, whose times are later, are valid at `t` at least, so their markers expire later. Should
//! a marker still be given back that is none, or be lost, then the root of the state is not that of the
//! block, and the database is refused.
use borsh::BorshDeserialize;
use quorate_primitives::state::{Marker, StateKey};
use quorate_primitives::{Height, Timestamp, codec};
use std::collections::{BTreeMap, BTreeSet};

use super::corrupt;
use crate::execute::Executed;
use crate::store::schema::{META_MARKERS, PERIOD_MS, markers_key};
use crate::store::{Batch, Store, StoreError, Table};

/// A key of the state and its value.
type Entry = (StateKey, Vec<u8>);

/// Rows that are read at a time when a database is opened.
const PAGE: usize = 256;

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
            let Some(valid_until) = key.valid_until() else { continue };
            let row = rows.entry(Row::new(valid_until, executed.height())).or_default();
            codec::encode_into(key, row);
            row.extend_from_slice(value);
        }
        let mut change = Change { comes: rows.keys().copied().collect(), first: u64::MAX };
        for (row, markers) in rows {
            batch.put(Table::Markers, row.key(), markers);
        }
        match executed.state().first_marker() {
            Some(valid_until) => {
                change.first = Row::new(valid_until, Height::ZERO).period;
                batch.put(Table::Meta, META_MARKERS, valid_until.get().to_be_bytes());
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
        let mut from = Row::new(first, Height::ZERO).key().to_vec();
        loop {
            let page = store.scan(Table::Markers, &from, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok((Self(rows), entries)) };
            from.clone_from(last);
            from.push(0);
            for (key, value) in page {
                rows.insert(row_of(&key)?);
                let markers = markers_of(&value)?.into_iter();
                let alive = markers.filter(|(key, _)| key.valid_until() >= Some(first));
                entries.extend(alive.map(|(key, marker)| (key, codec::encode(&marker))));
            }
        }
    }
}

/// Until when the transaction of the first marker in the state was valid.
fn read_first(store: &dyn Store) -> Result<Option<Timestamp>, StoreError> {
    let Some(bytes) = store.get(Table::Meta, META_MARKERS)? else { return Ok(None) };
    let wrong = |_| corrupt(Table::Meta, "the end of the first marker is not 8 bytes");
    let valid_until: [u8; 8] = bytes.try_into().map_err(wrong)?;
    Ok(Some(Timestamp::new(u64::from_be_bytes(valid_until))))
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
