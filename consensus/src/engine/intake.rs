//! What comes from outside: messages, own signatures, and the verdicts on signatures.
use std::collections::BTreeSet;

use quorate_primitives::block::PROTOCOL_VERSION;
use quorate_primitives::certificate::{Certificate, Claim, ClaimKind, Vote};
use quorate_primitives::keys::SignatureCheck;
use quorate_primitives::validators::Signers;
use quorate_primitives::zoo::{self, Bug};

use super::{Engine, Pending};
use crate::message::{Evidence, EvidenceKind, Message, Proposal};
use crate::step::{Effect, Fault, Step, Ticket};
use crate::tally::{AHEAD, Standing, Tally};

/// Certificates of one sender that are being checked at a time.
const CHECKING_PER_SENDER_MAX: usize = 32;
/// Certificates of one claim, from different senders, that are being checked at a time: a sender of
/// rubbish does not keep out the next one.
const CHECKING_PER_CLAIM_MAX: usize = 2;

/// What can be said of a proposal by itself.
enum Form {
    Good,
    /// Of another epoch or other rules.
    Foreign,
    /// No honest leader sends it.
    Bad,
}

impl Engine {
    pub(super) fn received(&mut self, from: u8, message: Message, out: &mut Step) {
        if usize::from(from) >= self.core.epoch.len() {
            return;
        }
        if self.core.me == Some(from) {
            if let Message::Vote(vote) = message {
                self.seen(vote, out);
            }
            return;
        }
        self.repair.saw(from, &message);
        match message {
            Message::Propose(proposal) => self.proposal(from, proposal, out),
            Message::Vote(vote) if vote.signer != from => out.effects.push(Effect::Ban(from)),
            Message::Vote(vote) => {
                self.attendance.hear(from, vote.claim.view());
                self.repair.help(from, &vote.claim, &self.core, out);
                self.vote(vote, Standing::Unchecked, out);
            }
            Message::Certificate(certificate) => self.certificate(from, certificate, out),
            Message::Want(want) => self.repair.answer(from, want, &self.core, out),
        }
    }

    /// A vote with our own key that somebody holds. If we did not make it, another machine has the key.
    pub(super) fn seen(&mut self, vote: Vote, out: &mut Step) {
        let known = self.core.own_claims(vote.claim.view()).contains(&vote.claim)
            || self.core.may_have_forgotten(&vote.claim);
        let current = vote.claim.view() > self.core.finalized().0;
        let foreign = |pending: &&Pending| matches!(pending, Pending::Foreign(_));
        // Each other validator may show one, and a lie does not keep out the truth of the next.
        let busy = self.pending.values().filter(foreign).count() >= self.core.epoch.len();
        if known || busy || !current || self.core.me != Some(vote.signer) {
            return;
        }
        if let Some(checks) = self.checks(std::slice::from_ref(&vote)) {
            self.check(Pending::Foreign(vote), checks, out);
        }
    }

    // Proposals.

    fn proposal(&mut self, from: u8, mut proposal: Proposal, out: &mut Step) {
        match self.form(from, &proposal) {
            Form::Good => {}
            Form::Foreign => return,
            Form::Bad => return out.effects.push(Effect::Ban(from)),
        }
        self.attendance.hear(from, proposal.view);
        let proof = std::mem::take(&mut proposal.proof);
        if proposal.view <= self.core.view().saturating_add(AHEAD) {
            self.core.consider(&proposal, out);
        } else if self.early.get(&from).is_none_or(|known| known.view < proposal.view) {
            self.early.insert(from, proposal.clone());
        }
        self.vote(proposal.vote, Standing::Unchecked, out);
        for certificate in proof.into_inner() {
            self.certificate(from, certificate, out);
        }
    }

