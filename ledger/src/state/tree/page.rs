//! A subtree of few leaves in one piece of memory.
//!
//! The leaves lie side by side in the order of their paths. Between two neighbours stands the first bit in
//! which they differ, and that alone tells the shape of the subtree: of the leaves in a run, the two
//! sides part where that bit comes first. Paths are not kept: whoever looks for one knows the key, and who
//! needs one computes it from the key. Source of the search: Ferguson, "Bit-Tree: A Data Structure for Fast
//! File Processing", Communications of the ACM 35(6), 1992.
use quorate_primitives::Hash;
use quorate_primitives::state::Path;
use std::ops::Range;
use std::sync::Arc;

use super::patch::{Fresh, Spot};

/// Most leaves in a page.
pub(super) const PAGE_MAX: usize = 12;
/// Neighbouring pages that shrank become one when they have at most so many leaves together.
pub(super) const PAGE_MERGED_MAX: usize = 6;

/// Bytes before the index.
const COUNT_BYTES: usize = 4;
/// Bytes of one leaf in the index.
const INDEX_BYTES: usize = 8;
/// Bytes of the hashes of one leaf.
const HASHES_BYTES: usize = 64;

/// A subtree, never empty. Cloning shares it.
///
/// Shape, numbers little endian: number of leaves (4) ‖ index: for each leaf the first bit in which it
/// differs from the one before (2), length of its key (2), end of its value in the data (4) ‖ hashes: for
/// each leaf its own (32), that of the inner node which parts it from the one before (32) ‖ data: key and
/// value of each leaf. What the first leaf says of the one before means nothing.
#[derive(Clone)]
pub(crate) struct Page(Arc<[u8]>);

/// A leaf of a page that is being made.
#[derive(Clone, Copy)]
pub(super) struct PageLeaf<'a> {
    /// First bit in which it differs from the leaf before.
    pub(super) depth: u16,
    /// Key and value, as canonical bytes.
    pub(super) entry: [&'a [u8]; 2],
    /// Of the leaf.
    pub(super) hash: &'a [u8; 32],
    /// Of the inner node that parts it from the leaf before.
    pub(super) join: &'a [u8; 32],
}

impl PageLeaf<'_> {
    /// Where no leaf is yet.
    pub(super) const NONE: Self = Self { depth: 0, entry: [&[]; 2], hash: &[0; 32], join: &[0; 32] };
}

impl Page {
    /// A page of these leaves, ascending by path; `buffer` is emptied and used.
    pub(super) fn new(leaves: &[PageLeaf<'_>], buffer: &mut Vec<u8>) -> Self {
        buffer.clear();
        buffer.extend(number(leaves.len()).to_le_bytes());
        let mut end = 0_usize;
        for PageLeaf { depth, entry: [key, value], .. } in leaves {
            end = end.saturating_add(key.len()).saturating_add(value.len());
            buffer.extend_from_slice(&index_entry(*depth, key.len(), end));
        }
        buffer.reserve(leaves.len().saturating_mul(HASHES_BYTES).saturating_add(end));
        for PageLeaf { hash, join, .. } in leaves {
            buffer.extend_from_slice(*hash);
            buffer.extend_from_slice(*join);
        }
        for PageLeaf { entry: [key, value], .. } in leaves {
            buffer.extend_from_slice(key);
            buffer.extend_from_slice(value);
        }
        Self(Arc::from(buffer.as_slice()))
    }

    /// A leaf as it is, for another page.
    pub(super) fn leaf(&self, leaf: usize) -> PageLeaf<'_> {
        let (key, value) = self.entry(leaf);
        PageLeaf {
            depth: self.depth(leaf),
            entry: [key, value],
            hash: self.hash_at(leaf.saturating_mul(2)),
            join: self.hash_at(leaf.saturating_mul(2).saturating_add(1)),
        }
    }

    /// Where it lies in memory, for tests.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Number of leaves.
    pub(super) fn len(&self) -> usize {
        let count = self.0.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        usize::try_from(count).unwrap_or_default()
    }

    /// Where the index ends and the hashes begin.
    fn index_end(&self) -> usize {
        COUNT_BYTES.saturating_add(self.len().saturating_mul(INDEX_BYTES))
    }

