//! What a driver does for its replica, and what it takes in from others.
use quorate_primitives::block::ANSWER_BYTES_MAX;
use quorate_primitives::certificate::Claim;
use quorate_primitives::codec;
use quorate_primitives::evidence::Accusation;
use quorate_primitives::hash::Domain;
use quorate_primitives::keys::SignatureCheck;
use quorate_primitives::{EpochNumber, Hash, PublicKey};
use quorate_replica::wire::QUESTION_BYTES_MAX;
use quorate_replica::{Answer, CheckTicket, Committed, Effect, Event, PeerMessage, Question};
use std::rc::Rc;
use std::sync::Arc;

use super::Node;
use crate::environment::{Down, Environment, Happening, Parcel};
use crate::puppet::Stage;
use crate::trace::{What, word};
use crate::wire::{Packet, verify_answer};

/// How long the checking threads take for one signature, in microseconds.
const CHECK_US: u64 = 50;

impl Node {
    pub(super) fn carry_out_all(&mut self, env: &mut Environment) {
        while let Some(effect) = self.running.as_mut().and_then(|running| running.effects.pop_front()) {
            if let Some(left) = self.effects_left.as_mut() {
                if *left == 0 {
                    self.kill();
                    env.marks.hit("crash between effects");
                    let power = env.disk_dice.chance(env.options.disk.power_permille);
                    env.downs.push((self.id, Down::Crashed { power }));
                    return;
                }
                *left = left.saturating_sub(1);
            }
            self.carry_out(env, effect);
        }
    }

    fn carry_out(&mut self, env: &mut Environment, effect: Effect) {
        match effect {
            Effect::Sign { epoch, context, index, claim } => self.sign(env, (epoch, context, index), claim),
            Effect::Admit(keys) => self.admitted = keys,
            Effect::Send { to, message } => self.send(env, &to, &message),
            Effect::Gossip(bundle) => {
                env.memo.keep_bundle(&bundle);
                let message = PeerMessage::Bundle((*bundle).clone());
                if env.network.wide.is_some() {
                    return self.publish_wide(env, &message);
                }
                let others: Vec<PublicKey> =
                    env.keys.iter().filter(|key| **key != self.key).copied().collect();
                self.send(env, &others, &message);
            }
            Effect::Check { ticket, checks } => {
                let count = u64::try_from(checks.len()).unwrap_or(u64::MAX);
                let mut bad = env.memo.invalid(&checks);
                self.believe(&checks, &mut bad);
                if !bad.is_empty() {
                    env.marks.hit("invalid signature found");
                }
                let life = env.lives.get(self.id).copied().unwrap_or_default();
                let at = match &env.options.wide {
                    Some(wide) => self.labour.prove(env.now, count.saturating_mul(wide.vote_us)),
                    None => env.now.after_micros(count.saturating_mul(CHECK_US)),
                };
                env.schedule(at, Happening::Checked { node: self.id, life, ticket, bad });
            }
            Effect::Ask { request, to, question } => self.ask(env, request, &to, &question),
            Effect::Answer { token, answer } => self.answer(env, token, &answer),
            Effect::Arm { timer, after_ms } => self.arm(env, timer, after_ms),
            Effect::Reply { ticket, outcome } => {
                env.note(Some(self.id), What::Note("replies", ticket, u64::from(outcome.is_ok())));
                self.replied(env, ticket, outcome);
            }
            Effect::Committed(committed) => self.committed(env, committed),
            Effect::Evidence(evidence) => self.evidence(env, &evidence),
            Effect::Ban { peer, reason } => self.ban(env, &peer, reason),
            Effect::Halt(fault) => self.stop(env, format!("halts: {fault}")),
        }
    }

    fn sign(&mut self, env: &mut Environment, place: (EpochNumber, Hash, u8), claim: Claim) {
        let (epoch, context, index) = place;
        let Some(running) = self.running.as_mut() else { return };
        let reader = running.replica.ledger().reader();
        let is_committed = |block: &Hash| reader.height_of(block).ok().flatten().is_some();
        if let Some(what) = running.gate.lacks(epoch, claim, is_committed) {
            return env.violate(
                "durable votes",
                format!("node {} signs {claim}, but {what} is not on its disk", self.id),
            );
        }
        let vote = claim.sign(&context, index, &self.secret);
        env.note(Some(self.id), What::Signed(claim));
        let check = SignatureCheck {
            key: self.key,
            domain: Domain::SignVote,
            message: claim.message(&context),
            signature: vote.signature,
        };
        if !env.memo.made(check) {
            env.violate(
                "signatures",
                format!("the signature of node {} under {claim} is not valid", self.id),
            );
        }
        let now = env.now;
        env.checkers.signed(now, self.id, epoch, &vote);
        running.signed.push_back((epoch, vote));
    }

