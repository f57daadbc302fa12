//! Draws the options of a run from its seed and its profile.
//!
//! First it is drawn which classes of faults are on at all, each with probability one half, and only then
//! how strong they are: with everything always on, the rare combinations and the long quiet stretches in
//! which some faults show would never occur. One run in sixteen has no faults, one has exactly one class.
//! Source: Groce et al., "Swarm Testing", ISSTA 2012.
use crate::options::{
    Assignment, ClientOptions, DiskOptions, FaultOptions, NetworkOptions, Options, PartitionShape, Profile,
    ReadOptions, Timings, Torn,
};
use crate::puppet::SILENT;
use crate::random::{Dice, Stream};

/// What a user may fix of what is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Number of validators.
    pub validators: Option<usize>,
    /// Height at which the part with faults ends.
    pub heights: Option<u64>,
}

/// A class of faults, or of anything else that makes a run harder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Loss,
    Duplicates,
    Overtaking,
    Corruption,
    FullLinks,
    Clogs,
    Partitions,
    LongWays,
    Crashes,
    PowerFailures,
    Pauses,
    LedgerLoss,
    Amnesia,
    FailingDisks,
    SlowDisks,
    SmallLogs,
    Skew,
    WrongClocks,
    Variety,
    WrongRequests,
    SmallPools,
    Observers,
    Epochs,
}

impl Class {
    const ALL: [Class; 23] = [
        Self::Loss,
        Self::Duplicates,
        Self::Overtaking,
        Self::Corruption,
        Self::FullLinks,
        Self::Clogs,
        Self::Partitions,
        Self::LongWays,
        Self::Crashes,
        Self::PowerFailures,
        Self::Pauses,
        Self::LedgerLoss,
        Self::Amnesia,
        Self::FailingDisks,
        Self::SlowDisks,
        Self::SmallLogs,
        Self::Skew,
        Self::WrongClocks,
        Self::Variety,
        Self::WrongRequests,
        Self::SmallPools,
        Self::Observers,
        Self::Epochs,
    ];
}

/// Which classes are on.
fn classes(dice: &mut Dice) -> Vec<Class> {
    match dice.below(16) {
        0 => Vec::new(),
        1 => dice.pick(&Class::ALL).copied().into_iter().collect(),
        _ => Class::ALL.into_iter().filter(|_| dice.coin()).collect(),
    }
}

/// The options of the run with this seed.
#[must_use]
pub fn draw(seed: u64, profile: Profile, wishes: Wishes) -> Options {
    let mut dice = Dice::new(seed, Stream::Options);
    let mut options = calm(seed, profile);
    match profile {
        Profile::Lite => lite(&mut options, &mut dice),
        Profile::Byzantine => crate::byzantine::draw(&mut options, &mut dice, wishes.validators),
        _ => size(&mut options, &mut dice),
    }
    if let Some(validators) = wishes.validators {
        options.validators = validators.clamp(1, 21);
    }
    match profile {
        Profile::Lite | Profile::Byzantine => {}
        Profile::Swarm | Profile::Twins | Profile::Reconfigure | Profile::Poison => {
            classes(&mut dice).into_iter().for_each(|class| switch_on(&mut options, class, &mut dice));
        }
        Profile::Storage => storage(&mut options, &mut dice),
        Profile::Correlated => {
            storage(&mut options, &mut dice);
            correlated(&mut options, &mut dice);
        }
        Profile::ExactQuorum => exact_quorum(&mut options, &mut dice),
    }
    special(&mut options, &mut dice);
    if let Some(heights) = wishes.heights {
        options.heights = heights;
    }
    options
}

