//! What a replica that is behind believes, and what it brings back by itself.
use quorate_consensus::{Message, Record};
use quorate_ledger::store::Memory;
use quorate_ledger::store::memory::{Progress, Trouble, TroubleKind};
use quorate_primitives::certificate::Claim;
use quorate_primitives::codec::List;
use quorate_primitives::{EpochNumber, Hash, Height, PublicKey, Signature, View};
use quorate_replica::serve::blocks;
use quorate_replica::{Answer, Effect, Event, LogRecord, Question, Settings, SyncBlock, Timer, Voice};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::network::{found_with, validator_key};
use crate::solo::Solo;
use crate::world::World;

/// A network in which validator 0 has never taken part: its key must not have signed what it cannot know.
fn others(seed: u64) -> World {
    let mut world = World::asleep(4, 0, seed);
    (1..4).for_each(|node| world.start(node));
    world
}

/// The first blocks of a network that ran for a while.
fn history() -> Vec<SyncBlock> {
    let mut world = others(21);
    for _ in 0..20 {
        world.submit(1);
        world.run(400);
    }
    let Answer::Blocks(found) = blocks(&world.replica(1).ledger().reader(), Height::new(1)) else { panic!() };
    let found = found.into_inner();
    assert!(found.len() > 10 && found.last().unwrap().certificate.is_some());
    found
}

/// A new replica that asked validator 1 for blocks.
fn asking() -> (Solo, u64, PublicKey) {
    let mut solo = Solo::on(Arc::new(Memory::new()), 0, Settings::default());
    let (request, peer) = ask(&mut solo);
    (solo, request, peer)
}

/// Starts a new replica and has it ask validator 1 for blocks.
fn ask(solo: &mut Solo) -> (u64, PublicKey) {
    solo.start();
    solo.now += 3_600_000;
    let peer = validator_key(1).public_key();
    solo.step(Event::Connected(peer));
    solo.elapse(Timer::Sync, 10_000);
    let (request, to, question) = solo.questions().pop().unwrap();
    assert_eq!((to, question), (peer, Question::Blocks { from: Height::new(1) }));
    (request, peer)
}

fn give(solo: &mut Solo, request: u64, from: PublicKey, blocks: Vec<SyncBlock>) {
    let answer = Answer::Blocks(List::new(blocks).unwrap()).verify(&mut ChaCha8Rng::seed_from_u64(3));
    assert!(answer.is_some());
    solo.step(Event::Answered { request, from, answer });
}

fn height(solo: &Solo) -> usize {
    usize::try_from(solo.replica.status().height.get()).unwrap()
}

/// A new replica whose clock was set back by an hour right after its start, connected to validator 1.
fn set_back() -> (Solo, PublicKey) {
    let mut solo = Solo::on(Arc::new(Memory::new()), 0, Settings::default());
    solo.now += 3_600_000;
    solo.start();
    solo.now -= 3_600_000;
    let peer = validator_key(1).public_key();
    solo.step(Event::Connected(peer));
    (solo, peer)
}

#[test]
fn a_clock_that_was_set_back_does_not_keep_a_replica_from_looking_for_blocks() {
    let (mut solo, peer) = set_back();
    solo.elapse(Timer::Sync, 10_000);
    assert_eq!(solo.questions().pop().map(|(_, to, _)| to), Some(peer));
}

#[test]
fn who_hears_of_a_later_epoch_looks_for_blocks_at_once() {
    let mut solo = Solo::new(0, Settings::default());
    let peer = validator_key(1).public_key();
    solo.step(Event::Connected(peer));
    let claim = Claim::Nullify { view: View::new(1) };
    let vote = claim.sign(&Hash::ZERO, 1, &validator_key(1));
    let later = EpochNumber::new(5);
    solo.step(Event::Message { from: peer, epoch: later, message: Box::new(Message::Vote(vote)) });
    let soon = Settings::default().ask_timeout_ms;
    solo.elapse(Timer::Sync, soon);
    let asked = solo.questions().into_iter().find(|(_, _, question)| *question != Question::Standing);
    assert_eq!(asked.map(|(_, to, _)| to), Some(peer));
}

#[test]
fn what_others_said_of_a_later_epoch_is_asked_again_there() {
    let genesis = found_with(4, Some(10));
    let mut world = World::asleep_on(genesis.clone(), 4, 23);
    (1..4).for_each(|node| world.start(node));
    world.run_until("the epoch ends", 120_000, |world| world.height(1) >= 10);
    let ledger = world.replica(1).ledger();
    let Answer::Blocks(found) = blocks(&ledger.reader(), Height::new(1)) else { panic!() };
    let first_epoch = found.into_inner().into_iter().take(10).collect();
    let last = ledger.reader().block(Height::new(10)).unwrap().unwrap();
    let context = genesis.trusted().identity().successor(last.header.id(), &last.outcome).context();

    let mut solo = Solo::founded(&genesis, Arc::new(Memory::new()), 0, Settings::default());
    solo.now = world.now;
    let forgotten = Claim::Notarize { view: View::new(1), block: Hash::ZERO };
    solo.others = (EpochNumber::new(1), Some(forgotten.sign(&context, 0, &validator_key(0))));
    solo.step(Event::Start);
    (1..4).for_each(|peer| solo.step(Event::Connected(validator_key(peer).public_key())));
    assert_eq!(solo.replica.status().voice, Voice::Asking);
    solo.elapse(Timer::Sync, 10_000);
    let (request, to, _) = solo.questions().pop().unwrap();
    give(&mut solo, request, to, first_epoch);
    assert_eq!(solo.replica.status().epoch, EpochNumber::new(1));
    assert_eq!(solo.signed, [], "it signs although it was told of a vote that it does not know");
    assert!(solo.effects.iter().any(|effect| matches!(effect, Effect::Halt(_))));
}

