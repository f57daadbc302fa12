//! Leaving out all leaves on one side of a path.
use quorate_primitives::Hash;
use quorate_primitives::hash::{Domain, hash};
use quorate_primitives::state::Path;
use std::ops::Range;
use std::sync::Arc;

use super::update::Change;
use super::{Branch, Inner, Node, Page, Tree};

impl Tree {
    /// The map without the leaves before this path whose bit 0 is 1, as that of the path. Costs the depth
    /// of the tree, however many they are.
    pub(crate) fn cut(&self, bound: &Path) -> Self {
        debug_assert!(bound.bit(0), "what lies on the other side of the root stays");
        let Some((page, nearest)) = self.nearest(bound) else { return self.clone() };
        let found = (self.paths_of)(&[page.entry(nearest).0]);
        let difference = found.first().and_then(|path| path.first_difference(bound)).unwrap_or(Path::BITS);
        if difference == 0 {
            return self.clone();
        }
        // Whole nodes first, then the rest of the page in which the bound lies.
        let top = self.top.as_ref().and_then(|top| after(top, bound, difference));
        let rest = before(page, nearest, (bound, difference));
        let keys: Vec<&[u8]> = rest.map(|leaf| page.entry(leaf).0).collect();
        let paths = (self.paths_of)(&keys);
        let gone = keys.into_iter().zip(&paths).map(|(key, path)| Change { path, key, value: None });
        Self { top, paths_of: self.paths_of }.update(gone)
    }
}

/// The leaves of a page that lie before the bound, on its side of the root.
fn before(page: &Page, nearest: usize, (bound, difference): (&Path, u16)) -> Range<usize> {
    let end =
        if difference == Path::BITS { nearest } else { page.gap(nearest, difference, bound.bit(difference)) };
    let side = (1..page.len()).find(|leaf| page.depth(*leaf) == 0).unwrap_or(0);
    side..end.max(side)
}

/// What is left of a node without the nodes that lie before the bound, which differs first in bit `difference` from
/// the leaf to which its bits lead. Pages stay whole, unless all of it goes.
fn after(branch: &Branch, bound: &Path, difference: u16) -> Option<Branch> {
    let Node::Inner(inner) = &branch.node else { return Some(branch.clone()) };
    let Inner { depth, left, right } = inner.as_ref();
    if *depth >= difference {
        // All of it lies on the same side of the bound.
        return (!bound.bit(difference)).then(|| branch.clone());
    }
    if !bound.bit(*depth) {
        return match after(left, bound, difference) {
            Some(left) => Some(join(*depth, left, right.clone())),
            None => Some(right.clone()),
        };
    }
    let right = after(right, bound, difference);
    match right {
        Some(right) if *depth == 0 => Some(join(0, left.clone(), right)),
        None if *depth == 0 => Some(left.clone()),
        right => right,
    }
}

fn join(depth: u16, left: Branch, right: Branch) -> Branch {
    let hash: Hash =
        hash(Domain::TreeInner, &[&depth.to_be_bytes(), left.hash.as_bytes(), right.hash.as_bytes()]);
    Branch { node: Node::Inner(Arc::new(Inner { depth, left, right })), hash }
}
