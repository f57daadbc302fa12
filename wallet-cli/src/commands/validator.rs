//! `validator`: who votes, and how that is changed.
use quorate_keystore::{Home, KeyFile, KeyName};
use quorate_primitives::codec::{self, Text};
use quorate_primitives::receipt::Failure as Refusal;
use quorate_primitives::state::{Organisation, OrganisationId, StateKey};
use quorate_primitives::transaction::Operation;
use quorate_primitives::validators::{VALIDATORS_MAX, Validator, ValidatorSet};
use quorate_primitives::{EpochNumber, Hash};
use quorate_rpc::client::Client;
use serde_json::{Value, json};
use std::path::Path;

use crate::arguments::{NewKey, Sending, Settings, ValidatorCommand};
use crate::explain::{trust_json, trust_line};
use crate::failure::{Exit, Failure};
use crate::membership::{Effect, Membership};
use crate::network::{self, Network};
use crate::output::{Report, table};
use crate::secrets;
use crate::sending::Outgoing;
use crate::session::Session;

pub(super) async fn execute(settings: &Settings, command: ValidatorCommand) -> Result<Report, Failure> {
    match command {
        ValidatorCommand::List { epoch } => list(settings, epoch.map(EpochNumber::new)).await,
        ValidatorCommand::Prove { name, organisation, key } => prove(settings, name, organisation, &key),
        ValidatorCommand::Add { name, organisation, key, sending } => {
            let validator = Validator { name, organisation, key: key.public_key };
            add(settings, &sending, validator, &key).await
        }
        ValidatorCommand::Remove { name, sending } => remove(settings, &sending, name).await,
        ValidatorCommand::Rotate { name, key, sending } => rotate(settings, &sending, name, &key).await,
    }
}

async fn list(settings: &Settings, asked: Option<EpochNumber>) -> Result<Report, Failure> {
    let mut session = Session::open(settings)?;
    if settings.unverified {
        let answer = session.nodes.ask(async |client: &Client| client.validators(asked).await).await?;
        return super::unverified(&session, &answer);
    }
    let membership = Membership::ask(&mut session.nodes, &[]).await?;
    let epoch = asked.unwrap_or_else(|| membership.epoch());
    let set = match membership.of(epoch) {
        Some(set) => set.clone(),
        None if epoch < membership.epoch() => session.nodes.validators(epoch).await?,
        None => {
            let decided = membership.epoch().next().next();
            let why = "who votes later is not decided";
            return Err(Failure::usage(format_args!(
                "--epoch: expected 0 to {decided}, found {epoch}; {why}"
            )));
        }
    };
    Ok(listed(&membership, epoch, &set))
}

fn listed(membership: &Membership, epoch: EpochNumber, set: &ValidatorSet) -> Report {
    let (first, last) = (membership.first_of(epoch), membership.parameters.last_of(epoch));
    let (effect, ledger) = (membership.effect(), membership.ledger());
    let changes = membership.next_change().filter(|_| epoch == membership.epoch());
    let row = |member: &Validator| {
        vec![member.name.to_string(), member.organisation.to_string(), member.key.to_string()]
    };
    let rows: Vec<Vec<String>> = set.members().iter().map(row).collect();
    let mut text = format!(
        "epoch       {epoch}, heights {first} to {last}\nquorum      {} of {}\n{}",
        set.quorum(),
        set.len(),
        table(&["name", "organisation", "key"], &rows),
    );
    if let Some(from) = changes {
        text.push_str(&format!("others vote from epoch {from} on: see --epoch {from}\n"));
    }
    if epoch == effect.from {
        text.push_str(&format!("can still change, up to height {}\n", effect.until));
    }
    text.push_str(&trust_line(ledger));
    let fields = json!({
        "epoch": epoch.to_string(),
        "first_height": first.to_string(),
        "last_height": last.to_string(),
        "quorum": set.quorum(),
        "hash": set.hash().to_string(),
        "fixed": epoch != effect.from,
        "next_change": changes.map(|from| from.to_string()),
        "validators": set.members().iter().map(fields).collect::<Vec<_>>(),
        "verified": trust_json(ledger),
    });
    Report::new(text, fields).with_rows("validators")
}

fn fields(member: &Validator) -> Value {
    json!({
        "name": member.name.as_str(),
        "organisation": member.organisation.as_str(),
        "key": member.key.to_string(),
    })
}

/// Signs with the validator's key that it is to be this validator. Asks no node.
fn prove(
    settings: &Settings,
    name: Text<32>,
    organisation: OrganisationId,
    typed: &str,
) -> Result<Report, Failure> {
    let home = network::home(settings)?;
    let network = Network::open(&home, settings)?;
    let key = validator_key(&home, typed)?;
    let secret = secrets::open(&key, settings)?;
    let validator = Validator { name, organisation, key: key.public_key() };
    let possession = hex::encode(codec::encode(&validator.prove_possession(&network.chain, &secret)));
    let Validator { name, organisation, key: public_key } = &validator;
    let text = format!(
        "network     {} {}\nvalidator   {name} of {organisation}\npublic key  {public_key}\npossession  {possession}\n",
        network.genesis.network, network.chain,
    );
    let fields = json!({
        "chain": network.chain.to_string(),
        "name": name.as_str(),
        "organisation": organisation.as_str(),
        "public_key": public_key.to_string(),
        "possession": possession,
    });
    Ok(Report::new(text, fields))
}

