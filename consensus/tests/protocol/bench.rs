//! One engine on a bench: the test plays everybody else.
use std::sync::Arc;

use quorate_consensus::{
    Anchor, Certificate, Claim, Effect, Engine, Epoch, Input, Message, Parent, Proposal, Record, Signers,
    Step, Timer, Verdict, Vote,
};
use quorate_primitives::block::{Header, PROTOCOL_VERSION, Payload};
use quorate_primitives::codec::{List, Text};
use quorate_primitives::hash::{Domain, hash};
use quorate_primitives::keys::{PublicKey, SecretKey, Signature, SignatureCheck};
use quorate_primitives::state::OrganisationId;
use quorate_primitives::validators::{Validator, ValidatorSet};
use quorate_primitives::{EpochNumber, Hash, Height, Timestamp, View};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

pub(crate) fn view(number: u64) -> View {
    View::new(number)
}

/// A recognisable hash.
pub(crate) fn mark(text: &str) -> Hash {
    hash(Domain::Bundle, &[text.as_bytes()])
}

/// Keys for tests: real points of the curve, but with signatures that cost one hash.
pub(crate) fn epoch_of(n: usize) -> Arc<Epoch> {
    epoch_until(n, Height::MAX)
}

pub(crate) fn epoch_until(n: usize, last: Height) -> Arc<Epoch> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let member = |index: usize| Validator {
        name: Text::new(&format!("v{index}")).unwrap(),
        organisation: OrganisationId::new("bank").unwrap(),
        key: SecretKey::generate(&mut rng).public_key(),
    };
    let validators = ValidatorSet::new((0..n).map(member).collect()).unwrap();
    let anchor = Anchor {
        block: mark("anchor"),
        height: Height::ZERO,
        time: Timestamp::new(1000),
        outcome: Hash::ZERO,
    };
    Arc::new(Epoch::new(EpochNumber::ZERO, mark("context"), validators, anchor, last))
}

fn fake(key: &PublicKey, message: &[u8]) -> Signature {
    let half = hash(Domain::SignVote, &[key.as_bytes(), message]);
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(half.as_bytes());
    bytes[32..].copy_from_slice(half.as_bytes());
    Signature::from_bytes(bytes)
}

pub(crate) fn sign(epoch: &Epoch, signer: u8, claim: Claim) -> Vote {
    let key = epoch.validators.key(signer).unwrap();
    Vote { claim, signer, signature: fake(key, &claim.message(&epoch.context)) }
}

pub(crate) fn bad_positions(checks: &[SignatureCheck]) -> Vec<usize> {
    let bad = |(position, check): (usize, &SignatureCheck)| {
        (fake(&check.key, &check.message) != check.signature).then_some(position)
    };
    checks.iter().enumerate().filter_map(bad).collect()
}

pub(crate) fn certificate(epoch: &Epoch, signers: &[u8], claim: Claim) -> Certificate {
    let signers = signers.iter().fold(Signers::NONE, |all, signer| all.with(*signer));
    let signatures = signers.iter().map(|signer| sign(epoch, signer, claim).signature).collect();
    Certificate { claim, signers, signatures: List::new(signatures).unwrap() }
}

/// A block that orders nothing.
pub(crate) fn block_on(epoch: &Epoch, at: View, parent: Parent) -> Header {
    Header {
        chain: mark("chain"),
        version: PROTOCOL_VERSION,
        epoch: epoch.number,
        view: at,
        height: parent.height.next(),
        parent_view: parent.view,
        parent: parent.block,
        time: parent.time.next(),
        proposer: epoch.leader(at),
        payload_root: Payload::default().root(),
    }
}

pub(crate) fn parent_of(header: &Header, certified: View) -> Parent {
    Parent { view: certified, block: header.id(), height: header.height, time: header.time }
}

pub(crate) fn anchor_of(epoch: &Epoch) -> Parent {
    Parent {
        view: View::ZERO,
        block: epoch.anchor.block,
        height: epoch.anchor.height,
        time: epoch.anchor.time,
    }
}

pub(crate) fn proposal(
    epoch: &Epoch,
    header: &Header,
    at: View,
    parent: View,
    proof: Vec<Certificate>,
) -> Proposal {
    let vote = sign(epoch, epoch.leader(at), Claim::Notarize { view: at, block: header.id() });
    Proposal { view: at, parent, header: header.clone(), vote, proof: List::new(proof).unwrap() }
}

/// The engine of one of four validators. Signature checks are answered at once; own votes are signed and
/// fed back only by [`Bench::sign_own`].
pub(crate) struct Bench {
    pub(crate) epoch: Arc<Epoch>,
    pub(crate) me: u8,
    pub(crate) engine: Engine,
    pub(crate) journal: Vec<Record>,
}

impl Bench {
    /// A validator that leads neither of the first three views, and has started.
    pub(crate) fn follower() -> Self {
        let epoch = epoch_of(4);
        let me = epoch.leader(view(4));
        Self::started(epoch, me)
    }

