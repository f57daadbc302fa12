//! Where the files of a testnet lie.
//!
//! ```text
//! genesis.toml          the founding document
//! testnet.json          what runs, for people and programs
//! lock                  held by the supervisor
//! control/restart-n3    a request to the supervisor, as is add-n5
//! supervisor.log        messages of a detached supervisor
//! n1/node.toml          configuration of a node, beside validator.json, data/ and node.log
//! keys/, networks/      the folder is also the home of a wallet
//! ```
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The folder of a testnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(PathBuf);

/// Held as long as the supervisor lives.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is no home to put it into.
    #[error("neither XDG_DATA_HOME nor HOME is set: name a folder with --dir")]
    NoHome,
    /// Another supervisor uses it.
    #[error("a testnet runs in {}: expected none; stop it with `quorate testnet down --dir {}`", path.display(), path.display())]
    Running {
        /// Which.
        path: PathBuf,
    },
    /// It holds files that no testnet writes.
    #[error("{}: expected an empty folder or one of a testnet; it holds {found:?}", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// A file that is not ours.
        found: String,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    System {
        /// Which file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Files and folders that `--fresh` removes, besides those of the nodes.
const OWN_NAMES: [&str; 7] =
    ["genesis.toml", "testnet.json", "lock", "control", "supervisor.log", "keys", "networks"];

impl Folder {
    /// This folder; relative ones are made absolute.
    ///
    /// # Errors
    /// [`FolderError::System`] if the current folder is gone.
    pub fn new(path: &Path) -> Result<Self, FolderError> {
        std::path::absolute(path)
            .map(Self)
            .map_err(|source| FolderError::System { path: path.to_owned(), source })
    }

    /// The folder that is used when none is named: `quorate/testnet` where the user's data lie.
    ///
    /// # Errors
    /// [`FolderError::NoHome`].
    pub fn usual() -> Result<Self, FolderError> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let data = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
        Self::new(&data.ok_or(FolderError::NoHome)?.join("quorate/testnet"))
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The founding document.
    #[must_use]
    pub fn genesis(&self) -> PathBuf {
        self.0.join("genesis.toml")
    }

    /// What runs.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.0.join("testnet.json")
    }

    /// Messages of a detached supervisor.
    #[must_use]
    pub fn supervisor_log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }

    /// Folder of a node.
    #[must_use]
    pub fn node(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Configuration of a node.
    #[must_use]
    pub fn node_config(&self, name: &str) -> PathBuf {
        self.node(name).join("node.toml")
    }

    /// Key of a node.
    #[must_use]
    pub fn node_key(&self, name: &str) -> PathBuf {
        self.node(name).join("validator.json")
    }

    /// Log of a node.
    #[must_use]
    pub fn node_log(&self, name: &str) -> PathBuf {
        self.node(name).join("node.log")
    }

    /// The request that the supervisor starts a node again.
    #[must_use]
    pub fn restart_request(&self, name: &str) -> PathBuf {
        self.0.join("control").join(format!("restart-{name}"))
    }

    /// The request that the supervisor adds a node and starts it.
    #[must_use]
    pub fn add_request(&self, name: &str) -> PathBuf {
        self.0.join("control").join(format!("add-{name}"))
    }

    /// Removes requests that a supervisor did not live to carry out.
    ///
    /// # Errors
    /// [`FolderError::System`] naming the file.
    pub fn clear_requests(&self) -> Result<(), FolderError> {
        let control = self.0.join("control");
        let refused = |source| FolderError::System { path: control.clone(), source };
        for entry in fs::read_dir(&control).map_err(refused)? {
            let path = entry.map_err(refused)?.path();
            fs::remove_file(&path).map_err(|source| FolderError::System { path, source })?;
        }
        Ok(())
    }

    /// Creates the folder and takes it for one supervisor.
    ///
    /// # Errors
    /// [`FolderError::Running`] if another one has it.
    pub fn lock(&self) -> Result<FolderLock, FolderError> {
        let path = self.0.join("lock");
        let refused = |source| FolderError::System { path: path.clone(), source };
        fs::create_dir_all(self.0.join("control")).map_err(refused)?;
        let file = File::options().create(true).append(true).open(&path).map_err(refused)?;
        match file.try_lock() {
            Ok(()) => Ok(FolderLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(FolderError::Running { path: self.0.clone() }),
            Err(TryLockError::Error(source)) => Err(refused(source)),
        }
    }

    /// Whether a supervisor has the folder. Does not wait.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        let file = File::options().append(true).open(self.0.join("lock"));
        file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// Refuses a folder with files that no testnet writes, so that nobody's files are mixed or removed.
    ///
    /// # Errors
    /// [`FolderError::Foreign`] naming one of them.
    pub fn check_own(&self) -> Result<(), FolderError> {
        for name in self.entries()? {
            if !is_own(&name) {
                return Err(FolderError::Foreign { path: self.0.clone(), found: name });
            }
        }
        Ok(())
    }

    /// Removes everything but the lock, which the caller holds, and the log that it may be writing.
    ///
    /// # Errors
    /// [`FolderError::Foreign`] if there is anything that no testnet writes; then nothing is removed.
    pub fn clear(&self) -> Result<(), FolderError> {
        self.check_own()?;
        for name in self.entries()? {
            let path = self.0.join(&name);
            let removed = match name.as_str() {
                "lock" | "supervisor.log" => Ok(()),
                "control" => fs::remove_dir_all(&path).and_then(|()| fs::create_dir(&path)),
                _ if path.is_dir() => fs::remove_dir_all(&path),
                _ => fs::remove_file(&path),
            };
            removed.map_err(|source| FolderError::System { path, source })?;
        }
        Ok(())
    }

    fn entries(&self) -> Result<Vec<String>, FolderError> {
        let refused = |source| FolderError::System { path: self.0.clone(), source };
        let listing = match fs::read_dir(&self.0) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(refused(error)),
        };
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|found| found.file_name().to_string_lossy().into_owned())
        };
        listing.map(name).collect::<Result<_, _>>().map_err(refused)
    }
}

fn is_own(name: &str) -> bool {
    let of_node = name.strip_prefix('n').is_some_and(|number| number.parse::<u8>().is_ok());
    // A file that was being written when the power went is named after its target, with a dot before.
    let half_written = name.starts_with('.') && name.ends_with(".new");
    of_node || half_written || OWN_NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_clears_a_folder_that_holds_files_of_others() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("testnet.json"), "{}").unwrap();
        fs::write(place.path().join("thesis.tex"), "years of work").unwrap();
        let folder = Folder::new(place.path()).unwrap();

        let refused = folder.clear();

        assert!(matches!(refused, Err(FolderError::Foreign { found, .. }) if found == "thesis.tex"));
        assert!(place.path().join("testnet.json").exists());
    }

    #[test]
    fn only_one_supervisor_holds_a_folder() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path()).unwrap();
        let lock = folder.lock().unwrap();
        assert!(folder.is_locked());
        assert!(matches!(folder.lock(), Err(FolderError::Running { .. })));
        drop(lock);
        assert!(!folder.is_locked());
        assert!(folder.lock().is_ok());
    }
}