/// How large the network is, how far and how fast it goes.
fn size(options: &mut Options, dice: &mut Dice) {
    options.validators = match dice.below(8) {
        0..=2 => 4,
        3 | 4 => 7,
        _ => dice.index(10).saturating_add(1),
    };
    options.heights = dice.between(150, 300);
    options.faulty_ms_max = 240_000;
    let timings = &mut options.timings;
    timings.timeout_min_ms = dice.between(50, 600);
    timings.timeout_max_ms = timings.timeout_min_ms.saturating_mul(dice.between(2, 10)).clamp(600, 4_000);
    timings.min_interval_ms = dice.between(10, 200);
    timings.idle_interval_ms = dice.between(100, 1_000);
    timings.bundle_interval_ms = dice.between(1, 50);
    timings.ask_timeout_ms = dice.between(50, 500);
    timings.sync_interval_ms = dice.between(500, 3_000);
    let network = &mut options.network;
    network.delay_min_us = dice.between(100, 5_000);
    network.delay_mean_us = dice.between(500, 20_000);
    network.notice_ms_max = dice.between(50, 5_000);
    network.connect_ms_max = dice.between(10, 1_000);
    network.ban_ms = dice.between(1_000, 20_000);
    options.disk.sync_us = if dice.coin() { (0, 0) } else { (50, dice.between(100, 5_000)) };
    options.disk.ledger_sync_ms = dice.between(100, 5_000);
    options.disk.torn = [Torn::Nothing, Torn::Prefix, Torn::Pieces][dice.index(3)];
    let clients = &mut options.clients;
    clients.clients = dice.index(7);
    clients.accounts = [4, 8, 16][dice.index(3)];
    clients.burst_max = if dice.coin() { 1 } else { dice.between(2, 20) };
    // Requests in a second, of all clients together: few in most runs, since each costs every node.
    let rate = if dice.chance(100) { dice.between(20, 100) } else { dice.between(1, 12) };
    let requests =
        clients.burst_max.saturating_add(1).saturating_mul(u64::try_from(clients.clients).unwrap_or(1));
    clients.interval_mean_ms = requests.saturating_mul(500).checked_div(rate).unwrap_or(1).max(10);
    clients.hot_permille = if dice.coin() { 0 } else { dice.between(1, 1_000) };
    clients.ambiguous_permille = dice.between(0, 300);
    clients.replay_permille = dice.between(0, 100);
    clients.patience_ms = dice.between(500, 5_000);
    clients.validity_ms = dice.between(5, 20).saturating_mul(1_000);
}

fn switch_on(options: &mut Options, class: Class, dice: &mut Dice) {
    let network = &mut options.network;
    match class {
        Class::Loss => network.loss_permille = dice.between(1, 300),
        Class::Duplicates => network.duplicate_permille = dice.between(1, 500),
        Class::Overtaking => network.reorder_permille = dice.between(1, 500),
        Class::Corruption => network.corrupt_permille = dice.between(1, 10),
        Class::FullLinks => network.link_packets_max = dice.index(255).saturating_add(2),
        Class::Clogs => {
            network.clog_mean_ms = dice.between(200, 10_000);
            network.clog_ms_max = dice.between(10, 5_000);
        }
        Class::Partitions => partitions(options, dice),
        Class::LongWays => {
            let longest = options.timings.timeout_max_ms.saturating_mul(1_000) / 4;
            network.delay_mean_us = dice.between(20_000, longest.max(30_000));
            network.delay_min_us = dice.between(1_000, 100_000);
        }
        Class::Crashes
        | Class::PowerFailures
        | Class::Pauses
        | Class::LedgerLoss
        | Class::Amnesia
        | Class::FailingDisks
        | Class::SlowDisks
        | Class::SmallLogs => break_nodes(options, class, dice),
        Class::Skew => {
            options.faults.skew_ms_max = dice.between(1, 100);
            options.faults.drift_permille_max = if dice.coin() { 0 } else { dice.between(1, 2) };
        }
        Class::WrongClocks => {
            options.faults.wrong_clocks_max = options.faulty_max();
            options.faults.jump_mean_ms = dice.between(2_000, 30_000);
            options.faults.jump_ms_max =
                10_u64.saturating_pow(u32::try_from(dice.between(2, 6)).unwrap_or(2)).saturating_mul(4);
        }
        Class::Variety => options.clients.variety_permille = dice.between(1, 1_000),
        Class::WrongRequests => options.clients.wrong_permille = dice.between(1, 300),
        Class::SmallPools => {
            options.timings.pool_transactions_max = dice.index(60).saturating_add(4);
            options.timings.pool_sender_max = dice.index(20).saturating_add(2);
        }
        Class::Observers => options.observers = dice.index(2).saturating_add(1),
        Class::Epochs => {
            options.epoch_length = dice.between(10, 80);
            options.governing_mean_ms = if dice.coin() { 0 } else { dice.between(1_000, 10_000) };
        }
    }
}

fn partitions(options: &mut Options, dice: &mut Dice) {
    let network = &mut options.network;
    network.partition_mean_ms = dice.between(1_000, 20_000);
    let shortest = dice.between(100, 1_000);
    network.partition_ms = (shortest, shortest.saturating_add(dice.between(0, 20_000)));
    let shapes = [
        PartitionShape::One,
        PartitionShape::Uniform,
        PartitionShape::Halves,
        PartitionShape::Ring,
        PartitionShape::Leader,
    ];
    network.partition = shapes[dice.index(shapes.len())];
    network.one_way = dice.chance(300);
}

