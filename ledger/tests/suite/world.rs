//! A small network to act in: two organisations, a few accounts, three assets.
use quorate_genesis::Genesis;
use quorate_ledger::store::{Memory, Store};
use quorate_ledger::{Executed, Ledger, audit};
use quorate_primitives::address::{AccountId, Prefix};
use quorate_primitives::block::{Header, PROTOCOL_VERSION, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::{Certificate, Claim};
use quorate_primitives::codec::{Blob, List, Text};
use quorate_primitives::evidence::Accusation;
use quorate_primitives::keys::KnownKeys;
use quorate_primitives::receipt::{Failure, Receipt, Verdict};
use quorate_primitives::signed::{Verified, verify_bundle};
use quorate_primitives::state::{
    Account, Asset, AssetId, Authority, Balance, Capabilities, Delegation, Grant, Organisation,
    OrganisationId, Parameters, Permission, Scope, StateKey, Status, Symbol, WeightedKey,
};
use quorate_primitives::transaction::{
    Action, Assert, Nonce, Operation, Quantity, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::validators::{Signers, Validator, ValidatorSet};
use quorate_primitives::{Amount, EpochNumber, Hash, Height, PublicKey, SecretKey, Timestamp, View};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::sync::Arc;

/// Time of height 0.
pub(crate) const START: Timestamp = Timestamp::new(1_800_000_000_000);
/// Between two blocks, in milliseconds.
pub(crate) const STEP_MS: u64 = 1_000;

/// The secret key with this number; the same every time.
pub(crate) fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32].into())
}

/// An authority of some keys with weight 1 each.
pub(crate) fn authority(threshold: u32, numbers: &[u8], version: u32) -> Authority {
    let mut keys: Vec<PublicKey> = numbers.iter().map(|number| key(*number).public_key()).collect();
    keys.sort_unstable();
    let keys = keys.into_iter().map(|key| WeightedKey { key, weight: 1 }).collect();
    Authority { threshold, keys: List::new(keys).unwrap(), version }
}

/// The account that starts with one key alone.
pub(crate) fn id(number: u8) -> AccountId {
    AccountId::derive(&authority(1, &[number], 0), &[0; 16])
}

/// Holds every permission everywhere, and may pass all of them on. Organisation alpha.
pub(crate) const ADMIN: u8 = 1;
/// Organisation alpha.
pub(crate) const ALICE: u8 = 2;
/// Organisation beta.
pub(crate) const BOB: u8 = 3;
/// Organisation beta; issued the assets.
pub(crate) const ISSUER: u8 = 4;
/// Organisation beta; closed.
pub(crate) const CLOSED: u8 = 5;
/// Not an account.
pub(crate) const NOBODY: u8 = 6;
/// Organisation alpha; two of the keys 7, 8 and 9.
pub(crate) const SHARED: u8 = 7;

/// The shared account.
pub(crate) fn shared() -> AccountId {
    AccountId::derive(&authority(2, &[7, 8, 9], 0), &[0; 16])
}

pub(crate) fn organisation(name: &str) -> OrganisationId {
    OrganisationId::new(name).unwrap()
}

pub(crate) fn asset(symbol: &str) -> AssetId {
    AssetId::derive(&Symbol::new(symbol).unwrap())
}

pub(crate) fn units(number: u128) -> Amount {
    Amount::new(number)
}

fn account(organisation_name: &str, authority: Authority, status: Status) -> Account {
    let label = Text::default();
    Account { organisation: organisation(organisation_name), authority, label, status }
}

fn asset_record(symbol: &str, capabilities: Capabilities, supply: u128) -> (AssetId, Asset) {
    let record = Asset {
        symbol: Symbol::new(symbol).unwrap(),
        name: Text::default(),
        url: Text::default(),
        document: None,
        decimals: 2,
        cap: units(1_000_000),
        supply: units(supply),
        capabilities,
        issuer: id(ISSUER),
        status: Status::Active,
    };
    (asset(symbol), record)
}

/// The capabilities of the assets that the genesis has beside GOLD.
pub(crate) const SPECIAL_ASSETS: [(&str, Capabilities); 4] = [
    ("FIXED", Capabilities::NONE),
    ("MEMO", Capabilities::MEMO_REQUIRED),
    ("COSIGN", Capabilities::COSIGNER_REQUIRED),
    ("OLD", Capabilities::MINTABLE),
];

