//! The values behind the golden vectors, as docs/formats.md, section 18, describes them.
use quorate_primitives::address::AccountId;
use quorate_primitives::block::{Header, Outcome, Payload, history_leaf};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::{Certificate, Claim};
use quorate_primitives::codec::{self, Blob, List, Text};
use quorate_primitives::evidence::{Accusation, Evidence, EvidenceKind, RecordedEvidence};
use quorate_primitives::hash::{Domain, Hash, hash};
use quorate_primitives::keys::Signature;
use quorate_primitives::light::{FinalityProof, Handover, TrustedEpoch};
use quorate_primitives::merkle::{Leaf, list_root, tree_root};
use quorate_primitives::numbers::{Amount, EpochNumber, Height, Timestamp, View};
use quorate_primitives::receipt::{BalanceAfter, Event, Failure, Receipt, Verdict};
use quorate_primitives::state::{
    Account, Asset, Authority, Balance, Capabilities, Delegation, Grant, Marker, Organisation, Parameters,
    Permission, Scope, StateKey, Status, WeightedKey, value_hash,
};
use quorate_primitives::transaction::{
    Action, Assert, Operation, Output, Quantity, SignedTransaction, Transaction,
};
use quorate_primitives::validators::{EpochIdentity, Signers, Validator};
use std::sync::Arc;

use crate::fixtures::{account, public, secret, usd, validator, validators};

pub(crate) const ALICE: u8 = 17;
pub(crate) const BOB: u8 = 18;
pub(crate) const CHAIN: Hash = Hash::from_bytes([0xaa; 32]);
const CUSTOMER: [u8; 8] = *b"customer";
const NONCE: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Two of Alice's key's weight and one each of two others; three are needed.
pub(crate) fn shared_authority(version: u32) -> Authority {
    let mut keys: Vec<WeightedKey> =
        [(17, 2), (18, 1), (19, 1)].map(|(seed, weight)| WeightedKey { key: public(seed), weight }).into();
    keys.sort_by_key(|weighted| weighted.key);
    Authority { threshold: 3, keys: List::new(keys).unwrap(), version }
}

pub(crate) fn transaction(actions: Vec<Action>, asserts: Vec<Assert>, signers: &[u8]) -> Transaction {
    let mut keys: Vec<_> = signers.iter().map(|seed| public(*seed)).collect();
    keys.sort();
    Transaction {
        chain: CHAIN,
        version: 1,
        sender: account(ALICE),
        nonce: NONCE,
        valid_until: Timestamp::new(1_800_000_000_000),
        actions: List::new(actions).unwrap(),
        asserts: List::new(asserts).unwrap(),
        reference: Blob::default(),
        memo: Blob::default(),
        signers: List::new(keys).unwrap(),
    }
}

pub(crate) fn sign(transaction: Transaction, signers: &[u8]) -> SignedTransaction {
    transaction.sign(&signers.iter().map(|seed| secret(*seed)).collect::<Vec<_>>()).unwrap()
}

fn at_least() -> Assert {
    Assert::BalanceAtLeast { account: account(ALICE), asset: usd(), amount: Amount::new(500) }
}

pub(crate) fn payment() -> Transaction {
    let quantity = Quantity::Exact(Amount::new(500));
    let operation = Operation::Transfer { asset: usd(), to: account(BOB), quantity, tag: Some(CUSTOMER) };
    Transaction {
        reference: Blob::new(b"invoice-42".to_vec()).unwrap(),
        memo: Blob::new(b"thank you".to_vec()).unwrap(),
        ..transaction(vec![Action { actor: None, operation }], vec![at_least()], &[ALICE])
    }
}

