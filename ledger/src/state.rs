//! The state after one block: what it holds, its root, and proofs of both.
//!
//! The tree holds keys and values in its leaves, so a [`State`] answers everything by itself and
//! never changes: every fork, every reader and every dry run has its own, and all share what is equal.
//! Beside the tree there are four orders of the same entries, which follow from it and are not
//! committed to: assets by id, markers by when they expire, who may grant permissions, and from which
//! epochs on there are other validators.
mod expiries;
mod index;
pub(crate) mod overlay;
pub(crate) mod prove;
pub(crate) mod tree;

use borsh::BorshDeserialize;
use quorate_primitives::codec::List;
use quorate_primitives::hash::many::Messages;
use quorate_primitives::hash::{Domain, hash, hash_of};
use quorate_primitives::state::{Asset, AssetId, Marker, Parameters, Path, Permission, Scope, StateKey};
use quorate_primitives::validators::{VALIDATORS_MAX, Validator, ValidatorSet};
use quorate_primitives::{EpochNumber, Hash, Height, Timestamp, codec};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use expiries::{Expiries, Expiry, Turn};
use tree::{Change, Leaf, Pair, Summary, Tree};

/// A key and its canonical value, as a leaf of the state tree holds them.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: StateKey,
    pub(crate) value: Vec<u8>,
}

impl Summary for Hash {
    type Item = Entry;

    fn of_leaves(leaves: &[Arc<Leaf<Self>>]) -> Vec<Self> {
        let mut messages = Messages::with_capacity(leaves.len(), TREE_MESSAGE_BYTES);
        leaves.iter().for_each(|leaf| messages.push(Domain::StateValue, &[&leaf.item.value]));
        let values = messages.hashes();
        messages.clear();
        for (leaf, value) in leaves.iter().zip(&values) {
            messages.push(Domain::TreeLeaf, &[leaf.path.as_bytes(), value.as_bytes()]);
        }
        messages.hashes()
    }

    fn of_pairs(pairs: &[Pair<'_, Self>]) -> Vec<Self> {
        let mut messages = Messages::with_capacity(pairs.len(), TREE_MESSAGE_BYTES);
        for (depth, left, right) in pairs {
            messages.push(Domain::TreeInner, &[&depth.to_be_bytes(), left.as_bytes(), right.as_bytes()]);
        }
        messages.hashes()
    }
}

/// Entries of a whole state that are put into its tree at a time.
const WRITES_AT_ONCE: usize = 65_536;
/// Room for one message of the state tree; most values are shorter.
const TREE_MESSAGE_BYTES: usize = 100;

/// An index sums nothing up.
impl Summary for () {
    type Item = StateKey;

    fn of_leaves(leaves: &[Arc<Leaf<Self>>]) -> Vec<Self> {
        vec![(); leaves.len()]
    }

    fn of_pairs(pairs: &[Pair<'_, Self>]) -> Vec<Self> {
        vec![(); pairs.len()]
    }
}

/// Which block a state belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) chain: Hash,
    pub(crate) height: Height,
    pub(crate) time: Timestamp,
}

/// The state after one block. Immutable; cloning is cheap.
#[derive(Clone)]
pub struct State {
    place: Place,
    tree: Tree<Hash>,
    assets: Tree<()>,
    expiries: Expiries,
    administrators: Tree<()>,
    /// Epochs at which a set of validators begins. Few, and shared by all states between two changes.
    sets: Arc<BTreeSet<EpochNumber>>,
    /// Number of markers of transactions that nobody authorised.
    unauthorised: usize,
}

/// The members of a [`ValidatorSet`] as they lie in the state, where only sound ones come: reading them
/// costs no cryptography.
pub(crate) type Members = List<Validator, 1, VALIDATORS_MAX>;

/// A new value for a key, or none.
pub(crate) struct Write {
    place: WritePlace,
    /// Of a marker that was there: until when its transaction was valid. None for all other keys.
    expired: Option<Timestamp>,
}

enum WritePlace {
    /// The leaf, as the tree will hold it.
    Put(Arc<Leaf<Hash>>),
    Delete(Path, StateKey),
}

impl Write {
    /// A new value, or none, at a key, whose path is given since it is dear to compute; `before` is the value
    /// that is there.
    pub(crate) fn new(path: Path, key: StateKey, value: Option<Vec<u8>>, before: Option<&[u8]>) -> Self {
        let is_marker = matches!(key, StateKey::Nonce(..) | StateKey::Unauthorised(_));
        let expired = before.filter(|_| is_marker).and_then(read::<Marker>).map(|marker| marker.valid_until);
        let place = match value {
            Some(mut value) => {
                // It stays as long as the state does, and what was reserved to encode it would stay too.
                value.shrink_to_fit();
                WritePlace::Put(Arc::new(Leaf { path, item: Entry { key, value } }))
            }
            None => WritePlace::Delete(path, key),
        };
        Self { place, expired }
    }

