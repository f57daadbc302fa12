//! What one core needs to read bundles and to prove their signatures.
//!
//! `cargo run --release -p quorate-primitives --example verification -- [KEYS] [ROUNDS]`: microseconds of
//! processor time for one signature in batches of several sizes, signed by so many keys in turn, each of them
//! known, and for one transaction of a bundle that is decoded and named. All figures are means over so many
//! rounds, taken in turns; the library's own batches and hashing alone are given beside them, since machines
//! differ.
use quorate_primitives::address::AccountId;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::codec::{self, Blob, List};
use quorate_primitives::hash::many::hash_in_parts;
use quorate_primitives::hash::{Domain, hash};
use quorate_primitives::keys::{KnownKeys, SignatureCheck, reference_batch, verify_batch};
use quorate_primitives::state::{AssetId, Authority, Symbol};
use quorate_primitives::transaction::{
    Action, Operation, Quantity, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::{Amount, Hash, SecretKey, Timestamp};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Signatures in the batches that are measured.
const BATCHES: [usize; 8] = [1, 16, 64, 128, 256, 512, 1_024, 2_048];
/// Transactions in each bundle that is decoded.
const BUNDLE: usize = 128;
/// How long each work is done in a round. The system counts in steps of some ms.
const WHILE: Duration = Duration::from_millis(50);

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let mut next = |default| arguments.next().unwrap_or(Ok(default));
    let (keys, rounds) = (next(10_000)?, next(15)?);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let keys: Vec<SecretKey> = (0..keys).map(|_| SecretKey::generate(&mut rng)).collect();
    let most = BATCHES.iter().copied().max().unwrap_or_default();
    let signed: Outcome<Vec<SignedTransaction>> =
        keys.iter().cycle().take(most).map(|key| transfer(key, &mut rng)).collect();
    let signed = signed?;
    let checks: Vec<SignatureCheck> = signed.iter().flat_map(|signed| signed.signature_checks()).collect();
    let mut known = KnownKeys::new(2 * keys.len());
    let bundle = encoded(signed.get(..BUNDLE).unwrap_or_default())?;
    let decode = |bytes: &[u8]| codec::decode::<Bundle>(bytes, bytes.len());
    let batch = |size: usize| checks.get(..size).unwrap_or_default();
    let (mut sizes, mut others) = ([Mean::default(); BATCHES.len()], [Mean::default(); 4]);
    for _ in 0..rounds {
        for (size, mean) in BATCHES.into_iter().zip(&mut sizes) {
            mean.add(size, || verify_batch(batch(size), &mut known, &mut rng).is_empty())?;
        }
        let [library, decoding, naming, hashing] = &mut others;
        library.add(256, || reference_batch(batch(256), &mut rng))?;
        decoding.add(BUNDLE, || decode(&bundle).is_ok())?;
        naming.add(BUNDLE, || hash_in_parts(Domain::Bundle, &[], &bundle) != Hash::ZERO)?;
        hashing.add(BUNDLE, || hash(Domain::Bundle, &[&bundle]) != Hash::ZERO)?;
    }
    for (size, mean) in BATCHES.iter().zip(&sizes) {
        println!("{mean} us for a signature in a batch of {size}");
    }
    let [library, decoding, naming, hashing] = &others;
    println!("{library} us in a batch of 256 of the library");
    println!("{decoding} us to decode and name a transaction of {} bytes in a bundle", bundle.len() / BUNDLE);
    println!("{naming} us to hash its bytes in parts, {hashing} in one piece");
    Ok(())
}

fn encoded(signed: &[SignedTransaction]) -> Outcome<Vec<u8>> {
    let shared = signed.iter().cloned().map(Arc::new).collect();
    Ok(codec::encode(&Bundle::from_shared(0, 1, shared, Vec::new())?))
}

/// Processor time that the parts of some work took.
#[derive(Clone, Copy, Default)]
struct Mean {
    time: Duration,
    parts: usize,
}

impl Mean {
    /// Does the work, which has so many parts, for a while.
    fn add(&mut self, parts: usize, mut work: impl FnMut() -> bool) -> Outcome<()> {
        let begun = processor_time()?;
        let mut took = Duration::ZERO;
        while took < WHILE {
            // Asking for the time takes some itself.
            for _ in 0..(2_048 / parts).max(1) {
                if !work() {
                    return Err("the work failed".into());
                }
                self.parts += parts;
            }
            took = processor_time()?.saturating_sub(begun);
        }
        self.time += took;
        Ok(())
    }
}

impl fmt::Display for Mean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.time.as_nanos() / u128::try_from(self.parts).unwrap_or(1).max(1);
        write!(f, "{:3}.{:02}", ns / 1_000, ns % 1_000 / 10)
    }
}

/// What this thread has had of a processor, as Linux counts it: whatever else runs does not matter.
fn processor_time() -> Outcome<Duration> {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(Duration::from_nanos(counted.split(' ').next().ok_or("an empty count")?.parse()?))
}

fn transfer(key: &SecretKey, rng: &mut ChaCha20Rng) -> Outcome<SignedTransaction> {
    let account = AccountId::derive(&Authority::single(key.public_key()), &[0; 16]);
    let quantity = Quantity::Exact(Amount::new(1));
    let asset = AssetId::derive(&Symbol::new("USD")?);
    let operation = Operation::Transfer { asset, to: account, quantity, tag: None };
    let transaction = Transaction {
        chain: Hash::ZERO,
        version: TRANSACTION_VERSION,
        sender: account,
        nonce: rng.random(),
        valid_until: Timestamp::new(1_800_000_000_000),
        actions: List::new(vec![Action { actor: None, operation }])?,
        asserts: List::default(),
        reference: Blob::default(),
        memo: Blob::default(),
        signers: List::new(vec![key.public_key()])?,
    };
    Ok(transaction.sign(std::slice::from_ref(key))?)
}