fn operations() -> Vec<Operation> {
    let text = |value: &str| Text::new(value).unwrap();
    let (asset, alice, bob) = (usd(), account(ALICE), account(BOB));
    let outputs = vec![
        Output { to: bob, amount: Amount::new(1), tag: None },
        Output { to: alice, amount: Amount::new(2), tag: Some([0; 8]) },
    ];
    vec![
        Operation::AccountCreate {
            organisation: "acme".parse().unwrap(),
            authority: Authority::single(public(ALICE)),
            salt: [5; 16],
            label: text("Alice"),
        },
        Operation::AuthoritySet { authority: shared_authority(1) },
        Operation::AssetCreate {
            symbol: "USD".parse().unwrap(),
            name: text("US Dollar"),
            decimals: 2,
            cap: Amount::new(1_000_000_000_000),
            capabilities: Capabilities::MINTABLE.with(Capabilities::PAUSABLE),
        },
        Operation::AssetUpdate {
            asset,
            name: text("Dollar"),
            url: Text::new("https://example.org/usd").unwrap(),
            document: Some(Hash::from_bytes([0xdd; 32])),
        },
        Operation::Mint { asset, to: bob, amount: Amount::new(7) },
        Operation::Burn { asset, from: alice, amount: Amount::new(8) },
        Operation::Transfer { asset, to: bob, quantity: Quantity::All, tag: None },
        Operation::TransferMany { asset, outputs: List::new(outputs).unwrap() },
        Operation::Grant {
            grantee: bob,
            permission: Permission::AssetMint,
            scope: Scope::Asset(asset),
            limit: Some(Amount::new(100)),
            expires: Some(Timestamp::new(1_900_000_000_000)),
            delegation: Delegation::Allowed,
        },
        Operation::Revoke { grantee: bob, permission: Permission::ReadOwn, scope: Scope::Account(alice) },
        Operation::ValidatorAdd { validator: validator(5), possession: possession(&validator(5), 5) },
        Operation::ValidatorRemove { name: validator(3).name },
        Operation::ValidatorRotateKey {
            name: rotated().name,
            key: rotated().key,
            possession: possession(&rotated(), 6),
        },
    ]
}

/// The fourth validator with another key.
pub(crate) fn rotated() -> Validator {
    Validator { key: public(6), ..validator(4) }
}

pub(crate) fn possession(validator: &Validator, seed: u8) -> Signature {
    validator.prove_possession(&CHAIN, &secret(seed))
}

/// The second validator notarizes two blocks of one view.
pub(crate) fn accusation() -> Accusation {
    let vote = |byte: u8| {
        let claim = Claim::Notarize { view: View::new(9), block: Hash::from_bytes([byte; 32]) };
        claim.sign(&identity().context(), 1, &secret(2))
    };
    let evidence = Evidence { first: vote(0x11), second: vote(0x22) };
    Accusation { identity: identity(), validator: public(2), evidence }
}

/// Every operation and every assert once.
pub(crate) fn everything() -> Transaction {
    let actor = |index: usize| (index % 2 == 1).then(|| account(BOB));
    let actions = operations().into_iter().enumerate();
    let actions = actions.map(|(index, operation)| Action { actor: actor(index), operation }).collect();
    let asserts = vec![
        at_least(),
        Assert::BalanceAtMost { account: account(ALICE), asset: usd(), amount: Amount::MAX },
        Assert::HeightAtMost { height: Height::new(77) },
        Assert::AuthorityVersion { account: account(ALICE), version: 1 },
    ];
    transaction(actions, asserts, &[ALICE, BOB])
}

pub(crate) fn bundle() -> Bundle {
    Bundle::from_shared(2, 7, vec![Arc::new(sign(payment(), &[ALICE]))], vec![accusation()]).unwrap()
}

pub(crate) fn payload() -> Payload {
    Payload { bundles: List::new(vec![bundle().id()]).unwrap() }
}

pub(crate) fn parameters() -> Parameters {
    Parameters {
        max_validity_ms: 3_600_000,
        clock_bound_ms: 500,
        marker_retention_ms: 60_000,
        epoch_length: 9_223_372_036_854_775_807,
        payload_bytes_max: 4_194_304,
    }
}

