//! Who may not connect for a while, and how long.
use quorate_primitives::PublicKey;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// First ban.
const BAN_MIN: Duration = Duration::from_secs(30);
/// Longest ban. A validator is never shut out for good: its key may be in honest hands again.
const BAN_MAX: Duration = Duration::from_secs(600);
/// After so long without a fault the next ban is short again.
const FORGET: Duration = Duration::from_secs(3_600);

/// Bans by peer. Only keys of known nodes are in it, which bounds it.
#[derive(Debug, Default)]
pub(super) struct Bans {
    entries: BTreeMap<PublicKey, Ban>,
}

#[derive(Debug)]
struct Ban {
    until: Instant,
    length: Duration,
    active: bool,
}

impl Bans {
    /// Bans a peer, twice as long as the last time.
    pub(super) fn ban(&mut self, peer: PublicKey, now: Instant) -> Duration {
        let length = match self.entries.get(&peer) {
            Some(ban) if ban.active => return ban.until.saturating_duration_since(now),
            Some(ban) if now.saturating_duration_since(ban.until) < FORGET => (ban.length * 2).min(BAN_MAX),
            Some(_) | None => BAN_MIN,
        };
        let until = now.checked_add(length).unwrap_or(now);
        self.entries.insert(peer, Ban { until, length, active: true });
        length
    }

    /// Whether the peer is banned.
    pub(super) fn is_banned(&self, peer: &PublicKey) -> bool {
        self.entries.get(peer).is_some_and(|ban| ban.active)
    }

    /// Forgets a peer that may not connect any more in any case.
    pub(super) fn forget(&mut self, peer: &PublicKey) {
        self.entries.remove(peer);
    }

    /// Those whose ban has ended since the last call.
    pub(super) fn ended(&mut self, now: Instant) -> Vec<PublicKey> {
        let over = self.entries.iter_mut().filter(|(_, ban)| ban.active && ban.until <= now);
        over.map(|(peer, ban)| {
            ban.active = false;
            *peer
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_end_double_up_to_a_bound_and_are_forgotten() {
        let peer = PublicKey::from_bytes([1; 32]);
        let mut now = Instant::now();
        let mut bans = Bans::default();
        let mut length = BAN_MIN;
        for _ in 0..8 {
            assert_eq!(bans.ban(peer, now), length);
            assert!(bans.is_banned(&peer) && bans.ended(now).is_empty());
            now += length;
            assert_eq!(bans.ended(now), [peer]);
            assert!(!bans.is_banned(&peer) && bans.ended(now).is_empty());
            length = (length * 2).min(BAN_MAX);
        }
        now += FORGET;
        assert_eq!(bans.ban(peer, now), BAN_MIN);
    }
}
