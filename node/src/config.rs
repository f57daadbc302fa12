//! What an operator decides about one node: a TOML file, overridden by variables, overridden by flags.
//!
//! [`settings`] is the only list of keys. A file is read by `document`, which names the line of
//! whatever it refuses; [`reference()`] writes the documentation of all keys from the same list.
mod document;
mod nearest;
mod reference;
pub mod settings;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use quorate_primitives::PublicKey;
use quorate_replica::{PoolLimits, Settings};

pub use document::Place;
pub use reference::reference;

use document::{Value, Values};
use settings::{Kind, Preset, Setting};

/// Longest configuration file in bytes: 128 peers and every key fit many times.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// A node's configuration, complete and checked. Paths are joined to the folder of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The founding document.
    pub genesis_file: PathBuf,
    /// The node's key.
    pub key_file: PathBuf,
    /// File with the passphrase of the key, if it is encrypted.
    pub key_passphrase_file: Option<PathBuf>,
    /// Folder of ledger and vote log.
    pub data_dir: PathBuf,
    /// Where nodes connect, and who they are.
    pub network: Network,
    /// Where JSON-RPC is served.
    pub rpc_listen: SocketAddr,
    /// Names besides localhost under which clients may address the node.
    pub rpc_hosts: Vec<String>,
    /// Where metrics and health are served.
    pub metrics_listen: SocketAddr,
    /// How log lines are written.
    pub log: Log,
    /// The pace of consensus and the bounds of the pool.
    pub settings: Settings,
    /// Threads that check signatures. Range: 1 to 64.
    pub verify_threads: usize,
}

/// Where nodes connect, and who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Own address.
    pub listen: SocketAddr,
    /// Known nodes.
    pub peers: Vec<PeerAddress>,
    /// Nodes let in that are no validators.
    pub observers: Vec<PublicKey>,
}

/// A node that this one connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// Who it must prove to be.
    pub key: PublicKey,
    /// Where it listens, as `host:port`.
    pub address: String,
}

/// How log lines are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Their shape.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}

/// Shape of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is too long to be one.
    #[error("configuration {path}: {found} bytes, but at most {FILE_BYTES_MAX} are allowed")]
    TooLong {
        /// Which.
        path: PathBuf,
        /// Bytes found.
        found: u64,
    },
    /// Not TOML.
    #[error("{place}: not TOML: {reason}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser met.
        reason: String,
    },
    /// A key that does not exist.
    #[error("{place}: unknown key {key:?}{}", did_you_mean(nearest.as_deref()))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// A value that its key does not accept.
    #[error("{place}: {key} = {found}: expected {allowed}")]
    Value {
        /// Where.
        place: Place,
        /// Whose.
        key: &'static str,
        /// What was given.
        found: String,
        /// What is allowed.
        allowed: String,
    },
    /// A service that would be open to the network.
    #[error(
        "{key} = \"{found}\": expected a loopback address, such as 127.0.0.1:8645, or {permission} = true, which opens it to the network"
    )]
    Remote {
        /// Whose.
        key: &'static str,
        /// The address.
        found: SocketAddr,
        /// The key that allows it.
        permission: &'static str,
    },
    /// A flag that is not of the form `KEY=VALUE`.
    #[error("flag --set {found:?}: expected KEY=VALUE, such as rpc.listen=127.0.0.1:8645")]
    Flag {
        /// What was given.
        found: String,
    },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || ": `quorate config reference` lists all keys".to_owned(),
        |name| format!(": did you mean {name:?}?"),
    )
}

impl Config {
    /// Reads the file, then the variables, then the flags (`KEY=VALUE`), each winning over the one before.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first thing that is not as it must be, and where it stands.
    pub fn load(
        path: &Path,
        variables: impl IntoIterator<Item = (String, String)>,
        flags: &[String],
    ) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        let found = std::fs::metadata(path).map_err(read)?.len();
        if found > FILE_BYTES_MAX {
            return Err(ConfigError::TooLong { path: path.to_owned(), found });
        }
        let text = std::fs::read_to_string(path).map_err(read)?;
        Self::parse(path, &text, variables, flags)
    }

    /// As [`Config::load`], from the text of the file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        path: &Path,
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
        flags: &[String],
    ) -> Result<Self, ConfigError> {
        let mut values = Values::new();
        document::read_document(path, text, &mut values)?;
        document::insert_variables(variables, &mut values)?;
        for flag in flags {
            let (key, value) = flag
                .split_once('=')
                .ok_or_else(|| ConfigError::Flag { found: flag.chars().take(80).collect() })?;
            document::insert_text(key.trim(), value.trim(), Place::Flag, &mut values)?;
        }
        let reader = Reader { values, folder: path.parent().unwrap_or(Path::new("")).to_owned() };
        reader.config()
    }
}

/// Picks typed values out of the checked ones, falling back to each key's default.
struct Reader {
    values: Values,
    folder: PathBuf,
}

