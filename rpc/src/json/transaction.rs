//! Transactions, how they stand, and the answers to submitting them.
use quorate_primitives::address::AccountId;
use quorate_primitives::state::{self, AssetId, Delegation, OrganisationId, Symbol};
use quorate_primitives::transaction::{self, Quantity, SignedTransaction};
use quorate_primitives::validators::Validator;
use quorate_primitives::{Amount, Hash, Height, PublicKey, Signature};

use super::proof::ReceiptEvidence;
use super::receipt::{FailureInfo, Receipt};
use super::schema::{object, tagged, words};
use super::state::Authority;
use super::values::{Decimal, HexBytes, Shown, Time};
use crate::api::ErrorObject;

words! {
    /// How a transaction stands.
    pub enum TransactionState {
        /// Waiting to be ordered, or ordered and not yet final.
        Pending = "pending",
        /// In a finalized block, and all its actions took effect.
        Final = "final",
        /// In a finalized block, and without effect.
        Rejected = "rejected",
        /// In no block, and too old to ever be in one.
        Expired = "expired",
        /// Not known to this node.
        Unknown = "unknown",
    }
}

object! {
    /// How a transaction stands.
    pub struct TransactionStatus {
        /// Which transaction.
        pub tx_id: Shown<Hash>,
        /// How it stands.
        pub state: TransactionState,
        /// Height of the block that holds it.
        pub height: Option<Decimal<Height>>,
        /// Position among the block's receipts, from 0.
        pub index: Option<u32>,
        /// Why it had no effect, for state `rejected`.
        pub failure: Option<FailureInfo>,
    }
}

impl TransactionStatus {
    /// A transaction that is in no block.
    #[must_use]
    pub fn outside(tx_id: Hash, state: TransactionState) -> Self {
        Self { tx_id: tx_id.into(), state, height: None, index: None, failure: None }
    }

    /// A transaction that is in a finalized block.
    #[must_use]
    pub fn included(height: Height, index: u32, receipt: &quorate_primitives::receipt::Receipt) -> Self {
        let failure = Receipt::from(receipt).failure;
        let state = if failure.is_none() { TransactionState::Final } else { TransactionState::Rejected };
        Self {
            tx_id: receipt.transaction.into(),
            state,
            height: Some(height.into()),
            index: Some(index),
            failure,
        }
    }
}

object! {
    /// A transaction with all that is known of it.
    pub struct TransactionAnswer {
        /// Newest finalized height of the node that answers.
        pub height: Decimal<Height>,
        /// How it stands.
        pub status: TransactionStatus,
        /// Id of the block that holds it.
        pub block: Option<Shown<Hash>>,
        /// Time of that block.
        pub time: Option<Time>,
        /// What it did, if it is in a block.
        pub receipt: Option<Receipt>,
        /// What was signed, if the node has it.
        pub transaction: Option<Transaction>,
        /// What shows that it is in the block and did what the receipt says, if asked for.
        pub proof: Option<ReceiptEvidence>,
    }
}

object! {
    /// A transaction was taken.
    pub struct Submitted {
        /// Its id.
        pub tx_id: Shown<Hash>,
        /// Newest finalized height of the node that took it.
        pub height: Decimal<Height>,
    }
}

object! {
    /// What became of many submitted transactions.
    pub struct SubmitManyAnswer {
        /// Newest finalized height of the node.
        pub height: Decimal<Height>,
        /// How many were taken.
        pub accepted: u32,
        /// One for each transaction, in the order given.
        pub results: Vec<SubmitResult>,
    }
}

object! {
    /// What became of one of many.
    pub struct SubmitResult {
        /// Its id; `null` if the bytes are no transaction.
        pub tx_id: Option<Shown<Hash>>,
        /// Why it was not taken; `null` if it was.
        pub error: Option<ErrorObject>,
    }
}

