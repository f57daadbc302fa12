//! A persistent map from keys to values, which lie at their paths: a compressed binary tree in pages.
//!
//! An inner node stands at the first bit in which its leaves differ, and a subtree of few leaves is one
//! [`page`]. A change copies only the pages that it touches and the nodes on the way to them, so each
//! version of the tree is a cheap clone, lives as long as somebody holds it, and is never seen changing.
//! How leaves share pages follows from how they came and went; the hashes do not tell of pages.
//! Source of the shape that is hashed: `primitives::merkle`.
mod draft;
mod page;
mod patch;
mod sweep;
mod update;

use quorate_primitives::Hash;
use quorate_primitives::state::Path;
use std::ops::Range;
use std::sync::Arc;

pub(crate) use page::Page;
pub(crate) use sweep::Prefix;
pub(crate) use update::Change;

/// Two subtrees: left holds the paths whose bit at `depth` is 0.
pub(crate) struct Inner {
    depth: u16,
    left: Branch,
    right: Branch,
}

/// A shared node. Recursion over nodes follows the depth, which grows by at least one a step and is
/// below [`Path::BITS`].
#[derive(Clone)]
enum Node {
    /// Few leaves.
    Page(Page),
    /// More nodes.
    Inner(Arc<Inner>),
}

/// A node with the hash of everything below it.
#[derive(Clone)]
struct Branch {
    node: Node,
    hash: Hash,
}

impl Inner {
    /// The side on which a path lies, if it lies below this node at all, and the other.
    fn sides(&self, path: &Path) -> (&Branch, &Branch) {
        if path.bit(self.depth) { (&self.right, &self.left) } else { (&self.left, &self.right) }
    }
}

impl Branch {
    /// Some bits of what is copied and counted when a neighbour changes.
    fn glance(&self) -> u16 {
        let first = match &self.node {
            Node::Page(page) => page.depth(0),
            Node::Inner(inner) => inner.depth,
        };
        first ^ u16::from(self.hash.as_bytes()[0])
    }
}

/// The map. Cloning shares everything.
#[derive(Clone)]
pub(crate) struct Tree {
    top: Option<Branch>,
    paths_of: PathsOf,
}

/// The paths of keys, which are given as canonical bytes, in order.
pub(crate) type PathsOf = fn(&[&[u8]]) -> Vec<Path>;

/// A key for looking up: where it lies, and its canonical bytes.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) path: &'a Path,
    pub(crate) key: &'a [u8],
}

/// Key and value of a leaf, both as canonical bytes.
pub(crate) type Entry<'a> = (&'a [u8], &'a [u8]);

impl Tree {
    /// An empty map of keys that lie where this says.
    pub(crate) fn new(paths_of: PathsOf) -> Self {
        Self { top: None, paths_of }
    }

    /// Hash of the whole map; zero if it is empty.
    pub(crate) fn root(&self) -> Hash {
        self.top.as_ref().map_or(Hash::ZERO, |top| top.hash)
    }

    /// The whole map as a subtree, unless it is empty.
    pub(crate) fn top(&self) -> Option<Subtree<'_>> {
        self.top.as_ref().map(Subtree::of)
    }

    /// The value of a key.
    pub(crate) fn get(&self, place: Place<'_>) -> Option<&[u8]> {
        let mut node = &self.top.as_ref()?.node;
        loop {
            match node {
                Node::Inner(inner) => node = &inner.sides(place.path).0.node,
                Node::Page(page) => {
                    let (key, value) = page.entry(page.nearest(place.path));
                    return (key == place.key).then_some(value);
                }
            }
        }
    }

    /// The values of these keys, in order. Walks to many of them at once, so that the processor need not
    /// wait for one node after the other.
    pub(crate) fn get_all(&self, places: &[Place<'_>]) -> Vec<Option<&[u8]>> {
        let Some(top) = &self.top else { return vec![None; places.len()] };
        let mut values = Vec::with_capacity(places.len());
        let found = nearest_all::<false>(top, places.iter().map(|place| place.path));
        for ((page, leaf), place) in found.into_iter().zip(places) {
            let (key, value) = page.entry(leaf);
            values.push((key == place.key).then_some(value));
        }
        values
    }

    /// All leaves in ascending order of their paths.
    pub(crate) fn iter(&self) -> Iter<'_> {
        Iter { open: self.top().into_iter().collect() }
    }
}

