//! Keys and values that the tests share.
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::Text;
use quorate_primitives::keys::{PublicKey, SecretKey};
use quorate_primitives::state::{AssetId, Authority, Symbol};
use quorate_primitives::validators::{Validator, ValidatorSet};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// The key whose seed is 32 times this byte.
pub(crate) fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32].into())
}

pub(crate) fn public(seed: u8) -> PublicKey {
    secret(seed).public_key()
}

/// The account that the key of this seed controls.
pub(crate) fn account(seed: u8) -> AccountId {
    AccountId::derive(&Authority::single(public(seed)), &[0; 16])
}

pub(crate) fn usd() -> AssetId {
    AssetId::derive(&Symbol::new("USD").unwrap())
}

/// Validators `n1`, `n2`, … with the keys of seeds 1, 2, … run by `acme`.
pub(crate) fn validators(count: u8) -> ValidatorSet {
    ValidatorSet::new((1..=count).map(validator).collect()).unwrap()
}

/// One of these validators.
pub(crate) fn validator(seed: u8) -> Validator {
    Validator {
        name: Text::new(&format!("n{seed}")).unwrap(),
        organisation: "acme".parse().unwrap(),
        key: public(seed),
    }
}

/// Randomness that is the same in every run.
pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}
