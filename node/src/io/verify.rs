//! Threads that check signatures, before anything reaches the replica.
//!
//! Checks that the protocol waits for come first and have a thread of their own. What peers send and
//! what clients submit is proven together on the others, because one batch of many signatures costs a
//! third of many single ones; `queues` decides how long what arrives is gathered for that, `proof` what is
//! proven together, and `cache` remembers what was. Bytes are decoded here too, so that neither the network
//! task nor the replica spends time on them.
mod cache;
mod proof;
mod queues;
#[cfg(test)]
mod testing;
mod worker;

use quorate_primitives::PublicKey;
use quorate_primitives::block::ANSWER_BYTES_MAX;
use quorate_primitives::keys::{KnownKeys, SignatureCheck};
use quorate_primitives::signed::Verified;
use quorate_primitives::transaction::SignedTransaction;
use quorate_replica::{Admitted, CheckTicket, Event, Refusal};
use quorate_rpc::api::{REQUEST_BYTES_MAX, SUBMIT_MANY_MAX};
use rand::rngs::StdRng;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;
use tokio::sync::oneshot;

use self::cache::Cache;
use self::proof::Suspects;
use self::queues::{Batch, JOB_BYTES_MAX, Queues};
use self::worker::Worker;
use super::counters::{Counters, count, count_bytes};
use super::net::{GossipId, Verdict};

/// Most submitted transactions that wait, whatever room the replica has.
const SUBMISSIONS_MAX: usize = 16_384;
/// Most bytes of them.
const SUBMISSION_BYTES_MAX: usize = 32 * 1024 * 1024;
// A full answer, or a full request of transactions, always finds room when nothing else waits.
const _: () = {
    assert!(ANSWER_BYTES_MAX <= JOB_BYTES_MAX);
    assert!(SUBMIT_MANY_MAX <= SUBMISSIONS_MAX);
    assert!(REQUEST_BYTES_MAX / 2 <= SUBMISSION_BYTES_MAX);
};

/// Most bytes that all threads together take for the keys they remember as points of the curve.
const KNOWN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most bytes that one of them takes: some 114,000 keys.
const KNOWN_BYTES_OF_THREAD_MAX: usize = 26 * 1024 * 1024;
/// What a client that was refused for lack of room is told to wait, in ms.
const RETRY_AFTER_MS: u64 = 250;

/// Why a transaction that was submitted here is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too much is waiting.
    #[error("too many transactions wait, retry after {retry_after_ms} ms")]
    Busy {
        /// When to try again, in ms.
        retry_after_ms: u64,
    },
    /// One of the signatures is invalid.
    #[error("a signature is invalid")]
    BadSignature,
    /// The replica refuses it.
    #[error(transparent)]
    Refused(Refusal),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

impl SubmitError {
    /// Too much is waiting.
    #[must_use]
    pub fn busy() -> Self {
        Self::Busy { retry_after_ms: RETRY_AFTER_MS }
    }
}

/// Where the answer to a submitted transaction goes. Dropped without one, whoever waits is told that nobody
/// will answer.
#[derive(Debug)]
pub struct Reply {
    sender: oneshot::Sender<Result<Admitted, SubmitError>>,
    /// Counts it as long as it was not answered.
    place: Option<Place>,
}

impl Reply {
    /// A reply, and where it arrives.
    #[must_use]
    pub fn new() -> (Self, oneshot::Receiver<Result<Admitted, SubmitError>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sender, place: None }, receiver)
    }

    /// Answers.
    pub fn send(self, answer: Result<Admitted, SubmitError>) {
        drop(self.place);
        // An error means that the client has gone.
        let _ = self.sender.send(answer);
    }
}

/// One of a number that is counted.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Something that a peer sent, to be decoded and proven.
#[derive(Debug)]
pub enum Job {
    /// A frame of a direct stream.
    Frame {
        /// From whom.
        from: PublicKey,
        /// The frame.
        content: Vec<u8>,
    },
    /// A gossiped message.
    Gossip {
        /// From whom.
        from: PublicKey,
        /// For the report.
        id: GossipId,
        /// The message.
        content: Vec<u8>,
    },
    /// The answer to a question.
    Answer {
        /// Number of the question.
        request: u64,
        /// Who answers.
        from: PublicKey,
        /// The answer.
        content: Vec<u8>,
    },
}

