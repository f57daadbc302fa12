//! Short campaigns, and what a campaign owes whoever runs it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
use quorate_simulator::bundle::Bundle;
use quorate_simulator::campaign::{self, Plan, Task};
use quorate_simulator::coverage::Marks;
use quorate_simulator::every_call;
use quorate_simulator::founding::Workshop;
use quorate_simulator::options::Profile;
use quorate_simulator::swarm::Wishes;

/// Runs seeds, all of which must pass; what they met.
fn pass(profile: Profile, first: u64, count: u64) -> Marks {
    let mut marks = Marks::new();
    let plan = Plan { first, count: Some(count), profile, wishes: Wishes::default(), jobs: 2 };
    campaign::run(plan, |task, report| {
        let found = report.violation.as_ref().map(|found| format!("{}: {}", found.property, found.detail));
        assert_eq!(found, None, "profile {profile} seed {}", task.seed());
        marks.merge(&report.marks);
        true
    });
    marks
}

#[test]
fn lite_networks_keep_every_promise_and_meet_what_they_owe() {
    let marks = pass(Profile::Lite, 1, 300);
    assert_eq!(campaign::missing(Profile::Lite, 300, &marks), Vec::<&str>::new());
}

#[test]
fn validators_that_come_and_go_keep_every_promise() {
    let marks = pass(Profile::Reconfigure, 1, 8);
    for mark in ["governance adds", "governance removes", "governance rotates a key"] {
        assert!(marks.count(mark) > 0, "{mark}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let workshop = Workshop::new();
    for profile in [Profile::Lite, Profile::Swarm, Profile::Reconfigure, Profile::Byzantine, Profile::Twins] {
        for seed in 1..=3 {
            let hash = || Task::of(seed, profile, Wishes::default()).run(&Workshop::new(), None).hash;
            let shared = Task::of(seed, profile, Wishes::default()).run(&workshop, None).hash;
            assert_eq!((hash(), shared), (shared, shared), "profile {profile} seed {seed}");
        }
    }
}

#[test]
fn another_seed_gives_another_run() {
    let hash = |seed| Task::of(seed, Profile::Lite, Wishes::default()).run(&Workshop::new(), None).hash;
    assert_ne!(hash(1), hash(2));
}

#[test]
fn a_machine_that_ends_at_any_operation_comes_back_to_the_same_chain() {
    let workshop = Workshop::new();
    let calls = every_call::count(1, &workshop);
    assert!(calls.vote_log > 100 && calls.ledger > 50, "{calls:?}");
    for point in calls.points().step_by(9) {
        assert_eq!(every_call::run(1, point, None, &workshop), Ok(()), "{point:?}");
    }
}

#[test]
fn a_campaign_that_met_nothing_is_vacuous() {
    let runs = campaign::OWING_RUNS;
    assert_eq!(campaign::missing(Profile::Lite, runs, &Marks::new()), campaign::owed(Profile::Lite));
    assert_eq!(campaign::missing(Profile::Lite, runs - 1, &Marks::new()), Vec::<&str>::new());
}

#[test]
fn a_broken_promise_is_kept_in_a_bundle_that_runs_again() {
    // A height that nobody can reach in the time is no broken promise; a quorum that is never healed is.
    let Task::Network(mut options) = Task::of(1, Profile::Lite, Wishes::default()) else {
        panic!("no network")
    };
    options.clients.accounts = 8;
    options.puppets = vec![quorate_simulator::options::Assignment {
        validator: 0,
        program: "a program that nobody wrote".to_owned(),
    }];
    let task = Task::Network(options);
    let report = task.run(&Workshop::new(), None);
    let bundle = Bundle::of(&task, &report).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let path = bundle.write(folder.path()).unwrap();
    let read = Bundle::read(&path).unwrap();
    assert_eq!(read.task, task);
    assert_eq!(read.task.run(&Workshop::new(), None).hash.to_string(), bundle.trace);
}
