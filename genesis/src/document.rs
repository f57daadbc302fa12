//! The keys of the document: each value by itself, before anything is compared with anything else.
//!
//! ```toml
//! network = "devnet"
//! prefix = "qdev"
//! time = 2026-11-20T12:00:00.000Z
//!
//! [parameters]                     # optional, as is each of its keys
//! max_validity_ms = 3600000
//!
//! [governance]                     # optional
//! account = "consortium"           # manages the validators; no organisation's administrator
//!
//! [[organisations]]
//! id = "acme"
//! name = "ACME Bank"
//! admin = "acme-admin"             # an account of the organisation
//!
//! [[validators]]                   # in this order
//! name = "n1"
//! organisation = "acme"
//! key = "…"
//!
//! [[accounts]]
//! name = "acme-admin"
//! organisation = "acme"
//! key = "…"                        # or: threshold = 2, keys = ["…", { key = "…", weight = 2 }]
//! salt = "…"                       # optional, 32 hexadecimal digits
//!
//! [[assets]]
//! symbol = "USD"
//! name = "US Dollar"
//! decimals = 2
//! cap = "1000000.00"
//! capabilities = ["mintable"]      # optional
//! issuer = "acme-admin"
//! url = "https://…"                # optional
//! document = "…"                   # optional, 64 hexadecimal digits
//!
//! [[balances]]
//! account = "acme-admin"
//! asset = "USD"
//! amount = "1000.00"
//!
//! [[grants]]
//! account = "acme-admin"
//! permission = "asset.mint"
//! scope = "asset:USD"              # or: chain, organisation:ID, account:NAME
//! limit = "100.00"                 # optional; smallest units unless the scope is an asset
//! expires = 2030-01-01T00:00:00Z   # optional
//! delegation = "forbidden"         # optional; or: allowed
//! ```
use std::ops::RangeInclusive;

use toml::de::DeTable;

use quorate_primitives::address::Prefix;
use quorate_primitives::block::PAYLOAD_BYTES_MAX;
use quorate_primitives::bundle::BUNDLE_BYTES_MAX;
use quorate_primitives::codec::{List, Text};
use quorate_primitives::hash::{Hash, parse_hex};
use quorate_primitives::keys::PublicKey;
use quorate_primitives::numbers::{Amount, Timestamp};
use quorate_primitives::state::{
    Authority, Capabilities, DECIMALS_MAX, Delegation, OrganisationId, Parameters, Permission, Symbol,
    WeightedKey,
};

use crate::GENESIS_BYTES_MAX;
use crate::error::{Fault, GenesisError};
use crate::reader::{Lines, Place, Table, Value, nearest};

/// The parameters of a document that names none: transactions may be valid for an hour, clocks may
/// differ by half a second, and the first epoch does not end by itself.
pub const DEFAULT_PARAMETERS: Parameters = Parameters {
    max_validity_ms: 3_600_000,
    clock_bound_ms: 500,
    marker_retention_ms: 60_000,
    epoch_length: EPOCH_LENGTH_MAX,
    payload_bytes_max: 4_194_304,
};

/// Fewest bytes of bundles that a block can hold: one bundle always fits, or it could never be ordered.
const PAYLOAD_BYTES_MIN: usize = 262_144;

const _: () = assert!(BUNDLE_BYTES_MAX <= PAYLOAD_BYTES_MIN);

/// The largest integer that every TOML reader understands, 2^63 − 1.
const EPOCH_LENGTH_MAX: u64 = 9_223_372_036_854_775_807;

const NAME_RULE: &str = "a text of 1 to 64 bytes without control characters";
const KEY_RULE: &str = "an Ed25519 public key of 64 hexadecimal digits, canonical and not of small order,";
const ACCOUNT_RULE: &str =
    "1 to 64 lower-case letters, digits, dots, hyphens and underscores, starting with a letter or digit,";
const ORGANISATION_RULE: &str = "1 to 32 lower-case letters, digits and hyphens, starting with a letter,";
const SYMBOL_RULE: &str = "1 to 12 upper-case letters and digits, starting with a letter,";

