//! The bytes and hashes written down in docs/vectors, which `docs/vectors/check.py` works out from
//! docs/formats.md alone.
use quorate_primitives::address::{AccountId, Address, Prefix};
use quorate_primitives::block::{Payload, history_leaf};
use quorate_primitives::codec;
use quorate_primitives::hash::{Domain, Hash};
use quorate_primitives::merkle::{ListProof, inner_hash, list_root, tree_root};
use quorate_primitives::receipt::Failure;
use quorate_primitives::state::{Authority, Permission, StateGroup, StateKey, value_hash};
use quorate_primitives::transaction::Transaction;
use std::collections::BTreeMap;

use crate::fixtures::{account, public, secret, usd, validator, validators};
use crate::samples::{self, ALICE, BOB};
use crate::trees::{prove, prove_group};

const WRITTEN: &str = include_str!("../../../docs/vectors/vectors.txt");

#[derive(Default)]
struct Vectors(BTreeMap<String, String>);

impl Vectors {
    fn text(&mut self, name: &str, value: String) {
        assert!(self.0.insert(name.to_owned(), value).is_none(), "{name} twice");
    }

    fn hash(&mut self, name: &str, value: Hash) {
        self.text(name, value.to_string());
    }

    fn bytes(&mut self, name: &str, value: &[u8]) {
        self.text(name, hex::encode(value));
    }

    fn encoded<T: borsh::BorshSerialize>(&mut self, name: &str, value: &T) {
        self.bytes(name, &codec::encode(value));
    }
}

fn identities(found: &mut Vectors) {
    for seed in [1, 2, 3, 4, 5, 6, 17, 18, 19] {
        found.encoded(&format!("key.{seed}"), &public(seed));
    }
    found.encoded("key.1.signature", &secret(1).sign(Domain::SignVote, b"message"));
    let single = Authority::single(public(ALICE));
    let shared = samples::shared_authority(0);
    found.encoded("authority.single", &single);
    found.encoded("authority.shared", &shared);
    found.encoded("account.alice", &account(ALICE));
    found.encoded("account.bob", &account(BOB));
    found.encoded("account.shared", &AccountId::derive(&shared, &[7; 16]));
    let prefix = Prefix::new("qdev").unwrap();
    let address = |tag| Address { account: account(ALICE), tag }.to_text(&prefix);
    found.text("address.alice", address(None));
    found.text("address.alice.customer", address(Some(*b"customer")));
    found.encoded("asset.usd", &usd());
}

fn transactions(found: &mut Vectors) {
    let mut put = |name: &str, transaction: Transaction, signers: &[u8]| {
        found.encoded(name, &transaction);
        found.hash(&format!("{name}.id"), transaction.id());
        let signed = samples::sign(transaction, signers);
        assert_eq!(codec::encode(&signed).len(), signed.size());
        found.encoded(&format!("{name}.signed"), &signed);
    };
    put("transaction.payment", samples::payment(), &[ALICE]);
    put("transaction.everything", samples::everything(), &[ALICE, BOB]);
    found.encoded("possession.n5", &samples::possession(&validator(5), 5));
    found.encoded("possession.n4", &samples::possession(&samples::rotated(), 6));
    let bundle = samples::bundle();
    found.encoded("bundle", &bundle);
    found.hash("bundle.id", bundle.id());
    found.encoded("payload", &samples::payload());
    found.hash("payload.root", samples::payload().root());
    found.hash("payload.empty.root", Payload::default().root());
}

fn state(found: &mut Vectors) {
    found.encoded("parameters", &samples::parameters());
    found.hash("parameters.hash", samples::parameters().hash());
    found.encoded("validators", &validators(4));
    found.hash("validators.hash", validators(4).hash());
    for (name, key, value) in samples::state() {
        found.encoded(&format!("state.{name}.key"), &key);
        found.encoded(&format!("state.{name}.group"), &key.group());
        found.encoded(&format!("state.{name}.path"), &key.path());
        found.bytes(&format!("state.{name}.value"), &value);
        found.hash(&format!("state.{name}.value.hash"), value_hash(&value));
    }
    let leaves = samples::leaves();
    let key = StateKey::Balance(account(ALICE), usd());
    let absent = StateKey::Balance(account(BOB), usd());
    found.hash("tree.leaf", samples::leaf(&key, &codec::encode(&samples::balance())).hash());
    found.hash("tree.inner", inner_hash(3, &Hash::from_bytes([1; 32]), &Hash::from_bytes([2; 32])));
    found.hash("tree.root", tree_root(&leaves));
    found.encoded("proof.present", &prove(&leaves, &key));
    found.encoded("proof.absent", &prove(&leaves, &absent));
    found.encoded("proof.empty", &prove(&[], &key));
    found.encoded("proof.group.present", &prove_group(&leaves, &StateGroup::Grants(account(ALICE))));
    found.encoded("proof.group.evidence", &prove_group(&leaves, &StateGroup::Evidence));
    found.encoded("proof.group.absent", &prove_group(&leaves, &StateGroup::Grants(account(BOB))));
}

