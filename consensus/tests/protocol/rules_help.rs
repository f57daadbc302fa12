//! Rules R8 to R11: what is said again, what is handed on, and what is asked for.
use quorate_consensus::{
    Certificate, Claim, ClaimKind, Effect, Input, Message, Signers, Step, Timer, Verdict, Want,
};

use crate::bench::{Bench, mark, sent, view, votes};

fn nullify(number: u64) -> Claim {
    Claim::Nullify { view: view(number) }
}

fn want(number: u64, kind: ClaimKind) -> Message {
    Message::Want(Want::Certificate { view: view(number), kind })
}

fn certificates_to(step: &Step, member: u8) -> Vec<Claim> {
    let given = |(to, message): (Signers, Message)| match message {
        Message::Certificate(Certificate { claim, .. }) if to.contains(member) => Some(claim),
        _ => None,
    };
    sent(step).into_iter().filter_map(given).collect()
}

// Rule R8.

#[test]
fn r8_who_is_stuck_says_everything_again() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.notarized(&block);
    let _ = bench.execute(&block, mark("r"));
    let _ = bench.expire(Timer::Propose(view(2)));
    let step = bench.expire(Timer::View(view(2)));
    assert!(step.effects.contains(&Effect::Arm { timer: Timer::Retry(view(2)), level: 1, idle: false }));
    let step = bench.expire(Timer::Retry(view(2)));
    let finalize = Claim::Finalize { view: view(1), block: block.id(), outcome: mark("r") };
    assert_eq!(votes(&step), vec![nullify(2), finalize]);
    assert_eq!(step.journal, vec![], "a promise was made again");
    let notarization = Claim::Notarize { view: view(1), block: block.id() };
    for other in bench.others() {
        assert_eq!(certificates_to(&step, other), vec![notarization]);
    }
    assert!(step.effects.contains(&Effect::Arm { timer: Timer::Retry(view(2)), level: 1, idle: false }));
}

#[test]
fn r8_a_stale_timer_does_nothing() {
    let mut bench = Bench::follower();
    let _ = bench.certify(nullify(3));
    for timer in [Timer::Propose(view(1)), Timer::View(view(2)), Timer::Retry(view(3))] {
        assert_eq!(bench.expire(timer), Step::default());
    }
}

#[test]
fn r8_own_finalize_votes_of_at_most_eight_views_are_said_again() {
    let mut bench = Bench::follower();
    let mut block = bench.first_block();
    for number in 1..=12 {
        let _ = bench.notarized(&block);
        let _ = bench.execute(&block, mark("r"));
        let parent = crate::bench::parent_of(&block, view(number));
        block = crate::bench::block_on(&bench.epoch, view(number + 1), parent);
    }
    let _ = bench.expire(Timer::View(view(13)));
    let again = votes(&bench.expire(Timer::Retry(view(13))));
    let finalizes = again.iter().filter(|claim| claim.kind() == ClaimKind::Finalize).count();
    assert_eq!(finalizes, 8);
}

// Rule R9.

#[test]
fn r9_who_does_not_show_to_have_left_a_view_is_given_its_certificate() {
    let mut bench = Bench::follower();
    let step = bench.certify(nullify(1));
    assert!(step.effects.contains(&Effect::Arm { timer: Timer::Relay(view(1)), level: 0, idle: false }));
    let others = bench.others();
    // The first one sent the certificate; the second votes in the view after it.
    let _ = bench.vote(others[1], Claim::Nullify { view: view(2) });
    let step = bench.expire(Timer::Relay(view(1)));
    assert_eq!(certificates_to(&step, others[0]), vec![]);
    assert_eq!(certificates_to(&step, others[1]), vec![]);
    assert_eq!(certificates_to(&step, others[2]), vec![nullify(1)]);
}

#[test]
fn r9_the_next_leader_learns_at_once_unless_it_signed() {
    let mut bench = Bench::follower();
    let leader = bench.leader(2);
    let step = bench.certify(nullify(1));
    assert_eq!(certificates_to(&step, leader), vec![], "the leader signed it");

    let mut bench = Bench::follower();
    let leader = bench.leader(2);
    let _ = bench.expire(Timer::Propose(view(1)));
    let _ = bench.sign_own(nullify(1));
    let mut step = Step::default();
    for from in bench.others().into_iter().filter(|from| *from != leader) {
        step = bench.vote(from, nullify(1));
    }
    assert_eq!(bench.engine.view(), view(2));
    assert_eq!(certificates_to(&step, leader), vec![nullify(1)]);
}

