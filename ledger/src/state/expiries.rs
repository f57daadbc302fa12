//! Markers in the order in which they expire: a persistent ordered set in pages.
//!
//! A B+ tree of shared pages, all markers at one depth. A change copies the pages that it touches and those
//! above them, so each version is a cheap clone and is never seen changing. Markers come mostly near the end
//! and go at the beginning, so a page that shrinks is not joined with its neighbour, and goes when it is
//! empty. Source of the shape: Comer, "The Ubiquitous B-Tree", ACM Computing Surveys 11(2), 1979.
use quorate_primitives::Timestamp;
use quorate_primitives::state::Path;
use std::slice;
use std::sync::Arc;

/// When a marker expires, and where it lies in the state tree. Ordered by the end of validity, then by the
/// second half of the path, then by the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Expiry {
    time: Timestamp,
    item: [u8; 32],
    group: [u8; 32],
}

impl Expiry {
    pub(crate) fn new(time: Timestamp, path: &Path) -> Self {
        let (group, item) = path.halves();
        Self { time, item: *item, group: *group }
    }

    /// End of the validity of the marker's transaction.
    pub(crate) fn time(&self) -> Timestamp {
        self.time
    }

    /// Where the marker lies.
    pub(crate) fn path(&self) -> Path {
        Path::from_halves(&self.group, &self.item)
    }
}

/// One marker that comes or goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) expiry: Expiry,
    /// Whether the marker is there from now on.
    pub(crate) comes: bool,
}

/// Most markers, or pages, in a page.
const PAGE_MAX: usize = 64;

/// The set. Cloning shares everything.
#[derive(Clone, Default)]
pub(crate) struct Expiries(Option<Page>);

/// Neither kind is ever empty. Recursion over pages follows the depth, which grows with the logarithm of
/// the number of markers.
#[derive(Clone)]
enum Page {
    Markers(Arc<Vec<Expiry>>),
    /// Each with a bound: no marker in it is lower.
    Pages(Arc<Vec<(Expiry, Page)>>),
}

impl Expiries {
    /// The set after these changes, which are strictly ascending. Putting what is there and removing what is
    /// not changes nothing.
    pub(crate) fn update(&self, turns: &[Turn]) -> Self {
        debug_assert!(turns.is_sorted_by(|a, b| a.expiry < b.expiry));
        if turns.is_empty() {
            return self.clone();
        }
        let mut level = match &self.0 {
            Some(top) => top.change(turns),
            None => markers(merge(&[], turns)),
        };
        while level.len() > 1 {
            level = pages(level);
        }
        let mut top = level.pop();
        // A page that holds nothing but one other is not needed above it.
        while let Some(Page::Pages(list)) = &top
            && let [(_, only)] = list.as_slice()
        {
            top = Some(only.clone());
        }
        Self(top)
    }

    /// All markers in order.
    pub(crate) fn iter(&self) -> Iter<'_> {
        Iter { run: [].iter(), open: self.0.iter().collect() }
    }
}

impl Page {
    /// What becomes of a page; nothing if all of it goes, several if it does not fit in one.
    fn change(&self, turns: &[Turn]) -> Vec<Page> {
        let list = match self {
            Page::Markers(list) => return markers(merge(list, turns)),
            Page::Pages(list) => list,
        };
        let mut changed = Vec::with_capacity(list.len());
        let mut turns = turns;
        let bounds = list.iter().skip(1).map(|(bound, _)| Some(*bound)).chain([None]);
        for ((_, page), bound) in list.iter().zip(bounds) {
            let count = bound.map_or(turns.len(), |bound| turns.partition_point(|turn| turn.expiry < bound));
            let (own, rest) = turns.split_at(count);
            turns = rest;
            match own {
                [] => changed.push(page.clone()),
                _ => changed.extend(page.change(own)),
            }
        }
        pages(changed)
    }

    fn bound(&self) -> Option<Expiry> {
        match self {
            Page::Markers(list) => list.first().copied(),
            Page::Pages(list) => list.first().map(|(bound, _)| *bound),
        }
    }
}

/// A page of markers after these changes.
fn merge(old: &[Expiry], turns: &[Turn]) -> Vec<Expiry> {
    let mut merged = Vec::with_capacity(old.len().saturating_add(turns.len()));
    let mut rest = old;
    for turn in turns {
        let (before, from) = rest.split_at(rest.partition_point(|marker| *marker < turn.expiry));
        merged.extend_from_slice(before);
        rest = match from {
            [first, after @ ..] if *first == turn.expiry => after,
            _ => from,
        };
        merged.extend(turn.comes.then_some(turn.expiry));
    }
    merged.extend_from_slice(rest);
    merged
}

/// Markers in pages of about equal size.
fn markers(all: Vec<Expiry>) -> Vec<Page> {
    if all.len() <= PAGE_MAX {
        return if all.is_empty() { Vec::new() } else { vec![Page::Markers(Arc::new(all))] };
    }
    all.chunks(even(all.len())).map(|part| Page::Markers(Arc::new(part.to_vec()))).collect()
}

