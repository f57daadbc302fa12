//! Many replicas in one thread, with a network, disks and a clock that follow from one seed.
//!
//! A disk keeps the vote log up to the last record that was made durable, and of the ledger what was
//! synced and any number of the batches behind it. Messages are encoded, delayed, lost and decoded; those
//! of one sender stay in order. After every commit the blocks are compared with those of all others, and
//! every signed claim with all earlier ones of the same key.
use quorate_consensus::message::conflict;
use quorate_genesis::Genesis;
use quorate_ledger::Ledger;
use quorate_ledger::store::Memory;
use quorate_primitives::certificate::Claim;
use quorate_primitives::codec::{decode, encode};
use quorate_primitives::keys::{KnownKeys, verify_batch};
use quorate_primitives::transaction::Operation;
use quorate_primitives::{EpochNumber, Hash, Height, PublicKey, Timestamp, View};
use quorate_replica::{
    Admitted, Answer, Effect, Event, Fault, LogRecord, PeerMessage, Question, Refusal, Replica, Settings,
    Timer,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::network::{BEGIN_MS, found, governed, payment, validator_key};

/// What the network does to messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) loss_permille: u64,
    pub(crate) delay_ms: u64,
    /// So many of a thousand messages take a second more.
    pub(crate) slow_permille: u64,
}

/// A network that works.
pub(crate) const HEALTHY: Link = Link { loss_permille: 0, delay_ms: 10, slow_permille: 0 };

pub(crate) struct Node {
    pub(crate) key: PublicKey,
    pub(crate) store: Arc<Memory>,
    pub(crate) log: Vec<Vec<u8>>,
    pub(crate) replica: Option<Replica>,
    /// Counts restarts, so that what belongs to an earlier life is dropped.
    life: u64,
    timers: BTreeMap<Timer, u64>,
    /// Highest block that this node told to be final, in all its lives.
    pub(crate) told: Height,
    /// Difference of its clock from the true time, in ms.
    pub(crate) skew_ms: i64,
    /// Nodes with different numbers do not hear each other.
    pub(crate) island: u8,
    /// Steps until it crashes in the middle of one.
    pub(crate) crash_in: Option<u64>,
    pub(crate) replies: BTreeMap<u64, Result<Admitted, Refusal>>,
    pub(crate) bans: Vec<(PublicKey, &'static str)>,
    /// Who may connect, as it was told last.
    pub(crate) admits: Vec<PublicKey>,
    /// Why it stopped for good.
    pub(crate) halted: Option<Fault>,
}

enum Delivery {
    Message { to: usize, from: usize, bytes: Vec<u8> },
    Timer { node: usize, life: u64, timer: Timer, armed: u64 },
    Local { node: usize, life: u64, event: Box<Event> },
    Question { to: usize, from: usize, life: u64, request: u64, question: Question },
    Answer { to: usize, from: usize, life: u64, request: u64, bytes: Vec<u8> },
}

pub(crate) struct World {
    pub(crate) genesis: Genesis,
    pub(crate) settings: Settings,
    pub(crate) nodes: Vec<Node>,
    pub(crate) link: Link,
    pub(crate) now: u64,
    pub(crate) rng: ChaCha8Rng,
    /// Whether votes and certificates are really checked; nobody forges any otherwise.
    pub(crate) check_signatures: bool,
    /// Bundles that this node publishes reach nobody.
    pub(crate) withholds: Option<usize>,
    /// Somebody else votes with the key of this node.
    pub(crate) cheat: Option<usize>,
    /// Stopping is what this node ought to do.
    pub(crate) may_halt: Option<usize>,
    queue: BTreeMap<(u64, u64), Delivery>,
    counter: u64,
    arrivals: BTreeMap<(usize, usize), u64>,
    asks: BTreeMap<u64, (usize, u64, u64)>,
    chain: BTreeMap<Height, (Hash, Hash)>,
    pub(crate) settled: BTreeMap<Hash, Height>,
    claims: BTreeMap<(EpochNumber, u8, View), Vec<Claim>>,
    chain_id: Hash,
    submitted: u64,
}

impl World {
    /// Validators that all run, on a healthy network.
    pub(crate) fn new(validators: usize, seed: u64) -> Self {
        let mut world = Self::asleep(validators, 0, seed);
        (0..validators).for_each(|node| world.start(node));
        world
    }

