//! Puts the parts of a node together, runs them, and takes them apart again.
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quorate_genesis::Genesis;
use quorate_ledger::store::StoreError;
use quorate_ledger::store::rocks::Rocks;
use quorate_ledger::{Ledger, OpenError};
use quorate_primitives::self_test;
use quorate_replica::Fault;
use quorate_rpc::{Limits, Server, Settings as RpcSettings};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, oneshot, watch};

use super::StartArguments;
use crate::commands::{Exit, Failure, OrExit};
use crate::config::Config;
use crate::io::api::{Api, Identity};
use crate::io::driver::{self, DriverConfig, Failure as DriverFailure, StartError};
use crate::io::feed::Feed;
use crate::io::journal::JournalError;
use crate::io::net::{NetworkConfig, PeerAddress};
use crate::io::timers::wall_clock;
use crate::telemetry::metrics::{CallCounter, Metrics};
use crate::telemetry::{self, pulse, server};

/// How long open calls may take to end when the node stops; a stop takes less than 5 s in all.
const CALLS_PATIENCE: Duration = Duration::from_secs(1);
/// How long everything together may take to stop.
const STOP_PATIENCE: Duration = Duration::from_millis(3_500);
/// How long tasks may take after that to notice that they are no longer wanted.
const TASKS_PATIENCE: Duration = Duration::from_secs(1);
/// Blocks older than this when they are committed were caught up with, and say nothing about pace.
const FRESH: Duration = Duration::from_secs(10);

