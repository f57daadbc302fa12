//! Ends a machine at every operation on its disks: `every_call [SEED [EVERY [SECOND]]]`.
//!
//! `EVERY` takes one point of so many (1: all); `SECOND` is the number of points after which a second crash
//! follows at every operation of the recovery.
use quorate_simulator::every_call::{Point, count, run, second_points};
use quorate_simulator::founding::Workshop;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let seed = arguments.next().unwrap_or(1);
    let every = arguments.next().unwrap_or(1).max(1);
    let second = usize::try_from(arguments.next().unwrap_or(200)).expect("a small number");
    let calls = count(seed, &Workshop::new());
    let points: Vec<Point> = calls.points().collect();
    let step = usize::try_from(every).expect("a small number");
    let mut tasks: Vec<(Point, Option<Point>)> =
        points.iter().step_by(step).map(|point| (*point, None)).collect();
    let firsts = points.iter().step_by((points.len() / second.max(1)).max(1)).take(second);
    tasks.extend(firsts.flat_map(|first| second_points().map(|again| (*first, Some(again)))));
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                let workshop = Workshop::new();
                while let Some((first, second)) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(found) = run(seed, *first, *second, &workshop) {
                        failed.fetch_add(1, Ordering::Relaxed);
                        println!("FAIL {first:?} then {second:?}: {found}");
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!(
        "{} operations of the vote log and {} of the ledger, {} runs, {failed} failed",
        calls.vote_log,
        calls.ledger,
        tasks.len()
    );
    ExitCode::from(u8::from(failed > 0))
}
