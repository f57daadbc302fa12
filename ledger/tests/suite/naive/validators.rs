//! Validators in the naive ledger: lists that are written anew with every change.
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::{Text, encode};
use quorate_primitives::receipt::{Event, Failure};
use quorate_primitives::state::{Permission, Scope};
use quorate_primitives::validators::Validator;
use quorate_primitives::{Domain, EpochNumber, PublicKey, Signature};

use super::{Act, Done, ensure};

impl Act<'_> {
    fn members(&self) -> Vec<Validator> {
        self.books.set_of(self.epoch.next().next()).members().to_vec()
    }

    fn elect(&mut self, members: Vec<Validator>, event: impl Fn(EpochNumber) -> Event) {
        let from = self.epoch.next().next();
        self.books.sets.insert(from, members);
        self.events.push(event(from));
    }

    pub(super) fn join(&mut self, actor: AccountId, new: &Validator, possession: &Signature) -> Done {
        self.permitted(actor, Permission::ValidatorManage, &Scope::Chain, 0)?;
        ensure(self.organisations.contains_key(&new.organisation), Failure::OrganisationUnknown)?;
        let mut members = self.members();
        let taken = |member: &Validator| member.name == new.name || member.key == new.key;
        ensure(!members.iter().any(taken), Failure::ValidatorExists)?;
        self.sound(new, possession)?;
        ensure(members.len() < 128, Failure::ValidatorSetFull)?;
        members.push(new.clone());
        let Validator { name, organisation, key } = new;
        self.elect(members, |from| Event::ValidatorAdded {
            name: name.clone(),
            organisation: organisation.clone(),
            key: *key,
            from,
        });
        Ok(())
    }

    pub(super) fn leave(&mut self, actor: AccountId, name: &Text<32>) -> Done {
        self.permitted(actor, Permission::ValidatorManage, &Scope::Chain, 0)?;
        let (gone, rest): (Vec<_>, Vec<_>) =
            self.members().into_iter().partition(|member| member.name == *name);
        ensure(!gone.is_empty(), Failure::ValidatorUnknown)?;
        ensure(!rest.is_empty(), Failure::ValidatorSetEmpty)?;
        let key = gone[0].key;
        self.elect(rest, |from| Event::ValidatorRemoved { name: name.clone(), key, from });
        Ok(())
    }

    pub(super) fn renew(
        &mut self,
        actor: AccountId,
        (name, key): (&Text<32>, PublicKey),
        proof: &Signature,
    ) -> Done {
        let mut members = self.members();
        let at = members.iter().position(|member| member.name == *name).ok_or(Failure::ValidatorUnknown)?;
        let scope = Scope::Organisation(members[at].organisation.clone());
        self.permitted(actor, Permission::ValidatorManage, &scope, 0)?;
        ensure(members.iter().all(|member| member.key != key), Failure::ValidatorExists)?;
        members[at].key = key;
        self.sound(&members[at], proof)?;
        self.elect(members, |from| Event::ValidatorKeyRotated { name: name.clone(), key, from });
        Ok(())
    }

    fn sound(&self, new: &Validator, possession: &Signature) -> Done {
        ensure(!new.name.as_str().is_empty() && new.key.check().is_ok(), Failure::ValidatorInvalid)?;
        let message = encode(&(self.chain, new.name.clone(), new.organisation.clone(), new.key));
        let proven = new.key.verify(Domain::SignPossession, &message, possession);
        ensure(proven, Failure::PossessionInvalid)
    }
}
