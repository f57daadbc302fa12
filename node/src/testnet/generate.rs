//! Writes a testnet into its folder: the founding document, keys, and the configuration of every node.
use quorate_genesis::Genesis;
use quorate_keystore::files::{self, FileError};
use quorate_keystore::{Home, KeyFile, KeyName, NetworkFile, NetworkName, Protection};
use quorate_primitives::address::Address;
use quorate_primitives::{SecretKey, Timestamp};

use super::folder::Folder;
use super::founding::{
    GOVERNANCE, GOVERNANCE_THRESHOLD, KeyHolder, Plan, administrators, draft, key_holders, organisation_of,
};
use super::ports::NodePorts;
use super::report::{AccountReport, GovernanceReport, NodeReport, Report, Role};
use super::{node_name, seeds};

/// Nodes that can be added to a testnet. The others know their keys from the beginning, so nobody has to
/// be restarted.
const ADDED_MAX: usize = 8;
/// Most nodes of a testnet, which is as many as there are ports in a range.
const NODES_MAX: usize = 128;

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

/// Most nodes that a testnet founded by so many validators may ever have.
#[must_use]
pub fn nodes_max(validators: usize) -> usize {
    validators.saturating_add(ADDED_MAX).min(NODES_MAX)
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
    for KeyHolder { name, .. } in key_holders() {
        let file = key_file(name, &seeds::key(&plan.seed, name))?;
        files::replace(&home.keys_folder().join(format!("{name}.json")), file.to_text().as_bytes())?;
    }
    for index in 0..plan.nodes() {
        create_node(folder, plan, index)?;
    }
    files::replace(&folder.genesis(), text.as_bytes())?;
    Ok(genesis)
}

/// Writes the key of a node into a folder of its own.
///
/// # Errors
/// [`GenerateError`] naming the file.
pub fn create_node(folder: &Folder, plan: &Plan, index: usize) -> Result<(), GenerateError> {
    let name = node_name(index);
    files::create_folder(&folder.node(&name))?;
    let file = key_file(&name, &seeds::key(&plan.seed, &name))?;
    files::replace(&folder.node_key(&name), file.to_text().as_bytes())?;
    Ok(())
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
        configure_node(folder, plan, ports, index)?;
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

/// Writes the configuration of a node.
///
/// # Errors
/// [`GenerateError`] naming the file.
pub fn configure_node(
    folder: &Folder,
    plan: &Plan,
    ports: &[NodePorts],
    index: usize,
) -> Result<(), GenerateError> {
    let text = node_config(plan, ports, index);
    files::replace(&folder.node_config(&node_name(index)), text.as_bytes())?;
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
    // Also those of nodes that may be added, and of validators, which stay when they are removed.
    let known = (0..nodes_max(usize::from(plan.validators))).filter(|other| *other != index);
    let observers: Vec<String> = known
        .map(|other| format!("  \"{}\",\n", seeds::key(&plan.seed, &node_name(other)).public_key()))
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
         [network]\nlisten = \"{}\"\npeers = [\n{}]\nobservers = [\n{}]\n\n\
         [rpc]\nlisten = \"127.0.0.1:{}\"\n\n\
         [metrics]\nlisten = \"127.0.0.1:{}\"\n{pace}",
        p2p_address(own),
        peers.concat(),
        observers.concat(),
        own.rpc,
        own.metrics,
    )
}

/// What is known before the first node runs.
#[must_use]
pub fn report(folder: &Folder, plan: &Plan, genesis: &Genesis, ports: &[NodePorts]) -> Report {
    let nodes = ports.iter().enumerate().map(|(index, ports)| report_node(folder, plan, index, *ports));
    let home = Home::new(folder.path());
    let address = |account| Address { account, tag: None }.to_text(&genesis.prefix);
    let account = |holder: KeyHolder| {
        let account = genesis.account_named(holder.name)?;
        Some(AccountReport {
            name: holder.name.to_owned(),
            address: address(account),
            account: account.to_string(),
            key_file: home.keys_folder().join(format!("{}.json", holder.name)),
            balance: holder.balance.to_owned(),
        })
    };
    let governance = genesis.account_named(GOVERNANCE).map(|account| GovernanceReport {
        name: GOVERNANCE.to_owned(),
        address: address(account),
        account: account.to_string(),
        threshold: GOVERNANCE_THRESHOLD,
        keys: administrators().map(str::to_owned).collect(),
    });
    Report {
        schema: 1,
        network: genesis.network.to_string(),
        genesis_hash: genesis.hash().to_string(),
        folder: folder.path().to_owned(),
        seed: plan.seed.clone(),
        supervisor: None,
        ready: false,
        nodes: nodes.collect(),
        accounts: key_holders().filter_map(account).collect(),
        epoch_length: Some(plan.epoch_length),
        epoch: None,
        governance,
    }
}

/// What is known of a node before it runs.
#[must_use]
pub fn report_node(folder: &Folder, plan: &Plan, index: usize, ports: NodePorts) -> NodeReport {
    let name = node_name(index);
    let role = if index < usize::from(plan.validators) { Role::Validator } else { Role::Observer };
    NodeReport {
        role: role.name().to_owned(),
        rpc: rpc_url(ports),
        p2p: p2p_address(ports),
        metrics: format!("http://127.0.0.1:{}/metrics", ports.metrics),
        pid: None,
        key: seeds::key(&plan.seed, &name).public_key().to_string(),
        folder: folder.node(&name),
        log: folder.node_log(&name),
        ports,
        organisation: Some(organisation_of(index).to_owned()),
        name,
    }
}
