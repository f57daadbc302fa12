//! What goes into the engine and what comes out of it.
//!
//! The driver owes the engine this, and the engine relies on nothing else:
//!
//! 1. All [journal](Step::journal) records of a step, and the body of a block that the step votes for,
//!    are durable before any [effect](Step::effects) of the step runs. Steps run in order.
//! 2. One engine per key and epoch, in the whole world.
//! 3. The key signs only claims of [`Effect::Vote`] and [`Effect::Propose`].
//! 4. Messages of one peer come in order, over a channel that proves who sends; loss is allowed.
//! 5. Timers may fire late, never early. Stale ones are harmless.
//! 6. A judged block whose parent was executed is executed without being asked, and so is a block that
//!    this validator built itself.
//! 7. `Built`, `Fetched`, `Judged` and `Executed` may come late, twice or never. `Fetch` and `Judge`
//!    may be asked more than once for the same block (with other holders, or after a restart), and are
//!    then answered again; a block that was executed before is also reported as executed again.
//! 8. Every `Check` is answered, once.
use borsh::{BorshDeserialize, BorshSerialize};

use quorate_primitives::block::Header;
use quorate_primitives::certificate::{Certificate, Claim, Vote};
use quorate_primitives::keys::SignatureCheck;
use quorate_primitives::validators::Signers;
use quorate_primitives::{Hash, Height, Timestamp, View};

use crate::message::{Evidence, Message};

/// Names a request for signature checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

impl Ticket {
    pub(crate) const FIRST: Ticket = Ticket(0);

    pub(crate) fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The ticket with this number, for a driver that carried it elsewhere.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

/// Something that may be due. The engine knows no durations; the driver does (protocol, section 2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The leader's proposal should have arrived.
    Propose(View),
    /// The view should have been certified.
    View(View),
    /// What was said in this view should be said again.
    Retry(View),
    /// Those who do not show that they have left this view should be given its certificate.
    Relay(View),
}

impl Timer {
    /// The view it is about.
    #[must_use]
    pub fn view(self) -> View {
        match self {
            Self::Propose(view) | Self::View(view) | Self::Retry(view) | Self::Relay(view) => view,
        }
    }
}

/// Whether a block may be voted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Its body is here and it follows the rules.
    Valid,
    /// It breaks the rules, and every honest validator will find the same.
    Invalid,
}

/// The block to build on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parent {
    /// Turn in which it was certified; 0 for the anchor.
    pub view: View,
    /// Its id.
    pub block: Hash,
    /// Its height; the new block has the next.
    pub height: Height,
    /// Its time; the new block's is later.
    pub time: Timestamp,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A validator sent a message over its own channel.
    Received {
        /// Index of the validator at the other end of the channel.
        from: u8,
        /// What it sent.
        message: Message,
    },
    /// A claim that the engine asked to be signed, signed.
    Own(Vote),
    /// Answer to [`Effect::Check`].
    Checked {
        /// Which request.
        ticket: Ticket,
        /// Positions in the list of checks whose signatures are invalid.
        bad: Vec<usize>,
    },
    /// A timer fired.
    Expired(Timer),
    /// Answer to [`Effect::Build`]. It may come as late as pacing wants.
    Built {
        /// The view that was asked for.
        view: View,
        /// The block, whose body is here; nothing if none can be built now, for instance while syncing.
        header: Option<Header>,
    },
    /// Answer to [`Effect::Fetch`].
    Fetched {
        /// The header of the block that was asked for; its id is checked.
        header: Header,
    },
    /// Answer to [`Effect::Judge`]. Not before the body is here; a block from the future waits.
    Judged {
        /// Which block.
        block: Hash,
        /// Whether it may be voted for.
        verdict: Verdict,
    },
    /// A block was executed after all its ancestors.
    Executed {
        /// Which block.
        block: Hash,
        /// Digest of its outcome.
        outcome: Hash,
    },
    /// A validator became reachable.
    Connected(u8),
    /// This validator may vote from this view on (rule R14). Ends what [`Engine::mute`](crate::Engine::mute)
    /// began; a later bound that the journal holds stays.
    Speak {
        /// The first view in which a claim may be made.
        from: View,
    },
    /// Somebody holds a vote with our key. If the journal does not have it, the key is used elsewhere.
    Seen(Vote),
    /// There is something to order, and all validators know it. It holds until the next block is
    /// notarized: what is left over then is said again. Saying it twice is harmless.
    Pending,
}

