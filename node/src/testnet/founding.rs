//! Who founds a testnet: three organisations, their validators and accounts, and the account that governs.
use std::time::Duration;

use quorate_genesis::build::{AccountDraft, AssetDraft, Draft};
use quorate_primitives::Timestamp;
use quorate_primitives::state::{Capabilities, Permission};

use super::{node_name, seeds};

/// How the addresses of every testnet begin.
const PREFIX: &str = "qdev";
/// The testnet's money.
pub const SYMBOL: &str = "USD";
/// What each holder owns at the beginning.
const FIRST_BALANCE: &str = "1000000.00";
/// As [`FIRST_BALANCE`], for people.
const FIRST_BALANCE_SHOWN: &str = "1,000,000.00 USD";
/// Nothing, for people.
const NO_BALANCE_SHOWN: &str = "0.00 USD";
/// Most money that may exist.
const CAP: &str = "1000000000000.00";
/// Administrators who must sign together for the governance account.
pub const GOVERNANCE_THRESHOLD: u32 = 2;
/// Manages the validators.
pub const GOVERNANCE: &str = "governance";
/// Issues the testnet's money.
pub const TREASURY: &str = "treasury";

/// A member of the testnet's consortium.
struct Organisation {
    id: &'static str,
    name: &'static str,
    /// Acts for it.
    admin: &'static str,
    /// Owns money from the beginning.
    holder: &'static str,
}

const ORGANISATIONS: [Organisation; 3] = [
    Organisation { id: "north", name: "North Bank", admin: "north-admin", holder: "alice" },
    Organisation { id: "south", name: "South Bank", admin: "south-admin", holder: "bob" },
    Organisation { id: "east", name: "East Bank", admin: "east-admin", holder: "carol" },
];

/// What a testnet is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What keys are derived from.
    pub seed: String,
    /// How many validators. Range: 1 to 128.
    pub validators: u8,
    /// Nodes that were added since: they begin as observers.
    pub added: u8,
    /// Blocks of an epoch. Range: 10 to 2^63 − 1.
    pub epoch_length: u64,
    /// Time between empty blocks, if not the usual one.
    pub block_time: Option<Duration>,
}

impl Plan {
    /// How many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        usize::from(self.validators) + usize::from(self.added)
    }
}

/// An account with a key of its own in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHolder {
    /// Name of the account and of the key.
    pub name: &'static str,
    /// What it owns at the beginning, for people.
    pub balance: &'static str,
}

/// The accounts whose keys lie in the folder: who owns money first.
pub fn key_holders() -> impl Iterator<Item = KeyHolder> {
    let rich = ORGANISATIONS.iter().map(|of| KeyHolder { name: of.holder, balance: FIRST_BALANCE_SHOWN });
    rich.chain(std::iter::once(TREASURY).chain(administrators()).map(penniless))
}

fn penniless(name: &'static str) -> KeyHolder {
    KeyHolder { name, balance: NO_BALANCE_SHOWN }
}

/// The accounts that act for the organisations; their keys together act for the governance account.
pub fn administrators() -> impl Iterator<Item = &'static str> {
    ORGANISATIONS.iter().map(|organisation| organisation.admin)
}

/// The organisation that runs the node at this position: they take turns.
#[must_use]
pub fn organisation_of(index: usize) -> &'static str {
    ORGANISATIONS.iter().map(|organisation| organisation.id).cycle().nth(index).unwrap_or_default()
}

/// The founding document of the plan's network at this time.
#[must_use]
pub fn draft(plan: &Plan, time: Timestamp) -> Draft {
    let public = |name: &str| seeds::key(&plan.seed, name).public_key();
    let mut draft = Draft::new(&seeds::network_name(&plan.seed), PREFIX, time);
    draft.parameters.epoch_length = plan.epoch_length;
    for Organisation { id, name, admin, holder } in ORGANISATIONS {
        draft.organisation(id, name, admin);
        draft.account(admin, id, public(admin));
        draft.account(holder, id, public(holder));
        draft.balance(holder, SYMBOL, FIRST_BALANCE);
    }
    for index in 0..usize::from(plan.validators) {
        let name = node_name(index);
        draft.validator(&name, organisation_of(index), public(&name));
    }
    draft.governance = Some(GOVERNANCE.to_owned());
    draft.accounts.push(AccountDraft {
        name: GOVERNANCE.to_owned(),
        organisation: organisation_of(0).to_owned(),
        threshold: GOVERNANCE_THRESHOLD,
        keys: administrators().map(|name| (public(name), 1)).collect(),
        salt: [0; 16],
    });
    treasury(&mut draft, plan);
    draft
}

/// The account that issues the money, and may open accounts and create assets for its organisation.
fn treasury(draft: &mut Draft, plan: &Plan) {
    let organisation = organisation_of(0);
    draft.account(TREASURY, organisation, seeds::key(&plan.seed, TREASURY).public_key());
    draft.asset(AssetDraft {
        symbol: SYMBOL.to_owned(),
        name: "Test dollar, worthless".to_owned(),
        decimals: 2,
        cap: CAP.to_owned(),
        capabilities: Capabilities::MINTABLE,
        issuer: TREASURY.to_owned(),
    });
    let scope = format!("organisation:{organisation}");
    draft.grant(TREASURY, Permission::AccountCreate, &scope);
    draft.grant(TREASURY, Permission::AssetCreate, &scope);
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_primitives::state::{Permission, Scope};

    #[test]
    fn the_validators_are_spread_over_the_organisations_and_two_administrators_govern() {
        let plan =
            Plan { seed: "1".to_owned(), validators: 4, added: 0, epoch_length: 1_000, block_time: None };
        let genesis = draft(&plan, Timestamp::new(1_795_176_000_000)).build().unwrap();
        let of: Vec<&str> =
            genesis.validators.members().iter().map(|member| member.organisation.as_str()).collect();
        assert_eq!(of, ["north", "south", "east", "north"]);
        let governance = genesis.account_named(GOVERNANCE).unwrap();
        let authority = &genesis.account(&governance).unwrap().authority;
        assert_eq!((authority.threshold, authority.keys.len()), (2, 3));
        let manages = |(account, permission, scope, _): &(_, _, _, _)| {
            *account == governance && *permission == Permission::ValidatorManage && *scope == Scope::Chain
        };
        assert!(genesis.grants.iter().any(manages));
        assert_eq!(genesis.parameters.epoch_length, 1_000);
    }
}
