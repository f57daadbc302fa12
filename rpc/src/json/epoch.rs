//! Epochs: who votes when, and what leads from one set of validators to the next.
use quorate_primitives::light::Handover;
use quorate_primitives::state::OrganisationId;
use quorate_primitives::validators::ValidatorSet;
use quorate_primitives::{EpochNumber, Hash, Height, PublicKey};

use super::schema::object;
use super::values::{Decimal, HexBytes, Shown};

object! {
    /// What leads to a run of epochs, each from the one before.
    pub struct EpochsAnswer {
        /// The newest epoch that has begun: that of the block after the newest finalized one.
        pub current: Decimal<EpochNumber>,
        /// What begins each epoch, ascending without gaps; none for the first epoch, which begins with
        /// the genesis.
        pub handovers: Vec<EpochHandover>,
        /// Where the next page starts (`from`), if there is one.
        pub next: Option<Decimal<EpochNumber>>,
    }
}

object! {
    /// What begins an epoch.
    pub struct EpochHandover {
        /// The epoch that it begins.
        pub epoch: Decimal<EpochNumber>,
        /// Canonical bytes of the `Handover`: the last block of the epoch before with its finality, and
        /// the validators that follow.
        pub handover: HexBytes,
    }
}

impl EpochHandover {
    /// Names the epoch that a handover begins.
    #[must_use]
    pub fn new(epoch: EpochNumber, handover: &Handover) -> Self {
        Self { epoch: epoch.into(), handover: HexBytes::of(handover) }
    }
}

object! {
    /// The validators of an epoch.
    pub struct ValidatorsAnswer {
        /// Which epoch.
        pub epoch: Decimal<EpochNumber>,
        /// Height of its first block.
        pub first_height: Decimal<Height>,
        /// Height of its last block, after which the next epoch begins.
        pub last_height: Decimal<Height>,
        /// Hash of the set.
        pub hash: Shown<Hash>,
        /// What every vote of the epoch signs; `null` for an epoch that has not begun.
        pub context: Option<Shown<Hash>>,
        /// Whether the set can no longer change. That of the epoch after the next one still can.
        pub fixed: bool,
        /// Votes that make a certificate.
        pub quorum: u32,
        /// The validators in order.
        pub validators: Vec<ValidatorEntry>,
    }
}

/// When an epoch is, and what is settled about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochPlace {
    /// Its number.
    pub epoch: EpochNumber,
    /// Height of its first block.
    pub first: Height,
    /// Height of its last block.
    pub last: Height,
    /// What its votes sign, once it has begun.
    pub context: Option<Hash>,
    /// Whether its validators can no longer change.
    pub fixed: bool,
}

impl ValidatorsAnswer {
    /// Describes the set of an epoch.
    #[must_use]
    pub fn new(place: EpochPlace, set: &ValidatorSet) -> Self {
        let entries = (0_u8..).zip(set.members()).map(|(index, member)| ValidatorEntry {
            index,
            name: member.name.to_string(),
            organisation: member.organisation.clone().into(),
            key: member.key.into(),
        });
        Self {
            epoch: place.epoch.into(),
            first_height: place.first.into(),
            last_height: place.last.into(),
            hash: set.hash().into(),
            context: place.context.map(Shown),
            fixed: place.fixed,
            quorum: u32::try_from(set.quorum()).unwrap_or(u32::MAX),
            validators: entries.collect(),
        }
    }
}

object! {
    /// One validator.
    pub struct ValidatorEntry {
        /// Position in the set.
        pub index: u8,
        /// For people.
        pub name: String,
        /// Who runs it.
        pub organisation: Shown<OrganisationId>,
        /// Signs its votes.
        pub key: Shown<PublicKey>,
    }
}
