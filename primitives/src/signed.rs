//! From a claim to a proof: values whose signatures were checked have a type of their own.
use rand_core::CryptoRng;
use std::ops::Deref;
use std::sync::Arc;

use crate::bundle::Bundle;
use crate::evidence::Accusation;
use crate::keys::{KnownKeys, SignatureCheck, batch_holds, first_invalid, verify_batch};
use crate::transaction::SignedTransaction;

/// A value proven to be signed by the keys it names. Cheap to clone. Only this module makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(Arc<T>);

impl<T> Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// Proves a bundle by one batch over all its transactions and accusations; `known` and `rng` as for
/// [`verify_batch`].
///
/// # Errors
/// The position of the first transaction with an invalid signature; accusations are counted on after the
/// transactions.
pub fn verify_bundle(
    bundle: Bundle,
    known: &mut KnownKeys,
    rng: &mut impl CryptoRng,
) -> Result<Verified<Bundle>, usize> {
    let owners: Vec<(usize, SignatureCheck)> = checks_of(&bundle).collect();
    let (positions, checks): (Vec<usize>, Vec<SignatureCheck>) = owners.into_iter().unzip();
    match first_invalid(&checks, known, rng) {
        None => Ok(Verified(Arc::new(bundle))),
        Some(bad) => Err(positions.get(bad).copied().unwrap_or_default()),
    }
}

/// Proves several bundles by one batch over all of them, which costs less than one for each; if it fails,
/// each is proven alone. The verdicts are in the order given and those of [`verify_bundle`].
pub fn verify_bundles(
    bundles: Vec<Bundle>,
    known: &mut KnownKeys,
    rng: &mut impl CryptoRng,
) -> Vec<Result<Verified<Bundle>, usize>> {
    let checks: Vec<SignatureCheck> = bundles.iter().flat_map(checks_of).map(|(_, check)| check).collect();
    if bundles.len() > 1 && batch_holds(&checks, known, rng) {
        return bundles.into_iter().map(|bundle| Ok(Verified(Arc::new(bundle)))).collect();
    }
    bundles.into_iter().map(|bundle| verify_bundle(bundle, known, rng)).collect()
}

/// All signatures of a bundle, each with the position of its transaction or accusation.
fn checks_of(bundle: &Bundle) -> impl Iterator<Item = (usize, SignatureCheck)> {
    let transactions = bundle.transactions().iter().map(|signed| signed.signature_checks());
    let accusations = bundle.accusations().iter().map(|accusation| accusation.signature_checks().to_vec());
    transactions
        .chain(accusations)
        .enumerate()
        .flat_map(|(position, checks)| checks.into_iter().map(move |check| (position, check)))
}

/// Proves transactions from many clients in one batch; the verdicts are in the order given, `None` for
/// an invalid signature. `known` and `rng` as for [`verify_batch`].
pub fn verify_transactions(
    transactions: Vec<SignedTransaction>,
    known: &mut KnownKeys,
    rng: &mut impl CryptoRng,
) -> Vec<Option<Verified<SignedTransaction>>> {
    let mut checks = Vec::new();
    let mut owners = Vec::new();
    for (position, signed) in transactions.iter().enumerate() {
        for check in signed.signature_checks() {
            checks.push(check);
            owners.push(position);
        }
    }
    let bad: std::collections::BTreeSet<usize> = verify_batch(&checks, known, rng)
        .into_iter()
        .filter_map(|index| owners.get(index).copied())
        .collect();
    let verdict = |(position, signed)| (!bad.contains(&position)).then(|| Verified(Arc::new(signed)));
    transactions.into_iter().enumerate().map(verdict).collect()
}

impl Verified<Bundle> {
    /// The transactions of a proven bundle are proven.
    pub fn verified_transactions(&self) -> impl Iterator<Item = Verified<SignedTransaction>> + '_ {
        self.transactions().iter().map(|signed| Verified(Arc::clone(signed)))
    }

    /// Bundles proven transactions and accusations; no signature is checked again. The caller vouches for
    /// the signatures of the accusations.
    #[must_use]
    pub fn from_verified(
        author: u8,
        sequence: u64,
        transactions: &[Verified<SignedTransaction>],
        accusations: Vec<Accusation>,
    ) -> Option<Self> {
        let shared = transactions.iter().map(|verified| Arc::clone(&verified.0)).collect();
        let bundle = Bundle::from_shared(author, sequence, shared, accusations).ok()?;
        Some(Self(Arc::new(bundle)))
    }
}
