//! The protocol seen from outside: each rule by itself, scenarios that read as stories, restarts, and
//! an adversary.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod bench;
mod cluster;
mod random;

mod adversary;
mod edges;
mod flood;
mod quorum;
mod restart;
mod rules_guard;
mod rules_help;
mod rules_lead;
mod rules_vote;
mod scenarios;
