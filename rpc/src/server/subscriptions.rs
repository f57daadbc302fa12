//! Subscriptions: events from the backend to a client that may be slow.
//!
//! The backend's stream is asked for the next event only when the last one has been handed over, so
//! nothing gathers for a slow client but what fits its buffer. One that keeps the buffer full for too
//! long is told where to resume and let go: at least once, without gaps.
use futures::StreamExt;
use jsonrpsee::core::server::{PendingSubscriptionSink, SubscriptionSink};
use jsonrpsee::server::SubscriptionMessage;
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::{RpcModule, SubscriptionCloseResponse};
use serde::Serialize;
use serde_json::value::to_raw_value;
use std::sync::Arc;
use tokio::sync::watch;

use super::dispatch::{Context, transaction_id};
use crate::api::{ApiError, Method, Style};
use crate::arguments::Arguments;
use crate::backend::{Answer, Backend, EventStream};
use crate::json::{Cursor, End, EndReason, HeadEvent, Notice, Shown, TransactionEvent};

/// An event that says where it stands.
trait Positioned {
    fn cursor(&self) -> Cursor;
}

impl Positioned for HeadEvent {
    fn cursor(&self) -> Cursor {
        self.cursor.0
    }
}

impl Positioned for TransactionEvent {
    fn cursor(&self) -> Cursor {
        self.cursor.0
    }
}

/// Registers one subscription of the table. `stop` is closed when the server is stopping.
pub(crate) fn register<B: Backend>(
    module: &mut RpcModule<Context<B>>,
    method: &'static Method,
    stop: &watch::Receiver<()>,
) -> Result<(), jsonrpsee::core::RegisterMethodError> {
    let Style::Subscription { notification, unsubscribe } = method.style else {
        return Ok(());
    };
    let stop = stop.clone();
    module.register_subscription(
        method.name,
        notification,
        unsubscribe,
        move |parameters, pending, context, _| {
            let stop = stop.clone();
            async move {
                let arguments =
                    Arguments::parse(method, parameters.as_str(), context.limits.parameter_depth());
                match (arguments, method.name) {
                    (Ok(arguments), "chain_subscribeHeads") => heads(arguments, pending, context, stop).await,
                    (Ok(arguments), "tx_subscribe") => transaction(arguments, pending, context, stop).await,
                    (Ok(_), other) => {
                        let error = ApiError::internal(format_args!("subscription {other} is not served"));
                        pending.reject(ErrorObjectOwned::from(error)).await;
                    }
                    (Err(error), _) => pending.reject(ErrorObjectOwned::from(error)).await,
                }
                SubscriptionCloseResponse::None
            }
        },
    )?;
    Ok(())
}

async fn heads<B: Backend>(
    mut arguments: Arguments<'_>,
    pending: PendingSubscriptionSink,
    context: Arc<Context<B>>,
    stop: watch::Receiver<()>,
) {
    let open = async {
        let from = arguments.optional::<Shown<Cursor>>("from")?.map(|shown| shown.0);
        Ok((from, context.backend.heads(from).await?))
    };
    serve(open.await, pending, &context, stop).await;
}

async fn transaction<B: Backend>(
    mut arguments: Arguments<'_>,
    pending: PendingSubscriptionSink,
    context: Arc<Context<B>>,
    stop: watch::Receiver<()>,
) {
    let open = async {
        let id = transaction_id(&mut arguments)?;
        Ok((None, context.backend.transaction_events(id).await?))
    };
    serve(open.await, pending, &context, stop).await;
}

/// Counts one open subscription while it lives.
struct Subscriber(Arc<watch::Sender<usize>>);

impl Subscriber {
    fn new(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|open| *open = open.saturating_add(1));
        Self(Arc::clone(count))
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}

async fn serve<B, T: Positioned + Serialize>(
    opened: Answer<(Option<Cursor>, EventStream<T>)>,
    pending: PendingSubscriptionSink,
    context: &Context<B>,
    mut stop: watch::Receiver<()>,
) {
    let (mut cursor, mut events) = match opened {
        Ok(opened) => opened,
        Err(error) => return pending.reject(ErrorObjectOwned::from(error)).await,
    };
    let Ok(sink) = pending.accept().await else {
        return;
    };
    let _counted = Subscriber::new(&context.subscribers);
    let (reason, error) = loop {
        let event = tokio::select! {
            () = sink.closed() => return,
            _ = stop.changed() => break (EndReason::Stopping, None),
            event = events.next() => event,
        };
        match event {
            None => break (EndReason::Complete, None),
            Some(Err(error)) => break (EndReason::Fault, Some(error)),
            Some(Ok(event)) => {
                let position = event.cursor();
                if !deliver(&sink, &Notice::Event(event), context.limits.subscriber_stall).await {
                    break (EndReason::SlowConsumer, None);
                }
                cursor = Some(position);
            }
        }
    };
    // Nothing more is asked of the backend while the last message waits.
    drop(events);
    let end = End { reason, resume_from: cursor.map(Shown), error: error.map(Into::into) };
    let last: Notice<T> = Notice::Ended { ended: end };
    // The buffer may still be full: the connection's own write deadline bounds this wait.
    deliver(&sink, &last, context.limits.write_stall).await;
}

/// Hands one message over; `false` if the client did not take it in time or is gone.
async fn deliver<T: Serialize>(
    sink: &SubscriptionSink,
    notice: &Notice<T>,
    patience: std::time::Duration,
) -> bool {
    match to_raw_value(notice) {
        Ok(json) => sink.send_timeout(SubscriptionMessage::from(json), patience).await.is_ok(),
        Err(error) => {
            tracing::error!(%error, "event cannot be written");
            false
        }
    }
}
