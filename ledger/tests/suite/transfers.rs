//! Transfers, and the conditions of a transaction.
use quorate_primitives::Height;
use quorate_primitives::codec::List;
use quorate_primitives::receipt::{BalanceAfter, Event, Failure, Verdict};
use quorate_primitives::state::{AssetId, Balance};
use quorate_primitives::transaction::{Assert, Operation, Output, Quantity};

use crate::world::*;

fn all(symbol: &str, to: u8) -> Operation {
    Operation::Transfer { asset: asset(symbol), to: id(to), quantity: Quantity::All, tag: None }
}

fn many(symbol: &str, payments: &[(u8, u128)]) -> Operation {
    let output =
        |(to, amount): &(u8, u128)| Output { to: id(*to), amount: units(*amount), tag: Some([*to; 8]) };
    Operation::TransferMany {
        asset: asset(symbol),
        outputs: List::new(payments.iter().map(output).collect()).unwrap(),
    }
}

#[test]
fn a_transfer_moves_units_and_its_receipt_says_so() {
    let mut world = World::new();
    let receipt = world.succeed(ALICE, transfer("GOLD", id(BOB), 30));
    assert_eq!((world.balance(id(ALICE), "GOLD"), world.balance(id(BOB), "GOLD")), (970, 30));
    let event = Event::Transferred {
        asset: asset("GOLD"),
        from: id(ALICE),
        to: id(BOB),
        amount: units(30),
        tag: None,
    };
    assert_eq!(receipt.events.to_vec(), vec![event]);
    let after = |number, posted| BalanceAfter {
        account: id(number),
        asset: asset("GOLD"),
        balance: Balance { posted: units(posted), ..Balance::default() },
    };
    let mut expected = vec![after(ALICE, 970), after(BOB, 30)];
    expected.sort_by_key(|after| after.account);
    assert_eq!(receipt.balances.to_vec(), expected);
}

#[test]
fn a_transfer_of_all_leaves_no_balance_behind() {
    let mut world = World::new();
    world.succeed(ALICE, all("GOLD", BOB));
    assert_eq!((world.balance(id(ALICE), "GOLD"), world.balance(id(BOB), "GOLD")), (0, 1_000));
    let key = quorate_primitives::state::StateKey::Balance(id(ALICE), asset("GOLD"));
    assert_eq!(world.ledger.head().state().bytes(&key), None);
}

#[test]
fn nothing_is_not_an_amount() {
    let mut world = World::new();
    world.fail(ALICE, transfer("GOLD", id(BOB), 0), Failure::AmountZero);
    world.fail(BOB, all("GOLD", ALICE), Failure::AmountZero);
    world.fail(ALICE, many("GOLD", &[(BOB, 1), (ADMIN, 0)]), Failure::AmountZero);
}

#[test]
fn nobody_spends_more_than_is_available() {
    let mut world = World::new();
    world.fail(ALICE, transfer("GOLD", id(BOB), 1_001), Failure::InsufficientFunds);
    world.fail(BOB, transfer("GOLD", id(ALICE), 1), Failure::InsufficientFunds);
    world.fail(ALICE, many("GOLD", &[(BOB, 600), (ADMIN, 401)]), Failure::InsufficientFunds);
    world.fail(ALICE, many("GOLD", &[(BOB, u128::MAX), (ADMIN, 2)]), Failure::InsufficientFunds);
    assert_eq!(world.balance(id(ALICE), "GOLD"), 1_000);
}

#[test]
fn a_transfer_to_many_is_one_debit_and_every_payment() {
    let mut world = World::new();
    let receipt = world.succeed(ALICE, many("GOLD", &[(BOB, 600), (ADMIN, 399), (BOB, 1)]));
    assert_eq!((world.balance(id(BOB), "GOLD"), world.balance(id(ADMIN), "GOLD")), (601, 399));
    assert_eq!((receipt.events.len(), receipt.balances.len()), (3, 3));
}

#[test]
fn a_transfer_needs_a_receiver_that_is_another_open_account() {
    let mut world = World::new();
    world.fail(ALICE, transfer("GOLD", id(ALICE), 1), Failure::SelfTransfer);
    world.fail(ALICE, transfer("GOLD", id(NOBODY), 1), Failure::AccountUnknown);
    world.fail(ALICE, transfer("GOLD", id(CLOSED), 1), Failure::AccountClosed);
    world.fail(ALICE, many("GOLD", &[(BOB, 1), (ALICE, 1)]), Failure::SelfTransfer);
    world.fail(ALICE, many("GOLD", &[(BOB, 1), (CLOSED, 1)]), Failure::AccountClosed);
}

#[test]
fn a_transfer_needs_an_asset_that_lets_units_move() {
    let mut world = World::new();
    world.fail(ALICE, transfer("NONE", id(BOB), 1), Failure::AssetUnknown);
    world.fail(ALICE, transfer("OLD", id(BOB), 1), Failure::AssetClosed);
    world.fail(ALICE, transfer("COSIGN", id(BOB), 1), Failure::Unsupported);
    world.fail(ALICE, many("COSIGN", &[(BOB, 1)]), Failure::Unsupported);
}

