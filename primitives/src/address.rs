//! Account ids, and the addresses that people copy.
use bech32::{Bech32m, Hrp};
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use std::str::FromStr;

use crate::hash::{Domain, Hash, HexError, hash_of, parse_hex};
use crate::state::Authority;

/// Names an account for ever, whatever happens to its keys. Shape: 32 bytes.
///
/// `hash(account, initial authority ‖ salt)`, so it can be computed before the account is registered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct AccountId([u8; 32]);

impl AccountId {
    /// The id of the account that starts with this authority.
    #[must_use]
    pub fn derive(authority: &Authority, salt: &[u8; 16]) -> Self {
        Self(*hash_of(Domain::Account, &(authority, salt)).as_bytes())
    }

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

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hash::from_bytes(self.0).fmt(f)
    }
}

impl FromStr for AccountId {
    type Err = HexError;
    fn from_str(text: &str) -> Result<Self, HexError> {
        parse_hex(text).map(Self)
    }
}

/// The 8 bytes in an address that tell the owner of an account whom a payment is for. Shown as a
/// hexadecimal number. The ledger gives it no meaning.
pub type DepositTag = [u8; 8];

/// The human-readable beginning of a network's addresses, such as `qdev`.
///
/// Range: 1 to 16 lower-case letters and digits, starting with a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(Hrp);

impl Prefix {
    /// Checks the text.
    ///
    /// # Errors
    /// [`AddressError::Prefix`] naming what was given.
    pub fn new(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError::Prefix { found: text.chars().take(80).collect() };
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if !starts || text.len() > 16 || !text.bytes().all(allowed) {
            return Err(wrong());
        }
        Hrp::parse(text).map(Self).map_err(|_| wrong())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// What a text address stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The account.
    pub account: AccountId,
    /// Whom within it, if the address says so.
    pub tag: Option<DepositTag>,
}

/// Why a text is not an address of this network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a prefix.
    #[error("expected 1 to 16 lower-case letters and digits starting with a letter, found {found:?}")]
    Prefix {
        /// What was given, cut to 80 characters.
        found: String,
    },
    /// The checksum fails or a character is wrong: mistyped.
    #[error("not a bech32m address (mistyped or cut): {found:?}")]
    Mistyped {
        /// What was given, cut to 120 characters.
        found: String,
    },
    /// An address of another network.
    #[error("an address of another network: expected prefix {expected:?}, found {found:?}")]
    OtherNetwork {
        /// This network's prefix.
        expected: String,
        /// The prefix given.
        found: String,
    },
    /// Neither 32 bytes nor 40.
    #[error("an address carries 32 or 40 bytes, found {found}")]
    Length {
        /// Bytes carried.
        found: usize,
    },
}

impl Address {
    /// Writes the address in lower-case bech32m (BIP 350).
    #[must_use]
    pub fn to_text(&self, prefix: &Prefix) -> String {
        let mut payload = self.account.0.to_vec();
        payload.extend(self.tag.iter().flatten());
        // At most 16 + 1 + 64 + 6 characters: below the limit of 1,023 for this code.
        bech32::encode::<Bech32m>(prefix.0, &payload).unwrap_or_default()
    }

    /// Reads an address of the network with this prefix.
    ///
    /// # Errors
    /// [`AddressError`] naming what is wrong with the text.
    pub fn parse(text: &str, prefix: &Prefix) -> Result<Self, AddressError> {
        let mistyped = || AddressError::Mistyped { found: text.chars().take(120).collect() };
        let checked =
            bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text).map_err(|_| mistyped())?;
        let found = checked.hrp().to_lowercase();
        if found != prefix.as_str() {
            return Err(AddressError::OtherNetwork { expected: prefix.as_str().to_owned(), found });
        }
        let payload: Vec<u8> = checked.byte_iter().collect();
        let wrong_length = AddressError::Length { found: payload.len() };
        let (account, rest) = payload.split_first_chunk::<32>().ok_or(wrong_length.clone())?;
        let tag = match rest {
            [] => None,
            _ => Some(DepositTag::try_from(rest).map_err(|_| wrong_length)?),
        };
        let address = Self { account: AccountId(*account), tag };
        // 32 bytes leave four bits of the last letter over; were they free, an account had 16 addresses.
        if address.to_text(prefix) == text.to_ascii_lowercase() { Ok(address) } else { Err(mistyped()) }
    }
}
