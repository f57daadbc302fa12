//! Four whole nodes in one process, over real sockets and real vote logs.
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quorate_consensus::{Message, Record};
use quorate_genesis::Genesis;
use quorate_genesis::build::{AssetDraft, Draft};
use quorate_ledger::Ledger;
use quorate_ledger::store::{Memory, Store};
use quorate_node::io::driver::{
    DriverConfig, DriverHandle, NetworkConfig, PeerAddress, StartError, SubmitError, spawn,
};
use quorate_node::io::journal::{JournalConfig, JournalError, RealFiles};
use quorate_node::io::net::{Membership, Network, NetworkEvent, NetworkIdentity};
use quorate_node::io::timers::wall_clock;
use quorate_primitives::address::AccountId;
use quorate_primitives::certificate::Claim;
use quorate_primitives::codec::{self, Blob, List};
use quorate_primitives::state::{AssetId, Authority, Capabilities, Symbol};
use quorate_primitives::transaction::{
    Action, Operation, Quantity, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::{Amount, Hash, Height, PublicKey, SecretKey, Signature};
use quorate_replica::record::RECORD_BYTES_MAX;
use quorate_replica::vote_log::{Identity, VoteLog};
use quorate_replica::wire::PEER_MESSAGE_BYTES_MAX;
use quorate_replica::{Admitted, LogRecord, PeerMessage, Settings};
use tempfile::TempDir;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// Every wait ends here with a failed test instead of a hanging one.
const PATIENCE: Duration = Duration::from_secs(120);
const NODES: usize = 4;

fn key(kind: u8, index: usize) -> SecretKey {
    let mut seed = Zeroizing::new([kind; 32]);
    seed[0] = u8::try_from(index).unwrap();
    SecretKey::from_seed(&seed)
}

fn payer(index: usize) -> AccountId {
    AccountId::derive(&Authority::single(key(2, index).public_key()), &[0; 16])
}

fn found() -> Genesis {
    found_with(NODES, None)
}

fn found_with(validators: usize, epoch_length: Option<u64>) -> Genesis {
    let mut draft = Draft::new("loopback", "qtest", wall_clock());
    draft.organisation("acme", "Acme", "payer0");
    if let Some(length) = epoch_length {
        draft.parameters.epoch_length = length;
    }
    for index in 0..validators {
        draft.validator(&format!("v{index}"), "acme", key(1, index).public_key());
    }
    for index in 0..2 {
        draft.account(&format!("payer{index}"), "acme", key(2, index).public_key());
    }
    draft.asset(AssetDraft {
        symbol: "COIN".into(),
        name: "Coin".into(),
        decimals: 0,
        cap: "1000000000".into(),
        capabilities: Capabilities::NONE,
        issuer: "payer0".into(),
    });
    draft.balance("payer0", "COIN", "1000000");
    draft.build().unwrap()
}

fn payment(chain: Hash, number: u64) -> SignedTransaction {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    let operation = Operation::Transfer {
        asset: AssetId::derive(&Symbol::new("COIN").unwrap()),
        to: payer(1),
        quantity: Quantity::Exact(Amount::new(1)),
        tag: None,
    };
    let transaction = Transaction {
        chain,
        version: TRANSACTION_VERSION,
        sender: payer(0),
        nonce,
        valid_until: wall_clock().saturating_add(60_000),
        actions: List::new(vec![Action { actor: None, operation }]).unwrap(),
        asserts: List::default(),
        reference: Blob::default(),
        memo: Blob::default(),
        signers: List::new(vec![key(2, 0).public_key()]).unwrap(),
    };
    transaction.sign(&[key(2, 0)]).unwrap()
}

/// What outlives a node: its folder, its store and where the others expect it.
struct Place {
    index: usize,
    home: TempDir,
    store: Arc<dyn Store>,
}

struct World {
    genesis: Genesis,
    places: Vec<Place>,
    addresses: Vec<Option<SocketAddr>>,
}

impl World {
    fn new() -> Self {
        let place = |index| Place {
            index,
            home: TempDir::new().unwrap(),
            store: Arc::new(Memory::new()) as Arc<dyn Store>,
        };
        Self { genesis: found(), places: (0..NODES).map(place).collect(), addresses: vec![None; NODES] }
    }

    fn config(&self, index: usize) -> DriverConfig {
        let place = &self.places[index];
        assert_eq!(place.index, index);
        let peer = |(other, address): (usize, &Option<SocketAddr>)| {
            let address = address.filter(|_| other != index)?.to_string();
            Some(PeerAddress { key: key(1, other).public_key(), address })
        };
        DriverConfig {
            genesis: self.genesis.clone(),
            settings: Settings { idle_interval_ms: 50, min_interval_ms: 10, ..Settings::default() },
            ledger: Ledger::open(Arc::clone(&place.store), &self.genesis).unwrap(),
            key: key(1, index),
            data: self.data(index),
            key_folder: place.home.path().to_owned(),
            network: NetworkConfig {
                listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
                peers: self.addresses.iter().enumerate().filter_map(peer).collect(),
                observers: Vec::new(),
            },
            verify_threads: 1,
        }
    }

    fn data(&self, index: usize) -> PathBuf {
        self.places[index].home.path().join("data")
    }

    async fn start(&mut self, index: usize) -> DriverHandle {
        let node = spawn(self.config(index)).await.unwrap();
        self.addresses[index] = Some(node.listen_addresses()[0]);
        node
    }

    async fn start_all(&mut self) -> Vec<DriverHandle> {
        let mut nodes = Vec::new();
        for index in 0..NODES {
            nodes.push(self.start(index).await);
        }
        nodes
    }
}

async fn reach(node: &DriverHandle, height: u64) {
    let mut heads = node.watch_head();
    let reached = heads.wait_for(|head| head.executed.height() >= Height::new(height));
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    let status = node.status();
    reached
        .unwrap_or_else(|_| panic!("height {height} was not reached: {status:?}"))
        .expect("the driver ended");
}

fn assert_same_chain(nodes: &[&DriverHandle], up_to: u64) {
    for height in 1..=up_to {
        let block = |node: &DriverHandle| {
            let block = node.reader().block(Height::new(height)).unwrap().expect("the block is committed");
            (block.header.id(), block.outcome)
        };
        for node in &nodes[1..] {
            assert_eq!(block(nodes[0]), block(node), "height {height}");
        }
    }
}

async fn committed_everywhere(nodes: &[&DriverHandle], id: Hash) {
    for node in nodes {
        let mut heads = node.watch_head();
        let found = heads.wait_for(|_| node.reader().position(&id).unwrap().is_some());
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.expect("the transaction was not committed").expect("the driver ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_nodes_agree_on_twenty_blocks_and_on_payments() {
    let mut world = World::new();
    let chain = world.genesis.hash();
    let nodes = world.start_all().await;
    let all: Vec<&DriverHandle> = nodes.iter().collect();
    let payments: Vec<SignedTransaction> = (0..300).map(|number| payment(chain, number)).collect();
    let ids: Vec<Hash> = payments.iter().map(SignedTransaction::id).collect();
    for answer in nodes[1].submit(payments.clone()).await {
        assert_eq!(answer, Ok(Admitted::Pending));
    }
    for id in &ids {
        committed_everywhere(&all, *id).await;
    }
    for answer in nodes[1].submit(payments).await {
        assert!(matches!(answer, Ok(Admitted::AlreadyCommitted { .. })), "{answer:?}");
    }
    for node in &nodes {
        reach(node, 20).await;
    }
    assert_same_chain(&all, 20);
    for node in &nodes {
        assert!(node.counters().votes_signed.load(Ordering::Relaxed) > 0);
        assert!(node.counters().journal_syncs.load(Ordering::Relaxed) > 0);
        assert_eq!(node.counters().bans.load(Ordering::Relaxed), 0);
        assert_eq!(node.peers().iter().filter(|peer| peer.connected && peer.validator).count(), NODES - 1);
    }
    for node in &nodes {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_alone_goes_from_epoch_to_epoch() {
    let mut world = World { genesis: found_with(1, Some(10)), ..World::new() };
    let node = world.start(0).await;
    reach(&node, 35).await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_comes_back_with_its_log_and_catches_up() {
    let mut world = World::new();
    let nodes = world.start_all().await;
    for node in &nodes {
        reach(node, 5).await;
    }
    nodes[3].shutdown().await;
    let height = nodes[3].head().executed.height().get();
    reach(&nodes[0], height + 10).await;
    let back = world.start(3).await;
    assert!(back.head().executed.height().get() >= height);
    // Any three of the four make a quorum, so none of them need be at the height of another.
    for node in nodes[..3].iter().chain([&back]) {
        reach(node, height + 12).await;
    }
    assert_same_chain(&[&nodes[0], &nodes[1], &nodes[2], &back], height + 12);
    for node in nodes.iter().chain([&back]) {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_restarted_at_once_go_on() {
    let mut world = World::new();
    let nodes = world.start_all().await;
    for node in &nodes {
        reach(node, 5).await;
    }
    for node in &nodes {
        node.shutdown().await;
    }
    let height = nodes.iter().map(|node| node.head().executed.height().get()).max().unwrap();
    drop(nodes);
    let nodes = world.start_all().await;
    for node in &nodes {
        reach(node, height + 5).await;
    }
    assert_same_chain(&nodes.iter().collect::<Vec<_>>(), height + 5);
    for node in &nodes {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_with_a_forged_signature_is_refused() {
    let mut world = World::new();
    let node = world.start(0).await;
    let good = payment(world.genesis.hash(), 1);
    let forged =
        SignedTransaction::new(good.transaction().clone(), vec![Signature::from_bytes([5; 64])]).unwrap();
    let answers = node.submit(vec![forged.clone(), good, forged]).await;
    assert_eq!(answers[0], Err(SubmitError::BadSignature));
    assert_eq!(answers[1], Ok(Admitted::Pending));
    assert_eq!(answers[2], Err(SubmitError::BadSignature));
    node.shutdown().await;
    let late = node.submit(vec![payment(world.genesis.hash(), 2)]).await;
    assert!(late[0].is_err());
}

/// Connects to node 0 as this validator with nothing behind the network.
async fn impostor(world: &World, index: usize) -> (Network, mpsc::UnboundedReceiver<NetworkEvent>) {
    let key = key(1, index);
    let admitted = world.genesis.validators.members().iter().map(|member| member.key).collect();
    let members = Membership { admitted, ..Membership::default() };
    let identity = NetworkIdentity { chain: world.genesis.hash(), key: &key, members };
    let peers = vec![PeerAddress {
        key: self::key(1, 0).public_key(),
        address: world.addresses[0].unwrap().to_string(),
    }];
    let config = NetworkConfig { peers, ..NetworkConfig::default() };
    let (sender, mut events) = mpsc::unbounded_channel();
    let sink = Box::new(move |event| drop(sender.send(event)));
    let network = Network::start(config, identity, Arc::default(), sink).await.unwrap();
    until(&mut events, |event| matches!(event, NetworkEvent::Connected(_))).await;
    (network, events)
}

async fn until(events: &mut mpsc::UnboundedReceiver<NetworkEvent>, wanted: impl Fn(&NetworkEvent) -> bool) {
    let found = async { while !wanted(&events.recv().await.expect("the network task ended")) {} };
    tokio::time::timeout(PATIENCE, found).await.expect("the awaited event did not come");
}

/// What makes a node disconnect whoever sent it.
async fn assert_banned_for(send: impl Fn(&Network, PublicKey)) {
    let mut world = World::new();
    let node = world.start(0).await;
    let (impostor, mut events) = impostor(&world, 1).await;
    send(&impostor, key(1, 0).public_key());
    until(&mut events, |event| matches!(event, NetworkEvent::Disconnected(_))).await;
    assert_eq!(node.counters().bans.load(Ordering::Relaxed), 1);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_frames_gossip_and_questions_get_their_sender_banned() {
    // A protocol message, a bundle, and no message at all.
    for frame in [vec![0, 99], vec![2, 1, 2, 3], vec![77]] {
        assert_banned_for(|network, to| network.send(vec![to], frame.clone())).await;
    }
    assert_banned_for(|network, _| network.publish(vec![2, 9, 9])).await;
    assert_banned_for(|network, to| assert!(network.ask(1, to, vec![0xee; 40]))).await;
}

/// The claims in a copy of a node's vote log, as a restart at this moment would find them.
fn logged_claims(world: &World, index: usize) -> Vec<Claim> {
    let copy = TempDir::new().unwrap();
    for file in std::fs::read_dir(world.data(index).join("votes")).unwrap() {
        let path = file.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let identity = Identity { chain: world.genesis.hash(), key: key(1, index).public_key() };
    let config = JournalConfig { folder: copy.path().to_owned(), marker_folder: copy.path().join("key") };
    let mut claims = Vec::new();
    VoteLog::open(RealFiles::new(config).unwrap(), identity, &[], |bytes| {
        let record = codec::decode(bytes, RECORD_BYTES_MAX);
        if let Ok(LogRecord::Consensus { record: Record::Own(claim), .. }) = record {
            claims.push(claim);
        }
        Ok(())
    })
    .unwrap();
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_that_a_peer_sees_is_in_the_log() {
    let mut world = World::new();
    let node = world.start(0).await;
    // It votes when two others have said that they know of no vote of its key.
    let others = [world.start(1).await, world.start(2).await];
    let (_impostor, mut events) = impostor(&world, 3).await;
    let mut seen = 0;
    while seen < 3 {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await.expect("no vote came").unwrap();
        let NetworkEvent::Frame { content, .. } = event else { continue };
        let claim = match codec::decode::<PeerMessage>(&content, PEER_MESSAGE_BYTES_MAX).unwrap() {
            PeerMessage::Consensus { message: Message::Vote(vote), .. } => vote.claim,
            PeerMessage::Proposal { proposal, .. } => proposal.vote.claim,
            PeerMessage::Consensus { .. } | PeerMessage::Bundle(_) => continue,
        };
        assert!(logged_claims(&world, 0).contains(&claim), "{claim} was sent before it was written");
        seen += 1;
    }
    for node in others.iter().chain([&node]) {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_use_is_refused() {
    let mut world = World::new();
    let node = world.start(0).await;
    let second = spawn(world.config(0)).await.map(|_| ());
    assert!(matches!(second, Err(StartError::Journal(JournalError::Locked { .. }))));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_lost_its_folder_votes_again_by_itself() {
    let mut world = World::new();
    let nodes = world.start_all().await;
    for node in &nodes {
        reach(node, 5).await;
    }
    nodes[3].shutdown().await;
    std::fs::remove_dir_all(world.data(3)).unwrap();
    world.places[3].store = Arc::new(Memory::new());

    let back = world.start(3).await;

    let mut heads = back.watch_head();
    let voted = heads.wait_for(|_| back.counters().votes_signed.load(Ordering::Relaxed) > 0);
    tokio::time::timeout(PATIENCE, voted).await.expect("it keeps silent").expect("the driver ended");
    // Without node 0 a quorum needs its vote.
    nodes[0].shutdown().await;
    let height = back.head().executed.height().get();
    reach(&back, height + 10).await;
    for node in nodes[1..3].iter().chain([&back]) {
        assert_eq!(node.counters().evidence.load(Ordering::Relaxed), 0);
        node.shutdown().await;
    }
}
