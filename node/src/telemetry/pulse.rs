//! One line a minute that says how the node is.
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::io::driver::DriverHandle;
use crate::io::feed::Feed;
use crate::telemetry::voice;

/// Time between two lines.
const INTERVAL: Duration = Duration::from_secs(60);

/// Writes the lines until it is dropped.
pub async fn run(driver: DriverHandle, feed: Arc<Feed>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut before = feed.counts();
    loop {
        ticks.tick().await;
        let (status, counts) = (driver.status(), feed.counts());
        let failed: u64 = counts.failed.values().sum::<u64>() - before.failed.values().sum::<u64>();
        let (blocks, committed) = (counts.blocks - before.blocks, counts.committed - before.committed);
        before = counts;
        match &status.stall {
            None => tracing::info!(
                height = status.height.get(),
                epoch = status.epoch.get(),
                view = status.view.get(),
                voice = voice::word(&status.voice),
                blocks,
                committed,
                failed,
                waiting = status.pool_transactions,
                validators_connected = status.connected,
                syncing = status.syncing,
                "in the last minute"
            ),
            Some(stall) => tracing::warn!(
                height = status.height.get(),
                epoch = status.epoch.get(),
                view = status.view.get(),
                voice = voice::word(&status.voice),
                blocks,
                validators_connected = status.connected,
                %stall,
                "the chain does not advance here"
            ),
        }
        if let Some(waits) = voice::waits_for(&status) {
            tracing::warn!("this validator does not vote: {waits}");
        }
    }
}
