//! The wallet as a process, against nodes that are honest, lie, or are not there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod epochs;
mod forging;
mod governance;
mod handovers;
mod inputs;
mod lies;
mod node;
mod pipes;
mod proxy;
mod reading;
mod sending;
mod tree;
mod validators;
mod wallet;
mod world;
