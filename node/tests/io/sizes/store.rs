//! The store and the vote log keep the largest values.
use std::sync::Arc;

use quorate_consensus::Record;
use quorate_ledger::Ledger;
use quorate_ledger::store::Rocks;
use quorate_node::io::journal::{JournalConfig, RealFiles};
use quorate_primitives::EpochNumber;
use quorate_primitives::block::{BUNDLES_MAX, PAYLOAD_BYTES_MAX};
use quorate_primitives::bundle::{BUNDLE_BYTES_MAX, BUNDLE_TRANSACTIONS_MAX, Bundle};
use quorate_primitives::codec::{self, List};
use quorate_primitives::receipt::{Receipt, Verdict};
use quorate_primitives::transaction::{OUTPUTS_MAX, TRANSACTION_BYTES_MAX};
use quorate_primitives::validators::VALIDATORS_MAX;
use quorate_replica::LogRecord;
use quorate_replica::record::RECORD_BYTES_MAX;
use quorate_replica::vote_log::{Identity, VoteLog};
use tempfile::TempDir;

use super::chain::{FULL, Full, validator};

/// Payments of a committed transaction.
fn payments(receipt: &Receipt) -> usize {
    assert_eq!(receipt.verdict, Verdict::Committed);
    receipt.events.len()
}

#[test]
fn the_blocks_are_as_full_as_the_rules_allow() {
    let bytes = |block: &Full| block.bundles.iter().map(|bundle| bundle.size()).sum::<usize>();
    let [bundles, payments_of_many, transactions] = &FULL.blocks[..] else { panic!() };
    assert_eq!((bundles.bundles.len(), bytes(bundles)), (BUNDLES_MAX, PAYLOAD_BYTES_MAX));
    assert_eq!(bytes(payments_of_many), PAYLOAD_BYTES_MAX);
    assert!(payments_of_many.bundles.iter().all(|bundle| bundle.size() == BUNDLE_BYTES_MAX));
    let largest = payments_of_many.bundles[0].transactions()[0].size();
    assert_eq!(largest, TRANSACTION_BYTES_MAX);
    assert!(payments_of_many.executed.receipts().iter().all(|receipt| payments(receipt) > OUTPUTS_MAX));
    let smallest = transactions.bundles[1].transactions()[0].size();
    assert!(PAYLOAD_BYTES_MAX - bytes(transactions) < smallest + 17);
    assert_eq!(transactions.bundles[1].transactions().len(), BUNDLE_TRANSACTIONS_MAX);
    for block in &FULL.blocks {
        assert_eq!(block.certificate.signatures.len(), VALIDATORS_MAX);
        let listed: usize = block.bundles.iter().map(|bundle| bundle.transactions().len()).sum();
        assert_eq!(block.executed.receipts().len(), listed, "a transaction was dropped");
    }
}

#[test]
fn full_blocks_are_committed_to_disk_and_read_back_after_reopening() {
    let home = TempDir::new().unwrap();
    drop(FULL.commit_to(Arc::new(Rocks::open(&home.path().join("db")).unwrap())));
    let ledger =
        Ledger::open(Arc::new(Rocks::open(&home.path().join("db")).unwrap()), &FULL.genesis).unwrap();
    assert_eq!(ledger.head().outcome(), FULL.blocks[2].executed.outcome());
    quorate_ledger::audit(ledger.head().state()).unwrap();
    let reader = ledger.reader();
    for Full { header, bundles, certificate, executed } in &FULL.blocks {
        let stored = reader.block(header.height).unwrap().unwrap();
        assert_eq!((&stored.header, stored.certificate.as_ref()), (header, Some(certificate)));
        let bundles: Vec<Bundle> = bundles.iter().map(|bundle| Bundle::clone(bundle)).collect();
        assert!(reader.bundles(header.height).unwrap() == bundles, "other bundles than were committed");
        assert!(reader.receipts(header.height).unwrap() == executed.receipts(), "other receipts");
        let last = executed.receipts().last().unwrap();
        let (_, receipt, proof) = reader.receipt(&last.transaction).unwrap().unwrap();
        assert!(receipt == *last && proof.verify(&executed.outcome().receipts_root, &last.leaf()).is_ok());
    }
}

/// A body is recorded before the vote for its block, and a certificate before what it permits.
#[test]
fn full_bodies_and_certificates_survive_in_the_vote_log() {
    let home = TempDir::new().unwrap();
    let identity = Identity { chain: FULL.genesis.hash(), key: validator(0).public_key() };
    let config = JournalConfig { folder: home.path().join("votes"), marker_folder: home.path().join("keys") };
    let mut written = Vec::new();
    for Full { header, bundles, certificate, .. } in &FULL.blocks {
        let bundles = bundles.iter().map(|bundle| Bundle::clone(bundle)).collect();
        written.push(LogRecord::Body { header: header.clone(), bundles: List::new(bundles).unwrap() });
        let record = Record::Held(certificate.clone());
        written.push(LogRecord::Consensus { epoch: EpochNumber::ZERO, record });
    }
    let mut log = VoteLog::open(RealFiles::new(config.clone()).unwrap(), identity, &[], |_| Ok(())).unwrap();
    log.append(&written.iter().map(codec::encode).collect::<Vec<_>>()).unwrap();
    drop(log);

    let mut read = Vec::new();
    VoteLog::open(RealFiles::new(config).unwrap(), identity, &[], |bytes| {
        read.push(codec::decode::<LogRecord>(bytes, RECORD_BYTES_MAX).unwrap());
        Ok(())
    })
    .unwrap();
    assert!(read == written, "other records than were written");
}
