//! The tree of blocks above the last committed one, and what must be remembered of those below.
use quorate_consensus::Verdict;
use quorate_ledger::Executed;
use quorate_primitives::block::{Header, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::signed::Verified;
use quorate_primitives::{Hash, Height, Timestamp, View};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Most blocks above the last committed one. Only certified blocks and the proposals of leaders get
/// here, and without a finalization in so many views the network is broken for other reasons.
const OPEN_BLOCKS_MAX: usize = 512;
/// A block lists no bundle that one of its last so many ancestors lists: a rule of validity, so it
/// may not depend on what a replica has committed.
const REPEAT_WINDOW: usize = 8;
/// Committed blocks whose bundles are remembered, so that a bundle that comes late is not kept and one
/// that is asked for late is found.
const RECENT_BLOCKS: usize = 128;

/// How far a block above the last committed one has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Its bundles are not all here.
    Incomplete,
    /// All bundles are here; it may not be executed yet.
    Complete,
    /// It was judged valid, built here or certified: it is to be executed after its parent.
    Ready,
}

/// A block above the last committed one.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) header: Header,
    /// Ids of its bundles, once known.
    pub(crate) payload: Option<Payload>,
    /// The bundles that are here, by id.
    pub(crate) bundles: BTreeMap<Hash, Verified<Bundle>>,
    pub(crate) stage: Stage,
    pub(crate) executed: Option<Executed>,
    /// When this replica first knew of it; `None` if it was restored.
    pub(crate) seen: Option<Timestamp>,
    /// Whether the vote log holds its body.
    pub(crate) recorded: bool,
    /// Whether a quorum certified it, so that nobody needs to judge it before it is executed.
    pub(crate) certified: bool,
    /// What was found when it was judged.
    pub(crate) verdict: Option<Verdict>,
}

impl Block {
    /// A block of which only the header is here.
    pub(crate) fn new(header: Header, seen: Option<Timestamp>) -> Self {
        Self {
            header,
            payload: None,
            bundles: BTreeMap::new(),
            stage: Stage::Incomplete,
            executed: None,
            seen,
            recorded: false,
            certified: false,
            verdict: None,
        }
    }

    /// Ids of the bundles that are not here; `None` while the ids are unknown.
    pub(crate) fn missing(&self) -> Option<Vec<Hash>> {
        let payload = self.payload.as_ref()?;
        Some(payload.bundles.iter().filter(|id| !self.bundles.contains_key(*id)).copied().collect())
    }

    /// All bundles in the order of the payload, if they are here.
    pub(crate) fn body(&self) -> Option<Vec<Verified<Bundle>>> {
        let payload = self.payload.as_ref()?;
        payload.bundles.iter().map(|id| self.bundles.get(id).cloned()).collect()
    }

    /// Takes the ids of the bundles, if they are what the header commits to.
    pub(crate) fn offer_payload(&mut self, payload: Payload) -> bool {
        if self.payload.is_none() && payload.root() == self.header.payload_root {
            self.payload = Some(payload);
        }
        self.payload.is_some()
    }

    /// Takes a bundle if the block lists it.
    pub(crate) fn offer_bundle(&mut self, bundle: &Verified<Bundle>) -> bool {
        let listed = self.payload.as_ref().is_some_and(|payload| payload.bundles.contains(&bundle.id()));
        if listed {
            self.bundles.insert(bundle.id(), bundle.clone());
        }
        listed
    }
}

/// What the blocks above it need to know of the last committed block.
#[derive(Clone, Debug)]
pub(crate) struct Tip {
    pub(crate) block: Hash,
    pub(crate) height: Height,
    pub(crate) view: View,
    pub(crate) time: Timestamp,
    pub(crate) seen: Option<Timestamp>,
}

/// The tree.
pub(crate) struct Chain {
    tip: Tip,
    blocks: BTreeMap<Hash, Block>,
    /// Payloads of the last committed blocks, the newest last.
    recent: VecDeque<(Height, Vec<Hash>)>,
    recent_bundles: BTreeMap<Hash, Height>,
}

impl Chain {
    /// The tree above a committed block, with nothing in it.
    pub(crate) fn new(tip: Tip) -> Self {
        Self { tip, blocks: BTreeMap::new(), recent: VecDeque::new(), recent_bundles: BTreeMap::new() }
    }

    /// The last committed block.
    pub(crate) fn tip(&self) -> &Tip {
        &self.tip
    }

    /// Number of blocks above the last committed one.
    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// A block above the last committed one.
    pub(crate) fn get(&self, id: &Hash) -> Option<&Block> {
        self.blocks.get(id)
    }

    /// A block above the last committed one.
    pub(crate) fn get_mut(&mut self, id: &Hash) -> Option<&mut Block> {
        self.blocks.get_mut(id)
    }

