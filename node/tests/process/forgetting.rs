//! Validators whose folder was lost, or put back to what it was: they are certain of what they said
//! before they say more, or they stop.
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use quorate_consensus::Record;
use quorate_node::io::journal::{JournalConfig, RealFiles};
use quorate_primitives::certificate::Claim;
use quorate_primitives::codec;
use quorate_primitives::evidence::conflict;
use quorate_primitives::{EpochNumber, Hash};
use quorate_replica::LogRecord;
use quorate_replica::record::RECORD_BYTES_MAX;
use quorate_replica::vote_log::{Identity, VoteLog};
use quorate_rpc::backend::Proofs;
use quorate_rpc::json::Voting;

use super::support::{
    PATIENCE, Testnet, height, quorate, take_turn, wait_for, wait_for_blocks, wait_for_some,
};

/// Short epochs of short blocks.
const QUICK: [&str; 4] = ["--epoch-length", "10", "--block-time", "100ms"];
/// One long epoch of short blocks.
const LONG: [&str; 4] = ["--epoch-length", "100000", "--block-time", "100ms"];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target)
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Puts everything that a node keeps back to what it was, beside its key and its configuration.
fn put_back(testnet: &Testnet, node: &str, backup: &Path) {
    let folder = &testnet.node(node).folder;
    fs::remove_dir_all(folder.join("data")).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "marker") {
            fs::remove_file(path).unwrap();
        }
    }
    copy(backup, folder);
}

/// Every claim that is in the vote log of a node's folder, with its epoch.
fn claims(testnet: &Testnet, node: &str, folder: &Path) -> BTreeSet<(EpochNumber, Claim)> {
    let scratch = tempfile::tempdir().unwrap();
    copy(&folder.join("data/votes"), &scratch.path().join("votes"));
    let (chain, key) = (&testnet.report.genesis_hash, &testnet.node(node).key);
    let identity = Identity { chain: chain.parse::<Hash>().unwrap(), key: key.parse().unwrap() };
    let config =
        JournalConfig { folder: scratch.path().join("votes"), marker_folder: scratch.path().join("key") };
    let mut claims = BTreeSet::new();
    VoteLog::open(RealFiles::new(config).unwrap(), identity, &[], |bytes| {
        if let Ok(LogRecord::Consensus { epoch, record: Record::Own(claim) }) =
            codec::decode(bytes, RECORD_BYTES_MAX)
        {
            claims.insert((epoch, claim));
        }
        Ok(())
    })
    .unwrap();
    claims
}

/// No two of the claims are such that no honest validator signs both.
fn assert_consistent(claims: &BTreeSet<(EpochNumber, Claim)>) {
    for (epoch, first) in claims {
        let same = claims.iter().filter(|(other, second)| other == epoch && second.view() == first.view());
        for (_, second) in same {
            assert!(conflict(first, second).is_none(), "epoch {epoch}: {first} and {second}");
        }
    }
}

/// Waits until a node votes.
async fn votes(testnet: &Testnet, node: &str) {
    let client = testnet.client(node);
    wait_for_some("a vote", PATIENCE, async || {
        client.node_status().await.ok().filter(|status| status.voting == Voting::Yes)
    })
    .await;
}

async fn assert_nobody_is_convicted(testnet: &Testnet, node: &str) {
    let evidence = testnet.client(node).evidence(Proofs::Omit).await.unwrap();
    assert!(evidence.evidence.is_empty(), "{evidence:?}");
}

