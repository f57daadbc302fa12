//! What the vote log keeps.
use borsh::{BorshDeserialize, BorshSerialize};
use quorate_consensus::Record;
use quorate_primitives::EpochNumber;
use quorate_primitives::block::{BUNDLES_MAX, Header, PAYLOAD_BYTES_MAX};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::codec::{self, List};

/// Longest record in bytes: a full body with its header.
pub const RECORD_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 64 * 1024;

/// One record of the vote log.
///
/// A body is recorded in the step that first votes for its block, so the log alone can bring back
/// every block that this validator vouched for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum LogRecord {
    /// A vote that was permitted, or a certificate that permits votes.
    Consensus {
        /// The epoch that it is about.
        epoch: EpochNumber,
        /// The record.
        record: Record,
    },
    /// A block that a vote names.
    Body {
        /// The block.
        header: Header,
        /// Its bundles in the order of its payload.
        bundles: List<Bundle, 0, BUNDLES_MAX>,
    },
    /// This validator has come to an epoch. It never votes in an earlier one again, since what it said there
    /// need no longer be in the log.
    Epoch(EpochNumber),
    /// First record of a log that takes the place of one that was lost: nothing is known of what this
    /// validator said before. Undone by the [`Record::Silence`] that follows from the others' answers.
    Quarantine,
}

/// Room for all of a record but its bundles, in bytes.
const ROOM_BESIDE: usize = 1024;

impl LogRecord {
    /// The canonical bytes. Those of a long body are not moved while they are made.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let bundles = match self {
            Self::Body { bundles, .. } => bundles.iter().map(Bundle::size).fold(0, usize::saturating_add),
            Self::Consensus { .. } | Self::Epoch(_) | Self::Quarantine => 0,
        };
        let mut bytes = Vec::with_capacity(bundles.saturating_add(ROOM_BESIDE));
        codec::encode_into(self, &mut bytes);
        bytes
    }
}
