//! A backend with one block, one account, one asset and one transaction, all with true proofs.
use futures::StreamExt;
use futures::stream;
use quorate_primitives::address::AccountId;
use quorate_primitives::block::{Header, Outcome, PROTOCOL_VERSION, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::{Certificate, Claim};
use quorate_primitives::codec::{self, Blob, List, Text};
use quorate_primitives::light::{FinalityProof, Handover, TrustedEpoch};
use quorate_primitives::merkle::{GroupProof, Leaf, ListProof, StateProof, Steps, list_root};
use quorate_primitives::receipt::{Failure, Receipt, Verdict};
use quorate_primitives::state::{
    Account, Asset, AssetId, Authority, Capabilities, OrganisationId, Parameters, StateGroup, StateKey,
    Status, Symbol, value_hash,
};
use quorate_primitives::transaction::{
    Action, Operation, Quantity, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::validators::{Signers, Validator, ValidatorSet};
use quorate_primitives::{Amount, EpochNumber, Hash, Height, SecretKey, Timestamp, View};
use quorate_rpc::api::{ApiError, ErrorKind};
use quorate_rpc::backend::{Answer, Backend, BlockAt, Bodies, EventStream, Proofs, Waited};
use quorate_rpc::json::{self, Cursor, Finality, Shown, TransactionState};
use quorate_rpc::{Limits, Server, Settings};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

pub(crate) struct Fake {
    pub(crate) trusted: TrustedEpoch,
    pub(crate) proof: FinalityProof,
    pub(crate) account: AccountId,
    pub(crate) value: Account,
    pub(crate) transaction: SignedTransaction,
    pub(crate) receipt: Receipt,
    key: SecretKey,
    /// Newest height that subscriptions deliver.
    pub(crate) tip: watch::Sender<u64>,
    /// Open event streams.
    pub(crate) streams: Arc<watch::Sender<usize>>,
    /// Whether it takes no transactions.
    pub(crate) is_busy: AtomicBool,
}

/// What a transaction with this first byte of the nonce meets when it is submitted.
pub(crate) const FATES: &[Option<ErrorKind>] = &[
    None,
    Some(ErrorKind::BadSignature),
    Some(ErrorKind::WrongChain),
    Some(ErrorKind::Expired),
    Some(ErrorKind::TooFarAhead),
    Some(ErrorKind::AlreadyKnown),
    Some(ErrorKind::MempoolFull),
    Some(ErrorKind::SenderFull),
    Some(ErrorKind::Refused(Failure::InsufficientFunds)),
    Some(ErrorKind::Internal),
    Some(ErrorKind::NotReady),
];
/// A key whose value takes for ever.
pub(crate) const NEVER_ANSWERED: StateKey = StateKey::Validators(EpochNumber::MAX);
/// First byte of the nonce of a transaction that nothing is ever heard of again.
pub(crate) const SILENT: u8 = 100;

fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).unwrap()
}

fn symbol() -> Symbol {
    Symbol::new("USD").unwrap()
}

pub(crate) fn transfer(key: &SecretKey, fate: u8, valid_until: u64) -> SignedTransaction {
    let authority = Authority::single(key.public_key());
    let operation = Operation::Transfer {
        asset: AssetId::derive(&symbol()),
        to: AccountId::from_bytes([9; 32]),
        quantity: Quantity::Exact(Amount::new(5)),
        tag: Some([1; 8]),
    };
    let mut nonce = [0; 16];
    nonce[0] = fate;
    let transaction = Transaction {
        chain: Hash::from_bytes([7; 32]),
        version: TRANSACTION_VERSION,
        sender: AccountId::derive(&authority, &[0; 16]),
        nonce,
        valid_until: Timestamp::new(valid_until),
        actions: List::new(vec![Action { actor: None, operation }]).unwrap(),
        asserts: List::default(),
        reference: Blob::default(),
        memo: Blob::default(),
        signers: List::new(vec![key.public_key()]).unwrap(),
    };
    let seed = key.expose_seed();
    transaction.sign(&[SecretKey::from_seed(&seed)]).unwrap()
}

