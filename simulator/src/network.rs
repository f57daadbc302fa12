//! The network: which packets arrive, when, and which nodes know that they can reach each other.
//!
//! Between two nodes there is at most one connection. It carries packets in order unless the options say
//! otherwise, loses some, and is noticed to be gone only after a while. Nothing is held back for later:
//! what was lost is lost.
use crate::options::{NetworkOptions, PartitionShape};
use crate::random::{Dice, Stream};
use crate::time::Moment;
use crate::wide::Lines;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// It never arrives.
    Lost(&'static str),
    /// It arrives.
    Arrives {
        /// When.
        at: Moment,
        /// A second copy arrives then.
        again: Option<Moment>,
        /// A byte is changed on the way.
        is_corrupt: bool,
    },
}

/// One direction between two nodes.
#[derive(Clone, Debug, Default)]
struct Lane {
    /// By a partition.
    is_cut: bool,
    clogged_until: Moment,
    last_arrival: Moment,
    in_flight: usize,
    /// The sender's end knows the connection.
    is_open: bool,
    /// The sender does not want to talk to the receiver.
    banned_until: Moment,
    /// Something was changed on the way: whatever the receiver thinks of the sender is no one's fault.
    was_corrupted: bool,
    /// Counts how often the connection was opened.
    generation: u64,
}

/// All links.
pub struct Network {
    options: NetworkOptions,
    dice: Dice,
    size: usize,
    lanes: Vec<Lane>,
    /// Links that packets pass through without harm, once healed.
    is_gentle: bool,
    /// What a network around the world is made of.
    pub wide: Option<Lines>,
}

impl Network {
    /// A network of so many nodes, none of which are connected.
    #[must_use]
    pub fn new(options: NetworkOptions, size: usize, seed: u64) -> Self {
        let lanes = vec![Lane::default(); size.saturating_mul(size)];
        Self { options, dice: Dice::new(seed, Stream::Network), size, lanes, is_gentle: false, wide: None }
    }

    fn position(&self, from: usize, to: usize) -> usize {
        from.saturating_mul(self.size).saturating_add(to)
    }

    fn lane(&mut self, from: usize, to: usize) -> &mut Lane {
        let position = self.position(from, to);
        &mut self.lanes[position]
    }

    fn see(&self, from: usize, to: usize) -> &Lane {
        &self.lanes[self.position(from, to)]
    }

    /// The draws of the network.
    pub fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    /// The options in force.
    #[must_use]
    pub fn options(&self) -> &NetworkOptions {
        &self.options
    }

    // Packets.

    /// What becomes of a packet of so many bytes that is sent now.
    pub fn route(&mut self, from: usize, to: usize, bytes: usize, now: Moment) -> Route {
        let Lane { is_cut, is_open, in_flight, clogged_until, last_arrival, .. } = *self.see(from, to);
        if !is_open {
            return Route::Lost("not connected");
        }
        if is_cut {
            return Route::Lost("cut");
        }
        if !self.is_gentle && self.dice.chance(self.options.loss_permille) {
            return Route::Lost("lost");
        }
        if self.options.link_packets_max > 0 && in_flight >= self.options.link_packets_max {
            return Route::Lost("link full");
        }
        let way = match &mut self.wide {
            Some(lines) => lines.send((from, to), bytes, now, &mut self.dice),
            None => self.way(),
        };
        let mut at = now.max(clogged_until).after_micros(way);
        let overtakes = !self.is_gentle && self.dice.chance(self.options.reorder_permille);
        if !overtakes {
            at = at.max(last_arrival);
            self.lane(from, to).last_arrival = at;
        }
        self.lane(from, to).in_flight = in_flight.saturating_add(1);
        let again = (!self.is_gentle && self.dice.chance(self.options.duplicate_permille)).then(|| {
            let later = self.way().saturating_mul(4);
            at.after_micros(later)
        });
        let is_corrupt = !self.is_gentle && self.dice.chance(self.options.corrupt_permille);
        if is_corrupt {
            self.lane(from, to).was_corrupted = true;
        }
        Route::Arrives { at, again, is_corrupt }
    }

    /// How long a packet takes, in microseconds.
    fn way(&mut self) -> u64 {
        let mean = self.options.delay_mean_us;
        self.options.delay_min_us.saturating_add(self.dice.exponential(mean))
    }

    /// A packet arrived.
    pub fn arrived(&mut self, from: usize, to: usize) {
        let lane = self.lane(from, to);
        lane.in_flight = lane.in_flight.saturating_sub(1);
    }

    /// Whether something that `from` sent to `to` was ever changed on the way.
    #[must_use]
    pub fn was_corrupted(&self, from: usize, to: usize) -> bool {
        self.see(from, to).was_corrupted
    }

