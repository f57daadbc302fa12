//! Writing, reading back, replacing, and what is refused.
use quorate_primitives::{Hash, PublicKey};
use quorate_replica::vote_log::{Folder, Identity, RECORD_BYTES_MAX, VoteLog, VoteLogError};

use crate::disk::Disk;
use crate::life::{Record, identity, open};

const MARKER: &str = "signed-0909090909090909-0707070707070707.marker";

fn contents() -> Vec<Record> {
    vec![vec![1, 2, 3], Vec::new(), vec![4; 40], vec![5; 9]]
}

/// A log of four records in two groups.
fn written() -> Disk {
    let disk = Disk::default();
    let (mut log, _) = open(&disk).unwrap();
    log.append(&contents()[..1]).unwrap();
    log.append(&contents()[1..]).unwrap();
    Disk::new(disk.restarted())
}

/// A log that was replaced: two records stand for all earlier ones, one came later.
fn replaced() -> Disk {
    let disk = written();
    let (mut log, _) = open(&disk).unwrap();
    log.replace(&[vec![3; 3], vec![4; 4]]).unwrap();
    log.append(&[vec![5; 5]]).unwrap();
    Disk::new(disk.restarted())
}

#[test]
fn a_new_log_is_empty_and_not_lost() {
    let (log, records) = open(&Disk::default()).unwrap();
    assert_eq!((log.lost(), log.cut(), log.next_sequence(), records), (None, None, 1, Vec::new()));
}

#[test]
fn returns_what_was_appended_in_order() {
    assert_eq!(open(&written()).unwrap().1, contents());
}

#[test]
fn goes_on_after_reopening() {
    let disk = written();
    open(&disk).unwrap().0.append(&[b"later".to_vec()]).unwrap();
    let (log, records) = open(&disk).unwrap();
    assert_eq!(records, [contents(), vec![b"later".to_vec()]].concat());
    assert_eq!(log.next_sequence(), 6);
}

#[test]
fn a_group_takes_one_write_and_one_sync() {
    let disk = Disk::default();
    let (mut log, _) = open(&disk).unwrap();
    let before = disk.calls();
    log.append(&contents()).unwrap();
    assert_eq!(disk.calls() - before, 2);
}

#[test]
fn an_empty_group_touches_no_file() {
    let disk = Disk::default();
    let (mut log, _) = open(&disk).unwrap();
    let before = disk.calls();
    assert_eq!(log.append(&[]).unwrap(), 0);
    assert_eq!(disk.calls(), before);
}

#[test]
fn opening_begins_a_file_with_the_same_records() {
    let disk = written();
    let before = disk.copy(Folder::Log);
    open(&disk).unwrap();
    let after = disk.copy(Folder::Log);
    assert_eq!(after.keys().collect::<Vec<_>>(), ["0000000002.log"]);
    assert_eq!(before["0000000001.log"][128..], after["0000000002.log"][128..]);
}

#[test]
fn replacing_keeps_the_given_records_and_counts_on() {
    let disk = replaced();
    let (log, records) = open(&disk).unwrap();
    assert_eq!(records, [vec![3; 3], vec![4; 4], vec![5; 5]]);
    assert_eq!(log.next_sequence(), 8);
}

#[test]
fn growth_counts_what_came_after_replacing() {
    let disk = written();
    let (mut log, _) = open(&disk).unwrap();
    log.replace(&contents()).unwrap();
    assert_eq!(log.growth_bytes(), 0);
    let bytes = log.append(&[vec![5; 5]]).unwrap();
    assert_eq!((log.growth_bytes(), bytes), (61, 61));
}

#[test]
fn growth_counts_all_records_after_opening() {
    assert_eq!(open(&written()).unwrap().0.growth_bytes(), 4 * 56 + 52);
}

#[test]
fn only_one_file_stays() {
    assert_eq!(replaced().names(Folder::Log), ["0000000003.log"]);
}

#[test]
fn a_log_without_its_marker_gets_the_marker_back() {
    let disk = written();
    disk.take(Folder::Marker, MARKER);
    let (log, records) = open(&disk).unwrap();
    assert_eq!((log.lost(), records), (None, contents()));
    assert_eq!(disk.names(Folder::Marker), [MARKER]);
}

