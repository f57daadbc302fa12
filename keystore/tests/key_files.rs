//! Key files, networks and homes as others find them on disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
use quorate_keystore::files::FileError;
use quorate_keystore::key_file::{KeyFault, KeyFileError, account_of, parse_seed};
use quorate_keystore::{
    Cost, Home, HomeError, KeyFile, KeyName, NetworkFile, NetworkName, Passphrase, Protection,
};
use quorate_primitives::{Hash, SecretKey};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PASSPHRASE: &str = "correct horse battery staple";

/// Opened by an independent implementation of argon2id, HChaCha20 and ChaCha20-Poly1305 too.
const GOLDEN: &str = r#"{
  "schema": 1,
  "name": "alice",
  "public_key": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
  "account": "24fb82e3a3d1a91afb6e3659f6e17cf9489a13e64fc7b55544506effc6b47113",
  "cipher": {
    "kdf": "argon2id",
    "memory_kib": 65536,
    "iterations": 3,
    "lanes": 1,
    "salt": "c7ff528db90c94ae7f0610df38a9acdc",
    "aead": "xchacha20-poly1305",
    "nonce": "2587778f18857c899ab9159811eda94bb0a0d8d5ea9cc3b7",
    "ciphertext": "0464e0c5500e0ed2b5ada45b451f98cb7d99edb2a2fd4e5fde39f19ff1054cf8f3cff899ba13a3b52c94558355e1fafb"
  }
}
"#;

const GOLDEN_TEST_KEY: &str = r#"{
  "schema": 1,
  "name": "alice",
  "public_key": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
  "account": "24fb82e3a3d1a91afb6e3659f6e17cf9489a13e64fc7b55544506effc6b47113",
  "cipher": {
    "kdf": "none",
    "seed": "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
  }
}
"#;

fn secret() -> SecretKey {
    parse_seed(SEED).unwrap()
}

fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned().into()).unwrap()
}

fn fault(text: &str) -> KeyFault {
    match KeyFile::parse(text) {
        Ok(key) => key.open(Some(&passphrase(PASSPHRASE))).err().expect("the change goes unnoticed"),
        Err(fault) => fault,
    }
}

#[test]
fn opens_the_file_that_is_written_down() {
    let key = KeyFile::parse(GOLDEN).unwrap();
    let opened = key.open(Some(&passphrase(PASSPHRASE))).unwrap();
    assert_eq!(hex::encode(opened.expose_seed().as_ref()), SEED);
    assert_eq!(*key.to_text(), GOLDEN);
    assert_eq!(key.account(), account_of(opened.public_key()));
    assert!(!key.is_test_key());
}

#[test]
fn writes_the_test_key_that_is_written_down() {
    let key = KeyFile::seal(&name("alice"), &secret(), None, Protection::TestKey).unwrap();
    assert_eq!(*key.to_text(), GOLDEN_TEST_KEY);
    assert!(key.is_test_key());
    let opened = KeyFile::parse(GOLDEN_TEST_KEY).unwrap().open(None).unwrap();
    assert_eq!(hex::encode(opened.expose_seed().as_ref()), SEED);
}

#[test]
fn notices_every_changed_field_of_an_encrypted_key() {
    let changes = [
        ("\"schema\": 1", "\"schema\": 2"),
        ("\"alice\"", "\"mallory\""),
        ("d75a9801", "d75a9802"),
        ("24fb82e3", "24fb82e4"),
        ("\"argon2id\"", "\"none\""),
        ("\"argon2id\"", "\"scrypt\""),
        ("65536", "65537"),
        ("\"iterations\": 3", "\"iterations\": 4"),
        ("\"lanes\": 1", "\"lanes\": 2"),
        ("c7ff528d", "c7ff528e"),
        ("xchacha20-poly1305", "chacha20-poly1305"),
        ("2587778f", "2587778e"),
        ("0464e0c5", "0464e0c4"),
        ("55e1fafb", "55e1fafa"),
    ];
    for (before, after) in changes {
        let changed = GOLDEN.replace(before, after);
        assert_ne!(changed, GOLDEN, "{before}");
        let _ = fault(&changed);
    }
}

