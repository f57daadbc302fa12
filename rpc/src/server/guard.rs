//! What surrounds every call: its deadline, the number of calls at a time, and the counting.
use jsonrpsee::MethodResponse;
use jsonrpsee::core::middleware::{Batch, BatchEntry, Notification, RpcServiceT};
use jsonrpsee::core::server::BatchResponseBuilder;
use jsonrpsee::types::{ErrorObjectOwned, Id, Request};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tower::Layer;

use super::limits::Limits;
use super::observer::Observer;
use crate::api::{ApiError, ErrorKind, METHODS, Method, Style};

/// Surrounds the service of each connection (WebSocket) or request (HTTP).
#[derive(Clone)]
pub(crate) struct GuardLayer {
    pub(crate) limits: Arc<Limits>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        let in_flight = Arc::new(Semaphore::new(self.limits.calls_in_flight));
        Guard {
            inner: Arc::new(inner),
            limits: Arc::clone(&self.limits),
            observer: Arc::clone(&self.observer),
            in_flight,
        }
    }
}

/// A service with deadlines.
pub(crate) struct Guard<S> {
    inner: Arc<S>,
    limits: Arc<Limits>,
    observer: Arc<dyn Observer>,
    in_flight: Arc<Semaphore>,
}

impl<S> Clone for Guard<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            limits: Arc::clone(&self.limits),
            observer: Arc::clone(&self.observer),
            in_flight: Arc::clone(&self.in_flight),
        }
    }
}

/// The method whose answer may take as long as its caller wishes.
const WAITING_METHOD: &str = "tx_submitAndWait";

impl<S> Guard<S> {
    /// The deadline of calls to these methods together.
    fn deadline<'n>(&self, mut names: impl Iterator<Item = &'n str>) -> Duration {
        let waits = names.any(|name| name == WAITING_METHOD);
        self.limits.request_timeout.saturating_add(if waits { self.limits.wait_max } else { Duration::ZERO })
    }
}

/// The name as it stands in the table, so that metrics know no others.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    METHODS.iter().find_map(|method| match method.style {
        _ if method.name == name => Some(method.name),
        Style::Subscription { unsubscribe, .. } if unsubscribe == name => Some(unsubscribe),
        Style::Subscription { .. } | Style::Call => None,
    })
}

/// A call that is answered with an error.
pub(crate) fn refuse(id: Id<'_>, error: ApiError) -> MethodResponse {
    MethodResponse::error(id, ErrorObjectOwned::from(error))
}

impl<S> RpcServiceT for Guard<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move {
            let begun = Instant::now();
            let (name, id) = (known(request.method_name()), request.id.clone());
            let response = match (name, this.in_flight.try_acquire()) {
                (None, _) => refuse(id, unknown_method(request.method_name())),
                (Some(_), Err(_)) => {
                    let message =
                        format!("{} calls of this connection are open", this.limits.calls_in_flight);
                    refuse(id, ApiError::new(ErrorKind::Busy, message))
                }
                (Some(name), Ok(_permit)) => {
                    let deadline = this.deadline(std::iter::once(name));
                    match tokio::time::timeout(deadline, this.inner.call(request)).await {
                        Ok(response) => explained(response, id, name, &this.limits),
                        Err(_) => refuse(id, overdue(deadline)),
                    }
                }
            };
            this.observer.answered(name.unwrap_or("unknown"), response.as_error_code(), begun.elapsed());
            response
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move {
            let names = batch.iter().flatten().map(BatchEntry::method_name);
            let deadline = this.deadline(names);
            let ends = tokio::time::Instant::now() + deadline;
            let one = |request: Request<'a>| {
                let (id, answered) = (request.id.clone(), this.call(request));
                async move {
                    match tokio::time::timeout_at(ends, answered).await {
                        Ok(response) => response,
                        Err(_) => refuse(id, overdue(deadline)),
                    }
                }
            };
            answer_batch(batch, &this.limits, one).await
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}

/// Answers the calls of a batch one after another, each as `call` does; notifications ask for nothing.
pub(crate) async fn answer_batch<'a, F: Future<Output = MethodResponse>>(
    batch: Batch<'a>,
    limits: &Limits,
    call: impl Fn(Request<'a>) -> F,
) -> MethodResponse {
    let bytes_max = usize::try_from(limits.response_bytes).unwrap_or(usize::MAX);
    let mut answers = BatchResponseBuilder::new_with_limit(bytes_max);
    let mut notified = false;
    for entry in batch {
        let response = match entry {
            Ok(BatchEntry::Call(request)) => call(request).await,
            Ok(BatchEntry::Notification(_)) => {
                notified = true;
                continue;
            }
            Err(fault) => {
                let (_, id) = fault.into_parts();
                refuse(id, ErrorKind::InvalidRequest.into())
            }
        };
        if let Err(too_large) = answers.append(response) {
            return too_large;
        }
    }
    if answers.is_empty() && notified {
        return MethodResponse::notification();
    }
    MethodResponse::from_batch(answers.finish())
}

/// Puts our own words where the library only has a code for what it refused.
fn explained(response: MethodResponse, id: Id<'_>, name: &str, limits: &Limits) -> MethodResponse {
    // What a subscription answers by itself has been sent already, with our words.
    if response.is_subscription() || Method::by_name(name).is_some_and(|method| method.style == Style::Call) {
        return response;
    }
    let code = response.as_error_code();
    if code == Some(ErrorKind::TooManySubscriptions.code()) {
        let message = format!("{} subscriptions of this connection are open", limits.subscriptions);
        refuse(id, ApiError::new(ErrorKind::TooManySubscriptions, message))
    } else if code == Some(ErrorKind::Internal.code()) {
        refuse(id, needs_socket())
    } else {
        response
    }
}

/// Why a subscription cannot be opened or ended.
pub(crate) fn needs_socket() -> ApiError {
    ApiError::new(ErrorKind::InvalidRequest, "subscriptions need a WebSocket connection")
}

/// Why a method that is not in the table is not called.
pub(crate) fn unknown_method(name: &str) -> ApiError {
    let shown = crate::json::values::shortened(name);
    ApiError::new(ErrorKind::MethodNotFound, format_args!("no method {shown:?}"))
}

fn overdue(deadline: Duration) -> ApiError {
    ApiError::new(ErrorKind::Timeout, format_args!("not answered within {} ms", deadline.as_millis()))
}
