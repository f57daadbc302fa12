//! Blocks of this replica's own turns, and bundles of its own clients' transactions.
//!
//! A proposal waits `min_interval` after its parent's, so that blocks are fuller under load, and
//! `idle_interval` when there is nothing to order; the first transaction on an idle chain waits for
//! nothing. Source: docs/protocol.md, sections 2.13 and 5.
use quorate_consensus::{Input, Parent};
use quorate_primitives::block::{BUNDLES_MAX, Header, PROTOCOL_VERSION};
use quorate_primitives::bundle::{BUNDLE_BYTES_TARGET, Bundle};
use quorate_primitives::signed::Verified;
use quorate_primitives::{Hash, View};
use std::collections::BTreeSet;

use crate::bundles::{SOURCE_BUNDLES_MAX, Source};
use crate::chain::{Block, Stage};
use crate::event::{Effect, Timer};
use crate::fetch::payload_of;
use crate::replica::Replica;

/// With more blocks above the last committed one than this, proposals are empty: execution or voting
/// does not keep up, and more transactions would only wait longer.
pub(crate) const BACKLOG_MAX: usize = 16;
/// Own bundles that may be on their way before the next one waits to be full.
const DEPARTED_SOON_MAX: usize = SOURCE_BUNDLES_MAX / 4;
/// Own bundles that may be on their way; more would be dropped by the others.
const DEPARTED_MAX: usize = SOURCE_BUNDLES_MAX / 2;
/// The author that a replica names which is no validator. Nothing is believed because of it.
const NO_AUTHOR: u8 = u8::MAX;

/// A block that the engine asked for.
#[derive(Clone, Debug)]
pub(crate) struct Building {
    view: View,
    parent: Parent,
    idle: bool,
}

impl Replica {
    /// Serves the engine's request for a block.
    pub(crate) fn build(&mut self, view: View, parent: Parent, idle: bool) {
        self.building = Some(Building { view, parent, idle });
        self.try_build();
    }

    /// Builds the block that was asked for, if its time has come.
    pub(crate) fn try_build(&mut self) {
        let Some(building) = self.building.clone() else { return };
        let Building { view, parent, idle } = building;
        if self.engine.view() != view {
            self.building = None;
            return;
        }
        if self.chain.place_of(&parent.block).is_none() {
            // The parent is certified, but this replica is behind: the turn is better given up.
            self.building = None;
            self.inputs.push_back(Input::Built { view, header: None });
            return;
        }
        // Without the bodies between, nobody can know what is listed already. They are on their way.
        let Some(listed) = self.chain.listed_from(&parent.block) else { return };
        let wait = self.wait_ms(&parent, idle, &listed);
        if wait > 0 {
            self.arm_at(Timer::Build, self.now.saturating_add(wait));
            return;
        }
        self.building = None;
        let bundles = self.choose(&parent.block, &listed, view);
        let header = self.assemble(view, &parent, bundles);
        self.inputs.push_back(Input::Built { view, header });
    }

    /// How long the block must wait still, in ms.
    fn wait_ms(&self, parent: &Parent, idle: bool, listed: &BTreeSet<Hash>) -> u64 {
        let seen = match self.chain.get(&parent.block) {
            Some(block) => block.seen,
            None => self.chain.tip().seen,
        };
        // A clock that was set back must not make the block wait for as long as it was ahead.
        let Some(seen) = seen.filter(|seen| *seen <= self.now) else { return 0 };
        let passed = self.now.distance_from(seen);
        let something = self.mempool.waiting_bytes() > 0 || self.bundles.any_beside(listed);
        let interval =
            if idle && !something { self.settings.idle_interval_ms } else { self.settings.min_interval_ms };
        interval.saturating_sub(passed)
    }

