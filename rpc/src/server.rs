//! The server: HTTP and WebSocket on one port, with bounds on everything that comes from outside.
//!
//! A connection passes, in this order: the cap on connections (`permits`), the deadline for heads
//! (hyper), the check of Host, Origin and body (`gate`), the JSON-RPC library, the deadline and count
//! of calls (`guard`), and the table of methods (`dispatch`). The library alone would let a client
//! hold connections and send bodies for ever. A submission for which there is no room gets no further than
//! the gate (`unread`). [`Direct`] leads to the same table without sockets.
//! Source: docs/architecture.md.
use http::StatusCode;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::RpcModule;
use jsonrpsee::core::middleware::RpcServiceBuilder;
use jsonrpsee::server::{
    BatchRequestConfig, HttpBody, HttpResponse, Methods, PingConfig, Server as RpcServer, ServerConfig,
    StopHandle, TowerService, TowerServiceBuilder, http as library, stop_channel, ws::is_upgrade_request,
};
use jsonrpsee::types::Id;
use std::convert::Infallible;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tower::Service;
use tower::layer::util::{Identity, Stack};

mod direct;
mod dispatch;
mod gate;
mod guard;
mod limits;
mod observer;
mod permits;
mod stream;
mod submissions;
mod subscriptions;
mod unread;

pub use direct::Direct;
pub use limits::Limits;
pub use observer::{Observer, Refusal, Unobserved};

use crate::api::{ApiError, METHODS, Style};
use crate::backend::Backend;
use dispatch::{Context, SUBMIT_MANY};
use gate::{AllowedHosts, Body, Turned};
use guard::{GuardLayer, refuse};
use permits::{Permit, Permits};

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Two methods have the same name.
    #[error("a method cannot be registered")]
    Register(#[from] jsonrpsee::core::RegisterMethodError),
}

/// How a server is set up.
#[derive(Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes any free one.
    pub address: SocketAddr,
    /// Names that a Host header may carry besides `localhost`, `127.0.0.1` and `[::1]`.
    pub hosts: Vec<String>,
    /// Bounds.
    pub limits: Limits,
    /// Who counts.
    pub observer: Arc<dyn Observer>,
}

impl Settings {
    /// Listens on this address, with default bounds, and counts nothing.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, hosts: Vec::new(), limits: Limits::default(), observer: Arc::new(Unobserved) }
    }
}

/// A running server. Dropping the handle stops it without waiting.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens and answers from the backend until stopped.
    ///
    /// # Errors
    /// [`StartError::Listen`] when the address is taken or not this machine's.
    pub async fn start<B: Backend>(settings: Settings, backend: Arc<B>) -> Result<Self, StartError> {
        let (stop, stopping) = watch::channel(());
        let subscribers = Arc::new(watch::Sender::new(0));
        let limits = Arc::new(settings.limits.clone());
        let asked = Arc::clone(&backend);
        let room: Room = Arc::new(move || asked.busy_ms());
        let methods =
            register(Context { backend, limits, subscribers: Arc::clone(&subscribers) }, &stopping)?;
        let at = settings.address;
        let listen_error = |source| StartError::Listen { address: at, source };
        let listener = TcpListener::bind(at).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let front = Front::new(&settings, methods, subscribers, room);
        let task = tokio::spawn(front.accept(listener, stopping));
        Ok(Self { address, stop, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening, tells subscribers, and gives open calls and connections
    /// [`Limits::stop_timeout`] to end.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "rpc server ended abnormally");
        }
    }
}

/// Registers every method of the table.
fn register<B: Backend>(
    context: Context<B>,
    stopping: &watch::Receiver<()>,
) -> Result<Methods, jsonrpsee::core::RegisterMethodError> {
    let mut module = RpcModule::new(context);
    for method in METHODS {
        match method.style {
            Style::Subscription { .. } => subscriptions::register(&mut module, method, stopping)?,
            Style::Call => {
                module.register_async_method(method.name, move |parameters, context, _| async move {
                    let answer = dispatch::answer(method, parameters.as_str(), &context).await;
                    answer.map_err(jsonrpsee::types::ErrorObjectOwned::from)
                })?;
            }
        }
    }
    Ok(module.into())
}

type Builder = TowerServiceBuilder<Stack<GuardLayer, Identity>, Identity>;

/// If there is no room for submissions: after what time to try again, in ms.
type Room = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

/// Everything that a new connection needs.
struct Front {
    limits: Arc<Limits>,
    hosts: Arc<AllowedHosts>,
    observer: Arc<dyn Observer>,
    permits: Arc<Permits>,
    builder: Builder,
    methods: Methods,
    subscribers: Arc<watch::Sender<usize>>,
    room: Room,
}