    fn send(&mut self, env: &mut Environment, to: &[PublicKey], message: &PeerMessage) {
        let packet = Rc::new(Packet::of(message));
        env.note(Some(self.id), What::Sent { to: to.len(), packet: Rc::clone(&packet) });
        let now = env.now;
        env.checkers.sent(now, self.id, message, &mut env.memo);
        let parcel = Parcel::Message(packet);
        if self.filter.is_none() {
            to.iter().for_each(|key| env.send_to_key(self.id, key, &parcel));
            return;
        }
        for key in to {
            for node in env.nodes_of(key).to_vec() {
                self.send_filtered(env, node, message, &parcel);
            }
        }
    }

    fn ask(&mut self, env: &mut Environment, request: u64, to: &PublicKey, question: &Question) {
        let packet = Rc::new(Packet::new(codec::encode(question)));
        env.note(Some(self.id), What::Note("asks", request, packet.digest()));
        let reachable = env.nodes_of(to).iter().any(|node| env.network.is_open(self.id, *node));
        if reachable {
            let life = env.lives.get(self.id).copied().unwrap_or_default();
            env.send_to_key(self.id, to, &Parcel::Question { request, life, packet });
        } else if let Some(running) = self.running.as_mut() {
            running.inbox.push_back(Event::Answered { request, from: *to, answer: None });
        }
    }

    fn answer(&mut self, env: &mut Environment, token: u64, answer: &Answer) {
        let Some(running) = self.running.as_mut() else { return };
        let Some((to, life, request)) = running.asked.remove(&token) else { return };
        if env.lives.get(to) != Some(&life) {
            return;
        }
        let Some(bytes) = self.answer_filtered(env, to, answer) else { return };
        if bytes.len() > ANSWER_BYTES_MAX {
            env.violate("bounds", format!("node {} gives an answer of {} bytes", self.id, bytes.len()));
        }
        let packet = Rc::new(Packet::new(bytes));
        env.note(Some(self.id), What::Note("answers", request, packet.digest()));
        env.send(self.id, to, &Parcel::Answer { request, packet });
    }

    fn arm(&mut self, env: &mut Environment, timer: quorate_replica::Timer, after_ms: u64) {
        env.note(Some(self.id), What::Armed(timer, after_ms));
        let Some(running) = self.running.as_mut() else { return };
        if after_ms == 0 {
            running.timers.remove(&timer);
            if !running.due.contains(&timer) {
                running.due.push_back(timer);
            }
            return;
        }
        let at = env.now.after_micros(self.clock.true_micros(after_ms));
        let armed = env.next_number();
        env.schedule(at, Happening::Timer { node: self.id, timer, armed });
        running.timers.insert(timer, armed);
    }

    fn committed(&mut self, env: &mut Environment, committed: Arc<Committed>) {
        let height = committed.executed.height();
        env.note(Some(self.id), What::Committed(height, committed.executed.block()));
        self.told = self.told.max(height);
        if let Some(running) = self.running.as_mut() {
            running.has_committed = true;
        }
        let now = env.now;
        env.checkers.committed(now, self.id, &committed, &mut env.memo);
        self.publish(env, &committed);
        env.commits.push((self.id, committed));
    }

    fn evidence(&mut self, env: &mut Environment, accusation: &Accusation) {
        let signer = u64::from(accusation.evidence.signer());
        env.note(Some(self.id), What::Note("has evidence", signer, 0));
        if let Some(kind) = accusation.evidence.kind() {
            env.marks.hit(match kind {
                quorate_consensus::EvidenceKind::DoubleNotarize => "evidence of two notarize votes",
                quorate_consensus::EvidenceKind::DoubleFinalize => "evidence of two finalize votes",
                quorate_consensus::EvidenceKind::NullifyAndFinalize => "evidence of nullify and finalize",
            });
        }
        let now = env.now;
        env.checkers.evidence(now, self.id, accusation);
    }

    fn ban(&mut self, env: &mut Environment, peer: &PublicKey, reason: &'static str) {
        env.note(Some(self.id), What::Note(reason, 0, 0));
        for node in env.nodes_of(peer).to_vec() {
            // A question that was changed on the way is answered as if it had been asked.
            let is_answer = reason.starts_with("answered ") || reason.starts_with("sent ");
            let is_excused = env.network.was_corrupted(node, self.id)
                || (is_answer && env.network.was_corrupted(self.id, node));
            let now = env.now;
            env.checkers.banned(now, (self.id, node), is_excused, reason);
            self.shut_out(env, node);
        }
    }

    /// Closes the connection to a node for a while.
    fn shut_out(&mut self, env: &mut Environment, node: usize) {
        if env.network.ban(self.id, node, env.now) {
            env.marks.hit("peer banned");
            env.cuts.push((self.id, node));
        }
    }

