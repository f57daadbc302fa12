//! The vote log on a real file system; what the log itself promises is tested beside it.
use std::fs;
use std::path::{Path, PathBuf};

use quorate_node::io::journal::{FolderLock, Journal, JournalConfig, JournalError, RealFiles};
use quorate_primitives::{Hash, PublicKey};
use quorate_replica::vote_log::{Files, Folder, Identity, Loss, VoteLog, VoteLogError};
use tempfile::TempDir;

fn config(home: &Path) -> JournalConfig {
    JournalConfig { folder: home.join("data/votes"), marker_folder: home.join("keys") }
}

fn files(home: &Path) -> RealFiles {
    RealFiles::new(config(home)).unwrap()
}

/// Opens the log and returns it with the records that it restored.
fn open(home: &Path) -> Result<(Journal, Vec<Vec<u8>>), VoteLogError> {
    let identity = Identity { chain: Hash::from_bytes([7; 32]), key: PublicKey::from_bytes([9; 32]) };
    let mut records = Vec::new();
    let journal = VoteLog::open(files(home), identity, &[b"lost".to_vec()], |bytes| {
        records.push(bytes.to_vec());
        Ok(())
    })?;
    Ok((journal, records))
}

fn file(home: &Path, number: u64) -> PathBuf {
    home.join(format!("data/votes/{number:010}.log"))
}

/// A log of two records in its first file.
fn written() -> TempDir {
    let home = TempDir::new().unwrap();
    let (mut journal, _) = open(home.path()).unwrap();
    journal.append(&[b"first".to_vec()]).unwrap();
    journal.append(&[b"second".to_vec()]).unwrap();
    home
}

#[test]
fn a_second_process_cannot_use_the_folder() {
    let home = TempDir::new().unwrap();
    let lock = FolderLock::acquire(home.path()).unwrap();
    assert!(matches!(FolderLock::acquire(home.path()), Err(JournalError::Locked { .. })));
    drop(lock);
    FolderLock::acquire(home.path()).unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_is_reported() {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("data"), b"not a folder").unwrap();
    let refused = RealFiles::new(config(home.path())).unwrap_err();
    assert!(matches!(refused, JournalError::Folder { action: "create", .. }), "{refused}");
}

#[test]
fn goes_on_after_reopening() {
    let home = written();
    open(home.path()).unwrap().0.append(&[b"third".to_vec()]).unwrap();
    assert_eq!(open(home.path()).unwrap().1, [&b"first"[..], b"second", b"third"]);
}

#[test]
fn goes_on_after_replacing() {
    let home = written();
    let (mut journal, _) = open(home.path()).unwrap();
    journal.replace(&[b"both".to_vec()]).unwrap();
    journal.append(&[b"third".to_vec()]).unwrap();
    journal.append(&[b"fourth".to_vec()]).unwrap();
    assert_eq!(open(home.path()).unwrap().1, [&b"both"[..], b"third", b"fourth"]);
}

#[test]
fn only_the_newest_file_stays() {
    let home = written();
    open(home.path()).unwrap().0.replace(&[]).unwrap();
    let names = fs::read_dir(home.path().join("data/votes")).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(names.collect::<Vec<_>>(), [file(home.path(), 3)]);
}

#[test]
fn an_unfinished_record_is_cut() {
    let home = written();
    let bytes = fs::read(file(home.path(), 1)).unwrap();
    fs::write(file(home.path(), 1), &bytes[..bytes.len() - 1]).unwrap();
    let (journal, records) = open(home.path()).unwrap();
    assert_eq!(records, [b"first"]);
    assert_eq!(journal.cut().unwrap().path, file(home.path(), 1));
}

#[test]
fn a_lost_folder_is_noticed() {
    let home = written();
    fs::remove_dir_all(home.path().join("data")).unwrap();
    let (journal, records) = open(home.path()).unwrap();
    assert_eq!((journal.lost(), records), (Some(Loss::Gone), vec![b"lost".to_vec()]));
}

