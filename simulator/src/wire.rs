//! What travels between nodes: the real bytes, and what they say.
//!
//! A packet is encoded once and decoded once, however many nodes it goes to: the same bytes are the same
//! message. A packet whose bytes were changed on the way is another packet.
use quorate_consensus::{Message, Proposal};
use quorate_primitives::certificate::{Certificate, Vote};
use quorate_primitives::codec;
use quorate_primitives::{EpochNumber, PublicKey};
use quorate_replica::wire::{PEER_MESSAGE_BYTES_MAX, VerifiedSyncBlock};
use quorate_replica::{Answer, Event, PeerMessage, SyncBlock, VerifiedAnswer};
use std::cell::OnceCell;
use std::fmt;

use crate::signatures::Memo;
use crate::trace::digest;

/// Bytes on the wire.
pub struct Packet {
    bytes: Vec<u8>,
    digest: u64,
    message: OnceCell<Option<PeerMessage>>,
    /// Whether its transactions are signed.
    event: OnceCell<Option<Event>>,
}

impl Packet {
    /// A packet with these bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        let digest = digest(&bytes);
        Self { bytes, digest, message: OnceCell::new(), event: OnceCell::new() }
    }

    /// The encoding of a message.
    #[must_use]
    pub fn of(message: &PeerMessage) -> Self {
        Self::new(codec::encode(message))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Stands for the bytes in the trace.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// What the bytes say, decoded within the limits of a node; `None` if they say nothing.
    #[must_use]
    pub fn message(&self) -> Option<&PeerMessage> {
        let decoded = || codec::decode(&self.bytes, PEER_MESSAGE_BYTES_MAX).ok();
        self.message.get_or_init(decoded).as_ref()
    }

    /// The event that the packet is for a replica; `None` if the driver cuts whoever sent it.
    pub fn event(&self, from: PublicKey, memo: &mut Memo) -> Option<Event> {
        let event = self.event.get_or_init(|| event_of(self.message()?, from, memo));
        event.clone().map(|event| event_from(event, from))
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            None => write!(f, "{} bytes that say nothing", self.bytes.len()),
            Some(PeerMessage::Consensus { epoch, message }) => {
                write!(f, "epoch {epoch} ")?;
                describe(f, message)
            }
            Some(PeerMessage::Proposal { proposal, payload, inline }) => write!(
                f,
                "proposal {} of height {} in view {} after {} with {} bundles{}, proof {}",
                short(&proposal.header.id()),
                proposal.header.height,
                proposal.view,
                proposal.parent,
                payload.bundles.len(),
                if inline.is_some() { ", one inline" } else { "" },
                proposal.proof.len(),
            ),
            Some(PeerMessage::Bundle(bundle)) => {
                write!(f, "bundle {} of {} transactions", short(&bundle.id()), bundle.transactions().len())
            }
        }
    }
}

fn describe(f: &mut fmt::Formatter<'_>, message: &Message) -> fmt::Result {
    match message {
        Message::Propose(proposal) => {
            write!(f, "bare proposal {} in view {}", short(&proposal.header.id()), proposal.view)
        }
        Message::Vote(vote) => write!(f, "vote of {}: {}", vote.signer, claim_text(&vote.claim)),
        Message::Certificate(certificate) => {
            write!(f, "certificate of {}: {}", certificate.signers.count(), claim_text(&certificate.claim))
        }
        Message::Want(want) => write!(f, "{want:?}"),
    }
}

/// A claim for people.
#[must_use]
pub fn claim_text(claim: &quorate_primitives::certificate::Claim) -> String {
    match claim.block() {
        Some(block) => format!("{claim} for {}", short(&block)),
        None => claim.to_string(),
    }
}

/// The beginning of a hash, enough to tell those of one run apart.
#[must_use]
pub fn short(hash: &quorate_primitives::Hash) -> String {
    let mut text = hash.to_string();
    text.truncate(8);
    text
}

fn event_of(message: &PeerMessage, from: PublicKey, memo: &mut Memo) -> Option<Event> {
    match message.clone() {
        PeerMessage::Consensus { epoch, message } => {
            Some(Event::Message { from, epoch, message: Box::new(message) })
        }
        PeerMessage::Proposal { proposal, payload, inline } => {
            let inline = match inline {
                Some(bundle) => Some(memo.bundle(bundle)?),
                None => None,
            };
            Some(Event::Proposal { from, proposal: Box::new(proposal), payload, inline })
        }
        PeerMessage::Bundle(bundle) => {
            let bundle = memo.bundle(bundle)?;
            Some(Event::Bundle { from: Some(from), bundle })
        }
    }
}

/// The same event as it comes from another peer.
fn event_from(event: Event, sender: PublicKey) -> Event {
    match event {
        Event::Message { epoch, message, .. } => Event::Message { from: sender, epoch, message },
        Event::Proposal { proposal, payload, inline, .. } => {
            Event::Proposal { from: sender, proposal, payload, inline }
        }
        Event::Bundle { bundle, .. } => Event::Bundle { from: Some(sender), bundle },
        other => other,
    }
}

/// Proves the transactions of an answer, as [`Answer::verify`] does, each once.
pub fn verify_answer(answer: Answer, memo: &mut Memo) -> Option<VerifiedAnswer> {
    let mut all =
        |bundles: Vec<_>| bundles.into_iter().map(|bundle| memo.bundle(bundle)).collect::<Option<Vec<_>>>();
    match answer {
        Answer::Unknown => Some(VerifiedAnswer::Unknown),
        Answer::Bundles(bundles) => all(bundles.into_inner()).map(VerifiedAnswer::Bundles),
        Answer::Block { header, bundles } => {
            Some(VerifiedAnswer::Block { header, bundles: all(bundles.into_inner())? })
        }
        Answer::Standing { epoch, view, entry, quarantined, vote } => {
            Some(VerifiedAnswer::Standing { epoch, view, entry, quarantined, vote })
        }
        Answer::Blocks(blocks) => {
            let mut verified = Vec::with_capacity(blocks.len());
            for SyncBlock { header, bundles, certificate } in blocks.into_inner() {
                verified.push(VerifiedSyncBlock { header, bundles: all(bundles.into_inner())?, certificate });
            }
            Some(VerifiedAnswer::Blocks(verified))
        }
    }
}

/// What a message says about agreement, for the checkers.
#[derive(Default)]
pub struct Said<'a> {
    /// Votes of single validators.
    pub votes: Vec<&'a Vote>,
    /// Certificates of quorums.
    pub certificates: Vec<&'a Certificate>,
}

/// What a message says about agreement, and in which epoch.
#[must_use]
pub fn said(message: &PeerMessage) -> (EpochNumber, Said<'_>) {
    let mut said = Said::default();
    let epoch = match message {
        PeerMessage::Consensus { epoch, message } => {
            match message {
                Message::Vote(vote) => said.votes.push(vote),
                Message::Certificate(certificate) => said.certificates.push(certificate),
                Message::Propose(proposal) => said.proposed(proposal),
                Message::Want(_) => {}
            }
            *epoch
        }
        PeerMessage::Proposal { proposal, .. } => {
            said.proposed(proposal);
            proposal.header.epoch
        }
        PeerMessage::Bundle(_) => EpochNumber::ZERO,
    };
    (epoch, said)
}

impl<'a> Said<'a> {
    fn proposed(&mut self, proposal: &'a Proposal) {
        self.votes.push(&proposal.vote);
        self.certificates.extend(proposal.proof.iter());
    }
}
