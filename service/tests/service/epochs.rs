//! A client that trusts the genesis alone is led through every epoch, and learns whom the ledger convicted.
use quorate_primitives::evidence::RecordedEvidence;
use quorate_primitives::light::{FinalityProof, Handover, LightError, PROOF_BYTES_MAX, TrustedEpoch};
use quorate_primitives::merkle::GroupProof;
use quorate_primitives::state::StateGroup;
use quorate_primitives::{EpochNumber, Hash, Height};
use quorate_rpc::ErrorKind;
use quorate_rpc::backend::{Answer, Proofs};
use quorate_rpc::json::{
    Block, ChainInfo, EpochsAnswer, EvidenceAnswer, FinalityAnswer, Head, Offence, PeersAnswer,
    ValidatorsAnswer,
};
use quorate_service::Snapshot;
use serde_json::json;

use crate::world::{Own, Served, World, key};

/// Blocks in an epoch.
const LENGTH: u64 = 10;

/// A ledger of this height; its first block adds a fifth validator, who votes from epoch 2 on.
fn world(height: u64) -> World {
    let mut world = World::with_epochs_of(LENGTH);
    let addition = world.addition(5);
    world.commit(vec![addition], Own::Certificate);
    world.advance_to(height);
    world
}

/// Follows all handovers that one answer gives.
fn led(node: &Served, trusted: TrustedEpoch) -> TrustedEpoch {
    let answer: EpochsAnswer = node.ask("chain_getEpochs", &json!([]));
    let follow =
        |trusted: TrustedEpoch, bytes: &[u8]| Handover::decode(bytes).unwrap().verify(&trusted).unwrap();
    answer.handovers.iter().fold(trusted, |trusted, entry| follow(trusted, &entry.handover.0))
}

#[test]
fn handovers_lead_from_the_genesis_to_the_current_validators() {
    let world = world(25);
    let (genesis, current) = (world.genesis.trusted(), world.trusted.clone());
    let trusted = led(&world.serve(), genesis);
    assert_eq!(trusted, current);
    assert_eq!((trusted.number(), trusted.validators().len()), (EpochNumber::new(2), 5));
}

#[test]
fn a_block_of_a_later_epoch_is_proven_to_whoever_followed_the_handovers() {
    let world = world(25);
    let genesis = world.genesis.trusted();
    let node = world.serve();
    let answer: FinalityAnswer = node.ask("chain_getFinality", &json!([25]));
    let proof = || FinalityProof::decode(&answer.proof.certified.0).unwrap();
    assert!(matches!(proof().verify(&genesis), Err(LightError::OtherEpoch { .. })));
    assert_eq!(proof().verify(&led(&node, genesis)).unwrap().height(), Height::new(25));
}

#[test]
fn handovers_come_in_pages_without_gaps() {
    let world = world(35);
    let node = world.serve();
    let (mut from, mut seen) = (Some(0), Vec::new());
    while let Some(start) = from {
        let page: EpochsAnswer = node.ask("chain_getEpochs", &json!({ "from": start, "limit": 2 }));
        assert_eq!(page.current.0, EpochNumber::new(3));
        seen.extend(page.handovers.iter().map(|entry| entry.epoch.0.get()));
        from = page.next.map(|next| next.0.get());
    }
    assert_eq!(seen, [1, 2, 3]);
}

#[test]
fn an_epoch_that_has_not_begun_has_no_handover() {
    let node = world(15).serve();
    for from in [2, 3, u64::MAX] {
        let page: EpochsAnswer = node.ask("chain_getEpochs", &json!([from]));
        assert_eq!((page.current.0.get(), page.handovers.len(), page.next), (1, 0, None));
    }
}

#[test]
fn an_epoch_begins_when_the_last_block_before_it_is_committed() {
    for (height, current) in [(19, 1), (20, 2)] {
        let page: EpochsAnswer = world(height).serve().ask("chain_getEpochs", &json!([]));
        assert_eq!(
            (page.current.0.get(), page.handovers.len()),
            (current, usize::try_from(current).unwrap())
        );
    }
}

/// The store is ahead of the snapshot here, and the snapshot does not lead into the epoch of the proof.
#[test]
fn nothing_is_proven_by_an_epoch_that_has_not_begun() {
    let mut world = world(15);
    let before = world.snapshot();
    world.advance_to(20);
    let payment = world.payment(5);
    let id = payment.id();
    world.commit(vec![payment], Own::Certificate);
    let kind = |answer: Answer<()>| answer.map_err(|error| error.kind);
    let found = |snapshot: &Snapshot, proofs| kind(snapshot.transaction(id, None, proofs).map(drop));
    let finality = |snapshot: &Snapshot| kind(snapshot.finality(Some(Height::new(21))).map(drop));

    assert_eq!(before.epochs(EpochNumber::ZERO, 9).unwrap().current.0, EpochNumber::new(1));
    assert_eq!(found(&before, Proofs::Include), Err(ErrorKind::NotReady));
    assert_eq!(finality(&before), Err(ErrorKind::NotFound));
    assert_eq!(found(&before, Proofs::Omit), Ok(()));

    let after = world.snapshot();
    assert_eq!((found(&after, Proofs::Include), finality(&after)), (Ok(()), Ok(())));
}

