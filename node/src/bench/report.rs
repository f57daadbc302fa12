//! What a run found, for people and as JSON.
use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::machine::Cost;
use super::memory::Course;
use super::overload::Overload;
use super::phases::{Latency, Step};
use super::probes::Idle;
use super::search::Chosen;
use super::usage::{NodeUsage, Spent, Usage};

/// What was run.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// Version of this program.
    pub version: &'static str,
    /// Cores of the machine.
    pub cores: u64,
    /// Validators, all on this machine.
    pub validators: u64,
    /// Those of them that do not run.
    pub silent: u64,
    /// Accounts among which money moves.
    pub accounts: usize,
    /// Who pays whom.
    pub mix: &'static str,
    /// Payments in one transaction.
    pub payments_per_transaction: u64,
    /// Bytes of free text in each transaction.
    pub payload_bytes: usize,
}

/// What signatures cost, before any load and after all of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Signatures {
    /// One verified alone, in nanoseconds.
    pub single_ns: u64,
    /// One of a batch of 256, in nanoseconds.
    pub batch_ns: u64,
    /// The same after the load.
    pub batch_after_ns: u64,
    /// Transactions a second that the machine could finalize if all but this were free; by the faster of the
    /// two.
    pub bound_per_second: u64,
}

impl Signatures {
    /// Of two measurements.
    #[must_use]
    pub fn of(before: Cost, after: Cost, cores: u64, validators: u64) -> Self {
        // Whatever else the machine did can only have made it slower.
        let batch_ns = before.batch_ns.min(after.batch_ns);
        Self {
            single_ns: before.single_ns,
            batch_ns: before.batch_ns,
            batch_after_ns: after.batch_ns,
            bound_per_second: Cost { batch_ns, ..before }.bound(cores, validators),
        }
    }
}

/// What was spent during the steady load, by the mean validator unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spending {
    /// Processor time of all validators together, in milliseconds.
    pub cpu_validators_ms: u64,
    /// Processor time of this process, in milliseconds.
    pub cpu_bench_ms: u64,
    /// Processor time of one validator for one transaction, in nanoseconds.
    pub cpu_per_transaction_ns: u64,
    /// Most memory of any validator since its start, in KiB.
    pub memory_peak_kib: u64,
    /// Bytes that one validator caused to be written to disk for one transaction, again and again where data
    /// are rewritten.
    pub written_bytes_per_transaction: u64,
    /// By how much the data of one validator grew on disk for one transaction; room that was reserved before
    /// and is filled now does not count, room that is reserved for later does.
    pub kept_bytes_per_transaction: u64,
    /// Bytes received by one validator from others for one transaction; copies of what it has are not counted.
    pub received_bytes_per_transaction: u64,
    /// Bytes over this machine's loopback network for one transaction: between all validators, to and from
    /// clients, with all copies and protocol overhead, and whatever else used it meanwhile.
    pub wire_bytes_per_transaction: u64,
    /// Syncs of one validator's ledger for one hundred blocks.
    pub ledger_syncs_per_100_blocks: u64,
    /// Synced writes of one validator's vote log for one hundred blocks.
    pub log_syncs_per_100_blocks: u64,
    /// Signatures checked by one validator for one hundred transactions.
    pub signatures_per_100_transactions: u64,
}

impl Spending {
    /// Between two looks, in which so many transactions and blocks became final.
    #[must_use]
    pub fn of((before, after): &(Usage, Usage), transactions: u64, blocks: u64) -> Self {
        let validators = u64::try_from(after.nodes.len()).unwrap_or(u64::MAX).max(1);
        let pairs = || before.nodes.iter().zip(&after.nodes);
        let counted = |name: &str| {
            pairs()
                .map(|(before, after)| after.counter(name).saturating_sub(before.counter(name)))
                .sum::<u64>()
        };
        let each =
            |sum: u64, count: u64| sum.checked_div(validators.saturating_mul(count)).unwrap_or_default();
        let cpu = |before: Spent, after: Spent| after.cpu_ms.saturating_sub(before.cpu_ms);
        let cpu_validators_ms = pairs().map(|(before, after)| cpu(before.spent, after.spent)).sum();
        let grown = |of: fn(&NodeUsage) -> u64| {
            pairs().map(|(before, after)| of(after).saturating_sub(of(before))).sum()
        };
        Self {
            cpu_validators_ms,
            cpu_bench_ms: cpu(before.own, after.own),
            cpu_per_transaction_ns: each(cpu_validators_ms.saturating_mul(1_000_000), transactions),
            memory_peak_kib: after
                .nodes
                .iter()
                .map(|node| node.spent.memory_peak_kib)
                .max()
                .unwrap_or_default(),
            written_bytes_per_transaction: each(grown(|node| node.spent.written_bytes), transactions),
            kept_bytes_per_transaction: each(grown(|node| node.disk_bytes), transactions),
            received_bytes_per_transaction: each(
                counted("quorate_network_bytes_received_total"),
                transactions,
            ),
            wire_bytes_per_transaction: after
                .loopback_bytes
                .saturating_sub(before.loopback_bytes)
                .checked_div(transactions)
                .unwrap_or_default(),
            ledger_syncs_per_100_blocks: each(
                counted("quorate_ledger_syncs_total").saturating_mul(100),
                blocks,
            ),
            log_syncs_per_100_blocks: each(
                counted("quorate_journal_syncs_total").saturating_mul(100),
                blocks,
            ),
            signatures_per_100_transactions: each(
                counted("quorate_signatures_checked_total").saturating_mul(100),
                transactions,
            ),
        }
    }
}

