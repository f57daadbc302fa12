//! The bytes of the files: their shape, and what is made of every cut and every flip.
use quorate_replica::vote_log::{Folder, VoteLogError};

use crate::disk::Disk;
use crate::life::{Record, open};

const FILE: &str = "0000000001.log";
const MARKER: &str = "signed-0909090909090909-0707070707070707.marker";
const HEADER_BYTES: usize = 128;
const RECORD_OVERHEAD: usize = 56;
const SECTOR_BYTES: usize = 512;

fn contents() -> Vec<Record> {
    vec![vec![1, 2, 3], Vec::new(), vec![4; 600], vec![5; 9]]
}

/// The first file of a log with these records, each appended by itself.
fn file_of(records: &[Record]) -> Vec<u8> {
    let disk = Disk::default();
    let (mut log, _) = open(&disk).unwrap();
    for record in records {
        log.append(std::slice::from_ref(record)).unwrap();
    }
    disk.get(Folder::Log, FILE)
}

/// The ends of records in a file.
fn ends_of(records: &[Record]) -> Vec<usize> {
    let end =
        |count: usize| records[..count].iter().map(|record| record.len() + RECORD_OVERHEAD).sum::<usize>();
    (1..=records.len()).map(|count| HEADER_BYTES + end(count)).collect()
}

