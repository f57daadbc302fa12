//! What a transaction did, for reading.
use quorate_primitives::address::AccountId;
use quorate_primitives::receipt::{self, Failure, Verdict};
use quorate_primitives::state::{self, AssetId, OrganisationId};
use quorate_primitives::{Amount, EpochNumber, Hash, PublicKey};

use super::schema::{object, tagged};
use super::state::Balance;
use super::transaction::Scope;
use super::values::{Decimal, Shown};

object! {
    /// Why a transaction in a block changed nothing.
    pub struct FailureInfo {
        /// The stable number, 1000 to 1999.
        pub code: u16,
        /// The stable name.
        pub name: String,
        /// What it means.
        pub description: String,
        /// Position of the action at fault, from 0.
        pub action: Option<u8>,
    }
}

impl FailureInfo {
    /// Describes a failure.
    #[must_use]
    pub fn new(failure: Failure, action: Option<u8>) -> Self {
        Self {
            code: failure.code(),
            name: failure.name().to_owned(),
            description: failure.description().to_owned(),
            action,
        }
    }
}

object! {
    /// What one transaction did.
    pub struct Receipt {
        /// Which.
        pub tx_id: Shown<Hash>,
        /// Why it changed nothing; `null` if all its actions took effect.
        pub failure: Option<FailureInfo>,
        /// What happened, in order.
        pub events: Vec<Event>,
        /// Balances as the transaction left them.
        pub balances: Vec<BalanceAfter>,
    }
}

impl From<&receipt::Receipt> for Receipt {
    fn from(receipt: &receipt::Receipt) -> Self {
        let failure = match receipt.verdict {
            Verdict::Committed => None,
            Verdict::Failed { failure, action } => Some(FailureInfo::new(failure, action)),
        };
        Self {
            tx_id: receipt.transaction.into(),
            failure,
            events: receipt.events.iter().map(Event::from).collect(),
            balances: receipt.balances.iter().map(BalanceAfter::from).collect(),
        }
    }
}

object! {
    /// A balance as a transaction left it.
    pub struct BalanceAfter {
        /// Whose.
        pub account: Shown<AccountId>,
        /// Of what.
        pub asset: Shown<AssetId>,
        /// The balance.
        pub balance: Balance,
    }
}

impl From<&receipt::BalanceAfter> for BalanceAfter {
    fn from(after: &receipt::BalanceAfter) -> Self {
        Self { account: after.account.into(), asset: after.asset.into(), balance: (&after.balance).into() }
    }
}

