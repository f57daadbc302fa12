//! Clients that ask for too much, too slowly or from elsewhere are turned away, and nobody else is.
use quorate_rpc::server::{Observer, Refusal};
use quorate_rpc::{Limits, Server, Settings};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::fake::{Fake, NEVER_ANSWERED, SILENT, serve};
use crate::wire::{Socket, call, exchange, parse, post, post_raw, read_to_end, soon};
use quorate_rpc::json::HexBytes;

const SHORT: Duration = Duration::from_millis(100);

fn info(id: u32) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "chain_info" })
}

#[tokio::test]
async fn a_batch_over_the_limit_is_refused_and_one_at_the_limit_answered() {
    let (server, _fake) = serve(Limits::default()).await;
    let batch = |calls| Value::Array((0..calls).map(info).collect());
    let (status, answer) = post_raw(server.address(), &batch(51).to_string()).await;
    assert_eq!((status, &answer["error"]["data"]["name"]), (200, &json!("batch_too_large")));
    let (_, answer) = post_raw(server.address(), &batch(50).to_string()).await;
    assert!(answer.as_array().unwrap().iter().all(|one| one["result"].is_object()), "{answer}");

    let mut socket = Socket::open(server.address()).await;
    socket.send(&batch(51)).await;
    assert_eq!(socket.receive().await.unwrap()["error"]["code"], -32010);
    socket.send(&batch(50)).await;
    assert_eq!(socket.receive().await.unwrap().as_array().map(Vec::len), Some(50));
    server.stop().await;
}

