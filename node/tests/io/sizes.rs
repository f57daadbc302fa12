//! Every size limit agrees with every other: the largest values that the rules allow are made, and each
//! goes through every layer that it can meet.
mod chain;
mod net;
mod node;
mod rpc;
mod store;
mod table;
