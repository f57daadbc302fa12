//! Subscriptions deliver in order, end with a reason, and can be resumed without a gap.
use quorate_primitives::Height;
use quorate_rpc::json::{Cursor, EndReason, TransactionState};
use quorate_rpc::{Client, Limits};
use serde_json::json;
use std::time::Duration;

use crate::fake::serve;
use crate::limits::observed;
use crate::wire::{Socket, soon};

fn cursor(height: u64) -> Cursor {
    Cursor { height: Height::new(height), index: 0 }
}

#[tokio::test]
async fn heads_come_from_the_cursor_and_then_as_they_are_made() {
    let (server, fake) = serve(Limits::default()).await;
    let client = Client::new(&format!("http://{}", server.address()), Duration::from_secs(30)).unwrap();
    fake.tip.send_replace(3);
    let mut heads = client.subscribe_heads(Some(cursor(1))).await.unwrap();
    for height in 2..=3 {
        assert_eq!(soon(heads.next()).await.unwrap().unwrap().cursor.0, cursor(height));
    }
    fake.tip.send_replace(4);
    assert_eq!(soon(heads.next()).await.unwrap().unwrap().head.height.0, Height::new(4));
    drop(heads);
    let mut streams = fake.streams.subscribe();
    soon(streams.wait_for(|open| *open == 0)).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_transaction_is_followed_to_its_end() {
    let (server, fake) = serve(Limits::default()).await;
    let client = Client::new(&format!("http://{}", server.address()), Duration::from_secs(30)).unwrap();
    let mut events = client.subscribe_transaction(fake.transaction.id()).await.unwrap();
    let mut states = Vec::new();
    while let Some(event) = soon(events.next()).await.unwrap() {
        states.push(event.status.state);
    }
    assert_eq!(states, [TransactionState::Pending, TransactionState::Final]);
    assert_eq!(events.end().unwrap().reason, EndReason::Complete);
    server.stop().await;
}

#[tokio::test]
async fn a_slow_consumer_is_ended_with_the_cursor_to_resume_from() {
    let limits = Limits {
        buffered_messages: 4,
        subscriber_stall: Duration::from_millis(50),
        write_stall: Duration::from_secs(60),
        ..Limits::default()
    };
    let (server, fake) = serve(limits).await;
    fake.tip.send_replace(u64::MAX);
    let mut socket = Socket::open(server.address()).await;
    let params = json!({ "from": "0:0" });
    socket
        .send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "chain_subscribeHeads", "params": params }))
        .await;
    let mut streams = fake.streams.subscribe();
    soon(streams.wait_for(|open| *open == 1)).await.unwrap();
    // The client takes nothing until the server has given up on it.
    soon(streams.wait_for(|open| *open == 0)).await.unwrap();
    assert!(socket.receive().await.unwrap()["result"].is_number());
    let mut last = 0_u64;
    let end = loop {
        let message = socket.receive().await.unwrap();
        let result = &message["params"]["result"];
        if result["ended"].is_object() {
            break result["ended"].clone();
        }
        last += 1;
        assert_eq!(result["cursor"], format!("{last}:0"), "no gap");
    };
    assert_eq!(end["reason"], "slow_consumer");
    assert_eq!(end["resume_from"], format!("{last}:0"));
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_takes_nothing_at_all_is_cut() {
    let limits = Limits {
        subscriber_stall: Duration::from_millis(50),
        write_stall: Duration::from_millis(100),
        ..Limits::default()
    };
    let (server, memory, fake) = observed(limits).await;
    fake.tip.send_replace(u64::MAX);
    let mut socket = Socket::open(server.address()).await;
    let subscribe = json!({ "jsonrpc": "2.0", "id": 1, "method": "chain_subscribeHeads", "params": ["0:0"] });
    let mut open = memory.open.subscribe();
    soon(open.wait_for(|open| *open == 1)).await.unwrap();
    socket.send(&subscribe).await;
    soon(open.wait_for(|open| *open == 0)).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn subscriptions_over_the_limit_are_refused_until_one_is_ended() {
    let (server, _fake) = serve(Limits { subscriptions: 1, ..Limits::default() }).await;
    let mut socket = Socket::open(server.address()).await;
    let subscribe = json!({ "jsonrpc": "2.0", "id": 1, "method": "chain_subscribeHeads" });
    socket.send(&subscribe).await;
    let id = socket.receive().await.unwrap()["result"].clone();
    socket.send(&subscribe).await;
    assert_eq!(socket.receive().await.unwrap()["error"]["data"]["name"], "too_many_subscriptions");
    socket
        .send(&json!({ "jsonrpc": "2.0", "id": 2, "method": "chain_unsubscribeHeads", "params": [id] }))
        .await;
    assert_eq!(socket.receive().await.unwrap()["result"], true);
    // The place is free when the server's task has noticed, so it may take a few attempts.
    let again = async {
        loop {
            socket.send(&subscribe).await;
            if socket.receive().await.unwrap()["result"].is_number() {
                break;
            }
        }
    };
    soon(again).await;
    server.stop().await;
}

#[tokio::test]
async fn wrong_parameters_of_a_subscription_are_named() {
    let (server, _fake) = serve(Limits::default()).await;
    let mut socket = Socket::open(server.address()).await;
    for (params, field) in [(json!({ "since": 1 }), "since"), (json!({ "from": "7" }), "from")] {
        socket
            .send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "chain_subscribeHeads", "params": params }))
            .await;
        let answer = socket.receive().await.unwrap();
        assert_eq!(answer["error"]["data"]["field"], field, "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn subscribers_are_told_that_the_server_stops() {
    let (server, _fake) = serve(Limits::default()).await;
    let client = Client::new(&format!("http://{}", server.address()), Duration::from_secs(30)).unwrap();
    let mut heads = client.subscribe_heads(None).await.unwrap();
    let stopping = tokio::spawn(server.stop());
    assert_eq!(soon(heads.next()).await.unwrap(), None);
    assert_eq!(heads.end().unwrap().reason, EndReason::Stopping);
    soon(stopping).await.unwrap();
}
