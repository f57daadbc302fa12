//! Several engines with the world around them: mail, timers, an application that builds, judges and
//! executes, and disks that keep what was journaled.
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use quorate_consensus::message::conflict;
use quorate_consensus::{
    Certificate, Claim, ClaimKind, Effect, Engine, Epoch, Input, Message, Proposal, Record, Signers, Step,
    Ticket, Timer, Verdict, Vote,
};
use quorate_primitives::block::Header;
use quorate_primitives::codec::List;
use quorate_primitives::hash::{Domain, hash};
use quorate_primitives::keys::SignatureCheck;
use quorate_primitives::{Hash, Height, View};

use crate::bench::{anchor_of, bad_positions, block_on, epoch_until, sign};

/// Something that the world owes an engine.
#[derive(Clone)]
pub(crate) enum Job {
    Sign(Claim, Option<(Header, View, Vec<Certificate>)>),
    Check(Ticket, Vec<SignatureCheck>),
    Build(View, quorate_consensus::Parent),
    Judge(Header, Signers),
    Fetch(Hash, Signers),
    Sync(Certificate),
    Tell(Input),
}

#[derive(Clone)]
pub(crate) struct Letter {
    pub(crate) from: u8,
    pub(crate) to: u8,
    pub(crate) message: Message,
}

pub(crate) struct Node {
    pub(crate) engine: Engine,
    pub(crate) up: bool,
    /// What a crash does not take.
    pub(crate) journal: Vec<Record>,
    stored: BTreeMap<Hash, Header>,
    ledger: BTreeMap<Hash, Hash>,
    /// What a crash takes.
    bodies: BTreeMap<Hash, Header>,
    executed: BTreeMap<Hash, Hash>,
    pub(crate) jobs: VecDeque<Job>,
    pub(crate) timers: BTreeSet<Timer>,
    pub(crate) height: Height,
    pub(crate) news: Vec<Effect>,
    /// Adds to every outcome: a machine that computes wrongly.
    pub(crate) broken: bool,
}

pub(crate) struct Cluster {
    pub(crate) epoch: Arc<Epoch>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) mail: VecDeque<Letter>,
    /// Blocks are built up to this height.
    pub(crate) limit: u64,
    /// Members that the test plays: no engine runs for them and nothing is promised about them.
    pub(crate) traitors: Signers,
    /// Who does not get anything, nor is heard.
    pub(crate) unreachable: Signers,
    /// Every block that was ever proposed.
    pub(crate) blocks: BTreeMap<Hash, Header>,
    /// The one final chain.
    pub(crate) chain: BTreeMap<Height, Hash>,
    pub(crate) certificates: Vec<Certificate>,
    /// Every vote that was ever sent.
    pub(crate) votes: BTreeMap<Claim, BTreeMap<u8, Vote>>,
    claims: BTreeMap<(u8, View), BTreeSet<Claim>>,
}

impl Cluster {
    pub(crate) fn of(n: usize) -> Self {
        Self::until(n, Height::MAX)
    }

    /// A cluster whose epoch ends at a height.
    pub(crate) fn until(n: usize, last: Height) -> Self {
        let epoch = epoch_until(n, last);
        let node = |index: u8| Node {
            engine: Engine::new(Arc::clone(&epoch), Some(index)),
            up: true,
            journal: Vec::new(),
            stored: BTreeMap::new(),
            ledger: BTreeMap::from([(epoch.anchor.block, epoch.anchor.outcome)]),
            bodies: BTreeMap::new(),
            executed: BTreeMap::from([(epoch.anchor.block, epoch.anchor.outcome)]),
            jobs: VecDeque::new(),
            timers: BTreeSet::new(),
            height: Height::ZERO,
            news: Vec::new(),
            broken: false,
        };
        let nodes = epoch.everybody().iter().map(node).collect();
        Self {
            epoch,
            nodes,
            mail: VecDeque::new(),
            limit: 0,
            traitors: Signers::NONE,
            unreachable: Signers::NONE,
            blocks: BTreeMap::new(),
            chain: BTreeMap::new(),
            certificates: Vec::new(),
            votes: BTreeMap::new(),
            claims: BTreeMap::new(),
        }
    }

