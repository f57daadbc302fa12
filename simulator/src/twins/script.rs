//! Which real validators play the parts of a case, and when who is separated from whom.
use quorate_consensus::{Anchor, Epoch};
use quorate_primitives::View;
use std::collections::BTreeMap;

use super::space::Case;
use crate::founding::Founding;
use crate::options::{Assignment, Options};
use crate::puppet::TWIN;

/// The first scripted view: in the one before, all find each other.
const FIRST_VIEW: View = View::new(2);

/// Who is with whom while a view lasts.
pub(super) struct Phase {
    /// Over when any replica is beyond this view.
    pub(super) view: View,
    /// The group of each node.
    pub(super) groups: Vec<usize>,
    /// It is a round of the case, and not the time between two of them.
    pub(super) is_round: bool,
}

/// A case on a real network.
pub(super) struct Script {
    /// The validators that run twice.
    pub(super) twins: Vec<Assignment>,
    pub(super) phases: Vec<Phase>,
}

struct Casting<'a> {
    case: &'a Case,
    epoch: Epoch,
    /// Which validator plays which name.
    roles: BTreeMap<usize, usize>,
}

impl Casting<'_> {
    fn leader(&self, view: View) -> usize {
        usize::from(self.epoch.leader(view))
    }

    /// Gives the leading part to who leads the view, if that is possible.
    fn cast(&mut self, name: usize, view: View) -> bool {
        let leader = self.leader(view);
        match self.roles.get(&name) {
            Some(validator) => *validator == leader,
            None if self.roles.values().any(|validator| *validator == leader) => false,
            None => {
                self.roles.insert(name, leader);
                true
            }
        }
    }

    /// The views of the rounds: each the next that the wanted leader leads, or may be made to lead.
    fn views(&mut self) -> Vec<View> {
        let (case, mut view) = (self.case, FIRST_VIEW);
        let mut views = Vec::new();
        for round in &case.rounds {
            while !self.cast(round.leader, view) {
                view = view.next();
            }
            views.push(view);
            view = view.next();
        }
        for name in 0..case.shape.validators {
            let free = (0..case.shape.validators).find(|one| !self.roles.values().any(|taken| taken == one));
            if let Some(free) = free.filter(|_| !self.roles.contains_key(&name)) {
                self.roles.insert(name, free);
            }
        }
        views
    }

    /// The node of each replica of the case: the second copies come last in the network too.
    fn nodes(&self) -> Vec<usize> {
        let validators = self.case.shape.validators;
        let first = (0..validators).filter_map(|name| self.roles.get(&name).copied());
        first.chain((0..self.case.shape.twins).map(|twin| validators.saturating_add(twin))).collect()
    }

    /// The leader of a view that no round is about is cut off, so that the view comes to nothing.
    fn without_leader(&self, view: View) -> Vec<usize> {
        let leader = self.leader(view);
        let name = self.roles.iter().find(|(_, validator)| **validator == leader).map(|(name, _)| *name);
        let validators = self.case.shape.validators;
        let is_leader = |node: usize| {
            node == leader || node.checked_sub(validators).is_some_and(|twin| Some(twin) == name)
        };
        let alone = |node: usize| if is_leader(node) { node.saturating_add(1) } else { 0 };
        (0..self.case.shape.instances()).map(alone).collect()
    }
}

impl Script {
    pub(super) fn new(case: &Case, founding: &Founding) -> Self {
        let trusted = &founding.trusted;
        let genesis = &founding.genesis;
        let anchor = Anchor {
            block: genesis.hash(),
            height: quorate_primitives::Height::ZERO,
            time: genesis.time,
            outcome: quorate_primitives::Hash::ZERO,
        };
        let set = trusted.validators().clone();
        let epoch = Epoch::new(trusted.number(), trusted.context(), set, anchor, trusted.last());
        let mut casting = Casting { case, epoch, roles: BTreeMap::new() };
        let views = casting.views();
        let nodes = casting.nodes();
        let mut phases = Vec::new();
        let mut next = FIRST_VIEW;
        for (round, view) in case.rounds.iter().zip(views) {
            while next < view {
                phases.push(Phase { view: next, groups: casting.without_leader(next), is_round: false });
                next = next.next();
            }
            let mut groups = vec![0; case.shape.instances()];
            for (node, group) in nodes.iter().zip(&round.groups) {
                groups[*node] = *group;
            }
            phases.push(Phase { view, groups, is_round: true });
            next = view.next();
        }
        let twin = |name| casting.roles.get(&name).copied();
        let twins = (0..case.shape.twins).filter_map(twin);
        let twins = twins.map(|validator| Assignment { validator, program: TWIN.to_owned() }).collect();
        Self { twins, phases }
    }
}

/// The network that all cases run on: quick, and without any trouble but the separation.
pub(super) fn options(case: &Case) -> Options {
    let seed = case.number.wrapping_mul(2).wrapping_add(case.mode as u64);
    let mut options = crate::swarm::calm(seed, crate::options::Profile::Twins);
    options.validators = case.shape.validators;
    options.clients.clients = 0;
    options.clients.accounts = 2;
    options.timings.timeout_min_ms = 20;
    options.timings.timeout_max_ms = 200;
    options.timings.min_interval_ms = 5;
    options.timings.idle_interval_ms = 5;
    options.timings.ask_timeout_ms = 20;
    options.timings.sync_interval_ms = 200;
    options.network.delay_min_us = 300;
    options.network.delay_mean_us = 200;
    options.network.connect_ms_max = 1;
    options
}
