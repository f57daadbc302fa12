//! How things break, and how they start again.
use quorate_ledger::store::Memory;
use quorate_ledger::store::memory::{Progress, Trouble as StoreTrouble, TroubleKind};
use quorate_primitives::Height;
use quorate_replica::vote_log::Folder;

use super::{World, signed};
use crate::disk::{Disk, Trouble};
use crate::environment::{Down, Happening};
use crate::faults::{FOLLOW_MS, Fault};
use crate::mount::Mount;
use crate::trace::What;

/// Disk operations ahead at most, at which a crash is placed.
const OPERATIONS_AHEAD_MAX: u64 = 40;

/// The data of a node as somebody keeps them.
pub(super) struct Copy {
    pub(super) disk: Disk,
    pub(super) store: Memory,
}

impl World {
    /// A fault of a class is due.
    pub(super) fn strike(&mut self, fault: Fault) {
        if self.faults.is_on {
            match fault {
                Fault::Crash => self.strike_crash(),
                Fault::Power => self.strike_power(),
                Fault::Pause => self.strike_pause(),
                Fault::Partition => return self.strike_partition(),
                Fault::Unite { number } => return self.unite(number),
                Fault::Follow { number } => return self.follow(number),
                Fault::Clog => self.strike_clog(),
                Fault::Jump => self.strike_jump(),
                Fault::SyncFailure => self.strike_disk(Trouble::Failure, "sync failure planned"),
                Fault::Full => self.strike_disk(Trouble::Full, "full disk planned"),
                Fault::Backup => self.strike_backup(),
            }
            let Self { faults, env, .. } = self;
            faults.next(env, fault);
        }
    }

    /// One of the nodes that run a replica.
    fn any_up(&mut self) -> Option<usize> {
        let up: Vec<usize> =
            self.nodes.iter().filter(|node| node.replica().is_some()).map(|node| node.id).collect();
        self.faults.dice.pick(&up).copied()
    }

    fn strike_crash(&mut self) {
        let Some(node) = self.any_up() else { return };
        let dice = &mut self.faults.dice;
        if !dice.chance(self.env.options.faults.crash_inside_permille) {
            self.env.marks.hit("crash between steps");
            let power = dice.chance(self.env.options.disk.power_permille);
            return self.crash(node, power);
        }
        let after = dice.below(OPERATIONS_AHEAD_MAX);
        let part = dice.below(1_001);
        match dice.below(3) {
            0 => self.nodes[node].disk.disk().plan(after, Trouble::Crash, part),
            1 => {
                let progress = match dice.below(3) {
                    0 => Progress::Nothing,
                    1 => Progress::Half,
                    _ => Progress::All,
                };
                let trouble = StoreTrouble { after: after / 4, kind: TroubleKind::Crash, progress };
                self.nodes[node].store.plan(Some(trouble));
            }
            _ => self.nodes[node].effects_left = Some(after),
        }
    }

    /// A node ends now.
    pub(super) fn crash(&mut self, node: usize, power: bool) {
        self.nodes[node].kill();
        self.bury(node, &Down::Crashed { power });
    }

    fn strike_power(&mut self) {
        self.env.marks.hit("power failure of all");
        self.env.note(None, What::Note("the power fails everywhere", 0, 0));
        for node in 0..self.nodes.len() {
            if self.nodes[node].replica().is_some() {
                self.crash(node, true);
            }
        }
    }

    fn strike_pause(&mut self) {
        let Some(node) = self.any_up().filter(|node| !self.nodes[*node].is_paused) else { return };
        self.env.marks.hit("pause");
        self.nodes[node].is_paused = true;
        let longest = self.env.options.faults.pause_ms_max.saturating_mul(1_000);
        let at = self.env.now.after_micros(self.faults.dice.between(1_000, longest.max(2_000)));
        self.env.note(Some(node), What::Note("stands still until", at.ms(), 0));
        self.env.schedule(at, Happening::Resume(node));
    }

    fn strike_partition(&mut self) {
        let number = self.faults.partition.saturating_add(1);
        self.faults.partition = number;
        self.env.marks.hit("partition");
        self.cut();
        let (shortest, longest) = self.env.options.network.partition_ms;
        let until = self.env.now.after_ms(self.faults.dice.between(shortest, longest));
        self.env.schedule(until, Happening::Fault(Fault::Unite { number }));
        if self.env.options.network.partition == crate::options::PartitionShape::Leader {
            let at = self.env.now.after_ms(FOLLOW_MS);
            self.env.schedule(at, Happening::Fault(Fault::Follow { number }));
        }
    }

