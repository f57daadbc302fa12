//! The next version of a tree after changes of single keys: the new leaves, and where they and what is removed
//! lie. What is made of them is a [`Draft`].
use quorate_primitives::Hash;
use quorate_primitives::hash::Domain;
use quorate_primitives::hash::many::Messages;
use quorate_primitives::state::Path;

use super::draft::Draft;
use super::{Branch, PathsOf, Tree, nearest_all};

/// A new value for a key, or none.
pub(crate) struct Change<'a> {
    /// Where.
    pub(crate) path: &'a Path,
    /// Of what, as canonical bytes.
    pub(crate) key: &'a [u8],
    /// What is there from now on.
    pub(crate) value: Option<&'a [u8]>,
}

/// Changes that are made at a time.
const CHANGES_AT_ONCE: usize = 512;
/// Room for one message of the state tree; most values are shorter.
const MESSAGE_BYTES: usize = 100;

impl Tree {
    /// The map after these changes, which are strictly ascending by path; removing what is not there
    /// changes nothing. Neighbours share the nodes that are made for them: as many changes are made at a
    /// time as work on them stays in the processor's caches.
    pub(crate) fn update<'a>(&self, changes: impl IntoIterator<Item = Change<'a>>) -> Self {
        let mut changes = changes.into_iter();
        let mut tree = self.clone();
        loop {
            let part: Vec<Change<'_>> = changes.by_ref().take(CHANGES_AT_ONCE).collect();
            if part.is_empty() {
                return tree;
            }
            debug_assert!(part.is_sorted_by(|a, b| a.path < b.path));
            tree.top = changed(tree.top.as_ref(), &part, self.paths_of);
        }
    }
}

/// The tree after a few changes.
fn changed(top: Option<&Branch>, changes: &[Change<'_>], paths_of: PathsOf) -> Option<Branch> {
    let leaves = leaves(changes);
    let placed = place(top, changes, paths_of);
    let mut draft = Draft::new(&leaves);
    let part = draft.update(top, &placed);
    draft.finish(part)
}

/// A leaf that is new or has a new value.
pub(super) struct NewLeaf<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) hash: Hash,
}

/// The new leaves, in the order of the changes that make them.
fn leaves<'a>(changes: &[Change<'a>]) -> Vec<NewLeaf<'a>> {
    let put = || changes.iter().filter_map(|change| Some((change, change.value?)));
    let mut messages = Messages::with_capacity(changes.len(), MESSAGE_BYTES);
    put().for_each(|(_, value)| messages.push(Domain::StateValue, &[value]));
    let values = messages.hashes();
    messages.clear();
    for ((change, _), value) in put().zip(&values) {
        messages.push(Domain::TreeLeaf, &[change.path.as_bytes(), value.as_bytes()]);
    }
    put()
        .zip(messages.hashes())
        .map(|((change, value), hash)| NewLeaf { key: change.key, value, hash })
        .collect()
}

/// A change that is known to change something.
pub(super) struct Placed<'a> {
    pub(super) path: &'a Path,
    /// The first bit in which the path differs from all paths of the tree; [`Path::BITS`] if it is there.
    pub(super) difference: u16,
    /// The leaf of its page to which the path's bits lead.
    pub(super) nearest: usize,
    /// Which new leaf, if it is not removed.
    pub(super) leaf: Option<usize>,
}

impl<'a> Placed<'a> {
    /// Whether the tree has its key.
    pub(super) fn is_there(&self) -> bool {
        self.difference == Path::BITS
    }

    /// The removal of a leaf of a page, of which `path` need not be the path: that it is there is known.
    pub(super) fn removed(path: &'a Path, leaf: usize) -> Self {
        Self { path, difference: Path::BITS, nearest: leaf, leaf: None }
    }
}

/// Finds where the changes go.
fn place<'a>(top: Option<&Branch>, changes: &[Change<'a>], paths_of: PathsOf) -> Vec<Placed<'a>> {
    let mut placed: Vec<Placed<'_>> = Vec::with_capacity(changes.len());
    // Positions of what is not there, and the keys to which its paths lead.
    let (mut strangers, mut keys) = (Vec::new(), Vec::new());
    let found = top.map(|top| nearest_all::<true>(top, changes.iter().map(|change| change.path)));
    let mut found = found.into_iter().flatten();
    let mut count = 0_usize;
    for change in changes {
        let leaf = change.value.map(|_| count);
        count = count.saturating_add(usize::from(leaf.is_some()));
        let nearest = found.next();
        let key = nearest.map(|(page, position)| page.entry(position).0);
        let is_there = key == Some(change.key);
        // To remove what is not there changes nothing.
        if leaf.is_none() && !is_there {
            continue;
        }
        if let (false, Some(key)) = (is_there, key) {
            strangers.push(placed.len());
            keys.push(key);
        }
        // Every path differs from those of an empty tree in its first bit.
        let difference = if is_there { Path::BITS } else { 0 };
        let nearest = nearest.map_or(0, |(_, position)| position);
        placed.push(Placed { path: change.path, difference, nearest, leaf });
    }
    for (position, path) in strangers.into_iter().zip(paths_of(&keys)) {
        if let Some(placed) = placed.get_mut(position) {
            placed.difference = placed.path.first_difference(&path).unwrap_or(Path::BITS);
        }
    }
    placed
}
