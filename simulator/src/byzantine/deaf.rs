//! A replica that does not notice what else is done with its key.
//!
//! A validator stops when it sees a vote of its own key that its log does not hold, in a certificate or in
//! the answer to its question at the start. That is right, and it would end most misbehaviour early. This
//! filter keeps it from noticing: the vote is left out of the answer, and in a certificate another
//! validator is said to have signed in its place, which the replica is made to believe. What it passes on
//! is the true certificate again, so nobody else is deceived. Everything else it sees and does as always.
use quorate_consensus::{Message, Proposal};
use quorate_primitives::certificate::{Certificate, Claim};
use quorate_primitives::codec::List;
use quorate_primitives::keys::{Signature, SignatureCheck};
use quorate_primitives::validators::{Signers, ValidatorSet};
use quorate_primitives::{EpochNumber, PublicKey};
use quorate_replica::{Answer, PeerMessage, Question};
use std::collections::{BTreeMap, BTreeSet};

use crate::puppet::{Filter, Incoming, Outgoing, Stage};

/// The mark of a vote that was hidden from its own key.
pub const MARK: &str = "own vote not noticed";

/// A filter behind which the replica does not notice foreign use of its key.
pub struct Deaf<F> {
    inner: F,
    /// The true certificates, by what the replica was given.
    truths: BTreeMap<(EpochNumber, Claim, Signers), Certificate>,
    believed: BTreeSet<(PublicKey, Signature)>,
    sets: BTreeMap<EpochNumber, ValidatorSet>,
}

impl<F: Filter> Deaf<F> {
    /// Around another filter.
    pub fn new(inner: F) -> Self {
        Self { inner, truths: BTreeMap::new(), believed: BTreeSet::new(), sets: BTreeMap::new() }
    }

    fn set(&mut self, stage: &Stage<'_>, epoch: EpochNumber) -> Option<&ValidatorSet> {
        if !self.sets.contains_key(&epoch) {
            let set = stage.replica()?.ledger().head().state().validators(epoch)?;
            self.sets.insert(epoch, set);
        }
        self.sets.get(&epoch)
    }

    /// What the replica is given instead of a certificate; `None` if it may see it.
    fn disguise(
        &mut self,
        stage: &mut Stage<'_>,
        epoch: EpochNumber,
        truth: &Certificate,
    ) -> Option<Certificate> {
        let own = stage.key_of(stage.node())?;
        let Certificate { claim, signers, signatures } = truth;
        let (me, quorum, stand_in) = {
            let set = self.set(stage, epoch)?;
            let stand_in = Signers::all(set.len()).difference(*signers).iter().next();
            (set.index_of(&own)?, set.quorum(), stand_in)
        };
        if !signers.contains(me) || stage.has_promised(epoch, claim) {
            return None;
        }
        let mut signed: BTreeMap<u8, Signature> = signers.iter().zip(signatures.iter().copied()).collect();
        let hidden = signed.remove(&me)?;
        if signed.len() < quorum {
            let stand_in = stand_in?;
            let key = *self.set(stage, epoch)?.key(stand_in)?;
            self.believed.insert((key, hidden));
            signed.insert(stand_in, hidden);
        }
        stage.mark(MARK);
        let signers = signed.keys().fold(Signers::NONE, |signers, index| signers.with(*index));
        let signatures = List::new(signed.into_values().collect()).ok()?;
        self.truths.insert((epoch, *claim, signers), truth.clone());
        Some(Certificate { claim: *claim, signers, signatures })
    }

    /// The true certificate behind one that the replica passes on.
    fn truth(&self, epoch: EpochNumber, given: &Certificate) -> Option<Certificate> {
        self.truths.get(&(epoch, given.claim, given.signers)).cloned()
    }

    /// The same proposal with other certificates, if any of them changes.
    fn changed(
        proposal: &Proposal,
        mut change: impl FnMut(&Certificate) -> Option<Certificate>,
    ) -> Option<Proposal> {
        let changed: Vec<Option<Certificate>> = proposal.proof.iter().map(&mut change).collect();
        changed.iter().any(Option::is_some).then(|| {
            let kept = proposal.proof.iter().cloned();
            let proof = changed.into_iter().zip(kept).map(|(changed, kept)| changed.unwrap_or(kept));
            Proposal { proof: List::new(proof.collect()).unwrap_or_default(), ..proposal.clone() }
        })
    }

