//! From the genesis a client follows one handover for each epoch, and is led astray by none.
use quorate_primitives::block::{Header, Outcome};
use quorate_primitives::certificate::{Certificate, CertificateError, Claim};
use quorate_primitives::codec::{List, Text, decode, encode};
use quorate_primitives::hash::Hash;
use quorate_primitives::keys::Signature;
use quorate_primitives::light::{FinalityProof, HANDOVER_BYTES_MAX, Handover, LightError, TrustedEpoch};
use quorate_primitives::numbers::{EpochNumber, Height, View};
use quorate_primitives::state::Parameters;
use quorate_primitives::validators::{Signers, VALIDATORS_MAX, Validator, ValidatorSet};

use crate::fixtures::{secret, validator};
use crate::samples::{self, CHAIN};

fn parameters() -> Parameters {
    Parameters { epoch_length: 10, ..samples::parameters() }
}

/// The seeds of an epoch's validators: one leaves and one joins from each epoch to the next, and the
/// later sets are larger.
fn seeds(epoch: u8) -> Vec<u8> {
    (1 + epoch..5 + 2 * epoch).collect()
}

fn set(epoch: u8) -> ValidatorSet {
    ValidatorSet::new(seeds(epoch).into_iter().map(validator).collect()).unwrap()
}

/// A block of an epoch, finalized in a context by validators with these seeds, which have the indices
/// from 0 on.
struct Block {
    epoch: u8,
    height: u64,
    next: ValidatorSet,
    context: Hash,
    seeds: Vec<u8>,
}

impl Block {
    /// The honest last block of an epoch.
    fn boundary(trusted: &TrustedEpoch, epoch: u8) -> Self {
        let quorum = set(epoch).quorum();
        let seeds = seeds(epoch).into_iter().take(quorum).collect();
        let height = 10 * (u64::from(epoch) + 1);
        Self { epoch, height, next: set(epoch + 1), context: trusted.context(), seeds }
    }

    fn finalized(&self) -> FinalityProof {
        let header = Header {
            epoch: EpochNumber::new(u64::from(self.epoch)),
            height: Height::new(self.height),
            view: View::new(12),
            ..samples::blocks()[1].0.clone()
        };
        let outcome = Outcome { next_validators: self.next.hash(), ..samples::blocks()[1].1 };
        let view = View::new(13);
        let claim = Claim::Finalize { view, block: header.id(), outcome: outcome.digest() };
        let sign = |(index, seed): (u8, &u8)| claim.sign(&self.context, index, &secret(*seed)).signature;
        let signatures: Vec<Signature> = (0..).zip(&self.seeds).map(sign).collect();
        let signers = Signers::all(signatures.len());
        let certificate = Certificate { claim, signers, signatures: List::new(signatures).unwrap() };
        FinalityProof { header, outcome, certificate }
    }

    fn handover(&self) -> Handover {
        Handover { boundary: self.finalized(), validators: self.next.clone() }
    }
}

fn genesis() -> TrustedEpoch {
    TrustedEpoch::genesis(CHAIN, &parameters(), set(0))
}

/// The epoch that a chain of honest handovers leads to.
fn trusted(epoch: u8) -> TrustedEpoch {
    (0..epoch).fold(genesis(), |trusted, number| {
        Block::boundary(&trusted, number).handover().verify(&trusted).unwrap()
    })
}

#[test]
fn a_chain_of_handovers_leads_from_the_genesis_to_any_epoch() {
    let mut trusted = genesis();
    for epoch in 0..7 {
        assert_eq!(trusted.number(), EpochNumber::new(u64::from(epoch)));
        assert_eq!(trusted.last(), Height::new(10 * (u64::from(epoch) + 1)));
        assert_eq!(trusted.validators(), &set(epoch));
        let handover = Block::boundary(&trusted, epoch).handover();
        let (block, outcome) = (handover.boundary.header.id(), handover.boundary.outcome);
        let next = Handover::decode(&encode(&handover)).unwrap().verify(&trusted).unwrap();
        assert_eq!((next.identity().anchor, next.identity().anchor_outcome), (block, outcome.digest()));
        assert_eq!(next.identity().parameters, parameters().hash());
        trusted = next;
    }
}

#[test]
fn a_block_of_a_later_epoch_is_believed_after_its_handover_only() {
    let later = trusted(3);
    let block = Block { height: 35, ..Block::boundary(&later, 3) };
    assert_eq!(block.finalized().verify(&later).unwrap().height(), Height::new(35));
    let earlier = trusted(2);
    let refused = LightError::OtherEpoch { expected: EpochNumber::new(2), found: EpochNumber::new(3) };
    assert_eq!(block.finalized().verify(&earlier), Err(refused));
}

#[test]
fn a_block_that_does_not_end_its_epoch_hands_nothing_over() {
    let epoch = trusted(1);
    for height in [11, 15, 19] {
        let handover = Block { height, ..Block::boundary(&epoch, 1) }.handover();
        let refused = LightError::NotBoundary { expected: Height::new(20), found: Height::new(height) };
        assert_eq!(handover.verify(&epoch), Err(refused));
    }
}

#[test]
fn a_block_at_a_height_that_its_epoch_does_not_have_is_refused() {
    let epoch = trusted(1);
    for height in [0, 10, 21, 30] {
        let block = Block { height, ..Block::boundary(&epoch, 1) };
        let found = Height::new(height);
        let refused = LightError::OutsideEpoch { epoch: epoch.number(), last: epoch.last(), found };
        assert_eq!(block.finalized().verify(&epoch), Err(refused.clone()));
        assert_eq!(block.handover().verify(&epoch), Err(refused));
    }
}

