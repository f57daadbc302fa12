//! The ledger of one node: one committed branch, and any number of executed forks above it.
use quorate_genesis::Genesis;
use quorate_primitives::block::Header;
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::{Certificate, Claim};
use quorate_primitives::light::FinalityProof;
use quorate_primitives::signed::Verified;
use quorate_primitives::state::StateKey;
use quorate_primitives::zoo::{self, Bug};
use quorate_primitives::{Hash, Height};
use std::sync::Arc;

use crate::chain::history::History;
use crate::chain::markers::Markers;
use crate::chain::{self, BlockRecord, Head, Reader};
use crate::execute::{Executed, block};
use crate::state::{Place, State};
use crate::store::schema::{self, META_CHAIN, META_FORMAT};
use crate::store::{Durability, HighWater, Store, StoreError, Table};

/// Entries of the state that are read at a time when a database is opened.
const PAGE: usize = 10_000;

/// The ledger of one node.
pub struct Ledger {
    store: Arc<dyn Store>,
    head: Executed,
    markers: Markers,
    certified: Option<(FinalityProof, State)>,
}

/// Why a database cannot be used. Each means that an operator must act.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Written by other software.
    #[error(
        "the database has format {found}, but this software reads and writes format {supported}; \
         fetch the chain from other nodes into an empty folder, one node after the other"
    )]
    Format {
        /// Format of the database.
        found: u32,
        /// The only one that can be used, [`schema::FORMAT`].
        supported: u32,
    },
    /// A ledger of another network.
    #[error("the database belongs to chain {found}, but the genesis document is that of chain {expected}")]
    OtherChain {
        /// Hash of the genesis document.
        expected: Hash,
        /// Chain of the database.
        found: Hash,
    },
    /// Less is there than once was safe: restored from a backup, or damaged.
    #[error(
        "the database has lost data: it ends at height {found}, but held height {expected} before; \
         do not run a validator on it, fetch the chain from other nodes into an empty folder"
    )]
    LostData {
        /// Height of the high-water record.
        expected: Height,
        /// Height of the database.
        found: Height,
    },
    /// As high as before, but with other blocks.
    #[error("the database holds block {found} at height {height}, but held block {expected} before")]
    OtherBlock {
        /// Where.
        height: Height,
        /// Block of the high-water record.
        expected: Hash,
        /// Block of the database.
        found: Hash,
    },
    /// A database with blocks and without the record of how far it must reach.
    #[error(
        "the high-water record is missing, so nobody can say whether the database at height {height} is whole"
    )]
    HighWaterMissing {
        /// Height of the database.
        height: Height,
    },
    /// The entries of the state are not those that the last block left.
    #[error("the state has root {found}, but block {height} left root {expected}")]
    StateRoot {
        /// Height of the head.
        height: Height,
        /// Recorded.
        expected: Hash,
        /// Computed from all entries.
        found: Hash,
    },
    /// The last block's record, the list of earlier blocks, or the head do not fit together.
    #[error("the records of block {height} contradict each other: {what}")]
    Contradiction {
        /// Height of the head.
        height: Height,
        /// Which.
        what: &'static str,
    },
    /// The genesis document lacks something without which no block can be executed.
    #[error("the genesis document has no {what}")]
    Genesis {
        /// What.
        what: &'static str,
    },
}

/// Why a block was not committed. All but [`CommitError::Store`] are faults of the caller.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The store fails: the process must stop.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Not a child of the head.
    #[error("block {block} at height {height} does not follow the head {head}")]
    NotNext {
        /// The block given.
        block: Hash,
        /// Its height.
        height: Height,
        /// The last committed block.
        head: Hash,
    },
    /// The bundles are not those that the header commits to.
    #[error("the bundles are not the payload of block {block}")]
    OtherPayload {
        /// The block given.
        block: Hash,
    },
    /// The certificate does not finalize this block with this outcome.
    #[error("the certificate finalizes something else than block {block} with outcome {outcome}")]
    OtherClaim {
        /// The block given.
        block: Hash,
        /// Its outcome.
        outcome: Hash,
    },
}

