//! What is new in the next version of a tree: first its shape, then its hashes, many at a time from the leaves
//! up, and at last the new pages and nodes.
use quorate_primitives::Hash;
use quorate_primitives::hash::Domain;
use quorate_primitives::hash::many::Messages;
use quorate_primitives::state::Path;
use std::ops::Range;
use std::sync::Arc;

use super::page::{PAGE_MAX, PAGE_MERGED_MAX, PageLeaf};
use super::patch::Patch;
use super::update::{NewLeaf, Placed};
use super::{Branch, Inner, Node, Page};

fn split<'a, 'b>(changes: &'b [Placed<'a>], depth: u16) -> (&'b [Placed<'a>], &'b [Placed<'a>]) {
    changes.split_at(changes.partition_point(|change| !change.path.bit(depth)))
}

/// The new pages and inner nodes of an update, before they are hashed.
pub(super) struct Draft<'a> {
    leaves: &'a [NewLeaf<'a>],
    /// Leaves of the new pages: each page is a run of them.
    items: Vec<Item<'a>>,
    /// What is to be hashed, by how many such nodes lie on the longest way down: the first level has none
    /// below it.
    levels: Vec<Vec<Joint>>,
    /// New inner nodes between pages, each after those below it.
    inners: Vec<NewInner<'a>>,
    /// Pages of which one leaf is new.
    patches: Vec<Patch<'a>>,
    /// Inner nodes of those, as [`Patch::joins`] says.
    pub(super) patch_joins: Vec<(usize, Summary)>,
    /// Room for the nodes of a page that are not whole yet.
    open: Vec<Open>,
}

/// A leaf of a new page.
#[derive(Clone)]
struct Item<'a> {
    source: Source<'a>,
    /// First bit in which it differs from the item before in its page.
    depth: u16,
    /// Whether every node that has it below it is to be hashed anew.
    is_touched: bool,
    /// What the inner node is hashed to that parts it from the item before; what it was if this is none.
    join: Option<Summary>,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    /// As it is at this position of a page.
    Kept(&'a Page, usize),
    /// This one of the new leaves.
    New(usize),
}

/// The hash of a subtree, now or later.
#[derive(Clone, Copy)]
pub(super) enum Summary {
    Known(Hash),
    /// Of this new leaf.
    Leaf(usize),
    /// Of the joint at this position of a level.
    Joint {
        level: usize,
        position: usize,
    },
}

impl Summary {
    /// Number of levels that must be hashed before it is known.
    fn levels(&self) -> usize {
        match self {
            Self::Known(_) | Self::Leaf(_) => 0,
            Self::Joint { level, .. } => level.saturating_add(1),
        }
    }
}

/// A subtree of a page.
struct Whole {
    summary: Summary,
    /// Whether it has a leaf below it for which it is to be hashed anew.
    is_touched: bool,
}

impl Whole {
    fn of(item: &Item<'_>) -> Self {
        Self { summary: item.summary(), is_touched: item.is_touched }
    }
}

/// A node of a page whose left side is whole.
struct Open {
    /// The first item of its right side.
    position: usize,
    depth: u16,
    left: Whole,
}

/// Two subtrees divided by a bit.
struct Joint {
    depth: u16,
    left: Summary,
    right: Summary,
}

/// A subtree of the next version.
pub(super) enum Part<'a> {
    /// As it was.
    Whole(&'a Branch),
    /// A page of this run of items.
    Page(Range<usize>),
    /// This one of the patches.
    Patch(usize),
    /// This one of the new inner nodes.
    Inner(usize),
}

/// A part whose hash is known or on its way.
struct Settled<'a> {
    part: Part<'a>,
    summary: Summary,
}

struct NewInner<'a> {
    depth: u16,
    left: Settled<'a>,
    right: Settled<'a>,
    summary: Summary,
}

