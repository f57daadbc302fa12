//! Runs cases: `twins FIRST COUNT`.
use quorate_simulator::coverage::Marks;
use quorate_simulator::founding::Workshop;
use quorate_simulator::twins::{self, Case, Shape};
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let first: u64 = arguments[1].parse().unwrap();
    let count: u64 = arguments[2].parse().unwrap();
    let rounds: u32 = arguments.get(3).map_or(2, |text| text.parse().unwrap());
    let shape = match arguments.get(4) {
        Some(text) => {
            let (validators, twins) = text.split_once('/').unwrap();
            Shape { validators: validators.parse().unwrap(), twins: twins.parse().unwrap() }
        }
        None => Shape::SMALL,
    };
    let workshop = Workshop::new();
    let mut marks = Marks::new();
    let (mut failed, mut events, mut longest) = (0, 0, 0);
    for seed in first..first + count {
        let case = Case::sample(shape, rounds, seed);
        let report = twins::run(&case, &workshop);
        marks.merge(&report.marks);
        events += report.events;
        longest = longest.max(report.healing_ms.map_or(0, |(took, _)| took));
        if !report.is_passed() {
            failed += 1;
            println!("seed {seed} {case}: {:?}", report.violation);
            report.nodes.iter().for_each(|line| println!("  {line}"));
        }
        if count == 1 {
            report.last.iter().for_each(|line| println!("  {line}"));
        }
    }
    println!("{count} cases, {failed} failed, {events} events, longest recovery {longest} ms");
    for (mark, n) in marks.iter() {
        println!("  {n:8} {mark}");
    }
}
