//! Transfers, signed before any clock starts.
use std::thread;

use quorate_primitives::codec::{Blob, List};
use quorate_primitives::keys::SignatureCheck;
use quorate_primitives::transaction::{
    Action, OUTPUTS_MAX, Operation, Output, Quantity, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::{Amount, Hash};
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

/// Makes transfers, each another one.
pub struct Workload<'a> {
    /// Among whom. At least two.
    pub purses: &'a [Purse],
    /// Who pays whom.
    pub mix: Mix,
    /// Bytes of free text in each transaction. Range: 0 to 256.
    pub payload: usize,
    /// Number of the next transaction.
    pub next: usize,
    /// Distinguishes the transactions of this run from those of earlier ones.
    pub run: u64,
}

/// A signed transaction, ready to be sent.
pub struct Prepared {
    /// Its id.
    pub id: Hash,
    /// Its canonical bytes.
    pub bytes: HexBytes,
}

impl Workload<'_> {
    /// Signs so many transfers, on all cores.
    ///
    /// # Errors
    /// [`Failure`] if the system gives no threads.
    pub fn prepare(&mut self, envelope: &Envelope, count: usize) -> Result<Vec<Prepared>, Failure> {
        let first = self.next;
        self.next = first.saturating_add(count);
        in_parallel(count, |number| {
            let signed = self.transfer(envelope, first.saturating_add(number))?;
            Some(Prepared { id: signed.id(), bytes: HexBytes::of(&signed) })
        })
    }

    /// The checks of the signatures of some transfers, by as many senders as there are.
    ///
    /// # Errors
    /// [`Failure`] if the system gives no threads.
    pub fn checks(&mut self, envelope: &Envelope, count: usize) -> Result<Vec<SignatureCheck>, Failure> {
        let first = self.next;
        self.next = first.saturating_add(count);
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
    use crate::bench::accounts::derive;
    use quorate_primitives::Timestamp;
    use quorate_primitives::state::AssetId;
    use std::collections::BTreeSet;

    const ENVELOPE: Envelope = Envelope {
        chain: Hash::ZERO,
        asset: AssetId::from_bytes([1; 32]),
        valid_until: Timestamp::new(1_800_000_000_000),
    };

    fn transfers(mix: Mix, count: usize) -> Vec<SignedTransaction> {
        let purses = derive("1", 10).unwrap();
        let workload = Workload { purses: &purses, mix, payload: 16, next: 0, run: 1 };
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
}
