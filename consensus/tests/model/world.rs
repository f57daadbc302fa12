//! Three honest validators, one liar, and every message that can exist.
//!
//! The soup of messages is never written down: it follows from what the honest validators have said so
//! far. A claim can be certified as soon as two of them made it, since the liar signs everything; a
//! block can be proposed by the liar whenever it likes, and by an honest leader once it was proposed.
//! Nothing is ever taken out, so loss, delay, repetition and reordering are all there: a message that is
//! never delivered is lost.
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use quorate_consensus::{Claim, ClaimKind};
use quorate_primitives::View;
use stateright::{Model, Property};

use crate::calm;
use crate::catalogue::{Catalogue, Id, Lead, Set, Stimulus, members};
use crate::facts;
use crate::node::{Memory, Node, Pace, Setting};

/// How wrong the world itself is. A checker that never finds anything proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// There are nullifications that nobody voted for.
    ForgedNullification,
    /// One honest vote and the liar's count as a quorum.
    SmallQuorum,
}

/// Which proposals are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// All, at any time.
    Any,
    /// The first of each view, while the view lasts.
    FirstInTime,
}

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// Views up to this one.
    pub(crate) views: u64,
    /// The view that the liar leads.
    pub(crate) lied: u64,
    /// How many crashes there may be.
    pub(crate) crashes: u8,
    /// What crashes leave.
    pub(crate) memory: Memory,
    /// When applications answer.
    pub(crate) pace: Pace,
    pub(crate) delivery: Delivery,
    /// One in so many worlds is also followed into calm weather.
    pub(crate) calm_every: u32,
    pub(crate) flaw: Flaw,
}

/// The states of the honest validators, and how many crashes are left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) nodes: [Id; 3],
    pub(crate) crashes: u8,
}

/// A move of one validator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Action {
    pub(crate) place: usize,
    pub(crate) crash: bool,
    pub(crate) lead: Lead,
}

/// The model that is checked.
pub(crate) struct Checked {
    scope: Scope,
    catalogue: Mutex<Catalogue>,
    /// What the liar can propose, by what the others have proposed.
    lies: Mutex<BTreeMap<Set, Set>>,
}

impl Checked {
    pub(crate) fn new(scope: Scope) -> Self {
        let epoch = facts::epoch();
        let setting = Setting {
            liar: epoch.leader(View::new(scope.lied)),
            epoch,
            memory: scope.memory,
            views: scope.views,
            pace: scope.pace,
            crashes: scope.crashes > 0,
        };
        Self { scope, catalogue: Mutex::new(Catalogue::new(setting)), lies: Mutex::default() }
    }

    pub(crate) fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        self.catalogue.lock().unwrap()
    }

    /// Claims of which a certificate can exist.
    fn certified(&self, world: &World, catalogue: &mut Catalogue) -> Set {
        let [a, b, c] = world.nodes.map(|id| catalogue.entry(id).said);
        let quorum = (a & b) | (a & c) | (b & c);
        match self.scope.flaw {
            Flaw::None => quorum,
            Flaw::ForgedNullification => quorum | catalogue.set_of(Claim::Nullify { view: View::new(1) }),
            Flaw::SmallQuorum => a | b | c,
        }
    }

    /// Blocks that can be proposed.
    fn proposed(&self, world: &World, catalogue: &mut Catalogue) -> Set {
        let made = world.nodes.iter().fold(0, |all, id| all | catalogue.entry(*id).made);
        if self.scope.lied > self.scope.views {
            return made;
        }
        let mut lies = self.lies.lock().unwrap();
        let lies = lies.entry(made).or_insert_with(|| {
            let lied = View::new(self.scope.lied);
            let mut parents = vec![catalogue.setting.epoch.anchor.block];
            let blocks = members(made).map(|block| catalogue.block(block));
            parents.extend(blocks.filter(|block| catalogue.headers[block].view < lied));
            parents.into_iter().fold(0, |lies, parent| lies | catalogue.lies(lied, parent))
        });
        made | *lies
    }

    fn is_delivered(&self, id: Id, block: usize, catalogue: &Catalogue) -> bool {
        let entry = catalogue.entry(id);
        let in_time = || catalogue.headers[&catalogue.block(block)].view == entry.view;
        self.scope.delivery == Delivery::Any || (entry.is_open && in_time())
    }

    /// All moves, until one is refused.
    fn each_action(&self, world: &World, mut take: impl FnMut(Action) -> bool) {
        let mut catalogue = self.catalogue();
        let certified = self.certified(world, &mut catalogue);
        let proposed = self.proposed(world, &mut catalogue);
        for (place, id) in world.nodes.into_iter().enumerate() {
            let delivered = members(proposed).filter(|block| self.is_delivered(id, *block, &catalogue));
            let delivered: Vec<usize> = delivered.collect();
            let stimuli = [Stimulus::Inner]
                .into_iter()
                .chain(members(certified).map(Stimulus::Certificate))
                .chain(delivered.into_iter().map(Stimulus::Proposal));
            for stimulus in stimuli {
                let leads = catalogue.leads(id, stimulus);
                let action = |crash| move |lead: &Lead| Action { place, crash, lead: lead.clone() };
                let crashes = leads.crashes.iter().filter(|_| world.crashes > 0).map(action(true));
                if !leads.moves.iter().map(action(false)).chain(crashes).all(&mut take) {
                    return;
                }
            }
        }
    }

    fn holds_for_each(&self, world: &World, rule: fn(&crate::catalogue::Entry) -> bool) -> bool {
        let catalogue = self.catalogue();
        world.nodes.iter().all(|id| rule(catalogue.entry(*id)))
    }

    fn holds_for_certified(&self, world: &World, rule: fn(&Catalogue, &[Claim]) -> bool) -> bool {
        let mut catalogue = self.catalogue();
        let certified = self.certified(world, &mut catalogue);
        let claims: Vec<Claim> = members(certified).map(|claim| catalogue.claim(claim)).collect();
        rule(&catalogue, &claims)
    }

    fn can_leave(&self, world: &World) -> bool {
        let last = View::new(self.scope.views);
        let mut stuck = true;
        let past = |entry: &crate::catalogue::Entry| entry.view > last;
        if world.nodes.iter().all(|id| past(self.catalogue().entry(*id))) {
            return true;
        }
        self.each_action(world, |_| {
            stuck = false;
            false
        });
        !stuck
    }

    fn goes_on(&self, world: &World) -> bool {
        let [a, b, c] = world.nodes;
        let turn = a.wrapping_mul(31).wrapping_add(b.wrapping_mul(17)).wrapping_add(c);
        turn % self.scope.calm_every != 0 || calm::goes_on(&mut self.catalogue(), world.nodes)
    }
}

