//! A whole block: the sweep of old markers, then bundle by bundle transactions and accusations, then the
//! roots.
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
use crate::state::{Place, State};

/// Most markers that a block removes, or twice as many as it has transactions if that is more: bounds
/// the work of a block after a long pause, and still removes faster than blocks can add.
pub const SWEEP_MAX: usize = 4_096;

/// Executes a block on its parent. The header is taken as it is: whether it may follow the parent is
/// for the validators to judge before they vote.
#[must_use]
pub fn block(parent: &Executed, header: &Header, bundles: &[Verified<Bundle>]) -> Executed {
    let base = parent.state();
    let place = Place { chain: base.chain(), height: header.height, time: header.time };
    let effects = run(base, header, bundles);
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
    Executed::new(Some(header.clone()), outcome, state, (history, effects))
}

fn run(base: &State, header: &Header, bundles: &[Verified<Bundle>]) -> Effects {
    let mut effects = Effects::default();
    let mut overlay = Overlay::new(base);
    let Some(moment) = Moment::of(base, header.height, header.time) else { return effects };
    let moment = Moment { epoch: header.epoch, ..moment };
    let count: usize = bundles.iter().map(|bundle| bundle.transactions().len()).sum();
    let limit = SWEEP_MAX.max(count.saturating_mul(2));
    sweep(base, &mut overlay, &moment, limit);
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

/// Removes the markers that have outlived their retention before this block, the oldest first. A
/// transaction whose marker goes has expired, so it cannot come back.
fn sweep(base: &State, overlay: &mut Overlay<'_>, moment: &Moment, limit: usize) {
    let outlived = |valid_until: Timestamp| {
        let ended = valid_until.saturating_add(moment.marker_retention_ms) < moment.time;
        ended || zoo::has(Bug::MarkersSweptEarly)
    };
    let old = base.first_markers(outlived, limit);
    overlay.read_ahead_at(old.clone());
    old.iter().for_each(|(key, _)| overlay.delete(key));
    overlay.keep();
}
