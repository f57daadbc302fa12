//! What is asked, and how an answer is verified.
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::encode;
use quorate_primitives::state::{AssetId, Permission, Scope, StateGroup, StateKey, Symbol};
use quorate_primitives::{EpochNumber, Hash, Height};
use quorate_rpc::json::{
    AccountAnswer, AssetAnswer, BalancesAnswer, Decimal, EpochsAnswer, EvidenceAnswer, FinalityAnswer,
    HexBytes, Shown, StateAnswer, TransactionAnswer,
};
use quorate_rpc::{Distrust, ErrorKind, Verifier};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::checkers::Checkers;
use crate::checkers::reads::Proven;
use crate::founding::Founding;
use crate::random::Dice;

/// Most handovers that are asked for at once: few, so that there are several pages.
pub const EPOCHS_MAX: u32 = 4;
/// Number of symbols that the workload gives to assets.
const SYMBOLS: u64 = 200;
/// Rows of a page of assets: few, so that there are several pages.
pub const ROWS_MAX: u64 = 4;

/// A question to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Values of the state.
    Values(Vec<StateKey>),
    /// An account.
    Account(AccountId),
    /// All balances of an account.
    Balances(AccountId),
    /// An asset.
    Asset(AssetId),
    /// All evidence.
    Evidence,
    /// A transaction and what it did.
    Transaction(Hash),
    /// That a block is final; the newest certified one without a height.
    Finality(Option<Height>),
    /// At most so many handovers, from that into an epoch on.
    Epochs(EpochNumber, u32),
    /// The newest block.
    Head,
    /// A block by its height, with its bundles or without.
    Block(Height, bool),
    /// A block by its id.
    BlockOf(Hash),
    /// The validators of an epoch.
    Validators(Option<EpochNumber>),
    /// How a transaction stands.
    Standing(Hash),
    /// A page of so many assets that follow one.
    Assets(Option<AssetId>, u64),
    /// Something that only tells how the node is.
    Other(&'static str),
}

