//! Wrong input of every kind: one line that names the field and what is allowed, the right exit code,
//! and nothing written.
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use quorate_node::testnet::folder::Folder;
use quorate_node::testnet::founding::Plan;
use quorate_node::testnet::generate;
use quorate_node::testnet::ports::NodePorts;
use quorate_primitives::Timestamp;
use tempfile::TempDir;

use super::support::quorate;

/// A case: what is changed in which file, what is run, how it must end, and what must be said.
struct Case {
    /// File, text in it, and what the text becomes; an empty text is put before everything.
    change: Option<(&'static str, &'static str, &'static str)>,
    arguments: &'static [&'static str],
    variable: Option<(&'static str, &'static str)>,
    exit: i32,
    said: &'static [&'static str],
}

const CHECK: &[&str] = &["node", "check-config", "--config", "n1/node.toml"];
const START: &[&str] = &["node", "start", "--config", "n1/node.toml"];
const GENESIS: &[&str] = &["genesis", "check", "genesis.toml"];
/// Exit codes: usage, not found, unreachable, key, testnet or network file, genesis or configuration.
const USAGE: i32 = 2;
const UNREACHABLE: i32 = 5;
const KEY: i32 = 8;
const TESTNET: i32 = 9;
const CONFIG: i32 = 78;

const fn config(from: &'static str, to: &'static str, said: &'static [&'static str]) -> Case {
    Case { change: Some(("n1/node.toml", from, to)), arguments: CHECK, variable: None, exit: CONFIG, said }
}

const fn genesis(from: &'static str, to: &'static str, said: &'static [&'static str]) -> Case {
    Case { change: Some(("genesis.toml", from, to)), arguments: GENESIS, variable: None, exit: CONFIG, said }
}

const fn key(from: &'static str, to: &'static str, said: &'static [&'static str]) -> Case {
    Case { change: Some(("n1/validator.json", from, to)), arguments: START, variable: None, exit: KEY, said }
}

const fn command(arguments: &'static [&'static str], exit: i32, said: &'static [&'static str]) -> Case {
    Case { change: None, arguments, variable: None, exit, said }
}

const CONFIGURATIONS: &[Case] = &[
    config(
        "[rpc]\nlisten",
        "[rpc]\nlisen",
        &["n1/node.toml:", "unknown key \"rpc.lisen\"", "did you mean \"rpc.listen\"?"],
    ),
    config(
        "data_dir",
        "dats_dir",
        &["n1/node.toml:4", "unknown key \"dats_dir\"", "did you mean \"data_dir\"?"],
    ),
    config("[metrics]", "[weather]", &["unknown key", "weather"]),
    config(
        "\n[rpc]",
        "\n[consensus]\ntimeout_min_ms = 5\n[rpc]",
        &["consensus.timeout_min_ms = 5", "from 10 to 60000"],
    ),
    config(
        "\n[rpc]",
        "\n[consensus]\ntimeout_min_ms = \"100\"\n[rpc]",
        &["consensus.timeout_min_ms = \"100\"", "whole number"],
    ),
    config(
        "\n[rpc]",
        "\n[consensus]\ninterval_idle_ms = -1\n[rpc]",
        &["consensus.interval_idle_ms = -1", "from 10 to"],
    ),
    config(
        "\n[rpc]",
        "\n[consensus]\ntimeout_max_ms = 100\ntimeout_min_ms = 200\n[rpc]",
        &["timeout_max_ms = 100", "at least", "200"],
    ),
    config("\n[rpc]", "\n[pool]\nbytes_max = 1\n[rpc]", &["pool.bytes_max = 1", "from 1048576"]),
    config("127.0.0.1:21000", "127.0.0.1", &["rpc.listen = \"127.0.0.1\"", "an IP address and a port"]),
    config(
        "127.0.0.1:21000",
        "0.0.0.0:21000",
        &["rpc.listen = \"0.0.0.0:21000\"", "loopback", "rpc.allow_remote"],
    ),
    config(
        "127.0.0.1:23000",
        "192.0.2.1:23000",
        &["metrics.listen = \"192.0.2.1:23000\"", "metrics.allow_remote"],
    ),
    config(
        "/ip4/127.0.0.1/tcp/22000\"",
        "/ip4/127.0.0.1/udp/22000\"",
        &["network.listen", "such as /ip4/0.0.0.0/tcp/9001"],
    ),
    config(
        "@/ip4/127.0.0.1/tcp/22001",
        "/ip4/127.0.0.1/tcp/22001",
        &["network.peers", "64 hexadecimal digits"],
    ),
    config("/tcp/22001", "/tcp/0", &["network.peers", "64 hexadecimal digits"]),
    config(
        "\n[rpc]",
        "\n[log]\nlevel = \"loud\"\n[rpc]",
        &["log.level = \"loud\"", "error, warn, info, debug, trace"],
    ),
    config("[rpc]", "[rpc", &["n1/node.toml:", "not TOML"]),
    config(
        "data_dir = \"data\"",
        "data_dir = \"data\"\ndata_dir = \"other\"",
        &["n1/node.toml:", "not TOML", "duplicate"],
    ),
    config("genesis.toml", "nowhere.toml", &["nowhere.toml", "no such file"]),
    Case {
        change: None,
        arguments: CHECK,
        variable: Some(("QUORATE_LOG_LEVEL", "loud")),
        exit: CONFIG,
        said: &["variable QUORATE_LOG_LEVEL", "log.level"],
    },
    command(
        &["node", "start", "--config", "n1/node.toml", "--set", "rpc.lisen=1"],
        CONFIG,
        &["flag --set", "did you mean \"rpc.listen\"?"],
    ),
    command(&["node", "start", "--config", "n1/node.toml", "--set", "rpc.listen"], CONFIG, &["KEY=VALUE"]),
    command(&["node", "start", "--config", "n7/node.toml"], CONFIG, &["n7/node.toml", "No such file"]),
];

