//! What happened: a running hash over all of it, and the last of it as text.
//!
//! Two runs with the same seed have the same hash, in whatever process, or something that must not
//! decides what happens. The text is only made when somebody wants to read it.
use quorate_primitives::certificate::Claim;
use quorate_primitives::{Hash, Height};
use quorate_replica::Timer;
use sha3::{Digest, Sha3_256};
use std::collections::VecDeque;
use std::fmt;
use std::io::Write;
use std::rc::Rc;

use crate::time::Moment;
use crate::wire::{Packet, claim_text, short};

/// Entries that are kept for reading.
pub const RING_MAX: usize = 10_000;
/// Bytes that are gathered for one step of the hash.
const BUFFER_BYTES: usize = 16 * 1024;

/// Stands for bytes in the trace: quick, and different for different bytes unless somebody tries.
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let mix = |state: u64, word: u64| {
        let mixed = (state ^ word).wrapping_mul(FACTOR);
        mixed ^ (mixed >> 29)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let state = words.iter().fold(length, |state, word| mix(state, u64::from_le_bytes(*word)));
    rest.iter().fold(state, |state, byte| mix(state, u64::from(*byte)))
}

/// The first eight bytes of a hash.
#[must_use]
pub fn word(hash: &Hash) -> u64 {
    hash.as_bytes().first_chunk::<8>().copied().map_or(0, u64::from_le_bytes)
}

/// Which node an entry is about; none for the network or a client.
pub type Whom = Option<usize>;

/// One thing that happened.
#[derive(Clone)]
pub enum What {
    /// A packet came.
    Came {
        /// From which node.
        from: usize,
        /// What it is.
        packet: Rc<Packet>,
    },
    /// A packet was sent.
    Sent {
        /// To how many nodes.
        to: usize,
        /// What it is.
        packet: Rc<Packet>,
    },
    /// A timer fired.
    Fired(Timer),
    /// A timer was set, for so many ms.
    Armed(Timer, u64),
    /// A claim was signed.
    Signed(Claim),
    /// Records became durable: how many, and what stands for their bytes.
    Recorded(u64, u64),
    /// A block was committed.
    Committed(Height, Hash),
    /// Something else: what, and two numbers or parts of hashes that belong to it.
    Note(&'static str, u64, u64),
}

fn timer_word(timer: &Timer) -> u64 {
    use quorate_consensus::Timer as Protocol;
    let (kind, view) = match timer {
        Timer::Consensus(_, Protocol::Propose(view)) => (1, view.get()),
        Timer::Consensus(_, Protocol::View(view)) => (2, view.get()),
        Timer::Consensus(_, Protocol::Retry(view)) => (3, view.get()),
        Timer::Consensus(_, Protocol::Relay(view)) => (4, view.get()),
        Timer::Bundle => (5, 0),
        Timer::Build => (6, 0),
        Timer::Judge => (7, 0),
        Timer::Execute => (8, 0),
        Timer::Fetch => (9, 0),
        Timer::Sync => (10, 0),
        Timer::Guard => (11, 0),
    };
    view.wrapping_mul(16).wrapping_add(kind)
}

fn claim_word(claim: &Claim) -> u64 {
    let block = claim.block().map_or(0, |block| word(&block));
    let kind = claim.kind() as u64;
    block ^ claim.view().get().wrapping_mul(4).wrapping_add(kind).wrapping_mul(0x9e37_79b9)
}

impl What {
    fn words(&self) -> [u64; 3] {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        match self {
            Self::Came { from, packet } => [1, number(*from), packet.digest()],
            Self::Sent { to, packet } => [2, number(*to), packet.digest()],
            Self::Fired(timer) => [3, timer_word(timer), 0],
            Self::Armed(timer, after_ms) => [4, timer_word(timer), *after_ms],
            Self::Signed(claim) => [5, claim_word(claim), 0],
            Self::Recorded(count, bytes) => [6, *count, *bytes],
            Self::Committed(height, block) => [7, height.get(), word(block)],
            Self::Note(name, first, second) => [digest(name.as_bytes()), *first, *second],
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Came { from, packet } => write!(f, "from {from}: {packet}"),
            Self::Sent { to, packet } => write!(f, "sends to {to}: {packet}"),
            Self::Fired(timer) => write!(f, "timer {timer:?}"),
            Self::Armed(timer, after_ms) => write!(f, "arms {timer:?} for {after_ms} ms"),
            Self::Signed(claim) => write!(f, "signs {}", claim_text(claim)),
            Self::Recorded(count, _) => write!(f, "records {count}"),
            Self::Committed(height, block) => write!(f, "commits {} at height {height}", short(block)),
            Self::Note(name, first, second) => write!(f, "{name} {first} {second}"),
        }
    }
}

struct Entry {
    at: Moment,
    whom: Whom,
    what: What,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whom {
            Some(node) => write!(f, "{} node {node} {}", self.at, self.what),
            None => write!(f, "{} {}", self.at, self.what),
        }
    }
}

