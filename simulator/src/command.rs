//! The command `quorate simulate`.
//!
//! Data goes to standard output: a line for each run, or JSON, and a summary. Progress goes to standard
//! error. The clock is read to show progress and to end a campaign that was given minutes; it decides
//! nothing inside a run.
#![expect(clippy::disallowed_types, reason = "progress and the end of a campaign are about real time")]
use clap::{Args, Subcommand};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::bundle::Bundle;
use crate::campaign::{self, Plan, Task};
use crate::coverage::Marks;
use crate::founding::Workshop;
use crate::options::Profile;
use crate::run::{Report, ReportLine};
use crate::shrink::shrink;
use crate::swarm::Wishes;
use crate::wide::command::{self as wide, WideArguments};

/// Seeds of a campaign that was given neither a number nor a time.
const SEEDS_DEFAULT: u64 = 100;
/// Most seeds of a campaign.
const SEEDS_MAX: u64 = 1_000_000_000;
/// Time between two lines of progress where there is no terminal.
const PROGRESS_PAUSE: Duration = Duration::from_secs(10);

/// Run a network of validators in one thread, with everything that can go wrong drawn from a seed.
///
/// Exit codes: 0 all runs passed, 1 a property failed, 2 the command line is not understood, 3 nothing was
/// proven because something that must be tried never happened.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SimulateArguments {
    #[command(subcommand)]
    measure: Option<Measure>,
    /// The first seed.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// How many seeds to run, one after the other: 1 to 1,000,000,000; 1 if only a seed is given, otherwise 100.
    #[arg(long, value_name = "K", conflicts_with = "minutes", value_parser = clap::value_parser!(u64).range(1..=SEEDS_MAX))]
    seeds: Option<u64>,
    /// Run as many seeds as there is time for: 1 to 10,080 minutes.
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..=10_080))]
    minutes: Option<u64>,
    /// Which mixture of faults: lite, swarm, storage, byzantine, twins, exact-quorum, correlated,
    /// reconfigure or poison.
    #[arg(long, default_value = "swarm", value_name = "PROFILE")]
    profile: Profile,
    /// Number of validators, 1 to 21, instead of what is drawn.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=21))]
    validators: Option<u64>,
    /// Height at which the part with faults ends, 1 to 100,000, instead of what is drawn.
    #[arg(long, value_name = "H", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    heights: Option<u64>,
    /// Threads, each of which runs one network at a time: 1 to 256.
    #[arg(long, default_value_t = 1, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Print JSON, one object in a line for each run and one for the summary.
    #[arg(long)]
    json: bool,
    /// Write everything that happens in the run to this file; with one seed only.
    #[arg(long, value_name = "FILE", conflicts_with = "minutes")]
    trace: Option<PathBuf>,
    /// Run again what a bundle of a failed run describes.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "seeds", "minutes", "validators", "heights"])]
    replay: Option<PathBuf>,
    /// Make the first failure smaller before it is written.
    #[arg(long)]
    shrink: bool,
    /// Folder for the bundles of failed runs.
    #[arg(long, default_value = "simulation-failures", value_name = "DIR")]
    failures: PathBuf,
}

/// What is measured in place of a hunt.
#[derive(Clone, Debug, Subcommand)]
enum Measure {
    Wide(Box<WideArguments>),
}

/// How the command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All runs passed.
    Passed = 0,
    /// A property failed.
    Failed = 1,
    /// Something that must be tried never happened.
    Vacuous = 3,
}

/// Why the command could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The command line asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// A file or the output cannot be written or read.
    #[error("{0}")]
    File(String),
}

fn unwritable(error: impl std::fmt::Display) -> SimulateError {
    SimulateError::File(format!("standard output: {error}"))
}

