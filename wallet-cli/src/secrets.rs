//! Where passphrases and secrets come from. None is ever taken from the command line or from the
//! environment, where others could read it.
use quorate_keystore::{KeyFile, Passphrase};
use quorate_primitives::SecretKey;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

use crate::arguments::Settings;
use crate::failure::{Exit, Failure};

/// Longest file with a passphrase or a secret, in bytes.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Whether a person sits in front of the process and can be asked.
#[must_use]
pub fn is_attended() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn key_failure(message: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Key, message)
}

/// Opens a key: a test key at once, another one with the passphrase that the settings lead to.
///
/// # Errors
/// [`Exit::Key`] naming the key, and the flags if nobody can be asked.
pub fn open(key: &KeyFile, settings: &Settings) -> Result<SecretKey, Failure> {
    if key.is_test_key() {
        return Ok(key.open(None)?);
    }
    let text = given(settings)?.map(|text| line(&text, 0).unwrap_or_default());
    open_encrypted(key, text)
}

/// Opens keys in order: test keys at once, and each of the others with its own line of the passphrases
/// that the settings lead to.
///
/// # Errors
/// As [`open`]; also if there are fewer lines than encrypted keys.
pub fn open_each(keys: &[&KeyFile], settings: &Settings) -> Result<Vec<SecretKey>, Failure> {
    if keys.iter().all(|key| key.is_test_key()) {
        return keys.iter().map(|key| Ok(key.open(None)?)).collect();
    }
    // Read once: what comes from a descriptor comes only once.
    let all = given(settings)?;
    let mut encrypted = 0_usize;
    let mut open = |key: &&KeyFile| {
        if key.is_test_key() {
            return Ok(key.open(None)?);
        }
        let number = encrypted;
        encrypted = encrypted.saturating_add(1);
        let missing = || {
            let (name, line) = (key.name().as_str(), encrypted);
            let where_from = "one line for each encrypted key is expected, in the order in which they sign";
            key_failure(format_args!("key {name:?}: no passphrase on line {line}; {where_from}"))
        };
        let text = all.as_ref().map(|all| line(all, number).ok_or_else(missing)).transpose()?;
        open_encrypted(key, text)
    };
    keys.iter().map(&mut open).collect()
}

/// Opens an encrypted key with this passphrase, or with one that a person types.
fn open_encrypted(key: &KeyFile, text: Option<Zeroizing<String>>) -> Result<SecretKey, Failure> {
    let name = key.name();
    let text = match text {
        Some(text) => text,
        None => ask(
            &format!("Passphrase of {name}: "),
            &format!("the key {name:?} is encrypted", name = name.as_str()),
        )?,
    };
    let passphrase = Passphrase::new(text).map_err(key_failure)?;
    key.open(Some(&passphrase)).map_err(|fault| key_failure(format_args!("key {:?}: {fault}", name.as_str())))
}

fn line(text: &str, number: usize) -> Option<Zeroizing<String>> {
    text.lines().nth(number).map(|line| Zeroizing::new(line.to_owned()))
}

/// The passphrase for a new key; a person types it twice.
///
/// # Errors
/// [`Exit::Key`] if it is too short, or nobody can be asked and no flag was given.
pub fn choose(settings: &Settings) -> Result<Passphrase, Failure> {
    if let Some(text) = given(settings)? {
        let first = line(&text, 0).unwrap_or_default();
        return Passphrase::for_new_key(first).map_err(key_failure);
    }
    let first = ask("New passphrase: ", "a new key needs a passphrase")?;
    let passphrase = Passphrase::for_new_key(first.clone()).map_err(key_failure)?;
    let second = ask("The same again: ", "a new key needs a passphrase")?;
    if *first != *second {
        return Err(key_failure("the two passphrases differ"));
    }
    Ok(passphrase)
}

/// Where passphrases are written, one on each line.
fn given(settings: &Settings) -> Result<Option<Zeroizing<String>>, Failure> {
    let path = match (&settings.passphrase_file, settings.passphrase_fd) {
        (Some(path), _) => path.clone(),
        (None, Some(descriptor)) => PathBuf::from(format!("/dev/fd/{descriptor}")),
        (None, None) => return Ok(None),
    };
    read(&path).map(Some)
}

fn ask(prompt: &str, why: &str) -> Result<Zeroizing<String>, Failure> {
    if !is_attended() {
        let flags = "give --passphrase-file or --passphrase-fd";
        return Err(key_failure(format_args!("{why}, and there is no terminal to ask at: {flags}")));
    }
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .map_err(|error| key_failure(format_args!("prompt: {error}")))
}

/// Reads a secret text from a file, or from standard input for `-`.
///
/// # Errors
/// [`Exit::Key`] naming the file; what is in it is not repeated.
pub fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let shown = path.display();
    let refused = |error: io::Error| key_failure(format_args!("{shown}: {error}"));
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(refused)?)
    };
    let limit = SECRET_FILE_BYTES_MAX.saturating_add(1);
    // Room for all of it at once: text that grows leaves copies behind that nobody wipes.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(limit).unwrap_or(0)));
    let read = source.take(limit).read_to_string(&mut text).map_err(refused)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > SECRET_FILE_BYTES_MAX {
        return Err(key_failure(format_args!("{shown}: longer than {SECRET_FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}
