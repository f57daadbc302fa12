//! What clients, subscribers and operators are told.
use quorate_ledger::Executed;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::Certificate;
use quorate_primitives::signed::Verified;
use quorate_primitives::{EpochNumber, Hash, Height, View};

/// A transaction is on its way, or already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// Taken; it will travel in this replica's next bundle.
    Pending,
    /// It was already waiting here, given by a client or by a peer.
    AlreadyPending,
    /// It is already in the ledger.
    AlreadyCommitted {
        /// In the block of this height.
        height: Height,
    },
}

/// Why a transaction was not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It would not take effect on the ledger as it is.
    #[error(transparent)]
    Ledger(quorate_ledger::Refusal),
    /// No room for any transaction.
    #[error("the pool is full, retry after {retry_after_ms} ms")]
    Full {
        /// When to try again, in ms.
        retry_after_ms: u64,
    },
    /// No room for another transaction of this sender.
    #[error(
        "{found} transactions of this sender wait, but at most {allowed} are allowed, retry after {retry_after_ms} ms"
    )]
    SenderFull {
        /// Transactions of the sender that wait.
        found: usize,
        /// Most allowed.
        allowed: usize,
        /// When to try again, in ms.
        retry_after_ms: u64,
    },
    /// This replica stopped.
    #[error("this validator has stopped")]
    Stopped,
}

/// A block that became final, with everything that it did.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Header, outcome, receipts and the state after it.
    pub executed: Executed,
    /// Its bundles in the order of its payload.
    pub bundles: Vec<Verified<Bundle>>,
    /// Its own finalize certificate; `None` if it is final as ancestor of the next ones.
    pub certificate: Option<Certificate>,
}

/// Why a replica stopped for good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The protocol found its own rules broken.
    #[error("consensus: {0}")]
    Consensus(Box<quorate_consensus::Fault>),
    /// The ledger could not be written.
    #[error("storage: {reason}")]
    Storage {
        /// What the store said.
        reason: String,
    },
    /// A quorum finalized another outcome than this replica computed.
    #[error("block {block} at height {height}: outcome {ours} here, but {theirs} is final")]
    Diverged {
        /// Height of the block.
        height: Height,
        /// The block.
        block: Hash,
        /// Computed here.
        ours: Hash,
        /// Signed by a quorum.
        theirs: Hash,
    },
}

/// Why the chain does not advance at this replica, as far as it can tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stall {
    /// It stopped.
    #[error("stopped: {0}")]
    Stopped(Fault),
    /// Too few validators are connected, itself counted.
    #[error("{connected} validators connected, but {needed} are needed")]
    NoQuorum {
        /// Connected, itself counted.
        connected: usize,
        /// A quorum.
        needed: usize,
    },
    /// It lacks blocks that others have finalized.
    #[error("catching up: blocks after height {height} are missing")]
    Behind {
        /// Height of its last block.
        height: Height,
    },
}

/// Whether a replica votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// It is no validator of this epoch.
    Observer,
    /// Not yet: it asks the others whether they hold a vote of its key that it does not know of.
    Asking,
    /// Not yet: its vote log was lost, and too few of the others have said where they stand.
    Quarantined,
    /// Not before this view: it may have voted in the ones before and forgotten it.
    Silent {
        /// The first view in which it votes.
        until: View,
    },
    /// Yes.
    Free,
}

/// A glance at a replica, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its position among the validators; `None` if it only follows.
    pub index: Option<u8>,
    /// The current epoch.
    pub epoch: EpochNumber,
    /// Height of its last block.
    pub epoch_last: Height,
    /// Whether it votes.
    pub voice: Voice,
    /// Number of validators.
    pub validators: usize,
    /// Validators connected, itself not counted.
    pub connected: usize,
    /// Current turn.
    pub view: View,
    /// Who leads it.
    pub leader: u8,
    /// Highest turn known to be final.
    pub finalized_view: View,
    /// Height of the last committed block.
    pub height: Height,
    /// The last committed block.
    pub block: Hash,
    /// Transactions of clients that wait or travel.
    pub pool_transactions: usize,
    /// Senders that they have.
    pub pool_senders: usize,
    /// Their bytes.
    pub pool_bytes: usize,
    /// Bundles that no committed block lists yet.
    pub bundles: usize,
    /// Their bytes.
    pub bundles_bytes: usize,
    /// Blocks above the last committed one.
    pub open_blocks: usize,
    /// How long a leader is given now, in ms.
    pub timeout_ms: u64,
    /// Whether it is catching up from peers.
    pub syncing: bool,
    /// Why the chain does not advance, if something is known to be wrong.
    pub stall: Option<Stall>,
}
