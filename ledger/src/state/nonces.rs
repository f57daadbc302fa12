//! Until when the transaction was valid that used a nonce: an index beside the state tree, which no hash covers.
//!
//! Markers lie in the tree by the end of validity, so that a nonce alone does not tell where its marker is. The
//! index says where it may be, and whoever asks looks there: an entry whose marker is gone, or that is of
//! another nonce with the same print, is worth nothing and does no harm. So it need not forget at once, and
//! how it is kept cannot be seen in what the ledger does.
//!
//! Entries stand in sorted runs, one for each block, and a run that has become as long as the one before is
//! merged with it: there are few runs, and each version shares nearly all with the one before. Source of the
//! shape: Bentley and Saxe, "Decomposable Searching Problems I: Static-to-Dynamic Transformation", Journal of
//! Algorithms 1(4), 1980.
use ahash::RandomState;
use quorate_primitives::Timestamp;
use quorate_primitives::address::AccountId;
use quorate_primitives::transaction::Nonce;
use std::ops::Range;
use std::sync::Arc;

/// Where a nonce may be used: part of a hash of sender and nonce, and the end of validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    print: u64,
    valid_until: Timestamp,
}

/// A nonce that a transaction used.
pub(crate) struct Used<'a> {
    pub(crate) valid_until: Timestamp,
    pub(crate) sender: &'a AccountId,
    pub(crate) nonce: &'a Nonce,
}

/// The index. Cloning shares everything.
#[derive(Clone, Default)]
pub(crate) struct Nonces {
    /// Prints are keyed at random, so that nobody can choose nonces that share one.
    hasher: RandomState,
    /// Each longer than the next.
    runs: Vec<Arc<Run>>,
}

impl Nonces {
    /// The index with these as well. Entries of transactions that were valid until before `forgotten` may go.
    pub(crate) fn after<'a>(&self, used: impl Iterator<Item = Used<'a>>, forgotten: Timestamp) -> Self {
        let entry = |Used { valid_until, sender, nonce }: Used<'_>| Entry {
            print: self.hasher.hash_one((sender, nonce)),
            valid_until,
        };
        let mut entries: Vec<Entry> = used.map(entry).collect();
        if entries.is_empty() {
            return self.clone();
        }
        entries.sort_unstable();
        let mut runs = self.runs.clone();
        while let Some(last) = runs.pop_if(|last| last.entries.len() <= entries.len()) {
            entries = merge(&last.entries, &entries, forgotten);
        }
        runs.push(Arc::new(Run::new(entries)));
        Self { hasher: self.hasher.clone(), runs }
    }

    /// Ends of validity under which the marker of a nonce may lie.
    pub(crate) fn ends(&self, sender: &AccountId, nonce: &Nonce) -> impl Iterator<Item = Timestamp> {
        let print = self.hasher.hash_one((sender, nonce));
        let found = self.runs.iter().flat_map(move |run| run.bucket(print));
        found.filter(move |entry| entry.print == print).map(|entry| entry.valid_until)
    }
}

/// Both, sorted, without what is forgotten.
fn merge(first: &[Entry], second: &[Entry], forgotten: Timestamp) -> Vec<Entry> {
    let mut merged = Vec::with_capacity(first.len().saturating_add(second.len()));
    let (mut first, mut second) = (first.iter().peekable(), second.iter().peekable());
    loop {
        let next = match (first.peek(), second.peek()) {
            (Some(a), Some(b)) if a <= b => first.next(),
            (Some(_), None) => first.next(),
            (_, Some(_)) => second.next(),
            (None, None) => return merged,
        };
        merged.extend(next.filter(|entry| entry.valid_until >= forgotten));
    }
}

/// Entries that share a place in the directory of a run, about.
const BUCKET: usize = 8;

/// Entries ascending by their prints, with a directory of where those begin that share their first bits.
struct Run {
    entries: Vec<Entry>,
    /// For each value of the first bits, where such prints begin; and the end.
    starts: Vec<u32>,
    /// By how many bits a print is shifted to leave its first ones; 64 for none.
    shift: u32,
}

