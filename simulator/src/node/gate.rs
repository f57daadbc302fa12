//! The only use of a node's signing key, held to the law that a claim is on the disk before it is signed.
use quorate_consensus::Record;
use quorate_primitives::certificate::{Claim, Vote};
use quorate_primitives::{Hash, SecretKey};
use quorate_replica::LogRecord;
use std::collections::BTreeSet;

/// Claims whose records are durable.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    durable: BTreeSet<Claim>,
}

impl Gate {
    /// A record is durable.
    pub(crate) fn record(&mut self, record: &LogRecord) {
        match record {
            LogRecord::Consensus(Record::Own(claim)) => {
                self.durable.insert(*claim);
            }
            LogRecord::Consensus(Record::Floor(certificate)) => {
                let floor = certificate.claim.view();
                self.durable.retain(|claim| claim.view() >= floor);
            }
            LogRecord::Consensus(Record::Held(_)) | LogRecord::Body { .. } => {}
        }
    }

    /// The log was replaced; its records follow.
    pub(crate) fn reset(&mut self) {
        self.durable.clear();
    }

    /// Signs a claim; `None` if it is not durable.
    pub(crate) fn sign(&self, claim: Claim, context: &Hash, index: u8, key: &SecretKey) -> Option<Vote> {
        self.durable.contains(&claim).then(|| claim.sign(context, index, key))
    }
}
