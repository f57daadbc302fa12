//! What the node counts about its own work. Telemetry reads it; nothing is decided by it.
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that only grow while the process lives.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events given to the replica.
    pub events: AtomicU64,
    /// Events that were dropped because their queue was full.
    pub events_dropped: AtomicU64,
    /// Synced writes of the vote log.
    pub journal_syncs: AtomicU64,
    /// Syncs of the ledger that were made because of its age, beside those at the end of an epoch and while
    /// catching up.
    pub ledger_syncs: AtomicU64,
    /// Bytes written to the vote log.
    pub journal_bytes: AtomicU64,
    /// Time spent writing and syncing the vote log, in µs.
    pub journal_micros: AtomicU64,
    /// Votes signed.
    pub votes_signed: AtomicU64,
    /// Proofs that a validator broke the rules.
    pub evidence: AtomicU64,
    /// Blocks committed.
    pub blocks_committed: AtomicU64,
    /// Transactions submitted here.
    pub transactions_submitted: AtomicU64,
    /// Of these, refused at once because the network has too much to do.
    pub transactions_busy: AtomicU64,
    /// Signatures checked.
    pub signatures_checked: AtomicU64,
    /// Batches in which they were checked.
    pub signature_batches: AtomicU64,
    /// Transactions whose signatures had been checked before.
    pub verified_again: AtomicU64,
    /// Jobs that were dropped because the checking threads were too busy.
    pub verify_dropped: AtomicU64,
    /// Frames received on direct streams.
    pub frames_received: AtomicU64,
    /// Bytes received in frames, gossip, questions and answers.
    pub bytes_received: AtomicU64,
    /// Frames sent on direct streams, counted for each receiver.
    pub frames_sent: AtomicU64,
    /// Bytes sent in frames, gossip, questions and answers, before gossip multiplies them.
    pub bytes_sent: AtomicU64,
    /// Gossiped messages received, each once.
    pub gossip_received: AtomicU64,
    /// Gossiped messages received, all copies of the same message counted.
    pub gossip_copies: AtomicU64,
    /// Commands that the network could not take.
    pub network_dropped: AtomicU64,
    /// Times that a peer was banned.
    pub bans: AtomicU64,
}

/// Adds to a counter.
pub(super) fn count(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

/// Adds a length to a counter.
pub(super) fn count_bytes(counter: &AtomicU64, bytes: usize) {
    count(counter, u64::try_from(bytes).unwrap_or(u64::MAX));
}
