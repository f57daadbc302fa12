//! A second ledger, written from the rules and as simply as possible: ordered maps, no tree, no
//! layers, every root from scratch. Slow, and therefore easy to believe.
use quorate_genesis::Genesis;
use quorate_primitives::address::AccountId;
use quorate_primitives::block::{Header, Outcome, history_leaf};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::codec::{List, encode};
use quorate_primitives::evidence::{Accusation, EvidenceKind, RecordedEvidence};
use quorate_primitives::merkle::{Leaf, list_root, tree_root};
use quorate_primitives::receipt::{BalanceAfter, Event, Failure, Receipt, Verdict};
use quorate_primitives::signed::Verified;
use quorate_primitives::state::{
    Account, Asset, AssetId, Balance, Capabilities, Delegation, Grant, Marker, Organisation, OrganisationId,
    Parameters, Permission, Scope, StateKey, Status, value_hash,
};
use quorate_primitives::transaction::{
    Assert, Nonce, Operation, Output, Quantity, SignedTransaction, Transaction,
};
use quorate_primitives::validators::{Validator, ValidatorSet};
use quorate_primitives::{Amount, EpochNumber, Hash, PublicKey, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

mod validators;

type GrantKey = (AccountId, Permission, Scope);

/// Everything that a failed transaction must leave as it was.
#[derive(Clone)]
struct Books {
    accounts: BTreeMap<AccountId, Account>,
    assets: BTreeMap<AssetId, Asset>,
    balances: BTreeMap<(AccountId, AssetId), Balance>,
    grants: BTreeMap<GrantKey, Grant>,
    sets: BTreeMap<EpochNumber, Vec<Validator>>,
}

#[derive(Clone)]
pub(crate) struct Naive {
    chain: Hash,
    parameters: Parameters,
    organisations: BTreeMap<OrganisationId, Organisation>,
    books: Books,
    nonces: BTreeMap<(AccountId, Nonce), Marker>,
    unauthorised: BTreeMap<Hash, Marker>,
    evidence: BTreeMap<(EpochNumber, PublicKey, EvidenceKind), RecordedEvidence>,
    blocks: Vec<Hash>,
}

struct Act<'a> {
    books: &'a mut Books,
    organisations: &'a BTreeMap<OrganisationId, Organisation>,
    chain: Hash,
    epoch: EpochNumber,
    time: Timestamp,
    memo: bool,
    events: Vec<Event>,
    touched: BTreeSet<(AccountId, AssetId)>,
}

type Done = Result<(), Failure>;

fn ensure(condition: bool, failure: Failure) -> Done {
    if condition { Ok(()) } else { Err(failure) }
}

impl Naive {
    pub(crate) fn new(genesis: &Genesis) -> Self {
        let books = Books {
            accounts: genesis.accounts.iter().cloned().collect(),
            assets: genesis.assets.iter().cloned().collect(),
            balances: genesis
                .balances
                .iter()
                .map(|(account, asset, posted)| {
                    ((*account, *asset), Balance { posted: *posted, ..Balance::default() })
                })
                .collect(),
            grants: genesis
                .grants
                .iter()
                .map(|(account, permission, scope, grant)| ((*account, *permission, scope.clone()), *grant))
                .collect(),
            sets: BTreeMap::from([(EpochNumber::ZERO, genesis.validators.members().to_vec())]),
        };
        Self {
            chain: genesis.hash(),
            parameters: genesis.parameters.clone(),
            organisations: genesis.organisations.iter().cloned().collect(),
            books,
            nonces: BTreeMap::new(),
            unauthorised: BTreeMap::new(),
            evidence: BTreeMap::new(),
            blocks: Vec::new(),
        }
    }

    /// Executes a block on top of all before, and returns its receipts and outcome.
    pub(crate) fn block(&mut self, header: &Header, bundles: &[Verified<Bundle>]) -> (Vec<Receipt>, Outcome) {
        self.sweep(header);
        let mut receipts: Vec<Receipt> = Vec::new();
        for bundle in bundles {
            receipts
                .extend(bundle.transactions().iter().filter_map(|signed| self.transaction(header, signed)));
            bundle.accusations().iter().for_each(|accusation| self.accuse(header, accusation));
        }
        let leaves: Vec<Hash> = receipts.iter().map(Receipt::leaf).collect();
        let outcome = Outcome {
            state_root: self.root(),
            receipts_root: list_root(&leaves),
            history_root: list_root(&self.blocks),
            next_validators: self.books.set_of(header.epoch.next()).hash(),
        };
        self.blocks.push(history_leaf(header.height, header.id(), outcome.digest()));
        (receipts, outcome)
    }

