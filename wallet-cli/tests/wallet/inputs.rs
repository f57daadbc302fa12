//! Wrong input: one line that names field, found and allowed, the right exit code, nothing written.
use std::io::Write;
use std::process::Stdio;

use super::node::Node;
use super::wallet::{Run, Wallet};
use super::world::World;

#[test]
fn names_what_is_wrong_with_the_command_line() {
    let node = Node::start(World::new());
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    wallet.run(&["balance", "bob"]).ok();
    let before = wallet.contents();
    let long = "x".repeat(257);
    let cases: &[(&[&str], i32, &str)] = &[
        (&["send", "bob", "5", "--from", "alice"], 2, "of which asset?"),
        (&["send", "bob", "5.001USD", "--from", "alice"], 2, "3 digits after the point, but the asset has 2"),
        (&["send", "bob", "0USD", "--from", "alice"], 2, "expected more than zero"),
        (&["send", "bob", "five", "--from", "alice"], 2, "an amount like 12.50USD"),
        (&["send", "bob", "-5USD", "--from", "alice"], 2, "unexpected argument"),
        (&["send", "bob", "5usd", "--from", "alice"], 2, "an amount like 12.50USD"),
        (&["send", "bob", "5USD", "--asset", "QTY", "--from", "alice"], 2, "is not of QTY"),
        (
            &["send", "bob", "9999999999999999999999999999999999999999USD", "--from", "alice"],
            2,
            "larger than any",
        ),
        (&["send", "bbo", "5USD", "--from", "alice"], 2, "account \"bbo\": no key"),
        (&["send", "alice", "5USD", "--from", "alice"], 2, "the sender itself"),
        (&["send", "bob", "5USD"], 2, "several keys"),
        (&["send", "bob", "5USD", "--from", "mallory"], 8, "mallory.json: no such file"),
        (&["send", "bob", "5USD", "--from", "../alice"], 2, "a key name of 1 to 32"),
        (&["send", "bob", "5USD", "--from", "alice", "--expires", "10"], 2, "a duration like"),
        (
            &["send", "bob", "5USD", "--from", "alice", "--expires", "100d"],
            2,
            "--expires: expected 1000ms to",
        ),
        (
            &["send", "bob", "5USD", "--from", "alice", "--id", "far too long an id"],
            2,
            "32 hexadecimal digits",
        ),
        (
            &["send", "bob", "5USD", "--from", "alice", "--memo", &long],
            2,
            "length 257, but 0 to 256 are allowed",
        ),
        (&["send", "bob", "5USD", "--from", "alice", "--ref", "a\u{202e}b"], 2, "control character U+202E"),
        (&["send", "bob"], 2, "<AMOUNT>"),
        (&["balance", "qtest1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"], 2, "not a bech32m address"),
        (&["--network", "other", "balance", "bob"], 9, "other/network.toml: no such file"),
        (&["--rpc", "ftp://host", "balance", "bob"], 2, "expected http://HOST:PORT"),
        (&["--max-age", "old", "balance", "bob"], 2, "a duration like"),
        (&["tx", "show", "123"], 2, "expected 64 hexadecimal digits"),
        (&["asset", "create", "usd", "--name", "x", "--decimals", "2"], 2, "1 to 12 upper-case letters"),
        (&["asset", "create", "EUR", "--name", "x", "--decimals", "19"], 2, "19 is not in 0..=18"),
        (
            &["asset", "create", "EUR", "--name", "x", "--decimals", "2", "--capability", "fly"],
            2,
            "expected one of mintable",
        ),
        (&["keys", "new", "Alice"], 2, "a key name of 1 to 32"),
        (&["keys", "new", "alice", "--test-key"], 8, "exists already and is never overwritten"),
        (&["keys", "new", "dora"], 8, "--passphrase-file or --passphrase-fd"),
        (&["keys", "show", "dora"], 8, "dora.json: no such file"),
        (&["keys", "import", "dora", "--from", "/nonexistent"], 8, "/nonexistent: No such file"),
        (&["network", "add", "n", "--genesis", "/nonexistent"], 9, "/nonexistent: no such file"),
        (&["network", "use", "other"], 9, "other/network.toml: no such file"),
        (&["fly"], 2, "unrecognized subcommand"),
    ];
    for (words, exit, expected) in cases {
        let error = wallet.run(words).failed(*exit);
        assert!(error.contains(expected), "{words:?}: {error:?} does not say {expected:?}");
    }
    assert_eq!(wallet.contents(), before, "nothing is written");
    assert!(node.given().is_empty());
}