#[test]
fn r9_nobody_gets_certificates_while_all_goes_well() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.propose(&block, Vec::new());
    let _ = bench.judge(&block, Verdict::Valid);
    let claim = Claim::Notarize { view: view(1), block: block.id() };
    let mut letters = Vec::new();
    for from in bench.others() {
        letters.extend(sent(&bench.vote(from, claim)));
    }
    assert_eq!(bench.engine.view(), view(2));
    assert_eq!(letters, vec![]);
}

// Rule R10.

#[test]
fn r10_who_votes_in_an_old_view_is_told_once() {
    let mut bench = Bench::follower();
    let finalize = Claim::Finalize { view: view(5), block: mark("b"), outcome: mark("r") };
    let _ = bench.certify(finalize);
    let late = bench.others()[2];
    assert_eq!(certificates_to(&bench.vote(late, nullify(2)), late), vec![finalize]);
    assert_eq!(certificates_to(&bench.vote(late, nullify(2)), late), vec![]);
    assert_eq!(certificates_to(&bench.vote(late, nullify(3)), late), vec![finalize]);
}

#[test]
fn r10_who_connects_hears_where_we_are_and_what_we_said() {
    let mut bench = Bench::follower();
    let _ = bench.certify(nullify(1));
    let _ = bench.expire(Timer::Propose(view(2)));
    let _ = bench.sign_own(nullify(2));
    let member = bench.others()[1];
    let step = bench.feed(Input::Connected(member));
    assert_eq!(certificates_to(&step, member), vec![nullify(1)]);
    let said = sent(&step)
        .into_iter()
        .any(|(_, message)| matches!(message, Message::Vote(vote) if vote.claim == nullify(2)));
    assert!(said);
}

#[test]
fn r10_a_leader_shows_its_proposal_to_who_connects() {
    let mut bench = Bench::leader_of(1);
    let block = bench.first_block();
    let _ = bench.feed(Input::Built { view: view(1), header: Some(block.clone()) });
    let _ = bench.sign_own(Claim::Notarize { view: view(1), block: block.id() });
    let step = bench.feed(Input::Connected(bench.others()[0]));
    let shown = sent(&step)
        .into_iter()
        .any(|(_, message)| matches!(message, Message::Propose(shown) if shown.header == block));
    assert!(shown);
}

#[test]
fn r10_help_has_an_end() {
    let mut bench = Bench::follower();
    for number in 1..=40 {
        let _ = bench.certify(nullify(number));
    }
    let beggar = bench.others()[0];
    let given: usize = (1..=40)
        .map(|number| certificates_to(&bench.hear(beggar, want(number, ClaimKind::Nullify)), beggar).len())
        .sum();
    assert_eq!(given, 16);
}

// Rule R11.

#[test]
fn r11_a_question_is_answered_as_well_as_possible() {
    let mut bench = Bench::follower();
    let notarization = Claim::Notarize { view: view(6), block: mark("c") };
    let finalize = Claim::Finalize { view: view(5), block: mark("b"), outcome: mark("r") };
    let _ = bench.certify(finalize);
    let _ = bench.certify(notarization);
    let asker = bench.others()[0];
    let mut ask = |number: u64, kind| certificates_to(&bench.hear(asker, want(number, kind)), asker);
    assert_eq!(ask(6, ClaimKind::Notarize), vec![notarization], "the certificate");
    assert_eq!(ask(6, ClaimKind::Nullify), vec![notarization], "the other kind");
    assert_eq!(ask(3, ClaimKind::Nullify), vec![finalize], "a finalization above");
    assert_eq!(ask(7, ClaimKind::Notarize), vec![], "nothing");
}

#[test]
fn r11_others_are_asked_in_turn_while_the_answer_is_missing() {
    let mut bench = Bench::leader_of(4);
    let asked = |step: &Step| {
        let wants = sent(step).into_iter().filter(|(_, message)| matches!(message, Message::Want(_)));
        wants.fold(Signers::NONE, |all, (to, _)| all.union(to))
    };
    let _ = bench.certify(nullify(1));
    let first = asked(&bench.certify(nullify(3)));
    assert_eq!(bench.engine.status().missing, vec![view(2)]);
    let second = asked(&bench.expire(Timer::View(view(4))));
    let everybody = bench.epoch.everybody().without(bench.me);
    assert_eq!(first.union(second), everybody);
    let _ = bench.certify(nullify(2));
    assert_eq!(bench.engine.status().missing, vec![]);
}

#[test]
fn r11_the_unknown_parent_of_a_certified_block_is_asked_for() {
    let mut bench = Bench::follower();
    let first = bench.first_block();
    let second = crate::bench::block_on(&bench.epoch, view(2), crate::bench::parent_of(&first, view(1)));
    let _ = bench.certify(Claim::Notarize { view: view(2), block: second.id() });
    let step = bench.feed(Input::Fetched { header: second });
    assert!(sent(&step).iter().any(|(_, message)| *message == want(1, ClaimKind::Notarize)));
}
