//! Who votes in which epoch, and who decides about it.
use quorate_ledger::store::Memory;
use quorate_ledger::{Executed, simulate};
use quorate_primitives::certificate::{Certificate, Claim};
use quorate_primitives::codec::{List, Text, encode};
use quorate_primitives::light::{FinalityProof, Handover, LightError, TrustedEpoch};
use quorate_primitives::receipt::{Event, Failure, Receipt, Verdict};
use quorate_primitives::state::{Delegation, Permission, Scope, StateKey};
use quorate_primitives::transaction::Operation;
use quorate_primitives::validators::{Signers, Validator, ValidatorSet};
use quorate_primitives::{EpochNumber, Hash, PublicKey};
use std::sync::Arc;

use crate::world::*;

const EPOCH: u64 = 8;

fn world() -> World {
    World::with(genesis_of_epochs(EPOCH), Arc::new(Memory::new()))
}

fn chain(world: &World) -> Hash {
    world.genesis.hash()
}

/// Adds a validator that proves its own key.
fn add(world: &World, validator: Validator, number: u8) -> Operation {
    let possession = validator.prove_possession(&chain(world), &key(number));
    Operation::ValidatorAdd { validator, possession }
}

fn join(world: &World, number: u8) -> Operation {
    add(world, validator(number), number)
}

fn leave(number: u8) -> Operation {
    Operation::ValidatorRemove { name: validator(number).name }
}

/// Gives the validator named after `from` the key `to`.
fn rotate(world: &World, from: u8, to: u8) -> Operation {
    let Validator { name, organisation, .. } = member(world, from);
    let renewed = Validator { name: name.clone(), organisation, key: key(to).public_key() };
    let possession = renewed.prove_possession(&chain(world), &key(to));
    Operation::ValidatorRotateKey { name, key: renewed.key, possession }
}

/// The latest validator of this name, wherever it is to vote.
fn member(world: &World, number: u8) -> Validator {
    let latest = world.validators(u64::MAX);
    let known = latest.members().iter().find(|member| member.name == validator(number).name).cloned();
    known.unwrap_or(validator(number))
}

fn give(grantee: u8, scope: Scope) -> Operation {
    Operation::Grant {
        grantee: id(grantee),
        permission: Permission::ValidatorManage,
        scope,
        limit: None,
        expires: None,
        delegation: Delegation::Forbidden,
    }
}

fn of(name: &str) -> Scope {
    Scope::Organisation(organisation(name))
}

fn keys(set: &ValidatorSet) -> Vec<PublicKey> {
    set.members().iter().map(|member| member.key).collect()
}

fn public(numbers: &[u8]) -> Vec<PublicKey> {
    numbers.iter().map(|number| key(*number).public_key()).collect()
}

#[test]
fn a_change_takes_effect_in_the_epoch_after_the_next_one() {
    let mut world = world();
    let operation = join(&world, 111);
    let receipt = world.succeed(ADMIN, operation);
    let Validator { name, organisation, key } = validator(111);
    let from = EpochNumber::new(2);
    assert_eq!(*receipt.events, [Event::ValidatorAdded { name, organisation, key, from }]);
    let founders = validators(101..105);
    assert_eq!((world.validators(0), world.validators(1)), (founders.clone(), founders));
    for epoch in [2, 3, 1_000] {
        assert_eq!(world.validators(epoch), validators([101, 102, 103, 104, 111]));
    }
}

#[test]
fn a_change_in_a_later_epoch_counts_from_there() {
    let mut world = world();
    world.enter(4);
    let receipt = world.succeed(ADMIN, leave(101));
    let [Event::ValidatorRemoved { name, key, from }] = &*receipt.events else { panic!("{receipt:?}") };
    assert_eq!((name, *key, from.get()), (&validator(101).name, validator(101).key, 6));
    assert_eq!(world.validators(5), validators(101..105));
    assert_eq!(world.validators(6), validators(102..105));
}

