//! The lines of the nodes: what is sent waits for the line of its sender, travels, and waits for the line of
//! its receiver. Also who passes gossip on to whom, and how many bytes went where.
use crate::random::{Dice, Stream};
use crate::time::Moment;

use super::{WideOptions, one_way_us};

/// What a message of either kind costs beside its content: its length, and what the multiplexer and the
/// encryption add.
const FRAME_BYTES: usize = 4 + 12 + 18;
/// Content of a segment of TCP, and what Ethernet, IP and TCP add to it.
const SEGMENT_BYTES: usize = 1_448;
const HEADERS_BYTES: usize = 66;
/// Most peers that a node passes gossip on to, as a multiple of those that it looks for.
const MESH_FACTOR_MAX: usize = 2;

/// What went over the line of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes sent, with everything that is added on the way down to Ethernet.
    pub sent_bytes: u64,
    /// Bytes received, as far as they came from a line.
    pub received_bytes: u64,
    /// Messages sent, one for each receiver.
    pub sent: u64,
    /// Messages received.
    pub received: u64,
}

/// All lines.
pub struct Lines {
    options: WideOptions,
    /// Until when each line is busy, in nanoseconds: sending and receiving.
    busy: Vec<(u64, u64)>,
    traffic: Vec<Traffic>,
    mesh: Vec<Vec<usize>>,
}

/// Bytes on the line for a message with so many bytes of content.
fn line_bytes(content: usize) -> u64 {
    let framed = content.saturating_add(FRAME_BYTES);
    let headers = framed.div_ceil(SEGMENT_BYTES).saturating_mul(HEADERS_BYTES);
    u64::try_from(framed.saturating_add(headers)).unwrap_or(u64::MAX)
}

fn nanos(moment: Moment) -> u64 {
    moment.micros().saturating_mul(1_000)
}

impl Lines {
    /// Idle lines of so many nodes.
    #[must_use]
    pub fn new(options: WideOptions, nodes: usize, seed: u64) -> Self {
        let mesh = mesh(nodes, options.mesh, &mut Dice::new(seed, Stream::Wide));
        Self { options, busy: vec![(0, 0); nodes], traffic: vec![Traffic::default(); nodes], mesh }
    }

    /// Time on the line, in nanoseconds.
    fn takes(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(8_000).checked_div(self.options.bandwidth_mbit).unwrap_or_default()
    }

    /// Sends a message; how long it takes until its last byte would be at the receiver's line, in microseconds.
    pub fn send(&mut self, way: (usize, usize), content: usize, now: Moment, dice: &mut Dice) -> u64 {
        let (from, to) = way;
        let bytes = line_bytes(content);
        let takes = self.takes(bytes);
        let straight = one_way_us(from, to);
        let jitter = dice.exponential(straight.saturating_mul(self.options.jitter_permille) / 1_000);
        let Some((busy, _)) = self.busy.get_mut(from) else { return straight };
        let sent = nanos(now).max(*busy).saturating_add(takes);
        *busy = sent;
        if let Some(traffic) = self.traffic.get_mut(from) {
            traffic.sent = traffic.sent.saturating_add(1);
            traffic.sent_bytes = traffic.sent_bytes.saturating_add(bytes);
        }
        let waited = sent.saturating_sub(nanos(now)).div_ceil(1_000);
        waited.saturating_add(straight).saturating_add(jitter)
    }

    /// The last byte of a message is at the line of its receiver. When it is through, if that is later.
    pub fn land(&mut self, to: usize, content: usize, now: Moment) -> Option<Moment> {
        let bytes = line_bytes(content);
        let takes = self.takes(bytes);
        let traffic = self.traffic.get_mut(to)?;
        traffic.received = traffic.received.saturating_add(1);
        traffic.received_bytes = traffic.received_bytes.saturating_add(bytes);
        let (_, busy) = self.busy.get_mut(to)?;
        // The bytes came one after the other; only another message can be in their way.
        *busy = nanos(now).max(busy.saturating_add(takes));
        let late = busy.saturating_sub(nanos(now)).div_ceil(1_000);
        (late > 0).then(|| now.after_micros(late))
    }

