//! Signed transfers in stock.
//!
//! What the first minute needs is signed before the clock starts. A longer run signs the rest while it
//! lasts, on one thread and a few seconds ahead, so that neither the stock nor the validity of a transfer
//! grows with the run: each is valid for little longer than `MARGIN` after it is planned to be offered, as
//! a wallet's would be, and the ledger forgets it again soon after.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::accounts::{Envelope, now};
use super::workload::{Prepared, Workload, in_background};
use crate::commands::{Exit, Failure, OrExit};

/// For how long a transfer is valid after it is planned to be offered.
const MARGIN: Duration = Duration::from_secs(60);
/// What is signed before the clock starts lasts for so long.
const AHEAD: Duration = Duration::from_secs(60);
/// As [`AHEAD`], for what is signed while the load runs.
const AHEAD_RUNNING: Duration = Duration::from_secs(10);
/// And so much longer, for what is on its way at a time.
const SLACK: Duration = Duration::from_secs(1);
/// Most transfers in stock.
const STOCK_MAX: usize = 1_000_000;
/// Most bytes of them.
const STOCK_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Transfers with the same end of validity.
const PART: usize = 4_096;
/// Transfers that are signed at a time while the load runs.
const PART_RUNNING: usize = 256;
/// A transfer that is valid for less than this is not offered any more: it may wait in a pool for a while.
const LEFT_MS: u64 = 15_000;
/// How often it is looked whether more must be signed.
const TICK: Duration = Duration::from_millis(10);
/// Longest request that nodes accept, in bytes, less what surrounds the transactions.
const REQUEST_BYTES: usize = 1_000_000;

/// How many transfers are asked for, each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// At most.
    pub most: u64,
    /// Probably.
    pub expected: u64,
}

impl Demand {
    /// Exactly so many.
    #[must_use]
    pub fn exactly(rate: u64) -> Self {
        Self { most: rate, expected: rate }
    }

    /// Most in such a time.
    fn within(self, time: Duration) -> usize {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        usize::try_from(self.most.saturating_mul(ms) / 1_000).unwrap_or(usize::MAX).saturating_add(1)
    }

    /// When the transfer at this place is probably asked for, in milliseconds from the first on.
    fn planned_ms(self, place: usize) -> u64 {
        let place = u64::try_from(place).unwrap_or(u64::MAX);
        place.saturating_mul(1_000) / self.expected.max(1)
    }
}

/// Signed transfers for one step. Dropping it ends the signing.
pub struct Supply {
    shared: Arc<Shared>,
    /// Most transfers that fit a request.
    fitting: usize,
}

struct Shared {
    workload: Arc<Workload>,
    /// Of every transfer, but for the end of its validity.
    envelope: Envelope,
    demand: Demand,
    /// Longest validity, in milliseconds.
    longest_ms: u64,
    stock: Mutex<VecDeque<Prepared>>,
    signed: AtomicU64,
    has_ended: AtomicBool,
}

impl Supply {
    /// Signs what a step of this length needs at its beginning. `envelope` says until when at the most its
    /// transfers may be valid.
    ///
    /// # Errors
    /// [`Failure`] if the system gives no threads.
    pub async fn prepare(
        workload: &Arc<Workload>,
        envelope: Envelope,
        demand: Demand,
        duration: Duration,
    ) -> Result<Self, Failure> {
        let longest_ms = envelope.valid_until.get().saturating_sub(now()?.get());
        let shared = Shared {
            workload: Arc::clone(workload),
            envelope,
            demand,
            longest_ms,
            stock: Mutex::default(),
            signed: AtomicU64::new(0),
            has_ended: AtomicBool::new(false),
        };
        let sample = shared.workload.sign(&envelope, shared.workload.reserve(1));
        let size = sample.ok_or_else(impossible)?.bytes.0.len().max(1);
        let ahead = AHEAD.min(Duration::from_millis(longest_ms / 2));
        let count = demand.within(duration.min(ahead) + SLACK).min(STOCK_MAX).min(STOCK_BYTES_MAX / size);
        let supply = Self { shared: Arc::new(shared), fitting: (REQUEST_BYTES / (2 * size + 4)).max(1) };
        let mut place = 0;
        while place < count {
            let part = PART.min(count.saturating_sub(place));
            let (workload, first) = (Arc::clone(workload), workload.reserve(part));
            let envelope = supply.shared.envelope(demand.planned_ms(place.saturating_add(part)))?;
            let make = move |number: usize| workload.sign(&envelope, first.saturating_add(number));
            let made = in_background(part, make).await?;
            supply.shared.stock().extend(made);
            place = place.saturating_add(part);
        }
        Ok(supply)
    }