    /// Validators, then observers, none of which runs.
    pub(crate) fn asleep(validators: usize, observers: usize, seed: u64) -> Self {
        Self::asleep_on(found(validators), validators + observers, seed)
    }

    /// So many nodes of a network, the validators first, none of which runs.
    pub(crate) fn asleep_on(genesis: Genesis, nodes: usize, seed: u64) -> Self {
        let node = |index: usize| Node {
            key: validator_key(index).public_key(),
            store: Arc::new(Memory::new()),
            log: Vec::new(),
            replica: None,
            life: 0,
            timers: BTreeMap::new(),
            told: Height::ZERO,
            skew_ms: 0,
            island: 0,
            crash_in: None,
            replies: BTreeMap::new(),
            bans: Vec::new(),
            admits: Vec::new(),
            halted: None,
        };
        let settings = Settings {
            timeout_max_ms: 2_000,
            min_interval_ms: 200,
            idle_interval_ms: 1_000,
            ..Settings::default()
        };
        Self {
            chain_id: genesis.hash(),
            genesis,
            settings,
            nodes: (0..nodes).map(node).collect(),
            link: HEALTHY,
            now: BEGIN_MS + 1_000,
            rng: ChaCha8Rng::seed_from_u64(seed),
            check_signatures: false,
            withholds: None,
            cheat: None,
            may_halt: None,
            queue: BTreeMap::new(),
            counter: 0,
            arrivals: BTreeMap::new(),
            asks: BTreeMap::new(),
            chain: BTreeMap::new(),
            settled: BTreeMap::new(),
            claims: BTreeMap::new(),
            submitted: 0,
        }
    }

    /// A random number below a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound.max(1)
    }

    pub(crate) fn chance(&mut self, permille: u64) -> bool {
        self.below(1_000) < permille
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn clock(&self, node: usize) -> Timestamp {
        Timestamp::new(self.now.saturating_add_signed(self.nodes[node].skew_ms))
    }

    pub(crate) fn is_up(&self, node: usize) -> bool {
        self.nodes[node].replica.is_some()
    }

    pub(crate) fn up(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.is_up(*node)).collect()
    }

    pub(crate) fn replica(&self, node: usize) -> &Replica {
        self.nodes[node].replica.as_ref().unwrap()
    }

    pub(crate) fn height(&self, node: usize) -> u64 {
        self.nodes[node].replica.as_ref().map_or(0, |replica| replica.ledger().head().height().get())
    }

    pub(crate) fn lowest(&self) -> u64 {
        self.up().into_iter().map(|node| self.height(node)).min().unwrap_or_default()
    }

    pub(crate) fn highest(&self) -> u64 {
        self.up().into_iter().map(|node| self.height(node)).max().unwrap_or_default()
    }

    // Life and death.

    /// Starts a node from what its disk holds.
    pub(crate) fn start(&mut self, node: usize) {
        let ledger = Ledger::open(self.nodes[node].store.clone(), &self.genesis).unwrap();
        let me = self.nodes[node].key;
        let mut replica = Replica::new(self.settings.clone(), &self.genesis, ledger, Some(me)).unwrap();
        for bytes in &self.nodes[node].log {
            let record: LogRecord = decode(bytes, usize::MAX).unwrap();
            replica.restore(record, &mut self.rng);
        }
        self.nodes[node].replica = Some(replica);
        self.nodes[node].life += 1;
        self.nodes[node].timers.clear();
        self.step(node, Event::Start);
        // What it told to be final must be back before it hears of anybody.
        for _ in 0..10_000 {
            if !self.is_up(node) || self.nodes[node].timers.remove(&Timer::Execute).is_none() {
                break;
            }
            self.step(node, Event::Elapsed(Timer::Execute));
        }
        let told = self.nodes[node].told.get();
        assert!(
            self.height(node) >= told,
            "node {node} told {told} to be final, but came back at {}",
            self.height(node)
        );
        for other in self.up() {
            if other != node {
                self.step(node, Event::Connected(self.nodes[other].key));
                self.step(other, Event::Connected(self.nodes[node].key));
            }
        }
    }

