//! What clients ask for: every operation that there is, and requests that must fail.
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::{Blob, List, Text};
use quorate_primitives::signed::Verified;
use quorate_primitives::state::{
    AssetId, Authority, Capabilities, Delegation, OrganisationId, Permission, Scope, Symbol,
};
use quorate_primitives::transaction::{
    Action, Assert, Nonce, Operation, Output, Quantity, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use quorate_primitives::{Amount, Hash, SecretKey, Timestamp};

use crate::founding::{Founding, payer_key};
use crate::random::Dice;
use crate::signatures::{Presigned, proven};

/// Number of kinds of transactions that are not plain transfers.
const VARIETIES: u64 = 16;
/// Number of kinds of transactions that must fail.
const WRONGS: u64 = 8;

/// A transaction to be made.
pub(crate) struct Order {
    /// The number of the account that pays.
    pub(crate) payer: usize,
    /// What tells it from the others of the account.
    pub(crate) nonce: Nonce,
    /// Until when it may become final.
    pub(crate) valid_until: Timestamp,
}

/// A nonce that tells the payments of one payer apart.
pub(crate) fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 16];
    nonce.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
    nonce
}

fn envelope(founding: &Founding, order: &Order, operations: Vec<Operation>) -> Option<Transaction> {
    let payer = founding.payers.get(order.payer)?;
    let actions = operations.into_iter().map(|operation| Action { actor: None, operation }).collect();
    Some(Transaction {
        chain: founding.chain,
        version: TRANSACTION_VERSION,
        sender: payer.account,
        nonce: order.nonce,
        valid_until: order.valid_until,
        actions: List::new(actions).ok()?,
        asserts: List::default(),
        reference: Blob::default(),
        memo: Blob::default(),
        signers: List::of_one(payer.key.public_key()),
    })
}

fn sign(transaction: Transaction, payer: usize, dice: &mut Dice) -> Option<Verified<SignedTransaction>> {
    proven(transaction.sign(&[payer_key(payer)]).ok()?, dice)
}

/// A plain payment. It follows from payer, number and time alone, so that many runs have it in common.
pub(super) fn payment(
    founding: &Founding,
    presigned: &Presigned,
    order: &Order,
    dice: &mut Dice,
) -> Option<Verified<SignedTransaction>> {
    let transaction = unsigned(founding, order)?;
    let key = &founding.payers.get(order.payer)?.key;
    presigned.get(transaction.id(), || proven(transaction.sign(std::slice::from_ref(key)).ok()?, dice))
}

/// A plain payment that nobody has signed.
pub(crate) fn unsigned(founding: &Founding, order: &Order) -> Option<Transaction> {
    let number = usize::from(order.nonce[0]);
    let count = founding.payers.len();
    let step = number.checked_rem(count.saturating_sub(1)).unwrap_or(0).saturating_add(1);
    let to = founding.payers.get(order.payer.saturating_add(step) % count.max(1))?.account;
    let amount = Amount::new(u128::from(order.nonce[0] % 7).saturating_add(1));
    let operation =
        Operation::Transfer { asset: founding.coin, to, quantity: Quantity::Exact(amount), tag: None };
    envelope(founding, order, vec![operation])
}

/// A payment that was out of time before the chain began.
///
/// # Panics
/// Never: there are at least two accounts, and one transfer fits a transaction.
pub(super) fn specimen(founding: &Founding) -> SignedTransaction {
    let order = Order { payer: 0, nonce: nonce(0), valid_until: Timestamp::new(1) };
    let to = founding.payers.first().map_or(AccountId::from_bytes([0; 32]), |payer| payer.account);
    let quantity = Quantity::Exact(Amount::new(1));
    let operation = Operation::Transfer { asset: founding.coin, to, quantity, tag: None };
    let transaction = envelope(founding, &order, vec![operation]).expect("a network has accounts");
    transaction.sign(&[payer_key(0)]).expect("the key is that of the signer")
}

struct Maker<'a> {
    founding: &'a Founding,
    order: &'a Order,
    dice: &'a mut Dice,
}

