//! A machine that ends at every single operation on its disks, in turn.
//!
//! One network of four validators makes fifty blocks without any trouble. Then it is run again for every
//! change that the first validator made to the files of its vote log or to the tables of its ledger, and at
//! that change its machine ends, with or without losing what was not synced. It must come back by itself,
//! to the same chain as all others. For some of these crashes a second one is placed at every early
//! operation after the restart. Source: reliability of the design, row P1 of the fault matrix.
use crate::disk::Trouble;
use crate::environment::Environment;
use crate::founding::Workshop;
use crate::options::{Options, Profile};
use crate::puppet::Repertoire;
use crate::swarm;
use crate::time::Moment;
use crate::world::World;
use quorate_ledger::store::memory::{Progress, Trouble as StoreTrouble, TroubleKind};
use quorate_primitives::Height;

/// Blocks of the run.
const HEIGHTS: u64 = 50;
/// The machine that ends.
const NODE: usize = 0;
/// Longest virtual time of a run, in ms.
const LIMIT_MS: u64 = 300_000;
/// Operations after a restart at each of which a second crash is placed: more than recovering takes.
const RECOVERY_CALLS: u64 = 16;

/// Which of the machine's disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// Files of the vote log and its marker.
    VoteLog,
    /// Tables of the ledger.
    Ledger,
}

/// Where a machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// At which disk.
    pub device: Device,
    /// After so many operations on it that succeed.
    pub after: u64,
    /// Whether what was not synced may be lost.
    pub power: bool,
}

/// Number of operations on each disk in the run without trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// On the vote log.
    pub vote_log: u64,
    /// On the ledger.
    pub ledger: u64,
}

impl Calls {
    /// Every point at which the machine can end, each with and without the loss of power.
    pub fn points(self) -> impl Iterator<Item = Point> {
        let of = |device, calls| {
            (0..calls).flat_map(move |after| [false, true].map(|power| Point { device, after, power }))
        };
        of(Device::VoteLog, self.vote_log).chain(of(Device::Ledger, self.ledger))
    }
}

/// The points of second crashes, counted from the restart.
pub fn second_points() -> impl Iterator<Item = Point> {
    Calls { vote_log: RECOVERY_CALLS, ledger: RECOVERY_CALLS / 4 }.points()
}

fn options(seed: u64, power: bool) -> Options {
    let mut options = swarm::calm(seed, Profile::Storage);
    options.heights = HEIGHTS;
    // Several epochs and several files of the vote log.
    options.epoch_length = 20;
    options.disk.log_bytes = 24 * 1024;
    options.disk.ledger_sync_ms = 500;
    options.disk.power_permille = if power { 1_000 } else { 0 };
    options.faults.down_ms_max = 300;
    options
}

fn plan(world: &World, point: Point) {
    let node = &world.nodes[NODE];
    // How much of a write is done differs from point to point.
    let part = point.after.wrapping_mul(389) % 1_001;
    match point.device {
        Device::VoteLog => node.disk.disk().plan(point.after, Trouble::Crash, part),
        Device::Ledger => {
            let progress =
                [Progress::Nothing, Progress::Half, Progress::All][usize::from(part.to_le_bytes()[0] % 3)];
            let trouble = StoreTrouble { after: point.after, kind: TroubleKind::Crash, progress };
            node.store.plan(Some(trouble));
        }
    }
}

fn is_far(world: &World) -> bool {
    let height = Height::new(HEIGHTS);
    world.env.checkers.height() >= height && world.nodes.iter().all(|node| node.height() >= Some(height))
}

fn fault(env: &Environment) -> Option<String> {
    env.checkers.violation().map(|found| format!("{} after {} s: {}", found.property, found.at, found.detail))
}

/// Counts the operations of the run without trouble.
#[must_use]
pub fn count(seed: u64, workshop: &Workshop) -> Calls {
    let mut world = World::new(options(seed, false), workshop, &Repertoire::new(), None);
    world.begin();
    let end = Moment::from_ms(LIMIT_MS);
    while !is_far(&world) && world.advance(end) {}
    let node = &world.nodes[NODE];
    Calls { vote_log: node.disk.disk().calls(), ledger: node.store.calls() }
}

/// Runs with a crash at a point, and perhaps a second one at a point after the restart.
///
/// # Errors
/// What was not as it must be.
pub fn run(seed: u64, first: Point, second: Option<Point>, workshop: &Workshop) -> Result<(), String> {
    let mut world = World::new(options(seed, first.power), workshop, &Repertoire::new(), None);
    plan(&world, first);
    world.begin();
    let end = Moment::from_ms(LIMIT_MS);
    let mut next = second;
    while !is_far(&world) {
        if !world.nodes[NODE].is_up()
            && let Some(point) = next.take()
        {
            plan(&world, point);
        }
        if !world.advance(end) {
            break;
        }
    }
    let is_far = is_far(&world);
    let now = world.env.now;
    world.env.checkers.finish(now);
    world.compare_ledgers();
    match fault(&world.env) {
        Some(found) => Err(found),
        None if !is_far => {
            Err(format!("the nodes stand at {:?} after {now} s", world.heights(&[0, 1, 2, 3])))
        }
        None => Ok(()),
    }
}