/// Stops a node, keeps a copy of its folder, starts it again and lets it vote; then stops it for good.
/// Returns the copy.
async fn stopped_after_more_votes(testnet: &mut Testnet, blocks: u64) -> tempfile::TempDir {
    testnet.succeed(&["kill", "n4"]);
    let backup = tempfile::tempdir().unwrap();
    copy(&testnet.node("n4").folder, backup.path());
    testnet.succeed(&["restart", "n4"]);
    testnet.reread();
    votes(testnet, "n4").await;
    wait_for_blocks(&testnet.client("n4"), blocks).await;
    backup
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_whose_data_were_lost_comes_back_by_itself_and_votes() {
    let _turn = take_turn();
    let mut testnet = Testnet::start(&QUICK);
    wait_for_blocks(&testnet.client("n4"), 25).await;
    testnet.succeed(&["kill", "n4"]);
    let node = testnet.node("n4").clone();
    fs::remove_dir_all(node.folder.join("data")).unwrap();

    testnet.succeed(&["restart", "n4"]);

    testnet.reread();
    let log = fs::read_to_string(&node.log).unwrap();
    assert!(log.contains("vote log begun anew"), "{log}");
    votes(&testnet, "n4").await;
    // Without n1 a quorum needs its vote.
    let said = testnet.succeed(&["kill", "n1"]);
    assert!(said.contains("the chain went on"), "{said}");
    assert_nobody_is_convicted(&testnet, "n4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_beside_a_newer_marker_is_as_good_as_lost() {
    let _turn = take_turn();
    let mut testnet = Testnet::start(&QUICK);
    let backup = stopped_after_more_votes(&mut testnet, 5).await;
    testnet.succeed(&["kill", "n4"]);
    let node = testnet.node("n4").clone();
    let later = claims(&testnet, "n4", &node.folder);
    fs::remove_dir_all(node.folder.join("data")).unwrap();
    copy(&backup.path().join("data"), &node.folder.join("data"));

    testnet.succeed(&["restart", "n4"]);

    testnet.reread();
    let log = fs::read_to_string(&node.log).unwrap();
    assert!(log.contains("the key has voted since the vote log that is here was written"), "{log}");
    votes(&testnet, "n4").await;
    wait_for_blocks(&testnet.client("n4"), 15).await;
    testnet.succeed(&["kill", "n4"]);
    assert_consistent(&later.union(&claims(&testnet, "n4", &node.folder)).copied().collect());
    assert_nobody_is_convicted(&testnet, "n1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_everything_from_an_earlier_epoch_never_votes_against_itself() {
    let _turn = take_turn();
    let mut testnet = Testnet::start(&QUICK);
    let backup = stopped_after_more_votes(&mut testnet, 35).await;
    testnet.succeed(&["kill", "n4"]);
    let node = testnet.node("n4").clone();
    let later = claims(&testnet, "n4", &node.folder);
    put_back(&testnet, "n4", backup.path());
    let goal = height(&testnet.client("n1")).await + 30;

    // It may stop; it may go on; the others do in any case.
    let _ = testnet.command(&["restart", "n4"]);

    wait_for_some("blocks of the others", PATIENCE, async || {
        Some(height(&testnet.client("n1")).await).filter(|height| *height >= goal)
    })
    .await;
    testnet.reread();
    if testnet.lives("n4") {
        testnet.succeed(&["kill", "n4"]);
    }
    assert_consistent(&later.union(&claims(&testnet, "n4", &node.folder)).copied().collect());
    assert_nobody_is_convicted(&testnet, "n1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_everything_stops_when_others_hold_a_vote_that_it_does_not_know() {
    let _turn = take_turn();
    let mut testnet = Testnet::start(&LONG);
    let backup = stopped_after_more_votes(&mut testnet, 5).await;
    // With half of the validators no block becomes final, and n3 keeps what n4 says. The command watches
    // the standstill for longer than any turn takes.
    testnet.succeed(&["kill", "n1"]);
    testnet.succeed(&["kill", "n2"]);
    testnet.succeed(&["kill", "n4"]);
    let node = testnet.node("n4").clone();
    let later = claims(&testnet, "n4", &node.folder);
    put_back(&testnet, "n4", backup.path());
    testnet.succeed(&["restart", "n1"]);

    let config = node.folder.join("node.toml");
    let mut child = quorate(&["node", "start", "--config", config.to_str().unwrap()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _ = child.kill();
    let ended = child.wait_with_output().unwrap();

    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("error: this validator's key has signed"), "{said}");
    assert!(said.contains("remove the folder"), "{said}");
    assert_consistent(&later.union(&claims(&testnet, "n4", &node.folder)).copied().collect());
    // What the message advises works.
    fs::remove_dir_all(node.folder.join("data/votes")).unwrap();
    testnet.succeed(&["restart", "n2"]);
    testnet.succeed(&["restart", "n4"]);
    testnet.reread();
    wait_for("n4 to live", PATIENCE, || testnet.lives("n4"));
    votes(&testnet, "n4").await;
    assert_nobody_is_convicted(&testnet, "n3").await;
}
