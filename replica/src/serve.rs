//! Answering what peers ask, from the tree of open blocks and from the ledger.
use quorate_ledger::Reader;
use quorate_primitives::block::{ANSWER_BYTES_MAX, BUNDLES_MAX, Header, PAYLOAD_BYTES_MAX};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::codec::{self, List};
use quorate_primitives::light::FINALITY_BYTES_MAX;
use quorate_primitives::{EpochNumber, Hash, Height, PublicKey};

use crate::replica::Replica;
use crate::wire::{Answer, Question, SYNC_BLOCKS_MAX, SyncBlock};

/// Bytes of an answer that are kept free for counts, headers and certificates.
const RESERVE_BYTES: usize = 64 * 1024;
/// Most bytes of bundles and certificates in one answer.
const ROOM_BYTES: usize = ANSWER_BYTES_MAX - RESERVE_BYTES;
/// Bytes of a header, its counts and options in an answer, rounded up.
const HEADER_BYTES: usize = 512;

// A full block with its certificate fits an answer, so there is always at least one in it.
const _: () = assert!(PAYLOAD_BYTES_MAX + FINALITY_BYTES_MAX + HEADER_BYTES <= ROOM_BYTES);

impl Replica {
    /// The answer to a peer's question. A store that fails has nothing.
    pub(crate) fn answer(&self, from: &PublicKey, question: Question) -> Answer {
        match question {
            Question::Bundles(ids) => Answer::Bundles(self.bundles_of(&ids)),
            Question::Block(id) => self.block_of(&id).unwrap_or(Answer::Unknown),
            Question::Blocks { from } => blocks(&self.reader, from),
            Question::Standing => self.standing(from),
        }
    }

    fn bundles_of(&self, ids: &[Hash]) -> List<Bundle, 0, BUNDLES_MAX> {
        let mut found = Vec::new();
        let mut bytes = 0_usize;
        for id in ids {
            let Some(bundle) = self.find_bundle(id) else { continue };
            bytes = bytes.saturating_add(bundle.size());
            if bytes > ROOM_BYTES {
                break;
            }
            found.push(bundle);
        }
        List::new(found).unwrap_or_default()
    }

    fn find_bundle(&self, id: &Hash) -> Option<Bundle> {
        if let Some(held) = self.bundles.get(id) {
            return Some(Bundle::clone(held));
        }
        if let Some(open) = self.chain.blocks().find_map(|(_, block)| block.bundles.get(id)) {
            return Some(Bundle::clone(open));
        }
        let height = self.chain.recent_height(id)?;
        self.reader.bundles(height).ok()?.into_iter().find(|bundle| bundle.id() == *id)
    }

    fn block_of(&self, id: &Hash) -> Option<Answer> {
        if let Some(block) = self.chain.get(id) {
            let body = block.body()?;
            // A leader may have proposed more than a block may hold. Nobody votes for that, and whoever got it
            // as an answer would take the giver for the offender.
            if body.iter().map(|bundle| bundle.size()).sum::<usize>() > ROOM_BYTES {
                return None;
            }
            let bundles = body.iter().map(|bundle| Bundle::clone(bundle)).collect();
            return Some(Answer::Block { header: block.header.clone(), bundles: List::new(bundles).ok()? });
        }
        let height = self.reader.height_of(id).ok()??;
        let header: Header = self.reader.block(height).ok()??.header;
        let bundles = self.reader.bundles(height).ok()?;
        Some(Answer::Block { header, bundles: List::new(bundles).ok()? })
    }
}

/// Consecutive committed blocks of one epoch from a height on, as many as fit. They end with a certified
/// block if there is one among them: what comes behind it could not be believed yet.
///
/// Reads only what is committed, so a driver may call it on any thread.
#[must_use]
pub fn blocks(reader: &Reader, from: Height) -> Answer {
    let mut found: Vec<SyncBlock> = Vec::new();
    let mut bytes = 0_usize;
    let mut height = from;
    let mut epoch: Option<EpochNumber> = None;
    while found.len() < SYNC_BLOCKS_MAX {
        let Ok(Some(stored)) = reader.block(height) else { break };
        if *epoch.get_or_insert(stored.header.epoch) != stored.header.epoch {
            break;
        }
        let Ok(bundles) = reader.bundles(height) else { break };
        let size = bundles.iter().fold(HEADER_BYTES, |sum, bundle| sum.saturating_add(bundle.size()));
        let certificate = stored.certificate;
        let size = size.saturating_add(certificate.as_ref().map_or(0, |held| codec::encode(held).len()));
        bytes = bytes.saturating_add(size);
        if bytes > ROOM_BYTES && !found.is_empty() {
            break;
        }
        let Ok(bundles) = List::new(bundles) else { break };
        found.push(SyncBlock { header: stored.header, bundles, certificate });
        height = height.next();
    }
    if let Some(last) = found.iter().rposition(|block| block.certificate.is_some()) {
        found.truncate(last.saturating_add(1));
    }
    List::new(found).map_or(Answer::Unknown, Answer::Blocks)
}
