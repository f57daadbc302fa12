//! The vote log: what this validator may never forget, on disk before anything of it is sent.
//!
//! Records are opaque bytes here. They are appended in groups, each group with one write and one
//! sync; a failed write or sync is final, because after it nobody knows what the disk holds, and a
//! second sync would say that all is well. At start every record is read back. An unfinished record
//! at the very end was never acted upon and is cut; anything else that is wrong is refused, because a
//! validator that forgets a vote may vote against it.
//!
//! The log is one file. When it has grown, [`Journal::replace`] begins the next with the records that
//! stand for all earlier ones; the new file is there completely or not at all, and only then the old
//! one goes.
mod marker;
mod segment;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use quorate_primitives::{EpochNumber, Hash, PublicKey};

use self::segment::{At, HEADER_BYTES, Header, RECORD_BYTES_MAX};

/// Growth after which the log should be replaced, in bytes.
pub const SEGMENT_BYTES: usize = 64 * 1024 * 1024;
/// Number of the first file.
const FIRST_SEGMENT: u64 = 1;
/// Extension of the files.
const EXTENSION: &str = "log";

/// Whose log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Genesis hash of the chain.
    pub chain: Hash,
    /// The validator's key.
    pub key: PublicKey,
    /// Validator-set period.
    pub epoch: EpochNumber,
}

/// Where the log is.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// Folder of the log's files.
    pub folder: PathBuf,
    /// Folder of the marker: the one that holds the signing key.
    pub marker_folder: PathBuf,
}

/// Why the log cannot be used. Each is final for this run of the node.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process runs on the same data.
    #[error("{} is locked: another node is running on this folder", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
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
    #[error("{} is damaged at byte {offset}: {reason}; restore it, or let this key never vote again on this chain",
        path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the fault is.
        offset: usize,
        /// What was found.
        reason: &'static str,
    },
    /// The log of another validator, chain or epoch.
    #[error("{} is the vote log of key {} on chain {} in epoch {}", path.display(), found.key, found.chain, found.epoch)]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: Identity,
    },
    /// A file of the log is not there.
    #[error("file {number} of the vote log is missing in {}, but {} says that it was written; restore the folder, or \
        let this key never vote again on this chain", folder.display(), marker.display())]
    Missing {
        /// The log's folder.
        folder: PathBuf,
        /// Number of the missing file.
        number: u64,
        /// The marker that proves that it existed.
        marker: PathBuf,
    },
    /// The key has voted, and there is no log at all.
    #[error("this key has voted on this chain ({}), but its vote log {} is gone; restore the folder from the machine \
        that voted, or replace the validator's key; removing the marker risks double voting", marker.display(),
        folder.display())]
    Amnesia {
        /// The marker.
        marker: PathBuf,
        /// The folder where the log should be.
        folder: PathBuf,
    },
    /// A record that no replica makes.
    #[error("a record of {found} bytes, but at most {allowed} are allowed")]
    TooLong {
        /// Bytes given.
        found: usize,
        /// Most bytes allowed.
        allowed: usize,
    },
    /// A write or sync failed before.
    #[error("the vote log failed before and cannot be used again")]
    Poisoned,
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io { action, path, source }
}

/// Held while a process uses a data folder.
#[derive(Debug)]
pub struct FolderLock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl FolderLock {
    /// Creates the folder if needed and locks it against other processes.
    ///
    /// # Errors
    /// [`JournalError::Locked`] when another process holds the lock; [`JournalError::Io`] otherwise.
    pub fn acquire(folder: &Path) -> Result<Self, JournalError> {
        fs::create_dir_all(folder).map_err(failed("create", folder))?;
        let path = folder.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(fs::TryLockError::WouldBlock) => Err(JournalError::Locked { path }),
            Err(fs::TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
        }
    }
}

/// An unfinished record that was cut from the end of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub path: PathBuf,
    /// Where it ends now.
    pub offset: usize,
    /// Bytes removed.
    pub bytes: usize,
}

/// The opened log. Owned by the thread that runs the replica.
#[derive(Debug)]
pub struct Journal {
    config: JournalConfig,
    identity: Identity,
    marker: PathBuf,
    number: u64,
    file: File,
    size: usize,
    /// Size when the file was begun.
    initial_size: usize,
    /// Sequence of the next record.
    next: u64,
    /// Hash of the last record.
    last: Hash,
    cut: Option<Cut>,
    poisoned: bool,
}