#[test]
fn changes_of_one_epoch_add_up() {
    let mut world = world();
    let operations = [join(&world, 111), leave(102), rotate(&world, 103, 113), join(&world, 112)];
    for operation in operations {
        world.succeed(ADMIN, operation);
    }
    assert_eq!(keys(&world.validators(2)), public(&[101, 113, 104, 111, 112]));
    assert_eq!(world.validators(1), validators(101..105));
}

#[test]
fn changes_of_successive_epochs_build_on_each_other() {
    let mut world = world();
    for epoch in 0..4_u8 {
        world.enter(epoch.into());
        let operation = join(&world, 111 + epoch);
        world.succeed(ADMIN, operation);
    }
    let expected = |epoch: u8| validators((101..105).chain(111..111 + epoch.saturating_sub(1)));
    for epoch in 0..=5 {
        assert_eq!(world.validators(epoch.into()), expected(epoch), "epoch {epoch}");
    }
}

#[test]
fn a_set_is_kept_only_where_it_changes_and_never_removed() {
    let mut world = world();
    world.succeed(ADMIN, leave(101));
    world.enter(5);
    world.succeed(ADMIN, leave(102));
    world.enter(9);
    let state = world.ledger.head().state();
    let sets: Vec<u64> = (0..12)
        .filter(|epoch| state.bytes(&StateKey::Validators(EpochNumber::new(*epoch))).is_some())
        .collect();
    assert_eq!(sets, [0, 2, 7]);
}

#[test]
fn every_block_names_the_validators_of_the_next_epoch() {
    let mut world = world();
    world.succeed(ADMIN, leave(101));
    world.enter(1);
    world.succeed(ADMIN, leave(102));
    while world.height().get() < 4 * EPOCH {
        world.block(vec![]);
        let epoch = world.ledger.head().header().unwrap().epoch.get();
        let expected = world.validators(epoch + 1).hash();
        assert_eq!(world.ledger.head().outcome().next_validators, expected, "epoch {epoch}");
    }
    let names: Vec<Hash> = (0..4).map(|epoch| world.validators(epoch + 1).hash()).collect();
    assert_eq!(names[1], validators(102..105).hash());
    assert_eq!(names[2..], [validators(103..105).hash(), validators(103..105).hash()]);
}

#[test]
fn only_who_manages_the_validators_of_the_chain_adds_and_removes_them() {
    let mut world = world();
    world.succeed(ADMIN, give(ALICE, of("alpha")));
    for operation in [join(&world, 111), leave(101)] {
        world.fail(BOB, operation.clone(), Failure::PermissionMissing);
        world.fail(ALICE, operation, Failure::PermissionMissing);
    }
    world.succeed(ADMIN, give(ALICE, Scope::Chain));
    for operation in [join(&world, 111), leave(101)] {
        world.succeed(ALICE, operation);
    }
}

#[test]
fn an_organisation_renews_the_keys_of_its_own_validators() {
    let mut world = world();
    let foreign = Validator { organisation: organisation("beta"), ..validator(111) };
    let operation = add(&world, foreign, 111);
    world.succeed(ADMIN, operation);
    let (own, other) = (rotate(&world, 101, 121), rotate(&world, 111, 122));
    world.fail(ALICE, own.clone(), Failure::PermissionMissing);
    world.succeed(ADMIN, give(ALICE, of("alpha")));
    world.fail(ALICE, other.clone(), Failure::PermissionMissing);
    world.succeed(ALICE, own);
    world.succeed(ADMIN, other);
    assert_eq!(keys(&world.validators(2)), public(&[121, 102, 103, 104, 122]));
}