/// Something else than a payment; its name is a mark.
pub(super) fn variety(
    founding: &Founding,
    order: &Order,
    dice: &mut Dice,
) -> Option<(&'static str, Verified<SignedTransaction>)> {
    let kind = dice.below(VARIETIES);
    let mut maker = Maker { founding, order, dice };
    let (name, operations) = maker.operations(kind)?;
    let mut transaction = envelope(founding, order, operations)?;
    if maker.dice.chance(200) {
        transaction.memo = Blob::new(b"memo".to_vec()).ok()?;
    }
    if maker.dice.chance(200) {
        transaction.asserts = List::new(vec![maker.assert()?]).ok()?;
    }
    Some((name, sign(transaction, order.payer, maker.dice)?))
}

impl Maker<'_> {
    fn account(&mut self) -> Option<AccountId> {
        self.dice.pick(&self.founding.payers).map(|payer| payer.account)
    }

    fn asset(&mut self) -> AssetId {
        if self.dice.coin() { self.founding.coin } else { self.founding.gold }
    }

    fn amount(&mut self) -> Amount {
        Amount::new(u128::from(self.dice.between(1, 50)))
    }

    fn assert(&mut self) -> Option<Assert> {
        let account = self.account()?;
        let asset = self.asset();
        Some(match self.dice.below(4) {
            0 => Assert::BalanceAtLeast { account, asset, amount: self.amount() },
            1 => Assert::BalanceAtMost { account, asset, amount: Amount::new(1_000_000_000) },
            2 => Assert::HeightAtMost { height: quorate_primitives::Height::new(self.dice.between(1, 400)) },
            _ => Assert::AuthorityVersion { account, version: 0 },
        })
    }

    fn operations(&mut self, kind: u64) -> Option<(&'static str, Vec<Operation>)> {
        let (to, asset, amount) = (self.account()?, self.asset(), self.amount());
        let gold = self.founding.gold;
        let found = match kind {
            0 | 1 => ("asked transfer_many", Operation::TransferMany { asset, outputs: self.outputs()? }),
            2 | 3 => ("asked mint", Operation::Mint { asset: gold, to, amount }),
            4 | 5 => ("asked burn", Operation::Burn { asset: gold, from: to, amount }),
            6 => ("asked account_create", self.account_create()?),
            7 | 8 => ("asked grant", self.grant()?),
            9 => ("asked revoke", self.revoke()?),
            10 => ("asked asset_create", self.asset_create()?),
            11 => ("asked asset_update", self.asset_update()?),
            12 => (
                "asked transfer of all",
                Operation::Transfer { asset, to, quantity: Quantity::All, tag: None },
            ),
            13 => ("asked authority_set", self.authority_set()),
            14 => ("asked burn", Operation::Burn { asset, from: self.own()?, amount }),
            _ => return self.several(),
        };
        Some((found.0, vec![found.1]))
    }

    fn own(&self) -> Option<AccountId> {
        self.founding.payers.get(self.order.payer).map(|payer| payer.account)
    }

    fn several(&mut self) -> Option<(&'static str, Vec<Operation>)> {
        let count = self.dice.between(2, 5);
        let mut operations = Vec::new();
        for _ in 0..count {
            let (to, asset, amount) = (self.account()?, self.asset(), self.amount());
            operations.push(Operation::Transfer { asset, to, quantity: Quantity::Exact(amount), tag: None });
        }
        Some(("asked several actions", operations))
    }

    fn outputs(&mut self) -> Option<List<Output, 1, 1_000>> {
        let count = self.dice.between(1, 12);
        let mut outputs = Vec::new();
        for _ in 0..count {
            outputs.push(Output { to: self.account()?, amount: self.amount(), tag: None });
        }
        List::new(outputs).ok()
    }

    fn organisation(&mut self) -> Option<OrganisationId> {
        OrganisationId::new(if self.dice.coin() { "acme" } else { "globex" }).ok()
    }

    fn account_create(&mut self) -> Option<Operation> {
        let mut salt = [0; 16];
        salt.iter_mut().zip(self.dice.below(1_000_000).to_le_bytes()).for_each(|(to, from)| *to = from);
        let authority = Authority::single(self.dice.pick(&self.founding.payers)?.key.public_key());
        Some(Operation::AccountCreate {
            organisation: self.organisation()?,
            authority,
            salt,
            label: Text::new("another").ok()?,
        })
    }

    fn scope(&mut self) -> Option<Scope> {
        Some(match self.dice.below(4) {
            0 => Scope::Organisation(self.organisation()?),
            1 => Scope::Account(self.account()?),
            _ => Scope::Asset(self.asset()),
        })
    }

    fn permission(&mut self) -> Option<Permission> {
        let some = [
            Permission::AssetMint,
            Permission::AssetBurnAny,
            Permission::AccountCreate,
            Permission::AssetCreate,
            Permission::AssetAdmin,
            Permission::GrantManage,
        ];
        self.dice.pick(&some).copied()
    }

    fn grant(&mut self) -> Option<Operation> {
        let limit = self.dice.coin().then(|| Amount::new(u128::from(self.dice.between(1, 100))));
        let begin = self.order.valid_until.get();
        let expires =
            self.dice.chance(300).then(|| Timestamp::new(begin.saturating_add(self.dice.below(60_000))));
        let delegation = if self.dice.coin() { Delegation::Allowed } else { Delegation::Forbidden };
        Some(Operation::Grant {
            grantee: self.account()?,
            permission: self.permission()?,
            scope: self.scope()?,
            limit,
            expires,
            delegation,
        })
    }

    fn revoke(&mut self) -> Option<Operation> {
        Some(Operation::Revoke {
            grantee: self.account()?,
            permission: self.permission()?,
            scope: self.scope()?,
        })
    }

    fn asset_create(&mut self) -> Option<Operation> {
        let symbol = format!("A{}", self.dice.below(200));
        Some(Operation::AssetCreate {
            symbol: Symbol::new(&symbol).ok()?,
            name: Text::new("An asset").ok()?,
            decimals: u8::try_from(self.dice.below(20)).ok()?,
            cap: Amount::new(u128::from(self.dice.between(1, 10_000))),
            capabilities: if self.dice.coin() { Capabilities::MINTABLE } else { Capabilities::MEMO_REQUIRED },
        })
    }

    fn asset_update(&mut self) -> Option<Operation> {
        let name = format!("Name {}", self.dice.below(100));
        Some(Operation::AssetUpdate {
            asset: self.asset(),
            name: Text::new(&name).ok()?,
            url: Text::default(),
            document: self.dice.coin().then_some(Hash::ZERO),
        })
    }

    fn authority_set(&mut self) -> Operation {
        let key = payer_key(self.order.payer).public_key();
        let mut authority = Authority::single(key);
        authority.version = u32::try_from(self.dice.between(1, 3)).unwrap_or(1);
        Operation::AuthoritySet { authority }
    }
}

