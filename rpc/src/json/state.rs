//! Values of the state: accounts, balances, assets.
use quorate_primitives::address::AccountId;
use quorate_primitives::state::{self, AssetId, OrganisationId, Status, Symbol};
use quorate_primitives::{Amount, Hash, Height, PublicKey};

use super::proof::{Finality, GroupEvidence, ValueEvidence};
use super::schema::{object, words};
use super::values::{Decimal, HexBytes, Shown};

object! {
    /// Values of the state by their keys.
    pub struct StateAnswer {
        /// Height after which the values are as given.
        pub height: Decimal<Height>,
        /// One entry for each key asked for, in the order asked.
        pub entries: Vec<StateEntry>,
        /// The block that proves all of them, if proofs were asked for.
        pub finality: Option<Finality>,
    }
}

object! {
    /// One value of the state.
    pub struct StateEntry {
        /// Canonical bytes of the key.
        pub key: HexBytes,
        /// Canonical bytes of the value; `null` if the key is absent.
        pub value: Option<HexBytes>,
        /// Canonical bytes of the `StateProof`, if proofs were asked for.
        pub state: Option<HexBytes>,
    }
}

words! {
    /// Whether an object may be used.
    pub enum Lifecycle {
        /// In use.
        Active = "active",
        /// Closed for ever.
        Closed = "closed",
    }
}

impl From<Status> for Lifecycle {
    fn from(status: Status) -> Self {
        match status {
            Status::Active => Self::Active,
            Status::Closed => Self::Closed,
        }
    }
}

object! {
    /// A key and what its signature counts.
    pub struct WeightedKey {
        /// The key.
        pub key: Shown<PublicKey>,
        /// Its weight.
        pub weight: u16,
    }
}

object! {
    /// Who may act for an account.
    pub struct Authority {
        /// Weight needed.
        pub threshold: u32,
        /// Keys with their weights, ascending.
        pub keys: Vec<WeightedKey>,
        /// Counts replacements.
        pub version: u32,
    }
}

impl From<&state::Authority> for Authority {
    fn from(authority: &state::Authority) -> Self {
        let weighted =
            |entry: &state::WeightedKey| WeightedKey { key: entry.key.into(), weight: entry.weight };
        Self {
            threshold: authority.threshold,
            keys: authority.keys.iter().map(weighted).collect(),
            version: authority.version,
        }
    }
}

object! {
    /// An account.
    pub struct Account {
        /// Owner.
        pub organisation: Shown<OrganisationId>,
        /// Who may act for it.
        pub authority: Authority,
        /// For people.
        pub label: String,
        /// Whether it may be used.
        pub status: Lifecycle,
    }
}

impl From<&state::Account> for Account {
    fn from(account: &state::Account) -> Self {
        Self {
            organisation: account.organisation.clone().into(),
            authority: (&account.authority).into(),
            label: account.label.to_string(),
            status: account.status.into(),
        }
    }
}

object! {
    /// An account, or its absence.
    pub struct AccountAnswer {
        /// Height after which it is so.
        pub height: Decimal<Height>,
        /// Which account.
        pub id: Shown<AccountId>,
        /// Its address on this network.
        pub address: String,
        /// The account; `null` if there is none.
        pub account: Option<Account>,
        /// What shows it, if asked for.
        pub proof: Option<ValueEvidence>,
    }
}

object! {
    /// Units of one asset in one account, in smallest units.
    pub struct Balance {
        /// Owned.
        pub posted: Decimal<Amount>,
        /// Of these, promised by open holds.
        pub held: Decimal<Amount>,
        /// Of these, frozen.
        pub frozen: Decimal<Amount>,
        /// What may be spent: posted − held − frozen.
        pub available: Decimal<Amount>,
    }
}

impl From<&state::Balance> for Balance {
    fn from(balance: &state::Balance) -> Self {
        Self {
            posted: balance.posted.into(),
            held: balance.held.into(),
            frozen: balance.frozen.into(),
            available: balance.available().into(),
        }
    }
}

object! {
    /// One balance of an account. Symbol and decimals are for reading and are not part of the proof.
    pub struct BalanceEntry {
        /// Of what.
        pub asset: Shown<AssetId>,
        /// The asset's symbol.
        pub symbol: Option<Shown<Symbol>>,
        /// The asset's digits after the point.
        pub decimals: Option<u8>,
        /// How much.
        pub balance: Balance,
    }
}

object! {
    /// All balances of an account.
    pub struct BalancesAnswer {
        /// Height after which they are so.
        pub height: Decimal<Height>,
        /// Whose.
        pub account: Shown<AccountId>,
        /// One entry for each asset that the account holds; an asset that is not listed is zero.
        pub balances: Vec<BalanceEntry>,
        /// What shows that these are all, if asked for.
        pub proof: Option<GroupEvidence>,
    }
}

object! {
    /// An asset.
    pub struct Asset {
        /// For people; the id follows from it.
        pub symbol: Shown<Symbol>,
        /// For people.
        pub name: String,
        /// Where to read more.
        pub url: String,
        /// Hash of the governing document.
        pub document: Option<Shown<Hash>>,
        /// Digits after the point.
        pub decimals: u8,
        /// Most units that may exist.
        pub cap: Decimal<Amount>,
        /// Units that exist.
        pub supply: Decimal<Amount>,
        /// What the issuer may do, by name.
        pub capabilities: Vec<String>,
        /// Who created it.
        pub issuer: Shown<AccountId>,
        /// Whether it may be used.
        pub status: Lifecycle,
    }
}

impl From<&state::Asset> for Asset {
    fn from(asset: &state::Asset) -> Self {
        Self {
            symbol: asset.symbol.clone().into(),
            name: asset.name.to_string(),
            url: asset.url.to_string(),
            document: asset.document.map(Shown),
            decimals: asset.decimals,
            cap: asset.cap.into(),
            supply: asset.supply.into(),
            capabilities: asset.capabilities.names().map(str::to_owned).collect(),
            issuer: asset.issuer.into(),
            status: asset.status.into(),
        }
    }
}

object! {
    /// An asset, or its absence.
    pub struct AssetAnswer {
        /// Height after which it is so.
        pub height: Decimal<Height>,
        /// Which asset.
        pub id: Shown<AssetId>,
        /// The asset; `null` if there is none.
        pub asset: Option<Asset>,
        /// What shows it, if asked for.
        pub proof: Option<ValueEvidence>,
    }
}

object! {
    /// One row of a list of assets.
    pub struct AssetEntry {
        /// Which asset.
        pub id: Shown<AssetId>,
        /// The asset.
        pub asset: Asset,
    }
}

object! {
    /// A page of assets, ascending by id.
    pub struct AssetPage {
        /// Height after which they are so.
        pub height: Decimal<Height>,
        /// The rows.
        pub assets: Vec<AssetEntry>,
        /// Give it as `after` to read on; `null` at the end.
        pub next: Option<Shown<AssetId>>,
    }
}