const DOCUMENTS: &[Case] = &[
    genesis("network = ", "network ", &["genesis.toml", "line 2"]),
    genesis("prefix = \"qdev\"", "prefix = \"QDEV\"", &["prefix", "QDEV", "lower-case"]),
    genesis("\nprefix", "\ncolour = \"red\"\nprefix", &["colour", "line"]),
    genesis("name = \"n2\"", "name = \"n1\"", &["n1"]),
    genesis("decimals = 2", "decimals = 19", &["decimals", "19", "18"]),
    genesis("amount = \"1000000.00\"", "amount = \"1000000.001\"", &["amount", "1000000.001"]),
    genesis("amount = \"1000000.00\"", "amount = \"-1\"", &["amount", "-1"]),
    genesis("account = \"alice\"", "account = \"alise\"", &["alise"]),
    genesis("max_validity_ms = 3600000", "max_validity_ms = 1", &["max_validity_ms", "10000"]),
    genesis(
        "permission = \"account.create\"",
        "permission = \"account.destroy\"",
        &["permission", "account.destroy"],
    ),
    command(&["genesis", "hash", "nowhere.toml"], CONFIG, &["nowhere.toml", "no such file"]),
];

const KEYS: &[Case] = &[
    key("{", "", &["n1/validator.json"]),
    key("\"", "", &["n1/validator.json"]),
    key("public_key\": \"", "public_key\": \"00", &["n1/validator.json", "public_key"]),
    Case {
        change: None,
        arguments: &["node", "start", "--config", "n1/node.toml", "--set", "key_file=nowhere.json"],
        variable: None,
        exit: KEY,
        said: &["nowhere.json", "no such file"],
    },
];

const COMMANDS: &[Case] = &[
    command(&["testnet", "--validators", "0"], USAGE, &["--validators", "1..=128"]),
    command(&["testnet", "--validators", "129"], USAGE, &["--validators", "129"]),
    command(&["testnet", "--port-base", "80"], USAGE, &["--port-base", "1024 to 65151", "80"]),
    command(&["testnet", "--block-time", "1ms"], USAGE, &["--block-time", "50 ms to 60 s"]),
    command(&["testnet", "--seed", ""], USAGE, &["--seed"]),
    command(&["testnet", "--epoch-length", "9"], USAGE, &["--epoch-length", "9", "10"]),
    command(&["testnet", "--frehs"], USAGE, &["--frehs", "--fresh"]),
    command(&["testent"], USAGE, &["testent", "testnet"]),
    command(
        &["genesis", "new", "--network", "x", "--organisation", "acme", "--admin-key", "12"],
        USAGE,
        &["--admin-key", "64 hexadecimal digits"],
    ),
    command(&["node", "init", "--dir", "n9"], USAGE, &["--passphrase-file"]),
    command(&["testnet", "kill", "n1", "--dir", "empty"], UNREACHABLE, &["no testnet runs in"]),
    command(&["testnet", "add", "--dir", "empty"], UNREACHABLE, &["no testnet runs in"]),
    command(&["bench", "--rate", "fast"], USAGE, &["--rate", "fast", "max, ramp or a number"]),
    command(&["bench", "--accounts", "9"], USAGE, &["--accounts", "9", "10..=1000000"]),
    command(&["bench", "--duration", "30"], USAGE, &["--duration", "1 s to 1800 s"]),
    command(&["bench", "--dir", "empty"], UNREACHABLE, &["no testnet runs in"]),
    command(&["bench", "--silent", "2"], USAGE, &["--silent 2", "expected 0 to 1", "of 4 validators"]),
    command(&["bench", "--validators", "3", "--silent", "1"], USAGE, &["--silent 1", "expected 0 to 0"]),
    command(&["bench", "--dir", "empty", "--silent", "1"], USAGE, &["--silent", "--dir"]),
    command(&["bench", "--rate", "ramp", "--overload"], USAGE, &["--overload", "--rate max"]),
    command(&["bench", "--overload", "1"], USAGE, &["--overload", "2..=20"]),
    command(&["testnet", "--dir", "foreign"], TESTNET, &["foreign", "thesis.tex"]),
];

