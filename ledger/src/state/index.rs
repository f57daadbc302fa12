//! What belongs to a key, in constant time.
use ahash::RandomState;
#[expect(clippy::disallowed_types, reason = "only looked up, never iterated: its order is never seen")]
use std::collections::{HashMap, hash_map::Entry};
use std::hash::Hash;

/// Values by key. The hash behind it is keyed at random, so that nobody can choose keys that collide.
#[derive(Debug)]
#[expect(clippy::disallowed_types, reason = "only looked up, never iterated: its order is never seen")]
pub(super) struct Index<K, V>(HashMap<K, V, RandomState>);

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self(Default::default())
    }
}

impl<K: Hash + Eq + Clone, V> Index<K, V> {
    /// Makes room for so many more keys.
    pub(super) fn reserve(&mut self, count: usize) {
        self.0.reserve(count);
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    /// The value of a key, which is this one if it had none.
    pub(super) fn get_or_insert_with(&mut self, key: &K, value: impl FnOnce() -> V) -> &mut V {
        self.0.entry(key.clone()).or_insert_with(value)
    }

    /// Gives a key its value, unless it has one; whether it had none.
    pub(super) fn insert(&mut self, key: &K, value: V) -> bool {
        match self.0.entry(key.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(value);
                true
            }
            Entry::Occupied(_) => false,
        }
    }
}
