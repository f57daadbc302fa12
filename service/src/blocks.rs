//! Committed blocks and the proofs that they are final.
use quorate_ledger::StoredBlock;
use quorate_ledger::store::StoreError;
use quorate_primitives::light::FinalityProof;
use quorate_primitives::merkle::ListProof;
use quorate_primitives::{Hash, Height};
use quorate_rpc::backend::{Answer, BlockAt, Bodies};
use quorate_rpc::json::chain::body_page;
use quorate_rpc::json::{
    Block, Cursor, Decimal, Finality, FinalityAnswer, Head, HeadEvent, HeaderAnswer, Shown,
};
use quorate_rpc::{ApiError, ErrorKind};

use crate::snapshot::{Snapshot, unreadable};

/// A block and how it is proven final.
pub(crate) struct Proven {
    pub(crate) block: StoredBlock,
    /// The certified block that proves it: itself, or the next one above.
    pub(crate) proof: FinalityProof,
    /// The way from that one's history to it.
    pub(crate) history: Option<ListProof>,
}

impl Proven {
    pub(crate) fn finality(&self) -> Finality {
        match &self.history {
            None => Finality::of(&self.proof),
            Some(history) => {
                Finality::of_ancestor(&self.proof, &self.block.header, &self.block.outcome, history)
            }
        }
    }
}

