//! Starts the nodes of a testnet and stays until it is told to stop.
use std::io::{IsTerminal, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_genesis::{GENESIS_BYTES_MAX, Genesis};
use quorate_keystore::files;
use quorate_primitives::Timestamp;
use tokio::process::Child;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, interval, sleep};

use super::folder::{Folder, FolderLock};
use super::founding::{Plan, draft};
use super::generate;
use super::ports::{self, NodePorts, PortBase};
use super::probe::{Health, Probe, look_at_balances, look_at_roles, probe_all};
use super::pulse::Pulse;
use super::report::Report;
use super::table::Supervised;
use super::{node_name, process, table};
use crate::commands::{Exit, Failure, OrExit, print};

/// How long the nodes may take until they finalize a block, besides the time between two blocks.
/// Reading a large ledger takes a while.
const READY_PATIENCE: Duration = Duration::from_secs(60);
/// How often the nodes are asked while they start.
pub(super) const READY_INTERVAL: Duration = Duration::from_millis(100);
/// How often ended nodes and requests are looked for.
const TICK: Duration = Duration::from_millis(200);
/// Ticks between two status lines on a terminal, and in a log.
const TICKS_SHOWN: (u64, u64) = (5, 150);
/// Ticks between two looks at the sizes of the logs.
const TICKS_LOGS: u64 = 150;
/// How long the nodes may take to stop by themselves; they need less than a second.
const STOP_PATIENCE: Duration = Duration::from_millis(3_500);
/// Lines of a node's log that are shown when it ends unasked.
const LAST_LINES: usize = 5;

/// What the caller wants.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the testnet lies.
    pub folder: Folder,
    /// What keys are derived from, if it was said.
    pub seed: Option<String>,
    /// How many validators, if it was said.
    pub validators: Option<u8>,
    /// Blocks of an epoch, if it was said.
    pub epoch_length: Option<u64>,
    /// Time between empty blocks, if it was said.
    pub block_time: Option<Duration>,
    /// How ports are chosen, if it was said.
    pub port_base: Option<PortBase>,
    /// Whether what is there is kept.
    pub state: KeptState,
    /// What is printed when the nodes are ready.
    pub output: Output,
}

/// What becomes of an earlier testnet in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptState {
    /// It goes on.
    Continue,
    /// It is removed.
    Fresh,
}

/// What is printed when the nodes are ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A table for people, then status lines.
    Table,
    /// The report, once.
    Json,
}

/// Seed of a testnet when none is given.
const USUAL_SEED: &str = "1";
/// Validators of a testnet when nothing is said.
const USUAL_VALIDATORS: u8 = 4;
/// Blocks of an epoch when nothing is said: some minutes, so that changes of the validators are seen.
const USUAL_EPOCH_LENGTH: u64 = 1_000;

/// Runs a testnet until a signal comes.
///
/// # Errors
/// [`Failure`] when the testnet could not be written or started, or its chain did not advance.
pub async fn run(options: Options) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let mut supervisor = Supervisor::prepare(&options)?;
    let outcome = tokio::select! {
        started = supervisor.start() => match started {
            Ok(probes) => match supervisor.show(options.output, &probes) {
                Ok(()) => supervisor.watch(&mut signals, options.output).await,
                Err(failure) => Err(failure),
            },
            Err(failure) => Err(failure),
        },
        () = signals.wait() => Err(Failure::new(Exit::Internal, "stopped before the first block")),
    };
    supervisor.stop().await;
    outcome
}

