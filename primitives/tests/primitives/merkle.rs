//! Proofs: whatever is true has one, whatever is false has none.
use proptest::prelude::*;
use quorate_primitives::codec::{List, decode, encode};
use quorate_primitives::hash::{Domain, Hash, hash};
use quorate_primitives::light::PROOF_BYTES_MAX;
use quorate_primitives::merkle::{
    GroupProof, Leaf, ListProof, ProofError, StateProof, Step, inner_hash, list_inner, list_root,
    list_root_of, tree_root,
};
use quorate_primitives::numbers::EpochNumber;
use quorate_primitives::state::{AssetId, Path, Permission, Scope, StateGroup, StateKey};
use std::collections::BTreeSet;

use crate::fixtures::account;
use crate::random::Random;
use crate::samples::leaf;
use crate::trees::{prove, prove_group, prove_path};

fn value(key: &StateKey) -> Vec<u8> {
    [&encode(key)[..], b" value"].concat()
}

fn sorted(keys: &[StateKey]) -> Vec<Leaf> {
    let mut leaves: Vec<Leaf> = keys.iter().map(|key| leaf(key, &value(key))).collect();
    leaves.sort_by_key(|leaf| leaf.path);
    leaves
}

/// The root worked out bit by bit, by recursion over all 512 positions and not from neighbours.
fn naive_root(leaves: &[Leaf], depth: u16) -> Hash {
    match leaves {
        [] => Hash::ZERO,
        [leaf] => leaf.hash(),
        _ => {
            let (zero, one): (Vec<Leaf>, Vec<Leaf>) = leaves.iter().partition(|leaf| !leaf.path.bit(depth));
            if zero.is_empty() || one.is_empty() {
                return naive_root(leaves, depth + 1);
            }
            inner_hash(depth, &naive_root(&zero, depth + 1), &naive_root(&one, depth + 1))
        }
    }
}

/// One key for each beginning of four bits, so that a subset of them is a set of 4-bit numbers.
fn toy_keys(count: usize) -> Vec<StateKey> {
    let starting = |bits: usize| {
        // Only keys of markers have paths that begin with a one.
        let key = |number: u64| match bits {
            0..8 => StateKey::Validators(EpochNumber::new(number)),
            _ => StateKey::Unauthorised(hash(Domain::Transaction, &[&number.to_le_bytes()])),
        };
        let keys = (0..10_000).map(key);
        keys.into_iter().find(|key| usize::from(key.path().as_bytes()[0] >> 4) == bits).unwrap()
    };
    (0..count).map(starting).collect()
}

#[test]
fn the_first_bit_of_a_path_tells_markers_from_the_rest() {
    for number in 0..64 {
        let markers = [
            StateKey::Nonce(account(number), [number; 16]),
            StateKey::Unauthorised(hash(Domain::Transaction, &[&[number]])),
        ];
        let others = [
            StateKey::Account(account(number)),
            balance(number, 1),
            StateKey::Asset(AssetId::from_bytes([number; 32])),
            StateKey::Grant(account(number), Permission::AssetMint, Scope::Chain),
            StateKey::Validators(EpochNumber::new(number.into())),
        ];
        assert!(markers.iter().all(|key| key.path().bit(0) && Path::first_of(&key.group()).bit(0)));
        assert!(others.iter().all(|key| !key.path().bit(0) && !Path::first_of(&key.group()).bit(0)));
        let keys = [markers.as_slice(), &others].concat();
        assert!(keys.iter().map(StateKey::path).eq(StateKey::paths(&keys)));
    }
}

fn subset(keys: &[StateKey], mask: u32) -> Vec<StateKey> {
    keys.iter().enumerate().filter(|(index, _)| mask >> index & 1 == 1).map(|(_, key)| key.clone()).collect()
}

#[test]
fn the_groups_of_one_account_are_neighbours_and_differ_in_their_last_bits_only() {
    let half = |key: &StateKey| Path::first_of(&key.group()).as_bytes()[..32].to_vec();
    for number in 0..64 {
        let own = half(&StateKey::Account(account(number)));
        let balances = half(&balance(number, 1));
        let grants = half(&StateKey::Grant(account(number), Permission::AssetMint, Scope::Chain));
        let nonces = half(&StateKey::Nonce(account(number), [number; 16]));
        let last = |half: &[u8]| half[31] & 3;
        assert_eq!([&own, &balances, &grants, &nonces].map(|half| last(half)), [0, 1, 2, 3]);
        let without_kind = |half: &[u8]| {
            let mut half = half.to_vec();
            half[0] &= 0x7f;
            half[31] &= 0xfc;
            half
        };
        for other in [&balances, &grants, &nonces] {
            assert_eq!(without_kind(&own), without_kind(other));
        }
        let unauthorised = half(&StateKey::Unauthorised(hash(Domain::Transaction, &[&[number]])));
        assert_eq!((unauthorised[0] >> 7, last(&unauthorised)), (1, 3));
    }
}

