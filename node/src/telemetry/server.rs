//! `/metrics`, `/health` and `/ready` on a port of their own.
use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::metrics::Metrics;
use crate::io::api::Api;

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
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
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
