//! The errors of the interface: stable codes and names, and what a caller can do about each.
//!
//! Codes below −32000 are those of JSON-RPC 2.0 and of its server library; 1001 to 1999 are the
//! ledger's own reasons ([`Failure`]); 2001 to 2099 say why a transaction was not taken; 2101 and
//! above concern the question or the connection.
use quorate_primitives::Hash;
use quorate_primitives::receipt::Failure;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use std::fmt;

use crate::json::hexadecimal::serialize_hash;
use crate::json::schema::{Definitions, Schema, define, object};
use crate::json::values::{Decimal, Shown};

/// Whether doing the same again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    Useless,
    Later,
}

macro_rules! kinds {
    ($($variant:ident = $code:literal, $name:literal, $again:ident, $hint:literal;)*) => {
        /// What went wrong. Codes and names are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorKind {
            $(#[doc = $hint] $variant,)*
            /// The ledger's own reason, found before the transaction was ordered.
            Refused(Failure),
        }

        impl ErrorKind {
            /// All kinds but the ledger's own, in order of documentation.
            pub const OWN: &'static [ErrorKind] = &[$(ErrorKind::$variant,)*];

            /// The stable number.
            #[must_use]
            pub fn code(self) -> i32 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Refused(failure) => i32::from(failure.code()),
                }
            }

            /// The stable name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Refused(failure) => failure.name(),
                }
            }

            /// What the caller can do.
            #[must_use]
            pub fn hint(self) -> &'static str {
                match self {
                    $(Self::$variant => $hint,)*
                    Self::Refused(failure) => failure.description(),
                }
            }

            /// Whether the same request can succeed later.
            #[must_use]
            pub const fn is_retryable(self) -> bool {
                match self {
                    $(Self::$variant => matches!(Again::$again, Again::Later),)*
                    Self::Refused(_) => false,
                }
            }
        }
    };
}

kinds! {
    ParseError = -32700, "parse_error", Useless, "send one JSON value in UTF-8, nested at most 32 deep";
    InvalidRequest = -32600, "invalid_request", Useless, "send an object with jsonrpc, method, params and id, or a batch of them";
    MethodNotFound = -32601, "method_not_found", Useless, "rpc.discover lists the methods";
    InvalidParams = -32602, "invalid_params", Useless, "rpc.discover lists the parameters of the method";
    Internal = -32603, "internal", Later, "the node has logged the cause; try again or ask another node";
    TooManySubscriptions = -32006, "too_many_subscriptions", Useless, "end a subscription of this connection first";
    RequestTooLarge = -32007, "request_too_large", Useless, "divide the request; chain_info names the limits";
    ResponseTooLarge = -32008, "response_too_large", Useless, "ask for less: fewer keys, smaller pages, no bodies";
    Busy = -32009, "busy", Later, "wait and try again, or ask another node";
    BatchTooLarge = -32010, "batch_too_large", Useless, "divide the batch; chain_info names the limits";
    BatchResponseTooLarge = -32011, "batch_response_too_large", Useless, "divide the batch";
    Malformed = 2001, "malformed", Useless, "the bytes are not the canonical encoding of what is expected; see docs/formats.md";
    BadSignature = 2002, "bad_signature", Useless, "sign the canonical bytes with every key named in the transaction";
    WrongChain = 2003, "wrong_chain", Useless, "the transaction names another genesis hash than this chain's; see chain_info";
    Expired = 2004, "expired", Useless, "valid_until has passed, so the transaction can never execute: make a new one";
    TooFarAhead = 2005, "too_far_ahead", Useless, "valid_until lies further ahead than max_validity_ms of chain_info allows";
    AlreadyKnown = 2006, "already_known", Useless, "the transaction is pending or was executed; ask tx_status";
    MempoolFull = 2007, "mempool_full", Later, "submit the same transaction again after retry_after_ms, or to another node";
    SenderFull = 2008, "sender_full", Later, "too many transactions of this sender wait; submit again when some are final";
    NotFound = 2101, "not_found", Useless, "this node has no such block or epoch; compare with chain_head";
    NotReady = 2102, "not_ready", Later, "the node is starting, catching up or has no certified block yet; see node_status";
    Timeout = 2103, "timeout", Later, "the request took too long; send it faster or ask for less";
    HostRefused = 2104, "host_refused", Useless, "the Host header is not in the node's list of allowed names";
}

impl ErrorKind {
    /// The kind with this code.
    #[must_use]
    pub fn by_code(code: i32) -> Option<Self> {
        let refused = || Failure::ALL.iter().copied().map(Self::Refused).find(|kind| kind.code() == code);
        Self::OWN.iter().copied().find(|kind| kind.code() == code).or_else(refused)
    }
}

/// An error on its way to the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// What exactly, safe to show to anybody.
    pub message: String,
    /// When to try again, for kinds that are retryable.
    pub retry_after_ms: Option<u64>,
    /// The transaction concerned.
    pub tx_id: Option<Hash>,
    /// The parameter or field at fault.
    pub field: Option<String>,
}

