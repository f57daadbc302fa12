//! How the memory of the validators changes while they work.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::usage::{memory_kib, running};
use crate::testnet::report::Report;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// Memory is flat if it grows in a minute by no more than this share of what is held, in thousandths.
const FLAT: u64 = 10;

/// The memory of one validator over the time that was measured, in KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Course {
    /// Its name.
    pub node: String,
    /// At the beginning.
    pub start_kib: u64,
    /// At the end.
    pub end_kib: u64,
    /// The most that was seen.
    pub highest_kib: u64,
    /// By how much it grows in a minute, by the straight line that fits the last half best; negative if it
    /// shrinks.
    pub growth_kib_per_minute: i64,
    /// Whether it grows in a minute by at most a hundredth of what is held at the end.
    pub is_flat: bool,
}

impl Course {
    /// Of what was held at these times in milliseconds, in their order.
    #[must_use]
    pub fn of(node: String, held: &[(u64, u64)]) -> Self {
        let kib = |place: Option<&(u64, u64)>| place.map_or(0, |(_, kib)| *kib);
        let (first, last) = (held.first().map_or(0, |at| at.0), held.last().map_or(0, |at| at.0));
        let half: Vec<(u64, u64)> =
            held.iter().copied().filter(|(ms, _)| *ms >= first.midpoint(last)).collect();
        let growth = slope(&half);
        let end_kib = kib(held.last());
        let allowed = i64::try_from(end_kib.saturating_mul(FLAT) / 1_000).unwrap_or(i64::MAX);
        Self {
            node,
            start_kib: kib(held.first()),
            end_kib,
            highest_kib: kib(held.iter().max_by_key(|(_, kib)| *kib)),
            growth_kib_per_minute: growth,
            is_flat: growth <= allowed,
        }
    }
}

/// KiB a minute of the straight line with the least squares through these points; 0 if there is no line.
fn slope(points: &[(u64, u64)]) -> i64 {
    let first = points.first().map_or(0, |(ms, _)| *ms);
    let count = i128::try_from(points.len()).unwrap_or_default();
    let (mut x, mut y, mut xx, mut xy) = (0_i128, 0_i128, 0_i128, 0_i128);
    for (ms, kib) in points {
        let (at, held) = (i128::from(ms.saturating_sub(first)), i128::from(*kib));
        (x, y, xx, xy) = (x + at, y + held, xx + at * at, xy + at * held);
    }
    let rise = (count * xy - x * y) * 60_000;
    rise.checked_div(count * xx - x * x).and_then(|kib| i64::try_from(kib).ok()).unwrap_or_default()
}

/// Looks at the memory of all validators that run until it is dropped.
pub struct Sampler {
    seen: Arc<Mutex<Vec<Sample>>>,
    names: Vec<String>,
    task: JoinHandle<()>,
}

struct Sample {
    at: Instant,
    held: Vec<u64>,
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sampler {
    /// Looks from now on.
    #[must_use]
    pub fn begin(report: &Report) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let names = running(report).map(|node| node.name.clone()).collect();
        let processes: Vec<u32> = running(report).filter_map(|node| node.pid).collect();
        let samples = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut ticks = interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let held = processes.iter().map(|pid| memory_kib(*pid)).collect();
                let sample = Sample { at: Instant::now(), held };
                samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
            }
        });
        Self { seen, names, task }
    }

    /// What was seen of each validator between two moments.
    #[must_use]
    pub fn between(&self, from: Instant, to: Instant) -> Vec<Course> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let within: Vec<&Sample> =
            seen.iter().filter(|sample| from <= sample.at && sample.at <= to).collect();
        let course = |(index, name): (usize, &String)| {
            let held = |sample: &&Sample| {
                let passed = sample.at.saturating_duration_since(from).as_millis();
                Some((u64::try_from(passed).ok()?, *sample.held.get(index)?))
            };
            Course::of(name.clone(), &within.iter().filter_map(held).collect::<Vec<_>>())
        };
        self.names.iter().enumerate().map(course).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(held: &[(u64, u64)]) -> Course {
        Course::of("n1".to_owned(), held)
    }

    #[test]
    fn growth_is_that_of_the_last_half_alone() {
        // It grows by 1,000 KiB a second at first, then by 1 KiB a second.
        let held: Vec<(u64, u64)> =
            (0..=100).map(|s| (s * 1_000, if s < 50 { s * 1_000 } else { 50_000 + s })).collect();
        let found = course(&held);
        assert_eq!((found.start_kib, found.end_kib, found.highest_kib), (0, 50_100, 50_100));
        assert_eq!(found.growth_kib_per_minute, 60);
        assert!(found.is_flat);
    }

    #[test]
    fn memory_that_grows_by_more_than_a_hundredth_a_minute_is_not_flat() {
        let held: Vec<(u64, u64)> = (0..=60).map(|s| (s * 1_000, 100_000 + s * 20)).collect();
        let found = course(&held);
        assert_eq!((found.growth_kib_per_minute, found.is_flat), (1_200, false));
    }

    #[test]
    fn memory_that_is_given_back_is_flat() {
        let held: Vec<(u64, u64)> = (0..=60).map(|s| (s * 1_000, 100_000 - s * 100)).collect();
        let found = course(&held);
        assert_eq!((found.growth_kib_per_minute, found.is_flat), (-6_000, true));
        assert_eq!(found.highest_kib, 100_000);
    }

    #[test]
    fn one_look_shows_no_growth() {
        assert_eq!(course(&[(5, 7)]).growth_kib_per_minute, 0);
        assert_eq!(course(&[]).highest_kib, 0);
    }
}
