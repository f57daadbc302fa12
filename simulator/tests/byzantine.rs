//! What up to `f` validators that do anything cannot do to the others.
use quorate_simulator::coverage::Marks;
use quorate_simulator::founding::Workshop;
use quorate_simulator::options::{Assignment, Options, Profile};
use quorate_simulator::run::{Report, run};
use quorate_simulator::swarm::{Wishes, draw};
use quorate_simulator::{byzantine, puppet};

/// Four validators and few blocks, so that many runs fit into little time.
fn options(seed: u64) -> Options {
    draw(seed, Profile::Byzantine, Wishes { validators: Some(4), heights: Some(25) })
}

fn passes(options: Options, workshop: &Workshop) -> Report {
    let report = run(options, workshop, &byzantine::repertoire(), None);
    assert!(report.is_passed(), "seed {}: {:?}", report.options.seed, report.violation);
    report
}

/// Runs with one program, and checks that it did all that it is for.
fn survives(program: &str, seeds: std::ops::Range<u64>) {
    let workshop = Workshop::new();
    let mut marks = Marks::new();
    for seed in seeds {
        let mut options = options(seed);
        byzantine::only(&mut options, program);
        marks.merge(&passes(options, &workshop).marks);
    }
    let missing = marks.missing(&byzantine::marks(program));
    assert!(missing.is_empty(), "{program} never did: {missing:?}");
}

#[test]
fn two_blocks_in_one_view_do_not_split_the_chain() {
    survives("equivocator", 0..8);
}

#[test]
fn votes_against_own_votes_do_not_split_the_chain() {
    survives("conflicter", 20..28);
}

#[test]
fn a_leader_that_proposes_nothing_is_passed_over() {
    survives("silent-leader", 40..46);
}

#[test]
fn a_block_whose_body_is_withheld_stops_nobody() {
    survives("withholder", 60..68);
}

#[test]
fn certificates_that_only_one_node_sees_stop_nobody() {
    survives("hoarder", 80..86);
}

#[test]
fn one_validator_cannot_make_the_others_give_up() {
    survives("nullifier", 100..106);
}

#[test]
fn a_flood_of_far_views_and_other_epochs_stops_nobody() {
    survives("flooder", 120..126);
}

#[test]
fn what_was_said_once_can_be_said_again_without_harm() {
    survives("replayer", 140..146);
}

#[test]
fn a_block_that_breaks_a_rule_is_passed_over() {
    survives("bad-block", 160..190);
}

#[test]
fn one_validator_cannot_pass_off_a_wrong_outcome() {
    survives("wrong-outcome", 200..205);
}

#[test]
fn who_catches_up_is_not_led_astray() {
    survives("liar", 220..245);
}

#[test]
fn who_catches_up_drop_by_drop_arrives() {
    survives("dripper", 260..272);
}

#[test]
fn nobody_innocent_is_held_guilty() {
    survives("accuser", 280..290);
}

#[test]
fn a_validator_with_old_data_does_not_split_the_chain() {
    survives("outdated", 300..306);
}

#[test]
fn several_that_misbehave_differently_among_seven_stop_nobody() {
    let workshop = Workshop::new();
    for seed in 400..404 {
        let wishes = Wishes { validators: Some(7), heights: Some(25) };
        passes(draw(seed, Profile::Byzantine, wishes), &workshop);
    }
}

#[test]
fn proofs_of_two_votes_reach_the_ledger() {
    let workshop = Workshop::new();
    let mut marks = Marks::new();
    for seed in 500..506 {
        let mut options = options(seed);
        byzantine::only(&mut options, "conflicter");
        marks.merge(&passes(options, &workshop).marks);
    }
    let missing = marks.missing(&[
        "recorded: two notarize votes",
        "recorded: two finalize votes",
        "recorded: nullify and finalize",
    ]);
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_run_with_programs_follows_from_its_seed() {
    let workshop = Workshop::new();
    for program in ["equivocator", "flooder", "replayer", "outdated"] {
        let hash = || {
            let mut options = options(600);
            byzantine::only(&mut options, program);
            passes(options, &workshop).hash
        };
        assert_eq!(hash(), hash(), "{program}");
    }
}

#[test]
fn every_drawn_program_is_known_and_at_most_f_validators_have_one() {
    let known = byzantine::repertoire();
    for seed in 0..500 {
        let options = draw(seed, Profile::Byzantine, Wishes::default());
        assert!((1..=options.faulty_max()).contains(&options.puppets.len()), "{seed}");
        for Assignment { program, .. } in &options.puppets {
            assert!(program == puppet::TWIN || known.names().any(|name| name == program), "{program}");
        }
    }
}
