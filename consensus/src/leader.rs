//! Rules R12 and R13: whose turn it is, and which leaders are not waited for.
//!
//! The schedule itself is [`Epoch::leader`](crate::Epoch::leader): each in turn, in an order nobody
//! chooses. Silence is judged by each validator for itself, is forgotten as soon as the leader is heard,
//! and is safe because giving up on a view always is.
use std::sync::Arc;

use quorate_primitives::View;

use crate::epoch::Epoch;

/// Views without a vote after which a leader counts as silent.
pub(crate) const SILENCE: u64 = 8;

/// When each validator was last heard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attendance {
    epoch: Arc<Epoch>,
    me: Option<u8>,
    /// The last view in which each validator voted, by index.
    heard: Vec<View>,
}

impl Attendance {
    pub(crate) fn new(epoch: Arc<Epoch>, me: Option<u8>) -> Self {
        let heard = vec![View::ZERO; epoch.len()];
        Self { epoch, me, heard }
    }

    /// A validator voted, or proposed, in a view.
    pub(crate) fn hear(&mut self, who: u8, view: View) {
        if let Some(last) = self.heard.get_mut(usize::from(who)) {
            *last = view.max(*last);
        }
    }

    /// This validator was away until now: it is too early to call anybody silent.
    pub(crate) fn forgive(&mut self, view: View) {
        for last in &mut self.heard {
            *last = view.max(*last);
        }
    }

    /// A view was entered. Who was away for long himself has nobody to blame.
    pub(crate) fn enter(&mut self, from: View, to: View) {
        if to.distance_from(from) > SILENCE {
            self.forgive(to);
        }
        if let Some(me) = self.me {
            self.hear(me, to);
        }
    }

    /// Rule R12: the leader has not voted for more than eight views, while a quorum has. Never oneself.
    pub(crate) fn is_silent(&self, leader: u8, view: View) -> bool {
        let recent = |last: &View| view.distance_from(*last) <= SILENCE;
        let present = self.heard.iter().filter(|last| recent(last)).count();
        let absent = self.heard.get(usize::from(leader)).is_some_and(|last| !recent(last));
        absent && present >= self.epoch.quorum()
    }
}
