//! `quorate node`: one node, from its first files to its running.
mod init;
mod start;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use quorate_genesis::Genesis;
use quorate_keystore::{KeyFile, Passphrase, files};
use quorate_primitives::SecretKey;
use quorate_primitives::validators::ValidatorSet;
use quorate_rpc::Client;
use quorate_rpc::json::Voting;
use zeroize::Zeroizing;

use super::{Exit, Failure, OrExit, print};
use crate::config::Config;

/// Longest passphrase file in bytes.
const PASSPHRASE_FILE_BYTES_MAX: usize = 4_096;
/// How long a node may take to answer `quorate node status`.
const STATUS_PATIENCE: Duration = Duration::from_secs(5);

/// Run and inspect one node.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Write a configuration and a new key into a folder.
    Init(init::InitArguments),
    /// Run the node until SIGTERM or Ctrl-C.
    Start(StartArguments),
    /// Read configuration, genesis and key, and say whether the node could start. Writes nothing.
    CheckConfig(ConfigArguments),
    /// Ask a running node how it is.
    Status(StatusArguments),
}

/// Where the configuration is.
#[derive(Debug, Clone, Args)]
pub struct ConfigArguments {
    /// Configuration file; `quorate config reference` explains every key.
    #[arg(long, value_name = "FILE", default_value = "node.toml")]
    config: PathBuf,
    /// Overrides one key of the file, such as `--set rpc.listen=127.0.0.1:8700`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

/// How a node is started.
#[derive(Debug, Clone, Args)]
pub struct StartArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Stop when standard input is closed, so that the node cannot outlive the program that started it.
    #[arg(long)]
    stop_with_stdin: bool,
}

/// Which node is asked.
#[derive(Debug, Clone, Args)]
pub struct StatusArguments {
    /// Where the node serves JSON-RPC [default: what its configuration says].
    #[arg(long, value_name = "URL")]
    rpc: Option<String>,
    /// Print the node's answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArguments,
}

pub(super) fn run(command: NodeCommand) -> Result<(), Failure> {
    match command {
        NodeCommand::Init(arguments) => init::run(&arguments),
        NodeCommand::Start(arguments) => start::run(&arguments),
        NodeCommand::CheckConfig(arguments) => check(&arguments),
        NodeCommand::Status(arguments) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.or_exit_about(Exit::Internal, "runtime")?.block_on(status(&arguments))
        }
    }
}

impl ConfigArguments {
    fn load(&self) -> Result<Config, Failure> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Config::load(&self.config, variables, &self.overrides).or_exit(Exit::Genesis)
    }
}

/// Opens the node's key.
fn open_key(config: &Config) -> Result<SecretKey, Failure> {
    let path = &config.key_file;
    let file = KeyFile::read(path).or_exit(Exit::Key)?;
    let passphrase = config.key_passphrase_file.as_deref().map(read_passphrase).transpose()?;
    file.open(passphrase.as_ref()).or_exit_about(Exit::Key, path.display())
}

/// The first line of a passphrase file.
fn read_passphrase(path: &Path) -> Result<Passphrase, Failure> {
    Passphrase::new(first_line(path)?).or_exit_about(Exit::Key, path.display())
}

fn first_line(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = files::read_text(path, PASSPHRASE_FILE_BYTES_MAX).map(Zeroizing::new).or_exit(Exit::Key)?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// What a node with this key is among these validators: its name and its role.
fn role(validators: &ValidatorSet, genesis: &Genesis, key: &SecretKey) -> (String, String) {
    let (public, network) = (key.public_key(), &genesis.network);
    match validators.members().iter().find(|member| member.key == public) {
        Some(member) => (member.name.to_string(), format!("validator {} of {network}", member.name)),
        None => (format!("observer-{:.8}", public.to_string()), format!("observer of {network}")),
    }
}

fn check(arguments: &ConfigArguments) -> Result<(), Failure> {
    let config = arguments.load()?;
    let genesis = super::genesis::read(&config.genesis_file)?;
    let key = open_key(&config)?;
    let (_, role) = role(&genesis.validators, &genesis, &key);
    print(&format!(
        "configuration  {}\ngenesis        {} ({})\nkey            {} ({role})\ndata           {}\nlisten         {}\npeers          {}\nrpc            http://{}\nmetrics        http://{}/metrics\n",
        arguments.config.display(),
        config.genesis_file.display(),
        genesis.hash(),
        key.public_key(),
        config.data_dir.display(),
        config.network.listen,
        config.network.peers.len(),
        config.rpc_listen,
        config.metrics_listen,
    ))
}

async fn status(arguments: &StatusArguments) -> Result<(), Failure> {
    let url = match &arguments.rpc {
        Some(url) => url.clone(),
        None => format!("http://{}", arguments.config.load()?.rpc_listen),
    };
    let client = Client::new(&url, STATUS_PATIENCE).or_exit(Exit::Unreachable)?;
    let status = client.node_status().await.or_exit(Exit::Unreachable)?;
    if arguments.json {
        let text = serde_json::to_string_pretty(&status).or_exit(Exit::Internal)?;
        return print(&format!("{text}\n"));
    }
    let state = match (&status.not_progressing, status.syncing, status.ready) {
        (Some(reason), _, _) => format!("does not advance: {reason}"),
        (None, true, _) => "catching up".to_owned(),
        (None, false, true) => "ready".to_owned(),
        (None, false, false) => "not ready".to_owned(),
    };
    let role = match (status.validator, status.voting) {
        (None, _) => "observer".to_owned(),
        (Some(index), Voting::Yes | Voting::Observer) => format!("validator {index}"),
        (Some(index), Voting::Asking) => format!("validator {index}, which asks the others before it votes"),
        (Some(index), Voting::Quarantined) => {
            format!("validator {index}, which lost its vote log and does not vote")
        }
        (Some(index), Voting::Silent) => format!("validator {index}, which does not vote yet"),
    };
    print(&format!(
        "node       {} ({role}, version {})\nstate      {state}\nheight     {} (epoch {}, view {})\npeers      {}\nwaiting    {} transactions\n",
        status.name,
        status.version,
        status.height.0,
        status.epoch.0,
        status.view.0,
        status.peers,
        status.pending_transactions.0,
    ))
}
