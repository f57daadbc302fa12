//! The vote log: what this validator may never forget, on disk before anything of it is sent.
//!
//! Records are opaque bytes here. They are appended in groups, each group with one write and one
//! sync; a failed operation is final, because after it nobody knows what the disk holds, and a second
//! sync would say that all is well.
//!
//! The log is one file. A new one begins when the log is opened and when [`VoteLog::replace`] is
//! called. It is written under another name, synced and renamed, so it is there completely or not at
//! all; then the marker beside the signing key names it, and only then the older one goes. So
//! - all that an opened log has restored is durable, whatever an earlier process left in the memory of
//!   the machine only, even by a sync that failed;
//! - nothing is ever appended to a file before the marker says that it exists, so the loss of a log
//!   with a vote is always noticed;
//! - a copy of the log that is older than the last opening or replacement is noticed, too.
//!
//! What is read back is all that was appended. An unfinished group at the very end was never acted
//! upon and is cut from its first unfinished record on; anything else that is wrong is refused, because a validator that forgets a vote may
//! vote against it. A log that is lost as a whole is begun anew with the records that the caller has
//! for that case; they are in the new file when it becomes visible, so no crash can make a lost log
//! look new.
mod files;
mod marker;
mod segment;

use std::fmt;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};

use quorate_primitives::zoo::{self, Bug};
use quorate_primitives::{Hash, PublicKey};

use self::segment::{At, HEADER_BYTES, Header, Place};
use crate::record;

pub use self::files::{Files, Folder};
pub use self::segment::RECORD_BYTES_MAX;

/// Growth after which the log should be replaced, in bytes.
pub const SEGMENT_BYTES: usize = 64 * 1024 * 1024;
/// Most memory that is kept for the next group, in bytes: that of a large block.
const BUFFER_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Extension of the files.
const EXTENSION: &str = ".log";
/// Extension of files that are not complete.
const TEMPORARY: &str = ".tmp";

const _: () = assert!(record::RECORD_BYTES_MAX <= RECORD_BYTES_MAX);

/// Whose log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Genesis hash of the chain.
    pub chain: Hash,
    /// The validator's key.
    pub key: PublicKey,
}

/// How a log was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The key has voted, and there is no log at all.
    Gone,
    /// The log is older than the marker says: somebody has put an old copy in its place.
    Outdated,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "the key has voted, but its vote log is gone",
            Self::Outdated => "the key has voted since the vote log that is here was written",
        })
    }
}

/// Why the log cannot be used. Each is final for this run of the node.
#[derive(Debug, thiserror::Error)]
pub enum VoteLogError {
    /// The operating system reports a fault.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The fault.
        source: io::Error,
    },
    /// Bytes that were once durable are wrong now.
    #[error("{} is damaged at byte {offset}: {reason}; restore it; if the vote log cannot be restored, remove it, but \
        never the marker beside the key: the validator then goes on as one that lost its log", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the fault is.
        offset: usize,
        /// What was found.
        reason: &'static str,
    },
    /// The log of another validator or chain.
    #[error("{} is the vote log of key {} on chain {}", path.display(), found.key, found.chain)]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: Identity,
    },
    /// A record that no replica makes.
    #[error("a record of {found} bytes, but at most {allowed} are allowed")]
    TooLong {
        /// Bytes given.
        found: usize,
        /// Most bytes allowed.
        allowed: usize,
    },
    /// An operation failed before.
    #[error("the vote log failed before and cannot be used again")]
    Poisoned,
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VoteLogError {
    let path = path.to_owned();
    move |source| VoteLogError::Io { action, path, source }
}

/// The unfinished end that was cut from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file that had it.
    pub path: PathBuf,
    /// Where the last complete record ends.
    pub offset: usize,
    /// Bytes left out.
    pub bytes: usize,
}

