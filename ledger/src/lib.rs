//! What a block means, and where it is kept.
//!
//! [`Ledger`] is the whole: it executes blocks on any fork, without a trace, and commits one branch
//! block by block. Read in this order: [`state`] is what there is after a block, [`execute`] how a
//! block changes it, [`mod@admission`] the same as a question asked beforehand, [`chain`] what is kept of
//! every block, [`store`] how bytes are kept, [`mod@audit`] what must be true of every state.
//!
//! Execution is pure: no clock, no threads, and no randomness but in the order of a table that is only
//! looked up. The same blocks give the same bytes on every machine. Only `store::rocks` touches a disk.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::iter_over_hash_type,
        clippy::wildcard_enum_match_arm,
        clippy::as_conversions
    )
)]

pub mod admission;
pub mod audit;
pub mod chain;
pub mod execute;
pub mod ledger;
pub mod state;
pub mod store;

pub use admission::{Refusal, admission, admissions, simulate};
pub use audit::{Violation, audit};
pub use chain::{Position, Reader, StoredBlock};
pub use execute::Executed;
pub use ledger::{CommitError, Ledger, OpenError};
pub use state::State;