#[test]
fn a_renewed_key_keeps_name_organisation_and_place() {
    let mut world = world();
    let operation = rotate(&world, 103, 113);
    let receipt = world.succeed(ADMIN, operation);
    let renewed = Validator { key: key(113).public_key(), ..validator(103) };
    let (name, from) = (renewed.name.clone(), EpochNumber::new(2));
    assert_eq!(*receipt.events, [Event::ValidatorKeyRotated { name, key: renewed.key, from }]);
    assert_eq!(world.validators(2).members()[2], renewed);
    assert_eq!(world.validators(1).members()[2], validator(103));
}

#[test]
fn names_and_keys_are_unique_in_the_set_to_come() {
    let mut world = world();
    let same_name = add(&world, Validator { key: key(111).public_key(), ..validator(101) }, 111);
    let same_key = add(&world, Validator { name: validator(111).name, ..validator(101) }, 101);
    for taken in [same_name, same_key, rotate(&world, 101, 102), rotate(&world, 101, 101)] {
        world.fail(ADMIN, taken, Failure::ValidatorExists);
    }
}

#[test]
fn who_leaves_makes_room_for_its_name_and_key_at_once() {
    let mut world = world();
    world.succeed(ADMIN, leave(101));
    let operation = join(&world, 101);
    world.succeed(ADMIN, operation);
    assert_eq!(world.validators(2), validators([102, 103, 104, 101]));
}

#[test]
fn a_validator_that_joins_can_change_again_before_it_votes() {
    let mut world = world();
    for operation in [join(&world, 111), leave(111), join(&world, 111)] {
        world.succeed(ADMIN, operation);
    }
    let operation = rotate(&world, 111, 112);
    world.succeed(ADMIN, operation);
    assert_eq!(keys(&world.validators(2)), public(&[101, 102, 103, 104, 112]));
}

#[test]
fn a_validator_that_nobody_knows_is_neither_removed_nor_renewed() {
    let mut world = world();
    world.fail(ADMIN, leave(111), Failure::ValidatorUnknown);
    let operation = rotate(&world, 111, 112);
    world.fail(ADMIN, operation, Failure::ValidatorUnknown);
    // It votes for another epoch, but is not in the set that can still be changed.
    world.succeed(ADMIN, leave(101));
    world.fail(ADMIN, leave(101), Failure::ValidatorUnknown);
}

#[test]
fn a_validator_is_run_by_an_organisation_of_the_chain() {
    let mut world = world();
    let stranger = Validator { organisation: organisation("gamma"), ..validator(111) };
    let operation = add(&world, stranger, 111);
    world.fail(ADMIN, operation, Failure::OrganisationUnknown);
}

#[test]
fn a_validator_has_a_name_and_a_sound_key() {
    let mut world = world();
    let nameless = Validator { name: Text::default(), ..validator(111) };
    let operation = add(&world, nameless, 111);
    world.fail(ADMIN, operation, Failure::ValidatorInvalid);
    let weak = PublicKey::from_bytes([0; 32]);
    let possession = validator(111).prove_possession(&chain(&world), &key(111));
    let weak_member = Validator { key: weak, ..validator(111) };
    let operation = Operation::ValidatorAdd { validator: weak_member, possession };
    world.fail(ADMIN, operation, Failure::ValidatorInvalid);
    let name = validator(101).name;
    let operation = Operation::ValidatorRotateKey { name, key: weak, possession };
    world.fail(ADMIN, operation, Failure::ValidatorInvalid);
}

#[test]
fn nobody_enters_a_key_that_it_does_not_hold() {
    let mut world = world();
    let other_key = add(&world, validator(111), 112);
    let other_chain = Operation::ValidatorAdd {
        validator: validator(111),
        possession: validator(111).prove_possession(&Hash::ZERO, &key(111)),
    };
    let other_name = Operation::ValidatorAdd {
        validator: validator(111),
        possession: Validator { name: validator(112).name, ..validator(111) }
            .prove_possession(&chain(&world), &key(111)),
    };
    let Operation::ValidatorRotateKey { name, possession, .. } = rotate(&world, 101, 111) else {
        panic!("another operation")
    };
    let other_renewed = Operation::ValidatorRotateKey { name, key: key(112).public_key(), possession };
    for operation in [other_key, other_chain, other_name, other_renewed] {
        world.fail(ADMIN, operation, Failure::PossessionInvalid);
    }
    assert_eq!(world.validators(2), validators(101..105));
}

