//! Rule R2: what the leader of the current view proposes.
use quorate_primitives::block::Header;
use quorate_primitives::certificate::{Certificate, Claim, ClaimKind};
use quorate_primitives::zoo::{self, Bug};
use quorate_primitives::{Hash, View};

use super::Core;
use super::slot::{Candidate, Reason};
use crate::message::{PROOF_MAX, Want};
use crate::step::{Effect, Parent, Step, Verdict};

/// Most missing certificates that are looked for at a time.
pub(crate) const WANTS_MAX: usize = 16;

impl Core {
    /// Proposes in the current view, if this validator leads it and everything needed is here.
    pub(super) fn lead(&mut self, out: &mut Step) {
        if !self.may_lead() || self.building {
            return;
        }
        let Some(parent) = self.parent_to_build_on() else { return };
        if parent.height < self.epoch.last || zoo::has(Bug::BoundaryChild) {
            self.building = true;
            out.effects.push(Effect::Build { view: self.view, parent, idle: self.idle });
            return;
        }
        // The epoch's last block is followed by nothing but itself (section 2.12).
        let known = self.blocks.get(&parent.block);
        let valid = known.is_some_and(|known| known.verdict == Some(Verdict::Valid));
        if let Some(header) = known.and_then(|known| known.header.clone()).filter(|_| valid) {
            self.propose(header, parent.view, out);
        }
    }

    fn may_lead(&self) -> bool {
        let own = self.slots.get(&self.view).map(|slot| &slot.own);
        self.me == Some(self.leader())
            && self.may_speak(self.view)
            && self.fault.is_none()
            && !self.is_closed()
            && own.is_none_or(|own| !own.forbids(ClaimKind::Notarize))
    }

    /// The application's answer. A leader that cannot build gives up at once, unless that has not helped
    /// for a whole round of leaders (rule R12).
    pub(crate) fn built(&mut self, view: View, header: Option<Header>, out: &mut Step) {
        if view != self.view || !self.building || !self.may_lead() {
            return;
        }
        let fits = |header: &Header, parent: Parent| {
            header.epoch == self.epoch.number
                && header.view == view
                && header.parent_view == parent.view
                && header.parent == parent.block
                && header.height == parent.height.next()
                && header.time > parent.time
                && Some(header.proposer) == self.me
        };
        let parent = self.parent_to_build_on();
        match header.zip(parent).filter(|(header, parent)| fits(header, *parent)) {
            Some((header, parent)) => self.propose(header, parent.view, out),
            None => self.give_up_early(view, Reason::CannotBuild, out),
        }
    }

    fn propose(&mut self, header: Header, parent: View, out: &mut Step) {
        let (view, block) = (self.view, header.id());
        let claim = Claim::Notarize { view, block };
        self.slots.entry(view).or_default().candidate = Some(Candidate { block, parent });
        if !self.promise(claim, out) {
            return;
        }
        let known = self.block_mut(block, view);
        known.header = Some(header.clone());
        known.verdict = Some(Verdict::Valid);
        out.effects.push(Effect::Propose { header, parent, claim, proof: self.proof(parent) });
    }

    /// The certificate of the parent, and the nullifications between it and the current view, the latest
    /// first: they are the least likely to be known to all.
    pub(crate) fn proof(&self, parent: View) -> Vec<Certificate> {
        let of_parent = self
            .slots
            .get(&parent)
            .and_then(|slot| slot.held(ClaimKind::Notarize).or_else(|| slot.held(ClaimKind::Finalize)));
        let between = self.slots.range(parent.next()..self.view.max(parent.next())).rev();
        let skipped = between.filter_map(|(_, slot)| slot.held(ClaimKind::Nullify));
        let most = if zoo::has(Bug::CertificatesKept) { 0 } else { PROOF_MAX };
        of_parent.into_iter().chain(skipped).take(most).cloned().collect()
    }

    /// Goes back over nullified views to a certified block. A notarization wins over a nullification of
    /// the same view.
    fn parent_to_build_on(&self) -> Option<Parent> {
        let mut view = self.view.previous()?;
        loop {
            if let Some(block) = self.certified(view) {
                return self.parent(view, block);
            }
            if !self.is_nullified(view) && !zoo::has(Bug::ViewsSkipped) {
                return None;
            }
            view = view.previous()?;
        }
    }

    /// Height and time of a certified block, once its header is here.
    pub(super) fn parent(&self, view: View, block: Hash) -> Option<Parent> {
        let anchor = self.epoch.anchor;
        if block == anchor.block {
            return Some(Parent { view, block, height: anchor.height, time: anchor.time });
        }
        let header = self.header(block)?;
        Some(Parent { view, block, height: header.height, time: header.time })
    }

    /// Certificates without which the leader of the current view does not know what to build on.
    pub(super) fn missing_to_lead(&self, wants: &mut Vec<Want>) {
        if !self.may_lead() {
            return;
        }
        let mut view = self.view;
        while let Some(previous) = view.previous() {
            view = previous;
            if self.certified(view).is_some() || wants.len() >= WANTS_MAX {
                return;
            }
            if !self.is_nullified(view) {
                wants.push(Want::Certificate { view, kind: ClaimKind::Notarize });
            }
        }
    }
}
