//! The agreement protocol of one epoch, as a state machine without clock, network or disk.
//!
//! The protocol is Simplex (Chan & Pass, 2023) with a finalize vote that attests execution. Of `n`
//! validators at most `f = ⌊(n − 1) / 3⌋` may be faulty in any way; a *quorum* is `n − f` of them. Time is
//! divided into *views*, each with one *leader*. In a good view the leader proposes a block; everybody
//! votes to **notarize** it, which says that it is the block of this view and that its body is here; a
//! quorum of these votes is a notarization, and with it everybody enters the next view. Meanwhile the
//! block is executed, and everybody votes to **finalize** it with the outcome that was found. A quorum of
//! these votes proves the block and the ledger after it. In a bad view a quorum votes to **nullify**, and
//! the next leader builds on an earlier block.
//!
//! The driver feeds one [`Input`] after the other to [`Engine::step`] and carries out the [`Step`] that
//! comes back: first the journal, durably, then the effects. What the driver owes is listed in [`step`].
//!
//! # The rules
//!
//! - **R1 Enter.** Any certificate of a view at or above the current one leads to the view after it, and
//!   nothing else does. Timers are set. Claims that were made there before a crash are sent again; no
//!   others are ever made.
//! - **R2 Propose.** The leader goes back from the view before its own: over nullified views to the first
//!   certified block, which is the parent; a notarization wins over a nullification of the same view.
//!   What is missing on the way is asked for. The epoch's last block is followed by nothing but itself,
//!   until it is final.
//! - **R3 Notarize** the leader's first proposal of the current view if nothing was voted for there and
//!   it was not given up; the parent is not below the latest final view; a certificate of exactly this
//!   parent and a nullification of every view in between are here; height and time follow the parent's;
//!   and the application has the body and found it valid.
//! - **R4 Nullify** the current view, once, if it was not finalized and a timer fired (the short one only
//!   without a proposal), the proposal may not be voted for, the leader gave up, the leader is silent
//!   (R12), or this validator leads and cannot build. A view that was left is never given up.
//! - **R5 Finalize** any block above the latest final view that is notarized and executed, if its view was
//!   neither given up here nor nullified by a quorum.
//! - **R6 Finalization.** The block and its ancestors are final. An outcome other than ours, or a
//!   certified block that is invalid here, stops the engine: a stopped validator is safe.
//! - **R7 Tally.** The first vote of each signer, view and kind stays. Signatures are checked in one batch
//!   when the votes for a claim could be a quorum; forged ones are dropped, and their senders with them.
//!   Two votes that no honest validator makes are reported as evidence.
//! - **R8 Retry.** Who is stuck in a view says everything again: own claims of the view, the certificates
//!   that led there, the latest finalization, and own Finalize votes of the eight latest open views.
//!   Saying again never makes a claim.
//! - **R9 Relay.** Some time after a view was entered, those who did not show that they have left the one
//!   before get its certificate; the new leader at once, unless it signed it and so is about to know.
//! - **R10 Help.** Who votes in a view that was left long ago is told once where the others are. Who
//!   connects hears what we said and how we got here.
//! - **R11 Resolve.** A certificate that is missing for R2, R3 or for executing a certified block is asked
//!   for: first from the leader, then from others in turn. It is answered by the certificate, by the
//!   other kind of the same view, or by a finalization at or above it.
//! - **R12 Silence.** A leader that has not voted for more than eight views, while a quorum has, is not
//!   waited for. At most `n` views in a row end that way without a block; then timers must fire.
//! - **R13 Schedule.** Each validator leads in turn, in an order drawn from the epoch's context.
//! - **R14 Guard.** After every start a validator makes no claim before the others have told it what they
//!   know of its votes; a vote that its journal does not hold stops it, since its key is used elsewhere
//!   or its journal is an old copy. Without a journal it makes none before a view that it cannot have
//!   voted in. What is known is asked by the driver and told with [`Input::Speak`] and [`Input::Seen`].
//!
//! # What is on record before what is said
//!
//! | claim | written down with it | because otherwise |
//! |---|---|---|
//! | each | the claim | a second, conflicting one could be made after a crash |
//! | Notarize, Nullify | the certificates of the view before | nobody could show how that view was left |
//! | Notarize | the certificate of the parent, and by the driver the body | the block could be certified but never executed |
//! | Finalize | the notarization | a finalizer never nullifies, so the view could be left by nobody |
//! | the next after a finalization | the finalization | the floor could move back |
//!
//! # Why it is safe and live
//!
//! Two quorums share an honest validator. So one view has at most one notarized block, since an honest
//! validator votes for one; and never both a finalization and a nullification, since it casts one of the
//! two. If a block is final in view `v`, every block notarized later descends from it: its voters held a
//! nullification of every view between it and its parent, and there is none of `v`.
//!
//! The chain goes on once messages arrive in time: views are left by certificates, certificates are
//! relayed, and with the table above everything that a later view relies on is kept by at least `f + 1`
//! honest validators and can be asked for. With an honest leader all vote for its block; with a faulty one
//! all give up, unless one of them saw a notarization and passes it on.
//!
//! # What is bounded
//!
//! Votes are kept for sixteen views back (256 for Finalize) and four ahead, one for each view, kind and
//! signer; one proposal for each view, and one for each leader of views further ahead; certificates from
//! sixteen views below the latest final one; sixteen certificates of help for each member and view. All
//! views from outside are compared with saturating arithmetic.
//!
//! # Where to read
//!
//! [`message`] and [`step`] are the words; `core` holds rules R1 to R6 and sees certificates only;
//! `tally` is R7, `repair` R8 to R11, `leader` R12 with [`epoch`] R13; [`engine`] joins them.
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

pub mod message;
pub mod step;

pub mod epoch;

mod core;

mod tally;

mod repair;

mod leader;

pub mod engine;

pub use core::Mute;
pub use engine::{Engine, Status};
pub use epoch::{Anchor, Epoch};
pub use message::{Evidence, EvidenceKind, MESSAGE_BYTES_MAX, Message, PROOF_MAX, Proposal, Want};
pub use quorate_primitives::certificate::{Certificate, Claim, ClaimKind, Vote};
pub use quorate_primitives::validators::Signers;
pub use step::{Effect, Fault, Input, Parent, Record, Step, Ticket, Timer, Verdict};
