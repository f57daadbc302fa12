//! The state as a block is changing it: values read once, changes kept apart until they count.
//!
//! Every value that the block meets has a cell. What the running transaction changes is changed there at
//! once, and what was there before is remembered until the transaction is kept or dropped as a whole.
use borsh::{BorshDeserialize, BorshSerialize};
use quorate_primitives::EpochNumber;
use quorate_primitives::codec;
use quorate_primitives::state::{Path, Permission, Scope, StateKey};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::index::Index;
use super::{Members, State, Write, read};

/// Cells that a transfer asks for, if nothing else did before.
const NEARBY: usize = 6;

/// A value, or none.
type Value<'a> = Option<Cow<'a, [u8]>>;

struct Cell<'a> {
    key: StateKey,
    path: Path,
    value: Value<'a>,
    /// The value in the parent's state, once the block has changed it.
    before: Option<Before<'a>>,
}

struct Before<'a>(Value<'a>);

/// A state under change.
pub(crate) struct Overlay<'a> {
    base: &'a State,
    cells: Vec<Cell<'a>>,
    index: Index,
    /// The cell that a transaction asked for first, near which its others lie.
    near: usize,
    /// What the running transaction replaced, in order: position of the cell, and its value before.
    running: Vec<(usize, Value<'a>)>,
    /// Cells that differ from the parent's state, or did.
    kept: Vec<usize>,
    /// Grants of the right to manage grants that the block touched, by scope.
    administrators: BTreeMap<Scope, BTreeSet<StateKey>>,
    /// Whether the block touched a marker of a transaction that nobody authorised.
    has_unauthorised: bool,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(base: &'a State) -> Self {
        Self {
            base,
            cells: Vec::new(),
            index: Index::default(),
            near: 0,
            running: Vec::new(),
            kept: Vec::new(),
            administrators: BTreeMap::new(),
            has_unauthorised: base.has_unauthorised(),
        }
    }

    /// Reads values that will be asked for. It changes nothing but the time that takes: the paths of all
    /// keys are computed together, and the tree is walked in its own order.
    pub(crate) fn read_ahead(&mut self, keys: Vec<StateKey>) {
        let first = self.cells.len();
        self.index.reserve(keys.len());
        let mut new: Vec<StateKey> = Vec::with_capacity(keys.len());
        for key in keys {
            let next = first.saturating_add(new.len());
            let key_at = |position: usize| match position.checked_sub(first) {
                Some(position) => new.get(position),
                None => self.cells.get(position).map(|cell| &cell.key),
            };
            if self.index.insert(&key, next, key_at) {
                new.push(key);
            }
        }
        let keys = new;
        let paths = StateKey::paths(&keys);
        self.read(keys.into_iter().zip(paths));
    }

    /// Makes cells for keys that have their positions.
    fn read(&mut self, keys: impl Iterator<Item = (StateKey, Path)>) {
        let first = self.cells.len();
        self.cells.extend(keys.map(|(key, path)| Cell { key, path, value: None, before: None }));
        let new = self.cells.get_mut(first..).unwrap_or_default();
        // About in the order of the tree, which is all that reading gains from.
        let mut order: Vec<(u64, usize)> = new.iter().map(|cell| cell.path.first_bits()).zip(0..).collect();
        order.sort_unstable();
        let order: Vec<usize> = order.into_iter().map(|(_, position)| position).collect();
        let sorted = order.iter().filter_map(|position| new.get(*position));
        let values = self.base.all_bytes_at(sorted.map(|cell| (&cell.path, &cell.key)));
        for (position, value) in order.into_iter().zip(values) {
            if let Some(cell) = new.get_mut(position) {
                cell.value = value.map(Cow::Borrowed);
            }
        }
    }

    /// The value at a key, with every change so far.
    pub(crate) fn get<T: BorshDeserialize>(&mut self, key: &StateKey) -> Option<T> {
        let position = self.position(key);
        self.cells.get(position)?.value.as_deref().and_then(read)
    }

    /// The validators of an epoch, with every change so far. Only the set of the latest epoch that a
    /// block can change is ever under change, so below it the parent's state says where a set lies.
    pub(crate) fn validators(&mut self, epoch: EpochNumber) -> Option<Members> {
        let changed = self.get(&StateKey::Validators(epoch));
        changed.or_else(|| self.base.validators_key(epoch).and_then(|key| self.get(&key)))
    }

    /// Whether there may be a marker of a transaction that nobody authorised. They are rare, and where
    /// there is none nobody needs to look for one.
    pub(crate) fn has_unauthorised(&self) -> bool {
        self.has_unauthorised
    }

    /// Sets a key.
    pub(crate) fn put<T: BorshSerialize>(&mut self, key: &StateKey, value: &T) {
        if let StateKey::Grant(_, Permission::GrantManage, scope) = key {
            self.administrators.entry(scope.clone()).or_default().insert(key.clone());
        }
        self.has_unauthorised |= matches!(key, StateKey::Unauthorised(_));
        self.set(key, Some(Cow::Owned(codec::encode(value))));
    }

    /// Removes a key.
    pub(crate) fn delete(&mut self, key: &StateKey) {
        self.set(key, None);
    }

    fn set(&mut self, key: &StateKey, value: Value<'a>) {
        let position = self.position(key);
        if let Some(cell) = self.cells.get_mut(position) {
            self.running.push((position, std::mem::replace(&mut cell.value, value)));
        }
    }

    /// Makes the changes since the last such call part of the block.
    pub(crate) fn keep(&mut self) {
        for (position, old) in self.running.drain(..) {
            if let Some(cell) = self.cells.get_mut(position)
                && cell.before.is_none()
            {
                cell.before = Some(Before(old));
                self.kept.push(position);
            }
        }
    }

    /// Takes all changes back: every value is again that of the parent's state. What was read stays at hand.
    pub(crate) fn rewind(&mut self) {
        self.drop_running();
        for position in self.kept.drain(..) {
            if let Some(cell) = self.cells.get_mut(position)
                && let Some(Before(old)) = cell.before.take()
            {
                cell.value = old;
            }
        }
    }

    /// Forgets the changes since they were last kept.
    pub(crate) fn drop_running(&mut self) {
        for (position, old) in self.running.drain(..).rev() {
            if let Some(cell) = self.cells.get_mut(position) {
                cell.value = old;
            }
        }
    }

    /// Keys of all grants of the right to manage grants at exactly this scope, some of which may be gone
    /// by now.
    pub(crate) fn administrators(&self, scope: &Scope) -> impl Iterator<Item = StateKey> {
        let changed = self.administrators.get(scope).into_iter().flatten();
        self.base.administrators(scope).chain(changed).cloned()
    }

    /// What the block changed, strictly ascending by path; keys that ended as they began are left out.
    pub(crate) fn into_writes(self) -> Vec<Write> {
        let write = |cell: Cell<'_>| {
            let Before(before) = cell.before?;
            let is_changed = before != cell.value;
            is_changed.then(|| Write::new(cell.path, cell.key, cell.value.map(Cow::into_owned)))
        };
        let mut writes: Vec<Write> = self.cells.into_iter().filter_map(write).collect();
        // Nearly all differ in their first bits, which are faster to compare.
        let first = |write: &Write| write.path().first_bits();
        writes.sort_unstable_by(|a, b| first(a).cmp(&first(b)).then_with(|| a.path().cmp(b.path())));
        writes
    }

    /// Where the cell of a key is; read now if it was not before. What was read ahead for one transaction lies
    /// together, so it is mostly found next to what was asked for before.
    fn position(&mut self, key: &StateKey) -> usize {
        let nearby = self.cells.get(self.near..).unwrap_or_default().iter().take(NEARBY);
        if let Some(found) = nearby.zip(self.near..).find(|(cell, _)| cell.key == *key) {
            return found.1;
        }
        let key_at = |position: usize| self.cells.get(position).map(|cell| &cell.key);
        if let Some(position) = self.index.get(key, key_at) {
            // A marker is the first that a transaction asks for.
            if matches!(key, StateKey::Nonce(..)) {
                self.near = position;
            }
            return position;
        }
        let position = self.cells.len();
        self.index.insert(key, position, key_at);
        let path = key.path();
        let value = self.base.bytes_at(&path, key).map(Cow::Borrowed);
        self.cells.push(Cell { key: key.clone(), path, value, before: None });
        position
    }
}
