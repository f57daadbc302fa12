//! Runs that failed once must pass for ever. `simulator/regressions/README.md` says what was wrong.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
use quorate_simulator::bundle::Bundle;
use quorate_simulator::founding::Workshop;
use std::path::Path;

#[test]
fn what_failed_once_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let workshop = Workshop::new();
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut bundles: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    bundles.sort();
    assert!(bundles.len() >= 25, "{bundles:?}");
    for path in bundles {
        let report = Bundle::read(&path).unwrap().task.run(&workshop, None);
        let found = report.violation.map(|found| format!("{}: {}", found.property, found.detail));
        assert_eq!(found, None, "{}", path.display());
    }
}