object! {
    /// What was signed.
    pub struct Transaction {
        /// Hash of the unsigned canonical bytes.
        pub tx_id: Shown<Hash>,
        /// The chain it is for.
        pub chain: Shown<Hash>,
        /// Default actor.
        pub sender: Shown<AccountId>,
        /// The sender's idempotency key, in hexadecimal.
        pub nonce: String,
        /// After this block time it can never execute.
        pub valid_until: Time,
        /// Executed in order, all or nothing.
        pub actions: Vec<Action>,
        /// Conditions that must hold before the first action.
        pub asserts: Vec<Assert>,
        /// The client's own reference.
        pub reference: HexBytes,
        /// For the receiver.
        pub memo: HexBytes,
        /// Keys that signed.
        pub signers: Vec<Shown<PublicKey>>,
        /// Canonical bytes with the signatures.
        pub bytes: HexBytes,
    }
}

impl From<&SignedTransaction> for Transaction {
    fn from(signed: &SignedTransaction) -> Self {
        let unsigned = signed.transaction();
        Self {
            tx_id: signed.id().into(),
            chain: unsigned.chain.into(),
            sender: unsigned.sender.into(),
            nonce: hex::encode(unsigned.nonce),
            valid_until: unsigned.valid_until.into(),
            actions: unsigned.actions.iter().map(Action::from).collect(),
            asserts: unsigned.asserts.iter().map(Assert::from).collect(),
            reference: HexBytes(unsigned.reference.to_vec()),
            memo: HexBytes(unsigned.memo.to_vec()),
            signers: unsigned.signers.iter().copied().map(Shown).collect(),
            bytes: HexBytes::of(signed),
        }
    }
}

object! {
    /// One step of a transaction.
    pub struct Action {
        /// The account that acts; the sender if `null`.
        pub actor: Option<Shown<AccountId>>,
        /// What is done.
        pub operation: Operation,
    }
}

impl From<&transaction::Action> for Action {
    fn from(action: &transaction::Action) -> Self {
        Self { actor: action.actor.map(Shown), operation: (&action.operation).into() }
    }
}

tagged! {
    /// Where a permission holds.
    pub enum Scope {
        /// Everywhere.
        Chain = "chain" {}
        /// For an organisation and all its accounts.
        Organisation = "organisation" {
            /// Which.
            organisation: Shown<OrganisationId>,
        }
        /// For an asset.
        Asset = "asset" {
            /// Which.
            asset: Shown<AssetId>,
        }
        /// For an account.
        Account = "account" {
            /// Which.
            account: Shown<AccountId>,
        }
    }
}

impl From<&state::Scope> for Scope {
    fn from(scope: &state::Scope) -> Self {
        match scope {
            state::Scope::Chain => Self::Chain {},
            state::Scope::Organisation(id) => Self::Organisation { organisation: id.clone().into() },
            state::Scope::Asset(id) => Self::Asset { asset: (*id).into() },
            state::Scope::Account(id) => Self::Account { account: (*id).into() },
        }
    }
}

object! {
    /// One payment of a `transfer_many`.
    pub struct Output {
        /// Receiver.
        pub to: Shown<AccountId>,
        /// Smallest units.
        pub amount: Decimal<Amount>,
        /// Whom within the receiver, in hexadecimal.
        pub tag: Option<String>,
    }
}

impl From<&transaction::Output> for Output {
    fn from(output: &transaction::Output) -> Self {
        Self { to: output.to.into(), amount: output.amount.into(), tag: output.tag.map(hex::encode) }
    }
}

