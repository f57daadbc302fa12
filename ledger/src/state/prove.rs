//! Making proofs about a state. Believing them needs only `primitives::merkle`.
use quorate_primitives::Hash;
use quorate_primitives::codec::List;
use quorate_primitives::merkle::{GroupProof, Leaf, StateProof, Step, Steps};
use quorate_primitives::state::{Path, StateGroup, StateKey, value_hash};

use super::State;
use super::tree::Node;

impl State {
    /// Proves the value at a key, or that there is none.
    #[must_use]
    pub fn prove(&self, key: &StateKey) -> StateProof {
        let path = key.path();
        let Some(top) = self.tree.top() else { return StateProof::EmptyTree };
        let (steps, end) = descend(top, &path, Path::BITS);
        let neighbour = leaf_of(end);
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
        let (steps, subtree) = descend(top, &first, Path::GROUP_BITS);
        let difference = subtree.first_path().first_difference(&first).unwrap_or(Path::BITS);
        if difference >= Path::GROUP_BITS {
            let mut values = Vec::new();
            collect(subtree, &mut values);
            return (values, GroupProof::Present { steps: list(steps) });
        }
        let (steps, end) = descend(top, &first, Path::BITS);
        (Vec::new(), GroupProof::Absent { steps: list(steps), neighbour: leaf_of(end) })
    }
}

/// Follows a path's bits to the first node that divides at `bits` or later, or to a leaf.
fn descend<'a>(top: &'a Node<Hash>, path: &Path, bits: u16) -> (Vec<Step>, &'a Node<Hash>) {
    let mut steps = Vec::new();
    let mut node = top;
    loop {
        match node {
            Node::Inner { depth, left, right, .. } if *depth < bits => {
                let (next, sibling) = if path.bit(*depth) { (right, left) } else { (left, right) };
                steps.push(Step { depth: *depth, sibling: *sibling.summary() });
                node = next;
            }
            Node::Inner { .. } | Node::Leaf { .. } => return (steps, node),
        }
    }
}

fn leaf_of(node: &Node<Hash>) -> Leaf {
    let mut node = node;
    loop {
        match node {
            Node::Leaf { path, item, .. } => return Leaf { path: *path, value: value_hash(&item.value) },
            Node::Inner { left, .. } => node = left,
        }
    }
}

fn collect(node: &Node<Hash>, values: &mut Vec<(StateKey, Vec<u8>)>) {
    match node {
        Node::Leaf { item, .. } => values.push((item.key.clone(), item.value.clone())),
        Node::Inner { left, right, .. } => {
            collect(left, values);
            collect(right, values);
        }
    }
}

/// Depths grow by at least one a step and are below 512, so the steps always fit.
fn list(steps: Vec<Step>) -> Steps {
    List::new(steps).unwrap_or_default()
}
