//! The tally against a model that keeps everything in one list.
use std::collections::BTreeMap;

use proptest::prelude::*;
use quorate_primitives::{Hash, Signature};

use super::*;

const VALIDATORS: u8 = 7;
const QUORUM: usize = 5;

fn block(number: u8) -> Hash {
    Hash::from_bytes([number; 32])
}

fn claim(number: u8) -> Claim {
    let view = View::new(1 + u64::from(number / 8) % 2);
    match number % 8 {
        0 => Claim::Nullify { view },
        1..=3 => Claim::Notarize { view, block: block(number % 2) },
        4..=6 => Claim::Finalize { view, block: block(0), outcome: block(number % 2) },
        _ => Claim::Finalize { view, block: block(1), outcome: block(0) },
    }
}

fn vote(signer: u8, number: u8, is_valid: bool) -> Vote {
    Vote { claim: claim(number), signer, signature: Signature::from_bytes([u8::from(is_valid); 64]) }
}

fn is_valid(vote: &Vote) -> bool {
    vote.signature.as_bytes()[0] == 1
}

/// Says at once what is true of a list of votes.
#[derive(Default)]
struct Model {
    heard: Vec<Vote>,
}

impl Model {
    /// The vote of each signer that stands: the first of its view and kind that was not refuted.
    fn standing(&self) -> BTreeMap<(View, ClaimKind, u8), &Vote> {
        let mut standing = BTreeMap::new();
        for vote in &self.heard {
            standing.entry((vote.claim.view(), vote.claim.kind(), vote.signer)).or_insert(vote);
        }
        standing
    }

    /// Who validly voted for a claim.
    fn supporters(&self, claim: &Claim) -> Signers {
        let standing = self.standing();
        let supporting = standing.values().filter(|vote| vote.claim == *claim && is_valid(vote));
        supporting.fold(Signers::NONE, |signers, vote| signers.with(vote.signer))
    }

    fn refute(&mut self, liars: &[Vote]) {
        self.heard.retain(|vote| !liars.contains(vote));
    }
}

/// Checks whatever is due, as the engine does.
fn check_due(tally: &mut Tally, model: &mut Model, claim: &Claim) {
    loop {
        let due = tally.due(claim, QUORUM);
        if due.is_empty() {
            return;
        }
        let liars: Vec<Vote> = due.iter().filter(|vote| !is_valid(vote)).cloned().collect();
        let bad = liars.iter().fold(Signers::NONE, |bad, vote| bad.with(vote.signer));
        tally.checked(&due, bad);
        model.refute(&liars);
    }
}

proptest! {
    #[test]
    fn certifies_exactly_what_a_quorum_of_valid_first_votes_says(
        votes in prop::collection::vec((0..VALIDATORS, 0_u8..16, prop::bool::weighted(0.85)), 0..120),
    ) {
        let mut tally = Tally::new(QUORUM);
        let mut model = Model::default();
        for (signer, number, valid) in votes {
            let vote = vote(signer, number, valid);
            let known = model.standing().contains_key(&(vote.claim.view(), vote.claim.kind(), signer));
            let added = tally.add(vote.clone(), Standing::Unchecked);
            prop_assert_eq!(added.stored, !known);
            if !known {
                model.heard.push(vote.clone());
            }
            check_due(&mut tally, &mut model, &vote.claim);
            for number in 0..16 {
                let claim = claim(number);
                let supporters = model.supporters(&claim);
                let found = tally.certificate(&claim);
                prop_assert_eq!(found.is_some(), supporters.count() >= QUORUM, "{}", claim);
                if let Some(found) = found {
                    prop_assert!(found.signers.difference(supporters).is_empty());
                    prop_assert_eq!(found.signers.count(), found.signatures.len());
                    prop_assert!(found.signatures.iter().all(|signature| signature.as_bytes()[0] == 1));
                }
            }
        }
    }

    #[test]
    fn reports_each_kind_of_fault_of_a_validator_at_most_once(
        votes in prop::collection::vec((0..VALIDATORS, 0_u8..16), 0..120),
    ) {
        let mut tally = Tally::new(QUORUM);
        let mut reported = BTreeSet::new();
        let mut first: BTreeMap<(View, ClaimKind, u8), Claim> = BTreeMap::new();
        for (signer, number) in votes {
            let vote = vote(signer, number, true);
            let honest = first.iter().filter(|((.., who), _)| *who == signer).all(|(_, earlier)| {
                conflict(earlier, &vote.claim).is_none_or(|kind| reported.contains(&(signer, kind)))
            });
            let added = tally.add(vote.clone(), Standing::Unchecked);
            prop_assert_eq!(added.conflict.is_none(), honest);
            if let Some((kind, evidence)) = added.conflict {
                prop_assert_eq!(evidence.kind(), Some(kind));
                prop_assert_eq!(evidence.signer(), signer);
                prop_assert!(reported.insert((signer, kind)), "reported twice");
            }
            first.entry((vote.claim.view(), vote.claim.kind(), signer)).or_insert(vote.claim);
        }
    }

    #[test]
    fn keeps_few_views_whatever_is_claimed(
        view in 1_u64.., finalized in 0_u64.., claimed in any::<u64>(), kind in 0_u8..3,
    ) {
        let finalized = finalized.min(view - 1);
        let at = View::new(claimed);
        let claim = match kind {
            0 => Claim::Notarize { view: at, block: block(0) },
            1 => Claim::Nullify { view: at },
            _ => Claim::Finalize { view: at, block: block(0), outcome: block(0) },
        };
        let back = if kind == 2 { OPEN_MAX } else { RETAIN };
        let inside = claimed > 0
            && u128::from(claimed) <= u128::from(view) + u128::from(AHEAD)
            && u128::from(claimed) + u128::from(back) >= u128::from(view)
            && u128::from(claimed) + u128::from(RETAIN) >= u128::from(finalized);
        prop_assert_eq!(Tally::admits(&claim, View::new(view), View::new(finalized)), inside);
    }
}

#[test]
fn an_unchecked_vote_does_not_displace_a_checked_one() {
    let mut tally = Tally::new(1);
    let genuine = vote(3, 0, true);
    tally.add(genuine.clone(), Standing::Verified);
    tally.add(vote(3, 0, false), Standing::Unchecked);
    assert!(tally.is_verified(&claim(0), 3, &genuine.signature));
    assert!(tally.due(&claim(0), 2).is_empty());
}

#[test]
fn votes_wait_for_the_verdict_on_those_before_them() {
    let mut tally = Tally::new(2);
    tally.add(vote(0, 0, true), Standing::Unchecked);
    tally.add(vote(1, 0, false), Standing::Unchecked);
    let first = tally.due(&claim(0), 2);
    assert_eq!(first.len(), 2);
    tally.add(vote(2, 0, true), Standing::Unchecked);
    assert!(tally.due(&claim(0), 2).is_empty(), "a second batch at the same time");
    tally.checked(&first, Signers::one(1));
    assert_eq!(tally.due(&claim(0), 2).len(), 1);
}
