//! Transactions whose signatures were checked not long ago, and proofs that use them.
//!
//! A client sends a transaction to several nodes, gossip brings a bundle that a proposal brings again:
//! what was proven once is not proven twice. The cache compares whole transactions, signatures
//! included, never ids alone.
use quorate_primitives::Hash;
use quorate_primitives::PublicKey;
use quorate_primitives::block::BUNDLES_MAX;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::codec::List;
use quorate_primitives::evidence::Accusation;
use quorate_primitives::keys::{KnownKeys, SignatureCheck, first_invalid};
use quorate_primitives::signed::{Verified, verify_bundle, verify_bundles, verify_transactions};
use quorate_primitives::transaction::SignedTransaction;
use quorate_replica::{Answer, Event, PeerMessage, SyncBlock, VerifiedAnswer, VerifiedSyncBlock};
use rand::rngs::StdRng;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::io::counters::{Counters, count, count_bytes};

/// Most transactions that are remembered.
const ENTRIES_MAX: usize = 65_536;
/// Most bytes of them.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// Proven transactions, the oldest forgotten first.
#[derive(Default)]
pub(super) struct Cache {
    entries: HashMap<Hash, Verified<SignedTransaction>>,
    order: VecDeque<Hash>,
    bytes: usize,
}

impl Cache {
    fn get(&self, transaction: &SignedTransaction) -> Option<Verified<SignedTransaction>> {
        self.entries.get(&transaction.id()).filter(|known| ***known == *transaction).cloned()
    }

    fn insert(&mut self, transaction: Verified<SignedTransaction>) {
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

/// What proving needs.
pub(super) struct Proof<'a> {
    pub(super) cache: &'a Mutex<Cache>,
    pub(super) counters: &'a Counters,
    pub(super) known: &'a mut KnownKeys,
    pub(super) rng: &'a mut StdRng,
}

impl Proof<'_> {
    /// Proves a message of a direct stream.
    pub(super) fn message(&mut self, message: PeerMessage, from: PublicKey) -> Option<Event> {
        Some(match message {
            PeerMessage::Consensus { epoch, message } => {
                Event::Message { from, epoch, message: Box::new(message) }
            }
            PeerMessage::Proposal { proposal, payload, inline } => {
                let inline = match inline {
                    Some(bundle) => Some(self.bundle(bundle)?),
                    None => None,
                };
                Event::Proposal { from, proposal: Box::new(proposal), payload, inline }
            }
            PeerMessage::Bundle(bundle) => Event::Bundle { from: Some(from), bundle: self.bundle(bundle)? },
        })
    }

    /// Proves an answer.
    pub(super) fn answer(&mut self, answer: Answer) -> Option<VerifiedAnswer> {
        Some(match answer {
            Answer::Unknown => VerifiedAnswer::Unknown,
            Answer::Bundles(bundles) => VerifiedAnswer::Bundles(self.bundles(bundles)?),
            Answer::Block { header, bundles } => {
                VerifiedAnswer::Block { header, bundles: self.bundles(bundles)? }
            }
            Answer::Standing { epoch, view, entry, quarantined, vote } => {
                VerifiedAnswer::Standing { epoch, view, entry, quarantined, vote }
            }
            Answer::Blocks(blocks) => {
                let block = |SyncBlock { header, bundles, certificate }| {
                    Some(VerifiedSyncBlock { header, bundles: self.bundles(bundles)?, certificate })
                };
                VerifiedAnswer::Blocks(blocks.into_inner().into_iter().map(block).collect::<Option<_>>()?)
            }
        })
    }

    fn bundles(&mut self, bundles: List<Bundle, 0, BUNDLES_MAX>) -> Option<Vec<Verified<Bundle>>> {
        bundles.into_inner().into_iter().map(|bundle| self.bundle(bundle)).collect()
    }

