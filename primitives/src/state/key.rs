//! Where a value lies: its key, its group, and its path in the state tree.
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;

use super::{AssetId, OrganisationId, Permission, Scope};
use crate::address::AccountId;
use crate::evidence::EvidenceKind;
use crate::hash::many::Messages;
use crate::hash::{Domain, Hash, hash, hash_of};
use crate::keys::PublicKey;
use crate::numbers::EpochNumber;
use crate::transaction::Nonce;

/// Names a value in the state. Shape: one tag byte, then the fields; the same bytes are its key on disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum StateKey {
    /// [`super::Parameters`].
    Parameters,
    /// [`crate::validators::ValidatorSet`] of this epoch and of all after it, up to the next such key. The
    /// set of an epoch is the value at the greatest number that is not above it.
    Validators(EpochNumber),
    /// [`super::Organisation`].
    Organisation(OrganisationId),
    /// [`super::Account`].
    Account(AccountId),
    /// [`super::Asset`].
    Asset(AssetId),
    /// [`super::Balance`]; grouped by account.
    Balance(AccountId, AssetId),
    /// [`super::Grant`]; grouped by grantee.
    Grant(AccountId, Permission, Scope),
    /// [`super::Marker`] of an authorised transaction; grouped by sender.
    Nonce(AccountId, Nonce),
    /// [`super::Marker`] of a transaction that its sender did not authorise, by transaction id.
    Unauthorised(Hash),
    /// [`crate::evidence::RecordedEvidence`] by epoch, key of the accused and kind; all in one group.
    Evidence(EpochNumber, PublicKey, EvidenceKind),
}

/// Values whose paths share their first half, and which can be proven to be complete together. The groups of one
/// account lie side by side.
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
    /// All evidence that was ever recorded.
    Evidence,
}

/// A value's position in the state tree. Shape: hash of the group's owner (32), of which bits 254 and 255 say
/// which of the owner's groups it is, and bit 0 whether that is one of markers ‖ item (32), which tells the values
/// of a group apart; bit 0 is the highest bit of the first byte.
///
/// What is read and changed together lies together, in the tree and in memory: an account, its balances and
/// its grants are neighbours. Markers come and go with every transaction and soon outnumber everything else, so
/// they have a side of their own and do not scatter the rest.
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
        let half = Half::of_group(group);
        Self::join(half.bytes(half.owner.hash()), Hash::ZERO)
    }

    fn join(group: Hash, item: Hash) -> Self {
        Self::from_halves(group.as_bytes(), item.as_bytes())
    }

    /// The path whose halves these are.
    #[must_use]
    pub fn from_halves(first: &[u8; 32], second: &[u8; 32]) -> Self {
        let mut bytes = [0; 64];
        let (start, end) = bytes.split_at_mut(32);
        start.copy_from_slice(first);
        end.copy_from_slice(second);
        Self(bytes)
    }

    /// The first 64 bits as a number: paths are in the order of these as far as they differ.
    #[must_use]
    pub fn first_bits(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
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

/// Bit 0 of a path, in its byte.
const MARKER_BIT: u8 = 0x80;
/// Bits 254 and 255 of a path, in their byte.
const KIND_BITS: u8 = 0x03;

/// Whose hash begins a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize)]
enum Owner<'a> {
    /// Of what belongs to an account, itself included.
    Account(&'a AccountId),
    /// Of a value that stands alone.
    Key(&'a StateKey),
    /// Of all evidence.
    Evidence,
}

impl Owner<'_> {
    fn hash(&self) -> Hash {
        hash_of(Domain::StateOwner, self)
    }
}

/// Which of its owner's groups one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The owner's own value, or all evidence.
    Own,
    Balances,
    Grants,
    /// Nonces of an account, or the marker of a transaction that nobody authorised.
    Markers,
}

impl Kind {
    /// Bits 254 and 255 of a path.
    const fn bits(self) -> u8 {
        match self {
            Self::Own => 0,
            Self::Balances => 1,
            Self::Grants => 2,
            Self::Markers => 3,
        }
    }
}

/// First half of the paths of a group.
#[derive(Clone, Copy)]
struct Half<'a> {
    owner: Owner<'a>,
    kind: Kind,
}

impl<'a> Half<'a> {
    fn of_group(group: &'a StateGroup) -> Self {
        let (owner, kind) = match group {
            StateGroup::Balances(account) => (Owner::Account(account), Kind::Balances),
            StateGroup::Grants(account) => (Owner::Account(account), Kind::Grants),
            StateGroup::Nonces(account) => (Owner::Account(account), Kind::Markers),
            StateGroup::Evidence => (Owner::Evidence, Kind::Own),
            StateGroup::Single(StateKey::Account(account)) => (Owner::Account(account), Kind::Own),
            StateGroup::Single(key @ StateKey::Unauthorised(_)) => (Owner::Key(key), Kind::Markers),
            StateGroup::Single(key) => (Owner::Key(key), Kind::Own),
        };
        Self { owner, kind }
    }