/// A key of the home, or the file of a key.
fn validator_key(home: &Home, typed: &str) -> Result<KeyFile, Failure> {
    let path = Path::new(typed);
    match KeyName::new(typed) {
        Ok(name) if home.key_path(&name).exists() => Ok(home.key(&name)?),
        Ok(_) | Err(_) if path.exists() => Ok(KeyFile::read(path)?),
        Ok(_) | Err(_) => {
            let folder = home.keys_folder();
            let allowed = format!("the name of a key in {} or a key file", folder.display());
            Err(Failure::new(Exit::Key, format_args!("--key: expected {allowed}, found {typed:?}")))
        }
    }
}

async fn add(
    settings: &Settings,
    sending: &Sending,
    validator: Validator,
    key: &NewKey,
) -> Result<Report, Failure> {
    let change = Change::begin(settings, sending, Some(&validator.organisation)).await?;
    if change.outgoing.is_new() {
        let organisation = &validator.organisation;
        if change.organisation.is_none() {
            return Err(super::rejected(Refusal::OrganisationUnknown, organisation.as_str()));
        }
        let members = change.membership.latest().members();
        check_unique(members, |other| other.name == validator.name || other.key == validator.key)?;
        check_possession(&validator, &change.session.network.chain, key)?;
        if members.len() >= VALIDATORS_MAX {
            return Err(super::rejected(Refusal::ValidatorSetFull, &format!("at most {VALIDATORS_MAX}")));
        }
    }
    change.send(Operation::ValidatorAdd { validator, possession: key.possession }).await
}

async fn remove(settings: &Settings, sending: &Sending, name: Text<32>) -> Result<Report, Failure> {
    let change = Change::begin(settings, sending, None).await?;
    if change.outgoing.is_new() {
        let set = change.membership.latest();
        member(set, &name)?;
        if set.len() == 1 {
            return Err(super::rejected(Refusal::ValidatorSetEmpty, name.as_str()));
        }
    }
    change.send(Operation::ValidatorRemove { name }).await
}

async fn rotate(
    settings: &Settings,
    sending: &Sending,
    name: Text<32>,
    key: &NewKey,
) -> Result<Report, Failure> {
    let change = Change::begin(settings, sending, None).await?;
    if change.outgoing.is_new() {
        let set = change.membership.latest();
        let renewed = Validator { key: key.public_key, ..member(set, &name)?.clone() };
        check_unique(set.members(), |other| other.key == renewed.key)?;
        check_possession(&renewed, &change.session.network.chain, key)?;
    }
    let NewKey { public_key: key, possession } = *key;
    change.send(Operation::ValidatorRotateKey { name, key, possession }).await
}

fn member<'a>(set: &'a ValidatorSet, name: &Text<32>) -> Result<&'a Validator, Failure> {
    let known = || {
        let names: Vec<&str> = set.members().iter().map(|member| member.name.as_str()).collect();
        super::rejected(Refusal::ValidatorUnknown, &format!("{name}; there will be {}", names.join(", ")))
    };
    set.members().iter().find(|member| member.name == *name).ok_or_else(known)
}

fn check_unique(members: &[Validator], same: impl Fn(&Validator) -> bool) -> Result<(), Failure> {
    match members.iter().find(|member| same(member)) {
        None => Ok(()),
        Some(Validator { name, organisation, key }) => {
            let what = format!("{name} of {organisation} with key {key}");
            Err(super::rejected(Refusal::ValidatorExists, &what))
        }
    }
}

fn check_possession(validator: &Validator, chain: &Hash, key: &NewKey) -> Result<(), Failure> {
    let check = validator.possession_check(chain, key.possession);
    if check.key.verify(check.domain, &check.message, &check.signature) {
        return Ok(());
    }
    let Validator { name, organisation, key } = validator;
    let how = "the proof is made with the key itself and for exactly these: quorate-wallet validator prove";
    let what = format!("--possession: validator {name} of {organisation}, key {key}, chain {chain}; {how}");
    Err(super::rejected(Refusal::PossessionInvalid, &what))
}

/// A change of the validators that is about to be sent.
struct Change<'a> {
    session: Session<'a>,
    outgoing: Outgoing<'a>,
    membership: Membership,
    /// The organisation that was asked about, if it exists.
    organisation: Option<Organisation>,
}

impl<'a> Change<'a> {
    /// Proves who votes, and that the sender is there and signed for by enough keys.
    async fn begin(
        settings: &'a Settings,
        sending: &'a Sending,
        organisation: Option<&OrganisationId>,
    ) -> Result<Self, Failure> {
        let mut session = Session::open(settings)?;
        let outgoing = Outgoing::begin(&session, sending)?;
        let sender = StateKey::Account(outgoing.signers().account());
        let owner = organisation.map(|id| StateKey::Organisation(id.clone()));
        let keys: Vec<StateKey> = [sender.clone()].into_iter().chain(owner.clone()).collect();
        let membership = Membership::ask(&mut session.nodes, &keys).await?;
        if outgoing.is_new() {
            super::check_sender(&session, &membership.state, &sender, outgoing.signers())?;
        }
        let organisation = match &owner {
            Some(key) => session.nodes.value::<Organisation>(&membership.state, key)?,
            None => None,
        };
        Ok(Self { session, outgoing, membership, organisation })
    }

    async fn send(mut self, operation: Operation) -> Result<Report, Failure> {
        let outgoing = if self.outgoing.is_new() {
            let Effect { from, first, until } = self.membership.effect();
            let when = format!("from epoch {from} on, which begins with height {first}");
            self.outgoing.with_effect(format!("{when}; an epoch later if in no block up to height {until}"))
        } else {
            self.outgoing
        };
        outgoing.send(&mut self.session, &self.membership.parameters, operation).await
    }
}
