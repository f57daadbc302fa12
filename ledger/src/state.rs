//! The state after one block: what it holds, its root, and proofs of both.
//!
//! The tree holds keys and values in its leaves, so a [`State`] answers everything by itself and
//! never changes: every fork, every reader and every dry run has its own, and all share what is equal.
//! Beside the tree there are three orders of the same entries, which follow from it and are not
//! committed to: assets by id, who may grant permissions, and from which epochs on there are other
//! validators.
mod index;
pub(crate) mod overlay;
pub(crate) mod prove;
pub(crate) mod slice;
mod sorted;
mod tree;

use borsh::BorshDeserialize;
use quorate_primitives::codec::List;
use quorate_primitives::hash::{Domain, hash};
use quorate_primitives::state::{Asset, AssetId, Marker, Parameters, Path, Permission, Scope, StateKey};
use quorate_primitives::validators::{VALIDATORS_MAX, Validator, ValidatorSet};
use quorate_primitives::{EpochNumber, Hash, Height, Timestamp, codec};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use slice::Slice;
use sorted::{Sorted, Turn};
use tree::{Change, Tree};

/// Entries of a whole state that are put into its tree at a time.
const WRITES_AT_ONCE: usize = 65_536;

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
    tree: Tree,
    assets: Sorted<AssetId>,
    /// As they lie in the tree: asked for all the time.
    parameters: Option<Parameters>,
    /// Grants of the right to manage grants, by scope.
    administrators: Sorted<(Scope, StateKey)>,
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
    path: Path,
    key: StateKey,
    value: Option<Vec<u8>>,
}

impl Write {
    /// A new value, or none, at a key, whose path is given since it is dear to compute.
    pub(crate) fn new(path: Path, key: StateKey, value: Option<Vec<u8>>) -> Self {
        Self { path, key, value }
    }

    /// Where.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Of what.
    pub(crate) fn key(&self) -> &StateKey {
        &self.key
    }