fn break_nodes(options: &mut Options, class: Class, dice: &mut Dice) {
    let forgetful = options.faulty_max();
    let Options { faults, disk, .. } = options;
    match class {
        Class::Crashes => {
            faults.crash_mean_ms = dice.between(500, 20_000);
            faults.crash_inside_permille = dice.between(0, 1_000);
            faults.down_ms_max = dice.between(10, 30_000);
            disk.power_permille = dice.between(0, 1_000);
        }
        Class::PowerFailures => faults.power_mean_ms = dice.between(2_000, 60_000),
        Class::Pauses => {
            faults.pause_mean_ms = dice.between(1_000, 20_000);
            faults.pause_ms_max = dice.between(100, 30_000);
        }
        Class::LedgerLoss => {
            faults.crash_mean_ms = dice.between(1_000, 20_000);
            faults.ledger_rollback_permille = dice.between(0, 200);
            faults.ledger_loss_permille = dice.between(0, 200);
        }
        Class::Amnesia => {
            faults.crash_mean_ms = dice.between(1_000, 20_000);
            faults.wipe_permille = dice.between(0, 200);
            faults.rot_permille = dice.between(0, 200);
            faults.amnesia_max = forgetful;
        }
        Class::FailingDisks => {
            disk.sync_failure_mean_ms = dice.between(2_000, 30_000);
            disk.full_mean_ms = dice.between(2_000, 30_000);
        }
        Class::SlowDisks => disk.sync_us = (dice.between(100, 10_000), dice.between(10_000, 200_000)),
        Class::SmallLogs => disk.log_bytes = dice.between(1, 64).saturating_mul(1_024),
        _ => {}
    }
}

/// Everything that disks and crashes can do, on a network that is well.
fn storage(options: &mut Options, dice: &mut Dice) {
    let always = [Class::Crashes, Class::SmallLogs];
    let sometimes = [
        Class::PowerFailures,
        Class::LedgerLoss,
        Class::Amnesia,
        Class::FailingDisks,
        Class::SlowDisks,
        Class::Pauses,
        Class::Variety,
    ];
    let drawn: Vec<Class> = sometimes.into_iter().filter(|_| dice.coin()).collect();
    always.into_iter().chain(drawn).for_each(|class| switch_on(options, class, dice));
    options.faults.crash_mean_ms = dice.between(200, 5_000);
    options.faults.down_ms_max = dice.between(10, 5_000);
}

/// Any number of disks fail: a quorum may be lost, and nothing but safety is demanded.
fn correlated(options: &mut Options, dice: &mut Dice) {
    options.faults.amnesia_max = options.validators;
    options.faults.wipe_permille = dice.between(0, 200);
    options.faulty_ms_max = 120_000;
    options.liveness = false;
}

/// `f` validators never run, so that each of the others is needed.
fn exact_quorum(options: &mut Options, dice: &mut Dice) {
    let some =
        [Class::Loss, Class::Crashes, Class::PowerFailures, Class::SmallLogs, Class::Pauses, Class::Skew];
    let drawn: Vec<Class> = some.into_iter().filter(|_| dice.coin()).collect();
    drawn.into_iter().for_each(|class| switch_on(options, class, dice));
    let silent = dice.sample(options.validators, options.faulty_max());
    options.puppets =
        silent.into_iter().map(|validator| Assignment { validator, program: SILENT.to_owned() }).collect();
    options.faults.amnesia_max = 0;
    options.faults.wrong_clocks_max = 0;
}

/// What a profile adds to what was drawn.
fn special(options: &mut Options, dice: &mut Dice) {
    match options.profile {
        Profile::Poison => {
            options.clients.clients = options.clients.clients.max(2);
            options.clients.wrong_permille = dice.between(300, 900);
            options.clients.variety_permille = 1_000;
        }
        Profile::Reconfigure => reconfigure(options, dice),
        Profile::Lite
        | Profile::Swarm
        | Profile::Storage
        | Profile::Byzantine
        | Profile::Twins
        | Profile::ExactQuorum
        | Profile::Correlated => {}
    }
}

