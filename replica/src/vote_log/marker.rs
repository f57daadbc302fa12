//! The marker beside the signing key: this key has signed, and this file is its log.
//!
//! Whoever loses the vote log and votes again is a Byzantine validator. The marker lies outside the
//! log's folder, so that a lost, emptied or older log is noticed. It changes only when a new file of
//! the log has become durable.
use super::{Files, Folder, Identity, VoteLogError, failed, write_durably};

/// First line of the file.
const TITLE: &str = "quorate vote log marker 1";

/// Name of the marker of a key on a chain, without its extension.
fn stem(identity: &Identity) -> String {
    let short = |text: String| text.chars().take(16).collect::<String>();
    let (key, chain) = (short(identity.key.to_string()), short(identity.chain.to_string()));
    format!("signed-{key}-{chain}")
}

fn name(identity: &Identity) -> String {
    format!("{}.marker", stem(identity))
}

fn content(identity: &Identity, number: u64) -> String {
    let Identity { chain, key } = identity;
    format!("{TITLE}\nchain {chain}\nkey {key}\nfile {number}\n")
}

/// The number of the file that holds the log, if the key has signed before.
pub(super) fn read(files: &impl Files, identity: &Identity) -> Result<Option<u64>, VoteLogError> {
    let name = name(identity);
    let path = files.path(Folder::Marker, &name);
    let bytes = files.read(Folder::Marker, &name).map_err(failed("read", &path))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let number = String::from_utf8(bytes).ok().and_then(|text| {
        let number = text.lines().last()?.strip_prefix("file ")?.parse().ok()?;
        (text == content(identity, number)).then_some(number)
    });
    let damaged = VoteLogError::Damaged { path, offset: 0, reason: "not the marker of this vote log" };
    number.ok_or(damaged).map(Some)
}

/// Replaces the marker durably.
pub(super) fn write(files: &mut impl Files, identity: &Identity, number: u64) -> Result<(), VoteLogError> {
    let temporary = format!("{}.tmp", stem(identity));
    let content = content(identity, number);
    write_durably(files, Folder::Marker, [&temporary, &name(identity)], content.as_bytes())
}
