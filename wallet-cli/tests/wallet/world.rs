//! A small network in memory: a genesis, four validators at first, and blocks that they certified.
use quorate_genesis::Genesis;
use quorate_genesis::build::{AccountDraft, AssetDraft, Draft};
use quorate_primitives::address::AccountId;
use quorate_primitives::block::{Header, Outcome, PROTOCOL_VERSION, Payload, history_leaf};
use quorate_primitives::certificate::{Certificate, Claim};
use quorate_primitives::codec::{self, List};
use quorate_primitives::light::{FinalityProof, Handover, TrustedEpoch};
use quorate_primitives::merkle::{ListProof, list_root};
use quorate_primitives::receipt::{BalanceAfter, Event, Failure, Receipt, Verdict};
use quorate_primitives::state::{
    Account, Asset, AssetId, Balance, Capabilities, Marker, StateKey, Status, Symbol,
};
use quorate_primitives::transaction::{Operation, Quantity, SignedTransaction};
use quorate_primitives::validators::{Signers, ValidatorSet, faulty_max};
use quorate_primitives::{Amount, EpochNumber, Hash, Height, SecretKey, Timestamp, View};
use quorate_rpc::json;
use zeroize::Zeroizing;

use super::governance;
use super::tree::{self, State};

pub(crate) const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];
/// Whose keys, any two of them, act for the account `governance` of a governed world.
pub(crate) const ADMINS: [&str; 3] = ["admin1", "admin2", "admin3"];
/// Heights in an epoch of a governed world: the fewest that there may be.
const EPOCH_LENGTH: u64 = 10;

/// A block, what it did, and its certificate if it has one of its own.
#[derive(Clone)]
pub(crate) struct Block {
    pub(crate) header: Header,
    pub(crate) outcome: Outcome,
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) transactions: Vec<SignedTransaction>,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) state: State,
}

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) toml: String,
    pub(crate) genesis: Genesis,
    pub(crate) blocks: Vec<Block>,
    /// The epochs that have begun, and what led to each but the first.
    pub(crate) epochs: Vec<TrustedEpoch>,
    pub(crate) handovers: Vec<Handover>,
}

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&Zeroizing::new([seed; 32]))
}

pub(crate) fn person(name: &str) -> SecretKey {
    let position = PEOPLE.iter().chain(&ADMINS).position(|known| *known == name).unwrap();
    key(100 + u8::try_from(position).unwrap())
}

pub(crate) fn usd() -> AssetId {
    AssetId::derive(&Symbol::new("USD").unwrap())
}

pub(crate) fn now() -> Timestamp {
    quorate_wallet_cli::clock::now()
}

fn draft() -> Draft {
    let mut draft = Draft::new("devnet-test", "qtest", Timestamp::new(1_700_000_000_000));
    draft.organisation("acme", "Acme", "alice");
    for index in 0..4 {
        draft.validator(&format!("n{}", index + 1), "acme", key(index + 1).public_key());
    }
    for name in PEOPLE {
        draft.account(name, "acme", person(name).public_key());
    }
    for (symbol, decimals) in [("USD", 2), ("QTY", 0)] {
        draft.asset(AssetDraft {
            symbol: symbol.to_owned(),
            name: format!("the {symbol}"),
            decimals,
            cap: "1000000000".to_owned(),
            capabilities: Capabilities::MINTABLE,
            issuer: "alice".to_owned(),
        });
    }
    draft.balance("alice", "USD", "1000000.00").balance("alice", "QTY", "7").balance("bob", "USD", "12.50");
    draft.balance("bob", "QTY", "3");
    draft
}

/// Short epochs, and an account that manages the validators.
fn governed_draft() -> Draft {
    let mut draft = draft();
    draft.parameters.epoch_length = EPOCH_LENGTH;
    draft.governance = Some("governance".to_owned());
    let mut keys: Vec<_> = ADMINS.iter().map(|name| (person(name).public_key(), 1)).collect();
    keys.sort();
    draft.accounts.push(AccountDraft {
        name: "governance".to_owned(),
        organisation: "acme".to_owned(),
        threshold: 2,
        keys,
        salt: [0; 16],
    });
    draft
}

/// Signs a claim in a context, with the keys of these signers.
pub(crate) fn certify(context: &Hash, claim: Claim, keys: &[SecretKey], signers: &[u8]) -> Certificate {
    let sign = |index: &u8| claim.sign(context, *index, &keys[usize::from(*index)]).signature;
    let signatures = List::new(signers.iter().map(sign).collect()).unwrap();
    let signers = signers.iter().fold(Signers::NONE, |all, index| all.with(*index));
    Certificate { claim, signers, signatures }
}

/// The secret keys of validators, whose seeds are small numbers.
pub(crate) fn keys_of(set: &ValidatorSet) -> Vec<SecretKey> {
    let known = |public| (1..100).map(key).find(|key| key.public_key() == public).unwrap();
    set.members().iter().map(|member| known(member.key)).collect()
}

impl World {
    /// The network with one empty block, made now.
    pub(crate) fn new() -> Self {
        Self::of(&draft())
    }

