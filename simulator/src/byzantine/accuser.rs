//! Accuses the innocent, and itself, with proofs that prove nothing or something else.
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::{Claim, Vote};
use quorate_primitives::evidence::{Accusation, Evidence};
use quorate_primitives::validators::EpochIdentity;
use quorate_primitives::{EpochNumber, View};
use quorate_replica::PeerMessage;
use std::collections::BTreeMap;

use super::place::{Atlas, Place, made_up, single_vote};
use crate::puppet::{Filter, Incoming, Stage};

/// Marks of what it does, by kind.
pub(super) const MARKS: [&str; 7] = [
    "accuser: a vote of another with its claim changed",
    "accuser: own votes under another's key",
    "accuser: own votes under another's index",
    "accuser: itself",
    "accuser: itself on another chain",
    "accuser: itself in an epoch to come",
    "accuser: votes of two epochs",
];

/// How often it accuses, in ms.
const INTERVAL_MS: u64 = 150;

/// See the module.
#[derive(Default)]
pub(super) struct Accuser {
    atlas: Atlas,
    sequence: u64,
    /// The last vote to notarize of each validator in each epoch.
    heard: BTreeMap<(u8, EpochNumber), Vote>,
}

/// Two conflicting votes of this program in some context, said to be of a validator.
fn own_votes(stage: &mut Stage<'_>, identity: &EpochIdentity, signer: u8) -> Evidence {
    let view = View::new(stage.dice().between(1, 1_000));
    let claims = [made_up(stage), made_up(stage)].map(|block| Claim::Notarize { view, block });
    let [first, second] = claims.map(|claim| stage.sign(claim, &identity.context(), signer));
    Evidence { first, second }
}

impl Accuser {
    fn accusation(&mut self, stage: &mut Stage<'_>) -> Option<(usize, Accusation)> {
        let place: &Place = self.atlas.place(stage)?;
        let (identity, own) = (place.identity, stage.key_of(stage.node())?);
        let others = (0..place.epoch.len()).filter(|index| *index != usize::from(place.index));
        let others: Vec<u8> = others.filter_map(|index| u8::try_from(index).ok()).collect();
        let victim = *stage.dice().pick(&others)?;
        let key = *place.epoch.validators.key(victim)?;
        let index = place.index;
        let kind = stage.dice().index(MARKS.len());
        let forged = |identity, validator, evidence| Accusation { identity, validator, evidence };
        let accusation = match kind {
            0 => {
                let first = self.heard.get(&(victim, identity.epoch))?.clone();
                let claim = Claim::Notarize { view: first.claim.view(), block: made_up(stage) };
                let second = Vote { claim, ..first.clone() };
                forged(identity, key, Evidence { first, second })
            }
            1 => forged(identity, key, own_votes(stage, &identity, victim)),
            2 => forged(identity, own, own_votes(stage, &identity, victim)),
            3 => forged(identity, own, own_votes(stage, &identity, index)),
            4 => {
                let identity = EpochIdentity { chain: made_up(stage), ..identity };
                forged(identity, own, own_votes(stage, &identity, index))
            }
            5 => {
                let identity = EpochIdentity { epoch: identity.epoch.next(), ..identity };
                forged(identity, own, own_votes(stage, &identity, index))
            }
            _ => {
                let second = self.heard.get(&(victim, identity.epoch))?.clone();
                let before = self.heard.range((victim, EpochNumber::ZERO)..(victim, identity.epoch));
                let first = before.map(|(_, vote)| vote).next_back()?.clone();
                // Made to be of one view, which the signature does not bear out.
                let block = first.claim.block()?;
                let claim = Claim::Notarize { view: second.claim.view(), block };
                forged(identity, key, Evidence { first: Vote { claim, ..first }, second })
            }
        };
        Some((kind, accusation))
    }
}

impl Filter for Accuser {
    fn start(&mut self, stage: &mut Stage<'_>) {
        stage.call_me(0, INTERVAL_MS);
    }

    fn incoming(&mut self, stage: &mut Stage<'_>, from: usize, message: &PeerMessage) -> Incoming {
        let sender = stage.key_of(from);
        if let PeerMessage::Consensus { epoch, .. } = message
            && let Some(vote) = single_vote(message)
            && matches!(vote.claim, Claim::Notarize { .. })
            && let Some(place) = self.atlas.place(stage)
            && place.epoch.validators.key(vote.signer).copied() == sender
        {
            self.heard.insert((vote.signer, *epoch), vote.clone());
        }
        Incoming::Pass
    }

    fn timer(&mut self, stage: &mut Stage<'_>, _tag: u64) {
        stage.call_me(0, INTERVAL_MS);
        let Some((kind, accusation)) = self.accusation(stage) else { return };
        self.sequence = self.sequence.wrapping_add(1);
        if let Ok(bundle) = Bundle::from_shared(0, self.sequence, Vec::new(), vec![accusation]) {
            stage.mark(MARKS[kind]);
            stage.send_all(&PeerMessage::Bundle(bundle));
        }
    }
}
