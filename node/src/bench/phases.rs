//! The steps of a run: how much load, for how long, and what was seen.
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_primitives::transaction::{Operation, Quantity};
use quorate_primitives::{Amount, keys::SignatureCheck};
use quorate_rpc::backend::Proofs;
use quorate_rpc::verify::Distrust;
use quorate_rpc::{Client, Verifier};
use serde::Serialize;
use tokio::time::{sleep, sleep_until};

use super::accounts::{Envelope, Purse, acting, now, sign};
use super::load::{Calls, Load, Pace};
use super::machine::BATCH;
use super::target::Target;
use super::usage::Usage;
use super::watch::{Block, Final, Watch};
use super::workload::{Mix, Workload};
use super::{quantile, say};
use crate::commands::{Exit, Failure, OrExit};

/// Load that is offered before anything is counted.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long transactions on their way may take to become final after the load ended.
const DRAIN: Duration = Duration::from_secs(15);
/// How long each step lasts that looks for the maximum.
const PROBE: Duration = Duration::from_secs(4);
/// Transactions on their way in the first of these steps; each further step has twice as many.
const IN_FLIGHT_FIRST: usize = 512;
/// As [`IN_FLIGHT_FIRST`], in the last of them.
const IN_FLIGHT_LAST: usize = 16_384;
/// A step is as good as the best if it reaches this share of it, in thousandths.
const AS_GOOD: u64 = 970;
/// Transfers that are sent one by one to a chain that has nothing to do.
const IDLE_SENT: usize = 40;
/// Pause before each of them.
const IDLE_PAUSE: Duration = Duration::from_millis(150);

/// Handovers that are asked for at a time.
const HANDOVERS: u32 = 32;

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
#[derive(Clone, Debug, Serialize)]
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
    /// Mean number of transactions in a block.
    pub transactions_per_block: u64,
    /// Transactions that were refused because validators were busy, in the whole step.
    pub refused_busy: u64,
    /// Transactions that were refused for another reason or got no answer, in the whole step.
    pub failed: u64,
    /// Transactions that were handed in, in the whole step.
    pub offered: u64,
    /// Transactions that were taken and not seen to be final by the end of the step.
    pub missing: usize,
    /// What processes spent meanwhile, for steps that are long enough.
    #[serde(skip)]
    pub spent: Option<(Usage, Usage)>,
}

/// How soon a single transfer is final on a chain that has nothing else to do.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Idle {
    /// Transfers sent.
    pub transfers: usize,
    /// From sending it to its block being told of as final.
    pub finality: Latency,
    /// From sending it to its receipt being verified against the validators' certificate.
    pub proven: Latency,
}

/// Offers load, step by step.
pub struct Bench<'a> {
    /// Where.
    pub target: &'a Target,
    /// Among whom.
    pub purses: &'a [Purse],
    /// What.
    pub workload: Workload<'a>,
    /// Sees what becomes final.
    pub watch: Arc<Watch>,
}

impl<'a> Bench<'a> {
    /// Nothing is offered yet.
    ///
    /// # Errors
    /// [`Failure`] if the first validator does not answer.
    pub async fn new(
        target: &'a Target,
        purses: &'a [Purse],
        mix: Mix,
        payload: usize,
    ) -> Result<Self, Failure> {
        let watch = Arc::new(Watch::follow(target.first()?.clone()).await?);
        let workload = Workload { purses, mix, payload, next: 0, run: now()?.get() };
        Ok(Self { target, purses, workload, watch })
    }

    /// What the transfers have in common that are offered within this time from now on.
    fn envelope(&self, within: Duration) -> Result<Envelope, Failure> {
        let longest = self.target.genesis.parameters.max_validity_ms;
        // Time to sign them, and for the last one to become final.
        let ms =
            u64::try_from(within.as_millis()).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(60_000);
        let valid_until = now()?.saturating_add(ms.min(longest.saturating_sub(1_000)));
        Ok(Envelope { chain: self.target.genesis.hash(), asset: self.target.asset()?, valid_until })
    }

    /// Signatures to measure the machine with.
    ///
    /// # Errors
    /// [`Failure`] if the system gives no threads.
    pub fn checks(&mut self) -> Result<Vec<SignatureCheck>, Failure> {
        let envelope = self.envelope(Duration::ZERO)?;
        self.workload.checks(&envelope, BATCH)
    }

