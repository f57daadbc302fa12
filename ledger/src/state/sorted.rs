//! A persistent ordered set in pages.
//!
//! A B+ tree of shared pages, all items at one depth. A change copies the pages that it touches and those
//! above them, so each version is a cheap clone and is never seen changing. A page that shrinks is not
//! joined with its neighbour, and goes when it is empty: most sets grow near their end and shrink at their
//! beginning, or hardly change. Source of the shape: Comer, "The Ubiquitous B-Tree", ACM Computing Surveys
//! 11(2), 1979.
use std::slice;
use std::sync::Arc;

/// One item that comes or goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn<T> {
    pub(crate) item: T,
    /// Whether the item is there from now on.
    pub(crate) comes: bool,
}

/// Most items, or pages, in a page.
const PAGE_MAX: usize = 64;

/// The set. Cloning shares everything.
#[derive(Clone)]
pub(crate) struct Sorted<T>(Option<Page<T>>);

/// Neither kind is ever empty. Recursion over pages follows the depth, which grows with the logarithm of
/// the number of items.
#[derive(Clone)]
enum Page<T> {
    Items(Arc<Vec<T>>),
    /// Each with a bound: no item in it is lower.
    Pages(Arc<Vec<(T, Page<T>)>>),
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Ord + Clone> Sorted<T> {
    /// The set after these changes, which are strictly ascending. Putting what is there and removing what is
    /// not changes nothing.
    pub(crate) fn update(&self, turns: &[Turn<T>]) -> Self {
        debug_assert!(turns.is_sorted_by(|a, b| a.item < b.item));
        if turns.is_empty() {
            return self.clone();
        }
        let mut level = match &self.0 {
            Some(top) => top.change(turns),
            None => items(merge(&[], turns)),
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

    /// All items in order.
    pub(crate) fn iter(&self) -> Iter<'_, T> {
        Iter { run: [].iter(), open: self.0.iter().collect() }
    }

    /// The items in order, from this one on.
    pub(crate) fn iter_from(&self, from: &T) -> Iter<'_, T> {
        let mut iter = Iter { run: [].iter(), open: Vec::new() };
        let mut next = self.0.as_ref();
        while let Some(page) = next.take() {
            match page {
                Page::Items(list) => {
                    let (_, rest) = list.split_at(list.partition_point(|item| item < from));
                    iter.run = rest.iter();
                }
                Page::Pages(list) => {
                    // The last page whose bound is not above it may hold it; those after it hold only higher ones.
                    let after = list.partition_point(|(bound, _)| bound <= from).max(1);
                    let (before, above) = list.split_at(after.min(list.len()));
                    iter.open.extend(above.iter().rev().map(|(_, page)| page));
                    next = before.last().map(|(_, page)| page);
                }
            }
        }
        iter
    }
}

impl<T: Ord + Clone> Page<T> {
    /// What becomes of a page; nothing if all of it goes, several if it does not fit in one.
    fn change(&self, turns: &[Turn<T>]) -> Vec<Page<T>> {
        let list = match self {
            Page::Items(list) => return items(merge(list, turns)),
            Page::Pages(list) => list,
        };
        let mut changed = Vec::with_capacity(list.len());
        let mut turns = turns;
        let bounds = list.iter().skip(1).map(|(bound, _)| Some(bound)).chain([None]);
        for ((_, page), bound) in list.iter().zip(bounds) {
            let count = bound.map_or(turns.len(), |bound| turns.partition_point(|turn| turn.item < *bound));
            let (own, rest) = turns.split_at(count);
            turns = rest;
            match own {
                [] => changed.push(page.clone()),
                _ => changed.extend(page.change(own)),
            }
        }
        pages(changed)
    }

