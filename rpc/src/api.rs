//! Every method of the interface in one table: the server registers from it, the OpenRPC document is
//! written from it, and tests hold both to it.
use serde_json::Value;

pub mod errors;

pub use errors::{ApiError, ErrorData, ErrorKind, ErrorObject};

use crate::json::chain::BODY_PAGE_BYTES;
use crate::json::schema::{Definitions, Schema};
use crate::json::values::{Cursor, Decimal, HexBytes, Shown};
use crate::json::{self, HeadEvent, Notice, TransactionEvent};
use quorate_primitives::address::AccountId;
use quorate_primitives::block::{BUNDLES_MAX, PAYLOAD_BYTES_MAX};
use quorate_primitives::light::{FINALITY_BYTES_MAX, HANDOVER_BYTES_MAX, PROOF_BYTES_MAX};
use quorate_primitives::state::AssetId;
use quorate_primitives::transaction::{TRANSACTION_BYTES_MAX, TRANSACTION_BYTES_MIN};
use quorate_primitives::{EpochNumber, Hash, Height};

/// Longest request in bytes that a node takes by default and a client sends: seven of the longest
/// transactions in hexadecimal, or [`SUBMIT_MANY_MAX`] of 500 bytes.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Longest answer in bytes that a node gives by default; a client reads one of twice that.
pub const RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most transactions in one `tx_submitMany`, if together they fit a request.
pub const SUBMIT_MANY_MAX: usize = 1_000;
/// Most keys in one `state_get`: 100 proofs of 20 KiB in hexadecimal just fit the longest answer.
pub const STATE_KEYS_MAX: usize = 100;
/// Most handovers in one `chain_getEpochs`: each takes at most 32 KiB, twice that in hexadecimal.
pub const EPOCHS_MAX: u32 = 32;

/// Bytes of JSON around what is counted below, rounded up.
const AROUND_BYTES: usize = 4 * 1024;
/// A transaction id between quotes, with its comma.
const ID_BYTES: usize = 67;
/// Most transactions in a block.
const BLOCK_TRANSACTIONS_MAX: usize = PAYLOAD_BYTES_MAX / TRANSACTION_BYTES_MIN;

const _: () = {
    assert!(2 * TRANSACTION_BYTES_MAX + AROUND_BYTES <= REQUEST_BYTES_MAX);
    assert!(SUBMIT_MANY_MAX * (2 * 500 + 3) + AROUND_BYTES <= REQUEST_BYTES_MAX);
    assert!(2 * (STATE_KEYS_MAX * PROOF_BYTES_MAX + FINALITY_BYTES_MAX) + AROUND_BYTES <= RESPONSE_BYTES_MAX);
    assert!(32 * (2 * HANDOVER_BYTES_MAX + 128) + AROUND_BYTES <= RESPONSE_BYTES_MAX && EPOCHS_MAX == 32);
    let ids = (BLOCK_TRANSACTIONS_MAX + BUNDLES_MAX) * ID_BYTES;
    assert!(BODY_PAGE_BYTES + ids + AROUND_BYTES <= RESPONSE_BYTES_MAX);
};

/// Most rows in a page.
pub const PAGE_ROWS_MAX: u32 = 100;
/// Longest wait of `tx_submitAndWait`, and the one used if none is given.
pub const WAIT_MS_MAX: u32 = 60_000;
/// Longest canonical encoding of a state key in bytes; the longest is a grant on an asset.
pub const STATE_KEY_BYTES_MAX: usize = 128;

/// One method.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// What callers write.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Parameters in order of position.
    pub parameters: &'static [Parameter],
    /// Schema of the result; of a notification for a subscription.
    pub result: fn(&mut Definitions) -> Value,
    /// Errors that only some methods give; those that any method may give are in [`COMMON_ERRORS`].
    pub errors: &'static [ErrorKind],
    /// How it is called.
    pub style: Style,
}

/// How a method is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One question, one answer.
    Call,
    /// One question, many answers, over WebSocket only.
    Subscription {
        /// Method name in the notifications.
        notification: &'static str,
        /// Method that ends it.
        unsubscribe: &'static str,
    },
}

/// One parameter of a method.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Whether it must be given.
    pub presence: Presence,
    /// Schema of its value.
    pub schema: fn(&mut Definitions) -> Value,
    /// What it means, and what is taken if it is not given.
    pub summary: &'static str,
}

