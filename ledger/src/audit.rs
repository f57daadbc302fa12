//! What must be true of every state, checked from its entries alone.
use quorate_primitives::address::AccountId;
use quorate_primitives::evidence::{Accusation, RecordedEvidence};
use quorate_primitives::keys::SignatureCheck;
use quorate_primitives::merkle::{Leaf, tree_root};
use quorate_primitives::state::{
    Account, Asset, AssetId, Balance, DECIMALS_MAX, Grant, Marker, Organisation, OrganisationId, Parameters,
    Permission, StateKey, value_hash,
};
use quorate_primitives::validators::ValidatorSet;
use quorate_primitives::{Amount, EpochNumber, Hash};
use std::collections::{BTreeMap, BTreeSet};

use crate::state::{State, read};

/// A state that no sequence of valid blocks can have led to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A value that cannot be decoded.
    #[error("the value at {key:?} cannot be read")]
    Unreadable {
        /// Where.
        key: StateKey,
    },
    /// Units of an asset that are in no account, or in accounts and not counted.
    #[error("asset {asset} has supply {supply}, but its balances sum to {sum:?}")]
    Supply {
        /// Which.
        asset: AssetId,
        /// Recorded.
        supply: Amount,
        /// Computed; absent if it passes the largest amount.
        sum: Option<Amount>,
    },
    /// More units than may exist.
    #[error("asset {asset} has supply {supply} above its cap {cap}")]
    Cap {
        /// Which.
        asset: AssetId,
        /// Units that exist.
        supply: Amount,
        /// Units that may exist.
        cap: Amount,
    },
    /// An asset whose id does not follow from its symbol, or with too many decimals.
    #[error("the record of asset {asset} is not one that can be created")]
    Asset {
        /// Which.
        asset: AssetId,
    },
    /// More units promised and frozen than there are.
    #[error("account {account} has more units of {asset} held and frozen than posted")]
    Balance {
        /// Whose.
        account: AccountId,
        /// Of what.
        asset: AssetId,
    },
    /// An entry about an object that does not exist.
    #[error("the entry at {key:?} is about something that does not exist")]
    Dangling {
        /// Which.
        key: StateKey,
    },
    /// An authority under which an account cannot be used safely.
    #[error("the authority of account {account} is not allowed")]
    Authority {
        /// Whose.
        account: AccountId,
    },
    /// Validators of an epoch that no block so far could decide about, or none of the first epoch.
    #[error("validators of epoch {epoch} are missing or cannot be known yet")]
    Validators {
        /// Which epoch.
        epoch: EpochNumber,
    },
    /// Recorded evidence that does not convict whom it is about.
    #[error("the evidence at {key:?} proves nothing")]
    Evidence {
        /// Where.
        key: StateKey,
    },
    /// The tree's root is not the root of its leaves.
    #[error("the state tree has root {found}, but its leaves have root {expected}")]
    Root {
        /// Computed from all leaves.
        expected: Hash,
        /// Of the tree.
        found: Hash,
    },
    /// An order beside the tree that does not hold the same entries.
    #[error("the order of {what} does not hold the entries of the tree")]
    Order {
        /// Which.
        what: &'static str,
    },
}

/// The entries of a state by kind.
#[derive(Default)]
struct Books {
    organisations: BTreeSet<OrganisationId>,
    accounts: BTreeMap<AccountId, Account>,
    assets: BTreeMap<AssetId, Asset>,
    balances: Vec<(AccountId, AssetId, Balance)>,
    grants: Vec<(AccountId, StateKey)>,
    administrators: BTreeSet<StateKey>,
    markers: BTreeSet<StateKey>,
    sets: BTreeMap<EpochNumber, ValidatorSet>,
    evidence: Vec<(StateKey, RecordedEvidence)>,
}

