//! Errors carry a stable code and name, and say what is wrong with what was sent.
use quorate_primitives::receipt::Failure;
use quorate_rpc::api::{ErrorKind, METHODS};
use quorate_rpc::backend::{BlockAt, Bodies, Proofs};
use quorate_rpc::json::HexBytes;
use quorate_rpc::{Client, ClientError, Limits};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::fake::{FATES, serve};
use crate::wire::{call, exchange, parse, post_raw};

#[test]
fn codes_and_names_are_unique_and_found_by_code() {
    let refused = Failure::ALL.iter().copied().map(ErrorKind::Refused);
    let kinds: Vec<ErrorKind> = ErrorKind::OWN.iter().copied().chain(refused).collect();
    assert_eq!(kinds.iter().map(|kind| kind.code()).collect::<BTreeSet<_>>().len(), kinds.len());
    assert_eq!(kinds.iter().map(|kind| kind.name()).collect::<BTreeSet<_>>().len(), kinds.len());
    for kind in kinds {
        assert_eq!(ErrorKind::by_code(kind.code()), Some(kind));
    }
}

#[tokio::test]
async fn each_refusal_of_a_transaction_arrives_with_its_data() {
    let (server, fake) = serve(Limits::default()).await;
    let client = Client::new(&format!("http://{}", server.address()), Duration::from_secs(30)).unwrap();
    for (fate, kind) in (0_u8..).zip(FATES).filter_map(|(fate, kind)| Some((fate, (*kind)?))) {
        let transaction = fake.transfer(fate, 2_000);
        let error = client.submit(&transaction).await.unwrap_err();
        assert_eq!(error.kind(), Some(kind));
        let ClientError::Rpc { error, .. } = error else { panic!("{error}") };
        let data = error.data.unwrap();
        assert_eq!((data.name.as_str(), data.retryable), (kind.name(), kind.is_retryable()));
        assert_eq!(data.tx_id.map(|id| id.0), Some(transaction.id()));
        assert_eq!(data.retry_after_ms.map(|ms| ms.0), (kind == ErrorKind::MempoolFull).then_some(250));
        // Waiting for a known transaction is the same as waiting for a new one.
        let waited = client.submit_and_wait(&transaction, Duration::ZERO, Proofs::Omit).await;
        assert_eq!(
            waited.err().and_then(|error| error.kind()),
            (kind != ErrorKind::AlreadyKnown).then_some(kind)
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn of_many_transactions_the_good_are_taken_and_the_bad_named() {
    let (server, fake) = serve(Limits::default()).await;
    let good = fake.transfer(0, 2_000);
    let unsigned = fake.transfer(1, 2_000);
    let cut = &HexBytes::of(&good).0[1..];
    let given = json!([
        HexBytes::of(&good),
        "zz",
        HexBytes(cut.to_vec()),
        7,
        HexBytes::of(&unsigned),
        HexBytes::of(&good)
    ]);
    let answer = call(server.address(), "tx_submitMany", json!([given])).await;
    let result = &answer["result"];
    assert_eq!(result["accepted"], 2, "{answer}");
    let codes: Vec<Value> =
        result["results"].as_array().unwrap().iter().map(|one| one["error"]["code"].clone()).collect();
    assert_eq!(codes, [Value::Null, json!(2001), json!(2001), json!(2001), json!(2002), Value::Null]);
    assert_eq!(result["results"][4]["tx_id"], unsigned.id().to_string());
    server.stop().await;
}

#[tokio::test]
async fn a_node_that_takes_nothing_refuses_a_submission() {
    let (server, fake) = serve(Limits::default()).await;
    fake.is_busy.store(true, Ordering::Relaxed);
    let good = HexBytes::of(&fake.transfer(0, 3_000));
    for (method, params) in [("tx_submit", json!([good])), ("tx_submitMany", json!(["never read"]))] {
        let answer = call(server.address(), method, params).await;
        let data = &answer["error"]["data"];
        assert_eq!((&data["name"], &data["retry_after_ms"]), (&json!("busy"), &json!("125")), "{answer}");
    }
    fake.is_busy.store(false, Ordering::Relaxed);
    let answer = call(server.address(), "tx_submit", json!([good])).await;
    assert!(answer["result"].is_object(), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn wrong_parameters_are_named_with_what_is_allowed() {
    let (server, fake) = serve(Limits::default()).await;
    let transaction = HexBytes::of(&fake.transaction);
    let cases: [(&str, Value, i32, &str, &str); 18] = [
        ("chain_getBlock", json!({ "heigth": 1 }), -32602, "heigth", "height, block, bodies, from_bundle"),
        ("chain_getBlock", json!({ "height": -1 }), -32602, "height", "whole number"),
        ("chain_getBlock", json!({ "height": "1.5" }), -32602, "height", "1.5"),
        ("chain_getBlock", json!({ "height": "18446744073709551616" }), -32602, "height", "whole number"),
        ("chain_getBlock", json!({ "height": 1, "block": "00".repeat(32) }), -32602, "block", "not both"),
        ("chain_getBlock", json!({ "from_bundle": 1 }), -32602, "from_bundle", "bodies"),
        ("chain_getEpochs", json!({ "limit": 33 }), -32602, "limit", "1 to 32"),
        ("chain_getEpochs", json!([1, 0]), -32602, "limit", "1 to 32"),
        ("chain_getHeader", json!({ "block": "abc" }), -32602, "block", "64 hexadecimal digits"),
        ("tx_get", json!({}), -32602, "tx_id", "needs the parameter"),
        ("tx_get", json!({ "tx_id": null }), -32602, "tx_id", "needs the parameter"),
        ("tx_submit", json!({ "transaction": "00ff" }), 2001, "transaction", "malformed"),
        ("tx_submitMany", json!({ "transactions": [] }), -32602, "transactions", "1 to 1000"),
        ("tx_submitAndWait", json!([transaction, 60_001]), -32602, "timeout_ms", "at most 60000"),
        ("state_get", json!([["ff"]]), 2001, "keys", "key 0"),
        ("state_get", json!([vec!["00"; 101]]), -32602, "keys", "1 to 100"),
        ("asset_get", json!(["usd"]), -32602, "asset", "neither a symbol nor an id"),
        ("asset_list", json!({ "limit": 101 }), -32602, "limit", "1 to 100"),
    ];
    for (method, params, code, field, says) in cases {
        let error = &call(server.address(), method, params.clone()).await["error"];
        assert_eq!(error["code"], code, "{method} {params}: {error}");
        assert_eq!(error["data"]["field"], field, "{method} {params}: {error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{method} {params}: {error}");
    }
    server.stop().await;
}

#[tokio::test]
async fn unknown_methods_blocks_and_transports_are_told_apart() {
    let (server, _fake) = serve(Limits::default()).await;
    let address = server.address();
    assert_eq!(call(address, "admin_stop", json!([])).await["error"]["data"]["name"], "method_not_found");
    assert_eq!(call(address, "chain_getBlock", json!([2])).await["error"]["data"]["name"], "not_found");
    let subscribe = call(address, "chain_subscribeHeads", json!([])).await;
    assert_eq!(subscribe["error"]["data"]["name"], "invalid_request", "{subscribe}");
    assert_eq!(post_raw(address, "{").await.1["error"]["code"], -32700);
    assert_eq!(post_raw(address, r#"{"id":1}"#).await.1["error"]["code"], -32600);
    let get = exchange(address, b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert_eq!(parse(&get).0, 405);
    let plain = "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n{}";
    assert_eq!(parse(&exchange(address, plain.as_bytes()).await).0, 415);
    server.stop().await;
}

#[tokio::test]
async fn nothing_that_signs_unlocks_or_administers_is_offered() {
    let (server, _fake) = serve(Limits::default()).await;
    for word in ["sign", "unlock", "import", "admin", "shutdown", "key"] {
        assert!(METHODS.iter().all(|method| !method.name.to_lowercase().contains(word)), "{word}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_client_tells_a_dead_node_from_a_strange_one() {
    let (server, _fake) = serve(Limits::default()).await;
    let url = format!("http://{}", server.address());
    server.stop().await;
    let client = Client::new(&url, Duration::from_secs(30)).unwrap();
    let dead = client.block(BlockAt::Head, Bodies::Omit).await.unwrap_err();
    assert!(matches!(dead, ClientError::Unreachable { .. }) && dead.is_node_fault(), "{dead}");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answering = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut request).await.unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
        stream
    });
    let strange = Client::new(&url, Duration::from_secs(30)).unwrap().head().await.unwrap_err();
    assert!(matches!(strange, ClientError::Protocol { .. }), "{strange}");
    drop(answering.await);

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let late = Client::new(&url, Duration::from_millis(50)).unwrap().head().await.unwrap_err();
    assert!(matches!(late, ClientError::TimedOut { timeout_ms: 50, .. }), "{late}");
}
