//! One file a key: who it is in clear, the secret encrypted.
//!
//! Shape: a JSON object with exactly the fields `schema`, `name`, `public_key`, `account` and `cipher`.
//! `cipher` has `kdf` and, for `"argon2id"`, `memory_kib`, `iterations`, `lanes`, `salt`, `aead`,
//! `nonce` and `ciphertext`; for `"none"`, `seed`. Bytes are hexadecimal. Everything but nonce and
//! ciphertext is associated data of the encryption, so a file with another name, account or cost does
//! not open.
use quorate_primitives::address::AccountId;
use quorate_primitives::hash::parse_hex;
use quorate_primitives::state::Authority;
use quorate_primitives::{PublicKey, SecretKey};
use rand::TryRng;
use rand::rngs::SysRng;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

use crate::cipher::{
    CIPHERTEXT_BYTES, Cost, DerivationError, NONCE_BYTES, Passphrase, Protection, SALT_BYTES, Sealer,
};
use crate::files::{self, FileError};
use crate::names::KeyName;

mod document;

/// Version of the file's shape.
pub const KEY_FILE_SCHEMA: u64 = 1;
/// Longest key file in bytes; a real one has about 700.
pub const KEY_FILE_BYTES_MAX: usize = 16 * 1024;

/// A key as its file holds it: its public part, and the secret under its protection.
#[derive(Clone)]
pub struct KeyFile {
    name: KeyName,
    public_key: PublicKey,
    account: AccountId,
    cipher: Cipher,
}

#[derive(Clone)]
enum Cipher {
    Argon2id {
        cost: Cost,
        salt: [u8; SALT_BYTES],
        nonce: [u8; NONCE_BYTES],
        ciphertext: [u8; CIPHERTEXT_BYTES],
    },
    None {
        seed: Zeroizing<[u8; 32]>,
    },
}

/// What is wrong with the content of a key file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Not JSON, or a field is missing, unknown or of another type.
    #[error("not a key file: {reason}")]
    Document {
        /// What the parser met, and where.
        reason: String,
    },
    /// A value outside what is allowed.
    #[error("{field}: expected {allowed}, found {found}")]
    Field {
        /// Which.
        field: &'static str,
        /// What may stand there.
        allowed: String,
        /// What stands there; for secrets only its length.
        found: String,
    },
    /// The secret is encrypted, and no passphrase was given.
    #[error("the key is encrypted and needs its passphrase")]
    PassphraseNeeded,
    /// Decryption failed.
    #[error("the passphrase is wrong, or the file was changed")]
    NotOpened,
    /// The secret belongs to another public key.
    #[error("public_key: the secret in the file belongs to the key {found}, not to {expected}")]
    OtherKey {
        /// Public key in the file.
        expected: PublicKey,
        /// Public key of the secret.
        found: PublicKey,
    },
    /// Others can read or change the file of a key that is worth something.
    #[error("mode {found:04o}: others can read the file, expected 0600 (chmod 600 makes it so)")]
    Mode {
        /// Mode of the file.
        found: u32,
    },
    /// The key could not be derived.
    #[error(transparent)]
    Derivation(#[from] DerivationError),
    /// The operating system gave no randomness.
    #[error("no random bytes: {reason}")]
    Randomness {
        /// What it said.
        reason: String,
    },
}

/// Why a key cannot be used; names the file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its content is at fault.
    #[error("{}: {fault}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        fault: KeyFault,
    },
}

