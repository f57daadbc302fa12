//! What a transaction did, in a form that can be proven years later.
use borsh::{BorshDeserialize, BorshSerialize};

use crate::address::{AccountId, DepositTag};
use crate::codec::{self, List, Text};
use crate::hash::many::Messages;
use crate::hash::{Domain, Hash, hash};
use crate::keys::PublicKey;
use crate::numbers::{Amount, EpochNumber};
use crate::state::{AssetId, Balance, OrganisationId, Permission, Scope};

/// Room for one receipt that is hashed: that of a transfer.
const RECEIPT_MESSAGE_BYTES: usize = 400;

macro_rules! failures {
    ($($variant:ident = $code:literal, $name:literal, $doc:literal;)*) => {
        /// Why a transaction that is in a block changed nothing. Codes and names are stable. The order
        /// of the variants is part of the format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
        pub enum Failure { $(#[doc = $doc] $variant,)* }

        impl Failure {
            /// All failures in order of their codes.
            pub const ALL: &'static [Failure] = &[$(Failure::$variant,)*];

            /// The stable number, 1000 to 1999.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self { $(Failure::$variant => $code,)* }
            }

            /// The stable name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Failure::$variant => $name,)* }
            }

            /// What it means, for people.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self { $(Failure::$variant => $doc,)* }
            }
        }
    };
}

failures! {
    Unauthorised = 1001, "unauthorised", "the signatures do not reach the threshold of an account that acts";
    NonceConflict = 1002, "nonce_conflict", "another transaction of this sender used the nonce";
    AccountUnknown = 1003, "account_unknown", "an account does not exist";
    AccountExists = 1004, "account_exists", "the account exists already";
    AccountClosed = 1005, "account_closed", "an account is closed";
    OrganisationUnknown = 1006, "organisation_unknown", "the organisation does not exist";
    AuthorityInvalid = 1007, "authority_invalid", "the authority's keys, weights, threshold or version are not allowed";
    AssetUnknown = 1008, "asset_unknown", "the asset does not exist";
    AssetExists = 1009, "asset_exists", "the symbol is taken";
    AssetClosed = 1010, "asset_closed", "the asset is closed";
    DecimalsInvalid = 1011, "decimals_invalid", "more than 18 decimals";
    CapabilityMissing = 1012, "capability_missing", "the asset does not have the capability";
    PermissionMissing = 1013, "permission_missing", "the acting account does not hold the permission";
    PermissionLimit = 1014, "permission_limit", "the amount is above the limit of the permission";
    GrantExceeds = 1015, "grant_exceeds", "nobody can grant more than they hold";
    GrantUnknown = 1016, "grant_unknown", "there is no such grant";
    LastAdministrator = 1017, "last_administrator", "the last administrator of a scope cannot be removed";
    AmountZero = 1018, "amount_zero", "the amount is zero";
    InsufficientFunds = 1019, "insufficient_funds", "the available balance is too small";
    CapExceeded = 1020, "cap_exceeded", "the asset's supply would pass its cap";
    SelfTransfer = 1021, "self_transfer", "sender and receiver are the same account";
    MemoRequired = 1022, "memo_required", "the asset requires a memo";
    AssertFailed = 1023, "assert_failed", "a condition of the transaction does not hold";
    BalanceOverflow = 1024, "balance_overflow", "a balance would pass the largest amount";
    ReceiptTooLarge = 1025, "receipt_too_large", "the transaction touches more than a receipt can hold";
    Unsupported = 1026, "unsupported", "the asset needs a feature that this protocol version does not have";
    ValidatorUnknown = 1027, "validator_unknown", "no validator has the name";
    ValidatorExists = 1028, "validator_exists", "a validator has the name or the key already";
    ValidatorInvalid = 1029, "validator_invalid", "the validator's name is empty or its key is not allowed";
    PossessionInvalid = 1030, "possession_invalid", "the validator's key did not sign for this chain, name and organisation";
    ValidatorSetFull = 1031, "validator_set_full", "there cannot be more validators";
    ValidatorSetEmpty = 1032, "validator_set_empty", "the last validator cannot be removed";
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Verdict {
    /// All actions took effect.
    Committed,
    /// No action took effect.
    Failed {
        /// Why.
        failure: Failure,
        /// Position of the action at fault; absent if none is.
        action: Option<u8>,
    },
}

/// Something that happened. The order of the variants is part of the format.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// An account was opened.
    AccountCreated {
        /// Which.
        account: AccountId,
        /// Owner.
        organisation: OrganisationId,
    },
    /// An account's authority was replaced.
    AuthoritySet {
        /// Which.
        account: AccountId,
        /// New version.
        version: u32,
    },
    /// An asset was created.
    AssetCreated {
        /// Which.
        asset: AssetId,
        /// By whom.
        issuer: AccountId,
    },
    /// An asset's description was changed.
    AssetUpdated {
        /// Which.
        asset: AssetId,
    },
    /// Units were created.
    Minted {
        /// Of what.
        asset: AssetId,
        /// For whom.
        to: AccountId,
        /// Smallest units.
        amount: Amount,
    },
    /// Units were destroyed.
    Burned {
        /// Of what.
        asset: AssetId,
        /// Whose.
        from: AccountId,
        /// Smallest units.
        amount: Amount,
    },
    /// Units were moved.
    Transferred {
        /// Of what.
        asset: AssetId,
        /// Payer.
        from: AccountId,
        /// Receiver.
        to: AccountId,
        /// Smallest units.
        amount: Amount,
        /// Whom within the receiver.
        tag: Option<DepositTag>,
    },
    /// A permission was given.
    Granted {
        /// To whom.
        grantee: AccountId,
        /// What.
        permission: Permission,
        /// Where.
        scope: Scope,
        /// By whom.
        granter: AccountId,
    },
    /// A permission was taken back.
    Revoked {
        /// From whom.
        grantee: AccountId,
        /// What.
        permission: Permission,
        /// Where.
        scope: Scope,
    },
    /// A validator will join.
    ValidatorAdded {
        /// Its name.
        name: Text<32>,
        /// Who runs it.
        organisation: OrganisationId,
        /// Its key.
        key: PublicKey,
        /// First epoch in which it votes.
        from: EpochNumber,
    },
    /// A validator will leave.
    ValidatorRemoved {
        /// Its name.
        name: Text<32>,
        /// Its key.
        key: PublicKey,
        /// First epoch in which it does not vote.
        from: EpochNumber,
    },
    /// A validator will sign with another key.
    ValidatorKeyRotated {
        /// Its name.
        name: Text<32>,
        /// The new key.
        key: PublicKey,
        /// First epoch in which it signs with it.
        from: EpochNumber,
    },
}

