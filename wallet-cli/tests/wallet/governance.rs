//! Who votes in a world in memory, and how that changes: as the ledger does it, without permissions.
use quorate_primitives::codec::{List, Text};
use quorate_primitives::receipt::{Event, Failure, Verdict};
use quorate_primitives::state::{OrganisationId, StateKey};
use quorate_primitives::transaction::{Action, Operation, TRANSACTION_VERSION, Transaction};
use quorate_primitives::validators::{Validator, ValidatorSet};
use quorate_primitives::{EpochNumber, SecretKey};

use super::tree::State;
use super::world::{Moment, World, get, key, now, person, set};

impl World {
    /// A governed world in its fifth epoch, in each of which others vote: n5 joins in epoch 2, n1 leaves
    /// and n2 has a new key in epoch 3, n6 joins in epoch 4.
    pub(crate) fn changed() -> Self {
        let mut world = Self::governed();
        let add = |world: &mut Self, name, seed| {
            let validator = validator(name, seed);
            let possession = validator.prove_possession(&world.genesis.hash(), &key(seed));
            world.govern(Operation::ValidatorAdd { validator, possession });
        };
        add(&mut world, "n5", 5);
        world.run_to(11);
        world.govern(Operation::ValidatorRemove { name: Text::new("n1").unwrap() });
        let renewed = validator("n2", 12);
        let possession = renewed.prove_possession(&world.genesis.hash(), &key(12));
        let Validator { name, key, .. } = renewed;
        world.govern(Operation::ValidatorRotateKey { name, key, possession });
        world.run_to(21);
        add(&mut world, "n6", 6);
        world.run_to(45);
        world
    }

    /// Adds a block in which the administrators do this.
    fn govern(&mut self, operation: Operation) {
        let keys = ["admin1", "admin2"].map(person);
        let mut signers = keys.each_ref().map(SecretKey::public_key).to_vec();
        signers.sort();
        let mut nonce = [0; 16];
        nonce[0] = u8::try_from(self.blocks.len()).unwrap();
        let transaction = Transaction {
            chain: self.genesis.hash(),
            version: TRANSACTION_VERSION,
            sender: self.id("governance"),
            nonce,
            valid_until: now().saturating_add(600_000),
            actions: List::of_one(Action { actor: None, operation }),
            asserts: List::default(),
            reference: Default::default(),
            memo: Default::default(),
            signers: List::new(signers).unwrap(),
        };
        self.seal(vec![transaction.sign(&keys).unwrap()], now());
        assert_eq!(self.head().receipts[0].verdict, Verdict::Committed);
    }
}

/// The validator of this name with the key of this seed.
pub(crate) fn validator(name: &str, seed: u8) -> Validator {
    let organisation = OrganisationId::new("acme").unwrap();
    Validator { name: Text::new(name).unwrap(), organisation, key: key(seed).public_key() }
}

/// The validators of an epoch: those at the greatest number that is not above it.
pub(crate) fn validators(state: &State, epoch: EpochNumber) -> ValidatorSet {
    let at_or_below = (0..=epoch.get()).rev().map(|number| StateKey::Validators(EpochNumber::new(number)));
    at_or_below.into_iter().find_map(|key| get(state, &key)).unwrap()
}

/// Changes the validators of the epoch after the next one.
pub(crate) fn change(state: &mut State, operation: &Operation, moment: &Moment) -> Result<Event, Failure> {
    let from = moment.epoch.saturating_add(2);
    let mut members = validators(state, from).members().to_vec();
    let named = |members: &[Validator], name: &str| {
        members.iter().position(|member| member.name.as_str() == name).ok_or(Failure::ValidatorUnknown)
    };
    let event = match operation.clone() {
        Operation::ValidatorAdd { validator, possession } => {
            check(&validator.possession_check(&moment.chain, possession))?;
            members.push(validator.clone());
            let Validator { name, organisation, key } = validator;
            Event::ValidatorAdded { name, organisation, key, from }
        }
        Operation::ValidatorRemove { name } => {
            let key = members.remove(named(&members, name.as_str())?).key;
            Event::ValidatorRemoved { name, key, from }
        }
        Operation::ValidatorRotateKey { name, key, possession } => {
            let position = named(&members, name.as_str())?;
            members[position].key = key;
            check(&members[position].possession_check(&moment.chain, possession))?;
            Event::ValidatorKeyRotated { name, key, from }
        }
        _ => return Err(Failure::Unsupported),
    };
    let set_of = ValidatorSet::new(members).map_err(|_| Failure::ValidatorExists)?;
    set(state, StateKey::Validators(from), &set_of);
    Ok(event)
}

fn check(possession: &quorate_primitives::keys::SignatureCheck) -> Result<(), Failure> {
    let proven = possession.key.verify(possession.domain, &possession.message, &possession.signature);
    if proven { Ok(()) } else { Err(Failure::PossessionInvalid) }
}
