//! What waits for a checking thread, and when how much of it leaves together.
//!
//! A batch of many signatures costs far less than many small ones. While little arrives, nothing waits for more
//! than a moment; while much does, what arrives is gathered until it is worth a batch, or until a proposal
//! comes, which may need all of it.
use quorate_primitives::PublicKey;
use quorate_primitives::keys::SignatureCheck;
use quorate_primitives::transaction::SignedTransaction;
use quorate_replica::CheckTicket;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::{Job, Reply, SUBMISSION_BYTES_MAX};

/// Most jobs of peers that wait.
const JOBS_MAX: usize = 1_024;
/// Most of them of one peer, so that a flood of one leaves room for the others.
const JOBS_PER_PEER_MAX: usize = 256;
/// Most bytes of these jobs.
pub(super) const JOB_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most bytes in one batch, unless one job alone has more: about 1,300 transfers, which keep a core for 20 ms.
pub(super) const BATCH_BYTES_MAX: usize = 384 * 1024;
/// Bytes worth a batch: about 330 transfers. Twice as many make a signature cheaper by a twentieth.
const BATCH_BYTES_TARGET: usize = 96 * 1024;
/// How long a submitted transaction waits for others while little arrives.
const GATHER: Duration = Duration::from_millis(1);
/// How long anything that may wait does while much arrives.
const GATHER_LONG: Duration = Duration::from_millis(40);
/// Over what time it is counted how much arrives.
const WINDOW: Duration = Duration::from_millis(100);
/// So many bytes in this time are much: those of about 3,000 transfers a second. With fewer, a batch would
/// not become large enough to be worth the wait.
const WINDOW_BYTES_MUCH: usize = 88 * 1024;

/// Everything that waits.
#[derive(Default)]
pub(super) struct Queues {
    pub(super) is_stopping: bool,
    pub(super) checks: VecDeque<(CheckTicket, Vec<SignatureCheck>)>,
    /// Whether the thread that takes nothing but checks waits for one.
    pub(super) checker_waits: bool,
    /// Each with the time at which it came.
    jobs: VecDeque<(Instant, Job)>,
    job_bytes: usize,
    jobs_of_peer: BTreeMap<PublicKey, usize>,
    /// Jobs that wait and may not be gathered.
    pressing: usize,
    submissions: VecDeque<(Instant, SignedTransaction, Reply)>,
    submission_bytes: usize,
    arrivals: Arrivals,
}

/// What is proven together.
pub(super) struct Batch {
    pub(super) jobs: Vec<Job>,
    pub(super) submissions: Vec<(SignedTransaction, Reply)>,
}

impl Queues {
    /// Takes a job, or gives it back when too much is waiting.
    pub(super) fn push(&mut self, job: Job, now: Instant) -> Result<(), Job> {
        let bytes = self.job_bytes.saturating_add(job.bytes());
        let of_peer = self.jobs_of_peer.get(&job.from()).copied().unwrap_or_default();
        let is_full = self.jobs.len() >= JOBS_MAX || of_peer >= JOBS_PER_PEER_MAX || bytes > JOB_BYTES_MAX;
        if self.is_stopping || is_full {
            return Err(job);
        }
        self.job_bytes = bytes;
        self.jobs_of_peer.insert(job.from(), of_peer + 1);
        self.pressing += usize::from(job.is_pressing());
        self.arrivals.add(job.bytes(), now);
        self.jobs.push_back((now, job));
        Ok(())
    }

    /// Whether there is room for one more submitted transaction of this size.
    pub(super) fn has_room_for(&self, transaction: &SignedTransaction) -> bool {
        let bytes = self.submission_bytes.saturating_add(transaction.size());
        !self.is_stopping && bytes <= SUBMISSION_BYTES_MAX
    }

    /// Takes a submitted transaction.
    pub(super) fn submit(&mut self, transaction: SignedTransaction, reply: Reply, now: Instant) {
        self.submission_bytes = self.submission_bytes.saturating_add(transaction.size());
        self.arrivals.add(transaction.size(), now);
        self.submissions.push_back((now, transaction, reply));
    }

