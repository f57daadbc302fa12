//! Twins: a validator that runs twice with one key, in every way of separating the replicas.
//!
//! The code of the twins is that of every other validator. Who is with whom decides what they say, and since
//! they have one key between them, together they can say nearly everything that a liar could, at the
//! moments that matter. Source: Bano et al., "Twins: BFT Systems Made Robust", OPODIS 2021.
//!
//! # What is enumerated
//!
//! Four validators `T`, `A`, `B`, `C` of which `T` runs twice are five replicas. In one **round**, that is
//! while one view lasts, they are separated into groups in one of 52 ways, and one of four validators leads:
//! 208 patterns, and 43,264 [cases] of two rounds. After the rounds all are connected, and ten more
//! blocks must become final at `A`, `B` and `C`. All checkers run all the time.
//!
//! In the product nobody chooses who leads: the leaders follow one another in an order that is drawn from
//! the epoch. But the validators are equal in everything else, so a case is a case whichever of them bears
//! which name. The first round is view 2; its leader gets the name of the wanted one. If the second round
//! wants another leader, it is view 3, whose leader gets that name; and of the remaining validators any gets
//! the remaining names. If both rounds want the same leader, the second is its next turn, view 6, and the
//! leaders of the three views between are cut off, so that these views are given up: that is the only way in
//! which one validator can lead twice in a row. The same rule gives cases of more rounds and of more twins.
//!
//! A round ends when any replica has entered the next view, and also when nothing moves any more, because no
//! group has a quorum: then the next round's separation is in force while the view at hand is given up and
//! until that round's own view is over. Packets between groups are lost; links stay.
//!
//! # Two modes
//!
//! A validator that sees a vote of its own key that it did not make stops. So [`Mode::Wary`] twins, which are
//! exactly the product, stop when they hear of each other. To test the protocol against those that do not,
//! [`Mode::Deaf`] twins are [kept from noticing](crate::byzantine::deaf), and vote on to the end. Both start
//! like any validator, with the question for votes of their own; at the start there are none.
mod script;
mod space;

use quorate_primitives::{Height, View};

use crate::byzantine::deaf::{Deaf, Nothing};
use crate::founding::Workshop;
use crate::puppet::Repertoire;
use crate::run::Report;
use crate::time::Moment;
use crate::world::World;

pub use space::{Case, Mode, Round, Shape, cases, cases_of};

use script::{Phase, Script};

/// After so long without a new view, nothing moves any more, in ms.
const PATIENCE_MS: u64 = 180;
/// How far the run goes between two looks at the views, in microseconds: less than a leader waits.
const STRIDE_US: u64 = 1_000;
/// By how much the clock of a second copy is ahead.
const SECOND_AHEAD_MS: i64 = 3;
/// Blocks that must become final when all are connected again.
const BLOCKS_AFTER: u64 = 10;
/// How many times the time of the first block all of them may take.
const BLOCKS_TIME: u64 = 4;

/// Marks of a campaign in which both modes took part.
pub const MARKS: [&str; 8] = [
    "twins: a round ended with its view",
    "twins: a round whose view did not end",
    "twins: a round whose view did not begin",
    "twins: time between rounds",
    "twins: a wary twin stopped",
    crate::byzantine::deaf::MARK,
    "evidence of two notarize votes",
    "evidence of nullify and finalize",
];

/// Runs one case.
#[must_use]
pub fn run(case: &Case, workshop: &Workshop) -> Report {
    let mut options = script::options(case);
    let founding = workshop.founding(&options);
    let Script { twins, phases } = Script::new(case, &founding);
    options.puppets = twins;
    let mut play = Play { world: World::new(options, workshop, &Repertoire::new(), None), case };
    play.begin();
    for phase in &phases {
        play.phase(phase);
    }
    let healing_ms = play.recover();
    play.report(healing_ms)
}

struct Play<'a> {
    world: World,
    case: &'a Case,
}

