//! Answers say what the ledger holds, and their proofs hold for a client that trusts the genesis alone.
use futures::{FutureExt, StreamExt};
use quorate_primitives::codec::Blob;
use quorate_primitives::light::{FinalityProof, Finalized, PROOF_BYTES_MAX};
use quorate_primitives::merkle::{GroupProof, ListProof, StateProof};
use quorate_primitives::receipt::{RECEIPT_BYTES_MAX, Receipt, Verdict};
use quorate_primitives::state::{Account, Balance, StateGroup, StateKey};
use quorate_primitives::{Amount, Hash, Height, Timestamp, View};
use quorate_replica::Voice;
use quorate_rpc::Backend;
use quorate_rpc::json::{
    AccountAnswer, AssetPage, BalancesAnswer, Block, ChainInfo, Cursor, Finality, FinalityAnswer, Head,
    HeaderAnswer, HexBytes, MempoolStats, NodeStatus, PeersAnswer, StateAnswer, TransactionAnswer,
    TransactionState, TransactionStatus, Voting,
};
use serde_json::json;

use crate::world::{Own, START, World, key};

/// What a client that knows the genesis believes after this proof.
fn verified(world: &World, finality: &Finality) -> Finalized {
    let proof = FinalityProof::decode(&finality.certified.0).unwrap();
    let finalized = proof.verify(&world.genesis.trusted()).unwrap();
    let Some(ancestor) = &finality.ancestor else { return finalized };
    let header = ancestor.header.decode(1_000).unwrap();
    let outcome = ancestor.outcome.decode(1_000).unwrap();
    let history: ListProof = ancestor.history_proof.decode(PROOF_BYTES_MAX).unwrap();
    finalized.ancestor(header, outcome, &history).unwrap()
}

#[test]
fn the_chain_and_its_head_are_described() {
    let (world, _) = World::with_blocks();
    let chain = world.genesis.hash();
    let node = world.serve();
    let info: ChainInfo = node.ask("chain_info", &json!([]));
    assert_eq!((info.network.as_str(), info.address_prefix.as_str()), ("devnet", "qdev"));
    assert_eq!((info.chain.0, info.height.0, info.validators, info.quorum), (chain, Height::new(3), 4, 3));
    let head: Head = node.ask("chain_head", &json!([]));
    assert_eq!((head.height.0, head.transactions), (Height::new(3), 0));
    assert_eq!(head.time, Timestamp::new(START + 3_000).into());
    assert_eq!(head.certified_height.map(|height| height.0), Some(Height::new(3)));
}

#[test]
fn a_block_is_found_by_height_by_id_and_as_the_newest() {
    let (world, ids) = World::with_blocks();
    let node = world.serve();
    let second: Block = node.ask("chain_getBlock", &json!({ "height": 2, "bodies": true }));
    assert_eq!(second.transactions.iter().map(|id| id.0).collect::<Vec<_>>(), [ids[1]]);
    assert_eq!(second.bodies.as_ref().map(Vec::len), Some(1));
    let id = second.header.id.0.to_string();
    let same: HeaderAnswer = node.ask("chain_getHeader", &json!({ "block": id }));
    assert_eq!(same.header, second.header);
    let newest: Block = node.ask("chain_getBlock", &json!([]));
    assert_eq!((newest.header.height.0, newest.bodies), (Height::new(3), None));
}

#[test]
fn blocks_that_are_not_there_are_not_found() {
    let (world, _) = World::with_blocks();
    let node = world.serve();
    for params in [json!({ "height": 4 }), json!({ "height": 0 }), json!({ "block": Hash::ZERO.to_string() })]
    {
        assert_eq!(node.fault("chain_getBlock", &params), "not_found", "{params}");
    }
    assert_eq!(node.fault("chain_getFinality", &json!([4])), "not_found");
}

#[test]
fn the_newest_block_lists_its_transactions_whether_it_was_executed_here_or_read() {
    let world = || {
        let (mut world, _) = World::with_blocks();
        let payment = world.payment(9);
        let id = payment.id();
        world.commit(vec![payment], Own::Certificate);
        (world, id)
    };
    let (executed, id) = world();
    assert_eq!(executed.snapshot().head_event(Height::new(4), None).unwrap().head.transactions, 1);
    for node in [executed.serve(), world().0.reopened().serve()] {
        let newest: Block = node.ask("chain_getBlock", &json!([]));
        assert_eq!(newest.transactions.iter().map(|id| id.0).collect::<Vec<_>>(), [id]);
        let third: Block = node.ask("chain_getBlock", &json!([3]));
        assert!(third.transactions.is_empty());
    }
}

#[test]
fn the_ledger_remembers_what_it_included_and_nothing_else() {
    let (world, [first, _]) = World::with_blocks();
    let (included, other) = (world.payment(5), world.payment(6));
    assert_eq!(included.id(), first);
    assert!(world.snapshot().remembers(&included));
    assert!(!world.snapshot().remembers(&other));
    // Of two with the same nonce only one was included.
    let mut twin = included.transaction().clone();
    twin.memo = Blob::new(vec![1]).unwrap();
    assert!(!world.snapshot().remembers(&twin.sign(&[key(12)]).unwrap()));
}

