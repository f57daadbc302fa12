//! A document founds exactly the ledger that it describes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use quorate_genesis::build::{AccountDraft, AssetDraft, Draft, GrantDraft};
use quorate_genesis::{GENESIS_GRANTER, Genesis};
use quorate_primitives::keys::{PublicKey, SecretKey};
use quorate_primitives::numbers::{Amount, Timestamp};
use quorate_primitives::state::{AssetId, Capabilities, Delegation, Grant, Permission, Scope, StateKey};

fn key(seed: u8) -> PublicKey {
    SecretKey::from_seed(&[seed; 32].into()).public_key()
}

fn draft() -> Draft {
    let mut draft = Draft::new("devnet", "qdev", Timestamp::new(1_795_179_300_123));
    draft.organisation("acme", "ACME \"Bank\"", "acme-admin").organisation("beta", "Beta", "beta-admin");
    for (index, name) in ["n1", "n2", "n3", "n4"].into_iter().enumerate() {
        let organisation = if index % 2 == 0 { "acme" } else { "beta" };
        draft.validator(name, organisation, key(u8::try_from(index).unwrap() + 1));
    }
    draft.account("acme-admin", "acme", key(11)).account("beta-admin", "beta", key(12)).account(
        "alice",
        "acme",
        key(13),
    );
    draft.accounts.push(AccountDraft {
        name: "treasury".to_owned(),
        organisation: "beta".to_owned(),
        threshold: 3,
        keys: vec![(key(21), 2), (key(22), 1), (key(23), 1)],
        salt: [7; 16],
    });
    draft.asset(AssetDraft {
        symbol: "USD".to_owned(),
        name: "US Dollar".to_owned(),
        decimals: 2,
        cap: "1000000.00".to_owned(),
        capabilities: Capabilities::MINTABLE.with(Capabilities::PAUSABLE),
        issuer: "acme-admin".to_owned(),
    });
    draft.balance("alice", "USD", "1000.00").balance("treasury", "USD", "0.01");
    draft.grant("beta-admin", Permission::AssetMint, "asset:USD");
    draft.grants.push(GrantDraft {
        account: "alice".to_owned(),
        permission: Permission::ReadAll,
        scope: "chain".to_owned(),
        limit: Some("5".to_owned()),
        expires: Some(Timestamp::new(1_895_179_300_000)),
        delegation: Delegation::Allowed,
    });
    draft
}

#[test]
fn a_drafted_document_is_read_as_it_was_meant() {
    let genesis = draft().build().unwrap();
    assert_eq!(genesis.network.as_str(), "devnet");
    assert_eq!(genesis.time, Timestamp::new(1_795_179_300_123));
    assert_eq!(genesis.validators.len(), 4);
    assert_eq!(genesis.organisations[0].1.name.as_str(), "ACME \"Bank\"");
    let usd = AssetId::derive(&"USD".parse().unwrap());
    assert_eq!(genesis.assets[0].0, usd);
    assert_eq!(genesis.assets[0].1.supply, Amount::new(100_001));
    let alice = genesis.account_named("alice").unwrap();
    assert_eq!(genesis.account(&alice).unwrap().organisation.as_str(), "acme");
    assert!(genesis.balances.contains(&(alice, usd, Amount::new(100_000))));
    let treasury = genesis.account(&genesis.account_named("treasury").unwrap()).unwrap();
    assert_eq!(treasury.authority.threshold, 3);
    assert!(treasury.authority.check().is_ok());
}

#[test]
fn the_state_has_each_key_once_in_ascending_order() {
    let genesis = draft().build().unwrap();
    let state = genesis.state();
    let bytes: Vec<Vec<u8>> = state.iter().map(|(key, _)| quorate_primitives::codec::encode(key)).collect();
    assert!(bytes.is_sorted_by(|a, b| a < b));
    let parts = genesis.organisations.len()
        + genesis.accounts.len()
        + genesis.assets.len()
        + genesis.balances.len()
        + genesis.grants.len();
    assert_eq!(state.len(), parts + 2);
    assert!(state.iter().any(|(key, _)| *key == StateKey::Parameters));
}

