//! What subscriptions deliver.
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::chain::Head;
use super::schema::{Definitions, Schema, object, words};
use super::transaction::TransactionStatus;
use super::values::{Cursor, Shown};
use crate::api::ErrorObject;

object! {
    /// A block became final.
    pub struct HeadEvent {
        /// Resume from here to receive what comes after this event.
        pub cursor: Shown<Cursor>,
        /// The block.
        pub head: Head,
    }
}

object! {
    /// The state of a transaction changed.
    pub struct TransactionEvent {
        /// Height at which it was seen to be so.
        pub cursor: Shown<Cursor>,
        /// How it stands.
        pub status: TransactionStatus,
    }
}

words! {
    /// Why a subscription ended.
    pub enum EndReason {
        /// All that was asked for has been delivered.
        Complete = "complete",
        /// The client did not take messages for too long.
        SlowConsumer = "slow_consumer",
        /// The node is stopping.
        Stopping = "stopping",
        /// The node cannot go on; see the error.
        Fault = "fault",
    }
}

object! {
    /// The last message of a subscription.
    pub struct End {
        /// Why.
        pub reason: EndReason,
        /// Subscribe again from here: nothing is lost. Absent if nothing was delivered.
        pub resume_from: Option<Shown<Cursor>>,
        /// What went wrong, for reason `fault`.
        pub error: Option<ErrorObject>,
    }
}

/// A message of a subscription: an event, or `{"ended": …}` as the last one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Notice<T> {
    /// Nothing more follows.
    Ended {
        /// Why, and where to go on.
        ended: End,
    },
    /// Something happened.
    Event(T),
}

impl<T: Schema> Schema for Notice<T> {
    fn schema(definitions: &mut Definitions) -> Value {
        let ended = End::schema(definitions);
        let last = json!({ "type": "object", "properties": { "ended": ended }, "required": ["ended"] });
        json!({ "oneOf": [T::schema(definitions), last] })
    }
}
