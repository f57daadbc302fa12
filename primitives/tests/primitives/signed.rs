//! Only a value whose signatures hold becomes a verified one.
use quorate_primitives::EpochNumber;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::codec::{decode, encode};
use quorate_primitives::evidence::Accusation;
use quorate_primitives::keys::KnownKeys;
use quorate_primitives::signed::{Verified, verify_bundle, verify_bundles, verify_transactions};
use quorate_primitives::transaction::{SignedTransaction, Transaction};
use quorate_primitives::validators::EpochIdentity;
use std::sync::Arc;

use crate::fixtures::{public, rng};
use crate::samples::{self, ALICE, BOB};

fn payment(number: u8) -> SignedTransaction {
    samples::sign(Transaction { nonce: [number; 16], ..samples::payment() }, &[ALICE])
}

/// The transaction with a bit of its last signature flipped.
fn forged(signed: &SignedTransaction) -> SignedTransaction {
    let mut bytes = encode(signed);
    *bytes.iter_mut().nth_back(40).unwrap() ^= 4;
    decode(&bytes, 1 << 16).unwrap()
}

#[test]
fn each_transaction_has_its_own_verdict() {
    let both = samples::sign(samples::everything(), &[ALICE, BOB]);
    let transactions = vec![payment(1), forged(&payment(2)), payment(3), forged(&both), both.clone()];
    let found = verify_transactions(transactions, &mut KnownKeys::default(), &mut rng(1));
    let valid: Vec<bool> = found.iter().map(Option::is_some).collect();
    assert_eq!(valid, [true, false, true, false, true]);
    assert_eq!(found[4].as_ref().unwrap().id(), both.id());
}

#[test]
fn a_bundle_names_its_first_forged_transaction() {
    let of = |transactions: Vec<SignedTransaction>| {
        Bundle::from_shared(1, 2, transactions.into_iter().map(Arc::new).collect(), Vec::new()).unwrap()
    };
    let good = of(vec![payment(1), payment(2)]);
    assert_eq!(verify_bundle(good.clone(), &mut KnownKeys::default(), &mut rng(1)).unwrap().id(), good.id());
    let bad = of(vec![payment(1), payment(2), forged(&payment(3)), forged(&payment(4))]);
    assert_eq!(verify_bundle(bad, &mut KnownKeys::default(), &mut rng(1)), Err(2));
}

#[test]
fn bundles_proven_together_have_the_verdicts_that_each_has_alone() {
    let of = |transactions: Vec<SignedTransaction>| {
        Bundle::from_shared(1, 2, transactions.into_iter().map(Arc::new).collect(), Vec::new()).unwrap()
    };
    let good = of(vec![payment(1), payment(2)]);
    let bad = of(vec![payment(3), forged(&payment(4))]);
    let worse = of(vec![forged(&payment(5)), forged(&payment(6))]);
    for bundles in [
        vec![],
        vec![good.clone()],
        vec![bad.clone()],
        vec![good.clone(), of(vec![payment(7)]), good.clone()],
        vec![good.clone(), bad, of(vec![payment(8)]), worse, good],
    ] {
        let together = verify_bundles(bundles.clone(), &mut KnownKeys::default(), &mut rng(1));
        let each = |bundle| verify_bundle(bundle, &mut KnownKeys::default(), &mut rng(2));
        assert_eq!(together, bundles.into_iter().map(each).collect::<Vec<_>>());
    }
}

#[test]
fn a_bundle_with_a_forged_accusation_is_not_proven() {
    let with = |accusation: Accusation| {
        Bundle::from_shared(1, 2, vec![Arc::new(payment(1))], vec![samples::accusation(), accusation])
            .unwrap()
    };
    let good = samples::accusation();
    assert!(verify_bundle(with(good.clone()), &mut KnownKeys::default(), &mut rng(1)).is_ok());
    let other_key = Accusation { validator: public(3), ..good.clone() };
    let other_epoch = Accusation {
        identity: EpochIdentity { epoch: EpochNumber::new(1), ..good.identity },
        ..good.clone()
    };
    let mut other_signer = good.clone();
    other_signer.evidence.second.signature = good.evidence.first.signature;
    for forged in [other_key, other_epoch, other_signer] {
        // One transaction and one good accusation stand before it.
        assert_eq!(verify_bundle(with(forged), &mut KnownKeys::default(), &mut rng(1)), Err(2));
    }
}

#[test]
fn a_bundle_of_verified_transactions_is_the_bundle_of_these_transactions() {
    let verified: Vec<Verified<SignedTransaction>> =
        verify_transactions(vec![payment(1), payment(2)], &mut KnownKeys::default(), &mut rng(1))
            .into_iter()
            .flatten()
            .collect();
    let bundle = Verified::<Bundle>::from_verified(3, 4, &verified, vec![samples::accusation()]).unwrap();
    assert_eq!((bundle.author(), bundle.sequence(), bundle.transactions().len()), (3, 4, 2));
    assert_eq!(bundle.accusations(), [samples::accusation()]);
    assert_eq!(decode::<Bundle>(&encode(&*bundle), 1 << 16).unwrap().id(), bundle.id());
    assert_eq!(bundle.verified_transactions().collect::<Vec<_>>(), verified);
    assert_eq!(Verified::<Bundle>::from_verified(3, 4, &[], Vec::new()), None);
}

#[test]
fn no_byte_of_a_signed_transaction_can_be_changed() {
    let bytes = encode(&samples::sign(samples::everything(), &[ALICE, BOB]));
    let read = |position: usize| {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        decode::<SignedTransaction>(&changed, 1 << 16).ok()
    };
    let readable: Vec<SignedTransaction> = (0..bytes.len()).filter_map(read).collect();
    assert!(readable.len() > bytes.len() / 2);
    assert!(
        verify_transactions(readable, &mut KnownKeys::default(), &mut rng(2)).iter().all(Option::is_none)
    );
}
