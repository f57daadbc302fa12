//! A second ledger, written from the rules: ordered maps that remember what they replaced, and nothing else.
//!
//! Every final block is executed here once more, and what it did must be what the validators say that it
//! did. It keeps no tree and no cache; the root is computed from all entries when somebody asks.
mod act;
mod consortium;
pub mod list;
mod past;
mod permits;

use quorate_genesis::Genesis;
use quorate_primitives::address::AccountId;
use quorate_primitives::block::{Header, history_leaf};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::codec::{List, encode};
use quorate_primitives::evidence::{EvidenceKind, RecordedEvidence};
use quorate_primitives::merkle::{Leaf, tree_root};
use quorate_primitives::receipt::{BalanceAfter, Event, Failure, Receipt, Verdict};
use quorate_primitives::signed::Verified;
use quorate_primitives::state::{
    Account, Asset, AssetId, Balance, Grant, Marker, Organisation, OrganisationId, Parameters, Permission,
    Scope, StateKey, value_hash,
};
use quorate_primitives::transaction::{Nonce, SignedTransaction};
use quorate_primitives::validators::Validator;
use quorate_primitives::{Amount, EpochNumber, Hash, Height, PublicKey};
use std::collections::{BTreeMap, BTreeSet};

pub use past::set_bytes;

use act::Act;
use past::Past;

/// A map that can take back its latest changes.
#[derive(Debug)]
struct Kept<K, V> {
    map: BTreeMap<K, V>,
    before: Vec<(K, Option<V>)>,
    /// Keys that changed since somebody asked.
    changed: BTreeSet<K>,
}

impl<K: Ord + Clone, V: Clone> Kept<K, V> {
    fn new(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        Self { map: entries.into_iter().collect(), before: Vec::new(), changed: BTreeSet::new() }
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key)
    }

    fn set(&mut self, key: K, value: V) {
        let before = self.map.insert(key.clone(), value);
        self.before.push((key, before));
    }

    fn unset(&mut self, key: K) {
        let before = self.map.remove(&key);
        self.before.push((key, before));
    }

    /// Makes all changes stay, or takes them back.
    fn settle(&mut self, stay: bool) {
        let before = std::mem::take(&mut self.before);
        if stay {
            self.changed.extend(before.into_iter().map(|(key, _)| key));
            return;
        }
        for (key, value) in before.into_iter().rev() {
            match value {
                Some(value) => drop(self.map.insert(key, value)),
                None => drop(self.map.remove(&key)),
            }
        }
    }
}

type GrantKey = (AccountId, Permission, Scope);

/// What actions change.
#[derive(Debug)]
struct Books {
    accounts: Kept<AccountId, Account>,
    assets: Kept<AssetId, Asset>,
    balances: Kept<(AccountId, AssetId), u128>,
    grants: Kept<GrantKey, Grant>,
    sets: Kept<EpochNumber, Vec<Validator>>,
}

impl Books {
    fn settle(&mut self, stay: bool) {
        self.accounts.settle(stay);
        self.assets.settle(stay);
        self.balances.settle(stay);
        self.grants.settle(stay);
        self.sets.settle(stay);
    }
}

/// The ledger after the last block that was executed.
#[derive(Debug)]
pub struct Reference {
    chain: Hash,
    parameters: Parameters,
    organisations: BTreeMap<OrganisationId, Organisation>,
    books: Books,
    nonces: BTreeMap<(AccountId, Nonce), Marker>,
    unauthorised: BTreeMap<Hash, Marker>,
    evidence: BTreeMap<(EpochNumber, PublicKey, EvidenceKind), RecordedEvidence>,
    history: Vec<Hash>,
    /// Units that the genesis gave, and those minted since.
    created: BTreeMap<AssetId, u128>,
    burned: BTreeMap<AssetId, u128>,
    past: Past,
}

