//! One simulated node: a real replica, and a driver that keeps the laws of [`quorate_replica`].
//!
//! This file and those below it are the only ones that know how a replica is driven. The driver here does
//! what the one of a real node does, in the same order: votes that were just signed and timers that are due
//! come first and take turns, then what waits in the inbox; the records of several steps may share one sync, and no
//! effect of a step is carried out before its records are on the disk.
mod api;
mod drive;
mod effects;
mod filtered;
mod gate;
mod labour;

use quorate_ledger::store::{Memory, StoreError};
use quorate_ledger::{Ledger, ledger::OpenError};
use quorate_primitives::certificate::Vote;
use quorate_primitives::codec;
use quorate_primitives::{EpochNumber, Height, PublicKey, SecretKey, Timestamp};
use quorate_replica::record::RECORD_BYTES_MAX;
use quorate_replica::vote_log::{Identity, VoteLog, VoteLogError};
use quorate_replica::{Effect, Event, LogRecord, Replica, Status, Timer};
use quorate_service::Identity as Served;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use crate::disk::Disk;
use crate::environment::{Down, Environment};
use crate::founding::settings;
use crate::mount::Mount;
use crate::puppet::{Filter, Puppet};
use crate::time::{BEGIN_MS, Clock, Moment};
use crate::trace::What;

pub use api::Asker;

use api::Api;
use gate::Gate;
use labour::Labour;

/// Most events that wait for a replica; of more, the newcomers are dropped, as by a real node.
const INBOX_MAX: usize = 4_096;

/// One node.
pub struct Node {
    /// Its number: validators first, then observers, then second copies of validators.
    pub id: usize,
    /// Its key.
    pub key: PublicKey,
    secret: Rc<SecretKey>,
    /// Whether it votes.
    pub is_validator: bool,
    /// Files of the vote log and of its marker.
    pub disk: Mount,
    /// The ledger's tables.
    pub store: Arc<Memory>,
    /// What it shows the time by.
    pub clock: Clock,
    /// Highest block that it told to be final and may not forget.
    pub told: Height,
    /// Who may connect to it as a validator, as it was told last.
    pub admitted: Vec<PublicKey>,
    /// Stands still: takes nothing in and does nothing.
    pub is_paused: bool,
    /// Something was done to it after which it may stop by itself.
    pub is_excused: bool,
    /// Effects until it ends in the midst of carrying them out.
    pub effects_left: Option<u64>,
    /// What runs in place of a replica.
    pub puppet: Option<Box<dyn Puppet>>,
    /// What changes the messages of a real replica.
    pub filter: Option<Box<dyn Filter>>,
    /// What its interface says of it, once it has run.
    served: Option<Arc<Served>>,
    running: Option<Box<Running>>,
    labour: Labour,
}

/// A replica in memory, and what its driver holds.
struct Running {
    replica: Replica,
    log: Option<VoteLog<Mount>>,
    gate: Gate,
    timers: BTreeMap<Timer, u64>,
    due: VecDeque<Timer>,
    /// A signed vote came last, so a timer that is due comes next.
    due_first: bool,
    signed: VecDeque<(EpochNumber, Vote)>,
    inbox: VecDeque<Event>,
    /// Records that are not durable yet, with their encodings, and the effects that wait for them.
    records: Vec<LogRecord>,
    encoded: Vec<Vec<u8>>,
    effects: VecDeque<Effect>,
    /// The disk is at work.
    is_writing: bool,
    /// The thread is at work, for as long as the options say that it takes.
    is_working: bool,
    /// What was gathered cannot wait for more.
    is_urgent: bool,
    /// Nobody was heard of yet in this life.
    is_restoring: bool,
    has_committed: bool,
    ledger_synced: Moment,
    /// Who asked what will be answered: node, life, and the asker's number.
    asked: BTreeMap<u64, (usize, u64, u64)>,
    api: Api,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The ledger refuses what is on the disk.
    #[error("ledger: {0}")]
    Ledger(OpenError),
    /// The disk of the ledger fails, which says nothing about what is on it.
    #[error("storage: {0}")]
    Storage(StoreError),
    /// The vote log refuses what is on the disk.
    #[error("vote log: {0}")]
    Log(VoteLogError),
    /// The replica refuses the ledger.
    #[error("replica: {0}")]
    Replica(quorate_replica::Fault),
}

impl Node {
    /// A node that was never started.
    #[must_use]
    pub fn new(id: usize, secret: Rc<SecretKey>, is_validator: bool, history: usize) -> Self {
        Self {
            id,
            key: secret.public_key(),
            secret,
            is_validator,
            disk: Mount::new(Disk::new()),
            store: Arc::new(Memory::with_history(history)),
            clock: Clock::right(),
            told: Height::ZERO,
            admitted: Vec::new(),
            is_paused: false,
            is_excused: false,
            effects_left: None,
            puppet: None,
            filter: None,
            served: None,
            running: None,
            labour: Labour::default(),
        }
    }

