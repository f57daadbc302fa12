//! Starting testnets, talking to them, and waiting for what they should do.
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quorate_keystore::KeyFile;
use quorate_node::testnet::process::{Signal, is_ours, signal};
use quorate_node::testnet::report::{NodeReport, Report};
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::{Blob, List};
use quorate_primitives::state::{AssetId, Symbol};
use quorate_primitives::transaction::{
    Action, Operation, Quantity, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::{Amount, Hash, PublicKey, SecretKey, Timestamp};
use quorate_rpc::Client;
use quorate_rpc::backend::Proofs;
use quorate_rpc::json::{TransactionAnswer, TransactionState};
use tempfile::TempDir;

/// Longest wait for anything that should happen soon, on a machine that does other things as well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

static TURN: Mutex<()> = Mutex::new(());

/// A test's turn to use the machine. Each test has a runtime of its own, so waiting for a turn keeps
/// nobody else's tasks from running.
pub(crate) struct Turn {
    _guard: MutexGuard<'static, ()>,
}

pub(crate) fn take_turn() -> Turn {
    Turn { _guard: TURN.lock().unwrap_or_else(PoisonError::into_inner) }
}

/// The program with these arguments, without variables that change what it does.
pub(crate) fn quorate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("QUORATE_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    quorate(arguments).output().unwrap()
}

/// Waits until a condition holds.
pub(crate) fn wait_for(what: &str, patience: Duration, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited {patience:?} for {what}");
        std::thread::sleep(INTERVAL);
    }
}

/// Waits until an answer is there.
pub(crate) async fn wait_for_some<T>(
    what: &str,
    patience: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} for {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}

/// A testnet in a folder of its own; its processes end with it.
pub(crate) struct Testnet {
    folder: TempDir,
    supervisor: Option<Child>,
    pub(crate) report: Report,
}

impl Testnet {
    /// Starts four validators on free ports and waits until they finalize blocks.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (supervisor, report) = launch(folder.path(), &[&["--port-base", "auto"], arguments].concat());
        Self { folder, supervisor: Some(supervisor), report }
    }

    /// Starts the same testnet again.
    pub(crate) fn start_again(&mut self, arguments: &[&str]) {
        let (supervisor, report) = launch(self.folder.path(), arguments);
        self.supervisor = Some(supervisor);
        self.report = report;
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a subcommand on this testnet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let folder = self.folder.path().to_str().unwrap();
        run(&[&["testnet"], arguments, &["--dir", folder]].concat())
    }

    /// Runs a subcommand that must succeed, and returns what it printed.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn node(&self, name: &str) -> &NodeReport {
        self.report.node(name).unwrap()
    }

    /// A client of a node.
    pub(crate) fn client(&self, name: &str) -> Client {
        Client::new(&self.node(name).rpc, Duration::from_secs(10)).unwrap()
    }

    /// What the folder says now.
    pub(crate) fn reread(&mut self) {
        self.report = Report::read(&self.folder.path().join("testnet.json")).unwrap().unwrap();
    }

    /// Sends a signal to the supervisor.
    pub(crate) fn signal(&self, sent: Signal) {
        assert!(signal(self.supervisor.as_ref().unwrap().id(), sent));
    }

    /// Waits until the supervisor has ended, and returns its exit code.
    pub(crate) fn wait_for_end(&mut self, patience: Duration) -> Option<i32> {
        let mut child = self.supervisor.take().unwrap();
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            if Instant::now() > deadline {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the testnet did not stop within {patience:?}");
            }
            std::thread::sleep(INTERVAL);
        }
    }

    /// Whether the process that the last report gives for a node still lives.
    pub(crate) fn lives(&self, name: &str) -> bool {
        let node = self.node(name);
        node.pid.is_some_and(|pid| is_ours(pid, &node.folder.join("node.toml")))
    }
}

