//! Hands transactions in at all validators.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use quorate_primitives::Hash;
use quorate_rpc::json::HexBytes;
use quorate_rpc::{Client, ErrorKind};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use super::watch::Watch;
use super::workload::Prepared;

/// Most transactions in one call.
const CALL_MAX: usize = 250;
/// Most calls that wait for an answer of one validator.
const CALLS_MAX: usize = 4;
/// As [`CALLS_MAX`], when as many must be handed in as are due.
const CALLS_DUE_MAX: usize = 64;
/// How often it is looked whether transactions are due.
const TICK: Duration = Duration::from_millis(5);
/// How long calls may take to be answered after the load has ended.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// How long a validator is left alone that refused transactions without saying for how long.
const PAUSE: Duration = Duration::from_millis(100);

/// How many transactions are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So many are on their way at any time.
    InFlight(usize),
    /// So many each second, whatever becomes of them.
    Rate(u64),
}

/// What became of the calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Transactions handed in.
    pub offered: u64,
    /// Those of them that were refused because the validator was busy.
    pub busy: u64,
    /// Those that were refused for another reason, or whose call failed.
    pub failed: u64,
}

#[derive(Default)]
struct Counts {
    offered: AtomicU64,
    busy: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    fn calls(&self) -> Calls {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Calls { offered: read(&self.offered), busy: read(&self.busy), failed: read(&self.failed) }
    }
}

fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Transactions that are handed in until they are used up or that is ended. Dropping it gives up the calls
/// that wait for an answer.
pub struct Load {
    counts: Arc<Counts>,
    next: Arc<AtomicUsize>,
    prepared: usize,
    tasks: JoinSet<()>,
}

struct Sender {
    client: Client,
    watch: Arc<Watch>,
    prepared: Arc<Vec<Prepared>>,
    next: Arc<AtomicUsize>,
    counts: Arc<Counts>,
    calls: Arc<Semaphore>,
}

impl Load {
    /// Begins to hand these in at all these validators, who take turns.
    #[must_use]
    pub fn begin(clients: &[Client], watch: &Arc<Watch>, prepared: Vec<Prepared>, pace: Pace) -> Self {
        let (counts, next) = (Arc::new(Counts::default()), Arc::new(AtomicUsize::new(0)));
        let total = prepared.len();
        let prepared = Arc::new(prepared);
        let mut tasks = JoinSet::new();
        let validators = u64::try_from(clients.len()).unwrap_or(u64::MAX).max(1);
        let (room, calls) = match pace {
            Pace::InFlight(count) => (Some(count), CALLS_MAX),
            Pace::Rate(_) => (None, CALLS_DUE_MAX),
        };
        watch.begin(room);
        for client in clients {
            let sender = Sender {
                client: client.clone(),
                watch: Arc::clone(watch),
                prepared: Arc::clone(&prepared),
                next: Arc::clone(&next),
                counts: Arc::clone(&counts),
                calls: Arc::new(Semaphore::new(calls)),
            };
            match pace {
                Pace::InFlight(_) => tasks.spawn(sender.keep_in_flight()),
                Pace::Rate(rate) => tasks.spawn(sender.keep_rate(rate, validators)),
            };
        }
        Self { counts, next, prepared: total, tasks }
    }

    /// What became of the calls up to now.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.counts.calls()
    }

    /// Whether there was nothing left to hand in.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.prepared
    }

    /// Hands no more in, and waits until all calls are answered, so that it is known what was taken. Calls
    /// that are not answered in time are given up.
    pub async fn end(mut self) -> Calls {
        self.next.store(self.prepared, Ordering::Relaxed);
        let answered = async { while self.tasks.join_next().await.is_some() {} };
        // Whether it was in time makes no difference: whatever is left is ended.
        let _ = timeout(END_PATIENCE, answered).await;
        self.tasks.shutdown().await;
        self.counts.calls()
    }
}

