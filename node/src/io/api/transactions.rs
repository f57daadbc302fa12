//! Taking transactions, and waiting for what becomes of them.
use std::time::Duration;

use futures::{Stream, stream};
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{Hash, Timestamp};
use quorate_replica::Admitted;
use quorate_rpc::backend::{Answer, Waited};
use quorate_rpc::json::{Cursor, Shown, TransactionEvent, TransactionState};
use quorate_rpc::{ApiError, Backend, ErrorKind};
use quorate_service::submission;
use tokio::time::{Instant, timeout_at};

use super::Api;
use crate::io::driver::SubmitError;

impl Api {
    pub(super) async fn take(&self, transactions: Vec<SignedTransaction>) -> Vec<Answer<()>> {
        let known: Vec<(Hash, Timestamp)> =
            transactions.iter().map(|signed| (signed.id(), signed.transaction().valid_until)).collect();
        let outcomes = self.driver.submit(transactions).await;
        let waiting = known
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| matches!(outcome, Ok(Admitted::Pending | Admitted::AlreadyPending)));
        self.feed.submitted(waiting.map(|(known, _)| *known));
        let answer = |((id, _), outcome): (&(Hash, Timestamp), Result<Admitted, SubmitError>)| {
            let answer = outcome.map_err(|error| refusal(&error)).and_then(submission::admitted);
            answer.map_err(|error| error.of_transaction(*id))
        };
        known.iter().zip(outcomes).map(answer).collect()
    }

    pub(super) async fn wait_for(&self, id: Hash, valid_until: Timestamp, limit: Duration) -> Waited {
        let deadline = Instant::now() + limit;
        loop {
            // First wait, then look: a block that comes in between wakes the waiter.
            let woken = self.feed.wait(id, valid_until);
            match self.ask(move |snapshot| snapshot.waited(&id, valid_until)).await {
                Ok(Some(ended)) => return ended,
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
                    let status = match api.transaction_status(id).await {
                        Ok(status) => status,
                        Err(error) => return Some((Err(error), None)),
                    };
                    let now = status.state;
                    if shown != Some(now) {
                        let more = matches!(now, TransactionState::Pending | TransactionState::Unknown);
                        let cursor = Shown(Cursor { height, index: 0 });
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
    match error {
        SubmitError::Busy { retry_after_ms } => ApiError::from(ErrorKind::Busy).retry_after(*retry_after_ms),
        SubmitError::BadSignature => ErrorKind::BadSignature.into(),
        SubmitError::Stopping => ApiError::new(ErrorKind::NotReady, "the node is stopping"),
        SubmitError::Refused(refused) => submission::refused(refused),
    }
}
