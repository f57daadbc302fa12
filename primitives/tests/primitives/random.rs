//! Random values of every wire type, the same for the same seed.
use quorate_primitives::address::AccountId;
use quorate_primitives::block::{Header, Outcome, Payload};
use quorate_primitives::bundle::Bundle;
use quorate_primitives::certificate::{Certificate, Claim, Vote};
use quorate_primitives::codec::{Blob, List, Text};
use quorate_primitives::evidence::{Accusation, Evidence, EvidenceKind, RecordedEvidence};
use quorate_primitives::hash::Hash;
use quorate_primitives::keys::{PublicKey, Signature};
use quorate_primitives::light::{FinalityProof, Handover};
use quorate_primitives::merkle::{GroupProof, Leaf, ListProof, StateProof, Step};
use quorate_primitives::numbers::{Amount, EpochNumber, Height, Timestamp, View};
use quorate_primitives::receipt::{BalanceAfter, Event, Failure, Receipt, Verdict};
use quorate_primitives::state::{
    Account, Asset, AssetId, Authority, Balance, Capabilities, Delegation, Grant, Marker, Organisation,
    OrganisationId, Parameters, Path, Permission, Scope, StateGroup, StateKey, Status, Symbol, WeightedKey,
};
use quorate_primitives::transaction::{
    Action, Assert, Operation, Output, Quantity, SignedTransaction, Transaction,
};
use quorate_primitives::validators::{EpochIdentity, Signers, Validator, ValidatorSet};
use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use std::sync::Arc;

use crate::fixtures::{rng, validators};