    /// The bundles of a block on this parent.
    fn choose(&mut self, parent: &Hash, listed: &BTreeSet<Hash>, view: View) -> Vec<Verified<Bundle>> {
        let backlog = self.chain.path(parent).map_or(0, |path| path.len());
        if backlog > BACKLOG_MAX {
            return Vec::new();
        }
        // The freshest transactions travel with the proposal, so nobody has to wait for them.
        let room_left = self.bundles.count_of(Source::Own) < SOURCE_BUNDLES_MAX;
        let inline = if room_left { self.make_bundle() } else { None };
        let inline_bytes = inline.as_ref().map_or(0, |bundle| bundle.size());
        let room = self.payload_bytes_max().saturating_sub(inline_bytes);
        let mut bundles = self.bundles.select(listed, room, BUNDLES_MAX.saturating_sub(1), view.get());
        for bundle in &bundles {
            // Its first proposal came to nothing, so some may not have it.
            if self.inline.remove(&bundle.id()) {
                self.out.effects.push(Effect::Gossip(bundle.clone()));
            }
        }
        if let Some(inline) = inline {
            self.inline.insert(inline.id());
            self.bundles.insert(inline.clone(), Source::Own);
            bundles.push(inline);
        }
        bundles
    }

    fn assemble(&mut self, view: View, parent: &Parent, bundles: Vec<Verified<Bundle>>) -> Option<Header> {
        let payload = payload_of(&bundles)?;
        let header = Header {
            chain: self.chain_id,
            version: PROTOCOL_VERSION,
            epoch: self.members.number(),
            view,
            height: parent.height.next(),
            parent_view: parent.view,
            parent: parent.block,
            time: self.now.max(parent.time.next()),
            proposer: self.me?,
            payload_root: payload.root(),
        };
        let id = header.id();
        self.pace.begin(view, self.now);
        let block: &mut Block = self.chain.enter(id, &header, Some(self.now))?;
        block.offer_payload(payload);
        bundles.iter().for_each(|bundle| {
            block.offer_bundle(bundle);
        });
        block.stage = Stage::Ready;
        Some(header)
    }

    /// A bundle of waiting transactions, if there are any.
    fn make_bundle(&mut self) -> Option<Verified<Bundle>> {
        let taken = self.mempool.take(BUNDLE_BYTES_TARGET);
        let accusations = self.take_accusations();
        self.sequence = self.sequence.saturating_add(1);
        Verified::from_verified(self.me.unwrap_or(NO_AUTHOR), self.sequence, &taken, accusations)
    }

    /// Sends waiting transactions to the others, if it is time.
    pub(crate) fn flush(&mut self) {
        while self.mempool.waiting_bytes() > 0 || self.accuses() {
            let departed = self.bundles.count_of(Source::Own);
            let full = self.mempool.waiting_bytes() >= BUNDLE_BYTES_TARGET;
            // Commits make room and call this again.
            if departed >= DEPARTED_MAX || (departed >= DEPARTED_SOON_MAX && !full) {
                return;
            }
            let passed = self.now.distance_from(self.departed);
            let clock_was_ahead = self.departed > self.now;
            let wait =
                if clock_was_ahead { 0 } else { self.settings.bundle_interval_ms.saturating_sub(passed) };
            if wait > 0 && !full {
                self.arm_at(Timer::Bundle, self.now.saturating_add(wait));
                return;
            }
            let Some(bundle) = self.make_bundle() else { return };
            self.departed = self.now;
            self.bundles.insert(bundle.clone(), Source::Own);
            self.out.effects.push(Effect::Gossip(bundle));
            self.note_pending();
        }
    }

    /// Tells the engine once that there is something to order that everybody knows of.
    pub(crate) fn note_pending(&mut self) {
        if !self.pending_told {
            self.pending_told = true;
            self.inputs.push_back(Input::Pending);
        }
    }

    /// The inline bundle of an own or a received block: the one that nobody can be expected to have.
    pub(crate) fn inline_of(&self, block: &Hash) -> Option<Verified<Bundle>> {
        let block = self.chain.get(block)?;
        let last = block.payload.as_ref()?.bundles.last()?;
        block.bundles.get(last).filter(|_| self.inline.contains(last)).cloned()
    }
}
