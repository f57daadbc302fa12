//! A client that knows the genesis believes what a quorum finalized, and nothing else.
use quorate_primitives::block::{Header, Outcome};
use quorate_primitives::certificate::{Certificate, CertificateError, Claim};
use quorate_primitives::codec::{List, decode, encode};
use quorate_primitives::hash::{Domain, Hash};
use quorate_primitives::keys::Signature;
use quorate_primitives::light::{FINALITY_BYTES_MAX, FinalityProof, Finalized, LightError, TrustedEpoch};
use quorate_primitives::merkle::{ListProof, ProofError};
use quorate_primitives::numbers::{Amount, EpochNumber, Height, Timestamp, View};
use quorate_primitives::receipt::{Receipt, Verdict};
use quorate_primitives::state::{Balance, Grant, Parameters, StateGroup, StateKey};
use quorate_primitives::validators::Signers;

use crate::fixtures::{account, secret, usd, validators};
use crate::random::Random;
use crate::samples::{self, ALICE, BOB, CHAIN};
use crate::trees::{prove, prove_group};

fn trusted() -> TrustedEpoch {
    TrustedEpoch::genesis(CHAIN, &samples::parameters(), validators(4))
}

fn finalized() -> Finalized {
    samples::finality().verify(&trusted()).unwrap()
}

/// The proof of the second block, certified anew for what it now says.
fn resigned(header: Header, outcome: Outcome, signers: &[u8]) -> FinalityProof {
    let claim = Claim::Finalize { view: header.view, block: header.id(), outcome: outcome.digest() };
    let certificate = samples::certificate(claim, &trusted().context(), signers);
    FinalityProof { header, outcome, certificate }
}

#[test]
fn an_honest_chain_is_believed() {
    let proof = samples::finality();
    let decoded = FinalityProof::decode(&encode(&proof)).unwrap();
    let ledger = decoded.verify(&trusted()).unwrap();
    assert_eq!((ledger.height(), ledger.signers()), (Height::new(2), (3, 4)));
    assert_eq!(ledger.block(), proof.header.id());
    assert_eq!((ledger.time(), ledger.outcome()), (Timestamp::new(1_795_000_000_700), &proof.outcome));
    let leaves = samples::leaves();
    let key = StateKey::Balance(account(ALICE), usd());
    let bytes = encode(&samples::balance());
    let found = ledger.value::<Balance>(&key, Some(&bytes), &prove(&leaves, &key)).unwrap();
    assert_eq!(found.into_inner(), Some(samples::balance()));
    let absent = StateKey::Balance(account(BOB), usd());
    assert_eq!(ledger.value::<Balance>(&absent, None, &prove(&leaves, &absent)).unwrap().get(), &None);
    let (group, values) = grants();
    let found = ledger.group::<Grant>(&group, values, &prove_group(&leaves, &group)).unwrap();
    assert_eq!(found.get().len(), 4);
    let receipts = [samples::committed(), samples::failed()];
    let proof = ListProof::make(&receipts.each_ref().map(Receipt::leaf), 1).unwrap();
    let id = receipts[1].transaction;
    assert_eq!(ledger.receipt(&id, receipts[1].clone(), &proof).unwrap().get(), &receipts[1]);
    let [(header, outcome), _] = samples::blocks();
    let earlier = ledger.ancestor(header.clone(), outcome, &history_proof()).unwrap();
    assert_eq!((earlier.height(), earlier.block(), earlier.signers()), (Height::new(1), header.id(), (3, 4)));
}

fn grants() -> (StateGroup, Vec<(StateKey, Vec<u8>)>) {
    let group = StateGroup::Grants(account(ALICE));
    let mut values: Vec<(StateKey, Vec<u8>)> = samples::state()
        .into_iter()
        .map(|(_, key, value)| (key, value))
        .filter(|(key, _)| key.group() == group)
        .collect();
    values.sort_by_key(|(key, _)| key.path());
    (group, values)
}

fn history_proof() -> ListProof {
    ListProof { count: 1, index: 0, siblings: List::default() }
}

#[test]
fn the_golden_context_is_that_of_the_genesis_epoch() {
    assert_eq!(trusted().context(), samples::identity().context());
    assert_eq!(trusted().identity(), &samples::identity());
}