/// The opened log.
#[derive(Debug)]
pub struct VoteLog<F> {
    files: F,
    identity: Identity,
    /// Number of the file.
    number: u64,
    size: usize,
    /// Size from which growth is counted.
    initial_size: usize,
    /// Sequence of the next record.
    next: u64,
    /// Hash of the last record.
    last: Hash,
    cut: Option<Cut>,
    lost: Option<Loss>,
    poisoned: bool,
    /// Memory for the next group: fetching it anew from the system costs more than filling it.
    buffer: Vec<u8>,
}

impl<F: Files> VoteLog<F> {
    /// Opens the log or begins one, and hands every record to `restore`, in order. `restore` may say
    /// why bytes cannot be a record. If the log is lost, it begins with the records `after_loss`, which
    /// go through `restore` as well; they should say that there was a loss, since after a crash they
    /// are all that tells of it.
    ///
    /// Only one log may be open on the same files; the caller sees to that.
    ///
    /// # Errors
    /// [`VoteLogError`]; nothing is changed on disk unless the log is accepted.
    pub fn open(
        files: F,
        identity: Identity,
        after_loss: &[Vec<u8>],
        restore: impl FnMut(&[u8]) -> Result<(), &'static str>,
    ) -> Result<Self, VoteLogError> {
        check_lengths(after_loss)?;
        let promised = marker::read(&files, &identity)?;
        let newest = newest(&files)?;
        let mut log = Self {
            files,
            identity,
            number: promised.max(newest).unwrap_or(0),
            size: 0,
            initial_size: HEADER_BYTES,
            next: 1,
            last: Hash::ZERO,
            cut: None,
            lost: None,
            poisoned: false,
            buffer: Vec::new(),
        };
        let content = match newest {
            // The newest file holds the log: it became visible with all that was still needed.
            Some(newest) if promised.is_none_or(|promised| promised <= newest) => log.copy(restore)?,
            Some(outdated) => {
                // Only an old copy of this very log may go.
                read_header(&log.files, &identity, outdated)?;
                log.lost = Some(Loss::Outdated);
                log.first(after_loss, restore)?
            }
            None if promised.is_some() => {
                log.lost = Some(Loss::Gone);
                log.first(after_loss, restore)?
            }
            None => log.first(&[], restore)?,
        };
        log.begin(&content)?;
        Ok(log)
    }

    /// Whether the log was lost and begun anew when it was opened.
    #[must_use]
    pub fn lost(&self) -> Option<Loss> {
        self.lost
    }

