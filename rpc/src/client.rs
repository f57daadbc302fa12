//! A client with one typed method for each method of the table.
//!
//! It believes what it is told: verifying is for the caller, who has the genesis. Which of several
//! nodes to ask, and when to try another, is for the caller too; the errors tell the cases apart.
use jsonrpsee::core::ClientError as RpcClientError;
use jsonrpsee::core::client::ClientT;
use jsonrpsee::core::http_helpers::HttpError;
use jsonrpsee::core::params::ObjectParams;
use jsonrpsee::http_client::transport::Error as TransportError;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use quorate_primitives::address::AccountId;
use quorate_primitives::state::{AssetId, StateKey};
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{EpochNumber, Hash, Height};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

pub mod bulk;
pub mod subscription;

pub use bulk::Bulk;
pub use subscription::Subscription;

use crate::api::{ErrorKind, ErrorObject, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX};
use crate::backend::{BlockAt, Bodies, Proofs};
use crate::json::{
    AccountAnswer, AssetAnswer, AssetPage, BalancesAnswer, Block, ChainInfo, Decimal, EpochsAnswer,
    EvidenceAnswer, FinalityAnswer, Head, HeaderAnswer, HexBytes, MempoolStats, NodeStatus, PeersAnswer,
    Shown, StateAnswer, SubmitManyAnswer, Submitted, TransactionAnswer, TransactionStatus, ValidatorsAnswer,
};

/// Longest answer that is read, in bytes: twice what a node gives by default.
fn read_bytes_max() -> u32 {
    u32::try_from(2 * RESPONSE_BYTES_MAX).unwrap_or(u32::MAX)
}

/// Why a call gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Nobody answered, or the node has no room: another node may do better. Whether a submitted
    /// transaction arrived is not known.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// Which node.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// No answer in time: another node may do better. Whether a submitted transaction arrived is not
    /// known.
    #[error("{url} did not answer within {timeout_ms} ms")]
    TimedOut {
        /// Which node.
        url: String,
        /// How long it had.
        timeout_ms: u64,
    },
    /// What answered does not speak this interface.
    #[error("{url} gave an answer that is not understood: {reason}")]
    Protocol {
        /// Which node.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// Longer than any request that a node takes by default; it was not sent. Ask for less at a time.
    #[error("a request of more than {REQUEST_BYTES_MAX} bytes, which is more than a node takes")]
    RequestTooLarge,
    /// The node answered with an error.
    #[error("{url}: {error}")]
    Rpc {
        /// Which node.
        url: String,
        /// The error with its code and data.
        error: Box<ErrorObject>,
    },
}

impl ClientError {
    /// The kind of error that the node answered with, if it did and this version knows it.
    #[must_use]
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Rpc { error, .. } => error.kind(),
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Protocol { .. }
            | Self::RequestTooLarge => None,
        }
    }

    /// Whether another node may answer where this one did not.
    #[must_use]
    pub fn is_node_fault(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Protocol { .. } => true,
            Self::RequestTooLarge => false,
            Self::Rpc { error, .. } => error.kind().is_none_or(ErrorKind::is_retryable),
        }
    }
}

/// Answers of one kind.
pub type Reply<T> = Result<T, ClientError>;

/// A node's interface over HTTP. Cheap to clone; connections are reused.
#[derive(Clone, Debug)]
pub struct Client {
    url: String,
    timeout: Duration,
    http: HttpClient,
}

/// Parameters by name.
struct Named(ObjectParams);

impl Named {
    fn new() -> Self {
        Self(ObjectParams::new())
    }

    /// Adds a parameter.
    fn with(mut self, name: &str, value: impl Serialize) -> Self {
        // Every value is one of our own types, none of which refuses to be written.
        let _ = self.0.insert(name, value);
        self
    }

