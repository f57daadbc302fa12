//! What the leader of the next view puts off.
use quorate_consensus::{Claim, Message};
use quorate_primitives::block::Payload;
use quorate_primitives::{EpochNumber, Hash, View};
use quorate_replica::{Effect, Event, Settings, Timer};

use crate::network::validator_key;
use crate::solo::Solo;

/// Has all others vote for a claim.
fn others_vote(solo: &mut Solo, me: usize, claim: Claim) {
    for validator in (0..4).filter(|validator| *validator != me) {
        let key = validator_key(validator);
        let vote = claim.sign(&solo.replica.context(), u8::try_from(validator).unwrap(), &key);
        let message = Box::new(Message::Vote(vote));
        solo.step(Event::Message { from: key.public_key(), epoch: EpochNumber::ZERO, message });
    }
}

/// Who leads the first two views.
fn leaders() -> (usize, usize) {
    let (mut solo, first) = Solo::follower();
    others_vote(&mut solo, (first + 1) % 4, Claim::Nullify { view: View::new(1) });
    assert_eq!(solo.replica.status().view, View::new(2));
    (first, usize::from(solo.replica.status().leader))
}

/// A validator that has just voted for the block of the first view, and the block.
fn voter(me: usize, leader: usize) -> (Solo, Hash) {
    let mut solo = Solo::new(me, Settings { min_interval_ms: 0, ..Settings::default() });
    let bundle = solo.bundle(leader, 0..3);
    let payload = crate::solo::payload(&[&bundle]);
    let header = solo.header(leader, &payload);
    solo.propose(&header, payload, Some(bundle));
    (solo, header.id())
}

fn is_executing(solo: &Solo) -> bool {
    solo.effects.iter().any(|effect| matches!(effect, Effect::Arm { timer: Timer::Execute, .. }))
}

fn proposes(solo: &Solo, in_view: View) -> bool {
    solo.signed.iter().any(|claim| matches!(claim, Claim::Notarize { view, .. } if *view == in_view))
}

#[test]
fn who_does_not_lead_next_executes_a_block_once_it_has_voted() {
    let (first, second) = leaders();
    let me = (0..4).find(|me| ![first, second].contains(me)).unwrap();
    let (solo, _) = voter(me, first);
    assert!(is_executing(&solo));
}

#[test]
fn who_leads_next_does_not_execute_before_its_turn() {
    let (first, second) = leaders();
    let (solo, block) = voter(second, first);
    assert!(solo.signed.contains(&Claim::Notarize { view: View::new(1), block }));
    assert!(!is_executing(&solo));
}

#[test]
fn who_leads_next_executes_when_its_turn_has_come() {
    let (first, second) = leaders();
    let (mut solo, block) = voter(second, first);
    // Something to order, so that its block does not wait.
    let bundle = solo.bundle(first, 3..4);
    solo.step(Event::Bundle { from: Some(validator_key(first).public_key()), bundle });
    others_vote(&mut solo, second, Claim::Notarize { view: View::new(1), block });
    assert!(proposes(&solo, View::new(2)));
    assert!(is_executing(&solo));
}

#[test]
fn who_leads_next_executes_although_the_view_is_given_up() {
    let (first, second) = leaders();
    let (mut solo, _) = voter(second, first);
    others_vote(&mut solo, second, Claim::Nullify { view: View::new(1) });
    assert!(is_executing(&solo));
}

#[test]
fn a_block_that_carries_nothing_waits_for_the_turn_as_well() {
    let (first, second) = leaders();
    let mut solo = Solo::new(second, Settings::default());
    let header = solo.header(first, &Payload::default());
    solo.propose(&header, Payload::default(), None);
    assert!(!is_executing(&solo));
}
