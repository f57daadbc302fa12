//! One honest validator: the real engine, with its journal, its timers and its application.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate_consensus::{
    Certificate, Claim, Effect, Engine, Epoch, Input, Message, Parent, Record, Signers, Step, Timer, Verdict,
};
use quorate_primitives::block::Header;
use quorate_primitives::{Hash, View};

use crate::facts::{block_on, certificate, outcome_of, proposal};

/// What a machine forgets that must not be forgotten, to see that somebody notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Memory {
    Whole,
    /// A crash takes the own claims.
    WithoutClaims,
    /// A crash takes the certificates.
    WithoutCertificates,
}

/// One thing that happens to one validator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Move {
    /// A certificate arrives.
    Certificate(Claim),
    /// The leader's block arrives.
    Proposal(Hash),
    /// Anything else arrives from a validator.
    Letter(u8, Box<Message>),
    Expires(Timer),
    /// The body of a block is here and was judged.
    Judges(Hash),
    /// The header of a block is here.
    Fetches(Hash),
    Executes(Hash),
    /// A final block, or an ancestor of it, is here and was executed.
    Commits(Hash),
    Builds(View),
    /// A crash, and a start with what the journal holds.
    Restarts,
    /// The other thing happens, but after so many records of it were written, and before anything of it
    /// was said, the machine crashes.
    RestartsDuring(Box<Move>, usize),
}

/// What the application was asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Debt {
    Judge(Hash),
    Fetch(Hash),
    Commit(Hash),
}

impl Debt {
    pub(crate) fn block(&self) -> &Hash {
        match self {
            Self::Judge(block) | Self::Fetch(block) | Self::Commit(block) => block,
        }
    }

    pub(crate) fn settled(&self) -> Move {
        match self {
            Self::Judge(block) => Move::Judges(*block),
            Self::Fetch(block) => Move::Fetches(*block),
            Self::Commit(block) => Move::Commits(*block),
        }
    }
}

/// What no honest validator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slip {
    /// The engine stopped.
    Halted,
    /// It said something that its journal does not hold.
    Unrecorded,
    /// It accused or banned an honest validator.
    Slander,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) engine: Engine,
    pub(crate) journal: Vec<Record>,
    /// Timers of the current view.
    pub(crate) timers: BTreeSet<Timer>,
    pub(crate) owed: BTreeSet<Debt>,
    pub(crate) to_build: Option<(View, Parent)>,
    /// Blocks that were judged, and those that were executed, since the last start.
    pub(crate) judged: BTreeSet<Hash>,
    pub(crate) executed: BTreeSet<Hash>,
    /// Everything it ever claimed aloud, and the blocks that it made.
    pub(crate) said: BTreeSet<Claim>,
    pub(crate) made: BTreeMap<Hash, Header>,
    /// A leader that starts again would build another block.
    pub(crate) crashes: u8,
    pub(crate) slip: Option<Slip>,
}

/// What a validator says in one step, beside what [`Node::said`] holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Speech {
    pub(crate) votes: Vec<Claim>,
    pub(crate) letters: Vec<(Signers, Message)>,
    /// Blocks that it proposes.
    pub(crate) blocks: Vec<Hash>,
}

impl Speech {
    fn add(&mut self, more: Self) {
        self.votes.extend(more.votes);
        self.letters.extend(more.letters);
        self.blocks.extend(more.blocks);
    }
}

/// What the validators share.
pub(crate) struct Setting {
    pub(crate) epoch: Arc<Epoch>,
    pub(crate) liar: u8,
    pub(crate) memory: Memory,
    /// Views up to this one are explored.
    pub(crate) views: u64,
    /// How the application answers while they are.
    pub(crate) pace: Pace,
    /// Whether machines crash.
    pub(crate) crashes: bool,
}

/// When the application answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// At any time, or never.
    Any,
    /// A block is executed as soon as it can be; a verdict may take any time.
    LateVerdicts,
    /// At once.
    Prompt,
}

pub(crate) type Blocks = BTreeMap<Hash, Header>;

impl Node {
    pub(crate) fn new(setting: &Setting, me: u8) -> Self {
        let mut node = Self {
            engine: Engine::new(Arc::clone(&setting.epoch), Some(me)),
            journal: Vec::new(),
            timers: BTreeSet::new(),
            owed: BTreeSet::new(),
            to_build: None,
            judged: BTreeSet::new(),
            executed: BTreeSet::new(),
            said: BTreeSet::new(),
            made: BTreeMap::new(),
            crashes: 0,
            slip: None,
        };
        node.start(setting);
        node
    }

    pub(crate) fn me(&self) -> u8 {
        self.engine.me().unwrap()
    }

