//! Asking beforehand what executing a transaction would do.
use quorate_primitives::receipt::{Failure, Receipt, Verdict};
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{Hash, Height, Timestamp};

use crate::execute::transaction::{Moment, touched, transaction};
use crate::state::State;
use crate::state::overlay::Overlay;

/// Why a transaction would not be executed, or would fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Made for another chain.
    #[error("the transaction is for chain {found}, but this is chain {expected}")]
    WrongChain {
        /// This chain.
        expected: Hash,
        /// The transaction's.
        found: Hash,
    },
    /// Its validity ended; it can never execute.
    #[error("the transaction was valid until {valid_until}, but it is {now}")]
    Expired {
        /// End of validity.
        valid_until: Timestamp,
        /// Time of the block, or of the node.
        now: Timestamp,
    },
    /// Valid for longer than the chain remembers nonces.
    #[error("the transaction is valid until {valid_until}, but at most {latest} is allowed now")]
    TooFar {
        /// End of validity.
        valid_until: Timestamp,
        /// Latest end allowed.
        latest: Timestamp,
    },
    /// Exactly this transaction was executed before; its receipt is there.
    #[error("the transaction was executed at height {height}")]
    Duplicate {
        /// In which block.
        height: Height,
    },
    /// It would be included and change nothing.
    #[error("{}", failure.description())]
    Failed {
        /// Why.
        failure: Failure,
        /// Position of the action at fault; absent if none is.
        action: Option<u8>,
    },
    /// The state lacks the parameters without which nothing can be executed.
    #[error("the state holds no parameters")]
    NoParameters,
}

impl Refusal {
    /// The stable number: that of the failure, or 2001 to 2005.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::Failed { failure, .. } => failure.code(),
            Self::WrongChain { .. } => 2001,
            Self::Expired { .. } => 2002,
            Self::TooFar { .. } => 2003,
            Self::Duplicate { .. } => 2004,
            Self::NoParameters => 2005,
        }
    }

    /// The stable name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Failed { failure, .. } => failure.name(),
            Self::WrongChain { .. } => "wrong_chain",
            Self::Expired { .. } => "expired",
            Self::TooFar { .. } => "too_far",
            Self::Duplicate { .. } => "duplicate",
            Self::NoParameters => "no_parameters",
        }
    }
}

/// Whether a transaction would succeed in a block at time `now` directly after this state. Signatures
/// are taken as proven.
///
/// Stricter than execution in one thing: the end of validity may lie only `max_validity` ahead, while
/// a block may be behind this clock by the clock bound.
///
/// # Errors
/// [`Refusal`] naming the first reason why not.
pub fn admission(state: &State, signed: &SignedTransaction, now: Timestamp) -> Result<(), Refusal> {
    admissions(state, &[signed], now).pop().unwrap_or(Err(Refusal::NoParameters))
}

/// The same for each of many transactions, in order; cheaper than one by one. Each is judged as if it were
/// the only one.
#[must_use]
pub fn admissions(
    state: &State,
    transactions: &[&SignedTransaction],
    now: Timestamp,
) -> Vec<Result<(), Refusal>> {
    // The next block is later than the last one, whatever the clock here says.
    let now = now.max(state.time().next());
    let (Some(parameters), Some(moment)) = (state.parameters(), next_moment(state, now)) else {
        return vec![Err(Refusal::NoParameters); transactions.len()];
    };
    let latest = now.saturating_add(parameters.max_validity_ms);
    let mut overlay = Overlay::new(state);
    // They may be refused at once, so not all that a transaction with many payments would ask for.
    overlay.read_ahead(transactions.iter().flat_map(|signed| touched(signed, READ_AHEAD)).collect());
    let mut judge = |signed: &&SignedTransaction| {
        let receipt = transaction(&mut overlay, &moment, signed);
        overlay.rewind();
        let valid_until = signed.transaction().valid_until;
        match receipt?.verdict {
            Verdict::Failed { failure, action } => Err(Refusal::Failed { failure, action }),
            Verdict::Committed if valid_until > latest => Err(Refusal::TooFar { valid_until, latest }),
            Verdict::Committed => Ok(()),
        }
    };
    transactions.iter().map(&mut judge).collect()
}

/// About so many keys are read ahead: those that a transfer asks for.
const READ_AHEAD: usize = 6;

/// A block at this time directly after a state.
fn next_moment(state: &State, now: Timestamp) -> Option<Moment> {
    Moment::of(state, state.height().next(), now)
}

/// The receipt that a transaction would get in a block at time `now` directly after this state.
///
/// # Errors
/// [`Refusal`], but never [`Refusal::Failed`]: a failure is in the receipt.
pub fn simulate(state: &State, signed: &SignedTransaction, now: Timestamp) -> Result<Receipt, Refusal> {
    let moment = next_moment(state, now).ok_or(Refusal::NoParameters)?;
    let mut overlay = Overlay::new(state);
    overlay.read_ahead(touched(signed, READ_AHEAD));
    transaction(&mut overlay, &moment, signed)
}
