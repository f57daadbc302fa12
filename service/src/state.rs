//! Values of the state, with their proofs.
use quorate_ledger::State;
use quorate_primitives::address::{AccountId, Address};
use quorate_primitives::state::{Account, Asset, AssetId, Balance, StateGroup, StateKey};
use quorate_rpc::backend::{Answer, Proofs};
use quorate_rpc::json::{
    AccountAnswer, AssetAnswer, AssetEntry, AssetPage, BalanceEntry, BalancesAnswer, Finality, GroupEvidence,
    HexBytes, Shown, StateAnswer, StateEntry, ValueEvidence,
};
use quorate_rpc::{ApiError, ErrorKind};

use crate::snapshot::Snapshot;

impl Snapshot {
    /// Values of the state, one entry for each key in the order given.
    ///
    /// # Errors
    /// `NotReady`: there is no certified block yet.
    pub fn state(&self, keys: Vec<StateKey>, proofs: Proofs) -> Answer<StateAnswer> {
        let (proof, state) = self.certified()?;
        let entry = |key: StateKey| StateEntry {
            value: state.bytes(&key).map(|bytes| HexBytes(bytes.to_vec())),
            state: (proofs == Proofs::Include).then(|| HexBytes::of(&state.prove(&key))),
            key: HexBytes::of(&key),
        };
        Ok(StateAnswer {
            height: proof.header.height.into(),
            entries: keys.into_iter().map(entry).collect(),
            finality: (proofs == Proofs::Include).then(|| Finality::of(proof)),
        })
    }

    /// An account, or its absence.
    ///
    /// # Errors
    /// `NotReady`: there is no certified block yet.
    pub fn account(&self, id: AccountId, proofs: Proofs) -> Answer<AccountAnswer> {
        let (proof, state) = self.certified()?;
        let key = StateKey::Account(id);
        Ok(AccountAnswer {
            height: proof.header.height.into(),
            id: id.into(),
            address: Address { account: id, tag: None }.to_text(&self.identity.genesis.prefix),
            account: state.get::<Account>(&key).as_ref().map(Into::into),
            proof: (proofs == Proofs::Include).then(|| evidence(Finality::of(proof), state, &key)),
        })
    }

    /// All balances of an account, and that there are no others.
    ///
    /// # Errors
    /// `NotReady`: there is no certified block yet.
    pub fn balances(&self, id: AccountId, proofs: Proofs) -> Answer<BalancesAnswer> {
        let (proof, state) = self.certified()?;
        let (values, group) = state.group(&StateGroup::Balances(id));
        let entry = |(key, _): &(StateKey, Vec<u8>)| {
            let StateKey::Balance(_, asset) = key else {
                return None;
            };
            let balance: Balance = state.get(key)?;
            let described: Option<Asset> = state.get(&StateKey::Asset(*asset));
            Some(BalanceEntry {
                asset: Shown(*asset),
                symbol: described.as_ref().map(|asset| Shown(asset.symbol.clone())),
                decimals: described.as_ref().map(|asset| asset.decimals),
                balance: (&balance).into(),
            })
        };
        Ok(BalancesAnswer {
            height: proof.header.height.into(),
            account: id.into(),
            balances: values.iter().filter_map(entry).collect(),
            proof: (proofs == Proofs::Include)
                .then(|| GroupEvidence::new(Finality::of(proof), &values, &group)),
        })
    }

    /// An asset, or its absence.
    ///
    /// # Errors
    /// `NotReady`: there is no certified block yet.
    pub fn asset(&self, id: AssetId, proofs: Proofs) -> Answer<AssetAnswer> {
        let (proof, state) = self.certified()?;
        let key = StateKey::Asset(id);
        Ok(AssetAnswer {
            height: proof.header.height.into(),
            id: id.into(),
            asset: state.get::<Asset>(&key).as_ref().map(Into::into),
            proof: (proofs == Proofs::Include).then(|| evidence(Finality::of(proof), state, &key)),
        })
    }

    /// At most `limit` assets with ids above `after`, ascending.
    ///
    /// # Errors
    /// `NotReady`: there is no certified block yet.
    pub fn assets(&self, after: Option<AssetId>, limit: u32) -> Answer<AssetPage> {
        let (proof, state) = self.certified()?;
        let rows = usize::try_from(limit).map_err(|error| ApiError::new(ErrorKind::InvalidParams, error))?;
        let mut found: Vec<(AssetId, Asset)> = state.assets(after).take(rows.saturating_add(1)).collect();
        let more = found.len() > rows;
        found.truncate(rows);
        Ok(AssetPage {
            height: proof.header.height.into(),
            next: found.last().filter(|_| more).map(|(id, _)| Shown(*id)),
            assets: found
                .iter()
                .map(|(id, asset)| AssetEntry { id: Shown(*id), asset: asset.into() })
                .collect(),
        })
    }
}

fn evidence(finality: Finality, state: &State, key: &StateKey) -> ValueEvidence {
    ValueEvidence::new(finality, key, state.bytes(key), &state.prove(key))
}