/// The signals that mean "stop".
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// [`Failure`] if the system refuses.
    pub fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).or_exit_about(Exit::Internal, "signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Returns when one of them came.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

struct Supervisor {
    folder: Folder,
    plan: Plan,
    report: Report,
    children: Vec<Option<Child>>,
    /// Height from which the chain has to advance, once it is known.
    began_at: Option<u64>,
    patience: Duration,
    pulse: Pulse,
    _lock: FolderLock,
}

impl Supervisor {
    /// Takes the folder and writes whatever is missing in it.
    fn prepare(options: &Options) -> Result<Self, Failure> {
        let folder = &options.folder;
        folder.check_own().or_exit(Exit::Configuration)?;
        let lock = folder.lock().or_exit(Exit::Configuration)?;
        let old = match options.state {
            KeptState::Fresh => {
                folder.clear().or_exit(Exit::Configuration)?;
                None
            }
            KeptState::Continue => Report::read(&folder.report()).or_exit(Exit::Configuration)?,
        };
        // A new chain begins at 0; where another one stands, its nodes say.
        let began_at = (!folder.genesis().exists()).then_some(0);
        let (plan, genesis) = plan(options, old.as_ref())?;
        let kept = old.filter(|_| options.port_base.is_none());
        let ports: Vec<NodePorts> = match kept {
            Some(report) if report.nodes.len() == plan.nodes() => {
                report.nodes.iter().map(|node| node.ports).collect()
            }
            _ => ports::choose(options.port_base, plan.nodes()).or_exit(Exit::Internal)?,
        };
        folder.clear_requests().or_exit_about(Exit::Internal, "control")?;
        ports::check_free(&ports).or_exit(Exit::Configuration)?;
        generate::configure(folder, &plan, &genesis, &ports).or_exit(Exit::Configuration)?;
        let mut report = generate::report(folder, &plan, &genesis, &ports);
        report.supervisor = Some(std::process::id());
        let children = ports.iter().map(|_| None).collect();
        let pulse = Pulse::follow(report.nodes.iter().map(|node| node.rpc.clone()).collect());
        let patience = READY_PATIENCE + plan.block_time.unwrap_or_default();
        Ok(Self { folder: folder.clone(), plan, report, children, began_at, patience, pulse, _lock: lock })
    }

    /// Starts every node and waits until all answer and the chain has advanced.
    async fn start(&mut self) -> Result<Vec<Option<Probe>>, Failure> {
        for index in 0..self.children.len() {
            self.start_node(index)?;
        }
        self.save()?;
        let deadline = Instant::now() + self.patience;
        loop {
            for index in 0..self.children.len() {
                if let Some(how) = self.reap(index) {
                    return Err(self.explain_end(index, &how));
                }
            }
            let probes = probe_all(&self.report).await;
            self.began_at = self.began_at.or_else(|| highest(&probes));
            if self.began_at.is_some_and(|height| have_advanced(&probes, height)) {
                self.report.ready = true;
                look_at_roles(&mut self.report, &probes);
                look_at_balances(&mut self.report).await;
                self.save()?;
                return Ok(probes);
            }
            if Instant::now() > deadline {
                return Err(self.explain_silence(&probes));
            }
            sleep(READY_INTERVAL).await;
        }
    }

    fn start_node(&mut self, index: usize) -> Result<(), Failure> {
        let name = node_name(index);
        let started = process::start(&self.folder.node_config(&name), &self.folder.node_log(&name));
        let child = started.or_exit_about(Exit::Internal, format_args!("starting {name}"))?;
        if let Some(node) = self.report.nodes.get_mut(index) {
            node.pid = child.id();
        }
        if let Some(place) = self.children.get_mut(index) {
            *place = Some(child);
        }
        Ok(())
    }

    /// How a node ended, once, if it did.
    fn reap(&mut self, index: usize) -> Option<String> {
        let place = self.children.get_mut(index)?;
        let status = place.as_mut()?.try_wait().ok().flatten()?;
        *place = None;
        if let Some(node) = self.report.nodes.get_mut(index) {
            node.pid = None;
        }
        Some(process::describe(status))
    }

    fn explain_end(&self, index: usize, how: &str) -> Failure {
        let name = node_name(index);
        let log = self.folder.node_log(&name);
        let lines = process::last_lines(&log, LAST_LINES).join(" | ");
        Failure::new(
            Exit::Internal,
            format_args!("{name} ended ({how}); its log {} says: {lines}", log.display()),
        )
    }

    fn explain_silence(&self, probes: &[Option<Probe>]) -> Failure {
        let said: Vec<String> = self
            .report
            .nodes
            .iter()
            .zip(probes)
            .map(|(node, probe)| match probe {
                Some(probe) => format!("{} is {} at height {}", node.name, probe.health, probe.height),
                None => format!("{} does not answer, see {}", node.name, node.log.display()),
            })
            .collect();
        let seconds = self.patience.as_secs();
        Failure::new(Exit::Internal, format_args!("no block within {seconds} s: {}", said.join(", ")))
    }

    fn show(&self, output: Output, probes: &[Option<Probe>]) -> Result<(), Failure> {
        match output {
            Output::Json => print(&self.report.to_json()),
            Output::Table => print(&table::table(&self.report, probes, Supervised::Here)),
        }
    }

    /// Looks after the nodes until a signal comes.
    async fn watch(&mut self, signals: &mut Signals, output: Output) -> Result<(), Failure> {
        let mut ticks = interval(TICK);
        let in_place = std::io::stdout().is_terminal();
        let every = if in_place { TICKS_SHOWN.0 } else { TICKS_SHOWN.1 };
        let mut count = 0_u64;
        loop {
            tokio::select! {
                () = signals.wait() => break,
                _ = ticks.tick() => {}
            }
            count += 1;
            self.look_after(in_place)?;
            if count.is_multiple_of(TICKS_LOGS) {
                for node in &self.report.nodes {
                    process::set_aside(&node.log).or_exit_about(Exit::Internal, node.log.display())?;
                }
            }
            if output == Output::Table && count.is_multiple_of(every) {
                let running = self.children.iter().flatten().count();
                let line = self.pulse.line(running, self.children.len());
                // A status line that nobody can be shown is no reason to stop the nodes.
                let _ = print(&if in_place { format!("\r\x1b[K{line}") } else { format!("{line}\n") });
            }
        }
        if in_place && output == Output::Table {
            let _ = print("\n");
        }
        Ok(())
    }

    /// Notices ended nodes and carries out requests.
    fn look_after(&mut self, in_place: bool) -> Result<(), Failure> {
        let mut changed = false;
        for index in 0..self.children.len() {
            let name = node_name(index);
            if let Some(how) = self.reap(index) {
                let line_end = if in_place { "\n" } else { "" };
                say(&format!("{line_end}{name} is down ({how})"));
                changed = true;
            }
            let request = self.folder.restart_request(&name);
            let is_down = self.children.get(index).is_some_and(Option::is_none);
            if is_down && request.exists() {
                std::fs::remove_file(&request).or_exit_about(Exit::Internal, request.display())?;
                self.start_node(index)?;
                changed = true;
            }
        }
        let next = node_name(self.children.len());
        let request = self.folder.add_request(&next);
        if request.exists() {
            std::fs::remove_file(&request).or_exit_about(Exit::Internal, request.display())?;
            match self.add_node() {
                Ok(()) => changed = true,
                // Whoever asked for it waits in vain; the others go on.
                Err(failure) => say(&format!("{next} cannot be added: {failure}")),
            }
        }
        if changed { self.save() } else { Ok(()) }
    }

    /// Writes the files of one more node and starts it.
    fn add_node(&mut self) -> Result<(), Failure> {
        let index = self.children.len();
        let mut ports: Vec<NodePorts> = self.report.nodes.iter().map(|node| node.ports).collect();
        let own = ports::next(&ports).or_exit(Exit::Internal)?;
        ports.push(own);
        generate::create_node(&self.folder, &self.plan, index).or_exit(Exit::Configuration)?;
        generate::configure_node(&self.folder, &self.plan, &ports, index).or_exit(Exit::Configuration)?;
        self.report.nodes.push(generate::report_node(&self.folder, &self.plan, index, own));
        self.children.push(None);
        self.plan.added = self.plan.added.saturating_add(1);
        self.start_node(index)
    }

    fn save(&self) -> Result<(), Failure> {
        self.report.write(&self.folder.report()).or_exit(Exit::Internal)
    }

    async fn stop(&mut self) {
        let children = self.children.iter_mut().flatten().collect();
        process::stop(children, STOP_PATIENCE).await;
        self.report.supervisor = None;
        self.report.ready = false;
        for node in &mut self.report.nodes {
            node.pid = None;
        }
        if let Err(failure) = self.save() {
            say(&failure.to_string());
        }
    }
}

/// The highest block that any node knows.
fn highest(probes: &[Option<Probe>]) -> Option<u64> {
    probes.iter().flatten().map(|probe| probe.height).max()
}

/// Whether every node is ready and has finalized a block above this height.
fn have_advanced(probes: &[Option<Probe>], height: u64) -> bool {
    let has_advanced = |probe: &Probe| probe.health == Health::Ready && probe.height > height;
    probes.iter().all(|probe| probe.as_ref().is_some_and(has_advanced))
}

fn say(message: &str) {
    // Nothing can be done if standard error is closed.
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// The plan of the testnet that is there, or of a new one, which is then written.
fn plan(options: &Options, old: Option<&Report>) -> Result<(Plan, Genesis), Failure> {
    let folder = &options.folder;
    let new = |genesis: Option<&Genesis>, seed: &str| {
        let known = genesis.and_then(|known| u8::try_from(known.validators.len()).ok());
        let validators = options.validators.or(known).unwrap_or(USUAL_VALIDATORS);
        let nodes = old.map_or(0, |report| report.nodes.len());
        let length = genesis.map(|known| known.parameters.epoch_length);
        Plan {
            seed: options.seed.clone().unwrap_or_else(|| seed.to_owned()),
            validators,
            added: u8::try_from(nodes.saturating_sub(usize::from(validators))).unwrap_or_default(),
            epoch_length: options.epoch_length.or(length).unwrap_or(USUAL_EPOCH_LENGTH),
            block_time: options.block_time,
        }
    };
    if !folder.genesis().exists() {
        let plan = new(None, USUAL_SEED);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).or_exit_about(Exit::Internal, "clock")?;
        let time = Timestamp::new(u64::try_from(now.as_millis()).or_exit(Exit::Internal)?);
        let genesis = generate::create(folder, &plan, time).or_exit(Exit::Configuration)?;
        return Ok((plan, genesis));
    }
    let path = folder.genesis();
    let text = files::read_text(&path, GENESIS_BYTES_MAX).or_exit(Exit::Configuration)?;
    let genesis = Genesis::parse(&text).or_exit_about(Exit::Configuration, path.display())?;
    let plan = new(Some(&genesis), old.map_or(USUAL_SEED, |report| report.seed.as_str()));
    if draft(&plan, genesis.time).build().ok().as_ref() != Some(&genesis) {
        let there = genesis.validators.len();
        return Err(Failure::new(
            Exit::Configuration,
            format_args!(
                "{} holds a testnet of {there} validators with another seed, size or epoch length: expected the same --seed, --validators and --epoch-length, or --fresh to replace it",
                folder.path().display()
            ),
        ));
    }
    Ok((plan, genesis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_rpc::json::Voting;

    fn at(height: u64, health: Health) -> Option<Probe> {
        let (view, voting, epoch) = (height, Voting::Yes, 0);
        Some(Probe { height, view, leader: None, validator: None, voting, epoch, peers: 3, health })
    }

    #[test]
    fn a_chain_that_stands_where_it_was_has_not_advanced() {
        let standing = [at(7, Health::Ready), at(7, Health::Ready)];
        let began_at = highest(&standing).unwrap();
        assert_eq!(began_at, 7);
        assert!(!have_advanced(&standing, began_at));
        assert!(have_advanced(&[at(8, Health::Ready), at(9, Health::Ready)], began_at));
    }

    #[test]
    fn a_chain_has_not_advanced_while_a_node_is_behind_or_silent() {
        assert!(!have_advanced(&[at(8, Health::Ready), at(7, Health::Ready)], 7));
        assert!(!have_advanced(&[at(8, Health::Ready), at(8, Health::Syncing)], 7));
        assert!(!have_advanced(&[at(8, Health::Ready), None], 7));
        assert_eq!(highest(&[None, None]), None);
    }
}
