//! The engine: takes one input at a time, hands it to the rule it concerns, and collects what is to be
//! written down and done.
use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_primitives::certificate::{Certificate, Claim, ClaimKind, Vote};
use quorate_primitives::keys::SignatureCheck;
use quorate_primitives::validators::Signers;
use quorate_primitives::zoo::{self, Bug};
use quorate_primitives::{Hash, View};

use crate::core::slot::Reason;
use crate::core::{Core, Mute};
use crate::epoch::Epoch;
use crate::leader::Attendance;
use crate::message::{Evidence, EvidenceKind, Message, Proposal, Want};
use crate::repair::{FINALIZES_AGAIN_MAX, Repair};
use crate::step::{Effect, Fault, Input, Record, Step, Ticket, Timer};
use crate::tally::{AHEAD, Tally};

mod intake;

/// What a request for signature checks is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Pending {
    /// Votes for one claim.
    Votes { claim: Claim, votes: Vec<Vote> },
    /// A certificate and who sent it.
    Certificate { from: u8, certificate: Certificate },
    /// Two votes that no honest validator makes.
    Evidence { kind: EvidenceKind, evidence: Evidence },
    /// A vote with our own key that we did not make.
    Foreign(Vote),
}

/// One validator's view of the agreement, or an observer's.
///
/// It is a value: the same inputs give the same steps, and two equal engines behave equally.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Engine {
    core: Core,
    tally: Tally,
    repair: Repair,
    attendance: Attendance,
    ticket: Ticket,
    pending: BTreeMap<Ticket, Pending>,
    /// The latest proposal of each leader that is too far ahead to be looked at.
    early: BTreeMap<u8, Proposal>,
    /// From which view on claims may be made once all votes that were shown as ours are looked at.
    speaking: Option<View>,
}

/// What an operator wants to know about agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Current turn.
    pub view: View,
    /// Who leads it.
    pub leader: u8,
    /// The leader has not been heard of for many views.
    pub leader_silent: bool,
    /// The block that the leader proposed, if it did.
    pub proposal: Option<Hash>,
    /// Who was seen to vote for a block in this view.
    pub notarizing: Signers,
    /// Who was seen to give up on this view.
    pub nullifying: Signers,
    /// View of the latest final block; 0 for the anchor.
    pub finalized: View,
    /// Who else was seen to have reached this view or a later one.
    pub present: Signers,
    /// Views without a certificate that the next vote needs.
    pub missing: Vec<View>,
}

impl Engine {
    /// An engine at the start of an epoch. Without an index it observes and never votes.
    #[must_use]
    pub fn new(epoch: Arc<Epoch>, me: Option<u8>) -> Self {
        let core = Core::new(Arc::clone(&epoch), me);
        Self {
            tally: Tally::new(epoch.quorum()),
            repair: Repair::new(Arc::clone(&epoch), core.me),
            attendance: Attendance::new(epoch, core.me),
            core,
            ticket: Ticket::FIRST,
            pending: BTreeMap::new(),
            early: BTreeMap::new(),
            speaking: None,
        }
    }

    /// Takes back one journal record. All records come in the order in which they were written, before
    /// [`start`](Self::start). They are trusted.
    pub fn restore(&mut self, record: Record) {
        self.core.restore(record);
    }

    /// Makes no claim until [`Input::Speak`] (rule R14). Before [`start`](Self::start).
    pub fn mute(&mut self, why: Mute) {
        self.core.mute(why);
    }

    /// Begins, once, after all records were restored: says again what was said before, and sets timers.
    pub fn start(&mut self) -> Step {
        let mut out = Step::default();
        self.attendance.forgive(self.core.view());
        self.core.resume(&mut out);
        self.repair.announce(&self.core, &mut out);
        self.settle(self.core.view(), &mut out);
        out
    }