impl Play<'_> {
    fn begin(&mut self) {
        for node in self.case.shape.validators..self.world.nodes.len() {
            // Both copies at one moment would make one and the same block.
            self.world.nodes[node].clock.jump(Moment::ZERO, SECOND_AHEAD_MS);
        }
        if self.case.mode == Mode::Deaf {
            for node in 0..self.world.nodes.len() {
                if !self.world.env.checkers.is_honest(node) {
                    self.world.nodes[node].filter = Some(Box::new(Deaf::new(Nothing)));
                }
            }
        }
        self.world.begin();
        let end = self.world.env.now.after_ms(PATIENCE_MS);
        self.until(end, |world| highest(world) > View::new(1));
    }

    /// Goes on until something holds; false if it does not by `end`, or something is wrong.
    fn until(&mut self, end: Moment, holds: impl Fn(&World) -> bool) -> bool {
        while self.world.env.now < end && self.world.env.checkers.is_content() {
            if holds(&self.world) {
                return true;
            }
            let stop = self.world.env.now.after_micros(STRIDE_US).min(end);
            while self.world.advance(stop) {}
            self.world.env.now = self.world.env.now.max(stop);
            self.retire();
        }
        self.world.env.checkers.is_content() && holds(&self.world)
    }

    /// A twin that has stopped stays so: starting it again would change nothing.
    fn retire(&mut self) {
        for node in 0..self.world.nodes.len() {
            let is_over = !self.world.nodes[node].is_up() && !self.world.fates[node].is_retired;
            if is_over && !self.world.env.checkers.is_honest(node) {
                self.world.fates[node].is_retired = true;
                self.world.env.marks.hit(MARKS[4]);
            }
        }
    }

    fn phase(&mut self, phase: &Phase) {
        self.world.env.network.separate(&phase.groups);
        let mut view = highest(&self.world);
        let mut has_begun = false;
        while view <= phase.view {
            has_begun |= view == phase.view;
            let end = self.world.env.now.after_ms(PATIENCE_MS);
            if !self.until(end, |world| highest(world) > view) {
                break;
            }
            view = highest(&self.world);
        }
        let mark = match (phase.is_round, has_begun, view > phase.view) {
            (false, _, _) => MARKS[3],
            (true, _, true) => MARKS[0],
            (true, true, false) => MARKS[1],
            (true, false, false) => MARKS[2],
        };
        self.world.env.marks.hit(mark);
    }

    /// Connects all, and demands blocks of the honest. How long the first took, in ms, and might have.
    fn recover(&mut self) -> Option<(u64, u64)> {
        self.world.env.network.unite();
        let honest: Vec<usize> =
            (0..self.case.shape.validators).filter(|node| self.world.env.checkers.is_honest(*node)).collect();
        let (begun, height) = (self.world.env.now, self.world.env.checkers.height());
        let allowed = self.world.env.options.healing_ms();
        let beyond = |height: Height| {
            let honest = honest.clone();
            move |world: &World| world.has_converged(&honest, height)
        };
        if !self.until(begun.after_ms(allowed), beyond(height)) {
            self.miss(format!("no block after {height} within {allowed} ms"));
            return None;
        }
        let first = self.world.env.now.since(begun) / 1_000;
        let end = begun.after_ms(allowed.saturating_mul(BLOCKS_TIME));
        if !self.until(end, beyond(height.saturating_add(BLOCKS_AFTER.saturating_sub(1)))) {
            self.miss(format!("fewer than {BLOCKS_AFTER} blocks after {height}"));
        }
        Some((first, allowed))
    }

    fn miss(&mut self, what: String) {
        if self.world.env.checkers.is_content() {
            let nodes: Vec<usize> = (0..self.world.nodes.len()).collect();
            let heights = self.world.heights(&nodes);
            self.world.env.violate("liveness", format!("{what} at {heights:?} in {}", self.case));
        }
    }

    fn report(mut self, healing_ms: Option<(u64, u64)>) -> Report {
        if self.world.env.checkers.is_content() {
            let now = self.world.env.now;
            self.world.env.checkers.finish(now);
            self.world.compare_ledgers();
        }
        let (events, nodes) = (self.world.events(), self.world.describe());
        let mut env = self.world.env;
        let violation = env.checkers.violation().cloned();
        Report {
            options: (*env.options).clone(),
            events,
            height: env.checkers.height().get(),
            virtual_ms: env.now.ms(),
            requests: 0,
            finality_p50_ms: 0,
            finality_p99_ms: 0,
            healing_ms,
            hash: env.trace.hash(),
            nodes,
            last: if violation.is_some() { env.trace.last() } else { Vec::new() },
            violation,
            marks: env.marks,
        }
    }
}

/// The highest view that any replica is in.
fn highest(world: &World) -> View {
    let views = world.nodes.iter().filter_map(|node| Some(node.status()?.view));
    views.max().unwrap_or_default()
}
