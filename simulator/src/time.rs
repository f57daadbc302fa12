//! Virtual time, and the clocks of the nodes, which need not agree with it.
use quorate_primitives::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Time of the genesis of every simulated chain, in ms since 1970.
pub const BEGIN_MS: u64 = 1_767_225_600_000;

/// A point in virtual time. Unit: microseconds since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment(u64);

impl Moment {
    /// The beginning of the run.
    pub const ZERO: Moment = Moment(0);
    /// Later than anything.
    pub const MAX: Moment = Moment(u64::MAX);

    /// So many ms after the beginning.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// Microseconds since the beginning.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the beginning.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0 / 1_000
    }

    /// So many microseconds later.
    #[must_use]
    pub const fn after_micros(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// So many ms later.
    #[must_use]
    pub const fn after_ms(self, ms: u64) -> Self {
        self.after_micros(ms.saturating_mul(1_000))
    }

    /// Microseconds since an earlier moment; 0 if it is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// The clock of one node: wrong by a constant, running too fast or too slow, and jumping.
///
/// Timers run at its rate but never jump, as the monotonic clock of a real machine.
#[derive(Clone, Debug)]
pub struct Clock {
    /// When its rate or its time was last set.
    set_at: Moment,
    /// What it showed then, in ms.
    shown_ms: u64,
    /// Of a thousand ticks of true time it makes so many more. Range: −500 to 500.
    drift_permille: i64,
}

impl Clock {
    /// A clock that is right.
    #[must_use]
    pub fn right() -> Self {
        Self { set_at: Moment::ZERO, shown_ms: BEGIN_MS, drift_permille: 0 }
    }

    /// What the clock shows.
    #[must_use]
    pub fn wall(&self, now: Moment) -> Timestamp {
        let local = self.local_micros(now.since(self.set_at)) / 1_000;
        Timestamp::new(self.shown_ms.saturating_add(local))
    }

    /// How long a duration of this clock takes in truth, in microseconds: never shorter.
    #[must_use]
    pub fn true_micros(&self, ms: u64) -> u64 {
        let micros = ms.saturating_mul(1_000);
        if self.drift_permille == 0 {
            return micros;
        }
        micros.saturating_mul(1_000).div_ceil(self.rate_permille())
    }

    fn rate_permille(&self) -> u64 {
        1_000_u64.saturating_add_signed(self.drift_permille).max(1)
    }

    fn local_micros(&self, micros: u64) -> u64 {
        if self.drift_permille == 0 { micros } else { micros.saturating_mul(self.rate_permille()) / 1_000 }
    }

    /// Makes it jump, forwards or backwards.
    pub fn jump(&mut self, now: Moment, by_ms: i64) {
        self.shown_ms = self.wall(now).get().saturating_add_signed(by_ms);
        self.set_at = now;
    }

    /// Makes it run at another rate from now on.
    pub fn set_drift(&mut self, now: Moment, permille: i64) {
        self.jump(now, 0);
        self.drift_permille = permille.clamp(-500, 500);
    }

    /// Sets it right, as a time server does.
    pub fn correct(&mut self, now: Moment) {
        self.set_at = now;
        self.shown_ms = BEGIN_MS.saturating_add(now.ms());
        self.drift_permille = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_clock_shows_the_time_since_the_genesis() {
        assert_eq!(Clock::right().wall(Moment::from_ms(1_500)).get(), BEGIN_MS + 1_500);
    }

    #[test]
    fn a_clock_jumps_drifts_and_is_set_right_again() {
        let mut clock = Clock::right();
        clock.jump(Moment::from_ms(100), -50);
        assert_eq!(clock.wall(Moment::from_ms(200)).get(), BEGIN_MS + 150);
        clock.set_drift(Moment::from_ms(200), 100);
        assert_eq!(clock.wall(Moment::from_ms(1_200)).get(), BEGIN_MS + 150 + 1_100);
        clock.correct(Moment::from_ms(1_200));
        assert_eq!(clock.wall(Moment::from_ms(1_300)).get(), BEGIN_MS + 1_300);
    }

    #[test]
    fn a_timer_of_a_drifting_clock_is_never_early_by_that_clock() {
        for drift in [-100, -7, 0, 13, 100] {
            let mut clock = Clock::right();
            clock.set_drift(Moment::ZERO, drift);
            for ms in [1, 3, 333, 10_000] {
                let fired = Moment::ZERO.after_micros(clock.true_micros(ms));
                assert!(clock.wall(fired).get() >= BEGIN_MS + ms, "{drift} {ms}");
            }
        }
    }
}
