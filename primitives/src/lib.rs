//! What every party must agree on byte for byte, and how to verify it.
//!
//! Read in this order: [`hash`] and [`keys`] are the cryptography, [`codec`] and [`numbers`] the
//! encoding; [`transaction`] is what a user signs, [`state`] what the ledger keeps, [`receipt`]
//! what a transaction did; [`bundle`] and [`block`] carry transactions, [`validators`] and
//! [`certificate`] decide them, [`evidence`] convicts who votes against the rules; [`merkle`] and [`light`] let a client believe nothing it has not
//! verified. [`self_test`] finds a machine that computes something else, and [`zoo`] names the bugs
//! that testers are tested with.
//!
//! The crate is pure: no clock, no input or output, no threads, and randomness only as an argument,
//! so that it compiles to WebAssembly and gives the same answer everywhere. Byte layouts are written
//! down in `docs/formats.md`.
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

pub mod address;
pub mod block;
pub mod bundle;
pub mod certificate;
pub mod codec;
pub mod evidence;
pub mod hash;
pub mod keys;
pub mod light;
pub mod merkle;
pub mod numbers;
pub mod receipt;
pub mod self_test;
pub mod signed;
pub mod state;
pub mod transaction;
pub mod validators;
pub mod zoo;

pub use hash::{Domain, Hash};
pub use keys::{PublicKey, SecretKey, Signature};
pub use numbers::{Amount, EpochNumber, Height, Timestamp, View};