impl Sender {
    /// The next transactions, at most so many; none if there are no more.
    fn take(&self, most: usize) -> std::ops::Range<usize> {
        let from = self.next.fetch_add(most, Ordering::Relaxed).min(self.prepared.len());
        from..from.saturating_add(most).min(self.prepared.len())
    }

    async fn keep_in_flight(self) {
        let mut calls = JoinSet::new();
        loop {
            let Ok(turn) = Arc::clone(&self.calls).acquire_owned().await else { return };
            let taken = self.take(self.watch.room(CALL_MAX).await);
            if taken.is_empty() {
                break;
            }
            let now = Instant::now();
            let call = self.call(taken.map(|index| (index, now)).collect());
            calls.spawn(async move {
                let pause = call.await;
                sleep(pause).await;
                drop(turn);
            });
            while calls.try_join_next().is_some() {}
        }
        while calls.join_next().await.is_some() {}
    }

    /// Each of `validators` senders offers its share of the rate.
    async fn keep_rate(self, rate: u64, validators: u64) {
        let began = Instant::now();
        // Nanoseconds between two transactions of this sender.
        let gap = validators.saturating_mul(1_000_000_000) / rate.max(1);
        let due_at = |number: u64| began + Duration::from_nanos(gap.saturating_mul(number));
        let mut calls = JoinSet::new();
        let mut sent = 0_u64;
        loop {
            sleep_until((Instant::now() + TICK).into()).await;
            while calls.try_join_next().is_some() {}
            if self.next.load(Ordering::Relaxed) >= self.prepared.len() {
                break;
            }
            let passed = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let mut due = passed.checked_div(gap.max(1)).unwrap_or_default().saturating_sub(sent);
            while due > 0 {
                let Ok(turn) = Arc::clone(&self.calls).try_acquire_owned() else { break };
                let most = usize::try_from(due).unwrap_or(usize::MAX).min(CALL_MAX);
                let taken = self.take(most);
                if taken.is_empty() {
                    break;
                }
                let numbered = taken.zip(sent..).map(|(index, number)| (index, due_at(number)));
                let call = self.call(numbered.collect());
                calls.spawn(async move {
                    call.await;
                    drop(turn);
                });
                let taken = u64::try_from(most).unwrap_or(u64::MAX);
                (sent, due) = (sent.saturating_add(taken), due.saturating_sub(taken));
            }
        }
        while calls.join_next().await.is_some() {}
    }

    /// Hands transactions in; returns how long the validator wants to be left alone.
    fn call(&self, due: Vec<(usize, Instant)>) -> impl Future<Output = Duration> + Send + use<> {
        let (client, watch) = (self.client.clone(), Arc::clone(&self.watch));
        let (prepared, counts) = (Arc::clone(&self.prepared), Arc::clone(&self.counts));
        async move {
            let get = |index: usize| prepared.get(index);
            let ids: Vec<Hash> = due.iter().filter_map(|(index, _)| get(*index)).map(|of| of.id).collect();
            let bytes: Vec<&HexBytes> =
                due.iter().filter_map(|(index, _)| get(*index)).map(|of| &of.bytes).collect();
            watch.expect(ids.iter().copied().zip(due.iter().map(|(_, at)| *at)));
            count(&counts.offered, ids.len());
            let Ok(answer) = client.submit_encoded(&bytes).await else {
                count(&counts.failed, ids.len());
                watch.drop_expected(&ids);
                return PAUSE;
            };
            let mut pause = Duration::ZERO;
            let mut refused = Vec::new();
            for (id, result) in ids.iter().zip(&answer.results) {
                let Some(error) = &result.error else { continue };
                refused.push(*id);
                if matches!(error.kind(), Some(ErrorKind::Busy | ErrorKind::MempoolFull)) {
                    count(&counts.busy, 1);
                    let wait = error.data.as_ref().and_then(|data| data.retry_after_ms);
                    pause = pause.max(wait.map_or(PAUSE, |ms| Duration::from_millis(ms.0)));
                } else {
                    count(&counts.failed, 1);
                }
            }
            watch.drop_expected(&refused);
            pause
        }
    }
}