    /// The node after a move and what it said, unless the move changes nothing.
    pub(crate) fn after(
        &self,
        what: &Move,
        blocks: &Blocks,
        setting: &Setting,
        pace: Pace,
    ) -> Option<(Self, Speech)> {
        let mut node = self.clone();
        let speech = match what {
            Move::Restarts => node.restart(setting),
            Move::RestartsDuring(what, written) => {
                let input = node.input(what, blocks, setting.liar)?;
                let step = node.work(input);
                if *written == 0 || *written > step.journal.len() {
                    return None;
                }
                node.journal.extend(step.journal.into_iter().take(*written));
                node.restart(setting)
            }
            simple => {
                let input = node.input(simple, blocks, setting.liar)?;
                let step = node.work(input);
                node.absorb(step, setting)
            }
        };
        let mut speech = speech;
        node.answer(blocks, setting, pace, &mut speech);
        let changed = node != *self || !speech.votes.is_empty() || !speech.letters.is_empty();
        changed.then_some((node, speech))
    }

    /// Settles what the world owes, and says what the engine is told.
    fn input(&mut self, what: &Move, blocks: &Blocks, liar: u8) -> Option<Input> {
        Some(match what {
            Move::Certificate(claim) => {
                // Who sends it does not matter; if it is always the same, there are fewer states.
                let message = Message::Certificate(certificate(*claim, self.signers(claim, liar)));
                Input::Received { from: liar, message }
            }
            Move::Proposal(block) => {
                let header = &blocks[block];
                if header.proposer == self.me() {
                    return None;
                }
                self.owed.remove(&Debt::Fetch(*block));
                Input::Received { from: header.proposer, message: proposal(header) }
            }
            Move::Letter(from, message) => {
                let message = match &**message {
                    Message::Certificate(Certificate { claim, .. }) => {
                        Message::Certificate(certificate(*claim, self.signers(claim, liar)))
                    }
                    other => other.clone(),
                };
                Input::Received { from: *from, message }
            }
            Move::Expires(timer) => {
                self.timers.remove(timer);
                Input::Expired(*timer)
            }
            Move::Judges(block) => {
                self.owed.remove(&Debt::Judge(*block));
                self.judged.insert(*block);
                Input::Judged { block: *block, verdict: Verdict::Valid }
            }
            Move::Fetches(block) => {
                self.owed.remove(&Debt::Fetch(*block));
                Input::Fetched { header: blocks[block].clone() }
            }
            Move::Executes(block) => {
                self.executed.insert(*block);
                Input::Executed { block: *block, outcome: outcome_of(*block) }
            }
            Move::Commits(block) => {
                let next = self.next_to_commit(*block, blocks);
                self.judged.insert(next);
                self.executed.insert(next);
                if next == *block {
                    self.owed.remove(&Debt::Commit(next));
                }
                Input::Executed { block: next, outcome: outcome_of(next) }
            }
            Move::Builds(view) => {
                let (_, parent) = self.to_build.take().filter(|(at, _)| at == view)?;
                let header = block_on(self.engine.epoch(), *view, &parent, self.crashes);
                Input::Built { view: *view, header: Some(header) }
            }
            Move::Restarts | Move::RestartsDuring(..) => return None,
        })
    }

    /// Lets the application do what it does without delay.
    fn answer(&mut self, blocks: &Blocks, setting: &Setting, pace: Pace, speech: &mut Speech) {
        while let Some(what) = self.next_answer(blocks, pace) {
            let Some(input) = self.input(&what, blocks, setting.liar) else { return };
            let step = self.work(input);
            let more = self.absorb(step, setting);
            speech.add(more);
        }
    }

    fn next_answer(&self, blocks: &Blocks, pace: Pace) -> Option<Move> {
        let owed = self.owed.iter().map(Debt::settled).next().filter(|_| pace == Pace::Prompt);
        let executes = || self.can_execute(blocks).map(Move::Executes).next();
        owed.or_else(|| executes().filter(|_| pace != Pace::Any))
    }

    /// Everything that happens without the others.
    pub(crate) fn inner_moves(&self, blocks: &Blocks, setting: &Setting) -> Vec<Move> {
        let mut moves: Vec<Move> = Vec::new();
        if self.engine.view().get() <= setting.views {
            let timers = self.timers.iter().filter(|timer| !matches!(timer, Timer::Retry(_)));
            moves.extend(timers.map(|timer| Move::Expires(*timer)));
            moves.extend(self.to_build.iter().map(|(view, _)| Move::Builds(*view)));
        }
        moves.extend(self.owed.iter().map(Debt::settled));
        moves.extend(self.can_execute(blocks).map(Move::Executes));
        moves
    }

    /// Who signed a certificate, as far as it matters to this validator: whether it did so itself. Which
    /// of the others did changes only whom it would write to.
    fn signers(&self, claim: &Claim, liar: u8) -> Signers {
        let me = self.me();
        let others = self.engine.epoch().everybody().without(me).without(liar);
        let other = others.iter().next().map_or(Signers::NONE, Signers::one);
        let honest = if self.said.contains(claim) { other.with(me) } else { others };
        honest.with(liar)
    }

    /// Feeds the engine. Signatures are checked at once.
    fn work(&mut self, input: Input) -> Step {
        let mut step = self.engine.step(input);
        let mut done = 0;
        while let Some(effect) = step.effects.get(done) {
            done += 1;
            if let Effect::Check { ticket, .. } = effect {
                let more = self.engine.step(Input::Checked { ticket: *ticket, bad: Vec::new() });
                step.journal.extend(more.journal);
                step.effects.extend(more.effects);
            }
        }
        step
    }