impl Reference {
    /// The ledger at height 0.
    #[must_use]
    pub fn new(genesis: &Genesis) -> Self {
        let mut created: BTreeMap<AssetId, u128> = BTreeMap::new();
        for (_, asset, amount) in &genesis.balances {
            let sum = created.entry(*asset).or_default();
            *sum = sum.saturating_add(amount.get());
        }
        let balances =
            genesis.balances.iter().map(|(account, asset, posted)| ((*account, *asset), posted.get()));
        let grants = genesis.grants.iter();
        let grants = grants
            .map(|(account, permission, scope, grant)| ((*account, *permission, scope.clone()), *grant));
        let mut founded = Self {
            chain: genesis.hash(),
            parameters: genesis.parameters.clone(),
            organisations: genesis.organisations.iter().cloned().collect(),
            books: Books {
                accounts: Kept::new(genesis.accounts.iter().cloned()),
                assets: Kept::new(genesis.assets.iter().cloned()),
                balances: Kept::new(balances),
                grants: Kept::new(grants),
                sets: Kept::new([(EpochNumber::ZERO, genesis.validators.members().to_vec())]),
            },
            nonces: BTreeMap::new(),
            unauthorised: BTreeMap::new(),
            evidence: BTreeMap::new(),
            history: Vec::new(),
            created,
            burned: BTreeMap::new(),
            past: Past::default(),
        };
        for (key, bytes) in founded.entries() {
            founded.past.note(key, Height::ZERO, Some(bytes));
        }
        founded
    }

    /// Height of the last block that was executed.
    #[must_use]
    pub fn height(&self) -> Height {
        Height::new(u64::try_from(self.history.len()).unwrap_or(u64::MAX))
    }

    /// Executes the next block and returns what its transactions did.
    ///
    /// `outcome` is the digest that the validators signed: the block's own place in the history of later ones.
    pub fn block(&mut self, header: &Header, outcome: Hash, bundles: &[Verified<Bundle>]) -> Vec<Receipt> {
        self.forget_markers(header);
        let mut receipts = Vec::new();
        for bundle in bundles {
            for signed in bundle.transactions() {
                receipts.extend(self.transaction(header, signed));
            }
            for accusation in bundle.accusations() {
                self.accuse(header, accusation);
            }
        }
        self.history.push(history_leaf(header.height, header.id(), outcome));
        self.remember(header.height);
        receipts
    }

    /// Markers whose time is over go, in the block whose height ends with the bits 1 to 8 of their path.
    fn forget_markers(&mut self, header: &Header) {
        let retention = self.parameters.marker_retention_ms;
        let is_over =
            |marker: &Marker| marker.valid_until.get().saturating_add(retention) < header.time.get();
        let turn = header.height.get() % 256;
        let goes = |key: StateKey, marker: &Marker| {
            is_over(marker) && {
                let path = key.path();
                turn == (1..9).fold(0, |bits, bit| bits << 1 | u64::from(path.bit(bit)))
            }
        };
        self.nonces.retain(|(sender, nonce), marker| !goes(StateKey::Nonce(*sender, *nonce), marker));
        self.unauthorised.retain(|id, marker| !goes(StateKey::Unauthorised(*id), marker));
    }

    fn transaction(&mut self, header: &Header, signed: &SignedTransaction) -> Option<Receipt> {
        let (body, id) = (signed.transaction(), signed.id());
        let latest = header
            .time
            .get()
            .saturating_add(self.parameters.max_validity_ms)
            .saturating_add(self.parameters.clock_bound_ms);
        let in_time = body.valid_until >= header.time && body.valid_until.get() <= latest;
        let used = self.nonces.get(&(body.sender, body.nonce)).map(|marker| marker.transaction);
        if body.chain != self.chain || !in_time || used == Some(id) || self.unauthorised.contains_key(&id) {
            return None;
        }
        let marker = Marker { transaction: id, height: header.height, valid_until: body.valid_until };
        if let Some(failure) = self.refused(body, used) {
            self.unauthorised.insert(id, marker);
            return Some(failed(id, failure, None));
        }
        self.nonces.insert((body.sender, body.nonce), marker);
        let mut act = Act::new(&mut self.books, &self.organisations, (self.chain, header), body);
        let done = act.all(body);
        let (events, touched) = act.done();
        self.books.settle(done.is_ok());
        if let Err((failure, action)) = done {
            return Some(failed(id, failure, action));
        }
        self.count(&events);
        let balances =
            touched.into_iter().map(|(account, asset)| self.balance_after(account, asset)).collect();
        Some(Receipt {
            transaction: id,
            verdict: Verdict::Committed,
            events: List::new(events).unwrap_or_default(),
            balances: List::new(balances).unwrap_or_default(),
        })
    }

    /// Why a transaction does not even use its nonce up.
    fn refused(
        &self,
        body: &quorate_primitives::transaction::Transaction,
        used: Option<Hash>,
    ) -> Option<Failure> {
        let account = match permits::account(&self.books, &body.sender) {
            Ok(account) => account,
            Err(failure) => return Some(failure),
        };
        if !permits::reaches(&account.authority, &body.signers) {
            return Some(Failure::Unauthorised);
        }
        used.map(|_| Failure::NonceConflict)
    }

