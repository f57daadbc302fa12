//! Transactions that are handed in: from digits to questions to the backend, and back.
//!
//! Of a call with many, each is read where it stands in the request, and nothing is kept of it but the
//! transaction itself; the answer is written in one go.
use quorate_primitives::codec;
use quorate_primitives::transaction::{SignedTransaction, TRANSACTION_BYTES_MAX};
use quorate_primitives::{Hash, Height};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::Duration;

use super::dispatch::{Context, proofs};
use crate::api::{ApiError, ErrorKind, SUBMIT_MANY_MAX};
use crate::arguments::{Arguments, invalid};
use crate::backend::{Answer, Backend, Waited};
use crate::json::hexadecimal;
use crate::json::{Decimal, HexBytes, Submitted, TransactionAnswer, TransactionState};

/// Refuses a submission of many before it is read, if there is no room for any.
pub(crate) fn check_room<B: Backend>(backend: &B) -> Answer<()> {
    backend.busy_ms().map_or(Ok(()), |wait_ms| Err(busy(wait_ms)))
}

/// There is no room; try again after so many ms.
pub(crate) fn busy(wait_ms: u64) -> ApiError {
    ApiError::from(ErrorKind::Busy).retry_after(wait_ms)
}

fn malformed(reason: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorKind::Malformed, reason).in_field("transaction")
}

fn decode(bytes: &[u8]) -> Answer<SignedTransaction> {
    codec::decode(bytes, TRANSACTION_BYTES_MAX).map_err(malformed)
}

/// Hands in a single transaction. One that is known is answered so even while there is no room.
async fn submit_one<B: Backend>(transaction: SignedTransaction, backend: &B) -> Answer<()> {
    if let Err(busy) = check_room(backend) {
        return Err(if backend.is_known(&transaction) { ErrorKind::AlreadyKnown.into() } else { busy });
    }
    let unanswered = || ApiError::internal("the backend gave no result for a transaction");
    backend.submit(vec![transaction]).await.pop().ok_or_else(unanswered)?
}

/// Answers `tx_submit`.
pub(crate) async fn submit<B: Backend>(of: &mut Arguments<'_>, context: &Context<B>) -> Answer<Submitted> {
    let transaction = decode(&of.required::<HexBytes>("transaction")?.0)?;
    let id = transaction.id();
    submit_one(transaction, &*context.backend).await.map_err(|error| error.of_transaction(id))?;
    Ok(Submitted { tx_id: id.into(), height: context.backend.height().into() })
}

/// What became of many, as it is written.
#[derive(Serialize)]
pub(crate) struct ManyAnswer {
    height: Decimal<Height>,
    accepted: u32,
    results: Vec<OneAnswer>,
}

/// What became of one of them.
#[derive(Serialize)]
struct OneAnswer {
    #[serde(serialize_with = "hexadecimal::serialize_hash")]
    tx_id: Option<Hash>,
    error: Option<ApiError>,
}

/// Answers `tx_submitMany`.
pub(crate) async fn submit_many<B: Backend>(
    of: &mut Arguments<'_>,
    context: &Context<B>,
) -> Answer<ManyAnswer> {
    let given = of.items("transactions")?;
    if given.is_empty() || given.len() > SUBMIT_MANY_MAX {
        let reason = format!("found {} transactions, but 1 to {SUBMIT_MANY_MAX} are allowed", given.len());
        return Err(invalid("transactions", reason));
    }
    let mut good = Vec::with_capacity(given.len());
    let mut results: Vec<OneAnswer> = Vec::with_capacity(given.len());
    for item in given {
        results.push(match decode_item(item) {
            Ok(transaction) => {
                let tx_id = Some(transaction.id());
                good.push(transaction);
                OneAnswer { tx_id, error: None }
            }
            Err(error) => OneAnswer { tx_id: None, error: Some(error) },
        });
    }
    let mut verdicts = context.backend.submit(good).await.into_iter();
    let mut accepted = 0_u32;
    for result in &mut results {
        let Some(id) = result.tx_id else { continue };
        let unanswered = || Err(ApiError::internal("the backend gave too few results"));
        match verdicts.next().unwrap_or_else(unanswered) {
            Ok(()) => accepted = accepted.saturating_add(1),
            Err(error) => result.error = Some(error.of_transaction(id)),
        }
    }
    Ok(ManyAnswer { height: context.backend.height().into(), accepted, results })
}