#[tokio::test]
async fn a_batch_holds_its_faults_to_the_calls_that_have_them() {
    let (server, _fake) = serve(Limits::default()).await;
    let batch = json!([info(1), { "jsonrpc": "2.0", "method": "chain_head" }, 7, { "jsonrpc": "2.0", "id": 2, "method": "x" }]);
    let (_, answer) = post_raw(server.address(), &batch.to_string()).await;
    let codes: Vec<&Value> = answer.as_array().unwrap().iter().map(|one| &one["error"]["code"]).collect();
    assert_eq!(codes, [&Value::Null, &json!(-32600), &json!(-32601)]);
    assert_eq!(post_raw(server.address(), "[]").await.1["error"]["code"], -32600);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_announced_or_not() {
    let limits = Limits { request_bytes: 2_000, ..Limits::default() };
    let (server, _fake) = serve(limits).await;
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let announced =
        exchange(server.address(), format!("{head}content-length: 2001\r\n\r\n").as_bytes()).await;
    let (status, answer) = parse(&announced);
    assert_eq!((status, &answer["error"]["data"]["name"]), (413, &json!("request_too_large")));
    let chunk = format!("{head}transfer-encoding: chunked\r\n\r\n7d1\r\n{}\r\n0\r\n\r\n", " ".repeat(2_001));
    assert_eq!(parse(&exchange(server.address(), chunk.as_bytes()).await).0, 413);
    let fits = format!("{}{}", info(1), " ".repeat(2_000 - info(1).to_string().len()));
    assert_eq!(post_raw(server.address(), &fits).await.0, 200);
    server.stop().await;
}

#[tokio::test]
async fn json_that_is_nested_too_deep_is_refused() {
    let (server, _fake) = serve(Limits::default()).await;
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let call = |depth| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tx_get","params":{}}}"#, nested(depth));
    for deep in [call(32), nested(500_000)] {
        let (status, answer) = post_raw(server.address(), &deep).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32600)));
    }
    let mut socket = Socket::open(server.address()).await;
    for (depth, code) in [(100, -32600), (400_000, -32600), (30, -32602)] {
        socket.send_text(&call(depth)).await;
        assert_eq!(socket.receive().await.unwrap()["error"]["code"], code, "depth {depth}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_with_a_hint() {
    let (server, _fake) = serve(Limits { response_bytes: 4_000, ..Limits::default() }).await;
    let answer = call(server.address(), "rpc.discover", json!([])).await;
    assert_eq!(answer["error"]["data"]["name"], "response_too_large");
    assert!(call(server.address(), "chain_info", json!([])).await["result"].is_object());
    server.stop().await;
}

#[tokio::test]
async fn a_slow_body_is_cut() {
    let (server, _fake) = serve(Limits { request_timeout: SHORT, ..Limits::default() }).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (status, answer) = parse(&read_to_end(&mut stream).await);
    assert_eq!((status, &answer["error"]["data"]["name"]), (408, &json!("timeout")));
    server.stop().await;
}

#[tokio::test]
async fn a_slow_head_is_cut() {
    let (server, _fake) = serve(Limits { head_timeout: SHORT, ..Limits::default() }).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: local").await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn http_2_is_not_spoken() {
    let (server, _fake) = serve(Limits::default()).await;
    let answer = exchange(server.address(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn only_allowed_hosts_and_origins_are_answered() {
    let settings = Settings {
        hosts: vec!["ledger.example".to_owned()],
        ..Settings::new("127.0.0.1:0".parse().unwrap())
    };
    let server = Server::start(settings, Arc::new(Fake::new())).await.unwrap();
    let body = info(1).to_string();
    for (host, status) in [("localhost", 200), ("ledger.example:99", 200), ("evil.example", 403)] {
        let (found, answer) = parse(&exchange(server.address(), post(host, &body).as_bytes()).await);
        assert_eq!(found, status, "{host}: {answer}");
    }
    let foreign = "GET / HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\nupgrade: websocket\r\n\
        connection: upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
    assert_eq!(parse(&exchange(server.address(), foreign.as_bytes()).await).0, 403);
    let answer = exchange(server.address(), post("localhost", &body).as_bytes()).await;
    assert!(!answer.to_lowercase().contains("access-control"), "{answer}");
    server.stop().await;
}

/// Remembers what it is told.
pub(crate) struct Memory {
    pub(crate) open: watch::Sender<usize>,
    refused: Mutex<Vec<Refusal>>,
    pub(crate) answered: Mutex<Vec<(&'static str, Option<i32>)>>,
}

impl Observer for Memory {
    fn answered(&self, method: &'static str, error: Option<i32>, _: Duration) {
        self.answered.lock().unwrap().push((method, error));
    }

    fn refused(&self, why: Refusal) {
        self.refused.lock().unwrap().push(why);
    }

    fn connections(&self, open: usize) {
        self.open.send_replace(open);
    }
}

pub(crate) async fn observed(limits: Limits) -> (Server, Arc<Memory>, Arc<Fake>) {
    let memory = Arc::new(Memory {
        open: watch::Sender::new(0),
        refused: Mutex::default(),
        answered: Mutex::default(),
    });
    let observer: Arc<dyn Observer> = Arc::<Memory>::clone(&memory);
    let settings = Settings { limits, observer, ..Settings::new("127.0.0.1:0".parse().unwrap()) };
    let fake = Arc::new(Fake::new());
    (Server::start(settings, Arc::clone(&fake)).await.unwrap(), memory, fake)
}

#[tokio::test]
async fn connections_over_the_limit_are_turned_away_until_one_is_free() {
    let (server, memory, _fake) = observed(Limits { connections_per_address: 2, ..Limits::default() }).await;
    let mut open = memory.open.subscribe();
    let idle = TcpStream::connect(server.address()).await.unwrap();
    let socket = Socket::open(server.address()).await;
    soon(open.wait_for(|open| *open == 2)).await.unwrap();
    let third = exchange(server.address(), post("localhost", &info(1).to_string()).as_bytes()).await;
    assert!(third.is_empty() || third.starts_with("HTTP/1.1 503"), "{third}");
    assert_eq!(*memory.refused.lock().unwrap(), [Refusal::ConnectionsOfAddress]);
    drop(socket);
    soon(open.wait_for(|open| *open == 1)).await.unwrap();
    assert_eq!(post_raw(server.address(), &info(1).to_string()).await.0, 200);
    drop(idle);
    server.stop().await;
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code_also_within_batches() {
    let (server, memory, _fake) = observed(Limits::default()).await;
    call(server.address(), "chain_getBlock", json!([9])).await;
    call(server.address(), "made_up", json!([])).await;
    post_raw(server.address(), &json!([info(1), info(2)]).to_string()).await;
    let counted = [
        ("chain_getBlock", Some(2101)),
        ("unknown", Some(-32601)),
        ("chain_info", None),
        ("chain_info", None),
    ];
    assert_eq!(*memory.answered.lock().unwrap(), counted);
    server.stop().await;
}

#[tokio::test]
async fn a_socket_answers_only_so_many_calls_at_a_time() {
    let (server, fake) = serve(Limits { calls_in_flight: 2, ..Limits::default() }).await;
    let mut socket = Socket::open(server.address()).await;
    let transaction = HexBytes::of(&fake.transfer(SILENT, 9_999));
    for id in 0..3 {
        let params = json!([transaction, 200]);
        socket
            .send(&json!({ "jsonrpc": "2.0", "id": id, "method": "tx_submitAndWait", "params": params }))
            .await;
    }
    let busy = socket.receive().await.unwrap();
    assert_eq!(busy["error"]["data"]["name"], "busy", "{busy}");
    for _ in 0..2 {
        let answer = socket.receive().await.unwrap();
        assert_eq!(answer["result"]["status"]["state"], "pending", "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_call_or_batch_that_takes_too_long_is_answered_so() {
    let (server, _fake) = serve(Limits { request_timeout: SHORT, ..Limits::default() }).await;
    let params = json!([[HexBytes::of(&NEVER_ANSWERED)]]);
    let answer = call(server.address(), "state_get", params.clone()).await;
    assert_eq!(answer["error"]["data"]["name"], "timeout", "{answer}");
    let slow = json!({ "jsonrpc": "2.0", "id": 2, "method": "state_get", "params": params });
    let (_, answer) = post_raw(server.address(), &json!([info(1), slow, slow]).to_string()).await;
    let names: Vec<&Value> =
        answer.as_array().unwrap().iter().map(|one| &one["error"]["data"]["name"]).collect();
    assert_eq!(names, [&Value::Null, &json!("timeout"), &json!("timeout")]);
    server.stop().await;
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_refuses_new_ones() {
    let (server, _fake) = serve(Limits::default()).await;
    let address = server.address();
    let mut socket = Socket::open(address).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(post("localhost", &info(1).to_string()).replace("connection: close\r\n", "").as_bytes())
        .await
        .unwrap();
    soon(server.stop()).await;
    assert!(read_to_end(&mut idle).await.len() < 10_000);
    assert_eq!(socket.receive().await, None);
    assert!(TcpStream::connect(address).await.is_err());
}