    fn restart(&mut self, setting: &Setting) -> Speech {
        let me = self.me();
        self.engine = Engine::new(Arc::clone(&setting.epoch), Some(me));
        match setting.memory {
            Memory::Whole => {}
            Memory::WithoutClaims => self.journal.retain(|record| !matches!(record, Record::Own(_))),
            Memory::WithoutCertificates => self.journal.retain(|record| matches!(record, Record::Own(_))),
        }
        for record in &self.journal {
            self.engine.restore(record.clone());
        }
        self.timers.clear();
        self.owed.clear();
        self.to_build = None;
        self.judged.clear();
        self.executed.clear();
        self.crashes += 1;
        self.start(setting)
    }

    fn start(&mut self, setting: &Setting) -> Speech {
        let step = self.engine.start();
        self.absorb(step, setting)
    }

    fn absorb(&mut self, step: Step, setting: &Setting) -> Speech {
        self.journal.extend(step.journal);
        let mut speech = Speech::default();
        for effect in step.effects {
            match effect {
                Effect::Vote(claim) => self.say(claim, &mut speech),
                Effect::Propose { header, claim, .. } => {
                    let block = claim.block().unwrap();
                    self.judged.insert(block);
                    self.made.insert(block, header);
                    speech.blocks.push(block);
                    self.say(claim, &mut speech);
                }
                Effect::Send { to, message } => speech.letters.push((to, message)),
                Effect::Arm { timer: Timer::Relay(_), .. } => {}
                Effect::Arm { timer, .. } => {
                    self.timers.insert(timer);
                }
                Effect::Build { view, parent, .. } => self.to_build = Some((view, parent)),
                Effect::Judge { header, .. } => {
                    self.owed.insert(Debt::Judge(header.id()));
                }
                Effect::Fetch { block, .. } => {
                    self.owed.insert(Debt::Fetch(block));
                }
                Effect::Ban(who) if who != setting.liar => self.slip = Some(Slip::Slander),
                Effect::Evidence(evidence) if evidence.signer() != setting.liar => {
                    self.slip = Some(Slip::Slander);
                }
                Effect::Halt(_) => self.slip = Some(Slip::Halted),
                Effect::Finalized(found) => {
                    let block = found.claim.block().unwrap();
                    if !self.executed.contains(&block) {
                        self.owed.insert(Debt::Commit(block));
                    }
                }
                Effect::Check { .. }
                | Effect::Notarized(_)
                | Effect::Premature(_)
                | Effect::Ban(_)
                | Effect::Evidence(_) => {}
            }
        }
        self.forget_the_past();
        speech
    }

    fn say(&mut self, claim: Claim, speech: &mut Speech) {
        if !self.journal.contains(&Record::Own(claim)) {
            self.slip = Some(Slip::Unrecorded);
        }
        self.said.insert(claim);
        speech.votes.push(claim);
    }

    /// What is stale without effect is not kept, so that equal situations are equal states.
    fn forget_the_past(&mut self) {
        let view = self.engine.view();
        self.timers.retain(|timer| timer.view() == view);
        self.to_build = self.to_build.filter(|(at, _)| *at == view);
    }

    /// Blocks whose bodies a crash would not take, or that are here anyway.
    pub(crate) fn has_body(&self, block: Hash) -> bool {
        let kept = |record: &Record| matches!(record, Record::Own(Claim::Notarize { block: own, .. }) if *own == block);
        self.judged.contains(&block) || self.journal.iter().any(kept)
    }

    /// Judged blocks whose parents were executed.
    pub(crate) fn can_execute<'a>(&'a self, blocks: &'a Blocks) -> impl Iterator<Item = Hash> + 'a {
        let anchor = self.engine.epoch().anchor.block;
        let ready = move |block: &&Hash| {
            let header = blocks.get(*block).or_else(|| self.made.get(*block));
            let Some(parent) = header.map(|header| header.parent) else { return false };
            !self.executed.contains(*block) && (parent == anchor || self.executed.contains(&parent))
        };
        self.judged.iter().filter(ready).copied()
    }

    /// The block, or its first ancestor that was not executed.
    fn next_to_commit(&self, block: Hash, blocks: &Blocks) -> Hash {
        let (mut next, mut parent) = (block, blocks[&block].parent);
        while parent != self.engine.epoch().anchor.block && !self.executed.contains(&parent) {
            (next, parent) = (parent, blocks[&parent].parent);
        }
        next
    }

    /// Rule I3: no two of its claims exclude each other.
    pub(crate) fn contradicts_itself(&self) -> bool {
        self.said.iter().any(|first| {
            self.said.iter().any(|second| quorate_consensus::message::conflict(first, second).is_some())
        })
    }

    /// Rule I9: something is sure to happen in the current view.
    pub(crate) fn has_timer(&self) -> bool {
        let view = self.engine.view();
        self.timers.contains(&Timer::View(view)) || self.timers.contains(&Timer::Retry(view))
    }
}
