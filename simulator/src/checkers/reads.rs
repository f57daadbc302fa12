//! What clients read is what the second ledger holds at that height, and what was told to be final.
//!
//! A client gets here only what it has verified, or what a node said without proof; neither is compared
//! with the ledger of the node that was asked.
use borsh::BorshDeserialize;
use quorate_primitives::codec::{decode, encode};
use quorate_primitives::light::{Finalized, TrustedEpoch};
use quorate_primitives::receipt::{Receipt, Verdict};
use quorate_primitives::state::{Asset, AssetId, StateGroup, StateKey};
use quorate_primitives::validators::Validator;
use quorate_primitives::{EpochNumber, Hash, Height, PublicKey};
use quorate_rpc::json::{self, TransactionState};
use std::collections::BTreeMap;

use super::{Checkers, Finding};
use crate::reference::{Reference, set_bytes};
use crate::time::Moment;
use crate::wire::short;

/// What a client believes after it verified an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proven {
    /// Values of the state, or their absence.
    Values(Finalized, Vec<(StateKey, Option<Vec<u8>>)>),
    /// All values of a group.
    Group(Finalized, StateGroup, Vec<(StateKey, Vec<u8>)>),
    /// What a transaction did, and its position in its block.
    Receipt(Finalized, u64, Box<Receipt>),
    /// That a block is final.
    Block(Finalized),
    /// Who validates in an epoch.
    Epoch(Box<TrustedEpoch>),
}

