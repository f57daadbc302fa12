//! Bytes as hexadecimal digits and back, many at a time.
//!
//! The loops have no branches, no tables and no sums that are checked, so that the compiler makes vectors
//! of them: transactions come and go as digits, some hundred bytes each and thousands in a second.
use hex::FromHexError;
use quorate_primitives::Hash;
use serde::Serializer;

/// Bytes that are converted together.
const STEP: usize = 32;

/// The digits of these bytes, in lower case.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    encode_into(bytes, &mut text);
    text
}

/// Appends the digits of these bytes, in lower case.
pub(crate) fn encode_into(bytes: &[u8], text: &mut String) {
    text.reserve(bytes.len().saturating_mul(2));
    let (steps, rest) = bytes.as_chunks::<STEP>();
    let mut digits = [0; 2 * STEP];
    for step in steps {
        text.push_str(write(step, &mut digits));
    }
    text.push_str(write(rest, &mut digits));
}

/// Writes the digits of these bytes to the beginning of a buffer, as many as it has room for.
pub(crate) fn write<'a>(bytes: &[u8], digits: &'a mut [u8]) -> &'a str {
    write_digits(bytes, digits);
    let written = bytes.len().saturating_mul(2).min(digits.len());
    digits.get(..written).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default()
}

/// Serializes a hash as its digits, and none as none.
pub(crate) fn serialize_hash<S: Serializer>(hash: &Option<Hash>, serializer: S) -> Result<S::Ok, S::Error> {
    match hash {
        Some(hash) => serializer.serialize_str(write(hash.as_bytes(), &mut [0; 64])),
        None => serializer.serialize_none(),
    }
}

#[inline]
fn write_digits(bytes: &[u8], digits: &mut [u8]) {
    let (pairs, _) = digits.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 0x0f)];
    }
}

/// The digit of a value below 16.
#[inline]
fn digit(value: u8) -> u8 {
    value.wrapping_add(if value < 10 { b'0' } else { b'a' - 10 })
}

/// The bytes that these digits stand for, in upper or lower case.
///
/// # Errors
/// An odd number of digits, or the first character that is none, with its position.
pub(crate) fn decode(digits: &[u8]) -> Result<Vec<u8>, FromHexError> {
    let mut bytes = vec![0; digits.len() / 2];
    let (steps, rest) = digits.as_chunks::<{ 2 * STEP }>();
    let (byte_steps, byte_rest) = bytes.as_chunks_mut::<STEP>();
    let mut faults = 0;
    for (step, bytes) in steps.iter().zip(byte_steps) {
        faults |= read_digits(step, bytes);
    }
    faults |= read_digits(rest, byte_rest);
    if faults != 0 || !digits.len().is_multiple_of(2) {
        // Rare, so it may take longer to say what is wrong.
        return hex::decode(digits);
    }
    Ok(bytes)
}

/// Anything but zero if one of them is no digit.
#[inline]
fn read_digits(digits: &[u8], bytes: &mut [u8]) -> u8 {
    let mut faults = 0;
    let (pairs, _) = digits.as_chunks::<2>();
    for ([high, low], byte) in pairs.iter().zip(bytes) {
        let (high, low) = (value(*high), value(*low));
        faults |= (high | low) & NO_DIGIT;
        *byte = high << 4 | low & 0x0f;
    }
    faults
}

/// What marks the value of a character that is no digit.
const NO_DIGIT: u8 = 0xf0;

/// The value of a digit.
#[inline]
fn value(digit: u8) -> u8 {
    let decimal = digit.wrapping_sub(b'0');
    // Lower case: letters differ from it in one bit, and nothing but letters becomes one.
    let letter = (digit | 0x20).wrapping_sub(b'a');
    if decimal < 10 {
        decimal
    } else if letter < 6 {
        letter.wrapping_add(10)
    } else {
        NO_DIGIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, RngExt, SeedableRng};

    #[test]
    fn all_bytes_of_any_number_are_written_as_the_library_writes_them_and_read_again() {
        let mut rng = StdRng::seed_from_u64(7);
        for length in (0..200).chain([500, 1_000, 65_536]) {
            let mut bytes = vec![0; length];
            rng.fill_bytes(&mut bytes);
            let text = encode(&bytes);
            assert_eq!(text, hex::encode(&bytes), "{length} bytes");
            assert_eq!(decode(text.as_bytes()), Ok(bytes.clone()), "{length} bytes");
            assert_eq!(decode(text.to_uppercase().as_bytes()), Ok(bytes), "{length} bytes");
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(encode(&all), hex::encode(&all));
    }

    #[test]
    fn digits_are_appended_to_what_is_there() {
        let mut text = "0x".to_owned();
        encode_into(&[0xab; 33], &mut text);
        assert_eq!(text, format!("0x{}", "ab".repeat(33)));
    }

    #[test]
    fn each_character_at_each_place_is_read_or_refused_as_the_library_does() {
        for length in [2, 62, 64, 66, 130] {
            for place in 0..length {
                for character in 0..=255 {
                    let mut digits = vec![b'5'; length];
                    digits[place] = character;
                    assert_eq!(decode(&digits), hex::decode(&digits), "{character} at {place} of {length}");
                }
            }
        }
    }

    #[test]
    fn an_odd_number_of_digits_is_refused_whatever_they_are() {
        for text in ["5", "x", "0123456789abc", &"ab".repeat(40)[1..]] {
            assert_eq!(decode(text.as_bytes()), Err(FromHexError::OddLength), "{text}");
        }
    }

    #[test]
    fn random_text_is_read_or_refused_as_the_library_does() {
        let mut rng = StdRng::seed_from_u64(8);
        let characters = b"0123456789abcdefABCDEFABCDEF0123456789gG/:@`{\xff";
        for _ in 0..20_000 {
            let length = rng.random_range(0..150);
            let usual = if rng.random_bool(0.5) { 22 } else { characters.len() };
            let text: Vec<u8> = (0..length).map(|_| characters[rng.random_range(0..usual)]).collect();
            assert_eq!(decode(&text), hex::decode(&text), "{text:?}");
        }
    }
}
