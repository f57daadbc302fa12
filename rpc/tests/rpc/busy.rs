//! While a node has no room, a submission costs it next to nothing, and the client learns when to come again.
use quorate_primitives::transaction::SignedTransaction;
use quorate_rpc::backend::Proofs;
use quorate_rpc::json::{HexBytes, TransactionState};
use quorate_rpc::{Client, ClientError, ErrorKind, Limits};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::fake::{Fake, serve};
use crate::limits::observed;
use crate::wire::{Socket, call, exchange, parse, read_answer};

const PATIENCE: Duration = Duration::from_secs(30);

/// A request that keeps its connection open.
fn post(body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn many(id: &Value, transactions: &[HexBytes]) -> String {
    let params = json!({ "transactions": transactions });
    // The parameters last, as clients write them.
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tx_submitMany","params":{params}}}"#)
}

pub(crate) fn bytes(fake: &Fake, count: u64) -> Vec<HexBytes> {
    (0..count).map(|number| HexBytes::of(&fake.transfer(0, 2_000 + number))).collect()
}

fn is_busy(answer: &Value, id: &Value) -> bool {
    let data = &answer["error"]["data"];
    answer["id"] == *id
        && answer["jsonrpc"] == "2.0"
        && answer["error"]["code"] == -32009
        && data["name"] == "busy"
        && data["retryable"] == true
        && data["retry_after_ms"] == "125"
}

#[tokio::test]
async fn a_submission_is_refused_unread_with_its_id_and_the_connection_goes_on() {
    let (server, memory, fake) = observed(Limits::default()).await;
    fake.is_busy.store(true, Ordering::Relaxed);
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let long = bytes(&fake, 900);
    for (id, transactions) in [(json!(7), &long[..]), (json!("a\"b"), &long[..1]), (json!(null), &[])] {
        stream.write_all(post(&many(&id, transactions)).as_bytes()).await.unwrap();
        let (status, answer) = read_answer(&mut stream).await;
        assert!(status == 200 && is_busy(&answer, &id), "{answer}");
    }
    // What is not read need not be JSON.
    let text = post(r#"{"jsonrpc":"2.0","id":8,"method":"tx_submitMany","params":[never read"#);
    stream.write_all(text.as_bytes()).await.unwrap();
    let (_, answer) = read_answer(&mut stream).await;
    assert!(is_busy(&answer, &json!(8)), "{answer}");
    assert_eq!(*memory.answered.lock().unwrap(), [("tx_submitMany", Some(-32009)); 4]);
    fake.is_busy.store(false, Ordering::Relaxed);
    stream.write_all(post(&many(&json!(9), &long)).as_bytes()).await.unwrap();
    let (_, answer) = read_answer(&mut stream).await;
    assert_eq!(answer["result"]["accepted"], 900, "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_submission_that_is_written_otherwise_is_refused_all_the_same() {
    let (server, fake) = serve(Limits::default()).await;
    fake.is_busy.store(true, Ordering::Relaxed);
    let good = json!([bytes(&fake, 2)]);
    let first = format!(r#"{{"params":{good},"method":"tx_submitMany","id":5,"jsonrpc":"2.0"}}"#);
    let (_, answer) =
        parse(&exchange(server.address(), crate::wire::post("localhost", &first).as_bytes()).await);
    assert!(is_busy(&answer, &json!(5)), "{answer}");
    // In several pieces, the first of which says nothing.
    let request = post(&many(&json!(6), &bytes(&fake, 2)));
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    for piece in [head, "\r\n\r\n", &body[..1], &body[1..30], &body[30..]] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    let (_, answer) = read_answer(&mut stream).await;
    assert!(is_busy(&answer, &json!(6)), "{answer}");
    let mut socket = Socket::open(server.address()).await;
    socket.send_text(&many(&json!(7), &bytes(&fake, 2))).await;
    let answer = socket.receive().await.unwrap();
    assert!(is_busy(&answer, &json!(7)), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn other_calls_and_batches_are_answered_as_always() {
    let (server, fake) = serve(Limits::default()).await;
    fake.is_busy.store(true, Ordering::Relaxed);
    assert!(call(server.address(), "chain_head", json!([])).await["result"].is_object());
    let head = json!({ "jsonrpc": "2.0", "id": 1, "method": "chain_head" });
    let batch = format!("[{head},{}]", many(&json!(2), &bytes(&fake, 2)));
    let (_, answer) = crate::wire::post_raw(server.address(), &batch).await;
    assert!(answer[0]["result"].is_object() && is_busy(&answer[1], &json!(2)), "{answer}");
    let unsubscribed =
        format!(r#"{{"jsonrpc":"2.0","method":"tx_submitMany","params":{}}}"#, json!([["00"]]));
    let served = exchange(server.address(), crate::wire::post("localhost", &unsubscribed).as_bytes()).await;
    assert!(served.starts_with("HTTP/1.1 200") && served.ends_with("\r\n\r\n"), "a notification: {served}");
    server.stop().await;
}

#[tokio::test]
async fn the_bounds_of_a_body_hold_also_where_it_is_not_kept() {
    let limits =
        Limits { request_bytes: 2_000, request_timeout: Duration::from_millis(100), ..Limits::default() };
    let (server, fake) = serve(limits).await;
    fake.is_busy.store(true, Ordering::Relaxed);
    let beginning = r#"{"jsonrpc":"2.0","id":1,"method":"tx_submitMany","params":[""#;
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let announced = format!("{head}content-length: 2001\r\n\r\n{beginning}");
    assert_eq!(parse(&exchange(server.address(), announced.as_bytes()).await).0, 413);
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n7d1\r\n{beginning:0<2001}\r\n0\r\n\r\n");
    assert_eq!(parse(&exchange(server.address(), chunked.as_bytes()).await).0, 413);
    let (status, answer) = parse(
        &exchange(server.address(), format!("{head}content-length: 200\r\n\r\n{beginning}").as_bytes()).await,
    );
    assert_eq!((status, &answer["error"]["data"]["name"]), (408, &json!("timeout")));
    let plain = format!(
        "{}text/plain\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{beginning}",
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: ",
        beginning.len()
    );
    assert_eq!(parse(&exchange(server.address(), plain.as_bytes()).await).0, 415);
    server.stop().await;
}

#[tokio::test]
async fn one_that_is_known_is_answered_so_where_there_is_no_room() {
    let (server, fake) = serve(Limits::default()).await;
    fake.is_busy.store(true, Ordering::Relaxed);
    let client = Client::new(&format!("http://{}", server.address()), PATIENCE).unwrap();
    let refused = |transaction: SignedTransaction| {
        let client = client.clone();
        async move {
            let ClientError::Rpc { error, .. } = client.submit(&transaction).await.unwrap_err() else {
                panic!()
            };
            let data = error.data.clone().unwrap();
            assert_eq!(data.tx_id.unwrap().0, transaction.id());
            (error.kind().unwrap(), data.retry_after_ms.map(|ms| ms.0))
        }
    };
    assert_eq!(refused(fake.transaction.clone()).await, (ErrorKind::AlreadyKnown, None));
    assert_eq!(refused(fake.transfer(0, 3_000)).await, (ErrorKind::Busy, Some(125)));
    let waited = client.submit_and_wait(&fake.transaction, Duration::ZERO, Proofs::Omit).await.unwrap();
    assert_eq!(waited.status.state, TransactionState::Final);
    let refused = client.submit_and_wait(&fake.transfer(0, 3_000), Duration::ZERO, Proofs::Omit).await;
    assert_eq!(refused.unwrap_err().kind(), Some(ErrorKind::Busy));
    server.stop().await;
}
