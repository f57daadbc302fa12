//! Lives of a vote log: scripts, what must be remembered after them, and every way to interrupt them.
use std::collections::{BTreeMap, BTreeSet};

use quorate_primitives::{Hash, PublicKey};
use quorate_replica::vote_log::{Folder, Identity, Loss, VoteLog, VoteLogError};

use crate::disk::{Bytes, Disk, Names, Outcome, PARTS, Part, State, Trouble};

pub(crate) type Record = Vec<u8>;

pub(crate) fn identity() -> Identity {
    Identity { chain: Hash::from_bytes([7; 32]), key: PublicKey::from_bytes([9; 32]) }
}

/// The records with which a lost log begins.
pub(crate) fn after_loss() -> [Record; 2] {
    [b"lost".to_vec(), vec![0; 600]]
}

/// Opens the log and returns it with the records that it restored.
pub(crate) fn open(disk: &Disk) -> Result<(VoteLog<Disk>, Vec<Record>), VoteLogError> {
    let mut records = Vec::new();
    let log = VoteLog::open(disk.clone(), identity(), &after_loss(), |bytes| {
        records.push(bytes.to_vec());
        Ok(())
    })?;
    Ok((log, records))
}

pub(crate) enum Step {
    Open,
    Append(Vec<Record>),
    Replace(Vec<Record>),
}

/// A record of some length that differs from the others.
fn record(name: u8, length: usize) -> Record {
    (0..length).map(|position| name ^ u8::try_from(position % 251).unwrap()).collect()
}

/// All that a log goes through, with records that are empty, short, and longer than a sector.
pub(crate) fn long_script() -> Vec<Step> {
    vec![
        Step::Open,
        Step::Append(vec![record(1, 3)]),
        Step::Append(vec![record(2, 700), Vec::new(), record(3, 40)]),
        Step::Append(vec![record(4, 900)]),
        Step::Replace(vec![record(5, 20), record(6, 600)]),
        Step::Append(vec![record(7, 9)]),
        Step::Append(vec![vec![0; 1_200], record(8, 1)]),
        Step::Replace(Vec::new()),
        Step::Append(vec![record(9, 100)]),
        Step::Open,
        Step::Append(vec![record(10, 500), record(11, 500)]),
        Step::Open,
        Step::Replace(vec![record(12, 30)]),
        Step::Append(vec![record(13, 1)]),
    ]
}

/// One of each operation.
pub(crate) fn short_script() -> Vec<Step> {
    vec![
        Step::Open,
        Step::Append(vec![record(1, 3), record(2, 700)]),
        Step::Replace(vec![record(3, 20)]),
        Step::Append(vec![record(4, 9)]),
    ]
}

/// What a process does first.
pub(crate) fn recovery() -> Vec<Step> {
    vec![Step::Open, Step::Append(vec![record(14, 5)])]
}

/// What was tried when the log was interrupted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Attempt {
    Nothing,
    Append(Vec<Record>),
    Replace(Vec<Record>),
}

/// The files of the log by name.
pub(crate) type Copied = BTreeMap<String, Vec<u8>>;

/// A disk after the whole long script, and copies of the log's folder after each of its steps.
pub(crate) fn lived() -> (Disk, Vec<Copied>) {
    let disk = Disk::default();
    let script = long_script();
    let copies = (1..=script.len()).map(|length| {
        let disk = Disk::default();
        assert!(live(&disk, &script[..length], &mut Memory::empty()));
        disk.copy(Folder::Log)
    });
    let copies = copies.collect();
    assert!(live(&disk, &script, &mut Memory::empty()));
    (Disk::new(disk.restarted()), copies)
}

/// What a log must remember.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Memory {
    /// The records of all that was reported as done.
    certain: Vec<Record>,
    attempt: Attempt,
    /// What may be reported: how the log was lost before.
    loss: Option<String>,
}

impl Memory {
    pub(crate) fn empty() -> Self {
        Self { certain: Vec::new(), attempt: Attempt::Nothing, loss: None }
    }

    /// Of a log that was lost: what is left is that this is so.
    pub(crate) fn of_loss(loss: Loss) -> Self {
        Self { certain: after_loss().to_vec(), attempt: Attempt::Nothing, loss: Some(loss.to_string()) }
    }