    /// Holds up everything on one link for a while.
    pub fn clog(&mut self, from: usize, to: usize, until: Moment) {
        self.lane(from, to).clogged_until = until;
    }

    // Connections.

    /// Whether the end at `from` holds a connection to `to`.
    #[must_use]
    pub fn is_open(&self, from: usize, to: usize) -> bool {
        self.see(from, to).is_open
    }

    /// Opens or closes the end at `from` of the connection to `to`. False if it was so already.
    pub fn set_open(&mut self, from: usize, to: usize, is_open: bool) -> bool {
        let lane = self.lane(from, to);
        let changes = lane.is_open != is_open;
        lane.is_open = is_open;
        if changes && is_open {
            lane.in_flight = 0;
            lane.generation = lane.generation.saturating_add(1);
        }
        changes
    }

    /// Which connection the end at `from` holds, or held last.
    #[must_use]
    pub fn generation(&self, from: usize, to: usize) -> u64 {
        self.see(from, to).generation
    }

    /// Whether two nodes could connect.
    #[must_use]
    pub fn can_connect(&self, one: usize, other: usize, now: Moment) -> bool {
        let is_free = |lane: &Lane| !lane.is_cut && lane.banned_until <= now;
        is_free(self.see(one, other)) && is_free(self.see(other, one))
    }

    /// `from` does not talk to `to` for a while. False if that is so already.
    pub fn ban(&mut self, from: usize, to: usize, now: Moment) -> bool {
        // What was changed on its way before the links were healed may arrive after that: the connection
        // ends, but the healed may connect again.
        let is_over = self.is_gentle && (self.was_corrupted(to, from) || self.was_corrupted(from, to));
        let until = if is_over { now } else { now.after_ms(self.options.ban_ms) };
        let lane = self.lane(from, to);
        if lane.banned_until > now {
            return false;
        }
        lane.banned_until = until;
        true
    }

    // Partitions.

    /// Whether a partition separates two nodes in either direction.
    #[must_use]
    pub fn is_cut(&self, one: usize, other: usize) -> bool {
        self.see(one, other).is_cut || self.see(other, one).is_cut
    }

    /// Separates nodes; returns how the sides lie.
    pub fn partition(&mut self, leader: Option<usize>) -> Vec<bool> {
        let (size, shape) = (self.size, self.options.partition);
        let mut side: Vec<bool> = vec![false; size];
        match shape {
            PartitionShape::One => {
                let alone = self.dice.index(size);
                side[alone] = true;
            }
            PartitionShape::Leader => {
                let alone = leader.unwrap_or_else(|| self.dice.index(size));
                side[alone] = true;
            }
            PartitionShape::Uniform => side.iter_mut().for_each(|side| *side = self.dice.coin()),
            PartitionShape::Halves => {
                for node in self.dice.sample(size, size / 2) {
                    side[node] = true;
                }
            }
            PartitionShape::Ring => {}
        }
        let mirrored = self.dice.coin();
        for from in 0..size {
            for to in 0..size {
                let apart = if shape == PartitionShape::Ring {
                    let distance = from.abs_diff(to);
                    distance > 1 && distance < size.saturating_sub(1)
                } else {
                    side[from] != side[to] && (!self.options.one_way || side[from] == mirrored)
                };
                self.lane(from, to).is_cut = apart;
            }
        }
        side
    }

    /// Separates nodes by groups.
    pub fn separate(&mut self, groups: &[usize]) {
        for from in 0..self.size {
            for to in 0..self.size {
                self.lane(from, to).is_cut = groups.get(from) != groups.get(to);
            }
        }
    }

    /// Joins two nodes in spite of a partition.
    pub fn join(&mut self, one: usize, other: usize) {
        self.lane(one, other).is_cut = false;
        self.lane(other, one).is_cut = false;
    }

    /// Ends any partition.
    pub fn unite(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.is_cut = false);
    }

    // Healing.

    /// From now on nothing happens to packets between nodes of the core, except for a delay of at most so
    /// many microseconds in the mean.
    pub fn heal(&mut self, core: &[usize], delay_us: u64) {
        self.options.delay_min_us = self.options.delay_min_us.min(delay_us);
        self.options.delay_mean_us = self.options.delay_mean_us.min(delay_us);
        for one in core {
            for other in core {
                let lane = self.lane(*one, *other);
                lane.is_cut = false;
                lane.clogged_until = Moment::ZERO;
                lane.banned_until = Moment::ZERO;
            }
        }
        self.is_gentle = true;
        self.options.link_packets_max = 0;
    }

    /// Cuts a node off from all others, for good.
    pub fn isolate(&mut self, node: usize) {
        for other in 0..self.size {
            self.lane(node, other).is_cut = true;
            self.lane(other, node).is_cut = true;
        }
    }
}