impl<'a> Draft<'a> {
    /// A draft that may use these new leaves.
    pub(super) fn new(leaves: &'a [NewLeaf<'a>]) -> Self {
        Self {
            leaves,
            items: Vec::new(),
            levels: Vec::new(),
            inners: Vec::new(),
            patches: Vec::new(),
            patch_joins: Vec::new(),
            open: Vec::new(),
        }
    }

    /// The tree that a draft of all its parts gives.
    pub(super) fn finish(mut self, top: Option<Part<'a>>) -> Option<Branch> {
        let top = top.map(|part| self.settle(part));
        self.build(top)
    }

    /// What becomes of a node by these changes, all of which belong below it or beside it.
    pub(super) fn update(&mut self, old: Option<&'a Branch>, changes: &[Placed<'_>]) -> Option<Part<'a>> {
        let Some(old) = old else { return self.gather(changes) };
        let Some(first) = changes.iter().min_by_key(|change| change.difference) else {
            return Some(Part::Whole(old));
        };
        let difference = first.difference;
        match &old.node {
            // What lies beside the leaves of a page may lie in it as well.
            Node::Page(page) => self.change(page, changes),
            Node::Inner(inner) if difference >= inner.depth => {
                let (low, high) = split(changes, inner.depth);
                let left = self.update(Some(&inner.left), low);
                let right = self.update(Some(&inner.right), high);
                self.join(inner.depth, left, right)
            }
            // Some changes lie beside this whole node, which is on the other side of the bit.
            Node::Inner(_) => {
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

    /// Key and value of a new leaf.
    pub(super) fn entry_of(&self, leaf: usize) -> Option<(&'a [u8], &'a [u8])> {
        self.leaves.get(leaf).map(|leaf| (leaf.key, leaf.value))
    }

    /// A page after these changes.
    fn change(&mut self, page: &'a Page, changes: &[Placed<'_>]) -> Option<Part<'a>> {
        if let [change] = changes
            && let Some(patch) = self.patch(page, change)
        {
            self.patches.push(patch);
            return Some(Part::Patch(self.patches.len().saturating_sub(1)));
        }
        self.rewrite(page, changes)
    }

    /// A tree of the new leaves alone; there is nothing to remove.
    fn gather(&mut self, changes: &[Placed<'_>]) -> Option<Part<'a>> {
        let start = self.items.len();
        let mut before: Option<&Path> = None;
        for change in changes {
            let depth = before.and_then(|before| before.first_difference(change.path)).unwrap_or(0);
            before = Some(change.path);
            self.items.extend(change.leaf.map(|leaf| Item::new(leaf, depth)));
        }
        self.divide(start..self.items.len())
    }

    /// A page after these changes. All leaves that were there or come are gone through in order; the first
    /// difference of two that become neighbours is the least of those between them.
    pub(super) fn rewrite(&mut self, page: &'a Page, changes: &[Placed<'_>]) -> Option<Part<'a>> {
        let start = self.items.len();
        let mut rewriting = Rewriting { start, next: 0, depth: None, removed: None, newest: None };
        for change in changes {
            let is_there = change.is_there();
            let is_right = change.path.bit(change.difference);
            let gap =
                if is_there { change.nearest } else { page.gap(change.nearest, change.difference, is_right) };
            rewriting.keep_until(page, gap, &mut self.items);
            match (is_there, change.leaf) {
                (true, leaf) => {
                    let depth = rewriting.depth.take().unwrap_or(page.depth(gap));
                    rewriting.next = gap.saturating_add(1);
                    rewriting.newest = None;
                    match leaf {
                        Some(leaf) => rewriting.push(&mut self.items, Item::new(leaf, depth)),
                        None => rewriting.remove(&mut self.items, depth),
                    }
                }
                (false, Some(leaf)) => {
                    // After another that comes to the same gap, or after the leaf that was there.
                    let newest = rewriting.newest.replace(*change.path);
                    let after_newest = newest.and_then(|newest| newest.first_difference(change.path));
                    let after_old = if is_right { change.difference } else { page.depth(gap) };
                    rewriting.push(&mut self.items, Item::new(leaf, after_newest.unwrap_or(after_old)));
                    rewriting.depth = (!is_right).then_some(change.difference);
                }
                // To remove what is not there was left out.
                (false, None) => {}
            }
        }
        rewriting.keep_until(page, page.len(), &mut self.items);
        self.divide(start..self.items.len())
    }

    /// Puts a run of items into as many pages as it needs.
    fn divide(&mut self, run: Range<usize>) -> Option<Part<'a>> {
        if run.is_empty() {
            return None;
        }
        if run.len() <= PAGE_MAX {
            return Some(Part::Page(run));
        }
        let part = self.part(&run)?;
        let depth = self.items.get(part)?.depth;
        let (left, right) = (self.divide(run.start..part), self.divide(part..run.end));
        self.join(depth, left, right)
    }

    /// Where the two sides of a run of items part: the first item of the right side.
    fn part(&self, run: &Range<usize>) -> Option<usize> {
        let first = run.start.saturating_add(1);
        let items = self.items.get(first..run.end).unwrap_or_default();
        (first..).zip(items).min_by_key(|(_, item)| item.depth).map(|(position, _)| position)
    }

    /// Two parts under the node that divides them by this bit, or the one that there is.
    pub(super) fn join(
        &mut self,
        depth: u16,
        left: Option<Part<'a>>,
        right: Option<Part<'a>>,
    ) -> Option<Part<'a>> {
        let (left, right) = match (left, right) {
            (Some(left), Some(right)) => (left, right),
            (left, right) => return left.or(right),
        };
        let is_new = matches!(left, Part::Page(_)) || matches!(right, Part::Page(_));
        if is_new && left.page_len().saturating_add(right.page_len()) <= PAGE_MERGED_MAX {
            return Some(self.merge(depth, &left, &right));
        }
        let (left, right) = (self.settle(left), self.settle(right));
        let summary = self.sum(depth, left.summary, right.summary);
        self.inners.push(NewInner { depth, left, right, summary });
        Some(Part::Inner(self.inners.len().saturating_sub(1)))
    }

    /// One page of two.
    fn merge(&mut self, depth: u16, left: &Part<'a>, right: &Part<'a>) -> Part<'a> {
        let start = self.items.len();
        self.take_items(left);
        let middle = self.items.len();
        self.take_items(right);
        if let Some(item) = self.items.get_mut(middle) {
            item.depth = depth;
        }
        Part::Page(start..self.items.len())
    }

    /// Copies the items of a page to the end.
    fn take_items(&mut self, part: &Part<'a>) {
        match part {
            Part::Whole(Branch { node: Node::Page(page), .. }) => {
                self.items
                    .extend((0..page.len()).map(|position| Item::kept(page, position, page.depth(position))));
            }
            Part::Page(run) => self.items.extend_from_within(run.clone()),
            // The others are no pages, or too long.
            Part::Whole(_) | Part::Patch(_) | Part::Inner(_) => {}
        }
    }

    /// Sees to it that a part's hash is known or on its way.
    fn settle(&mut self, part: Part<'a>) -> Settled<'a> {
        let summary = match &part {
            Part::Whole(branch) => Summary::Known(branch.hash),
            Part::Page(run) => self.sum_run(run.clone()),
            Part::Patch(patch) => {
                self.patches.get(*patch).map_or(Summary::Known(Hash::ZERO), |patch| patch.summary)
            }
            Part::Inner(inner) => {
                self.inners.get(*inner).map_or(Summary::Known(Hash::ZERO), |inner| inner.summary)
            }
        };
        Settled { part, summary }
    }

    /// The hash of a run of items, which is never empty. Nodes are closed from left to right: one is whole
    /// when an item follows that a higher node parts from it.
    fn sum_run(&mut self, run: Range<usize>) -> Summary {
        let mut open = std::mem::take(&mut self.open);
        let Some(mut whole) = self.items.get(run.start).map(Whole::of) else {
            return Summary::Known(Hash::ZERO);
        };
        for position in run.skip(1) {
            let Some(item) = self.items.get(position) else { break };
            let (depth, next) = (item.depth, Whole::of(item));
            while let Some(node) = open.pop_if(|node| node.depth > depth) {
                whole = self.close(node, whole);
            }
            open.push(Open { position, depth, left: whole });
            whole = next;
        }
        while let Some(node) = open.pop() {
            whole = self.close(node, whole);
        }
        self.open = open;
        whole.summary
    }

    /// The node that parts an item from the one before, of which this is the right side.
    fn close(&mut self, node: Open, right: Whole) -> Whole {
        let Open { position, depth, left } = node;
        let is_touched = left.is_touched || right.is_touched;
        if !is_touched
            && let Some(Source::Kept(page, leaf)) = self.items.get(position).map(|item| item.source)
        {
            return Whole { summary: Summary::Known(page.join(leaf)), is_touched };
        }
        let summary = self.sum(depth, left.summary, right.summary);
        if let Some(item) = self.items.get_mut(position) {
            item.join = Some(summary);
        }
        Whole { summary, is_touched }
    }

    /// Has a pair hashed once what it is made of is known.
    pub(super) fn sum(&mut self, depth: u16, left: Summary, right: Summary) -> Summary {
        let level = left.levels().max(right.levels());
        if level >= self.levels.len() {
            self.levels.resize_with(level.saturating_add(1), Vec::new);
        }
        let Some(joints) = self.levels.get_mut(level) else { return left };
        joints.push(Joint { depth, left, right });
        Summary::Joint { level, position: joints.len().saturating_sub(1) }
    }

    /// Hashes everything, level by level, and makes the pages and nodes.
    fn build(self, top: Option<Settled<'a>>) -> Option<Branch> {
        let mut hashes = Hashes { leaves: self.leaves, levels: Vec::with_capacity(self.levels.len()) };
        let mut messages = Messages::default();
        for joints in &self.levels {
            messages.clear();
            for Joint { depth, left, right } in joints {
                let (left, right) = (hashes.get(left), hashes.get(right));
                messages.push(Domain::TreeInner, &[&depth.to_be_bytes(), left.as_bytes(), right.as_bytes()]);
            }
            hashes.levels.push(messages.hashes());
        }
        let Self { items, inners, patches, patch_joins, .. } = self;
        let mut builder = Builder {
            hashes,
            items: &items,
            patches: &patches,
            patch_joins: &patch_joins,
            built: Vec::with_capacity(inners.len()),
            buffer: Vec::new(),
        };
        for NewInner { depth, left, right, summary } in inners {
            let (left, right) = (builder.branch(left)?, builder.branch(right)?);
            let node = Node::Inner(Arc::new(Inner { depth, left, right }));
            let hash = *builder.hashes.get(&summary);
            builder.built.push(Some(Branch { node, hash }));
        }
        builder.branch(top?)
    }
}

