//! The resolved options of one run: together with the program they are all that a replay needs.
//!
//! [`crate::swarm`] draws them from a seed and a profile. They are written into every failure bundle as
//! JSON, so that a later change of the drawing does not lose the case.
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

use crate::wide::WideOptions;

/// Which mixture of faults a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Four validators, fifty heights, little trouble: many seeds in little time.
    Lite,
    /// Everything, each class of faults with probability one half.
    Swarm,
    /// Crashes, disks and restarts.
    Storage,
    /// Up to `f` validators that do anything.
    Byzantine,
    /// Up to `f` validators that run twice with one key.
    Twins,
    /// Exactly a quorum runs, and each of it is needed.
    ExactQuorum,
    /// Disks of many nodes fail together: only safety and an honest stop are demanded.
    Correlated,
    /// Changing sets of validators.
    Reconfigure,
    /// Transactions that try to break what executes them.
    Poison,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Profile; 9] = [
        Self::Lite,
        Self::Swarm,
        Self::Storage,
        Self::Byzantine,
        Self::Twins,
        Self::ExactQuorum,
        Self::Correlated,
        Self::Reconfigure,
        Self::Poison,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lite => "lite",
            Self::Swarm => "swarm",
            Self::Storage => "storage",
            Self::Byzantine => "byzantine",
            Self::Twins => "twins",
            Self::ExactQuorum => "exact-quorum",
            Self::Correlated => "correlated",
            Self::Reconfigure => "reconfigure",
            Self::Poison => "poison",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A profile that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("profile {found:?}, but one of {} is expected", Profile::ALL.map(Profile::name).join(", "))]
pub struct UnknownProfile {
    /// What was given.
    pub found: String,
}

impl FromStr for Profile {
    type Err = UnknownProfile;
    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        let found = Self::ALL.into_iter().find(|profile| profile.name() == text);
        found.ok_or_else(|| UnknownProfile { found: text.to_owned() })
    }
}

/// Everything that is decided before a run begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// What all draws follow from.
    pub seed: u64,
    /// Where the options came from.
    pub profile: Profile,
    /// Validators. Range: 1 to 21; to 128 around the world.
    pub validators: usize,
    /// Nodes that follow without voting.
    pub observers: usize,
    /// The part with faults ends at this height.
    pub heights: u64,
    /// And at the latest after so much virtual time, in ms.
    pub faulty_ms_max: u64,
    /// And at the latest after so many events.
    pub events_max: u64,
    /// Blocks in an epoch; 0 for a single one without end.
    pub epoch_length: u64,
    /// Mean time between two decisions about who validates, in ms; 0 for never.
    pub governing_mean_ms: u64,
    /// Whether the run ends with a healed quorum of which progress is demanded.
    pub liveness: bool,
    /// Timings of all replicas.
    pub timings: Timings,
    /// What the network does.
    pub network: NetworkOptions,
    /// What disks do.
    pub disk: DiskOptions,
    /// What happens to nodes.
    pub faults: FaultOptions,
    /// What clients ask for.
    pub clients: ClientOptions,
    /// What is read from the nodes.
    pub reads: ReadOptions,
    /// Validators that do not follow the protocol: slot and name of the program.
    pub puppets: Vec<Assignment>,
    /// What a network around the world is made of; nothing for one in which everybody is as far from everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wide: Option<WideOptions>,
}

/// A validator that does not follow the protocol, or not only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// Which validator.
    pub validator: usize,
    /// Name of the program, see [`crate::puppet::Repertoire`].
    pub program: String,
}

/// Timings of the replicas, in ms; see [`quorate_replica::Settings`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timings {
    /// Shortest time that a leader is given.
    pub timeout_min_ms: u64,
    /// Longest time that a leader is given.
    pub timeout_max_ms: u64,
    /// Shortest time between blocks.
    pub min_interval_ms: u64,
    /// Time between empty blocks.
    pub idle_interval_ms: u64,
    /// Shortest time between bundles of one node.
    pub bundle_interval_ms: u64,
    /// Time after which a question goes to another peer.
    pub ask_timeout_ms: u64,
    /// Time without progress after which newer blocks are asked for.
    pub sync_interval_ms: u64,
    /// Most transactions in a pool.
    pub pool_transactions_max: usize,
    /// Most transactions of one sender in a pool.
    pub pool_sender_max: usize,
}

