//! Subscriptions over WebSocket.
use jsonrpsee::core::client::{Subscription as RpcSubscription, SubscriptionClientT};
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use quorate_primitives::Hash;
use serde::de::DeserializeOwned;

use super::{Client, ClientError, Named, Reply, classify, read_bytes_max};
use crate::api::{Method, Style};
use crate::json::{Cursor, End, HeadEvent, Notice, Shown, TransactionEvent};

/// Messages that wait to be taken before the subscription is given up; more than a node buffers.
const BUFFERED_MESSAGES: usize = 256;

/// Events of one subscription, on a connection of its own that ends with it.
pub struct Subscription<T> {
    url: String,
    events: RpcSubscription<Notice<T>>,
    end: Option<End>,
    _connection: WsClient,
}

impl<T: DeserializeOwned> Subscription<T> {
    /// The next event; `None` when there will be no more, see [`Subscription::end`].
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the connection was lost: subscribe again from the last cursor.
    /// [`ClientError::Protocol`] for a message that is no event.
    pub async fn next(&mut self) -> Reply<Option<T>> {
        if self.end.is_some() {
            return Ok(None);
        }
        match self.events.next().await {
            Some(Ok(Notice::Event(event))) => Ok(Some(event)),
            Some(Ok(Notice::Ended { ended })) => {
                self.end = Some(ended);
                Ok(None)
            }
            Some(Err(reason)) => {
                Err(ClientError::Protocol { url: self.url.clone(), reason: reason.to_string() })
            }
            None => Err(ClientError::Unreachable {
                url: self.url.clone(),
                reason: "the connection of the subscription was lost".to_owned(),
            }),
        }
    }

    /// Why the node ended it and where to go on, once it has.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }
}

impl Client {
    /// Every finalized block after the cursor, then new ones; only new ones without a cursor.
    ///
    /// # Errors
    /// [`ClientError`] as for calls.
    pub async fn subscribe_heads(&self, from: Option<Cursor>) -> Reply<Subscription<HeadEvent>> {
        self.subscribe("chain_subscribeHeads", Named::new().maybe("from", from.map(Shown))).await
    }

    /// How a transaction stands, now and at each change.
    ///
    /// # Errors
    /// [`ClientError`] as for calls.
    pub async fn subscribe_transaction(&self, id: Hash) -> Reply<Subscription<TransactionEvent>> {
        self.subscribe("tx_subscribe", Named::new().with("tx_id", Shown(id))).await
    }

    async fn subscribe<T: DeserializeOwned>(
        &self,
        method: &str,
        parameters: Named,
    ) -> Reply<Subscription<T>> {
        let Some(Style::Subscription { unsubscribe, .. }) =
            Method::by_name(method).map(|method| method.style)
        else {
            let reason = format!("{method} is no subscription");
            return Err(ClientError::Protocol { url: self.url.clone(), reason });
        };
        // `http` becomes `ws`, and so `https` becomes `wss`.
        let url = self.url.replacen("http", "ws", 1);
        let connection = WsClientBuilder::new()
            .max_response_size(read_bytes_max())
            .max_buffer_capacity_per_subscription(BUFFERED_MESSAGES)
            .connection_timeout(self.timeout)
            .request_timeout(self.timeout)
            .build(&url)
            .await
            .map_err(|error| classify(&self.url, error))?;
        let events = connection
            .subscribe(method, parameters.0, unsubscribe)
            .await
            .map_err(|error| classify(&self.url, error))?;
        Ok(Subscription { url: self.url.clone(), events, end: None, _connection: connection })
    }
}
