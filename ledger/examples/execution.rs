//! What one core needs to execute and to keep blocks of transfers, without a network.
//!
//! `cargo run --release -p quorate-ledger --example execution -- [ACCOUNTS] [TRANSFERS] [BLOCKS]`: blocks of
//! so many transfers between accounts drawn at random, each of an own sender as far as there are so many.
//! All figures are microseconds of processor time for one transfer; hashing a node of a tree alone is given beside them, since
//! machines differ.
use quorate_genesis::Genesis;
use quorate_ledger::Ledger;
use quorate_ledger::store::Rocks;
use quorate_primitives::address::{AccountId, Prefix};
use quorate_primitives::block::{Header, PROTOCOL_VERSION, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::codec::{Blob, List, Text};
use quorate_primitives::hash::{Domain, hash};
use quorate_primitives::keys::KnownKeys;
use quorate_primitives::signed::{Verified, verify_transactions};
use quorate_primitives::state::{
    Account, Asset, AssetId, Authority, Capabilities, Organisation, OrganisationId, Parameters, Status,
    Symbol,
};
use quorate_primitives::transaction::{
    Action, Operation, Quantity, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::validators::{Validator, ValidatorSet};
use quorate_primitives::{Amount, EpochNumber, Hash, SecretKey, Timestamp, View};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// That of the node.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const START: u64 = 1_800_000_000_000;
/// Time between two blocks, in ms.
const STEP_MS: u64 = 200;
/// How long each transfer stays valid, in ms.
const VALIDITY_MS: u64 = 20_000;
/// Transfers in a bundle.
const BUNDLE: usize = 500;

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Purse {
    id: AccountId,
    key: SecretKey,
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let mut next = |default| arguments.next().unwrap_or(Ok(default));
    let (accounts, transfers, blocks) = (next(10_000)?, next(2_000)?, next(20)?);
    let purses: Vec<Purse> = (0..accounts).map(purse).collect();
    let genesis = genesis(&purses)?;
    let folder = tempfile::tempdir()?;
    let mut ledger = Ledger::open(Arc::new(Rocks::open(&folder.path().join("database"))?), &genesis)?;
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (mut execute, mut commit, mut first) = (Duration::ZERO, Duration::ZERO, None);
    for number in 0..blocks {
        let time = Timestamp::new(START + STEP_MS * u64::try_from(number + 1)?);
        let bundles = bundles(ledger.head().state().chain(), &purses, (number, transfers), time, &mut rng)?;
        let header = header(&ledger, &bundles, time)?;
        let begun = processor_time()?;
        let parent = ledger.head().clone();
        let executed = ledger.execute(&parent, &header, &bundles);
        let took = processor_time()? - begun;
        execute += took;
        first.get_or_insert(took);
        assert_eq!(executed.receipts().len(), transfers, "every transfer is executed");
        let begun = processor_time()?;
        ledger.commit(executed, &bundles, None)?;
        drop(parent);
        commit += processor_time()? - begun;
    }
    let each = |time: Duration, count: usize| {
        let ns = time.as_nanos() / u128::try_from(count).unwrap_or(1).max(1);
        format!("{:5}.{:02}", ns / 1_000, ns % 1_000 / 10)
    };
    println!("{accounts} accounts, {blocks} blocks of {transfers} transfers, microseconds a transfer");
    println!(
        "execute  {}   (first block {})",
        each(execute, transfers * blocks),
        each(first.unwrap_or_default(), transfers)
    );
    println!("commit   {}", each(commit, transfers * blocks));
    println!("one hash {}", each(hashing()?, 100_000));
    Ok(())
}

fn hashing() -> Outcome<Duration> {
    let begun = processor_time()?;
    let mut last = [0_u8; 32];
    for _ in 0..100_000 {
        last = *hash(Domain::TreeInner, &[&[0, 1], &last, &last]).as_bytes();
    }
    std::hint::black_box(last);
    Ok(processor_time()? - begun)
}

/// What this thread has had of a processor, as Linux counts it: whatever else runs does not matter.
fn processor_time() -> Outcome<Duration> {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(Duration::from_nanos(counted.split(' ').next().ok_or("an empty count")?.parse()?))
}

fn purse(number: usize) -> Purse {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    let key = SecretKey::from_seed(&seed.into());
    Purse { id: AccountId::derive(&Authority::single(key.public_key()), &[0; 16]), key }
}

fn asset() -> Outcome<AssetId> {
    Ok(AssetId::derive(&Symbol::new("USD")?))
}

fn genesis(purses: &[Purse]) -> Outcome<Genesis> {
    let organisation = OrganisationId::new("bank")?;
    let first = purses.first().ok_or("at least one account")?;
    let account = |purse: &Purse| Account {
        organisation: organisation.clone(),
        authority: Authority::single(purse.key.public_key()),
        label: Text::default(),
        status: Status::Active,
    };
    let mut accounts: Vec<_> = purses.iter().map(|purse| (purse.id, account(purse))).collect();
    accounts.sort_by_key(|(id, _)| *id);
    let each = 1_000_000_000_u128;
    let supply = Amount::new(each * u128::try_from(purses.len())?);
    let usd = Asset {
        symbol: Symbol::new("USD")?,
        name: Text::default(),
        url: Text::default(),
        document: None,
        decimals: 2,
        cap: supply,
        supply,
        capabilities: Capabilities::NONE,
        issuer: first.id,
        status: Status::Active,
    };
    let validator =
        Validator { name: Text::new("v0")?, organisation: organisation.clone(), key: first.key.public_key() };
    let id = asset()?;
    Ok(Genesis {
        network: Text::new("bench")?,
        prefix: Prefix::new("qbench")?,
        time: Timestamp::new(START),
        parameters: Parameters {
            max_validity_ms: 600_000,
            clock_bound_ms: 500,
            marker_retention_ms: 60_000,
            epoch_length: 1 << 40,
            payload_bytes_max: 8 << 20,
        },
        organisations: vec![(organisation, Organisation { name: Text::new("bank")?, admin: first.id })],
        validators: ValidatorSet::new(vec![validator])?,
        balances: accounts.iter().map(|(account, _)| (*account, id, Amount::new(each))).collect(),
        accounts,
        assets: vec![(id, usd)],
        grants: Vec::new(),
    })
}

fn bundles(
    chain: Hash,
    purses: &[Purse],
    (block, transfers): (usize, usize),
    time: Timestamp,
    rng: &mut ChaCha20Rng,
) -> Outcome<Vec<Verified<Bundle>>> {
    let asset = asset()?;
    let mut signed: Vec<SignedTransaction> = Vec::new();
    for position in 0..transfers {
        let from = (block * transfers + position) % purses.len();
        let to = (from + rng.random_range(1..purses.len())) % purses.len();
        let (from, to) = (purses.get(from).ok_or("sender")?, purses.get(to).ok_or("recipient")?);
        let quantity = Quantity::Exact(Amount::new(1));
        let operation = Operation::Transfer { asset, to: to.id, quantity, tag: None };
        let transaction = Transaction {
            chain,
            version: TRANSACTION_VERSION,
            sender: from.id,
            nonce: rng.random(),
            valid_until: time.saturating_add(VALIDITY_MS),
            actions: List::new(vec![Action { actor: None, operation }])?,
            asserts: List::default(),
            reference: Blob::default(),
            memo: Blob::default(),
            signers: List::new(vec![from.key.public_key()])?,
        };
        signed.push(transaction.sign(std::slice::from_ref(&from.key))?);
    }
    let mut known = KnownKeys::new(65_536);
    let proven: Option<Vec<_>> = verify_transactions(signed, &mut known, rng).into_iter().collect();
    let proven = proven.ok_or("a signature is invalid")?;
    let bundle = |(sequence, part): (u64, &[_])| Verified::from_verified(0, sequence, part, Vec::new());
    let made: Option<Vec<_>> = (0..).zip(proven.chunks(BUNDLE)).map(bundle).collect();
    Ok(made.ok_or("a bundle is too large")?)
}

fn header(ledger: &Ledger, bundles: &[Verified<Bundle>], time: Timestamp) -> Outcome<Header> {
    let head = ledger.head();
    let ids = bundles.iter().map(|bundle| bundle.id()).collect();
    Ok(Header {
        chain: head.state().chain(),
        version: PROTOCOL_VERSION,
        epoch: EpochNumber::ZERO,
        view: View::new(head.height().next().get()),
        height: head.height().next(),
        parent: head.block(),
        parent_view: head.view(),
        proposer: 0,
        time,
        payload_root: Payload { bundles: List::new(ids)? }.root(),
    })
}