    /// What must hold of any proposal, whatever is known of the chain.
    fn form(&self, from: u8, proposal: &Proposal) -> Form {
        let Proposal { view, parent, header, vote, .. } = proposal;
        let epoch = &self.core.epoch;
        if header.epoch != epoch.number || header.version != PROTOCOL_VERSION {
            return Form::Foreign;
        }
        // The epoch's last block may be proposed again in a later view (section 2.12).
        let again = header.height == epoch.last && header.view < *view && *parent >= header.view;
        let links = (header.view == *view && header.parent_view == *parent) || again;
        let good = links
            && parent < view
            && header.parent_view < header.view
            && epoch.leader(*view) == from
            && epoch.leader(header.view) == header.proposer
            && vote.signer == from
            && vote.claim == Claim::Notarize { view: *view, block: header.id() };
        if good { Form::Good } else { Form::Bad }
    }

    // Votes.

    /// A claim of ours that was signed.
    pub(super) fn own_vote(&mut self, vote: Vote, out: &mut Step) {
        let claim = vote.claim;
        let ours = Some(vote.signer) == self.core.me && self.core.own_claims(claim.view()).contains(&claim);
        if !ours {
            return;
        }
        self.vote(vote, Standing::Verified, out);
        if claim.kind() == ClaimKind::Finalize {
            // Others may have found another outcome before we found ours.
            for other in self.tally.claims(claim.view(), ClaimKind::Finalize) {
                self.weigh(&other, out);
            }
        }
    }

    fn vote(&mut self, vote: Vote, standing: Standing, out: &mut Step) {
        let (claim, signer) = (vote.claim, vote.signer);
        if !Tally::admits(&claim, self.core.view(), self.core.finalized().0) {
            return;
        }
        let added = self.tally.add(vote, standing);
        if let Some((kind, evidence)) = added.conflict.filter(|_| !zoo::has(Bug::EvidenceIgnored)) {
            self.accuse(kind, evidence, out);
        }
        if !added.stored {
            return;
        }
        let leads = self.core.epoch.leader(claim.view()) == signer;
        if leads && claim.kind() == ClaimKind::Nullify && claim.view() >= self.core.view() {
            let votes = self.tally.due_alone(&claim, signer);
            self.check_votes(claim, votes, out);
        }
        self.weigh(&claim, out);
    }

    /// Acts on the votes for a claim, if they are enough to matter.
    fn weigh(&mut self, claim: &Claim, out: &mut Step) {
        let disputed = self.core.disputes(claim);
        let threshold = if disputed { self.core.epoch.honest() } else { self.core.epoch.quorum() };
        if self.core.fault().is_some() || !(disputed || self.core.is_news(claim)) {
            return;
        }
        let votes = self.tally.due(claim, threshold);
        self.check_votes(*claim, votes, out);
        if self.tally.count(claim) < threshold {
            return;
        }
        if disputed {
            self.diverged(claim, out);
        } else if let Some(certificate) = self.tally.certificate(claim) {
            self.core.accept(certificate, out);
        }
    }

    /// One honest validator at least found another outcome than we did (section 2.11).
    fn diverged(&mut self, claim: &Claim, out: &mut Step) {
        let Claim::Finalize { view, block, outcome: theirs } = *claim else { return };
        let own = self.core.slot(view).and_then(|slot| slot.own.finalize);
        if let Some((_, ours)) = own {
            self.core.stop(Fault::Diverged { view, block, ours, theirs }, out);
        }
    }

    fn accuse(&mut self, kind: EvidenceKind, evidence: Evidence, out: &mut Step) {
        if let Some(checks) = self.checks(&[evidence.first.clone(), evidence.second.clone()]) {
            self.check(Pending::Evidence { kind, evidence }, checks, out);
        }
    }

    fn check_votes(&mut self, claim: Claim, votes: Vec<Vote>, out: &mut Step) {
        if votes.is_empty() {
            return;
        }
        if let Some(checks) = self.checks(&votes) {
            self.check(Pending::Votes { claim, votes }, checks, out);
        }
    }

    /// One check for each vote. The signers exist, since they are who sent the votes.
    fn checks(&self, votes: &[Vote]) -> Option<Vec<SignatureCheck>> {
        let epoch = &self.core.epoch;
        votes.iter().map(|vote| vote.signature_check(&epoch.context, &epoch.validators)).collect()
    }

