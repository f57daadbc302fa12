//! Who may do what, where, up to how much and until when.
//!
//! A grant holds for its scope and everything within: the chain covers all, an organisation its
//! accounts and the assets that they issued. Nobody grants more than they hold, and `grant.manage`
//! only replaces the right to delegate. Replacing a grant is taking it back first.
use quorate_primitives::address::AccountId;
use quorate_primitives::receipt::{Event, Failure};
use quorate_primitives::state::{
    Account, Asset, Delegation, Grant, Organisation, Permission, Scope, StateKey,
};
use quorate_primitives::{Amount, Timestamp};

use super::session::Session;

/// What a grant is about.
#[derive(Clone, Debug)]
pub(crate) struct Right {
    pub(crate) grantee: AccountId,
    pub(crate) permission: Permission,
    pub(crate) scope: Scope,
}

impl Right {
    fn key(&self) -> StateKey {
        StateKey::Grant(self.grantee, self.permission, self.scope.clone())
    }
}

/// Checks that an account holds a permission at a scope, for this amount if it is about one.
pub(crate) fn require(
    session: &mut Session<'_, '_>,
    holder: &AccountId,
    (permission, scope): (Permission, &Scope),
    amount: Option<Amount>,
) -> Result<(), Failure> {
    let scopes = covering(session, scope);
    let held = held(session, holder, permission, &scopes);
    let within = |grant: &Grant| amount.zip(grant.limit).is_none_or(|(amount, limit)| amount <= limit);
    if held.is_empty() {
        return Err(Failure::PermissionMissing);
    }
    if held.iter().any(within) { Ok(()) } else { Err(Failure::PermissionLimit) }
}

/// Gives a permission, if the actor holds as much and may pass it on.
pub(crate) fn grant(
    session: &mut Session<'_, '_>,
    actor: AccountId,
    right: Right,
    mut new: Grant,
) -> Result<(), Failure> {
    session.account(&right.grantee)?;
    check_exists(session, &right.scope)?;
    let scopes = covering(session, &right.scope);
    let manages = !held(session, &actor, Permission::GrantManage, &scopes).is_empty();
    let held = held(session, &actor, right.permission, &scopes);
    let may_pass_on = |grant: &Grant| manages || grant.delegation == Delegation::Allowed;
    if !manages && !held.iter().any(may_pass_on) {
        return Err(Failure::PermissionMissing);
    }
    if !held.iter().any(|grant| may_pass_on(grant) && is_within(&new, grant)) {
        return Err(Failure::GrantExceeds);
    }
    let existing = session.overlay.get::<Grant>(&right.key());
    if let Some(existing) = existing.filter(|existing| is_active(existing, session.now)) {
        check_may_revoke(actor, &right, &existing, manages)?;
        if !lasts_as_long(&new, &existing) {
            check_not_last(session, &right, &existing)?;
        }
        if actor == right.grantee {
            // Narrowing one's own grant does not take it out of the hands of who gave it.
            new.granter = existing.granter;
        }
    }
    store(session, right, new)
}

/// Writes a grant whose rules were checked.
pub(crate) fn store(session: &mut Session<'_, '_>, right: Right, grant: Grant) -> Result<(), Failure> {
    session.overlay.put(&right.key(), &grant);
    let Right { grantee, permission, scope } = right;
    session.emit(Event::Granted { grantee, permission, scope, granter: grant.granter })
}

/// Takes a permission back.
pub(crate) fn revoke(session: &mut Session<'_, '_>, actor: AccountId, right: Right) -> Result<(), Failure> {
    let key = right.key();
    let existing: Grant = session.overlay.get(&key).ok_or(Failure::GrantUnknown)?;
    let scopes = covering(session, &right.scope);
    let manages = !held(session, &actor, Permission::GrantManage, &scopes).is_empty();
    check_may_revoke(actor, &right, &existing, manages)?;
    if is_active(&existing, session.now) {
        check_not_last(session, &right, &existing)?;
    }
    session.overlay.delete(&key);
    let Right { grantee, permission, scope } = right;
    session.emit(Event::Revoked { grantee, permission, scope })
}

