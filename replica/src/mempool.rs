//! Transactions that clients gave to this replica and that are not in the ledger yet.
//!
//! A transaction waits until it leaves in a bundle, and then stays known until a block commits it or
//! its time is over, so that giving it again changes nothing. Senders take turns, whatever the order
//! in which their transactions came: nobody waits behind another's backlog.
use quorate_primitives::address::AccountId;
use quorate_primitives::bundle::BUNDLE_TRANSACTIONS_MAX;
use quorate_primitives::signed::Verified;
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{Hash, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::answer::Refusal;
use crate::settings::PoolLimits;

/// The pool of one replica.
pub(crate) struct Mempool {
    limits: PoolLimits,
    known: BTreeMap<Hash, Known>,
    waiting: BTreeMap<AccountId, BTreeMap<u64, Verified<SignedTransaction>>>,
    /// Senders with waiting transactions, each once, whose turn is next first.
    turns: VecDeque<AccountId>,
    senders: BTreeMap<AccountId, usize>,
    expiry: BTreeSet<(Timestamp, Hash)>,
    arrivals: u64,
    bytes: usize,
    waiting_bytes: usize,
    /// Number of transactions that no bundle holds yet.
    waiting_count: usize,
}

struct Known {
    sender: AccountId,
    size: usize,
    valid_until: Timestamp,
    /// Its place among the sender's waiting ones; `None` once it left in a bundle.
    arrival: Option<u64>,
}

impl Mempool {
    /// An empty pool.
    pub(crate) fn new(limits: PoolLimits) -> Self {
        Self {
            limits,
            known: BTreeMap::new(),
            waiting: BTreeMap::new(),
            turns: VecDeque::new(),
            senders: BTreeMap::new(),
            expiry: BTreeSet::new(),
            arrivals: 0,
            bytes: 0,
            waiting_bytes: 0,
            waiting_count: 0,
        }
    }

    /// Whether the transaction waits or travels.
    pub(crate) fn contains(&self, id: &Hash) -> bool {
        self.known.contains_key(id)
    }

    /// Number of transactions that wait or travel.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Senders that they have.
    pub(crate) fn senders(&self) -> usize {
        self.senders.len()
    }

    /// Their bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the transactions that no bundle holds yet; 0 if there are none.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Number of transactions that no bundle holds yet.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting_count
    }

    /// Whether there is room for one more transaction. Of one sender a quarter of `backlog_max` may wait, or what
    /// the settings allow if that is less.
    ///
    /// # Errors
    /// [`Refusal::Full`] or [`Refusal::SenderFull`].
    pub(crate) fn check_room(&self, signed: &SignedTransaction, backlog_max: usize) -> Result<(), Refusal> {
        let retry_after_ms = self.limits.retry_after_ms;
        let bytes = self.bytes.saturating_add(signed.size());
        if self.known.len() >= self.limits.transactions_max || bytes > self.limits.bytes_max {
            return Err(Refusal::Full { retry_after_ms });
        }
        let found = self.senders.get(&signed.transaction().sender).copied().unwrap_or_default();
        let allowed = self.limits.sender_max.min(backlog_max.div_ceil(4));
        if found >= allowed {
            return Err(Refusal::SenderFull { found, allowed, retry_after_ms });
        }
        Ok(())
    }

    /// Adds a transaction that is not in the pool and for which there is room.
    pub(crate) fn insert(&mut self, signed: Verified<SignedTransaction>) {
        let (id, size) = (signed.id(), signed.size());
        let (sender, valid_until) = (signed.transaction().sender, signed.transaction().valid_until);
        if self.known.contains_key(&id) {
            return;
        }
        let arrival = self.arrivals;
        self.arrivals = arrival.saturating_add(1);
        self.known.insert(id, Known { sender, size, valid_until, arrival: Some(arrival) });
        self.expiry.insert((valid_until, id));
        self.bytes = self.bytes.saturating_add(size);
        self.waiting_bytes = self.waiting_bytes.saturating_add(size);
        self.waiting_count = self.waiting_count.saturating_add(1);
        let count = self.senders.entry(sender).or_default();
        *count = count.saturating_add(1);
        let queue = self.waiting.entry(sender).or_default();
        if queue.is_empty() {
            self.turns.push_back(sender);
        }
        queue.insert(arrival, signed);
    }

    /// Takes waiting transactions for a bundle, one of each sender in turn, until they reach
    /// `bytes_target` or fill a bundle. They stay known.
    pub(crate) fn take(&mut self, bytes_target: usize) -> Vec<Verified<SignedTransaction>> {
        let mut taken = Vec::new();
        let mut bytes = 0_usize;
        while bytes < bytes_target && taken.len() < BUNDLE_TRANSACTIONS_MAX {
            let Some(sender) = self.turns.pop_front() else { break };
            let Some(queue) = self.waiting.get_mut(&sender) else { continue };
            let first = queue.pop_first();
            if queue.is_empty() {
                self.waiting.remove(&sender);
            } else {
                self.turns.push_back(sender);
            }
            let Some((_, signed)) = first else { continue };
            if let Some(known) = self.known.get_mut(&signed.id()) {
                known.arrival = None;
            }
            self.waiting_bytes = self.waiting_bytes.saturating_sub(signed.size());
            self.waiting_count = self.waiting_count.saturating_sub(1);
            bytes = bytes.saturating_add(signed.size());
            taken.push(signed);
        }
        taken
    }

    /// Forgets a transaction, because it is in the ledger or never will be.
    pub(crate) fn forget(&mut self, id: &Hash) {
        let Some(known) = self.known.remove(id) else { return };
        self.expiry.remove(&(known.valid_until, *id));
        self.bytes = self.bytes.saturating_sub(known.size);
        if let Some(count) = self.senders.get_mut(&known.sender) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.senders.remove(&known.sender);
            }
        }
        let Some(arrival) = known.arrival else { return };
        self.waiting_bytes = self.waiting_bytes.saturating_sub(known.size);
        self.waiting_count = self.waiting_count.saturating_sub(1);
        let Some(queue) = self.waiting.get_mut(&known.sender) else { return };
        queue.remove(&arrival);
        if queue.is_empty() {
            self.waiting.remove(&known.sender);
            self.turns.retain(|sender| *sender != known.sender);
        }
    }

    /// Forgets all transactions that cannot be in a block of this time or a later one.
    pub(crate) fn expire(&mut self, time: Timestamp) {
        while let Some((valid_until, id)) = self.expiry.first().copied().filter(|(until, _)| *until < time) {
            self.forget(&id);
            // `forget` removed it already, unless the entry had no transaction.
            self.expiry.remove(&(valid_until, id));
        }
    }
}