/// Runs the command.
///
/// # Errors
/// [`SimulateError`] if the arguments do not fit together, or a file cannot be used.
pub fn run(arguments: &SimulateArguments, out: &mut dyn Write) -> Result<Ending, SimulateError> {
    if let Some(Measure::Wide(arguments)) = &arguments.measure {
        return wide::run(arguments, out);
    }
    if let Some(path) = &arguments.replay {
        let bundle = Bundle::read(path).map_err(|error| SimulateError::File(error.to_string()))?;
        return one(arguments, &bundle.task, out);
    }
    let count = match (arguments.seeds, arguments.minutes, arguments.seed) {
        (Some(seeds), _, _) => Some(seeds),
        (None, Some(_), _) => None,
        (None, None, Some(_)) => Some(1),
        (None, None, None) => Some(SEEDS_DEFAULT),
    };
    let wishes = Wishes {
        validators: arguments.validators.and_then(|count| usize::try_from(count).ok()),
        heights: arguments.heights,
    };
    let first = arguments.seed.unwrap_or(1);
    if arguments.trace.is_some() {
        if count != Some(1) {
            let found = count.unwrap_or_default();
            return Err(SimulateError::Usage(format!("--trace needs one seed, but {found} are to be run")));
        }
        return one(arguments, &Task::of(first, arguments.profile, wishes), out);
    }
    let jobs = usize::from(arguments.jobs);
    many(arguments, Plan { first, count, profile: arguments.profile, wishes, jobs }, out)
}

/// One run, with its trace.
fn one(arguments: &SimulateArguments, task: &Task, out: &mut dyn Write) -> Result<Ending, SimulateError> {
    let trace = match &arguments.trace {
        Some(path) => {
            let file = File::create(path);
            let file =
                file.map_err(|error| SimulateError::File(format!("--trace {}: {error}", path.display())))?;
            Some(Box::new(BufWriter::new(file)) as Box<dyn Write>)
        }
        None => None,
    };
    let report = task.run(&Workshop::new(), trace);
    let mut tally = Tally::new(task.profile());
    tally.add(&report);
    show(arguments, &report, out)?;
    if !report.is_passed() {
        explain(arguments, task, report, out)?;
    }
    Ok(tally.ending())
}

fn many(arguments: &SimulateArguments, plan: Plan, out: &mut dyn Write) -> Result<Ending, SimulateError> {
    let begun = Instant::now();
    let time = arguments.minutes.map(|minutes| Duration::from_secs(minutes.saturating_mul(60)));
    let mut tally = Tally::new(plan.profile);
    let mut progress = Progress::new(plan.count);
    let mut outcome = Ok(());
    campaign::run(plan, |task, report| {
        tally.add(&report);
        progress.show(&tally, begun);
        let shown = show(arguments, &report, out)
            .and_then(|()| if report.is_passed() { Ok(()) } else { explain(arguments, &task, report, out) });
        if outcome.is_ok() {
            outcome = shown;
        }
        outcome.is_ok() && time.is_none_or(|time| begun.elapsed() < time)
    });
    progress.end();
    outcome?;
    summarise(arguments, &tally, begun.elapsed(), out)?;
    Ok(tally.ending())
}

/// What came of all runs so far.
struct Tally {
    profile: Profile,
    runs: u64,
    failed: u64,
    heights: u64,
    virtual_ms: u64,
    marks: Marks,
}

impl Tally {
    fn new(profile: Profile) -> Self {
        Self { profile, runs: 0, failed: 0, heights: 0, virtual_ms: 0, marks: Marks::new() }
    }

    fn add(&mut self, report: &Report) {
        self.runs = self.runs.saturating_add(1);
        self.failed = self.failed.saturating_add(u64::from(!report.is_passed()));
        self.heights = self.heights.saturating_add(report.height);
        self.virtual_ms = self.virtual_ms.saturating_add(report.virtual_ms);
        self.marks.merge(&report.marks);
    }

    fn missing(&self) -> Vec<&'static str> {
        campaign::missing(self.profile, self.runs, &self.marks)
    }

    fn ending(&self) -> Ending {
        if self.failed > 0 {
            Ending::Failed
        } else if self.heights == 0 || !self.missing().is_empty() {
            Ending::Vacuous
        } else {
            Ending::Passed
        }
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    summary: &'a str,
    profile: &'a str,
    runs: u64,
    failed: u64,
    heights: u64,
    virtual_ms: u64,
    wall_ms: u128,
    marks: BTreeMap<&'static str, u64>,
    missing: Vec<&'static str>,
}

fn show(arguments: &SimulateArguments, report: &Report, out: &mut dyn Write) -> Result<(), SimulateError> {
    let line = if arguments.json {
        serde_json::to_string(&ReportLine::from(report)).map_err(unwritable)?
    } else {
        text(report)
    };
    writeln!(out, "{line}").map_err(unwritable)
}

