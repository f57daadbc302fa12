//! What validators are accused of: kept for ever, once for each validator, epoch and kind.
//!
//! Nothing else follows by itself. Who is convicted is for the consortium to judge, and to remove.
use quorate_primitives::evidence::{Accusation, RecordedEvidence};
use quorate_primitives::state::StateKey;

use super::transaction::Moment;
use crate::state::State;
use crate::state::overlay::Overlay;

/// Keeps an accusation whose signatures are proven, if it is about a validator of this chain and nothing
/// of its kind is known. One that does not count leaves no trace.
pub(crate) fn record(base: &State, overlay: &mut Overlay<'_>, moment: &Moment, accusation: &Accusation) {
    let Ok(kind) = accusation.check() else { return };
    let key = StateKey::Evidence(accusation.identity.epoch, accusation.validator, kind);
    // What is known is found first: saying it again costs nobody more than this.
    if overlay.get::<RecordedEvidence>(&key).is_some() || !is_about(base, moment, accusation) {
        return;
    }
    let recorded = RecordedEvidence { accusation: accusation.clone(), height: moment.height };
    overlay.put(&key, &recorded);
    overlay.keep();
}

/// Whether the accused had the voters' index in an epoch of this chain up to the block's own. The
/// validators of those are fixed, so the state before the block knows them.
fn is_about(base: &State, moment: &Moment, accusation: &Accusation) -> bool {
    let identity = &accusation.identity;
    let validator_at_index = || {
        let members = base.members(identity.epoch)?;
        let member = members.get(usize::from(accusation.evidence.signer()))?;
        Some(member.key)
    };
    identity.chain == moment.chain
        && identity.epoch <= moment.epoch
        && base.parameters().is_some_and(|parameters| parameters.hash() == identity.parameters)
        && base.validators_hash(identity.epoch) == Some(identity.validators)
        && validator_at_index() == Some(accusation.validator)
}
