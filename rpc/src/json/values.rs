//! How single values are written: numbers as decimal strings, ids and bytes as hexadecimal, times as
//! RFC 3339 beside milliseconds.
use borsh::{BorshDeserialize, BorshSerialize};
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::{self, DecodeError};
use quorate_primitives::state::{AssetId, OrganisationId, Symbol};
use quorate_primitives::{Amount, EpochNumber, Hash, Height, PublicKey, Timestamp, View};
use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use super::hexadecimal;
use super::schema::{Definitions, Schema, define};

/// A whole number as a decimal string, because JSON numbers lose digits above 2^53 in many clients.
///
/// Read from a string of digits or from a JSON integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal<T>(pub T);

impl<T> From<T> for Decimal<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: fmt::Display> Serialize for Decimal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct DecimalVisitor<T>(PhantomData<T>);

impl<T: FromStr> Visitor<'_> for DecimalVisitor<T> {
    type Value = Decimal<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, as a string of digits")
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let wrong = || E::invalid_value(Unexpected::Str(shortened(text)), &self);
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits {
            return Err(wrong());
        }
        text.parse().map(Decimal).map_err(|_| wrong())
    }
}

impl<'de, T: FromStr> Deserialize<'de> for Decimal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DecimalVisitor(PhantomData))
    }
}

/// A value that is written as its text: ids, keys, names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown<T>(pub T);

impl<T> From<T> for Shown<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr> Deserialize<'de> for Shown<T>
where
    T::Err: fmt::Display,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: String = Deserialize::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

/// Bytes as lower-case hexadecimal; a leading `0x` is accepted.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HexBytes(pub Vec<u8>);

impl HexBytes {
    /// The canonical bytes of a value.
    #[must_use]
    pub fn of<T: BorshSerialize + ?Sized>(value: &T) -> Self {
        Self(codec::encode(value))
    }

    /// Appends the digits to a text.
    pub(crate) fn write(&self, text: &mut String) {
        hexadecimal::encode_into(&self.0, text);
    }

    /// Decodes the value whose canonical bytes these are.
    ///
    /// # Errors
    /// [`DecodeError`] above `limit` bytes or when the bytes are not canonical.
    pub fn decode<T: BorshDeserialize>(&self, limit: usize) -> Result<T, DecodeError> {
        codec::decode(&self.0, limit)
    }
}

impl fmt::Debug for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for HexBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hexadecimal::encode(&self.0))
    }
}

struct HexVisitor;

impl Visitor<'_> for HexVisitor {
    type Value = HexBytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<HexBytes, E> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        hexadecimal::decode(digits.as_bytes()).map(HexBytes).map_err(|reason| {
            E::custom(format_args!("expected hexadecimal bytes, found {:?}: {reason}", shortened(text)))
        })
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(HexVisitor)
    }
}

/// A point in time: `{"utc": "2026-11-20T12:00:00.000Z", "ms": "1795176000000"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl From<Timestamp> for Time {
    fn from(value: Timestamp) -> Self {
        Self(value)
    }
}

#[derive(Serialize, Deserialize)]
struct TimeParts {
    utc: String,
    ms: Decimal<u64>,
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        TimeParts { utc: rfc3339(self.0), ms: Decimal(self.0.get()) }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = TimeParts::deserialize(deserializer)?;
        let time = Timestamp::new(parts.ms.0);
        if parts.utc != rfc3339(time) {
            let reason = format_args!("utc {:?} and ms {} disagree", shortened(&parts.utc), parts.ms.0);
            return Err(D::Error::custom(reason));
        }
        Ok(Self(time))
    }
}

