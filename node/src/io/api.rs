//! What clients ask a running node: its sockets, threads and waiting around [`quorate_service`].
//!
//! Each question is answered from one [`Snapshot`], taken when it comes in. What has to read the store
//! happens on a thread that may block.
mod heads;
mod transactions;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use quorate_primitives::address::AccountId;
use quorate_primitives::state::{AssetId, StateKey};
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{EpochNumber, Hash, Height, Timestamp};
use quorate_rpc::backend::{Answer, BlockAt, Bodies, EventStream, Proofs, Waited};
use quorate_rpc::json::{
    AccountAnswer, AssetAnswer, AssetPage, BalancesAnswer, Block, ChainInfo, Cursor, EpochsAnswer,
    EvidenceAnswer, FinalityAnswer, Head, HeadEvent, HeaderAnswer, MempoolStats, NodeStatus, PeersAnswer,
    StateAnswer, TransactionAnswer, TransactionEvent, TransactionStatus, ValidatorsAnswer,
};
use quorate_rpc::{ApiError, Backend};
use quorate_service::{Connection, Snapshot};

use super::driver::DriverHandle;
use super::feed::Feed;

pub use quorate_service::Identity;

/// A running node as its clients see it. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    driver: DriverHandle,
    feed: Arc<Feed>,
    identity: Arc<Identity>,
}

impl Api {
    /// Answers from this driver.
    #[must_use]
    pub fn new(driver: DriverHandle, feed: Arc<Feed>, identity: Identity) -> Self {
        Self { driver, feed, identity: Arc::new(identity) }
    }

    /// What the node knows now.
    fn snapshot(&self) -> Snapshot {
        let head = self.driver.head();
        let (reader, identity) = (self.driver.reader().clone(), Arc::clone(&self.identity));
        Snapshot::new(head.executed.clone(), head.certified.clone(), reader, identity)
    }

    /// Answers from a snapshot taken now, on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Snapshot) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let snapshot = self.snapshot();
        tokio::task::spawn_blocking(move || question(&snapshot)).await.map_err(ApiError::internal)?
    }

    /// The peers with which a connection stands.
    fn connections(&self) -> Vec<Connection> {
        let connected = self.driver.peers().into_iter().filter(|peer| peer.connected);
        connected.map(|peer| Connection { key: peer.key, address: peer.address }).collect()
    }

    /// Whether the node is where the others are, and can vote or serve proven answers.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.unready_because().is_none()
    }

    /// Why it is not, in plain words.
    #[must_use]
    pub fn unready_because(&self) -> Option<String> {
        self.snapshot().unready_because(&self.driver.status())
    }
}

impl Backend for Api {
    fn height(&self) -> Height {
        self.driver.head().executed.height()
    }

    async fn chain_info(&self) -> Answer<ChainInfo> {
        self.snapshot().chain_info()
    }

    async fn head(&self) -> Answer<Head> {
        self.ask(Snapshot::head).await
    }

    async fn block(&self, at: BlockAt, bodies: Bodies) -> Answer<Block> {
        self.ask(move |snapshot| snapshot.block(at, bodies)).await
    }

    async fn header(&self, at: BlockAt) -> Answer<HeaderAnswer> {
        self.ask(move |snapshot| snapshot.header(at)).await
    }

    async fn finality(&self, height: Option<Height>) -> Answer<FinalityAnswer> {
        self.ask(move |snapshot| snapshot.finality(height)).await
    }

    async fn validators(&self, epoch: Option<EpochNumber>) -> Answer<ValidatorsAnswer> {
        self.ask(move |snapshot| snapshot.validators(epoch)).await
    }

    async fn epochs(&self, from: EpochNumber, limit: u32) -> Answer<EpochsAnswer> {
        self.ask(move |snapshot| snapshot.epochs(from, limit)).await
    }

    async fn evidence(&self, proofs: Proofs) -> Answer<EvidenceAnswer> {
        self.snapshot().evidence(proofs)
    }

    fn busy_ms(&self) -> Option<u64> {
        self.driver.busy_ms()
    }

    fn is_known(&self, transaction: &SignedTransaction) -> bool {
        self.feed.pending(&transaction.id()).is_some() || self.snapshot().remembers(transaction)
    }

    async fn submit(&self, transactions: Vec<SignedTransaction>) -> Vec<Answer<()>> {
        self.take(transactions).await
    }

    async fn wait(&self, id: Hash, valid_until: Timestamp, limit: Duration) -> Waited {
        self.wait_for(id, valid_until, limit).await
    }

    async fn transaction(&self, id: Hash, proofs: Proofs) -> Answer<TransactionAnswer> {
        let feed = Arc::clone(&self.feed);
        self.ask(move |snapshot| snapshot.transaction(id, feed.pending(&id), proofs)).await
    }

    async fn transaction_status(&self, id: Hash) -> Answer<TransactionStatus> {
        let feed = Arc::clone(&self.feed);
        self.ask(move |snapshot| snapshot.transaction_status(id, feed.pending(&id))).await
    }

    async fn state(&self, keys: Vec<StateKey>, proofs: Proofs) -> Answer<StateAnswer> {
        self.snapshot().state(keys, proofs)
    }

    async fn account(&self, id: AccountId, proofs: Proofs) -> Answer<AccountAnswer> {
        self.snapshot().account(id, proofs)
    }

    async fn balances(&self, id: AccountId, proofs: Proofs) -> Answer<BalancesAnswer> {
        self.snapshot().balances(id, proofs)
    }

    async fn asset(&self, id: AssetId, proofs: Proofs) -> Answer<AssetAnswer> {
        self.snapshot().asset(id, proofs)
    }

    async fn assets(&self, after: Option<AssetId>, limit: u32) -> Answer<AssetPage> {
        self.snapshot().assets(after, limit)
    }

    async fn node_status(&self) -> Answer<NodeStatus> {
        Ok(self.snapshot().node_status(&self.driver.status(), self.connections().len()))
    }

    async fn node_peers(&self) -> Answer<PeersAnswer> {
        self.snapshot().node_peers(self.connections())
    }

    async fn mempool_stats(&self) -> Answer<MempoolStats> {
        Ok(self.snapshot().mempool_stats(&self.driver.status()))
    }

    async fn heads(&self, from: Option<Cursor>) -> Answer<EventStream<HeadEvent>> {
        Ok(self.follow_heads(from).boxed())
    }

    async fn transaction_events(&self, id: Hash) -> Answer<EventStream<TransactionEvent>> {
        Ok(self.follow_transaction(id).boxed())
    }
}
