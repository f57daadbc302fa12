//! Rules R1 and R3 to R7, one engine at a time.
use quorate_consensus::{
    Claim, Effect, EvidenceKind, Fault, Input, Message, Record, Signers, Step, Timer, Verdict,
};
use quorate_primitives::{Hash, Timestamp};

use crate::bench::{Bench, anchor_of, block_on, halted, judged, mark, parent_of, sent, sign, view, votes};

fn notarize(number: u64, block: Hash) -> Claim {
    Claim::Notarize { view: view(number), block }
}

fn nullify(number: u64) -> Claim {
    Claim::Nullify { view: view(number) }
}

fn finalize(number: u64, block: Hash, outcome: Hash) -> Claim {
    Claim::Finalize { view: view(number), block, outcome }
}

fn armed(step: &Step) -> Vec<(Timer, bool)> {
    let arm = |effect: &Effect| match effect {
        Effect::Arm { timer, idle, .. } => Some((*timer, *idle)),
        _ => None,
    };
    step.effects.iter().filter_map(arm).collect()
}

fn bans(step: &Step) -> Vec<u8> {
    let ban = |effect: &Effect| if let Effect::Ban(who) = effect { Some(*who) } else { None };
    step.effects.iter().filter_map(ban).collect()
}

// Rule R1.

#[test]
fn r1_each_kind_of_certificate_leads_to_the_view_after_it() {
    for claim in [notarize(5, mark("b")), nullify(5), finalize(5, mark("b"), mark("r"))] {
        let mut bench = Bench::follower();
        let step = bench.certify(claim);
        assert_eq!(bench.engine.view(), view(6));
        let timers: Vec<Timer> = armed(&step).into_iter().map(|(timer, _)| timer).collect();
        assert!(timers.contains(&Timer::Propose(view(6))) && timers.contains(&Timer::View(view(6))));
    }
}

#[test]
fn r1_an_old_certificate_does_not_lead_back() {
    let mut bench = Bench::follower();
    let _ = bench.certify(nullify(5));
    let _ = bench.certify(nullify(3));
    assert_eq!(bench.engine.view(), view(6));
}

#[test]
fn r1_votes_and_timers_alone_do_not_change_the_view() {
    let mut bench = Bench::follower();
    let _ = bench.expire(Timer::Propose(view(1)));
    let _ = bench.expire(Timer::View(view(1)));
    for from in bench.others().into_iter().take(2) {
        let _ = bench.vote(from, nullify(1));
    }
    assert_eq!(bench.engine.view(), view(1));
}

// Rule R3.

#[test]
fn r3_a_valid_block_on_a_certified_parent_is_voted_for() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let step = bench.propose(&block, Vec::new());
    assert_eq!(judged(&step), vec![(block.id(), Signers::one(bench.leader(1)))]);
    assert_eq!(votes(&step), vec![], "voted before the verdict");
    let step = bench.judge(&block, Verdict::Valid);
    assert_eq!(votes(&step), vec![notarize(1, block.id())]);
    assert_eq!(step.journal, vec![Record::Own(notarize(1, block.id()))]);
}

#[test]
fn r3_the_certificates_of_parent_and_entry_are_on_record_before_the_vote() {
    let mut bench = Bench::follower();
    let first = bench.first_block();
    let _ = bench.notarized(&first);
    let _ = bench.certify(nullify(1));
    let _ = bench.certify(nullify(2));
    let block = block_on(&bench.epoch, view(3), parent_of(&first, view(1)));
    let _ = bench.propose(&block, Vec::new());
    let step = bench.judge(&block, Verdict::Valid);
    let parent = bench.by_others(notarize(1, first.id()));
    let entry = bench.by_others(nullify(2));
    let expected = vec![Record::Held(parent), Record::Held(entry), Record::Own(notarize(3, block.id()))];
    assert_eq!(step.journal, expected);
}

#[test]
fn r3_only_the_first_proposal_counts() {
    let mut bench = Bench::follower();
    let first = bench.first_block();
    let mut second = first.clone();
    second.payload_root = mark("another");
    let _ = bench.propose(&first, Vec::new());
    let step = bench.propose(&second, Vec::new());
    assert_eq!(judged(&step), vec![]);
    assert_eq!(votes(&bench.judge(&second, Verdict::Valid)), vec![]);
    assert_eq!(votes(&bench.judge(&first, Verdict::Valid)), vec![notarize(1, first.id())]);
}

#[test]
fn r3_only_the_leader_proposes() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let impostor = bench.bystander(1);
    let proposal = crate::bench::proposal(&bench.epoch, &block, view(1), view(0), Vec::new());
    let step = bench.hear(impostor, Message::Propose(proposal));
    assert_eq!(bans(&step), vec![impostor]);
    assert_eq!(judged(&step), vec![]);
}

