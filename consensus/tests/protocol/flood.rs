//! Whatever arrives, the engine neither panics nor grows without end.
use quorate_consensus::{Certificate, ClaimKind};
use quorate_consensus::{
    Claim, Effect, Engine, Input, Message, Record, Signers, Ticket, Timer, Verdict, Want,
};
use quorate_primitives::codec::List;
use quorate_primitives::{Hash, Signature, View};

use crate::bench::{anchor_of, bad_positions, block_on, epoch_of, mark, proposal, sign};
use crate::random::Random;

struct Rubbish {
    random: Random,
    near: View,
}

impl Rubbish {
    fn view(&mut self) -> View {
        let offset = self.random.next();
        match self.random.below(6) {
            0 => View::new(offset),
            1 => View::new(u64::MAX - offset % 3),
            2 => View::ZERO,
            _ => View::new(offset % 9).saturating_add(self.near.get().saturating_sub(4)),
        }
    }

    fn hash(&mut self) -> Hash {
        mark(["a", "b", "c", "d"][self.random.below(4)])
    }

    fn claim(&mut self) -> Claim {
        let (view, block, outcome) = (self.view(), self.hash(), self.hash());
        *self.random.pick(&[
            Claim::Notarize { view, block },
            Claim::Nullify { view },
            Claim::Finalize { view, block, outcome },
        ])
    }

    fn certificate(&mut self) -> Certificate {
        let signers = Signers::all(self.random.below(5)).with(u8::try_from(self.random.below(6)).unwrap());
        let signatures = vec![Signature::from_bytes([0; 64]); 1 + self.random.below(4)];
        Certificate { claim: self.claim(), signers, signatures: List::new(signatures).unwrap() }
    }

    fn message(&mut self, engine: &Engine, from: u8) -> Message {
        let epoch = engine.epoch();
        match self.random.below(4) {
            0 => {
                let mut header = block_on(epoch, self.view(), anchor_of(epoch));
                header.payload_root = self.hash();
                if self.random.percent(20) {
                    header.parent_view = self.view();
                }
                let proof = (0..self.random.below(3)).map(|_| self.certificate()).collect();
                Message::Propose(proposal(epoch, &header, header.view, header.parent_view, proof))
            }
            1 => Message::Vote(sign(epoch, from.min(3), self.claim())),
            2 => Message::Certificate(self.certificate()),
            _ => Message::Want(Want::Certificate { view: self.view(), kind: ClaimKind::Notarize }),
        }
    }

    fn input(&mut self, engine: &Engine) -> Input {
        let from = u8::try_from(self.random.below(6)).unwrap();
        match self.random.below(16) {
            0 => Input::Own(sign(engine.epoch(), from.min(3), self.claim())),
            1 => Input::Checked { ticket: Ticket::new(self.random.next() % 99), bad: vec![0, 7, usize::MAX] },
            2 => Input::Expired(Timer::View(self.view())),
            3 => Input::Expired(Timer::Propose(self.view())),
            4 => Input::Expired(Timer::Retry(self.view())),
            5 => Input::Expired(Timer::Relay(self.view())),
            6 => Input::Built { view: self.view(), header: None },
            7 => Input::Fetched { header: block_on(engine.epoch(), self.view(), anchor_of(engine.epoch())) },
            8 => Input::Judged { block: self.hash(), verdict: Verdict::Valid },
            9 => Input::Executed { block: self.hash(), outcome: self.hash() },
            10 => Input::Connected(from),
            11 => Input::Pending,
            _ => Input::Received { from, message: self.message(engine, from) },
        }
    }
}

#[test]
fn no_input_in_any_order_stops_an_engine_or_makes_it_lie() {
    for seed in 0..60 {
        println!("seed {seed}");
        let epoch = epoch_of(4);
        let me = (seed % 5 < 4).then_some(u8::try_from(seed % 5).unwrap());
        let mut engine = Engine::new(epoch, me);
        let mut rubbish = Rubbish { random: Random::new(seed), near: View::new(1) };
        let mut steps = vec![engine.start()];
        for _ in 0..1500 {
            let input = rubbish.input(&engine);
            steps.push(engine.step(input));
            while let Some(step) = steps.pop() {
                for record in &step.journal {
                    assert!(me.is_some() || !matches!(record, Record::Own(_)));
                }
                for effect in step.effects {
                    match effect {
                        Effect::Check { ticket, checks } => {
                            steps.push(engine.step(Input::Checked { ticket, bad: bad_positions(&checks) }));
                        }
                        Effect::Send { to, .. } => assert!(!me.is_some_and(|me| to.contains(me))),
                        _ => {}
                    }
                }
            }
            rubbish.near = engine.view();
        }
    }
}

#[test]
fn a_flood_does_not_make_the_engine_grow() {
    let mut engine = Engine::new(epoch_of(4), Some(0));
    let _ = engine.start();
    let mut rubbish = Rubbish { random: Random::new(1), near: View::new(1) };
    let mut flood = |engine: &mut Engine, count: usize| {
        for _ in 0..count {
            let from = u8::try_from(rubbish.random.below(4)).unwrap();
            let message = rubbish.message(engine, from);
            // No check is ever answered: the worst that a slow machine can do.
            let _ = engine.step(Input::Received { from, message });
        }
        format!("{engine:?}").len()
    };
    let soon = flood(&mut engine, 5_000);
    let late = flood(&mut engine, 50_000);
    assert!(late < soon + soon / 4, "grew from {soon} to {late}");
}

#[test]
fn equal_engines_behave_equally() {
    let mut one = Engine::new(epoch_of(4), Some(2));
    let mut rubbish = Rubbish { random: Random::new(5), near: View::new(1) };
    let _ = one.start();
    for _ in 0..2_000 {
        let mut other = one.clone();
        let input = rubbish.input(&one);
        assert_eq!(one.step(input.clone()), other.step(input));
        assert_eq!(one, other);
    }
}
