//! Who votes: validators join, leave and change their keys.
//!
//! A block of epoch `e` changes the validators of epoch `e + 2`. Those of `e + 1` are fixed by then, so
//! that whoever joins has a whole epoch to fetch the chain, and whoever signs the last block of `e` knows
//! to whom it hands over.
use quorate_primitives::PublicKey;
use quorate_primitives::Signature;
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::Text;
use quorate_primitives::receipt::{Event, Failure};
use quorate_primitives::state::{Organisation, Permission, Scope, StateKey};
use quorate_primitives::validators::Validator;
use quorate_primitives::{EpochNumber, Hash};

use super::permission;
use super::session::Session;
use crate::state::Members;

/// Adds a validator behind the others.
pub(crate) fn add(
    session: &mut Session<'_, '_>,
    actor: AccountId,
    validator: &Validator,
    possession: Signature,
) -> Result<(), Failure> {
    require(session, &actor, &Scope::Chain)?;
    let organisation = StateKey::Organisation(validator.organisation.clone());
    session.overlay.get::<Organisation>(&organisation).ok_or(Failure::OrganisationUnknown)?;
    let (from, mut members) = later(session)?;
    let taken = |member: &Validator| member.name == validator.name || member.key == validator.key;
    if members.iter().any(taken) {
        return Err(Failure::ValidatorExists);
    }
    check_sound(validator, &session.chain, possession)?;
    members.push(validator.clone());
    store(session, from, members, Failure::ValidatorSetFull)?;
    let Validator { name, organisation, key } = validator.clone();
    session.emit(Event::ValidatorAdded { name, organisation, key, from })
}

/// Removes a validator; those behind it move up.
pub(crate) fn remove(
    session: &mut Session<'_, '_>,
    actor: AccountId,
    name: &Text<32>,
) -> Result<(), Failure> {
    require(session, &actor, &Scope::Chain)?;
    let (from, mut members) = later(session)?;
    let position = members.iter().position(|member| member.name == *name);
    let removed = members.remove(position.ok_or(Failure::ValidatorUnknown)?);
    store(session, from, members, Failure::ValidatorSetEmpty)?;
    session.emit(Event::ValidatorRemoved { name: removed.name, key: removed.key, from })
}

/// Replaces a validator's key. Who runs it decides, since nobody else holds the new one.
pub(crate) fn rotate_key(
    session: &mut Session<'_, '_>,
    actor: AccountId,
    (name, key): (&Text<32>, PublicKey),
    possession: Signature,
) -> Result<(), Failure> {
    let chain = session.chain;
    let (from, mut members) = later(session)?;
    let taken = members.iter().any(|member| member.key == key);
    let member = members.iter_mut().find(|member| member.name == *name);
    let member = member.ok_or(Failure::ValidatorUnknown)?;
    require(session, &actor, &Scope::Organisation(member.organisation.clone()))?;
    if taken {
        return Err(Failure::ValidatorExists);
    }
    member.key = key;
    check_sound(member, &chain, possession)?;
    store(session, from, members, Failure::ValidatorSetFull)?;
    session.emit(Event::ValidatorKeyRotated { name: name.clone(), key, from })
}

fn require(session: &mut Session<'_, '_>, actor: &AccountId, scope: &Scope) -> Result<(), Failure> {
    permission::require(session, actor, (Permission::ValidatorManage, scope), None)
}

/// The epoch whose validators this block may change, and those it has so far.
fn later(session: &mut Session<'_, '_>) -> Result<(EpochNumber, Vec<Validator>), Failure> {
    let from = session.epoch.saturating_add(2);
    // No genesis is without validators.
    let members = session.overlay.validators(from).ok_or(Failure::ValidatorUnknown)?;
    Ok((from, members.into_inner()))
}

/// What makes a validator sound by itself. The signature comes last: it is checked only for those who may
/// make the change.
fn check_sound(validator: &Validator, chain: &Hash, possession: Signature) -> Result<(), Failure> {
    if validator.name.as_str().is_empty() || validator.key.check().is_err() {
        return Err(Failure::ValidatorInvalid);
    }
    let check = validator.possession_check(chain, possession);
    let proven = check.key.verify(check.domain, &check.message, &check.signature);
    if proven { Ok(()) } else { Err(Failure::PossessionInvalid) }
}

/// Keeps a set whose members are sound and unique. `unfit` is why their number may not do.
fn store(
    session: &mut Session<'_, '_>,
    from: EpochNumber,
    members: Vec<Validator>,
    unfit: Failure,
) -> Result<(), Failure> {
    let members = Members::new(members).map_err(|_| unfit)?;
    session.overlay.put(&StateKey::Validators(from), &members);
    Ok(())
}
