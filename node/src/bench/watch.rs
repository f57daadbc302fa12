//! Counts transactions when they are in a block that is final.
//!
//! One validator is followed. A transaction's time ends when that validator tells of the block, wherever
//! the transaction was handed in.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ahash::AHashMap;
use quorate_primitives::{Hash, Height};
use quorate_rpc::Client;
use quorate_rpc::backend::{BlockAt, Bodies};
use quorate_rpc::json::Cursor;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::workload::Prepared;
use crate::commands::{Exit, Failure, OrExit};

/// Time until a lost subscription is renewed.
const RETRY: Duration = Duration::from_millis(200);

/// A block that was seen to be final.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// When.
    pub at: Instant,
    /// Transactions in it, whoever sent them.
    pub transactions: u64,
}

/// An own transaction that was seen to be final.
#[derive(Clone, Copy, Debug)]
pub struct Final {
    /// When.
    pub at: Instant,
    /// How long after it was due, in microseconds.
    pub micros: u64,
}

#[derive(Default)]
struct Seen {
    /// When each transaction was due that is on its way.
    due: AHashMap<Hash, Instant>,
    blocks: Vec<Block>,
    finals: Vec<Final>,
}

/// Follows a validator until it is dropped.
pub struct Watch {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    seen: Mutex<Seen>,
    /// Room for transactions on their way, for those who wait for it.
    room: Semaphore,
    /// Whether room is handed back when a transaction is final.
    is_bounded: AtomicBool,
    changed: Notify,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// Follows the validator from its newest block on.
    ///
    /// # Errors
    /// [`Failure`] if it does not answer.
    pub async fn follow(client: Client) -> Result<Self, Failure> {
        let head = client.head().await.or_exit(Exit::Unreachable)?;
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            room: Semaphore::new(0),
            is_bounded: AtomicBool::new(false),
            changed: Notify::new(),
        });
        let task = tokio::spawn(run(client, head.height.0, Arc::clone(&shared)));
        Ok(Self { shared, task })
    }

    /// What is seen from now on; whatever was seen or expected before is forgotten. At most `room`
    /// transactions may be on their way at a time, if that is bounded.
    pub fn begin(&self, room: Option<usize>) {
        *self.shared.seen() = Seen::default();
        self.shared.is_bounded.store(room.is_some(), Ordering::Relaxed);
        self.shared.room.forget_permits(Semaphore::MAX_PERMITS);
        self.shared.room.add_permits(room.unwrap_or_default());
    }

    /// Waits for room for at least one transaction, and takes it for at most `most`. Returns how many.
    pub async fn room(&self, most: usize) -> usize {
        let Ok(first) = self.shared.room.acquire().await else { return 0 };
        first.forget();
        let more = self.shared.room.available_permits().min(most.saturating_sub(1));
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        // Others may have taken it meanwhile.
        match self.shared.room.try_acquire_many(more) {
            Ok(permits) => {
                permits.forget();
                usize::try_from(more).unwrap_or(usize::MAX).saturating_add(1)
            }
            Err(_) => 1,
        }
    }

    /// Transactions are on their way from now on. They were due at this time.
    pub fn expect(&self, ids: impl Iterator<Item = (Hash, Instant)>) {
        self.shared.seen().due.extend(ids);
    }

    /// Transactions were not taken, and will never be final. Their room is given back.
    pub fn drop_expected(&self, gone: &[Prepared]) {
        let mut seen = self.shared.seen();
        let gone = gone.iter().filter(|prepared| seen.due.remove(&prepared.id).is_some()).count();
        self.shared.hand_back(gone);
    }

    /// Room that was taken is not needed.
    pub fn give_room(&self, count: usize) {
        self.shared.hand_back(count);
    }

    /// How many are on their way.
    #[must_use]
    pub fn expected(&self) -> usize {
        self.shared.seen().due.len()
    }

    /// Waits until something was final, at most for this long.
    pub async fn changed(&self, patience: Duration) {
        // Whether it was in time makes no difference: the caller looks again.
        let _ = tokio::time::timeout(patience, self.shared.changed.notified()).await;
    }

    /// Blocks and own transactions that were seen between two moments.
    #[must_use]
    pub fn between(&self, from: Instant, to: Instant) -> (Vec<Block>, Vec<Final>) {
        let seen = self.shared.seen();
        let within = |at: Instant| from <= at && at < to;
        (
            seen.blocks.iter().filter(|block| within(block.at)).copied().collect(),
            seen.finals.iter().filter(|done| within(done.at)).copied().collect(),
        )
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_back(&self, count: usize) {
        if self.is_bounded.load(Ordering::Relaxed) {
            self.room.add_permits(count);
        }
    }

    fn take(&self, at: Instant, ids: impl Iterator<Item = Hash>) {
        let mut seen = self.seen();
        let (mut transactions, mut own) = (0_u64, 0_usize);
        for id in ids {
            transactions = transactions.saturating_add(1);
            if let Some(due) = seen.due.remove(&id) {
                own = own.saturating_add(1);
                let micros = u64::try_from(at.saturating_duration_since(due).as_micros()).unwrap_or(u64::MAX);
                seen.finals.push(Final { at, micros });
            }
        }
        seen.blocks.push(Block { at, transactions });
        drop(seen);
        self.hand_back(own);
        self.changed.notify_waiters();
    }
}

/// Follows a validator from this height on, for ever.
async fn run(client: Client, mut last: Height, shared: Arc<Shared>) {
    loop {
        let from = Cursor { height: last, index: 0 };
        if let Ok(mut heads) = client.subscribe_heads(Some(from)).await {
            while let Ok(Some(event)) = heads.next().await {
                let (at, height) = (Instant::now(), event.head.height.0);
                if event.head.transactions == 0 {
                    shared.take(at, std::iter::empty());
                } else if let Ok(block) = client.block(BlockAt::Height(height), Bodies::Omit).await {
                    shared.take(at, block.transactions.iter().map(|id| id.0));
                } else {
                    break;
                }
                last = height;
            }
        }
        sleep(RETRY).await;
    }
}
