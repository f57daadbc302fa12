//! Who votes, and how that is changed: proven before it is shown, and checked before it is signed.
use quorate_keystore::{Cost, KeyFile, KeyName, Passphrase, Protection};
use quorate_primitives::certificate::Claim;
use quorate_primitives::evidence::{Accusation, Evidence, RecordedEvidence};
use quorate_primitives::state::StateKey;
use quorate_primitives::{Hash, Height, View, codec};
use serde_json::{Value, json};

use super::forging::{bytes, encoded};
use super::node::{Mode, Node};
use super::proxy::Proxy;
use super::wallet::Wallet;
use super::world::{World, key, now, person};

/// A governed world at height 5, and a wallet with the keys of all three administrators.
fn stage() -> (Node, Wallet) {
    let mut world = World::governed();
    world.run_to(5);
    let node = Node::start(world);
    let wallet = Wallet::of_administrators(&node.world(), &[&node.url]);
    (node, wallet)
}

const SIGNED: [&str; 6] = ["--from", "governance", "--sign-with", "admin1", "--sign-with", "admin3"];

fn signed<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [words, &SIGNED].concat()
}

/// Puts the key of this seed into the home, as `name`.
fn add_key(wallet: &Wallet, name: &str, seed: u8) {
    let file = KeyFile::seal(&KeyName::new(name).unwrap(), &key(seed), None, Protection::TestKey).unwrap();
    wallet.home().add_key(&file).unwrap();
}

/// Public key and proof that `validator prove` prints for the key of this seed.
fn proof(wallet: &Wallet, name: &str, seed: u8) -> (String, String) {
    let of_key = format!("key-{seed}");
    if !wallet.home().key_path(&KeyName::new(&of_key).unwrap()).exists() {
        add_key(wallet, &of_key, seed);
    }
    let prove = ["validator", "prove", "--name", name, "--organisation", "acme", "--key", &of_key];
    let shown = wallet.run(&[&["--output", "json"], &prove[..]].concat()).json();
    let text = |field: &str| shown[field].as_str().unwrap().to_owned();
    (text("public_key"), text("possession"))
}

