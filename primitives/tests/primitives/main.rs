//! Claims about the formats: what is decoded, hashed, signed and proven, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod address;
mod fixtures;
mod numbers;
mod samples;
mod trees;
mod vectors;
