//! `quorate bench`: how fast a network is.
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use quorate_primitives::validators::faulty_max;

use super::{Exit, Failure, OrExit, print};
use crate::bench::accounts::{Purse, derive, now, open};
use crate::bench::load::Pace;
use crate::bench::machine::Cost;
use crate::bench::phases::{Bench, Step};
use crate::bench::report::{BenchReport, Setting, Signatures, Spending};
use crate::bench::search::Chosen;
use crate::bench::supply::Demand;
use crate::bench::target::{Target, Wanted};
use crate::bench::workload::{Mix, Workload};
use crate::bench::{plot, say};
use crate::io::verify::fresh_rng;
use crate::testnet::folder::Folder;
use crate::testnet::supervisor::Signals;

/// Shortest and longest `--duration` in seconds.
const DURATION_S: std::ops::RangeInclusive<u64> = 1..=1_800;
/// Highest fixed rate.
const RATE_MAX: u64 = 1_000_000;
/// How long it takes at most until a process that has ended is seen to have ended.
const MOMENT: Duration = Duration::from_secs(2);

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
    /// End so many of the validators before the load, as a crash would: at most as many as may be faulty.
    #[arg(long, value_name = "K", default_value_t = 0, conflicts_with = "dir")]
    silent: u8,
    /// Offer so many times the maximum after the steady load, 2 to 20, and see what becomes of it and how soon
    /// latency is normal again.
    #[arg(long, value_name = "FACTOR", num_args = 0..=1, default_missing_value = "3", value_parser = clap::value_parser!(u8).range(2..=20))]
    overload: Option<u8>,
    /// How long that is offered, such as 30s or 2m.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_duration)]
    overload_duration: Duration,
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
    check(arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.or_exit_about(Exit::Internal, "threads")?.block_on(carry_out(arguments, &wanted))
}

/// What can be known to be wrong before anything is started.
fn check(arguments: &BenchArguments) -> Result<(), Failure> {
    let (validators, silent) = (arguments.validators, arguments.silent);
    let most = faulty_max(usize::from(validators));
    if usize::from(silent) > most {
        let message = format_args!(
            "--silent {silent}: expected 0 to {most}: of {validators} validators no more than {most} may be silent, or no block becomes final"
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    if arguments.overload.is_some() && arguments.rate != Rate::Max {
        let message = "--overload offers a multiple of the maximum: expected --rate max";
        return Err(Failure::new(Exit::Usage, message));
    }
    if let Some(path) = &arguments.plot {
        // Found out now, not after minutes of load.
        std::fs::write(path, plot::svg(&[])).or_exit_about(Exit::Usage, path.display())?;
    }
    Ok(())
}

async fn carry_out(arguments: &BenchArguments, wanted: &Wanted) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let mut target = Target::find(wanted, &mut signals).await?;
    let outcome = measure_all(arguments, &mut target, &mut signals).await;
    target.leave().await;
    let report = outcome?;
    if let Some(path) = &arguments.plot {
        let steps: Vec<_> = report.steps.iter().chain(&report.steady).cloned().collect();
        std::fs::write(path, plot::svg(&steps)).or_exit_about(Exit::Internal, path.display())?;
    }
    print(&if arguments.json { report.to_json() } else { report.to_text() })
}

async fn measure_all(
    arguments: &BenchArguments,
    target: &mut Target,
    signals: &mut Signals,
) -> Result<BenchReport, Failure> {
    let purses = unless_ended(target, signals, open_all(arguments, target)).await?;
    target.silence(usize::from(arguments.silent)).await?;
    unless_ended(target, signals, measure(arguments, target, purses)).await
}

/// What is done, unless a signal comes or a validator ends meanwhile.
async fn unless_ended<T>(
    target: &Target,
    signals: &mut Signals,
    done: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        // Calls to a validator that has ended fail, too, but do not tell why.
        biased;
        () = signals.wait() => Err(Failure::new(Exit::Internal, "stopped before the end")),
        ended = target.watch_over() => Err(ended),
        outcome = done => match outcome {
            Err(failure) if failure.exit() == Exit::Unreachable => {
                // It may be seen to have ended a moment later.
                let ended = tokio::time::timeout(MOMENT, target.watch_over()).await;
                Err(ended.unwrap_or(failure))
            }
            outcome => outcome,
        },
    }
}

async fn open_all(arguments: &BenchArguments, target: &Target) -> Result<Vec<Purse>, Failure> {
    let count = usize::try_from(arguments.accounts).or_exit(Exit::Internal)?;
    let purses = derive(&target.report.seed, count).await?;
    open(target, &purses).await?;
    Ok(purses)
}

