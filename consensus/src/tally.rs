//! Rule R7: folds votes into certificates, and finds votes that no honest validator makes.
//!
//! Signatures are checked as late as possible: when a claim has enough votes to matter, all its
//! unchecked ones go into one batch. Only checked votes count.
use std::collections::{BTreeMap, BTreeSet};

use quorate_primitives::View;
use quorate_primitives::certificate::{Certificate, Claim, ClaimKind, Vote};
use quorate_primitives::codec::List;
use quorate_primitives::keys::Signature;
use quorate_primitives::validators::Signers;
use quorate_primitives::zoo::{self, Bug};

use crate::core::{OPEN_MAX, RETAIN};
use crate::message::{Evidence, EvidenceKind, conflict};

/// Views ahead of the current one whose votes and proposals are kept.
pub(crate) const AHEAD: u64 = 4;

/// What is known of a vote's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Standing {
    Unchecked,
    Checking,
    Verified,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    vote: Vote,
    standing: Standing,
}

/// What became of a vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Added {
    /// It is the signer's first vote of its view and kind.
    pub(crate) stored: bool,
    /// Together with an earlier vote it breaks a rule.
    pub(crate) conflict: Option<(EvidenceKind, Evidence)>,
}

/// The votes of the views around the current one: at most one per view, kind and signer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tally {
    quorum: usize,
    ballots: BTreeMap<(View, ClaimKind), BTreeMap<u8, Entry>>,
    /// Whose faults were reported, or are being checked: one report of each kind is enough.
    accused: BTreeSet<(u8, EvidenceKind)>,
}

impl Tally {
    pub(crate) fn new(quorum: usize) -> Self {
        Self { quorum, ballots: BTreeMap::new(), accused: BTreeSet::new() }
    }

    /// Whether votes of a view and kind are kept (section 2.10).
    pub(crate) fn admits(claim: &Claim, view: View, finalized: View) -> bool {
        let back = match claim.kind() {
            ClaimKind::Notarize | ClaimKind::Nullify => RETAIN,
            ClaimKind::Finalize => OPEN_MAX,
        };
        claim.view() > View::ZERO
            && claim.view() >= finalized.saturating_sub(RETAIN)
            && claim.view() >= view.saturating_sub(back)
            && (claim.view() <= view.saturating_add(AHEAD) || zoo::has(Bug::ViewWindowUnbounded))
    }

    /// Forgets votes that are out of reach.
    pub(crate) fn prune(&mut self, view: View, finalized: View) {
        self.ballots.retain(|_, ballot| {
            ballot.values().next().is_some_and(|entry| Self::admits(&entry.vote.claim, view, finalized))
        });
    }

    /// Takes a vote. An unchecked vote never displaces another.
    pub(crate) fn add(&mut self, vote: Vote, standing: Standing) -> Added {
        let (signer, claim) = (vote.signer, vote.claim);
        let first = self.entry(claim.view(), claim.kind(), signer).map(|entry| entry.vote.clone());
        let other = match claim.kind() {
            ClaimKind::Notarize => None,
            ClaimKind::Nullify => self.entry(claim.view(), ClaimKind::Finalize, signer),
            ClaimKind::Finalize => self.entry(claim.view(), ClaimKind::Nullify, signer),
        };
        let earlier = first.clone().into_iter().chain(other.map(|entry| entry.vote.clone()));
        let conflict = earlier
            .filter_map(|first| {
                Some((conflict(&first.claim, &claim)?, Evidence { first, second: vote.clone() }))
            })
            .find(|(kind, _)| !self.accused.contains(&(signer, *kind)));
        let stored = first.is_none();
        if stored {
            self.ballots
                .entry((claim.view(), claim.kind()))
                .or_default()
                .insert(signer, Entry { vote, standing });
        }
        self.accused.extend(conflict.iter().map(|(kind, _)| (signer, *kind)));
        Added { stored, conflict }
    }

    /// The accusation was unfounded, since one of the signatures is invalid.
    pub(crate) fn acquit(&mut self, signer: u8, kind: EvidenceKind) {
        self.accused.remove(&(signer, kind));
    }

    fn entry(&self, view: View, kind: ClaimKind, signer: u8) -> Option<&Entry> {
        self.ballots.get(&(view, kind))?.get(&signer)
    }

    fn votes_for(&self, claim: &Claim) -> impl Iterator<Item = &Entry> {
        let ballot = self.ballots.get(&(claim.view(), claim.kind()));
        let any = zoo::has(Bug::TallyWithoutBlock);
        ballot.into_iter().flat_map(BTreeMap::values).filter(move |entry| any || entry.vote.claim == *claim)
    }