/// Hashes as far as they are computed.
pub(super) struct Hashes<'a> {
    pub(super) leaves: &'a [NewLeaf<'a>],
    levels: Vec<Vec<Hash>>,
}

impl Hashes<'_> {
    pub(super) fn get<'a>(&'a self, summary: &'a Summary) -> &'a Hash {
        let hash = match summary {
            Summary::Known(hash) => Some(hash),
            Summary::Leaf(leaf) => self.leaves.get(*leaf).map(|leaf| &leaf.hash),
            Summary::Joint { level, position } => {
                self.levels.get(*level).and_then(|level| level.get(*position))
            }
        };
        debug_assert!(hash.is_some(), "what a node is made of is hashed before it");
        hash.unwrap_or(&Hash::ZERO)
    }
}

/// Makes the pages and nodes of a draft, all of whose hashes are computed.
struct Builder<'a> {
    hashes: Hashes<'a>,
    items: &'a [Item<'a>],
    patches: &'a [Patch<'a>],
    patch_joins: &'a [(usize, Summary)],
    /// Inner nodes that no parent has taken yet.
    built: Vec<Option<Branch>>,
    /// Room for a page.
    buffer: Vec<u8>,
}

impl Builder<'_> {
    /// The branch of a part; that of an inner node is here already, and belongs to its one parent.
    fn branch(&mut self, settled: Settled<'_>) -> Option<Branch> {
        let hash = *self.hashes.get(&settled.summary);
        match settled.part {
            Part::Whole(branch) => Some(branch.clone()),
            Part::Inner(inner) => {
                let branch = self.built.get_mut(inner).and_then(Option::take);
                debug_assert!(branch.is_some(), "a node is built before its parent, and has only one");
                branch
            }
            Part::Page(run) => {
                let mut leaves = [PageLeaf::NONE; PAGE_MAX];
                let items = self.items.get(run).unwrap_or_default();
                debug_assert!(items.len() <= PAGE_MAX, "runs are divided before");
                for (leaf, item) in leaves.iter_mut().zip(items) {
                    *leaf = item.leaf(&self.hashes)?;
                }
                let page = Page::new(leaves.get(..items.len())?, &mut self.buffer);
                Some(Branch { node: Node::Page(page), hash })
            }
            Part::Patch(patch) => {
                let page =
                    self.patches.get(patch)?.build(&self.hashes, self.patch_joins, &mut self.buffer)?;
                Some(Branch { node: Node::Page(page), hash })
            }
        }
    }
}

