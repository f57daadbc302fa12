//! The only clock of the replica, and its timers.
//!
//! Timers run on the monotonic clock: a jump of the wall clock moves none of them. The wall clock only
//! gives the time that blocks are judged by.
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use quorate_primitives::Timestamp;

/// The time of the wall clock; 0 if it stands before 1970.
#[must_use]
pub fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// Timers by name, at most one of each name. A timer never fires early.
#[derive(Debug)]
pub struct Timers<T> {
    /// When each fires, and the order in which those of one moment were armed.
    armed: BTreeMap<T, (Instant, u64)>,
    queue: BTreeSet<(Instant, u64, T)>,
    count: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { armed: BTreeMap::new(), queue: BTreeSet::new(), count: 0 }
    }
}

impl<T: Ord + Copy> Timers<T> {
    /// Sets the timer of this name, replacing an earlier one.
    pub fn arm(&mut self, timer: T, now: Instant, after: Duration) {
        let when = now.checked_add(after).unwrap_or(now);
        self.count = self.count.wrapping_add(1);
        if let Some((before, order)) = self.armed.insert(timer, (when, self.count)) {
            self.queue.remove(&(before, order, timer));
        }
        self.queue.insert((when, self.count, timer));
    }

    /// Takes the timer that fires next, if its time has come.
    pub fn pop_due(&mut self, now: Instant) -> Option<T> {
        let (when, _, timer) = *self.queue.first()?;
        if when > now {
            return None;
        }
        self.queue.pop_first();
        self.armed.remove(&timer);
        Some(timer)
    }

    /// When the next timer fires.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(when, _, _)| *when)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn timers_fire_in_order_of_time_and_then_of_arming_and_never_early() {
        let start = Instant::now();
        let mut timers = Timers::default();
        timers.arm('b', start, SECOND);
        timers.arm('c', start, SECOND * 2);
        timers.arm('a', start, SECOND);
        assert_eq!(timers.next(), Some(start + SECOND));
        assert_eq!(timers.pop_due(start + SECOND - Duration::from_nanos(1)), None);
        let late = start + SECOND * 5;
        let fired: Vec<char> = std::iter::from_fn(|| timers.pop_due(late)).collect();
        assert_eq!(fired, ['b', 'a', 'c']);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn arming_again_replaces_the_timer() {
        let start = Instant::now();
        let mut timers = Timers::default();
        timers.arm('a', start, SECOND);
        timers.arm('a', start, SECOND * 3);
        assert_eq!(timers.pop_due(start + SECOND * 2), None);
        assert_eq!(timers.pop_due(start + SECOND * 3), Some('a'));
        assert_eq!(timers.pop_due(start + SECOND * 9), None);
    }
}
