//! All input and output of a running node.
//!
//! Data flows one way: [`net`], [`verify`] and [`timers`] make events, [`driver`] gives them to the
//! replica, writes its records through [`journal`] and carries out its effects in order; [`feed`] tells
//! what was committed, and [`api`] answers questions from the last committed block. Nothing here
//! decides anything.
pub mod api;
pub mod counters;
pub mod driver;
pub mod feed;
pub mod journal;
pub mod net;
pub mod timers;
pub mod verify;
