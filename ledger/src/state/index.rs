//! Where the value of a key is found, in constant time.
use ahash::RandomState;
#[expect(clippy::disallowed_types, reason = "only looked up, never iterated: its order is never seen")]
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use quorate_primitives::state::StateKey;

/// Positions by key. The keys are kept by whoever asks, at these positions. The hash behind it is keyed at
/// random, so that nobody can choose keys that collide; it is only looked up, never iterated, so its order is
/// never seen.
#[derive(Default)]
#[expect(clippy::disallowed_types, reason = "only looked up, never iterated: its order is never seen")]
pub(super) struct Index {
    /// Hash of a key, and its position.
    table: HashTable<(u64, usize)>,
    hasher: RandomState,
}

impl Index {
    /// Makes room for so many more keys.
    pub(super) fn reserve(&mut self, count: usize) {
        self.table.reserve(count, |(hash, _)| *hash);
    }

    /// The position of a key; `key_at` gives the key at a position.
    pub(super) fn get<'a>(
        &self,
        key: &StateKey,
        key_at: impl Fn(usize) -> Option<&'a StateKey>,
    ) -> Option<usize> {
        let hash = self.hasher.hash_one(key);
        let is_same = |(other, position): &(u64, usize)| *other == hash && key_at(*position) == Some(key);
        self.table.find(hash, is_same).map(|(_, position)| *position)
    }

    /// Gives a key its position, unless it has one; whether it had none. `key_at` as for [`Self::get`].
    pub(super) fn insert<'a>(
        &mut self,
        key: &StateKey,
        position: usize,
        key_at: impl Fn(usize) -> Option<&'a StateKey>,
    ) -> bool {
        let hash = self.hasher.hash_one(key);
        let is_same = |(other, position): &(u64, usize)| *other == hash && key_at(*position) == Some(key);
        match self.table.entry(hash, is_same, |(hash, _)| *hash) {
            Entry::Vacant(vacant) => {
                vacant.insert((hash, position));
                true
            }
            Entry::Occupied(_) => false,
        }
    }
}
