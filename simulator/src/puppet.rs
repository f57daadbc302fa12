//! Hooks for validators that do not follow the protocol.
//!
//! # How to write one
//!
//! Three kinds of misbehaviour can be put into a run, each named in [`Options::puppets`]:
//!
//! - A **puppet** stands in the place of a replica. It implements [`Puppet`], is called with everything that
//!   reaches its node, has the node's signing key through its [`Stage`], and may send any bytes to any node
//!   at any time. It never goes through the laws of the driver: it has no disk and no promises.
//! - A **filter** stands between a real replica and the network. It implements [`Filter`] and decides for
//!   each message and each receiver whether it passes, is dropped, or is replaced by other bytes: a leader
//!   that withholds, a voter that speaks to some only. It sees what comes before the replica does, takes
//!   questions from it, and sends what it likes by itself. Through [`Stage::replica`] it knows all that the
//!   replica knows, in every epoch.
//! - A **twin** is a second real replica with the same key on a disk of its own. The world makes one for
//!   the program named [`TWIN`]; nothing needs to be written. Partitions treat the two as different nodes.
//!
//! A program is registered under a name in a [`Repertoire`], which the run is given; the name in the options
//! selects it, so that a failure can be replayed from its bundle. Everything a program draws comes from
//! [`Stage::dice`], and it must keep its state in ordered collections: the run must follow from its seed.
//!
//! Nodes with a program are not honest: the checkers let them sign, send and claim what they like, and
//! report an honest node that accuses or bans another honest one. At most `f` validators should be given
//! programs unless the run is meant to show what breaks.
use quorate_genesis::Genesis;
use quorate_primitives::certificate::{Claim, Vote};
use quorate_primitives::codec;
use quorate_primitives::keys::SignatureCheck;
use quorate_primitives::light::TrustedEpoch;
use quorate_primitives::{EpochNumber, Hash, PublicKey, SecretKey, Timestamp};
use quorate_replica::{Answer, PeerMessage, Question, Replica};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::environment::{Environment, Happening, Parcel};
use crate::random::Dice;
use crate::time::{BEGIN_MS, Moment};
use crate::trace::What;
use crate::wire::Packet;

#[cfg(doc)]
use crate::options::Options;

/// Name of the program that runs a validator twice.
pub const TWIN: &str = "twin";

/// Name of the program that never says anything.
pub const SILENT: &str = "silent";

/// A validator that does what it likes.
pub trait Puppet {
    /// The run begins. Connections follow.
    fn start(&mut self, stage: &mut Stage<'_>);

    /// A message came over the connection of a node.
    fn message(&mut self, stage: &mut Stage<'_>, from: usize, message: &PeerMessage);

    /// A node asks. It is answered, or not, with [`Stage::answer`].
    fn question(&mut self, stage: &mut Stage<'_>, from: usize, request: u64, question: Question) {
        let _ = (from, request, question, stage);
    }

    /// An answer came to a question of [`Stage::ask`].
    fn answer(&mut self, stage: &mut Stage<'_>, from: usize, request: u64, answer: Answer) {
        let _ = (from, request, answer, stage);
    }

    /// What was asked for with [`Stage::call_me`].
    fn timer(&mut self, stage: &mut Stage<'_>, tag: u64) {
        let _ = (tag, stage);
    }

    /// A connection to a node is open now.
    fn connected(&mut self, stage: &mut Stage<'_>, peer: usize) {
        let _ = (peer, stage);
    }
}

/// What becomes of a message of a real replica to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// It is sent.
    Pass,
    /// These bytes are sent instead; nothing if there are none.
    Instead(Vec<Vec<u8>>),
}

/// What a replica is given of a message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The message.
    Pass,
    /// Another message, or none.
    Instead(Option<Box<PeerMessage>>),
}

/// Stands between a real replica and the network. Everything passes unless it is changed.
pub trait Filter {
    /// The run begins.
    fn start(&mut self, stage: &mut Stage<'_>) {
        let _ = stage;
    }

