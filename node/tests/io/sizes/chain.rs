//! The largest values, and a chain of three blocks, each of which is full in another way.
use std::sync::{Arc, LazyLock};

use quorate_genesis::Genesis;
use quorate_genesis::build::{AccountDraft, AssetDraft, Draft};
use quorate_ledger::store::{Memory, Store};
use quorate_ledger::{Executed, Ledger, audit};
use quorate_primitives::address::AccountId;
use quorate_primitives::block::{BUNDLES_MAX, Header, PAYLOAD_BYTES_MAX, PROTOCOL_VERSION, Payload};
use quorate_primitives::bundle::{BUNDLE_BYTES_MAX, BUNDLE_TRANSACTIONS_MAX, Bundle};
use quorate_primitives::certificate::{Certificate, Claim};
use quorate_primitives::codec::{self, Blob, List, Text};
use quorate_primitives::keys::KnownKeys;
use quorate_primitives::signed::{Verified, verify_bundle};
use quorate_primitives::state::{AssetId, Capabilities};
use quorate_primitives::transaction::{
    ACTIONS_MAX, Action, OUTPUTS_MAX, Operation, Output, SIGNERS_MAX, SignedTransaction,
    TRANSACTION_BYTES_MAX, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::validators::{Signers, VALIDATORS_MAX};
use quorate_primitives::{Amount, EpochNumber, Hash, SecretKey, Timestamp, View};
use rand::SeedableRng;
use rand::rngs::StdRng;
use zeroize::Zeroizing;

/// Time of height 0.
const START: Timestamp = Timestamp::new(1_800_000_000_000);
/// Accounts that are paid: more than the outputs of any transaction, so that each changes a balance of its
/// own.
const RECEIVERS: usize = 1_400;
/// One payment: an amount with many digits, that many blocks full of payments can afford.
const UNITS: u128 = 10_u128.pow(33);
/// Bytes of an output without a tag.
const OUTPUT_BYTES: usize = 49;
/// Bytes of a `transfer_many` beside its outputs.
const ACTION_BYTES: usize = 38;
/// Bytes of a bundle beside its transactions.
const BUNDLE_FRAME: usize = 17;

/// The secret key of this kind and number.
pub(crate) fn key(kind: u8, number: usize) -> SecretKey {
    let mut seed = Zeroizing::new([kind; 32]);
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(&seed)
}

/// The secret key of a validator.
pub(crate) fn validator(index: usize) -> SecretKey {
    key(1, index)
}

/// The keys that the payer needs all of.
fn payers() -> Vec<SecretKey> {
    (0..SIGNERS_MAX).map(|number| key(2, number)).collect()
}

/// A network with the longest names, a payer that needs as many signatures as there may be, and a clerk.
pub(crate) fn found(validators: usize, time: Timestamp) -> Genesis {
    let organisation = "o".repeat(32);
    let mut draft = Draft::new(&"n".repeat(32), "qtest", time);
    draft.organisation(&organisation, &"O".repeat(64), "payer");
    for index in 0..validators {
        draft.validator(&format!("{index:032}"), &organisation, validator(index).public_key());
    }
    draft.accounts.push(AccountDraft {
        name: "payer".to_owned(),
        organisation: organisation.clone(),
        threshold: u32::try_from(SIGNERS_MAX).unwrap(),
        keys: payers().iter().map(|key| (key.public_key(), 1)).collect(),
        salt: [0; 16],
    });
    draft.account("clerk", &organisation, key(3, 0).public_key());
    for number in 0..RECEIVERS {
        draft.account(&format!("r{number}"), &organisation, key(4, number).public_key());
    }
    draft.asset(AssetDraft {
        symbol: "COINCOINCOIN".to_owned(),
        name: "C".repeat(64),
        decimals: 0,
        cap: u128::MAX.to_string(),
        capabilities: Capabilities::NONE,
        issuer: "payer".to_owned(),
    });
    for name in ["payer", "clerk"] {
        draft.balance(name, "COINCOINCOIN", &(u128::MAX / 2).to_string());
    }
    draft.build().unwrap()
}

/// Makes the transactions of one network.
pub(crate) struct Maker {
    chain: Hash,
    payer: AccountId,
    clerk: AccountId,
    receivers: Vec<AccountId>,
    valid_until: Timestamp,
    nonces: u64,
}

impl Maker {
    pub(crate) fn new(genesis: &Genesis) -> Self {
        let account = |name: &str| genesis.account_named(name).unwrap();
        Self {
            chain: genesis.hash(),
            payer: account("payer"),
            clerk: account("clerk"),
            receivers: (0..RECEIVERS).map(|number| account(&format!("r{number}"))).collect(),
            valid_until: genesis.time.saturating_add(600_000),
            nonces: 0,
        }
    }

    fn unsigned(&mut self, sender: AccountId, actions: Vec<Action>, keys: &[SecretKey]) -> Transaction {
        self.nonces += 1;
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.nonces.to_le_bytes());
        let mut signers: Vec<_> = keys.iter().map(SecretKey::public_key).collect();
        signers.sort_unstable();
        Transaction {
            chain: self.chain,
            version: TRANSACTION_VERSION,
            sender,
            nonce,
            valid_until: self.valid_until,
            actions: List::new(actions).unwrap(),
            asserts: List::default(),
            reference: Blob::default(),
            memo: Blob::default(),
            signers: List::new(signers).unwrap(),
        }
    }

    /// As many payments in as few `transfer_many` as can be.
    fn payments(&self, count: usize) -> Vec<Action> {
        let asset = AssetId::derive(&"COINCOINCOIN".parse().unwrap());
        let output = |to: &AccountId| Output { to: *to, amount: Amount::new(UNITS), tag: None };
        let outputs: Vec<Output> = self.receivers.iter().cycle().take(count).map(output).collect();
        let action = |outputs: &[Output]| {
            let outputs = List::new(outputs.to_vec()).unwrap();
            Action { actor: None, operation: Operation::TransferMany { asset, outputs } }
        };
        outputs.chunks(OUTPUTS_MAX).map(action).collect()
    }

    /// A transaction of exactly so many bytes with all its signatures: payments, as many as fit, and a memo.
    pub(crate) fn filled(&mut self, bytes: usize) -> SignedTransaction {
        self.filled_by(self.payer, &payers(), bytes)
    }

    /// The same with one signature.
    pub(crate) fn single(&mut self, bytes: usize) -> SignedTransaction {
        self.filled_by(self.clerk, &[key(3, 0)], bytes)
    }

    fn filled_by(&mut self, sender: AccountId, keys: &[SecretKey], bytes: usize) -> SignedTransaction {
        let mut transaction = self.unsigned(sender, self.payments(1), keys);
        let size = |transaction: &Transaction| codec::encode(transaction).len() + 4 + 64 * keys.len();
        let room = bytes - size(&transaction);
        let mut outputs = 1 + room / OUTPUT_BYTES;
        if outputs > OUTPUTS_MAX {
            let beyond = room.saturating_sub((OUTPUTS_MAX - 1) * OUTPUT_BYTES + ACTION_BYTES);
            outputs = OUTPUTS_MAX + beyond / OUTPUT_BYTES;
        }
        transaction.actions = List::new(self.payments(outputs)).unwrap();
        transaction.memo = Blob::new(vec![0xff; bytes - size(&transaction)]).unwrap();
        let signed = transaction.sign(keys).unwrap();
        assert_eq!(signed.size(), bytes);
        signed
    }

    /// A transaction that removes a validator without a name so many times. No operation is shorter.
    fn removal(&mut self, times: usize) -> SignedTransaction {
        let operation = Operation::ValidatorRemove { name: Text::default() };
        let keys = [key(3, 0)];
        let actions = vec![Action { actor: None, operation }; times];
        self.unsigned(self.clerk, actions, &keys).sign(&keys).unwrap()
    }

    /// The shortest transaction.
    pub(crate) fn smallest(&mut self) -> SignedTransaction {
        self.removal(1)
    }

    /// The longest transaction.
    pub(crate) fn largest(&mut self) -> SignedTransaction {
        self.filled(TRANSACTION_BYTES_MAX)
    }

    /// The longest bundle: three of the longest transactions and one that fills it.
    pub(crate) fn largest_bundle(&mut self) -> Bundle {
        let mut transactions: Vec<_> = (0..3).map(|_| self.largest()).collect();
        transactions.push(self.filled(BUNDLE_BYTES_MAX - BUNDLE_FRAME - 3 * TRANSACTION_BYTES_MAX));
        let bundle = self.bundle(transactions);
        assert_eq!(bundle.size(), BUNDLE_BYTES_MAX);
        bundle
    }

    /// The bundle that is longest when it is shown to people.
    fn wordiest_bundle(&mut self) -> Bundle {
        let bytes = self.removal(ACTIONS_MAX).size();
        let count = (BUNDLE_BYTES_MAX - BUNDLE_FRAME) / bytes;
        let transactions = (0..count).map(|_| self.removal(ACTIONS_MAX)).collect();
        self.bundle(transactions)
    }

    fn bundle(&mut self, transactions: Vec<SignedTransaction>) -> Bundle {
        self.nonces += 1;
        let shared = transactions.into_iter().map(Arc::new).collect();
        Bundle::from_shared(127, self.nonces, shared, Vec::new()).unwrap()
    }

    /// A block with as many bundles, and as many bytes of them, as there may be.
    fn of_most_bundles(&mut self) -> Vec<Bundle> {
        let bytes = PAYLOAD_BYTES_MAX / BUNDLES_MAX - BUNDLE_FRAME;
        let bundle = |_| {
            let filled = self.filled(bytes);
            self.bundle(vec![filled])
        };
        (0..BUNDLES_MAX).map(bundle).collect()
    }

    /// A block full of the longest bundles of the longest transactions, most of which pay more than a
    /// thousand accounts.
    fn of_most_payments(&mut self) -> Vec<Bundle> {
        (0..PAYLOAD_BYTES_MAX / BUNDLE_BYTES_MAX).map(|_| self.largest_bundle()).collect()
    }

    /// A block full of the shortest transactions, with the wordiest bundle among them.
    fn of_most_transactions(&mut self) -> Vec<Bundle> {
        let mut bundles = vec![self.wordiest_bundle()];
        let bytes = self.smallest().size();
        loop {
            let left = PAYLOAD_BYTES_MAX - bundles.iter().map(Bundle::size).sum::<usize>();
            let count = (left.saturating_sub(BUNDLE_FRAME) / bytes).min(BUNDLE_TRANSACTIONS_MAX);
            if count == 0 {
                return bundles;
            }
            let transactions = (0..count).map(|_| self.smallest()).collect();
            bundles.push(self.bundle(transactions));
        }
    }
}

