//! The replica's thread: step, make durable, carry out.
//!
//! Order of service: votes just signed, then timers that are due, then what waits in the inbox. A
//! step without records whose predecessors are all carried out is carried out at once. Steps with
//! records are gathered while more is at hand and share one sync, but never past a step that signs or
//! that continues its own work with a timer of zero: those come before anything else.
use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_genesis::Genesis;
use quorate_ledger::Ledger;
use quorate_primitives::SecretKey;
use quorate_primitives::codec;
use quorate_primitives::signed::Verified;
use quorate_primitives::transaction::SignedTransaction;
use quorate_replica::record::RECORD_BYTES_MAX;
use quorate_replica::vote_log::{Identity, SEGMENT_BYTES, VoteLog, VoteLogError};
use quorate_replica::{Effect, Event, LogRecord, PeerMessage, Replica, Settings, Status, Submission, Timer};

use super::gate::{Asked, Gate};
use super::inbox::{Inbox, Lane, Parcel};
use super::members::membership;
use super::{Failure, Head, Publisher, StartError};
use crate::io::counters::{Counters, count, count_bytes};
use crate::io::journal::{FolderLock, Journal, JournalConfig, JournalError, RealFiles};
use crate::io::net::{Membership, Network};
use crate::io::timers::{Timers, wall_clock};
use crate::io::verify::{Pool, Reply, SubmitError, fresh_rng};

/// Most bytes of records that are gathered for one sync.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most effects that are gathered for one sync.
const GROUP_EFFECTS_MAX: usize = 1_024;
/// How long a committed block may be safe only against the end of the process, not against a power
/// failure of this machine. A quorum has it in its vote logs.
const LEDGER_SYNC_INTERVAL: Duration = Duration::from_secs(2);
/// Most submitted transactions that are admitted in one step: enough that looking them up together pays, few
/// enough that no vote waits long.
const SUBMISSIONS_MAX: usize = 256;
/// Shortest time between two accounts of the replica.
const STATUS_INTERVAL: Duration = Duration::from_millis(100);
/// Longest time without one.
const STATUS_AGE_MAX: Duration = Duration::from_secs(1);

/// What waits in the inbox.
pub(super) enum Item {
    /// Something that happened.
    Event(Box<Event>),
    /// A client's transaction.
    Submitted(Verified<SignedTransaction>, Reply),
}

/// What the replica is restored from.
pub(super) struct Start {
    pub(super) genesis: Genesis,
    pub(super) settings: Settings,
    pub(super) ledger: Ledger,
    pub(super) key: SecretKey,
    pub(super) votes: PathBuf,
    pub(super) key_folder: PathBuf,
    pub(super) lock: FolderLock,
}

/// The other parts of the node.
pub(super) struct Links {
    pub(super) inbox: Arc<Inbox<Item>>,
    pub(super) pool: Arc<Pool>,
    pub(super) network: Network,
    pub(super) counters: Arc<Counters>,
    pub(super) publisher: Publisher,
}

/// A restored replica and everything that only its thread touches.
pub(super) struct Runner {
    replica: Replica,
    /// Also of a node that does not vote: it may from the next epoch on.
    journal: Journal,
    gate: Gate,
    timers: Timers<Timer>,
    _lock: FolderLock,
}

