//! How the values of the document must fit together, and what follows from them.
//!
//! Three kinds of permission follow from the rest of the document and need not be written: the
//! administrator of an organisation holds, for its organisation, `org.admin`, `account.create`,
//! `asset.create` and `grant.manage`; the issuer of an asset holds, for the asset, `asset.admin` and, if
//! it is mintable, `asset.mint`, as if it had created the asset by a transaction; the governance account
//! holds `validator.manage` on the chain. All of these may be passed on. A grant that is written out replaces the one that would follow.
use std::collections::BTreeMap;

use quorate_primitives::address::AccountId;
use quorate_primitives::numbers::Amount;
use quorate_primitives::state::{
    Account, Asset, AssetId, Capabilities, Delegation, Grant, Organisation, OrganisationId, Permission,
    Scope, Status,
};
use quorate_primitives::validators::{VALIDATORS_MAX, Validator, ValidatorSet};

use crate::document::{self, Document, SCOPE_RULE};
use crate::error::GenesisError;
use crate::reader::{Place, Value};
use crate::{GENESIS_GRANTER, Genesis};

const ACCOUNTS: &str = "names of accounts";
const ORGANISATIONS: &str = "ids of organisations";
const ASSETS: &str = "symbols of assets";

/// The parts that other parts refer to.
#[derive(Default)]
struct Names {
    organisations: BTreeMap<OrganisationId, Place>,
    accounts: BTreeMap<String, AccountId>,
    assets: BTreeMap<String, AssetId>,
}

impl Names {
    fn organisation(&self, value: &Value<'_>) -> Result<OrganisationId, GenesisError> {
        let text = value.text(ORGANISATIONS)?;
        let known = self.organisations.keys().find(|id| id.as_str() == text);
        known.cloned().ok_or_else(|| {
            value.unknown(ORGANISATIONS, self.organisations.keys().map(OrganisationId::as_str))
        })
    }

    fn account(&self, value: &Value<'_>) -> Result<AccountId, GenesisError> {
        let known = self.accounts.get(value.text(ACCOUNTS)?).copied();
        known.ok_or_else(|| value.unknown(ACCOUNTS, self.accounts.keys().map(String::as_str)))
    }

    fn asset(&self, value: &Value<'_>) -> Result<AssetId, GenesisError> {
        let known = self.assets.get(value.text(ASSETS)?).copied();
        known.ok_or_else(|| value.unknown(ASSETS, self.assets.keys().map(String::as_str)))
    }

    fn scope(&self, value: &Value<'_>) -> Result<Scope, GenesisError> {
        let text = value.text(SCOPE_RULE)?;
        let unknown = || value.refuse(format_args!("{SCOPE_RULE}, naming something of this document,"));
        let found = match text.split_once(':') {
            None if text == "chain" => Some(Scope::Chain),
            Some(("organisation", id)) => {
                self.organisations.keys().find(|known| known.as_str() == id).cloned().map(Scope::Organisation)
            }
            Some(("asset", symbol)) => self.assets.get(symbol).copied().map(Scope::Asset),
            Some(("account", name)) => self.accounts.get(name).copied().map(Scope::Account),
            None | Some(_) => None,
        };
        found.ok_or_else(unknown)
    }
}

type Grants = BTreeMap<(AccountId, Permission, Scope), Grant>;

pub(crate) fn check(document: &Document<'_>) -> Result<Genesis, GenesisError> {
    let mut names = Names::default();
    for entry in &document.organisations {
        if let Some(first) = names.organisations.insert(entry.id.value.clone(), entry.id.place.clone()) {
            return Err(entry.id.place.repeats(&entry.id.value, &first));
        }
    }
    let accounts = accounts(document, &mut names)?;
    let mut assets = assets(document, &mut names)?;
    let mut grants = Grants::new();
    let organisations = organisations(document, &names, &accounts, &mut grants)?;
    for (id, asset) in &assets {
        follow(&mut grants, asset.issuer, Permission::AssetAdmin, &Scope::Asset(*id));
        if asset.capabilities.contains(Capabilities::MINTABLE) {
            follow(&mut grants, asset.issuer, Permission::AssetMint, &Scope::Asset(*id));
        }
    }
    governance(document, &names, &organisations, &mut grants)?;
    let balances = balances(document, &names, &mut assets)?;
    written_grants(document, &names, &assets, &mut grants)?;
    Ok(Genesis {
        network: document.network.clone(),
        prefix: document.prefix.clone(),
        time: document.time,
        parameters: document.parameters.clone(),
        organisations: organisations.into_iter().collect(),
        validators: validators(document, &names)?,
        accounts: accounts.into_iter().collect(),
        assets: assets.into_iter().collect(),
        balances: balances.into_iter().map(|((account, asset), amount)| (account, asset, amount)).collect(),
        grants: grants
            .into_iter()
            .map(|((account, name, scope), grant)| (account, name, scope, grant))
            .collect(),
    })
}

