//! From what a node says to what follows from the pinned genesis.
//!
//! An answer has two parts: readable JSON, and canonical bytes with their proof. Only what the proof
//! shows is ever used; the readable part must say the same, because a node that contradicts its own
//! proof lies. Whose signatures count is a matter of the block's epoch: the genesis names the validators
//! of the first one, and a [`Handover`] leads from each to the next. Nothing here talks to a node.
use quorate_primitives::address::AccountId;
use quorate_primitives::codec::{self, DecodeError};
use quorate_primitives::evidence::RecordedEvidence;
use quorate_primitives::light::{
    FinalityProof, Finalized, Handover, LightError, PROOF_BYTES_MAX, TrustedEpoch,
};
use quorate_primitives::merkle::{GroupProof, ListProof, StateProof};
use quorate_primitives::receipt::{RECEIPT_BYTES_MAX, Receipt, Verdict};
use quorate_primitives::state::{Account, Asset, AssetId, Balance, Parameters, StateGroup, StateKey};
use quorate_primitives::transaction::{SignedTransaction, TRANSACTION_BYTES_MAX};
use quorate_primitives::validators::VALIDATORS_MAX;
use quorate_primitives::{EpochNumber, Hash, Height};
use std::collections::BTreeMap;
use std::fmt::Debug;

use crate::json::{self, HexBytes, TransactionState};

/// Longest value of the state that a client reads, in bytes.
const VALUE_BYTES_MAX: usize = 64 * 1024;
// The longest value is a set of validators, each with a key and two names of 32 bytes.
const _: () = assert!(VALIDATORS_MAX * 104 + 4 <= VALUE_BYTES_MAX);

/// Longest header or outcome in bytes.
const HEADER_BYTES_MAX: usize = 1024;

/// Why an answer is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// The proof does not hold.
    #[error(transparent)]
    Light(#[from] LightError),
    /// What must prove the answer is not there.
    #[error("the answer has no {what}")]
    Missing {
        /// What is missing.
        what: &'static str,
    },
    /// Bytes that are no such thing.
    #[error("{what}: {source}")]
    Malformed {
        /// Which part of the answer.
        what: &'static str,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The answer is about something else than was asked.
    #[error("the answer is about something else: {what}")]
    OtherSubject {
        /// What does not match.
        what: &'static str,
    },
    /// The node's own words and its proof disagree.
    #[error("the node says {said} about {what}, but its own proof says {proven}")]
    Contradiction {
        /// About what.
        what: &'static str,
        /// The readable part.
        said: String,
        /// What the proof shows.
        proven: String,
    },
    /// A quorum signed two blocks at one height: more than a third of the validators are faulty.
    #[error(
        "a quorum signed block {second} at height {height}, where block {first} was verified before: the chain has forked"
    )]
    Fork {
        /// Where.
        height: Height,
        /// Verified before.
        first: Hash,
        /// Verified now.
        second: Hash,
    },
    /// The node gives an older ledger than was verified before.
    #[error(
        "the node went back to height {found}, but height {remembered} of this network was verified \
         before: it withholds newer blocks or is merely behind; ask another node (--rpc URL), or it later"
    )]
    WentBack {
        /// Verified before.
        remembered: Height,
        /// Given now.
        found: Height,
    },
    /// A block that cannot be of the epoch that it claims.
    #[error("a block of height {height} that claims epoch {epoch}, which has no such height")]
    OtherEpoch {
        /// The epoch that the block claims.
        epoch: EpochNumber,
        /// The height that it claims.
        height: Height,
    },
    /// A block of an epoch whose validators are not verified yet, or no more. Whoever wants to believe it
    /// must first come to that epoch.
    #[error("a block of epoch {epoch}, whose validators are not verified")]
    UnknownEpoch {
        /// The epoch that the block claims.
        epoch: EpochNumber,
        /// The height that it claims.
        height: Height,
    },
    /// What should lead to the next epoch does not.
    #[error("handover to epoch {epoch}: {fault}")]
    Handover {
        /// The epoch that it should begin.
        epoch: EpochNumber,
        /// What is wrong with it.
        fault: LightError,
    },
    /// What leads to an epoch that the node speaks of is not given.
    #[error(
        "the node speaks of epoch {claimed}, but does not give the handover to epoch {missing}: it withholds it, \
         is merely behind, or there is no such epoch"
    )]
    NoHandover {
        /// The epoch that the node says there is.
        claimed: EpochNumber,
        /// The first one whose validators cannot be verified.
        missing: EpochNumber,
    },
    /// Not JSON of the expected shape.
    #[error("the answer cannot be read: {reason}")]
    Unreadable {
        /// What the parser met.
        reason: String,
    },
}

