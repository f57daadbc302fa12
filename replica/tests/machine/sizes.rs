//! What is longest still fits: into an answer, and into what is kept until a certificate comes.
use quorate_ledger::Ledger;
use quorate_ledger::store::Memory;
use quorate_primitives::address::AccountId;
use quorate_primitives::block::{ANSWER_BYTES_MAX, PAYLOAD_BYTES_MAX};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::{Certificate, Claim};
use quorate_primitives::codec::{List, encode};
use quorate_primitives::signed::Verified;
use quorate_primitives::state::AssetId;
use quorate_primitives::transaction::{Operation, Output};
use quorate_primitives::validators::Signers;
use quorate_primitives::{Amount, Height, Timestamp, View};
use quorate_replica::{Effect, Event, Question, Settings, Timer, VerifiedAnswer, VerifiedSyncBlock};
use std::sync::Arc;

use crate::network::{BEGIN_MS, act_as, found, validator_key};
use crate::solo::{Solo, payload};

/// Bundles of a block that is as long as it may be.
const FULL: u64 = 17;

/// A bundle of five long transactions, each of which pays 1,000 accounts that do not exist.
fn long_bundle(solo: &Solo, number: u64) -> Verified<Bundle> {
    let output = Output { to: AccountId::from_bytes([9; 32]), amount: Amount::new(1), tag: None };
    let outputs = List::new(vec![output; 1_000]).unwrap();
    let operation = Operation::TransferMany { asset: AssetId::from_bytes([7; 32]), outputs };
    let until = solo.now + 120_000;
    let pay = |place| act_as(solo.chain, (0, until), number * 5 + place, operation.clone());
    let transactions: Vec<_> = (0..5).map(pay).collect();
    Verified::from_verified(0, number, &transactions, Vec::new()).unwrap()
}

/// A leader may propose what is too long, and a peer may ask for it: neither is the fault of whoever is asked.
#[test]
fn a_body_that_is_longer_than_an_answer_may_be_is_not_given() {
    let (mut solo, leader) = Solo::follower();
    let bundles: Vec<Verified<Bundle>> = (0..FULL + 3).map(|number| long_bundle(&solo, number)).collect();
    assert!(bundles.iter().map(|bundle| bundle.size()).sum::<usize>() > ANSWER_BYTES_MAX);
    let payload = payload(&bundles.iter().collect::<Vec<_>>());
    let header = solo.header(leader, &payload);
    let from = validator_key(leader).public_key();
    solo.propose(&header, payload, None);
    for bundle in bundles {
        solo.step(Event::Bundle { from: Some(from), bundle });
    }
    solo.step(Event::Asked { from, token: 5, question: Question::Block(header.id()) });
    let answer = solo.effects.iter().find_map(|effect| match effect {
        Effect::Answer { token: 5, answer } => Some(encode(&**answer).len()),
        _ => None,
    });
    let bytes = answer.expect("a question is always answered");
    assert!(bytes <= ANSWER_BYTES_MAX, "{bytes} bytes");
}

/// So many full blocks of which only the last has a certificate: as many as leaders make while nothing is
/// finalized.
fn uncertified_run(solo: &Solo, length: u64) -> Vec<VerifiedSyncBlock> {
    let genesis = found(4);
    let mut ledger = Ledger::open(Arc::new(Memory::new()), &genesis).unwrap();
    let mut run = Vec::new();
    for place in 0..length {
        let mut bundles: Vec<_> = (0..FULL).map(|number| long_bundle(solo, place * FULL + number)).collect();
        while bundles.iter().map(|bundle| bundle.size()).sum::<usize>() > PAYLOAD_BYTES_MAX {
            bundles.pop();
        }
        let mut header = solo.header(0, &payload(&bundles.iter().collect::<Vec<_>>()));
        let parent = ledger.head();
        (header.parent, header.parent_view) = (parent.block(), View::new(place));
        (header.height, header.view) = (parent.height().next(), View::new(place + 1));
        header.time = Timestamp::new(BEGIN_MS + 1_000 + place);
        let executed = ledger.execute(parent, &header, &bundles);
        let certificate = (place + 1 == length).then(|| {
            let outcome = executed.outcome().digest();
            let claim = Claim::Finalize { view: header.view, block: header.id(), outcome };
            let context = genesis.trusted().context();
            let sign = |index: u8| claim.sign(&context, index, &validator_key(usize::from(index))).signature;
            let signatures = List::new((0..3).map(sign).collect()).unwrap();
            Certificate { claim, signers: Signers::all(3), signatures }
        });
        ledger.commit(executed, &bundles, None).unwrap();
        run.push(VerifiedSyncBlock { header, bundles, certificate });
    }
    run
}

/// Leaders propose full blocks until sixteen wait to be final, and then only empty ones.
#[test]
fn the_longest_run_of_full_blocks_without_a_certificate_is_caught_up_with() {
    let mut solo = Solo::on(Arc::new(Memory::new()), 0, Settings::default());
    solo.start();
    solo.now += 3_600_000;
    let peer = validator_key(1).public_key();
    solo.step(Event::Connected(peer));
    solo.elapse(Timer::Sync, 10_000);
    let length = 18;
    for block in uncertified_run(&solo, length) {
        let (request, to, question) = solo.questions().pop().unwrap();
        assert_eq!((to, question), (peer, Question::Blocks { from: block.header.height }));
        solo.step(Event::Answered { request, from: peer, answer: Some(VerifiedAnswer::Blocks(vec![block])) });
    }
    assert!(!solo.banned(), "an honest peer was banned");
    assert_eq!(solo.replica.status().height, Height::new(length));
}
