//! Taking transactions, and telling what became of them.
use std::time::Duration;

use futures::{Stream, stream};
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{Hash, Timestamp};
use quorate_replica::{Admitted, Refusal};
use quorate_rpc::backend::{Answer, Proofs, Waited};
use quorate_rpc::json::{
    Cursor, ReceiptEvidence, Shown, TransactionAnswer, TransactionEvent, TransactionState, TransactionStatus,
};
use quorate_rpc::{ApiError, ErrorKind};
use tokio::time::{Instant, timeout_at};

use super::Api;
use super::blocks::prove;
use crate::io::driver::SubmitError;

impl Api {
    pub(super) async fn take(&self, transactions: Vec<SignedTransaction>) -> Vec<Answer<()>> {
        let known: Vec<(Hash, Timestamp)> =
            transactions.iter().map(|signed| (signed.id(), signed.transaction().valid_until)).collect();
        let outcomes = self.driver.submit(transactions).await;
        let answer =
            |((id, valid_until), outcome): (&(Hash, Timestamp), Result<Admitted, SubmitError>)| match outcome
            {
                Ok(Admitted::Pending) => {
                    self.feed.submitted(*id, *valid_until);
                    Ok(())
                }
                Ok(Admitted::AlreadyPending) => {
                    self.feed.submitted(*id, *valid_until);
                    Err(ApiError::from(ErrorKind::AlreadyKnown).of_transaction(*id))
                }
                Ok(Admitted::AlreadyCommitted { .. }) => {
                    Err(ApiError::from(ErrorKind::AlreadyKnown).of_transaction(*id))
                }
                Err(error) => Err(refusal(&error).of_transaction(*id)),
            };
        known.iter().zip(outcomes).map(answer).collect()
    }

    pub(super) async fn wait_for(&self, id: Hash, valid_until: Timestamp, limit: Duration) -> Waited {
        let deadline = Instant::now() + limit;
        loop {
            // First wait, then look: a block that comes in between wakes the waiter.
            let woken = self.feed.wait(id, valid_until);
            let time = self.driver.head().executed.time();
            match self.read(move |reader| reader.position(&id)).await {
                Ok(Some(_)) => return Waited::Final,
                Ok(None) if time > valid_until => return Waited::Expired,
                Ok(None) => {}
                Err(_) => return Waited::TimedOut,
            }
            let Some(woken) = woken else {
                return Waited::TimedOut;
            };
            // A dropped sender means that the node is stopping.
            if !matches!(timeout_at(deadline, woken).await, Ok(Ok(()))) {
                return Waited::TimedOut;
            }
        }
    }

    /// How a transaction stands that is not found in a block by a reading that begins after this.
    fn outside(&self, id: Hash) -> TransactionStatus {
        // Taken before looking, so that a block that comes in between cannot make it seem expired.
        let time = self.driver.head().executed.time();
        let state = match self.feed.pending(&id) {
            Some(expires) if expires < time => TransactionState::Expired,
            Some(_) => TransactionState::Pending,
            None => TransactionState::Unknown,
        };
        TransactionStatus::outside(id, state)
    }

    pub(super) async fn status_of(&self, id: Hash) -> Answer<TransactionStatus> {
        let outside = self.outside(id);
        let found = self.read(move |reader| reader.receipt(&id)).await?;
        Ok(found.map_or(outside, |(position, receipt, _)| {
            TransactionStatus::included(position.height, position.index, &receipt)
        }))
    }

