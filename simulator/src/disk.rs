//! One node's files, byte by byte, with everything that a disk may do to them.
//!
//! What was written lies in the memory of the machine until it is synced. When the power fails, of a file
//! the synced bytes are left, and of the others nothing, a first part or any pieces; of changes to a folder
//! that was not synced, a first part is left. Every change counts as one call, so that a crash or a failure
//! can be placed at any of them.
use quorate_replica::vote_log::{Files, Folder};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use crate::options::Torn;
use crate::random::Dice;

/// What a disk writes as a whole: unsynced bytes of a sector reach the disk together or not at all.
const SECTOR_BYTES: usize = 512;

/// What happens at a planned call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The call fails with an input/output error; a write may have been done in part.
    Failure,
    /// There is no room; a write is done in part.
    Full,
    /// The machine ends; a write may have been done in part.
    Crash,
}

#[derive(Clone, Debug, Default)]
struct File {
    content: Vec<u8>,
    /// What the disk holds for certain.
    synced: Vec<u8>,
}

#[derive(Clone, Debug)]
enum FolderChange {
    Set {
        name: String,
        file: u64,
    },
    Unset {
        name: String,
    },
    /// In one: a file is never seen under both names or under none.
    Move {
        from: String,
        to: String,
        file: u64,
    },
}

type Names = BTreeMap<String, u64>;

#[derive(Clone, Debug, Default)]
struct Entries {
    names: Names,
    synced: Names,
    /// What leads from the synced names to the present ones.
    changes: Vec<FolderChange>,
}

fn change(names: &mut Names, change: &FolderChange) {
    match change {
        FolderChange::Set { name, file } => drop(names.insert(name.clone(), *file)),
        FolderChange::Unset { name } => drop(names.remove(name)),
        FolderChange::Move { from, to, file } => {
            names.remove(from);
            names.insert(to.clone(), *file);
        }
    }
}

/// The files of one node.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: BTreeMap<u64, File>,
    log: Entries,
    marker: Entries,
    next: u64,
    calls: u64,
    trouble: Option<(u64, Trouble)>,
    /// How much of the troubled write is done, in thousandths.
    part_permille: u64,
    is_broken: bool,
    has_failed: bool,
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Bytes in the files of the log.
    #[must_use]
    pub fn log_bytes(&self) -> usize {
        self.log.names.values().filter_map(|file| self.files.get(file)).map(|file| file.content.len()).sum()
    }

    /// Lets a coming change meet trouble, after so many that succeed; `part_permille` is how much of a
    /// write is done then.
    pub fn plan(&mut self, after: u64, trouble: Trouble, part_permille: u64) {
        self.trouble = Some((after, trouble));
        self.part_permille = part_permille.min(1_000);
    }

    /// Forgets planned trouble.
    pub fn calm(&mut self) {
        self.trouble = None;
    }

    /// Whether planned trouble has ended the machine.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether a call has failed since the last restart.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// The machine starts again. If the power failed, what was not synced is left as `torn` says.
    pub fn restart(&mut self, torn: Option<Torn>, dice: &mut Dice) {
        self.trouble = None;
        self.is_broken = false;
        self.has_failed = false;
        let Some(torn) = torn else { return };
        for entries in [&mut self.log, &mut self.marker] {
            let kept = dice.index(entries.changes.len().saturating_add(1));
            let changes = std::mem::take(&mut entries.changes);
            changes.iter().take(kept).for_each(|one| change(&mut entries.synced, one));
            entries.names.clone_from(&entries.synced);
        }
        let (log, marker) = (&self.log.names, &self.marker.names);
        self.files.retain(|id, _| log.values().chain(marker.values()).any(|held| held == id));
        for file in self.files.values_mut() {
            if file.content != file.synced {
                tear(file, torn, dice);
            }
        }
    }

    /// Removes every file of a folder, for good.
    pub fn wipe(&mut self, folder: Folder) {
        *self.entries_mut(folder) = Entries::default();
    }

    /// Changes one bit of a file of the log, for good. Nothing if there is no byte.
    pub fn rot(&mut self, dice: &mut Dice) -> bool {
        let Some((_, id)) = self.log.names.last_key_value() else { return false };
        let Some(file) = self.files.get_mut(id) else { return false };
        let position = dice.index(file.synced.len());
        let bit = 1_u8 << dice.below(8);
        let Some(byte) = file.synced.get_mut(position) else { return false };
        *byte ^= bit;
        if let Some(byte) = file.content.get_mut(position) {
            *byte ^= bit;
        }
        true
    }

    fn entries(&self, folder: Folder) -> &Entries {
        match folder {
            Folder::Log => &self.log,
            Folder::Marker => &self.marker,
        }
    }

    fn entries_mut(&mut self, folder: Folder) -> &mut Entries {
        match folder {
            Folder::Log => &mut self.log,
            Folder::Marker => &mut self.marker,
        }
    }

    /// Counts a change; the trouble that it meets.
    fn call(&mut self) -> io::Result<Option<Trouble>> {
        if self.is_broken {
            return Err(io::Error::other("the machine has ended"));
        }
        self.calls = self.calls.saturating_add(1);
        let Some((after, trouble)) = self.trouble else { return Ok(None) };
        if after > 0 {
            self.trouble = Some((after.saturating_sub(1), trouble));
            return Ok(None);
        }
        // A full disk stays full until the node is restarted.
        if trouble != Trouble::Full {
            self.trouble = None;
        }
        self.is_broken = trouble == Trouble::Crash;
        self.has_failed = true;
        Ok(Some(trouble))
    }

    fn part(&self, length: usize) -> usize {
        let permille = usize::try_from(self.part_permille).unwrap_or(1_000);
        length.saturating_mul(permille) / 1_000
    }

    fn file_mut(&mut self, folder: Folder, name: &str) -> io::Result<&mut File> {
        let id = self.entries(folder).names.get(name).copied();
        id.and_then(|id| self.files.get_mut(&id)).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn change_folder(&mut self, folder: Folder, one: FolderChange) {
        let entries = self.entries_mut(folder);
        change(&mut entries.names, &one);
        entries.changes.push(one);
    }
}

