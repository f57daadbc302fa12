//! What replicas say to each other, before and after its signatures are proven.
use borsh::{BorshDeserialize, BorshSerialize};
use quorate_consensus::message::PROOF_MAX;
use quorate_consensus::{MESSAGE_BYTES_MAX, Message, Proposal};
use quorate_primitives::block::{BUNDLES_MAX, Header, Payload};
use quorate_primitives::bundle::{BUNDLE_BYTES_MAX, Bundle};
use quorate_primitives::certificate::{Certificate, Vote};
use quorate_primitives::codec::List;
use quorate_primitives::keys::KnownKeys;
use quorate_primitives::light::FINALITY_BYTES_MAX;
use quorate_primitives::signed::{Verified, verify_bundle};
use quorate_primitives::{EpochNumber, Hash, Height, PublicKey, View};
use rand_core::CryptoRng;

use crate::event::Event;

/// Longest message in bytes: a proposal with a full proof, a full payload and the longest bundle.
pub const PEER_MESSAGE_BYTES_MAX: usize = BUNDLE_BYTES_MAX + 256 * 1024;
/// Longest question in bytes.
pub const QUESTION_BYTES_MAX: usize = 16 * 1024;
/// Most blocks in one answer.
pub const SYNC_BLOCKS_MAX: usize = 512;

/// Bytes of the ids of a full block.
const IDS_BYTES: usize = 32 * BUNDLES_MAX;
/// Bytes of headers, votes and counts beside what is long in a message, rounded up.
const FRAME_BYTES: usize = 1_024;

const _: () = {
    let proof = PROOF_MAX * FINALITY_BYTES_MAX;
    assert!(proof + IDS_BYTES + BUNDLE_BYTES_MAX + FRAME_BYTES <= PEER_MESSAGE_BYTES_MAX);
    assert!(MESSAGE_BYTES_MAX + FRAME_BYTES <= PEER_MESSAGE_BYTES_MAX);
    assert!(IDS_BYTES + FRAME_BYTES <= QUESTION_BYTES_MAX);
};

/// A message that expects no answer. Messages of one peer are kept in order.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum PeerMessage {
    /// A message of the protocol.
    Consensus {
        /// The epoch that it is about.
        epoch: EpochNumber,
        /// The message.
        message: Message,
    },
    /// A block to vote on.
    Proposal {
        /// The leader's proposal.
        proposal: Proposal,
        /// What the header commits to.
        payload: Payload,
        /// The leader's freshest transactions, which nobody else has.
        inline: Option<Bundle>,
    },
    /// Transactions that a peer collected.
    Bundle(Bundle),
}

impl PeerMessage {
    /// Proves the signatures of the transactions that travel in the message.
    ///
    /// `None` when one is invalid: an honest peer never sends such a message.
    pub fn into_event(self, from: PublicKey, rng: &mut impl CryptoRng) -> Option<Event> {
        match self {
            Self::Consensus { epoch, message } => {
                Some(Event::Message { from, epoch, message: Box::new(message) })
            }
            Self::Proposal { proposal, payload, inline } => {
                let inline = inline
                    .map(|bundle| verify_bundle(bundle, &mut KnownKeys::default(), rng))
                    .transpose()
                    .ok()?;
                Some(Event::Proposal { from, proposal: Box::new(proposal), payload, inline })
            }
            Self::Bundle(bundle) => {
                let bundle = verify_bundle(bundle, &mut KnownKeys::default(), rng).ok()?;
                Some(Event::Bundle { from: Some(from), bundle })
            }
        }
    }
}

/// What a replica asks of one peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Question {
    /// These bundles, as many as are held and fit.
    Bundles(List<Hash, 1, BUNDLES_MAX>),
    /// The block with this id and all its bundles.
    Block(Hash),
    /// Committed blocks in order.
    Blocks {
        /// Height of the first.
        from: Height,
    },
    /// Where the peer stands, and what it knows of the asker's votes.
    Standing,
}

/// A committed block as a peer that is behind receives it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SyncBlock {
    /// The block.
    pub header: Header,
    /// Its bundles in the order of its payload.
    pub bundles: List<Bundle, 0, BUNDLES_MAX>,
    /// Its own finalize certificate, if there is one.
    pub certificate: Option<Certificate>,
}

