//! The driver's loop: step, make durable, carry out.
use quorate_primitives::codec;
use quorate_replica::vote_log::VoteLog;
use quorate_replica::{Effect, Event, Timer};

use super::{INBOX_MAX, Node, labour};
use crate::environment::{Environment, Happening};
use crate::trace::{What, digest};

/// Most effects that are gathered for one sync.
const GROUP_EFFECTS_MAX: usize = 1_024;

impl Node {
    /// Puts an event into the inbox, and goes on if there is nothing else in hand.
    pub fn deliver(&mut self, env: &mut Environment, event: Event) {
        let Some(running) = self.running.as_mut() else { return };
        if running.inbox.len() >= INBOX_MAX && !matches!(event, Event::Checked { .. }) {
            env.marks.hit("inbox full");
            return;
        }
        running.inbox.push_back(event);
        self.drive(env);
    }

    /// A timer fires, unless it was set again since.
    pub fn fire(&mut self, env: &mut Environment, timer: Timer, armed: u64) {
        let Some(running) = self.running.as_mut() else { return };
        if running.timers.get(&timer) == Some(&armed) {
            running.timers.remove(&timer);
            running.due.push_back(timer);
            self.drive(env);
        }
    }

    /// The disk has done what it was asked.
    pub fn written(&mut self, env: &mut Environment) {
        let Some(running) = self.running.as_mut().filter(|running| running.is_writing) else { return };
        running.is_writing = false;
        self.make_durable(env);
        self.carry_out_all(env);
        self.drive(env);
    }

    /// Goes on after a pause.
    pub fn resume(&mut self, env: &mut Environment) {
        self.is_paused = false;
        if self.running.as_ref().is_some_and(|running| !running.is_restoring) {
            self.take_calls(env);
        }
        self.drive(env);
    }

    /// Works until there is nothing more to do, or the disk must be waited for.
    pub(super) fn drive(&mut self, env: &mut Environment) {
        while !self.is_paused && env.checkers.is_content() {
            let Some(running) =
                self.running.as_mut().filter(|running| !running.is_writing && !running.is_working)
            else {
                return;
            };
            // Timers and signed votes take turns.
            let first = running.signed.pop_front_if(|_| !running.due_first || running.due.is_empty());
            running.due_first = first.is_some();
            let event = if let Some((epoch, vote)) = first {
                Event::Signed { epoch, vote }
            } else if let Some(timer) = running.due.pop_front() {
                env.note(Some(self.id), What::Fired(timer));
                Event::Elapsed(timer)
            } else if running.is_restoring {
                if self.flush(env) {
                    self.restored(env);
                }
                continue;
            } else if let Some(event) = running.inbox.pop_front() {
                event
            } else {
                if self.flush(env) && self.is_idle() {
                    self.housekeep(env);
                    return;
                }
                continue;
            };
            self.step(env, event);
        }
    }

    fn is_idle(&self) -> bool {
        self.running.as_ref().is_none_or(|running| {
            running.signed.is_empty() && running.due.is_empty() && running.inbox.is_empty()
        })
    }

    /// Everything that the disk gave back is worked off; nobody else was heard of yet.
    fn restored(&mut self, env: &mut Environment) {
        let Some(running) = self.running.as_mut() else { return };
        if !running.signed.is_empty() || !running.due.is_empty() {
            return;
        }
        running.is_restoring = false;
        let height = running.replica.ledger().head().height();
        let told = self.told;
        if height < told {
            env.violate(
                "durability",
                format!("node {} told height {told} to be final, but came back at {height}", self.id),
            );
        }
        self.take_calls(env);
    }

    pub(super) fn step(&mut self, env: &mut Environment, event: Event) {
        env.count_step();
        let now = self.clock.wall(env.now);
        let labour_us = self.labour_before(env, &event);
        let Some(running) = self.running.as_mut() else { return };
        let step = running.replica.step(now, event);
        if self.has_crashed(env) {
            return;
        }
        let Some(running) = self.running.as_mut() else { return };
        if running.log.is_some() {
            for record in step.journal {
                running.encoded.push(codec::encode(&record));
                running.records.push(record);
            }
        }
        let is_urgent = step.effects.iter().any(|effect| {
            matches!(effect, Effect::Sign { .. } | Effect::Arm { after_ms: 0, .. } | Effect::Halt(_))
        });
        let labour_us = labour_us.saturating_add(labour::labour_after(env, &step.effects));
        running.effects.extend(step.effects);
        if labour_us > 0 {
            return self.work(env, labour_us, is_urgent);
        }
        if running.records.is_empty() || is_urgent || running.effects.len() > GROUP_EFFECTS_MAX {
            self.flush(env);
        }
    }

    /// Makes the gathered records durable, and carries out the gathered effects. False if the disk must be
    /// waited for, or the node has ended.
    pub(super) fn flush(&mut self, env: &mut Environment) -> bool {
        let Some(running) = self.running.as_mut() else { return false };
        if !running.records.is_empty() {
            let (shortest, longest) = env.options.disk.sync_us;
            if longest > 0 {
                running.is_writing = true;
                let life = env.lives.get(self.id).copied().unwrap_or_default();
                let at = env.now.after_micros(env.disk_dice.between(shortest, longest));
                env.schedule(at, Happening::Written { node: self.id, life });
                return false;
            }
            self.make_durable(env);
        }
        self.carry_out_all(env);
        self.running.is_some()
    }

    fn make_durable(&mut self, env: &mut Environment) {
        let Some(running) = self.running.as_mut() else { return };
        let Some(log) = running.log.as_mut() else { return };
        match log.append(&running.encoded) {
            Ok(_) => {
                let sum =
                    running.encoded.iter().fold(0, |sum: u64, bytes| sum.rotate_left(7) ^ digest(bytes));
                let count = u64::try_from(running.records.len()).unwrap_or(u64::MAX);
                for record in running.records.drain(..) {
                    running.gate.record(&record);
                }
                running.encoded.clear();
                env.note(Some(self.id), What::Recorded(count, sum));
            }
            Err(error) => self.stop(env, format!("vote log: {error}")),
        }
    }

    /// What is done when everything is carried out.
    fn housekeep(&mut self, env: &mut Environment) {
        let Some(running) = self.running.as_mut() else { return };
        let age = env.now.since(running.ledger_synced) / 1_000;
        if running.has_committed && age >= env.options.disk.ledger_sync_ms {
            running.has_committed = false;
            running.ledger_synced = env.now;
            if let Err(error) = running.replica.ledger().sync() {
                return self.stop(env, format!("storage: {error}"));
            }
        }
        let growth = running.log.as_ref().map_or(0, VoteLog::growth_bytes);
        if u64::try_from(growth).unwrap_or(u64::MAX) >= env.options.disk.log_bytes {
            self.replace_log(env);
        }
    }

    fn replace_log(&mut self, env: &mut Environment) {
        let Some(running) = self.running.as_mut() else { return };
        let records = match running.replica.checkpoint() {
            Ok(records) => records,
            Err(fault) => return self.stop(env, fault.to_string()),
        };
        let encoded: Vec<Vec<u8>> = records.iter().map(codec::encode).collect();
        if let Some(log) = running.log.as_mut()
            && let Err(error) = log.replace(&encoded)
        {
            return self.stop(env, format!("vote log: {error}"));
        }
        running.gate.reset();
        records.iter().for_each(|record| running.gate.record(record));
        env.marks.hit("vote log replaced");
        env.note(Some(self.id), What::Note("replaces its log", u64::try_from(records.len()).unwrap_or(0), 0));
    }
}
