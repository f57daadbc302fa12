//! Looking up committed blocks, from any thread.
use quorate_primitives::block::Outcome;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::light::FinalityProof;
use quorate_primitives::merkle::ListProof;
use quorate_primitives::receipt::Receipt;
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{Hash, Height};
use std::sync::Arc;

use super::{
    BlockRecord, Position, StoredBlock, corrupt, decode, history, read_head, read_subtree, receipts_of,
};
use crate::store::schema::{bundle_key, height_key, receipts_key};
use crate::store::{Pair, Store, StoreError, Table};

/// Committed blocks, for reading. Cheap to clone; each answer is read from the store.
#[derive(Clone)]
pub struct Reader {
    store: Arc<dyn Store>,
}

impl Reader {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Height and id of the last committed block; the genesis counts as height 0.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails or holds no ledger.
    pub fn head(&self) -> Result<(Height, Hash), StoreError> {
        let head = read_head(self.store.as_ref())?.ok_or_else(|| corrupt(Table::Meta, "there is no head"))?;
        Ok((head.height, head.block))
    }

    /// The block at a height; `None` for height 0 and above the head.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn block(&self, height: Height) -> Result<Option<StoredBlock>, StoreError> {
        let Some(record) = self.record(height)? else { return Ok(None) };
        let certificate = self.store.get(Table::Certificates, &height_key(height))?;
        let certificate = certificate.map(|bytes| decode(Table::Certificates, &bytes)).transpose()?;
        let BlockRecord { header, outcome, payload } = record;
        Ok(Some(StoredBlock { header, outcome, certificate, payload }))
    }

    /// The bundles of the block at a height, in order; empty when there is no such block.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn bundles(&self, height: Height) -> Result<Vec<Bundle>, StoreError> {
        let mut bundles = Vec::new();
        for place in 0..=u16::MAX {
            let Some(bytes) = self.store.get(Table::Bundles, &bundle_key(height, place))? else { break };
            bundles.push(decode(Table::Bundles, &bytes)?);
        }
        Ok(bundles)
    }

    /// The height of a committed block.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn height_of(&self, block: &Hash) -> Result<Option<Height>, StoreError> {
        let Some(bytes) = self.store.get(Table::Heights, block.as_bytes())? else { return Ok(None) };
        let height: [u8; 8] =
            bytes.try_into().map_err(|_| corrupt(Table::Heights, "a height is not 8 bytes"))?;
        Ok(Some(Height::new(u64::from_be_bytes(height))))
    }

    /// Where a transaction was executed, if it was.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn position(&self, transaction: &Hash) -> Result<Option<Position>, StoreError> {
        let bytes = self.store.get(Table::Positions, transaction.as_bytes())?;
        bytes.map(|bytes| decode(Table::Positions, &bytes)).transpose()
    }

    /// An executed transaction.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn transaction(&self, transaction: &Hash) -> Result<Option<Arc<SignedTransaction>>, StoreError> {
        let Some(position) = self.position(transaction)? else { return Ok(None) };
        let bytes = self.store.get(Table::Bundles, &bundle_key(position.height, position.bundle))?;
        let bytes = bytes.ok_or_else(|| corrupt(Table::Bundles, "a bundle is missing"))?;
        let bundle: Bundle = decode(Table::Bundles, &bytes)?;
        Ok(bundle.transactions().get(usize::from(position.offset)).cloned())
    }

    /// The receipts of the block at a height, in order of execution; empty when there is no such block.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn receipts(&self, height: Height) -> Result<Vec<Receipt>, StoreError> {
        let mut receipts = Vec::new();
        let mut next = 0;
        while let Some((last, page)) = self.page(height, next)? {
            receipts.extend(page);
            next = last.saturating_add(1);
        }
        Ok(receipts)
    }

    /// The receipt of an executed transaction, with the proof that it is in its block's list.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn receipt(&self, transaction: &Hash) -> Result<Option<(Position, Receipt, ListProof)>, StoreError> {
        let Some(position) = self.position(transaction)? else { return Ok(None) };
        let page = self.page(position.height, position.index)?;
        // Counted from the end, which the page's key names.
        let place = |last: u32| usize::try_from(last.saturating_sub(position.index)).unwrap_or(usize::MAX);
        let receipt = page.and_then(|(last, page)| page.into_iter().nth_back(place(last)));
        let receipt = receipt.ok_or_else(|| corrupt(Table::Receipts, "a receipt is missing"))?;
        let leaves = self.store.get(Table::ReceiptLeaves, &height_key(position.height))?.unwrap_or_default();
        let leaves: Vec<Hash> = leaves.as_chunks::<32>().0.iter().copied().map(Hash::from_bytes).collect();
        let index = usize::try_from(position.index).unwrap_or(usize::MAX);
        let proof = ListProof::make(&leaves, index);
        let proof = proof.ok_or_else(|| corrupt(Table::ReceiptLeaves, "a leaf is missing"))?;
        Ok(Some((position, receipt, proof)))
    }

    /// Proves the block at height `of` through the history root of the block at height `at`; `None`
    /// unless `1 ≤ of < at ≤ head`.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn history_proof(&self, of: Height, at: Height) -> Result<Option<ListProof>, StoreError> {
        let (head, _) = self.head()?;
        let (Some(index), Some(count)) = (of.previous(), at.previous()) else { return Ok(None) };
        if at > head {
            return Ok(None);
        }
        history::prove(count.get(), index.get(), |level, index| {
            read_subtree(self.store.as_ref(), level, index)
        })
    }

    /// The proof that the block at a height is final, if it has its own certificate.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn finality(&self, height: Height) -> Result<Option<FinalityProof>, StoreError> {
        let Some(block) = self.block(height)? else { return Ok(None) };
        let StoredBlock { header, outcome, certificate, .. } = block;
        Ok(certificate.map(|certificate| FinalityProof { header, outcome, certificate }))
    }

    /// The first height from `from` on whose block has its own certificate.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn next_certified(&self, from: Height) -> Result<Option<Height>, StoreError> {
        let found = self.store.scan(Table::Certificates, &height_key(from), 1)?;
        let height =
            |(key, _): &Pair| key.first_chunk::<8>().map(|bytes| Height::new(u64::from_be_bytes(*bytes)));
        Ok(found.first().and_then(height))
    }

    /// What the block at a height did; for height 0 the outcome of the genesis.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn outcome(&self, height: Height) -> Result<Option<Outcome>, StoreError> {
        if height > Height::ZERO {
            return Ok(self.record(height)?.map(|record| record.outcome));
        }
        let bytes = self.store.get(Table::Blocks, &height_key(height))?;
        bytes.map(|bytes| decode(Table::Blocks, &bytes)).transpose()
    }

    fn record(&self, height: Height) -> Result<Option<BlockRecord>, StoreError> {
        if height == Height::ZERO {
            return Ok(None);
        }
        let bytes = self.store.get(Table::Blocks, &height_key(height))?;
        bytes.map(|bytes| decode(Table::Blocks, &bytes)).transpose()
    }

    /// The page that holds the receipt at a position of a block, and the position of its last one; `None`
    /// beyond the end of the block.
    fn page(&self, height: Height, index: u32) -> Result<Option<(u32, Vec<Receipt>)>, StoreError> {
        let found = self.store.scan(Table::Receipts, &receipts_key(height, index), 1)?;
        let of_block = found.first().and_then(|(key, page)| {
            let last = key.strip_prefix(height_key(height).as_slice())?;
            Some((u32::from_be_bytes(last.try_into().ok()?), page))
        });
        of_block.map(|(last, page)| Ok((last, receipts_of(page)?))).transpose()
    }
}
