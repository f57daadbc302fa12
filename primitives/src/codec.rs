//! The canonical, bounded binary encoding of everything that is hashed, signed, sent or stored.
//!
//! The format is Borsh: little-endian integers of fixed size, `u32` counts before sequences, one tag
//! byte before enum contents and options, fields in order of declaration. Each value has exactly one
//! encoding; sequences state their longest length in their type and are checked before memory is
//! reserved; bytes after the value are an error. Source: Borsh specification 1.0.
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use std::io::{self, Read, Write};
use std::ops::Deref;

/// Why bytes from outside are not a value of the wanted type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than the place they came from may carry.
    #[error("{found} bytes, but at most {limit} are allowed")]
    TooLong {
        /// Bytes given.
        found: usize,
        /// Most bytes allowed.
        limit: usize,
    },
    /// Not the one canonical encoding of any value.
    #[error("malformed encoding: {reason}")]
    Malformed {
        /// What the decoder met.
        reason: String,
    },
}

/// Room that most values need.
const ENCODING_BYTES: usize = 128;

/// The canonical bytes of a value.
#[must_use]
pub fn encode<T: BorshSerialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENCODING_BYTES);
    encode_into(value, &mut bytes);
    bytes
}

/// Appends the canonical bytes of a value.
pub fn encode_into<T: BorshSerialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) {
    // Writing to memory cannot fail, and no type of ours refuses to be encoded.
    let _ = value.serialize(bytes);
}

/// Decodes a value from exactly these bytes.
///
/// # Errors
/// [`DecodeError::TooLong`] above `limit` bytes; [`DecodeError::Malformed`] when the bytes are not
/// the canonical encoding of a value, or more bytes follow it.
pub fn decode<T: BorshDeserialize>(bytes: &[u8], limit: usize) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong { found: bytes.len(), limit });
    }
    T::try_from_slice(bytes).map_err(|error| DecodeError::Malformed { reason: error.to_string() })
}

pub(crate) fn invalid(reason: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_string())
}

/// A reader that keeps a copy of all that is read through it.
pub(crate) struct Recorder<'a, R> {
    reader: &'a mut R,
    recorded: Vec<u8>,
}

impl<'a, R: Read> Recorder<'a, R> {
    /// Nothing is recorded yet.
    pub(crate) fn new(reader: &'a mut R) -> Self {
        Self { reader, recorded: Vec::new() }
    }

    /// Forgets what was read so far.
    pub(crate) fn restart(&mut self) {
        self.recorded.clear();
    }

    /// What was read since the last restart.
    pub(crate) fn recorded(&self) -> &[u8] {
        &self.recorded
    }
}

impl<R: Read> Read for Recorder<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.recorded.extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        // A failure is final: what was read up to it is of no use to anybody.
        self.reader.read_exact(buffer)?;
        self.recorded.extend_from_slice(buffer);
        Ok(())
    }
}

/// A length outside the range that the type allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("length {found}, but {min} to {max} are allowed")]
pub struct LengthError {
    /// Length given.
    pub found: usize,
    /// Shortest allowed.
    pub min: usize,
    /// Longest allowed.
    pub max: usize,
}

fn check_length(found: usize, min: usize, max: usize) -> Result<(), LengthError> {
    if (min..=max).contains(&found) { Ok(()) } else { Err(LengthError { found, min, max }) }
}

/// A sequence of `MIN` to `MAX` items. Shape: `u32` count, then the items.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct List<T, const MIN: usize, const MAX: usize>(Vec<T>);

impl<T, const MIN: usize, const MAX: usize> List<T, MIN, MAX> {
    /// Checks the length.
    ///
    /// # Errors
    /// [`LengthError`] outside `MIN..=MAX`.
    pub fn new(items: Vec<T>) -> Result<Self, LengthError> {
        check_length(items.len(), MIN, MAX)?;
        Ok(Self(items))
    }

    /// A list with one item, where the type allows that many.
    #[must_use]
    pub fn of_one(item: T) -> Self {
        const { assert!(MIN <= 1 && MAX >= 1) };
        Self(vec![item])
    }

