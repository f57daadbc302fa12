//! Proofs, and how to verify them. Making them needs the ledger; believing them needs only this file.
//!
//! Two structures are committed to. The **state tree** is a compressed binary tree over [`Path`]s: an
//! inner node stands at the first bit in which its leaves differ, its `depth`, and has both children;
//! depths grow from the root to the leaves; the tree is determined by its leaves. **Lists** (receipts
//! of a block, history of the chain) are trees over positions, as in RFC 9162, section 2.1, with the
//! count bound into the root. Nothing in a proof is optional, duplicated or ignored, so a proof has
//! exactly one encoding.
use borsh::{BorshDeserialize, BorshSerialize};

use crate::codec::List;
use crate::hash::many::Messages;
use crate::hash::{Domain, Hash, hash};
use crate::state::{Path, StateGroup, StateKey, value_hash};
use crate::zoo::{self, Bug};

/// One inner node on the way from a leaf to the root of the state tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Step {
    /// The bit by which the node divides its leaves.
    pub depth: u16,
    /// The child that is not on the way.
    pub sibling: Hash,
}

/// A leaf as a proof carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Leaf {
    /// Where it lies.
    pub path: Path,
    /// Hash of its value.
    pub value: Hash,
}

impl Leaf {
    /// `hash(tree leaf, path ‖ value hash)`.
    #[must_use]
    pub fn hash(&self) -> Hash {
        hash(Domain::TreeLeaf, &[self.path.as_bytes(), self.value.as_bytes()])
    }
}

/// `hash(tree inner, depth ‖ left ‖ right)`: left holds the leaves whose bit at `depth` is 0.
#[must_use]
pub fn inner_hash(depth: u16, left: &Hash, right: &Hash) -> Hash {
    hash(Domain::TreeInner, &[&depth.to_be_bytes(), left.as_bytes(), right.as_bytes()])
}

/// Steps from the root (first) to a leaf or subtree (last); depths strictly ascending.
pub type Steps = List<Step, 0, 512>;

/// That a value is at a key, or that the key is absent.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum StateProof {
    /// The key's own leaf lies at the end of these steps.
    Present {
        /// From the root.
        steps: Steps,
    },
    /// Following the key's bits from the root leads to the leaf of another key.
    Absent {
        /// From the root.
        steps: Steps,
        /// That leaf.
        neighbour: Leaf,
    },
    /// The tree has no leaf at all.
    EmptyTree,
}

/// That these are all values of a group.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum GroupProof {
    /// The group's subtree hangs at the end of these steps.
    Present {
        /// From the root to the subtree; all depths within the group half of the path.
        steps: Steps,
    },
    /// Following the bits of the group's lowest path from the root leads to a leaf outside the group.
    Absent {
        /// From the root.
        steps: Steps,
        /// That leaf.
        neighbour: Leaf,
    },
    /// The tree has no leaf at all.
    EmptyTree,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The proof leads to another root than the certified one.
    #[error("the proof leads to root {found}, but the certified root is {expected}")]
    Root {
        /// Certified.
        expected: Hash,
        /// Computed.
        found: Hash,
    },
    /// Depths do not ascend, or leave the allowed range.
    #[error("the steps of the proof are out of order")]
    Steps,
    /// The neighbour does not show that the key is absent.
    #[error("the neighbour does not show absence")]
    Neighbour,
    /// A value without the right kind of proof, or the other way round.
    #[error("the kind of proof does not fit the answer")]
    Kind,
    /// Values out of order, repeated, or of another group.
    #[error("the values of the group are out of order or of another group")]
    Group,
    /// A position beyond the count, or too many or too few siblings.
    #[error("position or length of the list proof is wrong")]
    List,
}

fn check_root(expected: &Hash, found: Hash) -> Result<(), ProofError> {
    if found == *expected { Ok(()) } else { Err(ProofError::Root { expected: *expected, found }) }
}

fn check_steps(steps: &Steps, below: u16) -> Result<(), ProofError> {
    let ascending = steps.iter().is_sorted_by(|a, b| a.depth < b.depth);
    let within = steps.last().is_none_or(|step| step.depth < below);
    if ascending && within { Ok(()) } else { Err(ProofError::Steps) }
}

