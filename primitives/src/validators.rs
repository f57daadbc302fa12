//! The validators of an epoch, and the only place where a quorum is computed.
use borsh::{BorshDeserialize, BorshSerialize};
use std::io::{self, Read};

use crate::block::Outcome;
use crate::codec::{self, List, Text};
use crate::hash::{Domain, Hash, hash, hash_of};
use crate::keys::{KeyError, PublicKey, SecretKey, Signature, SignatureCheck};
use crate::numbers::EpochNumber;
use crate::state::OrganisationId;
use crate::zoo::{self, Bug};

/// Most validators: sets of them are 128-bit masks.
pub const VALIDATORS_MAX: usize = 128;

/// One validator.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Validator {
    /// For people; unique in the set.
    pub name: Text<32>,
    /// Who runs it.
    pub organisation: OrganisationId,
    /// Signs votes, and is the identity of its network connections.
    pub key: PublicKey,
}

impl Validator {
    /// The check that proves that whoever names this validator holds its key: a signature by the key
    /// itself, over the canonical bytes of chain and validator.
    ///
    /// Without it anybody could enter the key of another, who would then be said to run a validator.
    #[must_use]
    pub fn possession_check(&self, chain: &Hash, signature: Signature) -> SignatureCheck {
        let message = codec::encode(&(chain, self));
        SignatureCheck { key: self.key, domain: Domain::SignPossession, message, signature }
    }

    /// Signs what [`Validator::possession_check`] checks. `key` is the secret half of this validator's key.
    #[must_use]
    pub fn prove_possession(&self, chain: &Hash, key: &SecretKey) -> Signature {
        key.sign(Domain::SignPossession, &codec::encode(&(chain, self)))
    }
}

/// The ordered validators of one epoch. Signer indices are positions in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize)]
pub struct ValidatorSet {
    members: List<Validator, 1, VALIDATORS_MAX>,
}

/// Why validators do not make a set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// None, or too many.
    #[error("{found} validators, but 1 to {VALIDATORS_MAX} are allowed")]
    Count {
        /// Validators given.
        found: usize,
    },
    /// One key twice, which would let one machine vote twice.
    #[error("validators {first:?} and {second:?} have the same key")]
    SameKey {
        /// The earlier one.
        first: String,
        /// The later one.
        second: String,
    },
    /// One name twice.
    #[error("two validators are named {name:?}")]
    SameName {
        /// The name.
        name: String,
    },
    /// A key that cannot be trusted to belong to one party.
    #[error("the key of validator {name:?}: {source}")]
    Key {
        /// Whose.
        name: String,
        /// What is wrong with it.
        source: KeyError,
    },
}

impl ValidatorSet {
    /// Checks count, names and keys.
    ///
    /// # Errors
    /// [`SetError`] naming the first fault.
    pub fn new(members: Vec<Validator>) -> Result<Self, SetError> {
        for (index, member) in members.iter().enumerate() {
            let name = member.name.to_string();
            member.key.check().map_err(|source| SetError::Key { name: name.clone(), source })?;
            for other in members.iter().take(index) {
                if other.key == member.key {
                    return Err(SetError::SameKey { first: other.name.to_string(), second: name });
                }
                if other.name == member.name {
                    return Err(SetError::SameName { name });
                }
            }
        }
        let found = members.len();
        let members = List::new(members).map_err(|_| SetError::Count { found })?;
        Ok(Self { members })
    }

    /// The validators in order.
    #[must_use]
    pub fn members(&self) -> &[Validator] {
        &self.members
    }

    /// Number of validators. Range: 1 to 128.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Never: a set has at least one member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The key of the validator with this index.
    #[must_use]
    pub fn key(&self, index: u8) -> Option<&PublicKey> {
        self.members.get(usize::from(index)).map(|member| &member.key)
    }

    /// The index of the validator with this key.
    #[must_use]
    pub fn index_of(&self, key: &PublicKey) -> Option<u8> {
        let position = self.members.iter().position(|member| member.key == *key)?;
        u8::try_from(position).ok()
    }

    /// Votes that make a certificate; see [`quorum`].
    #[must_use]
    pub fn quorum(&self) -> usize {
        if zoo::has(Bug::QuorumOfTwoFPlusOne) {
            return faulty_max(self.len()).saturating_mul(2).saturating_add(1);
        }
        quorum(self.len())
    }

