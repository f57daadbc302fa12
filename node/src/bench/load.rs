//! Hands transactions in at all validators.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quorate_rpc::api::SUBMIT_MANY_MAX;
use quorate_rpc::client::bulk::{Bulk, Handed, Refused};
use quorate_rpc::{Client, ClientError, ErrorKind};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use super::supply::Supply;
use super::watch::Watch;
use super::workload::Prepared;
use crate::commands::{Exit, Failure, OrExit};

/// Most transactions in one call, when as many are handed in as there is room for.
const CALL_MAX: usize = 250;
/// Most calls that wait for an answer of one validator.
const CALLS_MAX: usize = 4;
/// As [`CALLS_MAX`], when as many must be handed in as are due: a validator takes 32 connections of one
/// address, and some are needed to see what becomes of it.
const CALLS_DUE_MAX: usize = 24;
/// How late a transaction may be offered, where what is late is left out.
const LATE: Duration = Duration::from_secs(1);
/// How often it is looked whether transactions are due.
const TICK: Duration = Duration::from_millis(5);
/// The same where more is offered than is taken: seldom enough that a call has about as many transactions as
/// under the steady load, so that what the overload costs is the transactions and not the calls.
const TICK_FLOOD: Duration = Duration::from_millis(25);
/// How long calls may take to be answered after the load has ended.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// How long a validator is left alone that refused transactions without saying for how long.
const PAUSE: Duration = Duration::from_millis(100);

/// How many transactions are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So many are on their way at any time.
    InFlight(usize),
    /// So many each second, whatever becomes of them; what could not be offered in time is offered later.
    Rate(u64),
    /// So many each second, whatever becomes of them; what could not be offered in time is left out.
    Flood(u64),
}

/// What became of the calls. A call that failed counts as answered, one that was given up at the end does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Transactions handed in.
    pub offered: u64,
    /// Those of them that were answered in time.
    pub answered: u64,
    /// Those of them that were refused because the validator had no room.
    pub busy: u64,
    /// Those of these that were not told when to try again.
    pub without_hint: u64,
    /// Those that were refused for another reason, or whose call failed.
    pub failed: u64,
    /// How many for which reason.
    pub failures: BTreeMap<String, u64>,
}

#[derive(Default)]
struct Counts {
    offered: AtomicU64,
    answered: AtomicU64,
    busy: AtomicU64,
    without_hint: AtomicU64,
    failures: Mutex<BTreeMap<String, u64>>,
}

impl Counts {
    fn calls(&self) -> Calls {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Calls {
            offered: read(&self.offered),
            answered: read(&self.answered),
            busy: read(&self.busy),
            without_hint: read(&self.without_hint),
            failed: failures.values().copied().fold(0, u64::saturating_add),
            failures,
        }
    }

    /// Counts what was refused. Returns what may be taken later, and how long the validator wants to be left
    /// alone.
    fn refuse(&self, gone: Vec<Prepared>, refused: &[Refused]) -> (Vec<Prepared>, Duration) {
        let mut pause = Duration::ZERO;
        let mut again = Vec::with_capacity(gone.len());
        let mut without_hint = 0_usize;
        for (prepared, refused) in gone.into_iter().zip(refused) {
            if !is_for_lack_of_room(refused) {
                self.fail(refused.kind.map_or("unknown", ErrorKind::name), 1);
                continue;
            }
            without_hint = without_hint.saturating_add(usize::from(refused.retry_after_ms.is_none()));
            pause = pause.max(refused.retry_after_ms.map_or(PAUSE, Duration::from_millis));
            again.push(prepared);
        }
        count(&self.busy, again.len());
        count(&self.without_hint, without_hint);
        (again, pause)
    }

    fn fail(&self, why: &str, more: usize) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(why.to_owned()).or_default();
        *count = count.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
    }
}

fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Transactions that are handed in until that is ended. Dropping it gives up the calls that wait for an
/// answer.
pub struct Load {
    counts: Arc<Counts>,
    end: Arc<End>,
    tasks: JoinSet<()>,
}

/// Whether no more is handed in.
#[derive(Default)]
struct End {
    has_come: AtomicBool,
    wake: Notify,
}

impl End {
    fn has_come(&self) -> bool {
        self.has_come.load(Ordering::Relaxed)
    }

    fn come(&self) {
        self.has_come.store(true, Ordering::Relaxed);
        self.wake.notify_waiters();
    }
}

