//! The only use of the signing key.
use quorate_consensus::Record;
use quorate_primitives::certificate::{Claim, Vote};
use quorate_primitives::{EpochNumber, Hash, SecretKey};
use quorate_replica::LogRecord;
use std::collections::BTreeSet;

/// A claim that is not in the durable vote log must never be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("asked to sign {claim}, which is not in the durable vote log")]
pub struct Unrecorded {
    /// What was to be signed.
    pub claim: Claim,
}

/// What is to be signed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// The epoch of the claim.
    pub(super) epoch: EpochNumber,
    /// What every vote of that epoch signs.
    pub(super) context: Hash,
    /// This validator's index in it.
    pub(super) index: u8,
    /// The claim.
    pub(super) claim: Claim,
}

/// Signs claims whose records are durable, and nothing else.
pub(super) struct Gate {
    key: SecretKey,
    durable: BTreeSet<(EpochNumber, Claim)>,
}

impl Gate {
    pub(super) fn new(key: SecretKey) -> Self {
        Self { key, durable: BTreeSet::new() }
    }

    /// Called when a record is durable, and only then.
    pub(super) fn record(&mut self, record: &LogRecord) {
        match record {
            LogRecord::Consensus { epoch, record: Record::Own(claim) } => {
                self.durable.insert((*epoch, *claim));
            }
            // Votes for turns that are final are never needed again, nor are those of earlier epochs.
            LogRecord::Consensus { epoch, record: Record::Floor(certificate) } => {
                let floor = (*epoch, certificate.claim.view());
                self.durable.retain(|(epoch, claim)| (*epoch, claim.view()) >= floor);
            }
            LogRecord::Consensus { record: Record::Held(_) | Record::Silence { .. }, .. }
            | LogRecord::Body { .. }
            | LogRecord::Epoch(_)
            | LogRecord::Quarantine => {}
        }
    }

    /// Forgets everything: the log was replaced, and its records follow.
    pub(super) fn reset(&mut self) {
        self.durable.clear();
    }

    /// Signs a claim in an epoch.
    pub(super) fn sign(&self, asked: &Asked) -> Result<Vote, Unrecorded> {
        let Asked { epoch, context, index, claim } = *asked;
        if self.durable.contains(&(epoch, claim)) {
            Ok(claim.sign(&context, index, &self.key))
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

    fn asked(epoch: u64, claim: Claim) -> Asked {
        Asked { epoch: EpochNumber::new(epoch), context: Hash::from_bytes([2; 32]), index: 3, claim }
    }

    fn own(epoch: u64, claim: Claim) -> LogRecord {
        LogRecord::Consensus { epoch: EpochNumber::new(epoch), record: Record::Own(claim) }
    }

    #[test]
    fn only_recorded_claims_are_signed() {
        let mut gate = Gate::new(SecretKey::from_seed(&Zeroizing::new([1; 32])));
        let recorded = Claim::Nullify { view: View::new(1) };
        let other = Claim::Nullify { view: View::new(2) };
        gate.record(&own(0, recorded));
        assert_eq!(gate.sign(&asked(0, recorded)).unwrap().claim, recorded);
        assert_eq!(gate.sign(&asked(0, other)), Err(Unrecorded { claim: other }));
        gate.reset();
        assert_eq!(gate.sign(&asked(0, recorded)), Err(Unrecorded { claim: recorded }));
    }

    #[test]
    fn a_claim_is_recorded_for_one_epoch() {
        let mut gate = Gate::new(SecretKey::from_seed(&Zeroizing::new([1; 32])));
        let claim = Claim::Nullify { view: View::new(1) };
        gate.record(&own(4, claim));
        assert_eq!(gate.sign(&asked(5, claim)), Err(Unrecorded { claim }));
        assert_eq!(gate.sign(&asked(4, claim)).unwrap().claim, claim);
    }
}
