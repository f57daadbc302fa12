//! A persistent map from paths to items: a compressed binary tree of shared nodes.
//!
//! An inner node stands at the first bit in which its leaves differ. A change copies only the nodes on
//! the way to it, so each version of the tree is a cheap clone, lives as long as somebody holds it,
//! and is never seen changing. Beside every link stands a summary of what is below it: a hash in the
//! state tree, nothing in an index. An update first finds where its changes go, then shapes the new
//! nodes, and then sums them up level by level from the leaves, many at a time. Source of the shape:
//! `primitives::merkle`.
use quorate_primitives::state::Path;
use std::sync::Arc;

/// What stands beside a link for everything below it.
pub(crate) trait Summary: Clone {
    /// What lies in a leaf.
    type Item;
    /// The summaries of leaves, in order.
    fn of_leaves(leaves: &[Arc<Leaf<Self>>]) -> Vec<Self>;
    /// The summaries of pairs of subtrees, each divided by the bit at its depth, in order.
    fn of_pairs(pairs: &[Pair<'_, Self>]) -> Vec<Self>;
}

/// Two subtrees divided by a bit: depth, left and right.
pub(crate) type Pair<'a, S> = (u16, &'a S, &'a S);

/// An item at its path.
pub(crate) struct Leaf<S: Summary> {
    pub(crate) path: Path,
    pub(crate) item: S::Item,
}

/// Two subtrees: left holds the paths whose bit at `depth` is 0.
pub(crate) struct Inner<S: Summary> {
    pub(crate) depth: u16,
    pub(crate) left: Branch<S>,
    pub(crate) right: Branch<S>,
}

/// A shared node. Recursion over nodes follows the depth, which grows by at least one a step and is
/// below [`Path::BITS`].
pub(crate) enum Node<S: Summary> {
    /// An item.
    Leaf(Arc<Leaf<S>>),
    /// More nodes.
    Inner(Arc<Inner<S>>),
}

/// A node with the summary of everything below it.
pub(crate) struct Branch<S: Summary> {
    pub(crate) node: Node<S>,
    pub(crate) summary: S,
}

impl<S: Summary> Clone for Node<S> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(leaf) => Self::Leaf(Arc::clone(leaf)),
            Self::Inner(inner) => Self::Inner(Arc::clone(inner)),
        }
    }
}

impl<S: Summary> Clone for Branch<S> {
    fn clone(&self) -> Self {
        Self { node: self.node.clone(), summary: self.summary.clone() }
    }
}

impl<S: Summary> Node<S> {
    /// The leaf with the lowest path below this node.
    pub(crate) fn first(&self) -> &Leaf<S> {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(leaf) => return leaf,
                Self::Inner(inner) => node = &inner.left.node,
            }
        }
    }

    /// The leaf to which the bits of a path lead: the path's own if there is one.
    fn nearest(&self, path: &Path) -> &Leaf<S> {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(leaf) => return leaf,
                Self::Inner(inner) => node = &inner.towards(path).node,
            }
        }
    }
}

impl<S: Summary> Inner<S> {
    fn pair(&self) -> Pair<'_, S> {
        (self.depth, &self.left.summary, &self.right.summary)
    }

    /// The side on which a path lies, if it lies below this node at all.
    pub(crate) fn towards(&self, path: &Path) -> &Branch<S> {
        if path.bit(self.depth) { &self.right } else { &self.left }
    }
}

/// A new leaf at a path, or none.
pub(crate) struct Change<S: Summary> {
    /// Where.
    pub(crate) path: Path,
    /// What is there from now on.
    pub(crate) leaf: Option<Arc<Leaf<S>>>,
}

impl<S: Summary> Change<S> {
    /// Puts an item at a path.
    pub(crate) fn put(path: Path, item: S::Item) -> Self {
        Self { path, leaf: Some(Arc::new(Leaf { path, item })) }
    }

    /// Removes what is at a path.
    pub(crate) fn delete(path: Path) -> Self {
        Self { path, leaf: None }
    }
}