    fn verified(&self, claim: &Claim) -> impl Iterator<Item = &Vote> {
        let any = zoo::has(Bug::UncheckedVotesCount);
        self.votes_for(claim)
            .filter(move |entry| any || entry.standing == Standing::Verified)
            .map(|entry| &entry.vote)
    }

    /// How many checked votes a claim has.
    pub(crate) fn count(&self, claim: &Claim) -> usize {
        self.verified(claim).count()
    }

    /// The votes to be checked now, because with them the claim could have `threshold` votes. None while
    /// others of the claim are being checked.
    pub(crate) fn due(&mut self, claim: &Claim, threshold: usize) -> Vec<Vote> {
        let unchecked = self.votes_for(claim).filter(|entry| entry.standing == Standing::Unchecked).count();
        let checking = self.votes_for(claim).any(|entry| entry.standing == Standing::Checking);
        let verified = self.count(claim);
        if checking || verified >= threshold || verified.saturating_add(unchecked) < threshold {
            return Vec::new();
        }
        self.begin(claim, Signers::all(128))
    }

    /// The one vote, to be checked now for its own sake.
    pub(crate) fn due_alone(&mut self, claim: &Claim, signer: u8) -> Vec<Vote> {
        self.begin(claim, Signers::one(signer))
    }

    fn begin(&mut self, claim: &Claim, signers: Signers) -> Vec<Vote> {
        let ballot = self.ballots.get_mut(&(claim.view(), claim.kind()));
        let mut due = Vec::new();
        for (signer, entry) in ballot.into_iter().flatten() {
            let same = entry.vote.claim == *claim || zoo::has(Bug::TallyWithoutBlock);
            let wanted = same && signers.contains(*signer);
            if wanted && entry.standing == Standing::Unchecked {
                entry.standing = Standing::Checking;
                due.push(entry.vote.clone());
            }
        }
        due
    }

    /// Takes the verdict on votes that were due: the valid ones count, the others are dropped.
    pub(crate) fn checked(&mut self, votes: &[Vote], bad: Signers) {
        for vote in votes {
            let Some(ballot) = self.ballots.get_mut(&(vote.claim.view(), vote.claim.kind())) else {
                continue;
            };
            let Some(entry) = ballot.get_mut(&vote.signer).filter(|entry| entry.vote == *vote) else {
                continue;
            };
            if bad.contains(vote.signer) {
                ballot.remove(&vote.signer);
            } else {
                entry.standing = Standing::Verified;
            }
        }
    }

    /// The certificate of a claim with enough checked votes. It needs no further check.
    pub(crate) fn certificate(&self, claim: &Claim) -> Option<Certificate> {
        if self.count(claim) < self.quorum {
            return None;
        }
        let signers = self.verified(claim).fold(Signers::NONE, |signers, vote| signers.with(vote.signer));
        let signatures = self.verified(claim).map(|vote| vote.signature).collect();
        Some(Certificate { claim: *claim, signers, signatures: List::new(signatures).ok()? })
    }

    /// Whether this very signature was checked.
    pub(crate) fn is_verified(&self, claim: &Claim, signer: u8, signature: &Signature) -> bool {
        let entry = self.entry(claim.view(), claim.kind(), signer);
        entry.is_some_and(|entry| {
            entry.standing == Standing::Verified
                && entry.vote.claim == *claim
                && entry.vote.signature == *signature
        })
    }

    /// A validator's checked vote of a kind in a view.
    pub(crate) fn verified_vote(&self, view: View, kind: ClaimKind, signer: u8) -> Option<&Vote> {
        let entry = self.entry(view, kind, signer)?;
        (entry.standing == Standing::Verified).then_some(&entry.vote)
    }

    /// The votes of one validator that are kept, checked or not.
    pub(crate) fn votes_of(&self, signer: u8) -> impl Iterator<Item = &Vote> {
        self.ballots.values().filter_map(move |ballot| ballot.get(&signer)).map(|entry| &entry.vote)
    }

    /// The latest view of a vote that is kept.
    pub(crate) fn farthest(&self) -> View {
        self.ballots.last_key_value().map_or(View::ZERO, |((view, _), _)| *view)
    }

    /// Who voted, checked or not.
    pub(crate) fn voters(&self, view: View, kind: ClaimKind) -> Signers {
        let ballot = self.ballots.get(&(view, kind));
        ballot
            .into_iter()
            .flat_map(BTreeMap::keys)
            .fold(Signers::NONE, |signers, signer| signers.with(*signer))
    }

    /// All claims that were voted for in a view, of one kind.
    pub(crate) fn claims(&self, view: View, kind: ClaimKind) -> BTreeSet<Claim> {
        let ballot = self.ballots.get(&(view, kind));
        ballot.into_iter().flat_map(BTreeMap::values).map(|entry| entry.vote.claim).collect()
    }
}

#[cfg(test)]
mod tests;