/// All that a run found.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// What was run.
    pub setting: Setting,
    /// What signatures cost on this machine.
    pub signatures: Signatures,
    /// One transfer at a time, if that was asked for.
    pub idle: Option<Idle>,
    /// Steps with rising load, in their order.
    pub steps: Vec<Step>,
    /// What was chosen for the steady load, if it was looked for.
    pub chosen: Option<Chosen>,
    /// Steady load, if there was one.
    pub steady: Option<Step>,
    /// The memory of each validator under it.
    pub memory: Vec<Course>,
    /// What was spent under it.
    pub spending: Option<Spending>,
    /// Finalized transactions a second under steady load, in thousandths of the bound.
    pub ratio_to_bound_permille: Option<u64>,
    /// More load than it takes, if that was asked for.
    pub overload: Option<Overload>,
}

impl BenchReport {
    /// As one JSON object on several lines.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts and numbers of this program can always be written as JSON.
        serde_json::to_string_pretty(self).map(|text| text + "\n").unwrap_or_default()
    }

    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = Lines(String::new());
        let Setting { cores, validators, silent, accounts, mix, payload_bytes, .. } = &self.setting;
        let silent = if *silent > 0 { format!(", {silent} of them silent,") } else { String::new() };
        text.line(
            "network",
            format_args!("{validators} validators{silent} on {cores} cores, {accounts} accounts, mix {mix}, {payload_bytes} bytes of text"),
        );
        let Signatures { single_ns, batch_ns, batch_after_ns, bound_per_second } = self.signatures;
        text.line(
            "signature",
            format_args!(
                "{} us alone, {} us in batches of 256 ({} us after the load): at most {bound_per_second} tx/s",
                tenths(single_ns),
                tenths(batch_ns),
                tenths(batch_after_ns)
            ),
        );
        if let Some(idle) = &self.idle {
            text.line("idle, final", latency(&idle.finality));
            text.line("idle, proven", latency(&idle.proven));
        }
        for step in &self.steps {
            text.line("step", summary(step));
        }
        if let Some(chosen) = &self.chosen {
            text.line(
                "chosen",
                format_args!(
                    "{} on their way: the fewest within 5 % of the most, {} tx/s with {}",
                    chosen.in_flight, chosen.best_per_second, chosen.best_in_flight
                ),
            );
        }
        if let Some(step) = &self.steady {
            text.line("steady load", summary(step));
            text.line("finality", latency(&step.finality));
            text.line(
                "blocks",
                format_args!(
                    "{} in {} s, one each {} ms, none for {} ms at most, {} transactions in each",
                    step.blocks,
                    step.window_ms / 1_000,
                    step.block_interval_us / 1_000,
                    step.block_pause_longest_us / 1_000,
                    step.transactions_per_block
                ),
            );
        }
        if let Some(spending) = &self.spending {
            text.spending(spending);
        }
        text.memory(&self.memory);
        if let Some(ratio) = self.ratio_to_bound_permille {
            text.line("ratio to bound", format_args!("{}.{:03}", ratio / 1_000, ratio % 1_000));
        }
        if let Some(overload) = &self.overload {
            text.overload(overload);
        }
        text.0
    }
}

/// Microseconds with one digit after the point, of nanoseconds.
fn tenths(ns: u64) -> String {
    format!("{}.{}", ns / 1_000, ns % 1_000 / 100)
}

fn latency(of: &Latency) -> String {
    let Latency { p50_us, p95_us, p99_us, max_us } = *of;
    let ms = |us: u64| tenths(us);
    format!("p50 {} ms, p95 {} ms, p99 {} ms, slowest {} ms", ms(p50_us), ms(p95_us), ms(p99_us), ms(max_us))
}

