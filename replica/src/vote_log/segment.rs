//! The bytes of one file of the vote log, and how to tell a torn tail from damage.
//!
//! A file is a header and records. Shape of the header (128 bytes, numbers little endian):
//! magic (8) ‖ format version (4) ‖ chain (32) ‖ key (32) ‖ number of the file (8) ‖ sequence of its
//! first record (8) ‖ hash of the record before (32) ‖ CRC-32 of all that (4).
//!
//! Shape of a record: length (4) ‖ sequence (8) ‖ number of records of its group before it (4) ‖ CRC-32
//! of these sixteen bytes (4) ‖ the record's bytes ‖ hash of the record (32) ‖ CRC-32 of everything from the
//! length on (4).
//!
//! The hash of a record is `hash(vote log, 1 ‖ hash of the record before ‖ sequence ‖ hashes of its parts)`, as
//! [`hash_in_parts`] says: most of the log is bodies of blocks, and parts are hashed side by side.
//!
//! Groups are synced one by one, so only the last one can be torn. Because the length has a checksum of
//! its own, a record that ends after the end of the file was certainly never completed. A power failure
//! may also leave any of the sectors of an unsynced group on the disk and the others as zeros. So a record
//! that is complete but wrong is torn if a sector from it on is nothing but zeros and no record of a
//! later group stands behind it; otherwise it is damaged. What cannot be told apart is a last group that
//! was synced, of which a sector is all zeros and a bit has flipped.
use quorate_primitives::PublicKey;
use quorate_primitives::hash::many::hash_in_parts;
use quorate_primitives::hash::{Domain, Hash};

use super::Identity;

/// First bytes of every file.
const MAGIC: &[u8; 8] = b"QRTVOTES";
/// Version of the layout above.
const FORMAT_VERSION: u32 = 4;
/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 128;
/// Bytes of a record before its content.
const PREFIX_BYTES: usize = 20;
/// Bytes of a record after its content.
const SUFFIX_BYTES: usize = 36;
/// Longest content of a record: a full block body takes less than 5 MiB.
pub const RECORD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a disk writes as a whole, in bytes; file systems start it at a multiple of it in a file.
const SECTOR_BYTES: usize = 512;

/// What a file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Whose log it is.
    pub(super) identity: Identity,
    /// Number of the file.
    pub(super) number: u64,
    /// Sequence of its first record.
    pub(super) first: u64,
    /// Hash of the record before its first.
    pub(super) previous: Hash,
}

/// Takes fields of fixed size from the front of bytes.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

impl Header {
    /// The canonical bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend(self.identity.chain.as_bytes());
        bytes.extend(self.identity.key.as_bytes());
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.first.to_le_bytes());
        bytes.extend(self.previous.as_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the header at the front of a file, or says why it is none.
    pub(super) fn decode(file: &[u8]) -> Result<Self, &'static str> {
        let bytes = file.first_chunk::<HEADER_BYTES>().ok_or("the header is incomplete")?;
        let mut cursor = Cursor(bytes);
        let magic = cursor.take();
        let version = cursor.take().map(u32::from_le_bytes);
        if magic.as_ref() != Some(MAGIC) || version != Some(FORMAT_VERSION) {
            return Err("the header is of another format or version");
        }
        let (content, checksum) = bytes.split_last_chunk::<4>().ok_or("the header is incomplete")?;
        if crc32fast::hash(content).to_le_bytes() != *checksum {
            return Err("the checksum of the header is wrong");
        }
        Self::decode_fields(&mut cursor).ok_or("the header is incomplete")
    }

    fn decode_fields(cursor: &mut Cursor<'_>) -> Option<Self> {
        let chain = Hash::from_bytes(cursor.take()?);
        let key = PublicKey::from_bytes(cursor.take()?);
        let number = cursor.number()?;
        let first = cursor.number()?;
        let previous = Hash::from_bytes(cursor.take()?);
        Some(Self { identity: Identity { chain, key }, number, first, previous })
    }
}

/// Bytes that a record with so much content takes in a file.
pub(super) fn record_bytes(content: usize) -> usize {
    content.saturating_add(PREFIX_BYTES).saturating_add(SUFFIX_BYTES)
}

/// The hash that chains a record to the one before.
fn chain_hash(previous: &Hash, sequence: u64, content: &[u8]) -> Hash {
    hash_in_parts(Domain::VoteLog, &[previous.as_bytes(), &sequence.to_le_bytes()], content)
}

/// Where a record stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its number in the log.
    pub(super) sequence: u64,
    /// Number of records of its group before it.
    pub(super) in_group: u32,
}

