//! What does not change while the world moves: the validators, and the blocks that can be made.
use std::sync::Arc;

use quorate_consensus::{Anchor, Certificate, Claim, Epoch, Message, Parent, Proposal, Signers, Vote};
use quorate_primitives::block::{Header, PROTOCOL_VERSION, Payload};
use quorate_primitives::codec::{List, Text};
use quorate_primitives::hash::{Domain, hash};
use quorate_primitives::keys::{SecretKey, Signature};
use quorate_primitives::state::OrganisationId;
use quorate_primitives::validators::{Validator, ValidatorSet};
use quorate_primitives::{EpochNumber, Hash, Height, Timestamp, View};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn mark(text: &str) -> Hash {
    hash(Domain::Bundle, &[text.as_bytes()])
}

/// Four validators: the smallest network in which one may lie.
pub(crate) fn epoch() -> Arc<Epoch> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let member = |index: usize| Validator {
        name: Text::new(&format!("v{index}")).unwrap(),
        organisation: OrganisationId::new("bank").unwrap(),
        key: SecretKey::generate(&mut rng).public_key(),
    };
    let validators = ValidatorSet::new((0..4).map(member).collect()).unwrap();
    let anchor = Anchor {
        block: mark("anchor"),
        height: Height::ZERO,
        time: Timestamp::new(1000),
        outcome: Hash::ZERO,
    };
    Arc::new(Epoch::new(EpochNumber::ZERO, mark("context"), validators, anchor, Height::MAX))
}

pub(crate) fn anchor_of(epoch: &Epoch) -> Parent {
    let anchor = epoch.anchor;
    Parent { view: View::ZERO, block: anchor.block, height: anchor.height, time: anchor.time }
}

/// One of several blocks that differ in nothing but what they order. The first orders nothing.
pub(crate) fn block_on(epoch: &Epoch, view: View, parent: &Parent, variant: u8) -> Header {
    let payload_root = match variant {
        0 => Payload::default().root(),
        other => mark(&format!("payload {other}")),
    };
    Header {
        chain: mark("chain"),
        version: PROTOCOL_VERSION,
        epoch: epoch.number,
        view,
        height: parent.height.next(),
        parent_view: parent.view,
        parent: parent.block,
        time: parent.time.next(),
        proposer: epoch.leader(view),
        payload_root,
    }
}

/// What every machine computes when it executes a block.
pub(crate) fn outcome_of(block: Hash) -> Hash {
    hash(Domain::Outcome, &[block.as_bytes()])
}

// Every signature counts as valid: who signs what is for the world to decide.

const SIGNATURE: Signature = Signature::from_bytes([0; 64]);

pub(crate) fn certificate(claim: Claim, signers: Signers) -> Certificate {
    let signatures = List::new(vec![SIGNATURE; signers.count()]).unwrap();
    Certificate { claim, signers, signatures }
}

pub(crate) fn proposal(header: &Header) -> Message {
    let claim = Claim::Notarize { view: header.view, block: header.id() };
    Message::Propose(Proposal {
        view: header.view,
        parent: header.parent_view,
        header: header.clone(),
        vote: Vote { claim, signer: header.proposer, signature: SIGNATURE },
        proof: List::default(),
    })
}