    /// Markers that are over go in the block whose height ends with bits 1 to 8 of their path.
    fn sweep(&mut self, header: &Header) {
        let end = header.time.get();
        let slice = |key: &StateKey| {
            let [first, second, ..] = *key.path().as_bytes();
            u64::from(u16::from_be_bytes([first, second]) >> 7 & 0xff)
        };
        let keep = |key: StateKey, marker: &Marker| {
            let is_over = marker.valid_until.get() + self.parameters.marker_retention_ms < end;
            !is_over || slice(&key) != header.height.get() % 256
        };
        self.nonces.retain(|(sender, nonce), marker| keep(StateKey::Nonce(*sender, *nonce), marker));
        self.unauthorised.retain(|id, marker| keep(StateKey::Unauthorised(*id), marker));
    }

    fn root(&self) -> Hash {
        let mut entries = vec![(StateKey::Parameters, encode(&self.parameters))];
        entries.extend(self.books.sets.iter().map(|(from, set)| (StateKey::Validators(*from), encode(set))));
        entries.extend(self.evidence.iter().map(|((epoch, validator, kind), value)| {
            (StateKey::Evidence(*epoch, *validator, *kind), encode(value))
        }));
        entries.extend(
            self.organisations.iter().map(|(id, value)| (StateKey::Organisation(id.clone()), encode(value))),
        );
        entries.extend(self.books.accounts.iter().map(|(id, value)| (StateKey::Account(*id), encode(value))));
        entries.extend(self.books.assets.iter().map(|(id, value)| (StateKey::Asset(*id), encode(value))));
        entries.extend(
            self.books
                .balances
                .iter()
                .map(|((account, asset), value)| (StateKey::Balance(*account, *asset), encode(value))),
        );
        entries.extend(self.books.grants.iter().map(|((account, permission, scope), value)| {
            (StateKey::Grant(*account, *permission, scope.clone()), encode(value))
        }));
        entries.extend(
            self.nonces
                .iter()
                .map(|((account, nonce), value)| (StateKey::Nonce(*account, *nonce), encode(value))),
        );
        entries
            .extend(self.unauthorised.iter().map(|(id, value)| (StateKey::Unauthorised(*id), encode(value))));
        let mut leaves: Vec<Leaf> =
            entries.iter().map(|(key, bytes)| Leaf { path: key.path(), value: value_hash(bytes) }).collect();
        leaves.sort_by_key(|leaf| leaf.path);
        tree_root(&leaves)
    }

    fn accuse(&mut self, header: &Header, accusation: &Accusation) {
        let identity = &accusation.identity;
        let set = self.books.set_of(identity.epoch);
        let ours = (self.chain, self.parameters.hash(), set.hash());
        let about_us = (identity.chain, identity.parameters, identity.validators) == ours;
        let index = set.index_of(&accusation.validator);
        let Some(kind) = accusation.evidence.kind() else { return };
        if about_us && identity.epoch <= header.epoch && index == Some(accusation.evidence.signer()) {
            let recorded = RecordedEvidence { accusation: accusation.clone(), height: header.height };
            self.evidence.entry((identity.epoch, accusation.validator, kind)).or_insert(recorded);
        }
    }