/// Values of the state after one block, present or proven absent.
#[derive(Clone, Debug)]
pub struct ProvenState {
    /// The block after which they are so.
    pub ledger: Finalized,
    values: BTreeMap<StateKey, Option<Vec<u8>>>,
}

impl ProvenState {
    /// The value at a key that was asked for; `None` if there is none.
    ///
    /// # Errors
    /// [`Distrust`] if the quorum's state holds no such value there, or the key was not asked for.
    pub fn get<T: borsh::BorshDeserialize>(&self, key: &StateKey) -> Result<Option<T>, Distrust> {
        let decode = |bytes| codec::decode(bytes, VALUE_BYTES_MAX);
        self.bytes(key)?
            .map(decode)
            .transpose()
            .map_err(|source| Distrust::Malformed { what: "state value", source })
    }

    /// The canonical bytes of the value at a key that was asked for; `None` if there is none.
    ///
    /// # Errors
    /// [`Distrust::Missing`] if the key was not asked for.
    pub fn bytes(&self, key: &StateKey) -> Result<Option<&[u8]>, Distrust> {
        let value = self.values.get(key).ok_or(Distrust::Missing { what: "value that was asked for" })?;
        Ok(value.as_deref())
    }
}

/// All balances of an account after one block.
#[derive(Clone, Debug)]
pub struct ProvenBalances {
    /// The block after which they are so.
    pub ledger: Finalized,
    /// Ascending by asset; an asset that is not here is zero.
    pub balances: BTreeMap<AssetId, Balance>,
    said: Vec<json::BalanceEntry>,
}

impl ProvenBalances {
    /// Whether the symbol and the decimals that the node wrote beside a balance are those of the proven
    /// asset.
    ///
    /// # Errors
    /// [`Distrust::Contradiction`] if not.
    pub fn check_labels(&self, id: AssetId, asset: &Asset) -> Result<(), Distrust> {
        for entry in self.said.iter().filter(|entry| entry.asset.0 == id) {
            if let Some(symbol) = &entry.symbol {
                agree("the symbol of an asset", &symbol.0, &asset.symbol)?;
            }
            if let Some(decimals) = entry.decimals {
                agree("the decimals of an asset", &decimals, &asset.decimals)?;
            }
        }
        Ok(())
    }
}

/// What a transaction did, and where.
#[derive(Clone, Debug)]
pub struct ProvenReceipt {
    /// The block that holds it.
    pub ledger: Finalized,
    /// Position among the block's receipts.
    pub index: u64,
    /// What it did.
    pub receipt: Receipt,
    /// What was signed, if the node gave it.
    pub transaction: Option<SignedTransaction>,
    /// What shows it, for whoever wants to verify it again.
    pub evidence: json::ReceiptEvidence,
}

/// All evidence against validators that the ledger ever recorded, after one block.
#[derive(Clone, Debug)]
pub struct ProvenEvidence {
    /// The block after which it is so.
    pub ledger: Finalized,
    /// In the order of the proof; there is no other.
    pub evidence: Vec<RecordedEvidence>,
}

/// An epoch whose validators are verified, and the handover that began it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The epoch.
    pub epoch: TrustedEpoch,
    /// What led to it from the epoch before.
    pub handover: Handover,
}