#[test]
fn names_what_is_wrong_with_a_file_of_the_home() {
    let node = Node::start(World::new());
    let network = "networks/test/network.toml";
    let cases: &[(&str, &str, &str, i32, &str)] = &[
        (
            network,
            "genesis_hash = \"",
            "genesis_hash = \"z",
            9,
            "genesis_hash: expected 64 hexadecimal digits",
        ),
        (network, "rpc = ", "urls = ", 9, "line 1: unknown field `urls`"),
        ("networks/test/genesis.toml", "decimals = 2", "decimals = 3", 9, "the document hashes to"),
        ("networks/test/genesis.toml", "decimals = 2", "decimals = 99", 9, "genesis.toml: line"),
        ("networks/current", "test", "../test", 9, "a network name of 1 to 32"),
        ("keys/bob.json", "\"schema\": 1", "\"schema\": 9", 8, "schema: expected 1, found \"9\""),
        (
            "keys/bob.json",
            "\"name\": \"bob\"",
            "\"name\": \"alice\"",
            8,
            "name: expected bob, as the file is named",
        ),
    ];
    for (file, before, after, exit, expected) in cases {
        let wallet = Wallet::new(&node.world(), &[&node.url]);
        let path = wallet.home().path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(before), "{file}: {text}");
        std::fs::write(&path, text.replacen(before, after, 1)).unwrap();
        let untouched = wallet.contents();
        let error = wallet.run(&["balance", "bob"]).failed(*exit);
        assert!(
            error.contains(expected) && error.contains(file.rsplit('/').next().unwrap()),
            "{file}: {error}"
        );
        assert_eq!(wallet.contents(), untouched);
    }
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    wallet.run(&["balance", "bob"]).ok();
    let path = wallet.home().verified_path(&quorate_keystore::NetworkName::new("test").unwrap());
    std::fs::write(path, "{}").unwrap();
    assert!(wallet.run(&["balance", "bob"]).failed(9).contains("verified.json: missing field"));
}

#[test]
fn a_fresh_home_says_what_to_do_first() {
    let wallet = Wallet::empty();
    assert!(wallet.run(&["balance", "bob"]).failed(9).contains("network add NAME --genesis FILE --rpc URL"));
    assert_eq!(wallet.run(&["keys", "list"]).ok(), "name  account  kind\n");
    assert!(!wallet.home().path().exists(), "nothing is written");
}

#[test]
fn pins_a_network_only_if_its_genesis_is_the_expected_one() {
    let (wallet, world) = (Wallet::empty(), World::new());
    let genesis = wallet.file("genesis.toml", &world.toml).display().to_string();
    let (hash, other) = (world.genesis.hash().to_string(), "00".repeat(32));
    let add = ["network", "add", "main", "--genesis", &genesis, "--genesis-hash"];
    let url = ["--rpc", "http://127.0.0.1:1"];
    assert!(
        wallet.run(&[&add[..], &[&other], &url].concat()).failed(9).contains("but --genesis-hash is 0000")
    );
    assert!(wallet.run(&[&add[..], &[&hash]].concat()).failed(2).contains("expected 1 to 16 urls"));
    assert!(wallet.contents().is_empty(), "nothing is written");
    let shown = wallet.run(&[&add[..], &[&hash], &url].concat()).ok();
    assert!(shown.contains(&hash) && shown.contains("validators  4 (quorum 3)"), "{shown}");
    wallet.run(&[&add[..], &[&hash], &url].concat()).failed(9);
    assert!(wallet.run(&["network", "list"]).ok().lines().nth(1).unwrap().starts_with("*  main"));
}

fn piped(wallet: &Wallet, words: &[&str], input: &str) -> Run {
    let mut command = wallet.command(words);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A process that refuses its arguments does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Run::of(&child.wait_with_output().unwrap())
}

#[test]
fn makes_takes_over_and_hands_out_keys() {
    let wallet = Wallet::empty();
    let passphrase = wallet.file("passphrase", "a long enough one\n").display().to_string();
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let short = wallet.file("short", "short\n").display().to_string();
    let error = piped(&wallet, &["keys", "import", "old", "--passphrase-file", &short], seed).failed(8);
    assert!(error.contains("a passphrase of 5 bytes, but 8 to 1024 are allowed"), "{error}");
    assert!(
        piped(&wallet, &["keys", "import", "old", "--test-key"], "nonsense")
            .failed(8)
            .contains("secret: expected")
    );
    assert!(wallet.contents().is_empty(), "nothing is written");

    let run = piped(
        &wallet,
        &["--output", "json", "keys", "import", "old", "--passphrase-file", &passphrase],
        seed,
    );
    let shown = run.json();
    assert!(shown["public_key"] == public && shown["test_key"] == false, "{shown}");
    let stored = String::from_utf8(wallet.contents()[0].1.clone()).unwrap();
    assert!(stored.contains("argon2id") && !stored.contains(seed), "{stored}");

    let out = wallet.file("folder", "").with_file_name("seed").display().to_string();
    let export = ["keys", "export", "old", "--to", &out, "--secret"];
    wallet.run(&export).failed(8);
    wallet.run(&[&export[..], &["--passphrase-file", &passphrase]].concat()).ok();
    assert_eq!(std::fs::read_to_string(&out).unwrap(), format!("{seed}\n"));
    wallet.run(&[&export[..], &["--passphrase-file", &passphrase]].concat()).failed(9);

    piped(&wallet, &["keys", "new", "fresh", "--passphrase-fd", "0"], "a long enough one\n").ok();
    wallet.run(&["keys", "new", "toy", "--test-key"]).ok();
    let list = wallet.run(&["keys", "list"]).ok();
    let kinds: Vec<bool> = list.lines().skip(1).map(|line| line.contains("worthless")).collect();
    assert_eq!(kinds, [false, false, true], "{list}");
    assert_eq!(wallet.run(&["--output", "ndjson", "keys", "list"]).ok().lines().count(), 3);
}

#[test]
fn writes_completions_for_every_shell() {
    let wallet = Wallet::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(wallet.run(&["completions", shell]).ok().contains("quorate-wallet"), "{shell}");
    }
    assert!(wallet.run(&["--help"]).ok().contains("proof failed: do not trust this node"));
}