/// One value of every kind, by the names of the vectors.
pub(crate) fn state() -> Vec<(&'static str, StateKey, Vec<u8>)> {
    let (alice, bob) = (account(ALICE), account(BOB));
    let no_one = AccountId::from_bytes([0; 32]);
    let grant = |granter, delegation| Grant { limit: None, expires: None, delegation, granter };
    let limited = Grant {
        limit: Some(Amount::new(100)),
        expires: Some(Timestamp::new(1_900_000_000_000)),
        ..grant(bob, Delegation::Allowed)
    };
    let grant_key = |permission, scope| StateKey::Grant(alice, permission, scope);
    let acme = Scope::Organisation("acme".parse().unwrap());
    let marker = codec::encode(&marker());
    vec![
        ("parameters", StateKey::Parameters, codec::encode(&parameters())),
        ("validators", StateKey::Validators(EpochNumber::ZERO), codec::encode(&validators(4))),
        ("organisation", StateKey::Organisation("acme".parse().unwrap()), codec::encode(&organisation())),
        ("account", StateKey::Account(alice), codec::encode(&alice_account())),
        ("asset", StateKey::Asset(usd()), codec::encode(&dollar())),
        ("balance", StateKey::Balance(alice, usd()), codec::encode(&balance())),
        (
            "grant.chain",
            grant_key(Permission::AssetMint, Scope::Chain),
            codec::encode(&grant(no_one, Delegation::Forbidden)),
        ),
        ("grant.organisation", grant_key(Permission::AssetMint, acme), codec::encode(&limited)),
        (
            "grant.asset",
            grant_key(Permission::AssetMint, Scope::Asset(usd())),
            codec::encode(&grant(bob, Delegation::Allowed)),
        ),
        (
            "grant.account",
            grant_key(Permission::ReadOwn, Scope::Account(alice)),
            codec::encode(&grant(bob, Delegation::Forbidden)),
        ),
        ("nonce", StateKey::Nonce(alice, NONCE), marker.clone()),
        ("unauthorised", StateKey::Unauthorised(payment().id()), marker),
        (
            "evidence",
            StateKey::Evidence(EpochNumber::ZERO, public(2), EvidenceKind::DoubleNotarize),
            codec::encode(&RecordedEvidence { accusation: accusation(), height: Height::new(6) }),
        ),
    ]
}

pub(crate) fn marker() -> Marker {
    let valid_until = Timestamp::new(1_800_000_000_000);
    Marker { transaction: payment().id(), height: Height::new(5), valid_until }
}

pub(crate) fn organisation() -> Organisation {
    Organisation { name: Text::new("ACME Bank").unwrap(), admin: account(ALICE) }
}

pub(crate) fn alice_account() -> Account {
    Account {
        organisation: "acme".parse().unwrap(),
        authority: Authority::single(public(ALICE)),
        label: Text::new("Alice").unwrap(),
        status: Status::Active,
    }
}

pub(crate) fn dollar() -> Asset {
    Asset {
        symbol: "USD".parse().unwrap(),
        name: Text::new("US Dollar").unwrap(),
        url: Text::new("https://example.org/usd").unwrap(),
        document: Some(Hash::from_bytes([0xdd; 32])),
        decimals: 2,
        cap: Amount::new(1_000_000_000_000),
        supply: Amount::new(1_000),
        capabilities: Capabilities::MINTABLE.with(Capabilities::PAUSABLE),
        issuer: account(ALICE),
        status: Status::Closed,
    }
}

pub(crate) fn balance() -> Balance {
    Balance { posted: Amount::new(1_000), held: Amount::new(20), frozen: Amount::new(3) }
}

pub(crate) fn leaf(key: &StateKey, value: &[u8]) -> Leaf {
    Leaf { path: key.path(), value: value_hash(value) }
}

/// The leaves of [`state`], ascending.
pub(crate) fn leaves() -> Vec<Leaf> {
    let mut leaves: Vec<Leaf> = state().iter().map(|(_, key, value)| leaf(key, value)).collect();
    leaves.sort_by_key(|leaf| leaf.path);
    leaves
}

pub(crate) fn committed() -> Receipt {
    let (asset, alice, bob) = (usd(), account(ALICE), account(BOB));
    let amount = Amount::new;
    let events = vec![
        Event::AccountCreated { account: alice, organisation: "acme".parse().unwrap() },
        Event::AuthoritySet { account: alice, version: 1 },
        Event::AssetCreated { asset, issuer: alice },
        Event::AssetUpdated { asset },
        Event::Minted { asset, to: bob, amount: amount(7) },
        Event::Burned { asset, from: alice, amount: amount(8) },
        Event::Transferred { asset, from: alice, to: bob, amount: amount(500), tag: Some(CUSTOMER) },
        Event::Granted {
            grantee: bob,
            permission: Permission::AssetMint,
            scope: Scope::Asset(asset),
            granter: alice,
        },
        Event::Revoked { grantee: bob, permission: Permission::ReadOwn, scope: Scope::Account(alice) },
        Event::ValidatorAdded {
            name: validator(5).name,
            organisation: validator(5).organisation,
            key: public(5),
            from: EpochNumber::new(2),
        },
        Event::ValidatorRemoved { name: validator(3).name, key: public(3), from: EpochNumber::new(2) },
        Event::ValidatorKeyRotated { name: rotated().name, key: public(6), from: EpochNumber::new(2) },
    ];
    Receipt {
        transaction: payment().id(),
        verdict: Verdict::Committed,
        events: List::new(events).unwrap(),
        balances: List::of_one(BalanceAfter { account: alice, asset, balance: balance() }),
    }
}

