//! What an honest node's answers look like, and which of them are too old to be used.
use quorate_primitives::Timestamp;
use serde_json::json;

use super::node::Node;
use super::wallet::Wallet;
use super::world::{World, now};

#[test]
fn shows_proven_balances_with_the_line_they_rest_on() {
    let node = Node::start(World::new());
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    let out = wallet.run(&["balance", "bob"]).ok();
    assert!(out.starts_with("bob (qtest1"), "{out}");
    assert!(out.contains("  12.50 USD\n") && out.contains("  3 QTY\n"), "{out}");
    let trust = out.lines().last().unwrap();
    assert!(
        trust.starts_with("verified: height 1, epoch 0, 3 of 4 validators, ") && trust.ends_with(" s old"),
        "{trust}"
    );
}

#[test]
fn shows_balances_as_json_with_strings_for_numbers() {
    let node = Node::start(World::new());
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    let shown = wallet.run(&["--output", "json", "balance", "bob"]).json();
    assert_eq!((&shown["schema"], &shown["name"]), (&json!(1), &json!("bob")));
    let of = |symbol: &str| {
        shown["balances"].as_array().unwrap().iter().find(|row| row["symbol"] == symbol).unwrap().clone()
    };
    let usd = of("USD");
    assert_eq!(
        (&usd["amount"], &usd["units"], &usd["available"]),
        (&json!("12.50"), &json!("1250"), &json!("12.50"))
    );
    assert_eq!(of("QTY")["amount"], "3");
    assert_eq!((&shown["verified"]["height"], &shown["verified"]["signers"]), (&json!("1"), &json!(3)));
    let lines = wallet.run(&["--output", "ndjson", "balance", "bob"]).ok();
    assert_eq!(lines.lines().count(), 2);
    for line in lines.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(row["schema"] == 1 && row["symbol"].is_string() && row["verified"]["height"] == "1", "{row}");
    }
}

#[test]
fn accepts_names_addresses_and_ids_for_an_account() {
    let node = Node::start(World::new());
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    let by_name = wallet.run(&["--output", "json", "account", "bob"]).json();
    let (id, address) = (by_name["id"].as_str().unwrap(), by_name["address"].as_str().unwrap());
    for typed in [id, address, &address.to_uppercase()] {
        let shown = wallet.run(&["--output", "json", "account", typed]).json();
        assert_eq!(shown["account"], by_name["account"], "{typed}");
    }
    let text = wallet.run(&["account", "show", "bob"]).ok();
    assert!(text.contains("organisation  acme\n") && text.contains("verified: height 1"), "{text}");
}

#[test]
fn proves_that_something_is_not_there() {
    let node = Node::start(World::new());
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    let nobody = "77".repeat(32);
    for command in [["balance", &nobody], ["account", &nobody]] {
        let error = wallet.run(&command).failed(3);
        assert!(error.contains("does not exist (verified: height 1"), "{error}");
    }
    wallet.run(&["asset", "show", "NONE"]).failed(3);
    let carol = wallet.run(&["balance", "carol"]).ok();
    assert!(carol.contains("  nothing\n") && carol.contains("verified: height 1"), "{carol}");
}

#[test]
fn shows_assets_each_of_them_proven() {
    let node = Node::start(World::new());
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    let list = wallet.run(&["asset", "list"]).ok();
    assert!(list.contains("1000012.50") && list.contains("that the node left none out is not"), "{list}");
    let usd = wallet.run(&["--output", "json", "asset", "show", "USD"]).json();
    assert_eq!((&usd["asset"]["decimals"], &usd["asset"]["supply"]), (&json!(2), &json!("100001250")));
}

#[test]
fn refuses_an_answer_that_is_too_old() {
    let mut world = World::new();
    let old = Timestamp::new(now().get() - 90_000);
    world.blocks.clear();
    world.seal(Vec::new(), old);
    let node = Node::start(world);
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    let run = wallet.run(&["balance", "bob"]);
    assert_eq!(run.out, "");
    let error = run.failed(6);
    assert!(error.contains("the node is behind or withholds newer blocks"), "{error}");
    let out = wallet.run(&["--max-age", "10m", "balance", "bob"]).ok();
    assert!(out.contains("12.50 USD") && out.contains(" 90 s old"), "{out}");
}

#[test]
fn asks_the_next_node_when_one_is_stale_or_silent() {
    let mut stale = World::new();
    stale.blocks.clear();
    stale.seal(Vec::new(), Timestamp::new(now().get() - 90_000));
    let (stale, fresh) = (Node::start(stale), Node::start(World::new()));
    fresh.world().seal(Vec::new(), now());
    let wallet = Wallet::new(&fresh.world(), &["http://127.0.0.1:1", &stale.url, &fresh.url]);
    let out = wallet.run(&["balance", "bob"]).ok();
    assert!(out.contains("verified: height 2"), "{out}");
}

#[test]
fn says_when_no_node_answers() {
    let wallet = Wallet::new(&World::new(), &["http://127.0.0.1:1", "http://127.0.0.1:2"]);
    for command in [vec!["balance", "bob"], vec!["send", "bob", "5USD", "--from", "alice"]] {
        let error = wallet.run(&command).failed(5);
        assert!(error.contains("no node answers (2 tried)"), "{error}");
    }
}

#[test]
fn marks_what_was_asked_for_without_proof() {
    let node = Node::start(World::new());
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    for command in
        [vec!["balance", "bob"], vec!["account", "bob"], vec!["asset", "show", "USD"], vec!["asset", "list"]]
    {
        let text = wallet.run(&[&["--unverified"], command.as_slice()].concat()).ok();
        assert!(text.starts_with("UNVERIFIED: ") && !text.contains("verified: height"), "{text}");
        let shown = wallet.run(&[&["--unverified", "--output", "json"], command.as_slice()].concat()).json();
        assert!(shown["unverified"] == true && shown.get("verified").is_none(), "{shown}");
    }
    wallet.run(&["--unverified", "send", "bob", "5USD", "--from", "alice"]).failed(2);
    assert!(!wallet.home().verified_path(&quorate_keystore::NetworkName::new("test").unwrap()).exists());
}
