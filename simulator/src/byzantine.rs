//! Validators that do not follow the protocol.
//!
//! Each program is one way to misbehave, small enough to be believed. Most stand as a
//! [filter](crate::puppet::Filter) before a real replica: they know all that a validator knows, in every
//! epoch, and change, withhold or add what leaves. The replica itself [does not notice](deaf) what is done
//! with its key, since it would stop otherwise. Together with the [twins](crate::twins) they are what the
//! protocol promises to survive as long as at most `f` validators are like this.
//!
//! | program | what it does |
//! |---|---|
//! | `equivocator` | two blocks in one view, and two votes, to different nodes |
//! | `conflicter` | votes that contradict its own, of all three kinds |
//! | `silent-leader` | never proposes, or to one node only |
//! | `withholder` | proposes, and keeps the bodies |
//! | `hoarder` | keeps its votes, and shows certificates to single nodes |
//! | `nullifier` | gives up on every view ahead of time |
//! | `flooder` | far views, other epochs, bundles and questions without end |
//! | `replayer` | everything again, much later |
//! | `bad-block` | blocks that break one rule each |
//! | `wrong-outcome` | finalizes with outcomes that nobody else finds |
//! | `liar` | wrong answers to every question |
//! | `accuser` | proofs against the innocent |
//! | `outdated` | runs on with old data |
//! | `dripper` | feeds who catches up with one block at a time |
//! | `forger` | certificates that look like those of a quorum |
mod accuser;
mod bad_block;
mod conflicter;
pub mod court;
pub mod deaf;
mod dripper;
mod equivocator;
mod flooder;
mod forger;
mod hoarder;
mod liar;
mod nullifier;
mod outdated;
mod place;
mod replayer;
mod silent_leader;
mod withholder;
mod wrong_outcome;

use crate::options::{Assignment, Options, PartitionShape};
use crate::puppet::{Filter, Program, Repertoire, TWIN};
use crate::random::Dice;

use deaf::Deaf;

/// All programs that are drawn by name, [`TWIN`] aside.
pub const NAMES: [&str; 14] = [
    "accuser",
    "bad-block",
    "conflicter",
    "dripper",
    "equivocator",
    "flooder",
    "hoarder",
    "liar",
    "nullifier",
    "outdated",
    "replayer",
    "silent-leader",
    "withholder",
    "wrong-outcome",
];

fn behind<F: Filter + Default + 'static>(_node: usize) -> Program {
    Program::Filter(Box::new(Deaf::new(F::default())))
}

/// All programs.
#[must_use]
pub fn repertoire() -> Repertoire {
    let mut programs = Repertoire::new();
    programs
        .add("accuser", behind::<accuser::Accuser>)
        .add("bad-block", behind::<bad_block::BadBlock>)
        .add("conflicter", behind::<conflicter::Conflicter>)
        .add("dripper", behind::<dripper::Dripper>)
        .add("equivocator", behind::<equivocator::Equivocator>)
        .add("flooder", behind::<flooder::Flooder>)
        .add("forger", behind::<forger::Forger>)
        .add("hoarder", behind::<hoarder::Hoarder>)
        .add("liar", behind::<liar::Liar>)
        .add("nullifier", behind::<nullifier::Nullifier>)
        .add("outdated", behind::<outdated::Outdated>)
        .add("replayer", behind::<replayer::Replayer>)
        .add("silent-leader", behind::<silent_leader::SilentLeader>)
        .add("withholder", behind::<withholder::Withholder>)
        .add("wrong-outcome", behind::<wrong_outcome::WrongOutcome>);
    programs
}