fn names(shown: &Value) -> Vec<&str> {
    shown["validators"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
}

fn list(wallet: &Wallet, epoch: &str) -> Value {
    let run = wallet.run(&["--output", "json", "validator", "list", "--epoch", epoch]);
    assert_eq!(run.exit, 0, "{run:?}");
    run.json()
}

#[test]
fn adds_a_validator_with_the_signatures_of_two_of_three() {
    let (node, wallet) = stage();
    let (public, possession) = proof(&wallet, "n5", 5);
    let add = ["validator", "add", "--name", "n5", "--organisation", "acme", "--public-key", &public];
    let run = wallet.run(&signed(&[&add[..], &["--possession", &possession, "--id", "add-n5"]].concat()));
    let before = [
        "key        admin1 (test key, worthless), admin3 (test key, worthless)".to_owned(),
        format!("action     add validator n5 of acme with key {public}, as governance (qtest1"),
        "effect     from epoch 2 on, which begins with height 21; an epoch later if in no block up to height 10"
            .to_owned(),
    ];
    for line in &before {
        assert!(run.messages.contains(line.as_str()), "{line}: {run:?}");
    }
    let out = run.ok();
    assert!(out.starts_with("committed  "), "{out}");
    assert!(out.contains("event      added validator n5 of acme with key"), "{out}");
    assert!(out.contains("it votes from epoch 2 on\n"), "{out}");
    assert_eq!(names(&list(&wallet, "1")), ["n1", "n2", "n3", "n4"]);
    assert_eq!(names(&list(&wallet, "2")), ["n1", "n2", "n3", "n4", "n5"]);
    node.world().run_to(25);
    let text = wallet.run(&["validator", "list"]).ok();
    assert!(text.starts_with("epoch       2, heights 21 to 30\nquorum      4 of 5\n"), "{text}");
    assert!(text.contains(&format!("n5    acme          {public}\n")), "{text}");
    assert!(text.contains("verified: height 25, epoch 2, 4 of 5 validators"), "{text}");
}

#[test]
fn removes_validators_and_replaces_their_keys() {
    let (node, wallet) = stage();
    let out = wallet.run(&signed(&["validator", "remove", "n1"])).ok();
    assert!(out.contains("event      removed validator n1: it votes no more from epoch 2 on\n"), "{out}");
    let (public, possession) = proof(&wallet, "n2", 12);
    let rotate = ["validator", "rotate", "n2", "--public-key", &public, "--possession", &possession];
    let out = wallet.run(&signed(&rotate)).ok();
    assert!(
        out.contains(&format!("replaced the key of validator n2 by {public}: it signs with it")),
        "{out}"
    );
    let shown = list(&wallet, "2");
    assert_eq!((names(&shown), &shown["validators"][0]["key"]), (vec!["n2", "n3", "n4"], &json!(public)));
    node.world().run_to(31);
    assert!(wallet.run(&["balance", "bob"]).ok().contains("epoch 3, 3 of 3 validators"));
}

#[test]
fn lists_the_validators_of_every_epoch_that_is_decided() {
    let node = Node::start(World::changed());
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    let expected: [&[&str]; 7] = [
        &["n1", "n2", "n3", "n4"],
        &["n1", "n2", "n3", "n4"],
        &["n1", "n2", "n3", "n4", "n5"],
        &["n2", "n3", "n4", "n5"],
        &["n2", "n3", "n4", "n5", "n6"],
        &["n2", "n3", "n4", "n5", "n6"],
        &["n2", "n3", "n4", "n5", "n6"],
    ];
    for (epoch, names_expected) in expected.iter().enumerate() {
        let shown = list(&wallet, &epoch.to_string());
        assert_eq!(names(&shown), *names_expected, "epoch {epoch}");
        let heights = (shown["first_height"].as_str().unwrap(), shown["last_height"].as_str().unwrap());
        let (first, last) = ((epoch * 10 + 1).to_string(), (epoch * 10 + 10).to_string());
        assert_eq!(heights, (first.as_str(), last.as_str()));
        assert_eq!((&shown["fixed"], &shown["verified"]["epoch"]), (&json!(epoch != 6), &json!("4")));
    }
    let error = wallet.run(&["validator", "list", "--epoch", "7"]).failed(2);
    assert!(error.contains("--epoch: expected 0 to 6, found 7; who votes later is not decided"), "{error}");
    let far = wallet.run(&["validator", "list", "--epoch", "18446744073709551615"]).failed(2);
    assert!(far.contains("expected 0 to 6"), "{far}");
    let lines = wallet.run(&["--output", "ndjson", "validator", "list"]).ok();
    assert_eq!(lines.lines().count(), 5);
}

#[test]
fn says_that_others_will_vote_and_until_when_that_can_change() {
    let (_node, wallet) = stage();
    wallet.run(&signed(&["validator", "remove", "n1"])).ok();
    let text = wallet.run(&["validator", "list"]).ok();
    assert!(text.contains("others vote from epoch 2 on: see --epoch 2\n"), "{text}");
    let text = wallet.run(&["validator", "list", "--epoch", "2"]).ok();
    assert!(text.contains("can still change, up to height 10\n"), "{text}");
}

#[test]
fn shows_validators_without_proof_only_marked_as_such() {
    let (_node, wallet) = stage();
    let text = wallet.run(&["--unverified", "evidence", "list"]).ok();
    assert!(text.starts_with("UNVERIFIED: ") && !text.contains("verified: height"), "{text}");
    let text = wallet.run(&["--unverified", "validator", "list"]).ok();
    assert!(text.starts_with("UNVERIFIED: ") && text.contains("\"n4\""), "{text}");
    wallet.run(&signed(&["--unverified", "validator", "remove", "n1"])).failed(2);
}

#[test]
fn proves_the_possession_of_a_key_without_any_node() {
    let world = World::governed();
    let wallet = Wallet::new(&world, &["http://127.0.0.1:1"]);
    let passphrase = Passphrase::new("a long enough one".to_owned().into()).unwrap();
    let protection = Protection::Passphrase { passphrase: &passphrase, cost: Cost::LEAST };
    let file = KeyFile::seal(&KeyName::new("validator").unwrap(), &key(5), None, protection).unwrap();
    let path = wallet.file("folder", "").with_file_name("node-key.json");
    file.create(&path).unwrap();
    let (path, unlock) = (path.display().to_string(), wallet.file("pass", "a long enough one\n"));
    let prove = ["validator", "prove", "--name", "n5", "--organisation", "acme", "--key", &path];
    let error = wallet.run(&prove).failed(8);
    assert!(error.contains("--passphrase-file or --passphrase-fd"), "{error}");
    let out = wallet.run(&[&prove[..], &["--passphrase-file", &unlock.display().to_string()]].concat()).ok();
    let validator = super::governance::validator("n5", 5);
    let signature = validator.prove_possession(&world.genesis.hash(), &key(5));
    let expected = hex::encode(codec::encode(&signature));
    assert_eq!(expected.len(), 128);
    assert!(out.contains(&format!("possession  {expected}\n")), "{out}");
    assert!(out.contains(&format!("public key  {}\n", key(5).public_key())), "{out}");
    assert!(out.contains("validator   n5 of acme\n") && out.contains(&world.genesis.hash().to_string()));
    let missing = ["validator", "prove", "--name", "n5", "--organisation", "acme", "--key", "nowhere"];
    let error = wallet.run(&missing).failed(8);
    assert!(error.contains("--key: expected the name of a key in ") && error.contains("nowhere"), "{error}");
}

#[test]
fn refuses_a_proof_of_possession_for_anything_else() {
    let (node, wallet) = stage();
    let (public, right) = proof(&wallet, "n5", 5);
    let (_, other_name) = proof(&wallet, "n6", 5);
    let (_, other_key) = proof(&wallet, "n5", 6);
    let validator = super::governance::validator("n5", 5);
    let other_chain = validator.prove_possession(&Hash::ZERO, &key(5));
    let other_chain = hex::encode(codec::encode(&other_chain));
    let zero = "00".repeat(64);
    for wrong in [&other_name, &other_key, &other_chain, &zero] {
        let add = ["validator", "add", "--name", "n5", "--organisation", "acme", "--public-key", &public];
        let error = wallet.run(&signed(&[&add[..], &["--possession", wrong]].concat())).failed(4);
        assert!(error.contains("1030 possession_invalid"), "{error}");
        assert!(error.contains("--possession: validator n5 of acme, key "), "{error}");
        assert!(error.contains("validator prove") && error.contains("nothing was signed"), "{error}");
    }
    let rotate = ["validator", "rotate", "n2", "--public-key", &public, "--possession", &right];
    let error = wallet.run(&signed(&rotate)).failed(4);
    assert!(error.contains("possession_invalid") && error.contains("validator n2 of acme"), "{error}");
    assert!(node.given().is_empty());
}

#[test]
fn refuses_before_signing_what_the_proven_validators_do_not_allow() {
    let (node, wallet) = stage();
    let (fifth, of_fifth) = proof(&wallet, "n5", 5);
    let (taken, of_taken) = proof(&wallet, "n5", 3);
    let (same, of_same) = proof(&wallet, "n2", 3);
    let named = |name: &'static str| ["validator", "add", "--name", name, "--organisation", "acme"];
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (
            [&named("n1")[..], &["--public-key", &fifth, "--possession", &of_fifth]].concat(),
            "1028 validator_exists",
        ),
        (
            [&named("n5")[..], &["--public-key", &taken, "--possession", &of_taken]].concat(),
            "n3 of acme with key",
        ),
        (
            vec![
                "validator",
                "add",
                "--name",
                "n5",
                "--organisation",
                "nobody",
                "--public-key",
                &fifth,
                "--possession",
                &of_fifth,
            ],
            "1006 organisation_unknown",
        ),
        (
            vec!["validator", "remove", "n9"],
            "1027 validator_unknown: no validator has the name (n9; there will be n1, n2, n3, n4)",
        ),
        (
            vec!["validator", "rotate", "n9", "--public-key", &fifth, "--possession", &of_fifth],
            "validator_unknown",
        ),
        (
            vec!["validator", "rotate", "n2", "--public-key", &same, "--possession", &of_same],
            "validator_exists",
        ),
    ];
    for (words, expected) in cases {
        let error = wallet.run(&signed(&words)).failed(4);
        assert!(error.contains(expected) && error.contains("nothing was signed"), "{words:?}: {error}");
    }
    assert!(node.given().is_empty());
}

