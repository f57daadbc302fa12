//! Small private files that are there whole or not at all.
//!
//! A file is written beside its place, synced, and only then given its name, so that neither a crash
//! nor a full disk leaves half a file under it.
use rand::TryRng;
use rand::rngs::SysRng;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Mode of files: the owner reads and writes.
const FILE_MODE: u32 = 0o600;
/// Mode of folders: the owner enters.
const FOLDER_MODE: u32 = 0o700;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is no such file.
    #[error("{}: no such file", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is such a file, and it may hold something that is needed.
    #[error("{}: exists already and is never overwritten", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// More bytes than such a file can have.
    #[error("{}: longer than {limit} bytes, which no such file is", path.display())]
    TooLong {
        /// Where.
        path: PathBuf,
        /// Most bytes allowed.
        limit: usize,
    },
    /// The bytes are not text.
    #[error("{}: not UTF-8 text", path.display())]
    NotText {
        /// Where.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: {action}: {source}", path.display())]
    System {
        /// Where.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What it said.
        source: io::Error,
    },
}

fn system(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::System { path, action, source }
}

/// Reads a whole text file of at most `limit` bytes.
///
/// # Errors
/// [`FileError`] naming the file.
pub fn read_text(path: &Path, limit: usize) -> Result<String, FileError> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FileError::Missing { path: path.to_owned() },
        _ => system(path, "open")(error),
    })?;
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(system(path, "read"))?;
    if bytes.len() > limit {
        return Err(FileError::TooLong { path: path.to_owned(), limit });
    }
    String::from_utf8(bytes).map_err(|_| FileError::NotText { path: path.to_owned() })
}

/// Creates a folder and those above it, for the owner only. Does nothing if it is there.
///
/// # Errors
/// [`FileError::System`].
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(path)
        .map_err(system(path, "create the folder"))
}

/// Creates a file for the owner only; never replaces one.
///
/// # Errors
/// [`FileError::Exists`] if the name is taken, [`FileError::System`] otherwise; nothing is left behind.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let beside = write_beside(path, bytes)?;
    // A hard link is the one way to give a name atomically that fails when the name is taken.
    let linked = fs::hard_link(&beside, path);
    let _ = fs::remove_file(&beside);
    linked.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => FileError::Exists { path: path.to_owned() },
        _ => system(path, "create")(error),
    })?;
    sync_folder(path)
}

/// Writes a file for the owner only, in place of the one that may be there.
///
/// # Errors
/// [`FileError::System`]; the old file is then unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let beside = write_beside(path, bytes)?;
    fs::rename(&beside, path).map_err(|error| {
        let _ = fs::remove_file(&beside);
        system(path, "replace")(error)
    })?;
    sync_folder(path)
}

fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf, FileError> {
    let mut random = [0_u8; 8];
    SysRng
        .try_fill_bytes(&mut random)
        .map_err(|error| system(path, "get random bytes")(io::Error::other(error)))?;
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.new", hex::encode(random)));
    let beside = path.with_file_name(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| {
        let _ = fs::remove_file(&beside);
        system(path, "write")(error)
    })?;
    Ok(beside)
}

fn sync_folder(path: &Path) -> Result<(), FileError> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|opened| opened.sync_all()).map_err(system(folder, "sync the folder"))
}
