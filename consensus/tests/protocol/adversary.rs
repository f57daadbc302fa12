//! A network that loses, reorders and delays, machines that crash at the worst moment, and one validator
//! that lies: nothing that is final ever changes, and when the storm is over the chain goes on.
use quorate_consensus::{Certificate, Claim, Input, Message, Parent, Signers, Timer};
use quorate_primitives::hash::{Domain, hash};
use quorate_primitives::{Hash, View};

use crate::bench::{anchor_of, block_on, certificate, parent_of, proposal, sign};
use crate::cluster::{Cluster, Job, Letter};
use crate::random::Random;

/// How rough a run is: `loss` in percent of the letters, the rest in thousandths of all events.
struct Weather {
    loss: usize,
    timers: usize,
    crashes: usize,
    lies: usize,
}

struct Storm {
    cluster: Cluster,
    random: Random,
    weather: Weather,
    traitor: Option<u8>,
}

impl Storm {
    fn new(n: usize, seed: u64, has_traitor: bool) -> Self {
        let mut random = Random::new(seed);
        let mut cluster = Cluster::of(n);
        let traitor = has_traitor.then(|| u8::try_from(random.below(n)).unwrap());
        cluster.traitors = traitor.map_or(Signers::NONE, Signers::one);
        cluster.limit = u64::MAX;
        let weather = Weather {
            loss: *random.pick(&[0, 5, 15, 40]),
            timers: *random.pick(&[3, 10, 30, 60]),
            crashes: *random.pick(&[0, 1, 4, 15]),
            lies: if has_traitor { *random.pick(&[20, 60, 150]) } else { 0 },
        };
        Self { cluster, random, weather, traitor }
    }

    fn rage(&mut self, events: usize) {
        self.cluster.start();
        for _ in 0..events {
            let roll = self.random.below(1000);
            let Weather { timers, crashes, lies, .. } = self.weather;
            if roll < timers {
                self.fire();
            } else if roll < timers + crashes {
                self.crash_or_restart();
            } else if roll < timers + crashes + lies {
                self.lie();
            } else if roll.is_multiple_of(2) {
                self.work();
            } else {
                self.deliver();
            }
        }
    }

    fn anybody(&mut self) -> Option<u8> {
        let running = self.cluster.running();
        (!running.is_empty()).then(|| *self.random.pick(&running))
    }

    fn deliver(&mut self) {
        while self.cluster.mail.len() > 400 {
            let position = self.random.below(self.cluster.mail.len());
            self.cluster.mail.swap_remove_back(position);
        }
        if self.cluster.mail.is_empty() {
            return;
        }
        let position = self.random.below(self.cluster.mail.len());
        let letter = self.cluster.mail.swap_remove_back(position).unwrap();
        let is_lost = self.random.percent(self.weather.loss);
        if !is_lost {
            if self.random.percent(5) {
                self.cluster.mail.push_back(letter.clone());
            }
            self.cluster.deliver(letter);
        }
    }

    fn work(&mut self) {
        let Some(index) = self.anybody() else { return };
        let jobs = self.cluster.node(index).jobs.len();
        if jobs == 0 {
            return;
        }
        let turn = self.random.below(jobs);
        self.cluster.node(index).jobs.rotate_left(turn);
        let cannot_build = matches!(self.cluster.node(index).jobs.front(), Some(Job::Build(..)));
        if cannot_build && self.random.percent(5) {
            if let Some(Job::Build(view, _)) = self.cluster.node(index).jobs.pop_front() {
                self.cluster.tell(index, Input::Built { view, header: None });
            }
            return;
        }
        self.cluster.work(index);
    }

    fn fire(&mut self) {
        let Some(index) = self.anybody() else { return };
        let timers: Vec<Timer> = self.cluster.node(index).timers.iter().copied().collect();
        if let Some(timer) = (!timers.is_empty()).then(|| *self.random.pick(&timers)) {
            self.cluster.node(index).timers.remove(&timer);
            self.cluster.tell(index, Input::Expired(timer));
        }
    }

    fn crash_or_restart(&mut self) {
        let honest = self.cluster.honest();
        let index = *self.random.pick(&honest);
        if !self.cluster.node(index).up {
            if self.random.percent(50) {
                self.cluster.compact_crashed(index);
            }
            return self.cluster.restart(index);
        }
        let letters: Vec<usize> = (0..self.cluster.mail.len())
            .filter(|position| self.cluster.mail[*position].to == index)
            .collect();
        if letters.is_empty() {
            return self.cluster.crash(index);
        }
        let position = *self.random.pick(&letters);
        let Letter { from, message, .. } = self.cluster.mail.swap_remove_back(position).unwrap();
        let is_written = self.random.percent(50);
        self.cluster.tell_and_crash(index, Input::Received { from, message }, is_written);
    }

    // What the traitor does.

    fn lie(&mut self) {
        let Some(traitor) = self.traitor else { return };
        match self.random.below(4) {
            0 => self.propose_anything(traitor),
            1 | 2 => self.vote_for_anything(traitor),
            _ => self.show_a_certificate(traitor),
        }
    }

    fn send_to_some(&mut self, from: u8, message: &Message) {
        for to in self.cluster.honest() {
            if self.random.percent(50) {
                self.cluster.mail.push_back(Letter { from, to, message: message.clone() });
            }
        }
    }

