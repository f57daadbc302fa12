//! Transactions whose signatures were checked not long ago.
//!
//! A client sends a transaction to several nodes, gossip brings a bundle that a proposal brings again:
//! what was proven once is not proven twice. The cache compares whole transactions, signatures
//! included, never ids alone.
use quorate_primitives::Hash;
use quorate_primitives::signed::Verified;
use quorate_primitives::transaction::SignedTransaction;
use std::collections::{HashMap, VecDeque};

/// Most transactions that are remembered: those of some seconds. In memory each takes several times its bytes.
const ENTRIES_MAX: usize = 32_768;
/// Most bytes of them.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Proven transactions, the oldest forgotten first.
#[derive(Default)]
pub(super) struct Cache {
    entries: HashMap<Hash, Verified<SignedTransaction>>,
    order: VecDeque<Hash>,
    bytes: usize,
}

impl Cache {
    /// The proof of the very same transaction.
    pub(super) fn get(&self, transaction: &SignedTransaction) -> Option<Verified<SignedTransaction>> {
        self.entries.get(&transaction.id()).filter(|known| ***known == *transaction).cloned()
    }

    /// Remembers a transaction, and forgets the oldest.
    pub(super) fn insert(&mut self, transaction: Verified<SignedTransaction>) {
        let (id, size) = (transaction.id(), transaction.size());
        if self.entries.insert(id, transaction).is_none() {
            self.order.push_back(id);
            self.bytes = self.bytes.saturating_add(size);
        }
        while self.order.len() > ENTRIES_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(forgotten) = self.entries.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(forgotten.size());
            }
        }
    }
}