impl Journal {
    /// Opens the log or begins one, and hands every record to `restore`, in order. `restore` may say
    /// why bytes cannot be a record.
    ///
    /// # Errors
    /// [`JournalError`]; nothing is changed on disk unless the log is accepted, except that what an
    /// interrupted replacement left is removed.
    pub fn open(
        config: JournalConfig,
        identity: Identity,
        restore: impl FnMut(&[u8]) -> Result<(), &'static str>,
    ) -> Result<Self, JournalError> {
        fs::create_dir_all(&config.folder).map_err(failed("create", &config.folder))?;
        fs::create_dir_all(&config.marker_folder).map_err(failed("create", &config.marker_folder))?;
        let marker = marker::path(&config.marker_folder, &identity);
        let number = choose(&config.folder, &marker, marker::read(&marker, &identity)?)?;
        let path = segment_path(&config.folder, number);
        if number == FIRST_SEGMENT && !path.exists() {
            write_durably(&path, &Header { identity, number, first: 1, previous: Hash::ZERO }.encode())?;
        }
        let Tail { next, last, cut } = read(&path, number, &identity, restore)?;
        let (file, size) = reopen(&path, cut.as_ref())?;
        marker::write(&marker, &identity, number)?;
        remove_before(&config.folder, number)?;
        let initial_size = HEADER_BYTES;
        Ok(Self {
            config,
            identity,
            marker,
            number,
            file,
            size,
            initial_size,
            next,
            last,
            cut,
            poisoned: false,
        })
    }

    /// What was cut from the end when the log was opened.
    #[must_use]
    pub fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }

    /// Sequence that the next record gets: the number of records ever written, and one.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Bytes by which the file has grown since it was begun or opened.
    #[must_use]
    pub fn growth_bytes(&self) -> usize {
        self.size.saturating_sub(self.initial_size)
    }

    /// Appends a group of records with one write and one sync, and returns the bytes written. The
    /// records are durable when this returns, and not before.
    ///
    /// # Errors
    /// [`JournalError`]; after one that is not [`JournalError::TooLong`] the log cannot be used again.
    pub fn append(&mut self, group: &[Vec<u8>]) -> Result<usize, JournalError> {
        self.check(group)?;
        if group.is_empty() {
            return Ok(0);
        }
        // Only a complete append clears this.
        self.poisoned = true;
        let mut buffer = Vec::new();
        self.push(&mut buffer, group);
        let path = segment_path(&self.config.folder, self.number);
        self.file.write_all(&buffer).map_err(failed("write", &path))?;
        self.file.sync_data().map_err(failed("sync", &path))?;
        self.size += buffer.len();
        self.poisoned = false;
        Ok(buffer.len())
    }

    /// Begins the next file with records that stand for all earlier ones, and removes the file before
    /// it. The caller has made sure that whatever else the earlier records held is durable elsewhere.
    ///
    /// # Errors
    /// [`JournalError`]; after one that is not [`JournalError::TooLong`] the log cannot be used again.
    pub fn replace(&mut self, records: &[Vec<u8>]) -> Result<usize, JournalError> {
        self.check(records)?;
        self.poisoned = true;
        let number = self.number + 1;
        let header = Header { identity: self.identity, number, first: self.next, previous: self.last };
        let mut content = header.encode();
        self.push(&mut content, records);
        let path = segment_path(&self.config.folder, number);
        write_durably(&path, &content)?;
        (self.file, self.size) = reopen(&path, None)?;
        (self.number, self.initial_size) = (number, self.size);
        marker::write(&self.marker, &self.identity, number)?;
        remove_before(&self.config.folder, number)?;
        self.poisoned = false;
        Ok(content.len())
    }

    fn check(&self, records: &[Vec<u8>]) -> Result<(), JournalError> {
        if self.poisoned {
            return Err(JournalError::Poisoned);
        }
        match records.iter().map(Vec::len).max() {
            Some(found) if found > RECORD_BYTES_MAX => {
                Err(JournalError::TooLong { found, allowed: RECORD_BYTES_MAX })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn push(&mut self, buffer: &mut Vec<u8>, records: &[Vec<u8>]) {
        for record in records {
            self.last = segment::push_record(buffer, &self.last, self.next, record);
            self.next += 1;
        }
    }
}

/// Where reading has come to.
struct Tail {
    next: u64,
    last: Hash,
    cut: Option<Cut>,
}

/// Reads one file from its header to its last complete record.
fn read(
    path: &Path,
    number: u64,
    identity: &Identity,
    mut restore: impl FnMut(&[u8]) -> Result<(), &'static str>,
) -> Result<Tail, JournalError> {
    let damaged = |offset, reason| JournalError::Damaged { path: path.to_owned(), offset, reason };
    let bytes = fs::read(path).map_err(failed("read", path))?;
    let header = Header::decode(&bytes).map_err(|reason| damaged(0, reason))?;
    if header.identity != *identity {
        return Err(JournalError::Foreign { path: path.to_owned(), found: header.identity });
    }
    if header.number != number {
        return Err(damaged(0, "the header has the number of another file"));
    }
    let mut tail = Tail { next: header.first, last: header.previous, cut: None };
    let mut offset = HEADER_BYTES;
    loop {
        match segment::read_record(&bytes, offset, &tail.last, tail.next) {
            At::Record(found) => {
                restore(found.content).map_err(|reason| damaged(offset, reason))?;
                tail.last = found.digest;
                tail.next += 1;
                offset = found.end;
            }
            At::End => return Ok(tail),
            At::Torn => {
                let bytes = bytes.len().saturating_sub(offset);
                tail.cut = Some(Cut { path: path.to_owned(), offset, bytes });
                return Ok(tail);
            }
            At::Damaged(reason) => return Err(damaged(offset, reason)),
        }
    }
}

fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.{EXTENSION}"))
}

/// The numbers of the files; what an interrupted creation left is removed.
fn list(folder: &Path) -> Result<Vec<u64>, JournalError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let path = entry.map_err(failed("list", folder))?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension == Some("tmp") {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        } else if extension == Some(EXTENSION) {
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            let reason = "its name is not a number";
            numbers.push(number.ok_or(JournalError::Damaged { path, offset: 0, reason })?);
        }
    }
    Ok(numbers)
}

