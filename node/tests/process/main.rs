//! The program as users meet it: real processes, real files, real ports.
//!
//! Every test has a folder and ports of its own and ends what it started. They take turns, because a
//! testnet keeps all processors of a small machine busy; every wait is for a condition and bounded.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bench;
mod crash;
mod forgetting;
mod refusals;
mod support;
mod testnet;
mod validators;