    /// The items.
    #[must_use]
    pub fn into_inner(self) -> Vec<T> {
        self.0
    }

    /// Reads a list whose items are read by `item`.
    pub(crate) fn read_with<R: Read>(
        reader: &mut R,
        mut item: impl FnMut(&mut R) -> io::Result<T>,
    ) -> io::Result<Self> {
        let count = usize::try_from(u32::deserialize_reader(reader)?).map_err(invalid)?;
        check_length(count, MIN, MAX).map_err(invalid)?;
        // A count is a claim: memory follows the items that really arrive.
        let mut items = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            items.push(item(reader)?);
        }
        Ok(Self(items))
    }
}

impl<T, const MIN: usize, const MAX: usize> Deref for List<T, MIN, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'a, T, const MIN: usize, const MAX: usize> IntoIterator for &'a List<T, MIN, MAX> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T, const MAX: usize> Default for List<T, 0, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: BorshSerialize, const MIN: usize, const MAX: usize> BorshSerialize for List<T, MIN, MAX> {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        self.0.serialize(writer)
    }
}

impl<T: BorshDeserialize, const MIN: usize, const MAX: usize> BorshDeserialize for List<T, MIN, MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        Self::read_with(reader, T::deserialize_reader)
    }
}

/// Up to `MAX` bytes without meaning to the ledger. Shape: `u32` count, then the bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Blob<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Blob<MAX> {
    /// Checks the length.
    ///
    /// # Errors
    /// [`LengthError`] above `MAX`.
    pub fn new(bytes: Vec<u8>) -> Result<Self, LengthError> {
        check_length(bytes.len(), 0, MAX)?;
        Ok(Self(bytes))
    }
}

impl<const MAX: usize> Deref for Blob<MAX> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for Blob<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

fn read_bytes<R: Read>(reader: &mut R, max: usize) -> io::Result<Vec<u8>> {
    let count = usize::try_from(u32::deserialize_reader(reader)?).map_err(invalid)?;
    check_length(count, 0, max).map_err(invalid)?;
    let mut bytes = vec![0; count];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

impl<const MAX: usize> BorshSerialize for Blob<MAX> {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        self.0.serialize(writer)
    }
}

impl<const MAX: usize> BorshDeserialize for Blob<MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        read_bytes(reader, MAX).map(Self)
    }
}

/// Why a text may not be part of a ledger object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Too many bytes of UTF-8.
    #[error(transparent)]
    Length(#[from] LengthError),
    /// Control characters, those for the direction of writing and invisible ones could make a user see
    /// another text than the one that is signed.
    #[error("control character U+{code:04X} at byte {position}")]
    Control {
        /// The character's code point.
        code: u32,
        /// Where it stands, in bytes from the start.
        position: usize,
    },
}

/// Whether a character shows nothing itself and may change how others are shown: the controls of
/// Unicode, the marks for the direction of writing, separators of lines and paragraphs, and the
/// invisible characters that no script needs.
fn is_control(found: char) -> bool {
    let hidden = matches!(
        found,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    hidden || found.is_control()
}

/// Up to `MAX` bytes of UTF-8 without control characters, the marks for the direction of writing and
/// invisible characters among them. Shape: `u32` count, then the bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Checks length and characters.
    ///
    /// # Errors
    /// [`TextError`] naming the length or the first control character.
    pub fn new(text: &str) -> Result<Self, TextError> {
        check_length(text.len(), 0, MAX)?;
        if let Some((position, found)) = text.char_indices().find(|(_, found)| is_control(*found)) {
            return Err(TextError::Control { code: u32::from(found), position });
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl<const MAX: usize> BorshSerialize for Text<MAX> {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        self.0.serialize(writer)
    }
}

impl<const MAX: usize> BorshDeserialize for Text<MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let bytes = read_bytes(reader, MAX)?;
        let text = std::str::from_utf8(&bytes).map_err(invalid)?;
        Self::new(text).map_err(invalid)
    }
}
