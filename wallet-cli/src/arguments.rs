//! The command line. Completions and help come from these definitions.
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use quorate_keystore::{KeyName, NetworkName};
use quorate_primitives::codec::Text;
use quorate_primitives::hash::parse_hex;
use quorate_primitives::state::{OrganisationId, Symbol};
use quorate_primitives::{Amount, Hash, PublicKey, Signature};
use std::path::PathBuf;

use crate::typed::{TypedAmount, TypedDuration, TypedNonce};

/// The Quorate wallet: moves money and believes nothing it has not verified.
///
/// Every answer of a node is verified from the pinned genesis to a quorum's certificate and a proof.
/// Exit codes: 0 done and proven, 1 internal, 2 usage, 3 proven absent, 4 rejected by the ledger, 5 no
/// node reachable, 6 outcome not known yet (safe to repeat), 7 proof failed: do not trust this node,
/// 8 key or passphrase, 9 configuration, 10 refused, 11 expired and can never execute.
#[derive(Debug, Parser)]
#[command(name = "quorate-wallet", version, max_term_width = 100)]
pub struct Arguments {
    /// Settings of every command.
    #[command(flatten)]
    pub settings: Settings,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Settings of every command.
#[derive(Debug, Args)]
pub struct Settings {
    /// Folder with keys and networks; ~/.quorate if not given
    #[arg(long, global = true, env = "QUORATE_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Network to use instead of the current one
    #[arg(long, global = true, value_name = "NAME")]
    pub network: Option<NetworkName>,
    /// Node to ask instead of those of the network; may be repeated, the first that answers is used
    #[arg(long, global = true, value_name = "URL")]
    pub rpc: Vec<String>,
    /// Form of the output
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Show what the node says without any proof, marked as such; for reads only
    #[arg(long, global = true)]
    pub unverified: bool,
    /// Oldest block that an answer may be based on
    #[arg(long, global = true, value_name = "DURATION", default_value = "60s")]
    pub max_age: TypedDuration,
    /// File whose first line is the passphrase of the key; one line each if several encrypted keys sign
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "passphrase_fd")]
    pub passphrase_file: Option<PathBuf>,
    /// Open file descriptor instead of that file; 0 is standard input
    #[arg(long, global = true, value_name = "FD")]
    pub passphrase_fd: Option<u32>,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
    /// One JSON object a line.
    Ndjson,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Manage keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Manage the networks that are pinned
    #[command(subcommand)]
    Network(NetworkCommand),
    /// Show what an account owns
    Balance {
        /// Key, name, address or id of the account; the only key if not given
        account: Option<String>,
    },
    /// Show or open an account
    Account(AccountArguments),
    /// Pay, exactly once
    Send(SendArguments),
    /// Create, change and show assets
    #[command(subcommand)]
    Asset(AssetCommand),
    /// Look at transactions
    #[command(subcommand)]
    Tx(TxCommand),
    /// Show who votes, and change it
    #[command(subcommand)]
    Validator(ValidatorCommand),
    /// Show what validators are proven to have done against the rules
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// Write a completion script for a shell to standard output
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// Manage keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a new key
    New {
        /// Name of the key
        name: KeyName,
        /// Keep the secret without encryption: a worthless key for tests
        #[arg(long)]
        test_key: bool,
    },
    /// Take over a secret: hexadecimal seed, JSON array of bytes, PKCS#8 PEM, or a key file
    Import {
        /// Name of the key
        name: KeyName,
        /// File with the secret; `-` is standard input
        #[arg(long, value_name = "FILE", default_value = "-")]
        from: PathBuf,
        /// Keep the secret without encryption: a worthless key for tests
        #[arg(long)]
        test_key: bool,
    },
    /// List the keys
    List,
    /// Show the public part of a key
    Show {
        /// Name of the key
        name: KeyName,
    },
    /// Write a key to a new file: the encrypted key file, or the bare secret
    Export {
        /// Name of the key
        name: KeyName,
        /// The file, which must not exist
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Write the 32-byte seed in hexadecimal instead of the encrypted key file
        #[arg(long)]
        secret: bool,
    },
}

/// Manage the networks that are pinned.
#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Pin a network: from then on only what follows from this genesis is believed
    Add {
        /// Name of the network in this wallet
        name: NetworkName,
        /// The genesis document
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
        /// What the document must hash to, as obtained from somebody who is trusted
        #[arg(long, value_name = "HASH")]
        genesis_hash: Option<Hash>,
        /// Use it from now on
        #[arg(long = "use")]
        make_current: bool,
    },
    /// List the networks
    List,
    /// Choose the network to use
    Use {
        /// Name of the network
        name: NetworkName,
    },
    /// Show what is pinned about a network
    Show {
        /// Name of the network; the current one if not given
        name: Option<NetworkName>,
    },
}

