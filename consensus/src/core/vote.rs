//! Rules R3 to R5: when a validator votes, and what it asks the application for that.
use quorate_primitives::block::Header;
use quorate_primitives::certificate::{Claim, ClaimKind};
use quorate_primitives::validators::Signers;
use quorate_primitives::zoo::{self, Bug};
use quorate_primitives::{Hash, View};

use super::propose::WANTS_MAX;
use super::slot::{Asked, Candidate, Reason};
use super::{Core, OPEN_MAX};
use crate::message::{Proposal, Want};
use crate::step::{Effect, Fault, Step, Timer, Verdict};

/// What rule R3 says of a proposal.
enum Finding {
    /// Everything holds but the application's verdict.
    Follows,
    /// Something is not here yet; what exactly is listed if others can give it.
    Waits(Vec<Want>),
    /// It can never be voted for.
    Breaks,
}

impl Core {
    /// Does whatever the rules allow now. Called after everything that could allow something.
    pub(crate) fn advance(&mut self, out: &mut Step) {
        if self.fault.is_some() {
            return;
        }
        self.learn(false, out);
        self.finalize(out);
        self.lead(out);
        self.notarize(out);
    }

    // Rule R3.

    /// Keeps the first proposal of a view. Its sender and its form were checked.
    pub(crate) fn consider(&mut self, proposal: &Proposal, out: &mut Step) {
        let (view, block) = (proposal.view, proposal.header.id());
        let again = |known: Candidate| zoo::has(Bug::SecondProposal) && known.block != block;
        let taken = |slot: &super::Slot| slot.candidate.is_some_and(|known| !again(known));
        if view < self.view || self.slots.get(&view).is_some_and(taken) {
            return self.fetched(&proposal.header);
        }
        self.slots.entry(view).or_default().candidate = Some(Candidate { block, parent: proposal.parent });
        if zoo::has(Bug::SecondProposal) {
            self.slots.entry(view).or_default().own.notarize = None;
        }
        self.block_mut(block, view).header = Some(proposal.header.clone());
        if view == self.view && self.idle {
            // The wait for work is over: from here the view takes the normal time.
            self.idle = false;
            out.effects.push(Effect::Arm { timer: Timer::View(view), level: self.level(), idle: false });
        }
    }

    /// Rule R3: votes for the leader's block if it may.
    fn notarize(&mut self, out: &mut Step) {
        let view = self.view;
        let Some(slot) = self.slots.get(&view) else { return };
        let Some(candidate) = slot.candidate else { return };
        if self.me.is_none() || self.is_closed() || slot.own.forbids(ClaimKind::Notarize) {
            return;
        }
        match self.examine(candidate) {
            Finding::Waits(_) => {}
            Finding::Breaks => self.give_up(view, Reason::Invalid, out),
            Finding::Follows => match self.blocks.get(&candidate.block).and_then(|block| block.verdict) {
                Some(Verdict::Valid) => {
                    let claim = Claim::Notarize { view, block: candidate.block };
                    if self.promise(claim, out) {
                        out.effects.push(Effect::Vote(claim));
                    }
                }
                Some(Verdict::Invalid) => self.give_up(view, Reason::Invalid, out),
                None => {
                    let leader = Signers::one(self.leader());
                    self.ask_for_verdict(candidate.block, Asked::Proposed, leader, out);
                }
            },
        }
    }

    /// What can be said of the current view's proposal without its body.
    fn examine(&self, candidate: Candidate) -> Finding {
        let Some(header) = self.header(candidate.block) else { return Finding::Waits(Vec::new()) };
        // Proposed once more because it is the epoch's last block (section 2.12).
        let again = header.view < self.view;
        let expected = if again { candidate.block } else { header.parent };
        let wants = self.missing_between(candidate.parent);
        if candidate.parent < self.finalized.0
            || self.certified(candidate.parent).is_some_and(|block| block != expected)
        {
            return Finding::Breaks;
        }
        if !wants.is_empty() {
            return Finding::Waits(wants);
        }
        if again {
            return Finding::Follows;
        }
        let Some(parent) = self.parent(candidate.parent, header.parent) else {
            return Finding::Waits(Vec::new());
        };
        let follows = header.height == parent.height.next()
            && (header.height <= self.epoch.last || zoo::has(Bug::BoundaryChild))
            && header.time > parent.time;
        if follows { Finding::Follows } else { Finding::Breaks }
    }

