//! What a validator must be certain of before it votes: that it knows everything it ever said.
//!
//! After every start it asks all others where they stand and which vote of its own is the latest that
//! they hold, and votes when a quorum, itself counted, has answered. A vote that its log does not hold
//! stops it: its key is used on another machine, or its log is an old copy. An answer is about one epoch:
//! those of a later one do not count, and when an epoch ends before enough have answered, all are asked
//! again in the next.
//!
//! A log that was lost is begun anew with [`LogRecord::Quarantine`](crate::LogRecord::Quarantine), and
//! then nothing is known of what was said. The last view `v` that it can have voted in needs a
//! certificate of `v − 1`, of whose `n − f` signers at least `n − f − 1` are others; `2f + 1` answers of
//! others share at least `f + 1` with those, so one is of an honest validator that was in `v − 1` or
//! later. With `m` the highest view in the answers it is safe to vote from `m + 2` on. A view in an answer
//! counts when the certificate that came with it has brought this replica there; others that are in
//! quarantine themselves do not count. Source: docs/protocol.md, section 2.7.
use quorate_consensus::{Input, Mute};
use quorate_primitives::certificate::{Certificate, Vote};
use quorate_primitives::validators::faulty_max;
use quorate_primitives::{EpochNumber, PublicKey, Timestamp, View};
use std::collections::BTreeMap;

use crate::answer::Voice;
use crate::event::{Effect, Timer};
use crate::fetch::Purpose;
use crate::replica::Replica;
use crate::wire::{Answer, Question, VerifiedAnswer};

/// Views beyond the highest that others are in, from which on nothing can have been voted.
const BEYOND: u64 = 2;

/// Whether this validator may vote.
#[derive(Default)]
pub(crate) enum Guard {
    /// It knows what it said.
    #[default]
    Passed,
    /// It asks the others.
    Asking(Asking),
}

/// What the others answered so far.
#[derive(Default)]
pub(crate) struct Asking {
    /// Nothing is known of what was said before.
    quarantined: bool,
    answers: BTreeMap<PublicKey, Standing>,
    /// When those that did not answer are asked again.
    again_at: Timestamp,
}

/// Where another validator stands.
#[derive(Clone, Copy)]
struct Standing {
    epoch: EpochNumber,
    view: View,
    quarantined: bool,
}

impl Guard {
    /// Asks from the beginning.
    pub(crate) fn asking(before: &Guard) -> Self {
        Self::Asking(Asking { quarantined: before.is_quarantined(), ..Asking::default() })
    }

    /// The log was lost.
    pub(crate) fn quarantined() -> Self {
        Self::Asking(Asking { quarantined: true, ..Asking::default() })
    }

    /// Whether the log was lost and it is not known yet what may be said.
    pub(crate) fn is_quarantined(&self) -> bool {
        matches!(self, Self::Asking(asking) if asking.quarantined)
    }

    /// Why the engine makes no claims.
    pub(crate) fn mute(&self) -> Option<Mute> {
        match self {
            Self::Passed => None,
            Self::Asking(asking) if asking.quarantined => Some(Mute::Forgetful),
            Self::Asking(_) => Some(Mute::Asking),
        }
    }
}

impl Replica {
    /// Whether this replica votes, or why it does not.
    pub(crate) fn voice(&self) -> Voice {
        let (mute, from) = self.engine.voice();
        match (self.me, mute) {
            (None, _) => Voice::Observer,
            (Some(_), Some(Mute::Asking)) => Voice::Asking,
            (Some(_), Some(Mute::Forgetful)) => Voice::Quarantined,
            (Some(_), None) if from > self.engine.view() => Voice::Silent { until: from },
            (Some(_), None) => Voice::Free,
        }
    }

    /// What a peer that asks is told.
    pub(crate) fn standing(&self, asker: &PublicKey) -> Answer {
        let vote = self.members.index_of(asker).and_then(|index| self.engine.latest_vote_of(index));
        Answer::Standing {
            epoch: self.epoch(),
            view: self.engine.view(),
            entry: self.engine.entry().cloned(),
            quarantined: self.guard.is_quarantined(),
            vote,
        }
    }

