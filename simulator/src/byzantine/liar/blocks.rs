//! Wrong answers to who catches up.
use quorate_primitives::block::Payload;
use quorate_primitives::certificate::{Certificate, Claim};
use quorate_primitives::codec::List;
use quorate_primitives::keys::Signature;
use quorate_primitives::{Height, Timestamp};
use quorate_replica::{Answer, SyncBlock, serve};

use super::super::place::made_up;
use crate::puppet::Stage;

/// Marks, by kind.
pub(crate) const MARKS: [&str; 11] = [
    "liar: no blocks",
    "liar: one block and no certificate",
    "liar: fewer blocks",
    "liar: blocks with a gap",
    "liar: a changed block",
    "liar: blocks that it made up",
    "liar: a forged certificate",
    "liar: a certificate of another block",
    "liar: a certificate of another view",
    "liar: older blocks",
    "liar: blocks in the wrong order",
];

/// Most blocks that it makes up at a time.
const MADE_UP_MAX: u64 = 40;

/// An answer and its mark; nothing if it has no idea.
pub(super) fn lie(stage: &mut Stage<'_>, from: Height) -> Option<(&'static str, Answer)> {
    let kind = stage.dice().index(MARKS.len());
    let reader = stage.replica()?.ledger().reader();
    let back = stage.dice().between(1, 6);
    let begin = if kind == 9 { from.saturating_sub(back) } else { from };
    let Answer::Blocks(blocks) = serve::blocks(&reader, begin) else { return None };
    let honest = blocks.into_inner();
    let at = stage.dice().index(honest.len());
    let blocks = match kind {
        0 => Vec::new(),
        1 => honest.into_iter().take(1).map(without_certificate).collect(),
        2 => honest.into_iter().take(at.saturating_add(1)).collect(),
        3 => {
            honest.into_iter().enumerate().filter(|(place, _)| *place != at).map(|(_, block)| block).collect()
        }
        4 => honest
            .into_iter()
            .enumerate()
            .map(|(place, block)| if place == at { later(block) } else { block })
            .collect(),
        5 => made_up_chain(stage, from)?,
        6..=8 => with_other_certificate(stage, honest, kind),
        9 => honest,
        _ => honest.into_iter().rev().collect(),
    };
    Some((MARKS[kind], List::new(blocks).map_or(Answer::Unknown, Answer::Blocks)))
}

fn without_certificate(block: SyncBlock) -> SyncBlock {
    SyncBlock { certificate: None, ..block }
}

fn later(mut block: SyncBlock) -> SyncBlock {
    block.header.time = block.header.time.next();
    block
}

/// A certificate on the last block that was not made for it.
fn with_other_certificate(stage: &mut Stage<'_>, mut blocks: Vec<SyncBlock>, kind: usize) -> Vec<SyncBlock> {
    let block = made_up(stage);
    let Some(last) = blocks.iter_mut().rev().find(|block| block.certificate.is_some()) else { return blocks };
    if let Some(certificate) = &mut last.certificate {
        *certificate = match (kind, certificate.claim) {
            (6, _) => forged(certificate),
            (7, Claim::Finalize { view, outcome, .. }) => {
                Certificate { claim: Claim::Finalize { view, block, outcome }, ..certificate.clone() }
            }
            (_, Claim::Finalize { view, block, outcome }) => {
                let view = view.next();
                Certificate { claim: Claim::Finalize { view, block, outcome }, ..certificate.clone() }
            }
            (_, Claim::Notarize { .. } | Claim::Nullify { .. }) => return blocks,
        };
    }
    blocks
}

fn forged(certificate: &Certificate) -> Certificate {
    let signatures = vec![Signature::from_bytes([9; 64]); certificate.signatures.len()];
    Certificate {
        signatures: List::new(signatures).unwrap_or_else(|_| certificate.signatures.clone()),
        ..certificate.clone()
    }
}

/// Empty blocks that follow one another from where the asker stands, and lead nowhere.
fn made_up_chain(stage: &mut Stage<'_>, from: Height) -> Option<Vec<SyncBlock>> {
    let count = stage.dice().between(1, MADE_UP_MAX);
    let replica = stage.replica()?;
    let (reader, (epoch, last)) = (replica.ledger().reader(), replica.period());
    let before = from.previous()?;
    let mut header = match reader.block(before).ok()? {
        Some(stored) => stored.header,
        None => replica.ledger().head().header()?.clone(),
    };
    let mut blocks = Vec::new();
    while u64::try_from(blocks.len()).ok()? < count && header.height < last {
        let parent = header.id();
        header.epoch = epoch;
        (header.parent, header.parent_view) = (parent, header.view);
        (header.view, header.height) = (header.view.next(), header.height.next());
        header.time = Timestamp::new(header.time.get().saturating_add(1));
        header.payload_root = Payload::default().root();
        blocks.push(SyncBlock { header: header.clone(), bundles: List::default(), certificate: None });
    }
    Some(blocks)
}
