//! The hash function, and the only list of domain tags.
//!
//! Every hash and every signed message starts with the tag of its [`Domain`], so that bytes made for
//! one purpose can never be taken for another.
pub mod many;

use borsh::{BorshDeserialize, BorshSerialize};
use sha3::{Digest, Sha3_256};
use std::fmt;
use std::str::FromStr;

/// A SHA3-256 digest. Shape: 32 bytes; shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Thirty-two zero bytes: "nothing here" (the root of an empty tree, the absent document).
    pub const ZERO: Hash = Hash([0; 32]);

    /// Wraps bytes that were computed elsewhere.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a hexadecimal value of the wanted length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hexadecimal digits, found {found:?}")]
pub struct HexError {
    /// Digits wanted.
    pub expected: usize,
    /// What was given, cut to 80 characters.
    pub found: String,
}

/// Decodes exactly `N` bytes of hexadecimal, upper or lower case, with or without `0x`.
///
/// # Errors
/// [`HexError`] when the length or a digit is wrong.
pub fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let wrong = || HexError { expected: N.saturating_mul(2), found: text.chars().take(80).collect() };
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let mut bytes = [0_u8; N];
    if digits.len() != N.saturating_mul(2) {
        return Err(wrong());
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(bytes)
}

impl FromStr for Hash {
    type Err = HexError;
    fn from_str(text: &str) -> Result<Self, HexError> {
        parse_hex(text).map(Self)
    }
}

/// What a hash or a signature is for.
///
/// Text tags end with a zero byte and contain none, so no tag is the beginning of another. The tree
/// tags are single bytes below any letter, so that a node of a tree fits one Keccak block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Leaf of the state tree: path (64) ‖ value hash (32).
    TreeLeaf,
    /// Inner node of the state tree: depth (2, big endian) ‖ left (32) ‖ right (32).
    TreeInner,
    /// Leaf of a list: the item's bytes.
    ListLeaf,
    /// Inner node of a list: left (32) ‖ right (32).
    ListInner,
    /// Root of a list: count (8, big endian) ‖ top node (32).
    ListRoot,
    /// Value in the state tree: the value's canonical bytes.
    StateValue,
    /// First half of a path in the state tree: the owner of the key's group.
    StateOwner,
    /// Second half of a path in the state tree, where it is hashed: the key.
    StateItem,
    /// Account id: initial authority ‖ salt.
    Account,
    /// Asset id: symbol.
    Asset,
    /// Transaction id: canonical bytes of the unsigned transaction.
    Transaction,
    /// Message that a transaction's signers sign.
    SignTransaction,
    /// Bundle id: canonical bytes of the bundle, in parts.
    Bundle,
    /// Payload root: bundle ids in order.
    Payload,
    /// Block id: canonical bytes of the header.
    Block,
    /// Outcome of a block: the four roots.
    Outcome,
    /// Leaf of the history list: height, block id and outcome.
    History,
    /// Epoch context.
    Epoch,
    /// Validator-set hash.
    Validators,
    /// Chain parameters.
    Parameters,
    /// Genesis document, which names the chain.
    Genesis,
    /// Message that a validator signs.
    SignVote,
    /// Proof that who names a validator key holds it.
    SignPossession,
    /// Leader schedule of an epoch.
    Leaders,
    /// Record chain of a validator's vote log.
    VoteLog,
    /// Checksum of the record of how far a node's database must reach.
    HighWater,
    /// Secret of a worthless key of a test network: seed and name, so that it is the same every time.
    TestKey,
}

impl Domain {
    /// The bytes that come first in whatever is hashed or signed.
    #[must_use]
    pub const fn tag(self) -> &'static [u8] {
        match self {
            Self::TreeLeaf => &[0],
            Self::TreeInner => &[1],
            Self::ListLeaf => &[2],
            Self::ListInner => &[3],
            Self::ListRoot => &[4],
            Self::StateValue => &[5],
            Self::StateOwner => &[6],
            Self::StateItem => &[7],
            Self::Account => b"quorate/account/1\0",
            Self::Asset => b"quorate/asset/1\0",
            Self::Transaction => b"quorate/transaction/1\0",
            Self::SignTransaction => b"quorate/sign-transaction/1\0",
            Self::Bundle => b"quorate/bundle/1\0",
            Self::Payload => b"quorate/payload/1\0",
            Self::Block => b"quorate/block/1\0",
            Self::Outcome => b"quorate/outcome/1\0",
            Self::History => b"quorate/history/1\0",
            Self::Epoch => b"quorate/epoch/1\0",
            Self::Validators => b"quorate/validators/1\0",
            Self::Parameters => b"quorate/parameters/1\0",
            Self::Genesis => b"quorate/genesis/1\0",
            Self::SignVote => b"quorate/vote/1\0",
            Self::SignPossession => b"quorate/possession/1\0",
            Self::Leaders => b"quorate/leaders/1\0",
            Self::VoteLog => b"quorate/vote-log/1\0",
            Self::HighWater => b"quorate/high-water/1\0",
            Self::TestKey => b"quorate/test-key/1\0",
        }
    }
}

/// SHA3-256 of the domain's tag followed by the parts.
///
/// The parts are joined without separators: each but the last must have a fixed length, or the whole
/// must be one canonical encoding. Source: FIPS 202.
#[must_use]
pub fn hash(domain: Domain, parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha3_256::new();
    hasher.update(domain.tag());
    for part in parts {
        hasher.update(part);
    }
    Hash(hasher.finalize().into())
}

/// Hash of the canonical encoding of one value.
#[must_use]
pub fn hash_of<T: BorshSerialize + ?Sized>(domain: Domain, value: &T) -> Hash {
    hash(domain, &[&crate::codec::encode(value)])
}
