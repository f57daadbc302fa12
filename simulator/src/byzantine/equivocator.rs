//! Says one thing to some and another thing to the others: as leader two blocks, as voter two votes.
use quorate_primitives::View;
use quorate_primitives::certificate::Claim;
use quorate_replica::PeerMessage;
use std::collections::{BTreeMap, BTreeSet};

use super::place::{Atlas, Parts, bytes, made_up, proposed_view, single_vote};
use crate::puppet::{Filter, Outgoing, Stage};

/// Marks of what it does.
pub(super) const MARKS: [&str; 3] =
    ["equivocator: two blocks to two sides", "equivocator: two blocks to one", "equivocator: two votes"];

/// Views that are remembered.
const VIEWS_MAX: usize = 32;

/// What half of the nodes get in a view, and who they are.
struct Second {
    side: BTreeSet<usize>,
    message: Option<Vec<u8>>,
    /// They get the first as well.
    both: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Equivocator {
    atlas: Atlas,
    blocks: BTreeMap<View, Second>,
    votes: BTreeMap<View, Second>,
}

fn side(stage: &mut Stage<'_>) -> BTreeSet<usize> {
    let nodes = stage.nodes();
    let count = if stage.dice().coin() { nodes / 2 } else { stage.dice().index(nodes) };
    stage.dice().sample(nodes, count).into_iter().collect()
}

fn give(second: &Second, to: usize, first: &PeerMessage) -> Outgoing {
    match &second.message {
        Some(message) if second.side.contains(&to) => {
            let first = second.both.then(|| bytes(first));
            Outgoing::Instead(first.into_iter().chain([message.clone()]).collect())
        }
        Some(_) | None => Outgoing::Pass,
    }
}

fn keep(seconds: &mut BTreeMap<View, Second>, view: View, second: Second) -> &Second {
    while seconds.len() >= VIEWS_MAX {
        seconds.pop_first();
    }
    seconds.entry(view).or_insert(second)
}

impl Equivocator {
    /// Another block for the same view: later by a little, or empty.
    fn second_block(&mut self, stage: &mut Stage<'_>, parts: &Parts) -> Second {
        let both = stage.dice().chance(200);
        let side = side(stage);
        let is_empty = stage.dice().coin();
        let Some(place) = self.atlas.place(stage).filter(|_| parts.is_new()) else {
            return Second { side, message: None, both };
        };
        stage.mark(MARKS[usize::from(both)]);
        let message = place.reworked(stage, parts, |parts| {
            parts.proposal.header.time = parts.proposal.header.time.next();
            if is_empty {
                parts.strip();
            }
        });
        Second { side, message: Some(bytes(&message)), both }
    }

    fn second_vote(&mut self, stage: &mut Stage<'_>, view: View) -> Second {
        let (both, side, block) = (stage.dice().chance(200), side(stage), made_up(stage));
        let does = stage.dice().coin();
        let Some(place) = self.atlas.place(stage).filter(|_| does) else {
            return Second { side, message: None, both };
        };
        stage.mark(MARKS[2]);
        let message = place.vote_message(stage, Claim::Notarize { view, block });
        Second { side, message: Some(bytes(&message)), both }
    }
}

impl Filter for Equivocator {
    fn outgoing(&mut self, stage: &mut Stage<'_>, to: usize, message: &PeerMessage) -> Outgoing {
        if let (Some(view), Some(parts)) = (proposed_view(message), Parts::of(message)) {
            if !self.blocks.contains_key(&view) {
                let second = self.second_block(stage, &parts);
                keep(&mut self.blocks, view, second);
            }
            return self.blocks.get(&view).map_or(Outgoing::Pass, |second| give(second, to, message));
        }
        if let Some(Claim::Notarize { view, .. }) = single_vote(message).map(|vote| vote.claim) {
            if !self.votes.contains_key(&view) {
                let second = self.second_vote(stage, view);
                keep(&mut self.votes, view, second);
            }
            return self.votes.get(&view).map_or(Outgoing::Pass, |second| give(second, to, message));
        }
        Outgoing::Pass
    }
}