    /// Where.
    pub(crate) fn path(&self) -> &Path {
        match &self.place {
            WritePlace::Put(leaf) => &leaf.path,
            WritePlace::Delete(path, _) => path,
        }
    }

    /// Of what.
    pub(crate) fn key(&self) -> &StateKey {
        match &self.place {
            WritePlace::Put(leaf) => &leaf.item.key,
            WritePlace::Delete(_, key) => key,
        }
    }

    /// What is there from now on.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        match &self.place {
            WritePlace::Put(leaf) => Some(&leaf.item.value),
            WritePlace::Delete(..) => None,
        }
    }

    fn change(&self) -> Change<Hash> {
        match &self.place {
            WritePlace::Put(leaf) => Change { path: leaf.path, leaf: Some(Arc::clone(leaf)) },
            WritePlace::Delete(path, _) => Change::delete(*path),
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("height", &self.place.height).field("root", &self.root()).finish()
    }
}

impl State {
    /// A state that holds these entries, in any order; of a repeated key the last one counts.
    pub(crate) fn from_entries(place: Place, entries: impl IntoIterator<Item = (StateKey, Vec<u8>)>) -> Self {
        let empty = Self {
            place,
            tree: Tree::default(),
            assets: Tree::default(),
            expiries: Expiries::default(),
            administrators: Tree::default(),
            sets: Arc::default(),
            unauthorised: 0,
        };
        let write = |(key, value): (StateKey, Vec<u8>)| Write::new(key.path(), key, Some(value), None);
        let mut writes: Vec<Write> = entries.into_iter().map(write).collect();
        writes.reverse();
        writes.sort_by(|a, b| a.path().cmp(b.path()));
        writes.dedup_by(|later, kept| later.path() == kept.path());
        // In parts, so that what is needed beside the trees stays small.
        writes.chunks(WRITES_AT_ONCE).fold(empty, |state, part| state.after(place, part))
    }

    /// The state after these changes, which are strictly ascending by path.
    pub(crate) fn after(&self, place: Place, writes: &[Write]) -> Self {
        let mut assets = Vec::new();
        let mut expiries = Vec::new();
        let mut administrators = Vec::new();
        let mut sets = Arc::clone(&self.sets);
        let mut unauthorised = self.unauthorised;
        for write in writes {
            match write.key() {
                StateKey::Asset(asset) => assets.push(index_change(asset_path(asset), write)),
                StateKey::Nonce(..) => index_marker(write, &mut expiries),
                StateKey::Unauthorised(_) => {
                    index_marker(write, &mut expiries);
                    let (before, after) = (write.expired.is_some(), write.value().is_some());
                    unauthorised =
                        unauthorised.saturating_add(usize::from(after)).saturating_sub(usize::from(before));
                }
                StateKey::Grant(_, Permission::GrantManage, scope) => {
                    administrators.push(index_change(administrator_path(scope, write.path()), write));
                }
                StateKey::Validators(epoch) => index_set(&mut sets, *epoch, write),
                StateKey::Grant(..)
                | StateKey::Parameters
                | StateKey::Evidence(..)
                | StateKey::Organisation(_)
                | StateKey::Account(_)
                | StateKey::Balance(..) => {}
            }
        }
        assets.sort_by_key(|change: &Change<()>| change.path);
        expiries.sort_by_key(|turn: &Turn| turn.expiry);
        administrators.sort_by_key(|change: &Change<()>| change.path);
        Self {
            place,
            tree: self.tree.update(writes.iter().map(Write::change)),
            assets: self.assets.update(assets),
            expiries: self.expiries.update(&expiries),
            administrators: self.administrators.update(administrators),
            sets,
            unauthorised,
        }
    }