#[test]
fn the_validators_of_past_current_and_the_next_two_epochs_are_known() {
    let world = world(25);
    let contexts = [world.genesis.trusted().context(), Hash::ZERO, world.trusted.context()];
    let node = world.serve();
    let sets: Vec<ValidatorsAnswer> =
        (0..5).map(|epoch| node.ask("chain_getValidators", &json!([epoch]))).collect();
    assert_eq!(sets.iter().map(|set| set.validators.len()).collect::<Vec<_>>(), [4, 4, 5, 5, 5]);
    assert_eq!(sets.iter().map(|set| set.first_height.0.get()).collect::<Vec<_>>(), [1, 11, 21, 31, 41]);
    assert_eq!(sets.iter().map(|set| set.last_height.0.get()).collect::<Vec<_>>(), [10, 20, 30, 40, 50]);
    assert_eq!(sets.iter().map(|set| set.fixed).collect::<Vec<_>>(), [true, true, true, true, false]);
    assert_eq!(
        sets.iter().map(|set| set.context.is_some()).collect::<Vec<_>>(),
        [true, true, true, false, false]
    );
    assert_eq!(
        [&sets[0], &sets[2]].map(|set| set.context.map(|context| context.0)),
        [contexts[0], contexts[2]].map(Some)
    );
    assert_eq!(node.fault("chain_getValidators", &json!([5])), "not_found");
}

#[test]
fn without_a_number_the_validators_are_those_of_the_newest_block() {
    // The last block of epoch 1, after which epoch 2 has begun.
    let node = world(20).serve();
    let set: ValidatorsAnswer = node.ask("chain_getValidators", &json!([]));
    assert_eq!((set.epoch.0.get(), set.validators.len()), (1, 4));
    let farthest: ValidatorsAnswer = node.ask("chain_getValidators", &json!([4]));
    assert!(!farthest.fixed);
    let after_next: ValidatorsAnswer = node.ask("chain_getValidators", &json!([3]));
    assert!(after_next.fixed);
}

#[test]
fn a_change_is_seen_as_soon_as_it_is_final_though_the_set_may_change_again() {
    let node = world(1).serve();
    let set: ValidatorsAnswer = node.ask("chain_getValidators", &json!([2]));
    assert_eq!((set.validators.len(), set.fixed, set.context), (5, false, None));
}

#[test]
fn the_chain_and_its_head_name_the_epoch_of_the_newest_block() {
    for (height, epoch, validators, quorum) in [(20, 1, 4, 3), (21, 2, 5, 4)] {
        let node = world(height).serve();
        let info: ChainInfo = node.ask("chain_info", &json!([]));
        assert_eq!((info.epoch.0.get(), info.validators, info.quorum), (epoch, validators, quorum));
        let head: Head = node.ask("chain_head", &json!([]));
        assert_eq!(head.epoch.0.get(), epoch);
    }
}

#[test]
fn a_peer_has_the_index_that_it_has_in_the_current_epoch() {
    for (height, index) in [(19, None), (20, Some(4))] {
        let peers: PeersAnswer = world(height).serve().ask("node_peers", &json!([]));
        assert_eq!(peers.peers[1].validator, index);
    }
}

#[test]
fn recorded_evidence_is_shown_and_proven_to_be_all() {
    let mut world = world(21);
    let accusation = world.accusation(4);
    world.accuse(accusation.clone());
    let trusted = world.trusted.clone();
    let answer: EvidenceAnswer = world.serve().ask("chain_getEvidence", &json!([true]));
    let [recorded] = answer.evidence.as_slice() else { panic!("{answer:?}") };
    assert_eq!((recorded.height.0, recorded.accusation.epoch.0), (Height::new(22), EpochNumber::new(2)));
    assert_eq!((recorded.accusation.validator.0, recorded.accusation.index), (key(5).public_key(), 4));
    assert_eq!(recorded.accusation.offence, Offence::DoubleNotarize);

    let evidence = answer.proof.unwrap();
    let finalized = FinalityProof::decode(&evidence.finality.certified.0).unwrap().verify(&trusted).unwrap();
    let group: GroupProof = evidence.group.decode(PROOF_BYTES_MAX).unwrap();
    let values = evidence.values.iter().map(|one| (one.key.decode(128).unwrap(), one.value.0.clone()));
    let all = finalized.group::<RecordedEvidence>(&StateGroup::Evidence, values.collect(), &group).unwrap();
    assert_eq!(all.get()[0].1, RecordedEvidence { accusation, height: Height::new(22) });
    assert_eq!(all.get().len(), 1);
}

#[test]
fn that_nobody_was_convicted_is_proven_too() {
    let world = world(2);
    let trusted = world.trusted.clone();
    let answer: EvidenceAnswer = world.serve().ask("chain_getEvidence", &json!([true]));
    assert_eq!(answer.evidence, []);
    let evidence = answer.proof.unwrap();
    let finalized = FinalityProof::decode(&evidence.finality.certified.0).unwrap().verify(&trusted).unwrap();
    let group: GroupProof = evidence.group.decode(PROOF_BYTES_MAX).unwrap();
    let none = finalized.group::<RecordedEvidence>(&StateGroup::Evidence, Vec::new(), &group).unwrap();
    assert!(none.get().is_empty());
}

#[test]
fn a_block_shows_the_accusations_of_its_bundles() {
    let mut world = world(1);
    let accusation = world.accusation(0);
    world.accuse(accusation);
    let block: Block = world.serve().ask("chain_getBlock", &json!({ "height": 2, "bodies": true }));
    assert_eq!(block.bodies.unwrap()[0].accusations[0].offence, Offence::DoubleNotarize);
}
