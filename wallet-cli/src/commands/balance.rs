//! `balance`: what an account owns.
use quorate_primitives::Amount;
use quorate_primitives::state::{Account, Asset, AssetId, Balance, StateKey};
use quorate_rpc::backend::Proofs;
use quorate_rpc::client::Client;
use serde_json::{Value, json};

use crate::arguments::Settings;
use crate::explain::{trust_json, trust_line};
use crate::failure::{Exit, Failure};
use crate::output::Report;
use crate::session::Session;

pub(super) async fn show(settings: &Settings, typed: Option<&str>) -> Result<Report, Failure> {
    let mut session = Session::open(settings)?;
    let named = session.account(typed)?;
    let account = named.account;
    if settings.unverified {
        let question = async |client: &Client| client.balances(account, Proofs::Omit).await;
        let answer = session.nodes.ask(question).await?;
        return super::unverified(&session, &answer);
    }
    let proven = session.nodes.balances(account).await?;
    let assets: Vec<AssetId> = proven.balances.keys().copied().collect();
    if assets.is_empty() {
        let state = session.nodes.state(&[StateKey::Account(account)]).await?;
        if session.nodes.value::<Account>(&state, &StateKey::Account(account))?.is_none() {
            return Err(super::absent(&format!("account {}", named.shown(&session.network)), &state.ledger));
        }
    }
    let known = session.nodes.assets(&assets).await?;
    for (id, asset) in &known {
        session.nodes.check_labels(&proven, *id, asset)?;
        session.words.learn(*id, asset.clone());
    }
    let mut text = format!("{}\n", named.shown(&session.network));
    let mut rows = Vec::new();
    for (id, balance) in &proven.balances {
        let asset = known.iter().find(|(known, _)| known == id).map(|(_, asset)| asset);
        let asset = asset
            .ok_or_else(|| Failure::new(Exit::Internal, format_args!("no asset for balance of {id}")))?;
        text.push_str(&line(asset, balance));
        rows.push(row(&session, *id, balance));
    }
    if rows.is_empty() {
        text.push_str("  nothing\n");
    }
    text.push_str(&trust_line(&proven.ledger));
    let fields = json!({
        "account": account.to_string(),
        "address": session.network.address(account),
        "name": named.name,
        "balances": rows,
        "verified": trust_json(&proven.ledger),
    });
    Ok(Report::new(text, fields).with_rows("balances"))
}

fn line(asset: &Asset, balance: &Balance) -> String {
    let amount = |amount: Amount| amount.to_decimal(asset.decimals);
    let mut line = format!("  {} {}", amount(balance.posted), asset.symbol);
    if balance.available() != balance.posted {
        let (held, frozen) = (amount(balance.held), amount(balance.frozen));
        line.push_str(&format!(" (available {}, held {held}, frozen {frozen})", amount(balance.available())));
    }
    line + "\n"
}

fn row(session: &Session<'_>, id: AssetId, balance: &Balance) -> Value {
    let mut row = session.words.amount_json(id, balance.posted);
    for (name, part) in
        [("available", balance.available()), ("held", balance.held), ("frozen", balance.frozen)]
    {
        row[name] = session.words.amount_json(id, part)["amount"].take();
    }
    row
}
