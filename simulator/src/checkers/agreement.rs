//! One block at each height, one outcome for each block, each transaction once.
use quorate_ledger::Ledger;
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
    told: BTreeMap<Hash, Height>,
    expired: BTreeSet<Hash>,
}

impl Agreement {
    /// A node told a block to be final.
    pub(crate) fn committed(&mut self, node: usize, committed: &Committed) -> Finding {
        let executed = &committed.executed;
        let outcome = executed.outcome().digest();
        let Some(header) = executed.header() else {
            return Err(format!("node {node} commits the genesis"));
        };
        self.hold(node, header, outcome, executed.transactions())
    }

    /// The ledger of a node holds blocks when it starts: those that nobody told of are as final as others.
    pub(crate) fn found(&mut self, node: usize, ledger: &Ledger) -> Finding {
        let reader = ledger.reader();
        let head = ledger.head().height();
        let mut height = self.height().min(head);
        while height <= head {
            let Ok(Some(stored)) = reader.block(height) else {
                height = height.next();
                continue;
            };
            let receipts = reader.receipts(height).map_err(|error| error.to_string())?;
            let transactions = receipts.iter().map(|receipt| receipt.transaction);
            self.hold(node, &stored.header, stored.outcome.digest(), transactions)?;
            height = height.next();
        }
        Ok(())
    }

    fn hold(
        &mut self,
        node: usize,
        header: &Header,
        outcome: Hash,
        transactions: impl Iterator<Item = Hash>,
    ) -> Finding {
        let (height, block) = (header.height, header.id());
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
        for id in transactions {
            let first = *self.transactions.entry(id).or_insert(height);
            if first != height {
                return Err(format!("transaction {} is in blocks {first} and {height}", short(&id)));
            }
            if self.expired.contains(&id) {
                return Err(format!("transaction {} is in block {height} after its end", short(&id)));
            }
        }
        Ok(())
    }

    /// A client was told that a transaction is final.
    ///
    /// A node that comes back may have the block in its ledger although it had not told anybody before it
    /// ended; so whether a block of this height has it is compared when that block is known.
    pub(crate) fn told(&mut self, transaction: Hash, height: Height) -> Finding {
        let first = *self.told.entry(transaction).or_insert(height);
        if first != height {
            return Err(format!("{} is told to be in blocks {first} and {height}", short(&transaction)));
        }
        if self.chain.contains_key(&height) { self.is_in(&transaction, height) } else { Ok(()) }
    }

    fn is_in(&self, transaction: &Hash, height: Height) -> Finding {
        match self.transactions.get(transaction) {
            Some(known) if *known == height => Ok(()),
            Some(known) => {
                Err(format!("{} is told to be in block {height}, but is in {known}", short(transaction)))
            }
            None => Err(format!("{} is told to be in block {height}, but is in none", short(transaction))),
        }
    }

    /// Everything that was told is so.
    pub(crate) fn finish(&self) -> Finding {
        let known = |height: &Height| self.chain.contains_key(height);
        let mut told = self.told.iter().filter(|(_, height)| known(height));
        told.try_for_each(|(transaction, height)| self.is_in(transaction, *height))
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

    /// The block at a height and the digest of its outcome.
    pub(crate) fn final_at(&self, height: Height) -> Option<(Hash, Hash)> {
        self.chain.get(&height).map(|found| (found.block, found.outcome))
    }

    /// The header at a height.
    pub(crate) fn header_at(&self, height: Height) -> Option<&Header> {
        self.chain.get(&height).map(|found| &found.header)
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
