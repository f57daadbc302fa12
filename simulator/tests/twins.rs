//! What a validator that runs twice cannot do to the others.
use quorate_simulator::coverage::Marks;
use quorate_simulator::founding::Workshop;
use quorate_simulator::twins::{self, Case, Mode, Shape};

/// Cases of the sample.
const SAMPLE: u64 = 500;

#[test]
fn one_validator_that_runs_twice_neither_splits_nor_stops_the_chain() {
    let workshop = Workshop::new();
    let mut marks = Marks::new();
    for seed in 0..SAMPLE {
        let case = Case::sample(Shape::SMALL, 2, seed);
        let report = twins::run(&case, &workshop);
        assert!(report.is_passed(), "{case}: {:?}", report.violation);
        marks.merge(&report.marks);
    }
    let missing = marks.missing(&twins::MARKS);
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn longer_scripts_are_survived_too() {
    let workshop = Workshop::new();
    for seed in 0..60 {
        let case = Case::sample(Shape::SMALL, 4, seed);
        let report = twins::run(&case, &workshop);
        assert!(report.is_passed(), "{case}: {:?}", report.violation);
    }
}

#[test]
fn two_of_seven_that_run_twice_are_survived() {
    let workshop = Workshop::new();
    for seed in 0..30 {
        let case = Case::sample(Shape { validators: 7, twins: 2 }, 3, seed);
        let report = twins::run(&case, &workshop);
        assert!(report.is_passed(), "{case}: {:?}", report.violation);
    }
}

#[test]
fn two_of_four_that_run_twice_split_the_chain_and_that_is_found() {
    let workshop = Workshop::new();
    let shape = Shape { validators: 4, twins: 2 };
    let found = (0..200).find_map(|seed| {
        let case = Case::sample(shape, 2, seed);
        let violation = twins::run(&case, &workshop).violation?;
        (violation.property == "agreement" || violation.property == "certificates").then_some(violation)
    });
    assert!(found.is_some(), "no fork was found, although more than f validators run twice");
}

#[test]
fn a_case_runs_the_same_each_time() {
    for mode in Mode::ALL {
        let hash = || twins::run(&Case::new(Shape::SMALL, mode, 2, 12_345), &Workshop::new()).hash;
        assert_eq!(hash(), hash());
    }
}
