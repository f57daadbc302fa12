//! Bundles: the unit in which transactions travel, are verified and are ordered.
use borsh::{BorshDeserialize, BorshSerialize};
use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::codec::{self, List, Recorder};
use crate::evidence::{Accusation, AccusationError};
use crate::hash::many::hash_in_parts;
use crate::hash::{Domain, Hash};
use crate::transaction::{SignedTransaction, TRANSACTION_BYTES_MAX, Unnamed};

/// Longest bundle in bytes. A bundle is closed when it reaches [`BUNDLE_BYTES_TARGET`], so the largest
/// transaction and all accusations still fit behind it.
pub const BUNDLE_BYTES_MAX: usize = 256 * 1024;
/// Size at which a bundle leaves without waiting, in bytes.
pub const BUNDLE_BYTES_TARGET: usize = 128 * 1024;
/// Most transactions in a bundle: nearly as many as have room, since none is shorter than
/// [`TRANSACTION_BYTES_MIN`](crate::transaction::TRANSACTION_BYTES_MIN).
pub const BUNDLE_TRANSACTIONS_MAX: usize = 1_024;

/// Most accusations in a bundle. Evidence is rare and never urgent, so a few at a time are enough, and
/// they delay no transaction.
pub const ACCUSATIONS_MAX: usize = 4;
/// Longest accusation in bytes: identity (172), key (32) and two Finalize votes (138 each).
pub const ACCUSATION_BYTES_MAX: usize = 480;

/// Bytes of the author, the sequence and the count of transactions.
const HEAD_BYTES: usize = 1 + 8 + 4;

const _: () = assert!(
    BUNDLE_BYTES_TARGET + TRANSACTION_BYTES_MAX + ACCUSATIONS_MAX * ACCUSATION_BYTES_MAX < BUNDLE_BYTES_MAX
);

/// Transactions that one validator collected, and accusations that it makes, named by their hash.
///
/// Author and sequence are labels for fairness between validators; nothing is believed because of
/// them. At least one transaction or one accusation is in it.
/// Shape: author (1) ‖ sequence (8) ‖ transactions ‖ accusations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    author: u8,
    sequence: u64,
    transactions: Vec<Arc<SignedTransaction>>,
    accusations: List<Accusation, 0, ACCUSATIONS_MAX>,
    id: Hash,
    size: usize,
}

/// Why transactions and accusations do not make a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Neither a transaction nor an accusation.
    #[error("neither a transaction nor an accusation")]
    Empty,
    /// Too many transactions.
    #[error("{found} transactions, but at most {BUNDLE_TRANSACTIONS_MAX} are allowed")]
    Transactions {
        /// Transactions given.
        found: usize,
    },
    /// Too many accusations.
    #[error("{found} accusations, but at most {ACCUSATIONS_MAX} are allowed")]
    Accusations {
        /// Accusations given.
        found: usize,
    },
    /// An accusation of nobody.
    #[error("accusation {position}: {source}")]
    Accusation {
        /// Which, counted from 0.
        position: usize,
        /// What is wrong with it.
        source: AccusationError,
    },
    /// Too many bytes.
    #[error("{found} bytes, but at most {BUNDLE_BYTES_MAX} are allowed")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
}

impl Bundle {
    /// Puts transactions and accusations together.
    ///
    /// # Errors
    /// [`BundleError`] when there is nothing or too much, or an accusation accuses nobody.
    pub fn from_shared(
        author: u8,
        sequence: u64,
        transactions: Vec<Arc<SignedTransaction>>,
        accusations: Vec<Accusation>,
    ) -> Result<Self, BundleError> {
        if transactions.is_empty() && accusations.is_empty() {
            return Err(BundleError::Empty);
        }
        if transactions.len() > BUNDLE_TRANSACTIONS_MAX {
            return Err(BundleError::Transactions { found: transactions.len() });
        }
        let found = accusations.len();
        let accusations = List::new(accusations).map_err(|_| BundleError::Accusations { found })?;
        for (position, accusation) in accusations.iter().enumerate() {
            accusation.check().map_err(|source| BundleError::Accusation { position, source })?;
        }
        let of_transactions: usize = transactions.iter().map(|signed| signed.size()).sum();
        let of_accusations = codec::encode(&accusations).len();
        let size = HEAD_BYTES.saturating_add(of_transactions).saturating_add(of_accusations);
        if size > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLong { found: size });
        }
        let nameless = Self { author, sequence, transactions, accusations, id: Hash::ZERO, size };
        let id = hash_in_parts(Domain::Bundle, &[], &nameless.encoding());
        Ok(Self { id, ..nameless })
    }

    /// Index of the validator that collected it; not authenticated.
    #[must_use]
    pub fn author(&self) -> u8 {
        self.author
    }

    /// The author's counter; not authenticated.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The transactions, in order.
    #[must_use]
    pub fn transactions(&self) -> &[Arc<SignedTransaction>] {
        &self.transactions
    }

    /// The accusations, in order. Each names a rule that its votes break.
    #[must_use]
    pub fn accusations(&self) -> &[Accusation] {
        &self.accusations
    }

    /// Hash of the canonical bytes, in parts of 1,024: [`hash_in_parts`].
    #[must_use]
    pub fn id(&self) -> Hash {
        self.id
    }

    /// The canonical bytes.
    fn encoding(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size);
        codec::encode_into(self, &mut bytes);
        bytes
    }

    /// The transactions, to put equal ones into their places: ids and sizes must stay.
    pub(crate) fn transactions_mut(&mut self) -> &mut [Arc<SignedTransaction>] {
        &mut self.transactions
    }

    /// Length of the canonical encoding in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }
}

impl BorshSerialize for Bundle {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        self.author.serialize(writer)?;
        self.sequence.serialize(writer)?;
        let count = u32::try_from(self.transactions.len()).map_err(codec::invalid)?;
        count.serialize(writer)?;
        self.transactions.iter().try_for_each(|signed| signed.as_ref().serialize(writer))?;
        self.accusations.serialize(writer)
    }
}

impl BorshDeserialize for Bundle {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let author = u8::deserialize_reader(reader)?;
        let sequence = u64::deserialize_reader(reader)?;
        let mut recorder = Recorder::new(reader);
        let transactions =
            List::<Unnamed, 0, BUNDLE_TRANSACTIONS_MAX>::read_with(&mut recorder, Unnamed::read)?;
        let accusations = List::<Accusation, 0, ACCUSATIONS_MAX>::deserialize_reader(reader)?;
        let shared = Unnamed::name_all(transactions.into_inner()).into_iter().map(Arc::new).collect();
        Self::from_shared(author, sequence, shared, accusations.into_inner()).map_err(codec::invalid)
    }
}
