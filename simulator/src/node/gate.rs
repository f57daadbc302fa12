//! The only use of a node's signing key, held to the law that a claim is on the disk before it is signed, and
//! with it everything that others rely on once it is said.
use quorate_consensus::Record;
use quorate_primitives::certificate::{Certificate, Claim, ClaimKind};
use quorate_primitives::{EpochNumber, Hash, View};
use quorate_replica::LogRecord;
use std::collections::{BTreeMap, BTreeSet};

/// What is durable.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    claims: BTreeSet<(EpochNumber, Claim)>,
    certificates: BTreeSet<(EpochNumber, View, ClaimKind)>,
    bodies: BTreeSet<Hash>,
    /// View of the latest finalization of each epoch.
    finals: BTreeMap<EpochNumber, View>,
}

impl Gate {
    /// A record is durable.
    pub(crate) fn record(&mut self, record: &LogRecord) {
        match record {
            LogRecord::Consensus { epoch, record: Record::Own(claim) } => {
                self.claims.insert((*epoch, *claim));
            }
            LogRecord::Consensus { epoch, record: Record::Floor(certificate) } => {
                let floor = (*epoch, certificate.claim.view());
                self.claims.retain(|(epoch, claim)| (*epoch, claim.view()) >= floor);
                self.hold(*epoch, certificate);
            }
            LogRecord::Consensus { epoch, record: Record::Held(certificate) } => {
                self.hold(*epoch, certificate);
            }
            LogRecord::Body { header, .. } => {
                self.bodies.insert(header.id());
            }
            LogRecord::Consensus { record: Record::Silence { .. }, .. }
            | LogRecord::Epoch(_)
            | LogRecord::Quarantine => {}
        }
    }

    fn hold(&mut self, epoch: EpochNumber, certificate: &Certificate) {
        let (view, kind) = (certificate.claim.view(), certificate.claim.kind());
        self.certificates.insert((epoch, view, kind));
        if kind == ClaimKind::Finalize {
            let latest = self.finals.entry(epoch).or_default();
            *latest = view.max(*latest);
        }
    }

    /// The log was replaced; its records follow.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Claims whose records are durable.
    pub(crate) fn durable(&self) -> &BTreeSet<(EpochNumber, Claim)> {
        &self.claims
    }

    /// What is not durable although it must be before a claim is signed in an epoch. Blocks that are
    /// committed may be in the ledger alone.
    pub(crate) fn lacks(
        &self,
        epoch: EpochNumber,
        claim: Claim,
        is_committed: impl Fn(&Hash) -> bool,
    ) -> Option<&'static str> {
        if !self.claims.contains(&(epoch, claim)) {
            return Some("the claim itself");
        }
        let has_body = |block: &Hash| self.bodies.contains(block) || is_committed(block);
        match claim {
            Claim::Notarize { view, .. } | Claim::Nullify { view }
                if !self.is_left(epoch, view.previous()) =>
            {
                Some("a certificate of the view before")
            }
            Claim::Notarize { block, .. } if !has_body(&block) => Some("the body"),
            Claim::Finalize { view, .. } if !self.is_notarized(epoch, view) => Some("the notarization"),
            Claim::Notarize { .. } | Claim::Nullify { .. } | Claim::Finalize { .. } => None,
        }
    }

    fn is_final(&self, epoch: EpochNumber, view: View) -> bool {
        self.finals.get(&epoch).is_some_and(|latest| *latest >= view)
    }

    fn is_notarized(&self, epoch: EpochNumber, view: View) -> bool {
        self.certificates.contains(&(epoch, view, ClaimKind::Notarize)) || self.is_final(epoch, view)
    }

    /// Whether it can be shown how a view was left. Nobody needs to leave the first.
    fn is_left(&self, epoch: EpochNumber, view: Option<View>) -> bool {
        view.filter(|view| *view > View::ZERO).is_none_or(|view| {
            self.is_notarized(epoch, view) || self.certificates.contains(&(epoch, view, ClaimKind::Nullify))
        })
    }
}
