//! What became of transactions.
use quorate_primitives::state::{Marker, StateKey};
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{Hash, Timestamp};
use quorate_rpc::backend::{Answer, Proofs, Waited};
use quorate_rpc::json::{ReceiptEvidence, TransactionAnswer, TransactionState, TransactionStatus};
use quorate_rpc::{ApiError, ErrorKind};

use crate::snapshot::{Snapshot, unreadable};

impl Snapshot {
    /// How a transaction stands that is in no block. `pending` is when it expires, if the node took it;
    /// it was looked up after the snapshot was taken.
    fn outside(&self, id: Hash, pending: Option<Timestamp>) -> TransactionStatus {
        let state = match pending {
            Some(expires) if expires < self.executed.time() => TransactionState::Expired,
            Some(_) => TransactionState::Pending,
            None => TransactionState::Unknown,
        };
        TransactionStatus::outside(id, state)
    }

    /// How a transaction stands. `pending` is when it expires, if the node took it and knows of no
    /// block that has it; it was looked up after the snapshot was taken. Reads the store.
    ///
    /// # Errors
    /// `Internal`: the store fails.
    pub fn transaction_status(&self, id: Hash, pending: Option<Timestamp>) -> Answer<TransactionStatus> {
        let found = self.reader.receipt(&id).map_err(unreadable)?;
        Ok(found.map_or_else(
            || self.outside(id, pending),
            |(position, receipt, _)| TransactionStatus::included(position.height, position.index, &receipt),
        ))
    }

    /// Whether the ledger remembers that it included a transaction: it does for as long as that is valid, and for
    /// some time after. Answers from memory.
    #[must_use]
    pub fn remembers(&self, signed: &SignedTransaction) -> bool {
        let (id, transaction) = (signed.id(), signed.transaction());
        let keys = [StateKey::Nonce(transaction.sender, transaction.nonce), StateKey::Unauthorised(id)];
        let state = self.executed.state();
        keys.iter().any(|key| state.get::<Marker>(key).is_some_and(|marker| marker.transaction == id))
    }

    /// All that is known of a transaction; `pending` as for [`Snapshot::transaction_status`].
    ///
    /// The whole answer comes from one reading: a block that is committed meanwhile must not make a
    /// receipt stand beside a status that knows nothing of it. Reads the store.
    ///
    /// # Errors
    /// `NotReady`: a proof is wanted, and the transaction's block is not proven yet.
    pub fn transaction(
        &self,
        id: Hash,
        pending: Option<Timestamp>,
        proofs: Proofs,
    ) -> Answer<TransactionAnswer> {
        let reader = &self.reader;
        let Some((position, receipt, listed)) = reader.receipt(&id).map_err(unreadable)? else {
            return Ok(TransactionAnswer {
                height: self.height().into(),
                status: self.outside(id, pending),
                block: None,
                time: None,
                receipt: None,
                transaction: None,
                proof: None,
            });
        };
        let signed = reader.transaction(&id).map_err(unreadable)?;
        let block = reader.block(position.height).map_err(unreadable)?;
        let proof = match proofs {
            Proofs::Omit => None,
            Proofs::Include => {
                let proven = self.prove(position.height).map_err(unreadable)?.ok_or_else(|| {
                    let message = "no certificate at or above the transaction's block yet";
                    ApiError::new(ErrorKind::NotReady, message).of_transaction(id)
                })?;
                Some(ReceiptEvidence::new(proven.finality(), &receipt, &listed))
            }
        };
        Ok(TransactionAnswer {
            height: self.height().max(position.height).into(),
            status: TransactionStatus::included(position.height, position.index, &receipt),
            block: block.as_ref().map(|block| block.header.id().into()),
            time: block.as_ref().map(|block| block.header.time.into()),
            receipt: Some((&receipt).into()),
            transaction: signed.as_deref().map(Into::into),
            proof,
        })
    }

    /// How waiting for a transaction has ended; `None` while it has not. Reads the store.
    ///
    /// # Errors
    /// `Internal`: the store fails.
    pub fn waited(&self, id: &Hash, valid_until: Timestamp) -> Answer<Option<Waited>> {
        Ok(match self.reader.position(id).map_err(unreadable)? {
            Some(_) => Some(Waited::Final),
            None if self.executed.time() > valid_until => Some(Waited::Expired),
            None => None,
        })
    }
}
