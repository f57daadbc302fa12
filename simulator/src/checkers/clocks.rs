//! The time of a block is never far ahead of the true time.
use quorate_primitives::block::Header;

use super::Finding;
use crate::options::Options;
use crate::time::{BEGIN_MS, Moment};

/// A block needs the vote of an honest validator whose clock is right, as far as clocks are, and which waits
/// until the block is at most `bound_ms` ahead of it. So by the time that anybody holds the block to be final,
/// its time is not further ahead of the true one. Nothing is said where clocks may be wrong by any amount.
pub(super) fn check(options: &Options, bound_ms: u64, at: Moment, header: &Header) -> Finding {
    let faults = &options.faults;
    if faults.wrong_clocks_max > 0 {
        return Ok(());
    }
    let drift = at.ms().saturating_mul(faults.drift_permille_max).div_ceil(1_000);
    let wrong = faults.skew_ms_max.saturating_add(drift);
    let latest = BEGIN_MS.saturating_add(at.ms()).saturating_add(bound_ms).saturating_add(wrong);
    if header.time.get() <= latest {
        return Ok(());
    }
    let ahead = header.time.get().saturating_sub(BEGIN_MS).saturating_sub(at.ms());
    Err(format!("block {} is final {ahead} ms before its time", header.height))
}