/// One that is no hexadecimal, or no text at all, must not spoil the others.
fn decode_item(item: &RawValue) -> Answer<SignedTransaction> {
    // Digits stand for themselves, so what is between the quotes need not be understood first.
    let text = item.get().strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let digits = text.map(|text| text.strip_prefix("0x").unwrap_or(text));
    if let Some(Ok(bytes)) = digits.map(|digits| hexadecimal::decode(digits.as_bytes())) {
        return decode(&bytes);
    }
    let value: Value = serde_json::from_str(item.get()).map_err(malformed)?;
    decode(&HexBytes::deserialize(value).map_err(malformed)?.0)
}

/// Answers `tx_submitAndWait`.
pub(crate) async fn submit_and_wait<B: Backend>(
    of: &mut Arguments<'_>,
    context: &Context<B>,
) -> Answer<TransactionAnswer> {
    let transaction = decode(&of.required::<HexBytes>("transaction")?.0)?;
    let longest = context.limits.wait_max;
    let limit = of.optional::<u32>("timeout_ms")?.map_or(longest, |ms| Duration::from_millis(u64::from(ms)));
    if limit > longest {
        let reason = format!("found {}, but at most {} is allowed", limit.as_millis(), longest.as_millis());
        return Err(invalid("timeout_ms", reason));
    }
    let proofs = proofs(of)?;
    let (id, valid_until) = (transaction.id(), transaction.transaction().valid_until);
    match submit_one(transaction, &*context.backend).await {
        Ok(()) => {}
        // Submitting again after a lost answer must lead to the same end.
        Err(error) if error.kind == ErrorKind::AlreadyKnown => {}
        Err(error) => return Err(error.of_transaction(id)),
    }
    let waited = context.backend.wait(id, valid_until, limit).await;
    let mut answer = context.backend.transaction(id, proofs).await?;
    conclude(&mut answer, waited);
    Ok(answer)
}

/// Adds to an answer what was learned by waiting. Whoever finds the transaction in a block, or knows
/// how it stands, knows better: the answer is younger than the wait.
fn conclude(answer: &mut TransactionAnswer, waited: Waited) {
    let included = answer.receipt.is_some() || answer.status.height.is_some();
    let open = matches!(answer.status.state, TransactionState::Pending | TransactionState::Unknown);
    if included || !open {
        return;
    }
    answer.status.state = match waited {
        Waited::Expired => TransactionState::Expired,
        Waited::Final | Waited::TimedOut => TransactionState::Pending,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::TransactionStatus;

    fn concluded(status: TransactionStatus, waited: Waited) -> TransactionState {
        let mut answer = TransactionAnswer {
            height: Height::new(9).into(),
            status,
            block: None,
            time: None,
            receipt: None,
            transaction: None,
            proof: None,
        };
        conclude(&mut answer, waited);
        answer.status.state
    }

    #[test]
    fn waiting_tells_how_a_transaction_outside_of_blocks_stands() {
        use TransactionState::{Expired, Pending, Unknown};
        for (found, waited, told) in [
            (Unknown, Waited::TimedOut, Pending),
            (Pending, Waited::TimedOut, Pending),
            (Expired, Waited::TimedOut, Expired),
            (Unknown, Waited::Expired, Expired),
            (Pending, Waited::Expired, Expired),
        ] {
            assert_eq!(concluded(TransactionStatus::outside(Hash::ZERO, found), waited), told);
        }
    }

    #[test]
    fn a_block_that_comes_after_the_wait_is_what_counts() {
        let included = || TransactionStatus {
            state: TransactionState::Final,
            height: Some(Height::new(9).into()),
            index: Some(0),
            ..TransactionStatus::outside(Hash::ZERO, TransactionState::Unknown)
        };
        for waited in [Waited::Final, Waited::TimedOut, Waited::Expired] {
            assert_eq!(concluded(included(), waited), TransactionState::Final);
        }
    }
}