/// Appends one record to a buffer and returns its hash.
pub(super) fn push_record(buffer: &mut Vec<u8>, previous: &Hash, place: Place, content: &[u8]) -> Hash {
    let Place { sequence, in_group } = place;
    let start = buffer.len();
    buffer.reserve(record_bytes(content.len()));
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    buffer.extend(length.to_le_bytes());
    buffer.extend(sequence.to_le_bytes());
    buffer.extend(in_group.to_le_bytes());
    let prefix = crc32fast::hash(buffer.get(start..).unwrap_or_default());
    buffer.extend(prefix.to_le_bytes());
    buffer.extend(content);
    let digest = chain_hash(previous, sequence, content);
    buffer.extend(digest.as_bytes());
    let whole = crc32fast::hash(buffer.get(start..).unwrap_or_default());
    buffer.extend(whole.to_le_bytes());
    digest
}

/// One record found in a file.
pub(super) struct Found<'a> {
    /// The record's bytes.
    pub(super) content: &'a [u8],
    /// Its place in the chain.
    pub(super) digest: Hash,
    /// Offset of the byte after it.
    pub(super) end: usize,
}

/// What stands at an offset.
pub(super) enum At<'a> {
    /// A good record.
    Record(Found<'a>),
    /// The end of the file.
    End,
    /// The beginning of a record that was never completed; nothing follows it.
    Torn,
    /// Something that was complete once and is wrong now.
    Damaged(&'static str),
}

/// Reads what stands at `offset`, where a record with this sequence is expected.
pub(super) fn read_record<'a>(file: &'a [u8], offset: usize, previous: &Hash, sequence: u64) -> At<'a> {
    let rest = file.get(offset..).unwrap_or_default();
    if rest.is_empty() {
        return At::End;
    }
    match parse(rest, previous, sequence) {
        Ok(Some((content, digest))) => {
            let end = offset.saturating_add(record_bytes(content.len()));
            At::Record(Found { content, digest, end })
        }
        Ok(None) => At::Torn,
        Err(_) if has_unwritten_sector(file, offset) && !has_later_group(rest, sequence) => At::Torn,
        Err(reason) => At::Damaged(reason),
    }
}

/// What a record says before its content.
struct Prefix {
    length: usize,
    sequence: u64,
    /// Sequence of the first record of its group.
    group: u64,
}

impl Prefix {
    /// Reads it from the front; `None` when the bytes end before it does.
    fn read(cursor: &mut Cursor<'_>) -> Option<Result<Self, &'static str>> {
        let covered = cursor.0.get(..PREFIX_BYTES - 4)?;
        let length = cursor.take().map(u32::from_le_bytes)?;
        let sequence = cursor.number()?;
        let in_group = cursor.take().map(u32::from_le_bytes)?;
        let checksum = cursor.take::<4>()?;
        if crc32fast::hash(covered).to_le_bytes() != checksum {
            return Some(Err("the checksum of a record's length is wrong"));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        Some(Ok(Self { length, sequence, group: sequence.saturating_sub(u64::from(in_group)) }))
    }
}

/// The record at the front of `rest`; `None` when `rest` ends before the record does.
fn parse<'a>(
    rest: &'a [u8],
    previous: &Hash,
    sequence: u64,
) -> Result<Option<(&'a [u8], Hash)>, &'static str> {
    let mut cursor = Cursor(rest);
    let Some(prefix) = Prefix::read(&mut cursor).transpose()? else { return Ok(None) };
    if prefix.sequence != sequence {
        return Err("a record is missing or stands twice");
    }
    let length = prefix.length;
    if length > RECORD_BYTES_MAX {
        return Err("a record is longer than any that is written");
    }
    let Some(content) = cursor.0.get(..length) else { return Ok(None) };
    let mut suffix = Cursor(cursor.0.get(length..).unwrap_or_default());
    let (Some(digest), Some(checksum)) = (suffix.take().map(Hash::from_bytes), suffix.take::<4>()) else {
        return Ok(None);
    };
    let covered = rest.get(..record_bytes(length).saturating_sub(4)).unwrap_or_default();
    if crc32fast::hash(covered).to_le_bytes() != checksum {
        return Err("the checksum of a record is wrong");
    }
    if chain_hash(previous, sequence, content) != digest {
        return Err("a record does not follow the one before it");
    }
    Ok(Some((content, digest)))
}

/// Whether a sector from `offset` on, as far as it belongs to the file, is nothing but zeros.
fn has_unwritten_sector(file: &[u8], offset: usize) -> bool {
    let whole = offset.checked_div(SECTOR_BYTES).unwrap_or_default().saturating_mul(SECTOR_BYTES);
    let sectors = file.get(whole..).unwrap_or_default().chunks(SECTOR_BYTES);
    let before = std::iter::once(offset.saturating_sub(whole)).chain(std::iter::repeat(0));
    let is_zero = |sector: &[u8]| sector.iter().all(|byte| *byte == 0);
    sectors.zip(before).any(|(sector, skip)| sector.get(skip..).is_some_and(is_zero))
}

/// Whether a record of a group begins anywhere in `rest` that was begun after the record with this
/// sequence.
fn has_later_group(rest: &[u8], sequence: u64) -> bool {
    (0..rest.len()).any(|start| {
        let prefix = Prefix::read(&mut Cursor(rest.get(start..).unwrap_or_default()));
        matches!(prefix, Some(Ok(prefix)) if prefix.group > sequence)
    })
}
