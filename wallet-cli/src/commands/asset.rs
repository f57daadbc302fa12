//! `asset`: create, change and show assets.
use quorate_primitives::light::Finalized;
use quorate_primitives::receipt::Failure as Refusal;
use quorate_primitives::state::{Asset, AssetId, Parameters, StateKey, Status, Symbol};
use quorate_primitives::transaction::Operation;
use quorate_rpc::api::PAGE_ROWS_MAX;
use quorate_rpc::backend::Proofs;
use quorate_rpc::client::Client;
use quorate_rpc::json as shown;
use serde_json::{Value, json};

use crate::arguments::{AssetCommand, Sending, Settings, cap};
use crate::explain::{trust_json, trust_line};
use crate::failure::Failure;
use crate::output::{Report, table};
use crate::sending::Outgoing;
use crate::session::Session;
use crate::signers::Signers;
use crate::typed::TypedAmount;

pub(super) async fn execute(settings: &Settings, command: AssetCommand) -> Result<Report, Failure> {
    let mut session = Session::open(settings)?;
    match command {
        AssetCommand::Create { symbol, name, decimals, cap: typed, capabilities, sending } => {
            let cap = cap(typed.as_deref(), decimals)
                .map_err(|error| Failure::usage(format_args!("--cap: {error}")))?;
            let capabilities = capabilities.into_iter().fold(Default::default(), |all, one| one.with(all));
            let operation =
                Operation::AssetCreate { symbol: symbol.clone(), name, decimals, cap, capabilities };
            create(&mut session, &symbol, &sending, operation).await
        }
        AssetCommand::Mint { amount, to, sending } => {
            let to = session.whole_account("--to", &to)?;
            change(&mut session, &amount, &sending, |asset, units| Operation::Mint {
                asset,
                to,
                amount: units,
            })
            .await
        }
        AssetCommand::Burn { amount, of, sending } => {
            let from = match of {
                Some(typed) => session.whole_account("--of", &typed)?,
                None => Signers::find(&session, &sending)?.account(),
            };
            change(&mut session, &amount, &sending, |asset, units| Operation::Burn {
                asset,
                from,
                amount: units,
            })
            .await
        }
        AssetCommand::Show { symbol } => show(&mut session, &symbol).await,
        AssetCommand::List => list(&mut session).await,
    }
}

async fn create(
    session: &mut Session<'_>,
    symbol: &Symbol,
    sending: &Sending,
    operation: Operation,
) -> Result<Report, Failure> {
    let outgoing = Outgoing::begin(session, sending)?;
    let id = AssetId::derive(symbol);
    let keys = [StateKey::Parameters, StateKey::Account(outgoing.signers().account()), StateKey::Asset(id)];
    let state = session.nodes.state(&keys).await?;
    let parameters = super::present::<Parameters>(session, &state, &keys[0], "the parameters")?;
    if outgoing.is_new() {
        super::check_sender(session, &state, &keys[1], outgoing.signers())?;
        if session.nodes.value::<Asset>(&state, &keys[2])?.is_some() {
            return Err(super::rejected(Refusal::AssetExists, symbol.as_str()));
        }
    }
    outgoing.send(session, &parameters, operation).await
}

/// Mints or burns: both need only the proven asset.
async fn change(
    session: &mut Session<'_>,
    typed: &TypedAmount,
    sending: &Sending,
    operation: impl FnOnce(AssetId, quorate_primitives::Amount) -> Operation,
) -> Result<Report, Failure> {
    let outgoing = Outgoing::begin(session, sending)?;
    let wrong = || Failure::usage(format_args!("amount {typed}: of which asset? write {}USD", typed.number));
    let symbol = typed.symbol.as_ref().ok_or_else(wrong)?;
    let id = AssetId::derive(symbol);
    let keys = [StateKey::Parameters, StateKey::Asset(id), StateKey::Account(outgoing.signers().account())];
    let state = session.nodes.state(&keys).await?;
    let parameters = super::present::<Parameters>(session, &state, &keys[0], "the parameters")?;
    if outgoing.is_new() {
        super::check_sender(session, &state, &keys[2], outgoing.signers())?;
    }
    let asset = super::present::<Asset>(session, &state, &keys[1], &format!("asset {symbol}"))?;
    let units = super::amount(typed, &asset)?;
    session.words.learn(id, asset);
    outgoing.send(session, &parameters, operation(id, units)).await
}

fn status(asset: &Asset) -> &'static str {
    match asset.status {
        Status::Active => "active",
        Status::Closed => "closed",
    }
}

fn text(session: &Session<'_>, id: AssetId, asset: &Asset, ledger: &Finalized) -> String {
    let amount = |amount: quorate_primitives::Amount| amount.to_decimal(asset.decimals);
    let can: Vec<&str> = asset.capabilities.names().collect();
    format!(
        "asset         {}\nid            {id}\nname          {}\nurl           {}\ndecimals      {}\nsupply        {}\n\
         cap           {}\ncapabilities  {}\nissuer        {}\nstatus        {}\n{}",
        asset.symbol,
        asset.name,
        asset.url,
        asset.decimals,
        amount(asset.supply),
        amount(asset.cap),
        can.join(", "),
        session.words.account(asset.issuer),
        status(asset),
        trust_line(ledger),
    )
}

async fn show(session: &mut Session<'_>, symbol: &Symbol) -> Result<Report, Failure> {
    let id = AssetId::derive(symbol);
    if session.settings.unverified {
        let answer = session.nodes.ask(async |client: &Client| client.asset(id, Proofs::Omit).await).await?;
        return super::unverified(session, &answer);
    }
    let (ledger, asset) = session.nodes.asset(id).await?;
    let asset = asset.ok_or_else(|| super::absent(&format!("asset {symbol}"), &ledger))?;
    let fields = json!({
        "id": id.to_string(),
        "asset": shown::Asset::from(&asset),
        "verified": trust_json(&ledger),
    });
    Ok(Report::new(text(session, id, &asset, &ledger), fields))
}

async fn list(session: &mut Session<'_>) -> Result<Report, Failure> {
    if session.settings.unverified {
        let answer =
            session.nodes.ask(async |client: &Client| client.assets(None, PAGE_ROWS_MAX).await).await?;
        return super::unverified(session, &answer);
    }
    let (ledger, assets) = session.nodes.listed_assets().await?;
    let row = |(_, asset): &(AssetId, Asset)| {
        let supply = asset.supply.to_decimal(asset.decimals);
        vec![
            asset.symbol.to_string(),
            asset.decimals.to_string(),
            supply,
            status(asset).to_owned(),
            asset.name.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = assets.iter().map(row).collect();
    let mut text = table(&["symbol", "decimals", "supply", "status", "name"], &rows);
    text.push_str("each asset is proven; that the node left none out is not\n");
    text.push_str(&ledger.as_ref().map(trust_line).unwrap_or_default());
    let list: Vec<Value> = assets
        .iter()
        .map(|(id, asset)| json!({ "id": id.to_string(), "asset": shown::Asset::from(asset) }))
        .collect();
    let fields = json!({
        "assets": list,
        "complete": "unproven",
        "verified": ledger.as_ref().map(trust_json),
    });
    Ok(Report::new(text, fields).with_rows("assets"))
}