/// Verifies answers against a pinned genesis, and against the epochs that follow from it.
#[derive(Clone, Debug)]
pub struct Verifier {
    parameters: Parameters,
    genesis: TrustedEpoch,
    /// Later epochs that were reached by handovers.
    reached: BTreeMap<EpochNumber, TrustedEpoch>,
}

impl Verifier {
    /// Believes only what follows from these validators.
    #[must_use]
    pub fn new(genesis: TrustedEpoch, parameters: Parameters) -> Self {
        Self { parameters, genesis, reached: BTreeMap::new() }
    }

    /// Believes this epoch's validators too; the caller has reached it by handovers.
    pub fn learn(&mut self, epoch: TrustedEpoch) {
        self.reached.insert(epoch.number(), epoch);
    }

    /// The newest epoch whose validators are verified.
    #[must_use]
    pub fn newest(&self) -> &TrustedEpoch {
        self.up_to(EpochNumber::MAX)
    }

    /// The newest epoch, up to this one, whose validators are verified.
    #[must_use]
    pub fn up_to(&self, epoch: EpochNumber) -> &TrustedEpoch {
        let below = self.reached.range(..=epoch).next_back();
        below.map_or(&self.genesis, |(_, reached)| reached)
    }

    /// Height of the block that began the newest epoch: a ledger below it is an old one.
    #[must_use]
    pub fn floor(&self) -> Height {
        self.newest().number().previous().map_or(Height::ZERO, |before| self.parameters.last_of(before))
    }

    /// Checks that a ledger may be the newest: that it is no older than the newest epoch.
    ///
    /// # Errors
    /// [`Distrust::WentBack`].
    pub fn check_recent(&self, height: Height) -> Result<(), Distrust> {
        let remembered = self.floor();
        if height < remembered { Err(Distrust::WentBack { remembered, found: height }) } else { Ok(()) }
    }

    /// The last of the epochs that a page of at most `limit` handovers leads to from an epoch whose
    /// validators are verified. `None` if the page is empty, and the node says that it knows no more.
    ///
    /// # Errors
    /// [`Distrust`] for the first handover that does not follow from the one before.
    pub fn follow(
        from: &TrustedEpoch,
        limit: u32,
        page: &json::EpochsAnswer,
    ) -> Result<Option<Reached>, Distrust> {
        if page.handovers.len() > usize::try_from(limit).unwrap_or(usize::MAX) {
            return Err(Distrust::OtherSubject { what: "more handovers than were asked for" });
        }
        let (claimed, missing) = (page.current.0, from.number().next());
        if page.handovers.is_empty() && claimed >= missing {
            return Err(Distrust::NoHandover { claimed, missing });
        }
        let mut last: Option<Reached> = None;
        for given in &page.handovers {
            let before = last.as_ref().map_or(from, |reached| &reached.epoch);
            let expected = before.number().next();
            let fault = |fault| Distrust::Handover { epoch: expected, fault };
            let handover = Handover::decode(&given.handover.0).map_err(fault)?;
            let epoch = handover.clone().verify(before).map_err(fault)?;
            agree("the epoch of a handover", &given.epoch.0, &expected)?;
            last = Some(Reached { epoch, handover });
        }
        Ok(last)
    }

    /// Verifies the certificate and, for an older block, the way back to it.
    ///
    /// # Errors
    /// [`Distrust`]; [`Distrust::UnknownEpoch`] if it can be verified only after more handovers.
    pub fn finality(&self, finality: &json::Finality) -> Result<Finalized, Distrust> {
        let proof = FinalityProof::decode(&finality.certified.0)?;
        let (epoch, height) = (proof.header.epoch, proof.header.height);
        if self.parameters.epoch_of(height) != epoch {
            return Err(Distrust::OtherEpoch { epoch, height });
        }
        let trusted = self.up_to(epoch);
        if trusted.number() != epoch {
            return Err(Distrust::UnknownEpoch { epoch, height });
        }
        let certified = proof.verify(trusted)?;
        let Some(ancestor) = &finality.ancestor else {
            return Ok(certified);
        };
        let header = decode(&ancestor.header, HEADER_BYTES_MAX, "header")?;
        let outcome = decode(&ancestor.outcome, HEADER_BYTES_MAX, "outcome")?;
        let proof: ListProof = decode(&ancestor.history_proof, PROOF_BYTES_MAX, "history proof")?;
        Ok(certified.ancestor(header, outcome, &proof)?)
    }

