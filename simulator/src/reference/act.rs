//! What one transaction does to the books, action by action.
use quorate_primitives::address::AccountId;
use quorate_primitives::block::Header;
use quorate_primitives::receipt::{Event, Failure};
use quorate_primitives::state::{
    Account, Asset, AssetId, Authority, Capabilities, Delegation, Grant, Organisation, OrganisationId,
    Permission, Scope, Status,
};
use quorate_primitives::transaction::{Assert, Operation, Output, Quantity, Transaction};
use quorate_primitives::{Amount, Hash};
use std::collections::{BTreeMap, BTreeSet};

use super::permits::{account, asset, permitted, reaches, require};
use super::{Books, GrantKey, Touched};

/// Most events, and most balances, in one receipt.
const ENTRIES_MAX: usize = 2_048;

/// What an action comes to.
pub(super) type Done = Result<(), Failure>;

/// One transaction at work.
pub(super) struct Act<'a> {
    pub(super) books: &'a mut Books,
    pub(super) organisations: &'a BTreeMap<OrganisationId, Organisation>,
    pub(super) chain: Hash,
    pub(super) header: &'a Header,
    has_memo: bool,
    events: Vec<Event>,
    touched: Touched,
}

impl<'a> Act<'a> {
    pub(super) fn new(
        books: &'a mut Books,
        organisations: &'a BTreeMap<OrganisationId, Organisation>,
        (chain, header): (Hash, &'a Header),
        body: &Transaction,
    ) -> Self {
        let has_memo = !body.memo.is_empty();
        Self { books, organisations, chain, header, has_memo, events: Vec::new(), touched: BTreeSet::new() }
    }

    /// What happened, and whose balances changed.
    pub(super) fn done(self) -> (Vec<Event>, Touched) {
        (self.events, self.touched)
    }

    /// All actions, or the failure and the action at fault.
    pub(super) fn all(&mut self, body: &Transaction) -> Result<(), (Failure, Option<u8>)> {
        let position = |index: usize| u8::try_from(index).ok();
        for (index, action) in body.actions.iter().enumerate() {
            let actor = action.actor.unwrap_or(body.sender);
            let acting = account(self.books, &actor).map_err(|failure| (failure, position(index)))?;
            require(reaches(&acting.authority, &body.signers), Failure::Unauthorised)
                .map_err(|failure| (failure, position(index)))?;
        }
        for assert in &body.asserts {
            require(self.holds(assert), Failure::AssertFailed).map_err(|failure| (failure, None))?;
        }
        for (index, action) in body.actions.iter().enumerate() {
            let actor = action.actor.unwrap_or(body.sender);
            self.one(actor, &action.operation).map_err(|failure| (failure, position(index)))?;
        }
        Ok(())
    }

    fn posted(&self, account: AccountId, asset: AssetId) -> u128 {
        self.books.balances.get(&(account, asset)).copied().unwrap_or_default()
    }

    fn holds(&self, assert: &Assert) -> bool {
        match assert {
            Assert::BalanceAtLeast { account, asset, amount } => {
                self.posted(*account, *asset) >= amount.get()
            }
            Assert::BalanceAtMost { account, asset, amount } => self.posted(*account, *asset) <= amount.get(),
            Assert::HeightAtMost { height } => self.header.height <= *height,
            Assert::AuthorityVersion { account: id, version } => {
                account(self.books, id).is_ok_and(|found| found.authority.version == *version)
            }
        }
    }

    fn one(&mut self, actor: AccountId, operation: &Operation) -> Done {
        match operation {
            Operation::AccountCreate { .. } => self.open_account(actor, operation),
            Operation::AuthoritySet { authority } => self.set_authority(actor, authority),
            Operation::AssetCreate { .. } => self.open_asset(actor, operation),
            Operation::AssetUpdate { .. } => self.update_asset(actor, operation),
            Operation::Mint { asset, to, amount } => self.mint(actor, *asset, (*to, *amount)),
            Operation::Burn { asset, from, amount } => self.burn(actor, *asset, (*from, *amount)),
            Operation::Transfer { asset, to, quantity, tag } => {
                self.check_movable(asset)?;
                let amount = match quantity {
                    Quantity::Exact(amount) => *amount,
                    Quantity::All => Amount::new(self.posted(actor, *asset)),
                };
                self.pay(actor, *asset, &[Output { to: *to, amount, tag: *tag }])
            }
            Operation::TransferMany { asset, outputs } => {
                self.check_movable(asset)?;
                self.pay(actor, *asset, outputs)
            }
            Operation::Grant { grantee, permission, scope, limit, expires, delegation } => {
                let new = Grant { limit: *limit, expires: *expires, delegation: *delegation, granter: actor };
                self.grant(actor, (*grantee, *permission, scope.clone()), new)
            }
            Operation::Revoke { grantee, permission, scope } => {
                self.revoke(actor, (*grantee, *permission, scope.clone()))
            }
            Operation::ValidatorAdd { .. }
            | Operation::ValidatorRemove { .. }
            | Operation::ValidatorRotateKey { .. } => self.elect(actor, operation),
        }
    }

    pub(super) fn tell(&mut self, event: Event) -> Done {
        require(self.events.len() < ENTRIES_MAX, Failure::ReceiptTooLarge)?;
        self.events.push(event);
        Ok(())
    }

    pub(super) fn permitted(&self, actor: AccountId, permission: Permission, scope: &Scope) -> Done {
        permitted(self.books, (actor, permission), scope, (0, self.header.time))
    }

    fn permitted_for(
        &self,
        actor: AccountId,
        permission: Permission,
        asset: AssetId,
        amount: Amount,
    ) -> Done {
        let scope = Scope::Asset(asset);
        permitted(self.books, (actor, permission), &scope, (amount.get(), self.header.time))
    }

    fn open_account(&mut self, actor: AccountId, operation: &Operation) -> Done {
        let Operation::AccountCreate { organisation, authority, salt, label } = operation else {
            return Ok(());
        };
        require(self.organisations.contains_key(organisation), Failure::OrganisationUnknown)?;
        self.permitted(actor, Permission::AccountCreate, &Scope::Organisation(organisation.clone()))?;
        require(authority.version == 0 && authority.check().is_ok(), Failure::AuthorityInvalid)?;
        let id = AccountId::derive(authority, salt);
        require(self.books.accounts.get(&id).is_none(), Failure::AccountExists)?;
        let (organisation, authority, label) = (organisation.clone(), authority.clone(), label.clone());
        let new = Account { organisation: organisation.clone(), authority, label, status: Status::Active };
        self.books.accounts.set(id, new);
        self.tell(Event::AccountCreated { account: id, organisation })
    }

    fn set_authority(&mut self, actor: AccountId, authority: &Authority) -> Done {
        let mut changed = account(self.books, &actor)?.clone();
        let is_next = authority.version.checked_sub(1) == Some(changed.authority.version);
        require(is_next && authority.check().is_ok(), Failure::AuthorityInvalid)?;
        changed.authority = authority.clone();
        self.books.accounts.set(actor, changed);
        self.tell(Event::AuthoritySet { account: actor, version: authority.version })
    }

    fn open_asset(&mut self, actor: AccountId, operation: &Operation) -> Done {
        let Operation::AssetCreate { symbol, name, decimals, cap, capabilities } = operation else {
            return Ok(());
        };
        let home = account(self.books, &actor)?.organisation.clone();
        self.permitted(actor, Permission::AssetCreate, &Scope::Organisation(home))?;
        require(*decimals <= 18, Failure::DecimalsInvalid)?;
        require(!capabilities.contains(Capabilities::COSIGNER_REQUIRED), Failure::Unsupported)?;
        let id = AssetId::derive(symbol);
        require(self.books.assets.get(&id).is_none(), Failure::AssetExists)?;
        let new = Asset {
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
        self.books.assets.set(id, new);
        self.tell(Event::AssetCreated { asset: id, issuer: actor })?;
        let grant = Grant { limit: None, expires: None, delegation: Delegation::Allowed, granter: actor };
        self.give((actor, Permission::AssetAdmin, Scope::Asset(id)), grant)?;
        if capabilities.contains(Capabilities::MINTABLE) {
            self.give((actor, Permission::AssetMint, Scope::Asset(id)), grant)?;
        }
        Ok(())
    }

    fn update_asset(&mut self, actor: AccountId, operation: &Operation) -> Done {
        let Operation::AssetUpdate { asset: id, name, url, document } = operation else { return Ok(()) };
        let mut changed = asset(self.books, id)?.clone();
        self.permitted(actor, Permission::AssetAdmin, &Scope::Asset(*id))?;
        (changed.name, changed.url, changed.document) = (name.clone(), url.clone(), *document);
        self.books.assets.set(*id, changed);
        self.tell(Event::AssetUpdated { asset: *id })
    }

    fn mint(&mut self, actor: AccountId, id: AssetId, (to, amount): (AccountId, Amount)) -> Done {
        let mut changed = asset(self.books, &id)?.clone();
        require(amount != Amount::ZERO, Failure::AmountZero)?;
        require(changed.capabilities.contains(Capabilities::MINTABLE), Failure::CapabilityMissing)?;
        self.permitted_for(actor, Permission::AssetMint, id, amount)?;
        account(self.books, &to)?;
        let supply = changed.supply.get().saturating_add(amount.get());
        require(supply <= changed.cap.get(), Failure::CapExceeded)?;
        changed.supply = Amount::new(supply);
        self.books.assets.set(id, changed);
        self.set_balance(to, id, self.posted(to, id).saturating_add(amount.get()))?;
        self.tell(Event::Minted { asset: id, to, amount })
    }

    fn burn(&mut self, actor: AccountId, id: AssetId, (from, amount): (AccountId, Amount)) -> Done {
        let mut changed = asset(self.books, &id)?.clone();
        require(amount != Amount::ZERO, Failure::AmountZero)?;
        if actor != from {
            self.permitted_for(actor, Permission::AssetBurnAny, id, amount)?;
        }
        account(self.books, &from)?;
        let left = self.posted(from, id).checked_sub(amount.get()).ok_or(Failure::InsufficientFunds)?;
        changed.supply = Amount::new(changed.supply.get().saturating_sub(amount.get()));
        self.books.assets.set(id, changed);
        self.set_balance(from, id, left)?;
        self.tell(Event::Burned { asset: id, from, amount })
    }

    fn check_movable(&self, id: &AssetId) -> Done {
        let capabilities = asset(self.books, id)?.capabilities;
        require(!capabilities.contains(Capabilities::COSIGNER_REQUIRED), Failure::Unsupported)?;
        require(self.has_memo || !capabilities.contains(Capabilities::MEMO_REQUIRED), Failure::MemoRequired)
    }

    /// First all receivers are looked at, then the whole sum is taken, then each is paid.
    fn pay(&mut self, from: AccountId, id: AssetId, outputs: &[Output]) -> Done {
        for output in outputs {
            require(output.amount != Amount::ZERO, Failure::AmountZero)?;
            require(output.to != from, Failure::SelfTransfer)?;
            account(self.books, &output.to)?;
        }
        let sum = outputs.iter().try_fold(0_u128, |sum, output| sum.checked_add(output.amount.get()));
        let left =
            sum.and_then(|sum| self.posted(from, id).checked_sub(sum)).ok_or(Failure::InsufficientFunds)?;
        self.set_balance(from, id, left)?;
        for Output { to, amount, tag } in outputs {
            self.set_balance(*to, id, self.posted(*to, id).saturating_add(amount.get()))?;
            self.tell(Event::Transferred { asset: id, from, to: *to, amount: *amount, tag: *tag })?;
        }
        Ok(())
    }

    fn set_balance(&mut self, account: AccountId, asset: AssetId, posted: u128) -> Done {
        if posted == 0 {
            self.books.balances.unset((account, asset));
        } else {
            self.books.balances.set((account, asset), posted);
        }
        self.touched.insert((account, asset));
        require(self.touched.len() <= ENTRIES_MAX, Failure::ReceiptTooLarge)
    }

    /// Gives a grant without asking whether that is allowed.
    pub(super) fn give(&mut self, key: GrantKey, grant: Grant) -> Done {
        let (grantee, permission, scope) = key.clone();
        self.books.grants.set(key, grant);
        self.tell(Event::Granted { grantee, permission, scope, granter: grant.granter })
    }
}
