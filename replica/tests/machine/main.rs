//! Whole replicas against each other, and against a network and disks that fail.
mod network;
mod scenarios;
mod seeds;
mod world;