/// The map. Cloning shares everything.
pub(crate) struct Tree<S: Summary>(Option<Branch<S>>);

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
    pub(crate) fn top(&self) -> Option<&Branch<S>> {
        self.0.as_ref()
    }

    /// The item at a path.
    pub(crate) fn get(&self, path: &Path) -> Option<&S::Item> {
        let leaf = self.top()?.node.nearest(path);
        (leaf.path == *path).then_some(&leaf.item)
    }

    /// The items at these paths, in order. Walks to many of them at once, so that the processor need not
    /// wait for one node after the other.
    pub(crate) fn get_all(&self, paths: &[&Path]) -> Vec<Option<&S::Item>> {
        let Some(top) = self.top() else { return vec![None; paths.len()] };
        let mut found = Vec::with_capacity(paths.len());
        for (leaf, path) in nearest_all(&top.node, paths).into_iter().zip(paths) {
            found.push((leaf.path == **path).then_some(&leaf.item));
        }
        found
    }

    /// The map after these changes, which are strictly ascending by path; removing what is not there
    /// changes nothing. Neighbours share the nodes that are made for them: as many changes are made at a
    /// time as work on them stays in the processor's caches.
    pub(crate) fn update(&self, changes: impl IntoIterator<Item = Change<S>>) -> Self {
        let mut changes = changes.into_iter();
        let mut tree = self.clone();
        loop {
            let part: Vec<Change<S>> = changes.by_ref().take(CHANGES_AT_ONCE).collect();
            if part.is_empty() {
                return tree;
            }
            debug_assert!(part.is_sorted_by(|a, b| a.path < b.path));
            let placed = place(tree.top(), part);
            let mut draft = Draft(Vec::new());
            let top = draft.update(tree.top(), &placed);
            tree = Self(draft.build(top));
        }
    }

    /// The items in ascending order of their paths, from `from` on.
    pub(crate) fn iter_from(&self, from: &Path) -> Iter<'_, S> {
        let mut open = Vec::new();
        if let Some(top) = self.top() {
            seek(&top.node, from, &mut open);
        }
        Iter { open }
    }

    /// All items in ascending order of their paths.
    pub(crate) fn iter(&self) -> Iter<'_, S> {
        Iter { open: self.top().into_iter().map(|top| &top.node).collect() }
    }
}

/// Changes that are made at a time.
const CHANGES_AT_ONCE: usize = 512;
/// Walks from the top to a leaf that are made side by side.
const WALKS: usize = 16;

/// [`Node::nearest`] of many paths, in order.
fn nearest_all<'a, S: Summary>(top: &'a Node<S>, paths: &[&Path]) -> Vec<&'a Leaf<S>> {
    let mut leaves = Vec::with_capacity(paths.len());
    for group in paths.chunks(WALKS) {
        let mut walks: Vec<&Node<S>> = vec![top; group.len()];
        let mut is_open = true;
        while is_open {
            is_open = false;
            for (walk, path) in walks.iter_mut().zip(group) {
                if let Node::Inner(inner) = *walk {
                    *walk = &inner.towards(path).node;
                    is_open = true;
                }
            }
        }
        leaves.extend(walks.into_iter().map(Node::first));
    }
    leaves
}

/// A change that is known to change something.
struct Placed<S: Summary> {
    path: Path,
    /// The first bit in which the path differs from all paths of the tree; [`Path::BITS`] if it is there.
    difference: u16,
    leaf: Option<Branch<S>>,
}

/// Finds where the changes go, and sums up the new leaves.
fn place<S: Summary>(top: Option<&Branch<S>>, changes: Vec<Change<S>>) -> Vec<Placed<S>> {
    let mut leaves = Vec::with_capacity(changes.len());
    let mut places = Vec::with_capacity(changes.len());
    let paths: Vec<&Path> = changes.iter().map(|change| &change.path).collect();
    let nearest = top.map(|top| nearest_all(&top.node, &paths)).unwrap_or_default();
    let difference =
        |(leaf, path): (&Leaf<S>, &&Path)| leaf.path.first_difference(path).unwrap_or(Path::BITS);
    let differences: Vec<u16> = nearest.into_iter().zip(&paths).map(difference).collect();
    // Every path differs from those of an empty tree.
    let differences = differences.into_iter().chain(std::iter::repeat(0));
    for (Change { path, leaf }, difference) in changes.into_iter().zip(differences) {
        let is_new = leaf.is_some();
        leaves.extend(leaf);
        // To remove what is not there changes nothing.
        if is_new || difference == Path::BITS {
            places.push((path, difference, is_new));
        }
    }
    let summaries = S::of_leaves(&leaves);
    let mut branches =
        leaves.into_iter().zip(summaries).map(|(leaf, summary)| Branch { node: Node::Leaf(leaf), summary });
    let placed = |(path, difference, is_new)| {
        let leaf = if is_new { branches.next() } else { None };
        Placed { path, difference, leaf }
    };
    places.into_iter().map(placed).collect()
}

