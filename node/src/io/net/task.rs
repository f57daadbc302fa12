//! The task that owns the swarm.
use bytes::Bytes;
use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::gossipsub::{self, PublishError};
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{self, Message, OutboundRequestId, ResponseChannel};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, ping};
use quorate_primitives::{Hash, PublicKey};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

use super::bans::Bans;
use super::dial::{Dialler, Resolved};
use super::known::{Change, Known};
use super::pace::Pace;
use super::relay::{Good, Relay};
use super::swarm::{self, Protocols, ProtocolsEvent};
use super::{
    Command, GossipId, NetworkConfig, NetworkError, NetworkEvent, NetworkIdentity, PeerAddress, PeerStatus,
    Sink, Table, Verdict, direct,
};
use crate::io::counters::{Counters, count, count_bytes};

/// How often due attempts and ended bans are looked for.
const TICK: Duration = Duration::from_millis(100);
/// Questions of others that wait for our answer.
const OPEN_QUESTIONS_MAX: usize = 256;
/// Longest wait for a socket to be opened.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Everything that the task owns.
pub(super) struct Task {
    swarm: Swarm<Protocols>,
    sink: Sink,
    chain: Hash,
    known: Known,
    /// Where configured peers are said to be.
    addresses: BTreeMap<PublicKey, String>,
    dialler: Dialler,
    bans: Bans,
    pace: Pace,
    relay: Relay,
    /// Questions of others, by token.
    questions: BTreeMap<u64, ResponseChannel<Vec<u8>>>,
    next_token: u64,
    /// Our questions.
    asked: BTreeMap<OutboundRequestId, (u64, PublicKey)>,
    table: Table,
    listening: Vec<SocketAddr>,
    counters: Arc<Counters>,
}

impl Task {
    /// Sets everything up and waits until the sockets are open.
    pub(super) async fn start(
        config: NetworkConfig,
        identity: NetworkIdentity<'_>,
        counters: Arc<Counters>,
        sink: Sink,
    ) -> Result<Self, NetworkError> {
        let NetworkIdentity { chain, key, members } = identity;
        let known = Known::new(&config, key.public_key(), members)?;
        let address = |peer: &PeerAddress| (peer.key, peer.address.clone());
        let mut task = Self {
            swarm: swarm::build(key, &chain, known.ids().values(), Arc::clone(&counters))?,
            sink,
            chain,
            addresses: config.peers.iter().map(address).collect(),
            dialler: Dialler::new(&config.peers, Instant::now()),
            bans: Bans::default(),
            pace: Pace::default(),
            relay: Relay::default(),
            questions: BTreeMap::new(),
            next_token: 0,
            asked: BTreeMap::new(),
            table: Arc::default(),
            listening: Vec::new(),
            counters,
            known,
        };
        let known: Vec<PublicKey> = task.known.ids().keys().copied().collect();
        known.into_iter().for_each(|peer| task.enter(peer));
        for address in config.listen {
            task.listen(address).await?;
        }
        Ok(task)
    }

    pub(super) fn table(&self) -> Table {
        Arc::clone(&self.table)
    }

    pub(super) fn listening(&self) -> Vec<SocketAddr> {
        self.listening.clone()
    }