    /// What went over each line so far.
    #[must_use]
    pub fn traffic(&self) -> Vec<Traffic> {
        self.traffic.clone()
    }

    /// To whom a node passes gossip on.
    #[must_use]
    pub fn mesh(&self, node: usize) -> &[usize] {
        self.mesh.get(node).map_or(&[], Vec::as_slice)
    }
}

/// Draws for each node peers to pass gossip on to, in both directions, as long as it has fewer than `degree`.
fn mesh(nodes: usize, degree: usize, dice: &mut Dice) -> Vec<Vec<usize>> {
    let mut mesh = vec![Vec::new(); nodes];
    let most = degree.saturating_mul(MESH_FACTOR_MAX);
    for node in 0..nodes {
        let mut others: Vec<usize> = (0..nodes).filter(|other| *other != node).collect();
        dice.shuffle(&mut others);
        for other in others {
            let is_full = mesh[node].len() >= degree || mesh[other].len() >= most;
            if !is_full && !mesh[node].contains(&other) {
                mesh[node].push(other);
                mesh[other].push(node);
            }
        }
    }
    mesh
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wide::tests::options;

    fn lines(bandwidth_mbit: u64) -> Lines {
        Lines::new(WideOptions { bandwidth_mbit, jitter_permille: 0, ..options() }, 31, 1)
    }

    fn dice() -> Dice {
        Dice::new(1, Stream::Network)
    }

    #[test]
    fn a_large_message_takes_its_time_on_the_line_of_its_sender() {
        let megabyte = 1_000_000;
        let way = one_way_us(0, 1);
        let took = lines(1_000).send((0, 1), megabyte, Moment::ZERO, &mut dice());
        // Eight milliseconds, and not five per cent more for what is added.
        assert!((way + 8_000..way + 8_400).contains(&took), "{took} {way}");
        let slow = lines(100).send((0, 1), megabyte, Moment::ZERO, &mut dice());
        assert!((way + 80_000..way + 84_000).contains(&slow), "{slow} {way}");
    }

    #[test]
    fn a_message_waits_for_those_that_its_sender_sent_before() {
        let mut lines = lines(1_000);
        let first = lines.send((0, 1), 500_000, Moment::ZERO, &mut dice());
        let second = lines.send((0, 1), 500_000, Moment::ZERO, &mut dice());
        let other = lines.send((1, 0), 500_000, Moment::ZERO, &mut dice());
        assert!(second >= first + 4_000, "{first} {second}");
        assert_eq!(other, first);
    }

    #[test]
    fn messages_that_meet_at_a_receiver_come_one_after_the_other() {
        let mut lines = lines(1_000);
        let at = Moment::from_ms(50);
        assert_eq!(lines.land(0, 500_000, at), None);
        let second = lines.land(0, 500_000, at).unwrap();
        assert!((4_000..4_300).contains(&second.since(at)), "{second}");
        assert_eq!(lines.land(0, 500_000, Moment::from_ms(100)), None);
    }

    #[test]
    fn every_byte_is_counted_at_both_ends() {
        let mut lines = lines(1_000);
        lines.send((3, 4), 1_000, Moment::ZERO, &mut dice());
        lines.land(4, 1_000, Moment::from_ms(100));
        let expected = 1_000 + 34 + 66;
        let traffic = lines.traffic();
        assert_eq!((traffic[3].sent_bytes, traffic[3].sent, traffic[3].received), (expected, 1, 0));
        assert_eq!((traffic[4].received_bytes, traffic[4].received, traffic[4].sent), (expected, 1, 0));
    }

    #[test]
    fn gossip_has_as_many_ways_on_as_a_real_mesh() {
        let lines = lines(1_000);
        for node in 0..31 {
            let degree = lines.mesh(node).len();
            assert!((6..=12).contains(&degree), "node {node} has {degree}");
            assert!(lines.mesh(node).iter().all(|other| lines.mesh(*other).contains(&node)));
        }
    }
}
