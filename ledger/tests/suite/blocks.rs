//! Forks, commits, and what is kept of every block.
use quorate_ledger::{CommitError, Executed, Ledger};
use quorate_primitives::certificate::Claim;
use quorate_primitives::merkle::list_root;
use quorate_primitives::state::{StateGroup, StateKey};
use quorate_primitives::transaction::SignedTransaction;
use quorate_primitives::{Hash, Height};

use crate::world::*;

fn payment(world: &mut World, amount: u128) -> SignedTransaction {
    world.draft(ALICE).actions(vec![own(transfer("GOLD", id(BOB), amount))]).sign()
}

fn execute(ledger: &Ledger, parent: &Executed, transaction: SignedTransaction) -> Executed {
    let bundles = bundles(vec![vec![transaction]]);
    let header = child(parent, parent.time().saturating_add(STEP_MS), &bundles);
    ledger.execute(parent, &header, &bundles)
}

#[test]
fn children_of_one_parent_leave_each_other_alone() {
    let mut world = World::new();
    let head = world.ledger.head().clone();
    let (small, large) = (payment(&mut world, 10), payment(&mut world, 700));
    let left = execute(&world.ledger, &head, small.clone());
    let right = execute(&world.ledger, &head, large.clone());
    assert_ne!(left.outcome().state_root, right.outcome().state_root);
    // A grandchild on one side may repeat what only the other side did.
    let crossed = execute(&world.ledger, &left, large.clone());
    assert_eq!(crossed.receipts().len(), 1);
    let again = execute(&world.ledger, &head, small);
    assert_eq!(again.outcome(), left.outcome());
    assert_eq!(world.ledger.head().block(), head.block());
    assert_eq!(world.balance(id(BOB), "GOLD"), 0);
}

#[test]
fn only_a_child_of_the_head_is_committed() {
    let mut world = World::new();
    let genesis = world.ledger.head().clone();
    let signed = payment(&mut world, 1);
    let first = execute(&world.ledger, &genesis, signed.clone());
    let other = payment(&mut world, 2);
    world.block(vec![other]);
    let result = world.ledger.commit(first, &bundles(vec![vec![signed]]), None);
    assert!(matches!(result, Err(CommitError::NotNext { .. })));
    let result = world.ledger.commit(genesis, &[], None);
    assert!(matches!(result, Err(CommitError::NotNext { .. })));
    assert_eq!(world.height(), Height::new(1));
}

#[test]
fn bundles_and_certificate_must_be_those_of_the_block() {
    let mut world = World::new();
    let head = world.ledger.head().clone();
    let (signed, other) = (payment(&mut world, 1), payment(&mut world, 2));
    let executed = execute(&world.ledger, &head, signed.clone());
    let own = bundles(vec![vec![signed]]);
    let result = world.ledger.commit(executed.clone(), &bundles(vec![vec![other]]), None);
    assert!(matches!(result, Err(CommitError::OtherPayload { .. })));
    let good = certify(&world.genesis, &executed);
    let mut wrong = good.clone();
    wrong.claim = Claim::Finalize { view: executed.view(), block: executed.block(), outcome: Hash::ZERO };
    let result = world.ledger.commit(executed.clone(), &own, Some(wrong));
    assert!(matches!(result, Err(CommitError::OtherClaim { .. })));
    assert_eq!(world.ledger.head().block(), head.block());
    world.ledger.commit(executed.clone(), &own, Some(good)).unwrap();
    assert_eq!(world.ledger.head().block(), executed.block());
}

#[test]
fn the_newest_certified_block_is_not_always_the_head() {
    let mut world = World::new();
    assert!(world.ledger.certified().is_none());
    world.block(vec![]);
    let certified = world.ledger.head().clone();
    let signed = payment(&mut world, 1);
    let head = execute(&world.ledger, &certified, signed.clone());
    let bundles = bundles(vec![vec![signed]]);
    world.ledger.commit(head, &bundles, None).unwrap();
    let (proof, state) = world.ledger.certified().unwrap();
    assert_eq!((proof.header.height, state.root()), (Height::new(1), certified.outcome().state_root));
    let finalized = proof.verify(&world.genesis.trusted()).unwrap();
    assert_eq!(finalized.block(), certified.block());
    let reader = world.ledger.reader();
    assert_eq!(reader.next_certified(Height::new(1)).unwrap(), Some(Height::new(1)));
    assert_eq!(reader.next_certified(Height::new(2)).unwrap(), None);
    assert_eq!(reader.finality(Height::new(2)).unwrap(), None);
}

