//! What the actions of one transaction share: the state under change, and the receipt in the making.
use quorate_primitives::address::AccountId;
use quorate_primitives::receipt::{BalanceAfter, Event, Failure, RECEIPT_ENTRIES_MAX};
use quorate_primitives::state::{Account, Asset, AssetId, Balance, StateKey, Status};
use quorate_primitives::transaction::Transaction;
use quorate_primitives::{Amount, EpochNumber, Hash, Timestamp};
use std::collections::BTreeSet;

use super::transaction::Moment;
use crate::state::overlay::Overlay;

/// One transaction while its actions run.
pub(crate) struct Session<'o, 's> {
    /// The state under change.
    pub(crate) overlay: &'o mut Overlay<'s>,
    /// This chain.
    pub(crate) chain: Hash,
    /// Epoch of the block.
    pub(crate) epoch: EpochNumber,
    /// Time of the block.
    pub(crate) now: Timestamp,
    /// Whether the transaction carries a memo.
    pub(crate) has_memo: bool,
    events: Vec<Event>,
    touched: BTreeSet<(AccountId, AssetId)>,
}

/// The account, if it exists and may be used.
pub(crate) fn active_account(overlay: &mut Overlay<'_>, id: &AccountId) -> Result<Account, Failure> {
    let account: Account = overlay.get(&StateKey::Account(*id)).ok_or(Failure::AccountUnknown)?;
    match account.status {
        Status::Active => Ok(account),
        Status::Closed => Err(Failure::AccountClosed),
    }
}

impl<'o, 's> Session<'o, 's> {
    pub(crate) fn new(overlay: &'o mut Overlay<'s>, moment: &Moment, envelope: &Transaction) -> Self {
        let has_memo = !envelope.memo.is_empty();
        let Moment { chain, epoch, time: now, .. } = *moment;
        Self { overlay, chain, epoch, now, has_memo, events: Vec::new(), touched: BTreeSet::new() }
    }

    /// Events in order, and the balances that were touched as they are now, ascending.
    pub(crate) fn finish(mut self) -> (Vec<Event>, Vec<BalanceAfter>) {
        let touched = std::mem::take(&mut self.touched);
        let after =
            |(account, asset)| BalanceAfter { account, asset, balance: self.balance(&account, &asset) };
        let balances = touched.into_iter().map(after).collect();
        (self.events, balances)
    }

    /// Notes what happened.
    pub(crate) fn emit(&mut self, event: Event) -> Result<(), Failure> {
        if self.events.len() >= RECEIPT_ENTRIES_MAX {
            return Err(Failure::ReceiptTooLarge);
        }
        self.events.push(event);
        Ok(())
    }

    /// The account, if it exists and may be used.
    pub(crate) fn account(&mut self, id: &AccountId) -> Result<Account, Failure> {
        active_account(self.overlay, id)
    }

    /// The asset, if it exists and may be used.
    pub(crate) fn asset(&mut self, id: &AssetId) -> Result<Asset, Failure> {
        let asset: Asset = self.overlay.get(&StateKey::Asset(*id)).ok_or(Failure::AssetUnknown)?;
        match asset.status {
            Status::Active => Ok(asset),
            Status::Closed => Err(Failure::AssetClosed),
        }
    }

    /// The balance; all zero if there is none.
    pub(crate) fn balance(&mut self, account: &AccountId, asset: &AssetId) -> Balance {
        self.overlay.get(&StateKey::Balance(*account, *asset)).unwrap_or_default()
    }

    /// Adds units to an account.
    pub(crate) fn credit(
        &mut self,
        account: &AccountId,
        asset: &AssetId,
        amount: Amount,
    ) -> Result<(), Failure> {
        let balance = self.balance(account, asset);
        let posted = balance.posted.checked_add(amount).ok_or(Failure::BalanceOverflow)?;
        self.set_balance(account, asset, Balance { posted, ..balance })
    }

    /// Takes available units from an account.
    pub(crate) fn debit(
        &mut self,
        account: &AccountId,
        asset: &AssetId,
        amount: Amount,
    ) -> Result<(), Failure> {
        let balance = self.balance(account, asset);
        if balance.available() < amount {
            return Err(Failure::InsufficientFunds);
        }
        let posted = balance.posted.checked_sub(amount).ok_or(Failure::InsufficientFunds)?;
        self.set_balance(account, asset, Balance { posted, ..balance })
    }

    /// A balance of nothing is not kept, so that the state does not grow by accounts that were emptied.
    fn set_balance(&mut self, account: &AccountId, asset: &AssetId, balance: Balance) -> Result<(), Failure> {
        let key = StateKey::Balance(*account, *asset);
        if balance == Balance::default() {
            self.overlay.delete(&key);
        } else {
            self.overlay.put(&key, &balance);
        }
        self.touched.insert((*account, *asset));
        if self.touched.len() > RECEIPT_ENTRIES_MAX { Err(Failure::ReceiptTooLarge) } else { Ok(()) }
    }
}

/// Zero is not an amount to act upon.
pub(crate) fn check_amount(amount: Amount) -> Result<(), Failure> {
    if amount == Amount::ZERO { Err(Failure::AmountZero) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Place, State};
    use quorate_primitives::codec::{Blob, List};
    use quorate_primitives::state::Permission;
    use quorate_primitives::state::Scope;
    use quorate_primitives::transaction::{Action, Operation, TRANSACTION_VERSION};
    use quorate_primitives::{Hash, Height, PublicKey};

    fn envelope() -> Transaction {
        let sender = AccountId::from_bytes([1; 32]);
        let revoke =
            Operation::Revoke { grantee: sender, permission: Permission::ReadOwn, scope: Scope::Chain };
        Transaction {
            chain: Hash::ZERO,
            version: TRANSACTION_VERSION,
            sender,
            nonce: [0; 16],
            valid_until: Timestamp::ZERO,
            actions: List::new(vec![Action { actor: None, operation: revoke }]).unwrap(),
            asserts: List::default(),
            reference: Blob::default(),
            memo: Blob::default(),
            signers: List::new(vec![PublicKey::from_bytes([1; 32])]).unwrap(),
        }
    }

    #[test]
    fn a_receipt_never_holds_more_than_it_may() {
        let place = Place { chain: Hash::ZERO, height: Height::ZERO, time: Timestamp::ZERO };
        let state = State::from_entries(place, []);
        let mut overlay = Overlay::new(&state);
        let moment = Moment {
            chain: Hash::ZERO,
            epoch: EpochNumber::ZERO,
            height: Height::ZERO,
            time: Timestamp::ZERO,
            ahead_max_ms: 0,
        };
        let mut session = Session::new(&mut overlay, &moment, &envelope());
        let asset = AssetId::from_bytes([0; 32]);
        let account = |number: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            AccountId::from_bytes(bytes)
        };
        for number in 0..RECEIPT_ENTRIES_MAX {
            assert_eq!(session.emit(Event::AssetUpdated { asset }), Ok(()));
            assert_eq!(session.credit(&account(number), &asset, Amount::new(1)), Ok(()));
        }
        assert_eq!(session.emit(Event::AssetUpdated { asset }), Err(Failure::ReceiptTooLarge));
        let one_more = session.credit(&account(RECEIPT_ENTRIES_MAX), &asset, Amount::new(1));
        assert_eq!(one_more, Err(Failure::ReceiptTooLarge));
    }
}
