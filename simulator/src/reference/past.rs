//! What the second ledger held after each block, for answers about an earlier one.
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::encode;
use quorate_primitives::state::{AssetId, Balance, StateGroup, StateKey};
use quorate_primitives::validators::Validator;
use quorate_primitives::{Amount, EpochNumber, Height};
use std::collections::BTreeMap;

use super::Reference;

/// The values of each key in the order in which they came to be. Markers are left out: nobody asks for them.
#[derive(Debug, Default)]
pub(super) struct Past(BTreeMap<StateKey, BTreeMap<Height, Option<Vec<u8>>>>);

impl Past {
    /// From a height on, a key has a value, or none.
    pub(super) fn note(&mut self, key: StateKey, height: Height, value: Option<Vec<u8>>) {
        self.0.entry(key).or_default().insert(height, value);
    }

    fn at(&self, key: &StateKey, height: Height) -> Option<&Vec<u8>> {
        self.0.get(key)?.range(..=height).next_back()?.1.as_ref()
    }
}

fn is_in(key: &StateKey, group: &StateGroup) -> bool {
    match (key, group) {
        (key, StateGroup::Single(single)) => key == single,
        (StateKey::Balance(account, _), StateGroup::Balances(of))
        | (StateKey::Grant(account, ..), StateGroup::Grants(of)) => account == of,
        (StateKey::Evidence(..), StateGroup::Evidence) => true,
        _ => false,
    }
}

impl Reference {
    /// Notes what the block at this height has changed.
    pub(super) fn remember(&mut self, height: Height) {
        let (books, past) = (&mut self.books, &mut self.past);
        for from in std::mem::take(&mut books.sets.changed) {
            past.note(StateKey::Validators(from), height, books.sets.get(&from).map(encode));
        }
        for id in std::mem::take(&mut books.accounts.changed) {
            past.note(StateKey::Account(id), height, books.accounts.get(&id).map(encode));
        }
        for id in std::mem::take(&mut books.assets.changed) {
            past.note(StateKey::Asset(id), height, books.assets.get(&id).map(encode));
        }
        for (account, asset) in std::mem::take(&mut books.balances.changed) {
            let posted = books.balances.get(&(account, asset));
            let balance = posted.map(|posted| Balance { posted: Amount::new(*posted), ..Balance::default() });
            past.note(StateKey::Balance(account, asset), height, balance.as_ref().map(encode));
        }
        for key in std::mem::take(&mut books.grants.changed) {
            let value = books.grants.get(&key).map(encode);
            past.note(StateKey::Grant(key.0, key.1, key.2), height, value);
        }
        let recorded = self.evidence.iter().filter(|(_, recorded)| recorded.height == height);
        for ((epoch, validator, kind), value) in recorded {
            past.note(StateKey::Evidence(*epoch, *validator, *kind), height, Some(encode(value)));
        }
    }

    /// The canonical bytes of a value after the block at a height, which was executed here.
    #[must_use]
    pub fn value_at(&self, key: &StateKey, height: Height) -> Option<&[u8]> {
        self.past.at(key, height).map(Vec::as_slice)
    }

    /// All values of a group after the block at a height, ascending by key.
    #[must_use]
    pub fn group_at(&self, group: &StateGroup, height: Height) -> Vec<(StateKey, Vec<u8>)> {
        let keys = self.past.0.keys().filter(|key| is_in(key, group));
        keys.filter_map(|key| Some((key.clone(), self.past.at(key, height)?.clone()))).collect()
    }

    /// The assets with ids above `after`, ascending, after the block at a height.
    pub fn assets_at(
        &self,
        after: Option<AssetId>,
        height: Height,
    ) -> impl Iterator<Item = (AssetId, &[u8])> + '_ {
        self.past.0.keys().filter_map(move |key| match key {
            StateKey::Asset(id) if after.is_none_or(|after| *id > after) => {
                Some((*id, self.value_at(key, height)?))
            }
            _ => None,
        })
    }

    /// The validators of an epoch by the state after the block at a height, as canonical bytes.
    #[must_use]
    pub fn validators_at(&self, epoch: EpochNumber, height: Height) -> Option<&[u8]> {
        let first = StateKey::Validators(EpochNumber::ZERO);
        let keys = self.past.0.range(first..=StateKey::Validators(epoch)).rev();
        keys.filter_map(|(key, _)| self.value_at(key, height)).next()
    }

    /// Accounts that the books hold now.
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.books.accounts.map.keys().copied()
    }
}

/// The canonical bytes of a set, as the books keep it.
#[must_use]
pub fn set_bytes(members: &[Validator]) -> Vec<u8> {
    encode(&members.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_that_of_the_last_change_up_to_its_height() {
        let (key, mut past) = (StateKey::Parameters, Past::default());
        past.note(key.clone(), Height::new(2), Some(vec![2]));
        past.note(key.clone(), Height::new(4), None);
        let found: Vec<_> = (1..=5).map(|height| past.at(&key, Height::new(height)).cloned()).collect();
        assert_eq!(found, [None, Some(vec![2]), Some(vec![2]), None, None]);
    }
}
