//! What must be true of every state, checked from its entries alone.
use quorate_primitives::address::AccountId;
use quorate_primitives::evidence::RecordedEvidence;
use quorate_primitives::merkle::{Leaf, tree_root};
use quorate_primitives::state::{
    Account, Asset, AssetId, Balance, DECIMALS_MAX, Grant, Marker, Organisation, OrganisationId, Parameters,
    Permission, StateKey, value_hash,
};
use quorate_primitives::validators::ValidatorSet;
use quorate_primitives::{Amount, Hash};
use std::collections::{BTreeMap, BTreeSet};

use crate::state::{State, read};

/// A state that no sequence of valid blocks can have led to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A value that cannot be decoded.
    #[error("the value at {key:?} cannot be read")]
    Unreadable {
        /// Where.
        key: StateKey,
    },
    /// Units of an asset that are in no account, or in accounts and not counted.
    #[error("asset {asset} has supply {supply}, but its balances sum to {sum:?}")]
    Supply {
        /// Which.
        asset: AssetId,
        /// Recorded.
        supply: Amount,
        /// Computed; absent if it passes the largest amount.
        sum: Option<Amount>,
    },
    /// More units than may exist.
    #[error("asset {asset} has supply {supply} above its cap {cap}")]
    Cap {
        /// Which.
        asset: AssetId,
        /// Units that exist.
        supply: Amount,
        /// Units that may exist.
        cap: Amount,
    },
    /// An asset whose id does not follow from its symbol, or with too many decimals.
    #[error("the record of asset {asset} is not one that can be created")]
    Asset {
        /// Which.
        asset: AssetId,
    },
    /// More units promised and frozen than there are.
    #[error("account {account} has more units of {asset} held and frozen than posted")]
    Balance {
        /// Whose.
        account: AccountId,
        /// Of what.
        asset: AssetId,
    },
    /// An entry about an object that does not exist.
    #[error("the entry at {key:?} is about something that does not exist")]
    Dangling {
        /// Which.
        key: StateKey,
    },
    /// An authority under which an account cannot be used safely.
    #[error("the authority of account {account} is not allowed")]
    Authority {
        /// Whose.
        account: AccountId,
    },
    /// The tree's root is not the root of its leaves.
    #[error("the state tree has root {found}, but its leaves have root {expected}")]
    Root {
        /// Computed from all leaves.
        expected: Hash,
        /// Of the tree.
        found: Hash,
    },
    /// An order beside the tree that does not hold the same entries.
    #[error("the order of {what} does not hold the entries of the tree")]
    Order {
        /// Which.
        what: &'static str,
    },
}

/// The entries of a state by kind.
#[derive(Default)]
struct Books {
    organisations: BTreeSet<OrganisationId>,
    accounts: BTreeMap<AccountId, Account>,
    assets: BTreeMap<AssetId, Asset>,
    balances: Vec<(AccountId, AssetId, Balance)>,
    grants: Vec<(AccountId, StateKey)>,
    administrators: BTreeSet<StateKey>,
    markers: BTreeSet<StateKey>,
}

/// Checks every invariant. Reads the whole state and hashes it anew.
///
/// # Errors
/// [`Violation`] naming the first broken invariant.
pub fn audit(state: &State) -> Result<(), Violation> {
    let mut books = Books::default();
    let mut leaves = Vec::new();
    for (key, value) in state.entries() {
        leaves.push(Leaf { path: key.path(), value: value_hash(value) });
        books.enter(key, value).ok_or_else(|| Violation::Unreadable { key: key.clone() })?;
    }
    leaves.sort_unstable_by_key(|leaf| leaf.path);
    let (expected, found) = (tree_root(&leaves), state.root());
    if expected != found {
        return Err(Violation::Root { expected, found });
    }
    books.check_accounts()?;
    books.check_balances()?;
    books.check_assets()?;
    books.check_grants()?;
    books.check_orders(state)
}

