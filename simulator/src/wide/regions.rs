//! Where the validators are: ten regions of a cloud on five continents, and the round-trip times between them.
//!
//! The times are the medians that cloudping.co publishes for connections between the regions of Amazon's cloud,
//! as of the copy that the repository `commonwarexyz/monorepo` holds in `examples/estimator/src/p50.json`
//! (2025), the mean of both directions, rounded to a tenth of a millisecond. The ten regions are those of
//! the network on which 290 to 313 ms are published for the finality of Simplex.

/// The regions, in the order in which validators are spread over them.
pub const REGIONS: [&str; 10] = [
    "us-west-1",
    "us-east-1",
    "eu-west-1",
    "ap-northeast-1",
    "eu-north-1",
    "ap-south-1",
    "sa-east-1",
    "eu-central-1",
    "ap-northeast-2",
    "ap-southeast-2",
];

/// Round-trip times in tenths of a millisecond; row and column as in [`REGIONS`].
#[rustfmt::skip]
const ROUND_TRIPS: [[u64; 10]; 10] = [
    [   28,   641,  1300,  1085,  1727,  2318,  1750,  1531,  1337,  1392],
    [  641,    55,   697,  1496,  1125,  1911,  1153,   929,  1797,  1997],
    [ 1300,   697,    32,  2024,   403,  1256,  1784,   272,  2329,  2557],
    [ 1085,  1496,  2024,    28,  2469,  1338,  2586,  2273,   364,  1064],
    [ 1727,  1125,   403,  2469,    33,  1487,  2232,   230,  2502,  2714],
    [ 2318,  1911,  1256,  1338,  1487,    32,  3014,  1291,  1349,  1548],
    [ 1750,  1153,  1784,  2586,  2232,  3014,    33,  2045,  2895,  3122],
    [ 1531,   929,   272,  2273,   230,  1291,  2045,    40,  2312,  2515],
    [ 1337,  1797,  2329,   364,  2502,  1349,  2895,  2312,    40,  1457],
    [ 1392,  1997,  2557,  1064,  2714,  1548,  3122,  2515,  1457,    41],
];

/// The region of a node.
#[must_use]
pub fn region_of(node: usize) -> usize {
    node % REGIONS.len()
}

/// The shortest way from a node to another, in microseconds: half of the round trip.
#[must_use]
pub fn one_way_us(from: usize, to: usize) -> u64 {
    let row = ROUND_TRIPS.get(region_of(from));
    row.and_then(|row| row.get(region_of(to))).copied().unwrap_or_default().saturating_mul(50)
}

/// The least time from a proposal to its finality that the ways alone allow, in microseconds: of all leaders the
/// mean of when the middle one of so many validators has heard a quorum's second votes.
#[must_use]
pub fn floor_us(validators: usize) -> u64 {
    let quorum = validators.saturating_sub(validators.saturating_sub(1) / 3);
    let way = |from: usize, to: usize| if from == to { 0 } else { one_way_us(from, to) };
    let after_quorum = |said: &[u64]| -> Vec<u64> {
        let heard = |at: usize| {
            let mut heard: Vec<u64> = said.iter().enumerate().map(|(by, when)| when + way(by, at)).collect();
            heard.sort_unstable();
            heard.get(quorum.saturating_sub(1)).copied().unwrap_or_default()
        };
        (0..validators).map(heard).collect()
    };
    let of_leader = |leader: usize| {
        let proposed: Vec<u64> = (0..validators).map(|to| way(leader, to)).collect();
        let mut last = after_quorum(&after_quorum(&proposed));
        last.sort_unstable();
        last.get(validators / 2).copied().unwrap_or_default()
    };
    let sum: u64 = (0..validators).map(of_leader).sum();
    sum.checked_div(u64::try_from(validators).unwrap_or(u64::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_symmetric() {
        for (row, times) in ROUND_TRIPS.iter().enumerate() {
            for (column, time) in times.iter().enumerate() {
                assert_eq!(*time, ROUND_TRIPS[column][row], "{} {}", REGIONS[row], REGIONS[column]);
            }
        }
    }

    #[test]
    fn validators_are_spread_evenly_over_the_regions() {
        let of = |region| (0..31).filter(|node| region_of(*node) == region).count();
        assert!((0..REGIONS.len()).all(|region| (3..=4).contains(&of(region))));
    }

    #[test]
    fn one_validator_waits_for_nobody() {
        assert_eq!(floor_us(1), 0);
    }

    #[test]
    fn the_floor_is_what_is_published_for_simplex_on_these_regions() {
        for validators in [31, 64, 100] {
            assert!(
                (280_000..320_000).contains(&floor_us(validators)),
                "{validators}: {}",
                floor_us(validators)
            );
        }
    }
}