/// What a node says without proof, together with the head that it named at the same moment.
pub enum Said<'a> {
    /// The newest block.
    Head(&'a json::Head),
    /// A block.
    Block(&'a json::Block),
    /// The validators of an epoch.
    Validators(&'a json::Head, &'a json::ValidatorsAnswer),
    /// How a transaction stands.
    Standing(&'a json::Head, &'a json::TransactionStatus),
    /// A page of at most so many assets that follow one.
    Assets(Option<AssetId>, usize, &'a json::AssetPage),
}

/// What each node named as its head in each of its lives.
#[derive(Debug, Default)]
pub(crate) struct Heads(BTreeMap<(usize, u64), (Height, Option<Height>)>);

impl Heads {
    /// A node never goes back while it runs.
    fn named(&mut self, node: (usize, u64), head: (Height, Option<Height>)) -> Finding {
        let before = self.0.insert(node, head);
        match before.filter(|before| before.0 > head.0 || before.1 > head.1) {
            Some(before) => {
                Err(format!("node {} names head {:?} after it named {:?}", node.0, head.0, before.0))
            }
            None => Ok(()),
        }
    }
}

fn value<T: BorshDeserialize>(bytes: &[u8]) -> Option<T> {
    decode(bytes, usize::MAX).ok()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Finding {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what} is {found:?}, but should be {expected:?}"))
}

fn compare_values(reference: &Reference, height: Height, values: &[(StateKey, Option<Vec<u8>>)]) -> Finding {
    values.iter().try_for_each(|(key, value)| {
        let expected = reference.value_at(key, height);
        same(&format!("{key:?} after block {height}"), &value.as_deref(), &expected)
    })
}

impl Checkers {
    /// A client has verified an answer of a node.
    pub fn proven(&mut self, at: Moment, node: usize, proven: &Proven) {
        let finding = self.judge(proven).map_err(|why| format!("node {node} proves what is not so: {why}"));
        self.find(at, "reads", finding);
    }

    /// A node said something without proof.
    pub fn said(&mut self, at: Moment, (node, life): (usize, u64), said: &Said<'_>) {
        let finding = self.judge_said((node, life), said);
        self.find(at, "reads", finding.map_err(|why| format!("node {node} says what is not so: {why}")));
    }

    /// Whether something is as the second ledger and the finalized chain have it.
    ///
    /// # Errors
    /// What is not.
    pub fn judge(&self, proven: &Proven) -> Finding {
        let reference = self.validity.reference();
        match proven {
            Proven::Values(ledger, values) => {
                self.judge_block(ledger)?;
                compare_values(reference, ledger.height(), values)
            }
            Proven::Group(ledger, group, values) => {
                self.judge_block(ledger)?;
                let expected = reference.group_at(group, ledger.height());
                same(&format!("{group:?} after block {}", ledger.height()), values, &expected)
            }
            Proven::Receipt(ledger, index, receipt) => {
                self.judge_block(ledger)?;
                let index = usize::try_from(*index).unwrap_or(usize::MAX);
                let expected = self.validity.receipts(ledger.height()).get(index);
                same("the receipt", &Some(receipt.as_ref()), &expected)
            }
            Proven::Block(ledger) => self.judge_block(ledger),
            Proven::Epoch(epoch) => {
                let number = epoch.number();
                same("the epoch", &Some(epoch.as_ref()), &self.epochs.get(&number))?;
                let begun = number.previous().map_or(Height::ZERO, |before| {
                    let length = epoch.last().get().checked_div(number.next().get()).unwrap_or_default();
                    Height::new(before.next().get().saturating_mul(length))
                });
                self.judge_set(number, begun, &set_bytes(epoch.validators().members()))
            }
        }
    }

    fn judge_block(&self, ledger: &Finalized) -> Finding {
        let height = ledger.height();
        let found = (ledger.block(), ledger.outcome().digest());
        same(&format!("block {height}"), &Some(found), &self.agreement.final_at(height))
    }

    fn judge_set(&self, epoch: EpochNumber, height: Height, members: &[u8]) -> Finding {
        let expected = self.validity.reference().validators_at(epoch, height);
        same(&format!("the set of epoch {epoch} after block {height}"), &Some(members), &expected)
    }

    fn judge_said(&mut self, node: (usize, u64), said: &Said<'_>) -> Finding {
        match said {
            Said::Head(head) => self.judge_head(node, head),
            Said::Block(block) => self.judge_shown(block),
            Said::Validators(head, set) => {
                self.judge_head(node, head)?;
                let epoch = set.epoch.0;
                let context = self.epochs.get(&epoch).map(TrustedEpoch::context);
                let begun = set.context.map(|context| context.0);
                if begun.is_some() {
                    same(&format!("the context of epoch {epoch}"), &begun, &context)?;
                }
                let expected = self.validity.reference().validators_at(epoch, head.height.0);
                let expected: Option<Vec<Validator>> = expected.and_then(value);
                let found: Vec<(PublicKey, String)> =
                    set.validators.iter().map(|entry| (entry.key.0, entry.name.clone())).collect();
                let expected = expected.unwrap_or_default();
                let expected = expected.iter().map(|one| (one.key, one.name.to_string())).collect();
                same(&format!("the set of epoch {epoch}"), &found, &expected)
            }
            Said::Standing(head, status) => {
                self.judge_head(node, head)?;
                self.judge_standing(head.height.0, status)
            }
            Said::Assets(after, limit, page) => self.judge_assets(*after, *limit, page),
        }
    }

    fn judge_head(&mut self, node: (usize, u64), head: &json::Head) -> Finding {
        let height = head.height.0;
        self.heads.named(node, (height, head.certified_height.map(|certified| certified.0)))?;
        if height > Height::ZERO {
            let block = self.agreement.final_at(height).map(|(block, _)| block);
            same(&format!("block {height}"), &Some(head.block.0), &block)?;
            let count = u32::try_from(self.validity.receipts(height).len()).unwrap_or(u32::MAX);
            same("the number of transactions", &head.transactions, &count)?;
        }
        Ok(())
    }

    fn judge_shown(&self, block: &json::Block) -> Finding {
        let height = block.header.height.0;
        let found = (block.header.id.0, block.outcome.digest.0);
        same(&format!("block {height}"), &Some(found), &self.agreement.final_at(height))?;
        let header = self.agreement.header_at(height).map(encode);
        same("the bytes of the header", &Some(&block.header.bytes.0), &header.as_ref())?;
        let shown: Vec<Hash> = block.transactions.iter().map(|id| id.0).collect();
        let receipts = self.validity.receipts(height).iter();
        let expected: Vec<Hash> = receipts.map(|receipt| receipt.transaction).collect();
        same(&format!("the transactions of block {height}"), &shown, &expected)?;
        let Some(bodies) = &block.bodies else { return Ok(()) };
        let first = block.next_bundle.is_none().then_some(block.bundles.len());
        same("the number of bundles", &Some(bodies.len()), &first.or(Some(bodies.len())))?;
        for (body, id) in bodies.iter().zip(&block.bundles) {
            same("a bundle", &body.id, id)?;
        }
        let mut inside = bodies.iter().flat_map(|body| &body.transactions).map(|one| one.tx_id.0);
        let is_whole = block.next_bundle.is_none();
        match expected.iter().find(|id| is_whole && !inside.any(|inside| inside == **id)) {
            Some(missing) => Err(format!("the bodies of block {height} lack {}", short(missing))),
            None => Ok(()),
        }
    }

    fn judge_standing(&self, head: Height, status: &json::TransactionStatus) -> Finding {
        let id = status.tx_id.0;
        let known = self.agreement.height_of(&id);
        match status.state {
            TransactionState::Final | TransactionState::Rejected => {
                let height = status.height.map(|height| height.0);
                same(&format!("the height of {}", short(&id)), &height, &known)?;
                let receipts = self.validity.receipts(height.unwrap_or_default());
                let index = status.index.and_then(|index| usize::try_from(index).ok());
                let receipt = index.and_then(|index| receipts.get(index));
                let verdict = if status.state == TransactionState::Final {
                    receipt.is_some_and(|receipt| receipt.verdict == Verdict::Committed)
                } else {
                    receipt.is_some_and(|receipt| receipt.verdict != Verdict::Committed)
                };
                let is_its = receipt.is_some_and(|receipt| receipt.transaction == id);
                same(&format!("the end of {}", short(&id)), &(verdict, is_its), &(true, true))
            }
            TransactionState::Pending | TransactionState::Unknown | TransactionState::Expired => {
                match known.filter(|height| *height <= head) {
                    Some(height) => Err(format!(
                        "{} is {:?} at head {head}, but is in block {height}",
                        short(&id),
                        status.state
                    )),
                    None => Ok(()),
                }
            }
        }
    }

    fn judge_assets(&self, after: Option<AssetId>, limit: usize, page: &json::AssetPage) -> Finding {
        let height = page.height.0;
        let shown: Vec<AssetId> = page.assets.iter().map(|row| row.id.0).collect();
        let mut expected: Vec<(AssetId, &[u8])> =
            self.validity.reference().assets_at(after, height).take(limit.saturating_add(1)).collect();
        let next = if expected.len() > limit {
            expected.truncate(limit);
            expected.last().map(|(id, _)| *id)
        } else {
            None
        };
        let ids: Vec<AssetId> = expected.iter().map(|(id, _)| *id).collect();
        same(&format!("the list of assets after block {height}"), &shown, &ids)?;
        same("the end of the page", &page.next.map(|next| next.0), &next)?;
        for (row, (_, bytes)) in page.assets.iter().zip(expected) {
            let expected = value::<Asset>(bytes).as_ref().map(json::Asset::from);
            same("an asset", &Some(&row.asset), &expected.as_ref())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(height: u64, certified: Option<u64>) -> (Height, Option<Height>) {
        (Height::new(height), certified.map(Height::new))
    }

    #[test]
    fn a_node_that_goes_back_while_it_runs_is_found() {
        let mut heads = Heads::default();
        assert_eq!(heads.named((0, 1), head(5, Some(4))), Ok(()));
        assert_eq!(heads.named((0, 1), head(6, Some(4))), Ok(()));
        assert!(heads.named((0, 1), head(5, Some(5))).is_err());
        assert!(heads.named((0, 1), head(6, None)).is_err());
        assert_eq!(
            heads.named((0, 2), head(3, None)),
            Ok(()),
            "another life begins with what is on the disk"
        );
        assert_eq!(heads.named((1, 1), head(1, None)), Ok(()));
    }
}