fn climb(steps: &Steps, path: &Path, bottom: Hash) -> Hash {
    steps.iter().rev().fold(bottom, |child, step| {
        if path.bit(step.depth) {
            inner_hash(step.depth, &step.sibling, &child)
        } else {
            inner_hash(step.depth, &child, &step.sibling)
        }
    })
}

/// Shows that `neighbour` is where the bits of `path` lead, and differs from it within `bits`.
fn check_absence(
    root: &Hash,
    path: &Path,
    steps: &Steps,
    neighbour: &Leaf,
    bits: u16,
) -> Result<(), ProofError> {
    check_steps(steps, Path::BITS)?;
    let difference = path.first_difference(&neighbour.path).ok_or(ProofError::Neighbour)?;
    // Were the key in the tree, its lowest common ancestor with the neighbour would stand at exactly
    // this depth, on the way to the neighbour.
    let same_way = |step: &Step| path.bit(step.depth) == neighbour.path.bit(step.depth);
    // All steps, also those below `bits`: of the leaves in another group's subtree only the one to which
    // the lowest path of the absent group leads is the neighbour, so that there is one proof.
    let leads_here = steps.iter().all(same_way);
    if difference >= bits || !leads_here {
        return Err(ProofError::Neighbour);
    }
    check_root(root, climb(steps, &neighbour.path, neighbour.hash()))
}

impl StateProof {
    /// Checks that the state with this root has exactly `value` (canonical bytes) at `key`, or nothing.
    ///
    /// # Errors
    /// [`ProofError`] naming why the proof does not show it.
    pub fn verify(&self, root: &Hash, key: &StateKey, value: Option<&[u8]>) -> Result<(), ProofError> {
        let path = key.path();
        match (self, value) {
            (Self::Present { steps }, Some(bytes)) => {
                check_steps(steps, Path::BITS)?;
                let leaf = Leaf { path, value: value_hash(bytes) };
                check_root(root, climb(steps, &path, leaf.hash()))
            }
            (Self::Absent { steps, neighbour }, None) => {
                check_absence(root, &path, steps, neighbour, Path::BITS)
            }
            (Self::EmptyTree, None) => check_root(root, Hash::ZERO),
            (Self::Present { .. }, None) | (Self::Absent { .. } | Self::EmptyTree, Some(_)) => {
                Err(ProofError::Kind)
            }
        }
    }
}

impl GroupProof {
    /// Checks that `values` (key and canonical bytes) are all there is in `group`.
    ///
    /// Order: ascending by path, as [`StateKey::path`] gives it; each key once.
    ///
    /// # Errors
    /// [`ProofError`] naming why the proof does not show it.
    pub fn verify(
        &self,
        root: &Hash,
        group: &StateGroup,
        values: &[(StateKey, Vec<u8>)],
    ) -> Result<(), ProofError> {
        let first = Path::first_of(group);
        // A key that belongs to a group is no group of its own: nothing lies there, whatever there is.
        if let StateGroup::Single(key) = group
            && key.group() != *group
        {
            return Err(ProofError::Group);
        }
        match self {
            Self::Present { steps } => {
                check_steps(steps, Path::GROUP_BITS)?;
                if values.is_empty() {
                    return Err(ProofError::Kind);
                }
                let leaf =
                    |(key, bytes): &(StateKey, Vec<u8>)| Leaf { path: key.path(), value: value_hash(bytes) };
                let leaves: Vec<Leaf> = values.iter().map(leaf).collect();
                let in_order = leaves.iter().is_sorted_by(|a, b| a.path < b.path);
                if !in_order || values.iter().any(|(key, _)| key.group() != *group) {
                    return Err(ProofError::Group);
                }
                check_root(root, climb(steps, &first, tree_root(&leaves)))
            }
            Self::Absent { steps, neighbour } if values.is_empty() => {
                check_absence(root, &first, steps, neighbour, Path::GROUP_BITS)
            }
            Self::EmptyTree if values.is_empty() => check_root(root, Hash::ZERO),
            Self::Absent { .. } | Self::EmptyTree => Err(ProofError::Kind),
        }
    }
}

/// Root of the tree over leaves that are strictly ascending by path; zero for none.
///
/// Recursion follows the depth of the tree, at most 512.
#[must_use]
pub fn tree_root(leaves: &[Leaf]) -> Hash {
    match leaves {
        [] => Hash::ZERO,
        [leaf] => leaf.hash(),
        [first, .., last] => {
            let Some(depth) = first.path.first_difference(&last.path) else {
                return Hash::ZERO;
            };
            let (left, right) = leaves.split_at(leaves.partition_point(|leaf| !leaf.path.bit(depth)));
            inner_hash(depth, &tree_root(left), &tree_root(right))
        }
    }
}

