//! Obtaining blocks and bundles that others have: one question at a time for each block, the likeliest
//! holders first, then everybody, until it is here or no longer wanted.
use quorate_consensus::Input;
use quorate_primitives::block::{BUNDLES_MAX, Header, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::codec::List;
use quorate_primitives::signed::Verified;
use quorate_primitives::validators::Signers;
use quorate_primitives::{Hash, Height, PublicKey, Timestamp};
use std::collections::BTreeMap;

use crate::chain::Stage;
use crate::event::{Effect, Timer};
use crate::replica::Replica;
use crate::wire::{Question, VerifiedAnswer};

/// Most blocks that are wanted at a time.
const WANTS_MAX: usize = 128;
/// A block is no longer wanted when so many were committed since.
const WANT_HEIGHTS: u64 = 64;
/// Most questions whose answers are still waited for; the oldest are given up.
const REQUESTS_MAX: usize = 256;
/// Time that gossip is given before a missing bundle is asked for, in ms: it is usually on its way.
const GRACE_MS: u64 = 15;

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To complete this block.
    Block(Hash),
    /// To catch up.
    Sync,
    /// To know where others stand.
    Standing,
}

/// Open questions, and blocks that are not complete.
#[derive(Default)]
pub(crate) struct Fetches {
    wants: BTreeMap<Hash, Want>,
    next_want: u64,
    requests: BTreeMap<u64, (PublicKey, Purpose)>,
    next_request: u64,
}

struct Want {
    holders: Signers,
    cursor: usize,
    next_at: Timestamp,
    /// The engine waits for the header.
    announce: bool,
    /// Counts wants: of too many, the oldest are given up.
    number: u64,
    /// Height of the last committed block when it was first wanted.
    born: Height,
}

impl Fetches {
    /// Wants a block. The engine asks again for what it still needs of those that are given up.
    fn add(&mut self, block: Hash, want: Want) {
        if self.wants.len() >= WANTS_MAX {
            let oldest = self.wants.iter().min_by_key(|(_, want)| (want.announce, want.number));
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.wants.remove(&oldest);
            }
        }
        let number = self.next_want;
        self.next_want = number.saturating_add(1);
        self.wants.insert(block, Want { number, ..want });
    }

    /// Opens a question.
    pub(crate) fn request(&mut self, peer: PublicKey, purpose: Purpose) -> u64 {
        if self.requests.len() >= REQUESTS_MAX {
            self.requests.pop_first();
        }
        let request = self.next_request;
        self.next_request = request.saturating_add(1);
        self.requests.insert(request, (peer, purpose));
        request
    }

    /// Closes a question, if it was asked of this peer and is still open.
    pub(crate) fn close(&mut self, request: u64, peer: &PublicKey) -> Option<Purpose> {
        let (asked, purpose) = self.requests.get(&request).copied()?;
        if asked != *peer {
            return None;
        }
        self.requests.remove(&request);
        Some(purpose)
    }

    /// When the next question is due.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.wants.values().map(|want| want.next_at).min()
    }

    /// The block is complete, or nobody needs it any more. True if the engine waits for its header.
    pub(crate) fn drop_want(&mut self, block: &Hash) -> bool {
        self.wants.remove(block).is_some_and(|want| want.announce)
    }

    /// Wants no block any more: another epoch begins.
    pub(crate) fn forget_blocks(&mut self) {
        self.wants.clear();
    }

    /// A clock that was set back must not put questions off for as long as it was ahead.
    fn not_later_than(&mut self, latest: Timestamp) {
        for want in self.wants.values_mut() {
            want.next_at = want.next_at.min(latest);
        }
    }
}

impl Replica {
    /// Serves the engine's request for the header of a certified block.
    pub(crate) fn fetch(&mut self, block: Hash, holders: Signers) {
        if let Some(open) = self.chain.get_mut(&block) {
            open.certified = true;
            let header = open.header.clone();
            self.inputs.push_back(Input::Fetched { header });
            self.gather(block, holders, GRACE_MS);
            return;
        }
        if let Some(header) = self.committed_header(&block) {
            self.inputs.push_back(Input::Fetched { header });
            return;
        }
        self.want(block, holders, 0);
        if let Some(want) = self.fetches.wants.get_mut(&block) {
            want.announce = true;
        }
    }

    fn committed_header(&self, block: &Hash) -> Option<Header> {
        let height = self.reader.height_of(block).ok().flatten()?;
        self.reader.block(height).ok().flatten().map(|stored| stored.header)
    }

    fn want(&mut self, block: Hash, holders: Signers, delay_ms: u64) {
        let next_at = self.now.saturating_add(delay_ms);
        if let Some(want) = self.fetches.wants.get_mut(&block) {
            want.holders = want.holders.union(holders);
            return;
        }
        let born = self.chain.tip().height;
        self.fetches.add(block, Want { holders, cursor: 0, next_at, announce: false, number: 0, born });
    }

    /// Puts together what is here of a block, and wants the rest.
    pub(crate) fn gather(&mut self, id: Hash, holders: Signers, delay_ms: u64) {
        let Some(block) = self.chain.get_mut(&id) else { return };
        if block.stage > Stage::Incomplete {
            self.completed(id);
            return;
        }
        let missing = block.missing();
        for bundle in missing.iter().flatten() {
            if let Some(held) = self.bundles.get(bundle) {
                block.offer_bundle(held);
            }
        }
        if block.missing().is_some_and(|missing| missing.is_empty()) {
            block.stage = Stage::Complete;
            self.completed(id);
        } else {
            self.want(id, holders, delay_ms);
        }
    }