/// Each change to the answer, and the error it must meet.
type Tampering = (&'static str, fn(&mut FinalityProof), fn(&LightError) -> bool);

fn is_other_claim(error: &LightError) -> bool {
    *error == LightError::OtherClaim
}

fn set_claim(proof: &mut FinalityProof, claim: Claim) {
    proof.certificate = samples::certificate(claim, &trusted().context(), &[0, 1, 3]);
}

const TAMPERINGS: &[Tampering] = &[
    (
        "chain",
        |proof| proof.header.chain = Hash::ZERO,
        |error| matches!(error, LightError::OtherChain { expected, found } if *expected == CHAIN && *found == Hash::ZERO),
    ),
    (
        "epoch",
        |proof| proof.header.epoch = EpochNumber::new(1),
        |error| matches!(error, LightError::OtherEpoch { .. }),
    ),
    ("version", |proof| proof.header.version += 1, is_other_claim),
    ("view", |proof| proof.header.view = View::new(2), is_other_claim),
    ("height", |proof| proof.header.height = Height::new(3), is_other_claim),
    ("parent view", |proof| proof.header.parent_view = View::ZERO, is_other_claim),
    ("parent", |proof| proof.header.parent = Hash::ZERO, is_other_claim),
    ("time", |proof| proof.header.time = Timestamp::ZERO, is_other_claim),
    ("proposer", |proof| proof.header.proposer = 0, is_other_claim),
    ("payload", |proof| proof.header.payload_root = Hash::ZERO, is_other_claim),
    ("state root", |proof| proof.outcome.state_root = Hash::ZERO, is_other_claim),
    ("receipts root", |proof| proof.outcome.receipts_root = Hash::ZERO, is_other_claim),
    ("history root", |proof| proof.outcome.history_root = Hash::ZERO, is_other_claim),
    ("next validators", |proof| proof.outcome.next_validators = Hash::ZERO, is_other_claim),
    ("a notarization", |proof| set_claim(proof, samples::claims()[0].1), is_other_claim),
    ("a nullification", |proof| set_claim(proof, samples::claims()[1].1), is_other_claim),
    (
        "a finalization in an earlier view",
        |proof| {
            let (block, outcome) = (proof.header.id(), proof.outcome.digest());
            set_claim(proof, Claim::Finalize { view: View::new(2), block, outcome });
        },
        is_other_claim,
    ),
    (
        "an older block's certificate",
        |proof| {
            let [(header, outcome), _] = samples::blocks();
            let (view, block) = (header.view, header.id());
            set_claim(proof, Claim::Finalize { view, block, outcome: outcome.digest() });
        },
        is_other_claim,
    ),
    (
        "two signers",
        |proof| {
            proof.certificate = samples::certificate(proof.certificate.claim, &trusted().context(), &[0, 1]);
        },
        |error| *error == LightError::Certificate(CertificateError::NoQuorum { found: 2, quorum: 3 }),
    ),
    (
        "a signature less",
        |proof| proof.certificate.signatures = List::new(proof.certificate.signatures[1..].to_vec()).unwrap(),
        |error| *error == LightError::Certificate(CertificateError::Count { signatures: 2, signers: 3 }),
    ),
    (
        "a signer more",
        |proof| proof.certificate.signers = Signers::all(4),
        |error| *error == LightError::Certificate(CertificateError::Count { signatures: 3, signers: 4 }),
    ),
    (
        "other signers",
        |proof| proof.certificate.signers = Signers::all(3),
        |error| *error == LightError::Certificate(CertificateError::BadSignature { index: 2 }),
    ),
    (
        "a signer outside the set",
        |proof| proof.certificate.signers = Signers::all(2).with(4),
        |error| {
            *error == LightError::Certificate(CertificateError::UnknownSigner { index: 4, validators: 4 })
        },
    ),
    (
        "signatures in another order",
        |proof| {
            let mut signatures = proof.certificate.signatures.to_vec();
            signatures.swap(0, 1);
            proof.certificate.signatures = List::new(signatures).unwrap();
        },
        |error| *error == LightError::Certificate(CertificateError::BadSignature { index: 0 }),
    ),
    (
        "one signature three times",
        |proof| proof.certificate.signatures = List::new(vec![proof.certificate.signatures[0]; 3]).unwrap(),
        |error| *error == LightError::Certificate(CertificateError::BadSignature { index: 1 }),
    ),
    (
        "a forged signature beyond the quorum",
        |proof| {
            let mut signatures = proof.certificate.signatures.to_vec();
            signatures.insert(2, Signature::from_bytes([1; 64]));
            proof.certificate.signatures = List::new(signatures).unwrap();
            proof.certificate.signers = Signers::all(4);
        },
        |error| *error == LightError::Certificate(CertificateError::BadSignature { index: 2 }),
    ),
    (
        "signatures in another epoch's context",
        |proof| {
            let parameters = Parameters { clock_bound_ms: 501, ..samples::parameters() };
            let other = TrustedEpoch::genesis(CHAIN, &parameters, validators(4)).context();
            proof.certificate = samples::certificate(proof.certificate.claim, &other, &[0, 1, 3]);
        },
        |error| *error == LightError::Certificate(CertificateError::BadSignature { index: 0 }),
    ),
    (
        "signatures of strangers",
        |proof| {
            let message = proof.certificate.claim.message(&trusted().context());
            let sign = |seed: u8| secret(seed).sign(Domain::SignVote, &message);
            proof.certificate.signatures = List::new([40, 41, 42].map(sign).into()).unwrap();
        },
        |error| *error == LightError::Certificate(CertificateError::BadSignature { index: 0 }),
    ),
    (
        "signatures in another domain",
        |proof| {
            let message = proof.certificate.claim.message(&trusted().context());
            let sign = |seed: u8| secret(seed).sign(Domain::SignTransaction, &message);
            proof.certificate.signatures = List::new([1, 2, 4].map(sign).into()).unwrap();
        },
        |error| *error == LightError::Certificate(CertificateError::BadSignature { index: 0 }),
    ),
];

#[test]
fn a_tampered_finality_proof_is_refused_with_its_error() {
    for (what, tamper, expected) in TAMPERINGS {
        let mut proof = samples::finality();
        tamper(&mut proof);
        let error = proof.verify(&trusted()).expect_err(what);
        assert!(expected(&error), "{what}: {error}");
    }
}

#[test]
fn a_finality_proof_with_any_bit_changed_is_refused() {
    let mut random = Random::new(5);
    let bytes = encode(&samples::finality());
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 1 << random.below(8);
        if let Ok(proof) = FinalityProof::decode(&changed) {
            assert!(proof.verify(&trusted()).is_err(), "byte {position}");
        }
    }
    assert!(matches!(FinalityProof::decode(&bytes[1..]), Err(LightError::Encoding { .. })));
    assert!(matches!(
        FinalityProof::decode(&vec![0; FINALITY_BYTES_MAX + 1]),
        Err(LightError::Encoding { .. })
    ));
}

