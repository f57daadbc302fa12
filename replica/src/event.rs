//! What enters the machine and what leaves it.
use quorate_consensus::{Message, Proposal, Ticket};
use quorate_primitives::block::Payload;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::{Claim, Vote};
use quorate_primitives::evidence::Accusation;
use quorate_primitives::keys::SignatureCheck;
use quorate_primitives::signed::Verified;
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{EpochNumber, Hash, PublicKey};
use std::sync::Arc;

use crate::answer::{Admitted, Committed, Fault, Refusal};
use crate::record::LogRecord;
use crate::wire::{Answer, PeerMessage, Question, VerifiedAnswer};

/// A client's transaction.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Returned with the reply.
    pub ticket: u64,
    /// The transaction.
    pub transaction: Verified<SignedTransaction>,
}

/// Something that happened outside.
#[derive(Clone, Debug)]
pub enum Event {
    /// All records of the log were restored. Comes once, first.
    Start,
    /// A protocol message of a peer.
    Message {
        /// Whose connection it came over.
        from: PublicKey,
        /// The epoch that it is about, as its sender says.
        epoch: EpochNumber,
        /// The message, its signatures unproven.
        message: Box<Message>,
    },
    /// A block to vote on.
    Proposal {
        /// Whose connection it came over.
        from: PublicKey,
        /// The proposal, its signatures unproven.
        proposal: Box<Proposal>,
        /// What the header is said to commit to.
        payload: Payload,
        /// The transactions that travel with it.
        inline: Option<Verified<Bundle>>,
    },
    /// Transactions that a peer collected.
    Bundle {
        /// The peer that is accountable for it: the one that it came from, or its proven publisher if
        /// it was relayed; `None` if nobody is.
        from: Option<PublicKey>,
        /// The bundle.
        bundle: Verified<Bundle>,
    },
    /// Clients' transactions. Each is answered with exactly one [`Effect::Reply`] in the same step.
    Submitted(Vec<Submission>),
    /// The vote that [`Effect::Sign`] asked for.
    Signed {
        /// As in the effect.
        epoch: EpochNumber,
        /// The vote.
        vote: Vote,
    },
    /// The result of [`Effect::Check`].
    Checked {
        /// As in the effect.
        ticket: CheckTicket,
        /// Positions of the invalid signatures, ascending.
        bad: Vec<usize>,
    },
    /// A timer fired.
    Elapsed(Timer),
    /// A peer can be sent to from now on.
    Connected(PublicKey),
    /// A peer cannot be sent to from now on.
    Disconnected(PublicKey),
    /// A peer asks. Answered with one [`Effect::Answer`] in the same step.
    Asked {
        /// Who.
        from: PublicKey,
        /// Returned with the answer.
        token: u64,
        /// What.
        question: Question,
    },
    /// The end of an [`Effect::Ask`].
    Answered {
        /// As in the effect.
        request: u64,
        /// Who was asked.
        from: PublicKey,
        /// The answer; `None` if there was none.
        answer: Option<VerifiedAnswer>,
    },
}

/// Something to be done outside, after the records of the step are durable.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Sign this claim and hand it back as [`Event::Signed`].
    Sign {
        /// The epoch of the claim.
        epoch: EpochNumber,
        /// What every vote of that epoch signs.
        context: Hash,
        /// This validator's index in it.
        index: u8,
        /// What is claimed.
        claim: Claim,
    },
    /// These keys, and no others, may connect as validators from now on, ascending: the validators of
    /// this epoch and of the next two.
    Admit(Vec<PublicKey>),
    /// Send to these peers, as far as they are connected.
    Send {
        /// To whom; never this replica itself.
        to: Vec<PublicKey>,
        /// What.
        message: Box<PeerMessage>,
    },
    /// Spread to every validator, as [`PeerMessage::Bundle`] or by gossip.
    Gossip(Verified<Bundle>),
    /// Check these signatures and report as [`Event::Checked`].
    Check {
        /// Returned with the result.
        ticket: CheckTicket,
        /// The checks.
        checks: Vec<SignatureCheck>,
    },
    /// Ask one peer.
    Ask {
        /// Returned with the answer.
        request: u64,
        /// Whom.
        to: PublicKey,
        /// What.
        question: Question,
    },
    /// The answer to [`Event::Asked`].
    Answer {
        /// As in the event.
        token: u64,
        /// The answer.
        answer: Box<Answer>,
    },
    /// Set the timer of this name, replacing an earlier one.
    Arm {
        /// Which.
        timer: Timer,
        /// From now, in ms; 0 is right after this step.
        after_ms: u64,
    },
    /// The reply to one of [`Event::Submitted`].
    Reply {
        /// As in the event.
        ticket: u64,
        /// Whether the transaction is on its way, or why not.
        outcome: Result<Admitted, Refusal>,
    },
    /// A block became final and is in the ledger. In order of height, each height once in a process
    /// life.
    Committed(Arc<Committed>),
    /// Proof that a validator broke the rules, for people. It also travels into a block.
    Evidence(Box<Accusation>),
    /// An honest peer would not have done this; stop talking to it for a while.
    Ban {
        /// Whom.
        peer: PublicKey,
        /// What it did.
        reason: &'static str,
    },
    /// Stop the process: going on would not be safe.
    Halt(Fault),
}

/// Names a check of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckTicket {
    /// Asked by the protocol of an epoch.
    Consensus(EpochNumber, Ticket),
    /// Asked for the certificate of blocks that a peer sent.
    Sync(u64),
}

/// Names a timer; there is at most one of each name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A timer of the protocol of an epoch.
    Consensus(EpochNumber, quorate_consensus::Timer),
    /// Those that did not say where they stand are asked again.
    Guard,
    /// The next bundle may leave.
    Bundle,
    /// The next block may be proposed.
    Build,
    /// A block whose time lies ahead may be judged.
    Judge,
    /// A block may be executed.
    Execute,
    /// A question needs another peer.
    Fetch,
    /// Look whether peers are ahead.
    Sync,
}

/// What one event leads to.
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// To be durable, in order, before any effect is carried out.
    pub journal: Vec<LogRecord>,
    /// To be carried out in order.
    pub effects: Vec<Effect>,
}