/// The record of one run.
pub struct Trace {
    state: [u8; 32],
    buffer: Vec<u8>,
    ring: VecDeque<Entry>,
    entries: u64,
    out: Option<Box<dyn Write>>,
}

impl Trace {
    /// Nothing happened yet. With `out`, every entry is also written there as a line of text.
    #[must_use]
    pub fn new(out: Option<Box<dyn Write>>) -> Self {
        Self {
            state: [0; 32],
            buffer: Vec::with_capacity(BUFFER_BYTES.saturating_add(64)),
            ring: VecDeque::new(),
            entries: 0,
            out,
        }
    }

    /// Adds an entry.
    pub fn note(&mut self, at: Moment, whom: Whom, what: What) {
        let node = whom.and_then(|node| u64::try_from(node).ok()).unwrap_or(u64::MAX);
        let [first, second, third] = what.words();
        for number in [at.micros(), node, first, second, third] {
            self.buffer.extend(number.to_le_bytes());
        }
        if self.buffer.len() >= BUFFER_BYTES {
            self.fold();
        }
        self.entries = self.entries.saturating_add(1);
        let entry = Entry { at, whom, what };
        if let Some(out) = &mut self.out {
            // A trace that cannot be written is not worth ending the run for.
            let _ = writeln!(out, "{entry}");
        }
        if self.ring.len() >= RING_MAX {
            self.ring.pop_front();
        }
        self.ring.push_back(entry);
    }

    fn fold(&mut self) {
        let mut hasher = Sha3_256::new();
        hasher.update(self.state);
        hasher.update(&self.buffer);
        self.state = hasher.finalize().into();
        self.buffer.clear();
    }

    /// Number of entries so far.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Hash of everything that happened.
    pub fn hash(&mut self) -> Hash {
        if !self.buffer.is_empty() {
            self.fold();
        }
        Hash::from_bytes(self.state)
    }

    /// The last entries as lines of text.
    #[must_use]
    pub fn last(&self) -> Vec<String> {
        self.ring.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_every_part_of_every_entry() {
        let hash = |at: u64, whom: Whom, what: What| {
            let mut trace = Trace::new(None);
            trace.note(Moment::from_ms(1), None, What::Note("begin", 0, 0));
            trace.note(Moment::from_ms(at), whom, what);
            trace.hash()
        };
        let base = hash(2, Some(1), What::Note("a", 1, 2));
        assert_eq!(base, hash(2, Some(1), What::Note("a", 1, 2)));
        assert_ne!(base, hash(3, Some(1), What::Note("a", 1, 2)));
        assert_ne!(base, hash(2, None, What::Note("a", 1, 2)));
        assert_ne!(base, hash(2, Some(1), What::Note("b", 1, 2)));
        assert_ne!(base, hash(2, Some(1), What::Note("a", 1, 3)));
    }

    #[test]
    fn only_the_last_entries_are_kept_as_text() {
        let mut trace = Trace::new(None);
        for number in 0..u64::try_from(RING_MAX).unwrap() + 5 {
            trace.note(Moment::ZERO, None, What::Note("n", number, 0));
        }
        let last = trace.last();
        assert_eq!(last.len(), RING_MAX);
        assert_eq!(last[0], "0.000000 n 5 0");
        assert_eq!(trace.entries(), u64::try_from(RING_MAX).unwrap() + 5);
    }

    #[test]
    fn digests_tell_bytes_of_equal_beginning_apart() {
        assert_ne!(digest(&[0; 8]), digest(&[0; 9]));
        assert_ne!(digest(b"abcdefgh1"), digest(b"abcdefgh2"));
    }
}
