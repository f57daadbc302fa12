//! Giving permissions and taking them back.
use quorate_primitives::address::AccountId;
use quorate_primitives::receipt::Failure;
use quorate_primitives::state::{Delegation, Grant, Permission, Scope, StateKey};
use quorate_primitives::transaction::Operation;
use quorate_primitives::{Amount, Timestamp};

use crate::world::*;

#[derive(Clone)]
struct Terms {
    grantee: AccountId,
    permission: Permission,
    scope: Scope,
    limit: Option<Amount>,
    expires: Option<Timestamp>,
    delegation: Delegation,
}

fn mint_gold(grantee: u8) -> Terms {
    Terms {
        grantee: id(grantee),
        permission: Permission::AssetMint,
        scope: Scope::Asset(asset("GOLD")),
        limit: None,
        expires: None,
        delegation: Delegation::Forbidden,
    }
}

fn give(terms: Terms) -> Operation {
    let Terms { grantee, permission, scope, limit, expires, delegation } = terms;
    Operation::Grant { grantee, permission, scope, limit, expires, delegation }
}

fn take(grantee: u8, permission: Permission, scope: Scope) -> Operation {
    Operation::Revoke { grantee: id(grantee), permission, scope }
}

fn mint(amount: u128) -> Operation {
    Operation::Mint { asset: asset("GOLD"), to: id(BOB), amount: units(amount) }
}

fn gold() -> Scope {
    Scope::Asset(asset("GOLD"))
}

#[test]
fn nobody_grants_what_they_do_not_hold() {
    let mut world = World::new();
    world.fail(ALICE, give(mint_gold(BOB)), Failure::PermissionMissing);
    world.succeed(ADMIN, give(mint_gold(ALICE)));
    // Held, but not to be passed on.
    world.fail(ALICE, give(mint_gold(BOB)), Failure::PermissionMissing);
}

#[test]
fn nobody_grants_more_than_they_hold() {
    let mut world = World::new();
    let end = START.saturating_add(3_600_000);
    let own = Terms {
        limit: Some(units(50)),
        expires: Some(end),
        delegation: Delegation::Allowed,
        ..mint_gold(ALICE)
    };
    world.succeed(ADMIN, give(own.clone()));
    let to_bob = Terms { grantee: id(BOB), ..own };
    for more in [
        Terms { limit: Some(units(51)), ..to_bob.clone() },
        Terms { limit: None, ..to_bob.clone() },
        Terms { expires: Some(end.next()), ..to_bob.clone() },
        Terms { expires: None, ..to_bob.clone() },
    ] {
        world.fail(ALICE, give(more), Failure::GrantExceeds);
    }
    // A wider scope is another permission, which she does not hold.
    world.fail(ALICE, give(Terms { scope: Scope::Chain, ..to_bob.clone() }), Failure::PermissionMissing);
    world.succeed(ALICE, give(to_bob));
    world.succeed(BOB, mint(50));
}

#[test]
fn managing_grants_replaces_the_right_to_delegate_and_nothing_else() {
    let mut world = World::new();
    world.succeed(ADMIN, grant_manage(ALICE, Scope::Chain, None));
    world.fail(ALICE, give(mint_gold(BOB)), Failure::GrantExceeds);
    world.succeed(ADMIN, give(mint_gold(ALICE)));
    world.fail(
        ALICE,
        give(Terms { delegation: Delegation::Allowed, ..mint_gold(BOB) }),
        Failure::GrantExceeds,
    );
    world.succeed(ALICE, give(mint_gold(BOB)));
}

fn grant_manage(grantee: u8, scope: Scope, expires: Option<Timestamp>) -> Operation {
    let (permission, limit, delegation) = (Permission::GrantManage, None, Delegation::Forbidden);
    give(Terms { grantee: id(grantee), permission, scope, limit, expires, delegation })
}

#[test]
fn an_organisation_covers_its_accounts_and_the_assets_they_issued() {
    let mut world = World::new();
    // The issuer of GOLD belongs to beta.
    let within = |name: &str| Terms { scope: Scope::Organisation(organisation(name)), ..mint_gold(ALICE) };
    world.succeed(ADMIN, give(within("alpha")));
    world.fail(ALICE, mint(1), Failure::PermissionMissing);
    world.succeed(ADMIN, give(within("beta")));
    world.succeed(ALICE, mint(1));
    let freeze = |scope| Terms {
        permission: Permission::AccountFreeze,
        scope,
        delegation: Delegation::Allowed,
        ..mint_gold(ALICE)
    };
    world.succeed(ADMIN, give(freeze(Scope::Organisation(organisation("beta")))));
    let of = |account| Terms { grantee: id(BOB), ..freeze(Scope::Account(id(account))) };
    world.succeed(ALICE, give(of(BOB)));
    world.fail(ALICE, give(of(ADMIN)), Failure::PermissionMissing);
}

