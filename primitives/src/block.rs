//! Blocks: a header that validators vote on, and the payload it commits to.
use borsh::{BorshDeserialize, BorshSerialize};

use crate::bundle::BUNDLE_BYTES_MAX;
use crate::codec::List;
use crate::hash::{Domain, Hash, hash, hash_of};
use crate::numbers::{EpochNumber, Height, Timestamp, View};

/// Version of the rules by which blocks are judged and executed.
pub const PROTOCOL_VERSION: u32 = 1;
/// Most bundles in a block: together with [`PAYLOAD_BYTES_MAX`] this bounds the work of judging one.
pub const BUNDLES_MAX: usize = 256;
/// Most bytes of bundles in a block. Sent to a peer that asks for it in one answer of
/// [`ANSWER_BYTES_MAX`]; at 1 Gbit/s one copy takes 34 ms.
pub const PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest answer to a request between nodes, in bytes: a full block with its certificate.
pub const ANSWER_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 512 * 1024;

const _: () = assert!(BUNDLE_BYTES_MAX < PAYLOAD_BYTES_MAX);

/// What validators vote on. The block's id is the hash of these bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Header {
    /// Genesis hash of the chain.
    pub chain: Hash,
    /// Rules by which the block is judged and executed, [`PROTOCOL_VERSION`].
    pub version: u32,
    /// Validator-set period.
    pub epoch: EpochNumber,
    /// Turn in which the block was first proposed.
    pub view: View,
    /// The parent's height plus one.
    pub height: Height,
    /// Turn of the parent; 0 for the epoch's anchor.
    pub parent_view: View,
    /// Id of the parent; for the first block the genesis hash.
    pub parent: Hash,
    /// Later than the parent's, and at most the clock bound ahead of each voter's clock.
    pub time: Timestamp,
    /// Index of the leader in the epoch's validator set.
    pub proposer: u8,
    /// Commits to the bundles in order; see [`Payload::root`].
    pub payload_root: Hash,
}

impl Header {
    /// The block's id: `hash(block, canonical bytes)`.
    #[must_use]
    pub fn id(&self) -> Hash {
        hash_of(Domain::Block, self)
    }
}

/// The bundles of a block by id, in the order in which they are executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Payload {
    /// Ids without repetition.
    pub bundles: List<Hash, 0, BUNDLES_MAX>,
}

impl Payload {
    /// `hash(payload, canonical bytes)`: count, then the ids.
    #[must_use]
    pub fn root(&self) -> Hash {
        hash_of(Domain::Payload, self)
    }

    /// Whether the block orders nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bundles.is_empty()
    }
}

/// The four roots that describe a ledger after a block.
///
/// Validators sign its [digest](Outcome::digest) when they finalize, so one certificate proves the
/// block and what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Outcome {
    /// Root of the state tree after the block.
    pub state_root: Hash,
    /// Root of the list of the block's receipts.
    pub receipts_root: Hash,
    /// Root of the list of all earlier blocks and their outcomes.
    pub history_root: Hash,
    /// Hash of the validator set of the next epoch, as known after this block.
    pub next_validators: Hash,
}

impl Outcome {
    /// The result that validators finalize: `hash(outcome, the four roots)`.
    #[must_use]
    pub fn digest(&self) -> Hash {
        hash_of(Domain::Outcome, self)
    }
}

/// Leaf of the history list for one block: `hash(history, height ‖ block id ‖ outcome digest)`.
#[must_use]
pub fn history_leaf(height: Height, block: Hash, outcome: Hash) -> Hash {
    hash(Domain::History, &[&height.get().to_be_bytes(), block.as_bytes(), outcome.as_bytes()])
}