    /// What was cut from the end when the log was opened.
    #[must_use]
    pub fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }

    /// Sequence that the next record gets: the number of records written since the log was begun for
    /// the first time or after a loss, and one.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Bytes of the records since the log was replaced; in a log that was not replaced since it was
    /// opened, of all records.
    #[must_use]
    pub fn growth_bytes(&self) -> usize {
        self.size.saturating_sub(self.initial_size)
    }

    /// Appends a group of records with one write and one sync, and returns the bytes written. The
    /// records are durable when this returns, and not before.
    ///
    /// # Errors
    /// [`VoteLogError`]; after one that is not [`VoteLogError::TooLong`] the log cannot be used again.
    pub fn append(&mut self, group: &[Vec<u8>]) -> Result<usize, VoteLogError> {
        self.check(group)?;
        if group.is_empty() {
            return Ok(0);
        }
        // Only a complete append clears this.
        self.poisoned = true;
        let mut buffer = mem::take(&mut self.buffer);
        buffer.clear();
        buffer.reserve(group.iter().map(|record| segment::record_bytes(record.len())).sum());
        self.push(&mut buffer, group);
        let name = file_name(self.number);
        let path = self.files.path(Folder::Log, &name);
        self.files.append(Folder::Log, &name, &buffer).map_err(failed("write", &path))?;
        if !zoo::has(Bug::VoteBeforeSync) {
            self.files.sync(Folder::Log, &name).map_err(failed("sync", &path))?;
        }
        let written = buffer.len();
        self.size = self.size.saturating_add(written);
        self.poisoned = false;
        if buffer.capacity() <= BUFFER_BYTES_MAX {
            self.buffer = buffer;
        }
        Ok(written)
    }

    /// Begins the next file with records that stand for all earlier ones, and removes the file before
    /// it; returns the bytes written. The caller has made sure that whatever else the earlier records
    /// held is durable elsewhere.
    ///
    /// # Errors
    /// [`VoteLogError`]; after one that is not [`VoteLogError::TooLong`] the log cannot be used again.
    pub fn replace(&mut self, records: &[Vec<u8>]) -> Result<usize, VoteLogError> {
        self.check(records)?;
        self.poisoned = true;
        let mut content = self.header()?.encode();
        self.push(&mut content, records);
        self.begin(&content)?;
        self.initial_size = content.len();
        self.poisoned = false;
        Ok(content.len())
    }

    fn check(&self, records: &[Vec<u8>]) -> Result<(), VoteLogError> {
        if self.poisoned { Err(VoteLogError::Poisoned) } else { check_lengths(records) }
    }

    fn push(&mut self, buffer: &mut Vec<u8>, records: &[Vec<u8>]) {
        for (in_group, record) in (0..).zip(records) {
            let place = Place { sequence: self.next, in_group };
            self.last = segment::push_record(buffer, &self.last, place, record);
            self.next = self.next.saturating_add(1);
        }
    }

    /// The header of the file that follows the present one, if the next record is its first.
    fn header(&self) -> Result<Header, VoteLogError> {
        let Self { identity, next: first, last: previous, .. } = *self;
        Ok(Header { identity, number: self.next_number()?, first, previous })
    }

    fn next_number(&self) -> Result<u64, VoteLogError> {
        let path = self.files.path(Folder::Log, &file_name(self.number));
        let reason = "no file can follow one with this number";
        self.number.checked_add(1).ok_or(VoteLogError::Damaged { path, offset: 0, reason })
    }

    /// The content of the first file of a log.
    fn first(
        &mut self,
        records: &[Vec<u8>],
        mut restore: impl FnMut(&[u8]) -> Result<(), &'static str>,
    ) -> Result<Vec<u8>, VoteLogError> {
        let header = self.header()?;
        let mut content = header.encode();
        for record in records {
            restore(record).map_err(|reason| damaged(&self.files, header.number, content.len(), reason))?;
            self.push(&mut content, std::slice::from_ref(record));
        }
        Ok(content)
    }

    /// Reads the present file to its last complete record; the content of a next file with the same
    /// records.
    fn copy(
        &mut self,
        mut restore: impl FnMut(&[u8]) -> Result<(), &'static str>,
    ) -> Result<Vec<u8>, VoteLogError> {
        let (header, mut content) = read_header(&self.files, &self.identity, self.number)?;
        (self.next, self.last) = (header.first, header.previous);
        let next_header = self.header()?;
        let mut offset = HEADER_BYTES;
        loop {
            match segment::read_record(&content, offset, &self.last, self.next) {
                At::Record(found) => {
                    restore(found.content)
                        .map_err(|reason| damaged(&self.files, self.number, offset, reason))?;
                    self.last = found.digest;
                    self.next = self.next.saturating_add(1);
                    offset = found.end;
                }
                At::End => break,
                At::Torn => {
                    let path = self.files.path(Folder::Log, &file_name(self.number));
                    self.cut = Some(Cut { path, offset, bytes: content.len().saturating_sub(offset) });
                    break;
                }
                At::Damaged(reason) => return Err(damaged(&self.files, self.number, offset, reason)),
            }
        }
        if !zoo::has(Bug::TornEndKept) {
            content.truncate(offset);
        }
        content.splice(..HEADER_BYTES, next_header.encode());
        Ok(content)
    }

    /// Makes the next file with this content the log.
    fn begin(&mut self, content: &[u8]) -> Result<(), VoteLogError> {
        self.number = self.next_number()?;
        let temporary = format!("{:010}{TEMPORARY}", self.number);
        write_durably(&mut self.files, Folder::Log, [&temporary, &file_name(self.number)], content)?;
        self.size = content.len();
        if !zoo::has(Bug::MarkerNotWritten) {
            marker::write(&mut self.files, &self.identity, self.number)?;
        }
        self.remove_older()
    }

    /// Removes the files before the present one and what an interrupted creation left. If a crash
    /// undoes that, the next file's beginning does it again.
    fn remove_older(&mut self) -> Result<(), VoteLogError> {
        for name in list(&self.files)? {
            let is_older = number_of(&name, EXTENSION).is_some_and(|number| number < self.number);
            if is_older || number_of(&name, TEMPORARY).is_some() {
                let path = self.files.path(Folder::Log, &name);
                self.files.remove(Folder::Log, &name).map_err(failed("remove", &path))?;
            }
        }
        Ok(())
    }
}

