//! What became of a transaction that was handed in, in the words of the interface.
use quorate_replica::{Admitted, Refusal};
use quorate_rpc::backend::Answer;
use quorate_rpc::{ApiError, ErrorKind};

/// The answer to a transaction on its way: handing in one that is known already is told apart.
///
/// # Errors
/// `AlreadyKnown`: it waits or was executed.
pub fn admitted(admitted: Admitted) -> Answer<()> {
    match admitted {
        Admitted::Pending => Ok(()),
        Admitted::AlreadyPending | Admitted::AlreadyCommitted { .. } => Err(ErrorKind::AlreadyKnown.into()),
    }
}

/// The answer to a transaction that was not taken.
#[must_use]
pub fn refused(refusal: &Refusal) -> ApiError {
    use quorate_ledger::Refusal as Ledger;
    let because = |kind| ApiError::new(kind, refusal);
    match refusal {
        Refusal::Ledger(Ledger::WrongChain { .. }) => because(ErrorKind::WrongChain).in_field("chain"),
        Refusal::Ledger(Ledger::Expired { .. }) => because(ErrorKind::Expired).in_field("valid_until"),
        Refusal::Ledger(Ledger::TooFar { .. }) => because(ErrorKind::TooFarAhead).in_field("valid_until"),
        Refusal::Ledger(Ledger::Duplicate { .. }) => because(ErrorKind::AlreadyKnown),
        Refusal::Ledger(Ledger::Failed { failure, .. }) => (*failure).into(),
        Refusal::Ledger(Ledger::NoParameters) | Refusal::Stopped => because(ErrorKind::NotReady),
        Refusal::Full { retry_after_ms } => because(ErrorKind::MempoolFull).retry_after(*retry_after_ms),
        Refusal::SenderFull { retry_after_ms, .. } => {
            because(ErrorKind::SenderFull).retry_after(*retry_after_ms)
        }
    }
}
