//! Many runs: seeds handed out to threads, each of which simulates one network at a time.
//!
//! A run never shares anything with another one but signed payments and founding documents, which do not
//! depend on the seed, so the verdict and the trace of a seed are the same in any campaign.
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use crate::byzantine::repertoire;
use crate::coverage::Marks;
use crate::founding::Workshop;
use crate::options::{Options, Profile};
use crate::run::{self, Report};
use crate::swarm::{self, Wishes};
use crate::twins::{self, Case, Mode, Shape};

/// Rounds of a case of twins.
const TWIN_ROUNDS: u32 = 2;
/// A campaign of so many runs must have met every mark that its profile owes.
pub const OWING_RUNS: u64 = 200;

/// What one run is about: together with the program all that a replay needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// A network with these options.
    Network(Box<Options>),
    /// A validator that runs twice, in this case of two rounds.
    Twins {
        /// Names the run.
        seed: u64,
        /// Number of the case.
        number: u64,
        /// Whether the twins do not notice each other.
        deaf: bool,
    },
}

impl Task {
    /// The run of a seed.
    #[must_use]
    pub fn of(seed: u64, profile: Profile, wishes: Wishes) -> Self {
        if profile == Profile::Twins {
            let case = Case::sample(Shape::SMALL, TWIN_ROUNDS, seed);
            return Self::Twins { seed, number: case.number, deaf: case.mode == Mode::Deaf };
        }
        Self::Network(Box::new(swarm::draw(seed, profile, wishes)))
    }

    /// The seed that names it.
    #[must_use]
    pub fn seed(&self) -> u64 {
        match self {
            Self::Network(options) => options.seed,
            Self::Twins { seed, .. } => *seed,
        }
    }

    /// The profile that it was drawn from.
    #[must_use]
    pub fn profile(&self) -> Profile {
        match self {
            Self::Network(options) => options.profile,
            Self::Twins { .. } => Profile::Twins,
        }
    }

    /// Runs it. `out` takes the whole trace of a network as text; that of twins is not told.
    #[must_use]
    pub fn run(&self, workshop: &Workshop, out: Option<Box<dyn Write>>) -> Report {
        match self {
            Self::Network(options) => run::run((**options).clone(), workshop, &repertoire(), out),
            Self::Twins { seed, number, deaf } => {
                let mode = if *deaf { Mode::Deaf } else { Mode::Wary };
                let mut report = twins::run(&Case::new(Shape::SMALL, mode, TWIN_ROUNDS, *number), workshop);
                report.options.seed = *seed;
                report.options.profile = Profile::Twins;
                report
            }
        }
    }
}

/// Which runs a campaign is made of.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The first seed.
    pub first: u64,
    /// How many seeds follow one another; none for as many as there is time for.
    pub count: Option<u64>,
    /// What they are drawn from.
    pub profile: Profile,
    /// What is not drawn.
    pub wishes: Wishes,
    /// Threads.
    pub jobs: usize,
}

/// Runs a campaign. Every run is handed to `each` as soon as it has ended, in no particular order; when
/// that answers false, no further run begins.
pub fn run(plan: Plan, mut each: impl FnMut(Task, Report) -> bool) {
    let next = AtomicU64::new(0);
    let is_over = AtomicBool::new(false);
    let (results, ended) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.max(1) {
            let (next, is_over, results) = (&next, &is_over, results.clone());
            scope.spawn(move || {
                let workshop = Workshop::new();
                while !is_over.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if plan.count.is_some_and(|count| number >= count) {
                        return;
                    }
                    let task = Task::of(plan.first.wrapping_add(number), plan.profile, plan.wishes);
                    let report = task.run(&workshop, None);
                    if results.send((task, report)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        for (task, report) in ended {
            if !each(task, report) {
                is_over.store(true, Ordering::Relaxed);
            }
        }
    });
}

/// Marks of what clients must have read, refused and been refused.
const READS: [&str; 42] = [
    "read: values of the state",
    "read: account",
    "read: balances",
    "read: asset",
    "read: evidence",
    "read: transaction",
    "read: finality",
    "read: head",
    "read: block",
    "read: validators",
    "read: standing",
    "read: list of assets",
    "read: how the node is",
    "read: proven absence",
    "read: not there",
    "read: proof of an end that was waited for",
    "refused: bit changed",
    "refused: bytes missing",
    "refused: bytes added",
    "refused: bytes exchanged",
    "refused: other certificate",
    "refused: elements swapped",
    "refused: element missing",
    "refused: element repeated",
    "refused: other value",
    "refused: part left out",
    "malformed: cut off",
    "malformed: changed bytes",
    "malformed: unknown method",
    "malformed: wrong type",
    "malformed: huge number",
    "malformed: nested too deep",
    "malformed: batch",
    "malformed: subscription without a socket",
    "malformed: asks for no answer",
    "malformed: envelope",
    "malformed: state keys",
    "malformed: transaction",
    "malformed: forged signature",
    "malformed: many transactions",
    "malformed: limit out of range",
    "malformed: not hexadecimal",
];

/// Marks that a campaign of a profile must have met, or it has proven nothing.
#[must_use]
pub fn owed(profile: Profile) -> Vec<&'static str> {
    let common = ["client asks again", "reply: committed already", "packet twice"];
    let more: &[&str] = match profile {
        Profile::Lite => {
            &["crash between steps", "power failure of all", "partition", "torn end of a vote log"]
        }
        Profile::Swarm => &[
            "crash between steps",
            "crash between effects",
            "power failure of all",
            "partition",
            "packet corrupted",
            "undecodable packet",
            "pause",
            "clock jumps",
            "ledger lost",
            "lost vote log begun anew",
            "vote log replaced",
            "governance adds",
            "governance removes",
            "governance rotates a key",
            "reply: refused",
            "read: epochs",
            "read: followed the epochs",
        ],
        Profile::Storage => &[
            "crash between steps",
            "crash between effects",
            "power lost",
            "torn end of a vote log",
            "vote log replaced",
            "ledger lost",
            "lost vote log begun anew",
        ],
        Profile::Byzantine => &["peer banned", "evidence of two notarize votes", "invalid signature found"],
        Profile::Twins => return twins::MARKS.to_vec(),
        Profile::Reconfigure => &[
            "governance adds",
            "governance removes",
            "governance rotates a key",
            "read: epochs",
            "read: followed the epochs",
        ],
        Profile::ExactQuorum => &["crash between steps"],
        Profile::Correlated => &["lost vote log begun anew", "power lost"],
        Profile::Poison => &["reply: refused", "asked mint", "asked burn", "wrong: used nonce"],
    };
    let network = matches!(profile, Profile::Lite | Profile::Swarm);
    let common = common.into_iter().filter(|mark| network || *mark != "packet twice");
    let reads = READS.iter().copied().filter(|_| network);
    common.chain(more.iter().copied()).chain(reads).collect()
}

/// Marks that a campaign owes and did not meet; none is owed by a campaign of less than [`OWING_RUNS`].
#[must_use]
pub fn missing(profile: Profile, runs: u64, marks: &Marks) -> Vec<&'static str> {
    if runs < OWING_RUNS { Vec::new() } else { marks.missing(&owed(profile)) }
}
