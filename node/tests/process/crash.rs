//! Nodes that disappear without a word: what was acknowledged stays, and the chain goes on.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quorate_node::testnet::process::{Signal, signal};
use quorate_primitives::address::AccountId;
use quorate_primitives::{Hash, Height};
use quorate_rpc::Client;
use quorate_rpc::backend::{BlockAt, Proofs};
use quorate_rpc::json::TransactionState;
use tokio::sync::Mutex;

use super::support::{
    PATIENCE, Payer, Testnet, cents, height, take_turn, wait_for, wait_for_blocks, wait_for_some,
};

/// Blocks that a node misses before it is started again.
const BLOCKS_MISSED: u64 = 1_000;
/// How long so many blocks may take at one in 50 ms, on a busy machine.
const MISSING_PATIENCE: Duration = Duration::from_secs(300);
/// Acknowledged payments before the crash, and clients that make them.
const PAYMENTS: usize = 60;
const CLIENTS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn three_of_four_go_on_and_the_fourth_catches_up_and_votes_again() {
    let _turn = take_turn();
    let mut testnet = Testnet::start(&["--block-time", "50ms"]);
    let (alice, bob) = (Payer::new(&testnet, "alice"), Payer::new(&testnet, "bob"));
    let said = testnet.succeed(&["kill", "n3"]);
    assert!(said.contains("3 of 4 left, a quorum is 3: the chain goes on"), "{said}");
    assert!(said.contains("the chain went on"), "{said}");
    let goal = height(&testnet.client("n1")).await + BLOCKS_MISSED;
    alice.pay(&testnet.client("n1"), bob.account(), 700).await;
    let client = testnet.client("n1");
    wait_for_some("blocks that n3 misses", MISSING_PATIENCE, async || {
        Some(height(&client).await).filter(|height| *height >= goal)
    })
    .await;

    let said = testnet.succeed(&["restart", "n3"]);
    assert!(said.contains("seen: n3 at height"), "{said}");
    testnet.reread();
    let restarted = testnet.client("n3");
    wait_for_some("the payment at n3", PATIENCE, async || {
        Some(cents(&restarted, bob.account()).await).filter(|cents| *cents == 100_000_700)
    })
    .await;

    // Without n1 a quorum needs the vote of n3.
    let said = testnet.succeed(&["kill", "n1"]);
    assert!(said.contains("the chain went on"), "{said}");
    alice.pay(&restarted, bob.account(), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_four_wait_and_three_go_on_by_themselves() {
    let _turn = take_turn();
    let testnet = Testnet::start(&[]);
    testnet.succeed(&["kill", "n1"]);
    let said = testnet.succeed(&["kill", "n2"]);
    assert!(said.contains("2 of 4 left, a quorum is 3: the chain waits"), "{said}");
    testnet.succeed(&["restart", "n1"]);
    wait_for_blocks(&testnet.client("n3"), 2).await;
}

/// Pays through the nodes in turn until told to stop, and writes down what was acknowledged as final.
async fn pay_until(
    stop: Arc<AtomicBool>,
    (payer, receiver): (Arc<Payer>, AccountId),
    clients: Vec<Client>,
    acknowledged: Arc<Mutex<BTreeMap<Hash, Height>>>,
) {
    for client in clients.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let payment = payer.payment(receiver, 1);
        let answer = client.submit_and_wait(&payment, Duration::from_secs(5), Proofs::Omit).await;
        if let Ok(answer) = answer
            && answer.status.state == TransactionState::Final
            && let Some(at) = answer.status.height
        {
            acknowledged.lock().await.insert(payment.id(), at.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_all_nodes_are_killed_under_load() {
    let _turn = take_turn();
    let mut testnet = Testnet::start(&[]);
    let before = testnet.report.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(Mutex::new(BTreeMap::new()));
    let payer = Arc::new(Payer::new(&testnet, "alice"));
    let receiver = Payer::new(&testnet, "bob").account();
    let clients: Vec<Client> = before.nodes.iter().map(|node| testnet.client(&node.name)).collect();
    let mut load = Vec::new();
    for start in 0..CLIENTS {
        let mut clients = clients.clone();
        clients.rotate_left(start % before.nodes.len());
        load.push(tokio::spawn(pay_until(
            stop.clone(),
            (payer.clone(), receiver),
            clients,
            acknowledged.clone(),
        )));
    }
    wait_for_some("acknowledged payments", PATIENCE, async || {
        Some(()).filter(|()| acknowledged.try_lock().is_ok_and(|found| found.len() >= PAYMENTS))
    })
    .await;

    for node in &before.nodes {
        assert!(signal(node.pid.unwrap(), Signal::KILL), "{}", node.name);
    }
    testnet.signal(Signal::KILL);
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    testnet.wait_for_end(PATIENCE);
    wait_for("the nodes to be gone", PATIENCE, || before.nodes.iter().all(|node| !testnet.lives(&node.name)));
    testnet.start_again(&[]);

    assert_eq!(testnet.report.genesis_hash, before.genesis_hash);
    let acknowledged = acknowledged.lock().await;
    let highest = acknowledged.values().max().copied().unwrap();
    for node in &testnet.report.nodes {
        let client = testnet.client(&node.name);
        wait_for_some("the chain as it was", PATIENCE, async || {
            client.header(BlockAt::Height(highest)).await.ok()
        })
        .await;
        for (id, at) in acknowledged.iter() {
            let status = client.transaction_status(*id).await.unwrap();
            assert_eq!(status.state, TransactionState::Final, "{} lost {id}", node.name);
            assert_eq!(status.height.map(|height| height.0), Some(*at), "{} moved {id}", node.name);
        }
    }
    wait_for_blocks(&testnet.client("n2"), 2).await;
}
