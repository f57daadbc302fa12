//! Writes the OpenRPC document from the table of methods.
use serde_json::{Map, Value, json};

use crate::api::{COMMON_ERRORS, ErrorKind, ErrorObject, METHODS, Method, Parameter, Presence, Style};
use crate::json::schema::{Definitions, Schema};
use quorate_primitives::receipt::Failure;

/// Version of the interface: the first number changes when a client could break, the second when
/// something is added.
pub const API_VERSION: &str = "1.1.0";

/// The OpenRPC document of this interface.
///
/// Subscriptions are outside of what OpenRPC 1.3 describes: their methods carry `x-subscription`, with
/// the schema of the notifications.
#[must_use]
pub fn document() -> Value {
    let mut definitions = Definitions::new();
    let methods: Vec<Value> = METHODS.iter().map(|method| describe(method, &mut definitions)).collect();
    // Named for clients that generate code, though errors stand outside of every result.
    ErrorObject::schema(&mut definitions);
    let schemas: Map<String, Value> =
        definitions.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    let refused = Failure::ALL.iter().copied().map(ErrorKind::Refused);
    let errors: Map<String, Value> = ErrorKind::OWN.iter().copied().chain(refused).map(error_entry).collect();
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "Quorate JSON-RPC",
            "version": API_VERSION,
            "license": { "name": "Apache-2.0" },
            "description": "JSON-RPC 2.0 over HTTP (POST) and WebSocket. Parameters by name or by position. \
                Numbers of 64 bits and more are decimal strings, ids and canonical bytes hexadecimal. \
                Answers about the state are as of the newest certified block and can be verified with proof: true.",
        },
        "methods": methods,
        "components": { "schemas": schemas, "errors": errors },
    })
}

fn error_entry(kind: ErrorKind) -> (String, Value) {
    let entry = json!({
        "code": kind.code(),
        "message": kind.name(),
        "data": { "name": kind.name(), "hint": kind.hint(), "retryable": kind.is_retryable() },
    });
    (kind.name().to_owned(), entry)
}

fn describe(method: &Method, definitions: &mut Definitions) -> Value {
    let parameters: Vec<Value> =
        method.parameters.iter().map(|parameter| content(parameter, definitions)).collect();
    let errors: Vec<Value> = method
        .errors
        .iter()
        .chain(COMMON_ERRORS)
        .map(|kind| json!({ "$ref": format!("#/components/errors/{}", kind.name()) }))
        .collect();
    let schema = (method.result)(definitions);
    let mut described = json!({
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "either",
        "params": parameters,
        "errors": errors,
    });
    let result = match method.style {
        Style::Call => json!({ "name": "result", "schema": schema }),
        Style::Subscription { notification, unsubscribe } => {
            described["x-subscription"] = json!({
                "transport": "websocket",
                "notification": notification,
                "unsubscribe": unsubscribe,
                "schema": schema,
            });
            json!({ "name": "subscription", "schema": { "type": ["integer", "string"] } })
        }
    };
    described["result"] = result;
    described
}

fn content(parameter: &Parameter, definitions: &mut Definitions) -> Value {
    json!({
        "name": parameter.name,
        "summary": parameter.summary,
        "required": parameter.presence == Presence::Required,
        "schema": (parameter.schema)(definitions),
    })
}
