//! `quorate testnet`: several validators on this machine.
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Exit, Failure, OrExit};
use crate::testnet::folder::Folder;
use crate::testnet::ports::PortBase;
use crate::testnet::seeds::SEED_BYTES_MAX;
use crate::testnet::supervisor::{self, KeptState, Options, Output};
use crate::testnet::{background, chaos};

/// Shortest and longest `--block-time` in milliseconds.
const BLOCK_TIME_MS: std::ops::RangeInclusive<u64> = 50..=60_000;

/// Shortest and longest `--epoch-length`, as in every genesis.
const EPOCH_LENGTH: std::ops::RangeInclusive<u64> = 10..=9_223_372_036_854_775_807;

/// Run a network of several validators on this machine. Ctrl-C stops it; the next start goes on with
/// the same chain.
#[derive(Debug, Args)]
pub struct TestnetArguments {
    /// How many validators, 1 to 128; 4 unless the folder says otherwise.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=128))]
    validators: Option<u8>,
    /// What all keys are derived from, 1 to 64 bytes.
    #[arg(long, value_name = "TEXT", value_parser = parse_seed)]
    seed: Option<String>,
    /// How many blocks an epoch has, from 10 on; 1000 unless the folder says otherwise. A change of the
    /// validators takes effect in the epoch after the next one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(EPOCH_LENGTH))]
    epoch_length: Option<u64>,
    /// Time between two blocks when there is nothing to order, such as 500ms or 1s.
    #[arg(long, value_name = "TIME", value_parser = parse_block_time)]
    block_time: Option<Duration>,
    /// First of three ranges of ports (rpc, p2p, metrics), or `auto` for whatever is free.
    #[arg(long, value_name = "N|auto")]
    port_base: Option<PortBase>,
    /// Folder of the testnet [default: quorate/testnet in the user's data folder].
    #[arg(long, value_name = "DIR", global = true)]
    dir: Option<PathBuf>,
    /// Remove what is there and begin a new chain.
    #[arg(long)]
    fresh: bool,
    /// Return when it is ready and leave it running.
    #[arg(long)]
    detach: bool,
    /// Print one JSON object instead of the table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Option<TestnetAction>,
}

#[derive(Debug, Subcommand)]
enum TestnetAction {
    /// Print how every node is.
    Status,
    /// End a node at once, as a power failure would.
    Kill {
        /// Its name, such as n3.
        node: String,
    },
    /// Start a node again, and wait until it has caught up.
    Restart {
        /// Its name, such as n3.
        node: String,
    },
    /// Freeze a node.
    Pause {
        /// Its name, such as n3.
        node: String,
    },
    /// Let a frozen node go on.
    Resume {
        /// Its name, such as n3.
        node: String,
    },
    /// Add a node, which follows the chain until it is made a validator.
    Add {
        /// Its name, which can only be that of the next node, such as n5.
        node: Option<String>,
    },
    /// Stop the testnet.
    Down,
    /// Print the end of a node's log.
    Logs {
        /// Its name, such as n3.
        node: String,
        /// How many lines, 1 to 1000.
        #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        lines: u16,
        /// Go on printing what is added.
        #[arg(short, long)]
        follow: bool,
    },
}

fn parse_seed(text: &str) -> Result<String, String> {
    let fits = (1..=SEED_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("expected 1 to {SEED_BYTES_MAX} bytes without control characters"))
    }
}

fn parse_block_time(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "expected {} ms to {} s, such as 500ms or 1s",
            BLOCK_TIME_MS.start(),
            BLOCK_TIME_MS.end() / 1_000
        )
    };
    let (digits, factor) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => (digits, 1),
        (None, Some(digits)) => (digits, 1_000),
        (None, None) => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let ms = number.checked_mul(factor).filter(|ms| BLOCK_TIME_MS.contains(ms)).ok_or_else(wrong)?;
    Ok(Duration::from_millis(ms))
}

pub(super) fn run(arguments: TestnetArguments) -> Result<(), Failure> {
    let folder = match &arguments.dir {
        Some(path) => Folder::new(path),
        None => Folder::usual(),
    };
    let folder = folder.or_exit(Exit::Usage)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.or_exit_about(Exit::Internal, "threads")?.block_on(carry_out(arguments, folder))
}

async fn carry_out(arguments: TestnetArguments, folder: Folder) -> Result<(), Failure> {
    match &arguments.action {
        None if arguments.detach => background::detach(&options(arguments, folder)).await,
        None => supervisor::run(options(arguments, folder)).await,
        Some(TestnetAction::Status) => chaos::status(&folder, arguments.json).await,
        Some(TestnetAction::Kill { node }) => chaos::kill(&folder, node).await,
        Some(TestnetAction::Restart { node }) => chaos::restart(&folder, node).await,
        Some(TestnetAction::Pause { node }) => chaos::pause(&folder, node).await,
        Some(TestnetAction::Resume { node }) => chaos::resume(&folder, node).await,
        Some(TestnetAction::Add { node }) => chaos::add(&folder, node.as_deref()).await,
        Some(TestnetAction::Down) => chaos::down(&folder).await,
        Some(TestnetAction::Logs { node, lines, follow }) => {
            chaos::logs(&folder, node, usize::from(*lines), *follow).await
        }
    }
}

fn options(arguments: TestnetArguments, folder: Folder) -> Options {
    Options {
        folder,
        seed: arguments.seed,
        validators: arguments.validators,
        epoch_length: arguments.epoch_length,
        block_time: arguments.block_time,
        port_base: arguments.port_base,
        state: if arguments.fresh { KeptState::Fresh } else { KeptState::Continue },
        output: if arguments.json { Output::Json } else { Output::Table },
    }
}
