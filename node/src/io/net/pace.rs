//! How many questions a node may ask: each may cost a read of several megabytes.
use quorate_primitives::PublicKey;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One question each so often, on average.
const INTERVAL: Duration = Duration::from_millis(20);
/// So many may come at once.
const BURST: u32 = 100;

/// For each node the time from which on it would have asked no faster than [`INTERVAL`] allows. Only
/// known nodes are in it, which bounds it.
#[derive(Debug, Default)]
pub(super) struct Pace {
    paid_until: BTreeMap<PublicKey, Instant>,
}

impl Pace {
    /// Whether this node may ask now; counts the question if so.
    pub(super) fn admits(&mut self, peer: PublicKey, now: Instant) -> bool {
        let paid = self.paid_until.entry(peer).or_insert(now);
        let begin = (*paid).max(now);
        if begin.saturating_duration_since(now) + INTERVAL > INTERVAL * BURST {
            return false;
        }
        *paid = begin.checked_add(INTERVAL).unwrap_or(begin);
        true
    }

    /// Forgets a node that is known no longer.
    pub(super) fn forget(&mut self, peer: &PublicKey) {
        self.paid_until.remove(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_admitted_and_then_one_each_interval() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let [peer, other] = [1, 2].map(|byte| PublicKey::from_bytes([byte; 32]));
        assert_eq!((0..500).filter(|_| pace.admits(peer, start)).count(), 100);
        assert!(pace.admits(other, start));
        assert!(!pace.admits(peer, start + INTERVAL / 2));
        assert!(pace.admits(peer, start + INTERVAL));
        assert!(!pace.admits(peer, start + INTERVAL));
    }
}
