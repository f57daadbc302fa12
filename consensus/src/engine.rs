//! The engine: takes one input at a time and says what to write down and what to do.
use std::sync::Arc;

use quorate_primitives::certificate::Certificate;
use quorate_primitives::validators::Signers;
use quorate_primitives::{Hash, View};

use crate::epoch::Epoch;
use crate::step::{Fault, Input, Record, Step};

/// One validator's view of the agreement, or an observer's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Engine {
    epoch: Arc<Epoch>,
    me: Option<u8>,
}

/// What an operator wants to know about agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Current turn.
    pub view: View,
    /// Who leads it.
    pub leader: u8,
    /// The leader has not been heard of for many views.
    pub leader_silent: bool,
    /// The block that the leader proposed, if it did.
    pub proposal: Option<Hash>,
    /// Who was seen to vote for a block in this view.
    pub notarizing: Signers,
    /// Who was seen to give up on this view.
    pub nullifying: Signers,
    /// View of the latest final block; 0 for the anchor.
    pub finalized: View,
    /// Who was seen to have reached this view or a later one.
    pub present: Signers,
    /// Views without a certificate that the next vote needs.
    pub missing: Vec<View>,
}

impl Engine {
    /// An engine at the start of an epoch. Without an index it observes and never votes.
    #[must_use]
    pub fn new(epoch: Arc<Epoch>, me: Option<u8>) -> Self {
        Self { epoch, me }
    }

    /// Takes back one journal record. All records come in the order in which they were written, before
    /// [`start`](Self::start). They are trusted.
    pub fn restore(&mut self, _record: Record) {}

    /// Begins, once, after all records were restored: says again what was said before, and sets timers.
    pub fn start(&mut self) -> Step {
        Step::default()
    }

    /// Takes one input.
    pub fn step(&mut self, _input: Input) -> Step {
        Step::default()
    }

    /// The current turn.
    #[must_use]
    pub fn view(&self) -> View {
        View::new(1)
    }

    /// The latest final block and its view; at first the anchor and view 0.
    #[must_use]
    pub fn finalized(&self) -> (View, Hash) {
        (View::ZERO, self.epoch.anchor.block)
    }

    /// Proof of the latest final block; none for the anchor.
    #[must_use]
    pub fn finalization(&self) -> Option<&Certificate> {
        None
    }

    /// The fixed facts.
    #[must_use]
    pub fn epoch(&self) -> &Arc<Epoch> {
        &self.epoch
    }

    /// This validator's index; nothing for an observer.
    #[must_use]
    pub fn me(&self) -> Option<u8> {
        self.me
    }

    /// Why the engine has stopped, if it has.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        None
    }

    /// What an operator wants to know.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            view: self.view(),
            leader: 0,
            leader_silent: false,
            proposal: None,
            notarizing: Signers::NONE,
            nullifying: Signers::NONE,
            finalized: View::ZERO,
            present: Signers::NONE,
            missing: Vec::new(),
        }
    }

    /// The journal in short: records that, restored instead of all that were written so far, give the
    /// same promises. A new log segment that starts with them replaces all older ones.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        Vec::new()
    }
}
