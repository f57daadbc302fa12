//! What clients ask a running node, answered from the last committed block.
//!
//! Answers about the state are as of the newest block that has a certificate of its own, with and
//! without proofs, so that what is shown is what can be proven. Reads of the store happen on threads
//! that may block.
mod blocks;
mod node;
mod state;
mod transactions;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use quorate_genesis::Genesis;
use quorate_ledger::store::StoreError;
use quorate_ledger::{Reader, State};
use quorate_primitives::address::AccountId;
use quorate_primitives::light::FinalityProof;
use quorate_primitives::state::{AssetId, StateKey};
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{EpochNumber, Hash, Height, PublicKey, Timestamp};
use quorate_rpc::backend::{Answer, BlockAt, Bodies, EventStream, Proofs, Waited};
use quorate_rpc::json::{
    AccountAnswer, AssetAnswer, AssetPage, BalancesAnswer, Block, ChainInfo, Cursor, FinalityAnswer, Head,
    HeadEvent, HeaderAnswer, MempoolStats, NodeStatus, PeersAnswer, StateAnswer, TransactionAnswer,
    TransactionEvent, TransactionStatus, ValidatorsAnswer,
};
use quorate_rpc::{ApiError, Backend, ErrorKind};

use super::driver::DriverHandle;
use super::feed::Feed;

/// A running node as its clients see it. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    driver: DriverHandle,
    feed: Arc<Feed>,
    identity: Arc<Identity>,
}

/// What does not change while a node runs.
pub struct Identity {
    /// The founding document.
    pub genesis: Genesis,
    /// Its hash.
    pub chain: Hash,
    /// The node's key.
    pub key: PublicKey,
    /// For people.
    pub name: String,
    /// Since when the node runs.
    pub started: Timestamp,
    /// Bounds of its pool.
    pub pool: quorate_replica::settings::PoolLimits,
}

impl Api {
    /// Answers from this driver.
    #[must_use]
    pub fn new(driver: DriverHandle, feed: Arc<Feed>, identity: Identity) -> Self {
        Self { driver, feed, identity: Arc::new(identity) }
    }

    /// The newest certified block and the state after it.
    fn certified(&self) -> Answer<(FinalityProof, State)> {
        let none = || ApiError::new(ErrorKind::NotReady, "no block with a certificate of its own yet");
        self.driver.head().certified.clone().ok_or_else(none)
    }

    fn certified_height(&self) -> Option<Height> {
        self.driver.head().certified.as_ref().map(|(proof, _)| proof.header.height)
    }

    /// Reads from the store on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        let reader = self.driver.reader().clone();
        let answered = tokio::task::spawn_blocking(move || question(&reader)).await;
        answered.map_err(ApiError::internal)?.map_err(ApiError::internal)
    }
}

impl Backend for Api {
    fn height(&self) -> Height {
        self.driver.head().executed.height()
    }

    async fn chain_info(&self) -> Answer<ChainInfo> {
        Ok(self.info())
    }

    async fn head(&self) -> Answer<Head> {
        Ok(self.newest())
    }

    async fn block(&self, at: BlockAt, bodies: Bodies) -> Answer<Block> {
        self.block_at(at, bodies).await
    }

    async fn header(&self, at: BlockAt) -> Answer<HeaderAnswer> {
        self.header_at(at).await
    }

    async fn finality(&self, height: Option<Height>) -> Answer<FinalityAnswer> {
        self.finality_of(height).await
    }

    async fn validators(&self, epoch: Option<EpochNumber>) -> Answer<ValidatorsAnswer> {
        self.validators_of(epoch)
    }

    async fn submit(&self, transactions: Vec<SignedTransaction>) -> Vec<Answer<()>> {
        self.take(transactions).await
    }

    async fn wait(&self, id: Hash, valid_until: Timestamp, limit: Duration) -> Waited {
        self.wait_for(id, valid_until, limit).await
    }

    async fn transaction(&self, id: Hash, proofs: Proofs) -> Answer<TransactionAnswer> {
        self.transaction_with(id, proofs).await
    }

    async fn transaction_status(&self, id: Hash) -> Answer<TransactionStatus> {
        self.status_of(id).await
    }

    async fn state(&self, keys: Vec<StateKey>, proofs: Proofs) -> Answer<StateAnswer> {
        self.values(keys, proofs)
    }

    async fn account(&self, id: AccountId, proofs: Proofs) -> Answer<AccountAnswer> {
        self.account_of(id, proofs)
    }

    async fn balances(&self, id: AccountId, proofs: Proofs) -> Answer<BalancesAnswer> {
        self.balances_of(id, proofs)
    }

    async fn asset(&self, id: AssetId, proofs: Proofs) -> Answer<AssetAnswer> {
        self.asset_of(id, proofs)
    }

    async fn assets(&self, after: Option<AssetId>, limit: u32) -> Answer<AssetPage> {
        self.asset_page(after, limit)
    }

    async fn node_status(&self) -> Answer<NodeStatus> {
        Ok(self.node())
    }

    async fn node_peers(&self) -> Answer<PeersAnswer> {
        Ok(self.connected_peers())
    }

    async fn mempool_stats(&self) -> Answer<MempoolStats> {
        Ok(self.pool())
    }

    async fn heads(&self, from: Option<Cursor>) -> Answer<EventStream<HeadEvent>> {
        Ok(self.follow_heads(from).boxed())
    }

    async fn transaction_events(&self, id: Hash) -> Answer<EventStream<TransactionEvent>> {
        Ok(self.follow_transaction(id).boxed())
    }
}
