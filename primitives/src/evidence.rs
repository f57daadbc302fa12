//! Proof that a validator broke the rules, which anybody can check without having been there.
//!
//! [`Evidence`] is two votes that no honest validator signs both. An [`Accusation`] adds all that is needed
//! to judge them: the epoch that both are bound to, and the accused key. It travels in a
//! [bundle](crate::bundle), and the ledger keeps the first of each kind as [`RecordedEvidence`].
use borsh::{BorshDeserialize, BorshSerialize};

use crate::certificate::{Claim, ClaimKind, Vote};
use crate::hash::Domain;
use crate::keys::{PublicKey, SignatureCheck};
use crate::numbers::Height;
use crate::validators::EpochIdentity;

/// Which rule a validator broke. The order of the variants is part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum EvidenceKind {
    /// Two Notarize in one view for different blocks. Covers a leader that proposes two blocks.
    DoubleNotarize,
    /// Two Finalize in one view for different blocks or outcomes.
    DoubleFinalize,
    /// Nullify and Finalize in one view.
    NullifyAndFinalize,
}

/// Two votes that no honest validator signs both.
///
/// Verified when the engine reports it; whoever gets it from elsewhere checks both votes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Evidence {
    /// The vote that was seen first.
    pub first: Vote,
    /// The vote that conflicts with it.
    pub second: Vote,
}

impl Evidence {
    /// Which rule the two votes break, or nothing if they do not conflict.
    #[must_use]
    pub fn kind(&self) -> Option<EvidenceKind> {
        if self.first.signer == self.second.signer {
            conflict(&self.first.claim, &self.second.claim)
        } else {
            None
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn signer(&self) -> u8 {
        self.first.signer
    }
}

/// Which rule one signer breaks by making both claims (protocol, section 2.9).
#[must_use]
pub fn conflict(first: &Claim, second: &Claim) -> Option<EvidenceKind> {
    if first == second || first.view() != second.view() {
        return None;
    }
    match (first.kind(), second.kind()) {
        (ClaimKind::Notarize, ClaimKind::Notarize) => Some(EvidenceKind::DoubleNotarize),
        (ClaimKind::Finalize, ClaimKind::Finalize) => Some(EvidenceKind::DoubleFinalize),
        (ClaimKind::Nullify, ClaimKind::Finalize) | (ClaimKind::Finalize, ClaimKind::Nullify) => {
            Some(EvidenceKind::NullifyAndFinalize)
        }
        // Notarize with anything of another kind is legal: a voter may give up on a block.
        (ClaimKind::Notarize, ClaimKind::Nullify | ClaimKind::Finalize)
        | (ClaimKind::Nullify | ClaimKind::Finalize, ClaimKind::Notarize)
        | (ClaimKind::Nullify, ClaimKind::Nullify) => None,
    }
}

/// Evidence with the epoch and the key that it is about; unverified until its signatures are checked.
///
/// An honest validator signs no two such votes in any context, so the identity need not be one that the
/// chain really had: only who the key belonged to is for the ledger to say.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Accusation {
    /// What both votes are bound to.
    pub identity: EpochIdentity,
    /// The accused.
    pub validator: PublicKey,
    /// The two votes.
    pub evidence: Evidence,
}

/// Why an accusation accuses nobody, whatever its signatures say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccusationError {
    /// Votes of two validators.
    #[error("the votes are of validators {first} and {second}, but both must be of one")]
    TwoSigners {
        /// Index in the first vote.
        first: u8,
        /// Index in the second vote.
        second: u8,
    },
    /// Votes that an honest validator may sign both.
    #[error("the two votes break no rule")]
    NoConflict,
}

impl Accusation {
    /// Checks all that can be checked without cryptography and without a state, and returns which rule
    /// was broken if the votes are genuine.
    ///
    /// # Errors
    /// [`AccusationError`] naming the fault.
    pub fn check(&self) -> Result<EvidenceKind, AccusationError> {
        let (first, second) = (self.evidence.first.signer, self.evidence.second.signer);
        if first != second {
            return Err(AccusationError::TwoSigners { first, second });
        }
        self.evidence.kind().ok_or(AccusationError::NoConflict)
    }

    /// The signature checks that the accusation stands or falls by: both votes by the accused, in the
    /// context of the identity.
    #[must_use]
    pub fn signature_checks(&self) -> [SignatureCheck; 2] {
        let context = self.identity.context();
        [&self.evidence.first, &self.evidence.second].map(|vote| SignatureCheck {
            key: self.validator,
            domain: Domain::SignVote,
            message: vote.claim.message(&context),
            signature: vote.signature,
        })
    }
}

/// The first evidence of its kind against a validator in an epoch, as the ledger keeps it for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct RecordedEvidence {
    /// The evidence; its signatures were verified before the block that carried it was voted for.
    pub accusation: Accusation,
    /// Height of that block.
    pub height: Height,
}