fn check_lengths(records: &[Vec<u8>]) -> Result<(), VoteLogError> {
    match records.iter().map(Vec::len).max() {
        Some(found) if found > RECORD_BYTES_MAX => {
            Err(VoteLogError::TooLong { found, allowed: RECORD_BYTES_MAX })
        }
        Some(_) | None => Ok(()),
    }
}

fn file_name(number: u64) -> String {
    format!("{number:010}{EXTENSION}")
}

/// The number in a name that this log gives, and in no other.
fn number_of(name: &str, extension: &str) -> Option<u64> {
    let number = name.strip_suffix(extension)?.parse().ok()?;
    (name == format!("{number:010}{extension}")).then_some(number)
}

fn damaged(files: &impl Files, number: u64, offset: usize, reason: &'static str) -> VoteLogError {
    VoteLogError::Damaged { path: files.path(Folder::Log, &file_name(number)), offset, reason }
}

fn list(files: &impl Files) -> Result<Vec<String>, VoteLogError> {
    files.list(Folder::Log).map_err(failed("list", &files.path(Folder::Log, "")))
}

/// The highest number of a file.
fn newest(files: &impl Files) -> Result<Option<u64>, VoteLogError> {
    let mut newest = None;
    for name in list(files)?.iter().filter(|name| name.ends_with(EXTENSION)) {
        let path = files.path(Folder::Log, name);
        let reason = "its name is not that of a file of the vote log";
        let number = number_of(name, EXTENSION).ok_or(VoteLogError::Damaged { path, offset: 0, reason })?;
        newest = newest.max(Some(number));
    }
    Ok(newest)
}

/// Reads a file, and its header if it is one of this log.
fn read_header(
    files: &impl Files,
    identity: &Identity,
    number: u64,
) -> Result<(Header, Vec<u8>), VoteLogError> {
    let name = file_name(number);
    let path = files.path(Folder::Log, &name);
    let content = files.read(Folder::Log, &name).map_err(failed("read", &path))?;
    let content = content.ok_or_else(|| damaged(files, number, 0, "it vanished"))?;
    let header = Header::decode(&content).map_err(|reason| damaged(files, number, 0, reason))?;
    if header.identity != *identity {
        return Err(VoteLogError::Foreign { path, found: header.identity });
    }
    if header.number != number {
        return Err(damaged(files, number, 0, "the header has the number of another file"));
    }
    Ok((header, content))
}

/// Makes a file so that after a crash it has all of this content or was never there; a file that it
/// takes the place of is there until then. `names` are the temporary and the final one.
fn write_durably(
    files: &mut impl Files,
    folder: Folder,
    names: [&str; 2],
    content: &[u8],
) -> Result<(), VoteLogError> {
    let [temporary, name] = names;
    let path = files.path(folder, temporary);
    files.create(folder, temporary, content).map_err(failed("create", &path))?;
    files.sync(folder, temporary).map_err(failed("sync", &path))?;
    files.rename(folder, temporary, name).map_err(failed("rename", &path))?;
    files.sync_folder(folder).map_err(failed("sync", &files.path(folder, "")))
}