#[test]
fn everything_about_a_committed_block_can_be_read_again() {
    let mut world = World::new();
    let lists: Vec<Vec<SignedTransaction>> =
        (1..4).map(|list| (0..list).map(|_| payment(&mut world, list)).collect()).collect();
    let receipts = world.block_of(lists.clone(), STEP_MS);
    let head = world.ledger.head().clone();
    let reader = world.ledger.reader();
    assert_eq!(reader.head().unwrap(), (Height::new(1), head.block()));
    let stored = reader.block(Height::new(1)).unwrap().unwrap();
    assert_eq!((Some(&stored.header), &stored.outcome), (head.header(), head.outcome()));
    assert_eq!(stored.payload.root(), stored.header.payload_root);
    assert_eq!(stored.certificate, Some(certify(&world.genesis, &head)));
    assert_eq!(reader.height_of(&head.block()).unwrap(), Some(Height::new(1)));
    assert_eq!(reader.height_of(&Hash::ZERO).unwrap(), None);
    assert_eq!(reader.receipts(Height::new(1)).unwrap(), receipts);
    let ids: Vec<Hash> = reader.bundles(Height::new(1)).unwrap().iter().map(|bundle| bundle.id()).collect();
    assert_eq!(ids, stored.payload.bundles.to_vec());
    for (index, signed) in (0..).zip(lists.iter().flatten()) {
        assert_eq!(reader.transaction(&signed.id()).unwrap().as_deref(), Some(signed));
        let (position, receipt, proof) = reader.receipt(&signed.id()).unwrap().unwrap();
        assert_eq!((position.height, position.index), (Height::new(1), index));
        assert_eq!(proof.verify(&stored.outcome.receipts_root, &receipt.leaf()), Ok(()));
    }
    assert_eq!(reader.position(&Hash::ZERO).unwrap(), None);
    assert_eq!(reader.block(Height::ZERO).unwrap(), None);
    assert_eq!(reader.block(Height::new(2)).unwrap(), None);
    assert_eq!(reader.receipts(Height::new(2)).unwrap(), vec![]);
}

#[test]
fn a_block_with_many_pages_of_receipts_is_read_whole_and_at_every_place() {
    let mut world = World::new();
    let transactions: Vec<SignedTransaction> = (0..2_050).map(|_| payment(&mut world, 0)).collect();
    let lists = transactions.chunks(500).map(<[_]>::to_vec).collect();
    let receipts = world.block_of(lists, STEP_MS);
    world.block(vec![]);
    let reader = world.ledger.reader();
    assert_eq!(reader.receipts(Height::new(1)).unwrap(), receipts);
    for (signed, expected) in transactions.iter().zip(&receipts) {
        let (_, found, _) = reader.receipt(&signed.id()).unwrap().unwrap();
        assert_eq!(found, *expected);
    }
}

#[test]
fn one_certificate_proves_every_earlier_block() {
    let mut world = World::new();
    for amount in 1..20 {
        let signed = payment(&mut world, amount);
        world.block(vec![signed]);
    }
    let reader = world.ledger.reader();
    let trusted = world.genesis.trusted();
    let newest = reader.finality(world.height()).unwrap().unwrap().verify(&trusted).unwrap();
    for height in (1..world.height().get()).map(Height::new) {
        let proof = reader.history_proof(height, world.height()).unwrap().unwrap();
        let stored = reader.block(height).unwrap().unwrap();
        let ancestor = newest.ancestor(stored.header.clone(), stored.outcome, &proof).unwrap();
        assert_eq!(ancestor.height(), height);
        let other = reader.block(height.next()).unwrap().unwrap().outcome;
        assert!(newest.ancestor(stored.header, other, &proof).is_err());
    }
    assert_eq!(reader.history_proof(Height::ZERO, world.height()).unwrap(), None);
    assert_eq!(reader.history_proof(world.height(), world.height()).unwrap(), None);
    assert_eq!(reader.history_proof(Height::new(1), world.height().next()).unwrap(), None);
}

#[test]
fn the_genesis_has_an_outcome_without_blocks_or_receipts() {
    let world = World::new();
    let head = world.ledger.head();
    assert_eq!((head.height(), head.block(), head.time()), (Height::ZERO, world.genesis.hash(), START));
    let outcome = head.outcome();
    assert_eq!((outcome.receipts_root, outcome.history_root), (list_root(&[]), list_root(&[])));
    assert_eq!(outcome.next_validators, world.genesis.validators.hash());
    assert_eq!(world.ledger.reader().outcome(Height::ZERO).unwrap().as_ref(), Some(outcome));
    assert_eq!(world.ledger.reader().head().unwrap(), (Height::ZERO, world.genesis.hash()));
}

#[test]
fn an_older_state_is_not_changed_by_later_blocks() {
    let mut world = World::new();
    let before = world.ledger.head().state().clone();
    let root = before.root();
    for _ in 0..5 {
        let signed = payment(&mut world, 10);
        world.block(vec![signed]);
    }
    assert_eq!(before.root(), root);
    let (values, proof) = before.group(&StateGroup::Balances(id(BOB)));
    assert_eq!(proof.verify(&root, &StateGroup::Balances(id(BOB)), &values), Ok(()));
    assert!(values.is_empty());
    let key = StateKey::Balance(id(BOB), asset("GOLD"));
    assert!(world.ledger.head().state().bytes(&key).is_some() && before.bytes(&key).is_none());
}