    /// From when on a batch may leave; `None` when nothing waits.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let job = self.jobs.front().map(|(came, _)| *came);
        let submission = self.submissions.front().map(|(came, ..)| *came);
        let first = job.into_iter().chain(submission).min()?;
        if self.pressing > 0 || self.waiting_bytes() >= BATCH_BYTES_TARGET {
            return Some(first);
        }
        if self.arrivals.are_many(now) {
            return Some(first + GATHER_LONG);
        }
        job.into_iter().chain(submission.map(|came| came + GATHER)).min()
    }

    fn waiting_bytes(&self) -> usize {
        self.job_bytes.saturating_add(self.submission_bytes)
    }

    /// What leaves together: no more than leaves as much to each of the other threads, unless that would be
    /// too little for a batch. Neither jobs nor submissions take more than half if the others need it.
    pub(super) fn take(&mut self, threads: usize) -> Batch {
        let share = self.waiting_bytes().div_ceil(threads.max(1));
        let share = share.clamp(BATCH_BYTES_TARGET, BATCH_BYTES_MAX);
        let jobs = self.take_jobs(share - self.submission_bytes.min(share / 2));
        let taken: usize = jobs.iter().map(Job::bytes).sum();
        let submissions = self.take_submissions(share.saturating_sub(taken).max(share / 2));
        Batch { jobs, submissions }
    }

    /// The next jobs, of at most so many bytes; one at least. An answer is long and comes alone.
    fn take_jobs(&mut self, bytes: usize) -> Vec<Job> {
        let mut jobs: Vec<Job> = Vec::new();
        let mut room = bytes;
        while let Some((_, next)) = self.jobs.front() {
            let is_answer = |job: &Job| matches!(job, Job::Answer { .. });
            if !jobs.is_empty() && (next.bytes() > room || is_answer(next) || jobs.iter().any(is_answer)) {
                break;
            }
            room = room.saturating_sub(next.bytes());
            let Some((_, job)) = self.jobs.pop_front() else { break };
            self.job_bytes = self.job_bytes.saturating_sub(job.bytes());
            self.pressing -= usize::from(job.is_pressing());
            if let Some(left) = self.jobs_of_peer.get_mut(&job.from()) {
                *left = left.saturating_sub(1);
            }
            jobs.push(job);
        }
        jobs
    }

    fn take_submissions(&mut self, bytes: usize) -> Vec<(SignedTransaction, Reply)> {
        let mut taken = Vec::new();
        let mut room = bytes;
        while let Some((_, next, _)) = self.submissions.front() {
            if !taken.is_empty() && next.size() > room {
                break;
            }
            room = room.saturating_sub(next.size());
            let Some((_, transaction, reply)) = self.submissions.pop_front() else { break };
            self.submission_bytes = self.submission_bytes.saturating_sub(transaction.size());
            taken.push((transaction, reply));
        }
        taken
    }
}

/// How many bytes arrived of late.
#[derive(Default)]
struct Arrivals {
    /// When the present window began.
    began: Option<Instant>,
    /// Bytes in it.
    bytes: usize,
    /// Bytes in the window before.
    before: usize,
}

