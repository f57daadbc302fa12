//! What a run around the world has shown, for people and for programs.
use quorate_primitives::{Hash, Height};
use serde::Serialize;
use std::fmt;
use std::rc::Rc;

use crate::run::quantile;
use crate::time::Moment;

use super::load::FinalBlock;
use super::{Load, Plan, Traffic, floor_us};

/// Of many durations some that say most, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// Half were shorter.
    pub p50_us: u64,
    /// 95 of 100 were shorter.
    pub p95_us: u64,
    /// 99 of 100 were shorter.
    pub p99_us: u64,
}

impl Percentiles {
    fn of(mut all: Vec<u64>) -> Self {
        all.sort_unstable();
        let [p50_us, p95_us, p99_us] = [500, 950, 990].map(|permille| quantile(&all, permille));
        Self { p50_us, p95_us, p99_us }
    }
}

/// Bytes and messages of a node in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rates {
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Messages sent, one for each receiver.
    pub sent: u64,
    /// Messages received.
    pub received: u64,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What everything followed from.
    pub seed: u64,
    /// Validators.
    pub validators: usize,
    /// Transfers handed in a second.
    pub offered_per_second: u64,
    /// How long was measured, in ms.
    pub window_ms: u64,
    /// Transfers final a second, by the middle validator.
    pub final_per_second: u64,
    /// Transfers of the window that were not final when the run ended.
    pub unfinished: usize,
    /// From handing in to finality at the same validator.
    pub submit_to_final: Percentiles,
    /// From handing in to finality at the middle validator.
    pub submit_to_middle: Percentiles,
    /// From the proposal of a block to its finality, at all validators.
    pub propose_to_final: Percentiles,
    /// From the proposal of a block to its finality at the middle validator.
    pub propose_to_middle: Percentiles,
    /// What the ways alone allow for that, in microseconds, in the mean of all leaders.
    pub floor_us: u64,
    /// From the proposal of a block to that of its child.
    pub block_interval: Percentiles,
    /// Blocks proposed.
    pub blocks: usize,
    /// Transfers in a block, in the mean.
    pub transfers_per_block: u64,
    /// Bundles in a block, in the mean.
    pub bundles_per_block: u64,
    /// Views that a quorum gave up.
    pub views_nullified: u64,
    /// A node in the mean.
    pub node: Rates,
    /// The node that sent most bytes.
    pub busiest: Rates,
    /// Bytes that a node sent for each final transfer, in the mean of all nodes.
    pub sent_bytes_per_transfer: u64,
    /// Stands for everything that happened.
    pub hash: String,
}

/// What was seen of a run.
pub(super) struct Window {
    pub(super) begin: Moment,
    pub(super) end: Moment,
    pub(super) before: Vec<Traffic>,
    pub(super) after: Vec<Traffic>,
    pub(super) load: Option<Rc<Load>>,
    pub(super) hash: Hash,
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn ratio(sum: u64, count: u64) -> u64 {
    sum.checked_div(count).unwrap_or_default()
}

/// When half of the validators, and one more if they are even, had told a block to be final.
fn middle(block: &FinalBlock, validators: usize) -> Option<Moment> {
    let mut told: Vec<Moment> = block.told.values().copied().collect();
    told.sort_unstable();
    told.get(validators / 2).copied()
}

impl Window {
    fn holds(&self, moment: Moment) -> bool {
        self.begin <= moment && moment < self.end
    }

    fn ms(&self) -> u64 {
        self.end.since(self.begin) / 1_000
    }

    fn rates(&self) -> Vec<Rates> {
        let per_second = |before: u64, after: u64| {
            ratio(after.saturating_sub(before).saturating_mul(1_000), self.ms().max(1))
        };
        let of = |(before, after): (&Traffic, &Traffic)| Rates {
            sent_bytes: per_second(before.sent_bytes, after.sent_bytes),
            received_bytes: per_second(before.received_bytes, after.received_bytes),
            sent: per_second(before.sent, after.sent),
            received: per_second(before.received, after.received),
        };
        self.before.iter().zip(&self.after).map(of).collect()
    }
}

impl Report {
    pub(super) fn new(plan: &Plan, window: &Window) -> Self {
        let mut report = Self {
            seed: plan.seed,
            validators: plan.validators,
            offered_per_second: 0,
            window_ms: window.ms(),
            final_per_second: 0,
            unfinished: 0,
            submit_to_final: Percentiles::default(),
            submit_to_middle: Percentiles::default(),
            propose_to_final: Percentiles::default(),
            propose_to_middle: Percentiles::default(),
            floor_us: floor_us(plan.validators),
            block_interval: Percentiles::default(),
            blocks: 0,
            transfers_per_block: 0,
            bundles_per_block: 0,
            views_nullified: 0,
            node: Rates::default(),
            busiest: Rates::default(),
            sent_bytes_per_transfer: 0,
            hash: window.hash.to_string(),
        };
        if let Some(load) = &window.load {
            report.read_transfers(load, window);
            report.read_blocks(load, window);
        }
        report.read_traffic(window);
        report
    }