/// Show or open an account.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AccountArguments {
    /// Key, name, address or id of the account; the only key if not given
    pub account: Option<String>,
    /// What to do instead of showing it.
    #[command(subcommand)]
    pub command: Option<AccountCommand>,
}

/// Show or open an account.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Show an account
    Show {
        /// Key, name, address or id of the account; the only key if not given
        account: Option<String>,
    },
    /// Open an account; needs account.create on the organisation
    Create {
        /// Key of this wallet, or public key in hexadecimal, that will act for the account
        key: String,
        /// Organisation that owns it
        #[arg(long, value_name = "ID")]
        organisation: OrganisationId,
        /// Label for people; the name of the key if not given
        #[arg(long, value_parser = text::<64>)]
        label: Option<Text<64>>,
        /// How to send it.
        #[command(flatten)]
        sending: Sending,
    },
}

/// Pay, exactly once.
#[derive(Debug, Args)]
pub struct SendArguments {
    /// Receiver: key, name, address or id of the account
    pub to: String,
    /// Amount with its asset, such as 12.50USD
    pub amount: TypedAmount,
    /// Asset, if the amount does not name it
    #[arg(long, value_name = "SYMBOL")]
    pub asset: Option<Symbol>,
    /// How to send it.
    #[command(flatten)]
    pub sending: Sending,
}

/// How a transaction is sent.
#[derive(Debug, Args)]
pub struct Sending {
    /// Key that signs, and whose account acts, the only key if not given; with --sign-with the account
    /// that acts: key, name, address or id
    #[arg(long, value_name = "ACCOUNT")]
    pub from: Option<String>,
    /// Key that signs for the account of --from; repeat it for an account that several must sign for
    #[arg(long, value_name = "KEY")]
    pub sign_with: Vec<KeyName>,
    /// Own reference, such as an end-to-end id, of at most 64 bytes
    #[arg(long = "ref", value_name = "REF", value_parser = text::<64>)]
    pub reference: Option<Text<64>>,
    /// Text for the receiver of at most 256 bytes
    #[arg(long, value_parser = text::<256>)]
    pub memo: Option<Text<256>>,
    /// Name of the transaction: repeating the command with the same name is safe
    #[arg(long, value_name = "NONCE")]
    pub id: Option<TypedNonce>,
    /// How long it may take until it can never happen any more
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    pub expires: TypedDuration,
    /// How long to wait for a proven outcome before saying that it is not known yet
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub wait: TypedDuration,
    /// Do not ask before signing
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// Create, change and show assets.
#[derive(Debug, Subcommand)]
pub enum AssetCommand {
    /// Create an asset; needs asset.create on the sender's organisation
    Create {
        /// Symbol: 1 to 12 upper-case letters and digits, starting with a letter
        symbol: Symbol,
        /// Name for people
        #[arg(long, value_parser = text::<64>)]
        name: Text<64>,
        /// Digits after the point, 0 to 18
        #[arg(long, value_parser = clap::value_parser!(u8).range(0..=18))]
        decimals: u8,
        /// Most units that may ever exist at a time, such as 1000000.00; unlimited if not given
        #[arg(long, value_name = "NUMBER")]
        cap: Option<String>,
        /// What the issuer may do; may be repeated
        #[arg(long = "capability", value_name = "NAME", value_parser = capability)]
        capabilities: Vec<quorate_primitives::state::Capabilities>,
        /// How to send it.
        #[command(flatten)]
        sending: Sending,
    },
    /// Create units; needs asset.mint on the asset
    Mint {
        /// Amount with its asset, such as 12.50USD
        amount: TypedAmount,
        /// Receiver: key, name, address or id of the account
        #[arg(long, value_name = "ACCOUNT")]
        to: String,
        /// How to send it.
        #[command(flatten)]
        sending: Sending,
    },
    /// Destroy units of the sender, or of another account with asset.burn_any
    Burn {
        /// Amount with its asset, such as 12.50USD
        amount: TypedAmount,
        /// Whose units, if not the sender's
        #[arg(long, value_name = "ACCOUNT")]
        of: Option<String>,
        /// How to send it.
        #[command(flatten)]
        sending: Sending,
    },
    /// Show an asset
    Show {
        /// Its symbol
        symbol: Symbol,
    },
    /// List the assets that the node knows; each is proven, that there are no others is not
    List,
}

/// Look at transactions.
#[derive(Debug, Subcommand)]
pub enum TxCommand {
    /// Show what a transaction did
    Show {
        /// Its id
        id: Hash,
    },
    /// Wait for the outcome of a transaction
    Wait {
        /// Its id
        id: Hash,
        /// How long to wait before saying that it is not known yet
        #[arg(long, value_name = "DURATION", default_value = "30s")]
        wait: TypedDuration,
    },
}

/// Show who votes, and change it.
#[derive(Debug, Subcommand)]
pub enum ValidatorCommand {
    /// List the validators of an epoch
    List {
        /// Which epoch, up to the next two; that of the newest block if not given
        #[arg(long, value_name = "NUMBER")]
        epoch: Option<u64>,
    },
    /// Prove that you hold the key of a validator that is to be added, or the new key of one; needs no node
    Prove {
        /// Name of the validator
        #[arg(long, value_parser = validator_name)]
        name: Text<32>,
        /// Organisation that runs it
        #[arg(long, value_name = "ID")]
        organisation: OrganisationId,
        /// The validator's key: a key of this wallet, or the key file of the node
        #[arg(long, value_name = "KEY_OR_FILE")]
        key: String,
    },
    /// Add a validator from the epoch after the next one on; needs validator.manage on the chain
    Add {
        /// Its name, which no other validator has
        #[arg(long, value_parser = validator_name)]
        name: Text<32>,
        /// Organisation that runs it
        #[arg(long, value_name = "ID")]
        organisation: OrganisationId,
        /// The key and the proof of it.
        #[command(flatten)]
        key: NewKey,
        /// How to send it.
        #[command(flatten)]
        sending: Sending,
    },
    /// Remove a validator from the epoch after the next one on; needs validator.manage on the chain
    Remove {
        /// Its name
        #[arg(value_parser = validator_name)]
        name: Text<32>,
        /// How to send it.
        #[command(flatten)]
        sending: Sending,
    },
    /// Replace a validator's key from the epoch after the next one on; needs validator.manage on its
    /// organisation
    Rotate {
        /// Its name
        #[arg(value_parser = validator_name)]
        name: Text<32>,
        /// The key and the proof of it.
        #[command(flatten)]
        key: NewKey,
        /// How to send it.
        #[command(flatten)]
        sending: Sending,
    },
}

/// A validator's new key, and the proof that whoever runs it holds it.
#[derive(Clone, Copy, Debug, Args)]
pub struct NewKey {
    /// Public key with which it will sign, in hexadecimal
    #[arg(long, value_name = "HEX", value_parser = public_key)]
    pub public_key: PublicKey,
    /// What `validator prove` printed for this key, in hexadecimal
    #[arg(long, value_name = "HEX", value_parser = signature)]
    pub possession: Signature,
}

/// Show what validators are proven to have done against the rules.
#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// List all evidence that the ledger ever recorded; that it is all is proven
    List,
}