#[test]
fn a_block_that_was_proposed_again_in_a_later_view_is_believed() {
    let [_, (header, outcome)] = samples::blocks();
    let (view, block) = (View::new(9), header.id());
    let claim = Claim::Finalize { view, block, outcome: outcome.digest() };
    let certificate = samples::certificate(claim, &trusted().context(), &[0, 1, 2, 3]);
    assert_eq!(FinalityProof { header, outcome, certificate }.verify(&trusted()).unwrap().signers(), (4, 4));
}

#[test]
fn the_longest_finality_proof_fits_its_bound() {
    let [_, (header, outcome)] = samples::blocks();
    let signatures = List::new(vec![Signature::from_bytes([0; 64]); 128]).unwrap();
    let certificate = Certificate { claim: samples::claims()[2].1, signers: Signers::all(128), signatures };
    let bytes = encode(&FinalityProof { header, outcome, certificate });
    assert!(bytes.len() <= FINALITY_BYTES_MAX, "{}", bytes.len());
    assert!(decode::<FinalityProof>(&bytes, FINALITY_BYTES_MAX).is_ok());
}

#[test]
fn an_altered_value_is_refused() {
    let (ledger, leaves) = (finalized(), samples::leaves());
    let key = StateKey::Balance(account(ALICE), usd());
    let proof = prove(&leaves, &key);
    let richer = encode(&Balance { posted: Amount::new(1_001), ..samples::balance() });
    let root = |error| matches!(error, LightError::Proof(ProofError::Root { .. }));
    assert!(root(ledger.value::<Balance>(&key, Some(&richer), &proof).unwrap_err()));
    let bytes = encode(&samples::balance());
    let other = StateKey::Balance(account(BOB), usd());
    assert!(root(ledger.value::<Balance>(&other, Some(&bytes), &proof).unwrap_err()));
    let denied = ledger.value::<Balance>(&key, None, &proof);
    assert_eq!(denied, Err(LightError::Proof(ProofError::Kind)));
    let denied = ledger.value::<Balance>(&key, None, &prove(&leaves, &other));
    assert!(matches!(denied, Err(LightError::Proof(_))), "{denied:?}");
    let as_grant = ledger.value::<Grant>(&key, Some(&bytes), &proof);
    assert!(matches!(as_grant, Err(LightError::Encoding { .. })), "{as_grant:?}");
}

