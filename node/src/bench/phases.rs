//! The steps of a run: how much load, for how long, and what was seen.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_primitives::keys::SignatureCheck;
use serde::Serialize;
use tokio::time::sleep_until;

use super::accounts::{Envelope, now};
use super::load::{Calls, Load, Pace};
use super::machine::BATCH;
use super::memory::{Course, Sampler};
use super::quantile;
use super::supply::{Demand, Supply};
use super::target::Target;
use super::usage::Usage;
use super::watch::{Block, Final, Watch};
use super::workload::Workload;
use crate::commands::Failure;

/// Load that is offered before anything is counted.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long transactions on their way may take to become final after the load ended.
pub const DRAIN: Duration = Duration::from_secs(15);
/// How soon things happened, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Half took at most this long.
    pub p50_us: u64,
    /// 95 of 100 took at most this long.
    pub p95_us: u64,
    /// 99 of 100 took at most this long.
    pub p99_us: u64,
    /// The slowest.
    pub max_us: u64,
}

impl Latency {
    /// Of these times in microseconds.
    #[must_use]
    pub fn of(mut micros: Vec<u64>) -> Self {
        micros.sort_unstable();
        Self {
            p50_us: quantile(&micros, 500),
            p95_us: quantile(&micros, 950),
            p99_us: quantile(&micros, 990),
            max_us: quantile(&micros, 1_000),
        }
    }
}

/// What was seen in one step of steady load.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Step {
    /// Transactions on their way at a time, if that was bounded.
    pub in_flight: Option<usize>,
    /// Transactions offered a second, if that was fixed.
    pub offered_per_second: Option<u64>,
    /// Time over which was counted, in milliseconds.
    pub window_ms: u64,
    /// Own transactions that became final in that time, a second.
    pub finalized_per_second: u64,
    /// From when a transaction was due to when its block was told of as final.
    pub finality: Latency,
    /// Blocks that became final in that time.
    pub blocks: u64,
    /// Mean time between two blocks, in microseconds.
    pub block_interval_us: u64,
    /// Longest time in which no block became final, in microseconds.
    pub block_pause_longest_us: u64,
    /// Mean number of transactions in a block.
    pub transactions_per_block: u64,
    /// Transactions that were handed in in that time, a second.
    pub handed_in_per_second: u64,
    /// Transactions that were refused because validators had no room, in the whole step; they are offered
    /// again.
    pub refused_busy: u64,
    /// Transactions that were refused for another reason or got no answer, in the whole step.
    pub failed: u64,
    /// How many of these for which reason.
    pub failures: BTreeMap<String, u64>,
    /// Transactions that were handed in, in the whole step.
    pub offered: u64,
    /// Transactions that were taken and not seen to be final by the end of the step.
    pub missing: usize,
    /// Transactions that were signed while the load ran, because not all could be signed before.
    pub signed_meanwhile: u64,
    /// The memory of each validator in that time.
    #[serde(skip)]
    pub memory: Vec<Course>,
    /// What processes spent meanwhile, for steps that are long enough.
    #[serde(skip)]
    pub spent: Option<(Usage, Usage)>,
}

/// Offers load, step by step.
pub struct Bench<'a> {
    /// Where.
    pub target: &'a Target,
    /// What.
    pub workload: Arc<Workload>,
    /// Sees what becomes final.
    pub watch: Arc<Watch>,
}

impl<'a> Bench<'a> {
    /// Nothing is offered yet.
    ///
    /// # Errors
    /// [`Failure`] if the first validator does not answer.
    pub async fn new(target: &'a Target, workload: Workload) -> Result<Self, Failure> {
        let watch = Arc::new(Watch::follow(target.first()?.clone()).await?);
        Ok(Self { target, workload: Arc::new(workload), watch })
    }

    /// What all transfers have in common, valid for so long from now on, if the chain allows.
    ///
    /// # Errors
    /// [`Failure`] if the network is no testnet.
    pub fn envelope(&self, validity: Duration) -> Result<Envelope, Failure> {
        let ms = u64::try_from(validity.as_millis()).unwrap_or(u64::MAX).min(self.target.validity_max_ms());
        let valid_until = now()?.saturating_add(ms);
        Ok(Envelope { chain: self.target.genesis.hash(), asset: self.target.asset()?, valid_until })
    }

    /// Signatures to measure the machine with.
    ///
    /// # Errors
    /// [`Failure`] if the system gives no threads.
    pub fn checks(&self) -> Result<Vec<SignatureCheck>, Failure> {
        self.workload.checks(&self.envelope(Duration::ZERO)?, BATCH)
    }

