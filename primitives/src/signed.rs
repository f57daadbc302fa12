//! From a claim to a proof: values whose signatures were checked have a type of their own.
//!
//! Many signatures in one batch cost half of what they cost alone, so everything that waits is proven
//! together, whoever sent it. What a batch with a forged signature costs is shared out again by the group
//! that each value came in: only the group with the forged one is looked at more closely.
use rand_core::CryptoRng;
#[expect(clippy::disallowed_types, reason = "only looked up, never iterated: its order is never seen")]
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use crate::bundle::Bundle;
use crate::evidence::Accusation;
use crate::hash::Hash;
use crate::keys::{BorrowedCheck, KnownKeys, SignatureCheck, batch_holds, find_invalid, first_invalid};
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
/// [`verify_batch`](crate::keys::verify_batch).
///
/// # Errors
/// The position of the first transaction with an invalid signature; accusations are counted on after the
/// transactions.
pub fn verify_bundle(
    bundle: Bundle,
    known: &mut KnownKeys,
    rng: &mut impl CryptoRng,
) -> Result<Verified<Bundle>, usize> {
    let votes = votes_of(&bundle);
    let of_transactions = bundle
        .transactions()
        .iter()
        .enumerate()
        .flat_map(|(position, signed)| signed.checks().map(move |check| (position, check)));
    let of_votes = votes.iter().map(|(position, vote)| (*position, vote.borrowed()));
    let (positions, checks): (Vec<usize>, Vec<BorrowedCheck<'_>>) = of_transactions.chain(of_votes).unzip();
    match first_invalid(&checks, known, rng) {
        None => Ok(Verified(Arc::new(bundle))),
        Some(bad) => Err(positions.get(bad).copied().unwrap_or_default()),
    }
}

/// The signatures of a bundle's accusations, each with the position of its accusation.
fn votes_of(bundle: &Bundle) -> Vec<(usize, SignatureCheck)> {
    let accusations = (bundle.transactions().len()..).zip(bundle.accusations());
    accusations.flat_map(|(at, accusation)| accusation.signature_checks().map(|check| (at, check))).collect()
}

/// Proves transactions from many clients in one batch; the verdicts are in the order given, `None` for
/// an invalid signature. `known` and `rng` as for [`verify_batch`](crate::keys::verify_batch).
pub fn verify_transactions(
    transactions: Vec<SignedTransaction>,
    known: &mut KnownKeys,
    rng: &mut impl CryptoRng,
) -> Vec<Option<Verified<SignedTransaction>>> {
    let group = Group { bundles: Vec::new(), transactions };
    verify_groups(vec![group], known, rng).pop().map(|proven| proven.transactions).unwrap_or_default()
}

/// Values of one source, such as a peer, or all clients.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Bundles, each of which is valid as a whole or not at all.
    pub bundles: Vec<PartlyVerified>,
    /// Transactions, each for itself.
    pub transactions: Vec<SignedTransaction>,
}

/// A bundle of which some transactions are proven already.
#[derive(Clone, Debug)]
pub struct PartlyVerified {
    bundle: Bundle,
    /// Whether each transaction is proven.
    proven: Vec<bool>,
}

impl PartlyVerified {
    /// Asks `known` for the proof of each transaction. It counts only if it is one of the very same
    /// transaction, signatures included; that is then shared instead of kept twice.
    #[must_use]
    pub fn new(
        mut bundle: Bundle,
        mut known: impl FnMut(&SignedTransaction) -> Option<Verified<SignedTransaction>>,
    ) -> Self {
        let mut share = |signed: &mut Arc<SignedTransaction>| match known(signed) {
            Some(Verified(known)) if known == *signed => {
                *signed = known;
                true
            }
            Some(_) | None => false,
        };
        let proven = bundle.transactions_mut().iter_mut().map(&mut share).collect();
        Self { bundle, proven }
    }

    /// The bundle.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The transactions that are not proven yet.
    pub fn unproven(&self) -> impl Iterator<Item = &SignedTransaction> {
        let all = self.bundle.transactions().iter().zip(&self.proven);
        all.filter(|(_, proven)| !**proven).map(|(signed, _)| signed.as_ref())
    }
}

