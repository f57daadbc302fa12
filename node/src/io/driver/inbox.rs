//! What waits for the replica, in lanes, each with a bound.
//!
//! Nobody waits to put something in: when a lane is full, the newcomer is refused, and its sender
//! says what that means. The replica takes some of each lane in turn, so that no lane starves.
use quorate_primitives::PublicKey;
use quorate_primitives::block::ANSWER_BYTES_MAX;
use quorate_primitives::transaction::TRANSACTION_BYTES_MAX;
use quorate_replica::wire::PEER_MESSAGE_BYTES_MAX;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Kinds of what waits, in the order in which they are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Results of the replica's own requests; their number is bounded by those requests.
    Own,
    /// Protocol messages of peers.
    Protocol,
    /// Bundles, questions and answers.
    Bulk,
    /// Transactions of clients.
    Client,
}

/// Most items of a lane, most bytes, and how many are taken at a time.
struct Bound {
    items: usize,
    bytes: usize,
    turn: usize,
}

const LANES: usize = 4;
/// Most protocol messages of one peer that wait: a flood of one peer must not push out the others.
const PROTOCOL_PER_PEER_MAX: usize = 512;

impl Lane {
    const fn bound(self) -> Bound {
        const MIB: usize = 1024 * 1024;
        match self {
            Self::Own => Bound { items: usize::MAX, bytes: usize::MAX, turn: 256 },
            Self::Protocol => Bound { items: 16_384, bytes: 64 * MIB, turn: 64 },
            Self::Bulk => Bound { items: 1_024, bytes: 64 * MIB, turn: 16 },
            Self::Client => Bound { items: 16_384, bytes: 32 * MIB, turn: 512 },
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Own => 0,
            Self::Protocol => 1,
            Self::Bulk => 2,
            Self::Client => 3,
        }
    }
}

// Whatever the network or a client may send fits into its empty lane.
const _: () = {
    assert!(PEER_MESSAGE_BYTES_MAX <= Lane::Protocol.bound().bytes);
    assert!(ANSWER_BYTES_MAX <= Lane::Bulk.bound().bytes);
    assert!(TRANSACTION_BYTES_MAX <= Lane::Client.bound().bytes);
};

struct Waiting<T> {
    item: T,
    bytes: usize,
    from: Option<PublicKey>,
}

struct Queue<T> {
    items: VecDeque<Waiting<T>>,
    bytes: usize,
}

struct Lanes<T> {
    queues: [Queue<T>; LANES],
    per_peer: BTreeMap<PublicKey, usize>,
    is_stopping: bool,
}

/// Something to put in.
pub(super) struct Parcel<T> {
    /// What.
    pub(super) item: T,
    /// Its size in memory, about.
    pub(super) bytes: usize,
    /// Whose it is; counted for protocol messages.
    pub(super) from: Option<PublicKey>,
}

/// The queue in front of the replica.
pub(super) struct Inbox<T> {
    lanes: Mutex<Lanes<T>>,
    filled: Condvar,
}