    /// Certificates that are not here of those by which a block follows its parent's view directly.
    fn missing_between(&self, parent: View) -> Vec<Want> {
        let mut wants = Vec::new();
        if self.certified(parent).is_none() {
            wants.push(Want::Certificate { view: parent, kind: ClaimKind::Notarize });
        }
        let mut view = parent.max(self.finalized.0).next();
        while view < self.view && wants.len() < WANTS_MAX {
            if !self.is_nullified(view) && !zoo::has(Bug::ViewsSkipped) {
                wants.push(Want::Certificate { view, kind: ClaimKind::Nullify });
            }
            view = view.next();
        }
        wants
    }

    // Rule R4.

    /// Rule R4: gives up on the current view.
    pub(crate) fn give_up(&mut self, view: View, reason: Reason, out: &mut Step) {
        if view != self.view {
            return;
        }
        let claim = Claim::Nullify { view };
        if self.promise(claim, out) {
            self.slots.entry(view).or_default().own.nullify = Some(reason);
            out.effects.push(Effect::Vote(claim));
        }
    }

    /// Gives up without a timer, unless that was done in a whole round of views without a block: then a
    /// timer must fire, so that a network whose leaders all refuse does not race through views (rule R12).
    pub(crate) fn give_up_early(&mut self, view: View, reason: Reason, out: &mut Step) {
        let round = u64::try_from(self.epoch.len()).unwrap_or(u64::MAX);
        if self.dry_views() < round {
            self.give_up(view, reason, out);
        }
    }

    /// Rule R4: the timers of the current view.
    pub(crate) fn expired(&mut self, timer: Timer, out: &mut Step) {
        let view = self.view;
        if timer.view() != view || self.fault.is_some() {
            return;
        }
        match timer {
            Timer::Propose(_) => {
                let proposed = self.slots.get(&view).is_some_and(|slot| slot.candidate.is_some());
                if !proposed && self.me != Some(self.leader()) {
                    self.give_up(view, Reason::Timer, out);
                }
            }
            Timer::View(_) => {
                self.give_up(view, Reason::Timer, out);
                out.effects.push(Effect::Arm { timer: Timer::Retry(view), level: self.level(), idle: false });
            }
            Timer::Retry(_) => {
                self.learn(true, out);
                out.effects.push(Effect::Arm { timer, level: self.level(), idle: false });
            }
            Timer::Relay(_) => {}
        }
    }

    // Rule R5.

    /// Rule R5: finalizes what is notarized and executed, in any view that was not given up.
    fn finalize(&mut self, out: &mut Step) {
        let oldest = self.finalized.0.next().max(self.view.saturating_sub(OPEN_MAX));
        let ready = |(view, slot): (&View, &super::Slot)| {
            let block = slot.held(ClaimKind::Notarize)?.claim.block()?;
            let outcome = self.blocks.get(&block)?.outcome?;
            let free = !slot.is_nullified() && !slot.own.forbids(ClaimKind::Finalize);
            free.then_some(Claim::Finalize { view: *view, block, outcome })
        };
        let claims: Vec<Claim> = self.slots.range(oldest..).filter_map(ready).collect();
        for claim in claims {
            if self.promise(claim, out) {
                out.effects.push(Effect::Vote(claim));
            }
        }
    }

    // The application.

    /// Asks for the headers and bodies of certified blocks, so that they can be executed and built on.
    fn learn(&mut self, again: bool, out: &mut Step) {
        let certified = |slot: &super::Slot| {
            let certificate = slot.certificates().find(|held| held.claim.kind() != ClaimKind::Nullify)?;
            Some((certificate.claim, certificate.signers))
        };
        let open: Vec<(Claim, Signers)> =
            self.slots.range(self.finalized.0..).filter_map(|(_, slot)| certified(slot)).collect();
        let mut repeats = if again { WANTS_MAX } else { 0 };
        for (claim, signers) in open {
            let Some(block) = claim.block() else { continue };
            let holders = self.me.map_or(signers, |me| signers.without(me));
            let Some(known) = self.blocks.get_mut(&block) else { continue };
            if known.header.is_none() {
                if !known.fetched || repeats > 0 {
                    repeats = repeats.saturating_sub(usize::from(known.fetched));
                    known.fetched = true;
                    out.effects.push(Effect::Fetch { block, holders });
                }
            } else if claim.view() > self.finalized.0 && known.verdict.is_none() {
                if known.asked == Asked::Certified && repeats > 0 {
                    repeats = repeats.saturating_sub(1);
                    known.asked = Asked::No;
                }
                self.ask_for_verdict(block, Asked::Certified, holders, out);
            }
        }
    }