    /// The validator that leads a view, started in view 1.
    pub(crate) fn leader_of(number: u64) -> Self {
        let epoch = epoch_of(4);
        let me = epoch.leader(view(number));
        Self::started(epoch, me)
    }

    pub(crate) fn started(epoch: Arc<Epoch>, me: u8) -> Self {
        let mut bench =
            Self { engine: Engine::new(Arc::clone(&epoch), Some(me)), epoch, me, journal: Vec::new() };
        let step = bench.engine.start();
        let _ = bench.settle(step);
        bench
    }

    /// Crashes and comes back with nothing but the journal.
    pub(crate) fn restart(&mut self) -> Step {
        self.engine = Engine::new(Arc::clone(&self.epoch), Some(self.me));
        for record in &self.journal {
            self.engine.restore(record.clone());
        }
        let step = self.engine.start();
        self.settle(step)
    }

    pub(crate) fn feed(&mut self, input: Input) -> Step {
        let step = self.engine.step(input);
        self.settle(step)
    }

    fn settle(&mut self, mut step: Step) -> Step {
        self.journal.extend(step.journal.iter().cloned());
        let mut index = 0;
        while let Some(effect) = step.effects.get(index) {
            index += 1;
            if let Effect::Check { ticket, checks } = effect {
                let more = self.engine.step(Input::Checked { ticket: *ticket, bad: bad_positions(checks) });
                self.journal.extend(more.journal.iter().cloned());
                step.journal.extend(more.journal);
                step.effects.extend(more.effects);
            }
        }
        step
    }

    pub(crate) fn others(&self) -> Vec<u8> {
        self.epoch.everybody().without(self.me).iter().collect()
    }

    pub(crate) fn leader(&self, number: u64) -> u8 {
        self.epoch.leader(view(number))
    }

    /// Some other validator that is not the leader of these views.
    pub(crate) fn bystander(&self, number: u64) -> u8 {
        self.others().into_iter().find(|other| *other != self.leader(number)).unwrap()
    }

    pub(crate) fn hear(&mut self, from: u8, message: Message) -> Step {
        self.feed(Input::Received { from, message })
    }

    pub(crate) fn vote(&mut self, from: u8, claim: Claim) -> Step {
        let vote = sign(&self.epoch, from, claim);
        self.hear(from, Message::Vote(vote))
    }

    /// A certificate by everybody else, sent by one of them.
    pub(crate) fn certify(&mut self, claim: Claim) -> Step {
        let found = self.by_others(claim);
        self.hear(self.others()[0], Message::Certificate(found))
    }

    pub(crate) fn by_others(&self, claim: Claim) -> Certificate {
        certificate(&self.epoch, &self.others(), claim)
    }

    pub(crate) fn propose(&mut self, header: &Header, proof: Vec<Certificate>) -> Step {
        let proposal = proposal(&self.epoch, header, header.view, header.parent_view, proof);
        self.hear(self.epoch.leader(header.view), Message::Propose(proposal))
    }

    /// The first block of the chain.
    pub(crate) fn first_block(&self) -> Header {
        block_on(&self.epoch, view(1), anchor_of(&self.epoch))
    }

    pub(crate) fn judge(&mut self, header: &Header, verdict: Verdict) -> Step {
        self.feed(Input::Judged { block: header.id(), verdict })
    }

    pub(crate) fn execute(&mut self, header: &Header, outcome: Hash) -> Step {
        self.feed(Input::Executed { block: header.id(), outcome })
    }

    pub(crate) fn expire(&mut self, timer: Timer) -> Step {
        self.feed(Input::Expired(timer))
    }

    pub(crate) fn sign_own(&mut self, claim: Claim) -> Step {
        let vote = sign(&self.epoch, self.me, claim);
        self.feed(Input::Own(vote))
    }

    /// Proposes, judges and certifies a block, so that the next view is entered.
    pub(crate) fn notarized(&mut self, header: &Header) -> Step {
        let _ = self.propose(header, Vec::new());
        let _ = self.judge(header, Verdict::Valid);
        self.certify(Claim::Notarize { view: header.view, block: header.id() })
    }
}

/// The claims of a step, in order.
pub(crate) fn votes(step: &Step) -> Vec<Claim> {
    let claim = |effect: &Effect| match effect {
        Effect::Vote(claim) | Effect::Propose { claim, .. } => Some(*claim),
        _ => None,
    };
    step.effects.iter().filter_map(claim).collect()
}

/// What a step sends, and to whom.
pub(crate) fn sent(step: &Step) -> Vec<(Signers, Message)> {
    let letter = |effect: &Effect| match effect {
        Effect::Send { to, message } => Some((*to, message.clone())),
        _ => None,
    };
    step.effects.iter().filter_map(letter).collect()
}

pub(crate) fn judged(step: &Step) -> Vec<(Hash, Signers)> {
    let asked = |effect: &Effect| match effect {
        Effect::Judge { header, holders } => Some((header.id(), *holders)),
        _ => None,
    };
    step.effects.iter().filter_map(asked).collect()
}

pub(crate) fn halted(step: &Step) -> bool {
    step.effects.iter().any(|effect| matches!(effect, Effect::Halt(_)))
}