    /// One step. At most `most` transactions are signed for each second of it.
    ///
    /// # Errors
    /// [`Failure`] if transactions ran out before the end.
    pub async fn step(&mut self, pace: Pace, duration: Duration, most: u64) -> Result<Step, Failure> {
        let whole = WARM_UP + duration;
        let seconds = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX).div_ceil(1_000).saturating_add(1);
        let count = usize::try_from(most.saturating_mul(seconds)).or_exit(Exit::Internal)?;
        let envelope = self.envelope(whole)?;
        let prepared = self.workload.prepare(&envelope, count)?;
        let load = Load::begin(&self.target.clients, &self.watch, prepared, pace);
        let from = Instant::now() + WARM_UP;
        let to = from + duration;
        sleep_until(from.into()).await;
        let before = Usage::look(&self.target.report).await;
        sleep_until(to.into()).await;
        let after = Usage::look(&self.target.report).await;
        let exhausted = load.is_exhausted();
        let calls = load.end().await;
        if exhausted {
            let message = format_args!("{count} transactions were not enough for {seconds} s of load");
            return Err(Failure::new(Exit::Internal, message));
        }
        self.drain().await;
        let (blocks, finals) = self.watch.between(from, to);
        let mut step = step(&blocks, &finals, duration, calls);
        match pace {
            Pace::InFlight(count) => step.in_flight = Some(count),
            Pace::Rate(rate) => step.offered_per_second = Some(rate),
        }
        step.missing = self.watch.expected();
        step.spent = Some((before, after));
        Ok(step)
    }

    async fn drain(&self) {
        let deadline = Instant::now() + DRAIN;
        while self.watch.expected() > 0 && Instant::now() < deadline {
            self.watch.changed(Duration::from_millis(200)).await;
        }
    }

    /// Looks for the load at which most becomes final: how many transactions must be on their way. Each step
    /// is told of in `steps`.
    ///
    /// # Errors
    /// As [`Bench::step`].
    pub async fn search(&mut self, most: u64, steps: &mut Vec<Step>) -> Result<usize, Failure> {
        let mut in_flight = IN_FLIGHT_FIRST;
        let mut without_gain = 0;
        while in_flight <= IN_FLIGHT_LAST && without_gain < 2 {
            let step = self.step(Pace::InFlight(in_flight), PROBE, most).await?;
            say(format_args!(
                "{in_flight} on their way: {} tx/s, final after {} ms",
                step.finalized_per_second,
                step.finality.p50_us / 1_000
            ));
            let best = best(steps);
            without_gain = if step.finalized_per_second > best { 0 } else { without_gain + 1 };
            steps.push(step);
            in_flight = in_flight.saturating_mul(2);
        }
        let enough = best(steps).saturating_mul(AS_GOOD) / 1_000;
        let good = steps.iter().find(|step| step.finalized_per_second >= enough);
        Ok(good.and_then(|step| step.in_flight).unwrap_or(IN_FLIGHT_FIRST))
    }

    /// Sends transfers one by one.
    ///
    /// # Errors
    /// [`Failure`] if one does not become final, or its proof does not hold.
    pub async fn idle(&mut self) -> Result<Idle, Failure> {
        let client = self.target.first()?;
        let envelope = self.envelope(Duration::from_secs(60))?;
        let genesis = &self.target.genesis;
        let mut verifier = Verifier::new(genesis.trusted(), genesis.parameters.clone());
        self.watch.begin(None);
        let (began, mut proven) = (Instant::now(), Vec::new());
        let payer = self.purses.first().zip(self.purses.last());
        let (payer, payee) = payer.ok_or_else(|| Failure::new(Exit::Internal, "no accounts"))?;
        for _ in 0..IDLE_SENT {
            sleep(IDLE_PAUSE).await;
            let quantity = Quantity::Exact(Amount::new(1));
            let transfer = Operation::Transfer { asset: envelope.asset, to: payee.id, quantity, tag: None };
            let sequence = now()?.get();
            let signed = sign(&envelope, (payer.id, &payer.key), sequence, vec![acting(transfer)])?;
            let start = Instant::now();
            self.watch.expect(std::iter::once((signed.id(), start)));
            let answer =
                client.submit_and_wait(&signed, DRAIN, Proofs::Include).await.or_exit(Exit::Unreachable)?;
            let mut found = verifier.receipt(signed.id(), &answer);
            if let Err(Distrust::UnknownEpoch { .. }) = found {
                follow(client, &mut verifier).await?;
                found = verifier.receipt(signed.id(), &answer);
            }
            if found.or_exit(Exit::Internal)?.is_none() {
                return Err(Failure::new(
                    Exit::Internal,
                    format_args!("{} is not final: {:?}", signed.id(), answer.status),
                ));
            }
            proven.push(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        self.drain().await;
        let (_, finals) = self.watch.between(began, Instant::now());
        let finality = Latency::of(finals.iter().map(|done| done.micros).collect());
        Ok(Idle { transfers: proven.len(), finality, proven: Latency::of(proven) })
    }
}

/// Follows the handovers of the network to its current validators.
async fn follow(client: &Client, verifier: &mut Verifier) -> Result<(), Failure> {
    loop {
        let newest = verifier.newest().clone();
        let page = client.epochs(newest.number().next(), HANDOVERS).await.or_exit(Exit::Unreachable)?;
        match Verifier::follow(&newest, HANDOVERS, &page).or_exit(Exit::Internal)? {
            Some(reached) => verifier.learn(reached.epoch),
            None => return Ok(()),
        }
    }
}

fn best(steps: &[Step]) -> u64 {
    steps.iter().map(|step| step.finalized_per_second).max().unwrap_or_default()
}

fn step(blocks: &[Block], finals: &[Final], window: Duration, calls: Calls) -> Step {
    let size = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let window_us = u64::try_from(window.as_micros()).unwrap_or(u64::MAX).max(1);
    let held: u64 = blocks.iter().map(|block| block.transactions).sum();
    let count = size(blocks.len());
    Step {
        in_flight: None,
        offered_per_second: None,
        window_ms: window_us / 1_000,
        finalized_per_second: size(finals.len()).saturating_mul(1_000_000) / window_us,
        finality: Latency::of(finals.iter().map(|done| done.micros).collect()),
        blocks: count,
        block_interval_us: window_us.checked_div(count).unwrap_or_default(),
        transactions_per_block: held.checked_div(count).unwrap_or_default(),
        refused_busy: calls.busy,
        failed: calls.failed,
        offered: calls.offered,
        missing: 0,
        spent: None,
    }
}
