//! One transaction: whether it counts, who authorised it, and what it did.
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::List;
use quorate_primitives::receipt::{Failure, Receipt, Verdict};
use quorate_primitives::state::{AssetId, Marker, StateKey};
use quorate_primitives::transaction::{Assert, Operation, SignedTransaction, Transaction};
use quorate_primitives::zoo::{self, Bug};
use quorate_primitives::{EpochNumber, Hash, Height, Timestamp};
use std::collections::BTreeSet;

use super::action;
use super::session::{Session, active_account};
use crate::admission::Refusal;
use crate::state::State;
use crate::state::overlay::Overlay;

/// The block that a transaction is executed in, as far as its rules ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) chain: Hash,
    pub(crate) epoch: EpochNumber,
    pub(crate) height: Height,
    pub(crate) time: Timestamp,
    /// How far ahead of the block a transaction's end of validity may lie, in milliseconds.
    pub(crate) ahead_max_ms: u64,
}

impl Moment {
    /// A block at this height on this state, in the epoch that the height belongs to; `None` for a state without parameters, on which nothing can run.
    pub(crate) fn of(base: &State, height: Height, time: Timestamp) -> Option<Self> {
        let parameters = base.parameters()?;
        Some(Self {
            chain: base.chain(),
            epoch: parameters.epoch_of(height),
            height,
            time,
            ahead_max_ms: parameters.max_validity_ms.saturating_add(parameters.clock_bound_ms),
        })
    }
}

/// Keys whose values a transaction asks for when it is executed, as far as they follow from it alone; about
/// `limit` of them if they are more. Those of one account follow each other: their paths are cheaper then.
pub(crate) fn touched(signed: &SignedTransaction, limit: usize) -> Vec<StateKey> {
    let envelope = signed.transaction();
    let sender = envelope.sender;
    let mut keys = vec![StateKey::Nonce(sender, envelope.nonce), StateKey::Account(sender)];
    for action in &envelope.actions {
        if keys.len() >= limit {
            break;
        }
        let actor = action.actor.unwrap_or(sender);
        if actor != sender {
            keys.push(StateKey::Account(actor));
        }
        let payment =
            |asset: &AssetId, to: &AccountId| [StateKey::Account(*to), StateKey::Balance(*to, *asset)];
        match &action.operation {
            Operation::Transfer { asset, to, .. } => {
                keys.push(StateKey::Balance(actor, *asset));
                keys.extend(payment(asset, to));
                keys.push(StateKey::Asset(*asset));
            }
            Operation::TransferMany { asset, outputs } => {
                keys.push(StateKey::Balance(actor, *asset));
                keys.extend(outputs.iter().take(limit).flat_map(|output| payment(asset, &output.to)));
                keys.push(StateKey::Asset(*asset));
            }
            Operation::AccountCreate { .. }
            | Operation::AuthoritySet { .. }
            | Operation::AssetCreate { .. }
            | Operation::AssetUpdate { .. }
            | Operation::Mint { .. }
            | Operation::Burn { .. }
            | Operation::Grant { .. }
            | Operation::Revoke { .. }
            | Operation::ValidatorAdd { .. }
            | Operation::ValidatorRemove { .. }
            | Operation::ValidatorRotateKey { .. } => {}
        }
    }
    keys
}

/// A failure, and the position of the action at fault.
struct Fault {
    failure: Failure,
    action: Option<u8>,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self { failure, action: None }
    }
}

/// Executes a transaction and keeps its effects in the overlay, or says why it does not count.
///
/// Signatures are taken as proven. A transaction that does not count leaves no trace. One that its
/// sender did not authorise is remembered by its id only: its nonce stays free, or anybody could use
/// up the nonces of another.
pub(crate) fn transaction(
    overlay: &mut Overlay<'_>,
    moment: &Moment,
    signed: &SignedTransaction,
) -> Result<Receipt, Refusal> {
    let (id, envelope) = (signed.id(), signed.transaction());
    check_counts(overlay, moment, signed)?;
    let marker = Marker { transaction: id, height: moment.height, valid_until: envelope.valid_until };
    let nonce_key = StateKey::Nonce(envelope.sender, envelope.nonce);
    if let Err(failure) = check_sender(overlay, envelope, &nonce_key) {
        overlay.put(&StateKey::Unauthorised(id), &marker);
        overlay.keep();
        return Ok(failed(id, failure.into()));
    }
    overlay.put(&nonce_key, &marker);
    overlay.keep();
    let mut session = Session::new(overlay, moment, envelope);
    match run(&mut session, envelope, moment.height) {
        Ok(()) => {
            let (events, balances) = session.finish();
            let receipt = Receipt {
                transaction: id,
                verdict: Verdict::Committed,
                // The session refuses what a receipt cannot hold.
                events: List::new(events).unwrap_or_default(),
                balances: List::new(balances).unwrap_or_default(),
            };
            overlay.keep();
            Ok(receipt)
        }
        Err(fault) => {
            overlay.drop_running();
            if zoo::has(Bug::NonceFreeAfterFailure) {
                overlay.delete(&nonce_key);
                overlay.keep();
            }
            Ok(failed(id, fault))
        }
    }
}

