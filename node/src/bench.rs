//! `quorate bench`: how many transactions a network finalizes, how soon, and how far that is from what its
//! machine allows.
//!
//! Every validator verifies every signature. A machine that runs all of them can therefore finalize at most
//! `cores ÷ (validators × time of one signature in a batch)` transactions a second, even if nothing else
//! cost anything. That time is [measured](machine) in the same run, so that the [`report`] can say how near
//! the network came, on a machine of any speed.
//!
//! A run has a [`target`], opens [`accounts`] on it, signs transfers among them ([`workload`]) before the clock
//! starts, as far as they are [in stock](supply), offers them to all validators ([`load`]), and counts them when a
//! block that is final has them ([`watch`]). What the processes spent meanwhile is [asked of the system](usage).
//! How much a network takes is [looked for](search); what it does with more than that is seen under
//! [`overload`].
pub mod accounts;
pub mod load;
pub mod machine;
pub mod memory;
pub mod overload;
pub mod phases;
pub mod plot;
pub mod probes;
pub mod report;
pub mod search;
pub mod supply;
pub mod target;
pub mod usage;
pub mod watch;
pub mod workload;

/// The value below which this share of the values lies, in thousandths, of values that are sorted; 0 of none.
#[must_use]
pub fn quantile(sorted: &[u64], permille: usize) -> u64 {
    let last = sorted.len().saturating_sub(1);
    let place = last.saturating_mul(permille).div_ceil(1_000);
    sorted.get(place.min(last)).copied().unwrap_or_default()
}

/// Says on standard error what is being done.
pub fn say(what: impl std::fmt::Display) {
    use std::io::Write;
    // Nothing can be done if standard error is closed.
    let _ = writeln!(std::io::stderr(), "bench: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!(quantile(&values, 0), 1);
        assert_eq!(quantile(&values, 500), 51);
        assert_eq!(quantile(&values, 990), 100);
        assert_eq!(quantile(&values, 1_000), 100);
        assert_eq!((quantile(&[7], 500), quantile(&[], 500)), (7, 0));
    }
}
