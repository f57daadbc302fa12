//! Proposes blocks whose bodies it keeps: sends bundles to few or none, and answers no question for them.
use quorate_primitives::View;
use quorate_replica::{PeerMessage, Question};
use std::collections::BTreeMap;

use super::place::{Parts, bytes};
use crate::puppet::{Filter, Outgoing, Stage};

/// Marks of what it does.
pub(super) const MARKS: [&str; 3] = [
    "withholder: kept a bundle",
    "withholder: left a bundle out of its proposal",
    "withholder: did not answer",
];

/// Views that are remembered.
const VIEWS_MAX: usize = 32;

/// See the module.
#[derive(Default)]
pub(super) struct Withholder {
    /// Who gets the whole proposal of a view.
    favoured: BTreeMap<View, Vec<usize>>,
}

impl Withholder {
    fn favours(&mut self, stage: &mut Stage<'_>, view: View, to: usize) -> bool {
        if !self.favoured.contains_key(&view) {
            while self.favoured.len() >= VIEWS_MAX {
                self.favoured.pop_first();
            }
            let nodes = stage.nodes();
            let count = if stage.dice().coin() { 0 } else { stage.dice().index(nodes) };
            let some = stage.dice().sample(nodes, count);
            self.favoured.insert(view, some);
        }
        self.favoured.get(&view).is_some_and(|some| some.contains(&to))
    }
}

impl Filter for Withholder {
    fn outgoing(&mut self, stage: &mut Stage<'_>, to: usize, message: &PeerMessage) -> Outgoing {
        if matches!(message, PeerMessage::Bundle(_)) {
            stage.mark(MARKS[0]);
            return Outgoing::Instead(Vec::new());
        }
        let Some(parts) = Parts::of(message).filter(|parts| parts.inline.is_some()) else {
            return Outgoing::Pass;
        };
        if self.favours(stage, parts.proposal.view, to) {
            return Outgoing::Pass;
        }
        stage.mark(MARKS[1]);
        let Parts { proposal, payload, .. } = parts;
        Outgoing::Instead(vec![bytes(&PeerMessage::Proposal { proposal, payload, inline: None })])
    }

    fn question(&mut self, stage: &mut Stage<'_>, _from: usize, _request: u64, question: &Question) -> bool {
        let withholds = matches!(question, Question::Bundles(_) | Question::Block(_));
        if withholds {
            stage.mark(MARKS[2]);
        }
        withholds
    }
}
