//! The driver: runs the replica on a thread of its own and does what it asks for.
//!
//! Events come from one bounded `inbox` and from [`super::timers`]. Every step of the replica goes
//! the same way (`run`): its records are made durable by [`super::journal`], and only then its
//! effects are carried out, in order; several steps may share one sync. The signing key lives in the
//! `gate`, which signs a claim only when its record is durable. Anything that makes going on unsafe
//! stops the driver for good: [`DriverHandle::failed`] tells the process to end.
mod bridge;
mod gate;
mod inbox;
mod members;
mod run;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use quorate_genesis::Genesis;
use quorate_ledger::store::StoreError;
use quorate_ledger::{Executed, Ledger, Reader, State};
use quorate_primitives::SecretKey;
use quorate_primitives::light::FinalityProof;
use quorate_primitives::transaction::SignedTransaction;
use quorate_replica::{Admitted, Committed, Fault, Settings, Status};
use tokio::sync::{broadcast, watch};

use self::gate::Unrecorded;
use self::inbox::Inbox;
use self::run::{Item, Links, Runner};
use super::journal::{FolderLock, JournalError};
use super::net::{Network, NetworkError, NetworkIdentity};
use super::verify::{Pool, Reply};

pub use super::counters::Counters;
pub use super::net::{NetworkConfig, PeerAddress, PeerStatus};
pub use super::verify::SubmitError;

/// Committed blocks that a slow receiver may be behind before it is told that it missed some.
const COMMITTED_BUFFER: usize = 256;
/// Longest orderly shutdown.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);

/// Everything a node needs to run its replica.
pub struct DriverConfig {
    /// The founding document of the chain.
    pub genesis: Genesis,
    /// Timings and bounds of the replica.
    pub settings: Settings,
    /// The opened ledger.
    pub ledger: Ledger,
    /// Identity on the network; also signs votes in every epoch whose validators it is one of.
    pub key: SecretKey,
    /// Data folder; it is locked, and its subfolder `votes` is the vote log.
    pub data: PathBuf,
    /// Folder of the key's file: a marker there remembers that the key has signed, and survives the
    /// loss of the data folder.
    pub key_folder: PathBuf,
    /// Where to listen and whom to talk to.
    pub network: NetworkConfig,
    /// Threads that check transactions. Range: 1 to 64.
    pub verify_threads: usize,
}

/// The newest committed block, for readers. Cheap to clone.
#[derive(Clone)]
pub struct Head {
    /// The newest committed block and the state after it.
    pub executed: Executed,
    /// The newest committed block that has its own certificate, and the state after it.
    pub certified: Option<(FinalityProof, State)>,
}

impl Head {
    fn of(ledger: &Ledger) -> Self {
        Self { executed: ledger.head().clone(), certified: ledger.certified() }
    }
}