    /// Proves gossiped bundles together, as [`Proof::bundle`] does each; the verdicts are in the order given.
    pub(super) fn gossip(&mut self, bundles: Vec<Option<Bundle>>) -> Vec<Option<Verified<Bundle>>> {
        let is_new = |bundle: &Bundle| self.known_of(bundle).iter().all(Option::is_none);
        let new: Vec<bool> = bundles.iter().map(|bundle| bundle.as_ref().is_some_and(is_new)).collect();
        let mut together = Vec::new();
        let mut alone = Vec::new();
        for (bundle, is_new) in bundles.into_iter().zip(&new) {
            if *is_new { together.extend(bundle) } else { alone.push(bundle) }
        }
        together.iter().for_each(|bundle| self.count(bundle));
        let proven = verify_bundles(together, self.known, self.rng);
        let mut proven = proven.into_iter().map(Result::ok);
        let mut alone = alone.into_iter();
        let verdict = |is_new: &bool| {
            if *is_new {
                let verified = proven.next().flatten()?;
                self.remember(verified.verified_transactions());
                Some(verified)
            } else {
                self.bundle(alone.next().flatten()?)
            }
        };
        new.iter().map(verdict).collect()
    }

    /// Which transactions of a bundle are proven already.
    fn known_of(&self, bundle: &Bundle) -> Vec<Option<Verified<SignedTransaction>>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        bundle.transactions().iter().map(|transaction| cache.get(transaction)).collect()
    }

    /// Proves a bundle, as far as its transactions are not proven already. Accusations are proven each
    /// time: they are rare.
    pub(super) fn bundle(&mut self, bundle: Bundle) -> Option<Verified<Bundle>> {
        let known = self.known_of(&bundle);
        if known.iter().all(Option::is_none) {
            self.count(&bundle);
            let verified = verify_bundle(bundle, self.known, self.rng).ok()?;
            self.remember(verified.verified_transactions());
            return Some(verified);
        }
        let accusations = bundle.accusations().to_vec();
        if !self.are_signed(&accusations) {
            return None;
        }
        let (author, sequence) = (bundle.author(), bundle.sequence());
        let transactions = bundle.transactions().iter().map(|transaction| transaction.as_ref().clone());
        let verified = self.prove(transactions.collect(), known);
        let verified: Vec<_> = verified.into_iter().collect::<Option<_>>()?;
        Verified::from_verified(author, sequence, &verified, accusations)
    }

    /// Whether every vote in the accusations is signed by the accused.
    fn are_signed(&mut self, accusations: &[Accusation]) -> bool {
        let checks: Vec<SignatureCheck> = accusations.iter().flat_map(Accusation::signature_checks).collect();
        count_bytes(&self.counters.signatures_checked, checks.len());
        first_invalid(&checks, self.known, self.rng).is_none()
    }

    /// Proves transactions of clients; `None` for each with an invalid signature.
    pub(super) fn transactions(
        &mut self,
        transactions: Vec<SignedTransaction>,
    ) -> Vec<Option<Verified<SignedTransaction>>> {
        let known = {
            let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            transactions.iter().map(|transaction| cache.get(transaction)).collect()
        };
        self.prove(transactions, known)
    }

    /// Proves those that are not known, in one batch, and puts all back in order.
    fn prove(
        &mut self,
        transactions: Vec<SignedTransaction>,
        known: Vec<Option<Verified<SignedTransaction>>>,
    ) -> Vec<Option<Verified<SignedTransaction>>> {
        let pairs = transactions.into_iter().zip(&known);
        let unknown: Vec<_> =
            pairs.filter_map(|(transaction, known)| known.is_none().then_some(transaction)).collect();
        count_bytes(&self.counters.verified_again, known.len() - unknown.len());
        let signatures = unknown.iter().map(|transaction| transaction.transaction().signers.len()).sum();
        count_bytes(&self.counters.signatures_checked, signatures);
        count(&self.counters.signature_batches, 1);
        let proven = verify_transactions(unknown, self.known, self.rng);
        self.remember(proven.iter().flatten().cloned());
        let mut proven = proven.into_iter();
        known.into_iter().map(|known| known.or_else(|| proven.next().flatten())).collect()
    }

    fn count(&self, bundle: &Bundle) {
        let signers = bundle.transactions().iter().map(|transaction| transaction.transaction().signers.len());
        // Each accusation has two votes.
        let votes = bundle.accusations().len() * 2;
        count_bytes(&self.counters.signatures_checked, signers.sum::<usize>() + votes);
        count(&self.counters.signature_batches, 1);
    }

    fn remember(&self, transactions: impl Iterator<Item = Verified<SignedTransaction>>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        transactions.for_each(|transaction| cache.insert(transaction));
    }
}