    /// Takes one input. Any input in any state is allowed, and a stopped engine does nothing.
    pub fn step(&mut self, input: Input) -> Step {
        let mut out = Step::default();
        if self.core.fault().is_some() {
            return out;
        }
        let before = self.core.view();
        match input {
            Input::Received { from, message } => self.received(from, message, &mut out),
            Input::Own(vote) => self.own_vote(vote, &mut out),
            Input::Checked { ticket, bad } => self.checked(ticket, &bad, &mut out),
            Input::Expired(timer) => self.expired(timer, &mut out),
            Input::Built { view, header } => self.core.built(view, header, &mut out),
            Input::Fetched { header } => self.core.fetched(&header),
            Input::Judged { block, verdict } => self.core.judged(block, verdict, &mut out),
            Input::Executed { block, outcome } => self.core.executed(block, outcome, &mut out),
            Input::Connected(member) => self.connected(member, &mut out),
            Input::Speak { from } => self.speak(from, &mut out),
            Input::Seen(vote) => self.seen(vote, &mut out),
            Input::Pending => self.core.work_arrived(&mut out),
        }
        self.settle(before, &mut out);
        out
    }

    /// Rule R14: not before every vote that somebody showed as ours was looked at.
    fn speak(&mut self, from: View, out: &mut Step) {
        if self.pending.values().any(|pending| matches!(pending, Pending::Foreign(_))) {
            self.speaking = Some(from);
        } else {
            self.core.speak(from, out);
        }
    }

    /// Lets the rules act on what has changed.
    fn settle(&mut self, before: View, out: &mut Step) {
        if self.core.fault().is_some() {
            return;
        }
        if self.core.view() != before {
            self.entered(before, out);
        }
        self.core.advance(out);
        self.repair.resolve(&self.core.missing(), self.core.leader(), out);
        if self.core.voice().0.is_some() {
            // Nothing is said again either, until it is certain that nobody else speaks for us.
            out.effects.retain(|effect| !matches!(effect, Effect::Vote(_)));
        }
    }

    /// What rule R1 asks for outside of the core.
    fn entered(&mut self, before: View, out: &mut Step) {
        let (view, leader) = (self.core.view(), self.core.leader());
        self.tally.prune(view, self.core.finalized().0);
        self.attendance.enter(before, view);
        let ahead = self.early.extract_if(.., |_, proposal| proposal.view <= view.saturating_add(AHEAD));
        let arrived: Vec<Proposal> = ahead.map(|(_, proposal)| proposal).collect();
        for proposal in arrived {
            self.core.consider(&proposal, out);
        }
        self.repair.entered(&self.core, out);
        if self.attendance.is_silent(leader, view) {
            self.core.mark_silent();
            self.core.give_up_early(view, Reason::Silence, out);
        }
        self.heed_leader(out);
    }

    /// Rule R4: a leader that gave up will not propose.
    fn heed_leader(&mut self, out: &mut Step) {
        let (view, leader) = (self.core.view(), self.core.leader());
        if Some(leader) != self.core.me
            && self.tally.verified_vote(view, ClaimKind::Nullify, leader).is_some()
        {
            self.core.give_up(view, Reason::Leader, out);
        }
    }

    fn expired(&mut self, timer: Timer, out: &mut Step) {
        self.core.expired(timer, out);
        let current = timer.view() == self.core.view();
        match timer {
            Timer::Propose(_) => {}
            Timer::View(_) if current => self.repair.ask_again(out),
            Timer::Retry(_) if zoo::has(Bug::RetryOff) => {}
            Timer::Retry(_) if current => {
                self.repair.repeat(&self.core, out);
                self.repair.ask_again(out);
            }
            Timer::View(_) | Timer::Retry(_) => {}
            Timer::Relay(left) => self.repair.relay(left, &self.core, out),
        }
    }

    fn connected(&mut self, member: u8, out: &mut Step) {
        let mut claims = self.core.own_claims(self.core.view());
        claims.extend(self.core.open_finalizes().take(FINALIZES_AGAIN_MAX));
        let own = claims.iter().filter_map(|claim| self.own_message(claim)).collect();
        self.repair.connected(member, own, &self.core, out);
    }

