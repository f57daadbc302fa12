//! From one epoch to the next, with and without other validators.
use quorate_primitives::codec::{Text, decode, encode};
use quorate_primitives::light::{FinalityProof, HANDOVER_BYTES_MAX, Handover, TrustedEpoch};
use quorate_primitives::transaction::Operation;
use quorate_primitives::validators::Validator;
use quorate_primitives::{EpochNumber, Hash, Height};
use quorate_replica::Voice;

use crate::network::{candidate, found_with, validator_key};
use crate::world::World;

const LENGTH: u64 = 10;

fn world(nodes: usize, seed: u64) -> World {
    let mut world = World::asleep_on(found_with(4, Some(LENGTH)), nodes, seed);
    (0..nodes).for_each(|node| world.start(node));
    world
}

fn reaches(world: &mut World, height: u64) {
    world.run_until("all reach the height", 300_000, |world| world.lowest() >= height);
}

#[test]
fn the_chain_goes_through_many_epochs() {
    let mut world = world(4, 1);
    reaches(&mut world, 7 * LENGTH + 3);
    for node in 0..4 {
        assert!(world.replica(node).status().epoch.get() >= 7);
    }
    assert!(world.nodes.iter().all(|node| node.bans.is_empty()));
}

#[test]
fn the_last_block_of_every_epoch_has_a_certificate_of_its_own() {
    let mut world = world(4, 2);
    reaches(&mut world, 5 * LENGTH + 1);
    for node in 0..4 {
        let reader = world.replica(node).ledger().reader();
        for epoch in 1..=5 {
            let last = Height::new(epoch * LENGTH);
            let proof: Option<FinalityProof> = reader.finality(last).unwrap();
            assert!(proof.is_some(), "node {node}, height {last}");
        }
    }
}

#[test]
fn who_was_away_for_epochs_comes_back() {
    let mut world = world(4, 3);
    reaches(&mut world, 5);
    world.crash(3);
    let far = 4 * LENGTH + 5;
    world.run_until("the others go on", 300_000, |world| world.height(0) >= far);
    world.start(3);
    reaches(&mut world, far + 5);
}

#[test]
fn who_lost_its_way_right_before_the_hand_over_is_helped() {
    let mut world = world(4, 4);
    reaches(&mut world, LENGTH - 2);
    world.nodes[3].island = 1;
    world.run_until("the others change", 300_000, |world| world.replica(0).status().epoch.get() == 1);
    world.nodes[3].island = 0;
    reaches(&mut world, LENGTH + 3);
}

#[test]
fn an_observer_follows_through_epochs() {
    let mut world = world(5, 5);
    reaches(&mut world, 3 * LENGTH + 3);
    assert!(world.nodes[4].log.is_empty(), "who does not vote has nothing to remember");
}

#[test]
fn power_loss_of_all_at_any_time_around_a_hand_over() {
    for step in 0..40 {
        let mut world = world(4, 100 + step);
        reaches(&mut world, LENGTH - 2);
        world.run(step * 25);
        (0..4).for_each(|node| world.crash(node));
        (0..4).for_each(|node| world.start(node));
        reaches(&mut world, LENGTH + 4);
        world.assert_nothing_lost();
    }
}

fn add(chain: Hash, index: usize) -> Operation {
    let validator = candidate(index);
    let possession = validator.prove_possession(&chain, &validator_key(index));
    Operation::ValidatorAdd { validator, possession }
}

fn in_epoch(world: &mut World, epoch: u64) {
    world.run_until("all reach the epoch", 600_000, |world| {
        world.up().into_iter().all(|node| world.replica(node).status().epoch.get() >= epoch)
    });
}

fn members(world: &World, node: usize) -> usize {
    world.replica(node).status().validators
}

#[test]
fn a_validator_that_is_added_votes_from_the_epoch_after_the_next() {
    let mut world = world(5, 6);
    let chain = world.genesis.hash();
    reaches(&mut world, 3);
    world.govern(0, add(chain, 4));
    in_epoch(&mut world, 1);
    assert_eq!(members(&world, 4), 4);
    assert_eq!(world.replica(4).status().voice, Voice::Observer);
    in_epoch(&mut world, 2);
    assert_eq!(members(&world, 0), 5);
    world.run_until("it votes", 60_000, |world| world.replica(4).status().voice == Voice::Free);
    // A quorum of five is four: with one away it is needed.
    world.crash(0);
    let height = world.height(4) + 5;
    world.run_until("the others need its vote", 120_000, |world| world.height(4) >= height);
}

