//! Making proofs from a plain list of leaves, without a tree: the counterpart of the verifier.
use quorate_primitives::codec::List;
use quorate_primitives::merkle::{GroupProof, Leaf, StateProof, Step, tree_root};
use quorate_primitives::state::{Path, StateGroup, StateKey};

/// The steps from the root along a path, and the leaves below the first node that divides at `bits` or
/// later.
fn descend<'a>(mut leaves: &'a [Leaf], path: &Path, bits: u16) -> (Vec<Step>, &'a [Leaf]) {
    let mut steps = Vec::new();
    while let [first, .., last] = leaves {
        let depth = first.path.first_difference(&last.path).unwrap();
        if depth >= bits {
            break;
        }
        let (zero, one) = leaves.split_at(leaves.partition_point(|leaf| !leaf.path.bit(depth)));
        let (way, other) = if path.bit(depth) { (one, zero) } else { (zero, one) };
        steps.push(Step { depth, sibling: tree_root(other) });
        leaves = way;
    }
    (steps, leaves)
}

/// Proves what the leaves, ascending by path, have at a path.
pub(crate) fn prove_path(leaves: &[Leaf], path: &Path) -> StateProof {
    let (steps, end) = descend(leaves, path, Path::BITS);
    let steps = List::new(steps).unwrap();
    match end {
        [] => StateProof::EmptyTree,
        [leaf] if leaf.path == *path => StateProof::Present { steps },
        [neighbour, ..] => StateProof::Absent { steps, neighbour: *neighbour },
    }
}

pub(crate) fn prove(leaves: &[Leaf], key: &StateKey) -> StateProof {
    prove_path(leaves, &key.path())
}

pub(crate) fn prove_group(leaves: &[Leaf], group: &StateGroup) -> GroupProof {
    let first = Path::first_of(group);
    let (steps, end) = descend(leaves, &first, Path::GROUP_BITS);
    let Some(found) = end.first() else { return GroupProof::EmptyTree };
    if found.path.as_bytes()[..32] == first.as_bytes()[..32] {
        return GroupProof::Present { steps: List::new(steps).unwrap() };
    }
    let (steps, end) = descend(leaves, &first, Path::BITS);
    GroupProof::Absent { steps: List::new(steps).unwrap(), neighbour: end[0] }
}