    /// Whether a replica or a puppet runs here.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.running.is_some() || self.puppet.is_some()
    }

    /// The replica, while it runs.
    #[must_use]
    pub fn replica(&self) -> Option<&Replica> {
        self.running.as_ref().map(|running| &running.replica)
    }

    /// Height of the last committed block, while it runs.
    #[must_use]
    pub fn height(&self) -> Option<Height> {
        self.replica().map(|replica| replica.ledger().head().height())
    }

    /// The replica's account of itself, while it runs.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.replica().map(Replica::status)
    }

    /// Timers that are set, or due.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.timers.len().saturating_add(running.due.len()))
    }

    /// Events that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.inbox.len())
    }

    /// Whether it has anything in hand: until then its state may be in the midst of something.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.is_writing || running.is_working || !running.due.is_empty())
    }

    /// Starts the replica from what the disks hold. Nothing happens if it runs already.
    pub fn start(&mut self, env: &mut Environment) {
        if self.is_up() {
            return;
        }
        if let Some(life) = env.lives.get_mut(self.id) {
            *life = life.saturating_add(1);
        }
        env.note(Some(self.id), What::Note("starts", 0, 0));
        match self.restore(env) {
            Ok(running) => {
                self.running = Some(Box::new(running));
                self.is_excused = false;
                self.step(env, Event::Start);
                self.drive(env);
            }
            Err(error) => self.refused(env, &error),
        }
    }

    fn restore(&mut self, env: &mut Environment) -> Result<Running, StartError> {
        let founding = Rc::clone(&env.founding);
        let store: Arc<Memory> = Arc::clone(&self.store);
        let ledger = Ledger::open(store, &founding.genesis).map_err(|error| match error {
            OpenError::Store(error) => StartError::Storage(error),
            refusal => StartError::Ledger(refusal),
        })?;
        let now = env.now;
        env.checkers.found(now, self.id, &ledger, &mut env.memo);
        let replica = Replica::new(settings(&env.options), &founding.genesis, ledger, Some(self.key));
        let mut replica = replica.map_err(StartError::Replica)?;
        let mut gate = Gate::default();
        let identity = Identity { chain: founding.chain, key: self.key };
        let after_loss = [codec::encode(&LogRecord::Quarantine)];
        let rng = env.disk_dice.rng();
        let log = VoteLog::open(self.disk.clone(), identity, &after_loss, |bytes| {
            let record: LogRecord = codec::decode(bytes, RECORD_BYTES_MAX)
                .map_err(|_| "a record is intact but unknown: written by another version")?;
            gate.record(&record);
            replica.restore(record, rng);
            Ok(())
        });
        let log = log.map_err(StartError::Log)?;
        if log.cut().is_some() {
            env.marks.hit("torn end of a vote log");
        }
        if log.lost().is_some() {
            env.marks.hit("lost vote log begun anew");
        }
        let log = Some(log);
        let api = Api::new(replica.ledger(), replica.status(), self.served(env));
        Ok(Running {
            replica,
            log,
            gate,
            timers: BTreeMap::new(),
            due: VecDeque::new(),
            due_first: false,
            signed: VecDeque::new(),
            inbox: VecDeque::new(),
            records: Vec::new(),
            encoded: Vec::new(),
            effects: VecDeque::new(),
            is_writing: false,
            is_working: false,
            is_urgent: false,
            is_restoring: true,
            has_committed: false,
            ledger_synced: env.now,
            asked: BTreeMap::new(),
            api,
        })
    }

    /// What its interface says of it.
    fn served(&mut self, env: &Environment) -> Arc<Served> {
        let served = self.served.get_or_insert_with(|| {
            Arc::new(Served {
                genesis: env.founding.genesis.clone(),
                chain: env.founding.chain,
                key: self.key,
                name: format!("node{}", self.id),
                started: Timestamp::new(BEGIN_MS),
                pool: settings(&env.options).pool,
            })
        });
        Arc::clone(served)
    }

    fn refused(&mut self, env: &mut Environment, error: &StartError) {
        if self.has_crashed(env) {
            return;
        }
        env.note(Some(self.id), What::Note("refuses to start", 0, 0));
        env.note(Some(self.id), What::Reason(error.to_string().into()));
        if self.is_excused || !env.checkers.is_honest(self.id) {
            env.marks.hit("refused to start");
        } else {
            env.violate("restart", format!("node {} does not start: {error}", self.id));
        }
        env.downs.push((self.id, Down::Stopped(error.to_string())));
    }

    /// If a planned crash has ended the machine, ends the node.
    fn has_crashed(&mut self, env: &mut Environment) -> bool {
        let is_broken = self.disk.disk().is_broken() || self.store.is_broken();
        if is_broken {
            self.running = None;
            let power = env.disk_dice.chance(env.options.disk.power_permille);
            env.downs.push((self.id, Down::Crashed { power }));
        }
        is_broken
    }

    /// The process ends by itself.
    fn stop(&mut self, env: &mut Environment, reason: String) {
        if self.has_crashed(env) {
            return;
        }
        self.running = None;
        env.note(Some(self.id), What::Note("stops", 0, 0));
        env.note(Some(self.id), What::Reason(reason.as_str().into()));
        if !self.is_excused && env.checkers.is_honest(self.id) {
            env.violate("stopped", format!("node {} stops by itself: {reason}", self.id));
        }
        env.downs.push((self.id, Down::Stopped(reason)));
    }

    /// Cuts the power, or ends the process. What the disks then hold is settled before the next start.
    pub fn kill(&mut self) {
        self.running = None;
        self.effects_left = None;
    }
}
