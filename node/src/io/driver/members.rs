//! Whom the chain admits when a node starts, and whom it admitted once.
use quorate_ledger::State;
use quorate_primitives::codec::List;
use quorate_primitives::state::StateKey;
use quorate_primitives::validators::{VALIDATORS_MAX, Validator};
use quorate_primitives::{EpochNumber, PublicKey};

use crate::io::net::Membership;

/// Epochs whose validators may connect: the current one and the next two.
const EPOCHS_ADMITTED: usize = 3;

/// Reads every set of validators that there ever was. They are few, and read once.
pub(super) fn membership(state: &State, epoch: EpochNumber) -> Membership {
    let mut members = Membership::default();
    for from in state.validator_changes() {
        let set = state.get::<List<Validator, 1, VALIDATORS_MAX>>(&StateKey::Validators(from));
        members.former.extend(set.iter().flat_map(|set| set.iter()).map(|member| member.key));
    }
    for number in std::iter::successors(Some(epoch), |number| Some(number.next())).take(EPOCHS_ADMITTED) {
        let set = state.validators(number);
        members.admitted.extend(set.iter().flat_map(|set| set.members()).map(|member| member.key));
    }
    let Membership { admitted, former } = &mut members;
    former.retain(|key: &PublicKey| !admitted.contains(key));
    members
}
