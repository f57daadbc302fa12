//! The rules of safety: R1 (enter), R6 (finalization) and, in its parts, R2 to R5.
//!
//! The core sees certificates and never votes, and trusts that whoever calls [`Core::accept`] has
//! verified them. [`Core::promise`] is the only place where a claim of this validator comes into being.
use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_primitives::block::{Header, Payload};
use quorate_primitives::certificate::{Certificate, Claim, ClaimKind};
use quorate_primitives::zoo::{self, Bug};
use quorate_primitives::{Hash, View};

use crate::epoch::Epoch;
use crate::step::{Effect, Fault, Record, Step, Timer, Verdict};
use slot::{Block, Reason, Slot};

mod propose;
pub(crate) mod slot;
mod vote;

/// Views below the latest finalization that are remembered, to help those who are behind.
pub(crate) const RETAIN: u64 = 16;
/// Views of unfinalized blocks that are still finalized by votes of their own. Older ones become final
/// through descendants.
pub(crate) const OPEN_MAX: u64 = 256;

/// Whether this validator may speak (rule R14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Voice {
    /// Why it makes no claim at all, if it makes none.
    mute: Option<Mute>,
    /// It makes no claim before this view, because it may have made one that it forgot.
    from: View,
}

/// Why a validator makes no claims at all (rule R14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mute {
    /// The others have not yet said what they know of its votes.
    Asking,
    /// Its journal was lost: it may have voted in any view.
    Forgetful,
}

/// What this validator knows for certain, and what it has promised.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Core {
    pub(crate) epoch: Arc<Epoch>,
    pub(crate) me: Option<u8>,
    view: View,
    /// View, block and outcome of the latest finalization; at first the anchor's.
    finalized: (View, Hash, Hash),
    slots: BTreeMap<View, Slot>,
    blocks: BTreeMap<Hash, Block>,
    fault: Option<Fault>,
    /// The latest finalization, until the journal has it.
    floor: Option<Certificate>,
    /// Whether and from which view on claims may be made.
    voice: Voice,
    /// There is work to order.
    pending: bool,
    /// The timers of this view were armed to wait for the idle interval.
    idle: bool,
    /// The application was asked to build in this view.
    building: bool,
    /// Payload root of a block that orders nothing.
    empty: Hash,
}

impl Core {
    pub(crate) fn new(epoch: Arc<Epoch>, me: Option<u8>) -> Self {
        let finalized = (View::ZERO, epoch.anchor.block, epoch.anchor.outcome);
        let me = me.filter(|index| usize::from(*index) < epoch.len());
        Self {
            epoch,
            me,
            view: View::new(1),
            finalized,
            slots: BTreeMap::new(),
            blocks: BTreeMap::new(),
            fault: None,
            floor: None,
            voice: Voice::default(),
            pending: false,
            idle: false,
            building: false,
            empty: Payload::default().root(),
        }
    }

    // What others ask.

    pub(crate) fn view(&self) -> View {
        self.view
    }

    pub(crate) fn finalized(&self) -> (View, Hash) {
        (self.finalized.0, self.finalized.1)
    }

    pub(crate) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    pub(crate) fn leader(&self) -> u8 {
        self.epoch.leader(self.view)
    }

    pub(crate) fn slot(&self, view: View) -> Option<&Slot> {
        self.slots.get(&view)
    }

    pub(crate) fn finalization(&self) -> Option<&Certificate> {
        self.slots.get(&self.finalized.0)?.held(ClaimKind::Finalize)
    }

