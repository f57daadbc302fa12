//! Holds the manifests, the files and the documents to the architecture.
#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest source file in lines, tests included.
const FILE_LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate lies in the workspace").to_owned()
}

/// The crates and their allowed dependencies, as `docs/architecture.md` draws them.
fn drawn() -> BTreeMap<String, BTreeSet<String>> {
    let document = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let block = document.split("```crates\n").nth(1).unwrap().split("```").next().unwrap();
    let edge = |line: &str| {
        let (from, to) = line.split_once("->").unwrap();
        (from.trim().to_owned(), to.split_whitespace().map(str::to_owned).collect())
    };
    block.lines().map(edge).collect()
}

fn manifest(folder: &str) -> toml::Table {
    fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap().parse().unwrap()
}

fn ours(table: Option<&toml::Value>) -> BTreeSet<String> {
    let names = table.and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
    names.filter_map(|name| name.strip_prefix("quorate-")).map(str::to_owned).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in drawn().keys() {
        for part in ["src", "tests", "benches"] {
            let folder = root().join(folder).join(part);
            if folder.is_dir() {
                sources(&folder, &mut found);
            }
        }
    }
    found
}

#[test]
fn workspace_members_are_the_drawn_crates() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let members: BTreeSet<&str> = members.iter().filter_map(toml::Value::as_str).collect();
    let drawn = drawn();
    assert_eq!(members, drawn.keys().map(String::as_str).collect());
}

#[test]
fn manifests_have_exactly_the_drawn_edges() {
    for (folder, allowed) in drawn() {
        let manifest = manifest(&folder);
        assert_eq!(ours(manifest.get("dependencies")), allowed, "dependencies of {folder}");
        let tests = ours(manifest.get("dev-dependencies"));
        let wanted = ["consensus", "ledger", "replica", "node"];
        if folder == "wallet-cli" {
            assert!(wanted.iter().all(|name| !tests.contains(*name)), "the wallet's tests link {tests:?}");
        }
    }
}

#[test]
fn rocksdb_is_linked_by_the_ledger_alone() {
    let mut users = Vec::new();
    for folder in drawn().into_keys() {
        let manifest = manifest(&folder);
        if manifest["dependencies"].as_table().is_some_and(|table| table.contains_key("rocksdb")) {
            users.push(folder);
        }
    }
    assert_eq!(users, ["ledger"]);
    let names_it = |line: &str| !line.trim_start().starts_with("//") && line.contains("rocksdb::");
    let mentions = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().any(names_it);
    let in_source = |path: &PathBuf| path.components().any(|part| part.as_os_str() == "src");
    let files: Vec<PathBuf> =
        all_sources().into_iter().filter(|path| in_source(path)).filter(mentions).collect();
    assert!(files.iter().all(|path| path.ends_with("ledger/src/store/rocks.rs")), "{files:?}");
}

/// Bugs that are planted to test the simulator must not be there in any program that is shipped.
#[test]
fn no_manifest_enables_planted_bugs() {
    let feature = "zoo";
    let mut owners = Vec::new();
    for folder in drawn().into_keys() {
        let manifest = manifest(&folder);
        let features = manifest.get("features").and_then(toml::Value::as_table).cloned().unwrap_or_default();
        assert!(!features.contains_key("default"), "{folder} has default features");
        for table in ["dependencies", "dev-dependencies", "build-dependencies", "target"] {
            let text = manifest.get(table).map(toml::Value::to_string).unwrap_or_default();
            assert!(!text.contains(feature), "{table} of {folder}");
        }
        if !features.is_empty() {
            owners.push(folder);
        }
    }
    assert_eq!(owners, ["primitives", "simulator"]);
    let workspace: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    assert!(!workspace["workspace"]["dependencies"].to_string().contains(feature));
}

#[test]
fn files_are_short_enough_to_read() {
    for path in all_sources() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines", path.display());
        assert!(path.file_name().is_some_and(|name| name != "mod.rs"), "{}", path.display());
    }
}

#[test]
fn every_source_file_begins_with_a_module_comment() {
    for path in all_sources() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//!"), "{} does not say what it is", path.display());
    }
}

#[test]
fn pure_crates_ban_clocks_threads_and_unordered_maps() {
    for folder in ["primitives", "genesis", "consensus", "ledger", "replica", "service"] {
        let rules: toml::Table =
            fs::read_to_string(root().join(folder).join("clippy.toml")).unwrap().parse().unwrap();
        let banned = |key: &str| rules[key].to_string();
        for name in ["HashMap", "HashSet", "Instant", "SystemTime"] {
            assert!(banned("disallowed-types").contains(name), "{folder} allows {name}");
        }
        assert!(banned("disallowed-methods").contains("thread::spawn"), "{folder} allows threads");
        let manifest = manifest(folder);
        for name in ["tokio", "libp2p", "jsonrpsee", "futures"] {
            assert!(!manifest["dependencies"].as_table().unwrap().contains_key(name), "{folder} uses {name}");
        }
    }
}