impl Fake {
    pub(crate) fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let keys: Vec<SecretKey> = (0..4).map(|_| SecretKey::generate(&mut rng)).collect();
        let members = keys.iter().zip(["n1", "n2", "n3", "n4"]).map(|(key, name)| Validator {
            name: text(name),
            organisation: OrganisationId::new("bank").unwrap(),
            key: key.public_key(),
        });
        let set = ValidatorSet::new(members.collect()).unwrap();
        let chain = Hash::from_bytes([7; 32]);
        let trusted = TrustedEpoch::genesis(chain, &parameters(), set);
        let key = SecretKey::generate(&mut rng);
        let transaction = transfer(&key, 0, 2_000);
        let receipt = Receipt {
            transaction: transaction.id(),
            verdict: Verdict::Committed,
            events: List::default(),
            balances: List::default(),
        };
        let authority = Authority::single(key.public_key());
        let account = AccountId::derive(&authority, &[0; 16]);
        let organisation = OrganisationId::new("bank").unwrap();
        let value = Account { organisation, authority, label: text("alice"), status: Status::Active };
        let leaf =
            Leaf { path: StateKey::Account(account).path(), value: value_hash(&codec::encode(&value)) };
        let bundle = bundle(&transaction);
        let header = Header {
            chain,
            version: PROTOCOL_VERSION,
            epoch: EpochNumber::ZERO,
            view: View::new(1),
            height: Height::new(1),
            parent_view: View::ZERO,
            parent: chain,
            time: Timestamp::new(1_000),
            proposer: 2,
            payload_root: Payload { bundles: List::new(vec![bundle.id()]).unwrap() }.root(),
        };
        let outcome = Outcome {
            state_root: leaf.hash(),
            receipts_root: list_root(&[receipt.leaf()]),
            history_root: list_root(&[]),
            next_validators: trusted.validators().hash(),
        };
        let claim = Claim::Finalize { view: header.view, block: header.id(), outcome: outcome.digest() };
        let votes =
            keys.iter().take(3).zip(0_u8..).map(|(key, index)| claim.sign(&trusted.context(), index, key));
        let signatures = List::new(votes.map(|vote| vote.signature).collect()).unwrap();
        let certificate = Certificate { claim, signers: Signers::all(3), signatures };
        Self {
            trusted,
            proof: FinalityProof { header, outcome, certificate },
            account,
            value,
            transaction,
            receipt,
            key,
            tip: watch::Sender::new(1),
            streams: Arc::new(watch::Sender::new(0)),
            is_busy: AtomicBool::new(false),
        }
    }

    pub(crate) fn transfer(&self, fate: u8, valid_until: u64) -> SignedTransaction {
        transfer(&self.key, fate, valid_until)
    }

    fn head_at(&self, height: u64) -> json::Head {
        json::Head {
            height: Height::new(height).into(),
            block: self.proof.header.id().into(),
            time: self.proof.header.time.into(),
            view: View::new(height).into(),
            epoch: EpochNumber::ZERO.into(),
            state_root: self.proof.outcome.state_root.into(),
            transactions: 1,
            certified_height: Some(Height::new(1).into()),
        }
    }

    fn finality(&self, proofs: Proofs) -> Option<Finality> {
        (proofs == Proofs::Include).then(|| Finality::of(&self.proof))
    }

    fn check(&self, at: BlockAt) -> Answer<()> {
        let found = match at {
            BlockAt::Head => true,
            BlockAt::Height(height) => height == Height::new(1),
            BlockAt::Id(id) => id == self.proof.header.id(),
        };
        if found {
            Ok(())
        } else {
            Err(ApiError::new(ErrorKind::NotFound, "no such block; the head is at height 1"))
        }
    }

    fn prove(&self, key: &StateKey) -> (Option<Vec<u8>>, StateProof) {
        let own = StateKey::Account(self.account);
        let bytes = codec::encode(&self.value);
        if *key == own {
            return (Some(bytes), StateProof::Present { steps: Steps::default() });
        }
        let neighbour = Leaf { path: own.path(), value: value_hash(&bytes) };
        (None, StateProof::Absent { steps: Steps::default(), neighbour })
    }

    /// From the first epoch, which ends with the only block, to the next one with the same validators.
    pub(crate) fn handover(&self) -> Handover {
        Handover { boundary: self.proof.clone(), validators: self.trusted.validators().clone() }
    }

    fn proven(&self, key: &StateKey, proofs: Proofs) -> Option<json::ValueEvidence> {
        let (value, proof) = self.prove(key);
        Some(json::ValueEvidence::new(self.finality(proofs)?, key, value.as_deref(), &proof))
    }

    /// A stream that counts as open while it lives.
    fn counted<T: Send + 'static>(&self, events: EventStream<T>) -> EventStream<T> {
        struct Open(Arc<watch::Sender<usize>>);
        impl Drop for Open {
            fn drop(&mut self) {
                self.0.send_modify(|open| *open -= 1);
            }
        }
        self.streams.send_modify(|open| *open += 1);
        let open = Open(Arc::clone(&self.streams));
        events
            .inspect(move |_| {
                let _alive = &open;
            })
            .boxed()
    }
}

