//! From parameters to questions to the backend, one arm for each method of the table.
use quorate_primitives::Hash;
use quorate_primitives::address::AccountId;
use quorate_primitives::codec;
use quorate_primitives::state::{AssetId, StateKey, Symbol};
use quorate_primitives::transaction::{SignedTransaction, TRANSACTION_BYTES_MAX};
use quorate_primitives::{EpochNumber, Height};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

use super::limits::Limits;
use crate::api::{
    ApiError, EPOCHS_MAX, ErrorKind, Method, PAGE_ROWS_MAX, STATE_KEY_BYTES_MAX, STATE_KEYS_MAX,
    SUBMIT_MANY_MAX,
};
use crate::arguments::{Arguments, invalid};
use crate::backend::{Answer, Backend, BlockAt, Bodies, Proofs, Waited};
use crate::json::{
    ChainInfo, Decimal, HexBytes, Shown, SubmitManyAnswer, SubmitResult, Submitted, TransactionAnswer,
    TransactionState,
};
use crate::openrpc;

/// What every handler needs.
pub(crate) struct Context<B> {
    pub(crate) backend: Arc<B>,
    pub(crate) limits: Arc<Limits>,
    /// Open subscriptions, so that stopping can wait for their last messages.
    pub(crate) subscribers: Arc<watch::Sender<usize>>,
}

/// The first epoch that another one hands over to.
const FIRST_HANDOVER: EpochNumber = EpochNumber::new(1);

type Json = Box<RawValue>;

fn to_json<T: Serialize>(value: &T) -> Answer<Json> {
    to_raw_value(value).map_err(ApiError::internal)
}

/// Bytes around a result: version, id and punctuation.
const ENVELOPE_BYTES: usize = 256;

/// Answers one call.
pub(crate) async fn answer<B: Backend>(
    method: &'static Method,
    parameters: Option<&str>,
    context: &Context<B>,
) -> Answer<Json> {
    let json = result(method, parameters, context).await?;
    let found = json.get().len().saturating_add(ENVELOPE_BYTES);
    let allowed = usize::try_from(context.limits.response_bytes).unwrap_or(usize::MAX);
    if found > allowed {
        let message = format!("an answer of {found} bytes, but at most {allowed} are sent");
        return Err(ApiError::new(ErrorKind::ResponseTooLarge, message));
    }
    Ok(json)
}

async fn result<B: Backend>(
    method: &'static Method,
    parameters: Option<&str>,
    context: &Context<B>,
) -> Answer<Json> {
    let takes_transactions = matches!(method.name, "tx_submit" | "tx_submitMany");
    if let Some(wait_ms) = takes_transactions.then(|| context.backend.busy_ms()).flatten() {
        return Err(ApiError::from(ErrorKind::Busy).retry_after(wait_ms));
    }
    let mut arguments = Arguments::parse(method, parameters, context.limits.parameter_depth())?;
    let (of, backend) = (&mut arguments, &context.backend);
    match method.name {
        "rpc.discover" => to_json(&openrpc::document()),
        "chain_info" => to_json(&chain_info(context).await?),
        "chain_head" => to_json(&backend.head().await?),
        "chain_getBlock" => to_json(&backend.block(block_at(of)?, bodies(of)?).await?),
        "chain_getHeader" => to_json(&backend.header(block_at(of)?).await?),
        "chain_getFinality" => to_json(&backend.finality(number::<Height>(of, "height")?).await?),
        "chain_getValidators" => to_json(&backend.validators(number::<EpochNumber>(of, "epoch")?).await?),
        "chain_getEpochs" => {
            let from = number::<EpochNumber>(of, "from")?.unwrap_or(FIRST_HANDOVER).max(FIRST_HANDOVER);
            to_json(&backend.epochs(from, rows(of, EPOCHS_MAX)?).await?)
        }
        "chain_getEvidence" => to_json(&backend.evidence(proofs(of)?).await?),
        "tx_submit" => to_json(&submit(of, context).await?),
        "tx_submitMany" => to_json(&submit_many(of, context).await?),
        "tx_submitAndWait" => to_json(&submit_and_wait(of, context).await?),
        "tx_get" => to_json(&backend.transaction(transaction_id(of)?, proofs(of)?).await?),
        "tx_status" => to_json(&backend.transaction_status(transaction_id(of)?).await?),
        "state_get" => to_json(&backend.state(state_keys(of)?, proofs(of)?).await?),
        "account_get" => to_json(&backend.account(account_id(of)?, proofs(of)?).await?),
        "account_getBalances" => to_json(&backend.balances(account_id(of)?, proofs(of)?).await?),
        "asset_get" => to_json(&backend.asset(asset_id(of)?, proofs(of)?).await?),
        "asset_list" => {
            let after = of.optional::<Shown<AssetId>>("after")?.map(|shown| shown.0);
            to_json(&backend.assets(after, rows(of, PAGE_ROWS_MAX)?).await?)
        }
        "node_status" => to_json(&backend.node_status().await?),
        "node_peers" => to_json(&backend.node_peers().await?),
        "mempool_stats" => to_json(&backend.mempool_stats().await?),
        other => Err(ApiError::internal(format_args!("method {other} is in the table but not served"))),
    }
}