    /// Where the hashes end and keys and values begin.
    fn data(&self) -> usize {
        self.index_end().saturating_add(self.len().saturating_mul(HASHES_BYTES))
    }

    fn index(&self) -> &[[u8; INDEX_BYTES]] {
        self.0.get(COUNT_BYTES..self.index_end()).unwrap_or_default().as_chunks().0
    }

    /// First bit in which a leaf differs from the one before.
    pub(super) fn depth(&self, leaf: usize) -> u16 {
        self.index().get(leaf).map_or(0, depth_of)
    }

    fn end(&self, leaf: usize) -> usize {
        let end = |[.., a, b, c, d]: &[u8; INDEX_BYTES]| u32::from_le_bytes([*a, *b, *c, *d]);
        usize::try_from(self.index().get(leaf).map_or(0, end)).unwrap_or_default()
    }

    /// Canonical bytes of a leaf's key and of its value.
    pub(super) fn entry(&self, leaf: usize) -> (&[u8], &[u8]) {
        let data = self.data();
        let start = leaf.checked_sub(1).map_or(0, |before| self.end(before));
        let bytes = data.saturating_add(start)..data.saturating_add(self.end(leaf));
        let key_bytes = self.index().get(leaf).map_or(0, key_bytes_of);
        self.0.get(bytes).and_then(|both| both.split_at_checked(key_bytes)).unwrap_or_default()
    }

    fn hash_at(&self, place: usize) -> &[u8; 32] {
        let start = self.index_end().saturating_add(place.saturating_mul(32));
        self.0.get(start..).and_then(|rest| rest.first_chunk()).unwrap_or(Hash::ZERO.as_bytes())
    }

    /// Hash of a leaf.
    pub(super) fn hash(&self, leaf: usize) -> Hash {
        Hash::from_bytes(*self.hash_at(leaf.saturating_mul(2)))
    }

    /// Hash of the inner node that parts a leaf from the one before.
    pub(super) fn join(&self, leaf: usize) -> Hash {
        Hash::from_bytes(*self.hash_at(leaf.saturating_mul(2).saturating_add(1)))
    }

    /// The leaf to which the bits of a path lead: the path's own if there is one.
    pub(super) fn nearest(&self, path: &Path) -> usize {
        let mut nearest = 0;
        // Where a bit is 0, all that follow and share that bit and those before lie on its other side.
        let mut skipped = u16::MAX;
        for (leaf, entry) in self.index().iter().enumerate().skip(1) {
            let depth = depth_of(entry);
            if depth > skipped {
                continue;
            }
            if path.bit(depth) {
                nearest = leaf;
                skipped = u16::MAX;
            } else {
                skipped = depth;
            }
        }
        nearest
    }

