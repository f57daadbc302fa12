//! Direct streams: one long-lived stream each way between two peers, for votes, certificates and
//! proposals.
//!
//! The behaviour hands frames to the handler of one connection to the peer. The handler keeps at most
//! [`QUEUE_FRAMES_MAX`] frames and [`QUEUE_BYTES_MAX`] bytes; when they do not fit, the *oldest* go,
//! because of two protocol messages the newer one is worth more, and both are sent again when they
//! are still needed.
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::futures::AsyncWriteExt;
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, Stream, StreamProtocol, StreamUpgradeError, SubstreamProtocol, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use quorate_replica::wire::PEER_MESSAGE_BYTES_MAX;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::frame;

/// Most frames that wait for one peer.
const QUEUE_FRAMES_MAX: usize = 1_024;
/// Most bytes that wait for one peer: several of the longest messages.
const QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;
// The longest message is never thrown out of an empty queue.
const _: () = assert!(PEER_MESSAGE_BYTES_MAX <= QUEUE_BYTES_MAX);

/// Frames are written together up to this many bytes.
const WRITE_BYTES: usize = 64 * 1024;
/// A peer that takes no bytes for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Most events that wait for the swarm; the rest of the commands are dropped, oldest first.
const EVENTS_MAX: usize = 8_192;

/// What the behaviour reports.
#[derive(Debug)]
pub(super) enum Event {
    /// A frame arrived.
    Frame {
        /// From whom.
        from: PeerId,
        /// Its content.
        content: Vec<u8>,
    },
    /// A peer sent what no honest peer sends.
    Violation {
        /// Who.
        from: PeerId,
    },
}

/// What a handler reports.
#[derive(Debug)]
pub(super) enum Report {
    Frame(Vec<u8>),
    Violation,
}

/// Sends and receives frames.
pub(super) struct Behaviour {
    protocol: StreamProtocol,
    /// Open connections by peer, oldest first; frames go over the first.
    connections: BTreeMap<PeerId, Vec<ConnectionId>>,
    events: VecDeque<ToSwarm<Event, Bytes>>,
    waker: Option<Waker>,
}

impl Behaviour {
    pub(super) fn new(protocol: StreamProtocol) -> Self {
        Self { protocol, connections: BTreeMap::new(), events: VecDeque::new(), waker: None }
    }

    /// Sends a frame if the peer is connected.
    pub(super) fn send(&mut self, to: &PeerId, content: Bytes) -> bool {
        let Some(connection) = self.connections.get(to).and_then(|open| open.first()) else { return false };
        let handler = NotifyHandler::One(*connection);
        self.push(ToSwarm::NotifyHandler { peer_id: *to, handler, event: content });
        true
    }

