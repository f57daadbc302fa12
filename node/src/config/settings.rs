//! The one list of configuration keys: reader, checks, variables and reference all follow from it.

/// What a key accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file or folder; relative to the folder of the configuration file.
    Path,
    /// As [`Kind::Path`], or the empty text for none.
    PathOrNone,
    /// A list of host names.
    Hosts,
    /// An IP address and a port, such as `127.0.0.1:8645`.
    Socket,
    /// A libp2p address to listen on, such as `/ip4/0.0.0.0/tcp/9001`.
    Multiaddr,
    /// A list of `key@multiaddr`.
    Peers,
    /// A list of public keys.
    Keys,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number within bounds, both included.
    Number {
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
    },
}

/// What a key is when nobody sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// A text.
    Text(&'static str),
    /// A number.
    Number(u64),
    /// A flag.
    Flag(bool),
    /// The list without items.
    Empty,
}

/// One configuration key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Section and name, such as `rpc.listen`.
    pub key: &'static str,
    /// What it accepts.
    pub kind: Kind,
    /// Its default.
    pub preset: Preset,
    /// What it does, for the reference; one sentence a line.
    pub description: &'static str,
}

impl Setting {
    /// The environment variable that overrides the key: `QUORATE_RPC_LISTEN` for `rpc.listen`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.key.replace('.', "_").to_ascii_uppercase())
    }

    /// The setting with this key.
    #[must_use]
    pub fn by_key(key: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }
}

impl Kind {
    /// What is allowed, in words that fit behind "expected".
    #[must_use]
    pub fn allowed(&self) -> String {
        match self {
            Self::Path => "a path of 1 to 4096 bytes".to_owned(),
            Self::PathOrNone => "a path of 1 to 4096 bytes, or an empty text".to_owned(),
            Self::Hosts => {
                "a list of at most 128 host names of 1 to 253 bytes, such as \"node1.example.org\"".to_owned()
            }
            Self::Socket => "an IP address and a port from 1 to 65535, such as 127.0.0.1:8645".to_owned(),
            Self::Multiaddr => "an address such as /ip4/0.0.0.0/tcp/9001, port 1 to 65535".to_owned(),
            Self::Peers => {
                "a list of at most 128 entries such as \"<64 hexadecimal digits>@/ip4/10.0.0.2/tcp/9001\""
                    .to_owned()
            }
            Self::Keys => "a list of at most 128 public keys of 64 hexadecimal digits".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Number { min, max } => format!("a whole number from {min} to {max}"),
        }
    }
}

/// What the names of overriding variables start with.
pub const VARIABLE_PREFIX: &str = "QUORATE_";

