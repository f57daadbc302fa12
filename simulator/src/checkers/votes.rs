//! Laws of voting, for each key, over everything that it ever signed, whatever happened to its machine.
use quorate_primitives::certificate::{Claim, Vote};
use quorate_primitives::{EpochNumber, View};
use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::wire::claim_text;

/// Everything that was voted.
#[derive(Debug, Default)]
pub(crate) struct VoteLaws {
    signed: BTreeMap<(u8, EpochNumber, View), Vec<Claim>>,
}

/// Whether an honest validator may say both in one view.
fn may_say_both(first: &Claim, second: &Claim) -> bool {
    match (first, second) {
        (Claim::Notarize { block, .. }, Claim::Notarize { block: other, .. }) => block == other,
        (Claim::Finalize { .. }, Claim::Finalize { .. }) => first == second,
        (Claim::Nullify { .. }, Claim::Finalize { .. }) | (Claim::Finalize { .. }, Claim::Nullify { .. }) => {
            false
        }
        _ => true,
    }
}

impl VoteLaws {
    /// An honest validator signed a vote, or says it again.
    pub(crate) fn signed(&mut self, node: usize, epoch: EpochNumber, vote: &Vote) -> Finding {
        let said = self.signed.entry((vote.signer, epoch, vote.claim.view())).or_default();
        if said.contains(&vote.claim) {
            return Ok(());
        }
        for earlier in said.iter() {
            if !may_say_both(earlier, &vote.claim) {
                return Err(format!(
                    "node {node} signs {} after {}",
                    claim_text(&vote.claim),
                    claim_text(earlier)
                ));
            }
        }
        said.push(vote.claim);
        Ok(())
    }

    /// A validator that is not honest said something.
    pub(crate) fn heard(&mut self, epoch: EpochNumber, vote: &Vote) {
        let said = self.signed.entry((vote.signer, epoch, vote.claim.view())).or_default();
        if !said.contains(&vote.claim) {
            said.push(vote.claim);
        }
    }

    /// Who made a claim.
    pub(crate) fn signers(&self, epoch: EpochNumber, claim: &Claim) -> BTreeSet<u8> {
        let key = |signer| (signer, epoch, claim.view());
        let made = |signer: &u8| self.signed.get(&key(*signer)).is_some_and(|said| said.contains(claim));
        (0..u8::MAX).filter(made).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_primitives::Hash;
    use quorate_primitives::keys::Signature;

    fn vote(claim: Claim) -> Vote {
        Vote { claim, signer: 2, signature: Signature::from_bytes([0; 64]) }
    }

    fn block(number: u8) -> Hash {
        Hash::from_bytes([number; 32])
    }

    #[test]
    fn conflicting_votes_are_found_in_either_order() {
        let view = View::new(3);
        let notarize = |number| Claim::Notarize { view, block: block(number) };
        let finalize =
            |number, outcome| Claim::Finalize { view, block: block(number), outcome: block(outcome) };
        let nullify = Claim::Nullify { view };
        for (first, second) in [
            (notarize(1), notarize(2)),
            (finalize(1, 1), finalize(2, 1)),
            (finalize(1, 1), finalize(1, 2)),
            (nullify, finalize(1, 1)),
        ] {
            for (earlier, later) in [(first, second), (second, first)] {
                let mut laws = VoteLaws::default();
                assert_eq!(laws.signed(2, EpochNumber::ZERO, &vote(earlier)), Ok(()));
                assert!(laws.signed(2, EpochNumber::ZERO, &vote(later)).is_err(), "{earlier} {later}");
            }
        }
    }

    #[test]
    fn what_is_legal_is_not_found() {
        let view = View::new(3);
        let claims = [
            Claim::Notarize { view, block: block(1) },
            Claim::Nullify { view },
            Claim::Nullify { view },
            Claim::Finalize { view: View::new(4), block: block(1), outcome: block(2) },
            Claim::Notarize { view: View::new(4), block: block(1) },
        ];
        let mut laws = VoteLaws::default();
        for claim in claims {
            assert_eq!(laws.signed(2, EpochNumber::ZERO, &vote(claim)), Ok(()));
        }
        assert_eq!(
            laws.signed(2, EpochNumber::new(1), &vote(Claim::Notarize { view, block: block(9) })),
            Ok(())
        );
    }
}