/// The verdicts on a [`Group`], in the order given; `None` where a signature is invalid.
#[derive(Clone, Debug, Default)]
pub struct ProvenGroup {
    /// On the bundles.
    pub bundles: Vec<Option<Verified<Bundle>>>,
    /// On the transactions.
    pub transactions: Vec<Option<Verified<SignedTransaction>>>,
}

/// Proves all groups by one batch; if it fails, each group by one; and where that fails, halves of the
/// group until what is invalid stands alone. The verdicts are in the order given and those that each bundle
/// and each transaction has alone; `known` and `rng` as for [`verify_batch`](crate::keys::verify_batch).
pub fn verify_groups(
    groups: Vec<Group>,
    known: &mut KnownKeys,
    rng: &mut impl CryptoRng,
) -> Vec<ProvenGroup> {
    let claims: Vec<Vec<Claim<'_>>> = groups.iter().map(Claim::all_of).collect();
    let mut hold = |claims: &[Claim<'_>]| Claim::all_hold(claims, known, rng);
    let all_hold = claims.len() > 1 && hold(&claims.concat());
    let mut bad_of = |claims: &Vec<Claim<'_>>| {
        if all_hold { Vec::new() } else { find_invalid(claims, usize::MAX, &mut hold) }
    };
    let bad: Vec<Vec<usize>> = claims.iter().map(&mut bad_of).collect();
    groups.into_iter().zip(bad).map(|(group, bad)| group.judged(&bad)).collect()
}

impl Group {
    /// Turns what is not among the bad into proofs: bundles are counted first, then transactions.
    fn judged(self, bad: &[usize]) -> ProvenGroup {
        let after = self.bundles.len();
        let is_good = |position: usize| bad.binary_search(&position).is_err();
        let bundle =
            |(at, partly): (usize, PartlyVerified)| is_good(at).then(|| Verified(Arc::new(partly.bundle)));
        let transaction =
            |(at, signed): (usize, SignedTransaction)| is_good(at).then(|| Verified(Arc::new(signed)));
        ProvenGroup {
            bundles: (0..).zip(self.bundles).map(bundle).collect(),
            transactions: (after..).zip(self.transactions).map(transaction).collect(),
        }
    }
}

/// What is valid or invalid as a whole.
#[derive(Clone)]
enum Claim<'a> {
    Bundle(&'a PartlyVerified, Arc<[SignatureCheck]>),
    Transaction(&'a SignedTransaction),
}

impl<'a> Claim<'a> {
    /// Those of a group: of bundles first, then of transactions.
    fn all_of(group: &'a Group) -> Vec<Self> {
        let votes = |partly: &PartlyVerified| votes_of(&partly.bundle).into_iter().map(|(_, check)| check);
        let bundles = group.bundles.iter().map(|partly| Self::Bundle(partly, votes(partly).collect()));
        bundles.chain(group.transactions.iter().map(Self::Transaction)).collect()
    }

    /// Whether all signatures of all these are valid. A transaction that is in several is checked once.
    #[expect(clippy::disallowed_types, reason = "only looked up, never iterated: its order is never seen")]
    fn all_hold(claims: &[Self], known: &mut KnownKeys, rng: &mut impl CryptoRng) -> bool {
        let transactions = || claims.iter().flat_map(|claim| claim.transactions());
        let mut seen: HashMap<Hash, &'a SignedTransaction> = HashMap::with_capacity(transactions().count());
        let is_new = |signed: &&'a SignedTransaction| {
            seen.insert(signed.id(), signed).is_none_or(|other| other != *signed)
        };
        let of_transactions = transactions().filter(is_new).flat_map(|signed| signed.checks());
        let of_votes = claims.iter().flat_map(|claim| claim.votes()).map(SignatureCheck::borrowed);
        let checks: Vec<BorrowedCheck<'_>> = of_transactions.chain(of_votes).collect();
        batch_holds(&checks, known, rng)
    }

    /// The transactions whose signatures must be valid.
    fn transactions(&self) -> impl Iterator<Item = &'a SignedTransaction> + use<'a> {
        let (bundle, alone) = match self {
            Self::Bundle(partly, _) => (Some(*partly), None),
            Self::Transaction(signed) => (None, Some(*signed)),
        };
        bundle.into_iter().flat_map(PartlyVerified::unproven).chain(alone)
    }

    /// The other signatures.
    fn votes(&self) -> &[SignatureCheck] {
        match self {
            Self::Bundle(_, votes) => votes,
            Self::Transaction(_) => &[],
        }
    }
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
