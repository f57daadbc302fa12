//! Nobody need read what the wallet says: the exit code and the money do not depend on it.
use std::process::Stdio;

use super::node::Node;
use super::wallet::{Run, Wallet};
use super::world::World;

/// The end of a pipe whose reader is gone.
fn nobody() -> Stdio {
    let (_reader, writer) = std::io::pipe().unwrap();
    writer.into()
}

fn unheard(wallet: &Wallet, words: &[&str]) -> Run {
    let mut command = wallet.command(words);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(nobody()).spawn();
    Run::of(&child.unwrap().wait_with_output().unwrap())
}

fn unread(wallet: &Wallet, words: &[&str]) -> Run {
    let mut command = wallet.command(words);
    let child = command.stdin(Stdio::null()).stdout(nobody()).stderr(Stdio::piped()).spawn();
    Run::of(&child.unwrap().wait_with_output().unwrap())
}

#[test]
fn a_failure_keeps_its_exit_code_when_nobody_reads_it() {
    let node = Node::start(World::new());
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    for format in ["text", "json"] {
        let missing = ["--output", format, "asset", "show", "NONE"];
        assert_eq!(unheard(&wallet, &missing).exit, 3, "{format}");
        assert_eq!(unread(&wallet, &missing).exit, 3, "{format}");
    }
    assert_eq!(unread(&wallet, &["balance", "bob"]).exit, 0, "a reader who left has read enough");
}

#[test]
fn a_script_gets_the_failure_when_nobody_reads_the_messages() {
    let node = Node::start(World::new());
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    let run = unheard(&wallet, &["--output", "json", "asset", "show", "NONE"]);
    assert_eq!(run.json()["error"]["name"], "not_found", "{run:?}");
}

#[test]
fn pays_when_nobody_reads_the_messages() {
    let node = Node::start(World::new());
    let wallet = Wallet::new(&node.world(), &[&node.url]);
    let out = unheard(&wallet, &["send", "bob", "5USD", "--from", "alice", "--id", "quiet"]).ok();
    assert!(out.starts_with("committed  "), "{out}");
    unheard(&wallet, &["send", "bob", "5USD", "--from", "alice", "--id", "quiet"]).ok();
    assert!(wallet.run(&["balance", "bob"]).ok().contains("  17.50 USD\n"), "paid once");
}
