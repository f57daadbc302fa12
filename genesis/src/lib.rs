//! The founding document of a network: one readable text that everybody who takes part can check and
//! whose hash names the chain.
//!
//! [`Genesis::parse`] reads the text and refuses whatever could not become a sound ledger, naming line,
//! field, value and what is allowed. [`Genesis::state`] is the ledger at height 0 and
//! [`Genesis::hash`] commits to all of it; [`Genesis::trusted`] is where a light client begins.
//! [`build::Draft`] writes such a text. Read in this order: `document.rs` knows the keys of the text,
//! `check.rs` how they must fit together, `reader.rs` how a fault is reported.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::iter_over_hash_type,
        clippy::wildcard_enum_match_arm,
        clippy::as_conversions
    )
)]

mod check;
mod document;
mod error;
mod reader;
mod time;

pub mod build;

use std::collections::BTreeMap;

use quorate_primitives::address::{AccountId, Prefix};
use quorate_primitives::codec::{self, Text};
use quorate_primitives::hash::{Domain, Hash, hash_of};
use quorate_primitives::light::TrustedEpoch;
use quorate_primitives::numbers::{Amount, EpochNumber, Timestamp};
use quorate_primitives::state::{
    Account, Asset, AssetId, Balance, Grant, Organisation, OrganisationId, Parameters, Permission, Scope,
    StateKey,
};
use quorate_primitives::validators::ValidatorSet;

pub use document::DEFAULT_PARAMETERS;
pub use error::{Fault, GenesisError};

/// Longest genesis text in bytes: a hundred thousand accounts with their balances take about 30 MiB.
pub const GENESIS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Granter of the permissions that the genesis itself gives: no account has this id.
pub const GENESIS_GRANTER: AccountId = AccountId::from_bytes([0; 32]);

/// A checked founding document.
///
/// Collections other than the validators are ascending by their first fields, each entry once, so that
/// two texts which differ only in layout or in the order of such entries found the same chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Name of the network, for people.
    pub network: Text<32>,
    /// How the network's addresses begin.
    pub prefix: Prefix,
    /// Time of height 0.
    pub time: Timestamp,
    /// Numbers that all validators agree on.
    pub parameters: Parameters,
    /// Members of the consortium.
    pub organisations: Vec<(OrganisationId, Organisation)>,
    /// Validators of epoch 0; their order is part of the format.
    pub validators: ValidatorSet,
    /// Accounts.
    pub accounts: Vec<(AccountId, Account)>,
    /// Assets; the supply of each is the sum of its balances.
    pub assets: Vec<(AssetId, Asset)>,
    /// First balances, none of them zero.
    pub balances: Vec<(AccountId, AssetId, Amount)>,
    /// Permissions, those that follow from being an administrator or an issuer included.
    pub grants: Vec<(AccountId, Permission, Scope, Grant)>,
}

impl Genesis {
    /// Reads and checks a founding document.
    ///
    /// # Errors
    /// [`GenesisError`] with the line and the field of the first fault.
    pub fn parse(text: &str) -> Result<Self, GenesisError> {
        let lines = reader::Lines::of(text);
        let tree = document::tree(text, &lines)?;
        check::check(&document::Document::read(&reader::Table::root(&lines, &tree))?)
    }

    /// Names the chain: `hash(genesis, network ‖ prefix ‖ time ‖ state)`, all canonical, the state as
    /// a list of key and value bytes in the order of [`Genesis::state`].
    #[must_use]
    pub fn hash(&self) -> Hash {
        let entries: Vec<(StateKey, Vec<u8>)> = self.state();
        hash_of(Domain::Genesis, &(&self.network, self.prefix.as_str(), self.time, entries))
    }

    /// Where a light client of this chain begins.
    #[must_use]
    pub fn trusted(&self) -> TrustedEpoch {
        TrustedEpoch::genesis(self.hash(), &self.parameters, self.validators.clone())
    }

    /// The ledger at height 0: canonical values, ascending by the canonical bytes of their keys, each
    /// key once.
    #[must_use]
    pub fn state(&self) -> Vec<(StateKey, Vec<u8>)> {
        let mut entries = vec![
            (StateKey::Parameters, codec::encode(&self.parameters)),
            (StateKey::Validators(EpochNumber::ZERO), codec::encode(&self.validators)),
        ];
        entries.extend(
            self.organisations
                .iter()
                .map(|(id, value)| (StateKey::Organisation(id.clone()), codec::encode(value))),
        );
        entries
            .extend(self.accounts.iter().map(|(id, value)| (StateKey::Account(*id), codec::encode(value))));
        entries.extend(self.assets.iter().map(|(id, value)| (StateKey::Asset(*id), codec::encode(value))));
        entries.extend(self.balances.iter().map(|(account, asset, posted)| {
            let balance = Balance { posted: *posted, ..Balance::default() };
            (StateKey::Balance(*account, *asset), codec::encode(&balance))
        }));
        entries.extend(self.grants.iter().map(|(account, permission, scope, grant)| {
            (StateKey::Grant(*account, *permission, scope.clone()), codec::encode(grant))
        }));
        let sorted: BTreeMap<Vec<u8>, (StateKey, Vec<u8>)> =
            entries.into_iter().map(|entry| (codec::encode(&entry.0), entry)).collect();
        sorted.into_values().collect()
    }

    /// The account that the document calls by this name.
    #[must_use]
    pub fn account_named(&self, name: &str) -> Option<AccountId> {
        self.accounts.iter().find(|(_, account)| account.label.as_str() == name).map(|(id, _)| *id)
    }

    /// The account with this id.
    #[must_use]
    pub fn account(&self, id: &AccountId) -> Option<&Account> {
        let position = self.accounts.binary_search_by_key(id, |(known, _)| *known).ok()?;
        self.accounts.get(position).map(|(_, account)| account)
    }

    /// The asset with this symbol.
    #[must_use]
    pub fn asset_named(&self, symbol: &str) -> Option<&(AssetId, Asset)> {
        self.assets.iter().find(|(_, asset)| asset.symbol.as_str() == symbol)
    }
}