impl Front {
    fn new(
        settings: &Settings,
        methods: Methods,
        subscribers: Arc<watch::Sender<usize>>,
        room: Room,
    ) -> Self {
        let limits = Arc::new(settings.limits.clone());
        let ping = PingConfig::new()
            .ping_interval(limits.ping_interval)
            .inactive_limit(limits.ping_interval.saturating_mul(2))
            .max_failures(1);
        let config = ServerConfig::builder()
            .max_request_body_size(limits.request_bytes)
            .max_response_body_size(limits.response_bytes)
            .max_connections(u32::try_from(limits.connections).unwrap_or(u32::MAX))
            .max_subscriptions_per_connection(limits.subscriptions)
            .set_message_buffer_capacity(limits.buffered_messages)
            .set_batch_request_config(BatchRequestConfig::Limit(limits.batch_calls))
            .enable_ws_ping(ping)
            .build();
        let guard = GuardLayer { limits: Arc::clone(&limits), observer: Arc::clone(&settings.observer) };
        Self {
            hosts: Arc::new(AllowedHosts::new(&settings.hosts)),
            observer: Arc::clone(&settings.observer),
            permits: Permits::new(&limits, Arc::clone(&settings.observer)),
            builder: RpcServer::builder()
                .set_config(config)
                .set_rpc_middleware(RpcServiceBuilder::new().layer(guard))
                .to_service_builder(),
            methods,
            subscribers,
            room,
            limits,
        }
    }

    /// Accepts connections until stopped, then sees the open ones off.
    async fn accept(self, listener: TcpListener, mut stopping: watch::Receiver<()>) {
        let (stop_handle, server_handle) = stop_channel();
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = stopping.changed() => break,
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => match self.permits.take(peer.ip()) {
                    Ok(permit) => {
                        connections.spawn(self.serve(socket, permit, stop_handle.clone()));
                    }
                    Err(why) => {
                        self.observer.refused(why);
                        turn_away(socket);
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Out of file descriptors: at once the same error would come again.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        drop(stop_handle);
        let see_off = async {
            // Subscribers get their last message before their connections are closed.
            let mut open = self.subscribers.subscribe();
            let _ = tokio::time::timeout(FAREWELL, open.wait_for(|open| *open == 0)).await;
            let _ = server_handle.stop();
            while connections.join_next().await.is_some() {}
            server_handle.stopped().await;
        };
        if tokio::time::timeout(self.limits.stop_timeout, see_off).await.is_err() {
            tracing::info!("rpc connections were closed before their calls were answered");
        }
    }

    /// Serves one connection.
    fn serve(
        &self,
        socket: TcpStream,
        permit: Permit,
        stop_handle: StopHandle,
    ) -> impl Future<Output = ()> + Send + 'static {
        let desk = Arc::new(Desk {
            service: self.builder.clone().build(self.methods.clone(), stop_handle.clone()),
            limits: Arc::clone(&self.limits),
            hosts: Arc::clone(&self.hosts),
            observer: Arc::clone(&self.observer),
            room: Arc::clone(&self.room),
        });
        let limits = Arc::clone(&self.limits);
        async move {
            // Small answers should not wait for more to send.
            let _ = socket.set_nodelay(true);
            let stream = TokioIo::new(stream::Guarded::new(socket, limits.write_stall, permit));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.head_timeout)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(stream, service_fn(move |request| Arc::clone(&desk).respond(request)))
                .with_upgrades();
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop_handle.shutdown() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "rpc connection ended");
            }
        }
    }
}

/// What answers the requests of one connection.
struct Desk {
    service: TowerService<Stack<GuardLayer, Identity>, Identity>,
    limits: Arc<Limits>,
    hosts: Arc<AllowedHosts>,
    observer: Arc<dyn Observer>,
    room: Room,
}

/// A request that passed the gate.
#[expect(clippy::large_enum_variant, reason = "lives for one call and is never stored")]
enum Admitted {
    /// To be answered by the library.
    Request(http::Request<HttpBody>),
    /// A submission with this id, for which there is no room for so many ms.
    Unread(Id<'static>, u64),
}

impl Desk {
    async fn respond(self: Arc<Self>, request: http::Request<Incoming>) -> Result<HttpResponse, Infallible> {
        let begun = Instant::now();
        let answered = match self.admit(request).await {
            Ok(Admitted::Request(request)) => self.service.clone().call(request).await.map(gate::silence),
            Ok(Admitted::Unread(id, wait_ms)) => {
                let refused = refuse(id, submissions::busy(wait_ms));
                self.observer.answered(SUBMIT_MANY, refused.as_error_code(), begun.elapsed());
                return Ok(library::response::from_method_response(refused));
            }
            Err(Turned { why, response }) => {
                self.observer.refused(why);
                return Ok(*response);
            }
        };
        Ok(answered.unwrap_or_else(|error| {
            gate::answer(StatusCode::INTERNAL_SERVER_ERROR, ApiError::internal(error))
        }))
    }

    async fn admit(&self, request: http::Request<Incoming>) -> Result<Admitted, Turned> {
        gate::check_host(&request, &self.hosts)?;
        if is_upgrade_request(&request) {
            return Ok(Admitted::Request(request.map(HttpBody::new)));
        }
        let busy_ms = (self.room)();
        Ok(match gate::take_body(request, &self.limits, busy_ms.is_some()).await? {
            Body::Taken(request) => Admitted::Request(request.map(HttpBody::new)),
            Body::Unread(id) => Admitted::Unread(id, busy_ms.unwrap_or_default()),
        })
    }
}

/// Longest head of a request in bytes; ours need less than one.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest wait for subscribers to be told, before connections are closed.
const FAREWELL: Duration = Duration::from_millis(500);

/// Says that there are too many connections, as far as that is possible without waiting.
fn turn_away(socket: TcpStream) {
    const ANSWER: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    if let Ok(mut socket) = socket.into_std() {
        let _ = socket.write(ANSWER);
    }
}
