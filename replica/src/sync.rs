//! Catching up: asking peers for committed blocks, one answer at a time.
//!
//! An answer is believed only as far as a finalize certificate reaches: its blocks must follow one
//! another from the last committed block, and what they did, executed here, must be what a quorum
//! signed. Blocks behind the last certificate wait for the next answer of the same peer. Peers whose
//! answers are wrong are banned, those without anything new are asked again later.
use quorate_ledger::Executed;
use quorate_primitives::block::{PAYLOAD_BYTES_MAX, PROTOCOL_VERSION};
use quorate_primitives::certificate::{Certificate, Claim};
use quorate_primitives::validators::Signers;
use quorate_primitives::zoo::{self, Bug};
use quorate_primitives::{EpochNumber, Hash, Height, PublicKey, Timestamp};

use crate::answer::Fault;
use crate::event::{CheckTicket, Effect, Timer};
use crate::fetch::{Purpose, payload_of};
use crate::propose::BACKLOG_MAX;
use crate::replica::Replica;
use crate::wire::{Question, VerifiedAnswer, VerifiedSyncBlock};

/// Most bytes of blocks that wait for a certificate.
const BUFFER_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Most blocks that wait for a certificate.
const BUFFER_BLOCKS_MAX: usize = 8_192;
/// Bytes of a block beside its bundles, rounded up.
const HEADER_BYTES: usize = 512;

// Honest leaders propose full blocks until a backlog waits to be final, and faulty ones lead at most every
// third view: whoever gives such a run without a certificate is honest.
const _: () = assert!((BACKLOG_MAX + 1) * (PAYLOAD_BYTES_MAX + HEADER_BYTES) / 2 * 3 <= BUFFER_BYTES_MAX);

/// Shortest time between two questions, in ms: others need a moment to commit what was just finalized.
const PAUSE_MS: u64 = 20;

/// What catching up is waiting for.
#[derive(Default)]
pub(crate) struct Sync {
    /// The open question.
    asked: Option<(u64, PublicKey)>,
    /// When to give up on it, or when to ask next.
    due: Option<Timestamp>,
    /// Blocks that follow one another from the last committed one and are not certified yet.
    buffer: Vec<VerifiedSyncBlock>,
    buffer_bytes: usize,
    /// Who gave them.
    giver: Option<PublicKey>,
    /// Since when blocks wait for a certificate.
    waiting: Option<Timestamp>,
    /// The certificate of the last buffered block that is being checked.
    checking: Option<(u64, EpochNumber, Certificate)>,
    next_ticket: u64,
    cursor: usize,
    /// The last answer brought something.
    fruitful: bool,
    /// Somebody spoke of a later epoch since the last question.
    heard_later: bool,
}

impl Sync {
    /// Whether blocks are being obtained from a peer.
    pub(crate) fn is_active(&self) -> bool {
        self.fruitful || self.checking.is_some() || !self.buffer.is_empty()
    }

    /// Another epoch begins: what was obtained of the one before is of no use, and whoever had that has
    /// more.
    pub(crate) fn begin_epoch(&mut self) {
        let (giver, fruitful) = (self.giver, self.fruitful);
        self.reset();
        (self.giver, self.fruitful) = (giver, fruitful);
    }

    /// Forgets what was obtained and not adopted.
    fn reset(&mut self) {
        self.buffer.clear();
        self.buffer_bytes = 0;
        self.giver = None;
        self.waiting = None;
        self.checking = None;
        self.fruitful = false;
    }
}

impl Replica {
    /// Something final is missing: asks before long, unless it arrives by itself.
    pub(crate) fn sync_soon(&mut self) {
        let soon = self.now.saturating_add((self.settings.ask_timeout_ms / 4).max(PAUSE_MS));
        if self.sync.asked.is_none() && self.sync.due.is_none_or(|due| due > soon) {
            self.sync_at(soon);
        }
    }

