//! The description, the table and the server agree, and the description is as written down.
use quorate_rpc::api::{METHODS, Style};
use quorate_rpc::{Limits, openrpc};
use serde_json::{Value, json};

use crate::fake::serve;
use crate::wire::{Socket, call};

#[test]
fn the_document_is_the_one_that_is_written_down() {
    let written: Value = serde_json::from_str(include_str!("../../openrpc.json")).unwrap();
    assert!(
        written == openrpc::document(),
        "the interface changed: raise API_VERSION as its comment says, then \
         cargo run --release -p quorate-rpc --example openrpc > rpc/openrpc.json"
    );
}

#[test]
fn every_reference_leads_to_a_definition() {
    fn check(value: &Value, document: &Value) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(reference)) = object.get("$ref") {
                    let target = document.pointer(reference.trim_start_matches('#'));
                    assert!(target.is_some_and(Value::is_object), "{reference}");
                }
                object.values().for_each(|value| check(value, document));
            }
            Value::Array(items) => items.iter().for_each(|value| check(value, document)),
            _ => {}
        }
    }
    let document = openrpc::document();
    check(&document, &document);
}

#[tokio::test]
async fn the_server_serves_what_the_table_and_the_document_name_and_nothing_else() {
    let (server, _fake) = serve(Limits::default()).await;
    let document = call(server.address(), "rpc.discover", json!([])).await["result"].clone();
    assert_eq!(document, openrpc::document());
    let described: Vec<&str> =
        document["methods"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    let table: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
    assert_eq!(described, table);
    let mut socket = Socket::open(server.address()).await;
    for method in METHODS {
        // A parameter that no method has: refused by the method itself, so the method is there.
        socket.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": method.name, "params": { "?": 1 } })).await;
        let answer = socket.receive().await.unwrap();
        assert_eq!(answer["error"]["data"]["field"], "?", "{}: {answer}", method.name);
        if let Style::Subscription { unsubscribe, .. } = method.style {
            socket.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": unsubscribe, "params": [1] })).await;
            assert_eq!(socket.receive().await.unwrap()["result"], false);
        }
    }
    server.stop().await;
}
