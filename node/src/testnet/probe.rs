//! Asking the nodes of a testnet how they are. Answers are believed: they are shown, not acted upon.
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use quorate_rpc::Client;
use quorate_rpc::backend::Proofs;
use quorate_rpc::json::{BalancesAnswer, Voting};

use super::report::{Report, Role};
use super::table::grouped;

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A node's own account of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Newest finalized height.
    pub height: u64,
    /// Turn.
    pub view: u64,
    /// Index of the leader of that turn.
    pub leader: Option<u8>,
    /// Its own index.
    pub validator: Option<u8>,
    /// Whether it votes.
    pub voting: Voting,
    /// Its validator-set period.
    pub epoch: u64,
    /// Connected peers.
    pub peers: u64,
    /// What it can do.
    pub health: Health,
}

/// What a node can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Serve, and vote as a validator.
    Ready,
    /// It fetches blocks that others have.
    Syncing,
    /// It waits for something.
    Waiting(String),
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Syncing => f.write_str("catching up"),
            Self::Waiting(reason) => write!(f, "waiting ({reason})"),
        }
    }
}

/// Asks the node at this address; `None` if it does not answer.
pub async fn probe(url: &str) -> Option<Probe> {
    let status = Client::new(url, PATIENCE).ok()?.node_status().await.ok()?;
    let health = match (status.ready, status.syncing, status.not_progressing) {
        (_, true, _) => Health::Syncing,
        (true, false, None) => Health::Ready,
        (_, false, reason) => Health::Waiting(reason.unwrap_or_else(|| "not ready".to_owned())),
    };
    Some(Probe {
        height: status.height.0.get(),
        view: status.view.0.get(),
        leader: status.leader,
        validator: status.validator,
        voting: status.voting,
        epoch: status.epoch.0.get(),
        peers: u64::from(status.peers),
        health,
    })
}

/// Asks all nodes of a testnet at once, in their order.
pub async fn probe_all(report: &Report) -> Vec<Option<Probe>> {
    futures::future::join_all(report.nodes.iter().map(|node| probe(&node.rpc))).await
}

/// Writes into the report what the nodes are for the chain now, and the epoch that they have reached.
pub fn look_at_roles(report: &mut Report, probes: &[Option<Probe>]) {
    for (node, probe) in report.nodes.iter_mut().zip(probes) {
        if let Some(probe) = probe {
            let role = if probe.validator.is_some() { Role::Validator } else { Role::Observer };
            node.role = role.name().to_owned();
        }
    }
    report.epoch = probes.iter().flatten().map(|probe| probe.epoch).max().or(report.epoch);
}

/// The keys of the validators, as the first node that answers says.
pub async fn validator_keys(report: &Report) -> Option<BTreeSet<String>> {
    let answer = first_answering(report).await?.validators(None).await.ok()?;
    Some(answer.validators.iter().map(|member| member.key.0.to_string()).collect())
}

/// Writes into the report what its accounts own now, as the first node that answers says.
pub async fn look_at_balances(report: &mut Report) {
    let Some(client) = first_answering(report).await else {
        return;
    };
    for account in &mut report.accounts {
        let Ok(id) = account.account.parse() else {
            continue;
        };
        if let Ok(answer) = client.balances(id, Proofs::Omit).await
            && !answer.balances.is_empty()
        {
            account.balance = shown(&answer);
        }
    }
}

async fn first_answering(report: &Report) -> Option<Client> {
    for node in &report.nodes {
        let client = Client::new(&node.rpc, PATIENCE).ok()?;
        if client.head().await.is_ok() {
            return Some(client);
        }
    }
    None
}

fn shown(answer: &BalancesAnswer) -> String {
    let entries = answer.balances.iter().map(|entry| {
        let symbol =
            entry.symbol.as_ref().map_or_else(|| entry.asset.0.to_string(), |symbol| symbol.0.to_string());
        let amount = entry.balance.available.0.to_decimal(entry.decimals.unwrap_or(0));
        format!("{} {symbol}", grouped(&amount))
    });
    entries.collect::<Vec<_>>().join(", ")
}
