//! What the checking threads promise: one verdict for everything they take.
use std::sync::Arc;
use std::time::Duration;

use quorate_node::io::counters::Counters;
use quorate_node::io::verify::{Job, Outcome, Pool, Reply, SubmitError};
use quorate_primitives::address::AccountId;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::Claim;
use quorate_primitives::codec::{self, Blob, List};
use quorate_primitives::evidence::{Accusation, Evidence};
use quorate_primitives::hash::Domain;
use quorate_primitives::keys::SignatureCheck;
use quorate_primitives::state::Authority;
use quorate_primitives::transaction::{
    Action, Operation, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::validators::EpochIdentity;
use quorate_primitives::{EpochNumber, Hash, PublicKey, SecretKey, Signature, Timestamp, View};
use quorate_replica::{Admitted, CheckTicket, Event, PeerMessage};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// Every wait ends here with a failed test instead of a hanging one.
const PATIENCE: Duration = Duration::from_secs(60);

fn secret() -> SecretKey {
    SecretKey::from_seed(&Zeroizing::new([3; 32]))
}

fn peer(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

fn unsigned(number: u8) -> Transaction {
    let key = secret().public_key();
    let operation = Operation::AuthoritySet { authority: Authority::single(key) };
    Transaction {
        chain: Hash::ZERO,
        version: TRANSACTION_VERSION,
        sender: AccountId::derive(&Authority::single(key), &[0; 16]),
        nonce: [number; 16],
        valid_until: Timestamp::new(1),
        actions: List::new(vec![Action { actor: None, operation }]).unwrap(),
        asserts: List::default(),
        reference: Blob::default(),
        memo: Blob::default(),
        signers: List::new(vec![key]).unwrap(),
    }
}

fn good(number: u8) -> SignedTransaction {
    unsigned(number).sign(&[secret()]).unwrap()
}

fn forged(number: u8) -> SignedTransaction {
    SignedTransaction::new(unsigned(number), vec![Signature::from_bytes([9; 64])]).unwrap()
}

fn pool() -> (Pool, mpsc::UnboundedReceiver<Outcome>, Arc<Counters>) {
    let (sender, outcomes) = mpsc::unbounded_channel();
    let counters = Arc::new(Counters::default());
    let outlet = Box::new(move |outcome| drop(sender.send(outcome)));
    (Pool::start(2, Arc::clone(&counters), outlet).unwrap(), outcomes, counters)
}

async fn next(outcomes: &mut mpsc::UnboundedReceiver<Outcome>) -> Outcome {
    let next = tokio::time::timeout(PATIENCE, outcomes.recv()).await;
    next.expect("no outcome came").expect("the pool ended")
}

fn bundle(transactions: Vec<SignedTransaction>) -> Vec<u8> {
    accusing(transactions, Vec::new())
}

fn accusing(transactions: Vec<SignedTransaction>, accusations: Vec<Accusation>) -> Vec<u8> {
    let shared = transactions.into_iter().map(Arc::new).collect();
    codec::encode(&PeerMessage::Bundle(Bundle::from_shared(0, 1, shared, accusations).unwrap()))
}

/// Two votes for different blocks of one view, the second one signed by `second`.
fn accusation(second: &SecretKey) -> Accusation {
    let identity = EpochIdentity {
        chain: Hash::ZERO,
        epoch: EpochNumber::ZERO,
        anchor: Hash::ZERO,
        anchor_outcome: Hash::ZERO,
        validators: Hash::ZERO,
        parameters: Hash::ZERO,
        version: 1,
    };
    let vote = |block: u8, key: &SecretKey| {
        let claim = Claim::Notarize { view: View::new(3), block: Hash::from_bytes([block; 32]) };
        claim.sign(&identity.context(), 2, key)
    };
    let evidence = Evidence { first: vote(1, &secret()), second: vote(2, second) };
    Accusation { identity, validator: secret().public_key(), evidence }
}

#[tokio::test]
async fn each_submitted_transaction_gets_its_own_verdict() {
    let (pool, mut outcomes, _) = pool();
    let mut answers = Vec::new();
    let mut batch = Vec::new();
    for number in 0..40 {
        let (reply, answer) = Reply::new();
        batch.push((if number % 4 == 3 { forged(number) } else { good(number) }, reply));
        answers.push(answer);
    }
    pool.submit(batch);
    for _ in 0..30 {
        let Outcome::Submitted(transaction, _) = next(&mut outcomes).await else {
            panic!("not a submission")
        };
        assert_ne!(transaction.transaction().nonce[0] % 4, 3);
    }
    for (number, answer) in answers.into_iter().enumerate() {
        let expected = if number % 4 == 3 { Ok(Err(SubmitError::BadSignature)) } else { Err(()) };
        assert_eq!(answer.await.map_err(|_| ()), expected, "transaction {number}");
    }
    pool.stop();
}

#[tokio::test]
async fn what_peers_send_and_clients_submit_at_once_is_judged_each_for_itself() {
    let (pool, mut outcomes, _) = pool();
    let mut answers = Vec::new();
    for number in 0..20 {
        // Each fifth bundle and each third submission is forged, by peers of their own.
        let mixed = if number % 5 == 4 { forged(number) } else { good(number) };
        let content = bundle(vec![good(number + 50), mixed]);
        pool.push(Job::Frame { from: peer(number), content }).unwrap();
        let (reply, answer) = Reply::new();
        let submitted = if number % 3 == 2 { forged(number + 100) } else { good(number + 100) };
        pool.submit(vec![(submitted, reply)]);
        answers.push(answer);
    }
    let (mut proven, mut blamed, mut submitted) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..20 + 14 {
        match next(&mut outcomes).await {
            Outcome::Event(Event::Bundle { from, bundle }, _) => {
                assert_eq!(bundle.transactions().len(), 2);
                proven.push(from.unwrap().as_bytes()[0]);
            }
            Outcome::Violation { peer, .. } => blamed.push(peer.as_bytes()[0]),
            Outcome::Submitted(transaction, _) => submitted.push(transaction.transaction().nonce[0] - 100),
            _ => panic!("another outcome"),
        }
    }
    for list in [&mut proven, &mut blamed, &mut submitted] {
        list.sort_unstable();
    }
    assert_eq!(blamed, [4, 9, 14, 19]);
    assert_eq!(proven, (0..20).filter(|number| number % 5 != 4).collect::<Vec<_>>());
    assert_eq!(submitted, (0..20).filter(|number| number % 3 != 2).collect::<Vec<_>>());
    for (number, answer) in answers.into_iter().enumerate() {
        let expected = if number % 3 == 2 { Ok(Err(SubmitError::BadSignature)) } else { Err(()) };
        assert_eq!(answer.await.map_err(|_| ()), expected, "submission {number}");
    }
    pool.stop();
}

#[tokio::test]
async fn checks_of_the_protocol_name_the_invalid_positions() {
    let (pool, mut outcomes, _) = pool();
    let check = |message: &[u8]| SignatureCheck {
        key: secret().public_key(),
        domain: Domain::SignVote,
        message: message.to_vec(),
        signature: secret().sign(Domain::SignVote, b"right"),
    };
    pool.check(CheckTicket::Sync(5), vec![check(b"right"), check(b"wrong"), check(b"right")]);
    let Outcome::Checked { ticket, bad } = next(&mut outcomes).await else { panic!("not a verdict") };
    assert_eq!((ticket, bad), (CheckTicket::Sync(5), vec![1]));
    pool.stop();
}

#[tokio::test]
async fn bundles_are_proven_once_and_forged_ones_are_blamed() {
    let (pool, mut outcomes, counters) = pool();
    let frame = |content| Job::Frame { from: peer(1), content };
    let checked = || counters.signatures_checked.load(std::sync::atomic::Ordering::Relaxed);
    pool.push(frame(bundle(vec![good(1), good(2)]))).unwrap();
    let Outcome::Event(Event::Bundle { from, .. }, _) = next(&mut outcomes).await else {
        panic!("not a bundle")
    };
    assert_eq!((from, checked()), (Some(peer(1)), 2));
    // One transaction is known, one is new: only the new one is checked.
    pool.push(frame(bundle(vec![good(2), good(3)]))).unwrap();
    let Outcome::Event(Event::Bundle { bundle: proven, .. }, _) = next(&mut outcomes).await else {
        panic!("not a bundle")
    };
    assert_eq!((proven.transactions().len(), checked()), (2, 3));
    // The same transaction under another signature is another thing.
    for content in [bundle(vec![good(1), forged(2)]), vec![2, 0, 0], vec![200]] {
        pool.push(frame(content)).unwrap();
        let Outcome::Violation { peer: blamed, .. } = next(&mut outcomes).await else { panic!("not blamed") };
        assert_eq!(blamed, peer(1));
    }
    pool.stop();
}

#[tokio::test]
async fn accusations_are_proven_whether_or_not_the_transactions_beside_them_are_known() {
    let (pool, mut outcomes, counters) = pool();
    let push = |content| pool.push(Job::Frame { from: peer(1), content }).unwrap();
    let checked = || counters.signatures_checked.load(std::sync::atomic::Ordering::Relaxed);
    let forged = accusation(&SecretKey::from_seed(&Zeroizing::new([4; 32])));
    for (transactions, signatures) in [(vec![], 2), (vec![good(1), good(2)], 6), (vec![good(2), good(3)], 9)]
    {
        push(accusing(transactions.clone(), vec![accusation(&secret())]));
        let Outcome::Event(Event::Bundle { bundle: proven, .. }, _) = next(&mut outcomes).await else {
            panic!("not a bundle")
        };
        assert_eq!((proven.transactions().len(), proven.accusations().len()), (transactions.len(), 1));
        assert_eq!(checked(), signatures);
    }
    for transactions in [vec![], vec![good(1)], vec![good(9)]] {
        push(accusing(transactions, vec![accusation(&secret()), forged.clone()]));
        assert!(matches!(next(&mut outcomes).await, Outcome::Violation { .. }), "a forged vote was believed");
    }
    pool.stop();
}

#[tokio::test]
async fn a_malformed_answer_ends_the_question_and_is_blamed() {
    let (pool, mut outcomes, _) = pool();
    pool.push(Job::Answer { request: 9, from: peer(1), content: vec![250] }).unwrap();
    assert!(matches!(next(&mut outcomes).await, Outcome::Violation { .. }));
    let Outcome::Event(Event::Answered { request, answer, .. }, _) = next(&mut outcomes).await else {
        panic!("the question did not end")
    };
    assert!(request == 9 && answer.is_none());
    pool.stop();
}

#[tokio::test]
async fn no_more_is_taken_than_the_replica_has_room_for() {
    let (pool, mut outcomes, _) = pool();
    pool.set_room(2);
    let submit = |number| {
        let (reply, answer) = Reply::new();
        pool.submit(vec![(good(number), reply)]);
        answer
    };
    let (first, second, third) = (submit(1), submit(2), submit(3));
    assert!(matches!(third.await, Ok(Err(SubmitError::Busy { .. }))));
    assert!(pool.busy_ms().is_some());
    let Outcome::Submitted(_, reply) = next(&mut outcomes).await else { panic!("not a submission") };
    reply.send(Ok(Admitted::Pending));
    assert_eq!(first.await, Ok(Ok(Admitted::Pending)));
    assert_eq!(pool.busy_ms(), None);
    // An answer makes room for one.
    let (fourth, fifth) = (submit(4), submit(5));
    assert!(matches!(fifth.await, Ok(Err(SubmitError::Busy { .. }))));
    for answer in [second, fourth] {
        let Outcome::Submitted(_, reply) = next(&mut outcomes).await else { panic!("not a submission") };
        reply.send(Ok(Admitted::Pending));
        assert_eq!(answer.await, Ok(Ok(Admitted::Pending)));
    }
    pool.stop();
}

#[tokio::test]
async fn what_is_submitted_after_the_stop_is_answered() {
    let (pool, _outcomes, _) = pool();
    pool.stop();
    let (reply, answer) = Reply::new();
    pool.submit(vec![(good(1), reply)]);
    assert!(matches!(answer.await, Ok(Err(SubmitError::Busy { .. }))));
    assert!(pool.push(Job::Frame { from: peer(1), content: vec![1] }).is_err());
}