/// All keys in the order of the reference; sections stay together, keys without a section come first.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "genesis_file",
        kind: Kind::Path,
        preset: Preset::Text("genesis.toml"),
        description: "The founding document of the network. All nodes of a network have the same one.",
    },
    Setting {
        key: "key_file",
        kind: Kind::Path,
        preset: Preset::Text("validator.json"),
        description: "The key that signs votes and is the node's identity in the network. Mode 0600.\n\
                      Never run two nodes with one key.",
    },
    Setting {
        key: "key_passphrase_file",
        kind: Kind::PathOrNone,
        preset: Preset::Text(""),
        description: "File whose first line is the passphrase of an encrypted key file.",
    },
    Setting {
        key: "data_dir",
        kind: Kind::Path,
        preset: Preset::Text("data"),
        description: "Folder of the ledger and the vote log. Created if it is not there.\n\
                      Never restore an old copy of it for a validator: with an empty folder it fetches the\n\
                      chain from the others and votes as soon as that is safe.",
    },
    Setting {
        key: "network.listen",
        kind: Kind::Multiaddr,
        preset: Preset::Text("/ip4/0.0.0.0/tcp/9001"),
        description: "Where other nodes connect to.",
    },
    Setting {
        key: "network.peers",
        kind: Kind::Peers,
        preset: Preset::Empty,
        description: "Public keys and addresses of nodes to keep a connection to. Besides the validators,\n\
                      which the chain names, these get in, except a former validator that is no observer.",
    },
    Setting {
        key: "network.observers",
        kind: Kind::Keys,
        preset: Preset::Empty,
        description: "Public keys of nodes that may follow the chain without being validators. A validator\n\
                      that is removed goes on as an observer where its key is listed here.",
    },
    Setting {
        key: "rpc.listen",
        kind: Kind::Socket,
        preset: Preset::Text("127.0.0.1:8645"),
        description: "Where JSON-RPC is served, over HTTP and WebSocket.",
    },
    Setting {
        key: "rpc.allow_remote",
        kind: Kind::Flag,
        preset: Preset::Flag(false),
        description: "Allows an rpc.listen beyond loopback. There is no encryption and no login yet:\n\
                      put a proxy with both in front.",
    },
    Setting {
        key: "rpc.hosts",
        kind: Kind::Hosts,
        preset: Preset::Empty,
        description: "Names besides localhost under which clients may address this node (Host header).",
    },
    Setting {
        key: "metrics.listen",
        kind: Kind::Socket,
        preset: Preset::Text("127.0.0.1:9101"),
        description: "Where /metrics (Prometheus), /health and /ready are served.",
    },
    Setting {
        key: "metrics.allow_remote",
        kind: Kind::Flag,
        preset: Preset::Flag(false),
        description: "Allows a metrics.listen beyond loopback.",
    },
    Setting {
        key: "log.format",
        kind: Kind::Choice(&["text", "json"]),
        preset: Preset::Text("text"),
        description: "How log lines are written to standard error.",
    },
    Setting {
        key: "log.level",
        kind: Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        preset: Preset::Text("info"),
        description: "The least important lines that are written.",
    },
    Setting {
        key: "consensus.timeout_min_ms",
        kind: Kind::Number { min: 10, max: 60_000 },
        preset: Preset::Number(100),
        description: "How long a leader is given at first, in milliseconds: 100 within a region,\n\
                      600 with validators on several continents.",
    },
    Setting {
        key: "consensus.timeout_max_ms",
        kind: Kind::Number { min: 100, max: 600_000 },
        preset: Preset::Number(10_000),
        description: "How long a leader is given after many that failed, in milliseconds.\n\
                      Not below consensus.timeout_min_ms.",
    },
    Setting {
        key: "consensus.interval_min_ms",
        kind: Kind::Number { min: 0, max: 60_000 },
        preset: Preset::Number(50),
        description: "Least time between a block and its child, in milliseconds; fuller blocks cost less.",
    },
    Setting {
        key: "consensus.interval_idle_ms",
        kind: Kind::Number { min: 10, max: 600_000 },
        preset: Preset::Number(1_000),
        description: "Time between empty blocks when there is nothing to order, in milliseconds.\n\
                      Not below consensus.interval_min_ms; the same at all validators.",
    },
    Setting {
        key: "pool.transactions_max",
        kind: Kind::Number { min: 1, max: 1_000_000 },
        preset: Preset::Number(65_536),
        description: "Most transactions that wait for a block. Fewer are taken while more wait in the whole\n\
                      network than it ordered in the last second, and than 4,096.",
    },
    Setting {
        key: "pool.bytes_max",
        kind: Kind::Number { min: 1_048_576, max: 4_294_967_296 },
        preset: Preset::Number(67_108_864),
        description: "Most bytes of transactions that wait for a block.",
    },
    Setting {
        key: "pool.sender_max",
        kind: Kind::Number { min: 1, max: 1_000_000 },
        preset: Preset::Number(16_384),
        description: "Most transactions of one sender that wait for a block.\n\
                      Not above pool.transactions_max. At most a quarter of what may wait in the network.",
    },
    Setting {
        key: "pool.bundle_interval_ms",
        kind: Kind::Number { min: 1, max: 10_000 },
        preset: Preset::Number(10),
        description: "Least time between two bundles of transactions that this node sends, in milliseconds:\n\
                      10 within a region, 35 to 200 with tens of validators on several continents.",
    },
    Setting {
        key: "verify.threads",
        kind: Kind::Number { min: 0, max: 64 },
        preset: Preset::Number(0),
        description: "Threads that check signatures; 0 is one for each processor but one, at least one.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_sections_stay_together() {
        let section = |key: &'static str| key.split_once('.').map_or("", |(section, _)| section);
        let mut sections: Vec<&str> = SETTINGS.iter().map(|setting| section(setting.key)).collect();
        sections.dedup();
        let mut unique = sections.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), sections.len(), "{sections:?}");
        let mut variables: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), SETTINGS.len());
    }
}
