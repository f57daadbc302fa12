//! Marks: rare branches that a campaign must have reached to have tested anything.
//!
//! A mark is a name and how often it was met. A campaign knows which marks its profile owes and ends as
//! *vacuous* when one of them was never hit: a fault that never fires is not survived.
use std::collections::BTreeMap;

/// How often each mark was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(BTreeMap<&'static str, u64>);

impl Marks {
    /// None met.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Meets a mark.
    pub fn hit(&mut self, mark: &'static str) {
        self.add(mark, 1);
    }

    /// Meets a mark so many times.
    pub fn add(&mut self, mark: &'static str, times: u64) {
        let count = self.0.entry(mark).or_default();
        *count = count.saturating_add(times);
    }

    /// How often a mark was met.
    #[must_use]
    pub fn count(&self, mark: &str) -> u64 {
        self.0.get(mark).copied().unwrap_or_default()
    }

    /// Number of different marks met.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none was met.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The marks met by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(mark, count)| (*mark, *count))
    }

    /// Adds those of another run.
    pub fn merge(&mut self, other: &Marks) {
        other.iter().for_each(|(mark, count)| self.add(mark, count));
    }

    /// Those of the given marks that were not met.
    #[must_use]
    pub fn missing(&self, owed: &[&'static str]) -> Vec<&'static str> {
        owed.iter().filter(|mark| self.count(mark) == 0).copied().collect()
    }
}
