//! What happens to a whole network, told step by step.
use quorate_consensus::{
    Claim, ClaimKind, Effect, Engine, EvidenceKind, Fault, Input, Message, Signers, Timer,
};
use quorate_primitives::Height;

use crate::bench::{anchor_of, block_on, mark, proposal, sign, view};
use crate::cluster::Cluster;

fn evidence_against(cluster: &Cluster, who: u8) -> Vec<EvidenceKind> {
    let news = cluster.nodes.iter().flat_map(|node| &node.news);
    let found = news.filter_map(|news| match news {
        Effect::Evidence(evidence) if evidence.signer() == who => evidence.kind(),
        _ => None,
    });
    found.collect()
}

#[test]
fn any_number_of_healthy_validators_finalizes_without_any_timer() {
    for n in [1, 2, 3, 4, 5, 6, 7, 10, 16] {
        let mut cluster = Cluster::of(n);
        cluster.start();
        assert!(cluster.reaches(5, 0), "{n} validators stopped\n{}", cluster.report());
        assert!(cluster.nobody_halted());
        let skipped = cluster.final_certificates(ClaimKind::Nullify);
        assert_eq!(skipped, 0, "{n} validators skipped views");
    }
}

#[test]
fn the_largest_network_finalizes() {
    let mut cluster = Cluster::of(128);
    cluster.start();
    assert!(cluster.reaches(2, 0), "{}", cluster.report());
}

#[test]
fn a_crashed_validator_is_skipped_and_later_catches_up() {
    let mut cluster = Cluster::of(4);
    cluster.start();
    assert!(cluster.reaches(3, 0), "{}", cluster.report());
    cluster.crash(2);
    assert!(cluster.reaches(12, 60), "{}", cluster.report());
    cluster.restart(2);
    assert!(cluster.reaches(16, 60), "{}", cluster.report());
    assert!(cluster.nobody_halted());
}

#[test]
fn too_few_validators_wait_and_go_on_when_one_returns() {
    let mut cluster = Cluster::of(4);
    cluster.start();
    assert!(cluster.reaches(2, 0), "{}", cluster.report());
    cluster.crash(0);
    cluster.crash(1);
    assert!(!cluster.reaches(8, 30), "two of four cannot decide");
    cluster.restart(0);
    assert!(cluster.reaches(8, 80), "{}", cluster.report());
    cluster.restart(1);
    assert!(cluster.reaches(12, 80), "{}", cluster.report());
}

#[test]
fn power_loss_of_all_loses_nothing_that_matters() {
    let mut cluster = Cluster::of(4);
    cluster.start();
    assert!(cluster.reaches(4, 0), "{}", cluster.report());
    for index in 0..4 {
        cluster.crash(index);
    }
    cluster.mail.clear();
    for index in 0..4 {
        cluster.restart(index);
    }
    assert!(cluster.reaches(8, 60), "{}", cluster.report());
    assert!(cluster.nobody_halted());
}

#[test]
fn a_partition_in_halves_heals() {
    let mut cluster = Cluster::of(4);
    cluster.start();
    assert!(cluster.reaches(2, 0), "{}", cluster.report());
    cluster.unreachable = Signers::one(0).with(1);
    assert!(!cluster.reaches(6, 20), "neither half may decide");
    cluster.reconnect_all();
    assert!(cluster.reaches(6, 80), "{}", cluster.report());
}

#[test]
fn a_member_that_slept_for_hundreds_of_views_is_back_at_once() {
    let mut cluster = Cluster::of(4);
    cluster.start();
    cluster.unreachable = Signers::one(3);
    assert!(cluster.reaches(400, 2000), "{}", cluster.report());
    cluster.reconnect_all();
    assert!(cluster.reaches(405, 20), "{}", cluster.report());
}

#[test]
fn two_blocks_by_one_leader_are_reported_and_only_one_is_final() {
    let mut cluster = Cluster::of(4);
    let leader = cluster.epoch.leader(view(1));
    cluster.traitors = Signers::one(leader);
    cluster.start();
    let one = cluster.first_block();
    let mut other = one.clone();
    other.payload_root = mark("other");
    cluster.blocks.insert(one.id(), one.clone());
    cluster.blocks.insert(other.id(), other.clone());
    for (position, to) in cluster.honest().into_iter().enumerate() {
        let first = if position == 0 { &one } else { &other };
        for header in [first, &one, &other] {
            let message = Message::Propose(proposal(&cluster.epoch, header, view(1), view(0), Vec::new()));
            cluster.tell(to, Input::Received { from: leader, message });
        }
    }
    assert!(cluster.reaches(5, 60), "{}", cluster.report());
    assert!(cluster.nobody_halted());
    assert_eq!(cluster.chain[&Height::new(1)], other.id());
    assert_eq!(evidence_against(&cluster, leader), vec![EvidenceKind::DoubleNotarize; 3]);
}