/// A folder with everything that a node needs, all of it right.
fn sound() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::new(place.path()).unwrap();
    let plan =
        Plan { seed: "refusals".to_owned(), validators: 4, added: 0, epoch_length: 1_000, block_time: None };
    let genesis = generate::create(&folder, &plan, Timestamp::new(1_795_176_000_000)).unwrap();
    let ports = |index: u16| NodePorts { rpc: 21_000 + index, p2p: 22_000 + index, metrics: 23_000 + index };
    let ports: Vec<NodePorts> = (0..4).map(ports).collect();
    generate::configure(&folder, &plan, &genesis, &ports).unwrap();
    fs::create_dir(place.path().join("empty")).unwrap();
    fs::create_dir(place.path().join("foreign")).unwrap();
    fs::write(place.path().join("foreign/thesis.tex"), "years of work").unwrap();
    place
}

/// Every file below a folder with its content.
fn contents(folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.insert(path.display().to_string(), Vec::new());
            contents(&path, found);
        } else {
            found.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
}

fn snapshot(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    contents(folder, &mut found);
    found
}

fn check(case: &Case) {
    let place = sound();
    if let Some((file, from, to)) = case.change {
        let path = place.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} does not contain {from:?}:\n{text}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
    }
    let before = snapshot(place.path());
    let mut command = quorate(case.arguments);
    command.current_dir(place.path()).env("XDG_DATA_HOME", place.path().join("data-home"));
    if let Some((name, value)) = case.variable {
        command.env(name, value);
    }

    let output = command.output().unwrap();

    let said = String::from_utf8(output.stderr).unwrap();
    let what = format!("{:?} {:?} said {said:?}", case.change, case.arguments);
    assert_eq!(output.status.code(), Some(case.exit), "{what}");
    assert!(
        said.starts_with("error: ") && said.ends_with('\n') && said.lines().count() == 1,
        "not one line: {what}"
    );
    for words in case.said {
        assert!(said.contains(words), "{words:?} is missing: {what}");
    }
    assert!(output.stdout.is_empty(), "printed data: {what}");
    assert_eq!(snapshot(place.path()), before, "something was written: {what}");
}

#[test]
fn what_is_changed_below_was_right_before() {
    let place = sound();
    for arguments in [CHECK, GENESIS] {
        let output = quorate(arguments).current_dir(place.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn refuses_wrong_configurations() {
    CONFIGURATIONS.iter().for_each(check);
}

#[test]
fn refuses_wrong_founding_documents() {
    DOCUMENTS.iter().for_each(check);
}

#[test]
fn refuses_wrong_key_files() {
    KEYS.iter().for_each(check);
}

#[test]
fn refuses_wrong_command_lines() {
    COMMANDS.iter().for_each(check);
}

#[test]
fn the_reference_of_all_keys_is_a_configuration_at_its_defaults() {
    let place = sound();
    let output = quorate(&["config", "reference"]).output().unwrap();
    assert!(output.status.success());
    fs::write(place.path().join("n1/reference.toml"), &output.stdout).unwrap();
    let arguments =
        ["node", "check-config", "--config", "n1/reference.toml", "--set", "genesis_file=../genesis.toml"];
    let checked = quorate(&arguments).current_dir(place.path()).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn a_new_node_gets_a_key_that_its_configuration_opens() {
    let place = sound();
    fs::write(place.path().join("passphrase"), "correct horse battery\n").unwrap();
    let arguments = ["node", "init", "--dir", "n9", "--passphrase-file", "passphrase"];
    let made = quorate(&arguments).current_dir(place.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::copy(place.path().join("genesis.toml"), place.path().join("n9/genesis.toml")).unwrap();
    let arguments = ["node", "check-config", "--config", "n9/node.toml"];
    let checked = quorate(&arguments).current_dir(place.path()).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(String::from_utf8_lossy(&checked.stdout).contains("observer of"), "{checked:?}");
    let again = quorate(&["node", "init", "--dir", "n9", "--unprotected-key"])
        .current_dir(place.path())
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(TESTNET));
}

#[test]
fn output_that_cannot_be_written_is_a_failure_of_one_line() {
    for arguments in [&["config", "reference"][..], &["--help"], &["completions", "bash"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = quorate(arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("error: standard output: ") && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = quorate(&["config", "reference"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty());
}
