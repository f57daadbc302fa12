//! Requests that come without a connection: the bytes of a request in, the bytes of its answer out.
//!
//! Decoding, bounds and methods are those of the HTTP server, and so are the answers. What needs a
//! clock is left out: there are no deadlines, so a call takes as long as the backend does. Nothing
//! here needs a runtime; if the backend never waits, the answer is there when it is first polled.
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method as HttpMethod, Request as HttpRequest};
use http_body_util::{BodyExt, Full};
use jsonrpsee::MethodResponse;
use jsonrpsee::core::middleware::{Batch, Notification, RpcServiceT};
use jsonrpsee::server::{BatchRequestConfig, ResponsePayload, http as library};
use jsonrpsee::types::Request;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::watch;

use super::dispatch::{self, Context};
use super::gate;
use super::guard::{answer_batch, known, needs_socket, refuse, unknown_method};
use super::limits::Limits;
use crate::api::{ApiError, Method, Style};
use crate::backend::Backend;

/// The interface of a node for whoever holds the bytes of a request. Cheap to clone.
pub struct Direct<B> {
    context: Arc<Context<B>>,
}

impl<B> Clone for Direct<B> {
    fn clone(&self) -> Self {
        Self { context: Arc::clone(&self.context) }
    }
}

impl<B: Backend> Direct<B> {
    /// Answers from this backend. Of the limits only those on bytes, nesting, batches and waiting are
    /// kept.
    #[must_use]
    pub fn new(backend: Arc<B>, limits: Limits) -> Self {
        let subscribers = Arc::new(watch::Sender::new(0));
        Self { context: Arc::new(Context { backend, limits: Arc::new(limits), subscribers }) }
    }

    /// Answers one request: a call, a notification or a batch, as it would stand in the body of a POST.
    /// Empty if it asks for no answer. May be cancelled, though a submitted transaction may then have
    /// been taken.
    pub async fn answer(&self, body: Vec<u8>) -> Vec<u8> {
        let limits = &self.context.limits;
        if let Err(error) = gate::check_text(&body, limits) {
            return gate::error_text(error).into_bytes();
        }
        let mut request = HttpRequest::new(Full::new(Bytes::from(body)));
        *request.method_mut() = HttpMethod::POST;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let batches = BatchRequestConfig::Limit(limits.batch_calls);
        let table = Table(Arc::clone(&self.context));
        let response = library::call_with_service(request, batches, limits.request_bytes, table).await;
        match response.into_body().collect().await {
            Ok(collected) => gate::without_nothing(collected.to_bytes()).to_vec(),
            Err(cause) => gate::error_text(ApiError::internal(cause)).into_bytes(),
        }
    }
}

async fn call<B: Backend>(request: Request<'_>, context: &Context<B>) -> MethodResponse {
    let id = request.id.clone();
    let method = Method::by_name(request.method_name()).filter(|method| method.style == Style::Call);
    let Some(method) = method else {
        let why = known(request.method_name())
            .map_or_else(|| unknown_method(request.method_name()), |_| needs_socket());
        return refuse(id, why);
    };
    let parameters = request.params.as_ref().map(|raw| raw.get());
    match dispatch::answer(method, parameters, context).await {
        Ok(json) => {
            let bytes_max = usize::try_from(context.limits.response_bytes).unwrap_or(usize::MAX);
            MethodResponse::response(id, ResponsePayload::success(json), bytes_max)
        }
        Err(error) => refuse(id, error),
    }
}

/// The table of methods as the library calls it.
struct Table<B>(Arc<Context<B>>);

impl<B: Backend> RpcServiceT for Table<B> {
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let context = Arc::clone(&self.0);
        async move { call(request, &context).await }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let context = Arc::clone(&self.0);
        async move { answer_batch(batch, &context.limits, |request| call(request, &context)).await }
    }

    fn notification<'a>(&self, _: Notification<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        std::future::ready(MethodResponse::notification())
    }
}
