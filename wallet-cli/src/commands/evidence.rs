//! `evidence`: what validators are proven to have done against the rules.
use quorate_primitives::evidence::{EvidenceKind, RecordedEvidence};
use quorate_rpc::backend::Proofs;
use quorate_rpc::client::Client;
use serde_json::{Value, json};

use crate::arguments::{EvidenceCommand, Settings};
use crate::explain::{trust_json, trust_line};
use crate::failure::Failure;
use crate::output::{Report, table};
use crate::session::Session;
use crate::verify::shown_evidence;

pub(super) async fn execute(settings: &Settings, command: EvidenceCommand) -> Result<Report, Failure> {
    let EvidenceCommand::List = command;
    let mut session = Session::open(settings)?;
    if settings.unverified {
        let answer = session.nodes.ask(async |client: &Client| client.evidence(Proofs::Omit).await).await?;
        return super::unverified(&session, &answer);
    }
    let mut proven = session.nodes.evidence().await?;
    proven.evidence.sort_by_key(|recorded| (recorded.height, recorded.accusation.identity.epoch));
    let rows: Vec<Vec<String>> = proven.evidence.iter().map(row).collect();
    let mut text = if rows.is_empty() {
        "no evidence was ever recorded\n".to_owned()
    } else {
        let heading = ["height", "epoch", "view", "validator", "what it did"];
        table(&heading, &rows) + "this is all that was ever recorded\n"
    };
    text.push_str(&trust_line(&proven.ledger));
    let list: Vec<Value> = proven.evidence.iter().map(|recorded| json!(shown_evidence(recorded))).collect();
    let fields = json!({ "evidence": list, "complete": "proven", "verified": trust_json(&proven.ledger) });
    Ok(Report::new(text, fields).with_rows("evidence"))
}

fn row(recorded: &RecordedEvidence) -> Vec<String> {
    let accusation = &recorded.accusation;
    let what = accusation.check().map_or("nothing against the rules", |kind| match kind {
        EvidenceKind::DoubleNotarize => "notarized two blocks in one view",
        EvidenceKind::DoubleFinalize => "finalized two blocks or outcomes in one view",
        EvidenceKind::NullifyAndFinalize => "gave a view up and finalized a block in it",
    });
    vec![
        recorded.height.to_string(),
        accusation.identity.epoch.to_string(),
        accusation.evidence.first.claim.view().to_string(),
        accusation.validator.to_string(),
        what.to_owned(),
    ]
}
