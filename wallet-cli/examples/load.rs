//! A simple load: transfers among the test accounts of a local testnet that have money, counted as they become final.
//!
//! `cargo run --release -p quorate-wallet-cli --example load -- HOME [COUNT] [PER_SECOND]`
//!
//! `HOME` is the folder of a running testnet. All transfers are signed before the clock starts. They are
//! offered to all nodes in turn, as fast as they are taken or at most `PER_SECOND`; what a node refuses
//! for the moment is offered again after the time that it names.
use std::env::args;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use quorate_genesis::Genesis;
use quorate_keystore::{Home, KeyFile};
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::{Blob, List};
use quorate_primitives::state::{AssetId, Symbol};
use quorate_primitives::transaction::{
    Action, Operation, Quantity, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::{Amount, Hash, Timestamp};
use quorate_rpc::backend::Proofs;
use quorate_rpc::client::{Client, Subscription};
use quorate_rpc::json::HeadEvent;

const CHUNK: usize = 250;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<()> {
    let mut words = args().skip(1);
    let home = Home::new(PathBuf::from(words.next().context("the folder of a testnet is missing")?));
    let count: usize = words.next().map_or(Ok(20_000), |word| word.parse())?;
    let rate: u64 = words.next().map_or(Ok(1_000_000), |word| word.parse())?;
    ensure!(rate > 0, "at least one transfer a second");

    let network = home.current_network()?.context("the folder has no current network")?;
    let (file, genesis) = home.network(&network)?;
    let chain = Genesis::parse(&genesis)?.hash();
    let clients = file.rpc().iter().map(|url| Client::new(url, Duration::from_secs(15)));
    let clients = clients.collect::<Result<Vec<_>, _>>()?;
    let watcher = clients.first().context("the network has no address")?;
    let mut keys = Vec::new();
    for name in home.key_names()? {
        let key = home.key(&name)?;
        if !watcher.balances(key.account(), Proofs::Omit).await?.balances.is_empty() {
            keys.push(key);
        }
    }
    ensure!(keys.len() >= 2, "at least two accounts with money are needed");
    let transfers = sign(chain, &keys, count)?;
    println!("signed {count} transfers of {} accounts", keys.len());
    let heads = watcher.subscribe_heads(None).await?;
    let started = Instant::now();
    let share = (rate / u64::try_from(clients.len())?).max(1);
    let parts = transfers.chunks(count.div_ceil(clients.len())).map(<[_]>::to_vec);
    let offers = clients.iter().cloned().zip(parts).map(|(client, part)| offer(client, part, share));
    let (seen, _) = tokio::try_join!(watch(heads, count), try_join_all(offers))?;
    let total = u64::try_from((seen.last - started).as_millis())?.max(1);
    println!(
        "{count} transfers final in {} blocks, {total} ms after the first was offered: {} a second",
        seen.blocks,
        u64::try_from(count)? * 1_000 / total
    );
    Ok(())
}

/// What was seen to become final.
struct Seen {
    blocks: u64,
    last: Instant,
}

/// Counts until as many transactions are final as were offered.
async fn watch(mut heads: Subscription<HeadEvent>, count: usize) -> Result<Seen> {
    let mut left = u64::try_from(count)?;
    let mut seen = Seen { blocks: 0, last: Instant::now() };
    while left > 0 {
        let event =
            tokio::time::timeout(PATIENCE, heads.next()).await.context("the chain stands still")??;
        let Some(event) = event else { bail!("the subscription ended: {:?}", heads.end()) };
        if event.head.transactions > 0 {
            left = left.saturating_sub(event.head.transactions.into());
            seen = Seen { blocks: seen.blocks + 1, last: Instant::now() };
        }
    }
    Ok(seen)
}

fn sign(chain: Hash, keys: &[KeyFile], count: usize) -> Result<Vec<SignedTransaction>> {
    let secrets = keys.iter().map(|key| key.open(None)).collect::<Result<Vec<_>, _>>()?;
    let accounts: Vec<AccountId> = keys.iter().map(KeyFile::account).collect();
    let asset = AssetId::derive(&Symbol::new("USD")?);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let valid_until = Timestamp::new(u64::try_from(now.as_millis())? + 600_000);
    let transfer = |number: usize| {
        let (from, to) = (number % keys.len(), (number + 1) % keys.len());
        let quantity = Quantity::Exact(Amount::new(1));
        let operation = Operation::Transfer { asset, to: accounts[to], quantity, tag: None };
        let transaction = Transaction {
            chain,
            version: TRANSACTION_VERSION,
            sender: accounts[from],
            nonce: rand::random(),
            valid_until,
            actions: List::of_one(Action { actor: None, operation }),
            asserts: List::default(),
            reference: Blob::default(),
            memo: Blob::default(),
            signers: List::of_one(keys[from].public_key()),
        };
        Ok(transaction.sign(std::slice::from_ref(&secrets[from]))?)
    };
    (0..count).map(transfer).collect()
}

/// Offers transfers to one node until it has taken them all.
async fn offer(client: Client, mut transfers: Vec<SignedTransaction>, rate: u64) -> Result<()> {
    let started = Instant::now();
    let mut offered = 0_u64;
    while !transfers.is_empty() {
        let due = started + Duration::from_millis(offered * 1_000 / rate);
        tokio::time::sleep_until(due.into()).await;
        let rest = transfers.split_off(transfers.len().min(CHUNK));
        let answer = client.submit_many(&transfers).await?;
        let mut again = Vec::new();
        let mut wait = 0;
        for (transfer, result) in transfers.into_iter().zip(&answer.results) {
            let Some(error) = &result.error else { continue };
            match error.data.as_ref().and_then(|data| data.retry_after_ms) {
                Some(after) => {
                    wait = wait.max(after.0);
                    again.push(transfer);
                }
                None => bail!("refused: {error}"),
            }
        }
        offered += u64::try_from(answer.results.len() - again.len())?;
        transfers = again;
        transfers.extend(rest);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    Ok(())
}