#[test]
fn refuses_before_signing_with_too_few_keys() {
    let (node, wallet) = stage();
    let remove = ["validator", "remove", "n1", "--from", "governance"];
    let error = wallet.run(&[&remove[..], &["--sign-with", "admin1"]].concat()).failed(4);
    assert!(error.contains("1001 unauthorised"), "{error}");
    assert!(error.contains("account governance needs weight 2 of its 3 keys, but the keys that sign have 1"));
    let error =
        wallet.run(&[&remove[..], &["--sign-with", "admin1", "--sign-with", "bob"]].concat()).failed(4);
    assert!(error.contains("the keys that sign have 1"), "{error}");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--from", "governance"], 8, "governance.json: no such file"),
        (&["--sign-with", "admin1"], 2, "--from: say which account acts"),
        (&["--from", "nobody", "--sign-with", "admin1"], 2, "account \"nobody\": no key"),
        (&["--from", "governance", "--sign-with", "admin9"], 8, "admin9.json: no such file"),
        (
            &["--from", "governance", "--sign-with", "admin1", "--sign-with", "admin1"],
            2,
            "--sign-with: admin1 and admin1 are the same key",
        ),
    ];
    for (words, exit, expected) in cases {
        let error = wallet.run(&[&["validator", "remove", "n1"], *words].concat()).failed(*exit);
        assert!(error.contains(expected), "{words:?}: {error}");
    }
    assert!(node.given().is_empty());
}

