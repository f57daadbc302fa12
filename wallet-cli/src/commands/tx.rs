//! `tx`: what a transaction did, and how it ends.
use quorate_primitives::Hash;
use quorate_primitives::codec;
use quorate_primitives::receipt::Verdict;
use quorate_primitives::transaction::{SignedTransaction, TRANSACTION_BYTES_MAX};
use quorate_rpc::backend::Proofs;
use quorate_rpc::client::Client;
use quorate_rpc::json as shown;
use quorate_rpc::json::values::rfc3339;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

use crate::arguments::{Settings, TxCommand};
use crate::explain::{assets_of, trust_json, trust_line};
use crate::failure::{Exit, Failure};
use crate::outcome::Outcome;
use crate::output::Report;
use crate::sending;
use crate::session::Session;
use crate::verify::ProvenReceipt;

/// Pause before a transaction without outcome is looked for again.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) async fn execute(settings: &Settings, command: TxCommand) -> Result<Report, Failure> {
    let mut session = Session::open(settings)?;
    match command {
        TxCommand::Show { id } => show(&mut session, id).await,
        TxCommand::Wait { .. } if settings.unverified => {
            Err(Failure::usage("--unverified: an outcome that is not proven is none; use tx show"))
        }
        TxCommand::Wait { id, wait } => wait_for(&mut session, id, Duration::from_millis(wait.ms())).await,
    }
}

async fn show(session: &mut Session<'_>, id: Hash) -> Result<Report, Failure> {
    if session.settings.unverified {
        let answer =
            session.nodes.ask(async |client: &Client| client.transaction(id, Proofs::Omit).await).await?;
        return super::unverified(session, &answer);
    }
    match session.nodes.transaction(id).await? {
        Ok(proven) => shown(session, &proven).await,
        Err(answer) => Err(without_receipt(session, id, &answer).await?),
    }
}

async fn shown(session: &mut Session<'_>, proven: &ProvenReceipt) -> Result<Report, Failure> {
    session.learn(&assets_of(&proven.receipt)).await?;
    let (ledger, receipt, words) = (&proven.ledger, &proven.receipt, &session.words);
    let outcome = if receipt.verdict == Verdict::Committed { "committed" } else { "failed" };
    let (height, time) = (ledger.height(), rfc3339(ledger.time()));
    let mut text = format!(
        "{outcome:<11}{}\nblock      {height}, position {}, {time}\n",
        receipt.transaction, proven.index
    );
    if let Some(signed) = &proven.transaction {
        let transaction = signed.transaction();
        for action in &transaction.actions {
            let actor = action.actor.unwrap_or(transaction.sender);
            text.push_str(&format!("action     {}\n", words.operation(actor, &action.operation)));
        }
    }
    text.push_str(&words.receipt(receipt));
    text.push_str(&trust_line(ledger));
    let fields = json!({
        "outcome": outcome,
        "tx_id": receipt.transaction.to_string(),
        "height": height.to_string(),
        "index": proven.index.to_string(),
        "receipt": shown::Receipt::from(receipt),
        "transaction": proven.transaction.as_ref().map(shown::Transaction::from),
        "balances": words.balances_after(receipt),
        "proof": proven.evidence,
        "verified": trust_json(ledger),
    });
    Ok(Report::new(text, fields))
}

/// What the node gave of a transaction that is in no block, if it is the one asked for.
fn known(id: Hash, answer: &shown::TransactionAnswer) -> Option<SignedTransaction> {
    let bytes = &answer.transaction.as_ref()?.bytes.0;
    let signed: SignedTransaction = codec::decode(bytes, TRANSACTION_BYTES_MAX).ok()?;
    (signed.id() == id).then_some(signed)
}

/// Says how a transaction without receipt stands; only that it expired can be proven.
async fn without_receipt(
    session: &mut Session<'_>,
    id: Hash,
    answer: &shown::TransactionAnswer,
) -> Result<Failure, Failure> {
    let outcome = match known(id, answer) {
        Some(signed) => sending::look(session, &signed).await?.0.map(|outcome| (signed, outcome)),
        None => None,
    };
    match outcome {
        Some((_, Outcome::Expired(ledger))) => {
            let trust = trust_line(&ledger);
            let what = format!("transaction {id} is in no block and can never be in one");
            return Ok(Failure::new(Exit::Expired, format_args!("expired: {what} ({})", trust.trim_end())));
        }
        Some((signed, Outcome::NonceUsed(used))) => {
            return Ok(used.failure(signed.transaction().nonce, Some(&signed)));
        }
        Some((_, Outcome::Receipt(_))) | None => {}
    }
    let (url, state) = (session.nodes.url(), format!("{:?}", answer.status.state).to_lowercase());
    let message = format!("no receipt of transaction {id}: {url} says {state:?}, which proves nothing");
    Ok(Failure::new(Exit::Unknown, message).with_details(json!({ "tx_id": id.to_string(), "said": state })))
}

async fn wait_for(session: &mut Session<'_>, id: Hash, wait: Duration) -> Result<Report, Failure> {
    let deadline = Instant::now() + wait;
    loop {
        let failure = match session.nodes.transaction(id).await? {
            Ok(proven) => return sending::report(session, &proven, None).await,
            Err(answer) => without_receipt(session, id, &answer).await?,
        };
        if matches!(failure.exit, Exit::Expired | Exit::Rejected) || Instant::now() >= deadline {
            return Err(failure);
        }
        sleep(PAUSE).await;
    }
}