fn outcome(trouble: Option<Trouble>) -> io::Result<()> {
    match trouble {
        None => Ok(()),
        Some(Trouble::Full) => Err(io::Error::from(io::ErrorKind::StorageFull)),
        Some(Trouble::Failure | Trouble::Crash) => Err(io::Error::other("input/output error on purpose")),
    }
}

/// What the power failure leaves of a file whose content is not synced.
fn tear(file: &mut File, torn: Torn, dice: &mut Dice) {
    let common = file.synced.len().min(file.content.len());
    let is_tail = file.synced.get(..common) == file.content.get(..common);
    let left = match torn {
        Torn::Nothing => file.synced.clone(),
        // Also a truncation: the length is anything between.
        Torn::Prefix if is_tail => {
            let longer = if file.content.len() > common { &file.content } else { &file.synced };
            let length =
                common.saturating_add(dice.index(longer.len().saturating_sub(common).saturating_add(1)));
            longer.iter().take(length).copied().collect()
        }
        Torn::Prefix | Torn::Pieces => pieces(file, dice),
    };
    file.content.clone_from(&left);
    file.synced = left;
}

/// Any of the sectors that differ are as they were written, the others as they were synced, or zero.
fn pieces(file: &File, dice: &mut Dice) -> Vec<u8> {
    let (old, new) = (file.synced.len(), file.content.len());
    let length = if dice.coin() {
        new
    } else {
        old.min(new).saturating_add(dice.index(old.abs_diff(new).saturating_add(1)))
    };
    let mut left = Vec::with_capacity(length);
    while left.len() < length {
        let source = if dice.coin() { &file.content } else { &file.synced };
        for position in left.len()..length.min(left.len().saturating_add(SECTOR_BYTES)) {
            left.push(source.get(position).copied().unwrap_or(0));
        }
    }
    left
}

impl Files for Disk {
    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        Ok(self.entries(folder).names.keys().cloned().collect())
    }

    fn read(&self, folder: Folder, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = self.entries(folder).names.get(name).and_then(|id| self.files.get(id));
        Ok(file.map(|file| file.content.clone()))
    }

    fn create(&mut self, folder: Folder, name: &str, content: &[u8]) -> io::Result<()> {
        let trouble = self.call()?;
        let length = if trouble.is_some() { self.part(content.len()) } else { content.len() };
        let content: Vec<u8> = content.iter().take(length).copied().collect();
        if let Ok(file) = self.file_mut(folder, name) {
            file.content = content;
        } else {
            self.next = self.next.saturating_add(1);
            let file = self.next;
            self.files.insert(file, File { content, synced: Vec::new() });
            self.change_folder(folder, FolderChange::Set { name: name.to_owned(), file });
        }
        outcome(trouble)
    }

    fn append(&mut self, folder: Folder, name: &str, content: &[u8]) -> io::Result<()> {
        let trouble = self.call()?;
        let length = if trouble.is_some() { self.part(content.len()) } else { content.len() };
        self.file_mut(folder, name)?.content.extend(content.iter().take(length));
        outcome(trouble)
    }

    fn truncate(&mut self, folder: Folder, name: &str, length: u64) -> io::Result<()> {
        let trouble = self.call()?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.file_mut(folder, name)?.content.truncate(length);
        outcome(trouble)
    }

    fn sync(&mut self, folder: Folder, name: &str) -> io::Result<()> {
        let trouble = self.call()?;
        let is_done = trouble.is_none();
        let file = self.file_mut(folder, name)?;
        if is_done {
            let common = file.synced.len();
            // Nearly always the file has only grown.
            if file.content.get(..common) == Some(file.synced.as_slice()) {
                file.synced.extend(file.content.iter().skip(common));
            } else {
                file.synced.clone_from(&file.content);
            }
        }
        outcome(trouble)
    }

    fn rename(&mut self, folder: Folder, from: &str, to: &str) -> io::Result<()> {
        let trouble = self.call()?;
        let found = self.entries(folder).names.get(from).copied();
        let file = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        if trouble.is_none() || self.part_permille >= 500 {
            self.change_folder(folder, FolderChange::Move { from: from.to_owned(), to: to.to_owned(), file });
        }
        outcome(trouble)
    }

    fn remove(&mut self, folder: Folder, name: &str) -> io::Result<()> {
        let trouble = self.call()?;
        if trouble.is_none() || self.part_permille >= 500 {
            self.change_folder(folder, FolderChange::Unset { name: name.to_owned() });
        }
        outcome(trouble)
    }

    fn sync_folder(&mut self, folder: Folder) -> io::Result<()> {
        let trouble = self.call()?;
        if trouble.is_none() {
            let entries = self.entries_mut(folder);
            let changes = std::mem::take(&mut entries.changes);
            changes.iter().for_each(|one| change(&mut entries.synced, one));
        }
        outcome(trouble)
    }

    fn path(&self, folder: Folder, name: &str) -> PathBuf {
        PathBuf::from(format!("{folder:?}")).join(name)
    }
}
