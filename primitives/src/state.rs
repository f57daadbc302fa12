//! What the ledger keeps: keys, values, and where a key lies in the state tree.
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use crate::address::AccountId;
use crate::codec::{self, List, Text};
use crate::hash::{Domain, Hash, HexError, hash, hash_of, parse_hex};
use crate::keys::{KeyError, PublicKey};
use crate::numbers::{Amount, EpochNumber, Height, Timestamp};
use crate::transaction::Nonce;

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

/// A key and what its signature counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WeightedKey {
    /// The key.
    pub key: PublicKey,
    /// Range: 1 to 65,535.
    pub weight: u16,
}

/// Who may act for an account: signatures whose weights reach the threshold.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Authority {
    /// Weight needed. Range: 1 to the sum of all weights.
    pub threshold: u32,
    /// Keys strictly ascending, with their weights.
    pub keys: List<WeightedKey, 1, 16>,
    /// Counts replacements; the first is 0.
    pub version: u32,
}

/// Why an authority may not enter the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// Keys not strictly ascending.
    #[error("keys must be strictly ascending")]
    KeyOrder,
    /// A key without weight.
    #[error("weight 0 of key {key}, but 1 to 65535 are allowed")]
    Weight {
        /// Whose.
        key: PublicKey,
    },
    /// A threshold that nobody needs or nobody reaches.
    #[error("threshold {found}, but 1 to {sum} (the sum of the weights) are allowed")]
    Threshold {
        /// Given.
        found: u32,
        /// Sum of the weights.
        sum: u32,
    },
    /// A key that may not control anything.
    #[error("key {key}: {source}")]
    Key {
        /// Which.
        key: PublicKey,
        /// What is wrong.
        source: KeyError,
    },
}

impl Authority {
    /// One key that acts alone, at version 0.
    #[must_use]
    pub fn single(key: PublicKey) -> Self {
        let keys = List::new(vec![WeightedKey { key, weight: 1 }]).unwrap_or_else(|_| unreachable_list());
        Self { threshold: 1, keys, version: 0 }
    }

    /// Checks order, weights, threshold and keys.
    ///
    /// # Errors
    /// [`AuthorityError`] naming the first fault.
    pub fn check(&self) -> Result<(), AuthorityError> {
        if !self.keys.iter().is_sorted_by(|a, b| a.key < b.key) {
            return Err(AuthorityError::KeyOrder);
        }
        let mut sum = 0_u32;
        for WeightedKey { key, weight } in &self.keys {
            key.check().map_err(|source| AuthorityError::Key { key: *key, source })?;
            if *weight == 0 {
                return Err(AuthorityError::Weight { key: *key });
            }
            sum = sum.saturating_add(u32::from(*weight));
        }
        if !(1..=sum).contains(&self.threshold) {
            return Err(AuthorityError::Threshold { found: self.threshold, sum });
        }
        Ok(())
    }

    /// Whether these signers together may act.
    #[must_use]
    pub fn is_satisfied_by(&self, signers: &[PublicKey]) -> bool {
        let counted = self.keys.iter().filter(|weighted| signers.contains(&weighted.key));
        counted.fold(0_u32, |sum, weighted| sum.saturating_add(u32::from(weighted.weight))) >= self.threshold
    }
}

fn unreachable_list<T, const MIN: usize, const MAX: usize>() -> List<T, MIN, MAX> {
    unreachable!("one item is within the bounds of every list of keys")
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
    /// `hash(parameters, canonical bytes)`.
    #[must_use]
    pub fn hash(&self) -> Hash {
        hash_of(Domain::Parameters, self)
    }
}

/// Names a value in the state. Shape: one tag byte, then the fields; the same bytes are its key on disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum StateKey {
    /// [`Parameters`].
    Parameters,
    /// [`crate::validators::ValidatorSet`] of an epoch.
    Validators(EpochNumber),
    /// [`Organisation`].
    Organisation(OrganisationId),
    /// [`Account`].
    Account(AccountId),
    /// [`Asset`].
    Asset(AssetId),
    /// [`Balance`]; grouped by account.
    Balance(AccountId, AssetId),
    /// [`Grant`]; grouped by grantee.
    Grant(AccountId, Permission, Scope),
    /// [`Marker`] of an authorised transaction; grouped by sender.
    Nonce(AccountId, Nonce),
    /// [`Marker`] of a transaction that its sender did not authorise, by transaction id.
    Unauthorised(Hash),
}

/// Values whose paths share their first half, and which can be proven to be complete together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum StateGroup {
    /// A single value: the group is the whole key.
    Single(StateKey),
    /// All balances of an account.
    Balances(AccountId),
    /// All grants of an account.
    Grants(AccountId),
    /// All markers of a sender.
    Nonces(AccountId),
}

/// A value's position in the state tree. Shape: hash of the group (32) ‖ hash of the item (32); bit 0
/// is the highest bit of the first byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Path([u8; 64]);

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…")
    }
}

impl Path {
    /// Number of bits in a path.
    pub const BITS: u16 = 512;
    /// Number of bits that a group's paths share.
    pub const GROUP_BITS: u16 = 256;

    /// Wraps bytes that were computed elsewhere.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// The lowest path of a group.
    #[must_use]
    pub fn first_of(group: &StateGroup) -> Self {
        Self::join(group.hash(), Hash::ZERO)
    }

    fn join(group: Hash, item: Hash) -> Self {
        let mut bytes = [0; 64];
        let (first, second) = bytes.split_at_mut(32);
        first.copy_from_slice(group.as_bytes());
        second.copy_from_slice(item.as_bytes());
        Self(bytes)
    }

    /// The bit at a position below [`Path::BITS`]; `false` beyond.
    #[must_use]
    pub fn bit(&self, position: u16) -> bool {
        let byte = self.0.get(usize::from(position >> 3)).copied().unwrap_or(0);
        byte & (0x80_u8 >> (position & 7)) != 0
    }

    /// The first position at which two paths differ.
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<u16> {
        let mut position = 0_u16;
        for (a, b) in self.0.iter().zip(&other.0) {
            let difference = a ^ b;
            if difference != 0 {
                let within = u16::try_from(difference.leading_zeros()).unwrap_or(0);
                return Some(position.saturating_add(within));
            }
            position = position.saturating_add(8);
        }
        None
    }
}

impl StateGroup {
    /// First half of the group's paths: `hash(group, canonical bytes)`.
    #[must_use]
    pub fn hash(&self) -> Hash {
        hash_of(Domain::StateGroup, self)
    }
}

impl StateKey {
    /// The group this key belongs to.
    #[must_use]
    pub fn group(&self) -> StateGroup {
        match self {
            Self::Balance(account, _) => StateGroup::Balances(*account),
            Self::Grant(grantee, _, _) => StateGroup::Grants(*grantee),
            Self::Nonce(sender, _) => StateGroup::Nonces(*sender),
            Self::Parameters
            | Self::Validators(_)
            | Self::Organisation(_)
            | Self::Account(_)
            | Self::Asset(_)
            | Self::Unauthorised(_) => StateGroup::Single(self.clone()),
        }
    }

    /// Where the value lies in the tree: `hash(group) ‖ hash(item, canonical bytes of the key)`.
    #[must_use]
    pub fn path(&self) -> Path {
        Path::join(self.group().hash(), hash_of(Domain::StateItem, self))
    }
}

/// What a leaf commits to: `hash(state value, canonical bytes)`.
#[must_use]
pub fn value_hash(bytes: &[u8]) -> Hash {
    hash(Domain::StateValue, &[bytes])
}
