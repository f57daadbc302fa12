//! What the network promises: known nodes exchange bytes, strangers and rule breakers do not.
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quorate_node::io::counters::Counters;
use quorate_node::io::net::{
    GOSSIP_BYTES_MAX, Membership, Network, NetworkConfig, NetworkError, NetworkEvent, NetworkIdentity,
    PeerAddress, Verdict,
};
use quorate_primitives::{Hash, PublicKey, SecretKey};
use quorate_replica::wire::{PEER_MESSAGE_BYTES_MAX, QUESTION_BYTES_MAX};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// Every wait ends here with a failed test instead of a hanging one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

fn secret(number: u8) -> SecretKey {
    SecretKey::from_seed(&Zeroizing::new([number; 32]))
}

fn public(number: u8) -> PublicKey {
    secret(number).public_key()
}

/// Validators 1 to `count`, and no others before them.
fn validators(count: u8) -> Membership {
    members(1..=count)
}

fn members(numbers: impl IntoIterator<Item = u8>) -> Membership {
    Membership { admitted: numbers.into_iter().map(public).collect(), former: BTreeSet::new() }
}

/// One network and what it received.
pub(crate) struct Node {
    pub(crate) key: PublicKey,
    pub(crate) network: Network,
    events: mpsc::UnboundedReceiver<NetworkEvent>,
}

#[derive(Clone)]
pub(crate) struct Plan {
    chain: Hash,
    members: Membership,
    observers: Vec<PublicKey>,
    peers: BTreeMap<PublicKey, SocketAddr>,
}

fn plan(count: u8) -> Plan {
    Plan {
        chain: Hash::from_bytes([1; 32]),
        members: validators(count),
        observers: Vec::new(),
        peers: BTreeMap::new(),
    }
}

impl Node {
    async fn start(number: u8, plan: &Plan) -> Self {
        let key = secret(number);
        let peer = |(key, address): (&PublicKey, &SocketAddr)| PeerAddress {
            key: *key,
            address: address.to_string(),
        };
        let config = NetworkConfig {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            peers: plan.peers.iter().map(peer).collect(),
            observers: plan.observers.clone(),
        };
        let (sender, events) = mpsc::unbounded_channel();
        let sink = Box::new(move |event| drop(sender.send(event)));
        let identity = NetworkIdentity { chain: plan.chain, key: &key, members: plan.members.clone() };
        let network = Network::start(config, identity, Arc::new(Counters::default()), sink).await.unwrap();
        Self { key: key.public_key(), network, events }
    }

