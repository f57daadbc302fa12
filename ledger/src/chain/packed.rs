//! Encodings that follow each other, without what they repeat.
//!
//! Receipts of a block are mostly of one shape: the same assets and counts stand at the same places, and the
//! high digits of amounts are zeros. So of each item only its difference from the one before is kept, and of
//! that only the words of eight bytes that are not zero. The difference is the exclusive or, byte by byte,
//! with zeros behind the end of the one before; the first item follows nothing.
//!
//! Shape of an item: length (4, little endian) ‖ for each eight words of it, the last of which may be shorter,
//! one byte: bit `i` is set if word `i` of these is kept ‖ the words that are kept.

/// Bytes that are kept or left out together.
const WORD_BYTES: usize = 8;
/// Bytes whose words are named by one byte.
const ROW_BYTES: usize = 8 * WORD_BYTES;

/// Appends an item that follows `before`.
pub(super) fn pack(before: &[u8], item: &[u8], packed: &mut Vec<u8>) {
    packed.extend(u32::try_from(item.len()).unwrap_or(u32::MAX).to_le_bytes());
    let mut next = packed.len();
    packed.resize(next.saturating_add(item.len().div_ceil(ROW_BYTES)), 0);
    let mut before = before.chunks(WORD_BYTES);
    for row in item.chunks(ROW_BYTES) {
        let mut kept = 0_u8;
        for (bit, word) in row.chunks(WORD_BYTES).enumerate() {
            let difference = padded(word) ^ padded(before.next().unwrap_or_default());
            if difference != 0 {
                kept |= 1 << bit;
                packed.extend_from_slice(difference.to_le_bytes().get(..word.len()).unwrap_or_default());
            }
        }
        packed.iter_mut().skip(next).take(1).for_each(|byte| *byte = kept);
        next = next.saturating_add(1);
    }
}

/// A word as a number, with zeros behind it if it is shorter.
fn padded(word: &[u8]) -> u64 {
    if let Ok(word) = word.try_into() {
        return u64::from_le_bytes(word);
    }
    let mut bytes = [0; WORD_BYTES];
    bytes.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(bytes)
}

/// Takes the next item from the front of what [`pack`] appended; `item` holds the one before it, and then
/// this one. `None` when nothing was packed like this.
pub(super) fn unpack(packed: &mut &[u8], item: &mut Vec<u8>) -> Option<()> {
    let (length, rest) = packed.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (rows, mut rest) = rest.split_at_checked(length.div_ceil(ROW_BYTES))?;
    item.resize(length, 0);
    for (row, kept) in item.chunks_mut(ROW_BYTES).zip(rows) {
        for (bit, word) in row.chunks_mut(WORD_BYTES).enumerate() {
            if kept & (1 << bit) != 0 {
                let (difference, after) = rest.split_at_checked(word.len())?;
                word.iter_mut().zip(difference).for_each(|(byte, other)| *byte ^= other);
                rest = after;
            }
        }
    }
    *packed = rest;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(items: &[Vec<u8>]) -> Vec<u8> {
        let (mut bytes, mut before) = (Vec::new(), &Vec::new());
        for item in items {
            pack(before, item, &mut bytes);
            before = item;
        }
        bytes
    }

    fn unpacked(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        let (mut items, mut item) = (Vec::new(), Vec::new());
        while !bytes.is_empty() {
            unpack(&mut bytes, &mut item)?;
            items.push(item.clone());
        }
        Some(items)
    }

    /// Items of all lengths, alike and not, one longer or shorter than the other.
    fn items() -> Vec<Vec<u8>> {
        let byte =
            |salt: usize, position: usize| u8::try_from((salt * 7 + position * position) % 251).unwrap();
        let length = |number: usize| (number * 37) % 150;
        (0..200).map(|number| (0..length(number)).map(|at| byte(number / 3, at)).collect()).collect()
    }

    #[test]
    fn items_come_back_as_they_were() {
        assert_eq!(unpacked(&packed(&items())), Some(items()));
    }

    #[test]
    fn what_is_packed_has_the_documented_bytes() {
        let first = vec![1, 2, 3, 4, 5, 6, 7, 8, 9];
        let second = vec![1, 2, 3, 4, 5, 6, 7, 8, 11, 0, 1];
        let expected = [
            vec![9, 0, 0, 0, 0b11, 1, 2, 3, 4, 5, 6, 7, 8, 9],
            vec![11, 0, 0, 0, 0b10, 9 ^ 11, 0, 1],
            vec![11, 0, 0, 0, 0],
        ];
        assert_eq!(packed(&[first, second.clone(), second]), expected.concat());
    }

    #[test]
    fn an_item_that_is_cut_anywhere_is_refused() {
        let one = packed(&items()[1..2]);
        for length in 1..one.len() {
            assert_eq!(unpacked(&one[..length]), None, "cut at {length}");
        }
    }

    #[test]
    fn a_length_that_nothing_follows_takes_no_memory() {
        assert_eq!(unpacked(&[0xff, 0xff, 0xff, 0xff, 1, 2, 3]), None);
    }
}
