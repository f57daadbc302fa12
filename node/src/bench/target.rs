//! The network under load: one that was started for it, or a testnet that runs.
use std::path::PathBuf;
use std::time::Duration;

use quorate_genesis::{GENESIS_BYTES_MAX, Genesis};
use quorate_keystore::files;
use quorate_primitives::SecretKey;
use quorate_primitives::address::AccountId;
use quorate_primitives::state::AssetId;
use quorate_rpc::Client;

use super::say;
use crate::commands::{Exit, Failure, OrExit};
use crate::testnet::background::Background;
use crate::testnet::folder::Folder;
use crate::testnet::founding::{SYMBOL, TREASURY};
use crate::testnet::ports::PortBase;
use crate::testnet::report::{Report, Role};
use crate::testnet::seeds;
use crate::testnet::supervisor::{KeptState, Options, Output, Signals};

/// How long a node may take to answer while it is under load.
const PATIENCE: Duration = Duration::from_secs(20);

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
    /// One for each validator.
    pub clients: Vec<Client>,
    own: Option<(Background, PathBuf)>,
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
                Self::new(running.ok_or_else(missing)?, folder)
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

    fn new(report: Report, folder: &Folder) -> Result<Self, Failure> {
        let path = folder.genesis();
        let text = files::read_text(&path, GENESIS_BYTES_MAX).or_exit(Exit::Configuration)?;
        let genesis = Genesis::parse(&text).or_exit_about(Exit::Configuration, path.display())?;
        let validators = report.nodes.iter().filter(|node| node.role == Role::Validator.name());
        let clients = validators.map(|node| Client::new(&node.rpc, PATIENCE));
        let clients = clients.collect::<Result<Vec<_>, _>>().or_exit(Exit::Unreachable)?;
        Ok(Self { report, genesis, clients, own: None })
    }

    /// A client of the first validator.
    ///
    /// # Errors
    /// [`Failure`] if there is none.
    pub fn first(&self) -> Result<&Client, Failure> {
        self.clients.first().ok_or_else(|| Failure::new(Exit::NotFound, "the testnet has no validator"))
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
