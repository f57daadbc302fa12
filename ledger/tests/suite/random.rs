//! Ten thousand random blocks, executed by the ledger and by the naive one.
use quorate_genesis::Genesis;
use quorate_ledger::store::Memory;
use quorate_ledger::{Ledger, State, audit};
use quorate_primitives::address::AccountId;
use quorate_primitives::certificate::Claim;
use quorate_primitives::codec::{List, Text};
use quorate_primitives::evidence::{Accusation, Evidence};
use quorate_primitives::receipt::{Failure, Receipt, Verdict};
use quorate_primitives::state::{
    Account, AssetId, Authority, Balance, Capabilities, Delegation, Permission, Scope, StateKey, Symbol,
    WeightedKey,
};
use quorate_primitives::transaction::{Action, Assert, Operation, Output, Quantity, SignedTransaction};
use quorate_primitives::validators::{EpochIdentity, Validator, ValidatorSet};
use quorate_primitives::{Amount, EpochNumber, Hash, Height, PublicKey, Timestamp, View};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::naive::Naive;
use crate::world::*;

/// Keys of accounts.
const KEYS: u8 = 12;
/// Keys and names of validators, those of the genesis among them.
const VALIDATORS: std::ops::Range<u8> = 101..110;
/// Short, so that sets change many times.
const EPOCH_LENGTH: u64 = 60;
const PERMISSIONS: [Permission; 7] = [
    Permission::ValidatorManage,
    Permission::AssetMint,
    Permission::GrantManage,
    Permission::AccountCreate,
    Permission::AssetCreate,
    Permission::AssetBurnAny,
    Permission::AssetAdmin,
];

struct Generator {
    rng: ChaCha8Rng,
    numbers: BTreeMap<PublicKey, u8>,
    sent: Vec<SignedTransaction>,
    nonces: u64,
    accounts: Vec<(AccountId, Account)>,
    assets: Vec<AssetId>,
    balances: Vec<(AccountId, AssetId, u128)>,
    grants: Vec<Right>,
    chain: Hash,
    /// Validators of the epoch that can be changed.
    members: Vec<Validator>,
}

type Right = (AccountId, Permission, Scope);

impl Generator {
    fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            numbers: (1..=KEYS).chain(VALIDATORS).map(|number| (key(number).public_key(), number)).collect(),
            sent: Vec::new(),
            nonces: 0,
            accounts: Vec::new(),
            assets: Vec::new(),
            balances: Vec::new(),
            grants: Vec::new(),
            chain: Hash::ZERO,
            members: Vec::new(),
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn look(&mut self, state: &State) {
        let account = |(key, _): (StateKey, &[u8])| match key {
            StateKey::Account(id) => state.get(&key).map(|account| (id, account)),
            _ => None,
        };
        self.accounts = state.entries().filter_map(account).collect();
        let balance = |(key, _): (StateKey, &[u8])| match key {
            StateKey::Balance(account, asset) => {
                state.get::<Balance>(&key).map(|balance| (account, asset, balance.posted.get()))
            }
            _ => None,
        };
        let grant = |(key, _): (StateKey, &[u8])| match key {
            StateKey::Grant(grantee, permission, scope) => Some((grantee, permission, scope)),
            _ => None,
        };
        self.grants = state.entries().filter_map(grant).collect();
        self.balances = state.entries().filter_map(balance).collect();
        self.assets = state.assets(None).map(|(id, _)| id).collect();
        self.chain = state.chain();
        self.members = state.validators(EpochNumber::MAX).unwrap().members().to_vec();
    }

    /// One to three bundles, of which no two are the same.
    fn lists(&mut self, state: &State, time: Timestamp) -> Vec<(Vec<SignedTransaction>, Vec<Accusation>)> {
        self.look(state);
        let bundles = self.rng.random_range(0..3);
        (0..bundles)
            .map(|_| {
                let accusations: Vec<Accusation> = match self.rng.random_range(0..100) {
                    0..3 => (0..self.rng.random_range(1..4)).map(|_| self.accusation(state)).collect(),
                    _ => Vec::new(),
                };
                let least = usize::from(accusations.is_empty());
                let count = self.rng.random_range(least..4);
                ((0..count).map(|_| self.transaction(state.chain(), time)).collect(), accusations)
            })
            .collect()
    }

