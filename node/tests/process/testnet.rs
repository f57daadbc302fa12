//! A testnet as people and scripts use it.
use std::process::Stdio;
use std::time::{Duration, Instant};

use quorate_node::testnet::folder::Folder;
use quorate_node::testnet::process::{Signal, is_ours, signal};
use quorate_node::testnet::report::Report;
use quorate_primitives::Height;
use quorate_rpc::backend::Proofs;
use quorate_rpc::json::TransactionState;

use super::support::{
    PATIENCE, Payer, Testnet, cents, height, quorate, run, take_turn, wait_for, wait_for_blocks,
    wait_for_some,
};

/// How long a testnet may take to stop.
const STOP: Duration = Duration::from_secs(5);

#[test]
fn prints_everything_that_a_script_needs_and_keeps_it_in_a_file() {
    let _turn = take_turn();
    let testnet = Testnet::start(&[]);
    let report = &testnet.report;

    assert!(report.network.starts_with("devnet-"), "{}", report.network);
    assert_eq!(report.genesis_hash.len(), 64);
    assert_eq!(report.nodes.len(), 4);
    for (index, node) in report.nodes.iter().enumerate() {
        assert_eq!(node.name, format!("n{}", index + 1));
        assert!(node.rpc.starts_with("http://127.0.0.1:"), "{}", node.rpc);
        assert!(node.p2p.starts_with("/ip4/127.0.0.1/tcp/"), "{}", node.p2p);
        assert!(node.metrics.ends_with("/metrics"), "{}", node.metrics);
        assert!(testnet.lives(&node.name), "{} has no process", node.name);
    }
    for name in ["alice", "bob", "carol"] {
        let account = report.accounts.iter().find(|account| account.name == name).unwrap();
        assert!(account.address.starts_with("qdev1"), "{}", account.address);
        assert!(account.key_file.is_file(), "{}", account.key_file.display());
    }
    let kept = Report::read(&testnet.path().join("testnet.json")).unwrap().unwrap();
    assert_eq!(&kept, report);
}

#[tokio::test(flavor = "multi_thread")]
async fn moves_money_and_every_node_agrees() {
    let _turn = take_turn();
    let testnet = Testnet::start(&[]);
    let (alice, bob) = (Payer::new(&testnet, "alice"), Payer::new(&testnet, "bob"));
    let before = cents(&testnet.client("n1"), bob.account()).await;

    let paid = alice.pay(&testnet.client("n1"), bob.account(), 500).await;

    let at = paid.status.height.unwrap().0;
    let mut headers = Vec::new();
    for node in &testnet.report.nodes {
        let client = testnet.client(&node.name);
        wait_for_some("the balance", PATIENCE, async || {
            Some(cents(&client, bob.account()).await).filter(|now| *now == before + 500)
        })
        .await;
        headers.push(client.header(quorate_rpc::backend::BlockAt::Height(at)).await.unwrap());
    }
    assert!(headers.iter().all(|header| *header == headers[0]), "{headers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_never_stands_beside_a_status_without_a_block() {
    let _turn = take_turn();
    let testnet = Testnet::start(&["--validators", "1"]);
    let (alice, bob) = (Payer::new(&testnet, "alice"), Payer::new(&testnet, "bob"));
    let client = testnet.client("n1");
    for _ in 0..20 {
        let payment = alice.payment(bob.account(), 1);
        client.submit(&payment).await.unwrap();
        // Asked without a pause, so that some answers meet the moment of the commit.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = client.transaction(payment.id(), Proofs::Omit).await.unwrap();
            let (status, height) = (&answer.status, answer.status.height.map(|height| height.0));
            assert_eq!(answer.receipt.is_some(), height.is_some(), "{answer:?}");
            assert!(height.is_none_or(|height| height <= answer.height.0), "{answer:?}");
            assert_eq!(status.state == TransactionState::Final, height.is_some(), "{answer:?}");
            if height.is_some() {
                break;
            }
            assert!(Instant::now() < deadline, "{answer:?}");
        }
    }
}

#[test]
fn stops_on_interrupt_and_goes_on_with_the_same_chain() {
    let _turn = take_turn();
    let mut testnet = Testnet::start(&[]);
    let before = testnet.report.clone();

    testnet.signal(Signal::INT);
    assert_eq!(testnet.wait_for_end(STOP), Some(0));
    for node in &before.nodes {
        assert!(!testnet.lives(&node.name), "{} outlived its testnet", node.name);
    }
    testnet.start_again(&[]);

    assert_eq!(testnet.report.genesis_hash, before.genesis_hash);
    let addresses = |report: &Report| report.nodes.iter().map(|node| node.rpc.clone()).collect::<Vec<_>>();
    assert_eq!(addresses(&testnet.report), addresses(&before));
    testnet.signal(Signal::TERM);
    assert_eq!(testnet.wait_for_end(STOP), Some(0));
}