    /// The value at a key, decoded; absent too if the bytes were no such value, which the ledger never
    /// writes.
    #[must_use]
    pub fn get<T: BorshDeserialize>(&self, key: &StateKey) -> Option<T> {
        self.bytes(key).and_then(read)
    }

    /// The canonical bytes at a key.
    #[must_use]
    pub fn bytes(&self, key: &StateKey) -> Option<&[u8]> {
        self.bytes_at(&key.path())
    }

    pub(crate) fn bytes_at(&self, path: &Path) -> Option<&[u8]> {
        self.tree.get(path).map(|entry| entry.value.as_slice())
    }

    /// The canonical bytes at many paths, in order; cheaper than one by one.
    pub(crate) fn all_bytes_at(&self, paths: &[&Path]) -> Vec<Option<&[u8]>> {
        self.tree.get_all(paths).into_iter().map(|entry| entry.map(|entry| entry.value.as_slice())).collect()
    }

    /// Root of the state tree; zero for a state that holds nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.tree.top().map_or(Hash::ZERO, |top| top.summary)
    }

    /// Genesis hash of the chain.
    #[must_use]
    pub fn chain(&self) -> Hash {
        self.place.chain
    }

    /// Height of the block after which this is the state.
    #[must_use]
    pub fn height(&self) -> Height {
        self.place.height
    }

    /// Time of that block.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.place.time
    }

    /// The chain's parameters; absent only in a state without them, which no genesis gives.
    #[must_use]
    pub fn parameters(&self) -> Option<Parameters> {
        self.get(&StateKey::Parameters)
    }

    /// All entries, in the order of their paths.
    pub fn entries(&self) -> impl Iterator<Item = (&StateKey, &[u8])> {
        self.tree.iter().map(|(_, entry)| (&entry.key, entry.value.as_slice()))
    }

    /// Assets in ascending order of their ids, those after `after` only.
    pub fn assets(&self, after: Option<AssetId>) -> impl Iterator<Item = (AssetId, Asset)> {
        let from = after.map_or(Path::from_bytes([0; 64]), |asset| asset_path(&asset));
        let asset = move |(_, key): (&Path, &StateKey)| {
            let StateKey::Asset(id) = key else { return None };
            self.get(key).filter(|_| Some(*id) != after).map(|asset| (*id, asset))
        };
        self.assets.iter_from(&from).filter_map(asset)
    }

    /// Markers by the end of their transaction's validity, the earliest first.
    pub(crate) fn markers_by_expiry(&self) -> impl Iterator<Item = (Timestamp, &StateKey)> {
        let key = |path: Path| self.tree.get(&path).map(|entry| &entry.key);
        self.expiries.iter().filter_map(move |marker| Some((marker.time(), key(marker.path())?)))
    }

    /// The first markers by the end of their transaction's validity, as long as this says so, and at most so
    /// many.
    pub(crate) fn first_markers(&self, is_old: impl Fn(Timestamp) -> bool, limit: usize) -> Vec<StateKey> {
        let old = self.expiries.iter().take(limit).take_while(|marker| is_old(marker.time()));
        let paths: Vec<Path> = old.map(Expiry::path).collect();
        let entries = self.tree.get_all(&paths.iter().collect::<Vec<_>>());
        entries.into_iter().flatten().map(|entry| entry.key.clone()).collect()
    }

    /// Whether there is a marker of a transaction that nobody authorised.
    pub(crate) fn has_unauthorised(&self) -> bool {
        self.unauthorised > 0
    }

    /// Keys of all grants of the right to manage grants at exactly this scope.
    pub(crate) fn administrators(&self, scope: &Scope) -> impl Iterator<Item = &StateKey> {
        let from = administrator_path(scope, &Path::from_bytes([0; 64]));
        let of_scope = move |(path, _): &(&Path, &StateKey)| {
            path.as_bytes().split_at(32).0 == from.as_bytes().split_at(32).0
        };
        self.administrators.iter_from(&from).take_while(of_scope).map(|(_, key)| key)
    }

    /// Keys of all grants of the right to manage grants, by scope.
    pub(crate) fn all_administrators(&self) -> impl Iterator<Item = &StateKey> {
        self.administrators.iter().map(|(_, key)| key)
    }

    /// The validators of an epoch, as far as this state knows: those of the epoch of its block and of the
    /// next one are fixed, later ones may still change. Absent only in a state without validators, which
    /// no genesis gives.
    #[must_use]
    pub fn validators(&self, epoch: EpochNumber) -> Option<ValidatorSet> {
        self.get(&self.validators_key(epoch)?)
    }

    /// [`ValidatorSet::hash`] of an epoch's validators, without reading them.
    #[must_use]
    pub fn validators_hash(&self, epoch: EpochNumber) -> Option<Hash> {
        let bytes = self.bytes(&self.validators_key(epoch)?)?;
        Some(hash(Domain::Validators, &[bytes]))
    }

    /// The members of an epoch's validators, read without looking at their keys again.
    pub(crate) fn members(&self, epoch: EpochNumber) -> Option<Members> {
        self.get(&self.validators_key(epoch)?)
    }

    /// Where the set lies that is in effect in an epoch.
    pub(crate) fn validators_key(&self, epoch: EpochNumber) -> Option<StateKey> {
        self.sets.range(..=epoch).next_back().copied().map(StateKey::Validators)
    }

    /// Epochs at which a set of validators begins, ascending.
    pub fn validator_changes(&self) -> impl Iterator<Item = EpochNumber> {
        self.sets.iter().copied()
    }
}