    /// Somebody speaks of a later epoch, so this one is over: asks before long. That nobody has proven it
    /// costs one question.
    pub(crate) fn sync_into_later_epoch(&mut self) {
        self.sync.heard_later = true;
        self.sync_soon();
    }

    fn sync_at(&mut self, due: Timestamp) {
        self.sync.due = Some(due);
        self.arm_at(Timer::Sync, due);
    }

    /// The time between two looks whether others are ahead, in ms.
    fn sync_interval_ms(&self) -> u64 {
        if self.me.is_some() { self.settings.sync_interval_ms } else { self.settings.idle_interval_ms }
            .max(PAUSE_MS)
    }

    /// The time that a peer is given for an answer, in ms: a full one takes longer than others.
    fn patience_ms(&self) -> u64 {
        self.settings.ask_timeout_ms.saturating_mul(10).max(PAUSE_MS)
    }

    /// The timer of catching up fired.
    pub(crate) fn sync_due(&mut self) {
        if self.sync.checking.is_some() || zoo::has(Bug::CatchingUpOff) {
            return;
        }
        // A time farther away than any that is ever set was set before the clock jumped back.
        let farthest = self.now.saturating_add(self.sync_interval_ms().max(self.patience_ms()));
        if let Some(due) = self.sync.due.filter(|due| *due > self.now && *due <= farthest) {
            return self.arm_at(Timer::Sync, due);
        }
        if self.sync.asked.take().is_some() {
            // No answer in time: the next one is asked from the start.
            self.sync.reset();
        }
        let interval = self.sync_interval_ms();
        // A clock that was set back tells nothing about when the chain advanced.
        let lately = self.advanced <= self.now && self.now.distance_from(self.advanced) < interval;
        let stalled = !lately || self.me.is_none();
        let behind = self.target().is_some() && self.chain.next_to_execute().is_none();
        if behind || stalled || self.sync.heard_later || self.sync.is_active() {
            self.sync_ask();
        } else {
            self.sync_at(self.now.saturating_add(interval));
        }
    }

    fn sync_ask(&mut self) {
        self.sync.heard_later = false;
        let signers = self.target().map_or(Signers::NONE, |target| target.signers);
        let candidates = self.members.candidates(signers, self.me, &self.connected);
        // An honest giver ends its answers with a certificate. Who gives blocks without end and proves
        // nothing must not keep this replica from asking others.
        let longest = self.patience_ms().saturating_mul(2);
        let is_patient = |since: Timestamp| since <= self.now && self.now.distance_from(since) <= longest;
        let in_time = self.sync.waiting.is_none_or(is_patient);
        let same = self.sync.giver.filter(|giver| in_time && self.connected.contains(giver));
        if same.is_none() {
            self.sync.reset();
        }
        let next = self.sync.cursor.checked_rem(candidates.len()).and_then(|at| candidates.get(at)).copied();
        let Some(to) = same.or(next) else {
            let interval = self.sync_interval_ms();
            return self.sync_at(self.now.saturating_add(interval));
        };
        self.sync.cursor = self.sync.cursor.wrapping_add(1);
        let last = self.sync.buffer.last().map_or(self.chain.tip().height, |block| block.header.height);
        let request = self.fetches.request(to, Purpose::Sync);
        self.sync.asked = Some((request, to));
        self.out.effects.push(Effect::Ask { request, to, question: Question::Blocks { from: last.next() } });
        self.sync_at(self.now.saturating_add(self.patience_ms()));
    }

    /// Takes the answer to a question for blocks.
    pub(crate) fn sync_answered(&mut self, request: u64, from: PublicKey, answer: Option<VerifiedAnswer>) {
        if self.sync.asked != Some((request, from)) {
            return;
        }
        self.sync.asked = None;
        let pause = self.now.saturating_add(PAUSE_MS);
        match answer {
            Some(VerifiedAnswer::Blocks(blocks)) if !blocks.is_empty() => self.take_blocks(from, blocks),
            Some(VerifiedAnswer::Blocks(_) | VerifiedAnswer::Unknown) | None => self.sync_rest(),
            Some(
                VerifiedAnswer::Bundles(_) | VerifiedAnswer::Block { .. } | VerifiedAnswer::Standing { .. },
            ) => {
                self.ban(from, "answered another question");
                self.sync.reset();
                self.sync_at(pause);
            }
        }
    }