/// A committed block with all that belongs to it.
pub(crate) struct Full {
    pub(crate) header: Header,
    pub(crate) bundles: Vec<Verified<Bundle>>,
    pub(crate) certificate: Certificate,
    pub(crate) executed: Executed,
}

/// A network with as many validators as there may be, and its blocks from height 1 on.
pub(crate) struct Chain {
    pub(crate) genesis: Genesis,
    pub(crate) blocks: Vec<Full>,
}

/// The three full blocks.
pub(crate) static FULL: LazyLock<Chain> = LazyLock::new(|| {
    let genesis = found(VALIDATORS_MAX, START);
    let mut maker = Maker::new(&genesis);
    let lists = vec![maker.of_most_bundles(), maker.of_most_payments(), maker.of_most_transactions()];
    Chain::of(genesis, lists)
});

impl Chain {
    /// A chain of blocks of these bundles.
    pub(crate) fn of(genesis: Genesis, lists: Vec<Vec<Bundle>>) -> Self {
        let mut ledger = Ledger::open(Arc::new(Memory::new()), &genesis).unwrap();
        let (mut known, mut rng) = (KnownKeys::default(), StdRng::seed_from_u64(1));
        let mut blocks = Vec::new();
        for list in lists {
            let prove = |bundle| verify_bundle(bundle, &mut known, &mut rng).unwrap();
            let bundles: Vec<Verified<Bundle>> = list.into_iter().map(prove).collect();
            let header = child(&genesis, ledger.head(), &bundles);
            let executed = ledger.execute(ledger.head(), &header, &bundles);
            let certificate = certify(&genesis, &executed);
            ledger.commit(executed.clone(), &bundles, Some(certificate.clone())).unwrap();
            blocks.push(Full { header, bundles, certificate, executed });
        }
        Self { genesis, blocks }
    }

