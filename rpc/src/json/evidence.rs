//! What validators are accused of, and what of it the ledger recorded.
use quorate_primitives::certificate;
use quorate_primitives::evidence::{self, EvidenceKind};
use quorate_primitives::{EpochNumber, Hash, Height, PublicKey, View};

use super::proof::GroupEvidence;
use super::schema::{object, tagged, words};
use super::values::{Decimal, HexBytes, Shown};

words! {
    /// Which rule a validator broke.
    pub enum Offence {
        /// It notarized two blocks in one view.
        DoubleNotarize = "double_notarize",
        /// It finalized two blocks, or two outcomes, in one view.
        DoubleFinalize = "double_finalize",
        /// It gave a view up and finalized a block in it.
        NullifyAndFinalize = "nullify_and_finalize",
    }
}

impl From<EvidenceKind> for Offence {
    fn from(kind: EvidenceKind) -> Self {
        match kind {
            EvidenceKind::DoubleNotarize => Self::DoubleNotarize,
            EvidenceKind::DoubleFinalize => Self::DoubleFinalize,
            EvidenceKind::NullifyAndFinalize => Self::NullifyAndFinalize,
        }
    }
}

tagged! {
    /// What a vote says.
    pub enum Claim {
        /// The block is the one of this view.
        Notarize = "notarize" {
            /// Which.
            block: Shown<Hash>,
        }
        /// The view may be skipped.
        Nullify = "nullify" {}
        /// The block is final and executing it gave this outcome.
        Finalize = "finalize" {
            /// Which.
            block: Shown<Hash>,
            /// Digest of the outcome.
            outcome: Shown<Hash>,
        }
    }
}

impl From<&certificate::Claim> for Claim {
    fn from(claim: &certificate::Claim) -> Self {
        match *claim {
            certificate::Claim::Notarize { block, .. } => Self::Notarize { block: block.into() },
            certificate::Claim::Nullify { .. } => Self::Nullify {},
            certificate::Claim::Finalize { block, outcome, .. } => {
                Self::Finalize { block: block.into(), outcome: outcome.into() }
            }
        }
    }
}

object! {
    /// Two votes of one validator that no honest one signs both.
    pub struct Accusation {
        /// Epoch of the votes.
        pub epoch: Decimal<EpochNumber>,
        /// Key of the accused.
        pub validator: Shown<PublicKey>,
        /// Its index in that epoch.
        pub index: u8,
        /// Which rule the votes break.
        pub offence: Offence,
        /// Turn of both votes.
        pub view: Decimal<View>,
        /// The vote that was seen first.
        pub first: Claim,
        /// The vote that conflicts with it.
        pub second: Claim,
        /// Canonical bytes of the `Accusation`, with both signatures and all that they are bound to.
        pub bytes: HexBytes,
    }
}

impl Accusation {
    /// Describes an accusation, unless its votes break no rule; no bundle and no state holds such a one.
    #[must_use]
    pub fn of(accusation: &evidence::Accusation) -> Option<Self> {
        let offence = accusation.check().ok()?.into();
        let evidence::Evidence { first, second } = &accusation.evidence;
        Some(Self {
            epoch: accusation.identity.epoch.into(),
            validator: accusation.validator.into(),
            index: first.signer,
            offence,
            view: first.claim.view().into(),
            first: (&first.claim).into(),
            second: (&second.claim).into(),
            bytes: HexBytes::of(accusation),
        })
    }
}

object! {
    /// The first accusation of its kind against a validator in an epoch.
    pub struct RecordedEvidence {
        /// Height of the block that recorded it.
        pub height: Decimal<Height>,
        /// What was recorded.
        pub accusation: Accusation,
    }
}

object! {
    /// Everything that any validator was ever convicted of, as of a height.
    pub struct EvidenceAnswer {
        /// The block after which it is so.
        pub height: Decimal<Height>,
        /// One entry for each validator, epoch and kind, in the order of the proof.
        pub evidence: Vec<RecordedEvidence>,
        /// What shows that it is all there is, if asked for.
        pub proof: Option<GroupEvidence>,
    }
}
