//! Finalizes blocks with outcomes that nobody else finds.
use quorate_primitives::certificate::Claim;
use quorate_replica::PeerMessage;

use super::place::{Atlas, bytes, single_vote};
use crate::puppet::{Filter, Outgoing, Stage};

/// Marks of what it does.
pub(super) const MARKS: [&str; 1] = ["wrong outcome: finalized"];

/// See the module.
#[derive(Default)]
pub(super) struct WrongOutcome(Atlas);

impl Filter for WrongOutcome {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _to: usize, message: &PeerMessage) -> Outgoing {
        let Some(Claim::Finalize { view, block, .. }) = single_vote(message).map(|vote| vote.claim) else {
            return Outgoing::Pass;
        };
        let Some(place) = self.0.place(stage) else { return Outgoing::Pass };
        // The same lie to all, and in every turn another: the block's own id is no outcome.
        let claim = Claim::Finalize { view, block, outcome: block };
        stage.mark(MARKS[0]);
        Outgoing::Instead(vec![bytes(&place.vote_message(stage, claim))])
    }
}