pub(crate) fn parameters() -> Parameters {
    Parameters {
        max_validity_ms: 3_600_000,
        clock_bound_ms: 500,
        marker_retention_ms: 60_000,
        epoch_length: 1,
        payload_bytes_max: 4 * 1024 * 1024,
    }
}

fn bundle(transaction: &SignedTransaction) -> Bundle {
    Bundle::from_shared(1, 3, vec![Arc::new(transaction.clone())], Vec::new()).unwrap()
}

pub(crate) fn asset() -> Asset {
    Asset {
        symbol: symbol(),
        name: text("US dollar"),
        url: text(""),
        document: None,
        decimals: 2,
        cap: Amount::MAX,
        supply: Amount::new(u128::MAX - 1),
        capabilities: Capabilities::MINTABLE.with(Capabilities::HOLDS),
        issuer: AccountId::from_bytes([3; 32]),
        status: Status::Active,
    }
}

impl Backend for Fake {
    fn height(&self) -> Height {
        Height::new(1)
    }

    async fn chain_info(&self) -> Answer<json::ChainInfo> {
        Ok(json::ChainInfo {
            network: "devnet".to_owned(),
            address_prefix: "qdev".to_owned(),
            chain: self.proof.header.chain.into(),
            protocol_version: PROTOCOL_VERSION,
            software_version: "0.1.0".to_owned(),
            height: self.height().into(),
            epoch: EpochNumber::ZERO.into(),
            validators: 4,
            quorum: 3,
            parameters: (&parameters()).into(),
            limits: None,
        })
    }

    async fn head(&self) -> Answer<json::Head> {
        Ok(self.head_at(1))
    }

    async fn block(&self, at: BlockAt, bodies: Bodies) -> Answer<json::Block> {
        self.check(at)?;
        let bundle = bundle(&self.transaction);
        let ids = vec![bundle.id().into()];
        let (bodies, next_bundle) = match bodies {
            Bodies::Omit => (None, None),
            Bodies::From(from) => {
                let (page, next) = json::chain::body_page(&[bundle], from);
                (Some(page), next)
            }
        };
        Ok(json::Block {
            header: (&self.proof.header).into(),
            outcome: (&self.proof.outcome).into(),
            bundles: ids,
            transactions: vec![self.transaction.id().into()],
            bodies,
            next_bundle,
        })
    }

    async fn header(&self, at: BlockAt) -> Answer<json::HeaderAnswer> {
        self.check(at)?;
        Ok(json::HeaderAnswer { header: (&self.proof.header).into(), outcome: (&self.proof.outcome).into() })
    }

    async fn finality(&self, height: Option<Height>) -> Answer<json::FinalityAnswer> {
        self.check(height.map_or(BlockAt::Head, BlockAt::Height))?;
        Ok(json::FinalityAnswer {
            height: self.height().into(),
            block: self.proof.header.id().into(),
            time: self.proof.header.time.into(),
            certified_height: self.height().into(),
            certificate_view: self.proof.certificate.claim.view().into(),
            signers: self.proof.certificate.signers.iter().collect(),
            proof: Finality::of(&self.proof),
        })
    }

    async fn validators(&self, epoch: Option<EpochNumber>) -> Answer<json::ValidatorsAnswer> {
        let epoch = epoch.unwrap_or(EpochNumber::ZERO);
        let context = (epoch == EpochNumber::ZERO).then(|| self.trusted.context());
        let last = self.trusted.last();
        let place = json::EpochPlace { epoch, first: last, last, context, fixed: true };
        Ok(json::ValidatorsAnswer::new(place, self.trusted.validators()))
    }