fn failed(transaction: Hash, fault: Fault) -> Receipt {
    let Fault { failure, action } = fault;
    let verdict = Verdict::Failed { failure, action };
    Receipt { transaction, verdict, events: List::default(), balances: List::default() }
}

/// Chain, time, and whether the ledger knows the transaction already.
fn check_counts(
    overlay: &mut Overlay<'_>,
    moment: &Moment,
    signed: &SignedTransaction,
) -> Result<(), Refusal> {
    let envelope = signed.transaction();
    if envelope.chain != moment.chain {
        return Err(Refusal::WrongChain { expected: moment.chain, found: envelope.chain });
    }
    let valid_until = envelope.valid_until;
    if valid_until < moment.time && !zoo::has(Bug::ExpiredExecuted) {
        return Err(Refusal::Expired { valid_until, now: moment.time });
    }
    let latest = moment.time.saturating_add(moment.ahead_max_ms);
    if valid_until > latest {
        return Err(Refusal::TooFar { valid_until, latest });
    }
    let id = signed.id();
    let by_nonce: Option<Marker> = overlay.get(&StateKey::Nonce(envelope.sender, envelope.nonce));
    let by_id = || overlay.has_unauthorised().then(|| overlay.get(&StateKey::Unauthorised(id))).flatten();
    match by_nonce.filter(|marker| marker.transaction == id).or_else(by_id) {
        Some(_) if zoo::has(Bug::DuplicateExecuted) => Ok(()),
        Some(marker) => Err(Refusal::Duplicate { height: marker.height }),
        None => Ok(()),
    }
}

/// Whether the sender authorised the transaction and its nonce is free.
fn check_sender(overlay: &mut Overlay<'_>, envelope: &Transaction, nonce: &StateKey) -> Result<(), Failure> {
    let sender = active_account(overlay, &envelope.sender)?;
    if !sender.authority.is_satisfied_by(&envelope.signers) {
        return Err(Failure::Unauthorised);
    }
    match overlay.get::<Marker>(nonce) {
        Some(_) if zoo::has(Bug::DuplicateExecuted) => Ok(()),
        Some(_) => Err(Failure::NonceConflict),
        None => Ok(()),
    }
}

/// Authorises every actor by the state before the transaction, then checks the conditions, then acts.
fn run(session: &mut Session<'_, '_>, envelope: &Transaction, height: Height) -> Result<(), Fault> {
    let mut authorised = BTreeSet::from([envelope.sender]);
    for (position, action) in (0_u8..).zip(&envelope.actions) {
        let actor = action.actor.unwrap_or(envelope.sender);
        if authorised.insert(actor) {
            let at = |failure| Fault { failure, action: Some(position) };
            let account = session.account(&actor).map_err(at)?;
            if !account.authority.is_satisfied_by(&envelope.signers) {
                return Err(at(Failure::Unauthorised));
            }
        }
    }
    for assert in &envelope.asserts {
        if !holds(session, assert, height) {
            return Err(Failure::AssertFailed.into());
        }
    }
    for (position, action) in (0_u8..).zip(&envelope.actions) {
        let actor = action.actor.unwrap_or(envelope.sender);
        let at = |failure| Fault { failure, action: Some(position) };
        action::act(session, actor, &action.operation).map_err(at)?;
    }
    Ok(())
}

fn holds(session: &mut Session<'_, '_>, assert: &Assert, height: Height) -> bool {
    match assert {
        Assert::BalanceAtLeast { account, asset, amount } => {
            session.balance(account, asset).available() >= *amount
        }
        Assert::BalanceAtMost { account, asset, amount } => {
            session.balance(account, asset).available() <= *amount
        }
        Assert::HeightAtMost { height: last } => height <= *last,
        Assert::AuthorityVersion { account, version } => {
            session.account(account).is_ok_and(|account| account.authority.version == *version)
        }
    }
}
