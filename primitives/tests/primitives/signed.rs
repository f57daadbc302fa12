//! Only a value whose signatures hold becomes a verified one.
use quorate_primitives::EpochNumber;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::codec::{decode, encode};
use quorate_primitives::evidence::Accusation;
use quorate_primitives::keys::KnownKeys;
use quorate_primitives::signed::{
    Group, PartlyVerified, ProvenGroup, Verified, verify_bundle, verify_groups, verify_transactions,
};
use quorate_primitives::transaction::{SignedTransaction, Transaction};
use quorate_primitives::validators::EpochIdentity;
use rand::RngExt;
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

fn bundle(transactions: Vec<SignedTransaction>) -> Bundle {
    Bundle::from_shared(1, 2, transactions.into_iter().map(Arc::new).collect(), Vec::new()).unwrap()
}

fn unknown(bundle: &Bundle) -> PartlyVerified {
    PartlyVerified::new(bundle.clone(), |_| None)
}

#[test]
fn what_is_proven_together_has_the_verdicts_that_it_has_alone() {
    let (good, other) = (bundle(vec![payment(1), payment(2)]), bundle(vec![payment(7)]));
    let accusing = Bundle::from_shared(1, 2, Vec::new(), vec![samples::accusation()]).unwrap();
    let mut accusation = samples::accusation();
    accusation.evidence.second.signature = accusation.evidence.first.signature;
    let slander = Bundle::from_shared(1, 2, vec![Arc::new(payment(1))], vec![accusation]).unwrap();
    let bad = bundle(vec![payment(3), forged(&payment(4))]);
    let worse = bundle(vec![forged(&payment(5)), forged(&payment(6))]);
    let (fine, faulty) = (payment(8), forged(&payment(9)));
    let bundles = [good, other, accusing, slander, bad, worse];
    let transactions = [fine, faulty, payment(1), forged(&payment(2))];
    let mut random = rng(9);
    for case in 0..400 {
        // A third of the cases have nothing invalid, so that the common batch decides them.
        let valid_only = case % 3 == 0;
        let mut expected = Vec::new();
        let mut groups = Vec::new();
        for _ in 0..random.random_range(0..4) {
            let (mut group, mut verdicts) = (Group::default(), (Vec::new(), Vec::new()));
            for _ in 0..random.random_range(0..4) {
                let pick = random.random_range(0..if valid_only { 3 } else { bundles.len() });
                group.bundles.push(unknown(&bundles[pick]));
                verdicts.0.push((pick < 3).then(|| bundles[pick].id()));
            }
            for _ in 0..random.random_range(0..4) {
                let pick = if valid_only { 0 } else { random.random_range(0..transactions.len()) };
                group.transactions.push(transactions[pick].clone());
                verdicts.1.push((pick % 2 == 0).then(|| transactions[pick].id()));
            }
            groups.push(group);
            expected.push(verdicts);
        }
        let proven = verify_groups(groups, &mut KnownKeys::new(8), &mut rng(case));
        let ids = |group: ProvenGroup| {
            let bundles = group.bundles.iter().map(|bundle| Some(bundle.as_ref()?.id())).collect::<Vec<_>>();
            let transactions = group.transactions.iter().map(|signed| Some(signed.as_ref()?.id()));
            (bundles, transactions.collect::<Vec<_>>())
        };
        assert_eq!(proven.into_iter().map(ids).collect::<Vec<_>>(), expected, "case {case}");
    }
}

#[test]
fn a_forged_twin_of_a_valid_transaction_is_not_taken_for_it() {
    // Both have the same id, in either order, in bundles and alone.
    let (good, twin) = (payment(1), forged(&payment(1)));
    assert_eq!(good.id(), twin.id());
    for transactions in [vec![good.clone(), twin.clone(), good.clone()], vec![twin.clone(), good.clone()]] {
        let valid: Vec<bool> = transactions.iter().map(|signed| *signed == good).collect();
        let bundles = transactions.iter().map(|signed| unknown(&bundle(vec![signed.clone()]))).collect();
        let groups = vec![Group { bundles, transactions }];
        let proven = verify_groups(groups, &mut KnownKeys::default(), &mut rng(1)).pop().unwrap();
        assert_eq!(proven.bundles.iter().map(Option::is_some).collect::<Vec<_>>(), valid);
        assert_eq!(proven.transactions.iter().map(Option::is_some).collect::<Vec<_>>(), valid);
    }
}

#[test]
fn only_the_proof_of_the_very_same_transaction_spares_its_check() {
    let prove = |signed| {
        verify_transactions(vec![signed], &mut KnownKeys::default(), &mut rng(1)).pop().flatten().unwrap()
    };
    let known = prove(payment(1));
    let partly = |signed: SignedTransaction| {
        PartlyVerified::new(bundle(vec![payment(2), signed]), |asked| {
            (asked.id() == known.id()).then(|| known.clone())
        })
    };
    let same = partly(payment(1));
    assert_eq!(same.unproven().collect::<Vec<_>>(), [&payment(2)]);
    assert_eq!(same.bundle(), &bundle(vec![payment(2), payment(1)]));
    let twin = partly(forged(&payment(1)));
    assert_eq!(twin.unproven().count(), 2);
    // A proof of something else, whatever is asked.
    let wrong = PartlyVerified::new(bundle(vec![forged(&payment(3))]), |_| Some(known.clone()));
    assert_eq!(wrong.unproven().count(), 1);
    let groups = vec![Group { bundles: vec![same, twin, wrong], transactions: Vec::new() }];
    let proven = verify_groups(groups, &mut KnownKeys::default(), &mut rng(1)).pop().unwrap();
    assert_eq!(proven.bundles.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(proven.bundles[0].as_deref(), Some(&bundle(vec![payment(2), payment(1)])));
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