tagged! {
    /// What an action does.
    pub enum Operation {
        /// Opens an account.
        AccountCreate = "account_create" {
            /// Owner.
            organisation: Shown<OrganisationId>,
            /// Who may act for it.
            authority: Authority,
            /// Tells accounts with the same authority apart, in hexadecimal.
            salt: String,
            /// For people.
            label: String,
        }
        /// Replaces the actor's own authority.
        AuthoritySet = "authority_set" {
            /// The new authority.
            authority: Authority,
        }
        /// Creates an asset.
        AssetCreate = "asset_create" {
            /// Unique on the network.
            symbol: Shown<Symbol>,
            /// For people.
            name: String,
            /// Digits after the point.
            decimals: u8,
            /// Most units that may ever exist at a time.
            cap: Decimal<Amount>,
            /// What the issuer may do, by name.
            capabilities: Vec<String>,
        }
        /// Changes what people read about an asset.
        AssetUpdate = "asset_update" {
            /// Which.
            asset: Shown<AssetId>,
            /// New name.
            name: String,
            /// Where to read more.
            url: String,
            /// Hash of the governing document.
            document: Option<Shown<Hash>>,
        }
        /// Creates units.
        Mint = "mint" {
            /// Of what.
            asset: Shown<AssetId>,
            /// Receiver.
            to: Shown<AccountId>,
            /// Smallest units.
            amount: Decimal<Amount>,
        }
        /// Destroys units.
        Burn = "burn" {
            /// Of what.
            asset: Shown<AssetId>,
            /// Whose.
            from: Shown<AccountId>,
            /// Smallest units.
            amount: Decimal<Amount>,
        }
        /// Moves units from the actor to another account.
        Transfer = "transfer" {
            /// Of what.
            asset: Shown<AssetId>,
            /// Receiver.
            to: Shown<AccountId>,
            /// Smallest units; `null` for all that is available.
            amount: Option<Decimal<Amount>>,
            /// Whom within the receiver, in hexadecimal.
            tag: Option<String>,
        }
        /// Moves units from the actor to many accounts; all or nothing.
        TransferMany = "transfer_many" {
            /// Of what.
            asset: Shown<AssetId>,
            /// Payments in order.
            outputs: Vec<Output>,
        }
        /// Gives a permission.
        Grant = "grant" {
            /// To whom.
            grantee: Shown<AccountId>,
            /// What.
            permission: String,
            /// Where.
            scope: Scope,
            /// Most units a single use may concern.
            limit: Option<Decimal<Amount>>,
            /// Ends by itself after this block time.
            expires: Option<Time>,
            /// Whether the grantee may pass it on.
            delegable: bool,
        }
        /// Takes a permission back.
        Revoke = "revoke" {
            /// From whom.
            grantee: Shown<AccountId>,
            /// What.
            permission: String,
            /// Where.
            scope: Scope,
        }
        /// Adds a validator from the epoch after the next one on.
        ValidatorAdd = "validator_add" {
            /// Its name, unique among the validators.
            name: String,
            /// Who runs it.
            organisation: Shown<OrganisationId>,
            /// Signs its votes.
            key: Shown<PublicKey>,
            /// Signature by that key, in hexadecimal: whoever adds the validator holds it.
            possession: HexBytes,
        }
        /// Removes a validator from the epoch after the next one on.
        ValidatorRemove = "validator_remove" {
            /// Its name.
            name: String,
        }
        /// Replaces a validator's key from the epoch after the next one on.
        ValidatorRotateKey = "validator_rotate_key" {
            /// Its name.
            name: String,
            /// The new key.
            key: Shown<PublicKey>,
            /// Signature by the new key, in hexadecimal: whoever replaces the key holds the new one.
            possession: HexBytes,
        }
    }
}

