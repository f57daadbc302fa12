//! `quorate config`: what can be written into a configuration file.
use clap::Subcommand;

use super::Failure;
use crate::config::reference;

/// Explain the configuration file.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// Print every key with its meaning, range and default: a valid file to start from.
    Reference,
}

pub(super) fn run(command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Reference => super::print(&reference()),
    }
}