/// Checks every invariant. Reads the whole state and hashes it anew.
///
/// # Errors
/// [`Violation`] naming the first broken invariant.
pub fn audit(state: &State) -> Result<(), Violation> {
    let mut books = Books::default();
    let mut leaves = Vec::new();
    for (key, value) in state.entries() {
        leaves.push(Leaf { path: key.path(), value: value_hash(value) });
        books.enter(&key, value).ok_or_else(|| Violation::Unreadable { key: key.clone() })?;
    }
    leaves.sort_unstable_by_key(|leaf| leaf.path);
    let (expected, found) = (tree_root(&leaves), state.root());
    if expected != found {
        return Err(Violation::Root { expected, found });
    }
    books.check_accounts()?;
    books.check_balances()?;
    books.check_assets()?;
    books.check_grants()?;
    books.check_validators(state)?;
    books.check_evidence(state)?;
    books.check_orders(state)
}

impl Books {
    fn enter(&mut self, key: &StateKey, value: &[u8]) -> Option<()> {
        match key {
            StateKey::Parameters => {
                read::<Parameters>(value)?;
            }
            StateKey::Validators(epoch) => drop(self.sets.insert(*epoch, read(value)?)),
            StateKey::Organisation(id) => {
                read::<Organisation>(value)?;
                self.organisations.insert(id.clone());
            }
            StateKey::Account(id) => drop(self.accounts.insert(*id, read(value)?)),
            StateKey::Asset(id) => drop(self.assets.insert(*id, read(value)?)),
            StateKey::Balance(account, asset) => self.balances.push((*account, *asset, read(value)?)),
            StateKey::Grant(grantee, permission, _) => {
                read::<Grant>(value)?;
                self.grants.push((*grantee, key.clone()));
                if *permission == Permission::GrantManage {
                    self.administrators.insert(key.clone());
                }
            }
            StateKey::Evidence(..) => self.evidence.push((key.clone(), read(value)?)),
            StateKey::Nonce(..) | StateKey::Unauthorised(_) => {
                read::<Marker>(value)?;
                self.markers.insert(key.clone());
            }
        }
        Some(())
    }

    fn check_accounts(&self) -> Result<(), Violation> {
        for (id, account) in &self.accounts {
            if !self.organisations.contains(&account.organisation) {
                return Err(Violation::Dangling { key: StateKey::Account(*id) });
            }
            account.authority.check().map_err(|_| Violation::Authority { account: *id })?;
        }
        Ok(())
    }

    fn check_balances(&self) -> Result<(), Violation> {
        for (account, asset, balance) in &self.balances {
            if !self.accounts.contains_key(account) || !self.assets.contains_key(asset) {
                return Err(Violation::Dangling { key: StateKey::Balance(*account, *asset) });
            }
            let bound = balance.held.checked_add(balance.frozen);
            if bound.is_none_or(|bound| bound > balance.posted) {
                return Err(Violation::Balance { account: *account, asset: *asset });
            }
        }
        Ok(())
    }

    fn check_assets(&self) -> Result<(), Violation> {
        for (id, asset) in &self.assets {
            if AssetId::derive(&asset.symbol) != *id || asset.decimals > DECIMALS_MAX {
                return Err(Violation::Asset { asset: *id });
            }
            if !self.accounts.contains_key(&asset.issuer) {
                return Err(Violation::Dangling { key: StateKey::Asset(*id) });
            }
            let (supply, cap) = (asset.supply, asset.cap);
            let own = self.balances.iter().filter(|(_, held, _)| held == id);
            let sum = own.map(|(_, _, balance)| balance.posted).try_fold(Amount::ZERO, Amount::checked_add);
            if sum != Some(supply) {
                return Err(Violation::Supply { asset: *id, supply, sum });
            }
            if supply > cap {
                return Err(Violation::Cap { asset: *id, supply, cap });
            }
        }
        Ok(())
    }

    fn check_grants(&self) -> Result<(), Violation> {
        match self.grants.iter().find(|(grantee, _)| !self.accounts.contains_key(grantee)) {
            Some((_, key)) => Err(Violation::Dangling { key: key.clone() }),
            None => Ok(()),
        }
    }

    /// Names and keys are unique within a set, and keys sound, or it could not be read.
    fn check_validators(&self, state: &State) -> Result<(), Violation> {
        if !self.sets.contains_key(&EpochNumber::ZERO) {
            return Err(Violation::Validators { epoch: EpochNumber::ZERO });
        }
        let latest = epoch_of(state).saturating_add(2);
        for (epoch, set) in &self.sets {
            if *epoch > latest {
                return Err(Violation::Validators { epoch: *epoch });
            }
            if set.members().iter().any(|member| !self.organisations.contains(&member.organisation)) {
                return Err(Violation::Dangling { key: StateKey::Validators(*epoch) });
            }
        }
        Ok(())
    }

