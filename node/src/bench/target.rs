//! The network under load: one that was started for it, or a testnet that runs.
use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_genesis::{GENESIS_BYTES_MAX, Genesis};
use quorate_keystore::files;
use quorate_primitives::SecretKey;
use quorate_primitives::address::AccountId;
use quorate_primitives::state::AssetId;
use quorate_rpc::Client;
use tokio::time::sleep;

use super::say;
use super::usage::running;
use crate::commands::{Exit, Failure, OrExit};
use crate::testnet::background::Background;
use crate::testnet::folder::Folder;
use crate::testnet::founding::{SYMBOL, TREASURY};
use crate::testnet::ports::PortBase;
use crate::testnet::process::{Signal, is_ours, last_lines, signal};
use crate::testnet::report::{Report, Role};
use crate::testnet::seeds;
use crate::testnet::supervisor::{KeptState, Options, Output, Signals};

/// How long a node may take to answer while it is under load.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether all run that should.
const LOOK: Duration = Duration::from_millis(200);
/// Lines of a node's log that are shown when it ends.
const LAST_LINES: usize = 3;
/// By how much the clocks of this process and of a node may differ, and a call take.
const CLOCKS_MS: u64 = 1_000;

/// Which network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A new one with so many validators, in a folder of its own that is removed at the end.
    Own {
        /// How many.
        validators: u8,
    },
    /// The testnet that runs in this folder.
    Running(Folder),
}

/// A running testnet.
pub struct Target {
    /// What runs.
    pub report: Report,
    /// What it was founded by.
    pub genesis: Genesis,
    /// One for each validator that runs.
    pub clients: Vec<Client>,
    own: Option<(Background, PathBuf)>,
}

/// One client for each validator that runs.
fn clients(report: &Report) -> Result<Vec<Client>, Failure> {
    let clients = running(report).map(|node| Client::new(&node.rpc, PATIENCE));
    clients.collect::<Result<_, _>>().or_exit(Exit::Unreachable)
}

/// What is on the command line of the node in this folder, and of no other process.
fn config(folder: &Path) -> PathBuf {
    folder.join("node.toml")
}

impl Target {
    /// Starts a testnet, or looks at one.
    ///
    /// # Errors
    /// [`Failure`] if it does not start, or none runs in the folder.
    pub async fn find(wanted: &Wanted, signals: &mut Signals) -> Result<Self, Failure> {
        match wanted {
            Wanted::Running(folder) => {
                let report = Report::read(&folder.report()).or_exit(Exit::Configuration)?;
                let running = report.filter(|report| report.ready && folder.is_locked());
                let missing = || {
                    let path = folder.path().display();
                    let message = format!(
                        "no testnet runs in {path}: expected one; start it with `quorate testnet --dir {path}`"
                    );
                    Failure::new(Exit::Unreachable, message)
                };
                let target = Self::new(running.ok_or_else(missing)?, folder)?;
                target.check_chain().await?;
                Ok(target)
            }
            Wanted::Own { validators } => {
                let path = std::env::temp_dir().join(format!("quorate-bench-{}", std::process::id()));
                let folder = Folder::new(&path).or_exit(Exit::Internal)?;
                say(format_args!("starting {validators} validators in {}", path.display()));
                let options = Options {
                    folder: folder.clone(),
                    seed: None,
                    validators: Some(*validators),
                    epoch_length: None,
                    block_time: None,
                    port_base: Some(PortBase::Auto),
                    state: KeptState::Fresh,
                    output: Output::Json,
                };
                let background = Background::start(&options, signals).await?;
                match Self::new(background.report.clone(), &folder) {
                    Ok(target) => Ok(Self { own: Some((background, path)), ..target }),
                    Err(failure) => {
                        background.stop().await;
                        Err(failure)
                    }
                }
            }
        }
    }

    fn new(mut report: Report, folder: &Folder) -> Result<Self, Failure> {
        let path = folder.genesis();
        let text = files::read_text(&path, GENESIS_BYTES_MAX).or_exit(Exit::Configuration)?;
        let genesis = Genesis::parse(&text).or_exit_about(Exit::Configuration, path.display())?;
        for node in &mut report.nodes {
            node.pid = node.pid.filter(|pid| is_ours(*pid, &config(&node.folder)));
        }
        let clients = clients(&report)?;
        Ok(Self { report, genesis, clients, own: None })
    }

