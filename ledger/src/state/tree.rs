//! A persistent map from paths to items: a compressed binary tree of shared nodes.
//!
//! An inner node stands at the first bit in which its leaves differ. A change copies only the nodes on
//! the way to it, so each version of the tree is a cheap clone, lives as long as somebody holds it,
//! and is never seen changing. Every node carries a summary of what is below it: a hash in the state
//! tree, nothing in an index. Source of the shape: `primitives::merkle`.
use quorate_primitives::state::Path;
use std::sync::Arc;

/// What a node remembers about everything below it.
pub(crate) trait Summary: Clone {
    /// What lies in a leaf.
    type Item;
    /// The summary of one leaf.
    fn of_leaf(path: &Path, item: &Self::Item) -> Self;
    /// The summary of two subtrees divided by the bit at `depth`.
    fn of_pair(depth: u16, left: &Self, right: &Self) -> Self;
}

/// One node. Recursion over nodes follows the depth, which grows by at least one a step and is below
/// [`Path::BITS`].
pub(crate) enum Node<S: Summary> {
    /// An item.
    Leaf { path: Path, item: S::Item, summary: S },
    /// Two subtrees: left holds the paths whose bit at `depth` is 0.
    Inner { depth: u16, left: Link<S>, right: Link<S>, summary: S },
}

/// A shared node.
pub(crate) type Link<S> = Arc<Node<S>>;

/// A new leaf at a path, or none.
pub(crate) struct Change<S: Summary> {
    /// Where.
    pub(crate) path: Path,
    /// What is there from now on.
    pub(crate) leaf: Option<Link<S>>,
}

impl<S: Summary> Change<S> {
    /// Puts an item at a path.
    pub(crate) fn put(path: Path, item: S::Item) -> Self {
        let summary = S::of_leaf(&path, &item);
        Self { path, leaf: Some(Arc::new(Node::Leaf { path, item, summary })) }
    }

    /// Removes what is at a path.
    pub(crate) fn delete(path: Path) -> Self {
        Self { path, leaf: None }
    }
}

impl<S: Summary> Node<S> {
    pub(crate) fn summary(&self) -> &S {
        match self {
            Self::Leaf { summary, .. } | Self::Inner { summary, .. } => summary,
        }
    }

    /// The lowest path below this node.
    pub(crate) fn first_path(&self) -> &Path {
        let mut node = self;
        loop {
            match node {
                Self::Leaf { path, .. } => return path,
                Self::Inner { left, .. } => node = left,
            }
        }
    }
}

/// The map. Cloning shares everything.
pub(crate) struct Tree<S: Summary>(Option<Link<S>>);

impl<S: Summary> Clone for Tree<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Summary> Default for Tree<S> {
    fn default() -> Self {
        Self(None)
    }
}

impl<S: Summary> Tree<S> {
    /// The top node, unless the map is empty.
    pub(crate) fn top(&self) -> Option<&Node<S>> {
        self.0.as_deref()
    }

    /// The item at a path.
    pub(crate) fn get(&self, path: &Path) -> Option<&S::Item> {
        let mut node = self.top()?;
        loop {
            match node {
                Node::Leaf { path: found, item, .. } => return (found == path).then_some(item),
                Node::Inner { depth, left, right, .. } => {
                    node = if path.bit(*depth) { right } else { left };
                }
            }
        }
    }

    /// The map after these changes, which are strictly ascending by path. Each node on the way is
    /// made, and summed up, once.
    pub(crate) fn update(&self, changes: &[Change<S>]) -> Self {
        debug_assert!(changes.is_sorted_by(|a, b| a.path < b.path));
        Self(update(self.0.as_ref(), changes))
    }

    /// The items in ascending order of their paths, from `from` on.
    pub(crate) fn iter_from(&self, from: &Path) -> Iter<'_, S> {
        let mut open = Vec::new();
        if let Some(top) = self.top() {
            seek(top, from, &mut open);
        }
        Iter { open }
    }

    /// All items in ascending order of their paths.
    pub(crate) fn iter(&self) -> Iter<'_, S> {
        Iter { open: self.top().into_iter().collect() }
    }
}

fn update<S: Summary>(node: Option<&Link<S>>, changes: &[Change<S>]) -> Option<Link<S>> {
    let Some(node) = node else { return build(changes) };
    let [first, .., last] = changes else {
        return match changes {
            [change] => update_within(node, changes, divergence(node, change, change)),
            _ => Some(Arc::clone(node)),
        };
    };
    update_within(node, changes, divergence(node, first, last))
}

