//! What the vote log asks of a file system.
use std::io;
use std::path::PathBuf;

/// Where a file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Folder {
    /// The log's files.
    Log,
    /// Beside the signing key.
    Marker,
}

/// Files as the vote log needs them. Every method is one point at which a machine can fail. After an error
/// nobody knows what the disk holds.
#[expect(missing_docs, clippy::missing_errors_doc, reason = "stands in for the port of the replica")]
pub trait Files {
    fn list(&self, folder: Folder) -> io::Result<Vec<String>>;
    fn read(&self, folder: Folder, name: &str) -> io::Result<Option<Vec<u8>>>;
    fn create(&mut self, folder: Folder, name: &str, content: &[u8]) -> io::Result<()>;
    fn append(&mut self, folder: Folder, name: &str, content: &[u8]) -> io::Result<()>;
    fn truncate(&mut self, folder: Folder, name: &str, length: u64) -> io::Result<()>;
    fn sync(&mut self, folder: Folder, name: &str) -> io::Result<()>;
    fn rename(&mut self, folder: Folder, from: &str, to: &str) -> io::Result<()>;
    fn remove(&mut self, folder: Folder, name: &str) -> io::Result<()>;
    fn sync_folder(&mut self, folder: Folder) -> io::Result<()>;
    fn path(&self, folder: Folder, name: &str) -> PathBuf;
}