#[test]
fn a_possession_is_looked_at_only_for_who_may_make_the_change() {
    let mut world = world();
    let forged = add(&world, validator(111), 112);
    world.fail(BOB, forged, Failure::PermissionMissing);
    let Operation::ValidatorRotateKey { name, possession, .. } = rotate(&world, 101, 111) else {
        panic!("another operation")
    };
    let forged = Operation::ValidatorRotateKey { name, key: key(112).public_key(), possession };
    world.fail(BOB, forged, Failure::PermissionMissing);
}

#[test]
fn a_set_has_at_most_128_members() {
    let genesis = genesis_of_epochs(EPOCH);
    let genesis = quorate_genesis::Genesis { validators: validators(101..=227), ..genesis };
    let mut world = World::with(genesis, Arc::new(Memory::new()));
    let operation = join(&world, 228);
    world.succeed(ADMIN, operation);
    let operation = join(&world, 229);
    world.fail(ADMIN, operation, Failure::ValidatorSetFull);
    let operation = rotate(&world, 228, 229);
    world.succeed(ADMIN, operation);
    assert_eq!(world.validators(2).len(), 128);
}

#[test]
fn the_last_validator_stays() {
    let mut world = world();
    for number in 101..104 {
        world.succeed(ADMIN, leave(number));
    }
    world.fail(ADMIN, leave(104), Failure::ValidatorSetEmpty);
    let operation = rotate(&world, 104, 111);
    world.succeed(ADMIN, operation);
    assert_eq!(keys(&world.validators(2)), public(&[111]));
}

#[test]
fn a_transaction_that_fails_changes_no_validators() {
    let mut world = world();
    let actions = [join(&world, 111), leave(101), leave(111), leave(111)].map(own);
    let draft = world.draft(ADMIN).actions(actions.to_vec());
    let receipt = world.run(draft);
    assert_eq!(receipt.verdict, failed_at(Failure::ValidatorUnknown, 3));
    assert_eq!(world.validators(2), validators(101..105));
    let state = world.ledger.head().state();
    assert!(state.bytes(&StateKey::Validators(EpochNumber::new(2))).is_none());
}

#[test]
fn an_account_of_sixteen_keys_decides_by_its_threshold() {
    let members: Vec<u8> = (131..147).collect();
    let governance = authority(11, &members, 0);
    let account = quorate_primitives::address::AccountId::derive(&governance, &[0; 16]);
    let mut genesis = genesis_of_epochs(EPOCH);
    let alice = genesis.accounts.iter().find(|(owner, _)| *owner == id(ALICE)).unwrap().1.clone();
    genesis.accounts.push((account, quorate_primitives::state::Account { authority: governance, ..alice }));
    let grant = genesis.grants[0].3;
    genesis.grants.push((account, Permission::ValidatorManage, Scope::Chain, grant));
    let mut world = World::with(genesis, Arc::new(Memory::new()));
    let mut verdict = |signers: &[u8], number: u8| {
        let mut draft = world.draft(ADMIN).actions(vec![own(leave(number))]);
        draft.envelope.sender = account;
        draft.keys = signers.to_vec();
        world.run(draft).verdict
    };
    assert_eq!(verdict(&members[..10], 101), failed(Failure::Unauthorised));
    assert_eq!(verdict(&members[..11], 101), Verdict::Committed);
    assert_eq!(verdict(&members, 102), Verdict::Committed);
}

