//! Measuring a network.
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};

use quorate_node::testnet::process::{Signal, signal};
use serde_json::Value;

use super::support::{Testnet, quorate, take_turn};

/// Starts a run, and returns when it says this on standard error. Returns also what it goes on to say, and
/// how it ends.
fn start(mut command: Command, until: &str) -> (Child, impl FnOnce(Child) -> (String, ExitStatus)) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    while !said.contains(until) {
        let line = lines.next().unwrap_or_else(|| panic!("it ended: {said}")).unwrap();
        said.push_str(&line);
        said.push('\n');
    }
    let rest = move |mut child: Child| {
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        (rest.join("\n"), child.wait().unwrap())
    };
    (child, rest)
}

fn number(found: &Value, path: &str) -> u64 {
    found.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {found}"))
}

#[test]
fn a_run_on_a_network_of_its_own_counts_what_became_final_and_leaves_nothing() {
    let _turn = take_turn();
    let place = tempfile::tempdir().unwrap();
    let plot = place.path().join("plot.svg");
    let temporary = place.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();

    let mut command = quorate(&["bench", "--validators", "1", "--accounts", "10", "--rate", "100"]);
    command.args(["--duration", "2s", "--idle-latency", "--json", "--plot"]).arg(&plot);
    let output = command.env("TMPDIR", &temporary).output().unwrap();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(number(&found, "/steady/finalized_per_second") > 0, "{found}");
    assert_eq!(number(&found, "/steady/missing"), 0, "{found}");
    assert_eq!(number(&found, "/steady/failed"), 0, "{found}");
    assert!(number(&found, "/steady/finality/p50_us") <= number(&found, "/steady/finality/p99_us"));
    assert_eq!(number(&found, "/idle/transfers"), 40);
    assert!(
        number(&found, "/signatures/single_ns") > 0 && number(&found, "/signatures/bound_per_second") > 0
    );
    assert!(number(&found, "/memory/0/highest_kib") > 0, "{found}");
    assert!(number(&found, "/steady/handed_in_per_second") > 0, "{found}");
    assert!(std::fs::read_to_string(&plot).unwrap().contains("<polyline"));
    let left: Vec<_> = std::fs::read_dir(&temporary).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_running_testnet_is_measured_again_and_goes_on() {
    let _turn = take_turn();
    let testnet = Testnet::start(&["--validators", "1"]);
    let folder = testnet.path().to_str().unwrap();
    for mix in ["single", "many"] {
        let line =
            ["bench", "--dir", folder, "--accounts", "12", "--duration", "1s", "--in-flight", "5", "--mix"];
        let output = quorate(&[&line[..], &[mix]].concat()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("5 on their way: ") && text.contains("ratio to bound"), "{text}");
        assert!(!text.contains("never final") && !text.contains("failed"), "{text}");
        // The accounts are opened once.
        assert_eq!(said.contains("opening 12 accounts"), mix == "single", "{said}");
    }
    assert!(testnet.lives("n1"));
}

#[test]
fn the_others_are_measured_when_one_of_four_validators_is_silent() {
    let _turn = take_turn();
    let line = ["bench", "--silent", "1", "--accounts", "10", "--rate", "40", "--duration", "3s", "--json"];
    let output = quorate(&line).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("n4 is ended and stays silent"), "{said}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((number(&found, "/setting/validators"), number(&found, "/setting/silent")), (4, 1));
    assert_eq!(found.pointer("/memory").and_then(Value::as_array).map(Vec::len), Some(3), "{found}");
    assert_eq!(number(&found, "/steady/failed"), 0, "{found}");
    assert!(number(&found, "/steady/finalized_per_second") > 0, "{found}");
}

#[test]
fn an_overload_is_told_of_and_every_refusal_in_it_says_when_to_try_again() {
    let _turn = take_turn();
    let mut line = vec!["bench", "--validators", "1", "--accounts", "100", "--in-flight", "100", "--json"];
    line.extend(["--duration", "1s", "--overload", "2", "--overload-duration", "3s"]);
    let output = quorate(&line).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let steady = number(&found, "/steady/finalized_per_second");
    assert_eq!(number(&found, "/overload/wanted_per_second"), 2 * steady);
    assert!(number(&found, "/overload/accepted") > 0, "{found}");
    assert_eq!(number(&found, "/overload/refused_without_hint"), 0, "{found}");
    assert_eq!(number(&found, "/overload/failed"), 0, "{found}");
}

#[test]
fn a_validator_that_ends_ends_the_run_and_is_named() {
    let _turn = take_turn();
    let testnet = Testnet::start(&["--validators", "1"]);
    let folder = testnet.path().to_str().unwrap();
    let line = ["bench", "--dir", folder, "--accounts", "10", "--rate", "20", "--duration", "5m"];
    let (child, rest) = start(quorate(&line), "steady load");
    assert!(signal(testnet.node("n1").pid.unwrap(), Signal::KILL));
    let (said, status) = rest(child);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("n1 ended while it was measured"), "{said}");
}

#[test]
fn a_run_that_is_interrupted_leaves_nothing() {
    let _turn = take_turn();
    let temporary = tempfile::tempdir().unwrap();
    let mut command = quorate(&["bench", "--validators", "1", "--accounts", "10", "--rate", "20"]);
    command.args(["--duration", "5m"]).env("TMPDIR", temporary.path());
    let (child, rest) = start(command, "steady load");
    assert!(signal(child.id(), Signal::INT));
    let (said, status) = rest(child);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("stopped before the end"), "{said}");
    let left: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