/// A text that names something in the document, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

pub(crate) struct Document<'a> {
    pub(crate) network: Text<32>,
    pub(crate) prefix: Prefix,
    pub(crate) time: Timestamp,
    pub(crate) parameters: Parameters,
    /// Name of the account that manages the validators.
    pub(crate) governance: Option<Value<'a>>,
    pub(crate) organisations: Vec<OrganisationEntry<'a>>,
    pub(crate) validators: Vec<ValidatorEntry<'a>>,
    pub(crate) accounts: Vec<AccountEntry<'a>>,
    pub(crate) assets: Vec<AssetEntry<'a>>,
    pub(crate) balances: Vec<BalanceEntry<'a>>,
    pub(crate) grants: Vec<GrantEntry<'a>>,
}

pub(crate) struct OrganisationEntry<'a> {
    pub(crate) id: Placed<OrganisationId>,
    pub(crate) name: Text<64>,
    pub(crate) admin: Value<'a>,
}

pub(crate) struct ValidatorEntry<'a> {
    pub(crate) name: Placed<Text<32>>,
    pub(crate) organisation: Value<'a>,
    pub(crate) key: Placed<PublicKey>,
}

pub(crate) struct AccountEntry<'a> {
    pub(crate) name: Placed<Text<64>>,
    pub(crate) organisation: Value<'a>,
    pub(crate) authority: Authority,
    pub(crate) salt: [u8; 16],
}

pub(crate) struct AssetEntry<'a> {
    pub(crate) symbol: Placed<Symbol>,
    pub(crate) name: Text<64>,
    pub(crate) decimals: u8,
    pub(crate) cap: Amount,
    pub(crate) capabilities: Capabilities,
    pub(crate) issuer: Value<'a>,
    pub(crate) url: Text<256>,
    pub(crate) document: Option<Hash>,
}

pub(crate) struct BalanceEntry<'a> {
    pub(crate) account: Value<'a>,
    pub(crate) asset: Value<'a>,
    pub(crate) amount: Value<'a>,
}

pub(crate) struct GrantEntry<'a> {
    pub(crate) place: Place,
    pub(crate) account: Value<'a>,
    pub(crate) permission: Permission,
    pub(crate) scope: Value<'a>,
    pub(crate) limit: Option<Value<'a>>,
    pub(crate) expires: Option<Placed<Timestamp>>,
    pub(crate) delegation: Delegation,
}

/// Parses the text as TOML.
pub(crate) fn tree<'a>(text: &'a str, lines: &Lines) -> Result<DeTable<'a>, GenesisError> {
    let whole = |line, fault| GenesisError { line, field: "document".to_owned(), fault };
    if text.len() > GENESIS_BYTES_MAX {
        let fault = Fault::TooLong { found: text.len(), allowed: GENESIS_BYTES_MAX };
        return Err(whole(1, fault));
    }
    DeTable::parse(text).map(toml::Spanned::into_inner).map_err(|error| {
        let line = lines.line(error.span().map_or(0, |span| span.start));
        let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
        whole(line, Fault::Syntax { message })
    })
}

impl<'a> Document<'a> {
    /// Reads the values, each by itself.
    pub(crate) fn read(root: &Table<'a>) -> Result<Self, GenesisError> {
        root.allow(&[
            "network",
            "prefix",
            "time",
            "parameters",
            "governance",
            "organisations",
            "validators",
            "accounts",
            "assets",
            "balances",
            "grants",
        ])?;
        let network_rule = "a text of 1 to 32 bytes without control characters";
        let prefix_rule = "1 to 16 lower-case letters and digits, starting with a letter,";
        Ok(Self {
            network: filled(&root.required("network", network_rule)?, network_rule)?,
            prefix: root.required("prefix", prefix_rule)?.parsed(prefix_rule, Prefix::new)?,
            time: root.required("time", "the date and time of height 0")?.moment()?,
            parameters: parameters(root)?,
            governance: governance(root)?,
            organisations: entries(root, "organisations", organisation)?,
            validators: entries(root, "validators", validator)?,
            accounts: entries(root, "accounts", account)?,
            assets: entries(root, "assets", asset)?,
            balances: entries(root, "balances", balance)?,
            grants: entries(root, "grants", grant)?,
        })
    }
}

