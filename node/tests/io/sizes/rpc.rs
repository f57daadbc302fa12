//! Clients read and submit what is largest over HTTP.
use std::time::Duration;

use quorate_node::io::timers::wall_clock;
use quorate_primitives::receipt::Verdict;
use quorate_primitives::transaction::{OUTPUTS_MAX, SignedTransaction, TRANSACTION_BYTES_MAX};
use quorate_primitives::{Hash, codec};
use quorate_rpc::Limits;
use quorate_rpc::api::SUBMIT_MANY_MAX;
use quorate_rpc::backend::{BlockAt, Bodies, Proofs};
use quorate_rpc::verify::Verifier;
use tempfile::TempDir;

use super::chain::{FULL, Full, Maker, found, validator};
use super::node::{Company, Served, full, run};

/// A node of the full chain and its client.
async fn reading() -> Served {
    Served::open(full(Company::default()).await, &FULL.genesis).await
}

/// The only validator of a new chain, its client, and who makes transactions for it.
async fn writing() -> (Served, Maker, Verifier) {
    let genesis = found(1, wall_clock());
    let home = TempDir::new().unwrap();
    let node = run(home.path(), &genesis, validator(0), Company::default()).await;
    let verifier = Verifier::new(genesis.trusted(), genesis.parameters.clone());
    (Served::open((home, node), &genesis).await, Maker::new(&genesis), verifier)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_full_block_can_be_read_page_by_page() {
    let node = reading().await;
    for Full { header, bundles, executed, .. } in &FULL.blocks {
        let (mut found, mut from) = (Vec::new(), Some(0));
        while let Some(bundle) = from {
            let block =
                node.client.block(BlockAt::Height(header.height), Bodies::From(bundle)).await.unwrap();
            assert_eq!(block.transactions.len(), executed.receipts().len());
            for body in block.bodies.unwrap() {
                found.extend(body.transactions.into_iter().map(|transaction| transaction.bytes.0));
            }
            from = block.next_bundle;
        }
        let all = bundles.iter().flat_map(|bundle| bundle.transactions());
        let all: Vec<Vec<u8>> = all.map(|signed| codec::encode(&**signed)).collect();
        assert!(found == all, "block {}", header.height);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_transactions_can_be_read_with_their_receipts_and_proofs() {
    let node = reading().await;
    let verifier = Verifier::new(FULL.genesis.trusted(), FULL.genesis.parameters.clone());
    for Full { bundles, executed, .. } in &FULL.blocks {
        let largest =
            bundles.iter().flat_map(|bundle| bundle.transactions()).max_by_key(|signed| signed.size());
        let largest = largest.unwrap();
        let answer = node.client.transaction(largest.id(), Proofs::Include).await.unwrap();
        let proven = verifier.receipt(largest.id(), &answer).unwrap().expect("it is in a block");
        assert!(executed.receipts().contains(&proven.receipt));
        assert!(proven.transaction.as_ref() == Some(&**largest));
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_transaction_is_submitted_and_proven_final() {
    let (node, mut maker, verifier) = writing().await;
    let largest = maker.largest();
    let wait = Duration::from_secs(60);
    let answer = node.client.submit_and_wait(&largest, wait, Proofs::Include).await.unwrap();
    let proven = verifier.receipt(largest.id(), &answer).unwrap().expect("it is in a block");
    assert_eq!(proven.receipt.verdict, Verdict::Committed);
    assert!(proven.receipt.events.len() > OUTPUTS_MAX);
    node.stop().await;
}

/// Bytes of a request beside its transactions, rounded up.
const REQUEST_FRAME: usize = 256;

/// The longest transactions of which `count` fit one request, each written as hexadecimal between quotes.
fn fitting(count: usize) -> usize {
    let room = usize::try_from(Limits::default().request_bytes).unwrap() - REQUEST_FRAME;
    ((room / count - 3) / 2).min(TRANSACTION_BYTES_MAX)
}

async fn submit_and_find(node: &Served, transactions: &[SignedTransaction]) {
    let answer = node.client.submit_many(transactions).await.unwrap();
    assert_eq!(usize::try_from(answer.accepted).unwrap(), transactions.len(), "{answer:?}");
    for signed in transactions {
        let wait = Duration::from_secs(60);
        let answer = node.client.submit_and_wait(signed, wait, Proofs::Omit).await.unwrap();
        let receipt = answer.receipt.expect("it is in a block");
        assert_eq!(receipt.failure, None);
    }
}

/// Two of them make a bundle, so a block has at least two, and pays more than 2,000 accounts.
#[tokio::test(flavor = "multi_thread")]
async fn as_many_of_the_largest_transactions_as_fit_a_request_become_final_together() {
    let (node, mut maker, _) = writing().await;
    let count = (1..).take_while(|count| fitting(*count) == TRANSACTION_BYTES_MAX).last().unwrap();
    let transactions: Vec<SignedTransaction> = (0..count).map(|_| maker.largest()).collect();
    submit_and_find(&node, &transactions).await;
    let reader = node.driver.reader();
    let height = |id: Hash| reader.position(&id).unwrap().unwrap().height;
    let heights: Vec<_> = transactions.iter().map(|signed| height(signed.id())).collect();
    let payments = |height| reader.receipts(height).unwrap().iter().map(|receipt| receipt.events.len()).sum();
    let most: usize = heights.into_iter().map(payments).max().unwrap();
    assert!(most > 2 * OUTPUTS_MAX, "{most} payments");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_transactions_that_fill_a_request_are_taken_at_once() {
    let (node, mut maker, _) = writing().await;
    let bytes = fitting(SUBMIT_MANY_MAX);
    let transactions: Vec<SignedTransaction> = (0..SUBMIT_MANY_MAX).map(|_| maker.single(bytes)).collect();
    submit_and_find(&node, &transactions).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_together_exceed_a_request_are_refused_with_the_limit() {
    let (node, mut maker, _) = writing().await;
    let limit = node.client.chain_info().await.unwrap().limits.unwrap().request_bytes_max;
    let transactions = vec![maker.largest(); 8];
    let refusal = node.client.submit_many(&transactions).await.unwrap_err();
    assert!(!refusal.is_node_fault(), "another node would not take it either");
    assert!(refusal.to_string().contains(&format!("{limit} bytes")), "{refusal}");
    node.stop().await;
}
