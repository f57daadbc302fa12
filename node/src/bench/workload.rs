//! Transfers among the accounts, each another one.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use quorate_primitives::codec::{Blob, List};
use quorate_primitives::keys::SignatureCheck;
use quorate_primitives::transaction::{
    Action, OUTPUTS_MAX, Operation, Output, Quantity, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::{Amount, Hash, Timestamp};
use quorate_rpc::json::HexBytes;

use super::accounts::{Envelope, Purse, acting};
use crate::commands::{Exit, Failure, OrExit};

/// Who pays whom. All senders take turns, so that each sends as seldom as possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mix {
    /// One payment a transaction, to an account drawn at random.
    Single,
    /// One payment a transaction; no account takes part in two among as many transactions as half of the
    /// accounts.
    Distinct,
    /// One payment a transaction, all to one account.
    Hot,
    /// A thousand payments a transaction.
    Many,
}

impl Mix {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Distinct => "distinct",
            Self::Hot => "hot",
            Self::Many => "many",
        }
    }

    /// Payments in one transaction.
    #[must_use]
    pub fn payments(self) -> u64 {
        match self {
            Self::Single | Self::Distinct | Self::Hot => 1,
            Self::Many => u64::try_from(OUTPUTS_MAX).unwrap_or(u64::MAX),
        }
    }
}

/// Things that are made on all cores before anybody looks whether to go on.
const PART: usize = 8_192;

/// Makes transfers, each another one.
pub struct Workload {
    /// Among whom. At least two.
    purses: Arc<Vec<Purse>>,
    /// Who pays whom.
    mix: Mix,
    /// Bytes of free text in each transaction. Range: 0 to 256.
    payload: usize,
    /// Distinguishes the transactions of this run from those of earlier ones.
    run: u64,
    /// Number of the next transaction.
    next: AtomicUsize,
}

/// A signed transaction, ready to be sent.
pub struct Prepared {
    /// Its id.
    pub id: Hash,
    /// Its canonical bytes.
    pub bytes: HexBytes,
    /// Until when it is valid.
    pub valid_until: Timestamp,
}

impl Workload {
    /// Nothing is made yet. `run` distinguishes what is made here from what was made by earlier runs.
    #[must_use]
    pub fn new(purses: Arc<Vec<Purse>>, mix: Mix, payload: usize, run: u64) -> Self {
        Self { purses, mix, payload, run, next: AtomicUsize::new(0) }
    }

    /// Who pays whom.
    #[must_use]
    pub fn mix(&self) -> Mix {
        self.mix
    }

    /// Among whom.
    #[must_use]
    pub fn purses(&self) -> &[Purse] {
        &self.purses
    }

    /// Numbers of transfers that nobody else makes; the first of them.
    pub fn reserve(&self, count: usize) -> usize {
        self.next.fetch_add(count, Ordering::Relaxed)
    }

    /// Signs the transfer with this number; `None` if that is not possible, which is a fault of the program.
    #[must_use]
    pub fn sign(&self, envelope: &Envelope, number: usize) -> Option<Prepared> {
        let signed = self.transfer(envelope, number)?;
        Some(Prepared {
            id: signed.id(),
            bytes: HexBytes::of(&signed),
            valid_until: signed.transaction().valid_until,
        })
    }

    /// The checks of the signatures of some transfers, by as many senders as there are.
    ///
    /// # Errors
    /// [`Failure`] if the system gives no threads.
    pub fn checks(&self, envelope: &Envelope, count: usize) -> Result<Vec<SignatureCheck>, Failure> {
        let first = self.reserve(count);
        let checks = in_parallel(count, |number| {
            self.transfer(envelope, first.saturating_add(number)).map(|signed| signed.signature_checks())
        })?;
        Ok(checks.into_iter().flatten().collect())
    }

    fn transfer(&self, envelope: &Envelope, number: usize) -> Option<SignedTransaction> {
        let count = self.purses.len();
        let half = count / 2;
        let (sender, receiver) = match self.mix {
            Mix::Single | Mix::Many => (number % count, scattered(number) % count),
            Mix::Distinct => (number % half, half.checked_add(number % half)?),
            Mix::Hot => (number.checked_add(1)? % count, 0),
        };
        // Nobody pays itself.
        let receiver = if receiver == sender { receiver.checked_add(1)? % count } else { receiver };
        let (sender, to) = (self.purses.get(sender)?, self.purses.get(receiver)?.id);
        let action = self.action(envelope, sender, number, to)?;
        let nonce = u128::from(self.run) << 64 | u128::try_from(number).ok()?;
        let transaction = Transaction {
            chain: envelope.chain,
            version: TRANSACTION_VERSION,
            sender: sender.id,
            nonce: nonce.to_be_bytes(),
            valid_until: envelope.valid_until,
            actions: List::of_one(action),
            asserts: List::default(),
            reference: Blob::default(),
            memo: Blob::new(vec![b'x'; self.payload]).ok()?,
            signers: List::of_one(sender.key.public_key()),
        };
        transaction.sign(std::slice::from_ref(&sender.key)).ok()
    }

