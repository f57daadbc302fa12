//! Every way to lie that we could think of, told by a proxy in front of an honest node. For each, the
//! wallet names the node, ends with exit code 7, and shows no number as verified.
use quorate_primitives::certificate::Claim;
use quorate_primitives::codec::{self, List};
use quorate_primitives::light::FinalityProof;
use quorate_primitives::merkle::{GroupProof, Leaf, ListProof, StateProof};
use quorate_primitives::receipt::{Failure, Receipt, Verdict};
use quorate_primitives::state::{Account, Asset, Balance, StateGroup, StateKey, value_hash};
use quorate_primitives::transaction::{SignedTransaction, Transaction};
use quorate_primitives::validators::Signers;
use quorate_primitives::{Amount, EpochNumber, Hash, Height, Signature, Timestamp};
use serde_json::{Value, json};

use super::forging::*;
use super::node::{Mode, Node};
use super::proxy::Proxy;
use super::tree;
use super::wallet::Wallet;
use super::world::{World, certify, now, usd};

type Lie = (&'static str, fn(&mut Value));

/// A world in which bob has 12.50 USD and 3 QTY, a liar in front of its node, and a wallet.
struct Stage {
    node: Node,
    proxy: Proxy,
    wallet: Wallet,
}

impl Stage {
    fn new() -> Self {
        let node = Node::start(World::new());
        let proxy = Proxy::start(&node.url);
        let wallet = Wallet::new(&node.world(), &[&proxy.url]);
        Self { node, proxy, wallet }
    }

    /// Runs the command once with each lie about the answers to this method.
    fn tell(&self, lies: &[Lie], method: &'static str, command: &[&str]) {
        self.proxy.be_honest();
        self.wallet.run(command).ok();
        let before = self.wallet.contents();
        for (name, lie) in lies {
            let lie = *lie;
            self.proxy.alter(move |called, result| {
                if called == method {
                    lie(result);
                }
            });
            let run = self.wallet.run(command);
            println!("{name}: {}", run.messages);
            assert_eq!(run.exit, 7, "{name}: {run:?}");
            assert_eq!(run.out, "", "{name}: nothing is shown");
            let accused = format!("error: proof failed: do not trust this node {}", self.wallet.url());
            assert!(run.messages.lines().any(|line| line.starts_with(&accused)), "{name}: {run:?}");
            assert_eq!(self.wallet.contents(), before, "{name}: nothing is written");
            let run = self.wallet.run(&[&["--output", "json"], command].concat());
            assert_eq!(run.json()["error"]["exit"], 7, "{name}: {run:?}");
            assert!(run.json().get("verified").is_none() && run.json().get("balances").is_none(), "{name}");
        }
        self.proxy.be_honest();
        self.wallet.run(command).ok();
    }
}

fn rich() -> Balance {
    Balance { posted: Amount::new(99_999_999), ..Balance::default() }
}

fn first_value(result: &mut Value) -> &mut Value {
    &mut result["proof"]["values"][0]["value"]
}

const CERTIFICATE_LIES: &[Lie] = &[
    ("another state root", |result| {
        outcome(result, |outcome| outcome.state_root = flipped(outcome.state_root))
    }),
    ("a higher height", |result| header(result, |header| header.height = header.height.next())),
    ("a later time", |result| header(result, |header| header.time = header.time.saturating_add(1_000))),
    ("one signer below the quorum", |result| {
        finality(result, |proof| keep_signers(&mut proof.certificate, 2))
    }),
    ("no signature of one signer", |result| {
        finality(result, |proof| {
            let signatures = proof.certificate.signatures[..2].to_vec();
            proof.certificate.signatures = List::new(signatures).unwrap();
        });
    }),
    ("one signature for two signers", |result| {
        finality(result, |proof| {
            let signatures = &proof.certificate.signatures;
            proof.certificate.signatures =
                List::new(vec![signatures[0], signatures[1], signatures[1]]).unwrap();
        });
    }),
    ("a signer who did not sign", |result| {
        finality(result, |proof| proof.certificate.signers = Signers::all(3));
    }),
    ("a signer that is no validator", |result| {
        finality(result, |proof| {
            proof.certificate.signers = proof.certificate.signers.without(3).with(9);
        });
    }),
    ("a bad signature", |result| {
        finality(result, |proof| {
            let mut signatures = proof.certificate.signatures.to_vec();
            let mut bytes = *signatures[2].as_bytes();
            bytes[5] ^= 1;
            signatures[2] = Signature::from_bytes(bytes);
            proof.certificate.signatures = List::new(signatures).unwrap();
        });
    }),
    ("another epoch", |result| {
        finality(result, |proof| {
            proof.header.epoch = EpochNumber::new(1);
            recertify(proof, &real_keys(), &[0, 1, 2]);
        });
    }),
    ("another chain", |result| {
        finality(result, |proof| {
            proof.header.chain = flipped(proof.header.chain);
            recertify(proof, &real_keys(), &[0, 1, 2]);
        });
    }),
    ("other validators", |result| finality(result, |proof| recertify(proof, &other_keys(), &[0, 1, 2, 3]))),
    ("a notarization for a finalization", |result| {
        finality(result, |proof| {
            let claim = Claim::Notarize { view: proof.header.view, block: proof.header.id() };
            let context = World::new().genesis.trusted().context();
            proof.certificate = certify(&context, claim, &real_keys(), &[0, 1, 2, 3]);
        });
    }),
    ("a certificate of another block", |result| {
        finality(result, |proof| {
            let mut other = proof.clone();
            other.header.time = other.header.time.next();
            recertify(&mut other, &real_keys(), &[0, 1, 2]);
            proof.certificate = other.certificate;
        });
    }),
    ("bytes after the finality proof", |result| {
        let text = result["proof"]["finality"]["certified"].as_str().unwrap().to_owned();
        result["proof"]["finality"]["certified"] = json!(text + "00");
    }),
    ("another height beside the proof", |result| result["height"] = json!("999")),
    ("no finality proof", |result| result["proof"]["finality"] = Value::Null),
    ("no proof", |result| result["proof"] = Value::Null),
    ("no answer", |result| *result = Value::Null),
];

#[test]
fn is_not_deceived_about_certificates() {
    Stage::new().tell(CERTIFICATE_LIES, "account_getBalances", &["balance", "bob"]);
}

fn group(result: &mut Value, change: impl FnOnce(&mut GroupProof)) {
    bytes(&mut result["proof"]["group"], change);
}

fn group_steps(result: &mut Value, change: impl FnOnce(&mut Vec<quorate_primitives::merkle::Step>)) {
    group(result, |proof| {
        if let GroupProof::Present { steps } | GroupProof::Absent { steps, .. } = proof {
            step(steps, change);
        }
    });
}

fn empty(result: &mut Value, proof: &GroupProof) {
    result["proof"]["group"] = encoded(proof);
    result["proof"]["values"] = json!([]);
    result["balances"] = json!([]);
}

/// The leaf of bob's account: a neighbour that is in the tree, but does not show absence.
fn some_leaf() -> Leaf {
    let world = World::new();
    let key = StateKey::Account(world.id("bob"));
    Leaf { path: key.path(), value: value_hash(&world.state()[&key]) }
}

const BALANCE_LIES: &[Lie] = &[
    ("a balance beside the proof", |result| result["balances"][0]["balance"]["posted"] = json!("99999999")),
    ("an available balance beside the proof", |result| {
        result["balances"][1]["balance"]["available"] = json!("0");
    }),
    ("a proven value", |result| *first_value(result) = encoded(&rich())),
    ("a proven value and the balance beside it", |result| {
        *first_value(result) = encoded(&rich());
        result["balances"][0]["balance"] =
            serde_json::to_value(quorate_rpc::json::Balance::from(&rich())).unwrap();
    }),
    ("one balance left out", |result| {
        result["proof"]["values"].as_array_mut().unwrap().remove(0);
        result["balances"].as_array_mut().unwrap().remove(0);
    }),
    ("one balance left out beside the proof", |result| {
        result["balances"].as_array_mut().unwrap().remove(0);
    }),
    ("one balance twice", |result| {
        let again = result["proof"]["values"][0].clone();
        result["proof"]["values"].as_array_mut().unwrap().push(again);
    }),
    ("a balance too many", |result| {
        let world = World::new();
        let key = StateKey::Balance(world.id("bob"), quorate_primitives::state::AssetId::from_bytes([9; 32]));
        let extra = json!({ "key": encoded(&key), "value": encoded(&rich()) });
        result["proof"]["values"].as_array_mut().unwrap().push(extra);
    }),
    ("the balances in another order", |result| result["proof"]["values"].as_array_mut().unwrap().reverse()),
    ("the balances of somebody else", |result| {
        let world = World::new();
        let theirs = serde_json::to_value(world.balances_at(0, world.id("alice"))).unwrap();
        let (account, height) = (result["account"].take(), result["height"].take());
        *result = theirs;
        (result["account"], result["height"]) = (account, height);
    }),
    ("another account beside the proof", |result| result["account"] = json!("00".repeat(32))),
    ("absence for balances that are there", |result| {
        let steps = List::new(Vec::new()).unwrap();
        empty(result, &GroupProof::Absent { steps, neighbour: some_leaf() });
    }),
    ("an empty tree", |result| empty(result, &GroupProof::EmptyTree)),
    ("a group without values", |result| {
        result["proof"]["values"] = json!([]);
        result["balances"] = json!([]);
    }),
    ("another sibling", |result| group_steps(result, |steps| steps[0].sibling = flipped(steps[0].sibling))),
    ("another depth", |result| group_steps(result, |steps| steps[0].depth += 1)),
    ("steps in another order", |result| group_steps(result, |steps| steps.reverse())),
    ("one step less", |result| group_steps(result, |steps| steps.truncate(steps.len() - 1))),
    ("other decimals beside a balance", |result| result["balances"][0]["decimals"] = json!(6)),
    ("another symbol beside a balance", |result| result["balances"][0]["symbol"] = json!("BTC")),
    ("a proof that is no hexadecimal", |result| result["proof"]["group"] = json!("zz")),
    ("a balance that is no number", |result| result["balances"][0]["balance"]["posted"] = json!("1e9")),
];

#[test]
fn is_not_deceived_about_balances() {
    Stage::new().tell(BALANCE_LIES, "account_getBalances", &["balance", "bob"]);
}

fn forge_asset(value: &mut Value) {
    bytes(value, |asset: &mut Asset| asset.decimals = 0);
}

const STATE_LIES: &[Lie] = &[
    ("a proven asset", |result| forge_asset(&mut result["entries"][0]["value"])),
    ("another sibling", |result| {
        bytes(&mut result["entries"][0]["state"], |proof: &mut StateProof| {
            if let StateProof::Present { steps } = proof {
                step(steps, |steps| steps[0].sibling = flipped(steps[0].sibling));
            }
        });
    }),
    ("another key", |result| result["entries"][0]["key"] = result["entries"][1]["key"].clone()),
    ("the value of another key", |result| {
        let other = result["entries"][1].clone();
        result["entries"][0]["value"] = other["value"].clone();
        result["entries"][0]["state"] = other["state"].clone();
    }),
    ("an entry less", |result| result["entries"].as_array_mut().unwrap().truncate(1)),
    ("an absent value", |result| result["entries"][0]["value"] = Value::Null),
    ("no state proof", |result| result["entries"][0]["state"] = Value::Null),
    ("no finality proof", |result| result["finality"] = Value::Null),
    ("another height beside the proof", |result| result["height"] = json!("999")),
    ("another state root", |result| {
        outcome(result, |outcome| outcome.state_root = flipped(outcome.state_root))
    }),
];

#[test]
fn is_not_deceived_about_the_assets_behind_balances() {
    Stage::new().tell(STATE_LIES, "state_get", &["balance", "bob"]);
}

fn account_state(result: &mut Value, change: impl FnOnce(&mut StateProof)) {
    bytes(&mut result["proof"]["state"], change);
}

const ACCOUNT_LIES: &[Lie] = &[
    ("a label beside the proof", |result| result["account"]["label"] = json!("the treasury")),
    ("a key beside the proof", |result| {
        result["account"]["authority"]["keys"][0]["key"] = json!("01".repeat(32));
    }),
    ("a proven label", |result| {
        bytes(&mut result["proof"]["value"], |account: &mut Account| {
            account.label = codec::Text::new("the treasury").unwrap();
        });
    }),
    ("another depth", |result| {
        account_state(result, |proof| {
            if let StateProof::Present { steps } = proof {
                step(steps, |steps| steps.last_mut().unwrap().depth += 1);
            }
        });
    }),
    ("absence of an account that is there", |result| {
        let world = World::new();
        let absent = tree::prove(&world.state(), &StateKey::Unauthorised(Hash::from_bytes([5; 32])));
        result["proof"]["state"] = encoded(&absent);
        (result["proof"]["value"], result["account"]) = (Value::Null, Value::Null);
    }),
    ("absence by a neighbour that is the account", |result| {
        account_state(result, |proof| {
            let StateProof::Present { steps } = proof else { return };
            *proof = StateProof::Absent { steps: steps.clone(), neighbour: some_leaf() };
        });
        (result["proof"]["value"], result["account"]) = (Value::Null, Value::Null);
    }),
    ("an empty tree", |result| {
        account_state(result, |proof| *proof = StateProof::EmptyTree);
        (result["proof"]["value"], result["account"]) = (Value::Null, Value::Null);
    }),
    ("a proof of another account", |result| {
        let world = World::new();
        let key = StateKey::Account(world.id("alice"));
        (result["proof"]["key"], result["proof"]["value"]) =
            (encoded(&key), json!(hex::encode(&world.state()[&key])));
        result["proof"]["state"] = encoded(&tree::prove(&world.state(), &key));
    }),
    ("another id beside the proof", |result| result["id"] = json!("00".repeat(32))),
    ("no proof", |result| result["proof"] = Value::Null),
];

#[test]
fn is_not_deceived_about_accounts() {
    Stage::new().tell(ACCOUNT_LIES, "account_get", &["account", "bob"]);
}

const ASSET_LIES: &[Lie] = &[
    ("other decimals beside the proof", |result| result["asset"]["decimals"] = json!(0)),
    ("another supply beside the proof", |result| result["asset"]["supply"] = json!("1")),
    ("proven decimals", |result| forge_asset(&mut result["proof"]["value"])),
    ("no asset beside the proof of one", |result| result["asset"] = Value::Null),
];

const LIST_LIES: &[Lie] = &[
    ("other decimals in a list", |result| result["assets"][0]["asset"]["decimals"] = json!(7)),
    ("another issuer in a list", |result| result["assets"][0]["asset"]["issuer"] = json!("00".repeat(32))),
    ("an asset that does not exist", |result| result["assets"][0]["id"] = json!("00".repeat(32))),
    ("a list out of order", |result| result["assets"].as_array_mut().unwrap().reverse()),
];

#[test]
fn is_not_deceived_about_assets() {
    let stage = Stage::new();
    stage.tell(ASSET_LIES, "asset_get", &["asset", "show", "USD"]);
    stage.tell(LIST_LIES, "asset_list", &["asset", "list"]);
}

fn receipt(result: &mut Value, change: impl FnOnce(&mut Receipt)) {
    bytes(&mut result["proof"]["receipt"], |receipt: &mut Receipt| change(receipt));
}

/// Changes the receipt and everything that is said beside it, so that only the proof can tell.
fn consistent_receipt(result: &mut Value, change: impl FnOnce(&mut Receipt)) {
    receipt(result, change);
    let text = result["proof"]["receipt"].as_str().unwrap().to_owned();
    let forged: Receipt = codec::decode(&hex::decode(text).unwrap(), usize::MAX).unwrap();
    let said = quorate_rpc::json::Receipt::from(&forged);
    result["status"]["state"] = json!(if said.failure.is_none() { "final" } else { "rejected" });
    result["status"]["failure"] = serde_json::to_value(&said.failure).unwrap();
    result["receipt"] = serde_json::to_value(said).unwrap();
}

fn fail(receipt: &mut Receipt) {
    receipt.verdict = Verdict::Failed { failure: Failure::InsufficientFunds, action: None };
    (receipt.events, receipt.balances) = (List::default(), List::default());
}

const RECEIPT_LIES: &[Lie] = &[
    ("a failure for a success", |result| consistent_receipt(result, fail)),
    ("a failure beside the proof", |result| result["status"]["state"] = json!("rejected")),
    ("another balance after", |result| {
        consistent_receipt(result, |receipt| {
            let mut balances = receipt.balances.to_vec();
            balances[0].balance = rich();
            receipt.balances = List::new(balances).unwrap();
        });
    }),
    ("another balance after beside the proof", |result| {
        result["receipt"]["balances"][0]["balance"]["posted"] = json!("99999999");
    }),
    ("a receipt of another transaction", |result| {
        receipt(result, |receipt| receipt.transaction = flipped(receipt.transaction));
    }),
    ("an answer about another transaction", |result| result["status"]["tx_id"] = json!("00".repeat(32))),
    ("another position in the block", |result| {
        bytes(&mut result["proof"]["receipt_proof"], |proof: &mut ListProof| proof.index = 1);
    }),
    ("another number of receipts", |result| {
        bytes(&mut result["proof"]["receipt_proof"], |proof: &mut ListProof| proof.count = 2);
    }),
    ("a sibling too many", |result| {
        bytes(&mut result["proof"]["receipt_proof"], |proof: &mut ListProof| {
            proof.siblings = List::new(vec![Hash::ZERO]).unwrap();
        });
    }),
    ("a position beside the proof", |result| result["status"]["index"] = json!(3)),
    ("a height beside the proof", |result| result["status"]["height"] = json!("1")),
    ("a block beside the proof", |result| result["block"] = json!("00".repeat(32))),
    ("a time beside the proof", |result| {
        result["time"] = serde_json::to_value(quorate_rpc::json::Time(Timestamp::new(1))).unwrap();
    }),
    ("another transaction under the same id", |result| {
        bytes(&mut result["transaction"]["bytes"], |signed: &mut SignedTransaction| {
            let mut transaction: Transaction = signed.transaction().clone();
            transaction.valid_until = transaction.valid_until.next();
            let signatures = vec![Signature::from_bytes([0; 64])];
            *signed = SignedTransaction::new(transaction, signatures).unwrap();
        });
    }),
    ("another memo beside the transaction", |result| result["transaction"]["memo"] = json!("00")),
    ("inclusion without proof", |result| result["proof"] = Value::Null),
    ("no receipt beside the proof", |result| result["receipt"] = Value::Null),
    ("other validators", |result| finality(result, |proof| recertify(proof, &other_keys(), &[0, 1, 2, 3]))),
    ("another receipts root", |result| {
        outcome(result, |outcome| outcome.receipts_root = flipped(outcome.receipts_root));
    }),
];

const ANCESTOR_LIES: &[Lie] = &[
    ("a changed ancestor", |result| {
        bytes(
            &mut result["proof"]["finality"]["ancestor"]["header"],
            |header: &mut quorate_primitives::block::Header| {
                header.time = header.time.next();
            },
        );
    }),
    ("a changed outcome of an ancestor", |result| {
        bytes(
            &mut result["proof"]["finality"]["ancestor"]["outcome"],
            |outcome: &mut quorate_primitives::block::Outcome| {
                outcome.receipts_root = Hash::ZERO;
            },
        );
    }),
    ("an ancestor at another height", |result| {
        bytes(
            &mut result["proof"]["finality"]["ancestor"]["header"],
            |header: &mut quorate_primitives::block::Header| {
                header.height = Height::new(1);
            },
        );
    }),
    ("another place in the history", |result| {
        bytes(&mut result["proof"]["finality"]["ancestor"]["history_proof"], |proof: &mut ListProof| {
            proof.index = 0
        });
    }),
    ("no ancestor", |result| result["proof"]["finality"]["ancestor"] = Value::Null),
];

#[test]
fn is_not_deceived_about_receipts() {
    for (mode, lies) in [(Mode::Include, RECEIPT_LIES), (Mode::IncludeUncertified, ANCESTOR_LIES)] {
        let stage = Stage::new();
        stage.node.set_mode(mode);
        let sent =
            stage.wallet.run(&["--output", "json", "send", "bob", "5USD", "--from", "alice", "--memo", "hi"]);
        let id = sent.json()["tx_id"].as_str().unwrap().to_owned();
        stage.tell(lies, "tx_get", &["tx", "show", &id]);
    }
}

#[test]
fn does_not_believe_a_node_that_went_back() {
    let stage = Stage::new();
    stage.node.world().seal(Vec::new(), now());
    stage.wallet.run(&["balance", "bob"]).ok();
    let old = {
        let world = stage.node.world();
        serde_json::to_value(world.balances_at(0, world.id("bob"))).unwrap()
    };
    stage.proxy.alter(move |method, result| {
        if method == "account_getBalances" {
            *result = old.clone();
        }
    });
    let run = stage.wallet.run(&["balance", "bob"]);
    assert_eq!(run.out, "");
    let error = run.failed(7);
    assert!(error.contains("went back to height 1, but height 2"), "{error}");
    assert!(error.contains(stage.wallet.url()) && error.contains("is merely behind"), "{error}");
}

#[test]
fn names_a_fork_when_a_quorum_signed_two_blocks_at_one_height() {
    let stage = Stage::new();
    stage.wallet.run(&["balance", "bob"]).ok();
    stage.proxy.alter(|_, result| {
        finality(result, |proof: &mut FinalityProof| {
            proof.header.time = proof.header.time.next();
            recertify(proof, &real_keys(), &[0, 1, 2]);
        });
    });
    let error = stage.wallet.run(&["balance", "bob"]).failed(7);
    assert!(error.contains("the chain has forked"), "{error}");
}

#[test]
fn signs_nothing_when_the_node_lies_about_what_an_asset_is() {
    let stage = Stage::new();
    let lies: &[Lie] = &[
        ("other decimals", |result| forge_asset(&mut result["entries"][3]["value"])),
        ("a larger balance", |result| result["entries"][4]["value"] = encoded(&rich())),
        ("a receiver that does not exist", |result| result["entries"][2]["value"] = Value::Null),
    ];
    for (name, lie) in lies {
        let lie = *lie;
        stage.proxy.alter(move |method, result| {
            if method == "state_get" {
                lie(result);
            }
        });
        let run = stage.wallet.run(&["send", "bob", "5USD", "--from", "alice"]);
        assert_eq!((run.exit, run.out.as_str()), (7, ""), "{name}: {run:?}");
    }
    assert!(stage.node.given().is_empty(), "no node was given anything");
    assert!(!stage.wallet.contents().iter().any(|(path, _)| path.to_string_lossy().contains("outbox")));
}

#[test]
fn does_not_believe_that_a_payment_happened_without_its_receipt() {
    let stage = Stage::new();
    stage.node.set_mode(Mode::Forget);
    stage.proxy.alter(|method, result| {
        if method == "tx_submitAndWait" {
            // What the node would say of a payment that it did include, by validators of its own.
            let mut world = World::new();
            let bytes = result["transaction"]["bytes"].as_str().unwrap().to_owned();
            let signed: SignedTransaction = codec::decode(&hex::decode(bytes).unwrap(), usize::MAX).unwrap();
            world.seal(vec![signed], now());
            let mut evidence = serde_json::to_value(world.receipt_evidence(1, 0)).unwrap();
            bytes_of_finality(&mut evidence);
            result["proof"] = evidence;
            result["status"]["state"] = json!("final");
        }
    });
    let error = stage.wallet.run(&["send", "bob", "5USD", "--from", "alice"]).failed(7);
    assert!(error.contains("certificate"), "{error}");
    assert!(error.contains("repeating with --id"), "the payment is not lost: {error}");
    assert_eq!(stage.node.given().len(), 1);
    let world = stage.node.world();
    let bob = StateKey::Balance(world.id("bob"), usd());
    assert_eq!(world.state()[&bob], World::new().state()[&bob], "nothing was paid");
}

fn bytes_of_finality(evidence: &mut Value) {
    bytes(&mut evidence["finality"]["certified"], |proof: &mut FinalityProof| {
        recertify(proof, &other_keys(), &[0, 1, 2, 3]);
    });
}

#[test]
fn the_tools_of_the_liar_leave_an_honest_answer_as_it_was() {
    let world = World::new();
    let mut answer = serde_json::to_value(world.balances_at(0, world.id("bob"))).unwrap();
    let before = answer.clone();
    finality(&mut answer, |_| {});
    group_steps(&mut answer, |_| {});
    bytes::<Balance>(first_value(&mut answer), |_| {});
    assert_eq!(answer, before);
    let (values, proof) = tree::prove_group(&world.state(), &StateGroup::Balances(world.id("carol")));
    assert!(values.is_empty() && matches!(proof, GroupProof::Absent { .. }));
}
