//! Claims about the formats: what is decoded, hashed, signed and proven, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod address;
mod dependencies;
mod epochs;
mod evidence;
mod fixtures;
mod handover;
mod light;
mod merkle;
mod numbers;
mod quorum;
mod random;
mod samples;
mod signatures;
mod signed;
mod trees;
mod vectors;
mod wire;
