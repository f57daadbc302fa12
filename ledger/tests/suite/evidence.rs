//! What validators are accused of is kept once, and only if it is about a validator of this chain.
use quorate_ledger::store::Memory;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::Claim;
use quorate_primitives::codec::decode;
use quorate_primitives::evidence::{Accusation, Evidence, EvidenceKind, RecordedEvidence};
use quorate_primitives::keys::KnownKeys;
use quorate_primitives::merkle::list_root;
use quorate_primitives::signed::verify_bundle;
use quorate_primitives::state::{StateGroup, StateKey};
use quorate_primitives::transaction::Operation;
use quorate_primitives::validators::EpochIdentity;
use quorate_primitives::{EpochNumber, Hash, Height, View};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::sync::Arc;

use crate::world::*;

const EPOCH: u64 = 5;

fn world() -> World {
    World::with(genesis_of_epochs(EPOCH), Arc::new(Memory::new()))
}

/// What an accusation names.
#[derive(Clone)]
struct Subject {
    identity: EpochIdentity,
    index: u8,
    number: u8,
}

/// The second validator, in an epoch with the validators of the genesis.
fn second(world: &World, epoch: u64) -> Subject {
    let identity = EpochIdentity {
        epoch: EpochNumber::new(epoch),
        anchor: Hash::from_bytes([5; 32]),
        ..*world.genesis.trusted().identity()
    };
    Subject { identity, index: 1, number: 102 }
}

fn accuse(subject: &Subject, first: Claim, second: Claim) -> Accusation {
    let Subject { identity, index, number } = subject;
    let vote = |claim: Claim| claim.sign(&identity.context(), *index, &key(*number));
    let evidence = Evidence { first: vote(first), second: vote(second) };
    Accusation { identity: *identity, validator: key(*number).public_key(), evidence }
}

fn notarize(view: u64, byte: u8) -> Claim {
    Claim::Notarize { view: View::new(view), block: Hash::from_bytes([byte; 32]) }
}

fn finalize(view: u64, byte: u8) -> Claim {
    let block = Hash::from_bytes([byte; 32]);
    Claim::Finalize { view: View::new(view), block, outcome: Hash::ZERO }
}

fn double_notarize(subject: &Subject) -> Accusation {
    accuse(subject, notarize(1, 1), notarize(1, 2))
}

fn recorded(world: &World) -> Vec<(StateKey, RecordedEvidence)> {
    let (values, proof) = world.ledger.head().state().group(&StateGroup::Evidence);
    assert_eq!(proof.verify(&world.ledger.head().state().root(), &StateGroup::Evidence, &values), Ok(()));
    let read = |(key, bytes): (StateKey, Vec<u8>)| (key, decode(&bytes, usize::MAX).unwrap());
    values.into_iter().map(read).collect()
}

#[test]
fn evidence_is_kept_with_the_height_of_its_block() {
    let mut world = world();
    world.block(vec![]);
    let accusation = double_notarize(&second(&world, 0));
    world.accuse(vec![accusation.clone()]);
    let key = StateKey::Evidence(EpochNumber::ZERO, accusation.validator, EvidenceKind::DoubleNotarize);
    assert_eq!(recorded(&world), [(key, RecordedEvidence { accusation, height: Height::new(2) })]);
}

#[test]
fn a_block_of_accusations_alone_has_no_receipts() {
    let mut world = world();
    let accusation = double_notarize(&second(&world, 0));
    let before = world.ledger.head().outcome().state_root;
    let executed = world.accuse(vec![accusation]);
    assert!(executed.receipts().is_empty());
    assert_eq!(executed.outcome().receipts_root, list_root(&[]));
    assert_ne!(executed.outcome().state_root, before);
}

#[test]
fn evidence_of_one_kind_is_counted_once_for_each_validator_and_epoch() {
    let mut world = world();
    let subject = second(&world, 0);
    let first = double_notarize(&subject);
    let again = accuse(&subject, notarize(7, 3), notarize(7, 4));
    world.accuse(vec![first.clone(), again.clone()]);
    let root = world.ledger.head().outcome().state_root;
    world.accuse(vec![again, first.clone()]);
    assert_eq!(world.ledger.head().outcome().state_root, root);
    assert_eq!(recorded(&world).len(), 1);
    assert_eq!(recorded(&world)[0].1.accusation, first);
}

