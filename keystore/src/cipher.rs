//! How a secret is protected at rest: argon2id turns a passphrase into a key, XChaCha20-Poly1305
//! encrypts the secret with it and binds the public part of the file to it.
//!
//! Source: RFC 9106 (argon2id, version 0x13); draft-irtf-cfrg-xchacha-03.
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use std::ops::RangeInclusive;
use zeroize::Zeroizing;

/// Bytes of salt.
pub const SALT_BYTES: usize = 16;
/// Bytes of nonce.
pub const NONCE_BYTES: usize = 24;
/// Bytes of an encrypted seed: the seed and the tag.
pub const CIPHERTEXT_BYTES: usize = 32 + 16;
/// Memory that a key file may demand, in KiB: below, guessing is cheap; above, a file could exhaust
/// the machine of whoever opens it.
pub const MEMORY_KIB: RangeInclusive<u32> = 19 * 1024..=1024 * 1024;
/// Passes over the memory that a key file may demand.
pub const ITERATIONS: RangeInclusive<u32> = 2..=10;
/// Lanes that a key file may demand.
pub const LANES: RangeInclusive<u32> = 1..=4;
/// Shortest passphrase for a new key, in bytes.
pub const NEW_PASSPHRASE_BYTES_MIN: usize = 8;
/// Longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1024;

/// What protects a key. Wiped from memory when dropped; cannot be shown.
pub struct Passphrase(Zeroizing<String>);

/// Why a text is no passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a passphrase of {found} bytes, but {min} to {PASSPHRASE_BYTES_MAX} are allowed")]
pub struct PassphraseError {
    /// Bytes given.
    pub found: usize,
    /// Fewest allowed.
    pub min: usize,
}

impl Passphrase {
    /// Wraps what the user gave for a key that exists.
    ///
    /// # Errors
    /// [`PassphraseError`] when it is empty or too long.
    pub fn new(text: Zeroizing<String>) -> Result<Self, PassphraseError> {
        Self::checked(text, 1)
    }

    /// Wraps what the user chose for a new key.
    ///
    /// # Errors
    /// [`PassphraseError`] below [`NEW_PASSPHRASE_BYTES_MIN`] or above [`PASSPHRASE_BYTES_MAX`] bytes.
    pub fn for_new_key(text: Zeroizing<String>) -> Result<Self, PassphraseError> {
        Self::checked(text, NEW_PASSPHRASE_BYTES_MIN)
    }

    fn checked(text: Zeroizing<String>, min: usize) -> Result<Self, PassphraseError> {
        let found = text.len();
        if (min..=PASSPHRASE_BYTES_MAX).contains(&found) {
            Ok(Self(text))
        } else {
            Err(PassphraseError { found, min })
        }
    }
}

/// What a guess of the passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    iterations: u32,
    lanes: u32,
}

/// A cost outside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {min} to {max}, found {found}")]
pub struct CostError {
    /// Which number.
    pub field: &'static str,
    /// What was given.
    pub found: u32,
    /// Least allowed.
    pub min: u32,
    /// Most allowed.
    pub max: u32,
}

impl Cost {
    /// For new keys: 64 MiB, three passes, one lane; the second recommendation of RFC 9106 with one lane.
    pub const DEFAULT: Cost = Cost { memory_kib: 64 * 1024, iterations: 3, lanes: 1 };
    /// The least that a key file may have.
    pub const LEAST: Cost =
        Cost { memory_kib: *MEMORY_KIB.start(), iterations: *ITERATIONS.start(), lanes: 1 };

    /// Checks the numbers against [`MEMORY_KIB`], [`ITERATIONS`] and [`LANES`].
    ///
    /// # Errors
    /// [`CostError`] naming the first that is out of range.
    pub fn new(memory_kib: u32, iterations: u32, lanes: u32) -> Result<Self, CostError> {
        let check = |field, found, range: RangeInclusive<u32>| {
            let wrong = CostError { field, found, min: *range.start(), max: *range.end() };
            if range.contains(&found) { Ok(()) } else { Err(wrong) }
        };
        check("memory_kib", memory_kib, MEMORY_KIB)?;
        check("iterations", iterations, ITERATIONS)?;
        check("lanes", lanes, LANES)?;
        Ok(Self { memory_kib, iterations, lanes })
    }

    /// Memory in KiB.
    #[must_use]
    pub fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// Lanes.
    #[must_use]
    pub fn lanes(&self) -> u32 {
        self.lanes
    }
}

/// How a new key is protected.
#[derive(Clone, Copy)]
pub enum Protection<'a> {
    /// Encrypted under a passphrase.
    Passphrase {
        /// The passphrase.
        passphrase: &'a Passphrase,
        /// What a guess of it costs.
        cost: Cost,
    },
    /// Not at all: a test key that must never hold anything of worth.
    TestKey,
}

/// The passphrase is wrong or the bytes were changed; the two cannot be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotOpened;

/// The key could not be derived: the memory is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("deriving the key from the passphrase: {0}")]
pub struct DerivationError(argon2::Error);

/// A key derived from a passphrase, ready to encrypt or decrypt one secret.
pub(crate) struct Sealer(XChaCha20Poly1305);

impl Sealer {
    pub(crate) fn derive(
        passphrase: &Passphrase,
        cost: Cost,
        salt: &[u8; SALT_BYTES],
    ) -> Result<Self, DerivationError> {
        let params =
            Params::new(cost.memory_kib, cost.iterations, cost.lanes, Some(32)).map_err(DerivationError)?;
        let mut key = Zeroizing::new([0_u8; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.0.as_bytes(), salt, key.as_mut())
            .map_err(DerivationError)?;
        Ok(Self(XChaCha20Poly1305::new(&Key::from(*key))))
    }

    pub(crate) fn seal(&self, nonce: &[u8; NONCE_BYTES], seed: &[u8; 32], public: &[u8]) -> Vec<u8> {
        let payload = Payload { msg: seed, aad: public };
        // Encryption fails only for messages of more than 256 GiB.
        self.0.encrypt(&XNonce::from(*nonce), payload).unwrap_or_default()
    }

    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE_BYTES],
        sealed: &[u8],
        public: &[u8],
    ) -> Result<Zeroizing<[u8; 32]>, NotOpened> {
        let payload = Payload { msg: sealed, aad: public };
        let opened = Zeroizing::new(self.0.decrypt(&XNonce::from(*nonce), payload).map_err(|_| NotOpened)?);
        <[u8; 32]>::try_from(opened.as_slice()).map(Zeroizing::new).map_err(|_| NotOpened)
    }
}
