//! `/metrics`, `/health` and `/ready` on a port of their own.
//!
//! Whoever reaches the port can open connections, so there is a bound on their number, and each has
//! its end: a connection serves one request, head and answer, within `CONNECTION_TIME`.
mod bounded;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use self::bounded::Bounded;
use super::metrics::Metrics;
use crate::io::api::Api;

/// Connections that are open at once; the others wait in the system's queue.
const CONNECTIONS_MAX: usize = 32;
/// How long a connection lasts at most. An answer takes milliseconds.
const CONNECTION_TIME: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Sources {
    metrics: Arc<Metrics>,
    api: Api,
}

/// Serves until `stop` resolves.
///
/// # Errors
/// What the system says about the listener.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    api: Api,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let routes = Router::new()
        .route("/metrics", get(show_metrics))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .with_state(Sources { metrics, api });
    let listener = Bounded::new(listener, CONNECTIONS_MAX, CONNECTION_TIME);
    axum::serve(listener, once_each(routes)).with_graceful_shutdown(stop).await
}

/// Ends every connection with its first answer, so that none keeps its place while it is idle.
fn once_each(routes: Router) -> Router {
    routes.layer(map_response(|mut response: Response| async {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }))
}

async fn show_metrics(State(sources): State<Sources>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    match sources.metrics.to_text() {
        Ok(text) => (kind, text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Alive: whoever answers is.
async fn health() -> &'static str {
    "ok\n"
}

/// Ready: where the others are, and able to vote or to serve proven answers.
async fn ready(State(sources): State<Sources>) -> Response {
    match sources.api.unready_because() {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn start(connections: usize, time: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = once_each(Router::new().route("/health", get(health)));
        let serving = axum::serve(Bounded::new(listener, connections, time), routes);
        tokio::spawn(async move { serving.await.unwrap() });
        address
    }

    async fn send(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn answer(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn a_connection_ends_with_its_answer() {
        let address = start(1, Duration::from_secs(600)).await;
        for _ in 0..3 {
            let said = answer(send(address, "GET /health HTTP/1.1\r\nhost: n1\r\n\r\n").await).await;
            assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("ok\n"), "{said}");
        }
    }

    #[tokio::test]
    async fn half_sent_requests_take_no_more_places_than_there_are_and_give_them_back() {
        let time = Duration::from_millis(100);
        let address = start(2, time).await;
        let began = Instant::now();
        let mut halves = Vec::new();
        for _ in 0..4 {
            halves.push(send(address, "GET /health HTTP/1.1\r\nhost: ").await);
        }
        let said = answer(send(address, "GET /health HTTP/1.1\r\nhost: n1\r\n\r\n").await).await;
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
        // Two pairs went before it, one after the other.
        assert!(began.elapsed() >= 2 * time, "{:?}", began.elapsed());
    }
}