impl Ledger {
    /// Opens the ledger that a store holds, or founds it in an empty one. Reads the whole state.
    ///
    /// # Errors
    /// [`OpenError`] naming why the data cannot be trusted or used.
    pub fn open(store: Arc<dyn Store>, genesis: &Genesis) -> Result<Self, OpenError> {
        let high_water = store.high_water()?;
        let (head, markers) = match store.get(Table::Meta, META_FORMAT)? {
            None => (found(store.as_ref(), genesis, high_water)?, Markers::default()),
            Some(format) => {
                check_identity(store.as_ref(), genesis, format)?;
                let head = chain::read_head(store.as_ref())?;
                let head = head.ok_or_else(|| chain::corrupt(Table::Meta, "there is no head"))?;
                check_high_water(store.as_ref(), &head, high_water)?;
                let restored = restore(store.as_ref(), genesis, &head)?;
                // Only the operating system may have the last blocks of a process that ended. What
                // follows is built on them, and the vote log need not hold them.
                if high_water.is_some_and(|mark| mark.height < head.height) {
                    store.sync(HighWater { height: head.height, block: head.block })?;
                }
                restored
            }
        };
        let certified = certified_head(&store, &head)?;
        Ok(Self { store, head, markers, certified })
    }

    /// The last committed block; before the first one, height 0 with the state of the genesis.
    #[must_use]
    pub fn head(&self) -> &Executed {
        &self.head
    }

    /// The newest committed block that has its own certificate, with the proof and the state after it.
    ///
    /// Absent before the first such block, and after opening a database whose last block has none.
    #[must_use]
    pub fn certified(&self) -> Option<(FinalityProof, State)> {
        self.certified.clone()
    }

    /// Executes a block on any executed parent. Nothing is written; two children of one parent do not
    /// affect each other.
    #[must_use]
    pub fn execute(&self, parent: &Executed, header: &Header, bundles: &[Verified<Bundle>]) -> Executed {
        block::block(parent, header, bundles)
    }

    /// Makes an executed block part of the committed branch, in one atomic batch. It survives the end
    /// of the process at once, and a power failure after the next [`Ledger::sync`].
    ///
    /// # Errors
    /// [`CommitError`]; then the head has not moved.
    pub fn commit(
        &mut self,
        executed: Executed,
        bundles: &[Verified<Bundle>],
        certificate: Option<Certificate>,
    ) -> Result<(), CommitError> {
        let (block, height, head) = (executed.block(), executed.height(), self.head.block());
        let not_next = CommitError::NotNext { block, height, head };
        let header = match executed.header() {
            Some(header) if header.parent == head && height == self.head.height().next() => header,
            Some(_) | None => return Err(not_next),
        };
        if chain::payload_of(bundles).root() != header.payload_root {
            return Err(CommitError::OtherPayload { block });
        }
        let outcome = executed.outcome().digest();
        let finalizes = |certificate: &Certificate| {
            let view = certificate.claim.view();
            // A block at the end of an epoch may be finalized in a later turn than its own.
            view >= header.view && certificate.claim == Claim::Finalize { view, block, outcome }
        };
        if !certificate.as_ref().is_none_or(finalizes) {
            return Err(CommitError::OtherClaim { block, outcome });
        }
        let mut batch = chain::block_batch(header, &executed, bundles, certificate.as_ref());
        let markers = self.markers.change(&mut batch, &executed);
        if zoo::has(Bug::CommitSplit) {
            self.store.write(chain::head_batch(&executed), Durability::Buffered)?;
        }
        self.store.write(batch, Durability::Buffered)?;
        self.markers.apply(markers);
        if let Some(certificate) = certificate {
            let proof = FinalityProof { header: header.clone(), outcome: *executed.outcome(), certificate };
            self.certified = Some((proof, executed.state().clone()));
        }
        self.head = executed;
        Ok(())
    }

    /// Makes all committed blocks safe against power failure, and records that they are. Blocks for as
    /// long as the disk takes.
    ///
    /// # Errors
    /// [`StoreError`]: the process must stop.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.store.sync(HighWater { height: self.head.height(), block: self.head.block() })
    }

    /// Access to committed blocks for any thread.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.store))
    }
}

fn found(store: &dyn Store, genesis: &Genesis, high_water: Option<HighWater>) -> Result<Executed, OpenError> {
    if let Some(mark) = high_water {
        return Err(OpenError::LostData { expected: mark.height, found: Height::ZERO });
    }
    let chain = genesis.hash();
    let entries = genesis.state();
    let place = Place { chain, height: Height::ZERO, time: genesis.time };
    let state = State::from_entries(place, entries.iter().cloned());
    if state.parameters().is_none() {
        return Err(OpenError::Genesis { what: "parameters" });
    }
    let head = Executed::genesis(state, genesis.validators.hash());
    store.write(chain::genesis_batch(&head, &entries), Durability::Synced)?;
    store.sync(HighWater { height: Height::ZERO, block: chain })?;
    Ok(head)
}