/// A source of values.
pub(crate) struct Random(ChaCha20Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(rng(seed))
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.iter_mut().for_each(|byte| *byte = self.0.random());
        bytes
    }

    fn number(&mut self) -> u64 {
        self.0.random()
    }

    fn option<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.0.random_bool(0.5).then(|| make(self))
    }

    fn list<T, const MIN: usize, const MAX: usize>(
        &mut self,
        make: impl Fn(&mut Self) -> T,
    ) -> List<T, MIN, MAX> {
        let count = self.0.random_range(MIN..=MAX.min(MIN + 4));
        List::new((0..count).map(|_| make(self)).collect()).unwrap()
    }

    fn text<const MAX: usize>(&mut self) -> Text<MAX> {
        let letters = ['a', 'Z', '0', ' ', 'é', '日', '"', '\\'];
        let count = self.below(MAX / 3);
        let text: String = (0..count).map(|_| letters[self.below(letters.len())]).collect();
        Text::new(&text).unwrap()
    }

    fn blob<const MAX: usize>(&mut self) -> Blob<MAX> {
        let count = self.below(MAX + 1);
        Blob::new((0..count).map(|_| self.0.random()).collect()).unwrap()
    }

    fn hash(&mut self) -> Hash {
        Hash::from_bytes(self.bytes())
    }

    fn account(&mut self) -> AccountId {
        AccountId::from_bytes(self.bytes())
    }

    fn asset_id(&mut self) -> AssetId {
        AssetId::from_bytes(self.bytes())
    }

    fn amount(&mut self) -> Amount {
        Amount::new(self.0.random())
    }

    fn time(&mut self) -> Timestamp {
        Timestamp::new(self.number())
    }

    fn key(&mut self) -> PublicKey {
        PublicKey::from_bytes(self.bytes())
    }

    fn signature(&mut self) -> Signature {
        Signature::from_bytes(self.bytes())
    }

    fn organisation_id(&mut self) -> OrganisationId {
        OrganisationId::new(["a", "acme", "bank-7"][self.below(3)]).unwrap()
    }

    fn symbol(&mut self) -> Symbol {
        Symbol::new(["U", "USD", "A23456789012"][self.below(3)]).unwrap()
    }

    fn permission(&mut self) -> Permission {
        Permission::ALL[self.below(Permission::ALL.len())]
    }

    fn capabilities(&mut self) -> Capabilities {
        let some = Capabilities::NAMED.iter().filter(|_| self.0.random_bool(0.5));
        some.fold(Capabilities::NONE, |all, (_, one)| all.with(*one))
    }

    fn delegation(&mut self) -> Delegation {
        [Delegation::Forbidden, Delegation::Allowed][self.below(2)]
    }

    fn status(&mut self) -> Status {
        [Status::Active, Status::Closed][self.below(2)]
    }

    fn scope(&mut self) -> Scope {
        match self.below(4) {
            0 => Scope::Chain,
            1 => Scope::Organisation(self.organisation_id()),
            2 => Scope::Asset(self.asset_id()),
            _ => Scope::Account(self.account()),
        }
    }

    fn authority(&mut self) -> Authority {
        let keys = self.list(|random| WeightedKey { key: random.key(), weight: random.0.random() });
        Authority { threshold: self.0.random(), keys, version: self.0.random() }
    }

    fn operation(&mut self) -> Operation {
        let asset = self.asset_id();
        match self.below(13) {
            0 => Operation::AccountCreate {
                organisation: self.organisation_id(),
                authority: self.authority(),
                salt: self.bytes(),
                label: self.text(),
            },
            1 => Operation::AuthoritySet { authority: self.authority() },
            2 => Operation::AssetCreate {
                symbol: self.symbol(),
                name: self.text(),
                decimals: self.0.random(),
                cap: self.amount(),
                capabilities: self.capabilities(),
            },
            3 => Operation::AssetUpdate {
                asset,
                name: self.text(),
                url: self.text(),
                document: self.option(Self::hash),
            },
            4 => Operation::Mint { asset, to: self.account(), amount: self.amount() },
            5 => Operation::Burn { asset, from: self.account(), amount: self.amount() },
            6 => {
                let quantity = self.option(Self::amount).map_or(Quantity::All, Quantity::Exact);
                Operation::Transfer { asset, to: self.account(), quantity, tag: self.option(Self::bytes) }
            }
            7 => Operation::TransferMany { asset, outputs: self.list(Self::output) },
            8 => Operation::Grant {
                grantee: self.account(),
                permission: self.permission(),
                scope: self.scope(),
                limit: self.option(Self::amount),
                expires: self.option(Self::time),
                delegation: self.delegation(),
            },
            9 => Operation::Revoke {
                grantee: self.account(),
                permission: self.permission(),
                scope: self.scope(),
            },
            10 => Operation::ValidatorAdd { validator: self.validator(), possession: self.signature() },
            11 => Operation::ValidatorRemove { name: self.text() },
            _ => Operation::ValidatorRotateKey {
                name: self.text(),
                key: self.key(),
                possession: self.signature(),
            },
        }
    }

    fn validator(&mut self) -> Validator {
        Validator { name: self.text(), organisation: self.organisation_id(), key: self.key() }
    }

    fn output(&mut self) -> Output {
        Output { to: self.account(), amount: self.amount(), tag: self.option(Self::bytes) }
    }

    fn assert(&mut self) -> Assert {
        let account = self.account();
        match self.below(4) {
            0 => Assert::BalanceAtLeast { account, asset: self.asset_id(), amount: self.amount() },
            1 => Assert::BalanceAtMost { account, asset: self.asset_id(), amount: self.amount() },
            2 => Assert::HeightAtMost { height: Height::new(self.number()) },
            _ => Assert::AuthorityVersion { account, version: self.0.random() },
        }
    }

    /// Random contents; its signatures are not valid.
    pub(crate) fn transaction(&mut self) -> SignedTransaction {
        let mut signers: Vec<PublicKey> = (0..=self.below(3)).map(|_| self.key()).collect();
        signers.sort();
        let transaction = Transaction {
            chain: self.hash(),
            version: 1,
            sender: self.account(),
            nonce: self.bytes(),
            valid_until: self.time(),
            actions: self
                .list(|random| Action { actor: random.option(Self::account), operation: random.operation() }),
            asserts: self.list(Self::assert),
            reference: self.blob(),
            memo: self.blob(),
            signers: List::new(signers).unwrap(),
        };
        let signatures = transaction.signers.iter().map(|_| self.signature()).collect();
        SignedTransaction::new(transaction, signatures).unwrap()
    }

    pub(crate) fn bundle(&mut self) -> Bundle {
        let count = self.below(3);
        let transactions = (0..count).map(|_| Arc::new(self.transaction())).collect();
        let least = usize::from(count == 0);
        let accusations = (0..least + self.below(3)).map(|_| self.accusation()).collect();
        Bundle::from_shared(self.0.random(), self.number(), transactions, accusations).unwrap()
    }

    pub(crate) fn payload(&mut self) -> Payload {
        Payload { bundles: self.list(Self::hash) }
    }

    pub(crate) fn header(&mut self) -> Header {
        Header {
            chain: self.hash(),
            version: self.0.random(),
            epoch: EpochNumber::new(self.number()),
            view: View::new(self.number()),
            height: Height::new(self.number()),
            parent_view: View::new(self.number()),
            parent: self.hash(),
            time: self.time(),
            proposer: self.0.random(),
            payload_root: self.hash(),
        }
    }

    pub(crate) fn outcome(&mut self) -> Outcome {
        let (state_root, receipts_root) = (self.hash(), self.hash());
        Outcome { state_root, receipts_root, history_root: self.hash(), next_validators: self.hash() }
    }

    fn claim(&mut self) -> Claim {
        let (view, block) = (View::new(self.number()), self.hash());
        match self.below(3) {
            0 => Claim::Notarize { view, block },
            1 => Claim::Nullify { view },
            _ => Claim::Finalize { view, block, outcome: self.hash() },
        }
    }

    pub(crate) fn vote(&mut self) -> Vote {
        Vote { claim: self.claim(), signer: self.0.random(), signature: self.signature() }
    }

    pub(crate) fn certificate(&mut self) -> Certificate {
        let signers = (0..self.below(6)).fold(Signers::NONE, |set, _| set.with(self.0.random()));
        Certificate { claim: self.claim(), signers, signatures: self.list(Self::signature) }
    }

    pub(crate) fn finality(&mut self) -> FinalityProof {
        FinalityProof { header: self.header(), outcome: self.outcome(), certificate: self.certificate() }
    }

    pub(crate) fn identity(&mut self) -> EpochIdentity {
        EpochIdentity {
            chain: self.hash(),
            epoch: EpochNumber::new(self.number()),
            anchor: self.hash(),
            anchor_outcome: self.hash(),
            validators: self.hash(),
            parameters: self.hash(),
            version: self.0.random(),
        }
    }

    /// Of a kind that exists; its signatures are not valid.
    pub(crate) fn accusation(&mut self) -> Accusation {
        let (view, signer) = (View::new(self.number()), self.0.random());
        let finalize =
            |random: &mut Self| Claim::Finalize { view, block: random.hash(), outcome: random.hash() };
        let (first, second) = match self.below(3) {
            0 => {
                let notarize = |random: &mut Self| Claim::Notarize { view, block: random.hash() };
                (notarize(self), notarize(self))
            }
            1 => (finalize(self), finalize(self)),
            _ => (Claim::Nullify { view }, finalize(self)),
        };
        let mut vote = |claim| Vote { claim, signer, signature: self.signature() };
        let evidence = Evidence { first: vote(first), second: vote(second) };
        Accusation { identity: self.identity(), validator: self.key(), evidence }
    }

    pub(crate) fn recorded_evidence(&mut self) -> RecordedEvidence {
        RecordedEvidence { accusation: self.accusation(), height: Height::new(self.number()) }
    }

    pub(crate) fn handover(&mut self) -> Handover {
        Handover { boundary: self.finality(), validators: self.validator_set() }
    }

    fn evidence_kind(&mut self) -> EvidenceKind {
        [EvidenceKind::DoubleNotarize, EvidenceKind::DoubleFinalize, EvidenceKind::NullifyAndFinalize]
            [self.below(3)]
    }

    pub(crate) fn state_key(&mut self) -> StateKey {
        let account = self.account();
        match self.below(10) {
            0 => StateKey::Parameters,
            1 => StateKey::Validators(EpochNumber::new(self.number())),
            2 => StateKey::Organisation(self.organisation_id()),
            3 => StateKey::Account(account),
            4 => StateKey::Asset(self.asset_id()),
            5 => StateKey::Balance(account, self.asset_id()),
            6 => StateKey::Grant(account, self.permission(), self.scope()),
            7 => StateKey::Nonce(account, self.bytes()),
            8 => StateKey::Unauthorised(self.hash()),
            _ => StateKey::Evidence(EpochNumber::new(self.number()), self.key(), self.evidence_kind()),
        }
    }

    pub(crate) fn state_group(&mut self) -> StateGroup {
        self.state_key().group()
    }

    fn step(&mut self) -> Step {
        Step { depth: self.0.random(), sibling: self.hash() }
    }

    fn leaf(&mut self) -> Leaf {
        Leaf { path: Path::from_bytes(self.bytes()), value: self.hash() }
    }

    pub(crate) fn state_proof(&mut self) -> StateProof {
        let steps = self.list(Self::step);
        match self.below(3) {
            0 => StateProof::Present { steps },
            1 => StateProof::Absent { steps, neighbour: self.leaf() },
            _ => StateProof::EmptyTree,
        }
    }

    pub(crate) fn group_proof(&mut self) -> GroupProof {
        let steps = self.list(Self::step);
        match self.below(3) {
            0 => GroupProof::Present { steps },
            1 => GroupProof::Absent { steps, neighbour: self.leaf() },
            _ => GroupProof::EmptyTree,
        }
    }

    pub(crate) fn list_proof(&mut self) -> ListProof {
        ListProof { count: self.number(), index: self.number(), siblings: self.list(Self::hash) }
    }

    fn event(&mut self) -> Event {
        let (asset, account, amount) = (self.asset_id(), self.account(), self.amount());
        match self.below(12) {
            0 => Event::AccountCreated { account, organisation: self.organisation_id() },
            1 => Event::AuthoritySet { account, version: self.0.random() },
            2 => Event::AssetCreated { asset, issuer: account },
            3 => Event::AssetUpdated { asset },
            4 => Event::Minted { asset, to: account, amount },
            5 => Event::Burned { asset, from: account, amount },
            6 => {
                let (to, tag) = (self.account(), self.option(Self::bytes));
                Event::Transferred { asset, from: account, to, amount, tag }
            }
            7 => Event::Granted {
                grantee: account,
                permission: self.permission(),
                scope: self.scope(),
                granter: self.account(),
            },
            8 => Event::Revoked { grantee: account, permission: self.permission(), scope: self.scope() },
            9 => Event::ValidatorAdded {
                name: self.text(),
                organisation: self.organisation_id(),
                key: self.key(),
                from: EpochNumber::new(self.number()),
            },
            10 => Event::ValidatorRemoved {
                name: self.text(),
                key: self.key(),
                from: EpochNumber::new(self.number()),
            },
            _ => Event::ValidatorKeyRotated {
                name: self.text(),
                key: self.key(),
                from: EpochNumber::new(self.number()),
            },
        }
    }

    pub(crate) fn receipt(&mut self) -> Receipt {
        let failure = Failure::ALL[self.below(Failure::ALL.len())];
        let action = self.option(|random| random.0.random());
        let verdict = self.option(|_| Verdict::Committed).unwrap_or(Verdict::Failed { failure, action });
        let balance_after = |random: &mut Self| BalanceAfter {
            account: random.account(),
            asset: random.asset_id(),
            balance: random.balance(),
        };
        let (events, balances) = (self.list(Self::event), self.list(balance_after));
        Receipt { transaction: self.hash(), verdict, events, balances }
    }

    pub(crate) fn balance(&mut self) -> Balance {
        Balance { posted: self.amount(), held: self.amount(), frozen: self.amount() }
    }

    pub(crate) fn organisation(&mut self) -> Organisation {
        Organisation { name: self.text(), admin: self.account() }
    }

    pub(crate) fn account_value(&mut self) -> Account {
        let (organisation, authority) = (self.organisation_id(), self.authority());
        Account { organisation, authority, label: self.text(), status: self.status() }
    }

    pub(crate) fn asset(&mut self) -> Asset {
        Asset {
            symbol: self.symbol(),
            name: self.text(),
            url: self.text(),
            document: self.option(Self::hash),
            decimals: self.0.random(),
            cap: self.amount(),
            supply: self.amount(),
            capabilities: self.capabilities(),
            issuer: self.account(),
            status: self.status(),
        }
    }

    pub(crate) fn grant(&mut self) -> Grant {
        let (limit, expires) = (self.option(Self::amount), self.option(Self::time));
        Grant { limit, expires, delegation: self.delegation(), granter: self.account() }
    }

    pub(crate) fn marker(&mut self) -> Marker {
        Marker { transaction: self.hash(), height: Height::new(self.number()), valid_until: self.time() }
    }

    pub(crate) fn parameters(&mut self) -> Parameters {
        Parameters {
            max_validity_ms: self.number(),
            clock_bound_ms: self.number(),
            marker_retention_ms: self.number(),
            epoch_length: self.number(),
            payload_bytes_max: self.0.random(),
        }
    }

    pub(crate) fn validator_set(&mut self) -> ValidatorSet {
        validators(u8::try_from(self.below(5) + 1).unwrap())
    }
}
