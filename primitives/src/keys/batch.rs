//! Many signatures in one equation, with keys that were seen before.
//!
//! For signatures `(Rᵢ, sᵢ)` of messages by keys `Aᵢ`, with `kᵢ = SHA-512(Rᵢ ‖ Aᵢ ‖ messageᵢ)` and secret random
//! factors `zᵢ` of 128 bits, all are valid if
//!
//! `8·(Σ zᵢ·Rᵢ + Σ zᵢ·kᵢ·Aᵢ − (Σ zᵢ·sᵢ)·B) = 0`
//!
//! and, except with probability 2⁻¹²⁸, only then. Multiplying by 8 makes the verdict the same as that on
//! each signature alone: what the rule ignores in one, it ignores in the sum. Signatures by the same key
//! share one term. Reading a key from its bytes costs a quarter of all this, so keys are remembered.
//! Source: ZIP 215; Bernstein, Duif, Lange, Schwabe, Yang, "High-speed high-security signatures", section 5.
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use rand_core::CryptoRng;
#[expect(clippy::disallowed_types, reason = "only looked up, never iterated: its order is never seen")]
use std::collections::HashMap;
use std::iter::once;

use super::{BorrowedCheck, PublicKey, challenge};

/// What is kept of each key. The table is keyed at random, so that nobody can choose keys that collide.
#[expect(clippy::disallowed_types, reason = "only looked up, never iterated: its order is never seen")]
type Table<T> = HashMap<PublicKey, T>;

/// Keys as points of the curve, so that they need not be read from their bytes again.
///
/// Those that were not used for long are forgotten: there are two generations, and a key that is used
/// moves into the younger one; when that is full, the elder is dropped.
#[derive(Clone, Debug, Default)]
pub struct KnownKeys {
    young: Table<EdwardsPoint>,
    old: Table<EdwardsPoint>,
    room: usize,
}

/// Bytes of a key, its point and its place in the table.
const KEY_BYTES: usize = size_of::<(PublicKey, EdwardsPoint)>() + 1;

impl KnownKeys {
    /// Remembers at most `room` keys. [`KnownKeys::default`] remembers none.
    #[must_use]
    pub fn new(room: usize) -> Self {
        Self { room, ..Self::default() }
    }

    /// Remembers as many keys as fit into so many bytes of memory: about 200 are needed for each.
    #[must_use]
    pub fn within(bytes: usize) -> Self {
        let places = bytes / 2 / KEY_BYTES;
        // A table has a power of two of places, of which seven eighths are used.
        let places = places.checked_ilog2().map_or(0, |log| 1_usize << log);
        Self::new((places / 8).saturating_mul(7 * 2))
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.len().saturating_add(self.old.len())
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    /// The point of a key; `None` if its bytes are none.
    fn point(&mut self, key: &PublicKey) -> Option<EdwardsPoint> {
        if let Some(point) = self.young.get(key) {
            return Some(*point);
        }
        let point = match self.old.remove(key) {
            Some(point) => point,
            None => CompressedEdwardsY(key.0).decompress()?,
        };
        let half = self.room / 2;
        if half > 0 {
            if self.young.len() >= half {
                self.old = std::mem::take(&mut self.young);
            }
            self.young.insert(*key, point);
        }
        Some(point)
    }
}

/// Whether all are valid. `rng` must be unpredictable to the signers.
pub(super) fn holds(checks: &[BorrowedCheck<'_>], known: &mut KnownKeys, rng: &mut impl CryptoRng) -> bool {
    Terms::of(checks, known, rng).is_some_and(|terms| terms.cancel())
}

/// The terms of the equation, before they are multiplied by 8: first one for each signature, then one for
/// each key.
struct Terms {
    /// Factor of the base point.
    base: Scalar,
    factors: Vec<Scalar>,
    points: Vec<EdwardsPoint>,
}

impl Terms {
    /// `None` if some bytes are no point or no canonical scalar: then that signature is invalid.
    #[expect(clippy::arithmetic_side_effects, reason = "scalars are residues: nothing overflows")]
    fn of(checks: &[BorrowedCheck<'_>], known: &mut KnownKeys, rng: &mut impl CryptoRng) -> Option<Self> {
        let room = checks.len().saturating_mul(2);
        let (mut factors, mut points) = (Vec::with_capacity(room), Vec::with_capacity(room));
        let mut base = Scalar::ZERO;
        let mut random = vec![[0; FACTOR_BYTES]; checks.len()];
        rng.fill_bytes(random.as_flattened_mut());
        // Keys in the order in which they first appear, and the place of each.
        let mut of_keys: Vec<(PublicKey, Scalar)> = Vec::with_capacity(checks.len());
        let mut places: Table<usize> = Table::with_capacity(checks.len());
        for ((check, random), k) in checks.iter().zip(random).zip(challenge::challenges(checks)) {
            let (r, s) = check.signature.halves();
            let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s))?;
            let k = Scalar::from_bytes_mod_order_wide(&k);
            let z = Scalar::from(u128::from_le_bytes(random));
            base -= z * s;
            factors.push(z);
            points.push(CompressedEdwardsY(r).decompress()?);
            let place = *places.entry(check.key).or_insert(of_keys.len());
            match of_keys.get_mut(place) {
                Some((_, factor)) => *factor += z * k,
                None => of_keys.push((check.key, z * k)),
            }
        }
        for (key, factor) in of_keys {
            factors.push(factor);
            points.push(known.point(&key)?);
        }
        Some(Self { base, factors, points })
    }

    fn cancel(&self) -> bool {
        let sum = EdwardsPoint::vartime_multiscalar_mul(
            once(&self.base).chain(&self.factors),
            once(&ED25519_BASEPOINT_POINT).chain(&self.points),
        );
        sum.mul_by_cofactor().is_identity()
    }
}

/// Bytes of a random factor.
const FACTOR_BYTES: usize = 16;