/// What one input caused.
#[must_use]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// To be made durable, in this order, before any effect.
    pub journal: Vec<Record>,
    /// To be done, in this order.
    pub effects: Vec<Effect>,
}

/// What must survive a crash. The records of one log all belong to one epoch, which the log names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub enum Record {
    /// This validator makes the claim, and will never make one that conflicts with it.
    Own(Claim),
    /// A certificate that a later claim relies on.
    Held(Certificate),
    /// A finalization. Own claims and certificates of views up to it are no longer needed.
    Floor(Certificate),
    /// What was claimed in views before this one is forgotten, so nothing is claimed there again
    /// (rule R14).
    Silence {
        /// The first view in which a claim may be made.
        before: View,
    },
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Sign the claim, send the vote to all, feed it back as [`Input::Own`]. The same claim may come
    /// again later: signing it again gives the same bytes.
    Vote(Claim),
    /// Sign the claim, send the proposal with it to all, feed the vote back as [`Input::Own`]. The
    /// block was built by [`Input::Built`] and counts as judged; it is to be executed.
    Propose {
        /// The block.
        header: Header,
        /// For [`Proposal::parent`](crate::Proposal::parent).
        parent: View,
        /// Notarize for the block.
        claim: Claim,
        /// For [`Proposal::proof`](crate::Proposal::proof); at most [`PROOF_MAX`](crate::PROOF_MAX).
        proof: Vec<Certificate>,
    },
    /// Send a message to some validators. Never to this one.
    Send {
        /// To whom.
        to: Signers,
        /// What.
        message: Message,
    },
    /// Check signatures and answer with [`Input::Checked`].
    Check {
        /// To be named in the answer.
        ticket: Ticket,
        /// Never empty.
        checks: Vec<SignatureCheck>,
    },
    /// Set a timer, replacing the same timer if it is set.
    Arm {
        /// Which.
        timer: Timer,
        /// How many views failed since the last finalization: wait longer the more there are.
        level: u32,
        /// There is nothing to order: wait for the idle interval in addition.
        idle: bool,
    },
    /// Build a block on this parent and answer with [`Input::Built`]. The answer may wait for pacing;
    /// the view's own timer ends the wait. A block that cannot be built is said at once.
    Build {
        /// View of the block.
        view: View,
        /// Its parent, which is certified.
        parent: Parent,
        /// The others also wait for the idle interval: an empty block need not be built before it ends.
        /// Without it they expect a block soon, even an empty one.
        idle: bool,
    },
    /// Get the body of a block, judge it and answer with [`Input::Judged`].
    Judge {
        /// The block.
        header: Header,
        /// Validators that say they have the body.
        holders: Signers,
    },
    /// Get the header of a certified block and answer with [`Input::Fetched`].
    Fetch {
        /// The block.
        block: Hash,
        /// Validators that say they have it.
        holders: Signers,
    },
    /// A block is certified to be the one of its view: a pre-confirmation.
    Notarized(Certificate),
    /// A block is final, and so are its ancestors. Said again after a restart.
    Finalized(Certificate),
    /// A validator provably broke the rules.
    Evidence(Evidence),
    /// A validator sent what no honest one sends, without leaving a proof for others.
    Ban(u8),
    /// This view was given up by its timer but then was certified: the timers are too short.
    Premature(View),
    /// The engine has stopped for good. Somebody must look.
    Halt(Fault),
}

/// Why a validator must not go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// Others executed a block with another outcome.
    #[error("block {block} of view {view} gave outcome {ours} here but {theirs} elsewhere")]
    Diverged {
        /// Turn of the block.
        view: View,
        /// The block.
        block: Hash,
        /// Outcome here.
        ours: Hash,
        /// Outcome that others signed.
        theirs: Hash,
    },
    /// Others voted for a block that is invalid here.
    #[error("block {block} was certified in view {view} but judged invalid here")]
    Rejected {
        /// Turn of the block.
        view: View,
        /// The block.
        block: Hash,
    },
    /// This validator's key signed something that is not in its journal.
    #[error("the key of this validator was used elsewhere: {claim}")]
    KeyUsedElsewhere {
        /// What it signed.
        claim: Claim,
    },
    /// Two certificates that cannot both exist while fewer than a third of the validators are faulty.
    #[error("two certificates contradict each other: {held} and {found}")]
    Contradiction {
        /// The one that came first.
        held: Claim,
        /// The one that came second.
        found: Claim,
    },
}
