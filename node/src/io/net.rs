//! The network: who may talk to us, and what goes over which channel.
//!
//! One task owns the libp2p swarm. Votes, certificates and proposals travel on `direct` streams,
//! bundles of transactions by gossip, questions and answers each on a stream of their own (`frame`).
//! Everything here is bytes: what they mean is decided by whoever receives a [`NetworkEvent`]. Only
//! nodes whose keys are `known` get past the handshake, and the chain has a say in who they are
//! ([`Network::admit`]); one that sends what no honest node sends is disconnected and may come back
//! after a while (`bans`).
mod bans;
mod dial;
mod direct;
mod frame;
mod known;
mod pace;
mod relay;
mod swarm;
mod task;

use bytes::Bytes;
use libp2p::gossipsub::{MessageAcceptance, MessageId};
use quorate_primitives::bundle::BUNDLE_BYTES_MAX;
use quorate_primitives::validators::VALIDATORS_MAX;
use quorate_primitives::{Hash, PublicKey, SecretKey};
use quorate_replica::wire::PEER_MESSAGE_BYTES_MAX;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot, watch};

use super::counters::{Counters, count};

/// Most commands that wait for the network task. When there are more, frames and bundles are dropped:
/// the protocol sends again what is still needed.
const COMMANDS_MAX: usize = 4_096;

/// Most observers, and most peers, that a configuration lists.
pub const LISTED_MAX: usize = 128;
/// Most validators that the chain admits at a time: of the current epoch and of the next two.
pub const VALIDATORS_ADMITTED_MAX: usize = 3 * VALIDATORS_MAX;

/// Where to listen and whom to talk to.
#[derive(Clone, Debug, Default)]
pub struct NetworkConfig {
    /// Sockets for other nodes; port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// Nodes to keep a connection to. One that was a validator and is none any more is left alone.
    pub peers: Vec<PeerAddress>,
    /// Keys of nodes that may connect although they are not validators.
    pub observers: Vec<PublicKey>,
}

/// A node and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// Its identity.
    pub key: PublicKey,
    /// `host:port`; a name is resolved at every attempt.
    pub address: String,
}

/// One known node, for status pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Who.
    pub key: PublicKey,
    /// Whether the chain admits it as a validator of this epoch or of the next two.
    pub validator: bool,
    /// Whether a connection stands.
    pub connected: bool,
    /// Whether it may not connect for a while.
    pub banned: bool,
    /// The other end of the newest connection, or the configured address; empty if neither is known.
    pub address: String,
    /// Round-trip time of the last ping, in milliseconds, rounded down.
    pub ping_ms: Option<u64>,
}

/// Something that came over the network.
#[derive(Debug)]
pub enum NetworkEvent {
    /// A connection to this node stands; may come again for a further connection.
    Connected(PublicKey),
    /// The last connection to this node is gone.
    Disconnected(PublicKey),
    /// A frame of a direct stream. Frames of one node come in order.
    Frame {
        /// From whom.
        from: PublicKey,
        /// At most [`quorate_replica::wire::PEER_MESSAGE_BYTES_MAX`] bytes.
        content: Vec<u8>,
    },
    /// A gossiped message, once, however many copies come. It goes on to others when it is
    /// [reported](Network::report) to be good.
    Gossip {
        /// The node that it came from, which is not always the one that published it, but vouches
        /// for it.
        from: PublicKey,
        /// For the report.
        id: GossipId,
        /// At most [`GOSSIP_BYTES_MAX`] bytes.
        content: Vec<u8>,
    },
    /// A question.
    Asked {
        /// Who asks.
        from: PublicKey,
        /// For the answer.
        token: u64,
        /// At most [`quorate_replica::wire::QUESTION_BYTES_MAX`] bytes.
        content: Vec<u8>,
    },
    /// The end of a question of ours; comes exactly once for each that the network took.
    Answered {
        /// As given to [`Network::ask`].
        request: u64,
        /// Who was asked.
        from: PublicKey,
        /// At most [`quorate_primitives::block::ANSWER_BYTES_MAX`] bytes; `None` if there was no answer.
        content: Option<Vec<u8>>,
    },
}

/// Longest gossiped message in bytes: the longest bundle and its frame.
pub const GOSSIP_BYTES_MAX: usize = 320 * 1024;

// Gossip that has nobody to go to is sent as a frame.
const _: () =
    assert!(BUNDLE_BYTES_MAX + 1_024 < GOSSIP_BYTES_MAX && GOSSIP_BYTES_MAX <= PEER_MESSAGE_BYTES_MAX);

/// Names a gossiped message: the hash of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GossipId(MessageId);

/// What to do with a gossiped message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Pass it on, after a moment, to those that have not said by then that they have it.
    Accept,
    /// Drop it; its sender is not to blame.
    Ignore,
    /// Drop it; an honest node would not have passed it on.
    Reject,
}

