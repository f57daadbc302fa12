//! The state as a block is changing it: values read once, changes kept apart until they count.
//!
//! Two layers lie over the parent's state. The upper one holds the changes of the transaction that is
//! running, and is dropped or kept as a whole; the lower one those of the block so far.
use borsh::{BorshDeserialize, BorshSerialize};
use quorate_primitives::EpochNumber;
use quorate_primitives::codec;
use quorate_primitives::state::{Path, Permission, Scope, StateKey};
use std::collections::{BTreeMap, BTreeSet};

use super::{Members, State, Write, read};

struct Cell {
    path: Path,
    value: Option<Vec<u8>>,
    /// The value in the parent's state, once the block has changed it.
    before: Option<Before>,
}

struct Before(Option<Vec<u8>>);

/// A state under change.
pub(crate) struct Overlay<'a> {
    base: &'a State,
    block: BTreeMap<StateKey, Cell>,
    running: BTreeMap<StateKey, Option<Vec<u8>>>,
    /// Grants of the right to manage grants that the block touched, by scope.
    administrators: BTreeMap<Scope, BTreeSet<StateKey>>,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(base: &'a State) -> Self {
        Self { base, block: BTreeMap::new(), running: BTreeMap::new(), administrators: BTreeMap::new() }
    }

    /// The value at a key, with every change so far.
    pub(crate) fn get<T: BorshDeserialize>(&mut self, key: &StateKey) -> Option<T> {
        if let Some(value) = self.running.get(key) {
            return value.as_deref().and_then(read);
        }
        self.cell(key).value.as_deref().and_then(read)
    }

    /// The validators of an epoch, with every change so far. Only the set of the latest epoch that a
    /// block can change is ever under change, so below it the parent's state says where a set lies.
    pub(crate) fn validators(&mut self, epoch: EpochNumber) -> Option<Members> {
        let changed = self.get(&StateKey::Validators(epoch));
        changed.or_else(|| self.base.validators_key(epoch).and_then(|key| self.get(&key)))
    }

    /// Sets a key.
    pub(crate) fn put<T: BorshSerialize>(&mut self, key: StateKey, value: &T) {
        self.note_administrator(&key);
        self.running.insert(key, Some(codec::encode(value)));
    }

    /// Removes a key.
    pub(crate) fn delete(&mut self, key: StateKey) {
        self.running.insert(key, None);
    }

    /// Makes the changes since the last such call part of the block.
    pub(crate) fn keep(&mut self) {
        for (key, value) in std::mem::take(&mut self.running) {
            let cell = self.cell(&key);
            let old = std::mem::replace(&mut cell.value, value);
            cell.before.get_or_insert(Before(old));
        }
    }

    /// Forgets the changes since they were last kept.
    pub(crate) fn drop_running(&mut self) {
        self.running.clear();
    }

    /// Keys of all grants of the right to manage grants at exactly this scope, some of which may be gone
    /// by now.
    pub(crate) fn administrators(&self, scope: &Scope) -> impl Iterator<Item = StateKey> {
        let changed = self.administrators.get(scope).into_iter().flatten();
        self.base.administrators(scope).chain(changed).cloned()
    }

    /// What the block changed, strictly ascending by path; keys that ended as they began are left out.
    pub(crate) fn into_writes(self) -> Vec<Write> {
        let write = |(key, cell): (StateKey, Cell)| {
            let Before(before) = cell.before?;
            (before != cell.value).then_some(Write { path: cell.path, key, value: cell.value })
        };
        let mut writes: Vec<Write> = self.block.into_iter().filter_map(write).collect();
        writes.sort_unstable_by_key(|write| write.path);
        writes
    }

    fn note_administrator(&mut self, key: &StateKey) {
        if let StateKey::Grant(_, Permission::GrantManage, scope) = key {
            self.administrators.entry(scope.clone()).or_default().insert(key.clone());
        }
    }

    fn cell(&mut self, key: &StateKey) -> &mut Cell {
        let base = self.base;
        self.block.entry(key.clone()).or_insert_with(|| {
            let path = key.path();
            Cell { path, value: base.bytes_at(&path).map(<[u8]>::to_vec), before: None }
        })
    }
}