    /// The same with epochs of ten heights and the account `governance`, for which two of three act.
    pub(crate) fn governed() -> Self {
        Self::of(&governed_draft())
    }

    /// Another chain with short epochs.
    pub(crate) fn of_others() -> Self {
        let mut draft = governed_draft();
        draft.network = "devnet-other".to_owned();
        Self::of(&draft)
    }

    fn of(draft: &Draft) -> Self {
        let toml = draft.to_toml();
        let genesis = Genesis::parse(&toml).unwrap();
        let epochs = vec![genesis.trusted()];
        let mut world = Self { toml, genesis, blocks: Vec::new(), epochs, handovers: Vec::new() };
        world.seal(Vec::new(), now());
        world
    }

    /// Adds empty blocks up to this height.
    pub(crate) fn run_to(&mut self, height: u64) {
        while self.head().header.height.get() < height {
            self.seal(Vec::new(), now());
        }
    }

    pub(crate) fn id(&self, name: &str) -> AccountId {
        self.genesis.account_named(name).unwrap()
    }

    pub(crate) fn head(&self) -> &Block {
        self.blocks.last().unwrap()
    }

    pub(crate) fn state(&self) -> State {
        self.blocks
            .last()
            .map_or_else(|| self.genesis.state().into_iter().collect(), |block| block.state.clone())
    }

    /// Finds a transaction: its block's position and its own.
    pub(crate) fn find(&self, id: Hash) -> Option<(usize, usize)> {
        self.blocks.iter().enumerate().find_map(|(block, found)| {
            found.receipts.iter().position(|receipt| receipt.transaction == id).map(|index| (block, index))
        })
    }

    /// Adds a block with these transactions, certified by a quorum of its epoch's validators. One of them
    /// is left out if a quorum can do without it.
    pub(crate) fn seal(&mut self, transactions: Vec<SignedTransaction>, time: Timestamp) {
        let mut state = self.state();
        let height = Height::new(u64::try_from(self.blocks.len()).unwrap() + 1);
        let epoch = self.genesis.parameters.epoch_of(height);
        let trusted = self.epochs.last().unwrap().clone();
        let moment = Moment { chain: self.genesis.hash(), epoch, height };
        let receipts: Vec<Receipt> =
            transactions.iter().map(|signed| execute(&mut state, signed, &moment)).collect();
        let parent = self.blocks.last();
        let view = trusted.last().get() - height.get();
        let view = self.genesis.parameters.epoch_length - view;
        let header = Header {
            chain: self.genesis.hash(),
            version: PROTOCOL_VERSION,
            epoch,
            view: View::new(view),
            height,
            parent_view: View::new(view - 1),
            parent: parent.map_or(self.genesis.hash(), |block| block.header.id()),
            time,
            proposer: 0,
            payload_root: Payload::default().root(),
        };
        let leaves: Vec<Hash> = receipts.iter().map(Receipt::leaf).collect();
        let outcome = Outcome {
            state_root: tree::root(&state),
            receipts_root: list_root(&leaves),
            history_root: list_root(&self.history(self.blocks.len())),
            next_validators: governance::validators(&state, epoch.next()).hash(),
        };
        let claim = Claim::Finalize { view: header.view, block: header.id(), outcome: outcome.digest() };
        let keys = keys_of(trusted.validators());
        let left_out = |index: &u8| faulty_max(keys.len()) > 0 && *index == 2;
        let signers: Vec<u8> =
            (0..u8::try_from(keys.len()).unwrap()).filter(|index| !left_out(index)).collect();
        let certificate = Some(certify(&trusted.context(), claim, &keys, &signers));
        self.blocks.push(Block { header, outcome, receipts, transactions, certificate, state });
        if height == trusted.last() {
            self.hand_over(&trusted);
        }
    }

    /// Begins the next epoch.
    fn hand_over(&mut self, trusted: &TrustedEpoch) {
        let boundary = self.proof(self.blocks.len() - 1);
        let validators = governance::validators(&self.state(), trusted.number().next());
        let handover = Handover { boundary, validators };
        self.epochs.push(handover.clone().verify(trusted).unwrap());
        self.handovers.push(handover);
    }

    /// The finality proof of a block that has a certificate of its own.
    pub(crate) fn proof(&self, position: usize) -> FinalityProof {
        let block = &self.blocks[position];
        FinalityProof {
            header: block.header.clone(),
            outcome: block.outcome,
            certificate: block.certificate.clone().unwrap(),
        }
    }

    fn history(&self, count: usize) -> Vec<Hash> {
        let leaf =
            |block: &Block| history_leaf(block.header.height, block.header.id(), block.outcome.digest());
        self.blocks.iter().take(count).map(leaf).collect()
    }

    /// The proof that a block is final: its own certificate, or that of the next block that has one.
    pub(crate) fn finality(&self, position: usize) -> json::Finality {
        let asked = &self.blocks[position];
        let later =
            (position..self.blocks.len()).find(|later| self.blocks[*later].certificate.is_some()).unwrap();
        let proof = self.proof(later);
        if later == position {
            return json::Finality::of(&proof);
        }
        let path = ListProof::make(&self.history(later), position).unwrap();
        json::Finality::of_ancestor(&proof, &asked.header, &asked.outcome, &path)
    }
}