    fn ask_for_verdict(&mut self, block: Hash, ask: Asked, holders: Signers, out: &mut Step) {
        let Some(known) = self.blocks.get_mut(&block) else { return };
        if let Some(header) = known.header.clone().filter(|_| known.asked < ask) {
            known.asked = ask;
            out.effects.push(Effect::Judge { header, holders });
        }
    }

    /// Takes a header that was asked for, or that came late.
    pub(crate) fn fetched(&mut self, header: &Header) {
        if let Some(known) = self.blocks.get_mut(&header.id()) {
            known.header.get_or_insert_with(|| header.clone());
        }
    }

    /// Takes the application's verdict. The first one stays.
    pub(crate) fn judged(&mut self, block: Hash, verdict: Verdict, out: &mut Step) {
        let Some(known) = self.blocks.get_mut(&block) else { return };
        let verdict = *known.verdict.get_or_insert(verdict);
        let certified =
            |(view, slot): (&View, &super::Slot)| (slot.certified() == Some(block)).then_some(*view);
        let view = self.slots.iter().find_map(certified);
        if let Some(view) = view.filter(|_| verdict == Verdict::Invalid) {
            self.stop(Fault::Rejected { view, block }, out);
        }
    }

    /// Takes the outcome of executing a block, which must be the one that anybody else found.
    pub(crate) fn executed(&mut self, block: Hash, ours: Hash, out: &mut Step) {
        let Some(known) = self.blocks.get_mut(&block) else { return };
        known.outcome.get_or_insert(ours);
        let other = |(view, slot): (&View, &super::Slot)| {
            let promised = slot.own.finalize.filter(|(ours, _)| *ours == block).map(|(_, outcome)| outcome);
            let found = match slot.held(ClaimKind::Finalize).map(|certificate| certificate.claim) {
                Some(Claim::Finalize { block: theirs, outcome, .. }) if theirs == block => Some(outcome),
                Some(Claim::Finalize { .. } | Claim::Notarize { .. } | Claim::Nullify { .. }) | None => None,
            };
            let theirs = [promised, found].into_iter().flatten().find(|outcome| *outcome != ours)?;
            Some((*view, theirs))
        };
        if let Some((view, theirs)) = self.slots.iter().find_map(other) {
            self.stop(Fault::Diverged { view, block, ours, theirs }, out);
        }
    }

    // Rule R11.

    /// The certificates that the rules wait for.
    pub(crate) fn missing(&self) -> Vec<Want> {
        let mut wants = Vec::new();
        if self.fault.is_some() || self.is_closed() {
            return wants;
        }
        self.missing_to_lead(&mut wants);
        let slot = self.slots.get(&self.view).filter(|slot| !slot.own.forbids(ClaimKind::Notarize));
        if let Some(candidate) = slot.and_then(|slot| slot.candidate).filter(|_| self.me.is_some())
            && let Finding::Waits(found) = self.examine(candidate)
        {
            wants.extend(found);
        }
        self.missing_to_execute(&mut wants);
        wants.truncate(WANTS_MAX);
        wants
    }

    /// A certified block whose parent is unknown cannot be executed.
    fn missing_to_execute(&self, wants: &mut Vec<Want>) {
        for slot in self.slots.range(self.finalized.0.next()..).map(|(_, slot)| slot) {
            let header = slot.certified().and_then(|block| self.blocks.get(&block)?.header.as_ref());
            if let Some(parent) = header.map(|header| header.parent_view)
                && parent > self.finalized.0
                && self.certified(parent).is_none()
            {
                wants.push(Want::Certificate { view: parent, kind: ClaimKind::Notarize });
            }
        }
    }

    pub(crate) fn candidate(&self, view: View) -> Option<(Candidate, &Header)> {
        let candidate = self.slots.get(&view)?.candidate?;
        Some((candidate, self.header(candidate.block)?))
    }
}