/// What the network does to what is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkOptions {
    /// Shortest way of a packet, in microseconds.
    pub delay_min_us: u64,
    /// Mean of what comes on top of that, exponential, in microseconds.
    pub delay_mean_us: u64,
    /// Packets lost.
    pub loss_permille: u64,
    /// Packets that arrive twice.
    pub duplicate_permille: u64,
    /// Packets that may overtake earlier ones of the same sender.
    pub reorder_permille: u64,
    /// Packets with a changed byte.
    pub corrupt_permille: u64,
    /// Packets that one link holds; more are dropped. 0 for no bound.
    pub link_packets_max: usize,
    /// Mean time between clogs of any link, in ms; 0 for none.
    pub clog_mean_ms: u64,
    /// Longest clog, in ms.
    pub clog_ms_max: u64,
    /// Mean time between partitions, in ms; 0 for none.
    pub partition_mean_ms: u64,
    /// Shortest and longest partition, in ms.
    pub partition_ms: (u64, u64),
    /// How nodes are separated.
    pub partition: PartitionShape,
    /// Whether the separation lets packets through in one direction.
    pub one_way: bool,
    /// Longest time after which the ends of a cut link notice, in ms.
    pub notice_ms_max: u64,
    /// Longest time until a link that may exist again does, in ms.
    pub connect_ms_max: u64,
    /// For how long a node does not talk to one that it bans, in ms.
    pub ban_ms: u64,
}

/// How a partition separates the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionShape {
    /// One node from all others.
    One,
    /// Each node falls to one of two sides.
    Uniform,
    /// Two halves.
    Halves,
    /// Each node reaches its two neighbours only.
    Ring,
    /// The leader of the moment, again and again.
    Leader,
}

/// What disks do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskOptions {
    /// Shortest and longest time of a sync, in microseconds.
    pub sync_us: (u64, u64),
    /// Growth at which a vote log is replaced by its checkpoint, in bytes.
    pub log_bytes: u64,
    /// How often the ledger is synced, in ms.
    pub ledger_sync_ms: u64,
    /// What a power failure leaves of bytes that were not synced.
    pub torn: Torn,
    /// Of crashes, those that also cut the power: what was not synced is at risk.
    pub power_permille: u64,
    /// Mean time between syncs that fail, per node in ms; 0 for none.
    pub sync_failure_mean_ms: u64,
    /// Mean time between full disks, per node in ms; 0 for none.
    pub full_mean_ms: u64,
}

/// What a power failure leaves of bytes that were written and not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Torn {
    /// Nothing.
    Nothing,
    /// Any first part.
    Prefix,
    /// Any of the sectors, the others being zero.
    Pieces,
}

/// What happens to nodes. Times are means over the whole network, in ms; 0 turns the class off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultOptions {
    /// Between crashes of a node.
    pub crash_mean_ms: u64,
    /// Of crashes, those in the middle of one of the next operations of a disk.
    pub crash_inside_permille: u64,
    /// Longest time that a crashed node stays down.
    pub down_ms_max: u64,
    /// Between power failures of all nodes.
    pub power_mean_ms: u64,
    /// Between pauses of a node.
    pub pause_mean_ms: u64,
    /// Longest pause.
    pub pause_ms_max: u64,
    /// Of crashes, those after which the ledger is older than it was.
    pub ledger_rollback_permille: u64,
    /// Of crashes, those after which the ledger is gone.
    pub ledger_loss_permille: u64,
    /// Of crashes, those after which the vote log is gone.
    pub wipe_permille: u64,
    /// Of crashes, those after which all data are those of an earlier time.
    pub restore_permille: u64,
    /// Of crashes, those after which a byte of the vote log is wrong.
    pub rot_permille: u64,
    /// Most nodes that may ever lose or damage what they promised; the rest of `f` that puppets leave.
    pub amnesia_max: usize,
    /// Between jumps of a clock.
    pub jump_mean_ms: u64,
    /// Longest jump of a clock that is allowed to be wrong by any amount.
    pub jump_ms_max: u64,
    /// Most nodes whose clock may be wrong by more than the protocol allows.
    pub wrong_clocks_max: usize,
    /// By how much any clock may be wrong, in ms.
    pub skew_ms_max: u64,
    /// By how much any clock may run too fast or too slow.
    pub drift_permille_max: u64,
}

