//! More load than a network can take, as by a client that heeds no refusal.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::sleep;

use super::load::{Load, Pace};
use super::memory::Sampler;
use super::phases::{Bench, Latency, Step, a_second, longest_pause_us};
use super::say;
use super::supply::Demand;
use super::usage::spent;
use crate::commands::Failure;

/// How long it is waited for latency to be normal again.
const RECOVERY_MAX: Duration = Duration::from_secs(120);
/// Latency is normal when it is at most so many times what it was before.
const NORMAL: u64 = 2;

/// What became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Overload {
    /// How many times the steady maximum were to be offered.
    pub factor: u64,
    /// For how long, in milliseconds.
    pub duration_ms: u64,
    /// Transactions that were to be offered, a second.
    pub wanted_per_second: u64,
    /// Transactions that were offered, a second; those that were refused are offered again.
    pub offered_per_second: u64,
    /// Transactions that were offered in all.
    pub offered: u64,
    /// Those of them that were taken.
    pub accepted: u64,
    /// Those that were refused for lack of room.
    pub refused_busy: u64,
    /// Those of these that were not told when to try again.
    pub refused_without_hint: u64,
    /// Those that were refused for another reason, or whose call failed.
    pub failed: u64,
    /// How many of these for which reason.
    pub failures: BTreeMap<String, u64>,
    /// Those whose call was not answered within five seconds after the end.
    pub unanswered: u64,
    /// Transactions that became final meanwhile, a second.
    pub finalized_per_second: u64,
    /// The same in thousandths of the steady maximum.
    pub share_of_steady_permille: u64,
    /// Longest time meanwhile in which no block became final, in microseconds.
    pub block_pause_longest_us: u64,
    /// From when an accepted transaction was offered to when its block was told of as final, until normal
    /// again.
    pub finality: Latency,
    /// Most memory that any validator held, until normal again, in KiB.
    pub memory_highest_kib: u64,
    /// Processor time of this process while it offered, in milliseconds.
    pub cpu_bench_ms: u64,
    /// Single transfers, each 250 ms, before the overload.
    pub calm: Latency,
    /// Time from the end of the overload until such transfers took at most twice as long as before, in
    /// milliseconds; absent if that did not happen within two minutes.
    pub recovered_after_ms: Option<u64>,
}

impl Bench<'_> {
    /// Offers `factor` times what became final in a second under steady load, and looks how the network bears
    /// it and gets over it.
    ///
    /// # Errors
    /// [`Failure`] if transfers cannot be made.
    pub async fn overload(
        &self,
        steady: &Step,
        factor: u64,
        duration: Duration,
    ) -> Result<Overload, Failure> {
        let maximum = steady.finalized_per_second.max(1);
        let wanted_per_second = maximum.saturating_mul(factor);
        say("measuring latency before the overload");
        let calm = self.calm().await?;
        // Only what is taken is used up, and what fills the pools at first.
        let demand = Demand { most: maximum.saturating_mul(2), expected: maximum };
        let supply = self.supply(demand, duration).await?;
        say(format_args!("offering {wanted_per_second} tx/s for {} s", duration.as_secs()));
        supply.begin(duration);
        let (began, memory) = (Instant::now(), Sampler::begin(&self.target.report));
        let cpu_before = spent(std::process::id()).cpu_ms;
        let pace = Pace::Flood(wanted_per_second);
        let load = Load::begin(&self.target.clients, &self.watch, &supply, pace)?;
        sleep(duration).await;
        let ended = Instant::now();
        let cpu_bench_ms = spent(std::process::id()).cpu_ms.saturating_sub(cpu_before);
        say("waiting until latency is normal again");
        let normal_us = calm.p50_us.saturating_mul(NORMAL);
        let (calls, recovered) = tokio::join!(load.end(), self.recovery(normal_us, RECOVERY_MAX));
        let recovered_after = recovered?.map(|at| at.saturating_duration_since(ended));
        self.drain().await;
        let (blocks, meanwhile) = self.watch.between(began, ended);
        let (_, all) = self.watch.between(began, Instant::now());
        let final_meanwhile = u64::try_from(meanwhile.len()).unwrap_or(u64::MAX);
        let finalized_per_second = a_second(final_meanwhile, duration);
        let courses = memory.between(began, Instant::now());
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Ok(Overload {
            factor,
            duration_ms: ms(duration),
            wanted_per_second,
            offered_per_second: a_second(calls.offered, duration),
            offered: calls.offered,
            accepted: calls.answered.saturating_sub(calls.busy).saturating_sub(calls.failed),
            refused_busy: calls.busy,
            refused_without_hint: calls.without_hint,
            failed: calls.failed,
            failures: calls.failures,
            unanswered: calls.offered.saturating_sub(calls.answered),
            finalized_per_second,
            share_of_steady_permille: finalized_per_second.saturating_mul(1_000) / maximum,
            block_pause_longest_us: longest_pause_us(&blocks, began, ended),
            finality: Latency::of(all.iter().map(|done| done.micros).collect()),
            memory_highest_kib: courses.iter().map(|course| course.highest_kib).max().unwrap_or_default(),
            cpu_bench_ms,
            calm,
            recovered_after_ms: recovered_after.map(ms),
        })
    }
}