/// Decodes a value of the state.
pub(crate) fn read<T: BorshDeserialize>(bytes: &[u8]) -> Option<T> {
    codec::decode(bytes, usize::MAX).ok()
}

fn index_change(path: Path, write: &Write) -> Change<()> {
    match write.value() {
        Some(_) => Change::put(path, write.key().clone()),
        None => Change::delete(path),
    }
}

fn index_marker(write: &Write, turns: &mut Vec<Turn>) {
    let after = write.value().and_then(read::<Marker>).map(|marker| marker.valid_until);
    let turn = |time, comes| Turn { expiry: Expiry::new(time, write.path()), comes };
    let before = write.expired;
    turns.extend(before.filter(|_| before != after).map(|time| turn(time, false)));
    turns.extend(after.filter(|_| before != after).map(|time| turn(time, true)));
}

/// Most changes are of a set that is there: then nothing is copied.
fn index_set(sets: &mut Arc<BTreeSet<EpochNumber>>, epoch: EpochNumber, write: &Write) {
    match (write.value(), sets.contains(&epoch)) {
        (Some(_), false) => drop(Arc::make_mut(sets).insert(epoch)),
        (None, true) => drop(Arc::make_mut(sets).remove(&epoch)),
        (Some(_), true) | (None, false) => {}
    }
}

/// Asset id (32) ‖ zeros (32).
fn asset_path(asset: &AssetId) -> Path {
    Path::from_halves(asset.as_bytes(), &[0; 32])
}

/// Hash of the scope (32) ‖ second half of the grant's own path (32).
fn administrator_path(scope: &Scope, path: &Path) -> Path {
    let (_, second) = path.halves();
    Path::from_halves(hash_of(Domain::StateGroup, scope).as_bytes(), second)
}