impl Question {
    /// Its name as a mark.
    #[must_use]
    pub fn mark(&self) -> &'static str {
        match self {
            Self::Values(_) => "read: values of the state",
            Self::Account(_) => "read: account",
            Self::Balances(_) => "read: balances",
            Self::Asset(_) => "read: asset",
            Self::Evidence => "read: evidence",
            Self::Transaction(_) => "read: transaction",
            Self::Finality(_) => "read: finality",
            Self::Epochs(..) => "read: epochs",
            Self::Head => "read: head",
            Self::Block(..) | Self::BlockOf(_) => "read: block",
            Self::Validators(_) => "read: validators",
            Self::Standing(_) => "read: standing",
            Self::Assets(..) => "read: list of assets",
            Self::Other(_) => "read: how the node is",
        }
    }

    /// Method and parameters.
    #[must_use]
    pub fn call(&self) -> (&'static str, Value) {
        match self {
            Self::Values(keys) => {
                let keys: Vec<HexBytes> = keys.iter().map(HexBytes::of).collect();
                ("state_get", json!({ "keys": keys, "proof": true }))
            }
            Self::Account(id) => ("account_get", json!({ "account": Shown(*id), "proof": true })),
            Self::Balances(id) => ("account_getBalances", json!([Shown(*id), true])),
            Self::Asset(id) => ("asset_get", json!({ "asset": Shown(*id), "proof": true })),
            Self::Evidence => ("chain_getEvidence", json!({ "proof": true })),
            Self::Transaction(id) => ("tx_get", json!({ "tx_id": Shown(*id), "proof": true })),
            Self::Finality(None) => ("chain_getFinality", json!([])),
            Self::Finality(Some(height)) => ("chain_getFinality", json!({ "height": Decimal(*height) })),
            Self::Epochs(from, limit) => {
                ("chain_getEpochs", json!({ "from": Decimal(*from), "limit": limit }))
            }
            Self::Head => ("chain_head", json!({})),
            Self::Block(height, bodies) => {
                ("chain_getBlock", json!({ "height": height.get(), "bodies": bodies }))
            }
            Self::BlockOf(id) => ("chain_getBlock", json!({ "block": Shown(*id) })),
            Self::Validators(None) => ("chain_getValidators", json!({})),
            Self::Validators(Some(epoch)) => ("chain_getValidators", json!([Decimal(*epoch)])),
            Self::Standing(id) => ("tx_status", json!({ "tx_id": Shown(*id) })),
            Self::Assets(after, limit) => {
                ("asset_list", json!({ "after": after.map(Shown), "limit": limit }))
            }
            Self::Other(method) => (method, json!([])),
        }
    }

    /// Whether an honest node may answer with this error, when it told clients of these heights.
    #[must_use]
    pub fn may_fail(
        &self,
        kind: ErrorKind,
        (head, certified): (Height, Option<Height>),
        checkers: &Checkers,
    ) -> bool {
        let is_unproven = |height: Height| certified.is_none_or(|certified| height > certified);
        match (self, kind) {
            (Self::Finality(Some(height)), ErrorKind::NotReady) => is_unproven(*height),
            (Self::Transaction(id), ErrorKind::NotReady) => checkers.height_of(id).is_none_or(is_unproven),
            (
                Self::Values(_)
                | Self::Account(_)
                | Self::Balances(_)
                | Self::Asset(_)
                | Self::Evidence
                | Self::Assets(..)
                | Self::Finality(None),
                ErrorKind::NotReady,
            ) => certified.is_none(),
            (Self::Finality(Some(height)) | Self::Block(height, _), ErrorKind::NotFound) => {
                *height == Height::ZERO || *height > head
            }
            (Self::Other("chain_getHeader"), ErrorKind::NotFound) => head == Height::ZERO,
            (Self::BlockOf(id), ErrorKind::NotFound) => {
                let mut known = (1..=head.get()).filter_map(|height| checkers.block_at(Height::new(height)));
                !known.any(|block| block == *id)
            }
            (Self::Validators(Some(epoch)), ErrorKind::NotFound) => {
                checkers.epoch_of(head.next()).saturating_add(2) < *epoch
            }
            _ => false,
        }
    }

    /// Verifies an answer. `None` for one that proves nothing and says that there is nothing to prove.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn verify(&self, verifier: &Verifier, answer: &Value) -> Result<Option<Proven>, Distrust> {
        Ok(Some(match self {
            Self::Values(keys) => {
                let proven = verifier.state(keys, &typed::<StateAnswer>(answer)?)?;
                let values = keys.iter().map(|key| Ok((key.clone(), proven.bytes(key)?.map(<[u8]>::to_vec))));
                Proven::Values(proven.ledger.clone(), values.collect::<Result<_, Distrust>>()?)
            }
            Self::Account(id) => {
                let (ledger, account) = verifier.account(*id, &typed::<AccountAnswer>(answer)?)?;
                Proven::Values(ledger, vec![(StateKey::Account(*id), account.as_ref().map(encode))])
            }
            Self::Asset(id) => {
                let (ledger, asset) = verifier.asset(*id, &typed::<AssetAnswer>(answer)?)?;
                Proven::Values(ledger, vec![(StateKey::Asset(*id), asset.as_ref().map(encode))])
            }
            Self::Balances(id) => {
                let proven = verifier.balances(*id, &typed::<BalancesAnswer>(answer)?)?;
                let values = proven.balances.iter();
                let values = values
                    .map(|(asset, balance)| (StateKey::Balance(*id, *asset), encode(balance)))
                    .collect();
                Proven::Group(proven.ledger, StateGroup::Balances(*id), values)
            }
            Self::Evidence => {
                let proven = verifier.evidence(&typed::<EvidenceAnswer>(answer)?)?;
                let mut values = Vec::new();
                for recorded in &proven.evidence {
                    let accusation = &recorded.accusation;
                    let Some(kind) = accusation.evidence.kind() else { continue };
                    let key = StateKey::Evidence(accusation.identity.epoch, accusation.validator, kind);
                    values.push((key, encode(recorded)));
                }
                values.sort();
                Proven::Group(proven.ledger, StateGroup::Evidence, values)
            }
            Self::Transaction(id) => match verifier.receipt(*id, &typed::<TransactionAnswer>(answer)?)? {
                Some(proven) => Proven::Receipt(proven.ledger, proven.index, Box::new(proven.receipt)),
                None => return Ok(None),
            },
            Self::Finality(height) => verify_finality(*height, verifier, answer)?,
            Self::Epochs(from, limit) => {
                let page = typed::<EpochsAnswer>(answer)?;
                let before = verifier.up_to(from.previous().unwrap_or_default());
                match Verifier::follow(before, *limit, &page)? {
                    Some(reached) => Proven::Epoch(Box::new(reached.epoch)),
                    None => return Ok(None),
                }
            }
            Self::Head
            | Self::Block(..)
            | Self::BlockOf(_)
            | Self::Validators(_)
            | Self::Standing(_)
            | Self::Assets(..)
            | Self::Other(_) => return Ok(None),
        }))
    }
}

fn verify_finality(height: Option<Height>, verifier: &Verifier, answer: &Value) -> Result<Proven, Distrust> {
    let answer = typed::<FinalityAnswer>(answer)?;
    let ledger = verifier.finality(&answer.proof)?;
    if height.is_some_and(|height| height != ledger.height()) {
        return Err(Distrust::OtherSubject { what: "a block of another height" });
    }
    let said = (answer.height.0, answer.block.0, answer.time.0);
    if said != (ledger.height(), ledger.block(), ledger.time()) {
        return Err(Distrust::OtherSubject { what: "the proof is of another block" });
    }
    Ok(Proven::Block(ledger))
}

/// Reads an answer as what it should be.
///
/// # Errors
/// [`Distrust::Unreadable`].
pub fn typed<'a, T: Deserialize<'a>>(answer: &'a Value) -> Result<T, Distrust> {
    T::deserialize(answer).map_err(|reason| Distrust::Unreadable { reason: reason.to_string() })
}