    /// An own claim as it was sent: the leader's vote for its block goes with the block.
    fn own_message(&self, claim: &Claim) -> Option<Message> {
        let vote = self.tally.verified_vote(claim.view(), claim.kind(), self.core.me?)?.clone();
        let led = self.core.candidate(claim.view()).filter(|_| self.core.me == Some(self.core.leader()));
        let proposed =
            led.filter(|_| claim.kind() == ClaimKind::Notarize && claim.view() == self.core.view());
        let Some((candidate, header)) = proposed else { return Some(Message::Vote(vote)) };
        let proof = quorate_primitives::codec::List::new(self.core.proof(candidate.parent)).ok()?;
        let proposal =
            Proposal { view: claim.view(), parent: candidate.parent, header: header.clone(), vote, proof };
        Some(Message::Propose(proposal))
    }

    fn check(&mut self, pending: Pending, checks: Vec<SignatureCheck>, out: &mut Step) {
        let ticket = self.ticket;
        self.ticket = ticket.next();
        self.pending.insert(ticket, pending);
        out.effects.push(Effect::Check { ticket, checks });
    }

    /// The current turn.
    #[must_use]
    pub fn view(&self) -> View {
        self.core.view()
    }

    /// The latest final block and its view; at first the anchor and view 0.
    #[must_use]
    pub fn finalized(&self) -> (View, Hash) {
        self.core.finalized()
    }

    /// Proof of the latest final block; none for the anchor.
    #[must_use]
    pub fn finalization(&self) -> Option<&Certificate> {
        self.core.finalization()
    }

    /// Why no claim is made at all, if none is, and the first view in which one may be made (rule R14).
    #[must_use]
    pub fn voice(&self) -> (Option<Mute>, View) {
        self.core.voice()
    }

    /// A certificate of the view before the current one; none in the first view.
    #[must_use]
    pub fn entry(&self) -> Option<&Certificate> {
        self.core.entry().next()
    }

    /// The latest vote of a validator that is known here, its signature not necessarily checked: what
    /// that validator is told when it asks whether its journal is whole (rule R14).
    #[must_use]
    pub fn latest_vote_of(&self, member: u8) -> Option<Vote> {
        let certified = self.core.certificates().filter_map(|certificate| vote_in(certificate, member));
        let cast = self.tally.votes_of(member).cloned();
        cast.chain(certified).max_by_key(|vote| (vote.claim.view(), vote.claim.kind()))
    }

    /// The latest view of a vote that is kept; at most four views ahead.
    #[must_use]
    pub fn farthest_vote(&self) -> View {
        self.tally.farthest()
    }

    /// The fixed facts.
    #[must_use]
    pub fn epoch(&self) -> &Arc<Epoch> {
        &self.core.epoch
    }

    /// This validator's index; nothing for an observer.
    #[must_use]
    pub fn me(&self) -> Option<u8> {
        self.core.me
    }

    /// Why the engine has stopped, if it has.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.core.fault()
    }

    /// What an operator wants to know.
    #[must_use]
    pub fn status(&self) -> Status {
        let (view, leader) = (self.core.view(), self.core.leader());
        let missing = self.repair.open().map(|Want::Certificate { view, .. }| view);
        Status {
            view,
            leader,
            leader_silent: self.core.slot(view).is_some_and(|slot| slot.silent),
            proposal: self.core.candidate(view).map(|(candidate, _)| candidate.block),
            notarizing: self.tally.voters(view, ClaimKind::Notarize),
            nullifying: self.tally.voters(view, ClaimKind::Nullify),
            finalized: self.core.finalized().0,
            present: self.repair.present(view),
            missing: missing.collect(),
        }
    }

    /// The journal in short: records that, restored instead of all that were written so far, give the
    /// same promises. A new log segment that starts with them replaces all older ones.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.core.records()
    }
}

/// The vote of one signer in a certificate.
fn vote_in(certificate: &Certificate, signer: u8) -> Option<Vote> {
    let place = certificate.signers.iter().position(|index| index == signer)?;
    let signature = *certificate.signatures.get(place)?;
    Some(Vote { claim: certificate.claim, signer, signature })
}
