//! Tools of a liar: take a proof out of an answer, change it, and put it back.
use borsh::{BorshDeserialize, BorshSerialize};
use quorate_primitives::block::{Header, Outcome};
use quorate_primitives::certificate::{Certificate, Claim};
use quorate_primitives::codec::{self, List};
use quorate_primitives::light::FinalityProof;
use quorate_primitives::merkle::Step;
use quorate_primitives::validators::Signers;
use quorate_primitives::{Hash, SecretKey};
use serde_json::{Value, json};

use super::world::{World, certify, key};

/// Changes a value that an answer carries as canonical bytes.
pub(crate) fn bytes<T: BorshSerialize + BorshDeserialize>(place: &mut Value, change: impl FnOnce(&mut T)) {
    let text = place.as_str().expect("there are bytes at this place");
    let mut value: T = codec::decode(&hex::decode(text).unwrap(), usize::MAX).unwrap();
    change(&mut value);
    *place = encoded(&value);
}

/// Canonical bytes as an answer carries them.
pub(crate) fn encoded<T: BorshSerialize>(value: &T) -> Value {
    json!(hex::encode(codec::encode(value)))
}

/// Changes the finality proof of an answer, wherever it is.
pub(crate) fn finality(result: &mut Value, change: impl FnOnce(&mut FinalityProof)) {
    let inside = if result.get("finality").is_some() {
        &mut result["finality"]
    } else {
        &mut result["proof"]["finality"]
    };
    bytes(&mut inside["certified"], change);
}

/// Changes one step of a proof.
pub(crate) fn step<const MIN: usize, const MAX: usize>(
    steps: &mut List<Step, MIN, MAX>,
    change: impl FnOnce(&mut Vec<Step>),
) {
    let mut changed = steps.to_vec();
    change(&mut changed);
    *steps = List::new(changed).unwrap();
}

pub(crate) fn flipped(hash: Hash) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[0] ^= 1;
    Hash::from_bytes(bytes)
}

/// Certifies header and outcome again, by these keys.
pub(crate) fn recertify(proof: &mut FinalityProof, keys: &[SecretKey], signers: &[u8]) {
    let (view, block, outcome) = (proof.header.view, proof.header.id(), proof.outcome.digest());
    let context = World::new().genesis.trusted().context();
    proof.certificate = certify(&context, Claim::Finalize { view, block, outcome }, keys, signers);
}

/// The keys of the real validators: what a liar would have if a quorum of them were its own.
pub(crate) fn real_keys() -> Vec<SecretKey> {
    (1..=4).map(key).collect()
}

/// Keys of validators that the genesis does not name.
pub(crate) fn other_keys() -> Vec<SecretKey> {
    (51..=54).map(key).collect()
}

/// Keeps only these signers and their signatures.
pub(crate) fn keep_signers(certificate: &mut Certificate, keep: usize) {
    let indices: Vec<u8> = certificate.signers.iter().take(keep).collect();
    certificate.signers = indices.iter().fold(Signers::NONE, |all, index| all.with(*index));
    certificate.signatures = List::new(certificate.signatures[..keep].to_vec()).unwrap();
}

/// Changes the header and leaves the certificate as it was.
pub(crate) fn header(result: &mut Value, change: impl FnOnce(&mut Header)) {
    finality(result, |proof| change(&mut proof.header));
}

/// Changes the outcome and leaves the certificate as it was.
pub(crate) fn outcome(result: &mut Value, change: impl FnOnce(&mut Outcome)) {
    finality(result, |proof| change(&mut proof.outcome));
}