#[test]
fn every_small_tree_proves_exactly_what_is_in_it() {
    let keys = toy_keys(12);
    let mut roots = BTreeSet::new();
    for mask in 0..1_u32 << keys.len() {
        let leaves = sorted(&subset(&keys, mask));
        let root = tree_root(&leaves);
        assert_eq!(root, naive_root(&leaves, 0), "{mask:b}");
        assert!(roots.insert(root), "{mask:b} has the root of another set");
        let proofs: Vec<StateProof> = keys.iter().map(|key| prove(&leaves, key)).collect();
        for (index, key) in keys.iter().enumerate() {
            let bytes = value(key);
            let (truth, lie) = if mask >> index & 1 == 1 {
                (Some(bytes.as_slice()), None)
            } else {
                (None, Some(bytes.as_slice()))
            };
            assert_eq!(proofs[index].verify(&root, key, truth), Ok(()), "{mask:b} {index}");
            for proof in &proofs {
                assert!(proof.verify(&root, key, lie).is_err(), "{mask:b} {index}");
                assert!(proof.verify(&root, key, Some(b"other")).is_err(), "{mask:b} {index}");
            }
        }
    }
}

fn balance(owner: u8, asset: u8) -> StateKey {
    StateKey::Balance(account(owner), AssetId::from_bytes([asset; 32]))
}

#[test]
fn every_small_group_is_proven_complete_and_nothing_less_is() {
    let mut keys: Vec<StateKey> = (0..4).map(|asset| balance(1, asset)).collect();
    keys.extend([
        balance(2, 0),
        balance(2, 1),
        balance(3, 0),
        StateKey::Account(account(1)),
        StateKey::Parameters,
    ]);
    keys.push(StateKey::Grant(account(1), Permission::AssetMint, Scope::Chain));
    let groups = [1, 2, 3].map(|owner| StateGroup::Balances(account(owner)));
    for mask in 0..1_u32 << keys.len() {
        let present = subset(&keys, mask);
        let leaves = sorted(&present);
        let root = tree_root(&leaves);
        let proofs = groups.each_ref().map(|group| prove_group(&leaves, group));
        for (group, proof) in groups.iter().zip(&proofs) {
            let mut values: Vec<(StateKey, Vec<u8>)> = present
                .iter()
                .filter(|key| key.group() == *group)
                .map(|key| (key.clone(), value(key)))
                .collect();
            values.sort_by_key(|(key, _)| key.path());
            assert_eq!(proof.verify(&root, group, &values), Ok(()), "{mask:b} {group:?}");
            for lie in lies(&values, group) {
                for other in &proofs {
                    assert!(other.verify(&root, group, &lie).is_err(), "{mask:b} {group:?}");
                }
            }
        }
    }
}

#[test]
fn a_part_of_a_group_is_not_the_group() {
    // The steps go on below the group's top to its lowest leaf, as if that were all there is.
    let keys: Vec<StateKey> = (1..7).map(|asset| balance(1, asset)).chain([balance(2, 0)]).collect();
    let leaves = sorted(&keys);
    let group = StateGroup::Balances(account(1));
    let StateProof::Absent { steps, neighbour } = prove_path(&leaves, &Path::first_of(&group)) else {
        panic!("no key has the lowest path")
    };
    let first = keys.iter().find(|key| key.path() == neighbour.path).unwrap();
    let part = vec![(first.clone(), value(first))];
    let verdict = GroupProof::Present { steps }.verify(&tree_root(&leaves), &group, &part);
    assert_eq!(verdict, Err(ProofError::Steps));
}

