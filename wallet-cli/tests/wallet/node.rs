//! An honest node over a world in memory.
use futures::stream;
use quorate_primitives::address::{AccountId, Address};
use quorate_primitives::evidence::RecordedEvidence;
use quorate_primitives::keys::SignatureCheck;
use quorate_primitives::light::Handover;
use quorate_primitives::merkle::ListProof;
use quorate_primitives::receipt::Receipt;
use quorate_primitives::state::{Account, Asset, AssetId, Balance, StateGroup, StateKey};
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{EpochNumber, Hash, Height, Timestamp, codec};
use quorate_rpc::backend::{Answer, BlockAt, Bodies, EventStream, Proofs, Waited};
use quorate_rpc::json::{
    self, GroupEvidence, ReceiptEvidence, TransactionState, TransactionStatus, ValueEvidence,
};
use quorate_rpc::{Backend, ErrorKind, Server, Settings};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::runtime::Runtime;

use super::governance;
use super::tree;
use super::world::{World, now};

/// What the node does with transactions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Takes them into a block at once.
    Include,
    /// Takes them into a block without a certificate of its own, and certifies the next one.
    IncludeUncertified,
    /// Takes them, and forgets them.
    Forget,
    /// Takes them, and makes a block without them.
    Skip,
    /// Takes them, and lets the chain run on without them until they have expired.
    Expire,
    /// Does not take them.
    Refuse(ErrorKind),
}

pub(crate) struct Honest {
    pub(crate) world: Mutex<World>,
    pub(crate) mode: Mutex<Mode>,
    /// Transactions that were given to the node, repetitions included.
    pub(crate) given: Mutex<Vec<SignedTransaction>>,
}

/// A running node. Stops when dropped.
pub(crate) struct Node {
    pub(crate) backend: Arc<Honest>,
    pub(crate) url: String,
    _server: Server,
    _runtime: Runtime,
}

impl Node {
    pub(crate) fn start(world: World) -> Self {
        let mode = Mutex::new(Mode::Include);
        let backend = Arc::new(Honest { world: Mutex::new(world), mode, given: Mutex::default() });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let server = runtime.block_on(Server::start(Settings::new(address), Arc::clone(&backend))).unwrap();
        Self { backend, url: format!("http://{}", server.address()), _server: server, _runtime: runtime }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.backend.world.lock().unwrap()
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        *self.backend.mode.lock().unwrap() = mode;
    }

    pub(crate) fn given(&self) -> Vec<SignedTransaction> {
        self.backend.given.lock().unwrap().clone()
    }
}

impl World {
    /// The answer to `account_getBalances` after a block.
    pub(crate) fn balances_at(&self, position: usize, id: AccountId) -> json::BalancesAnswer {
        let block = &self.blocks[position];
        let (values, proof) = tree::prove_group(&block.state, &StateGroup::Balances(id));
        let entry = |(key, value): &(StateKey, Vec<u8>)| {
            let StateKey::Balance(_, asset) = key else { unreachable!("only balances are in the group") };
            let known: Asset = codec::decode(&block.state[&StateKey::Asset(*asset)], usize::MAX).unwrap();
            json::BalanceEntry {
                asset: (*asset).into(),
                symbol: Some(known.symbol.into()),
                decimals: Some(known.decimals),
                balance: (&codec::decode::<Balance>(value, usize::MAX).unwrap()).into(),
            }
        };
        json::BalancesAnswer {
            height: block.header.height.into(),
            account: id.into(),
            balances: values.iter().map(entry).collect(),
            proof: Some(GroupEvidence::new(self.finality(position), &values, &proof)),
        }
    }

    /// What shows one value, or its absence, after the newest block.
    pub(crate) fn evidence(&self, key: &StateKey) -> ValueEvidence {
        let state = &self.head().state;
        let value = state.get(key).map(Vec::as_slice);
        ValueEvidence::new(self.finality(self.blocks.len() - 1), key, value, &tree::prove(state, key))
    }

    /// What shows what a transaction did.
    pub(crate) fn receipt_evidence(&self, block: usize, index: usize) -> ReceiptEvidence {
        let receipts = &self.blocks[block].receipts;
        let leaves: Vec<Hash> = receipts.iter().map(Receipt::leaf).collect();
        ReceiptEvidence::new(
            self.finality(block),
            &receipts[index],
            &ListProof::make(&leaves, index).unwrap(),
        )
    }
}

fn with<T>(proofs: Proofs, evidence: T) -> Option<T> {
    (proofs == Proofs::Include).then_some(evidence)
}

