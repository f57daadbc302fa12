//! One replica of a network whose other validators the test plays.
use quorate_consensus::{Claim, Proposal, Vote};
use quorate_genesis::Genesis;
use quorate_ledger::Ledger;
use quorate_ledger::store::Memory;
use quorate_primitives::block::{Header, PROTOCOL_VERSION, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::codec::List;
use quorate_primitives::keys::{KnownKeys, verify_batch};
use quorate_primitives::signed::Verified;
use quorate_primitives::{EpochNumber, Hash, Height, Timestamp, View};
use quorate_replica::{
    Effect, Event, LogRecord, PeerMessage, Question, Replica, Settings, Timer, VerifiedAnswer,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::network::{BEGIN_MS, found, payment, validator_key};

pub(crate) struct Solo {
    pub(crate) replica: Replica,
    pub(crate) chain: Hash,
    pub(crate) now: u64,
    /// What it did, but for signing and checks, which happen at once.
    pub(crate) effects: Vec<Effect>,
    pub(crate) signed: Vec<Claim>,
    pub(crate) log: Vec<LogRecord>,
    /// The turn in which all others say that they are, without proof.
    pub(crate) lie: Option<View>,
    /// The epoch that others say they are in, and the vote of this replica that they hold.
    pub(crate) others: (EpochNumber, Option<Vote>),
    me: usize,
    rng: ChaCha8Rng,
}

impl Solo {
    /// Validator `me` of four, started.
    pub(crate) fn new(me: usize, settings: Settings) -> Self {
        let mut solo = Self::on(Arc::new(Memory::new()), me, settings);
        solo.start();
        solo
    }

    /// Starts it, and has all others say that they know of nothing.
    pub(crate) fn start(&mut self) {
        self.step(Event::Start);
        let others: Vec<_> =
            (0..4).filter(|other| *other != self.me).map(|other| validator_key(other).public_key()).collect();
        others.iter().for_each(|peer| self.step(Event::Connected(*peer)));
        others.iter().for_each(|peer| self.step(Event::Disconnected(*peer)));
        self.effects.retain(|effect| !matches!(effect, Effect::Send { .. }));
    }

    /// Validator `me` of four on a store, not started.
    pub(crate) fn on(store: Arc<Memory>, me: usize, settings: Settings) -> Self {
        Self::founded(&found(4), store, me, settings)
    }

    /// Validator `me` of a genesis on a store, not started.
    pub(crate) fn founded(genesis: &Genesis, store: Arc<Memory>, me: usize, settings: Settings) -> Self {
        let ledger = Ledger::open(store, genesis).unwrap();
        let key = validator_key(me).public_key();
        Self {
            replica: Replica::new(settings, genesis, ledger, Some(key)).unwrap(),
            chain: genesis.hash(),
            now: BEGIN_MS + 10_000,
            effects: Vec::new(),
            signed: Vec::new(),
            log: Vec::new(),
            lie: None,
            others: (EpochNumber::ZERO, None),
            me,
            rng: ChaCha8Rng::seed_from_u64(1),
        }
    }

    /// A validator that does not lead the first view, and who leads it.
    pub(crate) fn follower() -> (Self, usize) {
        let first = Self::new(0, Settings::default());
        let leader = usize::from(first.replica.status().leader);
        (Self::new((leader + 1) % 4, Settings::default()), leader)
    }

    /// Gives back what an earlier life logged.
    pub(crate) fn restore(&mut self, log: Vec<LogRecord>) {
        log.into_iter().for_each(|record| self.replica.restore(record, &mut self.rng));
    }

    pub(crate) fn step(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let step = self.replica.step(Timestamp::new(self.now), event);
            self.log.extend(step.journal);
            for effect in step.effects {
                match effect {
                    Effect::Sign { epoch, context, index, claim } => {
                        self.signed.push(claim);
                        let vote = claim.sign(&context, index, &validator_key(self.me));
                        events.push_back(Event::Signed { epoch, vote });
                    }
                    Effect::Ask { request, to, question: Question::Standing } => {
                        let standing = VerifiedAnswer::Standing {
                            epoch: self.others.0,
                            view: self.lie.unwrap_or(View::new(1)),
                            entry: None,
                            quarantined: false,
                            vote: self.others.1.clone(),
                        };
                        events.push_back(Event::Answered { request, from: to, answer: Some(standing) });
                    }
                    Effect::Check { ticket, checks } => {
                        let bad = verify_batch(&checks, &mut KnownKeys::default(), &mut self.rng);
                        events.push_back(Event::Checked { ticket, bad });
                    }
                    other => self.effects.push(other),
                }
            }
        }
    }

    /// Lets time pass and a timer fire.
    pub(crate) fn elapse(&mut self, timer: Timer, ms: u64) {
        self.now += ms;
        self.step(Event::Elapsed(timer));
    }

    /// The bundle that a proposal of the validator would carry.
    pub(crate) fn bundle(&self, author: usize, numbers: std::ops::Range<u64>) -> Verified<Bundle> {
        let payments: Vec<_> = numbers.clone().map(|number| payment(self.chain, self.now, number)).collect();
        Verified::from_verified(u8::try_from(author).unwrap(), numbers.start, &payments, Vec::new()).unwrap()
    }

    /// A block of the first view.
    pub(crate) fn header(&self, leader: usize, payload: &Payload) -> Header {
        Header {
            chain: self.chain,
            version: PROTOCOL_VERSION,
            epoch: EpochNumber::ZERO,
            view: View::new(1),
            height: Height::new(1),
            parent_view: View::ZERO,
            parent: self.chain,
            time: Timestamp::new(self.now),
            proposer: u8::try_from(leader).unwrap(),
            payload_root: payload.root(),
        }
    }

    /// The leader of the first view proposes.
    pub(crate) fn propose(&mut self, header: &Header, payload: Payload, inline: Option<Verified<Bundle>>) {
        let leader = usize::from(header.proposer);
        let key = validator_key(leader);
        let claim = Claim::Notarize { view: header.view, block: header.id() };
        let vote = claim.sign(&self.replica.context(), header.proposer, &key);
        let proof = List::default();
        let proposal =
            Proposal { view: header.view, parent: header.parent_view, header: header.clone(), vote, proof };
        self.step(Event::Proposal { from: key.public_key(), proposal: Box::new(proposal), payload, inline });
    }

    /// Questions asked so far: number, whom, what.
    pub(crate) fn questions(&self) -> Vec<(u64, quorate_primitives::PublicKey, Question)> {
        let question = |effect: &Effect| match effect {
            Effect::Ask { request, to, question } => Some((*request, *to, question.clone())),
            _ => None,
        };
        self.effects.iter().filter_map(question).collect()
    }

    pub(crate) fn banned(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::Ban { .. }))
    }

    /// Bundles that left, alone or with a proposal.
    pub(crate) fn departed(&self) -> Vec<Bundle> {
        let bundle = |effect: &Effect| match effect {
            Effect::Gossip(bundle) => Some((**bundle).clone()),
            Effect::Send { message, .. } => match &**message {
                PeerMessage::Proposal { inline, .. } => inline.clone(),
                _ => None,
            },
            _ => None,
        };
        self.effects.iter().filter_map(bundle).collect()
    }
}

pub(crate) fn payload(bundles: &[&Verified<Bundle>]) -> Payload {
    Payload { bundles: List::new(bundles.iter().map(|bundle| bundle.id()).collect()).unwrap() }
}
