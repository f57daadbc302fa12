//! Connections: how they come, and how their ends notice that they are gone.
use super::World;
use crate::environment::Happening;

impl World {
    /// A node that has just started looks for all others.
    pub(super) fn connect_all(&mut self, node: usize) {
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            self.connect_later(node, other);
        }
    }

    fn connect_later(&mut self, one: usize, other: usize) {
        let longest = self.env.options.network.connect_ms_max.max(1).saturating_mul(1_000);
        let at = self.env.now.after_micros(self.env.network.dice().between(500, longest.max(1_000)));
        self.env.schedule(at, Happening::Connect { one, other });
    }

    pub(super) fn connect(&mut self, one: usize, other: usize) {
        let are_up = self.nodes[one].is_up() && self.nodes[other].is_up();
        let is_open = self.env.network.is_open(one, other) || self.env.network.is_open(other, one);
        if !are_up {
            return;
        }
        if is_open || !self.env.network.can_connect(one, other, self.env.now) {
            if !(self.env.network.is_open(one, other) && self.env.network.is_open(other, one)) {
                self.connect_later(one, other);
            }
            return;
        }
        for (node, peer) in [(one, other), (other, one)] {
            self.env.network.set_open(node, peer, true);
        }
        for (node, peer) in [(one, other), (other, one)] {
            self.nodes[node].linked(&mut self.env, peer, true);
        }
    }

    /// The end at a node finds out that the connection is gone, unless it is not, or is another by now.
    pub(super) fn notice(&mut self, node: usize, peer: usize, generation: u64, certain: bool) {
        let network = &self.env.network;
        let is_current = network.is_open(node, peer) && network.generation(node, peer) == generation;
        let is_gone = certain || !self.nodes[peer].is_up() || network.is_cut(node, peer);
        if is_current && is_gone {
            self.close_end(node, peer);
        }
    }

    /// Closes one end; the other hears of it, or will find out.
    fn close_end(&mut self, node: usize, peer: usize) {
        let generation = self.env.network.generation(peer, node);
        if !self.env.network.set_open(node, peer, false) {
            return;
        }
        if self.nodes[node].is_up() {
            self.nodes[node].linked(&mut self.env, peer, false);
        }
        if self.env.network.is_open(peer, node) {
            let soon = self.env.network.dice().between(100, 5_000);
            let at = self.env.now.after_micros(soon);
            self.env.schedule(at, Happening::Notice { node: peer, peer: node, generation, certain: true });
        }
        self.connect_later(node, peer);
    }

    /// One end does not want to talk to the other any more.
    pub(super) fn hang_up(&mut self, by: usize, whom: usize) {
        self.close_end(by, whom);
    }

    /// A node has ended: its connections are gone, which the others find out sooner or later.
    pub(super) fn drop_links(&mut self, node: usize, is_silent: bool) {
        let longest = if is_silent { self.env.options.network.notice_ms_max.max(1) } else { 2 };
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            self.env.network.set_open(node, other, false);
            if self.env.network.is_open(other, node) {
                let after = self.env.network.dice().between(100, longest.saturating_mul(1_000));
                let at = self.env.now.after_micros(after);
                let generation = self.env.network.generation(other, node);
                self.env
                    .schedule(at, Happening::Notice { node: other, peer: node, generation, certain: true });
            }
        }
    }

    /// Links that were cut are found to be gone after a while.
    pub(super) fn notice_cuts(&mut self) {
        let longest = self.env.options.network.notice_ms_max.max(1).saturating_mul(1_000);
        for node in 0..self.nodes.len() {
            for peer in 0..self.nodes.len() {
                let network = &mut self.env.network;
                if network.is_open(node, peer) && network.is_cut(node, peer) {
                    let at = self.env.now.after_micros(network.dice().between(1_000, longest.max(2_000)));
                    let generation = network.generation(node, peer);
                    self.env.schedule(at, Happening::Notice { node, peer, generation, certain: false });
                }
            }
        }
    }
}