    /// The load begins, and lasts so long: what it will need more is signed from now on.
    pub fn begin(&self, duration: Duration) {
        let (shared, end) = (Arc::clone(&self.shared), Instant::now() + duration);
        thread::spawn(move || {
            while !shared.has_ended.load(Ordering::Relaxed) {
                // A transfer that cannot be made is missed by those who wait for it.
                if shared.replenish(end).is_none() {
                    break;
                }
            }
        });
    }

    /// Up to so many transfers, and no more than fit a request; none if none are ready.
    #[must_use]
    pub fn take(&self, most: usize) -> Vec<Prepared> {
        let Ok(earliest) = now() else { return Vec::new() };
        let earliest = earliest.saturating_add(LEFT_MS.min(self.shared.longest_ms / 4));
        let most = most.min(self.fitting);
        let mut stock = self.shared.stock();
        let mut taken = Vec::with_capacity(most.min(stock.len()));
        while taken.len() < most
            && let Some(next) = stock.pop_front()
        {
            if next.valid_until > earliest {
                taken.push(next);
            }
        }
        taken
    }

    /// Puts transfers that were not taken back into stock.
    pub fn give_back(&self, refused: impl IntoIterator<Item = Prepared>) {
        self.shared.stock().extend(refused);
    }

    /// Transfers that were signed since [`Supply::begin`].
    #[must_use]
    pub fn signed_meanwhile(&self) -> u64 {
        self.shared.signed.load(Ordering::Relaxed)
    }
}

impl Drop for Supply {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::Relaxed);
    }
}

fn impossible() -> Failure {
    Failure::new(Exit::Internal, "a transaction could not be made")
}

impl Shared {
    fn stock(&self) -> MutexGuard<'_, VecDeque<Prepared>> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For transfers that are planned to be offered in so many milliseconds.
    fn envelope(&self, planned_ms: u64) -> Result<Envelope, Failure> {
        let margin = u64::try_from(MARGIN.as_millis()).or_exit(Exit::Internal)?;
        let validity = planned_ms.saturating_add(margin).min(self.longest_ms);
        Ok(Envelope { valid_until: now()?.saturating_add(validity), ..self.envelope })
    }

