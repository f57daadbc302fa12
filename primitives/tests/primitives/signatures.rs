//! One verification rule: what a signature is worth never depends on how it is checked.
use proptest::prelude::*;
use quorate_primitives::hash::{Domain, parse_hex};
use quorate_primitives::keys::{
    KeyError, KnownKeys, PublicKey, SecretKey, Signature, SignatureCheck, reference_batch, verify_batch,
};
use quorate_primitives::state::Authority;
use rand::RngExt;
use std::collections::BTreeSet;

use crate::fixtures::{public, rng, secret};

/// Lines of key, signature, verdict and reason that `docs/vectors/crafted.py` works out.
const CRAFTED: &str = include_str!("../vectors/crafted.txt");

fn crafted() -> Vec<(SignatureCheck, bool)> {
    let read = |line: &str| {
        let mut words = line.split(' ');
        let key = words.next().unwrap().parse().unwrap();
        let signature = Signature::from_bytes(parse_hex(words.next().unwrap()).unwrap());
        let check = SignatureCheck { key, domain: Domain::SignVote, message: b"crafted".to_vec(), signature };
        (check, words.next().unwrap() == "valid")
    };
    CRAFTED.lines().map(read).collect()
}

fn honest(seed: u8, message: &[u8]) -> SignatureCheck {
    let signature = secret(seed).sign(Domain::SignVote, message);
    SignatureCheck { key: public(seed), domain: Domain::SignVote, message: message.to_vec(), signature }
}

fn holds(check: &SignatureCheck) -> bool {
    check.key.verify(check.domain, &check.message, &check.signature)
}

#[test]
fn crafted_signatures_are_judged_by_zip_215() {
    let all = crafted();
    assert_eq!(all.len(), 291);
    for (line, (check, expected)) in CRAFTED.lines().zip(&all) {
        assert_eq!(holds(check), *expected, "{line}");
    }
}

/// Valid and invalid, honest and crafted checks, each with its verdict when checked alone.
fn pool() -> (Vec<SignatureCheck>, Vec<(SignatureCheck, bool)>) {
    let mut valid: Vec<SignatureCheck> =
        (1..=60).flat_map(|seed| [honest(seed, b"one"), honest(seed, &[seed; 200])]).collect();
    let mut all: Vec<(SignatureCheck, bool)> = Vec::new();
    for check in &valid {
        let mut bytes = *check.signature.as_bytes();
        bytes[usize::from(check.message[0]) % 64] ^= 1;
        let tampered = SignatureCheck { signature: Signature::from_bytes(bytes), ..check.clone() };
        let other = SignatureCheck { message: b"other".to_vec(), ..check.clone() };
        all.extend([tampered, other].map(|check| (check.clone(), holds(&check))));
    }
    for (check, verdict) in crafted() {
        if verdict {
            valid.push(check.clone());
        }
        all.push((check, verdict));
    }
    (valid, all)
}

#[test]
fn ten_thousand_mixed_batches_agree_with_single_checks() {
    let (valid, all) = pool();
    let mut random = rng(215);
    // Fewer than there are keys, so that some are known and some are not.
    let mut known = KnownKeys::new(40);
    for batch in 0..10_000_u32 {
        let mut checks = Vec::new();
        let mut bad = Vec::new();
        for position in 0..random.random_range(1..=12) {
            // Half of the batches are all valid, so that the batch equation itself decides them.
            if batch % 2 == 0 || random.random_bool(0.8) {
                checks.push(valid[random.random_range(0..valid.len())].clone());
            } else {
                let (check, verdict) = all[random.random_range(0..all.len())].clone();
                checks.push(check);
                bad.extend((!verdict).then_some(position));
            }
        }
        assert_eq!(verify_batch(&checks, &mut known, &mut random), bad, "batch {batch}");
        assert_eq!(reference_batch(&checks, &mut random), bad.is_empty(), "batch {batch}");
    }
    assert!((20..=40).contains(&known.len()), "{}", known.len());
}

#[test]
fn keys_are_remembered_up_to_a_bound_and_those_in_use_the_longest() {
    let mut known = KnownKeys::new(8);
    let mut check = |seeds: &[u8]| {
        let checks: Vec<SignatureCheck> = seeds.iter().map(|seed| honest(*seed, b"message")).collect();
        assert_eq!(verify_batch(&checks, &mut known, &mut rng(1)), Vec::<usize>::new());
        known.len()
    };
    assert_eq!(check(&[1, 2, 3]), 3);
    assert_eq!(check(&[1, 2, 3]), 3);
    let most = (4..40).map(|seed| check(&[1, seed])).max();
    assert!(most <= Some(8), "{most:?}");
    let mut none = KnownKeys::default();
    assert_eq!(
        verify_batch(&[honest(1, b"a"), honest(2, b"b")], &mut none, &mut rng(1)),
        Vec::<usize>::new()
    );
    assert!(none.is_empty());
}