#[test]
fn a_group_with_a_value_withheld_or_added_is_refused() {
    let (ledger, leaves) = (finalized(), samples::leaves());
    let (group, values) = grants();
    let proof = prove_group(&leaves, &group);
    for index in 0..values.len() {
        let mut fewer = values.clone();
        fewer.remove(index);
        let denied = ledger.group::<Grant>(&group, fewer, &proof);
        assert!(matches!(denied, Err(LightError::Proof(ProofError::Root { .. }))), "{denied:?}");
    }
    let none = ledger.group::<Grant>(&group, Vec::new(), &proof);
    assert_eq!(none.unwrap_err(), LightError::Proof(ProofError::Kind));
    let other = StateGroup::Grants(account(BOB));
    let foreign = ledger.group::<Grant>(&other, values, &prove_group(&leaves, &other));
    assert_eq!(foreign.unwrap_err(), LightError::Proof(ProofError::Kind));
}

#[test]
fn another_transactions_receipt_is_refused() {
    let ledger = finalized();
    let leaves = [samples::committed().leaf(), samples::failed().leaf()];
    let proof = ListProof::make(&leaves, 1).unwrap();
    let asked = Hash::from_bytes([9; 32]);
    let error = ledger.receipt(&asked, samples::failed(), &proof).unwrap_err();
    assert!(matches!(error, LightError::OtherSubject { .. }), "{error}");
    let better = Receipt { verdict: Verdict::Committed, ..samples::failed() };
    let error = ledger.receipt(&better.transaction.clone(), better, &proof).unwrap_err();
    assert!(matches!(error, LightError::Proof(ProofError::Root { .. })), "{error}");
}

#[test]
fn another_block_is_no_ancestor() {
    let ledger = finalized();
    let [(header, outcome), (second, _)] = samples::blocks();
    let subject = |error| matches!(error, LightError::OtherSubject { .. });
    let higher = Header { height: Height::new(2), ..header.clone() };
    assert!(subject(ledger.ancestor(higher, outcome, &history_proof()).unwrap_err()));
    let zero = Header { height: Height::ZERO, ..header.clone() };
    assert!(subject(ledger.ancestor(zero, outcome, &history_proof()).unwrap_err()));
    assert!(subject(ledger.ancestor(second, outcome, &history_proof()).unwrap_err()));
    let other_chain = Header { chain: Hash::ZERO, ..header.clone() };
    assert!(subject(ledger.ancestor(other_chain, outcome, &history_proof()).unwrap_err()));
    let longer = ListProof { count: 2, ..history_proof() };
    assert!(subject(ledger.ancestor(header.clone(), outcome, &longer).unwrap_err()));
    let richer = Outcome { state_root: Hash::ZERO, ..outcome };
    let error = ledger.ancestor(header.clone(), richer, &history_proof()).unwrap_err();
    assert!(matches!(error, LightError::Proof(ProofError::Root { .. })), "{error}");
    let later = Header { time: Timestamp::ZERO, ..header };
    let error = ledger.ancestor(later, outcome, &history_proof()).unwrap_err();
    assert!(matches!(error, LightError::Proof(ProofError::Root { .. })), "{error}");
}

#[test]
fn a_quorum_of_another_set_proves_nothing() {
    let [_, (header, outcome)] = samples::blocks();
    for count in [1, 3, 5, 7] {
        let other = TrustedEpoch::genesis(CHAIN, &samples::parameters(), validators(count));
        let proof = resigned(header.clone(), outcome, &[0, 1, 3]);
        assert!(matches!(proof.verify(&other), Err(LightError::Certificate(_))), "{count}");
    }
    assert!(resigned(header, outcome, &[0, 1, 3]).verify(&trusted()).is_ok());
}
