//! The fixed facts of one epoch: who votes, who leads, and where its chain starts.
use quorate_primitives::hash::{Domain, hash};
use quorate_primitives::validators::{Signers, ValidatorSet, faulty_max};
use quorate_primitives::zoo::{self, Bug};
use quorate_primitives::{EpochNumber, Hash, Height, Timestamp, View};

/// The final block that an epoch's chain starts from: the genesis, or the last block of the epoch before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Anchor {
    /// Its id; for the first epoch the genesis hash.
    pub block: Hash,
    /// Its height.
    pub height: Height,
    /// Its time.
    pub time: Timestamp,
    /// Digest of its outcome; zero for the genesis.
    pub outcome: Hash,
}

/// One validator-set period. Immutable and shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Epoch {
    /// Which period.
    pub number: EpochNumber,
    /// What every vote of the epoch signs.
    pub context: Hash,
    /// Who votes.
    pub validators: ValidatorSet,
    /// Where the chain starts.
    pub anchor: Anchor,
    /// Height of the epoch's last block.
    pub last: Height,
    order: Vec<u8>,
}

impl Epoch {
    /// Computes the leader schedule: the indices ordered by `hash(leaders, context ‖ index)`, which no
    /// one can choose (rule R13).
    #[must_use]
    pub fn new(
        number: EpochNumber,
        context: Hash,
        validators: ValidatorSet,
        anchor: Anchor,
        last: Height,
    ) -> Self {
        let mut order: Vec<u8> = Signers::all(validators.len()).iter().collect();
        order.sort_by_key(|index| hash(Domain::Leaders, &[context.as_bytes(), &[*index]]));
        Self { number, context, validators, anchor, last, order }
    }

    /// Number of validators. Range: 1 to 128.
    #[must_use]
    pub fn len(&self) -> usize {
        self.validators.len()
    }

    /// Never: an epoch has at least one validator.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Votes that make a certificate.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.validators.quorum().saturating_sub(usize::from(zoo::has(Bug::OneVoteLess)))
    }

    /// Votes of which at least one is honest: one more than may be faulty.
    #[must_use]
    pub fn honest(&self) -> usize {
        faulty_max(self.len()).saturating_add(1)
    }

    /// All validators.
    #[must_use]
    pub fn everybody(&self) -> Signers {
        Signers::all(self.len())
    }

    /// Who leads a view: each in turn (rule R13).
    #[must_use]
    pub fn leader(&self, view: View) -> u8 {
        let count = u64::try_from(self.order.len()).unwrap_or(u64::MAX);
        let turn = view.get().checked_rem(count).and_then(|turn| usize::try_from(turn).ok());
        turn.and_then(|turn| self.order.get(turn)).copied().unwrap_or_default()
    }
}
