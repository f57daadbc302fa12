//! Two hundred networks that go wrong at random, and must be right in the end.
use std::collections::BTreeSet;

use crate::network::found_with;
use crate::world::{HEALTHY, Link, World};

/// Prints the seed of a run that fails.
struct Announce(u64);

impl Drop for Announce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}", self.0);
        }
    }
}

fn run(seed: u64) {
    let _announce = Announce(seed);
    // In every third run epochs end all the time.
    let epochs = seed.is_multiple_of(3).then_some(10);
    let mut world = World::asleep_on(found_with(4, epochs), 4, seed);
    // In every second run one validator never says anything.
    let silent = seed.is_multiple_of(2).then_some(usize::try_from(seed / 2 % 4).unwrap());
    let running: Vec<usize> = (0..4).filter(|node| Some(*node) != silent).collect();
    for node in 0..4 {
        world.nodes[node].skew_ms = i64::try_from(world.below(200)).unwrap() - 100;
    }
    world.link = Link {
        loss_permille: [0, 20, 150][usize::try_from(world.below(3)).unwrap()],
        delay_ms: [5, 40, 150][usize::try_from(world.below(3)).unwrap()],
        slow_permille: [0, 10][usize::try_from(world.below(2)).unwrap()],
    };
    running.iter().for_each(|node| world.start(*node));
    for _ in 0..150 {
        disturb(&mut world, &running);
        let steps = 50 + world.below(400);
        world.run(steps);
    }
    heal(&mut world, &running);
    let height = world.highest();
    let sent: BTreeSet<_> = running.iter().map(|node| world.submit(*node)).collect();
    world.run_until("all replicas converge", 60_000, |world| {
        world.lowest() > height + 5 && world.all_have(&sent)
    });
    world.assert_nothing_lost();
    assert!(world.nodes.iter().all(|node| node.bans.is_empty()), "an honest node was banned");
}

fn disturb(world: &mut World, running: &[usize]) {
    let node = running[usize::try_from(world.below(u64::try_from(running.len()).unwrap())).unwrap()];
    match world.below(30) {
        0 if world.is_up(node) => world.crash(node),
        1 if world.is_up(node) => {
            let steps = world.below(60);
            world.nodes[node].crash_in = Some(steps);
        }
        2 => world.nodes[node].island = 1,
        3..6 => running.iter().for_each(|node| world.nodes[*node].island = 0),
        6 => {
            let up = world.up();
            up.into_iter().for_each(|node| world.crash(node));
        }
        7 => world.checkpoint(node),
        8..16 => start_all(world, running),
        _ => {}
    }
    for _ in 0..world.below(4) {
        if world.is_up(node) {
            world.submit(node);
        }
    }
}

fn start_all(world: &mut World, running: &[usize]) {
    for node in running {
        if !world.is_up(*node) {
            world.start(*node);
        }
    }
}

fn heal(world: &mut World, running: &[usize]) {
    world.link = HEALTHY;
    for node in running {
        world.nodes[*node].island = 0;
        world.nodes[*node].crash_in = None;
    }
    start_all(world, running);
}

#[test]
fn seeds_1_to_50_never_fork_and_always_recover() {
    (1..=50).for_each(run);
}

#[test]
fn seeds_51_to_100_never_fork_and_always_recover() {
    (51..=100).for_each(run);
}

#[test]
fn seeds_101_to_150_never_fork_and_always_recover() {
    (101..=150).for_each(run);
}

#[test]
fn seeds_151_to_200_never_fork_and_always_recover() {
    (151..=200).for_each(run);
}