    /// Verifies the answer to `state_get` for exactly these keys.
    ///
    /// # Errors
    /// [`Distrust`].
    pub fn state(&self, keys: &[StateKey], answer: &json::StateAnswer) -> Result<ProvenState, Distrust> {
        let finality = answer.finality.as_ref().ok_or(Distrust::Missing { what: "finality proof" })?;
        let ledger = self.finality(finality)?;
        agree("the height", &answer.height.0, &ledger.height())?;
        if answer.entries.len() != keys.len() {
            return Err(Distrust::OtherSubject { what: "not one entry for each key" });
        }
        let mut values = BTreeMap::new();
        for (key, entry) in keys.iter().zip(&answer.entries) {
            if entry.key != HexBytes::of(key) {
                return Err(Distrust::OtherSubject { what: "an entry is of another key" });
            }
            let proof = entry.state.as_ref().ok_or(Distrust::Missing { what: "state proof" })?;
            let bytes = entry.value.as_ref().map(|value| value.0.as_slice());
            verify_value(&ledger, key, bytes, proof)?;
            values.insert(key.clone(), bytes.map(<[u8]>::to_vec));
        }
        Ok(ProvenState { ledger, values })
    }

    /// Verifies the answer to `account_getBalances`.
    ///
    /// # Errors
    /// [`Distrust`].
    pub fn balances(
        &self,
        account: AccountId,
        answer: &json::BalancesAnswer,
    ) -> Result<ProvenBalances, Distrust> {
        let group = StateGroup::Balances(account);
        let (ledger, proven) = self.group::<Balance>(&group, answer.proof.as_ref())?;
        let mut balances = BTreeMap::new();
        for (key, balance) in proven {
            let StateKey::Balance(_, asset) = key else {
                return Err(Distrust::OtherSubject { what: "a value is not a balance" });
            };
            balances.insert(asset, balance);
        }
        agree("the account", &answer.account.0, &account)?;
        agree("the height", &answer.height.0, &ledger.height())?;
        let said: BTreeMap<AssetId, &json::Balance> =
            answer.balances.iter().map(|entry| (entry.asset.0, &entry.balance)).collect();
        agree("the number of balances", &answer.balances.len(), &balances.len())?;
        for (asset, balance) in &balances {
            agree("a balance", &said.get(asset).copied(), &Some(&json::Balance::from(balance)))?;
        }
        Ok(ProvenBalances { ledger, balances, said: answer.balances.clone() })
    }

    /// Verifies the answer to `chain_getEvidence`.
    ///
    /// # Errors
    /// [`Distrust`].
    pub fn evidence(&self, answer: &json::EvidenceAnswer) -> Result<ProvenEvidence, Distrust> {
        let (ledger, proven) =
            self.group::<RecordedEvidence>(&StateGroup::Evidence, answer.proof.as_ref())?;
        let evidence: Vec<RecordedEvidence> = proven.into_iter().map(|(_, recorded)| recorded).collect();
        agree("the height", &answer.height.0, &ledger.height())?;
        agree("the evidence", &answer.evidence, &evidence.iter().filter_map(shown_evidence).collect())?;
        Ok(ProvenEvidence { ledger, evidence })
    }

    /// All values of a group after one block.
    fn group<T: borsh::BorshDeserialize>(
        &self,
        group: &StateGroup,
        evidence: Option<&json::GroupEvidence>,
    ) -> Result<(Finalized, Vec<(StateKey, T)>), Distrust> {
        let evidence = evidence.ok_or(Distrust::Missing { what: "proof" })?;
        let ledger = self.finality(&evidence.finality)?;
        let proof: GroupProof = decode(&evidence.group, PROOF_BYTES_MAX, "group proof")?;
        let mut values = Vec::new();
        for entry in &evidence.values {
            values.push((
                decode::<StateKey>(&entry.key, HEADER_BYTES_MAX, "state key")?,
                entry.value.0.clone(),
            ));
        }
        let proven = ledger.group::<T>(group, values, &proof)?.into_inner();
        Ok((ledger, proven))
    }

