//! Answers questions wrongly: with other blocks, with certificates that prove something else or nothing,
//! with less than was asked for, and with lies about where it stands and what the asker voted.
mod blocks;

use quorate_primitives::certificate::{Claim, Vote};
use quorate_primitives::codec::List;
use quorate_primitives::keys::Signature;
use quorate_primitives::{EpochNumber, Hash, View};
use quorate_replica::{Answer, Question};

use super::place::{Atlas, made_up};
use crate::puppet::{Filter, Stage};

pub(super) use blocks::MARKS as BLOCKS_MARKS;

/// Marks of its answers to everything but the question for blocks, by kind.
pub(super) const MARKS: [&str; 9] = [
    "liar: does not answer",
    "liar: answers another question",
    "liar: knows nothing",
    "liar: another block",
    "liar: a forged vote of the asker",
    "liar: a vote of its own as the asker's",
    "liar: an epoch to come",
    "liar: a view to come",
    "liar: answers what nobody asked",
];

/// See the module.
#[derive(Default)]
pub(super) struct Liar(Atlas);

fn standing(epoch: EpochNumber, view: View, vote: Option<Vote>) -> Answer {
    Answer::Standing { epoch, view, quarantined: false, vote }
}

/// The id of the last committed block, as an answer to a question for another.
fn other_block(stage: &Stage<'_>) -> Option<Answer> {
    let replica = stage.replica()?;
    let head = replica.ledger().head();
    let header = head.header()?.clone();
    let bundles = replica.ledger().reader().bundles(head.height()).ok()?;
    Some(Answer::Block { header, bundles: List::new(bundles).ok()? })
}

impl Liar {
    /// The lie, and its mark; nothing if there is no answer at all.
    fn lie(
        &mut self,
        stage: &mut Stage<'_>,
        from: usize,
        question: &Question,
    ) -> Option<(&'static str, Answer)> {
        let (epoch, _) = stage.replica()?.period();
        let view = stage.replica()?.status().view;
        let kind = stage.dice().below(10);
        match question {
            Question::Blocks { from } => blocks::lie(stage, *from),
            _ if kind == 0 => None,
            Question::Standing if kind == 1 => Some((MARKS[1], Answer::Bundles(List::default()))),
            _ if kind == 1 => Some((MARKS[1], standing(epoch, view, None))),
            Question::Standing => Some(self.false_standing(stage, from, kind, (epoch, view))?),
            Question::Block(_) if kind < 6 => Some((MARKS[3], other_block(stage)?)),
            Question::Bundles(_) | Question::Block(_) => Some((MARKS[2], Answer::Unknown)),
        }
    }

    fn false_standing(
        &mut self,
        stage: &mut Stage<'_>,
        from: usize,
        kind: u64,
        (epoch, view): (EpochNumber, View),
    ) -> Option<(&'static str, Answer)> {
        let asker = stage.key_of(from)?;
        let (block, of): (Hash, u64) = (made_up(stage), stage.dice().below(4));
        let place = self.0.place(stage)?;
        let signer = place.epoch.validators.index_of(&asker)?;
        let claim = Claim::Notarize { view: view.saturating_add(of), block };
        Some(match kind {
            2..=4 => {
                let vote = Vote { claim, signer, signature: Signature::from_bytes([5; 64]) };
                (MARKS[4], standing(epoch, view, Some(vote)))
            }
            5 => {
                let own = place.vote(stage, claim);
                (MARKS[5], standing(epoch, view, Some(Vote { signer, ..own })))
            }
            6 => (MARKS[6], standing(EpochNumber::MAX, view, None)),
            7 => (MARKS[6], standing(epoch.next(), View::new(1), None)),
            8 => (MARKS[7], standing(epoch, View::MAX, None)),
            _ => (MARKS[7], standing(epoch, view.saturating_add(3), None)),
        })
    }
}

impl Filter for Liar {
    fn question(&mut self, stage: &mut Stage<'_>, from: usize, request: u64, question: &Question) -> bool {
        if stage.dice().chance(150) {
            return false;
        }
        if stage.dice().chance(100) {
            stage.mark(MARKS[8]);
            let other = stage.dice().below(1_000);
            stage.answer(from, other, &Answer::Unknown);
        }
        match self.lie(stage, from, question) {
            Some((mark, answer)) => {
                stage.mark(mark);
                stage.answer(from, request, &answer);
            }
            None => stage.mark(MARKS[0]),
        }
        true
    }
}
