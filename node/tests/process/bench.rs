//! Measuring a network.
use serde_json::Value;

use super::support::{Testnet, quorate, take_turn};

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
    assert!(number(&found, "/spending/disk_bytes_per_transaction") > 0, "{found}");
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
