//! The network that is simulated: its genesis, its keys and its money.
use quorate_genesis::Genesis;
use quorate_genesis::build::{AccountDraft, AssetDraft, Draft};
use quorate_primitives::address::AccountId;
use quorate_primitives::light::TrustedEpoch;
use quorate_primitives::state::{AssetId, Authority, Capabilities, Permission, Symbol};
use quorate_primitives::{Hash, PublicKey, SecretKey, Timestamp};
use quorate_replica::{PoolLimits, Settings};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use zeroize::Zeroizing;

use crate::governing::{GOVERNORS, GOVERNORS_NEEDED};
use crate::options::Options;
use crate::signatures::Presigned;
use crate::time::BEGIN_MS;

/// The asset that payments are made in: fixed supply.
pub const COIN: &str = "COIN";
/// An asset whose first account mints and burns.
pub const GOLD: &str = "GOLD";
/// First balance of every account in each asset.
pub const BALANCE: u128 = 1_000_000;

/// What is the same in all runs with as many validators, accounts and blocks in an epoch.
pub struct Founding {
    /// The founding document.
    pub genesis: Genesis,
    /// Its hash.
    pub chain: Hash,
    /// Where a light client begins.
    pub trusted: TrustedEpoch,
    /// Keys of all nodes: first the validators in order, then the observers.
    pub nodes: Vec<SecretKey>,
    /// Their public halves.
    pub node_keys: Vec<PublicKey>,
    /// Accounts that pay.
    pub payers: Vec<Payer>,
    /// See [`COIN`].
    pub coin: AssetId,
    /// See [`GOLD`].
    pub gold: AssetId,
}

/// An account and its key.
pub struct Payer {
    /// The key that acts for it alone.
    pub key: SecretKey,
    /// The account.
    pub account: AccountId,
}

fn key(kind: u8, index: usize) -> SecretKey {
    let mut seed = Zeroizing::new([kind; 32]);
    let number = u64::try_from(index).unwrap_or(u64::MAX).to_le_bytes();
    seed.iter_mut().zip(number).for_each(|(to, from)| *to = from);
    SecretKey::from_seed(&seed)
}

/// The key of a node.
#[must_use]
pub fn node_key(index: usize) -> SecretKey {
    key(1, index)
}

/// The key with which an organisation signs for the governance account.
#[must_use]
pub fn governor_key(index: usize) -> SecretKey {
    key(3, index)
}

/// The key of an account.
#[must_use]
pub fn payer_key(index: usize) -> SecretKey {
    key(2, index)
}

fn asset(symbol: &str) -> Option<AssetId> {
    Symbol::new(symbol).ok().map(|symbol| AssetId::derive(&symbol))
}

impl Founding {
    /// The network of a run.
    ///
    /// # Panics
    /// Never: the document is drafted here and follows the rules for every range of the options.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let genesis = draft(options).build().expect("the drafted document follows the rules");
        let count = options.validators.saturating_add(options.observers);
        let nodes: Vec<SecretKey> = (0..count).map(node_key).collect();
        let payer = |index| {
            let key = payer_key(index);
            let account = AccountId::derive(&Authority::single(key.public_key()), &[0; 16]);
            Payer { key, account }
        };
        Self {
            chain: genesis.hash(),
            trusted: genesis.trusted(),
            node_keys: nodes.iter().map(SecretKey::public_key).collect(),
            nodes,
            payers: (0..options.clients.accounts).map(payer).collect(),
            coin: asset(COIN).expect("a symbol of four letters"),
            gold: asset(GOLD).expect("a symbol of four letters"),
            genesis,
        }
    }
}

fn draft(options: &Options) -> Draft {
    let mut draft = Draft::new("simulation", "qsim", Timestamp::new(BEGIN_MS));
    if options.epoch_length > 0 {
        draft.parameters.epoch_length = options.epoch_length;
    }
    if options.wide.is_none() {
        // The least that is allowed, so that blocks can be too large.
        draft.parameters.payload_bytes_max = 262_144;
    }
    draft.organisation("acme", "Acme", "payer0");
    draft.organisation("globex", "Globex", "payer1");
    for index in 0..options.validators {
        let organisation = if index % 2 == 0 { "acme" } else { "globex" };
        draft.validator(&format!("v{index}"), organisation, node_key(index).public_key());
    }
    for index in 0..options.clients.accounts {
        let organisation = if index % 2 == 0 { "acme" } else { "globex" };
        draft.account(&format!("payer{index}"), organisation, payer_key(index).public_key());
    }
    draft.accounts.push(AccountDraft {
        name: "governance".to_owned(),
        organisation: "acme".to_owned(),
        threshold: GOVERNORS_NEEDED,
        keys: (0..GOVERNORS).map(|index| (governor_key(index).public_key(), 1)).collect(),
        salt: [0; 16],
    });
    draft.governance = Some("governance".to_owned());
    for (symbol, capabilities) in [(COIN, Capabilities::NONE), (GOLD, Capabilities::MINTABLE)] {
        draft.asset(AssetDraft {
            symbol: symbol.to_owned(),
            name: symbol.to_owned(),
            decimals: 0,
            cap: "1000000000".to_owned(),
            capabilities,
            issuer: "payer0".to_owned(),
        });
        for index in 0..options.clients.accounts {
            draft.balance(&format!("payer{index}"), symbol, &BALANCE.to_string());
        }
    }
    draft.grant("payer0", Permission::AccountCreate, "organisation:acme");
    draft.grant("payer1", Permission::AssetBurnAny, "asset:GOLD");
    draft
}

/// The settings of every replica of a run.
#[must_use]
pub fn settings(options: &Options) -> Settings {
    let timings = &options.timings;
    Settings {
        timeout_min_ms: timings.timeout_min_ms,
        timeout_max_ms: timings.timeout_max_ms,
        min_interval_ms: timings.min_interval_ms,
        idle_interval_ms: timings.idle_interval_ms,
        bundle_interval_ms: timings.bundle_interval_ms,
        ask_timeout_ms: timings.ask_timeout_ms,
        sync_interval_ms: timings.sync_interval_ms,
        pool: PoolLimits {
            transactions_max: timings.pool_transactions_max,
            sender_max: timings.pool_sender_max,
            ..PoolLimits::default()
        },
    }
}

type FoundingKey = (usize, usize, usize, u64, bool);

/// What the runs of one thread share: founding documents and signed payments. Nothing of it depends on a
/// seed.
pub struct Workshop {
    foundings: RefCell<BTreeMap<FoundingKey, Rc<Founding>>>,
    /// Signed payments.
    pub presigned: Rc<Presigned>,
}

impl Default for Workshop {
    fn default() -> Self {
        Self { foundings: RefCell::new(BTreeMap::new()), presigned: Presigned::new() }
    }
}

impl Workshop {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The network of a run.
    #[must_use]
    pub fn founding(&self, options: &Options) -> Rc<Founding> {
        let Options { validators, observers, epoch_length, .. } = *options;
        let key = (validators, observers, options.clients.accounts, epoch_length, options.wide.is_some());
        let mut known = self.foundings.borrow_mut();
        Rc::clone(known.entry(key).or_insert_with(|| Rc::new(Founding::new(options))))
    }
}
