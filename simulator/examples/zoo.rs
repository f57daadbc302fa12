//! Plants one bug after the other and hunts it: `zoo [--only NAME] [--seeds N] [--jobs N] [--minutes N]`.
//!
//! Without any bug a few runs are made first, which must pass. Ends with 1 if a bug was not found.
#![expect(clippy::disallowed_types, reason = "hunts are timed; nothing inside a run reads a clock")]
use clap::Parser;
use quorate_primitives::zoo::Bug;
use quorate_simulator::zoo::{Catch, Ground, hunt};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Runs without a bug.
const CONTROL_SEEDS: u64 = 20;

#[derive(Parser)]
#[command(about = "Plants bugs in the product, and hunts them")]
struct Arguments {
    /// Hunt this bug alone.
    #[arg(long)]
    only: Option<Bug>,
    /// Most runs for each bug.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// Bugs that are hunted at a time.
    #[arg(long)]
    jobs: Option<usize>,
    /// Longest hunt for one bug.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Say what exactly was found.
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic of the product is a catch like any other.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(Catch { seeds, property, detail }) = hunt(None, Ground::COMMON, CONTROL_SEEDS, || false) {
        println!("without any bug, seed {seeds} breaks {property}: {detail}");
        return ExitCode::FAILURE;
    }
    println!("without any bug, {CONTROL_SEEDS} seeds pass");
    println!("{:28}{:10}{:>6}{:>9}  property", "bug", "ground", "seeds", "seconds");
    let bugs: Vec<Bug> = arguments.only.map_or_else(|| Bug::ALL.to_vec(), |bug| vec![bug]);
    let (next, found) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.unwrap_or(cores).max(1) {
            scope.spawn(|| {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    found.fetch_add(usize::from(is_found(*bug, &arguments)), Ordering::Relaxed);
                }
            });
        }
    });
    let found = found.into_inner();
    println!("{found} of {} found", bugs.len());
    ExitCode::from(u8::from(found < bugs.len()))
}

fn is_found(bug: Bug, arguments: &Arguments) -> bool {
    let (ground, begun) = (Ground::of(bug), Instant::now());
    let longest = Duration::from_secs(arguments.minutes.saturating_mul(60));
    let caught = hunt(Some(bug), ground, arguments.seeds, || begun.elapsed() >= longest);
    let seconds = begun.elapsed().as_secs();
    let seeds = caught.as_ref().map_or(String::from("-"), |caught| caught.seeds.to_string());
    let property = caught.as_ref().map_or("NOT FOUND", |caught| caught.property.as_str());
    println!("{bug:28}{:10}{seeds:>6}{seconds:>9}  {property}", ground.name());
    if let Some(detail) = caught.as_ref().map(|caught| &caught.detail).filter(|_| arguments.verbose) {
        println!("    {detail}");
    }
    caught.is_some()
}
