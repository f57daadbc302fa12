//! How a running node says how it is: log lines, metrics, health.
//!
//! Logs go to standard error. [`metrics`] are read when somebody asks for them, so nothing is counted
//! twice; [`server`] serves them beside `/health` and `/ready`; [`pulse`] is the line a minute for
//! people, and [`voice`] says when the node begins to vote or why it does not.
pub mod metrics;
pub mod pulse;
pub mod server;
pub mod voice;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts writing log lines. Lines of other people's crates are written from `warn` on. Does nothing
/// the second time.
pub fn start_log(log: &Log) {
    // The libraries say at info what we say ourselves.
    let foreign = if log.level == "error" { "error" } else { "warn" };
    let ours = ["quorate_node", "quorate_replica", "quorate_consensus", "quorate_ledger", "quorate_rpc"];
    let directives: Vec<String> = ours.iter().map(|name| format!("{name}={}", log.level)).collect();
    let filter = EnvFilter::new(format!("{foreign},{}", directives.join(",")));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    // A second subscriber is refused, which happens only in tests that start two nodes in one process.
    let _ = started;
}