    /// Executes, audits and commits all blocks anew.
    pub(crate) fn commit_to(&self, store: Arc<dyn Store>) -> Ledger {
        let mut ledger = Ledger::open(store, &self.genesis).unwrap();
        for Full { header, bundles, certificate, .. } in &self.blocks {
            let executed = ledger.execute(ledger.head(), header, bundles);
            audit(executed.state()).unwrap();
            ledger.commit(executed, bundles, Some(certificate.clone())).unwrap();
        }
        ledger.sync().unwrap();
        ledger
    }
}

fn child(genesis: &Genesis, parent: &Executed, bundles: &[Verified<Bundle>]) -> Header {
    let ids = bundles.iter().map(|bundle| bundle.id()).collect();
    Header {
        chain: genesis.hash(),
        version: PROTOCOL_VERSION,
        epoch: EpochNumber::ZERO,
        view: parent.view().next(),
        height: parent.height().next(),
        parent_view: if parent.header().is_some() { parent.view() } else { View::ZERO },
        parent: parent.block(),
        time: parent.time().saturating_add(1_000),
        proposer: 0,
        payload_root: Payload { bundles: List::new(ids).unwrap() }.root(),
    }
}

/// A certificate that every validator signed.
fn certify(genesis: &Genesis, executed: &Executed) -> Certificate {
    let outcome = executed.outcome().digest();
    let claim = Claim::Finalize { view: executed.view(), block: executed.block(), outcome };
    let context = genesis.trusted().context();
    let signers = Signers::all(genesis.validators.len());
    let sign = |index: u8| claim.sign(&context, index, &validator(usize::from(index))).signature;
    Certificate { claim, signers, signatures: List::new(signers.iter().map(sign).collect()).unwrap() }
}