#[test]
fn the_values_next_to_an_absent_group_are_not_its_values() {
    for owner in 2..20 {
        let keys = [balance(1, 0), StateKey::Parameters, StateKey::Account(account(1))];
        let leaves = sorted(&keys);
        let group = StateGroup::Balances(account(owner));
        let GroupProof::Absent { steps, neighbour } = prove_group(&leaves, &group) else { panic!("absent") };
        let other = keys.iter().find(|key| key.path() == neighbour.path).unwrap();
        let foreign = vec![(other.clone(), value(other))];
        let verdict = GroupProof::Present { steps }.verify(&tree_root(&leaves), &group, &foreign);
        assert_eq!(verdict, Err(ProofError::Group));
    }
}

/// The values without one, with one more, with one altered, in another order, or with one twice.
fn lies(values: &[(StateKey, Vec<u8>)], group: &StateGroup) -> Vec<Vec<(StateKey, Vec<u8>)>> {
    let mut lies = Vec::new();
    for index in 0..values.len() {
        let mut fewer = values.to_vec();
        let removed = fewer.remove(index);
        lies.push(fewer.clone());
        fewer.push((removed.0, b"other".to_vec()));
        fewer.sort_by_key(|(key, _)| key.path());
        lies.push(fewer);
        let mut twice = values.to_vec();
        twice.insert(index, values[index].clone());
        lies.push(twice);
    }
    if values.len() > 1 {
        lies.push(values.iter().rev().cloned().collect());
    }
    let StateGroup::Balances(owner) = group else { return lies };
    let mut more = values.to_vec();
    let strange = StateKey::Balance(*owner, AssetId::from_bytes([99; 32]));
    more.push((strange.clone(), value(&strange)));
    more.sort_by_key(|(key, _)| key.path());
    lies.push(more);
    let mut foreign = values.to_vec();
    foreign.push((balance(9, 9), value(&balance(9, 9))));
    foreign.sort_by_key(|(key, _)| key.path());
    lies.push(foreign);
    lies
}

/// A tree of many accounts with balances, as in a real ledger.
fn large() -> (Vec<StateKey>, Vec<Leaf>, Hash) {
    let mut keys = vec![StateKey::Parameters, StateKey::Validators(EpochNumber::ZERO)];
    for owner in 1..=60 {
        keys.push(StateKey::Account(account(owner)));
        keys.extend((0..owner % 5).map(|asset| balance(owner, asset)));
    }
    let leaves = sorted(&keys);
    let root = tree_root(&leaves);
    (keys, leaves, root)
}

#[test]
fn a_proof_with_any_bit_changed_is_refused() {
    let (keys, leaves, root) = large();
    let mut random = Random::new(30);
    for round in 0..1_000 {
        let key = if round % 2 == 0 { keys[random.below(keys.len())].clone() } else { balance(61, 0) };
        let proof = prove(&leaves, &key);
        let bytes = (round % 2 == 0).then(|| value(&key));
        // Making the proof is the slow part: many changes are tried on each.
        for _ in 0..100 {
            let mut changed = encode(&proof);
            let position = random.below(changed.len());
            changed[position] ^= 1 << random.below(8);
            if let Ok(changed) = decode::<StateProof>(&changed, PROOF_BYTES_MAX) {
                assert!(changed.verify(&root, &key, bytes.as_deref()).is_err(), "round {round}");
                assert!(changed.verify(&root, &key, Some(b"other")).is_err(), "round {round}");
                assert!(bytes.is_none() || changed.verify(&root, &key, None).is_err(), "round {round}");
            }
        }
    }
}

#[test]
fn a_group_proof_with_any_bit_changed_is_refused() {
    let (keys, leaves, root) = large();
    let mut random = Random::new(31);
    for owner in 1..=70 {
        let group = StateGroup::Balances(account(owner));
        let proof = prove_group(&leaves, &group);
        let mut values: Vec<(StateKey, Vec<u8>)> =
            keys.iter().filter(|key| key.group() == group).map(|key| (key.clone(), value(key))).collect();
        values.sort_by_key(|(key, _)| key.path());
        assert_eq!(proof.verify(&root, &group, &values), Ok(()));
        for _ in 0..500 {
            let mut changed = encode(&proof);
            let position = random.below(changed.len());
            changed[position] ^= 1 << random.below(8);
            if let Ok(changed) = decode::<GroupProof>(&changed, PROOF_BYTES_MAX) {
                assert!(changed.verify(&root, &group, &values).is_err(), "{owner}");
                assert!(values.is_empty() || changed.verify(&root, &group, &[]).is_err(), "{owner}");
            }
        }
    }
}

