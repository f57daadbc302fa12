//! The command `quorate simulate wide`.
use clap::Args;
use std::fs::File;
use std::io::{self, IsTerminal, Write};

use super::{Plan, Report, WideOptions, plot};
use crate::command::{Ending, SimulateError};

/// Shortest time between two bundles of one validator where there are few of them, in ms: with less, so many are
/// on their way around the world that the next must wait for the room of those before.
const BUNDLE_INTERVAL_MS: u64 = 50;

/// Measure validators around the world: finality, throughput and bytes.
///
/// Validators are spread over ten regions of a cloud with their public round-trip times. Exit codes: 0 measured,
/// 1 a checker objected or something handed in never was final, 2 the command line is not understood.
#[derive(Clone, Debug, Args)]
pub struct WideArguments {
    /// Numbers of validators, 1 to 128, each of which is measured by itself.
    #[arg(long, default_value = "31", value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=128))]
    validators: Vec<u64>,
    /// Transfers handed in a second, 1 to 100,000, by all clients together.
    #[arg(long, default_value_t = 5_000, value_name = "R", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// How long is measured, in seconds of virtual time: 1 to 600.
    #[arg(long, default_value_t = 20, value_name = "T", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How long transfers are handed in before that, in seconds of virtual time: 0 to 60.
    #[arg(long, default_value_t = 4, value_name = "T", value_parser = clap::value_parser!(u64).range(0..=60))]
    warm_up: u64,
    /// What everything that is drawn follows from.
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// Print JSON, one object in a line for each number of validators.
    #[arg(long)]
    json: bool,
    /// Draw latency over the number of validators into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<std::path::PathBuf>,
    #[command(flatten)]
    network: NetworkArguments,
    #[command(flatten)]
    machine: MachineArguments,
    #[command(flatten)]
    replica: ReplicaArguments,
}

/// The network.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Network")]
struct NetworkArguments {
    /// What the line of a node carries in each direction, in Mbit/s.
    #[arg(long, default_value_t = 1_000, value_name = "MBIT", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    bandwidth: u64,
    /// Mean of what comes on top of each way, in thousandths of it.
    #[arg(long, default_value_t = 10, value_name = "PERMILLE", value_parser = clap::value_parser!(u64).range(0..=1_000))]
    jitter: u64,
    /// Peers that a node passes gossip on to.
    #[arg(long, default_value_t = 6, value_name = "PEERS", value_parser = clap::value_parser!(u16).range(0..=128))]
    mesh: u16,
}

/// How long machines take.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Machines, in microseconds")]
struct MachineArguments {
    /// To prove the signatures of one transaction among others.
    #[arg(long, default_value_t = 20, value_name = "US")]
    verify_us: u64,
    /// To prove one vote.
    #[arg(long, default_value_t = 50, value_name = "US")]
    vote_us: u64,
    /// To execute one transaction.
    #[arg(long, default_value_t = 25, value_name = "US")]
    execute_us: u64,
    /// To commit one transaction.
    #[arg(long, default_value_t = 10, value_name = "US")]
    commit_us: u64,
    /// To sync the vote log.
    #[arg(long, default_value_t = 1_000, value_name = "US")]
    sync_us: u64,
}

/// Settings of the replicas; the others are the defaults of a node.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Replicas, in milliseconds")]
struct ReplicaArguments {
    /// Shortest time that a leader is given.
    #[arg(long, default_value_t = 600, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    timeout_min: u64,
    /// Shortest time between a block's proposal and its child's.
    #[arg(long, default_value_t = 50, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=10_000))]
    min_interval: u64,
    /// Shortest time between two bundles of one validator; by default 50, and with more validators as many as
    /// there are, since a block has room for 256 bundles of all of them.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    bundle_interval: Option<u64>,
}

impl WideArguments {
    fn plan(&self, validators: u64) -> Plan {
        let Self { network, machine, replica, .. } = self;
        Plan {
            seed: self.seed,
            validators: usize::try_from(validators).unwrap_or(usize::MAX),
            sync_us: machine.sync_us,
            timeout_min_ms: replica.timeout_min,
            min_interval_ms: replica.min_interval,
            bundle_interval_ms: replica.bundle_interval.unwrap_or(validators.max(BUNDLE_INTERVAL_MS)),
            wide: WideOptions {
                rate: self.rate,
                warm_up_ms: self.warm_up.saturating_mul(1_000),
                window_ms: self.seconds.saturating_mul(1_000),
                bandwidth_mbit: network.bandwidth,
                jitter_permille: network.jitter,
                mesh: usize::from(network.mesh),
                verify_us: machine.verify_us,
                vote_us: machine.vote_us,
                execute_us: machine.execute_us,
                commit_us: machine.commit_us,
            },
        }
    }
}

/// Runs the command.
///
/// # Errors
/// [`SimulateError`] if the output cannot be written.
pub fn run(arguments: &WideArguments, out: &mut dyn Write) -> Result<Ending, SimulateError> {
    let mut ending = Ending::Passed;
    let mut reports = Vec::new();
    for validators in &arguments.validators {
        let found =
            super::run(&arguments.plan(*validators), |now_ms, end_ms| show(*validators, now_ms, end_ms));
        match found {
            Ok(report) => {
                if report.unfinished > 0 {
                    ending = Ending::Failed;
                }
                print(arguments, &report, out)?;
                reports.push(report);
            }
            Err(violation) => {
                ending = Ending::Failed;
                let (at, property, detail) = (violation.at, violation.property, violation.detail);
                writeln!(out, "FAIL {validators} validators after {at} s: {property}: {detail}")
                    .map_err(unwritable)?;
            }
        }
    }
    if let Some(path) = &arguments.plot {
        File::create(path)
            .and_then(|mut file| file.write_all(plot::svg(&reports).as_bytes()))
            .map_err(|error| SimulateError::File(format!("--plot {}: {error}", path.display())))?;
    }
    Ok(ending)
}

fn print(arguments: &WideArguments, report: &Report, out: &mut dyn Write) -> Result<(), SimulateError> {
    let text =
        if arguments.json { serde_json::to_string(report).map_err(unwritable)? } else { report.to_string() };
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(unwritable)
}

fn unwritable(error: impl std::fmt::Display) -> SimulateError {
    SimulateError::File(format!("standard output: {error}"))
}

/// Shows on a terminal how far a run is.
fn show(validators: u64, now_ms: u64, end_ms: u64) {
    if io::stderr().is_terminal() {
        let seconds = |ms: u64| ms / 1_000;
        // Nobody needs to read it.
        let _ = write!(
            io::stderr(),
            "\r{validators} validators, {} of {} s\x1b[K{}",
            seconds(now_ms),
            seconds(end_ms),
            if now_ms >= end_ms { "\r\x1b[K" } else { "" }
        );
    }
}
