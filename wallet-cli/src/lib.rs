//! The Quorate wallet: moves money and believes nothing it has not verified.
//!
//! Read in this order: [`arguments`] is the command line, [`network`] what is pinned, [`verify`] how an
//! answer is proven, [`nodes`] whom to ask and which answers are used, [`remembered`] and [`newest_epoch`]
//! what is kept of that, [`membership`] who votes. Then [`signers`] are the keys of a transaction,
//! [`sending`] is how it happens exactly once, and [`outcome`] how its end is proven; the modules under
//! `commands` put them together. No node code is linked, and no node is trusted.

pub mod arguments;
pub mod clock;
mod commands;
pub mod explain;
pub mod failure;
pub mod import;
pub mod membership;
pub mod network;
pub mod newest_epoch;
pub mod nodes;
pub mod outbox;
pub mod outcome;
pub mod output;
pub mod remembered;
pub mod secrets;
pub mod sending;
pub mod session;
pub mod signers;
pub mod typed;

pub use commands::run;
pub use quorate_rpc::verify;
