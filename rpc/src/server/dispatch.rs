//! From parameters to questions to the backend, one arm for each method of the table.
use quorate_primitives::Hash;
use quorate_primitives::address::AccountId;
use quorate_primitives::state::{AssetId, StateKey, Symbol};
use quorate_primitives::{EpochNumber, Height};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;
use tokio::sync::watch;

use super::limits::Limits;
use super::submissions::{self, submit, submit_and_wait, submit_many};
use crate::api::{
    ApiError, EPOCHS_MAX, ErrorKind, Method, PAGE_ROWS_MAX, STATE_KEY_BYTES_MAX, STATE_KEYS_MAX,
};
use crate::arguments::{Arguments, invalid};
use crate::backend::{Answer, Backend, BlockAt, Bodies, Proofs};
use crate::json::{ChainInfo, Decimal, HexBytes, Shown};
use crate::openrpc;

/// What every handler needs.
pub(crate) struct Context<B> {
    pub(crate) backend: Arc<B>,
    pub(crate) limits: Arc<Limits>,
    /// Open subscriptions, so that stopping can wait for their last messages.
    pub(crate) subscribers: Arc<watch::Sender<usize>>,
}

/// The method that takes many transactions; refused unread while there is no room for any.
pub(crate) const SUBMIT_MANY: &str = "tx_submitMany";

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
    if method.name == SUBMIT_MANY {
        submissions::check_room(&*context.backend)?;
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
        SUBMIT_MANY => to_json(&submit_many(of, context).await?),
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

fn number<T>(of: &mut Arguments<'_>, name: &str) -> Answer<Option<T>>
where
    Decimal<T>: for<'de> Deserialize<'de>,
{
    Ok(of.optional::<Decimal<T>>(name)?.map(|decimal| decimal.0))
}

pub(crate) fn proofs(of: &mut Arguments<'_>) -> Answer<Proofs> {
    let wanted = of.optional::<bool>("proof")?.unwrap_or(false);
    Ok(if wanted { Proofs::Include } else { Proofs::Omit })
}

fn block_at(of: &mut Arguments<'_>) -> Answer<BlockAt> {
    let height = number::<Height>(of, "height")?;
    let block = of.optional::<Shown<Hash>>("block")?;
    match (height, block) {
        (None, None) => Ok(BlockAt::Head),
        (Some(height), None) => Ok(BlockAt::Height(height)),
        (None, Some(id)) => Ok(BlockAt::Id(id.0)),
        (Some(_), Some(_)) => Err(invalid("block", "give either height or block, not both")),
    }
}

fn bodies(of: &mut Arguments<'_>) -> Answer<Bodies> {
    let wanted = of.optional::<bool>("bodies")?.unwrap_or(false);
    match of.optional::<u32>("from_bundle")? {
        Some(_) if !wanted => Err(invalid("from_bundle", "only together with bodies: true")),
        from if wanted => Ok(Bodies::From(from.unwrap_or(0))),
        Some(_) | None => Ok(Bodies::Omit),
    }
}

/// The id of the transaction that is asked about.
pub(crate) fn transaction_id(of: &mut Arguments<'_>) -> Answer<Hash> {
    of.required::<Shown<Hash>>("tx_id").map(|shown| shown.0)
}

fn account_id(of: &mut Arguments<'_>) -> Answer<AccountId> {
    of.required::<Shown<AccountId>>("account").map(|shown| shown.0)
}

fn asset_id(of: &mut Arguments<'_>) -> Answer<AssetId> {
    let text: String = of.required("asset")?;
    if let Ok(symbol) = Symbol::new(&text) {
        return Ok(AssetId::derive(&symbol));
    }
    text.parse().map_err(|reason| invalid("asset", format_args!("neither a symbol nor an id: {reason}")))
}

fn rows(of: &mut Arguments<'_>, allowed: u32) -> Answer<u32> {
    let rows = of.optional::<u32>("limit")?.unwrap_or(allowed);
    if (1..=allowed).contains(&rows) {
        return Ok(rows);
    }
    Err(invalid("limit", format_args!("found {rows}, but 1 to {allowed} are allowed")))
}

fn state_keys(of: &mut Arguments<'_>) -> Answer<Vec<StateKey>> {
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
