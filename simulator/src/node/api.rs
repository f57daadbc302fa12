//! What clients ask a simulated node: the answers of [`quorate_service`], reached through
//! [`quorate_rpc::Direct`] in the bytes that clients send, without sockets, threads or a clock.
//!
//! A call that must wait, for the replica's word on a transaction or for its block, is a future that is
//! polled again when one of these has come. As in a real node, answers are as of the newest block that the
//! node told to be final, while single blocks and transactions are read from the store, which may be ahead.
use futures::channel::oneshot;
use futures::future::{BoxFuture, FutureExt, poll_fn};
use quorate_ledger::Ledger;
use quorate_primitives::address::AccountId;
use quorate_primitives::state::{AssetId, StateKey};
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{EpochNumber, Hash, Height, PublicKey, Timestamp};
use quorate_replica::{Admitted, Committed, Event, Refusal, Status, Submission};
use quorate_rpc::backend::{Answer, Backend, BlockAt, Bodies, EventStream, Proofs, Waited};
use quorate_rpc::json::{self, Cursor};
use quorate_rpc::{ApiError, Direct, ErrorKind, Limits};
use quorate_service::{Connection, Identity, Snapshot, submission};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use super::{INBOX_MAX, Node};
use crate::environment::Environment;
use crate::time::Moment;

/// When to try again at a node whose inbox is full, in ms.
const RETRY_MS: u64 = 500;

/// Who gets an answer that does not come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The client with this request, who submitted its transaction.
    Submitter(usize),
    /// The client with this request, who submitted its transaction and waits for the end.
    Waiter(usize),
    /// Nobody.
    Nobody,
}

impl Asker {
    /// Stands for it in the trace.
    #[must_use]
    pub fn word(self) -> u64 {
        match self {
            Self::Submitter(number) | Self::Waiter(number) => u64::try_from(number).unwrap_or(u64::MAX),
            Self::Nobody => u64::MAX,
        }
    }
}

/// A transaction on its way to the replica.
struct Taken {
    transaction: SignedTransaction,
    reply: oneshot::Sender<Answer<()>>,
}

/// What the node knows now, as far as clients may ask for it.
struct Known {
    snapshot: Snapshot,
    status: Status,
    peers: Vec<PublicKey>,
    /// When each transaction expires that was taken here and is in no block yet.
    pending: BTreeMap<Hash, Timestamp>,
    taken: Vec<Taken>,
    now: Moment,
}

/// A node as the interface sees it.
struct Desk(Mutex<Known>);

/// A call that has no answer yet.
struct Call {
    asker: Asker,
    answer: BoxFuture<'static, Vec<u8>>,
}

/// A transaction that the replica was asked to take.
struct Ticket {
    call: u64,
    id: Hash,
    valid_until: Timestamp,
    reply: oneshot::Sender<Answer<()>>,
}

/// The interface of a running node, and the calls that are open.
pub(super) struct Api {
    desk: Arc<Desk>,
    direct: Direct<Desk>,
    identity: Arc<Identity>,
    calls: BTreeMap<u64, Call>,
    tickets: BTreeMap<u64, Ticket>,
    /// Requests that came while nothing was taken in.
    queue: VecDeque<(Asker, Vec<u8>)>,
    /// Number of the next call, and of the next ticket.
    next: u64,
}

fn snapshot(ledger: &Ledger, identity: &Arc<Identity>) -> Snapshot {
    Snapshot::new(ledger.head().clone(), ledger.certified(), ledger.reader(), Arc::clone(identity))
}

