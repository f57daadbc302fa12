//! What the ledger claims, held against it from outside.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and damages files on purpose"
)]

mod accounts;
mod assets;
mod blocks;
mod evidence;
mod governance;
mod markers;
mod naive;
mod permissions;
mod proofs;
mod random;
mod reopening;
mod replay;
mod stores;
mod transfers;
mod world;
