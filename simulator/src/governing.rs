//! Those who decide who validates: now and then they add, remove or replace a validator.
//!
//! The governance account belongs to three organisations, of which two must sign. The nodes that follow
//! without voting are the candidates. What is decided takes effect two epochs later, so the decisions look
//! at the set of that epoch, as the last block that anybody told to be final has it. A set never becomes
//! smaller than four, and an outdated decision simply fails.
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::{Blob, List, Text};
use quorate_primitives::signed::Verified;
use quorate_primitives::state::{Authority, OrganisationId, WeightedKey};
use quorate_primitives::transaction::{
    Action, Operation, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::validators::{Validator, ValidatorSet};
use quorate_primitives::{Hash, PublicKey, SecretKey, Timestamp};

use crate::founding::{Founding, governor_key, node_key};
use crate::random::{Dice, Stream};
use crate::signatures::proven;
use crate::time::Moment;

/// Fewest validators of any epoch: one of them may be faulty.
const MEMBERS_MIN: usize = 4;
/// Most validators of any epoch.
const MEMBERS_MAX: usize = 10;
/// Organisations that the governance account belongs to, and how many of them must sign.
pub const GOVERNORS: usize = 3;
/// See [`GOVERNORS`].
pub const GOVERNORS_NEEDED: u32 = 2;

/// The authority of the governance account.
///
/// # Panics
/// Never: three keys fit.
#[must_use]
pub fn authority() -> Authority {
    let mut keys: Vec<WeightedKey> = (0..GOVERNORS)
        .map(|index| WeightedKey { key: governor_key(index).public_key(), weight: 1 })
        .collect();
    keys.sort_by_key(|key| key.key);
    Authority { threshold: GOVERNORS_NEEDED, keys: List::new(keys).expect("three keys"), version: 0 }
}

/// The governance account.
#[must_use]
pub fn account() -> AccountId {
    AccountId::derive(&authority(), &[0; 16])
}

/// Who decides, and when.
pub struct Governing {
    dice: Dice,
    mean_ms: u64,
    /// Numbers the decisions, and the names of validators.
    number: u64,
}

impl Governing {
    /// Decides every `mean_ms` on average; never if that is 0.
    #[must_use]
    pub fn new(seed: u64, mean_ms: u64) -> Self {
        Self { dice: Dice::new(seed, Stream::Governing), mean_ms, number: 0 }
    }

    /// When something is decided next.
    pub fn next(&mut self, now: Moment) -> Option<Moment> {
        let mean = self.mean_ms.saturating_mul(1_000);
        (mean > 0).then(|| now.after_micros(self.dice.exponential(mean).max(1_000)))
    }

    /// A decision about the set that the next ones start from; its name is a mark.
    pub fn decide(
        &mut self,
        founding: &Founding,
        set: &ValidatorSet,
        time: Timestamp,
    ) -> Option<(&'static str, Verified<SignedTransaction>)> {
        self.number = self.number.saturating_add(1);
        let outside: Vec<usize> = (0..founding.nodes.len())
            .filter(|node| set.index_of(&self.key(founding, *node)).is_none())
            .collect();
        let member = self.dice.pick(set.members())?.clone();
        let candidate = self.dice.pick(&outside).copied();
        let (mark, operation) = match (self.dice.below(3), candidate) {
            (0, Some(node)) if set.len() < MEMBERS_MAX => ("governance adds", self.add(founding, node)?),
            (1, Some(node)) => ("governance rotates a key", rotate(founding.chain, &member, node)),
            (2, _) if set.len() > MEMBERS_MIN => {
                ("governance removes", Operation::ValidatorRemove { name: member.name })
            }
            _ => return None,
        };
        let until = time.saturating_add(60_000);
        Some((mark, self.signed(founding.chain, operation, until)?))
    }

    fn key(&self, founding: &Founding, node: usize) -> PublicKey {
        founding.node_keys.get(node).copied().unwrap_or(PublicKey::from_bytes([0; 32]))
    }

    fn add(&mut self, founding: &Founding, node: usize) -> Option<Operation> {
        let secret = node_key(node);
        let validator = Validator {
            name: Text::new(&format!("w{}", self.number)).ok()?,
            organisation: OrganisationId::new("acme").ok()?,
            key: secret.public_key(),
        };
        let possession = validator.prove_possession(&founding.chain, &secret);
        Some(Operation::ValidatorAdd { validator, possession })
    }

    fn signed(
        &mut self,
        chain: Hash,
        operation: Operation,
        valid_until: Timestamp,
    ) -> Option<Verified<SignedTransaction>> {
        let first = self.dice.index(GOVERNORS);
        let mut keys: Vec<SecretKey> =
            [first, first.saturating_add(1) % GOVERNORS].into_iter().map(governor_key).collect();
        keys.sort_by_key(SecretKey::public_key);
        let mut nonce = [0; 16];
        nonce.iter_mut().zip(self.number.to_le_bytes()).for_each(|(to, from)| *to = from);
        let transaction = Transaction {
            chain,
            version: TRANSACTION_VERSION,
            sender: account(),
            nonce,
            valid_until,
            actions: List::of_one(Action { actor: None, operation }),
            asserts: List::default(),
            reference: Blob::default(),
            memo: Blob::default(),
            signers: List::new(keys.iter().map(SecretKey::public_key).collect()).ok()?,
        };
        proven(transaction.sign(&keys).ok()?, &mut self.dice)
    }
}

fn rotate(chain: Hash, member: &Validator, node: usize) -> Operation {
    let secret = node_key(node);
    let fresh = Validator { key: secret.public_key(), ..member.clone() };
    let possession = fresh.prove_possession(&chain, &secret);
    Operation::ValidatorRotateKey { name: fresh.name, key: fresh.key, possession }
}