impl Api {
    /// The interface of a node that has just begun to run.
    pub(super) fn new(ledger: &Ledger, status: Status, identity: Arc<Identity>) -> Self {
        let known = Known {
            snapshot: snapshot(ledger, &identity),
            status,
            peers: Vec::new(),
            pending: BTreeMap::new(),
            taken: Vec::new(),
            now: Moment::ZERO,
        };
        let desk = Arc::new(Desk(Mutex::new(known)));
        Self {
            direct: Direct::new(Arc::clone(&desk), Limits::default()),
            desk,
            identity,
            calls: BTreeMap::new(),
            tickets: BTreeMap::new(),
            queue: VecDeque::new(),
            next: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.next = self.next.saturating_add(1);
        self.next
    }

    /// Blocks are told to be final.
    fn publish(&mut self, ledger: &Ledger, committed: &Committed) {
        let mut known = self.desk.known();
        known.snapshot = snapshot(ledger, &self.identity);
        for receipt in committed.executed.receipts() {
            known.pending.remove(&receipt.transaction);
        }
        let time = committed.executed.time();
        known.pending.retain(|_, expires| *expires >= time);
    }
}

impl Node {
    /// Hands the bytes of a request to the node. The answer, if it is there at once; one that comes later
    /// is put among the [answers](Environment::answers). A node that is down never answers, one that stands
    /// still does when it goes on.
    pub fn call(&mut self, env: &mut Environment, asker: Asker, request: Vec<u8>) -> Option<Vec<u8>> {
        let is_paused = self.is_paused;
        let running = self.running.as_mut()?;
        if is_paused || running.is_restoring {
            if running.api.queue.len() < INBOX_MAX {
                running.api.queue.push_back((asker, request));
            }
            return None;
        }
        let answer = self.begin_call(env, asker, request);
        if self.running.as_ref().is_some_and(|running| !running.inbox.is_empty()) {
            self.drive(env);
        }
        answer
    }

    /// Takes up what clients asked while the node stood still.
    pub(super) fn take_calls(&mut self, env: &mut Environment) {
        while let Some((asker, request)) =
            self.running.as_mut().and_then(|running| running.api.queue.pop_front())
        {
            if let Some(answer) = self.begin_call(env, asker, request) {
                env.answers.push((self.id, asker, answer));
            }
        }
    }

    fn begin_call(&mut self, env: &mut Environment, asker: Asker, request: Vec<u8>) -> Option<Vec<u8>> {
        let peers = (0..env.keys.len()).filter(|peer| env.network.is_open(self.id, *peer));
        let peers: Vec<PublicKey> = peers.filter_map(|peer| env.keys.get(peer).copied()).collect();
        let running = self.running.as_mut()?;
        let status = running.replica.status();
        let mut known = running.api.desk.known();
        (known.status, known.peers, known.now) = (status, peers, env.now);
        drop(known);
        let (number, direct) = (running.api.number(), running.api.direct.clone());
        let answer = async move { direct.answer(request).await }.boxed();
        running.api.calls.insert(number, Call { asker, answer });
        self.poll_call(env, number)
    }

    /// Goes on with a call as far as it goes now.
    fn poll_call(&mut self, env: &mut Environment, number: u64) -> Option<Vec<u8>> {
        let running = self.running.as_mut()?;
        let call = running.api.calls.get_mut(&number)?;
        let polled = catch_unwind(AssertUnwindSafe(|| (&mut call.answer).now_or_never()));
        let answer = match polled {
            Ok(None) => {
                let is_answered = self.take_transactions(env, number);
                return if is_answered { self.poll_call(env, number) } else { None };
            }
            Ok(Some(answer)) => Some(answer),
            Err(_) => {
                env.violate("panics", format!("a request panics at node {}", self.id));
                None
            }
        };
        running.api.calls.remove(&number);
        // Nobody takes the word of a node that may lie, nor of a machine that has just ended.
        answer.filter(|_| env.checkers.is_honest(self.id) && !self.store.is_broken())
    }

