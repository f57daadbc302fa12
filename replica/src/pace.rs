//! How long things take: turns the engine's timers into milliseconds.
//!
//! The engine knows no durations. A leader is given three times what a block lately took from its
//! proposal to its certificate, within the bounds of the settings, and more after failures. Nothing
//! needs synchronised clocks. Source: docs/protocol.md, section 2.6.
use quorate_consensus::Timer;
use quorate_primitives::{Timestamp, View};
use std::collections::{BTreeMap, VecDeque};

use crate::settings::Settings;

/// Views whose duration is remembered.
const SAMPLES: usize = 64;
/// Views that are being measured at a time.
const MEASURED_MAX: usize = 64;
/// After this many failures the time no longer grows: 1.25^32 is beyond any bound.
const LEVEL_MAX: u32 = 32;

/// Measures views and sets timers by what it measured.
pub(crate) struct Pace {
    min_ms: u64,
    max_ms: u64,
    interval_ms: u64,
    idle_ms: u64,
    base_ms: u64,
    begun: BTreeMap<View, Timestamp>,
    samples: VecDeque<u64>,
}

impl Pace {
    /// Before anything was measured.
    pub(crate) fn new(settings: &Settings) -> Self {
        let max_ms = settings.timeout_max_ms.max(1);
        let min_ms = settings.timeout_min_ms.clamp(1, max_ms);
        Self {
            min_ms,
            max_ms,
            interval_ms: settings.min_interval_ms,
            idle_ms: settings.idle_interval_ms,
            base_ms: min_ms,
            begun: BTreeMap::new(),
            samples: VecDeque::new(),
        }
    }

    /// How long a leader is given now, in ms.
    pub(crate) fn base_ms(&self) -> u64 {
        self.base_ms
    }

    /// The block of a view became known.
    pub(crate) fn begin(&mut self, view: View, now: Timestamp) {
        if self.begun.len() >= MEASURED_MAX {
            self.begun.pop_first();
        }
        self.begun.entry(view).or_insert(now);
    }

    /// The block of a view was certified.
    pub(crate) fn end(&mut self, view: View, now: Timestamp) {
        let Some(begun) = self.begun.remove(&view) else { return };
        self.begun.retain(|open, _| *open > view);
        if self.samples.len() >= SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(now.distance_from(begun));
        let mut sorted: Vec<u64> = self.samples.iter().copied().collect();
        sorted.sort_unstable();
        // 95 of 100 rounded down: of a few samples it is the largest but one, or the only one.
        let position = sorted.len().saturating_mul(95) / 100;
        let slow = sorted.get(position).or(sorted.last()).copied().unwrap_or_default();
        self.base_ms = slow.saturating_mul(3).clamp(self.min_ms, self.max_ms);
    }

    /// Views begin again at 1.
    pub(crate) fn begin_epoch(&mut self) {
        self.begun.clear();
    }

    /// A view was given up although its block was certified later: the time was too short.
    pub(crate) fn premature(&mut self) {
        let longer = self.base_ms.saturating_add(self.base_ms / 2);
        self.base_ms = longer.clamp(self.min_ms, self.max_ms);
        // It counts as a view that took as long as was waited, so that it is not forgotten at once.
        if self.samples.len() >= SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(longer / 3);
    }

    /// Duration of a timer, in ms.
    pub(crate) fn duration_ms(&self, timer: Timer, level: u32, idle: bool) -> u64 {
        let mut base = self.base_ms;
        for _ in 0..level.min(LEVEL_MAX) {
            base = base.saturating_add(base.div_ceil(4)).min(self.max_ms);
        }
        let idle_ms = if idle { self.idle_ms } else { 0 };
        let propose = base.saturating_add(self.interval_ms).saturating_add(idle_ms);
        match timer {
            Timer::Propose(_) => propose,
            // A missing body costs a few questions.
            Timer::View(_) => propose.saturating_add(base),
            Timer::Retry(_) => base.saturating_add(base / 2).saturating_add(self.interval_ms),
            Timer::Relay(_) => base / 4,
        }
    }
}
