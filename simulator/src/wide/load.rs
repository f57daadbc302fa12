//! The load: transfers that are handed in at a rate, each at any validator, and when each was final.
use quorate_ledger::Executed;
use quorate_primitives::keys::KnownKeys;
use quorate_primitives::signed::{Verified, verify_transactions};
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{Hash, Height, Timestamp, View};
use quorate_replica::Committed;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::client::{Order, nonce, unsigned};
use crate::founding::Founding;
use crate::random::{Dice, Stream};
use crate::time::{BEGIN_MS, Moment};

use super::WideOptions;

/// When the first transfer is handed in: by then all nodes are connected and vote.
const QUIET: Moment = Moment::from_ms(2_000);
/// For how long a transfer is valid, in ms.
const VALIDITY_MS: u64 = 60_000;
/// Transfers that are signed and proven together.
const BATCH: u64 = 256;

/// A transfer that was handed in.
pub(super) struct Transfer {
    /// When.
    pub(super) at: Moment,
    /// At which validator.
    pub(super) node: usize,
    /// In which block it was final.
    pub(super) height: Option<Height>,
}

/// A block that was final somewhere.
pub(super) struct FinalBlock {
    /// When its leader began with it, in ms.
    pub(super) proposed: Moment,
    /// The view that it is of.
    pub(super) view: View,
    /// The view that its parent is of.
    pub(super) parent_view: View,
    /// Bundles in it.
    pub(super) bundles: usize,
    /// Transfers in it.
    pub(super) transfers: usize,
    /// When each validator told that it is final.
    pub(super) told: BTreeMap<usize, Moment>,
}

/// The load and what became of it.
pub struct Load {
    founding: Rc<Founding>,
    dice: Dice,
    known: KnownKeys,
    rate: u64,
    end: Moment,
    ready: VecDeque<Verified<SignedTransaction>>,
    made: u64,
    by_id: BTreeMap<Hash, usize>,
    /// All that were handed in, in order.
    pub(super) transfers: Vec<Transfer>,
    /// All blocks.
    pub(super) blocks: BTreeMap<Height, FinalBlock>,
}

impl Load {
    /// The load of a run.
    #[must_use]
    pub fn new(options: &WideOptions, seed: u64, founding: Rc<Founding>) -> Self {
        // The mesh is drawn from the same stream, and from its beginning too, which does no harm.
        Self {
            founding,
            dice: Dice::new(seed, Stream::Wide),
            known: KnownKeys::default(),
            rate: options.rate.max(1),
            end: Self::window(options).1,
            ready: VecDeque::new(),
            made: 0,
            by_id: BTreeMap::new(),
            transfers: Vec::new(),
            blocks: BTreeMap::new(),
        }
    }

    /// When measuring begins and ends.
    #[must_use]
    pub fn window(options: &WideOptions) -> (Moment, Moment) {
        let begin = QUIET.after_ms(options.warm_up_ms);
        (begin, begin.after_ms(options.window_ms))
    }

    /// When the next transfer is due.
    #[must_use]
    pub fn next_at(&self) -> Moment {
        let count = u64::try_from(self.transfers.len()).unwrap_or(u64::MAX);
        QUIET.after_micros(count.saturating_mul(1_000_000).checked_div(self.rate).unwrap_or_default())
    }

    /// The next transfer, and the validator that it is handed in at; nothing when the time is over.
    pub fn offer(&mut self, validators: usize, now: Moment) -> Option<(usize, Verified<SignedTransaction>)> {
        if now >= self.end {
            return None;
        }
        if self.ready.is_empty() {
            self.make(now);
        }
        let transaction = self.ready.pop_front()?;
        let node = self.dice.index(validators);
        self.by_id.insert(transaction.id(), self.transfers.len());
        self.transfers.push(Transfer { at: now, node, height: None });
        Some((node, transaction))
    }

    /// Signs and proves the next transfers.
    fn make(&mut self, now: Moment) {
        let accounts = u64::try_from(self.founding.payers.len()).unwrap_or(u64::MAX);
        let until = BEGIN_MS.saturating_add(now.ms()).saturating_add(VALIDITY_MS);
        let mut signed = Vec::new();
        for _ in 0..BATCH {
            let payer = self.made.checked_rem(accounts).and_then(|payer| usize::try_from(payer).ok());
            let payer = payer.unwrap_or_default();
            let order = Order { payer, nonce: nonce(self.made), valid_until: Timestamp::new(until) };
            self.made = self.made.saturating_add(1);
            let key = self.founding.payers.get(payer).map(|payer| std::slice::from_ref(&payer.key));
            let transaction = unsigned(&self.founding, &order).zip(key);
            signed.extend(transaction.and_then(|(transaction, key)| transaction.sign(key).ok()));
        }
        let proven = verify_transactions(signed, &mut self.known, self.dice.rng());
        self.ready.extend(proven.into_iter().flatten());
    }

    /// A node told a block to be final.
    pub fn committed(&mut self, node: usize, committed: &Committed, now: Moment) {
        let Some(header) = committed.executed.header() else { return };
        let height = header.height;
        if !self.blocks.contains_key(&height) {
            let block = FinalBlock {
                proposed: Moment::from_ms(header.time.get().saturating_sub(BEGIN_MS)),
                view: header.view,
                parent_view: header.parent_view,
                bundles: committed.bundles.len(),
                transfers: self.settle(height, &committed.executed),
                told: BTreeMap::new(),
            };
            self.blocks.insert(height, block);
        }
        if let Some(block) = self.blocks.get_mut(&height) {
            block.told.entry(node).or_insert(now);
        }
    }

    /// Notes the block of its transfers; their number.
    fn settle(&mut self, height: Height, executed: &Executed) -> usize {
        let mut count = 0_usize;
        for id in executed.transactions() {
            let transfer = self.by_id.remove(&id).and_then(|number| self.transfers.get_mut(number));
            if let Some(transfer) = transfer {
                transfer.height = Some(height);
                count = count.saturating_add(1);
            }
        }
        count
    }

    /// Whether all that was handed in is final at all validators.
    #[must_use]
    pub fn is_settled(&self, validators: usize) -> bool {
        self.by_id.is_empty()
            && self
                .blocks
                .values()
                .filter(|block| block.transfers > 0)
                .all(|block| block.told.len() == validators)
    }
}
