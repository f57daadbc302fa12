//! A network may start with very many accounts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use quorate_genesis::build::{AssetDraft, Draft};
use quorate_primitives::keys::SecretKey;
use quorate_primitives::numbers::{Amount, Timestamp};
use quorate_primitives::state::Capabilities;

#[test]
fn twenty_thousand_accounts_with_balances_are_read() {
    let key = |seed: u8| SecretKey::from_seed(&[seed; 32].into()).public_key();
    let mut draft = Draft::new("large", "qlarge", Timestamp::new(1_795_176_000_000));
    draft.organisation("acme", "ACME", "admin").validator("n1", "acme", key(1)).account(
        "admin",
        "acme",
        key(2),
    );
    draft.asset(AssetDraft {
        symbol: "USD".to_owned(),
        name: "US Dollar".to_owned(),
        decimals: 2,
        cap: "1000000000.00".to_owned(),
        capabilities: Capabilities::NONE,
        issuer: "admin".to_owned(),
    });
    for number in 0..20_000_u32 {
        let name = format!("account-{number}");
        draft.account(&name, "acme", key(3)).balance(&name, "USD", "0.01");
        let last = draft.accounts.last_mut().unwrap();
        last.salt[..4].copy_from_slice(&number.to_be_bytes());
    }
    let genesis = draft.build().unwrap();
    assert_eq!(genesis.accounts.len(), 20_001);
    assert_eq!(genesis.assets[0].1.supply, Amount::new(20_000));
    // Parameters, validators, organisation, asset, four rights of the admin and one of the issuer.
    assert_eq!(genesis.state().len(), 20_001 + 20_000 + 9);
}