    fn balance_after(&self, account: AccountId, asset: AssetId) -> BalanceAfter {
        let posted = self.books.balances.get(&(account, asset)).copied().unwrap_or_default();
        let balance = Balance { posted: Amount::new(posted), ..Balance::default() };
        BalanceAfter { account, asset, balance }
    }

    fn count(&mut self, events: &[Event]) {
        for event in events {
            let (sums, asset, amount) = match event {
                Event::Minted { asset, amount, .. } => (&mut self.created, asset, amount),
                Event::Burned { asset, amount, .. } => (&mut self.burned, asset, amount),
                _ => continue,
            };
            let sum = sums.entry(*asset).or_default();
            *sum = sum.saturating_add(amount.get());
        }
    }

    /// Whether of each asset as much is there as was created and not burned, and its record says so.
    ///
    /// # Errors
    /// The first asset of which it is not so.
    pub fn check_supply(&self) -> Result<(), String> {
        let mut held: BTreeMap<AssetId, u128> = BTreeMap::new();
        for ((_, asset), posted) in &self.books.balances.map {
            let sum = held.entry(*asset).or_default();
            *sum = sum.checked_add(*posted).ok_or("more of an asset than can be counted")?;
        }
        for (id, asset) in &self.books.assets.map {
            let of = |sums: &BTreeMap<AssetId, u128>| sums.get(id).copied().unwrap_or_default();
            let expected = of(&self.created).saturating_sub(of(&self.burned));
            if of(&held) != expected || asset.supply.get() != expected || expected > asset.cap.get() {
                return Err(format!(
                    "of {} there are {}, the record says {}, but {expected} were created and not burned",
                    asset.symbol,
                    of(&held),
                    asset.supply.get()
                ));
            }
        }
        Ok(())
    }

    /// Root of the list of the first so many blocks.
    #[must_use]
    pub fn history_root(&self, blocks: usize) -> Hash {
        list::root(self.history.get(..blocks).unwrap_or_default())
    }

    /// Root of the state, from all its entries.
    #[must_use]
    pub fn state_root(&self) -> Hash {
        let mut leaves: Vec<Leaf> = self
            .entries()
            .iter()
            .map(|(key, bytes)| Leaf { path: key.path(), value: value_hash(bytes) })
            .collect();
        leaves.sort_by_key(|leaf| leaf.path);
        tree_root(&leaves)
    }

    fn entries(&self) -> Vec<(StateKey, Vec<u8>)> {
        let books = &self.books;
        let mut all = vec![(StateKey::Parameters, encode(&self.parameters))];
        all.extend(books.sets.map.iter().map(|(from, set)| (StateKey::Validators(*from), encode(set))));
        let organisations = self.organisations.iter();
        all.extend(organisations.map(|(id, value)| (StateKey::Organisation(id.clone()), encode(value))));
        all.extend(books.accounts.map.iter().map(|(id, value)| (StateKey::Account(*id), encode(value))));
        all.extend(books.assets.map.iter().map(|(id, value)| (StateKey::Asset(*id), encode(value))));
        all.extend(books.balances.map.iter().map(|((account, asset), posted)| {
            let balance = Balance { posted: Amount::new(*posted), ..Balance::default() };
            (StateKey::Balance(*account, *asset), encode(&balance))
        }));
        all.extend(books.grants.map.iter().map(|((account, permission, scope), value)| {
            (StateKey::Grant(*account, *permission, scope.clone()), encode(value))
        }));
        let nonces = self.nonces.iter();
        all.extend(
            nonces.map(|((account, nonce), value)| (StateKey::Nonce(*account, *nonce), encode(value))),
        );
        all.extend(self.unauthorised.iter().map(|(id, value)| (StateKey::Unauthorised(*id), encode(value))));
        all.extend(self.evidence.iter().map(|((epoch, validator, kind), value)| {
            (StateKey::Evidence(*epoch, *validator, *kind), encode(value))
        }));
        all
    }
}

fn failed(transaction: Hash, failure: Failure, action: Option<u8>) -> Receipt {
    let verdict = Verdict::Failed { failure, action };
    Receipt { transaction, verdict, events: List::default(), balances: List::default() }
}

/// Accounts and assets whose balances a transaction touched.
type Touched = BTreeSet<(AccountId, AssetId)>;