/// Gives a permission that need not be written.
fn follow(grants: &mut Grants, account: AccountId, permission: Permission, scope: &Scope) {
    let grant =
        Grant { limit: None, expires: None, delegation: Delegation::Allowed, granter: GENESIS_GRANTER };
    grants.insert((account, permission, scope.clone()), grant);
}

fn accounts(
    document: &Document<'_>,
    names: &mut Names,
) -> Result<BTreeMap<AccountId, Account>, GenesisError> {
    let mut accounts = BTreeMap::new();
    let mut first_names: BTreeMap<&str, &Place> = BTreeMap::new();
    let mut first_ids: BTreeMap<AccountId, &Place> = BTreeMap::new();
    for entry in &document.accounts {
        let name = entry.name.value.as_str();
        let place = &entry.name.place;
        if let Some(first) = first_names.insert(name, place) {
            return Err(place.repeats(&format_args!("{name:?}"), first));
        }
        let id = AccountId::derive(&entry.authority, &entry.salt);
        if let Some(first) = first_ids.insert(id, place) {
            let found = "the same keys, threshold and salt (give the accounts different salts)";
            return Err(place.repeats(&found, first));
        }
        names.accounts.insert(name.to_owned(), id);
        let organisation = names.organisation(&entry.organisation)?;
        let (authority, label) = (entry.authority.clone(), entry.name.value.clone());
        accounts.insert(id, Account { organisation, authority, label, status: Status::Active });
    }
    Ok(accounts)
}

fn organisations(
    document: &Document<'_>,
    names: &Names,
    accounts: &BTreeMap<AccountId, Account>,
    grants: &mut Grants,
) -> Result<BTreeMap<OrganisationId, Organisation>, GenesisError> {
    let mut organisations = BTreeMap::new();
    for entry in &document.organisations {
        let id = &entry.id.value;
        let admin = names.account(&entry.admin)?;
        if accounts.get(&admin).is_none_or(|account| account.organisation != *id) {
            return Err(entry.admin.refuse(format_args!("an account of the organisation {id} itself")));
        }
        for permission in [
            Permission::OrgAdmin,
            Permission::AccountCreate,
            Permission::AssetCreate,
            Permission::GrantManage,
        ] {
            follow(grants, admin, permission, &Scope::Organisation(id.clone()));
        }
        organisations.insert(id.clone(), Organisation { name: entry.name.clone(), admin });
    }
    Ok(organisations)
}

/// The account that decides about the validators of all must not be that of one organisation.
fn governance(
    document: &Document<'_>,
    names: &Names,
    organisations: &BTreeMap<OrganisationId, Organisation>,
    grants: &mut Grants,
) -> Result<(), GenesisError> {
    let Some(value) = &document.governance else { return Ok(()) };
    let account = names.account(value)?;
    if organisations.values().any(|organisation| organisation.admin == account) {
        return Err(value.refuse("an account that is the administrator of no organisation"));
    }
    follow(grants, account, Permission::ValidatorManage, &Scope::Chain);
    Ok(())
}

fn validators(document: &Document<'_>, names: &Names) -> Result<ValidatorSet, GenesisError> {
    let mut members = Vec::new();
    let whole = Place { line: 1, field: "validators".to_owned() };
    let count = document.validators.len();
    let rule = format!("1 to {VALIDATORS_MAX} validators");
    if !(1..=VALIDATORS_MAX).contains(&count) {
        let place = document.validators.last().map_or(&whole, |entry| &entry.name.place);
        let place = Place { line: place.line, field: whole.field.clone() };
        return Err(place.refuse(&count, rule));
    }
    for (position, entry) in document.validators.iter().enumerate() {
        for earlier in document.validators.iter().take(position) {
            if earlier.key.value == entry.key.value {
                return Err(entry.key.place.repeats(&entry.key.value, &earlier.key.place));
            }
            if earlier.name.value == entry.name.value {
                return Err(entry
                    .name
                    .place
                    .repeats(&format_args!("{:?}", entry.name.value), &earlier.name.place));
            }
        }
        let organisation = names.organisation(&entry.organisation)?;
        members.push(Validator { name: entry.name.value.clone(), organisation, key: entry.key.value });
    }
    // Count, names and keys were checked above, where each fault has its line.
    ValidatorSet::new(members).map_err(|error| whole.refuse(&error, rule))
}

