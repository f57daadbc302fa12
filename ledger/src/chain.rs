//! What is kept of every block, and how it is read again.
//!
//! A committed block never changes, so a [`Reader`] needs no lock against the one writer: whatever it
//! finds is complete.
pub(crate) mod history;
pub(crate) mod markers;
mod packed;
pub mod reader;

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_primitives::block::{Header, Outcome, Payload, history_leaf};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::Certificate;
use quorate_primitives::codec;
use quorate_primitives::receipt::Receipt;
use quorate_primitives::signed::Verified;
use quorate_primitives::state::StateKey;
use quorate_primitives::{Hash, Height};

use self::markers::is_marker;
use crate::execute::Executed;
use crate::store::schema::{self, META_CHAIN, META_FORMAT, META_HEAD, RECEIPTS_PAGE_BYTES};
use crate::store::{Batch, Store, StoreError, Table};

pub use reader::Reader;

/// A committed block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// What validators voted on.
    pub header: Header,
    /// What it did.
    pub outcome: Outcome,
    /// Its own finalize certificate; blocks that were finalized by a later one have none.
    pub certificate: Option<Certificate>,
    /// Ids of its bundles in order.
    pub payload: Payload,
}

/// Where a transaction was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Position {
    /// In which block.
    pub height: Height,
    /// Position of its receipt in the block's list.
    pub index: u32,
    /// Position of its bundle in the block.
    pub bundle: u16,
    /// Position within the bundle.
    pub offset: u16,
}

/// The last block that a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) height: Height,
    pub(crate) block: Hash,
    pub(crate) outcome: Hash,
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(crate) struct BlockRecord {
    pub(crate) header: Header,
    pub(crate) outcome: Outcome,
    pub(crate) payload: Payload,
}

/// Most zeros that are left out at the end of a value: their number takes one byte.
const ZEROS_MAX: usize = 255;
/// Changes in the batch of a block beside those of its transactions and of the state.
const CHANGES_BESIDE: usize = 256;
/// Room in the batch of a block for all that the others do not count, in bytes.
const BESIDE_BYTES: usize = 16 * 1024;
/// Room for the receipt of a transfer, its leaf and its position, in bytes.
const RECEIPT_ROOM_BYTES: usize = 512;
/// Room for a change of the state, in bytes.
const WRITE_ROOM_BYTES: usize = 120;

/// Everything that the genesis puts into an empty database.
pub(crate) fn genesis_batch(head: &Executed, state: &[(StateKey, Vec<u8>)]) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in state {
        put_value(&mut batch, key, value);
    }
    batch.put(Table::Meta, META_FORMAT, schema::FORMAT.to_le_bytes());
    batch.put(Table::Meta, META_CHAIN, head.state().chain().as_bytes());
    put_head(&mut batch, head);
    // The outcome of height 0 has no block to stand beside.
    batch.put(Table::Blocks, schema::height_key(Height::ZERO), codec::encode(head.outcome()));
    batch
}

/// Everything that one block adds and changes, but for its markers.
pub(crate) fn block_batch(
    header: &Header,
    executed: &Executed,
    bundles: &[Verified<Bundle>],
    certificate: Option<&Certificate>,
) -> Batch {
    let mut batch = room(executed, bundles);
    let height = executed.height();
    let key = schema::height_key(height);
    let payload = payload_of(bundles);
    let record = BlockRecord { header: header.clone(), outcome: *executed.outcome(), payload };
    batch.put(Table::Blocks, key, codec::encode(&record));
    batch.put(Table::Heights, executed.block().as_bytes(), key);
    for (place, bundle) in (0_u16..).zip(bundles) {
        let write = |bytes: &mut Vec<u8>| codec::encode_into(&**bundle, bytes);
        batch.put_with(Table::Bundles, |name| name.extend(schema::bundle_key(height, place)), write);
    }
    if let Some(certificate) = certificate {
        batch.put(Table::Certificates, key, codec::encode(certificate));
    }
    let leaves = |bytes: &mut Vec<u8>| {
        executed.receipt_leaves().iter().for_each(|leaf| bytes.extend_from_slice(leaf.as_bytes()));
    };
    batch.put_with(Table::ReceiptLeaves, |name| name.extend(key), leaves);
    put_receipts(&mut batch, executed);
    put_positions(&mut batch, executed);
    for subtree in executed.history().append(leaf(executed)).1 {
        let key = schema::history_key(subtree.level, subtree.index);
        batch.put(Table::History, key, subtree.top.as_bytes());
    }
    for write in executed.writes() {
        match write.value() {
            _ if is_marker(write.key()) => {}
            Some(value) => put_value(&mut batch, write.key(), value),
            None => batch.delete(Table::State, codec::encode(write.key())),
        }
    }
    put_head(&mut batch, executed);
    batch
}

/// A batch with about the room that a block of transfers needs, markers included.
fn room(executed: &Executed, bundles: &[Verified<Bundle>]) -> Batch {
    let receipts = executed.receipts().len();
    let payload = bundles.iter().map(|bundle| bundle.size()).fold(0, usize::saturating_add);
    let changes = receipts.saturating_add(executed.writes().len()).saturating_add(CHANGES_BESIDE);
    let bytes = receipts.saturating_mul(RECEIPT_ROOM_BYTES).saturating_add(payload);
    let state = executed.writes().len().saturating_mul(WRITE_ROOM_BYTES);
    Batch::with_capacity(changes, bytes.saturating_add(state).saturating_add(BESIDE_BYTES))
}

