//! Writing a founding document.
//!
//! A [`Draft`] holds what a person would write; its text is the document, so whatever is drafted is
//! checked by the same rules as what is written by hand.
use std::fmt::{Display, Write};

use quorate_primitives::keys::PublicKey;
use quorate_primitives::numbers::Timestamp;
use quorate_primitives::state::{Capabilities, Delegation, Parameters, Permission};

use crate::error::GenesisError;
use crate::{DEFAULT_PARAMETERS, Genesis, time};

/// A founding document before it is written.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Name of the network.
    pub network: String,
    /// How its addresses begin.
    pub prefix: String,
    /// Time of height 0.
    pub time: Timestamp,
    /// Numbers that all validators agree on.
    pub parameters: Parameters,
    /// Name of the account that manages the validators, if there is one.
    pub governance: Option<String>,
    /// Members of the consortium.
    pub organisations: Vec<OrganisationDraft>,
    /// Validators in order.
    pub validators: Vec<ValidatorDraft>,
    /// Accounts.
    pub accounts: Vec<AccountDraft>,
    /// Assets.
    pub assets: Vec<AssetDraft>,
    /// First balances.
    pub balances: Vec<BalanceDraft>,
    /// Permissions beyond those of administrators and issuers.
    pub grants: Vec<GrantDraft>,
}

/// An organisation to be written.
#[derive(Clone, Debug)]
pub struct OrganisationDraft {
    /// Id, such as `acme`.
    pub id: String,
    /// For people.
    pub name: String,
    /// Name of the account that acts for it.
    pub admin: String,
}

/// A validator to be written.
#[derive(Clone, Debug)]
pub struct ValidatorDraft {
    /// For people.
    pub name: String,
    /// Id of the organisation that runs it.
    pub organisation: String,
    /// Its key.
    pub key: PublicKey,
}

/// An account to be written.
#[derive(Clone, Debug)]
pub struct AccountDraft {
    /// Name within the document, and the account's label.
    pub name: String,
    /// Id of the organisation that owns it.
    pub organisation: String,
    /// Weight that is needed to act.
    pub threshold: u32,
    /// Keys and their weights.
    pub keys: Vec<(PublicKey, u16)>,
    /// Tells accounts with the same keys apart.
    pub salt: [u8; 16],
}

/// An asset to be written.
#[derive(Clone, Debug)]
pub struct AssetDraft {
    /// Symbol, such as `USD`.
    pub symbol: String,
    /// For people.
    pub name: String,
    /// Digits after the point.
    pub decimals: u8,
    /// Most units that may exist, as a decimal number.
    pub cap: String,
    /// What the issuer may do.
    pub capabilities: Capabilities,
    /// Name of the issuing account.
    pub issuer: String,
}

/// A balance to be written.
#[derive(Clone, Debug)]
pub struct BalanceDraft {
    /// Name of the account.
    pub account: String,
    /// Symbol of the asset.
    pub asset: String,
    /// Decimal number.
    pub amount: String,
}

/// A grant to be written.
#[derive(Clone, Debug)]
pub struct GrantDraft {
    /// Name of the account.
    pub account: String,
    /// What it may do.
    pub permission: Permission,
    /// Where: `chain`, `organisation:ID`, `asset:SYMBOL` or `account:NAME`.
    pub scope: String,
    /// Most units a single use may concern, as a decimal number.
    pub limit: Option<String>,
    /// Ends by itself after this time.
    pub expires: Option<Timestamp>,
    /// Whether it may be passed on.
    pub delegation: Delegation,
}

impl Draft {
    /// A document without members, with the default parameters.
    #[must_use]
    pub fn new(network: &str, prefix: &str, time: Timestamp) -> Self {
        Self {
            network: network.to_owned(),
            prefix: prefix.to_owned(),
            time,
            parameters: DEFAULT_PARAMETERS,
            governance: None,
            organisations: Vec::new(),
            validators: Vec::new(),
            accounts: Vec::new(),
            assets: Vec::new(),
            balances: Vec::new(),
            grants: Vec::new(),
        }
    }

    /// Adds an organisation, and `admin`, the name of the account that acts for it.
    pub fn organisation(&mut self, id: &str, name: &str, admin: &str) -> &mut Self {
        let (id, name, admin) = (id.to_owned(), name.to_owned(), admin.to_owned());
        self.organisations.push(OrganisationDraft { id, name, admin });
        self
    }

    /// Adds a validator after those that are there.
    pub fn validator(&mut self, name: &str, organisation: &str, key: PublicKey) -> &mut Self {
        let (name, organisation) = (name.to_owned(), organisation.to_owned());
        self.validators.push(ValidatorDraft { name, organisation, key });
        self
    }

    /// Adds an account for which one key acts alone.
    pub fn account(&mut self, name: &str, organisation: &str, key: PublicKey) -> &mut Self {
        let (name, organisation) = (name.to_owned(), organisation.to_owned());
        self.accounts.push(AccountDraft {
            name,
            organisation,
            threshold: 1,
            keys: vec![(key, 1)],
            salt: [0; 16],
        });
        self
    }