fn check_identity(store: &dyn Store, genesis: &Genesis, format: Vec<u8>) -> Result<(), OpenError> {
    let format: [u8; 4] =
        format.try_into().map_err(|_| chain::corrupt(Table::Meta, "the format is not 4 bytes"))?;
    let found = u32::from_le_bytes(format);
    if found != schema::FORMAT {
        return Err(OpenError::Format { found, supported: schema::FORMAT });
    }
    let chain = store.get(Table::Meta, META_CHAIN)?.unwrap_or_default();
    let chain: [u8; 32] =
        chain.try_into().map_err(|_| chain::corrupt(Table::Meta, "the chain is not 32 bytes"))?;
    let (expected, found) = (genesis.hash(), Hash::from_bytes(chain));
    if found == expected { Ok(()) } else { Err(OpenError::OtherChain { expected, found }) }
}

fn check_high_water(store: &dyn Store, head: &Head, high_water: Option<HighWater>) -> Result<(), OpenError> {
    let Some(HighWater { height, block }) = high_water else {
        // The first start may have ended between writing the genesis and recording it.
        if head.height > Height::ZERO {
            return Err(OpenError::HighWaterMissing { height: head.height });
        }
        // It is made up for now: blocks follow, and the next start must find it.
        return Ok(store.sync(HighWater { height: Height::ZERO, block: head.block })?);
    };
    if height > head.height && !zoo::has(Bug::HighWaterIgnored) {
        return Err(OpenError::LostData { expected: height, found: head.height });
    }
    let found = if height == Height::ZERO {
        block
    } else {
        let record = read_record(store, height)?;
        record.map_or(Hash::ZERO, |record| record.header.id())
    };
    if found == block || zoo::has(Bug::HighWaterIgnored) {
        Ok(())
    } else {
        Err(OpenError::OtherBlock { height, expected: block, found })
    }
}

fn read_record(store: &dyn Store, height: Height) -> Result<Option<BlockRecord>, StoreError> {
    let bytes = store.get(Table::Blocks, &schema::height_key(height))?;
    bytes.map(|bytes| chain::decode(Table::Blocks, &bytes)).transpose()
}

/// Rebuilds the head from what is stored, and compares everything that can be computed twice.
fn restore(store: &dyn Store, genesis: &Genesis, head: &Head) -> Result<(Executed, Markers), OpenError> {
    let height = head.height;
    let contradiction = |what| OpenError::Contradiction { height, what };
    let chain = genesis.hash();
    let (record, time, outcome) = if height == Height::ZERO {
        let bytes = store.get(Table::Blocks, &schema::height_key(height))?.unwrap_or_default();
        (None, genesis.time, chain::decode(Table::Blocks, &bytes)?)
    } else {
        let record = read_record(store, height)?.ok_or(contradiction("the block is missing"))?;
        (Some(record.header.clone()), record.header.time, record.outcome)
    };
    let block = record.as_ref().map_or(chain, Header::id);
    if block != head.block || outcome.digest() != head.outcome {
        return Err(contradiction("the head names another block or outcome"));
    }
    let history = History::load(height.get().saturating_sub(1), |level, index| {
        chain::read_subtree(store, level, index)
    })?;
    if history.root() != outcome.history_root {
        return Err(contradiction("the list of earlier blocks has another root"));
    }
    let mut entries = read_state(store)?;
    let (markers, alive) = Markers::load(store)?;
    entries.extend(alive);
    let state = State::from_entries(Place { chain, height, time }, entries);
    let (expected, found) = (outcome.state_root, state.root());
    if found != expected {
        return Err(OpenError::StateRoot { height, expected, found });
    }
    Ok((Executed::restored(record, outcome, state, history), markers))
}

fn read_state(store: &dyn Store) -> Result<Vec<(StateKey, Vec<u8>)>, StoreError> {
    let mut entries = Vec::new();
    let mut from = Vec::new();
    loop {
        let page = store.scan(Table::State, &from, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(entries) };
        from.clone_from(last);
        from.push(0);
        for (key, value) in page {
            entries.push((chain::decode(Table::State, &key)?, chain::value_of(value)?));
        }
    }
}

fn certified_head(
    store: &Arc<dyn Store>,
    head: &Executed,
) -> Result<Option<(FinalityProof, State)>, StoreError> {
    let proof = Reader::new(Arc::clone(store)).finality(head.height())?;
    Ok(proof.map(|proof| (proof, head.state().clone())))
}
