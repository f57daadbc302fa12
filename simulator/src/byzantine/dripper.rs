//! Feeds who catches up with one block at a time, each as late as is put up with, and never with a
//! certificate: first true blocks, and when there are no more, blocks that it makes up without end.
use quorate_primitives::Height;
use quorate_primitives::block::{Header, Payload};
use quorate_primitives::codec::List;
use quorate_replica::{Answer, Question, SyncBlock, serve};
use std::collections::BTreeMap;

use crate::puppet::{Filter, Stage};

/// Marks of what it does.
pub(super) const MARKS: [&str; 1] = ["dripper: a true block, late"];
/// Only met while it is believed for longer than it should be.
const MADE_UP: &str = "dripper: a block that it made up, late";

/// Shortest and longest time until it answers, in ms.
const LATE_MS: (u64, u64) = (20, 900);
/// Blocks that it remembers to have made up.
const MADE_MAX: usize = 1_024;

/// See the module.
#[derive(Default)]
pub(super) struct Dripper {
    made: BTreeMap<Height, Header>,
    due: BTreeMap<u64, (usize, u64, Height)>,
    next: u64,
}

impl Dripper {
    /// The next block for who has all below a height.
    fn block(&mut self, stage: &mut Stage<'_>, height: Height) -> Option<SyncBlock> {
        let replica = stage.replica()?;
        if let Answer::Blocks(blocks) = serve::blocks(&replica.ledger().reader(), height)
            && let Some(block) = blocks.into_inner().into_iter().next()
        {
            stage.mark(MARKS[0]);
            return Some(SyncBlock { certificate: None, ..block });
        }
        let (epoch, last) = replica.period();
        let before = height.previous()?;
        let true_parent =
            || replica.ledger().reader().block(before).ok().flatten().map(|stored| stored.header);
        let mut header = self.made.get(&before).cloned().or_else(true_parent)?;
        if height > last {
            return None;
        }
        (header.parent, header.parent_view) = (header.id(), header.view);
        (header.epoch, header.view, header.height) = (epoch, header.view.next(), height);
        header.time = header.time.next();
        header.payload_root = Payload::default().root();
        while self.made.len() >= MADE_MAX {
            self.made.pop_first();
        }
        self.made.insert(height, header.clone());
        stage.mark(MADE_UP);
        Some(SyncBlock { header, bundles: List::default(), certificate: None })
    }
}

impl Filter for Dripper {
    fn question(&mut self, stage: &mut Stage<'_>, from: usize, request: u64, question: &Question) -> bool {
        let Question::Blocks { from: height } = question else { return false };
        self.next = self.next.wrapping_add(1);
        self.due.insert(self.next, (from, request, *height));
        let after = stage.dice().between(LATE_MS.0, LATE_MS.1);
        stage.call_me(self.next, after);
        true
    }

    fn timer(&mut self, stage: &mut Stage<'_>, tag: u64) {
        let Some((to, request, height)) = self.due.remove(&tag) else { return };
        let block = self.block(stage, height);
        let blocks = List::new(block.into_iter().collect()).unwrap_or_default();
        stage.answer(to, request, &Answer::Blocks(blocks));
    }
}
