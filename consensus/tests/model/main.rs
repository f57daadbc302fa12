//! Every order of events, within bounds: the real engine under a model checker.
//!
//! Three honest engines and one validator that signs and proposes whatever helps to break something. The
//! checker delivers, withholds and repeats every certificate and proposal that can exist, lets timers
//! fire and applications answer at any time, crashes machines and starts them from exactly what they had
//! journaled, and asks in every state that it reaches for what must always hold.
//!
//! Certificates are the input and the tally is outside: a certificate can exist once enough votes for it
//! were cast. Who exactly signed it is not varied, except for whether its receiver did. Signatures
//! are checked at once, so that the number of the next check follows from what an engine holds.
//!
//! `QUORATE_MODEL_VIEWS=2` (or 3) looks deeper, and takes minutes; `QUORATE_MODEL_STATES` bounds how far.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, UniformChooser};

use crate::node::{Memory, Pace};
use crate::world::{Checked, Delivery, Flaw, Scope};

mod facts;
mod node;

mod catalogue;
mod world;

mod calm;

/// One view, and everything in it.
const ONE_VIEW: Scope = Scope {
    views: 1,
    lied: 1,
    crashes: 0,
    memory: Memory::Whole,
    pace: Pace::LateVerdicts,
    delivery: Delivery::Any,
    calm_every: 64,
    flaw: Flaw::None,
};

/// A number from the environment, which chooses how far a test looks.
#[allow(clippy::disallowed_methods, reason = "it changes how far is looked, not what is found")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// States on one random walk; it starts again and again from the beginning.
const WALK_STATES: usize = 40_000;

fn deep_views() -> Option<u64> {
    number("QUORATE_MODEL_VIEWS").filter(|views| *views > 1)
}

fn states_max() -> usize {
    usize::try_from(number("QUORATE_MODEL_STATES").unwrap_or(50_000_000)).unwrap()
}

/// Says what led to a state in which something does not hold.
fn report(checker: &impl Checker<Checked>) -> Vec<&'static str> {
    let properties = checker.model().properties();
    let broken = properties.iter().filter(|property| property.expectation.discovery_is_failure());
    let broken: Vec<&'static str> = broken.map(|property| property.name).collect();
    let mut found = Vec::new();
    for (name, path) in checker.discoveries() {
        if broken.contains(&name) {
            println!("not so: {name}");
            for action in path.into_actions() {
                println!("    validator {}: {:?}", action.place, action.lead.what);
            }
            found.push(name);
        }
    }
    found
}

fn print_size(scope: &Scope, checker: &impl Checker<Checked>) {
    let catalogue = checker.model().catalogue();
    println!(
        "{scope:?}: {} states, {} steps, longest way {}, {} states of one validator, {} followed into calm",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        catalogue.states(),
        catalogue.calm.len(),
    );
}

/// Explores everything in the scope, and expects to find nothing wrong and all that should be possible.
fn explore(scope: Scope) -> usize {
    let checker = Checked::new(scope).checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    print_size(&scope, &checker);
    assert_eq!(report(&checker), Vec::<&str>::new());
    checker.assert_properties();
    checker.unique_state_count()
}

/// Explores until this is found wrong.
fn finds(scope: Scope, name: &'static str) -> bool {
    let checker = Checked::new(scope)
        .checker()
        .finish_when(HasDiscoveries::AnyOf(BTreeSet::from([name])))
        .target_state_count(3_000_000)
        .spawn_bfs()
        .join();
    report(&checker).contains(&name)
}

#[test]
fn one_view_of_a_lying_leader_is_safe_in_every_order_of_events() {
    let deep = Scope { pace: Pace::Any, ..ONE_VIEW };
    let states = explore(if deep_views().is_some() { deep } else { ONE_VIEW });
    assert!(states > 1_000_000, "only {states} states: the world does not move");
}

#[test]
fn the_chain_goes_on_from_every_state_of_one_view() {
    let calm_every = if deep_views().is_some() { 1 } else { 8 };
    let states = explore(Scope { pace: Pace::Prompt, calm_every, ..ONE_VIEW });
    assert!(states > 400_000, "only {states} states: the world does not move");
}

#[test]
fn a_crash_at_any_point_of_a_view_breaks_nothing_and_stops_nothing() {
    let scope = Scope { lied: 2, crashes: 1, pace: Pace::Prompt, calm_every: 1, ..ONE_VIEW };
    let states = explore(scope);
    assert!(states > 60_000, "only {states} states: the world does not move");
    if deep_views().is_some() {
        explore(Scope { lied: 1, calm_every: 16, ..scope });
        explore(Scope { crashes: 2, ..scope });
    }
}

/// Each walk knows only the states that it met itself, so that memory stays bounded.
#[test]
fn random_ways_through_several_views_with_crashes_find_nothing() {
    let (views, states) = deep_views().map_or((2, WALK_STATES), |views| (views, states_max()));
    let walks = u64::try_from(states / WALK_STATES).unwrap();
    for (lied, walk) in (1..=views + 1).flat_map(|lied| (0..walks).map(move |walk| (lied, walk))) {
        let scope = Scope { views, lied, crashes: 2, pace: Pace::Any, calm_every: 16, ..ONE_VIEW };
        let checker = Checked::new(scope)
            .checker()
            .finish_when(HasDiscoveries::AnyFailures)
            .target_state_count(WALK_STATES)
            .spawn_simulation(lied + 1000 * walk, UniformChooser)
            .join();
        print_size(&scope, &checker);
        assert_eq!(report(&checker), Vec::<&str>::new(), "walk {walk}");
    }
}

/// Breadth first, as far as the bound allows: only with `QUORATE_MODEL_VIEWS` it goes beyond one view.
#[test]
fn the_first_steps_of_several_views_find_nothing() {
    let (views, states) = deep_views().map_or((2, 400_000), |views| (views, states_max()));
    for lied in 1..=views {
        let delivery = Delivery::FirstInTime;
        let scope = Scope { views, lied, pace: Pace::Prompt, delivery, calm_every: 256, ..ONE_VIEW };
        let checker = Checked::new(scope)
            .checker()
            .finish_when(HasDiscoveries::AnyFailures)
            .target_state_count(states)
            .spawn_bfs()
            .join();
        print_size(&scope, &checker);
        assert_eq!(report(&checker), Vec::<&str>::new());
    }
}

// The checker can fail.

#[test]
fn a_forged_nullification_is_noticed() {
    let scope = Scope { flaw: Flaw::ForgedNullification, ..ONE_VIEW };
    assert!(finds(scope, world::FINAL_OR_NULLIFIED));
    assert!(finds(scope, world::NO_SLIP), "no engine stopped");
}

#[test]
fn a_quorum_that_is_one_too_small_is_noticed() {
    assert!(finds(Scope { flaw: Flaw::SmallQuorum, ..ONE_VIEW }, world::ONE_BLOCK));
}

#[test]
fn a_machine_that_forgets_its_claims_is_noticed() {
    let scope = Scope { crashes: 1, pace: Pace::Prompt, memory: Memory::WithoutClaims, ..ONE_VIEW };
    assert!(finds(scope, world::NO_CONTRADICTION));
}

#[test]
fn a_machine_that_forgets_its_certificates_is_noticed() {
    let memory = Memory::WithoutCertificates;
    let scope = Scope { lied: 2, crashes: 1, pace: Pace::Prompt, memory, calm_every: 1, ..ONE_VIEW };
    assert!(finds(scope, world::GOES_ON));
}