#[test]
fn steps_out_of_order_or_range_are_refused() {
    let (keys, leaves, root) = large();
    let (key, steps) = keys
        .iter()
        .find_map(|key| match prove(&leaves, key) {
            StateProof::Present { steps } if steps.len() > 3 => Some((key, steps.into_inner())),
            StateProof::Present { .. } | StateProof::Absent { .. } | StateProof::EmptyTree => None,
        })
        .unwrap();
    let bytes = value(key);
    let verdict = |steps: Vec<Step>| {
        StateProof::Present { steps: List::new(steps).unwrap() }.verify(&root, key, Some(&bytes))
    };
    assert_eq!(verdict(steps.clone()), Ok(()));
    let mut swapped = steps.clone();
    swapped.swap(0, 1);
    assert_eq!(verdict(swapped), Err(ProofError::Steps));
    let mut repeated = steps.clone();
    repeated.insert(1, steps[0]);
    assert_eq!(verdict(repeated), Err(ProofError::Steps));
    let mut beyond = steps.clone();
    beyond.push(Step { depth: 512, sibling: Hash::ZERO });
    assert_eq!(verdict(beyond), Err(ProofError::Steps));
    assert!(matches!(verdict(steps[1..].to_vec()), Err(ProofError::Root { .. })));
    assert!(matches!(verdict(steps[..2].to_vec()), Err(ProofError::Root { .. })));
}

#[test]
fn an_absent_group_has_one_proof() {
    // Account 1 has many balances; the proof that account 2 has none ends at one of them only.
    let keys: Vec<StateKey> = (0..8).map(|asset| balance(1, asset)).collect();
    let leaves = sorted(&keys);
    let root = tree_root(&leaves);
    let group = StateGroup::Balances(account(2));
    let accepted: Vec<usize> = (0..leaves.len())
        .filter(|index| {
            let StateProof::Present { steps } = prove(&leaves, &keys_by_path(&keys)[*index]) else {
                return false;
            };
            let proof = GroupProof::Absent { steps, neighbour: leaves[*index] };
            proof.verify(&root, &group, &[]).is_ok()
        })
        .collect();
    assert_eq!(accepted.len(), 1);
    let GroupProof::Absent { neighbour, .. } = prove_group(&leaves, &group) else { panic!("absent") };
    assert_eq!(neighbour, leaves[accepted[0]]);
}

fn keys_by_path(keys: &[StateKey]) -> Vec<StateKey> {
    let mut keys = keys.to_vec();
    keys.sort_by_key(StateKey::path);
    keys
}

#[test]
fn an_empty_tree_has_nothing_and_no_other_tree_is_empty() {
    let key = balance(1, 1);
    assert_eq!(StateProof::EmptyTree.verify(&Hash::ZERO, &key, None), Ok(()));
    assert_eq!(GroupProof::EmptyTree.verify(&Hash::ZERO, &key.group(), &[]), Ok(()));
    assert_eq!(StateProof::EmptyTree.verify(&Hash::ZERO, &key, Some(b"")), Err(ProofError::Kind));
    let (_, _, root) = large();
    assert!(matches!(StateProof::EmptyTree.verify(&root, &key, None), Err(ProofError::Root { .. })));
    assert!(matches!(GroupProof::EmptyTree.verify(&root, &key.group(), &[]), Err(ProofError::Root { .. })));
}

#[test]
fn a_leaf_is_no_inner_node() {
    // The bytes of an inner node read as a leaf, and of a leaf read as an inner node, hash differently.
    let leaf = Leaf { path: Path::from_bytes([1; 64]), value: Hash::from_bytes([2; 32]) };
    let left = Hash::from_bytes([1; 32]);
    assert_ne!(leaf.hash(), list_inner(&left, &left));
    assert_ne!(inner_hash(0x0101, &left, &left), leaf.hash());
}

/// Root of a list by merging equal trees as items arrive, a way that knows nothing of split points.
fn naive_list_root(leaves: &[Hash]) -> Hash {
    let mut peaks: Vec<(u32, Hash)> = Vec::new();
    for leaf in leaves {
        let (mut height, mut node) = (0, *leaf);
        while let Some((_, left)) = peaks.pop_if(|(top, _)| *top == height) {
            node = list_inner(&left, &node);
            height += 1;
        }
        peaks.push((height, node));
    }
    let top = peaks.iter().rev().map(|(_, node)| *node).reduce(|right, left| list_inner(&left, &right));
    list_root_of(u64::try_from(leaves.len()).unwrap(), &top.unwrap_or(Hash::ZERO))
}

