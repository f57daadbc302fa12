//! Commands that look at a running testnet, disturb it or add to it: they say what should happen and then what did.
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use quorate_genesis::{GENESIS_BYTES_MAX, Genesis};
use quorate_keystore::files;
use quorate_primitives::validators::quorum;
use quorate_rpc::json::Voting;
use tokio::time::{Instant, sleep};

use super::folder::Folder;
use super::founding::GOVERNANCE;
use super::probe::{look_at_balances, look_at_roles, probe_all, validator_keys};
use super::process::{self, Signal};
use super::report::{NodeReport, Report, Role};
use super::table::{self, Supervised};
use super::{generate, node_name};
use crate::commands::{Exit, Failure, OrExit, print};

/// How long an effect is waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is looked for.
const INTERVAL: Duration = Duration::from_millis(50);
/// Blocks after which a chain counts as going on.
const BLOCKS_SHOWN: u64 = 2;
/// How long a chain without a quorum is watched. Several turns fit.
const STANDSTILL: Duration = Duration::from_secs(3);

/// The report of the testnet in this folder, and which nodes of it run.
struct Running {
    folder: Folder,
    report: Report,
}

impl Running {
    fn find(folder: &Folder) -> Result<Self, Failure> {
        let none = || {
            let path = folder.path().display();
            Failure::new(
                Exit::Unreachable,
                format_args!("no testnet runs in {path}: start one with `quorate testnet --dir {path}`"),
            )
        };
        let report = Report::read(&folder.report()).or_exit(Exit::Configuration)?.ok_or_else(none)?;
        if !folder.is_locked() || report.supervisor.is_none() {
            return Err(none());
        }
        Ok(Self { folder: folder.clone(), report })
    }

    fn node(&self, name: &str) -> Result<&NodeReport, Failure> {
        self.report.node(name).ok_or_else(|| {
            let last = self.report.nodes.last().map_or("n1", |node| node.name.as_str());
            Failure::new(Exit::NotFound, format_args!("node {name:?} does not exist: expected n1 to {last}"))
        })
    }

    /// The process of a node, if it runs.
    fn pid(&self, node: &NodeReport) -> Option<u32> {
        node.pid.filter(|pid| process::is_ours(*pid, &self.folder.node_config(&node.name)))
    }

    fn running_pid(&self, node: &NodeReport) -> Result<u32, Failure> {
        self.pid(node).ok_or_else(|| {
            let name = &node.name;
            Failure::new(
                Exit::NotFound,
                format_args!("{name} does not run: start it with `quorate testnet restart {name}`"),
            )
        })
    }

    /// Validators that run and are not paused, and how many validators there are. The chain says who they
    /// are; if no node answers, it is those that were when somebody last looked.
    async fn voters(&self) -> (usize, usize) {
        let keys = validator_keys(&self.report).await;
        let votes = |node: &&NodeReport| match &keys {
            Some(keys) => keys.contains(&node.key),
            None => node.role == Role::Validator.name(),
        };
        let of_ours = || self.report.nodes.iter().filter(votes);
        let works = |node: &&NodeReport| self.pid(node).is_some_and(|pid| !process::is_paused(pid));
        (of_ours().filter(works).count(), keys.as_ref().map_or(of_ours().count(), BTreeSet::len))
    }

    /// The highest block that any node knows.
    async fn height(&self) -> u64 {
        probe_all(&self.report).await.into_iter().flatten().map(|probe| probe.height).max().unwrap_or(0)
    }

    /// Says what should happen with this many nodes left, waits for it, and says what did.
    async fn foretell(&self, what: &str) -> Result<(), Failure> {
        let (left, all) = self.voters().await;
        let needed = quorum(all);
        let goes_on = left >= needed;
        let expected = if goes_on { "the chain goes on" } else { "the chain waits" };
        print(&format!("{what}; {left} of {all} left, a quorum is {needed}: {expected}\n"))?;
        let before = self.height().await;
        let start = Instant::now();
        let patience = if goes_on { PATIENCE } else { STANDSTILL };
        let mut now = before;
        while start.elapsed() < patience && now < before + BLOCKS_SHOWN {
            sleep(INTERVAL).await;
            now = self.height().await.max(now);
        }
        let seen = start.elapsed().as_millis();
        match (goes_on, now >= before + BLOCKS_SHOWN) {
            (true, true) => {
                print(&format!("seen: height {before} to {now} in {seen} ms, the chain went on\n"))
            }
            (false, false) => print(&format!("seen: height {now} after {seen} ms, the chain waits\n")),
            (true, false) => {
                let message =
                    format!("the chain stands at height {now} since {seen} ms although a quorum is left");
                Err(Failure::new(Exit::Internal, message))
            }
            (false, true) => {
                let message = format!("height {before} to {now} although no quorum is left");
                Err(Failure::new(Exit::Internal, message))
            }
        }
    }
}

