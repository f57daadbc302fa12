//! When a gossiped message that was found good goes on to others.
//!
//! Its author sends a message to all its neighbours, and whoever receives it tells its own at once
//! that it wants no copy (IDONTWANT). Passing a message on before such word can be here only makes
//! copies of it, so it waits for as long as the word takes: a message comes from its author to the
//! neighbour, and word of it from there to us, at most one round trip to that neighbour after the
//! message came to us, if no way is shorter over a third node. Then it goes to those that gave no
//! word: the ones that the author does not reach.
use quorate_primitives::PublicKey;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::GossipId;

/// Time for the neighbours' threads and queues, beside the way.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// Longest wait, however far away a neighbour is or says that it is. The library remembers a message
/// for four seconds at the least, and what others do not want for three.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// Most messages that wait; when there are more, the oldest go on at once.
const WAITING_MAX: usize = 4_096;

/// A gossiped message that was found good.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Good {
    pub(super) id: GossipId,
    /// The node that it came from.
    pub(super) from: PublicKey,
}

/// The good messages that wait to be passed on, in the order in which they were found good.
#[derive(Debug, Default)]
pub(super) struct Relay {
    waiting: VecDeque<(Instant, Good)>,
}

/// How long a message waits when a round trip to the farthest neighbour takes this long.
fn wait(round_trip: Duration) -> Duration {
    round_trip.saturating_add(WAIT_MIN).min(WAIT_MAX)
}

impl Relay {
    /// Lets a message wait. `round_trip` is that to the farthest neighbour.
    pub(super) fn hold(&mut self, message: Good, round_trip: Duration, now: Instant) {
        self.waiting.push_back((now.checked_add(wait(round_trip)).unwrap_or(now), message));
    }

    /// The next message to pass on: its time has come, or too many wait.
    pub(super) fn next(&mut self, now: Instant) -> Option<Good> {
        let (due, _) = self.waiting.front()?;
        if *due > now && self.waiting.len() <= WAITING_MAX {
            return None;
        }
        self.waiting.pop_front().map(|(_, message)| message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::gossipsub::MessageId;

    fn good(number: usize) -> Good {
        let id = GossipId(MessageId::new(&number.to_le_bytes()));
        Good { id, from: PublicKey::from_bytes([1; 32]) }
    }

    #[test]
    fn a_message_waits_for_a_round_trip_to_the_farthest_neighbour_and_is_passed_on_once() {
        let (mut relay, start) = (Relay::default(), Instant::now());
        let round_trip = Duration::from_millis(300);
        relay.hold(good(1), round_trip, start);
        assert_eq!(relay.next(start + round_trip), None);
        assert_eq!(relay.next(start + round_trip + WAIT_MIN), Some(good(1)));
        assert_eq!(relay.next(start + round_trip + WAIT_MIN), None);
    }

    #[test]
    fn no_neighbour_can_make_a_message_wait_for_longer_than_the_bound() {
        let (mut relay, start) = (Relay::default(), Instant::now());
        relay.hold(good(1), Duration::MAX, start);
        assert_eq!(relay.next(start + WAIT_MAX), Some(good(1)));
    }

    #[test]
    fn when_too_many_wait_the_oldest_go_on_at_once() {
        let (mut relay, start) = (Relay::default(), Instant::now());
        for number in 0..WAITING_MAX + 2 {
            relay.hold(good(number), Duration::ZERO, start);
        }
        assert_eq!(relay.next(start), Some(good(0)));
        assert_eq!(relay.next(start), Some(good(1)));
        assert_eq!(relay.next(start), None);
    }
}
