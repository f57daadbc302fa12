//! The chain and its blocks.
use quorate_primitives::block;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::state::Parameters;
use quorate_primitives::{EpochNumber, Hash, Height, View};
use std::io::{self, Write};

use super::evidence::Accusation;
use super::proof::Finality;
use super::schema::object;
use super::transaction::Transaction;
use super::values::{Decimal, HexBytes, Shown, Time};

/// Most bytes of JSON of bundles in one page of a block's bodies, unless it is a single one. The ids of all
/// transactions of a full block fit the longest answer beside it. They also fit beside the longest bundle of
/// the shortest actions, which takes 2.7 MiB of JSON: eleven times its canonical bytes.
pub const BODY_PAGE_BYTES: usize = 5 * 512 * 1024;

object! {
    /// What a client must know about the network before anything else.
    pub struct ChainInfo {
        /// Name of the network.
        pub network: String,
        /// Beginning of every address of the network.
        pub address_prefix: String,
        /// Genesis hash: the identity of the chain, which clients pin.
        pub chain: Shown<Hash>,
        /// Rules by which blocks are judged and executed.
        pub protocol_version: u32,
        /// Version of the node's software.
        pub software_version: String,
        /// Newest finalized height of this node.
        pub height: Decimal<Height>,
        /// Epoch of that height.
        pub epoch: Decimal<EpochNumber>,
        /// Number of validators of the epoch.
        pub validators: u32,
        /// Votes that make a certificate.
        pub quorum: u32,
        /// Numbers that all validators agree on.
        pub parameters: ChainParameters,
        /// What this interface accepts; filled in by the server.
        pub limits: Option<ApiLimits>,
    }
}

object! {
    /// Numbers that all validators agree on.
    pub struct ChainParameters {
        /// How far ahead a transaction's `valid_until` may lie, in milliseconds.
        pub max_validity_ms: Decimal<u64>,
        /// How far a block's time may be ahead of a voter's clock, in milliseconds.
        pub clock_bound_ms: Decimal<u64>,
        /// How long markers stay after their transaction expired, in milliseconds.
        pub marker_retention_ms: Decimal<u64>,
        /// Heights in an epoch.
        pub epoch_length: Decimal<u64>,
        /// Bytes of bundles in a block.
        pub payload_bytes_max: u32,
    }
}

impl From<&Parameters> for ChainParameters {
    fn from(parameters: &Parameters) -> Self {
        Self {
            max_validity_ms: Decimal(parameters.max_validity_ms),
            clock_bound_ms: Decimal(parameters.clock_bound_ms),
            marker_retention_ms: Decimal(parameters.marker_retention_ms),
            epoch_length: Decimal(parameters.epoch_length),
            payload_bytes_max: parameters.payload_bytes_max,
        }
    }
}

object! {
    /// What this interface accepts.
    pub struct ApiLimits {
        /// Longest request body in bytes.
        pub request_bytes_max: u32,
        /// Longest answer in bytes.
        pub response_bytes_max: u32,
        /// Most calls in a batch.
        pub batch_calls_max: u32,
        /// Deepest nesting of JSON in a request.
        pub json_depth_max: u32,
        /// Most transactions in one `tx_submitMany`.
        pub submit_many_max: u32,
        /// Longest signed transaction in bytes.
        pub transaction_bytes_max: u32,
        /// Most rows in a page.
        pub page_rows_max: u32,
        /// Most keys in one `state_get`.
        pub state_keys_max: u32,
        /// Longest wait of `tx_submitAndWait` in milliseconds.
        pub wait_ms_max: u32,
        /// Most subscriptions of a connection.
        pub subscriptions_max: u32,
    }
}

object! {
    /// The newest finalized block.
    pub struct Head {
        /// Its height; 0 is the genesis state.
        pub height: Decimal<Height>,
        /// Its id; for height 0 the genesis hash.
        pub block: Shown<Hash>,
        /// Its time.
        pub time: Time,
        /// The turn in which it was first proposed.
        pub view: Decimal<View>,
        /// Its epoch.
        pub epoch: Decimal<EpochNumber>,
        /// Root of the state after it.
        pub state_root: Shown<Hash>,
        /// Transactions that it executed.
        pub transactions: u32,
        /// Newest height with a certificate of its own: the height of proven answers.
        pub certified_height: Option<Decimal<Height>>,
    }
}

object! {
    /// A block's header.
    pub struct BlockHeader {
        /// The block's id: the hash of the header's canonical bytes.
        pub id: Shown<Hash>,
        /// Genesis hash.
        pub chain: Shown<Hash>,
        /// Rules by which the block is judged and executed.
        pub version: u32,
        /// Validator-set period.
        pub epoch: Decimal<EpochNumber>,
        /// Turn in which the block was first proposed.
        pub view: Decimal<View>,
        /// Position in the chain.
        pub height: Decimal<Height>,
        /// Turn of the parent.
        pub parent_view: Decimal<View>,
        /// Id of the parent.
        pub parent: Shown<Hash>,
        /// Time that the quorum agreed on.
        pub time: Time,
        /// Index of the leader among the validators of the epoch.
        pub proposer: u8,
        /// Commits to the bundles in order.
        pub payload_root: Shown<Hash>,
        /// Canonical bytes of the header.
        pub bytes: HexBytes,
    }
}