/// What a peer answers. At most [`quorate_primitives::block::ANSWER_BYTES_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Answer {
    /// The peer does not have it.
    Unknown,
    /// To [`Question::Bundles`]: those that were held and fit, in the order asked.
    Bundles(List<Bundle, 0, BUNDLES_MAX>),
    /// To [`Question::Block`].
    Block {
        /// The block.
        header: Header,
        /// Its bundles in the order of its payload.
        bundles: List<Bundle, 0, BUNDLES_MAX>,
    },
    /// To [`Question::Blocks`]: consecutive blocks from the height asked, all of one epoch; empty if
    /// there are none.
    Blocks(List<SyncBlock, 0, SYNC_BLOCKS_MAX>),
    /// To [`Question::Standing`].
    Standing {
        /// The peer's epoch.
        epoch: EpochNumber,
        /// Its turn in that epoch.
        view: View,
        /// Proves the turn: a certificate of the one before; none for the first.
        entry: Option<Certificate>,
        /// Its vote log was lost, so it may have been further.
        quarantined: bool,
        /// The latest vote of the asker that it holds, in that epoch. Its signature may be wrong.
        vote: Option<Vote>,
    },
}

/// A [`SyncBlock`] whose transactions are proven to be signed. Nothing else about it is proven.
#[derive(Clone, Debug)]
pub struct VerifiedSyncBlock {
    /// The block.
    pub header: Header,
    /// Its bundles as given.
    pub bundles: Vec<Verified<Bundle>>,
    /// Its finalize certificate as given; the replica asks for the check of its signatures.
    pub certificate: Option<Certificate>,
}

/// An [`Answer`] whose transactions are proven to be signed. Nothing else about it is proven.
#[derive(Clone, Debug)]
pub enum VerifiedAnswer {
    /// See [`Answer::Unknown`].
    Unknown,
    /// See [`Answer::Bundles`].
    Bundles(Vec<Verified<Bundle>>),
    /// See [`Answer::Block`].
    Block {
        /// The block.
        header: Header,
        /// Its bundles as given.
        bundles: Vec<Verified<Bundle>>,
    },
    /// See [`Answer::Blocks`].
    Blocks(Vec<VerifiedSyncBlock>),
    /// See [`Answer::Standing`].
    Standing {
        /// The peer's epoch.
        epoch: EpochNumber,
        /// Its turn.
        view: View,
        /// Proves the turn, itself unproven.
        entry: Option<Certificate>,
        /// Its vote log was lost.
        quarantined: bool,
        /// The latest vote of the asker, unproven.
        vote: Option<Vote>,
    },
}

impl Answer {
    /// Proves the signatures of the transactions in the answer.
    ///
    /// `None` when one is invalid: an honest peer never gives such an answer.
    pub fn verify(self, rng: &mut impl CryptoRng) -> Option<VerifiedAnswer> {
        match self {
            Self::Unknown => Some(VerifiedAnswer::Unknown),
            Self::Bundles(bundles) => verify_all(bundles, rng).map(VerifiedAnswer::Bundles),
            Self::Block { header, bundles } => {
                let bundles = verify_all(bundles, rng)?;
                Some(VerifiedAnswer::Block { header, bundles })
            }
            Self::Standing { epoch, view, entry, quarantined, vote } => {
                Some(VerifiedAnswer::Standing { epoch, view, entry, quarantined, vote })
            }
            Self::Blocks(blocks) => {
                let mut verified = Vec::with_capacity(blocks.len());
                for SyncBlock { header, bundles, certificate } in blocks.into_inner() {
                    let bundles = verify_all(bundles, rng)?;
                    verified.push(VerifiedSyncBlock { header, bundles, certificate });
                }
                Some(VerifiedAnswer::Blocks(verified))
            }
        }
    }
}

pub(crate) fn verify_all(
    bundles: List<Bundle, 0, BUNDLES_MAX>,
    rng: &mut impl CryptoRng,
) -> Option<Vec<Verified<Bundle>>> {
    bundles
        .into_inner()
        .into_iter()
        .map(|bundle| verify_bundle(bundle, &mut KnownKeys::default(), rng).ok())
        .collect()
}