#[test]
fn a_question_beforehand_is_about_the_epoch_of_the_next_block() {
    let mut world = world();
    world.enter(1);
    let signed = world.draft(ADMIN).actions(vec![own(leave(101))]).sign();
    let head = world.ledger.head();
    let receipt: Receipt = simulate(head.state(), &signed, head.time().next()).unwrap();
    let [Event::ValidatorRemoved { from, .. }] = &*receipt.events else { panic!("{receipt:?}") };
    assert_eq!(from.get(), 3);
}

#[test]
fn two_forks_have_their_own_validators_to_come() {
    let mut world = world();
    let head = world.ledger.head().clone();
    let mut execute = |number: u8| {
        let bundles = bundles(vec![vec![world.draft(ADMIN).actions(vec![own(leave(number))]).sign()]]);
        let header = child(&head, head.time().next(), &bundles);
        world.ledger.execute(&head, &header, &bundles)
    };
    let (left, right) = (execute(101), execute(102));
    let set = |executed: &Executed| executed.state().validators(EpochNumber::new(2)).unwrap();
    assert_eq!((set(&left), set(&right)), (validators(102..105), validators([101, 103, 104])));
    assert_eq!(set(&head), validators(101..105));
}

#[test]
fn the_validators_of_all_epochs_survive_a_restart() {
    let memory = Arc::new(Memory::new());
    let mut world = World::with(genesis_of_epochs(EPOCH), memory.clone());
    world.succeed(ADMIN, leave(101));
    world.enter(3);
    world.succeed(ADMIN, leave(102));
    let before: Vec<ValidatorSet> = (0..8).map(|epoch| world.validators(epoch)).collect();
    let mut world = world.reopen(|| memory);
    let after: Vec<ValidatorSet> = (0..8).map(|epoch| world.validators(epoch)).collect();
    assert_eq!(after, before);
    world.succeed(ADMIN, leave(103));
    assert_eq!(world.validators(5), validators([104]));
}

/// A finality proof of a committed block by all validators of its epoch.
fn finalize(executed: &Executed, trusted: &TrustedEpoch) -> FinalityProof {
    let (header, outcome) = (executed.header().unwrap().clone(), *executed.outcome());
    let claim = Claim::Finalize { view: header.view, block: header.id(), outcome: outcome.digest() };
    let number = |public: &PublicKey| (101..=120).find(|number| key(*number).public_key() == *public);
    let signatures = (0..).zip(keys(trusted.validators())).map(|(index, public)| {
        claim.sign(&trusted.context(), index, &key(number(&public).unwrap())).signature
    });
    let signatures = List::new(signatures.collect()).unwrap();
    let certificate = Certificate { claim, signers: Signers::all(trusted.validators().len()), signatures };
    FinalityProof { header, outcome, certificate }
}

#[test]
fn a_client_follows_the_ledger_through_every_change_of_validators() {
    let mut world = world();
    let mut trusted = world.genesis.trusted();
    for epoch in 0..6_u8 {
        world.enter(epoch.into());
        let operation = join(&world, 111 + epoch);
        world.succeed(ADMIN, operation);
        if epoch == 2 {
            world.succeed(ADMIN, leave(101));
        }
        assert_eq!(trusted.validators(), &world.validators(epoch.into()));
        let inside = finalize(world.ledger.head(), &trusted);
        assert!(inside.verify(&trusted).is_ok());
        world.enter(u64::from(epoch) + 1);
        let boundary = finalize(world.ledger.head(), &trusted);
        assert_eq!(boundary.header.height, trusted.last());
        let validators = world.validators(u64::from(epoch) + 1);
        let handover = Handover::decode(&encode(&Handover { boundary, validators })).unwrap();
        let old = trusted;
        trusted = handover.verify(&old).unwrap();
        world.block(vec![]);
        let next = finalize(world.ledger.head(), &trusted);
        assert!(matches!(next.clone().verify(&old), Err(LightError::OtherEpoch { .. })));
        assert!(next.verify(&trusted).is_ok());
    }
}
