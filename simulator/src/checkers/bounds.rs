//! Nothing in a node grows without a bound, and none waits for ever without a timer.
use quorate_primitives::View;
use quorate_replica::Status;

use super::Finding;
use crate::options::Options;

/// Most timers that a replica may have set: those of views that were left run out by themselves, and as many
/// views as this hardly pass within the longest time-out.
const TIMERS_MAX: usize = 1_024;
/// Most blocks above the last committed one.
const OPEN_BLOCKS_MAX: usize = 1_024;
/// Most bundles that no committed block lists.
const BUNDLES_MAX: usize = 4_096;

/// Views ahead whose votes may be kept, of which each validator can send any number.
const VOTES_AHEAD_MAX: u64 = 16;

/// What is seen of a running node from outside.
pub struct Seen<'a> {
    /// Its account of itself.
    pub status: &'a Status,
    /// The latest view of a vote that it keeps.
    pub farthest_vote: View,
    /// Timers that are set, or due.
    pub timers: usize,
    /// Events that wait.
    pub waiting: usize,
    /// Whether it has nothing in hand.
    pub is_at_rest: bool,
    /// Bytes of its vote log.
    pub log_bytes: usize,
}

/// Whether everything is within its bound.
pub(super) fn check(options: &Options, node: usize, seen: &Seen<'_>) -> Finding {
    let status = seen.status;
    let within = |what: &str, found: usize, most: usize| {
        if found <= most { Ok(()) } else { Err(format!("node {node} has {found} {what}, more than {most}")) }
    };
    within("timers", seen.timers, TIMERS_MAX)?;
    within("transactions in its pool", status.pool_transactions, options.timings.pool_transactions_max)?;
    within("bundles", status.bundles, BUNDLES_MAX)?;
    within("open blocks", status.open_blocks, OPEN_BLOCKS_MAX)?;
    if seen.farthest_vote > status.view.saturating_add(VOTES_AHEAD_MAX) {
        return Err(format!(
            "node {node} in view {} keeps a vote of view {}",
            status.view, seen.farthest_vote
        ));
    }
    if seen.is_at_rest && seen.timers == 0 {
        return Err(format!("node {node} waits for nothing: no timer is set"));
    }
    Ok(())
}
