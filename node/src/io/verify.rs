//! Threads that check signatures, before anything reaches the replica.
//!
//! Checks that the protocol waits for come first and have a thread of their own. What peers send and
//! what clients submit take turns on the others; submitted transactions are gathered for a moment,
//! because one batch of many signatures costs half of many single ones. Bytes are decoded here too, so
//! that neither the network task nor the replica spends time on them.
mod cache;

use quorate_primitives::PublicKey;
use quorate_primitives::block::ANSWER_BYTES_MAX;
use quorate_primitives::codec;
use quorate_primitives::keys::{KnownKeys, SignatureCheck, verify_batch};
use quorate_primitives::signed::Verified;
use quorate_primitives::transaction::SignedTransaction;
use quorate_replica::wire::PEER_MESSAGE_BYTES_MAX;
use quorate_replica::{Admitted, Answer, CheckTicket, Event, PeerMessage, Refusal};
use quorate_rpc::api::{REQUEST_BYTES_MAX, SUBMIT_MANY_MAX};
use rand::rngs::StdRng;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

use self::cache::Cache;
use super::counters::{Counters, count, count_bytes};
use super::net::{GOSSIP_BYTES_MAX, GossipId, Verdict};

/// Most jobs of peers that wait.
const JOBS_MAX: usize = 1_024;
/// Most of them of one peer, so that a flood of one leaves room for the others.
const JOBS_PER_PEER_MAX: usize = 256;
/// Most bytes of these jobs.
const JOB_BYTES_MAX: usize = 64 * 1024 * 1024;
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

/// Most transactions in one batch: about 20 ms of one core.
const BATCH_MAX: usize = 512;
/// Most keys that a thread remembers as points of the curve, about 16 MiB of them.
const KNOWN_MAX: usize = 65_536;
/// Most gossiped bundles in one batch.
const GOSSIP_MAX: usize = 4;
/// How long a submitted transaction waits for others.
const GATHER: Duration = Duration::from_millis(1);
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

#[derive(Default)]
struct Queues {
    checks: VecDeque<(CheckTicket, Vec<SignatureCheck>)>,
    jobs: VecDeque<Job>,
    job_bytes: usize,
    jobs_of_peer: BTreeMap<PublicKey, usize>,
    submissions: VecDeque<(SignedTransaction, Reply)>,
    submission_bytes: usize,
    /// When the oldest submission came.
    oldest: Option<Instant>,
    /// Whose turn it is.
    submissions_next: bool,
    is_stopping: bool,
}

/// What a thread does next.
enum Work {
    Checks(CheckTicket, Vec<SignatureCheck>),
    /// One job, or several that are gossip.
    Jobs(Vec<Job>),
    Submissions(Vec<(SignedTransaction, Reply)>),
    Stop,
}