#[test]
fn administrators_and_issuers_hold_what_their_work_needs() {
    let genesis = draft().build().unwrap();
    let held = |name: &str, permission: Permission, scope: &Scope| -> Option<Grant> {
        let account = genesis.account_named(name).unwrap();
        let same = |entry: &&(_, _, _, Grant)| (entry.0, entry.1, &entry.2) == (account, permission, scope);
        genesis.grants.iter().find(same).map(|entry| entry.3)
    };
    let usd = Scope::Asset(genesis.assets[0].0);
    let acme = Scope::Organisation("acme".parse().unwrap());
    for permission in
        [Permission::OrgAdmin, Permission::AccountCreate, Permission::AssetCreate, Permission::GrantManage]
    {
        let grant = held("acme-admin", permission, &acme).unwrap();
        assert_eq!((grant.delegation, grant.granter), (Delegation::Allowed, GENESIS_GRANTER));
        assert_eq!(held("beta-admin", permission, &acme), None);
    }
    assert!(held("acme-admin", Permission::AssetAdmin, &usd).is_some());
    assert!(held("acme-admin", Permission::AssetMint, &usd).is_some());
    assert_eq!(held("beta-admin", Permission::AssetMint, &usd).unwrap().delegation, Delegation::Forbidden);
    let read = held("alice", Permission::ReadAll, &Scope::Chain).unwrap();
    assert_eq!((read.limit, read.delegation), (Some(Amount::new(5)), Delegation::Allowed));
}

#[test]
fn the_governance_account_manages_the_validators_and_may_pass_that_on() {
    let with = |governance: Option<&str>| {
        let draft = Draft { governance: governance.map(str::to_owned), ..draft() };
        let genesis = draft.build().unwrap();
        let managing = genesis.grants.iter().filter(|entry| entry.1 == Permission::ValidatorManage);
        managing.map(|(account, _, scope, grant)| (*account, scope.clone(), *grant)).collect::<Vec<_>>()
    };
    let treasury = draft().build().unwrap().account_named("treasury").unwrap();
    let grant =
        Grant { limit: None, expires: None, delegation: Delegation::Allowed, granter: GENESIS_GRANTER };
    assert_eq!(with(Some("treasury")), [(treasury, Scope::Chain, grant)]);
    assert_eq!(with(None), [], "nobody else holds it");
}

#[test]
fn the_governance_account_may_have_sixteen_keys() {
    let mut draft = draft();
    draft.accounts.push(AccountDraft {
        name: "consortium".to_owned(),
        organisation: "acme".to_owned(),
        threshold: 11,
        keys: (31..47).map(|seed| (key(seed), 1)).collect(),
        salt: [0; 16],
    });
    draft.governance = Some("consortium".to_owned());
    let genesis = draft.build().unwrap();
    let account = genesis.account(&genesis.account_named("consortium").unwrap()).unwrap();
    assert_eq!((account.authority.threshold, account.authority.keys.len()), (11, 16));
}

#[test]
fn the_account_of_an_organisation_cannot_govern_all() {
    for admin in ["acme-admin", "beta-admin"] {
        let draft = Draft { governance: Some(admin.to_owned()), ..draft() };
        let error = draft.build().unwrap_err();
        assert_eq!(error.field, "governance.account");
        assert!(error.to_string().contains("the administrator of no organisation"), "{error}");
    }
}

#[test]
fn a_written_grant_replaces_the_one_that_would_follow() {
    let mut draft = draft();
    draft.grant("acme-admin", Permission::AssetMint, "asset:USD");
    let genesis = draft.build().unwrap();
    let admin = genesis.account_named("acme-admin").unwrap();
    let minting: Vec<_> =
        genesis.grants.iter().filter(|entry| entry.0 == admin && entry.1 == Permission::AssetMint).collect();
    assert_eq!(minting.len(), 1);
    assert_eq!(minting[0].3.delegation, Delegation::Forbidden);
}

