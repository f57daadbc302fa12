//! Transactions and receipts in words, with names and amounts that were proven.
use quorate_keystore::Home;
use quorate_primitives::address::AccountId;
use quorate_primitives::light::Finalized;
use quorate_primitives::receipt::{Event, Receipt, Verdict};
use quorate_primitives::state::{Asset, AssetId, Permission, Scope};
use quorate_primitives::transaction::{Operation, Quantity};
use quorate_primitives::{Amount, Timestamp};
use quorate_rpc::json::values::rfc3339;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::clock;
use crate::network::Network;

/// What is needed to show accounts and amounts to people.
pub struct Words {
    names: BTreeMap<AccountId, String>,
    prefix: quorate_primitives::address::Prefix,
    assets: BTreeMap<AssetId, Asset>,
}

impl Words {
    /// Knows the names of the genesis and of the keys in the home. A key file that cannot be read has no
    /// name here; it does not hinder anything else.
    #[must_use]
    pub fn new(home: &Home, network: &Network) -> Self {
        let labelled =
            network.genesis.accounts.iter().filter(|(_, account)| !account.label.as_str().is_empty());
        let mut names: BTreeMap<AccountId, String> =
            labelled.map(|(id, account)| (*id, account.label.to_string())).collect();
        for name in home.key_names().unwrap_or_default() {
            if let Ok(key) = home.key(&name) {
                names.insert(key.account(), name.to_string());
            }
        }
        Self { names, prefix: network.genesis.prefix.clone(), assets: BTreeMap::new() }
    }

    /// Learns an asset that was proven.
    pub fn learn(&mut self, id: AssetId, asset: Asset) {
        self.assets.insert(id, asset);
    }

    /// Whether an asset was proven before.
    #[must_use]
    pub fn knows(&self, id: &AssetId) -> bool {
        self.assets.contains_key(id)
    }

    /// The address of an account.
    #[must_use]
    pub fn address(&self, account: AccountId) -> String {
        quorate_primitives::address::Address { account, tag: None }.to_text(&self.prefix)
    }

    /// An account by name and address.
    #[must_use]
    pub fn account(&self, account: AccountId) -> String {
        let address = self.address(account);
        self.names.get(&account).map_or(address.clone(), |name| format!("{name} ({address})"))
    }

    /// An amount with its symbol; in smallest units if the asset was not proven.
    #[must_use]
    pub fn amount(&self, asset: AssetId, amount: Amount) -> String {
        self.assets.get(&asset).map_or_else(
            || format!("{amount} smallest units of asset {asset}"),
            |known| format!("{} {}", amount.to_decimal(known.decimals), known.symbol),
        )
    }

    /// An amount for scripts.
    #[must_use]
    pub fn amount_json(&self, asset: AssetId, amount: Amount) -> Value {
        let known = self.assets.get(&asset);
        json!({
            "asset": asset.to_string(),
            "symbol": known.map(|asset| asset.symbol.to_string()),
            "amount": known.map(|asset| amount.to_decimal(asset.decimals)),
            "units": amount.to_string(),
        })
    }

    fn asset(&self, asset: AssetId) -> String {
        self.assets.get(&asset).map_or_else(|| asset.to_string(), |known| known.symbol.to_string())
    }

