//! Sends more than anybody needs: votes, proposals and questions for views and epochs that are far away,
//! bundles without end, and bytes that say nothing.
use quorate_consensus::{Message, Proposal, Want};
use quorate_primitives::block::{Header, PROTOCOL_VERSION, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::{Claim, ClaimKind, Vote};
use quorate_primitives::codec::List;
use quorate_primitives::keys::Signature;
use quorate_primitives::{EpochNumber, Height, View};
use quorate_replica::{PeerMessage, Question};

use super::place::{Atlas, Place, made_up};
use crate::puppet::{Filter, Incoming, Stage};

/// Marks of what it does.
pub(super) const MARKS: [&str; 6] = [
    "flooder: far vote",
    "flooder: vote of another epoch",
    "flooder: far proposal",
    "flooder: far question",
    "flooder: bundle again under another name",
    "flooder: bytes that say nothing",
];

/// How often it sends, in ms, and how much at a time.
const INTERVAL_MS: u64 = 40;
const AT_ONCE: usize = 6;

/// See the module.
#[derive(Default)]
pub(super) struct Flooder {
    atlas: Atlas,
    bundle: Option<Bundle>,
    sequence: u64,
}

fn far(stage: &mut Stage<'_>, view: View) -> View {
    match stage.dice().below(7) {
        0 => View::MAX,
        1 => View::new(u64::MAX - 1),
        2 => view.saturating_add(5),
        3 => view.saturating_add(64),
        4 => view.saturating_add(1_025),
        5 => view.saturating_sub(40),
        _ => view.saturating_add(1 << 40),
    }
}

fn other_epoch(stage: &mut Stage<'_>, epoch: EpochNumber) -> EpochNumber {
    match stage.dice().below(5) {
        0 => EpochNumber::MAX,
        1 => EpochNumber::ZERO,
        2 => epoch.saturating_add(2),
        3 => epoch.saturating_sub(1),
        _ => epoch.next(),
    }
}

fn any_vote(stage: &mut Stage<'_>, place: &Place, view: View) -> Message {
    let (block, outcome) = (made_up(stage), made_up(stage));
    let claim = match stage.dice().below(3) {
        0 => Claim::Notarize { view, block },
        1 => Claim::Nullify { view },
        _ => Claim::Finalize { view, block, outcome },
    };
    if stage.dice().chance(250) {
        return Message::Vote(place.vote(stage, claim));
    }
    Message::Vote(Vote { claim, signer: place.index, signature: Signature::from_bytes([7; 64]) })
}

/// A block for a far view that it really leads.
fn far_proposal(stage: &mut Stage<'_>, place: &Place, view: View) -> PeerMessage {
    let turns = u64::try_from(place.epoch.len()).unwrap_or(1);
    let base = far(stage, view).saturating_sub(turns);
    let mine = (0..turns).map(|turn| base.saturating_add(turn));
    let view = mine.clone().find(|view| place.epoch.leader(*view) == place.index).unwrap_or(base);
    let payload = Payload::default();
    let parent = view.saturating_sub(1);
    let header = Header {
        chain: place.identity.chain,
        version: PROTOCOL_VERSION,
        epoch: place.epoch.number,
        view,
        height: Height::new(view.get()),
        parent_view: parent,
        parent: made_up(stage),
        time: stage.time(),
        proposer: place.index,
        payload_root: payload.root(),
    };
    let vote = place.vote(stage, Claim::Notarize { view, block: header.id() });
    let proposal = Proposal { view, parent, header, vote, proof: List::default() };
    PeerMessage::Proposal { proposal, payload, inline: None }
}

impl Flooder {
    fn one(&mut self, stage: &mut Stage<'_>) {
        let Some(view) = stage.replica().map(|replica| replica.status().view) else { return };
        let Some(place) = self.atlas.place(stage) else { return };
        let epoch = place.epoch.number;
        let nodes = stage.nodes();
        let (kind, to, view_there) = (stage.dice().below(16), stage.dice().index(nodes), far(stage, view));
        match kind {
            0..=4 => {
                stage.mark(MARKS[0]);
                let message = any_vote(stage, place, view_there);
                stage.send_all(&PeerMessage::Consensus { epoch, message });
            }
            5..=7 => {
                stage.mark(MARKS[1]);
                let (message, epoch) = (any_vote(stage, place, view), other_epoch(stage, epoch));
                stage.send(to, &PeerMessage::Consensus { epoch, message });
            }
            8 | 9 => {
                stage.mark(MARKS[2]);
                let message = far_proposal(stage, place, view);
                stage.send_all(&message);
            }
            10 | 11 => {
                stage.mark(MARKS[3]);
                let message =
                    Message::Want(Want::Certificate { view: view_there, kind: ClaimKind::Notarize });
                stage.send(to, &PeerMessage::Consensus { epoch, message });
                stage.ask(to, view_there.get(), &Question::Blocks { from: Height::new(view_there.get()) });
            }
            12..=14 => self.bundle_again(stage),
            _ if stage.dice().chance(100) => {
                stage.mark(MARKS[5]);
                stage.send_bytes(to, vec![255; 9]);
            }
            _ => {}
        }
    }

    fn bundle_again(&mut self, stage: &mut Stage<'_>) {
        let Some(bundle) = &self.bundle else { return };
        self.sequence = self.sequence.wrapping_add(1);
        let transactions = bundle.transactions().to_vec();
        if let Ok(other) = Bundle::from_shared(255, self.sequence, transactions, Vec::new()) {
            stage.mark(MARKS[4]);
            stage.send_all(&PeerMessage::Bundle(other));
        }
    }
}

impl Filter for Flooder {
    fn start(&mut self, stage: &mut Stage<'_>) {
        stage.call_me(0, INTERVAL_MS);
    }

    fn incoming(&mut self, _stage: &mut Stage<'_>, _from: usize, message: &PeerMessage) -> Incoming {
        let bundle = match message {
            PeerMessage::Bundle(bundle) => Some(bundle),
            PeerMessage::Proposal { inline, .. } => inline.as_ref(),
            PeerMessage::Consensus { .. } => None,
        };
        if let Some(bundle) = bundle.filter(|bundle| !bundle.transactions().is_empty()) {
            self.bundle = Some(bundle.clone());
        }
        Incoming::Pass
    }

    fn timer(&mut self, stage: &mut Stage<'_>, _tag: u64) {
        stage.call_me(0, INTERVAL_MS);
        (0..AT_ONCE).for_each(|_| self.one(stage));
    }
}