#[test]
fn the_hash_ignores_the_order_of_everything_but_the_validators() {
    let genesis = draft().build().unwrap();
    let mut shuffled = draft();
    shuffled.organisations.reverse();
    shuffled.accounts.reverse();
    shuffled.balances.reverse();
    shuffled.grants.reverse();
    for account in &mut shuffled.accounts {
        account.keys.reverse();
    }
    assert_eq!(shuffled.build().unwrap(), genesis);
    assert_eq!(shuffled.build().unwrap().hash(), genesis.hash());
    shuffled.validators.reverse();
    assert_ne!(shuffled.build().unwrap().hash(), genesis.hash());
}

#[test]
fn the_hash_commits_to_every_part() {
    let changes: [fn(&mut Draft); 22] = [
        |draft| draft.network = "devnet2".to_owned(),
        |draft| draft.prefix = "qdev2".to_owned(),
        |draft| draft.time = Timestamp::new(1_795_179_300_124),
        |draft| draft.parameters.max_validity_ms += 1,
        |draft| draft.parameters.clock_bound_ms += 1,
        |draft| draft.parameters.marker_retention_ms += 1,
        |draft| draft.parameters.epoch_length -= 1,
        |draft| draft.parameters.payload_bytes_max -= 1,
        |draft| draft.governance = Some("treasury".to_owned()),
        |draft| draft.organisations[0].name = "ACME".to_owned(),
        |draft| draft.organisations[0].admin = "alice".to_owned(),
        |draft| draft.validators[0].name = "n9".to_owned(),
        |draft| draft.validators[0].organisation = "beta".to_owned(),
        |draft| draft.validators[0].key = key(99),
        |draft| draft.accounts[2].organisation = "beta".to_owned(),
        |draft| draft.accounts[3].threshold = 2,
        |draft| draft.accounts[3].salt = [8; 16],
        |draft| draft.assets[0].name = "Dollar".to_owned(),
        |draft| draft.assets[0].cap = "1000000.01".to_owned(),
        |draft| draft.assets[0].capabilities = Capabilities::MINTABLE,
        |draft| draft.balances[0].amount = "1000.01".to_owned(),
        |draft| draft.grants[1].limit = None,
    ];
    let original = draft().build().unwrap().hash();
    let mut seen = vec![original];
    for (position, change) in changes.iter().enumerate() {
        let mut changed = draft();
        change(&mut changed);
        let hash = changed.build().unwrap_or_else(|error| panic!("change {position}: {error}")).hash();
        assert!(!seen.contains(&hash), "change {position} is not in the hash");
        seen.push(hash);
    }
}

#[test]
fn a_light_client_starts_from_the_hash_and_the_validators() {
    let genesis = draft().build().unwrap();
    let trusted = genesis.trusted();
    assert_eq!(trusted.identity().chain, genesis.hash());
    assert_eq!(trusted.identity().anchor, genesis.hash());
    assert_eq!(trusted.validators(), &genesis.validators);
    assert_eq!(trusted.identity().parameters, genesis.parameters.hash());
}

#[test]
fn layout_and_comments_do_not_matter() {
    let text = draft().to_toml();
    let airy = text.replace(" = ", "   =   ").replace("[[accounts]]", "\n# An account.\n[[ accounts ]]");
    assert_eq!(Genesis::parse(&airy).unwrap().hash(), Genesis::parse(&text).unwrap().hash());
    assert_eq!(
        Genesis::parse(&text.replace('\n', "\r\n")).unwrap().hash(),
        Genesis::parse(&text).unwrap().hash()
    );
}

#[test]
fn the_hash_is_the_one_that_was_worked_out_elsewhere() {
    let genesis = Genesis::parse(include_str!("vectors/genesis.toml")).unwrap();
    let written = include_str!("../../docs/vectors/vectors.txt");
    let hash = written.lines().find_map(|line| line.strip_prefix("genesis.hash = ")).unwrap();
    assert_eq!(genesis.hash().to_string(), hash);
}
