//! Clients: they ask, repeat themselves to other nodes when nobody answers, and remember what they were
//! told.
//!
//! A request is *open* until its client was told that it is final, or knows for certain that it never will
//! be. A client that heard nothing for a while asks another node, first whether the ledger has its
//! transaction, and otherwise hands the very same transaction in again: that it takes effect at most once is
//! for the ledger to see to.
mod workload;

use quorate_primitives::signed::Verified;
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{Hash, Height, Timestamp};
use quorate_replica::{Admitted, Committed, Refusal};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::coverage::Marks;
use crate::founding::Founding;
use crate::options::{ClientOptions, Options};
use crate::random::{Dice, Stream};
use crate::signatures::Presigned;
use crate::time::{BEGIN_MS, Moment};

use workload::{Order, nonce};

/// Final transactions that may be handed in again.
const REMEMBERED_MAX: usize = 64;

/// How a request ended, or that it did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody said how it ends.
    Open,
    /// In the block of this height.
    Final(Height),
    /// Not taken by any node.
    Refused,
    /// Its time is over, and the ledger does not have it.
    Expired,
}

/// What a client asked for.
pub struct Request {
    /// Whose it is.
    pub client: usize,
    /// The transaction.
    pub transaction: Verified<SignedTransaction>,
    /// When it was handed in first.
    pub begun: Moment,
    /// The node that is listened to.
    pub node: usize,
    /// When another node is asked.
    pub deadline: Moment,
    /// How often it was handed in.
    pub tried: u32,
    /// Whether some node took it.
    pub is_admitted: bool,
    /// How it ended.
    pub state: State,
}

/// A transaction that is handed to a node.
pub struct Submission {
    /// To which node.
    pub node: usize,
    /// Comes back with the reply.
    pub ticket: u64,
    /// The transaction.
    pub transaction: Verified<SignedTransaction>,
}

/// All clients.
pub struct Clients {
    options: ClientOptions,
    founding: Rc<Founding>,
    presigned: Rc<Presigned>,
    dice: Dice,
    requests: Vec<Request>,
    open: BTreeSet<usize>,
    by_transaction: BTreeMap<Hash, usize>,
    /// Number of the next payment of each payer.
    numbers: Vec<u64>,
    done: Vec<usize>,
    latencies: Vec<u64>,
    /// Nodes that are asked.
    nodes: Vec<usize>,
    /// Whether anything new is asked for.
    pub is_active: bool,
}

impl Clients {
    /// Clients that asked for nothing yet.
    #[must_use]
    pub fn new(options: &Options, founding: Rc<Founding>, presigned: Rc<Presigned>) -> Self {
        let numbers = vec![0; founding.payers.len()];
        let (seed, nodes) = (options.seed, options.validators.saturating_add(options.observers));
        let options = options.clients.clone();
        Self {
            options,
            founding,
            presigned,
            dice: Dice::new(seed, Stream::Clients),
            requests: Vec::new(),
            open: BTreeSet::new(),
            by_transaction: BTreeMap::new(),
            numbers,
            done: Vec::new(),
            latencies: Vec::new(),
            nodes: (0..nodes).collect(),
            is_active: true,
        }
    }

    /// From now on only these nodes are asked.
    pub fn listen_to(&mut self, nodes: &[usize]) {
        self.nodes = nodes.to_vec();
    }

    /// Number of clients.
    #[must_use]
    pub fn count(&self) -> usize {
        self.options.clients
    }

    /// When a client acts next.
    pub fn next_wake(&mut self, now: Moment) -> Moment {
        let mean = self.options.interval_mean_ms.max(1).saturating_mul(1_000);
        now.after_micros(self.dice.exponential(mean).max(100))
    }

    /// New requests of a client, as they are handed to nodes.
    pub fn ask(&mut self, client: usize, now: Moment, marks: &mut Marks) -> Vec<Submission> {
        let mut submissions = Vec::new();
        if !self.is_active || self.open_of(client) >= self.options.open_max {
            return submissions;
        }
        for _ in 0..self.dice.between(1, self.options.burst_max.max(1)) {
            if self.dice.chance(self.options.replay_permille) {
                submissions.extend(self.replay(marks));
                continue;
            }
            let Some(transaction) = self.make(now, marks) else { continue };
            let node = self.any_node();
            let number = self.requests.len();
            self.by_transaction.insert(transaction.id(), number);
            self.open.insert(number);
            self.requests.push(Request {
                client,
                transaction: transaction.clone(),
                begun: now,
                node,
                deadline: now.after_ms(self.options.patience_ms),
                tried: 1,
                is_admitted: false,
                state: State::Open,
            });
            submissions.push(submission(number, node, &transaction));
            if self.dice.chance(self.options.ambiguous_permille) {
                marks.hit("client asks two nodes");
                let other = self.any_node();
                submissions.push(submission(number, other, &transaction));
            }
        }
        submissions
    }

    fn any_node(&mut self) -> usize {
        self.dice.pick(&self.nodes).copied().unwrap_or_default()
    }

    fn open_of(&self, client: usize) -> usize {
        self.open
            .iter()
            .filter(|number| self.requests.get(**number).is_some_and(|one| one.client == client))
            .count()
    }

