//! Laws of certificates, for each view.
use quorate_primitives::certificate::{Certificate, Claim};
use quorate_primitives::light::TrustedEpoch;
use quorate_primitives::validators::Signers;
use quorate_primitives::{EpochNumber, Hash, View};
use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::agreement::Agreement;
use super::quorums::quorum;
use super::votes::VoteLaws;
use crate::wire::short;

#[derive(Debug, Default)]
struct OfView {
    notarized: Option<Hash>,
    nullified: bool,
    finalized: Option<(Hash, Hash)>,
}

/// All certificates that were sent.
#[derive(Debug, Default)]
pub(crate) struct CertificateLaws {
    known: BTreeSet<(EpochNumber, Claim, Signers)>,
    views: BTreeMap<(EpochNumber, View), OfView>,
}

impl CertificateLaws {
    /// Whether an equal claim with the same signers was seen valid before.
    pub(crate) fn is_known(&self, epoch: EpochNumber, certificate: &Certificate) -> bool {
        self.known.contains(&(epoch, certificate.claim, certificate.signers))
    }

    /// A valid certificate was sent.
    pub(crate) fn see(&mut self, epoch: EpochNumber, certificate: &Certificate) -> Finding {
        self.known.insert((epoch, certificate.claim, certificate.signers));
        let view = certificate.claim.view();
        let seen = self.views.entry((epoch, view)).or_default();
        match certificate.claim {
            Claim::Notarize { block, .. } => {
                let first = *seen.notarized.get_or_insert(block);
                if first != block {
                    return Err(format!("view {view} notarized {} and {}", short(&first), short(&block)));
                }
            }
            Claim::Nullify { .. } => seen.nullified = true,
            Claim::Finalize { block, outcome, .. } => {
                let first = *seen.finalized.get_or_insert((block, outcome));
                if first != (block, outcome) {
                    return Err(format!("view {view} finalized {} and {}", short(&first.0), short(&block)));
                }
            }
        }
        if let (true, Some((block, _))) = (seen.nullified, seen.finalized) {
            return Err(format!("view {view} is nullified, and {} is final in it", short(&block)));
        }
        match (seen.notarized, seen.finalized) {
            (Some(notarized), Some((block, _))) if notarized != block => {
                Err(format!("view {view} notarized {} and finalized {}", short(&notarized), short(&block)))
            }
            _ => Ok(()),
        }
    }

    /// Every final block follows an earlier one, and the views in between were nullified by somebody.
    pub(crate) fn finish(
        &self,
        agreement: &Agreement,
        votes: &VoteLaws,
        epochs: &BTreeMap<EpochNumber, TrustedEpoch>,
    ) -> Finding {
        for (height, header) in agreement.headers() {
            let (epoch, view) = (header.epoch, header.view);
            let enough = epochs.get(&epoch).map_or(usize::MAX, |epoch| quorum(epoch.validators().len()));
            if header.parent_view >= view {
                return Err(format!(
                    "block {height} of view {view} follows one of view {}",
                    header.parent_view
                ));
            }
            let notarize = Claim::Notarize { view, block: header.id() };
            let is_notarized = self.views.get(&(epoch, view)).is_some_and(|seen| seen.notarized.is_some())
                || votes.signers(epoch, &notarize).len() >= enough;
            if !is_notarized {
                return Err(format!("block {height} of view {view} is final and was never notarized"));
            }
            let mut skipped = header.parent_view.next();
            while skipped < view {
                let claim = Claim::Nullify { view: skipped };
                let is_nullified = self.views.get(&(epoch, skipped)).is_some_and(|seen| seen.nullified)
                    || votes.signers(epoch, &claim).len() >= enough;
                if !is_nullified {
                    return Err(format!("block {height} skips view {skipped}, which nobody nullified"));
                }
                skipped = skipped.next();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_primitives::codec::List;
    use quorate_primitives::keys::Signature;

    fn certificate(claim: Claim) -> Certificate {
        let signatures = List::of_one(Signature::from_bytes([0; 64]));
        Certificate { claim, signers: Signers::all(3), signatures }
    }

    fn see_all(claims: &[Claim]) -> Finding {
        let mut laws = CertificateLaws::default();
        claims.iter().try_for_each(|claim| laws.see(EpochNumber::ZERO, &certificate(*claim)))
    }

    #[test]
    fn certificates_that_contradict_each_other_are_found() {
        let view = View::new(5);
        let block = |number: u8| Hash::from_bytes([number; 32]);
        let notarize = |number| Claim::Notarize { view, block: block(number) };
        let finalize =
            |number, outcome| Claim::Finalize { view, block: block(number), outcome: block(outcome) };
        let nullify = Claim::Nullify { view };
        for claims in [
            [notarize(1), notarize(2)],
            [finalize(1, 1), finalize(1, 2)],
            [finalize(1, 1), finalize(2, 1)],
            [nullify, finalize(1, 1)],
            [finalize(1, 1), nullify],
            [notarize(1), finalize(2, 1)],
        ] {
            assert!(see_all(&claims).is_err(), "{claims:?}");
        }
        assert_eq!(see_all(&[notarize(1), nullify, notarize(1)]), Ok(()));
        assert_eq!(see_all(&[notarize(1), finalize(1, 1)]), Ok(()));
    }
}