    /// Adds a parameter if there is one.
    fn maybe(self, name: &str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn proofs(self, proofs: Proofs) -> Self {
        self.with("proof", proofs == Proofs::Include)
    }

    fn block(self, at: BlockAt) -> Self {
        match at {
            BlockAt::Head => self,
            BlockAt::Height(height) => self.with("height", Decimal(height)),
            BlockAt::Id(id) => self.with("block", Shown(id)),
        }
    }
}

impl Client {
    /// A client of the node at this url; connects when first asked.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the url cannot be one of a node.
    pub fn new(url: &str, timeout: Duration) -> Reply<Self> {
        let built = HttpClientBuilder::new()
            .max_request_size(u32::try_from(REQUEST_BYTES_MAX).unwrap_or(u32::MAX))
            .max_response_size(read_bytes_max())
            // Each call has its own deadline, see `call_within`.
            .request_timeout(Duration::MAX)
            .connect_timeout(timeout)
            .build(url);
        let http = built
            .map_err(|reason| ClientError::Unreachable { url: url.to_owned(), reason: reason.to_string() })?;
        Ok(Self { url: url.to_owned(), timeout, http })
    }

    /// For handing many transactions in at the same node, with as much time for each call.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the node is not reached by plain HTTP.
    pub fn bulk(&self) -> Reply<Bulk> {
        Bulk::new(&self.url, self.timeout)
    }

    /// The node's url.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn call<T: DeserializeOwned>(&self, method: &str, parameters: Named) -> Reply<T> {
        self.call_within(self.timeout, method, parameters).await
    }

    async fn call_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        method: &str,
        parameters: Named,
    ) -> Reply<T> {
        match tokio::time::timeout(limit, self.http.request(method, parameters.0)).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) => Err(classify(&self.url, error)),
            Err(_) => {
                let timeout_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                Err(ClientError::TimedOut { url: self.url.clone(), timeout_ms })
            }
        }
    }
}

fn classify(url: &str, error: RpcClientError) -> ClientError {
    let url = url.to_owned();
    match error {
        RpcClientError::Call(error) => ClientError::Rpc { url, error: Box::new(error.into()) },
        RpcClientError::Transport(reason) => match reason.downcast_ref::<TransportError>() {
            Some(TransportError::Rejected { status_code }) if !matches!(status_code, 408 | 429 | 500..) => {
                ClientError::Protocol { url, reason: format!("HTTP status {status_code}") }
            }
            Some(TransportError::Http(HttpError::Malformed | HttpError::TooLarge)) => {
                ClientError::Protocol { url, reason: causes(&*reason) }
            }
            Some(TransportError::RequestTooLarge) => ClientError::RequestTooLarge,
            Some(_) | None => ClientError::Unreachable { url, reason: causes(&*reason) },
        },
        RpcClientError::RestartNeeded(reason) => ClientError::Unreachable { url, reason: causes(&*reason) },
        other => ClientError::Protocol { url, reason: other.to_string() },
    }
}

/// An error with its causes, each said once.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