/// The validator named after a key, with that key, run by alpha.
pub(crate) fn validator(number: u8) -> Validator {
    Validator {
        name: Text::new(&format!("v{number}")).unwrap(),
        organisation: organisation("alpha"),
        key: key(number).public_key(),
    }
}

/// Some of these in order.
pub(crate) fn validators(numbers: impl IntoIterator<Item = u8>) -> ValidatorSet {
    ValidatorSet::new(numbers.into_iter().map(validator).collect()).unwrap()
}

/// The founding document of a chain whose epochs have this many blocks.
pub(crate) fn genesis_of_epochs(epoch_length: u64) -> Genesis {
    let genesis = genesis();
    Genesis { parameters: Parameters { epoch_length, ..genesis.parameters.clone() }, ..genesis }
}

/// The founding document. GOLD is mintable; 1,000 units of each asset lie with Alice.
pub(crate) fn genesis() -> Genesis {
    let mut accounts = vec![(shared(), account("alpha", authority(2, &[7, 8, 9], 0), Status::Active))];
    for (number, name) in [(ADMIN, "alpha"), (ALICE, "alpha"), (BOB, "beta"), (ISSUER, "beta")] {
        accounts.push((id(number), account(name, authority(1, &[number], 0), Status::Active)));
    }
    accounts.push((id(CLOSED), account("beta", authority(1, &[CLOSED], 0), Status::Closed)));
    let mut assets = vec![asset_record("GOLD", Capabilities::MINTABLE, 1_000)];
    assets.extend(SPECIAL_ASSETS.map(|(symbol, capabilities)| asset_record(symbol, capabilities, 1_000)));
    assets.last_mut().unwrap().1.status = Status::Closed;
    let balances = assets.iter().map(|(asset, _)| (id(ALICE), *asset, units(1_000))).collect();
    let organisations = ["alpha", "beta"]
        .map(|name| (organisation(name), Organisation { name: Text::new(name).unwrap(), admin: id(ADMIN) }));
    let whole = |granter| Grant { limit: None, expires: None, delegation: Delegation::Allowed, granter };
    let all = |permission: &Permission| {
        (id(ADMIN), *permission, Scope::Chain, whole(AccountId::from_bytes([0; 32])))
    };
    Genesis {
        network: Text::new("test").unwrap(),
        prefix: Prefix::new("qtest").unwrap(),
        time: START,
        parameters: Parameters {
            max_validity_ms: 20_000,
            clock_bound_ms: 500,
            marker_retention_ms: 2_000,
            epoch_length: 1 << 63,
            payload_bytes_max: 1 << 20,
        },
        organisations: organisations.to_vec(),
        validators: validators(101..105),
        accounts,
        assets,
        balances,
        grants: Permission::ALL.iter().map(all).collect(),
    }
}

/// A transaction under construction.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) envelope: Transaction,
    pub(crate) keys: Vec<u8>,
}

impl Draft {
    pub(crate) fn new(chain: Hash, sender: AccountId, keys: &[u8], nonce: Nonce) -> Self {
        let envelope = Transaction {
            chain,
            version: TRANSACTION_VERSION,
            sender,
            nonce,
            valid_until: START.saturating_add(10_000),
            actions: List::new(vec![Action { actor: None, operation: revoke_nothing() }]).unwrap(),
            asserts: List::default(),
            reference: Blob::default(),
            memo: Blob::default(),
            signers: List::new(vec![key(1).public_key()]).unwrap(),
        };
        Self { envelope, keys: keys.to_vec() }
    }

    pub(crate) fn actions(mut self, actions: Vec<Action>) -> Self {
        self.envelope.actions = List::new(actions).unwrap();
        self
    }

    pub(crate) fn asserts(mut self, asserts: Vec<Assert>) -> Self {
        self.envelope.asserts = List::new(asserts).unwrap();
        self
    }

    pub(crate) fn valid_until(mut self, time: Timestamp) -> Self {
        self.envelope.valid_until = time;
        self
    }

    pub(crate) fn memo(mut self) -> Self {
        self.envelope.memo = Blob::new(vec![1]).unwrap();
        self
    }

    pub(crate) fn sign(mut self) -> SignedTransaction {
        self.keys.sort_unstable();
        self.keys.dedup();
        let keys: Vec<SecretKey> = self.keys.iter().map(|number| key(*number)).collect();
        let mut signers: Vec<PublicKey> = keys.iter().map(SecretKey::public_key).collect();
        signers.sort_unstable();
        self.envelope.signers = List::new(signers).unwrap();
        self.envelope.sign(&keys).unwrap()
    }
}