    fn permits(&self, found: &[Record]) -> bool {
        match &self.attempt {
            Attempt::Nothing => found == self.certain,
            Attempt::Append(group) => {
                found.strip_prefix(self.certain.as_slice()).is_some_and(|more| group.starts_with(more))
            }
            Attempt::Replace(records) => found == self.certain || found == records,
        }
    }

    /// A log was opened.
    fn check(&mut self, log: &VoteLog<Disk>, found: Vec<Record>) {
        assert!(self.permits(&found), "{} records found, {self:?} expected", found.len());
        let reported = log.lost().map(|loss| loss.to_string());
        assert!(
            reported.is_none() || reported == self.loss,
            "{reported:?} reported, {:?} expected",
            self.loss
        );
        *self = Self { certain: found, attempt: Attempt::Nothing, loss: None };
    }
}

/// Goes through the steps until an operation fails. `true` when none did.
fn live(disk: &Disk, script: &[Step], memory: &mut Memory) -> bool {
    let mut open_log = None;
    for step in script {
        match step {
            Step::Open => {
                drop(open_log.take());
                match open(disk) {
                    Ok((log, found)) => {
                        memory.check(&log, found);
                        open_log = Some(log);
                    }
                    Err(error) => return assert_reported(&error),
                }
            }
            Step::Append(group) => {
                let log = open_log.as_mut().unwrap();
                memory.attempt = Attempt::Append(group.clone());
                if let Err(error) = log.append(group) {
                    assert_poisoned(log, disk);
                    return assert_reported(&error);
                }
                memory.certain.extend(group.iter().cloned());
                memory.attempt = Attempt::Nothing;
            }
            Step::Replace(records) => {
                let log = open_log.as_mut().unwrap();
                memory.attempt = Attempt::Replace(records.clone());
                if let Err(error) = log.replace(records) {
                    assert_poisoned(log, disk);
                    return assert_reported(&error);
                }
                *memory = Memory { certain: records.clone(), ..Memory::empty() };
            }
        }
    }
    true
}

/// Nothing but the planned trouble is in the way.
fn assert_reported(error: &VoteLogError) -> bool {
    assert!(matches!(error, VoteLogError::Io { .. }), "{error}");
    false
}

/// After a failure nothing more reaches the disk.
fn assert_poisoned(log: &mut VoteLog<Disk>, disk: &Disk) {
    let calls = disk.calls();
    assert!(matches!(log.append(&[vec![1]]), Err(VoteLogError::Poisoned)));
    assert!(matches!(log.append(&[]), Err(VoteLogError::Poisoned)));
    assert!(matches!(log.replace(&[vec![2]]), Err(VoteLogError::Poisoned)));
    assert_eq!(disk.calls(), calls);
}

/// Disks as a process may find them, and what it must find there.
pub(crate) type Worlds = BTreeSet<(State, Memory)>;

/// A machine on which nothing has happened.
pub(crate) fn beginning() -> Worlds {
    BTreeSet::from([(State::default(), Memory::empty())])
}

/// All that may be left when the script meets trouble at any operation, or none: with the power on, so
/// that all is there that was written, or after a power failure with any outcome.
pub(crate) fn interrupted(from: &Worlds, script: &[Step], trouble: fn(Part) -> Trouble) -> Worlds {
    let mut left = Worlds::new();
    for (state, memory) in from {
        for call in 1.. {
            let mut is_complete = false;
            for part in PARTS {
                let (disk, mut memory) = (Disk::new(state.clone()), memory.clone());
                disk.plan(call, trouble(part));
                is_complete = live(&disk, script, &mut memory);
                left.insert((disk.restarted(), memory.clone()));
                left.extend(disk.after_power_failures().into_iter().map(|state| (state, memory.clone())));
            }
            if is_complete {
                break;
            }
        }
    }
    left
}

/// Every log opens with what it must remember, and what it restored survives a power failure.
pub(crate) fn assert_all_recover(worlds: &Worlds) {
    for (state, memory) in worlds {
        let (disk, mut memory) = (Disk::new(state.clone()), memory.clone());
        assert!(live(&disk, &recovery(), &mut memory));
        let old = Outcome { names: Names::Old, bytes: Bytes::Old };
        let disk = Disk::new(disk.after_power_failure(old));
        assert!(live(&disk, &[Step::Open], &mut memory));
    }
}
