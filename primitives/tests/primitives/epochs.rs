//! Which heights an epoch covers, what its votes are bound to, and who may name a validator's key.
use quorate_primitives::hash::Hash;
use quorate_primitives::keys::Signature;
use quorate_primitives::numbers::{EpochNumber, Height};
use quorate_primitives::state::Parameters;
use quorate_primitives::validators::{EpochIdentity, Validator};

use crate::fixtures::{public, secret, validator, validators};
use crate::samples::{self, CHAIN};

fn of_length(epoch_length: u64) -> Parameters {
    Parameters { epoch_length, ..samples::parameters() }
}

#[test]
fn an_epoch_covers_the_heights_after_its_anchor_up_to_its_boundary() {
    let parameters = of_length(10);
    let epochs: Vec<u64> =
        [0, 1, 9, 10, 11, 20, 21, 30].map(|height| parameters.epoch_of(Height::new(height)).get()).into();
    assert_eq!(epochs, [0, 0, 0, 0, 1, 1, 2, 2]);
    for epoch in (0..50).map(EpochNumber::new) {
        let last = parameters.last_of(epoch);
        assert_eq!(parameters.epoch_of(last), epoch);
        assert_eq!(parameters.epoch_of(last.next()), epoch.next());
    }
}

#[test]
fn an_epoch_that_never_ends_by_itself_ends_with_no_height() {
    let parameters = of_length(u64::MAX / 2);
    assert_eq!(parameters.epoch_of(Height::new(u64::MAX / 2)), EpochNumber::ZERO);
    assert_eq!(parameters.last_of(EpochNumber::new(7)), Height::MAX);
}

#[test]
fn no_parameters_make_the_arithmetic_of_epochs_fail() {
    for length in [0, 1, u64::MAX] {
        let parameters = of_length(length);
        for number in [0, 1, u64::MAX] {
            assert!(parameters.epoch_of(Height::new(number)).get() <= number);
            assert!(parameters.last_of(EpochNumber::new(number)).get() >= length);
        }
    }
}

#[test]
fn the_next_epoch_is_bound_to_the_boundary_and_what_it_did() {
    let identity = samples::identity();
    let [_, (header, outcome)] = samples::blocks();
    let expected = EpochIdentity {
        epoch: EpochNumber::new(1),
        anchor: header.id(),
        anchor_outcome: outcome.digest(),
        validators: outcome.next_validators,
        ..identity
    };
    assert_eq!(identity.successor(header.id(), &outcome), expected);
}

fn proves(validator: &Validator, chain: &Hash, signature: Signature) -> bool {
    let check = validator.possession_check(chain, signature);
    check.key.verify(check.domain, &check.message, &check.signature)
}

#[test]
fn who_holds_the_key_proves_it_for_one_chain_name_and_organisation() {
    let joining = validator(5);
    let signature = joining.prove_possession(&CHAIN, &secret(5));
    assert!(proves(&joining, &CHAIN, signature));
    assert!(!proves(&joining, &Hash::ZERO, signature), "another chain");
    assert!(!proves(&Validator { name: validator(6).name, ..joining.clone() }, &CHAIN, signature));
    let organisation = "beta".parse().unwrap();
    assert!(!proves(&Validator { organisation, ..joining }, &CHAIN, signature));
}

#[test]
fn nobody_proves_the_key_of_another() {
    let joining = validator(5);
    assert!(!proves(&joining, &CHAIN, joining.prove_possession(&CHAIN, &secret(6))));
    let other = Validator { key: public(6), ..joining.clone() };
    assert!(!proves(&joining, &CHAIN, other.prove_possession(&CHAIN, &secret(6))));
}

#[test]
fn a_possession_is_no_vote_and_no_vote_is_a_possession() {
    let joining = &validators(1).members()[0].clone();
    let check = joining.possession_check(&CHAIN, joining.prove_possession(&CHAIN, &secret(1)));
    let as_vote = quorate_primitives::Domain::SignVote;
    assert!(!check.key.verify(as_vote, &check.message, &check.signature));
    assert!(!proves(joining, &CHAIN, secret(1).sign(as_vote, &check.message)));
}
