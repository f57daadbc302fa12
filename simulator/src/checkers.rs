//! Those who watch a run and say when something is not as it must be.
//!
//! They are written apart from the product: with a table of quorums of their own, a ledger of their own,
//! and the rules of the protocol as they are stated, not as they are coded. What they see is what happens
//! outside of replicas: votes when they are signed, messages when they are sent, blocks when they are told
//! to be final. The first thing that is wrong ends the run.
mod agreement;
mod bounds;
mod certificates;
mod clocks;
pub mod quorums;
pub mod reads;
mod validity;
mod votes;

use quorate_consensus::Proposal;
use quorate_ledger::{Executed, Ledger, State};
use quorate_primitives::address::AccountId;
use quorate_primitives::block::{Header, Outcome};
use quorate_primitives::certificate::{Certificate, Claim, Vote};
use quorate_primitives::evidence::Accusation;
use quorate_primitives::light::{FinalityProof, Handover, TrustedEpoch};
use quorate_primitives::receipt::Receipt;
use quorate_primitives::validators::ValidatorSet;
use quorate_primitives::{EpochNumber, Hash, Height, PublicKey};
use quorate_replica::{Committed, PeerMessage};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::founding::Founding;
use crate::options::Options;
use crate::random::{Dice, Stream};
use crate::signatures::Memo;
use crate::time::Moment;
use crate::wire;

pub use bounds::Seen;

use agreement::Agreement;
use certificates::CertificateLaws;
use reads::Heads;
use validity::Validity;
use votes::VoteLaws;

/// Something that must never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When it was seen.
    pub at: Moment,
    /// What was promised.
    pub property: &'static str,
    /// What was found.
    pub detail: String,
}

/// What a checker finds: nothing, or what is wrong.
pub type Finding = Result<(), String>;

/// A final block as a light client is shown it.
struct FinalityBlock<'a> {
    header: &'a Header,
    outcome: Outcome,
    certificate: Option<&'a Certificate>,
    /// A state that holds the sets of validators from the block on.
    state: &'a State,
}

/// All checkers of a run.
pub struct Checkers {
    options: Rc<Options>,
    /// The epochs that have begun, as a client knows them that trusts nothing but the genesis.
    epochs: BTreeMap<EpochNumber, TrustedEpoch>,
    /// See [`Checkers::sets`], and the height that they are known from.
    sets: (Height, Vec<ValidatorSet>),
    /// See [`Checkers::before`].
    before: Option<(Height, ValidatorSet)>,
    violation: Option<Violation>,
    honest: Vec<bool>,
    keys: Vec<PublicKey>,
    clock_bound_ms: u64,
    agreement: Agreement,
    votes: VoteLaws,
    certificates: CertificateLaws,
    validity: Validity,
    heads: Heads,
    /// Draws of programs that do not follow the protocol.
    pub puppet_dice: Dice,
}

impl Checkers {
    /// Checkers of a run in which all nodes are honest, until told otherwise.
    #[must_use]
    pub fn new(options: Rc<Options>, founding: &Founding, keys: &[PublicKey]) -> Self {
        let seed = options.seed;
        Self {
            violation: None,
            honest: vec![true; keys.len()],
            keys: keys.to_vec(),
            clock_bound_ms: founding.genesis.parameters.clock_bound_ms,
            agreement: Agreement::default(),
            votes: VoteLaws::default(),
            certificates: CertificateLaws::default(),
            validity: Validity::new(founding),
            heads: Heads::default(),
            puppet_dice: Dice::new(seed, Stream::Puppets),
            before: None,
            sets: (Height::ZERO, vec![founding.trusted.validators().clone(); 3]),
            epochs: BTreeMap::from([(EpochNumber::ZERO, founding.trusted.clone())]),
            options,
        }
    }

    /// Whether nothing was found so far.
    #[must_use]
    pub fn is_content(&self) -> bool {
        self.violation.is_none()
    }

    /// The first thing that was found.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Something is not as it must be. Only the first is kept: the others may follow from it.
    pub fn violate(&mut self, at: Moment, property: &'static str, detail: String) {
        self.violation.get_or_insert(Violation { at, property, detail });
    }