/// The first bit in which any of the changes leaves the common beginning of the node's paths: as they
/// are sorted, that of the first or of the last.
fn divergence<S: Summary>(node: &Node<S>, first: &Change<S>, last: &Change<S>) -> u16 {
    let known = node.first_path();
    let of = |change: &Change<S>| change.path.first_difference(known).unwrap_or(Path::BITS);
    of(first).min(of(last))
}

fn update_within<S: Summary>(node: &Link<S>, changes: &[Change<S>], divergence: u16) -> Option<Link<S>> {
    match node.as_ref() {
        // All changes are about exactly this leaf: there is one.
        Node::Leaf { .. } if divergence == Path::BITS => {
            changes.first().and_then(|change| change.leaf.clone())
        }
        Node::Inner { depth, left, right, .. } if divergence >= *depth => {
            let (low, high) = split(changes, *depth);
            let (new_left, new_right) = (update(Some(left), low), update(Some(right), high));
            let same =
                |old: &Link<S>, new: &Option<Link<S>>| new.as_ref().is_some_and(|new| Arc::ptr_eq(old, new));
            if same(left, &new_left) && same(right, &new_right) {
                return Some(Arc::clone(node));
            }
            join(*depth, new_left, new_right)
        }
        // Some changes lie beside this whole node.
        Node::Leaf { .. } | Node::Inner { .. } => {
            let (low, high) = split(changes, divergence);
            if node.first_path().bit(divergence) {
                join(divergence, build(low), update(Some(node), high))
            } else {
                join(divergence, update(Some(node), low), build(high))
            }
        }
    }
}

fn split<S: Summary>(changes: &[Change<S>], depth: u16) -> (&[Change<S>], &[Change<S>]) {
    changes.split_at(changes.partition_point(|change| !change.path.bit(depth)))
}

/// A tree of the new leaves alone; there is nothing to remove.
fn build<S: Summary>(changes: &[Change<S>]) -> Option<Link<S>> {
    match changes {
        [] => None,
        [change] => change.leaf.clone(),
        [first, .., last] => {
            let depth = first.path.first_difference(&last.path)?;
            let (low, high) = split(changes, depth);
            join(depth, build(low), build(high))
        }
    }
}

fn join<S: Summary>(depth: u16, left: Option<Link<S>>, right: Option<Link<S>>) -> Option<Link<S>> {
    match (left, right) {
        (Some(left), Some(right)) => {
            let summary = S::of_pair(depth, left.summary(), right.summary());
            Some(Arc::new(Node::Inner { depth, left, right, summary }))
        }
        (left, right) => left.or(right),
    }
}

/// Items in ascending order of their paths.
pub(crate) struct Iter<'a, S: Summary> {
    /// Subtrees still to be visited, the next one last.
    open: Vec<&'a Node<S>>,
}

/// Leaves open exactly the subtrees, and parts of subtrees, at or above `from`.
fn seek<'a, S: Summary>(top: &'a Node<S>, from: &Path, open: &mut Vec<&'a Node<S>>) {
    let mut node = top;
    loop {
        let first = node.first_path();
        let difference = first.first_difference(from).unwrap_or(Path::BITS);
        match node {
            Node::Inner { depth, left, right, .. } if difference >= *depth => {
                if from.bit(*depth) {
                    node = right;
                } else {
                    open.push(right);
                    node = left;
                }
            }
            // From here on all paths of the node lie on one side of `from`.
            Node::Inner { .. } | Node::Leaf { .. } => {
                if first >= from {
                    open.push(node);
                }
                return;
            }
        }
    }
}

impl<'a, S: Summary> Iterator for Iter<'a, S> {
    type Item = (&'a Path, &'a S::Item);

