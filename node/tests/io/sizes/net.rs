//! The largest messages go over real sockets, and are what they were when they arrive.
use std::sync::Arc;

use quorate_consensus::Proposal;
use quorate_consensus::message::PROOF_MAX;
use quorate_ledger::store::Memory;
use quorate_node::io::net::{GOSSIP_BYTES_MAX, NetworkEvent};
use quorate_primitives::block::{ANSWER_BYTES_MAX, BUNDLES_MAX, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::Claim;
use quorate_primitives::codec::{self, List};
use quorate_primitives::validators::VALIDATORS_MAX;
use quorate_primitives::{Hash, Height, Timestamp};
use quorate_replica::serve::blocks;
use quorate_replica::wire::{PEER_MESSAGE_BYTES_MAX, QUESTION_BYTES_MAX, SYNC_BLOCKS_MAX};
use quorate_replica::{Answer, PeerMessage, Question};

use super::chain::{Chain, FULL, Full, Maker, found, validator};
use crate::net::{answered, cluster};

/// The bundles of a block as they travel.
fn travelling(block: &Full) -> List<Bundle, 0, BUNDLES_MAX> {
    List::new(block.bundles.iter().map(|bundle| Bundle::clone(bundle)).collect()).unwrap()
}

/// Before gossip has formed, a message comes as a frame instead: then another one of the same size is sent.
#[tokio::test(flavor = "multi_thread")]
async fn the_longest_bundle_is_gossiped() {
    let (mut nodes, _) = cluster(2).await;
    let mut maker = Maker::new(&FULL.genesis);
    loop {
        let sent = PeerMessage::Bundle(maker.largest_bundle());
        nodes[0].network.publish(codec::encode(&sent));
        let (gossiped, content) = nodes[1]
            .until(|event| match event {
                NetworkEvent::Gossip { content, .. } => Some((true, content)),
                NetworkEvent::Frame { content, .. } => Some((false, content)),
                _ => None,
            })
            .await;
        assert!(codec::decode::<PeerMessage>(&content, GOSSIP_BYTES_MAX).unwrap() == sent);
        if gossiped {
            return;
        }
    }
}

/// As many certificates and bundles as there may be, all signatures of all validators, and the longest bundle.
#[tokio::test(flavor = "multi_thread")]
async fn the_longest_proposal_arrives() {
    let (mut nodes, _) = cluster(2).await;
    let Full { header, certificate, bundles, .. } = &FULL.blocks[0];
    let claim = Claim::Notarize { view: header.view, block: header.id() };
    let proposal = Proposal {
        view: header.view,
        parent: header.parent_view,
        header: header.clone(),
        vote: claim.sign(&FULL.genesis.trusted().context(), 0, &validator(0)),
        proof: List::new(vec![certificate.clone(); PROOF_MAX]).unwrap(),
    };
    let payload = Payload { bundles: List::new(bundles.iter().map(|bundle| bundle.id()).collect()).unwrap() };
    let inline = Some(Maker::new(&FULL.genesis).largest_bundle());
    let sent = PeerMessage::Proposal { proposal, payload, inline };
    let to = nodes[1].key;
    nodes[0].network.send(vec![to], codec::encode(&sent));
    let (_, content) = nodes[1].frame().await;
    assert!(codec::decode::<PeerMessage>(&content, PEER_MESSAGE_BYTES_MAX).unwrap() == sent);
}

/// Asks a question, gives the answer, and returns what arrives of it.
async fn exchange(question: &Question, answer: &Answer) -> Answer {
    let (mut nodes, _) = cluster(2).await;
    let to = nodes[1].key;
    assert!(nodes[0].network.ask(1, to, codec::encode(question)));
    let asked = nodes[1].until(|event| match event {
        NetworkEvent::Asked { token, content, .. } => Some((token, content)),
        _ => None,
    });
    let (token, content) = asked.await;
    assert!(codec::decode::<Question>(&content, QUESTION_BYTES_MAX).unwrap() == *question);
    nodes[1].network.answer(token, codec::encode(answer));
    let (_, content) = answered(&mut nodes[0]).await;
    codec::decode(&content.expect("the answer did not arrive"), ANSWER_BYTES_MAX).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_block_is_given_to_whoever_asks_for_it() {
    for block in &FULL.blocks {
        let answer = Answer::Block { header: block.header.clone(), bundles: travelling(block) };
        let arrived = exchange(&Question::Block(block.header.id()), &answer).await;
        assert!(arrived == answer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_bundles_of_a_full_block_are_given_to_whoever_lacks_them() {
    for block in &FULL.blocks {
        let ids: Vec<Hash> = block.bundles.iter().map(|bundle| bundle.id()).collect();
        let answer = Answer::Bundles(travelling(block));
        let arrived = exchange(&Question::Bundles(List::new(ids).unwrap()), &answer).await;
        assert!(arrived == answer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_answer_holds_a_full_block_and_its_certificate() {
    let reader = FULL.commit_to(Arc::new(Memory::new())).reader();
    for Full { header, certificate, .. } in &FULL.blocks {
        let answer = blocks(&reader, header.height);
        let arrived = exchange(&Question::Blocks { from: header.height }, &answer).await;
        assert!(arrived == answer);
        let Answer::Blocks(given) = arrived else { panic!("{arrived:?}") };
        assert_eq!((&given[0].header, given[0].certificate.as_ref()), (header, Some(certificate)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_answer_full_of_certificates_arrives() {
    let genesis = found(VALIDATORS_MAX, Timestamp::new(1));
    let chain = Chain::of(genesis, vec![Vec::new(); SYNC_BLOCKS_MAX]);
    let reader = chain.commit_to(Arc::new(Memory::new())).reader();
    let answer = blocks(&reader, Height::new(1));
    let arrived = exchange(&Question::Blocks { from: Height::new(1) }, &answer).await;
    assert!(arrived == answer);
    // Not all fit, but the answer is as full as it may be.
    let bytes = codec::encode(&arrived).len();
    assert!(bytes > ANSWER_BYTES_MAX - 512 * 1024, "{bytes} bytes");
}
