//! The protocol seen from outside: each rule by itself, scenarios that read as stories, restarts, and
//! an adversary.

mod bench;
mod cluster;
mod random;

mod adversary;
mod quorum;
mod restart;
mod rules_help;
mod rules_lead;
mod rules_vote;
mod scenarios;
