//! The marker beside the signing key: this key has signed, and this file is its log.
//!
//! Whoever loses the vote log and votes again is a Byzantine validator. The marker lies outside the
//! log's folder, so that a lost, emptied or older log is noticed. It changes only when
//! the log is replaced.
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Identity, JournalError, failed, write_durably};

/// First line of the file.
const TITLE: &str = "quorate vote log marker 1";

/// Where the marker of a key on a chain lies.
pub(super) fn path(folder: &Path, identity: &Identity) -> PathBuf {
    let short = |text: String| text.chars().take(16).collect::<String>();
    let (key, chain) = (short(identity.key.to_string()), short(identity.chain.to_string()));
    folder.join(format!("signed-{key}-{chain}.marker"))
}

/// The number of the file that holds the log, if the key has signed before.
pub(super) fn read(path: &Path, identity: &Identity) -> Result<Option<u64>, JournalError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path)(error)),
    };
    let damaged =
        || JournalError::Damaged { path: path.to_owned(), offset: 0, reason: "not a vote log marker" };
    let mut file = None;
    for line in text.lines().skip(1) {
        match line.split_once(' ') {
            Some(("chain", chain)) if chain == identity.chain.to_string() => {}
            Some(("key", key)) if key == identity.key.to_string() => {}
            Some(("file", number)) => file = number.parse().ok(),
            Some(_) | None => return Err(damaged()),
        }
    }
    match file {
        Some(number) if text.lines().next() == Some(TITLE) => Ok(Some(number)),
        Some(_) | None => Err(damaged()),
    }
}

/// Replaces the marker durably.
pub(super) fn write(path: &Path, identity: &Identity, file: u64) -> Result<(), JournalError> {
    let Identity { chain, key, .. } = identity;
    let text = format!("{TITLE}\nchain {chain}\nkey {key}\nfile {file}\n");
    write_durably(path, text.as_bytes())
}