/// A transaction that must not take effect; its name is a mark.
pub(super) fn wrong(
    founding: &Founding,
    order: &Order,
    now: Timestamp,
    dice: &mut Dice,
) -> Option<(&'static str, Verified<SignedTransaction>)> {
    let kind = dice.below(WRONGS);
    let to = dice.pick(&founding.payers)?.account;
    let pay = |amount: u128| Operation::Transfer {
        asset: founding.coin,
        to,
        quantity: Quantity::Exact(Amount::new(amount)),
        tag: None,
    };
    let mut transaction = envelope(founding, order, vec![pay(3)])?;
    let mut key: SecretKey = payer_key(order.payer);
    let name = match kind {
        0 => {
            transaction = envelope(founding, order, vec![pay(5), pay(u128::MAX / 4)])?;
            "wrong: too much money"
        }
        1 => {
            transaction.valid_until = Timestamp::new(now.get().saturating_sub(dice.between(1, 10_000)));
            "wrong: out of time"
        }
        2 => {
            transaction.valid_until = Timestamp::new(now.get().saturating_add(1 << 40));
            "wrong: valid for too long"
        }
        3 => {
            key = payer_key(order.payer.saturating_add(1));
            transaction.signers = List::of_one(key.public_key());
            "wrong: another key"
        }
        4 => {
            transaction.chain = Hash::from_bytes([7; 32]);
            "wrong: another chain"
        }
        5 => {
            transaction = envelope(founding, order, vec![pay(0)])?;
            "wrong: nothing"
        }
        6 => {
            let ghost = AccountId::from_bytes([9; 32]);
            let asset = founding.coin;
            let amount = Quantity::Exact(Amount::new(1));
            let operation = Operation::Transfer { asset, to: ghost, quantity: amount, tag: None };
            transaction = envelope(founding, order, vec![operation])?;
            "wrong: nobody"
        }
        _ => {
            // The nonce of a payment that was surely made before.
            transaction.nonce = nonce(0);
            transaction.reference = Blob::new(b"again".to_vec()).ok()?;
            "wrong: used nonce"
        }
    };
    Some((name, proven(transaction.sign(&[key]).ok()?, dice)?))
}
