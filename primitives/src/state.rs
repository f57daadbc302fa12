//! What the ledger keeps: keys, values, and where a key lies in the state tree.
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use crate::address::AccountId;
use crate::codec::{self, Text};
use crate::hash::{Domain, Hash, HexError, hash_of, parse_hex};
use crate::numbers::{Amount, EpochNumber, Height, Timestamp};

mod authority;
mod key;

pub use authority::{Authority, AuthorityError, WeightedKey};
pub use key::{Path, StateGroup, StateKey, value_hash};

/// Names an organisation. Range: 1 to 32 lower-case letters, digits and hyphens, starting with a letter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct OrganisationId(Text<32>);

/// Names an asset for people. Range: 1 to 12 upper-case letters and digits, starting with a letter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct Symbol(Text<12>);

/// A name that does not follow its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {rule}, found {found:?}")]
pub struct NameError {
    /// The rule in words.
    pub rule: &'static str,
    /// What was given, cut to 80 characters.
    pub found: String,
}

macro_rules! name {
    ($name:ident, $rule:literal, $first:expr, $rest:expr) => {
        impl $name {
            /// Checks the text.
            ///
            /// # Errors
            /// [`NameError`] with the rule and what was given.
            pub fn new(text: &str) -> Result<Self, NameError> {
                let wrong = || NameError { rule: $rule, found: text.chars().take(80).collect() };
                let first: fn(u8) -> bool = $first;
                let rest: fn(u8) -> bool = $rest;
                if !text.bytes().next().is_some_and(first) || !text.bytes().all(rest) {
                    return Err(wrong());
                }
                Text::new(text).map(Self).map_err(|_| wrong())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl BorshDeserialize for $name {
            fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
                let text = Text::<64>::deserialize_reader(reader)?;
                Self::new(text.as_str()).map_err(codec::invalid)
            }
        }
    };
}

name!(
    OrganisationId,
    "1 to 32 lower-case letters, digits and hyphens, starting with a letter",
    |byte| byte.is_ascii_lowercase(),
    |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
);
name!(
    Symbol,
    "1 to 12 upper-case letters and digits, starting with a letter",
    |byte| byte.is_ascii_uppercase(),
    |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()
);

/// Names an asset. Shape: 32 bytes, `hash(asset, symbol)`: a client computes it from the symbol and
/// needs to believe nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct AssetId([u8; 32]);

impl AssetId {
    /// The id of the asset with this symbol.
    #[must_use]
    pub fn derive(symbol: &Symbol) -> Self {
        Self(*hash_of(Domain::Asset, symbol).as_bytes())
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

impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hash::from_bytes(self.0).fmt(f)
    }
}

impl fmt::Debug for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AssetId {
    type Err = HexError;
    fn from_str(text: &str) -> Result<Self, HexError> {
        parse_hex(text).map(Self)
    }
}

/// A legal person of the consortium.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Organisation {
    /// For people.
    pub name: Text<64>,
    /// Acts for it.
    pub admin: AccountId,
}

/// Whether an object may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Status {
    /// In use.
    Active,
    /// Closed for ever; kept for auditors.
    Closed,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Account {
    /// Owner.
    pub organisation: OrganisationId,
    /// Who may act for it now.
    pub authority: Authority,
    /// For people.
    pub label: Text<64>,
    /// Whether it may be used.
    pub status: Status,
}

/// What the issuer of an asset may do. Shape: a 16-bit mask, little endian; unknown bits are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize)]
pub struct Capabilities(u16);

