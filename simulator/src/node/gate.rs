//! The only use of a node's signing key, held to the law that a claim is on the disk before it is signed.
use quorate_consensus::Record;
use quorate_primitives::EpochNumber;
use quorate_primitives::certificate::Claim;
use quorate_replica::LogRecord;
use std::collections::BTreeSet;

/// Claims whose records are durable.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    durable: BTreeSet<(EpochNumber, Claim)>,
}

impl Gate {
    /// A record is durable.
    pub(crate) fn record(&mut self, record: &LogRecord) {
        match record {
            LogRecord::Consensus { epoch, record: Record::Own(claim) } => {
                self.durable.insert((*epoch, *claim));
            }
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

    /// The log was replaced; its records follow.
    pub(crate) fn reset(&mut self) {
        self.durable.clear();
    }

    /// Claims whose records are durable.
    pub(crate) fn durable(&self) -> &BTreeSet<(EpochNumber, Claim)> {
        &self.durable
    }

    /// Whether a claim may be signed in an epoch.
    pub(crate) fn permits(&self, epoch: EpochNumber, claim: Claim) -> bool {
        self.durable.contains(&(epoch, claim))
    }
}