    /// What is there from now on.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    fn change<'a>(&'a self, key: &'a [u8]) -> Change<'a> {
        Change { path: &self.path, key, value: self.value() }
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
            tree: Tree::new(paths_of),
            assets: Sorted::default(),
            parameters: None,
            administrators: Sorted::default(),
            sets: Arc::default(),
            unauthorised: 0,
        };
        let (keys, values): (Vec<StateKey>, Vec<Vec<u8>>) = entries.into_iter().unzip();
        let write = |(path, (key, value))| Write::new(path, key, Some(value));
        let paths = StateKey::paths(&keys);
        let mut writes: Vec<Write> = paths.into_iter().zip(keys.into_iter().zip(values)).map(write).collect();
        writes.reverse();
        writes.sort_by(|a, b| a.path().cmp(b.path()));
        writes.dedup_by(|later, kept| later.path() == kept.path());
        // In parts, so that what is needed beside the trees stays small.
        writes.chunks(WRITES_AT_ONCE).fold(empty, |state, part| state.after(place, part))
    }

    /// The state after these changes, which are strictly ascending by path.
    pub(crate) fn after(&self, place: Place, writes: &[Write]) -> Self {
        let mut assets = Vec::new();
        let mut administrators = Vec::new();
        let mut sets = Arc::clone(&self.sets);
        let mut unauthorised = self.unauthorised;
        let mut parameters = self.parameters.clone();
        for write in writes {
            match write.key() {
                StateKey::Asset(asset) => assets.push(Turn { item: *asset, comes: write.value.is_some() }),
                // Set once, and gone only when it is swept.
                StateKey::Unauthorised(_) => unauthorised = unauthorised.saturating_add(1),
                StateKey::Grant(_, Permission::GrantManage, scope) => {
                    let item = (scope.clone(), write.key.clone());
                    administrators.push(Turn { item, comes: write.value.is_some() });
                }
                StateKey::Validators(epoch) => index_set(&mut sets, *epoch, write),
                StateKey::Parameters => parameters = write.value().and_then(read),
                StateKey::Grant(..)
                | StateKey::Nonce(..)
                | StateKey::Evidence(..)
                | StateKey::Organisation(_)
                | StateKey::Account(_)
                | StateKey::Balance(..) => {}
            }
        }
        assets.sort_unstable_by_key(|turn| turn.item);
        administrators.sort_unstable_by(|a: &Turn<(Scope, StateKey)>, b| a.item.cmp(&b.item));
        let keys = Keys::of(writes.iter().map(Write::key));
        Self {
            place,
            tree: self.tree.update(writes.iter().zip(keys.iter()).map(|(write, key)| write.change(key))),
            assets: self.assets.update(&assets),
            parameters,
            administrators: self.administrators.update(&administrators),
            sets,
            unauthorised,
        }
    }

    /// The state without the markers of a slice whose transactions were valid until before this.
    pub(crate) fn swept(&self, slice: Slice, before: Timestamp) -> Self {
        let mut unauthorised = self.unauthorised;
        let first = slice.first_path();
        let tree = self.tree.sweep(Slice::prefix(&first), &mut |(key, value)| {
            let goes = read::<Marker>(value).is_some_and(|marker| marker.valid_until < before);
            if goes && matches!(read(key), Some(StateKey::Unauthorised(_))) {
                unauthorised = unauthorised.saturating_sub(1);
            }
            goes
        });
        Self { tree, unauthorised, ..self.clone() }
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
        self.bytes_at(&key.path(), key)
    }

    /// The canonical bytes at a key whose path is known.
    pub(crate) fn bytes_at(&self, path: &Path, key: &StateKey) -> Option<&[u8]> {
        self.tree.get(tree::Place { path, key: &codec::encode(key) })
    }

    /// The canonical bytes at many keys, in order; cheaper than one by one.
    pub(crate) fn all_bytes_at<'a>(
        &self,
        places: impl Iterator<Item = (&'a Path, &'a StateKey)> + Clone,
    ) -> Vec<Option<&[u8]>> {
        let keys = Keys::of(places.clone().map(|(_, key)| key));
        let place = |((path, _), key)| tree::Place { path, key };
        self.tree.get_all(&places.zip(keys.iter()).map(place).collect::<Vec<_>>())
    }

    /// Root of the state tree; zero for a state that holds nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.tree.root()
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
        self.parameters.clone()
    }

    /// All entries, in the order of their paths.
    pub fn entries(&self) -> impl Iterator<Item = (StateKey, &[u8])> {
        self.tree.iter().filter_map(read_entry)
    }

    /// Assets in ascending order of their ids, those after `after` only.
    pub fn assets(&self, after: Option<AssetId>) -> impl Iterator<Item = (AssetId, Asset)> {
        let from = after.unwrap_or(AssetId::from_bytes([0; 32]));
        let others = self.assets.iter_from(&from).filter(move |asset| Some(**asset) != after);
        others.filter_map(|asset| Some((*asset, self.get(&StateKey::Asset(*asset))?)))
    }

    /// Whether there is a marker of a transaction that nobody authorised.
    pub(crate) fn has_unauthorised(&self) -> bool {
        self.unauthorised > 0
    }

    /// Keys of all grants of the right to manage grants at exactly this scope.
    pub(crate) fn administrators(&self, scope: &Scope) -> impl Iterator<Item = &StateKey> {
        // No key is lower.
        let from = (scope.clone(), StateKey::Parameters);
        let of_scope = move |(found, _): &&(Scope, StateKey)| *found == from.0;
        let from = (scope.clone(), StateKey::Parameters);
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

/// Decodes the key of an entry of the tree; there are none but those that the ledger encoded.
fn read_entry<'a>((key, value): (&[u8], &'a [u8])) -> Option<(StateKey, &'a [u8])> {
    Some((read(key)?, value))
}

/// Where keys of the state lie that are given as canonical bytes.
fn paths_of(keys: &[&[u8]]) -> Vec<Path> {
    let keys: Vec<StateKey> = keys.iter().filter_map(|key| read(key)).collect();
    StateKey::paths(&keys)
}

/// Keys as canonical bytes, one behind the other.
struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Room for one key; most are of two ids.
const KEY_BYTES: usize = 65;

impl Keys {
    fn of<'a>(keys: impl Iterator<Item = &'a StateKey>) -> Self {
        let count = keys.size_hint().0;
        let bytes = Vec::with_capacity(count.saturating_mul(KEY_BYTES));
        let mut all = Self { bytes, ends: Vec::with_capacity(count) };
        for key in keys {
            codec::encode_into(key, &mut all.bytes);
            all.ends.push(all.bytes.len());
        }
        all
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }
}

/// Most changes are of a set that is there: then nothing is copied.
fn index_set(sets: &mut Arc<BTreeSet<EpochNumber>>, epoch: EpochNumber, write: &Write) {
    match (write.value(), sets.contains(&epoch)) {
        (Some(_), false) => drop(Arc::make_mut(sets).insert(epoch)),
        (None, true) => drop(Arc::make_mut(sets).remove(&epoch)),
        (Some(_), true) | (None, false) => {}
    }
}
