//! Gives up on every view before it has begun, again and again.
use quorate_primitives::View;
use quorate_primitives::certificate::Claim;
use quorate_replica::PeerMessage;

use super::place::{Atlas, single_vote};
use crate::puppet::{Filter, Outgoing, Stage};

/// Marks of what it does.
pub(super) const MARKS: [&str; 2] = ["nullifier: gave up ahead of time", "nullifier: kept another vote"];

/// How often it looks, in ms.
const INTERVAL_MS: u64 = 15;
/// Views ahead that it gives up on.
const AHEAD: u64 = 5;

/// See the module.
#[derive(Default)]
pub(super) struct Nullifier {
    atlas: Atlas,
    context: Option<quorate_primitives::Hash>,
    next: View,
    /// Casts no other vote, so that nothing speaks against it.
    is_clean: bool,
}

impl Filter for Nullifier {
    fn start(&mut self, stage: &mut Stage<'_>) {
        self.is_clean = stage.dice().coin();
        stage.call_me(0, INTERVAL_MS);
    }

    fn outgoing(&mut self, stage: &mut Stage<'_>, _to: usize, message: &PeerMessage) -> Outgoing {
        let is_other = single_vote(message).is_some_and(|vote| !matches!(vote.claim, Claim::Nullify { .. }));
        if self.is_clean && is_other {
            stage.mark(MARKS[1]);
            return Outgoing::Instead(Vec::new());
        }
        Outgoing::Pass
    }

    fn timer(&mut self, stage: &mut Stage<'_>, _tag: u64) {
        stage.call_me(0, INTERVAL_MS);
        let Some(view) = stage.replica().map(|replica| replica.status().view) else { return };
        let Some(place) = self.atlas.place(stage) else { return };
        if self.context.replace(place.epoch.context) != Some(place.epoch.context) {
            self.next = view;
        }
        self.next = self.next.max(view);
        while self.next <= view.saturating_add(AHEAD) {
            let message = place.vote_message(stage, Claim::Nullify { view: self.next });
            stage.mark(MARKS[0]);
            stage.send_all(&message);
            self.next = self.next.next();
        }
    }
}