    fn cut(&mut self) {
        let leader = self
            .nodes
            .iter()
            .filter_map(|node| node.status())
            .map(|status| (status.view, status.leader))
            .max();
        let leader = leader.map(|(_, leader)| usize::from(leader));
        let sides = self.env.network.partition(leader);
        let word = sides.iter().fold(0_u64, |word, side| (word << 1) | u64::from(*side));
        self.env.note(None, What::Note("partition", word, 0));
        self.notice_cuts();
    }

    fn follow(&mut self, number: u64) {
        if self.faults.partition != number {
            return;
        }
        self.env.marks.hit("partition follows the leader");
        self.cut();
        let at = self.env.now.after_ms(FOLLOW_MS);
        self.env.schedule(at, Happening::Fault(Fault::Follow { number }));
    }

    fn unite(&mut self, number: u64) {
        if self.faults.partition != number {
            return;
        }
        self.faults.partition = number.saturating_add(1);
        self.env.network.unite();
        self.env.note(None, What::Note("the partition ends", number, 0));
        let Self { faults, env, .. } = self;
        faults.next(env, Fault::Partition);
    }

    fn strike_clog(&mut self) {
        let count = self.nodes.len();
        let (from, to) = (self.faults.dice.index(count), self.faults.dice.index(count));
        let longest = self.env.options.network.clog_ms_max.max(1);
        let until = self.env.now.after_ms(self.faults.dice.between(1, longest));
        self.env.marks.hit("clog");
        self.env.network.clog(from, to, until);
    }