fn entries<'a, T>(
    root: &Table<'a>,
    key: &str,
    read: impl Fn(&Table<'a>) -> Result<T, GenesisError>,
) -> Result<Vec<T>, GenesisError> {
    root.tables(key)?.iter().map(read).collect()
}

/// A text with at least one character.
fn filled<const MAX: usize>(value: &Value<'_>, rule: &str) -> Result<Text<MAX>, GenesisError> {
    let text = value.parsed(rule, Text::new)?;
    if text.as_str().is_empty() { Err(value.refuse(rule)) } else { Ok(text) }
}

fn parameters(root: &Table<'_>) -> Result<Parameters, GenesisError> {
    let mut found = DEFAULT_PARAMETERS;
    let Some(value) = root.optional("parameters") else { return Ok(found) };
    let table = value.table().ok_or_else(|| value.refuse("a table headed [parameters]"))?;
    table.allow(&[
        "max_validity_ms",
        "clock_bound_ms",
        "marker_retention_ms",
        "epoch_length",
        "payload_bytes_max",
    ])?;
    let read = |key: &str, default: u64, range: RangeInclusive<u64>| {
        table.optional(key).map_or(Ok(default), |value| value.integer(range))
    };
    found.max_validity_ms = read("max_validity_ms", found.max_validity_ms, 10_000..=86_400_000)?;
    found.clock_bound_ms = read("clock_bound_ms", found.clock_bound_ms, 50..=10_000)?;
    found.marker_retention_ms = read("marker_retention_ms", found.marker_retention_ms, 0..=86_400_000)?;
    found.epoch_length = read("epoch_length", found.epoch_length, 10..=EPOCH_LENGTH_MAX)?;
    let wide = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
    let range = wide(PAYLOAD_BYTES_MIN)..=wide(PAYLOAD_BYTES_MAX);
    let bytes = read("payload_bytes_max", u64::from(found.payload_bytes_max), range)?;
    found.payload_bytes_max = u32::try_from(bytes).unwrap_or(u32::MAX);
    Ok(found)
}

fn governance<'a>(root: &Table<'a>) -> Result<Option<Value<'a>>, GenesisError> {
    let Some(value) = root.optional("governance") else { return Ok(None) };
    let table = value.table().ok_or_else(|| value.refuse("a table headed [governance]"))?;
    table.allow(&["account"])?;
    table.required("account", "the name of an account").map(Some)
}

fn organisation<'a>(table: &Table<'a>) -> Result<OrganisationEntry<'a>, GenesisError> {
    table.allow(&["id", "name", "admin"])?;
    let id = table.required("id", ORGANISATION_RULE)?;
    Ok(OrganisationEntry {
        id: Placed { value: id.parsed(ORGANISATION_RULE, OrganisationId::new)?, place: id.place },
        name: filled(&table.required("name", NAME_RULE)?, NAME_RULE)?,
        admin: table.required("admin", "the name of an account")?,
    })
}

fn key_of(value: &Value<'_>) -> Result<Placed<PublicKey>, GenesisError> {
    let key = value.parsed(KEY_RULE, str::parse::<PublicKey>)?;
    key.check().map_err(|_| value.refuse(KEY_RULE))?;
    Ok(Placed { value: key, place: value.place.clone() })
}

fn validator<'a>(table: &Table<'a>) -> Result<ValidatorEntry<'a>, GenesisError> {
    table.allow(&["name", "organisation", "key"])?;
    let rule = "a text of 1 to 32 bytes without control characters";
    let name = table.required("name", rule)?;
    Ok(ValidatorEntry {
        name: Placed { value: filled(&name, rule)?, place: name.place },
        organisation: table.required("organisation", "the id of an organisation")?,
        key: key_of(&table.required("key", KEY_RULE)?)?,
    })
}

