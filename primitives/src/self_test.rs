//! Known answers that a node checks before it takes part.
//!
//! A compiler, a processor or a library that computes one hash or one verdict differently would fork the
//! chain; it is better not to start. The answers were worked out by `docs/vectors/encoding.py`.
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::hash::many::Messages;
use crate::hash::{Domain, Hash, hash};
use crate::keys::{KnownKeys, SecretKey, SignatureCheck, verify_batch};
use crate::merkle::{Leaf, list_root, tree_root};
use crate::state::{Path, value_hash};

/// This machine does not compute what every other one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SelfTestError {
    /// A hash is wrong.
    #[error("{what} gives {found}, but {expected} is right")]
    Hash {
        /// What was hashed.
        what: &'static str,
        /// The right answer.
        expected: Hash,
        /// What this machine computed.
        found: Hash,
    },
    /// A signature is not the one that everybody makes.
    #[error("signing a known message with a known key gives another signature")]
    Signing,
    /// A signature is judged wrongly.
    #[error("a signature that is known to be {expected} is judged otherwise")]
    Verification {
        /// The right verdict.
        expected: &'static str,
    },
}

/// Compares hashes, tree roots, signing and verification with known answers. Takes about a millisecond.
///
/// # Errors
/// [`SelfTestError`] naming the first difference: the program must not go on.
pub fn check(rng: &mut impl CryptoRng) -> Result<(), SelfTestError> {
    check_hashes()?;
    check_signatures(rng)
}

fn expect(what: &'static str, expected: &str, found: Hash) -> Result<(), SelfTestError> {
    // A constant that could not be read would show as the hash of nothing, and not pass.
    let expected = expected.parse().unwrap_or(Hash::ZERO);
    if found == expected { Ok(()) } else { Err(SelfTestError::Hash { what, expected, found }) }
}

fn check_hashes() -> Result<(), SelfTestError> {
    let long: Vec<u8> = (0..=250_u8).cycle().take(100_000).collect();
    let empty = hash(Domain::ListLeaf, &[]);
    expect("a short input", "0a1e2736777f80a62beb2df72b649878481c0ca10194b832b5136befbae54017", empty)?;
    expect(
        "a long input",
        "758cfc36b4886eb28662c75daab6392ae494cce09c7a4e14f1041440d07b4cf0",
        hash(Domain::ListLeaf, &[&long]),
    )?;
    let mut together = Messages::default();
    let lengths = [0, 64, 135, 136, 300, 100_000, 3, 1_000, 7];
    let parts: Vec<&[u8]> = lengths.iter().filter_map(|length| long.get(..*length)).collect();
    parts.iter().for_each(|part| together.push(Domain::ListLeaf, &[part]));
    for (part, found) in parts.iter().zip(together.hashes()) {
        let expected = hash(Domain::ListLeaf, &[part]);
        if found != expected {
            return Err(SelfTestError::Hash { what: "one of many inputs", expected, found });
        }
    }
    let mut leaves: Vec<Leaf> = (0..100_u32).map(leaf).collect();
    let values: Vec<Hash> = leaves.iter().map(|leaf| leaf.value).collect();
    expect("a list", "5c1d5e7e8fbf33ddb3b55cd052966f405d6b1a59042d61f9909a0ab6f7cfd19d", list_root(&values))?;
    leaves.sort_unstable_by_key(|leaf| leaf.path);
    expect("a tree", "710289572193aca57e4ce14842dedb36cf95ad5606608bfd51a4e79d3187fba2", tree_root(&leaves))
}

fn leaf(number: u32) -> Leaf {
    let bytes = number.to_le_bytes();
    let (group, item) = (hash(Domain::StateOwner, &[&bytes]), hash(Domain::StateItem, &[&bytes]));
    let mut path = [0; 64];
    let halves = group.as_bytes().iter().chain(item.as_bytes());
    path.iter_mut().zip(halves).for_each(|(place, byte)| *place = *byte);
    Leaf { path: Path::from_bytes(path), value: value_hash(&bytes) }
}

/// Of the message `self-test` in the domain of votes, by the key whose seed is 32 bytes 1.
const SIGNATURE: &str = "3f61fba84cea9fe00c92166afcc90fbe086f6810a3f189a6cd2f46d6ff5e7de8\
                         ee66bd3ce7162489b99baf98d235bf1aef1fdf14a54c2797e11cc8aa4978c404";

fn check_signatures(rng: &mut impl CryptoRng) -> Result<(), SelfTestError> {
    let secret = SecretKey::from_seed(&Zeroizing::new([1; 32]));
    let message = b"self-test".to_vec();
    let signature = secret.sign(Domain::SignVote, &message);
    if crate::hash::parse_hex(SIGNATURE) != Ok(*signature.as_bytes()) {
        return Err(SelfTestError::Signing);
    }
    let valid = SignatureCheck { key: secret.public_key(), domain: Domain::SignVote, message, signature };
    let forged = SignatureCheck { message: b"self-tesT".to_vec(), ..valid.clone() };
    if !verify_batch(&[valid.clone(), valid.clone(), valid.clone()], &mut KnownKeys::default(), rng)
        .is_empty()
    {
        return Err(SelfTestError::Verification { expected: "valid" });
    }
    if verify_batch(&[valid.clone(), forged, valid], &mut KnownKeys::default(), rng) != [1] {
        return Err(SelfTestError::Verification { expected: "forged" });
    }
    Ok(())
}