    /// Mostly of a validator of an epoch that has begun.
    fn accusation(&mut self, state: &State) -> Accusation {
        let parameters = state.parameters().unwrap();
        let now = parameters.epoch_of(state.height().next());
        let ago = self.rng.random_range(0..4);
        let epoch = if self.chance(10) { now.next() } else { now.saturating_sub(ago) };
        let of = if self.chance(10) { epoch.next() } else { epoch };
        let set: ValidatorSet = state.validators(of).unwrap();
        let identity = EpochIdentity {
            chain: if self.chance(5) { Hash::ZERO } else { state.chain() },
            epoch,
            anchor: Hash::from_bytes([self.rng.random_range(0..2); 32]),
            anchor_outcome: Hash::ZERO,
            validators: set.hash(),
            parameters: if self.chance(5) { Hash::ZERO } else { parameters.hash() },
            version: 1,
        };
        let member = set.members().choose(&mut self.rng).unwrap();
        let number = self.numbers[&member.key];
        let index = set.index_of(&member.key).unwrap() + u8::from(self.chance(10));
        let view = View::new(self.rng.random_range(1..4));
        let mut block = |byte: u8| Hash::from_bytes([self.rng.random_range(0..100) * 2 + byte; 32]);
        let (one, other) = (block(0), block(1));
        let finalize = |block| Claim::Finalize { view, block, outcome: Hash::ZERO };
        let (first, second) = match self.rng.random_range(0..3) {
            0 => (Claim::Notarize { view, block: one }, Claim::Notarize { view, block: other }),
            1 => (finalize(one), finalize(other)),
            _ => (Claim::Nullify { view }, finalize(one)),
        };
        let vote = |claim: Claim| claim.sign(&identity.context(), index, &key(number));
        let evidence = Evidence { first: vote(first), second: vote(second) };
        Accusation { identity, validator: member.key, evidence }
    }

    /// Mostly one that makes sense for the validators to come.
    fn validator_operation(&mut self) -> Operation {
        let number = self.rng.random_range(VALIDATORS);
        let proving = if self.chance(8) { self.rng.random_range(VALIDATORS) } else { number };
        let mut new = Validator { organisation: self.organisation(), ..validator(number) };
        match self.rng.random_range(0..30) {
            0 => new.name = Text::default(),
            1 => new.name = validator(self.rng.random_range(VALIDATORS)).name,
            2 => new.key = PublicKey::from_bytes([0; 32]),
            _ => {}
        }
        let some = self.members.choose(&mut self.rng).unwrap().clone();
        match self.rng.random_range(0..10) {
            0..4 => {
                let possession = new.prove_possession(&self.chain, &key(proving));
                Operation::ValidatorAdd { validator: new, possession }
            }
            4..7 => {
                let name = if self.chance(80) { some.name } else { new.name };
                Operation::ValidatorRemove { name }
            }
            _ => {
                let some = Validator { key: new.key, ..some };
                let possession = some.prove_possession(&self.chain, &key(proving));
                Operation::ValidatorRotateKey { name: some.name, key: some.key, possession }
            }
        }
    }