#[test]
fn every_kind_validator_and_epoch_has_its_own_evidence() {
    let mut world = world();
    world.enter(1);
    let subject = second(&world, 0);
    let third = Subject { index: 2, number: 103, ..subject.clone() };
    let later = second(&world, 1);
    let nullify = Claim::Nullify { view: View::new(1) };
    world.accuse(vec![
        double_notarize(&subject),
        accuse(&subject, finalize(1, 1), finalize(1, 2)),
        accuse(&subject, nullify, finalize(1, 1)),
        double_notarize(&third),
    ]);
    world.accuse(vec![double_notarize(&later)]);
    assert_eq!(recorded(&world).len(), 5);
}

#[test]
fn an_accusation_that_is_not_about_a_validator_of_this_chain_is_ignored() {
    let mut world = World::with(genesis_of_epochs(100), Arc::new(Memory::new()));
    let good = second(&world, 0);
    let changed = |change: fn(&mut EpochIdentity)| {
        let mut subject = good.clone();
        change(&mut subject.identity);
        subject
    };
    let ignored = [
        changed(|identity| identity.chain = Hash::ZERO),
        changed(|identity| identity.parameters = Hash::ZERO),
        changed(|identity| identity.validators = Hash::ZERO),
        changed(|identity| identity.epoch = EpochNumber::new(1)),
        Subject { index: 2, ..good.clone() },
        Subject { index: 4, ..good.clone() },
        Subject { number: 111, ..good.clone() },
    ];
    for (position, subject) in ignored.iter().enumerate() {
        let root = world.ledger.head().outcome().state_root;
        world.accuse(vec![double_notarize(subject)]);
        assert_eq!(world.ledger.head().outcome().state_root, root, "{position}");
    }
    world.accuse(vec![double_notarize(&good)]);
    assert_eq!(recorded(&world).len(), 1);
}

#[test]
fn an_old_epoch_is_judged_by_its_own_validators() {
    let mut world = world();
    world.succeed(ADMIN, Operation::ValidatorRemove { name: validator(102).name });
    world.enter(3);
    let left = second(&world, 1);
    let mut never = second(&world, 2);
    world.accuse(vec![double_notarize(&never), double_notarize(&left)]);
    assert_eq!(recorded(&world).len(), 1);
    // In epoch 2 the set is another one, in which the third validator has moved up.
    never.identity.validators = world.validators(2).hash();
    world.accuse(vec![double_notarize(&never)]);
    assert_eq!(recorded(&world).len(), 1);
    let moved = Subject { number: 103, ..never };
    world.accuse(vec![double_notarize(&moved)]);
    assert_eq!(recorded(&world).len(), 2);
}

#[test]
fn a_forged_accusation_reaches_no_ledger() {
    let world = world();
    let mut forged = double_notarize(&second(&world, 0));
    forged.evidence.second.signature = forged.evidence.first.signature;
    let bundle = Bundle::from_shared(0, 0, Vec::new(), vec![forged]).unwrap();
    assert_eq!(
        verify_bundle(bundle, &mut KnownKeys::default(), &mut ChaCha20Rng::from_seed([1; 32])),
        Err(0)
    );
}

#[test]
fn evidence_survives_a_restart() {
    let memory = Arc::new(Memory::new());
    let mut world = World::with(genesis_of_epochs(EPOCH), memory.clone());
    let accusation = double_notarize(&second(&world, 0));
    world.accuse(vec![accusation]);
    let before = recorded(&world);
    assert_eq!(recorded(&world.reopen(|| memory)), before);
}

#[test]
fn transactions_beside_an_accusation_are_executed_as_without_it() {
    let mut world = world();
    let accusation = double_notarize(&second(&world, 0));
    let signed = world.draft(ALICE).actions(vec![own(transfer("GOLD", id(BOB), 10))]).sign();
    let head = world.ledger.head().clone();
    let receipts = |accusations: Vec<Accusation>| {
        let bundles = accusing(vec![(vec![signed.clone()], accusations)]);
        let header = child(&head, head.time().next(), &bundles);
        world.ledger.execute(&head, &header, &bundles).receipts().to_vec()
    };
    assert_eq!(receipts(vec![accusation]), receipts(Vec::new()));
}
