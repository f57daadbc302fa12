//! A small network around the world, and what is promised of any.
use super::*;

/// The defaults of the command.
pub(super) fn options() -> WideOptions {
    WideOptions {
        rate: 200,
        warm_up_ms: 500,
        window_ms: 3_000,
        bandwidth_mbit: 1_000,
        jitter_permille: 10,
        mesh: 6,
        verify_us: 20,
        vote_us: 50,
        execute_us: 25,
        commit_us: 10,
    }
}

/// Seven validators, a little load and three seconds.
pub(super) fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        validators: 7,
        sync_us: 1_000,
        timeout_min_ms: 600,
        min_interval_ms: 50,
        bundle_interval_ms: 10,
        wide: options(),
    }
}

/// What a run shows that no checker objects to.
pub(super) fn measured(plan: &Plan) -> Report {
    run(plan, |_, _| ()).unwrap()
}

#[test]
fn everything_handed_in_becomes_final() {
    let report = measured(&plan(1));
    assert_eq!((report.unfinished, report.views_nullified), (0, 0), "{report}");
}

#[test]
fn the_rate_that_was_asked_for_is_offered_and_becomes_final() {
    let report = measured(&plan(2));
    assert_eq!(report.offered_per_second, 200);
    assert!((180..=220).contains(&report.final_per_second), "{report}");
}

#[test]
fn the_same_seed_gives_the_same_report() {
    assert_eq!(measured(&plan(3)), measured(&plan(3)));
}

#[test]
fn another_seed_gives_another_run() {
    assert_ne!(measured(&plan(3)).hash, measured(&plan(4)).hash);
}

#[test]
fn nothing_is_final_sooner_than_the_ways_allow() {
    let report = measured(&plan(5));
    // The mean of the leaders is the floor; this one is a median, and never far below.
    assert!(report.propose_to_middle.p50_us > report.floor_us * 9 / 10, "{report}");
    assert!(report.submit_to_middle.p50_us > report.propose_to_middle.p50_us, "{report}");
}

#[test]
fn narrow_lines_make_finality_later() {
    let mut narrow = plan(6);
    narrow.wide.bandwidth_mbit = 5;
    let (narrow, broad) = (measured(&narrow), measured(&plan(6)));
    assert!(narrow.submit_to_middle.p50_us > broad.submit_to_middle.p50_us, "{narrow}\n{broad}");
}

#[test]
fn slow_machines_make_finality_later() {
    let mut slow = plan(7);
    slow.wide.execute_us = 1_500;
    let (slow, fast) = (measured(&slow), measured(&plan(7)));
    assert!(slow.submit_to_middle.p50_us > fast.submit_to_middle.p50_us, "{slow}\n{fast}");
}