fn validator_name(typed: &str) -> Result<Text<32>, String> {
    let wrong = |why: String| format!("expected 1 to 32 bytes, found {typed:?}: {why}");
    match Text::new(typed) {
        Ok(name) if !name.as_str().is_empty() => Ok(name),
        Ok(_) => Err(wrong("a validator has a name".to_owned())),
        Err(error) => Err(wrong(error.to_string())),
    }
}

fn public_key(typed: &str) -> Result<PublicKey, String> {
    let key: PublicKey =
        typed.parse().map_err(|error: quorate_primitives::hash::HexError| error.to_string())?;
    key.check().map(|()| key).map_err(|error| error.to_string())
}

fn signature(typed: &str) -> Result<Signature, quorate_primitives::hash::HexError> {
    parse_hex(typed).map(Signature::from_bytes)
}

fn text<const MAX: usize>(typed: &str) -> Result<Text<MAX>, quorate_primitives::codec::TextError> {
    Text::new(typed)
}

fn capability(typed: &str) -> Result<quorate_primitives::state::Capabilities, String> {
    use quorate_primitives::state::Capabilities;
    let known = || Capabilities::NAMED.map(|(name, _)| name).join(", ");
    Capabilities::by_name(typed).ok_or_else(|| format!("expected one of {}, found {typed:?}", known()))
}

/// Reads the cap of a new asset; all that fits if none was typed.
///
/// # Errors
/// [`quorate_primitives::numbers::AmountError`].
pub fn cap(typed: Option<&str>, decimals: u8) -> Result<Amount, quorate_primitives::numbers::AmountError> {
    typed.map_or(Ok(Amount::MAX), |text| Amount::parse_decimal(text, decimals))
}