    fn transaction(&mut self, chain: Hash, time: Timestamp) -> SignedTransaction {
        if self.chance(5) && !self.sent.is_empty() {
            return self.sent.choose(&mut self.rng).unwrap().clone();
        }
        if !self.chance(3) {
            self.nonces += 1;
        }
        let sender = self.actor();
        let count = if self.chance(80) { 1 } else { self.rng.random_range(2..5) };
        let actions: Vec<Action> = (0..count)
            .map(|_| {
                let actor = self.chance(15).then(|| self.actor());
                Action { actor, operation: self.operation(actor.unwrap_or(sender), time) }
            })
            .collect();
        let keys = self.signers(sender, &actions);
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.nonces.to_be_bytes());
        let chain = if self.chance(1) { Hash::ZERO } else { chain };
        let ahead = self.rng.random_range(0..20_400);
        let valid_until = match self.rng.random_range(0..50) {
            0 => time.saturating_sub(1 + ahead % 3),
            1 => time.saturating_add(20_499 + ahead % 3),
            _ => time.saturating_add(ahead),
        };
        let asserts = if self.chance(10) { vec![self.assert()] } else { Vec::new() };
        let mut draft = Draft::new(chain, sender, &keys, nonce).actions(actions).asserts(asserts);
        draft = draft.valid_until(valid_until);
        let signed = if self.chance(50) { draft.memo().sign() } else { draft.sign() };
        self.sent.push(signed.clone());
        if self.sent.len() > 30 {
            self.sent.remove(0);
        }
        signed
    }

    /// Keys of every actor, now and then one too few, or somebody else's.
    fn signers(&mut self, sender: AccountId, actions: &[Action]) -> Vec<u8> {
        let actors: BTreeSet<AccountId> =
            actions.iter().filter_map(|action| action.actor).chain([sender]).collect();
        let mut keys: BTreeSet<u8> = BTreeSet::new();
        for (_, account) in self.accounts.iter().filter(|(id, _)| actors.contains(id)) {
            keys.extend(account.authority.keys.iter().filter_map(|weighted| self.numbers.get(&weighted.key)));
        }
        if self.chance(6) {
            keys.pop_first();
        }
        if keys.is_empty() {
            keys.insert(self.rng.random_range(1..=KEYS));
        }
        keys.into_iter().collect()
    }

    fn actor(&mut self) -> AccountId {
        if self.chance(35) { id(ADMIN) } else { self.account() }
    }

    fn account(&mut self) -> AccountId {
        if self.chance(2) {
            return id(NOBODY);
        }
        let chosen = self.accounts.choose(&mut self.rng).unwrap().0;
        if chosen == id(CLOSED) && self.chance(80) { id(ALICE) } else { chosen }
    }

    fn asset(&mut self) -> AssetId {
        match self.rng.random_range(0..20) {
            0 => asset("NONE"),
            1..10 => asset("GOLD"),
            _ => *self.assets.choose(&mut self.rng).unwrap(),
        }
    }

    /// Mostly an asset that the actor has, and as much of it as it can spend.
    fn payable(&mut self, actor: AccountId) -> (AssetId, Amount) {
        let own: Vec<(AssetId, u128)> = self
            .balances
            .iter()
            .filter(|(account, _, _)| *account == actor)
            .map(|(_, asset, posted)| (*asset, *posted))
            .collect();
        match own.choose(&mut self.rng).copied() {
            Some((asset, posted)) if self.chance(75) => {
                (asset, units(self.rng.random_range(1..=posted.min(100))))
            }
            _ => (self.asset(), self.amount()),
        }
    }

    fn amount(&mut self) -> Amount {
        units(match self.rng.random_range(0..40) {
            0 => 0,
            1 => u128::MAX - self.rng.random_range(0..2),
            2 => self.rng.random_range(0..1_000_000),
            _ => self.rng.random_range(1..120),
        })
    }

    fn authority(&mut self, version: u32) -> Authority {
        let count = self.rng.random_range(1..4);
        let numbers: BTreeSet<u8> = (0..count).map(|_| self.rng.random_range(1..=KEYS)).collect();
        let mut keys: Vec<WeightedKey> = numbers
            .iter()
            .map(|number| WeightedKey {
                key: key(*number).public_key(),
                weight: self.rng.random_range(0..12_u16).min(3),
            })
            .collect();
        keys.sort_by_key(|weighted| weighted.key);
        Authority { threshold: self.rng.random_range(1..4), keys: List::new(keys).unwrap(), version }
    }

    /// For a new account; now and then that of an account which exists.
    fn new_authority(&mut self) -> Authority {
        let version = u32::from(self.chance(5));
        if self.chance(40) {
            authority(1, &[self.rng.random_range(1..=KEYS)], version)
        } else {
            self.authority(version)
        }
    }

    fn scope(&mut self) -> Scope {
        match self.rng.random_range(0..8) {
            0 => Scope::Chain,
            1 => Scope::Organisation(self.organisation()),
            2 => Scope::Account(self.account()),
            _ => Scope::Asset(self.asset()),
        }
    }

    fn organisation(&mut self) -> quorate_primitives::state::OrganisationId {
        organisation(["alpha", "beta", "beta", "gamma"].choose(&mut self.rng).unwrap())
    }

    fn assert(&mut self) -> Assert {
        let (account, asset, amount) = (self.account(), self.asset(), units(self.rng.random_range(0..500)));
        match self.rng.random_range(0..4) {
            0 => Assert::BalanceAtLeast { account, asset, amount },
            1 => Assert::BalanceAtMost { account, asset, amount },
            2 => Assert::HeightAtMost { height: Height::new(self.rng.random_range(0..5_000)) },
            _ => Assert::AuthorityVersion { account, version: self.rng.random_range(0..2) },
        }
    }

    fn operation(&mut self, actor: AccountId, time: Timestamp) -> Operation {
        let (asset, amount) = (self.asset(), self.amount());
        match self.rng.random_range(0..100) {
            0..4 => Operation::AccountCreate {
                organisation: self.organisation(),
                authority: self.new_authority(),
                salt: [u8::from(self.chance(20)); 16],
                label: Text::default(),
            },
            4..7 if actor != id(ADMIN) => {
                let version = self.accounts.iter().find(|(id, _)| *id == actor);
                let version = version.map_or(0, |(_, account)| account.authority.version + 1);
                Operation::AuthoritySet { authority: self.authority(version) }
            }
            4..10 => self.asset_create(),
            10..13 => Operation::AssetUpdate {
                asset,
                name: Text::new(["a", "b"].choose(&mut self.rng).unwrap()).unwrap(),
                url: Text::default(),
                document: None,
            },
            13..25 => Operation::Mint { asset, to: self.account(), amount },
            25..30 => {
                let from = if self.chance(60) { actor } else { self.account() };
                let (asset, amount) = self.payable(from);
                Operation::Burn { asset, from, amount }
            }
            30..66 => {
                let (asset, amount) = self.payable(actor);
                let quantity = if self.chance(5) { Quantity::All } else { Quantity::Exact(amount) };
                Operation::Transfer { asset, to: self.account(), quantity, tag: Some([1; 8]) }
            }
            66..76 => self.transfer_many(actor),
            76..88 => self.grant(time),
            88..93 => self.validator_operation(),
            _ => {
                let (grantee, permission, scope) = self.right();
                Operation::Revoke { grantee, permission, scope }
            }
        }
    }

    fn transfer_many(&mut self, actor: AccountId) -> Operation {
        let (asset, amount) = self.payable(actor);
        let count = self.rng.random_range(1..6);
        let mut outputs = Vec::new();
        for _ in 0..count {
            let amount = if self.chance(5) { self.amount() } else { units(amount.get() / count) };
            outputs.push(Output { to: self.account(), amount, tag: None });
        }
        Operation::TransferMany { asset, outputs: List::new(outputs).unwrap() }
    }

    /// Half of the time one that somebody has; seldom that of the administrator everywhere, who would
    /// otherwise soon be able to do nothing.
    fn right(&mut self) -> Right {
        let scope = self.scope();
        let mut right = (self.actor(), *PERMISSIONS.choose(&mut self.rng).unwrap(), scope);
        if self.chance(50) {
            right = self.grants.choose(&mut self.rng).cloned().unwrap_or(right);
        }
        if right.0 == id(ADMIN) && right.2 == Scope::Chain && !self.chance(3) {
            right.0 = self.account();
        }
        if self.chance(3) {
            right = (id(ADMIN), Permission::GrantManage, Scope::Chain);
        }
        right
    }

    fn asset_create(&mut self) -> Operation {
        let bits = self.rng.random_range(0..7);
        let mut capabilities = Capabilities::MINTABLE;
        if self.chance(30) {
            capabilities = Capabilities::NAMED[bits].1;
        }
        Operation::AssetCreate {
            symbol: Symbol::new(["A", "B", "C", "D", "GOLD"].choose(&mut self.rng).unwrap()).unwrap(),
            name: Text::default(),
            decimals: self.rng.random_range(0..24),
            cap: self.amount(),
            capabilities,
        }
    }

    fn grant(&mut self, time: Timestamp) -> Operation {
        let limit = self.chance(40).then(|| units(self.rng.random_range(1..100)));
        let expires = self.chance(30).then(|| time.saturating_add(self.rng.random_range(0..30_000)));
        let delegation = if self.chance(40) { Delegation::Allowed } else { Delegation::Forbidden };
        let (grantee, permission, scope) = self.right();
        Operation::Grant { grantee, permission, scope, limit, expires, delegation }
    }
}

