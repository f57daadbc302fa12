//! The ways in which a block can be wrong.
use quorate_consensus::Proposal;
use quorate_primitives::address::AccountId;
use quorate_primitives::block::{Header, PAYLOAD_BYTES_MAX, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::{Certificate, Claim, Vote};
use quorate_primitives::codec::{Blob, List};
use quorate_primitives::keys::Signature;
use quorate_primitives::transaction::{
    Action, Operation, Output, Quantity, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::validators::Signers;
use quorate_primitives::{Amount, Hash, Timestamp, View};
use quorate_replica::PeerMessage;
use std::sync::Arc;

use super::super::place::{Parts, Place, made_up};
use crate::puppet::Stage;

/// The mark of a proposal whose vote is for another block.
pub(crate) const OTHER_VOTE: &str = "bad block: with a vote for another";

/// Marks, by kind.
pub(crate) const MARKS: [&str; 19] = [
    "bad block: of a parent that does not exist",
    "bad block: of the wrong height",
    "bad block: of a time far in the future",
    "bad block: of a time in the past",
    "bad block: of another proposer",
    "bad block: of another epoch",
    "bad block: of another chain",
    "bad block: of another version",
    "bad block: with another payload",
    "bad block: with a bundle that does not exist",
    "bad block: with a bundle twice",
    "bad block: with a bundle of its ancestor",
    "bad block: with too many bytes",
    "bad block: proposed again, and not the last of its epoch",
    "bad block: after the last of its epoch",
    "bad block: that leaves out its parent",
    "bad block: of a parent of a later view",
    "bad block: with a proof that proves nothing",
    OTHER_VOTE,
];

/// What can be used to make a block wrong.
pub(super) struct Scene<'a> {
    pub(super) parts: Parts,
    /// To be sent first.
    pub(super) bundles: Vec<Bundle>,
    place: &'a Place,
    now: Timestamp,
    made_up: Hash,
    head: Option<Header>,
    ancestral: Option<Hash>,
    heavy: Option<Vec<Bundle>>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(stage: &mut Stage<'_>, place: &'a Place, parts: Parts, kind: usize) -> Option<Self> {
        let ledger = stage.replica()?.ledger();
        let head = ledger.head().header().cloned();
        let stored = ledger.reader().block(ledger.head().height()).ok().flatten();
        let ancestral = stored.and_then(|stored| stored.payload.bundles.first().copied());
        let limit =
            usize::try_from(stage.genesis().parameters.payload_bytes_max).unwrap_or(PAYLOAD_BYTES_MAX);
        let heavy = (kind == 12).then(|| heavy(stage, limit)).flatten();
        let (now, made_up) = (stage.time(), made_up(stage));
        Some(Self { parts, bundles: Vec::new(), place, now, made_up, head, ancestral, heavy })
    }

    /// Makes the block wrong in one way; false if it cannot be.
    pub(super) fn spoil(&mut self, kind: usize) -> bool {
        let (made_up, last) = (self.made_up, self.place.epoch.last);
        if !self.parts.is_new() {
            return kind == 14 && self.follow_the_last();
        }
        let count = u8::try_from(self.place.epoch.len()).unwrap_or(u8::MAX);
        let Parts { proposal, inline, .. } = &mut self.parts;
        let Proposal { header, view, parent, proof, vote } = proposal;
        match kind {
            0 => header.parent = made_up,
            1 => header.height = header.height.next(),
            2 => header.time = self.now.saturating_add(3_600_000),
            3 => header.time = Timestamp::new(1),
            4 => header.proposer = header.proposer.wrapping_add(1).checked_rem(count).unwrap_or_default(),
            5 => header.epoch = header.epoch.next(),
            6 => header.chain = made_up,
            7 => header.version = header.version.wrapping_add(1),
            8 => header.payload_root = made_up,
            9 => return self.list(vec![made_up]),
            10 => {
                let Some(id) = inline.as_ref().map(Bundle::id) else { return false };
                return self.list(vec![id, id]);
            }
            11 => {
                let Some(id) = self.ancestral else { return false };
                return self.list(vec![id]);
            }
            12 => {
                let Some(heavy) = self.heavy.take() else { return false };
                let ids = heavy.iter().map(Bundle::id).collect();
                self.bundles = heavy;
                return self.list(ids);
            }
            13 => {
                let head = self.head.clone().filter(|head| head.epoch == header.epoch && head.height < last);
                let Some(head) = head else { return false };
                *parent = head.view;
                *header = head;
            }
            14 => return false,
            15 => {
                let head = self.head.clone().filter(|head| head.epoch == header.epoch);
                let Some(head) = head else { return false };
                (header.parent, header.parent_view, header.height) =
                    (head.parent, head.parent_view, head.height);
                *parent = head.parent_view;
            }
            16 => {
                header.parent_view = view.next();
                *parent = view.next();
            }
            17 => *proof = List::of_one(nonsense(*view, made_up, self.place)),
            _ => vote.claim = Claim::Notarize { view: *view, block: made_up },
        }
        true
    }

    fn list(&mut self, bundles: Vec<Hash>) -> bool {
        let Ok(bundles) = List::new(bundles) else { return false };
        self.parts.payload = Payload { bundles };
        self.parts.proposal.header.payload_root = self.parts.payload.root();
        true
    }

    /// The last block of the epoch is to be proposed again; a child of it instead.
    fn follow_the_last(&mut self) -> bool {
        let last = self.parts.proposal.header.clone();
        self.parts.strip();
        let Proposal { header, view, parent, .. } = &mut self.parts.proposal;
        (header.view, header.parent_view, header.parent) = (*view, *parent, last.id());
        (header.height, header.time) = (last.height.next(), last.time.next());
        header.proposer = self.place.index;
        true
    }
}

/// A certificate that nobody signed.
fn nonsense(view: View, block: Hash, place: &Place) -> Certificate {
    let signers = Signers::all(place.epoch.quorum());
    let signatures = vec![Signature::from_bytes([3; 64]); place.epoch.quorum()];
    let signatures = List::new(signatures).unwrap_or_else(|_| List::of_one(Signature::from_bytes([3; 64])));
    Certificate { claim: Claim::Notarize { view: view.saturating_sub(1), block }, signers, signatures }
}

pub(super) fn with_vote(message: PeerMessage, vote: Vote) -> PeerMessage {
    match message {
        PeerMessage::Proposal { proposal, payload, inline } => {
            PeerMessage::Proposal { proposal: Proposal { vote, ..proposal }, payload, inline }
        }
        other => other,
    }
}

/// Bundles that are too much for one block together. Their transactions come to nothing.
fn heavy(stage: &mut Stage<'_>, limit: usize) -> Option<Vec<Bundle>> {
    let transaction = large_transaction(stage)?;
    let each = transaction.size().max(1);
    let count = limit.checked_div(each)?.saturating_add(1);
    let bundle = |sequence: usize| {
        let sequence = u64::try_from(sequence).unwrap_or(u64::MAX);
        Bundle::from_shared(254, sequence, vec![Arc::clone(&transaction)], Vec::new()).ok()
    };
    (0..count).map(bundle).collect()
}

fn nonce(stage: &mut Stage<'_>) -> [u8; 16] {
    let mut nonce = [0; 16];
    nonce.iter_mut().zip(made_up(stage).as_bytes()).for_each(|(to, from)| *to = *from);
    nonce
}

fn large_transaction(stage: &mut Stage<'_>) -> Option<Arc<SignedTransaction>> {
    let nobody = AccountId::from_bytes([6; 32]);
    let output = Output { to: nobody, amount: Amount::new(1), tag: None };
    let asset = quorate_primitives::state::AssetId::from_bytes([6; 32]);
    let operation = Operation::TransferMany { asset, outputs: List::new(vec![output; 1_000]).ok()? };
    let nothing = Operation::Transfer { asset, to: nobody, quantity: Quantity::All, tag: None };
    let actions = [operation, nothing].map(|operation| Action { actor: None, operation });
    let transaction = Transaction {
        chain: stage.genesis().hash(),
        version: TRANSACTION_VERSION,
        sender: nobody,
        nonce: nonce(stage),
        valid_until: stage.time().saturating_add(10_000),
        actions: List::new(actions.to_vec()).ok()?,
        asserts: List::default(),
        reference: Blob::default(),
        memo: Blob::default(),
        signers: List::of_one(stage.secret().public_key()),
    };
    transaction.sign(std::slice::from_ref(stage.secret())).ok().map(Arc::new)
}