    fn transaction(&mut self, header: &Header, signed: &SignedTransaction) -> Option<Receipt> {
        let (envelope, transaction) = (signed.transaction(), signed.id());
        let latest = header.time.get() + self.parameters.max_validity_ms + self.parameters.clock_bound_ms;
        let in_time = envelope.valid_until >= header.time && envelope.valid_until.get() <= latest;
        let used = self.nonces.get(&(envelope.sender, envelope.nonce)).map(|marker| marker.transaction);
        let known = used == Some(transaction) || self.unauthorised.contains_key(&transaction);
        if envelope.chain != self.chain || !in_time || known {
            return None;
        }
        let marker = Marker { transaction, height: header.height, valid_until: envelope.valid_until };
        let sender = self.books.account(&envelope.sender);
        let early = match sender {
            Err(failure) => Some(failure),
            Ok(account) if !account.authority.is_satisfied_by(&envelope.signers) => {
                Some(Failure::Unauthorised)
            }
            Ok(_) => used.map(|_| Failure::NonceConflict),
        };
        if let Some(failure) = early {
            self.unauthorised.insert(transaction, marker);
            return Some(receipt(transaction, Verdict::Failed { failure, action: None }));
        }
        self.nonces.insert((envelope.sender, envelope.nonce), marker);
        let mut books = self.books.clone();
        let mut act = Act {
            books: &mut books,
            organisations: &self.organisations,
            chain: self.chain,
            epoch: header.epoch,
            time: header.time,
            memo: !envelope.memo.is_empty(),
            events: Vec::new(),
            touched: BTreeSet::new(),
        };
        if let Err((failure, action)) = act.all(header, envelope) {
            return Some(receipt(transaction, Verdict::Failed { failure, action }));
        }
        let Act { events, touched, .. } = act;
        let after =
            |(account, asset)| BalanceAfter { account, asset, balance: books.balance(account, asset) };
        let balances: Vec<BalanceAfter> = touched.into_iter().map(after).collect();
        self.books = books;
        let (events, balances) = (List::new(events).unwrap(), List::new(balances).unwrap());
        Some(Receipt { transaction, verdict: Verdict::Committed, events, balances })
    }
}

fn receipt(transaction: Hash, verdict: Verdict) -> Receipt {
    Receipt { transaction, verdict, events: List::default(), balances: List::default() }
}

impl Books {
    fn account(&self, id: &AccountId) -> Result<&Account, Failure> {
        let account = self.accounts.get(id).ok_or(Failure::AccountUnknown)?;
        ensure(account.status == Status::Active, Failure::AccountClosed).map(|()| account)
    }

    fn asset(&self, id: &AssetId) -> Result<&Asset, Failure> {
        let asset = self.assets.get(id).ok_or(Failure::AssetUnknown)?;
        ensure(asset.status == Status::Active, Failure::AssetClosed).map(|()| asset)
    }

    fn balance(&self, account: AccountId, asset: AssetId) -> Balance {
        self.balances.get(&(account, asset)).copied().unwrap_or_default()
    }

    fn set_of(&self, epoch: EpochNumber) -> ValidatorSet {
        let (_, members) = self.sets.range(..=epoch).next_back().unwrap();
        ValidatorSet::new(members.clone()).unwrap()
    }

    fn organisation_of(&self, account: &AccountId) -> Option<&OrganisationId> {
        self.accounts.get(account).map(|account| &account.organisation)
    }

    /// Whether a grant at `wide` holds at `narrow`.
    fn covers(&self, wide: &Scope, narrow: &Scope) -> bool {
        let member = |owner: Option<&AccountId>, organisation| {
            owner.and_then(|owner| self.organisation_of(owner)) == Some(organisation)
        };
        match (wide, narrow) {
            (Scope::Chain, _) => true,
            (Scope::Organisation(organisation), Scope::Account(account)) => {
                member(Some(account), organisation)
            }
            (Scope::Organisation(organisation), Scope::Asset(asset)) => {
                member(self.assets.get(asset).map(|asset| &asset.issuer), organisation)
            }
            _ => wide == narrow,
        }
    }

    fn held(&self, holder: AccountId, permission: Permission, scope: &Scope, time: Timestamp) -> Vec<Grant> {
        let matches = |((grantee, held, wide), grant): &(&GrantKey, &Grant)| {
            *grantee == holder && *held == permission && self.covers(wide, scope) && active(grant, time)
        };
        self.grants.iter().filter(matches).map(|(_, grant)| *grant).collect()
    }
}

fn active(grant: &Grant, time: Timestamp) -> bool {
    end(grant) >= time.get()
}

/// No end counts as later than any.
fn end(grant: &Grant) -> u64 {
    grant.expires.map_or(u64::MAX, Timestamp::get)
}

fn most(grant: &Grant) -> u128 {
    grant.limit.map_or(u128::MAX, Amount::get)
}