#[test]
fn any_transaction_can_be_signed_by_several_keys() {
    let (node, wallet) = stage();
    let pay = ["send", "governance", "5USD", "--from", "alice", "--sign-with", "alice"];
    wallet.run(&pay).ok();
    let back =
        ["send", "alice", "2USD", "--from", "governance", "--sign-with", "admin2", "--sign-with", "admin1"];
    let out = wallet.run(&back).ok();
    assert!(out.contains("governance (qtest1") && out.contains("now owns 3.00 USD"), "{out}");
    let given = node.given();
    let mut expected = [person("admin1").public_key(), person("admin2").public_key()];
    expected.sort();
    assert_eq!(given.last().unwrap().transaction().signers.to_vec(), expected);
}

#[test]
fn opens_each_encrypted_key_with_its_own_line() {
    let (node, wallet) = stage();
    let seal = |name: &str, as_person: &str, passphrase: &str| {
        let passphrase = Passphrase::new(passphrase.to_owned().into()).unwrap();
        let protection = Protection::Passphrase { passphrase: &passphrase, cost: Cost::LEAST };
        let key = KeyFile::seal(&KeyName::new(name).unwrap(), &person(as_person), None, protection).unwrap();
        wallet.home().add_key(&key).unwrap();
    };
    seal("first", "admin1", "the passphrase of the first");
    seal("second", "admin2", "the passphrase of the second");
    let remove = ["validator", "remove", "n1", "--from", "governance"];
    let signers = ["--sign-with", "second", "--sign-with", "first", "--yes", "--passphrase-file"];
    let run = |lines: &str| {
        let file = wallet.file("passphrases", lines).display().to_string();
        wallet.run(&[&remove[..], &signers[..], &[file.as_str()]].concat())
    };
    let error = run("the passphrase of the second\n").failed(8);
    assert!(error.contains("key \"first\": no passphrase on line 2"), "{error}");
    let error = run("the passphrase of the first\nthe passphrase of the second\n").failed(8);
    assert!(error.contains("key \"second\": the passphrase is wrong"), "{error}");
    assert!(node.given().is_empty());
    run("the passphrase of the second\nthe passphrase of the first\n").ok();
}

