//! The node itself, its peers and its waiting transactions.
use quorate_primitives::{EpochNumber, Height, PublicKey, View};

use super::schema::{object, words};
use super::values::{Decimal, Shown, Time};

words! {
    /// Whether a node votes.
    pub enum Voting {
        /// It does.
        Yes = "yes",
        /// It is no validator of this epoch.
        Observer = "observer",
        /// Not yet: it asks the others whether they hold a vote of its key that it does not know of.
        Asking = "asking",
        /// Not yet: its vote log was lost, and too few of the others have said where they stand.
        Quarantined = "quarantined",
        /// Not before the view named: it may have voted in the ones before and forgotten it.
        Silent = "silent",
    }
}

object! {
    /// How a node is.
    pub struct NodeStatus {
        /// The node's name for people.
        pub name: String,
        /// Version of its software.
        pub version: String,
        /// Its public key.
        pub key: Shown<PublicKey>,
        /// Its index among the validators of the epoch; `null` for an observer.
        pub validator: Option<u8>,
        /// Whether it votes.
        pub voting: Voting,
        /// The first turn in which it votes, for `silent`.
        pub voting_from: Option<Decimal<View>>,
        /// Since when it runs.
        pub started: Time,
        /// Newest finalized height.
        pub height: Decimal<Height>,
        /// Time of that block.
        pub block_time: Time,
        /// Newest height with a certificate of its own.
        pub certified_height: Option<Decimal<Height>>,
        /// Epoch it is in.
        pub epoch: Decimal<EpochNumber>,
        /// Height of that epoch's last block.
        pub epoch_last_height: Decimal<Height>,
        /// Turn it is in; turns are counted from 1 in each epoch.
        pub view: Decimal<View>,
        /// Index of the leader of that turn.
        pub leader: Option<u8>,
        /// Whether it is fetching blocks that others have.
        pub syncing: bool,
        /// Whether it can serve and, as a validator, vote.
        pub ready: bool,
        /// Connected peers.
        pub peers: u32,
        /// Validators connected, itself included if it is one.
        pub validators_connected: u32,
        /// Transactions waiting to be ordered.
        pub pending_transactions: Decimal<u64>,
        /// In plain words why no block was finalized for a while; `null` when all is well.
        pub not_progressing: Option<String>,
    }
}

words! {
    /// Who opened a connection.
    pub enum PeerDirection {
        /// The peer.
        Inbound = "inbound",
        /// This node.
        Outbound = "outbound",
    }
}

object! {
    /// A connected peer.
    pub struct Peer {
        /// Its public key.
        pub key: Shown<PublicKey>,
        /// Its name, if it is a validator.
        pub name: Option<String>,
        /// Its index, if it is a validator.
        pub validator: Option<u8>,
        /// Network address.
        pub address: Option<String>,
        /// Who opened the connection.
        pub direction: Option<PeerDirection>,
        /// Since when.
        pub connected: Option<Time>,
    }
}

object! {
    /// The connected peers.
    pub struct PeersAnswer {
        /// One entry for each.
        pub peers: Vec<Peer>,
    }
}

object! {
    /// Transactions that wait to be ordered.
    pub struct MempoolStats {
        /// How many.
        pub transactions: Decimal<u64>,
        /// Their bytes.
        pub bytes: Decimal<u64>,
        /// How many senders they have.
        pub senders: Decimal<u64>,
        /// Bundles that are not in a finalized block.
        pub bundles: Decimal<u64>,
        /// Most transactions that may wait.
        pub transactions_max: Decimal<u64>,
        /// Most bytes that may wait.
        pub bytes_max: Decimal<u64>,
    }
}
