//! Looking for how much a network takes.
use std::time::Duration;

use serde::Serialize;

use super::load::Pace;
use super::phases::{Bench, Step};
use super::say;
use super::supply::Demand;
use super::workload::Mix;
use crate::commands::Failure;

/// How long each step lasts that looks for the maximum.
const PROBE: Duration = Duration::from_secs(5);
/// Transactions on their way in the first of these steps; each further step has twice as many.
const IN_FLIGHT_FIRST: usize = 512;
/// As [`IN_FLIGHT_FIRST`], where each transaction has a thousand payments.
const IN_FLIGHT_FIRST_MANY: usize = 4;
/// As [`IN_FLIGHT_FIRST`], in the last of them.
const IN_FLIGHT_LAST: usize = 16_384;
/// A step is as good as the best if it reaches this share of it, in thousandths.
const AS_GOOD: u64 = 950;
/// How long each step of a ramp lasts.
const RAMP_STEP: Duration = Duration::from_secs(5);
/// First rate of a ramp; each further step offers half as many more.
const RAMP_FIRST: u64 = 250;
/// Last rate of a ramp.
const RAMP_LAST: u64 = 1_000_000;
/// A ramp ends when less than this share of what is offered becomes final, in thousandths.
const RAMP_END: u64 = 900;

/// How many transactions must be on their way, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// The fewest with which nearly as many become final as with any other number that was tried.
    pub in_flight: usize,
    /// What became final with these, a second.
    pub finalized_per_second: u64,
    /// The number with which most became final.
    pub best_in_flight: usize,
    /// What became final with those, a second.
    pub best_per_second: u64,
}

impl Chosen {
    /// Of these steps. Where a number was tried twice, what other work takes from the machine can only have
    /// made one of them slower: the faster counts. `None` without a step.
    #[must_use]
    pub fn of(steps: &[Step]) -> Option<Self> {
        let tried = || steps.iter().filter_map(|step| Some((step.in_flight?, step.finalized_per_second)));
        let (best_in_flight, best_per_second) = tried().max_by_key(|(_, found)| *found)?;
        let enough = best_per_second.saturating_mul(AS_GOOD) / 1_000;
        let good = tried().filter(|(_, found)| *found >= enough);
        let (in_flight, _) = good.min_by_key(|(count, _)| *count)?;
        let finalized_per_second =
            tried().filter(|(count, _)| *count == in_flight).map(|(_, found)| found).max()?;
        Some(Self { in_flight, finalized_per_second, best_in_flight, best_per_second })
    }
}

impl Bench<'_> {
    /// Looks for the knee: doubles how many transactions are on their way until that brings less than a
    /// twentieth more, twice. At most `most` are final in a second. Each step is told of in `steps`.
    ///
    /// # Errors
    /// As [`Bench::step`].
    pub async fn search(&self, most: u64, steps: &mut Vec<Step>) -> Result<(), Failure> {
        let mut in_flight =
            if self.workload.mix() == Mix::Many { IN_FLIGHT_FIRST_MANY } else { IN_FLIGHT_FIRST };
        while in_flight <= IN_FLIGHT_LAST {
            let before = best(steps);
            for _ in 0..2 {
                // Twice as many on their way are at most twice as many final; so many need to be in stock.
                let rate = if before == 0 { most } else { most.min(before.saturating_mul(5) / 2) };
                let step = self.step(Pace::InFlight(in_flight), PROBE, Demand::exactly(rate)).await?;
                say(format_args!(
                    "{in_flight} on their way: {} tx/s, final after {} ms",
                    step.finalized_per_second,
                    step.finality.p50_us / 1_000
                ));
                steps.push(step);
                if is_more(best(steps), before) {
                    break;
                }
            }
            if !is_more(best(steps), before) {
                break;
            }
            in_flight = in_flight.saturating_mul(2);
        }
        Ok(())
    }

    /// Rising steps until less becomes final than is offered.
    ///
    /// # Errors
    /// As [`Bench::step`].
    pub async fn ramp(&self, steps: &mut Vec<Step>) -> Result<(), Failure> {
        let mut rate = RAMP_FIRST;
        loop {
            let step = self.step(Pace::Rate(rate), RAMP_STEP, Demand::exactly(rate)).await?;
            say(format_args!("{rate} tx/s offered: {} tx/s final", step.finalized_per_second));
            let enough = step.finalized_per_second.saturating_mul(1_000) >= rate.saturating_mul(RAMP_END);
            steps.push(step);
            if !enough || rate >= RAMP_LAST {
                return Ok(());
            }
            rate = rate.saturating_mul(3) / 2;
        }
    }
}

fn best(steps: &[Step]) -> u64 {
    steps.iter().map(|step| step.finalized_per_second).max().unwrap_or_default()
}

/// Whether so many are more by enough to count.
fn is_more(found: u64, before: u64) -> bool {
    found.saturating_mul(AS_GOOD) / 1_000 > before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(tried: &[(usize, u64)]) -> Vec<Step> {
        let step = |(in_flight, finalized_per_second): &(usize, u64)| Step {
            in_flight: Some(*in_flight),
            finalized_per_second: *finalized_per_second,
            ..Step::default()
        };
        tried.iter().map(step).collect()
    }

    #[test]
    fn the_fewest_are_chosen_that_are_nearly_as_good_as_the_best() {
        let tried = steps(&[(512, 3_000), (1_024, 5_750), (2_048, 6_000), (4_096, 5_900)]);
        let chosen = Chosen::of(&tried).unwrap();
        assert_eq!((chosen.in_flight, chosen.finalized_per_second), (1_024, 5_750));
        assert_eq!((chosen.best_in_flight, chosen.best_per_second), (2_048, 6_000));
    }

    #[test]
    fn of_two_steps_with_as_many_on_their_way_the_faster_counts() {
        let tried = steps(&[(512, 3_000), (1_024, 2_000), (1_024, 3_900)]);
        let chosen = Chosen::of(&tried).unwrap();
        assert_eq!((chosen.in_flight, chosen.finalized_per_second), (1_024, 3_900));
    }

    #[test]
    fn nothing_is_chosen_where_nothing_was_tried() {
        assert_eq!(Chosen::of(&[]), None);
    }

    #[test]
    fn a_gain_of_less_than_a_twentieth_is_none() {
        assert!(!is_more(1_040, 1_000) && is_more(1_060, 1_000) && is_more(1_060, 0) && !is_more(0, 0));
    }
}