fn summary(step: &Step) -> String {
    let load = match (step.in_flight, step.offered_per_second) {
        (Some(count), _) => format!("{count} on their way"),
        (None, Some(rate)) => format!("{rate} tx/s offered"),
        (None, None) => "no load".to_owned(),
    };
    let mut text = format!(
        "{load}: {} tx/s final, p50 {} ms, p99 {} ms",
        step.finalized_per_second,
        step.finality.p50_us / 1_000,
        step.finality.p99_us / 1_000
    );
    if step.refused_busy > 0 {
        // Writing to memory cannot fail.
        let _ = write!(text, ", {} of {} refused for lack of room", step.refused_busy, step.offered);
    }
    if step.failed > 0 {
        let _ = write!(text, ", {} of {} failed{}", step.failed, step.offered, reasons(&step.failures));
    }
    if step.missing > 0 {
        let _ = write!(text, ", {} never final", step.missing);
    }
    if step.signed_meanwhile > 0 {
        let _ = write!(text, ", {} signed meanwhile", step.signed_meanwhile);
    }
    text
}

/// How often for which reason, in parentheses; nothing without any.
fn reasons(failures: &BTreeMap<String, u64>) -> String {
    let each: Vec<String> = failures.iter().map(|(why, count)| format!("{why}: {count}")).collect();
    if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) }
}

struct Lines(String);

impl Lines {
    fn line(&mut self, name: &str, said: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name:<16} {said}");
    }

    fn spending(&mut self, of: &Spending) {
        self.line(
            "processor",
            format_args!(
                "{} ms by all validators, {} us for one transaction each; {} ms by the load",
                of.cpu_validators_ms,
                tenths(of.cpu_per_transaction_ns),
                of.cpu_bench_ms
            ),
        );
        self.line(
            "disk",
            format_args!(
                "{} bytes written and {} kept for one transaction, by each validator",
                of.written_bytes_per_transaction, of.kept_bytes_per_transaction
            ),
        );
        self.line(
            "network bytes",
            format_args!(
                "{} received from others for one transaction, by each validator; {} over the wire in all",
                of.received_bytes_per_transaction, of.wire_bytes_per_transaction
            ),
        );
        self.line(
            "syncs",
            format_args!(
                "{}.{:02} of the vote log and {}.{:02} of the ledger for one block, by each validator",
                of.log_syncs_per_100_blocks / 100,
                of.log_syncs_per_100_blocks % 100,
                of.ledger_syncs_per_100_blocks / 100,
                of.ledger_syncs_per_100_blocks % 100
            ),
        );
        self.line(
            "signatures",
            format_args!(
                "{}.{:02} checked for one transaction, by each validator",
                of.signatures_per_100_transactions / 100,
                of.signatures_per_100_transactions % 100
            ),
        );
    }
    /// The validator that holds most, and the one that grows fastest.
    fn memory(&mut self, courses: &[Course]) {
        if let Some(most) = courses.iter().max_by_key(|course| course.highest_kib) {
            self.line(
                "memory",
                format_args!(
                    "{} MiB at the start, {} MiB at the end, {} MiB at most, by {}",
                    most.start_kib / 1_024,
                    most.end_kib / 1_024,
                    most.highest_kib / 1_024,
                    most.node
                ),
            );
        }
        if let Some(fastest) = courses.iter().max_by_key(|course| course.growth_kib_per_minute) {
            let flat = if fastest.is_flat { "flat" } else { "not flat" };
            self.line(
                "memory growth",
                format_args!(
                    "{} KiB a minute in the last half, by {}: {flat}",
                    fastest.growth_kib_per_minute, fastest.node
                ),
            );
        }
    }

    fn overload(&mut self, of: &Overload) {
        self.line(
            "overload",
            format_args!(
                "{} times the steady load for {} s: {} of {} tx/s offered, {} ms of processor time by the load",
                of.factor,
                of.duration_ms / 1_000,
                of.offered_per_second,
                of.wanted_per_second,
                of.cpu_bench_ms
            ),
        );
        self.line(
            "taken",
            format_args!(
                "{} of {}; {} refused for lack of room, {} of these without a time to wait; {} failed{}; {} unanswered",
                of.accepted,
                of.offered,
                of.refused_busy,
                of.refused_without_hint,
                of.failed,
                reasons(&of.failures),
                of.unanswered
            ),
        );
        let share = of.share_of_steady_permille;
        self.line(
            "meanwhile",
            format_args!(
                "{} tx/s final, {}.{:03} of the steady load; no block for {} ms at most; {} MiB of memory at most",
                of.finalized_per_second,
                share / 1_000,
                share % 1_000,
                of.block_pause_longest_us / 1_000,
                of.memory_highest_kib / 1_024
            ),
        );
        self.line("finality", latency(&of.finality));
        let recovered = of
            .recovered_after_ms
            .map_or_else(|| "not again within two minutes".to_owned(), |ms| format!("{ms} ms after the end"));
        self.line(
            "recovery",
            format_args!("latency normal {recovered}; before, single transfers took {}", latency(&of.calm)),
        );
    }
}
