//! What is proven together, and what each source has to answer for.
use quorate_primitives::PublicKey;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::keys::KnownKeys;
use quorate_primitives::signed::{Group, PartlyVerified, ProvenGroup, Verified, verify_groups};
use quorate_primitives::transaction::SignedTransaction;
use quorate_replica::{Answer, SyncBlock, VerifiedAnswer, VerifiedSyncBlock};
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cache::Cache;
use super::queues::BATCH_BYTES_MAX;
use crate::io::counters::{Counters, count, count_bytes};

/// How long what a source sends is proven apart from what others send after one of its signatures was invalid,
/// so that nobody can make the batches of all fail again and again.
const SUSPICION: Duration = Duration::from_secs(10);

/// Who is to blame for an invalid signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Peer(PublicKey),
    /// All clients: any of them can send anything, and none is known.
    Clients,
}

/// Sources of invalid signatures, each with the time until which it is suspected.
#[derive(Debug, Default)]
pub(super) struct Suspects(BTreeMap<Source, Instant>);

impl Suspects {
    fn contains(&self, source: Source, now: Instant) -> bool {
        self.0.get(&source).is_some_and(|until| now < *until)
    }

    /// Forgets those whose time has passed, so that no more are kept than there are peers.
    fn add(&mut self, source: Source, now: Instant) {
        self.0.retain(|_, until| now < *until);
        self.0.insert(source, now + SUSPICION);
    }
}

/// What proving needs.
pub(super) struct Proof<'a> {
    pub(super) cache: &'a Mutex<Cache>,
    pub(super) suspects: &'a Mutex<Suspects>,
    pub(super) counters: &'a Counters,
    pub(super) known: &'a mut KnownKeys,
    pub(super) rng: &'a mut StdRng,
}

/// What is proven of one source, and at which positions it was given.
#[derive(Default)]
struct Lot {
    group: Group,
    bundles: Vec<usize>,
    transactions: Vec<usize>,
}

