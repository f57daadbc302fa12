//! Makes a failing run smaller: turns off one thing after the other while it still fails in the same way.
use crate::campaign::Task;
use crate::founding::Workshop;
use crate::options::Options;
use crate::run::Report;

/// Most runs that are tried.
const TRIES_MAX: usize = 200;

type Change = fn(&mut Options);

/// What can be turned off, the most telling first.
const CHANGES: &[Change] = &[
    |o| o.puppets.clear(),
    |o| o.observers = 0,
    |o| o.governing_mean_ms = 0,
    |o| o.epoch_length = 0,
    |o| o.faults.wrong_clocks_max = 0,
    |o| (o.faults.skew_ms_max, o.faults.drift_permille_max) = (0, 0),
    |o| o.faults.amnesia_max = 0,
    |o| o.faults.ledger_rollback_permille = 0,
    |o| o.faults.ledger_loss_permille = 0,
    |o| o.faults.pause_mean_ms = 0,
    |o| o.faults.power_mean_ms = 0,
    |o| o.faults.crash_mean_ms = 0,
    |o| (o.disk.sync_failure_mean_ms, o.disk.full_mean_ms) = (0, 0),
    |o| o.disk.sync_us = (0, 0),
    |o| o.disk.power_permille = 0,
    |o| o.network.partition_mean_ms = 0,
    |o| o.network.clog_mean_ms = 0,
    |o| o.network.link_packets_max = 0,
    |o| o.network.loss_permille = 0,
    |o| o.network.duplicate_permille = 0,
    |o| o.network.reorder_permille = 0,
    |o| o.network.corrupt_permille = 0,
    |o| (o.clients.variety_permille, o.clients.wrong_permille) = (0, 0),
    |o| (o.clients.ambiguous_permille, o.clients.replay_permille) = (0, 0),
    |o| o.clients.clients = 1,
    |o| o.clients.burst_max = 1,
    |o| o.validators = o.validators.saturating_sub(1).max(1),
    |o| o.heights = (o.heights / 2).max(1),
    |o| o.faulty_ms_max = (o.faulty_ms_max / 2).max(1_000),
];

/// A smaller run that breaks the same promise, with its report; the run itself if there is none.
#[must_use]
pub fn shrink(task: &Task, report: Report, workshop: &Workshop) -> (Task, Report) {
    let Task::Network(options) = task else { return (task.clone(), report) };
    let property = report.violation.as_ref().map(|found| found.property);
    let (mut best, mut found) = ((**options).clone(), report);
    let mut tries = 0;
    loop {
        let mut is_smaller = false;
        for change in CHANGES {
            let mut candidate = best.clone();
            change(&mut candidate);
            if candidate == best || tries >= TRIES_MAX {
                continue;
            }
            tries += 1;
            let report = Task::Network(Box::new(candidate.clone())).run(workshop, None);
            if property.is_some() && report.violation.as_ref().map(|found| found.property) == property {
                (best, found) = (candidate, report);
                is_smaller = true;
            }
        }
        if !is_smaller || tries >= TRIES_MAX {
            return (Task::Network(Box::new(best)), found);
        }
    }
}
