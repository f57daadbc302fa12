//! Whole replicas against each other, and against a network and disks that fail; and one replica alone
//! against peers and clients that the test plays.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod accusing;
mod catching_up;
mod epochs;
mod guard;
mod hostile;
mod judging;
mod leading;
mod network;
mod pool;
mod scenarios;
mod seeds;
mod sizes;
mod solo;
mod world;