#[test]
fn a_grant_ends_by_itself_after_its_time() {
    let mut world = World::new();
    let end = START.saturating_add(2 * STEP_MS);
    world.succeed(ADMIN, give(Terms { expires: Some(end), ..mint_gold(BOB) }));
    world.succeed(BOB, mint(1));
    world.fail(BOB, mint(1), Failure::PermissionMissing);
}

#[test]
fn grantee_and_scope_must_exist_and_be_open() {
    let mut world = World::new();
    let at = |scope| Terms { scope, ..mint_gold(BOB) };
    world.fail(ADMIN, give(mint_gold(NOBODY)), Failure::AccountUnknown);
    world.fail(ADMIN, give(mint_gold(CLOSED)), Failure::AccountClosed);
    world.fail(ADMIN, give(at(Scope::Asset(asset("NONE")))), Failure::AssetUnknown);
    world.fail(ADMIN, give(at(Scope::Asset(asset("OLD")))), Failure::AssetClosed);
    world.fail(ADMIN, give(at(Scope::Organisation(organisation("gamma")))), Failure::OrganisationUnknown);
    world.fail(ADMIN, give(at(Scope::Account(id(NOBODY)))), Failure::AccountUnknown);
}

#[test]
fn giver_holder_and_manager_take_a_grant_back_and_nobody_else() {
    let mut world = World::new();
    let revoke = || take(BOB, Permission::AssetMint, gold());
    world.succeed(ADMIN, give(Terms { delegation: Delegation::Allowed, ..mint_gold(ALICE) }));
    world.fail(ADMIN, revoke(), Failure::GrantUnknown);
    for taker in [ALICE, BOB, ADMIN] {
        world.succeed(ALICE, give(mint_gold(BOB)));
        world.fail(ISSUER, revoke(), Failure::PermissionMissing);
        world.succeed(taker, revoke());
        world.fail(BOB, mint(1), Failure::PermissionMissing);
    }
}

#[test]
fn replacing_a_grant_needs_the_right_to_take_it_back() {
    let mut world = World::new();
    world.succeed(ADMIN, give(mint_gold(BOB)));
    world.succeed(ADMIN, give(Terms { delegation: Delegation::Allowed, ..mint_gold(ALICE) }));
    // She could grant it, had Bob none; but she must not cut down what the administrator gave.
    let less = Terms { limit: Some(units(1)), ..mint_gold(BOB) };
    world.fail(ALICE, give(less), Failure::PermissionMissing);
    world.succeed(BOB, mint(10));
}

#[test]
fn narrowing_ones_own_grant_leaves_it_with_who_gave_it() {
    let mut world = World::new();
    let own = Terms { delegation: Delegation::Allowed, ..mint_gold(ALICE) };
    world.succeed(ADMIN, give(own.clone()));
    world.succeed(ALICE, give(Terms { limit: Some(units(5)), ..own }));
    let key = StateKey::Grant(id(ALICE), Permission::AssetMint, gold());
    let stored: Grant = world.ledger.head().state().get(&key).unwrap();
    assert_eq!((stored.granter, stored.limit), (id(ADMIN), Some(units(5))));
}

#[test]
fn the_last_administrator_cannot_be_removed() {
    let mut world = World::new();
    let revoke_admin = || take(ADMIN, Permission::GrantManage, Scope::Chain);
    world.fail(ADMIN, revoke_admin(), Failure::LastAdministrator);
    // Somebody whose right ends is no replacement, and neither is one with a narrower scope.
    world.succeed(ADMIN, grant_manage(ALICE, Scope::Chain, Some(START.saturating_add(3_600_000))));
    world.succeed(ADMIN, grant_manage(BOB, Scope::Organisation(organisation("alpha")), None));
    world.fail(ADMIN, revoke_admin(), Failure::LastAdministrator);
    world.fail(ADMIN, grant_manage(ADMIN, Scope::Chain, Some(START)), Failure::LastAdministrator);
    world.succeed(ADMIN, grant_manage(BOB, Scope::Chain, None));
    world.succeed(ADMIN, revoke_admin());
    world.fail(BOB, take(BOB, Permission::GrantManage, Scope::Chain), Failure::LastAdministrator);
    // The administrator of a narrower scope may go while somebody manages the wider one.
    world.succeed(BOB, take(BOB, Permission::GrantManage, Scope::Organisation(organisation("alpha"))));
}

#[test]
fn the_last_administrator_is_counted_within_a_transaction_too() {
    let mut world = World::new();
    let actions = vec![
        own(grant_manage(BOB, Scope::Chain, None)),
        own(take(ADMIN, Permission::GrantManage, Scope::Chain)),
        by(id(BOB), take(BOB, Permission::GrantManage, Scope::Chain)),
    ];
    let mut draft = world.draft(ADMIN).actions(actions);
    draft.keys.push(BOB);
    assert_eq!(world.run(draft).verdict, failed_at(Failure::LastAdministrator, 2));
    world.succeed(ADMIN, give(mint_gold(BOB)));
}