fn items(count: u8) -> Vec<Hash> {
    (0..count).map(|number| hash(Domain::ListLeaf, &[&[number]])).collect()
}

#[test]
fn every_position_of_every_list_is_proven_and_no_other_item_is() {
    for count in 0..=40_u8 {
        let leaves = items(count);
        let root = list_root(&leaves);
        assert_eq!(root, naive_list_root(&leaves), "{count}");
        assert_eq!(ListProof::make(&leaves, leaves.len()), None);
        for index in 0..leaves.len() {
            let proof = ListProof::make(&leaves, index).unwrap();
            assert_eq!(proof.verify(&root, &leaves[index]), Ok(()), "{index} of {count}");
            for (other, leaf) in leaves.iter().enumerate() {
                assert_eq!(proof.verify(&root, leaf).is_ok(), other == index);
                let moved = ListProof { index: u64::try_from(other).unwrap(), ..proof.clone() };
                assert_eq!(moved.verify(&root, &leaves[index]).is_ok(), other == index);
            }
        }
    }
}

#[test]
fn a_list_proof_of_another_shape_is_refused() {
    let leaves = items(21);
    let root = list_root(&leaves);
    for index in 0..leaves.len() {
        let proof = ListProof::make(&leaves, index).unwrap();
        for count in (0..100).chain([u64::MAX - 1, u64::MAX]).filter(|count| *count != 21) {
            assert!(ListProof { count, ..proof.clone() }.verify(&root, &leaves[index]).is_err());
        }
        let position = ListProof { index: 21, ..proof.clone() };
        assert_eq!(position.verify(&root, &leaves[index]), Err(ProofError::List));
        let fewer = List::new(proof.siblings[1..].to_vec()).unwrap();
        assert_eq!(
            ListProof { siblings: fewer, ..proof.clone() }.verify(&root, &leaves[index]),
            Err(ProofError::List)
        );
        let more = List::new([&proof.siblings[..], &[Hash::ZERO]].concat()).unwrap();
        assert_eq!(
            ListProof { siblings: more, ..proof }.verify(&root, &leaves[index]),
            Err(ProofError::List)
        );
    }
}

#[test]
fn all_short_lists_have_roots_of_their_own() {
    let alphabet = items(3);
    // An inner node given as an item must not stand for the list below it.
    let symbols = [alphabet[0], alphabet[1], list_inner(&alphabet[0], &alphabet[1]), Hash::ZERO];
    let mut roots = BTreeSet::new();
    let mut lists: Vec<Vec<Hash>> = vec![Vec::new()];
    let mut all = 0;
    for length in 0..=9 {
        for list in &lists {
            assert!(roots.insert(list_root(list)), "a list of {length}");
            all += 1;
        }
        // Four symbols while there are few lists, then two: 4^5 and below, and 2 for each further place.
        let used = if length < 5 { 4 } else { 2 };
        lists = lists
            .iter()
            .flat_map(|list| symbols[..used].iter().map(|symbol| [&list[..], &[*symbol]].concat()))
            .collect();
    }
    assert_eq!(roots.len(), all);
}

#[test]
fn a_repeated_last_item_is_a_longer_list() {
    let three = items(3);
    let four = [&three[..], &three[2..]].concat();
    assert_ne!(list_root(&three), list_root(&four));
}

proptest! {
    #[test]
    fn no_proof_makes_the_verifier_panic(seed: u64) {
        let mut random = Random::new(seed);
        let (key, group) = (random.state_key(), random.state_group());
        let root = Hash::from_bytes([7; 32]);
        prop_assert!(random.state_proof().verify(&root, &key, None).is_err());
        prop_assert!(random.state_proof().verify(&root, &key, Some(b"x")).is_err());
        prop_assert!(random.group_proof().verify(&root, &group, &[]).is_err());
        prop_assert!(random.group_proof().verify(&root, &group, &[(key, vec![1])]).is_err());
        prop_assert!(random.list_proof().verify(&root, &root).is_err());
    }
}

#[test]
fn a_key_that_belongs_to_a_group_is_no_group_of_its_own() {
    let key = StateKey::Nonce(account(1), [2; 16]);
    let verdict = GroupProof::EmptyTree.verify(&Hash::ZERO, &StateGroup::Single(key), &[]);
    assert_eq!(verdict, Err(ProofError::Group));
}
