//! What the processes of a testnet spend, as the system and their own counters tell.
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::testnet::report::{NodeReport, Report, Role};

/// The kernel counts processor time in hundredths of a second for programs, whatever it does inside.
const TICK_MS: u64 = 10;
/// In which the system counts the room that a file takes, whatever the file system's blocks are.
const SECTOR_BYTES: u64 = 512;
/// How long a node may take to tell its counters.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest text of counters that is read, in bytes.
const METRICS_BYTES_MAX: u64 = 1024 * 1024;

/// What a process has spent since it began, or holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// Processor time in milliseconds.
    pub cpu_ms: u64,
    /// Memory now, in KiB.
    pub memory_kib: u64,
    /// Most memory at any time, in KiB.
    pub memory_peak_kib: u64,
    /// Bytes that it caused to be written to disk.
    pub written_bytes: u64,
}

/// What one validator has spent.
#[derive(Clone, Debug, Default)]
pub struct NodeUsage {
    /// Its process.
    pub spent: Spent,
    /// Bytes that its data take of the disk.
    pub disk_bytes: u64,
    /// Its counters by name, without labels.
    pub counters: BTreeMap<String, u64>,
}

impl NodeUsage {
    /// A counter; 0 if the node has none of this name.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or_default()
    }
}

/// What the validators and this process have spent.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Each validator that runs, in the order of the report.
    pub nodes: Vec<NodeUsage>,
    /// This process, which offers the load.
    pub own: Spent,
    /// Bytes that went over the loopback network of this machine since it started.
    pub loopback_bytes: u64,
}

impl Usage {
    /// Looks at all.
    pub async fn look(report: &Report) -> Self {
        let nodes = futures::future::join_all(running(report).map(look_at)).await;
        let loopback_bytes = loopback_bytes(&fs::read_to_string("/proc/net/dev").unwrap_or_default());
        Self { nodes, own: spent(std::process::id()), loopback_bytes }
    }
}

/// The validators that run, as the report knows.
pub fn running(report: &Report) -> impl Iterator<Item = &NodeReport> {
    let validators = report.nodes.iter().filter(|node| node.role == Role::Validator.name());
    validators.filter(|node| node.pid.is_some())
}

async fn look_at(node: &NodeReport) -> NodeUsage {
    NodeUsage {
        spent: node.pid.map(spent).unwrap_or_default(),
        disk_bytes: folder_bytes(&node.folder.join("data")),
        counters: counters(node).await.unwrap_or_default(),
    }
}

/// What a process has spent; nothing if there is none with this number.
#[must_use]
pub fn spent(pid: u32) -> Spent {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let (stat, status, io) = (read("stat"), read("status"), read("io"));
    Spent {
        cpu_ms: cpu_ms(&stat),
        memory_kib: field(&status, "VmRSS:"),
        memory_peak_kib: field(&status, "VmHWM:"),
        written_bytes: field(&io, "write_bytes:"),
    }
}

/// Memory that a process holds now, in KiB; 0 if there is none with this number.
#[must_use]
pub fn memory_kib(pid: u32) -> u64 {
    field(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default(), "VmRSS:")
}

/// The number after this name at the beginning of a line; 0 without one.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// Processor time of user and system in milliseconds, from `/proc/PID/stat`.
fn cpu_ms(stat: &str) -> u64 {
    // The name, in parentheses, may itself contain spaces. After it come the fields from the third on;
    // the times are fields 14 and 15.
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    ticks.sum::<u64>().saturating_mul(TICK_MS)
}

/// Bytes received by the loopback device, from `/proc/net/dev`; 0 without one.
fn loopback_bytes(devices: &str) -> u64 {
    let fields = devices.lines().find_map(|line| line.trim_start().strip_prefix("lo:"));
    fields.and_then(|fields| fields.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// Bytes that all files in a folder and below it take of the disk: a file with holes takes less than it is
/// long, one whose room was reserved takes what was reserved.
#[must_use]
pub fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => folder_bytes(&entry.path()),
        Ok(found) => found.blocks().saturating_mul(SECTOR_BYTES),
        // A file that was removed meanwhile.
        Err(_) => 0,
    });
    sizes.fold(0, u64::saturating_add)
}

async fn counters(node: &NodeReport) -> Option<BTreeMap<String, u64>> {
    let address = node.metrics.strip_prefix("http://")?;
    let (host, path) = address.split_once('/')?;
    let asked = async {
        let mut stream = TcpStream::connect(host).await.ok()?;
        let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.take(METRICS_BYTES_MAX).read_to_string(&mut text).await.ok()?;
        Some(text)
    };
    Some(parse(&timeout(PATIENCE, asked).await.ok()??))
}

/// The values of a text in the OpenMetrics format, by name; those with labels by name and labels.
fn parse(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter(|line| line.starts_with("quorate_"));
    let entry = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    lines.filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_has_spent_time_and_memory() {
        let own = spent(std::process::id());
        assert!(own.memory_kib > 0 && own.memory_peak_kib >= own.memory_kib, "{own:?}");
        assert_eq!(spent(u32::MAX), Spent::default());
    }

    #[test]
    fn processor_time_is_read_after_a_name_with_spaces() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 1 0 0 0 12 34 0 0 20 0 1 0 5 1 1";
        assert_eq!(cpu_ms(stat), 460);
        assert_eq!(cpu_ms(""), 0);
    }

    #[test]
    fn the_bytes_of_the_loopback_device_are_found_among_others() {
        let devices = "Inter-| Receive |\n face |bytes packets|\n  eth0: 5 1 0\n    lo:  70 2 0\n";
        assert_eq!(loopback_bytes(devices), 70);
        assert_eq!(loopback_bytes("eth0: 5"), 0);
    }

    #[test]
    fn counters_are_read_with_their_labels() {
        let found = parse(
            "# TYPE x\nquorate_blocks_total 7\nquorate_transactions_total{verdict=\"committed\"} 9\nother 1\n",
        );
        assert_eq!(found.get("quorate_blocks_total"), Some(&7));
        assert_eq!(found.get("quorate_transactions_total{verdict=\"committed\"}"), Some(&9));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn all_files_below_a_folder_count_by_the_room_they_take() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("deep")).unwrap();
        fs::write(place.path().join("a"), [1; 5]).unwrap();
        let one = folder_bytes(place.path());
        fs::write(place.path().join("deep/b"), [1; 5]).unwrap();
        fs::File::create(place.path().join("hollow")).unwrap().set_len(1 << 30).unwrap();
        let all = folder_bytes(place.path());
        assert!(all >= 2 * one && all < 1 << 29, "{one}, then {all}");
    }

    #[test]
    fn numbers_are_found_by_the_beginning_of_their_line() {
        let io = "wchar: 7\nwrite_bytes: 4096\ncancelled_write_bytes: 9\n";
        assert_eq!((field(io, "write_bytes:"), field(io, "nothing:")), (4_096, 0));
    }
}
