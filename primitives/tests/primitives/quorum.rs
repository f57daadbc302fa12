//! The quorum law, and sets of validators.
use quorate_primitives::codec::{self, Text};
use quorate_primitives::keys::PublicKey;
use quorate_primitives::validators::{
    SetError, Signers, VALIDATORS_MAX, Validator, ValidatorSet, faulty_max, quorum,
};

use crate::fixtures::{public, validators};

#[test]
fn two_quorums_share_an_honest_validator_and_one_is_always_within_reach() {
    for n in 1..=VALIDATORS_MAX {
        let (f, q) = (faulty_max(n), quorum(n));
        assert!(3 * f < n && 3 * (f + 1) >= n, "f is the largest number below a third of {n}");
        assert!(2 * q > n + f, "two quorums of {n} share more than the faulty");
        assert!(q <= n - f, "the honest of {n} alone are a quorum");
        assert!(2 * (n - q) < q || n == 1, "a minority of {n} is no quorum");
    }
}

#[test]
fn the_quorums_of_small_sets_are_these() {
    let found: Vec<usize> = (1..=13).map(quorum).collect();
    assert_eq!(found, [1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9]);
    assert_eq!((quorum(100), quorum(127), quorum(128)), (67, 85, 86));
}

#[test]
fn signers_are_a_set_of_indices() {
    let some = Signers::one(0).with(5).with(127);
    assert_eq!(some.iter().collect::<Vec<_>>(), [0, 5, 127]);
    assert_eq!(
        (some.count(), some.contains(5), some.contains(6), some.contains(200)),
        (3, true, false, false)
    );
    assert_eq!(some.without(5).union(Signers::one(1)).iter().collect::<Vec<_>>(), [0, 1, 127]);
    assert_eq!(some.intersection(Signers::all(6)).iter().collect::<Vec<_>>(), [0, 5]);
    assert_eq!(some.difference(Signers::all(6)).iter().collect::<Vec<_>>(), [127]);
    assert_eq!(some.with(128), some);
    for n in 0..=128 {
        assert_eq!(Signers::all(n).count(), n);
    }
    assert!(Signers::NONE.is_empty());
}

fn validator(name: &str, key: PublicKey) -> Validator {
    Validator { name: Text::new(name).unwrap(), organisation: "acme".parse().unwrap(), key }
}

#[test]
fn a_set_has_1_to_128_members() {
    assert_eq!(ValidatorSet::new(Vec::new()), Err(SetError::Count { found: 0 }));
    assert_eq!(validators(128).len(), 128);
    let many: Vec<Validator> = (1..=129).map(|seed| validator(&format!("n{seed}"), public(seed))).collect();
    assert_eq!(ValidatorSet::new(many.clone()), Err(SetError::Count { found: 129 }));
    assert!(codec::decode::<ValidatorSet>(&codec::encode(&many), 1 << 20).is_err());
    assert!(codec::decode::<ValidatorSet>(&codec::encode(&Vec::<Validator>::new()), 1 << 20).is_err());
}

#[test]
fn nobody_is_in_a_set_twice() {
    let same_key = vec![validator("a", public(1)), validator("b", public(2)), validator("c", public(1))];
    let found = SetError::SameKey { first: "a".to_owned(), second: "c".to_owned() };
    assert_eq!(ValidatorSet::new(same_key.clone()), Err(found));
    assert!(codec::decode::<ValidatorSet>(&codec::encode(&same_key), 1 << 20).is_err());
    let same_name = vec![validator("a", public(1)), validator("a", public(2))];
    assert_eq!(ValidatorSet::new(same_name), Err(SetError::SameName { name: "a".to_owned() }));
}

#[test]
fn a_weak_key_is_in_no_set() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let weak = vec![validator("a", PublicKey::from_bytes(identity))];
    assert!(matches!(ValidatorSet::new(weak), Err(SetError::Key { .. })));
}

#[test]
fn the_hash_of_a_set_binds_its_order() {
    let set = validators(4);
    let mut members = set.members().to_vec();
    members.swap(0, 1);
    assert_ne!(ValidatorSet::new(members).unwrap().hash(), set.hash());
    assert_eq!(set.index_of(&public(3)), Some(2));
    assert_eq!(set.key(2), Some(&public(3)));
    assert_eq!((set.key(4), set.index_of(&public(9))), (None, None));
}
