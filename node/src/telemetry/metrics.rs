//! What Prometheus reads, gathered at the moment it asks.
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use quorate_replica::Voice;
use quorate_rpc::server::{Observer, Refusal};

use crate::io::driver::DriverHandle;
use crate::io::feed::Feed;

/// Upper ends of the classes of durations, in seconds: from a call in memory to a call that waits.
const DURATIONS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// All metrics of a node.
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    call_seconds: Family<MethodLabels, Histogram, fn() -> Histogram>,
    refusals: Family<RefusalLabels, Counter>,
    connections: Gauge<i64, AtomicI64>,
    finality: Histogram,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    method: &'static str,
    /// 0 for success, else the stable code of the error.
    error: i32,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MethodLabels {
    method: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RefusalLabels {
    why: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerdictLabels {
    verdict: &'static str,
}

fn durations() -> Histogram {
    Histogram::new(DURATIONS)
}

impl Metrics {
    /// The metrics of the node that this driver runs.
    #[must_use]
    pub fn new(driver: DriverHandle, feed: Arc<Feed>) -> Arc<Self> {
        let mut registry = Registry::with_prefix("quorate");
        let calls = Family::default();
        registry.register(
            "rpc_calls",
            "JSON-RPC calls answered, by method and error code (0: none)",
            calls.clone(),
        );
        let call_seconds: Family<MethodLabels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(durations);
        registry.register("rpc_call_seconds", "Time that a JSON-RPC call took", call_seconds.clone());
        let refusals = Family::default();
        registry.register(
            "rpc_refusals",
            "Connections and requests turned away before any method",
            refusals.clone(),
        );
        let connections = Gauge::default();
        registry.register("rpc_connections", "Open JSON-RPC connections", connections.clone());
        let finality = durations();
        let help = "From a block's time to its commit here, for blocks that were not caught up with";
        registry.register("block_finality_seconds", help, finality.clone());
        registry.register_collector(Box::new(Gathered { driver, feed }));
        Arc::new(Self { registry, calls, call_seconds, refusals, connections, finality })
    }

    /// Takes note of how long after its own time a block was committed.
    pub fn committed_after(&self, age: Duration) {
        self.finality.observe(age.as_secs_f64());
    }

    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// When a metric cannot be written as text.
    pub fn to_text(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

/// Hands what the RPC server tells to the metrics.
pub struct CallCounter(pub Arc<Metrics>);

impl Observer for CallCounter {
    fn answered(&self, method: &'static str, error: Option<i32>, took: Duration) {
        self.0.calls.get_or_create(&CallLabels { method, error: error.unwrap_or(0) }).inc();
        self.0.call_seconds.get_or_create(&MethodLabels { method }).observe(took.as_secs_f64());
    }

    fn refused(&self, why: Refusal) {
        self.0.refusals.get_or_create(&RefusalLabels { why: why.name() }).inc();
    }

    fn connections(&self, open: usize) {
        self.0.connections.set(i64::try_from(open).unwrap_or(i64::MAX));
    }
}

/// Numbers that others keep.
struct Gathered {
    driver: DriverHandle,
    feed: Arc<Feed>,
}

impl fmt::Debug for Gathered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gathered")
    }
}

impl Collector for Gathered {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help, value) in self.gauges() {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        for (name, help, value) in self.counters() {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        let counts = self.feed.counts();
        let help = "Transactions executed since the start, by verdict";
        let mut family = encoder.encode_descriptor("transactions", help, None, MetricType::Counter)?;
        let committed = VerdictLabels { verdict: "committed" };
        ConstCounter::new(counts.committed).encode(family.encode_family(&committed)?)?;
        for (failure, count) in counts.failed {
            let labels = VerdictLabels { verdict: failure.name() };
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

type Reading = (&'static str, &'static str, u64);

impl Gathered {
    fn gauges(&self) -> Vec<Reading> {
        let status = self.driver.status();
        let size = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let connected = self.driver.peers().iter().filter(|peer| peer.connected).count();
        let certified =
            self.driver.head().certified.as_ref().map_or(0, |(proof, _)| proof.header.height.get());
        vec![
            ("height", "Height of the last committed block", status.height.get()),
            ("certified_height", "Newest height with a certificate of its own", certified),
            ("epoch", "Current validator-set period", status.epoch.get()),
            ("view", "Current turn", status.view.get()),
            ("voting", "1 while this node votes as a validator", u64::from(status.voice == Voice::Free)),
            ("finalized_view", "Highest turn known to be final", status.finalized_view.get()),
            ("validators", "Validators of the epoch", size(status.validators)),
            ("validators_connected", "Validators connected, itself not counted", size(status.connected)),
            ("peers", "Nodes connected", size(connected)),
            ("syncing", "1 while blocks are fetched that others have", u64::from(status.syncing)),
            (
                "stalled",
                "1 while something is known to keep the chain from advancing",
                u64::from(status.stall.is_some()),
            ),
            (
                "pool_transactions",
                "Transactions of clients that wait or travel",
                size(status.pool_transactions),
            ),
            ("pool_bytes", "Bytes of these transactions", size(status.pool_bytes)),
            ("bundles", "Bundles that no committed block lists yet", size(status.bundles)),
            ("bundles_bytes", "Bytes of these bundles", size(status.bundles_bytes)),
            ("open_blocks", "Blocks above the last committed one", size(status.open_blocks)),
            ("leader_timeout_milliseconds", "How long a leader is given now", status.timeout_ms),
        ]
    }

    fn counters(&self) -> Vec<Reading> {
        let counters = self.driver.counters();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            ("blocks", "Blocks committed since the start", read(&counters.blocks_committed)),
            ("events", "Events given to the replica", read(&counters.events)),
            ("events_dropped", "Events dropped because their queue was full", read(&counters.events_dropped)),
            ("journal_syncs", "Synced writes of the vote log", read(&counters.journal_syncs)),
            ("ledger_syncs", "Syncs of the ledger because of its age", read(&counters.ledger_syncs)),
            ("journal_bytes", "Bytes written to the vote log", read(&counters.journal_bytes)),
            (
                "journal_microseconds",
                "Time spent writing and syncing the vote log",
                read(&counters.journal_micros),
            ),
            ("votes_signed", "Votes signed", read(&counters.votes_signed)),
            ("transactions_submitted", "Transactions submitted here", read(&counters.transactions_submitted)),
            (
                "transactions_busy",
                "Transactions refused before their signatures were checked",
                read(&counters.transactions_busy),
            ),
            ("signatures_checked", "Signatures checked", read(&counters.signatures_checked)),
            ("signature_batches", "Batches in which they were checked", read(&counters.signature_batches)),
            (
                "verify_dropped",
                "Jobs dropped because the checking threads were too busy",
                read(&counters.verify_dropped),
            ),
            ("network_frames_received", "Frames received on direct streams", read(&counters.frames_received)),
            ("network_bytes_received", "Bytes received from peers", read(&counters.bytes_received)),
            ("network_frames_sent", "Frames sent on direct streams", read(&counters.frames_sent)),
            ("network_bytes_sent", "Bytes sent to peers", read(&counters.bytes_sent)),
            ("network_gossip_received", "Gossiped messages received", read(&counters.gossip_received)),
            (
                "network_gossip_copies",
                "Gossiped messages received, all copies counted",
                read(&counters.gossip_copies),
            ),
            ("network_dropped", "Commands that the network could not take", read(&counters.network_dropped)),
            ("bans", "Times that a peer was banned", read(&counters.bans)),
        ]
    }
}
