//! How long a machine takes, where the options say so: to prove what comes in, on threads of their own, and to
//! execute and commit blocks, on the thread of the replica. Also how gossip is passed on, which waits for the
//! proof.
use quorate_primitives::bundle::Bundle;
use quorate_replica::{Effect, Event, PeerMessage, Timer, VerifiedAnswer};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::Node;
use crate::environment::{Environment, Happening, Parcel};
use crate::time::Moment;
use crate::trace::What;
use crate::wire::Packet;

/// What keeps a node busy beside its replica.
#[derive(Default)]
pub(super) struct Labour {
    /// The proving threads are done with all that came so far.
    proven: Moment,
    /// Gossip that came already.
    heard: BTreeSet<u64>,
    /// Gossip that is being proven, and who is known to have it.
    holders: BTreeMap<u64, Vec<usize>>,
}

impl Labour {
    /// When something is proven that takes so long, in microseconds.
    pub(super) fn prove(&mut self, now: Moment, takes_us: u64) -> Moment {
        self.proven = self.proven.max(now).after_micros(takes_us);
        self.proven
    }
}

/// Transactions whose signatures came with an event.
fn transactions_in(event: &Event) -> usize {
    let of = |bundle: &Bundle| bundle.transactions().len();
    match event {
        Event::Submitted(submissions) => submissions.len(),
        Event::Bundle { bundle, .. } => of(bundle),
        Event::Proposal { inline, .. } => inline.as_deref().map_or(0, of),
        Event::Answered { answer, .. } => match answer {
            Some(VerifiedAnswer::Bundles(bundles) | VerifiedAnswer::Block { bundles, .. }) => {
                bundles.iter().map(|bundle| of(bundle)).sum()
            }
            Some(VerifiedAnswer::Blocks(blocks)) => {
                blocks.iter().flat_map(|block| &block.bundles).map(|bundle| of(bundle)).sum()
            }
            Some(VerifiedAnswer::Unknown | VerifiedAnswer::Standing { .. }) | None => 0,
        },
        Event::Start
        | Event::Message { .. }
        | Event::Signed { .. }
        | Event::Checked { .. }
        | Event::Elapsed(_)
        | Event::Connected(_)
        | Event::Disconnected(_)
        | Event::Asked { .. } => 0,
    }
}

fn times(count: usize, each_us: u64) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(each_us)
}

/// How long the thread takes for what a step wants, in microseconds.
pub(super) fn labour_after(env: &Environment, effects: &[Effect]) -> u64 {
    let Some(wide) = &env.options.wide else { return 0 };
    let committed = effects.iter().map(|effect| match effect {
        Effect::Committed(committed) => committed.executed.receipts().len(),
        _ => 0,
    });
    times(committed.sum(), wide.commit_us)
}

impl Node {
    /// How long the thread takes for a step on this event, as far as that is known before, in microseconds.
    pub(super) fn labour_before(&self, env: &Environment, event: &Event) -> u64 {
        match (&env.options.wide, event) {
            (Some(wide), Event::Elapsed(Timer::Execute)) => {
                let count = self.replica().map_or(0, |replica| replica.transactions_to_execute());
                times(count, wide.execute_us)
            }
            _ => 0,
        }
    }

    /// Keeps the thread busy. What the step wants comes when it is done.
    pub(super) fn work(&mut self, env: &mut Environment, takes_us: u64, is_urgent: bool) {
        let Some(running) = self.running.as_mut() else { return };
        running.is_working = true;
        running.is_urgent = is_urgent;
        let life = env.lives.get(self.id).copied().unwrap_or_default();
        let at = env.now.after_micros(takes_us);
        env.schedule(at, Happening::Worked { node: self.id, life });
    }

    /// The thread is done.
    pub fn worked(&mut self, env: &mut Environment) {
        let Some(running) = self.running.as_mut().filter(|running| running.is_working) else { return };
        running.is_working = false;
        if !running.is_urgent || self.flush(env) {
            self.drive(env);
        }
    }

    /// Takes an event in when its transactions are proven, and then passes on the gossip that it came from.
    pub fn prove(&mut self, env: &mut Environment, event: Event, gossip: Option<Parcel>) {
        let Some(wide) = &env.options.wide else { return self.deliver(env, event) };
        let takes_us = times(transactions_in(&event), wide.verify_us);
        if takes_us == 0 {
            return self.proven(env, event, gossip);
        }
        let at = self.labour.prove(env.now, takes_us);
        let life = env.lives.get(self.id).copied().unwrap_or_default();
        env.schedule(at, Happening::Proven { node: self.id, life, event: Box::new(event), gossip });
    }

    /// The transactions of an event are proven.
    pub fn proven(&mut self, env: &mut Environment, event: Event, gossip: Option<Parcel>) {
        if let Some(Parcel::Gossip { number, packet }) = gossip {
            self.pass_on(env, number, packet);
        }
        self.deliver(env, event);
    }

    // Gossip.

    /// Sends a message to everybody directly; whoever has it passes it on.
    pub(super) fn publish_wide(&mut self, env: &mut Environment, message: &PeerMessage) {
        let (number, packet) = (env.next_number(), Rc::new(Packet::of(message)));
        let others = env.keys.len().saturating_sub(1);
        env.note(Some(self.id), What::Sent { to: others, packet: Rc::clone(&packet) });
        let now = env.now;
        env.checkers.sent(now, self.id, message, &mut env.memo);
        self.labour.heard.insert(number);
        for to in (0..env.keys.len()).filter(|to| *to != self.id) {
            env.send(self.id, to, &Parcel::Gossip { number, packet: Rc::clone(&packet) });
        }
    }

    /// Gossip came.
    pub(super) fn hear(&mut self, env: &mut Environment, from: usize, number: u64, packet: Rc<Packet>) {
        if !self.labour.heard.insert(number) {
            if let Some(holders) = self.labour.holders.get_mut(&number) {
                holders.push(from);
            }
            return;
        }
        env.note(Some(self.id), What::Came { from, packet: Rc::clone(&packet) });
        let Some(key) = env.keys.get(from).copied() else { return };
        if let Some(event) = packet.event(key, &mut env.memo) {
            self.labour.holders.insert(number, vec![from]);
            self.prove(env, event, Some(Parcel::Gossip { number, packet }));
        }
    }

    fn pass_on(&mut self, env: &mut Environment, number: u64, packet: Rc<Packet>) {
        let holders = self.labour.holders.remove(&number).unwrap_or_default();
        let parcel = Parcel::Gossip { number, packet };
        for to in env.network.wide.as_ref().map_or(Vec::new(), |lines| lines.mesh(self.id).to_vec()) {
            if !holders.contains(&to) {
                env.send(self.id, to, &parcel);
            }
        }
    }
}
