//! Bundles that are held and that no committed block lists yet, own ones and those of peers.
use quorate_primitives::block::BUNDLES_MAX;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::signed::Verified;
use quorate_primitives::{Hash, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Most bundles kept of one source; more are dropped, and fetched if a block lists them.
/// Source: docs/protocol.md, section 5.
pub(crate) const SOURCE_BUNDLES_MAX: usize = 64;
/// Most bytes kept of one source.
pub(crate) const SOURCE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most bytes kept of all sources together.
const TOTAL_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Who answers for the room that a bundle takes. The author that a bundle names is not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// This replica.
    Own,
    /// The validator that delivered it.
    Validator(u8),
    /// Everybody else together.
    Others,
}

/// The store of bundles.
#[derive(Default)]
pub(crate) struct Bundles {
    held: BTreeMap<Hash, Held>,
    sources: BTreeMap<Source, Shelf>,
    /// In which bundles a transaction is.
    transactions: BTreeMap<Hash, BTreeSet<Hash>>,
    expiry: BTreeSet<(Timestamp, Hash)>,
    arrivals: u64,
    bytes: usize,
}

struct Held {
    bundle: Verified<Bundle>,
    source: Source,
    arrival: u64,
    /// Transactions that are not in the ledger, as far as was noticed.
    open: usize,
    /// The latest of its transactions' ends of validity.
    valid_until: Timestamp,
}

#[derive(Default)]
struct Shelf {
    by_arrival: BTreeMap<u64, Hash>,
    bytes: usize,
}

impl Bundles {
    /// Number of bundles.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Their bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of transactions in them that are not in the ledger, as far as was noticed.
    pub(crate) fn transactions(&self) -> usize {
        self.transactions.len()
    }

    /// Number of bundles of one source.
    pub(crate) fn count_of(&self, source: Source) -> usize {
        self.sources.get(&source).map_or(0, |shelf| shelf.by_arrival.len())
    }

    /// The bundle with this id.
    pub(crate) fn get(&self, id: &Hash) -> Option<&Verified<Bundle>> {
        self.held.get(id).map(|held| &held.bundle)
    }

    /// Whether a held bundle contains the transaction.
    pub(crate) fn contains_transaction(&self, id: &Hash) -> bool {
        self.transactions.contains_key(id)
    }

    /// Keeps a bundle, unless it is there or its source has no room left.
    pub(crate) fn insert(&mut self, bundle: Verified<Bundle>, source: Source) -> bool {
        let (id, size) = (bundle.id(), bundle.size());
        let shelf = self.sources.entry(source).or_default();
        let bytes = shelf.bytes.saturating_add(size);
        let total = self.bytes.saturating_add(size);
        let full = shelf.by_arrival.len() >= SOURCE_BUNDLES_MAX || bytes > SOURCE_BYTES_MAX;
        // What others send must not crowd out what this replica promised its own clients to order.
        let crowded = total > TOTAL_BYTES_MAX && source != Source::Own;
        if full || crowded || self.held.contains_key(&id) {
            return false;
        }
        let arrival = self.arrivals;
        self.arrivals = arrival.saturating_add(1);
        shelf.by_arrival.insert(arrival, id);
        shelf.bytes = bytes;
        self.bytes = total;
        // An accusation does not expire.
        let mut valid_until = if bundle.accusations().is_empty() { Timestamp::ZERO } else { Timestamp::MAX };
        let mut open = 0_usize;
        for signed in bundle.transactions() {
            valid_until = valid_until.max(signed.transaction().valid_until);
            if self.transactions.entry(signed.id()).or_default().insert(id) {
                open = open.saturating_add(1);
            }
        }
        self.expiry.insert((valid_until, id));
        self.held.insert(id, Held { bundle, source, arrival, open, valid_until });
        true
    }

    /// Chooses bundles for a block: those of each source in turn, the oldest first, without the
    /// `listed` ones, up to `bytes_max` together. `turn` rotates who comes first.
    pub(crate) fn select(
        &self,
        listed: &BTreeSet<Hash>,
        bytes_max: usize,
        count_max: usize,
        turn: u64,
    ) -> Vec<Verified<Bundle>> {
        let mut queues: Vec<_> = self.sources.values().map(|shelf| shelf.by_arrival.values()).collect();
        let count = u64::try_from(queues.len()).unwrap_or(u64::MAX);
        let first = turn.checked_rem(count).and_then(|first| usize::try_from(first).ok()).unwrap_or_default();
        queues.rotate_left(first);
        let mut chosen = Vec::new();
        let mut bytes = 0_usize;
        while !queues.is_empty() {
            queues.retain_mut(|queue| {
                let Some(id) = queue.by_ref().find(|id| !listed.contains(id)) else { return false };
                let Some(held) = self.held.get(id) else { return false };
                let after = bytes.saturating_add(held.bundle.size());
                if after > bytes_max || chosen.len() >= count_max.min(BUNDLES_MAX) {
                    return false;
                }
                bytes = after;
                chosen.push(held.bundle.clone());
                true
            });
        }
        chosen
    }

    /// Whether there is a bundle that is not `listed`.
    pub(crate) fn any_beside(&self, listed: &BTreeSet<Hash>) -> bool {
        self.held.keys().any(|id| !listed.contains(id))
    }

    /// Forgets a bundle that a committed block lists.
    pub(crate) fn forget(&mut self, id: &Hash) {
        let Some(held) = self.held.remove(id) else { return };
        self.expiry.remove(&(held.valid_until, *id));
        self.bytes = self.bytes.saturating_sub(held.bundle.size());
        if let Some(shelf) = self.sources.get_mut(&held.source) {
            shelf.by_arrival.remove(&held.arrival);
            shelf.bytes = shelf.bytes.saturating_sub(held.bundle.size());
            if shelf.by_arrival.is_empty() {
                self.sources.remove(&held.source);
            }
        }
        for signed in held.bundle.transactions() {
            if let Some(bundles) = self.transactions.get_mut(&signed.id()) {
                bundles.remove(id);
                if bundles.is_empty() {
                    self.transactions.remove(&signed.id());
                }
            }
        }
    }

    /// Notes that a transaction is in the ledger; bundles without any other are forgotten.
    pub(crate) fn settle(&mut self, transaction: &Hash) {
        for id in self.transactions.remove(transaction).unwrap_or_default() {
            let Some(held) = self.held.get_mut(&id) else { continue };
            held.open = held.open.saturating_sub(1);
            if held.open == 0 {
                self.forget(&id);
            }
        }
    }

    /// Forgets bundles whose transactions all ended before this time.
    pub(crate) fn expire(&mut self, time: Timestamp) {
        while let Some((valid_until, id)) = self.expiry.first().copied().filter(|(until, _)| *until < time) {
            self.forget(&id);
            // `forget` removed it already, unless the entry had no bundle.
            self.expiry.remove(&(valid_until, id));
        }
    }
}