    fn read_transfers(&mut self, load: &Load, window: &Window) {
        let (mut own, mut at_middle) = (Vec::new(), Vec::new());
        let mut offered = 0;
        for transfer in load.transfers.iter().filter(|transfer| window.holds(transfer.at)) {
            offered += 1;
            let block = transfer.height.and_then(|height: Height| load.blocks.get(&height));
            let told = block.and_then(|block| block.told.get(&transfer.node));
            own.extend(told.map(|told| told.since(transfer.at)));
            let told = block.and_then(|block| middle(block, self.validators));
            at_middle.extend(told.map(|told| told.since(transfer.at)));
        }
        self.offered_per_second = ratio(number(offered).saturating_mul(1_000), self.window_ms);
        self.unfinished = offered.saturating_sub(own.len());
        self.submit_to_final = Percentiles::of(own);
        self.submit_to_middle = Percentiles::of(at_middle);
    }

    fn read_blocks(&mut self, load: &Load, window: &Window) {
        let (mut to_final, mut to_middle, mut intervals) = (Vec::new(), Vec::new(), Vec::new());
        let (mut transfers, mut bundles, mut finished) = (0, 0, 0);
        let mut before: Option<Moment> = None;
        for block in load.blocks.values() {
            let told = middle(block, self.validators);
            if told.is_some_and(|told| window.holds(told)) {
                finished += number(block.transfers);
            }
            if window.holds(block.proposed) {
                self.blocks = self.blocks.saturating_add(1);
                to_final.extend(block.told.values().map(|told| told.since(block.proposed)));
                to_middle.extend(told.map(|told| told.since(block.proposed)));
                intervals.extend(before.map(|before| block.proposed.since(before)));
                transfers += number(block.transfers);
                bundles += number(block.bundles);
                let skipped = block.view.distance_from(block.parent_view).saturating_sub(1);
                self.views_nullified = self.views_nullified.saturating_add(skipped);
            }
            before = Some(block.proposed);
        }
        self.final_per_second = ratio(u64::saturating_mul(finished, 1_000), self.window_ms);
        self.transfers_per_block = ratio(transfers, number(self.blocks));
        self.bundles_per_block = ratio(bundles, number(self.blocks));
        self.propose_to_final = Percentiles::of(to_final);
        self.propose_to_middle = Percentiles::of(to_middle);
        self.block_interval = Percentiles::of(intervals);
    }

    fn read_traffic(&mut self, window: &Window) {
        let rates = window.rates();
        let mean = |of: fn(&Rates) -> u64| ratio(rates.iter().map(of).sum(), number(rates.len()));
        self.node = Rates {
            sent_bytes: mean(|rates| rates.sent_bytes),
            received_bytes: mean(|rates| rates.received_bytes),
            sent: mean(|rates| rates.sent),
            received: mean(|rates| rates.received),
        };
        self.busiest = rates.iter().max_by_key(|rates| rates.sent_bytes).copied().unwrap_or_default();
        self.sent_bytes_per_transfer = ratio(self.node.sent_bytes, self.final_per_second);
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p95, p99] =
            [self.p50_us, self.p95_us, self.p99_us].map(|us| us.saturating_add(500) / 1_000);
        write!(f, "p50 {p50:>5} ms  p95 {p95:>5} ms  p99 {p99:>5} ms")
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kilobytes = |bytes: u64| bytes.saturating_add(500) / 1_000;
        write!(
            f,
            "{} kB/s sent, {} kB/s received, {} messages/s sent, {} received",
            kilobytes(self.sent_bytes),
            kilobytes(self.received_bytes),
            self.sent,
            self.received
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} validators around the world, seed {}, {} ms measured",
            self.validators, self.seed, self.window_ms
        )?;
        writeln!(f, "  offered               {} transfers a second", self.offered_per_second)?;
        writeln!(
            f,
            "  final                 {} transfers a second, {} unfinished",
            self.final_per_second, self.unfinished
        )?;
        writeln!(f, "  submit to final       {}, at the same validator", self.submit_to_final)?;
        writeln!(f, "                        {}, at the middle validator", self.submit_to_middle)?;
        writeln!(f, "  propose to final      {}, at all validators", self.propose_to_final)?;
        writeln!(
            f,
            "                        {}, at the middle validator; the ways alone take {} ms",
            self.propose_to_middle,
            self.floor_us / 1_000
        )?;
        writeln!(f, "  proposal to proposal  {}", self.block_interval)?;
        writeln!(
            f,
            "  blocks                {}, of {} transfers in {} bundles each; {} views nullified",
            self.blocks, self.transfers_per_block, self.bundles_per_block, self.views_nullified
        )?;
        writeln!(f, "  a node                {}", self.node)?;
        writeln!(f, "  the busiest node      {}", self.busiest)?;
        write!(
            f,
            "  bytes of a transfer   {} sent by each node; trace {}",
            self.sent_bytes_per_transfer, self.hash
        )
    }
}