    /// `hash(validators, canonical bytes)`: binds the order, and so the signer indices.
    #[must_use]
    pub fn hash(&self) -> Hash {
        hash_of(Domain::Validators, self)
    }
}

impl BorshDeserialize for ValidatorSet {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let members = List::<Validator, 1, VALIDATORS_MAX>::deserialize_reader(reader)?;
        Self::new(members.into_inner()).map_err(codec::invalid)
    }
}

/// Most validators of `n` that may be faulty: `⌊(n − 1) / 3⌋`.
#[must_use]
pub const fn faulty_max(n: usize) -> usize {
    n.saturating_sub(1) / 3
}

/// Votes that make a certificate among `n` validators: `n − f`.
///
/// Two such groups share at least `n − 2f ≥ f + 1` validators, one of them honest. It is not `2f + 1`,
/// which is too few when `n` is not `3f + 1`. Source: docs/protocol.md, section 2.1.
#[must_use]
pub const fn quorum(n: usize) -> usize {
    n.saturating_sub(faulty_max(n))
}

/// A set of validator indices. Shape: 16 bytes, bit `i` (little endian) for index `i`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Signers(u128);

impl Signers {
    /// Nobody.
    pub const NONE: Signers = Signers(0);

    /// The first `n` indices.
    #[must_use]
    pub fn all(n: usize) -> Self {
        let unused = 128_usize.saturating_sub(n);
        let shift = u32::try_from(unused).unwrap_or(u32::MAX);
        Self(u128::MAX.checked_shr(shift).unwrap_or(0))
    }

    /// One validator.
    #[must_use]
    pub fn one(index: u8) -> Self {
        Self(1_u128.checked_shl(u32::from(index)).unwrap_or(0))
    }

    /// Whether the validator is in the set.
    #[must_use]
    pub fn contains(self, index: u8) -> bool {
        self.0 & Self::one(index).0 != 0
    }

    /// This set and one more.
    #[must_use]
    pub fn with(self, index: u8) -> Self {
        Self(self.0 | Self::one(index).0)
    }

    /// This set without one.
    #[must_use]
    pub fn without(self, index: u8) -> Self {
        Self(self.0 & !Self::one(index).0)
    }

    /// Those in both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those in either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in this set only.
    #[must_use]
    pub fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// How many.
    #[must_use]
    pub fn count(self) -> usize {
        usize::try_from(self.0.count_ones()).unwrap_or(usize::MAX)
    }

    /// Whether nobody is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The indices, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..128_u8).filter(move |index| self.contains(*index))
    }
}

/// Everything that a signature in one epoch is bound to.
///
/// `hash(epoch, genesis ‖ epoch ‖ anchor block ‖ anchor outcome ‖ validators ‖ parameters ‖ version)`,
/// each 32 bytes but epoch (8, big endian) and version (4, big endian). The anchor of epoch 0 is the
/// genesis itself, with outcome zero. Source: docs/protocol.md, section 2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct EpochIdentity {
    /// Genesis hash.
    pub chain: Hash,
    /// Number of the epoch.
    pub epoch: EpochNumber,
    /// Last block of the epoch before.
    pub anchor: Hash,
    /// Outcome digest of that block.
    pub anchor_outcome: Hash,
    /// Hash of the validator set.
    pub validators: Hash,
    /// Hash of the parameters.
    pub parameters: Hash,
    /// Protocol version.
    pub version: u32,
}

impl EpochIdentity {
    /// The epoch that follows this one, whose last block has this id and outcome.
    #[must_use]
    pub fn successor(&self, boundary: Hash, outcome: &Outcome) -> Self {
        Self {
            epoch: self.epoch.next(),
            anchor: boundary,
            anchor_outcome: outcome.digest(),
            validators: outcome.next_validators,
            ..*self
        }
    }

    /// The context that every vote of the epoch signs.
    #[must_use]
    pub fn context(&self) -> Hash {
        hash(
            Domain::Epoch,
            &[
                self.chain.as_bytes(),
                &self.epoch.get().to_be_bytes(),
                self.anchor.as_bytes(),
                self.anchor_outcome.as_bytes(),
                self.validators.as_bytes(),
                self.parameters.as_bytes(),
                &self.version.to_be_bytes(),
            ],
        )
    }
}