impl Runner {
    /// Opens the vote log and gives every record back to the replica.
    pub(super) fn restore(start: Start) -> Result<Self, StartError> {
        let Start { genesis, settings, ledger, key, votes, key_folder, lock } = start;
        let identity = Identity { chain: genesis.hash(), key: key.public_key() };
        let mut replica = Replica::new(settings, &genesis, ledger, Some(identity.key))?;
        let mut gate = Gate::new(key);
        let mut rng = fresh_rng()?;
        let files = RealFiles::new(JournalConfig { folder: votes, marker_folder: key_folder })?;
        let lost = LogRecord::Quarantine.encode();
        let journal = VoteLog::open(files, identity, &[lost], |bytes| {
            let record = codec::decode::<LogRecord>(bytes, RECORD_BYTES_MAX);
            let record = record.map_err(|_| "a record is intact but unknown: written by another version")?;
            gate.record(&record);
            replica.restore(record, &mut rng);
            Ok(())
        });
        let journal = journal.map_err(JournalError::from)?;
        let restored = journal.next_sequence().saturating_sub(1);
        tracing::info!(records = restored, "vote log opened");
        if let Some(loss) = journal.lost() {
            tracing::warn!(%loss, "vote log begun anew: this key does not vote until it is certain how far it voted");
        }
        if let Some(cut) = journal.cut() {
            let file = cut.path.display();
            tracing::warn!(%file, offset = cut.offset, bytes = cut.bytes, "cut an unfinished record from the vote log");
        }
        Ok(Self { replica, journal, gate, timers: Timers::default(), _lock: lock })
    }

    pub(super) fn status(&self) -> Status {
        self.replica.status()
    }

    pub(super) fn head(&self) -> Head {
        Head::of(self.replica.ledger())
    }

    /// Whose keys the chain knows as validators'.
    pub(super) fn membership(&self) -> Membership {
        membership(self.replica.ledger().head().state(), self.replica.period().0)
    }

    /// Runs until told to stop, or until going on would not be safe.
    pub(super) fn run(self, links: Links) {
        let failure = links.publisher.failure.clone();
        let inbox = Arc::clone(&links.inbox);
        let work = Work::new(self, links);
        let ended = std::panic::catch_unwind(AssertUnwindSafe(move || work.run()));
        if let Err(reason) = ended.unwrap_or(Err(Failure::Panicked)) {
            tracing::error!(%reason, "the driver stops");
            inbox.stop();
            failure.send_replace(Some(reason));
        }
    }
}

/// The running thread's state.
struct Work {
    runner: Runner,
    links: Links,
    /// Ready events, in order; those in front come first.
    ready: VecDeque<Item>,
    /// Records that are not durable yet, and their encodings.
    records: Vec<LogRecord>,
    encoded: Vec<Vec<u8>>,
    encoded_bytes: usize,
    /// Effects that wait for these records.
    effects: VecDeque<Effect>,
    replies: BTreeMap<u64, Reply>,
    next_ticket: u64,
    has_committed: bool,
    ledger_synced: Instant,
    status_published: Instant,
}

impl Work {
    fn new(runner: Runner, links: Links) -> Self {
        let now = Instant::now();
        Self {
            runner,
            links,
            ready: VecDeque::new(),
            records: Vec::new(),
            encoded: Vec::new(),
            encoded_bytes: 0,
            effects: VecDeque::new(),
            replies: BTreeMap::new(),
            next_ticket: 0,
            has_committed: false,
            ledger_synced: now,
            status_published: now,
        }
    }

    fn run(mut self) -> Result<(), Failure> {
        self.step(Event::Start)?;
        let mut signed_first = false;
        loop {
            // Votes just signed stand in front of `ready`; a timer comes before the rest. They take turns:
            // where one vote leads to the next, as at the end of an epoch of a validator alone, what a
            // timer waits to do must be done as well.
            let is_signed = matches!(self.ready.front(), Some(Item::Event(event)) if matches!(**event, Event::Signed { .. }));
            signed_first = is_signed && !signed_first;
            if !signed_first && let Some(timer) = self.runner.timers.pop_due(Instant::now()) {
                self.step(Event::Elapsed(timer))?;
                continue;
            }
            match self.ready.pop_front() {
                Some(Item::Event(event)) => {
                    self.step(*event)?;
                    self.housekeep_between()?;
                }
                Some(Item::Submitted(transaction, reply)) => {
                    let submissions = self.gather_submissions(transaction, reply);
                    self.step(Event::Submitted(submissions))?;
                }
                None => {
                    self.flush()?;
                    self.housekeep()?;
                    if self.ready.is_empty() && !self.wait() {
                        break;
                    }
                }
            }
        }
        self.sync_ledger()
    }