fn revoke_nothing() -> Operation {
    Operation::Revoke { grantee: id(NOBODY), permission: Permission::ReadOwn, scope: Scope::Chain }
}

/// An action of the sender.
pub(crate) fn own(operation: Operation) -> Action {
    Action { actor: None, operation }
}

/// An action of another account.
pub(crate) fn by(actor: AccountId, operation: Operation) -> Action {
    Action { actor: Some(actor), operation }
}

pub(crate) fn transfer(symbol: &str, to: AccountId, amount: u128) -> Operation {
    Operation::Transfer { asset: asset(symbol), to, quantity: Quantity::Exact(units(amount)), tag: None }
}

/// Proves and bundles transactions, one bundle for each list.
pub(crate) fn bundles(lists: Vec<Vec<SignedTransaction>>) -> Vec<Verified<Bundle>> {
    accusing(lists.into_iter().map(|list| (list, Vec::new())).collect())
}

/// The same with accusations.
pub(crate) fn accusing(lists: Vec<(Vec<SignedTransaction>, Vec<Accusation>)>) -> Vec<Verified<Bundle>> {
    let mut rng = ChaCha20Rng::from_seed([9; 32]);
    let bundle = |(sequence, (list, accusations)): (u64, (Vec<SignedTransaction>, Vec<Accusation>))| {
        let shared = list.into_iter().map(Arc::new).collect();
        let bundle = Bundle::from_shared(0, sequence, shared, accusations).unwrap();
        verify_bundle(bundle, &mut KnownKeys::default(), &mut rng).unwrap()
    };
    (0..).zip(lists).map(bundle).collect()
}

/// A header for a child of a block.
pub(crate) fn child(parent: &Executed, time: Timestamp, bundles: &[Verified<Bundle>]) -> Header {
    let payload = Payload { bundles: List::new(bundles.iter().map(|bundle| bundle.id()).collect()).unwrap() };
    let height = parent.height().next();
    let epoch = parent.state().parameters().unwrap().epoch_of(height);
    // Turns are counted anew in each epoch.
    let same_epoch = parent.header().is_some_and(|header| header.epoch == epoch);
    let parent_view = if same_epoch { parent.view() } else { View::ZERO };
    Header {
        chain: parent.state().chain(),
        version: PROTOCOL_VERSION,
        epoch,
        view: parent_view.next(),
        height,
        parent_view,
        parent: parent.block(),
        time,
        proposer: 0,
        payload_root: payload.root(),
    }
}

/// A certificate of three of the four validators of the first epoch.
pub(crate) fn certify(genesis: &Genesis, executed: &Executed) -> Certificate {
    let outcome = executed.outcome().digest();
    let claim = Claim::Finalize { view: executed.view(), block: executed.block(), outcome };
    let context = genesis.trusted().context();
    let signature = |index: u8| claim.sign(&context, index, &key(101 + index)).signature;
    Certificate {
        claim,
        signers: Signers::all(3),
        signatures: List::new((0..3).map(signature).collect()).unwrap(),
    }
}

