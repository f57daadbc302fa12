//! Answers of later epochs: the wallet follows the validators from the genesis, and remembers how far.
use quorate_primitives::codec;
use quorate_primitives::light::Handover;
use quorate_primitives::validators::ValidatorSet;
use quorate_primitives::{Hash, Height};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use super::node::Node;
use super::proxy::Proxy;
use super::wallet::Wallet;
use super::world::{World, now};

/// Counts the handovers of each answer to `chain_getEpochs`.
fn watch(proxy: &Proxy) -> Arc<Mutex<Vec<usize>>> {
    let pages = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&pages);
    proxy.alter(move |method, result| {
        if method == "chain_getEpochs" {
            seen.lock().unwrap().push(result["handovers"].as_array().unwrap().len());
        }
    });
    pages
}

/// The same chain as it was at an earlier height.
fn earlier(world: &World, height: usize) -> World {
    let mut earlier = world.clone();
    earlier.blocks.truncate(height);
    earlier.epochs.truncate(height / 10 + 1);
    earlier.handovers.truncate(height / 10);
    earlier
}

#[test]
fn believes_an_answer_of_a_later_epoch_after_its_handovers() {
    let node = Node::start(World::changed());
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    let out = wallet.run(&["balance", "bob"]).ok();
    assert!(out.contains("  12.50 USD\n"), "{out}");
    let trust = out.lines().last().unwrap();
    assert!(trust.starts_with("verified: height 45, epoch 4, 4 of 5 validators, "), "{trust}");
    let shown = wallet.run(&["--output", "json", "balance", "bob"]).json();
    assert_eq!(shown["verified"]["epoch"], "4");
}