    pub(crate) fn node(&mut self, index: u8) -> &mut Node {
        &mut self.nodes[usize::from(index)]
    }

    pub(crate) fn honest(&self) -> Vec<u8> {
        self.epoch.everybody().difference(self.traitors).iter().collect()
    }

    pub(crate) fn running(&self) -> Vec<u8> {
        self.honest().into_iter().filter(|index| self.nodes[usize::from(*index)].up).collect()
    }

    pub(crate) fn start(&mut self) {
        for index in self.running() {
            let step = self.node(index).engine.start();
            self.absorb(index, step);
        }
    }

    // What people do to machines.

    /// Everything that is not on disk is lost.
    pub(crate) fn crash(&mut self, index: u8) {
        let node = self.node(index);
        node.up = false;
        node.jobs.clear();
        node.timers.clear();
        node.bodies = node.stored.clone();
        node.executed = node.ledger.clone();
    }

    pub(crate) fn restart(&mut self, index: u8) {
        let epoch = Arc::clone(&self.epoch);
        let node = self.node(index);
        node.up = true;
        node.engine = Engine::new(epoch, Some(index));
        for record in &node.journal {
            node.engine.restore(record.clone());
        }
        let step = node.engine.start();
        self.absorb(index, step);
        for other in self.running() {
            if other != index {
                self.tell(other, Input::Connected(index));
                self.tell(index, Input::Connected(other));
            }
        }
    }

    /// Before it crashed, the node had rewritten its journal as a new, short log segment.
    pub(crate) fn compact_crashed(&mut self, index: u8) {
        let node = self.node(index);
        let mut engine = Engine::new(Arc::clone(node.engine.epoch()), Some(index));
        for record in &node.journal {
            engine.restore(record.clone());
        }
        node.journal = engine.records();
    }

    pub(crate) fn reconnect_all(&mut self) {
        self.unreachable = Signers::NONE;
        for one in self.running() {
            for other in self.running() {
                if one != other {
                    self.tell(one, Input::Connected(other));
                }
            }
        }
    }

    // How things go on.

    pub(crate) fn tell(&mut self, index: u8, input: Input) {
        let node = self.node(index);
        if !node.up {
            return;
        }
        let step = node.engine.step(input);
        self.absorb(index, step);
    }

    /// The machine stops in the middle of a step: before or after the journal was written, but before
    /// anything else was done.
    pub(crate) fn tell_and_crash(&mut self, index: u8, input: Input, is_written: bool) {
        let node = self.node(index);
        if !node.up {
            return;
        }
        let step = node.engine.step(input);
        if is_written {
            self.keep(index, &step);
            self.remember_claims(index, &step.journal);
        }
        self.crash(index);
    }

    /// The journal first, then the effects.
    pub(crate) fn absorb(&mut self, index: u8, step: Step) {
        let journaled = step.journal.clone();
        self.keep(index, &step);
        self.remember_claims(index, &journaled);
        for effect in step.effects {
            self.run(index, effect);
        }
    }

    /// Makes durable what must be before the effects run.
    pub(crate) fn keep(&mut self, index: u8, step: &Step) {
        for effect in &step.effects {
            if let Effect::Propose { header, .. } = effect {
                self.blocks.insert(header.id(), header.clone());
                let node = self.node(index);
                node.bodies.insert(header.id(), header.clone());
            }
        }
        let node = self.node(index);
        for record in &step.journal {
            node.journal.push(record.clone());
            if let Record::Own(Claim::Notarize { block, .. } | Claim::Finalize { block, .. }) = record {
                let body = node.bodies.get(block).expect("votes only for what it has").clone();
                node.stored.insert(*block, body);
            }
        }
    }