impl Drop for Testnet {
    fn drop(&mut self) {
        if let Some(mut child) = self.supervisor.take() {
            // The nodes end by themselves when the supervisor's end of their pipes is gone.
            let _ = child.kill();
            let _ = child.wait();
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        let names: Vec<String> = self.report.nodes.iter().map(|node| node.name.clone()).collect();
        while names.iter().any(|name| self.lives(name)) && Instant::now() < deadline {
            std::thread::sleep(INTERVAL);
        }
        for node in self.report.nodes.iter().filter(|node| self.lives(&node.name)) {
            let _ = signal(node.pid.unwrap_or(0), Signal::KILL);
        }
        if std::thread::panicking() {
            for node in &self.report.nodes {
                let text = fs::read_to_string(&node.log).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                eprintln!("{}:\n{}", node.name, lines[lines.len().saturating_sub(30)..].join("\n"));
            }
        }
    }
}

fn launch(folder: &Path, arguments: &[&str]) -> (Child, Report) {
    let folder = folder.to_str().unwrap();
    let mut command = quorate(&[&["testnet", "--json", "--dir", folder], arguments].concat());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        while let Some(Ok(line)) = lines.next() {
            text.push_str(&line);
            if line == "}" {
                break;
            }
        }
        let _ = sender.send(text);
    });
    // The supervisor itself gives up after a minute.
    let text = receiver.recv_timeout(PATIENCE + Duration::from_secs(10));
    match text.ok().and_then(|text| serde_json::from_str(&text).ok()) {
        Some(report) => (child, report),
        None => {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the testnet printed no report");
        }
    }
}

/// Somebody who pays with a key of the testnet's folder.
pub(crate) struct Payer {
    key: KeyFile,
    chain: Hash,
}

static NONCE: AtomicU64 = AtomicU64::new(1);

pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::new(u64::try_from(since_epoch.as_millis()).unwrap())
}

pub(crate) fn usd() -> AssetId {
    AssetId::derive(&Symbol::new("USD").unwrap())
}

/// A transaction that was never made before: one operation of an account, signed with these keys.
pub(crate) fn signed(
    chain: Hash,
    sender: AccountId,
    operation: Operation,
    keys: Vec<SecretKey>,
) -> SignedTransaction {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&NONCE.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    nonce[8..].copy_from_slice(&now().get().to_be_bytes());
    let mut signers: Vec<PublicKey> = keys.iter().map(SecretKey::public_key).collect();
    signers.sort_unstable();
    let unsigned = Transaction {
        chain,
        version: TRANSACTION_VERSION,
        sender,
        nonce,
        valid_until: now().saturating_add(120_000),
        actions: List::new(vec![Action { actor: None, operation }]).unwrap(),
        asserts: List::default(),
        reference: Blob::default(),
        memo: Blob::default(),
        signers: List::new(signers).unwrap(),
    };
    unsigned.sign(&keys).unwrap()
}

impl Payer {
    pub(crate) fn new(testnet: &Testnet, name: &str) -> Self {
        let path: PathBuf = testnet.path().join("keys").join(format!("{name}.json"));
        Self { key: KeyFile::read(&path).unwrap(), chain: testnet.report.genesis_hash.parse().unwrap() }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.key.account()
    }

    /// A payment of so many cents that was never made before.
    pub(crate) fn payment(&self, to: AccountId, cents: u128) -> SignedTransaction {
        let quantity = Quantity::Exact(Amount::new(cents));
        let transfer = Operation::Transfer { asset: usd(), to, quantity, tag: None };
        signed(self.chain, self.account(), transfer, vec![self.key.open(None).unwrap()])
    }

    /// Pays and waits until it is final.
    pub(crate) async fn pay(&self, through: &Client, to: AccountId, cents: u128) -> TransactionAnswer {
        let payment = self.payment(to, cents);
        let answer = through.submit_and_wait(&payment, Duration::from_secs(30), Proofs::Omit).await.unwrap();
        assert_eq!(answer.status.state, TransactionState::Final, "{answer:?}");
        answer
    }
}

/// What an account owns in cents, as a node says.
pub(crate) async fn cents(client: &Client, account: AccountId) -> u128 {
    let answer = client.balances(account, Proofs::Omit).await.unwrap();
    answer
        .balances
        .iter()
        .filter(|entry| entry.asset.0 == usd())
        .map(|entry| entry.balance.posted.0.get())
        .sum()
}

/// The newest height that a node knows; 0 while it does not answer.
pub(crate) async fn height(client: &Client) -> u64 {
    client.head().await.map_or(0, |head| head.height.0.get())
}

/// Waits until a node has gone so many blocks beyond where it was.
pub(crate) async fn wait_for_blocks(client: &Client, blocks: u64) -> u64 {
    let goal = height(client).await + blocks;
    wait_for_some("new blocks", PATIENCE, async || {
        Some(height(client).await).filter(|height| *height >= goal)
    })
    .await
}
