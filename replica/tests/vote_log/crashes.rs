//! The process, the power or the disk fails at every operation.
use quorate_replica::vote_log::{Folder, Loss};

use crate::disk::{Disk, Trouble};
use crate::life::{assert_all_recover, beginning, interrupted, long_script, open, recovery, short_script};

#[test]
fn a_crash_at_any_operation_loses_nothing_that_was_appended() {
    let left = interrupted(&beginning(), &long_script(), Trouble::End);
    println!("{} disks", left.len());
    assert_all_recover(&left);
}

#[test]
fn a_second_crash_at_any_operation_of_the_recovery_loses_nothing() {
    let left = interrupted(&beginning(), &short_script(), Trouble::End);
    let left_again = interrupted(&left, &recovery(), Trouble::End);
    println!("{} disks, then {}", left.len(), left_again.len());
    assert_all_recover(&left_again);
}

#[test]
fn a_failed_operation_ends_the_log_and_loses_nothing() {
    let left = interrupted(&beginning(), &long_script(), Trouble::Error);
    println!("{} disks", left.len());
    assert_all_recover(&left);
}

#[test]
fn a_crash_at_any_operation_of_the_recovery_from_a_failed_one_loses_nothing() {
    let left = interrupted(&beginning(), &short_script(), Trouble::Error);
    let left_again = interrupted(&left, &recovery(), Trouble::End);
    println!("{} disks, then {}", left.len(), left_again.len());
    assert_all_recover(&left_again);
}

#[test]
fn no_record_is_ever_in_a_log_whose_loss_would_go_unnoticed() {
    for trouble in [Trouble::End, Trouble::Error] {
        for (state, _) in interrupted(&beginning(), &long_script(), trouble) {
            let (_, records) = open(&Disk::new(state.clone())).unwrap();
            if !records.is_empty() {
                let disk = Disk::new(state);
                disk.wipe(Folder::Log);
                assert_eq!(open(&disk).unwrap().0.lost(), Some(Loss::Gone));
            }
        }
    }
}
