//! Executing blocks: pure functions from a state and transactions to the next state and receipts.
//!
//! [`block::block`] takes the transactions in order, `transaction` decides about each whether it counts at
//! all, whether its sender authorised it, and whether its actions succeed together; one file for each
//! family of actions says what they do. `evidence` keeps what a bundle accuses validators of.
mod account;
mod action;
mod asset;
pub mod block;
mod evidence;
mod governance;
mod permission;
mod session;
pub(crate) mod transaction;
mod transfer;

use quorate_primitives::block::{Header, Outcome};
use quorate_primitives::merkle::list_root;
use quorate_primitives::receipt::Receipt;
use quorate_primitives::{Hash, Height, Timestamp, View};
use std::fmt;
use std::sync::Arc;

use crate::chain::Position;
use crate::chain::history::History;
use crate::state::{State, Write};

/// A block, or the genesis, and what executing it gave. Immutable; cloning is cheap.
#[derive(Clone)]
pub struct Executed(Arc<Inner>);

struct Inner {
    header: Option<Header>,
    block: Hash,
    outcome: Outcome,
    state: State,
    /// All blocks before this one.
    history: History,
    effects: Effects,
}

/// What the transactions of a block did.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) receipts: Vec<Receipt>,
    /// Leaf of each receipt.
    pub(crate) leaves: Vec<Hash>,
    /// Position of each receipt's transaction.
    pub(crate) positions: Vec<Position>,
    /// Transactions that did not count.
    pub(crate) dropped: Vec<Hash>,
    /// Changes of the state, ascending by path; those of the sweep are not among them.
    pub(crate) writes: Vec<Write>,
    /// What was swept before; nothing for the genesis.
    pub(crate) sweep: Option<block::Sweep>,
}

impl fmt::Debug for Executed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executed")
            .field("height", &self.height())
            .field("block", &self.block())
            .field("outcome", self.outcome())
            .finish_non_exhaustive()
    }
}

impl Executed {
    /// Height 0: the state that the genesis gives, and no earlier block.
    pub(crate) fn genesis(state: State, validators: Hash) -> Self {
        let history = History::default();
        let outcome = Outcome {
            state_root: state.root(),
            receipts_root: list_root(&[]),
            history_root: history.root(),
            next_validators: validators,
        };
        Self::restored(None, outcome, state, history)
    }

    /// A committed block as it is read again: its effects are in the store.
    pub(crate) fn restored(header: Option<Header>, outcome: Outcome, state: State, history: History) -> Self {
        Self::new(header, outcome, state, (history, Effects::default()))
    }

    pub(crate) fn new(
        header: Option<Header>,
        outcome: Outcome,
        state: State,
        (history, effects): (History, Effects),
    ) -> Self {
        let block = header.as_ref().map_or(state.chain(), Header::id);
        Self(Arc::new(Inner { header, block, outcome, state, history, effects }))
    }

    /// The block's header; absent for the genesis.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.0.header.as_ref()
    }

    /// The block's id; for height 0 the genesis hash.
    #[must_use]
    pub fn block(&self) -> Hash {
        self.0.block
    }

    /// The block's height; 0 for the genesis.
    #[must_use]
    pub fn height(&self) -> Height {
        self.0.state.height()
    }

    /// The block's time; for height 0 that of the genesis.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.0.state.time()
    }

    /// The turn in which the block was first proposed; 0 for the genesis.
    #[must_use]
    pub fn view(&self) -> View {
        self.header().map_or(View::ZERO, |header| header.view)
    }

    /// What the block did, as validators sign it.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.0.outcome
    }

    /// The state after the block.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.0.state
    }

    /// What each executed transaction did, in order. Empty when the block was not executed by this
    /// process but read from disk; then the [`crate::Reader`] has them.
    #[must_use]
    pub fn receipts(&self) -> &[Receipt] {
        &self.0.effects.receipts
    }

    /// Leaf hash of each receipt, in the same order.
    #[must_use]
    pub fn receipt_leaves(&self) -> &[Hash] {
        &self.0.effects.leaves
    }

    /// Where the transaction of each receipt stands, in the same order.
    #[must_use]
    pub fn positions(&self) -> &[Position] {
        &self.0.effects.positions
    }

    /// Ids of the transactions that were executed, in order.
    pub fn transactions(&self) -> impl Iterator<Item = Hash> {
        self.receipts().iter().map(|receipt| receipt.transaction)
    }

    /// Ids of the transactions in the block that did not count: of another chain, expired, too far
    /// ahead, or executed before. In order, possibly repeated.
    #[must_use]
    pub fn dropped(&self) -> &[Hash] {
        &self.0.effects.dropped
    }

    pub(crate) fn history(&self) -> &History {
        &self.0.history
    }

    pub(crate) fn writes(&self) -> &[Write] {
        &self.0.effects.writes
    }

    pub(crate) fn sweep(&self) -> Option<block::Sweep> {
        self.0.effects.sweep
    }
}
