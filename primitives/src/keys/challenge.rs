//! SHA-512 of many messages at once, for the challenges of many signatures.
//!
//! As in [`crate::hash::many`], the lanes of one vector carry the states of several messages, and the hashes
//! are the same on every machine. Source: FIPS 180-4, sections 5 and 6.4.
use fearless_simd::{Level, Simd, SimdBase, SimdInt, dispatch};
use sha2::{Digest, Sha512};

use super::BorrowedCheck;

/// Bytes that are taken in at a time.
const BLOCK: usize = 128;
/// Bytes of the length at the end of the padding.
const LENGTH_BYTES: usize = 16;
/// Most lanes of any vector.
const LANES_MAX: usize = 8;

/// The hash of `R ‖ A ‖ tag ‖ message` of every signature, in order.
pub(super) fn challenges(checks: &[BorrowedCheck<'_>]) -> Vec<[u8; 64]> {
    let mut digests = Vec::with_capacity(checks.len());
    dispatch!(Level::new(), simd => all(simd, checks, &mut digests));
    digests
}

#[inline(always)]
fn all<S: Simd>(simd: S, checks: &[BorrowedCheck<'_>], digests: &mut Vec<[u8; 64]>) {
    const { assert!(S::u64s::LEN <= LANES_MAX) };
    let mut group: [Vec<u8>; LANES_MAX] = Default::default();
    for checks in checks.chunks(S::u64s::LEN) {
        if let [check] = checks {
            digests.push(alone(check));
            continue;
        }
        for (check, padded) in checks.iter().zip(&mut group) {
            let (r, _) = check.signature.halves();
            pad(&[&r, check.key.as_bytes(), check.domain.tag(), check.message], padded);
        }
        let of_group = side_by_side(simd, group.get(..checks.len()).unwrap_or_default());
        digests.extend(of_group.into_iter().take(checks.len()));
    }
}

fn alone(check: &BorrowedCheck<'_>) -> [u8; 64] {
    let (r, _) = check.signature.halves();
    let parts = [&r, check.key.as_bytes(), check.domain.tag(), check.message];
    parts.iter().fold(Sha512::new(), |hash, part| hash.chain_update(part)).finalize().into()
}

/// Joins the parts, and pads them to whole blocks.
fn pad(parts: &[&[u8]], padded: &mut Vec<u8>) {
    padded.clear();
    parts.iter().for_each(|part| padded.extend_from_slice(part));
    let bits = u128::try_from(padded.len()).unwrap_or_default().saturating_mul(8);
    padded.push(0x80);
    let blocks = padded.len().saturating_add(LENGTH_BYTES).div_ceil(BLOCK);
    padded.resize(blocks.saturating_mul(BLOCK).saturating_sub(LENGTH_BYTES), 0);
    padded.extend_from_slice(&bits.to_be_bytes());
}

/// Hashes at most as many padded messages as a vector has lanes.
#[inline(always)]
fn side_by_side<S: Simd>(simd: S, group: &[Vec<u8>]) -> [[u8; 64]; LANES_MAX] {
    let mut digests = [[0; 64]; LANES_MAX];
    let mut state = START.map(|word| S::u64s::splat(simd, word));
    let blocks = group.iter().map(|message| message.len() / BLOCK).max().unwrap_or_default();
    for block in 0..blocks {
        let mut rows = [[0_u64; LANES_MAX]; 16];
        for (lane, message) in group.iter().enumerate() {
            let Some(bytes) = message.as_chunks::<BLOCK>().0.get(block) else { continue };
            for (row, word) in rows.iter_mut().zip(bytes.as_chunks::<8>().0) {
                row.iter_mut().skip(lane).take(1).for_each(|slot| *slot = u64::from_be_bytes(*word));
            }
        }
        let words = rows.map(|row| S::u64s::from_slice(simd, row.get(..S::u64s::LEN).unwrap_or_default()));
        compress(simd, &mut state, words);
        let mut rows = [[0_u64; LANES_MAX]; 8];
        for (word, row) in state.iter().zip(&mut rows) {
            word.store_slice(row.get_mut(..S::u64s::LEN).unwrap_or_default());
        }
        let last = |message: &Vec<u8>| message.len() / BLOCK == block.saturating_add(1);
        let complete = group.iter().zip(&mut digests).enumerate();
        for (lane, (_, digest)) in complete.filter(|(_, (message, _))| last(message)) {
            for (to, row) in digest.as_chunks_mut::<8>().0.iter_mut().zip(&rows) {
                *to = row.get(lane).copied().unwrap_or_default().to_be_bytes();
            }
        }
    }
    digests
}

#[inline(always)]
#[expect(clippy::arithmetic_side_effects, reason = "lanes of bits: nothing overflows")]
fn rotate<S: Simd, V: SimdInt<S>, const BY: u32>(word: V) -> V {
    (word >> BY) | (word << (64 - BY))
}

/// Takes in one block of every lane.
#[inline(always)]
#[expect(clippy::arithmetic_side_effects, reason = "lanes are sums modulo 2^64, as the standard wants them")]
fn compress<S: Simd, V: SimdInt<S, Element = u64> + SimdBase<S>>(
    simd: S,
    state: &mut [V; 8],
    mut w: [V; 16],
) {
    // The next sixteen words of the schedule, by the positions of what each is computed from.
    macro_rules! schedule {
        ($($to:literal <- $near:literal $middle:literal $far:literal),*) => {
            $(
                let (near, far) = (w[$near], w[$far]);
                let near = rotate::<S, V, 1>(near) ^ rotate::<S, V, 8>(near) ^ (near >> 7);
                let far = rotate::<S, V, 19>(far) ^ rotate::<S, V, 61>(far) ^ (far >> 6);
                w[$to] = w[$to] + near + w[$middle] + far;
            )*
        };
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (turn, constants) in ROUNDS.as_chunks::<16>().0.iter().enumerate() {
        if turn > 0 {
            schedule![
                0 <- 1 9 14,
                1 <- 2 10 15,
                2 <- 3 11 0,
                3 <- 4 12 1,
                4 <- 5 13 2,
                5 <- 6 14 3,
                6 <- 7 15 4,
                7 <- 8 0 5,
                8 <- 9 1 6,
                9 <- 10 2 7,
                10 <- 11 3 8,
                11 <- 12 4 9,
                12 <- 13 5 10,
                13 <- 14 6 11,
                14 <- 15 7 12,
                15 <- 0 8 13
            ];
        }
        for (word, constant) in w.iter().zip(constants) {
            let mix = rotate::<S, V, 14>(e) ^ rotate::<S, V, 18>(e) ^ rotate::<S, V, 41>(e);
            let choice = (e & f) ^ (!e & g);
            let first = h + mix + choice + *word + V::splat(simd, *constant);
            let mix = rotate::<S, V, 28>(a) ^ rotate::<S, V, 34>(a) ^ rotate::<S, V, 39>(a);
            let majority = (a & b) ^ (a & c) ^ (b & c);
            (h, g, f, e) = (g, f, e, d + first);
            (d, c, b, a) = (c, b, a, first + mix + majority);
        }
    }
    for (word, new) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word += new;
    }
}

/// The first bits of the fractions of the square roots of the first 8 primes.
const START: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// The first bits of the fractions of the cube roots of the first 80 primes.
const ROUNDS: [u64; 80] = [
    0x428a_2f98_d728_ae22,
    0x7137_4491_23ef_65cd,
    0xb5c0_fbcf_ec4d_3b2f,
    0xe9b5_dba5_8189_dbbc,
    0x3956_c25b_f348_b538,
    0x59f1_11f1_b605_d019,
    0x923f_82a4_af19_4f9b,
    0xab1c_5ed5_da6d_8118,
    0xd807_aa98_a303_0242,
    0x1283_5b01_4570_6fbe,
    0x2431_85be_4ee4_b28c,
    0x550c_7dc3_d5ff_b4e2,
    0x72be_5d74_f27b_896f,
    0x80de_b1fe_3b16_96b1,
    0x9bdc_06a7_25c7_1235,
    0xc19b_f174_cf69_2694,
    0xe49b_69c1_9ef1_4ad2,
    0xefbe_4786_384f_25e3,
    0x0fc1_9dc6_8b8c_d5b5,
    0x240c_a1cc_77ac_9c65,
    0x2de9_2c6f_592b_0275,
    0x4a74_84aa_6ea6_e483,
    0x5cb0_a9dc_bd41_fbd4,
    0x76f9_88da_8311_53b5,
    0x983e_5152_ee66_dfab,
    0xa831_c66d_2db4_3210,
    0xb003_27c8_98fb_213f,
    0xbf59_7fc7_beef_0ee4,
    0xc6e0_0bf3_3da8_8fc2,
    0xd5a7_9147_930a_a725,
    0x06ca_6351_e003_826f,
    0x1429_2967_0a0e_6e70,
    0x27b7_0a85_46d2_2ffc,
    0x2e1b_2138_5c26_c926,
    0x4d2c_6dfc_5ac4_2aed,
    0x5338_0d13_9d95_b3df,
    0x650a_7354_8baf_63de,
    0x766a_0abb_3c77_b2a8,
    0x81c2_c92e_47ed_aee6,
    0x9272_2c85_1482_353b,
    0xa2bf_e8a1_4cf1_0364,
    0xa81a_664b_bc42_3001,
    0xc24b_8b70_d0f8_9791,
    0xc76c_51a3_0654_be30,
    0xd192_e819_d6ef_5218,
    0xd699_0624_5565_a910,
    0xf40e_3585_5771_202a,
    0x106a_a070_32bb_d1b8,
    0x19a4_c116_b8d2_d0c8,
    0x1e37_6c08_5141_ab53,
    0x2748_774c_df8e_eb99,
    0x34b0_bcb5_e19b_48a8,
    0x391c_0cb3_c5c9_5a63,
    0x4ed8_aa4a_e341_8acb,
    0x5b9c_ca4f_7763_e373,
    0x682e_6ff3_d6b2_b8a3,
    0x748f_82ee_5def_b2fc,
    0x78a5_636f_4317_2f60,
    0x84c8_7814_a1f0_ab72,
    0x8cc7_0208_1a64_39ec,
    0x90be_fffa_2363_1e28,
    0xa450_6ceb_de82_bde9,
    0xbef9_a3f7_b2c6_7915,
    0xc671_78f2_e372_532b,
    0xca27_3ece_ea26_619c,
    0xd186_b8c7_21c0_c207,
    0xeada_7dd6_cde0_eb1e,
    0xf57d_4f7f_ee6e_d178,
    0x06f0_67aa_7217_6fba,
    0x0a63_7dc5_a2c8_98a6,
    0x113f_9804_bef9_0dae,
    0x1b71_0b35_131c_471b,
    0x28db_77f5_2304_7d84,
    0x32ca_ab7b_40c7_2493,
    0x3c9e_be0a_15c9_bebc,
    0x431d_67c4_9c10_0d4c,
    0x4cc5_d4be_cb3e_42b6,
    0x597f_299c_fc65_7e2a,
    0x5fcb_6fab_3ad6_faec,
    0x6c44_198c_4a47_5817,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Domain;
    use crate::keys::{PublicKey, Signature};

    /// Signatures of messages of these lengths, and the hashes of the library.
    fn batch(messages: &[Vec<u8>]) -> (Vec<BorrowedCheck<'_>>, Vec<[u8; 64]>) {
        let check = |message| BorrowedCheck {
            key: PublicKey::from_bytes([7; 32]),
            domain: Domain::SignVote,
            message,
            signature: Signature::from_bytes([9; 64]),
        };
        let expected = |message: &Vec<u8>| {
            let parts = [&[9; 32][..], &[7; 32], Domain::SignVote.tag(), message];
            Sha512::digest(parts.concat()).into()
        };
        (messages.iter().map(|message| check(message)).collect(), messages.iter().map(expected).collect())
    }

    fn messages(lengths: impl Iterator<Item = usize>) -> Vec<Vec<u8>> {
        let byte = |length: usize, at: usize| u8::try_from((at * 7 + length) % 251).unwrap();
        lengths.map(|length| (0..length).map(|at| byte(length, at)).collect()).collect()
    }

    #[test]
    fn messages_of_every_length_around_the_blocks_have_their_own_hashes() {
        let messages = messages(0..=3 * BLOCK + 2);
        let (checks, expected) = batch(&messages);
        assert_eq!(challenges(&checks), expected);
    }

    #[test]
    fn neighbours_of_other_lengths_change_nothing() {
        let messages = messages([0, 1_000, 47, 48, 31, 32, 40_000, 64, 64, 176, 175, 3, 3].into_iter());
        let (checks, expected) = batch(&messages);
        for count in 0..=checks.len() {
            assert_eq!(challenges(&checks[..count]), expected[..count], "{count} messages");
        }
    }

    #[test]
    fn every_kind_of_vector_of_this_machine_gives_the_same_hashes() {
        let messages = messages(200..300);
        let (checks, expected) = batch(&messages);
        let of = |level: Level| {
            let mut digests = Vec::new();
            dispatch!(level, simd => all(simd, &checks, &mut digests));
            digests
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
}