    fn changed_message(
        message: &PeerMessage,
        mut change: impl FnMut(EpochNumber, &Certificate) -> Option<Certificate>,
    ) -> Option<PeerMessage> {
        match message {
            PeerMessage::Consensus { epoch, message: Message::Certificate(certificate) } => {
                let message = Message::Certificate(change(*epoch, certificate)?);
                Some(PeerMessage::Consensus { epoch: *epoch, message })
            }
            PeerMessage::Consensus { epoch, message: Message::Propose(proposal) } => {
                let proposal = Self::changed(proposal, |held| change(*epoch, held))?;
                Some(PeerMessage::Consensus { epoch: *epoch, message: Message::Propose(proposal) })
            }
            PeerMessage::Proposal { proposal, payload, inline } => {
                let proposal = Self::changed(proposal, |held| change(proposal.header.epoch, held))?;
                Some(PeerMessage::Proposal { proposal, payload: payload.clone(), inline: inline.clone() })
            }
            PeerMessage::Consensus { .. } | PeerMessage::Bundle(_) => None,
        }
    }

    fn changed_blocks(
        answer: Answer,
        mut change: impl FnMut(EpochNumber, &Certificate) -> Option<Certificate>,
    ) -> Answer {
        let Answer::Blocks(blocks) = answer else { return answer };
        let mut blocks = blocks.into_inner();
        for block in &mut blocks {
            let other = block.certificate.as_ref().and_then(|held| change(block.header.epoch, held));
            block.certificate = other.or_else(|| block.certificate.take());
        }
        List::new(blocks).map_or(Answer::Unknown, Answer::Blocks)
    }
}

impl<F: Filter> Filter for Deaf<F> {
    fn start(&mut self, stage: &mut Stage<'_>) {
        self.inner.start(stage);
    }

    fn outgoing(&mut self, stage: &mut Stage<'_>, to: usize, message: &PeerMessage) -> Outgoing {
        let Some(true_message) = Self::changed_message(message, |epoch, held| self.truth(epoch, held)) else {
            return self.inner.outgoing(stage, to, message);
        };
        match self.inner.outgoing(stage, to, &true_message) {
            Outgoing::Pass => Outgoing::Instead(vec![super::place::bytes(&true_message)]),
            other => other,
        }
    }

    fn incoming(&mut self, stage: &mut Stage<'_>, from: usize, message: &PeerMessage) -> Incoming {
        let inner = self.inner.incoming(stage, from, message);
        let seen = match &inner {
            Incoming::Pass => message,
            Incoming::Instead(Some(other)) => other,
            Incoming::Instead(None) => return inner,
        };
        match Self::changed_message(seen, |epoch, held| self.disguise(stage, epoch, held)) {
            Some(disguised) => Incoming::Instead(Some(Box::new(disguised))),
            None => inner,
        }
    }

    fn question(&mut self, stage: &mut Stage<'_>, from: usize, request: u64, question: &Question) -> bool {
        self.inner.question(stage, from, request, question)
    }

    fn answering(&mut self, stage: &mut Stage<'_>, to: usize, answer: Answer) -> Option<Answer> {
        let mut answer = Self::changed_blocks(answer, |epoch, held| self.truth(epoch, held));
        if let Answer::Standing { vote, .. } = &mut answer {
            let asker = stage.key_of(to)?;
            *vote = vote.take().filter(|vote| !self.believed.contains(&(asker, vote.signature)));
        }
        self.inner.answering(stage, to, answer)
    }

    fn answered(&mut self, stage: &mut Stage<'_>, from: usize, answer: Answer) -> Answer {
        let answer = self.inner.answered(stage, from, answer);
        let mut answer = Self::changed_blocks(answer, |epoch, held| self.disguise(stage, epoch, held));
        if let Answer::Standing { epoch, vote, .. } = &mut answer
            && vote.as_ref().is_some_and(|vote| !stage.has_promised(*epoch, &vote.claim))
        {
            stage.mark(MARK);
            *vote = None;
        }
        answer
    }

    fn believes(&self, check: &SignatureCheck) -> bool {
        self.believed.contains(&(check.key, check.signature)) || self.inner.believes(check)
    }

    fn timer(&mut self, stage: &mut Stage<'_>, tag: u64) {
        self.inner.timer(stage, tag);
    }
}

/// Changes nothing.
pub struct Nothing;

impl Filter for Nothing {}