    /// Asks all others that have not answered, if it is time.
    pub(crate) fn ask_standing(&mut self) {
        let others = self.members.others(self.me);
        let wait = self.settings.ask_timeout_ms.max(1);
        let Guard::Asking(asking) = &mut self.guard else { return };
        if self.me.is_none() {
            return;
        }
        asking.again_at = self.now.saturating_add(wait);
        let again_at = asking.again_at;
        let silent: Vec<PublicKey> =
            others.into_iter().filter(|key| !asking.answers.contains_key(key)).collect();
        for to in silent.into_iter().filter(|key| self.connected.contains(key)) {
            let request = self.fetches.request(to, Purpose::Standing);
            self.out.effects.push(Effect::Ask { request, to, question: Question::Standing });
        }
        self.arm_at(Timer::Guard, again_at);
        self.conclude();
    }

    /// Takes the answer to the question where a peer stands.
    pub(crate) fn standing_answered(&mut self, from: PublicKey, answer: Option<VerifiedAnswer>) {
        match answer {
            Some(VerifiedAnswer::Standing { epoch, view, entry, quarantined, vote }) => {
                self.prove_standing(&from, epoch, entry);
                self.stands(from, Standing { epoch, view, quarantined }, vote);
            }
            Some(VerifiedAnswer::Unknown) | None => {}
            Some(VerifiedAnswer::Bundles(_) | VerifiedAnswer::Block { .. } | VerifiedAnswer::Blocks(_)) => {
                self.ban(from, "answered another question");
            }
        }
    }

    /// What proves a turn brings this replica there too.
    fn prove_standing(&mut self, from: &PublicKey, epoch: EpochNumber, entry: Option<Certificate>) {
        if let (Some(index), Some(entry)) = (self.members.index_of(from), entry) {
            self.hear_certificate(epoch, index, entry);
        }
    }

    fn stands(&mut self, from: PublicKey, standing: Standing, vote: Option<Vote>) {
        let epoch = standing.epoch;
        if self.members.index_of(&from).is_none() {
            return;
        }
        if epoch == self.epoch() {
            self.inputs.extend(vote.map(Input::Seen));
        }
        if epoch > self.epoch() {
            // Which votes of ours it holds there can be looked at only there: it is asked again.
            return self.sync_into_later_epoch();
        }
        let Guard::Asking(asking) = &mut self.guard else { return };
        asking.answers.insert(from, standing);
        self.conclude();
    }

    /// Votes from now on, if enough others have answered.
    pub(crate) fn conclude(&mut self) {
        let Guard::Asking(asking) = &self.guard else { return };
        let (count, epoch) = (self.members.len(), self.epoch());
        let (needed, from) = if asking.quarantined {
            // A turn counts once it is proven: then this replica has reached it.
            let view = self.engine.view();
            let counts = |standing: &&Standing| {
                let reached = standing.epoch < epoch || (standing.epoch == epoch && standing.view <= view);
                reached && !standing.quarantined
            };
            let counted = asking.answers.values().filter(counts).count();
            let needed = faulty_max(count).saturating_mul(2).saturating_add(1);
            (needed.saturating_sub(counted), view.saturating_add(BEYOND))
        } else {
            let needed = self.members.quorum().saturating_sub(1);
            (needed.saturating_sub(asking.answers.len()), View::ZERO)
        };
        if needed == 0 && self.engine.voice().0.is_some() && !self.is_outdated() {
            self.guard = Guard::Passed;
            self.inputs.push_back(Input::Speak { from });
        }
    }

    /// The timer of asking fired.
    pub(crate) fn guard_due(&mut self) {
        if let Guard::Asking(asking) = &self.guard {
            // A clock that was set back must not put the question off for as long as it was ahead.
            let latest = self.now.saturating_add(self.settings.ask_timeout_ms.max(1));
            let due = asking.again_at.min(latest);
            if due <= self.now {
                self.ask_standing();
            } else {
                self.arm_at(Timer::Guard, due);
            }
        }
    }
}