fn account<'a>(table: &Table<'a>) -> Result<AccountEntry<'a>, GenesisError> {
    table.allow(&["name", "organisation", "key", "keys", "threshold", "salt"])?;
    let name = table.required("name", ACCOUNT_RULE)?;
    let salt_rule = "32 hexadecimal digits";
    let salt = table.optional("salt").map(|value| value.parsed(salt_rule, parse_hex::<16>)).transpose()?;
    Ok(AccountEntry {
        name: Placed { value: name.parsed(ACCOUNT_RULE, account_name)?, place: name.place },
        organisation: table.required("organisation", "the id of an organisation")?,
        authority: authority(table)?,
        salt: salt.unwrap_or_default(),
    })
}

fn account_name(text: &str) -> Result<Text<64>, ()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let allowed = text.bytes().all(|byte| plain(byte) || b".-_".contains(&byte));
    if !allowed || !text.bytes().next().is_some_and(plain) {
        return Err(());
    }
    Text::new(text).map_err(|_| ())
}

/// One `key`, or `keys` with a `threshold`.
fn authority(table: &Table<'_>) -> Result<Authority, GenesisError> {
    let Some(keys) = table.optional("keys") else {
        let rule = "either key, or keys and threshold,";
        let key = key_of(&table.required("key", rule)?)?;
        if let Some(threshold) = table.optional("threshold") {
            threshold.integer(1..=1)?;
        }
        return Ok(Authority::single(key.value));
    };
    if let Some(key) = table.optional("key") {
        return Err(key.refuse("either key or keys, not both,"));
    }
    let rule = "a list of 1 to 16 keys";
    let items =
        keys.items().filter(|items| (1..=16).contains(&items.len())).ok_or_else(|| keys.refuse(rule))?;
    let mut weighted = items.iter().map(weighted_key).collect::<Result<Vec<_>, _>>()?;
    weighted.sort_by_key(|placed| placed.value.key);
    for (a, b) in weighted.iter().zip(weighted.iter().skip(1)) {
        if a.value.key == b.value.key {
            return Err(b.place.repeats(&b.value.key, &a.place));
        }
    }
    let sum: u64 = weighted.iter().map(|placed| u64::from(placed.value.weight)).sum();
    let threshold =
        table.required("threshold", format_args!("a whole number from 1 to {sum}"))?.integer(1..=sum)?;
    let list = weighted.into_iter().map(|placed| placed.value).collect();
    Ok(Authority {
        threshold: u32::try_from(threshold).map_err(|_| keys.refuse(rule))?,
        keys: List::new(list).map_err(|_| keys.refuse(rule))?,
        version: 0,
    })
}

fn weighted_key(item: &Value<'_>) -> Result<Placed<WeightedKey>, GenesisError> {
    let Some(table) = item.table() else {
        let key = key_of(item)?;
        return Ok(Placed { value: WeightedKey { key: key.value, weight: 1 }, place: key.place });
    };
    table.allow(&["key", "weight"])?;
    let key = key_of(&table.required("key", KEY_RULE)?)?;
    let weight = table.optional("weight").map_or(Ok(1), |value| value.integer(1..=u64::from(u16::MAX)))?;
    let weight = u16::try_from(weight).unwrap_or(u16::MAX);
    Ok(Placed { value: WeightedKey { key: key.value, weight }, place: key.place })
}

fn asset<'a>(table: &Table<'a>) -> Result<AssetEntry<'a>, GenesisError> {
    table.allow(&["symbol", "name", "decimals", "cap", "capabilities", "issuer", "url", "document"])?;
    let symbol = table.required("symbol", SYMBOL_RULE)?;
    let rule = format!("a whole number from 0 to {DECIMALS_MAX}");
    let decimals = table.required("decimals", rule)?.integer(0..=u64::from(DECIMALS_MAX))?;
    let decimals = u8::try_from(decimals).unwrap_or(DECIMALS_MAX);
    let cap = table.required("cap", "a decimal number in quotes")?;
    let url_rule = "a text of at most 256 bytes without control characters";
    let url = table.optional("url").map(|value| value.parsed(url_rule, Text::new)).transpose()?;
    let hash_rule = "a hash of 64 hexadecimal digits";
    let document = table.optional("document").map(|value| value.parsed(hash_rule, str::parse)).transpose()?;
    Ok(AssetEntry {
        symbol: Placed { value: symbol.parsed(SYMBOL_RULE, Symbol::new)?, place: symbol.place },
        name: filled(&table.required("name", NAME_RULE)?, NAME_RULE)?,
        decimals,
        cap: amount(&cap, decimals)?,
        capabilities: capabilities(table)?,
        issuer: table.required("issuer", "the name of an account")?,
        url: url.unwrap_or_default(),
        document,
    })
}

