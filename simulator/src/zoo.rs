//! The bug zoo: whether the simulator finds bugs that are there.
//!
//! A simulator that never finds anything may be blind. So each [bug](Bug) is planted in the product, and run
//! after run is made, as a campaign would, until somebody notices: a checker, an assertion of the product,
//! or, after as many runs as a campaign owes its marks for, the absence of a mark.
use quorate_primitives::zoo::{Bug, plant};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::byzantine;
use crate::campaign::{self, Task};
use crate::coverage::Marks;
use crate::founding::Workshop;
use crate::options::Profile;
use crate::run::Report;
use crate::swarm::Wishes;

/// The part with faults ends after so many events: some bugs make views race, and a network that stands
/// still is known to do so when it is healed.
const EVENTS_MAX: u64 = 200_000;

/// Where a bug is hunted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Runs as a profile draws them.
    Profile(Profile),
    /// Runs with validators that misbehave, all of them by this program.
    Program(&'static str),
}

impl Ground {
    /// Where bugs are hunted that need nothing in particular.
    pub const COMMON: Ground = Ground::Profile(Profile::Lite);

    /// A bug that needs somebody who does what no honest validator does, or what seldom happens to one, is
    /// hunted where that is.
    #[must_use]
    pub const fn of(bug: Bug) -> Self {
        match bug {
            Bug::SecondProposal | Bug::TallyWithoutBlock | Bug::RetryOff | Bug::EvidenceIgnored => {
                Self::Profile(Profile::Twins)
            }
            Bug::HighWaterIgnored => Self::Profile(Profile::Storage),
            // Of four validators three are a quorum either way.
            Bug::QuorumOfTwoFPlusOne => Self::Profile(Profile::Swarm),
            Bug::SignersCountedTwice | Bug::UnderfullAccepted => Self::Program("forger"),
            Bug::UncheckedVotesCount | Bug::ViewWindowUnbounded => Self::Program("flooder"),
            Bug::SyncUnverified => Self::Program("liar"),
            Bug::FutureBlocks => Self::Program("bad-block"),
            _ => Self::COMMON,
        }
    }

    /// What it is called in a list.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Profile(profile) => profile.name(),
            Self::Program(program) => program,
        }
    }

    /// The profile that its runs are drawn from.
    #[must_use]
    pub const fn profile(self) -> Profile {
        match self {
            Self::Profile(profile) => profile,
            Self::Program(_) => Profile::Byzantine,
        }
    }

    /// The run of a seed.
    #[must_use]
    pub fn task(self, seed: u64) -> Task {
        let mut task = Task::of(seed, self.profile(), Wishes::default());
        if let Task::Network(options) = &mut task {
            options.events_max = options.events_max.min(EVENTS_MAX);
            if let Self::Program(program) = self {
                byzantine::only(options, program);
            }
        }
        task
    }
}

/// How a bug was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catch {
    /// Runs that it took.
    pub seeds: u64,
    /// What was broken: a property, an assertion, or that nothing was proven.
    pub property: String,
    /// What was found.
    pub detail: String,
}

/// Makes the runs of a ground from seed 1 on, with a bug or without, until something is noticed. Begins no
/// further run when `is_over` says so.
#[must_use]
pub fn hunt(bug: Option<Bug>, ground: Ground, seeds: u64, is_over: impl Fn() -> bool) -> Option<Catch> {
    // Founding documents and payments that a bug may have spoiled go with it.
    let mut workshop = Workshop::new();
    let mut marks = Marks::new();
    for seed in 1..=seeds {
        if is_over() {
            return None;
        }
        let task = ground.task(seed);
        plant(bug);
        let run = catch_unwind(AssertUnwindSafe(|| task.run(&workshop, None)));
        plant(None);
        let caught = match run {
            Ok(report) => {
                marks.merge(&report.marks);
                noticed(&report)
            }
            Err(cause) => {
                workshop = Workshop::new();
                Some(("panic".to_owned(), said(cause.as_ref())))
            }
        };
        if let Some((property, detail)) = caught {
            return Some(Catch { seeds: seed, property, detail });
        }
        if seed == campaign::OWING_RUNS
            && let Ground::Profile(profile) = ground
            && let Some(mark) = campaign::missing(profile, seed, &marks).first()
        {
            let detail = format!("never met: {mark}");
            return Some(Catch { seeds: seed, property: "vacuous".to_owned(), detail });
        }
    }
    None
}

fn noticed(report: &Report) -> Option<(String, String)> {
    let found = report.violation.as_ref()?;
    Some((found.property.to_owned(), found.detail.clone()))
}

/// What a panic said.
fn said(cause: &(dyn std::any::Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().cloned();
    text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