    async fn epochs(&self, from: EpochNumber, limit: u32) -> Answer<json::EpochsAnswer> {
        assert!(from > EpochNumber::ZERO && (1..=32).contains(&limit), "the server bounds pages");
        let current = EpochNumber::new(1);
        let handovers = (from == current).then(|| json::EpochHandover::new(current, &self.handover()));
        Ok(json::EpochsAnswer {
            current: current.into(),
            handovers: handovers.into_iter().collect(),
            next: None,
        })
    }

    async fn evidence(&self, proofs: Proofs) -> Answer<json::EvidenceAnswer> {
        let bytes = codec::encode(&self.value);
        let neighbour = Leaf { path: StateKey::Account(self.account).path(), value: value_hash(&bytes) };
        let proof = GroupProof::Absent { steps: Steps::default(), neighbour };
        let finality = self.finality(proofs);
        Ok(json::EvidenceAnswer {
            height: self.height().into(),
            evidence: Vec::new(),
            proof: finality.map(|finality| json::GroupEvidence::new(finality, &[], &proof)),
        })
    }

    fn busy_ms(&self) -> Option<u64> {
        self.is_busy.load(Ordering::Relaxed).then_some(125)
    }

    fn is_known(&self, transaction: &SignedTransaction) -> bool {
        transaction.id() == self.transaction.id()
    }

    async fn submit(&self, transactions: Vec<SignedTransaction>) -> Vec<Answer<()>> {
        let fate = |signed: SignedTransaction| match FATES
            .get(usize::from(signed.transaction().nonce[0]))
            .copied()
            .flatten()
        {
            None => Ok(()),
            Some(kind @ ErrorKind::MempoolFull) => Err(ApiError::from(kind).retry_after(250)),
            Some(kind) => Err(ApiError::from(kind)),
        };
        transactions.into_iter().map(fate).collect()
    }

    async fn wait(&self, id: Hash, valid_until: Timestamp, limit: Duration) -> Waited {
        if id == self.transaction.id() {
            return Waited::Final;
        }
        if valid_until < self.proof.header.time {
            return Waited::Expired;
        }
        tokio::time::sleep(limit).await;
        Waited::TimedOut
    }

    async fn transaction(&self, id: Hash, proofs: Proofs) -> Answer<json::TransactionAnswer> {
        let status = self.transaction_status(id).await?;
        let found = status.height.is_some();
        let proof = ListProof::make(&[self.receipt.leaf()], 0).unwrap();
        let finality = self.finality(proofs).filter(|_| found);
        Ok(json::TransactionAnswer {
            height: self.height().into(),
            status,
            block: found.then(|| self.proof.header.id().into()),
            time: found.then(|| self.proof.header.time.into()),
            receipt: found.then(|| (&self.receipt).into()),
            transaction: found.then(|| (&self.transaction).into()),
            proof: finality.map(|finality| json::ReceiptEvidence::new(finality, &self.receipt, &proof)),
        })
    }

    async fn transaction_status(&self, id: Hash) -> Answer<json::TransactionStatus> {
        if id == self.transaction.id() {
            return Ok(json::TransactionStatus::included(Height::new(1), 0, &self.receipt));
        }
        Ok(json::TransactionStatus::outside(id, TransactionState::Unknown))
    }

    async fn state(&self, keys: Vec<StateKey>, proofs: Proofs) -> Answer<json::StateAnswer> {
        if keys.contains(&NEVER_ANSWERED) {
            std::future::pending::<()>().await;
        }
        let entry = |key: &StateKey| {
            let (value, proof) = self.prove(key);
            json::StateEntry {
                key: json::HexBytes::of(key),
                value: value.map(json::HexBytes),
                state: (proofs == Proofs::Include).then(|| json::HexBytes::of(&proof)),
            }
        };
        let entries = keys.iter().map(entry).collect();
        Ok(json::StateAnswer { height: self.height().into(), entries, finality: self.finality(proofs) })
    }

    async fn account(&self, id: AccountId, proofs: Proofs) -> Answer<json::AccountAnswer> {
        Ok(json::AccountAnswer {
            height: self.height().into(),
            id: id.into(),
            address: "qdev1…".to_owned(),
            account: (id == self.account).then(|| (&self.value).into()),
            proof: self.proven(&StateKey::Account(id), proofs),
        })
    }

