//! Proposes blocks that nobody may vote for, of every kind that there is.
mod kinds;

use quorate_primitives::View;
use quorate_replica::PeerMessage;
use std::collections::BTreeMap;

use super::place::{Atlas, Parts, bytes, proposed_view};
use crate::puppet::{Filter, Outgoing, Stage};

pub(super) use kinds::MARKS;

use kinds::Scene;

/// Views that are remembered.
const VIEWS_MAX: usize = 32;

/// See the module.
#[derive(Default)]
pub(super) struct BadBlock {
    atlas: Atlas,
    made: BTreeMap<View, Option<Vec<u8>>>,
    /// The kind of the next block: each has its turn.
    next: usize,
}

impl BadBlock {
    /// The bad block in place of a good one; `None` if this one is left good.
    fn make(&mut self, stage: &mut Stage<'_>, parts: &Parts) -> Option<Vec<u8>> {
        if stage.dice().chance(200) {
            return None;
        }
        if self.made.is_empty() {
            self.next = stage.dice().index(MARKS.len());
        }
        let place = self.atlas.place(stage)?;
        // Not every kind fits every place: the first that does is taken.
        for _ in 0..MARKS.len() {
            let kind = self.next;
            self.next = self.next.saturating_add(1) % MARKS.len();
            let mut scene = Scene::new(stage, place, parts.clone(), kind)?;
            if scene.spoil(kind) {
                let (spoilt, bundles) = (scene.parts, scene.bundles);
                stage.mark(MARKS[kind]);
                for bundle in bundles {
                    stage.send_all(&PeerMessage::Bundle(bundle));
                }
                let keeps_vote = MARKS[kind] == kinds::OTHER_VOTE;
                let vote = spoilt.proposal.vote.clone();
                let message = place.reworked(stage, &spoilt, |_| {});
                return Some(bytes(&if keeps_vote { kinds::with_vote(message, vote) } else { message }));
            }
        }
        None
    }
}

impl Filter for BadBlock {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _to: usize, message: &PeerMessage) -> Outgoing {
        let (Some(view), Some(parts)) = (proposed_view(message), Parts::of(message)) else {
            return Outgoing::Pass;
        };
        if !self.made.contains_key(&view) {
            let made = self.make(stage, &parts);
            while self.made.len() >= VIEWS_MAX {
                self.made.pop_first();
            }
            self.made.insert(view, made);
        }
        match self.made.get(&view) {
            Some(Some(spoilt)) => Outgoing::Instead(vec![spoilt.clone()]),
            Some(None) | None => Outgoing::Pass,
        }
    }
}
