//! What comes too late, twice, or from elsewhere.
use std::sync::Arc;

use quorate_consensus::{
    Claim, Effect, Engine, Fault, Input, Message, Mute, Record, Step, Ticket, Timer, Verdict,
};
use quorate_primitives::EpochNumber;
use quorate_primitives::block::Header;

use crate::bench::{Bench, bad_positions, epoch_of, mark, proposal, sign, view, votes};

fn nullify(number: u64) -> Claim {
    Claim::Nullify { view: view(number) }
}

#[test]
fn r6_a_block_that_is_found_invalid_after_it_was_certified_stops_the_engine() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.propose(&block, Vec::new());
    let _ = bench.certify(Claim::Notarize { view: view(1), block: block.id() });
    let step = bench.judge(&block, Verdict::Invalid);
    let fault = Fault::Rejected { view: view(1), block: block.id() };
    assert_eq!(step.effects, vec![Effect::Halt(fault)]);
}

#[test]
fn r6_a_final_block_that_is_invalid_here_stops_the_engine() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.propose(&block, Vec::new());
    let _ = bench.judge(&block, Verdict::Invalid);
    let step = bench.certify(Claim::Finalize { view: view(1), block: block.id(), outcome: mark("r") });
    let fault = Fault::Rejected { view: view(1), block: block.id() };
    assert!(step.effects.contains(&Effect::Halt(fault)));
    assert_eq!(bench.engine.finalized().0, view(1), "what others know to be final is not denied");
}

#[test]
fn r14_a_second_permission_to_speak_changes_nothing() {
    let epoch = epoch_of(4);
    let me = epoch.leader(view(4));
    let mut engine = Engine::new(Arc::clone(&epoch), Some(me));
    engine.mute(Mute::Forgetful);
    let _ = engine.start();
    let _ = engine.step(Input::Speak { from: view(3) });
    assert_eq!(engine.step(Input::Speak { from: view(9) }), Step::default());
    assert_eq!(engine.voice(), (None, view(3)));
}

#[test]
fn a_certificate_that_is_on_record_twice_counts_once() {
    let mut bench = Bench::follower();
    let held = Record::Held(bench.by_others(nullify(1)));
    bench.journal = vec![held.clone(), held.clone()];
    let _ = bench.restart();
    assert_eq!(bench.engine.view(), view(2));
    assert_eq!(bench.engine.records(), vec![held]);
    let before = bench.journal.len();
    let _ = bench.expire(Timer::View(view(2)));
    assert_eq!(bench.journal[before..], [Record::Own(nullify(2))], "it is written once more");
}

#[test]
fn r3_a_proposal_of_another_epoch_or_version_is_ignored_and_nobody_is_blamed() {
    let mut bench = Bench::follower();
    let leader = bench.leader(1);
    let before = bench.engine.clone();
    let ours = bench.first_block();
    let next = Header { epoch: EpochNumber::new(1), ..ours.clone() };
    let newer = Header { version: ours.version + 1, ..ours };
    for foreign in [next, newer] {
        let message = Message::Propose(proposal(&bench.epoch, &foreign, view(1), view(0), Vec::new()));
        assert_eq!(bench.hear(leader, message), Step::default());
    }
    assert_eq!(bench.engine.status().proposal, before.status().proposal);
}

#[test]
fn r7_a_verdict_on_votes_that_were_forgotten_meanwhile_changes_nothing() {
    let mut bench = Bench::follower();
    let claim = Claim::Notarize { view: view(1), block: mark("block") };
    let mut asked = Vec::new();
    for signer in bench.others() {
        let vote = sign(&bench.epoch, signer, claim);
        asked = bench.engine.step(Input::Received { from: signer, message: Message::Vote(vote) }).effects;
    }
    let check = asked.into_iter().find_map(|effect| match effect {
        Effect::Check { ticket, checks } => Some((ticket, checks)),
        _ => None,
    });
    let (ticket, checks) = check.expect("three votes are a quorum");
    let _ = bench.certify(nullify(40));
    let before = bench.engine.view();
    let verdict = Input::Checked { ticket, bad: bad_positions(&checks) };
    assert_eq!(bench.feed(verdict), Step::default());
    assert_eq!(bench.engine.view(), before);
}

#[test]
fn a_verdict_that_nobody_asked_for_changes_nothing() {
    let mut bench = Bench::follower();
    let before = bench.engine.clone();
    assert_eq!(bench.feed(Input::Checked { ticket: Ticket::new(7), bad: Vec::new() }), Step::default());
    assert_eq!(bench.engine, before);
    assert_eq!(Ticket::new(7).get(), 7);
}

#[test]
fn an_epoch_is_as_large_as_its_validator_set_and_never_empty() {
    for n in [1, 4, 128] {
        let epoch = epoch_of(n);
        assert_eq!((epoch.len(), epoch.is_empty()), (n, false));
    }
}

#[test]
fn votes_that_are_not_ours_are_not_taken_for_ours() {
    let mut bench = Bench::follower();
    let other = bench.others()[0];
    let vote = sign(&bench.epoch, other, nullify(1));
    assert_eq!(bench.feed(Input::Own(vote)), Step::default());
    let never_made = sign(&bench.epoch, bench.me, nullify(1));
    assert_eq!(votes(&bench.feed(Input::Own(never_made))), vec![]);
    assert_eq!(bench.engine.status().nullifying.count(), 0);
}
