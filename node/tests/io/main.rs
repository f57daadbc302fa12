//! The input and output of a node, on real disks and real sockets.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cluster;
mod journal;
mod net;
mod sizes;
mod verify;