#[test]
fn blocks_with_a_certificate_are_committed_and_the_engine_follows() {
    let (mut solo, request, peer) = asking();
    let blocks = history();
    let count = blocks.len();
    let view = blocks.last().unwrap().header.view;
    give(&mut solo, request, peer, blocks);
    assert_eq!(height(&solo), count);
    assert_eq!(solo.replica.status().finalized_view, view);
    assert!(!solo.banned());
}

/// The vote log has nothing of blocks that were caught up with: until the ledger is synced they may be lost.
#[test]
fn nobody_is_told_of_blocks_that_were_caught_up_with_before_they_are_safe() {
    let blocks = history();
    // The disk fails at the third block, and at the sync after the last one.
    for after in [2, u64::try_from(blocks.len()).unwrap()] {
        let store = Arc::new(Memory::new());
        let mut solo = Solo::on(Arc::clone(&store), 0, Settings::default());
        let (request, peer) = ask(&mut solo);
        store.plan(Some(Trouble { after, kind: TroubleKind::Failure, progress: Progress::Nothing }));
        give(&mut solo, request, peer, blocks.clone());
        assert!(solo.effects.iter().any(|effect| matches!(effect, Effect::Halt(_))), "{after}");
        let told = solo.effects.iter().filter(|effect| matches!(effect, Effect::Committed(_)));
        assert_eq!(told.count(), 0, "{after}");
    }
}

#[test]
fn blocks_without_a_certificate_wait_for_the_next_answer() {
    let (mut solo, request, peer) = asking();
    let mut first = history();
    let second = first.split_off(5);
    first.iter_mut().for_each(|block| block.certificate = None);
    give(&mut solo, request, peer, first);
    assert_eq!(height(&solo), 0);
    let (request, to, question) = solo.questions().pop().unwrap();
    assert_eq!((to, question), (peer, Question::Blocks { from: Height::new(6) }));
    let count = 5 + second.len();
    give(&mut solo, request, peer, second);
    assert_eq!(height(&solo), count);
}

#[test]
fn a_gap_in_the_blocks_is_refused() {
    let (mut solo, request, peer) = asking();
    let mut blocks = history();
    blocks.remove(3);
    give(&mut solo, request, peer, blocks);
    assert!(solo.banned());
    assert_eq!(height(&solo), 0);
}

#[test]
fn other_bundles_than_the_header_names_are_refused() {
    let (mut solo, request, peer) = asking();
    let mut blocks = history();
    let full = blocks.iter().position(|block| !block.bundles.is_empty()).unwrap();
    blocks[full].bundles = List::default();
    give(&mut solo, request, peer, blocks);
    assert!(solo.banned());
    assert_eq!(height(&solo), 0);
}

#[test]
fn a_forged_signature_in_the_certificate_is_refused() {
    let (mut solo, request, peer) = asking();
    let mut blocks = history();
    let certificate = blocks.last_mut().unwrap().certificate.as_mut().unwrap();
    let mut signatures = certificate.signatures.to_vec();
    signatures[0] = Signature::from_bytes([7; 64]);
    certificate.signatures = List::new(signatures).unwrap();
    give(&mut solo, request, peer, blocks);
    assert!(solo.banned());
    assert_eq!(height(&solo), 0);
}

#[test]
fn a_certificate_of_another_block_is_refused() {
    let (mut solo, request, peer) = asking();
    let mut blocks = history();
    let earlier = blocks.iter().find_map(|block| block.certificate.clone()).unwrap();
    blocks.iter_mut().for_each(|block| block.certificate = None);
    blocks.last_mut().unwrap().certificate = Some(earlier);
    blocks.remove(0);
    let mut shortened = history();
    shortened.truncate(1);
    shortened[0].certificate = None;
    shortened.extend(blocks);
    let count = shortened.len();
    give(&mut solo, request, peer, shortened);
    assert!(height(&solo) < count);
}

#[test]
fn a_ledger_that_is_ahead_of_the_log_tells_the_engine() {
    let mut world = others(22);
    world.run(15_000);
    let mut solo = Solo::on(world.nodes[1].store.clone(), 0, Settings::default());
    solo.now = world.now;
    solo.start();
    assert!(height(&solo) > 3);
    let status = solo.replica.status();
    assert_eq!(status.finalized_view, world.replica(1).ledger().head().view());
}

#[test]
fn every_body_is_recorded_once_and_before_the_vote_that_names_it() {
    let mut world = World::new(4, 23);
    for _ in 0..30 {
        world.submit(2);
        world.run(170);
    }
    for node in 0..4 {
        let mut bodies = BTreeMap::new();
        for (position, bytes) in world.nodes[node].log.iter().enumerate() {
            match quorate_primitives::codec::decode(bytes, usize::MAX).unwrap() {
                LogRecord::Body { header, .. } => {
                    assert_eq!(bodies.insert(header.id(), position), None, "a body twice");
                }
                LogRecord::Consensus {
                    record: Record::Own(quorate_consensus::Claim::Notarize { block, .. }),
                    ..
                } => {
                    assert!(bodies.contains_key(&block), "a vote before the body");
                }
                LogRecord::Consensus { .. } | LogRecord::Epoch(_) | LogRecord::Quarantine => {}
            }
        }
        assert!(bodies.len() > 10);
    }
}