/// Writes a time as RFC 3339 in UTC with milliseconds.
///
/// The calendar is the proleptic Gregorian one, computed in eras of 400 years of 146,097 days that
/// start on 1 March, so that the leap day is the last day of a year.
#[must_use]
pub fn rfc3339(time: Timestamp) -> String {
    const DAY_MS: u64 = 86_400_000;
    let (days, ms) = (time.get() / DAY_MS, time.get() % DAY_MS);
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    let (seconds, fraction) = (ms / 1_000 % 60, ms % 1_000);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hours:02}:{minutes:02}:{seconds:02}.{fraction:03}Z")
}

/// Where in the chain an event stands: `height:index`. A subscription that starts from a cursor
/// delivers what comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Block.
    pub height: Height,
    /// Position within the block, from 0.
    pub index: u32,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.height, self.index)
    }
}

/// A text that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a cursor like 1042:0, found {found:?}")]
pub struct CursorError {
    /// What was given, cut to 80 characters.
    pub found: String,
}

impl FromStr for Cursor {
    type Err = CursorError;
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let parse = || {
            let (height, index) = text.split_once(':')?;
            let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if !digits(height) || !digits(index) {
                return None;
            }
            Some(Self { height: height.parse().ok()?, index: index.parse().ok()? })
        };
        parse().ok_or_else(|| CursorError { found: shortened(text).to_owned() })
    }
}

/// The first characters of a text from outside, for messages.
pub(crate) fn shortened(text: &str) -> &str {
    text.char_indices().nth(80).map_or(text, |(end, _)| text.get(..end).unwrap_or(""))
}

macro_rules! texts {
    ($($type:ty = $name:literal, $pattern:literal, $doc:literal;)*) => {
        $(impl Schema for $type {
            fn schema(definitions: &mut Definitions) -> Value {
                define($name, definitions, |_| {
                    json!({ "type": "string", "pattern": $pattern, "description": $doc })
                })
            }
        })*
    };
}

texts! {
    Decimal<u64> = "Number", "^[0-9]{1,20}$", "a whole number of 64 bits as a decimal string; a JSON integer is accepted as input";
    Decimal<Height> = "Height", "^[0-9]{1,20}$", "a block's position; the genesis state is 0";
    Decimal<View> = "View", "^[0-9]{1,20}$", "a leader's turn";
    Decimal<EpochNumber> = "Epoch", "^[0-9]{1,20}$", "a validator-set period; the first is 0";
    Decimal<Amount> = "Amount", "^[0-9]{1,39}$", "smallest units of an asset as a decimal string";
    Shown<Hash> = "Hash", "^[0-9a-f]{64}$", "32 bytes in hexadecimal";
    Shown<AccountId> = "AccountId", "^[0-9a-f]{64}$", "an account's 32 bytes in hexadecimal";
    Shown<AssetId> = "AssetId", "^[0-9a-f]{64}$", "an asset's 32 bytes in hexadecimal";
    Shown<PublicKey> = "PublicKey", "^[0-9a-f]{64}$", "an Ed25519 public key in hexadecimal";
    Shown<OrganisationId> = "OrganisationId", "^[a-z][a-z0-9-]{0,31}$", "an organisation's name";
    Shown<Symbol> = "Symbol", "^[A-Z][A-Z0-9]{0,11}$", "an asset's symbol";
    Shown<Cursor> = "Cursor", "^[0-9]{1,20}:[0-9]{1,10}$", "where an event stands: height:index";
    HexBytes = "Bytes", "^(0x)?([0-9a-fA-F]{2})*$", "bytes in hexadecimal; canonical encodings are described in docs/formats.md";
}

impl Schema for Time {
    fn schema(definitions: &mut Definitions) -> Value {
        define("Time", definitions, |_| {
            json!({
                "type": "object",
                "description": "a point in time",
                "properties": {
                    "utc": { "type": "string", "format": "date-time", "description": "RFC 3339 in UTC with milliseconds" },
                    "ms": { "type": "string", "pattern": "^[0-9]{1,20}$", "description": "milliseconds since 1970-01-01T00:00:00Z" },
                },
                "required": ["utc", "ms"],
            })
        })
    }
}