    /// All blocks above the last committed one.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (&Hash, &Block)> {
        self.blocks.iter()
    }

    /// All blocks above the last committed one.
    pub(crate) fn blocks_mut(&mut self) -> impl Iterator<Item = (&Hash, &mut Block)> {
        self.blocks.iter_mut()
    }

    /// Adds a block that the vote log brought back. Such blocks are not counted: the log bounds them.
    pub(crate) fn restore(&mut self, id: Hash, block: Block) {
        if block.header.height > self.tip.height {
            self.blocks.insert(id, block);
        }
    }

    /// The block with this header, added if it is above the last committed one and there is room.
    pub(crate) fn enter(&mut self, id: Hash, header: &Header, seen: Option<Timestamp>) -> Option<&mut Block> {
        if header.height <= self.tip.height {
            return None;
        }
        if self.blocks.len() >= OPEN_BLOCKS_MAX && !self.blocks.contains_key(&id) {
            // Views were given up one after the other. What no quorum certified in a view long left is
            // not needed; if it ever is, it is fetched again.
            let loose = self.blocks.iter().filter(|(_, block)| !block.certified);
            let oldest = loose.min_by_key(|(id, block)| (block.header.view, **id)).map(|(id, _)| *id)?;
            self.blocks.remove(&oldest);
        }
        Some(self.blocks.entry(id).or_insert_with(|| Block::new(header.clone(), seen)))
    }

    /// Height and time of a block, if it is the last committed one or above it.
    pub(crate) fn place_of(&self, id: &Hash) -> Option<(Height, Timestamp)> {
        if *id == self.tip.block {
            return Some((self.tip.height, self.tip.time));
        }
        self.blocks.get(id).map(|block| (block.header.height, block.header.time))
    }

    /// The path from the last committed block, itself excluded, to this one, lowest first; `None` if a
    /// header on the way is missing or the path leads elsewhere.
    pub(crate) fn path(&self, id: &Hash) -> Option<Vec<Hash>> {
        let mut path = Vec::new();
        let mut at = *id;
        while at != self.tip.block {
            let block = self.blocks.get(&at)?;
            path.push(at);
            at = block.header.parent;
            // Heights fall by one with each step, or the headers lie about them.
            if path.len() > self.blocks.len() {
                return None;
            }
        }
        path.reverse();
        Some(path)
    }

    /// Bundles that a child of this block may not list, because one of its last ancestors does; `None`
    /// while that is not known.
    pub(crate) fn listed_before(&self, parent: &Hash) -> Option<BTreeSet<Hash>> {
        let path = self.path(parent)?;
        let mut listed = BTreeSet::new();
        let mut depth = 0_usize;
        for id in path.iter().rev().take(REPEAT_WINDOW) {
            listed.extend(self.blocks.get(id)?.payload.as_ref()?.bundles.iter().copied());
            depth = depth.saturating_add(1);
        }
        for (_, bundles) in self.recent.iter().rev().take(REPEAT_WINDOW.saturating_sub(depth)) {
            listed.extend(bundles.iter().copied());
        }
        Some(listed)
    }

    /// Bundles that all open ancestors from this block down list, and the recently committed ones: what
    /// a proposer leaves out.
    pub(crate) fn listed_from(&self, parent: &Hash) -> Option<BTreeSet<Hash>> {
        let mut listed = self.listed_before(parent)?;
        for id in self.path(parent)? {
            listed.extend(self.blocks.get(&id)?.payload.as_ref()?.bundles.iter().copied());
        }
        Some(listed)
    }

    /// The height of the recently committed block that lists the bundle.
    pub(crate) fn recent_height(&self, bundle: &Hash) -> Option<Height> {
        self.recent_bundles.get(bundle).copied()
    }

    /// The next block to execute: the lowest that is ready and whose parent was executed.
    pub(crate) fn next_to_execute(&self) -> Option<Hash> {
        let executed =
            |id: &Hash| *id == self.tip.block || self.blocks.get(id).is_some_and(|b| b.executed.is_some());
        self.blocks
            .iter()
            .filter(|(_, block)| block.stage == Stage::Ready && block.executed.is_none())
            .filter(|(_, block)| executed(&block.header.parent))
            .min_by_key(|(id, block)| (block.header.height, block.header.view, **id))
            .map(|(id, _)| *id)
    }

    /// Remembers the payload of the block that was committed next.
    pub(crate) fn remember(&mut self, height: Height, bundles: Vec<Hash>) {
        if self.recent.len() >= RECENT_BLOCKS
            && let Some((_, old)) = self.recent.pop_front()
        {
            for bundle in old {
                self.recent_bundles.remove(&bundle);
            }
        }
        self.recent_bundles.extend(bundles.iter().map(|bundle| (*bundle, height)));
        self.recent.push_back((height, bundles));
    }

    /// The last committed block is the anchor of a new epoch: nothing is above it.
    pub(crate) fn begin_epoch(&mut self, tip: Tip) {
        self.tip = tip;
        self.blocks.clear();
    }

    /// Makes a child of the last committed block the last committed one. Blocks that do not descend
    /// from it are dropped.
    pub(crate) fn advance(&mut self, tip: Tip) {
        self.tip = tip;
        self.blocks.remove(&self.tip.block);
        let height = self.tip.height;
        self.blocks.retain(|_, block| block.header.height > height);
        // Lowest first: a block stays if its parent stayed or is not known yet.
        let mut order: Vec<(Height, Hash)> =
            self.blocks.iter().map(|(id, b)| (b.header.height, *id)).collect();
        order.sort_unstable();
        let next = height.next();
        let mut dropped = BTreeSet::new();
        for (at, id) in order {
            let Some(block) = self.blocks.get(&id) else { continue };
            let parent = block.header.parent;
            let orphan = at == next && parent != self.tip.block;
            if orphan || dropped.contains(&parent) {
                dropped.insert(id);
                self.blocks.remove(&id);
            }
        }
    }
}
