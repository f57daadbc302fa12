//! Makes a part of the network whole, and leaves the rest as it is.
use quorate_primitives::Height;
use quorate_primitives::validators::ValidatorSet;
use std::collections::BTreeSet;

use super::World;
use crate::environment::Happening;
use crate::random::Dice;
use crate::run::at_least;
use crate::trace::What;

impl World {
    /// Any quorum of honest validators that can still be started, of each set that decides now or in the
    /// next two epochs, with as many of `chosen` as possible; `None` if there is none. If none of them has
    /// the last block of the epoch before, a quorum of that epoch is needed too.
    pub fn choose_core(&mut self, chosen: &[usize], dice: &mut Dice) -> Option<Vec<usize>> {
        let mut core: BTreeSet<usize> = chosen.iter().copied().collect();
        let mut sets: Vec<&ValidatorSet> = self.env.checkers.sets().iter().collect();
        if let Some((last, before)) = self.env.checkers.before() {
            let knows = |node: &usize| self.is_able(*node) && self.nodes[*node].told >= *last;
            match (0..self.nodes.len()).find(knows) {
                Some(node) => drop(core.insert(node)),
                None => sets.push(before),
            }
        }
        for set in sets {
            let mut able = self.able_of(set);
            let quorum = crate::checkers::quorums::quorum(set.len());
            if able.len() < quorum {
                return None;
            }
            // Who is in the core already serves here too.
            dice.shuffle(&mut able);
            able.sort_by_key(|node| !core.contains(node));
            core.extend(able.into_iter().take(quorum));
        }
        Some(core.into_iter().collect())
    }

    /// Nodes that can stand for the members of a validator set.
    fn able_of(&self, set: &ValidatorSet) -> Vec<usize> {
        let members = set.members().iter().filter_map(|member| {
            let nodes = self.env.nodes_of(&member.key);
            nodes.iter().copied().find(|node| self.is_able(*node))
        });
        members.collect()
    }

    /// Whether a core has a quorum of each set that decides now or in the next two epochs. It may lose it
    /// when a change of the validators that was under way at the time of healing takes effect.
    #[must_use]
    pub fn is_core(&self, core: &[usize]) -> bool {
        self.env.checkers.sets().iter().all(|set| {
            let members = self.able_of(set).into_iter().filter(|node| core.contains(node));
            members.count() >= crate::checkers::quorums::quorum(set.len())
        })
    }

    /// Whether a node does its part once it is healed. One that forgot its votes may need the answers of
    /// others that are not healed, so it counts as faulty until it votes again.
    fn is_able(&self, node: usize) -> bool {
        let fate = &self.fates[node];
        self.env.checkers.is_honest(node) && !fate.is_retired && !fate.is_forgetful
    }

    /// Heals the core; every other node is cut off, ends, or stays as it is, for ever.
    pub fn heal(&mut self, core: &[usize], dice: &mut Dice) {
        self.faults.is_on = false;
        self.faults.partition = self.faults.partition.saturating_add(1);
        self.clients.is_active = false;
        self.env.note(None, What::Note("heals", core.iter().fold(0, |word, node| word | (1 << node)), 0));
        for node in (0..self.nodes.len()).filter(|node| !core.contains(node)) {
            if !self.env.checkers.is_honest(node) && dice.chance(700) {
                // What misbehaves goes on with it.
                continue;
            }
            match dice.below(3) {
                0 => self.env.network.isolate(node),
                1 if self.nodes[node].replica().is_some() => {
                    self.fates[node].is_retired = true;
                    self.crash(node, false);
                }
                _ => {}
            }
        }
        self.notice_cuts();
        self.cure(core);
    }

    /// Ends every fault of these nodes and between them.
    pub fn cure(&mut self, core: &[usize]) {
        let longest = self.env.options.timings.timeout_max_ms.saturating_mul(1_000) / 20;
        self.env.network.heal(core, longest);
        self.clients.listen_to(core);
        for node in core {
            self.nodes[*node].disk.disk().calm();
            self.nodes[*node].store.plan(None);
            self.nodes[*node].effects_left = None;
            let now = self.env.now;
            self.nodes[*node].clock.correct(now);
            if self.nodes[*node].is_paused {
                self.nodes[*node].resume(&mut self.env);
            }
            if !self.nodes[*node].is_up() {
                self.env.schedule(now.after_micros(1), Happening::Start(*node));
            }
            self.connect_all(*node);
        }
    }

    /// Heights of some nodes.
    #[must_use]
    pub fn heights(&self, nodes: &[usize]) -> Vec<Option<u64>> {
        nodes.iter().map(|node| self.nodes[*node].height().map(Height::get)).collect()
    }

    /// Whether all these nodes have come beyond a height.
    #[must_use]
    pub fn has_converged(&self, nodes: &[usize], height: Height) -> bool {
        nodes.iter().all(|node| at_least(self.nodes[*node].height(), height.next()))
    }

    /// Looks into every ledger: whatever a client was told is in all that reach so far.
    pub fn compare_ledgers(&mut self) {
        let finals: Vec<_> = self.clients.finals().collect();
        for node in 0..self.nodes.len() {
            let Some(replica) = self.nodes[node].replica().filter(|_| self.env.checkers.is_honest(node))
            else {
                continue;
            };
            let (reader, head) = (replica.ledger().reader(), replica.ledger().head().height());
            let mut missing = None;
            for (id, height) in finals.iter().filter(|(_, height)| *height <= head) {
                let found = reader.position(id).ok().flatten().map(|position| position.height);
                if found != Some(*height) {
                    missing =
                        Some(format!("node {node} has {found:?} for {id}, which is told to be in {height}"));
                }
            }
            if let Some(detail) = missing {
                self.env.violate("durability", detail);
            }
        }
    }
}