struct Draw<'a> {
    founding: &'a Founding,
    checkers: &'a Checkers,
    dice: &'a mut Dice,
}

/// What is asked next.
pub(super) fn draw(
    founding: &Founding,
    checkers: &Checkers,
    newest: EpochNumber,
    dice: &mut Dice,
) -> Question {
    let mut draw = Draw { founding, checkers, dice };
    match draw.dice.below(20) {
        0 | 1 => Question::Values(draw.keys()),
        2 => Question::Account(draw.account()),
        3 | 4 => Question::Balances(draw.account()),
        5 => Question::Asset(draw.asset()),
        6 => Question::Evidence,
        7..=9 => Question::Transaction(draw.transaction()),
        10 => Question::Finality(draw.dice.chance(700).then(|| draw.height())),
        11 => Question::Epochs(newest.next(), EPOCHS_MAX),
        12 => Question::Head,
        13 => Question::Block(draw.height(), draw.dice.coin()),
        14 => Question::BlockOf(draw.block()),
        15 => Question::Validators(draw.dice.coin().then(|| draw.epoch())),
        16 | 17 => Question::Standing(draw.transaction()),
        18 => Question::Assets(draw.dice.coin().then(|| draw.asset()), draw.dice.between(1, ROWS_MAX)),
        _ => Question::Other(draw.other()),
    }
}

impl Draw<'_> {
    fn noise(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.iter_mut().for_each(|byte| *byte = self.dice.below(256).to_le_bytes()[0]);
        bytes
    }

    /// One that pays, one of all, or one that does not exist.
    fn account(&mut self) -> AccountId {
        let known: Vec<AccountId> = match self.dice.below(4) {
            0 => return AccountId::from_bytes(self.noise()),
            1 => self.checkers.accounts().collect(),
            _ => self.founding.payers.iter().map(|payer| payer.account).collect(),
        };
        self.dice.pick(&known).copied().unwrap_or(AccountId::from_bytes([0; 32]))
    }

    fn asset(&mut self) -> AssetId {
        let symbol = Symbol::new(&format!("A{}", self.dice.below(SYMBOLS))).ok();
        let named = symbol.as_ref().map_or(self.founding.coin, AssetId::derive);
        let some = [self.founding.coin, self.founding.gold, named];
        self.dice.pick(&some).copied().unwrap_or(named)
    }

    fn keys(&mut self) -> Vec<StateKey> {
        (0..self.dice.between(1, 5)).map(|_| self.key()).collect()
    }

    fn key(&mut self) -> StateKey {
        match self.dice.below(7) {
            0 => StateKey::Parameters,
            1 => StateKey::Validators(self.epoch()),
            2 => StateKey::Account(self.account()),
            3 => StateKey::Asset(self.asset()),
            4 => self.grant(),
            _ => StateKey::Balance(self.account(), self.asset()),
        }
    }

    /// A permission: one that the genesis gives, or one that hardly anybody gave.
    fn grant(&mut self) -> StateKey {
        let given = &self.founding.genesis.grants;
        if let Some((account, permission, scope, _)) = self.dice.pick(given).filter(|_| self.dice.coin()) {
            return StateKey::Grant(*account, *permission, scope.clone());
        }
        let permissions = [Permission::AssetMint, Permission::AssetBurnAny, Permission::AssetAdmin];
        let permission = self.dice.pick(&permissions).copied().unwrap_or(Permission::AssetMint);
        let asset = if self.dice.coin() { self.founding.coin } else { self.founding.gold };
        StateKey::Grant(self.account(), permission, Scope::Asset(asset))
    }

    fn height(&mut self) -> Height {
        Height::new(self.dice.between(0, self.checkers.height().get().saturating_add(2)))
    }

    fn block(&mut self) -> Hash {
        let height = self.height();
        self.checkers.block_at(height).unwrap_or(Hash::from_bytes(self.noise()))
    }

    /// One of a final block, or one that nobody knows.
    fn transaction(&mut self) -> Hash {
        let height = self.height();
        let inside: Vec<Hash> =
            self.checkers.receipts(height).iter().map(|receipt| receipt.transaction).collect();
        self.dice.pick(&inside).copied().unwrap_or(Hash::from_bytes(self.noise()))
    }

    fn epoch(&mut self) -> EpochNumber {
        let newest = self.checkers.epoch_of(self.checkers.height().next());
        EpochNumber::new(self.dice.between(0, newest.get().saturating_add(3)))
    }

    fn other(&mut self) -> &'static str {
        let methods =
            ["chain_info", "node_status", "node_peers", "mempool_stats", "chain_getHeader", "rpc.discover"];
        // The description of the whole interface is long and never changes.
        let count = if self.dice.chance(50) { methods.len() } else { methods.len().saturating_sub(1) };
        methods.get(self.dice.index(count)).copied().unwrap_or("chain_info")
    }
}
