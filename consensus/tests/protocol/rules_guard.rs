//! Rule R14: nothing is said before it is certain what was said before.
use quorate_consensus::{Claim, Effect, Engine, Fault, Input, Mute, Record, Step, Timer, Verdict};
use std::sync::Arc;

use crate::bench::{Bench, certificate, epoch_of, halted, mark, sign, view, votes};

fn nullify(number: u64) -> Claim {
    Claim::Nullify { view: view(number) }
}

fn mute(why: Mute) -> Bench {
    let epoch = epoch_of(4);
    let me = epoch.leader(view(4));
    let mut engine = Engine::new(Arc::clone(&epoch), Some(me));
    engine.mute(why);
    let mut bench = Bench { engine, epoch, me, journal: Vec::new() };
    let _ = begin(&mut bench);
    bench
}

fn begin(bench: &mut Bench) -> Step {
    let step = bench.engine.start();
    bench.journal.extend(step.journal.iter().cloned());
    step
}

fn speak(bench: &mut Bench, from: u64) -> Step {
    bench.feed(Input::Speak { from: view(from) })
}

fn stopped_for(step: &Step, claim: Claim) -> bool {
    step.effects.contains(&Effect::Halt(Fault::KeyUsedElsewhere { claim }))
}

#[test]
fn who_asks_makes_no_claim() {
    let mut bench = mute(Mute::Asking);
    let block = bench.first_block();
    let _ = bench.propose(&block, Vec::new());
    assert_eq!(votes(&bench.judge(&block, Verdict::Valid)), vec![]);
    assert_eq!(votes(&bench.expire(Timer::View(view(1)))), vec![]);
    let _ = bench.certify(Claim::Notarize { view: view(1), block: block.id() });
    assert_eq!(votes(&bench.execute(&block, mark("r"))), vec![]);
    assert_eq!(bench.journal, vec![]);
}

#[test]
fn who_leads_and_asks_does_not_build() {
    let epoch = epoch_of(4);
    let me = epoch.leader(view(1));
    let mut engine = Engine::new(Arc::clone(&epoch), Some(me));
    engine.mute(Mute::Asking);
    let mut bench = Bench { engine, epoch, me, journal: Vec::new() };
    let builds = |step: &Step| step.effects.iter().any(|effect| matches!(effect, Effect::Build { .. }));
    assert!(!builds(&begin(&mut bench)));
    assert!(builds(&speak(&mut bench, 0)));
}

#[test]
fn what_waited_is_said_once_it_may_be() {
    let mut bench = mute(Mute::Asking);
    let block = bench.first_block();
    let _ = bench.propose(&block, Vec::new());
    let _ = bench.judge(&block, Verdict::Valid);
    let claim = Claim::Notarize { view: view(1), block: block.id() };
    assert_eq!(votes(&speak(&mut bench, 0)), vec![claim]);
    assert_eq!(bench.journal, vec![Record::Own(claim)], "an empty silence needs no record");
}

#[test]
fn timers_begin_anew_with_the_voice() {
    let mut bench = mute(Mute::Asking);
    let _ = bench.expire(Timer::View(view(1)));
    let step = speak(&mut bench, 0);
    let armed =
        |effect: &Effect| matches!(effect, Effect::Arm { timer: Timer::View(at), .. } if *at == view(1));
    assert!(step.effects.iter().any(armed));
    assert_eq!(votes(&bench.expire(Timer::View(view(1)))), vec![nullify(1)]);
}

#[test]
fn recorded_claims_are_repeated_only_with_the_voice() {
    let mut bench = Bench::follower();
    let _ = bench.expire(Timer::View(view(1)));
    let records = bench.journal.clone();
    bench.engine = Engine::new(Arc::clone(&bench.epoch), Some(bench.me));
    records.into_iter().for_each(|record| bench.engine.restore(record));
    bench.engine.mute(Mute::Asking);
    assert_eq!(votes(&begin(&mut bench)), vec![]);
    assert_eq!(votes(&speak(&mut bench, 0)), vec![nullify(1)]);
}

#[test]
fn who_forgot_is_silent_up_to_the_bound_and_then_votes() {
    let mut bench = mute(Mute::Forgetful);
    let step = speak(&mut bench, 3);
    assert_eq!(step.journal, vec![Record::Silence { before: view(3) }]);
    assert_eq!(votes(&bench.expire(Timer::View(view(1)))), vec![]);
    let _ = bench.certify(nullify(2));
    assert_eq!(votes(&bench.expire(Timer::View(view(3)))), vec![nullify(3)]);
}

#[test]
fn the_bound_survives_a_restart_and_a_new_log() {
    let mut bench = mute(Mute::Forgetful);
    let _ = speak(&mut bench, 3);
    for records in [bench.journal.clone(), bench.engine.records()] {
        bench.engine = Engine::new(Arc::clone(&bench.epoch), Some(bench.me));
        records.into_iter().for_each(|record| bench.engine.restore(record));
        bench.engine.mute(Mute::Asking);
        let _ = begin(&mut bench);
        let _ = speak(&mut bench, 0);
        assert_eq!(bench.engine.voice(), (None, view(3)));
        assert_eq!(votes(&bench.expire(Timer::View(view(1)))), vec![]);
    }
}