#[test]
fn an_old_copy_in_place_of_the_log_is_noticed() {
    let home = written();
    let copy = fs::read(file(home.path(), 1)).unwrap();
    drop(open(home.path()).unwrap());
    fs::remove_file(file(home.path(), 2)).unwrap();
    fs::write(file(home.path(), 1), copy).unwrap();
    let (journal, records) = open(home.path()).unwrap();
    assert_eq!((journal.lost(), records), (Some(Loss::Outdated), vec![b"lost".to_vec()]));
}

#[test]
fn a_log_that_could_not_be_written_is_never_written_again() {
    let home = written();
    let (mut journal, _) = open(home.path()).unwrap();
    let (log, kept) = (file(home.path(), 2), home.path().join("kept"));
    fs::rename(&log, &kept).unwrap();
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let refused = journal.append(&[b"third".to_vec()]).unwrap_err();
    assert!(matches!(refused, VoteLogError::Io { action: "write", .. }), "{refused}");
    fs::rename(&kept, &log).unwrap();
    assert!(matches!(journal.append(&[b"third".to_vec()]), Err(VoteLogError::Poisoned)));
    assert!(matches!(journal.replace(&[b"third".to_vec()]), Err(VoteLogError::Poisoned)));
    assert_eq!(open(home.path()).unwrap().1, [&b"first"[..], b"second"]);
}

#[test]
fn a_file_that_is_not_there_has_no_content() {
    let home = TempDir::new().unwrap();
    assert_eq!(files(home.path()).read(Folder::Log, "none").unwrap(), None);
}

#[test]
fn every_write_goes_to_the_end_of_the_named_file() {
    let home = TempDir::new().unwrap();
    let mut files = files(home.path());
    files.create(Folder::Log, "a", b"12").unwrap();
    files.append(Folder::Log, "a", b"34").unwrap();
    files.create(Folder::Marker, "a", b"x").unwrap();
    files.append(Folder::Log, "a", b"56").unwrap();
    files.sync(Folder::Log, "a").unwrap();
    files.truncate(Folder::Log, "a", 5).unwrap();
    files.append(Folder::Log, "a", b"7").unwrap();
    files.sync(Folder::Log, "a").unwrap();
    assert_eq!(files.read(Folder::Log, "a").unwrap().unwrap(), b"123457");
    assert_eq!(files.read(Folder::Marker, "a").unwrap().unwrap(), b"x");
}

#[test]
fn creating_empties_a_file() {
    let home = TempDir::new().unwrap();
    let mut files = files(home.path());
    files.create(Folder::Log, "a", b"123").unwrap();
    files.create(Folder::Log, "a", b"4").unwrap();
    assert_eq!(files.read(Folder::Log, "a").unwrap().unwrap(), b"4");
}

#[test]
fn a_write_after_renaming_goes_to_the_renamed_file() {
    let home = TempDir::new().unwrap();
    let mut files = files(home.path());
    files.create(Folder::Log, "old", b"old").unwrap();
    files.create(Folder::Log, "new", b"1").unwrap();
    files.rename(Folder::Log, "new", "old").unwrap();
    files.append(Folder::Log, "old", b"2").unwrap();
    files.sync_folder(Folder::Log).unwrap();
    assert_eq!(files.list(Folder::Log).unwrap(), ["old"]);
    assert_eq!(files.read(Folder::Log, "old").unwrap().unwrap(), b"12");
}

#[test]
fn a_file_whose_name_another_one_took_is_written_no_more() {
    let home = TempDir::new().unwrap();
    let mut files = files(home.path());
    files.create(Folder::Log, "new", b"1").unwrap();
    files.create(Folder::Log, "old", b"old").unwrap();
    files.rename(Folder::Log, "new", "old").unwrap();
    files.append(Folder::Log, "old", b"2").unwrap();
    assert_eq!(files.read(Folder::Log, "old").unwrap().unwrap(), b"12");
}

#[test]
fn a_removed_file_is_gone_for_writers_too() {
    let home = TempDir::new().unwrap();
    let mut files = files(home.path());
    files.create(Folder::Log, "a", b"1").unwrap();
    files.remove(Folder::Log, "a").unwrap();
    assert!(files.append(Folder::Log, "a", b"2").is_err());
    assert!(files.list(Folder::Log).unwrap().is_empty());
}