fn lists(found: &mut Vectors) {
    let items = samples::list_items();
    for count in 0..=7 {
        found.hash(&format!("list.{count}.root"), list_root(&items[..count]));
    }
    found.encoded("list.7.proof.4", &ListProof::make(&items, 4).unwrap());
    let receipts = [samples::committed(), samples::failed()];
    for (name, receipt) in ["committed", "failed"].iter().zip(&receipts) {
        found.encoded(&format!("receipt.{name}"), receipt);
        found.hash(&format!("receipt.{name}.leaf"), receipt.leaf());
    }
    let leaves = receipts.map(|receipt| receipt.leaf());
    found.hash("receipts.root", list_root(&leaves));
    found.encoded("receipts.proof.1", &ListProof::make(&leaves, 1).unwrap());
}

fn decisions(found: &mut Vectors) {
    let blocks = samples::blocks();
    for (number, (header, outcome)) in (1..).zip(&blocks) {
        found.encoded(&format!("header.{number}"), header);
        found.hash(&format!("header.{number}.id"), header.id());
        found.encoded(&format!("outcome.{number}"), outcome);
        found.hash(&format!("outcome.{number}.digest"), outcome.digest());
    }
    let (first, before) = &blocks[0];
    let history = history_leaf(first.height, first.id(), before.digest());
    found.hash("history.leaf", history);
    found.encoded("history.proof", &ListProof::make(&[history], 0).unwrap());
    let context = samples::identity().context();
    found.encoded("epoch.identity", &samples::identity());
    found.hash("epoch.context", context);
    found.encoded("accusation", &samples::accusation());
    for (name, claim) in samples::claims() {
        found.encoded(&format!("claim.{name}"), &claim);
        let signed = [Domain::SignVote.tag(), &claim.message(&context)].concat();
        found.bytes(&format!("claim.{name}.signed"), &signed);
        found.encoded(&format!("vote.{name}"), &claim.sign(&context, 1, &secret(2)));
    }
    let finality = samples::finality();
    found.encoded("certificate", &finality.certificate);
    found.encoded("finality", &finality);
    let handover = samples::handover();
    found.encoded("handover", &handover);
    let next = handover.verify(&samples::short_epoch()).unwrap();
    found.hash("handover.epoch.context", next.context());
}

#[test]
fn every_format_gives_the_bytes_that_are_written_down() {
    let mut found = Vectors::default();
    for part in [identities, transactions, state, lists, decisions] {
        part(&mut found);
    }
    let lines = WRITTEN.lines().filter(|line| !line.starts_with('#') && !line.starts_with("genesis"));
    let written: BTreeMap<String, String> = lines
        .map(|line| line.split_once(" = ").unwrap())
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .collect();
    for (name, value) in &found.0 {
        assert_eq!(written.get(name), Some(value), "{name}");
    }
    let names = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found.0), names(&written));
}

#[test]
fn every_domain_has_a_tag_of_its_own_that_begins_no_other() {
    let text = [
        (Domain::Account, "account"),
        (Domain::Asset, "asset"),
        (Domain::Transaction, "transaction"),
        (Domain::SignTransaction, "sign-transaction"),
        (Domain::Bundle, "bundle"),
        (Domain::Payload, "payload"),
        (Domain::Block, "block"),
        (Domain::Outcome, "outcome"),
        (Domain::History, "history"),
        (Domain::Epoch, "epoch"),
        (Domain::Validators, "validators"),
        (Domain::Parameters, "parameters"),
        (Domain::Genesis, "genesis"),
        (Domain::SignVote, "vote"),
        (Domain::SignPossession, "possession"),
        (Domain::Leaders, "leaders"),
        (Domain::VoteLog, "vote-log"),
        (Domain::HighWater, "high-water"),
        (Domain::TestKey, "test-key"),
    ];
    let single = [
        Domain::TreeLeaf,
        Domain::TreeInner,
        Domain::ListLeaf,
        Domain::ListInner,
        Domain::ListRoot,
        Domain::StateValue,
        Domain::StateOwner,
        Domain::StateItem,
    ];
    for (number, domain) in (0_u8..).zip(single) {
        assert_eq!(domain.tag(), [number]);
    }
    for (domain, name) in text {
        assert_eq!(domain.tag(), format!("quorate/{name}/1\0").as_bytes());
    }
    let all: Vec<&[u8]> =
        single.iter().map(|domain| domain.tag()).chain(text.iter().map(|(domain, _)| domain.tag())).collect();
    for (position, tag) in all.iter().enumerate() {
        let others = all.iter().enumerate().filter(|(other, _)| *other != position);
        assert!(others.clone().all(|(_, other)| !other.starts_with(tag)), "{tag:?}");
    }
}

#[test]
fn the_page_of_formats_says_what_the_code_does() {
    let page = include_str!("../../../docs/formats.md");
    let rows =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix("` |")?.split_once("` | `"));
    let vectors: Vec<(&str, &str)> =
        rows.filter(|(_, value)| value.bytes().all(|b| b.is_ascii_alphanumeric())).collect();
    assert!(vectors.len() > 50, "{}", vectors.len());
    for (name, value) in vectors {
        assert!(WRITTEN.contains(&format!("\n{name} = {value}\n")), "{name}");
    }
    for failure in Failure::ALL {
        let row = format!("| {} | `{}` | {} |", failure.code(), failure.name(), failure.description());
        assert!(page.contains(&row), "{row}");
        assert_eq!(codec::encode(failure), [u8::try_from(failure.code() - 1_001).unwrap()]);
    }
    for (number, permission) in (0_u8..).zip(Permission::ALL) {
        assert!(page.contains(&format!("{number} `{}`", permission.name())), "{permission:?}");
        assert_eq!(codec::encode(permission), [number]);
    }
}
