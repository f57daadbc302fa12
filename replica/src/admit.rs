//! Whether a client's transaction is taken, and what is answered when it was given before.
use quorate_ledger::{Refusal as LedgerRefusal, admission};
use quorate_primitives::signed::Verified;
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::zoo::{self, Bug};

use crate::answer::{Admitted, Refusal};
use crate::replica::Replica;

impl Replica {
    /// Takes a transaction into the pool, unless it is there, in the ledger, or could not take effect
    /// on the ledger as it is. Giving it again changes nothing and is answered with where it is.
    pub(crate) fn admit(&mut self, signed: Verified<SignedTransaction>) -> Result<Admitted, Refusal> {
        let id = signed.id();
        if self.mempool.contains(&id) || self.bundles.contains_transaction(&id) {
            return Ok(Admitted::AlreadyPending);
        }
        let refusal = match admission(self.ledger.head().state(), &signed, self.now) {
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