    /// The nodes that answer must be those of the folder, and the keys of the folder must act on their chain.
    async fn check_chain(&self) -> Result<(), Failure> {
        let first = self.first()?;
        let info = first.chain_info().await.or_exit(Exit::Unreachable)?;
        let (found, expected) = (info.chain.0, self.genesis.hash());
        if found != expected {
            let message = format_args!(
                "{} is a node of chain {found}: expected {expected}, as in the folder",
                first.url()
            );
            return Err(Failure::new(Exit::Configuration, message));
        }
        let (treasury, key) = self.treasury()?;
        let keys = self.genesis.account(&treasury).map(|account| &account.authority.keys);
        if !keys.is_some_and(|keys| keys.iter().any(|known| known.key == key.public_key())) {
            let message = format_args!(
                "the key of account {TREASURY} does not follow from seed {:?}: only testnets that `quorate testnet` made can be measured",
                self.report.seed
            );
            return Err(Failure::new(Exit::Configuration, message));
        }
        Ok(())
    }

    /// Ends the last `count` validators, as a crash would.
    ///
    /// # Errors
    /// [`Failure`] if one does not end.
    pub async fn silence(&mut self, count: usize) -> Result<(), Failure> {
        let validators = self.report.nodes.iter_mut().rev();
        let validators = validators.filter(|node| node.role == Role::Validator.name());
        for node in validators.take(count) {
            say(format_args!("{} is ended and stays silent", node.name));
            let Some(pid) = node.pid.take() else { continue };
            let config = config(&node.folder);
            if is_ours(pid, &config) && !signal(pid, Signal::KILL) {
                return Err(Failure::new(Exit::Internal, format_args!("{} cannot be ended", node.name)));
            }
            while is_ours(pid, &config) {
                sleep(LOOK).await;
            }
        }
        self.clients = clients(&self.report)?;
        Ok(())
    }

    /// Returns when a validator has ended that should run.
    pub async fn watch_over(&self) -> Failure {
        loop {
            for node in running(&self.report) {
                let runs = |pid| is_ours(pid, &config(&node.folder));
                if !node.pid.is_some_and(runs) {
                    let said = last_lines(&node.log, LAST_LINES).join(" | ");
                    let message =
                        format_args!("{} ended while it was measured; its log says: {said}", node.name);
                    return Failure::new(Exit::Internal, message);
                }
            }
            sleep(LOOK).await;
        }
    }

    /// How many validators there are, and how many of them run.
    #[must_use]
    pub fn validators(&self) -> (usize, usize) {
        let validators = self.report.nodes.iter().filter(|node| node.role == Role::Validator.name());
        (validators.count(), running(&self.report).count())
    }

    /// How far ahead a transaction's end of validity may lie, in milliseconds, less what clocks may differ.
    #[must_use]
    pub fn validity_max_ms(&self) -> u64 {
        self.genesis.parameters.max_validity_ms.saturating_sub(CLOCKS_MS)
    }

    /// A client of the first validator that runs.
    ///
    /// # Errors
    /// [`Failure`] if there is none.
    pub fn first(&self) -> Result<&Client, Failure> {
        let missing = || Failure::new(Exit::NotFound, "no validator of the testnet runs");
        self.clients.first().ok_or_else(missing)
    }

    /// The account that opens others and issues the money, and its key.
    ///
    /// # Errors
    /// [`Failure`] if the network has no such account: then it is no testnet.
    pub fn treasury(&self) -> Result<(AccountId, SecretKey), Failure> {
        let account = self.genesis.account_named(TREASURY);
        let missing =
            || Failure::new(Exit::Configuration, format_args!("no account {TREASURY} in the genesis"));
        Ok((account.ok_or_else(missing)?, seeds::key(&self.report.seed, TREASURY)))
    }

    /// The money that is moved.
    ///
    /// # Errors
    /// [`Failure`] if the network has no such asset: then it is no testnet.
    pub fn asset(&self) -> Result<AssetId, Failure> {
        let missing = || Failure::new(Exit::Configuration, format_args!("no asset {SYMBOL} in the genesis"));
        self.genesis.asset_named(SYMBOL).map(|(id, _)| *id).ok_or_else(missing)
    }

    /// Stops what was started, and removes its folder.
    pub async fn leave(self) {
        if let Some((background, path)) = self.own {
            background.stop().await;
            if let Err(error) = std::fs::remove_dir_all(&path) {
                say(format_args!("{} stays: {error}", path.display()));
            }
        }
    }
}