/// A run in one line.
fn text(report: &Report) -> String {
    let healing = report.healing_ms.map_or_else(|| "-".to_owned(), |(took, _)| format!("{took} ms"));
    format!(
        "{} seed {} profile {} nodes {} heights {} finality p50 {} ms p99 {} ms healed in {healing} marks {} trace {}",
        if report.is_passed() { "PASS" } else { "FAIL" },
        report.options.seed,
        report.options.profile,
        report.nodes.len(),
        report.height,
        report.finality_p50_ms,
        report.finality_p99_ms,
        report.marks.len(),
        report.hash
    )
}

/// Writes the bundle of a failed run, and says how to run it again.
fn explain(
    arguments: &SimulateArguments,
    task: &Task,
    report: Report,
    out: &mut dyn Write,
) -> Result<(), SimulateError> {
    let (task, report) =
        if arguments.shrink { shrink(task, report, &Workshop::new()) } else { (task.clone(), report) };
    let Some(bundle) = Bundle::of(&task, &report) else { return Ok(()) };
    let path = bundle.write(&arguments.failures).map_err(|error| SimulateError::File(error.to_string()))?;
    if arguments.json {
        return Ok(());
    }
    writeln!(out, "     {} after {} s: {}", bundle.property, bundle.at, bundle.detail).map_err(unwritable)?;
    for node in &bundle.nodes {
        writeln!(out, "     {node}").map_err(unwritable)?;
    }
    writeln!(out, "     again: {}", command(&path)).map_err(unwritable)
}

fn command(path: &Path) -> String {
    format!("quorate simulate --replay {}", path.display())
}

fn summarise(
    arguments: &SimulateArguments,
    tally: &Tally,
    took: Duration,
    out: &mut dyn Write,
) -> Result<(), SimulateError> {
    let (missing, wall_ms) = (tally.missing(), took.as_millis());
    if arguments.json {
        let verdict = match tally.ending() {
            Ending::Passed => "passed",
            Ending::Failed => "failed",
            Ending::Vacuous => "vacuous",
        };
        let summary = Summary {
            summary: verdict,
            profile: tally.profile.name(),
            runs: tally.runs,
            failed: tally.failed,
            heights: tally.heights,
            virtual_ms: tally.virtual_ms,
            wall_ms,
            marks: tally.marks.iter().collect(),
            missing,
        };
        let line = serde_json::to_string(&summary).map_err(unwritable)?;
        return writeln!(out, "{line}").map_err(unwritable);
    }
    for (mark, count) in tally.marks.iter() {
        writeln!(out, "{count:>10}  {mark}").map_err(unwritable)?;
    }
    let rate = u128::from(tally.runs).saturating_mul(60_000).checked_div(wall_ms.max(1)).unwrap_or_default();
    writeln!(
        out,
        "{} runs of profile {}, {} failed, {} blocks, {} s of virtual time in {} s, {rate} runs a minute",
        tally.runs,
        tally.profile,
        tally.failed,
        tally.heights,
        tally.virtual_ms / 1_000,
        took.as_secs()
    )
    .map_err(unwritable)?;
    if !missing.is_empty() {
        writeln!(out, "vacuous: never happened: {}", missing.join(", ")).map_err(unwritable)?;
    }
    Ok(())
}

/// Shows how far a campaign is.
struct Progress {
    count: Option<u64>,
    is_terminal: bool,
    shown: Instant,
}

impl Progress {
    fn new(count: Option<u64>) -> Self {
        Self { count, is_terminal: io::stderr().is_terminal(), shown: Instant::now() }
    }

    fn show(&mut self, tally: &Tally, begun: Instant) {
        let pause = if self.is_terminal { Duration::from_millis(200) } else { PROGRESS_PAUSE };
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let of = self.count.map_or_else(String::new, |count| format!(" of {count}"));
        let ends = if self.is_terminal { ("\r", "\x1b[K") } else { ("", "\n") };
        let (runs, failed, seconds) = (tally.runs, tally.failed, begun.elapsed().as_secs());
        // Nobody needs to read it.
        let _ = write!(io::stderr(), "{}{runs}{of} runs, {failed} failed, {seconds} s{}", ends.0, ends.1);
    }

    fn end(&self) {
        if self.is_terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
