//! The agreement protocol of one epoch.
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

mod core;
pub mod engine;
pub mod epoch;
mod leader;
pub mod message;
mod repair;
pub mod step;
mod tally;

pub use engine::{Engine, Status};
pub use epoch::{Anchor, Epoch};
pub use message::{Evidence, EvidenceKind, MESSAGE_BYTES_MAX, Message, PROOF_MAX, Proposal, Want};
pub use quorate_primitives::certificate::{Certificate, Claim, ClaimKind, Vote};
pub use quorate_primitives::validators::Signers;
pub use step::{Effect, Fault, Input, Parent, Record, Step, Ticket, Timer, Verdict};