impl Job {
    /// Whether it is worth more now than in a moment: the protocol waits for a frame, a question for its answer.
    fn is_pressing(&self) -> bool {
        match self {
            Self::Frame { .. } | Self::Answer { .. } => true,
            Self::Gossip { .. } => false,
        }
    }

    fn from(&self) -> PublicKey {
        match self {
            Self::Frame { from, .. } | Self::Gossip { from, .. } | Self::Answer { from, .. } => *from,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Frame { content, .. } | Self::Gossip { content, .. } | Self::Answer { content, .. } => {
                content.len()
            }
        }
    }
}

/// What came of a job. Delivered on a checking thread.
#[expect(clippy::large_enum_variant, reason = "an outcome lives for one call and is never stored")]
pub enum Outcome {
    /// The verdicts that the protocol waits for.
    Checked {
        /// As given.
        ticket: CheckTicket,
        /// Positions of the invalid signatures, ascending.
        bad: Vec<usize>,
    },
    /// Something for the replica, with its size in bytes.
    Event(Event, usize),
    /// A client's transaction whose signatures are valid.
    Submitted(Verified<SignedTransaction>, Reply),
    /// What a gossiped message is worth.
    Gossip {
        /// As given.
        id: GossipId,
        /// As given.
        from: PublicKey,
        /// Whether to pass it on.
        verdict: Verdict,
    },
    /// A peer sent what no honest peer sends.
    Violation {
        /// Who.
        peer: PublicKey,
        /// What.
        reason: &'static str,
    },
}

/// Receives outcomes; called by several threads, and must not block.
pub type Outlet = Box<dyn Fn(Outcome) + Send + Sync>;

/// What a thread does next.
enum Work {
    Checks(CheckTicket, Vec<SignatureCheck>),
    Batch(Batch),
    Stop,
}

struct Shared {
    queues: Mutex<Queues>,
    /// Tells the thread that takes nothing but checks that there are some.
    checks_filled: Condvar,
    /// Tells the others that there is something, or that what there is may leave.
    filled: Condvar,
    cache: Mutex<Cache>,
    suspects: Mutex<Suspects>,
    counters: Arc<Counters>,
    outlet: Outlet,
    /// Those that take jobs.
    threads: usize,
    /// How many more submissions the replica would take.
    room: AtomicUsize,
    /// Submissions that were taken and not answered.
    unanswered: Arc<AtomicUsize>,
}