fn assets(document: &Document<'_>, names: &mut Names) -> Result<BTreeMap<AssetId, Asset>, GenesisError> {
    let mut assets = BTreeMap::new();
    let mut first_places: BTreeMap<&str, &Place> = BTreeMap::new();
    for entry in &document.assets {
        let symbol = &entry.symbol.value;
        if let Some(first) = first_places.insert(symbol.as_str(), &entry.symbol.place) {
            return Err(entry.symbol.place.repeats(symbol, first));
        }
        let id = AssetId::derive(symbol);
        names.assets.insert(symbol.as_str().to_owned(), id);
        let asset = Asset {
            symbol: symbol.clone(),
            name: entry.name.clone(),
            url: entry.url.clone(),
            document: entry.document,
            decimals: entry.decimals,
            cap: entry.cap,
            supply: Amount::ZERO,
            capabilities: entry.capabilities,
            issuer: names.account(&entry.issuer)?,
            status: Status::Active,
        };
        assets.insert(id, asset);
    }
    Ok(assets)
}

type Balances = BTreeMap<(AccountId, AssetId), Amount>;

fn balances(
    document: &Document<'_>,
    names: &Names,
    assets: &mut BTreeMap<AssetId, Asset>,
) -> Result<Balances, GenesisError> {
    let mut balances = Balances::new();
    let mut first_places: BTreeMap<(AccountId, AssetId), &Place> = BTreeMap::new();
    for entry in &document.balances {
        let account = names.account(&entry.account)?;
        let id = names.asset(&entry.asset)?;
        let Some(asset) = assets.get_mut(&id) else { continue };
        if let Some(first) = first_places.insert((account, id), &entry.account.place) {
            let found = "a balance of this account and asset";
            return Err(entry.account.place.repeats(&found, first));
        }
        let amount = document::amount(&entry.amount, asset.decimals)?;
        let sum = asset.supply.checked_add(amount).filter(|sum| *sum <= asset.cap);
        asset.supply = sum.ok_or_else(|| {
            let left = asset.cap.checked_sub(asset.supply).unwrap_or(Amount::ZERO);
            let (left, cap) = (left.to_decimal(asset.decimals), asset.cap.to_decimal(asset.decimals));
            entry.amount.refuse(format_args!(
                "at most {left}, which the balances above leave of the cap {cap} of {},",
                asset.symbol
            ))
        })?;
        balances.insert((account, id), amount);
    }
    Ok(balances)
}

fn written_grants(
    document: &Document<'_>,
    names: &Names,
    assets: &BTreeMap<AssetId, Asset>,
    grants: &mut Grants,
) -> Result<(), GenesisError> {
    let mut first_places: BTreeMap<(AccountId, Permission, Scope), &Place> = BTreeMap::new();
    for entry in &document.grants {
        let scope = names.scope(&entry.scope)?;
        let decimals = match &scope {
            Scope::Asset(id) => assets.get(id).map_or(0, |asset| asset.decimals),
            Scope::Chain | Scope::Organisation(_) | Scope::Account(_) => 0,
        };
        let limit = entry.limit.as_ref().map(|value| document::amount(value, decimals)).transpose()?;
        if let Some(expires) = &entry.expires
            && expires.value <= document.time
        {
            return Err(expires.place.refuse(&expires.value, "a time after that of the document"));
        }
        let key = (names.account(&entry.account)?, entry.permission, scope);
        if let Some(first) = first_places.insert(key.clone(), &entry.place) {
            return Err(entry
                .place
                .repeats(&"a grant of this permission with this scope to this account", first));
        }
        let expires = entry.expires.as_ref().map(|placed| placed.value);
        grants.insert(key, Grant { limit, expires, delegation: entry.delegation, granter: GENESIS_GRANTER });
    }
    Ok(())
}