impl Capabilities {
    /// No capability.
    pub const NONE: Capabilities = Capabilities(0);
    /// Units may be created after the asset was.
    pub const MINTABLE: Capabilities = Capabilities(1);
    /// Balances may be frozen.
    pub const FREEZABLE: Capabilities = Capabilities(2);
    /// Frozen units may be taken back.
    pub const CLAWBACK: Capabilities = Capabilities(4);
    /// All movement may be paused.
    pub const PAUSABLE: Capabilities = Capabilities(8);
    /// Units may be held for a later capture.
    pub const HOLDS: Capabilities = Capabilities(16);
    /// Every transfer must carry a memo.
    pub const MEMO_REQUIRED: Capabilities = Capabilities(32);
    /// Every transfer needs the asset's cosigner.
    pub const COSIGNER_REQUIRED: Capabilities = Capabilities(64);
    /// Names and values in order of the bits.
    pub const NAMED: [(&'static str, Capabilities); 7] = [
        ("mintable", Self::MINTABLE),
        ("freezable", Self::FREEZABLE),
        ("clawback", Self::CLAWBACK),
        ("pausable", Self::PAUSABLE),
        ("holds", Self::HOLDS),
        ("memo_required", Self::MEMO_REQUIRED),
        ("cosigner_required", Self::COSIGNER_REQUIRED),
    ];

    /// These and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of those are among these.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The capability with this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Names of the capabilities in it, in order of the bits.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMED.iter().filter(move |(_, value)| self.contains(*value)).map(|(name, _)| *name)
    }
}

impl BorshDeserialize for Capabilities {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let bits = u16::deserialize_reader(reader)?;
        if bits > 127 {
            return Err(codec::invalid(format_args!("unknown capability in mask {bits:#06x}")));
        }
        Ok(Self(bits))
    }
}

/// An asset.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Asset {
    /// For people; the id follows from it.
    pub symbol: Symbol,
    /// For people.
    pub name: Text<64>,
    /// Where to read more.
    pub url: Text<256>,
    /// Hash of the governing document.
    pub document: Option<Hash>,
    /// Digits after the point. Range: 0 to 18.
    pub decimals: u8,
    /// Most units that may exist.
    pub cap: Amount,
    /// Units that exist: the sum of all posted balances.
    pub supply: Amount,
    /// What the issuer may do.
    pub capabilities: Capabilities,
    /// Who created it.
    pub issuer: AccountId,
    /// Whether it may be used.
    pub status: Status,
}

/// Most digits after the point that an asset may have.
pub const DECIMALS_MAX: u8 = 18;

/// Units of one asset in one account. An absent balance is all zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Balance {
    /// Owned.
    pub posted: Amount,
    /// Of these, promised by open holds.
    pub held: Amount,
    /// Of these, frozen.
    pub frozen: Amount,
}

impl Balance {
    /// `posted − held − frozen`, never negative.
    #[must_use]
    pub fn available(&self) -> Amount {
        let free = self.posted.checked_sub(self.held).and_then(|rest| rest.checked_sub(self.frozen));
        free.unwrap_or(Amount::ZERO)
    }
}

macro_rules! permissions {
    ($($variant:ident = $name:literal, $doc:literal;)*) => {
        /// A right that can be granted. The order of the variants is part of the format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
        pub enum Permission { $(#[doc = $doc] $variant,)* }

        impl Permission {
            /// All permissions in order.
            pub const ALL: &'static [Permission] = &[$(Permission::$variant,)*];

            /// The name that users type.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Permission::$variant => $name,)* }
            }

            /// The permission with this name.
            #[must_use]
            pub fn by_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Permission::$variant),)* _ => None }
            }
        }
    };
}