#[test]
fn changes_the_validators_once_however_often_it_is_asked_for() {
    let (node, wallet) = stage();
    let remove = signed(&["validator", "remove", "n1", "--id", "remove-n1"]);
    node.set_mode(Mode::Forget);
    wallet.run(&[&remove[..], &["--wait", "100ms"]].concat()).failed(6);
    node.set_mode(Mode::Include);
    wallet.run(&remove).ok();
    let again = wallet.run(&remove);
    assert!(again.messages.contains("recorded as committed"), "{again:?}");
    assert!(!again.messages.contains("effect "), "nothing more takes effect: {again:?}");
    again.ok();
    let given = node.given();
    assert!(given.windows(2).all(|pair| pair[0] == pair[1]), "the same bytes each time");
    let others = ["validator", "remove", "n1", "--id", "remove-n1", "--from", "governance"];
    let others = [&others[..], &["--sign-with", "admin1", "--sign-with", "admin2"]].concat();
    let error = wallet.run(&others).failed(2);
    assert!(error.contains("--id: remove-n1 was signed before with the keys "), "{error}");
    assert_eq!(node.given().len(), given.len());
}

#[test]
fn says_when_a_change_takes_effect_at_the_end_of_an_epoch() {
    let (node, wallet) = stage();
    node.world().run_to(10);
    let run = wallet.run(&signed(&["validator", "remove", "n1"]));
    let effect = "effect     from epoch 3 on, which begins with height 31; an epoch later if in no block up to height 20";
    assert!(run.messages.contains(effect), "{run:?}");
    assert!(run.ok().contains("from epoch 3 on\n"));
}

/// Evidence that a validator voted for two blocks.
fn recorded(world: &World, index: u8, height: u64) -> (StateKey, Vec<u8>) {
    let (identity, secret) = (*world.epochs[0].identity(), key(index + 1));
    let vote = |byte: u8| {
        let claim = Claim::Notarize { view: View::new(3), block: Hash::from_bytes([byte; 32]) };
        claim.sign(&identity.context(), index, &secret)
    };
    let evidence = Evidence { first: vote(1), second: vote(2) };
    let accusation = Accusation { identity, validator: secret.public_key(), evidence };
    let kind = accusation.check().unwrap();
    let state_key = StateKey::Evidence(identity.epoch, secret.public_key(), kind);
    (state_key, codec::encode(&RecordedEvidence { accusation, height: Height::new(height) }))
}

/// A world whose ledger has recorded evidence against two validators.
fn guilty() -> World {
    let mut world = World::governed();
    for (index, height) in [(2, 4), (0, 3)] {
        let (state_key, value) = recorded(&world, index, height);
        world.blocks.last_mut().unwrap().state.insert(state_key, value);
    }
    world.seal(Vec::new(), now());
    world
}

#[test]
fn lists_all_evidence_and_proves_that_it_is_all() {
    let node = Node::start(guilty());
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    let text = wallet.run(&["evidence", "list"]).ok();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("height  epoch  view  validator"), "{text}");
    assert!(lines[1].starts_with(&format!("3       0      3     {}", key(1).public_key())), "{text}");
    assert!(lines[2].starts_with(&format!("4       0      3     {}", key(3).public_key())), "{text}");
    assert!(lines[1].ends_with("notarized two blocks in one view"), "{text}");
    assert!(text.contains("this is all that was ever recorded\nverified: height 2, epoch 0, "), "{text}");
    let shown = wallet.run(&["--output", "json", "evidence", "list"]).json();
    assert_eq!((&shown["complete"], shown["evidence"].as_array().unwrap().len()), (&json!("proven"), 2));
    let lines = wallet.run(&["--output", "ndjson", "evidence", "list"]).ok();
    assert_eq!(lines.lines().count(), 2);
}