#[test]
fn what_an_interrupted_replacement_left_is_removed() {
    let disk = replaced();
    written().copy(Folder::Log).iter().for_each(|(name, bytes)| disk.put(Folder::Log, name, bytes));
    disk.put(Folder::Log, "0000000009.tmp", b"half a header");
    assert_eq!(open(&disk).unwrap().1.len(), 3);
    assert_eq!(disk.names(Folder::Log), ["0000000004.log"]);
}

#[test]
fn files_of_others_stay() {
    let disk = written();
    disk.put(Folder::Log, "notes.txt", b"mine");
    disk.put(Folder::Log, "notes.tmp", b"mine, too");
    open(&disk).unwrap();
    assert_eq!(disk.names(Folder::Log), ["0000000002.log", "notes.tmp", "notes.txt"]);
}

/// Opening is refused as damage, and nothing is changed.
fn assert_damaged(disk: &Disk) {
    assert!(matches!(open(disk), Err(VoteLogError::Damaged { .. })));
    assert_eq!(disk.changes(), 0);
}

#[test]
fn the_log_of_another_validator_or_chain_is_refused() {
    let others = [
        Identity { chain: Hash::from_bytes([8; 32]), ..identity() },
        Identity { key: PublicKey::from_bytes([8; 32]), ..identity() },
    ];
    for other in others {
        let disk = written();
        let refused = VoteLog::open(disk.clone(), other, &[], |_| Ok(())).unwrap_err();
        assert!(matches!(refused, VoteLogError::Foreign { found, .. } if found == identity()));
        assert_eq!(disk.changes(), 0);
    }
}

#[test]
fn a_record_that_the_replica_cannot_read_is_damage() {
    let disk = written();
    let refused = VoteLog::open(disk.clone(), identity(), &[], |_| Err("not a record")).unwrap_err();
    assert!(matches!(refused, VoteLogError::Damaged { offset: 128, reason: "not a record", .. }));
    assert_eq!(disk.changes(), 0);
}

#[test]
fn a_file_under_the_name_of_another_is_refused() {
    let disk = written();
    let bytes = disk.get(Folder::Log, "0000000001.log");
    disk.put(Folder::Log, "0000000003.log", &bytes);
    assert_damaged(&disk);
}

#[test]
fn a_file_with_a_name_that_no_log_gives_is_refused() {
    for name in ["1.log", "+000000001.log", "first.log", ".log"] {
        let disk = written();
        disk.put(Folder::Log, name, &[]);
        assert_damaged(&disk);
    }
}

#[test]
fn a_log_that_cannot_count_on_is_refused() {
    let disk = written();
    disk.put(Folder::Log, "18446744073709551615.log", &[]);
    assert_damaged(&disk);
}

#[test]
fn a_marker_of_another_shape_is_refused() {
    let good = written().get(Folder::Marker, MARKER);
    let other_title = String::from_utf8(good.clone()).unwrap().replace("marker 1", "marker 2");
    let more = [good.as_slice(), b"file 1\n"].concat();
    for bytes in [&b""[..], b"file 1\n", &[0xff; 40], &good[1..], other_title.as_bytes(), &more] {
        let disk = written();
        disk.put(Folder::Marker, MARKER, bytes);
        assert_damaged(&disk);
    }
}

#[test]
fn a_record_of_impossible_length_is_refused_and_changes_nothing() {
    let disk = written();
    let (mut log, _) = open(&disk).unwrap();
    let before = disk.calls();
    let long = [vec![0; RECORD_BYTES_MAX + 1]];
    assert!(matches!(log.append(&long), Err(VoteLogError::TooLong { .. })));
    assert!(matches!(log.replace(&long), Err(VoteLogError::TooLong { .. })));
    assert_eq!(disk.calls(), before);
    log.append(&[b"small".to_vec()]).unwrap();
    assert_eq!(open(&disk).unwrap().1.len(), 5);
}

#[test]
fn a_record_of_the_greatest_length_is_kept() {
    let disk = Disk::default();
    let record = vec![6; RECORD_BYTES_MAX];
    open(&disk).unwrap().0.append(std::slice::from_ref(&record)).unwrap();
    assert!(open(&disk).unwrap().1 == [record]);
}
