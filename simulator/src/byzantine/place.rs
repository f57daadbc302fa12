//! Where a program stands: what it must know of the epoch to say things that others listen to.
use quorate_consensus::{Anchor, Epoch, Message, Proposal};
use quorate_primitives::block::{Header, PROTOCOL_VERSION, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::{Claim, Vote};
use quorate_primitives::codec;
use quorate_primitives::validators::EpochIdentity;
use quorate_primitives::{EpochNumber, Hash, Height, View};
use quorate_replica::PeerMessage;

use crate::puppet::Stage;

/// The epoch that the replica behind a filter is in, as one of its validators sees it.
pub(super) struct Place {
    pub(super) epoch: Epoch,
    pub(super) identity: EpochIdentity,
    pub(super) index: u8,
}

/// Keeps the place until the epoch changes.
#[derive(Default)]
pub(super) struct Atlas(Option<Place>);

impl Atlas {
    /// The place now; `None` while the replica is down or votes for nobody.
    pub(super) fn place(&mut self, stage: &Stage<'_>) -> Option<&Place> {
        let replica = stage.replica()?;
        if self.0.as_ref().is_none_or(|place| place.epoch.context != replica.context()) {
            self.0 = Place::of(stage);
        }
        self.0.as_ref()
    }
}

impl Place {
    fn of(stage: &Stage<'_>) -> Option<Self> {
        let replica = stage.replica()?;
        let (number, last) = replica.period();
        let genesis = stage.genesis();
        let validators = replica.ledger().head().state().validators(number)?;
        let anchor = anchor(stage, number)?;
        let identity = EpochIdentity {
            chain: genesis.hash(),
            epoch: number,
            anchor: anchor.block,
            anchor_outcome: anchor.outcome,
            validators: validators.hash(),
            parameters: genesis.parameters.hash(),
            version: PROTOCOL_VERSION,
        };
        let epoch = Epoch::new(number, identity.context(), validators, anchor, last);
        debug_assert_eq!(epoch.context, replica.context(), "the place is the replica's");
        Some(Self { epoch, identity, index: replica.index()? })
    }

    /// A signed vote.
    pub(super) fn vote(&self, stage: &mut Stage<'_>, claim: Claim) -> Vote {
        stage.sign(claim, &self.epoch.context, self.index)
    }

    /// A signed vote as it travels.
    pub(super) fn vote_message(&self, stage: &mut Stage<'_>, claim: Claim) -> PeerMessage {
        let vote = self.vote(stage, claim);
        PeerMessage::Consensus { epoch: self.epoch.number, message: Message::Vote(vote) }
    }

    /// The parts of an own proposal, changed and signed anew.
    pub(super) fn reworked(
        &self,
        stage: &mut Stage<'_>,
        parts: &Parts,
        change: impl FnOnce(&mut Parts),
    ) -> PeerMessage {
        let mut parts = parts.clone();
        change(&mut parts);
        let claim = Claim::Notarize { view: parts.proposal.view, block: parts.proposal.header.id() };
        parts.proposal.vote = self.vote(stage, claim);
        parts.into_message()
    }
}

fn anchor(stage: &Stage<'_>, number: EpochNumber) -> Option<Anchor> {
    let genesis = stage.genesis();
    let height = Height::new(number.get().saturating_mul(genesis.parameters.epoch_length));
    if height == Height::ZERO {
        return Some(Anchor { block: genesis.hash(), height, time: genesis.time, outcome: Hash::ZERO });
    }
    let stored = stage.replica()?.ledger().reader().block(height).ok()??;
    let header: &Header = &stored.header;
    Some(Anchor { block: header.id(), height, time: header.time, outcome: stored.outcome.digest() })
}

/// A proposal with all that travels with it.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) proposal: Proposal,
    pub(super) payload: Payload,
    pub(super) inline: Option<Bundle>,
}

impl Parts {
    /// The parts of a message, if it is a whole proposal.
    pub(super) fn of(message: &PeerMessage) -> Option<Self> {
        let PeerMessage::Proposal { proposal, payload, inline } = message else { return None };
        Some(Self { proposal: proposal.clone(), payload: payload.clone(), inline: inline.clone() })
    }

    fn into_message(self) -> PeerMessage {
        PeerMessage::Proposal { proposal: self.proposal, payload: self.payload, inline: self.inline }
    }

    /// Whether the block is of this very view, and not one that is proposed again.
    pub(super) fn is_new(&self) -> bool {
        self.proposal.header.view == self.proposal.view
    }

    /// Makes it a block without bundles.
    pub(super) fn strip(&mut self) {
        self.payload = Payload::default();
        self.proposal.header.payload_root = self.payload.root();
        self.inline = None;
    }
}

/// The view of a whole or bare proposal.
pub(super) fn proposed_view(message: &PeerMessage) -> Option<View> {
    match message {
        PeerMessage::Proposal { proposal, .. } => Some(proposal.view),
        PeerMessage::Consensus { message: Message::Propose(proposal), .. } => Some(proposal.view),
        PeerMessage::Consensus { .. } | PeerMessage::Bundle(_) => None,
    }
}

/// The vote that travels alone in a message.
pub(super) fn single_vote(message: &PeerMessage) -> Option<&Vote> {
    match message {
        PeerMessage::Consensus { message: Message::Vote(vote), .. } => Some(vote),
        PeerMessage::Consensus { .. } | PeerMessage::Proposal { .. } | PeerMessage::Bundle(_) => None,
    }
}

/// The hash of nothing that exists.
pub(super) fn made_up(stage: &mut Stage<'_>) -> Hash {
    let mut bytes = [0; 32];
    for eight in bytes.chunks_mut(8) {
        let drawn = stage.dice().below(u64::MAX).to_le_bytes();
        eight.iter_mut().zip(drawn).for_each(|(to, from)| *to = from);
    }
    Hash::from_bytes(bytes)
}

/// Encodes a message.
pub(super) fn bytes(message: &PeerMessage) -> Vec<u8> {
    codec::encode(message)
}
