//! The machine: state, and dispatch of events.
use quorate_genesis::Genesis;
use quorate_ledger::Ledger;
use quorate_primitives::{Hash, PublicKey, Timestamp};
use rand_core::CryptoRng;

use crate::answer::{Fault, Status};
use crate::event::{Event, Step};
use crate::record::LogRecord;
use crate::settings::Settings;

/// One validator, or one that only follows.
pub struct Replica {
    settings: Settings,
    ledger: Ledger,
    context: Hash,
    index: Option<u8>,
}

impl Replica {
    /// A replica on an opened ledger. With a key of the validator set it votes as that validator;
    /// with another key, or none, it follows.
    #[must_use]
    pub fn new(settings: Settings, genesis: &Genesis, ledger: Ledger, me: Option<PublicKey>) -> Self {
        let trusted = genesis.trusted();
        let index = me.and_then(|key| trusted.validators().index_of(&key));
        Self { settings, ledger, context: trusted.context(), index }
    }

    /// Takes back one record of the vote log. All come in the order in which they were written, before
    /// [`Event::Start`]. `rng` proves the signatures in a body again, and decides nothing else.
    pub fn restore(&mut self, _record: LogRecord, _rng: &mut impl CryptoRng) {}

    /// Takes one event. `now` is the time of the clock, which may jump.
    pub fn step(&mut self, _now: Timestamp, _event: Event) -> Step {
        Step::default()
    }

    /// Records that, restored instead of all that were written so far, give the same promises and
    /// bodies. Everything else is safe in the ledger, which is synced first.
    ///
    /// # Errors
    /// [`Fault::Storage`]: the process must stop.
    pub fn checkpoint(&mut self) -> Result<Vec<LogRecord>, Fault> {
        Ok(Vec::new())
    }

    /// A glance for operators.
    #[must_use]
    pub fn status(&self) -> Status {
        let head = self.ledger.head();
        Status {
            index: self.index,
            validators: 0,
            connected: 0,
            view: head.view(),
            leader: 0,
            finalized_view: head.view(),
            height: head.height(),
            block: head.block(),
            pool_transactions: 0,
            pool_bytes: 0,
            bundles: 0,
            bundles_bytes: 0,
            open_blocks: 0,
            timeout_ms: self.settings.timeout_min_ms,
            syncing: false,
            stall: None,
        }
    }

    /// The ledger, for readers.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What every vote signs.
    #[must_use]
    pub fn context(&self) -> Hash {
        self.context
    }

    /// This replica's position among the validators; `None` if it only follows.
    #[must_use]
    pub fn index(&self) -> Option<u8> {
        self.index
    }
}