    async fn listen(&mut self, address: SocketAddr) -> Result<(), NetworkError> {
        let failed = |source| NetworkError::Listen { address, source };
        // The library shares listening ports with other sockets; this notices that another has it.
        drop(std::net::TcpListener::bind(address).map_err(failed)?);
        let wanted =
            self.swarm.listen_on(multiaddr(address)).map_err(|error| failed(std::io::Error::other(error)))?;
        let opened = tokio::time::timeout(LISTEN_TIMEOUT, async {
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::NewListenAddr { listener_id, address } if listener_id == wanted => {
                        return Ok(address);
                    }
                    SwarmEvent::ListenerClosed { listener_id, reason, .. } if listener_id == wanted => {
                        return Err(reason
                            .err()
                            .unwrap_or_else(|| std::io::ErrorKind::ConnectionAborted.into()));
                    }
                    SwarmEvent::ListenerError { listener_id, error } if listener_id == wanted => {
                        return Err(error);
                    }
                    other => self.on_event(other),
                }
            }
        });
        let opened =
            opened.await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())).map_err(failed)?;
        self.listening.extend(socket_address(&opened));
        Ok(())
    }

    /// Runs until it is told to stop or nobody can tell it any more.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut admissions: watch::Receiver<BTreeSet<PublicKey>>,
    ) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                command = commands.recv() => match command {
                    Some(Command::Stop(done)) => {
                        drop(self);
                        // Whoever asked may have gone.
                        let _ = done.send(());
                        return;
                    }
                    Some(command) => self.on_command(command),
                    None => return,
                },
                Ok(()) = admissions.changed() => {
                    let admitted = admissions.borrow_and_update().clone();
                    self.admit(admitted);
                }
                resolved = self.dialler.resolved() => self.dial(resolved),
                _ = ticks.tick() => self.on_tick(),
            }
        }
    }

    fn on_tick(&mut self) {
        let now = Instant::now();
        self.relay_due(now);
        for peer in self.bans.ended(now) {
            if let Some(id) = self.known.id(&peer) {
                self.swarm.behaviour_mut().allowed.allow_peer(id);
            }
            self.update(&peer, |status| status.banned = false);
            self.dialler.failed(&peer, now);
        }
        let (bans, known) = (&self.bans, &self.known);
        self.dialler.begin_due(now, |peer| known.id(peer).is_some() && !bans.is_banned(peer));
    }

    /// Takes note of whom the chain admits now.
    fn admit(&mut self, admitted: BTreeSet<PublicKey>) {
        let Change { welcome, dismissed } = self.known.admit(admitted);
        for (peer, id) in dismissed {
            tracing::info!(%peer, "no validator any more: it may not connect");
            self.swarm.behaviour_mut().allowed.disallow_peer(id);
            self.bans.forget(&peer);
            self.pace.forget(&peer);
            self.lock().remove(&peer);
            if !self.swarm.is_connected(&id) {
                self.known.forget(&id);
            }
        }
        for (peer, id) in welcome {
            tracing::info!(%peer, "a validator from now on: it may connect");
            self.swarm.behaviour_mut().allowed.allow_peer(id);
            self.enter(peer);
        }
        for (peer, status) in &mut *self.lock() {
            status.validator = self.known.is_validator(peer);
        }
    }

    /// Begins to tell of a node.
    fn enter(&mut self, peer: PublicKey) {
        let status = PeerStatus {
            key: peer,
            validator: self.known.is_validator(&peer),
            connected: false,
            banned: false,
            address: self.addresses.get(&peer).cloned().unwrap_or_default(),
            ping_ms: None,
        };
        self.lock().insert(peer, status);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PublicKey, PeerStatus>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dial(&mut self, resolved: Resolved) {
        let Some(id) = self.known.id(&resolved.peer) else { return };
        let addresses = resolved.addresses.into_iter().map(multiaddr).collect();
        let options = DialOpts::peer_id(id)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses)
            // From the listening port two nodes that dial each other at once would be one connection.
            .allocate_new_port()
            .build();
        if self.swarm.dial(options).is_err() && !self.swarm.is_connected(&id) {
            self.dialler.failed(&resolved.peer, Instant::now());
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Send { to, content } => self.send(&to, &content),
            Command::Publish(content) => self.publish(content),
            Command::Ask { request, to, content } => self.ask(request, to, content),
            Command::Answer { token, content } => {
                if let Some(channel) = self.questions.remove(&token) {
                    count_bytes(&self.counters.bytes_sent, content.len());
                    // An error means that the peer has stopped waiting.
                    let _ = self.swarm.behaviour_mut().exchange.send_response(channel, content);
                }
            }
            Command::Report { id, from, verdict } => self.report(id, from, verdict),
            Command::Ban { peer, reason } => self.ban(peer, reason),
            Command::Stop(_) => {}
        }
    }

    fn send(&mut self, to: &[PublicKey], content: &Bytes) {
        for key in to {
            let Some(id) = self.known.id(key) else { continue };
            if self.swarm.behaviour_mut().direct.send(&id, content.clone()) {
                count(&self.counters.frames_sent, 1);
                count_bytes(&self.counters.bytes_sent, content.len());
            }
        }
    }

    fn publish(&mut self, content: Vec<u8>) {
        let content = Bytes::from(content);
        let published = self.swarm.behaviour_mut().gossip.publish(swarm::topic(&self.chain), content.clone());
        match published {
            Ok(_) => count_bytes(&self.counters.bytes_sent, content.len()),
            Err(PublishError::NoPeersSubscribedToTopic | PublishError::AllQueuesFull(_)) => {
                let everybody: Vec<PublicKey> = self.known.ids().keys().copied().collect();
                self.send(&everybody, &content);
            }
            Err(PublishError::Duplicate) => {}
            Err(error) => tracing::error!(%error, "a bundle cannot be gossiped"),
        }
    }

    fn ask(&mut self, request: u64, to: PublicKey, content: Vec<u8>) {
        let connected = self.known.id(&to).filter(|id| self.swarm.is_connected(id));
        let Some(id) = connected else {
            (self.sink)(NetworkEvent::Answered { request, from: to, content: None });
            return;
        };
        count_bytes(&self.counters.bytes_sent, content.len());
        let number = self.swarm.behaviour_mut().exchange.send_request(&id, content);
        self.asked.insert(number, (request, to));
    }

    fn report(&mut self, id: GossipId, from: PublicKey, verdict: Verdict) {
        if verdict == Verdict::Accept {
            let now = Instant::now();
            let farthest = self.lock().values().filter_map(|status| status.ping_ms).max().unwrap_or_default();
            self.relay.hold(Good { id, from }, Duration::from_millis(farthest), now);
            return;
        }
        self.tell_gossip(&id, &from, verdict);
        if verdict == Verdict::Reject {
            self.ban(from, "a gossiped message is invalid");
        }
    }

    fn relay_due(&mut self, now: Instant) {
        while let Some(Good { id, from }) = self.relay.next(now) {
            self.tell_gossip(&id, &from, Verdict::Accept);
        }
    }

    fn tell_gossip(&mut self, id: &GossipId, from: &PublicKey, verdict: Verdict) {
        if let Some(peer) = self.known.id(from) {
            let gossip = &mut self.swarm.behaviour_mut().gossip;
            gossip.report_message_validation_result(&id.0, &peer, verdict.acceptance());
        }
    }

    fn ban(&mut self, peer: PublicKey, reason: &'static str) {
        let Some(id) = self.known.id(&peer) else { return };
        if self.bans.is_banned(&peer) {
            return;
        }
        let length = self.bans.ban(peer, Instant::now());
        count(&self.counters.bans, 1);
        tracing::warn!(%peer, reason, seconds = length.as_secs(), "a peer misbehaved and is banned");
        self.swarm.behaviour_mut().allowed.disallow_peer(id);
        self.update(&peer, |status| status.banned = true);
    }

    fn update(&self, peer: &PublicKey, change: impl FnOnce(&mut PeerStatus)) {
        if let Some(status) = self.lock().get_mut(peer) {
            change(status);
        }
    }

    fn on_event(&mut self, event: SwarmEvent<ProtocolsEvent>) {
        match event {
            SwarmEvent::Behaviour(ProtocolsEvent::Direct(event)) => self.on_direct(event),
            SwarmEvent::Behaviour(ProtocolsEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(ProtocolsEvent::Exchange(event)) => self.on_exchange(event),
            SwarmEvent::Behaviour(ProtocolsEvent::Ping(event)) => self.on_ping(event),
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                self.on_connected(&peer_id, &endpoint)
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.on_disconnected(&peer_id)
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer_id), error, .. } => {
                if let Some(peer) = self.known.name(&peer_id)
                    && !self.swarm.is_connected(&peer_id)
                {
                    tracing::debug!(%peer, %error, "dialling a peer failed");
                    self.dialler.failed(&peer, Instant::now());
                }
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(%send_back_addr, %error, "an incoming connection was refused");
            }
            _ => {}
        }
    }

    fn on_connected(&mut self, id: &PeerId, endpoint: &ConnectedPoint) {
        let Some(peer) = self.known.name(id) else { return };
        let remote = socket_address(endpoint.get_remote_address());
        tracing::info!(%peer, remote = remote.map(tracing::field::display), "connected");
        self.dialler.connected(&peer);
        self.update(&peer, |status| {
            status.connected = true;
            status.address = remote.map_or_else(String::new, |remote| remote.to_string());
        });
        (self.sink)(NetworkEvent::Connected(peer));
    }

    fn on_disconnected(&mut self, id: &PeerId) {
        let Some(peer) = self.known.name(id) else { return };
        self.known.forget(id);
        tracing::info!(%peer, "disconnected");
        self.dialler.failed(&peer, Instant::now());
        self.update(&peer, |status| {
            status.connected = false;
            status.ping_ms = None;
        });
        (self.sink)(NetworkEvent::Disconnected(peer));
    }

    fn on_ping(&mut self, event: ping::Event) {
        match event.result {
            Ok(time) => {
                let ping_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                if let Some(peer) = self.known.name(&event.peer) {
                    self.update(&peer, |status| status.ping_ms = Some(ping_ms));
                }
            }
            Err(error) => self.give_up(event.connection, &error),
        }
    }

    fn give_up(&mut self, connection: ConnectionId, error: &ping::Failure) {
        tracing::debug!(%connection, %error, "a connection is dead");
        self.swarm.close_connection(connection);
    }

    fn on_direct(&mut self, event: direct::Event) {
        match event {
            direct::Event::Frame { from, content } => {
                let Some(from) = self.known.sender(&from) else { return };
                if self.bans.is_banned(&from) {
                    return;
                }
                count(&self.counters.frames_received, 1);
                count_bytes(&self.counters.bytes_received, content.len());
                (self.sink)(NetworkEvent::Frame { from, content });
            }
            direct::Event::Violation { from } => self.ban_id(&from, "a frame is longer than allowed"),
        }
    }

    fn ban_id(&mut self, id: &PeerId, reason: &'static str) {
        if let Some(peer) = self.known.name(id) {
            self.ban(peer, reason);
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                if let Some(from) = self.known.sender(&propagation_source) {
                    count_bytes(&self.counters.bytes_received, message.data.len());
                    count(&self.counters.gossip_received, 1);
                    let (id, content) = (GossipId(message_id), message.data);
                    (self.sink)(NetworkEvent::Gossip { from, id, content });
                }
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(%peer_id, "a peer takes gossip too slowly");
            }
            _ => {}
        }
    }

    fn on_exchange(&mut self, event: request_response::Event<Vec<u8>, Vec<u8>>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                Message::Request { request, channel, .. } => self.on_question(&peer, request, channel),
                Message::Response { request_id, response } => {
                    count_bytes(&self.counters.bytes_received, response.len());
                    self.on_answer(request_id, Some(response));
                }
            },
            request_response::Event::OutboundFailure { peer, request_id, error, .. } => {
                self.on_answer(request_id, None);
                self.blame(&peer, &error.to_string(), is_invalid_outbound(&error));
            }
            request_response::Event::InboundFailure { peer, error, .. } => {
                self.blame(&peer, &error.to_string(), is_invalid_inbound(&error));
            }
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    fn blame(&mut self, id: &PeerId, error: &str, is_violation: bool) {
        if is_violation {
            self.ban_id(id, "a question or answer is longer than allowed");
        } else {
            tracing::debug!(
                peer = self.known.name(id).map(tracing::field::display),
                error,
                "a question failed"
            );
        }
    }

    fn on_question(&mut self, id: &PeerId, content: Vec<u8>, channel: ResponseChannel<Vec<u8>>) {
        let Some(from) = self.known.sender(id) else { return };
        if content.is_empty() {
            self.ban(from, "a question is empty or longer than allowed");
            return;
        }
        self.questions.retain(|_, channel| channel.is_open());
        if self.questions.len() >= OPEN_QUESTIONS_MAX || !self.pace.admits(from, Instant::now()) {
            // Without its channel the question fails at once at the peer.
            count(&self.counters.network_dropped, 1);
            return;
        }
        let token = self.next_token;
        self.next_token = self.next_token.wrapping_add(1);
        self.questions.insert(token, channel);
        count_bytes(&self.counters.bytes_received, content.len());
        (self.sink)(NetworkEvent::Asked { from, token, content });
    }

    fn on_answer(&mut self, number: OutboundRequestId, content: Option<Vec<u8>>) {
        if let Some((request, from)) = self.asked.remove(&number) {
            (self.sink)(NetworkEvent::Answered { request, from, content });
        }
    }
}

fn is_invalid_outbound(error: &request_response::OutboundFailure) -> bool {
    matches!(error, request_response::OutboundFailure::Io(error) if error.kind() == std::io::ErrorKind::InvalidData)
}

fn is_invalid_inbound(error: &request_response::InboundFailure) -> bool {
    matches!(error, request_response::InboundFailure::Io(error) if error.kind() == std::io::ErrorKind::InvalidData)
}

fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}

fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}
