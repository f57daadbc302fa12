//! Bringing everything back after a restart, from the ledger and the vote log.
//!
//! The two may disagree. A ledger that is behind the log, because its last writes were buffered when
//! the power failed, is brought forward with the bodies and the finalization that the log holds. A
//! ledger that is ahead of the log tells the engine what is final. What neither holds comes from peers.
use quorate_consensus::{Input, Message, Record};
use quorate_ledger::Ledger;
use quorate_primitives::block::{BUNDLES_MAX, Header};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::codec::List;
use quorate_primitives::{Hash, Height};
use rand_core::CryptoRng;

use crate::answer::Fault;
use crate::chain::{Block, Chain, Stage, Tip};
use crate::commit::body_record;
use crate::fetch::payload_of;
use crate::record::LogRecord;
use crate::replica::Replica;
use crate::wire::verify_all;

/// Committed blocks whose payloads are read at the start.
const RECENT_BLOCKS: u64 = 64;

impl Replica {
    /// Takes back one record of the vote log. All come in the order in which they were written, before
    /// [`Event::Start`](crate::Event::Start). `rng` proves the signatures in a body again, and decides
    /// nothing else.
    pub fn restore(&mut self, record: LogRecord, rng: &mut impl CryptoRng) {
        match record {
            LogRecord::Consensus(record) => {
                if let Record::Held(certificate) | Record::Floor(certificate) = &record {
                    self.keep_final(certificate.clone());
                }
                self.engine.restore(record);
            }
            LogRecord::Body { header, bundles } => self.restore_body(header, bundles, rng),
        }
    }

    fn restore_body(
        &mut self,
        header: Header,
        bundles: List<Bundle, 0, BUNDLES_MAX>,
        rng: &mut impl CryptoRng,
    ) {
        if header.height <= self.chain.tip().height {
            return;
        }
        // The log is checked when it is read, so what is wrong here was wrong when it was written.
        let Some(bundles) = verify_all(bundles, rng) else { return };
        let Some(payload) = payload_of(&bundles) else { return };
        let id = header.id();
        let mut block = Block::new(header, None);
        if !block.offer_payload(payload) {
            return;
        }
        bundles.iter().for_each(|bundle| {
            block.offer_bundle(bundle);
        });
        block.recorded = true;
        block.stage = Stage::Ready;
        self.chain.restore(id, block);
    }

    /// Begins, after everything was restored.
    pub(crate) fn start(&mut self) {
        // Own bundles of an earlier life must not be repeated under the same id.
        self.sequence = self.now.get();
        self.advanced = self.now;
        let step = self.engine.start();
        self.apply(step);
        // The ledger may know of a finalization that the log lost.
        if let Some((proof, _)) = self.ledger.certified() {
            let sender = proof.certificate.signers.iter().find(|signer| Some(*signer) != self.me);
            if let Some(from) = sender.filter(|_| proof.certificate.claim.view() > self.engine.finalized().0)
            {
                let message = Message::Certificate(proof.certificate);
                self.inputs.push_back(Input::Received { from, message });
            }
        }
        self.try_commit();
        self.sync_soon();
    }

    /// Records that, restored instead of all that were written so far, give the same promises and
    /// bodies. Everything else is safe in the ledger, which is synced first. Blocks for as long as the
    /// disk takes.
    ///
    /// # Errors
    /// [`Fault::Storage`]: the process must stop.
    pub fn checkpoint(&mut self) -> Result<Vec<LogRecord>, Fault> {
        self.ledger.sync().map_err(|error| Fault::Storage { reason: error.to_string() })?;
        let bodies = self.chain.blocks().filter(|(_, block)| block.recorded);
        let mut records: Vec<LogRecord> = bodies.filter_map(|(_, block)| body_record(block)).collect();
        let finals = self.finals.values().cloned().map(Record::Held);
        records.extend(finals.chain(self.engine.records()).map(LogRecord::Consensus));
        Ok(records)
    }
}

/// The tree above the ledger's last block, with what must be remembered of the blocks below.
pub(crate) fn chain_of(ledger: &Ledger) -> Chain {
    let head = ledger.head();
    let reader = ledger.reader();
    let first = head.height().saturating_sub(RECENT_BLOCKS.saturating_sub(1)).max(Height::new(1));
    let mut recent: Vec<(Height, Vec<Hash>)> = Vec::new();
    let mut height = first;
    while height <= head.height() {
        let stored = reader.block(height).ok().flatten();
        recent.push((height, stored.map_or_else(Vec::new, |stored| stored.payload.bundles.to_vec())));
        height = height.next();
    }
    let mut chain = Chain::new(Tip {
        block: head.block(),
        height: head.height(),
        view: head.view(),
        time: head.time(),
        seen: None,
    });
    for (height, bundles) in recent {
        chain.remember(height, bundles);
    }
    chain
}
