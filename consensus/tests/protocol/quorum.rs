//! What certificates need, for every size of network.
use quorate_consensus::{Claim, Effect, Engine, Input, MESSAGE_BYTES_MAX, Message};
use quorate_primitives::codec;
use quorate_primitives::validators::{faulty_max, quorum};

use crate::bench::{anchor_of, bad_positions, block_on, certificate, epoch_of, proposal, sign, view};

#[test]
fn two_quorums_share_an_honest_validator_and_the_honest_ones_make_one_for_every_size() {
    for n in 1..=128_usize {
        let (q, f) = (quorum(n), faulty_max(n));
        assert!(2 * q - n > f, "two quorums of {n} share too few");
        assert!(q <= n - f, "the honest ones of {n} are too few");
        assert!(n > 3 * f);
    }
}

/// Feeds Nullify votes of the first `count` validators to an observer.
fn view_after(n: usize, count: usize) -> u64 {
    let epoch = epoch_of(n);
    let mut engine = Engine::new(epoch.clone(), None);
    let _ = engine.start();
    for signer in 0..u8::try_from(count).unwrap() {
        let vote = sign(&epoch, signer, Claim::Nullify { view: view(1) });
        let mut effects = engine.step(Input::Received { from: signer, message: Message::Vote(vote) }).effects;
        while let Some(effect) = effects.pop() {
            if let Effect::Check { ticket, checks } = effect {
                effects.extend(engine.step(Input::Checked { ticket, bad: bad_positions(&checks) }).effects);
            }
        }
    }
    engine.view().get()
}

#[test]
fn a_quorum_decides_and_one_less_does_not_for_every_size() {
    for n in 1..=128 {
        assert_eq!(view_after(n, quorum(n) - 1), 1, "one less than a quorum of {n}");
        assert_eq!(view_after(n, quorum(n)), 2, "a quorum of {n}");
    }
}

#[test]
fn the_longest_message_fits_its_bound() {
    let epoch = epoch_of(128);
    let all: Vec<u8> = epoch.everybody().iter().collect();
    let block = block_on(&epoch, view(9), anchor_of(&epoch));
    let longest = Claim::Finalize { view: view(8), block: block.id(), outcome: block.id() };
    let proof = vec![certificate(&epoch, &all, longest); 8];
    let message = Message::Propose(proposal(&epoch, &block, view(9), view(0), proof));
    let bytes = codec::encode(&message);
    assert!(bytes.len() <= MESSAGE_BYTES_MAX, "{} bytes", bytes.len());
    assert_eq!(codec::decode::<Message>(&bytes, MESSAGE_BYTES_MAX).unwrap(), message);
}

#[test]
fn the_words_on_the_wire_do_not_change() {
    let epoch = epoch_of(4);
    let vote = sign(&epoch, 3, Claim::Nullify { view: view(258) });
    let bytes = codec::encode(&Message::Vote(vote));
    // Vote, Nullify, view 258, signer 3.
    assert_eq!(bytes[..11], [1, 1, 2, 1, 0, 0, 0, 0, 0, 0, 3]);
    assert_eq!(bytes.len(), 11 + 64);
}
