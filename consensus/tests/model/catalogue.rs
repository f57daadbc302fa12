//! Every state of a single validator that was met, by number, and where each move leads from it.
//!
//! The validators of a world share nothing, so the same few thousand states of one of them come back in
//! millions of worlds. Each step is taken once by the real engine and then only looked up.
#![allow(clippy::disallowed_types, reason = "the tables are only looked up, never walked")]
use std::collections::HashMap;
use std::sync::Arc;

use quorate_consensus::Claim;
use quorate_primitives::{Hash, View};

use crate::facts::{anchor_of, block_on};
use crate::node::{Blocks, Move, Node, Pace, Setting, Speech};

/// A state of one validator.
pub(crate) type Id = u32;
/// Claims, or blocks, by their numbers.
pub(crate) type Set = u64;

/// The numbers in a set.
pub(crate) fn members(set: Set) -> impl Iterator<Item = usize> {
    (0..64).filter(move |number| set & (1 << number) != 0)
}

/// Records that one step writes, at most: two promises with what they rely on.
const RECORDS_MAX: usize = 6;

/// A move, and the state that it leads to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lead {
    pub(crate) what: Arc<Move>,
    pub(crate) to: Id,
}

/// What can make a validator move.
#[derive(Clone, Copy)]
pub(crate) enum Stimulus {
    /// Its own timers and its application.
    Inner,
    /// The certificate of a claim.
    Certificate(usize),
    /// The proposal of a block.
    Proposal(usize),
}

/// The state after a move, and what is said.
type Answered = (Id, Arc<Speech>);

/// Where a stimulus leads.
#[derive(Clone, Debug)]
pub(crate) struct Leads {
    pub(crate) moves: Arc<[Lead]>,
    pub(crate) crashes: Arc<[Lead]>,
}

pub(crate) struct Entry {
    pub(crate) node: Arc<Node>,
    /// Claims of explored views that it ever made.
    pub(crate) said: Set,
    /// Blocks of explored views that it ever proposed.
    pub(crate) made: Set,
    pub(crate) slipped: bool,
    pub(crate) contradicts_itself: bool,
    pub(crate) has_timer: bool,
    pub(crate) view: View,
    pub(crate) finalized: View,
    /// No block was proposed to it in its view.
    pub(crate) is_open: bool,
    leads: Vec<Option<Leads>>,
}

/// Things with numbers, in the order in which they were met.
struct Numbered<T> {
    all: Vec<T>,
}

impl<T: PartialEq> Numbered<T> {
    fn number(&mut self, thing: T) -> usize {
        let known = self.all.iter().position(|other| *other == thing);
        known.unwrap_or_else(|| {
            self.all.push(thing);
            assert!(self.all.len() <= 64, "more claims or blocks than a set holds");
            self.all.len() - 1
        })
    }
}

pub(crate) struct Catalogue {
    pub(crate) setting: Setting,
    pub(crate) headers: Blocks,
    entries: Vec<Entry>,
    numbers: HashMap<Arc<Node>, Id>,
    claims: Numbered<Claim>,
    blocks: Numbered<Hash>,
    /// What letters and retries lead to, once the network is calm.
    letters: HashMap<(Id, Move), Option<Answered>>,
    /// Whether the chain goes on from here until a view is final everywhere.
    pub(crate) calm: HashMap<([Id; 3], View), bool>,
}

impl Catalogue {
    pub(crate) fn new(setting: Setting) -> Self {
        Self {
            setting,
            headers: Blocks::new(),
            entries: Vec::new(),
            numbers: HashMap::new(),
            claims: Numbered { all: Vec::new() },
            blocks: Numbered { all: Vec::new() },
            letters: HashMap::new(),
            calm: HashMap::new(),
        }
    }

    pub(crate) fn entry(&self, id: Id) -> &Entry {
        &self.entries[usize::try_from(id).unwrap()]
    }