impl Reader {
    fn config(&self) -> Result<Config, ConfigError> {
        let rpc_listen = self.socket("rpc.listen");
        let metrics_listen = self.socket("metrics.listen");
        self.check_local("rpc.listen", rpc_listen, "rpc.allow_remote")?;
        self.check_local("metrics.listen", metrics_listen, "metrics.allow_remote")?;
        self.check_order("consensus.timeout_min_ms", "consensus.timeout_max_ms")?;
        self.check_order("consensus.interval_min_ms", "consensus.interval_idle_ms")?;
        self.check_order("pool.sender_max", "pool.transactions_max")?;
        Ok(Config {
            genesis_file: self.path("genesis_file"),
            key_file: self.path("key_file"),
            key_passphrase_file: (!self.text("key_passphrase_file").is_empty())
                .then(|| self.path("key_passphrase_file")),
            data_dir: self.path("data_dir"),
            network: Network {
                listen: self.socket("network.listen"),
                peers: self.given("network.peers", |value| match value {
                    Value::Peers(peers) => Some(peers.clone()),
                    _ => None,
                }),
                observers: self.given("network.observers", |value| match value {
                    Value::Keys(keys) => Some(keys.clone()),
                    _ => None,
                }),
            },
            rpc_listen,
            rpc_hosts: self.given("rpc.hosts", |value| match value {
                Value::Hosts(hosts) => Some(hosts.clone()),
                _ => None,
            }),
            metrics_listen,
            log: Log {
                format: if self.text("log.format") == "json" { LogFormat::Json } else { LogFormat::Text },
                level: self.text("log.level"),
            },
            settings: self.settings(),
            verify_threads: match usize::try_from(self.number("verify.threads")) {
                Ok(threads @ 1..) => threads,
                _ => processors().saturating_sub(1).clamp(1, 64),
            },
        })
    }

    fn settings(&self) -> Settings {
        let size = |key| usize::try_from(self.number(key)).unwrap_or(usize::MAX);
        let usual = Settings::default();
        Settings {
            timeout_min_ms: self.number("consensus.timeout_min_ms"),
            timeout_max_ms: self.number("consensus.timeout_max_ms"),
            min_interval_ms: self.number("consensus.interval_min_ms"),
            idle_interval_ms: self.number("consensus.interval_idle_ms"),
            bundle_interval_ms: self.number("pool.bundle_interval_ms"),
            pool: PoolLimits {
                transactions_max: size("pool.transactions_max"),
                bytes_max: size("pool.bytes_max"),
                sender_max: size("pool.sender_max"),
                ..usual.pool
            },
            ..usual
        }
    }

    fn given<T: Default>(&self, key: &str, pick: impl Fn(&Value) -> Option<T>) -> T {
        self.values.get(key).and_then(|(value, _)| pick(value)).unwrap_or_default()
    }

    fn text(&self, key: &'static str) -> String {
        match (self.values.get(key), preset(key)) {
            (Some((Value::Text(text), _)), _) => text.clone(),
            (_, Preset::Text(text)) => text.to_owned(),
            _ => String::new(),
        }
    }

    fn path(&self, key: &'static str) -> PathBuf {
        self.folder.join(self.text(key))
    }

    fn number(&self, key: &'static str) -> u64 {
        match (self.values.get(key), preset(key)) {
            (Some((Value::Number(number), _)), _) => *number,
            (_, Preset::Number(number)) => number,
            _ => 0,
        }
    }

    fn socket(&self, key: &'static str) -> SocketAddr {
        let preset = || document::check(setting_kind(key), &document::Written::Text(self.text(key)));
        match self.values.get(key).map(|(value, _)| value.clone()).or_else(preset) {
            Some(Value::Socket(address)) => address,
            // A test reads every default; loopback without a port is the harmless answer.
            _ => SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }

    fn check_local(
        &self,
        key: &'static str,
        found: SocketAddr,
        permission: &'static str,
    ) -> Result<(), ConfigError> {
        let allowed = matches!(self.values.get(permission), Some((Value::Flag(true), _)));
        if found.ip().is_loopback() || allowed {
            return Ok(());
        }
        Err(ConfigError::Remote { key, found, permission })
    }

    /// The value of the second key must not be below that of the first.
    fn check_order(&self, low: &'static str, high: &'static str) -> Result<(), ConfigError> {
        let (least, found) = (self.number(low), self.number(high));
        if least <= found {
            return Ok(());
        }
        let refuse = |key, place: &Place, found: u64, allowed| {
            Err(ConfigError::Value { place: place.clone(), key, found: found.to_string(), allowed })
        };
        match (self.values.get(high), self.values.get(low)) {
            (Some((_, place)), _) => refuse(high, place, found, format!("at least {low}, which is {least}")),
            (None, Some((_, place))) => {
                refuse(low, place, least, format!("at most {high}, which is {found}"))
            }
            // The defaults are in order.
            (None, None) => Ok(()),
        }
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn setting_kind(key: &str) -> Kind {
    Setting::by_key(key).map_or(Kind::Path, |setting| setting.kind)
}

fn preset(key: &str) -> Preset {
    Setting::by_key(key).map_or(Preset::Empty, |setting| setting.preset)
}
