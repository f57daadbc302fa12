//! Rules R8 to R11: saying things again, handing certificates to those who lack them, and asking for
//! those that are lacking here.
//!
//! Nothing here makes a claim, and nothing here can break safety: certificates prove themselves.
use std::collections::BTreeSet;
use std::sync::Arc;

use quorate_primitives::View;
use quorate_primitives::certificate::{Certificate, Claim, ClaimKind, Vote};
use quorate_primitives::validators::Signers;
use quorate_primitives::zoo::{self, Bug};

use crate::core::Core;
use crate::epoch::Epoch;
use crate::message::{Message, Want};
use crate::step::{Effect, Step, Timer};

/// Finalize votes of this many open views are said again.
pub(crate) const FINALIZES_AGAIN_MAX: usize = 8;
/// Certificates that one member gets as help in one view, or between two retries.
pub(crate) const HELP_MAX: u8 = 16;
/// Members that are asked at a time for a certificate that the leader did not give.
const ASKED_AT_ONCE: usize = 2;

/// What this validator knows of the others, and what it has asked them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Repair {
    epoch: Arc<Epoch>,
    me: Option<u8>,
    /// The latest view that each member showed to have reached, by index.
    reached: Vec<View>,
    /// How many certificates each member may still be helped with, by index.
    allowance: Vec<u8>,
    /// The latest view for which each member was helped without asking, by index.
    helped: Vec<View>,
    /// What was asked for.
    open: BTreeSet<Want>,
    /// Who is asked next.
    next: u8,
}

impl Repair {
    pub(crate) fn new(epoch: Arc<Epoch>, me: Option<u8>) -> Self {
        let members = epoch.len();
        Self {
            epoch,
            me,
            reached: vec![View::ZERO; members],
            allowance: vec![HELP_MAX; members],
            helped: vec![View::ZERO; members],
            open: BTreeSet::new(),
            next: 0,
        }
    }

    fn others(&self) -> Signers {
        let everybody = self.epoch.everybody();
        self.me.map_or(everybody, |me| everybody.without(me))
    }

    /// The latest view that a member showed to have reached.
    pub(crate) fn reached(&self, member: u8) -> View {
        self.reached.get(usize::from(member)).copied().unwrap_or_default()
    }

    /// The other members that showed to have reached a view.
    pub(crate) fn present(&self, view: View) -> Signers {
        let behind = self.others().iter().filter(|member| self.reached(*member) < view);
        behind.fold(self.others(), Signers::without)
    }

    /// A member said something that shows where it is.
    pub(crate) fn saw(&mut self, member: u8, message: &Message) {
        let shown = match message {
            Message::Propose(proposal) => proposal.view,
            Message::Vote(Vote { claim: Claim::Notarize { view, .. } | Claim::Nullify { view }, .. }) => {
                *view
            }
            // Who finalizes a view holds its notarization, and who sends a certificate holds it.
            Message::Vote(Vote { claim: Claim::Finalize { view, .. }, .. }) => view.next(),
            Message::Certificate(certificate) => certificate.claim.view().next(),
            Message::Want(_) => return,
        };
        if let Some(reached) = self.reached.get_mut(usize::from(member)) {
            *reached = shown.max(*reached);
        }
    }

    fn send(to: Signers, message: Message, out: &mut Step) {
        let kept = matches!(message, Message::Certificate(_)) && zoo::has(Bug::CertificatesKept);
        if !to.is_empty() && !kept {
            out.effects.push(Effect::Send { to, message });
        }
    }

    // Rule R9.

    /// A view was entered: everybody shall learn why, its leader at once unless it is about to find out
    /// by itself, as who signed the certificate is.
    pub(crate) fn entered(&mut self, core: &Core, out: &mut Step) {
        self.allowance.fill(HELP_MAX);
        let Some(left) = core.view().previous() else { return };
        let Some(certificate) = core.entry().next() else { return };
        let timer = Timer::Relay(left);
        out.effects.push(Effect::Arm { timer, level: 0, idle: false });
        let leader = core.leader();
        let unaware = self.reached(leader) < core.view() && !certificate.signers.contains(leader);
        if unaware && self.others().contains(leader) {
            Self::send(Signers::one(leader), Message::Certificate(certificate.clone()), out);
        }
    }

    /// Rule R9: those who do not show that they have left a view get the certificate of the latest view.
    pub(crate) fn relay(&self, left: View, core: &Core, out: &mut Step) {
        let past = self.present(left.next());
        let Some(certificate) = core.entry().next() else { return };
        Self::send(self.others().difference(past), Message::Certificate(certificate.clone()), out);
    }

    // Rule R8.

    /// Says again everything that others need to leave this view with us.
    pub(crate) fn repeat(&mut self, core: &Core, out: &mut Step) {
        self.allowance.fill(HELP_MAX);
        for claim in core.own_claims(core.view()) {
            out.effects.push(Effect::Vote(claim));
        }
        self.announce(core, out);
    }

