//! How a transaction ended, as far as it can be proven.
use quorate_primitives::address::AccountId;
use quorate_primitives::light::Finalized;
use quorate_primitives::receipt::Failure as Refusal;
use quorate_primitives::state::{Marker, Parameters, StateKey};
use quorate_primitives::transaction::{Nonce, SignedTransaction};
use quorate_primitives::{Hash, Height};
use serde_json::json;

use crate::explain::{trust_json, trust_line};
use crate::failure::{Exit, Failure};
use crate::nodes::Nodes;
use crate::typed::TypedNonce;
use crate::verify::ProvenReceipt;

/// What the newest proven state says about a transaction that no receipt was given for.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Not in any block yet, and it still can be.
    Open,
    /// In the block at this height; the receipt says what it did.
    Included(Height),
    /// Another transaction of the sender used the nonce, so that this one can never act.
    NonceUsed(Box<NonceUsed>),
    /// In no block, and it can never be in one.
    Expired(Box<Finalized>),
    /// Expired for so long that the ledger has forgotten whether it was in a block.
    Forgotten,
}

/// Proof that the nonce of a transaction belongs to another one.
#[derive(Clone, Debug)]
pub struct NonceUsed {
    /// The transaction that used it.
    pub transaction: Hash,
    /// The block that it is in.
    pub height: Height,
    /// What proves it.
    pub ledger: Finalized,
}

impl NonceUsed {
    /// What a command ends with. `sent` is the transaction that can never act, if one was signed.
    #[must_use]
    pub fn failure(&self, nonce: Nonce, sent: Option<&SignedTransaction>) -> Failure {
        let (code, name) = (Refusal::NonceConflict.code(), Refusal::NonceConflict.name());
        let (other, height, id) = (self.transaction, self.height, TypedNonce::new(nonce));
        let end = match sent {
            Some(signed) => format!("transaction {} can never act", signed.id()),
            None => "nothing was signed".to_owned(),
        };
        let trust = trust_line(&self.ledger);
        let message = format!(
            "rejected: {code} {name}: id {id} was used by transaction {other} in block {height}; {end} ({})",
            trust.trim_end()
        );
        let details = json!({
            "tx_id": sent.map(|signed| signed.id().to_string()), "nonce": id.to_hex(),
            "code": code, "name": name, "used_by": other.to_string(), "height": height.to_string(),
            "proven": true, "verified": trust_json(&self.ledger),
        });
        Failure::new(Exit::Rejected, message).with_details(details)
    }
}

/// How a transaction ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is in a block, and this is what it did.
    Receipt(Box<ProvenReceipt>),
    /// Another transaction of the sender used its nonce; it can never act.
    NonceUsed(Box<NonceUsed>),
    /// It is in no block and can never be in one.
    Expired(Box<Finalized>),
}

/// Looks for the marks that every transaction in a block leaves in the state.
///
/// A block later than `valid_until` in whose state neither mark is proves that the transaction can never
/// execute: marks stay for the retention after `valid_until`, and no later block takes it. The mark of
/// another transaction with the same nonce proves so too, if it stays until this one has expired.
///
/// # Errors
/// [`Failure`] by class.
pub async fn standing(nodes: &mut Nodes, signed: &SignedTransaction) -> Result<Standing, Failure> {
    let transaction = signed.transaction();
    let nonce = StateKey::Nonce(transaction.sender, transaction.nonce);
    let unauthorised = StateKey::Unauthorised(signed.id());
    let state = nodes.state(&[StateKey::Parameters, nonce.clone(), unauthorised.clone()]).await?;
    let by_nonce = nodes.value::<Marker>(&state, &nonce)?;
    let by_id = nodes.value::<Marker>(&state, &unauthorised)?;
    let own = |marker: &&Marker| marker.transaction == signed.id();
    if let Some(marker) = [&by_nonce, &by_id].into_iter().flatten().find(own) {
        return Ok(Standing::Included(marker.height));
    }
    let (time, valid_until) = (state.ledger.time(), transaction.valid_until);
    let parameters = nodes.value::<Parameters>(&state, &StateKey::Parameters)?;
    let retention = parameters.map_or(0, |parameters| parameters.marker_retention_ms);
    if time > valid_until.saturating_add(retention) {
        return Ok(Standing::Forgotten);
    }
    if let Some(Marker { transaction, height, valid_until: until }) = by_nonce
        && (time > valid_until || until.saturating_add(retention) >= valid_until)
    {
        return Ok(Standing::NonceUsed(Box::new(NonceUsed { transaction, height, ledger: state.ledger })));
    }
    if time <= valid_until {
        return Ok(Standing::Open);
    }
    Ok(Standing::Expired(Box::new(state.ledger)))
}

/// Whether a nonce is taken already, as of the newest block.
///
/// # Errors
/// [`Failure`] by class.
pub async fn nonce_used(
    nodes: &mut Nodes,
    sender: AccountId,
    nonce: Nonce,
) -> Result<Option<NonceUsed>, Failure> {
    let key = StateKey::Nonce(sender, nonce);
    let state = nodes.state(std::slice::from_ref(&key)).await?;
    let marker = nodes.value::<Marker>(&state, &key)?;
    Ok(marker.map(|Marker { transaction, height, .. }| NonceUsed {
        transaction,
        height,
        ledger: state.ledger,
    }))
}
