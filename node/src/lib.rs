//! The running node: everything that touches the world, and the `quorate` program around it.
//!
//! Read in this order: [`commands`] are what people type, [`config`] what an operator decides,
//! [`io`] all input and output of a running node, [`telemetry`] how it says how it is, [`testnet`]
//! several nodes as processes of one machine, and [`bench`](mod@bench) how fast they are.
//! Rules of the ledger live in the crates below.

pub mod bench;
pub mod commands;
pub mod config;
pub mod io;
pub mod telemetry;
pub mod testnet;
