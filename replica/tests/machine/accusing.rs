//! Proof that a validator broke the rules finds its way into the ledger.
use quorate_consensus::{Claim, Message};
use quorate_primitives::evidence::{EvidenceKind, RecordedEvidence};
use quorate_primitives::state::StateKey;
use quorate_primitives::{EpochNumber, Hash, View};
use quorate_replica::Event;

use crate::network::{found_with, validator_key};
use crate::world::World;

const CHEAT: usize = 3;

fn recorded(world: &World, node: usize, epoch: u64, kind: EvidenceKind) -> Option<RecordedEvidence> {
    let key = StateKey::Evidence(EpochNumber::new(epoch), validator_key(CHEAT).public_key(), kind);
    world.replica(node).ledger().head().state().get(&key)
}

/// Two votes of the cheat in the next view, told to one node.
fn double_notarize(world: &mut World, node: usize) {
    let replica = world.replica(node);
    let (context, view) = (replica.context(), replica.status().view.get() + 1);
    let epoch = replica.status().epoch;
    for block in [1, 2] {
        let claim = Claim::Notarize { view: View::new(view), block: Hash::from_bytes([block; 32]) };
        let vote = claim.sign(&context, u8::try_from(CHEAT).unwrap(), &validator_key(CHEAT));
        let from = validator_key(CHEAT).public_key();
        world.step(node, Event::Message { from, epoch, message: Box::new(Message::Vote(vote)) });
    }
}

fn running(epoch_length: Option<u64>, seed: u64) -> World {
    let mut world = World::asleep_on(found_with(4, epoch_length), 4, seed);
    world.cheat = Some(CHEAT);
    (0..4).for_each(|node| world.start(node));
    world.run_until("blocks are made", 60_000, |world| world.lowest() >= 3);
    world
}

#[test]
fn a_double_vote_is_recorded_in_every_ledger() {
    let mut world = running(None, 1);
    double_notarize(&mut world, 0);
    world.run_until("all ledgers have it", 60_000, |world| {
        (0..4).all(|node| recorded(world, node, 0, EvidenceKind::DoubleNotarize).is_some())
    });
}

#[test]
fn the_record_proves_itself() {
    let mut world = running(None, 2);
    double_notarize(&mut world, 1);
    world.run_until("a ledger has it", 60_000, |world| {
        recorded(world, 2, 0, EvidenceKind::DoubleNotarize).is_some()
    });
    let found = recorded(&world, 2, 0, EvidenceKind::DoubleNotarize).unwrap();
    assert_eq!(found.accusation.validator, validator_key(CHEAT).public_key());
    let checks = found.accusation.signature_checks();
    assert!(checks.iter().all(|check| check.key.verify(check.domain, &check.message, &check.signature)));
}

#[test]
fn what_was_seen_at_the_end_of_an_epoch_is_recorded_in_the_next() {
    let mut world = running(Some(10), 3);
    world.run_until("the end is near", 60_000, |world| world.height(0) >= 9);
    double_notarize(&mut world, 0);
    world.run_until("all ledgers have it", 60_000, |world| {
        (0..4).all(|node| recorded(world, node, 0, EvidenceKind::DoubleNotarize).is_some())
    });
}
