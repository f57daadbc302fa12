//! What is known of one view, and of one block.
use quorate_primitives::block::Header;
use quorate_primitives::certificate::{Certificate, Claim, ClaimKind};
use quorate_primitives::zoo::{self, Bug};
use quorate_primitives::{Hash, View};

use crate::step::Verdict;

/// A certificate, and whether the journal has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) certificate: Certificate,
    pub(crate) durable: bool,
}

/// The first block that the leader proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Candidate {
    pub(crate) block: Hash,
    pub(crate) parent: View,
}

/// Why this validator gave up on a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    /// A timer fired.
    Timer,
    /// The leader has been silent for long (rule R12).
    Silence,
    /// The proposal may not be voted for.
    Invalid,
    /// The leader gave up.
    Leader,
    /// This validator leads and cannot build.
    CannotBuild,
    /// All that the journal says is that it did.
    Recorded,
}

/// What this validator claimed in one view. Nothing is ever removed or replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Own {
    pub(crate) notarize: Option<Hash>,
    pub(crate) nullify: Option<Reason>,
    pub(crate) finalize: Option<(Hash, Hash)>,
}

impl Own {
    /// Whether a new claim of this kind would be a second one, or break a promise.
    pub(crate) fn forbids(&self, kind: ClaimKind) -> bool {
        match kind {
            ClaimKind::Notarize => {
                self.notarize.is_some() || self.nullify.is_some() || self.finalize.is_some()
            }
            ClaimKind::Finalize if zoo::has(Bug::FinalizeAfterNullify) => self.finalize.is_some(),
            ClaimKind::Nullify | ClaimKind::Finalize => self.nullify.is_some() || self.finalize.is_some(),
        }
    }

    pub(crate) fn record(&mut self, claim: &Claim) {
        match claim {
            Claim::Notarize { block, .. } => self.notarize = self.notarize.or(Some(*block)),
            Claim::Nullify { .. } => self.nullify = self.nullify.or(Some(Reason::Recorded)),
            Claim::Finalize { block, outcome, .. } => {
                self.finalize = self.finalize.or(Some((*block, *outcome)))
            }
        }
    }

    /// The claims, in the order in which they can have been made.
    pub(crate) fn claims(&self, view: View) -> Vec<Claim> {
        let notarize = self.notarize.map(|block| Claim::Notarize { view, block });
        let nullify = self.nullify.map(|_| Claim::Nullify { view });
        let finalize = self.finalize.map(|(block, outcome)| Claim::Finalize { view, block, outcome });
        [notarize, nullify, finalize].into_iter().flatten().collect()
    }
}

/// What is known of one view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Slot {
    notarized: Option<Held>,
    nullified: Option<Held>,
    finalized: Option<Held>,
    pub(crate) candidate: Option<Candidate>,
    pub(crate) own: Own,
    /// The leader was silent when the view was entered.
    pub(crate) silent: bool,
}

impl Slot {
    fn place(&mut self, kind: ClaimKind) -> &mut Option<Held> {
        match kind {
            ClaimKind::Notarize => &mut self.notarized,
            ClaimKind::Nullify => &mut self.nullified,
            ClaimKind::Finalize => &mut self.finalized,
        }
    }

    pub(crate) fn hold(&mut self, certificate: Certificate, durable: bool) {
        let place = self.place(certificate.claim.kind());
        match place {
            Some(held) => held.durable = held.durable || durable,
            None => *place = Some(Held { certificate, durable }),
        }
    }

    pub(crate) fn held(&self, kind: ClaimKind) -> Option<&Certificate> {
        let place = match kind {
            ClaimKind::Notarize => &self.notarized,
            ClaimKind::Nullify => &self.nullified,
            ClaimKind::Finalize => &self.finalized,
        };
        place.as_ref().map(|held| &held.certificate)
    }

    /// The certificate as an entry of the journal, if the journal does not have it yet.
    pub(crate) fn write_down(&mut self, kind: ClaimKind) -> Option<Certificate> {
        let held = self.place(kind).as_mut()?;
        let fresh = !held.durable;
        held.durable = true;
        fresh.then(|| held.certificate.clone())
    }

    pub(crate) fn durable(&self) -> impl Iterator<Item = &Certificate> {
        let all = [&self.notarized, &self.nullified, &self.finalized];
        all.into_iter().flatten().filter(|held| held.durable).map(|held| &held.certificate)
    }

    /// All certificates, the strongest first.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        [ClaimKind::Finalize, ClaimKind::Notarize, ClaimKind::Nullify]
            .into_iter()
            .filter_map(|kind| self.held(kind))
    }

    /// The block of the view, if a quorum voted for one.
    pub(crate) fn certified(&self) -> Option<Hash> {
        let certificate = self.held(ClaimKind::Finalize).or_else(|| self.held(ClaimKind::Notarize));
        certificate.and_then(|certificate| certificate.claim.block())
    }

    pub(crate) fn is_nullified(&self) -> bool {
        self.nullified.is_some()
    }

    /// A held claim that cannot be certified together with this one while enough validators are honest.
    pub(crate) fn contradiction(&self, claim: &Claim) -> Option<Claim> {
        let excludes = |held: &Claim| match (held, claim) {
            (Claim::Nullify { .. }, Claim::Finalize { .. })
            | (Claim::Finalize { .. }, Claim::Nullify { .. }) => true,
            (Claim::Nullify { .. }, Claim::Notarize { .. } | Claim::Nullify { .. })
            | (Claim::Notarize { .. }, Claim::Nullify { .. }) => false,
            (Claim::Finalize { .. }, Claim::Finalize { .. }) => held != claim,
            (Claim::Notarize { .. }, Claim::Notarize { .. } | Claim::Finalize { .. })
            | (Claim::Finalize { .. }, Claim::Notarize { .. }) => held.block() != claim.block(),
        };
        self.certificates().map(|certificate| certificate.claim).find(excludes)
    }
}

/// How far the application was asked about a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Asked {
    #[default]
    No,
    /// As a proposal: only the leader is known to have the body.
    Proposed,
    /// As a certified block: a quorum says that it has the body.
    Certified,
}

/// What is known of one block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Block {
    pub(crate) header: Option<Header>,
    pub(crate) fetched: bool,
    pub(crate) asked: Asked,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) outcome: Option<Hash>,
    /// The last view in which it was proposed or certified.
    pub(crate) latest: View,
}

impl Block {
    pub(crate) fn new(view: View) -> Self {
        Self { header: None, fetched: false, asked: Asked::No, verdict: None, outcome: None, latest: view }
    }
}