permissions! {
    OrgAdmin = "org.admin", "Manages an organisation.";
    AccountCreate = "account.create", "Opens accounts.";
    AccountFreeze = "account.freeze", "Freezes accounts.";
    AccountRecover = "account.recover", "Recovers accounts.";
    AccountLimit = "account.limit", "Sets limits of accounts.";
    AssetCreate = "asset.create", "Creates assets.";
    AssetAdmin = "asset.admin", "Changes an asset's description.";
    AssetMint = "asset.mint", "Creates units.";
    AssetBurnAny = "asset.burn_any", "Destroys units of others.";
    AssetFreeze = "asset.freeze", "Freezes balances.";
    AssetUnfreeze = "asset.unfreeze", "Unfreezes balances.";
    AssetClawback = "asset.clawback", "Takes frozen units back.";
    AssetPause = "asset.pause", "Pauses an asset.";
    AssetUnpause = "asset.unpause", "Resumes an asset.";
    AssetPolicy = "asset.policy", "Sets who may send and receive.";
    AssetCosign = "asset.cosign", "Countersigns transfers.";
    ListEdit = "list.edit", "Edits lists.";
    HoldForceRelease = "hold.force_release", "Releases holds of others.";
    RecordWrite = "record.write", "Writes records.";
    QuotaSponsor = "quota.sponsor", "Pays quota for others.";
    GovPropose = "gov.propose", "Proposes governance actions.";
    GovVote = "gov.vote", "Votes on governance actions.";
    ValidatorManage = "validator.manage", "Manages validators.";
    ParamSet = "param.set", "Sets parameters.";
    UpgradeSchedule = "upgrade.schedule", "Schedules upgrades.";
    BreakerTrip = "breaker.trip", "Stops a kind of action.";
    BreakerReset = "breaker.reset", "Resumes a kind of action.";
    GrantManage = "grant.manage", "Gives and takes permissions.";
    ReadAll = "read.all", "Reads everything.";
    ReadOrg = "read.org", "Reads an organisation's data.";
    ReadOwn = "read.own", "Reads its own data.";
}

/// Where a permission holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum Scope {
    /// Everywhere.
    Chain,
    /// For an organisation and all its accounts.
    Organisation(OrganisationId),
    /// For an asset.
    Asset(AssetId),
    /// For an account.
    Account(AccountId),
}

/// Whether a grantee may pass a permission on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Delegation {
    /// Keeps it.
    Forbidden,
    /// May grant the same or less.
    Allowed,
}

/// A permission that an account holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Grant {
    /// Most units a single use may concern.
    pub limit: Option<Amount>,
    /// Ends by itself after this block time.
    pub expires: Option<Timestamp>,
    /// Whether it may be passed on.
    pub delegation: Delegation,
    /// Who gave it.
    pub granter: AccountId,
}

/// Remembers that a transaction was included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Marker {
    /// Which.
    pub transaction: Hash,
    /// In which block.
    pub height: Height,
    /// Until when it was valid; the marker stays at least this long.
    pub valid_until: Timestamp,
}

/// Numbers that all validators must agree on. Units are in the names.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Parameters {
    /// How far ahead a transaction's `valid_until` may lie. Range: 10,000 to 86,400,000.
    pub max_validity_ms: u64,
    /// How far a block's time may be ahead of a voter's clock. Range: 50 to 10,000.
    pub clock_bound_ms: u64,
    /// How long markers stay after their transaction expired. Range: 0 to 86,400,000.
    pub marker_retention_ms: u64,
    /// Heights in an epoch. Range: 10 to 2^63.
    pub epoch_length: u64,
    /// Bytes of bundles in a block. Range: 262,144 to [`crate::block::PAYLOAD_BYTES_MAX`].
    pub payload_bytes_max: u32,
}

impl Parameters {
    /// The epoch of the block at this height. Height 0, the genesis, is taken for part of epoch 0, which
    /// it anchors. Shape: epoch `e` of length `L` covers the heights from `e·L + 1` to `(e + 1)·L`.
    #[must_use]
    pub fn epoch_of(&self, height: Height) -> EpochNumber {
        EpochNumber::new(height.get().saturating_sub(1).checked_div(self.epoch_length).unwrap_or(0))
    }

    /// Height of the epoch's last block, which anchors the next epoch.
    #[must_use]
    pub fn last_of(&self, epoch: EpochNumber) -> Height {
        Height::new(epoch.get().saturating_add(1).saturating_mul(self.epoch_length))
    }

    /// `hash(parameters, canonical bytes)`.
    #[must_use]
    pub fn hash(&self) -> Hash {
        hash_of(Domain::Parameters, self)
    }
}