    /// The peer has nothing new. Perhaps another one has, if something is known to be missing.
    fn sync_rest(&mut self) {
        self.sync.reset();
        let wait = if self.target().is_some() { PAUSE_MS } else { self.sync_interval_ms() };
        self.sync_at(self.now.saturating_add(wait));
    }

    fn take_blocks(&mut self, from: PublicKey, blocks: Vec<VerifiedSyncBlock>) {
        let tip = self.chain.tip();
        let (mut parent, mut height, mut time) = (tip.block, tip.height, tip.time);
        // The chain may have advanced while the answer was on its way.
        self.sync.buffer.retain(|block| block.header.height > height);
        if let Some(last) = self.sync.buffer.last() {
            (parent, height, time) = (last.header.id(), last.header.height, last.header.time);
        }
        let first = self.sync.buffer.first().map_or(self.chain.tip().block, |block| block.header.parent);
        let continues = self.sync.buffer.is_empty() || first == self.chain.tip().block;
        let mut sound = continues;
        let known = height;
        let before = self.sync.buffer.len();
        for block in blocks.into_iter().filter(|block| block.header.height > known) {
            if !self.follows(&block, parent, height, time) {
                sound = false;
                break;
            }
            (parent, height, time) = (block.header.id(), block.header.height, block.header.time);
            let bytes =
                block.bundles.iter().fold(HEADER_BYTES, |sum, bundle| sum.saturating_add(bundle.size()));
            self.sync.buffer_bytes = self.sync.buffer_bytes.saturating_add(bytes);
            self.sync.buffer.push(block);
        }
        let full = self.sync.buffer_bytes > BUFFER_BYTES_MAX || self.sync.buffer.len() > BUFFER_BLOCKS_MAX;
        if !sound || full {
            self.ban(from, "sent blocks that do not follow one another or lead nowhere");
            self.sync.reset();
            return self.sync_at(self.now.saturating_add(PAUSE_MS));
        }
        if self.sync.buffer.len() == before {
            return self.sync_rest();
        }
        self.sync.giver = Some(from);
        self.sync.waiting.get_or_insert(self.now);
        self.sync.fruitful = true;
        self.check_buffer(from);
    }

    fn follows(&self, block: &VerifiedSyncBlock, parent: Hash, height: Height, time: Timestamp) -> bool {
        let header = &block.header;
        header.chain == self.chain_id
            && header.version == PROTOCOL_VERSION
            && header.epoch == self.members.number()
            && header.parent == parent
            && header.height == height.next()
            && header.time > time
            && payload_of(&block.bundles).is_some_and(|payload| payload.root() == header.payload_root)
    }

    /// Has the last certificate in the buffer checked, or asks for more if there is none.
    fn check_buffer(&mut self, from: PublicKey) {
        let last = self.sync.buffer.iter().rev().find_map(|block| block.certificate.clone());
        let Some(certificate) = last else { return self.sync_ask() };
        let checks = certificate.signature_checks(&self.members.0.context, &self.members.0.validators);
        let Ok(checks) = checks else {
            self.ban(from, "sent a certificate that is none");
            self.sync.reset();
            return self.sync_at(self.now.saturating_add(PAUSE_MS));
        };
        let ticket = self.sync.next_ticket;
        self.sync.next_ticket = ticket.saturating_add(1);
        self.sync.checking = Some((ticket, self.epoch(), certificate));
        self.out.effects.push(Effect::Check { ticket: CheckTicket::Sync(ticket), checks });
    }