    fn remember_claims(&mut self, index: u8, journal: &[Record]) {
        for record in journal {
            if let Record::Own(claim) = record {
                let made = self.claims.entry((index, claim.view())).or_default();
                assert!(made.insert(*claim), "{index} makes a claim twice: {claim}");
                let broken = made.iter().find(|earlier| conflict(earlier, claim).is_some());
                assert_eq!(broken, None, "{index} breaks a promise: {claim}");
            }
        }
    }

    fn run(&mut self, index: u8, effect: Effect) {
        let node = self.node(index);
        match effect {
            Effect::Vote(claim) => node.jobs.push_back(Job::Sign(claim, None)),
            Effect::Propose { header, parent, claim, proof } => {
                node.bodies.insert(header.id(), header.clone());
                node.jobs.push_back(Job::Sign(claim, Some((header, parent, proof))));
            }
            Effect::Send { to, message } => self.post(index, to, &message),
            Effect::Check { ticket, checks } => {
                assert!(!checks.is_empty(), "an empty check");
                node.jobs.push_back(Job::Check(ticket, checks));
            }
            Effect::Arm { timer, .. } => {
                node.timers.insert(timer);
            }
            Effect::Build { view, parent, .. } => node.jobs.push_back(Job::Build(view, parent)),
            Effect::Judge { header, holders } => node.jobs.push_back(Job::Judge(header, holders)),
            Effect::Fetch { block, holders } => node.jobs.push_back(Job::Fetch(block, holders)),
            Effect::Finalized(certificate) => {
                node.jobs.push_back(Job::Sync(certificate.clone()));
                node.news.push(Effect::Finalized(certificate.clone()));
                self.certificates.push(certificate.clone());
                self.note_final(&certificate);
            }
            Effect::Notarized(certificate) => {
                self.certificates.push(certificate.clone());
                self.node(index).news.push(Effect::Notarized(certificate));
            }
            Effect::Evidence(_) | Effect::Ban(_) | Effect::Premature(_) | Effect::Halt(_) => {
                if let Effect::Ban(who) = effect {
                    assert!(self.traitors.contains(who), "{index} bans {who}, who is honest");
                }
                self.node(index).news.push(effect);
            }
        }
    }

    /// All final blocks are on one chain.
    fn note_final(&mut self, certificate: &Certificate) {
        let mut block = certificate.claim.block().unwrap();
        while block != self.epoch.anchor.block {
            let header = &self.blocks[&block];
            let known = *self.chain.entry(header.height).or_insert(block);
            assert_eq!(known, block, "two final blocks at height {}", header.height);
            block = header.parent;
        }
    }

    fn post(&mut self, from: u8, to: Signers, message: &Message) {
        assert!(!to.contains(from), "{from} writes to itself");
        match message {
            Message::Vote(vote) | Message::Propose(Proposal { vote, .. }) => {
                self.votes.entry(vote.claim).or_default().insert(from, vote.clone());
            }
            Message::Certificate(certificate) => self.certificates.push(certificate.clone()),
            Message::Want(_) => {}
        }
        for to in to.intersection(self.epoch.everybody()).iter() {
            self.mail.push_back(Letter { from, to, message: message.clone() });
        }
    }

    pub(crate) fn deliver(&mut self, letter: Letter) {
        let Letter { from, to, message } = letter;
        let cut = self.unreachable.contains(from) || self.unreachable.contains(to);
        if !cut && !self.traitors.contains(to) {
            self.tell(to, Input::Received { from, message });
        }
    }

    /// Does one thing that the world owes an engine, or puts it off.
    pub(crate) fn work(&mut self, index: u8) -> bool {
        let Some(job) = self.node(index).jobs.pop_front() else { return false };
        let later = job.clone();
        let done = self.try_job(index, job);
        if !done {
            self.node(index).jobs.push_back(later);
        }
        done
    }