impl Proof<'_> {
    /// Proves an answer of a peer.
    pub(super) fn answer(&mut self, answer: Answer, from: PublicKey) -> Option<VerifiedAnswer> {
        Some(match answer {
            Answer::Unknown => VerifiedAnswer::Unknown,
            Answer::Bundles(bundles) => VerifiedAnswer::Bundles(self.bundles(bundles.into_inner(), from)?),
            Answer::Block { header, bundles } => {
                VerifiedAnswer::Block { header, bundles: self.bundles(bundles.into_inner(), from)? }
            }
            Answer::Standing { epoch, view, entry, quarantined, vote } => {
                VerifiedAnswer::Standing { epoch, view, entry, quarantined, vote }
            }
            Answer::Blocks(blocks) => {
                let mut all = Vec::new();
                let mut rest = Vec::new();
                for SyncBlock { header, bundles, certificate } in blocks.into_inner() {
                    rest.push((header, bundles.len(), certificate));
                    all.extend(bundles.into_inner());
                }
                let mut proven = self.bundles(all, from)?.into_iter();
                let block = |(header, count, certificate)| {
                    let bundles = proven.by_ref().take(count).collect();
                    VerifiedSyncBlock { header, bundles, certificate }
                };
                VerifiedAnswer::Blocks(rest.into_iter().map(block).collect())
            }
        })
    }

    /// Proves the bundles of one peer, as many at a time as make a batch; `None` if one of them is invalid.
    fn bundles(&mut self, bundles: Vec<Bundle>, from: PublicKey) -> Option<Vec<Verified<Bundle>>> {
        let mut proven = Vec::with_capacity(bundles.len());
        let mut rest = bundles.into_iter().peekable();
        while let Some(first) = rest.next() {
            let mut room = BATCH_BYTES_MAX.saturating_sub(first.size());
            let mut part = vec![(from, first)];
            while let Some(next) = rest.next_if(|next| next.size() <= room) {
                room -= next.size();
                part.push((from, next));
            }
            let verdicts: Option<Vec<_>> = self.prove(part, Vec::new()).bundles.into_iter().collect();
            proven.extend(verdicts?);
        }
        Some(proven)
    }

    /// Proves bundles of peers and transactions of clients together, as far as their transactions are not proven
    /// already; the verdicts are in the order given. Accusations are proven each time: they are rare.
    pub(super) fn prove(
        &mut self,
        bundles: Vec<(PublicKey, Bundle)>,
        transactions: Vec<SignedTransaction>,
    ) -> ProvenGroup {
        let mut verdicts = ProvenGroup { bundles: vec![None; bundles.len()], transactions: Vec::new() };
        let (mut together, mut apart) = (BTreeMap::<Source, Lot>::new(), Vec::new());
        {
            let (cache, suspects, now) = (lock(self.cache), lock(self.suspects), Instant::now());
            for (position, (from, bundle)) in bundles.into_iter().enumerate() {
                let bundle = PartlyVerified::new(bundle, |signed| cache.get(signed));
                let source = Source::Peer(from);
                if suspects.contains(source, now) {
                    let group = Group { bundles: vec![bundle], transactions: Vec::new() };
                    apart.push((source, Lot { group, bundles: vec![position], transactions: Vec::new() }));
                } else {
                    let lot = together.entry(source).or_default();
                    lot.bundles.push(position);
                    lot.group.bundles.push(bundle);
                }
            }
            let mut lot = Lot::default();
            for (position, transaction) in transactions.into_iter().enumerate() {
                let known = cache.get(&transaction);
                if known.is_none() {
                    lot.transactions.push(position);
                    lot.group.transactions.push(transaction);
                }
                verdicts.transactions.push(known);
            }
            if suspects.contains(Source::Clients, now) {
                apart.push((Source::Clients, lot));
            } else {
                together.insert(Source::Clients, lot);
            }
        }
        let known = verdicts.transactions.iter().flatten().count();
        count_bytes(&self.counters.verified_again, known);
        self.prove_lots(together.into_iter().collect(), &mut verdicts);
        apart.into_iter().for_each(|lot| self.prove_lots(vec![lot], &mut verdicts));
        verdicts
    }

    /// Proves these by one batch, remembers what is proven and suspects whom an invalid signature is of.
    fn prove_lots(&mut self, lots: Vec<(Source, Lot)>, verdicts: &mut ProvenGroup) {
        self.count(lots.iter().map(|(_, lot)| &lot.group));
        let mut groups = Vec::with_capacity(lots.len());
        let mut origins = Vec::with_capacity(lots.len());
        for (source, Lot { group, bundles, transactions }) in lots {
            groups.push(group);
            origins.push((source, bundles, transactions));
        }
        let proven = verify_groups(groups, self.known, self.rng);
        let (mut cache, now) = (lock(self.cache), Instant::now());
        for ((source, bundles, transactions), proven) in origins.into_iter().zip(proven) {
            let ProvenGroup { bundles: of_bundles, transactions: of_transactions } = proven;
            if of_bundles.iter().any(Option::is_none) || of_transactions.iter().any(Option::is_none) {
                lock(self.suspects).add(source, now);
            }
            let in_bundles = of_bundles.iter().flatten().flat_map(Verified::verified_transactions);
            in_bundles
                .chain(of_transactions.iter().flatten().cloned())
                .for_each(|signed| cache.insert(signed));
            place(&mut verdicts.bundles, bundles, of_bundles);
            place(&mut verdicts.transactions, transactions, of_transactions);
        }
    }

    fn count<'g>(&self, groups: impl Iterator<Item = &'g Group>) {
        let signers = |signed: &SignedTransaction| signed.transaction().signers.len();
        let (mut signatures, mut again) = (0, 0);
        for Group { bundles, transactions } in groups {
            for bundle in bundles {
                // Each accusation has two votes.
                let votes = bundle.bundle().accusations().len() * 2;
                signatures += bundle.unproven().map(signers).sum::<usize>() + votes;
                again += bundle.bundle().transactions().len() - bundle.unproven().count();
            }
            signatures += transactions.iter().map(signers).sum::<usize>();
        }
        count_bytes(&self.counters.signatures_checked, signatures);
        count_bytes(&self.counters.verified_again, again);
        count(&self.counters.signature_batches, u64::from(signatures > 0));
    }
}

