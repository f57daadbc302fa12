//! Bringing everything back after a restart, from the ledger and the vote log.
//!
//! The two may disagree. A ledger that is behind the log, because its last writes were buffered when
//! the power failed, is brought forward with the bodies and the finalization that the log holds. A
//! ledger that is ahead of the log tells the engine what is final. What neither holds comes from peers.
use quorate_consensus::Record;
use quorate_ledger::Ledger;
use quorate_primitives::block::{BUNDLES_MAX, Header};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::codec::List;
use quorate_primitives::signed::Verified;
use quorate_primitives::zoo::{self, Bug};
use quorate_primitives::{Hash, Height, View};
use rand_core::CryptoRng;
use std::cmp::Ordering;

use crate::answer::Fault;
use crate::chain::{Block, Chain, Stage, Tip};
use crate::commit::{body_record, record_of};
use crate::fetch::payload_of;
use crate::guard::Guard;
use crate::record::LogRecord;
use crate::replica::Replica;
use crate::wire::verify_all;

/// Committed blocks whose payloads are read at the start.
const RECENT_BLOCKS: u64 = 64;

/// What the log has of an epoch that the ledger has not reached.
#[derive(Default)]
pub(crate) struct Later {
    records: Vec<Record>,
    bodies: Vec<(Header, Vec<Verified<Bundle>>)>,
}

impl Replica {
    /// Takes back one record of the vote log. All come in the order in which they were written, before
    /// [`Event::Start`](crate::Event::Start). `rng` proves the signatures in a body again, and decides
    /// nothing else.
    pub fn restore(&mut self, record: LogRecord, rng: &mut impl CryptoRng) {
        match record {
            LogRecord::Consensus { epoch, record } => {
                if matches!(record, Record::Silence { .. }) {
                    self.guard = Guard::asking(&Guard::Passed);
                }
                match epoch.cmp(&self.epoch()) {
                    // Over, and safe in the ledger.
                    Ordering::Less => {}
                    Ordering::Equal => self.restore_record(record),
                    Ordering::Greater => self.later.entry(epoch).or_default().records.push(record),
                }
            }
            LogRecord::Body { header, bundles } => self.restore_body(header, bundles, rng),
            LogRecord::Epoch(epoch) => {
                if epoch > self.epoch() {
                    self.later.entry(epoch).or_default();
                }
            }
            LogRecord::Quarantine if zoo::has(Bug::QuarantineIgnored) => {}
            LogRecord::Quarantine => self.guard = Guard::quarantined(),
        }
    }

    /// Takes back a record of the current epoch.
    pub(crate) fn restore_record(&mut self, record: Record) {
        if let Record::Held(certificate) | Record::Floor(certificate) = &record {
            self.keep_final(certificate.clone());
        }
        self.engine.restore(record);
    }

    /// Whether the log speaks of later epochs than the ledger knows of.
    pub(crate) fn is_outdated(&self) -> bool {
        !self.later.is_empty()
    }

    fn restore_body(
        &mut self,
        header: Header,
        bundles: List<Bundle, 0, BUNDLES_MAX>,
        rng: &mut impl CryptoRng,
    ) {
        if header.height <= self.chain.tip().height || header.epoch < self.epoch() {
            return;
        }
        // The log is checked when it is read, so what is wrong here was wrong when it was written.
        let Some(bundles) = verify_all(bundles, rng) else { return };
        if header.epoch > self.epoch() {
            return self.later.entry(header.epoch).or_default().bodies.push((header, bundles));
        }
        self.restore_block(header, &bundles);
    }

    /// Takes back what the log has of the epoch that was just entered.
    pub(crate) fn restore_later(&mut self) {
        let Later { records, bodies } = self.later.remove(&self.epoch()).unwrap_or_default();
        bodies.iter().for_each(|(header, bundles)| self.restore_block(header.clone(), bundles));
        records.into_iter().for_each(|record| self.restore_record(record));
        let epoch = self.epoch();
        self.later.retain(|later, _| *later > epoch);
    }

    fn restore_block(&mut self, header: Header, bundles: &[Verified<Bundle>]) {
        let Some(payload) = payload_of(bundles) else { return };
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
        self.recall_previous();
        self.enter_epoch();
        // The ledger may know of a finalization that the log lost.
        if let Some((proof, _)) = self.ledger.certified() {
            let sender = proof.certificate.signers.iter().find(|signer| Some(*signer) != self.me);
            if let Some(from) = sender.filter(|_| proof.certificate.claim.view() > self.engine.finalized().0)
            {
                self.hear_certificate(proof.header.epoch, from, proof.certificate);
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
        let epoch = self.epoch();
        records.push(LogRecord::Epoch(self.later.keys().next_back().copied().unwrap_or(epoch)));
        let finals = self.finals.values().cloned().map(Record::Held);
        let current = finals.chain(self.engine.records());
        records.extend(current.map(|record| LogRecord::Consensus { epoch, record }));
        for (epoch, Later { records: of_epoch, bodies }) in &self.later {
            records.extend(bodies.iter().filter_map(|(header, bundles)| record_of(header, bundles)));
            let of_epoch = of_epoch.iter().cloned();
            records.extend(of_epoch.map(|record| LogRecord::Consensus { epoch: *epoch, record }));
        }
        if self.guard.is_quarantined() {
            records.insert(0, LogRecord::Quarantine);
        }
        Ok(records)
    }
}

/// The tree above the ledger's last block, with what must be remembered of the blocks below.
pub(crate) fn chain_of(ledger: &Ledger, anchor: Height) -> Chain {
    let head = ledger.head();
    // In the epoch that it is the anchor of, a block is in view 0.
    let view = if head.height() == anchor { View::ZERO } else { head.view() };
    let reader = ledger.reader();
    let first = head.height().saturating_sub(RECENT_BLOCKS.saturating_sub(1)).max(Height::new(1));
    let mut recent: Vec<(Height, Vec<Hash>)> = Vec::new();
    let mut height = first;
    while height <= head.height() {
        let stored = reader.block(height).ok().flatten();
        recent.push((height, stored.map_or_else(Vec::new, |stored| stored.payload.bundles.to_vec())));
        height = height.next();
    }
    let mut chain =
        Chain::new(Tip { block: head.block(), height: head.height(), view, time: head.time(), seen: None });
    for (height, bundles) in recent {
        chain.remember(height, bundles);
    }
    chain
}