    pub(crate) fn states(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn set_of(&mut self, claim: Claim) -> Set {
        1 << self.claims.number(claim)
    }

    pub(crate) fn claim(&self, number: usize) -> Claim {
        self.claims.all[number]
    }

    pub(crate) fn block(&self, number: usize) -> Hash {
        self.blocks.all[number]
    }

    pub(crate) fn number(&mut self, node: Node) -> Id {
        if let Some(id) = self.numbers.get(&node) {
            return *id;
        }
        let id = Id::try_from(self.entries.len()).unwrap();
        let last = View::new(self.setting.views);
        let (mut said, mut made) = (0, 0);
        for claim in node.said.iter().filter(|claim| claim.view() <= last) {
            said |= 1 << self.claims.number(*claim);
        }
        for (block, header) in &node.made {
            if header.view <= last {
                made |= 1 << self.blocks.number(*block);
            }
            self.headers.entry(*block).or_insert_with(|| header.clone());
        }
        let node = Arc::new(node);
        self.numbers.insert(Arc::clone(&node), id);
        self.entries.push(Entry {
            said,
            made,
            slipped: node.slip.is_some(),
            contradicts_itself: node.contradicts_itself(),
            has_timer: node.has_timer(),
            view: node.engine.view(),
            finalized: node.engine.finalized().0,
            is_open: node.engine.status().proposal.is_none(),
            node,
            leads: Vec::new(),
        });
        id
    }

    /// Where a stimulus leads: only moves that change something.
    pub(crate) fn leads(&mut self, id: Id, stimulus: Stimulus) -> Leads {
        let place = match stimulus {
            Stimulus::Inner => 0,
            Stimulus::Certificate(claim) => 1 + 2 * claim,
            Stimulus::Proposal(block) => 2 + 2 * block,
        };
        if let Some(Some(known)) = self.entry(id).leads.get(place) {
            return known.clone();
        }
        let node = Arc::clone(&self.entry(id).node);
        let moves = match stimulus {
            Stimulus::Inner => node.inner_moves(&self.headers, &self.setting),
            Stimulus::Certificate(claim) => vec![Move::Certificate(self.claim(claim))],
            Stimulus::Proposal(block) => vec![Move::Proposal(self.block(block))],
        };
        let mut crashes: Vec<Move> = match stimulus {
            Stimulus::Inner => vec![Move::Restarts],
            Stimulus::Certificate(_) | Stimulus::Proposal(_) => Vec::new(),
        };
        let records_max = if self.setting.crashes { RECORDS_MAX } else { 0 };
        for written in 1..=records_max {
            let during = |what: &Move| Move::RestartsDuring(Box::new(what.clone()), written);
            crashes.extend(moves.iter().map(during));
        }
        let leads = Leads { moves: self.follow(id, moves), crashes: self.follow(id, crashes) };
        let entry = &mut self.entries[usize::try_from(id).unwrap()];
        if entry.leads.len() <= place {
            entry.leads.resize(place + 1, None);
        }
        entry.leads[place] = Some(leads.clone());
        leads
    }

    fn follow(&mut self, id: Id, moves: Vec<Move>) -> Arc<[Lead]> {
        let node = Arc::clone(&self.entry(id).node);
        let mut leads: Vec<Lead> = Vec::new();
        for what in moves {
            let Some((after, _)) = node.after(&what, &self.headers, &self.setting, self.setting.pace) else {
                continue;
            };
            let to = self.number(after);
            if to != id && leads.iter().all(|lead| lead.to != to) {
                leads.push(Lead { what: Arc::new(what), to });
            }
        }
        leads.into()
    }

    /// Where a move leads in a calm network, and what is said; nothing if it changes nothing.
    pub(crate) fn after(&mut self, id: Id, what: &Move) -> Option<Answered> {
        let key = (id, what.clone());
        if let Some(known) = self.letters.get(&key) {
            return known.clone();
        }
        let node = Arc::clone(&self.entry(id).node);
        let found = node.after(what, &self.headers, &self.setting, Pace::Any);
        let found = found.map(|(node, speech)| (self.number(node), Arc::new(speech)));
        self.letters.insert(key, found.clone());
        found
    }

    /// The two blocks that the liar proposes in a view on a parent: either could be the only one.
    pub(crate) fn lies(&mut self, view: View, parent: Hash) -> Set {
        let epoch = Arc::clone(&self.setting.epoch);
        let on = self.headers.get(&parent).map(|header| quorate_consensus::Parent {
            view: header.view,
            block: parent,
            height: header.height,
            time: header.time,
        });
        let on = on.unwrap_or_else(|| anchor_of(&epoch));
        let mut lies = 0;
        for variant in [0, 1] {
            let header = block_on(&epoch, view, &on, variant);
            let block = header.id();
            lies |= 1 << self.blocks.number(block);
            self.headers.insert(block, header);
        }
        lies
    }
}