    /// Cuts the power of a node.
    pub(crate) fn crash(&mut self, node: usize) {
        self.nodes[node].replica = None;
        self.nodes[node].crash_in = None;
        let batches = u64::try_from(self.nodes[node].store.unsynced()).unwrap();
        let kept = usize::try_from(self.below(batches + 1)).unwrap();
        self.nodes[node].store = Arc::new(self.nodes[node].store.after_crash(kept));
        for other in self.up() {
            self.step(other, Event::Disconnected(self.nodes[node].key));
        }
    }

    /// Cuts the power of a node and takes everything from it but its key. The vote log says so.
    pub(crate) fn wipe(&mut self, node: usize) {
        if self.is_up(node) {
            self.crash(node);
        }
        self.nodes[node].store = Arc::new(Memory::new());
        self.lose_log(node);
    }

    /// The vote log of a node that is down is gone.
    pub(crate) fn lose_log(&mut self, node: usize) {
        self.nodes[node].log = vec![encode(&LogRecord::Quarantine)];
        self.nodes[node].told = Height::ZERO;
    }

    /// Replaces the log of a node by its checkpoint.
    pub(crate) fn checkpoint(&mut self, node: usize) {
        let Some(replica) = self.nodes[node].replica.as_mut() else { return };
        self.nodes[node].log = replica.checkpoint().unwrap().iter().map(encode).collect();
    }

    // Steps.

