//! Making proofs about a state. Believing them needs only `primitives::merkle`.
use quorate_primitives::Hash;
use quorate_primitives::codec::List;
use quorate_primitives::merkle::{GroupProof, Leaf, StateProof, Step, Steps};
use quorate_primitives::state::{Path, StateGroup, StateKey, value_hash};

use super::tree::Subtree;
use super::{State, read_entry};

impl State {
    /// Proves the value at a key, or that there is none.
    #[must_use]
    pub fn prove(&self, key: &StateKey) -> StateProof {
        let path = key.path();
        let Some(top) = self.tree.top() else { return StateProof::EmptyTree };
        let (steps, end) = descend(top, &path, Path::BITS);
        let neighbour = first_leaf(&end);
        if neighbour.path == path {
            StateProof::Present { steps: list(steps) }
        } else {
            StateProof::Absent { steps: list(steps), neighbour }
        }
    }

    /// All values of a group in ascending order of their paths, with the proof that none is missing.
    #[must_use]
    pub fn group(&self, group: &StateGroup) -> (Vec<(StateKey, Vec<u8>)>, GroupProof) {
        let first = Path::first_of(group);
        let Some(top) = self.tree.top() else { return (Vec::new(), GroupProof::EmptyTree) };
        let (steps, subtree) = descend(top.clone(), &first, Path::GROUP_BITS);
        let difference = first_leaf(&subtree).path.first_difference(&first).unwrap_or(Path::BITS);
        if difference >= Path::GROUP_BITS {
            let owned = |(key, value): (StateKey, &[u8])| (key, value.to_vec());
            let values = subtree.iter().filter_map(read_entry).map(owned).collect();
            return (values, GroupProof::Present { steps: list(steps) });
        }
        let (steps, end) = descend(top, &first, Path::BITS);
        (Vec::new(), GroupProof::Absent { steps: list(steps), neighbour: first_leaf(&end) })
    }
}

/// Follows a path's bits to the first subtree that divides at `bits` or later, or to a leaf.
fn descend<'a>(top: Subtree<'a>, path: &Path, bits: u16) -> (Vec<Step>, Subtree<'a>) {
    let mut steps = Vec::new();
    let mut subtree = top;
    while let Some((depth, left, right)) = subtree.divide().filter(|(depth, ..)| *depth < bits) {
        let (next, sibling) = if path.bit(depth) { (right, left) } else { (left, right) };
        steps.push(Step { depth, sibling: sibling.hash() });
        subtree = next;
    }
    (steps, subtree)
}

/// The leaf with the lowest path; there is one in every subtree.
fn first_leaf(subtree: &Subtree<'_>) -> Leaf {
    let first = subtree.iter().find_map(read_entry);
    debug_assert!(first.is_some(), "a subtree is never empty");
    let (path, value) = first.map_or((Path::first_of(&StateGroup::Evidence), Hash::ZERO), |(key, value)| {
        (key.path(), value_hash(value))
    });
    Leaf { path, value }
}

/// Depths grow by at least one a step and are below 512, so the steps always fit.
fn list(steps: Vec<Step>) -> Steps {
    List::new(steps).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Place;
    use quorate_primitives::address::AccountId;
    use quorate_primitives::state::AssetId;
    use quorate_primitives::{Height, Timestamp};

    fn keys() -> Vec<StateKey> {
        let (account, asset) =
            (|byte| AccountId::from_bytes([byte; 32]), |byte| AssetId::from_bytes([byte; 32]));
        vec![
            StateKey::Balance(account(1), asset(1)),
            StateKey::Balance(account(1), asset(2)),
            StateKey::Balance(account(1), asset(3)),
            StateKey::Balance(account(2), asset(1)),
            StateKey::Balance(account(2), asset(2)),
            StateKey::Account(account(1)),
            StateKey::Account(account(2)),
            StateKey::Parameters,
        ]
    }

    fn state(keys: &[StateKey], subset: u32) -> State {
        let place = Place { chain: Hash::ZERO, height: Height::ZERO, time: Timestamp::ZERO };
        let chosen = (0_u8..).zip(keys).filter(|(bit, _)| subset >> bit & 1 == 1);
        State::from_entries(place, chosen.map(|(bit, key)| (key.clone(), vec![bit])))
    }

    #[test]
    fn every_small_state_proves_what_it_holds_and_what_it_does_not() {
        let keys = keys();
        for subset in 0..1_u32 << keys.len() {
            let state = state(&keys, subset);
            let root = state.root();
            for (bit, key) in (0_u8..).zip(&keys) {
                let (proof, value) = (state.prove(key), [bit]);
                let present = subset >> bit & 1 == 1;
                assert_eq!(proof.verify(&root, key, Some(&value)).is_ok(), present, "{subset:b} {key:?}");
                assert_eq!(proof.verify(&root, key, None).is_ok(), !present, "{subset:b} {key:?}");
            }
        }
    }

    #[test]
    fn every_small_state_proves_its_groups_and_no_part_of_them() {
        let keys = keys();
        let mut groups: Vec<StateGroup> = keys.iter().map(StateKey::group).collect();
        groups.dedup();
        groups.push(StateGroup::Grants(AccountId::from_bytes([1; 32])));
        for subset in 0..1_u32 << keys.len() {
            let state = state(&keys, subset);
            let root = state.root();
            for group in &groups {
                let (values, proof) = state.group(group);
                let count =
                    (0..).zip(&keys).filter(|(bit, key)| subset >> bit & 1 == 1 && key.group() == *group);
                assert_eq!(values.len(), count.count());
                assert_eq!(proof.verify(&root, group, &values), Ok(()), "{subset:b} {group:?}");
                for missing in 0..values.len() {
                    let mut fewer = values.clone();
                    fewer.remove(missing);
                    assert!(proof.verify(&root, group, &fewer).is_err(), "{subset:b} {group:?}");
                }
                // No proof about another group hides or shows this one.
                for other in groups.iter().filter(|other| *other != group) {
                    let (others, foreign) = state.group(other);
                    let hides = foreign.verify(&root, group, &[]).is_ok();
                    assert!(!hides || values.is_empty(), "{subset:b} {group:?}");
                    assert!(others.is_empty() || foreign.verify(&root, group, &others).is_err());
                }
            }
        }
    }
}