tagged! {
    /// Something that happened.
    pub enum Event {
        /// An account was opened.
        AccountCreated = "account_created" {
            /// Which.
            account: Shown<AccountId>,
            /// Owner.
            organisation: Shown<OrganisationId>,
        }
        /// An account's authority was replaced.
        AuthoritySet = "authority_set" {
            /// Which.
            account: Shown<AccountId>,
            /// New version.
            version: u32,
        }
        /// An asset was created.
        AssetCreated = "asset_created" {
            /// Which.
            asset: Shown<AssetId>,
            /// By whom.
            issuer: Shown<AccountId>,
        }
        /// An asset's description was changed.
        AssetUpdated = "asset_updated" {
            /// Which.
            asset: Shown<AssetId>,
        }
        /// Units were created.
        Minted = "minted" {
            /// Of what.
            asset: Shown<AssetId>,
            /// For whom.
            to: Shown<AccountId>,
            /// Smallest units.
            amount: Decimal<Amount>,
        }
        /// Units were destroyed.
        Burned = "burned" {
            /// Of what.
            asset: Shown<AssetId>,
            /// Whose.
            from: Shown<AccountId>,
            /// Smallest units.
            amount: Decimal<Amount>,
        }
        /// Units were moved.
        Transferred = "transferred" {
            /// Of what.
            asset: Shown<AssetId>,
            /// Payer.
            from: Shown<AccountId>,
            /// Receiver.
            to: Shown<AccountId>,
            /// Smallest units.
            amount: Decimal<Amount>,
            /// Whom within the receiver, in hexadecimal.
            tag: Option<String>,
        }
        /// A permission was given.
        Granted = "granted" {
            /// To whom.
            grantee: Shown<AccountId>,
            /// What.
            permission: String,
            /// Where.
            scope: Scope,
            /// By whom.
            granter: Shown<AccountId>,
        }
        /// A permission was taken back.
        Revoked = "revoked" {
            /// From whom.
            grantee: Shown<AccountId>,
            /// What.
            permission: String,
            /// Where.
            scope: Scope,
        }
        /// A validator will join.
        ValidatorAdded = "validator_added" {
            /// Its name.
            name: String,
            /// Who runs it.
            organisation: Shown<OrganisationId>,
            /// Its key.
            key: Shown<PublicKey>,
            /// First epoch in which it votes.
            from_epoch: Decimal<EpochNumber>,
        }
        /// A validator will leave.
        ValidatorRemoved = "validator_removed" {
            /// Its name.
            name: String,
            /// Its key.
            key: Shown<PublicKey>,
            /// First epoch in which it does not vote.
            from_epoch: Decimal<EpochNumber>,
        }
        /// A validator will sign with another key.
        ValidatorKeyRotated = "validator_key_rotated" {
            /// Its name.
            name: String,
            /// The new key.
            key: Shown<PublicKey>,
            /// First epoch in which it signs with it.
            from_epoch: Decimal<EpochNumber>,
        }
    }
}

impl From<&receipt::Event> for Event {
    fn from(event: &receipt::Event) -> Self {
        use receipt::Event as E;
        let name = |permission: state::Permission| permission.name().to_owned();
        match event {
            E::AccountCreated { account, organisation } => {
                Self::AccountCreated { account: (*account).into(), organisation: organisation.clone().into() }
            }
            E::AuthoritySet { account, version } => {
                Self::AuthoritySet { account: (*account).into(), version: *version }
            }
            E::AssetCreated { asset, issuer } => {
                Self::AssetCreated { asset: (*asset).into(), issuer: (*issuer).into() }
            }
            E::AssetUpdated { asset } => Self::AssetUpdated { asset: (*asset).into() },
            E::Minted { asset, to, amount } => {
                Self::Minted { asset: (*asset).into(), to: (*to).into(), amount: (*amount).into() }
            }
            E::Burned { asset, from, amount } => {
                Self::Burned { asset: (*asset).into(), from: (*from).into(), amount: (*amount).into() }
            }
            E::Transferred { asset, from, to, amount, tag } => Self::Transferred {
                asset: (*asset).into(),
                from: (*from).into(),
                to: (*to).into(),
                amount: (*amount).into(),
                tag: tag.map(hex::encode),
            },
            E::Granted { grantee, permission, scope, granter } => Self::Granted {
                grantee: (*grantee).into(),
                permission: name(*permission),
                scope: scope.into(),
                granter: (*granter).into(),
            },
            E::Revoked { grantee, permission, scope } => Self::Revoked {
                grantee: (*grantee).into(),
                permission: name(*permission),
                scope: scope.into(),
            },
            E::ValidatorAdded { name, organisation, key, from } => Self::ValidatorAdded {
                name: name.to_string(),
                organisation: organisation.clone().into(),
                key: (*key).into(),
                from_epoch: (*from).into(),
            },
            E::ValidatorRemoved { name, key, from } => Self::ValidatorRemoved {
                name: name.to_string(),
                key: (*key).into(),
                from_epoch: (*from).into(),
            },
            E::ValidatorKeyRotated { name, key, from } => Self::ValidatorKeyRotated {
                name: name.to_string(),
                key: (*key).into(),
                from_epoch: (*from).into(),
            },
        }
    }
}
