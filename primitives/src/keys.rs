//! Ed25519 keys, signing, and the one verification rule.
//!
//! A signature is valid by the ZIP-215 equation and by nothing else, singly and in batches, for
//! transactions and for votes. Plain RFC 8032 implementations disagree on crafted input between their
//! single and their batch verification, which would fork a chain. Source: ZIP 215; RFC 8032.
use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::Signer;
use rand_core::CryptoRng;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

use crate::hash::{Domain, HexError, parse_hex};

mod batch;
mod challenge;

pub use batch::KnownKeys;

/// An Ed25519 public key. Shape: 32 bytes, compressed Edwards point; shown as hexadecimal.
///
/// Holding one says nothing about the bytes: [`PublicKey::check`] does, and is asked wherever a key
/// enters the state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct PublicKey([u8; 32]);

/// Why a public key may not control anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are not a point of the curve.
    #[error("not a point of the Ed25519 curve")]
    NotAPoint,
    /// One signature under such a key is valid for many messages.
    #[error("a point of small order, under which anybody can sign")]
    SmallOrder,
    /// The point has another, shorter encoding.
    #[error("not the canonical encoding of its point")]
    NotCanonical,
}

impl PublicKey {
    /// Wraps bytes without looking at them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether this key may enter the state: canonical, on the curve and not of small order.
    ///
    /// # Errors
    /// [`KeyError`] naming the fault.
    pub fn check(&self) -> Result<(), KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0).map_err(|_| KeyError::NotAPoint)?;
        if key.is_weak() {
            return Err(KeyError::SmallOrder);
        }
        // Recompress: a non-canonical encoding decodes to a point that encodes differently.
        if key.to_edwards().compress().to_bytes() != self.0 {
            return Err(KeyError::NotCanonical);
        }
        Ok(())
    }

    /// Whether `signature` is this key's signature of `message` in `domain` (ZIP-215).
    #[must_use]
    pub fn verify(&self, domain: Domain, message: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_zebra::Signature::from(signature.0);
        ed25519_zebra::VerificationKey::try_from(self.0)
            .is_ok_and(|key| key.verify(&signature, &signed_bytes(domain, message)).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = HexError;
    fn from_str(text: &str) -> Result<Self, HexError> {
        parse_hex(text).map(Self)
    }
}

/// An Ed25519 signature. Shape: R (32) ‖ s (32).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Wraps bytes without looking at them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// R and s.
    fn halves(&self) -> ([u8; 32], [u8; 32]) {
        let mut halves = ([0; 32], [0; 32]);
        let (r, s) = self.0.split_at(32);
        halves.0.copy_from_slice(r);
        halves.1.copy_from_slice(s);
        halves
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…")
    }
}

/// A signing key. Wiped from memory when dropped; cannot be shown, compared or encoded.
pub struct SecretKey(ed25519_dalek::SigningKey);

impl SecretKey {
    /// The key of a 32-byte seed (RFC 8032, 5.1.5).
    #[must_use]
    pub fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// A new key from a source of secure randomness.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self::from_seed(&seed)
    }

    /// The seed, for the one place that encrypts it to disk.
    #[must_use]
    pub fn expose_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half, derived from the secret: a pair cannot be mismatched.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `tag(domain) ‖ message` (RFC 8032, 5.1.6).
    #[must_use]
    pub fn sign(&self, domain: Domain, message: &[u8]) -> Signature {
        Signature(self.0.sign(&signed_bytes(domain, message)).to_bytes())
    }
}

fn signed_bytes(domain: Domain, message: &[u8]) -> Vec<u8> {
    [domain.tag(), message].concat()
}

/// One signature to be checked in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureCheck {
    /// Who is said to have signed.
    pub key: PublicKey,
    /// What the bytes were signed for.
    pub domain: Domain,
    /// The message without its tag.
    pub message: Vec<u8>,
    /// The signature.
    pub signature: Signature,
}

impl SignatureCheck {
    /// The same without owning the message.
    #[must_use]
    pub fn borrowed(&self) -> BorrowedCheck<'_> {
        let Self { key, domain, message, signature } = self;
        BorrowedCheck { key: *key, domain: *domain, message, signature: *signature }
    }
}

/// A [`SignatureCheck`] of a message that lies elsewhere, so that nothing is copied to check it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BorrowedCheck<'a> {
    /// Who is said to have signed.
    pub key: PublicKey,
    /// What the bytes were signed for.
    pub domain: Domain,
    /// The message without its tag.
    pub message: &'a [u8],
    /// The signature.
    pub signature: Signature,
}

impl BorrowedCheck<'_> {
    /// The verdict on this signature alone (ZIP-215).
    fn holds(&self) -> bool {
        self.key.verify(self.domain, self.message, &self.signature)
    }
}

/// Checks many signatures at once; the verdict on each equals [`PublicKey::verify`].
///
/// `known` are keys that were seen before. `rng` must be unpredictable to the signers. Returns the
/// positions of the invalid ones, ascending; empty when all are valid. A failing batch is halved until the
/// invalid ones stand alone, so that one forged signature among many costs a logarithmic number of batches.
pub fn verify_batch(
    checks: &[SignatureCheck],
    known: &mut KnownKeys,
    rng: &mut impl CryptoRng,
) -> Vec<usize> {
    let checks: Vec<BorrowedCheck<'_>> = checks.iter().map(SignatureCheck::borrowed).collect();
    find_invalid(&checks, usize::MAX, |part| batch_holds(part, known, rng))
}

/// Whether all signatures are valid, as the library that checks single ones decides it for batches: what
/// [`verify_batch`] is held to, and measured against.
#[must_use]
pub fn reference_batch(checks: &[SignatureCheck], rng: &mut impl CryptoRng) -> bool {
    let mut batch = ed25519_zebra::batch::Verifier::new();
    for check in checks {
        let key = ed25519_zebra::VerificationKeyBytes::from(check.key.0);
        let signature = ed25519_zebra::Signature::from(check.signature.0);
        batch.queue((key, signature, &signed_bytes(check.domain, &check.message)));
    }
    batch.verify(rng).is_ok()
}

/// Whether all signatures are valid; `known` and `rng` as of [`verify_batch`].
pub fn batch_holds(checks: &[BorrowedCheck<'_>], known: &mut KnownKeys, rng: &mut impl CryptoRng) -> bool {
    match checks {
        [check] => check.holds(),
        _ => batch::holds(checks, known, rng),
    }
}

/// The position of the first invalid signature; `known` and `rng` as of [`verify_batch`]. Looks no further, so
/// that a heap of forged ones costs its sender's victim little more than one batch.
pub fn first_invalid(
    checks: &[BorrowedCheck<'_>],
    known: &mut KnownKeys,
    rng: &mut impl CryptoRng,
) -> Option<usize> {
    find_invalid(checks, 1, |part| batch_holds(part, known, rng)).first().copied()
}

/// The positions of the first `limit` items that are invalid, ascending, where `holds` tells whether all of
/// some items are valid: parts that do not hold are halved until the invalid ones stand alone.
pub(crate) fn find_invalid<T>(items: &[T], limit: usize, mut holds: impl FnMut(&[T]) -> bool) -> Vec<usize> {
    let mut bad = Vec::new();
    let mut open = vec![(0, items)];
    while let Some((offset, part)) = open.pop().filter(|_| bad.len() < limit) {
        if holds(part) {
            continue;
        }
        if part.len() <= 1 {
            bad.push(offset);
            continue;
        }
        let (left, right) = part.split_at(part.len().div_ceil(2));
        open.push((left.len().saturating_add(offset), right));
        open.push((offset, left));
    }
    bad
}
