//! Keeps its votes to itself, makes certificates of what the others vote and of its own votes, and shows
//! each to a single node.
use quorate_consensus::Message;
use quorate_primitives::EpochNumber;
use quorate_primitives::certificate::{Certificate, Claim, Vote};
use quorate_primitives::codec::List;
use quorate_primitives::keys::Signature;
use quorate_primitives::validators::Signers;
use quorate_replica::PeerMessage;
use std::collections::BTreeMap;

use super::place::{Atlas, single_vote};
use crate::puppet::{Filter, Incoming, Outgoing, Stage};

/// Marks of what it does.
pub(super) const MARKS: [&str; 4] = [
    "hoarder: kept a vote",
    "hoarder: kept a certificate",
    "hoarder: showed a notarization to one",
    "hoarder: showed another certificate to one",
];

/// Claims whose votes are gathered.
const CLAIMS_MAX: usize = 64;

/// See the module.
#[derive(Default)]
pub(super) struct Hoarder {
    atlas: Atlas,
    votes: BTreeMap<(EpochNumber, Claim), BTreeMap<u8, Signature>>,
}

impl Hoarder {
    fn gather(&mut self, stage: &mut Stage<'_>, epoch: EpochNumber, vote: &Vote) {
        let Some(place) = self.atlas.place(stage).filter(|place| place.epoch.number == epoch) else { return };
        let quorum = place.epoch.quorum();
        while self.votes.len() >= CLAIMS_MAX {
            self.votes.pop_first();
        }
        let gathered = self.votes.entry((epoch, vote.claim)).or_default();
        let is_new = gathered.insert(vote.signer, vote.signature).is_none();
        // Every further vote makes another certificate of the same claim, for another node.
        if is_new && gathered.len() >= quorum {
            let gathered = gathered.clone();
            show(stage, epoch, vote.claim, &gathered);
        }
    }
}

fn show(stage: &mut Stage<'_>, epoch: EpochNumber, claim: Claim, votes: &BTreeMap<u8, Signature>) {
    let signers = votes.keys().fold(Signers::NONE, |signers, index| signers.with(*index));
    let Ok(signatures) = List::new(votes.values().copied().collect()) else { return };
    let message = Message::Certificate(Certificate { claim, signers, signatures });
    let nodes = stage.nodes();
    let to = stage.dice().index(nodes);
    stage.mark(MARKS[if matches!(claim, Claim::Notarize { .. }) { 2 } else { 3 }]);
    stage.send(to, &PeerMessage::Consensus { epoch, message });
}

impl Filter for Hoarder {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _to: usize, message: &PeerMessage) -> Outgoing {
        match message {
            PeerMessage::Consensus { epoch, message: Message::Vote(vote) } => {
                stage.mark(MARKS[0]);
                self.gather(stage, *epoch, vote);
                Outgoing::Instead(Vec::new())
            }
            PeerMessage::Consensus { message: Message::Certificate(_), .. } => {
                stage.mark(MARKS[1]);
                Outgoing::Instead(Vec::new())
            }
            PeerMessage::Consensus { .. } | PeerMessage::Proposal { .. } | PeerMessage::Bundle(_) => {
                Outgoing::Pass
            }
        }
    }

    fn incoming(&mut self, stage: &mut Stage<'_>, _from: usize, message: &PeerMessage) -> Incoming {
        match message {
            PeerMessage::Proposal { proposal, .. } => {
                self.gather(stage, proposal.header.epoch, &proposal.vote);
            }
            PeerMessage::Consensus { epoch, .. } => {
                if let Some(vote) = single_vote(message) {
                    self.gather(stage, *epoch, vote);
                }
            }
            PeerMessage::Bundle(_) => {}
        }
        Incoming::Pass
    }
}
