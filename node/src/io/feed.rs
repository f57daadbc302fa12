//! What became of transactions and blocks, for those who wait for them.
//!
//! One task follows the committed blocks, each exactly once and in order; whatever it misses because it
//! was slow it reads back from the store. It wakes waiters, forgets transactions that are no longer
//! pending, counts for telemetry, and remembers a summary of the newest blocks. Every table has a bound.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::AHashMap;
use quorate_primitives::receipt::{Failure, Receipt, Verdict};
use quorate_primitives::{Hash, Height, Timestamp};
use tokio::sync::oneshot;

/// Most transactions that are remembered as pending: twice what the pool holds.
const PENDING_MAX: usize = 131_072;
/// Most calls that wait for a transaction at a time; one more is told at once that its time is over.
const WAITERS_MAX: usize = 4_096;
/// Blocks whose summary is kept in memory.
const SUMMARIES_MAX: usize = 1_024;

/// Tells clients what became of their transactions.
#[derive(Default)]
pub struct Feed {
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    pending: Expiring<()>,
    waiters: Expiring<Vec<oneshot::Sender<()>>>,
    waiting: usize,
    summaries: BTreeMap<Height, u32>,
    counts: Counts,
}

/// What was committed since the node started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Blocks.
    pub blocks: u64,
    /// Transactions that took effect.
    pub committed: u64,
    /// Transactions without effect, by reason.
    pub failed: BTreeMap<Failure, u64>,
}

/// Entries by transaction that also stand in the order in which their transactions expire.
struct Expiring<T> {
    entries: AHashMap<Hash, (Timestamp, T)>,
    order: BTreeSet<(Timestamp, Hash)>,
}

impl<T> Default for Expiring<T> {
    fn default() -> Self {
        Self { entries: AHashMap::new(), order: BTreeSet::new() }
    }
}

impl<T> Expiring<T> {
    fn insert(&mut self, id: Hash, expires: Timestamp, value: T) {
        self.remove(&id);
        self.entries.insert(id, (expires, value));
        self.order.insert((expires, id));
    }

    fn remove(&mut self, id: &Hash) -> Option<T> {
        let (expires, value) = self.entries.remove(id)?;
        self.order.remove(&(expires, *id));
        Some(value)
    }

    /// Removes what expired before this time.
    fn expire(&mut self, now: Timestamp) -> Vec<T> {
        let mut expired = Vec::new();
        while let Some((_, id)) = self.order.first().copied().filter(|(expires, _)| *expires < now) {
            expired.extend(self.remove(&id));
        }
        expired
    }

    /// Removes what expires first.
    fn drop_first(&mut self) {
        if let Some((_, id)) = self.order.first().copied() {
            self.remove(&id);
        }
    }
}

impl Feed {
    /// An empty feed.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers transactions that were taken here, each with the end of its validity.
    pub fn submitted(&self, transactions: impl IntoIterator<Item = (Hash, Timestamp)>) {
        let mut tables = self.tables();
        for (id, valid_until) in transactions {
            if tables.pending.entries.len() >= PENDING_MAX {
                tables.pending.drop_first();
            }
            tables.pending.insert(id, valid_until, ());
        }
    }

    /// When a transaction that was taken here and is in no block yet expires.
    #[must_use]
    pub fn pending(&self, id: &Hash) -> Option<Timestamp> {
        self.tables().pending.entries.get(id).map(|(expires, ())| *expires)
    }

    /// Resolves when the transaction is in a block, can no longer be, or may be either because blocks
    /// were missed. `None` if too many wait. Whoever drops the receiver no longer counts after the
    /// next block.
    #[must_use]
    pub fn wait(&self, id: Hash, valid_until: Timestamp) -> Option<oneshot::Receiver<()>> {
        let mut tables = self.tables();
        if tables.waiting >= WAITERS_MAX {
            return None;
        }
        tables.waiting += 1;
        let (sender, receiver) = oneshot::channel();
        let mut senders = tables.waiters.remove(&id).unwrap_or_default();
        senders.push(sender);
        tables.waiters.insert(id, valid_until, senders);
        Some(receiver)
    }

