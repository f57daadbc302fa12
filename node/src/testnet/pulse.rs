//! The pace of a testnet, for its status line: follows the blocks of whichever node answers.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonrpsee::core::client::{Subscription, SubscriptionClientT};
use jsonrpsee::core::params::ArrayParams;
use jsonrpsee::ws_client::WsClientBuilder;
use quorate_rpc::json::{HeadEvent, Notice};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// Over which time the pace is measured.
const WINDOW: Duration = Duration::from_secs(10);
/// Most blocks within the window: ten times as many as are made at full pace.
const BEATS_MAX: usize = 2_000;
/// Time between two attempts to follow a node.
const RETRY: Duration = Duration::from_millis(500);

/// Follows a testnet until it is dropped.
pub(super) struct Pulse {
    beats: Arc<Mutex<VecDeque<Beat>>>,
    task: JoinHandle<()>,
}

/// A block that became final.
#[derive(Clone, Copy, Debug)]
struct Beat {
    at: Instant,
    height: u64,
    view: u64,
    transactions: u64,
    /// From the block's time to its arrival here; all clocks are those of this machine.
    latency_ms: u64,
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pulse {
    /// Follows the nodes that serve at these addresses, one at a time.
    pub(super) fn follow(urls: Vec<String>) -> Self {
        let beats = Arc::new(Mutex::new(VecDeque::new()));
        let shared = Arc::clone(&beats);
        let task = tokio::spawn(async move {
            for url in urls.iter().cycle() {
                follow_one(&url.replacen("http://", "ws://", 1), &shared).await;
                sleep(RETRY).await;
            }
        });
        Self { beats, task }
    }

    /// One line that says how the testnet is.
    pub(super) fn line(&self, running: usize, nodes: usize) -> String {
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = beats.back() else {
            return format!("no block seen yet  {running} of {nodes} nodes up");
        };
        let recent = || beats.iter().filter(|beat| beat.at.elapsed() < WINDOW);
        let transactions: u64 = recent().map(|beat| beat.transactions).sum();
        let tenths = transactions * 10 / WINDOW.as_secs();
        let mut latencies: Vec<u64> = recent().map(|beat| beat.latency_ms).collect();
        latencies.sort_unstable();
        let median =
            latencies.get(latencies.len() / 2).map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
        format!(
            "height {}  view {}  {}.{} tx/s  finality p50 {median}  last block {} s ago  {running} of {nodes} nodes up",
            last.height,
            last.view,
            tenths / 10,
            tenths % 10,
            last.at.elapsed().as_secs(),
        )
    }
}

async fn follow_one(url: &str, beats: &Mutex<VecDeque<Beat>>) {
    let Ok(client) = WsClientBuilder::default().connection_timeout(Duration::from_secs(2)).build(url).await
    else {
        return;
    };
    let method = ("chain_subscribeHeads", "chain_unsubscribeHeads");
    let subscribed = client.subscribe(method.0, ArrayParams::new(), method.1).await;
    let Ok(mut heads): Result<Subscription<Notice<HeadEvent>>, _> = subscribed else {
        return;
    };
    while let Some(Ok(Notice::Event(event))) = heads.next().await {
        let mut beats = beats.lock().unwrap_or_else(PoisonError::into_inner);
        let head = event.head;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        beats.push_back(Beat {
            at: Instant::now(),
            height: head.height.0.get(),
            view: head.view.0.get(),
            transactions: u64::from(head.transactions),
            latency_ms: u64::try_from(now).unwrap_or(u64::MAX).saturating_sub(head.time.0.get()),
        });
        if beats.len() > BEATS_MAX {
            beats.pop_front();
        }
    }
}