/// Whether a parameter must be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It must.
    Required,
    /// It need not; `null` counts as not given.
    Optional,
}

impl Method {
    /// The method with this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Method> {
        METHODS.iter().find(|method| method.name == name)
    }
}

const fn required(
    name: &'static str,
    schema: fn(&mut Definitions) -> Value,
    summary: &'static str,
) -> Parameter {
    Parameter { name, presence: Presence::Required, schema, summary }
}

const fn optional(
    name: &'static str,
    schema: fn(&mut Definitions) -> Value,
    summary: &'static str,
) -> Parameter {
    Parameter { name, presence: Presence::Optional, schema, summary }
}

const PROOF: Parameter = optional(
    "proof",
    bool::schema,
    "whether to add all that is needed to verify the answer; false if absent",
);
const AT_HEIGHT: Parameter = optional(
    "height",
    <Decimal<Height>>::schema,
    "height of the block; the newest finalized one if neither is given",
);
const AT_BLOCK: Parameter =
    optional("block", <Shown<Hash>>::schema, "id of the block, instead of its height");
const TX_ID: Parameter = required("tx_id", <Shown<Hash>>::schema, "id of the transaction");
const TRANSACTION: Parameter =
    required("transaction", HexBytes::schema, "canonical bytes of the signed transaction");

/// Errors that any method may give.
pub const COMMON_ERRORS: &[ErrorKind] = &[
    ErrorKind::InvalidParams,
    ErrorKind::Internal,
    ErrorKind::NotReady,
    ErrorKind::Busy,
    ErrorKind::Timeout,
    ErrorKind::ResponseTooLarge,
];

/// Errors of submitting, besides the refusals of the ledger (1001 to 1999).
const SUBMIT_ERRORS: &[ErrorKind] = &[
    ErrorKind::Malformed,
    ErrorKind::BadSignature,
    ErrorKind::WrongChain,
    ErrorKind::Expired,
    ErrorKind::TooFarAhead,
    ErrorKind::AlreadyKnown,
    ErrorKind::MempoolFull,
    ErrorKind::SenderFull,
];

const fn call(
    name: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    result: fn(&mut Definitions) -> Value,
    errors: &'static [ErrorKind],
) -> Method {
    Method { name, summary, parameters, result, errors, style: Style::Call }
}