impl From<&block::Header> for BlockHeader {
    fn from(header: &block::Header) -> Self {
        Self {
            id: header.id().into(),
            chain: header.chain.into(),
            version: header.version,
            epoch: header.epoch.into(),
            view: header.view.into(),
            height: header.height.into(),
            parent_view: header.parent_view.into(),
            parent: header.parent.into(),
            time: header.time.into(),
            proposer: header.proposer,
            payload_root: header.payload_root.into(),
            bytes: HexBytes::of(header),
        }
    }
}

object! {
    /// The four roots that describe the ledger after a block.
    pub struct Outcome {
        /// What validators sign.
        pub digest: Shown<Hash>,
        /// Root of the state tree.
        pub state_root: Shown<Hash>,
        /// Root of the list of receipts.
        pub receipts_root: Shown<Hash>,
        /// Root of the list of all earlier blocks.
        pub history_root: Shown<Hash>,
        /// Hash of the next epoch's validator set.
        pub next_validators: Shown<Hash>,
    }
}

impl From<&block::Outcome> for Outcome {
    fn from(outcome: &block::Outcome) -> Self {
        Self {
            digest: outcome.digest().into(),
            state_root: outcome.state_root.into(),
            receipts_root: outcome.receipts_root.into(),
            history_root: outcome.history_root.into(),
            next_validators: outcome.next_validators.into(),
        }
    }
}

object! {
    /// A header with what the block did.
    pub struct HeaderAnswer {
        /// The header.
        pub header: BlockHeader,
        /// What the block did.
        pub outcome: Outcome,
    }
}

object! {
    /// A block.
    pub struct Block {
        /// The header.
        pub header: BlockHeader,
        /// What the block did.
        pub outcome: Outcome,
        /// Ids of its bundles in order.
        pub bundles: Vec<Shown<Hash>>,
        /// Ids of the transactions that it executed, in order of their receipts.
        pub transactions: Vec<Shown<Hash>>,
        /// The bundles of one page, if bodies were asked for.
        pub bodies: Option<Vec<BundleBody>>,
        /// Where the next page starts (`from_bundle`), if there is one.
        pub next_bundle: Option<u32>,
    }
}

object! {
    /// A bundle with its transactions.
    pub struct BundleBody {
        /// Hash of its canonical bytes.
        pub id: Shown<Hash>,
        /// Index of the validator that is said to have collected it.
        pub author: u8,
        /// That validator's counter.
        pub sequence: Decimal<u64>,
        /// The transactions in order; some may have been dropped at execution.
        pub transactions: Vec<Transaction>,
        /// What it accuses validators of, in order; the ledger records what it does not know yet.
        pub accusations: Vec<Accusation>,
    }
}

impl From<&Bundle> for BundleBody {
    fn from(bundle: &Bundle) -> Self {
        Self {
            id: bundle.id().into(),
            author: bundle.author(),
            sequence: bundle.sequence().into(),
            transactions: bundle.transactions().iter().map(|signed| Transaction::from(&**signed)).collect(),
            accusations: bundle.accusations().iter().filter_map(Accusation::of).collect(),
        }
    }
}

/// Counts what is written to it.
#[derive(Default)]
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of a bundle in JSON.
fn shown_bytes(body: &BundleBody) -> usize {
    let mut length = Length::default();
    // Nothing here refuses to be counted or to be written.
    let _ = serde_json::to_writer(&mut length, body);
    length.0
}

/// One page of a block's bodies, and where the next one starts.
#[must_use]
pub fn body_page(bundles: &[Bundle], from: u32) -> (Vec<BundleBody>, Option<u32>) {
    let mut page = Vec::new();
    let mut bytes = 0_usize;
    let start = usize::try_from(from).unwrap_or(usize::MAX);
    for (position, bundle) in bundles.iter().enumerate().skip(start) {
        let body = BundleBody::from(bundle);
        bytes = bytes.saturating_add(shown_bytes(&body));
        if !page.is_empty() && bytes > BODY_PAGE_BYTES {
            return (page, u32::try_from(position).ok());
        }
        page.push(body);
    }
    (page, None)
}

object! {
    /// The proof that a block is final.
    pub struct FinalityAnswer {
        /// Its height.
        pub height: Decimal<Height>,
        /// Its id.
        pub block: Shown<Hash>,
        /// Its time.
        pub time: Time,
        /// Height of the certified block that proves it: its own, or the next one above.
        pub certified_height: Decimal<Height>,
        /// Turn of the certificate.
        pub certificate_view: Decimal<View>,
        /// Indices of the validators that signed, ascending.
        pub signers: Vec<u8>,
        /// Everything a client needs to check it.
        pub proof: Finality,
    }
}