impl Arrivals {
    fn add(&mut self, bytes: usize, now: Instant) {
        let age = self.age(now);
        if age >= WINDOW {
            self.before = if age < 2 * WINDOW { self.bytes } else { 0 };
            self.bytes = 0;
            self.began = Some(now);
        }
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Whether the last whole window had many.
    fn are_many(&self, now: Instant) -> bool {
        let age = self.age(now);
        let bytes = match age {
            _ if age < WINDOW => self.before,
            _ if age < 2 * WINDOW => self.bytes,
            _ => 0,
        };
        bytes >= WINDOW_BYTES_MUCH
    }

    fn age(&self, now: Instant) -> Duration {
        self.began.map_or(Duration::MAX, |began| now.saturating_duration_since(began))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{good, peer};
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    fn submit(queues: &mut Queues, count: usize, now: Instant) {
        let transaction = good(1);
        (0..count).for_each(|_| queues.submit(transaction.clone(), Reply::new().0, now));
    }

    fn frame(bytes: usize) -> Job {
        Job::Frame { from: peer(1), content: vec![0; bytes] }
    }

    fn answer() -> Job {
        Job::Answer { request: 1, from: peer(1), content: vec![0; 10] }
    }

    /// Queues that are empty after much arrived, and a time at which much arrives still.
    fn busy() -> (Queues, Instant) {
        let (mut queues, start) = (Queues::default(), Instant::now());
        submit(&mut queues, WINDOW_BYTES_MUCH / good(1).size() + 1, start);
        queues.take(1);
        assert_eq!(queues.due(start), None);
        (queues, start + WINDOW)
    }

    #[test]
    fn a_submission_waits_for_a_moment_while_little_arrives() {
        let (mut queues, start) = (Queues::default(), Instant::now());
        submit(&mut queues, 1, start);
        submit(&mut queues, 1, start + MOMENT / 2);
        assert_eq!(queues.due(start + MOMENT / 2), Some(start + GATHER));
        assert_eq!(queues.take(1).submissions.len(), 2);
        assert_eq!(queues.due(start), None);
    }

    #[test]
    fn while_much_arrives_it_is_gathered_until_it_is_worth_a_batch() {
        let (mut queues, now) = busy();
        submit(&mut queues, 1, now);
        assert_eq!(queues.due(now), Some(now + GATHER_LONG));
        submit(&mut queues, BATCH_BYTES_TARGET / good(1).size(), now + MOMENT);
        assert_eq!(queues.due(now + MOMENT), Some(now), "enough for a batch, and waits still");
    }

    #[test]
    fn what_arrived_long_ago_makes_nothing_wait() {
        let (mut queues, now) = busy();
        let later = now + 2 * WINDOW;
        submit(&mut queues, 1, later);
        assert_eq!(queues.due(later), Some(later + GATHER));
        // Little in the last window, though much in the one before it.
        let (mut queues, now) = busy();
        submit(&mut queues, 1, now);
        queues.take(1);
        submit(&mut queues, 1, now + WINDOW);
        assert_eq!(queues.due(now + WINDOW), Some(now + WINDOW + GATHER));
    }

    #[test]
    fn a_frame_does_not_wait_and_takes_along_what_does() {
        let (mut queues, now) = busy();
        submit(&mut queues, 3, now);
        queues.push(frame(10), now + MOMENT).unwrap();
        assert_eq!(queues.due(now + MOMENT), Some(now));
        let batch = queues.take(1);
        assert_eq!((batch.jobs.len(), batch.submissions.len()), (1, 3));
        submit(&mut queues, 1, now + MOMENT);
        assert_eq!(queues.due(now + MOMENT), Some(now + MOMENT + GATHER_LONG), "the frame has gone");
    }

    #[test]
    fn a_batch_has_a_bound_and_room_for_jobs_and_submissions() {
        let (mut queues, now) = (Queues::default(), Instant::now());
        (0..12).for_each(|_| queues.push(frame(BATCH_BYTES_MAX / 8), now).unwrap());
        submit(&mut queues, BATCH_BYTES_MAX / good(1).size(), now);
        let bytes = |batch: &Batch| {
            let of_submissions = batch.submissions.iter().map(|(transaction, _)| transaction.size());
            (batch.jobs.iter().map(Job::bytes).sum::<usize>(), of_submissions.sum::<usize>())
        };
        let (of_jobs, of_submissions) = bytes(&queues.take(1));
        assert_eq!(of_jobs, BATCH_BYTES_MAX / 2);
        assert!((BATCH_BYTES_MAX / 2 - good(1).size()..=BATCH_BYTES_MAX / 2).contains(&of_submissions));
        // One of four threads leaves three quarters to the others.
        let waiting = queues.waiting_bytes();
        let (of_jobs, of_submissions) = bytes(&queues.take(4));
        assert!((waiting / 8..=waiting / 3).contains(&(of_jobs + of_submissions)));
        queues.take(1);
        queues.take(1);
        assert_eq!((queues.due(now), queues.waiting_bytes(), queues.pressing), (None, 0, 0));
        // One that is larger than a batch comes all the same.
        queues.push(frame(2 * BATCH_BYTES_MAX), now).unwrap();
        assert_eq!(queues.take(1).jobs.len(), 1);
    }

    #[test]
    fn an_answer_comes_alone() {
        let (mut queues, now) = (Queues::default(), Instant::now());
        for job in [frame(10), frame(10), answer(), answer(), frame(10)] {
            queues.push(job, now).unwrap();
        }
        let counts: Vec<usize> = (0..4).map(|_| queues.take(1).jobs.len()).collect();
        assert_eq!(counts, [2, 1, 1, 1]);
    }

    #[test]
    fn a_flood_of_one_peer_leaves_room_for_the_others() {
        let (mut queues, now) = (Queues::default(), Instant::now());
        (0..JOBS_PER_PEER_MAX).for_each(|_| queues.push(frame(10), now).unwrap());
        assert!(queues.push(frame(10), now).is_err());
        queues.push(Job::Frame { from: peer(2), content: vec![0; 10] }, now).unwrap();
        assert!(queues.push(Job::Frame { from: peer(3), content: vec![0; JOB_BYTES_MAX] }, now).is_err());
        queues.take(1);
        queues.push(frame(10), now).unwrap();
    }
}
