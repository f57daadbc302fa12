//! The list of all blocks and outcomes, to which each block commits: a tree that only grows.
//!
//! Its shape is that of RFC 9162, section 2.1. Every complete subtree is stored once, when its last
//! leaf arrives, under its level and index; so a proof for any length reads a logarithmic number of
//! nodes, and appending needs only the tops of the complete subtrees, the peaks.
use quorate_primitives::Hash;
use quorate_primitives::codec::List;
use quorate_primitives::merkle::{ListProof, list_inner, list_root_of};

/// The list after some number of blocks. Position 0 is the block at height 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    count: u64,
    /// Tops of the complete subtrees, the largest and leftmost first: one for each bit in `count`.
    peaks: Vec<Hash>,
}

/// A complete subtree: leaves `index · 2^level` to `(index + 1) · 2^level − 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subtree {
    pub(crate) level: u8,
    pub(crate) index: u64,
    pub(crate) top: Hash,
}

impl History {
    /// The list with one more leaf, and the subtrees that this leaf completes, smallest first.
    pub(crate) fn append(&self, leaf: Hash) -> (Self, Vec<Subtree>) {
        let mut peaks = self.peaks.clone();
        let mut subtree = Subtree { level: 0, index: self.count, top: leaf };
        let mut completed = vec![subtree];
        // A subtree with an odd index is the right half of the next larger one.
        while subtree.index & 1 == 1 {
            let Some(left) = peaks.pop() else { break };
            subtree = Subtree {
                level: subtree.level.saturating_add(1),
                index: subtree.index >> 1,
                top: list_inner(&left, &subtree.top),
            };
            completed.push(subtree);
        }
        peaks.push(subtree.top);
        (Self { count: self.count.saturating_add(1), peaks }, completed)
    }

    /// Root of the list.
    pub(crate) fn root(&self) -> Hash {
        let top = self.peaks.iter().rev().copied().reduce(|right, left| list_inner(&left, &right));
        list_root_of(self.count, &top.unwrap_or(Hash::ZERO))
    }

    /// The list of this length, from stored subtrees.
    pub(crate) fn load<E>(count: u64, mut top: impl FnMut(u8, u64) -> Result<Hash, E>) -> Result<Self, E> {
        let peaks = complete_parts(0, count).into_iter().map(|(level, index)| top(level, index));
        Ok(Self { count, peaks: peaks.collect::<Result<_, E>>()? })
    }
}

/// Level and index of the complete subtrees that cover `count` leaves from `start` on, which is a
/// multiple of the smallest power of two above `count`; the largest first.
fn complete_parts(start: u64, count: u64) -> Vec<(u8, u64)> {
    let mut at = start;
    let mut parts = Vec::new();
    for level in (0..64_u8).rev() {
        let size = 1_u64.checked_shl(u32::from(level)).unwrap_or(0);
        if count & size != 0 {
            parts.push((level, at.checked_shr(u32::from(level)).unwrap_or(0)));
            at = at.saturating_add(size);
        }
    }
    parts
}

/// Proves the leaf at `index` of the list of the first `count` leaves, from stored subtrees; `None`
/// beyond its end.
pub(crate) fn prove<E>(
    count: u64,
    index: u64,
    mut top: impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Option<ListProof>, E> {
    if index >= count {
        return Ok(None);
    }
    let mut siblings = Vec::new();
    let (mut start, mut length) = (0_u64, count);
    while length > 1 {
        let level = length.saturating_sub(1).checked_ilog2().unwrap_or(0);
        let left = 1_u64.checked_shl(level).unwrap_or(0);
        let middle = start.saturating_add(left);
        let rest = length.saturating_sub(left);
        if index < middle {
            siblings.push(top_of(middle, rest, &mut top)?);
            length = left;
        } else {
            siblings.push(top_of(start, left, &mut top)?);
            start = middle;
            length = rest;
        }
    }
    siblings.reverse();
    Ok(List::new(siblings).ok().map(|siblings| ListProof { count, index, siblings }))
}

fn top_of<E>(start: u64, count: u64, top: &mut impl FnMut(u8, u64) -> Result<Hash, E>) -> Result<Hash, E> {
    let mut tops = Vec::new();
    for (level, index) in complete_parts(start, count) {
        tops.push(top(level, index)?);
    }
    Ok(tops.into_iter().rev().reduce(|right, left| list_inner(&left, &right)).unwrap_or(Hash::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_primitives::hash::{Domain, hash};
    use quorate_primitives::merkle::list_root;
    use std::collections::BTreeMap;

    #[test]
    fn agrees_with_the_list_of_all_leaves_at_every_length_and_position() {
        let leaf = |number: u64| hash(Domain::History, &[&number.to_be_bytes()]);
        let mut history = History::default();
        let mut stored = BTreeMap::new();
        let mut leaves = Vec::new();
        for count in 0..70_u64 {
            assert_eq!(history.root(), list_root(&leaves), "{count} leaves");
            let read = |level, index| stored.get(&(level, index)).copied().ok_or((level, index));
            assert_eq!(History::load(count, read), Ok(history.clone()));
            for index in 0..count {
                let proof = prove(count, index, read).unwrap().unwrap();
                assert_eq!(Some(&proof), ListProof::make(&leaves, usize::try_from(index).unwrap()).as_ref());
                assert_eq!(proof.verify(&history.root(), &leaf(index)), Ok(()));
            }
            assert_eq!(prove(count, count, read), Ok(None));
            let (next, completed) = history.append(leaf(count));
            for subtree in completed {
                assert_eq!(stored.insert((subtree.level, subtree.index), subtree.top), None, "stored twice");
            }
            leaves.push(leaf(count));
            history = next;
        }
    }
}