impl Act<'_> {
    fn all(&mut self, header: &Header, envelope: &Transaction) -> Result<(), (Failure, Option<u8>)> {
        let actor = |index: usize| envelope.actions[index].actor.unwrap_or(envelope.sender);
        let at = |index: usize| move |failure| (failure, Some(u8::try_from(index).unwrap()));
        for index in 0..envelope.actions.len() {
            let account = self.books.account(&actor(index)).map_err(at(index))?;
            ensure(account.authority.is_satisfied_by(&envelope.signers), Failure::Unauthorised)
                .map_err(at(index))?;
        }
        for assert in &envelope.asserts {
            ensure(self.holds(header, assert), Failure::AssertFailed).map_err(|failure| (failure, None))?;
        }
        for index in 0..envelope.actions.len() {
            self.act(actor(index), &envelope.actions[index].operation).map_err(at(index))?;
        }
        Ok(())
    }

    fn holds(&self, header: &Header, assert: &Assert) -> bool {
        match *assert {
            Assert::BalanceAtLeast { account, asset, amount } => {
                self.books.balance(account, asset).posted >= amount
            }
            Assert::BalanceAtMost { account, asset, amount } => {
                self.books.balance(account, asset).posted <= amount
            }
            Assert::HeightAtMost { height } => header.height <= height,
            Assert::AuthorityVersion { account, version } => {
                self.books.account(&account).is_ok_and(|account| account.authority.version == version)
            }
        }
    }

    fn act(&mut self, actor: AccountId, operation: &Operation) -> Done {
        match operation {
            Operation::AccountCreate { organisation, authority, salt, label } => {
                ensure(self.organisations.contains_key(organisation), Failure::OrganisationUnknown)?;
                self.permitted(
                    actor,
                    Permission::AccountCreate,
                    &Scope::Organisation(organisation.clone()),
                    0,
                )?;
                ensure(authority.version == 0 && authority.check().is_ok(), Failure::AuthorityInvalid)?;
                let id = AccountId::derive(authority, salt);
                ensure(!self.books.accounts.contains_key(&id), Failure::AccountExists)?;
                let (organisation, authority, label) =
                    (organisation.clone(), authority.clone(), label.clone());
                self.events.push(Event::AccountCreated { account: id, organisation: organisation.clone() });
                let account = Account { organisation, authority, label, status: Status::Active };
                self.books.accounts.insert(id, account);
                Ok(())
            }
            Operation::AuthoritySet { authority } => {
                let account = self.books.accounts.get_mut(&actor).unwrap();
                let next = authority.version.checked_sub(1) == Some(account.authority.version);
                ensure(next && authority.check().is_ok(), Failure::AuthorityInvalid)?;
                account.authority = authority.clone();
                self.events.push(Event::AuthoritySet { account: actor, version: authority.version });
                Ok(())
            }
            Operation::AssetCreate { .. } | Operation::AssetUpdate { .. } => self.describe(actor, operation),
            Operation::Mint { asset, to, amount } => self.mint(actor, *asset, *to, *amount),
            Operation::Burn { asset, from, amount } => self.burn(actor, *asset, *from, *amount),
            Operation::Transfer { asset, to, quantity, tag } => {
                self.movable(*asset)?;
                let amount = match quantity {
                    Quantity::Exact(amount) => *amount,
                    Quantity::All => self.books.balance(actor, *asset).posted,
                };
                self.pay(actor, *asset, &[Output { to: *to, amount, tag: *tag }])
            }
            Operation::TransferMany { asset, outputs } => {
                self.movable(*asset)?;
                self.pay(actor, *asset, outputs)
            }
            Operation::Grant { grantee, permission, scope, limit, expires, delegation } => {
                let grant =
                    Grant { limit: *limit, expires: *expires, delegation: *delegation, granter: actor };
                self.grant(actor, (*grantee, *permission, scope.clone()), grant)
            }
            Operation::Revoke { grantee, permission, scope } => {
                self.revoke(actor, &(*grantee, *permission, scope.clone()))
            }
            Operation::ValidatorAdd { validator, possession } => self.join(actor, validator, possession),
            Operation::ValidatorRemove { name } => self.leave(actor, name),
            Operation::ValidatorRotateKey { name, key, possession } => {
                self.renew(actor, (name, *key), possession)
            }
        }
    }

    fn permitted(&self, actor: AccountId, permission: Permission, scope: &Scope, amount: u128) -> Done {
        let held = self.books.held(actor, permission, scope, self.time);
        ensure(!held.is_empty(), Failure::PermissionMissing)?;
        ensure(held.iter().any(|grant| amount <= most(grant)), Failure::PermissionLimit)
    }

    fn describe(&mut self, actor: AccountId, operation: &Operation) -> Done {
        match operation {
            Operation::AssetCreate { symbol, name, decimals, cap, capabilities } => {
                let organisation = Scope::Organisation(self.books.organisation_of(&actor).unwrap().clone());
                self.permitted(actor, Permission::AssetCreate, &organisation, 0)?;
                ensure(*decimals <= 18, Failure::DecimalsInvalid)?;
                ensure(!capabilities.contains(Capabilities::COSIGNER_REQUIRED), Failure::Unsupported)?;
                let id = AssetId::derive(symbol);
                ensure(!self.books.assets.contains_key(&id), Failure::AssetExists)?;
                let asset = Asset {
                    symbol: symbol.clone(),
                    name: name.clone(),
                    url: Default::default(),
                    document: None,
                    decimals: *decimals,
                    cap: *cap,
                    supply: Amount::ZERO,
                    capabilities: *capabilities,
                    issuer: actor,
                    status: Status::Active,
                };
                self.books.assets.insert(id, asset);
                self.events.push(Event::AssetCreated { asset: id, issuer: actor });
                let whole =
                    Grant { limit: None, expires: None, delegation: Delegation::Allowed, granter: actor };
                self.set((actor, Permission::AssetAdmin, Scope::Asset(id)), whole);
                if capabilities.contains(Capabilities::MINTABLE) {
                    self.set((actor, Permission::AssetMint, Scope::Asset(id)), whole);
                }
                Ok(())
            }
            Operation::AssetUpdate { asset, name, url, document } => {
                self.books.asset(asset)?;
                self.permitted(actor, Permission::AssetAdmin, &Scope::Asset(*asset), 0)?;
                let record = self.books.assets.get_mut(asset).unwrap();
                (record.name, record.url, record.document) = (name.clone(), url.clone(), *document);
                self.events.push(Event::AssetUpdated { asset: *asset });
                Ok(())
            }
            _ => unreachable!("only called for these two"),
        }
    }

    fn mint(&mut self, actor: AccountId, asset: AssetId, to: AccountId, amount: Amount) -> Done {
        let record = self.books.asset(&asset)?.clone();
        ensure(amount != Amount::ZERO, Failure::AmountZero)?;
        ensure(record.capabilities.contains(Capabilities::MINTABLE), Failure::CapabilityMissing)?;
        self.permitted(actor, Permission::AssetMint, &Scope::Asset(asset), amount.get())?;
        self.books.account(&to)?;
        ensure(amount.get() <= record.cap.get() - record.supply.get(), Failure::CapExceeded)?;
        self.books.assets.get_mut(&asset).unwrap().supply = Amount::new(record.supply.get() + amount.get());
        self.shift(to, asset, |posted| posted + amount.get());
        self.events.push(Event::Minted { asset, to, amount });
        Ok(())
    }

    fn burn(&mut self, actor: AccountId, asset: AssetId, from: AccountId, amount: Amount) -> Done {
        let record = self.books.asset(&asset)?.clone();
        ensure(amount != Amount::ZERO, Failure::AmountZero)?;
        if actor != from {
            self.permitted(actor, Permission::AssetBurnAny, &Scope::Asset(asset), amount.get())?;
        }
        self.books.account(&from)?;
        ensure(self.books.balance(from, asset).posted >= amount, Failure::InsufficientFunds)?;
        self.books.assets.get_mut(&asset).unwrap().supply = Amount::new(record.supply.get() - amount.get());
        self.shift(from, asset, |posted| posted - amount.get());
        self.events.push(Event::Burned { asset, from, amount });
        Ok(())
    }

    fn movable(&self, asset: AssetId) -> Done {
        let capabilities = self.books.asset(&asset)?.capabilities;
        ensure(!capabilities.contains(Capabilities::COSIGNER_REQUIRED), Failure::Unsupported)?;
        ensure(self.memo || !capabilities.contains(Capabilities::MEMO_REQUIRED), Failure::MemoRequired)
    }

    fn pay(&mut self, from: AccountId, asset: AssetId, outputs: &[Output]) -> Done {
        let mut left = self.books.balance(from, asset).posted.get();
        let mut enough = true;
        for output in outputs {
            ensure(output.amount != Amount::ZERO, Failure::AmountZero)?;
            ensure(output.to != from, Failure::SelfTransfer)?;
            self.books.account(&output.to)?;
            enough &= output.amount.get() <= left;
            left = left.saturating_sub(output.amount.get());
        }
        ensure(enough, Failure::InsufficientFunds)?;
        self.shift(from, asset, |_| left);
        for Output { to, amount, tag } in outputs {
            self.shift(*to, asset, |posted| posted + amount.get());
            self.events.push(Event::Transferred { asset, from, to: *to, amount: *amount, tag: *tag });
        }
        Ok(())
    }

    fn shift(&mut self, account: AccountId, asset: AssetId, change: impl Fn(u128) -> u128) {
        let posted = change(self.books.balance(account, asset).posted.get());
        let balance = Balance { posted: Amount::new(posted), ..Balance::default() };
        self.books.balances.insert((account, asset), balance);
        if posted == 0 {
            self.books.balances.remove(&(account, asset));
        }
        self.touched.insert((account, asset));
    }

    fn set(&mut self, key: GrantKey, grant: Grant) {
        let (grantee, permission, scope) = key.clone();
        self.events.push(Event::Granted { grantee, permission, scope, granter: grant.granter });
        self.books.grants.insert(key, grant);
    }

    fn grant(&mut self, actor: AccountId, key: GrantKey, mut new: Grant) -> Done {
        let (grantee, permission, scope) = &key;
        self.books.account(grantee)?;
        match scope {
            Scope::Chain => {}
            Scope::Organisation(id) => {
                ensure(self.organisations.contains_key(id), Failure::OrganisationUnknown)?
            }
            Scope::Asset(id) => drop(self.books.asset(id)?),
            Scope::Account(id) => drop(self.books.account(id)?),
        }
        let manages = !self.books.held(actor, Permission::GrantManage, scope, self.time).is_empty();
        let usable: Vec<Grant> = self
            .books
            .held(actor, *permission, scope, self.time)
            .into_iter()
            .filter(|grant| manages || grant.delegation == Delegation::Allowed)
            .collect();
        ensure(manages || !usable.is_empty(), Failure::PermissionMissing)?;
        let enough = |held: &Grant| {
            most(&new) <= most(held)
                && (held.limit.is_none() || new.limit.is_some())
                && end(&new) <= end(held)
                && (held.expires.is_none() || new.expires.is_some())
                && !(new.delegation == Delegation::Allowed && held.delegation == Delegation::Forbidden)
        };
        ensure(usable.iter().any(enough), Failure::GrantExceeds)?;
        if let Some(old) = self.books.grants.get(&key).copied().filter(|old| active(old, self.time)) {
            ensure(manages || old.granter == actor || *grantee == actor, Failure::PermissionMissing)?;
            ensure(end(&new) >= end(&old) || self.replaced(&key, &old), Failure::LastAdministrator)?;
            if *grantee == actor {
                new.granter = old.granter;
            }
        }
        self.set(key, new);
        Ok(())
    }

    fn revoke(&mut self, actor: AccountId, key: &GrantKey) -> Done {
        let (grantee, permission, scope) = key;
        let old = *self.books.grants.get(key).ok_or(Failure::GrantUnknown)?;
        let manages = !self.books.held(actor, Permission::GrantManage, scope, self.time).is_empty();
        ensure(manages || old.granter == actor || *grantee == actor, Failure::PermissionMissing)?;
        ensure(!active(&old, self.time) || self.replaced(key, &old), Failure::LastAdministrator)?;
        self.books.grants.remove(key);
        self.events.push(Event::Revoked { grantee: *grantee, permission: *permission, scope: scope.clone() });
        Ok(())
    }

    /// Whether somebody else manages grants where this one does, for as long.
    fn replaced(&self, key: &GrantKey, old: &Grant) -> bool {
        let other = |(other, grant): (&GrantKey, &Grant)| {
            other != key
                && other.1 == Permission::GrantManage
                && self.books.covers(&other.2, &key.2)
                && self.books.account(&other.0).is_ok()
                && active(grant, self.time)
                && end(grant) >= end(old)
        };
        key.1 != Permission::GrantManage || self.books.grants.iter().any(other)
    }
}