impl Honest {
    fn take(&self, signed: SignedTransaction) -> Answer<()> {
        let mode = *self.mode.lock().unwrap();
        if let Mode::Refuse(kind) = mode {
            return Err(kind.into());
        }
        let sound = |check: &SignatureCheck| check.key.verify(check.domain, &check.message, &check.signature);
        if !signed.signature_checks().iter().all(sound) {
            return Err(ErrorKind::BadSignature.into());
        }
        self.given.lock().unwrap().push(signed.clone());
        let mut world = self.world.lock().unwrap();
        if world.find(signed.id()).is_some() {
            return Err(ErrorKind::AlreadyKnown.into());
        }
        if world.head().header.time > signed.transaction().valid_until {
            return Err(ErrorKind::Expired.into());
        }
        match mode {
            Mode::Include => world.seal(vec![signed], now()),
            Mode::IncludeUncertified => {
                world.seal(vec![signed], now());
                world.blocks.last_mut().unwrap().certificate = None;
                world.seal(Vec::new(), now());
            }
            Mode::Skip => world.seal(Vec::new(), now()),
            Mode::Expire => world.seal(Vec::new(), signed.transaction().valid_until.next()),
            Mode::Forget | Mode::Refuse(_) => {}
        }
        Ok(())
    }
}

fn shown(handover: &Handover) -> json::EpochHandover {
    json::EpochHandover::new(handover.boundary.header.epoch.next(), handover)
}

fn recorded(value: &[u8]) -> json::RecordedEvidence {
    let recorded: RecordedEvidence = codec::decode(value, usize::MAX).unwrap();
    let accusation = json::Accusation::of(&recorded.accusation).unwrap();
    json::RecordedEvidence { height: recorded.height.into(), accusation }
}

fn unused<T>() -> Answer<T> {
    Err(ErrorKind::NotFound.into())
}

impl Backend for Honest {
    fn height(&self) -> Height {
        self.world.lock().unwrap().head().header.height
    }

    async fn chain_info(&self) -> Answer<json::ChainInfo> {
        unused()
    }

    async fn head(&self) -> Answer<json::Head> {
        unused()
    }

    async fn block(&self, _: BlockAt, _: Bodies) -> Answer<json::Block> {
        unused()
    }

    async fn header(&self, _: BlockAt) -> Answer<json::HeaderAnswer> {
        unused()
    }

    async fn finality(&self, _: Option<Height>) -> Answer<json::FinalityAnswer> {
        unused()
    }

    async fn validators(&self, asked: Option<EpochNumber>) -> Answer<json::ValidatorsAnswer> {
        let world = self.world.lock().unwrap();
        let epoch = asked.unwrap_or(world.head().header.epoch);
        let last = world.genesis.parameters.last_of(epoch);
        let place = json::EpochPlace { epoch, first: last, last, context: None, fixed: true };
        Ok(json::ValidatorsAnswer::new(place, &governance::validators(&world.state(), epoch)))
    }

    async fn epochs(&self, from: EpochNumber, limit: u32) -> Answer<json::EpochsAnswer> {
        let world = self.world.lock().unwrap();
        let skipped = usize::try_from(from.get().saturating_sub(1)).unwrap_or(usize::MAX);
        let page = world.handovers.iter().skip(skipped).take(usize::try_from(limit).unwrap());
        Ok(json::EpochsAnswer {
            current: world.epochs.last().unwrap().number().into(),
            handovers: page.map(shown).collect(),
            next: None,
        })
    }

    async fn evidence(&self, proofs: Proofs) -> Answer<json::EvidenceAnswer> {
        let world = self.world.lock().unwrap();
        let (values, proof) = tree::prove_group(&world.head().state, &StateGroup::Evidence);
        let finality = world.finality(world.blocks.len() - 1);
        Ok(json::EvidenceAnswer {
            height: world.head().header.height.into(),
            evidence: values.iter().map(|(_, value)| recorded(value)).collect(),
            proof: with(proofs, GroupEvidence::new(finality, &values, &proof)),
        })
    }

    async fn submit(&self, transactions: Vec<SignedTransaction>) -> Vec<Answer<()>> {
        transactions.into_iter().map(|signed| self.take(signed)).collect()
    }

    async fn wait(&self, id: Hash, valid_until: Timestamp, _: Duration) -> Waited {
        let world = self.world.lock().unwrap();
        match world.find(id) {
            Some(_) => Waited::Final,
            None if world.head().header.time > valid_until => Waited::Expired,
            None => Waited::TimedOut,
        }
    }