impl From<&transaction::Operation> for Operation {
    fn from(operation: &transaction::Operation) -> Self {
        use transaction::Operation as O;
        match operation {
            O::AccountCreate { organisation, authority, salt, label } => Self::AccountCreate {
                organisation: organisation.clone().into(),
                authority: authority.into(),
                salt: hex::encode(salt),
                label: label.to_string(),
            },
            O::AuthoritySet { authority } => Self::AuthoritySet { authority: authority.into() },
            O::AssetCreate { symbol, name, decimals, cap, capabilities } => Self::AssetCreate {
                symbol: symbol.clone().into(),
                name: name.to_string(),
                decimals: *decimals,
                cap: (*cap).into(),
                capabilities: capabilities.names().map(str::to_owned).collect(),
            },
            O::AssetUpdate { asset, name, url, document } => Self::AssetUpdate {
                asset: (*asset).into(),
                name: name.to_string(),
                url: url.to_string(),
                document: document.map(Shown),
            },
            O::Mint { asset, to, amount } => {
                Self::Mint { asset: (*asset).into(), to: (*to).into(), amount: (*amount).into() }
            }
            O::Burn { asset, from, amount } => {
                Self::Burn { asset: (*asset).into(), from: (*from).into(), amount: (*amount).into() }
            }
            O::Transfer { asset, to, quantity, tag } => Self::Transfer {
                asset: (*asset).into(),
                to: (*to).into(),
                amount: match quantity {
                    Quantity::Exact(amount) => Some((*amount).into()),
                    Quantity::All => None,
                },
                tag: tag.map(hex::encode),
            },
            O::TransferMany { asset, outputs } => Self::TransferMany {
                asset: (*asset).into(),
                outputs: outputs.iter().map(Output::from).collect(),
            },
            O::Grant { grantee, permission, scope, limit, expires, delegation } => Self::Grant {
                grantee: (*grantee).into(),
                permission: permission.name().to_owned(),
                scope: scope.into(),
                limit: limit.map(Decimal),
                expires: expires.map(Time),
                delegable: *delegation == Delegation::Allowed,
            },
            O::Revoke { grantee, permission, scope } => Self::Revoke {
                grantee: (*grantee).into(),
                permission: permission.name().to_owned(),
                scope: scope.into(),
            },
            O::ValidatorAdd { validator, possession } => Self::validator_add(validator, possession),
            O::ValidatorRemove { name } => Self::ValidatorRemove { name: name.to_string() },
            O::ValidatorRotateKey { name, key, possession } => Self::ValidatorRotateKey {
                name: name.to_string(),
                key: (*key).into(),
                possession: HexBytes::of(possession),
            },
        }
    }
}

impl Operation {
    fn validator_add(validator: &Validator, possession: &Signature) -> Self {
        Self::ValidatorAdd {
            name: validator.name.to_string(),
            organisation: validator.organisation.clone().into(),
            key: validator.key.into(),
            possession: HexBytes::of(possession),
        }
    }
}

tagged! {
    /// A condition on the state before a transaction.
    pub enum Assert {
        /// The account's available balance is at least this.
        BalanceAtLeast = "balance_at_least" {
            /// Whose.
            account: Shown<AccountId>,
            /// Of what.
            asset: Shown<AssetId>,
            /// Smallest units.
            amount: Decimal<Amount>,
        }
        /// The account's available balance is at most this.
        BalanceAtMost = "balance_at_most" {
            /// Whose.
            account: Shown<AccountId>,
            /// Of what.
            asset: Shown<AssetId>,
            /// Smallest units.
            amount: Decimal<Amount>,
        }
        /// The block's height is at most this.
        HeightAtMost = "height_at_most" {
            /// Last height.
            height: Decimal<Height>,
        }
        /// The account's authority still has this version.
        AuthorityVersion = "authority_version" {
            /// Whose.
            account: Shown<AccountId>,
            /// The version.
            version: u32,
        }
    }
}

impl From<&transaction::Assert> for Assert {
    fn from(assert: &transaction::Assert) -> Self {
        use transaction::Assert as A;
        match assert {
            A::BalanceAtLeast { account, asset, amount } => Self::BalanceAtLeast {
                account: (*account).into(),
                asset: (*asset).into(),
                amount: (*amount).into(),
            },
            A::BalanceAtMost { account, asset, amount } => Self::BalanceAtMost {
                account: (*account).into(),
                asset: (*asset).into(),
                amount: (*amount).into(),
            },
            A::HeightAtMost { height } => Self::HeightAtMost { height: (*height).into() },
            A::AuthorityVersion { account, version } => {
                Self::AuthorityVersion { account: (*account).into(), version: *version }
            }
        }
    }
}