impl ApiError {
    /// An error with a message of its own.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string(), retry_after_ms: None, tx_id: None, field: None }
    }

    /// Names the transaction concerned.
    #[must_use]
    pub fn of_transaction(mut self, id: Hash) -> Self {
        self.tx_id = Some(id);
        self
    }

    /// Names the parameter or field at fault.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// An error whose cause is for the log only.
    #[must_use]
    pub fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!(%cause, "rpc method cannot answer");
        Self::new(ErrorKind::Internal, "internal error")
    }
}

impl From<ErrorKind> for ApiError {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind, kind.name().replace('_', " "))
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        Self::new(ErrorKind::Refused(failure), failure.description())
    }
}

/// [`ErrorObject`], written without copies.
#[derive(Serialize)]
struct Told<'a> {
    code: i32,
    message: &'a str,
    data: ToldData<'a>,
}

/// [`ErrorData`], written without copies.
#[derive(Serialize)]
struct ToldData<'a> {
    name: &'static str,
    hint: &'static str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<Decimal<u64>>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_hash")]
    tx_id: Option<Hash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

/// As [`ErrorObject`] is written.
impl Serialize for ApiError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let data = ToldData {
            name: self.kind.name(),
            hint: self.kind.hint(),
            retryable: self.kind.is_retryable(),
            retry_after_ms: self.retry_after_ms.map(Decimal),
            tx_id: self.tx_id,
            field: self.field.as_deref(),
        };
        Told { code: self.kind.code(), message: &self.message, data }.serialize(serializer)
    }
}

object! {
    /// An error as it stands in an answer.
    pub struct ErrorObject {
        /// The stable number.
        pub code: i32,
        /// What went wrong, for people.
        pub message: String,
        /// What programs need.
        pub data: Option<ErrorData>,
    }
}

impl ErrorObject {
    /// The kind, if this version knows the code.
    #[must_use]
    pub fn kind(&self) -> Option<ErrorKind> {
        ErrorKind::by_code(self.code)
    }
}

impl fmt::Display for ErrorObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.data {
            Some(data) => write!(f, "{} ({}, code {})", self.message, data.name, self.code),
            None => write!(f, "{} (code {})", self.message, self.code),
        }
    }
}

impl From<ApiError> for ErrorObject {
    fn from(error: ApiError) -> Self {
        let data = ErrorData {
            name: error.kind.name().to_owned(),
            hint: error.kind.hint().to_owned(),
            retryable: error.kind.is_retryable(),
            retry_after_ms: error.retry_after_ms.map(Decimal),
            tx_id: error.tx_id.map(Shown),
            field: error.field,
        };
        Self { code: error.kind.code(), message: error.message, data: Some(data) }
    }
}

/// What programs need to know of an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorData {
    /// The stable name.
    pub name: String,
    /// What the caller can do.
    pub hint: String,
    /// Whether the same request can succeed later.
    pub retryable: bool,
    /// When to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<Decimal<u64>>,
    /// The transaction concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx_id: Option<Shown<Hash>>,
    /// The parameter or field at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Schema for ErrorData {
    fn schema(definitions: &mut Definitions) -> Value {
        define("ErrorData", definitions, |definitions| {
            json!({
                "type": "object",
                "description": "what programs need to know of an error",
                "properties": {
                    "name": { "type": "string", "description": "the stable name" },
                    "hint": { "type": "string", "description": "what the caller can do" },
                    "retryable": { "type": "boolean", "description": "whether the same request can succeed later" },
                    "retry_after_ms": <Decimal<u64>>::schema(definitions),
                    "tx_id": <Shown<Hash>>::schema(definitions),
                    "field": { "type": "string", "description": "the parameter or field at fault" },
                },
                "required": ["name", "hint", "retryable"],
            })
        })
    }
}

impl From<ApiError> for jsonrpsee::types::ErrorObjectOwned {
    fn from(error: ApiError) -> Self {
        let ErrorObject { code, message, data } = error.into();
        Self::owned(code, message, data)
    }
}

impl From<jsonrpsee::types::ErrorObjectOwned> for ErrorObject {
    fn from(error: jsonrpsee::types::ErrorObjectOwned) -> Self {
        // An answer of another server may carry other data, which is then not understood.
        let data = error.data().and_then(|data| serde_json::from_str(data.get()).ok());
        Self { code: error.code(), message: error.message().to_owned(), data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_written_as_what_is_read_of_it() {
        let bare = ApiError::new(ErrorKind::Malformed, "a \"quoted\" reason");
        let full = ApiError::from(ErrorKind::Busy)
            .retry_after(250)
            .of_transaction(Hash::from_bytes([0xa7; 32]))
            .in_field("transaction");
        for error in [bare, full, ApiError::from(Failure::InsufficientFunds)] {
            let written = serde_json::to_string(&error).unwrap();
            assert_eq!(written, serde_json::to_string(&ErrorObject::from(error)).unwrap());
        }
    }
}