    /// One event at one node, and everything that follows from it at once.
    pub(crate) fn step(&mut self, node: usize, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = self.clock(node);
            let Some(replica) = self.nodes[node].replica.as_mut() else { return };
            let step = replica.step(now, event);
            let dying = match &mut self.nodes[node].crash_in {
                Some(0) => true,
                Some(steps) => {
                    *steps -= 1;
                    false
                }
                None => false,
            };
            let mut kept = step.journal.len();
            let mut done = step.effects.len();
            if dying {
                kept = usize::try_from(self.below(u64::try_from(kept).unwrap() + 1)).unwrap();
                let whole = kept == step.journal.len();
                done = if whole {
                    usize::try_from(self.below(u64::try_from(done).unwrap() + 1)).unwrap()
                } else {
                    0
                };
            }
            self.nodes[node].log.extend(step.journal.iter().take(kept).map(encode));
            for effect in step.effects.into_iter().take(done) {
                self.effect(node, effect, &mut events);
            }
            if dying {
                return self.crash(node);
            }
        }
    }

    fn effect(&mut self, node: usize, effect: Effect, events: &mut VecDeque<Event>) {
        let life = self.nodes[node].life;
        match effect {
            Effect::Sign { epoch, context, index, claim } => {
                self.note_claim(epoch, index, claim);
                let vote = claim.sign(&context, index, &validator_key(node));
                events.push_back(Event::Signed { epoch, vote });
            }
            Effect::Admit(keys) => self.nodes[node].admits = keys,
            Effect::Send { to, message } => {
                let bytes = encode(&*message);
                assert!(bytes.len() <= quorate_replica::wire::PEER_MESSAGE_BYTES_MAX);
                to.iter().for_each(|key| self.post(node, key, bytes.clone()));
            }
            Effect::Gossip(bundle) => {
                if self.withholds == Some(node) {
                    return;
                }
                let bytes = encode(&PeerMessage::Bundle((*bundle).clone()));
                let keys: Vec<PublicKey> = self.nodes.iter().map(|other| other.key).collect();
                keys.iter()
                    .filter(|key| **key != self.nodes[node].key)
                    .cloned()
                    .collect::<Vec<_>>()
                    .iter()
                    .for_each(|key| self.post(node, key, bytes.clone()));
            }
            Effect::Check { ticket, checks } => {
                let bad = if self.check_signatures {
                    verify_batch(&checks, &mut KnownKeys::default(), &mut self.rng)
                } else {
                    Vec::new()
                };
                let at = (self.now + 1, self.next());
                self.queue.insert(
                    at,
                    Delivery::Local { node, life, event: Box::new(Event::Checked { ticket, bad }) },
                );
            }
            Effect::Ask { request, to, question } => self.ask(node, request, &to, question),
            Effect::Answer { token, answer } => self.answer(node, token, &answer),
            Effect::Arm { timer, after_ms } => {
                let armed = self.next();
                self.nodes[node].timers.insert(timer, armed);
                self.queue.insert((self.now + after_ms, armed), Delivery::Timer { node, life, timer, armed });
            }
            Effect::Reply { ticket, outcome } => drop(self.nodes[node].replies.insert(ticket, outcome)),
            Effect::Committed(committed) => self.note_commit(node, &committed),
            Effect::Evidence(evidence) => {
                let known = self.cheat.and_then(|cheat| u8::try_from(cheat).ok());
                assert_eq!(
                    Some(evidence.evidence.signer()),
                    known,
                    "an honest validator is accused: {evidence:?}"
                );
            }
            Effect::Ban { peer, reason } => self.nodes[node].bans.push((peer, reason)),
            Effect::Halt(fault) if self.may_halt == Some(node) => self.nodes[node].halted = Some(fault),
            Effect::Halt(fault) => panic!("node {node} stopped: {fault}"),
        }
    }

    fn note_claim(&mut self, epoch: EpochNumber, index: u8, claim: Claim) {
        let made = self.claims.entry((epoch, index, claim.view())).or_default();
        for other in made.iter() {
            assert_eq!(conflict(other, &claim), None, "validator {index} signed {other} and {claim}");
        }
        if !made.contains(&claim) {
            made.push(claim);
        }
    }

    fn note_commit(&mut self, node: usize, committed: &quorate_replica::Committed) {
        let executed = &committed.executed;
        let height = executed.height();
        let found = (executed.block(), executed.outcome().digest());
        let known = *self.chain.entry(height).or_insert(found);
        assert_eq!(known, found, "node {node} forked at height {height}");
        self.nodes[node].told = self.nodes[node].told.max(height);
        for receipt in executed.receipts() {
            let known = *self.settled.entry(receipt.transaction).or_insert(height);
            assert_eq!(known, height, "transaction {} is in two blocks", receipt.transaction);
        }
    }

    // The network.

    fn index_of(&self, key: &PublicKey) -> usize {
        self.nodes.iter().position(|node| node.key == *key).unwrap()
    }

    fn delay(&mut self) -> u64 {
        let slow = if self.chance(self.link.slow_permille) { 1_000 } else { 0 };
        1 + self.below(self.link.delay_ms) + slow
    }

    fn is_lost(&mut self, from: usize, to: usize) -> bool {
        let cut = self.nodes[from].island != self.nodes[to].island;
        cut || !self.is_up(to) || self.chance(self.link.loss_permille)
    }

    fn post(&mut self, from: usize, to: &PublicKey, bytes: Vec<u8>) {
        let to = self.index_of(to);
        assert_ne!(from, to, "a replica sends to itself");
        if self.is_lost(from, to) {
            return;
        }
        let arrival = self.now + self.delay();
        let earlier = self.arrivals.get(&(from, to)).copied().unwrap_or_default();
        let arrival = arrival.max(earlier);
        self.arrivals.insert((from, to), arrival);
        let at = (arrival, self.next());
        self.queue.insert(at, Delivery::Message { to, from, bytes });
    }

    fn ask(&mut self, from: usize, request: u64, to: &PublicKey, question: Question) {
        let to = self.index_of(to);
        if self.is_lost(from, to) {
            return;
        }
        let at = (self.now + self.delay(), self.next());
        let life = self.nodes[from].life;
        self.queue.insert(at, Delivery::Question { to, from, life, request, question });
    }

    fn answer(&mut self, from: usize, token: u64, answer: &Answer) {
        let Some((to, life, request)) = self.asks.remove(&token) else { return };
        if self.is_lost(from, to) {
            return;
        }
        let bytes = encode(answer);
        assert!(bytes.len() <= quorate_primitives::block::ANSWER_BYTES_MAX);
        let at = (self.now + self.delay(), self.next());
        self.queue.insert(at, Delivery::Answer { to, from, life, request, bytes });
    }

    // Time.

    /// Runs until a time from now, in ms.
    pub(crate) fn run(&mut self, for_ms: u64) {
        let end = self.now + for_ms;
        while let Some((at, _)) = self.queue.first_key_value().map(|(at, _)| *at).filter(|at| at.0 <= end) {
            self.now = self.now.max(at);
            let Some((_, delivery)) = self.queue.pop_first() else { break };
            self.deliver(delivery);
        }
        self.now = end;
    }

    /// Runs until something is so.
    pub(crate) fn run_until(&mut self, what: &str, limit_ms: u64, mut holds: impl FnMut(&World) -> bool) {
        let end = self.now + limit_ms;
        while !holds(self) {
            assert!(self.now < end, "not within {limit_ms} ms: {what}\n{}", self.describe());
            self.run(100);
        }
    }

    pub(crate) fn describe(&self) -> String {
        let lines = self.up().into_iter().map(|node| format!("{node}: {:?}\n", self.replica(node).status()));
        lines.collect()
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Message { to, from, bytes } => {
                let message: PeerMessage =
                    decode(&bytes, quorate_replica::wire::PEER_MESSAGE_BYTES_MAX).unwrap();
                let from = self.nodes[from].key;
                let event = message.into_event(from, &mut self.rng).unwrap();
                self.step(to, event);
            }
            Delivery::Timer { node, life, timer, armed } => {
                let current = self.nodes[node].timers.get(&timer) == Some(&armed);
                if current && self.nodes[node].life == life {
                    self.nodes[node].timers.remove(&timer);
                    self.step(node, Event::Elapsed(timer));
                }
            }
            Delivery::Local { node, life, event } => {
                if self.nodes[node].life == life {
                    self.step(node, *event);
                }
            }
            Delivery::Question { to, from, life, request, question } => {
                let token = self.next();
                self.asks.insert(token, (from, life, request));
                let from = self.nodes[from].key;
                self.step(to, Event::Asked { from, token, question });
            }
            Delivery::Answer { to, from, life, request, bytes } => {
                if self.nodes[to].life == life {
                    let answer: Answer = decode(&bytes, quorate_primitives::block::ANSWER_BYTES_MAX).unwrap();
                    let answer = answer.verify(&mut self.rng);
                    let from = self.nodes[from].key;
                    self.step(to, Event::Answered { request, from, answer });
                }
            }
        }
    }

    // Clients.

    /// Gives a node a new payment; returns its id.
    pub(crate) fn submit(&mut self, node: usize) -> Hash {
        self.submitted += 1;
        let number = self.submitted;
        let transaction = payment(self.chain_id, self.now, number);
        let id = transaction.id();
        self.step(node, Event::Submitted(vec![quorate_replica::Submission { ticket: number, transaction }]));
        id
    }

    /// Gives a node an operation of the governance account; returns the transaction's id.
    pub(crate) fn govern(&mut self, node: usize, operation: Operation) -> Hash {
        self.submitted += 1;
        let number = self.submitted;
        let transaction = governed(self.chain_id, self.now + 120_000, number, operation);
        let id = transaction.id();
        self.step(node, Event::Submitted(vec![quorate_replica::Submission { ticket: number, transaction }]));
        id
    }

    /// Whether the transactions are in the ledgers of all running nodes, at the same heights.
    pub(crate) fn all_have(&self, transactions: &BTreeSet<Hash>) -> bool {
        transactions.iter().all(|id| {
            self.up().into_iter().all(|node| {
                let position = self.replica(node).ledger().reader().position(id).unwrap();
                position.is_some_and(|position| self.settled.get(id) == Some(&position.height))
            })
        })
    }

    /// Every transaction that anybody told to be final is in every ledger that reaches its height.
    pub(crate) fn assert_nothing_lost(&self) {
        for node in self.up() {
            let reader = self.replica(node).ledger().reader();
            for (id, height) in &self.settled {
                let position = reader.position(id).unwrap().map(|position| position.height);
                assert_eq!(position, Some(*height), "transaction {id} at node {node}");
            }
        }
    }
}
