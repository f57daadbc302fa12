//! One checking thread: decodes what came, has it proven, and says what came of it.
use quorate_consensus::{Message, Proposal};
use quorate_primitives::block::{ANSWER_BYTES_MAX, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::codec;
use quorate_primitives::keys::{KnownKeys, verify_batch};
use quorate_primitives::signed::Verified;
use quorate_primitives::{EpochNumber, PublicKey};
use quorate_replica::wire::PEER_MESSAGE_BYTES_MAX;
use quorate_replica::{Answer, Event, PeerMessage};
use rand::rngs::StdRng;
use std::sync::Arc;

use super::proof::Proof;
use super::queues::Batch;
use super::{Job, Outcome, Shared, SubmitError, Work};
use crate::io::counters::{count, count_bytes};
use crate::io::net::{GOSSIP_BYTES_MAX, GossipId, Verdict};

/// One thread.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) known: KnownKeys,
    pub(super) rng: StdRng,
    pub(super) checks_only: bool,
}

/// A message that was decoded.
struct Opened {
    from: PublicKey,
    size: usize,
    kind: Kind,
    has_bundle: bool,
}

/// What a message is, apart from its bundle.
enum Kind {
    Malformed,
    Message(EpochNumber, Box<Message>),
    /// A bundle that was sent directly.
    Bundle,
    Proposal(Box<Proposal>, Payload),
    Gossip(GossipId),
}

impl Worker {
    pub(super) fn run(&mut self) {
        loop {
            match self.shared.next(self.checks_only) {
                Work::Checks(ticket, checks) => {
                    let bad = verify_batch(&checks, &mut self.known, &mut self.rng);
                    count_bytes(&self.shared.counters.signatures_checked, checks.len());
                    count(&self.shared.counters.signature_batches, 1);
                    (self.shared.outlet)(Outcome::Checked { ticket, bad });
                }
                Work::Batch(batch) => self.batch(batch),
                Work::Stop => return,
            }
        }
    }

    fn proof(&mut self) -> Proof<'_> {
        let Shared { cache, suspects, counters, .. } = &*self.shared;
        Proof { cache, suspects, counters, known: &mut self.known, rng: &mut self.rng }
    }

    fn batch(&mut self, Batch { jobs, submissions }: Batch) {
        let (mut messages, mut bundles) = (Vec::with_capacity(jobs.len()), Vec::with_capacity(jobs.len()));
        for job in jobs {
            let (message, bundle) = match job {
                Job::Answer { request, from, content } => {
                    self.answer(request, from, &content);
                    continue;
                }
                Job::Frame { from, content } => open_frame(from, &content),
                Job::Gossip { from, id, content } => open_gossip(from, id, &content),
            };
            bundles.extend(bundle.map(|bundle| (message.from, bundle)));
            messages.push(message);
        }
        let (transactions, replies): (Vec<_>, Vec<_>) = submissions.into_iter().unzip();
        let verdicts = self.proof().prove(bundles, transactions);
        let mut of_bundles = verdicts.bundles.into_iter();
        for message in messages {
            let bundle = if message.has_bundle { of_bundles.next().flatten() } else { None };
            self.deliver(message, bundle);
        }
        for (verdict, reply) in verdicts.transactions.into_iter().zip(replies) {
            match verdict {
                Some(transaction) => (self.shared.outlet)(Outcome::Submitted(transaction, reply)),
                None => reply.send(Err(SubmitError::BadSignature)),
            }
        }
    }

    /// Says what came of a message, whose bundle is proven if there is one.
    fn deliver(&self, message: Opened, bundle: Option<Verified<Bundle>>) {
        let Opened { from, size, kind, has_bundle } = message;
        let outlet = &self.shared.outlet;
        let is_forged = has_bundle && bundle.is_none();
        let of_bundle = |bundle| Event::Bundle { from: Some(from), bundle };
        let event = match kind {
            Kind::Gossip(id) => {
                let verdict = if bundle.is_some() { Verdict::Accept } else { Verdict::Reject };
                outlet(Outcome::Gossip { id, from, verdict });
                bundle.map(of_bundle)
            }
            Kind::Malformed => {
                outlet(Outcome::Violation { peer: from, reason: "a frame is malformed" });
                None
            }
            Kind::Bundle | Kind::Proposal(..) if is_forged => {
                outlet(Outcome::Violation { peer: from, reason: "a signature in a frame is invalid" });
                None
            }
            Kind::Message(epoch, message) => Some(Event::Message { from, epoch, message }),
            Kind::Bundle => bundle.map(of_bundle),
            Kind::Proposal(proposal, payload) => {
                Some(Event::Proposal { from, proposal, payload, inline: bundle })
            }
        };
        if let Some(event) = event {
            outlet(Outcome::Event(event, size));
        }
    }

    fn answer(&mut self, request: u64, from: PublicKey, content: &[u8]) {
        let answer = match codec::decode::<Answer>(content, ANSWER_BYTES_MAX) {
            Ok(answer) => self.proof().answer(answer, from).ok_or("a signature in an answer is invalid"),
            Err(_) => Err("an answer is malformed"),
        };
        if let Err(reason) = answer {
            (self.shared.outlet)(Outcome::Violation { peer: from, reason });
        }
        let event = Event::Answered { request, from, answer: answer.ok() };
        (self.shared.outlet)(Outcome::Event(event, content.len()));
    }
}

fn open_frame(from: PublicKey, content: &[u8]) -> (Opened, Option<Bundle>) {
    let (kind, bundle) = match codec::decode::<PeerMessage>(content, PEER_MESSAGE_BYTES_MAX) {
        Ok(PeerMessage::Consensus { epoch, message }) => (Kind::Message(epoch, Box::new(message)), None),
        Ok(PeerMessage::Proposal { proposal, payload, inline }) => {
            (Kind::Proposal(Box::new(proposal), payload), inline)
        }
        Ok(PeerMessage::Bundle(bundle)) => (Kind::Bundle, Some(bundle)),
        Err(_) => (Kind::Malformed, None),
    };
    (Opened { from, size: content.len(), kind, has_bundle: bundle.is_some() }, bundle)
}

/// Nothing but bundles is gossiped.
fn open_gossip(from: PublicKey, id: GossipId, content: &[u8]) -> (Opened, Option<Bundle>) {
    let bundle = match codec::decode::<PeerMessage>(content, GOSSIP_BYTES_MAX) {
        Ok(PeerMessage::Bundle(bundle)) => Some(bundle),
        Ok(PeerMessage::Consensus { .. } | PeerMessage::Proposal { .. }) | Err(_) => None,
    };
    (Opened { from, size: content.len(), kind: Kind::Gossip(id), has_bundle: bundle.is_some() }, bundle)
}
