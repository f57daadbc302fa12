//! Votes against its own votes: for two blocks, for two outcomes, and to give up what it finalizes.
use quorate_primitives::certificate::Claim;
use quorate_primitives::{EpochNumber, Hash, View};
use quorate_replica::PeerMessage;
use std::collections::BTreeMap;

use super::place::{Atlas, bytes, made_up, single_vote};
use crate::puppet::{Filter, Outgoing, Stage};

/// Marks of what it does.
pub(super) const MARKS: [&str; 4] = [
    "conflicter: notarizes two blocks",
    "conflicter: finalizes two outcomes",
    "conflicter: gives up what it finalized",
    "conflicter: finalizes what it gave up",
];

/// Votes that are remembered, so that the same is said again.
const KNOWN_MAX: usize = 64;

/// See the module.
#[derive(Default)]
pub(super) struct Conflicter {
    atlas: Atlas,
    against: BTreeMap<(EpochNumber, Claim), Option<Vec<u8>>>,
}

fn opposite(claim: Claim, other: Hash, alternative: bool) -> (&'static str, Claim) {
    let view: View = claim.view();
    match claim {
        Claim::Notarize { .. } => (MARKS[0], Claim::Notarize { view, block: other }),
        Claim::Finalize { .. } if alternative => (MARKS[2], Claim::Nullify { view }),
        Claim::Finalize { block, .. } => (MARKS[1], Claim::Finalize { view, block, outcome: other }),
        Claim::Nullify { .. } => (MARKS[3], Claim::Finalize { view, block: other, outcome: other }),
    }
}

impl Conflicter {
    fn against(&mut self, stage: &mut Stage<'_>, claim: Claim) -> Option<Vec<u8>> {
        let (does, alternative, other) = (stage.dice().chance(700), stage.dice().coin(), made_up(stage));
        let place = self.atlas.place(stage)?;
        let epoch = place.epoch.number;
        if let Some(known) = self.against.get(&(epoch, claim)) {
            return known.clone();
        }
        let message = does.then(|| {
            let (mark, second) = opposite(claim, other, alternative);
            stage.mark(mark);
            bytes(&place.vote_message(stage, second))
        });
        while self.against.len() >= KNOWN_MAX {
            self.against.pop_first();
        }
        self.against.insert((epoch, claim), message.clone());
        message
    }
}

impl Filter for Conflicter {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _to: usize, message: &PeerMessage) -> Outgoing {
        let Some(claim) = single_vote(message).map(|vote| vote.claim) else { return Outgoing::Pass };
        let Some(second) = self.against(stage, claim) else { return Outgoing::Pass };
        let first = bytes(message);
        Outgoing::Instead(if stage.dice().coin() { vec![first, second] } else { vec![second, first] })
    }
}
