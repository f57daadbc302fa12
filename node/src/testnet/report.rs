//! What is known about a running testnet: printed by `--json`, kept in `testnet.json`.
use std::path::{Path, PathBuf};

use quorate_keystore::files::{self, FileError};
use serde::{Deserialize, Serialize};

use super::ports::NodePorts;

/// Longest report in bytes: 128 nodes take about 64 KiB.
const REPORT_BYTES_MAX: usize = 1024 * 1024;

/// A testnet, its nodes and its accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this shape; fields are only ever added.
    pub schema: u32,
    /// Name of the network.
    pub network: String,
    /// Names the chain, 64 hexadecimal digits.
    pub genesis_hash: String,
    /// Folder of the testnet, which is also a wallet's home.
    pub folder: PathBuf,
    /// What the keys were derived from.
    pub seed: String,
    /// Process id of the supervisor; absent when the testnet does not run.
    pub supervisor: Option<u32>,
    /// Whether the nodes answered and finalized a block since the supervisor started.
    pub ready: bool,
    /// Validators in the order of the genesis, then nodes that were added.
    pub nodes: Vec<NodeReport>,
    /// Accounts whose test keys lie in the folder.
    pub accounts: Vec<AccountReport>,
    /// Blocks of an epoch.
    #[serde(default)]
    pub epoch_length: Option<u64>,
    /// The epoch when the testnet was last looked at.
    #[serde(default)]
    pub epoch: Option<u64>,
    /// The account that manages the validators.
    #[serde(default)]
    pub governance: Option<GovernanceReport>,
}

/// The account that manages the validators: several of the folder's keys act for it together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GovernanceReport {
    /// Name of the account.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its id, 64 hexadecimal digits.
    pub account: String,
    /// How many of the keys must sign.
    pub threshold: u32,
    /// Names of the keys.
    pub keys: Vec<String>,
}

/// What a node is for the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It votes.
    Validator,
    /// It follows.
    Observer,
}

impl Role {
    /// As it is written and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Validator => "validator",
            Self::Observer => "observer",
        }
    }
}

/// One node of a testnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Its name, such as `n1`.
    pub name: String,
    /// What it was when the testnet was last looked at: `validator` or `observer`.
    pub role: String,
    /// Where it serves JSON-RPC.
    pub rpc: String,
    /// Where other nodes connect to.
    pub p2p: String,
    /// Where it serves Prometheus metrics.
    pub metrics: String,
    /// Process id; absent when it does not run.
    pub pid: Option<u32>,
    /// Its public key, 64 hexadecimal digits.
    pub key: String,
    /// Folder of its configuration, key, data and log.
    pub folder: PathBuf,
    /// Its log.
    pub log: PathBuf,
    /// The ports behind the addresses.
    pub ports: NodePorts,
    /// The organisation that runs it.
    #[serde(default)]
    pub organisation: Option<String>,
}

/// One account of a testnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountReport {
    /// Name of the account, and of the key in the folder.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its id, 64 hexadecimal digits.
    pub account: String,
    /// File of its key.
    pub key_file: PathBuf,
    /// What it owned when the testnet was last looked at, such as `1,000,000.00 USD`.
    pub balance: String,
}

/// Why `testnet.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not what this program writes.
    #[error("{path}: not a testnet report: {source}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What the parser met.
        source: serde_json::Error,
    },
}

impl Report {
    /// Reads a report; `None` if there is no such file.
    ///
    /// # Errors
    /// [`ReportError`] naming the file.
    pub fn read(path: &Path) -> Result<Option<Self>, ReportError> {
        let text = match files::read_text(path, REPORT_BYTES_MAX) {
            Ok(text) => text,
            Err(FileError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let malformed = |source| ReportError::Malformed { path: path.to_owned(), source };
        serde_json::from_str(&text).map(Some).map_err(malformed)
    }

    /// Writes the report in place of the old one, whole or not at all.
    ///
    /// # Errors
    /// [`ReportError::File`].
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        files::replace(path, self.to_json().as_bytes()).map_err(ReportError::from)
    }

    /// The report as one JSON object on several lines.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts, numbers and paths of this program can always be written as JSON.
        serde_json::to_string_pretty(self).map(|text| text + "\n").unwrap_or_default()
    }

    /// The node with this name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeReport> {
        self.nodes.iter().find(|node| node.name == name)
    }
}
