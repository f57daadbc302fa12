//! The log is lost, or an old copy is put in its place.
use quorate_primitives::{Hash, PublicKey};
use quorate_replica::vote_log::{Folder, Identity, Loss, RECORD_BYTES_MAX, VoteLog, VoteLogError};

use crate::disk::{Disk, Trouble};
use crate::life::{
    Copied, Memory, Worlds, after_loss, assert_all_recover, identity, interrupted, lived, open, recovery,
};

/// Replaces the log's folder.
fn put_back(disk: &Disk, copy: &Copied) {
    disk.wipe(Folder::Log);
    for (name, bytes) in copy {
        disk.put(Folder::Log, name, bytes);
    }
}

/// Disks on which a log was lost in every way, and how.
fn losses() -> Vec<(Disk, Loss)> {
    let (whole, copies) = lived();
    let latest = whole.copy(Folder::Log);
    let fork = || Disk::new(whole.state().clone());
    let wiped = fork();
    wiped.wipe(Folder::Log);
    let mut losses = vec![(wiped, Loss::Gone)];
    for copy in copies.iter().filter(|copy| copy.keys().ne(latest.keys())) {
        let replaced = fork();
        put_back(&replaced, copy);
        losses.push((replaced, Loss::Outdated));
    }
    let every = fork();
    copies.iter().flatten().for_each(|(name, bytes)| every.put(Folder::Log, name, bytes));
    latest.keys().for_each(|name| every.take(Folder::Log, name));
    losses.push((every, Loss::Outdated));
    losses
}

fn worlds(losses: &[(Disk, Loss)]) -> Worlds {
    losses.iter().map(|(disk, loss)| (disk.restarted(), Memory::of_loss(*loss))).collect()
}

#[test]
fn a_lost_log_and_an_old_copy_are_noticed() {
    for (disk, loss) in losses() {
        assert_eq!(open(&disk).unwrap().0.lost(), Some(loss));
    }
}

#[test]
fn a_copy_from_before_the_last_start_is_noticed() {
    let (disk, _) = lived();
    let copy = disk.copy(Folder::Log);
    let (mut log, _) = open(&disk).unwrap();
    log.append(&[vec![1]]).unwrap();
    put_back(&disk, &copy);
    assert_eq!(open(&disk).unwrap().0.lost(), Some(Loss::Outdated));
}

#[test]
fn a_log_without_its_newest_file_is_lost() {
    let (disk, _) = lived();
    let names = disk.names(Folder::Log);
    disk.take(Folder::Log, names.last().unwrap());
    assert_eq!(open(&disk).unwrap().0.lost(), Some(Loss::Gone));
}

#[test]
fn after_a_loss_the_log_begins_with_the_records_for_it() {
    for (disk, _) in losses() {
        assert_eq!(open(&disk).unwrap().1, after_loss());
    }
}

#[test]
fn after_a_loss_the_numbers_of_the_files_go_on() {
    for (disk, _) in losses() {
        open(&disk).unwrap();
        assert_eq!(disk.names(Folder::Log), ["0000000007.log"]);
    }
}

#[test]
fn a_loss_is_reported_once_and_its_records_stay() {
    for (disk, _) in losses() {
        open(&disk).unwrap().0.append(&[vec![1]]).unwrap();
        let (log, records) = open(&disk).unwrap();
        assert_eq!((log.lost(), records), (None, [after_loss().as_slice(), &[vec![1]]].concat()));
    }
}

#[test]
fn a_crash_while_a_lost_log_begins_anew_never_makes_it_look_new() {
    let left = interrupted(&worlds(&losses()), &recovery(), Trouble::End);
    println!("{} disks", left.len());
    assert_all_recover(&left);
}

#[test]
fn two_crashes_while_a_lost_log_begins_anew_never_make_it_look_new() {
    // No file at all is left, or several old ones.
    let (mut losses, every) = (losses(), losses().pop());
    losses.truncate(1);
    losses.extend(every);
    let left = interrupted(&worlds(&losses), &recovery(), Trouble::End);
    let left_again = interrupted(&left, &recovery(), Trouble::End);
    println!("{} disks, then {}", left.len(), left_again.len());
    assert_all_recover(&left_again);
}

#[test]
fn a_failed_operation_while_a_lost_log_begins_anew_never_makes_it_look_new() {
    let left = interrupted(&worlds(&losses()), &recovery(), Trouble::Error);
    println!("{} disks", left.len());
    assert_all_recover(&left);
}

#[test]
fn a_refused_record_for_a_loss_changes_nothing() {
    for (disk, _) in losses() {
        let refused = VoteLog::open(disk.clone(), identity(), &after_loss(), |_| Err("no record"));
        assert!(matches!(refused.unwrap_err(), VoteLogError::Damaged { .. }));
        assert_eq!(disk.changes(), 0);
    }
}

#[test]
fn a_record_for_a_loss_of_impossible_length_is_refused_before_there_is_one() {
    let (disk, _) = lived();
    let refused = VoteLog::open(disk.clone(), identity(), &[vec![0; RECORD_BYTES_MAX + 1]], |_| Ok(()));
    assert!(matches!(refused.unwrap_err(), VoteLogError::TooLong { .. }));
    assert_eq!(disk.changes(), 0);
}

#[test]
fn the_log_of_another_validator_is_not_taken_for_an_old_copy() {
    let (disk, _) = lived();
    let other = Identity { chain: Hash::from_bytes([7; 32]), key: PublicKey::from_bytes([8; 32]) };
    let theirs = Disk::default();
    VoteLog::open(theirs.clone(), other, &[], |_| Ok(())).unwrap();
    put_back(&disk, &theirs.copy(Folder::Log));
    assert!(matches!(open(&disk), Err(VoteLogError::Foreign { found, .. }) if found == other));
    assert_eq!(disk.changes(), 0);
}