    /// Says again what was said about earlier views.
    pub(crate) fn announce(&self, core: &Core, out: &mut Step) {
        for claim in core.open_finalizes().take(FINALIZES_AGAIN_MAX) {
            out.effects.push(Effect::Vote(claim));
        }
        for certificate in Self::standing(core) {
            Self::send(self.others(), Message::Certificate(certificate), out);
        }
    }

    /// The certificates that show where we are: how we got here, and the latest finalization.
    fn standing(core: &Core) -> Vec<Certificate> {
        let mut certificates: Vec<Certificate> = core.entry().cloned().collect();
        if let Some(finalization) = core.finalization().filter(|found| !certificates.contains(found)) {
            certificates.push(finalization.clone());
        }
        certificates
    }

    // Rule R10.

    /// A member became reachable: it may have lost everything that was sent before.
    pub(crate) fn connected(&mut self, member: u8, own: Vec<Message>, core: &Core, out: &mut Step) {
        let index = usize::from(member);
        if !self.others().contains(member) {
            return;
        }
        if let Some(reached) = self.reached.get_mut(index) {
            *reached = View::ZERO;
        }
        if let Some(helped) = self.helped.get_mut(index) {
            *helped = View::ZERO;
        }
        let certificates = Self::standing(core).into_iter().map(Message::Certificate);
        for message in certificates.chain(own) {
            Self::send(Signers::one(member), message, out);
        }
    }

    /// A member votes in a view that was left two views ago: it does not know, and is told once.
    pub(crate) fn help(&mut self, member: u8, claim: &Claim, core: &Core, out: &mut Step) {
        let view = claim.view();
        let behind = claim.kind() != ClaimKind::Finalize && view.next() < core.view();
        // Who showed to be further is not stuck: the vote is merely old.
        if !behind || self.reached(member) > view {
            return;
        }
        let Some(helped) = self.helped.get_mut(usize::from(member)).filter(|helped| **helped < view) else {
            return;
        };
        *helped = view;
        let answer = Self::find(view, ClaimKind::Notarize, core).cloned();
        let latest = core.entry().next().cloned().filter(|latest| answer.as_ref() != Some(latest));
        for certificate in answer.into_iter().chain(latest) {
            self.give(member, certificate, out);
        }
    }

    /// Rule R11, the other side: answers a question as well as it can be.
    pub(crate) fn answer(&mut self, member: u8, want: Want, core: &Core, out: &mut Step) {
        let Want::Certificate { view, kind } = want;
        if let Some(certificate) = Self::find(view, kind, core).cloned() {
            self.give(member, certificate, out);
        }
    }

    fn give(&mut self, member: u8, certificate: Certificate, out: &mut Step) {
        let Some(left) = self.allowance.get_mut(usize::from(member)) else { return };
        if let Some(rest) = left.checked_sub(1) {
            *left = rest;
            Self::send(Signers::one(member), Message::Certificate(certificate), out);
        }
    }

    /// A finalization makes every certificate up to its view unnecessary.
    fn find(view: View, kind: ClaimKind, core: &Core) -> Option<&Certificate> {
        if view <= core.finalized().0 {
            return core.finalization();
        }
        let slot = core.slot(view)?;
        slot.held(kind).or_else(|| slot.certificates().next())
    }

    // Rule R11.

    /// Asks for what is newly missing: the leader, whose proposal relies on it, or else others in turn.
    pub(crate) fn resolve(&mut self, missing: &[Want], leader: u8, out: &mut Step) {
        self.open.retain(|want| missing.contains(want));
        for want in missing {
            if self.open.insert(*want) {
                let to = if self.others().contains(leader) { Signers::one(leader) } else { self.in_turn() };
                Self::send(to, Message::Want(*want), out);
            }
        }
    }

    /// Asks others for what is still missing.
    pub(crate) fn ask_again(&mut self, out: &mut Step) {
        let open: Vec<Want> = self.open.iter().copied().collect();
        for want in open {
            let to = self.in_turn();
            Self::send(to, Message::Want(want), out);
        }
    }

    /// The next members to ask.
    fn in_turn(&mut self) -> Signers {
        let others: Vec<u8> = self.others().iter().collect();
        let start = others.iter().position(|member| *member >= self.next).unwrap_or(0);
        let asked = others.iter().cycle().skip(start).take(ASKED_AT_ONCE.min(others.len()));
        let asked: Vec<u8> = asked.copied().collect();
        self.next = asked.last().map_or(0, |last| last.wrapping_add(1));
        asked.into_iter().fold(Signers::NONE, Signers::with)
    }

    /// What is being asked for.
    pub(crate) fn open(&self) -> impl Iterator<Item = Want> {
        self.open.iter().copied()
    }
}