    /// Adds an asset.
    pub fn asset(&mut self, asset: AssetDraft) -> &mut Self {
        self.assets.push(asset);
        self
    }

    /// Adds a balance: account name, asset symbol, decimal number.
    pub fn balance(&mut self, account: &str, asset: &str, amount: &str) -> &mut Self {
        let (account, asset, amount) = (account.to_owned(), asset.to_owned(), amount.to_owned());
        self.balances.push(BalanceDraft { account, asset, amount });
        self
    }

    /// Adds a permission without limit or end that may not be passed on.
    pub fn grant(&mut self, account: &str, permission: Permission, scope: &str) -> &mut Self {
        let (account, scope) = (account.to_owned(), scope.to_owned());
        let delegation = Delegation::Forbidden;
        self.grants.push(GrantDraft { account, permission, scope, limit: None, expires: None, delegation });
        self
    }

    /// The document as text. It need not be sound; [`Draft::build`] checks it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = Writer(String::new());
        text.line(
            "# Founding document of a Quorate network. Its hash names the chain: `quorate genesis hash`.",
        );
        text.field("network", quoted(&self.network));
        text.field("prefix", quoted(&self.prefix));
        text.field("time", time::to_text(self.time));
        text.head("[parameters]");
        text.field("max_validity_ms", self.parameters.max_validity_ms);
        text.field("clock_bound_ms", self.parameters.clock_bound_ms);
        text.field("marker_retention_ms", self.parameters.marker_retention_ms);
        text.field("epoch_length", self.parameters.epoch_length);
        text.field("payload_bytes_max", self.parameters.payload_bytes_max);
        if let Some(account) = &self.governance {
            text.head("[governance]");
            text.field("account", quoted(account));
        }
        for organisation in &self.organisations {
            text.head("[[organisations]]");
            text.field("id", quoted(&organisation.id));
            text.field("name", quoted(&organisation.name));
            text.field("admin", quoted(&organisation.admin));
        }
        for validator in &self.validators {
            text.head("[[validators]]");
            text.field("name", quoted(&validator.name));
            text.field("organisation", quoted(&validator.organisation));
            text.field("key", quoted(&validator.key.to_string()));
        }
        self.accounts.iter().for_each(|account| text.account(account));
        self.assets.iter().for_each(|asset| text.asset(asset));
        for balance in &self.balances {
            text.head("[[balances]]");
            text.field("account", quoted(&balance.account));
            text.field("asset", quoted(&balance.asset));
            text.field("amount", quoted(&balance.amount));
        }
        self.grants.iter().for_each(|grant| text.grant(grant));
        text.0
    }

    /// Writes the document and reads it back.
    ///
    /// # Errors
    /// [`GenesisError`] as [`Genesis::parse`] gives it for the text.
    pub fn build(&self) -> Result<Genesis, GenesisError> {
        Genesis::parse(&self.to_toml())
    }
}

struct Writer(String);

impl Writer {
    fn line(&mut self, line: impl Display) {
        // Writing to memory cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn head(&mut self, head: &str) {
        self.line(format_args!("\n{head}"));
    }

    fn field(&mut self, key: &str, value: impl Display) {
        self.line(format_args!("{key} = {value}"));
    }

    fn account(&mut self, account: &AccountDraft) {
        self.head("[[accounts]]");
        self.field("name", quoted(&account.name));
        self.field("organisation", quoted(&account.organisation));
        if let ([(key, 1)], 1) = (account.keys.as_slice(), account.threshold) {
            self.field("key", quoted(&key.to_string()));
        } else {
            self.field("threshold", account.threshold);
            self.line("keys = [");
            for (key, weight) in &account.keys {
                self.line(format_args!("    {{ key = \"{key}\", weight = {weight} }},"));
            }
            self.line("]");
        }
        if account.salt != [0; 16] {
            let digits: String = account.salt.iter().map(|byte| format!("{byte:02x}")).collect();
            self.field("salt", quoted(&digits));
        }
    }

    fn asset(&mut self, asset: &AssetDraft) {
        self.head("[[assets]]");
        self.field("symbol", quoted(&asset.symbol));
        self.field("name", quoted(&asset.name));
        self.field("decimals", asset.decimals);
        self.field("cap", quoted(&asset.cap));
        let names: Vec<String> = asset.capabilities.names().map(quoted).collect();
        self.field("capabilities", format_args!("[{}]", names.join(", ")));
        self.field("issuer", quoted(&asset.issuer));
    }

    fn grant(&mut self, grant: &GrantDraft) {
        self.head("[[grants]]");
        self.field("account", quoted(&grant.account));
        self.field("permission", quoted(grant.permission.name()));
        self.field("scope", quoted(&grant.scope));
        if let Some(limit) = &grant.limit {
            self.field("limit", quoted(limit));
        }
        if let Some(expires) = grant.expires {
            self.field("expires", time::to_text(expires));
        }
        if grant.delegation == Delegation::Allowed {
            self.field("delegation", quoted("allowed"));
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