/// A balance as a transaction left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BalanceAfter {
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub asset: AssetId,
    /// The balance.
    pub balance: Balance,
}

/// Most events, and most balances, in one receipt. A transaction that would need more fails.
pub const RECEIPT_ENTRIES_MAX: usize = 2_048;
/// Longest receipt in bytes.
pub const RECEIPT_BYTES_MAX: usize = 512 * 1024;

/// Bytes of the longest event: a transfer with a tag.
const EVENT_BYTES: usize = 122;
/// Bytes of a balance after.
const BALANCE_BYTES: usize = 112;

const _: () = assert!(RECEIPT_ENTRIES_MAX * (EVENT_BYTES + BALANCE_BYTES) + 64 <= RECEIPT_BYTES_MAX);

/// What one transaction did.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Receipt {
    /// Transaction id.
    pub transaction: Hash,
    /// How it ended.
    pub verdict: Verdict,
    /// What happened, in order; empty unless committed.
    pub events: List<Event, 0, RECEIPT_ENTRIES_MAX>,
    /// Balances after, ascending by account and asset, each once; empty unless committed.
    pub balances: List<BalanceAfter, 0, RECEIPT_ENTRIES_MAX>,
}

impl Receipt {
    /// Leaf of the block's receipt list: `hash(list leaf, canonical bytes)`.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        hash(Domain::ListLeaf, &[&codec::encode(self)])
    }

    /// The leaves of many receipts, in order; cheaper than one by one.
    #[must_use]
    pub fn leaves(receipts: &[Self]) -> Vec<Hash> {
        let mut messages = Messages::with_capacity(receipts.len(), RECEIPT_MESSAGE_BYTES);
        receipts.iter().for_each(|receipt| messages.push_value(Domain::ListLeaf, receipt));
        messages.hashes()
    }
}
