//! Networks around the world: how soon and at what cost validators on all continents agree.
//!
//! This is a measurement, not a hunt: nothing breaks. The validators are those of every other run, with their
//! real bytes, and the same checkers watch them. What is made up is stated in [`WideOptions`]: the way between
//! two nodes is half of a public round-trip time and a little more, each node sends and receives over one line,
//! bundles are gossiped as by the node, and machines take a while to prove, execute, commit and sync.
//!
//! Not made up, and not there: lost packets and what TCP does about them, the processor time of a message, and
//! the way from a client to the validator that it uses.
pub mod command;
mod lines;
mod load;
pub mod plot;
mod regions;
mod report;

use serde::{Deserialize, Serialize};
use std::rc::Rc;

use crate::checkers::Violation;
use crate::founding::Workshop;
use crate::options::{Options, Profile};
use crate::puppet::Repertoire;
use crate::swarm::calm;
use crate::time::Moment;
use crate::world::World;

pub use lines::{Lines, Traffic};
pub use load::Load;
pub use regions::{REGIONS, floor_us, one_way_us, region_of};
pub use report::{Percentiles, Rates, Report};

use report::Window;

/// Accounts that pay, each the next one in turn.
const ACCOUNTS: usize = 1_000;
/// After the window, so long is waited for what was handed in within it, in ms.
const REST_MS: u64 = 10_000;
/// How far a run goes between two looks at it, in ms.
const STRIDE_MS: u64 = 100;

/// What a network around the world is made of, and how long its machines take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WideOptions {
    /// Transfers handed in a second, by all clients together, each at any validator.
    pub rate: u64,
    /// How long they are handed in before anything is measured, in ms.
    pub warm_up_ms: u64,
    /// How long is measured, in ms.
    pub window_ms: u64,
    /// What the line of a node carries in each direction, in Mbit/s.
    pub bandwidth_mbit: u64,
    /// Mean of what comes on top of each way, exponential, in thousandths of it.
    pub jitter_permille: u64,
    /// Peers that a node passes gossip on to.
    pub mesh: usize,
    /// To prove the signatures of one transaction among others, in microseconds.
    pub verify_us: u64,
    /// To prove one vote, in microseconds.
    pub vote_us: u64,
    /// To execute one transaction, in microseconds.
    pub execute_us: u64,
    /// To commit one transaction, in microseconds.
    pub commit_us: u64,
}

/// A run that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What everything follows from.
    pub seed: u64,
    /// Range: 1 to 128.
    pub validators: usize,
    /// One sync of a disk, in microseconds.
    pub sync_us: u64,
    /// Shortest time that a leader is given, in ms.
    pub timeout_min_ms: u64,
    /// Shortest time between a block's proposal and its child's, in ms.
    pub min_interval_ms: u64,
    /// Shortest time between two bundles of one node, in ms.
    pub bundle_interval_ms: u64,
    /// The network.
    pub wide: WideOptions,
}

impl Plan {
    /// The options of the run: nothing breaks, and the replicas have the settings of a real node but for those
    /// that the plan names.
    fn options(&self) -> Options {
        let mut options = calm(self.seed, Profile::Lite);
        options.validators = self.validators;
        let real = quorate_replica::Settings::default();
        let timings = &mut options.timings;
        timings.timeout_min_ms = self.timeout_min_ms;
        timings.timeout_max_ms = real.timeout_max_ms;
        timings.min_interval_ms = self.min_interval_ms;
        timings.idle_interval_ms = real.idle_interval_ms;
        timings.bundle_interval_ms = self.bundle_interval_ms;
        timings.ask_timeout_ms = real.ask_timeout_ms;
        timings.sync_interval_ms = real.sync_interval_ms;
        timings.pool_transactions_max = real.pool.transactions_max;
        timings.pool_sender_max = real.pool.sender_max;
        options.disk.sync_us = (self.sync_us, self.sync_us);
        options.disk.log_bytes = LOG_BYTES;
        options.clients.clients = 0;
        options.clients.accounts = ACCOUNTS;
        options.reads.interval_mean_ms = 0;
        options.wide = Some(self.wide.clone());
        options
    }
}

/// Growth at which a vote log is replaced, in bytes: less than by a real node, since all are held in memory.
const LOG_BYTES: u64 = 4 * 1024 * 1024;

/// Runs once. `progress` is told how much of the run is over, in ms of virtual time, and how much there is.
///
/// # Errors
/// [`Violation`] if a checker objects.
pub fn run(plan: &Plan, mut progress: impl FnMut(u64, u64)) -> Result<Report, Violation> {
    let mut world = World::new(plan.options(), &Workshop::new(), &Repertoire::new(), None);
    let (begin, end) = Load::window(&plan.wide);
    let mut advance = |world: &mut World, until: Moment| -> Result<(), Violation> {
        while world.env.now < until {
            let stop = world.env.now.after_ms(STRIDE_MS).min(until);
            while world.advance(stop) {}
            if let Some(violation) = world.env.checkers.violation() {
                return Err(violation.clone());
            }
            world.env.now = stop;
            progress(stop.ms(), end.ms());
        }
        Ok(())
    };
    let traffic = |world: &World| world.env.network.wide.as_ref().map_or(Vec::new(), Lines::traffic);
    world.begin();
    advance(&mut world, begin)?;
    let before = traffic(&world);
    advance(&mut world, end)?;
    let after = traffic(&world);
    let last = end.after_ms(REST_MS);
    while world.env.now < last && world.load.as_ref().is_some_and(|load| !load.is_settled(plan.validators)) {
        let stop = world.env.now.after_ms(STRIDE_MS);
        advance(&mut world, stop)?;
    }
    let hash = world.env.trace.hash();
    let load = world.load.take().map(Rc::new);
    Ok(Report::new(plan, &Window { begin, end, before, after, load, hash }))
}

#[cfg(test)]
mod tests;