impl<T> Inbox<T> {
    pub(super) fn new() -> Self {
        let queues = std::array::from_fn(|_| Queue { items: VecDeque::new(), bytes: 0 });
        let lanes = Lanes { queues, per_peer: BTreeMap::new(), is_stopping: false };
        Self { lanes: Mutex::new(lanes), filled: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Lanes<T>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an item in, or gives it back when its lane is full.
    pub(super) fn push(&self, lane: Lane, parcel: Parcel<T>) -> Result<(), T> {
        let mut lanes = self.lock();
        let Parcel { item, bytes, from } = parcel;
        let from = from.filter(|_| lane == Lane::Protocol);
        let bound = lane.bound();
        let Lanes { queues, per_peer, is_stopping } = &mut *lanes;
        let Some(queue) = queues.get_mut(lane.index()) else { return Err(item) };
        let of_peer = from.and_then(|peer| per_peer.get(&peer)).copied().unwrap_or_default();
        let is_full = queue.items.len() >= bound.items
            || queue.bytes.saturating_add(bytes) > bound.bytes
            || of_peer >= PROTOCOL_PER_PEER_MAX;
        if *is_stopping || is_full {
            return Err(item);
        }
        if let Some(peer) = from {
            per_peer.insert(peer, of_peer + 1);
        }
        queue.bytes = queue.bytes.saturating_add(bytes);
        queue.items.push_back(Waiting { item, bytes, from });
        drop(lanes);
        self.filled.notify_one();
        Ok(())
    }

    /// Takes some of every lane. Waits until there is something or until `deadline`. Returns `false`
    /// when the replica is to stop.
    pub(super) fn take(&self, deadline: Option<Instant>, into: &mut VecDeque<T>) -> bool {
        let mut lanes = self.lock();
        while !lanes.is_stopping && lanes.queues.iter().all(|queue| queue.items.is_empty()) {
            let now = Instant::now();
            lanes = match deadline {
                Some(deadline) if deadline <= now => return true,
                Some(deadline) => {
                    let waited = self.filled.wait_timeout(lanes, deadline.saturating_duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.filled.wait(lanes).unwrap_or_else(PoisonError::into_inner),
            };
        }
        let Lanes { queues, per_peer, is_stopping } = &mut *lanes;
        for (queue, lane) in queues.iter_mut().zip([Lane::Own, Lane::Protocol, Lane::Bulk, Lane::Client]) {
            for _ in 0..lane.bound().turn {
                let Some(waiting) = queue.items.pop_front() else { break };
                queue.bytes = queue.bytes.saturating_sub(waiting.bytes);
                if let Some(peer) = waiting.from {
                    let left = per_peer.get(&peer).copied().unwrap_or_default().saturating_sub(1);
                    if left == 0 {
                        per_peer.remove(&peer)
                    } else {
                        per_peer.insert(peer, left)
                    };
                }
                into.push_back(waiting.item);
            }
        }
        !*is_stopping
    }

    /// Tells the replica to stop; nothing more can be put in.
    pub(super) fn stop(&self) {
        self.lock().is_stopping = true;
        self.filled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(item: u32, from: Option<u8>) -> Parcel<u32> {
        Parcel { item, bytes: 1, from: from.map(|byte| PublicKey::from_bytes([byte; 32])) }
    }

    #[test]
    fn own_results_come_before_messages_and_messages_before_bulk() {
        let inbox = Inbox::new();
        for (lane, item) in [(Lane::Client, 4), (Lane::Bulk, 3), (Lane::Protocol, 2), (Lane::Own, 1)] {
            inbox.push(lane, parcel(item, None)).unwrap();
        }
        let mut taken = VecDeque::new();
        assert!(inbox.take(None, &mut taken));
        assert_eq!(taken, [1, 2, 3, 4]);
    }

    #[test]
    fn a_flood_of_one_peer_leaves_room_for_the_others() {
        let inbox = Inbox::new();
        let accepted =
            (0..2_000).filter(|item| inbox.push(Lane::Protocol, parcel(*item, Some(1))).is_ok()).count();
        assert_eq!(accepted, PROTOCOL_PER_PEER_MAX);
        inbox.push(Lane::Protocol, parcel(7, Some(2))).unwrap();
        let mut taken = VecDeque::new();
        assert!(inbox.take(None, &mut taken));
        inbox.push(Lane::Protocol, parcel(8, Some(1))).unwrap();
    }

    #[test]
    fn a_lane_holds_no_more_bytes_than_its_bound() {
        let inbox = Inbox::new();
        let big = |item| Parcel { item, bytes: 40 * 1024 * 1024, from: None };
        inbox.push(Lane::Bulk, big(1)).unwrap();
        assert_eq!(inbox.push(Lane::Bulk, big(2)), Err(2));
        inbox.push(Lane::Protocol, big(3)).unwrap();
    }

    #[test]
    fn taking_ends_at_the_deadline_and_at_the_stop() {
        let inbox = Inbox::<u32>::new();
        let mut taken = VecDeque::new();
        assert!(inbox.take(Some(Instant::now()), &mut taken));
        inbox.stop();
        assert!(!inbox.take(None, &mut taken));
        assert_eq!(inbox.push(Lane::Own, parcel(1, None)), Err(1));
        assert!(taken.is_empty());
    }
}
