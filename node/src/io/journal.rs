//! The real files under the vote log, and the lock on the data folder.
//!
//! The log itself is [`quorate_replica::vote_log`]; here is what it asks of the operating system.
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use quorate_replica::vote_log::{Files, Folder, VoteLog, VoteLogError};

/// The vote log on real files. Owned by the thread that runs the replica.
pub type Journal = VoteLog<RealFiles>;

/// Where the log is.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// Folder of the log's files.
    pub folder: PathBuf,
    /// Folder of the marker: the one that holds the signing key.
    pub marker_folder: PathBuf,
}

/// Why the data folder or the vote log cannot be used. Each is final for this run of the node.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process runs on the same data.
    #[error("{} is locked: another node is running on this folder", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A folder cannot be prepared.
    #[error("cannot {action} {}: {source}", path.display())]
    Folder {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The fault.
        source: io::Error,
    },
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] VoteLogError),
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Folder { action, path, source }
}

/// Held while a process uses a data folder.
#[derive(Debug)]
pub struct FolderLock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl FolderLock {
    /// Creates the folder if needed and locks it against other processes.
    ///
    /// # Errors
    /// [`JournalError::Locked`] when another process holds the lock; [`JournalError::Folder`] otherwise.
    pub fn acquire(folder: &Path) -> Result<Self, JournalError> {
        create_folder(folder)?;
        let path = folder.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(fs::TryLockError::WouldBlock) => Err(JournalError::Locked { path }),
            Err(fs::TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
        }
    }
}

/// Creates a folder and those above it, each durably.
fn create_folder(folder: &Path) -> Result<(), JournalError> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new(""));
    create_folder(above)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed("create", folder)(error)),
        Ok(()) | Err(_) => sync_folder(above).map_err(failed("sync", above)),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// The log's files on a real file system.
#[derive(Debug)]
pub struct RealFiles {
    config: JournalConfig,
    /// The file that was written last, kept open: it is nearly always the next one, too, and faults are
    /// reported to who had the file open when they happened.
    opened: Option<Opened>,
}

#[derive(Debug)]
struct Opened {
    folder: Folder,
    name: String,
    /// Writes at its end.
    file: File,
    /// Whether more than its content and length may have changed.
    is_new: bool,
}

impl RealFiles {
    /// Creates the folders if needed.
    ///
    /// # Errors
    /// [`JournalError::Folder`] when that cannot be done.
    pub fn new(config: JournalConfig) -> Result<Self, JournalError> {
        create_folder(&config.folder)?;
        create_folder(&config.marker_folder)?;
        Ok(Self { config, opened: None })
    }

    fn folder(&self, folder: Folder) -> &Path {
        match folder {
            Folder::Log => &self.config.folder,
            Folder::Marker => &self.config.marker_folder,
        }
    }

    /// The file, opened for writing at its end.
    fn open(&mut self, folder: Folder, name: &str) -> io::Result<&mut Opened> {
        let opened = match self.opened.take() {
            Some(opened) if opened.folder == folder && opened.name == name => opened,
            Some(_) | None => {
                let file = File::options().append(true).open(self.path(folder, name))?;
                Opened { folder, name: name.to_owned(), file, is_new: false }
            }
        };
        Ok(self.opened.insert(opened))
    }
}

impl Files for RealFiles {
    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.folder(folder))? {
            // The log gives no other names.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn read(&self, folder: Folder, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(folder, name)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&mut self, folder: Folder, name: &str, content: &[u8]) -> io::Result<()> {
        let file = File::options().append(true).create(true).open(self.path(folder, name))?;
        file.set_len(0)?;
        let opened = self.opened.insert(Opened { folder, name: name.to_owned(), file, is_new: true });
        opened.file.write_all(content)
    }

    fn append(&mut self, folder: Folder, name: &str, content: &[u8]) -> io::Result<()> {
        self.open(folder, name)?.file.write_all(content)
    }

    fn truncate(&mut self, folder: Folder, name: &str, length: u64) -> io::Result<()> {
        let opened = self.open(folder, name)?;
        opened.is_new = true;
        opened.file.set_len(length)
    }

    fn sync(&mut self, folder: Folder, name: &str) -> io::Result<()> {
        let opened = self.open(folder, name)?;
        if opened.is_new {
            opened.file.sync_all()?;
            opened.is_new = false;
            return Ok(());
        }
        opened.file.sync_data()
    }

    fn rename(&mut self, folder: Folder, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(folder, from), self.path(folder, to))?;
        if let Some(opened) = self.opened.as_mut().filter(|opened| opened.folder == folder) {
            if opened.name == from {
                to.clone_into(&mut opened.name);
            } else if opened.name == to {
                self.opened = None;
            }
        }
        Ok(())
    }

    fn remove(&mut self, folder: Folder, name: &str) -> io::Result<()> {
        if self.opened.as_ref().is_some_and(|opened| opened.folder == folder && opened.name == name) {
            self.opened = None;
        }
        fs::remove_file(self.path(folder, name))
    }

    fn sync_folder(&mut self, folder: Folder) -> io::Result<()> {
        sync_folder(self.folder(folder))
    }

    fn path(&self, folder: Folder, name: &str) -> PathBuf {
        self.folder(folder).join(name)
    }
}
