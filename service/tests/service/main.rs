//! A ledger with a few blocks, asked in the bytes that clients send.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod epochs;
mod refusals;
mod world;