    /// What an action will do, acted by this account.
    #[must_use]
    pub fn operation(&self, actor: AccountId, operation: &Operation) -> String {
        let by = self.account(actor);
        match operation {
            Operation::AccountCreate { organisation, authority, salt, label } => {
                let id = AccountId::derive(authority, salt);
                format!("open account {} {label:?} of organisation {organisation}, as {by}", self.address(id))
            }
            Operation::AuthoritySet { authority } => {
                format!(
                    "replace the keys of {by}: {} keys, threshold {}",
                    authority.keys.len(),
                    authority.threshold
                )
            }
            Operation::AssetCreate { symbol, name, decimals, cap, capabilities } => {
                let can: Vec<&str> = capabilities.names().collect();
                let (cap, can) = (cap.to_decimal(*decimals), can.join(", "));
                format!("create asset {symbol} {name:?}, {decimals} decimals, cap {cap}, [{can}], as {by}")
            }
            Operation::AssetUpdate { asset, name, url, .. } => {
                format!("describe asset {} as {name:?} {url:?}, as {by}", self.asset(*asset))
            }
            Operation::Mint { asset, to, amount } => {
                format!("create {} for {}, as {by}", self.amount(*asset, *amount), self.account(*to))
            }
            Operation::Burn { asset, from, amount } => {
                format!("destroy {} of {}, as {by}", self.amount(*asset, *amount), self.account(*from))
            }
            Operation::Transfer { asset, to, quantity, tag } => {
                let what = match quantity {
                    Quantity::Exact(amount) => self.amount(*asset, *amount),
                    Quantity::All => format!("all {}", self.asset(*asset)),
                };
                let tag = tag.map(|tag| format!(", tag {}", hex::encode(tag))).unwrap_or_default();
                format!("transfer {what} from {by} to {}{tag}", self.account(*to))
            }
            Operation::TransferMany { asset, outputs } => {
                let each = outputs.iter().map(|output| {
                    format!("{} to {}", self.amount(*asset, output.amount), self.account(output.to))
                });
                format!("transfer from {by}: {}", each.collect::<Vec<_>>().join("; "))
            }
            Operation::Grant { grantee, permission, scope, .. } => {
                format!(
                    "grant {} to {}, as {by}",
                    self.permission(*permission, scope),
                    self.account(*grantee)
                )
            }
            Operation::Revoke { grantee, permission, scope } => {
                format!(
                    "revoke {} from {}, as {by}",
                    self.permission(*permission, scope),
                    self.account(*grantee)
                )
            }
            Operation::ValidatorAdd { validator, .. } => {
                let (name, organisation, key) = (&validator.name, &validator.organisation, &validator.key);
                format!("add validator {name} of {organisation} with key {key}, as {by}")
            }
            Operation::ValidatorRemove { name } => format!("remove validator {name}, as {by}"),
            Operation::ValidatorRotateKey { name, key, .. } => {
                format!("replace the key of validator {name} by {key}, as {by}")
            }
        }
    }

    fn permission(&self, permission: Permission, scope: &Scope) -> String {
        let scope = match scope {
            Scope::Chain => "everywhere".to_owned(),
            Scope::Organisation(id) => format!("in organisation {id}"),
            Scope::Asset(id) => format!("on asset {}", self.asset(*id)),
            Scope::Account(id) => format!("on account {}", self.account(*id)),
        };
        format!("{} {scope}", permission.name())
    }

    /// What happened.
    #[must_use]
    pub fn event(&self, event: &Event) -> String {
        match event {
            Event::AccountCreated { account, organisation } => {
                format!("opened account {} of organisation {organisation}", self.account(*account))
            }
            Event::AuthoritySet { account, version } => {
                format!("replaced the keys of {}, version {version}", self.account(*account))
            }
            Event::AssetCreated { asset, issuer } => {
                format!("created asset {} of {}", self.asset(*asset), self.account(*issuer))
            }
            Event::AssetUpdated { asset } => format!("described asset {}", self.asset(*asset)),
            Event::Minted { asset, to, amount } => {
                format!("created {} for {}", self.amount(*asset, *amount), self.account(*to))
            }
            Event::Burned { asset, from, amount } => {
                format!("destroyed {} of {}", self.amount(*asset, *amount), self.account(*from))
            }
            Event::Transferred { asset, from, to, amount, .. } => {
                let (from, to) = (self.account(*from), self.account(*to));
                format!("transferred {} from {from} to {to}", self.amount(*asset, *amount))
            }
            Event::Granted { grantee, permission, scope, granter } => {
                let (grantee, granter) = (self.account(*grantee), self.account(*granter));
                format!("{granter} granted {} to {grantee}", self.permission(*permission, scope))
            }
            Event::Revoked { grantee, permission, scope } => {
                format!("revoked {} from {}", self.permission(*permission, scope), self.account(*grantee))
            }
            Event::ValidatorAdded { name, organisation, key, from } => {
                format!(
                    "added validator {name} of {organisation} with key {key}: it votes from epoch {from} on"
                )
            }
            Event::ValidatorRemoved { name, from, .. } => {
                format!("removed validator {name}: it votes no more from epoch {from} on")
            }
            Event::ValidatorKeyRotated { name, key, from } => {
                format!(
                    "replaced the key of validator {name} by {key}: it signs with it from epoch {from} on"
                )
            }
        }
    }