/// When a transaction is executed.
pub(crate) struct Moment {
    pub(crate) chain: Hash,
    pub(crate) epoch: EpochNumber,
    pub(crate) height: Height,
}

pub(crate) fn get<T: borsh::BorshDeserialize>(state: &State, key: &StateKey) -> Option<T> {
    state.get(key).map(|bytes| codec::decode(bytes, usize::MAX).unwrap())
}

pub(crate) fn set<T: borsh::BorshSerialize>(state: &mut State, key: StateKey, value: &T) {
    state.insert(key, codec::encode(value));
}

/// Adds to or takes from a balance; `None` if there is not enough.
fn post(state: &mut State, account: AccountId, asset: AssetId, by: (Amount, Amount)) -> Option<BalanceAfter> {
    let key = StateKey::Balance(account, asset);
    let mut balance: Balance = get(state, &key).unwrap_or_default();
    balance.posted = balance.posted.checked_add(by.0)?.checked_sub(by.1)?;
    set(state, key, &balance);
    Some(BalanceAfter { account, asset, balance })
}

/// What the operations do, without permissions: those are the ledger's.
fn act(
    state: &mut State,
    sender: AccountId,
    operation: &Operation,
    moment: &Moment,
) -> Result<(Event, Vec<BalanceAfter>), Failure> {
    const NONE: Amount = Amount::ZERO;
    match operation.clone() {
        Operation::Transfer { asset, to, quantity: Quantity::Exact(amount), tag } => {
            let from = post(state, sender, asset, (NONE, amount)).ok_or(Failure::InsufficientFunds)?;
            let onto = post(state, to, asset, (amount, NONE)).ok_or(Failure::BalanceOverflow)?;
            Ok((Event::Transferred { asset, from: sender, to, amount, tag }, vec![from, onto]))
        }
        Operation::Mint { asset, to, amount } => {
            let onto = post(state, to, asset, (amount, NONE)).ok_or(Failure::BalanceOverflow)?;
            Ok((Event::Minted { asset, to, amount }, vec![onto]))
        }
        Operation::Burn { asset, from, amount } => {
            let after = post(state, from, asset, (NONE, amount)).ok_or(Failure::InsufficientFunds)?;
            Ok((Event::Burned { asset, from, amount }, vec![after]))
        }
        Operation::AccountCreate { organisation, authority, salt, label } => {
            let account = AccountId::derive(&authority, &salt);
            let value =
                Account { organisation: organisation.clone(), authority, label, status: Status::Active };
            set(state, StateKey::Account(account), &value);
            Ok((Event::AccountCreated { account, organisation }, Vec::new()))
        }
        Operation::AssetCreate { symbol, name, decimals, cap, capabilities } => {
            let asset = AssetId::derive(&symbol);
            let value = Asset {
                symbol,
                name,
                url: Default::default(),
                document: None,
                decimals,
                cap,
                supply: NONE,
                capabilities,
                issuer: sender,
                status: Status::Active,
            };
            set(state, StateKey::Asset(asset), &value);
            Ok((Event::AssetCreated { asset, issuer: sender }, Vec::new()))
        }
        Operation::ValidatorAdd { .. }
        | Operation::ValidatorRemove { .. }
        | Operation::ValidatorRotateKey { .. } => {
            Ok((governance::change(state, operation, moment)?, Vec::new()))
        }
        _ => Err(Failure::Unsupported),
    }
}

fn execute(state: &mut State, signed: &SignedTransaction, moment: &Moment) -> Receipt {
    let (before, transaction) = (state.clone(), signed.transaction());
    let height = moment.height;
    let marker = Marker { transaction: signed.id(), height, valid_until: transaction.valid_until };
    let (mut events, mut balances, mut verdict) = (Vec::new(), Vec::new(), Verdict::Committed);
    let sender: Option<Account> = get(state, &StateKey::Account(transaction.sender));
    if !sender.is_some_and(|sender| sender.authority.is_satisfied_by(&transaction.signers)) {
        set(state, StateKey::Unauthorised(signed.id()), &marker);
        let verdict = Verdict::Failed { failure: Failure::Unauthorised, action: None };
        let (events, balances) = (List::default(), List::default());
        return Receipt { transaction: signed.id(), verdict, events, balances };
    }
    for action in &transaction.actions {
        match act(state, transaction.sender, &action.operation, moment) {
            Ok((event, after)) => {
                events.push(event);
                balances.extend(after);
            }
            Err(failure) => {
                *state = before;
                (events, balances) = (Vec::new(), Vec::new());
                verdict = Verdict::Failed { failure, action: Some(0) };
                break;
            }
        }
    }
    set(state, StateKey::Nonce(transaction.sender, transaction.nonce), &marker);
    balances.sort_by_key(|after| (after.account, after.asset));
    let (events, balances) = (List::new(events).unwrap(), List::new(balances).unwrap());
    Receipt { transaction: signed.id(), verdict, events, balances }
}
