//! Votes, and never proposes; sometimes it does, to fewer than are needed.
use quorate_replica::PeerMessage;

use super::place::proposed_view;
use crate::puppet::{Filter, Outgoing, Stage};

/// Marks of what it does.
pub(super) const MARKS: [&str; 2] =
    ["silent leader: kept its block", "silent leader: showed its block to one"];

/// See the module.
#[derive(Default)]
pub(super) struct SilentLeader;

impl Filter for SilentLeader {
    fn outgoing(&mut self, stage: &mut Stage<'_>, to: usize, message: &PeerMessage) -> Outgoing {
        let Some(view) = proposed_view(message) else { return Outgoing::Pass };
        let nodes = u64::try_from(stage.nodes()).unwrap_or(u64::MAX);
        let is_shown = view.get() % 4 == 0 && u64::try_from(to).ok() == view.get().checked_rem(nodes);
        stage.mark(MARKS[usize::from(is_shown)]);
        if is_shown { Outgoing::Pass } else { Outgoing::Instead(Vec::new()) }
    }
}
