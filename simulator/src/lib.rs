//! A network of validators in one thread, with everything that can go wrong drawn from one seed.
//!
//! What is simulated is the machine itself: every node runs a real [`quorate_replica::Replica`] on a real
//! ledger, with real keys, real signatures and the real bytes of every message, record and table. Made up are
//! the clock, the network, the disks and the clients, and they are as bad as they can be.
pub mod bundle;
pub mod byzantine;
pub mod call;
pub mod campaign;
pub mod checkers;
pub mod client;
pub mod command;
pub mod coverage;
pub mod disk;
pub mod environment;
pub mod every_call;
pub mod faults;
pub mod founding;
pub mod governing;
pub mod mount;
pub mod network;
pub mod node;
pub mod options;
pub mod puppet;
pub mod random;
pub mod readers;
pub mod reference;
pub mod run;
pub mod shrink;
pub mod signatures;
pub mod swarm;
pub mod time;
pub mod trace;
pub mod twins;
pub mod wide;
pub mod wire;
pub mod world;
#[cfg(feature = "zoo")]
pub mod zoo;