impl Part<'_> {
    /// Number of leaves of a page; no page can take a part that is none, or a patch.
    fn page_len(&self) -> usize {
        match self {
            Self::Whole(Branch { node: Node::Page(page), .. }) => page.len(),
            Self::Page(run) => run.len(),
            Self::Whole(_) | Self::Patch(_) | Self::Inner(_) => PAGE_MAX,
        }
    }
}

impl<'a> Item<'a> {
    fn new(leaf: usize, depth: u16) -> Self {
        Self { source: Source::New(leaf), depth, is_touched: true, join: None }
    }

    fn kept(page: &'a Page, position: usize, depth: u16) -> Self {
        Self { source: Source::Kept(page, position), depth, is_touched: false, join: None }
    }

    fn summary(&self) -> Summary {
        match self.source {
            Source::Kept(page, position) => Summary::Known(page.hash(position)),
            Source::New(leaf) => Summary::Leaf(leaf),
        }
    }

    /// As its page holds it. Every item is of a leaf that there is.
    fn leaf<'b>(&'b self, hashes: &'b Hashes<'b>) -> Option<PageLeaf<'b>> {
        let leaf = match self.source {
            Source::Kept(page, position) => page.leaf(position),
            Source::New(new) => {
                let NewLeaf { key, value, hash } = hashes.leaves.get(new)?;
                let hash = hash.as_bytes();
                PageLeaf { depth: self.depth, entry: [key, value], hash, join: hash }
            }
        };
        let join = self.join.as_ref().map_or(leaf.join, |join| hashes.get(join).as_bytes());
        Some(PageLeaf { depth: self.depth, join, ..leaf })
    }
}