    /// Verifies the answer to `account_get`.
    ///
    /// # Errors
    /// [`Distrust`].
    pub fn account(
        &self,
        id: AccountId,
        answer: &json::AccountAnswer,
    ) -> Result<(Finalized, Option<Account>), Distrust> {
        let (ledger, account) = self.value::<Account>(&StateKey::Account(id), answer.proof.as_ref())?;
        agree("the account's id", &answer.id.0, &id)?;
        agree("the height", &answer.height.0, &ledger.height())?;
        agree("the account", &answer.account, &account.as_ref().map(json::Account::from))?;
        Ok((ledger, account))
    }

    /// Verifies the answer to `asset_get`.
    ///
    /// # Errors
    /// [`Distrust`].
    pub fn asset(
        &self,
        id: AssetId,
        answer: &json::AssetAnswer,
    ) -> Result<(Finalized, Option<Asset>), Distrust> {
        let (ledger, asset) = self.value::<Asset>(&StateKey::Asset(id), answer.proof.as_ref())?;
        agree("the asset's id", &answer.id.0, &id)?;
        agree("the height", &answer.height.0, &ledger.height())?;
        agree("the asset", &answer.asset, &asset.as_ref().map(json::Asset::from))?;
        Ok((ledger, asset))
    }

    /// Checks a row of a list of assets, which nothing proves, against the proven asset: what can never
    /// change must be the same.
    ///
    /// # Errors
    /// [`Distrust`]; also for an asset that the state at the same or a later height does not have.
    pub fn listed(&self, row: &json::AssetEntry, proven: Option<&Asset>) -> Result<(), Distrust> {
        let Some(asset) = proven else {
            return Err(Distrust::OtherSubject { what: "a listed asset does not exist" });
        };
        agree("the symbol of an asset", &row.asset.symbol.0, &asset.symbol)?;
        agree("the decimals of an asset", &row.asset.decimals, &asset.decimals)?;
        agree("the issuer of an asset", &row.asset.issuer.0, &asset.issuer)
    }

    fn value<T: borsh::BorshDeserialize>(
        &self,
        key: &StateKey,
        evidence: Option<&json::ValueEvidence>,
    ) -> Result<(Finalized, Option<T>), Distrust> {
        let evidence = evidence.ok_or(Distrust::Missing { what: "proof" })?;
        if evidence.key != HexBytes::of(key) {
            return Err(Distrust::OtherSubject { what: "the proof is of another key" });
        }
        let ledger = self.finality(&evidence.finality)?;
        let bytes = evidence.value.as_ref().map(|value| value.0.as_slice());
        let proof: StateProof = decode(&evidence.state, PROOF_BYTES_MAX, "state proof")?;
        let value = ledger.value::<T>(key, bytes, &proof)?.into_inner();
        Ok((ledger, value))
    }

    /// Verifies the answer to `tx_get`. `None` if the node says that the transaction is in no block,
    /// which proves nothing.
    ///
    /// # Errors
    /// [`Distrust`]; also if the node says that the transaction is in a block and does not prove it.
    pub fn receipt(
        &self,
        id: Hash,
        answer: &json::TransactionAnswer,
    ) -> Result<Option<ProvenReceipt>, Distrust> {
        if answer.status.tx_id.0 != id {
            return Err(Distrust::OtherSubject { what: "the status is of another transaction" });
        }
        let included = matches!(answer.status.state, TransactionState::Final | TransactionState::Rejected);
        let Some(evidence) = &answer.proof else {
            return if included || answer.receipt.is_some() {
                Err(Distrust::Missing { what: "receipt proof" })
            } else {
                Ok(None)
            };
        };
        let ledger = self.finality(&evidence.finality)?;
        let proof: ListProof = decode(&evidence.receipt_proof, PROOF_BYTES_MAX, "receipt proof")?;
        let receipt: Receipt = decode(&evidence.receipt, RECEIPT_BYTES_MAX, "receipt")?;
        let receipt = ledger.receipt(&id, receipt, &proof)?.into_inner();
        let transaction = answer.transaction.as_ref().map(|said| verify_transaction(id, said)).transpose()?;
        let evidence = evidence.clone();
        let proven = ProvenReceipt { ledger, index: proof.index, receipt, transaction, evidence };
        agree_on_receipt(answer, &proven)?;
        Ok(Some(proven))
    }
}

