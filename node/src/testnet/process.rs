//! Node processes: starting, signalling, and knowing which process id is still ours.
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use tokio::process::{Child, Command};

use crate::config::settings::SETTINGS;

pub use rustix::process::Signal;

/// Size in bytes at which a log is set aside as `node.log.1`, replacing the one before.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most bytes of a log's end that are searched for its last lines.
const TAIL_BYTES_MAX: u64 = 64 * 1024;

/// Starts a node with this configuration. Its log goes to a file; it stops when the pipe on its
/// standard input closes, which the system does whatever happens to this process.
///
/// # Errors
/// What the system says.
pub fn start(config: &Path, log: &Path) -> io::Result<Child> {
    set_aside(log)?;
    let log = File::options().create(true).append(true).open(log)?;
    let mut command = Command::new(std::env::current_exe()?);
    for setting in SETTINGS {
        // One variable would override the files of all nodes, and give them all the same port or key.
        command.env_remove(setting.variable());
    }
    command
        .args(["node", "start", "--stop-with-stdin", "--config"])
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::from(log))
        // Ctrl-C on the terminal is for the supervisor alone, which then stops the nodes in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Moves the content of a log that has grown too long out of the way. The node goes on appending to
/// the same file, so it is copied and cut.
///
/// # Errors
/// What the system says.
pub fn set_aside(log: &Path) -> io::Result<()> {
    match fs::metadata(log) {
        Ok(found) if found.len() > LOG_BYTES_MAX => {
            fs::copy(log, log.with_extension("log.1"))?;
            File::options().write(true).open(log)?.set_len(0)
        }
        _ => Ok(()),
    }
}

/// The last lines of a log, oldest first.
#[must_use]
pub fn last_lines(log: &Path, count: usize) -> Vec<String> {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES_MAX)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(count)).map(|line| (*line).to_owned()).collect()
}

/// Sends a signal. `false` if there is no such process or it is not ours.
#[must_use]
pub fn signal(pid: u32, signal: Signal) -> bool {
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 1).and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
}

/// Whether the process lives and was started with `argument` on its command line: a process id alone
/// may by now belong to somebody else.
#[must_use]
pub fn is_ours(pid: u32, argument: &Path) -> bool {
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let wanted = argument.as_os_str().as_encoded_bytes();
    line.split(|byte| *byte == 0).any(|found| found == wanted)
}

/// How a process ended, in words.
#[must_use]
pub fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(9)) => "killed".to_owned(),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Asks for an end, waits, and then insists.
pub async fn stop(children: Vec<&mut Child>, patience: Duration) {
    for child in &children {
        if let Some(pid) = child.id() {
            let _ = signal(pid, Signal::TERM);
            // A paused process takes no signal but this one.
            let _ = signal(pid, Signal::CONT);
        }
    }
    let deadline = tokio::time::Instant::now() + patience;
    for child in children {
        drop(child.stdin.take());
        if tokio::time::timeout_at(deadline, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }
}

/// Whether a process was stopped by a signal and waits to be continued.
#[must_use]
pub fn is_paused(pid: u32) -> bool {
    // The state follows the name, which is in parentheses and may itself contain spaces.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}
