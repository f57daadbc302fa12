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
    /// Measures it with these signatures; `None` if one of them is invalid. Blocks for about a second;
    /// nothing else should run.
    #[must_use]
    pub fn measure(checks: &[SignatureCheck], rng: &mut StdRng) -> Option<Self> {
        let mut singles = checks.iter().cycle();
        let single_ns = median(1, || {
            singles
                .next()
                .is_some_and(|check| check.key.verify(check.domain, &check.message, &check.signature))
        })?;
        let batch: Vec<SignatureCheck> = checks.iter().cycle().take(BATCH).cloned().collect();
        let batch_ns = median(BATCH, || reference_batch(&batch, rng))?;
        Some(Self { single_ns, batch_ns })
    }

    /// Transactions of one signature each that this machine can finalize in a second if it has so many cores
    /// and runs so many validators, and if everything but verifying in batches were free.
    #[must_use]
    pub fn bound(&self, cores: u64, validators: u64) -> u64 {
        let ns = validators.saturating_mul(self.batch_ns).max(1);
        cores.saturating_mul(1_000_000_000) / ns
    }
}

/// The median time of `work`, in nanoseconds for each of the `parts` that it does; `None` if it fails.
fn median(parts: usize, mut work: impl FnMut() -> bool) -> Option<u64> {
    let began = Instant::now();
    let mut rounds = Vec::new();
    while began.elapsed() < PATIENCE {
        let start = Instant::now();
        if !work() {
            return None;
        }
        rounds.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    rounds.sort_unstable();
    Some(super::quantile(&rounds, 500) / u64::try_from(parts).unwrap_or(u64::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::verify::fresh_rng;
    use crate::testnet::seeds;
    use quorate_primitives::hash::Domain;

    #[test]
    fn an_invalid_signature_costs_nothing_that_could_be_compared() {
        let key = seeds::key("1", "bench-0");
        let (domain, message) = (Domain::SignTransaction, b"message".to_vec());
        let signature = key.sign(domain, b"another message");
        let forged = SignatureCheck { key: key.public_key(), domain, message, signature };
        assert_eq!(Cost::measure(&[forged], &mut fresh_rng().unwrap()), None);
    }

    #[test]
    fn the_bound_is_the_cores_divided_among_the_validators() {
        let cost = Cost { single_ns: 50_000, batch_ns: 25_000 };
        assert_eq!(cost.bound(2, 4), 20_000);
        assert_eq!(cost.bound(1, 1), 40_000);
    }
}