/// `hash(list inner, left ‖ right)`.
#[must_use]
pub fn list_inner(left: &Hash, right: &Hash) -> Hash {
    hash(Domain::ListInner, &[left.as_bytes(), right.as_bytes()])
}

/// `hash(list root, count ‖ top)`; the top of an empty list is zero.
#[must_use]
pub fn list_root_of(count: u64, top: &Hash) -> Hash {
    hash(Domain::ListRoot, &[&count.to_be_bytes(), top.as_bytes()])
}

/// Root of a list of leaf hashes.
#[must_use]
pub fn list_root(leaves: &[Hash]) -> Hash {
    let count = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
    list_root_of(count, &list_top(leaves))
}

/// Largest power of two below `count`, for `count` of two or more.
fn split_point(count: u64) -> u64 {
    count.saturating_sub(1).checked_ilog2().map_or(0, |log| 1_u64.checked_shl(log).unwrap_or(0))
}

fn list_top(leaves: &[Hash]) -> Hash {
    let mut level = leaves.to_vec();
    if let ([.., odd], true) = (leaves, leaves.len() & 1 == 1 && zoo::has(Bug::OddLeafDuplicated)) {
        level.pop();
        level.push(if leaves.len() > 1 { list_inner(odd, odd) } else { *odd });
    }
    let mut messages = Messages::default();
    while level.len() > 1 {
        // One without a neighbour rises until it has one: that is how the halves are divided.
        let (pairs, rest) = level.as_chunks::<2>();
        messages.clear();
        for [left, right] in pairs {
            messages.push(Domain::ListInner, &[left.as_bytes(), right.as_bytes()]);
        }
        let mut next = messages.hashes();
        next.extend(rest);
        level = next;
    }
    level.first().copied().unwrap_or(Hash::ZERO)
}

/// That an item is at a position of a list.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ListProof {
    /// Items in the list.
    pub count: u64,
    /// Position of the item, from 0.
    pub index: u64,
    /// Siblings from the item up to the top.
    pub siblings: List<Hash, 0, 64>,
}

impl ListProof {
    /// Proves the item at `index` of a list of leaf hashes; `None` beyond its end.
    #[must_use]
    pub fn make(leaves: &[Hash], index: usize) -> Option<Self> {
        let mut siblings = Vec::new();
        let mut part = leaves;
        let mut position = index;
        if index >= leaves.len() {
            return None;
        }
        while part.len() > 1 {
            let middle = usize::try_from(split_point(u64::try_from(part.len()).ok()?)).ok()?;
            let (left, right) = part.split_at(middle);
            if position < middle {
                siblings.push(list_top(right));
                part = left;
            } else {
                siblings.push(list_top(left));
                part = right;
                position = position.checked_sub(middle)?;
            }
        }
        siblings.reverse();
        Some(Self {
            count: u64::try_from(leaves.len()).ok()?,
            index: u64::try_from(index).ok()?,
            siblings: List::new(siblings).ok()?,
        })
    }

    /// Checks that the list with this root has `leaf` at [`ListProof::index`].
    ///
    /// # Errors
    /// [`ProofError::List`] when shape and count disagree, [`ProofError::Root`] otherwise.
    pub fn verify(&self, root: &Hash, leaf: &Hash) -> Result<(), ProofError> {
        if self.index >= self.count {
            return Err(ProofError::List);
        }
        // From the top: at each division remember on which side the item lies.
        let (mut count, mut position) = (self.count, self.index);
        let mut sides = Vec::new();
        while count > 1 {
            let middle = split_point(count);
            let right = position >= middle;
            sides.push(right);
            if right {
                position = position.saturating_sub(middle);
                count = count.saturating_sub(middle);
            } else {
                count = middle;
            }
        }
        if sides.len() != self.siblings.len() {
            return Err(ProofError::List);
        }
        let top = sides.iter().rev().zip(&self.siblings).fold(*leaf, |node, (right, sibling)| {
            if *right { list_inner(sibling, &node) } else { list_inner(&node, sibling) }
        });
        check_root(root, list_root_of(self.count, &top))
    }
}
