//! `account`: show an account, or open one.
use quorate_keystore::KeyName;
use quorate_primitives::PublicKey;
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::Text;
use quorate_primitives::state::{Account, Authority, Parameters, StateKey, Status};
use quorate_primitives::transaction::Operation;
use quorate_rpc::backend::Proofs;
use quorate_rpc::client::Client;
use quorate_rpc::json as shown;
use serde_json::json;

use crate::arguments::{AccountCommand, Settings};
use crate::explain::{trust_json, trust_line};
use crate::failure::{Exit, Failure};
use crate::output::Report;
use crate::sending::Outgoing;
use crate::session::Session;

pub(super) async fn show(settings: &Settings, typed: Option<&str>) -> Result<Report, Failure> {
    let mut session = Session::open(settings)?;
    let named = session.account(typed)?;
    let id = named.account;
    if settings.unverified {
        let answer =
            session.nodes.ask(async |client: &Client| client.account(id, Proofs::Omit).await).await?;
        return super::unverified(&session, &answer);
    }
    let (ledger, account) = session.nodes.account(id).await?;
    let account = account
        .ok_or_else(|| super::absent(&format!("account {}", named.shown(&session.network)), &ledger))?;
    let state = match account.status {
        Status::Active => "active",
        Status::Closed => "closed",
    };
    let authority = &account.authority;
    let mut text = format!(
        "account       {}\nid            {id}\nlabel         {}\norganisation  {}\nstatus        {state}\n\
         authority     version {}, threshold {}\n",
        named.shown(&session.network),
        account.label,
        account.organisation,
        authority.version,
        authority.threshold,
    );
    let keys =
        authority.keys.iter().map(|entry| format!("              {} weight {}\n", entry.key, entry.weight));
    text.extend(keys);
    text.push_str(&trust_line(&ledger));
    let fields = json!({
        "id": id.to_string(),
        "address": session.network.address(id),
        "name": named.name,
        "account": shown::Account::from(&account),
        "verified": trust_json(&ledger),
    });
    Ok(Report::new(text, fields))
}

pub(super) async fn create(settings: &Settings, command: AccountCommand) -> Result<Report, Failure> {
    let AccountCommand::Create { key, organisation, label, sending } = command else {
        return Err(Failure::new(Exit::Internal, "not the command to open an account"));
    };
    let mut session = Session::open(settings)?;
    let outgoing = Outgoing::begin(&session, &sending)?;
    let (owner, name) = owner(&session, &key)?;
    let authority = Authority::single(owner);
    let id = AccountId::derive(&authority, &[0; 16]);
    let keys = [StateKey::Parameters, StateKey::Account(outgoing.signers().account()), StateKey::Account(id)];
    let state = session.nodes.state(&keys).await?;
    let parameters = super::present::<Parameters>(&session, &state, &keys[0], "the parameters")?;
    if outgoing.is_new() {
        super::check_sender(&session, &state, &keys[1], outgoing.signers())?;
        if session.nodes.value::<Account>(&state, &keys[2])?.is_some() {
            let address = session.network.address(id);
            return Err(super::rejected(quorate_primitives::receipt::Failure::AccountExists, &address));
        }
    }
    let label = label.or_else(|| Text::new(name.as_str()).ok()).unwrap_or_default();
    let operation = Operation::AccountCreate { organisation, authority, salt: [0; 16], label };
    outgoing.send(&mut session, &parameters, operation).await
}

/// The public key that will act for the account: of a key in the home, or as typed.
fn owner(session: &Session<'_>, typed: &str) -> Result<(PublicKey, String), Failure> {
    if let Ok(key) = typed.parse::<PublicKey>() {
        key.check().map_err(|error| Failure::usage(format_args!("public key {typed}: {error}")))?;
        return Ok((key, String::new()));
    }
    let name = KeyName::new(typed).map_err(Failure::usage)?;
    Ok((session.home.key(&name)?.public_key(), name.to_string()))
}
