//! A whole block: the sweep of one slice of old markers, then bundle by bundle transactions and
//! accusations, then the roots.
use quorate_primitives::block::{Header, Outcome};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::merkle::list_root;
use quorate_primitives::receipt::Receipt;
use quorate_primitives::signed::Verified;
use quorate_primitives::transaction::Transaction;
use quorate_primitives::zoo::{self, Bug};
use quorate_primitives::{Height, Timestamp};

use super::transaction::{Moment, touched, transaction};
use super::{Effects, Executed, evidence};
use crate::chain::{self, Position};
use crate::state::overlay::Overlay;
use crate::state::slice::Slice;
use crate::state::{Place, State};

/// Executes a block on its parent. The header is taken as it is: whether it may follow the parent is
/// for the validators to judge before they vote.
#[must_use]
pub fn block(parent: &Executed, header: &Header, bundles: &[Verified<Bundle>]) -> Executed {
    let base = parent.state();
    let place = Place { chain: base.chain(), height: header.height, time: header.time };
    let sweep = Sweep::of(base, header);
    let base = base.swept(sweep.slice, sweep.before);
    let effects = run(&base, header, bundles);
    let state = base.after(place, &effects.writes);
    let history = match parent.header() {
        Some(_) => parent.history().append(chain::leaf(parent)).0,
        None => parent.history().clone(),
    };
    let outcome = Outcome {
        state_root: state.root(),
        receipts_root: list_root(&effects.leaves),
        history_root: history.root(),
        // Fixed since the epoch began; the parent is of this epoch or the one before, and names it too if
        // the state does not.
        next_validators: state
            .validators_hash(header.epoch.next())
            .unwrap_or(parent.outcome().next_validators),
    };
    Executed::new(Some(header.clone()), outcome, state, (history, Effects { sweep: Some(sweep), ..effects }))
}

fn run(base: &State, header: &Header, bundles: &[Verified<Bundle>]) -> Effects {
    let mut effects = Effects::default();
    let mut overlay = Overlay::new(base);
    let Some(moment) = Moment::of(base, header.height, header.time) else { return effects };
    let moment = Moment { epoch: header.epoch, ..moment };
    let counts =
        |envelope: &Transaction| envelope.chain == moment.chain && envelope.valid_until >= moment.time;
    for (index, bundle) in (0_u16..).zip(bundles) {
        let signed = bundle.transactions().iter().filter(|signed| counts(signed.transaction()));
        overlay.read_ahead(signed.flat_map(|signed| touched(signed, usize::MAX)).collect());
        for (offset, signed) in (0_u16..).zip(bundle.transactions()) {
            let Ok(receipt) = transaction(&mut overlay, &moment, signed) else {
                effects.dropped.push(signed.id());
                continue;
            };
            effects.positions.push(position(header.height, effects.receipts.len(), index, offset));
            effects.receipts.push(receipt);
        }
        for accusation in bundle.accusations() {
            evidence::record(base, &mut overlay, &moment, accusation);
        }
    }
    effects.leaves = Receipt::leaves(&effects.receipts);
    effects.writes = overlay.into_writes();
    effects
}

fn position(height: Height, index: usize, bundle: u16, offset: u16) -> Position {
    // A block has at most 256 bundles of 1,024 transactions.
    Position { height, index: u32::try_from(index).unwrap_or(u32::MAX), bundle, offset }
}

/// What a block sweeps: the markers of a slice that have outlived their retention before it. A transaction
/// whose marker goes has expired, so it cannot come back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sweep {
    pub(crate) slice: Slice,
    /// Markers of transactions that were valid until before this go.
    pub(crate) before: Timestamp,
}

impl Sweep {
    fn of(base: &State, header: &Header) -> Self {
        let retention_ms = base.parameters().map_or(u64::MAX, |parameters| parameters.marker_retention_ms);
        let is_early = zoo::has(Bug::MarkersSweptEarly);
        let before = if is_early { Timestamp::MAX } else { header.time.saturating_sub(retention_ms) };
        Self { slice: Slice::of_block(header.height), before }
    }
}
