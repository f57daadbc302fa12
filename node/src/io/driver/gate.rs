//! The only use of the signing key.
use quorate_consensus::Record;
use quorate_primitives::certificate::{Claim, Vote};
use quorate_primitives::{Hash, SecretKey};
use quorate_replica::LogRecord;
use std::collections::BTreeSet;

/// A claim that is not in the durable vote log must never be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("asked to sign {claim}, which is not in the durable vote log")]
pub struct Unrecorded {
    /// What was to be signed.
    pub claim: Claim,
}

/// Signs claims whose records are durable, and nothing else.
pub(super) struct Gate {
    key: SecretKey,
    durable: BTreeSet<Claim>,
}

impl Gate {
    pub(super) fn new(key: SecretKey) -> Self {
        Self { key, durable: BTreeSet::new() }
    }

    /// Called when a record is durable, and only then.
    pub(super) fn record(&mut self, record: &LogRecord) {
        match record {
            LogRecord::Consensus(Record::Own(claim)) => {
                self.durable.insert(*claim);
            }
            // Votes for turns that are final are never needed again.
            LogRecord::Consensus(Record::Floor(certificate)) => {
                let floor = certificate.claim.view();
                self.durable.retain(|claim| claim.view() >= floor);
            }
            LogRecord::Consensus(Record::Held(_)) | LogRecord::Body { .. } => {}
        }
    }

    /// Forgets everything: the log was replaced, and its records follow.
    pub(super) fn reset(&mut self) {
        self.durable.clear();
    }

    /// Signs a claim in an epoch.
    pub(super) fn sign(&self, claim: Claim, context: &Hash, index: u8) -> Result<Vote, Unrecorded> {
        if self.durable.contains(&claim) {
            Ok(claim.sign(context, index, &self.key))
        } else {
            Err(Unrecorded { claim })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_primitives::View;
    use zeroize::Zeroizing;

    #[test]
    fn only_recorded_claims_are_signed() {
        let mut gate = Gate::new(SecretKey::from_seed(&Zeroizing::new([1; 32])));
        let recorded = Claim::Nullify { view: View::new(1) };
        let other = Claim::Nullify { view: View::new(2) };
        let context = Hash::from_bytes([2; 32]);
        gate.record(&LogRecord::Consensus(Record::Own(recorded)));
        assert_eq!(gate.sign(recorded, &context, 3).unwrap().claim, recorded);
        assert_eq!(gate.sign(other, &context, 3), Err(Unrecorded { claim: other }));
        gate.reset();
        assert_eq!(gate.sign(recorded, &context, 3), Err(Unrecorded { claim: recorded }));
    }
}