#[test]
fn a_silent_leader_is_waited_for_only_until_it_is_known_to_be_silent() {
    let mut cluster = Cluster::of(4);
    cluster.start();
    cluster.crash(2);
    assert!(cluster.reaches(20, 80), "{}", cluster.report());
    let fired = |cluster: &mut Cluster| {
        cluster.reaches(cluster.highest().get() + 6, 200);
        let premature = cluster.nodes.iter().flat_map(|node| &node.news);
        premature.filter(|news| matches!(news, Effect::Premature(_))).count()
    };
    assert_eq!(fired(&mut cluster), 0);
    // From here the views of the crashed leader pass without its timers.
    let before = cluster.highest().get();
    assert!(cluster.reaches(before + 9, 0), "somebody waited for the crashed leader");
}

#[test]
fn a_broken_machine_stops_itself_and_the_others_go_on() {
    let mut cluster = Cluster::of(4);
    cluster.node(1).broken = true;
    cluster.start();
    cluster.limit = 3;
    cluster.settle();
    let fault = cluster.node(1).engine.fault().cloned();
    assert!(matches!(fault, Some(Fault::Diverged { .. })), "found {fault:?}");
    cluster.crash(1);
    assert!(cluster.reaches(8, 60), "{}", cluster.report());
}

#[test]
fn an_observer_follows_without_a_vote() {
    let mut cluster = Cluster::of(4);
    cluster.start();
    assert!(cluster.reaches(3, 0), "{}", cluster.report());
    let mut observer = Engine::new(cluster.epoch.clone(), None);
    let step = observer.start();
    assert!(step.journal.is_empty());
    let finalization = cluster.node(0).engine.finalization().cloned().unwrap();
    let step =
        observer.step(Input::Received { from: 0, message: Message::Certificate(finalization.clone()) });
    let Some(Effect::Check { ticket, .. }) = step.effects.first() else { panic!("unchecked: {step:?}") };
    let step = observer.step(Input::Checked { ticket: *ticket, bad: Vec::new() });
    assert!(step.effects.contains(&Effect::Finalized(finalization.clone())));
    assert_eq!(observer.finalized().0, finalization.claim.view());
    let expired = observer.step(Input::Expired(Timer::View(observer.view())));
    assert!(expired.journal.is_empty(), "an observer made a promise");
}

#[test]
fn the_last_block_of_an_epoch_is_proposed_again_until_it_is_final() {
    let mut cluster = Cluster::until(4, Height::new(3));
    cluster.start();
    assert!(cluster.reaches(3, 40), "{}", cluster.report());
    // Nothing follows it.
    assert!(!cluster.reaches(4, 40));
    assert_eq!(cluster.highest(), Height::new(3));
    assert!(cluster.nobody_halted());
}

#[test]
fn an_unfinished_last_block_is_finalized_in_a_later_view() {
    let mut cluster = Cluster::until(4, Height::new(1));
    cluster.start();
    cluster.limit = 1;
    // Nobody hears a Finalize vote of the first view.
    while cluster.nodes.iter().any(|node| node.engine.view() < view(3)) {
        for index in cluster.running() {
            while cluster.work(index) {}
        }
        let kept = |letter: &crate::cluster::Letter| !matches!(&letter.message, Message::Vote(vote) if matches!(vote.claim, Claim::Finalize { view: late, .. } if late == view(1)));
        let mail: Vec<_> = cluster.mail.drain(..).filter(kept).collect();
        for letter in mail {
            cluster.deliver(letter);
        }
    }
    assert!(cluster.reaches(1, 40), "{}", cluster.report());
    let first = cluster.first_block();
    assert_eq!(cluster.chain[&Height::new(1)], first.id());
    let finalized = cluster.node(0).engine.finalized();
    assert_eq!(finalized.1, first.id());
    assert!(finalized.0 > view(1), "final in view {}", finalized.0);
}

#[test]
fn a_vote_from_a_stranger_changes_nothing() {
    let mut cluster = Cluster::of(4);
    cluster.start();
    let before = cluster.node(0).engine.clone();
    let header = block_on(&cluster.epoch, view(1), anchor_of(&cluster.epoch));
    let vote = sign(&cluster.epoch, 1, Claim::Notarize { view: view(1), block: header.id() });
    cluster.tell(0, Input::Received { from: 200, message: Message::Vote(vote) });
    assert_eq!(cluster.node(0).engine, before);
}
