//! Opening accounts and replacing who may act for them.
use quorate_primitives::PublicKey;
use quorate_primitives::codec::{List, Text};
use quorate_primitives::receipt::{Event, Failure, Verdict};
use quorate_primitives::state::{Account, Authority, StateKey, WeightedKey};
use quorate_primitives::transaction::Operation;

use crate::world::*;

fn create(name: &str, authority: Authority) -> Operation {
    Operation::AccountCreate {
        organisation: organisation(name),
        authority,
        salt: [0; 16],
        label: Text::default(),
    }
}

fn set(authority: Authority) -> Operation {
    Operation::AuthoritySet { authority }
}

#[test]
fn an_account_has_the_id_that_follows_from_its_first_authority() {
    let mut world = World::new();
    let receipt = world.succeed(ADMIN, create("beta", authority(1, &[NOBODY], 0)));
    let event = Event::AccountCreated { account: id(NOBODY), organisation: organisation("beta") };
    assert_eq!(receipt.events.to_vec(), vec![event]);
    world.succeed(ALICE, transfer("GOLD", id(NOBODY), 1));
    world.succeed(NOBODY, transfer("GOLD", id(ALICE), 1));
}

#[test]
fn an_account_is_opened_once_and_stays_even_when_closed() {
    let mut world = World::new();
    world.fail(ADMIN, create("beta", authority(1, &[ALICE], 0)), Failure::AccountExists);
    world.fail(ADMIN, create("beta", authority(1, &[CLOSED], 0)), Failure::AccountExists);
}

#[test]
fn an_account_needs_an_organisation_and_permission_there() {
    let mut world = World::new();
    world.fail(ADMIN, create("gamma", authority(1, &[NOBODY], 0)), Failure::OrganisationUnknown);
    world.fail(ALICE, create("alpha", authority(1, &[NOBODY], 0)), Failure::PermissionMissing);
}

#[test]
fn an_authority_that_nobody_could_use_or_anybody_could_is_refused() {
    let weighted = |key, weight| WeightedKey { key, weight };
    let one = key(NOBODY).public_key();
    let of = |threshold, keys, version| Authority { threshold, keys: List::new(keys).unwrap(), version };
    // The point of order one: every signature with R = [s]B is valid under it.
    let mut small_order = [0; 32];
    small_order[0] = 1;
    let wrong = [
        of(0, vec![weighted(one, 1)], 0),
        of(2, vec![weighted(one, 1)], 0),
        of(1, vec![weighted(one, 0)], 0),
        of(1, vec![weighted(one, 1), weighted(one, 1)], 0),
        of(1, vec![weighted(PublicKey::from_bytes(small_order), 1)], 0),
        of(1, vec![weighted(one, 1)], 1),
    ];
    let mut world = World::new();
    for authority in wrong {
        world.fail(ADMIN, create("beta", authority), Failure::AuthorityInvalid);
    }
}

#[test]
fn a_new_authority_replaces_the_old_one_at_once() {
    let mut world = World::new();
    let receipt = world.succeed(ALICE, set(authority(1, &[20], 1)));
    assert_eq!(receipt.events.to_vec(), vec![Event::AuthoritySet { account: id(ALICE), version: 1 }]);
    let old = world.draft(ALICE).actions(vec![own(transfer("GOLD", id(BOB), 1))]);
    assert_eq!(world.run(old).verdict, failed(Failure::Unauthorised));
    let mut new = world.draft(ALICE).actions(vec![own(transfer("GOLD", id(BOB), 1))]);
    new.keys = vec![20];
    assert_eq!(world.run(new).verdict, Verdict::Committed);
}

#[test]
fn a_new_authority_counts_its_version_up_by_one() {
    let mut world = World::new();
    for version in [0, 2, u32::MAX] {
        world.fail(ALICE, set(authority(1, &[20], version)), Failure::AuthorityInvalid);
    }
    world.fail(ALICE, set(authority(2, &[20], 1)), Failure::AuthorityInvalid);
    let key = StateKey::Account(id(ALICE));
    assert_eq!(
        world.ledger.head().state().get::<Account>(&key).unwrap().authority,
        authority(1, &[ALICE], 0)
    );
}

#[test]
fn a_shared_account_needs_its_threshold_and_ignores_other_keys() {
    let mut world = World::new();
    world.succeed(ALICE, transfer("GOLD", shared(), 10));
    for (keys, expected) in [
        (vec![7], failed(Failure::Unauthorised)),
        (vec![7, ALICE], failed(Failure::Unauthorised)),
        (vec![7, 9], Verdict::Committed),
        (vec![7, 8, 9, BOB], Verdict::Committed),
    ] {
        let mut draft = world.draft(SHARED).actions(vec![own(transfer("GOLD", id(BOB), 1))]);
        draft.envelope.sender = shared();
        draft.keys = keys;
        assert_eq!(world.run(draft).verdict, expected);
    }
}

#[test]
fn a_sender_that_does_not_exist_or_is_closed_does_nothing() {
    let mut world = World::new();
    for (sender, failure) in [(NOBODY, Failure::AccountUnknown), (CLOSED, Failure::AccountClosed)] {
        let draft = world.draft(sender).actions(vec![own(transfer("GOLD", id(BOB), 1))]);
        assert_eq!(world.run(draft).verdict, failed(failure));
    }
}
