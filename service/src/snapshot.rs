//! What a node knows at one moment.
use std::sync::Arc;

use quorate_genesis::Genesis;
use quorate_ledger::store::StoreError;
use quorate_ledger::{Executed, Reader, State};
use quorate_primitives::light::FinalityProof;
use quorate_primitives::{Hash, Height, PublicKey, Timestamp};
use quorate_replica::PoolLimits;
use quorate_rpc::backend::Answer;
use quorate_rpc::{ApiError, ErrorKind};

/// What does not change while a node runs.
pub struct Identity {
    /// The founding document.
    pub genesis: Genesis,
    /// Its hash.
    pub chain: Hash,
    /// The node's key.
    pub key: PublicKey,
    /// For people.
    pub name: String,
    /// Since when the node runs.
    pub started: Timestamp,
    /// Bounds of its pool.
    pub pool: PoolLimits,
}

/// What a node knows at one moment. Cheap to clone.
///
/// The head and the certified block stay as they were taken, while the reader finds blocks that are
/// committed later as well. So whoever finds nothing for a question must have taken the snapshot
/// before looking, and may then say "not up to this height".
///
/// Methods that read the store say so: they block as long as the disk takes. All others answer from
/// memory.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) executed: Executed,
    pub(crate) certified: Option<(FinalityProof, State)>,
    pub(crate) reader: Reader,
    pub(crate) identity: Arc<Identity>,
}

impl Snapshot {
    /// The newest committed block, the newest committed block that has a certificate of its own with
    /// the state after it, and where all others are read.
    #[must_use]
    pub fn new(
        executed: Executed,
        certified: Option<(FinalityProof, State)>,
        reader: Reader,
        identity: Arc<Identity>,
    ) -> Self {
        Self { executed, certified, reader, identity }
    }

    /// Height of the newest committed block.
    #[must_use]
    pub fn height(&self) -> Height {
        self.executed.height()
    }

    /// Height of the newest committed block that has a certificate of its own.
    #[must_use]
    pub fn certified_height(&self) -> Option<Height> {
        self.certified.as_ref().map(|(proof, _)| proof.header.height)
    }

    /// The newest certified block and the state after it.
    pub(crate) fn certified(&self) -> Answer<&(FinalityProof, State)> {
        let none = || ApiError::new(ErrorKind::NotReady, "no block with a certificate of its own yet");
        self.certified.as_ref().ok_or_else(none)
    }
}

/// The answer when the store fails: the cause goes to the log.
pub(crate) fn unreadable(error: StoreError) -> ApiError {
    ApiError::internal(error)
}