/// Why the driver does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder or the vote log cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The network does not start.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The system gives no thread or no randomness.
    #[error("cannot start the worker threads: {0}")]
    Threads(#[from] std::io::Error),
    /// The ledger does not hold what its own height implies.
    #[error(transparent)]
    Ledger(#[from] Fault),
    /// Restoring the vote log ended in a panic, which has been reported.
    #[error("restoring the vote log panicked")]
    Panicked,
}

/// Why the driver stopped by itself. The process must end: a stopped validator is safe.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// The vote log cannot be written.
    #[error("vote log: {0}")]
    Journal(#[source] Arc<JournalError>),
    /// The ledger cannot be written.
    #[error("ledger: {0}")]
    Storage(#[source] Arc<StoreError>),
    /// The replica found that going on is not safe.
    #[error("the replica halted: {0}")]
    Halted(#[source] Box<Fault>),
    /// The replica asked for a vote that its log does not have.
    #[error(transparent)]
    Unrecorded(#[from] Unrecorded),
    /// The replica panicked, which has been reported.
    #[error("the replica panicked")]
    Panicked,
}

/// A running driver. Cheap to clone.
#[derive(Clone)]
pub struct DriverHandle {
    shared: Arc<Shared>,
}

struct Shared {
    inbox: Arc<Inbox<Item>>,
    pool: Arc<Pool>,
    network: Network,
    reader: Reader,
    counters: Arc<Counters>,
    outlets: Outlets,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The readers' ends of what the replica's thread publishes.
struct Outlets {
    status: watch::Receiver<Arc<Status>>,
    head: watch::Receiver<Arc<Head>>,
    committed: broadcast::Sender<Arc<Committed>>,
    failure: watch::Receiver<Option<Failure>>,
}

/// The writer's ends of the same.
struct Publisher {
    status: watch::Sender<Arc<Status>>,
    head: watch::Sender<Arc<Head>>,
    committed: broadcast::Sender<Arc<Committed>>,
    failure: watch::Sender<Option<Failure>>,
}

fn publication(runner: &Runner) -> (Publisher, Outlets) {
    let (status, status_outlet) = watch::channel(Arc::new(runner.status()));
    let (head, head_outlet) = watch::channel(Arc::new(runner.head()));
    let (failure, failure_outlet) = watch::channel(None);
    let (committed, _) = broadcast::channel(COMMITTED_BUFFER);
    let outlets = Outlets {
        status: status_outlet,
        head: head_outlet,
        committed: committed.clone(),
        failure: failure_outlet,
    };
    (Publisher { status, head, committed, failure }, outlets)
}

/// Restores the replica, starts the network, and runs. Call it on a tokio runtime with more than one
/// thread, which carries the network.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub async fn spawn(config: DriverConfig) -> Result<DriverHandle, StartError> {
    let DriverConfig { genesis, settings, ledger, key, data, key_folder, network, verify_threads } = config;
    let lock = FolderLock::acquire(&data)?;
    let (chain, reader) = (genesis.hash(), ledger.reader());
    let network_key = SecretKey::from_seed(&key.expose_seed());
    let start = run::Start { genesis, settings, ledger, key, votes: data.join("votes"), key_folder, lock };
    // Reading the vote log proves signatures again: not work for an asynchronous thread.
    let restored = tokio::task::spawn_blocking(move || Runner::restore(start));
    let runner = restored.await.map_err(|_| StartError::Panicked)??;

    let members = runner.membership();
    let (publisher, outlets) = publication(&runner);
    let counters = Arc::new(Counters::default());
    let inbox = Arc::new(Inbox::new());
    let link = Arc::new(OnceLock::<Network>::new());
    let outlet = bridge::outlet(Arc::clone(&inbox), Arc::clone(&link), Arc::clone(&counters));
    let pool = Arc::new(Pool::start(verify_threads.clamp(1, 64), Arc::clone(&counters), outlet)?);
    let sink = bridge::sink(Arc::clone(&inbox), Arc::clone(&pool), Arc::clone(&link), Arc::clone(&counters));
    let identity = NetworkIdentity { chain, key: &network_key, members };
    let network = match Network::start(network, identity, Arc::clone(&counters), sink).await {
        Ok(network) => network,
        Err(error) => {
            pool.stop();
            return Err(error.into());
        }
    };
    // Only here is it set, so this cannot fail.
    let _ = link.set(network.clone());
    let links = Links {
        inbox: Arc::clone(&inbox),
        pool: Arc::clone(&pool),
        network: network.clone(),
        counters: Arc::clone(&counters),
        publisher,
    };
    let thread = std::thread::Builder::new().name("replica".to_owned()).spawn(move || runner.run(links))?;
    let thread = Mutex::new(Some(thread));
    Ok(DriverHandle { shared: Arc::new(Shared { inbox, pool, network, reader, counters, outlets, thread }) })
}

impl DriverHandle {
    /// Checks the signatures and submits; the answers are in the order given. Dropping the future
    /// does not take the transactions back.
    pub async fn submit(&self, transactions: Vec<SignedTransaction>) -> Vec<Result<Admitted, SubmitError>> {
        let mut waiting = Vec::with_capacity(transactions.len());
        let mut submitted = Vec::with_capacity(transactions.len());
        for transaction in transactions {
            let (reply, answer) = Reply::new();
            submitted.push((transaction, reply));
            waiting.push(answer);
        }
        self.shared.pool.submit(submitted);
        let mut answers = Vec::with_capacity(waiting.len());
        for answer in waiting {
            // A dropped reply means that whoever held it has ended.
            answers.push(answer.await.unwrap_or(Err(SubmitError::Stopping)));
        }
        answers
    }

    /// If no transaction can be taken now: after what time to try again, in ms.
    #[must_use]
    pub fn busy_ms(&self) -> Option<u64> {
        self.shared.pool.busy_ms()
    }

    /// The replica's own account of itself, about a second old at most.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.shared.outlets.status.borrow())
    }

    /// The newest committed block.
    #[must_use]
    pub fn head(&self) -> Arc<Head> {
        Arc::clone(&self.shared.outlets.head.borrow())
    }

    /// Told of every new head; several new blocks may be told of once.
    #[must_use]
    pub fn watch_head(&self) -> watch::Receiver<Arc<Head>> {
        self.shared.outlets.head.clone()
    }

    /// Told of every committed block in order; a receiver that is more than 256 behind is told how many
    /// it missed. [`DriverHandle::head`] is never behind what was told here.
    #[must_use]
    pub fn committed(&self) -> broadcast::Receiver<Arc<Committed>> {
        self.shared.outlets.committed.subscribe()
    }

    /// Reads committed blocks and receipts.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.shared.reader
    }

    /// The known nodes: validators and observers without ourselves, ascending by key.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.shared.network.peers()
    }

    /// Where the network listens.
    #[must_use]
    pub fn listen_addresses(&self) -> &[SocketAddr] {
        self.shared.network.listen_addresses()
    }

    /// What is counted.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }

    /// Stops in order: the step in hand is finished, the ledger synced, connections closed. Returns
    /// after [`SHUTDOWN_TIMEOUT`] at the latest. Idempotent.
    pub async fn shutdown(&self) {
        self.shared.inbox.stop();
        let shared = Arc::clone(&self.shared);
        let threads = tokio::task::spawn_blocking(move || {
            let thread = shared.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(thread) = thread {
                // A panic of the thread has been reported as a failure.
                let _ = thread.join();
            }
            shared.pool.stop();
        });
        let all = async {
            // An error means that the runtime is ending, which is what is wanted.
            let _ = threads.await;
            self.shared.network.stop().await;
        };
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, all).await.is_err() {
            tracing::error!(seconds = SHUTDOWN_TIMEOUT.as_secs(), "the driver did not stop in time");
        }
    }

    /// Resolves when the driver stopped by itself; never after an orderly shutdown.
    pub async fn failed(&self) -> Failure {
        let mut failure = self.shared.outlets.failure.clone();
        let reported = failure.wait_for(Option::is_some).await.map(|failure| failure.clone());
        match reported {
            Ok(Some(failure)) => failure,
            // The thread ended without a failure.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}
