//! `send`: pay, exactly once.
use quorate_primitives::Amount;
use quorate_primitives::receipt::Failure as Refusal;
use quorate_primitives::state::{Account, Asset, AssetId, Balance, Parameters, StateKey};
use quorate_primitives::transaction::{Operation, Quantity};

use crate::arguments::{SendArguments, Settings};
use crate::failure::Failure;
use crate::output::Report;
use crate::sending::Outgoing;
use crate::session::Session;

pub(super) async fn send(settings: &Settings, arguments: &SendArguments) -> Result<Report, Failure> {
    let mut session = Session::open(settings)?;
    let outgoing = Outgoing::begin(&session, &arguments.sending)?;
    let sender = outgoing.signers().account();
    let to = session.account(Some(&arguments.to))?;
    if to.account == sender {
        return Err(Failure::usage(format_args!("{} is the sender itself", to.shown(&session.network))));
    }
    let symbol = match (&arguments.amount.symbol, &arguments.asset) {
        (Some(in_amount), Some(flag)) if in_amount != flag => {
            let amount = &arguments.amount;
            return Err(Failure::usage(format_args!("--asset: the amount {amount} is not of {flag}")));
        }
        (Some(symbol), _) | (None, Some(symbol)) => symbol,
        (None, None) => {
            let number = &arguments.amount.number;
            return Err(Failure::usage(format_args!(
                "amount {number}: of which asset? write {number}USD or give --asset"
            )));
        }
    };
    let asset_id = AssetId::derive(symbol);
    let keys = [
        StateKey::Parameters,
        StateKey::Account(sender),
        StateKey::Account(to.account),
        StateKey::Asset(asset_id),
        StateKey::Balance(sender, asset_id),
    ];
    let state = session.nodes.state(&keys).await?;
    let parameters = super::present::<Parameters>(&session, &state, &keys[0], "the parameters")?;
    let asset = super::present::<Asset>(&session, &state, &keys[3], &format!("asset {symbol}"))?;
    let amount = super::amount(&arguments.amount, &asset)?;
    session.words.learn(asset_id, asset.clone());
    if outgoing.is_new() {
        super::check_sender(&session, &state, &keys[1], outgoing.signers())?;
        super::present::<Account>(
            &session,
            &state,
            &keys[2],
            &format!("account {}", to.shown(&session.network)),
        )?;
        let balance = session.nodes.value::<Balance>(&state, &keys[4])?.unwrap_or_default();
        check_funds(&asset, amount, balance)?;
    }
    let operation = Operation::Transfer {
        asset: asset_id,
        to: to.account,
        quantity: Quantity::Exact(amount),
        tag: to.tag,
    };
    outgoing.send(&mut session, &parameters, operation).await
}

fn check_funds(asset: &Asset, amount: Amount, balance: Balance) -> Result<(), Failure> {
    if balance.available() >= amount {
        return Ok(());
    }
    let shown = |amount: Amount| format!("{} {}", amount.to_decimal(asset.decimals), asset.symbol);
    let what = format!("{} of {} needed", shown(balance.available()), shown(amount));
    Err(super::rejected(Refusal::InsufficientFunds, &what))
}
