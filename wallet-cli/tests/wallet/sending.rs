//! A payment happens exactly once, and its outcome is proven.
use quorate_keystore::{Cost, KeyFile, KeyName, Passphrase, Protection};
use quorate_primitives::address::Address;
use quorate_rpc::ErrorKind;
use serde_json::json;

use super::node::{Mode, Node};
use super::proxy::Proxy;
use super::wallet::Wallet;
use super::world::{World, now, person};

fn stage() -> (Node, Wallet) {
    let node = Node::start(World::new());
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    (node, wallet)
}

const PAY: [&str; 5] = ["send", "bob", "5USD", "--from", "alice"];

fn with(words: &[&'static str]) -> Vec<&'static str> {
    [PAY.as_slice(), words].concat()
}

#[test]
fn pays_and_proves_it() {
    let (_node, wallet) = stage();
    let run = wallet.run(&with(&["--ref", "order 7", "--memo", "thank you"]));
    assert!(run.messages.contains("action     transfer 5.00 USD from alice (qtest1"), "{run:?}");
    assert!(
        run.messages.contains("(test key, worthless)") && run.messages.contains("memo       thank you"),
        "{run:?}"
    );
    let out = run.ok();
    assert!(out.starts_with("committed  ") && out.contains("bob (qtest1"), "{out}");
    assert!(
        out.contains("now owns 17.50 USD") && out.contains("verified: height 2, epoch 0, 3 of 4 validators"),
        "{out}"
    );
    let balance = wallet.run(&["balance", "bob"]).ok();
    assert!(balance.contains("  17.50 USD\n"), "{balance}");
}

#[test]
fn gives_scripts_the_outcome_with_its_proof() {
    let (_node, wallet) = stage();
    let sent = wallet.run(&[&["--output", "json"], PAY.as_slice()].concat()).json();
    assert_eq!(
        (&sent["schema"], &sent["outcome"], &sent["height"]),
        (&json!(1), &json!("committed"), &json!("2"))
    );
    assert!(sent["proof"]["receipt"].is_string() && sent["verified"]["signers"] == 3, "{sent}");
    let id = sent["tx_id"].as_str().unwrap();
    let shown = wallet.run(&["--output", "json", "tx", "show", id]).json();
    assert_eq!((&shown["outcome"], &shown["receipt"]), (&json!("committed"), &sent["receipt"]));
    let text = wallet.run(&["tx", "show", id]).ok();
    assert!(text.contains("action     transfer 5.00 USD from alice"), "{text}");
    wallet.run(&["tx", "wait", id]).ok();
}

#[test]
fn proves_a_payment_through_the_history_of_a_later_block() {
    let (node, wallet) = stage();
    node.set_mode(Mode::IncludeUncertified);
    let out = wallet.run(&PAY).ok();
    assert!(out.contains("verified: height 2, epoch 0, 3 of 4 validators"), "{out}");
}

#[test]
fn sends_the_same_bytes_again_under_the_same_id() {
    let (node, wallet) = stage();
    let pay = with(&["--id", "invoice-42"]);
    let first = wallet.run(&pay).ok();
    let run = wallet.run(&pay);
    assert!(run.messages.contains("sent before and recorded as committed"), "{run:?}");
    let again = run.ok();
    assert_eq!(first.lines().next(), again.lines().next(), "the same transaction");
    let given = node.given();
    assert!(given.len() == 2 && given[0] == given[1]);
    assert!(wallet.run(&["balance", "bob"]).ok().contains("  17.50 USD\n"), "paid once");
    let other = wallet.run(&["send", "bob", "6USD", "--from", "alice", "--id", "invoice-42"]).failed(2);
    assert!(other.contains("was used for another transaction: transfer 5.00 USD"), "{other}");
    assert_eq!(node.given().len(), 2);
}

#[test]
fn keeps_what_it_signed_before_any_node_sees_it_and_can_be_repeated_after_a_crash() {
    let (node, wallet) = stage();
    node.set_mode(Mode::Forget);
    let pay = with(&["--id", "invoice-43", "--wait", "100ms"]);
    let error = wallet.run(&pay).failed(6);
    assert!(error.contains("repeating with --id") && error.contains("is safe"), "{error}");
    let kept = wallet.contents();
    let (_, entry) = kept.iter().find(|(path, _)| path.to_string_lossy().contains("/outbox/")).unwrap();
    let entry: serde_json::Value = serde_json::from_slice(entry).unwrap();
    assert_eq!(entry["outcome"], json!(null));
    node.set_mode(Mode::Include);
    wallet.run(&pay).ok();
    let given = node.given();
    assert!(given.windows(2).all(|pair| pair[0] == pair[1]), "the same bytes each time");
    assert!(wallet.run(&["balance", "bob"]).ok().contains("  17.50 USD\n"), "paid once");
}

#[test]
fn proves_that_a_payment_expired_and_can_never_happen() {
    let (node, wallet) = stage();
    node.set_mode(Mode::Expire);
    let pay = with(&["--id", "late", "--expires", "1s"]);
    let error = wallet.run(&pay).failed(11);
    assert!(error.contains("in no block and can never be in one (verified: height 2"), "{error}");
    node.set_mode(Mode::Include);
    let again = wallet.run(&["--output", "json", "send", "bob", "5USD", "--from", "alice", "--id", "late"]);
    assert_eq!(again.exit, 11, "{again:?}");
    assert!(wallet.run(&["balance", "bob"]).ok().contains("  12.50 USD\n"), "nothing was paid");
}

#[test]
fn does_not_believe_a_node_that_an_open_payment_expired() {
    let (node, wallet) = stage();
    node.set_mode(Mode::Forget);
    let proxy = Proxy::start(&node.url);
    proxy.alter(|method, result| {
        if method.starts_with("tx_") {
            result["status"]["state"] = json!("expired");
        }
    });
    let pay = [&["--rpc", &proxy.url], PAY.as_slice(), &["--wait", "100ms"]].concat();
    wallet.run(&pay).failed(6);
}

#[test]
fn reports_a_refusal_of_the_ledger_with_its_proof() {
    let (_node, wallet) = stage();
    let unsupported = ["asset", "burn", "13USD", "--of", "bob", "--from", "alice"];
    let run = wallet.run(&[&["--output", "json"], unsupported.as_slice()].concat());
    assert_eq!(run.exit, 4);
    let details = &run.json()["error"]["details"];
    assert_eq!((&details["code"], &details["name"]), (&json!(1019), &json!("insufficient_funds")));
    assert!(details["proven"] == true && details["verified"]["signers"] == 3, "{details}");
    let id = details["tx_id"].as_str().unwrap();
    wallet.run(&["tx", "wait", id]).failed(4);
    assert!(wallet.run(&["tx", "show", id]).ok().starts_with("failed     "));
}

const REFUSAL: Mode =
    Mode::Refuse(ErrorKind::Refused(quorate_primitives::receipt::Failure::PermissionMissing));

#[test]
fn a_nodes_refusal_proves_nothing() {
    let (node, wallet) = stage();
    node.set_mode(REFUSAL);
    let error = wallet.run(&PAY).failed(6);
    assert!(error.contains("refused by http://127.0.0.1") && error.contains("not proven"), "{error}");
    assert!(error.contains("repeating with --id") && error.contains("is safe"), "{error}");
    node.set_mode(Mode::Refuse(ErrorKind::MempoolFull));
    wallet.run(&with(&["--wait", "100ms"])).failed(6);
}

#[test]
fn a_payment_that_one_node_refuses_is_given_to_the_others() {
    let honest = Node::start(World::new());
    let same = World { blocks: honest.world().blocks.clone(), ..World::new() };
    let refusing = Node::start(same);
    refusing.set_mode(REFUSAL);
    let wallet = Wallet::new(&honest.world(), &[&refusing.url, &honest.url]);
    wallet.run(&PAY).ok();
    honest.set_mode(REFUSAL);
    let error = wallet.run(&PAY).failed(6);
    assert!(error.contains(&refusing.url) && error.contains(&honest.url), "{error}");
    let wallet = Wallet::new(&honest.world(), &["http://127.0.0.1:1", &honest.url]);
    assert!(wallet.run(&PAY).failed(6).contains(&honest.url));
}

#[test]
fn gives_a_payment_to_the_next_node_when_the_first_is_gone() {
    let node = Node::start(World::new());
    let wallet = Wallet::new(&node.world(), &["http://127.0.0.1:1", &node.url]);
    wallet.run(&PAY).ok();
}

#[test]
fn refuses_before_signing_what_the_proven_state_cannot_pay() {
    let (node, wallet) = stage();
    let error = wallet.run(&["send", "bob", "1000000.01USD", "--from", "alice"]).failed(4);
    assert!(error.contains("insufficient_funds") && error.contains("nothing was signed"), "{error}");
    wallet.run(&["send", &"77".repeat(32), "5USD", "--from", "alice"]).failed(3);
    wallet.run(&["send", "bob", "5NONE", "--from", "alice"]).failed(3);
    assert!(node.given().is_empty());
}

#[test]
fn asks_for_the_passphrase_and_the_confirmation_that_an_encrypted_key_needs() {
    let (node, wallet) = stage();
    let passphrase = Passphrase::new("a long enough one".to_owned().into()).unwrap();
    let name = KeyName::new("treasury").unwrap();
    let protection = Protection::Passphrase { passphrase: &passphrase, cost: Cost::LEAST };
    let key = KeyFile::seal(&name, &person("alice"), None, protection).unwrap();
    wallet.home().add_key(&key).unwrap();
    let (right, wrong) =
        (wallet.file("right", "a long enough one\nnot this\n"), wallet.file("wrong", "another one\n"));
    let pay = ["send", "bob", "5USD", "--from", "treasury"];
    let error = wallet.run(&pay).failed(10);
    assert!(error.contains("give --yes"), "{error}");
    let confirmed = [pay.as_slice(), &["--yes"]].concat();
    let error = wallet.run(&confirmed).failed(8);
    assert!(error.contains("--passphrase-file or --passphrase-fd"), "{error}");
    let unlocked = |file: &std::path::Path| {
        [confirmed.as_slice(), &["--passphrase-file"]]
            .concat()
            .iter()
            .map(|word| (*word).to_owned())
            .chain([file.display().to_string()])
            .collect::<Vec<_>>()
    };
    let run = |words: Vec<String>| wallet.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(run(unlocked(&wrong)).failed(8).contains("the passphrase is wrong"));
    assert!(node.given().is_empty() && !wallet.contents().iter().any(|(path, _)| path.ends_with("outbox")));
    let sent = run(unlocked(&right));
    assert!(!sent.messages.contains("worthless"), "{sent:?}");
    sent.ok();
}

#[test]
fn opens_accounts_and_manages_assets() {
    let (node, wallet) = stage();
    wallet.run(&["keys", "new", "dora", "--test-key"]).ok();
    let create = ["account", "create", "dora", "--organisation", "acme", "--from", "alice"];
    assert!(wallet.run(&create).ok().contains("opened account dora (qtest1"));
    assert!(wallet.run(&create).failed(4).contains("account_exists"));
    assert!(wallet.run(&["account", "dora"]).ok().contains("label         dora\n"));
    let asset = ["asset", "create", "GOLD", "--name", "gold", "--decimals", "3", "--capability", "mintable"];
    wallet.run(&[asset.as_slice(), &["--cap", "10.5", "--from", "alice"]].concat()).ok();
    wallet.run(&["asset", "mint", "1.234GOLD", "--to", "dora", "--from", "alice"]).ok();
    wallet.run(&["asset", "burn", "0.2GOLD", "--from", "dora"]).ok();
    assert!(wallet.run(&["balance", "dora"]).ok().contains("  1.034 GOLD\n"));
    assert!(wallet.run(&["asset", "show", "GOLD"]).ok().contains("cap           10.500\n"));
    assert!(node.world().head().header.time <= now());
}

#[test]
fn mints_and_burns_nothing_for_an_address_with_a_deposit_tag() {
    let (node, wallet) = stage();
    let bob = Address { account: node.world().id("bob"), tag: Some([7; 8]) };
    let tagged = bob.to_text(&node.world().genesis.prefix);
    for (what, flag) in [("mint", "--to"), ("burn", "--of")] {
        let error = wallet.run(&["asset", what, "1USD", flag, &tagged, "--from", "alice"]).failed(2);
        assert!(error.contains(&format!("{flag}: the address carries a deposit tag")), "{error}");
    }
    assert!(node.given().is_empty());
}

#[test]
fn signs_nothing_under_an_id_that_another_transaction_used() {
    let (node, first) = stage();
    first.run(&with(&["--id", "invoice-44"])).ok();
    let second = Wallet::new(&node.world(), &[&node.url]);
    let error = second.run(&with(&["--id", "invoice-44"])).failed(4);
    assert!(error.contains("nonce_conflict: id") && error.contains("nothing was signed"), "{error}");
    assert_eq!(node.given().len(), 1);
}

#[test]
fn proves_that_another_transaction_used_the_id_of_a_payment() {
    let (node, first) = stage();
    let second = Wallet::new(&node.world(), &[&node.url]);
    node.set_mode(Mode::Forget);
    let pay = with(&["--id", "invoice-45", "--wait", "100ms"]);
    second.run(&pay).failed(6);
    node.set_mode(Mode::Include);
    let other =
        first.run(&["--output", "json", "send", "carol", "6USD", "--from", "alice", "--id", "invoice-45"]);
    let used_by = other.json()["tx_id"].clone();
    node.set_mode(Mode::Forget);
    let run = second.run(&[&["--output", "json"], pay.as_slice()].concat());
    assert_eq!(run.exit, 4, "{run:?}");
    let details = &run.json()["error"]["details"];
    assert_eq!((&details["name"], &details["used_by"]), (&json!("nonce_conflict"), &used_by));
    assert!(
        details["proven"] == true && details["height"] == "2" && details["tx_id"] != used_by,
        "{details}"
    );
    let error = run.failed(4);
    assert!(error.contains("was used by transaction") && error.contains("in block 2"), "{error}");
    assert!(second.run(&pay).messages.contains("recorded as nonce_conflict"));
}

/// Puts a folder where a file was, so that the file can no longer be written.
fn obstruct(file: &std::path::Path) {
    std::fs::remove_file(file).unwrap();
    std::fs::create_dir(file).unwrap();
}

/// A wallet whose files cannot be written any more once a node was given a transaction.
fn obstructed(node: &Node) -> (Proxy, Wallet) {
    let proxy = Proxy::start(&node.url);
    let wallet = Wallet::new(&node.world(), &[&proxy.url]);
    let network = wallet.home().path().join("networks/test");
    proxy.alter(move |method, _| {
        if method == "tx_submitAndWait" && network.join("verified.json").is_file() {
            obstruct(&network.join("verified.json"));
            for entry in std::fs::read_dir(network.join("outbox")).unwrap() {
                obstruct(&entry.unwrap().path());
            }
        }
    });
    (proxy, wallet)
}

#[test]
fn a_proven_payment_stays_paid_when_the_outcome_cannot_be_noted() {
    let node = Node::start(World::new());
    let (_proxy, wallet) = obstructed(&node);
    let run = wallet.run(&PAY);
    let warnings = run.messages.lines().filter(|line| line.starts_with("warning: ")).count();
    assert_eq!(warnings, 2, "the height and the outcome: {run:?}");
    assert!(run.ok().starts_with("committed  "));
}

#[test]
fn a_local_failure_after_sending_names_the_payment_that_may_be_on_its_way() {
    let node = Node::start(World::new());
    node.set_mode(Mode::Skip);
    let (_proxy, wallet) = obstructed(&node);
    let run = wallet.run(&[&["--output", "json"], PAY.as_slice()].concat());
    assert_eq!(run.exit, 6, "{run:?}");
    let details = &run.json()["error"]["details"];
    assert_eq!(details["tx_id"], node.given()[0].id().to_string());
    assert_eq!(details["nonce"], hex::encode(node.given()[0].transaction().nonce));
    assert!(run.failed(6).contains("repeating with --id"));
}