/// A value of the state, without the zeros at its end and with their number: most values end with the high
/// digits of numbers that are small.
fn put_value(batch: &mut Batch, key: &StateKey, value: &[u8]) {
    let zeros = value.iter().rev().take(ZEROS_MAX).take_while(|byte| **byte == 0).count();
    let kept = value.get(..value.len().saturating_sub(zeros)).unwrap_or_default();
    let write = |bytes: &mut Vec<u8>| {
        bytes.extend_from_slice(kept);
        bytes.push(u8::try_from(zeros).unwrap_or(u8::MAX));
    };
    batch.put_with(Table::State, |bytes| codec::encode_into(key, bytes), write);
}

/// The value of the state that [`put_value`] wrote.
pub(crate) fn value_of(mut stored: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    let zeros = stored.pop().ok_or_else(|| corrupt(Table::State, "a value has no byte"))?;
    stored.resize(stored.len().saturating_add(usize::from(zeros)), 0);
    Ok(stored)
}

/// Where transactions stand, by their ids.
fn put_positions(batch: &mut Batch, executed: &Executed) {
    for (receipt, position) in executed.receipts().iter().zip(executed.positions()) {
        let id = receipt.transaction.as_bytes();
        let write = |bytes: &mut Vec<u8>| codec::encode_into(position, bytes);
        batch.put_with(Table::Positions, |bytes| bytes.extend_from_slice(id), write);
    }
}

/// Receipts in pages, each with as many as fill it.
fn put_receipts(batch: &mut Batch, executed: &Executed) {
    let (mut page, mut before, mut next) = (Vec::new(), Vec::new(), Vec::new());
    let last = executed.positions().last().map(|position| position.index);
    for (receipt, position) in executed.receipts().iter().zip(executed.positions()) {
        next.clear();
        codec::encode_into(receipt, &mut next);
        packed::pack(&before, &next, &mut page);
        std::mem::swap(&mut before, &mut next);
        if page.len() >= RECEIPTS_PAGE_BYTES || Some(position.index) == last {
            batch.put(Table::Receipts, schema::receipts_key(executed.height(), position.index), &page);
            page.clear();
            before.clear();
        }
    }
}

/// The receipts of a page.
fn receipts_of(mut page: &[u8]) -> Result<Vec<Receipt>, StoreError> {
    let (mut receipts, mut receipt) = (Vec::new(), Vec::new());
    while !page.is_empty() {
        let unpacked = packed::unpack(&mut page, &mut receipt);
        unpacked.ok_or_else(|| corrupt(Table::Receipts, "a page ends within a receipt"))?;
        receipts.push(decode(Table::Receipts, &receipt)?);
    }
    Ok(receipts)
}

/// The head alone, as no ledger writes it.
pub(crate) fn head_batch(head: &Executed) -> Batch {
    let mut batch = Batch::new();
    put_head(&mut batch, head);
    batch
}

fn put_head(batch: &mut Batch, head: &Executed) {
    let height = head.height().get().to_be_bytes();
    let outcome = head.outcome().digest();
    let value = [height.as_slice(), head.block().as_bytes(), outcome.as_bytes()].concat();
    batch.put(Table::Meta, META_HEAD, value);
}

/// The payload that these bundles make up. A block has at most `BUNDLES_MAX` bundles: more are cut
/// off, and then the payload's root is not the header's.
pub(crate) fn payload_of(bundles: &[Verified<Bundle>]) -> Payload {
    let ids = bundles.iter().take(quorate_primitives::block::BUNDLES_MAX).map(|bundle| bundle.id()).collect();
    Payload { bundles: codec::List::new(ids).unwrap_or_default() }
}

/// The block's leaf in the history of all later blocks.
pub(crate) fn leaf(executed: &Executed) -> Hash {
    history_leaf(executed.height(), executed.block(), executed.outcome().digest())
}

/// Reads [`META_HEAD`].
pub(crate) fn read_head(store: &dyn Store) -> Result<Option<Head>, StoreError> {
    let Some(bytes) = store.get(Table::Meta, META_HEAD)? else { return Ok(None) };
    let wrong = || corrupt(Table::Meta, "the head is not 72 bytes");
    let (height, rest) = bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
    let (block, rest) = rest.split_first_chunk::<32>().ok_or_else(wrong)?;
    let outcome: &[u8; 32] = rest.try_into().map_err(|_| wrong())?;
    Ok(Some(Head {
        height: Height::new(u64::from_be_bytes(*height)),
        block: Hash::from_bytes(*block),
        outcome: Hash::from_bytes(*outcome),
    }))
}

/// Reads the top of a complete subtree of the history.
pub(crate) fn read_subtree(store: &dyn Store, level: u8, index: u64) -> Result<Hash, StoreError> {
    let bytes = store.get(Table::History, &schema::history_key(level, index))?;
    let bytes = bytes.ok_or_else(|| corrupt(Table::History, "a subtree is missing"))?;
    let top: [u8; 32] = bytes.try_into().map_err(|_| corrupt(Table::History, "a hash is not 32 bytes"))?;
    Ok(Hash::from_bytes(top))
}

/// Decodes a stored value.
pub(crate) fn decode<T: BorshDeserialize>(table: Table, bytes: &[u8]) -> Result<T, StoreError> {
    codec::decode(bytes, usize::MAX).map_err(|error| corrupt(table, &error.to_string()))
}

pub(crate) fn corrupt(table: Table, reason: &str) -> StoreError {
    StoreError::Corrupt { table: table.name(), reason: reason.to_owned() }
}
