//! Epochs: which validators decide now, and the hand-over to the next ones.
//!
//! With `L` heights in an epoch, epoch `e` decides the blocks from `e·L + 1` to `(e + 1)·L`. The last of
//! them is final only by a certificate of its own, since nothing but itself follows it, and it is the
//! anchor of the next epoch: a fresh engine with views from 1 on, whose votes are bound to this very
//! block and its outcome. Everything below the anchor is synced to disk before the first vote after it,
//! so a vote log never speaks of an epoch that the ledger lost.
//!
//! Who is still in the epoch before and speaks is given the certificate of its last block; who is
//! further behind catches up with whole blocks. What the next epoch's validators say before this
//! replica is there is kept, up to a bound. Source: docs/protocol.md, section 2.12.
use quorate_consensus::{Anchor, Engine, Epoch, Input, Message, Mute, Proposal};
use quorate_genesis::Genesis;
use quorate_ledger::{Ledger, Reader};
use quorate_primitives::block::{PROTOCOL_VERSION, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::Certificate;
use quorate_primitives::signed::Verified;
use quorate_primitives::state::Parameters;
use quorate_primitives::validators::{EpochIdentity, ValidatorSet};
use quorate_primitives::{EpochNumber, Hash, Height, PublicKey, Timestamp, View};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::answer::Fault;
use crate::chain::Tip;
use crate::event::Effect;
use crate::guard::Guard;
use crate::members::Members;
use crate::record::LogRecord;
use crate::replica::Replica;
use crate::wire::PeerMessage;

/// Shortest time between two answers to one validator that is still in the epoch before, in ms.
const HELP_INTERVAL_MS: u64 = 100;
/// Messages of the next epoch that are kept of one sender.
const AHEAD_PER_SENDER_MAX: usize = 16;
/// Messages of the next epoch that are kept in all.
const AHEAD_MAX: usize = 1_024;

/// The epoch before, as far as those who are still in it need to know.
pub(crate) struct Previous {
    members: Members,
    /// Makes its last block final.
    finalization: Certificate,
    /// When each of its validators was last told.
    told: BTreeMap<u8, Timestamp>,
}

/// What a validator of another epoch said.
pub(crate) enum Early {
    /// A message of the protocol.
    Message(Box<Message>),
    /// A block to vote on, with what came with it.
    Proposal { proposal: Box<Proposal>, payload: Payload, inline: Option<Verified<Bundle>> },
}

/// What validators of the next epoch said already.
#[derive(Default)]
pub(crate) struct Ahead(VecDeque<(PublicKey, Early)>);

impl Ahead {
    fn keep(&mut self, from: PublicKey, said: Early) {
        let of_sender = self.0.iter().filter(|(sender, _)| *sender == from).count();
        if of_sender < AHEAD_PER_SENDER_MAX && self.0.len() < AHEAD_MAX {
            self.0.push_back((from, said));
        }
    }
}

/// The epoch that decides the block after this height.
pub(crate) fn epoch_after(height: Height, parameters: &Parameters) -> EpochNumber {
    EpochNumber::new(height.get().checked_div(parameters.epoch_length).unwrap_or_default())
}

/// Height of the last block of an epoch.
fn last_of(epoch: EpochNumber, parameters: &Parameters) -> Height {
    Height::new(epoch.get().saturating_add(1).saturating_mul(parameters.epoch_length))
}

/// The fixed facts of an epoch whose anchor is committed.
///
/// # Errors
/// [`Fault::Storage`] if the ledger does not know the anchor or the validators.
pub(crate) fn describe(number: EpochNumber, genesis: &Genesis, ledger: &Ledger) -> Result<Described, Fault> {
    let parameters = &genesis.parameters;
    let missing = |what: &str| Fault::Storage { reason: format!("{what} of epoch {number} is missing") };
    let height = Height::new(number.get().saturating_mul(parameters.epoch_length));
    let anchor = anchor_at(height, genesis, &ledger.reader())?.ok_or_else(|| missing("the anchor"))?;
    let validators = ledger.head().state().validators(number).ok_or_else(|| missing("the validator set"))?;
    Ok(Described::new(number, anchor, validators, genesis))
}

fn anchor_at(height: Height, genesis: &Genesis, reader: &Reader) -> Result<Option<Anchor>, Fault> {
    if height == Height::ZERO {
        let block = genesis.hash();
        return Ok(Some(Anchor { block, height, time: genesis.time, outcome: Hash::ZERO }));
    }
    let stored = reader.block(height).map_err(|error| Fault::Storage { reason: error.to_string() })?;
    Ok(stored.map(|stored| Anchor {
        block: stored.header.id(),
        height,
        time: stored.header.time,
        outcome: stored.outcome.digest(),
    }))
}

/// An epoch, and what its votes are bound to.
#[derive(Clone)]
pub(crate) struct Described {
    pub(crate) epoch: Arc<Epoch>,
    pub(crate) identity: EpochIdentity,
}

impl Described {
    fn new(number: EpochNumber, anchor: Anchor, validators: ValidatorSet, genesis: &Genesis) -> Self {
        let identity = EpochIdentity {
            chain: genesis.hash(),
            epoch: number,
            anchor: anchor.block,
            anchor_outcome: anchor.outcome,
            validators: validators.hash(),
            parameters: genesis.parameters.hash(),
            version: PROTOCOL_VERSION,
        };
        let last = last_of(number, &genesis.parameters);
        let epoch = Arc::new(Epoch::new(number, identity.context(), validators, anchor, last));
        Self { epoch, identity }
    }
}

impl Replica {
    /// The current epoch.
    pub(crate) fn epoch(&self) -> EpochNumber {
        self.members.number()
    }

    /// Whether the last block of the epoch is committed.
    pub(crate) fn is_epoch_over(&self) -> bool {
        self.chain.tip().height >= self.members.0.last
    }

    /// Begins the next epoch, after the last block of this one was committed.
    pub(crate) fn hand_over(&mut self) {
        if let Err(error) = self.ledger.sync() {
            return self.halt(Fault::Storage { reason: error.to_string() });
        }
        let next = match describe(self.epoch().next(), &self.genesis, &self.ledger) {
            Ok(next) => next,
            Err(fault) => return self.halt(fault),
        };
        let was_member = self.me.is_some();
        self.out.journal.push(LogRecord::Epoch(next.epoch.number));
        self.previous = self.boundary_of(self.members.clone());
        self.install(next);
        if self.me.is_some() && (!was_member || self.guard.mute().is_some()) {
            self.guard = Guard::asking(&self.guard);
        }
        self.enter_epoch();
    }

    /// What validators that are still in an epoch need, once its last block is committed.
    fn boundary_of(&self, members: Members) -> Option<Previous> {
        let (proof, _) = self.ledger.certified()?;
        let is_last = proof.header.epoch == members.number() && proof.header.height == members.0.last;
        let finalization = proof.certificate;
        is_last.then(|| Previous { members, finalization, told: BTreeMap::new() })
    }

    /// Takes the place in an epoch, with nothing said or heard in it.
    fn install(&mut self, described: Described) {
        let Described { epoch, identity } = described;
        let tip = self.chain.tip();
        let tip =
            Tip { block: tip.block, height: tip.height, view: View::ZERO, time: tip.time, seen: tip.seen };
        self.chain.begin_epoch(tip);
        self.me = self.key.and_then(|key| epoch.validators.index_of(&key));
        self.engine = Engine::new(Arc::clone(&epoch), self.me);
        self.members = Members(epoch);
        self.identity = identity;
        self.offers.clear();
        self.judging.clear();
        self.building = None;
        self.drafts.clear();
        self.finals.clear();
        self.inputs.clear();
        self.fetches.forget_blocks();
        self.sync.begin_epoch();
        self.pace.begin_epoch();
        self.pending_told = false;
        self.restore_later();
    }

    /// Starts the engine of the epoch that was installed, and hears what was said in it already.
    pub(crate) fn enter_epoch(&mut self) {
        if let Some(why) = self.mute() {
            self.engine.mute(why);
        }
        let step = self.engine.start();
        self.apply(step);
        self.admit_members();
        self.ask_standing();
        if self.bundles.len() > 0 || self.mempool.waiting_bytes() > 0 {
            self.note_pending();
        }
        for (from, said) in std::mem::take(&mut self.ahead.0) {
            match said {
                Early::Message(message) => self.message(&from, self.epoch(), *message),
                Early::Proposal { proposal, payload, inline } => {
                    self.proposal(&from, *proposal, payload, inline);
                }
            }
        }
    }

    /// Why this replica makes no claims now.
    fn mute(&self) -> Option<Mute> {
        // The log has votes of a later epoch: whatever was said in this one is forgotten, and over.
        if self.is_outdated() { Some(Mute::Forgetful) } else { self.guard.mute() }
    }

    /// Tells who may connect as a validator: those of this epoch and of the next two.
    fn admit_members(&mut self) {
        let mut keys: BTreeSet<PublicKey> = BTreeSet::new();
        let mut number = self.epoch();
        for _ in 0..3 {
            let set = self.ledger.head().state().validators(number);
            keys.extend(set.iter().flat_map(|set| set.members()).map(|member| member.key));
            number = number.next();
        }
        if self.admitted != keys {
            self.out.effects.push(Effect::Admit(keys.iter().copied().collect()));
            self.admitted = keys;
        }
    }

    /// If a validator set changed, who is in one of the next two epochs may connect from now on.
    pub(crate) fn admit_after_commit(&mut self) {
        let state = self.ledger.head().state();
        let latest = state.validators_hash(self.epoch().next().next());
        // Only the set of the epoch after the next can have changed.
        if self.started && latest != self.latest_set {
            self.latest_set = latest;
            self.admit_members();
        }
    }

    /// Takes a message of another epoch than the current one.
    pub(crate) fn of_other_epoch(&mut self, from: &PublicKey, epoch: EpochNumber, said: Early) {
        if epoch > self.epoch() {
            let next = self.ledger.head().state().validators(self.epoch().next());
            if epoch == self.epoch().next() && next.is_some_and(|set| set.index_of(from).is_some()) {
                self.ahead.keep(*from, said);
            }
            return self.sync_into_later_epoch();
        }
        if epoch.next() == self.epoch() {
            self.help_into_epoch(from);
        }
    }

    /// Shows a validator of the epoch before that it is over.
    fn help_into_epoch(&mut self, to: &PublicKey) {
        let Some(previous) = &mut self.previous else { return };
        let Some(index) = previous.members.index_of(to) else { return };
        let told = previous.told.get(&index).copied();
        let recently = |told: Timestamp| told <= self.now && self.now.distance_from(told) < HELP_INTERVAL_MS;
        if told.is_some_and(recently) {
            return;
        }
        previous.told.insert(index, self.now);
        let message = Message::Certificate(previous.finalization.clone());
        let message = PeerMessage::Consensus { epoch: previous.members.number(), message };
        self.out.effects.push(Effect::Send { to: vec![*to], message: Box::new(message) });
    }

    /// After a restart right behind the last block of an epoch, its validators may still need to know.
    pub(crate) fn recall_previous(&mut self) {
        let before = self.epoch().get().checked_sub(1).map(EpochNumber::new);
        let at_anchor = self.chain.tip().height == self.members.0.anchor.height;
        if let Some(before) = before.filter(|_| at_anchor)
            && let Ok(described) = describe(before, &self.genesis, &self.ledger)
        {
            self.previous = self.boundary_of(Members(described.epoch));
        }
    }

    /// Feeds a certificate that was learned apart from its sender, if it is of this epoch.
    pub(crate) fn hear_certificate(&mut self, epoch: EpochNumber, from: u8, certificate: Certificate) {
        if epoch == self.epoch() && !self.is_epoch_over() {
            self.inputs.push_back(Input::Received { from, message: Message::Certificate(certificate) });
        }
    }
}