pub(crate) fn failed() -> Receipt {
    Receipt {
        transaction: payment().id(),
        verdict: Verdict::Failed { failure: Failure::InsufficientFunds, action: Some(0) },
        events: List::default(),
        balances: List::default(),
    }
}

pub(crate) fn identity() -> EpochIdentity {
    EpochIdentity {
        chain: CHAIN,
        epoch: EpochNumber::ZERO,
        anchor: CHAIN,
        anchor_outcome: Hash::ZERO,
        validators: validators(4).hash(),
        parameters: parameters().hash(),
        version: 1,
    }
}

fn header(view: u64, height: u64, parent_view: u64) -> Header {
    Header {
        chain: CHAIN,
        version: 1,
        epoch: EpochNumber::ZERO,
        view: View::new(view),
        height: Height::new(height),
        parent_view: View::new(parent_view),
        parent: CHAIN,
        time: Timestamp::new(1_795_000_000_000),
        proposer: 3,
        payload_root: payload().root(),
    }
}

/// A block without receipts, and the block after it with [`committed`] and [`failed`].
pub(crate) fn blocks() -> [(Header, Outcome); 2] {
    let state_root = tree_root(&leaves());
    let next_validators = validators(4).hash();
    let first = header(1, 1, 0);
    let empty = list_root(&[]);
    let before = Outcome { state_root, receipts_root: empty, history_root: empty, next_validators };
    let history_root = list_root(&[history_leaf(first.height, first.id(), before.digest())]);
    let receipts_root = list_root(&[committed().leaf(), failed().leaf()]);
    let after = Outcome { state_root, receipts_root, history_root, next_validators };
    let time = Timestamp::new(1_795_000_000_700);
    let second = Header { parent: first.id(), time, ..header(3, 2, 1) };
    [(first, before), (second, after)]
}

pub(crate) fn claims() -> [(&'static str, Claim); 3] {
    let (header, outcome) = &blocks()[1];
    let (view, block) = (header.view, header.id());
    [
        ("notarize", Claim::Notarize { view, block }),
        ("nullify", Claim::Nullify { view }),
        ("finalize", Claim::Finalize { view, block, outcome: outcome.digest() }),
    ]
}

/// A claim signed by the validators with these indices.
pub(crate) fn certificate(claim: Claim, context: &Hash, indices: &[u8]) -> Certificate {
    let signatures = indices.iter().map(|index| claim.sign(context, *index, &secret(index + 1)).signature);
    let signers = indices.iter().fold(Signers::NONE, |set, index| set.with(*index));
    Certificate { claim, signers, signatures: List::new(signatures.collect()).unwrap() }
}

pub(crate) fn finality() -> FinalityProof {
    let [_, (header, outcome)] = blocks();
    let certificate = certificate(claims()[2].1, &identity().context(), &[0, 1, 3]);
    FinalityProof { header, outcome, certificate }
}

/// Epoch 0 where epochs have two blocks, so that the second one hands over.
pub(crate) fn short_epoch() -> TrustedEpoch {
    let parameters = Parameters { epoch_length: 2, ..parameters() };
    TrustedEpoch::genesis(CHAIN, &parameters, validators(4))
}

pub(crate) fn handover() -> Handover {
    let [_, (header, outcome)] = blocks();
    let certificate = certificate(claims()[2].1, &short_epoch().context(), &[0, 1, 3]);
    Handover { boundary: FinalityProof { header, outcome, certificate }, validators: validators(4) }
}

pub(crate) fn list_items() -> Vec<Hash> {
    (0..7_u8).map(|number| hash(Domain::ListLeaf, &[&[number]])).collect()
}
