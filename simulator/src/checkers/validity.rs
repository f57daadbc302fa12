//! Every final block, executed once more by a ledger that is written apart.
use quorate_ledger::{Ledger, Reader};
use quorate_primitives::block::{Header, Outcome};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::receipt::Receipt;
use quorate_primitives::signed::Verified;
use quorate_primitives::{Hash, Height};
use quorate_replica::Committed;
use std::collections::BTreeMap;

use super::Finding;
use crate::founding::Founding;
use crate::reference::{Reference, list};
use crate::signatures::Memo;
use crate::wire::short;

/// How often the whole state is hashed again, in blocks.
const ROOT_INTERVAL: u64 = 32;

/// The second ledger, and what the first one says.
pub(crate) struct Validity {
    reference: Reference,
    last: Option<Outcome>,
    receipts: BTreeMap<Height, Vec<Receipt>>,
}

/// A block as it was executed by a node.
struct Done<'a> {
    header: &'a Header,
    outcome: &'a Outcome,
    receipts: &'a [Receipt],
    bundles: &'a [Verified<Bundle>],
}

impl Validity {
    /// The ledger of the genesis.
    pub(crate) fn new(founding: &Founding) -> Self {
        Self { reference: Reference::new(&founding.genesis), last: None, receipts: BTreeMap::new() }
    }

    /// The second ledger.
    pub(crate) fn reference(&self) -> &Reference {
        &self.reference
    }

    /// What the transactions of a block did; nothing for a block that is not known.
    pub(crate) fn receipts(&self, height: Height) -> &[Receipt] {
        self.receipts.get(&height).map_or(&[], Vec::as_slice)
    }

    /// The first node told a block to be final.
    pub(crate) fn committed(&mut self, committed: &Committed) -> Finding {
        let executed = &committed.executed;
        let Some(header) = executed.header() else { return Ok(()) };
        let (outcome, receipts) = (executed.outcome(), executed.receipts());
        self.block(&Done { header, outcome, receipts, bundles: &committed.bundles })
    }

    /// A ledger holds blocks that nobody told of.
    pub(crate) fn found(&mut self, ledger: &Ledger, memo: &mut Memo) -> Finding {
        let reader = ledger.reader();
        while self.reference.height() < ledger.head().height() {
            let height = self.reference.height().next();
            if !self.read(&reader, height, memo)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn read(&mut self, reader: &Reader, height: Height, memo: &mut Memo) -> Result<bool, String> {
        let text = |error: quorate_ledger::store::StoreError| error.to_string();
        let Some(stored) = reader.block(height).map_err(text)? else { return Ok(false) };
        let bundles = reader.bundles(height).map_err(text)?;
        let bundles: Option<Vec<_>> = bundles.into_iter().map(|bundle| memo.bundle(bundle)).collect();
        let bundles = bundles.ok_or_else(|| format!("block {height} holds an invalid signature"))?;
        let receipts = reader.receipts(height).map_err(text)?;
        let (header, outcome) = (&stored.header, &stored.outcome);
        self.block(&Done { header, outcome, receipts: &receipts, bundles: &bundles })?;
        Ok(true)
    }

    fn block(&mut self, done: &Done<'_>) -> Finding {
        let Done { header, outcome, receipts, bundles } = *done;
        let height = header.height;
        if height <= self.reference.height() {
            return Ok(());
        }
        if height != self.reference.height().next() {
            return Err(format!("block {height} is final before the one before it"));
        }
        let before = usize::try_from(self.reference.height().get()).unwrap_or(usize::MAX);
        let expected = self.reference.block(header, outcome.digest(), bundles);
        compare(height, &expected, receipts)?;
        let leaves: Vec<Hash> = expected.iter().map(Receipt::leaf).collect();
        if outcome.receipts_root != list::root(&leaves) {
            return Err(format!("block {height} has another root of its receipts"));
        }
        self.last = Some(*outcome);
        self.receipts.insert(height, expected);
        if height.get().is_multiple_of(ROOT_INTERVAL) {
            self.check_roots(before)?;
        }
        Ok(())
    }

    fn check_roots(&self, before: usize) -> Finding {
        let Some(outcome) = self.last else { return Ok(()) };
        let height = self.reference.height();
        self.reference.check_supply()?;
        if outcome.history_root != self.reference.history_root(before) {
            return Err(format!("block {height} has another root of the blocks before it"));
        }
        let root = self.reference.state_root();
        if outcome.state_root != root {
            return Err(format!(
                "block {height} leaves state {}, but its entries have root {}",
                short(&outcome.state_root),
                short(&root)
            ));
        }
        Ok(())
    }

    /// The whole state and the money, at the end.
    pub(crate) fn finish(&self) -> Finding {
        let height = usize::try_from(self.reference.height().get()).unwrap_or(usize::MAX);
        self.check_roots(height.saturating_sub(1))
    }
}

fn compare(height: Height, expected: &[Receipt], found: &[Receipt]) -> Finding {
    for (expected, found) in expected.iter().zip(found) {
        if expected != found {
            return Err(format!("in block {height} a receipt is {found:?}, but should be {expected:?}"));
        }
    }
    if expected.len() != found.len() {
        return Err(format!(
            "block {height} has {} receipts, but should have {}",
            found.len(),
            expected.len()
        ));
    }
    Ok(())
}