/// What random blocks reached, so that a test which reaches nothing fails.
#[derive(Default)]
struct Reached {
    committed: usize,
    failures: BTreeSet<Failure>,
    /// Sets of validators beyond the first.
    sets: usize,
    evidence: usize,
}

impl Reached {
    fn note(&mut self, receipts: &[Receipt]) {
        for receipt in receipts {
            match receipt.verdict {
                Verdict::Committed => self.committed += 1,
                Verdict::Failed { failure, .. } => drop(self.failures.insert(failure)),
            }
        }
    }
}

fn compare(seed: u64, blocks: usize) -> Reached {
    let genesis: Genesis = genesis_of_epochs(EPOCH_LENGTH);
    let memory = Arc::new(Memory::new());
    let mut ledger = Ledger::open(memory.clone(), &genesis).unwrap();
    let mut naive = Naive::new(&genesis);
    let mut generator = Generator::new(seed);
    let mut reached = Reached::default();
    for number in 0..blocks {
        let head = ledger.head().clone();
        let step = if generator.chance(1) { 30_000 } else { generator.rng.random_range(1..1_500) };
        let time = head.time().saturating_add(step);
        // Now and then a second child of the same parent, which must not matter to the first.
        let children = if number % 7 == 0 { 2 } else { 1 };
        for remaining in (0..children).rev() {
            let bundles = accusing(generator.lists(head.state(), time));
            let header = child(&head, time, &bundles);
            let executed = ledger.execute(&head, &header, &bundles);
            let mut reference = naive.clone();
            let (receipts, outcome) = reference.block(&header, &bundles);
            assert_eq!(executed.receipts(), receipts, "seed {seed}, block {number}");
            assert_eq!(executed.outcome(), &outcome, "seed {seed}, block {number}");
            if remaining == 0 {
                audit(executed.state()).unwrap();
                reached.note(&receipts);
                ledger.commit(executed, &bundles, None).unwrap();
                naive = reference;
                break;
            }
        }
        if number % 100 == 0 {
            ledger.sync().unwrap();
        }
    }
    let again = Ledger::open(memory, &genesis).unwrap();
    assert_eq!(again.head().outcome(), ledger.head().outcome());
    for (key, _) in again.head().state().entries() {
        reached.sets += usize::from(matches!(key, StateKey::Validators(epoch) if epoch > EpochNumber::ZERO));
        reached.evidence += usize::from(matches!(key, StateKey::Evidence(..)));
    }
    reached
}

#[test]
fn ten_thousand_random_blocks_give_what_the_naive_ledger_gives() {
    let parts: Vec<Reached> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=8).map(|seed| scope.spawn(move || compare(seed, 1_250))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let committed: usize = parts.iter().map(|part| part.committed).sum();
    assert!(committed > 4_000, "only {committed} transactions succeeded");
    let sets: usize = parts.iter().map(|part| part.sets).sum();
    let evidence: usize = parts.iter().map(|part| part.evidence).sum();
    assert!(sets > 50 && evidence > 100, "only {sets} changes of validators, {evidence} pieces of evidence");
    // No valid chain leads to the first; the longest transaction is too short for the second; there are
    // fewer keys of validators than places.
    let unreachable = [Failure::BalanceOverflow, Failure::ReceiptTooLarge, Failure::ValidatorSetFull];
    let reached = |failure: &Failure| parts.iter().any(|part| part.failures.contains(failure));
    let missed: Vec<&Failure> =
        Failure::ALL.iter().filter(|failure| !reached(failure) && !unreachable.contains(failure)).collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}
