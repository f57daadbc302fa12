//! The crate compiles for a browser: nothing it depends on needs an operating system.
use std::process::Command;

/// Crates that need an operating system, a clock, threads or C code.
const HINDERING: [&str; 16] = [
    "async-std",
    "cc",
    "chrono",
    "getrandom",
    "js-sys",
    "libc",
    "libp2p",
    "mio",
    "num_cpus",
    "rand",
    "rayon",
    "rocksdb",
    "socket2",
    "tokio",
    "wasm-bindgen",
    "windows-sys",
];

#[test]
fn no_dependency_hinders_webassembly() {
    let arguments =
        ["tree", "--offline", "--package", "quorate-primitives", "--edges", "normal,no-proc-macro"];
    let target = ["--target", "wasm32-unknown-unknown", "--prefix", "none", "--format", "{lib}"];
    let output = Command::new(env!("CARGO")).args(arguments).args(target).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names: Vec<String> = printed.split_whitespace().map(|name| name.replace('_', "-")).collect();
    for expected in ["borsh", "ed25519-zebra", "sha3"] {
        assert!(names.iter().any(|name| name == expected), "{expected} is not in {names:?}");
    }
    for hindering in HINDERING {
        let hindering = hindering.replace('_', "-");
        assert!(!names.contains(&hindering), "{hindering} is a dependency");
    }
}
