//! What the vote log promises: nothing that was durable is ever forgotten silently.
use std::fs;
use std::path::{Path, PathBuf};

use quorate_node::io::journal::{FolderLock, Identity, Journal, JournalConfig, JournalError};
use quorate_primitives::{EpochNumber, Hash, PublicKey};
use tempfile::TempDir;

const HEADER_BYTES: usize = 136;
const RECORD_OVERHEAD: usize = 52;

fn identity() -> Identity {
    Identity {
        chain: Hash::from_bytes([7; 32]),
        key: PublicKey::from_bytes([9; 32]),
        epoch: EpochNumber::ZERO,
    }
}

fn config(home: &Path) -> JournalConfig {
    JournalConfig { folder: home.join("data/votes"), marker_folder: home.to_owned() }
}

/// Opens the log and returns it with the records that it restored.
fn open_with(config: JournalConfig) -> Result<(Journal, Vec<Vec<u8>>), JournalError> {
    let mut records = Vec::new();
    let journal = Journal::open(config, identity(), |bytes| {
        records.push(bytes.to_vec());
        Ok(())
    })?;
    Ok((journal, records))
}

fn open(home: &Path) -> Result<(Journal, Vec<Vec<u8>>), JournalError> {
    open_with(config(home))
}

fn only_file(home: &Path) -> PathBuf {
    home.join("data/votes/0000000001.log")
}

fn contents() -> Vec<Vec<u8>> {
    vec![vec![1, 2, 3], Vec::new(), vec![4; 40], vec![5; 9]]
}

/// A log of four records in three groups, and the ends of its records in the file.
fn written() -> (TempDir, Vec<u8>, Vec<usize>) {
    let home = TempDir::new().unwrap();
    let (mut journal, _) = open(home.path()).unwrap();
    let records = contents();
    journal.append(&records[..1]).unwrap();
    journal.append(&records[1..3]).unwrap();
    journal.append(&records[3..]).unwrap();
    let bytes = fs::read(only_file(home.path())).unwrap();
    let mut end = HEADER_BYTES;
    let ends = records.iter().map(|record| {
        end += record.len() + RECORD_OVERHEAD;
        end
    });
    let ends: Vec<usize> = ends.collect();
    assert_eq!(ends.last(), Some(&bytes.len()));
    (home, bytes, ends)
}

#[test]
fn returns_what_was_appended_in_order() {
    let (home, _, _) = written();
    let (journal, records) = open(home.path()).unwrap();
    assert_eq!(records, contents());
    assert_eq!(journal.next_sequence(), 5);
    assert!(journal.cut().is_none());
}

#[test]
fn goes_on_after_reopening() {
    let (home, _, _) = written();
    let (mut journal, _) = open(home.path()).unwrap();
    journal.append(&[b"later".to_vec()]).unwrap();
    drop(journal);
    let (_, records) = open(home.path()).unwrap();
    assert_eq!(records.last().map(Vec::as_slice), Some(b"later".as_slice()));
    assert_eq!(records.len(), 5);
}

#[test]
fn a_file_cut_at_any_byte_yields_exactly_the_complete_records_or_is_refused() {
    let (home, bytes, ends) = written();
    for length in 0..bytes.len() {
        fs::write(only_file(home.path()), &bytes[..length]).unwrap();
        let complete = ends.iter().filter(|end| **end <= length).count();
        match open(home.path()) {
            Ok((mut journal, records)) => {
                assert!(length >= HEADER_BYTES, "a torn header was accepted at {length}");
                assert_eq!(records, contents()[..complete], "cut at {length}");
                let is_at_end = length == HEADER_BYTES || ends.contains(&length);
                assert_eq!(journal.cut().is_none(), is_at_end, "cut at {length}");
                journal.append(&[b"new".to_vec()]).unwrap();
                drop(journal);
                let (_, records) = open(home.path()).unwrap();
                assert_eq!(records.len(), complete + 1, "cut at {length}");
            }
            Err(JournalError::Damaged { .. }) => assert!(length < HEADER_BYTES, "cut at {length}"),
            Err(other) => panic!("cut at {length}: {other}"),
        }
    }
}

#[test]
fn an_end_of_zeros_from_a_sector_boundary_on_is_a_torn_tail() {
    let (home, bytes, ends) = written();
    let mut torn = bytes.clone();
    let padding = vec![6; 512];
    {
        let (mut journal, _) = open(home.path()).unwrap();
        journal.append(std::slice::from_ref(&padding)).unwrap();
    }
    torn = [torn, fs::read(only_file(home.path())).unwrap().split_off(bytes.len())].concat();
    assert!(ends[3] < 512 && torn.len() > 512);
    torn[512..].fill(0);
    fs::write(only_file(home.path()), &torn).unwrap();
    let (journal, records) = open(home.path()).unwrap();
    assert_eq!(records, contents());
    assert_eq!(journal.cut().unwrap().offset, bytes.len());
}

#[test]
fn a_flip_of_any_bit_never_shortens_the_log_silently() {
    let (home, bytes, ends) = written();
    let before_last = ends[ends.len() - 2];
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << bit;
            fs::write(only_file(home.path()), &flipped).unwrap();
            match open(home.path()) {
                Ok((_, records)) => {
                    assert!(position >= before_last, "a flip at {position}.{bit} went unnoticed");
                    assert_eq!(records, contents()[..3], "flip at {position}.{bit}");
                }
                Err(JournalError::Damaged { .. } | JournalError::Foreign { .. }) => {}
                Err(other) => panic!("flip at {position}.{bit}: {other}"),
            }
        }
    }
}

