//! What happens when the storm is over: the liar is silent, nobody crashes, letters arrive at once, and
//! what was said before is lost.
//!
//! Only what the engines say again counts, so this is where rules R8 to R11 must help, and where it shows
//! whether the records that survived a crash are enough.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate_consensus::{Claim, Timer};
use quorate_primitives::{Hash, View};

use crate::catalogue::{Catalogue, Id};
use crate::node::{Debt, Move, Node, Speech};

/// Rounds of timers after which the chain counts as stuck.
const PATIENCE: usize = 60;

/// Whether a block of the latest view that anybody has reached, or of a later one, becomes final
/// everywhere.
pub(crate) fn goes_on(catalogue: &mut Catalogue, nodes: [Id; 3]) -> bool {
    let goal = nodes.map(|id| catalogue.entry(id).view).into_iter().max().unwrap_or_default();
    let mut calm = Calm {
        catalogue,
        nodes,
        last: goal.saturating_add(4),
        queue: VecDeque::new(),
        votes: BTreeMap::new(),
    };
    let mut passed = Vec::new();
    let mut found = false;
    for _ in 0..PATIENCE {
        if let Some(known) = calm.catalogue.calm.get(&(calm.nodes, goal)) {
            found = *known;
            break;
        }
        passed.push((calm.nodes, goal));
        if calm.nodes.iter().all(|id| calm.catalogue.entry(*id).finalized >= goal) {
            found = true;
            break;
        }
        calm.round();
    }
    calm.catalogue.calm.extend(passed.into_iter().map(|key| (key, found)));
    found
}

struct Calm<'a> {
    catalogue: &'a mut Catalogue,
    nodes: [Id; 3],
    /// The last view in which a block is built.
    last: View,
    /// What is about to happen, and where.
    queue: VecDeque<(usize, Move)>,
    /// Who said what in this round.
    votes: BTreeMap<Claim, BTreeSet<usize>>,
}

impl Calm<'_> {
    fn node(&self, place: usize) -> &Node {
        &self.catalogue.entry(self.nodes[place]).node
    }

    /// Everything that needs no time, and then the shortest timers.
    fn round(&mut self) {
        self.votes.clear();
        for place in 0..self.nodes.len() {
            let left = self.node(place).engine.view().previous();
            self.queue.extend(left.map(|left| (place, Move::Expires(Timer::Relay(left)))));
        }
        self.settle();
        let rank = |timer: &Timer| match timer {
            Timer::Relay(_) => 0,
            Timer::Propose(_) => 1,
            Timer::View(_) => 2,
            Timer::Retry(_) => 3,
        };
        let armed: Vec<(usize, Timer)> = (0..self.nodes.len())
            .flat_map(|place| self.node(place).timers.iter().map(move |timer| (place, *timer)))
            .collect();
        let due = armed.iter().map(|(_, timer)| rank(timer)).min();
        let due = armed.into_iter().filter(|(_, timer)| Some(rank(timer)) == due);
        self.queue.extend(due.map(|(place, timer)| (place, Move::Expires(timer))));
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            let next = self
                .queue
                .pop_front()
                .or_else(|| (0..self.nodes.len()).find_map(|place| Some((place, self.answer(place)?))));
            let Some((place, what)) = next else { return };
            if let Some((id, speech)) = self.catalogue.after(self.nodes[place], &what) {
                self.nodes[place] = id;
                self.spread(place, &speech);
            }
        }
    }

    /// What the application of a validator can do. It gets bodies and headers from honest validators only.
    fn answer(&self, place: usize) -> Option<Move> {
        let node = self.node(place);
        let at_hand = |block: &Hash| (0..self.nodes.len()).any(|other| self.node(other).has_body(*block));
        let owed = node.owed.iter().find(|debt| at_hand(debt.block())).map(Debt::settled);
        let executes = || node.can_execute(&self.catalogue.headers).next().map(Move::Executes);
        // The chain need not grow further than the goal.
        let builds =
            || node.to_build.filter(|(view, _)| *view <= self.last).map(|(view, _)| Move::Builds(view));
        owed.or_else(executes).or_else(builds)
    }

    fn spread(&mut self, from: usize, speech: &Speech) {
        let me = self.node(from).me();
        let others: Vec<usize> = (0..self.nodes.len()).filter(|place| *place != from).collect();
        for (to, message) in &speech.letters {
            let reached = others.iter().filter(|place| to.contains(self.node(**place).me()));
            let letters: Vec<_> =
                reached.map(|place| (*place, Move::Letter(me, Box::new(message.clone())))).collect();
            self.queue.extend(letters);
        }
        for block in &speech.blocks {
            self.queue.extend(others.iter().map(|place| (*place, Move::Proposal(*block))));
        }
        for claim in &speech.votes {
            let voters = self.votes.entry(*claim).or_default();
            voters.insert(from);
            // Without the liar's vote a quorum is all of them.
            if voters.len() == self.nodes.len() {
                self.queue.extend((0..self.nodes.len()).map(|place| (place, Move::Certificate(*claim))));
            }
        }
    }
}
