//! A disk that stays in its machine while a process on that machine uses it.
use quorate_replica::vote_log::{Files, Folder};
use std::cell::{RefCell, RefMut};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use crate::disk::Disk;

/// One handle on a disk; clones are handles on the same one.
#[derive(Clone)]
pub struct Mount(Rc<RefCell<Disk>>);

impl Mount {
    /// Puts a disk into a machine.
    #[must_use]
    pub fn new(disk: Disk) -> Self {
        Self(Rc::new(RefCell::new(disk)))
    }

    /// The disk. Not to be held while anybody else uses it: every use is one call.
    #[must_use]
    pub fn disk(&self) -> RefMut<'_, Disk> {
        self.0.borrow_mut()
    }
}

impl Files for Mount {
    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        self.disk().list(folder)
    }

    fn read(&self, folder: Folder, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.disk().read(folder, name)
    }

    fn create(&mut self, folder: Folder, name: &str, content: &[u8]) -> io::Result<()> {
        self.disk().create(folder, name, content)
    }

    fn append(&mut self, folder: Folder, name: &str, content: &[u8]) -> io::Result<()> {
        self.disk().append(folder, name, content)
    }

    fn truncate(&mut self, folder: Folder, name: &str, length: u64) -> io::Result<()> {
        self.disk().truncate(folder, name, length)
    }

    fn sync(&mut self, folder: Folder, name: &str) -> io::Result<()> {
        self.disk().sync(folder, name)
    }

    fn rename(&mut self, folder: Folder, from: &str, to: &str) -> io::Result<()> {
        self.disk().rename(folder, from, to)
    }

    fn remove(&mut self, folder: Folder, name: &str) -> io::Result<()> {
        self.disk().remove(folder, name)
    }

    fn sync_folder(&mut self, folder: Folder) -> io::Result<()> {
        self.disk().sync_folder(folder)
    }

    fn path(&self, folder: Folder, name: &str) -> PathBuf {
        self.disk().path(folder, name)
    }
}