struct Sender {
    validator: Arc<Bulk>,
    watch: Arc<Watch>,
    supply: Arc<Supply>,
    end: Arc<End>,
    counts: Arc<Counts>,
    calls: Arc<Semaphore>,
}

impl Load {
    /// Begins to hand these in at all these validators, who take turns.
    ///
    /// # Errors
    /// [`Failure`] if a validator is not reached by plain HTTP.
    pub fn begin(
        clients: &[Client],
        watch: &Arc<Watch>,
        supply: &Arc<Supply>,
        pace: Pace,
    ) -> Result<Self, Failure> {
        // Connections of this load only: they end with it.
        let validators: Vec<Bulk> =
            clients.iter().map(Client::bulk).collect::<Result<_, _>>().or_exit(Exit::Unreachable)?;
        let (counts, end) = (Arc::new(Counts::default()), Arc::new(End::default()));
        let mut tasks = JoinSet::new();
        let senders = u64::try_from(validators.len()).unwrap_or(u64::MAX).max(1);
        let (room, calls) = match pace {
            Pace::InFlight(count) => (Some(count), CALLS_MAX),
            Pace::Rate(_) | Pace::Flood(_) => (None, CALLS_DUE_MAX),
        };
        watch.begin(room);
        for validator in validators {
            let sender = Sender {
                validator: Arc::new(validator),
                watch: Arc::clone(watch),
                supply: Arc::clone(supply),
                end: Arc::clone(&end),
                counts: Arc::clone(&counts),
                calls: Arc::new(Semaphore::new(calls)),
            };
            // Nanoseconds between two transactions of this sender.
            let gap = |rate: u64| (senders.saturating_mul(1_000_000_000) / rate.max(1)).max(1);
            match pace {
                Pace::InFlight(_) => tasks.spawn(sender.keep_in_flight()),
                Pace::Rate(rate) => tasks.spawn(sender.keep_rate(gap(rate))),
                Pace::Flood(rate) => tasks.spawn(sender.flood(gap(rate))),
            };
        }
        Ok(Self { counts, end, tasks })
    }

    /// What became of the calls up to now.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.counts.calls()
    }

    /// Hands no more in, and waits until all calls are answered, so that it is known what was taken. Calls
    /// that are not answered in time are given up.
    pub async fn end(mut self) -> Calls {
        self.end.come();
        let answered = async { while self.tasks.join_next().await.is_some() {} };
        // Whether it was in time makes no difference: whatever is left is ended.
        let _ = timeout(END_PATIENCE, answered).await;
        self.tasks.shutdown().await;
        self.counts.calls()
    }
}

impl Sender {
    async fn keep_in_flight(self) {
        let mut calls = JoinSet::new();
        loop {
            let Ok(turn) = Arc::clone(&self.calls).acquire_owned().await else { return };
            // First wait, then look: an end that comes in between wakes the waiter.
            let end = self.end.wake.notified();
            if self.end.has_come() {
                break;
            }
            let room = tokio::select! {
                room = self.watch.room(CALL_MAX) => room,
                () = end => break,
            };
            let taken = self.supply.take(room);
            self.watch.give_room(room.saturating_sub(taken.len()));
            if taken.is_empty() {
                sleep(TICK).await;
                continue;
            }
            let now = Instant::now();
            let call = self.call(taken, move |_| now);
            calls.spawn(async move {
                let pause = call.await;
                sleep(pause).await;
                drop(turn);
            });
            while calls.try_join_next().is_some() {}
        }
        while calls.join_next().await.is_some() {}
    }

    /// Offers a transaction each `gap` nanoseconds.
    async fn keep_rate(self, gap: u64) {
        let began = Instant::now();
        let mut calls = JoinSet::new();
        let mut sent = 0_u64;
        while !self.end.has_come() {
            let mut due = passed(began.elapsed(), gap).saturating_sub(sent);
            while due > 0 {
                let first = sent;
                let due_at = move |place: u64| due_at(began, gap, first.saturating_add(place));
                let handed_in = self.spawn(&mut calls, due, due_at);
                if handed_in == 0 {
                    break;
                }
                (sent, due) = (sent.saturating_add(handed_in), due.saturating_sub(handed_in));
            }
            sleep_until((Instant::now() + TICK).into()).await;
            while calls.try_join_next().is_some() {}
        }
        while calls.join_next().await.is_some() {}
    }

