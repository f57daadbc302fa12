//! Hashes of many messages at once.
//!
//! The permutation of Keccak is the same for every message, so the lanes of one vector carry the states
//! of several: eight with AVX-512, four with AVX2, two elsewhere. The processor is asked at run time, and
//! the hashes are those of [`super::hash`] on every machine. Source: FIPS 202, sections 3.2 and 5.1.
use borsh::BorshSerialize;
use fearless_simd::{Level, Simd, SimdBase, SimdInt, dispatch};
use sha3::{Digest, Sha3_256};

use super::{Domain, Hash};
use crate::codec;

/// Bytes that SHA3-256 takes in between two permutations.
const RATE: usize = 136;
/// The same in words of 64 bits.
const RATE_WORDS: usize = 17;
/// Words of a digest.
const DIGEST_WORDS: usize = 4;
/// Most lanes of any vector.
const LANES_MAX: usize = 8;

/// Messages that wait to be hashed together. It is cheapest if neighbours have about the same length.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Messages {
    /// No messages, with room for so many of about so many bytes each.
    #[must_use]
    pub fn with_capacity(messages: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(messages.saturating_mul(bytes)), ends: Vec::with_capacity(messages) }
    }

    /// Adds a message: the tag of its domain and these parts, as [`super::hash`] takes them.
    pub fn push(&mut self, domain: Domain, parts: &[&[u8]]) {
        self.bytes.extend_from_slice(domain.tag());
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.ends.push(self.bytes.len());
    }

    /// Adds the canonical encoding of a value, as [`super::hash_of`] takes it.
    pub fn push_value<T: BorshSerialize + ?Sized>(&mut self, domain: Domain, value: &T) {
        self.bytes.extend_from_slice(domain.tag());
        codec::encode_into(value, &mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Forgets all messages and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Number of messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The hash of every message, in order.
    #[must_use]
    pub fn hashes(&self) -> Vec<Hash> {
        let mut hashes = Vec::with_capacity(self.len());
        dispatch!(Level::new(), simd => all(simd, self, &mut hashes));
        hashes
    }
}

/// Bytes of a part of something long.
const PART_BYTES: usize = 1_024;
/// Room beside a part for what else is hashed with it, in bytes.
const PART_ROOM: usize = 64;
/// Parts that wait to be hashed side by side: several times as many as any processor has lanes.
const PARTS_AT_ONCE: usize = 64;
/// First byte of what is hashed of a part.
const PART: u8 = 0;
/// First byte of what is hashed of the whole.
const WHOLE: u8 = 1;

/// Hash of something long, the parts of which are hashed side by side: `hash(domain, 1 ‖ head ‖ p)`, where `p` are
/// the hashes of all parts in order, `hash(domain, 0 ‖ part)`, and a part is 1,024 bytes of `content`, the last
/// one what is left. What comes first, `head`, must have a fixed length in its domain.
#[must_use]
pub fn hash_in_parts(domain: Domain, head: &[&[u8]], content: &[u8]) -> Hash {
    let count = content.len().div_ceil(PART_BYTES);
    let mut whole = vec![WHOLE];
    whole.reserve(count.saturating_mul(Hash::ZERO.as_bytes().len()).saturating_add(PART_ROOM));
    head.iter().for_each(|part| whole.extend_from_slice(part));
    let mut messages =
        Messages::with_capacity(PARTS_AT_ONCE.min(count), PART_BYTES.saturating_add(PART_ROOM));
    for some in content.chunks(PART_BYTES.saturating_mul(PARTS_AT_ONCE)) {
        messages.clear();
        some.chunks(PART_BYTES).for_each(|part| messages.push(domain, &[&[PART], part]));
        messages.hashes().iter().for_each(|part| whole.extend_from_slice(part.as_bytes()));
    }
    super::hash(domain, &[&whole])
}

#[inline(always)]
fn all<S: Simd>(simd: S, messages: &Messages, hashes: &mut Vec<Hash>) {
    const { assert!(S::u64s::LEN <= LANES_MAX) };
    let mut start = 0;
    for ends in messages.ends.chunks(S::u64s::LEN) {
        let mut group: [&[u8]; LANES_MAX] = [&[]; LANES_MAX];
        for (message, end) in group.iter_mut().zip(ends) {
            *message = messages.bytes.get(start..*end).unwrap_or_default();
            start = *end;
        }
        if let ([_], [message, ..]) = (ends, &group) {
            hashes.push(Hash(Sha3_256::digest(message).into()));
            continue;
        }
        let digests = side_by_side(simd, group.get(..ends.len()).unwrap_or_default());
        hashes.extend(digests.into_iter().take(ends.len()));
    }
}

/// Hashes at most as many messages as a vector has lanes.
#[inline(always)]
fn side_by_side<S: Simd>(simd: S, group: &[&[u8]]) -> [Hash; LANES_MAX] {
    let mut digests = [Hash::ZERO; LANES_MAX];
    let mut state = [S::u64s::splat(simd, 0); 25];
    let last_block = |message: &[u8]| message.len() / RATE;
    let blocks = group.iter().map(|message| last_block(message)).max().unwrap_or_default();
    for block in 0..=blocks {
        let mut rows = [[0_u64; LANES_MAX]; RATE_WORDS];
        for (lane, message) in group.iter().enumerate().filter(|(_, message)| last_block(message) >= block) {
            let words = block_of(message, block);
            for (row, word) in rows.iter_mut().zip(words) {
                row.iter_mut().skip(lane).take(1).for_each(|slot| *slot = word);
            }
        }
        for (word, row) in state.iter_mut().zip(&rows) {
            *word ^= S::u64s::from_slice(simd, row.get(..S::u64s::LEN).unwrap_or_default());
        }
        permute(&mut state);
        let mut rows = [[0_u64; LANES_MAX]; DIGEST_WORDS];
        for (word, row) in state.iter().zip(&mut rows) {
            word.store_slice(row.get_mut(..S::u64s::LEN).unwrap_or_default());
        }
        let complete = group.iter().zip(&mut digests).enumerate();
        for (lane, (_, digest)) in complete.filter(|(_, (message, _))| last_block(message) == block) {
            let words = rows.each_ref().map(|row| row.get(lane).copied().unwrap_or_default());
            *digest = digest_of(words);
        }
    }
    digests
}

/// The words of a block of a message; that with its end is padded, and those after it are not asked for.
#[inline(always)]
fn block_of(message: &[u8], block: usize) -> [u64; RATE_WORDS] {
    let rest = message.get(block.saturating_mul(RATE)..).unwrap_or_default();
    let (whole, part) = rest.as_chunks::<8>();
    let mut words = [0_u64; RATE_WORDS];
    for (word, bytes) in words.iter_mut().zip(whole) {
        *word = u64::from_le_bytes(*bytes);
    }
    if rest.len() < RATE {
        let mut end = PADDING_START;
        part.iter().rev().for_each(|byte| end = end << 8 | u64::from(*byte));
        words.iter_mut().skip(whole.len()).take(1).for_each(|word| *word = end);
        words[RATE_WORDS - 1] |= PADDING_END;
    }
    words
}

/// The byte that follows a message, as a word.
const PADDING_START: u64 = 0x06;
/// What is set in the last word of a message's last block.
const PADDING_END: u64 = 0x80 << 56;

fn digest_of(words: [u64; DIGEST_WORDS]) -> Hash {
    let mut bytes = [0; 32];
    for (to, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *to = word.to_le_bytes();
    }
    Hash(bytes)
}

/// The constants of step ι.
const ROUNDS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

#[inline(always)]
#[expect(clippy::arithmetic_side_effects, reason = "lanes of bits: nothing overflows")]
fn rotate<S: Simd, V: SimdInt<S>, const BY: u32>(word: V) -> V {
    if BY == 0 { word } else { (word << BY) | (word >> (64 - BY)) }
}

/// Keccak-f[1600] of all lanes. The word at row y and column x is at `5 y + x`.
#[inline(always)]
fn permute<S: Simd, V: SimdInt<S, Element = u64>>(a: &mut [V; 25]) {
    // Steps ρ and π: what comes to a row of the next state, by position and rotation.
    macro_rules! row {
        ($mix:ident; $($from:literal <<< $by:literal),*) => {
            [$(rotate::<S, V, $by>(a[$from] ^ $mix[$from % 5])),*]
        };
    }
    for constant in ROUNDS {
        let sums = [
            a[0] ^ a[5] ^ a[10] ^ a[15] ^ a[20],
            a[1] ^ a[6] ^ a[11] ^ a[16] ^ a[21],
            a[2] ^ a[7] ^ a[12] ^ a[17] ^ a[22],
            a[3] ^ a[8] ^ a[13] ^ a[18] ^ a[23],
            a[4] ^ a[9] ^ a[14] ^ a[19] ^ a[24],
        ];
        let mix = [
            sums[4] ^ rotate::<S, V, 1>(sums[1]),
            sums[0] ^ rotate::<S, V, 1>(sums[2]),
            sums[1] ^ rotate::<S, V, 1>(sums[3]),
            sums[2] ^ rotate::<S, V, 1>(sums[4]),
            sums[3] ^ rotate::<S, V, 1>(sums[0]),
        ];
        let rows = [
            row![mix; 0 <<< 0, 6 <<< 44, 12 <<< 43, 18 <<< 21, 24 <<< 14],
            row![mix; 3 <<< 28, 9 <<< 20, 10 <<< 3, 16 <<< 45, 22 <<< 61],
            row![mix; 1 <<< 1, 7 <<< 6, 13 <<< 25, 19 <<< 8, 20 <<< 18],
            row![mix; 4 <<< 27, 5 <<< 36, 11 <<< 10, 17 <<< 15, 23 <<< 56],
            row![mix; 2 <<< 62, 8 <<< 55, 14 <<< 39, 15 <<< 41, 21 <<< 2],
        ];
        for (to, b) in a.as_chunks_mut::<5>().0.iter_mut().zip(rows) {
            *to = [
                b[0] ^ (!b[1] & b[2]),
                b[1] ^ (!b[2] & b[3]),
                b[2] ^ (!b[3] & b[4]),
                b[3] ^ (!b[4] & b[0]),
                b[4] ^ (!b[0] & b[1]),
            ];
        }
        a[0] ^= constant;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::hash;

    fn message(length: usize) -> Vec<u8> {
        (0..length).map(|position| u8::try_from((position * 7 + length) % 251).unwrap()).collect()
    }

    fn batch(lengths: &[usize]) -> (Messages, Vec<Hash>) {
        let mut messages = Messages::default();
        let mut expected = Vec::new();
        for length in lengths {
            let bytes = message(*length);
            let (first, second) = bytes.split_at(length / 3);
            messages.push(Domain::TreeInner, &[first, second]);
            expected.push(hash(Domain::TreeInner, &[&bytes]));
        }
        (messages, expected)
    }

    #[test]
    fn messages_of_every_length_around_the_blocks_have_their_own_hashes() {
        let lengths: Vec<usize> = (0..=3 * RATE + 2).collect();
        let (messages, expected) = batch(&lengths);
        assert_eq!(messages.hashes(), expected);
    }

    #[test]
    fn neighbours_of_other_lengths_change_nothing() {
        let lengths = [0, 1_000, 135, 5, 136, 134, 40_000, 64, 64, 272, 271, 3, 3];
        for count in 0..=lengths.len() {
            let (messages, expected) = batch(&lengths[..count]);
            assert_eq!(messages.hashes(), expected, "{count} messages");
        }
    }

    #[test]
    fn every_kind_of_vector_of_this_machine_gives_the_same_hashes() {
        let lengths: Vec<usize> = (100..150).collect();
        let (messages, expected) = batch(&lengths);
        let of = |level: Level| {
            let mut hashes = Vec::new();
            dispatch!(level, simd => all(simd, &messages, &mut hashes));
            hashes
        };
        assert_eq!(of(Level::baseline()), expected);
        #[cfg(target_arch = "x86_64")]
        for level in [
            Level::new().as_sse4_2().map(|token| token.level()),
            Level::new().as_avx2().map(|token| token.level()),
            Level::new().as_avx512().map(|token| token.level()),
        ]
        .into_iter()
        .flatten()
        {
            assert_eq!(of(level), expected, "{level:?}");
        }
    }

    #[test]
    fn forgotten_messages_leave_nothing_behind() {
        let (mut messages, _) = batch(&[10, 200]);
        messages.clear();
        assert!(messages.is_empty());
        messages.push(Domain::StateValue, &[b"after"]);
        assert_eq!(messages.hashes(), [hash(Domain::StateValue, &[b"after"])]);
    }
}
