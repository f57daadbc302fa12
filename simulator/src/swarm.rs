//! Draws the options of a run from its seed and its profile.
//!
//! First it is drawn which classes of faults are on at all, each with probability one half, and only then
//! how strong they are: with everything always on, the rare combinations and the long quiet stretches in
//! which some faults show would never occur. One run in sixteen has no faults, one has exactly one class.
//! Source: Groce et al., "Swarm Testing", ISSTA 2012.
use crate::options::{
    ClientOptions, DiskOptions, FaultOptions, NetworkOptions, Options, PartitionShape, Profile, Timings, Torn,
};
use crate::random::{Dice, Stream};

/// What a user may fix of what is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Number of validators.
    pub validators: Option<usize>,
    /// Height at which the part with faults ends.
    pub heights: Option<u64>,
}

/// The options of the run with this seed.
#[must_use]
pub fn draw(seed: u64, profile: Profile, wishes: Wishes) -> Options {
    let mut dice = Dice::new(seed, Stream::Options);
    let mut options = calm(seed, profile);
    match profile {
        Profile::Lite => lite(&mut options, &mut dice),
        Profile::Reconfigure => {
            lite(&mut options, &mut dice);
            reconfigure(&mut options, &mut dice);
        }
        _ => lite(&mut options, &mut dice),
    }
    if let Some(validators) = wishes.validators {
        options.validators = validators.clamp(1, 21);
    }
    if let Some(heights) = wishes.heights {
        options.heights = heights;
    }
    options
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
        network: NetworkOptions {
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
        },
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
        clients: ClientOptions {
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
        },
        puppets: Vec::new(),
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
}

/// Epochs that end all the time, and other validators in each.
fn reconfigure(options: &mut Options, dice: &mut Dice) {
    options.validators = dice.pick(&[4, 4, 5, 7]).copied().unwrap_or(4);
    options.observers = dice.index(3).saturating_add(1);
    options.epoch_length = dice.between(10, 25);
    options.heights = options.epoch_length.saturating_mul(dice.between(4, 7));
    options.governing_mean_ms = dice.between(300, 3_000);
}