    fn next(&mut self) -> Option<Self::Item> {
        let mut node = self.open.pop()?;
        loop {
            match node {
                Node::Leaf { path, item, .. } => return Some((path, item)),
                Node::Inner { left, right, .. } => {
                    self.open.push(right);
                    node = left;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Entry;
    use quorate_primitives::Hash;
    use quorate_primitives::merkle::{Leaf, tree_root};
    use quorate_primitives::state::{StateKey, value_hash};
    use std::collections::BTreeMap;

    /// Paths that part at the first bit, at the last, within a byte, and at the middle.
    fn paths() -> Vec<Path> {
        let with = |changes: &[(usize, u8)]| {
            let mut bytes = [0; 64];
            changes.iter().for_each(|(position, byte)| bytes[*position] = *byte);
            Path::from_bytes(bytes)
        };
        let mut paths = vec![
            with(&[]),
            with(&[(63, 1)]),
            with(&[(32, 0x80)]),
            with(&[(31, 1)]),
            with(&[(0, 0x80)]),
            with(&[(0, 0x80), (63, 3)]),
            with(&[(0, 0xff), (1, 0x10)]),
        ];
        paths.sort_unstable();
        paths
    }

    type Model = BTreeMap<Path, u8>;

    fn model(paths: &[Path], subset: u32, value: u8) -> Model {
        let chosen = (0..).zip(paths).filter(|(bit, _)| subset >> bit & 1 == 1);
        chosen.map(|(_, path)| (*path, value)).collect()
    }

    fn entry(value: u8) -> Entry {
        Entry { key: StateKey::Parameters, value: vec![value] }
    }

    fn tree(model: &Model) -> Tree<Hash> {
        let changes: Vec<_> = model.iter().map(|(path, value)| Change::put(*path, entry(*value))).collect();
        Tree::default().update(&changes)
    }

    fn root(tree: &Tree<Hash>) -> Hash {
        tree.top().map_or(Hash::ZERO, |node| *node.summary())
    }

    fn root_of(model: &Model) -> Hash {
        let leaf = |(path, value): (&Path, &u8)| Leaf { path: *path, value: value_hash(&[*value]) };
        tree_root(&model.iter().map(leaf).collect::<Vec<_>>())
    }

    #[test]
    fn every_change_of_every_small_tree_gives_the_tree_of_what_is_left() {
        let paths = paths();
        for before in 0..1_u32 << paths.len() {
            let old = model(&paths, before, 1);
            let base = tree(&old);
            assert_eq!(root(&base), root_of(&old));
            for touched in 0..1_u32 << paths.len() {
                // Of the touched paths, those that were there go and the others come; then all change.
                let toggled = before ^ touched;
                let mut expected = old.clone();
                let mut changes = Vec::new();
                for (bit, path) in (0..).zip(&paths).filter(|(bit, _)| touched >> bit & 1 == 1) {
                    if toggled >> bit & 1 == 1 {
                        expected.insert(*path, 2);
                        changes.push(Change::put(*path, entry(2)));
                    } else {
                        expected.remove(path);
                        changes.push(Change::delete(*path));
                    }
                }
                assert_eq!(root(&base.update(&changes)), root_of(&expected), "{before:b} {touched:b}");
                let overwrite = model(&paths, touched, 3);
                let changes: Vec<_> =
                    overwrite.iter().map(|(path, value)| Change::put(*path, entry(*value))).collect();
                let mut expected = old.clone();
                expected.extend(overwrite);
                assert_eq!(root(&base.update(&changes)), root_of(&expected), "{before:b} {touched:b}");
            }
            assert_eq!(root(&base), root_of(&old), "a later version changed an older one");
        }
    }

    #[test]
    fn removing_what_is_not_there_shares_the_whole_tree() {
        let paths = paths();
        for subset in 0..1_u32 << paths.len() {
            let base = tree(&model(&paths, subset, 1));
            let absent = model(&paths, !subset, 1);
            let changes: Vec<_> = absent.keys().map(|path| Change::delete(*path)).collect();
            let same = base.update(&changes);
            let shared = match (&base.0, &same.0) {
                (Some(old), Some(new)) => Arc::ptr_eq(old, new),
                (None, None) => true,
                _ => false,
            };
            assert!(shared, "{subset:b}");
            assert_eq!(root(&same), root(&base));
        }
    }

    #[test]
    fn every_small_tree_finds_and_orders_like_an_ordered_map() {
        let paths = paths();
        for subset in 0..1_u32 << paths.len() {
            let expected = model(&paths, subset, 1);
            let tree = tree(&expected);
            assert!(tree.iter().map(|(path, _)| *path).eq(expected.keys().copied()));
            for path in &paths {
                assert_eq!(tree.get(path).is_some(), expected.contains_key(path));
                let from = tree.iter_from(path).map(|(path, _)| *path);
                assert!(from.eq(expected.range(*path..).map(|(path, _)| *path)), "{subset:b} {path:?}");
            }
        }
    }
}