macro_rules! methods {
    ($($(#[doc = $doc:literal])+ $name:ident($($argument:ident: $type:ty),*) -> $result:ty = $method:literal, $parameters:expr;)*) => {
        /// One method for each method of the interface.
        ///
        /// All fail with [`ClientError`]; all may be cancelled, though a submitted transaction may then
        /// have arrived.
        impl Client {
            $(
                $(#[doc = $doc])+
                ///
                /// # Errors
                /// [`ClientError`], `Rpc` with a stable code if the node answered.
                pub async fn $name(&self $(, $argument: $type)*) -> Reply<$result> {
                    self.call($method, $parameters).await
                }
            )*
        }
    };
}

methods! {
    /// The OpenRPC document of the node's interface.
    discover() -> Value = "rpc.discover", Named::new();
    /// The network, its genesis hash, versions, height and limits.
    chain_info() -> ChainInfo = "chain_info", Named::new();
    /// The newest finalized block.
    head() -> Head = "chain_head", Named::new();
    /// A finalized block.
    block(at: BlockAt, bodies: Bodies) -> Block = "chain_getBlock", match bodies {
        Bodies::Omit => Named::new().block(at),
        Bodies::From(bundle) => Named::new().block(at).with("bodies", true).with("from_bundle", bundle),
    };
    /// The header of a finalized block and what the block did.
    header(at: BlockAt) -> HeaderAnswer = "chain_getHeader", Named::new().block(at);
    /// The proof that a block is final; of the newest certified one without a height.
    finality(height: Option<Height>) -> FinalityAnswer = "chain_getFinality", Named::new().maybe("height", height.map(Decimal));
    /// At most `limit` handovers, 1 to 32, beginning with that into epoch `from`.
    epochs(from: EpochNumber, limit: u32) -> EpochsAnswer = "chain_getEpochs", Named::new().with("from", Decimal(from)).with("limit", limit);
    /// The validators of an epoch; of the newest block's without one.
    validators(epoch: Option<EpochNumber>) -> ValidatorsAnswer = "chain_getValidators", Named::new().maybe("epoch", epoch.map(Decimal));
    /// All evidence that the ledger recorded.
    evidence(proofs: Proofs) -> EvidenceAnswer = "chain_getEvidence", Named::new().proofs(proofs);
    /// Submits a transaction; [`ErrorKind::AlreadyKnown`] if the node has it already.
    submit(transaction: &SignedTransaction) -> Submitted = "tx_submit", Named::new().with("transaction", HexBytes::of(transaction));
    /// Submits up to 1,000 transactions that together fit a request.
    submit_many(transactions: &[SignedTransaction]) -> SubmitManyAnswer = "tx_submitMany",
        Named::new().with("transactions", transactions.iter().map(HexBytes::of).collect::<Vec<_>>());
    /// All that is known of a transaction.
    transaction(id: Hash, proofs: Proofs) -> TransactionAnswer = "tx_get", Named::new().with("tx_id", Shown(id)).proofs(proofs);
    /// How a transaction stands.
    transaction_status(id: Hash) -> TransactionStatus = "tx_status", Named::new().with("tx_id", Shown(id));
    /// Up to 100 values of the state.
    state(keys: &[StateKey], proofs: Proofs) -> StateAnswer = "state_get",
        Named::new().with("keys", keys.iter().map(HexBytes::of).collect::<Vec<_>>()).proofs(proofs);
    /// An account, or its absence.
    account(id: AccountId, proofs: Proofs) -> AccountAnswer = "account_get", Named::new().with("account", Shown(id)).proofs(proofs);
    /// All balances of an account.
    balances(id: AccountId, proofs: Proofs) -> BalancesAnswer = "account_getBalances", Named::new().with("account", Shown(id)).proofs(proofs);
    /// An asset, or its absence.
    asset(id: AssetId, proofs: Proofs) -> AssetAnswer = "asset_get", Named::new().with("asset", Shown(id)).proofs(proofs);
    /// A page of assets after an id.
    assets(after: Option<AssetId>, limit: u32) -> AssetPage = "asset_list", Named::new().maybe("after", after.map(Shown)).with("limit", limit);
    /// How the node is.
    node_status() -> NodeStatus = "node_status", Named::new();
    /// The node's peers.
    node_peers() -> PeersAnswer = "node_peers", Named::new();
    /// The transactions that wait at the node.
    mempool_stats() -> MempoolStats = "mempool_stats", Named::new();
}

impl Client {
    /// Submits a transaction and waits until it is final or expired, at most for `limit`; then it is
    /// answered as pending. Submitting one that the node has already is waiting for it.
    ///
    /// # Errors
    /// [`ClientError`], `Rpc` with a stable code if the node refused the transaction.
    pub async fn submit_and_wait(
        &self,
        transaction: &SignedTransaction,
        limit: Duration,
        proofs: Proofs,
    ) -> Reply<TransactionAnswer> {
        let timeout_ms = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
        let parameters = Named::new()
            .with("transaction", HexBytes::of(transaction))
            .with("timeout_ms", timeout_ms)
            .proofs(proofs);
        self.call_within(self.timeout.saturating_add(limit), "tx_submitAndWait", parameters).await
    }
}
