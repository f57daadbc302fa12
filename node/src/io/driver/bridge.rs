//! From the network to the checking threads, and from there to the replica.
//!
//! Nothing here waits. What does not fit is dropped, and each case says why that is harmless.
use quorate_primitives::codec;
use quorate_replica::wire::{PEER_MESSAGE_BYTES_MAX, QUESTION_BYTES_MAX};
use quorate_replica::{Event, PeerMessage, Question};
use std::sync::{Arc, OnceLock};

use super::inbox::{Inbox, Lane, Parcel};
use super::run::Item;
use crate::io::counters::{Counters, count};
use crate::io::net::{Network, NetworkEvent, Sink, Verdict};
use crate::io::verify::{Job, Outcome, Outlet, Pool, SubmitError};

/// The network, once it runs.
pub(super) type Link = Arc<OnceLock<Network>>;

/// First byte of a protocol message: these few bytes need no checking thread.
const CONSENSUS_TAG: u8 = 0;

fn offer(inbox: &Inbox<Item>, counters: &Counters, lane: Lane, event: Event, bytes: usize) {
    let from = match &event {
        Event::Message { from, .. } | Event::Proposal { from, .. } => Some(*from),
        _ => None,
    };
    let parcel = Parcel { item: Item::Event(Box::new(event)), bytes, from };
    if inbox.push(lane, parcel).is_err() {
        count(&counters.events_dropped, 1);
    }
}

/// What a checking thread does with an outcome.
pub(super) fn outlet(inbox: Arc<Inbox<Item>>, link: Link, counters: Arc<Counters>) -> Outlet {
    Box::new(move |outcome| match outcome {
        Outcome::Checked { ticket, bad } => {
            offer(&inbox, &counters, Lane::Own, Event::Checked { ticket, bad }, 0);
        }
        Outcome::Event(event, bytes) => {
            // Proposals and bundles are asked for when they are missed, questions asked again.
            let lane = if matches!(event, Event::Proposal { .. }) { Lane::Protocol } else { Lane::Bulk };
            offer(&inbox, &counters, lane, event, bytes);
        }
        Outcome::Submitted(transaction, reply) => {
            let bytes = transaction.size();
            let item = Item::Submitted(transaction, reply);
            if let Err(Item::Submitted(_, reply)) =
                inbox.push(Lane::Client, Parcel { item, bytes, from: None })
            {
                reply.send(Err(SubmitError::busy()));
            }
        }
        Outcome::Gossip { id, from, verdict } => {
            if let Some(network) = link.get() {
                network.report(id, from, verdict);
            }
        }
        Outcome::Violation { peer, reason } => {
            if let Some(network) = link.get() {
                network.ban(peer, reason);
            }
        }
    })
}

/// What the network task does with an event.
pub(super) fn sink(inbox: Arc<Inbox<Item>>, pool: Arc<Pool>, link: Link, counters: Arc<Counters>) -> Sink {
    Box::new(move |event| match event {
        NetworkEvent::Connected(peer) => offer(&inbox, &counters, Lane::Own, Event::Connected(peer), 0),
        NetworkEvent::Disconnected(peer) => offer(&inbox, &counters, Lane::Own, Event::Disconnected(peer), 0),
        NetworkEvent::Frame { from, content } => {
            if content.first() == Some(&CONSENSUS_TAG) {
                let bytes = content.len();
                match codec::decode::<PeerMessage>(&content, PEER_MESSAGE_BYTES_MAX) {
                    Ok(PeerMessage::Consensus { epoch, message }) => {
                        let event = Event::Message { from, epoch, message: Box::new(message) };
                        offer(&inbox, &counters, Lane::Protocol, event, bytes);
                    }
                    Ok(PeerMessage::Proposal { .. } | PeerMessage::Bundle(_)) | Err(_) => {
                        ban(&link, from, "a frame is malformed");
                    }
                }
            } else {
                // Dropped under load: the sender repeats it, or it is asked for.
                let _ = pool.push(Job::Frame { from, content });
            }
        }
        NetworkEvent::Gossip { from, id, content } => {
            if let Err(Job::Gossip { from, id, .. }) = pool.push(Job::Gossip { from, id, content })
                && let Some(network) = link.get()
            {
                network.report(id, from, Verdict::Ignore);
            }
        }
        NetworkEvent::Asked { from, token, content } => {
            match codec::decode::<Question>(&content, QUESTION_BYTES_MAX) {
                // Dropped under load: the peer asks another one.
                Ok(question) => {
                    offer(
                        &inbox,
                        &counters,
                        Lane::Bulk,
                        Event::Asked { from, token, question },
                        content.len(),
                    );
                }
                Err(_) => ban(&link, from, "a question is malformed"),
            }
        }
        NetworkEvent::Answered { request, from, content: Some(content) } => {
            // Dropped under load: the replica's own deadline ends the question.
            let _ = pool.push(Job::Answer { request, from, content });
        }
        NetworkEvent::Answered { request, from, content: None } => {
            let event = Event::Answered { request, from, answer: None };
            offer(&inbox, &counters, Lane::Bulk, event, 0);
        }
    })
}

fn ban(link: &Link, peer: quorate_primitives::PublicKey, reason: &'static str) {
    if let Some(network) = link.get() {
        network.ban(peer, reason);
    }
}
