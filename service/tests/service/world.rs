//! A small ledger, and a node without a network that answers from it.
use futures::{FutureExt, StreamExt, stream};
use quorate_genesis::Genesis;
use quorate_genesis::build::{AssetDraft, Draft};
use quorate_ledger::store::{Memory, Store};
use quorate_ledger::{Executed, Ledger};
use quorate_primitives::address::AccountId;
use quorate_primitives::block::{Header, PROTOCOL_VERSION, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::{Certificate, Claim};
use quorate_primitives::codec::{Blob, List, Text};
use quorate_primitives::evidence::{Accusation, Evidence};
use quorate_primitives::keys::KnownKeys;
use quorate_primitives::light::{Handover, TrustedEpoch};
use quorate_primitives::signed::{Verified, verify_bundle};
use quorate_primitives::state::{AssetId, Capabilities, StateKey};
use quorate_primitives::transaction::{
    Action, Operation, Quantity, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::validators::{Signers, Validator};
use quorate_primitives::{Amount, EpochNumber, Hash, Height, SecretKey, Timestamp, View};
use quorate_replica::{Admitted, PoolLimits, Status, Voice};
use quorate_rpc::backend::{Answer, Backend, BlockAt, Bodies, EventStream, Proofs, Waited};
use quorate_rpc::json::{self, Cursor};
use quorate_rpc::{Direct, Limits};
use quorate_service::{Connection, Identity, Snapshot, submission};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Time of height 0.
pub(crate) const START: u64 = 1_800_000_000_000;

pub(crate) fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32].into())
}

fn genesis(epoch_length: u64) -> Genesis {
    let mut draft = Draft::new("devnet", "qdev", Timestamp::new(START));
    draft.organisation("acme", "Acme", "admin").account("admin", "acme", key(11).public_key());
    for (name, number) in [("n1", 1), ("n2", 2), ("n3", 3), ("n4", 4)] {
        draft.validator(name, "acme", key(number).public_key());
    }
    draft.account("alice", "acme", key(12).public_key()).account("bob", "acme", key(13).public_key());
    draft.asset(AssetDraft {
        symbol: "USD".to_owned(),
        name: "US Dollar".to_owned(),
        decimals: 2,
        cap: "1000000.00".to_owned(),
        capabilities: Capabilities::MINTABLE,
        issuer: "admin".to_owned(),
    });
    draft.balance("alice", "USD", "1000.00");
    draft.account("board", "acme", key(14).public_key());
    draft.governance = Some("board".to_owned());
    draft.parameters.epoch_length = epoch_length;
    draft.build().unwrap()
}

/// The ledger of a node, and what is known of it beside the ledger.
pub(crate) struct World {
    pub(crate) genesis: Genesis,
    store: Arc<Memory>,
    ledger: Ledger,
    /// The epoch of the next block, as a client knows it that follows every handover.
    pub(crate) trusted: TrustedEpoch,
    pub(crate) voice: Voice,
    identity: Arc<Identity>,
    /// When a transaction expires that the node took, or nothing.
    pub(crate) pending: Option<Timestamp>,
}

