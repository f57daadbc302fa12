//! Files in memory, byte by byte: what a process sees of them, and what a power failure leaves.
//!
//! What was written is seen at once and safe when it is synced; what becomes of the rest when the power
//! fails is chosen by an [`Outcome`]. A sync that fails gives up what it did not write: it stays seen,
//! and no later sync makes it safe. One call can be chosen at which the process ends or an error is
//! reported, after none, half or all of the work is done.
use std::cell::{Ref, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::rc::Rc;

use quorate_replica::vote_log::{Files, Folder};

/// Units that a disk writes as a whole.
const SECTOR_BYTES: usize = 512;

/// How much of a call is done before its trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Nothing,
    Half,
    All,
}

pub(crate) const PARTS: [Part; 3] = [Part::Nothing, Part::Half, Part::All];

/// What happens at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// The process ends: this call and all after it fail.
    End(Part),
    /// The call reports an error; later ones may succeed.
    Error(Part),
}

/// What is left of names that were changed in a folder since its last sync.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Names {
    Old,
    New,
    FirstHalf,
    Even,
    Odd,
}

/// What is left of bytes that were written since the last sync.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bytes {
    /// None of them.
    Old,
    /// All of them.
    New,
    /// The first one.
    FirstByte,
    /// A half of them.
    Half,
    /// All but the last.
    ButOne,
    /// As many zeros.
    Zeros,
    /// Half as many zeros.
    FewerZeros,
    /// Those before the first boundary of a sector, and as many zeros as were behind it.
    FirstSectorAndZeros,
    /// Those before the last boundary of a sector, and as many zeros as were behind it.
    LastSectorAndZeros,
}

/// What a power failure leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) names: Names,
    pub(crate) bytes: Bytes,
}