async fn chain_info<B: Backend>(context: &Context<B>) -> Answer<ChainInfo> {
    let mut info = context.backend.chain_info().await?;
    info.limits = Some(context.limits.for_clients());
    Ok(info)
}

fn number<T>(of: &mut Arguments, name: &str) -> Answer<Option<T>>
where
    Decimal<T>: for<'de> Deserialize<'de>,
{
    Ok(of.optional::<Decimal<T>>(name)?.map(|decimal| decimal.0))
}

fn proofs(of: &mut Arguments) -> Answer<Proofs> {
    let wanted = of.optional::<bool>("proof")?.unwrap_or(false);
    Ok(if wanted { Proofs::Include } else { Proofs::Omit })
}

fn block_at(of: &mut Arguments) -> Answer<BlockAt> {
    let height = number::<Height>(of, "height")?;
    let block = of.optional::<Shown<Hash>>("block")?;
    match (height, block) {
        (None, None) => Ok(BlockAt::Head),
        (Some(height), None) => Ok(BlockAt::Height(height)),
        (None, Some(id)) => Ok(BlockAt::Id(id.0)),
        (Some(_), Some(_)) => Err(invalid("block", "give either height or block, not both")),
    }
}

fn bodies(of: &mut Arguments) -> Answer<Bodies> {
    let wanted = of.optional::<bool>("bodies")?.unwrap_or(false);
    match of.optional::<u32>("from_bundle")? {
        Some(_) if !wanted => Err(invalid("from_bundle", "only together with bodies: true")),
        from if wanted => Ok(Bodies::From(from.unwrap_or(0))),
        Some(_) | None => Ok(Bodies::Omit),
    }
}

/// The id of the transaction that is asked about.
pub(crate) fn transaction_id(of: &mut Arguments) -> Answer<Hash> {
    of.required::<Shown<Hash>>("tx_id").map(|shown| shown.0)
}

fn account_id(of: &mut Arguments) -> Answer<AccountId> {
    of.required::<Shown<AccountId>>("account").map(|shown| shown.0)
}

fn asset_id(of: &mut Arguments) -> Answer<AssetId> {
    let text: String = of.required("asset")?;
    if let Ok(symbol) = Symbol::new(&text) {
        return Ok(AssetId::derive(&symbol));
    }
    text.parse().map_err(|reason| invalid("asset", format_args!("neither a symbol nor an id: {reason}")))
}

fn rows(of: &mut Arguments, allowed: u32) -> Answer<u32> {
    let rows = of.optional::<u32>("limit")?.unwrap_or(allowed);
    if (1..=allowed).contains(&rows) {
        return Ok(rows);
    }
    Err(invalid("limit", format_args!("found {rows}, but 1 to {allowed} are allowed")))
}