    fn bound(&self) -> Option<T> {
        match self {
            Page::Items(list) => list.first().cloned(),
            Page::Pages(list) => list.first().map(|(bound, _)| bound.clone()),
        }
    }
}

/// The items of a page after these changes.
fn merge<T: Ord + Clone>(old: &[T], turns: &[Turn<T>]) -> Vec<T> {
    let mut merged = Vec::with_capacity(old.len().saturating_add(turns.len()));
    let mut rest = old;
    for turn in turns {
        let (before, from) = rest.split_at(rest.partition_point(|item| *item < turn.item));
        merged.extend_from_slice(before);
        rest = match from {
            [first, after @ ..] if *first == turn.item => after,
            _ => from,
        };
        merged.extend(turn.comes.then(|| turn.item.clone()));
    }
    merged.extend_from_slice(rest);
    merged
}

/// Items in pages of about equal size.
fn items<T: Clone>(mut all: Vec<T>) -> Vec<Page<T>> {
    if all.len() <= PAGE_MAX {
        all.shrink_to_fit();
        return if all.is_empty() { Vec::new() } else { vec![Page::Items(Arc::new(all))] };
    }
    all.chunks(even(all.len())).map(|part| Page::Items(Arc::new(part.to_vec()))).collect()
}

/// Pages in pages of about equal size.
fn pages<T: Ord + Clone>(all: Vec<Page<T>>) -> Vec<Page<T>> {
    let size = even(all.len());
    let with_bound = |page: Page<T>| page.bound().map(|bound| (bound, page));
    let all: Vec<(T, Page<T>)> = all.into_iter().filter_map(with_bound).collect();
    all.chunks(size).map(|part| Page::Pages(Arc::new(part.to_vec()))).collect()
}

/// The size of parts into which so many divide most evenly, at least 1.
fn even(count: usize) -> usize {
    count.div_ceil(count.div_ceil(PAGE_MAX).max(1)).max(1)
}

/// Items in order.
pub(crate) struct Iter<'a, T> {
    run: slice::Iter<'a, T>,
    /// Pages still to be visited, the next one last.
    open: Vec<&'a Page<T>>,
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.run.next() {
                return Some(item);
            }
            match self.open.pop()? {
                Page::Items(list) => self.run = list.iter(),
                Page::Pages(list) => self.open.extend(list.iter().rev().map(|(_, page)| page)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Numbers that follow from the one before; good enough to scatter items.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % limit
        }
    }

    type Pair = (u64, u64);

    /// The set, which must be the model, with pages that are neither empty nor too large, all items at
    /// one depth.
    fn check(set: &Sorted<Pair>, model: &BTreeSet<Pair>) {
        assert!(set.iter().eq(model.iter()));
        fn depth(page: &Page<Pair>) -> usize {
            match page {
                Page::Items(list) => {
                    assert!((1..=PAGE_MAX).contains(&list.len()));
                    0
                }
                Page::Pages(list) => {
                    assert!((1..=PAGE_MAX).contains(&list.len()));
                    assert!(list.iter().all(|(bound, page)| Some(*bound) <= page.bound()));
                    let depths: BTreeSet<usize> = list.iter().map(|(_, page)| depth(page)).collect();
                    assert_eq!(depths.len(), 1, "items at several depths");
                    depths.first().unwrap() + 1
                }
            }
        }
        let depth = set.0.as_ref().map_or(0, depth);
        assert!(depth <= 3, "{depth} levels for {} items", model.len());
    }

    fn apply(set: &Sorted<Pair>, model: &mut BTreeSet<Pair>, turns: Vec<Turn<Pair>>) -> Sorted<Pair> {
        let mut turns = turns;
        turns.sort_by_key(|turn| turn.item);
        turns.dedup_by_key(|turn| turn.item);
        let (before, copy) = (set.clone(), model.clone());
        let after = set.update(&turns);
        for turn in turns {
            if turn.comes {
                model.insert(turn.item)
            } else {
                model.remove(&turn.item)
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
            let (mut set, mut model) = (Sorted::default(), BTreeSet::new());
            for _ in 0..40 {
                let count = numbers.below(300);
                let turns = (0..count).map(|_| Turn {
                    item: (numbers.below(50), numbers.below(40)),
                    comes: numbers.below(3) > 0,
                });
                let turns = turns.collect();
                set = apply(&set, &mut model, turns);
            }
        }
    }

    #[test]
    fn items_from_any_one_on_are_those_of_an_ordered_set() {
        let mut numbers = Numbers(7);
        let turns =
            (0..3_000).map(|_| Turn { item: (numbers.below(90), 2 * numbers.below(90)), comes: true });
        let (mut model, turns) = (BTreeSet::new(), turns.collect());
        let set = apply(&Sorted::default(), &mut model, turns);
        assert!(matches!(set.0, Some(Page::Pages(_))), "one page is all there is");
        for from in (0..92).flat_map(|first| (0..92).map(move |second| (first, 2 * second + first % 2))) {
            assert!(set.iter_from(&from).eq(model.range(from..)), "{from:?}");
        }
        assert!(Sorted::<Pair>::default().iter_from(&(0, 0)).next().is_none());
    }

    #[test]
    fn items_that_come_at_the_end_and_go_at_the_beginning_leave_nothing_behind() {
        let (mut set, mut model) = (Sorted::default(), BTreeSet::<Pair>::new());
        for round in 0_u64..200 {
            let comes = (0..97).map(|salt| Turn { item: (round, salt * 31 % 97), comes: true });
            let old = model.iter().take_while(|(time, _)| time + 50 < round);
            let goes = old.map(|item| Turn { item: *item, comes: false });
            let turns: Vec<Turn<Pair>> = comes.chain(goes).collect();
            set = apply(&set, &mut model, turns);
        }
        let rest = model.iter().map(|item| Turn { item: *item, comes: false }).collect();
        let empty = apply(&set, &mut model, rest);
        assert!(empty.0.is_none());
    }
}
