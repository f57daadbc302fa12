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
use quorate_replica::Committed;
use quorate_rpc::{ErrorKind, ErrorObject};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::coverage::Marks;
use crate::founding::Founding;
use crate::node::Asker;
use crate::options::{ClientOptions, Options};
use crate::random::{Dice, Stream};
use crate::signatures::Presigned;
use crate::time::{BEGIN_MS, Moment};

pub(crate) use workload::{Order, nonce, unsigned};

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
    /// Who gets the answer.
    pub asker: Asker,
    /// The transaction.
    pub transaction: Verified<SignedTransaction>,
}

/// What a client does after it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It waits, or has no more to do.
    Rest,
    /// It asks the same node how the transaction stands.
    Look,
    /// It complains: no honest node says this.
    Complain,
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
    /// When each client asks for something new.
    next_ask: Vec<Moment>,
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
        let clients = options.clients;
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
            next_ask: vec![Moment::ZERO; clients],
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

    /// When a client acts next: to ask for something new, or to see what became of what it asked for.
    pub fn next_wake(&mut self, client: usize, now: Moment) -> Moment {
        let mean = self.options.interval_mean_ms.max(1).saturating_mul(1_000);
        let Some(next) = self.next_ask.get_mut(client) else { return Moment::MAX };
        if *next <= now {
            *next = now.after_micros(self.dice.exponential(mean).max(100));
        }
        (*next).min(now.after_ms(self.options.patience_ms.max(1)))
    }

    /// New requests of a client, as they are handed to nodes.
    pub fn ask(&mut self, client: usize, now: Moment, marks: &mut Marks) -> Vec<Submission> {
        let mut submissions = Vec::new();
        let is_due = self.next_ask.get(client).is_some_and(|next| *next <= now);
        if !is_due || !self.is_active || self.open_of(client) >= self.options.open_max {
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

    /// A node, and not the one that did not answer, if there is another.
    fn other_node(&mut self, last: Option<usize>) -> usize {
        let node = self.any_node();
        if Some(node) != last {
            return node;
        }
        let position = self.nodes.iter().position(|known| *known == node).unwrap_or_default();
        let next = position.saturating_add(1).checked_rem(self.nodes.len()).unwrap_or_default();
        self.nodes.get(next).copied().unwrap_or(node)
    }

    /// For how long a client waits for a node, in ms.
    #[must_use]
    pub fn patience_ms(&self) -> u64 {
        self.options.patience_ms
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
            let last = self.requests.get(number).map(|request| request.node);
            let node = self.other_node(last);
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

    /// A node took a transaction, or has it already.
    pub fn admitted(&mut self, number: usize) {
        if let Some(request) = self.requests.get_mut(number) {
            request.is_admitted = true;
        }
    }

    /// A node did not take a transaction.
    pub fn refused(&mut self, number: usize, error: &ErrorObject, now: Moment) -> Then {
        let Some(request) = self.requests.get_mut(number) else { return Then::Rest };
        let (is_open, is_new) = (request.state == State::Open, request.tried == 1 && !request.is_admitted);
        match error.kind() {
            Some(ErrorKind::AlreadyKnown) => return Then::Look,
            // No node will ever take it.
            Some(ErrorKind::WrongChain | ErrorKind::TooFarAhead) if is_open => {
                self.close(number, State::Refused, now);
            }
            Some(ErrorKind::Expired | ErrorKind::Refused(_)) if is_open && is_new => {
                self.close(number, State::Refused, now);
            }
            Some(ErrorKind::MempoolFull | ErrorKind::SenderFull | ErrorKind::Busy) => {
                let after = error.data.as_ref().and_then(|data| data.retry_after_ms);
                let Some(after) = after else { return Then::Complain };
                request.deadline = now.after_ms(after.0);
            }
            Some(
                ErrorKind::WrongChain
                | ErrorKind::TooFarAhead
                | ErrorKind::Expired
                | ErrorKind::Refused(_)
                | ErrorKind::NotReady,
            ) => {}
            Some(_) | None => return Then::Complain,
        }
        Then::Rest
    }

    /// A node said that the transaction of a request is final.
    pub fn ended(&mut self, number: usize, height: Height, now: Moment) {
        if self.requests.get(number).is_some_and(|request| request.state == State::Open) {
            self.close(number, State::Final(height), now);
        }
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

    /// The first open request in words.
    #[must_use]
    pub fn describe_open(&self) -> String {
        let first = self.open.first().and_then(|number| self.requests.get(*number));
        first.map_or_else(String::new, |request| {
            format!(
                "first {} of client {}, valid until {}, tried {} times, {}, listens to node {}, next at {}",
                request.transaction.id(),
                request.client,
                request.transaction.transaction().valid_until.get().saturating_sub(BEGIN_MS),
                request.tried,
                if request.is_admitted { "admitted" } else { "never admitted" },
                request.node,
                request.deadline,
            )
        })
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

/// Of the requests, one in so many waits for its end in the call itself.
const WAITERS: usize = 8;

fn submission(number: usize, node: usize, transaction: &Verified<SignedTransaction>) -> Submission {
    let waits = number.is_multiple_of(WAITERS);
    let asker = if waits { Asker::Waiter(number) } else { Asker::Submitter(number) };
    Submission { node, asker, transaction: transaction.clone() }
}

/// A payment that nobody asks for: it is out of time before the chain begins.
#[must_use]
pub fn specimen(founding: &Founding) -> SignedTransaction {
    workload::specimen(founding)
}
