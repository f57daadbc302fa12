//! The files of the vote log, as the log needs them.
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

/// Files as the vote log needs them.
///
/// Every method is one point at which a machine can fail. After an error nobody knows what the disk
/// holds. A failed sync may have forgotten what it should have written, so that a later one succeeds
/// without it; only what is written anew after an error can be made durable.
#[expect(clippy::missing_errors_doc, reason = "every method passes on what the operating system reports")]
pub trait Files {
    /// The names of the files in a folder, in any order.
    fn list(&self, folder: Folder) -> io::Result<Vec<String>>;

    /// The content of a file; `None` when there is no such file.
    fn read(&self, folder: Folder, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Makes a file with this content; one of that name is emptied before. Not durable.
    fn create(&mut self, folder: Folder, name: &str, content: &[u8]) -> io::Result<()>;

    /// Writes to the end of a file that exists. Not durable.
    fn append(&mut self, folder: Folder, name: &str, content: &[u8]) -> io::Result<()>;

    /// Cuts a file to a length, in bytes. Not durable.
    fn truncate(&mut self, folder: Folder, name: &str, length: u64) -> io::Result<()>;

    /// Makes content and length of a file durable; its name is so after [`Files::sync_folder`].
    fn sync(&mut self, folder: Folder, name: &str) -> io::Result<()>;

    /// Gives a file another name, in place of a file that has it. Durable after [`Files::sync_folder`];
    /// before that a crash leaves the one name or the other.
    fn rename(&mut self, folder: Folder, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Durable after [`Files::sync_folder`].
    fn remove(&mut self, folder: Folder, name: &str) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_folder(&mut self, folder: Folder) -> io::Result<()>;

    /// What to call a file in messages.
    fn path(&self, folder: Folder, name: &str) -> PathBuf;
}