async fn measure(
    arguments: &BenchArguments,
    target: &Target,
    purses: Vec<Purse>,
) -> Result<BenchReport, Failure> {
    let payload = usize::from(arguments.payload);
    let workload = Workload::new(Arc::new(purses), arguments.mix, payload, now()?.get());
    let bench = Bench::new(target, workload).await?;
    let checks = Arc::new(bench.checks()?);
    let cores = std::thread::available_parallelism().or_exit_about(Exit::Internal, "threads")?;
    let cores = u64::try_from(cores.get()).or_exit(Exit::Internal)?;
    let (validators, running) = target.validators();
    let (validators, running) =
        (u64::try_from(validators).or_exit(Exit::Internal)?, u64::try_from(running).or_exit(Exit::Internal)?);
    let before = cost(Arc::clone(&checks)).await?;
    let idle = if arguments.idle_latency { Some(bench.idle().await?) } else { None };

    // Nothing can become final faster than this, so no more need to be in stock.
    let most = (before.bound(cores, running) / arguments.mix.payments()).max(100);
    let (mut steps, mut chosen) = (Vec::new(), None);
    let steady = steady(arguments, &bench, most, (&mut steps, &mut chosen)).await?;
    let overload = match (&steady, arguments.overload) {
        (Some(step), Some(factor)) => {
            Some(bench.overload(step, u64::from(factor), arguments.overload_duration).await?)
        }
        _ => None,
    };
    let signatures = Signatures::of(before, cost(checks).await?, cores, running);
    let spending = steady.as_ref().and_then(|step| {
        let final_in_window = step.finalized_per_second.saturating_mul(step.window_ms) / 1_000;
        step.spent.as_ref().map(|spent| Spending::of(spent, final_in_window, step.blocks))
    });
    let ratio = |step: &Step| {
        step.finalized_per_second.saturating_mul(1_000).checked_div(signatures.bound_per_second)
    };
    Ok(BenchReport {
        setting: Setting {
            version: env!("CARGO_PKG_VERSION"),
            cores,
            validators,
            silent: validators.saturating_sub(running),
            accounts: bench.workload.purses().len(),
            mix: arguments.mix.name(),
            payments_per_transaction: arguments.mix.payments(),
            payload_bytes: payload,
        },
        ratio_to_bound_permille: steady.as_ref().and_then(ratio),
        signatures,
        idle,
        steps,
        chosen,
        memory: steady.as_ref().map(|step| step.memory.clone()).unwrap_or_default(),
        steady,
        spending,
        overload,
    })
}

/// The steady load, after looking for it where that is asked for. At most `most` become final in a second.
async fn steady(
    arguments: &BenchArguments,
    bench: &Bench<'_>,
    most: u64,
    (steps, chosen): (&mut Vec<Step>, &mut Option<Chosen>),
) -> Result<Option<Step>, Failure> {
    let (pace, demand) = match (arguments.rate, arguments.in_flight) {
        (Rate::Max, Some(count)) => {
            (Pace::InFlight(usize::try_from(count).or_exit(Exit::Internal)?), Demand::exactly(most))
        }
        (Rate::Max, None) => {
            bench.search(most, steps).await?;
            let nothing = || Failure::new(Exit::Internal, "nothing became final");
            let found = Chosen::of(steps).filter(|found| found.best_per_second > 0).ok_or_else(nothing)?;
            *chosen = Some(found);
            let expected = found.finalized_per_second;
            let demand = Demand { most: expected.saturating_mul(3) / 2 + 100, expected };
            (Pace::InFlight(found.in_flight), demand)
        }
        (Rate::Fixed(rate), _) => (Pace::Rate(rate), Demand::exactly(rate)),
        (Rate::Ramp, _) => {
            bench.ramp(steps).await?;
            return Ok(None);
        }
    };
    say(format_args!("steady load for {} s", arguments.duration.as_secs()));
    bench.step(pace, arguments.duration, demand).await.map(Some)
}

/// What a signature costs, measured while nothing is offered.
async fn cost(checks: Arc<Vec<quorate_primitives::keys::SignatureCheck>>) -> Result<Cost, Failure> {
    say("measuring what a signature costs");
    let mut rng = fresh_rng().or_exit(Exit::Internal)?;
    let measured = tokio::task::spawn_blocking(move || Cost::measure(&checks, &mut rng)).await;
    let invalid = || Failure::new(Exit::Internal, "a signature that was just made is invalid");
    measured.or_exit(Exit::Internal)?.ok_or_else(invalid)
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