    /// All certificates that are kept.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.slots.values().flat_map(Slot::certificates)
    }

    /// The certificates of the view before this one, by which it was entered.
    pub(crate) fn entry(&self) -> impl Iterator<Item = &Certificate> {
        let slot = self.view.previous().and_then(|view| self.slots.get(&view));
        slot.into_iter().flat_map(Slot::certificates)
    }

    /// Own Finalize claims that may still matter, the latest first.
    pub(crate) fn open_finalizes(&self) -> impl Iterator<Item = Claim> {
        let open = self.slots.range(self.finalized.0.next()..).rev();
        open.flat_map(|(view, slot)| slot.own.claims(*view))
            .filter(|claim| claim.kind() == ClaimKind::Finalize)
    }

    pub(crate) fn own_claims(&self, view: View) -> Vec<Claim> {
        self.slots.get(&view).map(|slot| slot.own.claims(view)).unwrap_or_default()
    }

    /// Consecutive views before this one in which no block was certified.
    pub(crate) fn dry_views(&self) -> u64 {
        let newest = self.slots.iter().rev().find(|(_, slot)| slot.certified().is_some());
        let newest = newest.map_or(self.finalized.0, |(view, _)| *view);
        self.view.distance_from(newest.next())
    }

    /// Whether a certificate of this claim would be new, or proof that something is very wrong.
    pub(crate) fn is_news(&self, claim: &Claim) -> bool {
        let slot = self.slots.get(&claim.view());
        if slot.is_some_and(|slot| slot.contradiction(claim).is_some()) {
            return true;
        }
        claim.view() > self.finalized.0 && slot.is_none_or(|slot| slot.held(claim.kind()).is_none())
    }

    /// Whether others finalize the block that we finalize, but with another outcome.
    pub(crate) fn disputes(&self, claim: &Claim) -> bool {
        let Claim::Finalize { view, block, outcome } = claim else { return false };
        let own = self.slots.get(view).and_then(|slot| slot.own.finalize);
        own.is_some_and(|(ours, result)| ours == *block && result != *outcome)
    }

    /// The epoch's last block is final: nothing more is proposed or voted for.
    pub(crate) fn is_closed(&self) -> bool {
        self.header(self.finalized.1).is_some_and(|header| header.height >= self.epoch.last)
    }

    fn header(&self, block: Hash) -> Option<&Header> {
        self.blocks.get(&block)?.header.as_ref()
    }

    fn block_mut(&mut self, block: Hash, view: View) -> &mut Block {
        let known = self.blocks.entry(block).or_insert_with(|| Block::new(view));
        known.latest = known.latest.max(view);
        known
    }

    /// The block that a quorum voted for in a view; in view 0 the anchor.
    pub(crate) fn certified(&self, view: View) -> Option<Hash> {
        if view == View::ZERO {
            return Some(self.epoch.anchor.block);
        }
        if view == self.finalized.0 {
            return Some(self.finalized.1);
        }
        self.slots.get(&view)?.certified()
    }

    fn is_nullified(&self, view: View) -> bool {
        self.slots.get(&view).is_some_and(Slot::is_nullified)
    }

    // Certificates.

    /// Rules R1 and R6: takes a verified certificate.
    pub(crate) fn accept(&mut self, certificate: Certificate, out: &mut Step) {
        let claim = certificate.claim;
        if self.fault.is_some() || !self.is_news(&claim) {
            return;
        }
        if let Some(held) = self.slots.get(&claim.view()).and_then(|slot| slot.contradiction(&claim)) {
            return self.stop(Fault::Contradiction { held, found: claim }, out);
        }
        let signed = self.me.is_some_and(|me| certificate.signers.contains(me));
        if signed && !self.may_have_forgotten(&claim) && !self.own_claims(claim.view()).contains(&claim) {
            return self.stop(Fault::KeyUsedElsewhere { claim }, out);
        }
        self.hold(certificate.clone(), false);
        match claim {
            Claim::Notarize { view, block } => self.on_notarization(view, block, certificate, out),
            Claim::Nullify { .. } => {}
            Claim::Finalize { view, block, outcome } => {
                self.on_finalization((view, block, outcome), certificate, out);
            }
        }
        if self.fault.is_none() && claim.view() >= self.view {
            self.enter(claim.view().next(), out);
        }
    }

    fn hold(&mut self, certificate: Certificate, durable: bool) {
        let claim = certificate.claim;
        if let Some(block) = claim.block() {
            self.block_mut(block, claim.view());
        }
        self.slots.entry(claim.view()).or_default().hold(certificate, durable);
        if let Claim::Finalize { view, block, outcome } = claim
            && view > self.finalized.0
        {
            self.finalized = (view, block, outcome);
            self.forget();
        }
    }

    fn forget(&mut self) {
        let floor = self.finalized.0.saturating_sub(RETAIN);
        self.slots = self.slots.split_off(&floor);
        self.blocks.retain(|_, block| block.latest >= floor);
    }

    fn on_notarization(&mut self, view: View, block: Hash, certificate: Certificate, out: &mut Step) {
        // A block that we rejected but a quorum accepted: one of us does not follow the same rules.
        if self.blocks.get(&block).and_then(|block| block.verdict) == Some(Verdict::Invalid) {
            return self.stop(Fault::Rejected { view, block }, out);
        }
        // Work that was pending is now ordered, or is announced again.
        self.pending = false;
        if self.slots.get(&view).is_some_and(|slot| slot.own.nullify == Some(Reason::Timer)) {
            out.effects.push(Effect::Premature(view));
        }
        out.effects.push(Effect::Notarized(certificate));
    }

    fn on_finalization(
        &mut self,
        (view, block, theirs): (View, Hash, Hash),
        certificate: Certificate,
        out: &mut Step,
    ) {
        let known = self.blocks.get(&block);
        if known.and_then(|known| known.verdict) == Some(Verdict::Invalid) {
            return self.stop(Fault::Rejected { view, block }, out);
        }
        if let Some(ours) = known.and_then(|known| known.outcome).filter(|ours| *ours != theirs) {
            return self.stop(Fault::Diverged { view, block, ours, theirs }, out);
        }
        self.floor = Some(certificate.clone());
        out.effects.push(Effect::Finalized(certificate));
    }

    /// Rule R1: the view changes by certificates only.
    fn enter(&mut self, view: View, out: &mut Step) {
        self.view = view;
        self.building = false;
        self.idle = self.nothing_to_order();
        self.arm(out);
        out.effects.extend(self.own_claims(view).into_iter().map(Effect::Vote));
    }

    /// Sets the timers of the current view. The leader waits for its own block only as long as the view
    /// lasts, since how long building takes is for the application to decide.
    fn arm(&mut self, out: &mut Step) {
        let (view, level, idle) = (self.view, self.level(), self.idle);
        if self.me != Some(self.leader()) {
            out.effects.push(Effect::Arm { timer: Timer::Propose(view), level, idle });
        }
        if !zoo::has(Bug::ViewTimerNotSet) {
            out.effects.push(Effect::Arm { timer: Timer::View(view), level, idle });
        }
    }

    /// The latest certified block ordered nothing, and there is nothing waiting (section 2.13).
    fn nothing_to_order(&self) -> bool {
        if self.pending {
            return false;
        }
        let newest =
            self.slots.iter().rev().find_map(|(_, slot)| slot.certified()).unwrap_or(self.finalized.1);
        if newest == self.epoch.anchor.block {
            return true;
        }
        self.header(newest).is_some_and(|header| header.payload_root == self.empty)
    }

    /// How many views were given up or skipped since the last finalization, although their leaders were
    /// not known to be silent: a measure of how much too short the timers are.
    fn level(&self) -> u32 {
        let lost = |slot: &&Slot| (slot.is_nullified() || slot.own.nullify.is_some()) && !slot.silent;
        let open = self.slots.range(self.finalized.0.next()..).map(|(_, slot)| slot);
        u32::try_from(open.filter(lost).count()).unwrap_or(u32::MAX)
    }

    /// Marks the leader of the current view as silent (rule R12).
    pub(crate) fn mark_silent(&mut self) {
        self.slots.entry(self.view).or_default().silent = true;
    }

    /// There is work to order: who waits for the idle interval stops waiting (section 2.13).
    pub(crate) fn work_arrived(&mut self, out: &mut Step) {
        self.pending = true;
        let waiting = self
            .slots
            .get(&self.view)
            .is_none_or(|slot| slot.candidate.is_none() && slot.own.nullify.is_none());
        if self.idle && waiting {
            self.idle = false;
            self.arm(out);
        }
    }

    // Promises.

    /// The only place where a claim of this validator comes into being. Writes down what must survive
    /// together with it, so that nothing that others need is held by nobody: the certificates by which the
    /// view was entered; for Notarize also the parent's, without which the block can never be executed;
    /// for Finalize the notarization.
    fn promise(&mut self, claim: Claim, out: &mut Step) -> bool {
        let (view, kind) = (claim.view(), claim.kind());
        let promised = self.slots.get(&view).is_some_and(|slot| slot.own.forbids(kind));
        if !self.may_speak(view) || self.fault.is_some() || self.is_closed() || promised {
            return false;
        }
        out.journal
            .extend(self.floor.take().filter(|_| !zoo::has(Bug::FinalizationNotWritten)).map(Record::Floor));
        if let Claim::Notarize { block, .. } = claim {
            let parent =
                self.slots.get(&view).and_then(|slot| slot.candidate).filter(|known| known.block == block);
            self.write_down(parent.map(|known| known.parent), &[ClaimKind::Notarize], out);
        }
        match kind {
            ClaimKind::Notarize | ClaimKind::Nullify if zoo::has(Bug::EntryNotWritten) => {}
            ClaimKind::Notarize | ClaimKind::Nullify => {
                self.write_down(view.previous(), &[ClaimKind::Notarize, ClaimKind::Nullify], out);
            }
            ClaimKind::Finalize if zoo::has(Bug::NotarizationNotWritten) => {}
            ClaimKind::Finalize => self.write_down(Some(view), &[ClaimKind::Notarize], out),
        }
        if !zoo::has(Bug::ClaimNotWritten) {
            out.journal.push(Record::Own(claim));
        }
        self.slots.entry(view).or_default().own.record(&claim);
        true
    }

    fn write_down(&mut self, view: Option<View>, kinds: &[ClaimKind], out: &mut Step) {
        if let Some(slot) = view.and_then(|view| self.slots.get_mut(&view)) {
            out.journal.extend(kinds.iter().filter_map(|kind| slot.write_down(*kind)).map(Record::Held));
        }
    }

    /// Rule R14: whether a claim may be made in a view.
    pub(crate) fn may_speak(&self, view: View) -> bool {
        self.me.is_some() && self.voice.mute.is_none() && view >= self.voice.from
    }

    /// Why no claim is made at all, and the first view in which one may be made.
    pub(crate) fn voice(&self) -> (Option<Mute>, View) {
        (self.voice.mute, self.voice.from)
    }

    /// Whether a claim of this validator may be one that its journal lost.
    pub(crate) fn may_have_forgotten(&self, claim: &Claim) -> bool {
        self.voice.mute == Some(Mute::Forgetful) || claim.view() < self.voice.from
    }

    pub(crate) fn mute(&mut self, why: Mute) {
        self.voice.mute = Some(why);
    }

    /// Rule R14: claims may be made from this view on. The timers of the current view begin anew, since
    /// what they led to was not done.
    pub(crate) fn speak(&mut self, from: View, out: &mut Step) {
        if self.voice.mute.take().is_none() {
            return;
        }
        if from > self.voice.from {
            self.voice.from = from;
            out.journal.push(Record::Silence { before: from });
        }
        self.arm(out);
        out.effects.extend(self.own_claims(self.view).into_iter().map(Effect::Vote));
    }

    pub(crate) fn stop(&mut self, fault: Fault, out: &mut Step) {
        out.effects.push(Effect::Halt(fault.clone()));
        self.fault = Some(fault);
    }

    // Restart.

    /// Takes back a journal record. A record's certificate was verified before it was written.
    pub(crate) fn restore(&mut self, record: Record) {
        match record {
            Record::Own(_) if zoo::has(Bug::OwnRecordsIgnored) => {}
            Record::Own(claim) => {
                self.slots.entry(claim.view()).or_default().own.record(&claim);
            }
            Record::Silence { before } => self.voice.from = self.voice.from.max(before),
            Record::Held(certificate) | Record::Floor(certificate) => {
                self.view = self.view.max(certificate.claim.view().next());
                if certificate.claim.view() > self.finalized.0 {
                    self.hold(certificate, true);
                }
            }
        }
    }

    /// Enters the view that the journal leads to. What is final is said again, since the application may
    /// have stopped before it had acted on it.
    pub(crate) fn resume(&mut self, out: &mut Step) {
        out.effects.extend(self.finalization().cloned().map(Effect::Finalized));
        self.enter(self.view, out);
    }

    /// See [`Engine::records`](crate::Engine::records).
    pub(crate) fn records(&self) -> Vec<Record> {
        let from = self.finalized.0.next();
        let mut records: Vec<Record> = self.finalization().cloned().map(Record::Floor).into_iter().collect();
        let silence = Some(self.voice.from).filter(|before| *before >= from);
        records.extend(silence.map(|before| Record::Silence { before }));
        for slot in self.slots.range(from..).map(|(_, slot)| slot) {
            records.extend(slot.durable().cloned().map(Record::Held));
        }
        for (view, slot) in self.slots.range(from..) {
            let dropped = zoo::has(Bug::NullifyDroppedAtRewrite).then_some(ClaimKind::Nullify);
            let claims = slot.own.claims(*view).into_iter();
            records.extend(claims.filter(|claim| Some(claim.kind()) != dropped).map(Record::Own));
        }
        records
    }
}