fn not_found(what: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorKind::NotFound, format_args!("no block {what}"))
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Snapshot {
    /// Finds the proof of a block; `None` if there is no such block or no certificate above it yet.
    ///
    /// The store may be ahead of the snapshot. A certificate of an epoch that has not begun here is left
    /// out: nobody could follow the handovers of this snapshot to its validators. Reads the store.
    pub(crate) fn prove(&self, height: Height) -> Result<Option<Proven>, StoreError> {
        let reader = &self.reader;
        let Some(block) = reader.block(height)? else {
            return Ok(None);
        };
        let Some(certified) = reader.next_certified(height)? else {
            return Ok(None);
        };
        if self.parameters().epoch_of(certified) > self.current_epoch() {
            return Ok(None);
        }
        let Some(proof) = reader.finality(certified)? else {
            return Ok(None);
        };
        let history = if certified == height { None } else { reader.history_proof(height, certified)? };
        Ok((certified == height || history.is_some()).then_some(Proven { block, proof, history }))
    }

    fn stored(&self, at: BlockAt) -> Answer<(Height, StoredBlock)> {
        let height = match at {
            BlockAt::Head => Some(self.height()),
            BlockAt::Height(height) => Some(height),
            BlockAt::Id(id) => self.reader.height_of(&id).map_err(unreadable)?,
        };
        let block = height.map(|height| self.reader.block(height)).transpose().map_err(unreadable)?.flatten();
        height.zip(block).ok_or_else(|| match at {
            BlockAt::Head => not_found("yet: the chain is at height 0"),
            BlockAt::Height(height) => self.not_at(height),
            BlockAt::Id(id) => not_found(id),
        })
    }

    fn not_at(&self, height: Height) -> ApiError {
        not_found(format_args!("at height {height}: expected 1 to {}", self.height()))
    }

    /// Transactions that the newest block executed. One that this process did not execute itself, but
    /// found in its store when it started, is looked up there.
    fn transactions_of_head(&self) -> Answer<u32> {
        let executed = self.executed.receipts().len();
        if executed > 0 || self.executed.header().is_none() {
            return Ok(count(executed));
        }
        Ok(count(self.reader.receipts(self.height()).map_err(unreadable)?.len()))
    }

    /// The newest committed block. Reads the store if the block executed nothing or was read from there.
    ///
    /// # Errors
    /// `Internal`: the store fails.
    pub fn head(&self) -> Answer<Head> {
        Ok(Head {
            height: self.height().into(),
            block: self.executed.block().into(),
            time: self.executed.time().into(),
            view: self.executed.view().into(),
            epoch: self.epoch().into(),
            state_root: self.executed.outcome().state_root.into(),
            transactions: self.transactions_of_head()?,
            certified_height: self.certified_height().map(Decimal),
        })
    }

    /// The header of a committed block. Reads the store.
    ///
    /// # Errors
    /// `NotFound`: there is no such block.
    pub fn header(&self, at: BlockAt) -> Answer<HeaderAnswer> {
        let (_, block) = self.stored(at)?;
        Ok(HeaderAnswer { header: (&block.header).into(), outcome: (&block.outcome).into() })
    }

    /// Ids of the transactions that a block executed, in order; those of the newest block are in memory, if
    /// this process executed it.
    fn transactions_at(&self, height: Height) -> Answer<Vec<Shown<Hash>>> {
        if height == self.height() && !self.executed.receipts().is_empty() {
            return Ok(self.executed.transactions().map(Shown).collect());
        }
        let receipts = self.reader.receipts(height).map_err(unreadable)?;
        Ok(receipts.iter().map(|receipt| Shown(receipt.transaction)).collect())
    }

    /// A committed block. Reads the store.
    ///
    /// # Errors
    /// `NotFound`: there is no such block.
    pub fn block(&self, at: BlockAt, bodies: Bodies) -> Answer<Block> {
        let (height, block) = self.stored(at)?;
        let (bodies, next_bundle) = match bodies {
            Bodies::Omit => (None, None),
            Bodies::From(from) => {
                let (page, next) = body_page(&self.reader.bundles(height).map_err(unreadable)?, from);
                (Some(page), next)
            }
        };
        Ok(Block {
            header: (&block.header).into(),
            outcome: (&block.outcome).into(),
            bundles: block.payload.bundles.iter().copied().map(Shown).collect(),
            transactions: self.transactions_at(height)?,
            bodies,
            next_bundle,
        })
    }

    /// The proof that the block at a height is final; without a height, of the newest certified one.
    /// Reads the store.
    ///
    /// # Errors
    /// `NotFound`: there is no such block. `NotReady`: it is not proven yet.
    pub fn finality(&self, height: Option<Height>) -> Answer<FinalityAnswer> {
        let height = match height {
            Some(height) => height,
            None => self.certified()?.0.header.height,
        };
        let proven = self.prove(height).map_err(unreadable)?.ok_or_else(|| {
            if height > Height::ZERO && height <= self.height() {
                let message = format_args!("no certificate at or above height {height} yet");
                return ApiError::new(ErrorKind::NotReady, message);
            }
            self.not_at(height)
        })?;
        Ok(FinalityAnswer {
            height: height.into(),
            block: proven.block.header.id().into(),
            time: proven.block.header.time.into(),
            certified_height: proven.proof.header.height.into(),
            certificate_view: proven.proof.certificate.claim.view().into(),
            signers: proven.proof.certificate.signers.iter().collect(),
            proof: proven.finality(),
        })
    }

    /// What subscribers are told of the block at a height. `transactions` is how many it executed, if
    /// the caller knows; otherwise they are counted. Reads the store.
    ///
    /// # Errors
    /// `Internal`: there is no such block, but the caller said that it is committed.
    pub fn head_event(&self, height: Height, transactions: Option<u32>) -> Answer<HeadEvent> {
        let transactions = match transactions {
            Some(transactions) => transactions,
            None if height == self.height() => self.transactions_of_head()?,
            None => count(self.reader.receipts(height).map_err(unreadable)?.len()),
        };
        let block = self.reader.block(height).map_err(unreadable)?;
        let block = block.ok_or_else(|| ApiError::internal(format_args!("block {height} is missing")))?;
        let head = Head {
            height: Decimal(height),
            block: block.header.id().into(),
            time: block.header.time.into(),
            view: block.header.view.into(),
            epoch: block.header.epoch.into(),
            state_root: block.outcome.state_root.into(),
            transactions,
            certified_height: self.certified_height().map(Decimal),
        };
        Ok(HeadEvent { cursor: Shown(Cursor { height, index: 0 }), head })
    }
}
