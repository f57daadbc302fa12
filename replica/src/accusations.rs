//! Proofs of misconduct on their way into a block.
//!
//! What the engine proved travels in this replica's own bundles until the ledger has it. Every replica
//! that saw the two votes does the same; the ledger records one proof of each kind for a validator and
//! an epoch, and ignores the rest.
use quorate_consensus::Evidence;
use quorate_primitives::bundle::ACCUSATIONS_MAX;
use quorate_primitives::evidence::{Accusation, EvidenceKind};
use quorate_primitives::state::StateKey;
use quorate_primitives::{EpochNumber, PublicKey, Timestamp};
use std::collections::BTreeMap;

use crate::event::Effect;
use crate::replica::Replica;

/// Most accusations that wait: three kinds for each validator of two epochs.
const WAITING_MAX: usize = 768;
/// Time after which an accusation that no block recorded is sent again, in ms.
const AGAIN_MS: u64 = 10_000;

/// Accusations that the ledger does not have, and when each was last sent.
#[derive(Default)]
pub(crate) struct Accusations(BTreeMap<(EpochNumber, PublicKey, EvidenceKind), Waiting>);

struct Waiting {
    accusation: Accusation,
    sent: Option<Timestamp>,
}

impl Replica {
    /// A validator provably broke the rules.
    pub(crate) fn accuse(&mut self, evidence: Evidence) {
        let (Some(kind), Some(validator)) = (evidence.kind(), self.members.key(evidence.signer())) else {
            return;
        };
        let accusation = Accusation { identity: self.identity, validator, evidence };
        self.out.effects.push(Effect::Evidence(Box::new(accusation.clone())));
        let key = (self.epoch(), validator, kind);
        if self.accusations.0.len() >= WAITING_MAX || self.is_recorded(&key) {
            return;
        }
        self.accusations.0.entry(key).or_insert(Waiting { accusation, sent: None });
        self.flush();
    }

    fn is_recorded(&self, (epoch, validator, kind): &(EpochNumber, PublicKey, EvidenceKind)) -> bool {
        let key = StateKey::Evidence(*epoch, *validator, *kind);
        self.ledger.head().state().bytes(&key).is_some()
    }

    /// Whether an accusation should leave in the next bundle.
    pub(crate) fn accuses(&self) -> bool {
        self.me.is_some() && self.accusations.0.values().any(|waiting| waiting.is_due(self.now))
    }

    /// Accusations for a bundle that leaves now.
    pub(crate) fn take_accusations(&mut self) -> Vec<Accusation> {
        if self.me.is_none() {
            return Vec::new();
        }
        let now = self.now;
        let due = self.accusations.0.values_mut().filter(|waiting| waiting.is_due(now));
        due.take(ACCUSATIONS_MAX)
            .map(|waiting| {
                waiting.sent = Some(now);
                waiting.accusation.clone()
            })
            .collect()
    }

    /// Forgets accusations that the ledger has.
    pub(crate) fn settle_accusations(&mut self) {
        let recorded: Vec<_> =
            self.accusations.0.keys().filter(|key| self.is_recorded(key)).copied().collect();
        for key in recorded {
            self.accusations.0.remove(&key);
        }
    }
}

impl Waiting {
    fn is_due(&self, now: Timestamp) -> bool {
        self.sent.is_none_or(|sent| sent > now || now.distance_from(sent) >= AGAIN_MS)
    }
}