    /// The first event that `wanted` turns into something.
    pub(crate) async fn until<T>(&mut self, wanted: impl Fn(NetworkEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("the network task ended");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("the awaited event did not come")
    }

    async fn connected(&mut self, to: PublicKey) {
        if self.network.peers().iter().any(|peer| peer.key == to && peer.connected) {
            return;
        }
        self.until(|event| matches!(event, NetworkEvent::Connected(peer) if peer == to).then_some(())).await;
    }

    async fn disconnected(&mut self, from: PublicKey) {
        self.until(|event| matches!(event, NetworkEvent::Disconnected(peer) if peer == from).then_some(()))
            .await;
    }

    pub(crate) async fn frame(&mut self) -> (PublicKey, Vec<u8>) {
        self.until(|event| match event {
            NetworkEvent::Frame { from, content } => Some((from, content)),
            _ => None,
        })
        .await
    }

    fn address(&self) -> SocketAddr {
        self.network.listen_addresses()[0]
    }
}

/// Starts validators 1 to `count`, each of which dials those before it, and waits for all connections.
pub(crate) async fn cluster(count: u8) -> (Vec<Node>, Plan) {
    let mut plan = plan(count);
    let mut nodes: Vec<Node> = Vec::new();
    for number in 1..=count {
        let mut node = Node::start(number, &plan).await;
        for other in &mut nodes {
            other.connected(node.key).await;
            node.connected(other.key).await;
        }
        plan.peers.insert(node.key, node.address());
        nodes.push(node);
    }
    (nodes, plan)
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_arrive_whole_and_in_order() {
    let (mut nodes, _) = cluster(2).await;
    let (first, second) = (nodes[0].key, nodes[1].key);
    let mut expected: Vec<Vec<u8>> = (0..200_u8).map(|number| vec![number; usize::from(number)]).collect();
    expected.push(vec![7; PEER_MESSAGE_BYTES_MAX]);
    for content in &expected {
        nodes[0].network.send(vec![second], content.clone());
    }
    for content in expected {
        assert_eq!(nodes[1].frame().await, (first, content));
    }
    nodes[1].network.send(vec![first], b"back".to_vec());
    assert_eq!(nodes[0].frame().await, (second, b"back".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gossiped_message_reaches_everybody_once_it_is_accepted() {
    let (mut nodes, _) = cluster(4).await;
    let content = vec![9; GOSSIP_BYTES_MAX - 1_024];
    nodes[0].network.publish(content.clone());
    for node in &mut nodes[1..] {
        // Before gossip has formed, the message comes as a frame instead.
        let (from, id, received) = node
            .until(|event| match event {
                NetworkEvent::Gossip { from, id, content } => Some((from, Some(id), content)),
                NetworkEvent::Frame { from, content } => Some((from, None, content)),
                _ => None,
            })
            .await;
        assert_eq!(received, content);
        if let Some(id) = id {
            node.network.report(id, from, Verdict::Accept);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_gets_the_answer_to_it() {
    let (mut nodes, _) = cluster(2).await;
    let (first, second) = (nodes[0].key, nodes[1].key);
    assert!(nodes[0].network.ask(77, second, b"what?".to_vec()));
    let (from, token, content) = nodes[1]
        .until(|event| match event {
            NetworkEvent::Asked { from, token, content } => Some((from, token, content)),
            _ => None,
        })
        .await;
    assert_eq!((from, content.as_slice()), (first, b"what?".as_slice()));
    let answer = vec![3; 4 * 1024 * 1024];
    nodes[1].network.answer(token, answer.clone());
    assert_eq!(answered(&mut nodes[0]).await, (77, Some(answer)));
}

pub(crate) async fn answered(node: &mut Node) -> (u64, Option<Vec<u8>>) {
    node.until(|event| match event {
        NetworkEvent::Answered { request, content, .. } => Some((request, content)),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_to_nobody_ends_without_an_answer() {
    let mut node = Node::start(1, &plan(2)).await;
    assert!(node.network.ask(5, public(2), b"anybody?".to_vec()));
    assert_eq!(answered(&mut node).await, (5, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused_and_a_known_observer_is_not() {
    let (mut nodes, mut inside) = cluster(1).await;
    // The stranger believes that it belongs to the chain; the node does not.
    let outside = Plan { members: validators(3), ..inside.clone() };
    let mut stranger = Node::start(3, &outside).await;
    stranger.disconnected(nodes[0].key).await;
    assert!(nodes[0].events.try_recv().is_err(), "the node heard of the stranger");
    assert!(nodes[0].network.peers().is_empty());

    inside = Plan { members: validators(2), observers: vec![public(5)], peers: BTreeMap::new(), ..inside };
    let mut host = Node::start(2, &inside).await;
    inside.peers.insert(host.key, host.address());
    let mut observer = Node::start(5, &inside).await;
    observer.connected(host.key).await;
    host.connected(observer.key).await;
    observer.network.send(vec![host.key], b"hello".to_vec());
    assert_eq!(host.frame().await, (observer.key, b"hello".to_vec()));
}

/// The node hears of nobody, and knows of nobody but those whom it should.
fn assert_alone(node: &mut Node) {
    assert!(node.events.try_recv().is_err(), "the node heard of somebody");
    assert!(node.network.peers().iter().all(|peer| !peer.connected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_chain_admits_later_can_connect() {
    let (mut nodes, inside) = cluster(1).await;
    let host = nodes[0].key;
    let mut newcomer = Node::start(2, &Plan { members: validators(2), ..inside }).await;
    newcomer.disconnected(host).await;
    assert_alone(&mut nodes[0]);

    nodes[0].network.admit([host, newcomer.key]);

    nodes[0].connected(newcomer.key).await;
    assert!(nodes[0].network.peers().iter().any(|peer| peer.key == newcomer.key && peer.validator));
    nodes[0].network.send(vec![newcomer.key], b"welcome".to_vec());
    assert_eq!(newcomer.frame().await, (host, b"welcome".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_chain_revokes_is_cut_within_a_second_and_refused_until_it_is_admitted_again() {
    let (mut nodes, _) = cluster(3).await;
    let [host, revoked, other] = [0, 1, 2].map(|index: usize| nodes[index].key);

    nodes[0].network.admit([host, other]);
    let cut = tokio::time::timeout(Duration::from_secs(1), async {
        nodes[0].disconnected(revoked).await;
        nodes[1].disconnected(host).await;
    });
    cut.await.expect("not cut within a second");
    let known: Vec<PublicKey> = nodes[0].network.peers().iter().map(|peer| peer.key).collect();
    assert_eq!(known, [other]);

    // It dials again, proves its key, and is refused.
    nodes[1].disconnected(host).await;
    assert!(nodes[0].events.try_recv().is_err(), "the node heard of the revoked one");
    assert!(nodes[0].network.peers().iter().any(|peer| peer.key == other && peer.connected));

    nodes[0].network.admit([host, revoked, other]);
    nodes[0].connected(revoked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_that_was_a_validator_stays_connected() {
    let mut plan = Plan { observers: vec![public(2)], ..plan(2) };
    let mut host = Node::start(1, &plan).await;
    plan.peers.insert(host.key, host.address());
    let mut observer = Node::start(2, &plan).await;
    host.connected(observer.key).await;
    observer.connected(host.key).await;

    host.network.admit([host.key]);

    host.network.send(vec![observer.key], b"still here".to_vec());
    assert_eq!(observer.frame().await, (host.key, b"still here".to_vec()));
    assert!(host.network.peers().iter().all(|peer| peer.connected && !peer.validator));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_chain_is_old_dials_configured_peers_that_its_chain_does_not_know() {
    let mut plan = Plan { members: members([1, 7]), ..plan(0) };
    let mut host = Node::start(1, &plan).await;
    plan = Plan { members: members([5, 6]), peers: BTreeMap::from([(host.key, host.address())]), ..plan };
    let mut newcomer = Node::start(7, &plan).await;
    newcomer.connected(host.key).await;
    host.connected(newcomer.key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_peer_that_was_a_validator_before_the_start_is_refused() {
    let mut plan = plan(2);
    let former = Membership { admitted: members([1]).admitted, former: members([2]).admitted };
    let mut dialler = Node::start(2, &Plan { peers: BTreeMap::new(), ..plan.clone() }).await;
    plan.peers.insert(dialler.key, dialler.address());
    let mut host = Node::start(1, &Plan { members: former, ..plan.clone() }).await;
    plan.peers = BTreeMap::from([(host.key, host.address())]);
    dialler.network.stop().await;
    dialler = Node::start(2, &plan).await;
    dialler.disconnected(host.key).await;
    assert_alone(&mut host);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlong_frame_gets_its_sender_banned() {
    let (mut nodes, _) = cluster(2).await;
    let (first, second) = (nodes[0].key, nodes[1].key);
    nodes[0].network.send(vec![second], vec![0; PEER_MESSAGE_BYTES_MAX + 1]);
    nodes[1].disconnected(first).await;
    nodes[0].disconnected(second).await;
    assert!(nodes[1].network.peers().iter().any(|peer| peer.key == first && peer.banned));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlong_question_gets_its_sender_banned() {
    let (mut nodes, _) = cluster(2).await;
    let (first, second) = (nodes[0].key, nodes[1].key);
    assert!(nodes[0].network.ask(1, second, vec![0; QUESTION_BYTES_MAX + 1]));
    nodes[1].disconnected(first).await;
    assert_eq!(answered(&mut nodes[0]).await, (1, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_node_is_disconnected() {
    let (mut nodes, _) = cluster(2).await;
    let (first, second) = (nodes[0].key, nodes[1].key);
    nodes[1].network.ban(first, "the test says so");
    nodes[1].disconnected(first).await;
    nodes[0].disconnected(second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_restarts_is_found_again() {
    let (mut nodes, mut plan) = cluster(2).await;
    let (first, second) = (nodes[0].key, nodes[1].key);
    nodes[1].network.stop().await;
    nodes[0].disconnected(second).await;
    // The restarted node has another port; it dials the one that it knows.
    plan.peers.remove(&second);
    let mut restarted = Node::start(2, &plan).await;
    restarted.connected(first).await;
    nodes[0].connected(second).await;
    nodes[0].network.send(vec![second], b"welcome back".to_vec());
    assert_eq!(restarted.frame().await, (first, b"welcome back".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_different_chains_do_not_understand_each_other() {
    let (mut nodes, plan) = cluster(1).await;
    let other_chain = Plan { chain: Hash::from_bytes([2; 32]), members: validators(2), ..plan.clone() };
    let _ = nodes.pop();
    let mut here = Node::start(1, &Plan { members: validators(2), peers: BTreeMap::new(), ..plan }).await;
    let peers = BTreeMap::from([(here.key, here.address())]);
    let mut there = Node::start(2, &Plan { peers, ..other_chain }).await;
    there.connected(here.key).await;
    here.connected(there.key).await;
    assert!(there.network.ask(1, here.key, b"hello".to_vec()));
    assert_eq!(answered(&mut there).await, (1, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_taken_is_reported() {
    let node = Node::start(1, &plan(2)).await;
    let config = NetworkConfig { listen: vec![node.address()], ..NetworkConfig::default() };
    let key = secret(2);
    let identity = NetworkIdentity { chain: Hash::ZERO, key: &key, members: validators(2) };
    let sink = Box::new(|_| {});
    let refused = Network::start(config, identity, Arc::new(Counters::default()), sink).await;
    assert!(matches!(refused.map(|_| ()), Err(NetworkError::Listen { .. })));
}