    /// What clients submitted, as far as it comes next.
    fn gather_submissions(
        &mut self,
        transaction: Verified<SignedTransaction>,
        reply: Reply,
    ) -> Vec<Submission> {
        let mut submissions = vec![self.submission(transaction, reply)];
        while submissions.len() < SUBMISSIONS_MAX {
            match self.ready.pop_front() {
                Some(Item::Submitted(transaction, reply)) => {
                    submissions.push(self.submission(transaction, reply));
                }
                Some(other) => {
                    self.ready.push_front(other);
                    break;
                }
                None => break,
            }
        }
        submissions
    }

    fn submission(&mut self, transaction: Verified<SignedTransaction>, reply: Reply) -> Submission {
        let ticket = self.next_ticket;
        self.next_ticket = ticket.wrapping_add(1);
        self.replies.insert(ticket, reply);
        Submission { ticket, transaction }
    }

    /// Waits for something to do; `false` when it is time to stop.
    fn wait(&mut self) -> bool {
        let status_due = self.status_published.checked_add(STATUS_AGE_MAX);
        let deadline = [self.runner.timers.next(), status_due].into_iter().flatten().min();
        self.links.inbox.take(deadline, &mut self.ready)
    }

    fn step(&mut self, event: Event) -> Result<(), Failure> {
        count(&self.links.counters.events, 1);
        let step = self.runner.replica.step(wall_clock(), event);
        self.links.pool.set_room(self.runner.replica.room());
        for record in step.journal {
            let bytes = record.encode();
            self.encoded_bytes = self.encoded_bytes.saturating_add(bytes.len());
            self.encoded.push(bytes);
            self.records.push(record);
        }
        let is_urgent = step.effects.iter().any(|effect| {
            matches!(effect, Effect::Sign { .. } | Effect::Arm { after_ms: 0, .. } | Effect::Halt(_))
        });
        self.effects.extend(step.effects);
        let is_full = self.encoded_bytes > GROUP_BYTES_MAX || self.effects.len() > GROUP_EFFECTS_MAX;
        if self.records.is_empty() || is_urgent || is_full { self.flush() } else { Ok(()) }
    }