/// Ends a node at once, as a power failure would.
///
/// # Errors
/// [`Failure`] when the node does not run or the chain did something else than it should.
pub async fn kill(folder: &Folder, name: &str) -> Result<(), Failure> {
    let running = Running::find(folder)?;
    let node = running.node(name)?;
    let pid = running.running_pid(node)?;
    send(pid, Signal::KILL, name)?;
    wait_gone(folder, name, pid).await?;
    running.foretell(&format!("{name} (process {pid}) was killed")).await
}

/// Freezes a node: it keeps its connections and says nothing.
///
/// # Errors
/// As [`kill`].
pub async fn pause(folder: &Folder, name: &str) -> Result<(), Failure> {
    let running = Running::find(folder)?;
    let pid = running.running_pid(running.node(name)?)?;
    send(pid, Signal::STOP, name)?;
    wait_until(|| process::is_paused(pid), || format!("{name} did not pause")).await?;
    running.foretell(&format!("{name} is paused")).await
}

/// Lets a frozen node go on.
///
/// # Errors
/// As [`kill`].
pub async fn resume(folder: &Folder, name: &str) -> Result<(), Failure> {
    let running = Running::find(folder)?;
    let pid = running.running_pid(running.node(name)?)?;
    send(pid, Signal::CONT, name)?;
    wait_until(|| !process::is_paused(pid), || format!("{name} did not resume")).await?;
    catch_up(&running, name, "resumed").await
}

/// Starts a node again; one that runs is stopped first.
///
/// # Errors
/// [`Failure`] when the supervisor did not start it, or it did not catch up.
pub async fn restart(folder: &Folder, name: &str) -> Result<(), Failure> {
    let running = Running::find(folder)?;
    let node = running.node(name)?;
    if let Some(pid) = running.pid(node) {
        send(pid, Signal::TERM, name)?;
        send(pid, Signal::CONT, name)?;
        wait_gone(folder, name, pid).await?;
    }
    let found = ask_for(folder, &folder.restart_request(name), name).await?;
    catch_up(&found, name, "started").await
}

/// Adds a node, which follows the chain as an observer until the governance account makes it a validator.
///
/// # Errors
/// [`Failure`] when the name is not that of the next node, there are as many as there may be, the
/// supervisor did not start it, or it did not catch up.
pub async fn add(folder: &Folder, name: Option<&str>) -> Result<(), Failure> {
    let running = Running::find(folder)?;
    let path = folder.genesis();
    let text = files::read_text(&path, GENESIS_BYTES_MAX).or_exit(Exit::Configuration)?;
    let genesis = Genesis::parse(&text).or_exit_about(Exit::Configuration, path.display())?;
    let (nodes, most) = (running.report.nodes.len(), generate::nodes_max(genesis.validators.len()));
    if nodes >= most {
        return Err(Failure::new(Exit::Usage, format_args!("{nodes} nodes: expected at most {most}")));
    }
    let next = node_name(nodes);
    if let Some(given) = name.filter(|given| *given != next) {
        let message =
            format_args!("node {given:?} cannot be added: expected {next:?}, which is the next one");
        return Err(Failure::new(Exit::Usage, message));
    }
    let found = ask_for(folder, &folder.add_request(&next), &next).await?;
    catch_up(&found, &next, "added").await?;
    let node = found.node(&next)?;
    print(&format!(
        "{next} is an observer: organisation {}, key {}, key file {}\n\
         the account {GOVERNANCE} can make it a validator, which then votes from the epoch after the next one on\n",
        node.organisation.as_deref().unwrap_or("-"),
        node.key,
        folder.node_key(&next).display(),
    ))
}

/// Leaves a request for the supervisor and waits until the node runs.
async fn ask_for(folder: &Folder, request: &Path, name: &str) -> Result<Running, Failure> {
    std::fs::write(request, b"").or_exit_about(Exit::Internal, request.display())?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = Running::find(folder)?;
        if found.report.node(name).is_some_and(|node| found.pid(node).is_some()) {
            return Ok(found);
        }
        if Instant::now() > deadline {
            let seconds = PATIENCE.as_secs();
            return Err(Failure::new(
                Exit::Internal,
                format_args!("the supervisor did not start {name} within {seconds} s"),
            ));
        }
        sleep(INTERVAL).await;
    }
}