#[test]
fn a_certified_block_is_proven_by_its_own_certificate() {
    let (world, _) = World::with_blocks();
    let trusting = World::new();
    let answer: FinalityAnswer = world.serve().ask("chain_getFinality", &json!([1]));
    assert_eq!((answer.height.0, answer.certified_height.0), (Height::new(1), Height::new(1)));
    let finalized = verified(&trusting, &answer.proof);
    assert_eq!((finalized.height(), finalized.block()), (Height::new(1), answer.block.0));
}

#[test]
fn a_block_without_certificate_is_proven_by_the_next_certified_one() {
    let (world, _) = World::with_blocks();
    let trusting = World::new();
    let answer: FinalityAnswer = world.serve().ask("chain_getFinality", &json!([2]));
    assert_eq!((answer.height.0, answer.certified_height.0), (Height::new(2), Height::new(3)));
    let finalized = verified(&trusting, &answer.proof);
    assert_eq!((finalized.height(), finalized.block()), (Height::new(2), answer.block.0));
}

#[test]
fn a_block_above_the_last_certificate_is_not_proven_yet() {
    let (mut world, _) = World::with_blocks();
    let late = world.payment(9);
    let id = late.id().to_string();
    world.commit(vec![late], Own::Nothing);
    let node = world.serve();
    assert_eq!(node.fault("chain_getFinality", &json!([4])), "not_ready");
    assert_eq!(node.fault("tx_get", &json!([id, true])), "not_ready");
    let without: TransactionAnswer = node.ask("tx_get", &json!([id]));
    assert_eq!(without.status.state, TransactionState::Final);
    let newest: FinalityAnswer = node.ask("chain_getFinality", &json!([]));
    assert_eq!(newest.height.0, Height::new(3));
}

#[test]
fn the_state_is_that_of_the_newest_certified_block() {
    let (mut world, _) = World::with_blocks();
    let later = world.payment(100);
    world.commit(vec![later], Own::Nothing);
    let bob = world.account("bob").to_string();
    let node = world.serve();
    let answer: BalancesAnswer = node.ask("account_getBalances", &json!([bob]));
    assert_eq!(answer.height.0, Height::new(3));
    assert_eq!(answer.balances[0].balance.posted.0, Amount::new(12));
    let head: Head = node.ask("chain_head", &json!([]));
    assert_eq!(head.height.0, Height::new(4));
}

#[test]
fn an_account_and_the_completeness_of_its_balances_are_proven() {
    let (world, _) = World::with_blocks();
    let trusting = World::new();
    let bob = world.account("bob");
    let node = world.serve();

    let answer: AccountAnswer = node.ask("account_get", &json!([bob.to_string(), true]));
    let evidence = answer.proof.unwrap();
    let state: StateProof = evidence.state.decode(PROOF_BYTES_MAX).unwrap();
    let value = evidence.value.as_ref().map(|value| value.0.as_slice());
    let finalized = verified(&trusting, &evidence.finality);
    let account = finalized.value::<Account>(&StateKey::Account(bob), value, &state).unwrap();
    assert_eq!(account.get().as_ref().unwrap().label.as_str(), "bob");

    let answer: BalancesAnswer = node.ask("account_getBalances", &json!([bob.to_string(), true]));
    let evidence = answer.proof.unwrap();
    let group: GroupProof = evidence.group.decode(PROOF_BYTES_MAX).unwrap();
    let values = evidence.values.iter().map(|one| (one.key.decode(128).unwrap(), one.value.0.clone()));
    let finalized = verified(&trusting, &evidence.finality);
    let proved = finalized.group::<Balance>(&StateGroup::Balances(bob), values.collect(), &group).unwrap();
    assert_eq!(proved.get().len(), 1);
}

#[test]
fn values_of_the_state_stand_in_the_order_of_their_keys() {
    let (world, _) = World::with_blocks();
    let bob = StateKey::Balance(world.account("bob"), World::usd());
    let keys = json!([[HexBytes::of(&bob), HexBytes::of(&StateKey::Parameters)]]);
    let nobody = json!([[HexBytes::of(&StateKey::Account(
        quorate_primitives::address::AccountId::from_bytes([7; 32])
    ))]]);
    let node = world.serve();
    let answer: StateAnswer = node.ask("state_get", &keys);
    assert_eq!(answer.entries[0].key, HexBytes::of(&bob));
    assert!(answer.entries.iter().all(|entry| entry.value.is_some() && entry.state.is_none()));
    let absent: StateAnswer = node.ask("state_get", &nobody);
    assert_eq!(absent.entries[0].value, None);
    let page: AssetPage = node.ask("asset_list", &json!({ "limit": 1 }));
    assert_eq!((page.assets.len(), page.next), (1, None));
}