    fn push(&mut self, event: ToSwarm<Event, Bytes>) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.protocol.clone()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.protocol.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(opened) => {
                self.connections.entry(opened.peer_id).or_default().push(opened.connection_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                if let Some(open) = self.connections.get_mut(&peer_id) {
                    open.retain(|connection| *connection != connection_id);
                    if open.is_empty() {
                        self.connections.remove(&peer_id);
                    }
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, from: PeerId, _: ConnectionId, report: THandlerOutEvent<Self>) {
        self.push(ToSwarm::GenerateEvent(match report {
            Report::Frame(content) => Event::Frame { from, content },
            Report::Violation => Event::Violation { from },
        }));
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// The sending half of a connection.
enum Outbound {
    /// No stream.
    None,
    /// A stream was asked for.
    Opening,
    /// A stream stands idle.
    Idle(Stream),
    /// Bytes are on their way.
    Writing(BoxFuture<'static, io::Result<Stream>>),
    /// The peer does not speak the protocol.
    Unsupported,
}

/// One connection's part: a queue, a stream to write and a stream to read.
pub(super) struct Handler {
    protocol: StreamProtocol,
    queue: VecDeque<Bytes>,
    queue_bytes: usize,
    outbound: Outbound,
    inbound: Option<BoxFuture<'static, (io::Result<Vec<u8>>, Stream)>>,
    waker: Option<Waker>,
}

async fn receive(mut stream: Stream) -> (io::Result<Vec<u8>>, Stream) {
    (frame::read(&mut stream, PEER_MESSAGE_BYTES_MAX).await, stream)
}

async fn transmit(mut stream: Stream, bytes: Vec<u8>) -> io::Result<Stream> {
    let written = tokio::time::timeout(WRITE_TIMEOUT, async {
        stream.write_all(&bytes).await?;
        stream.flush().await
    });
    written.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(stream)
}

impl Handler {
    fn new(protocol: StreamProtocol) -> Self {
        Self {
            protocol,
            queue: VecDeque::new(),
            queue_bytes: 0,
            outbound: Outbound::None,
            inbound: None,
            waker: None,
        }
    }

    fn enqueue(&mut self, content: Bytes) {
        if matches!(self.outbound, Outbound::Unsupported) {
            return;
        }
        self.queue_bytes = self.queue_bytes.saturating_add(content.len());
        self.queue.push_back(content);
        while self.queue.len() > QUEUE_FRAMES_MAX || self.queue_bytes > QUEUE_BYTES_MAX {
            let Some(oldest) = self.queue.pop_front() else { break };
            self.queue_bytes = self.queue_bytes.saturating_sub(oldest.len());
        }
    }

    /// The next frames as one write.
    fn next_write(&mut self) -> Option<Vec<u8>> {
        let mut buffer = Vec::new();
        while buffer.len() < WRITE_BYTES
            && let Some(content) = self.queue.pop_front()
        {
            self.queue_bytes = self.queue_bytes.saturating_sub(content.len());
            frame::push(&mut buffer, &content);
        }
        (!buffer.is_empty()).then_some(buffer)
    }

    /// Moves the sending half on; `true` when a stream is wanted.
    fn poll_outbound(&mut self, context: &mut Context<'_>) -> bool {
        loop {
            self.outbound = match std::mem::replace(&mut self.outbound, Outbound::None) {
                Outbound::None if self.queue.is_empty() => return false,
                Outbound::None => {
                    self.outbound = Outbound::Opening;
                    return true;
                }
                Outbound::Idle(stream) => match self.next_write() {
                    Some(bytes) => Outbound::Writing(transmit(stream, bytes).boxed()),
                    None => {
                        self.outbound = Outbound::Idle(stream);
                        return false;
                    }
                },
                Outbound::Writing(mut writing) => match writing.poll_unpin(context) {
                    Poll::Ready(Ok(stream)) => Outbound::Idle(stream),
                    Poll::Ready(Err(_)) => Outbound::None,
                    Poll::Pending => {
                        self.outbound = Outbound::Writing(writing);
                        return false;
                    }
                },
                waiting @ (Outbound::Opening | Outbound::Unsupported) => {
                    self.outbound = waiting;
                    return false;
                }
            };
        }
    }

    fn poll_inbound(&mut self, context: &mut Context<'_>) -> Poll<Report> {
        let Some(reading) = self.inbound.as_mut() else { return Poll::Pending };
        let (result, stream) = futures::ready!(reading.poll_unpin(context));
        self.inbound = None;
        match result {
            Ok(content) => {
                self.inbound = Some(receive(stream).boxed());
                Poll::Ready(Report::Frame(content))
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Poll::Ready(Report::Violation),
            // The peer closed the stream; it opens another when it has something to say.
            Err(_) => Poll::Pending,
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Bytes;
    type ToBehaviour = Report;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(self.protocol.clone()), ())
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        if let Poll::Ready(report) = self.poll_inbound(context) {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(report));
        }
        if self.poll_outbound(context) {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(self.protocol.clone()), ());
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, content: Bytes) {
        self.enqueue(content);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            // A second stream replaces the first: the peer gave the first one up.
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                self.inbound = Some(receive(protocol).boxed());
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, .. }) => {
                self.outbound = Outbound::Idle(protocol);
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError {
                error: StreamUpgradeError::NegotiationFailed,
                ..
            }) => {
                // Only a node of another chain refuses the protocol.
                self.outbound = Outbound::Unsupported;
                self.queue.clear();
                self.queue_bytes = 0;
            }
            // The peer was too slow, this time: what waits is sent over the next stream.
            ConnectionEvent::DialUpgradeError(_) => self.outbound = Outbound::None,
            _ => {}
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
