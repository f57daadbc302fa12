//! How a testnet is shown to people.
use std::fmt::Write;
use std::path::Path;

use quorate_rpc::json::Voting;

use super::folder::Folder;
use super::probe::{Health, Probe};
use super::report::{NodeReport, Report};

/// Where the supervisor runs, as seen by whoever reads the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervised {
    /// On the reader's terminal, where Ctrl-C reaches it.
    Here,
    /// In the background or on another terminal.
    Elsewhere,
}

/// The table of nodes and accounts, and what to try next.
#[must_use]
pub fn table(report: &Report, probes: &[Option<Probe>], supervised: Supervised) -> String {
    let short = report.genesis_hash.get(..16).unwrap_or(&report.genesis_hash);
    let epoch = report.epoch.map_or_else(String::new, |epoch| format!("  epoch {epoch}"));
    let mut text = format!("network   {}  genesis {short}…{epoch}\n", report.network);
    text.push_str(&nodes(report, probes));
    text.push('\n');
    text.push_str(&accounts(report));
    let folder = report.folder.display();
    let option = folder_option(&report.folder, Folder::usual().ok().as_ref());
    let down = format!("quorate testnet down{option}");
    let stop = match (report.supervisor, supervised) {
        (None, _) => "it does not run".to_owned(),
        (Some(_), Supervised::Here) => format!("Ctrl-C or {down}"),
        (Some(_), Supervised::Elsewhere) => down,
    };
    let _ = write!(
        text,
        "\ntry:   quorate-wallet --home {folder} send bob 5USD --from alice\n\
         stop:  {stop}     chaos: quorate testnet kill n2{option}     more: quorate testnet add{option}\n"
    );
    text
}

/// What a command needs to find the testnet in this folder.
fn folder_option(folder: &Path, usual: Option<&Folder>) -> String {
    if usual.is_some_and(|usual| usual.path() == folder) {
        return String::new();
    }
    format!(" --dir {}", folder.display())
}

/// The nodes alone.
#[must_use]
pub fn nodes(report: &Report, probes: &[Option<Probe>]) -> String {
    let head = ["node", "role", "rpc", "p2p", "metrics", "epoch", "height", "peers", "state"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (index, node) in report.nodes.iter().enumerate() {
        let probe = probes.get(index).and_then(Option::as_ref);
        let number =
            |pick: fn(&Probe) -> u64| probe.map_or_else(|| "-".to_owned(), |found| pick(found).to_string());
        rows.push(vec![
            node.name.clone(),
            node.role.clone(),
            node.rpc.clone(),
            node.ports.p2p.to_string(),
            node.ports.metrics.to_string(),
            number(|found| found.epoch),
            number(|found| found.height),
            number(|found| found.peers),
            state(node, probe, report),
        ]);
    }
    columns(&rows)
}

fn accounts(report: &Report) -> String {
    let head = ["account", "address (test keys, worthless)", "key", "balance"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for account in &report.accounts {
        let file = account.key_file.strip_prefix(&report.folder).unwrap_or(&account.key_file);
        let shown = file.with_extension("");
        rows.push(vec![
            account.name.clone(),
            account.address.clone(),
            shown.display().to_string(),
            account.balance.clone(),
        ]);
    }
    if let Some(governance) = &report.governance {
        let keys = governance.keys.join(", ");
        rows.push(vec![
            governance.name.clone(),
            governance.address.clone(),
            format!("{} of {keys}", governance.threshold),
        ]);
    }
    columns(&rows)
}

fn state(node: &NodeReport, probe: Option<&Probe>, report: &Report) -> String {
    let Some(probe) = probe else {
        let pid = node.pid.filter(|pid| super::process::is_ours(*pid, &node.folder.join("node.toml")));
        return match pid {
            Some(pid) if super::process::is_paused(pid) => "paused".to_owned(),
            Some(_) => "no answer".to_owned(),
            None => "down".to_owned(),
        };
    };
    let leads = probe.leader.is_some() && probe.leader == probe.validator;
    match (&probe.health, leads) {
        (Health::Ready, _) if probe.voting == Voting::Asking => "asks the others".to_owned(),
        (Health::Ready, _) if probe.voting == Voting::Quarantined => "quarantined".to_owned(),
        (Health::Ready, _) if probe.voting == Voting::Silent => "silent".to_owned(),
        (Health::Ready, true) => "ok (leader)".to_owned(),
        (Health::Ready, false) => "ok".to_owned(),
        (Health::Syncing, _) => "syncing".to_owned(),
        (Health::Waiting(reason), _) if report.nodes.len() > 1 => format!("waiting: {reason}"),
        (Health::Waiting(_), _) => "waiting".to_owned(),
    }
}

/// Rows with every column as wide as its longest cell, two spaces between them.
fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

/// A number with a comma at every third digit of its whole part.
#[must_use]
pub fn grouped(number: &str) -> String {
    let (whole, fraction) =
        number.split_once('.').map_or((number, None), |(whole, part)| (whole, Some(part)));
    let mut text = String::new();
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && (whole.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    fraction.map_or(text.clone(), |fraction| format!("{text}.{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_the_folder_unless_it_is_the_usual_one() {
        let usual = Folder::new(Path::new("/home/ann/quorate/testnet")).unwrap();
        assert_eq!(folder_option(usual.path(), Some(&usual)), "");
        assert_eq!(folder_option(Path::new("/tmp/net"), Some(&usual)), " --dir /tmp/net");
        assert_eq!(folder_option(Path::new("/tmp/net"), None), " --dir /tmp/net");
    }

    #[test]
    fn columns_line_up_and_no_line_ends_in_spaces() {
        let rows = [vec!["a".to_owned(), "bb".to_owned()], vec!["ccc".to_owned(), "d".to_owned()]];
        assert_eq!(columns(&rows), "a    bb\nccc  d\n");
    }

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!(grouped("1000000.00"), "1,000,000.00");
        assert_eq!(grouped("999"), "999");
        assert_eq!(grouped("1000"), "1,000");
    }
}