    async fn balances(&self, id: AccountId, proofs: Proofs) -> Answer<json::BalancesAnswer> {
        let bytes = codec::encode(&self.value);
        let neighbour = Leaf { path: StateKey::Account(self.account).path(), value: value_hash(&bytes) };
        assert_eq!(StateGroup::Balances(id), StateKey::Balance(id, AssetId::derive(&symbol())).group());
        let proof = GroupProof::Absent { steps: Steps::default(), neighbour };
        let finality = self.finality(proofs);
        Ok(json::BalancesAnswer {
            height: self.height().into(),
            account: id.into(),
            balances: Vec::new(),
            proof: finality.map(|finality| json::GroupEvidence::new(finality, &[], &proof)),
        })
    }

    async fn asset(&self, id: AssetId, proofs: Proofs) -> Answer<json::AssetAnswer> {
        Ok(json::AssetAnswer {
            height: self.height().into(),
            id: id.into(),
            asset: (id == AssetId::derive(&symbol())).then(|| (&asset()).into()),
            proof: self.proven(&StateKey::Asset(id), proofs),
        })
    }

    async fn assets(&self, after: Option<AssetId>, limit: u32) -> Answer<json::AssetPage> {
        assert!((1..=100).contains(&limit), "the server bounds pages");
        let id = AssetId::derive(&symbol());
        let rows = if after.is_none_or(|after| after < id) {
            vec![json::AssetEntry { id: id.into(), asset: (&asset()).into() }]
        } else {
            Vec::new()
        };
        Ok(json::AssetPage { height: self.height().into(), assets: rows, next: None })
    }

    async fn node_status(&self) -> Answer<json::NodeStatus> {
        Ok(json::NodeStatus {
            name: "n1".to_owned(),
            version: "0.1.0".to_owned(),
            key: self.key.public_key().into(),
            validator: Some(0),
            voting: json::Voting::Silent,
            voting_from: Some(View::new(9).into()),
            started: Timestamp::new(500).into(),
            height: self.height().into(),
            block_time: self.proof.header.time.into(),
            certified_height: Some(self.height().into()),
            epoch: EpochNumber::ZERO.into(),
            epoch_last_height: self.trusted.last().into(),
            view: View::new(2).into(),
            leader: Some(3),
            syncing: false,
            ready: true,
            peers: 3,
            validators_connected: 4,
            pending_transactions: 0.into(),
            not_progressing: None,
        })
    }

    async fn node_peers(&self) -> Answer<json::PeersAnswer> {
        Ok(json::PeersAnswer { peers: Vec::new() })
    }

    async fn mempool_stats(&self) -> Answer<json::MempoolStats> {
        let [transactions, bytes, senders, bundles, transactions_max, bytes_max] =
            [1, 2, 3, 4, 5, 6].map(json::Decimal);
        Ok(json::MempoolStats { transactions, bytes, senders, bundles, transactions_max, bytes_max })
    }

    async fn heads(&self, from: Option<Cursor>) -> Answer<EventStream<json::HeadEvent>> {
        let first = from.map_or_else(|| *self.tip.borrow(), |cursor| cursor.height.get()) + 1;
        let event = |height| {
            let cursor = Cursor { height: Height::new(height), index: 0 };
            json::HeadEvent { cursor: Shown(cursor), head: self.head_at(height) }
        };
        let example = event(0);
        let events = stream::unfold((first, self.tip.subscribe()), move |(height, mut tip)| {
            let mut event = example.clone();
            async move {
                tip.wait_for(|tip| *tip >= height).await.ok()?;
                event.cursor.0.height = Height::new(height);
                event.head.height.0 = Height::new(height);
                Some((Ok(event), (height + 1, tip)))
            }
        });
        Ok(self.counted(events.boxed()))
    }

    async fn transaction_events(&self, id: Hash) -> Answer<EventStream<json::TransactionEvent>> {
        let cursor = Shown(Cursor { height: Height::new(1), index: 0 });
        let pending = json::TransactionStatus::outside(id, TransactionState::Pending);
        let status = self.transaction_status(id).await?;
        let events = [pending, status].map(|status| Ok(json::TransactionEvent { cursor, status }));
        Ok(self.counted(stream::iter(events).boxed()))
    }
}

/// A server of the fake with these bounds, on a free port.
pub(crate) async fn serve(limits: Limits) -> (Server, Arc<Fake>) {
    let fake = Arc::new(Fake::new());
    let settings = Settings { limits, ..Settings::new("127.0.0.1:0".parse().unwrap()) };
    let server = Server::start(settings, Arc::clone(&fake)).await.unwrap();
    (server, fake)
}
