//! A vote log on [`Files`]: stands in for that of the replica until it has one.
use quorate_primitives::Hash;
use quorate_primitives::hash::{Domain, hash};
use std::io;

use crate::files::{Files, Folder};

const MARKER: &str = "marker";
const HEAD_BYTES: usize = 36;

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk reports a fault.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Bytes that were once durable are wrong now.
    #[error("damaged at byte {0}")]
    Damaged(usize),
    /// The key has voted, and the log is gone.
    #[error("the key has voted, but the log is gone")]
    Amnesia,
    /// A call failed before.
    #[error("the log failed before")]
    Poisoned,
}

/// The opened log.
#[derive(Debug)]
pub struct VoteLog {
    number: u64,
    last: Hash,
    size: usize,
    initial: usize,
    poisoned: bool,
}

fn name(number: u64) -> String {
    format!("{number:016}.log")
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_suffix(".log")?.parse().ok()
}

impl VoteLog {
    /// Opens the log or begins one; the records in order, and whether a torn one was cut.
    pub fn open(files: &mut impl Files) -> Result<(Self, Vec<Vec<u8>>, bool), LogError> {
        let marker = files.read(Folder::Marker, MARKER)?;
        let marked = marker.and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        let newest = files.list(Folder::Log)?.iter().filter_map(|name| number_of(name)).max();
        let number = match (marked, newest) {
            (None, None) => {
                durably(files, Folder::Log, &name(1), &[])?;
                1
            }
            (Some(_), None) => return Err(LogError::Amnesia),
            (Some(marked), Some(newest)) if newest < marked => return Err(LogError::Amnesia),
            (_, Some(newest)) => newest,
        };
        let bytes = files.read(Folder::Log, &name(number))?.unwrap_or_default();
        let (mut offset, mut last, mut records) = (0_usize, Hash::ZERO, Vec::new());
        while let Some((record, digest)) = read(&bytes, offset, &last) {
            offset = offset.saturating_add(HEAD_BYTES).saturating_add(record.len());
            last = digest;
            records.push(record);
        }
        let torn = offset < bytes.len();
        if torn {
            // Anything intact behind it means that it was not the end.
            let rest = bytes.get(offset..).unwrap_or_default();
            if rest.len() > crate::vote_log::TAIL_BYTES_MAX {
                return Err(LogError::Damaged(offset));
            }
            files.truncate(Folder::Log, &name(number), u64::try_from(offset).unwrap_or(0))?;
            files.sync(Folder::Log, &name(number))?;
        }
        durably(files, Folder::Marker, MARKER, &number.to_le_bytes())?;
        remove_before(files, number)?;
        let log = Self { number, last, size: offset, initial: offset, poisoned: false };
        Ok((log, records, torn))
    }

    /// Bytes by which it has grown since it was opened or replaced.
    #[must_use]
    pub fn growth_bytes(&self) -> usize {
        self.size.saturating_sub(self.initial)
    }

    /// Appends records; they are durable when this returns.
    pub fn append(&mut self, files: &mut impl Files, group: &[Vec<u8>]) -> Result<(), LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        self.poisoned = true;
        let mut buffer = Vec::new();
        group.iter().for_each(|record| self.push(&mut buffer, record));
        files.append(Folder::Log, &name(self.number), &buffer)?;
        files.sync(Folder::Log, &name(self.number))?;
        self.size = self.size.saturating_add(buffer.len());
        self.poisoned = false;
        Ok(())
    }

    /// Begins the next file with records that stand for all earlier ones.
    pub fn replace(&mut self, files: &mut impl Files, records: &[Vec<u8>]) -> Result<(), LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        self.poisoned = true;
        self.last = Hash::ZERO;
        let mut buffer = Vec::new();
        records.iter().for_each(|record| self.push(&mut buffer, record));
        self.number = self.number.saturating_add(1);
        durably(files, Folder::Log, &name(self.number), &buffer)?;
        durably(files, Folder::Marker, MARKER, &self.number.to_le_bytes())?;
        remove_before(files, self.number)?;
        self.size = buffer.len();
        self.initial = self.size;
        self.poisoned = false;
        Ok(())
    }

    fn push(&mut self, buffer: &mut Vec<u8>, record: &[u8]) {
        let digest = hash(Domain::VoteLog, &[self.last.as_bytes(), record]);
        let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
        buffer.extend(length.to_le_bytes());
        buffer.extend(digest.as_bytes());
        buffer.extend(record);
        self.last = digest;
    }
}

/// No group of records is longer.
const TAIL_BYTES_MAX: usize = 8 * 1024 * 1024;

fn read(bytes: &[u8], offset: usize, last: &Hash) -> Option<(Vec<u8>, Hash)> {
    let rest = bytes.get(offset..)?;
    let length = u32::from_le_bytes(*rest.first_chunk::<4>()?);
    let length = usize::try_from(length).ok()?;
    let content = rest.get(HEAD_BYTES..HEAD_BYTES.checked_add(length)?)?;
    let digest = hash(Domain::VoteLog, &[last.as_bytes(), content]);
    (rest.get(4..HEAD_BYTES)? == digest.as_bytes()).then(|| (content.to_vec(), digest))
}

fn durably(files: &mut impl Files, folder: Folder, name: &str, content: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}.tmp");
    files.create(folder, &temporary, content)?;
    files.sync(folder, &temporary)?;
    files.rename(folder, &temporary, name)?;
    files.sync_folder(folder)
}

fn remove_before(files: &mut impl Files, number: u64) -> io::Result<()> {
    for name in files.list(Folder::Log)? {
        if number_of(&name).is_none_or(|found| found < number) {
            files.remove(Folder::Log, &name)?;
        }
    }
    Ok(())
}
