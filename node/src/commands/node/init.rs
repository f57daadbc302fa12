//! The first files of a node: a key, and a configuration to edit.
use std::path::PathBuf;

use clap::Args;
use quorate_keystore::{Cost, KeyFile, KeyName, Passphrase, Protection, files};
use quorate_primitives::SecretKey;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

use crate::commands::{Exit, Failure, OrExit, print};
use crate::config::reference;

/// Where the files go, and how the key is protected.
#[derive(Debug, Clone, Args)]
pub struct InitArguments {
    /// Folder of the node; created if it is not there.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Name of the key: 1 to 32 lower-case letters, digits and hyphens.
    #[arg(long, default_value = "validator")]
    name: String,
    /// Encrypts the key under the first line of this file.
    #[arg(long, value_name = "FILE", required_unless_present = "unprotected_key")]
    passphrase_file: Option<PathBuf>,
    /// Leaves the key in its file without encryption: whoever reads the file can vote.
    #[arg(long, conflicts_with = "passphrase_file")]
    unprotected_key: bool,
}

pub(super) fn run(arguments: &InitArguments) -> Result<(), Failure> {
    let name = KeyName::new(&arguments.name).or_exit_about(Exit::Usage, "--name")?;
    let passphrase = match &arguments.passphrase_file {
        None => None,
        Some(path) => {
            let text = super::first_line(path)?;
            Some(Passphrase::for_new_key(text).or_exit_about(Exit::Key, path.display())?)
        }
    };
    let key_path = arguments.dir.join("validator.json");
    let config_path = arguments.dir.join("node.toml");
    for path in [&key_path, &config_path] {
        if path.exists() {
            let message = format_args!("{}: exists already and is never overwritten", path.display());
            return Err(Failure::new(Exit::Configuration, message));
        }
    }
    let key = SecretKey::generate(&mut UnwrapErr(SysRng));
    let protection = passphrase
        .as_ref()
        .map_or(Protection::TestKey, |passphrase| Protection::Passphrase { passphrase, cost: Cost::DEFAULT });
    let file = KeyFile::seal(&name, &key, None, protection).or_exit(Exit::Key)?;
    files::create_folder(&arguments.dir).or_exit(Exit::Configuration)?;
    file.create(&key_path).or_exit(Exit::Key)?;
    let text = match &arguments.passphrase_file {
        None => reference(),
        Some(path) => {
            let path = std::path::absolute(path).or_exit(Exit::Configuration)?;
            let given = format!("key_passphrase_file = {:?}", path.display().to_string());
            reference().replace("key_passphrase_file = \"\"", &given)
        }
    };
    files::create(&config_path, text.as_bytes()).or_exit(Exit::Configuration)?;
    print(&format!(
        "key            {}\nkey file       {}\nconfiguration  {}\nnext           put genesis.toml beside it, edit network.peers, then: quorate node check-config --config {}\n",
        key.public_key(),
        key_path.display(),
        config_path.display(),
        config_path.display(),
    ))
}