    fn try_job(&mut self, index: u8, job: Job) -> bool {
        match job {
            Job::Tell(input) => self.tell(index, input),
            Job::Check(ticket, checks) => {
                self.tell(index, Input::Checked { ticket, bad: bad_positions(&checks) });
            }
            Job::Sign(claim, proposed) => self.sign(index, claim, proposed),
            Job::Build(view, parent) => {
                if parent.height.get() >= self.limit {
                    return false;
                }
                let header = block_on(&self.epoch, view, parent);
                let known = self.node(index).executed.contains_key(&parent.block)
                    || self.node(index).bodies.contains_key(&parent.block);
                self.tell(index, Input::Built { view, header: Some(header).filter(|_| known) });
            }
            Job::Judge(header, holders) => return self.judge(index, &header, holders),
            Job::Fetch(block, holders) => {
                let Some(header) = self.body(index, block, holders) else { return false };
                self.tell(index, Input::Fetched { header });
            }
            Job::Sync(certificate) => return self.sync(index, &certificate),
        }
        true
    }

    fn sign(&mut self, index: u8, claim: Claim, proposed: Option<(Header, View, Vec<Certificate>)>) {
        let vote = sign(&self.epoch, index, claim);
        let message = match proposed {
            None => Message::Vote(vote.clone()),
            Some((header, parent, proof)) => Message::Propose(Proposal {
                view: claim.view(),
                parent,
                header,
                vote: vote.clone(),
                proof: List::new(proof).unwrap(),
            }),
        };
        let to = self.epoch.everybody().without(index);
        self.post(index, to, &message);
        self.tell(index, Input::Own(vote));
        self.execute_all(index);
    }

    /// A body that this node has, or that one of the holders gives it.
    fn body(&self, index: u8, block: Hash, holders: Signers) -> Option<Header> {
        let reachable = |holder: &u8| {
            let node = &self.nodes[usize::from(*holder)];
            let cut = self.unreachable.contains(*holder) || self.unreachable.contains(index);
            *holder == index || (node.up && !cut && !self.traitors.contains(*holder))
        };
        let giver = holders
            .with(index)
            .iter()
            .filter(reachable)
            .find_map(|holder| self.nodes[usize::from(holder)].bodies.get(&block));
        // A traitor hands out what it made.
        let made = self.blocks.get(&block).filter(|header| holders.contains(header.proposer));
        giver.or(made.filter(|header| self.traitors.contains(header.proposer))).cloned()
    }

    fn judge(&mut self, index: u8, header: &Header, holders: Signers) -> bool {
        let block = header.id();
        if self.body(index, block, holders).is_none() {
            return false;
        }
        self.node(index).bodies.insert(block, header.clone());
        self.tell(index, Input::Judged { block, verdict: Verdict::Valid });
        self.execute_all(index);
        if let Some(outcome) = self.node(index).executed.get(&block).copied() {
            self.tell(index, Input::Executed { block, outcome });
        }
        true
    }

    /// Executes whatever follows something executed.
    fn execute_all(&mut self, index: u8) {
        loop {
            let node = self.node(index);
            let next = node.bodies.iter().find(|(block, header)| {
                !node.executed.contains_key(*block) && node.executed.contains_key(&header.parent)
            });
            let Some((block, parent)) = next.map(|(block, header)| (*block, header.parent)) else { return };
            let fault: &[u8] = if node.broken { b"broken" } else { b"" };
            let outcome =
                hash(Domain::Outcome, &[node.executed[&parent].as_bytes(), block.as_bytes(), fault]);
            node.executed.insert(block, outcome);
            node.jobs.push_back(Job::Tell(Input::Executed { block, outcome }));
        }
    }