/// Who may take a grant back: its manager, its giver, and its holder.
fn check_may_revoke(actor: AccountId, right: &Right, existing: &Grant, manages: bool) -> Result<(), Failure> {
    let allowed = manages || existing.granter == actor || right.grantee == actor;
    if allowed { Ok(()) } else { Err(Failure::PermissionMissing) }
}

/// Most grants at one scope that are looked at for another administrator. Where none of so many will
/// do, the one in question stays: looking further would let a crowd of grants stall every validator.
const ADMINISTRATORS_SEEN_MAX: usize = 64;

/// Checks that somebody who can act still manages grants where this one does, for as long as it would.
fn check_not_last(session: &mut Session<'_, '_>, right: &Right, removed: &Grant) -> Result<(), Failure> {
    if right.permission != Permission::GrantManage {
        return Ok(());
    }
    let scopes = covering(session, &right.scope);
    let removed_key = right.key();
    let candidates: Vec<StateKey> = scopes
        .iter()
        .flat_map(|scope| session.overlay.administrators(scope).take(ADMINISTRATORS_SEEN_MAX))
        .collect();
    for key in candidates {
        let StateKey::Grant(holder, ..) = &key else { continue };
        if key == removed_key || session.account(holder).is_err() {
            continue;
        }
        let other: Option<Grant> = session.overlay.get(&key);
        if other.is_some_and(|other| is_active(&other, session.now) && lasts_as_long(&other, removed)) {
            return Ok(());
        }
    }
    Err(Failure::LastAdministrator)
}

/// The scopes at which a grant covers this one, the narrowest first.
fn covering(session: &mut Session<'_, '_>, scope: &Scope) -> Vec<Scope> {
    let owner = match scope {
        Scope::Chain => return vec![Scope::Chain],
        Scope::Organisation(_) => None,
        Scope::Account(account) => Some(*account),
        Scope::Asset(asset) => {
            session.overlay.get::<Asset>(&StateKey::Asset(*asset)).map(|asset| asset.issuer)
        }
    };
    let owner = owner.and_then(|owner| session.overlay.get::<Account>(&StateKey::Account(owner)));
    let organisation = owner.map(|owner| Scope::Organisation(owner.organisation));
    [Some(scope.clone()), organisation, Some(Scope::Chain)].into_iter().flatten().collect()
}

fn check_exists(session: &mut Session<'_, '_>, scope: &Scope) -> Result<(), Failure> {
    match scope {
        Scope::Chain => Ok(()),
        Scope::Organisation(organisation) => {
            let key = StateKey::Organisation(organisation.clone());
            session.overlay.get::<Organisation>(&key).map(drop).ok_or(Failure::OrganisationUnknown)
        }
        Scope::Asset(asset) => session.asset(asset).map(drop),
        Scope::Account(account) => session.account(account).map(drop),
    }
}

/// The grants of a permission that an account holds now at any of these scopes.
fn held(
    session: &mut Session<'_, '_>,
    holder: &AccountId,
    permission: Permission,
    scopes: &[Scope],
) -> Vec<Grant> {
    let now = session.now;
    let key = |scope: &Scope| StateKey::Grant(*holder, permission, scope.clone());
    let found = scopes.iter().filter_map(|scope| session.overlay.get::<Grant>(&key(scope)));
    found.filter(|grant| is_active(grant, now)).collect()
}

fn is_active(grant: &Grant, now: Timestamp) -> bool {
    grant.expires.is_none_or(|end| now <= end)
}

/// Whether a new grant is no more than one that the giver holds.
fn is_within(new: &Grant, own: &Grant) -> bool {
    let limit = own.limit.is_none_or(|most| new.limit.is_some_and(|limit| limit <= most));
    let delegation = own.delegation == Delegation::Allowed || new.delegation == Delegation::Forbidden;
    limit && delegation && lasts_as_long(own, new)
}

fn lasts_as_long(grant: &Grant, other: &Grant) -> bool {
    grant.expires.is_none_or(|end| other.expires.is_some_and(|other_end| other_end <= end))
}