/// The checking threads. Dropping it without [`Pool::stop`] leaves them running.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Pool {
    /// Starts the threads: one for the protocol's checks, and `threads` for everything.
    ///
    /// # Errors
    /// When the system gives no randomness or no thread.
    pub fn start(threads: usize, counters: Arc<Counters>, outlet: Outlet) -> io::Result<Self> {
        let threads = threads.max(1);
        let shared = Arc::new(Shared {
            queues: Mutex::default(),
            checks_filled: Condvar::new(),
            filled: Condvar::new(),
            cache: Mutex::default(),
            suspects: Mutex::default(),
            counters,
            outlet,
            threads,
            room: AtomicUsize::new(SUBMISSIONS_MAX),
            unanswered: Arc::default(),
        });
        let known_bytes = (KNOWN_BYTES_MAX / threads).min(KNOWN_BYTES_OF_THREAD_MAX);
        let mut handles = Vec::new();
        for number in 0..=threads {
            let mut worker = Worker {
                shared: Arc::clone(&shared),
                known: KnownKeys::within(known_bytes),
                rng: fresh_rng()?,
                checks_only: number == 0,
            };
            let builder = thread::Builder::new().name(format!("verify-{number}"));
            handles.push(builder.spawn(move || worker.run())?);
        }
        Ok(Self { shared, threads: Mutex::new(handles) })
    }

    /// Takes checks that the protocol waits for. Their number is bounded by the protocol.
    pub fn check(&self, ticket: CheckTicket, checks: Vec<SignatureCheck>) {
        let mut queues = self.shared.lock();
        queues.checks.push_back((ticket, checks));
        let checker_waits = std::mem::take(&mut queues.checker_waits);
        drop(queues);
        if checker_waits {
            self.shared.checks_filled.notify_one();
        } else {
            self.shared.filled.notify_one();
        }
    }

    /// Takes something of a peer, or gives it back when too much is waiting.
    ///
    /// # Errors
    /// The job itself.
    pub fn push(&self, job: Job) -> Result<(), Job> {
        let now = Instant::now();
        let mut queues = self.shared.lock();
        let due = queues.due(now);
        if let Err(job) = queues.push(job, now) {
            drop(queues);
            count(&self.shared.counters.verify_dropped, 1);
            return Err(job);
        }
        self.shared.tell(queues, due, now);
        Ok(())
    }

    /// How many more submissions the replica would take now. Beyond it none is taken, so that no signature is
    /// proven for nothing.
    pub fn set_room(&self, room: usize) {
        self.shared.room.store(room.min(SUBMISSIONS_MAX), Ordering::Relaxed);
    }

    /// If no submission can be taken now: after what time to try again, in ms.
    #[must_use]
    pub fn busy_ms(&self) -> Option<u64> {
        let Shared { room, unanswered, .. } = &*self.shared;
        let is_full = unanswered.load(Ordering::Relaxed) >= room.load(Ordering::Relaxed);
        is_full.then_some(RETRY_AFTER_MS)
    }

    /// Takes submitted transactions; those for which there is no room are answered at once.
    pub fn submit(&self, transactions: Vec<(SignedTransaction, Reply)>) {
        count_bytes(&self.shared.counters.transactions_submitted, transactions.len());
        let mut refused = Vec::new();
        let Shared { room, unanswered, .. } = &*self.shared;
        let room = room.load(Ordering::Relaxed);
        let now = Instant::now();
        let mut queues = self.shared.lock();
        let due = queues.due(now);
        for (transaction, mut reply) in transactions {
            if unanswered.load(Ordering::Relaxed) >= room || !queues.has_room_for(&transaction) {
                refused.push(reply);
                continue;
            }
            reply.place = Some(Place::take(unanswered));
            queues.submit(transaction, reply, now);
        }
        self.shared.tell(queues, due, now);
        count_bytes(&self.shared.counters.transactions_busy, refused.len());
        refused.into_iter().for_each(|reply| reply.send(Err(SubmitError::busy())));
    }

    /// Ends the threads after the work in hand; what waits is dropped.
    pub fn stop(&self) {
        self.shared.lock().is_stopping = true;
        self.shared.checks_filled.notify_all();
        self.shared.filled.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
        let mut queues = self.shared.lock();
        *queues = Queues::default();
        queues.is_stopping = true;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes a thread if what waits has become due earlier than it was `before`, as a thread that waits knows.
    fn tell(&self, queues: MutexGuard<'_, Queues>, before: Option<Instant>, now: Instant) {
        let due = queues.due(now);
        drop(queues);
        if due.is_some_and(|due| before.is_none_or(|before| due < before)) {
            self.filled.notify_one();
        }
    }

    /// Waits for what to do next.
    fn next(&self, checks_only: bool) -> Work {
        let mut queues = self.lock();
        loop {
            if queues.is_stopping {
                return Work::Stop;
            }
            if let Some((ticket, checks)) = queues.checks.pop_front() {
                // This thread may have been woken for something else.
                if queues.due(Instant::now()).is_some() {
                    self.filled.notify_one();
                }
                return Work::Checks(ticket, checks);
            }
            if checks_only {
                queues.checker_waits = true;
                queues = self.checks_filled.wait(queues).unwrap_or_else(PoisonError::into_inner);
                queues.checker_waits = false;
                continue;
            }
            let now = Instant::now();
            let due = queues.due(now);
            queues = match due.map(|due| due.saturating_duration_since(now)) {
                Some(wait) if wait.is_zero() => {
                    let batch = queues.take(self.threads);
                    if queues.due(now).is_some() {
                        self.filled.notify_one();
                    }
                    return Work::Batch(batch);
                }
                Some(wait) => {
                    self.filled.wait_timeout(queues, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.filled.wait(queues).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// A generator that no signer can predict, seeded by the operating system.
///
/// # Errors
/// When the system gives no randomness.
pub fn fresh_rng() -> io::Result<StdRng> {
    rand::SeedableRng::try_from_rng(&mut rand::rngs::SysRng).map_err(io::Error::other)
}
