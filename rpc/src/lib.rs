//! The JSON-RPC interface of Quorate: what it offers, how it is served, and a client for it.
//!
//! Read in this order: [`api`] is the table of methods and errors, [`json`] what values look like,
//! [`backend`] what a node must be able to answer, [`server`] how it is served and bounded,
//! [`openrpc`] the description for machines, [`client`] the other side, and [`verify`] what that side believes.

pub mod api;
mod arguments;
pub mod backend;
pub mod client;
pub mod json;
pub mod openrpc;
pub mod server;
pub mod verify;

pub use api::{ApiError, ErrorKind, ErrorObject};
pub use backend::Backend;
pub use client::{Client, ClientError};
pub use server::{Direct, Limits, Server, Settings};
pub use verify::{Distrust, Verifier};
