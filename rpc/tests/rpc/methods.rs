//! Every method, by name and by position and through the client, with proofs that hold.
use quorate_primitives::address::AccountId;
use quorate_primitives::evidence::RecordedEvidence;
use quorate_primitives::light::{Finalized, Handover, PROOF_BYTES_MAX};
use quorate_primitives::merkle::{GroupProof, ListProof, StateProof};
use quorate_primitives::receipt::{RECEIPT_BYTES_MAX, Receipt};
use quorate_primitives::state::{Account, AssetId, Balance, StateGroup, StateKey, Symbol};
use quorate_primitives::{EpochNumber, Hash, Height};
use quorate_rpc::api::{METHODS, Style};
use quorate_rpc::backend::{BlockAt, Bodies, Proofs};
use quorate_rpc::json::{Finality, HexBytes, TransactionState, Voting};
use quorate_rpc::{Client, Limits};
use serde_json::{Map, Value, json};
use std::time::Duration;

use crate::fake::{Fake, SILENT, serve};
use crate::wire::call;

/// Parameters with which each method succeeds, in order of position.
pub(crate) fn parameters(fake: &Fake, method: &str) -> Vec<Value> {
    let account = json!(fake.account.to_string());
    let transaction = json!(HexBytes::of(&fake.transaction));
    let id = json!(fake.transaction.id().to_string());
    match method {
        "chain_getBlock" => vec![json!("1"), Value::Null, json!(true), json!(0)],
        "chain_getHeader" => vec![Value::Null, json!(fake.proof.header.id().to_string())],
        "chain_getFinality" => vec![json!(1)],
        "chain_getEpochs" => vec![json!("1"), json!(1)],
        "chain_getValidators" => vec![json!("0")],
        "chain_getEvidence" => vec![json!(true)],
        "tx_submit" => vec![transaction],
        "tx_submitMany" => vec![json!([transaction])],
        "tx_submitAndWait" => vec![transaction, json!(1_000), json!(true)],
        "tx_get" => vec![id, json!(true)],
        "tx_status" => vec![id],
        "state_get" => vec![json!([HexBytes::of(&StateKey::Parameters)]), json!(true)],
        "account_get" | "account_getBalances" => vec![account, json!(true)],
        "asset_get" => vec![json!("USD"), json!(true)],
        "asset_list" => vec![Value::Null, json!(10)],
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn every_method_answers_the_same_by_name_and_by_position() {
    let (server, fake) = serve(Limits::default()).await;
    for method in METHODS.iter().filter(|method| method.style == Style::Call) {
        let values = parameters(&fake, method.name);
        assert!(values.len() == method.parameters.len(), "{} is not fully tried", method.name);
        let names = method.parameters.iter().map(|parameter| parameter.name.to_owned());
        let named: Map<String, Value> =
            names.zip(values.clone()).filter(|(_, value)| !value.is_null()).collect();
        let by_position = call(server.address(), method.name, Value::Array(values)).await;
        let by_name = call(server.address(), method.name, Value::Object(named)).await;
        assert!(by_position["result"].is_object(), "{}: {by_position}", method.name);
        assert_eq!(by_position, by_name, "{}", method.name);
    }
    server.stop().await;
}

fn verify(fake: &Fake, finality: &Finality) -> Finalized {
    assert_eq!(finality.ancestor, None);
    let proof = quorate_primitives::light::FinalityProof::decode(&finality.certified.0).unwrap();
    proof.verify(&fake.trusted).unwrap()
}

#[tokio::test]
async fn proofs_survive_the_journey() {
    let (server, fake) = serve(Limits::default()).await;
    let client = Client::new(&format!("http://{}", server.address()), Duration::from_secs(30)).unwrap();

    let answer = client.account(fake.account, Proofs::Include).await.unwrap();
    let evidence = answer.proof.unwrap();
    let state: StateProof = evidence.state.decode(PROOF_BYTES_MAX).unwrap();
    let key = StateKey::Account(fake.account);
    let value = evidence.value.as_ref().map(|value| value.0.as_slice());
    let proved = verify(&fake, &evidence.finality).value::<Account>(&key, value, &state).unwrap();
    assert_eq!(proved.get().as_ref(), Some(&fake.value));

    let absent = AccountId::from_bytes([5; 32]);
    let answer = client.account(absent, Proofs::Include).await.unwrap();
    assert_eq!(answer.account, None);
    let evidence = answer.proof.unwrap();
    assert_eq!(evidence.value, None);
    let state: StateProof = evidence.state.decode(PROOF_BYTES_MAX).unwrap();
    let proved = verify(&fake, &evidence.finality).value::<Account>(&StateKey::Account(absent), None, &state);
    assert_eq!(proved.unwrap().get(), &None);

    let evidence = client.balances(fake.account, Proofs::Include).await.unwrap().proof.unwrap();
    let group: GroupProof = evidence.group.decode(PROOF_BYTES_MAX).unwrap();
    let finalized = verify(&fake, &evidence.finality);
    let proved = finalized.group::<Balance>(&StateGroup::Balances(fake.account), Vec::new(), &group);
    assert!(proved.unwrap().get().is_empty());

    let evidence = client.evidence(Proofs::Include).await.unwrap().proof.unwrap();
    let group: GroupProof = evidence.group.decode(PROOF_BYTES_MAX).unwrap();
    let proved = verify(&fake, &evidence.finality).group::<RecordedEvidence>(
        &StateGroup::Evidence,
        Vec::new(),
        &group,
    );
    assert!(proved.unwrap().get().is_empty());

    let evidence = client.transaction(fake.transaction.id(), Proofs::Include).await.unwrap().proof.unwrap();
    let receipt: Receipt = evidence.receipt.decode(RECEIPT_BYTES_MAX).unwrap();
    let list: ListProof = evidence.receipt_proof.decode(PROOF_BYTES_MAX).unwrap();
    let proved = verify(&fake, &evidence.finality).receipt(&fake.transaction.id(), receipt, &list);
    assert_eq!(proved.unwrap().get(), &fake.receipt);
    server.stop().await;
}

#[tokio::test]
async fn a_handover_leads_a_client_to_the_next_epoch() {
    let (server, fake) = serve(Limits::default()).await;
    let client = Client::new(&format!("http://{}", server.address()), Duration::from_secs(30)).unwrap();
    let answer = client.epochs(EpochNumber::new(1), 32).await.unwrap();
    assert_eq!((answer.current.0, answer.next), (EpochNumber::new(1), None));
    assert_eq!(answer.handovers[0].epoch.0, EpochNumber::new(1));
    let handover = Handover::decode(&answer.handovers[0].handover.0).unwrap();
    assert_eq!(handover.verify(&fake.trusted).unwrap().number(), EpochNumber::new(1));
    server.stop().await;
}

#[tokio::test]
async fn handovers_are_asked_for_from_the_first_one_on_if_nothing_else_is_said() {
    let (server, fake) = serve(Limits::default()).await;
    let first = HexBytes::of(&fake.handover());
    for params in [json!([]), json!([0]), json!({ "from": "1", "limit": 32 })] {
        let answer = call(server.address(), "chain_getEpochs", params.clone()).await;
        assert_eq!(answer["result"]["handovers"][0]["handover"], json!(first), "{params}: {answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_client_has_every_method() {
    let (server, fake) = serve(Limits::default()).await;
    let client = Client::new(&format!("http://{}", server.address()), Duration::from_secs(30)).unwrap();
    let info = client.chain_info().await.unwrap();
    assert_eq!(info.limits.unwrap().submit_many_max, 1_000);
    assert_eq!(client.head().await.unwrap().height.0, Height::new(1));
    let block = client.block(BlockAt::Head, Bodies::From(0)).await.unwrap();
    assert_eq!(block.bodies.unwrap()[0].transactions[0].tx_id.0, fake.transaction.id());
    assert_eq!(client.block(BlockAt::Height(Height::new(1)), Bodies::Omit).await.unwrap().bodies, None);
    let header = client.header(BlockAt::Id(fake.proof.header.id())).await.unwrap();
    assert_eq!(header.header.bytes, HexBytes::of(&fake.proof.header));
    assert_eq!(client.finality(None).await.unwrap().signers, [0, 1, 2]);
    let validators = client.validators(Some(EpochNumber::ZERO)).await.unwrap();
    assert_eq!((validators.quorum, validators.last_height.0), (3, Height::new(1)));
    assert_eq!(validators.context.map(|context| context.0), Some(fake.trusted.context()));
    assert_eq!(client.validators(Some(EpochNumber::new(1))).await.unwrap().context, None);
    assert_eq!(client.epochs(EpochNumber::new(2), 1).await.unwrap().handovers, []);
    assert_eq!(client.evidence(Proofs::Omit).await.unwrap().proof, None);
    assert_eq!(client.submit(&fake.transaction).await.unwrap().tx_id.0, fake.transaction.id());
    assert_eq!(client.submit_many(std::slice::from_ref(&fake.transaction)).await.unwrap().accepted, 1);
    let status = client.transaction_status(Hash::ZERO).await.unwrap();
    assert_eq!(status.state, TransactionState::Unknown);
    let keys = [StateKey::Account(fake.account), StateKey::Parameters];
    let state = client.state(&keys, Proofs::Include).await.unwrap();
    assert_eq!(state.entries.iter().map(|entry| entry.value.is_some()).collect::<Vec<_>>(), [true, false]);
    let usd = AssetId::derive(&Symbol::new("USD").unwrap());
    assert_eq!(
        client.asset(usd, Proofs::Omit).await.unwrap().asset.unwrap().supply.0,
        crate::fake::asset().supply
    );
    assert_eq!(client.assets(Some(usd), 5).await.unwrap().assets, []);
    let status = client.node_status().await.unwrap();
    assert!(status.ready);
    assert_eq!((status.voting, status.voting_from.map(|view| view.0.get())), (Voting::Silent, Some(9)));
    assert_eq!(status.epoch_last_height.0, Height::new(1));
    assert_eq!(client.node_peers().await.unwrap().peers, []);
    assert_eq!(client.mempool_stats().await.unwrap().bytes.0, 2);
    assert_eq!(client.discover().await.unwrap()["openrpc"], "1.3.2");
    server.stop().await;
}

#[tokio::test]
async fn waiting_ends_final_expired_or_pending() {
    let (server, fake) = serve(Limits::default()).await;
    let client = Client::new(&format!("http://{}", server.address()), Duration::from_secs(30)).unwrap();
    let wait = async |fate: u8, valid_until: u64| {
        let transaction = fake.transfer(fate, valid_until);
        let limit = Duration::from_millis(20);
        client.submit_and_wait(&transaction, limit, Proofs::Include).await.unwrap().status.state
    };
    assert_eq!(wait(0, 2_000).await, TransactionState::Final);
    assert_eq!(wait(SILENT, 999).await, TransactionState::Expired);
    assert_eq!(wait(SILENT, 9_999).await, TransactionState::Pending);
    server.stop().await;
}