    /// Takes note of a block.
    pub fn block(&self, height: Height, time: Timestamp, receipts: &[Receipt]) {
        let mut tables = self.tables();
        tables.counts.blocks += 1;
        let count = u32::try_from(receipts.len()).unwrap_or(u32::MAX);
        tables.summaries.insert(height, count);
        if tables.summaries.len() > SUMMARIES_MAX {
            tables.summaries.pop_first();
        }
        let mut woken = Vec::new();
        for receipt in receipts {
            match receipt.verdict {
                Verdict::Committed => tables.counts.committed += 1,
                Verdict::Failed { failure, .. } => *tables.counts.failed.entry(failure).or_default() += 1,
            }
            tables.pending.remove(&receipt.transaction);
            woken.extend(tables.waiters.remove(&receipt.transaction));
        }
        tables.pending.expire(time);
        woken.extend(tables.waiters.expire(time));
        tables.wake(woken);
        tables.forget_absent();
    }

    /// Wakes everybody who waits, because blocks were missed.
    pub fn missed(&self) {
        let mut tables = self.tables();
        let all = std::mem::take(&mut tables.waiters);
        let senders = all.entries.into_values().map(|(_, senders)| senders).collect();
        tables.wake(senders);
    }

    /// Transactions of a recent block.
    #[must_use]
    pub fn transactions_at(&self, height: Height) -> Option<u32> {
        self.tables().summaries.get(&height).copied()
    }

    /// What was committed since the node started.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.tables().counts.clone()
    }
}

impl Tables {
    fn wake(&mut self, woken: Vec<Vec<oneshot::Sender<()>>>) {
        for sender in woken.into_iter().flatten() {
            self.waiting -= 1;
            // Whoever no longer waits has dropped the other end.
            let _ = sender.send(());
        }
    }

    /// Forgets waiters that gave up, when there are enough of them to matter.
    fn forget_absent(&mut self) {
        if self.waiting < WAITERS_MAX / 2 {
            return;
        }
        let mut gone = Vec::new();
        for (id, (_, senders)) in &mut self.waiters.entries {
            let before = senders.len();
            senders.retain(|sender| !sender.is_closed());
            self.waiting -= before - senders.len();
            if senders.is_empty() {
                gone.push(*id);
            }
        }
        for id in gone {
            self.waiters.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_primitives::codec::List;

    fn id(number: u8) -> Hash {
        Hash::from_bytes([number; 32])
    }

    fn receipt(number: u8) -> Receipt {
        Receipt {
            transaction: id(number),
            verdict: Verdict::Committed,
            events: List::default(),
            balances: List::default(),
        }
    }

    #[test]
    fn wakes_the_waiter_of_a_committed_transaction_and_no_other() {
        let feed = Feed::new();
        let mut first = feed.wait(id(1), Timestamp::new(100)).unwrap();
        let mut second = feed.wait(id(2), Timestamp::new(100)).unwrap();
        feed.block(Height::new(1), Timestamp::new(50), &[receipt(1)]);
        assert_eq!(first.try_recv(), Ok(()));
        assert!(second.try_recv().is_err());
    }

    #[test]
    fn wakes_a_waiter_whose_transaction_expired_but_not_at_its_last_moment() {
        let feed = Feed::new();
        let mut waiter = feed.wait(id(1), Timestamp::new(100)).unwrap();
        feed.block(Height::new(1), Timestamp::new(100), &[]);
        assert!(waiter.try_recv().is_err());
        feed.block(Height::new(2), Timestamp::new(101), &[]);
        assert_eq!(waiter.try_recv(), Ok(()));
    }

    #[test]
    fn a_transaction_is_pending_until_it_is_in_a_block_or_expires() {
        let feed = Feed::new();
        feed.submitted([(id(1), Timestamp::new(100)), (id(2), Timestamp::new(10))]);
        feed.block(Height::new(1), Timestamp::new(50), &[]);
        assert_eq!(feed.pending(&id(1)), Some(Timestamp::new(100)));
        assert_eq!(feed.pending(&id(2)), None);
        feed.block(Height::new(2), Timestamp::new(60), &[receipt(1)]);
        assert_eq!(feed.pending(&id(1)), None);
    }

    #[test]
    fn refuses_more_waiters_than_the_bound_and_recovers_when_they_give_up() {
        let feed = Feed::new();
        let waiters: Vec<_> =
            (0..WAITERS_MAX).map(|_| feed.wait(id(1), Timestamp::new(100)).unwrap()).collect();
        assert!(feed.wait(id(2), Timestamp::new(100)).is_none());
        drop(waiters);
        feed.block(Height::new(1), Timestamp::new(1), &[]);
        assert!(feed.wait(id(2), Timestamp::new(100)).is_some());
    }

    #[test]
    fn everybody_is_woken_when_blocks_were_missed() {
        let feed = Feed::new();
        let mut waiter = feed.wait(id(1), Timestamp::new(100)).unwrap();
        feed.missed();
        assert_eq!(waiter.try_recv(), Ok(()));
    }
}