    fn make(&mut self, now: Moment, marks: &mut Marks) -> Option<Verified<SignedTransaction>> {
        let payer =
            if self.dice.chance(self.options.hot_permille) { 0 } else { self.dice.index(self.numbers.len()) };
        let number = self.numbers.get_mut(payer)?;
        *number = number.saturating_add(1);
        let order = Order { payer, nonce: nonce(*number), valid_until: self.valid_until(now) };
        let time = Timestamp::new(BEGIN_MS.saturating_add(now.ms()));
        let named = if self.dice.chance(self.options.wrong_permille) {
            workload::wrong(&self.founding, &order, time, &mut self.dice)
        } else if self.dice.chance(self.options.variety_permille) {
            workload::variety(&self.founding, &order, &mut self.dice)
        } else {
            workload::payment(&self.founding, &self.presigned, &order, &mut self.dice)
                .map(|paid| ("asked transfer", paid))
        };
        let (name, transaction) = named?;
        marks.hit(name);
        (!self.by_transaction.contains_key(&transaction.id())).then_some(transaction)
    }

    /// Rounded, so that the payments of many runs are the same.
    fn valid_until(&self, now: Moment) -> Timestamp {
        let validity = self.options.validity_ms.max(1);
        let whole = now.ms() / validity;
        Timestamp::new(BEGIN_MS.saturating_add(whole.saturating_add(2).saturating_mul(validity)))
    }

    fn replay(&mut self, marks: &mut Marks) -> Option<Submission> {
        let number = *self.dice.pick(&self.done)?;
        marks.hit("client repeats a final transaction");
        let node = self.any_node();
        self.requests.get(number).map(|request| submission(number, node, &request.transaction))
    }

    /// Open requests of a client that heard nothing for too long, with the node that is asked now.
    pub fn impatient(&mut self, client: usize, now: Moment) -> Vec<(usize, usize)> {
        let overdue = |number: &usize| {
            self.requests.get(*number).is_some_and(|one| one.client == client && one.deadline <= now)
        };
        let numbers: Vec<usize> = self.open.iter().copied().filter(overdue).collect();
        let mut asked = Vec::new();
        for number in numbers {
            let node = self.any_node();
            if let Some(request) = self.requests.get_mut(number) {
                request.node = node;
                request.deadline = now.after_ms(self.options.patience_ms);
                asked.push((number, node));
            }
        }
        asked
    }

    /// Hands an open request in again, at the node that is listened to now.
    pub fn again(&mut self, number: usize) -> Option<Submission> {
        let request = self.requests.get_mut(number)?;
        request.tried = request.tried.saturating_add(1);
        Some(submission(number, request.node, &request.transaction))
    }

    /// A request.
    #[must_use]
    pub fn request(&self, number: usize) -> Option<&Request> {
        self.requests.get(number)
    }

    /// A node replied to a submission. The height, if it said that the transaction is final.
    pub fn replied(
        &mut self,
        ticket: u64,
        outcome: &Result<Admitted, Refusal>,
        now: Moment,
    ) -> Option<(Hash, Height)> {
        let number = usize::try_from(ticket).ok()?;
        let request = self.requests.get_mut(number).filter(|request| request.state == State::Open)?;
        match outcome {
            Ok(Admitted::AlreadyCommitted { height }) => {
                let id = request.transaction.id();
                self.close(number, State::Final(*height), now);
                return Some((id, *height));
            }
            Ok(Admitted::Pending | Admitted::AlreadyPending) => request.is_admitted = true,
            Err(Refusal::Ledger(_)) if request.tried == 1 && !request.is_admitted => {
                self.close(number, State::Refused, now);
            }
            Err(Refusal::Full { retry_after_ms } | Refusal::SenderFull { retry_after_ms, .. }) => {
                request.deadline = now.after_ms(*retry_after_ms);
            }
            Err(Refusal::Ledger(_) | Refusal::Stopped) => {}
        }
        None
    }

    /// A node told a block to be final. Returns what clients that listen to it learn from that.
    pub fn committed(&mut self, node: usize, committed: &Committed, now: Moment) -> Vec<(Hash, Height)> {
        let height = committed.executed.height();
        let mut told = Vec::new();
        for receipt in committed.executed.receipts() {
            let Some(number) = self.by_transaction.get(&receipt.transaction).copied() else { continue };
            let listens =
                self.requests.get(number).is_some_and(|one| one.node == node && one.state == State::Open);
            if listens {
                self.close(number, State::Final(height), now);
                told.push((receipt.transaction, height));
            }
        }
        told
    }

    /// A request has ended.
    pub fn close(&mut self, number: usize, state: State, now: Moment) {
        let Some(request) = self.requests.get_mut(number) else { return };
        request.state = state;
        self.open.remove(&number);
        if let State::Final(_) = state {
            self.latencies.push(now.since(request.begun));
            if self.done.len() >= REMEMBERED_MAX {
                self.done.remove(0);
            }
            self.done.push(number);
        }
    }

    /// Number of open requests.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Numbers of the open requests, ascending.
    #[must_use]
    pub fn open_requests(&self) -> Vec<usize> {
        self.open.iter().copied().collect()
    }

    /// Number of requests.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.requests.len()
    }

    /// All requests that were told to be final, with their heights.
    pub fn finals(&self) -> impl Iterator<Item = (Hash, Height)> {
        self.requests.iter().filter_map(|request| match request.state {
            State::Final(height) => Some((request.transaction.id(), height)),
            State::Open | State::Refused | State::Expired => None,
        })
    }

    /// Time from the first submission to the news that it is final, in microseconds, ascending.
    #[must_use]
    pub fn latencies(&self) -> Vec<u64> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        sorted
    }
}

fn submission(number: usize, node: usize, transaction: &Verified<SignedTransaction>) -> Submission {
    let ticket = u64::try_from(number).unwrap_or(u64::MAX);
    Submission { node, ticket, transaction: transaction.clone() }
}