/// Whether a block gets a certificate of its own.
#[derive(Clone, Copy)]
pub(crate) enum Own {
    Certificate,
    Nothing,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_epochs_of(1 << 40)
    }

    /// A ledger whose epochs have so many blocks.
    pub(crate) fn with_epochs_of(length: u64) -> Self {
        let (genesis, store) = (genesis(length), Arc::new(Memory::new()));
        let ledger = Ledger::open(Arc::clone(&store) as Arc<dyn Store>, &genesis).unwrap();
        let identity = Identity {
            genesis: genesis.clone(),
            chain: genesis.hash(),
            key: key(1).public_key(),
            name: "n1".to_owned(),
            started: Timestamp::new(START),
            pool: PoolLimits::default(),
        };
        let (trusted, identity) = (genesis.trusted(), Arc::new(identity));
        Self { genesis, store, ledger, trusted, voice: Voice::Free, identity, pending: None }
    }

    /// The same ledger, read again by a new process.
    pub(crate) fn reopened(mut self) -> Self {
        self.ledger = Ledger::open(Arc::clone(&self.store) as Arc<dyn Store>, &self.genesis).unwrap();
        self
    }

    /// Three blocks: a payment, another one without a certificate of its own, and nothing.
    pub(crate) fn with_blocks() -> (Self, [Hash; 2]) {
        let mut world = Self::new();
        let (first, second) = (world.payment(5), world.payment(7));
        let ids = [first.id(), second.id()];
        world.commit(vec![first], Own::Certificate);
        world.commit(vec![second], Own::Nothing);
        world.commit(Vec::new(), Own::Certificate);
        (world, ids)
    }

    pub(crate) fn account(&self, name: &str) -> AccountId {
        self.genesis.account_named(name).unwrap()
    }

    pub(crate) fn usd() -> AssetId {
        AssetId::derive(&"USD".parse().unwrap())
    }

    /// So much from Alice to Bob, valid for the first minute.
    pub(crate) fn payment(&self, amount: u128) -> SignedTransaction {
        let quantity = Quantity::Exact(Amount::new(amount));
        let to = self.account("bob");
        let operation = Operation::Transfer { asset: Self::usd(), to, quantity, tag: None };
        self.transaction(("alice", 12), amount, operation)
    }

    /// Adds a validator with the key of this number.
    pub(crate) fn addition(&self, number: u8) -> SignedTransaction {
        let validator = Validator {
            name: Text::new(&format!("n{number}")).unwrap(),
            organisation: "acme".parse().unwrap(),
            key: key(number).public_key(),
        };
        let possession = validator.prove_possession(&self.genesis.hash(), &key(number));
        let operation = Operation::ValidatorAdd { validator, possession };
        self.transaction(("board", 14), u128::from(number), operation)
    }

    fn transaction(&self, sender: (&str, u8), nonce: u128, operation: Operation) -> SignedTransaction {
        let (name, number) = sender;
        let transaction = Transaction {
            chain: self.genesis.hash(),
            version: TRANSACTION_VERSION,
            sender: self.account(name),
            nonce: nonce.to_be_bytes(),
            valid_until: Timestamp::new(START + 60_000),
            actions: List::new(vec![Action { actor: None, operation }]).unwrap(),
            asserts: List::default(),
            reference: Blob::default(),
            memo: Blob::default(),
            signers: List::new(vec![key(number).public_key()]).unwrap(),
        };
        transaction.sign(&[key(number)]).unwrap()
    }

    /// The validator at an index of the current epoch, caught with two votes for different blocks.
    pub(crate) fn accusation(&self, index: u8) -> Accusation {
        let view = View::new(1);
        let vote = |byte| {
            let block = Hash::from_bytes([byte; 32]);
            Claim::Notarize { view, block }.sign(&self.trusted.context(), index, &self.secret(index))
        };
        let evidence = Evidence { first: vote(1), second: vote(2) };
        let validator = *self.trusted.validators().key(index).unwrap();
        Accusation { identity: *self.trusted.identity(), validator, evidence }
    }

    /// The key of the validator at an index of the current epoch.
    fn secret(&self, index: u8) -> SecretKey {
        let public = self.trusted.validators().key(index).unwrap();
        (1..=9).map(key).find(|key| key.public_key() == *public).unwrap()
    }

    /// Commits a block of these transactions, one second after the last.
    pub(crate) fn commit(&mut self, transactions: Vec<SignedTransaction>, own: Own) {
        let bundle = |signed| Bundle::from_shared(0, 0, vec![Arc::new(signed)], Vec::new()).unwrap();
        self.commit_bundles(transactions.into_iter().map(bundle).collect(), own);
    }

    /// Commits a block that accuses a validator.
    pub(crate) fn accuse(&mut self, accusation: Accusation) {
        let bundle = Bundle::from_shared(0, 0, Vec::new(), vec![accusation]).unwrap();
        self.commit_bundles(vec![bundle], Own::Certificate);
    }

    /// Commits empty blocks up to this height.
    pub(crate) fn advance_to(&mut self, height: u64) {
        while self.ledger.head().height().get() < height {
            self.commit(Vec::new(), Own::Certificate);
        }
    }

    fn commit_bundles(&mut self, bundles: Vec<Bundle>, own: Own) {
        let (mut known, mut rng) = (KnownKeys::default(), StdRng::seed_from_u64(9));
        let bundles: Vec<Verified<Bundle>> =
            bundles.into_iter().map(|bundle| verify_bundle(bundle, &mut known, &mut rng).unwrap()).collect();
        let parent = self.ledger.head().clone();
        let begins = parent.height().get().is_multiple_of(self.genesis.parameters.epoch_length);
        let parent_view = if begins { View::ZERO } else { parent.view() };
        let ids = bundles.iter().map(|bundle| bundle.id()).collect();
        let header = Header {
            chain: self.genesis.hash(),
            version: PROTOCOL_VERSION,
            epoch: self.trusted.number(),
            view: parent_view.next(),
            height: parent.height().next(),
            parent_view,
            parent: parent.block(),
            time: parent.time().saturating_add(1_000),
            proposer: 0,
            payload_root: Payload { bundles: List::new(ids).unwrap() }.root(),
        };
        let executed = self.ledger.execute(&parent, &header, &bundles);
        let certificate = matches!(own, Own::Certificate).then(|| self.certify(&executed));
        self.ledger.commit(executed, &bundles, certificate.clone()).unwrap();
        if header.height == self.trusted.last() {
            let boundary = self.ledger.reader().finality(header.height).unwrap().unwrap();
            let next = self.trusted.number().next();
            let validators = self.ledger.head().state().validators(next).unwrap();
            self.trusted = Handover { boundary, validators }.verify(&self.trusted).unwrap();
        }
    }

    /// A certificate of the smallest quorum.
    fn certify(&self, executed: &Executed) -> Certificate {
        let outcome = executed.outcome().digest();
        let claim = Claim::Finalize { view: executed.view(), block: executed.block(), outcome };
        let signers = Signers::all(self.trusted.validators().quorum());
        let signature = |index| claim.sign(&self.trusted.context(), index, &self.secret(index)).signature;
        Certificate {
            claim,
            signers,
            signatures: List::new(signers.iter().map(signature).collect()).unwrap(),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let identity = Arc::clone(&self.identity);
        Snapshot::new(self.ledger.head().clone(), self.ledger.certified(), self.ledger.reader(), identity)
    }

    /// A node that answers from this ledger.
    pub(crate) fn serve(self) -> Served {
        Served(Direct::new(Arc::new(self), Limits::default()))
    }
}

