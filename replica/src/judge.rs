//! Which blocks deserve a vote: rules that need no account state, and no clock but for one bound.
//!
//! The verdict depends on the block, its ancestors and the parameters only, so all honest validators
//! agree on it. A block from the future is not invalid: it waits. Source: docs/protocol.md, 2.11.
use quorate_consensus::{Input, Verdict};
use quorate_primitives::block::{Header, PAYLOAD_BYTES_MAX, PROTOCOL_VERSION, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::signed::Verified;
use quorate_primitives::validators::Signers;
use quorate_primitives::zoo::{self, Bug};
use quorate_primitives::{Hash, PublicKey, Timestamp, View};
use std::collections::{BTreeMap, BTreeSet};

use crate::bundles::Source;
use crate::chain::{Block, Stage};
use crate::event::Timer;
use crate::replica::Replica;

/// Most proposals whose payload is kept until the engine asks for their judgement.
const OFFERS_MAX: usize = 64;
/// Proposals of one view that are kept: an honest leader makes one.
const OFFERS_PER_VIEW_MAX: usize = 2;
/// Proposals are kept for so many views ahead: a little more than the engine looks ahead.
const OFFER_VIEWS_AHEAD: u64 = 1_024;
/// Time that gossip is given before a missing bundle is asked for, in ms.
const GRACE_MS: u64 = 15;

/// What came with a proposal.
pub(crate) struct Offer {
    payload: Payload,
    inline: Option<Verified<Bundle>>,
}

/// Proposals that the engine has not asked about, by view and block.
pub(crate) type Offers = BTreeMap<(View, Hash), Offer>;

impl Replica {
    /// Keeps what a leader sent with its proposal, for when the engine asks.
    pub(crate) fn offer(
        &mut self,
        from: u8,
        header: &Header,
        payload: Payload,
        inline: Option<Verified<Bundle>>,
    ) {
        if from != header.proposer || !self.is_of_this_chain(header) {
            return;
        }
        if let Some(bundle) = &inline {
            self.take_bundle(bundle, Source::Validator(from));
        }
        let view = self.engine.view();
        let near =
            header.view >= view.saturating_sub(1) && header.view <= view.saturating_add(OFFER_VIEWS_AHEAD);
        let of_view = |(of, _): &&(View, Hash)| *of == header.view;
        let many = self.offers.keys().filter(of_view).count() >= OFFERS_PER_VIEW_MAX;
        if !near || many || payload.root() != header.payload_root {
            return;
        }
        self.offers.retain(|(of, _), _| *of >= view.saturating_sub(1));
        if self.offers.len() >= OFFERS_MAX {
            // The farthest ahead is needed last.
            self.offers.pop_last();
        }
        self.offers.entry((header.view, header.id())).or_insert(Offer { payload, inline });
    }

    /// Serves the engine's request to judge a block.
    pub(crate) fn judge(&mut self, header: &Header, holders: Signers) {
        let id = header.id();
        if !self.is_of_this_chain(header) {
            self.inputs.push_back(Input::Judged { block: id, verdict: Verdict::Invalid });
            return;
        }
        if header.height <= self.chain.tip().height {
            if self.reader.height_of(&id).ok().flatten().is_some() {
                self.inputs.push_back(Input::Judged { block: id, verdict: Verdict::Valid });
            }
            return;
        }
        self.pace.begin(header.view, self.now);
        let offer = self.offers.remove(&(header.view, id));
        let Some(block) = self.chain.enter(id, header, Some(self.now)) else { return };
        if let Some(Offer { payload, inline }) = offer {
            block.offer_payload(payload);
            inline.iter().for_each(|bundle| {
                block.offer_bundle(bundle);
            });
        }
        block.verdict = None;
        self.judging.insert(id);
        self.gather(id, holders, GRACE_MS);
        self.judge_open();
    }

    fn is_of_this_chain(&self, header: &Header) -> bool {
        header.chain == self.chain_id
            && header.version == PROTOCOL_VERSION
            && header.epoch == self.members.number()
            && header.proposer == self.members.leader(header.view)
    }

    /// Judges the blocks that can be judged now.
    pub(crate) fn judge_open(&mut self) {
        let mut later: Option<Timestamp> = None;
        for id in self.judging.clone() {
            let Some(block) = self.chain.get(&id) else {
                self.judging.remove(&id);
                continue;
            };
            match self.verdict_on(block) {
                Some(Ok(verdict)) => {
                    self.judging.remove(&id);
                    self.settle_verdict(id, verdict);
                }
                Some(Err(time)) => later = Some(later.map_or(time, |earlier| earlier.min(time))),
                None => {}
            }
        }
        if let Some(time) = later {
            self.arm_at(Timer::Judge, time);
        }
    }

    fn settle_verdict(&mut self, id: Hash, verdict: Verdict) {
        let mut outcome = None;
        if let Some(block) = self.chain.get_mut(&id) {
            block.verdict = Some(verdict);
            if verdict == Verdict::Valid {
                block.stage = Stage::Ready;
                outcome = block.executed.as_ref().map(|executed| executed.outcome().digest());
            }
        }
        self.inputs.push_back(Input::Judged { block: id, verdict });
        // A block that the vote log brought back was executed before the engine knew of it.
        self.inputs.extend(outcome.map(|outcome| Input::Executed { block: id, outcome }));
    }

    /// The verdict on a block; the time at which it can be judged if it comes from the future; `None`
    /// while something is missing that the verdict depends on.
    fn verdict_on(&self, block: &Block) -> Option<Result<Verdict, Timestamp>> {
        if block.stage == Stage::Incomplete {
            return None;
        }
        let header = &block.header;
        let payload = block.payload.as_ref()?;
        let (parent_height, parent_time) = self.chain.place_of(&header.parent)?;
        let before = self.chain.listed_before(&header.parent)?;
        let listed: BTreeSet<Hash> = payload.bundles.iter().copied().collect();
        let bytes = block.bundles.values().fold(0_usize, |sum, bundle| sum.saturating_add(bundle.size()));
        let sound = header.height == parent_height.next()
            && header.time > parent_time
            && listed.len() == payload.bundles.len()
            && listed.is_disjoint(&before)
            && bytes <= self.payload_bytes_max();
        if !sound {
            return Some(Ok(Verdict::Invalid));
        }
        let earliest = header.time.saturating_sub(self.parameters.clock_bound_ms);
        if earliest > self.now && !zoo::has(Bug::FutureBlocks) {
            return Some(Err(earliest));
        }
        Some(Ok(Verdict::Valid))
    }

    /// Most bytes of bundles in a block.
    pub(crate) fn payload_bytes_max(&self) -> usize {
        usize::try_from(self.parameters.payload_bytes_max).unwrap_or(PAYLOAD_BYTES_MAX).min(PAYLOAD_BYTES_MAX)
    }

    /// Takes a bundle that came from a peer or with a proposal.
    pub(crate) fn take_bundle(&mut self, bundle: &Verified<Bundle>, source: Source) {
        self.offer_to_blocks(bundle);
        if self.chain.recent_height(&bundle.id()).is_some() {
            return;
        }
        self.bundles.insert(bundle.clone(), source);
        self.note_pending();
    }

    /// Which share of the room for bundles a peer's bundles take.
    pub(crate) fn source_of(&self, from: Option<PublicKey>) -> Source {
        from.and_then(|key| self.members.index_of(&key)).map_or(Source::Others, Source::Validator)
    }
}
