//! What the server needs from a node. The server checks and decodes what comes from outside; the
//! backend answers questions that are already well formed.
use futures::stream::BoxStream;
use quorate_primitives::address::AccountId;
use quorate_primitives::state::{AssetId, StateKey};
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{EpochNumber, Hash, Height, Timestamp};
use std::future::Future;
use std::time::Duration;

use crate::api::ApiError;
use crate::json::{
    AccountAnswer, AssetAnswer, AssetPage, BalancesAnswer, Block, ChainInfo, Cursor, EpochsAnswer,
    EvidenceAnswer, FinalityAnswer, Head, HeadEvent, HeaderAnswer, MempoolStats, NodeStatus, PeersAnswer,
    StateAnswer, TransactionAnswer, TransactionEvent, TransactionStatus, ValidatorsAnswer,
};

/// Which block is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockAt {
    /// The newest finalized one.
    Head,
    /// The one at this height.
    Height(Height),
    /// The one with this id.
    Id(Hash),
}

/// Whether a block comes with its bundles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// Ids only.
    Omit,
    /// With one page of bundles; see [`crate::json::chain::body_page`].
    From(u32),
}

/// Whether an answer comes with all that is needed to verify it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proofs {
    /// No.
    Omit,
    /// Yes.
    Include,
}

/// How waiting for a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It is in a finalized block, and a certified block at or above it can prove so.
    Final,
    /// A finalized block is later than `valid_until`, and the transaction is in none.
    Expired,
    /// The time is over and neither is known.
    TimedOut,
}

/// Events in order. The stream is asked for one event at a time and must not gather an unbounded
/// number: one that falls behind reads on from stored blocks. It ends when there can be no more, and
/// an error is its last item.
pub type EventStream<T> = BoxStream<'static, Result<T, ApiError>>;

/// Answers of one kind.
pub type Answer<T> = Result<T, ApiError>;

/// A node as the interface sees it.
///
/// Every method may be cancelled at any await point without harm. All answers about the state are as
/// of the newest block that has a certificate of its own, with and without proofs; before there is
/// one they are [`crate::api::ErrorKind::NotReady`].
pub trait Backend: Send + Sync + 'static {
    /// Newest finalized height.
    fn height(&self) -> Height;

    /// The network; leave `limits` empty, the server fills them in.
    fn chain_info(&self) -> impl Future<Output = Answer<ChainInfo>> + Send;

    /// The newest finalized block.
    fn head(&self) -> impl Future<Output = Answer<Head>> + Send;

    /// A finalized block, or [`crate::api::ErrorKind::NotFound`].
    fn block(&self, at: BlockAt, bodies: Bodies) -> impl Future<Output = Answer<Block>> + Send;

    /// The header of a finalized block, or [`crate::api::ErrorKind::NotFound`].
    fn header(&self, at: BlockAt) -> impl Future<Output = Answer<HeaderAnswer>> + Send;

    /// The proof that the block at this height is final; without a height, of the newest certified one.
    fn finality(&self, height: Option<Height>) -> impl Future<Output = Answer<FinalityAnswer>> + Send;

    /// At most `limit` handovers, ascending without gaps, beginning with that into epoch `from`; `from`
    /// is at least 1.
    fn epochs(&self, from: EpochNumber, limit: u32) -> impl Future<Output = Answer<EpochsAnswer>> + Send;

    /// The validators of an epoch; without one, of the newest finalized block's. Known are all past
    /// epochs, the current one and the next two, or it is [`crate::api::ErrorKind::NotFound`].
    fn validators(&self, epoch: Option<EpochNumber>)
    -> impl Future<Output = Answer<ValidatorsAnswer>> + Send;

    /// All evidence that the ledger recorded.
    fn evidence(&self, proofs: Proofs) -> impl Future<Output = Answer<EvidenceAnswer>> + Send;

    /// Takes transactions; one result for each, in the order given. Refusals are
    /// [`crate::api::ErrorKind`]s of submitting, `AlreadyKnown` for one that is pending or included.
    fn submit(&self, transactions: Vec<SignedTransaction>) -> impl Future<Output = Vec<Answer<()>>> + Send;

    /// If no transaction at all can be taken now: after what time to try again, in ms. Asked before a
    /// submission of many is read, so that refusing it costs next to nothing.
    fn busy_ms(&self) -> Option<u64> {
        None
    }

    /// Whether a transaction is pending or included, as far as that can be told at once and without proving
    /// its signatures: asked where it would be refused for lack of room. Must not block.
    fn is_known(&self, _transaction: &SignedTransaction) -> bool {
        false
    }

    /// Waits until the transaction is final and can be proven so, can no longer become final, or the
    /// time is over.
    fn wait(&self, id: Hash, valid_until: Timestamp, limit: Duration) -> impl Future<Output = Waited> + Send;

    /// All that is known of a transaction; state `unknown` for one never seen.
    fn transaction(&self, id: Hash, proofs: Proofs)
    -> impl Future<Output = Answer<TransactionAnswer>> + Send;

    /// How a transaction stands; state `unknown` for one never seen.
    fn transaction_status(&self, id: Hash) -> impl Future<Output = Answer<TransactionStatus>> + Send;

    /// Values of the state, one entry for each key in the order given.
    fn state(&self, keys: Vec<StateKey>, proofs: Proofs) -> impl Future<Output = Answer<StateAnswer>> + Send;

    /// An account, or its absence.
    fn account(&self, id: AccountId, proofs: Proofs) -> impl Future<Output = Answer<AccountAnswer>> + Send;

    /// All balances of an account; none for an account that does not exist.
    fn balances(&self, id: AccountId, proofs: Proofs) -> impl Future<Output = Answer<BalancesAnswer>> + Send;

    /// An asset, or its absence.
    fn asset(&self, id: AssetId, proofs: Proofs) -> impl Future<Output = Answer<AssetAnswer>> + Send;

    /// At most `limit` assets with ids above `after`, ascending.
    fn assets(&self, after: Option<AssetId>, limit: u32) -> impl Future<Output = Answer<AssetPage>> + Send;

    /// How the node is.
    fn node_status(&self) -> impl Future<Output = Answer<NodeStatus>> + Send;

    /// The connected peers.
    fn node_peers(&self) -> impl Future<Output = Answer<PeersAnswer>> + Send;

    /// Transactions that wait to be ordered.
    fn mempool_stats(&self) -> impl Future<Output = Answer<MempoolStats>> + Send;

    /// Every finalized block after the cursor, then new ones as they come; without a cursor only new
    /// ones. A block's cursor is `height:0`.
    fn heads(&self, from: Option<Cursor>) -> impl Future<Output = Answer<EventStream<HeadEvent>>> + Send;

    /// How the transaction stands, now and at each change; ends after final, rejected or expired.
    fn transaction_events(
        &self,
        id: Hash,
    ) -> impl Future<Output = Answer<EventStream<TransactionEvent>>> + Send;
}
