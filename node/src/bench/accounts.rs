//! The accounts among which money moves.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_primitives::address::AccountId;
use quorate_primitives::codec::{Blob, List, Text};
use quorate_primitives::state::{AssetId, Authority, OrganisationId};
use quorate_primitives::transaction::{
    ACTIONS_MAX, Action, OUTPUTS_MAX, Operation, Output, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::{Amount, Hash, SecretKey, Timestamp};
use quorate_rpc::backend::Proofs;
use quorate_rpc::json::{HexBytes, TransactionState};
use quorate_rpc::{Client, ErrorKind};
use tokio::time::sleep;

use super::say;
use super::target::Target;
use super::workload::in_parallel;
use crate::commands::{Exit, Failure, OrExit};
use crate::testnet::founding::organisation_of;
use crate::testnet::seeds;

/// Smallest units that each account is given: more than it can spend in a run.
const FUNDS: u128 = 10_000_000;
/// How long a transaction that prepares the run stays valid.
const VALIDITY: Duration = Duration::from_secs(600);
/// Transactions in one call that prepares the run: few, since each opens many accounts.
const CALL: usize = 8;
/// Time between two looks at a transaction that is not final.
const RETRY: Duration = Duration::from_millis(50);

/// An account and its only key.
pub struct Purse {
    /// The account.
    pub id: AccountId,
    /// Acts for it.
    pub key: SecretKey,
}

/// What the transfers of a run have in common.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// Genesis hash of the chain.
    pub chain: Hash,
    /// What is moved.
    pub asset: AssetId,
    /// Until when transactions are valid.
    pub valid_until: Timestamp,
}

/// The time of the system's clock.
///
/// # Errors
/// [`Failure`] if it is before 1970.
pub fn now() -> Result<Timestamp, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).or_exit_about(Exit::Internal, "clock")?;
    Ok(Timestamp::new(u64::try_from(now.as_millis()).or_exit(Exit::Internal)?))
}

/// The first `count` accounts of every run on testnets with this seed.
///
/// # Errors
/// [`Failure`] if the system gives no threads.
pub fn derive(seed: &str, count: usize) -> Result<Vec<Purse>, Failure> {
    in_parallel(count, |number| {
        let key = seeds::key(seed, &format!("bench-{number}"));
        Some(Purse { id: AccountId::derive(&Authority::single(key.public_key()), &salt()), key })
    })
}

fn salt() -> [u8; 16] {
    *b"quorate bench \0\0"
}

/// Opens accounts that are not open yet, and gives money to all.
///
/// # Errors
/// [`Failure`] if a node refuses or fails a transaction.
pub async fn open(target: &Target, purses: &[Purse]) -> Result<(), Failure> {
    let client = target.first()?;
    let envelope = Envelope {
        chain: target.genesis.hash(),
        asset: target.asset()?,
        valid_until: now()?.saturating_add(u64::try_from(VALIDITY.as_millis()).unwrap_or(u64::MAX)),
    };
    let treasury = target.treasury()?;
    let mut sequence = now()?.get();
    let mut make = |actions: Vec<Action>| {
        sequence = sequence.saturating_add(1);
        sign(&envelope, (treasury.0, &treasury.1), sequence, actions)
    };

    let known = first_missing(client, purses).await?;
    let missing = purses.get(known..).unwrap_or_default();
    if !missing.is_empty() {
        say(format_args!("opening {} accounts", missing.len()));
        let organisation = OrganisationId::new(organisation_of(0)).or_exit(Exit::Internal)?;
        let open = |purse| creation(&organisation, purse);
        let creations = missing.chunks(ACTIONS_MAX).map(|part| make(part.iter().map(open).collect()));
        carry_out(client, creations.collect::<Result<_, _>>()?).await?;
    }
    say(format_args!("giving money to {} accounts", purses.len()));
    let sum = FUNDS.saturating_mul(u128::try_from(purses.len()).unwrap_or(u128::MAX));
    let mint = Operation::Mint { asset: envelope.asset, to: treasury.0, amount: Amount::new(sum) };
    carry_out(client, vec![make(vec![acting(mint)])?]).await?;
    let payments = purses.chunks(OUTPUTS_MAX).map(|part| {
        let outputs = part.iter().map(|purse| Output { to: purse.id, amount: Amount::new(FUNDS), tag: None });
        let outputs = List::new(outputs.collect()).or_exit(Exit::Internal)?;
        make(vec![acting(Operation::TransferMany { asset: envelope.asset, outputs })])
    });
    carry_out(client, payments.collect::<Result<_, _>>()?).await
}