/// A disk with such a file, and its marker.
fn disk_with(file: &[u8]) -> Disk {
    let disk = Disk::default();
    open(&disk).unwrap();
    disk.put(Folder::Log, FILE, file);
    Disk::new(disk.restarted())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_file_has_the_documented_bytes() {
    let header = [
        "515254564f54455304000000",
        "0707070707070707070707070707070707070707070707070707070707070707",
        "0909090909090909090909090909090909090909090909090909090909090909",
        "01000000000000000100000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "73624c08",
    ];
    let record = [
        "03000000010000000000000000000000c8b3d65e",
        "010203",
        "325fb262ff9ae6aaafe9b68668f97c2fbe81d30b52888247bae6605cd10b08da",
        "72096ecb",
    ];
    assert_eq!(hex(&file_of(&[vec![1, 2, 3]])), header.concat() + &record.concat());
}

/// Three parts, the last of 452 bytes.
#[test]
fn a_record_of_several_parts_has_the_documented_hash() {
    let file = file_of(&[vec![7; 2_500]]);
    let hash = &file[HEADER_BYTES + 20 + 2_500..][..32];
    assert_eq!(hex(hash), "4b1c5dbd34c3a31ed6e3dc05a09da8964b3639a7e9107e1aa50482c63d4702ab");
}

#[test]
fn the_marker_has_the_documented_text() {
    let disk = Disk::default();
    open(&disk).unwrap().0.replace(&[]).unwrap();
    let text = "quorate vote log marker 1\n\
        chain 0707070707070707070707070707070707070707070707070707070707070707\n\
        key 0909090909090909090909090909090909090909090909090909090909090909\n\
        file 2\n";
    assert_eq!(disk.copy(Folder::Marker).into_iter().collect::<Vec<_>>(), [(MARKER.to_owned(), text.into())]);
}

#[test]
fn a_file_of_another_version_is_refused_as_such() {
    let mut file = file_of(&contents());
    file[8] = 1;
    let refused = open(&disk_with(&file)).unwrap_err();
    let expected = "the header is of another format or version";
    assert!(matches!(refused, VoteLogError::Damaged { reason, .. } if reason == expected), "{refused}");
}

#[test]
fn a_file_cut_in_its_header_is_refused() {
    let file = file_of(&contents());
    for length in 0..HEADER_BYTES {
        let refused = open(&disk_with(&file[..length]));
        assert!(matches!(refused, Err(VoteLogError::Damaged { offset: 0, .. })), "cut at {length}");
    }
}

#[test]
fn a_file_cut_behind_its_header_yields_exactly_the_complete_records() {
    let (file, ends) = (file_of(&contents()), ends_of(&contents()));
    assert_eq!(ends.last(), Some(&file.len()));
    for length in HEADER_BYTES..=file.len() {
        let complete = ends.iter().filter(|end| **end <= length).count();
        let (_, records) = open(&disk_with(&file[..length])).unwrap();
        assert_eq!(records, contents()[..complete], "cut at {length}");
    }
}

#[test]
fn an_unfinished_record_is_reported_with_its_place() {
    let (file, ends) = (file_of(&contents()), ends_of(&contents()));
    for length in HEADER_BYTES..=file.len() {
        let end = ends.iter().copied().filter(|end| *end <= length).max().unwrap_or(HEADER_BYTES);
        let (log, _) = open(&disk_with(&file[..length])).unwrap();
        let reported = log.cut().map(|cut| (cut.offset, cut.bytes));
        assert_eq!(reported, (end < length).then_some((end, length - end)), "cut at {length}");
    }
}

#[test]
fn a_log_goes_on_behind_what_was_cut() {
    let file = file_of(&contents());
    for length in HEADER_BYTES..=file.len() {
        let disk = disk_with(&file[..length]);
        let (mut log, mut records) = open(&disk).unwrap();
        log.append(&[b"new".to_vec()]).unwrap();
        records.push(b"new".to_vec());
        let (log, found) = open(&disk).unwrap();
        assert_eq!((found, log.cut()), (records, None), "cut at {length}");
    }
}

#[test]
fn an_end_of_zeros_from_a_sector_boundary_on_is_cut() {
    let (file, ends) = (file_of(&contents()), ends_of(&contents()));
    assert!(ends[1] < SECTOR_BYTES && SECTOR_BYTES < ends[2]);
    let mut torn = file[..ends[2]].to_vec();
    torn[SECTOR_BYTES..].fill(0);
    let (log, records) = open(&disk_with(&torn)).unwrap();
    assert_eq!(records, contents()[..2]);
    assert_eq!(log.cut().map(|cut| cut.offset), Some(ends[1]));
}

#[test]
fn zeros_behind_the_last_record_are_cut() {
    let file = file_of(&contents());
    for zeros in 1..=2 * SECTOR_BYTES {
        let (_, records) = open(&disk_with(&[file.clone(), vec![0; zeros]].concat())).unwrap();
        assert_eq!(records, contents(), "{zeros} zeros");
    }
}

#[test]
fn zeros_in_the_middle_are_refused() {
    let (file, ends) = (file_of(&contents()), ends_of(&contents()));
    let mut holed = file.clone();
    holed[SECTOR_BYTES..ends[2]].fill(0);
    assert!(matches!(open(&disk_with(&holed)), Err(VoteLogError::Damaged { .. })));
}

/// Two records, each appended by itself, and then a group of three that takes many sectors, and
/// a later group; with the records but for the later ones, and the end of each.
fn file_with_group(later: &[Record]) -> (Vec<u8>, Vec<Record>, Vec<usize>) {
    let records = vec![vec![1; 30], vec![2; 40], vec![3; 700], vec![4; 9], vec![5; 1_500]];
    let disk = Disk::default();
    let (mut log, _) = open(&disk).unwrap();
    for group in [&records[..1], &records[1..2], &records[2..], later] {
        log.append(group).unwrap();
    }
    let (file, ends) = (disk.get(Folder::Log, FILE), ends_of(&records));
    (file, records, ends)
}

/// The file without those sectors of its bytes from `begin` to `end` whose bits are set, lowest first.
fn without_sectors(file: &[u8], begin: usize, end: usize, missing: u32) -> Vec<u8> {
    let mut torn = file.to_vec();
    let first = begin / SECTOR_BYTES;
    for (position, byte) in torn.iter_mut().enumerate().take(end).skip(begin) {
        if missing >> (position / SECTOR_BYTES - first) & 1 == 1 {
            *byte = 0;
        }
    }
    torn
}

#[test]
fn any_sectors_of_an_unsynced_group_may_be_missing() {
    let (file, records, ends) = file_with_group(&[]);
    let begin = ends[1];
    let sectors = file.len().div_ceil(SECTOR_BYTES) - begin / SECTOR_BYTES;
    assert!(sectors > 4);
    for missing in 0..1_u32 << sectors {
        let torn = without_sectors(&file, begin, file.len(), missing);
        let first_wrong = file.iter().zip(&torn).position(|(written, left)| written != left);
        let complete = ends.iter().filter(|end| first_wrong.is_none_or(|wrong| **end <= wrong)).count();
        let (log, found) = open(&disk_with(&torn)).unwrap_or_else(|error| panic!("{missing:b}: {error}"));
        assert_eq!(found, records[..complete], "{missing:b}");
        assert_eq!(log.cut().is_some(), first_wrong.is_some(), "{missing:b}");
    }
}

#[test]
fn a_group_that_was_synced_must_have_all_its_sectors() {
    let (file, _, ends) = file_with_group(&[vec![6; 20]]);
    let (begin, end) = (ends[1], ends[4]);
    let sectors = end.div_ceil(SECTOR_BYTES) - begin / SECTOR_BYTES;
    for missing in 1..1_u32 << sectors {
        let torn = without_sectors(&file, begin, end, missing);
        let refused = open(&disk_with(&torn));
        assert!(matches!(refused, Err(VoteLogError::Damaged { .. })), "{missing:b}");
    }
}

#[test]
fn a_flip_of_any_bit_of_the_log_is_refused() {
    let file = file_of(&contents());
    for position in 0..file.len() {
        for bit in 0..8 {
            let mut flipped = file.clone();
            flipped[position] ^= 1 << bit;
            let refused = open(&disk_with(&flipped));
            let is_expected =
                matches!(refused, Err(VoteLogError::Damaged { .. } | VoteLogError::Foreign { .. }));
            assert!(is_expected, "a flip at {position}.{bit} went unnoticed");
        }
    }
}

/// The one flip that cannot be told from an end that was never written: of the last bit behind the last
/// boundary of a sector, in the last record.
#[test]
fn a_flip_that_leaves_only_zeros_behind_a_sector_boundary_cuts_the_last_record() {
    let length = SECTOR_BYTES + 1 - HEADER_BYTES - RECORD_OVERHEAD - RECORD_OVERHEAD;
    let with_one_bit = (0_u64..10_000).find_map(|nonce| {
        let mut last = vec![0; length];
        last[..8].copy_from_slice(&nonce.to_le_bytes());
        let file = file_of(&[Vec::new(), last]);
        (file[SECTOR_BYTES].count_ones() == 1).then_some(file)
    });
    let mut file = with_one_bit.unwrap();
    assert_eq!(file.len(), SECTOR_BYTES + 1);
    file[SECTOR_BYTES] = 0;
    let (log, records) = open(&disk_with(&file)).unwrap();
    assert_eq!(records, [Vec::<u8>::new()]);
    assert_eq!(log.cut().map(|cut| cut.offset), Some(HEADER_BYTES + RECORD_OVERHEAD));
}

#[test]
fn a_flip_of_any_bit_of_the_marker_never_forgets_silently() {
    let disk = disk_with(&file_of(&contents()));
    let marker = disk.get(Folder::Marker, MARKER);
    for position in 0..marker.len() {
        for bit in 0..8 {
            let disk = Disk::new(disk.state().clone());
            let mut flipped = marker.clone();
            flipped[position] ^= 1 << bit;
            disk.put(Folder::Marker, MARKER, &flipped);
            match open(&disk) {
                Ok((log, records)) => assert!(log.lost().is_some() || records == contents()),
                Err(refused) => assert!(matches!(refused, VoteLogError::Damaged { .. }), "{refused}"),
            }
        }
    }
}

#[test]
fn a_missing_record_is_refused() {
    let (file, ends) = (file_of(&contents()), ends_of(&contents()));
    let without_second = [&file[..ends[0]], &file[ends[1]..]].concat();
    assert!(matches!(open(&disk_with(&without_second)), Err(VoteLogError::Damaged { .. })));
}

#[test]
fn a_record_of_another_log_is_refused() {
    let file = file_of(&contents());
    let mut others = contents();
    others[1] = vec![8];
    let (other, ends) = (file_of(&others), (ends_of(&contents()), ends_of(&others)));
    let spliced = [&file[..ends.0[1]], &other[ends.1[1]..]].concat();
    assert!(matches!(open(&disk_with(&spliced)), Err(VoteLogError::Damaged { .. })));
}
