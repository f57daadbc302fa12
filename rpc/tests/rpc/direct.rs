//! A request without a connection is answered at once, and as the server answers it.
use futures::FutureExt;
use quorate_rpc::api::{METHODS, Style};
use quorate_rpc::json::HexBytes;
use quorate_rpc::{Direct, Limits};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::fake::{Fake, serve};
use crate::methods::parameters;
use crate::wire::{exchange, post};

fn request(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": "a", "method": method, "params": params })
}

/// Bodies of requests: each method, and everything that can be wrong with one.
fn bodies(fake: &Fake) -> Vec<String> {
    let calls: Vec<Value> = METHODS
        .iter()
        .map(|method| request(method.name, &Value::Array(parameters(fake, method.name))))
        .collect();
    let mut bodies: Vec<String> = calls.iter().map(Value::to_string).collect();
    bodies.extend(METHODS.iter().filter_map(|method| match method.style {
        Style::Subscription { unsubscribe, .. } => Some(request(unsubscribe, &json!([1])).to_string()),
        Style::Call => None,
    }));
    let notification = json!({ "jsonrpc": "2.0", "method": "chain_head" });
    let bad = HexBytes::of(&fake.transfer(1, 2_000));
    bodies.extend([
        Value::Array(calls).to_string(),
        notification.to_string(),
        json!([notification]).to_string(),
        json!([request("chain_head", &json!([])), notification, 7, request("x", &json!([]))]).to_string(),
        Value::Array(vec![request("chain_head", &json!([])); 51]).to_string(),
        request("nothing", &json!([])).to_string(),
        request("tx_get", &json!({ "tx_id": 1 })).to_string(),
        request("chain_getBlock", &json!([9])).to_string(),
        request("tx_submit", &json!([bad])).to_string(),
    ]);
    bodies.extend(
        ["[]", "", "7", "{", "{}", "{\"id\":1}", " \n{\"id\":2}", "\u{e9}", "[1,"].map(str::to_owned),
    );
    bodies.push(format!("{}{}", "[".repeat(33), "]".repeat(33)));
    bodies.push(" ".repeat(1024 * 1024 + 1));
    bodies
}

#[tokio::test]
async fn every_answer_is_that_of_the_server() {
    let (server, fake) = serve(Limits::default()).await;
    let direct = Direct::new(Arc::clone(&fake), Limits::default());
    for body in bodies(&fake) {
        let served = exchange(server.address(), post("localhost", &body).as_bytes()).await;
        let served = served.split_once("\r\n\r\n").unwrap().1;
        let answered = String::from_utf8(direct.answer(body.clone().into_bytes()).await).unwrap();
        assert_eq!(answered, served, "{}", body.get(..200).unwrap_or(&body));
    }
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_as_by_the_server() {
    let limits = Limits { response_bytes: 4_000, ..Limits::default() };
    let (server, fake) = serve(limits.clone()).await;
    let direct = Direct::new(fake, limits);
    let discover = request("rpc.discover", &json!([]));
    let info = request("chain_info", &json!([]));
    for body in [discover.to_string(), Value::Array(vec![info; 10]).to_string()] {
        let served = exchange(server.address(), post("localhost", &body).as_bytes()).await;
        let answered = String::from_utf8(direct.answer(body.into_bytes()).await).unwrap();
        assert_eq!(answered, served.split_once("\r\n\r\n").unwrap().1);
        assert!(answered.contains("-32008") || answered.contains("-32011"), "{answered}");
    }
    server.stop().await;
}

#[test]
fn neither_a_runtime_nor_a_second_poll_is_needed() {
    let fake = Arc::new(Fake::new());
    let direct = Direct::new(Arc::clone(&fake), Limits::default());
    for body in bodies(&fake) {
        let answered = direct.answer(body.clone().into_bytes()).now_or_never();
        assert!(answered.is_some(), "{}", body.get(..200).unwrap_or(&body));
    }
}

#[test]
fn an_answer_may_be_waited_for_on_any_thread() {
    fn movable<T: Send>(_: &T) {}
    let direct = Direct::new(Arc::new(Fake::new()), Limits::default());
    movable(&direct.answer(Vec::new()));
}

#[tokio::test]
async fn what_asks_for_no_answer_gets_none() {
    let (server, fake) = serve(Limits::default()).await;
    let direct = Direct::new(fake, Limits::default());
    let notification = json!({ "jsonrpc": "2.0", "method": "chain_head" });
    for body in [notification.to_string(), json!([notification]).to_string()] {
        let served = exchange(server.address(), post("localhost", &body).as_bytes()).await;
        assert!(served.starts_with("HTTP/1.1 200"), "{served}");
        assert_eq!(served.split_once("\r\n\r\n").unwrap().1, "");
        assert_eq!(direct.answer(body.into_bytes()).await, b"");
    }
    server.stop().await;
}
