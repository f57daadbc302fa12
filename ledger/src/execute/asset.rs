//! Assets, and how many units of them there are.
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::Text;
use quorate_primitives::receipt::{Event, Failure};
use quorate_primitives::state::{
    Asset, AssetId, Capabilities, DECIMALS_MAX, Delegation, Grant, Permission, Scope, StateKey,
};
use quorate_primitives::zoo::{self, Bug};
use quorate_primitives::{Amount, Hash};

use super::permission::{self, Right};
use super::session::{Session, check_amount};

/// What people read about an asset.
pub(crate) struct Description<'a> {
    pub(crate) name: &'a Text<64>,
    pub(crate) url: &'a Text<256>,
    pub(crate) document: Option<Hash>,
}

/// Creates an asset whose issuer is the actor, who may pass on what it is granted.
///
/// A capability that would forbid every transfer until a later protocol version is refused; the others
/// cost nobody anything while no action uses them.
pub(crate) fn create(session: &mut Session<'_, '_>, actor: AccountId, new: &Asset) -> Result<(), Failure> {
    let organisation = Scope::Organisation(session.account(&actor)?.organisation);
    permission::require(session, &actor, (Permission::AssetCreate, &organisation), None)?;
    if new.decimals > DECIMALS_MAX {
        return Err(Failure::DecimalsInvalid);
    }
    if new.capabilities.contains(Capabilities::COSIGNER_REQUIRED) {
        return Err(Failure::Unsupported);
    }
    let id = AssetId::derive(&new.symbol);
    let key = StateKey::Asset(id);
    if session.overlay.get::<Asset>(&key).is_some() {
        return Err(Failure::AssetExists);
    }
    session.overlay.put(&key, new);
    session.emit(Event::AssetCreated { asset: id, issuer: actor })?;
    let mintable = new.capabilities.contains(Capabilities::MINTABLE);
    let granted = [Permission::AssetAdmin].into_iter().chain(mintable.then_some(Permission::AssetMint));
    for permission in granted {
        let right = Right { grantee: actor, permission, scope: Scope::Asset(id) };
        let grant = Grant { limit: None, expires: None, delegation: Delegation::Allowed, granter: actor };
        permission::store(session, right, grant)?;
    }
    Ok(())
}

/// Changes what people read about an asset.
pub(crate) fn update(
    session: &mut Session<'_, '_>,
    actor: AccountId,
    id: &AssetId,
    description: Description<'_>,
) -> Result<(), Failure> {
    let asset = session.asset(id)?;
    permission::require(session, &actor, (Permission::AssetAdmin, &Scope::Asset(*id)), None)?;
    let Description { name, url, document } = description;
    let asset = Asset { name: name.clone(), url: url.clone(), document, ..asset };
    session.overlay.put(&StateKey::Asset(*id), &asset);
    session.emit(Event::AssetUpdated { asset: *id })
}

/// Creates units.
pub(crate) fn mint(
    session: &mut Session<'_, '_>,
    actor: AccountId,
    (id, to): (&AssetId, &AccountId),
    amount: Amount,
) -> Result<(), Failure> {
    let asset = session.asset(id)?;
    check_amount(amount)?;
    if !asset.capabilities.contains(Capabilities::MINTABLE) {
        return Err(Failure::CapabilityMissing);
    }
    permission::require(session, &actor, (Permission::AssetMint, &Scope::Asset(*id)), Some(amount))?;
    session.account(to)?;
    let supply = asset.supply.checked_add(amount).filter(|supply| *supply <= asset.cap);
    let supply = supply.ok_or(Failure::CapExceeded)?;
    session.credit(to, id, amount)?;
    session.overlay.put(&StateKey::Asset(*id), &Asset { supply, ..asset });
    session.emit(Event::Minted { asset: *id, to: *to, amount })
}

/// Destroys units: everybody their own, others' only with permission.
pub(crate) fn burn(
    session: &mut Session<'_, '_>,
    actor: AccountId,
    (id, from): (&AssetId, &AccountId),
    amount: Amount,
) -> Result<(), Failure> {
    let asset = session.asset(id)?;
    check_amount(amount)?;
    if *from != actor {
        permission::require(session, &actor, (Permission::AssetBurnAny, &Scope::Asset(*id)), Some(amount))?;
    }
    session.account(from)?;
    session.debit(from, id, amount)?;
    // Supply is the sum of all balances, so it is never the smaller one.
    let supply = asset.supply.checked_sub(amount).ok_or(Failure::InsufficientFunds)?;
    let supply = if zoo::has(Bug::SupplyKeptAtBurn) { asset.supply } else { supply };
    session.overlay.put(&StateKey::Asset(*id), &Asset { supply, ..asset });
    session.emit(Event::Burned { asset: *id, from: *from, amount })
}