/// A network in which nothing goes wrong.
#[must_use]
pub fn calm(seed: u64, profile: Profile) -> Options {
    Options {
        seed,
        profile,
        validators: 4,
        observers: 0,
        heights: 50,
        faulty_ms_max: 120_000,
        events_max: 1_000_000,
        epoch_length: 0,
        governing_mean_ms: 0,
        liveness: true,
        timings: Timings {
            timeout_min_ms: 100,
            timeout_max_ms: 1_000,
            min_interval_ms: 50,
            idle_interval_ms: 500,
            bundle_interval_ms: 10,
            ask_timeout_ms: 100,
            sync_interval_ms: 1_000,
            pool_transactions_max: 4_096,
            pool_sender_max: 1_024,
        },
        network: calm_network(),
        disk: DiskOptions {
            sync_us: (0, 0),
            log_bytes: 256 * 1024,
            ledger_sync_ms: 2_000,
            torn: Torn::Prefix,
            power_permille: 500,
            sync_failure_mean_ms: 0,
            full_mean_ms: 0,
        },
        faults: FaultOptions {
            crash_mean_ms: 0,
            crash_inside_permille: 300,
            down_ms_max: 5_000,
            power_mean_ms: 0,
            pause_mean_ms: 0,
            pause_ms_max: 0,
            ledger_rollback_permille: 0,
            ledger_loss_permille: 0,
            wipe_permille: 0,
            restore_permille: 0,
            rot_permille: 0,
            amnesia_max: 0,
            jump_mean_ms: 0,
            jump_ms_max: 0,
            wrong_clocks_max: 0,
            skew_ms_max: 0,
            drift_permille_max: 0,
        },
        clients: calm_clients(),
        reads: reads(seed, profile),
        puppets: Vec::new(),
        wide: None,
    }
}

/// Little trouble: some loss, and a crash now and then.
fn lite(options: &mut Options, dice: &mut Dice) {
    options.network.delay_mean_us = dice.between(500, 20_000);
    if dice.coin() {
        options.network.loss_permille = dice.between(1, 50);
    }
    if dice.coin() {
        options.network.duplicate_permille = dice.between(1, 50);
    }
    if dice.coin() {
        options.faults.crash_mean_ms = dice.between(1_000, 10_000);
    }
    if dice.chance(250) {
        options.faults.power_mean_ms = dice.between(3_000, 20_000);
    }
    if dice.chance(250) {
        options.network.partition_mean_ms = dice.between(1_000, 5_000);
        options.network.partition_ms = (200, 3_000);
    }
    options.disk.log_bytes = dice.between(4, 256).saturating_mul(1_024);
    options.clients.clients = dice.index(4);
    if dice.chance(200) {
        options.clients.variety_permille = dice.between(1, 300);
        options.clients.wrong_permille = dice.between(1, 200);
    }
    if dice.chance(250) {
        options.epoch_length = dice.between(10, 25);
    }
    if dice.chance(125) {
        options.faults.ledger_rollback_permille = dice.between(1, 200);
        options.faults.wipe_permille = dice.between(1, 200);
        options.faults.amnesia_max = options.faulty_max();
    }
}

/// Epochs that end all the time, and other validators in each.
fn reconfigure(options: &mut Options, dice: &mut Dice) {
    options.validators = dice.pick(&[4, 4, 5, 7]).copied().unwrap_or(4);
    options.observers = dice.index(3).saturating_add(1);
    options.epoch_length = dice.between(10, 30);
    options.heights = options.epoch_length.saturating_mul(dice.between(4, 8));
    options.governing_mean_ms = dice.between(300, 3_000);
}

/// A network that loses nothing.
fn calm_network() -> NetworkOptions {
    NetworkOptions {
        delay_min_us: 200,
        delay_mean_us: 2_000,
        loss_permille: 0,
        duplicate_permille: 0,
        reorder_permille: 0,
        corrupt_permille: 0,
        link_packets_max: 0,
        clog_mean_ms: 0,
        clog_ms_max: 0,
        partition_mean_ms: 0,
        partition_ms: (0, 0),
        partition: PartitionShape::One,
        one_way: false,
        notice_ms_max: 500,
        connect_ms_max: 200,
        ban_ms: 2_000,
    }
}

/// Two clients that pay now and then.
fn calm_clients() -> ClientOptions {
    ClientOptions {
        clients: 2,
        accounts: 8,
        interval_mean_ms: 100,
        burst_max: 4,
        hot_permille: 100,
        variety_permille: 0,
        wrong_permille: 0,
        ambiguous_permille: 50,
        replay_permille: 10,
        open_max: 32,
        patience_ms: 3_000,
        validity_ms: 60_000,
    }
}

/// What is read: little in short networks, which are many.
fn reads(seed: u64, profile: Profile) -> ReadOptions {
    let mut dice = Dice::new(seed, Stream::Readers);
    let (shortest, longest) = if profile == Profile::Lite { (1_000, 4_000) } else { (300, 4_000) };
    ReadOptions {
        interval_mean_ms: dice.between(shortest, longest),
        malformed_permille: 200,
        mutated_permille: 300,
        forgetful_permille: 100,
    }
}