    fn check_evidence(&self, state: &State) -> Result<(), Violation> {
        for (key, recorded) in &self.evidence {
            if !self.convicts(state, key, recorded) {
                return Err(Violation::Evidence { key: key.clone() });
            }
        }
        Ok(())
    }

    fn convicts(&self, state: &State, key: &StateKey, recorded: &RecordedEvidence) -> bool {
        let RecordedEvidence { accusation, height } = recorded;
        let Accusation { identity, validator, evidence } = accusation;
        let own_key = accusation.check().map(|kind| StateKey::Evidence(identity.epoch, *validator, kind));
        let set = self.sets.range(..=identity.epoch).next_back().map(|(_, set)| set);
        let parameters = state.parameters();
        let signed = |check: SignatureCheck| check.key.verify(check.domain, &check.message, &check.signature);
        own_key.as_ref() == Ok(key)
            && *height <= state.height()
            && identity.chain == state.chain()
            && parameters.as_ref().is_some_and(|parameters| {
                parameters.hash() == identity.parameters && identity.epoch <= parameters.epoch_of(*height)
            })
            && set.is_some_and(|set| {
                set.hash() == identity.validators && set.key(evidence.signer()) == Some(validator)
            })
            && accusation.signature_checks().into_iter().all(signed)
    }

    fn check_orders(&self, state: &State) -> Result<(), Violation> {
        let order = |what| Violation::Order { what };
        if !state.assets(None).map(|(id, _)| id).eq(self.assets.keys().copied()) {
            return Err(order("assets"));
        }
        let unauthorised = self.markers.iter().any(|key| matches!(key, StateKey::Unauthorised(_)));
        if state.has_unauthorised() != unauthorised {
            return Err(order("markers of transactions that nobody authorised"));
        }
        let administrators: BTreeSet<StateKey> = state.all_administrators().cloned().collect();
        if administrators != self.administrators {
            return Err(order("administrators"));
        }
        if !state.validator_changes().eq(self.sets.keys().copied()) {
            return Err(order("validators"));
        }
        Ok(())
    }
}