#[test]
fn a_missing_record_is_refused() {
    let (home, bytes, ends) = written();
    let without_second = [&bytes[..ends[0]], &bytes[ends[1]..]].concat();
    fs::write(only_file(home.path()), without_second).unwrap();
    assert!(matches!(open(home.path()), Err(JournalError::Damaged { .. })));
}

#[test]
fn the_log_of_another_validator_chain_or_epoch_is_refused() {
    let (home, _, _) = written();
    let others = [
        Identity { chain: Hash::from_bytes([8; 32]), ..identity() },
        Identity { key: PublicKey::from_bytes([8; 32]), ..identity() },
        Identity { epoch: EpochNumber::new(1), ..identity() },
    ];
    for other in others {
        let refused = Journal::open(config(home.path()), other, |_| Ok(())).unwrap_err();
        assert!(matches!(refused, JournalError::Foreign { .. }), "{refused}");
    }
}

#[test]
fn a_record_that_the_replica_cannot_read_is_damage() {
    let (home, _, _) = written();
    let refused = Journal::open(config(home.path()), identity(), |_| Err("not a record")).unwrap_err();
    assert!(matches!(refused, JournalError::Damaged { .. }));
}

#[test]
fn a_key_that_has_signed_does_not_start_without_its_log() {
    let (home, _, _) = written();
    fs::remove_dir_all(home.path().join("data")).unwrap();
    let refused = open(home.path()).unwrap_err();
    assert!(matches!(refused, JournalError::Amnesia { .. }), "{refused}");
    assert!(refused.to_string().contains("restore the folder"));
}

#[test]
fn a_log_without_its_marker_gets_the_marker_back() {
    let (home, _, _) = written();
    let is_marker = |path: &Path| path.extension().is_some_and(|extension| extension == "marker");
    let marker =
        fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path()).find(|path| is_marker(path));
    fs::remove_file(marker.as_ref().unwrap()).unwrap();
    assert_eq!(open(home.path()).unwrap().1, contents());
    assert!(marker.unwrap().exists());
}

#[test]
fn a_second_process_cannot_use_the_folder() {
    let home = TempDir::new().unwrap();
    let lock = FolderLock::acquire(home.path()).unwrap();
    assert!(matches!(FolderLock::acquire(home.path()), Err(JournalError::Locked { .. })));
    drop(lock);
    FolderLock::acquire(home.path()).unwrap();
}

/// A log that was replaced: two records stand for all earlier ones, one came later.
fn replaced() -> (TempDir, JournalConfig, Vec<u8>) {
    let (home, first_file, _) = written();
    let config = config(home.path());
    let (mut journal, _) = open_with(config.clone()).unwrap();
    journal.replace(&[vec![3; 3], vec![4; 4]]).unwrap();
    assert_eq!(journal.growth_bytes(), 0);
    journal.append(&[vec![5; 5]]).unwrap();
    assert!(journal.growth_bytes() > 0);
    (home, config, first_file)
}

#[test]
fn replacing_keeps_the_given_records_and_counts_on() {
    let (home, config, _) = replaced();
    let (journal, records) = open_with(config).unwrap();
    assert_eq!(records, [vec![3; 3], vec![4; 4], vec![5; 5]]);
    assert_eq!(journal.next_sequence(), 8);
    assert!(!only_file(home.path()).exists());
}

#[test]
fn a_replaced_log_is_cut_at_any_byte_like_a_new_one() {
    let (_home, config, _) = replaced();
    let path = config.folder.join("0000000002.log");
    let bytes = fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        match open_with(config.clone()) {
            Ok((_, records)) => assert!(length >= HEADER_BYTES && records.len() < 3),
            Err(JournalError::Damaged { .. }) => assert!(length < HEADER_BYTES),
            Err(other) => panic!("cut at {length}: {other}"),
        }
    }
}

#[test]
fn an_older_log_than_the_marker_knows_is_refused() {
    let (home, config, first_file) = replaced();
    fs::remove_file(config.folder.join("0000000002.log")).unwrap();
    fs::write(only_file(home.path()), first_file).unwrap();
    let refused = open_with(config).unwrap_err();
    assert!(matches!(refused, JournalError::Missing { number: 2, .. }), "{refused}");
}

#[test]
fn an_interrupted_replacement_is_finished_or_undone() {
    let (home, config, first_file) = replaced();
    fs::write(only_file(home.path()), first_file).unwrap();
    fs::write(config.folder.join("0000000003.tmp"), b"half a header").unwrap();
    let (_, records) = open_with(config.clone()).unwrap();
    assert_eq!(records.len(), 3);
    assert!(!only_file(home.path()).exists());
    assert!(!config.folder.join("0000000003.tmp").exists());
}

#[test]
fn a_file_under_the_name_of_another_is_refused() {
    let (_home, config, _) = replaced();
    fs::rename(config.folder.join("0000000002.log"), config.folder.join("0000000003.log")).unwrap();
    assert!(matches!(open_with(config), Err(JournalError::Damaged { .. })));
}

#[test]
fn a_record_of_impossible_length_is_refused_and_changes_nothing() {
    let (home, bytes, _) = written();
    let (mut journal, _) = open(home.path()).unwrap();
    let refused = journal.append(&[vec![0; 9 * 1024 * 1024]]).unwrap_err();
    assert!(matches!(refused, JournalError::TooLong { .. }));
    assert_eq!(fs::read(only_file(home.path())).unwrap(), bytes);
    journal.append(&[b"small".to_vec()]).unwrap();
}