    /// Signs some transfers, or waits for a moment, if the stock lasts until shortly ahead or until the end.
    /// `None` if they cannot be made.
    fn replenish(&self, end: Instant) -> Option<()> {
        let needed = self.demand.within(end.saturating_duration_since(Instant::now()).min(AHEAD_RUNNING));
        let there = self.stock().len();
        if there >= needed {
            thread::sleep(TICK);
            return Some(());
        }
        let envelope = self.envelope(self.demand.planned_ms(there.saturating_add(PART_RUNNING))).ok()?;
        let first = self.workload.reserve(PART_RUNNING);
        let sign = |number: usize| self.workload.sign(&envelope, first.saturating_add(number));
        let made: Vec<Prepared> = (0..PART_RUNNING).map(sign).collect::<Option<_>>()?;
        self.signed.fetch_add(u64::try_from(made.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.stock().extend(made);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::accounts::Purse;
    use crate::bench::workload::Mix;
    use quorate_primitives::state::AssetId;
    use quorate_primitives::{Hash, Timestamp};

    async fn supply(mix: Mix, longest: Duration, demand: Demand, duration: Duration) -> Supply {
        let purses: Vec<Purse> = (0..10).map(|number| Purse::derive("1", number)).collect();
        let workload = Arc::new(Workload::new(Arc::new(purses), mix, 0, 1));
        let longest = u64::try_from(longest.as_millis()).unwrap();
        let envelope = Envelope {
            chain: Hash::ZERO,
            asset: AssetId::from_bytes([1; 32]),
            valid_until: now().unwrap().saturating_add(longest),
        };
        Supply::prepare(&workload, envelope, demand, duration).await.unwrap()
    }

    const HOUR: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn transfers_are_valid_for_the_margin_after_they_are_planned() {
        let demand = Demand { most: 600, expected: 300 };
        let before = now().unwrap();
        let supply = supply(Mix::Single, HOUR, demand, Duration::from_secs(20)).await;
        let stock = supply.shared.stock();
        assert_eq!(stock.len(), 12_601);
        let after = |place: usize| stock[place].valid_until.get() - before.get();
        // Signing takes some of the time that is granted here.
        let (first, last) = (60_000 + 4_096 * 10 / 3, 60_000 + 12_601 * 10 / 3);
        assert!((first..first + 30_000).contains(&after(0)), "{}", after(0));
        assert!((last..last + 30_000).contains(&after(12_600)), "{}", after(12_600));
    }

    #[tokio::test]
    async fn no_transfer_is_valid_for_longer_than_the_chain_allows() {
        let supply = supply(Mix::Single, Duration::from_secs(10), Demand::exactly(10), HOUR).await;
        let latest = now().unwrap().saturating_add(10_000);
        let stock = supply.shared.stock();
        // Half of the ten seconds and one more, ten a second.
        assert!((60..=61).contains(&stock.len()), "{}", stock.len());
        assert!(stock.iter().all(|prepared| prepared.valid_until <= latest));
    }

    #[tokio::test]
    async fn more_is_signed_only_where_the_stock_ends_before_the_load() {
        let supply = supply(Mix::Single, HOUR, Demand::exactly(100), Duration::from_secs(5)).await;
        let until = |seconds| Instant::now() + Duration::from_secs(seconds);
        supply.shared.replenish(until(5)).unwrap();
        assert_eq!(supply.signed_meanwhile(), 0);
        assert_eq!(supply.take(usize::MAX).len(), 601);
        supply.shared.replenish(until(5)).unwrap();
        assert_eq!(supply.take(usize::MAX).len(), PART_RUNNING);
        assert_eq!(supply.signed_meanwhile(), u64::try_from(PART_RUNNING).unwrap());
    }

    #[tokio::test]
    async fn what_is_hardly_valid_any_more_is_not_offered() {
        let supply = supply(Mix::Single, HOUR, Demand::exactly(1), Duration::from_secs(3)).await;
        let mut taken = supply.take(2);
        taken[0].valid_until = Timestamp::new(now().unwrap().get() + LEFT_MS / 2);
        let kept = taken[1].id;
        supply.shared.stock().clear();
        supply.give_back(taken);
        let offered: Vec<Hash> = supply.take(10).iter().map(|prepared| prepared.id).collect();
        assert_eq!(offered, [kept]);
    }

    #[tokio::test]
    async fn transfers_of_a_call_fit_a_request() {
        let supply = supply(Mix::Many, HOUR, Demand::exactly(100), Duration::from_secs(1)).await;
        let taken = supply.take(1_000);
        let size: usize = taken.iter().map(|prepared| 2 * prepared.bytes.0.len() + 4).sum();
        assert!((1..=REQUEST_BYTES).contains(&size), "{} with {size} bytes", taken.len());
    }
}