/// A node that is asked in the bytes that clients send.
pub(crate) struct Served(Direct<World>);

impl Served {
    /// The whole answer.
    pub(crate) fn call(&self, method: &str, params: &Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = self.0.answer(request.to_string().into_bytes()).now_or_never().unwrap();
        serde_json::from_slice(&answer).unwrap()
    }

    /// The result as a client reads it.
    pub(crate) fn ask<T: DeserializeOwned>(&self, method: &str, params: &Value) -> T {
        let answer = self.call(method, params);
        T::deserialize(&answer["result"]).unwrap_or_else(|reason| panic!("{method}: {reason}: {answer}"))
    }

    /// The name of the error.
    pub(crate) fn fault(&self, method: &str, params: &Value) -> String {
        let answer = self.call(method, params);
        answer["error"]["data"]["name"].as_str().unwrap_or_else(|| panic!("{method}: {answer}")).to_owned()
    }
}

pub(crate) fn status(voice: Voice) -> Status {
    Status {
        index: Some(0),
        epoch: EpochNumber::new(6),
        epoch_last: Height::new(70),
        voice,
        validators: 4,
        connected: 2,
        view: View::new(4),
        leader: 3,
        finalized_view: View::new(3),
        height: Height::new(3),
        block: Hash::ZERO,
        pool_transactions: 1,
        pool_senders: 2,
        pool_bytes: 3,
        bundles: 4,
        bundles_bytes: 5,
        open_blocks: 6,
        timeout_ms: 100,
        syncing: false,
        stall: None,
    }
}