/// A ledger in memory, whose every block is audited and committed.
pub(crate) struct World {
    pub(crate) genesis: Genesis,
    pub(crate) ledger: Ledger,
    nonces: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(genesis(), Arc::new(Memory::new()))
    }

    pub(crate) fn with(genesis: Genesis, store: Arc<dyn Store>) -> Self {
        let ledger = Ledger::open(store, &genesis).unwrap();
        Self { genesis, ledger, nonces: 0 }
    }

    /// Closes the ledger, then opens it again from the same data.
    pub(crate) fn reopen(self, store: impl FnOnce() -> Arc<dyn Store>) -> Self {
        let Self { genesis, ledger, nonces } = self;
        drop(ledger);
        let ledger = Ledger::open(store(), &genesis).unwrap();
        Self { genesis, ledger, nonces }
    }

    /// A transaction of an account that one key controls.
    pub(crate) fn draft(&mut self, sender: u8) -> Draft {
        self.nonces += 1;
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.nonces.to_be_bytes());
        let chain = self.ledger.head().state().chain();
        let valid_until = self.ledger.head().time().saturating_add(10_000);
        Draft::new(chain, id(sender), &[sender], nonce).valid_until(valid_until)
    }

    /// Executes, audits and commits a block of these transactions.
    pub(crate) fn block(&mut self, transactions: Vec<SignedTransaction>) -> Vec<Receipt> {
        let lists = if transactions.is_empty() { Vec::new() } else { vec![transactions] };
        self.block_of(lists, STEP_MS)
    }

    /// Blocks without transactions, an hour later, until every marker was swept.
    pub(crate) fn sweep(&mut self) {
        self.block_of(vec![], 3_600_000);
        (1..256).for_each(|_| drop(self.block(vec![])));
    }

    /// The same with several bundles and another distance to the parent.
    pub(crate) fn block_of(&mut self, lists: Vec<Vec<SignedTransaction>>, step_ms: u64) -> Vec<Receipt> {
        self.commit(&bundles(lists), step_ms).receipts().to_vec()
    }

    /// Executes, audits and commits a block that makes these accusations.
    pub(crate) fn accuse(&mut self, accusations: Vec<Accusation>) -> Executed {
        self.commit(&accusing(vec![(Vec::new(), accusations)]), STEP_MS)
    }

    fn commit(&mut self, bundles: &[Verified<Bundle>], step_ms: u64) -> Executed {
        let head = self.ledger.head().clone();
        let header = child(&head, head.time().saturating_add(step_ms), bundles);
        let executed = self.ledger.execute(&head, &header, bundles);
        audit(executed.state()).unwrap();
        let certificate = certify(&self.genesis, &executed);
        self.ledger.commit(executed.clone(), bundles, Some(certificate)).unwrap();
        executed
    }

    /// Commits empty blocks until the next one is the first of an epoch.
    pub(crate) fn enter(&mut self, epoch: u64) {
        let parameters = self.genesis.parameters.clone();
        while parameters.epoch_of(self.height().next()) < EpochNumber::new(epoch) {
            self.block(vec![]);
        }
        assert_eq!(parameters.epoch_of(self.height().next()), EpochNumber::new(epoch));
    }

    /// The validators of an epoch as the last block left them.
    pub(crate) fn validators(&self, epoch: u64) -> ValidatorSet {
        self.ledger.head().state().validators(EpochNumber::new(epoch)).unwrap()
    }

    /// Executes one transaction in a block of its own.
    pub(crate) fn run(&mut self, draft: Draft) -> Receipt {
        let mut receipts = self.block(vec![draft.sign()]);
        assert_eq!(receipts.len(), 1, "dropped: {:?}", self.ledger.head().dropped());
        receipts.pop().unwrap()
    }

    /// One action of an account that one key controls.
    pub(crate) fn act(&mut self, sender: u8, operation: Operation) -> Receipt {
        let draft = self.draft(sender).actions(vec![own(operation)]);
        self.run(draft)
    }

    /// An action that must succeed.
    pub(crate) fn succeed(&mut self, sender: u8, operation: Operation) -> Receipt {
        let receipt = self.act(sender, operation);
        assert_eq!(receipt.verdict, Verdict::Committed);
        receipt
    }

    /// An action that must fail, and change nothing but the marker.
    pub(crate) fn fail(&mut self, sender: u8, operation: Operation, failure: Failure) {
        let receipt = self.act(sender, operation);
        assert_eq!(receipt.verdict, failed_at(failure, 0));
        assert!(receipt.events.is_empty() && receipt.balances.is_empty());
    }

    pub(crate) fn balance(&self, account: AccountId, symbol: &str) -> u128 {
        let key = StateKey::Balance(account, asset(symbol));
        self.ledger.head().state().get::<Balance>(&key).unwrap_or_default().posted.get()
    }

    pub(crate) fn supply(&self, symbol: &str) -> u128 {
        self.ledger.head().state().get::<Asset>(&StateKey::Asset(asset(symbol))).unwrap().supply.get()
    }

    pub(crate) fn height(&self) -> Height {
        self.ledger.head().height()
    }
}

/// The verdict of a transaction whose action at a position failed.
pub(crate) fn failed_at(failure: Failure, action: u8) -> Verdict {
    Verdict::Failed { failure, action: Some(action) }
}

/// The verdict of a transaction that failed as a whole.
pub(crate) fn failed(failure: Failure) -> Verdict {
    Verdict::Failed { failure, action: None }
}
