//! What verifying a signature costs on this machine.
use std::time::{Duration, Instant};

use quorate_primitives::keys::{SignatureCheck, reference_batch};
use rand::rngs::StdRng;

/// Signatures in a batch.
pub const BATCH: usize = 256;
/// How long each of the two is measured.
const PATIENCE: Duration = Duration::from_millis(400);

/// What one signature costs on one core, in nanoseconds of wall time: the median of many rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Verified alone.
    pub single_ns: u64,
    /// Verified in a batch of 256 by the library that verifies single ones.
    pub batch_ns: u64,
}

impl Cost {
    /// Measures it with these signatures, all of which must be valid. Blocks for about a second; nothing
    /// else should run.
    #[must_use]
    pub fn measure(checks: &[SignatureCheck], rng: &mut StdRng) -> Self {
        let mut singles = checks.iter().cycle();
        let single_ns = median(1, || {
            if let Some(check) = singles.next() {
                let valid = check.key.verify(check.domain, &check.message, &check.signature);
                debug_assert!(valid, "an own signature is invalid");
            }
        });
        let batch: Vec<SignatureCheck> = checks.iter().cycle().take(BATCH).cloned().collect();
        let batch_ns = median(BATCH, || {
            let valid = reference_batch(&batch, rng);
            debug_assert!(valid, "an own signature is invalid");
        });
        Self { single_ns, batch_ns }
    }

    /// Transactions of one signature each that this machine can finalize in a second if it has so many cores
    /// and runs so many validators, and if everything but verifying in batches were free.
    #[must_use]
    pub fn bound(&self, cores: u64, validators: u64) -> u64 {
        let ns = validators.saturating_mul(self.batch_ns).max(1);
        cores.saturating_mul(1_000_000_000) / ns
    }
}

/// The median time of `work`, in nanoseconds for each of the `parts` that it does.
fn median(parts: usize, mut work: impl FnMut()) -> u64 {
    let began = Instant::now();
    let mut rounds = Vec::new();
    while began.elapsed() < PATIENCE {
        let start = Instant::now();
        work();
        rounds.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    rounds.sort_unstable();
    super::quantile(&rounds, 500) / u64::try_from(parts).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_cores_divided_among_the_validators() {
        let cost = Cost { single_ns: 50_000, batch_ns: 25_000 };
        assert_eq!(cost.bound(2, 4), 20_000);
        assert_eq!(cost.bound(1, 1), 40_000);
    }
}
