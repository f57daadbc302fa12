//! One block at each height, one outcome for each block, each transaction once.
use quorate_primitives::block::Header;
use quorate_primitives::{Hash, Height};
use quorate_replica::Committed;
use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::wire::short;

#[derive(Clone, Debug)]
struct Final {
    header: Header,
    block: Hash,
    outcome: Hash,
    by: usize,
}

/// What was ever told to be final, by anybody honest.
#[derive(Debug, Default)]
pub(crate) struct Agreement {
    chain: BTreeMap<Height, Final>,
    transactions: BTreeMap<Hash, Height>,
    expired: BTreeSet<Hash>,
}

impl Agreement {
    /// A node told a block to be final.
    pub(crate) fn committed(&mut self, node: usize, committed: &Committed) -> Finding {
        let executed = &committed.executed;
        let (height, block, outcome) = (executed.height(), executed.block(), executed.outcome().digest());
        let Some(header) = executed.header() else {
            return Err(format!("node {node} commits the genesis"));
        };
        if let Some(known) = self.chain.get(&height) {
            if known.block != block {
                return Err(format!(
                    "at height {height} node {} has {} and node {node} has {}",
                    known.by,
                    short(&known.block),
                    short(&block)
                ));
            }
            if known.outcome != outcome {
                return Err(format!(
                    "block {height} had different outcomes at nodes {} and {node}",
                    known.by
                ));
            }
            return Ok(());
        }
        let parent = height.previous().and_then(|before| self.chain.get(&before));
        if parent.is_some_and(|parent| parent.block != header.parent) {
            return Err(format!("block {height} of node {node} does not follow the one before"));
        }
        let found = Final { header: header.clone(), block, outcome, by: node };
        self.chain.insert(height, found);
        for receipt in executed.receipts() {
            let first = *self.transactions.entry(receipt.transaction).or_insert(height);
            if first != height {
                return Err(format!(
                    "transaction {} is in blocks {first} and {height}",
                    short(&receipt.transaction)
                ));
            }
            if self.expired.contains(&receipt.transaction) {
                return Err(format!(
                    "transaction {} is in block {height} after its end",
                    short(&receipt.transaction)
                ));
            }
        }
        Ok(())
    }

    /// A client was told that a transaction is final.
    pub(crate) fn told(&self, transaction: Hash, height: Height) -> Finding {
        match self.transactions.get(&transaction) {
            Some(known) if *known == height => Ok(()),
            Some(known) => {
                Err(format!("{} is told to be in block {height}, but is in {known}", short(&transaction)))
            }
            None => Err(format!("{} is told to be in block {height}, but is in none", short(&transaction))),
        }
    }

    /// A client was told that a transaction can never be final.
    pub(crate) fn expired(&mut self, transaction: Hash) -> Finding {
        self.expired.insert(transaction);
        match self.transactions.get(&transaction) {
            Some(known) => {
                Err(format!("{} is told to be out of time, but is in block {known}", short(&transaction)))
            }
            None => Ok(()),
        }
    }

    /// Height of the last block.
    pub(crate) fn height(&self) -> Height {
        self.chain.last_key_value().map_or(Height::ZERO, |(height, _)| *height)
    }

    /// The block at a height.
    pub(crate) fn block_at(&self, height: Height) -> Option<Hash> {
        self.chain.get(&height).map(|found| found.block)
    }

    /// Height of a transaction.
    pub(crate) fn height_of(&self, transaction: &Hash) -> Option<Height> {
        self.transactions.get(transaction).copied()
    }

    /// All blocks in order.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (Height, &Header)> {
        self.chain.iter().map(|(height, found)| (*height, &found.header))
    }
}
