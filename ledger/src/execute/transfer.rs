//! Moving units between accounts.
use quorate_primitives::Amount;
use quorate_primitives::address::{AccountId, DepositTag};
use quorate_primitives::receipt::{Event, Failure};
use quorate_primitives::state::{AssetId, Capabilities};
use quorate_primitives::transaction::{Output, Quantity};
use quorate_primitives::zoo::{self, Bug};

use super::session::{Session, check_amount};

/// One payment.
pub(crate) struct Payment {
    pub(crate) to: AccountId,
    pub(crate) quantity: Quantity,
    pub(crate) tag: Option<DepositTag>,
}

/// Moves units to one account. `All` of nothing is zero, and refused as such.
pub(crate) fn one(
    session: &mut Session<'_, '_>,
    from: AccountId,
    asset: &AssetId,
    payment: Payment,
) -> Result<(), Failure> {
    check_movable(session, asset)?;
    let amount = match payment.quantity {
        Quantity::Exact(amount) => amount,
        Quantity::All => session.balance(&from, asset).available(),
    };
    check_payment(session, &from, &payment.to, amount)?;
    session.debit(&from, asset, amount)?;
    pay(session, from, asset, &Output { to: payment.to, amount, tag: payment.tag })
}

/// Moves units to many accounts: one debit of the sum, then the payments in order.
pub(crate) fn many(
    session: &mut Session<'_, '_>,
    from: AccountId,
    asset: &AssetId,
    outputs: &[Output],
) -> Result<(), Failure> {
    check_movable(session, asset)?;
    for output in outputs {
        check_payment(session, &from, &output.to, output.amount)?;
    }
    // Nobody has more than the largest amount.
    let sum = outputs.iter().map(|output| output.amount).try_fold(Amount::ZERO, Amount::checked_add);
    if !zoo::has(Bug::MoneyFromNothing) {
        session.debit(&from, asset, sum.ok_or(Failure::InsufficientFunds)?)?;
    }
    outputs.iter().try_for_each(|output| pay(session, from, asset, output))
}

fn pay(
    session: &mut Session<'_, '_>,
    from: AccountId,
    asset: &AssetId,
    output: &Output,
) -> Result<(), Failure> {
    let Output { to, amount, tag } = *output;
    session.credit(&to, asset, amount)?;
    session.emit(Event::Transferred { asset: *asset, from, to, amount, tag })
}

/// Whether the asset's rules let units move at all in this transaction.
fn check_movable(session: &mut Session<'_, '_>, asset: &AssetId) -> Result<(), Failure> {
    let asset = session.asset(asset)?;
    if asset.capabilities.contains(Capabilities::COSIGNER_REQUIRED) {
        return Err(Failure::Unsupported);
    }
    if asset.capabilities.contains(Capabilities::MEMO_REQUIRED) && !session.has_memo {
        return Err(Failure::MemoRequired);
    }
    Ok(())
}

fn check_payment(
    session: &mut Session<'_, '_>,
    from: &AccountId,
    to: &AccountId,
    amount: Amount,
) -> Result<(), Failure> {
    check_amount(amount)?;
    if from == to {
        return Err(Failure::SelfTransfer);
    }
    session.account(to).map(drop)
}
