//! A small network: validators, accounts with money, and payments between them.
use quorate_genesis::Genesis;
use quorate_genesis::build::{AssetDraft, Draft};
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::{Blob, List, Text};
use quorate_primitives::keys::KnownKeys;
use quorate_primitives::signed::{Verified, verify_transactions};
use quorate_primitives::state::{AssetId, Authority, Capabilities, OrganisationId, Symbol};
use quorate_primitives::transaction::{
    Action, Operation, Quantity, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::validators::Validator;
use quorate_primitives::{Amount, Hash, SecretKey, Timestamp};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Time of height 0, in ms.
pub(crate) const BEGIN_MS: u64 = 1_767_225_600_000;
/// Accounts with money.
pub(crate) const PAYERS: u8 = 8;
/// The payer that decides who validates.
const GOVERNANCE: u8 = 1;

/// A key that is the same in every run.
pub(crate) fn key(kind: u8, index: u8) -> SecretKey {
    let mut seed = [kind; 32];
    seed[0] = index;
    SecretKey::from_seed(&seed.into())
}

pub(crate) fn validator_key(index: usize) -> SecretKey {
    key(1, u8::try_from(index).unwrap())
}

fn payer_key(index: u8) -> SecretKey {
    key(2, index)
}

pub(crate) fn payer(index: u8) -> AccountId {
    AccountId::derive(&Authority::single(payer_key(index).public_key()), &[0; 16])
}

pub(crate) fn found(validators: usize) -> Genesis {
    found_with(validators, None)
}

/// A network whose epochs have so many heights; by default they never end.
pub(crate) fn found_with(validators: usize, epoch_length: Option<u64>) -> Genesis {
    let mut draft = Draft::new("sim", "qsim", Timestamp::new(BEGIN_MS));
    draft.parameters.epoch_length = epoch_length.unwrap_or(draft.parameters.epoch_length);
    draft.organisation("acme", "Acme", "payer0");
    // Anybody may sign for the governance of so small a network, which must not be an administrator.
    draft.governance = Some(format!("payer{GOVERNANCE}"));
    for index in 0..validators {
        draft.validator(&format!("v{index}"), "acme", validator_key(index).public_key());
    }
    for index in 0..PAYERS {
        draft.account(&format!("payer{index}"), "acme", payer_key(index).public_key());
    }
    draft.asset(AssetDraft {
        symbol: "COIN".into(),
        name: "Coin".into(),
        decimals: 0,
        cap: "1000000000".into(),
        capabilities: Capabilities::NONE,
        issuer: "payer0".into(),
    });
    for index in 0..PAYERS {
        draft.balance(&format!("payer{index}"), "COIN", "1000000");
    }
    draft.build().unwrap()
}

/// A payment of one unit to the next account, distinct for each `number`.
pub(crate) fn payment(chain: Hash, now_ms: u64, number: u64) -> Verified<SignedTransaction> {
    let from = u8::try_from(number % u64::from(PAYERS)).unwrap();
    payment_of(chain, from, now_ms + 120_000, number)
}

/// A payment with all that can differ.
pub(crate) fn payment_of(chain: Hash, from: u8, until_ms: u64, number: u64) -> Verified<SignedTransaction> {
    let operation = Operation::Transfer {
        asset: AssetId::derive(&Symbol::new("COIN").unwrap()),
        to: payer((from + 1) % PAYERS),
        quantity: Quantity::Exact(Amount::new(1)),
        tag: None,
    };
    act_as(chain, (from, until_ms), number, operation)
}

/// What the governance account does.
pub(crate) fn governed(
    chain: Hash,
    until_ms: u64,
    number: u64,
    operation: Operation,
) -> Verified<SignedTransaction> {
    act_as(chain, (GOVERNANCE, until_ms), number, operation)
}

/// The validator with this number, as it is added.
pub(crate) fn candidate(index: usize) -> Validator {
    Validator {
        name: Text::new(&format!("v{index}")).unwrap(),
        organisation: OrganisationId::new("acme").unwrap(),
        key: validator_key(index).public_key(),
    }
}

/// What a payer does.
pub(crate) fn act_as(
    chain: Hash,
    (from, until_ms): (u8, u64),
    number: u64,
    operation: Operation,
) -> Verified<SignedTransaction> {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    let key = payer_key(from);
    let transaction = Transaction {
        chain,
        version: TRANSACTION_VERSION,
        sender: payer(from),
        nonce,
        valid_until: Timestamp::new(until_ms),
        actions: List::new(vec![Action { actor: None, operation }]).unwrap(),
        asserts: List::default(),
        reference: Blob::default(),
        memo: Blob::default(),
        signers: List::new(vec![key.public_key()]).unwrap(),
    };
    let signed = transaction.sign(&[key]).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(number);
    verify_transactions(vec![signed], &mut KnownKeys::default(), &mut rng).pop().unwrap().unwrap()
}