fn split<S: Summary>(changes: &[Placed<S>], depth: u16) -> (&[Placed<S>], &[Placed<S>]) {
    changes.split_at(changes.partition_point(|change| !change.path.bit(depth)))
}

/// The new inner nodes of an update, by how many of them lie on the longest way down: the first level
/// has none below it.
struct Draft<S: Summary>(Vec<Vec<Joint<S>>>);

/// A new inner node before it is summed up.
struct Joint<S: Summary> {
    depth: u16,
    left: Part<S>,
    right: Part<S>,
}

enum Part<S: Summary> {
    /// Summed up already.
    Whole(Branch<S>),
    /// The joint at this position of a level.
    Joint { level: usize, position: usize },
}

impl<S: Summary> Draft<S> {
    /// What becomes of a node by these changes, all of which belong below it or beside it.
    fn update(&mut self, old: Option<&Branch<S>>, changes: &[Placed<S>]) -> Option<Part<S>> {
        let Some(old) = old else { return self.gather(changes) };
        let Some(first) = changes.iter().min_by_key(|change| change.difference) else {
            return Some(Part::Whole(old.clone()));
        };
        let difference = first.difference;
        match &old.node {
            // All changes are about exactly this leaf: there is one.
            Node::Leaf(_) if difference == Path::BITS => first.leaf.clone().map(Part::Whole),
            Node::Inner(inner) if difference >= inner.depth => {
                let (low, high) = split(changes, inner.depth);
                let left = self.update(Some(&inner.left), low);
                let right = self.update(Some(&inner.right), high);
                self.join(inner.depth, left, right)
            }
            // Some changes lie beside this whole node, which is on the other side of the bit.
            Node::Leaf(_) | Node::Inner(_) => {
                let (low, high) = split(changes, difference);
                let (left, right) = if first.path.bit(difference) {
                    (self.update(Some(old), low), self.gather(high))
                } else {
                    (self.gather(low), self.update(Some(old), high))
                };
                self.join(difference, left, right)
            }
        }
    }

    /// A tree of the new leaves alone; there is nothing to remove.
    fn gather(&mut self, changes: &[Placed<S>]) -> Option<Part<S>> {
        match changes {
            [] => None,
            [change] => change.leaf.clone().map(Part::Whole),
            [first, .., last] => {
                let depth = first.path.first_difference(&last.path)?;
                let (low, high) = split(changes, depth);
                let (left, right) = (self.gather(low), self.gather(high));
                self.join(depth, left, right)
            }
        }
    }

    fn join(&mut self, depth: u16, left: Option<Part<S>>, right: Option<Part<S>>) -> Option<Part<S>> {
        let (left, right) = match (left, right) {
            (Some(left), Some(right)) => (left, right),
            (left, right) => return left.or(right),
        };
        let level = left.levels().max(right.levels());
        if level >= self.0.len() {
            self.0.resize_with(level.saturating_add(1), Vec::new);
        }
        let joints = self.0.get_mut(level)?;
        joints.push(Joint { depth, left, right });
        Some(Part::Joint { level, position: joints.len().saturating_sub(1) })
    }

    /// Makes the nodes, level by level, each summed up at once.
    fn build(self, top: Option<Part<S>>) -> Option<Branch<S>> {
        let mut built: Vec<Vec<Option<Branch<S>>>> = Vec::with_capacity(self.0.len());
        for joints in self.0 {
            let inner = |Joint { depth, left, right }| {
                Some(Inner { depth, left: left.take(&mut built)?, right: right.take(&mut built)? })
            };
            let level: Vec<Inner<S>> = joints.into_iter().filter_map(inner).collect();
            let summaries = S::of_pairs(&level.iter().map(Inner::pair).collect::<Vec<_>>());
            let branch = |(inner, summary)| Some(Branch { node: Node::Inner(Arc::new(inner)), summary });
            built.push(level.into_iter().zip(summaries).map(branch).collect());
        }
        top?.take(&mut built)
    }
}

impl<S: Summary> Part<S> {
    /// Number of levels of new nodes that it has.
    fn levels(&self) -> usize {
        match self {
            Self::Whole(_) => 0,
            Self::Joint { level, .. } => level.saturating_add(1),
        }
    }

    /// The branch; that of a joint is here once its level is built, and belongs to its one parent.
    fn take(self, built: &mut [Vec<Option<Branch<S>>>]) -> Option<Branch<S>> {
        let branch = match self {
            Self::Whole(branch) => Some(branch),
            Self::Joint { level, position } => {
                built.get_mut(level).and_then(|of| of.get_mut(position)).and_then(Option::take)
            }
        };
        debug_assert!(branch.is_some(), "a node is built before its parent, and has only one");
        branch
    }
}

