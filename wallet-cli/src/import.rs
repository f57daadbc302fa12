//! Secrets in the forms in which other software keeps them.
use quorate_keystore::KeyFile;
use quorate_keystore::key_file::parse_seed;
use quorate_primitives::SecretKey;
use zeroize::Zeroizing;

use crate::arguments::Settings;
use crate::failure::{Exit, Failure};
use crate::secrets;

/// What stands before the 32 bytes of the seed in a PKCS#8 document of an Ed25519 key, version 1
/// (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

const FORMS: &str = "64 hexadecimal digits, a JSON array of 64 bytes (seed, then public key), a PKCS#8 PEM \
                     document of an Ed25519 key, or a key file";

fn wrong(what: &str) -> Failure {
    // What was found is never repeated: it may be most of a secret.
    Failure::new(Exit::Key, format_args!("secret: expected {FORMS}; {what}"))
}

/// Reads a secret in any of the known forms; an encrypted key file is opened with the passphrase that
/// the settings lead to.
///
/// # Errors
/// [`Exit::Key`] naming the allowed forms, never the secret.
pub fn parse(text: &str, settings: &Settings) -> Result<SecretKey, Failure> {
    let text = text.trim();
    match text.bytes().next() {
        None => Err(wrong("found nothing")),
        Some(b'{') => secrets::open(&KeyFile::parse(text)?, settings),
        Some(b'[') => json_array(text),
        Some(b'-') => pem(text),
        Some(_) => parse_seed(text).map_err(|_| wrong("found something else")),
    }
}

fn seed(bytes: &[u8]) -> Option<SecretKey> {
    let bytes = <[u8; 32]>::try_from(bytes).ok()?;
    Some(SecretKey::from_seed(&Zeroizing::new(bytes)))
}

fn json_array(text: &str) -> Result<SecretKey, Failure> {
    let bytes: Vec<u8> = serde_json::from_str(text).map_err(|_| wrong("the array does not hold bytes"))?;
    let bytes = Zeroizing::new(bytes);
    let (first, second) = bytes.split_at_checked(32).ok_or_else(|| wrong("the array is too short"))?;
    let secret = seed(first).ok_or_else(|| wrong("the array is too short"))?;
    if secret.public_key().as_bytes().as_slice() != second {
        return Err(wrong("the second half of the array is not the public key of the first"));
    }
    Ok(secret)
}

fn pem(text: &str) -> Result<SecretKey, Failure> {
    let body = text.strip_prefix("-----BEGIN PRIVATE KEY-----");
    let body = body.and_then(|rest| rest.strip_suffix("-----END PRIVATE KEY-----"));
    let body = body.ok_or_else(|| wrong("the PEM document is not one unencrypted PRIVATE KEY"))?;
    let bytes = base64(body).ok_or_else(|| wrong("the PEM document is not base64"))?;
    let rest = bytes.strip_prefix(PKCS8_PREFIX.as_slice());
    rest.and_then(seed).ok_or_else(|| wrong("the PEM document holds no Ed25519 key of PKCS#8 version 1"))
}

/// Decodes base64 with its padding (RFC 4648, section 4), white space between the letters allowed.
fn base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let (mut bits, mut count, mut padding) = (0_u32, 0_u32, 0_usize);
    for letter in text.bytes().filter(|letter| !letter.is_ascii_whitespace()) {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                continue;
            }
            _ => return None,
        };
        if padding > 0 {
            return None;
        }
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    // What is left over after the last byte is zero, and the padding fills four letters.
    let expected = match count {
        0 => 0,
        2 => 1,
        4 => 2,
        _ => return None,
    };
    (bits == 0 && padding == expected).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    // RFC 8032, section 7.1, test 1.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    // RFC 8410, section 10.3; its public key is that of section 10.1.
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const PEM_PUBLIC: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

    fn public_of(text: &str) -> Result<String, Failure> {
        let arguments =
            crate::arguments::Arguments::try_parse_from(["quorate-wallet", "keys", "list"]).unwrap();
        parse(text, &arguments.settings).map(|secret| secret.public_key().to_string())
    }

    fn array(bytes: &str) -> String {
        format!("{:?}", hex::decode(bytes).unwrap())
    }

    #[test]
    fn reads_every_form_of_a_secret() {
        assert_eq!(public_of(&format!("{SEED}\n")).unwrap(), PUBLIC);
        assert_eq!(public_of(&array(&format!("{SEED}{PUBLIC}"))).unwrap(), PUBLIC);
        assert_eq!(public_of(PEM).unwrap(), PEM_PUBLIC);
    }

    #[test]
    fn refuses_other_texts_without_repeating_them() {
        let wrong = [
            String::new(),
            SEED[1..].to_owned(),
            format!("{SEED}00"),
            SEED.replace('9', "g"),
            array(SEED),
            array(&format!("{SEED}{SEED}")),
            "[256]".to_owned(),
            PEM.replace("MC4C", "MC4D"),
            PEM.replace("dVhC", "dVh"),
            PEM.replace("PRIVATE", "ENCRYPTED PRIVATE"),
            "{}".to_owned(),
        ];
        for text in wrong {
            let failure = public_of(&text).expect_err(&text);
            assert_eq!(failure.exit, Exit::Key);
            assert!(!failure.message.contains(&SEED[2..20]), "{failure}");
        }
    }
}
