//! The accounts among which money moves.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{StreamExt, TryStreamExt, stream};
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::{Blob, List, Text};
use quorate_primitives::state::{AssetId, Authority, OrganisationId};
use quorate_primitives::transaction::{
    ACTIONS_MAX, Action, OUTPUTS_MAX, Operation, Output, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::{Amount, Hash, SecretKey, Timestamp};
use quorate_rpc::backend::Proofs;
use quorate_rpc::json::TransactionState;
use quorate_rpc::{Client, ErrorKind};
use tokio::time::{sleep, timeout};

use super::say;
use super::target::Target;
use super::workload::in_background;
use crate::commands::{Exit, Failure, OrExit};
use crate::testnet::founding::organisation_of;
use crate::testnet::seeds;

/// Smallest units that each account is given: more than it can spend in a run.
const FUNDS: u128 = 10_000_000;
/// How long a transaction that prepares the run stays valid.
const VALIDITY: Duration = Duration::from_secs(120);
/// Transactions in one call that prepares the run: few, since each opens or pays many accounts.
const CALL: usize = 8;
/// Such calls at a time.
const CALLS_MAX: usize = 8;
/// Accounts that may be opened before another one that comes earlier.
const DISORDER: usize = ACTIONS_MAX * CALL * (CALLS_MAX + 1);
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

impl Purse {
    /// The account with this number of every run on testnets with this seed.
    #[must_use]
    pub fn derive(seed: &str, number: usize) -> Self {
        let key = seeds::key(seed, &format!("bench-{number}"));
        Self { id: AccountId::derive(&Authority::single(key.public_key()), &salt()), key }
    }
}

/// The first `count` accounts of every run on testnets with this seed.
///
/// # Errors
/// [`Failure`] if the system gives no threads.
pub async fn derive(seed: &str, count: usize) -> Result<Vec<Purse>, Failure> {
    let seed = seed.to_owned();
    in_background(count, move |number| Some(Purse::derive(&seed, number))).await
}

fn salt() -> [u8; 16] {
    *b"quorate bench \0\0"
}

/// Opens accounts that are not open yet, and gives money to all.
///
/// # Errors
/// [`Failure`] if a node refuses or fails a transaction.
pub async fn open(target: &Target, purses: &[Purse]) -> Result<(), Failure> {
    let (sender, key) = target.treasury()?;
    let asset = target.asset()?;
    let treasury =
        Treasury { target, sender, key, asset, sequence: AtomicU64::new(now()?.get().saturating_mul(1_000)) };
    let sum = FUNDS.saturating_mul(u128::try_from(purses.len()).unwrap_or(u128::MAX));
    let mint = Operation::Mint { asset, to: sender, amount: Amount::new(sum) };
    treasury.carry_out(std::iter::once(Ok(vec![acting(mint)]))).await?;
    catch_up(&target.clients).await?;
    let (known, missing) = divide(target.first()?, purses).await?;
    if !missing.is_empty() {
        say(format_args!("opening {} accounts and giving them money", missing.len()));
        let organisation = OrganisationId::new(organisation_of(0)).or_exit(Exit::Internal)?;
        // One action is left for the payment to all that are opened.
        let lists = missing.chunks(ACTIONS_MAX.saturating_sub(1)).map(|part| {
            let mut list: Vec<Action> = part.iter().map(|purse| creation(&organisation, purse)).collect();
            list.push(payment(asset, part)?);
            Ok(list)
        });
        treasury.carry_out(lists).await?;
    }
    if !known.is_empty() {
        say(format_args!("giving money to {} accounts that are open", known.len()));
        treasury.carry_out(known.chunks(OUTPUTS_MAX).map(|part| Ok(vec![payment(asset, part)?]))).await?;
    }
    Ok(())
}

/// Pays to each of these accounts what it needs for a run.
fn payment(asset: AssetId, purses: &[&Purse]) -> Result<Action, Failure> {
    let outputs = purses.iter().map(|purse| Output { to: purse.id, amount: Amount::new(FUNDS), tag: None });
    let outputs = List::new(outputs.collect()).or_exit(Exit::Internal)?;
    Ok(acting(Operation::TransferMany { asset, outputs }))
}

/// The accounts that are open, and those that are not. They are opened nearly in their order, so few have to
/// be asked for.
async fn divide<'a>(
    client: &Client,
    purses: &'a [Purse],
) -> Result<(Vec<&'a Purse>, Vec<&'a Purse>), Failure> {
    let (mut open, mut end) = (0, purses.len());
    while open < end {
        let middle = open.midpoint(end);
        let Some(purse) = purses.get(middle) else { break };
        if is_open(client, purse).await? {
            open = middle.saturating_add(1);
        } else {
            end = middle;
        }
    }
    // An earlier run may have been ended while it opened them: any of those that were on their way may be open.
    let disorder = if open == 0 || open == purses.len() { 0 } else { DISORDER };
    let (from, to) = (open.saturating_sub(disorder), open.saturating_add(disorder).min(purses.len()));
    let mut known: Vec<&Purse> = purses.iter().take(from).collect();
    let mut missing = Vec::new();
    for purse in purses.get(from..to).unwrap_or_default() {
        if is_open(client, purse).await? { known.push(purse) } else { missing.push(purse) }
    }
    missing.extend(purses.iter().skip(to));
    Ok((known, missing))
}

