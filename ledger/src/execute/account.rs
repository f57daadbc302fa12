//! Opening accounts, and replacing who may act for them.
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::Text;
use quorate_primitives::receipt::{Event, Failure};
use quorate_primitives::state::{
    Account, Authority, Organisation, OrganisationId, Permission, Scope, StateKey, Status,
};

use super::permission;
use super::session::Session;

/// An account to be opened.
pub(crate) struct New<'a> {
    pub(crate) organisation: &'a OrganisationId,
    pub(crate) authority: &'a Authority,
    pub(crate) salt: &'a [u8; 16],
    pub(crate) label: &'a Text<64>,
}

/// Opens an account under the id that follows from its first authority.
pub(crate) fn create(session: &mut Session<'_, '_>, actor: AccountId, new: New<'_>) -> Result<(), Failure> {
    let organisation = StateKey::Organisation(new.organisation.clone());
    session.overlay.get::<Organisation>(&organisation).ok_or(Failure::OrganisationUnknown)?;
    let scope = Scope::Organisation(new.organisation.clone());
    permission::require(session, &actor, (Permission::AccountCreate, &scope), None)?;
    let allowed = new.authority.version == 0 && new.authority.check().is_ok();
    if !allowed {
        return Err(Failure::AuthorityInvalid);
    }
    let id = AccountId::derive(new.authority, new.salt);
    let key = StateKey::Account(id);
    if session.overlay.get::<Account>(&key).is_some() {
        return Err(Failure::AccountExists);
    }
    let account = Account {
        organisation: new.organisation.clone(),
        authority: new.authority.clone(),
        label: new.label.clone(),
        status: Status::Active,
    };
    session.overlay.put(&key, &account);
    session.emit(Event::AccountCreated { account: id, organisation: new.organisation.clone() })
}

/// Replaces the actor's authority. The version makes it certain which one is replaced.
pub(crate) fn set_authority(
    session: &mut Session<'_, '_>,
    actor: AccountId,
    authority: &Authority,
) -> Result<(), Failure> {
    let account = session.account(&actor)?;
    let next = account.authority.version.checked_add(1).ok_or(Failure::AuthorityInvalid)?;
    if authority.version != next || authority.check().is_err() {
        return Err(Failure::AuthorityInvalid);
    }
    let account = Account { authority: authority.clone(), ..account };
    session.overlay.put(&StateKey::Account(actor), &account);
    session.emit(Event::AuthoritySet { account: actor, version: next })
}