#[test]
fn r3_a_gap_before_the_proposal_is_asked_for_and_then_the_block_is_examined_again() {
    let mut bench = Bench::follower();
    let _ = bench.certify(nullify(2));
    let block = block_on(&bench.epoch, view(3), anchor_of(&bench.epoch));
    let step = bench.propose(&block, Vec::new());
    assert_eq!(judged(&step), vec![], "view 1 was not nullified");
    let leader = Signers::one(bench.leader(3));
    assert!(sent(&step).iter().any(|(to, message)| *to == leader && matches!(message, Message::Want(_))));
    let step = bench.certify(nullify(1));
    assert_eq!(judged(&step).len(), 1);
    assert_eq!(votes(&bench.judge(&block, Verdict::Valid)), vec![notarize(3, block.id())]);
}

#[test]
fn r3_the_proof_in_a_proposal_closes_the_gap() {
    let mut bench = Bench::follower();
    let _ = bench.certify(nullify(2));
    let block = block_on(&bench.epoch, view(3), anchor_of(&bench.epoch));
    let proof = vec![bench.by_others(nullify(1)), bench.by_others(nullify(2))];
    let step = bench.propose(&block, proof);
    assert_eq!(judged(&step).len(), 1);
}

#[test]
fn r3_a_proposal_far_ahead_is_kept_until_its_proof_leads_there() {
    let mut bench = Bench::follower();
    let block = block_on(&bench.epoch, view(7), anchor_of(&bench.epoch));
    let proof = (1..7).map(|number| bench.by_others(nullify(number))).collect();
    let step = bench.propose(&block, proof);
    assert_eq!(bench.engine.view(), view(7));
    assert_eq!(judged(&step).len(), 1);
}

#[test]
fn r3_a_block_that_does_not_fit_its_parent_is_given_up() {
    let honest = Bench::follower().first_block();
    let mut other_parent = honest.clone();
    other_parent.parent = mark("elsewhere");
    let mut wrong_height = honest.clone();
    wrong_height.height = wrong_height.height.next();
    let mut too_early = honest.clone();
    too_early.time = Timestamp::new(1000);
    for block in [other_parent, wrong_height, too_early] {
        let mut bench = Bench::follower();
        let step = bench.propose(&block, Vec::new());
        assert_eq!(votes(&step), vec![nullify(1)]);
    }
}

#[test]
fn r3_a_parent_below_the_finalized_view_is_refused() {
    let mut bench = Bench::follower();
    let first = bench.first_block();
    let _ = bench.certify(finalize(2, mark("final"), mark("r")));
    let block = block_on(&bench.epoch, view(3), parent_of(&first, view(1)));
    let step = bench.propose(&block, Vec::new());
    assert_eq!(votes(&step), vec![nullify(3)]);
}

// Rule R4.

#[test]
fn r4_a_view_is_given_up_when_no_proposal_comes() {
    let mut bench = Bench::follower();
    let step = bench.expire(Timer::Propose(view(1)));
    assert_eq!(votes(&step), vec![nullify(1)]);
    assert_eq!(votes(&bench.expire(Timer::View(view(1)))), vec![], "twice");
}

#[test]
fn r4_a_proposal_in_time_is_waited_for_until_the_view_ends() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.propose(&block, Vec::new());
    assert_eq!(votes(&bench.expire(Timer::Propose(view(1)))), vec![]);
    assert_eq!(votes(&bench.expire(Timer::View(view(1)))), vec![nullify(1)]);
    assert_eq!(votes(&bench.judge(&block, Verdict::Valid)), vec![], "voted after giving up");
}

#[test]
fn r4_an_invalid_block_is_given_up_at_once() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.propose(&block, Vec::new());
    assert_eq!(votes(&bench.judge(&block, Verdict::Invalid)), vec![nullify(1)]);
}

#[test]
fn r4_a_leader_that_gives_up_is_followed() {
    let mut bench = Bench::follower();
    let bystander = bench.bystander(1);
    assert_eq!(votes(&bench.vote(bystander, nullify(1))), vec![]);
    let leader = bench.leader(1);
    assert_eq!(votes(&bench.vote(leader, nullify(1))), vec![nullify(1)]);
}

#[test]
fn r4_a_view_that_was_left_is_not_given_up() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.notarized(&block);
    assert_eq!(votes(&bench.expire(Timer::View(view(1)))), vec![]);
}

// Rule R5.

