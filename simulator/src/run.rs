//! One run from its options to its verdict.
//!
//! First comes the part with faults, in which only safety is demanded. Then a quorum of honest nodes, the
//! *core*, is healed and everything else stays as it is for ever; now a new block is demanded within
//! [`Options::healing_ms`], and after that an answer to every open request and that the core agrees.
//! Random faults alone would never find that a network cannot recover, since the next fault hides it.
use quorate_primitives::Hash;
use quorate_primitives::Height;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;

use crate::checkers::Violation;
use crate::coverage::Marks;
use crate::founding::Workshop;
use crate::options::Options;
use crate::puppet::Repertoire;
use crate::random::{Dice, Stream};
use crate::time::Moment;
use crate::world::World;

/// After the first new block, so long may it take until all is answered, beyond what requests are valid for.
const ANSWERS_MS: u64 = 60_000;
/// How far the run goes between two looks at whether it is over, in ms.
const STRIDE_MS: u64 = 20;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The options.
    pub options: Options,
    /// Things that happened.
    pub events: u64,
    /// Height of the last block that was told to be final.
    pub height: u64,
    /// Virtual time, in ms.
    pub virtual_ms: u64,
    /// Requests of clients.
    pub requests: usize,
    /// Half of the requests were final within so much time, in ms; 0 if none was.
    pub finality_p50_ms: u64,
    /// All but one in a hundred were.
    pub finality_p99_ms: u64,
    /// Time from healing to the first new block, in ms, and the time allowed.
    pub healing_ms: Option<(u64, u64)>,
    /// Rare branches that were met.
    pub marks: Marks,
    /// Hash of everything that happened.
    pub hash: Hash,
    /// What was not as it must be.
    pub violation: Option<Violation>,
    /// Every node in one line, at the end.
    pub nodes: Vec<String>,
    /// The last events, if something was wrong.
    pub last: Vec<String>,
}

impl Report {
    /// Whether nothing was wrong.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.violation.is_none()
    }
}

/// A run as one line of JSON.
#[derive(Serialize)]
pub struct ReportLine<'a> {
    seed: u64,
    profile: &'a str,
    nodes: usize,
    events: u64,
    heights: u64,
    virtual_ms: u64,
    requests: usize,
    finality_p50_ms: u64,
    finality_p99_ms: u64,
    healing_ms: Option<u64>,
    marks: BTreeMap<&'static str, u64>,
    trace: String,
    verdict: &'static str,
    violation: Option<String>,
}

impl<'a> From<&'a Report> for ReportLine<'a> {
    fn from(report: &'a Report) -> Self {
        Self {
            seed: report.options.seed,
            profile: report.options.profile.name(),
            nodes: report.nodes.len(),
            events: report.events,
            heights: report.height,
            virtual_ms: report.virtual_ms,
            requests: report.requests,
            finality_p50_ms: report.finality_p50_ms,
            finality_p99_ms: report.finality_p99_ms,
            healing_ms: report.healing_ms.map(|(took, _)| took),
            marks: report.marks.iter().collect(),
            trace: report.hash.to_string(),
            verdict: if report.is_passed() { "PASS" } else { "FAIL" },
            violation: report.violation.as_ref().map(|found| format!("{}: {}", found.property, found.detail)),
        }
    }
}

/// Runs once. `out` takes the whole trace as text.
pub fn run(
    options: Options,
    workshop: &Workshop,
    programs: &Repertoire,
    out: Option<Box<dyn Write>>,
) -> Report {
    let mut run = Run { healing: None, world: World::new(options, workshop, programs, out) };
    run.world.begin();
    run.with_faults();
    if run.world.env.options.liveness {
        run.healed();
    }
    run.finish();
    run.report()
}

struct Run {
    world: World,
    healing: Option<(u64, u64)>,
}

impl Run {
    /// Goes on until something holds; false if it does not by `end`, or something is wrong.
    fn until(&mut self, end: Moment, holds: impl Fn(&World) -> bool) -> bool {
        loop {
            if holds(&self.world) {
                return true;
            }
            if self.world.env.now >= end || !self.world.env.checkers.is_content() {
                return false;
            }
            let stop = self.world.env.now.after_ms(STRIDE_MS).min(end);
            while self.world.advance(stop) {}
            self.world.env.now = self.world.env.now.max(stop);
        }
    }

