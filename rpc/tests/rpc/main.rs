//! The server and the client against a backend made for the tests.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test that uses them")]

mod bulk;
mod busy;
mod direct;
mod errors;
mod fake;
mod limits;
mod methods;
mod openrpc;
mod subscriptions;
mod values;
mod wire;
