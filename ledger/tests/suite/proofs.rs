//! Proofs of the state: what they show, and that nothing else passes for them.
use quorate_ledger::State;
use quorate_primitives::codec::Text;
use quorate_primitives::codec::encode;
use quorate_primitives::merkle::{GroupProof, Leaf, StateProof, Step, tree_root};
use quorate_primitives::state::{Balance, StateGroup, StateKey, value_hash};
use quorate_primitives::transaction::Operation;
use quorate_primitives::{Hash, codec::List};

use crate::world::*;

/// A world with some accounts, of which several hold several assets.
fn busy_world() -> World {
    let mut world = World::new();
    for number in 40..60 {
        let operation = Operation::AccountCreate {
            organisation: organisation("beta"),
            authority: authority(1, &[number], 0),
            salt: [0; 16],
            label: Text::default(),
        };
        world.succeed(ADMIN, operation);
        world.succeed(ALICE, transfer("GOLD", id(number), u128::from(number)));
        if number % 2 == 0 {
            world.succeed(ALICE, transfer("FIXED", id(number), 1));
        }
    }
    world
}

fn keys(state: &State) -> Vec<StateKey> {
    state.entries().map(|(key, _)| key).collect()
}

#[test]
fn every_entry_is_proven_with_its_own_value_only() {
    let world = busy_world();
    let state = world.ledger.head().state();
    let root = state.root();
    for key in keys(state) {
        let (value, proof) = (state.bytes(&key).unwrap(), state.prove(&key));
        assert_eq!(proof.verify(&root, &key, Some(value)), Ok(()));
        let mut other = value.to_vec();
        other.push(0);
        assert!(proof.verify(&root, &key, Some(&other)).is_err());
        assert!(proof.verify(&root, &key, None).is_err());
        assert!(proof.verify(&Hash::ZERO, &key, Some(value)).is_err());
    }
}

#[test]
fn absence_is_proven_for_what_is_absent_only() {
    let world = busy_world();
    let state = world.ledger.head().state();
    let root = state.root();
    let present = keys(state);
    for number in 100..200 {
        let key = StateKey::Balance(id(number), asset("GOLD"));
        let proof = state.prove(&key);
        assert_eq!(proof.verify(&root, &key, None), Ok(()));
        assert!(proof.verify(&root, &key, Some(&encode(&Balance::default()))).is_err());
        // The same proof must not hide what is there.
        for other in present.iter().take(20) {
            assert!(proof.verify(&root, other, None).is_err(), "{other:?}");
        }
    }
}

/// Every proof that differs from a good one in a single place.
fn mutations(steps: &[Step]) -> Vec<Vec<Step>> {
    let mut all = Vec::new();
    for position in 0..steps.len() {
        let mut removed = steps.to_vec();
        removed.remove(position);
        all.push(removed);
        let mut repeated = steps.to_vec();
        repeated.insert(position, steps[position]);
        all.push(repeated);
        for depth in [steps[position].depth + 1, steps[position].depth.wrapping_sub(1)] {
            let mut moved = steps.to_vec();
            moved[position].depth = depth;
            all.push(moved);
        }
        let mut flipped = steps.to_vec();
        let mut sibling = *flipped[position].sibling.as_bytes();
        sibling[position % 32] ^= 1;
        flipped[position].sibling = Hash::from_bytes(sibling);
        all.push(flipped);
    }
    let mut longer = steps.to_vec();
    longer.push(Step { depth: 511, sibling: Hash::ZERO });
    all.push(longer);
    all
}