pub(crate) fn outcomes() -> impl Iterator<Item = Outcome> {
    let names = [Names::Old, Names::New, Names::FirstHalf, Names::Even, Names::Odd];
    let bytes = [
        Bytes::Old,
        Bytes::New,
        Bytes::FirstByte,
        Bytes::Half,
        Bytes::ButOne,
        Bytes::Zeros,
        Bytes::FewerZeros,
        Bytes::FirstSectorAndZeros,
        Bytes::LastSectorAndZeros,
    ];
    names.into_iter().flat_map(move |names| bytes.into_iter().map(move |bytes| Outcome { names, bytes }))
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Content {
    seen: Vec<u8>,
    safe: Vec<u8>,
    /// A sync gave up what is not safe.
    is_given_up: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Link { name: String, content: usize },
    Unlink { name: String },
    Rename { from: String, to: String, content: usize },
}

type Entries = BTreeMap<String, usize>;

fn apply(entries: &mut Entries, change: &Change) {
    match change {
        Change::Link { name, content } => {
            entries.insert(name.clone(), *content);
        }
        Change::Unlink { name } => {
            entries.remove(name);
        }
        Change::Rename { from, to, content } => {
            entries.remove(from);
            entries.insert(to.clone(), *content);
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Directory {
    seen: Entries,
    safe: Entries,
    /// Changes that are seen and may become safe.
    pending: Vec<Change>,
}

/// All that the disk and the machine hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct State {
    contents: Vec<Content>,
    directories: BTreeMap<Folder, Directory>,
    calls: usize,
    changes: usize,
    trouble: Option<(usize, Trouble)>,
    has_ended: bool,
}

impl State {
    fn directory(&mut self, folder: Folder) -> &mut Directory {
        self.directories.entry(folder).or_default()
    }

    fn seen(&self, folder: Folder, name: &str) -> Option<usize> {
        self.directories.get(&folder)?.seen.get(name).copied()
    }

    fn found(&mut self, folder: Folder, name: &str) -> io::Result<&mut Content> {
        let found = self.seen(folder, name).ok_or(io::Error::from(ErrorKind::NotFound))?;
        Ok(&mut self.contents[found])
    }

    fn change(&mut self, folder: Folder, change: Change) {
        let directory = self.directory(folder);
        apply(&mut directory.seen, &change);
        directory.pending.push(change);
    }

    /// Counts a call; what it has to do, and whether it reports success.
    fn call(&mut self) -> io::Result<(Part, bool)> {
        if self.has_ended {
            return Err(io::Error::other("the process has ended"));
        }
        self.calls += 1;
        match self.trouble {
            Some((call, Trouble::End(part))) if call == self.calls => {
                self.has_ended = true;
                Ok((part, false))
            }
            Some((call, Trouble::Error(part))) if call == self.calls => Ok((part, false)),
            Some(_) | None => Ok((Part::All, true)),
        }
    }

    /// The machine starts again after a power failure.
    fn lose_power(&mut self, outcome: Outcome) {
        for directory in self.directories.values_mut() {
            let pending = std::mem::take(&mut directory.pending);
            let half = pending.len() / 2;
            for (position, change) in pending.iter().enumerate() {
                let is_kept = match outcome.names {
                    Names::Old => false,
                    Names::New => true,
                    Names::FirstHalf => position < half,
                    Names::Even => position % 2 == 0,
                    Names::Odd => position % 2 == 1,
                };
                if is_kept {
                    apply(&mut directory.safe, change);
                }
            }
            directory.seen = directory.safe.clone();
        }
        for content in &mut self.contents {
            let left = left(content, outcome.bytes);
            *content = Content { seen: left.clone(), safe: left, is_given_up: false };
        }
        self.forget_nameless();
    }

    /// Makes states equal that differ only in what no name leads to.
    fn forget_nameless(&mut self) {
        let contents = std::mem::take(&mut self.contents);
        let mut places = BTreeMap::new();
        for directory in self.directories.values_mut() {
            for place in directory.safe.values_mut().chain(directory.seen.values_mut()) {
                *place = *places.entry(*place).or_insert_with(|| {
                    self.contents.push(contents[*place].clone());
                    self.contents.len() - 1
                });
            }
        }
    }
}

/// What a power failure leaves of a file.
fn left(content: &Content, bytes: Bytes) -> Vec<u8> {
    let Content { seen, safe, .. } = content;
    if seen == safe {
        return safe.clone();
    }
    let kept = if seen.starts_with(safe) { safe.len() } else { 0 };
    let written = seen.len() - kept;
    let cut = |length: usize| seen[..kept + length].to_vec();
    let zeros = |from: usize, to: usize| {
        let mut left = seen[..from].to_vec();
        left.resize(to, 0);
        left
    };
    let first_boundary = (kept + 1).next_multiple_of(SECTOR_BYTES).min(seen.len());
    let last_boundary = (seen.len().saturating_sub(1) / SECTOR_BYTES * SECTOR_BYTES).max(kept);
    match bytes {
        Bytes::Old => safe.clone(),
        Bytes::New => seen.clone(),
        Bytes::FirstByte => cut(written.min(1)),
        Bytes::Half => cut(written / 2),
        Bytes::ButOne => cut(written.saturating_sub(1)),
        Bytes::Zeros => zeros(kept, seen.len()),
        Bytes::FewerZeros => zeros(kept, kept + written / 2),
        Bytes::FirstSectorAndZeros => zeros(first_boundary, seen.len()),
        Bytes::LastSectorAndZeros => zeros(last_boundary, seen.len()),
    }
}

/// What is safe when a sync got through half of the sectors.
fn half_synced(content: &Content) -> Vec<u8> {
    let Content { seen, safe, .. } = content;
    let kept = if seen.starts_with(safe) { safe.len() } else { 0 };
    let end = usize::midpoint(kept, seen.len()) / SECTOR_BYTES * SECTOR_BYTES;
    if end > kept { seen[..end].to_vec() } else { safe.clone() }
}

/// A disk; a clone is the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Rc<RefCell<State>>);

impl Disk {
    pub(crate) fn new(state: State) -> Self {
        Self(Rc::new(RefCell::new(state)))
    }

    pub(crate) fn state(&self) -> Ref<'_, State> {
        self.0.borrow()
    }

    fn state_mut(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    /// Lets the `call`th call from now on meet trouble; the first is 1.
    pub(crate) fn plan(&self, call: usize, trouble: Trouble) {
        let mut state = self.state_mut();
        state.trouble = Some((state.calls + call, trouble));
    }

    /// Calls that were made and did not find the process ended.
    pub(crate) fn calls(&self) -> usize {
        self.state().calls
    }

    /// Calls that were to change something.
    pub(crate) fn changes(&self) -> usize {
        self.state().changes
    }

    /// Another process begins, and finds what the one before has left.
    pub(crate) fn restarted(&self) -> State {
        let fresh = State { calls: 0, changes: 0, trouble: None, has_ended: false, ..State::default() };
        let state = self.state();
        State { contents: state.contents.clone(), directories: state.directories.clone(), ..fresh }
    }

    /// What another process finds after a power failure.
    pub(crate) fn after_power_failure(&self, outcome: Outcome) -> State {
        let mut state = self.restarted();
        state.lose_power(outcome);
        state
    }

    /// All that another process may find after a power failure.
    pub(crate) fn after_power_failures(&self) -> BTreeSet<State> {
        outcomes().map(|outcome| self.after_power_failure(outcome)).collect()
    }

    /// The names in a folder.
    pub(crate) fn names(&self, folder: Folder) -> Vec<String> {
        let state = self.state();
        state
            .directories
            .get(&folder)
            .into_iter()
            .flat_map(|directory| directory.seen.keys().cloned())
            .collect()
    }

    /// The content of a file that exists.
    pub(crate) fn get(&self, folder: Folder, name: &str) -> Vec<u8> {
        self.state_mut().found(folder, name).unwrap().seen.clone()
    }

    /// Puts a file there, safely.
    pub(crate) fn put(&self, folder: Folder, name: &str, bytes: &[u8]) {
        let mut state = self.state_mut();
        let content = state.contents.len();
        state.contents.push(Content { seen: bytes.to_vec(), safe: bytes.to_vec(), is_given_up: false });
        let directory = state.directory(folder);
        let link = Change::Link { name: name.to_owned(), content };
        apply(&mut directory.seen, &link);
        apply(&mut directory.safe, &link);
    }

    /// Removes a file, safely.
    pub(crate) fn take(&self, folder: Folder, name: &str) {
        let mut state = self.state_mut();
        let directory = state.directory(folder);
        let unlink = Change::Unlink { name: name.to_owned() };
        apply(&mut directory.seen, &unlink);
        apply(&mut directory.safe, &unlink);
    }

    /// Empties a folder, safely.
    pub(crate) fn wipe(&self, folder: Folder) {
        *self.state_mut().directory(folder) = Directory::default();
    }

    /// All that is seen in a folder.
    pub(crate) fn copy(&self, folder: Folder) -> BTreeMap<String, Vec<u8>> {
        self.names(folder).into_iter().map(|name| (name.clone(), self.get(folder, &name))).collect()
    }

    fn perform(&self, work: impl FnOnce(&mut State, Part) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state_mut();
        state.changes += 1;
        let (part, succeeds) = state.call()?;
        work(&mut state, part)?;
        if succeeds { Ok(()) } else { Err(io::Error::other("on purpose")) }
    }
}

fn some<T>(of: &[T], part: Part) -> &[T] {
    match part {
        Part::Nothing => &[],
        Part::Half => &of[..of.len() / 2],
        Part::All => of,
    }
}

impl Files for Disk {
    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        let (_, succeeds) = self.state_mut().call()?;
        if succeeds { Ok(self.names(folder)) } else { Err(io::Error::other("on purpose")) }
    }

    fn read(&self, folder: Folder, name: &str) -> io::Result<Option<Vec<u8>>> {
        let (_, succeeds) = self.state_mut().call()?;
        if !succeeds {
            return Err(io::Error::other("on purpose"));
        }
        let found = self.state().seen(folder, name);
        Ok(found.map(|_| self.get(folder, name)))
    }

    fn create(&mut self, folder: Folder, name: &str, content: &[u8]) -> io::Result<()> {
        self.perform(|state, part| {
            if part == Part::Nothing {
                return Ok(());
            }
            let seen = some(content, part).to_vec();
            if let Ok(found) = state.found(folder, name) {
                *found = Content { seen, safe: found.safe.clone(), is_given_up: false };
                return Ok(());
            }
            let content = state.contents.len();
            state.contents.push(Content { seen, ..Content::default() });
            state.change(folder, Change::Link { name: name.to_owned(), content });
            Ok(())
        })
    }

    fn append(&mut self, folder: Folder, name: &str, content: &[u8]) -> io::Result<()> {
        self.perform(|state, part| {
            state.found(folder, name)?.seen.extend(some(content, part));
            Ok(())
        })
    }

    fn truncate(&mut self, folder: Folder, name: &str, length: u64) -> io::Result<()> {
        self.perform(|state, part| {
            if part != Part::Nothing {
                state.found(folder, name)?.seen.truncate(usize::try_from(length).unwrap());
            }
            Ok(())
        })
    }

    fn sync(&mut self, folder: Folder, name: &str) -> io::Result<()> {
        self.perform(|state, part| {
            let goes_on = state.has_ended;
            let found = state.found(folder, name)?;
            if !found.is_given_up {
                found.safe = match part {
                    Part::Nothing => found.safe.clone(),
                    Part::Half => half_synced(found),
                    Part::All => found.seen.clone(),
                };
                found.is_given_up = part != Part::All && !goes_on;
            }
            Ok(())
        })
    }

    fn rename(&mut self, folder: Folder, from: &str, to: &str) -> io::Result<()> {
        self.perform(|state, part| {
            let content = state.seen(folder, from).ok_or(io::Error::from(ErrorKind::NotFound))?;
            if part != Part::Nothing {
                state.change(folder, Change::Rename { from: from.to_owned(), to: to.to_owned(), content });
            }
            Ok(())
        })
    }

    fn remove(&mut self, folder: Folder, name: &str) -> io::Result<()> {
        self.perform(|state, part| {
            state.found(folder, name)?;
            if part != Part::Nothing {
                state.change(folder, Change::Unlink { name: name.to_owned() });
            }
            Ok(())
        })
    }

    fn sync_folder(&mut self, folder: Folder) -> io::Result<()> {
        self.perform(|state, part| {
            let goes_on = state.has_ended;
            let directory = state.directory(folder);
            let pending = std::mem::take(&mut directory.pending);
            let written = some(&pending, part);
            written.iter().for_each(|change| apply(&mut directory.safe, change));
            if goes_on {
                directory.pending = pending[written.len()..].to_vec();
            }
            Ok(())
        })
    }

    fn path(&self, folder: Folder, name: &str) -> PathBuf {
        PathBuf::from(format!("{folder:?}")).join(name)
    }
}
