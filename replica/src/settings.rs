//! What an operator may tune. Nothing here changes which blocks are valid.

/// Durations and bounds of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Shortest time that a leader is given, in ms. Range: 1 to `timeout_max_ms`. Default 100: one
    /// region; 600 suits validators on several continents.
    pub timeout_min_ms: u64,
    /// Longest time that a leader is given, in ms. Default 10,000.
    pub timeout_max_ms: u64,
    /// Shortest time between a block's proposal and its child's, in ms; fuller blocks cost less.
    /// Default 50.
    pub min_interval_ms: u64,
    /// Time between empty blocks when there is nothing to order, in ms. Default 1,000. All validators
    /// should have the same: it is how long they wait for an idle leader.
    pub idle_interval_ms: u64,
    /// Shortest time between two bundles of this replica, in ms. Default 10.
    pub bundle_interval_ms: u64,
    /// Time after which an unanswered question goes to another peer, in ms. Default 300.
    pub ask_timeout_ms: u64,
    /// Time after which a replica that has not advanced asks a peer for newer blocks, in ms.
    /// Default 3,000. A replica that does not vote asks each `idle_interval_ms` instead.
    pub sync_interval_ms: u64,
    /// Bounds of the pool of transactions.
    pub pool: PoolLimits,
}

/// Bounds of the pool of transactions that clients gave to this replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Most transactions. Default 65,536.
    pub transactions_max: usize,
    /// Most bytes of signed transactions. Default 64 MiB.
    pub bytes_max: usize,
    /// Most transactions of one sender. Default 16,384: a quarter, so that one sender cannot fill the
    /// pool. No more in any case than a quarter of those that may wait in the whole network.
    pub sender_max: usize,
    /// Transactions that may wait in the whole network however few it orders; above, as many may wait as it
    /// ordered in the last second. Default 4,096.
    pub backlog_min: usize,
    /// What a client that was refused for lack of room is told to wait, in ms. Default 500.
    pub retry_after_ms: u64,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            transactions_max: 65_536,
            bytes_max: 64 * 1024 * 1024,
            sender_max: 16_384,
            backlog_min: 4_096,
            retry_after_ms: 500,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout_min_ms: 100,
            timeout_max_ms: 10_000,
            min_interval_ms: 50,
            idle_interval_ms: 1_000,
            bundle_interval_ms: 10,
            ask_timeout_ms: 300,
            sync_interval_ms: 3_000,
            pool: PoolLimits::default(),
        }
    }
}
