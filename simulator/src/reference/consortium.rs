//! Who validates, and who was found guilty.
use quorate_primitives::address::AccountId;
use quorate_primitives::block::Header;
use quorate_primitives::codec::encode;
use quorate_primitives::evidence::{Accusation, RecordedEvidence};
use quorate_primitives::hash::{Domain, hash_of};
use quorate_primitives::receipt::{Event, Failure};
use quorate_primitives::state::{Permission, Scope};
use quorate_primitives::transaction::Operation;
use quorate_primitives::validators::Validator;
use quorate_primitives::{EpochNumber, Signature};

use super::act::{Act, Done};
use super::permits::require;
use super::{Books, Reference};

/// Most validators of an epoch.
const VALIDATORS_MAX: usize = 128;

/// The validators of an epoch: those of the latest set that is in force by then.
fn members(books: &Books, epoch: EpochNumber) -> Vec<Validator> {
    let in_force = books.sets.map.range(..=epoch).next_back();
    in_force.map(|(_, members)| members.clone()).unwrap_or_default()
}

impl Act<'_> {
    /// The epoch from which a change of this block counts.
    fn from(&self) -> EpochNumber {
        self.header.epoch.next().next()
    }

    pub(super) fn elect(&mut self, actor: AccountId, operation: &Operation) -> Done {
        let from = self.from();
        let mut members = members(self.books, from);
        let event = match operation {
            Operation::ValidatorAdd { validator, possession } => {
                self.permitted(actor, Permission::ValidatorManage, &Scope::Chain)?;
                self.add(&mut members, validator, possession)?;
                let Validator { name, organisation, key } = validator.clone();
                Event::ValidatorAdded { name, organisation, key, from }
            }
            Operation::ValidatorRemove { name } => {
                self.permitted(actor, Permission::ValidatorManage, &Scope::Chain)?;
                let found = members.iter().position(|member| member.name == *name);
                let gone = members.remove(found.ok_or(Failure::ValidatorUnknown)?);
                require(!members.is_empty(), Failure::ValidatorSetEmpty)?;
                Event::ValidatorRemoved { name: name.clone(), key: gone.key, from }
            }
            Operation::ValidatorRotateKey { name, key, possession } => {
                let is_taken = members.iter().any(|member| member.key == *key);
                let found = members.iter_mut().find(|member| member.name == *name);
                let member = found.ok_or(Failure::ValidatorUnknown)?;
                let scope = Scope::Organisation(member.organisation.clone());
                self.permitted(actor, Permission::ValidatorManage, &scope)?;
                require(!is_taken, Failure::ValidatorExists)?;
                member.key = *key;
                self.check(member, possession)?;
                Event::ValidatorKeyRotated { name: name.clone(), key: *key, from }
            }
            _ => return Ok(()),
        };
        self.books.sets.set(from, members);
        self.tell(event)
    }

    fn add(&self, members: &mut Vec<Validator>, new: &Validator, possession: &Signature) -> Done {
        require(self.organisations.contains_key(&new.organisation), Failure::OrganisationUnknown)?;
        let is_taken = members.iter().any(|member| member.name == new.name || member.key == new.key);
        require(!is_taken, Failure::ValidatorExists)?;
        self.check(new, possession)?;
        require(members.len() < VALIDATORS_MAX, Failure::ValidatorSetFull)?;
        members.push(new.clone());
        Ok(())
    }

    /// Whether a validator's name and key are sound, and the key has signed for them.
    fn check(&self, new: &Validator, possession: &Signature) -> Done {
        let is_sound = !new.name.as_str().is_empty() && new.key.check().is_ok();
        require(is_sound, Failure::ValidatorInvalid)?;
        let message = encode(&(self.chain, new.clone()));
        let is_proven = new.key.verify(Domain::SignPossession, &message, possession);
        require(is_proven, Failure::PossessionInvalid)
    }
}

impl Reference {
    /// Remembers an accusation, if it is about a validator of this chain and nothing of its kind is known.
    pub(super) fn accuse(&mut self, header: &Header, accusation: &Accusation) {
        let identity = &accusation.identity;
        let members = members(&self.books, identity.epoch);
        let is_ours = identity.chain == self.chain
            && identity.epoch <= header.epoch
            && identity.parameters == hash_of(Domain::Parameters, &self.parameters)
            && identity.validators == hash_of(Domain::Validators, &members);
        let accused = members.get(usize::from(accusation.evidence.signer()));
        let Some(kind) = accusation.evidence.kind() else { return };
        if is_ours && accused.is_some_and(|accused| accused.key == accusation.validator) {
            let recorded = RecordedEvidence { accusation: accusation.clone(), height: header.height };
            self.evidence.entry((identity.epoch, accusation.validator, kind)).or_insert(recorded);
        }
    }
}