#[test]
fn an_own_vote_that_the_journal_lacks_stops() {
    for asking in [true, false] {
        let mut bench = if asking { mute(Mute::Asking) } else { Bench::follower() };
        let vote = sign(&bench.epoch, bench.me, nullify(1));
        assert!(stopped_for(&bench.feed(Input::Seen(vote)), nullify(1)), "asking: {asking}");
    }
}

#[test]
fn an_own_vote_that_the_journal_holds_is_no_surprise() {
    let mut bench = Bench::follower();
    let _ = bench.expire(Timer::View(view(1)));
    let vote = sign(&bench.epoch, bench.me, nullify(1));
    assert!(!halted(&bench.feed(Input::Seen(vote))));
}

#[test]
fn an_own_vote_with_a_forged_signature_is_ignored() {
    let mut bench = mute(Mute::Asking);
    let mut vote = sign(&bench.epoch, bench.me, nullify(1));
    vote.signature = sign(&bench.epoch, bench.me, nullify(2)).signature;
    assert!(!halted(&bench.feed(Input::Seen(vote))));
}

#[test]
fn a_vote_that_may_have_been_forgotten_does_not_stop() {
    let mut bench = mute(Mute::Forgetful);
    let old = sign(&bench.epoch, bench.me, nullify(1));
    assert!(!halted(&bench.feed(Input::Seen(old.clone()))));
    let _ = speak(&mut bench, 3);
    assert!(!halted(&bench.feed(Input::Seen(old))));
    let everybody: Vec<u8> = bench.epoch.everybody().iter().collect();
    let certified = certificate(&bench.epoch, &everybody, nullify(2));
    let from = bench.others()[0];
    assert!(!halted(&bench.hear(from, quorate_consensus::Message::Certificate(certified))));
    let new = sign(&bench.epoch, bench.me, nullify(3));
    assert!(stopped_for(&bench.feed(Input::Seen(new)), nullify(3)));
}

#[test]
fn a_certificate_with_an_own_vote_that_the_journal_lacks_stops() {
    let mut bench = mute(Mute::Asking);
    let everybody: Vec<u8> = bench.epoch.everybody().iter().collect();
    let certified = certificate(&bench.epoch, &everybody, nullify(1));
    let from = bench.others()[0];
    let step = bench.hear(from, quorate_consensus::Message::Certificate(certified));
    assert!(stopped_for(&step, nullify(1)));
}

#[test]
fn the_latest_vote_of_another_is_told_from_votes_and_certificates() {
    let mut bench = Bench::follower();
    let other = bench.others()[0];
    assert_eq!(bench.engine.latest_vote_of(other), None);
    let _ = bench.certify(nullify(3));
    assert_eq!(bench.engine.latest_vote_of(other), Some(sign(&bench.epoch, other, nullify(3))));
    let _ = bench.vote(other, nullify(4));
    assert_eq!(bench.engine.latest_vote_of(other), Some(sign(&bench.epoch, other, nullify(4))));
}

#[test]
fn nothing_is_said_while_a_vote_that_may_be_ours_is_looked_at() {
    let epoch = epoch_of(4);
    let me = epoch.leader(view(4));
    let mut engine = Engine::new(Arc::clone(&epoch), Some(me));
    engine.mute(Mute::Asking);
    let _ = engine.start();
    let vote = sign(&epoch, me, nullify(1));
    let asked = engine.step(Input::Seen(vote));
    let ticket = asked.effects.iter().find_map(|effect| match effect {
        Effect::Check { ticket, .. } => Some(*ticket),
        _ => None,
    });
    let spoken = engine.step(Input::Speak { from: view(0) });
    assert!(spoken.journal.is_empty() && votes(&spoken).is_empty());
    assert_eq!(votes(&engine.step(Input::Expired(Timer::View(view(1))))), vec![]);
    let step = engine.step(Input::Checked { ticket: ticket.unwrap(), bad: Vec::new() });
    assert!(stopped_for(&step, nullify(1)));
}

#[test]
fn a_forged_vote_only_puts_the_voice_off() {
    let epoch = epoch_of(4);
    let me = epoch.leader(view(4));
    let mut engine = Engine::new(Arc::clone(&epoch), Some(me));
    engine.mute(Mute::Asking);
    let _ = engine.start();
    let mut vote = sign(&epoch, me, nullify(1));
    vote.signature = sign(&epoch, me, nullify(2)).signature;
    let asked = engine.step(Input::Seen(vote));
    let _ = engine.step(Input::Speak { from: view(0) });
    for effect in asked.effects {
        if let Effect::Check { ticket, checks } = effect {
            let bad = crate::bench::bad_positions(&checks);
            let _ = engine.step(Input::Checked { ticket, bad });
        }
    }
    assert_eq!(votes(&engine.step(Input::Expired(Timer::View(view(1))))), vec![nullify(1)]);
}
