//! How a command ends when it does not end well: one line for people, one number for scripts.
use quorate_keystore::files::FileError;
use quorate_keystore::key_file::{KeyFault, KeyFileError};
use quorate_keystore::{HomeError, NetworkFileError};
use std::fmt;

use crate::verify::Distrust;

/// Exit codes; part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A fault of the wallet itself.
    Internal,
    /// The command line is wrong.
    Usage,
    /// Proven not to be there.
    NotFound,
    /// The ledger refused the transaction, which is proven, or would refuse it as the proven state
    /// stands, and nothing was signed.
    Rejected,
    /// No node answered.
    Unreachable,
    /// The outcome is not known yet; repeating is safe.
    Unknown,
    /// A proof failed: the node must not be trusted.
    Distrust,
    /// A key, a passphrase or a signer.
    Key,
    /// The configuration or the network file.
    Configuration,
    /// Refused by the user or by a rule.
    Refused,
    /// The transaction expired and can never execute.
    Expired,
}

impl Exit {
    /// The number that the process ends with.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Rejected => 4,
            Self::Unreachable => 5,
            Self::Unknown => 6,
            Self::Distrust => 7,
            Self::Key => 8,
            Self::Configuration => 9,
            Self::Refused => 10,
            Self::Expired => 11,
        }
    }

    /// The stable name in JSON output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Rejected => "rejected",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
            Self::Distrust => "proof_failed",
            Self::Key => "key",
            Self::Configuration => "configuration",
            Self::Refused => "refused",
            Self::Expired => "expired",
        }
    }
}

/// Why a command did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The class.
    pub exit: Exit,
    /// One line for people.
    pub message: String,
    /// More for scripts; `null` if there is nothing more.
    pub details: serde_json::Value,
}

impl Failure {
    /// A failure of a class, with one line for people.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        // Whatever a message quotes, it stays one line and cannot move the cursor.
        let shown = |found: char| if found.is_control() { ' ' } else { found };
        let message = message.to_string().chars().map(shown).collect();
        Self { exit, message, details: serde_json::Value::Null }
    }

    /// Adds what scripts may want to know.
    #[must_use]
    pub fn with_details(mut self, details: serde_json::Value) -> Self {
        self.details = details;
        self
    }

    /// The command line is wrong.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The node's answer is not proven.
    #[must_use]
    pub fn distrust(url: &str, why: &Distrust) -> Self {
        Self::new(Exit::Distrust, format_args!("proof failed: do not trust this node {url}: {why}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::new(Exit::Configuration, error)
    }
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        Self::new(Exit::Key, error)
    }
}

impl From<KeyFault> for Failure {
    fn from(error: KeyFault) -> Self {
        Self::new(Exit::Key, error)
    }
}

impl From<NetworkFileError> for Failure {
    fn from(error: NetworkFileError) -> Self {
        Self::new(Exit::Configuration, error)
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        let exit = if matches!(error, HomeError::Key(_)) { Exit::Key } else { Exit::Configuration };
        Self::new(exit, error)
    }
}