#[test]
fn an_asset_that_requires_a_memo_moves_only_with_one() {
    let mut world = World::new();
    world.fail(ALICE, transfer("MEMO", id(BOB), 1), Failure::MemoRequired);
    let draft = world.draft(ALICE).actions(vec![own(transfer("MEMO", id(BOB), 1))]).memo();
    assert_eq!(world.run(draft).verdict, Verdict::Committed);
}

#[test]
fn actions_succeed_together_or_not_at_all() {
    let mut world = World::new();
    let actions = vec![own(transfer("GOLD", id(BOB), 10)), own(transfer("GOLD", id(BOB), 991))];
    let draft = world.draft(ALICE).actions(actions);
    assert_eq!(world.run(draft).verdict, failed_at(Failure::InsufficientFunds, 1));
    assert_eq!((world.balance(id(ALICE), "GOLD"), world.balance(id(BOB), "GOLD")), (1_000, 0));
}

#[test]
fn two_parties_deliver_against_payment_in_one_transaction() {
    let mut world = World::new();
    world.succeed(ALICE, transfer("FIXED", id(BOB), 5));
    let actions = vec![own(transfer("GOLD", id(BOB), 10)), by(id(BOB), transfer("FIXED", id(ALICE), 5))];
    let mut draft = world.draft(ALICE).actions(actions.clone());
    draft.keys.push(BOB);
    assert_eq!(world.run(draft).verdict, Verdict::Committed);
    let without_bob = world.draft(ALICE).actions(actions);
    assert_eq!(world.run(without_bob).verdict, failed_at(Failure::Unauthorised, 1));
    assert_eq!((world.balance(id(ALICE), "FIXED"), world.balance(id(BOB), "GOLD")), (1_000, 10));
}

#[test]
fn every_actor_must_exist_and_be_open() {
    let mut world = World::new();
    for (actor, failure) in [(NOBODY, Failure::AccountUnknown), (CLOSED, Failure::AccountClosed)] {
        let actions = vec![own(transfer("GOLD", id(BOB), 1)), by(id(actor), transfer("GOLD", id(BOB), 1))];
        let mut draft = world.draft(ALICE).actions(actions);
        draft.keys.push(actor);
        assert_eq!(world.run(draft).verdict, failed_at(failure, 1));
    }
}

#[test]
fn a_balance_cannot_pass_the_largest_amount() {
    // No chain of valid blocks leads here: the supply of an asset bounds its balances.
    let mut genesis = genesis();
    genesis.balances.push((id(BOB), asset("GOLD"), units(u128::MAX)));
    let memory = std::sync::Arc::new(quorate_ledger::store::Memory::new());
    let mut world = World::with(genesis, memory);
    let head = world.ledger.head().clone();
    let draft = world.draft(ALICE).actions(vec![own(transfer("GOLD", id(BOB), 1))]);
    let bundles = bundles(vec![vec![draft.sign()]]);
    let header = child(&head, head.time().saturating_add(1), &bundles);
    let executed = world.ledger.execute(&head, &header, &bundles);
    assert_eq!(executed.receipts()[0].verdict, failed_at(Failure::BalanceOverflow, 0));
}

fn with_assert(world: &mut World, assert: Assert) -> Verdict {
    let draft = world.draft(ALICE).actions(vec![own(transfer("GOLD", id(BOB), 1))]).asserts(vec![assert]);
    world.run(draft).verdict
}

#[test]
fn conditions_on_balances_hold_before_the_actions() {
    let mut world = World::new();
    let gold: AssetId = asset("GOLD");
    let least = |amount| Assert::BalanceAtLeast { account: id(ALICE), asset: gold, amount: units(amount) };
    let most = |amount| Assert::BalanceAtMost { account: id(BOB), asset: gold, amount: units(amount) };
    assert_eq!(with_assert(&mut world, least(1_000)), Verdict::Committed);
    assert_eq!(with_assert(&mut world, least(1_000)), failed(Failure::AssertFailed));
    assert_eq!(with_assert(&mut world, most(1)), Verdict::Committed);
    assert_eq!(with_assert(&mut world, most(1)), failed(Failure::AssertFailed));
}

#[test]
fn conditions_on_height_and_authority_hold_exactly() {
    let mut world = World::new();
    let version = |account, version| Assert::AuthorityVersion { account, version };
    assert_eq!(with_assert(&mut world, version(id(BOB), 0)), Verdict::Committed);
    assert_eq!(with_assert(&mut world, version(id(BOB), 1)), failed(Failure::AssertFailed));
    assert_eq!(with_assert(&mut world, version(id(NOBODY), 0)), failed(Failure::AssertFailed));
    let until = |height: u64| Assert::HeightAtMost { height: Height::new(height) };
    assert_eq!(with_assert(&mut world, until(4)), Verdict::Committed);
    assert_eq!(with_assert(&mut world, until(4)), failed(Failure::AssertFailed));
}