impl Books {
    fn enter(&mut self, key: &StateKey, value: &[u8]) -> Option<()> {
        match key {
            StateKey::Parameters => {
                read::<Parameters>(value)?;
            }
            StateKey::Validators(_) => {
                read::<ValidatorSet>(value)?;
            }
            StateKey::Organisation(id) => {
                read::<Organisation>(value)?;
                self.organisations.insert(id.clone());
            }
            StateKey::Account(id) => drop(self.accounts.insert(*id, read(value)?)),
            StateKey::Asset(id) => drop(self.assets.insert(*id, read(value)?)),
            StateKey::Balance(account, asset) => self.balances.push((*account, *asset, read(value)?)),
            StateKey::Grant(grantee, permission, _) => {
                read::<Grant>(value)?;
                self.grants.push((*grantee, key.clone()));
                if *permission == Permission::GrantManage {
                    self.administrators.insert(key.clone());
                }
            }
            StateKey::Evidence(..) => {
                read::<RecordedEvidence>(value)?;
            }
            StateKey::Nonce(..) | StateKey::Unauthorised(_) => {
                read::<Marker>(value)?;
                self.markers.insert(key.clone());
            }
        }
        Some(())
    }

    fn check_accounts(&self) -> Result<(), Violation> {
        for (id, account) in &self.accounts {
            if !self.organisations.contains(&account.organisation) {
                return Err(Violation::Dangling { key: StateKey::Account(*id) });
            }
            account.authority.check().map_err(|_| Violation::Authority { account: *id })?;
        }
        Ok(())
    }

    fn check_balances(&self) -> Result<(), Violation> {
        for (account, asset, balance) in &self.balances {
            if !self.accounts.contains_key(account) || !self.assets.contains_key(asset) {
                return Err(Violation::Dangling { key: StateKey::Balance(*account, *asset) });
            }
            let bound = balance.held.checked_add(balance.frozen);
            if bound.is_none_or(|bound| bound > balance.posted) {
                return Err(Violation::Balance { account: *account, asset: *asset });
            }
        }
        Ok(())
    }

    fn check_assets(&self) -> Result<(), Violation> {
        for (id, asset) in &self.assets {
            if AssetId::derive(&asset.symbol) != *id || asset.decimals > DECIMALS_MAX {
                return Err(Violation::Asset { asset: *id });
            }
            if !self.accounts.contains_key(&asset.issuer) {
                return Err(Violation::Dangling { key: StateKey::Asset(*id) });
            }
            let (supply, cap) = (asset.supply, asset.cap);
            let own = self.balances.iter().filter(|(_, held, _)| held == id);
            let sum = own.map(|(_, _, balance)| balance.posted).try_fold(Amount::ZERO, Amount::checked_add);
            if sum != Some(supply) {
                return Err(Violation::Supply { asset: *id, supply, sum });
            }
            if supply > cap {
                return Err(Violation::Cap { asset: *id, supply, cap });
            }
        }
        Ok(())
    }

    fn check_grants(&self) -> Result<(), Violation> {
        match self.grants.iter().find(|(grantee, _)| !self.accounts.contains_key(grantee)) {
            Some((_, key)) => Err(Violation::Dangling { key: key.clone() }),
            None => Ok(()),
        }
    }

    fn check_orders(&self, state: &State) -> Result<(), Violation> {
        let order = |what| Violation::Order { what };
        if !state.assets(None).map(|(id, _)| id).eq(self.assets.keys().copied()) {
            return Err(order("assets"));
        }
        let markers: BTreeSet<StateKey> = state.markers_by_expiry().map(|(_, key)| key.clone()).collect();
        let ascending = state.markers_by_expiry().is_sorted_by_key(|(time, _)| time);
        if !ascending || markers != self.markers {
            return Err(order("markers"));
        }
        let administrators: BTreeSet<StateKey> = state.all_administrators().cloned().collect();
        if administrators != self.administrators {
            return Err(order("administrators"));
        }
        Ok(())
    }
}
