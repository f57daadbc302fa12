//! The folder in which a wallet keeps its keys and its networks.
//!
//! ```text
//! keys/<key>.json                       one key
//! networks/current                      name of the network in use
//! networks/<network>/genesis.toml       the pinned genesis document
//! networks/<network>/network.toml       its hash, and where nodes answer
//! networks/<network>/verified.json      the highest block verified so far
//! networks/<network>/epoch.json         the newest epoch whose validators were verified
//! networks/<network>/outbox/<id>.json   what was signed, until long after its outcome is known
//! ```
use std::io;
use std::path::{Path, PathBuf};

use crate::files::{self, FileError};
use crate::key_file::{KeyFault, KeyFile, KeyFileError};
use crate::names::{KeyName, NetworkName};
use crate::network::{GENESIS_BYTES_MAX, NetworkFile, NetworkFileError};

/// Longest content of `networks/current`.
const CURRENT_BYTES_MAX: usize = 256;
/// Most entries that are read of a folder.
const ENTRIES_MAX: usize = 10_000;

/// A wallet's folder; it need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

/// Why the home does not answer.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key file is at fault.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// A network file is at fault.
    #[error(transparent)]
    Network(#[from] NetworkFileError),
    /// `networks/current` does not hold a name.
    #[error("{}: {fault}", path.display())]
    Current {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        fault: crate::names::NameError,
    },
}

impl Home {
    /// The home at this folder.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Folder of the keys.
    #[must_use]
    pub fn keys_folder(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// File of a key.
    #[must_use]
    pub fn key_path(&self, name: &KeyName) -> PathBuf {
        self.keys_folder().join(format!("{name}.json"))
    }

    /// Folder of the networks.
    #[must_use]
    pub fn networks_folder(&self) -> PathBuf {
        self.0.join("networks")
    }

    /// Folder of a network.
    #[must_use]
    pub fn network_folder(&self, name: &NetworkName) -> PathBuf {
        self.networks_folder().join(name.as_str())
    }

    /// Genesis document of a network.
    #[must_use]
    pub fn genesis_path(&self, name: &NetworkName) -> PathBuf {
        self.network_folder(name).join("genesis.toml")
    }

    /// Network file of a network.
    #[must_use]
    pub fn network_path(&self, name: &NetworkName) -> PathBuf {
        self.network_folder(name).join("network.toml")
    }

    /// Where the highest verified block of a network is remembered.
    #[must_use]
    pub fn verified_path(&self, name: &NetworkName) -> PathBuf {
        self.network_folder(name).join("verified.json")
    }

    /// Where the newest epoch of a network whose validators were verified is remembered.
    #[must_use]
    pub fn epoch_path(&self, name: &NetworkName) -> PathBuf {
        self.network_folder(name).join("epoch.json")
    }

    /// Folder of what was signed for a network.
    #[must_use]
    pub fn outbox_folder(&self, name: &NetworkName) -> PathBuf {
        self.network_folder(name).join("outbox")
    }

    /// Where the name of the network in use is written.
    #[must_use]
    pub fn current_path(&self) -> PathBuf {
        self.networks_folder().join("current")
    }

    /// Writes a new key file; creates the folders.
    ///
    /// # Errors
    /// [`FileError::Exists`] if there is a key of this name.
    pub fn add_key(&self, key: &KeyFile) -> Result<PathBuf, FileError> {
        files::create_folder(&self.keys_folder())?;
        let path = self.key_path(key.name());
        key.create(&path)?;
        Ok(path)
    }

    /// Reads a key; the secret stays encrypted.
    ///
    /// # Errors
    /// [`KeyFileError`]; also if the file says that it is another key.
    pub fn key(&self, name: &KeyName) -> Result<KeyFile, KeyFileError> {
        let path = self.key_path(name);
        let key = KeyFile::read(&path)?;
        if key.name() == name {
            return Ok(key);
        }
        let (allowed, found) = (format!("{name}, as the file is named"), key.name().to_string());
        Err(KeyFileError::Content { path, fault: KeyFault::Field { field: "name", allowed, found } })
    }

    /// Names of the keys, ascending. Files that cannot be the file of a key are passed over.
    ///
    /// # Errors
    /// [`FileError::System`].
    pub fn key_names(&self) -> Result<Vec<KeyName>, FileError> {
        let name = |file: &str| KeyName::new(file.strip_suffix(".json")?).ok();
        let mut names: Vec<KeyName> =
            entries(&self.keys_folder())?.iter().filter_map(|file| name(file)).collect();
        names.sort();
        Ok(names)
    }

    /// Pins a network: writes its genesis document and its network file. Does not look into the
    /// document: the caller has checked its hash.
    ///
    /// # Errors
    /// [`FileError::Exists`] if there is a network of this name.
    pub fn add_network(
        &self,
        name: &NetworkName,
        genesis: &str,
        file: &NetworkFile,
    ) -> Result<(), FileError> {
        files::create_folder(&self.network_folder(name))?;
        // The network file comes last: without it there is no network of this name.
        let path = self.network_path(name);
        if path.exists() {
            return Err(FileError::Exists { path });
        }
        files::replace(&self.genesis_path(name), genesis.as_bytes())?;
        files::create(&path, file.to_text().as_bytes())
    }

    /// Reads what is pinned about a network: the network file and the text of its genesis document.
    ///
    /// # Errors
    /// [`HomeError`] naming the file. Whether the two fit is for the caller to check.
    pub fn network(&self, name: &NetworkName) -> Result<(NetworkFile, String), HomeError> {
        let file = NetworkFile::read(&self.network_path(name))?;
        let genesis = files::read_text(&self.genesis_path(name), GENESIS_BYTES_MAX)?;
        Ok((file, genesis))
    }

    /// Names of the networks, ascending.
    ///
    /// # Errors
    /// [`FileError::System`].
    pub fn network_names(&self) -> Result<Vec<NetworkName>, FileError> {
        let found = entries(&self.networks_folder())?;
        let mut names: Vec<NetworkName> =
            found.iter().filter_map(|name| NetworkName::new(name).ok()).collect();
        names.retain(|name| self.network_path(name).is_file());
        names.sort();
        Ok(names)
    }

    /// Name of the network in use, if one was chosen.
    ///
    /// # Errors
    /// [`HomeError::Current`] if the file holds something else.
    pub fn current_network(&self) -> Result<Option<NetworkName>, HomeError> {
        let path = self.current_path();
        match files::read_text(&path, CURRENT_BYTES_MAX) {
            Ok(text) => NetworkName::new(text.trim_end())
                .map(Some)
                .map_err(|fault| HomeError::Current { path, fault }),
            Err(FileError::Missing { .. }) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    /// Chooses the network in use.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn use_network(&self, name: &NetworkName) -> Result<(), FileError> {
        files::create_folder(&self.networks_folder())?;
        files::replace(&self.current_path(), format!("{name}\n").as_bytes())
    }
}

/// Names in a folder; none if there is no such folder.
fn entries(folder: &Path) -> Result<Vec<String>, FileError> {
    let refused = |source| FileError::System { path: folder.to_owned(), action: "list", source };
    let listing = match std::fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(refused(error)),
    };
    let names = listing.take(ENTRIES_MAX).map(|entry| entry.map(|entry| entry.file_name()));
    let names: Vec<_> = names.collect::<Result<_, _>>().map_err(refused)?;
    Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
}