#[test]
fn nodes_end_when_their_supervisor_is_killed() {
    let _turn = take_turn();
    let mut testnet = Testnet::start(&[]);
    testnet.signal(Signal::KILL);
    testnet.wait_for_end(STOP);
    for node in ["n1", "n2", "n3", "n4"] {
        wait_for("the nodes to end", PATIENCE, || !testnet.lives(node));
    }
}

#[test]
fn a_fresh_start_is_another_chain_with_the_same_keys() {
    let _turn = take_turn();
    let mut testnet = Testnet::start(&["--seed", "fresh"]);
    let before = testnet.report.clone();
    testnet.signal(Signal::INT);
    assert_eq!(testnet.wait_for_end(STOP), Some(0));

    testnet.start_again(&["--seed", "fresh", "--fresh"]);

    assert_ne!(testnet.report.genesis_hash, before.genesis_hash);
    assert_eq!(testnet.report.accounts, before.accounts);
}

#[test]
fn two_testnets_live_side_by_side_and_one_folder_holds_only_one() {
    let _turn = take_turn();
    let first = Testnet::start(&["--validators", "1"]);
    let second = Testnet::start(&["--validators", "1", "--seed", "2"]);
    assert_ne!(first.report.genesis_hash, second.report.genesis_hash);

    let again = first.command(&["--validators", "1"]);

    assert_eq!(again.status.code(), Some(9));
    assert!(String::from_utf8_lossy(&again.stderr).contains("a testnet runs in"));
    let port = first.report.nodes[0].ports.rpc.to_string();
    let folder = tempfile::tempdir().unwrap();
    let taken = run(&["testnet", "--dir", folder.path().to_str().unwrap(), "--port-base", &port]);
    let said = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert_eq!(taken.status.code(), Some(9), "{said}");
    assert!(said.contains(&format!("port {port} (rpc of n1) is in use")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_testnet_runs_until_it_is_taken_down() {
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let started = run(&["testnet", "--dir", dir, "--port-base", "auto", "--detach", "--json"]);
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    let report: Report = serde_json::from_slice(&started.stdout).unwrap();
    let status = run(&["testnet", "status", "--dir", dir]);
    let down = run(&["testnet", "down", "--dir", dir]);

    assert!(report.ready);
    assert!(String::from_utf8_lossy(&status.stdout).contains("n4"), "{status:?}");
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    assert_eq!(run(&["testnet", "status", "--dir", dir]).status.code(), Some(5));
}

#[test]
fn a_signal_before_a_detached_testnet_is_ready_leaves_nothing_running() {
    let _turn = take_turn();
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().to_str().unwrap();
    // Nobody can be ready before the first block, and that takes its time.
    let arguments = ["testnet", "--dir", dir, "--port-base", "auto", "--block-time", "60s", "--detach"];
    let detaching = quorate(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    let folder = Folder::new(place.path()).unwrap();
    let report = || Report::read(&folder.report()).ok().flatten();
    wait_for("the nodes", PATIENCE, || {
        report().is_some_and(|report| report.nodes.iter().all(|node| node.pid.is_some()))
    });
    let started = report().unwrap();
    assert!(!started.ready);

    assert!(signal(detaching.id(), Signal::INT));
    let ended = detaching.wait_with_output().unwrap();

    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("stopped before the first block"), "{said}");
    assert!(!folder.is_locked());
    for node in &started.nodes {
        assert!(!is_ours(node.pid.unwrap(), &node.folder.join("node.toml")), "{} lives", node.name);
    }
}

#[test]
fn variables_of_whoever_starts_a_testnet_do_not_reach_its_nodes() {
    let _turn = take_turn();
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().to_str().unwrap();
    let arguments = ["testnet", "--dir", dir, "--port-base", "auto", "--validators", "2", "--detach"];
    // Either would keep every node from starting.
    let mut command = quorate(&arguments);
    command.env("QUORATE_LOG_LEVEL", "loud").env("QUORATE_KEY_FILE", "/nowhere/key.json");

    let started = command.output().unwrap();

    let (told, said) = (String::from_utf8_lossy(&started.stdout), String::from_utf8_lossy(&started.stderr));
    assert!(started.status.success(), "{said}");
    assert!(told.contains(&format!("stop:  quorate testnet down --dir {dir} ")), "{told}");
    assert!(run(&["testnet", "down", "--dir", dir]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_node_comes_back_by_itself() {
    let _turn = take_turn();
    let testnet = Testnet::start(&[]);
    let said = testnet.succeed(&["pause", "n2"]);
    assert!(said.contains("the chain went on"), "{said}");
    let said = testnet.succeed(&["resume", "n2"]);
    assert!(said.contains("seen: n2 at height"), "{said}");
    wait_for_blocks(&testnet.client("n2"), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_follows_its_own_certificates() {
    let _turn = take_turn();
    let testnet = Testnet::start(&[]);
    let client = testnet.client("n1");
    wait_for_blocks(&client, 3).await;
    for number in 1..=height(&client).await {
        let finality = client.finality(Some(Height::new(number))).await.unwrap();
        assert!(finality.certified_height.0.get() >= number);
        assert!(finality.signers.len() >= 3, "{finality:?}");
    }
}