#[test]
fn proves_that_there_is_no_evidence() {
    let (_node, wallet) = stage();
    let text = wallet.run(&["evidence", "list"]).ok();
    assert!(text.starts_with("no evidence was ever recorded\nverified: height 5, epoch 0, "), "{text}");
}

#[test]
fn is_not_deceived_about_evidence_and_validators() {
    let node = Node::start(guilty());
    let proxy = Proxy::start(&node.url);
    let wallet = Wallet::new(&node.world(), &[&proxy.url]);
    type Lie = (&'static str, &'static [&'static str], fn(&mut Value));
    let evidence: &[&str] = &["evidence", "list"];
    let validators: &[&str] = &["validator", "list", "--epoch", "2"];
    let lies: &[Lie] = &[
        ("one left out", evidence, |result| {
            result["evidence"].as_array_mut().unwrap().remove(0);
            result["proof"]["values"].as_array_mut().unwrap().remove(0);
        }),
        ("one left out beside the proof", evidence, |result| {
            result["evidence"].as_array_mut().unwrap().remove(0);
        }),
        ("none at all", evidence, |result| {
            result["evidence"] = json!([]);
            result["proof"]["values"] = json!([]);
        }),
        ("another validator beside the proof", evidence, |result| {
            result["evidence"][0]["accusation"]["validator"] = json!("01".repeat(32));
        }),
        ("another height in the proof", evidence, |result| {
            bytes(&mut result["proof"]["values"][0]["value"], |recorded: &mut RecordedEvidence| {
                recorded.height = Height::new(9);
            });
        }),
        ("no proof", evidence, |result| result["proof"] = Value::Null),
        ("a later set of its own", validators, |result| {
            result["entries"][1]["value"] = encoded(World::governed().epochs[0].validators());
        }),
        ("no proof of absence", validators, |result| result["entries"][1]["state"] = Value::Null),
    ];
    for (name, command, lie) in lies {
        let lie = *lie;
        proxy.alter(move |method, result| {
            if method == "chain_getEvidence" || method == "state_get" {
                lie(result);
            }
        });
        let run = wallet.run(command);
        assert_eq!((run.exit, run.out.as_str()), (7, ""), "{name}: {run:?}");
        proxy.be_honest();
        wallet.run(command).ok();
    }
}

#[test]
fn names_what_is_wrong_with_a_validator_command() {
    let (node, wallet) = stage();
    let (public, possession) = proof(&wallet, "n5", 5);
    let long = "n".repeat(33);
    let cases: &[(&[&str], &str)] = &[
        (
            &["validator", "add", "--name", "", "--organisation", "acme"],
            "--name <NAME>': expected 1 to 32 bytes",
        ),
        (&["validator", "remove", &long], "expected 1 to 32 bytes"),
        (&["validator", "add", "--name", "n5", "--organisation", "Acme"], "1 to 32 lower-case letters"),
        (&["validator", "rotate", "n2", "--public-key", "12"], "expected 64 hexadecimal digits"),
        (
            &["validator", "rotate", "n2", "--public-key", &public, "--possession", &public],
            "expected 128 hexadecimal digits",
        ),
        (
            &["validator", "rotate", "n2", "--public-key", &"00".repeat(32), "--possession", &possession],
            "public-key",
        ),
        (&["validator", "add", "--name", "n5"], "--organisation"),
        (&["validator", "list", "--epoch", "now"], "--epoch"),
        (&["validator", "vote"], "unrecognized subcommand"),
        (&["evidence", "show"], "unrecognized subcommand"),
    ];
    for (words, expected) in cases {
        let error = wallet.run(words).failed(2);
        assert!(error.contains(expected), "{words:?}: {error:?} does not say {expected:?}");
    }
    assert!(node.given().is_empty());
}