impl Verdict {
    fn acceptance(self) -> MessageAcceptance {
        match self {
            Self::Accept => MessageAcceptance::Accept,
            Self::Ignore => MessageAcceptance::Ignore,
            Self::Reject => MessageAcceptance::Reject,
        }
    }
}

/// Receives the events. Called on the network task: it must not block.
pub type Sink = Box<dyn FnMut(NetworkEvent) + Send>;

/// Whose keys the chain knows as validators'.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Those who may connect as validators.
    pub admitted: BTreeSet<PublicKey>,
    /// Those who might once, and may no more.
    pub former: BTreeSet<PublicKey>,
}

/// Who we are on the network, and who belongs to it.
pub struct NetworkIdentity<'a> {
    /// Genesis hash; nodes of other chains do not understand us.
    pub chain: Hash,
    /// The key that our connections prove.
    pub key: &'a SecretKey,
    /// The validators, as the chain has them now.
    pub members: Membership,
}

/// Why the network does not start.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A socket cannot be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A known node has bytes for a key that are not a key.
    #[error("{key} is not an Ed25519 public key")]
    Key {
        /// The bytes.
        key: PublicKey,
    },
    /// The network library refuses its configuration.
    #[error("network configuration: {reason}")]
    Configuration {
        /// What it says.
        reason: String,
    },
}

enum Command {
    Send { to: Vec<PublicKey>, content: Bytes },
    Publish(Vec<u8>),
    Ask { request: u64, to: PublicKey, content: Vec<u8> },
    Answer { token: u64, content: Vec<u8> },
    Report { id: GossipId, from: PublicKey, verdict: Verdict },
    Ban { peer: PublicKey, reason: &'static str },
    Stop(oneshot::Sender<()>),
}

/// What the task tells about the known nodes.
type Table = Arc<Mutex<BTreeMap<PublicKey, PeerStatus>>>;

/// The running network. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    commands: mpsc::Sender<Command>,
    /// The newest membership; a later one replaces it, so it is never too many and never dropped.
    admitted: Arc<watch::Sender<BTreeSet<PublicKey>>>,
    table: Table,
    listening: Arc<[SocketAddr]>,
    counters: Arc<Counters>,
}

impl Network {
    /// Opens the sockets and starts the task on the current tokio runtime.
    ///
    /// # Errors
    /// [`NetworkError`] when a socket cannot be opened or a key is none.
    pub async fn start(
        config: NetworkConfig,
        identity: NetworkIdentity<'_>,
        counters: Arc<Counters>,
        sink: Sink,
    ) -> Result<Self, NetworkError> {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (admitted, admissions) = watch::channel(identity.members.admitted.clone());
        let started = task::Task::start(config, identity, Arc::clone(&counters), sink).await?;
        let (table, listening) = (started.table(), started.listening().into());
        tokio::spawn(started.run(receiver, admissions));
        Ok(Self { commands, admitted: Arc::new(admitted), table, listening, counters })
    }

    /// Where the network listens.
    #[must_use]
    pub fn listen_addresses(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// The known nodes.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Sends a frame to those of the nodes that are connected.
    pub fn send(&self, to: Vec<PublicKey>, content: Vec<u8>) {
        self.command(Command::Send { to, content: content.into() });
    }

    /// Gossips a message; if nobody listens to gossip yet, it goes to all connected nodes directly.
    pub fn publish(&self, content: Vec<u8>) {
        self.command(Command::Publish(content));
    }

    /// Asks one node. Returns whether the question was taken; only then an answer event follows.
    #[must_use]
    pub fn ask(&self, request: u64, to: PublicKey, content: Vec<u8>) -> bool {
        self.command(Command::Ask { request, to, content })
    }

    /// Answers a question.
    pub fn answer(&self, token: u64, content: Vec<u8>) {
        self.command(Command::Answer { token, content });
    }

    /// Says what a gossiped message is worth. A rejected one bans its sender.
    pub fn report(&self, id: GossipId, from: PublicKey, verdict: Verdict) {
        self.command(Command::Report { id, from, verdict });
    }

    /// Disconnects a node and refuses it for a while.
    pub fn ban(&self, peer: PublicKey, reason: &'static str) {
        self.command(Command::Ban { peer, reason });
    }

    /// These are the validators now. Who is not among them, was before, and is no observer is
    /// disconnected and refused; who is new among them may connect. Never lost, whatever else waits.
    pub fn admit(&self, validators: impl IntoIterator<Item = PublicKey>) {
        self.admitted.send_replace(validators.into_iter().collect());
    }

    /// Closes all connections and ends the task.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.commands.send(Command::Stop(done)).await.is_ok() {
            // An error means that the task has ended already.
            let _ = stopped.await;
        }
    }

    fn command(&self, command: Command) -> bool {
        let taken = self.commands.try_send(command).is_ok();
        if !taken {
            count(&self.counters.network_dropped, 1);
        }
        taken
    }
}