/// Waits until a node is where the others are.
async fn catch_up(running: &Running, name: &str, what: &str) -> Result<(), Failure> {
    let others = running.height().await;
    let (working, all) = running.voters().await;
    let waits = working < quorum(all);
    let votes = running.node(name)?.role == Role::Validator.name();
    let then = if votes { "votes again" } else { "follows the chain" };
    print(&format!("{name} {what}: it catches up with height {others} and {then}\n"))?;
    let position = running.report.nodes.iter().position(|node| node.name == name).unwrap_or(0);
    let start = Instant::now();
    let log = running.folder.node_log(name);
    let mut patience = PATIENCE;
    let mut reached = 0;
    loop {
        let probes = probe_all(&running.report).await;
        if let Some(Some(probe)) = probes.get(position) {
            let ready = probe.health == super::probe::Health::Ready;
            let done = ready && matches!(probe.voting, Voting::Yes | Voting::Observer);
            if probe.height >= others && (done || waits) {
                let ms = start.elapsed().as_millis();
                return print(&format!("seen: {name} at height {} after {ms} ms\n", probe.height));
            }
            // Whoever advances is given more time, however much there is to catch up with.
            if probe.height > reached {
                reached = probe.height;
                patience = start.elapsed() + PATIENCE;
            }
        }
        if start.elapsed() > patience {
            let message =
                format!("{name} stands at height {reached} of {others}; its log is {}", log.display());
            return Err(Failure::new(Exit::Internal, message));
        }
        sleep(INTERVAL).await;
    }
}

/// Stops the whole testnet.
///
/// # Errors
/// [`Failure`] when none runs or it did not stop.
pub async fn down(folder: &Folder) -> Result<(), Failure> {
    let running = Running::find(folder)?;
    let supervisor = running.report.supervisor.unwrap_or(0);
    send(supervisor, Signal::TERM, "the supervisor")?;
    wait_until(|| !folder.is_locked(), || "the testnet did not stop".to_owned()).await?;
    print("stopped; the same command that started it goes on with the same chain\n")
}

/// Prints how the nodes are, as each says itself.
///
/// # Errors
/// [`Failure`] when the folder holds no testnet, or no node answers.
pub async fn status(folder: &Folder, json: bool) -> Result<(), Failure> {
    let path = folder.path().display();
    let none = || Failure::new(Exit::NotFound, format_args!("{path} holds no testnet"));
    let mut report = Report::read(&folder.report()).or_exit(Exit::Configuration)?.ok_or_else(none)?;
    if !folder.is_locked() {
        report.supervisor = None;
    }
    let probes = probe_all(&report).await;
    look_at_roles(&mut report, &probes);
    look_at_balances(&mut report).await;
    print(&if json { report.to_json() } else { table::table(&report, &probes, Supervised::Elsewhere) })?;
    if probes.iter().all(Option::is_none) {
        return Err(Failure::new(Exit::Unreachable, "no node answers"));
    }
    Ok(())
}

/// Prints the last lines of a node's log, and what is added to it if asked to follow.
///
/// # Errors
/// [`Failure`] when there is no such node or log.
pub async fn logs(folder: &Folder, name: &str, lines: usize, follow: bool) -> Result<(), Failure> {
    let log = folder.node_log(name);
    if !folder.node_config(name).exists() || !log.exists() {
        return Err(Failure::new(Exit::NotFound, format_args!("node {name:?} has no log {}", log.display())));
    }
    for line in process::last_lines(&log, lines) {
        print(&format!("{line}\n"))?;
    }
    if !follow {
        return Ok(());
    }
    follow_log(&log).await
}

/// Prints what is appended until the reader goes away or Ctrl-C ends the program.
async fn follow_log(log: &Path) -> Result<(), Failure> {
    use tokio::io::{AsyncReadExt, AsyncSeekExt};
    let mut file = tokio::fs::File::open(log).await.or_exit_about(Exit::Internal, log.display())?;
    let mut position = file.seek(std::io::SeekFrom::End(0)).await.or_exit(Exit::Internal)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = file.metadata().await.or_exit(Exit::Internal)?.len();
        if length < position {
            // The log was set aside and begins anew.
            position = file.seek(std::io::SeekFrom::Start(0)).await.or_exit(Exit::Internal)?;
        }
        let read = file.read(&mut buffer).await.or_exit(Exit::Internal)?;
        if read == 0 {
            sleep(Duration::from_millis(200)).await;
            continue;
        }
        position += u64::try_from(read).unwrap_or(0);
        print(&String::from_utf8_lossy(buffer.get(..read).unwrap_or_default()))?;
    }
}

fn send(pid: u32, signal: Signal, whom: &str) -> Result<(), Failure> {
    if process::signal(pid, signal) {
        return Ok(());
    }
    Err(Failure::new(Exit::Internal, format_args!("{whom} (process {pid}) took no signal")))
}

/// Waits until the process is gone and the supervisor has noticed.
async fn wait_gone(folder: &Folder, name: &str, pid: u32) -> Result<(), Failure> {
    let config = folder.node_config(name);
    let noticed = || {
        let report = Report::read(&folder.report()).ok().flatten();
        report.and_then(|report| report.node(name).map(|node| node.pid != Some(pid))).unwrap_or(false)
    };
    let gone = || !process::is_ours(pid, &config) && noticed();
    wait_until(gone, || format!("{name} (process {pid}) did not end")).await
}

async fn wait_until(is_so: impl Fn() -> bool, otherwise: impl Fn() -> String) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() > deadline {
            return Err(Failure::new(Exit::Internal, otherwise()));
        }
        sleep(INTERVAL).await;
    }
    Ok(())
}
