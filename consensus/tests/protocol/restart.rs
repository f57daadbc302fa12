//! What a machine that comes back says and does not say.
use quorate_consensus::{Claim, Effect, Fault, Input, Record, Step, Timer, Verdict};

use crate::bench::{Bench, block_on, mark, parent_of, view, votes};

fn nullify(number: u64) -> Claim {
    Claim::Nullify { view: view(number) }
}

#[test]
fn a_vote_is_said_again_and_never_changed() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.propose(&block, Vec::new());
    let claim = Claim::Notarize { view: view(1), block: block.id() };
    assert_eq!(votes(&bench.judge(&block, Verdict::Valid)), vec![claim]);
    let step = bench.restart();
    assert_eq!(votes(&step), vec![claim]);
    assert_eq!(step.journal, vec![]);
    let mut other = block.clone();
    other.payload_root = mark("other");
    let _ = bench.propose(&other, Vec::new());
    assert_eq!(votes(&bench.judge(&other, Verdict::Valid)), vec![], "a second vote in the same view");
}

#[test]
fn a_nullify_is_remembered_and_forbids_to_finalize() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.expire(Timer::Propose(view(1)));
    assert_eq!(votes(&bench.restart()), vec![nullify(1)]);
    let _ = bench.notarized(&block);
    assert_eq!(votes(&bench.execute(&block, mark("r"))), vec![]);
}

#[test]
fn own_votes_count_again_after_a_restart() {
    let mut bench = Bench::follower();
    let _ = bench.expire(Timer::View(view(1)));
    let step = bench.restart();
    for claim in votes(&step) {
        let _ = bench.sign_own(claim);
    }
    for from in bench.others().into_iter().take(2) {
        let _ = bench.vote(from, nullify(1));
    }
    assert_eq!(bench.engine.view(), view(2), "the own vote is missing from the tally");
}

#[test]
fn a_machine_returns_to_the_view_it_voted_in() {
    let mut bench = Bench::follower();
    let _ = bench.certify(nullify(6));
    let step = bench.expire(Timer::View(view(7)));
    let entry = bench.by_others(nullify(6));
    assert_eq!(step.journal, vec![Record::Held(entry), Record::Own(nullify(7))]);
    let step = bench.restart();
    assert_eq!(bench.engine.view(), view(7));
    assert_eq!(votes(&step), vec![nullify(7)]);
}

#[test]
fn a_finalize_vote_survives_with_its_notarization() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.notarized(&block);
    let claim = Claim::Finalize { view: view(1), block: block.id(), outcome: mark("r") };
    assert_eq!(votes(&bench.execute(&block, mark("r"))), vec![claim]);
    let step = bench.restart();
    assert_eq!(bench.engine.view(), view(2));
    assert!(votes(&step).contains(&claim));
    // The block itself is asked for again, so that the next one can be judged and executed.
    assert!(
        step.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Fetch { block: asked, .. } if *asked == block.id()))
    );
    let step = bench.feed(Input::Fetched { header: block.clone() });
    assert!(step.effects.iter().any(|effect| matches!(effect, Effect::Judge { .. })));
}

#[test]
fn a_block_that_executes_differently_the_second_time_stops_the_engine() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.notarized(&block);
    let _ = bench.execute(&block, mark("r"));
    let _ = bench.restart();
    let _ = bench.execute(&block, mark("s"));
    assert!(matches!(bench.engine.fault(), Some(Fault::Diverged { .. })));
}

#[test]
fn the_floor_stays_where_it_was() {
    let mut bench = Bench::follower();
    let claim = Claim::Finalize { view: view(30), block: mark("b"), outcome: mark("r") };
    let _ = bench.certify(claim);
    let _ = bench.expire(Timer::View(view(31)));
    let _ = bench.restart();
    assert_eq!(bench.engine.finalized(), (view(30), mark("b")));
    assert_eq!(bench.engine.view(), view(31));
}

/// Lives through some views with votes of all kinds.
fn eventful_life() -> Bench {
    let mut bench = Bench::follower();
    let mut block = bench.first_block();
    for number in 1..=6 {
        if number % 3 == 0 {
            let _ = bench.expire(Timer::View(view(number)));
            let _ = bench.certify(nullify(number));
        } else {
            let _ = bench.notarized(&block);
            let _ = bench.execute(&block, mark("r"));
        }
        if number == 2 {
            let _ = bench.certify(Claim::Finalize {
                view: view(1),
                block: bench.first_block().id(),
                outcome: mark("r"),
            });
        }
        let parent = if number % 3 == 0 { block.parent_view } else { view(number) };
        let next = parent_of(&block, parent);
        if number % 3 != 0 {
            block = block_on(&bench.epoch, view(number + 1), next);
        } else {
            block.view = view(number + 1);
            block.proposer = bench.leader(number + 1);
        }
    }
    bench
}

#[test]
fn a_short_journal_gives_the_same_promises_as_the_long_one() {
    let mut long = eventful_life();
    let mut short = eventful_life();
    short.journal = short.engine.records();
    assert!(short.journal.len() < long.journal.len());
    let claims = |step: &Step| votes(step);
    let (with_long, with_short) = (long.restart(), short.restart());
    assert_eq!(claims(&with_long), claims(&with_short));
    assert_eq!(long.engine.view(), short.engine.view());
    assert_eq!(short.engine.finalized().0, view(1));
}

#[test]
fn every_prefix_of_a_journal_is_a_journal() {
    let life = eventful_life();
    for length in 0..life.journal.len() {
        let mut bench = Bench::started(life.epoch.clone(), life.me);
        bench.journal = life.journal[..length].to_vec();
        let step = bench.restart();
        assert_eq!(step.journal, vec![], "a restart makes no promise");
        for claim in votes(&step) {
            assert!(bench.journal.contains(&Record::Own(claim)), "{claim} was never promised");
        }
        assert_eq!(bench.engine.fault(), None);
    }
}
