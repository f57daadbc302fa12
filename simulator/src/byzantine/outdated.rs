//! Goes back to an old copy of all its data from time to time, and votes on as if nothing had been said since.
use crate::puppet::{Filter, Stage, Whim};

/// Marks of what it does.
pub(super) const MARKS: [&str; 2] = ["outdated: kept a copy", "outdated: went back to it"];

const KEEP: u64 = 0;
const RESTORE: u64 = 1;

/// See the module.
#[derive(Default)]
pub(super) struct Outdated;

impl Filter for Outdated {
    fn start(&mut self, stage: &mut Stage<'_>) {
        let after = stage.dice().between(50, 500);
        stage.call_me(KEEP, after);
    }

    fn timer(&mut self, stage: &mut Stage<'_>, tag: u64) {
        let long = stage.dice().coin();
        let after = stage.dice().between(20, if long { 3_000 } else { 300 });
        if tag == KEEP {
            stage.mark(MARKS[0]);
            stage.indulge(Whim::Keep);
            stage.call_me(RESTORE, after);
        } else {
            stage.mark(MARKS[1]);
            stage.indulge(Whim::Restore);
            stage.call_me(KEEP, after);
        }
    }
}
