//! Nothing that comes from outside may stop a replica or make it grow.
use quorate_consensus::{Claim, Message, Proposal, Want};
use quorate_primitives::block::Payload;
use quorate_primitives::certificate::{Certificate, ClaimKind, Vote};
use quorate_primitives::codec::List;
use quorate_primitives::validators::Signers;
use quorate_primitives::{EpochNumber, Hash, Height, PublicKey, Signature, Timestamp, View};
use quorate_replica::{Effect, Event, Question, Settings, Timer, VerifiedAnswer, VerifiedSyncBlock};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::network::validator_key;
use crate::solo::{Solo, payload};

struct Hostile {
    rng: ChaCha8Rng,
    peers: Vec<PublicKey>,
}

impl Hostile {
    fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound
    }

    fn view(&mut self) -> View {
        let near = self.below(40);
        let all = [View::new(near), View::new(near), View::MAX, View::new(u64::MAX - 1), View::new(1 << 40)];
        all[usize::try_from(self.below(5)).unwrap()]
    }

    fn hash(&mut self) -> Hash {
        Hash::from_bytes([u8::try_from(self.below(4)).unwrap(); 32])
    }

    fn peer(&mut self) -> PublicKey {
        let peer = usize::try_from(self.below(5)).unwrap();
        self.peers[peer]
    }

    fn claim(&mut self) -> Claim {
        let (view, block, outcome) = (self.view(), self.hash(), self.hash());
        match self.below(3) {
            0 => Claim::Notarize { view, block },
            1 => Claim::Nullify { view },
            _ => Claim::Finalize { view, block, outcome },
        }
    }

    fn certificate(&mut self) -> Certificate {
        let signatures = List::new(vec![Signature::from_bytes([1; 64]); 3]).unwrap();
        Certificate { claim: self.claim(), signers: Signers::all(3), signatures }
    }

    fn vote(&mut self) -> Vote {
        let signer = u8::try_from(self.below(6)).unwrap();
        Vote { claim: self.claim(), signer, signature: Signature::from_bytes([2; 64]) }
    }

    fn proposal(&mut self, solo: &Solo) -> Event {
        let leader = usize::try_from(self.below(4)).unwrap();
        let start = self.below(50);
        let bundle = solo.bundle(leader, start..start + 1);
        let payload = if self.below(2) == 0 { Payload::default() } else { payload(&[&bundle]) };
        let mut header = solo.header(leader, &payload);
        header.view = self.view();
        header.height = Height::new(header.view.get());
        header.time = Timestamp::new([0, solo.now, u64::MAX][usize::try_from(self.below(3)).unwrap()]);
        if self.below(2) == 0 {
            header.parent = self.hash();
        }
        let vote = Vote { claim: Claim::Notarize { view: header.view, block: header.id() }, ..self.vote() };
        let proof = List::new(vec![self.certificate()]).unwrap();
        let proposal = Proposal { view: header.view, parent: self.view(), header, vote, proof };
        let inline = (self.below(2) == 0).then_some(bundle);
        Event::Proposal { from: self.peer(), proposal: Box::new(proposal), payload, inline }
    }

    fn answer(&mut self, solo: &Solo) -> Option<VerifiedAnswer> {
        let bundle = solo.bundle(1, 1..3);
        let mut header = solo.header(1, &payload(&[&bundle]));
        header.height = Height::new(self.below(3));
        let bundles = vec![bundle];
        match self.below(5) {
            0 => None,
            1 => Some(VerifiedAnswer::Unknown),
            2 => Some(VerifiedAnswer::Bundles(bundles)),
            3 => Some(VerifiedAnswer::Block { header, bundles }),
            _ => {
                let certificate = (self.below(2) == 0).then(|| self.certificate());
                Some(VerifiedAnswer::Blocks(vec![VerifiedSyncBlock { header, bundles, certificate }]))
            }
        }
    }

    fn event(&mut self, solo: &Solo) -> Event {
        let from = self.peer();
        let message = |message| Event::Message { from, epoch: EpochNumber::ZERO, message: Box::new(message) };
        match self.below(12) {
            0 => message(Message::Vote(self.vote())),
            1 => message(Message::Certificate(self.certificate())),
            2 => message(Message::Want(Want::Certificate { view: self.view(), kind: ClaimKind::Notarize })),
            3 | 4 => self.proposal(solo),
            5 => Event::Answered { request: self.below(20), from, answer: self.answer(solo) },
            6 => Event::Asked { from, token: 1, question: Question::Block(self.hash()) },
            7 => Event::Asked { from, token: 2, question: Question::Blocks { from: Height::MAX } },
            8 => Event::Connected(from),
            9 => Event::Disconnected(from),
            10 => {
                let start = self.below(10_000);
                Event::Bundle { from: Some(from), bundle: solo.bundle(1, start..start + 1) }
            }
            _ => {
                let timers =
                    [Timer::Bundle, Timer::Build, Timer::Judge, Timer::Execute, Timer::Fetch, Timer::Sync];
                Event::Elapsed(timers[usize::try_from(self.below(6)).unwrap()])
            }
        }
    }
}

#[test]
fn nothing_that_peers_send_stops_a_replica_or_makes_it_grow() {
    for seed in 0..4 {
        let mut solo = Solo::new(0, Settings::default());
        let peers = (0..5).map(|node| validator_key(node).public_key()).collect();
        let mut hostile = Hostile { rng: ChaCha8Rng::seed_from_u64(seed), peers };
        for _ in 0..3_000 {
            solo.now += hostile.below(20);
            let event = hostile.event(&solo);
            solo.step(event);
            let stopped = solo.effects.iter().find(|effect| matches!(effect, Effect::Halt(_)));
            assert!(stopped.is_none(), "seed {seed}: {stopped:?}");
            solo.effects.clear();
        }
        let status = solo.replica.status();
        assert_eq!(status.height, Height::ZERO);
        assert!(status.open_blocks <= 512, "{status:?}");
        assert!(status.bundles <= 5 * 64, "{status:?}");
    }
}

#[test]
fn a_replica_that_was_not_started_refuses_everything() {
    let store = std::sync::Arc::new(quorate_ledger::store::Memory::new());
    let mut solo = Solo::on(store, 0, Settings::default());
    let transaction = crate::network::payment(solo.chain, solo.now, 1);
    solo.step(Event::Submitted(vec![quorate_replica::Submission { ticket: 1, transaction }]));
    let refused = |effect: &Effect| matches!(effect, Effect::Reply { outcome: Err(_), .. });
    assert!(solo.effects.iter().all(refused) && solo.effects.len() == 1);
}
