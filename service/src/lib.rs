//! What a node answers to its clients, as functions of what it knows at one moment.
//!
//! [`Snapshot`] has one method for each question that can be answered from the ledger; [`Snapshot`]
//! and the replica's status together tell how the node is; [`submission`] says in the words of the
//! interface what became of a transaction that was handed in. Whoever serves clients takes a snapshot
//! for each question: a node over sockets, the simulator without any.
//!
//! Answers about the state are as of the newest block that has a certificate of its own, with and
//! without proofs, so that what is shown is what can be proven.
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

mod blocks;
mod epochs;
mod node;
pub mod snapshot;
mod state;
pub mod submission;
mod transactions;

pub use node::Connection;
pub use snapshot::{Identity, Snapshot};