/// Items in ascending order of their paths.
pub(crate) struct Iter<'a, S: Summary> {
    /// Subtrees still to be visited, the next one last.
    open: Vec<&'a Node<S>>,
}

/// Leaves open exactly the subtrees, and parts of subtrees, at or above `from`.
fn seek<'a, S: Summary>(top: &'a Node<S>, from: &Path, open: &mut Vec<&'a Node<S>>) {
    let difference = top.nearest(from).path.first_difference(from).unwrap_or(Path::BITS);
    let mut node = top;
    loop {
        match node {
            Node::Inner(inner) if difference >= inner.depth => {
                if !from.bit(inner.depth) {
                    open.push(&inner.right.node);
                }
                node = &inner.towards(from).node;
            }
            // From here on all paths of the node lie on one side of `from`.
            Node::Inner(_) | Node::Leaf(_) => {
                if difference == Path::BITS || !from.bit(difference) {
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
                Node::Leaf(leaf) => return Some((&leaf.path, &leaf.item)),
                Node::Inner(inner) => {
                    self.open.push(&inner.right.node);
                    node = &inner.left.node;
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
        Tree::default().update(changes)
    }

    fn root(tree: &Tree<Hash>) -> Hash {
        tree.top().map_or(Hash::ZERO, |top| top.summary)
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
                assert_eq!(root(&base.update(changes)), root_of(&expected), "{before:b} {touched:b}");
                let overwrite = model(&paths, touched, 3);
                let changes: Vec<_> =
                    overwrite.iter().map(|(path, value)| Change::put(*path, entry(*value))).collect();
                let mut expected = old.clone();
                expected.extend(overwrite);
                assert_eq!(root(&base.update(changes)), root_of(&expected), "{before:b} {touched:b}");
            }
            assert_eq!(root(&base), root_of(&old), "a later version changed an older one");
        }
    }

    #[test]
    fn more_changes_than_are_made_at_a_time_give_the_tree_of_what_is_left() {
        // Paths in no order, a third of which share their first half.
        let path = |number: usize| {
            let value = |salt: u8| value_hash(&[&number.to_le_bytes()[..], &[salt]].concat());
            let group = if number.is_multiple_of(3) { value_hash(&[9]) } else { value(1) };
            Path::from_bytes([group.as_bytes().as_slice(), value(2).as_bytes()].concat().try_into().unwrap())
        };
        let count = 3 * CHANGES_AT_ONCE + 7;
        let mut expected: Model = (0..count).map(|number| (path(number), 1)).collect();
        let base = tree(&expected);
        assert_eq!(root(&base), root_of(&expected));
        // Some go, some change, some come, and some were never there.
        let mut changes: BTreeMap<Path, Option<u8>> = BTreeMap::new();
        for number in 0..2 * count {
            match number % 4 {
                0 => changes.insert(path(number), None),
                1 => changes.insert(path(number), Some(2)),
                _ => None,
            };
        }
        assert!(changes.len() > CHANGES_AT_ONCE);
        for (path, value) in &changes {
            match value {
                Some(value) => expected.insert(*path, *value),
                None => expected.remove(path),
            };
        }
        let change = |(path, value): (&Path, &Option<u8>)| match value {
            Some(value) => Change::<Hash>::put(*path, entry(*value)),
            None => Change::delete(*path),
        };
        let after = base.update(changes.iter().map(change));
        assert_eq!(root(&after), root_of(&expected));
        let paths: Vec<&Path> = changes.keys().collect();
        let found = after.get_all(&paths).into_iter().map(|found| found.map(|entry| entry.value[0]));
        assert!(found.eq(changes.values().copied()), "values read together are those that were put");
    }

    #[test]
    fn removing_what_is_not_there_shares_the_whole_tree() {
        let paths = paths();
        for subset in 0..1_u32 << paths.len() {
            let base = tree(&model(&paths, subset, 1));
            let absent = model(&paths, !subset, 1);
            let changes: Vec<_> = absent.keys().map(|path| Change::delete(*path)).collect();
            let same = base.update(changes);
            let shared = match (&base.0, &same.0) {
                (Some(Branch { node: Node::Leaf(old), .. }), Some(Branch { node: Node::Leaf(new), .. })) => {
                    Arc::ptr_eq(old, new)
                }
                (
                    Some(Branch { node: Node::Inner(old), .. }),
                    Some(Branch { node: Node::Inner(new), .. }),
                ) => Arc::ptr_eq(old, new),
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