/// The epoch of the block that left a state.
fn epoch_of(state: &State) -> EpochNumber {
    state.parameters().map_or(EpochNumber::ZERO, |parameters| parameters.epoch_of(state.height()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Place;
    use quorate_genesis::Genesis;
    use quorate_genesis::build::Draft;
    use quorate_primitives::certificate::Claim;
    use quorate_primitives::codec::{Text, encode};
    use quorate_primitives::evidence::{Evidence, EvidenceKind};
    use quorate_primitives::validators::{EpochIdentity, Validator};
    use quorate_primitives::{Height, SecretKey, Timestamp, View};

    fn secret(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32].into())
    }

    fn genesis() -> Genesis {
        let mut draft = Draft::new("test", "qtest", Timestamp::new(1_800_000_000_000));
        draft.parameters.epoch_length = 10;
        draft.organisation("acme", "ACME", "admin").account("admin", "acme", secret(9).public_key());
        draft.validator("n1", "acme", secret(1).public_key());
        draft.validator("n2", "acme", secret(2).public_key());
        draft.build().unwrap()
    }

    /// The genesis with more entries, as if it were the state after a block of epoch 1.
    fn later(more: Vec<(StateKey, Vec<u8>)>) -> State {
        let genesis = genesis();
        let place = Place { chain: genesis.hash(), height: Height::new(15), time: genesis.time };
        State::from_entries(place, genesis.state().into_iter().chain(more))
    }

    fn recorded(key_seed: u8, index: u8) -> (StateKey, RecordedEvidence) {
        let genesis = genesis();
        let identity = EpochIdentity { epoch: EpochNumber::new(1), ..*genesis.trusted().identity() };
        let vote = |byte: u8| {
            let claim = Claim::Notarize { view: View::new(1), block: Hash::from_bytes([byte; 32]) };
            claim.sign(&identity.context(), index, &secret(key_seed))
        };
        let (evidence, validator) =
            (Evidence { first: vote(1), second: vote(2) }, secret(key_seed).public_key());
        let key = StateKey::Evidence(identity.epoch, validator, EvidenceKind::DoubleNotarize);
        let accusation = Accusation { identity, validator, evidence };
        (key, RecordedEvidence { accusation, height: Height::new(12) })
    }

    #[test]
    fn validators_up_to_two_epochs_ahead_are_sound() {
        let set = encode(&genesis().validators);
        let sets = |epoch| vec![(StateKey::Validators(EpochNumber::new(epoch)), set.clone())];
        assert_eq!(audit(&later(sets(3))), Ok(()));
        let epoch = EpochNumber::new(4);
        assert_eq!(audit(&later(sets(4))), Err(Violation::Validators { epoch }));
    }

    #[test]
    fn a_state_without_validators_is_found() {
        let genesis = genesis();
        let place = Place { chain: genesis.hash(), height: Height::ZERO, time: genesis.time };
        let rest = genesis.state().into_iter().filter(|(key, _)| !matches!(key, StateKey::Validators(_)));
        let epoch = EpochNumber::ZERO;
        assert_eq!(audit(&State::from_entries(place, rest)), Err(Violation::Validators { epoch }));
    }

    #[test]
    fn a_set_with_a_name_or_key_twice_is_found() {
        let key = StateKey::Validators(EpochNumber::new(2));
        let members = genesis().validators.members().to_vec();
        let [first, second] = [0, 1].map(|index: usize| members[index].clone());
        let same_name = Validator { name: first.name.clone(), ..second.clone() };
        let same_key = Validator { key: first.key, ..second };
        for twin in [same_name, same_key] {
            let state = later(vec![(key.clone(), encode(&vec![first.clone(), twin]))]);
            assert_eq!(audit(&state), Err(Violation::Unreadable { key: key.clone() }));
        }
    }

    #[test]
    fn a_validator_of_an_unknown_organisation_is_found() {
        let key = StateKey::Validators(EpochNumber::new(1));
        let name = Text::new("n1").unwrap();
        let stranger = Validator { name, organisation: "beta".parse().unwrap(), key: secret(1).public_key() };
        let state = later(vec![(key.clone(), encode(&vec![stranger]))]);
        assert_eq!(audit(&state), Err(Violation::Dangling { key }));
    }

    #[test]
    fn evidence_that_convicts_is_sound() {
        let (key, evidence) = recorded(2, 1);
        assert_eq!(audit(&later(vec![(key, encode(&evidence))])), Ok(()));
    }

    #[test]
    fn evidence_that_convicts_nobody_is_found() {
        let (key, good) = recorded(2, 1);
        let changed = |change: fn(&mut RecordedEvidence)| {
            let mut evidence = good.clone();
            change(&mut evidence);
            (key.clone(), evidence)
        };
        let wrong = [
            recorded(2, 0),
            recorded(3, 1),
            (
                StateKey::Evidence(EpochNumber::ZERO, secret(2).public_key(), EvidenceKind::DoubleNotarize),
                good.clone(),
            ),
            (
                StateKey::Evidence(EpochNumber::new(1), secret(2).public_key(), EvidenceKind::DoubleFinalize),
                good.clone(),
            ),
            changed(|evidence| evidence.height = Height::new(16)),
            changed(|evidence| evidence.height = Height::new(10)),
            changed(|evidence| evidence.accusation.identity.chain = Hash::ZERO),
            changed(|evidence| evidence.accusation.identity.parameters = Hash::ZERO),
            changed(|evidence| evidence.accusation.identity.validators = Hash::ZERO),
            changed(|evidence| evidence.accusation.identity.anchor_outcome = Hash::from_bytes([1; 32])),
            changed(|evidence| {
                evidence.accusation.evidence.second = evidence.accusation.evidence.first.clone()
            }),
        ];
        for (key, evidence) in wrong {
            let found = audit(&later(vec![(key.clone(), encode(&evidence))]));
            assert_eq!(found, Err(Violation::Evidence { key }), "{evidence:?}");
        }
    }
}
