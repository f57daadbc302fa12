//! Writes a new testnet: the founding document, keys, and the configuration of every node.
use std::time::Duration;

use quorate_genesis::Genesis;
use quorate_genesis::build::{AssetDraft, Draft};
use quorate_keystore::files::{self, FileError};
use quorate_keystore::{Home, KeyFile, KeyName, NetworkFile, NetworkName, Protection};
use quorate_primitives::address::Address;
use quorate_primitives::state::{Capabilities, Permission};
use quorate_primitives::{SecretKey, Timestamp};

use super::folder::Folder;
use super::ports::NodePorts;
use super::report::{AccountReport, NodeReport, Report};
use super::{node_name, seeds};

/// How the addresses of every testnet begin.
const PREFIX: &str = "qdev";
/// The organisation that runs everything in a testnet.
const ORGANISATION: &str = "devs";
/// Issues the testnet's money and administers the organisation.
const TREASURY: &str = "treasury";
/// Accounts that own money from the beginning.
const HOLDERS: [&str; 3] = ["alice", "bob", "carol"];
/// The testnet's money.
const SYMBOL: &str = "USD";
/// What each holder owns at the beginning.
const FIRST_BALANCE: &str = "1000000.00";
/// As [`FIRST_BALANCE`], for people.
const FIRST_BALANCE_SHOWN: &str = "1,000,000.00 USD";
/// Nothing, for people.
const NO_BALANCE_SHOWN: &str = "0.00 USD";
/// Most money that may exist.
const CAP: &str = "1000000000000.00";

/// What a testnet is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What keys are derived from.
    pub seed: String,
    /// How many validators. Range: 1 to 128.
    pub validators: u8,
    /// Time between empty blocks, if not the usual one.
    pub block_time: Option<Duration>,
}

/// Why a testnet could not be written.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The plan does not make a sound genesis.
    #[error("genesis: {0}")]
    Genesis(#[from] quorate_genesis::GenesisError),
    /// A name or a key that its file refuses.
    #[error("{what}: {reason}")]
    Refused {
        /// Which file.
        what: &'static str,
        /// What it says.
        reason: String,
    },
}

fn refused(what: &'static str) -> impl Fn(&dyn std::fmt::Display) -> GenerateError {
    move |reason| GenerateError::Refused { what, reason: reason.to_string() }
}

/// Names of the accounts whose keys lie in the folder.
fn account_names() -> impl Iterator<Item = &'static str> {
    HOLDERS.into_iter().chain([TREASURY])
}

/// The founding document of the plan's network at this time.
#[must_use]
pub fn draft(plan: &Plan, time: Timestamp) -> Draft {
    let mut draft = Draft::new(&seeds::network_name(&plan.seed), PREFIX, time);
    draft.organisation(ORGANISATION, "Developers", TREASURY);
    for index in 0..usize::from(plan.validators) {
        let name = node_name(index);
        draft.validator(&name, ORGANISATION, seeds::key(&plan.seed, &name).public_key());
    }
    for name in account_names() {
        draft.account(name, ORGANISATION, seeds::key(&plan.seed, name).public_key());
    }
    draft.asset(AssetDraft {
        symbol: SYMBOL.to_owned(),
        name: "Test dollar, worthless".to_owned(),
        decimals: 2,
        cap: CAP.to_owned(),
        capabilities: Capabilities::MINTABLE,
        issuer: TREASURY.to_owned(),
    });
    for holder in HOLDERS {
        draft.balance(holder, SYMBOL, FIRST_BALANCE);
    }
    let scope = format!("organisation:{ORGANISATION}");
    draft.grant(TREASURY, Permission::AccountCreate, &scope);
    draft.grant(TREASURY, Permission::AssetCreate, &scope);
    draft
}

/// Writes everything that stays the same as long as the testnet exists. The genesis comes last: without
/// it there is no testnet in the folder.
///
/// # Errors
/// [`GenerateError`] naming the file.
pub fn create(folder: &Folder, plan: &Plan, time: Timestamp) -> Result<Genesis, GenerateError> {
    let text = draft(plan, time).to_toml();
    let genesis = Genesis::parse(&text)?;
    let home = Home::new(folder.path());
    files::create_folder(&home.keys_folder())?;
    for name in account_names() {
        let file = key_file(name, &seeds::key(&plan.seed, name))?;
        files::replace(&home.keys_folder().join(format!("{name}.json")), file.to_text().as_bytes())?;
    }
    for index in 0..usize::from(plan.validators) {
        let name = node_name(index);
        files::create_folder(&folder.node(&name))?;
        let file = key_file(&name, &seeds::key(&plan.seed, &name))?;
        files::replace(&folder.node_key(&name), file.to_text().as_bytes())?;
    }
    files::replace(&folder.genesis(), text.as_bytes())?;
    Ok(genesis)
}

