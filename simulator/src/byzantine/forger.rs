//! Makes certificates that look like those of a quorum: one vote short, or of its own vote many times.
use quorate_consensus::Message;
use quorate_primitives::EpochNumber;
use quorate_primitives::certificate::{Certificate, Claim, Vote};
use quorate_primitives::codec::List;
use quorate_primitives::keys::Signature;
use quorate_primitives::validators::Signers;
use quorate_replica::PeerMessage;
use std::collections::BTreeMap;

use super::place::{Atlas, made_up, single_vote};
use crate::puppet::{Filter, Incoming, Outgoing, Stage};

/// Marks of what it does.
pub(super) const MARKS: [&str; 2] = ["forger: one vote short", "forger: its own vote many times"];

/// Claims whose votes are gathered.
const CLAIMS_MAX: usize = 64;

/// See the module.
#[derive(Default)]
pub(super) struct Forger {
    atlas: Atlas,
    votes: BTreeMap<(EpochNumber, Claim), BTreeMap<u8, Signature>>,
}

impl Forger {
    /// With one vote missing, what is there is passed off as a certificate.
    fn gather(&mut self, stage: &mut Stage<'_>, epoch: EpochNumber, vote: &Vote) {
        let Some(place) = self.atlas.place(stage).filter(|place| place.epoch.number == epoch) else { return };
        let enough = place.epoch.len().saturating_sub(place.epoch.len().saturating_sub(1) / 3);
        while self.votes.len() >= CLAIMS_MAX {
            self.votes.pop_first();
        }
        let gathered = self.votes.entry((epoch, vote.claim)).or_default();
        let is_new = gathered.insert(vote.signer, vote.signature).is_none();
        if is_new && gathered.len().saturating_add(1) == enough && stage.dice().coin() {
            let signers = gathered.keys().fold(Signers::NONE, |signers, index| signers.with(*index));
            let signatures = gathered.values().copied().collect();
            show(stage, MARKS[0], epoch, (vote.claim, signers, signatures));
        }
    }

    /// A block that does not exist is final, says a single voice in the name of many.
    fn repeat(&mut self, stage: &mut Stage<'_>, epoch: EpochNumber, claim: Claim) {
        let (block, outcome) = (made_up(stage), made_up(stage));
        let Some(place) = self.atlas.place(stage).filter(|place| place.epoch.number == epoch) else { return };
        let claim = match stage.dice().below(3) {
            0 => claim,
            1 => Claim::Nullify { view: claim.view() },
            _ => Claim::Finalize { view: claim.view(), block, outcome },
        };
        let signature = place.vote(stage, claim).signature;
        let (signers, count) = (Signers::one(place.index), place.epoch.len());
        show(stage, MARKS[1], epoch, (claim, signers, vec![signature; count]));
    }
}

fn show(
    stage: &mut Stage<'_>,
    mark: &'static str,
    epoch: EpochNumber,
    (claim, signers, signatures): (Claim, Signers, Vec<Signature>),
) {
    let Ok(signatures) = List::new(signatures) else { return };
    let message = Message::Certificate(Certificate { claim, signers, signatures });
    let nodes = stage.nodes();
    let to = stage.dice().index(nodes);
    stage.mark(mark);
    stage.send(to, &PeerMessage::Consensus { epoch, message });
}

impl Filter for Forger {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _to: usize, message: &PeerMessage) -> Outgoing {
        if let PeerMessage::Consensus { epoch, message: Message::Vote(vote) } = message {
            self.gather(stage, *epoch, vote);
            if stage.dice().chance(100) {
                self.repeat(stage, *epoch, vote.claim);
            }
        }
        Outgoing::Pass
    }

    fn incoming(&mut self, stage: &mut Stage<'_>, _from: usize, message: &PeerMessage) -> Incoming {
        if let (Some(vote), PeerMessage::Consensus { epoch, .. }) = (single_vote(message), message) {
            self.gather(stage, *epoch, vote);
        }
        Incoming::Pass
    }
}