    fn with_faults(&mut self) {
        let options = std::rc::Rc::clone(&self.world.env.options);
        let end = Moment::from_ms(options.faulty_ms_max);
        self.until(end, |world| {
            world.env.checkers.height().get() >= options.heights || world.events() >= options.events_max
        });
    }

    /// Heals a core and demands that it goes on.
    fn healed(&mut self) {
        if !self.world.env.checkers.is_content() {
            return;
        }
        let mut dice = Dice::new(self.world.env.options.seed, Stream::Healing);
        let Some(core) = self.world.choose_core(&[], &mut dice) else {
            self.world.env.marks.hit("no quorum left to heal");
            return;
        };
        self.world.heal(&core, &mut dice);
        let options = std::rc::Rc::clone(&self.world.env.options);
        let begun = self.world.env.now.after_ms(options.network.connect_ms_max.saturating_mul(2));
        let height = self.world.env.checkers.height();
        let allowed = options.healing_ms();
        let end = begun.after_ms(allowed);
        if !self.until(end, |world| world.env.checkers.height() > height) {
            let detail =
                format!("no block after {height} within {allowed} ms, although nodes {core:?} are healed");
            return self.world.env.violate("liveness", detail);
        }
        self.healing = Some((self.world.env.now.since(begun) / 1_000, allowed));
        self.all_answered(core, height, &mut dice);
    }

    /// Demands that everybody is answered, and that the core agrees.
    fn all_answered(&mut self, mut core: Vec<usize>, height: Height, dice: &mut Dice) {
        let valid = self.world.env.options.clients.validity_ms.saturating_mul(2);
        let allowed = ANSWERS_MS.saturating_add(valid);
        loop {
            let end = self.world.env.now.after_ms(allowed);
            let members = core.clone();
            let is_done = |world: &World| world.clients.open() == 0 && world.has_converged(&members, height);
            let stops = self.until(end, |world| is_done(world) || !world.is_core(&members));
            if stops && is_done(&self.world) {
                return;
            }
            if !stops {
                break;
            }
            let Some(wider) = self.world.choose_core(&core, dice) else {
                self.world.env.marks.hit("no quorum left to heal");
                return;
            };
            self.world.env.marks.hit("validators change after healing");
            self.world.cure(&wider);
            core = wider;
        }
        let detail = format!(
            "{} requests are open ({}), and the nodes {core:?} stand at {:?}, {allowed} ms after the last change",
            self.world.clients.open(),
            self.world.clients.describe_open(),
            self.world.heights(&core)
        );
        self.world.env.violate("liveness", detail);
    }

    /// What can only be said when all is over.
    fn finish(&mut self) {
        if self.world.env.checkers.is_content() {
            let now = self.world.env.now;
            self.world.env.checkers.finish(now);
            self.world.compare_ledgers();
            crate::byzantine::court::look(&mut self.world);
        }
    }

    fn report(mut self) -> Report {
        let env = &mut self.world.env;
        let latencies = self.world.clients.latencies();
        let violation = env.checkers.violation().cloned();
        Report {
            options: (*env.options).clone(),
            events: self.world.events(),
            height: self.world.env.checkers.height().get(),
            virtual_ms: self.world.env.now.ms(),
            requests: self.world.clients.asked(),
            finality_p50_ms: quantile(&latencies, 500) / 1_000,
            finality_p99_ms: quantile(&latencies, 990) / 1_000,
            healing_ms: self.healing,
            hash: self.world.env.trace.hash(),
            nodes: self.world.describe(),
            last: if violation.is_some() { self.world.env.trace.last() } else { Vec::new() },
            marks: self.world.env.marks,
            violation,
        }
    }
}

/// Of ascending numbers the one below which so many of a thousand lie; 0 if there are none.
#[must_use]
pub fn quantile(sorted: &[u64], permille: usize) -> u64 {
    let position = sorted.len().saturating_mul(permille) / 1_000;
    sorted.get(position).or(sorted.last()).copied().unwrap_or_default()
}

/// Whether a node stands at a height.
pub(crate) fn at_least(found: Option<Height>, height: Height) -> bool {
    found.is_some_and(|found| found >= height)
}