fn key_file(name: &str, key: &SecretKey) -> Result<KeyFile, GenerateError> {
    let name = KeyName::new(name).map_err(|error| refused("key name")(&error))?;
    KeyFile::seal(&name, key, None, Protection::TestKey).map_err(|error| refused("key file")(&error))
}

/// Writes everything that depends on the ports: each node's configuration, and where the wallet asks.
///
/// # Errors
/// [`GenerateError`] naming the file.
pub fn configure(
    folder: &Folder,
    plan: &Plan,
    genesis: &Genesis,
    ports: &[NodePorts],
) -> Result<(), GenerateError> {
    for index in 0..ports.len() {
        let text = node_config(plan, ports, index);
        files::replace(&folder.node_config(&node_name(index)), text.as_bytes())?;
    }
    let home = Home::new(folder.path());
    let name = NetworkName::new(genesis.network.as_str()).map_err(|error| refused("network name")(&error))?;
    let urls = ports.iter().take(quorate_keystore::network::URLS_MAX).map(|node| rpc_url(*node)).collect();
    let network = NetworkFile::new(urls, genesis.hash()).map_err(|error| refused("network file")(&error))?;
    files::create_folder(&home.network_folder(&name))?;
    let text = files::read_text(&folder.genesis(), quorate_genesis::GENESIS_BYTES_MAX)?;
    files::replace(&home.genesis_path(&name), text.as_bytes())?;
    files::replace(&home.network_path(&name), network.to_text().as_bytes())?;
    home.use_network(&name)?;
    Ok(())
}

fn rpc_url(ports: NodePorts) -> String {
    format!("http://127.0.0.1:{}", ports.rpc)
}

fn p2p_address(ports: NodePorts) -> String {
    format!("/ip4/127.0.0.1/tcp/{}", ports.p2p)
}

fn node_config(plan: &Plan, ports: &[NodePorts], index: usize) -> String {
    let own = ports.get(index).copied().unwrap_or(NodePorts { rpc: 0, p2p: 0, metrics: 0 });
    let others = ports.iter().enumerate().filter(|(other, _)| *other != index);
    let peers: Vec<String> = others
        .map(|(other, ports)| {
            let key = seeds::key(&plan.seed, &node_name(other)).public_key();
            format!("  \"{key}@{}\",\n", p2p_address(*ports))
        })
        .collect();
    let pace = plan.block_time.map_or_else(String::new, |time| {
        let least = time.as_millis().min(50);
        format!("\n[consensus]\ninterval_min_ms = {least}\ninterval_idle_ms = {}\n", time.as_millis())
    });
    format!(
        "# Written by `quorate testnet` at every start.\n\
         genesis_file = \"../genesis.toml\"\n\
         key_file = \"validator.json\"\n\
         data_dir = \"data\"\n\n\
         [network]\nlisten = \"{}\"\npeers = [\n{}]\n\n\
         [rpc]\nlisten = \"127.0.0.1:{}\"\n\n\
         [metrics]\nlisten = \"127.0.0.1:{}\"\n{pace}",
        p2p_address(own),
        peers.concat(),
        own.rpc,
        own.metrics,
    )
}

/// What is known before the first node runs.
#[must_use]
pub fn report(folder: &Folder, plan: &Plan, genesis: &Genesis, ports: &[NodePorts]) -> Report {
    let nodes = ports.iter().enumerate().map(|(index, ports)| {
        let name = node_name(index);
        NodeReport {
            role: "validator".to_owned(),
            rpc: rpc_url(*ports),
            p2p: p2p_address(*ports),
            metrics: format!("http://127.0.0.1:{}/metrics", ports.metrics),
            pid: None,
            key: seeds::key(&plan.seed, &name).public_key().to_string(),
            folder: folder.node(&name),
            log: folder.node_log(&name),
            ports: *ports,
            name,
        }
    });
    let home = Home::new(folder.path());
    let account = |name: &str| {
        let account = genesis.account_named(name)?;
        Some(AccountReport {
            name: name.to_owned(),
            address: Address { account, tag: None }.to_text(&genesis.prefix),
            account: account.to_string(),
            key_file: home.keys_folder().join(format!("{name}.json")),
            balance: if name == TREASURY { NO_BALANCE_SHOWN } else { FIRST_BALANCE_SHOWN }.to_owned(),
        })
    };
    Report {
        schema: 1,
        network: genesis.network.to_string(),
        genesis_hash: genesis.hash().to_string(),
        folder: folder.path().to_owned(),
        seed: plan.seed.clone(),
        supervisor: None,
        ready: false,
        nodes: nodes.collect(),
        accounts: account_names().filter_map(account).collect(),
    }
}
