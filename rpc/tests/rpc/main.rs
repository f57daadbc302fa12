//! The server and the client against a backend made for the tests.
mod errors;
mod fake;
mod limits;
mod methods;
mod openrpc;
mod subscriptions;
mod wire;
