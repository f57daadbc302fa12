//! Whether clients' transactions are taken, and what is answered when they were given before.
use quorate_ledger::{Refusal as LedgerRefusal, admissions};
use quorate_primitives::signed::Verified;
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::zoo::{self, Bug};

use crate::answer::{Admitted, Refusal};
use crate::event::{Effect, Submission};
use crate::replica::Replica;

impl Replica {
    /// Takes transactions into the pool, unless they are there, in the ledger, or could not take effect
    /// on the ledger as it is, and answers each. Giving one again changes nothing and is answered with
    /// where it is.
    pub(crate) fn admit(&mut self, submissions: Vec<Submission>) {
        let transactions: Vec<&SignedTransaction> =
            submissions.iter().map(|submission| &*submission.transaction).collect();
        let verdicts = admissions(self.ledger.head().state(), &transactions, self.now);
        for (Submission { ticket, transaction }, verdict) in submissions.into_iter().zip(verdicts) {
            let outcome = self.admit_one(transaction, verdict);
            self.out.effects.push(Effect::Reply { ticket, outcome });
        }
    }

    /// `verdict` is that of the ledger.
    fn admit_one(
        &mut self,
        signed: Verified<SignedTransaction>,
        verdict: Result<(), LedgerRefusal>,
    ) -> Result<Admitted, Refusal> {
        let id = signed.id();
        if self.mempool.contains(&id) || self.bundles.contains_transaction(&id) {
            return Ok(Admitted::AlreadyPending);
        }
        let refusal = match verdict {
            Ok(()) => None,
            Err(LedgerRefusal::Duplicate { .. }) if zoo::has(Bug::DuplicateAnsweredNew) => None,
            Err(LedgerRefusal::Duplicate { height }) => return Ok(Admitted::AlreadyCommitted { height }),
            Err(refusal) => Some(refusal),
        };
        if let Some(refusal) = refusal {
            // The state forgets a transaction some time after it expired; the store does not.
            return match self.reader.position(&id) {
                Ok(Some(position)) if !zoo::has(Bug::DuplicateAnsweredNew) => {
                    Ok(Admitted::AlreadyCommitted { height: position.height })
                }
                _ => Err(Refusal::Ledger(refusal)),
            };
        }
        if self.room() == 0 {
            return Err(Refusal::Full { retry_after_ms: self.settings.pool.retry_after_ms });
        }
        let backlog_max = self.backlog_max();
        self.mempool.check_room(&signed, backlog_max)?;
        self.mempool.insert(signed);
        Ok(Admitted::Pending)
    }
}