    fn strike_jump(&mut self) {
        let wrong: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.fates[*node].has_wrong_clock).collect();
        let Some(node) = self.faults.dice.pick(&wrong).copied() else { return };
        let by = signed(&mut self.faults.dice, self.env.options.faults.jump_ms_max);
        self.env.marks.hit("clock jumps");
        self.env.note(Some(node), What::Note("clock jumps by", by.unsigned_abs(), u64::from(by < 0)));
        let now = self.env.now;
        self.nodes[node].clock.jump(now, by);
    }

    fn strike_disk(&mut self, trouble: Trouble, mark: &'static str) {
        let Some(node) = self.any_up() else { return };
        self.env.marks.hit(mark);
        let (after, part) = (self.faults.dice.below(OPERATIONS_AHEAD_MAX), self.faults.dice.below(1_001));
        self.nodes[node].is_excused = true;
        if self.faults.dice.coin() {
            self.nodes[node].disk.disk().plan(after, trouble, part);
        } else {
            let kind = TroubleKind::Failure;
            let trouble = StoreTrouble { after: after / 4, kind, progress: Progress::Nothing };
            self.nodes[node].store.plan(Some(trouble));
        }
    }

    fn strike_backup(&mut self) {
        let node = self.faults.dice.index(self.nodes.len());
        let copy =
            Copy { disk: self.nodes[node].disk.disk().clone(), store: self.nodes[node].store.backup() };
        self.copies[node] = Some(copy);
    }

    /// A node has ended, by itself or not: settles what its disks hold, and when it starts again.
    pub(super) fn bury(&mut self, node: usize, down: &Down) {
        let power = *down == Down::Crashed { power: true };
        self.env.note(Some(node), What::Note("is down", u64::from(power), 0));
        self.drop_links(node, power);
        // It may come back in an earlier turn, and be silent there again.
        self.fates[node].is_forgetful |= self.fates[node].has_forgotten;
        let torn = power.then_some(self.env.options.disk.torn);
        let buried = &mut self.nodes[node];
        buried.disk.disk().restart(torn, &mut self.env.disk_dice);
        let unsynced = buried.store.unsynced();
        let kept = if power { self.env.disk_dice.index(unsynced.saturating_add(1)) } else { unsynced };
        buried.store.restart(kept);
        buried.effects_left = None;
        buried.is_paused = false;
        if power {
            self.env.marks.hit("power lost");
        }
        match down {
            Down::Crashed { .. } => self.damage(node),
            Down::Stopped(reason) => self.repair(node, reason),
        }
        self.start_later(node);
    }

    fn start_later(&mut self, node: usize) {
        if self.fates[node].is_retired || self.fates[node].is_starting {
            return;
        }
        self.fates[node].is_starting = true;
        let longest = if self.faults.is_on { self.env.options.faults.down_ms_max.max(1) } else { 5 };
        let longest = longest.saturating_mul(1_000);
        let at = self.env.now.after_micros(self.faults.dice.between(1_000, longest.max(2_000)));
        self.env.schedule(at, Happening::Start(node));
    }

    /// Now and then a crash takes more than memory with it.
    fn damage(&mut self, node: usize) {
        let faults = self.env.options.faults.clone();
        if !self.faults.is_on {
            return;
        }
        let may_lose = self.may_lose_ledger(node);
        let dice = &mut self.faults.dice;
        if may_lose && dice.chance(faults.ledger_rollback_permille) {
            let back = self.nodes[node].store.history();
            let back = dice.index(back.saturating_add(1));
            self.nodes[node].store.rewind(back);
            self.nodes[node].is_excused = true;
            self.fates[node].regains = Some(self.env.checkers.height());
            self.env.marks.hit("ledger rolled back");
        } else if may_lose && dice.chance(faults.ledger_loss_permille) {
            self.lose_ledger(node);
        }
        if !self.may_forget(node) {
            return;
        }
        let dice = &mut self.faults.dice;
        if dice.chance(faults.wipe_permille) {
            self.nodes[node].disk.disk().wipe(Folder::Log);
            // What it told was safe with the log only, as far as the ledger was not synced.
            self.nodes[node].told = Height::ZERO;
            self.forget(node, "vote log wiped");
        } else if dice.chance(faults.rot_permille) {
            if self.nodes[node].disk.disk().rot(dice) {
                self.forget(node, "vote log rotten");
            }
        } else if dice.chance(faults.restore_permille)
            && let Some(copy) = self.copies[node].take()
        {
            self.nodes[node].disk = Mount::new(copy.disk);
            self.nodes[node].store = std::sync::Arc::new(copy.store);
            self.forget(node, "old data restored");
        }
    }

    fn lose_ledger(&mut self, node: usize) {
        self.nodes[node].store.wipe();
        self.nodes[node].told = Height::ZERO;
        self.fates[node].regains = Some(self.env.checkers.height());
        self.env.marks.hit("ledger lost");
    }

    /// Whether the others hold enough copies of every block for this node to lose its own: at most `f`
    /// validators lack any of them at a time.
    fn may_lose_ledger(&mut self, node: usize) -> bool {
        let mut lacking = 0_usize;
        for (other, fate) in self.nodes.iter().zip(&mut self.fates) {
            if fate.regains.is_some_and(|height| crate::run::at_least(other.height(), height)) {
                fate.regains = None;
            }
            let lacks = fate.regains.is_some() || fate.is_retired;
            lacking = lacking.saturating_add(usize::from(lacks && other.is_validator && other.id != node));
        }
        lacking < self.env.options.faulty_max()
    }

    /// Whether a node may forget its promises: it did so before, or not too many did.
    fn may_forget(&self, node: usize) -> bool {
        let forgetful = self.fates.iter().filter(|fate| fate.has_forgotten).count();
        self.fates[node].has_forgotten || forgetful < self.env.options.faults.amnesia_max
    }

    fn forget(&mut self, node: usize, mark: &'static str) {
        self.env.marks.hit(mark);
        self.env.note(Some(node), What::Note(mark, 0, 0));
        self.fates[node].has_forgotten = true;
        self.fates[node].is_forgetful = true;
        self.nodes[node].is_excused = true;
        // What only its log knew is gone with it.
        self.nodes[node].told = Height::ZERO;
    }

    /// What an operator does when a node does not run any more.
    fn repair(&mut self, node: usize, reason: &str) {
        let has_forgotten = self.fates[node].has_forgotten;
        if reason.starts_with("ledger:") {
            // The state can be fetched from others.
            self.env.marks.hit("ledger given up");
            self.lose_ledger(node);
        } else if has_forgotten && reason.starts_with("vote log") && reason.contains("is damaged") {
            // The promises are lost; the key says what it may again when the others have told.
            self.nodes[node].disk.disk().wipe(Folder::Log);
            self.forget(node, "damaged vote log removed");
        }
    }

    /// A node starts, if it is still down.
    pub(super) fn start(&mut self, node: usize) {
        self.fates[node].is_starting = false;
        if self.nodes[node].is_up() || self.fates[node].is_retired {
            return;
        }
        self.nodes[node].start(&mut self.env);
        if self.nodes[node].is_up() {
            self.connect_all(node);
        }
    }
}
