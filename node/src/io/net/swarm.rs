//! How libp2p is set up: transports, protocols and limits.
use libp2p::allow_block_list::{self, AllowedPeers};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::gossipsub::{
    self, DataTransform, IdentTopic, MaxCountSubscriptionFilter, MessageAuthenticity, MessageId, RawMessage,
    TopicHash, ValidationMode, WhitelistSubscriptionFilter,
};
use libp2p::identity::Keypair;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{PeerId, StreamProtocol, Swarm, SwarmBuilder, noise, ping, tcp, yamux};
use quorate_primitives::{Hash, PublicKey, SecretKey};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::frame::Exchange;
use super::known::KNOWN_MAX;
use super::{GOSSIP_BYTES_MAX, LISTED_MAX, NetworkError, direct};
use crate::io::counters::{Counters, count};

/// Handshakes of others that may be unfinished at a time: each costs a key exchange.
const PENDING_INCOMING_MAX: u32 = 32;
/// A handshake that takes longer has failed.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections to one peer: one each way, and as many that are dead and not yet noticed.
const CONNECTIONS_PER_PEER_MAX: u32 = 4;
/// Streams that one connection may have open: ours are few, and each reserves a window of memory.
const STREAMS_MAX: usize = 64;
/// Questions that one connection may carry at a time, both directions counted.
const QUESTIONS_MAX: usize = 16;
/// A question that takes longer has failed.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between pings, and how long one may take before the connection is given up.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections are kept as long as they live; this is longer than any pause.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3_600);
/// Gossiped messages that wait for one slow peer before more are dropped.
const GOSSIP_QUEUE_MAX: usize = 256;
/// Gossiped messages in one packet.
const GOSSIP_PACKET_MAX: usize = 64;
/// Time in which a gossiped message that comes again is recognised.
const GOSSIP_MEMORY: Duration = Duration::from_secs(120);

type OneTopic = MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>;
type Gossip = gossipsub::Behaviour<Copies, OneTopic>;

/// Changes nothing, and counts every copy of a message that comes in.
pub(super) struct Copies(Arc<Counters>);

impl DataTransform for Copies {
    fn inbound_transform(&self, raw: RawMessage) -> io::Result<gossipsub::Message> {
        count(&self.0.gossip_copies, 1);
        let RawMessage { source, data, sequence_number, topic, .. } = raw;
        Ok(gossipsub::Message { source, data, sequence_number, topic })
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> io::Result<Vec<u8>> {
        Ok(data)
    }
}

/// All protocols of a connection.
#[derive(NetworkBehaviour)]
pub(super) struct Protocols {
    // The lists come first: what they refuse, the others never see.
    pub(super) allowed: allow_block_list::Behaviour<AllowedPeers>,
    pub(super) limits: connection_limits::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) direct: direct::Behaviour,
    pub(super) gossip: Gossip,
    pub(super) exchange: request_response::Behaviour<Exchange>,
}

/// The topic on which the bundles of a chain are gossiped.
pub(super) fn topic(chain: &Hash) -> IdentTopic {
    IdentTopic::new(format!("quorate/{chain}/bundles/1"))
}

/// The identity that a connection of this key proves.
pub(super) fn peer_id(key: &PublicKey) -> Result<PeerId, NetworkError> {
    let bytes = libp2p::identity::ed25519::PublicKey::try_from_bytes(key.as_bytes());
    let key = bytes.map_err(|_| NetworkError::Key { key: *key })?;
    Ok(libp2p::identity::PublicKey::from(key).to_peer_id())
}

fn protocol(chain: &Hash, name: &str) -> Result<StreamProtocol, NetworkError> {
    StreamProtocol::try_from_owned(format!("/quorate/{chain}/{name}/1")).map_err(configuration)
}

fn configuration(reason: impl std::fmt::Display) -> NetworkError {
    NetworkError::Configuration { reason: reason.to_string() }
}

/// Ceilings that hold for every chain: who the known nodes are changes with it, and how many they are.
/// Only known nodes ever have an established connection.
fn limits() -> ConnectionLimits {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING_INCOMING_MAX))
        .with_max_pending_outgoing(Some(count(LISTED_MAX)))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX))
        .with_max_established(Some(count(KNOWN_MAX).saturating_mul(CONNECTIONS_PER_PEER_MAX)))
}

/// Names a message by all its bytes, so that nobody can make another one of the same name and have
/// the first one taken for known.
///
/// The plain SHA-256 of the bytes, since it is made of every copy that comes and processors have
/// instructions for it. It means something only between neighbours, on one topic, and is never
/// signed or stored, so it needs no domain of its own.
fn message_id(content: &[u8]) -> MessageId {
    MessageId::new(&Sha256::digest(content))
}

/// Messages are named by their content, so that one content cannot be sent twice; they are not
/// signed, because each transaction in them is; and they go on only when they were found good.
fn gossip(chain: &Hash, counters: Arc<Counters>) -> Result<Gossip, NetworkError> {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message| message_id(&message.data))
        .max_transmit_size(GOSSIP_BYTES_MAX)
        .heartbeat_initial_delay(Duration::from_millis(200))
        .heartbeat_interval(Duration::from_secs(1))
        .duplicate_cache_time(GOSSIP_MEMORY)
        .connection_handler_queue_len(GOSSIP_QUEUE_MAX)
        .max_publish_messages(GOSSIP_PACKET_MAX)
        .max_control_messages_sent(GOSSIP_PACKET_MAX)
        .build()
        .map_err(configuration)?;
    let topic = topic(chain);
    let filter = MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter(HashSet::from([topic.hash()])),
        max_subscribed_topics: 1,
        max_subscriptions_per_request: 4,
    };
    let mut gossip = Gossip::new_with_subscription_filter_and_transform(
        MessageAuthenticity::Anonymous,
        config,
        filter,
        Copies(counters),
    )
    .map_err(configuration)?;
    gossip.subscribe(&topic).map_err(configuration)?;
    Ok(gossip)
}

/// A swarm that lets only these peers in, until it is told otherwise.
pub(super) fn build<'a>(
    key: &SecretKey,
    chain: &Hash,
    known: impl Iterator<Item = &'a PeerId>,
    counters: Arc<Counters>,
) -> Result<Swarm<Protocols>, NetworkError> {
    let mut seed = key.expose_seed();
    let keypair = Keypair::ed25519_from_bytes(seed.as_mut_slice()).map_err(configuration)?;
    let mut allowed = allow_block_list::Behaviour::<AllowedPeers>::default();
    for peer in known {
        allowed.allow_peer(*peer);
    }
    let questions = request_response::Config::default()
        .with_request_timeout(QUESTION_TIMEOUT)
        .with_max_concurrent_streams(QUESTIONS_MAX);
    let exchange = [(protocol(chain, "exchange")?, ProtocolSupport::Full)];
    let protocols = Protocols {
        allowed,
        limits: connection_limits::Behaviour::new(limits()),
        ping: ping::Behaviour::new(
            ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT),
        ),
        direct: direct::Behaviour::new(protocol(chain, "direct")?),
        gossip: gossip(chain, counters)?,
        exchange: request_response::Behaviour::new(exchange, questions),
    };
    let muxer = || {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(STREAMS_MAX);
        config
    };
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, muxer)
        .map_err(configuration)?
        .with_behaviour(|_| protocols)
        .map_err(configuration)?
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(IDLE_TIMEOUT)
                .with_max_negotiating_inbound_streams(STREAMS_MAX)
        })
        .with_connection_timeout(HANDSHAKE_TIMEOUT)
        .build();
    Ok(swarm)
}
