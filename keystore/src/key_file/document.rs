//! The JSON of a key file, and the check of each of its fields.
use quorate_primitives::hash::parse_hex;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Cipher, KEY_FILE_SCHEMA, KeyFault, KeyFile};
use crate::cipher::{CIPHERTEXT_BYTES, Cost};
use crate::names::KeyName;

const AEAD: &str = "xchacha20-poly1305";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: u64,
    name: String,
    public_key: String,
    account: String,
    cipher: CipherDocument,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kdf", deny_unknown_fields)]
enum CipherDocument {
    #[serde(rename = "argon2id")]
    Argon2id {
        memory_kib: u32,
        iterations: u32,
        lanes: u32,
        salt: String,
        aead: String,
        nonce: String,
        ciphertext: String,
    },
    #[serde(rename = "none")]
    None { seed: String },
}

fn field(field: &'static str, allowed: &str, found: &str) -> KeyFault {
    let found = format!("{:?}", found.chars().take(80).collect::<String>());
    KeyFault::Field { field, allowed: allowed.to_owned(), found }
}

fn bytes<const N: usize>(name: &'static str, text: &str) -> Result<[u8; N], KeyFault> {
    let digits = N.saturating_mul(2);
    parse_hex(text).map_err(|_| field(name, &format!("{digits} hexadecimal digits"), text))
}

pub(super) fn parse(text: &str) -> Result<KeyFile, KeyFault> {
    let document: Document =
        serde_json::from_str(text).map_err(|error| KeyFault::Document { reason: error.to_string() })?;
    if document.schema != KEY_FILE_SCHEMA {
        return Err(field("schema", &KEY_FILE_SCHEMA.to_string(), &document.schema.to_string()));
    }
    let name = KeyName::new(&document.name).map_err(|error| field("name", error.rule, &document.name))?;
    let public_key = quorate_primitives::PublicKey::from_bytes(bytes("public_key", &document.public_key)?);
    public_key.check().map_err(|error| {
        field("public_key", &format!("a key that can sign ({error})"), &document.public_key)
    })?;
    let account = quorate_primitives::address::AccountId::from_bytes(bytes("account", &document.account)?);
    let cipher = parse_cipher(&document.cipher)?;
    Ok(KeyFile { name, public_key, account, cipher })
}

fn parse_cipher(document: &CipherDocument) -> Result<Cipher, KeyFault> {
    match document {
        CipherDocument::None { seed } => {
            let secret = super::parse_seed(seed)?;
            Ok(Cipher::None { seed: secret.expose_seed() })
        }
        CipherDocument::Argon2id { memory_kib, iterations, lanes, salt, aead, nonce, ciphertext } => {
            let cost = Cost::new(*memory_kib, *iterations, *lanes).map_err(|error| {
                field(error.field, &format!("{} to {}", error.min, error.max), &error.found.to_string())
            })?;
            if aead != AEAD {
                return Err(field("aead", AEAD, aead));
            }
            Ok(Cipher::Argon2id {
                cost,
                salt: bytes("salt", salt)?,
                nonce: bytes("nonce", nonce)?,
                ciphertext: bytes::<CIPHERTEXT_BYTES>("ciphertext", ciphertext)?,
            })
        }
    }
}

pub(super) fn write(file: &KeyFile) -> Zeroizing<String> {
    let cipher = match &file.cipher {
        Cipher::None { seed } => CipherDocument::None { seed: hex::encode(seed.as_ref()) },
        Cipher::Argon2id { cost, salt, nonce, ciphertext } => CipherDocument::Argon2id {
            memory_kib: cost.memory_kib(),
            iterations: cost.iterations(),
            lanes: cost.lanes(),
            salt: hex::encode(salt),
            aead: AEAD.to_owned(),
            nonce: hex::encode(nonce),
            ciphertext: hex::encode(ciphertext),
        },
    };
    let document = Document {
        schema: KEY_FILE_SCHEMA,
        name: file.name.to_string(),
        public_key: file.public_key.to_string(),
        account: file.account.to_string(),
        cipher,
    };
    // Numbers, strings and maps with string keys: there is nothing that JSON cannot hold.
    let mut text = Zeroizing::new(serde_json::to_string_pretty(&document).unwrap_or_default());
    text.push('\n');
    text
}