    /// The page after one leaf replaced another of equal length or came, with these hashes of the leaf and of the
    /// inner nodes that have it below them, each by the leaf that it parts from the one before; `buffer` may be
    /// emptied and used.
    pub(super) fn patched<'a>(
        &self,
        spot: Spot,
        entry: [&[u8]; 2],
        (leaf, joins): (&Hash, impl Iterator<Item = (usize, &'a Hash)>),
        buffer: &mut Vec<u8>,
    ) -> Self {
        let (position, mut page) = match spot {
            Spot::Replaces(position) => (position, Self(Arc::from(&*self.0))),
            Spot::Before(position, fresh) => {
                buffer.clear();
                self.extend_with(position, fresh, entry, buffer);
                (position, Self(Arc::from(buffer.as_slice())))
            }
        };
        let (hashes, end) = (page.index_end(), page.data().saturating_add(page.end(position)));
        let start = |leaf: usize| hashes.saturating_add(leaf.saturating_mul(HASHES_BYTES));
        // Nobody else has it yet.
        if let Some(bytes) = Arc::get_mut(&mut page.0) {
            overwrite(bytes, end.saturating_sub(entry[1].len()), entry[1]);
            overwrite(bytes, start(position), leaf.as_bytes());
            for (node, join) in joins {
                overwrite(bytes, start(node).saturating_add(HASHES_BYTES / 2), join.as_bytes());
            }
        }
        page
    }

    /// Puts the bytes of the page with one leaf more into an empty buffer; hashes that are new are zero.
    fn extend_with(&self, position: usize, fresh: Fresh, [key, value]: [&[u8]; 2], buffer: &mut Vec<u8>) {
        let Fresh { difference, is_right } = fresh;
        let (before, after) = self.index().split_at(position.min(self.len()));
        // The bit parts the leaf from the one before, or the one after from it.
        let old = after.first().map_or(0, depth_of);
        let (own, next) = if is_right { (difference, old) } else { (old, difference) };
        let start = position.checked_sub(1).map_or(0, |before| self.end(before));
        let more = key.len().saturating_add(value.len());
        buffer.extend(number(self.len().saturating_add(1)).to_le_bytes());
        buffer.extend_from_slice(before.as_flattened());
        buffer.extend_from_slice(&index_entry(own, key.len(), start.saturating_add(more)));
        for (leaf, entry) in (position..).zip(after) {
            let depth = if leaf == position { next } else { depth_of(entry) };
            buffer.extend_from_slice(&index_entry(
                depth,
                key_bytes_of(entry),
                self.end(leaf).saturating_add(more),
            ));
        }
        let (index_end, data) = (self.index_end(), self.data());
        let hashes = index_end.saturating_add(position.saturating_mul(HASHES_BYTES));
        let entry = data.saturating_add(start);
        buffer.extend_from_slice(self.0.get(index_end..hashes).unwrap_or_default());
        buffer.extend_from_slice(&[0; HASHES_BYTES]);
        buffer.extend_from_slice(self.0.get(hashes..entry).unwrap_or_default());
        buffer.extend_from_slice(key);
        buffer.extend_from_slice(value);
        buffer.extend_from_slice(self.0.get(entry..).unwrap_or_default());
    }

    /// Hash of the subtree of a run of leaves, at least one.
    pub(super) fn hash_of(&self, run: Range<usize>) -> Hash {
        self.part(&run).map_or_else(|| self.hash(run.start), |part| self.join(part))
    }

    /// Where the two sides of a run of leaves part: the first leaf of the right side. None if it is one leaf.
    pub(super) fn part(&self, run: &Range<usize>) -> Option<usize> {
        (run.start.saturating_add(1)..run.end).min_by_key(|leaf| self.depth(*leaf))
    }

    /// Before which leaf a new one belongs whose path differs from all others in bit `depth` first, from
    /// its nearest; `is_right` is the value of that bit.
    pub(super) fn gap(&self, nearest: usize, depth: u16, is_right: bool) -> usize {
        if is_right {
            let beyond = |leaf: &usize| self.depth(*leaf) < depth;
            (nearest.saturating_add(1)..self.len()).find(beyond).unwrap_or(self.len())
        } else {
            let beyond = |leaf: &usize| self.depth(*leaf) < depth;
            (1..=nearest).rev().find(beyond).unwrap_or(0)
        }
    }
}

fn depth_of([low, high, ..]: &[u8; INDEX_BYTES]) -> u16 {
    u16::from_le_bytes([*low, *high])
}

fn key_bytes_of([_, _, low, high, ..]: &[u8; INDEX_BYTES]) -> usize {
    usize::from(u16::from_le_bytes([*low, *high]))
}

/// What the index says of a leaf.
fn index_entry(depth: u16, key_bytes: usize, end: usize) -> [u8; INDEX_BYTES] {
    debug_assert!(key_bytes < usize::from(u16::MAX), "keys are short");
    let [depth_low, depth_high] = depth.to_le_bytes();
    let [key_low, key_high] = u16::try_from(key_bytes).unwrap_or(u16::MAX).to_le_bytes();
    let [a, b, c, d] = number(end).to_le_bytes();
    [depth_low, depth_high, key_low, key_high, a, b, c, d]
}

/// Puts bytes in the place of those that are there.
fn overwrite(bytes: &mut [u8], start: usize, with: &[u8]) {
    let place = bytes.get_mut(start..start.saturating_add(with.len()));
    debug_assert!(place.is_some(), "there is room for what is overwritten");
    if let Some(place) = place {
        place.copy_from_slice(with);
    }
}

fn number(value: usize) -> u32 {
    debug_assert!(u32::try_from(value).is_ok(), "pages are far shorter");
    u32::try_from(value).unwrap_or(u32::MAX)
}