    fn find(&mut self, at: Moment, property: &'static str, finding: Finding) {
        if let Err(detail) = finding {
            self.violate(at, property, detail);
        }
    }

    /// A node does not follow the protocol.
    pub fn distrust(&mut self, node: usize) {
        if let Some(honest) = self.honest.get_mut(node) {
            *honest = false;
        }
    }

    /// Whether a node follows the protocol.
    #[must_use]
    pub fn is_honest(&self, node: usize) -> bool {
        self.honest.get(node).copied().unwrap_or(false)
    }

    /// Whether all nodes with this key follow the protocol.
    #[must_use]
    pub fn is_honest_key(&self, key: &PublicKey) -> bool {
        let nodes = self.keys.iter().zip(&self.honest);
        nodes.filter(|(known, _)| *known == key).all(|(_, honest)| *honest)
    }

    // What is seen.

    /// A node signed a vote.
    pub fn signed(&mut self, at: Moment, node: usize, epoch: EpochNumber, vote: &Vote) {
        self.voted(at, node, epoch, vote);
    }

    fn voted(&mut self, at: Moment, node: usize, epoch: EpochNumber, vote: &Vote) {
        if !self.is_honest(node) {
            // What it says in the name of another is nothing that the other said.
            let signer = self.epochs.get(&epoch).and_then(|of| of.validators().key(vote.signer));
            if signer == self.keys.get(node) {
                self.votes.heard(epoch, vote);
            }
            return;
        }
        let finding = self.votes.signed(node, epoch, vote);
        self.find(at, "votes", finding);
    }

    /// A node sent a message.
    pub fn sent(&mut self, at: Moment, node: usize, message: &PeerMessage, memo: &mut Memo) {
        let is_honest = self.is_honest(node);
        let (epoch, said) = wire::said(message);
        if let (true, PeerMessage::Proposal { proposal, .. }) = (is_honest, message) {
            let finding = self.skipped(node, epoch, proposal);
            self.find(at, "votes", finding);
            let finding = self.within_epoch(node, &proposal.header);
            self.find(at, "epochs", finding);
        }
        for vote in said.votes {
            self.voted(at, node, epoch, vote);
        }
        for certificate in said.certificates {
            if self.certificates.is_known(epoch, certificate) {
                continue;
            }
            // Nobody speaks in an epoch whose anchor nobody holds to be final.
            let of = self.epochs.get(&epoch);
            let is_valid =
                of.is_some_and(|of| quorums::is_valid(certificate, &of.context(), of.validators(), memo));
            if is_valid {
                let finding = self.certificates.see(epoch, certificate);
                self.find(at, "certificates", finding);
            } else if is_honest {
                let detail =
                    format!("node {node} passes on a certificate that proves nothing: {}", certificate.claim);
                self.violate(at, "certificates", detail);
            }
        }
    }

    /// A node told a block to be final.
    pub fn committed(&mut self, at: Moment, node: usize, committed: &Committed, memo: &mut Memo) {
        if !self.is_honest(node) {
            return;
        }
        let finding = self.agreement.committed(node, committed);
        self.find(at, "agreement", finding);
        let finding = self.validity.committed(committed);
        self.find(at, "validity", finding);
        self.know_sets(&committed.executed);
        let Some(header) = committed.executed.header() else { return };
        let (outcome, state) = (*committed.executed.outcome(), committed.executed.state());
        let certificate = committed.certificate.as_ref();
        let finding = clocks::check(&self.options, self.clock_bound_ms, at, header);
        self.find(at, "clocks", finding);
        let finding = self.certified(node, header.epoch, certificate, memo);
        self.find(at, "certificates", finding);
        let finding = self.handed_over(FinalityBlock { header, outcome, certificate, state });
        self.find(at, "light client", finding);
    }