/// Walks from the top to a page that are made side by side.
const WALKS: usize = 16;

/// For each path the leaf to which its bits lead, in order: the path's own if there is one. With `FOR_CHANGE`
/// what a change of these leaves will need is looked at on the way, and so comes into the processor's caches:
/// later it would be waited for piece by piece.
fn nearest_all<'a, 'b, const FOR_CHANGE: bool>(
    top: &'a Branch,
    paths: impl Iterator<Item = &'b Path>,
) -> Vec<(&'a Page, usize)> {
    let paths: Vec<&Path> = paths.collect();
    let mut leaves = Vec::with_capacity(paths.len());
    let mut looked_at = 0;
    for group in paths.chunks(WALKS) {
        let mut walks: Vec<&Node> = vec![&top.node; group.len()];
        let mut is_open = true;
        while is_open {
            is_open = false;
            for (walk, path) in walks.iter_mut().zip(group) {
                if let Node::Inner(inner) = *walk {
                    let (next, other) = inner.sides(path);
                    *walk = &next.node;
                    is_open = true;
                    if FOR_CHANGE {
                        looked_at ^= other.glance();
                    }
                }
            }
        }
        for (walk, path) in walks.into_iter().zip(group) {
            // All walks have ended in pages.
            if let Node::Page(page) = walk {
                leaves.push((page, page.nearest(path)));
            }
        }
    }
    std::hint::black_box(looked_at);
    leaves
}

/// Everything below one node, wherever its leaves lie: a node, or a run of leaves of a page.
#[derive(Clone)]
pub(crate) enum Subtree<'a> {
    /// Leaves of several pages.
    Inner(&'a Inner, Hash),
    /// At least one leaf.
    Run(&'a Page, Range<usize>),
}

impl<'a> Subtree<'a> {
    fn of(branch: &'a Branch) -> Self {
        match &branch.node {
            Node::Page(page) => Self::Run(page, 0..page.len()),
            Node::Inner(inner) => Self::Inner(inner, branch.hash),
        }
    }

    /// What a proof says of it.
    pub(crate) fn hash(&self) -> Hash {
        match self {
            Self::Inner(_, hash) => *hash,
            Self::Run(page, run) => page.hash_of(run.clone()),
        }
    }

    /// The bit by which it divides, and both sides; none for a single leaf.
    pub(crate) fn divide(&self) -> Option<(u16, Self, Self)> {
        match self {
            Self::Inner(inner, _) => Some((inner.depth, Self::of(&inner.left), Self::of(&inner.right))),
            Self::Run(page, run) => {
                let part = page.part(run)?;
                let (left, right) = (run.start..part, part..run.end);
                Some((page.depth(part), Self::Run(page, left), Self::Run(page, right)))
            }
        }
    }

    /// All leaves in it, in ascending order of their paths.
    pub(crate) fn iter(&self) -> Iter<'a> {
        Iter { open: vec![self.clone()] }
    }
}

/// Leaves in ascending order of their paths.
pub(crate) struct Iter<'a> {
    /// Subtrees still to be visited, the next one last.
    open: Vec<Subtree<'a>>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.open.pop()? {
                Subtree::Inner(inner, _) => {
                    self.open.push(Subtree::of(&inner.right));
                    self.open.push(Subtree::of(&inner.left));
                }
                Subtree::Run(page, mut run) => {
                    let leaf = run.next()?;
                    if !run.is_empty() {
                        self.open.push(Subtree::Run(page, run));
                    }
                    return Some(page.entry(leaf));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