fn state_keys(of: &mut Arguments) -> Answer<Vec<StateKey>> {
    let keys: Vec<HexBytes> = of.required("keys")?;
    if keys.is_empty() || keys.len() > STATE_KEYS_MAX {
        let found = keys.len();
        return Err(invalid(
            "keys",
            format_args!("found {found} keys, but 1 to {STATE_KEYS_MAX} are allowed"),
        ));
    }
    let decode = |(position, key): (usize, &HexBytes)| {
        let malformed =
            |reason| ApiError::new(ErrorKind::Malformed, format_args!("key {position}: {reason}"));
        key.decode(STATE_KEY_BYTES_MAX).map_err(|reason| malformed(reason).in_field("keys"))
    };
    keys.iter().enumerate().map(decode).collect()
}

fn decode_transaction(bytes: &HexBytes) -> Answer<SignedTransaction> {
    codec::decode(&bytes.0, TRANSACTION_BYTES_MAX)
        .map_err(|reason| ApiError::new(ErrorKind::Malformed, reason).in_field("transaction"))
}

async fn submit_one<B: Backend>(transaction: SignedTransaction, backend: &B) -> Answer<()> {
    let unanswered = || ApiError::internal("the backend gave no result for a transaction");
    backend.submit(vec![transaction]).await.pop().ok_or_else(unanswered)?
}

async fn submit<B: Backend>(of: &mut Arguments, context: &Context<B>) -> Answer<Submitted> {
    let transaction = decode_transaction(&of.required("transaction")?)?;
    let id = transaction.id();
    submit_one(transaction, &*context.backend).await.map_err(|error| error.of_transaction(id))?;
    Ok(Submitted { tx_id: id.into(), height: context.backend.height().into() })
}

async fn submit_many<B: Backend>(of: &mut Arguments, context: &Context<B>) -> Answer<SubmitManyAnswer> {
    // Values and not bytes: one that is no hexadecimal must not spoil the others.
    let given: Vec<Value> = of.required("transactions")?;
    if given.is_empty() || given.len() > SUBMIT_MANY_MAX {
        let reason = format!("found {} transactions, but 1 to {SUBMIT_MANY_MAX} are allowed", given.len());
        return Err(invalid("transactions", reason));
    }
    let malformed = |reason| ApiError::new(ErrorKind::Malformed, reason).in_field("transaction");
    let decode =
        |value| HexBytes::deserialize(value).map_err(malformed).and_then(|bytes| decode_transaction(&bytes));
    let decoded: Vec<Answer<SignedTransaction>> = given.into_iter().map(decode).collect();
    let good = decoded.iter().flatten().cloned().collect();
    let mut verdicts = context.backend.submit(good).await.into_iter();
    let mut result = |decoded: Answer<SignedTransaction>| match decoded {
        Err(error) => SubmitResult { tx_id: None, error: Some(error.into()) },
        Ok(transaction) => {
            let id = transaction.id();
            let unanswered = || Err(ApiError::internal("the backend gave too few results"));
            let error = verdicts.next().unwrap_or_else(unanswered).err();
            SubmitResult { tx_id: Some(id.into()), error: error.map(|error| error.of_transaction(id).into()) }
        }
    };
    let results: Vec<SubmitResult> = decoded.into_iter().map(&mut result).collect();
    let accepted = results.iter().filter(|result| result.error.is_none()).count();
    let accepted = u32::try_from(accepted).unwrap_or(u32::MAX);
    Ok(SubmitManyAnswer { height: context.backend.height().into(), accepted, results })
}

async fn submit_and_wait<B: Backend>(of: &mut Arguments, context: &Context<B>) -> Answer<TransactionAnswer> {
    let transaction = decode_transaction(&of.required("transaction")?)?;
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