#[test]
fn a_large_batch_names_exactly_the_forged_ones() {
    let mut checks: Vec<SignatureCheck> = (0..200).map(|index| honest(index % 50 + 1, &[index])).collect();
    assert_eq!(verify_batch(&checks, &mut KnownKeys::default(), &mut rng(1)), Vec::<usize>::new());
    assert_eq!(verify_batch(&[], &mut KnownKeys::default(), &mut rng(1)), Vec::<usize>::new());
    for forged in [0, 1, 99, 100, 198, 199] {
        checks[forged].message.push(0);
    }
    assert_eq!(verify_batch(&checks, &mut KnownKeys::default(), &mut rng(2)), [0, 1, 99, 100, 198, 199]);
    for check in &mut checks {
        check.message.push(1);
    }
    assert_eq!(verify_batch(&checks, &mut KnownKeys::default(), &mut rng(3)), (0..200).collect::<Vec<_>>());
}

#[test]
fn weak_keys_may_not_control_anything() {
    let small: BTreeSet<PublicKey> = crafted().iter().take(196).map(|(check, _)| check.key).collect();
    assert_eq!(small.len(), 14);
    for key in small {
        assert!(matches!(key.check(), Err(KeyError::SmallOrder | KeyError::NotCanonical)), "{key}");
        assert!(Authority::single(key).check().is_err());
    }
}

#[test]
fn keys_that_are_no_canonical_point_may_not_control_anything() {
    let mut off_the_curve = [0; 32];
    off_the_curve[0] = 2;
    assert_eq!(PublicKey::from_bytes(off_the_curve).check(), Err(KeyError::NotAPoint));
    // y = 3 is on the curve; y + p is the same point written differently.
    let mut canonical = [0; 32];
    canonical[0] = 3;
    let mut shifted = [0xff; 32];
    shifted[0] = 0xf0;
    shifted[31] = 0x7f;
    assert_eq!(PublicKey::from_bytes(canonical).check(), Ok(()));
    assert_eq!(PublicKey::from_bytes(shifted).check(), Err(KeyError::NotCanonical));
    assert_eq!(public(1).check(), Ok(()));
}

#[test]
fn a_signature_holds_in_its_domain_only() {
    let signature = secret(1).sign(Domain::SignVote, b"message");
    assert!(public(1).verify(Domain::SignVote, b"message", &signature));
    assert!(!public(1).verify(Domain::SignTransaction, b"message", &signature));
    assert!(!public(1).verify(Domain::SignVote, b"messagf", &signature));
    assert!(!public(2).verify(Domain::SignVote, b"message", &signature));
}

/// Compiles only while the type lacks the trait: two implementations would make the call ambiguous.
macro_rules! lacks {
    ($type:ty: $($trait:path),*) => {
        $(const _: fn() = || {
            trait Ambiguous<A> {
                fn call() {}
            }
            struct Has;
            impl<T> Ambiguous<()> for T {}
            impl<T: $trait> Ambiguous<Has> for T {}
            <$type as Ambiguous<_>>::call();
        };)*
    };
}

lacks!(SecretKey: std::fmt::Debug, std::fmt::Display, Clone, PartialEq, borsh::BorshSerialize, AsRef<[u8]>);

#[test]
fn a_secret_key_is_its_seed() {
    let generated = SecretKey::generate(&mut rng(7));
    let again = SecretKey::from_seed(&generated.expose_seed());
    assert_eq!(generated.public_key(), again.public_key());
    assert_ne!(generated.public_key(), SecretKey::generate(&mut rng(8)).public_key());
}

proptest! {
    #[test]
    fn no_bytes_make_verification_panic(key: [u8; 32], low: [u8; 32], high: [u8; 32], message: Vec<u8>) {
        let key = PublicKey::from_bytes(key);
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&low);
        bytes[32..].copy_from_slice(&high);
        let signature = Signature::from_bytes(bytes);
        let check = SignatureCheck { key, domain: Domain::SignVote, message, signature };
        let alone = holds(&check);
        let both = verify_batch(&[check, honest(1, b"x")], &mut KnownKeys::default(), &mut rng(0));
        prop_assert_eq!(both.is_empty(), alone);
        let _ = key.check();
    }
}

#[test]
fn this_machine_computes_the_known_answers() {
    assert_eq!(quorate_primitives::self_test::check(&mut rng(0)), Ok(()));
}