pub(super) fn run(arguments: &StartArguments) -> Result<(), Failure> {
    let config = arguments.config.load()?;
    // A machine that computes wrongly must not sign anything.
    self_test::check(&mut UnwrapErr(SysRng)).or_exit_about(Exit::Internal, "self-test")?;
    let genesis = crate::commands::genesis::read(&config.genesis_file)?;
    let key = super::open_key(&config)?;
    let (name, role) = super::role(&genesis, &key);
    telemetry::start_log(&config.log);
    tracing::info!(%role, key = %key.public_key(), chain = %genesis.hash(), "node starts");
    let ledger = open_ledger(&config.data_dir, &genesis)?;
    tracing::info!(height = ledger.head().height().get(), block = %ledger.head().block(), "ledger opened");
    let identity = Identity {
        chain: genesis.hash(),
        key: key.public_key(),
        name,
        started: wall_clock(),
        pool: config.settings.pool.clone(),
        genesis: genesis.clone(),
    };
    let peers = config.network.peers.iter();
    let driver_config = DriverConfig {
        genesis,
        settings: config.settings.clone(),
        ledger,
        key,
        data: config.data_dir.clone(),
        key_folder: config.key_file.parent().map_or_else(PathBuf::new, Path::to_owned),
        network: NetworkConfig {
            listen: vec![config.network.listen],
            peers: peers.map(|peer| PeerAddress { key: peer.key, address: peer.address.clone() }).collect(),
            observers: config.network.observers.clone(),
        },
        verify_threads: config.verify_threads,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.or_exit_about(Exit::Internal, "threads")?;
    let stop_with_stdin = arguments.stop_with_stdin;
    let outcome = runtime.block_on(serve(config, driver_config, identity, stop_with_stdin));
    // Every task must let go of the database before the process ends, because its library's own threads
    // end with the process. Whatever still blocks a thread then must not keep it.
    runtime.shutdown_timeout(TASKS_PATIENCE);
    outcome
}

fn open_ledger(data: &Path, genesis: &Genesis) -> Result<Ledger, Failure> {
    let path = data.join("ledger");
    fs::create_dir_all(data).or_exit_about(Exit::Storage, data.display())?;
    let store = Rocks::open(&path).map_err(|error| {
        let exit = if matches!(error, StoreError::Locked { .. }) { Exit::Internal } else { Exit::Storage };
        Failure::new(exit, error_chain(&error))
    })?;
    Ledger::open(Arc::new(store), genesis).map_err(|error| {
        let exit = match &error {
            OpenError::OtherChain { .. } | OpenError::Genesis { .. } => Exit::Genesis,
            _ => Exit::Storage,
        };
        Failure::new(exit, format_args!("{}: {error}", path.display()))
    })
}

fn explain_start(error: &StartError) -> Failure {
    let exit = match error {
        StartError::Journal(JournalError::Locked { .. }) => Exit::Internal,
        StartError::Journal(_) | StartError::Ledger(_) => Exit::Storage,
        StartError::Network(_) | StartError::Threads(_) | StartError::Panicked => Exit::Internal,
    };
    Failure::new(exit, error_chain(error))
}

fn explain_failure(failure: &DriverFailure) -> Failure {
    let untrusted = |fault: &Fault| matches!(fault, Fault::Storage { .. } | Fault::Diverged { .. });
    let exit = match failure {
        DriverFailure::Journal(_) | DriverFailure::Storage(_) => Exit::Storage,
        DriverFailure::Halted(fault) if untrusted(fault) => Exit::Storage,
        DriverFailure::Halted(_) | DriverFailure::Unrecorded(_) | DriverFailure::Panicked => Exit::Internal,
    };
    Failure::new(exit, error_chain(failure))
}

/// An error with its causes in one line.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

async fn serve(
    config: Config,
    driver: DriverConfig,
    identity: Identity,
    stop_with_stdin: bool,
) -> Result<(), Failure> {
    let metrics_listener = TcpListener::bind(config.metrics_listen).await;
    let metrics_listener = metrics_listener
        .or_exit_about(Exit::Internal, format_args!("metrics.listen = \"{}\"", config.metrics_listen))?;
    let mut stop = Stop::new(stop_with_stdin)?;
    let driver = driver::spawn(driver).await.map_err(|error| explain_start(&error))?;
    let feed = Feed::new();
    let metrics = Metrics::new(driver.clone(), Arc::clone(&feed));
    let api = Api::new(driver.clone(), Arc::clone(&feed), identity);
    let follower = tokio::spawn(follow(driver.committed(), Arc::clone(&feed), Arc::clone(&metrics)));
    let rpc = RpcSettings {
        hosts: config.rpc_hosts.clone(),
        limits: Limits { stop_timeout: CALLS_PATIENCE, ..Limits::default() },
        observer: Arc::new(CallCounter(Arc::clone(&metrics))),
        ..RpcSettings::new(config.rpc_listen)
    };
    let rpc = match Server::start(rpc, Arc::new(api.clone())).await {
        Ok(server) => server,
        Err(error) => {
            driver.shutdown().await;
            return Err(Failure::new(Exit::Internal, format_args!("rpc.listen: {}", error_chain(&error))));
        }
    };
    let (stopping, stopped) = watch::channel(false);
    let until = async move {
        let mut stopped = stopped;
        // The sender is dropped only when the node stops.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let health = tokio::spawn(server::serve(metrics_listener, metrics, api, until));
    let line = tokio::spawn(pulse::run(driver.clone(), feed));
    tracing::info!(rpc = %rpc.address(), metrics = %config.metrics_listen, "node serves");

    let outcome = tokio::select! {
        why = stop.wait() => { tracing::info!(why, "node stops"); Ok(()) }
        failure = driver.failed() => {
            let failure = explain_failure(&failure);
            tracing::error!(%failure, "node stops because going on would not be safe");
            Err(failure)
        }
    };
    let all = async {
        let _ = stopping.send(true);
        rpc.stop().await;
        driver.shutdown().await;
        line.abort();
        follower.abort();
        health.abort();
    };
    if tokio::time::timeout(STOP_PATIENCE, all).await.is_err() {
        tracing::warn!("some part did not stop in time and is left behind");
    }
    tracing::info!("node stopped");
    outcome
}

/// Hands every committed block to the feed, in order.
async fn follow(
    mut committed: broadcast::Receiver<Arc<quorate_replica::Committed>>,
    feed: Arc<Feed>,
    metrics: Arc<Metrics>,
) {
    loop {
        match committed.recv().await {
            Ok(block) => {
                let executed = &block.executed;
                feed.block(executed.height(), executed.time(), executed.receipts());
                let age = Duration::from_millis(wall_clock().distance_from(executed.time()));
                if age < FRESH {
                    metrics.committed_after(age);
                }
                tracing::info!(
                    height = executed.height().get(),
                    view = executed.view().get(),
                    transactions = executed.receipts().len(),
                    age_ms = age.as_millis(),
                    "block committed"
                );
            }
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::debug!(missed, "blocks came faster than they were followed");
                feed.missed();
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Everything that asks the node to stop.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    input: Option<oneshot::Receiver<()>>,
}

impl Stop {
    fn new(stop_with_stdin: bool) -> Result<Self, Failure> {
        let listen = |kind| signal(kind).or_exit_about(Exit::Internal, "signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            input: stop_with_stdin.then(input_closed),
        })
    }

    async fn wait(&mut self) -> &'static str {
        let input = self.input.take();
        let closed = async move {
            match input {
                Some(closed) => drop(closed.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => "interrupt",
            _ = self.terminate.recv() => "terminate",
            () = closed => "standard input was closed",
        }
    }
}

/// Resolves when standard input ends. The thread that reads it ends with the process.
fn input_closed() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut ignored = [0; 256];
        let mut input = std::io::stdin().lock();
        while matches!(input.read(&mut ignored), Ok(1..)) {}
        drop(sender);
    });
    receiver
}
