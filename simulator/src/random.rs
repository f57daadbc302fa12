//! Randomness of a run: everything that is drawn follows from the seed.
//!
//! Each part of the simulation draws from a stream of its own, so that turning one part off leaves the
//! draws of the others as they were. That keeps a failure alive while it is made smaller.
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Which part of the simulation draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The options of the run.
    Options = 1,
    /// Delays and losses of the network.
    Network = 2,
    /// What power failures leave on disks, and how long disks take.
    Disk = 3,
    /// When something breaks, and what.
    Faults = 4,
    /// What clients ask for.
    Clients = 5,
    /// Signature checks; decides nothing.
    Signatures = 6,
    /// What the checkers sample; decides nothing that the validators see.
    Checkers = 7,
    /// Validators that do not follow the protocol.
    Puppets = 8,
    /// Which validators are healed.
    Healing = 9,
    /// Clocks.
    Clocks = 10,
    /// Who decides who validates.
    Governing = 11,
    /// What is read from the nodes, and how answers and requests are damaged; decides nothing that the
    /// validators see.
    Readers = 12,
    /// The load and the gossip of a network around the world.
    Wide = 13,
}

/// A source of randomness. The same seed and stream give the same draws on every machine.
#[derive(Clone, Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The draws of one stream of a seed.
    #[must_use]
    pub fn new(seed: u64, stream: Stream) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream as u64);
        Self(rng)
    }

    /// The generator itself, for calls that take one.
    pub fn rng(&mut self) -> &mut ChaCha8Rng {
        &mut self.0
    }

    /// A number below `bound`; 0 if that is 0. The bias is below one in 2^32 for the small bounds used.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// An index below `length`; 0 if that is 0.
    pub fn index(&mut self, length: usize) -> usize {
        let bound = u64::try_from(length).unwrap_or(u64::MAX);
        usize::try_from(self.below(bound)).unwrap_or(0)
    }

    /// A number between two, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low.saturating_add(self.below(high.saturating_sub(low).saturating_add(1)))
    }

    /// True in so many of a thousand cases. Draws nothing for none.
    pub fn chance(&mut self, permille: u64) -> bool {
        permille > 0 && self.below(1_000) < permille
    }

    /// A coin.
    pub fn coin(&mut self) -> bool {
        self.0.next_u32() & 1 == 1
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let index = self.index(items.len());
        items.get(index)
    }

    /// Puts the items in any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.index(last.saturating_add(1));
            items.swap(last, other);
        }
    }

    /// `count` of the numbers below `length`, ascending; all of them if there are no more.
    pub fn sample(&mut self, length: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..length).collect();
        self.shuffle(&mut all);
        all.truncate(count);
        all.sort_unstable();
        all
    }

    /// A number with an exponential distribution of about this mean, at most about forty times as much.
    ///
    /// The logarithm is taken of the leading bits and made linear in between, so that no float decides
    /// anything; the mean is 4 % higher.
    pub fn exponential(&mut self, mean: u64) -> u64 {
        let bits = self.0.next_u64() | 1;
        let whole = u64::from(bits.leading_zeros());
        let rest = (bits << bits.leading_zeros() << 1) >> 54;
        // In units of ln 2 / 1024.
        let logarithm = whole.saturating_mul(1_024).saturating_add(1_023_u64.saturating_sub(rest));
        mean.saturating_mul(logarithm).saturating_mul(693) / 1_024_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_stream_give_the_same_draws() {
        let draw = |seed, stream| {
            let mut dice = Dice::new(seed, stream);
            (0..8).map(|_| dice.below(1_000_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, Stream::Network), draw(1, Stream::Network));
        assert_ne!(draw(1, Stream::Network), draw(2, Stream::Network));
        assert_ne!(draw(1, Stream::Network), draw(1, Stream::Disk));
    }

    #[test]
    fn the_mean_of_exponential_draws_is_about_the_one_asked_for() {
        let mut dice = Dice::new(7, Stream::Network);
        let sum: u64 = (0..20_000).map(|_| dice.exponential(1_000)).sum();
        assert!((950..1_150).contains(&(sum / 20_000)), "{}", sum / 20_000);
    }

    #[test]
    fn a_sample_has_distinct_ascending_members() {
        let mut dice = Dice::new(3, Stream::Faults);
        for _ in 0..100 {
            let sample = dice.sample(7, 3);
            assert_eq!(sample.len(), 3);
            assert!(sample.is_sorted_by(|a, b| a < b) && sample.iter().all(|index| *index < 7));
        }
    }
}