#[test]
fn who_was_added_may_connect_as_soon_as_that_is_final() {
    let mut world = world(4, 7);
    let chain = world.genesis.hash();
    reaches(&mut world, 3);
    let key = validator_key(4).public_key();
    assert!(!world.nodes[0].admits.contains(&key));
    let added = world.govern(0, add(chain, 4));
    world.run_until("it is final", 60_000, |world| world.settled.contains_key(&added));
    let at = world.settled[&added];
    world.run_until("all have it", 60_000, |world| world.lowest() >= at.get());
    assert!(world.nodes.iter().all(|node| node.admits.contains(&key)));
}

#[test]
fn a_validator_that_is_removed_goes_on_as_an_observer() {
    let mut world = world(4, 8);
    reaches(&mut world, 3);
    world.govern(0, Operation::ValidatorRemove { name: Text::new("v3").unwrap() });
    in_epoch(&mut world, 2);
    assert_eq!(members(&world, 0), 3);
    assert_eq!(world.replica(3).status().voice, Voice::Observer);
    assert!(!world.nodes[0].admits.contains(&validator_key(3).public_key()));
    reaches(&mut world, 2 * LENGTH + 5);
}

#[test]
fn a_key_is_rotated_without_a_missed_quorum() {
    // Node 4 takes the place of node 3, under its name.
    let mut world = world(5, 9);
    let chain = world.genesis.hash();
    reaches(&mut world, 3);
    let fresh = Validator { key: validator_key(4).public_key(), ..candidate(3) };
    let possession = fresh.prove_possession(&chain, &validator_key(4));
    world.govern(0, Operation::ValidatorRotateKey { name: fresh.name, key: fresh.key, possession });
    in_epoch(&mut world, 2);
    assert_eq!(world.replica(3).status().voice, Voice::Observer);
    world.run_until("the new key votes", 60_000, |world| world.replica(4).status().voice == Voice::Free);
    world.crash(0);
    let height = world.height(4) + 5;
    world.run_until("the others need its vote", 120_000, |world| world.height(4) >= height);
}

#[test]
fn a_light_client_follows_every_change_of_the_set() {
    let mut world = world(5, 10);
    let chain = world.genesis.hash();
    reaches(&mut world, 3);
    world.govern(0, add(chain, 4));
    in_epoch(&mut world, 1);
    world.govern(1, Operation::ValidatorRemove { name: Text::new("v0").unwrap() });
    reaches(&mut world, 4 * LENGTH + 2);
    let ledger = world.replica(1).ledger();
    let mut trusted: TrustedEpoch = world.genesis.trusted();
    for epoch in 1..=4 {
        let boundary = ledger.reader().finality(Height::new(epoch * LENGTH)).unwrap().unwrap();
        let validators = ledger.head().state().validators(EpochNumber::new(epoch)).unwrap();
        let handover = Handover { boundary, validators };
        let handover: Handover = decode(&encode(&handover), HANDOVER_BYTES_MAX).unwrap();
        trusted = handover.verify(&trusted).unwrap();
    }
    assert_eq!(trusted.validators().len(), 4);
    let (proof, _) = ledger.certified().unwrap();
    assert_eq!(proof.verify(&trusted).map(|proven| proven.signers().1), Ok(4));
}

#[test]
fn validators_come_and_go_while_power_fails() {
    for seed in 0..6 {
        let mut world = world(6, 200 + seed);
        let chain = world.genesis.hash();
        world.govern(0, add(chain, 4));
        in_epoch(&mut world, 1);
        world.govern(1, add(chain, 5));
        world.govern(1, Operation::ValidatorRemove { name: Text::new("v1").unwrap() });
        for epoch in 2..=5 {
            in_epoch(&mut world, epoch);
            let pause = world.below(1_500);
            world.run(pause);
            (0..6).for_each(|node| world.crash(node));
            (0..6).for_each(|node| world.start(node));
        }
        assert_eq!(members(&world, 0), 5);
        world.assert_nothing_lost();
    }
}