#[test]
fn r5_a_notarized_and_executed_block_is_finalized_with_its_notarization_on_record() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.notarized(&block);
    let step = bench.execute(&block, mark("r"));
    assert_eq!(votes(&step), vec![finalize(1, block.id(), mark("r"))]);
    let notarization = bench.by_others(notarize(1, block.id()));
    assert_eq!(
        step.journal,
        vec![Record::Held(notarization), Record::Own(finalize(1, block.id(), mark("r")))]
    );
}

#[test]
fn r5_execution_before_the_notarization_finalizes_when_it_comes() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.propose(&block, Vec::new());
    let _ = bench.judge(&block, Verdict::Valid);
    assert_eq!(votes(&bench.execute(&block, mark("r"))), vec![]);
    let step = bench.certify(notarize(1, block.id()));
    assert_eq!(votes(&step), vec![finalize(1, block.id(), mark("r"))]);
}

#[test]
fn r5_nobody_finalizes_a_view_he_gave_up() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.propose(&block, Vec::new());
    let _ = bench.expire(Timer::View(view(1)));
    let _ = bench.judge(&block, Verdict::Valid);
    let step = bench.certify(notarize(1, block.id()));
    assert!(step.effects.contains(&Effect::Premature(view(1))));
    assert_eq!(votes(&bench.execute(&block, mark("r"))), vec![]);
}

#[test]
fn r5_nobody_finalizes_a_view_that_was_nullified() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.notarized(&block);
    let _ = bench.certify(nullify(1));
    assert_eq!(votes(&bench.execute(&block, mark("r"))), vec![]);
}

#[test]
fn r5_a_vote_for_another_block_of_the_view_is_no_obstacle() {
    let mut bench = Bench::follower();
    let first = bench.first_block();
    let mut other = first.clone();
    other.payload_root = mark("other");
    let _ = bench.propose(&first, Vec::new());
    assert_eq!(votes(&bench.judge(&first, Verdict::Valid)), vec![notarize(1, first.id())]);
    let step = bench.certify(notarize(1, other.id()));
    assert!(
        step.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Fetch { block, .. } if *block == other.id()))
    );
    let step = bench.feed(Input::Fetched { header: other.clone() });
    assert_eq!(judged(&step).len(), 1);
    let _ = bench.judge(&other, Verdict::Valid);
    assert_eq!(votes(&bench.execute(&other, mark("r"))), vec![finalize(1, other.id(), mark("r"))]);
}

// Rule R6.

#[test]
fn r6_a_finalization_moves_the_floor_which_is_on_record_before_the_next_vote() {
    let mut bench = Bench::follower();
    let claim = finalize(9, mark("b"), mark("r"));
    let step = bench.certify(claim);
    assert_eq!(bench.engine.finalized(), (view(9), mark("b")));
    assert!(step.effects.contains(&Effect::Finalized(bench.by_others(claim))));
    let step = bench.expire(Timer::Propose(view(10)));
    assert_eq!(step.journal, vec![Record::Floor(bench.by_others(claim)), Record::Own(nullify(10))]);
}

#[test]
fn r6_another_outcome_than_ours_stops_the_engine() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.notarized(&block);
    let _ = bench.execute(&block, mark("ours"));
    let step = bench.certify(finalize(1, block.id(), mark("theirs")));
    assert!(halted(&step));
    assert!(matches!(bench.engine.fault(), Some(Fault::Diverged { .. })));
    assert_eq!(bench.expire(Timer::View(view(2))), Step::default(), "a stopped engine acts");
}

#[test]
fn r6_an_outcome_found_after_the_finalization_is_compared_too() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.notarized(&block);
    let _ = bench.certify(finalize(1, block.id(), mark("theirs")));
    assert!(halted(&bench.execute(&block, mark("ours"))));
}

#[test]
fn r6_two_votes_for_another_outcome_are_enough_to_stop() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.notarized(&block);
    let _ = bench.execute(&block, mark("ours"));
    let others = bench.others();
    assert!(!halted(&bench.vote(others[0], finalize(1, block.id(), mark("theirs")))));
    assert!(halted(&bench.vote(others[1], finalize(1, block.id(), mark("theirs")))));
}

#[test]
fn r6_a_certified_block_that_is_invalid_here_stops_the_engine() {
    let mut bench = Bench::follower();
    let block = bench.first_block();
    let _ = bench.propose(&block, Vec::new());
    let _ = bench.judge(&block, Verdict::Invalid);
    assert!(halted(&bench.certify(notarize(1, block.id()))));
}

#[test]
fn r6_certificates_that_exclude_each_other_stop_the_engine() {
    for (first, second) in [
        (notarize(1, mark("a")), notarize(1, mark("b"))),
        (finalize(1, mark("a"), mark("r")), nullify(1)),
        (nullify(1), finalize(1, mark("a"), mark("r"))),
        (finalize(1, mark("a"), mark("r")), finalize(1, mark("a"), mark("s"))),
    ] {
        let mut bench = Bench::follower();
        let _ = bench.certify(first);
        assert!(halted(&bench.certify(second)), "{first} and {second}");
    }
}

