//! Where a [filter](crate::puppet::Filter) reaches between a replica and the network.
use quorate_primitives::block::ANSWER_BYTES_MAX;
use quorate_primitives::codec;
use quorate_primitives::keys::SignatureCheck;
use quorate_replica::wire::QUESTION_BYTES_MAX;
use quorate_replica::{Answer, PeerMessage, Question};
use std::rc::Rc;

use super::Node;
use crate::environment::{Environment, Parcel};
use crate::puppet::{Filter, Incoming, Outgoing, Stage};
use crate::wire::Packet;

impl Node {
    /// Lets the filter act; `None` if there is none.
    fn with_filter<T>(
        &mut self,
        env: &mut Environment,
        act: impl FnOnce(&mut dyn Filter, &mut Stage<'_>) -> T,
    ) -> Option<T> {
        let mut filter = self.filter.take()?;
        let beside = self.running.as_ref().map(|running| (&running.replica, running.gate.durable()));
        let result = act(filter.as_mut(), &mut Stage::new(env, self.id, &self.secret).beside(beside));
        self.filter = Some(filter);
        Some(result)
    }

    pub(super) fn call_filter(&mut self, env: &mut Environment, tag: Option<u64>) {
        self.with_filter(env, |filter, stage| match tag {
            Some(tag) => filter.timer(stage, tag),
            None => filter.start(stage),
        });
    }

    pub(super) fn send_filtered(
        &mut self,
        env: &mut Environment,
        to: usize,
        message: &PeerMessage,
        parcel: &Parcel,
    ) {
        match self.with_filter(env, |filter, stage| filter.outgoing(stage, to, message)) {
            None | Some(Outgoing::Pass) => env.send(self.id, to, parcel),
            Some(Outgoing::Instead(packets)) => {
                for bytes in packets {
                    let packet = Rc::new(Packet::new(bytes));
                    if let Some(message) = packet.message() {
                        let now = env.now;
                        env.checkers.sent(now, self.id, message, &mut env.memo);
                    }
                    env.send(self.id, to, &Parcel::Message(packet));
                }
            }
        }
    }

    /// What is left of a parcel for the replica.
    pub(super) fn receive_filtered(
        &mut self,
        env: &mut Environment,
        from: usize,
        parcel: Parcel,
    ) -> Option<Parcel> {
        if self.filter.is_none() {
            return Some(parcel);
        }
        match parcel {
            Parcel::Message(packet) => {
                let Some(message) = packet.message() else { return Some(Parcel::Message(packet)) };
                match self.with_filter(env, |filter, stage| filter.incoming(stage, from, message)) {
                    None | Some(Incoming::Pass) => Some(Parcel::Message(packet)),
                    Some(Incoming::Instead(other)) => {
                        other.map(|message| Parcel::Message(Rc::new(Packet::of(&message))))
                    }
                }
            }
            gossip @ Parcel::Gossip { .. } => Some(gossip),
            Parcel::Question { request, life, packet } => {
                let question = codec::decode::<Question>(packet.bytes(), QUESTION_BYTES_MAX).ok();
                let is_taken = question.is_some_and(|question| {
                    let ask = |filter: &mut dyn Filter, stage: &mut Stage<'_>| {
                        filter.question(stage, from, request, &question)
                    };
                    self.with_filter(env, ask).unwrap_or(false)
                });
                (!is_taken).then_some(Parcel::Question { request, life, packet })
            }
            Parcel::Answer { request, packet } => {
                let Ok(answer) = codec::decode::<Answer>(packet.bytes(), ANSWER_BYTES_MAX) else {
                    return Some(Parcel::Answer { request, packet });
                };
                let answer = self.with_filter(env, |filter, stage| filter.answered(stage, from, answer))?;
                Some(Parcel::Answer { request, packet: Rc::new(Packet::new(codec::encode(&answer))) })
            }
        }
    }

    /// The bytes of an answer, if it is given.
    pub(super) fn answer_filtered(
        &mut self,
        env: &mut Environment,
        to: usize,
        answer: &Answer,
    ) -> Option<Vec<u8>> {
        if self.filter.is_none() {
            return Some(codec::encode(answer));
        }
        let answer = answer.clone();
        let given = self.with_filter(env, |filter, stage| filter.answering(stage, to, answer)).flatten();
        given.map(|answer| codec::encode(&answer))
    }

    /// Leaves those of the invalid signatures that the replica is told of.
    pub(super) fn believe(&self, checks: &[SignatureCheck], bad: &mut Vec<usize>) {
        if let Some(filter) = &self.filter {
            bad.retain(|position| !checks.get(*position).is_some_and(|check| filter.believes(check)));
        }
    }
}
