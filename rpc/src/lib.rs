//! The JSON-RPC interface of Quorate: what it offers, how it is served, and a client for it.
//!
//! Read in this order: [`api`] is the table of methods and errors, [`json`] what values look like,
//! [`backend`] what a node must be able to answer.

pub mod api;
pub mod backend;
pub mod json;

pub use api::{ApiError, ErrorKind, ErrorObject};
pub use backend::Backend;
