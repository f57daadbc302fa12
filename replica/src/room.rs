//! How many transactions may wait: about as many as the network lately put into blocks in one second.
//!
//! Whoever offers more than the network can order would otherwise fill every pool, and all clients would wait
//! for the whole backlog; the validators, too, busy with what cannot be ordered soon. What counts is all that this
//! replica knows of and no block holds, whoever took it. A validator whose own clients have less than its
//! share of that waiting still takes theirs, so that others cannot crowd them out; of one sender it takes a
//! quarter at most.
use quorate_primitives::Timestamp;
use std::collections::VecDeque;

use crate::replica::Replica;

/// Blocks that are remembered at most; more in a second count as the last of them do.
const BLOCKS_MAX: usize = 1_024;
/// The time over which blocks are counted, in ms.
const WINDOW_MS: u64 = 1_000;

/// Transactions that lately came into the ledger.
#[derive(Default)]
pub(crate) struct Throughput {
    blocks: VecDeque<(Timestamp, usize)>,
    sum: usize,
}

impl Throughput {
    /// A block with so many transactions was committed.
    pub(crate) fn record(&mut self, now: Timestamp, transactions: usize) {
        self.blocks.push_back((now, transactions));
        self.sum = self.sum.saturating_add(transactions);
        while self.blocks.len() > BLOCKS_MAX {
            self.forget_first();
        }
    }

    /// Transactions of the last second.
    pub(crate) fn last_second(&mut self, now: Timestamp) -> usize {
        while self.blocks.front().is_some_and(|(at, _)| at.saturating_add(WINDOW_MS) < now) {
            self.forget_first();
        }
        self.sum
    }

    fn forget_first(&mut self) {
        if let Some((_, transactions)) = self.blocks.pop_front() {
            self.sum = self.sum.saturating_sub(transactions);
        }
    }
}

impl Replica {
    /// How many transactions may wait in the whole network.
    pub(crate) fn backlog_max(&mut self) -> usize {
        self.throughput.last_second(self.now).max(self.settings.pool.backlog_min)
    }

    /// How many more transactions of clients this replica would take now, as far as their number decides.
    pub fn room(&mut self) -> usize {
        let most = self.backlog_max();
        let limits = &self.settings.pool;
        let (own, travelling) = (self.mempool.len(), self.bundles.transactions());
        let backlog = self.mempool.waiting().saturating_add(travelling);
        let share = most.checked_div(self.members.len()).unwrap_or(most);
        let room = most.saturating_sub(backlog).max(share.saturating_sub(own));
        room.min(limits.transactions_max.saturating_sub(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::new(ms)
    }

    #[test]
    fn only_the_last_second_counts() {
        let mut throughput = Throughput::default();
        assert_eq!(throughput.last_second(at(0)), 0);
        throughput.record(at(100), 5);
        throughput.record(at(900), 7);
        assert_eq!(throughput.last_second(at(1_100)), 12);
        assert_eq!(throughput.last_second(at(1_101)), 7);
        assert_eq!(throughput.last_second(at(5_000)), 0);
    }

    #[test]
    fn many_blocks_at_once_need_no_more_memory() {
        let mut throughput = Throughput::default();
        (0..10 * BLOCKS_MAX).for_each(|_| throughput.record(at(1), 2));
        assert_eq!(throughput.blocks.len(), BLOCKS_MAX);
        assert_eq!(throughput.last_second(at(1)), 2 * BLOCKS_MAX);
    }
}
