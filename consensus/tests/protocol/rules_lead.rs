//! Rules R2, R12 and R13, and pacing: when a leader proposes, and when it is not waited for.
use quorate_consensus::{Claim, Effect, Engine, Input, Message, Parent, Record, Step, Timer, Verdict};
use quorate_primitives::View;
use quorate_primitives::block::Header;

use crate::bench::{Bench, anchor_of, block_on, epoch_of, mark, parent_of, sent, view, votes};

fn builds(step: &Step) -> Vec<(View, Parent, bool)> {
    let build = |effect: &Effect| match effect {
        Effect::Build { view, parent, idle } => Some((*view, *parent, *idle)),
        _ => None,
    };
    step.effects.iter().filter_map(build).collect()
}

fn built(bench: &mut Bench, number: u64, header: Option<Header>) -> Step {
    bench.feed(Input::Built { view: view(number), header })
}

// Rule R2.

#[test]
fn r2_the_first_leader_builds_on_the_anchor() {
    let epoch = epoch_of(4);
    let mut engine = Engine::new(epoch.clone(), Some(epoch.leader(view(1))));
    let step = engine.start();
    assert_eq!(builds(&step), vec![(view(1), anchor_of(&epoch), true)]);
    let block = block_on(&epoch, view(1), anchor_of(&epoch));
    let step = engine.step(Input::Built { view: view(1), header: Some(block.clone()) });
    let claim = Claim::Notarize { view: view(1), block: block.id() };
    assert_eq!(step.journal, vec![Record::Own(claim)]);
    assert_eq!(
        step.effects,
        vec![Effect::Propose { header: block, parent: view(0), claim, proof: Vec::new() }]
    );
}

#[test]
fn r2_the_parent_is_the_latest_certified_block_and_the_proof_shows_the_way_to_it() {
    let mut bench = Bench::leader_of(4);
    let first = bench.first_block();
    let _ = bench.notarized(&first);
    let _ = bench.certify(Claim::Nullify { view: view(2) });
    let step = bench.certify(Claim::Nullify { view: view(3) });
    let parent = parent_of(&first, view(1));
    assert_eq!(builds(&step), vec![(view(4), parent, true)]);
    let block = block_on(&bench.epoch, view(4), parent);
    let step = built(&mut bench, 4, Some(block));
    let proof = step.effects.iter().find_map(|effect| match effect {
        Effect::Propose { proof, .. } => Some(proof.clone()),
        _ => None,
    });
    let claims: Vec<Claim> = proof.unwrap().iter().map(|certificate| certificate.claim).collect();
    let nullified = |number: u64| Claim::Nullify { view: view(number) };
    assert_eq!(
        claims,
        vec![Claim::Notarize { view: view(1), block: first.id() }, nullified(3), nullified(2)]
    );
}

#[test]
fn r2_a_notarization_wins_over_a_nullification_of_the_same_view() {
    let mut bench = Bench::leader_of(4);
    let first = bench.first_block();
    let _ = bench.notarized(&first);
    let _ = bench.certify(Claim::Nullify { view: view(1) });
    let _ = bench.certify(Claim::Nullify { view: view(2) });
    let step = bench.certify(Claim::Nullify { view: view(3) });
    assert_eq!(builds(&step), vec![(view(4), parent_of(&first, view(1)), true)]);
}

#[test]
fn r2_a_gap_is_asked_for_before_building() {
    let mut bench = Bench::leader_of(4);
    let step = bench.certify(Claim::Nullify { view: view(3) });
    assert_eq!(builds(&step), vec![]);
    let wants = sent(&step).into_iter().filter(|(_, message)| matches!(message, Message::Want(_))).count();
    assert_eq!(wants, 2, "views 1 and 2");
    let _ = bench.certify(Claim::Nullify { view: view(2) });
    let step = bench.certify(Claim::Nullify { view: view(1) });
    assert_eq!(builds(&step), vec![(view(4), anchor_of(&bench.epoch), true)]);
}

#[test]
fn r2_building_may_take_as_long_as_the_view() {
    let mut bench = Bench::leader_of(1);
    assert_eq!(votes(&bench.expire(Timer::Propose(view(1)))), vec![], "the leader gave up on itself");
    let block = bench.first_block();
    let step = built(&mut bench, 1, Some(block.clone()));
    assert_eq!(votes(&step), vec![Claim::Notarize { view: view(1), block: block.id() }]);
}

#[test]
fn r2_a_block_that_comes_after_giving_up_is_not_proposed() {
    let mut bench = Bench::leader_of(1);
    assert_eq!(votes(&bench.expire(Timer::View(view(1)))), vec![Claim::Nullify { view: view(1) }]);
    let block = bench.first_block();
    assert_eq!(votes(&built(&mut bench, 1, Some(block))), vec![]);
}

#[test]
fn r2_nobody_proposes_twice() {
    let mut bench = Bench::leader_of(1);
    let block = bench.first_block();
    let mut other = block.clone();
    other.payload_root = mark("other");
    let _ = built(&mut bench, 1, Some(block));
    assert_eq!(votes(&built(&mut bench, 1, Some(other))), vec![]);
    assert_eq!(builds(&bench.restart()), vec![]);
}

#[test]
fn r2_a_leader_that_cannot_build_gives_up() {
    let mut bench = Bench::leader_of(1);
    assert_eq!(votes(&built(&mut bench, 1, None)), vec![Claim::Nullify { view: view(1) }]);
}

