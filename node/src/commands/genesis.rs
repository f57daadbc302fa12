//! `quorate genesis`: make, check and name founding documents.
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use quorate_genesis::build::Draft;
use quorate_genesis::{GENESIS_BYTES_MAX, Genesis};
use quorate_keystore::files;
use quorate_primitives::PublicKey;

use super::{Exit, Failure, OrExit, print};
use crate::io::timers::wall_clock;

/// Make and check founding documents.
#[derive(Debug, Subcommand)]
pub enum GenesisCommand {
    /// Write a founding document with one organisation; edit it to add more.
    New(NewArguments),
    /// Check a founding document and say what it founds.
    Check {
        /// The document.
        file: PathBuf,
    },
    /// Print the hash that names the chain.
    Hash {
        /// The document.
        file: PathBuf,
    },
}

/// What a new document starts with.
#[derive(Debug, Args)]
pub struct NewArguments {
    /// Name of the network, 1 to 32 bytes.
    #[arg(long)]
    network: String,
    /// How addresses begin: 1 to 16 lower-case letters and digits.
    #[arg(long, default_value = "q")]
    prefix: String,
    /// Id of the first organisation: 1 to 32 lower-case letters, digits and hyphens.
    #[arg(long)]
    organisation: String,
    /// Public key of the account that acts for the organisation.
    #[arg(long, value_name = "KEY")]
    admin_key: PublicKey,
    /// A validator as NAME=KEY; give one for each, in order.
    #[arg(long = "validator", value_name = "NAME=KEY", required = true, value_parser = parse_named_key)]
    validators: Vec<(String, PublicKey)>,
    /// A further account as NAME=KEY.
    #[arg(long = "account", value_name = "NAME=KEY", value_parser = parse_named_key)]
    accounts: Vec<(String, PublicKey)>,
    /// Where to write; an existing file is never replaced. Standard output if absent.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn parse_named_key(text: &str) -> Result<(String, PublicKey), String> {
    let (name, key) = text.split_once('=').ok_or("expected NAME=KEY with a key of 64 hexadecimal digits")?;
    let key = key.parse::<PublicKey>().map_err(|error| error.to_string())?;
    Ok((name.to_owned(), key))
}

pub(super) fn run(command: GenesisCommand) -> Result<(), Failure> {
    match command {
        GenesisCommand::New(arguments) => new(&arguments),
        GenesisCommand::Check { file } => {
            let genesis = read(&file)?;
            print(&summary(&genesis))
        }
        GenesisCommand::Hash { file } => print(&format!("{}\n", read(&file)?.hash())),
    }
}

/// Reads and checks a founding document.
pub(super) fn read(path: &Path) -> Result<Genesis, Failure> {
    let text = files::read_text(path, GENESIS_BYTES_MAX).or_exit_about(Exit::Genesis, "genesis")?;
    Genesis::parse(&text).or_exit_about(Exit::Genesis, path.display())
}

fn new(arguments: &NewArguments) -> Result<(), Failure> {
    let organisation = &arguments.organisation;
    let admin = format!("{organisation}-admin");
    let mut draft = Draft::new(&arguments.network, &arguments.prefix, wall_clock());
    draft.organisation(organisation, organisation, &admin);
    for (name, key) in &arguments.validators {
        draft.validator(name, organisation, *key);
    }
    draft.account(&admin, organisation, arguments.admin_key);
    for (name, key) in &arguments.accounts {
        draft.account(name, organisation, *key);
    }
    let genesis = draft.build().or_exit_about(Exit::Genesis, "new genesis")?;
    let text = draft.to_toml();
    match &arguments.output {
        None => print(&text),
        Some(path) => {
            files::create(path, text.as_bytes()).or_exit(Exit::Configuration)?;
            print(&summary(&genesis))
        }
    }
}

fn summary(genesis: &Genesis) -> String {
    let mut text = String::new();
    let validators = &genesis.validators;
    let names: Vec<String> = validators.members().iter().map(|member| member.name.to_string()).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "network        {}", genesis.network);
    let _ = writeln!(text, "genesis hash   {}", genesis.hash());
    let _ = writeln!(text, "addresses      {}1…", genesis.prefix.as_str());
    let _ = writeln!(
        text,
        "validators     {} ({}), quorum {}",
        validators.len(),
        names.join(", "),
        validators.quorum()
    );
    let _ = writeln!(text, "organisations  {}", genesis.organisations.len());
    let _ = writeln!(text, "accounts       {}", genesis.accounts.len());
    let _ = writeln!(text, "assets         {}", genesis.assets.len());
    let _ = writeln!(text, "balances       {}", genesis.balances.len());
    let _ = writeln!(text, "grants         {}", genesis.grants.len());
    text
}