    /// Decides about one message to one node.
    fn outgoing(&mut self, stage: &mut Stage<'_>, to: usize, message: &PeerMessage) -> Outgoing {
        let _ = (stage, to, message);
        Outgoing::Pass
    }

    /// Decides about one message of a node.
    fn incoming(&mut self, stage: &mut Stage<'_>, from: usize, message: &PeerMessage) -> Incoming {
        let _ = (stage, from, message);
        Incoming::Pass
    }

    /// A node asks. True if the program takes care of it, with [`Stage::answer`] or not at all; the replica
    /// answers otherwise.
    fn question(&mut self, stage: &mut Stage<'_>, from: usize, request: u64, question: &Question) -> bool {
        let _ = (stage, from, request, question);
        false
    }

    /// What a node is told instead of the replica's answer; nothing if there is none.
    fn answering(&mut self, stage: &mut Stage<'_>, to: usize, answer: Answer) -> Option<Answer> {
        let _ = (stage, to);
        Some(answer)
    }

    /// What the replica is told instead of a node's answer.
    fn answered(&mut self, stage: &mut Stage<'_>, from: usize, answer: Answer) -> Answer {
        let _ = (stage, from);
        answer
    }

    /// Whether the replica is told that a signature is valid although it is not.
    fn believes(&self, check: &SignatureCheck) -> bool {
        let _ = check;
        false
    }

    /// What was asked for with [`Stage::call_me`].
    fn timer(&mut self, stage: &mut Stage<'_>, tag: u64) {
        let _ = (stage, tag);
    }
}

/// What a program has done to its own machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whim {
    /// All data are copied.
    Keep,
    /// The machine ends, and all data are those of the last copy when it starts again.
    Restore,
}