/// The marks that a program hits when it really does what it is for.
#[must_use]
pub fn marks(program: &str) -> Vec<&'static str> {
    match program {
        "accuser" => accuser::MARKS.to_vec(),
        "bad-block" => bad_block::MARKS.to_vec(),
        "conflicter" => conflicter::MARKS.to_vec(),
        "dripper" => dripper::MARKS.to_vec(),
        "equivocator" => equivocator::MARKS.to_vec(),
        "flooder" => flooder::MARKS.to_vec(),
        "forger" => forger::MARKS.to_vec(),
        "hoarder" => hoarder::MARKS.to_vec(),
        "liar" => [&liar::MARKS[..], &liar::BLOCKS_MARKS[..]].concat(),
        "nullifier" => nullifier::MARKS.to_vec(),
        "outdated" => outdated::MARKS.to_vec(),
        "replayer" => replayer::MARKS.to_vec(),
        "silent-leader" => silent_leader::MARKS.to_vec(),
        "withholder" => withholder::MARKS.to_vec(),
        "wrong-outcome" => wrong_outcome::MARKS.to_vec(),
        _ => Vec::new(),
    }
}

/// The marks that a campaign of this profile owes: all that its programs do, and that the others notice.
#[must_use]
pub fn owed() -> Vec<&'static str> {
    let all = NAMES.iter().flat_map(|program| marks(program));
    all.chain(court::MARKS).chain([deaf::MARK]).collect()
}

/// Draws a run with misbehaving validators, on a network with troubles of its own.
pub fn draw(options: &mut Options, dice: &mut Dice, validators: Option<usize>) {
    let sizes = [4, 4, 4, 5, 6, 7, 10];
    options.validators = validators.unwrap_or(sizes[dice.index(sizes.len())]).clamp(1, 21);
    options.heights = dice.between(30, 80);
    options.faulty_ms_max = 60_000;
    options.epoch_length = if dice.coin() { dice.between(10, 25) } else { 0 };
    options.timings.min_interval_ms = dice.between(0, 50);
    options.timings.idle_interval_ms = dice.between(0, 200);
    let network = &mut options.network;
    network.delay_mean_us = dice.between(500, 15_000);
    network.ban_ms = dice.between(100, 5_000);
    if dice.coin() {
        network.loss_permille = dice.between(1, 100);
    }
    if dice.coin() {
        network.duplicate_permille = dice.between(1, 200);
    }
    if dice.coin() {
        network.reorder_permille = dice.between(1, 300);
    }
    if dice.chance(200) {
        network.corrupt_permille = dice.between(1, 5);
    }
    if dice.chance(300) {
        network.partition_mean_ms = dice.between(1_000, 5_000);
        network.partition_ms = (200, 3_000);
        let shapes =
            [PartitionShape::One, PartitionShape::Uniform, PartitionShape::Halves, PartitionShape::Leader];
        network.partition = shapes[dice.index(shapes.len())];
        network.one_way = dice.chance(300);
    }
    if dice.coin() {
        options.faults.crash_mean_ms = dice.between(1_000, 10_000);
        options.faults.down_ms_max = dice.between(100, 5_000);
        options.faults.wipe_permille = if dice.coin() { 0 } else { dice.between(1, 300) };
    }
    if dice.chance(200) {
        options.faults.power_mean_ms = dice.between(3_000, 20_000);
    }
    options.observers = usize::from(dice.chance(300));
    options.disk.log_bytes = dice.between(4, 256).saturating_mul(1_024);
    options.clients.clients = dice.index(4);
    options.clients.variety_permille = if dice.coin() { 0 } else { dice.between(1, 500) };
    assign(options, dice);
}

/// Has every misbehaving validator of a run do the same.
pub fn only(options: &mut Options, program: &str) {
    options.puppets.iter_mut().for_each(|assignment| assignment.program = program.to_owned());
}

/// Up to `f` validators get programs.
fn assign(options: &mut Options, dice: &mut Dice) {
    let most = options.faulty_max();
    let count = if dice.chance(700) { most } else { dice.index(most).saturating_add(1).min(most) };
    let chosen = dice.sample(options.validators, count);
    let program = |dice: &mut Dice| {
        if dice.below(16) == 0 { TWIN } else { NAMES[dice.index(NAMES.len())] }
    };
    options.puppets = chosen
        .into_iter()
        .map(|validator| Assignment { validator, program: program(dice).to_owned() })
        .collect();
    // What is left of `f` may lose its vote log.
    options.faults.amnesia_max = most.saturating_sub(count);
}
