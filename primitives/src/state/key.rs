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
    /// All evidence that was ever recorded.
    Evidence,
}

/// A value's position in the state tree. Shape: hash of the group (32), whose bit 0 says whether it is a group
/// of markers ‖ hash of the item (32); bit 0 is the highest bit of the first byte.
///
/// Markers come and go with every transaction and soon outnumber everything else. On a side of their own
/// they do not scatter what is read and changed all the time: it stays near each other, in the tree and in
/// memory.
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
        Self::join(group.half(group.hash()), Hash::ZERO)
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

impl StateGroup {
    fn hash(&self) -> Hash {
        hash_of(Domain::StateGroup, self)
    }

    /// First half of the group's paths: `hash(group, canonical bytes)`, bit 0 of which is replaced by whether the
    /// group is of markers.
    fn half(&self, hash: Hash) -> Hash {
        let mut bytes = *hash.as_bytes();
        let [first, ..] = &mut bytes;
        *first = if self.is_of_markers() { *first | MARKER_BIT } else { *first & !MARKER_BIT };
        Hash::from_bytes(bytes)
    }

    fn is_of_markers(&self) -> bool {
        matches!(self, Self::Nonces(_) | Self::Single(StateKey::Unauthorised(_)))
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

    /// Where the value lies in the tree: `hash(group) ‖ hash(item, canonical bytes of the key)`, the first with
    /// bit 0 as [`Path`] says.
    #[must_use]
    pub fn path(&self) -> Path {
        let group = self.group();
        Path::join(group.half(group.hash()), hash_of(Domain::StateItem, self))
    }

    /// The paths of many keys, in order; cheaper than one by one.
    #[must_use]
    pub fn paths(keys: &[Self]) -> Vec<Path> {
        let mut messages = Messages::with_capacity(keys.len().saturating_mul(2), KEY_MESSAGE_BYTES);
        let groups: Vec<StateGroup> = keys.iter().map(Self::group).collect();
        groups.iter().for_each(|group| messages.push_value(Domain::StateGroup, group));
        keys.iter().for_each(|key| messages.push_value(Domain::StateItem, key));
        let hashes = messages.hashes();
        let (halves, items) = hashes.split_at(keys.len());
        let halves = groups.iter().zip(halves).map(|(group, hash)| group.half(*hash));
        halves.zip(items).map(|(half, item)| Path::join(half, *item)).collect()
    }
}

/// Room for one hashed key or group: most are of two ids.
const KEY_MESSAGE_BYTES: usize = 68;

/// What a leaf commits to: `hash(state value, canonical bytes)`.
#[must_use]
pub fn value_hash(bytes: &[u8]) -> Hash {
    hash(Domain::StateValue, &[bytes])
}