#[test]
fn a_proof_with_anything_changed_is_rejected() {
    let world = busy_world();
    let state = world.ledger.head().state();
    let root = state.root();
    for key in keys(state) {
        let StateProof::Present { steps } = state.prove(&key) else { panic!("absent") };
        for wrong in mutations(&steps) {
            let proof = StateProof::Present { steps: List::new(wrong).unwrap() };
            assert!(proof.verify(&root, &key, state.bytes(&key)).is_err());
        }
    }
    for number in 100..130 {
        let key = StateKey::Account(id(number));
        let StateProof::Absent { steps, neighbour } = state.prove(&key) else { panic!("present") };
        for wrong in mutations(&steps) {
            let proof = StateProof::Absent { steps: List::new(wrong).unwrap(), neighbour };
            assert!(proof.verify(&root, &key, None).is_err());
        }
        let other = Leaf { value: Hash::ZERO, ..neighbour };
        assert!(StateProof::Absent { steps, neighbour: other }.verify(&root, &key, None).is_err());
    }
    assert!(StateProof::EmptyTree.verify(&root, &StateKey::Account(id(100)), None).is_err());
}

#[test]
fn a_group_is_proven_complete_and_with_a_value_missing_it_is_not() {
    let world = busy_world();
    let state = world.ledger.head().state();
    let root = state.root();
    for number in [ALICE, 40, 41] {
        let group = StateGroup::Balances(id(number));
        let (values, proof) = state.group(&group);
        let all = |key: &&StateKey| key.group() == group;
        assert_eq!(values.len(), keys(state).iter().filter(all).count());
        assert_eq!(proof.verify(&root, &group, &values), Ok(()));
        for position in 0..values.len() {
            let mut fewer = values.clone();
            fewer.remove(position);
            assert!(proof.verify(&root, &group, &fewer).is_err());
            let mut changed = values.clone();
            changed[position].1.push(0);
            assert!(proof.verify(&root, &group, &changed).is_err());
        }
        let mut reversed = values.clone();
        reversed.reverse();
        assert!(values.len() < 2 || proof.verify(&root, &group, &reversed).is_err());
        let GroupProof::Present { steps } = proof else { panic!("absent") };
        for wrong in mutations(&steps) {
            let proof = GroupProof::Present { steps: List::new(wrong).unwrap() };
            assert!(proof.verify(&root, &group, &values).is_err());
        }
    }
}

#[test]
fn a_group_of_one_key_and_a_group_of_many_are_proven_alike() {
    let world = busy_world();
    let state = world.ledger.head().state();
    for group in [
        StateGroup::Single(StateKey::Parameters),
        StateGroup::Grants(id(ADMIN)),
        StateGroup::Nonces(id(ALICE)),
    ] {
        let (values, proof) = state.group(&group);
        assert!(!values.is_empty());
        assert_eq!(proof.verify(&state.root(), &group, &values), Ok(()));
    }
}

#[test]
fn an_empty_group_is_proven_empty_and_a_full_one_is_not() {
    let world = busy_world();
    let state = world.ledger.head().state();
    let root = state.root();
    for number in 100..200 {
        let group = StateGroup::Balances(id(number));
        let (values, proof) = state.group(&group);
        assert!(values.is_empty());
        assert_eq!(proof.verify(&root, &group, &[]), Ok(()));
        for other in
            [StateGroup::Balances(id(ALICE)), StateGroup::Balances(id(40)), StateGroup::Grants(id(ADMIN))]
        {
            assert!(proof.verify(&root, &other, &[]).is_err());
        }
    }
    let (_, present) = state.group(&StateGroup::Balances(id(ALICE)));
    assert!(present.verify(&root, &StateGroup::Balances(id(ALICE)), &[]).is_err());
}

#[test]
fn the_root_is_that_of_the_leaves_alone_whatever_the_way_to_it() {
    let mut there = World::new();
    there.succeed(ALICE, transfer("GOLD", id(BOB), 10));
    there.succeed(BOB, transfer("GOLD", id(ALICE), 10));
    // When the markers are gone, nothing is left of either transaction.
    there.sweep();
    let genesis = World::new();
    assert_eq!(there.ledger.head().state().root(), genesis.ledger.head().state().root());
    let state = there.ledger.head().state();
    let leaf = |(key, value): (StateKey, &[u8])| Leaf { path: key.path(), value: value_hash(value) };
    let leaves: Vec<Leaf> = state.entries().map(leaf).collect();
    assert!(leaves.is_sorted_by(|a, b| a.path < b.path));
    assert_eq!(state.root(), tree_root(&leaves));
}