impl Run {
    /// A run of sorted entries.
    fn new(entries: Vec<Entry>) -> Self {
        let buckets = entries.len().div_ceil(BUCKET).next_power_of_two();
        let shift = u64::BITS.saturating_sub(buckets.trailing_zeros());
        let mut starts = Vec::with_capacity(buckets.saturating_add(1));
        for (position, entry) in (0_u32..).zip(&entries) {
            while starts.len() <= place(entry.print, shift) {
                starts.push(position);
            }
        }
        let end = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        starts.resize(buckets.saturating_add(1), end);
        Self { entries, starts, shift }
    }

    /// Entries among which all with this print are.
    fn bucket(&self, print: u64) -> &[Entry] {
        let place = place(print, self.shift);
        let bound =
            |place: usize| self.starts.get(place).copied().and_then(|start| usize::try_from(start).ok());
        let range = |start, end| Range { start, end };
        let bounds = bound(place).zip(bound(place.saturating_add(1)));
        bounds.and_then(|(start, end)| self.entries.get(range(start, end))).unwrap_or_default()
    }
}

/// The place of a print in a directory.
fn place(print: u64, shift: u32) -> usize {
    usize::try_from(print.checked_shr(shift).unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn name(number: u64) -> (AccountId, Nonce) {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&number.to_be_bytes());
        (AccountId::from_bytes([u8::try_from(number % 3).unwrap(); 32]), nonce)
    }

    fn after(nonces: &Nonces, numbers: Range<u64>, forgotten: u64) -> Nonces {
        let names: Vec<(AccountId, Nonce)> = numbers.clone().map(name).collect();
        let used = numbers.zip(&names).map(|(number, (sender, nonce))| Used {
            valid_until: Timestamp::new(number),
            sender,
            nonce,
        });
        nonces.after(used, Timestamp::new(forgotten))
    }

    fn ends(nonces: &Nonces, number: u64) -> Vec<u64> {
        let (sender, nonce) = name(number);
        nonces.ends(&sender, &nonce).map(|end| end.get()).collect()
    }

    #[test]
    fn every_nonce_that_was_used_is_found_and_no_other() {
        let mut nonces = Nonces::default();
        assert!(ends(&nonces, 0).is_empty());
        let mut count = 0;
        for size in [1, 1, 3, 40, 2, 700, 700, 1, 5, 3_000] {
            let earlier = nonces.clone();
            nonces = after(&nonces, count..count + size, 0);
            assert!(ends(&earlier, count).is_empty(), "an earlier version does not change");
            count += size;
            assert!((0..count).all(|number| ends(&nonces, number) == [number]));
            assert!((count..count + 500).all(|number| ends(&nonces, number).is_empty()));
        }
    }

    #[test]
    fn a_nonce_is_found_under_each_end_of_validity() {
        let (sender, nonce) = name(1);
        let mut nonces = Nonces::default();
        for end in [9, 4, 6] {
            let used = Used { valid_until: Timestamp::new(end), sender: &sender, nonce: &nonce };
            nonces = nonces.after([used].into_iter(), Timestamp::ZERO);
        }
        assert_eq!(BTreeSet::from_iter(ends(&nonces, 1)), BTreeSet::from([4, 6, 9]));
    }

    #[test]
    fn runs_stay_few_and_what_is_forgotten_goes() {
        let mut nonces = Nonces::default();
        for block in 0..2_000_u64 {
            nonces = after(&nonces, block * 5..block * 5 + 5, (block * 5).saturating_sub(1_000));
            assert!(nonces.runs.len() <= 14, "one for each doubling");
            assert!(ends(&nonces, block * 5) == [block * 5]);
        }
        let kept: usize = nonces.runs.iter().map(|run| run.entries.len()).sum();
        assert!(kept < 10_000, "{kept} of 10,000 are kept, 1,000 of which are alive");
    }
}