fn pairs(claims: &[Claim]) -> impl Iterator<Item = (&Claim, &Claim)> {
    claims.iter().flat_map(|first| claims.iter().map(move |second| (first, second)))
}

/// Rule I2: one view has at most one notarized block.
fn has_one_block_a_view(_: &Catalogue, claims: &[Claim]) -> bool {
    let notarized = |claim: &Claim| claim.kind() == ClaimKind::Notarize;
    !pairs(claims).any(|(first, second)| {
        notarized(first) && notarized(second) && first.view() == second.view() && first != second
    })
}

/// Rule I4: no view is finalized and nullified.
fn is_final_or_nullified(_: &Catalogue, claims: &[Claim]) -> bool {
    !pairs(claims).any(|(first, second)| {
        first.kind() == ClaimKind::Finalize
            && second.kind() == ClaimKind::Nullify
            && first.view() == second.view()
    })
}

/// Rule I1: of two final blocks one is an ancestor of the other, or they are the same.
fn is_one_chain(catalogue: &Catalogue, claims: &[Claim]) -> bool {
    let finals = claims.iter().filter(|claim| claim.kind() == ClaimKind::Finalize);
    let mut chain = BTreeMap::new();
    finals.filter_map(Claim::block).all(|block| {
        let mut next = catalogue.headers.get(&block).map(|header| (block, header));
        while let Some((block, header)) = next {
            if *chain.entry(header.height).or_insert(block) != block {
                return false;
            }
            next = catalogue.headers.get(&header.parent).map(|parent| (header.parent, parent));
        }
        true
    })
}

impl Model for Checked {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut catalogue = self.catalogue();
        let honest = catalogue.setting.epoch.everybody().without(catalogue.setting.liar);
        let honest: Vec<u8> = honest.iter().collect();
        let nodes = [0, 1, 2].map(|place: usize| {
            let node = Node::new(&catalogue.setting, honest[place]);
            catalogue.number(node)
        });
        vec![World { nodes, crashes: self.scope.crashes }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.each_action(world, |action| {
            actions.push(action);
            true
        });
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.nodes[action.place] = action.lead.to;
        next.crashes -= u8::from(action.crash);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_BLOCK, |model, world| {
                model.holds_for_certified(world, has_one_block_a_view)
            }),
            Property::always(NO_CONTRADICTION, |model, world| {
                model.holds_for_each(world, |entry| !entry.contradicts_itself)
            }),
            Property::always(FINAL_OR_NULLIFIED, |model, world| {
                model.holds_for_certified(world, is_final_or_nullified)
            }),
            Property::always(ONE_CHAIN, |model, world| model.holds_for_certified(world, is_one_chain)),
            Property::always(TIMER, |model, world| model.holds_for_each(world, |entry| entry.has_timer)),
            Property::always(NO_SLIP, |model, world| model.holds_for_each(world, |entry| !entry.slipped)),
            Property::always(NOT_STUCK, Self::can_leave),
            Property::always(GOES_ON, Self::goes_on),
            Property::sometimes("a block becomes final", |model, world| {
                !model.holds_for_certified(world, |_, claims| {
                    claims.iter().all(|claim| claim.kind() != ClaimKind::Finalize)
                })
            }),
            Property::sometimes("a view has a block and is skipped", |model, world| {
                !model.holds_for_certified(world, |_, claims| {
                    pairs(claims).all(|(first, second)| {
                        first.kind() != ClaimKind::Notarize
                            || second.kind() != ClaimKind::Nullify
                            || first.view() != second.view()
                    })
                })
            }),
        ]
    }
}

/// Rule I2.
pub(crate) const ONE_BLOCK: &str = "one view has at most one notarized block";
/// Rule I3.
pub(crate) const NO_CONTRADICTION: &str = "no honest validator contradicts itself, over all its lives";
/// Rule I4.
pub(crate) const FINAL_OR_NULLIFIED: &str = "no view is both final and nullified";
/// Rule I1.
pub(crate) const ONE_CHAIN: &str = "all final blocks are on one chain";
/// Rule I9.
pub(crate) const TIMER: &str = "everybody has a timer";
/// Rules I8 and I11, and no engine stops.
pub(crate) const NO_SLIP: &str = "nobody stops, accuses the honest, or says what is not on record";
pub(crate) const NOT_STUCK: &str = "where nothing more can happen, everybody has left the last view";
/// Rule I12.
pub(crate) const GOES_ON: &str = "the chain goes on once the network is calm and the liar silent";
