//! Writes a testnet of one validator whose chain is long already, to see how a node starts on it.
//!
//! `cargo run --release -p quorate-node --example long_chain -- DIR [BLOCKS] [EPOCH_LENGTH]`, then
//! `quorate testnet --dir DIR`. Every block holds one transfer and has a certificate of the validator, and
//! all was executed: the folder is what it would be had the validator made a block every 50 ms.
use quorate_genesis::Genesis;
use quorate_ledger::store::Rocks;
use quorate_ledger::{Executed, Ledger};
use quorate_node::testnet::folder::Folder;
use quorate_node::testnet::founding::{Plan, SYMBOL, key_holders};
use quorate_node::testnet::{generate, node_name, seeds};
use quorate_primitives::address::AccountId;
use quorate_primitives::block::{Header, PROTOCOL_VERSION, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::{Certificate, Claim};
use quorate_primitives::codec::{Blob, List};
use quorate_primitives::keys::KnownKeys;
use quorate_primitives::signed::{Verified, verify_transactions};
use quorate_primitives::state::{AssetId, Authority, Symbol};
use quorate_primitives::transaction::{Action, Operation, Quantity, TRANSACTION_VERSION, Transaction};
use quorate_primitives::validators::{EpochIdentity, Signers};
use quorate_primitives::{Amount, SecretKey, Timestamp, View};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Time between two blocks, in ms.
const STEP_MS: u64 = 50;
/// How long each transfer stays valid, in ms.
const VALIDITY_MS: u64 = 20_000;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Who makes the blocks, and who pays whom in them.
struct Cast {
    validator: SecretKey,
    payer: (AccountId, SecretKey),
    payee: AccountId,
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = Folder::new(Path::new(&arguments.next().ok_or("expected the folder to be written")?))?;
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (blocks, epoch_length) = (number(1_000_000)?, number(1_000)?);
    let plan = Plan { seed: "1".to_owned(), validators: 1, added: 0, epoch_length, block_time: None };
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let begun = now.checked_sub((blocks + 1_000) * STEP_MS).ok_or("too many blocks")?;
    let genesis = generate::create(&folder, &plan, Timestamp::new(begun))?;
    let cast = cast(&genesis, &plan.seed)?;
    let data = folder.node(&node_name(0)).join("data");
    std::fs::create_dir_all(&data)?;
    let mut ledger = Ledger::open(Arc::new(Rocks::open(&data.join("ledger"))?), &genesis)?;
    let mut identity = *genesis.trusted().identity();
    let mut rng = StdRng::seed_from_u64(1);
    for height in 1..=blocks {
        let head = ledger.head().clone();
        let time = Timestamp::new(begun + height * STEP_MS);
        let bundles = vec![bundle(&head, &cast, time, &mut rng)?];
        let header = header(&head, &identity, &bundles, time)?;
        let executed = ledger.execute(&head, &header, &bundles);
        let certificate = certify(&executed, &identity, &cast.validator)?;
        let is_last = genesis.parameters.last_of(identity.epoch) == executed.height();
        if is_last {
            identity = identity.successor(executed.block(), executed.outcome());
        }
        ledger.commit(executed, &bundles, Some(certificate))?;
        if height % 50_000 == 0 {
            ledger.sync()?;
            writeln!(std::io::stderr(), "{height} blocks")?;
        }
    }
    Ok(ledger.sync()?)
}

fn cast(genesis: &Genesis, seed: &str) -> Outcome<Cast> {
    let mut holders = key_holders().map(|holder| {
        let key = seeds::key(seed, holder.name);
        let authority = Authority::single(key.public_key());
        let account = genesis.accounts.iter().find(|(_, account)| account.authority == authority);
        account.map(|(id, _)| (*id, key))
    });
    let mut next = || holders.next().flatten().ok_or("an account of the testnet is missing");
    let (payer, (payee, _)) = (next()?, next()?);
    Ok(Cast { validator: seeds::key(seed, &node_name(0)), payer, payee })
}

fn bundle(head: &Executed, cast: &Cast, time: Timestamp, rng: &mut StdRng) -> Outcome<Verified<Bundle>> {
    let (sender, key) = &cast.payer;
    let operation = Operation::Transfer {
        asset: AssetId::derive(&Symbol::new(SYMBOL)?),
        to: cast.payee,
        quantity: Quantity::Exact(Amount::new(1)),
        tag: None,
    };
    let transaction = Transaction {
        chain: head.state().chain(),
        version: TRANSACTION_VERSION,
        sender: *sender,
        nonce: rng.random(),
        valid_until: time.saturating_add(VALIDITY_MS),
        actions: List::new(vec![Action { actor: None, operation }])?,
        asserts: List::default(),
        reference: Blob::default(),
        memo: Blob::default(),
        signers: List::new(vec![key.public_key()])?,
    };
    let signed = vec![transaction.sign(std::slice::from_ref(key))?];
    let proven: Option<Vec<_>> =
        verify_transactions(signed, &mut KnownKeys::default(), rng).into_iter().collect();
    let proven = proven.ok_or("a signature is invalid")?;
    Ok(Verified::from_verified(0, head.height().get(), &proven, Vec::new())
        .ok_or("the bundle is too large")?)
}

fn header(
    head: &Executed,
    identity: &EpochIdentity,
    bundles: &[Verified<Bundle>],
    time: Timestamp,
) -> Outcome<Header> {
    // Turns are counted anew in each epoch.
    let is_same_epoch = head.header().is_some_and(|header| header.epoch == identity.epoch);
    let parent_view = if is_same_epoch { head.view() } else { View::ZERO };
    let ids = bundles.iter().map(|bundle| bundle.id()).collect();
    Ok(Header {
        chain: identity.chain,
        version: PROTOCOL_VERSION,
        epoch: identity.epoch,
        view: parent_view.next(),
        height: head.height().next(),
        parent: head.block(),
        parent_view,
        proposer: 0,
        time,
        payload_root: Payload { bundles: List::new(ids)? }.root(),
    })
}

fn certify(executed: &Executed, identity: &EpochIdentity, key: &SecretKey) -> Outcome<Certificate> {
    let outcome = executed.outcome().digest();
    let claim = Claim::Finalize { view: executed.view(), block: executed.block(), outcome };
    let signature = claim.sign(&identity.context(), 0, key).signature;
    Ok(Certificate { claim, signers: Signers::all(1), signatures: List::new(vec![signature])? })
}