    fn action(
        &self,
        envelope: &Envelope,
        sender: &Purse,
        number: usize,
        to: quorate_primitives::address::AccountId,
    ) -> Option<Action> {
        let (asset, amount) = (envelope.asset, Amount::new(1));
        if self.mix != Mix::Many {
            let quantity = Quantity::Exact(amount);
            return Some(acting(Operation::Transfer { asset, to, quantity, tag: None }));
        }
        let others = self.purses.iter().cycle().skip(number % self.purses.len());
        let others = others.filter(|purse| purse.id != sender.id).take(OUTPUTS_MAX);
        let outputs = others.map(|purse| Output { to: purse.id, amount, tag: None }).collect();
        Some(acting(Operation::TransferMany { asset, outputs: List::new(outputs).ok()? }))
    }
}

/// A number that looks drawn at random, and is the same for the same number.
fn scattered(number: usize) -> usize {
    // One step of a multiplicative generator; its high bits are the good ones.
    number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

/// As [`in_parallel`], without keeping anything else from running; stops soon after it is dropped.
///
/// # Errors
/// As [`in_parallel`].
pub async fn in_background<T: Send + 'static>(
    count: usize,
    make: impl Fn(usize) -> Option<T> + Send + Sync + 'static,
) -> Result<Vec<T>, Failure> {
    let make = Arc::new(make);
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let (first, part) = (all.len(), PART.min(count.saturating_sub(all.len())));
        let make = Arc::clone(&make);
        let work = move || in_parallel(part, |number| make(first.saturating_add(number)));
        all.extend(tokio::task::spawn_blocking(work).await.or_exit(Exit::Internal)??);
    }
    Ok(all)
}

/// Makes `count` things on all cores, in order.
///
/// # Errors
/// [`Failure`] if a thing cannot be made, which is a fault of the program.
pub fn in_parallel<T: Send>(
    count: usize,
    make: impl Fn(usize) -> Option<T> + Sync,
) -> Result<Vec<T>, Failure> {
    let threads = thread::available_parallelism().or_exit_about(Exit::Internal, "threads")?.get();
    let share = count.div_ceil(threads);
    let parts = thread::scope(|scope| {
        let work = |thread: usize| {
            let (from, to) = (thread.saturating_mul(share), thread.saturating_add(1).saturating_mul(share));
            let make = &make;
            scope.spawn(move || (from..to.min(count)).map(make).collect::<Option<Vec<T>>>())
        };
        let working: Vec<_> = (0..threads).map(work).collect();
        working.into_iter().map(|thread| thread.join().ok().flatten()).collect::<Option<Vec<Vec<T>>>>()
    });
    let parts = parts.ok_or_else(|| Failure::new(Exit::Internal, "a transaction could not be made"))?;
    Ok(parts.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_primitives::state::AssetId;
    use std::collections::BTreeSet;

    const ENVELOPE: Envelope = Envelope {
        chain: Hash::ZERO,
        asset: AssetId::from_bytes([1; 32]),
        valid_until: Timestamp::new(1_800_000_000_000),
    };

    fn transfers(mix: Mix, count: usize) -> Vec<SignedTransaction> {
        let purses: Vec<Purse> = (0..10).map(|number| Purse::derive("1", number)).collect();
        let workload = Workload::new(Arc::new(purses), mix, 16, 1);
        (0..count).map(|number| workload.transfer(&ENVELOPE, number).unwrap()).collect()
    }

    #[test]
    fn transfers_of_a_run_differ_and_nobody_pays_itself() {
        for mix in [Mix::Single, Mix::Distinct, Mix::Hot, Mix::Many] {
            let made = transfers(mix, 50);
            let ids: BTreeSet<Hash> = made.iter().map(SignedTransaction::id).collect();
            assert_eq!(ids.len(), 50, "{mix:?}");
            for signed in made {
                let transaction = signed.transaction();
                let receivers: Vec<_> = match &transaction.actions[0].operation {
                    Operation::Transfer { to, .. } => vec![*to],
                    Operation::TransferMany { outputs, .. } => {
                        outputs.iter().map(|output| output.to).collect()
                    }
                    other => panic!("{other:?}"),
                };
                assert!(!receivers.contains(&transaction.sender), "{mix:?}");
            }
        }
    }

    #[test]
    fn distinct_transfers_share_no_account() {
        let made = transfers(Mix::Distinct, 5);
        let mut seen = BTreeSet::new();
        for signed in made {
            let Operation::Transfer { to, .. } = signed.transaction().actions[0].operation else { panic!() };
            assert!(seen.insert(signed.transaction().sender) && seen.insert(to));
        }
    }

    #[test]
    fn things_made_on_many_cores_keep_their_order() {
        assert_eq!(in_parallel(1_001, Some).unwrap(), (0..1_001).collect::<Vec<_>>());
        assert!(in_parallel(5, |number| (number != 3).then_some(number)).is_err());
    }

    #[tokio::test]
    async fn things_made_part_by_part_keep_their_order() {
        let count = 2 * PART + 1;
        assert_eq!(in_background(count, Some).await.unwrap(), (0..count).collect::<Vec<_>>());
    }
}
