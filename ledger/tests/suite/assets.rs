//! Creating assets and units.
use quorate_primitives::codec::Text;
use quorate_primitives::receipt::{Event, Failure};
use quorate_primitives::state::{
    Asset, AssetId, Capabilities, Delegation, Grant, Permission, Scope, StateKey, Symbol,
};
use quorate_primitives::transaction::Operation;

use crate::world::*;

fn create(symbol: &str, decimals: u8, capabilities: Capabilities) -> Operation {
    let (symbol, name) = (Symbol::new(symbol).unwrap(), Text::new("New").unwrap());
    Operation::AssetCreate { symbol, name, decimals, cap: units(100), capabilities }
}

fn mint(symbol: &str, to: u8, amount: u128) -> Operation {
    Operation::Mint { asset: asset(symbol), to: id(to), amount: units(amount) }
}

fn burn(symbol: &str, from: u8, amount: u128) -> Operation {
    Operation::Burn { asset: asset(symbol), from: id(from), amount: units(amount) }
}

fn grant_of(world: &World, account: u8, permission: Permission, asset: AssetId) -> Option<Grant> {
    world.ledger.head().state().get(&StateKey::Grant(id(account), permission, Scope::Asset(asset)))
}

#[test]
fn the_creator_of_a_mintable_asset_may_describe_and_mint_it() {
    let mut world = World::new();
    let receipt = world.succeed(ADMIN, create("NEW", 18, Capabilities::MINTABLE));
    let new = asset("NEW");
    let granted = |permission| Event::Granted {
        grantee: id(ADMIN),
        permission,
        scope: Scope::Asset(new),
        granter: id(ADMIN),
    };
    let created = Event::AssetCreated { asset: new, issuer: id(ADMIN) };
    let expected = vec![created, granted(Permission::AssetAdmin), granted(Permission::AssetMint)];
    assert_eq!(receipt.events.to_vec(), expected);
    let grant = Grant { limit: None, expires: None, delegation: Delegation::Allowed, granter: id(ADMIN) };
    assert_eq!(grant_of(&world, ADMIN, Permission::AssetMint, new), Some(grant));
    world.succeed(ADMIN, mint("NEW", BOB, 100));
    assert_eq!((world.supply("NEW"), world.balance(id(BOB), "NEW")), (100, 100));
}

#[test]
fn the_creator_of_another_asset_may_not_mint_it() {
    let mut world = World::new();
    world.succeed(ADMIN, create("NEW", 0, Capabilities::FREEZABLE));
    assert_eq!(grant_of(&world, ADMIN, Permission::AssetMint, asset("NEW")), None);
    world.fail(ADMIN, mint("NEW", BOB, 1), Failure::CapabilityMissing);
}

#[test]
fn a_symbol_is_taken_once_and_an_asset_is_as_the_rules_want_it() {
    let mut world = World::new();
    world.fail(ADMIN, create("GOLD", 2, Capabilities::NONE), Failure::AssetExists);
    world.fail(ADMIN, create("OLD", 2, Capabilities::NONE), Failure::AssetExists);
    world.fail(ADMIN, create("NEW", 19, Capabilities::NONE), Failure::DecimalsInvalid);
    world.fail(ADMIN, create("NEW", 2, Capabilities::COSIGNER_REQUIRED), Failure::Unsupported);
    world.fail(ALICE, create("NEW", 2, Capabilities::NONE), Failure::PermissionMissing);
}

#[test]
fn only_the_administrator_of_an_asset_describes_it() {
    let mut world = World::new();
    let update = |symbol| Operation::AssetUpdate {
        asset: asset(symbol),
        name: Text::new("Gold").unwrap(),
        url: Text::new("https://example.org").unwrap(),
        document: None,
    };
    world.fail(ALICE, update("GOLD"), Failure::PermissionMissing);
    world.fail(ADMIN, update("NONE"), Failure::AssetUnknown);
    world.fail(ADMIN, update("OLD"), Failure::AssetClosed);
    world.succeed(ADMIN, update("GOLD"));
    let record: Asset = world.ledger.head().state().get(&StateKey::Asset(asset("GOLD"))).unwrap();
    assert_eq!((record.name.as_str(), record.supply), ("Gold", units(1_000)));
}

#[test]
fn units_are_created_with_permission_and_never_above_the_cap() {
    let mut world = World::new();
    world.fail(ALICE, mint("GOLD", BOB, 1), Failure::PermissionMissing);
    world.fail(ADMIN, mint("GOLD", BOB, 999_001), Failure::CapExceeded);
    world.fail(ADMIN, mint("GOLD", BOB, u128::MAX), Failure::CapExceeded);
    world.fail(ADMIN, mint("GOLD", BOB, 0), Failure::AmountZero);
    world.fail(ADMIN, mint("GOLD", NOBODY, 1), Failure::AccountUnknown);
    world.fail(ADMIN, mint("GOLD", CLOSED, 1), Failure::AccountClosed);
    world.fail(ADMIN, mint("NONE", BOB, 1), Failure::AssetUnknown);
    world.fail(ADMIN, mint("OLD", BOB, 1), Failure::AssetClosed);
    world.succeed(ADMIN, mint("GOLD", BOB, 999_000));
    assert_eq!((world.supply("GOLD"), world.balance(id(BOB), "GOLD")), (1_000_000, 999_000));
}

#[test]
fn everybody_destroys_their_own_units_and_others_only_with_permission() {
    let mut world = World::new();
    world.fail(BOB, burn("GOLD", ALICE, 1), Failure::PermissionMissing);
    world.fail(ALICE, burn("GOLD", ALICE, 1_001), Failure::InsufficientFunds);
    world.fail(ALICE, burn("GOLD", ALICE, 0), Failure::AmountZero);
    world.fail(ADMIN, burn("GOLD", CLOSED, 1), Failure::AccountClosed);
    world.succeed(ALICE, burn("GOLD", ALICE, 1));
    world.succeed(ADMIN, burn("GOLD", ALICE, 9));
    assert_eq!((world.supply("GOLD"), world.balance(id(ALICE), "GOLD")), (990, 990));
}

#[test]
fn a_limit_bounds_every_single_use() {
    let mut world = World::new();
    let operation = Operation::Grant {
        grantee: id(BOB),
        permission: Permission::AssetMint,
        scope: Scope::Asset(asset("GOLD")),
        limit: Some(units(50)),
        expires: None,
        delegation: Delegation::Forbidden,
    };
    world.succeed(ADMIN, operation);
    world.fail(BOB, mint("GOLD", BOB, 51), Failure::PermissionLimit);
    world.succeed(BOB, mint("GOLD", BOB, 50));
    world.succeed(BOB, mint("GOLD", BOB, 50));
}

#[test]
fn assets_are_listed_in_order_of_their_ids_page_by_page() {
    let mut world = World::new();
    world.succeed(ADMIN, create("NEW", 0, Capabilities::NONE));
    let state = world.ledger.head().state();
    let all: Vec<AssetId> = state.assets(None).map(|(id, _)| id).collect();
    let mut expected: Vec<AssetId> = ["GOLD", "FIXED", "MEMO", "COSIGN", "OLD", "NEW"].map(asset).to_vec();
    expected.sort_unstable();
    assert_eq!(all, expected);
    let mut paged = Vec::new();
    while let Some((id, _)) = state.assets(paged.last().copied()).next() {
        paged.push(id);
    }
    assert_eq!(paged, expected);
}
