//! Every way to lie about who votes that we could think of: about the handovers from one epoch to the
//! next, and about the epoch of an answer. For each, the wallet names the node, ends with exit code 7,
//! shows nothing and remembers nothing.
use quorate_primitives::certificate::Claim;
use quorate_primitives::codec::{List, Text};
use quorate_primitives::light::{FinalityProof, Handover};
use quorate_primitives::validators::{Validator, ValidatorSet};
use quorate_primitives::{EpochNumber, Hash, Height, SecretKey, Signature};
use serde_json::{Value, json};
use std::sync::Arc;

use super::forging::*;
use super::governance::validator;
use super::node::Node;
use super::proxy::Proxy;
use super::wallet::Wallet;
use super::world::{World, certify, keys_of};

/// Changes an answer to `chain_getEpochs` about this world.
type Lie = (&'static str, fn(&World, &mut Value));

fn rows(result: &mut Value) -> &mut Vec<Value> {
    result["handovers"].as_array_mut().unwrap()
}

/// Changes the handover at this position of the page, if it is there.
fn handover(result: &mut Value, position: usize, change: impl FnOnce(&mut Handover)) {
    if let Some(row) = rows(result).get_mut(position) {
        bytes(&mut row["handover"], change);
    }
}

fn put(result: &mut Value, position: usize, handover: &Handover) {
    rows(result)[position]["handover"] = encoded(handover);
}

/// The validators whom a liar would like to have.
fn own_validators() -> ValidatorSet {
    let member = |(index, seed): (usize, u8)| Validator {
        name: Text::new(&format!("n{}", index + 1)).unwrap(),
        ..validator("n", seed)
    };
    ValidatorSet::new((51..=54).enumerate().map(member).collect()).unwrap()
}

/// Certifies a block again, in the context of this epoch.
fn certify_in(context: &Hash, proof: &mut FinalityProof, keys: &[SecretKey], signers: &[u8]) {
    let (view, block, outcome) = (proof.header.view, proof.header.id(), proof.outcome.digest());
    proof.certificate = certify(context, Claim::Finalize { view, block, outcome }, keys, signers);
}

/// Certifies a boundary again, in the context of its own epoch.
fn certify_boundary(world: &World, boundary: &mut FinalityProof, keys: &[SecretKey], signers: &[u8]) {
    let epoch = usize::try_from(boundary.header.epoch.get()).unwrap();
    certify_in(&world.epochs[epoch].context(), boundary, keys, signers);
}

const LIES: &[Lie] = &[
    ("no handovers", |_, result| rows(result).clear()),
    ("no handovers and an older epoch", |_, result| {
        rows(result).clear();
        result["current"] = json!("0");
    }),
    ("the first handover left out", |_, result| {
        rows(result).remove(0);
    }),
    ("a handover left out in the middle", |_, result| {
        rows(result).remove(1);
    }),
    ("handovers in another order", |_, result| rows(result).reverse()),
    ("two handovers that changed places", |_, result| rows(result).swap(1, 2)),
    ("a handover twice", |_, result| {
        let again = rows(result)[1].clone();
        rows(result).insert(1, again);
    }),
    ("more handovers than were asked for", |_, result| {
        let again = rows(result)[3].clone();
        rows(result).push(again);
    }),
    ("another epoch beside a handover", |_, result| rows(result)[1]["epoch"] = json!("7")),
    ("a handover cut off", |_, result| {
        let text = rows(result)[1]["handover"].as_str().unwrap().to_owned();
        rows(result)[1]["handover"] = json!(text[..text.len() - 2]);
    }),
    ("bytes after a handover", |_, result| {
        let text = rows(result)[1]["handover"].as_str().unwrap().to_owned();
        rows(result)[1]["handover"] = json!(text + "00");
    }),
    ("a handover that is no hexadecimal", |_, result| rows(result)[0]["handover"] = json!("zz")),
    ("a handover of zeros", |_, result| rows(result)[0]["handover"] = json!("00".repeat(500))),
    ("no list of handovers", |_, result| result["handovers"] = Value::Null),
    ("no answer", |_, result| *result = Value::Null),
    ("other validators behind the boundary", |_, result| {
        handover(result, 0, |handover| handover.validators = own_validators());
    }),
    ("a validator more behind the boundary", |_, result| {
        handover(result, 0, |handover| {
            let mut members = handover.validators.members().to_vec();
            members.push(validator("mine", 51));
            handover.validators = ValidatorSet::new(members).unwrap();
        });
    }),
    ("a validator less behind the boundary", |_, result| {
        handover(result, 1, |handover| {
            let members = handover.validators.members()[1..].to_vec();
            handover.validators = ValidatorSet::new(members).unwrap();
        });
    }),
    ("the validators in another order", |_, result| {
        handover(result, 0, |handover| {
            let mut members = handover.validators.members().to_vec();
            members.swap(0, 1);
            handover.validators = ValidatorSet::new(members).unwrap();
        });
    }),
    ("the validators of the epoch before", |world, result| {
        let before = world.epochs[1].validators().clone();
        handover(result, 1, |handover| handover.validators = before);
    }),
    ("other validators in the outcome", |_, result| {
        handover(result, 0, |handover| {
            handover.validators = own_validators();
            handover.boundary.outcome.next_validators = own_validators().hash();
        });
    }),
    ("a boundary that others certified", |world, result| {
        handover(result, 0, |handover| {
            handover.validators = own_validators();
            handover.boundary.outcome.next_validators = own_validators().hash();
            certify_boundary(world, &mut handover.boundary, &other_keys(), &[0, 1, 2, 3]);
        });
    }),
    ("a boundary that those certified who vote after it", |world, result| {
        let keys = keys_of(world.epochs[3].validators());
        handover(result, 2, |handover| certify_boundary(world, &mut handover.boundary, &keys, &[0, 1, 2, 3]));
    }),
    ("a boundary that those certified who voted before", |world, result| {
        let keys = keys_of(world.epochs[2].validators());
        handover(result, 3, |handover| certify_boundary(world, &mut handover.boundary, &keys, &[0, 1, 2]));
    }),
    ("a boundary that one signer too few certified", |world, result| {
        let keys = keys_of(world.epochs[2].validators());
        handover(result, 2, |handover| certify_boundary(world, &mut handover.boundary, &keys, &[0, 1, 2]));
    }),
    ("a certificate of another epoch", |world, result| {
        handover(result, 1, |handover| {
            let boundary = &mut handover.boundary;
            let claim = boundary.certificate.claim;
            boundary.certificate = certify(
                &world.epochs[0].context(),
                claim,
                &keys_of(world.epochs[1].validators()),
                &[0, 1, 2],
            );
        });
    }),
    ("a notarization for a finalization", |world, result| {
        handover(result, 0, |handover| {
            let boundary = &mut handover.boundary;
            let claim = Claim::Notarize { view: boundary.header.view, block: boundary.header.id() };
            boundary.certificate = certify(&world.epochs[0].context(), claim, &real_keys(), &[0, 1, 2, 3]);
        });
    }),
    ("a signature less", |_, result| {
        handover(result, 0, |handover| keep_signers(&mut handover.boundary.certificate, 2));
    }),
    ("a bad signature", |_, result| {
        handover(result, 1, |handover| {
            let certificate = &mut handover.boundary.certificate;
            let mut signatures = certificate.signatures.to_vec();
            let mut bytes = *signatures[1].as_bytes();
            bytes[40] ^= 1;
            signatures[1] = Signature::from_bytes(bytes);
            certificate.signatures = List::new(signatures).unwrap();
        });
    }),
    ("a final block that is not the last of its epoch", |world, result| {
        let boundary = world.proof(8);
        handover(result, 0, |handover| handover.boundary = boundary);
    }),
    ("the last block of the next epoch", |world, result| {
        let boundary = world.proof(19);
        handover(result, 0, |handover| handover.boundary = boundary);
    }),
    ("a boundary at another height", |_, result| {
        handover(result, 0, |handover| handover.boundary.header.height = Height::new(11));
    }),
    ("a boundary of another chain", |_, result| {
        handover(result, 0, |handover| {
            handover.boundary.header.chain = flipped(handover.boundary.header.chain);
        });
    }),
    ("the boundary of another chain with its certificate", |_, result| {
        let mut other = World::of_others();
        other.run_to(11);
        put(result, 0, &other.handovers[0]);
    }),
    ("another outcome of the boundary", |_, result| {
        handover(result, 1, |handover| handover.boundary.outcome.state_root = Hash::ZERO);
    }),
];

/// What every run that meets a lie must show.
#[track_caller]
fn check_undeceived(name: &str, wallet: &Wallet) {
    let run = wallet.run(&["balance", "bob"]);
    println!("{name}: {}", run.messages);
    assert_eq!((run.exit, run.out.as_str()), (7, ""), "{name}: {run:?}");
    let accused = format!("error: proof failed: do not trust this node {}", wallet.url());
    assert!(run.messages.lines().any(|line| line.starts_with(&accused)), "{name}: {run:?}");
    let run = wallet.run(&["--output", "json", "balance", "bob"]);
    assert_eq!(run.json()["error"]["exit"], 7, "{name}: {run:?}");
    assert!(run.json().get("verified").is_none() && run.json().get("balances").is_none(), "{name}");
}

#[test]
fn is_not_deceived_about_handovers() {
    let node = Node::start(World::changed());
    let world = Arc::new(node.world().clone());
    let proxy = Proxy::start(&node.url);
    for (name, lie) in LIES {
        let (lie, world) = (*lie, Arc::clone(&world));
        let wallet = Wallet::new(&world, &[&proxy.url]);
        proxy.alter(move |method, result| {
            if method == "chain_getEpochs" {
                lie(&world, result);
            }
        });
        let before = wallet.contents();
        check_undeceived(name, &wallet);
        assert_eq!(wallet.contents(), before, "{name}: nothing is written");
        proxy.be_honest();
        wallet.run(&["balance", "bob"]).ok();
    }
}

#[test]
fn keeps_what_was_proven_before_a_handover_was_withheld() {
    let node = Node::start(World::changed());
    let world = node.world().clone();
    let proxy = Proxy::start(&node.url);
    let wallet = Wallet::new(&world, &[&proxy.url]);
    proxy.alter(move |method, result| {
        if method == "chain_getEpochs" {
            let known = [encoded(&world.handovers[0]), encoded(&world.handovers[1])];
            rows(result).retain(|row| known.contains(&row["handover"]));
        }
    });
    let error = wallet.run(&["balance", "bob"]).failed(7);
    assert!(error.contains("speaks of epoch 4, but does not give the handover to epoch 3"), "{error}");
    let remembered = std::fs::read_to_string(wallet.epoch_file()).unwrap();
    assert!(remembered.contains("\"epoch\":\"2\""), "{remembered}");
    assert!(!wallet.height_file().exists(), "no answer was believed");
}

/// Changes the finality proof of an answer from this world.
type Claims = (&'static str, fn(&World, &mut FinalityProof));

const ANSWER_LIES: &[Claims] = &[
    ("an epoch that has not begun", |world, proof| {
        (proof.header.epoch, proof.header.height) = (EpochNumber::new(5), Height::new(51));
        certify_in(&world.epochs[4].context(), proof, &keys_of(world.epochs[4].validators()), &[0, 1, 2, 3]);
    }),
    ("an epoch that never will", |world, proof| {
        let height = (1 << 60) * 10 + 1;
        (proof.header.epoch, proof.header.height) = (EpochNumber::new(1 << 60), Height::new(height));
        certify_in(&world.epochs[4].context(), proof, &keys_of(world.epochs[4].validators()), &[0, 1, 2, 3]);
    }),
    ("an epoch that is not that of the height", |world, proof| {
        proof.header.epoch = EpochNumber::new(1 << 60);
        certify_in(&world.epochs[4].context(), proof, &keys_of(world.epochs[4].validators()), &[0, 1, 2, 3]);
    }),
    ("a block above the last one of its epoch", |world, proof| {
        (proof.header.epoch, proof.header.height) = (EpochNumber::ZERO, Height::new(46));
        certify_in(&world.epochs[0].context(), proof, &real_keys(), &[0, 1, 2, 3]);
    }),
    ("a block that the first validators certified for the newest epoch", |world, proof| {
        proof.outcome.state_root = flipped(proof.outcome.state_root);
        certify_in(&world.epochs[4].context(), proof, &real_keys(), &[0, 1, 2, 3]);
    }),
    ("a block that the first validators certified as in the first epoch", |world, proof| {
        proof.outcome.state_root = flipped(proof.outcome.state_root);
        certify_in(&world.epochs[0].context(), proof, &real_keys(), &[0, 1, 2, 3]);
    }),
    ("a block that the validators of an epoch before certified", |world, proof| {
        certify_in(&world.epochs[4].context(), proof, &keys_of(world.epochs[2].validators()), &[0, 1, 2, 3]);
    }),
    ("a quorum of the epoch before that is none in this one", |world, proof| {
        certify_in(&world.epochs[4].context(), proof, &keys_of(world.epochs[4].validators()), &[0, 1, 2]);
    }),
    ("a certificate in the context of the epoch before", |world, proof| {
        certify_in(&world.epochs[3].context(), proof, &keys_of(world.epochs[4].validators()), &[0, 1, 2, 3]);
    }),
];

#[test]
fn is_not_deceived_about_the_epoch_of_an_answer() {
    let node = Node::start(World::changed());
    let world = Arc::new(node.world().clone());
    let proxy = Proxy::start(&node.url);
    for (name, lie) in ANSWER_LIES {
        let (lie, world) = (*lie, Arc::clone(&world));
        let wallet = Wallet::new(&world, &[&proxy.url]);
        proxy.alter(move |method, result| {
            if method == "account_getBalances" {
                finality(result, |proof| lie(&world, proof));
                // Nothing but the proof tells.
                let text = result["proof"]["finality"]["certified"].as_str().unwrap().to_owned();
                let proof = FinalityProof::decode(&hex::decode(text).unwrap()).unwrap();
                result["height"] = json!(proof.header.height.to_string());
            }
        });
        check_undeceived(name, &wallet);
        assert!(!wallet.height_file().exists(), "{name}: no answer was believed");
        proxy.be_honest();
        wallet.run(&["balance", "bob"]).ok();
    }
}

#[test]
fn does_not_go_further_than_it_asked_to() {
    let node = Node::start(World::changed());
    let proxy = Proxy::start(&node.url);
    let wallet = Wallet::new(&node.world(), &[&proxy.url]);
    let bob = node.world().id("bob");
    let old = serde_json::to_value(node.world().balances_at(44, bob)).unwrap();
    node.world().run_to(61);
    let more = encoded(&node.world().handovers[4]);
    proxy.alter(move |method, result| match method {
        "account_getBalances" => *result = old.clone(),
        "chain_getEpochs" => rows(result).push(json!({ "epoch": "5", "handover": more })),
        _ => {}
    });
    let error = wallet.run(&["balance", "bob"]).failed(7);
    assert!(error.contains("more handovers than were asked for"), "{error}");
    assert!(!wallet.epoch_file().exists());
}

#[test]
fn is_not_deceived_about_the_validators_of_an_old_transaction() {
    let node = Node::start({
        let mut world = World::governed();
        world.run_to(12);
        world
    });
    let proxy = Proxy::start(&node.url);
    let wallet = Wallet::new(&node.world(), &[&proxy.url]);
    let sent = wallet.run(&["--output", "json", "send", "bob", "5USD", "--from", "alice"]).json();
    node.world().run_to(45);
    wallet.run(&["balance", "bob"]).ok();
    let world = node.world().clone();
    proxy.alter(move |method, result| {
        let position = match method {
            "chain_getEpochs" => &mut result["handovers"][0]["handover"],
            _ => return,
        };
        bytes(position, |handover: &mut Handover| {
            handover.validators = own_validators();
            handover.boundary.outcome.next_validators = own_validators().hash();
            certify_boundary(&world, &mut handover.boundary, &other_keys(), &[0, 1, 2, 3]);
        });
    });
    let show = ["tx", "show", sent["tx_id"].as_str().unwrap()];
    let error = wallet.run(&show).failed(7);
    assert!(error.contains("handover to epoch 1: certificate: "), "{error}");
    proxy.be_honest();
    wallet.run(&show).ok();
}

#[test]
fn the_tools_of_the_liar_leave_an_honest_page_as_it_was() {
    let world = World::changed();
    let handover_of = |position: usize| &world.handovers[position];
    let row = |position: usize| json!({ "epoch": "0", "handover": encoded(handover_of(position)) });
    let mut page = json!({ "handovers": (0..4).map(row).collect::<Vec<_>>() });
    let before = page.clone();
    for position in 0..4 {
        let signers: Vec<u8> = handover_of(position).boundary.certificate.signers.iter().collect();
        let keys = keys_of(world.epochs[position].validators());
        handover(&mut page, position, |handover| {
            certify_boundary(&world, &mut handover.boundary, &keys, &signers);
        });
    }
    assert_eq!(page, before);
}