    /// Makes the gathered records durable, then carries out the gathered effects.
    fn flush(&mut self) -> Result<(), Failure> {
        self.write_records()?;
        let mut committed = Vec::new();
        let mut signed = Vec::new();
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                Effect::Sign { epoch, context, index, claim } => {
                    let vote = self.runner.gate.sign(&Asked { epoch, context, index, claim })?;
                    count(&self.links.counters.votes_signed, 1);
                    signed.push(Item::Event(Box::new(Event::Signed { epoch, vote })));
                }
                Effect::Committed(block) => committed.push(block),
                Effect::Halt(fault) => return Err(Failure::Halted(Box::new(fault))),
                other => self.carry_out(other),
            }
        }
        for item in signed.into_iter().rev() {
            self.ready.push_front(item);
        }
        self.publish(committed);
        Ok(())
    }

    fn write_records(&mut self) -> Result<(), Failure> {
        if self.encoded.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let bytes = self.runner.journal.append(&self.encoded).map_err(journal_failure)?;
        let counters = &self.links.counters;
        count(&counters.journal_syncs, 1);
        count_bytes(&counters.journal_bytes, bytes);
        count(&counters.journal_micros, u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        for record in self.records.drain(..) {
            self.runner.gate.record(&record);
        }
        self.encoded.clear();
        self.encoded_bytes = 0;
        Ok(())
    }

    /// The effects that touch only other parts of the node.
    fn carry_out(&mut self, effect: Effect) {
        let Links { network, pool, inbox, counters, .. } = &self.links;
        match effect {
            Effect::Send { to, message } => network.send(to, codec::encode(&*message)),
            Effect::Gossip(bundle) => network.publish(codec::encode(&PeerMessage::Bundle((*bundle).clone()))),
            Effect::Check { ticket, checks } => pool.check(ticket, checks),
            Effect::Ask { request, to, question } => {
                if !network.ask(request, to, codec::encode(&question)) {
                    let event = Box::new(Event::Answered { request, from: to, answer: None });
                    // The replica's own deadline would do as well.
                    let _ = inbox.push(Lane::Own, Parcel { item: Item::Event(event), bytes: 0, from: None });
                }
            }
            Effect::Answer { token, answer } => network.answer(token, codec::encode(&*answer)),
            Effect::Arm { timer, after_ms } => {
                self.runner.timers.arm(timer, Instant::now(), Duration::from_millis(after_ms));
            }
            Effect::Reply { ticket, outcome } => {
                if let Some(reply) = self.replies.remove(&ticket) {
                    reply.send(outcome.map_err(SubmitError::Refused));
                }
            }
            Effect::Evidence(evidence) => {
                count(&counters.evidence, 1);
                tracing::error!(?evidence, "a validator broke the rules");
            }
            Effect::Ban { peer, reason } => network.ban(peer, reason),
            Effect::Admit(validators) => network.admit(validators),
            // These three are carried out by the caller.
            Effect::Sign { .. } | Effect::Committed(_) | Effect::Halt(_) => {}
        }
    }

    /// First the head, then the blocks: whoever is told of a block finds it.
    fn publish(&mut self, committed: Vec<Arc<quorate_replica::Committed>>) {
        if committed.is_empty() {
            return;
        }
        let head = Arc::new(self.runner.head());
        let publisher = &self.links.publisher;
        publisher.head.send_replace(head);
        count_bytes(&self.links.counters.blocks_committed, committed.len());
        for block in committed {
            // An error means that nobody listens.
            let _ = publisher.committed.send(block);
        }
        self.has_committed = true;
        self.publish_status(STATUS_INTERVAL);
    }

    fn publish_status(&mut self, age: Duration) {
        if self.status_published.elapsed() >= age {
            self.links.publisher.status.send_replace(Arc::new(self.runner.status()));
            self.status_published = Instant::now();
        }
    }

    /// Housekeeping must not wait for a quiet moment that a loaded node may not have.
    fn housekeep_between(&mut self) -> Result<(), Failure> {
        if self.effects.is_empty() && self.records.is_empty() { self.housekeep() } else { Ok(()) }
    }

    /// What is done when everything is carried out.
    fn housekeep(&mut self) -> Result<(), Failure> {
        self.publish_status(STATUS_INTERVAL);
        if self.has_committed && self.ledger_synced.elapsed() >= LEDGER_SYNC_INTERVAL {
            self.sync_ledger()?;
        }
        if self.runner.journal.growth_bytes() >= SEGMENT_BYTES { self.replace_log() } else { Ok(()) }
    }

    fn sync_ledger(&mut self) -> Result<(), Failure> {
        let synced = self.runner.replica.ledger().sync();
        synced.map_err(|error| Failure::Storage(Arc::new(error)))?;
        count(&self.links.counters.ledger_syncs, 1);
        self.has_committed = false;
        self.ledger_synced = Instant::now();
        Ok(())
    }

    /// Begins a new file of the vote log with what is still needed; the replica syncs the ledger first.
    fn replace_log(&mut self) -> Result<(), Failure> {
        let records = self.runner.replica.checkpoint().map_err(|fault| Failure::Halted(Box::new(fault)))?;
        let encoded: Vec<Vec<u8>> = records.iter().map(LogRecord::encode).collect();
        let bytes = self.runner.journal.replace(&encoded).map_err(journal_failure)?;
        tracing::info!(bytes, records = records.len(), "vote log replaced");
        self.runner.gate.reset();
        records.iter().for_each(|record| self.runner.gate.record(record));
        Ok(())
    }
}

fn journal_failure(error: VoteLogError) -> Failure {
    Failure::Journal(Arc::new(error.into()))
}
