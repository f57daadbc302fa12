//! How much a client may ask for, and for how long.
use std::time::Duration;

use crate::api::{
    PAGE_ROWS_MAX, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, STATE_KEYS_MAX, SUBMIT_MANY_MAX, WAIT_MS_MAX,
};
use crate::json::ApiLimits;
use quorate_primitives::transaction::TRANSACTION_BYTES_MAX;

/// Bounds of the server. The defaults hold without any configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// TCP connections in all.
    pub connections: usize,
    /// TCP connections of one address; of one /64 network for IPv6.
    pub connections_per_address: usize,
    /// Time in which the head of a request must have arrived; also how long an idle connection stays.
    pub head_timeout: Duration,
    /// Time in which a body must have arrived, and again time in which a call, or a batch of them, must
    /// be answered. Waiting in `tx_submitAndWait` is not counted.
    pub request_timeout: Duration,
    /// Longest wait of one `tx_submitAndWait`.
    pub wait_max: Duration,
    /// Time for which a client may refuse to take any byte that is ready for it.
    pub write_stall: Duration,
    /// Longest request in bytes.
    pub request_bytes: u32,
    /// Longest answer in bytes.
    pub response_bytes: u32,
    /// Calls in a batch.
    pub batch_calls: u32,
    /// Nesting of JSON in a request.
    pub json_depth: u32,
    /// Calls of one WebSocket connection that are being answered at a time.
    pub calls_in_flight: usize,
    /// Subscriptions of a connection.
    pub subscriptions: u32,
    /// Messages that wait for a WebSocket client to take them.
    pub buffered_messages: u32,
    /// Time for which a full buffer is tolerated before a subscription is ended.
    pub subscriber_stall: Duration,
    /// Silence after which a WebSocket client is asked for a sign of life; two are one too many.
    pub ping_interval: Duration,
    /// Time that open calls and connections have when the server is stopped.
    pub stop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_per_address: 32,
            head_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(15),
            wait_max: Duration::from_millis(u64::from(WAIT_MS_MAX)),
            write_stall: Duration::from_secs(10),
            request_bytes: small(REQUEST_BYTES_MAX),
            response_bytes: small(RESPONSE_BYTES_MAX),
            batch_calls: 50,
            json_depth: 32,
            calls_in_flight: 32,
            subscriptions: 64,
            buffered_messages: 64,
            subscriber_stall: Duration::from_secs(5),
            ping_interval: Duration::from_secs(20),
            stop_timeout: Duration::from_secs(3),
        }
    }
}

fn small(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Nesting of a request around its parameters: the batch and the call.
const ENVELOPE_DEPTH: u32 = 2;

impl Limits {
    /// The bounds that clients should know.
    #[must_use]
    pub fn for_clients(&self) -> ApiLimits {
        ApiLimits {
            request_bytes_max: self.request_bytes,
            response_bytes_max: self.response_bytes,
            batch_calls_max: self.batch_calls,
            json_depth_max: self.json_depth,
            submit_many_max: small(SUBMIT_MANY_MAX),
            transaction_bytes_max: small(TRANSACTION_BYTES_MAX),
            page_rows_max: PAGE_ROWS_MAX,
            state_keys_max: small(STATE_KEYS_MAX),
            wait_ms_max: u32::try_from(self.wait_max.as_millis()).unwrap_or(u32::MAX),
            subscriptions_max: self.subscriptions,
        }
    }

    /// How deep parameters may be nested within a request.
    pub(crate) fn parameter_depth(&self) -> usize {
        usize::try_from(self.json_depth.saturating_sub(ENVELOPE_DEPTH)).unwrap_or(usize::MAX)
    }
}