    /// The whole answer comes from one reading: a block that is committed meanwhile must not make a
    /// receipt stand beside a status that knows nothing of it.
    pub(super) async fn transaction_with(&self, id: Hash, proofs: Proofs) -> Answer<TransactionAnswer> {
        let nothing = TransactionAnswer {
            height: self.driver.head().executed.height().into(),
            status: self.outside(id),
            block: None,
            time: None,
            receipt: None,
            transaction: None,
            proof: None,
        };
        let found = self
            .read(move |reader| {
                let Some((position, receipt, proof)) = reader.receipt(&id)? else {
                    return Ok(None);
                };
                let signed = reader.transaction(&id)?;
                let block = reader.block(position.height)?;
                let proven = prove(reader, position.height)?;
                Ok(Some((position, receipt, proof, signed, block, proven)))
            })
            .await?;
        let Some((position, receipt, proof, signed, block, proven)) = found else {
            return Ok(nothing);
        };
        let proof = match (proofs, proven) {
            (Proofs::Omit, _) => None,
            (Proofs::Include, Some(proven)) => {
                Some(ReceiptEvidence::new(proven.finality(), &receipt, &proof))
            }
            (Proofs::Include, None) => {
                let message = "no certificate at or above the transaction's block yet";
                return Err(ApiError::new(ErrorKind::NotReady, message).of_transaction(id));
            }
        };
        Ok(TransactionAnswer {
            height: nothing.height.0.max(position.height).into(),
            status: TransactionStatus::included(position.height, position.index, &receipt),
            block: block.as_ref().map(|block| block.header.id().into()),
            time: block.as_ref().map(|block| block.header.time.into()),
            receipt: Some((&receipt).into()),
            transaction: signed.as_deref().map(Into::into),
            proof,
        })
    }

    /// How a transaction stands, now and at every change; ends when it can change no more.
    pub(super) fn follow_transaction(
        &self,
        id: Hash,
    ) -> impl Stream<Item = Answer<TransactionEvent>> + Send + 'static {
        let api = self.clone();
        let watch = self.driver.watch_head();
        stream::unfold(Some((None, watch)), move |state| {
            let api = api.clone();
            async move {
                let (shown, mut watch) = state?;
                loop {
                    let height = watch.borrow_and_update().executed.height();
                    let status = match api.status_of(id).await {
                        Ok(status) => status,
                        Err(error) => return Some((Err(error), None)),
                    };
                    let now = status.state;
                    if shown != Some(now) {
                        let cursor = Shown(Cursor { height, index: 0 });
                        let more = matches!(now, TransactionState::Pending | TransactionState::Unknown);
                        let event = TransactionEvent { cursor, status };
                        return Some((Ok(event), more.then_some((Some(now), watch))));
                    }
                    watch.changed().await.ok()?;
                }
            }
        })
    }
}

fn refusal(error: &SubmitError) -> ApiError {
    use quorate_ledger::Refusal as Ledger;
    match error {
        SubmitError::Busy { retry_after_ms } => ApiError::from(ErrorKind::Busy).retry_after(*retry_after_ms),
        SubmitError::BadSignature => ErrorKind::BadSignature.into(),
        SubmitError::Stopping => ApiError::new(ErrorKind::NotReady, "the node is stopping"),
        SubmitError::Refused(refused) => {
            let because = |kind| ApiError::new(kind, refused);
            match refused {
                Refusal::Ledger(Ledger::WrongChain { .. }) => {
                    because(ErrorKind::WrongChain).in_field("chain")
                }
                Refusal::Ledger(Ledger::Expired { .. }) => {
                    because(ErrorKind::Expired).in_field("valid_until")
                }
                Refusal::Ledger(Ledger::TooFar { .. }) => {
                    because(ErrorKind::TooFarAhead).in_field("valid_until")
                }
                Refusal::Ledger(Ledger::Duplicate { .. }) => because(ErrorKind::AlreadyKnown),
                Refusal::Ledger(Ledger::Failed { failure, .. }) => (*failure).into(),
                Refusal::Ledger(Ledger::NoParameters) | Refusal::Stopped => because(ErrorKind::NotReady),
                Refusal::Full { retry_after_ms } => {
                    because(ErrorKind::MempoolFull).retry_after(*retry_after_ms)
                }
                Refusal::SenderFull { retry_after_ms, .. } => {
                    because(ErrorKind::SenderFull).retry_after(*retry_after_ms)
                }
            }
        }
    }
}
