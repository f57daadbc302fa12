//! Each fault of a document is named in one line, with its line, field, value and what is allowed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use proptest::prelude::*;
use quorate_genesis::{Fault, Genesis, GenesisError};

const GOOD: &str = include_str!("vectors/genesis.toml");

/// The fault of the good document after replacing the first `from` by `to`.
fn fault(from: &str, to: &str) -> GenesisError {
    assert!(GOOD.contains(from), "{from:?} is not in the document");
    let error = Genesis::parse(&GOOD.replacen(from, to, 1)).expect_err(to);
    let message = error.to_string();
    assert!(!message.contains('\n') && message.len() < 1_200, "{message}");
    error
}

/// Line, from 1, of the first occurrence in the good document.
fn line_of(text: &str) -> usize {
    GOOD[..GOOD.find(text).unwrap()].matches('\n').count() + 1
}

/// What is replaced, by what, the field that the message must name, and words it must contain.
#[rustfmt::skip] // One fault to a line.
const FAULTS: &[(&str, &str, &str, &[&str])] = &[
    ("network = \"devnet\"", "netwrok = \"devnet\"", "netwrok", &["did you mean \"network\"?"]),
    ("network = \"devnet\"\n", "", "network", &["missing", "1 to 32 bytes"]),
    ("\"devnet\"", "\"\"", "network", &["found \"\"", "1 to 32 bytes"]),
    ("\"devnet\"", "\"a\\u001bb\"", "network", &["control characters"]),
    ("\"devnet\"", "7", "network", &["found 7"]),
    ("\"qdev\"", "\"Q-DEV\"", "prefix", &["found \"Q-DEV\"", "1 to 16 lower-case letters"]),
    ("2026-11-20T12:00:00Z", "2026-11-20", "time", &["found 2026-11-20", "with offset"]),
    ("2026-11-20T12:00:00Z", "\"2026-11-20T12:00:00Z\"", "time", &["without quotes"]),
    ("2026-11-20T12:00:00Z", "1969-11-20T12:00:00Z", "time", &["since 1970"]),
    ("[[organisations]]", "[parameters]\nclock_bound_ms = 49\n\n[[organisations]]", "parameters.clock_bound_ms", &["found 49", "from 50 to 10000"]),
    ("[[organisations]]", "[parameters]\nmax_validity_ms = 9999\n\n[[organisations]]", "parameters.max_validity_ms", &["from 10000 to 86400000"]),
    ("[[organisations]]", "[parameters]\nmarker_retention_ms = -1\n\n[[organisations]]", "parameters.marker_retention_ms", &["found -1", "from 0 to 86400000"]),
    ("[[organisations]]", "[parameters]\nepoch_length = 9\n\n[[organisations]]", "parameters.epoch_length", &["found 9", "from 10"]),
    ("[[organisations]]", "[parameters]\npayload_bytes_max = 4194305\n\n[[organisations]]", "parameters.payload_bytes_max", &["from 262144 to 4194304"]),
    ("[[organisations]]", "[parameters]\npayload_bytes = 1\n\n[[organisations]]", "parameters.payload_bytes", &["did you mean \"payload_bytes_max\"?"]),
    ("[[organisations]]", "[[parameters]]\n\n[[organisations]]", "parameters", &["found a list"]),
    ("[[organisations]]", "[organisations]", "organisations", &["found a table", "[[organisations]]"]),
    ("account = \"treasury\"", "account = \"tresury\"", "governance.account", &["found \"tresury\"", "did you mean \"treasury\"?"]),
    ("account = \"treasury\"", "account = \"acme-admin\"", "governance.account", &["found \"acme-admin\"", "the administrator of no organisation"]),
    ("account = \"treasury\"", "acount = \"treasury\"", "governance.acount", &["did you mean \"account\"?"]),
    ("account = \"treasury\"\n", "", "governance.account", &["missing", "the name of an account"]),
    ("[governance]\naccount = \"treasury\"\n", "governance = \"treasury\"\n", "governance", &["found \"treasury\"", "[governance]"]),
    ("id = \"acme\"", "id = \"Acme\"", "organisations[0].id", &["found \"Acme\"", "1 to 32 lower-case letters"]),
    ("admin = \"acme-admin\"", "admin = \"acme-adnim\"", "organisations[0].admin", &["found \"acme-adnim\"", "did you mean \"acme-admin\"?"]),
    ("[[validators]]", "[[organisations]]\nid = \"acme\"\nname = \"A\"\nadmin = \"treasury\"\n\n[[validators]]", "organisations[1].id", &["found acme again"]),
    ("[[validators]]", "[[organisations]]\nid = \"beta\"\nname = \"B\"\nadmin = \"treasury\"\n\n[[validators]]", "organisations[1].admin", &["an account of the organisation beta"]),
    ("organisation = \"acme\"\nkey", "organisation = \"acne\"\nkey", "validators[0].organisation", &["found \"acne\"", "did you mean \"acme\"?"]),
    ("name = \"n2\"", "name = \"n1\"", "validators[1].name", &["found \"n1\" again", "once"]),
    ("8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394", "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c", "validators[1].key", &["again", "once"]),
    ("8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394", "8139770e", "validators[1].key", &["found \"8139770e\"", "64 hexadecimal digits"]),
    ("8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394", "0100000000000000000000000000000000000000000000000000000000000000", "validators[1].key", &["not of small order"]),
    ("8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "validators[1].key", &["canonical"]),
    ("name = \"treasury\"", "name = \"Treasury\"", "accounts[0].name", &["found \"Treasury\"", "lower-case letters"]),
    ("name = \"treasury\"", "name = \"acme-admin\"", "accounts[1].name", &["found \"acme-admin\" again"]),
    ("threshold = 3", "threshold = 5", "accounts[0].threshold", &["found 5", "from 1 to 4"]),
    ("threshold = 3", "threshold = 0", "accounts[0].threshold", &["found 0", "from 1 to 4"]),
    ("threshold = 3\n", "", "accounts[0].threshold", &["missing", "from 1 to 4"]),
    ("threshold = 3", "treshold = 3", "accounts[0].treshold", &["did you mean \"threshold\"?"]),
    ("weight = 2", "weight = 0", "accounts[0].keys[0].weight", &["found 0", "from 1 to 65535"]),
    ("weight = 2", "weight = 65536", "accounts[0].keys[0].weight", &["found 65536", "from 1 to 65535"]),
    ("66cd608b928b88e50e0efeaa33faf1c43cefe07294b0b87e9fe0aba6a3cf7633", "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737", "accounts[0].keys[1]", &["again", "once"]),
    ("salt = \"0707", "salt = \"07", "accounts[0].salt", &["32 hexadecimal digits"]),
    ("threshold = 3", "key = \"d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737\"", "accounts[0].key", &["not both"]),
    ("symbol = \"USD\"", "symbol = \"usd\"", "assets[0].symbol", &["found \"usd\"", "1 to 12 upper-case letters"]),
    ("decimals = 2", "decimals = 19", "assets[0].decimals", &["found 19", "from 0 to 18"]),
    ("cap = \"1000000.00\"", "cap = \"1000000.001\"", "assets[0].cap", &["found \"1000000.001\"", "at most 2 digits"]),
    ("cap = \"1000000.00\"", "cap = \"0\"", "assets[0].cap", &["above 0"]),
    ("cap = \"1000000.00\"", "cap = 1000000.00", "assets[0].cap", &["in quotes"]),
    ("[\"mintable\"]", "[\"mintible\"]", "assets[0].capabilities[0]", &["found \"mintible\"", "mintable, freezable"]),
    ("issuer = \"acme-admin\"", "issuer = \"nobody\"", "assets[0].issuer", &["found \"nobody\"", "names of accounts"]),
    ("asset = \"USD\"", "asset = \"EUR\"", "balances[0].asset", &["found \"EUR\"", "did you mean \"USD\"?"]),
    ("amount = \"0.01\"", "amount = \"999000.01\"", "balances[1].amount", &["at most 999000.00", "cap 1000000.00"]),
    ("account = \"treasury\"\nasset", "account = \"acme-admin\"\nasset", "balances[1].account", &["again", "once"]),
    ("\"read.all\"", "\"read.al\"", "grants[0].permission", &["found \"read.al\"", "nearest is \"read.all\""]),
    ("scope = \"chain\"", "scope = \"asset:EUR\"", "grants[0].scope", &["found \"asset:EUR\"", "asset:SYMBOL"]),
    ("limit = \"5\"", "limit = \"5.5\"", "grants[0].limit", &["found \"5.5\"", "at most 0 digits"]),
    ("2030-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "grants[0].expires", &["after that of the document"]),
    ("scope = \"chain\"", "scope = \"chain\"\ndelegation = \"maybe\"", "grants[0].delegation", &["found \"maybe\""]),
    ("network = \"devnet\"", "network = \"devnet", "document", &["not valid TOML"]),
    ("network = \"devnet\"", "network = \"devnet\"\nnetwork = \"x\"", "document", &["not valid TOML"]),
];

#[test]
fn each_fault_names_its_field_value_and_what_is_allowed() {
    for (from, to, field, words) in FAULTS {
        let error = fault(from, to);
        let message = error.to_string();
        assert_eq!(error.field, *field, "{message}");
        for word in *words {
            assert!(message.contains(word), "{word:?} is not in {message:?}");
        }
        assert!(message.starts_with(&format!("line {}: {field}: ", error.line)), "{message}");
    }
}

#[test]
fn each_fault_names_its_line() {
    for (from, to) in [
        ("prefix = \"qdev\"", "prefix = \"\""),
        ("threshold = 3", "threshold = 5"),
        ("decimals = 2", "decimals = -2"),
        ("amount = \"0.01\"", "amount = \"x\""),
        ("scope = \"chain\"", "scpoe = \"chain\""),
        ("limit = \"5\"", "limit = \"5"),
    ] {
        assert_eq!(fault(from, to).line, line_of(from), "{to}");
    }
    let repeated = fault("name = \"n2\"", "name = \"n1\"");
    assert!(matches!(repeated.fault, Fault::Duplicate { first, .. } if first == line_of("name = \"n1\"")));
}

#[test]
fn a_document_without_validators_is_refused() {
    let start = GOOD.find("[[validators]]").unwrap();
    let end = GOOD.find("[[accounts]]").unwrap();
    let error = Genesis::parse(&[&GOOD[..start], &GOOD[end..]].concat()).unwrap_err();
    assert_eq!(
        (error.field.as_str(), error.to_string().contains("1 to 128 validators")),
        ("validators", true)
    );
}

#[test]
fn more_than_128_validators_are_refused() {
    let more: String = (5..=129_u8)
        .map(|seed| {
            let secret = quorate_primitives::keys::SecretKey::from_seed(&[seed; 32].into());
            format!(
                "[[validators]]\nname = \"n{seed}\"\norganisation = \"acme\"\nkey = \"{}\"\n\n",
                secret.public_key()
            )
        })
        .collect();
    let error =
        Genesis::parse(&GOOD.replacen("[[accounts]]", &format!("{more}[[accounts]]"), 1)).unwrap_err();
    assert!(error.to_string().contains("found 129, but 1 to 128 validators"), "{error}");
}

#[test]
fn accounts_with_the_same_keys_need_different_salts() {
    let twin = "[[accounts]]\nname = \"twin\"\norganisation = \"acme\"\nkey = \"d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737\"\n";
    let text = |more: &str| GOOD.replacen("[[assets]]", &format!("{twin}{more}\n[[assets]]"), 1);
    let error = Genesis::parse(&text("")).unwrap_err();
    assert!(error.to_string().contains("different salts"), "{error}");
    assert!(Genesis::parse(&text("salt = \"00000000000000000000000000000001\"\n")).is_ok());
}

#[test]
fn a_strange_key_cannot_change_what_a_terminal_shows() {
    let key = format!("\"\\u001b[2J{}\" = 1\n", "x".repeat(5_000));
    let error = Genesis::parse(&format!("{key}{GOOD}")).unwrap_err();
    assert!(error.to_string().chars().all(|letter| !letter.is_control()), "{error}");
    assert!(error.to_string().len() < 600);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_damaged_document_never_makes_the_reader_panic(position in 0..GOOD.len(), length in 0_usize..40, text in "[a-z\\[\\]=\"0-9\\.\n #{}é]{0,12}") {
        let start = (0..=position).rev().find(|at| GOOD.is_char_boundary(*at)).unwrap_or(0);
        let end = (start + length).min(GOOD.len());
        let end = (end..=GOOD.len()).find(|at| GOOD.is_char_boundary(*at)).unwrap_or(GOOD.len());
        let damaged = format!("{}{text}{}", &GOOD[..start], &GOOD[end..]);
        if let Err(error) = Genesis::parse(&damaged) {
            prop_assert!(error.line >= 1 && error.line <= damaged.matches('\n').count() + 1);
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,300}") {
        prop_assert!(Genesis::parse(&text).is_err());
    }
}