    /// Proves the signatures of the transactions that a call has handed in, and passes them on. Whether one
    /// was refused at once.
    fn take_transactions(&mut self, env: &mut Environment, call: u64) -> bool {
        let Some(running) = self.running.as_mut() else { return false };
        let taken = std::mem::take(&mut running.api.desk.known().taken);
        let mut is_answered = false;
        for Taken { transaction, reply } in taken {
            let (id, valid_until) = (transaction.id(), transaction.transaction().valid_until);
            let refused: ApiError = match env.memo.transaction(transaction) {
                None => ErrorKind::BadSignature.into(),
                Some(_) if running.inbox.len() >= INBOX_MAX => {
                    env.marks.hit("inbox full");
                    ApiError::from(ErrorKind::Busy).retry_after(RETRY_MS)
                }
                Some(transaction) => {
                    let ticket = running.api.number();
                    running.inbox.push_back(Event::Submitted(vec![Submission { ticket, transaction }]));
                    running.api.tickets.insert(ticket, Ticket { call, id, valid_until, reply });
                    continue;
                }
            };
            is_answered = true;
            // Whoever gave up no longer listens.
            let _ = reply.send(Err(refused));
        }
        is_answered
    }

    fn end_call(&mut self, env: &mut Environment, number: u64) {
        let Some(running) = self.running.as_ref() else { return };
        let Some(asker) = running.api.calls.get(&number).map(|call| call.asker) else { return };
        if let Some(answer) = self.poll_call(env, number) {
            env.answers.push((self.id, asker, answer));
        }
    }

    /// The replica has said what became of a transaction.
    pub(super) fn replied(&mut self, env: &mut Environment, ticket: u64, outcome: Result<Admitted, Refusal>) {
        let Some(running) = self.running.as_mut() else { return };
        let Some(Ticket { call, id, valid_until, reply }) = running.api.tickets.remove(&ticket) else {
            return;
        };
        if matches!(outcome, Ok(Admitted::Pending | Admitted::AlreadyPending)) {
            running.api.desk.known().pending.insert(id, valid_until);
        }
        let answer = outcome.map_err(|refusal| submission::refused(&refusal)).and_then(submission::admitted);
        let _ = reply.send(answer);
        self.end_call(env, call);
    }

    /// A block is told to be final.
    pub(super) fn publish(&mut self, env: &mut Environment, committed: &Committed) {
        if let Some(running) = self.running.as_mut() {
            running.api.publish(running.replica.ledger(), committed);
            self.poll_calls(env);
        }
    }

    /// Goes on with all calls that are open: a block was told, or time has passed.
    pub fn poll_calls(&mut self, env: &mut Environment) {
        let Some(running) = self.running.as_mut().filter(|_| !self.is_paused) else { return };
        if running.api.calls.is_empty() {
            return;
        }
        running.api.desk.known().now = env.now;
        for number in running.api.calls.keys().copied().collect::<Vec<_>>() {
            self.end_call(env, number);
        }
    }

    /// The newest height that clients are told of, while it runs.
    #[must_use]
    pub fn published(&self) -> Option<(Height, Option<Height>)> {
        let running = self.running.as_ref()?;
        let known = running.api.desk.known();
        Some((known.snapshot.height(), known.snapshot.certified_height()))
    }
}

impl Desk {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> Snapshot {
        self.known().snapshot.clone()
    }

    fn pending(&self, id: &Hash) -> Option<Timestamp> {
        self.known().pending.get(id).copied()
    }
}

impl Backend for Desk {
    fn height(&self) -> Height {
        self.known().snapshot.height()
    }

    async fn chain_info(&self) -> Answer<json::ChainInfo> {
        self.snapshot().chain_info()
    }

    async fn head(&self) -> Answer<json::Head> {
        self.snapshot().head()
    }

    async fn block(&self, at: BlockAt, bodies: Bodies) -> Answer<json::Block> {
        self.snapshot().block(at, bodies)
    }

    async fn header(&self, at: BlockAt) -> Answer<json::HeaderAnswer> {
        self.snapshot().header(at)
    }

    async fn finality(&self, height: Option<Height>) -> Answer<json::FinalityAnswer> {
        self.snapshot().finality(height)
    }