impl Backend for World {
    fn height(&self) -> Height {
        self.snapshot().height()
    }

    async fn chain_info(&self) -> Answer<json::ChainInfo> {
        self.snapshot().chain_info()
    }

    async fn head(&self) -> Answer<json::Head> {
        self.snapshot().head()
    }

    async fn block(&self, at: BlockAt, bodies: Bodies) -> Answer<json::Block> {
        self.snapshot().block(at, bodies)
    }

    async fn header(&self, at: BlockAt) -> Answer<json::HeaderAnswer> {
        self.snapshot().header(at)
    }

    async fn finality(&self, height: Option<Height>) -> Answer<json::FinalityAnswer> {
        self.snapshot().finality(height)
    }

    async fn validators(&self, epoch: Option<EpochNumber>) -> Answer<json::ValidatorsAnswer> {
        self.snapshot().validators(epoch)
    }

    async fn epochs(&self, from: EpochNumber, limit: u32) -> Answer<json::EpochsAnswer> {
        self.snapshot().epochs(from, limit)
    }

    async fn evidence(&self, proofs: Proofs) -> Answer<json::EvidenceAnswer> {
        self.snapshot().evidence(proofs)
    }

    async fn submit(&self, transactions: Vec<SignedTransaction>) -> Vec<Answer<()>> {
        transactions.into_iter().map(|_| submission::admitted(Admitted::AlreadyPending)).collect()
    }

    async fn wait(&self, id: Hash, valid_until: Timestamp, _: Duration) -> Waited {
        self.snapshot().waited(&id, valid_until).unwrap().unwrap_or(Waited::TimedOut)
    }

    async fn transaction(&self, id: Hash, proofs: Proofs) -> Answer<json::TransactionAnswer> {
        self.snapshot().transaction(id, self.pending, proofs)
    }

    async fn transaction_status(&self, id: Hash) -> Answer<json::TransactionStatus> {
        self.snapshot().transaction_status(id, self.pending)
    }

    async fn state(&self, keys: Vec<StateKey>, proofs: Proofs) -> Answer<json::StateAnswer> {
        self.snapshot().state(keys, proofs)
    }

    async fn account(&self, id: AccountId, proofs: Proofs) -> Answer<json::AccountAnswer> {
        self.snapshot().account(id, proofs)
    }

    async fn balances(&self, id: AccountId, proofs: Proofs) -> Answer<json::BalancesAnswer> {
        self.snapshot().balances(id, proofs)
    }

    async fn asset(&self, id: AssetId, proofs: Proofs) -> Answer<json::AssetAnswer> {
        self.snapshot().asset(id, proofs)
    }

    async fn assets(&self, after: Option<AssetId>, limit: u32) -> Answer<json::AssetPage> {
        self.snapshot().assets(after, limit)
    }

    async fn node_status(&self) -> Answer<json::NodeStatus> {
        Ok(self.snapshot().node_status(&status(self.voice), 2))
    }

    async fn node_peers(&self) -> Answer<json::PeersAnswer> {
        let peer =
            |number| Connection { key: key(number).public_key(), address: format!("192.0.2.{number}:1") };
        self.snapshot().node_peers(vec![peer(3), peer(5)])
    }

    async fn mempool_stats(&self) -> Answer<json::MempoolStats> {
        Ok(self.snapshot().mempool_stats(&status(self.voice)))
    }

    async fn heads(&self, from: Option<Cursor>) -> Answer<EventStream<json::HeadEvent>> {
        let snapshot = self.snapshot();
        let first = from.map_or(snapshot.height(), |cursor| cursor.height).next().get();
        let events = (first..=snapshot.height().get())
            .map(move |height| snapshot.head_event(Height::new(height), None));
        Ok(stream::iter(events.collect::<Vec<_>>()).boxed())
    }

    async fn transaction_events(&self, _: Hash) -> Answer<EventStream<json::TransactionEvent>> {
        Ok(stream::empty().boxed())
    }
}
