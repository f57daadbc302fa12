//! A page of which one leaf changes or to which one comes: the old page with a few bytes replaced. Most changes of
//! a block are such; all others are made leaf by leaf.
use std::ops::Range;

use super::draft::{Draft, Hashes, Summary};
use super::page::{PAGE_MAX, PAGE_MERGED_MAX, Page};
use super::update::{NewLeaf, Placed};

/// Where a leaf comes to in a page.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spot {
    /// It replaces the leaf at this position.
    Replaces(usize),
    /// Before the leaf that is at this position, or after all.
    Before(usize, Fresh),
}

/// How a leaf that is new to a page differs from the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fresh {
    /// The first bit in which its path differs from that of its nearest.
    pub(super) difference: u16,
    /// The value of that bit.
    pub(super) is_right: bool,
}

impl Spot {
    /// Number of leaves that come.
    fn more(self) -> usize {
        match self {
            Self::Replaces(_) => 0,
            Self::Before(..) => 1,
        }
    }
}

/// A page with one leaf that is new.
pub(super) struct Patch<'a> {
    page: &'a Page,
    spot: Spot,
    /// Which of the new leaves.
    leaf: usize,
    /// Inner nodes that have it below them: which of the draft's, by position of the leaf that each parts from the
    /// one before.
    joins: Range<usize>,
    /// Of the page.
    pub(super) summary: Summary,
}

impl Patch<'_> {
    /// The page, once its hashes are computed; `joins` are all of the draft.
    pub(super) fn build(
        &self,
        hashes: &Hashes<'_>,
        joins: &[(usize, Summary)],
        buffer: &mut Vec<u8>,
    ) -> Option<Page> {
        let NewLeaf { key, value, hash } = hashes.leaves.get(self.leaf)?;
        let joins = joins.get(self.joins.clone())?;
        let joins = joins.iter().map(|(node, summary)| (*node, hashes.get(summary)));
        Some(self.page.patched(self.spot, [key, value], (hash, joins), buffer))
    }
}

impl<'a> Draft<'a> {
    /// The page after this one change, if it only replaces a value by one as long or adds a leaf for which
    /// there is room, and is not so short that it may become one with a neighbour.
    pub(super) fn patch(&mut self, page: &'a Page, change: &Placed<'_>) -> Option<Patch<'a>> {
        let leaf = change.leaf?;
        let (_, value) = self.entry_of(leaf)?;
        let spot = if change.is_there() {
            let is_as_long = page.entry(change.nearest).1.len() == value.len();
            is_as_long.then_some(Spot::Replaces(change.nearest))?
        } else {
            let (difference, is_right) = (change.difference, change.path.bit(change.difference));
            let gap = page.gap(change.nearest, difference, is_right);
            Spot::Before(gap, Fresh { difference, is_right })
        };
        let len = page.len().saturating_add(spot.more());
        if !(PAGE_MERGED_MAX..=PAGE_MAX).contains(&len) {
            return None;
        }
        let first = self.patch_joins.len();
        let summary = self.climb(page, spot, Summary::Leaf(leaf));
        Some(Patch { page, spot, leaf, joins: first..self.patch_joins.len(), summary })
    }

    /// Has all inner nodes of a page hashed anew that have this leaf below them, from the leaf up. The node between
    /// a run of leaves and its sibling is the deeper one of those at the run's two ends.
    fn climb(&mut self, page: &Page, spot: Spot, leaf: Summary) -> Summary {
        let mut whole = leaf;
        let (mut low, mut high) = match spot {
            Spot::Replaces(position) => (position, position.saturating_add(1)),
            Spot::Before(position, _) => (position, position),
        };
        loop {
            let (left, right) = ends(page, spot, low..high);
            let is_left = match (left, right) {
                (None, None) => return whole,
                (left, right) => left > right,
            };
            let depth = if is_left { left } else { right }.unwrap_or_default();
            let is_within = |leaf: &usize| page.depth(*leaf) <= depth;
            let node = if is_left {
                let start = (1..low).rev().find(is_within).unwrap_or(0);
                let sibling = Summary::Known(page.hash_of(start..low));
                whole = self.sum(depth, sibling, whole);
                std::mem::replace(&mut low, start)
            } else {
                let end = (high.saturating_add(1)..page.len()).find(is_within).unwrap_or(page.len());
                let sibling = Summary::Known(page.hash_of(high..end));
                whole = self.sum(depth, whole, sibling);
                std::mem::replace(&mut high, end).saturating_add(spot.more())
            };
            self.patch_joins.push((node, whole));
        }
    }
}

/// The first bits in which what lies next to a run of leaves differs from it, on both sides. A run next to the leaf
/// that comes has that below it, too.
fn ends(page: &Page, spot: Spot, run: Range<usize>) -> (Option<u16>, Option<u16>) {
    let left = (run.start > 0).then(|| page.depth(run.start));
    let right = (run.end < page.len()).then(|| page.depth(run.end));
    match spot {
        Spot::Before(gap, Fresh { difference, is_right: true }) if run.start == gap => {
            (Some(difference), right)
        }
        Spot::Before(gap, Fresh { difference, is_right: false }) if run.end == gap => {
            (left, Some(difference))
        }
        Spot::Before(..) | Spot::Replaces(_) => (left, right),
    }
}
