//! How a transaction ended, as far as it can be proven.
use quorate_primitives::Height;
use quorate_primitives::light::Finalized;
use quorate_primitives::state::{Marker, Parameters, StateKey};
use quorate_primitives::transaction::SignedTransaction;

use crate::failure::Failure;
use crate::nodes::Nodes;
use crate::verify::ProvenReceipt;

/// What the newest proven state says about a transaction that no receipt was given for.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Not in any block yet, and it still can be.
    Open,
    /// In the block at this height; the receipt says what it did.
    Included(Height),
    /// In no block, and it can never be in one.
    Expired(Box<Finalized>),
    /// Expired for so long that the ledger has forgotten whether it was in a block.
    Forgotten,
}

/// How a transaction ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is in a block, and this is what it did.
    Receipt(Box<ProvenReceipt>),
    /// It is in no block and can never be in one.
    Expired(Box<Finalized>),
}

/// Looks for the marks that every transaction in a block leaves in the state.
///
/// A block later than `valid_until` in whose state neither mark is proves that the transaction can never
/// execute: marks stay for the retention after `valid_until`, and no later block takes it.
///
/// # Errors
/// [`Failure`] by class.
pub async fn standing(nodes: &mut Nodes, signed: &SignedTransaction) -> Result<Standing, Failure> {
    let transaction = signed.transaction();
    let nonce = StateKey::Nonce(transaction.sender, transaction.nonce);
    let unauthorised = StateKey::Unauthorised(signed.id());
    let state = nodes.state(&[StateKey::Parameters, nonce.clone(), unauthorised.clone()]).await?;
    for key in [&nonce, &unauthorised] {
        let marker = nodes.value::<Marker>(&state, key)?;
        if let Some(marker) = marker.filter(|marker| marker.transaction == signed.id()) {
            return Ok(Standing::Included(marker.height));
        }
    }
    let (time, valid_until) = (state.ledger.time(), transaction.valid_until);
    if time <= valid_until {
        return Ok(Standing::Open);
    }
    let parameters = nodes.value::<Parameters>(&state, &StateKey::Parameters)?;
    let retention = parameters.map_or(0, |parameters| parameters.marker_retention_ms);
    if time > valid_until.saturating_add(retention) {
        return Ok(Standing::Forgotten);
    }
    Ok(Standing::Expired(Box::new(state.ledger)))
}