    /// A view between a block and its parent was given up by a quorum; who misbehaves may have said so
    /// without being heard.
    fn skipped(&self, node: usize, epoch: EpochNumber, proposal: &Proposal) -> Finding {
        let Some(of) = self.epochs.get(&epoch).filter(|_| proposal.header.view == proposal.view) else {
            return Ok(());
        };
        let quorum = quorums::quorum(of.validators().len());
        let dishonest = self.honest.iter().filter(|is_honest| !**is_honest).count();
        let mut view = proposal.parent.next();
        while view < proposal.view {
            let gave_up = self.votes.signers(epoch, &Claim::Nullify { view }).len();
            if gave_up.saturating_add(dishonest) < quorum {
                return Err(format!(
                    "node {node} skips view {view} in its block of view {}, although only {gave_up} gave it up",
                    proposal.view
                ));
            }
            view = view.next();
        }
        Ok(())
    }

    /// Nothing but itself follows the last block of an epoch in that epoch.
    fn within_epoch(&self, node: usize, header: &Header) -> Finding {
        match self.epochs.get(&header.epoch) {
            Some(of) if header.height > of.last() => Err(format!(
                "node {node} proposes block {} in epoch {}, which ends at {}",
                header.height,
                header.epoch,
                of.last()
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// What a node holds to prove that a block is final does so.
    fn certified(
        &self,
        node: usize,
        epoch: EpochNumber,
        certificate: Option<&Certificate>,
        memo: &mut Memo,
    ) -> Finding {
        let (Some(certificate), Some(of)) = (certificate, self.epochs.get(&epoch)) else { return Ok(()) };
        if quorums::is_valid(certificate, &of.context(), of.validators(), memo) {
            return Ok(());
        }
        Err(format!(
            "node {node} commits a block by a certificate that proves nothing: {}",
            certificate.claim
        ))
    }

    /// A node starts, and its ledger holds blocks: some that it committed it may never have told anybody of.
    pub fn found(&mut self, at: Moment, node: usize, ledger: &Ledger, memo: &mut Memo) {
        if self.is_honest(node) {
            let finding = self.agreement.found(node, ledger);
            self.find(at, "agreement", finding);
            let finding = self.validity.found(ledger, memo);
            self.find(at, "validity", finding);
            self.know_sets(ledger.head());
            let finding = self.handed_over_in(ledger);
            self.find(at, "light client", finding);
        }
    }

    /// Who validates in the epoch of the next block and in the two after it, by the highest block that
    /// anybody told to be final.
    #[must_use]
    pub fn sets(&self) -> &[ValidatorSet] {
        &self.sets.1
    }

    /// The last block of the epoch before the present one, and who decided it.
    #[must_use]
    pub fn before(&self) -> Option<&(Height, ValidatorSet)> {
        self.before.as_ref()
    }

    fn know_sets(&mut self, executed: &Executed) {
        if self.options.epoch_length == 0 || executed.height() <= self.sets.0 {
            return;
        }
        let length = self.options.epoch_length.max(1);
        let epoch = executed.height().get() / length;
        let set = |epoch| executed.state().validators(EpochNumber::new(epoch));
        let sets = (0..3).filter_map(|ahead| set(epoch.saturating_add(ahead)));
        self.sets = (executed.height(), sets.collect());
        let before = epoch.checked_sub(1).and_then(set);
        self.before = before.map(|set| (Height::new(epoch.saturating_mul(length)), set));
    }

    /// If a block is the last of an epoch, a client that trusts this epoch must come to trust the next.
    fn handed_over(&mut self, block: FinalityBlock<'_>) -> Finding {
        let FinalityBlock { header, outcome, certificate, state } = block;
        let next = header.epoch.next();
        let Some(trusted) = self.epochs.get(&header.epoch) else {
            return Err(format!(
                "block {} is of epoch {}, which was never begun",
                header.height, header.epoch
            ));
        };
        if header.height != trusted.last() || self.epochs.contains_key(&next) {
            return Ok(());
        }
        let (Some(certificate), Some(validators)) = (certificate.cloned(), state.validators(next)) else {
            return Err(format!("block {} ends epoch {} without a certificate", header.height, header.epoch));
        };
        let boundary = FinalityProof { header: header.clone(), outcome, certificate };
        let begun = Handover { boundary, validators }.verify(trusted).map_err(|error| error.to_string())?;
        self.epochs.insert(next, begun);
        Ok(())
    }

    /// Every epoch that a ledger has passed is begun.
    fn handed_over_in(&mut self, ledger: &Ledger) -> Finding {
        let reader = ledger.reader();
        loop {
            let last = self.epochs.last_key_value().map_or(Height::MAX, |(_, trusted)| trusted.last());
            if last > ledger.head().height() {
                return Ok(());
            }
            let Ok(Some(stored)) = reader.block(last) else { return Ok(()) };
            let (header, certificate) = (&stored.header, stored.certificate.as_ref());
            let state = ledger.head().state();
            self.handed_over(FinalityBlock { header, outcome: stored.outcome, certificate, state })?;
        }
    }

    /// A node holds somebody guilty.
    pub fn evidence(&mut self, at: Moment, node: usize, accusation: &Accusation) {
        if self.is_honest(node) && self.is_honest_key(&accusation.validator) {
            let signer = accusation.evidence.signer();
            let detail = format!("node {node} has evidence against the honest validator {signer}");
            self.violate(at, "accountability", detail);
        }
    }

    /// A node no longer talks to another. Excused if the link between them changed what was sent.
    pub fn banned(&mut self, at: Moment, (by, whom): (usize, usize), is_excused: bool, reason: &str) {
        if self.is_honest(by) && self.is_honest(whom) && !is_excused {
            self.violate(at, "bans", format!("node {by} bans the honest node {whom}: {reason}"));
        }
    }

    /// A node, or a client through it, was told that a transaction is final.
    pub fn told(&mut self, at: Moment, node: usize, transaction: Hash, height: Height) {
        if self.is_honest(node) || node == usize::MAX {
            let finding = self.agreement.told(transaction, height);
            self.find(at, "durability", finding);
        }
    }

    /// A client was told that a transaction can never be final.
    pub fn expired(&mut self, at: Moment, node: usize, transaction: Hash) {
        if self.is_honest(node) {
            let finding = self.agreement.expired(transaction);
            self.find(at, "durability", finding);
        }
    }

    /// What is seen of a running node now and then.
    pub fn inspect(&mut self, at: Moment, node: usize, seen: &Seen<'_>) {
        if self.is_honest(node) {
            let finding = bounds::check(&self.options, node, seen);
            self.find(at, "bounds", finding);
        }
    }

    /// Height of the last block that any honest node told to be final.
    #[must_use]
    pub fn height(&self) -> Height {
        self.agreement.height()
    }

    /// When the last new height was reached by the first honest node.
    #[must_use]
    pub fn advanced(&self) -> u64 {
        self.agreement.height().get()
    }

    /// The block at a height.
    #[must_use]
    pub fn block_at(&self, height: Height) -> Option<Hash> {
        self.agreement.block_at(height)
    }

    /// Height of a transaction that was told to be final.
    #[must_use]
    pub fn height_of(&self, transaction: &Hash) -> Option<Height> {
        self.agreement.height_of(transaction)
    }

    /// What the transactions of a final block did.
    #[must_use]
    pub fn receipts(&self, height: Height) -> &[Receipt] {
        self.validity.receipts(height)
    }

    /// Accounts that there are.
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.validity.reference().accounts()
    }

    /// The epoch of a height.
    #[must_use]
    pub fn epoch_of(&self, height: Height) -> EpochNumber {
        let before = height.previous().map_or(0, Height::get);
        EpochNumber::new(before.checked_div(self.options.epoch_length).unwrap_or_default())
    }

    /// What can only be said when the run is over.
    pub fn finish(&mut self, at: Moment) {
        let finding = self.agreement.finish();
        self.find(at, "durability", finding);
        let finding = self.certificates.finish(&self.agreement, &self.votes, &self.epochs);
        self.find(at, "certificates", finding);
        let finding = self.validity.finish();
        self.find(at, "validity", finding);
    }
}
