//! Transactions and bundles for the tests of this folder.
use quorate_primitives::address::AccountId;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::codec::{Blob, List};
use quorate_primitives::state::Authority;
use quorate_primitives::transaction::{
    Action, Operation, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::{Hash, PublicKey, SecretKey, Signature, Timestamp};
use std::sync::Arc;
use zeroize::Zeroizing;

pub(super) fn peer(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

fn unsigned(number: u8) -> (Transaction, SecretKey) {
    let secret = SecretKey::from_seed(&Zeroizing::new([3; 32]));
    let key = secret.public_key();
    let operation = Operation::AuthoritySet { authority: Authority::single(key) };
    let transaction = Transaction {
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
    };
    (transaction, secret)
}

/// A signed transaction; those of different numbers differ.
pub(super) fn good(number: u8) -> SignedTransaction {
    let (transaction, secret) = unsigned(number);
    transaction.sign(&[secret]).unwrap()
}

/// The same with a signature of nothing.
pub(super) fn forged(number: u8) -> SignedTransaction {
    SignedTransaction::new(unsigned(number).0, vec![Signature::from_bytes([9; 64])]).unwrap()
}

pub(super) fn bundle(transactions: Vec<SignedTransaction>) -> Bundle {
    Bundle::from_shared(0, 1, transactions.into_iter().map(Arc::new).collect(), Vec::new()).unwrap()
}
