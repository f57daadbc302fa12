//! `quorate bench`: how fast a network is.
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::{Exit, Failure, OrExit, print};
use crate::bench::accounts::{derive, open};
use crate::bench::load::Pace;
use crate::bench::machine::Cost;
use crate::bench::phases::Bench;
use crate::bench::report::{BenchReport, Setting, Signatures, Spending};
use crate::bench::target::{Target, Wanted};
use crate::bench::workload::Mix;
use crate::bench::{plot, say};
use crate::io::verify::fresh_rng;
use crate::testnet::folder::Folder;
use crate::testnet::report::Role;
use crate::testnet::supervisor::Signals;

/// Shortest and longest `--duration` in seconds.
const DURATION_S: std::ops::RangeInclusive<u64> = 1..=1_800;
/// Highest fixed rate.
const RATE_MAX: u64 = 1_000_000;
/// How long each step of a ramp lasts.
const RAMP_STEP: Duration = Duration::from_secs(5);
/// First rate of a ramp; each further step offers half as many more.
const RAMP_FIRST: u64 = 250;
/// A ramp ends when less than this share of what is offered becomes final, in thousandths.
const RAMP_END: u64 = 900;

/// Measure how many transactions a network of this machine finalizes, and how soon.
#[derive(Debug, Args)]
pub struct BenchArguments {
    /// Validators of the network that is started, 1 to 128.
    #[arg(long, value_name = "N", default_value_t = 4, conflicts_with = "dir", value_parser = clap::value_parser!(u8).range(1..=128))]
    validators: u8,
    /// Use the testnet that runs in this folder instead of starting one.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Accounts among which money moves, 10 to 1000000.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    accounts: u32,
    /// Transactions offered each second: a number, `max` for as many as become final, or `ramp` for rising
    /// steps until no more become final.
    #[arg(long, value_name = "N|max|ramp", default_value = "max", value_parser = parse_rate)]
    rate: Rate,
    /// Transactions on their way at a time with `--rate max`, 1 to 100000; found by trying if absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: Option<u32>,
    /// How long is measured, such as 30s or 10m.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    duration: Duration,
    /// Who pays whom.
    #[arg(long, value_enum, default_value_t = Mix::Single)]
    mix: Mix,
    /// Bytes of free text in each transaction, 0 to 256.
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=256))]
    payload: u16,
    /// Measure also how soon a single transfer is final and proven on an idle chain.
    #[arg(long)]
    idle_latency: bool,
    /// Draw latency over load into this SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print one JSON object instead of the text.
    #[arg(long)]
    json: bool,
}

