//! The only JSON forms of the ledger's types. The types of `quorate-primitives` have one canonical
//! binary form and no other; what people and scripts read is defined here.
//!
//! Whole numbers of 64 bits and more and amounts are decimal strings, times are RFC 3339 with
//! milliseconds beside it, ids and canonical bytes are hexadecimal. Every field of an answer is
//! always present; `null` says that there is nothing. Each type carries its JSON Schema, from which
//! the OpenRPC document is made.

pub(crate) mod hexadecimal;
pub mod schema;

pub mod chain;
pub mod epoch;
pub mod event;
pub mod evidence;
pub mod node;
pub mod proof;
pub mod receipt;
pub mod state;
pub mod transaction;
pub mod values;

pub use chain::{
    ApiLimits, Block, BlockHeader, BundleBody, ChainInfo, ChainParameters, FinalityAnswer, Head,
    HeaderAnswer, Outcome,
};
pub use epoch::{EpochHandover, EpochPlace, EpochsAnswer, ValidatorEntry, ValidatorsAnswer};
pub use event::{End, EndReason, HeadEvent, Notice, TransactionEvent};
pub use evidence::{Accusation, Claim, EvidenceAnswer, Offence, RecordedEvidence};
pub use node::{MempoolStats, NodeStatus, Peer, PeerDirection, PeersAnswer, Voting};
pub use proof::{Ancestor, Finality, GroupEvidence, ProvenValue, ReceiptEvidence, ValueEvidence};
pub use receipt::{BalanceAfter, Event, FailureInfo, Receipt};
pub use state::{
    Account, AccountAnswer, Asset, AssetAnswer, AssetEntry, AssetPage, Authority, Balance, BalanceEntry,
    BalancesAnswer, Lifecycle, StateAnswer, StateEntry, WeightedKey,
};
pub use transaction::{
    Action, Assert, Operation, Output, Scope, SubmitManyAnswer, SubmitResult, Submitted, Transaction,
    TransactionAnswer, TransactionState, TransactionStatus,
};
pub use values::{Cursor, CursorError, Decimal, HexBytes, Shown, Time};