/// A positive decimal number in quotes, in units of an asset with these decimals.
pub(crate) fn amount(value: &Value<'_>, decimals: u8) -> Result<Amount, GenesisError> {
    let rule = || {
        let most = Amount::MAX.to_decimal(decimals);
        format!(
            "a decimal number in quotes, above 0, at most {most}, with at most {decimals} digits after the point,"
        )
    };
    let text = value.text(rule())?;
    let found = Amount::parse_decimal(text, decimals).map_err(|_| value.refuse(rule()))?;
    if found == Amount::ZERO { Err(value.refuse(rule())) } else { Ok(found) }
}

fn capabilities(table: &Table<'_>) -> Result<Capabilities, GenesisError> {
    let Some(value) = table.optional("capabilities") else { return Ok(Capabilities::NONE) };
    // Transfers of an asset that needs a cosigner cannot be executed yet: nobody could ever move it.
    let usable = |of: &Capabilities| *of != Capabilities::COSIGNER_REQUIRED;
    let names = || Capabilities::NAMED.iter().filter(|(_, of)| usable(of)).map(|(name, _)| *name);
    let items = value.items().ok_or_else(|| value.refuse("a list of names"))?;
    let mut found = Capabilities::NONE;
    for item in &items {
        let rule = "the name of a capability in quotes";
        let capability = Capabilities::by_name(item.text(rule)?)
            .filter(usable)
            .ok_or_else(|| item.refuse(names().collect::<Vec<_>>().join(", ")))?;
        found = found.with(capability);
    }
    Ok(found)
}

fn balance<'a>(table: &Table<'a>) -> Result<BalanceEntry<'a>, GenesisError> {
    table.allow(&["account", "asset", "amount"])?;
    Ok(BalanceEntry {
        account: table.required("account", "the name of an account")?,
        asset: table.required("asset", "the symbol of an asset")?,
        amount: table.required("amount", "a decimal number in quotes")?,
    })
}

fn grant<'a>(table: &Table<'a>) -> Result<GrantEntry<'a>, GenesisError> {
    table.allow(&["account", "permission", "scope", "limit", "expires", "delegation"])?;
    let permission = table.required("permission", "the name of a permission")?;
    let name = permission.text("the name of a permission")?;
    let names = || Permission::ALL.iter().map(|known| known.name());
    let unknown = || {
        let hint = nearest(name, names()).unwrap_or_default();
        permission
            .refuse(format_args!("(nearest is {hint:?}) one of {}", names().collect::<Vec<_>>().join(", ")))
    };
    let expires = table
        .optional("expires")
        .map(|value| value.moment().map(|moment| Placed { value: moment, place: value.place.clone() }));
    let delegation = table.optional("delegation").map(|value| {
        value.parsed("\"allowed\" or \"forbidden\"", |text| match text {
            "allowed" => Ok(Delegation::Allowed),
            "forbidden" => Ok(Delegation::Forbidden),
            _ => Err(()),
        })
    });
    Ok(GrantEntry {
        place: table.place.clone(),
        account: table.required("account", "the name of an account")?,
        permission: Permission::by_name(name).ok_or_else(unknown)?,
        scope: table.required("scope", SCOPE_RULE)?,
        limit: table.optional("limit"),
        expires: expires.transpose()?,
        delegation: delegation.transpose()?.unwrap_or(Delegation::Forbidden),
    })
}

/// How a scope is written.
pub(crate) const SCOPE_RULE: &str = "chain, organisation:ID, asset:SYMBOL or account:NAME";