/// What `--rate` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rate {
    Max,
    Ramp,
    Fixed(u64),
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    match text {
        "max" => Ok(Rate::Max),
        "ramp" => Ok(Rate::Ramp),
        _ => {
            let rate = text.parse().ok().filter(|rate| (1..=RATE_MAX).contains(rate));
            rate.map(Rate::Fixed)
                .ok_or_else(|| format!("expected max, ramp or a number from 1 to {RATE_MAX}"))
        }
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let (from, to) = (DURATION_S.start(), DURATION_S.end());
    let wrong = || format!("expected {from} s to {to} s, such as 30s or 10m");
    let (digits, factor) = match (text.strip_suffix('s'), text.strip_suffix('m')) {
        (Some(digits), _) => (digits, 1),
        (None, Some(digits)) => (digits, 60),
        (None, None) => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(factor).filter(|seconds| DURATION_S.contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

pub(super) fn run(arguments: &BenchArguments) -> Result<(), Failure> {
    let wanted = match &arguments.dir {
        Some(path) => Wanted::Running(Folder::new(path).or_exit(Exit::Usage)?),
        None => Wanted::Own { validators: arguments.validators },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.or_exit_about(Exit::Internal, "threads")?.block_on(carry_out(arguments, &wanted))
}

async fn carry_out(arguments: &BenchArguments, wanted: &Wanted) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let target = Target::find(wanted, &mut signals).await?;
    let outcome = tokio::select! {
        measured = measure(arguments, &target) => measured,
        () = signals.wait() => Err(Failure::new(Exit::Internal, "stopped before the end")),
    };
    target.leave().await;
    let report = outcome?;
    if let Some(path) = &arguments.plot {
        let steps: Vec<_> = report.steps.iter().chain(&report.steady).cloned().collect();
        std::fs::write(path, plot::svg(&steps)).or_exit_about(Exit::Internal, path.display())?;
    }
    print(&if arguments.json { report.to_json() } else { report.to_text() })
}

async fn measure(arguments: &BenchArguments, target: &Target) -> Result<BenchReport, Failure> {
    let count = usize::try_from(arguments.accounts).or_exit(Exit::Internal)?;
    let purses = derive(&target.report.seed, count)?;
    open(target, &purses).await?;
    let mut bench = Bench::new(target, &purses, arguments.mix, usize::from(arguments.payload)).await?;
    let checks = Arc::new(bench.checks()?);
    let cores = std::thread::available_parallelism().or_exit_about(Exit::Internal, "threads")?;
    let cores = u64::try_from(cores.get()).or_exit(Exit::Internal)?;
    let roles = target.report.nodes.iter().filter(|node| node.role == Role::Validator.name());
    let validators = u64::try_from(roles.count()).or_exit(Exit::Internal)?;
    let before = cost(Arc::clone(&checks)).await?;
    let idle = if arguments.idle_latency { Some(bench.idle().await?) } else { None };

    // Nothing can become final faster than this, so no more need to be signed.
    let most = before.bound(cores, validators).max(100);
    let mut steps = Vec::new();
    let pace = match (arguments.rate, arguments.in_flight) {
        (Rate::Max, Some(count)) => {
            Some((Pace::InFlight(usize::try_from(count).or_exit(Exit::Internal)?), most))
        }
        (Rate::Max, None) => {
            let count = bench.search(most, &mut steps).await?;
            let found = steps.iter().map(|step| step.finalized_per_second).max().unwrap_or(most);
            Some((Pace::InFlight(count), found.saturating_mul(3) / 2 + 100))
        }
        (Rate::Fixed(rate), _) => Some((Pace::Rate(rate), rate)),
        (Rate::Ramp, _) => {
            ramp(&mut bench, &mut steps).await?;
            None
        }
    };
    let steady = match pace {
        Some((pace, most)) => {
            say(format_args!("steady load for {} s", arguments.duration.as_secs()));
            Some(bench.step(pace, arguments.duration, most).await?)
        }
        None => None,
    };
    let after = cost(checks).await?;
    let signatures = Signatures::of(before, after, cores, validators);
    let spending = steady.as_ref().and_then(|step| {
        let final_in_window = step.finalized_per_second.saturating_mul(step.window_ms) / 1_000;
        step.spent.as_ref().map(|spent| Spending::of(spent, final_in_window, step.blocks))
    });
    let ratio = |step: &crate::bench::phases::Step| {
        step.finalized_per_second.saturating_mul(1_000).checked_div(signatures.bound_per_second)
    };
    Ok(BenchReport {
        setting: Setting {
            version: env!("CARGO_PKG_VERSION"),
            cores,
            validators,
            accounts: count,
            mix: arguments.mix.name(),
            payments_per_transaction: arguments.mix.payments(),
            payload_bytes: usize::from(arguments.payload),
        },
        ratio_to_bound_permille: steady.as_ref().and_then(ratio),
        signatures,
        idle,
        steps,
        steady,
        spending,
    })
}

/// What a signature costs, measured while nothing is offered.
async fn cost(checks: Arc<Vec<quorate_primitives::keys::SignatureCheck>>) -> Result<Cost, Failure> {
    say("measuring what a signature costs");
    let mut rng = fresh_rng().or_exit(Exit::Internal)?;
    let measured = tokio::task::spawn_blocking(move || Cost::measure(&checks, &mut rng)).await;
    let invalid = || Failure::new(Exit::Internal, "a signature that was just made is invalid");
    measured.or_exit(Exit::Internal)?.ok_or_else(invalid)
}

/// Rising steps until less becomes final than is offered.
async fn ramp(bench: &mut Bench<'_>, steps: &mut Vec<crate::bench::phases::Step>) -> Result<(), Failure> {
    let mut rate = RAMP_FIRST;
    loop {
        let step = bench.step(Pace::Rate(rate), RAMP_STEP, rate).await?;
        say(format_args!("{rate} tx/s offered: {} tx/s final", step.finalized_per_second));
        let enough = step.finalized_per_second.saturating_mul(1_000) >= rate.saturating_mul(RAMP_END);
        steps.push(step);
        if !enough || rate >= RATE_MAX {
            return Ok(());
        }
        rate = rate.saturating_mul(3) / 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_numbers_or_words() {
        assert_eq!(parse_rate("max"), Ok(Rate::Max));
        assert_eq!(parse_rate("2000"), Ok(Rate::Fixed(2_000)));
        assert!(parse_rate("0").is_err() && parse_rate("fast").is_err());
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert!(
            parse_duration("30").is_err() && parse_duration("0s").is_err() && parse_duration("31m").is_err()
        );
    }
}