    /// The signatures of the certificate were checked.
    pub(crate) fn sync_checked(&mut self, ticket: u64, valid: bool) {
        if self.sync.checking.as_ref().is_none_or(|(expected, _, _)| *expected != ticket) {
            return;
        }
        let Some((_, epoch, certificate)) = self.sync.checking.take() else { return };
        if epoch != self.epoch() {
            // The epoch ended by itself meanwhile, and with it what the certificate is about.
            self.sync.reset();
            return self.sync_at(self.now);
        }
        let giver = self.sync.giver;
        if (!valid && !zoo::has(Bug::SyncUnverified)) || !self.adopt(&certificate) {
            if let Some(giver) = giver.filter(|_| self.fault.is_none()) {
                self.ban(giver, "sent a false certificate");
            }
            self.sync.reset();
            return self.sync_at(self.now.saturating_add(PAUSE_MS));
        }
        // The engine learns where the others are. It holds nobody to account for a valid certificate.
        let sender = giver.and_then(|key| self.members.index_of(&key));
        let sender = sender.or_else(|| certificate.signers.iter().find(|signer| Some(*signer) != self.me));
        if let Some(from) = sender {
            self.hear_certificate(epoch, from, certificate);
        }
        self.try_commit();
        self.judge_open();
        self.try_build();
        self.sync_at(self.now);
    }

    /// Executes and commits the buffered blocks up to the one that a verified certificate names. False
    /// if the certificate is about something else.
    fn adopt(&mut self, certificate: &Certificate) -> bool {
        let Claim::Finalize { block: target, outcome: theirs, view } = certificate.claim else {
            return false;
        };
        let Some(end) = self.sync.buffer.iter().position(|block| block.header.id() == target) else {
            return false;
        };
        if self.sync.buffer.get(end).is_none_or(|block| block.header.view > view) {
            return false;
        }
        self.sync.waiting = None;
        let rest = self.sync.buffer.split_off(end.saturating_add(1));
        let blocks = std::mem::replace(&mut self.sync.buffer, rest);
        let bytes =
            |block: &VerifiedSyncBlock| block.bundles.iter().map(|bundle| bundle.size()).sum::<usize>();
        self.sync.buffer_bytes = self.sync.buffer.iter().map(bytes).sum();
        let before = self.out.effects.len();
        let adopted = self.commit_up_to(blocks, target, theirs, certificate);
        // The vote log does not hold these bodies, so the ledger must before anybody is told.
        if self.fault.is_none()
            && let Err(error) = self.ledger.sync()
        {
            self.halt(Fault::Storage { reason: error.to_string() });
        }
        if self.fault.is_some() {
            let made = self.out.effects.split_off(before);
            let untold = made.into_iter().filter(|effect| !matches!(effect, Effect::Committed(_)));
            self.out.effects.extend(untold);
        }
        adopted && self.fault.is_none()
    }

    /// Executes and commits blocks, the last of which is the certified one. False if they are not those of
    /// the chain, or if the replica has stopped.
    fn commit_up_to(
        &mut self,
        blocks: Vec<VerifiedSyncBlock>,
        target: Hash,
        theirs: Hash,
        certificate: &Certificate,
    ) -> bool {
        for block in blocks {
            let id = block.header.id();
            if block.header.height <= self.chain.tip().height {
                continue;
            }
            if block.header.parent != self.chain.tip().block {
                // The chain advanced by itself meanwhile, and not along these blocks.
                return false;
            }
            let known = self.chain.get(&id).and_then(|open| open.executed.clone());
            let executed: Executed = match known {
                Some(executed) => executed,
                None => self.ledger.execute(self.ledger.head(), &block.header, &block.bundles),
            };
            let ours = executed.outcome().digest();
            if id == target && ours != theirs {
                self.halt(Fault::Diverged { height: block.header.height, block: id, ours, theirs });
                return false;
            }
            let own = (id == target).then(|| certificate.clone());
            if !self.commit(executed, block.bundles, own, None) {
                return false;
            }
        }
        true
    }
}