    /// Gets and commits all blocks up to a final one.
    fn sync(&mut self, index: u8, certificate: &Certificate) -> bool {
        let mut chain = Vec::new();
        let mut block = certificate.claim.block().unwrap();
        while !self.node(index).ledger.contains_key(&block) {
            let Some(header) = self.body(index, block, self.epoch.everybody()) else { return false };
            block = header.parent;
            chain.push(header);
        }
        for header in &chain {
            self.node(index).bodies.insert(header.id(), header.clone());
        }
        self.execute_all(index);
        for header in chain.iter().rev() {
            let node = self.node(index);
            let outcome = node.executed[&header.id()];
            node.ledger.insert(header.id(), outcome);
            node.stored.insert(header.id(), header.clone());
            node.height = node.height.max(header.height);
        }
        true
    }

    /// Lets everything happen that needs no timer.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut busy = false;
            for index in self.running() {
                let owed = self.node(index).jobs.len();
                for _ in 0..owed {
                    busy |= self.work(index);
                }
            }
            for _ in 0..self.mail.len() {
                let letter = self.mail.pop_front().unwrap();
                self.deliver(letter);
                busy = true;
            }
            if !busy {
                return;
            }
        }
    }

    /// Lets the next timers fire: short ones before long ones, everywhere at the same time.
    pub(crate) fn pass_time(&mut self) {
        let rank = |timer: &Timer| match timer {
            Timer::Relay(_) => 0,
            Timer::Propose(_) => 1,
            Timer::View(_) => 2,
            Timer::Retry(_) => 3,
        };
        for index in self.running() {
            let view = self.node(index).engine.view();
            let node = self.node(index);
            node.timers.retain(|timer| timer.view() >= view || matches!(timer, Timer::Relay(_)));
        }
        let due = self
            .running()
            .into_iter()
            .flat_map(|index| self.nodes[usize::from(index)].timers.iter().map(rank));
        let Some(due) = due.min() else { return };
        for index in self.running() {
            let fires: Vec<Timer> =
                self.node(index).timers.iter().copied().filter(|timer| rank(timer) == due).collect();
            for timer in fires {
                self.node(index).timers.remove(&timer);
                self.tell(index, Input::Expired(timer));
            }
        }
        self.settle();
    }

    /// Lets blocks be built up to a height, and waits until all running nodes have them, at most so many
    /// timers long.
    pub(crate) fn reaches(&mut self, height: u64, patience: usize) -> bool {
        self.limit = self.limit.max(height);
        self.settle();
        for _ in 0..patience {
            if self.lowest() >= Height::new(height) {
                return true;
            }
            self.pass_time();
        }
        self.lowest() >= Height::new(height)
    }

    pub(crate) fn lowest(&self) -> Height {
        let reachable = self.running().into_iter().filter(|index| !self.unreachable.contains(*index));
        reachable.map(|index| self.nodes[usize::from(index)].height).min().unwrap_or_default()
    }

    pub(crate) fn highest(&self) -> Height {
        self.chain.keys().next_back().copied().unwrap_or_default()
    }

    /// Where everybody is, for a test that fails.
    pub(crate) fn report(&self) -> String {
        let line = |(index, node): (usize, &Node)| {
            let (status, timers) = (node.engine.status(), &node.timers);
            format!("{index}: height {} {status:?} {:?} {timers:?}\n", node.height, node.engine.fault())
        };
        self.nodes.iter().enumerate().map(line).collect()
    }

    /// Nothing went wrong that no honest validator may see.
    pub(crate) fn nobody_halted(&self) -> bool {
        self.nodes.iter().all(|node| node.engine.fault().is_none())
    }

    pub(crate) fn final_certificates(&self, kind: ClaimKind) -> usize {
        self.certificates.iter().filter(|certificate| certificate.claim.kind() == kind).count()
    }

    pub(crate) fn first_block(&self) -> Header {
        block_on(&self.epoch, View::new(1), anchor_of(&self.epoch))
    }
}