#[test]
fn names_field_found_and_allowed() {
    let cases = [
        ("\"schema\": 1", "\"schema\": 7", "schema: expected 1, found \"7\""),
        ("\"alice\"", "\"../alice\"", "name: expected a key name of 1 to 32 lower-case"),
        ("65536", "19455", "memory_kib: expected 19456 to 1048576, found \"19455\""),
        ("65536", "1048577", "memory_kib: expected 19456 to 1048576, found \"1048577\""),
        ("\"iterations\": 3", "\"iterations\": 1", "iterations: expected 2 to 10, found \"1\""),
        ("\"iterations\": 3", "\"iterations\": 11", "iterations: expected 2 to 10, found \"11\""),
        ("\"lanes\": 1", "\"lanes\": 0", "lanes: expected 1 to 4, found \"0\""),
        ("c7ff528db90c94ae7f0610df38a9acdc", "c7ff", "salt: expected 32 hexadecimal digits, found \"c7ff\""),
        ("xchacha20-poly1305", "rot13", "aead: expected xchacha20-poly1305, found \"rot13\""),
        ("\"lanes\": 1", "\"lanes\": 1, \"hint\": \"x\"", "unknown field `hint`"),
        ("\"schema\": 1,", "", "missing field `schema`"),
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            &"0".repeat(64),
            "public_key: expected a key that can sign",
        ),
    ];
    for (before, after, expected) in cases {
        let message = fault(&GOLDEN.replace(before, after)).to_string();
        assert!(message.contains(expected), "{message:?} does not say {expected:?}");
        assert!(!message.contains('\n'), "{message:?}");
    }
}

#[test]
fn refuses_a_wrong_passphrase_and_a_missing_one() {
    let key = KeyFile::parse(GOLDEN).unwrap();
    assert_eq!(key.open(Some(&passphrase("correct horse battery stapler"))).err(), Some(KeyFault::NotOpened));
    assert_eq!(key.open(None).err(), Some(KeyFault::PassphraseNeeded));
}

#[test]
fn refuses_a_test_key_whose_secret_is_of_another_key_and_never_shows_a_secret() {
    let other = GOLDEN_TEST_KEY.replace("9d61b19d", "9d61b19e");
    assert!(matches!(fault(&other), KeyFault::OtherKey { .. }));
    let cut = fault(&GOLDEN_TEST_KEY.replace(SEED, &SEED[1..])).to_string();
    assert!(cut.contains("seed: expected 64 hexadecimal digits") && !cut.contains(&SEED[1..20]), "{cut}");
}

#[test]
fn bounds_passphrases() {
    let of = |length: usize| "x".repeat(length).into();
    assert!(Passphrase::new(of(0)).is_err() && Passphrase::new(of(1)).is_ok());
    assert!(Passphrase::new(of(1_025)).is_err() && Passphrase::new(of(1_024)).is_ok());
    assert!(Passphrase::for_new_key(of(7)).is_err() && Passphrase::for_new_key(of(8)).is_ok());
    assert!(Cost::new(19 * 1024, 2, 1).is_ok() && Cost::new(1024 * 1024, 10, 4).is_ok());
}

fn sealed(home: &Home, text: &str) -> KeyFile {
    let protection = Protection::Passphrase { passphrase: &passphrase(PASSPHRASE), cost: Cost::LEAST };
    let key = KeyFile::seal(&name(text), &secret(), None, protection).unwrap();
    home.add_key(&key).unwrap();
    key
}

fn home() -> (TempDir, Home) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path().join("home"));
    (folder, home)
}