    /// A receipt in lines.
    #[must_use]
    pub fn receipt(&self, receipt: &Receipt) -> String {
        let mut lines = Vec::new();
        if let Verdict::Failed { failure, action } = receipt.verdict {
            let at = action.map(|index| format!(" (action {index})")).unwrap_or_default();
            lines.push(format!(
                "failed     {} {}: {}{at}",
                failure.code(),
                failure.name(),
                failure.description()
            ));
        }
        lines.extend(receipt.events.iter().map(|event| format!("event      {}", self.event(event))));
        lines.extend(receipt.balances.iter().map(|after| {
            let posted = self.amount(after.asset, after.balance.posted);
            format!("balance    {} now owns {posted}", self.account(after.account))
        }));
        lines.into_iter().map(|line| line + "\n").collect()
    }

    /// Balances after a transaction, for scripts.
    #[must_use]
    pub fn balances_after(&self, receipt: &Receipt) -> Value {
        let entry = |after: &quorate_primitives::receipt::BalanceAfter| {
            let mut entry = self.amount_json(after.asset, after.balance.posted);
            entry["account"] = json!(after.account.to_string());
            entry["address"] = json!(self.address(after.account));
            entry
        };
        receipt.balances.iter().map(entry).collect()
    }
}

/// Every asset that a receipt speaks of.
#[must_use]
pub fn assets_of(receipt: &Receipt) -> Vec<AssetId> {
    let of_event = |event: &Event| match event {
        Event::AssetCreated { asset, .. }
        | Event::AssetUpdated { asset }
        | Event::Minted { asset, .. }
        | Event::Burned { asset, .. }
        | Event::Transferred { asset, .. } => Some(*asset),
        Event::AccountCreated { .. }
        | Event::AuthoritySet { .. }
        | Event::Granted { .. }
        | Event::Revoked { .. }
        | Event::ValidatorAdded { .. }
        | Event::ValidatorRemoved { .. }
        | Event::ValidatorKeyRotated { .. } => None,
    };
    let mut assets: Vec<AssetId> = receipt.events.iter().filter_map(of_event).collect();
    assets.extend(receipt.balances.iter().map(|after| after.asset));
    assets.sort_unstable();
    assets.dedup();
    assets
}

fn age_ms(time: Timestamp) -> u64 {
    clock::now().distance_from(time)
}

/// The line that says what an answer rests on.
#[must_use]
pub fn trust_line(ledger: &Finalized) -> String {
    let (signers, validators) = ledger.signers();
    let age = clock::seconds(age_ms(ledger.time()));
    let (height, epoch) = (ledger.height(), ledger.header().epoch);
    format!("verified: height {height}, epoch {epoch}, {signers} of {validators} validators, {age} old\n")
}

/// What an answer rests on, for scripts.
#[must_use]
pub fn trust_json(ledger: &Finalized) -> Value {
    let (signers, validators) = ledger.signers();
    json!({
        "height": ledger.height().to_string(),
        "epoch": ledger.header().epoch.to_string(),
        "block": ledger.block().to_string(),
        "time": rfc3339(ledger.time()),
        "age_ms": age_ms(ledger.time()).to_string(),
        "signers": signers,
        "validators": validators,
    })
}

/// The line that marks what nobody verified.
#[must_use]
pub fn unverified_line(url: &str) -> String {
    format!("UNVERIFIED: {url} says so, and nothing of it was proven\n")
}
