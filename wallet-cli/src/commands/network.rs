//! `network`: pin networks and choose between them.
use quorate_genesis::Genesis;
use quorate_keystore::files;
use quorate_keystore::network::GENESIS_BYTES_MAX;
use quorate_keystore::{Home, NetworkFile, NetworkName};
use quorate_primitives::Hash;
use serde_json::{Value, json};
use std::path::Path;

use crate::arguments::{NetworkCommand, Settings};
use crate::failure::{Exit, Failure};
use crate::network::{self, Network};
use crate::output::{Report, table};

pub(super) fn execute(settings: &Settings, command: NetworkCommand) -> Result<Report, Failure> {
    let home = network::home(settings)?;
    match command {
        NetworkCommand::Add { name, genesis, genesis_hash, make_current } => {
            let (text, parsed) = read_genesis(&genesis, genesis_hash)?;
            add(settings, &home, &name, (&text, &parsed))?;
            if make_current || home.current_network()?.is_none() {
                home.use_network(&name)?;
            }
            show(settings, &home, Some(&name))
        }
        NetworkCommand::List => list(&home),
        NetworkCommand::Use { name } => {
            // Only a network that can be opened is chosen.
            home.network(&name)?;
            home.use_network(&name)?;
            Ok(Report::new(format!("using {name}\n"), json!({ "current": name.as_str() })))
        }
        NetworkCommand::Show { name } => show(settings, &home, name.as_ref()),
    }
}

fn read_genesis(path: &Path, expected: Option<Hash>) -> Result<(String, Genesis), Failure> {
    let text = files::read_text(path, GENESIS_BYTES_MAX)?;
    let wrong = |what: String| Failure::new(Exit::Configuration, format_args!("{}: {what}", path.display()));
    let genesis = Genesis::parse(&text).map_err(|error| wrong(error.to_string()))?;
    let found = genesis.hash();
    match expected.filter(|expected| *expected != found) {
        Some(expected) => {
            Err(wrong(format!("the document hashes to {found}, but --genesis-hash is {expected}")))
        }
        None => Ok((text, genesis)),
    }
}

fn add(
    settings: &Settings,
    home: &Home,
    name: &NetworkName,
    (text, genesis): (&str, &Genesis),
) -> Result<(), Failure> {
    let file = NetworkFile::new(settings.rpc.clone(), genesis.hash());
    let file = file.map_err(|error| Failure::usage(format_args!("--rpc: {error}")))?;
    Ok(home.add_network(name, text, &file)?)
}

fn list(home: &Home) -> Result<Report, Failure> {
    let current = home.current_network()?;
    let (mut rows, mut list) = (Vec::new(), Vec::new());
    for name in home.network_names()? {
        let file = NetworkFile::read(&home.network_path(&name))?;
        let is_current = current.as_ref() == Some(&name);
        let mark = if is_current { "*" } else { "" };
        rows.push(vec![
            mark.to_owned(),
            name.to_string(),
            file.genesis_hash().to_string(),
            file.rpc().join(" "),
        ]);
        list.push(json!({
            "name": name.as_str(),
            "current": is_current,
            "genesis_hash": file.genesis_hash().to_string(),
            "rpc": file.rpc(),
        }));
    }
    let text = table(&["", "network", "genesis", "rpc"], &rows);
    Ok(Report::new(text, json!({ "networks": list })).with_rows("networks"))
}

fn show(settings: &Settings, home: &Home, name: Option<&NetworkName>) -> Result<Report, Failure> {
    let asked = name.map_or_else(|| network::chosen(home, settings), |name| Ok(name.clone()))?;
    let network = Network::open_named(home, settings, asked)?;
    let (genesis, validators) = (&network.genesis, &network.genesis.validators);
    let members: Vec<Value> = validators
        .members()
        .iter()
        .map(|member| {
            json!({
                "name": member.name.as_str(),
                "organisation": member.organisation.as_str(),
                "key": member.key.to_string(),
            })
        })
        .collect();
    let mut text = format!(
        "network     {} ({})\ngenesis     {}\nprefix      {}\nvalidators  {} (quorum {})\n",
        network.name,
        genesis.network,
        network.chain,
        genesis.prefix.as_str(),
        validators.len(),
        validators.quorum(),
    );
    for member in validators.members() {
        text.push_str(&format!("            {} {} {}\n", member.name, member.organisation, member.key));
    }
    text.extend(network.urls.iter().map(|url| format!("rpc         {url}\n")));
    let fields = json!({
        "name": network.name.as_str(),
        "network": genesis.network.as_str(),
        "genesis_hash": network.chain.to_string(),
        "address_prefix": genesis.prefix.as_str(),
        "validators": members,
        "quorum": validators.quorum(),
        "rpc": network.urls,
    });
    Ok(Report::new(text, fields))
}
