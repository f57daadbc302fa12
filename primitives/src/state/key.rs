//! Where a value lies: its key, its group, and its path in the state tree.
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;

use super::{AssetId, OrganisationId, Permission, Scope};
use crate::address::AccountId;
use crate::evidence::EvidenceKind;
use crate::hash::many::Messages;
use crate::hash::{Domain, Hash, hash, hash_of};
use crate::keys::PublicKey;
use crate::numbers::{EpochNumber, Timestamp};
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
    /// [`super::Marker`] of an authorised transaction, by the end of its validity, sender and nonce; grouped
    /// by the first. At most one of those with the same sender and nonce has a value.
    Nonce(Timestamp, AccountId, Nonce),
    /// [`super::Marker`] of a transaction that its sender did not authorise, by the end of its validity and
    /// its id; grouped by the first.
    Unauthorised(Timestamp, Hash),
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
    /// All markers of transactions whose validity ends in this millisecond.
    Markers(Timestamp),
    /// All evidence that was ever recorded.
    Evidence,
}

/// A value's position in the state tree. Shape: place of the group (32) ‖ hash of the item (32). The place of a
/// group of markers is 0x80 ‖ end of validity (8, big endian) ‖ zeros; that of any other group its hash, with
/// bit 0 set to 0. Bit 0 is the highest bit of the first byte.
///
/// Markers come and go with every transaction and soon outnumber everything else. On a side of their own
/// they do not scatter what is read and changed all the time, and there they lie in the order in which
/// they go: those of today's transactions beside each other, and those that go at one end.
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
        Self::from_halves(&group.place(), &[0; 32])
    }

    /// The lowest path that a marker of a transaction can have which is valid until then or longer.
    #[must_use]
    pub fn first_marker(valid_until: Timestamp) -> Self {
        Self::from_halves(&place_of_markers(valid_until), &[0; 32])
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

    /// The first 64 bits; paths are in the order of these, as far as they differ in them.
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

/// First half of the paths of markers.
fn place_of_markers(valid_until: Timestamp) -> [u8; 32] {
    let mut place = [0; 32];
    let bytes = [MARKER_BIT].into_iter().chain(valid_until.get().to_be_bytes());
    place.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    place
}

/// First half of the paths of a group that is none of markers, by the hash of the group.
fn place_of_hash(group: Hash) -> [u8; 32] {
    let mut place = *group.as_bytes();
    let [first, ..] = &mut place;
    *first &= !MARKER_BIT;
    place
}

impl StateGroup {
    /// First half of the group's paths.
    fn place(&self) -> [u8; 32] {
        match self {
            Self::Markers(valid_until) => place_of_markers(*valid_until),
            Self::Single(_) | Self::Balances(_) | Self::Grants(_) | Self::Evidence => {
                place_of_hash(hash_of(Domain::StateGroup, self))
            }
        }
    }
}

impl StateKey {
    /// The group this key belongs to.
    #[must_use]
    pub fn group(&self) -> StateGroup {
        match self {
            Self::Balance(account, _) => StateGroup::Balances(*account),
            Self::Grant(grantee, _, _) => StateGroup::Grants(*grantee),
            Self::Nonce(valid_until, ..) | Self::Unauthorised(valid_until, _) => {
                StateGroup::Markers(*valid_until)
            }
            Self::Evidence(..) => StateGroup::Evidence,
            Self::Parameters
            | Self::Validators(_)
            | Self::Organisation(_)
            | Self::Account(_)
            | Self::Asset(_) => StateGroup::Single(self.clone()),
        }
    }

    /// Where the value lies in the tree: place of the group, as [`Path`] says ‖ `hash(state item, canonical bytes
    /// of the key)`.
    #[must_use]
    pub fn path(&self) -> Path {
        Path::from_halves(&self.group().place(), hash_of(Domain::StateItem, self).as_bytes())
    }

    /// The end of validity by which a marker lies; none for all other keys.
    #[must_use]
    pub fn valid_until(&self) -> Option<Timestamp> {
        match self {
            Self::Nonce(valid_until, ..) | Self::Unauthorised(valid_until, _) => Some(*valid_until),
            Self::Parameters
            | Self::Validators(_)
            | Self::Organisation(_)
            | Self::Account(_)
            | Self::Asset(_)
            | Self::Balance(..)
            | Self::Grant(..)
            | Self::Evidence(..) => None,
        }
    }

    /// The paths of many keys, in order; cheaper than one by one.
    #[must_use]
    pub fn paths(keys: &[Self]) -> Vec<Path> {
        let mut messages = Messages::with_capacity(keys.len().saturating_mul(2), KEY_MESSAGE_BYTES);
        keys.iter().for_each(|key| messages.push_value(Domain::StateItem, key));
        // Places of markers are no hashes.
        let others = keys.iter().filter(|key| key.valid_until().is_none());
        others.for_each(|key| messages.push_value(Domain::StateGroup, &key.group()));
        let hashes = messages.hashes();
        let (items, groups) = hashes.split_at(keys.len());
        let mut groups = groups.iter();
        let mut place = |key: &Self| match key.valid_until() {
            Some(valid_until) => place_of_markers(valid_until),
            None => place_of_hash(groups.next().copied().unwrap_or(Hash::ZERO)),
        };
        let path = |(key, item): (&Self, &Hash)| Path::from_halves(&place(key), item.as_bytes());
        keys.iter().zip(items).map(path).collect()
    }
}

/// Room for one hashed key or group: most are of two ids.
const KEY_MESSAGE_BYTES: usize = 68;

/// What a leaf commits to: `hash(state value, canonical bytes)`.
#[must_use]
pub fn value_hash(bytes: &[u8]) -> Hash {
    hash(Domain::StateValue, &[bytes])
}
