//! Nothing in a node grows without a bound, and none waits for ever without a timer.
use quorate_replica::Status;

use super::Finding;
use crate::options::Options;

/// Most timers that a replica may have set: those of a few views, and its own.
const TIMERS_MAX: usize = 64;
/// Most blocks above the last committed one.
const OPEN_BLOCKS_MAX: usize = 1_024;
/// Most bundles that no committed block lists.
const BUNDLES_MAX: usize = 4_096;

/// What is seen of a running node from outside.
pub struct Seen<'a> {
    /// Its account of itself.
    pub status: &'a Status,
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
    if seen.is_at_rest && seen.timers == 0 {
        return Err(format!("node {node} waits for nothing: no timer is set"));
    }
    Ok(())
}