    /// Transfers for a load that lasts so long.
    ///
    /// # Errors
    /// [`Failure`] if they cannot be made.
    pub async fn supply(&self, demand: Demand, duration: Duration) -> Result<Arc<Supply>, Failure> {
        let longest = self.envelope(Duration::MAX)?;
        Supply::prepare(&self.workload, longest, demand, duration).await.map(Arc::new)
    }

    /// One step.
    ///
    /// # Errors
    /// [`Failure`] if transfers cannot be made.
    pub async fn step(&self, pace: Pace, duration: Duration, demand: Demand) -> Result<Step, Failure> {
        let whole = WARM_UP + duration;
        let supply = self.supply(demand, whole).await?;
        supply.begin(whole);
        let load = Load::begin(&self.target.clients, &self.watch, &supply, pace)?;
        let from = Instant::now() + WARM_UP;
        let to = from + duration;
        sleep_until(from.into()).await;
        let (memory, offered) = (Sampler::begin(&self.target.report), load.calls().offered);
        let before = Usage::look(&self.target.report).await;
        sleep_until(to.into()).await;
        let offered = load.calls().offered.saturating_sub(offered);
        let after = Usage::look(&self.target.report).await;
        let calls = load.end().await;
        self.drain().await;
        let (blocks, finals) = self.watch.between(from, to);
        let mut step = step(&blocks, &finals, duration, calls);
        step.block_pause_longest_us = longest_pause_us(&blocks, from, to);
        match pace {
            Pace::InFlight(count) => step.in_flight = Some(count),
            Pace::Rate(rate) | Pace::Flood(rate) => step.offered_per_second = Some(rate),
        }
        step.handed_in_per_second = a_second(offered, duration);
        step.missing = self.watch.expected();
        step.signed_meanwhile = supply.signed_meanwhile();
        step.memory = memory.between(from, to);
        step.spent = Some((before, after));
        Ok(step)
    }

    /// Waits until all that is on its way is final, or for as long as that may take.
    pub async fn drain(&self) {
        let deadline = Instant::now() + DRAIN;
        while self.watch.expected() > 0 && Instant::now() < deadline {
            self.watch.changed(Duration::from_millis(200)).await;
        }
    }
}

/// So many in such a time, a second.
#[must_use]
pub fn a_second(count: u64, time: Duration) -> u64 {
    let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1_000_000) / us
}

/// Longest time between two moments in which no block became final, in microseconds.
#[must_use]
pub fn longest_pause_us(blocks: &[Block], from: Instant, to: Instant) -> u64 {
    let moments = blocks.iter().map(|block| block.at).chain(std::iter::once(to));
    let pauses = moments.scan(from, |last, at| {
        let pause = at.saturating_duration_since(*last);
        *last = at;
        u64::try_from(pause.as_micros()).ok()
    });
    pauses.max().unwrap_or_default()
}

fn step(blocks: &[Block], finals: &[Final], window: Duration, calls: Calls) -> Step {
    let size = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let window_us = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
    let held: u64 = blocks.iter().map(|block| block.transactions).sum();
    let count = size(blocks.len());
    Step {
        window_ms: window_us / 1_000,
        finalized_per_second: a_second(size(finals.len()), window),
        finality: Latency::of(finals.iter().map(|done| done.micros).collect()),
        blocks: count,
        block_interval_us: window_us.checked_div(count).unwrap_or_default(),
        transactions_per_block: held.checked_div(count).unwrap_or_default(),
        refused_busy: calls.busy,
        failed: calls.failed,
        failures: calls.failures,
        offered: calls.offered,
        ..Step::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pause_may_lie_before_the_first_block_or_after_the_last() {
        let from = Instant::now();
        let at = |ms| from + Duration::from_millis(ms);
        let longest = |blocks: &[u64]| {
            let blocks: Vec<Block> = blocks.iter().map(|ms| Block { at: at(*ms), transactions: 0 }).collect();
            longest_pause_us(&blocks, from, at(100))
        };
        assert_eq!(longest(&[40, 60, 70]), 40_000);
        assert_eq!(longest(&[10, 60, 70]), 50_000);
        assert_eq!(longest(&[10, 20]), 80_000);
        assert_eq!(longest(&[]), 100_000);
    }

    #[test]
    fn rates_are_those_of_a_second() {
        assert_eq!(a_second(30, Duration::from_secs(2)), 15);
        assert_eq!(a_second(3, Duration::from_millis(500)), 6);
    }
}