#[test]
fn remembers_the_newest_epoch_and_goes_on_from_there() {
    let node = Node::start(World::changed());
    let proxy = Proxy::start(&node.url);
    let wallet = Wallet::new(&node.world(), &[&proxy.url]);
    let pages = watch(&proxy);
    wallet.run(&["balance", "bob"]).ok();
    assert_eq!(*pages.lock().unwrap(), [4]);
    wallet.run(&["balance", "bob"]).ok();
    assert_eq!(*pages.lock().unwrap(), [4], "nothing is asked for twice");
    node.world().run_to(61);
    let out = wallet.run(&["balance", "bob"]).ok();
    assert!(out.contains("verified: height 61, epoch 6, "), "{out}");
    assert_eq!(*pages.lock().unwrap(), [4, 2], "only what is new is asked for");
    let mode = std::fs::metadata(wallet.epoch_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn asks_for_the_handovers_of_many_epochs_in_pages() {
    let mut world = World::governed();
    world.run_to(351);
    let node = Node::start(world);
    let proxy = Proxy::start(&node.url);
    let wallet = Wallet::new(&node.world(), &[&proxy.url]);
    let pages = watch(&proxy);
    let out = wallet.run(&["balance", "bob"]).ok();
    assert!(out.contains("verified: height 351, epoch 35, 3 of 4 validators"), "{out}");
    assert_eq!(*pages.lock().unwrap(), [32, 3]);
}

#[test]
fn shows_a_transaction_of_any_epoch() {
    let mut world = World::governed();
    world.run_to(12);
    let node = Node::start(world);
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    let sent = wallet.run(&["--output", "json", "send", "bob", "5USD", "--from", "alice"]).json();
    node.world().run_to(45);
    wallet.run(&["balance", "bob"]).ok();
    let shown = wallet.run(&["tx", "show", sent["tx_id"].as_str().unwrap()]).ok();
    assert!(shown.contains("verified: height 13, epoch 1, 3 of 4 validators"), "{shown}");
    let remembered = std::fs::read_to_string(wallet.epoch_file()).unwrap();
    assert!(remembered.contains("\"epoch\":\"4\""), "an older epoch replaces no newer one: {remembered}");
}

#[test]
fn pays_across_the_end_of_an_epoch() {
    let mut world = World::changed();
    world.run_to(50);
    let node = Node::start(world);
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    let out = wallet.run(&["send", "bob", "5USD", "--from", "alice"]).ok();
    assert!(out.contains("verified: height 51, epoch 5, "), "{out}");
}

/// What a file with the remembered epoch may hold instead, and why it is not used.
fn unusable(good: &str, foreign: &str) -> Vec<(String, &'static str)> {
    let document: Value = serde_json::from_str(good).unwrap();
    let with = |field: &str, value: Value| {
        let mut changed = document.clone();
        changed[field] = value;
        changed.to_string()
    };
    let handover = |change: fn(&mut Handover)| {
        let bytes = hex::decode(document["handover"].as_str().unwrap()).unwrap();
        let mut handover: Handover = codec::decode(&bytes, usize::MAX).unwrap();
        change(&mut handover);
        with("handover", json!(hex::encode(codec::encode(&handover))))
    };
    vec![
        (String::new(), "EOF while parsing"),
        (good[..good.len() / 2].to_owned(), "EOF while parsing"),
        ("{}".to_owned(), "missing field"),
        (with("more", json!(1)), "unknown field"),
        (with("schema", json!(2)), "schema: expected 1, found 2"),
        (foreign.to_owned(), "chain: expected "),
        (with("chain", json!("00".repeat(32))), "chain: expected "),
        (with("epoch", json!("3")), "epoch: expected 4, found \"3\""),
        (with("context", json!("00".repeat(32))), "context: expected "),
        (with("handover", json!("zz")), "handover: "),
        (with("handover", json!("00")), "handover: "),
        (handover(|handover| handover.boundary.header.time = now()), "context: expected "),
        (handover(|handover| handover.boundary.header.height = Height::new(39)), "a block of height 39"),
        (
            handover(|handover| {
                handover.boundary.outcome.state_root = Hash::ZERO;
            }),
            "context: expected ",
        ),
        (
            handover(|handover| {
                let mut members = handover.validators.members().to_vec();
                members.reverse();
                handover.validators = ValidatorSet::new(members).unwrap();
            }),
            "handover: validators with hash",
        ),
    ]
}

#[test]
fn goes_the_whole_way_again_when_the_remembered_epoch_cannot_be_used() {
    let node = Node::start(World::changed());
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    wallet.run(&["balance", "bob"]).ok();
    let good = std::fs::read_to_string(wallet.epoch_file()).unwrap();
    let foreign = Node::start({
        let mut world = World::of_others();
        world.run_to(41);
        world
    });
    let other = Wallet::new(&foreign.world(), &[&foreign.url]);
    other.run(&["balance", "bob"]).ok();
    let foreign = std::fs::read_to_string(other.epoch_file()).unwrap();
    for (content, why) in unusable(&good, &foreign) {
        std::fs::write(wallet.epoch_file(), &content).unwrap();
        let run = wallet.run(&["balance", "bob"]);
        let notes: Vec<&str> = run.messages.lines().filter(|line| line.starts_with("warning: ")).collect();
        assert_eq!(notes.len(), 1, "{why}: {run:?}");
        assert!(notes[0].contains("epoch.json: ") && notes[0].contains(why), "{why}: {run:?}");
        assert!(run.ok().contains("verified: height 45, epoch 4, "), "{why}");
        let healed = std::fs::read_to_string(wallet.epoch_file()).unwrap();
        assert_eq!(healed, good, "{why}: what was verified again is remembered");
    }
}

#[test]
fn needs_no_remembered_epoch_to_answer() {
    let node = Node::start(World::changed());
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    std::fs::create_dir(wallet.epoch_file()).unwrap();
    let run = wallet.run(&["balance", "bob"]);
    let notes: Vec<&str> = run.messages.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert_eq!(notes.len(), 2, "neither read nor written: {run:?}");
    assert!(run.ok().contains("verified: height 45, epoch 4, "));
}

#[test]
fn goes_on_from_an_epoch_that_is_remembered_from_long_ago() {
    let world = World::changed();
    let past = Node::start(earlier(&world, 15));
    let node = Node::start(world);
    let proxy = Proxy::start(&node.url);
    let wallet = Wallet::new(&node.world(), &[&proxy.url]);
    wallet.run(&["--rpc", &past.url, "balance", "bob"]).ok();
    let pages = watch(&proxy);
    let run = wallet.run(&["balance", "bob"]);
    assert!(!run.messages.contains("warning"), "{run:?}");
    assert!(run.ok().contains("epoch 4, 4 of 5 validators"));
    assert_eq!(*pages.lock().unwrap(), [3]);
}

#[test]
fn does_not_believe_a_node_that_went_back_to_an_older_epoch() {
    let world = World::changed();
    let past = Node::start(earlier(&world, 25));
    let node = Node::start(world);
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    wallet.run(&["balance", "bob"]).ok();
    // The epoch alone tells.
    std::fs::remove_file(wallet.height_file()).unwrap();
    let run = wallet.run(&["--rpc", &past.url, "balance", "bob"]);
    assert_eq!(run.out, "");
    let error = run.failed(7);
    assert!(error.contains("went back to height 25, but height 40 of this network"), "{error}");
    assert!(error.contains(&past.url) && error.contains("is merely behind"), "{error}");
}

#[test]
fn does_not_believe_even_the_first_validators_once_later_ones_vote() {
    let world = World::changed();
    let past = Node::start(earlier(&world, 9));
    let node = Node::start(world);
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    wallet.run(&["balance", "bob"]).ok();
    std::fs::remove_file(wallet.height_file()).unwrap();
    let error = wallet.run(&["--rpc", &past.url, "balance", "bob"]).failed(7);
    assert!(error.contains("went back to height 9, but height 40"), "{error}");
}

#[test]
fn believes_the_block_with_which_the_newest_epoch_begins() {
    let world = World::changed();
    let at_the_boundary = Node::start(earlier(&world, 40));
    let node = Node::start(world);
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    wallet.run(&["balance", "bob"]).ok();
    std::fs::remove_file(wallet.height_file()).unwrap();
    let out = wallet.run(&["--rpc", &at_the_boundary.url, "balance", "bob"]).ok();
    assert!(out.contains("verified: height 40, epoch 3, "), "{out}");
}

#[test]
fn waits_for_a_node_that_is_merely_behind_with_its_handovers() {
    let node = Node::start(World::changed());
    let proxy = Proxy::start(&node.url);
    let wallet = Wallet::new(&node.world(), &[&proxy.url]);
    let asked = Mutex::new(0);
    proxy.alter(move |method, result| {
        let mut asked = asked.lock().unwrap();
        if method == "chain_getEpochs" && *asked < 2 {
            *asked += 1;
            *result = json!({ "current": "0", "handovers": [], "next": null });
        }
    });
    assert!(wallet.run(&["balance", "bob"]).ok().contains("epoch 4, "));
}

#[test]
fn does_not_accuse_a_node_that_is_behind_the_one_that_spoke_of_an_epoch() {
    let world = World::changed();
    let behind = Node::start(earlier(&world, 35));
    let node = Node::start(world);
    let proxy = Proxy::start(&node.url);
    proxy.leave_unanswered("chain_getEpochs");
    let wallet = Wallet::new(&node.world(), &[&proxy.url, &behind.url]);
    let error = wallet.run(&["balance", "bob"]).failed(5);
    assert!(error.contains(&format!("{} spoke of epoch 4", proxy.url)), "{error}");
}