/// How many of the accounts are open: they are opened in their order.
async fn first_missing(client: &Client, purses: &[Purse]) -> Result<usize, Failure> {
    let (mut open, mut end) = (0, purses.len());
    while open < end {
        let middle = open.midpoint(end);
        let Some(purse) = purses.get(middle) else { break };
        let found = client.account(purse.id, Proofs::Omit).await.or_exit(Exit::Unreachable)?;
        if found.account.is_some() {
            open = middle.saturating_add(1);
        } else {
            end = middle;
        }
    }
    Ok(open)
}

/// An action of the sender itself.
#[must_use]
pub fn acting(operation: Operation) -> Action {
    Action { actor: None, operation }
}

fn creation(organisation: &OrganisationId, purse: &Purse) -> Action {
    acting(Operation::AccountCreate {
        organisation: organisation.clone(),
        authority: Authority::single(purse.key.public_key()),
        salt: salt(),
        label: Text::default(),
    })
}

/// Signs a transaction with one key.
///
/// # Errors
/// [`Failure`] if it has no action or too many.
pub fn sign(
    envelope: &Envelope,
    (sender, key): (AccountId, &SecretKey),
    sequence: u64,
    actions: Vec<Action>,
) -> Result<SignedTransaction, Failure> {
    let transaction = Transaction {
        chain: envelope.chain,
        version: TRANSACTION_VERSION,
        sender,
        nonce: u128::from(sequence).to_be_bytes(),
        valid_until: envelope.valid_until,
        actions: List::new(actions).or_exit(Exit::Internal)?,
        asserts: List::default(),
        reference: Blob::default(),
        memo: Blob::default(),
        signers: List::of_one(key.public_key()),
    };
    transaction.sign(std::slice::from_ref(key)).or_exit(Exit::Internal)
}

/// Hands transactions in and waits until all are final.
async fn carry_out(client: &Client, transactions: Vec<SignedTransaction>) -> Result<(), Failure> {
    for part in transactions.chunks(CALL) {
        let encoded: Vec<HexBytes> = part.iter().map(HexBytes::of).collect();
        loop {
            let answer = client
                .submit_encoded(&encoded.iter().collect::<Vec<_>>())
                .await
                .or_exit(Exit::Unreachable)?;
            let errors = answer.results.iter().filter_map(|result| result.error.as_ref());
            let mut wait = None;
            for error in errors {
                match error.kind() {
                    Some(ErrorKind::AlreadyKnown) => {}
                    Some(ErrorKind::Busy | ErrorKind::MempoolFull) => wait = Some(RETRY),
                    _ => {
                        return Err(Failure::new(
                            Exit::Internal,
                            format_args!("preparing the accounts: {error}"),
                        ));
                    }
                }
            }
            let Some(wait) = wait else { break };
            sleep(wait).await;
        }
    }
    for transaction in &transactions {
        conclude(client, transaction.id()).await?;
    }
    Ok(())
}

async fn conclude(client: &Client, id: Hash) -> Result<(), Failure> {
    loop {
        let status = client.transaction_status(id).await.or_exit(Exit::Unreachable)?;
        match status.state {
            TransactionState::Final => return Ok(()),
            TransactionState::Pending => sleep(RETRY).await,
            TransactionState::Rejected | TransactionState::Expired | TransactionState::Unknown => {
                let message = format_args!("preparing the accounts: {status:?}");
                return Err(Failure::new(Exit::Internal, message));
            }
        }
    }
}
