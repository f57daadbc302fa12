//! What is kept of every block, and how it is read again.
//!
//! A committed block never changes, so a [`Reader`] needs no lock against the one writer: whatever it
//! finds is complete.
pub(crate) mod history;
pub mod reader;

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_primitives::block::{Header, Outcome, Payload, history_leaf};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::Certificate;
use quorate_primitives::codec;
use quorate_primitives::signed::Verified;
use quorate_primitives::state::StateKey;
use quorate_primitives::{Hash, Height};

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

/// Everything that the genesis puts into an empty database.
pub(crate) fn genesis_batch(head: &Executed, state: &[(StateKey, Vec<u8>)]) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in state {
        batch.put(Table::State, codec::encode(key), value.clone());
    }
    batch.put(Table::Meta, META_FORMAT, schema::FORMAT.to_le_bytes());
    batch.put(Table::Meta, META_CHAIN, head.state().chain().as_bytes().as_slice());
    put_head(&mut batch, head);
    // The outcome of height 0 has no block to stand beside.
    batch.put(Table::Blocks, schema::height_key(Height::ZERO), codec::encode(head.outcome()));
    batch
}

/// Everything that one block adds and changes.
pub(crate) fn block_batch(
    header: &Header,
    executed: &Executed,
    bundles: &[Verified<Bundle>],
    certificate: Option<&Certificate>,
) -> Batch {
    let mut batch = Batch::new();
    let height = executed.height();
    let key = schema::height_key(height);
    let payload = payload_of(bundles);
    let record = BlockRecord { header: header.clone(), outcome: *executed.outcome(), payload };
    batch.put(Table::Blocks, key.clone(), codec::encode(&record));
    batch.put(Table::Heights, executed.block().as_bytes().as_slice(), key.clone());
    for (place, bundle) in (0_u16..).zip(bundles) {
        batch.put(Table::Bundles, schema::bundle_key(height, place), codec::encode(&**bundle));
    }
    if let Some(certificate) = certificate {
        batch.put(Table::Certificates, key.clone(), codec::encode(certificate));
    }
    let leaves: Vec<u8> = executed.receipt_leaves().iter().flat_map(|leaf| *leaf.as_bytes()).collect();
    batch.put(Table::ReceiptLeaves, key, leaves);
    for (receipt, position) in executed.receipts().iter().zip(executed.positions()) {
        batch.put(Table::Positions, receipt.transaction.as_bytes().as_slice(), codec::encode(position));
    }
    put_receipts(&mut batch, executed);
    for subtree in executed.history().append(leaf(executed)).1 {
        batch.put(
            Table::History,
            schema::history_key(subtree.level, subtree.index),
            subtree.top.as_bytes().as_slice(),
        );
    }
    for write in executed.writes() {
        let key = codec::encode(write.key());
        match write.value() {
            Some(value) => batch.put(Table::State, key, value),
            None => batch.delete(Table::State, key),
        }
    }
    put_head(&mut batch, executed);
    batch
}

/// Receipts in pages, each with as many as fill it.
fn put_receipts(batch: &mut Batch, executed: &Executed) {
    let (mut page, mut count) = (Vec::new(), 0_u32);
    let last = executed.positions().last().map(|position| position.index);
    for (receipt, position) in executed.receipts().iter().zip(executed.positions()) {
        codec::encode_into(receipt, &mut page);
        count = count.saturating_add(1);
        if page.len() >= RECEIPTS_PAGE_BYTES || Some(position.index) == last {
            let receipts = [count.to_le_bytes().as_slice(), &page].concat();
            batch.put(Table::Receipts, schema::receipts_key(executed.height(), position.index), receipts);
            page.clear();
            count = 0;
        }
    }
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
