//! One whole validator as a single deterministic machine: events in, records and effects out.
//!
//! Read in this order: [`event`] is the border, [`wire`] what peers say to each other, [`record`] what
//! the vote log keeps, [`answer`] what a client and an operator are told, [`settings`] what can be
//! tuned. Behind it, [`Replica`] dispatches; `admit`, `room`, `mempool` and `bundles` take transactions, `propose` makes
//! blocks, `judge` decides which blocks deserve a vote, `chain` is the tree of blocks above the last
//! committed one, `commit` is the only place that advances the chain, `fetch` and `sync` obtain what
//! this replica missed, `epochs` hands over from one set of validators to the next, `guard` makes
//! certain after a start that nothing was forgotten, `accusations` has proofs of misconduct put into
//! blocks, `pace` turns the engine's timers into milliseconds, and `recovery` brings
//! everything back after a restart.
//!
//! # How a driver must behave
//!
//! The driver owns the sockets, the clock, the signing key, the vote log and the threads. It calls
//! [`Replica::step`] with one event at a time, and keeps these laws:
//!
//! 1. **Durable first.** All records of a step are appended to the vote log in order and synced before
//!    *any* effect of that step is carried out. Steps are carried out in order. Records of several
//!    steps may share one sync as long as the effects of each wait for it. If the log cannot be
//!    written, the process stops.
//! 2. **Signing loops back.** [`Effect::Sign`] is the only use of the key. The driver signs the claim in
//!    the given context as the given validator and hands the vote to the next step as
//!    [`Event::Signed`], before any other event. It sends nothing by itself: that step emits the
//!    messages.
//! 3. **Timers are replaceable.** [`Effect::Arm`] sets the one timer of that name, replacing an earlier
//!    one. A timer may fire late and never early; a stale one is harmless. A timer of 0 ms is handed
//!    back as [`Event::Elapsed`] after all effects of the step that armed it and ahead of what peers
//!    sent meanwhile: work is cut that way so that votes leave before blocks are executed.
//! 4. **Questions end.** For [`Effect::Ask`] the driver returns [`Event::Answered`] with the same
//!    number, at most once; `None` when the peer is not connected or did not answer. The replica has
//!    deadlines of its own, so an answer that never comes does no harm, and one that comes late is
//!    ignored.
//! 5. **Signatures of transactions are proven outside.** Bundles and transactions arrive as
//!    [`Verified`](quorate_primitives::signed::Verified); [`PeerMessage::into_event`] and
//!    [`Answer::verify`] show how. Signatures of votes and certificates are requested with
//!    [`Effect::Check`] and answered, in any order, with [`Event::Checked`].
//! 6. **Peers are keys.** A peer is named by the public key that its connection proved; the replica
//!    decides what that key may do. Messages of one peer arrive in order; losing some is allowed.
//!    Messages to peers that are not connected are dropped.
//! 7. **One replica for each key.** A log that is gone although the key has one begins anew with
//!    [`LogRecord::Quarantine`]. After a restart every record of the vote log goes through
//!    [`Replica::restore`], then comes [`Event::Start`], then everything else.
//! 8. **The log is replaced, not cut.** When the log has grown, the driver asks
//!    [`Replica::checkpoint`] for the records that stand for all earlier ones, writes them to a new
//!    file, syncs it, and only then removes the old one.
//! 9. After [`Effect::Halt`] the driver stops the process. A stopped validator is safe.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::iter_over_hash_type,
        clippy::wildcard_enum_match_arm,
        clippy::as_conversions
    )
)]

mod accusations;
mod admit;
pub mod answer;
mod bundles;
mod chain;
mod commit;
mod epochs;
pub mod event;
mod fetch;
mod guard;
mod judge;
mod members;
mod mempool;
mod pace;
mod propose;
pub mod record;
mod recovery;
mod replica;
mod room;
pub mod serve;
pub mod settings;
mod sync;
pub mod vote_log;
pub mod wire;

pub use answer::{Admitted, Committed, Fault, Refusal, Stall, Status, Voice};
pub use event::{CheckTicket, Effect, Event, Step, Submission, Timer};
pub use record::LogRecord;
pub use replica::Replica;
pub use settings::{PoolLimits, Settings};
pub use wire::{Answer, PeerMessage, Question, SyncBlock, VerifiedAnswer, VerifiedSyncBlock};