#[test]
fn validators_whom_the_boundary_does_not_name_are_refused() {
    let epoch = trusted(1);
    let honest = Block::boundary(&epoch, 1).handover();
    let mut swapped: Vec<Validator> = honest.validators.members().to_vec();
    swapped.swap(0, 1);
    for other in [set(1), set(3), ValidatorSet::new(swapped).unwrap()] {
        let (expected, found) = (honest.validators.hash(), other.hash());
        let handover = Handover { validators: other, ..honest.clone() };
        assert_eq!(handover.verify(&epoch), Err(LightError::OtherValidators { expected, found }));
    }
}

#[test]
fn the_validators_of_an_old_epoch_cannot_hand_over_a_new_one() {
    let (old, new) = (trusted(0), trusted(1));
    for context in [old.context(), new.context()] {
        let handover = Block { seeds: seeds(0), context, ..Block::boundary(&new, 1) }.handover();
        let error = handover.verify(&new).unwrap_err();
        assert!(matches!(error, LightError::Certificate(CertificateError::BadSignature { .. })), "{error}");
    }
}

#[test]
fn a_boundary_that_was_signed_in_another_context_is_refused() {
    let epoch = trusted(1);
    let handover = Block { context: genesis().context(), ..Block::boundary(&epoch, 1) }.handover();
    let refused = LightError::Certificate(CertificateError::BadSignature { index: 0 });
    assert_eq!(handover.verify(&epoch), Err(refused));
}

#[test]
fn no_epoch_can_be_skipped_or_repeated() {
    let epoch = trusted(1);
    for other in [0, 2, 3] {
        let handover = Block::boundary(&trusted(other), other).handover();
        let found = EpochNumber::new(u64::from(other));
        let refused = LightError::OtherEpoch { expected: EpochNumber::new(1), found };
        assert_eq!(handover.verify(&epoch), Err(refused));
    }
}

#[test]
fn a_handover_of_another_chain_is_refused() {
    let other = TrustedEpoch::genesis(Hash::ZERO, &parameters(), set(0));
    let handover = Block::boundary(&other, 0).handover();
    assert_eq!(
        handover.verify(&other),
        Err(LightError::OtherChain { expected: Hash::ZERO, found: CHAIN }),
        "its header names the chain"
    );
}

#[test]
fn a_forged_signature_makes_a_handover_worthless() {
    let epoch = trusted(2);
    let honest = Block::boundary(&epoch, 2).handover();
    for index in 0..honest.boundary.certificate.signatures.len() {
        let mut bytes = encode(&honest);
        // The signatures are followed by the validators.
        let after =
            encode(&honest.validators).len() + 64 * (honest.boundary.certificate.signatures.len() - index);
        let position = bytes.len() - after;
        bytes[position] ^= 1;
        let index = u8::try_from(index).unwrap();
        let refused = LightError::Certificate(CertificateError::BadSignature { index });
        assert_eq!(decode::<Handover>(&bytes, HANDOVER_BYTES_MAX).unwrap().verify(&epoch), Err(refused));
    }
}

#[test]
fn less_than_a_quorum_hands_nothing_over() {
    let epoch = trusted(2);
    let mut block = Block::boundary(&epoch, 2);
    block.seeds.pop();
    let error = block.handover().verify(&epoch).unwrap_err();
    assert!(matches!(error, LightError::Certificate(CertificateError::NoQuorum { .. })), "{error}");
}

#[test]
fn the_largest_handover_fits_its_bound() {
    let names = |seed: u8| Validator {
        name: Text::new(&format!("{seed:032}")).unwrap(),
        organisation: format!("a{seed:031}").parse().unwrap(),
        ..validator(seed)
    };
    let most = u8::try_from(VALIDATORS_MAX).unwrap();
    let largest = ValidatorSet::new((1..=most).map(names).collect()).unwrap();
    let trusted = TrustedEpoch::genesis(CHAIN, &parameters(), largest.clone());
    let block = Block { next: largest, seeds: (1..=most).collect(), ..Block::boundary(&trusted, 0) };
    let bytes = encode(&block.handover());
    assert!(bytes.len() <= HANDOVER_BYTES_MAX, "{}", bytes.len());
    assert_eq!(Handover::decode(&bytes).unwrap().verify(&trusted).unwrap().number(), EpochNumber::new(1));
}

#[test]
fn bytes_that_are_no_handover_are_refused() {
    let bytes = encode(&samples::handover());
    assert!(Handover::decode(&bytes).is_ok());
    for wrong in [&bytes[..bytes.len() - 1], &[bytes.clone(), vec![0]].concat()[..], &[]] {
        assert!(matches!(Handover::decode(wrong), Err(LightError::Encoding { what: "handover", .. })));
    }
}

#[test]
fn an_epoch_of_a_changed_set_has_a_context_of_its_own() {
    let same =
        Block { next: set(0), ..Block::boundary(&genesis(), 0) }.handover().verify(&genesis()).unwrap();
    assert_eq!(same.validators(), &set(0));
    let contexts = [genesis().context(), same.context(), trusted(1).context()];
    assert!(contexts[0] != contexts[1] && contexts[1] != contexts[2] && contexts[0] != contexts[2]);
}
