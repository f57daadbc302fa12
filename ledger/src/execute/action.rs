//! From an operation to the rule that carries it out.
use quorate_primitives::Amount;
use quorate_primitives::address::AccountId;
use quorate_primitives::receipt::Failure;
use quorate_primitives::state::{Asset, Grant, Status};
use quorate_primitives::transaction::Operation;

use super::permission::{self, Right};
use super::session::Session;
use super::{account, asset, governance, transfer};

/// Carries out one action of an account that authorised it.
pub(crate) fn act(
    session: &mut Session<'_, '_>,
    actor: AccountId,
    operation: &Operation,
) -> Result<(), Failure> {
    match operation {
        Operation::AccountCreate { organisation, authority, salt, label } => {
            account::create(session, actor, account::New { organisation, authority, salt, label })
        }
        Operation::AuthoritySet { authority } => account::set_authority(session, actor, authority),
        Operation::AssetCreate { symbol, name, decimals, cap, capabilities } => {
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
            asset::create(session, actor, &new)
        }
        Operation::AssetUpdate { asset, name, url, document } => {
            asset::update(session, actor, asset, asset::Description { name, url, document: *document })
        }
        Operation::Mint { asset, to, amount } => asset::mint(session, actor, (asset, to), *amount),
        Operation::Burn { asset, from, amount } => asset::burn(session, actor, (asset, from), *amount),
        Operation::Transfer { asset, to, quantity, tag } => transfer::one(
            session,
            actor,
            asset,
            transfer::Payment { to: *to, quantity: *quantity, tag: *tag },
        ),
        Operation::TransferMany { asset, outputs } => transfer::many(session, actor, asset, outputs),
        Operation::Grant { grantee, permission, scope, limit, expires, delegation } => {
            let right = Right { grantee: *grantee, permission: *permission, scope: scope.clone() };
            let grant = Grant { limit: *limit, expires: *expires, delegation: *delegation, granter: actor };
            permission::grant(session, actor, right, grant)
        }
        Operation::Revoke { grantee, permission, scope } => {
            let right = Right { grantee: *grantee, permission: *permission, scope: scope.clone() };
            permission::revoke(session, actor, right)
        }
        Operation::ValidatorAdd { validator, possession } => {
            governance::add(session, actor, validator, *possession)
        }
        Operation::ValidatorRemove { name } => governance::remove(session, actor, name),
        Operation::ValidatorRotateKey { name, key, possession } => {
            governance::rotate_key(session, actor, (name, *key), *possession)
        }
    }
}