#[test]
fn r6_notarization_and_nullification_of_one_view_are_no_contradiction() {
    let mut bench = Bench::follower();
    let _ = bench.certify(nullify(1));
    assert!(!halted(&bench.certify(notarize(1, mark("a")))));
}

// Rule R7.

#[test]
fn r7_votes_are_checked_in_one_batch_when_they_could_be_enough() {
    let mut bench = Bench::follower();
    let checks = |step: &Step| {
        let sizes = step.effects.iter().filter_map(|effect| match effect {
            Effect::Check { checks, .. } => Some(checks.len()),
            _ => None,
        });
        sizes.collect::<Vec<usize>>()
    };
    let claim = notarize(1, mark("b"));
    let others = bench.others();
    assert_eq!(checks(&bench.vote(others[0], claim)), Vec::<usize>::new());
    assert_eq!(checks(&bench.vote(others[1], claim)), Vec::<usize>::new());
    assert_eq!(checks(&bench.vote(others[2], claim)), vec![3]);
    assert_eq!(bench.engine.view(), view(2));
}

#[test]
fn r7_forged_votes_do_not_count_and_cost_the_sender_its_connection() {
    let mut bench = Bench::follower();
    let others = bench.others();
    let mut forged = sign(&bench.epoch, others[0], nullify(1));
    forged.signature = sign(&bench.epoch, others[1], nullify(2)).signature;
    // A leader's Nullify would be checked by itself.
    let leader = bench.leader(1);
    assert_ne!(leader, bench.me);
    let step = bench.hear(others[0], Message::Vote(forged));
    let mut banned = bans(&step);
    for from in [others[1], others[2]] {
        banned.extend(bans(&bench.vote(from, nullify(1))));
    }
    assert_eq!(banned, vec![others[0]]);
    assert_eq!(bench.engine.view(), view(1));
    let _ = bench.vote(others[0], nullify(1));
    assert_eq!(bench.engine.view(), view(2), "the genuine vote completes the quorum");
}

#[test]
fn r7_nobody_may_send_the_vote_of_another() {
    let mut bench = Bench::follower();
    let others = bench.others();
    let vote = sign(&bench.epoch, others[0], nullify(1));
    assert_eq!(bans(&bench.hear(others[1], Message::Vote(vote))), vec![others[1]]);
}

#[test]
fn r7_own_votes_count_without_a_check() {
    let mut bench = Bench::follower();
    let _ = bench.expire(Timer::View(view(1)));
    let _ = bench.sign_own(nullify(1));
    for from in bench.others().into_iter().take(2) {
        let _ = bench.vote(from, nullify(1));
    }
    assert_eq!(bench.engine.view(), view(2));
}

#[test]
fn r7_conflicting_votes_are_reported_once_and_the_first_one_stays() {
    let mut bench = Bench::follower();
    let liar = bench.bystander(1);
    let evidence = |step: &Step| {
        let found = step.effects.iter().filter_map(|effect| match effect {
            Effect::Evidence(evidence) => evidence.kind(),
            _ => None,
        });
        found.collect::<Vec<EvidenceKind>>()
    };
    assert_eq!(evidence(&bench.vote(liar, notarize(1, mark("a")))), vec![]);
    assert_eq!(evidence(&bench.vote(liar, notarize(1, mark("b")))), vec![EvidenceKind::DoubleNotarize]);
    assert_eq!(evidence(&bench.vote(liar, notarize(1, mark("c")))), vec![]);
    assert_eq!(evidence(&bench.vote(liar, nullify(1))), vec![], "legal");
    let step = bench.vote(liar, finalize(1, mark("a"), mark("r")));
    assert_eq!(evidence(&step), vec![EvidenceKind::NullifyAndFinalize]);
    let step = bench.vote(liar, finalize(1, mark("a"), mark("s")));
    assert_eq!(evidence(&step), vec![EvidenceKind::DoubleFinalize]);
}

#[test]
fn r7_our_key_used_elsewhere_stops_the_engine() {
    let mut bench = Bench::follower();
    let mut signers = bench.others();
    signers.pop();
    signers.push(bench.me);
    let stolen = crate::bench::certificate(&bench.epoch, &signers, nullify(1));
    let from = signers[0];
    let step = bench.hear(from, Message::Certificate(stolen));
    assert!(halted(&step));
    assert!(matches!(bench.engine.fault(), Some(Fault::KeyUsedElsewhere { .. })));
}