impl KeyFile {
    /// Protects a secret; writes nothing.
    ///
    /// The account is the one that starts with this key alone, unless another is given.
    ///
    /// # Errors
    /// [`KeyFault::Randomness`], [`KeyFault::Derivation`].
    pub fn seal(
        name: &KeyName,
        secret: &SecretKey,
        account: Option<AccountId>,
        protection: Protection<'_>,
    ) -> Result<Self, KeyFault> {
        let public_key = secret.public_key();
        let account = account.unwrap_or_else(|| account_of(public_key));
        let cipher = Cipher::None { seed: secret.expose_seed() };
        let mut file = Self { name: name.clone(), public_key, account, cipher };
        if let Protection::Passphrase { passphrase, cost } = protection {
            let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_BYTES]);
            let random = |bytes: &mut [u8]| {
                let lost = |error: rand::rngs::SysError| KeyFault::Randomness { reason: error.to_string() };
                SysRng.try_fill_bytes(bytes).map_err(lost)
            };
            random(&mut salt)?;
            random(&mut nonce)?;
            let public = file.public_part(cost, &salt);
            let sealed =
                Sealer::derive(passphrase, cost, &salt)?.seal(&nonce, &secret.expose_seed(), &public);
            let ciphertext = sealed.try_into().map_err(|_| KeyFault::NotOpened)?;
            file.cipher = Cipher::Argon2id { cost, salt, nonce, ciphertext };
        }
        Ok(file)
    }

    /// Reads the text of a key file.
    ///
    /// # Errors
    /// [`KeyFault`] naming field, value and what is allowed.
    pub fn parse(text: &str) -> Result<Self, KeyFault> {
        document::parse(text)
    }

    /// Reads a key file; the secret stays encrypted.
    ///
    /// # Errors
    /// [`KeyFileError`] naming the file. [`KeyFault::Mode`] if others can read an encrypted key.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let text = Zeroizing::new(files::read_text(path, KEY_FILE_BYTES_MAX)?);
        let at_fault = |fault| KeyFileError::Content { path: path.to_owned(), fault };
        let file = Self::parse(&text).map_err(at_fault)?;
        let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode() & 0o7777);
        if !file.is_test_key() && mode & 0o077 != 0 {
            return Err(at_fault(KeyFault::Mode { found: mode }));
        }
        Ok(file)
    }

    /// Writes a new key file, mode 0600, whole or not at all; never over another.
    ///
    /// # Errors
    /// [`FileError::Exists`] if the name is taken, [`FileError::System`] otherwise.
    pub fn create(&self, path: &Path) -> Result<(), FileError> {
        files::create(path, self.to_text().as_bytes())
    }

    /// The text of the file. For a test key it contains the secret.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        document::write(self)
    }

    /// The secret.
    ///
    /// Blocks for as long as the key derivation takes, about 0.1 s at the default cost. A test key needs
    /// no passphrase and ignores one.
    ///
    /// # Errors
    /// [`KeyFault::PassphraseNeeded`], [`KeyFault::NotOpened`], [`KeyFault::OtherKey`],
    /// [`KeyFault::Derivation`].
    pub fn open(&self, passphrase: Option<&Passphrase>) -> Result<SecretKey, KeyFault> {
        let secret = match &self.cipher {
            Cipher::None { seed } => SecretKey::from_seed(seed),
            Cipher::Argon2id { cost, salt, nonce, ciphertext } => {
                let passphrase = passphrase.ok_or(KeyFault::PassphraseNeeded)?;
                let public = self.public_part(*cost, salt);
                let sealer = Sealer::derive(passphrase, *cost, salt)?;
                let seed = sealer.open(nonce, ciphertext, &public).map_err(|_| KeyFault::NotOpened)?;
                SecretKey::from_seed(&seed)
            }
        };
        let found = secret.public_key();
        if found != self.public_key {
            return Err(KeyFault::OtherKey { expected: self.public_key, found });
        }
        Ok(secret)
    }

    /// The key's name.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// The account that the key acts for.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Whether the secret lies in the file without protection. Whoever shows such a key says so.
    #[must_use]
    pub fn is_test_key(&self) -> bool {
        matches!(self.cipher, Cipher::None { .. })
    }

    /// Associated data: one line for each public field, in this order.
    fn public_part(&self, cost: Cost, salt: &[u8; SALT_BYTES]) -> Vec<u8> {
        let Self { name, public_key, account, .. } = self;
        let (memory, iterations, lanes) = (cost.memory_kib(), cost.iterations(), cost.lanes());
        let salt = hex::encode(salt);
        format!(
            "quorate key file {KEY_FILE_SCHEMA}\n{name}\n{public_key}\n{account}\n\
             argon2id\n{memory}\n{iterations}\n{lanes}\n{salt}\n"
        )
        .into_bytes()
    }
}

/// The account that starts with this key alone, salt zero.
#[must_use]
pub fn account_of(key: PublicKey) -> AccountId {
    AccountId::derive(&Authority::single(key), &[0; 16])
}

/// Reads a 32-byte seed in hexadecimal, as in RFC 8032; the error does not repeat it.
///
/// # Errors
/// [`KeyFault::Field`] with the number of characters found.
pub fn parse_seed(text: &str) -> Result<SecretKey, KeyFault> {
    let wrong = |_| KeyFault::Field {
        field: "seed",
        allowed: "64 hexadecimal digits".to_owned(),
        found: format!("{} characters that are not", text.chars().count()),
    };
    parse_hex::<32>(text).map(Zeroizing::new).map(|seed| SecretKey::from_seed(&seed)).map_err(wrong)
}