#[test]
fn before_the_first_certified_block_no_state_is_shown() {
    let world = World::new();
    let bob = world.account("bob").to_string();
    let node = world.serve();
    for (method, params) in [
        ("account_get", json!([bob])),
        ("account_getBalances", json!([bob])),
        ("asset_get", json!(["USD"])),
        ("asset_list", json!([])),
        ("chain_getFinality", json!([])),
        ("state_get", json!([[HexBytes::of(&StateKey::Parameters)]])),
    ] {
        assert_eq!(node.fault(method, &params), "not_ready", "{method}");
    }
    assert!(!node.ask::<NodeStatus>("node_status", &json!([])).ready);
}

#[test]
fn a_receipt_is_proven() {
    let (world, ids) = World::with_blocks();
    let trusting = World::new();
    let answer: TransactionAnswer = world.serve().ask("tx_get", &json!([ids[1].to_string(), true]));
    assert_eq!(answer.status.height.map(|height| height.0), Some(Height::new(2)));
    let evidence = answer.proof.unwrap();
    let receipt: Receipt = evidence.receipt.decode(RECEIPT_BYTES_MAX).unwrap();
    let list: ListProof = evidence.receipt_proof.decode(PROOF_BYTES_MAX).unwrap();
    let proved = verified(&trusting, &evidence.finality).receipt(&ids[1], receipt, &list).unwrap();
    assert_eq!(proved.get().verdict, Verdict::Committed);
}

#[test]
fn a_transaction_outside_of_blocks_is_pending_until_it_expires() {
    let unknown = json!([Hash::ZERO.to_string()]);
    for (expires, state) in [
        (None, TransactionState::Unknown),
        (Some(START + 3_000), TransactionState::Pending),
        (Some(START + 2_999), TransactionState::Expired),
    ] {
        let (mut world, _) = World::with_blocks();
        world.pending = expires.map(Timestamp::new);
        let status: TransactionStatus = world.serve().ask("tx_status", &unknown);
        assert_eq!(status.state, state);
    }
}

#[test]
fn submitting_and_waiting_ends_where_the_transaction_is() {
    let (world, ids) = World::with_blocks();
    let payment = HexBytes::of(&world.payment(5));
    let open = HexBytes::of(&world.payment(6));
    let node = world.serve();
    let answer: TransactionAnswer = node.ask("tx_submitAndWait", &json!([payment, 0, true]));
    assert_eq!((answer.status.tx_id.0, answer.status.state), (ids[0], TransactionState::Final));
    assert!(answer.proof.is_some());
    let answer: TransactionAnswer = node.ask("tx_submitAndWait", &json!([open, 0]));
    assert_eq!(answer.status.state, TransactionState::Pending);
    assert_eq!(node.fault("tx_submit", &json!([open])), "already_known");
}

#[test]
fn the_node_its_peers_and_its_pool_are_described() {
    let (world, _) = World::with_blocks();
    let node = world.serve();
    let status: NodeStatus = node.ask("node_status", &json!([]));
    assert_eq!((status.name.as_str(), status.validator, status.ready), ("n1", Some(0), true));
    assert_eq!((status.peers, status.validators_connected), (2, 3));
    assert_eq!((status.epoch.0.get(), status.epoch_last_height.0), (6, Height::new(70)));
    let peers = node.ask::<PeersAnswer>("node_peers", &json!([])).peers;
    assert_eq!((peers[0].name.as_deref(), peers[0].validator), (Some("n3"), Some(2)));
    assert_eq!((&peers[1].name, peers[1].validator), (&None, None));
    let stats: MempoolStats = node.ask("mempool_stats", &json!([]));
    assert_eq!(
        [stats.transactions, stats.senders, stats.bytes, stats.bundles].map(|count| count.0),
        [1, 2, 3, 4]
    );
}

#[test]
fn subscribers_are_told_of_every_block_after_their_cursor() {
    let (world, _) = World::with_blocks();
    let from = Cursor { height: Height::new(1), index: 0 };
    let events = world.heads(Some(from)).now_or_never().unwrap().unwrap();
    let events: Vec<_> = events.collect::<Vec<_>>().now_or_never().unwrap();
    let told = events.iter().map(|event| event.as_ref().unwrap());
    let told: Vec<_> = told.map(|event| (event.head.height.0.get(), event.head.transactions)).collect();
    assert_eq!(told, [(2, 1), (3, 0)]);
}

#[test]
fn whether_the_node_votes_is_told_as_its_replica_says() {
    let silent = Voice::Silent { until: View::new(9) };
    for (voice, voting, from) in [
        (Voice::Free, Voting::Yes, None),
        (Voice::Observer, Voting::Observer, None),
        (Voice::Asking, Voting::Asking, None),
        (Voice::Quarantined, Voting::Quarantined, None),
        (silent, Voting::Silent, Some(View::new(9))),
    ] {
        let (mut world, _) = World::with_blocks();
        world.voice = voice;
        let status: NodeStatus = world.serve().ask("node_status", &json!([]));
        assert_eq!((status.voting, status.voting_from.map(|view| view.0)), (voting, from));
    }
}

#[test]
fn the_head_has_its_transactions_after_a_restart_too() {
    let mut world = World::new();
    let payment = world.payment(5);
    world.commit(vec![payment], Own::Certificate);
    let head: Head = world.reopened().serve().ask("chain_head", &json!([]));
    assert_eq!((head.height.0, head.transactions), (Height::new(1), 1));
}