    async fn epochs(&self, from: EpochNumber, limit: u32) -> Answer<json::EpochsAnswer> {
        self.snapshot().epochs(from, limit)
    }

    async fn validators(&self, epoch: Option<EpochNumber>) -> Answer<json::ValidatorsAnswer> {
        self.snapshot().validators(epoch)
    }

    async fn evidence(&self, proofs: Proofs) -> Answer<json::EvidenceAnswer> {
        self.snapshot().evidence(proofs)
    }

    async fn submit(&self, transactions: Vec<SignedTransaction>) -> Vec<Answer<()>> {
        let hand_in = |transaction| {
            let (reply, answer) = oneshot::channel();
            self.known().taken.push(Taken { transaction, reply });
            answer
        };
        let waiting: Vec<oneshot::Receiver<Answer<()>>> = transactions.into_iter().map(hand_in).collect();
        let mut answers = Vec::with_capacity(waiting.len());
        for answer in waiting {
            let stopping = |_| Err(ApiError::new(ErrorKind::NotReady, "the node is stopping"));
            answers.push(answer.await.unwrap_or_else(stopping));
        }
        answers
    }

    async fn wait(&self, id: Hash, valid_until: Timestamp, limit: Duration) -> Waited {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let deadline = self.known().now.after_ms(limit_ms);
        let look = |_: &mut std::task::Context<'_>| {
            let known = self.known();
            match known.snapshot.waited(&id, valid_until) {
                Ok(Some(waited)) => Poll::Ready(waited),
                Ok(None) if known.now < deadline => Poll::Pending,
                Ok(None) | Err(_) => Poll::Ready(Waited::TimedOut),
            }
        };
        poll_fn(look).await
    }

    async fn transaction(&self, id: Hash, proofs: Proofs) -> Answer<json::TransactionAnswer> {
        let snapshot = self.snapshot();
        snapshot.transaction(id, self.pending(&id), proofs)
    }

    async fn transaction_status(&self, id: Hash) -> Answer<json::TransactionStatus> {
        let snapshot = self.snapshot();
        snapshot.transaction_status(id, self.pending(&id))
    }

    async fn state(&self, keys: Vec<StateKey>, proofs: Proofs) -> Answer<json::StateAnswer> {
        self.snapshot().state(keys, proofs)
    }

    async fn account(&self, id: AccountId, proofs: Proofs) -> Answer<json::AccountAnswer> {
        self.snapshot().account(id, proofs)
    }

    async fn balances(&self, id: AccountId, proofs: Proofs) -> Answer<json::BalancesAnswer> {
        self.snapshot().balances(id, proofs)
    }

    async fn asset(&self, id: AssetId, proofs: Proofs) -> Answer<json::AssetAnswer> {
        self.snapshot().asset(id, proofs)
    }

    async fn assets(&self, after: Option<AssetId>, limit: u32) -> Answer<json::AssetPage> {
        self.snapshot().assets(after, limit)
    }

    async fn node_status(&self) -> Answer<json::NodeStatus> {
        let known = self.known();
        Ok(known.snapshot.node_status(&known.status, known.peers.len()))
    }

    async fn node_peers(&self) -> Answer<json::PeersAnswer> {
        let known = self.known();
        let connection = |key: &PublicKey| Connection { key: *key, address: String::new() };
        known.snapshot.node_peers(known.peers.iter().map(connection).collect())
    }

    async fn mempool_stats(&self) -> Answer<json::MempoolStats> {
        let known = self.known();
        Ok(known.snapshot.mempool_stats(&known.status))
    }

    async fn heads(&self, _: Option<Cursor>) -> Answer<EventStream<json::HeadEvent>> {
        Err(ErrorKind::InvalidRequest.into())
    }

    async fn transaction_events(&self, _: Hash) -> Answer<EventStream<json::TransactionEvent>> {
        Err(ErrorKind::InvalidRequest.into())
    }
}
