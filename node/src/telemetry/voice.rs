//! Whether this node votes, and in plain words what it waits for if it should and does not.
use std::time::Duration;

use quorate_primitives::validators::{faulty_max, quorum};
use quorate_replica::{Status, Voice};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::io::driver::DriverHandle;

/// How often the node is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// A validator that asks the others is answered in milliseconds; after so long somebody must know.
const ASKING_PATIENCE: Duration = Duration::from_secs(10);

/// One word for a voice.
#[must_use]
pub fn word(voice: &Voice) -> &'static str {
    match voice {
        Voice::Free => "votes",
        Voice::Observer => "observer",
        Voice::Asking => "asking",
        Voice::Quarantined => "quarantined",
        Voice::Silent { .. } => "silent",
    }
}

/// What a validator that does not vote waits for; `None` for one that votes, and for an observer.
#[must_use]
pub fn waits_for(status: &Status) -> Option<String> {
    let others = status.validators.saturating_sub(1);
    let answers =
        |needed: usize| format!("{needed} of {others}, of which {} are connected", status.connected);
    match status.voice {
        Voice::Free | Voice::Observer => None,
        Voice::Asking => Some(format!(
            "it asks the other validators whether they hold a vote of its key that its vote log lacks, and \
             votes after answers of {}",
            answers(quorum(status.validators).saturating_sub(1))
        )),
        Voice::Quarantined if others == 0 => Some(
            "its vote log was lost, and there is no other validator that could say how far it voted: this \
             key cannot vote on this chain again"
                .to_owned(),
        ),
        Voice::Quarantined => Some(format!(
            "its vote log was lost, so it must learn from the other validators how far it may have voted: \
             it waits for answers of {}",
            answers(faulty_max(status.validators) * 2 + 1)
        )),
        Voice::Silent { until } => Some(format!(
            "it may have voted and forgotten it, so it keeps silent before view {until} of epoch {}; the \
             view is {} now",
            status.epoch, status.view
        )),
    }
}

/// Says when the node begins to vote and why it does not, until it is dropped.
pub async fn run(driver: DriverHandle) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let (mut said, mut before, mut since) = (None, None, Instant::now());
    loop {
        ticks.tick().await;
        let status = driver.status();
        let voice = word(&status.voice);
        if before != Some(voice) {
            (before, since) = (Some(voice), Instant::now());
        }
        let is_news = match status.voice {
            Voice::Asking => since.elapsed() >= ASKING_PATIENCE,
            Voice::Free | Voice::Observer | Voice::Quarantined | Voice::Silent { .. } => true,
        };
        if is_news && said != Some(voice) {
            said = Some(voice);
            say(&status);
        }
    }
}

fn say(status: &Status) {
    let epoch = status.epoch.get();
    match (waits_for(status), status.voice) {
        (Some(waits), _) => {
            tracing::warn!(epoch, voice = word(&status.voice), "this validator does not vote: {waits}");
        }
        (None, Voice::Observer) => tracing::info!(epoch, "this node follows as an observer"),
        (None, _) => tracing::info!(epoch, index = status.index, "this node votes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_primitives::{EpochNumber, Hash, Height, View};

    fn status(validators: usize, connected: usize, voice: Voice) -> Status {
        Status {
            index: Some(0),
            epoch: EpochNumber::new(7),
            epoch_last: Height::new(80),
            voice,
            validators,
            connected,
            view: View::new(4),
            leader: 0,
            finalized_view: View::new(3),
            height: Height::new(73),
            block: Hash::ZERO,
            pool_transactions: 0,
            pool_senders: 0,
            pool_bytes: 0,
            bundles: 0,
            bundles_bytes: 0,
            open_blocks: 0,
            timeout_ms: 100,
            syncing: false,
            stall: None,
        }
    }

    #[test]
    fn who_votes_or_only_follows_waits_for_nothing() {
        assert_eq!(waits_for(&status(4, 3, Voice::Free)), None);
        assert_eq!(waits_for(&status(4, 3, Voice::Observer)), None);
    }

    #[test]
    fn who_keeps_silent_says_how_many_answers_it_needs_and_can_get() {
        for (validators, voice, said) in [
            (4, Voice::Asking, "2 of 3, of which 1 are connected"),
            (7, Voice::Asking, "4 of 6, of which 1 are connected"),
            (4, Voice::Quarantined, "3 of 3, of which 1 are connected"),
            (7, Voice::Quarantined, "5 of 6, of which 1 are connected"),
            (1, Voice::Quarantined, "cannot vote on this chain again"),
            (4, Voice::Silent { until: View::new(9) }, "before view 9 of epoch 7; the view is 4 now"),
        ] {
            let found = waits_for(&status(validators, 1, voice)).unwrap();
            assert!(found.ends_with(said), "{found}");
        }
    }
}