/// What a program can see and do. Nodes are numbers: validator `i` of the genesis is node `i`.
pub struct Stage<'a> {
    env: &'a mut Environment,
    node: usize,
    secret: &'a SecretKey,
    replica: Option<(&'a Replica, &'a BTreeSet<(EpochNumber, Claim)>)>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(env: &'a mut Environment, node: usize, secret: &'a SecretKey) -> Self {
        Self { env, node, secret, replica: None }
    }

    /// The same for a filter, with its replica and what that has promised, while it runs.
    pub(crate) fn beside(self, replica: Option<(&'a Replica, &'a BTreeSet<(EpochNumber, Claim)>)>) -> Self {
        Self { replica, ..self }
    }

    /// The replica that a filter stands before, while it runs.
    #[must_use]
    pub fn replica(&self) -> Option<&'a Replica> {
        self.replica.map(|(replica, _)| replica)
    }

    /// Whether the replica knows that it made a claim, as far as that still matters.
    #[must_use]
    pub fn has_promised(&self, epoch: EpochNumber, claim: &Claim) -> bool {
        self.replica.is_some_and(|(_, promised)| promised.contains(&(epoch, *claim)))
    }

    /// Does something to the own machine after this call.
    pub fn indulge(&mut self, whim: Whim) {
        self.env.whims.push((self.node, whim));
    }

    /// The node that the program runs on.
    #[must_use]
    pub fn node(&self) -> usize {
        self.node
    }

    /// Its index among the validators of the genesis; `None` for a node that is none.
    #[must_use]
    pub fn index(&self) -> Option<u8> {
        self.env.founding.trusted.validators().index_of(&self.secret.public_key())
    }

    /// Number of nodes, itself counted.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.env.keys.len()
    }

    /// Number of validators in the genesis.
    #[must_use]
    pub fn validators(&self) -> usize {
        self.env.options.validators
    }

    /// Key of a node.
    #[must_use]
    pub fn key_of(&self, node: usize) -> Option<PublicKey> {
        self.env.keys.get(node).copied()
    }

    /// The founding document.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.env.founding.genesis
    }

    /// The first epoch, with the context of its votes.
    #[must_use]
    pub fn trusted(&self) -> &TrustedEpoch {
        &self.env.founding.trusted
    }

    /// The moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.env.now
    }

    /// The true time.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        Timestamp::new(BEGIN_MS.saturating_add(self.env.now.ms()))
    }

    /// Draws.
    pub fn dice(&mut self) -> &mut Dice {
        &mut self.env.checkers.puppet_dice
    }

    /// Meets a mark: something rare was done.
    pub fn mark(&mut self, mark: &'static str) {
        self.env.marks.hit(mark);
    }

    /// Signs a claim with the node's key in a context, as the validator with an index.
    #[must_use]
    pub fn sign(&mut self, claim: Claim, context: &Hash, index: u8) -> Vote {
        self.env.note(Some(self.node), What::Signed(claim));
        claim.sign(context, index, self.secret)
    }

    /// The signing key.
    #[must_use]
    pub fn secret(&self) -> &SecretKey {
        self.secret
    }

    /// Sends a message to a node.
    pub fn send(&mut self, to: usize, message: &PeerMessage) {
        self.send_bytes(to, codec::encode(message));
    }

    /// Sends a message to all other nodes.
    pub fn send_all(&mut self, message: &PeerMessage) {
        let bytes = codec::encode(message);
        let own = self.node;
        for to in (0..self.nodes()).filter(|to| *to != own) {
            self.send_bytes(to, bytes.clone());
        }
    }

    /// Sends any bytes to a node.
    pub fn send_bytes(&mut self, to: usize, bytes: Vec<u8>) {
        let packet = Rc::new(Packet::new(bytes));
        self.env.note(Some(self.node), What::Sent { to: 1, packet: Rc::clone(&packet) });
        if let Some(message) = packet.message() {
            let now = self.env.now;
            self.env.checkers.sent(now, self.node, message, &mut self.env.memo);
        }
        self.env.send(self.node, to, &Parcel::Message(packet));
    }

    /// Asks a node. `request` comes back with the answer.
    pub fn ask(&mut self, to: usize, request: u64, question: &Question) {
        let packet = Rc::new(Packet::new(codec::encode(question)));
        let life = self.env.lives.get(self.node).copied().unwrap_or_default();
        self.env.send(self.node, to, &Parcel::Question { request, life, packet });
    }

    /// Answers a question of a node.
    pub fn answer(&mut self, to: usize, request: u64, answer: &Answer) {
        self.answer_bytes(to, request, codec::encode(answer));
    }

    /// Answers a question of a node with any bytes.
    pub fn answer_bytes(&mut self, to: usize, request: u64, bytes: Vec<u8>) {
        self.env.send(self.node, to, &Parcel::Answer { request, packet: Rc::new(Packet::new(bytes)) });
    }

    /// Has [`Puppet::timer`] or [`Filter::timer`] called after so many ms.
    pub fn call_me(&mut self, tag: u64, after_ms: u64) {
        let at = self.env.now.after_ms(after_ms);
        self.env.schedule(at, Happening::Puppet { node: self.node, tag });
    }
}

/// What a name in the options stands for.
pub enum Program {
    /// In the place of a replica.
    Puppet(Box<dyn Puppet>),
    /// Between a replica and the network.
    Filter(Box<dyn Filter>),
}

/// Makes the program of a node.
pub type Maker = fn(node: usize) -> Program;

/// The programs that can be named.
#[derive(Clone, Default)]
pub struct Repertoire(BTreeMap<&'static str, Maker>);

impl Repertoire {
    /// [`SILENT`] alone; [`TWIN`] is always known.
    #[must_use]
    pub fn new() -> Self {
        let mut known = Self::default();
        known.add(SILENT, |_| Program::Puppet(Box::new(Silent)));
        known
    }

    /// Adds a program under a name.
    pub fn add(&mut self, name: &'static str, maker: Maker) -> &mut Self {
        self.0.insert(name, maker);
        self
    }

    /// The names, ascending.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The program with this name for a node.
    #[must_use]
    pub fn make(&self, name: &str, node: usize) -> Option<Program> {
        self.0.get(name).map(|maker| maker(node))
    }
}

/// Listens and says nothing.
struct Silent;

impl Puppet for Silent {
    fn start(&mut self, _stage: &mut Stage<'_>) {}

    fn message(&mut self, _stage: &mut Stage<'_>, _from: usize, _message: &PeerMessage) {}
}