    /// That of the key's group, which need not be made for it.
    fn of_key(key: &'a StateKey) -> Self {
        let (owner, kind) = match key {
            StateKey::Account(account) => (Owner::Account(account), Kind::Own),
            StateKey::Balance(account, _) => (Owner::Account(account), Kind::Balances),
            StateKey::Grant(grantee, _, _) => (Owner::Account(grantee), Kind::Grants),
            StateKey::Nonce(sender, _) => (Owner::Account(sender), Kind::Markers),
            StateKey::Unauthorised(_) => (Owner::Key(key), Kind::Markers),
            StateKey::Evidence(..) => (Owner::Evidence, Kind::Own),
            StateKey::Parameters
            | StateKey::Validators(_)
            | StateKey::Organisation(_)
            | StateKey::Asset(_) => (Owner::Key(key), Kind::Own),
        };
        Self { owner, kind }
    }

    /// The owner's hash with the bits that tell its groups apart.
    fn bytes(&self, owner: Hash) -> Hash {
        let mut bytes = *owner.as_bytes();
        let [first, .., last] = &mut bytes;
        let is_of_markers = self.kind == Kind::Markers;
        *first = if is_of_markers { *first | MARKER_BIT } else { *first & !MARKER_BIT };
        *last = *last & !KIND_BITS | self.kind.bits();
        Hash::from_bytes(bytes)
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
            Self::Evidence(..) => StateGroup::Evidence,
            Self::Parameters
            | Self::Validators(_)
            | Self::Organisation(_)
            | Self::Account(_)
            | Self::Asset(_)
            | Self::Unauthorised(_) => StateGroup::Single(self.clone()),
        }
    }

    /// Where the value lies in the tree: `hash(owner)` with the bits that [`Path`] tells of ‖ item.
    #[must_use]
    pub fn path(&self) -> Path {
        let half = Half::of_key(self);
        let item = self.item().unwrap_or_else(|| hash_of(Domain::StateItem, self));
        Path::join(half.bytes(half.owner.hash()), item)
    }

    /// Second half of the path, unless it is `hash(item, canonical bytes of the key)`: zero for a value that is
    /// alone in its group, and for a balance the asset's id, which is a hash already.
    fn item(&self) -> Option<Hash> {
        match self {
            Self::Balance(_, asset) => Some(Hash::from_bytes(*asset.as_bytes())),
            Self::Grant(..) | Self::Nonce(..) | Self::Evidence(..) => None,
            Self::Parameters
            | Self::Validators(_)
            | Self::Organisation(_)
            | Self::Account(_)
            | Self::Asset(_)
            | Self::Unauthorised(_) => Some(Hash::ZERO),
        }
    }

    /// The paths of many keys, in order; cheaper than one by one, most of all if keys of one owner follow each
    /// other.
    #[must_use]
    pub fn paths(keys: &[Self]) -> Vec<Path> {
        let mut messages = Messages::with_capacity(keys.len(), KEY_MESSAGE_BYTES);
        // Each half with the position of its owner's hash.
        let mut halves: Vec<(Half<'_>, usize)> = Vec::with_capacity(keys.len());
        for half in keys.iter().map(Half::of_key) {
            if halves.last().is_none_or(|(before, _)| before.owner != half.owner) {
                messages.push_value(Domain::StateOwner, &half.owner);
            }
            halves.push((half, messages.len().saturating_sub(1)));
        }
        let owners = messages.len();
        let hashed = keys.iter().filter(|key| key.item().is_none());
        hashed.for_each(|key| messages.push_value(Domain::StateItem, key));
        let hashes = messages.hashes();
        let (owners, items) = hashes.split_at(owners);
        let mut items = items.iter().copied();
        let path = |(key, (half, owner)): (&Self, &(Half<'_>, usize))| {
            let owner = owners.get(*owner).copied().unwrap_or(Hash::ZERO);
            let item = key.item().or_else(|| items.next()).unwrap_or(Hash::ZERO);
            Path::join(half.bytes(owner), item)
        };
        keys.iter().zip(&halves).map(path).collect()
    }
}

/// Room for one hashed key or owner: most are of two ids.
const KEY_MESSAGE_BYTES: usize = 68;

/// What a leaf commits to: `hash(state value, canonical bytes)`.
#[must_use]
pub fn value_hash(bytes: &[u8]) -> Hash {
    hash(Domain::StateValue, &[bytes])
}
