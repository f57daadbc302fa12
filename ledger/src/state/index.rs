//! Where the value of a key is found, in constant time.
use ahash::RandomState;
use quorate_primitives::state::StateKey;
#[expect(clippy::disallowed_types, reason = "only looked up, never iterated: its order is never seen")]
use std::collections::{HashMap, hash_map::Entry};

/// Positions by key. The hash behind it is keyed at random, so that nobody can choose keys that collide.
#[derive(Default)]
#[expect(clippy::disallowed_types, reason = "only looked up, never iterated: its order is never seen")]
pub(super) struct Index(HashMap<StateKey, usize, RandomState>);

impl Index {
    /// Makes room for so many more keys.
    pub(super) fn reserve(&mut self, count: usize) {
        self.0.reserve(count);
    }

    /// The position of a key.
    pub(super) fn get(&self, key: &StateKey) -> Option<usize> {
        self.0.get(key).copied()
    }

    /// Gives a key its position, unless it has one; whether it had none.
    pub(super) fn insert(&mut self, key: &StateKey, position: usize) -> bool {
        match self.0.entry(key.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(position);
                true
            }
            Entry::Occupied(_) => false,
        }
    }
}