    async fn transaction(&self, id: Hash, proofs: Proofs) -> Answer<json::TransactionAnswer> {
        let world = self.world.lock().unwrap();
        let height = world.head().header.height.into();
        let Some((position, index)) = world.find(id) else {
            let given = self.given.lock().unwrap();
            let known = given.iter().find(|signed| signed.id() == id);
            let state = if known.is_some() { TransactionState::Pending } else { TransactionState::Unknown };
            let status = TransactionStatus::outside(id, state);
            let transaction = known.map(json::Transaction::from);
            let (block, time, receipt, proof) = (None, None, None, None);
            return Ok(json::TransactionAnswer { height, status, block, time, receipt, transaction, proof });
        };
        let block = &world.blocks[position];
        let receipt = &block.receipts[index];
        let at = u32::try_from(index).unwrap();
        Ok(json::TransactionAnswer {
            height,
            status: TransactionStatus::included(block.header.height, at, receipt),
            block: Some(block.header.id().into()),
            time: Some(block.header.time.into()),
            receipt: Some(receipt.into()),
            transaction: Some((&block.transactions[index]).into()),
            proof: with(proofs, world.receipt_evidence(position, index)),
        })
    }

    async fn transaction_status(&self, id: Hash) -> Answer<TransactionStatus> {
        Ok(self.transaction(id, Proofs::Omit).await?.status)
    }

    async fn state(&self, keys: Vec<StateKey>, proofs: Proofs) -> Answer<json::StateAnswer> {
        let world = self.world.lock().unwrap();
        let entry = |key: &StateKey| {
            let evidence = world.evidence(key);
            json::StateEntry { key: evidence.key, value: evidence.value, state: with(proofs, evidence.state) }
        };
        Ok(json::StateAnswer {
            height: world.head().header.height.into(),
            entries: keys.iter().map(entry).collect(),
            finality: with(proofs, world.finality(world.blocks.len() - 1)),
        })
    }

    async fn account(&self, id: AccountId, proofs: Proofs) -> Answer<json::AccountAnswer> {
        let world = self.world.lock().unwrap();
        let evidence = world.evidence(&StateKey::Account(id));
        let account = evidence.value.as_ref().map(|value| value.decode::<Account>(usize::MAX).unwrap());
        Ok(json::AccountAnswer {
            height: world.head().header.height.into(),
            id: id.into(),
            address: Address { account: id, tag: None }.to_text(&world.genesis.prefix),
            account: account.as_ref().map(json::Account::from),
            proof: with(proofs, evidence),
        })
    }

    async fn balances(&self, id: AccountId, proofs: Proofs) -> Answer<json::BalancesAnswer> {
        let world = self.world.lock().unwrap();
        let mut answer = world.balances_at(world.blocks.len() - 1, id);
        answer.proof = answer.proof.filter(|_| proofs == Proofs::Include);
        Ok(answer)
    }

    async fn asset(&self, id: AssetId, proofs: Proofs) -> Answer<json::AssetAnswer> {
        let world = self.world.lock().unwrap();
        let evidence = world.evidence(&StateKey::Asset(id));
        let asset = evidence.value.as_ref().map(|value| value.decode::<Asset>(usize::MAX).unwrap());
        Ok(json::AssetAnswer {
            height: world.head().header.height.into(),
            id: id.into(),
            asset: asset.as_ref().map(json::Asset::from),
            proof: with(proofs, evidence),
        })
    }

    async fn assets(&self, after: Option<AssetId>, limit: u32) -> Answer<json::AssetPage> {
        let world = self.world.lock().unwrap();
        let entry = |(key, value): (&StateKey, &Vec<u8>)| {
            let StateKey::Asset(id) = key else { return None };
            let asset: Asset = codec::decode(value, usize::MAX).unwrap();
            Some(json::AssetEntry { id: (*id).into(), asset: (&asset).into() })
        };
        let all = world.head().state.iter().filter_map(entry);
        let rest = all.filter(|entry| after.is_none_or(|after| entry.id.0 > after));
        let height = world.head().header.height.into();
        Ok(json::AssetPage {
            height,
            assets: rest.take(usize::try_from(limit).unwrap()).collect(),
            next: None,
        })
    }

    async fn node_status(&self) -> Answer<json::NodeStatus> {
        unused()
    }

    async fn node_peers(&self) -> Answer<json::PeersAnswer> {
        unused()
    }

    async fn mempool_stats(&self) -> Answer<json::MempoolStats> {
        unused()
    }

    async fn heads(&self, _: Option<json::Cursor>) -> Answer<EventStream<json::HeadEvent>> {
        Ok(Box::pin(stream::empty()))
    }

    async fn transaction_events(&self, _: Hash) -> Answer<EventStream<json::TransactionEvent>> {
        Ok(Box::pin(stream::empty()))
    }
}