/// Puts verdicts where they belong.
fn place<T>(all: &mut [Option<T>], positions: Vec<usize>, verdicts: Vec<Option<T>>) {
    for (position, verdict) in positions.into_iter().zip(verdicts) {
        if let Some(to) = all.get_mut(position) {
            *to = verdict;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bundle, forged, good, peer};
    use super::*;
    use crate::io::verify::fresh_rng;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct World {
        cache: Mutex<Cache>,
        suspects: Mutex<Suspects>,
        counters: Counters,
    }

    impl World {
        /// Which are valid.
        fn prove(
            &self,
            bundles: &[(u8, Bundle)],
            transactions: &[SignedTransaction],
        ) -> (Vec<bool>, Vec<bool>) {
            let (known, rng) = (&mut KnownKeys::default(), &mut fresh_rng().unwrap());
            let World { cache, suspects, counters } = self;
            let bundles: Vec<_> =
                bundles.iter().map(|(from, bundle)| (peer(*from), bundle.clone())).collect();
            let mut proof = Proof { cache, suspects, counters, known, rng };
            let proven = proof.prove(bundles.clone(), transactions.to_vec());
            for ((_, given), proven) in bundles.iter().zip(&proven.bundles) {
                assert!(proven.as_ref().is_none_or(|proven| **proven == *given), "another bundle");
            }
            for (given, proven) in transactions.iter().zip(&proven.transactions) {
                assert!(proven.as_ref().is_none_or(|proven| **proven == *given), "another transaction");
            }
            let of_bundles = proven.bundles.iter().map(Option::is_some).collect();
            (of_bundles, proven.transactions.iter().map(Option::is_some).collect())
        }
    }

    fn of(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    #[test]
    fn verdicts_are_in_the_order_given_whoever_is_to_blame() {
        let world = World::default();
        let (fine, bad) = (|number| bundle(vec![good(number)]), bundle(vec![good(1), forged(2)]));
        let given = [(2, fine(3)), (1, fine(4)), (2, bad.clone()), (3, fine(5)), (2, fine(6)), (3, bad)];
        let transactions = [forged(7), good(8), good(3), forged(3)];
        // The second time much is known, and three sources are suspected.
        for round in 0..2 {
            let found = world.prove(&given, &transactions);
            let expected = (vec![true, true, false, true, true, false], vec![false, true, true, false]);
            assert_eq!(found, expected, "round {round}");
        }
        assert_eq!(world.prove(&[], &[]), (vec![], vec![]));
    }

    #[test]
    fn what_is_known_is_not_checked_again() {
        let world = World::default();
        let checked = || of(&world.counters.signatures_checked);
        world.prove(&[(1, bundle(vec![good(1), good(2)]))], &[good(3)]);
        assert_eq!((checked(), of(&world.counters.verified_again)), (3, 0));
        let (of_bundles, of_transactions) = world.prove(&[(2, bundle(vec![good(3), good(4)]))], &[good(1)]);
        assert!(of_bundles == [true] && of_transactions == [true]);
        assert_eq!((checked(), of(&world.counters.verified_again)), (4, 2));
        // What is known under another signature is not known.
        assert_eq!(world.prove(&[(2, bundle(vec![forged(3)]))], &[forged(1)]), (vec![false], vec![false]));
    }

    #[test]
    fn a_source_of_invalid_signatures_no_longer_spoils_the_batches_of_others() {
        let world = World::default();
        let batches = || of(&world.counters.signature_batches);
        let fine = |from: u8, number| (from, bundle(vec![good(number)]));
        world.prove(&[fine(1, 1), fine(2, 2)], &[good(3)]);
        assert_eq!(batches(), 1, "all together");
        world.prove(&[(1, bundle(vec![forged(4)])), fine(2, 5)], &[good(6)]);
        assert_eq!(batches(), 2, "nobody was suspected");
        world.prove(&[fine(1, 7), fine(1, 8), fine(2, 9)], &[good(10)]);
        assert_eq!(batches(), 5, "each bundle of the first peer for itself");
        world.prove(&[fine(2, 11), fine(3, 12)], &[forged(13)]);
        world.prove(&[fine(2, 14), fine(3, 15)], &[good(16), good(17)]);
        assert_eq!(batches(), 8, "clients for themselves");
    }

    #[test]
    fn suspicion_ends() {
        let (mut suspects, now) = (Suspects::default(), Instant::now());
        suspects.add(Source::Clients, now);
        suspects.add(Source::Peer(peer(1)), now + SUSPICION / 2);
        assert!(suspects.contains(Source::Clients, now) && !suspects.contains(Source::Peer(peer(2)), now));
        assert!(!suspects.contains(Source::Clients, now + SUSPICION));
        suspects.add(Source::Peer(peer(2)), now + SUSPICION);
        assert_eq!(suspects.0.len(), 2, "who is no longer suspected is forgotten");
    }
}