#[test]
fn r2_a_block_on_another_parent_is_not_proposed() {
    let mut bench = Bench::leader_of(1);
    let mut block = bench.first_block();
    block.parent = mark("elsewhere");
    assert_eq!(votes(&built(&mut bench, 1, Some(block))), vec![Claim::Nullify { view: view(1) }]);
}

// Rule R12.

/// Everybody but one votes, for nine views.
fn nine_views_without(bench: &mut Bench, absent: u8) {
    let mut parent = anchor_of(&bench.epoch);
    for number in 1..=9 {
        let block = block_on(&bench.epoch, view(number), parent);
        let claim = Claim::Notarize { view: view(number), block: block.id() };
        for from in bench.others().into_iter().filter(|from| *from != absent) {
            let _ = bench.vote(from, claim);
        }
        let _ = bench.feed(Input::Fetched { header: block.clone() });
        let found = bench.by_others(claim);
        let _ = bench.hear(bench.bystander(number), Message::Certificate(found));
        let _ = bench.feed(Input::Fetched { header: block.clone() });
        parent = parent_of(&block, view(number));
    }
}

#[test]
fn r12_a_leader_that_was_silent_for_long_is_not_waited_for() {
    let epoch = epoch_of(4);
    let absent = epoch.leader(view(10));
    let me = epoch.leader(view(11));
    let mut bench = Bench::started(epoch, me);
    nine_views_without(&mut bench, absent);
    assert_eq!(bench.engine.view(), view(10));
    // It was last excused in view 1, where this validator started.
    assert!(bench.engine.status().leader_silent);
    assert!(bench.journal.contains(&Record::Own(Claim::Nullify { view: view(10) })));
}

#[test]
fn r12_a_leader_that_votes_is_waited_for() {
    let epoch = epoch_of(4);
    let absent = epoch.leader(view(10));
    let me = epoch.leader(view(11));
    let mut bench = Bench::started(epoch, me);
    let _ = bench.vote(absent, Claim::Nullify { view: view(3) });
    nine_views_without(&mut bench, absent);
    assert!(!bench.engine.status().leader_silent);
}

#[test]
fn r12_refusing_leaders_do_not_make_the_network_race() {
    let mut bench = Bench::leader_of(5);
    for number in 1..=4 {
        let _ = bench.certify(Claim::Nullify { view: view(number) });
    }
    assert_eq!(votes(&built(&mut bench, 5, None)), vec![], "gave up without a timer in a fifth dry view");
    assert_eq!(votes(&bench.expire(Timer::View(view(5)))), vec![Claim::Nullify { view: view(5) }]);
}

// Rule R13.

#[test]
fn r13_every_validator_leads_once_in_a_round() {
    for n in [1, 2, 3, 4, 7, 31, 128] {
        let epoch = epoch_of(n);
        let round = u64::try_from(n).unwrap();
        let mut leaders: Vec<u8> = (1..=round).map(|number| epoch.leader(view(number))).collect();
        assert_eq!(epoch.leader(view(1)), epoch.leader(view(1 + round)));
        leaders.sort_unstable();
        assert_eq!(leaders, epoch.everybody().iter().collect::<Vec<u8>>());
    }
}

#[test]
fn r13_the_last_view_has_a_leader() {
    assert!(usize::from(epoch_of(7).leader(View::MAX)) < 7);
}

// Pacing.

#[test]
fn an_idle_network_waits_and_work_ends_the_wait() {
    let mut bench = Bench::follower();
    let step = bench.feed(Input::Pending);
    let arm = |timer: Timer| Effect::Arm { timer, level: 0, idle: false };
    assert_eq!(step.effects, vec![arm(Timer::Propose(view(1))), arm(Timer::View(view(1)))]);
    assert_eq!(bench.feed(Input::Pending).effects, vec![], "said twice");
}

#[test]
fn a_block_with_content_is_followed_without_idling() {
    let mut bench = Bench::follower();
    let mut block = bench.first_block();
    block.payload_root = mark("content");
    let step = bench.notarized(&block);
    assert!(step.effects.contains(&Effect::Arm { timer: Timer::View(view(2)), level: 0, idle: false }));
}

#[test]
fn a_proposal_ends_the_idle_wait() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let step = bench.propose(&block, Vec::new());
    assert!(step.effects.contains(&Effect::Arm { timer: Timer::View(view(1)), level: 0, idle: false }));
}

#[test]
fn timers_grow_with_lost_views_and_shrink_with_finality() {
    let mut bench = Bench::follower();
    let level = |step: &Step| {
        step.effects.iter().find_map(|effect| match effect {
            Effect::Arm { timer: Timer::View(_), level, .. } => Some(*level),
            _ => None,
        })
    };
    let _ = bench.certify(Claim::Nullify { view: view(1) });
    assert_eq!(level(&bench.certify(Claim::Nullify { view: view(2) })), Some(2));
    let step = bench.certify(Claim::Finalize { view: view(5), block: mark("b"), outcome: mark("r") });
    assert_eq!(level(&step), Some(0));
}

#[test]
fn a_late_header_of_a_certified_block_is_taken() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let step = bench.certify(Claim::Notarize { view: view(1), block: block.id() });
    assert!(step.effects.iter().any(|effect| matches!(effect, Effect::Fetch { .. })));
    let step = bench.propose(&block, Vec::new());
    assert!(step.effects.iter().any(|effect| matches!(effect, Effect::Judge { .. })));
    let _ = bench.judge(&block, Verdict::Valid);
}
