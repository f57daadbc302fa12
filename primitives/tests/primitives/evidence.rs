//! Which votes convict, and what an accusation proves by itself.
use quorate_primitives::certificate::{Claim, Vote};
use quorate_primitives::evidence::{Accusation, AccusationError, Evidence, EvidenceKind, conflict};
use quorate_primitives::hash::Hash;
use quorate_primitives::keys::SignatureCheck;
use quorate_primitives::numbers::View;

use crate::fixtures::{public, secret};
use crate::samples;

fn claims(view: u64, byte: u8) -> [Claim; 3] {
    let (view, block, outcome) =
        (View::new(view), Hash::from_bytes([byte; 32]), Hash::from_bytes([byte; 32]));
    [Claim::Notarize { view, block }, Claim::Nullify { view }, Claim::Finalize { view, block, outcome }]
}

fn accuse(first: Claim, second: Claim) -> Accusation {
    let context = samples::identity().context();
    let vote = |claim: Claim| claim.sign(&context, 1, &secret(2));
    let evidence = Evidence { first: vote(first), second: vote(second) };
    Accusation { evidence, ..samples::accusation() }
}

fn holds(check: &SignatureCheck) -> bool {
    check.key.verify(check.domain, &check.message, &check.signature)
}

#[test]
fn exactly_three_pairs_of_claims_convict() {
    let [notarize, nullify, finalize] = claims(4, 1);
    let [other_notarize, _, other_finalize] = claims(4, 2);
    let convicts = [
        (notarize, other_notarize, EvidenceKind::DoubleNotarize),
        (finalize, other_finalize, EvidenceKind::DoubleFinalize),
        (nullify, finalize, EvidenceKind::NullifyAndFinalize),
    ];
    for (first, second, kind) in convicts {
        assert_eq!(accuse(first, second).check(), Ok(kind));
        assert_eq!(accuse(second, first).check(), Ok(kind));
    }
}

#[test]
fn claims_that_an_honest_validator_makes_convict_nobody() {
    let [notarize, nullify, finalize] = claims(4, 1);
    let later = claims(5, 2);
    let honest = [
        (notarize, nullify),
        (notarize, finalize),
        (notarize, notarize),
        (nullify, nullify),
        (finalize, finalize),
    ];
    let over_views = [notarize, nullify, finalize].into_iter().flat_map(|a| later.map(|b| (a, b)));
    for (first, second) in honest.into_iter().chain(over_views) {
        assert_eq!(accuse(first, second).check(), Err(AccusationError::NoConflict), "{first:?} {second:?}");
        assert_eq!(conflict(&second, &first), None);
    }
}

#[test]
fn one_outcome_too_many_convicts() {
    let [_, _, Claim::Finalize { view, block, outcome }] = claims(4, 1) else { panic!("not a finalize") };
    let other = Claim::Finalize { view, block, outcome: Hash::ZERO };
    let first = Claim::Finalize { view, block, outcome };
    assert_eq!(accuse(first, other).check(), Ok(EvidenceKind::DoubleFinalize));
}

#[test]
fn the_votes_of_two_validators_convict_neither() {
    let good = samples::accusation();
    let second = Vote { signer: 2, ..good.evidence.second.clone() };
    let evidence = Evidence { second, ..good.evidence.clone() };
    assert_eq!(evidence.kind(), None);
    let accusation = Accusation { evidence, ..good };
    assert_eq!(accusation.check(), Err(AccusationError::TwoSigners { first: 1, second: 2 }));
}

#[test]
fn an_accusation_stands_by_both_signatures_of_the_accused() {
    let good = samples::accusation();
    assert!(good.signature_checks().iter().all(holds));
    assert!(good.signature_checks().iter().all(|check| check.key == public(2)));
    let mut forged = good.clone();
    forged.evidence.second.signature = good.evidence.first.signature;
    assert_eq!(forged.signature_checks().map(|check| holds(&check)), [true, false]);
}

#[test]
fn an_accusation_under_another_key_or_in_another_epoch_proves_nothing() {
    let good = samples::accusation();
    let other_key = Accusation { validator: public(3), ..good.clone() };
    let mut identity = good.identity;
    identity.anchor = Hash::ZERO;
    let other_context = Accusation { identity, ..good };
    for accusation in [other_key, other_context] {
        assert_eq!(accusation.signature_checks().map(|check| holds(&check)), [false, false]);
    }
}