/// How far a page is gone through.
struct Rewriting {
    /// First item of the new page.
    start: usize,
    /// The leaf of the old page that comes next.
    next: usize,
    /// First difference of that leaf from the one before, if that is not the page's any more.
    depth: Option<u16>,
    /// Least difference since the last item, if leaves were removed after it.
    removed: Option<u16>,
    /// Path of the last item, if it came to the gap before the next leaf.
    newest: Option<Path>,
}

impl Rewriting {
    /// Keeps the leaves before this one.
    fn keep_until<'a>(&mut self, page: &'a Page, end: usize, items: &mut Vec<Item<'a>>) {
        for position in self.next..end {
            let depth = self.depth.take().unwrap_or(page.depth(position));
            self.newest = None;
            self.push(items, Item::kept(page, position, depth));
        }
        self.next = self.next.max(end);
    }

    fn push<'a>(&mut self, items: &mut Vec<Item<'a>>, mut item: Item<'a>) {
        if let Some(least) = self.removed.take() {
            item.depth = item.depth.min(least);
            item.is_touched = true;
        }
        items.push(item);
    }

    /// Leaves a leaf out. Every node that loses it and stays has one of its neighbours below it.
    fn remove(&mut self, items: &mut [Item<'_>], depth: u16) {
        let before = items.get_mut(self.start..).and_then(<[Item<'_>]>::last_mut);
        if let Some(before) = before {
            before.is_touched = true;
        }
        self.removed = Some(self.removed.map_or(depth, |least| least.min(depth)));
    }
}