/// Recorded evidence as a node writes it; the ledger records none that breaks no rule.
#[must_use]
pub fn shown_evidence(recorded: &RecordedEvidence) -> Option<json::RecordedEvidence> {
    let accusation = json::Accusation::of(&recorded.accusation)?;
    Some(json::RecordedEvidence { height: recorded.height.into(), accusation })
}

fn agree_on_receipt(answer: &json::TransactionAnswer, proven: &ProvenReceipt) -> Result<(), Distrust> {
    let state = match proven.receipt.verdict {
        Verdict::Committed => TransactionState::Final,
        Verdict::Failed { .. } => TransactionState::Rejected,
    };
    let status = &answer.status;
    agree("the outcome", &status.state, &state)?;
    agree("the block's height", &status.height.map(|height| height.0), &Some(proven.ledger.height()))?;
    agree("the position in the block", &status.index.map(u64::from), &Some(proven.index))?;
    agree("the block", &answer.block.map(|block| block.0), &Some(proven.ledger.block()))?;
    agree("the block's time", &answer.time.map(|time| time.0), &Some(proven.ledger.time()))?;
    let receipt = json::Receipt::from(&proven.receipt);
    agree("the failure", &status.failure.as_ref().map(code), &receipt.failure.as_ref().map(code))?;
    let said = answer.receipt.as_ref().ok_or(Distrust::Missing { what: "receipt" })?;
    agree("the receipt", &without_words(said), &without_words(&receipt))
}

fn code(failure: &json::FailureInfo) -> (u16, Option<u8>) {
    (failure.code, failure.action)
}

/// Name and description of a failure follow from its code, and may be worded otherwise by another
/// version of the software.
fn without_words(receipt: &json::Receipt) -> json::Receipt {
    let mut receipt = receipt.clone();
    if let Some(failure) = &mut receipt.failure {
        failure.name.clear();
        failure.description.clear();
    }
    receipt
}

fn verify_transaction(id: Hash, said: &json::Transaction) -> Result<SignedTransaction, Distrust> {
    let signed: SignedTransaction = decode(&said.bytes, TRANSACTION_BYTES_MAX, "transaction")?;
    if signed.id() != id {
        return Err(Distrust::OtherSubject { what: "the transaction has another id" });
    }
    agree("the transaction", said, &json::Transaction::from(&signed))?;
    Ok(signed)
}

fn verify_value(
    ledger: &Finalized,
    key: &StateKey,
    bytes: Option<&[u8]>,
    proof: &HexBytes,
) -> Result<(), Distrust> {
    let proof: StateProof = decode(proof, PROOF_BYTES_MAX, "state proof")?;
    Ok(proof.verify(&ledger.outcome().state_root, key, bytes).map_err(LightError::from)?)
}

fn decode<T: borsh::BorshDeserialize>(
    bytes: &HexBytes,
    limit: usize,
    what: &'static str,
) -> Result<T, Distrust> {
    bytes.decode(limit).map_err(|source| Distrust::Malformed { what, source })
}

/// The readable part of an answer must say what its proof says.
fn agree<T: PartialEq + Debug>(what: &'static str, said: &T, proven: &T) -> Result<(), Distrust> {
    let short = |value: &T| format!("{value:?}").chars().take(200).collect();
    if said == proven {
        return Ok(());
    }
    Err(Distrust::Contradiction { what, said: short(said), proven: short(proven) })
}