/// Pages in pages of about equal size.
fn pages(all: Vec<Page>) -> Vec<Page> {
    let size = even(all.len());
    let with_bound = |page: Page| page.bound().map(|bound| (bound, page));
    let all: Vec<(Expiry, Page)> = all.into_iter().filter_map(with_bound).collect();
    all.chunks(size).map(|part| Page::Pages(Arc::new(part.to_vec()))).collect()
}

/// The size of parts into which so many divide most evenly, at least 1.
fn even(count: usize) -> usize {
    count.div_ceil(count.div_ceil(PAGE_MAX).max(1)).max(1)
}

/// Markers in order.
pub(crate) struct Iter<'a> {
    run: slice::Iter<'a, Expiry>,
    /// Pages still to be visited, the next one last.
    open: Vec<&'a Page>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Expiry;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(marker) = self.run.next() {
                return Some(marker);
            }
            match self.open.pop()? {
                Page::Markers(list) => self.run = list.iter(),
                Page::Pages(list) => self.open.extend(list.iter().rev().map(|(_, page)| page)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Numbers that follow from the one before; good enough to scatter markers.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % limit
        }
    }

    fn expiry(time: u64, salt: u64) -> Expiry {
        let mut bytes = [0; 64];
        bytes[..8].copy_from_slice(&salt.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        bytes[32..40].copy_from_slice(&(salt % 7).to_be_bytes());
        Expiry::new(Timestamp::new(time), &Path::from_bytes(bytes))
    }

    /// The set, which must be the model, with pages that are neither empty nor too large, all markers at
    /// one depth.
    fn check(set: &Expiries, model: &BTreeSet<Expiry>) {
        assert!(set.iter().eq(model.iter()));
        fn depth(page: &Page) -> usize {
            match page {
                Page::Markers(list) => {
                    assert!((1..=PAGE_MAX).contains(&list.len()));
                    0
                }
                Page::Pages(list) => {
                    assert!((1..=PAGE_MAX).contains(&list.len()));
                    assert!(list.iter().all(|(bound, page)| Some(*bound) <= page.bound()));
                    let depths: BTreeSet<usize> = list.iter().map(|(_, page)| depth(page)).collect();
                    assert_eq!(depths.len(), 1, "markers at several depths");
                    depths.first().unwrap() + 1
                }
            }
        }
        let depth = set.0.as_ref().map_or(0, depth);
        assert!(depth <= 3, "{depth} levels for {} markers", model.len());
    }

    fn apply(set: &Expiries, model: &mut BTreeSet<Expiry>, turns: Vec<Turn>) -> Expiries {
        let mut turns = turns;
        turns.sort_by_key(|turn| turn.expiry);
        turns.dedup_by_key(|turn| turn.expiry);
        let (before, copy) = (set.clone(), model.clone());
        let after = set.update(&turns);
        for turn in turns {
            if turn.comes {
                model.insert(turn.expiry)
            } else {
                model.remove(&turn.expiry)
            };
        }
        check(&before, &copy);
        check(&after, model);
        after
    }

    #[test]
    fn any_changes_give_what_an_ordered_set_gives() {
        for seed in 0..20 {
            let mut numbers = Numbers(seed);
            let (mut set, mut model) = (Expiries::default(), BTreeSet::new());
            for _ in 0..40 {
                let count = numbers.below(300);
                let turns = (0..count).map(|_| Turn {
                    expiry: expiry(numbers.below(50), numbers.below(40)),
                    comes: numbers.below(3) > 0,
                });
                let turns = turns.collect();
                set = apply(&set, &mut model, turns);
            }
        }
    }

    #[test]
    fn markers_that_come_at_the_end_and_go_at_the_beginning_leave_nothing_behind() {
        let (mut set, mut model) = (Expiries::default(), BTreeSet::<Expiry>::new());
        for round in 0_u64..200 {
            let comes = (0..97).map(|salt| Turn { expiry: expiry(round, salt), comes: true });
            let old = model.iter().take_while(|marker| marker.time().get() + 50 < round);
            let goes = old.map(|marker| Turn { expiry: *marker, comes: false });
            let turns: Vec<Turn> = comes.chain(goes).collect();
            set = apply(&set, &mut model, turns);
        }
        let rest = model.iter().map(|marker| Turn { expiry: *marker, comes: false }).collect();
        let empty = apply(&set, &mut model, rest);
        assert!(empty.0.is_none());
    }

    #[test]
    fn an_expiry_gives_its_path_back() {
        let bytes: [u8; 64] = std::array::from_fn(|position| u8::try_from(position).unwrap());
        let path = Path::from_bytes(bytes);
        assert_eq!(Expiry::new(Timestamp::new(1), &path).path(), path);
    }
}
