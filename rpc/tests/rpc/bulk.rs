//! Handing in many transactions at a time: what becomes of each is told, whatever the node does.
use quorate_rpc::client::bulk::{Bulk, Handed, Refused};
use quorate_rpc::json::HexBytes;
use quorate_rpc::{ClientError, ErrorKind, Limits};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

use crate::busy::bytes;
use crate::limits::observed;
use crate::wire::{read_to_end, soon};

const PATIENCE: Duration = Duration::from_secs(30);
const NO_ROOM: Handed = Handed::None(Refused { kind: Some(ErrorKind::Busy), retry_after_ms: Some(125) });

#[tokio::test]
async fn many_are_handed_in_on_one_connection_and_each_refusal_is_told() {
    let (server, memory, fake) = observed(Limits::default()).await;
    let bulk = Bulk::new(&format!("http://{}", server.address()), PATIENCE).unwrap();
    let good = bytes(&fake, 1_000);
    assert_eq!(bulk.submit(good.iter()).await, Ok(Handed::All));
    let full = HexBytes::of(&fake.transfer(6, 2_000));
    let refused = |kind, retry_after_ms| Some(Refused { kind: Some(kind), retry_after_ms });
    let each = vec![
        None,
        refused(ErrorKind::MempoolFull, Some(250)),
        refused(ErrorKind::BadSignature, None),
        refused(ErrorKind::Malformed, None),
    ];
    let some = [good[0].clone(), full, HexBytes::of(&fake.transfer(1, 2_000)), HexBytes(vec![1])];
    assert_eq!(bulk.submit(some.iter()).await, Ok(Handed::Each(each)));
    fake.is_busy.store(true, Ordering::Relaxed);
    assert_eq!(bulk.submit(good.iter()).await, Ok(NO_ROOM));
    fake.is_busy.store(false, Ordering::Relaxed);
    let too_many = Handed::None(Refused { kind: Some(ErrorKind::InvalidParams), retry_after_ms: None });
    assert_eq!(bulk.submit(std::iter::repeat_n(&HexBytes(vec![0]), 1_001)).await, Ok(too_many));
    let too_long = HexBytes(vec![0; 600_000]);
    assert_eq!(bulk.submit(std::iter::once(&too_long)).await, Err(ClientError::RequestTooLarge));
    assert_eq!(*memory.open.borrow(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_the_node_closed_meanwhile_is_replaced_and_a_dead_node_told() {
    let (server, memory, fake) =
        observed(Limits { head_timeout: Duration::from_millis(50), ..Limits::default() }).await;
    let mut open = memory.open.subscribe();
    let bulk = Bulk::new(&format!("http://{}", server.address()), PATIENCE).unwrap();
    let good = bytes(&fake, 1);
    for _ in 0..3 {
        assert_eq!(bulk.submit(good.iter()).await, Ok(Handed::All));
        soon(open.wait_for(|open| *open == 0)).await.unwrap();
    }
    server.stop().await;
    let dead = bulk.submit(good.iter()).await.unwrap_err();
    assert!(matches!(dead, ClientError::Unreachable { .. }), "{dead}");
    assert!(Bulk::new("https://localhost:1", PATIENCE).is_err());
}

#[tokio::test]
async fn an_answer_that_is_none_is_not_understood_and_a_silent_node_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answering = tokio::spawn(async move {
        for answer in ["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "HTTP/1.1 503 no\r\n\r\n", ""] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answer.is_empty() {
                read_to_end(&mut stream).await;
            }
        }
    });
    let one = [HexBytes(vec![1])];
    let ask = async |patience| Bulk::new(&url, patience).unwrap().submit(one.iter()).await.unwrap_err();
    let strange = ask(PATIENCE).await;
    assert!(matches!(strange, ClientError::Protocol { .. }), "{strange}");
    let full = ask(PATIENCE).await;
    assert!(matches!(full, ClientError::Unreachable { .. }), "{full}");
    let silent = ask(Duration::from_millis(50)).await;
    assert!(matches!(silent, ClientError::TimedOut { timeout_ms: 50, .. }), "{silent}");
    answering.await.unwrap();
}
