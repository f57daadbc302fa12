//! The machine: its state, and the dispatch of events to the parts and of what the engine wants.
use quorate_consensus::{Claim, Effect as Want, Record, Signers, Vote};
use quorate_consensus::{Engine, Input, Message, Proposal, Step as EngineStep};
use quorate_genesis::Genesis;
use quorate_ledger::{Ledger, Reader};
use quorate_primitives::block::{Header, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::{Certificate, ClaimKind};
use quorate_primitives::codec::List;
use quorate_primitives::signed::Verified;
use quorate_primitives::state::Parameters;
use quorate_primitives::validators::EpochIdentity;
use quorate_primitives::zoo::{self, Bug};
use quorate_primitives::{EpochNumber, Hash, Height, PublicKey, Timestamp, View};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::accusations::Accusations;
use crate::answer::{Fault, Refusal, Stall, Status};
use crate::bundles::Bundles;
use crate::chain::Chain;
use crate::commit::Finals;
use crate::epochs::{Ahead, Described, Early, Previous, describe, epoch_after};
use crate::event::{CheckTicket, Effect, Event, Step, Submission, Timer};
use crate::fetch::{Fetches, Purpose};
use crate::guard::Guard;
use crate::judge::Offers;
use crate::members::Members;
use crate::mempool::Mempool;
use crate::pace::Pace;
use crate::propose::Building;
use crate::record::LogRecord;
use crate::recovery::{Later, chain_of};
use crate::room::Throughput;
use crate::settings::Settings;
use crate::sync::Sync;
use crate::wire::{Answer, PeerMessage};

/// Most connections that are remembered: more are not needed for anything.
const CONNECTED_MAX: usize = 1_024;

/// One validator, or one that only follows.
pub struct Replica {
    pub(crate) settings: Settings,
    pub(crate) parameters: Parameters,
    pub(crate) chain_id: Hash,
    pub(crate) genesis: Genesis,
    /// The key that this replica votes with when it is a validator's.
    pub(crate) key: Option<PublicKey>,
    pub(crate) identity: EpochIdentity,
    pub(crate) members: Members,
    pub(crate) me: Option<u8>,
    pub(crate) engine: Engine,
    pub(crate) guard: Guard,
    pub(crate) previous: Option<Previous>,
    pub(crate) ahead: Ahead,
    /// Records of the vote log that are about epochs to which the ledger has not come yet.
    pub(crate) later: BTreeMap<EpochNumber, Later>,
    /// Keys that may connect as validators, as they were told last.
    pub(crate) admitted: BTreeSet<PublicKey>,
    /// Hash of the set of the epoch after the next, as it was looked at last.
    pub(crate) latest_set: Option<Hash>,
    pub(crate) accusations: Accusations,
    pub(crate) ledger: Ledger,
    pub(crate) reader: Reader,
    pub(crate) chain: Chain,
    pub(crate) mempool: Mempool,
    pub(crate) throughput: Throughput,
    pub(crate) bundles: Bundles,
    /// Own bundles that travelled only with a proposal.
    pub(crate) inline: BTreeSet<Hash>,
    pub(crate) pace: Pace,
    pub(crate) fetches: Fetches,
    pub(crate) sync: Sync,
    pub(crate) offers: Offers,
    /// Blocks that the engine wants to be judged.
    pub(crate) judging: BTreeSet<Hash>,
    pub(crate) building: Option<Building>,
    pub(crate) drafts: BTreeMap<View, Draft>,
    pub(crate) finals: Finals,
    pub(crate) connected: BTreeSet<PublicKey>,
    pub(crate) now: Timestamp,
    armed: BTreeMap<Timer, Timestamp>,
    pub(crate) inputs: VecDeque<Input>,
    pub(crate) out: Step,
    pub(crate) fault: Option<Fault>,
    pub(crate) started: bool,
    pub(crate) sequence: u64,
    /// When the last own bundle left.
    pub(crate) departed: Timestamp,
    /// When the chain last advanced here.
    pub(crate) advanced: Timestamp,
    pub(crate) pending_told: bool,
}

/// A proposal that waits for the leader's signature.
pub(crate) struct Draft {
    header: Header,
    parent: View,
    claim: Claim,
    proof: Vec<Certificate>,
}

impl Replica {
    /// A replica on an opened ledger. In epochs whose validator set has the key it votes as that
    /// validator; otherwise it follows.
    ///
    /// # Errors
    /// [`Fault::Storage`] if the ledger does not hold what its own height implies.
    pub fn new(
        settings: Settings,
        genesis: &Genesis,
        ledger: Ledger,
        key: Option<PublicKey>,
    ) -> Result<Self, Fault> {
        let number = epoch_after(ledger.head().height(), &genesis.parameters);
        let Described { epoch, identity } = describe(number, genesis, &ledger)?;
        let me = key.and_then(|key| epoch.validators.index_of(&key));
        Ok(Self {
            parameters: genesis.parameters.clone(),
            chain_id: genesis.hash(),
            genesis: genesis.clone(),
            key,
            identity,
            members: Members(epoch.clone()),
            me,
            engine: Engine::new(epoch.clone(), me),
            guard: Guard::asking(&Guard::Passed),
            previous: None,
            ahead: Ahead::default(),
            later: BTreeMap::new(),
            admitted: BTreeSet::new(),
            latest_set: None,
            accusations: Accusations::default(),
            reader: ledger.reader(),
            chain: chain_of(&ledger, epoch.anchor.height),
            mempool: Mempool::new(settings.pool.clone()),
            throughput: Throughput::default(),
            bundles: Bundles::default(),
            inline: BTreeSet::new(),
            pace: Pace::new(&settings),
            fetches: Fetches::default(),
            sync: Sync::default(),
            offers: Offers::new(),
            judging: BTreeSet::new(),
            building: None,
            drafts: BTreeMap::new(),
            finals: Finals::new(),
            connected: BTreeSet::new(),
            now: Timestamp::ZERO,
            armed: BTreeMap::new(),
            inputs: VecDeque::new(),
            out: Step::default(),
            fault: None,
            started: false,
            sequence: 0,
            departed: Timestamp::ZERO,
            advanced: Timestamp::ZERO,
            pending_told: false,
            settings,
            ledger,
        })
    }

    /// Takes one event. `now` is the time of the clock; it may jump, but every replica whose clock is
    /// wrong by more than the clock bound of the parameters cannot vote in time.
    pub fn step(&mut self, now: Timestamp, event: Event) -> Step {
        self.now = now;
        if self.fault.is_some() || (!self.started && !matches!(event, Event::Start)) {
            self.refuse(event);
            return std::mem::take(&mut self.out);
        }
        let voted = self.me.is_some();
        self.dispatch(event);
        self.run();
        if !self.is_about_to_lead() {
            self.arm_execute();
        }
        self.arm_fetch();
        if !voted && self.me.is_none() {
            // Who does not vote has nothing to remember but that it forgot.
            self.out.journal.clear();
        }
        std::mem::take(&mut self.out)
    }

    /// Whether the next block to execute is that of the current view, and the next view is this replica's. Then
    /// the block waits until the view is over: it can be built on before it is executed, and everybody waits
    /// for the proposal, while one finalize vote that comes later is hardly missed. Nothing waits that is known
    /// to be final.
    fn is_about_to_lead(&self) -> bool {
        let view = self.engine.view();
        let leads_next = self.me == Some(self.members.leader(view.next()));
        let next = || self.chain.next_to_execute().and_then(|id| self.chain.get(&id));
        leads_next && self.finals.is_empty() && next().is_some_and(|block| block.header.view == view)
    }

    /// The ledger, for readers.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What every vote of the current epoch signs.
    #[must_use]
    pub fn context(&self) -> Hash {
        self.members.0.context
    }

    /// The current epoch, and its last height.
    #[must_use]
    pub fn period(&self) -> (EpochNumber, Height) {
        (self.members.number(), self.members.0.last)
    }

    /// This replica's position among the validators; `None` if it only follows.
    #[must_use]
    pub fn index(&self) -> Option<u8> {
        self.me
    }

    /// The latest view of a vote that is kept, for those who watch that nothing grows without a bound.
    #[must_use]
    pub fn farthest_vote(&self) -> View {
        self.engine.farthest_vote()
    }

    /// Transactions of the block that [`Timer::Execute`] would execute now; 0 if there is none. For those
    /// who model how long that takes.
    #[must_use]
    pub fn transactions_to_execute(&self) -> usize {
        let next = self.chain.next_to_execute().and_then(|id| self.chain.get(&id));
        let bundles = next.into_iter().flat_map(|block| block.bundles.values());
        bundles.fold(0, |sum: usize, bundle| sum.saturating_add(bundle.transactions().len()))
    }

    /// A glance for operators.
    #[must_use]
    pub fn status(&self) -> Status {
        let head = self.ledger.head();
        let connected =
            self.members.others(self.me).iter().filter(|key| self.connected.contains(*key)).count();
        let view = self.engine.view();
        Status {
            index: self.me,
            epoch: self.members.number(),
            epoch_last: self.members.0.last,
            voice: self.voice(),
            validators: self.members.len(),
            connected,
            view,
            leader: self.members.leader(view),
            finalized_view: self.engine.finalized().0,
            height: head.height(),
            block: head.block(),
            pool_transactions: self.mempool.len(),
            pool_senders: self.mempool.senders(),
            pool_bytes: self.mempool.bytes(),
            bundles: self.bundles.len(),
            bundles_bytes: self.bundles.bytes(),
            open_blocks: self.chain.len(),
            timeout_ms: self.pace.base_ms(),
            syncing: self.sync.is_active(),
            stall: self.stall(connected),
        }
    }

    fn stall(&self, connected: usize) -> Option<Stall> {
        if let Some(fault) = &self.fault {
            return Some(Stall::Stopped(fault.clone()));
        }
        let needed = self.members.quorum();
        let connected = connected.saturating_add(usize::from(self.me.is_some()));
        if connected < needed {
            return Some(Stall::NoQuorum { connected, needed });
        }
        let height = self.chain.tip().height;
        self.sync.is_active().then_some(Stall::Behind { height })
    }

    /// What a replica that has stopped, or not started, still does.
    fn refuse(&mut self, event: Event) {
        match event {
            Event::Submitted(submissions) => {
                let reply = |submission: Submission| Effect::Reply {
                    ticket: submission.ticket,
                    outcome: Err(Refusal::Stopped),
                };
                self.out.effects.extend(submissions.into_iter().map(reply));
            }
            Event::Asked { token, .. } => {
                self.out.effects.push(Effect::Answer { token, answer: Box::new(Answer::Unknown) });
            }
            Event::Start
            | Event::Message { .. }
            | Event::Proposal { .. }
            | Event::Bundle { .. }
            | Event::Signed { .. }
            | Event::Checked { .. }
            | Event::Elapsed(_)
            | Event::Connected(_)
            | Event::Disconnected(_)
            | Event::Answered { .. } => {}
        }
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Start => {
                if !self.started {
                    self.started = true;
                    self.start();
                }
            }
            Event::Message { from, epoch, message } => self.message(&from, epoch, *message),
            Event::Proposal { from, proposal, payload, inline } => {
                self.proposal(&from, *proposal, payload, inline);
            }
            Event::Bundle { from, bundle } => {
                let source = self.source_of(from);
                self.take_bundle(&bundle, source);
                self.try_build();
            }
            Event::Submitted(submissions) => {
                self.admit(submissions);
                self.try_build();
                self.flush();
            }
            Event::Signed { epoch, vote } => {
                if epoch == self.epoch() {
                    self.signed(vote);
                }
            }
            Event::Checked { ticket: CheckTicket::Consensus(epoch, ticket), bad } => {
                if epoch == self.epoch() {
                    self.inputs.push_back(Input::Checked { ticket, bad });
                }
            }
            Event::Checked { ticket: CheckTicket::Sync(ticket), bad } => {
                self.sync_checked(ticket, bad.is_empty())
            }
            Event::Elapsed(timer) => self.elapsed(timer),
            Event::Connected(peer) => {
                if self.connected.len() < CONNECTED_MAX || self.members.index_of(&peer).is_some() {
                    self.connected.insert(peer);
                }
                self.inputs.extend(self.members.index_of(&peer).map(Input::Connected));
                self.ask_standing();
            }
            Event::Disconnected(peer) => {
                self.connected.remove(&peer);
            }
            Event::Asked { from, token, question } => {
                let answer = Box::new(self.answer(&from, question));
                self.out.effects.push(Effect::Answer { token, answer });
            }
            Event::Answered { request, from, answer } => match self.fetches.close(request, &from) {
                Some(Purpose::Block(id)) => self.block_answered(id, from, answer),
                Some(Purpose::Sync) => self.sync_answered(request, from, answer),
                Some(Purpose::Standing) => self.standing_answered(from, answer),
                None => {}
            },
        }
    }

    /// Validators speak, others only ask.
    pub(crate) fn message(&mut self, from: &PublicKey, epoch: EpochNumber, message: Message) {
        if epoch != self.epoch() && !zoo::has(Bug::EpochTagIgnored) {
            return self.of_other_epoch(from, epoch, Early::Message(Box::new(message)));
        }
        let from = self.members.index_of(from).filter(|index| Some(*index) != self.me);
        if let Some(from) = from {
            self.inputs.push_back(Input::Received { from, message });
        }
    }

    /// A block to vote on, with what came with it.
    pub(crate) fn proposal(
        &mut self,
        from: &PublicKey,
        proposal: Proposal,
        payload: Payload,
        inline: Option<Verified<Bundle>>,
    ) {
        let epoch = proposal.header.epoch;
        if epoch != self.epoch() {
            let said = Early::Proposal { proposal: Box::new(proposal), payload, inline };
            return self.of_other_epoch(from, epoch, said);
        }
        let Some(index) = self.members.index_of(from) else { return };
        self.offer(index, &proposal.header, payload, inline);
        self.message(from, epoch, Message::Propose(proposal));
    }

    fn elapsed(&mut self, timer: Timer) {
        self.armed.remove(&timer);
        match timer {
            Timer::Consensus(epoch, timer) => {
                if epoch == self.epoch() {
                    self.inputs.push_back(Input::Expired(timer));
                }
            }
            Timer::Guard => self.guard_due(),
            Timer::Bundle => self.flush(),
            Timer::Build => self.try_build(),
            Timer::Judge => self.judge_open(),
            Timer::Execute => self.execute_next(),
            Timer::Fetch => self.ask_due(),
            Timer::Sync => self.sync_due(),
        }
    }

    /// Feeds the engine until it has nothing more to say. Epochs change between two of its steps, so
    /// that what it wants is never taken for a wish of the next one.
    fn run(&mut self) {
        loop {
            if self.fault.is_some() {
                return self.inputs.clear();
            }
            if self.is_epoch_over() {
                self.hand_over();
                continue;
            }
            let Some(input) = self.inputs.pop_front() else { return };
            let step = self.engine.step(input);
            self.apply(step);
            self.conclude();
        }
    }

    /// A record of the engine, for the log.
    fn log(&mut self, record: Record) {
        let epoch = self.epoch();
        self.out.journal.push(LogRecord::Consensus { epoch, record });
    }

    /// Carries out what the engine wants. Bodies come before the votes that name them, also in a log
    /// that broke off in the middle of this step.
    pub(crate) fn apply(&mut self, step: EngineStep) {
        for effect in &step.effects {
            if let Want::Vote(claim) | Want::Propose { claim, .. } = effect
                && let Claim::Notarize { block, .. } = claim
                && !zoo::has(Bug::BodyNotWritten)
            {
                self.record_body(*block);
            }
        }
        for effect in &step.effects {
            // What is told to be final must come back after a power failure.
            if let Want::Finalized(certificate) = effect
                && !step.journal.contains(&Record::Floor(certificate.clone()))
                && !zoo::has(Bug::FinalizationNotWritten)
            {
                self.log(Record::Held(certificate.clone()));
            }
        }
        step.journal.into_iter().for_each(|record| self.log(record));
        for effect in step.effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Want) {
        match effect {
            Want::Vote(claim) => self.sign(claim),
            Want::Propose { header, parent, claim, proof } => {
                self.drafts.insert(claim.view(), Draft { header, parent, claim, proof });
                self.sign(claim);
            }
            Want::Send { to, message } => self.send(to, message),
            Want::Check { ticket, checks } => {
                let ticket = CheckTicket::Consensus(self.epoch(), ticket);
                self.out.effects.push(Effect::Check { ticket, checks });
            }
            Want::Arm { timer, level, idle } => {
                let idle = idle && !self.pending_told;
                let after_ms = self.pace.duration_ms(timer, level, idle);
                let timer = Timer::Consensus(self.epoch(), timer);
                self.out.effects.push(Effect::Arm { timer, after_ms });
            }
            Want::Build { view, parent, idle } => self.build(view, parent, idle),
            Want::Judge { header, holders } => self.judge(&header, holders),
            Want::Fetch { block, holders } => self.fetch(block, holders),
            Want::Notarized(certificate) => self.notarized(&certificate),
            Want::Finalized(certificate) => self.finalized(certificate),
            Want::Evidence(evidence) => self.accuse(evidence),
            Want::Ban(index) => {
                if let Some(peer) = self.members.key(index) {
                    self.ban(peer, "broke the protocol");
                }
            }
            Want::Premature(_) => self.pace.premature(),
            Want::Halt(fault) => self.halt(Fault::Consensus(Box::new(fault))),
        }
    }

    fn sign(&mut self, claim: Claim) {
        let Some(index) = self.me else { return };
        let (epoch, context) = (self.epoch(), self.members.0.context);
        self.out.effects.push(Effect::Sign { epoch, context, index, claim });
    }

    fn notarized(&mut self, certificate: &Certificate) {
        self.pace.end(certificate.claim.view(), self.now);
        let Some(id) = certificate.claim.block().filter(|_| certificate.claim.kind() == ClaimKind::Notarize)
        else {
            return;
        };
        if let Some(block) = self.chain.get_mut(&id) {
            block.certified = true;
            self.gather(id, certificate.signers, 0);
        }
        // The engine takes what was pending for ordered now; what this block leaves out is said again.
        self.pending_told = false;
        let listed = self.chain.listed_from(&id).unwrap_or_default();
        if self.bundles.any_beside(&listed) {
            self.note_pending();
        }
    }

    /// Sends the vote that was signed, with the block if it is the leader's own.
    fn signed(&mut self, vote: Vote) {
        let draft = self.drafts.remove(&vote.claim.view());
        self.drafts.retain(|view, _| *view > vote.claim.view());
        let message = match draft {
            Some(draft) if draft.claim == vote.claim => {
                let Draft { header, parent, proof, .. } = draft;
                let proof = List::new(proof).unwrap_or_default();
                Message::Propose(Proposal {
                    view: vote.claim.view(),
                    parent,
                    header,
                    vote: vote.clone(),
                    proof,
                })
            }
            other => {
                // Another claim of the same view was signed first; the proposal still waits.
                self.drafts.extend(other.map(|draft| (draft.claim.view(), draft)));
                Message::Vote(vote.clone())
            }
        };
        let all = Signers::all(self.members.len());
        self.send(all, message);
        if !zoo::has(Bug::OwnVoteNotCounted) {
            self.inputs.push_back(Input::Own(vote));
        }
    }

    fn send(&mut self, to: Signers, message: Message) {
        let to = self.members.keys(to, self.me);
        if to.is_empty() {
            return;
        }
        let message = match message {
            Message::Propose(proposal) => self.with_payload(proposal),
            Message::Vote(_) | Message::Certificate(_) | Message::Want(_) => self.of_epoch(message),
        };
        self.out.effects.push(Effect::Send { to, message: Box::new(message) });
    }

    /// A proposal with what its header commits to, if that is here.
    fn with_payload(&self, proposal: Proposal) -> PeerMessage {
        let id = proposal.header.id();
        let payload: Option<Payload> = self.chain.get(&id).and_then(|block| block.payload.clone());
        match payload {
            Some(payload) => {
                let inline =
                    self.inline_of(&id).map(|bundle| quorate_primitives::bundle::Bundle::clone(&bundle));
                PeerMessage::Proposal { proposal, payload, inline }
            }
            None => self.of_epoch(Message::Propose(proposal)),
        }
    }

    fn of_epoch(&self, message: Message) -> PeerMessage {
        PeerMessage::Consensus { epoch: self.epoch(), message }
    }

    pub(crate) fn ban(&mut self, peer: PublicKey, reason: &'static str) {
        self.out.effects.push(Effect::Ban { peer, reason });
    }

    pub(crate) fn halt(&mut self, fault: Fault) {
        if self.fault.is_none() {
            self.fault = Some(fault.clone());
            self.out.effects.push(Effect::Halt(fault));
        }
    }

    /// Sets one of the replica's own timers, unless it is set for an earlier time already.
    pub(crate) fn arm_at(&mut self, timer: Timer, at: Timestamp) {
        let set = self.armed.get(&timer).copied();
        if set.is_some_and(|set| set <= at) {
            return;
        }
        self.armed.insert(timer, at);
        let after_ms = at.distance_from(self.now);
        self.out.effects.push(Effect::Arm { timer, after_ms });
    }
}
