//! Taking out of one part of a tree all that should go, in one pass over it: neighbours that go share
//! the pages and nodes that are made anew, and nobody needs to know their paths.
use quorate_primitives::state::Path;
use std::ops::Range;

use super::draft::{Draft, Part};
use super::page::Page;
use super::update::Placed;
use super::{Branch, Entry, Node, PathsOf, Subtree, Tree};

/// A part of a tree: all paths that share their first bits with this one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix<'a> {
    /// The lowest of these paths.
    pub(crate) first: &'a Path,
    /// How many bits they share.
    pub(crate) bits: u16,
}

impl Prefix<'_> {
    fn holds(&self, path: &Path) -> bool {
        self.first.first_difference(path).is_none_or(|difference| difference >= self.bits)
    }
}

impl Tree {
    /// The map without those leaves of a part of it of which this says that they go.
    pub(crate) fn sweep(&self, part: Prefix<'_>, goes: &mut dyn FnMut(Entry<'_>) -> bool) -> Self {
        let Some(top) = &self.top else { return self.clone() };
        let mut sweep = Sweep { part, goes, paths_of: self.paths_of };
        let mut draft = Draft::new(&[]);
        let left = sweep.within(&mut draft, top);
        Self { top: draft.finish(left), paths_of: self.paths_of }
    }
}

struct Sweep<'f> {
    part: Prefix<'f>,
    goes: &'f mut dyn FnMut(Entry<'_>) -> bool,
    paths_of: PathsOf,
}

impl Sweep<'_> {
    /// What is left of a node that may hold the whole part, or some of it.
    fn within<'a>(&mut self, draft: &mut Draft<'a>, old: &'a Branch) -> Option<Part<'a>> {
        match &old.node {
            Node::Page(page) => {
                let run = self.run_of(page);
                self.page(draft, old, (page, run))
            }
            Node::Inner(inner) if inner.depth < self.part.bits => {
                let is_right = self.part.first.bit(inner.depth);
                let side = if is_right { &inner.right } else { &inner.left };
                let left = self.within(draft, side);
                if is_same(left.as_ref(), side) {
                    return Some(Part::Whole(old));
                }
                if is_right {
                    draft.join(inner.depth, Some(Part::Whole(&inner.left)), left)
                } else {
                    draft.join(inner.depth, left, Some(Part::Whole(&inner.right)))
                }
            }
            // All leaves share the bits that matter, with the part or not.
            Node::Inner(_) => {
                let first = Subtree::of(old).iter().next();
                let path = first.and_then(|(key, _)| (self.paths_of)(&[key]).pop());
                match path {
                    Some(path) if self.part.holds(&path) => self.all(draft, old),
                    Some(_) | None => Some(Part::Whole(old)),
                }
            }
        }
    }

    /// What is left of a node all of whose leaves lie in the part.
    fn all<'a>(&mut self, draft: &mut Draft<'a>, old: &'a Branch) -> Option<Part<'a>> {
        match &old.node {
            Node::Page(page) => self.page(draft, old, (page, 0..page.len())),
            Node::Inner(inner) => {
                let (left, right) = (self.all(draft, &inner.left), self.all(draft, &inner.right));
                if is_same(left.as_ref(), &inner.left) && is_same(right.as_ref(), &inner.right) {
                    return Some(Part::Whole(old));
                }
                draft.join(inner.depth, left, right)
            }
        }
    }

    /// What is left of a page, of whose leaves these may go.
    fn page<'a>(
        &mut self,
        draft: &mut Draft<'a>,
        old: &'a Branch,
        (page, run): (&'a Page, Range<usize>),
    ) -> Option<Part<'a>> {
        let gone: Vec<Placed<'_>> = run
            .filter(|leaf| (self.goes)(page.entry(*leaf)))
            .map(|leaf| Placed::removed(self.part.first, leaf))
            .collect();
        if gone.is_empty() { Some(Part::Whole(old)) } else { draft.rewrite(page, &gone) }
    }

    /// The leaves of a page that lie in the part.
    fn run_of(&self, page: &Page) -> Range<usize> {
        let nearest = page.nearest(self.part.first);
        let path = (self.paths_of)(&[page.entry(nearest).0]).pop();
        if !path.is_some_and(|path| self.part.holds(&path)) {
            return 0..0;
        }
        let is_apart = |leaf: &usize| page.depth(*leaf) < self.part.bits;
        let start = (1..=nearest).rev().find(is_apart).unwrap_or(0);
        let end = (nearest.saturating_add(1)..page.len()).find(is_apart).unwrap_or(page.len());
        start..end
    }
}

/// Whether nothing went from a branch. One whose other side went altogether may be what is left of it, too.
fn is_same(left: Option<&Part<'_>>, old: &Branch) -> bool {
    matches!(left, Some(Part::Whole(branch)) if std::ptr::eq(*branch, old))
}