/// What clients ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientOptions {
    /// How many. 0 for a network that only makes empty blocks.
    pub clients: usize,
    /// Accounts that they pay from. Range: 2 to 64.
    pub accounts: usize,
    /// Mean time between requests of one client, in ms.
    pub interval_mean_ms: u64,
    /// Most requests at a time.
    pub burst_max: u64,
    /// Requests that touch one account in particular.
    pub hot_permille: u64,
    /// Requests that are something else than a transfer.
    pub variety_permille: u64,
    /// Requests that must fail: too much money, no permission, a used nonce, out of time.
    pub wrong_permille: u64,
    /// Requests that are sent to a second node although the first was not heard of.
    pub ambiguous_permille: u64,
    /// Requests that repeat one that was final long ago.
    pub replay_permille: u64,
    /// Most requests of one client that are open.
    pub open_max: usize,
    /// Time after which a client asks another node, in ms.
    pub patience_ms: u64,
    /// For how long a transaction is valid, in ms.
    pub validity_ms: u64,
}

/// What is read from the nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadOptions {
    /// Mean time between two questions, in ms; 0 for none.
    pub interval_mean_ms: u64,
    /// Of the questions, those that are no requests that a node can answer.
    pub malformed_permille: u64,
    /// Of the answers, those that are damaged in every way to see whether somebody believes them.
    pub mutated_permille: u64,
    /// Of the questions, those before which a client forgets all but the genesis.
    pub forgetful_permille: u64,
}

impl Options {
    /// Faulty validators that the protocol promises to survive.
    #[must_use]
    pub fn faulty_max(&self) -> usize {
        self.validators.saturating_sub(1) / 3
    }

    /// Validators whose votes make a certificate.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.validators.saturating_sub(self.faulty_max())
    }

    /// Longest time within which a healed network must make its first block, in ms.
    ///
    /// With `D` the time in which a message is surely there and was acted upon, this is `(4f + 10) · D`: what
    /// was said is repeated after 2 D, reaches all after one more, then at most `f + 1` leaders fail for 4 D
    /// each, and one succeeds. A leader is waited for twice its time and the intervals, which is 4 D.
    #[must_use]
    pub fn healing_ms(&self) -> u64 {
        let faulty = u64::try_from(self.faulty_max()).unwrap_or(u64::MAX);
        faulty.saturating_mul(4).saturating_add(10).saturating_mul(self.delta_ms())
    }

    /// A quarter of the longest time that a view lasts, in ms.
    #[must_use]
    pub fn delta_ms(&self) -> u64 {
        let Timings { timeout_max_ms, min_interval_ms, idle_interval_ms, .. } = self.timings;
        let view =
            timeout_max_ms.saturating_mul(2).saturating_add(min_interval_ms).saturating_add(idle_interval_ms);
        view.div_ceil(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_found_by_its_name() {
        for profile in Profile::ALL {
            assert_eq!(profile.name().parse(), Ok(profile));
            assert_eq!(serde_json::to_string(&profile).unwrap(), format!("\"{profile}\""));
        }
        let unknown = "everything".parse::<Profile>().unwrap_err();
        assert!(unknown.to_string().contains("exact-quorum"), "{unknown}");
    }
}
