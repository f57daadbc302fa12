//! What breaks, and when.
//!
//! Each class of faults has a mean time; when it is due, something of the class happens and the next is
//! drawn. Faults stop when the network is to be healed.
use crate::environment::{Environment, Happening};
use crate::options::Options;
use crate::random::{Dice, Stream};

/// A fault that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node ends.
    Crash,
    /// All nodes lose their power at once.
    Power,
    /// A node stands still.
    Pause,
    /// The network falls apart.
    Partition,
    /// The network is whole again.
    Unite {
        /// Which partition ends.
        number: u64,
    },
    /// The partition follows the leader.
    Follow {
        /// Which partition.
        number: u64,
    },
    /// A link holds everything up.
    Clog,
    /// A clock jumps.
    Jump,
    /// A coming sync of a node fails.
    SyncFailure,
    /// A disk is full.
    Full,
    /// Somebody keeps a copy of the data of a node.
    Backup,
}

/// How often the leader is looked for that a partition follows, in ms.
pub const FOLLOW_MS: u64 = 150;

/// When things break.
pub struct Schedule {
    /// Draws of what breaks.
    pub dice: Dice,
    /// Whether anything still breaks.
    pub is_on: bool,
    /// Counts the partitions.
    pub partition: u64,
}

impl Schedule {
    /// The faults of a run, none of which is due yet.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self { dice: Dice::new(options.seed, Stream::Faults), is_on: true, partition: 0 }
    }

    /// Puts the first fault of each class on the agenda.
    pub fn begin(&mut self, env: &mut Environment) {
        for fault in [
            Fault::Crash,
            Fault::Power,
            Fault::Pause,
            Fault::Partition,
            Fault::Clog,
            Fault::Jump,
            Fault::SyncFailure,
            Fault::Full,
            Fault::Backup,
        ] {
            self.next(env, fault);
        }
    }

    /// Puts the next fault of a class on the agenda.
    pub fn next(&mut self, env: &mut Environment, fault: Fault) {
        let mean = mean_ms(&env.options, fault);
        if mean > 0 && self.is_on {
            let at = env.now.after_micros(self.dice.exponential(mean.saturating_mul(1_000)).max(1));
            env.schedule(at, Happening::Fault(fault));
        }
    }
}

fn mean_ms(options: &Options, fault: Fault) -> u64 {
    let (faults, disk) = (&options.faults, &options.disk);
    match fault {
        Fault::Crash => faults.crash_mean_ms,
        Fault::Power => faults.power_mean_ms,
        Fault::Pause => faults.pause_mean_ms,
        Fault::Partition => options.network.partition_mean_ms,
        Fault::Clog => options.network.clog_mean_ms,
        Fault::Jump => faults.jump_mean_ms,
        Fault::SyncFailure => disk.sync_failure_mean_ms,
        Fault::Full => disk.full_mean_ms,
        Fault::Backup if faults.restore_permille > 0 => faults.crash_mean_ms,
        Fault::Backup | Fault::Unite { .. } | Fault::Follow { .. } => 0,
    }
}
