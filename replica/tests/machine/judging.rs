//! Which proposals get a vote, and what is asked for meanwhile.
use quorate_consensus::{Claim, Message};
use quorate_ledger::store::Memory;
use quorate_primitives::block::Payload;
use quorate_primitives::{EpochNumber, Hash, Timestamp};
use quorate_replica::{Effect, Event, LogRecord, Question, Settings, Timer, VerifiedAnswer};
use std::sync::Arc;

use crate::network::validator_key;
use crate::solo::{Solo, payload};

fn votes_for(solo: &Solo, block: Hash) -> bool {
    solo.signed.iter().any(|claim| matches!(claim, Claim::Notarize { block: voted, .. } if *voted == block))
}

fn gives_up(solo: &Solo) -> bool {
    solo.signed.iter().any(|claim| matches!(claim, Claim::Nullify { .. }))
}

#[test]
fn a_sound_block_gets_a_vote_and_its_body_is_recorded_before_the_vote() {
    let (mut solo, leader) = Solo::follower();
    let bundle = solo.bundle(leader, 0..3);
    let header = solo.header(leader, &payload(&[&bundle]));
    solo.propose(&header, payload(&[&bundle]), Some(bundle));
    assert!(votes_for(&solo, header.id()));
    let bodies = solo.log.iter().filter(|record| matches!(record, LogRecord::Body { .. })).count();
    assert_eq!(bodies, 1);
    assert!(matches!(&solo.log[0], LogRecord::Body { header: recorded, .. } if *recorded == header));
}

#[test]
fn an_empty_block_gets_a_vote() {
    let (mut solo, leader) = Solo::follower();
    let header = solo.header(leader, &Payload::default());
    solo.propose(&header, Payload::default(), None);
    assert!(votes_for(&solo, header.id()));
}

#[test]
fn a_block_that_the_log_brought_back_is_finalized_once_it_is_certified() {
    let (mut before, leader) = Solo::follower();
    let header = before.header(leader, &Payload::default());
    before.propose(&header, Payload::default(), None);
    let me = (leader + 1) % 4;
    let mut after = Solo::on(Arc::new(Memory::new()), me, Settings::default());
    after.restore(before.log);
    after.start();
    after.elapse(Timer::Execute, 1);
    let claim = Claim::Notarize { view: header.view, block: header.id() };
    for validator in (0..4).filter(|validator| *validator != me) {
        let key = validator_key(validator);
        let vote = claim.sign(&after.replica.context(), u8::try_from(validator).unwrap(), &key);
        after.step(Event::Message {
            from: key.public_key(),
            epoch: EpochNumber::ZERO,
            message: Box::new(Message::Vote(vote)),
        });
    }
    let finalizes = |claim: &Claim| matches!(claim, Claim::Finalize { block, .. } if *block == header.id());
    assert!(after.signed.iter().any(finalizes));
}

#[test]
fn a_block_from_the_future_waits_until_it_is_within_the_clock_bound() {
    let (mut solo, leader) = Solo::follower();
    let mut header = solo.header(leader, &Payload::default());
    header.time = Timestamp::new(solo.now + 700);
    solo.propose(&header, Payload::default(), None);
    assert!(!votes_for(&solo, header.id()) && !gives_up(&solo));
    let wait = solo.effects.iter().find_map(|effect| match effect {
        Effect::Arm { timer: Timer::Judge, after_ms } => Some(*after_ms),
        _ => None,
    });
    assert_eq!(wait, Some(200));
    solo.elapse(Timer::Judge, 200);
    assert!(votes_for(&solo, header.id()));
}

#[test]
fn a_block_that_lists_a_bundle_twice_is_given_up() {
    let (mut solo, leader) = Solo::follower();
    let bundle = solo.bundle(leader, 0..3);
    let twice = payload(&[&bundle, &bundle]);
    let header = solo.header(leader, &twice);
    solo.propose(&header, twice, Some(bundle));
    assert!(gives_up(&solo) && !votes_for(&solo, header.id()));
}

#[test]
fn a_block_of_another_version_is_given_up() {
    let (mut solo, leader) = Solo::follower();
    let mut header = solo.header(leader, &Payload::default());
    header.version += 1;
    solo.propose(&header, Payload::default(), None);
    assert!(!votes_for(&solo, header.id()));
}

#[test]
fn a_missing_bundle_is_asked_from_the_leader_first_and_then_from_others() {
    let (mut solo, leader) = Solo::follower();
    for node in 0..4 {
        solo.step(Event::Connected(validator_key(node).public_key()));
    }
    let bundle = solo.bundle(leader, 0..3);
    let header = solo.header(leader, &payload(&[&bundle]));
    solo.propose(&header, payload(&[&bundle]), None);
    assert!(!votes_for(&solo, header.id()) && solo.questions().is_empty());
    solo.elapse(Timer::Fetch, 15);
    let (request, to, question) = solo.questions().pop().unwrap();
    assert_eq!(to, validator_key(leader).public_key());
    assert!(matches!(&question, Question::Bundles(ids) if **ids == [bundle.id()]));
    // The leader says nothing: somebody else is asked.
    solo.step(Event::Answered { request, from: to, answer: None });
    solo.elapse(Timer::Fetch, 400);
    let (request, other, _) = solo.questions().pop().unwrap();
    assert_ne!(other, to);
    let answer = Some(VerifiedAnswer::Bundles(vec![bundle]));
    solo.step(Event::Answered { request, from: other, answer });
    assert!(votes_for(&solo, header.id()));
    assert!(!solo.banned());
}

#[test]
fn a_bundle_that_arrives_by_itself_completes_the_block() {
    let (mut solo, leader) = Solo::follower();
    let bundle = solo.bundle(3, 0..3);
    let header = solo.header(leader, &payload(&[&bundle]));
    solo.propose(&header, payload(&[&bundle]), None);
    assert!(!votes_for(&solo, header.id()));
    solo.step(Event::Bundle { from: Some(validator_key(3).public_key()), bundle });
    assert!(votes_for(&solo, header.id()));
}

#[test]
fn a_payload_that_is_not_what_the_header_says_is_ignored_and_the_block_asked_for() {
    let (mut solo, leader) = Solo::follower();
    solo.step(Event::Connected(validator_key(leader).public_key()));
    let (bundle, other) = (solo.bundle(leader, 0..3), solo.bundle(leader, 3..5));
    let header = solo.header(leader, &payload(&[&bundle]));
    solo.propose(&header, payload(&[&other]), Some(other));
    solo.elapse(Timer::Fetch, 15);
    let (request, from, question) = solo.questions().pop().unwrap();
    assert_eq!(question, Question::Block(header.id()));
    let answer = VerifiedAnswer::Block { header: header.clone(), bundles: vec![bundle] };
    solo.step(Event::Answered { request, from, answer: Some(answer) });
    assert!(votes_for(&solo, header.id()));
}

#[test]
fn whoever_answers_with_another_block_is_banned() {
    let (mut solo, leader) = Solo::follower();
    solo.step(Event::Connected(validator_key(leader).public_key()));
    let bundle = solo.bundle(leader, 0..3);
    let header = solo.header(leader, &payload(&[&bundle]));
    solo.propose(&header, Payload::default(), None);
    solo.elapse(Timer::Fetch, 15);
    let (request, from, _) = solo.questions().pop().unwrap();
    let other = solo.header(leader, &Payload::default());
    let answer = VerifiedAnswer::Block { header: other, bundles: Vec::new() };
    solo.step(Event::Answered { request, from, answer: Some(answer) });
    assert!(solo.banned());
    assert!(!votes_for(&solo, header.id()));
}