    // What comes in.

    /// A parcel of another node is here.
    pub fn receive(&mut self, env: &mut Environment, from: usize, parcel: Parcel) {
        if !env.network.is_open(self.id, from) {
            return;
        }
        if self.puppet.is_some() {
            return self.receive_as_puppet(env, from, parcel);
        }
        if self.running.is_none() {
            return;
        }
        let Some(key) = env.keys.get(from).copied() else { return };
        let Some(parcel) = self.receive_filtered(env, from, parcel) else { return };
        match parcel {
            Parcel::Message(packet) => {
                env.note(Some(self.id), What::Came { from, packet: Rc::clone(&packet) });
                match packet.event(key, &mut env.memo) {
                    Some(event) => self.prove(env, event, None),
                    None => self.cut_off(env, from),
                }
            }
            Parcel::Gossip { number, packet } => self.hear(env, from, number, packet),
            Parcel::Question { request, life, packet } => {
                match codec::decode::<Question>(packet.bytes(), QUESTION_BYTES_MAX) {
                    Ok(question) => {
                        let token = env.next_number();
                        if let Some(running) = self.running.as_mut() {
                            running.asked.insert(token, (from, life, request));
                        }
                        self.deliver(env, Event::Asked { from: key, token, question });
                    }
                    Err(_) => self.cut_off(env, from),
                }
            }
            Parcel::Answer { request, packet } => {
                env.note(Some(self.id), What::Note("is answered", request, packet.digest()));
                let answer = codec::decode::<Answer>(packet.bytes(), ANSWER_BYTES_MAX).ok();
                let answer = answer.and_then(|answer| verify_answer(answer, &mut env.memo));
                if answer.is_none() {
                    self.cut_off(env, from);
                }
                self.prove(env, Event::Answered { request, from: key, answer }, None);
            }
        }
    }

    /// What a node sent cannot be from an honest one.
    fn cut_off(&mut self, env: &mut Environment, from: usize) {
        env.marks.hit("undecodable packet");
        let is_excused = env.network.was_corrupted(from, self.id);
        let now = env.now;
        env.checkers.banned(now, (self.id, from), is_excused, "cannot be decoded");
        self.shut_out(env, from);
    }

    /// Signatures are checked.
    pub fn checked(&mut self, env: &mut Environment, ticket: CheckTicket, bad: Vec<usize>) {
        self.deliver(env, Event::Checked { ticket, bad });
    }

    /// A connection begins or ends.
    pub fn linked(&mut self, env: &mut Environment, peer: usize, is_open: bool) {
        let Some(key) = env.keys.get(peer).copied() else { return };
        let number = u64::try_from(peer).unwrap_or(u64::MAX);
        env.note(
            Some(self.id),
            What::Note(
                if is_open { "connects to" } else { "loses" },
                number,
                word(&quorate_primitives::Hash::ZERO),
            ),
        );
        if let Some(mut puppet) = self.puppet.take() {
            if is_open {
                puppet.connected(&mut Stage::new(env, self.id, &self.secret), peer);
            }
            self.puppet = Some(puppet);
            return;
        }
        self.deliver(env, if is_open { Event::Connected(key) } else { Event::Disconnected(key) });
    }

    fn receive_as_puppet(&mut self, env: &mut Environment, from: usize, parcel: Parcel) {
        let Some(mut puppet) = self.puppet.take() else { return };
        let stage = &mut Stage::new(env, self.id, &self.secret);
        match parcel {
            Parcel::Message(packet) => {
                if let Some(message) = packet.message() {
                    puppet.message(stage, from, message);
                }
            }
            Parcel::Question { request, packet, .. } => {
                if let Ok(question) = codec::decode::<Question>(packet.bytes(), QUESTION_BYTES_MAX) {
                    puppet.question(stage, from, request, question);
                }
            }
            Parcel::Gossip { .. } => {}
            Parcel::Answer { request, packet } => {
                if let Ok(answer) = codec::decode::<Answer>(packet.bytes(), ANSWER_BYTES_MAX) {
                    puppet.answer(stage, from, request, answer);
                }
            }
        }
        self.puppet = Some(puppet);
    }

    /// A program is called at a time that it asked for, or at its start.
    pub fn call_puppet(&mut self, env: &mut Environment, tag: Option<u64>) {
        let Some(mut puppet) = self.puppet.take() else { return self.call_filter(env, tag) };
        let stage = &mut Stage::new(env, self.id, &self.secret);
        match tag {
            Some(tag) => puppet.timer(stage, tag),
            None => puppet.start(stage),
        }
        self.puppet = Some(puppet);
    }
}