/// The number of the file that holds the log. The newest does: each but the first began with all
/// that was still needed, and became visible only with that.
fn choose(folder: &Path, marker: &Path, promised: Option<u64>) -> Result<u64, JournalError> {
    let (newest, marker, folder) = (list(folder)?.into_iter().max(), marker.to_owned(), folder.to_owned());
    match (promised, newest) {
        (None, None) => Ok(FIRST_SEGMENT),
        (None, Some(newest)) => Ok(newest),
        (Some(_), None) => Err(JournalError::Amnesia { marker, folder }),
        (Some(number), Some(newest)) if newest < number => {
            Err(JournalError::Missing { folder, number, marker })
        }
        (Some(_), Some(newest)) => Ok(newest),
    }
}

fn remove_before(folder: &Path, number: u64) -> Result<(), JournalError> {
    for older in list(folder)?.into_iter().filter(|older| *older < number) {
        let path = segment_path(folder, older);
        fs::remove_file(&path).map_err(failed("remove", &path))?;
    }
    Ok(())
}

/// Opens a file for appending, cut where reading ended.
fn reopen(path: &Path, cut: Option<&Cut>) -> Result<(File, usize), JournalError> {
    let file = OpenOptions::new().append(true).open(path).map_err(failed("open", path))?;
    if let Some(cut) = cut {
        let length = u64::try_from(cut.offset).unwrap_or(u64::MAX);
        file.set_len(length).map_err(failed("cut", path))?;
        file.sync_all().map_err(failed("sync", path))?;
    }
    let length = file.metadata().map_err(failed("inspect", path))?.len();
    Ok((file, usize::try_from(length).unwrap_or(usize::MAX)))
}

/// Creates or replaces a file so that after a crash it has the old or the new content.
fn write_durably(path: &Path, content: &[u8]) -> Result<(), JournalError> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary).map_err(failed("create", &temporary))?;
    file.write_all(content).map_err(failed("write", &temporary))?;
    file.sync_all().map_err(failed("sync", &temporary))?;
    fs::rename(&temporary, path).map_err(failed("rename", &temporary))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let opened = File::open(folder).map_err(failed("open", folder))?;
    opened.sync_all().map_err(failed("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_could_not_be_written_is_never_written_again() {
        let home = tempfile::TempDir::new().unwrap();
        let identity =
            Identity { chain: Hash::ZERO, key: PublicKey::from_bytes([1; 32]), epoch: EpochNumber::ZERO };
        let config =
            JournalConfig { folder: home.path().join("votes"), marker_folder: home.path().to_owned() };
        let mut journal = Journal::open(config.clone(), identity, |_| Ok(())).unwrap();
        journal.append(&[vec![1]]).unwrap();
        let good =
            std::mem::replace(&mut journal.file, File::options().append(true).open("/dev/full").unwrap());
        assert!(matches!(journal.append(&[vec![2]]), Err(JournalError::Io { action: "write", .. })));
        journal.file = good;
        assert!(matches!(journal.append(&[vec![2]]), Err(JournalError::Poisoned)));
        assert!(matches!(journal.replace(&[vec![2]]), Err(JournalError::Poisoned)));
        drop(journal);
        let mut records = Vec::new();
        Journal::open(config, identity, |record| {
            records.push(record.to_vec());
            Ok(())
        })
        .unwrap();
        assert_eq!(records, [[1]]);
    }
}
