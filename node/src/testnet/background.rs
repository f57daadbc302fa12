//! A testnet whose supervisor is a process of its own.
use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use quorate_keystore::files;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::folder::{Folder, FolderError};
use super::ports::PortBase;
use super::probe::probe_all;
use super::process;
use super::report::Report;
use super::supervisor::{KeptState, Options, Output, READY_INTERVAL, Signals};
use super::table::{self, Supervised};
use crate::commands::{Exit, Failure, OrExit, print};

/// How long a background supervisor may take to stop its nodes and itself.
const STOP_PATIENCE: Duration = Duration::from_secs(6);

/// A running supervisor and what it runs. Dropping it leaves the testnet running.
#[derive(Debug)]
pub struct Background {
    child: Child,
    /// What runs.
    pub report: Report,
}

impl Background {
    /// Starts a testnet and returns when it is ready.
    ///
    /// # Errors
    /// [`Failure`] with the last message of the supervisor if it ended, or when a signal came before the
    /// testnet was ready: then nothing is left running.
    pub async fn start(options: &Options, signals: &mut Signals) -> Result<Self, Failure> {
        let folder = &options.folder;
        if folder.is_locked() {
            let path = folder.path().to_owned();
            return Err(Failure::new(Exit::Configuration, FolderError::Running { path }));
        }
        folder.check_own().or_exit(Exit::Configuration)?;
        files::create_folder(folder.path()).or_exit(Exit::Configuration)?;
        let program = std::env::current_exe().or_exit(Exit::Internal)?;
        let path = folder.supervisor_log();
        let log = std::fs::File::create(&path).or_exit_about(Exit::Internal, path.display())?;
        let errors = log.try_clone().or_exit(Exit::Internal)?;
        let mut command = Command::new(program);
        command.args(arguments(options)).stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
        let mut child = command.spawn().or_exit(Exit::Internal)?;
        let outcome = tokio::select! {
            ready = wait_ready(&mut child, folder) => ready,
            () = signals.wait() => Err(Failure::new(Exit::Internal, "stopped before the first block")),
        };
        match outcome {
            Ok(report) => Ok(Self { child, report }),
            Err(failure) => {
                process::stop(vec![&mut child], STOP_PATIENCE).await;
                Err(failure)
            }
        }
    }

    /// Stops the testnet.
    pub async fn stop(mut self) {
        process::stop(vec![&mut self.child], STOP_PATIENCE).await;
    }
}

/// Starts a testnet, says how it is, and leaves it running.
///
/// # Errors
/// As [`Background::start`].
pub async fn detach(options: &Options) -> Result<(), Failure> {
    let Background { report, .. } = Background::start(options, &mut Signals::new()?).await?;
    match options.output {
        Output::Json => print(&report.to_json()),
        Output::Table => {
            let probes = probe_all(&report).await;
            print(&table::table(&report, &probes, Supervised::Elsewhere))
        }
    }
}

/// The command line that starts the same testnet in the foreground.
fn arguments(options: &Options) -> Vec<OsString> {
    let mut line: Vec<OsString> = vec!["testnet".into(), "--dir".into(), options.folder.path().into()];
    let mut add = |flag: &str, value: Option<String>| {
        if let Some(value) = value {
            line.push(flag.into());
            line.push(value.into());
        }
    };
    add("--validators", options.validators.map(|number| number.to_string()));
    add("--seed", options.seed.clone());
    add("--epoch-length", options.epoch_length.map(|length| length.to_string()));
    add("--block-time", options.block_time.map(|time| format!("{}ms", time.as_millis())));
    add(
        "--port-base",
        options.port_base.map(|base| match base {
            PortBase::Auto => "auto".to_owned(),
            PortBase::From(port) => port.to_string(),
        }),
    );
    if options.state == KeptState::Fresh {
        line.push("--fresh".into());
    }
    line
}

/// Waits until the background supervisor says that its testnet is ready.
async fn wait_ready(child: &mut Child, folder: &Folder) -> Result<Report, Failure> {
    let pid = child.id();
    loop {
        if let Some(status) = child.try_wait().or_exit(Exit::Internal)? {
            let said = process::last_lines(&folder.supervisor_log(), 1).concat();
            let message = said.strip_prefix("error: ").unwrap_or(&said).to_owned();
            let exit = if status.code() == Some(9) { Exit::Configuration } else { Exit::Internal };
            return Err(Failure::new(exit, message));
        }
        let report = Report::read(&folder.report()).or_exit(Exit::Configuration)?;
        if let Some(report) = report.filter(|report| report.supervisor == pid && report.ready) {
            return Ok(report);
        }
        sleep(READY_INTERVAL).await;
    }
}
