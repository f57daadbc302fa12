//! The keys of a testnet: worthless, and the same for the same seed.
use quorate_primitives::hash::{Domain, hash_of};
use quorate_primitives::{Hash, SecretKey};
use zeroize::Zeroizing;

/// Longest seed in bytes.
pub const SEED_BYTES_MAX: usize = 64;

/// The key with this name in the testnet with this seed: `hash(test key, seed ‖ name)`, both as
/// canonical texts.
#[must_use]
pub fn key(seed: &str, name: &str) -> SecretKey {
    SecretKey::from_seed(&Zeroizing::new(*digest(seed, name).as_bytes()))
}

/// The name of the network with this seed, such as `devnet-7f3a`.
#[must_use]
pub fn network_name(seed: &str) -> String {
    let digest = digest(seed, "network").to_string();
    format!("devnet-{}", digest.get(..4).unwrap_or_default())
}

fn digest(seed: &str, name: &str) -> Hash {
    hash_of(Domain::TestKey, &(seed, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_depend_on_seed_and_name_and_nothing_else() {
        let alice = key("1", "alice").public_key();
        assert_eq!(alice, key("1", "alice").public_key());
        assert_ne!(alice, key("2", "alice").public_key());
        assert_ne!(alice, key("1", "bob").public_key());
        assert_ne!(key("1a", "lice").public_key(), alice);
    }
}
