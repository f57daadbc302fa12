//! Bundles: the unit in which transactions travel, are verified and are ordered.
use borsh::{BorshDeserialize, BorshSerialize};
use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::codec::{self, List};
use crate::hash::{Domain, Hash, hash};
use crate::transaction::{SignedTransaction, TRANSACTION_BYTES_MAX};

/// Longest bundle in bytes. A bundle is closed when it reaches [`BUNDLE_BYTES_TARGET`], so the largest
/// transaction still fits behind it.
pub const BUNDLE_BYTES_MAX: usize = 256 * 1024;
/// Size at which a bundle leaves without waiting, in bytes.
pub const BUNDLE_BYTES_TARGET: usize = 128 * 1024;
/// Most transactions in a bundle: no transaction is shorter than 200 bytes.
pub const BUNDLE_TRANSACTIONS_MAX: usize = 1_024;

const _: () = assert!(BUNDLE_BYTES_TARGET + TRANSACTION_BYTES_MAX < BUNDLE_BYTES_MAX);

/// Transactions that one validator collected, named by their hash.
///
/// Author and sequence are labels for fairness between validators; nothing is believed because of
/// them. Shape: author (1) ‖ sequence (8) ‖ transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    author: u8,
    sequence: u64,
    transactions: Vec<Arc<SignedTransaction>>,
    id: Hash,
    size: usize,
}

/// Why transactions do not make a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// None, or too many.
    #[error("{found} transactions, but 1 to {BUNDLE_TRANSACTIONS_MAX} are allowed")]
    Count {
        /// Transactions given.
        found: usize,
    },
    /// Too many bytes.
    #[error("{found} bytes, but at most {BUNDLE_BYTES_MAX} are allowed")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
}

impl Bundle {
    /// Puts transactions together.
    ///
    /// # Errors
    /// [`BundleError`] when there are none or too many.
    pub fn from_shared(
        author: u8,
        sequence: u64,
        transactions: Vec<Arc<SignedTransaction>>,
    ) -> Result<Self, BundleError> {
        if transactions.is_empty() || transactions.len() > BUNDLE_TRANSACTIONS_MAX {
            return Err(BundleError::Count { found: transactions.len() });
        }
        let mut bundle = Self { author, sequence, transactions, id: Hash::ZERO, size: 0 };
        let bytes = codec::encode(&bundle);
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLong { found: bytes.len() });
        }
        bundle.size = bytes.len();
        bundle.id = hash(Domain::Bundle, &[&bytes]);
        Ok(bundle)
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

    /// `hash(bundle, canonical bytes)`, computed once.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.id
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
        self.transactions.iter().try_for_each(|signed| signed.as_ref().serialize(writer))
    }
}

impl BorshDeserialize for Bundle {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let author = u8::deserialize_reader(reader)?;
        let sequence = u64::deserialize_reader(reader)?;
        let transactions = List::<SignedTransaction, 1, BUNDLE_TRANSACTIONS_MAX>::deserialize_reader(reader)?;
        let shared = transactions.into_inner().into_iter().map(Arc::new).collect();
        Self::from_shared(author, sequence, shared).map_err(codec::invalid)
    }
}
