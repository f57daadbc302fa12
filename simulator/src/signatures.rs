//! Real signatures, each proven once.
//!
//! Ed25519 is most of the work of a validator, and in one thread the same signature would be proven by
//! every node. What was proven is therefore remembered by its whole content: key, message and signature.
//! A signature that the simulator itself has just made with a validator's key is remembered as valid
//! without a proof, except for one in 64; anything else is really proven, so that whatever a
//! validator or a link altered or made up is found out by the code that nodes run.
use quorate_primitives::Hash;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::hash::Domain;
use quorate_primitives::keys::{KnownKeys, PublicKey, Signature, SignatureCheck};
use quorate_primitives::signed::{Verified, verify_bundle, verify_transactions};
use quorate_primitives::transaction::SignedTransaction;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::random::Dice;

/// Of the signatures that the simulator makes, one in so many is proven all the same.
const SAMPLE: u64 = 64;

struct Verdict {
    domain: Domain,
    message: Vec<u8>,
    is_valid: bool,
}

/// What was proven in one run.
pub struct Memo {
    dice: Dice,
    checks: BTreeMap<(Signature, PublicKey), Verdict>,
    transactions: BTreeMap<Hash, Verified<SignedTransaction>>,
    bundles: BTreeMap<Hash, Option<Verified<Bundle>>>,
    made: u64,
}

impl Memo {
    /// Nothing is proven yet.
    #[must_use]
    pub fn new(dice: Dice) -> Self {
        Self {
            dice,
            checks: BTreeMap::new(),
            transactions: BTreeMap::new(),
            bundles: BTreeMap::new(),
            made: 0,
        }
    }

    /// Positions of the invalid ones, ascending.
    pub fn invalid(&mut self, checks: &[SignatureCheck]) -> Vec<usize> {
        let verdicts = checks.iter().enumerate();
        verdicts.filter(|(_, check)| !self.is_valid(check)).map(|(position, _)| position).collect()
    }

    /// Whether a signature is valid.
    pub fn is_valid(&mut self, check: &SignatureCheck) -> bool {
        let key = (check.signature, check.key);
        let known = self.checks.get(&key);
        if let Some(known) =
            known.filter(|known| known.domain == check.domain && known.message == check.message)
        {
            return known.is_valid;
        }
        let is_valid = check.key.verify(check.domain, &check.message, &check.signature);
        let verdict = Verdict { domain: check.domain, message: check.message.clone(), is_valid };
        self.checks.insert(key, verdict);
        is_valid
    }

    /// Remembers a signature that was just made with the secret key. False if it is not valid, which is
    /// looked at now and then.
    pub fn made(&mut self, check: SignatureCheck) -> bool {
        self.made = self.made.wrapping_add(1);
        if self.made % SAMPLE == 1 {
            return self.is_valid(&check);
        }
        let verdict = Verdict { domain: check.domain, message: check.message, is_valid: true };
        self.checks.insert((check.signature, check.key), verdict);
        true
    }

    /// Remembers a proven transaction.
    pub fn keep_transaction(&mut self, transaction: &Verified<SignedTransaction>) {
        self.transactions.insert(transaction.id(), transaction.clone());
    }

    /// Proves the signatures of a transaction; `None` if one is invalid.
    pub fn transaction(&mut self, signed: SignedTransaction) -> Option<Verified<SignedTransaction>> {
        // The id does not commit to the signatures: the whole must be equal.
        if let Some(known) = self.transactions.get(&signed.id()).filter(|known| ***known == signed) {
            return Some(known.clone());
        }
        let proven = proven(signed, &mut self.dice)?;
        self.keep_transaction(&proven);
        Some(proven)
    }

    /// Remembers a proven bundle.
    pub fn keep_bundle(&mut self, bundle: &Verified<Bundle>) {
        self.bundles.entry(bundle.id()).or_insert_with(|| Some(bundle.clone()));
    }

    /// Proves the signatures in a bundle; `None` if one is invalid.
    pub fn bundle(&mut self, bundle: Bundle) -> Option<Verified<Bundle>> {
        // The id commits to all bytes of the bundle, its signatures included.
        if let Some(known) = self.bundles.get(&bundle.id()) {
            return known.clone();
        }
        let id = bundle.id();
        let proven = match self.known_bundle(&bundle) {
            Some(proven) if proven.id() == id => Some(proven),
            Some(_) | None => verify_bundle(bundle, &mut KnownKeys::default(), self.dice.rng()).ok(),
        };
        self.bundles.insert(id, proven.clone());
        proven
    }

    /// The bundle, if all its transactions were proven before.
    fn known_bundle(&self, bundle: &Bundle) -> Option<Verified<Bundle>> {
        let known = |signed: &std::sync::Arc<SignedTransaction>| {
            // The id does not commit to the signatures: the whole must be equal.
            self.transactions.get(&signed.id()).filter(|known| ***known == **signed).cloned()
        };
        if !bundle.accusations().is_empty() {
            return None;
        }
        let transactions: Vec<_> = bundle.transactions().iter().map(known).collect::<Option<_>>()?;
        Verified::<Bundle>::from_verified(bundle.author(), bundle.sequence(), &transactions, Vec::new())
    }
}

/// Proves a transaction; `None` if a signature is invalid.
pub fn proven(signed: SignedTransaction, dice: &mut Dice) -> Option<Verified<SignedTransaction>> {
    verify_transactions(vec![signed], &mut KnownKeys::default(), dice.rng()).pop().flatten()
}

/// Transactions that were signed in earlier runs of this thread, by their ids.
///
/// The plain payments of the workload are the same in many runs, since the networks are; signing them
/// again would cost more than all the rest of a short run.
#[derive(Default)]
pub struct Presigned(std::cell::RefCell<BTreeMap<Hash, Verified<SignedTransaction>>>);

/// Most transactions that are kept between runs.
const PRESIGNED_MAX: usize = 50_000;

impl Presigned {
    /// None yet.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::new(Self::default())
    }

    /// The transaction with this id, made by `make` if it is not here.
    pub fn get(
        &self,
        id: Hash,
        make: impl FnOnce() -> Option<Verified<SignedTransaction>>,
    ) -> Option<Verified<SignedTransaction>> {
        if let Some(known) = self.0.borrow().get(&id) {
            return Some(known.clone());
        }
        let made = make()?;
        let mut kept = self.0.borrow_mut();
        if kept.len() >= PRESIGNED_MAX {
            kept.clear();
        }
        kept.insert(id, made.clone());
        Some(made)
    }
}
