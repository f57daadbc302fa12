//! Who may do what: authorities, permissions and the giving and taking of them.
use quorate_primitives::address::AccountId;
use quorate_primitives::receipt::{Event, Failure};
use quorate_primitives::state::{
    Account, Asset, AssetId, Authority, Delegation, Grant, OrganisationId, Permission, Scope, Status,
};
use quorate_primitives::{Amount, PublicKey, Timestamp};

use super::act::{Act, Done};
use super::{Books, GrantKey};

pub(super) fn require(condition: bool, failure: Failure) -> Done {
    if condition { Ok(()) } else { Err(failure) }
}

/// An account that may be used.
pub(super) fn account<'a>(books: &'a Books, id: &AccountId) -> Result<&'a Account, Failure> {
    let found = books.accounts.get(id).ok_or(Failure::AccountUnknown)?;
    require(found.status == Status::Active, Failure::AccountClosed)?;
    Ok(found)
}

/// An asset that may be used.
pub(super) fn asset<'a>(books: &'a Books, id: &AssetId) -> Result<&'a Asset, Failure> {
    let found = books.assets.get(id).ok_or(Failure::AssetUnknown)?;
    require(found.status == Status::Active, Failure::AssetClosed)?;
    Ok(found)
}

/// Whether the weights of the keys that signed reach the threshold.
pub(super) fn reaches(authority: &Authority, signers: &[PublicKey]) -> bool {
    let signed = authority.keys.iter().filter(|weighted| signers.contains(&weighted.key));
    let weight: u64 = signed.map(|weighted| u64::from(weighted.weight)).sum();
    weight >= u64::from(authority.threshold)
}

fn home<'a>(books: &'a Books, account: &AccountId) -> Option<&'a OrganisationId> {
    books.accounts.get(account).map(|account| &account.organisation)
}

/// Whether what holds at one scope holds at another.
fn covers(books: &Books, wide: &Scope, narrow: &Scope) -> bool {
    if wide == narrow || *wide == Scope::Chain {
        return true;
    }
    let Scope::Organisation(organisation) = wide else { return false };
    let of = match narrow {
        Scope::Account(account) => home(books, account),
        Scope::Asset(asset) => books.assets.get(asset).and_then(|asset| home(books, &asset.issuer)),
        Scope::Chain | Scope::Organisation(_) => None,
    };
    of == Some(organisation)
}

fn ends(grant: &Grant) -> u64 {
    grant.expires.map_or(u64::MAX, Timestamp::get)
}

fn is_active(grant: &Grant, time: Timestamp) -> bool {
    ends(grant) >= time.get()
}

fn limit(grant: &Grant) -> u128 {
    grant.limit.map_or(u128::MAX, Amount::get)
}

/// The active grants of a permission that an account holds and that cover a scope.
fn held(
    books: &Books,
    (holder, permission): (AccountId, Permission),
    scope: &Scope,
    time: Timestamp,
) -> Vec<Grant> {
    let all = books.grants.map.iter();
    let matching = all.filter(|((grantee, held, wide), grant)| {
        *grantee == holder && *held == permission && is_active(grant, time) && covers(books, wide, scope)
    });
    matching.map(|(_, grant)| *grant).collect()
}

/// Whether an account may do something about an amount at a time.
pub(super) fn permitted(
    books: &Books,
    who: (AccountId, Permission),
    scope: &Scope,
    (amount, time): (u128, Timestamp),
) -> Done {
    let grants = held(books, who, scope, time);
    require(!grants.is_empty(), Failure::PermissionMissing)?;
    require(grants.iter().any(|grant| limit(grant) >= amount), Failure::PermissionLimit)
}

impl Act<'_> {
    fn check_scope(&self, scope: &Scope) -> Done {
        match scope {
            Scope::Chain => Ok(()),
            Scope::Organisation(id) => {
                require(self.organisations.contains_key(id), Failure::OrganisationUnknown)
            }
            Scope::Asset(id) => asset(self.books, id).map(drop),
            Scope::Account(id) => account(self.books, id).map(drop),
        }
    }

    fn manages(&self, actor: AccountId, scope: &Scope) -> bool {
        !held(self.books, (actor, Permission::GrantManage), scope, self.header.time).is_empty()
    }

    pub(super) fn grant(&mut self, actor: AccountId, key: GrantKey, mut new: Grant) -> Done {
        let (grantee, permission, scope) = &key;
        account(self.books, grantee)?;
        self.check_scope(scope)?;
        let manages = self.manages(actor, scope);
        let own = held(self.books, (actor, *permission), scope, self.header.time);
        let usable: Vec<Grant> =
            own.into_iter().filter(|grant| manages || grant.delegation == Delegation::Allowed).collect();
        require(manages || !usable.is_empty(), Failure::PermissionMissing)?;
        let is_within = |grant: &Grant| {
            let delegates =
                new.delegation == Delegation::Allowed && grant.delegation == Delegation::Forbidden;
            let without_limit = new.limit.is_none() && grant.limit.is_some();
            let without_end = new.expires.is_none() && grant.expires.is_some();
            !delegates
                && !without_limit
                && !without_end
                && limit(&new) <= limit(grant)
                && ends(&new) <= ends(grant)
        };
        require(usable.iter().any(is_within), Failure::GrantExceeds)?;
        let old = self.books.grants.get(&key).copied().filter(|old| is_active(old, self.header.time));
        if let Some(old) = old {
            let is_party = manages || old.granter == actor || *grantee == actor;
            require(is_party, Failure::PermissionMissing)?;
            require(ends(&new) >= ends(&old) || self.is_replaced(&key, &old), Failure::LastAdministrator)?;
            if *grantee == actor {
                new.granter = old.granter;
            }
        }
        self.give(key, new)
    }

    pub(super) fn revoke(&mut self, actor: AccountId, key: GrantKey) -> Done {
        let old = *self.books.grants.get(&key).ok_or(Failure::GrantUnknown)?;
        let (grantee, permission, scope) = key.clone();
        let is_party = self.manages(actor, &scope) || old.granter == actor || grantee == actor;
        require(is_party, Failure::PermissionMissing)?;
        let may_go = !is_active(&old, self.header.time) || self.is_replaced(&key, &old);
        require(may_go, Failure::LastAdministrator)?;
        self.books.grants.unset(key);
        self.tell(Event::Revoked { grantee, permission, scope })
    }

    /// Whether somebody else administers where this one does, for as long; or it is no administrator.
    fn is_replaced(&self, key: &GrantKey, old: &Grant) -> bool {
        key.1 != Permission::GrantManage
            || self.books.grants.map.iter().any(|(other, grant)| {
                other != key
                    && other.1 == Permission::GrantManage
                    && is_active(grant, self.header.time)
                    && ends(grant) >= ends(old)
                    && covers(self.books, &other.2, &key.2)
                    && account(self.books, &other.0).is_ok()
            })
    }
}
