//! What a wallet pins about a network: the hash of its genesis, and where nodes answer.
use quorate_primitives::Hash;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

use crate::files::{self, FileError};

/// Longest network file in bytes.
pub const NETWORK_FILE_BYTES_MAX: usize = 64 * 1024;
/// Longest genesis document in bytes: any that a node takes.
pub const GENESIS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most URLs: a wallet tries them one after the other.
pub const URLS_MAX: usize = 16;
/// Longest URL in bytes.
pub const URL_BYTES_MAX: usize = 256;

/// What `network.toml` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkFile {
    rpc: Vec<String>,
    genesis_hash: Hash,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    rpc: Vec<String>,
    genesis_hash: String,
}

/// What is wrong with the content of a network file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkFault {
    /// Not TOML, or a field is missing, unknown or of another type.
    #[error("not a network file: {reason}")]
    Document {
        /// What the parser met, in one line.
        reason: String,
    },
    /// A value outside what is allowed.
    #[error("{field}: expected {allowed}, found {found:?}")]
    Field {
        /// Which.
        field: &'static str,
        /// What may stand there.
        allowed: String,
        /// What stands there, cut to 80 characters.
        found: String,
    },
}

/// Why a network file cannot be used; names the file.
#[derive(Debug, thiserror::Error)]
pub enum NetworkFileError {
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its content is at fault.
    #[error("{}: {fault}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        fault: NetworkFault,
    },
}

fn field(field: &'static str, allowed: String, found: &str) -> NetworkFault {
    NetworkFault::Field { field, allowed, found: found.chars().take(80).collect() }
}

/// Checks the URL of a node: `http://` or `https://` and a host, printable, without user or password.
///
/// # Errors
/// [`NetworkFault::Field`] with what was given.
pub fn check_url(url: &str) -> Result<(), NetworkFault> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    let printable = url.bytes().all(|byte| byte.is_ascii_graphic());
    let sound = host.is_some_and(|host| !host.is_empty() && !host.contains('@'));
    if !sound || !printable || url.len() > URL_BYTES_MAX {
        let allowed = format!("http://HOST:PORT or https://HOST:PORT of at most {URL_BYTES_MAX} bytes");
        return Err(field("rpc", allowed, url));
    }
    Ok(())
}

impl NetworkFile {
    /// Checks the URLs.
    ///
    /// # Errors
    /// [`NetworkFault::Field`] for a wrong URL, none or more than [`URLS_MAX`].
    pub fn new(rpc: Vec<String>, genesis_hash: Hash) -> Result<Self, NetworkFault> {
        if rpc.is_empty() || rpc.len() > URLS_MAX {
            return Err(field("rpc", format!("1 to {URLS_MAX} urls"), &rpc.len().to_string()));
        }
        rpc.iter().try_for_each(|url| check_url(url))?;
        Ok(Self { rpc, genesis_hash })
    }

    /// Reads the text of a network file.
    ///
    /// # Errors
    /// [`NetworkFault`] naming field, value and what is allowed.
    pub fn parse(text: &str) -> Result<Self, NetworkFault> {
        let document: Document = toml::from_str(text).map_err(|error| {
            let line =
                error.span().map(|span| text.get(..span.start).unwrap_or_default().matches('\n').count());
            let line = line.map_or(String::new(), |before| format!("line {}: ", before.saturating_add(1)));
            NetworkFault::Document { reason: format!("{line}{}", error.message().replace('\n', " ")) }
        })?;
        let hash = document.genesis_hash.parse();
        let hash = hash
            .map_err(|_| field("genesis_hash", "64 hexadecimal digits".to_owned(), &document.genesis_hash))?;
        Self::new(document.rpc, hash)
    }

    /// Reads a network file.
    ///
    /// # Errors
    /// [`NetworkFileError`] naming the file.
    pub fn read(path: &Path) -> Result<Self, NetworkFileError> {
        let text = files::read_text(path, NETWORK_FILE_BYTES_MAX)?;
        Self::parse(&text).map_err(|fault| NetworkFileError::Content { path: path.to_owned(), fault })
    }

    /// The text of the file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let document = Document { rpc: self.rpc.clone(), genesis_hash: self.genesis_hash.to_string() };
        // Strings and a list of strings: there is nothing that TOML cannot hold.
        toml::to_string(&document).unwrap_or_default()
    }

    /// Where nodes answer, in the order in which they are tried; 1 to [`URLS_MAX`].
    #[must_use]
    pub fn rpc(&self) -> &[String] {
        &self.rpc
    }

    /// What the genesis document beside it must hash to.
    #[must_use]
    pub fn genesis_hash(&self) -> Hash {
        self.genesis_hash
    }
}
