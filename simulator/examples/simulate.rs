//! Runs seeds: `simulate PROFILE FIRST COUNT`.
use quorate_simulator::founding::Workshop;
use quorate_simulator::options::Profile;
use quorate_simulator::{byzantine, run, swarm};
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let profile: Profile = arguments[1].parse().unwrap();
    let first: u64 = arguments[2].parse().unwrap();
    let count: u64 = arguments[3].parse().unwrap();
    let verbose = arguments.len() > 4;
    let workshop = Workshop::new();
    let begun = std::time::Instant::now();
    let mut marks = quorate_simulator::coverage::Marks::new();
    let mut failed = 0;
    for seed in first..first + count {
        let options = swarm::draw(seed, profile, swarm::Wishes::default());
        let report = run::run(options, &workshop, &byzantine::repertoire(), None);
        marks.merge(&report.marks);
        if verbose || !report.is_passed() {
            println!(
                "seed {seed} height {} events {} ms {} req {} p50 {} p99 {} heal {:?} {} {:?}",
                report.height,
                report.events,
                report.virtual_ms,
                report.requests,
                report.finality_p50_ms,
                report.finality_p99_ms,
                report.healing_ms,
                report.hash,
                report.violation
            );
        }
        if !report.is_passed() {
            failed += 1;
            for line in &report.nodes {
                println!("  {line}");
            }
            if count == 1 {
                for line in &report.last {
                    println!("  {line}");
                }
            }
        }
    }
    println!(
        "{count} seeds, {failed} failed, {:?}, {:.0} a minute",
        begun.elapsed(),
        count as f64 * 60.0 / begun.elapsed().as_secs_f64()
    );
    for (mark, n) in marks.iter() {
        println!("  {n:8} {mark}");
    }
}