/// All methods, in the order in which they are documented.
pub const METHODS: &[Method] = &[
    call("rpc.discover", "Describes this interface as an OpenRPC document.", &[], any_object, &[]),
    call(
        "chain_info",
        "The network, its genesis hash, versions, height and limits.",
        &[],
        json::ChainInfo::schema,
        &[],
    ),
    call("chain_head", "The newest finalized block.", &[], json::Head::schema, &[]),
    call(
        "chain_getBlock",
        "A finalized block by height or id, with the ids of its bundles and transactions.",
        &[
            AT_HEIGHT,
            AT_BLOCK,
            optional(
                "bodies",
                bool::schema,
                "whether to add the bundles with their transactions, one page at a time; false if absent",
            ),
            optional("from_bundle", u32::schema, "position of the first bundle of the page; 0 if absent"),
        ],
        json::Block::schema,
        &[ErrorKind::NotFound],
    ),
    call(
        "chain_getHeader",
        "The header of a finalized block and what the block did.",
        &[AT_HEIGHT, AT_BLOCK],
        json::HeaderAnswer::schema,
        &[ErrorKind::NotFound],
    ),
    call(
        "chain_getFinality",
        "The proof that a block is final: its certificate, or that of a later block and the way to it.",
        &[optional(
            "height",
            <Decimal<Height>>::schema,
            "height of the block; the newest certified one if absent",
        )],
        json::FinalityAnswer::schema,
        &[ErrorKind::NotFound],
    ),
    call(
        "chain_getEpochs",
        "What leads from each set of validators to the next, for clients that trust the genesis.",
        &[
            optional(
                "from",
                <Decimal<EpochNumber>>::schema,
                "the first epoch to be led to; 1 if absent, since the first epoch begins with the genesis",
            ),
            optional("limit", u32::schema, "most handovers, 1 to 32; 32 if absent"),
        ],
        json::EpochsAnswer::schema,
        &[],
    ),
    call(
        "chain_getValidators",
        "The validators of an epoch: of any past one, of the current one or of the next two.",
        &[optional(
            "epoch",
            <Decimal<EpochNumber>>::schema,
            "the epoch; that of the newest finalized block if absent",
        )],
        json::ValidatorsAnswer::schema,
        &[ErrorKind::NotFound],
    ),
    call(
        "chain_getEvidence",
        "Everything that validators were convicted of, as of the newest certified block.",
        &[PROOF],
        json::EvidenceAnswer::schema,
        &[],
    ),
    call(
        "tx_submit",
        "Submits a signed transaction; submitting the same one again does no harm.",
        &[TRANSACTION],
        json::Submitted::schema,
        SUBMIT_ERRORS,
    ),
    call(
        "tx_submitMany",
        "Submits up to 1,000 signed transactions; each has its own result.",
        &[required("transactions", <Vec<HexBytes>>::schema, "canonical bytes of the signed transactions")],
        json::SubmitManyAnswer::schema,
        &[],
    ),
    call(
        "tx_submitAndWait",
        "Submits a signed transaction and answers when it is final or expired, or when the time is over and it is still pending.",
        &[
            TRANSACTION,
            optional(
                "timeout_ms",
                u32::schema,
                "longest wait in milliseconds, at most 60,000, which is also the default",
            ),
            PROOF,
        ],
        json::TransactionAnswer::schema,
        SUBMIT_ERRORS,
    ),
    call("tx_get", "A transaction with what it did.", &[TX_ID, PROOF], json::TransactionAnswer::schema, &[]),
    call("tx_status", "How a transaction stands.", &[TX_ID], json::TransactionStatus::schema, &[]),
    call(
        "state_get",
        "Values of the state by their keys, as of the newest certified block.",
        &[required("keys", <Vec<HexBytes>>::schema, "canonical bytes of up to 100 state keys"), PROOF],
        json::StateAnswer::schema,
        &[ErrorKind::Malformed],
    ),
    call(
        "account_get",
        "An account, as of the newest certified block.",
        &[required("account", <Shown<AccountId>>::schema, "id of the account"), PROOF],
        json::AccountAnswer::schema,
        &[],
    ),
    call(
        "account_getBalances",
        "All balances of an account, as of the newest certified block.",
        &[required("account", <Shown<AccountId>>::schema, "id of the account"), PROOF],
        json::BalancesAnswer::schema,
        &[],
    ),
    call(
        "asset_get",
        "An asset, as of the newest certified block.",
        &[required("asset", String::schema, "id of the asset in hexadecimal, or its symbol"), PROOF],
        json::AssetAnswer::schema,
        &[],
    ),
    call(
        "asset_list",
        "The assets in order of their ids, one page at a time.",
        &[
            optional(
                "after",
                <Shown<AssetId>>::schema,
                "the page starts after this id; at the beginning if absent",
            ),
            optional("limit", u32::schema, "most rows, 1 to 100; 100 if absent"),
        ],
        json::AssetPage::schema,
        &[],
    ),
    call(
        "node_status",
        "How the node is, and why not if it is not well.",
        &[],
        json::NodeStatus::schema,
        &[],
    ),
    call("node_peers", "The connected peers.", &[], json::PeersAnswer::schema, &[]),
    call("mempool_stats", "Transactions that wait to be ordered.", &[], json::MempoolStats::schema, &[]),
    Method {
        name: "chain_subscribeHeads",
        summary: "Delivers every finalized block in order, at least once and without gaps.",
        parameters: &[optional(
            "from",
            <Shown<Cursor>>::schema,
            "deliver what comes after this cursor; only new blocks if absent",
        )],
        result: <Notice<HeadEvent>>::schema,
        errors: &[ErrorKind::TooManySubscriptions, ErrorKind::NotFound],
        style: Style::Subscription { notification: "chain_heads", unsubscribe: "chain_unsubscribeHeads" },
    },
    Method {
        name: "tx_subscribe",
        summary: "Delivers how a transaction stands, now and at each change, until it is final, rejected or expired.",
        parameters: &[TX_ID],
        result: <Notice<TransactionEvent>>::schema,
        errors: &[ErrorKind::TooManySubscriptions],
        style: Style::Subscription { notification: "tx_status_changed", unsubscribe: "tx_unsubscribe" },
    },
];

fn any_object(_: &mut Definitions) -> Value {
    serde_json::json!({ "type": "object" })
}