    /// A block is complete: it may be judged, executed or built on.
    fn completed(&mut self, id: Hash) {
        self.fetches.drop_want(&id);
        if let Some(block) = self.chain.get_mut(&id)
            && block.certified
        {
            block.stage = Stage::Ready;
        }
        self.judge_open();
        self.try_build();
    }

    /// Gives a bundle that just came to the blocks that lack it.
    pub(crate) fn offer_to_blocks(&mut self, bundle: &Verified<Bundle>) {
        let mut complete = Vec::new();
        for (id, block) in self.chain.blocks_mut() {
            let waits = block.stage == Stage::Incomplete && !block.bundles.contains_key(&bundle.id());
            if waits
                && block.offer_bundle(bundle)
                && block.missing().is_some_and(|missing| missing.is_empty())
            {
                block.stage = Stage::Complete;
                complete.push(*id);
            }
        }
        complete.into_iter().for_each(|id| self.completed(id));
    }

    /// Asks what is due.
    pub(crate) fn ask_due(&mut self) {
        let tip = self.chain.tip().height;
        let now = self.now;
        let due: Vec<Hash> =
            self.fetches.wants.iter().filter(|(_, want)| want.next_at <= now).map(|(id, _)| *id).collect();
        for id in due {
            let Some(want) = self.fetches.wants.get(&id) else { continue };
            // So far behind the last committed block, nobody needs it and soon nobody has it.
            let stale = tip.distance_from(want.born) > WANT_HEIGHTS;
            let question = match self.chain.get(&id) {
                _ if stale => None,
                Some(block) if block.header.height <= tip || block.stage > Stage::Incomplete => None,
                Some(block) => match block.missing() {
                    Some(missing) => List::new(missing).ok().map(Question::Bundles),
                    None => Some(Question::Block(id)),
                },
                // It was in the tree, and its branch can no longer become final.
                None if !want.announce => None,
                None if self.reader.height_of(&id).ok().flatten().is_some() => None,
                None => Some(Question::Block(id)),
            };
            let Some(question) = question else {
                let header = self.committed_header(&id);
                if self.fetches.drop_want(&id) {
                    self.inputs.extend(header.map(|header| Input::Fetched { header }));
                }
                continue;
            };
            let Some(want) = self.fetches.wants.get_mut(&id) else { continue };
            want.next_at = now.saturating_add(self.settings.ask_timeout_ms.max(1));
            let candidates = self.members.candidates(want.holders, self.me, &self.connected);
            let chosen = want.cursor.checked_rem(candidates.len()).and_then(|at| candidates.get(at));
            want.cursor = want.cursor.wrapping_add(1);
            let Some(to) = chosen.copied() else { continue };
            let request = self.fetches.request(to, Purpose::Block(id));
            self.out.effects.push(Effect::Ask { request, to, question });
        }
    }

    /// Takes the answer to a question about one block.
    pub(crate) fn block_answered(&mut self, id: Hash, from: PublicKey, answer: Option<VerifiedAnswer>) {
        match answer {
            Some(VerifiedAnswer::Bundles(bundles)) => {
                bundles.iter().for_each(|bundle| self.offer_to_blocks(bundle))
            }
            Some(VerifiedAnswer::Block { header, bundles }) => self.take_block(id, from, &header, &bundles),
            Some(VerifiedAnswer::Blocks(_) | VerifiedAnswer::Standing { .. }) => {
                self.ban(from, "answered another question");
            }
            Some(VerifiedAnswer::Unknown) | None => {}
        }
        // Whatever is still missing is asked of the next one soon, not at once: nobody may have it yet.
        let soon = self.now.saturating_add(self.settings.ask_timeout_ms / 8).saturating_add(1);
        if let Some(want) = self.fetches.wants.get_mut(&id) {
            want.next_at = want.next_at.min(soon);
        }
    }

    fn take_block(&mut self, id: Hash, from: PublicKey, header: &Header, bundles: &[Verified<Bundle>]) {
        let Some(payload) = payload_of(bundles).filter(|payload| payload.root() == header.payload_root)
        else {
            self.ban(from, "answered with bundles that are not the block's");
            return;
        };
        if header.id() != id {
            self.ban(from, "answered with another block");
            return;
        }
        let Some(want) = self.fetches.wants.get(&id) else { return };
        let (holders, announce) = (want.holders, want.announce);
        let seen = Some(self.now);
        let Some(block) = self.chain.enter(id, header, seen) else {
            // Committed meanwhile, or of a branch that can no longer become final.
            if self.fetches.drop_want(&id) {
                self.inputs.push_back(Input::Fetched { header: header.clone() });
            }
            return;
        };
        block.certified |= announce;
        block.offer_payload(payload);
        bundles.iter().for_each(|bundle| {
            block.offer_bundle(bundle);
        });
        if announce {
            self.inputs.push_back(Input::Fetched { header: header.clone() });
        }
        self.gather(id, holders, 0);
    }

    /// Sets the timer for the next question.
    pub(crate) fn arm_fetch(&mut self) {
        self.fetches.not_later_than(self.now.saturating_add(self.settings.ask_timeout_ms.max(1)));
        if let Some(due) = self.fetches.due() {
            self.arm_at(Timer::Fetch, due);
        }
    }
}

/// The payload that these bundles make up, if a block may have so many.
pub(crate) fn payload_of(bundles: &[Verified<Bundle>]) -> Option<Payload> {
    let ids: Vec<Hash> = bundles.iter().map(|bundle| bundle.id()).collect();
    List::<Hash, 0, BUNDLES_MAX>::new(ids).ok().map(|bundles| Payload { bundles })
}