struct Shared {
    queues: Mutex<Queues>,
    filled: Condvar,
    cache: Mutex<Cache>,
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
        let (queues, cache) = (Mutex::new(Queues::default()), Mutex::new(Cache::default()));
        let threads = threads.max(1);
        let shared = Arc::new(Shared {
            queues,
            filled: Condvar::new(),
            cache,
            counters,
            outlet,
            threads,
            room: AtomicUsize::new(SUBMISSIONS_MAX),
            unanswered: Arc::default(),
        });
        let mut handles = Vec::new();
        for number in 0..=threads {
            let mut worker = Worker {
                shared: Arc::clone(&shared),
                known: KnownKeys::new(KNOWN_MAX),
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
        self.shared.lock().checks.push_back((ticket, checks));
        self.shared.filled.notify_all();
    }

    /// Takes something of a peer, or gives it back when too much is waiting.
    ///
    /// # Errors
    /// The job itself.
    pub fn push(&self, job: Job) -> Result<(), Job> {
        let mut queues = self.shared.lock();
        let bytes = queues.job_bytes.saturating_add(job.bytes());
        let of_peer = queues.jobs_of_peer.get(&job.from()).copied().unwrap_or_default();
        let is_full = queues.jobs.len() >= JOBS_MAX || of_peer >= JOBS_PER_PEER_MAX || bytes > JOB_BYTES_MAX;
        if queues.is_stopping || is_full {
            drop(queues);
            count(&self.shared.counters.verify_dropped, 1);
            return Err(job);
        }
        queues.job_bytes = bytes;
        queues.jobs_of_peer.insert(job.from(), of_peer + 1);
        queues.jobs.push_back(job);
        drop(queues);
        self.shared.filled.notify_all();
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
        let mut queues = self.shared.lock();
        for (transaction, mut reply) in transactions {
            let bytes = queues.submission_bytes.saturating_add(transaction.size());
            if queues.is_stopping
                || unanswered.load(Ordering::Relaxed) >= room
                || bytes > SUBMISSION_BYTES_MAX
            {
                refused.push(reply);
                continue;
            }
            queues.submission_bytes = bytes;
            reply.place = Some(Place::take(unanswered));
            queues.submissions.push_back((transaction, reply));
        }
        if !queues.submissions.is_empty() {
            queues.oldest.get_or_insert_with(Instant::now);
        }
        drop(queues);
        self.shared.filled.notify_all();
        count_bytes(&self.shared.counters.transactions_busy, refused.len());
        refused.into_iter().for_each(|reply| reply.send(Err(SubmitError::busy())));
    }

    /// Ends the threads after the work in hand; what waits is dropped.
    pub fn stop(&self) {
        self.shared.lock().is_stopping = true;
        self.shared.filled.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
        *self.shared.lock() = Queues { is_stopping: true, ..Queues::default() };
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, checks_only: bool) -> Work {
        let mut queues = self.lock();
        loop {
            if queues.is_stopping {
                return Work::Stop;
            }
            if let Some((ticket, checks)) = queues.checks.pop_front() {
                return Work::Checks(ticket, checks);
            }
            let mut wait = None;
            if !checks_only {
                let gathered = queues.gathered(Instant::now());
                let ready = gathered.is_ok_and(|ready| ready);
                if ready && (queues.submissions_next || queues.jobs.is_empty()) {
                    queues.submissions_next = false;
                    return Work::Submissions(queues.take_submissions());
                }
                let jobs = queues.take_jobs(self.threads);
                if !jobs.is_empty() {
                    queues.submissions_next = true;
                    return Work::Jobs(jobs);
                }
                wait = gathered.err();
            }
            queues = match wait {
                Some(wait) => {
                    self.filled.wait_timeout(queues, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.filled.wait(queues).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Queues {
    /// Whether a batch of submissions may leave, or how long it still gathers.
    fn gathered(&self, now: Instant) -> Result<bool, Duration> {
        if self.submissions.is_empty() {
            return Ok(false);
        }
        let age = self.oldest.map_or(GATHER, |oldest| now.saturating_duration_since(oldest));
        if self.submissions.len() >= BATCH_MAX || age >= GATHER {
            Ok(true)
        } else {
            Err(GATHER.saturating_sub(age))
        }
    }

    /// The next job; of gossip also some that follow, since bundles are cheaper to prove together, but no
    /// more than leaves as many to each of the other threads.
    fn take_jobs(&mut self, threads: usize) -> Vec<Job> {
        let share = self.jobs.len().div_ceil(threads.max(1)).min(GOSSIP_MAX);
        let mut jobs: Vec<Job> = self.take_job().into_iter().collect();
        let is_gossip = |job: Option<&Job>| matches!(job, Some(Job::Gossip { .. }));
        while is_gossip(jobs.first()) && is_gossip(self.jobs.front()) && jobs.len() < share {
            jobs.extend(self.take_job());
        }
        jobs
    }

    fn take_job(&mut self) -> Option<Job> {
        let job = self.jobs.pop_front()?;
        self.job_bytes = self.job_bytes.saturating_sub(job.bytes());
        if let Some(left) = self.jobs_of_peer.get_mut(&job.from()) {
            *left = left.saturating_sub(1);
        }
        Some(job)
    }

    fn take_submissions(&mut self) -> Vec<(SignedTransaction, Reply)> {
        let count = self.submissions.len().min(BATCH_MAX);
        let batch: Vec<_> = self.submissions.drain(..count).collect();
        let bytes: usize = batch.iter().map(|(transaction, _)| transaction.size()).sum();
        self.submission_bytes = self.submission_bytes.saturating_sub(bytes);
        if self.submissions.is_empty() {
            self.oldest = None;
        }
        batch
    }
}

/// A generator that no signer can predict, seeded by the operating system.
///
/// # Errors
/// When the system gives no randomness.
pub fn fresh_rng() -> io::Result<StdRng> {
    rand::SeedableRng::try_from_rng(&mut rand::rngs::SysRng).map_err(io::Error::other)
}

/// One thread.
struct Worker {
    shared: Arc<Shared>,
    known: KnownKeys,
    rng: StdRng,
    checks_only: bool,
}

impl Worker {
    fn run(&mut self) {
        loop {
            match self.shared.next(self.checks_only) {
                Work::Checks(ticket, checks) => {
                    let bad = verify_batch(&checks, &mut self.known, &mut self.rng);
                    count_bytes(&self.shared.counters.signatures_checked, checks.len());
                    count(&self.shared.counters.signature_batches, 1);
                    (self.shared.outlet)(Outcome::Checked { ticket, bad });
                }
                Work::Jobs(jobs) => self.jobs(jobs),
                Work::Submissions(batch) => self.submissions(batch),
                Work::Stop => return,
            }
        }
    }

    fn proof(&mut self) -> cache::Proof<'_> {
        let Shared { cache, counters, .. } = &*self.shared;
        cache::Proof { cache, counters, known: &mut self.known, rng: &mut self.rng }
    }

    fn jobs(&mut self, jobs: Vec<Job>) {
        let mut gossip = Vec::new();
        for job in jobs {
            match job {
                Job::Frame { from, content } => self.frame(from, &content),
                Job::Answer { request, from, content } => self.answer(request, from, &content),
                Job::Gossip { from, id, content } => gossip.push((from, id, content)),
            }
        }
        if !gossip.is_empty() {
            self.gossip(gossip);
        }
    }

    fn frame(&mut self, from: PublicKey, content: &[u8]) {
        let event = match codec::decode::<PeerMessage>(content, PEER_MESSAGE_BYTES_MAX) {
            Ok(message) => self.proof().message(message, from).ok_or("a signature in a frame is invalid"),
            Err(_) => Err("a frame is malformed"),
        };
        (self.shared.outlet)(match event {
            Ok(event) => Outcome::Event(event, content.len()),
            Err(reason) => Outcome::Violation { peer: from, reason },
        });
    }

    fn gossip(&mut self, messages: Vec<(PublicKey, GossipId, Vec<u8>)>) {
        let bundle = |content: &[u8]| match codec::decode::<PeerMessage>(content, GOSSIP_BYTES_MAX) {
            Ok(PeerMessage::Bundle(bundle)) => Some(bundle),
            Ok(PeerMessage::Consensus { .. } | PeerMessage::Proposal { .. }) | Err(_) => None,
        };
        let bundles = messages.iter().map(|(_, _, content)| bundle(content)).collect();
        let proven = self.proof().gossip(bundles);
        for ((from, id, content), bundle) in messages.into_iter().zip(proven) {
            let verdict = if bundle.is_some() { Verdict::Accept } else { Verdict::Reject };
            (self.shared.outlet)(Outcome::Gossip { id, from, verdict });
            if let Some(bundle) = bundle {
                let event = Event::Bundle { from: Some(from), bundle };
                (self.shared.outlet)(Outcome::Event(event, content.len()));
            }
        }
    }

    fn answer(&mut self, request: u64, from: PublicKey, content: &[u8]) {
        let answer = match codec::decode::<Answer>(content, ANSWER_BYTES_MAX) {
            Ok(answer) => self.proof().answer(answer).ok_or("a signature in an answer is invalid"),
            Err(_) => Err("an answer is malformed"),
        };
        if let Err(reason) = answer {
            (self.shared.outlet)(Outcome::Violation { peer: from, reason });
        }
        let event = Event::Answered { request, from, answer: answer.ok() };
        (self.shared.outlet)(Outcome::Event(event, content.len()));
    }

    fn submissions(&mut self, batch: Vec<(SignedTransaction, Reply)>) {
        let (transactions, replies): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let verdicts = self.proof().transactions(transactions);
        for (verdict, reply) in verdicts.into_iter().zip(replies) {
            match verdict {
                Some(transaction) => (self.shared.outlet)(Outcome::Submitted(transaction, reply)),
                None => reply.send(Err(SubmitError::BadSignature)),
            }
        }
    }
}