    /// As [`Sender::keep_rate`], but what is late by more than [`LATE`] is left out.
    async fn flood(self, gap: u64) {
        let began = Instant::now();
        let late = u64::try_from(LATE.as_nanos()).unwrap_or(u64::MAX).checked_div(gap).unwrap_or_default();
        let mut calls = JoinSet::new();
        let mut done_with = 0_u64;
        while !self.end.has_come() {
            let passed = passed(began.elapsed(), gap);
            done_with = done_with.max(passed.saturating_sub(late));
            while done_with < passed {
                let now = Instant::now();
                let handed_in = self.spawn(&mut calls, passed.saturating_sub(done_with), move |_| now);
                if handed_in == 0 {
                    break;
                }
                done_with = done_with.saturating_add(handed_in);
            }
            sleep_until((Instant::now() + TICK_FLOOD).into()).await;
            while calls.try_join_next().is_some() {}
        }
        while calls.join_next().await.is_some() {}
    }

    /// Hands in at most so many in one call, and does not wait for its answer. Returns how many.
    fn spawn(&self, calls: &mut JoinSet<()>, most: u64, due_at: impl Fn(u64) -> Instant + 'static) -> u64 {
        let Ok(turn) = Arc::clone(&self.calls).try_acquire_owned() else { return 0 };
        let taken = self.supply.take(usize::try_from(most).unwrap_or(usize::MAX).min(SUBMIT_MANY_MAX));
        let count = u64::try_from(taken.len()).unwrap_or(u64::MAX);
        if count > 0 {
            let call = self.call(taken, due_at);
            calls.spawn(async move {
                call.await;
                drop(turn);
            });
        }
        count
    }

    /// Hands transactions in; returns how long the validator wants to be left alone.
    fn call<D: Fn(u64) -> Instant>(
        &self,
        taken: Vec<Prepared>,
        due_at: D,
    ) -> impl Future<Output = Duration> + Send + use<D> {
        let (validator, watch) = (Arc::clone(&self.validator), Arc::clone(&self.watch));
        let (supply, counts) = (Arc::clone(&self.supply), Arc::clone(&self.counts));
        watch.expect((0..).zip(&taken).map(|(place, prepared)| (prepared.id, due_at(place))));
        count(&counts.offered, taken.len());
        async move {
            let answer = validator.submit(taken.iter().map(|prepared| &prepared.bytes)).await;
            count(&counts.answered, taken.len());
            let (gone, refused) = match answer {
                Ok(Handed::All) => return Duration::ZERO,
                Ok(Handed::Each(each)) => {
                    let refused = taken.into_iter().zip(each);
                    refused.filter_map(|(prepared, refused)| Some((prepared, refused?))).unzip()
                }
                Ok(Handed::None(refused)) => {
                    let refused = vec![refused; taken.len()];
                    (taken, refused)
                }
                Err(error) => {
                    counts.fail(reason(&error), taken.len());
                    watch.drop_expected(&taken);
                    return PAUSE;
                }
            };
            watch.drop_expected(&gone);
            let (again, pause) = counts.refuse(gone, &refused);
            supply.give_back(again);
            pause
        }
    }
}

/// How often a gap of so many nanoseconds has passed in this time: so many transactions are due.
fn passed(elapsed: Duration, gap: u64) -> u64 {
    let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
    nanos.checked_div(gap).unwrap_or_default()
}

/// When a transaction is due, the first being number 0: from then on it is among those that [`passed`] counts.
fn due_at(began: Instant, gap: u64, number: u64) -> Instant {
    began + Duration::from_nanos(gap.saturating_mul(number.saturating_add(1)))
}

/// Whether the same transaction may be taken later.
fn is_for_lack_of_room(refused: &Refused) -> bool {
    matches!(refused.kind, Some(ErrorKind::Busy | ErrorKind::MempoolFull | ErrorKind::SenderFull))
}

/// Why a call got no answer, in a word.
fn reason(error: &ClientError) -> &'static str {
    match error {
        ClientError::Unreachable { .. } => "unreachable",
        ClientError::TimedOut { .. } => "no_answer",
        ClientError::Protocol { .. } => "not_understood",
        ClientError::Rpc { .. } => "refused",
        ClientError::RequestTooLarge => "too_long",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_due_when_it_is_handed_in_at_the_earliest() {
        let began = Instant::now();
        for gap in [1, 3, 2_000_000, 200_000_000] {
            for number in [0, 1, 7, 5_000] {
                let due = due_at(began, gap, number).duration_since(began);
                assert_eq!(passed(due, gap), number + 1);
                assert_eq!(passed(due - Duration::from_nanos(1), gap), number);
            }
        }
    }
}
