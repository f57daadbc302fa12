//! The cases that there are, counted and numbered.
use std::fmt;

/// How many validators there are, and how many of them run twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Validators.
    pub validators: usize,
    /// Those that run twice.
    pub twins: usize,
}

impl Shape {
    /// Four validators of which one runs twice: as many as the protocol survives.
    pub const SMALL: Shape = Shape { validators: 4, twins: 1 };

    /// Replicas that run.
    #[must_use]
    pub fn instances(self) -> usize {
        self.validators.saturating_add(self.twins)
    }

    /// Ways to separate the replicas.
    #[must_use]
    pub fn partitions(self) -> u64 {
        bell(self.instances())
    }

    /// What can happen in one round: a way to separate the replicas, and a leader.
    #[must_use]
    pub fn patterns(self) -> u64 {
        self.partitions().saturating_mul(u64::try_from(self.validators).unwrap_or(u64::MAX))
    }

    /// Cases of so many rounds.
    #[must_use]
    pub fn cases(self, rounds: u32) -> u64 {
        self.patterns().saturating_pow(rounds)
    }
}

/// What a twin makes of the other one's votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// It is what it is: it stops as soon as it sees a vote of its key that it did not make.
    Wary,
    /// It does not notice, and votes on.
    Deaf,
}

impl Mode {
    /// Both.
    pub const ALL: [Mode; 2] = [Self::Wary, Self::Deaf];
}

/// One round: who is with whom while one validator leads.
///
/// Validators go by names here: first those that run twice. The replicas are the first copies by name, then
/// the second copies by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// The group of each replica.
    pub groups: Vec<usize>,
    /// Name of the leader.
    pub leader: usize,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its number among those of its shape and length.
    pub number: u64,
    /// See there.
    pub shape: Shape,
    /// See there.
    pub mode: Mode,
    /// What happens, in order.
    pub rounds: Vec<Round>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} case {} of {} rounds:", self.mode, self.number, self.rounds.len())?;
        for Round { groups, leader } in &self.rounds {
            write!(f, " groups ")?;
            groups.iter().try_for_each(|group| write!(f, "{group}"))?;
            write!(f, " under {leader}")?;
        }
        Ok(())
    }
}

/// Number of ways to put things into groups.
fn bell(things: usize) -> u64 {
    // Each row of the triangle begins with the last of the one before.
    let mut row = vec![1_u64];
    for _ in 1..things {
        let mut next = vec![row.last().copied().unwrap_or(1)];
        for above in &row {
            let left = next.last().copied().unwrap_or(0);
            next.push(left.saturating_add(*above));
        }
        row = next;
    }
    row.last().copied().unwrap_or(1)
}

/// The way with this number to put things into groups. Each thing joins a group that has one already, or
/// founds the next; counted are the ways that remain after each choice.
fn groups(things: usize, number: u64) -> Vec<usize> {
    let mut found = Vec::with_capacity(things);
    let (mut number, mut used) = (number, 0_usize);
    for place in 0..things {
        let left = things.saturating_sub(place).saturating_sub(1);
        for group in 0..=used {
            let after = used.max(group.saturating_add(1));
            let ways = completions(left, after);
            if number < ways {
                found.push(group);
                used = after;
                break;
            }
            number = number.saturating_sub(ways);
        }
    }
    found
}

/// Ways to put so many more things into so many groups or new ones.
fn completions(things: usize, used: usize) -> u64 {
    match things.checked_sub(1) {
        None => 1,
        Some(rest) => {
            let joins = u64::try_from(used).unwrap_or(u64::MAX).saturating_mul(completions(rest, used));
            joins.saturating_add(completions(rest, used.saturating_add(1)))
        }
    }
}

impl Case {
    /// The case with this number; numbers begin again when there are no more.
    #[must_use]
    pub fn new(shape: Shape, mode: Mode, rounds: u32, number: u64) -> Self {
        let number = number.checked_rem(shape.cases(rounds)).unwrap_or_default();
        let leaders = u64::try_from(shape.validators).unwrap_or(1).max(1);
        let mut rest = number;
        let round = |_| {
            let pattern = rest % shape.patterns();
            rest /= shape.patterns();
            let leader = usize::try_from(pattern % leaders).unwrap_or_default();
            Round { groups: groups(shape.instances(), pattern / leaders), leader }
        };
        Self { number, shape, mode, rounds: (0..rounds).map(round).collect() }
    }

    /// The case of a seed: consecutive seeds take both modes in turn, and no case twice before all were
    /// taken.
    #[must_use]
    pub fn sample(shape: Shape, rounds: u32, seed: u64) -> Self {
        let mode = if seed & 1 == 0 { Mode::Wary } else { Mode::Deaf };
        let cases = u128::from(shape.cases(rounds)).max(1);
        // A step that shares no factor with the number of cases meets each of them.
        let mut step = cases.saturating_mul(618) / 1_000;
        while common(step, cases) != 1 {
            step = step.saturating_add(1);
        }
        let number = u128::from(seed >> 1) % cases * step % cases;
        Self::new(shape, mode, rounds, u64::try_from(number).unwrap_or_default())
    }
}

/// The greatest common divisor.
fn common(one: u128, other: u128) -> u128 {
    match one.checked_rem(other) {
        None => one,
        Some(rest) => common(other, rest),
    }
}

/// All cases of a shape with so many rounds, in one mode.
pub fn cases_of(shape: Shape, mode: Mode, rounds: u32) -> impl Iterator<Item = Case> {
    (0..shape.cases(rounds)).map(move |number| Case::new(shape, mode, rounds, number))
}

/// All cases of four validators of which one runs twice, in one mode: 43,264 of two rounds.
pub fn cases(mode: Mode, rounds: u32) -> impl Iterator<Item = Case> {
    cases_of(Shape::SMALL, mode, rounds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn five_replicas_are_separated_in_52_ways_and_two_rounds_have_43264_cases() {
        assert_eq!(Shape::SMALL.partitions(), 52);
        assert_eq!(Shape::SMALL.patterns(), 208);
        assert_eq!(Shape::SMALL.cases(2), 43_264);
        assert_eq!(Shape { validators: 4, twins: 2 }.partitions(), 203);
        let ways: BTreeSet<Vec<usize>> = (0..52).map(|number| groups(5, number)).collect();
        assert_eq!(ways.len(), 52);
    }

    #[test]
    fn every_case_is_there_once() {
        let all: BTreeSet<String> = cases(Mode::Wary, 2).map(|case| format!("{:?}", case.rounds)).collect();
        assert_eq!(all.len(), 43_264);
    }

    #[test]
    fn a_sample_takes_no_case_twice_and_in_the_end_all() {
        let taken = |seed| Case::sample(Shape::SMALL, 2, seed);
        let wary: BTreeSet<u64> = (0..43_264).map(|half| taken(half * 2).number).collect();
        assert_eq!(wary.len(), 43_264);
        assert_eq!(taken(7).mode, Mode::Deaf);
        assert_eq!(taken(6).number, taken(7).number);
    }
}