    fn some_view(&mut self) -> View {
        let top = self.cluster.nodes.iter().map(|node| node.engine.view()).max().unwrap();
        let back = u64::try_from(self.random.below(4)).unwrap();
        top.next().saturating_sub(back).max(View::new(1))
    }

    fn propose_anything(&mut self, traitor: u8) {
        let view = self.some_view();
        if self.cluster.epoch.leader(view) != traitor {
            return;
        }
        let mut parents: Vec<Parent> = vec![anchor_of(&self.cluster.epoch)];
        let known = self.cluster.certificates.iter().rev().take(60).filter_map(|held| {
            let header = self.cluster.blocks.get(&held.claim.block()?)?;
            (held.claim.view() < view).then(|| parent_of(header, held.claim.view()))
        });
        parents.extend(known);
        let parent = *self.random.pick(&parents);
        let mut header = block_on(&self.cluster.epoch, view, parent);
        header.payload_root = hash(Domain::Payload, &[&self.random.next().to_be_bytes()]);
        self.cluster.blocks.insert(header.id(), header.clone());
        let between = |held: &&Certificate| {
            let at = held.claim.view();
            (at > parent.view && at < view && held.claim.block().is_none())
                || (at == parent.view && held.claim.block() == Some(parent.block))
        };
        let mut proof: Vec<Certificate> = self.cluster.certificates.iter().filter(between).cloned().collect();
        proof.dedup();
        proof.truncate(8);
        let message =
            Message::Propose(proposal(&self.cluster.epoch, &header, header.view, header.parent_view, proof));
        self.send_to_some(traitor, &message);
    }

    fn vote_for_anything(&mut self, traitor: u8) {
        let view = self.some_view();
        let blocks: Vec<Hash> =
            self.cluster.blocks.iter().filter(|(_, header)| header.view == view).map(|(id, _)| *id).collect();
        let finals: Vec<Claim> =
            self.cluster.votes.keys().filter(|claim| claim.view() == view).copied().collect();
        let mut claims = vec![Claim::Nullify { view }];
        claims.extend(blocks.into_iter().map(|block| Claim::Notarize { view, block }));
        claims.extend(finals);
        let claim = *self.random.pick(&claims);
        let vote = sign(&self.cluster.epoch, traitor, claim);
        self.send_to_some(traitor, &Message::Vote(vote));
    }

    /// Makes a certificate out of the votes of others and its own, and shows it to few.
    fn show_a_certificate(&mut self, traitor: u8) {
        let quorum = self.cluster.epoch.quorum();
        let view = self.some_view();
        let claims: Vec<(Claim, Vec<u8>)> = self
            .cluster
            .votes
            .iter()
            .filter(|(claim, _)| claim.view() == view)
            .map(|(claim, votes)| (*claim, votes.keys().copied().chain([traitor]).collect()))
            .filter(|(_, signers): &(Claim, Vec<u8>)| signers.len() >= quorum)
            .collect();
        if let Some((claim, signers)) = (!claims.is_empty()).then(|| self.random.pick(&claims)) {
            let found = certificate(&self.cluster.epoch, signers, *claim);
            self.cluster.certificates.push(found.clone());
            let honest = self.cluster.honest();
            let to = *self.random.pick(&honest);
            self.cluster.mail.push_back(Letter { from: traitor, to, message: Message::Certificate(found) });
        }
    }

    // After the storm.

    fn calm(&mut self) {
        assert!(self.cluster.nobody_halted(), "{}", self.cluster.report());
        for index in self.cluster.honest() {
            if !self.cluster.node(index).up {
                self.cluster.restart(index);
            }
        }
        self.cluster.mail.clear();
        let built = self.cluster.blocks.values().map(|header| header.height.get()).max().unwrap_or_default();
        self.cluster.limit = built + 4;
        self.cluster.reconnect_all();
        let goal = self.cluster.highest().get() + 3;
        assert!(self.cluster.reaches(goal, 400), "stuck below {goal}\n{}", self.cluster.report());
        assert!(self.cluster.nobody_halted(), "{}", self.cluster.report());
    }
}

fn survive(n: usize, seeds: std::ops::Range<u64>, has_traitor: bool, events: usize) {
    let mut heights = 0;
    for seed in seeds {
        println!("{n} validators, seed {seed}");
        let mut storm = Storm::new(n, seed, has_traitor);
        storm.rage(events);
        heights += storm.cluster.highest().get();
        storm.calm();
    }
    assert!(heights > 0, "the storm is so bad that it tests nothing");
}

#[test]
fn four_validators_survive_a_traitor_and_crashes() {
    survive(4, 0..300, true, 6000);
}

#[test]
fn four_validators_survive_crashes_of_any_number() {
    survive(4, 1000..1100, false, 3000);
}

#[test]
fn five_and_seven_validators_survive_a_traitor_and_crashes() {
    survive(5, 2000..2040, true, 8000);
    survive(7, 3000..3040, true, 12000);
}

#[test]
fn validators_that_tolerate_nobody_survive_crashes() {
    survive(1, 4000..4040, false, 1000);
    survive(2, 5000..5040, false, 2000);
    survive(3, 6000..6040, false, 2000);
}
