//! Proofs made from all leaves of a state tree at once: slow, plain, and independent of the ledger.
use quorate_primitives::merkle::{GroupProof, Leaf, StateProof, Step, tree_root};
use quorate_primitives::state::{Path, StateGroup, StateKey, value_hash};
use quorate_primitives::{Hash, codec::List};
use std::collections::BTreeMap;

/// The whole state: canonical values by key.
pub(crate) type State = BTreeMap<StateKey, Vec<u8>>;

fn leaves(state: &State) -> Vec<Leaf> {
    let leaf = |(key, value): (&StateKey, &Vec<u8>)| Leaf { path: key.path(), value: value_hash(value) };
    let mut leaves: Vec<Leaf> = state.iter().map(leaf).collect();
    leaves.sort_by_key(|leaf| leaf.path);
    leaves
}

pub(crate) fn root(state: &State) -> Hash {
    tree_root(&leaves(state))
}

/// Walks from the root along the bits of `path` until one leaf is left, or until below `bits`.
fn walk(leaves: &[Leaf], path: &Path, bits: u16) -> (Vec<Step>, Vec<Leaf>) {
    let (mut part, mut steps) = (leaves, Vec::new());
    while let [first, .., last] = part {
        let depth = first.path.first_difference(&last.path).unwrap();
        if depth >= bits {
            break;
        }
        let (left, right) = part.split_at(part.partition_point(|leaf| !leaf.path.bit(depth)));
        let (on, off) = if path.bit(depth) { (right, left) } else { (left, right) };
        steps.push(Step { depth, sibling: tree_root(off) });
        part = on;
    }
    (steps, part.to_vec())
}

pub(crate) fn prove(state: &State, key: &StateKey) -> StateProof {
    let path = key.path();
    let (steps, part) = walk(&leaves(state), &path, Path::BITS);
    let steps = List::new(steps).unwrap();
    match part.first() {
        None => StateProof::EmptyTree,
        Some(leaf) if leaf.path == path => StateProof::Present { steps },
        Some(leaf) => StateProof::Absent { steps, neighbour: *leaf },
    }
}

pub(crate) fn prove_group(state: &State, group: &StateGroup) -> (Vec<(StateKey, Vec<u8>)>, GroupProof) {
    let mut values: Vec<(StateKey, Vec<u8>)> = state
        .iter()
        .filter(|(key, _)| key.group() == *group)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    values.sort_by_key(|(key, _)| key.path());
    let first = Path::first_of(group);
    let bits = if values.is_empty() { Path::BITS } else { Path::GROUP_BITS };
    let (steps, part) = walk(&leaves(state), &first, bits);
    let steps = List::new(steps).unwrap();
    let proof = match part.first() {
        None => GroupProof::EmptyTree,
        Some(_) if !values.is_empty() => GroupProof::Present { steps },
        Some(leaf) => GroupProof::Absent { steps, neighbour: *leaf },
    };
    (values, proof)
}