async fn is_open(client: &Client, purse: &Purse) -> Result<bool, Failure> {
    let found = client.account(purse.id, Proofs::Omit).await.or_exit(Exit::Unreachable)?;
    Ok(found.account.is_some())
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

/// Opens the accounts and pays out the money.
struct Treasury<'a> {
    target: &'a Target,
    sender: AccountId,
    key: SecretKey,
    asset: AssetId,
    /// Tells its transactions apart.
    sequence: AtomicU64,
}

impl Treasury<'_> {
    /// Makes a transaction of each list of actions, hands them in at all validators in turn, a few calls at a
    /// time, and waits until all are final.
    async fn carry_out(
        &self,
        mut lists: impl Iterator<Item = Result<Vec<Action>, Failure>>,
    ) -> Result<(), Failure> {
        let parts = std::iter::from_fn(|| {
            let part: Vec<_> = lists.by_ref().take(CALL).collect();
            (!part.is_empty()).then_some(part)
        });
        let calls =
            parts.zip(self.target.clients.iter().cycle()).map(|(part, client)| self.call(client, part));
        stream::iter(calls).buffered(CALLS_MAX).try_collect::<()>().await
    }

    async fn call(&self, client: &Client, lists: Vec<Result<Vec<Action>, Failure>>) -> Result<(), Failure> {
        let validity = u64::try_from(VALIDITY.as_millis()).unwrap_or(u64::MAX);
        let envelope = Envelope {
            chain: self.target.genesis.hash(),
            asset: self.asset,
            valid_until: now()?.saturating_add(validity.min(self.target.validity_max_ms())),
        };
        let sign = |actions: Result<_, _>| {
            let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
            sign(&envelope, (self.sender, &self.key), sequence, actions?)
        };
        let transactions = lists.into_iter().map(sign).collect::<Result<Vec<_>, _>>()?;
        while !hand_in(client, &transactions).await? {
            sleep(RETRY).await;
        }
        for transaction in &transactions {
            conclude(client, transaction.id()).await?;
        }
        Ok(())
    }
}

/// Waits until all nodes are as far as the first: they look at their own ledger when something is handed in.
///
/// # Errors
/// [`Failure`] if a node cannot be reached, or stays behind for as long as what was handed in is valid.
async fn catch_up(clients: &[Client]) -> Result<(), Failure> {
    let Some((first, others)) = clients.split_first() else { return Ok(()) };
    let height = first.head().await.or_exit(Exit::Unreachable)?.height;
    let waiting = async |client: &Client| {
        loop {
            let found = client.head().await.or_exit(Exit::Unreachable)?.height;
            if found >= height {
                return Ok(());
            }
            sleep(RETRY).await;
        }
    };
    for client in others {
        let late = |_| {
            let (url, seconds) = (client.url(), VALIDITY.as_secs());
            let message = format_args!(
                "preparing the accounts: {url} did not reach height {} in {seconds} s, as {} did",
                height.0,
                first.url()
            );
            Failure::new(Exit::Internal, message)
        };
        timeout(VALIDITY, waiting(client)).await.map_err(late)??;
    }
    Ok(())
}

/// Hands transactions in; whether there was room for all of them.
async fn hand_in(client: &Client, transactions: &[SignedTransaction]) -> Result<bool, Failure> {
    let answer = match client.submit_many(transactions).await {
        Ok(answer) => answer,
        Err(error) if error.kind() == Some(ErrorKind::Busy) => return Ok(false),
        Err(error) => return Err(Failure::new(Exit::Unreachable, error)),
    };
    let mut had_room = true;
    for error in answer.results.iter().filter_map(|result| result.error.as_ref()) {
        match error.kind() {
            Some(ErrorKind::AlreadyKnown) => {}
            Some(ErrorKind::Busy | ErrorKind::MempoolFull | ErrorKind::SenderFull) => had_room = false,
            _ => {
                let message = format_args!("preparing the accounts: {error}");
                return Err(Failure::new(Exit::Internal, message));
            }
        }
    }
    Ok(had_room)
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