    // Certificates.

    fn certificate(&mut self, from: u8, certificate: Certificate, out: &mut Step) {
        let claim = certificate.claim;
        if !self.core.is_news(&claim) {
            return;
        }
        let epoch = &self.core.epoch;
        let Ok(checks) = certificate.signature_checks(&epoch.context, &epoch.validators) else {
            return out.effects.push(Effect::Ban(from));
        };
        // Signatures that were checked as votes are not checked again.
        let signed = certificate.signers.iter().zip(certificate.signatures.iter()).zip(checks);
        let unknown =
            signed.filter(|((signer, signature), _)| !self.tally.is_verified(&claim, *signer, signature));
        let checks: Vec<SignatureCheck> = unknown.map(|(_, check)| check).collect();
        if checks.is_empty() {
            return self.core.accept(certificate, out);
        }
        if !self.is_checking_too_much(from, &claim) {
            self.check(Pending::Certificate { from, certificate }, checks, out);
        }
    }

    fn is_checking_too_much(&self, from: u8, claim: &Claim) -> bool {
        let checking = self.pending.values().filter_map(|pending| match pending {
            Pending::Certificate { from, certificate } => Some((*from, certificate.claim)),
            Pending::Votes { .. } | Pending::Evidence { .. } | Pending::Foreign(_) => None,
        });
        let (mut of_sender, mut of_claim, mut same) = (0_usize, 0_usize, false);
        for (sender, checked) in checking {
            of_sender = of_sender.saturating_add(usize::from(sender == from));
            of_claim = of_claim.saturating_add(usize::from(checked == *claim));
            same = same || (sender == from && checked == *claim);
        }
        same || of_sender >= CHECKING_PER_SENDER_MAX || of_claim >= CHECKING_PER_CLAIM_MAX
    }

    // Verdicts.

    pub(super) fn checked(&mut self, ticket: Ticket, bad: &[usize], out: &mut Step) {
        match self.pending.remove(&ticket) {
            None => {}
            Some(Pending::Votes { claim, votes }) => self.votes_checked(&claim, &votes, bad, out),
            Some(Pending::Certificate { from, certificate }) => {
                self.certificate_checked(from, certificate, bad.is_empty(), out);
            }
            Some(Pending::Evidence { kind, evidence }) => {
                if bad.is_empty() {
                    out.effects.push(Effect::Evidence(evidence));
                } else {
                    self.tally.acquit(evidence.signer(), kind);
                    out.effects.push(Effect::Ban(evidence.signer()));
                }
            }
            Some(Pending::Foreign(vote)) if bad.is_empty() => {
                self.core.stop(Fault::KeyUsedElsewhere { claim: vote.claim }, out);
            }
            Some(Pending::Foreign(_)) => {}
        }
        if let Some(from) = self.speaking.take() {
            self.speak(from, out);
        }
    }

    fn certificate_checked(&mut self, from: u8, certificate: Certificate, valid: bool, out: &mut Step) {
        if valid {
            return self.core.accept(certificate, out);
        }
        // Nothing else from this sender is worth the work.
        self.pending.retain(
            |_, pending| !matches!(pending, Pending::Certificate { from: other, .. } if *other == from),
        );
        out.effects.push(Effect::Ban(from));
    }

    fn votes_checked(&mut self, claim: &Claim, votes: &[Vote], bad: &[usize], out: &mut Step) {
        let positions: BTreeSet<usize> = bad.iter().copied().collect();
        let liars = votes.iter().enumerate().filter(|(position, _)| positions.contains(position));
        let liars = liars.fold(Signers::NONE, |liars, (_, vote)| liars.with(vote.signer));
        out.effects.extend(liars.iter().map(Effect::Ban));
        self.tally.checked(votes, liars);
        self.weigh(claim, out);
        self.heed_leader(out);
    }
}