#[test]
fn creates_private_files_and_never_overwrites_one() {
    let (_folder, home) = home();
    let key = sealed(&home, "alice");
    let path = home.key_path(&name("alice"));
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&home.keys_folder()), mode(home.path())), (0o600, 0o700, 0o700));
    let before = fs::read(&path).unwrap();
    assert!(matches!(home.add_key(&key), Err(FileError::Exists { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
    let entries: Vec<_> = fs::read_dir(home.keys_folder()).unwrap().collect();
    assert_eq!(entries.len(), 1, "nothing is left beside the file");
    assert!(home.key(&name("alice")).unwrap().open(Some(&passphrase(PASSPHRASE))).is_ok());
}

#[test]
fn two_seals_of_one_key_have_nothing_secret_in_common() {
    let (_folder, home) = home();
    let (first, second) = (sealed(&home, "a"), sealed(&home, "b"));
    let last = |key: &KeyFile| key.to_text().lines().rev().nth(2).unwrap().to_owned();
    assert_ne!(last(&first), last(&second));
    assert!(!first.to_text().contains(SEED));
}

#[test]
fn refuses_key_files_that_others_can_read_or_that_are_none() {
    let (_folder, home) = home();
    sealed(&home, "alice");
    let path = home.key_path(&name("alice"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let open = |text: &str| home.key(&name(text)).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(open("alice").contains("mode 0644"), "{}", open("alice"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();

    fs::copy(&path, home.key_path(&name("bob"))).unwrap();
    assert!(open("bob").contains("name: expected bob, as the file is named, found alice"), "{}", open("bob"));

    fs::write(&path, "x".repeat(16 * 1024 + 1)).unwrap();
    assert!(matches!(home.key(&name("alice")), Err(KeyFileError::File(FileError::TooLong { .. }))));
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(home.key(&name("alice")), Err(KeyFileError::File(FileError::NotText { .. }))));
    assert!(matches!(home.key(&name("carol")), Err(KeyFileError::File(FileError::Missing { .. }))));
}

#[test]
fn lists_keys_and_passes_over_other_files() {
    let (_folder, home) = home();
    assert_eq!(home.key_names().unwrap(), []);
    sealed(&home, "bob");
    sealed(&home, "alice");
    fs::write(home.keys_folder().join("notes.txt"), "").unwrap();
    fs::write(home.keys_folder().join("Upper.json"), "").unwrap();
    assert_eq!(home.key_names().unwrap(), [name("alice"), name("bob")]);
}

#[test]
fn pins_networks_once_and_remembers_the_current_one() {
    let (_folder, home) = home();
    let (one, two) = (NetworkName::new("one").unwrap(), NetworkName::new("two").unwrap());
    let file = NetworkFile::new(vec!["http://127.0.0.1:8645".to_owned()], Hash::from_bytes([7; 32])).unwrap();
    assert_eq!(home.current_network().unwrap(), None);
    home.add_network(&one, "genesis one", &file).unwrap();
    home.add_network(&two, "genesis two", &file).unwrap();
    assert!(matches!(home.add_network(&one, "another", &file), Err(FileError::Exists { .. })));
    assert_eq!(home.network(&one).unwrap(), (file, "genesis one".to_owned()));
    assert_eq!(home.network_names().unwrap(), [one.clone(), two]);
    home.use_network(&one).unwrap();
    assert_eq!(home.current_network().unwrap(), Some(one));
    fs::write(home.current_path(), "../../etc\n").unwrap();
    assert!(matches!(home.current_network(), Err(HomeError::Current { .. })));
}

#[test]
fn network_file_is_as_written_down_and_refuses_anything_else() {
    let golden = format!("rpc = [\"http://127.0.0.1:8645\"]\ngenesis_hash = \"{}\"\n", "07".repeat(32));
    let file = NetworkFile::parse(&golden).unwrap();
    assert_eq!(file.to_text(), golden);
    assert_eq!((file.rpc().len(), file.genesis_hash()), (1, Hash::from_bytes([7; 32])));
    let cases = [
        (golden.replace("http://127", "ftp://127"), "rpc: expected http://HOST:PORT"),
        (golden.replace("127.0.0.1", "user:secret@host"), "rpc: expected http://HOST:PORT"),
        (golden.replace("127.0.0.1:8645", ""), "rpc: expected http://HOST:PORT"),
        (golden.replace("\"http://127.0.0.1:8645\"", ""), "rpc: expected 1 to 16 urls"),
        (golden.replace("0707", "07"), "genesis_hash: expected 64 hexadecimal digits"),
        (golden.replace("genesis_hash", "genesis"), "line 2: unknown field `genesis`"),
        (golden.replace(']', ""), "line"),
        (String::new(), "missing field `rpc`"),
    ];
    for (text, expected) in cases {
        let message = NetworkFile::parse(&text).unwrap_err().to_string();
        assert!(message.contains(expected), "{message:?} does not say {expected:?}");
        assert!(!message.contains('\n'), "{message:?}");
    }
}

#[test]
fn names_are_file_names_and_nothing_else() {
    for good in ["a", "alice", "n1", "0", "a-b_c", &"x".repeat(32)] {
        assert!(KeyName::new(good).is_ok() && NetworkName::new(good).is_ok(), "{good:?}");
    }
    for bad in ["", ".", "..", "-a", "_a", "a/b", "a.b", "A", "ä", "a b", "a\n", &"x".repeat(33)] {
        assert!(KeyName::new(bad).is_err() && NetworkName::new(bad).is_err(), "{bad:?}");
    }
}
