//! What values look like in JSON, written down, and that they are read back as they were.
use quorate_primitives::address::AccountId;
use quorate_primitives::bundle::{ACCUSATION_BYTES_MAX, Bundle};
use quorate_primitives::certificate::Claim;
use quorate_primitives::codec::{self, Blob, List, Text};
use quorate_primitives::evidence::{Accusation, Evidence};
use quorate_primitives::receipt::{self, BalanceAfter, Failure, Receipt, Verdict};
use quorate_primitives::state::{AssetId, Balance, Delegation, OrganisationId, Permission, Scope, Symbol};
use quorate_primitives::transaction::{
    Action, Assert, Operation, Output, Quantity, SignedTransaction, TRANSACTION_BYTES_MAX,
};
use quorate_primitives::{Amount, EpochNumber, Hash, Height, SecretKey, Signature, Timestamp, View};
use quorate_rpc::json::chain::body_page;
use quorate_rpc::json::values::rfc3339;
use quorate_rpc::json::{self, Cursor, Decimal, HexBytes, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::sync::Arc;

use crate::fake::Fake;

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> Value {
    let written = serde_json::to_value(value).unwrap();
    assert_eq!(&serde_json::from_value::<T>(written.clone()).unwrap(), value);
    written
}

#[test]
fn times_are_written_as_the_calendar_says() {
    // Checked against GNU date.
    let known = [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (951_868_800_000, "2000-03-01T00:00:00.000Z"),
        (1_763_642_096_042, "2025-11-20T12:34:56.042Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ];
    for (ms, text) in known {
        assert_eq!(rfc3339(Timestamp::new(ms)), text);
        let written = round_trip(&Time(Timestamp::new(ms)));
        assert_eq!(written, json!({ "utc": text, "ms": ms.to_string() }));
    }
    assert!(rfc3339(Timestamp::MAX).ends_with('Z'));
}

#[test]
fn a_time_that_contradicts_itself_is_refused() {
    let torn = json!({ "utc": "1970-01-01T00:00:00.000Z", "ms": "1" });
    assert!(serde_json::from_value::<Time>(torn).is_err());
}

#[test]
fn numbers_lose_no_digit_and_only_digits_are_numbers() {
    assert_eq!(round_trip(&Decimal(Amount::MAX)), json!("340282366920938463463374607431768211455"));
    assert_eq!(round_trip(&Decimal(u64::MAX)), json!("18446744073709551615"));
    assert_eq!(serde_json::from_str::<Decimal<u64>>("18446744073709551615").unwrap(), Decimal(u64::MAX));
    for wrong in [
        "\"\"", "\"+1\"", "\"-1\"", "\"1.0\"", "\"0x1\"", "\" 1\"", "1.0", "-1", "1e3", "null", "true", "[1]",
    ] {
        assert!(serde_json::from_str::<Decimal<u64>>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn cursors_and_bytes_are_read_strictly() {
    let cursor = Cursor { height: Height::new(1_042), index: 7 };
    assert_eq!(round_trip(&json::Shown(cursor)), json!("1042:7"));
    for wrong in ["", ":", "1:", ":1", "1:-1", "1:2:3", "+1:0", "1:4294967296"] {
        assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
    }
    assert_eq!(round_trip(&HexBytes(vec![0, 255])), json!("00ff"));
    assert_eq!(serde_json::from_str::<HexBytes>("\"0x00FF\"").unwrap(), HexBytes(vec![0, 255]));
    for wrong in ["\"0\"", "\"0g\"", "\"0x0\"", "1"] {
        assert!(serde_json::from_str::<HexBytes>(wrong).is_err(), "{wrong}");
    }
}

/// One operation of each kind.
fn operations(fake: &Fake) -> Vec<Operation> {
    let (asset, to, amount) = (AssetId::from_bytes([1; 32]), AccountId::from_bytes([2; 32]), Amount::new(3));
    let (organisation, label) = (OrganisationId::new("bank").unwrap(), Text::new("x").unwrap());
    let authority = fake.value.authority.clone();
    let (permission, scope) = (Permission::AssetMint, Scope::Asset(asset));
    let output = Output { to, amount, tag: Some([4; 8]) };
    let validator = fake.trusted.validators().members()[0].clone();
    vec![
        Operation::AccountCreate {
            organisation: organisation.clone(),
            authority: authority.clone(),
            salt: [5; 16],
            label,
        },
        Operation::AuthoritySet { authority },
        Operation::AssetCreate {
            symbol: Symbol::new("EUR").unwrap(),
            name: Text::new("Euro").unwrap(),
            decimals: 2,
            cap: Amount::MAX,
            capabilities: crate::fake::asset().capabilities,
        },
        Operation::AssetUpdate {
            asset,
            name: Text::new("Euro").unwrap(),
            url: Text::new("https://euro.example").unwrap(),
            document: Some(Hash::ZERO),
        },
        Operation::Mint { asset, to, amount },
        Operation::Burn { asset, from: to, amount },
        Operation::Transfer { asset, to, quantity: Quantity::All, tag: None },
        Operation::TransferMany { asset, outputs: List::new(vec![output]).unwrap() },
        Operation::Grant {
            grantee: to,
            permission,
            scope: Scope::Organisation(organisation),
            limit: Some(amount),
            expires: Some(Timestamp::new(1)),
            delegation: Delegation::Allowed,
        },
        Operation::Revoke { grantee: to, permission, scope },
        Operation::ValidatorAdd { validator: validator.clone(), possession: Signature::from_bytes([6; 64]) },
        Operation::ValidatorRemove { name: validator.name.clone() },
        Operation::ValidatorRotateKey {
            name: validator.name,
            key: validator.key,
            possession: Signature::from_bytes([7; 64]),
        },
    ]
}

#[test]
fn every_operation_has_a_readable_form_beside_its_bytes() {
    let fake = Fake::new();
    let operations = operations(&fake);
    let mut unsigned = fake.transaction.transaction().clone();
    let action = |operation| Action { actor: None, operation };
    unsigned.actions = List::new(operations.into_iter().map(action).collect()).unwrap();
    let (account, asset, amount) = (fake.account, AssetId::from_bytes([1; 32]), Amount::new(9));
    let asserts = vec![
        Assert::BalanceAtLeast { account, asset, amount },
        Assert::BalanceAtMost { account, asset, amount },
        Assert::HeightAtMost { height: Height::new(7) },
        Assert::AuthorityVersion { account, version: 1 },
    ];
    unsigned.asserts = List::new(asserts).unwrap();
    unsigned.memo = Blob::new(b"hi".to_vec()).unwrap();
    let signature = Signature::from_bytes([0; 64]);
    let signed = SignedTransaction::new(unsigned, vec![signature]).unwrap();
    let written = round_trip(&json::Transaction::from(&signed));
    let types: Vec<&str> = written["actions"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|action| action["operation"]["type"].as_str())
        .collect();
    assert_eq!(
        types,
        [
            "account_create",
            "authority_set",
            "asset_create",
            "asset_update",
            "mint",
            "burn",
            "transfer",
            "transfer_many",
            "grant",
            "revoke",
            "validator_add",
            "validator_remove",
            "validator_rotate_key",
        ]
    );
    assert_eq!(written["actions"][10]["operation"]["possession"], "06".repeat(64));
    assert_eq!(written["actions"][11]["operation"], json!({ "type": "validator_remove", "name": "n1" }));
    assert_eq!(written["actions"][6]["operation"]["amount"], Value::Null);
    assert_eq!(
        written["actions"][8]["operation"]["scope"],
        json!({ "type": "organisation", "organisation": "bank" })
    );
    assert_eq!(written["memo"], "6869");
    let bytes = hex::decode(written["bytes"].as_str().unwrap()).unwrap();
    assert_eq!(codec::decode::<SignedTransaction>(&bytes, TRANSACTION_BYTES_MAX).unwrap(), signed);
}

#[test]
fn every_event_and_verdict_has_a_readable_form() {
    use receipt::Event as E;
    let (account, asset, amount) =
        (AccountId::from_bytes([2; 32]), AssetId::from_bytes([1; 32]), Amount::new(3));
    let organisation = OrganisationId::new("bank").unwrap();
    let (permission, scope) = (Permission::GrantManage, Scope::Chain);
    let (bank, from) = (organisation.clone(), EpochNumber::new(7));
    let key = SecretKey::from_seed(&[5; 32].into()).public_key();
    let events = vec![
        E::AccountCreated { account, organisation },
        E::AuthoritySet { account, version: 1 },
        E::AssetCreated { asset, issuer: account },
        E::AssetUpdated { asset },
        E::Minted { asset, to: account, amount },
        E::Burned { asset, from: account, amount },
        E::Transferred { asset, from: account, to: account, amount, tag: Some([0xab; 8]) },
        E::Granted { grantee: account, permission, scope: scope.clone(), granter: account },
        E::Revoked { grantee: account, permission, scope: Scope::Account(account) },
        E::ValidatorAdded { name: Text::new("n5").unwrap(), organisation: bank, key, from },
        E::ValidatorRemoved { name: Text::new("n5").unwrap(), key, from },
        E::ValidatorKeyRotated { name: Text::new("n5").unwrap(), key, from },
    ];
    let balance = Balance { posted: Amount::new(10), held: Amount::new(3), frozen: Amount::new(2) };
    let receipt = Receipt {
        transaction: Hash::ZERO,
        verdict: Verdict::Committed,
        events: List::new(events).unwrap(),
        balances: List::new(vec![BalanceAfter { account, asset, balance }]).unwrap(),
    };
    let written = round_trip(&json::Receipt::from(&receipt));
    assert_eq!(written["failure"], Value::Null);
    assert_eq!(written["events"][6]["tag"], "abababababababab");
    assert_eq!(written["events"][7]["permission"], "grant.manage");
    let removed =
        json!({ "type": "validator_removed", "name": "n5", "key": key.to_string(), "from_epoch": "7" });
    assert_eq!(written["events"][10], removed);
    let balance = json!({ "posted": "10", "held": "3", "frozen": "2", "available": "5" });
    assert_eq!(written["balances"][0]["balance"], balance);
    let verdict = Verdict::Failed { failure: Failure::InsufficientFunds, action: Some(2) };
    let failed = Receipt { verdict, events: List::default(), balances: List::default(), ..receipt };
    let written = round_trip(&json::Receipt::from(&failed));
    assert_eq!(written["failure"]["code"], 1019);
    assert_eq!(written["failure"]["action"], 2);
}

#[test]
fn pages_of_bodies_fit_an_answer_and_together_hold_every_bundle() {
    let fake = Fake::new();
    let output = Output { to: fake.account, amount: Amount::MAX, tag: Some([1; 8]) };
    let outputs = List::new(vec![output; 1_000]).unwrap();
    let operation = Operation::TransferMany { asset: AssetId::from_bytes([1; 32]), outputs };
    let mut unsigned = fake.transaction.transaction().clone();
    unsigned.actions = List::new(vec![Action { actor: None, operation }]).unwrap();
    let signature = Signature::from_bytes([0; 64]);
    let large = Arc::new(SignedTransaction::new(unsigned, vec![signature]).unwrap());
    let bundle =
        |sequence| Bundle::from_shared(0, sequence, vec![Arc::clone(&large); 4], Vec::new()).unwrap();
    let bundles: Vec<Bundle> = (0..7).map(bundle).collect();
    let (mut from, mut seen) = (Some(0), Vec::new());
    while let Some(start) = from {
        let (page, next) = body_page(&bundles, start);
        assert!(serde_json::to_vec(&page).unwrap().len() < 4_000_000);
        seen.extend(page.into_iter().map(|body| body.sequence.0));
        from = next;
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(body_page(&bundles, 7), (Vec::new(), None));
}

/// An accusation of validator 2 for two votes in view 8.
fn accusation(fake: &Fake, first: Claim, second: Claim) -> Accusation {
    let identity = *fake.trusted.identity();
    let vote = |claim: Claim| claim.sign(&identity.context(), 2, &SecretKey::from_seed(&[5; 32].into()));
    let evidence = Evidence { first: vote(first), second: vote(second) };
    Accusation { identity, validator: *fake.trusted.validators().key(2).unwrap(), evidence }
}

#[test]
fn every_offence_has_a_readable_form_beside_its_bytes() {
    let fake = Fake::new();
    let (view, block, other) = (View::new(8), Hash::from_bytes([1; 32]), Hash::from_bytes([2; 32]));
    let notarize = |block| Claim::Notarize { view, block };
    let finalize = |outcome| Claim::Finalize { view, block, outcome };
    for (first, second, offence) in [
        (notarize(block), notarize(other), "double_notarize"),
        (finalize(block), finalize(other), "double_finalize"),
        (Claim::Nullify { view }, finalize(other), "nullify_and_finalize"),
    ] {
        let accusation = accusation(&fake, first, second);
        let written = round_trip(&json::Accusation::of(&accusation).unwrap());
        assert_eq!(
            (&written["offence"], &written["view"], &written["index"]),
            (&json!(offence), &json!("8"), &json!(2))
        );
        assert_eq!(written["validator"], accusation.validator.to_string());
        let bytes = hex::decode(written["bytes"].as_str().unwrap()).unwrap();
        assert_eq!(codec::decode::<Accusation>(&bytes, ACCUSATION_BYTES_MAX).unwrap(), accusation);
    }
}

#[test]
fn the_claims_of_an_accusation_are_told_apart() {
    let fake = Fake::new();
    let (view, block, outcome) = (View::new(8), Hash::from_bytes([1; 32]), Hash::from_bytes([2; 32]));
    let accusation = accusation(&fake, Claim::Nullify { view }, Claim::Finalize { view, block, outcome });
    let written = round_trip(&json::Accusation::of(&accusation).unwrap());
    assert_eq!(written["first"], json!({ "type": "nullify" }));
    let finalize = json!({ "type": "finalize", "block": block.to_string(), "outcome": outcome.to_string() });
    assert_eq!(written["second"], finalize);
}

#[test]
fn votes_that_break_no_rule_have_no_form() {
    let fake = Fake::new();
    let nullify = Claim::Nullify { view: View::new(8) };
    assert_eq!(json::Accusation::of(&accusation(&fake, nullify, nullify)), None);
}

#[test]
fn a_bundle_shows_what_it_accuses_validators_of() {
    let fake = Fake::new();
    let (view, block) = (View::new(8), Hash::from_bytes([1; 32]));
    let accusation =
        accusation(&fake, Claim::Nullify { view }, Claim::Finalize { view, block, outcome: block });
    let bundle = Bundle::from_shared(0, 1, Vec::new(), vec![accusation.clone()]).unwrap();
    let written = round_trip(&json::BundleBody::from(&bundle));
    assert_eq!(written["transactions"], json!([]));
    assert_eq!(written["accusations"], json!([json::Accusation::of(&accusation).unwrap()]));
}

#[test]
fn accusations_fit_a_page_of_bodies_as_transactions_do() {
    let fake = Fake::new();
    let (view, block) = (View::new(u64::MAX), Hash::from_bytes([1; 32]));
    let finalize = |outcome| Claim::Finalize { view, block, outcome };
    let accusation = accusation(&fake, finalize(block), finalize(Hash::ZERO));
    let bundle = Bundle::from_shared(0, 1, Vec::new(), vec![accusation; 4]).unwrap();
    let written = serde_json::to_vec(&json::BundleBody::from(&bundle)).unwrap();
    assert!(written.len() < 6 * bundle.size(), "{} bytes of {}", written.len(), bundle.size());
}
