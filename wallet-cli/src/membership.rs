//! Who votes now and in the next two epochs: all that is decided. A change that is made in one epoch takes
//! effect two epochs later, so later ones are open.
use quorate_primitives::light::Finalized;
use quorate_primitives::state::{Parameters, StateKey};
use quorate_primitives::validators::ValidatorSet;
use quorate_primitives::{EpochNumber, Height};

use crate::failure::{Exit, Failure};
use crate::nodes::Nodes;
use crate::verify::ProvenState;

/// The validators of three epochs, as of one proven block.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The state that shows them, with the values that were asked for beside them.
    pub state: ProvenState,
    /// Numbers that all validators agree on.
    pub parameters: Parameters,
    current: ValidatorSet,
    next: ValidatorSet,
    later: ValidatorSet,
}

/// What becomes of a change that the next block would make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// First epoch with other validators.
    pub from: EpochNumber,
    /// First height of that epoch.
    pub first: Height,
    /// Last height at which the change can still be made for that epoch.
    pub until: Height,
}

impl Membership {
    /// Asks for the validators and for the values at these keys, all as of one block.
    ///
    /// # Errors
    /// [`Failure`] by class.
    pub async fn ask(nodes: &mut Nodes, others: &[StateKey]) -> Result<Self, Failure> {
        let mut epoch = nodes.newest_epoch();
        loop {
            let (next, later) = (epoch.next(), epoch.next().next());
            let changes = [StateKey::Validators(next), StateKey::Validators(later), StateKey::Parameters];
            let state = nodes.state(&[&changes, others].concat()).await?;
            let found = state.ledger.header().epoch;
            if found != epoch {
                // The newest block was of another epoch than was thought when it was asked for.
                epoch = found;
                continue;
            }
            let [next, later, parameters] = &changes;
            let current = nodes.validators(epoch).await?;
            let next = nodes.value::<ValidatorSet>(&state, next)?.unwrap_or_else(|| current.clone());
            let later = nodes.value::<ValidatorSet>(&state, later)?.unwrap_or_else(|| next.clone());
            let parameters = nodes.value::<Parameters>(&state, parameters)?;
            let parameters =
                parameters.ok_or_else(|| Failure::new(Exit::Internal, "a chain without parameters"))?;
            return Ok(Self { state, parameters, current, next, later });
        }
    }

    /// The block that proves them.
    #[must_use]
    pub fn ledger(&self) -> &Finalized {
        &self.state.ledger
    }

    /// Epoch of that block.
    #[must_use]
    pub fn epoch(&self) -> EpochNumber {
        self.ledger().header().epoch
    }

    /// The validators of an epoch, if it is this one or one of the next two.
    #[must_use]
    pub fn of(&self, epoch: EpochNumber) -> Option<&ValidatorSet> {
        match epoch.get().checked_sub(self.epoch().get())? {
            0 => Some(&self.current),
            1 => Some(&self.next),
            2 => Some(&self.later),
            _ => None,
        }
    }

    /// The validators that a change would start from.
    #[must_use]
    pub fn latest(&self) -> &ValidatorSet {
        &self.later
    }

    /// The next epoch that has other validators than this one, as far as it is decided.
    #[must_use]
    pub fn next_change(&self) -> Option<EpochNumber> {
        let later = [(self.epoch().next(), &self.next), (self.epoch().next().next(), &self.later)];
        later.into_iter().find(|(_, set)| **set != self.current).map(|(epoch, _)| epoch)
    }

    /// What becomes of a change that the next block would make.
    #[must_use]
    pub fn effect(&self) -> Effect {
        let epoch = self.parameters.epoch_of(self.ledger().height().next());
        let from = epoch.next().next();
        Effect { from, first: self.first_of(from), until: self.parameters.last_of(epoch) }
    }

    /// Height of an epoch's first block.
    #[must_use]
    pub fn first_of(&self, epoch: EpochNumber) -> Height {
        epoch.previous().map_or(Height::ZERO, |before| self.parameters.last_of(before)).next()
    }
}
