//! Which limit must fit into which, where they belong to different crates, and what people are told of them.
use std::fs;
use std::path::Path;

use quorate_consensus::MESSAGE_BYTES_MAX;
use quorate_consensus::message::PROOF_MAX;
use quorate_genesis::GENESIS_BYTES_MAX;
use quorate_node::io::net::GOSSIP_BYTES_MAX;
use quorate_primitives::block::{ANSWER_BYTES_MAX, BUNDLES_MAX, PAYLOAD_BYTES_MAX};
use quorate_primitives::bundle::{
    ACCUSATION_BYTES_MAX, ACCUSATIONS_MAX, BUNDLE_BYTES_MAX, BUNDLE_BYTES_TARGET, BUNDLE_TRANSACTIONS_MAX,
};
use quorate_primitives::light::{FINALITY_BYTES_MAX, HANDOVER_BYTES_MAX, PROOF_BYTES_MAX};
use quorate_primitives::receipt::{RECEIPT_BYTES_MAX, RECEIPT_ENTRIES_MAX};
use quorate_primitives::transaction::{
    ACTIONS_MAX, OUTPUTS_MAX, SIGNERS_MAX, TRANSACTION_BYTES_MAX, TRANSACTION_BYTES_MIN,
};
use quorate_primitives::validators::VALIDATORS_MAX;
use quorate_replica::record::RECORD_BYTES_MAX;
use quorate_replica::vote_log;
use quorate_replica::wire::{PEER_MESSAGE_BYTES_MAX, QUESTION_BYTES_MAX, SYNC_BLOCKS_MAX};
use quorate_rpc::api::{EPOCHS_MAX, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, STATE_KEYS_MAX, SUBMIT_MANY_MAX};
use quorate_rpc::json::chain::BODY_PAGE_BYTES;

use super::chain::{FULL, Maker};

/// Bytes of the ids of a full block.
const IDS_BYTES: usize = 32 * BUNDLES_MAX;
/// Headers, counts and tags, rounded up.
const FRAME_BYTES: usize = 1_024;

#[test]
fn every_limit_fits_into_those_behind_it() {
    let certificates = PROOF_MAX * FINALITY_BYTES_MAX;
    let last = BUNDLE_BYTES_TARGET + TRANSACTION_BYTES_MAX + ACCUSATIONS_MAX * ACCUSATION_BYTES_MAX;
    let proposal = certificates + IDS_BYTES + BUNDLE_BYTES_MAX;
    for (what, bytes, into, limit) in [
        ("a bundle and what closes it", last, "a bundle", BUNDLE_BYTES_MAX),
        ("a bundle", BUNDLE_BYTES_MAX + FRAME_BYTES, "a gossiped message", GOSSIP_BYTES_MAX),
        ("a gossiped message", GOSSIP_BYTES_MAX, "a frame", PEER_MESSAGE_BYTES_MAX),
        ("a proposal", proposal + FRAME_BYTES, "a frame", PEER_MESSAGE_BYTES_MAX),
        ("a message of the protocol", MESSAGE_BYTES_MAX, "a frame", PEER_MESSAGE_BYTES_MAX),
        ("the ids of a block", IDS_BYTES + FRAME_BYTES, "a question", QUESTION_BYTES_MAX),
        ("a block", PAYLOAD_BYTES_MAX + FINALITY_BYTES_MAX + FRAME_BYTES, "an answer", ANSWER_BYTES_MAX),
        ("a block", PAYLOAD_BYTES_MAX + FRAME_BYTES, "a record", RECORD_BYTES_MAX),
        ("a record", RECORD_BYTES_MAX, "a record of the vote log", vote_log::RECORD_BYTES_MAX),
        ("a record of the vote log", vote_log::RECORD_BYTES_MAX, "its file", vote_log::SEGMENT_BYTES),
        ("a transaction", 2 * TRANSACTION_BYTES_MAX + FRAME_BYTES, "a request", REQUEST_BYTES_MAX),
        (
            "a receipt with its proof",
            2 * (RECEIPT_BYTES_MAX + PROOF_BYTES_MAX),
            "a reply",
            RESPONSE_BYTES_MAX,
        ),
    ] {
        assert!(bytes <= limit, "{what} of {bytes} bytes must fit into {into} of {limit}");
    }
}

#[test]
fn no_transaction_is_shorter_than_the_shortest() {
    assert_eq!(Maker::new(&FULL.genesis).smallest().size(), TRANSACTION_BYTES_MIN);
}

#[test]
fn the_documented_limits_are_those_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats.md");
    let text = fs::read_to_string(path).unwrap();
    let rows = text.split("## 19.").nth(1).expect("there is a section on sizes");
    let grouped = |number: usize| {
        let digits = number.to_string();
        let groups: Vec<&str> =
            digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
        groups.join(",")
    };
    for (what, number) in [
        ("transaction", TRANSACTION_BYTES_MAX),
        ("shortest transaction", TRANSACTION_BYTES_MIN),
        ("signers of a transaction", SIGNERS_MAX),
        ("actions of a transaction", ACTIONS_MAX),
        ("outputs of a `transfer_many`", OUTPUTS_MAX),
        ("accusation", ACCUSATION_BYTES_MAX),
        ("accusations of a bundle", ACCUSATIONS_MAX),
        ("bundle", BUNDLE_BYTES_MAX),
        ("transactions of a bundle", BUNDLE_TRANSACTIONS_MAX),
        ("bundles of a block, in bytes", PAYLOAD_BYTES_MAX),
        ("bundles of a block", BUNDLES_MAX),
        ("validators", VALIDATORS_MAX),
        ("events, and balances, of a receipt", RECEIPT_ENTRIES_MAX),
        ("receipt", RECEIPT_BYTES_MAX),
        ("finality proof", FINALITY_BYTES_MAX),
        ("handover", HANDOVER_BYTES_MAX),
        ("proof of a value, a group or a list position", PROOF_BYTES_MAX),
        ("certificates with a proposal", PROOF_MAX),
        ("gossiped message", GOSSIP_BYTES_MAX),
        ("message between nodes", PEER_MESSAGE_BYTES_MAX),
        ("question between nodes", QUESTION_BYTES_MAX),
        ("answer between nodes", ANSWER_BYTES_MAX),
        ("blocks of a sync answer", SYNC_BLOCKS_MAX),
        ("body in the vote log", RECORD_BYTES_MAX),
        ("record of the vote log", vote_log::RECORD_BYTES_MAX),
        ("JSON-RPC request", REQUEST_BYTES_MAX),
        ("JSON-RPC answer", RESPONSE_BYTES_MAX),
        ("bodies in a page of `chain_getBlock`", BODY_PAGE_BYTES),
        ("transactions of `tx_submitMany`", SUBMIT_MANY_MAX),
        ("keys of `state_get`", STATE_KEYS_MAX),
        ("handovers of `chain_getEpochs`", usize::try_from(EPOCHS_MAX).unwrap()),
        ("genesis document", GENESIS_BYTES_MAX),
    ] {
        let row = format!("\n| {what} | {} |", grouped(number));
        assert!(rows.contains(&row), "docs/formats.md lacks the row {row}");
    }
}
