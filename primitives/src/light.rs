//! What a client needs to believe nobody: genesis → validator set → certificate → proof.
//!
//! A client pins the genesis, from which follow the validators of the first epoch and the
//! [context](EpochIdentity) of their votes. One [`Handover`] leads from each [`TrustedEpoch`] to the next:
//! its last block, signed by its quorum, names the validators that follow. A [`FinalityProof`] that they signed becomes a [`Finalized`] ledger, and only that
//! turns an answer with its proof into a [`Proved`] one.
use borsh::{BorshDeserialize, BorshSerialize};

use crate::block::{Header, Outcome, PROTOCOL_VERSION, history_leaf};
use crate::certificate::{Certificate, CertificateError, Claim};
use crate::codec::{self, DecodeError};
use crate::hash::Hash;
use crate::merkle::{GroupProof, ListProof, ProofError, StateProof};
use crate::numbers::{EpochNumber, Height, Timestamp};
use crate::receipt::Receipt;
use crate::state::{Parameters, StateGroup, StateKey};
use crate::validators::{EpochIdentity, VALIDATORS_MAX, ValidatorSet};

/// Longest finality proof in bytes: header, outcome and 128 signatures.
pub const FINALITY_BYTES_MAX: usize = 16 * 1024;
/// Longest handover in bytes: a finality proof and 128 validators.
pub const HANDOVER_BYTES_MAX: usize = 32 * 1024;
/// Longest proof of a value, a group or a list position in bytes: 512 steps of 34 bytes and a leaf.
pub const PROOF_BYTES_MAX: usize = 20 * 1024;

/// Bytes of a validator with the longest names.
const VALIDATOR_BYTES: usize = 104;

const _: () = {
    assert!(VALIDATORS_MAX * 64 + 512 <= FINALITY_BYTES_MAX);
    assert!(FINALITY_BYTES_MAX + VALIDATORS_MAX * VALIDATOR_BYTES + 4 <= HANDOVER_BYTES_MAX);
};

/// A validator set that the client trusts, because it pinned it or because an older one signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedEpoch {
    identity: EpochIdentity,
    context: Hash,
    last: Height,
    parameters: Parameters,
    validators: ValidatorSet,
}

impl TrustedEpoch {
    /// The first epoch of the chain with this genesis.
    #[must_use]
    pub fn genesis(chain: Hash, parameters: &Parameters, validators: ValidatorSet) -> Self {
        let identity = EpochIdentity {
            chain,
            epoch: EpochNumber::ZERO,
            anchor: chain,
            anchor_outcome: Hash::ZERO,
            validators: validators.hash(),
            parameters: parameters.hash(),
            version: PROTOCOL_VERSION,
        };
        Self::new(identity, parameters.clone(), validators)
    }

    fn new(identity: EpochIdentity, parameters: Parameters, validators: ValidatorSet) -> Self {
        let last = parameters.last_of(identity.epoch);
        Self { identity, context: identity.context(), last, parameters, validators }
    }

    /// Number of the epoch.
    #[must_use]
    pub fn number(&self) -> EpochNumber {
        self.identity.epoch
    }

    /// Height of the epoch's last block. Only a [`Handover`] leads beyond it.
    #[must_use]
    pub fn last(&self) -> Height {
        self.last
    }

    /// What every vote of the epoch signs.
    #[must_use]
    pub fn context(&self) -> Hash {
        self.context
    }

    /// What the context commits to.
    #[must_use]
    pub fn identity(&self) -> &EpochIdentity {
        &self.identity
    }

    /// The validators of the epoch.
    #[must_use]
    pub fn validators(&self) -> &ValidatorSet {
        &self.validators
    }

    /// Whether a block claims to be of this chain and epoch, at one of its heights.
    fn check_place(&self, header: &Header) -> Result<(), LightError> {
        let EpochIdentity { chain, epoch, .. } = self.identity;
        if header.chain != chain {
            return Err(LightError::OtherChain { expected: chain, found: header.chain });
        }
        if header.epoch != epoch {
            return Err(LightError::OtherEpoch { expected: epoch, found: header.epoch });
        }
        if self.parameters.epoch_of(header.height) != epoch {
            return Err(LightError::OutsideEpoch { epoch, last: self.last, found: header.height });
        }
        Ok(())
    }
}

/// A block, what it did, and the quorum's signature of both; unverified until checked.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FinalityProof {
    /// The block.
    pub header: Header,
    /// What it did.
    pub outcome: Outcome,
    /// A finalize certificate of exactly these.
    pub certificate: Certificate,
}

/// Why an answer is not proven. A client that meets one must not trust the node that gave it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LightError {
    /// The bytes are no proof at all.
    #[error("{what}: {source}")]
    Encoding {
        /// Which part of the answer.
        what: &'static str,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A block of another chain.
    #[error("a block of chain {found}, but the pinned chain is {expected}")]
    OtherChain {
        /// Pinned.
        expected: Hash,
        /// Given.
        found: Hash,
    },
    /// A block at a height that its epoch does not have.
    #[error("a block of epoch {epoch} at height {found}, but the last height of that epoch is {last}")]
    OutsideEpoch {
        /// The epoch.
        epoch: EpochNumber,
        /// Its last height.
        last: Height,
        /// Given.
        found: Height,
    },
    /// A block of an epoch whose validators the client does not know.
    #[error("a block of epoch {found}, but the trusted validators are of epoch {expected}")]
    OtherEpoch {
        /// Known.
        expected: EpochNumber,
        /// Given.
        found: EpochNumber,
    },
    /// A block that is not the last one of its epoch, and so hands nothing over.
    #[error("a block of height {found}, but the epoch ends with height {expected}")]
    NotBoundary {
        /// Last height of the epoch.
        expected: Height,
        /// Given.
        found: Height,
    },
    /// Validators that are not those whom the last block of the epoch before names.
    #[error("validators with hash {found}, but the block before names those with hash {expected}")]
    OtherValidators {
        /// Certified.
        expected: Hash,
        /// Of the validators given.
        found: Hash,
    },
    /// The certificate is not about this block and outcome.
    #[error("the certificate is not a finalization of this block with this outcome")]
    OtherClaim,
    /// The certificate is not a quorum's.
    #[error("certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// The proof does not lead to the certified root.
    #[error("proof: {0}")]
    Proof(#[from] ProofError),
    /// The proof is about something else than was asked.
    #[error("the answer is about something else: {what}")]
    OtherSubject {
        /// What does not match.
        what: &'static str,
    },
}

impl FinalityProof {
    /// Decodes the canonical bytes.
    ///
    /// # Errors
    /// [`LightError::Encoding`].
    pub fn decode(bytes: &[u8]) -> Result<Self, LightError> {
        codec::decode(bytes, FINALITY_BYTES_MAX)
            .map_err(|source| LightError::Encoding { what: "finality proof", source })
    }

    /// Checks chain, epoch, claim, quorum and every signature.
    ///
    /// # Errors
    /// [`LightError`] naming the first thing that is not as it must be.
    pub fn verify(self, trusted: &TrustedEpoch) -> Result<Finalized, LightError> {
        let Self { header, outcome, certificate } = self;
        trusted.check_place(&header)?;
        let block = header.id();
        let expected = Claim::Finalize { view: certificate.claim.view(), block, outcome: outcome.digest() };
        // The view of the certificate may be later than the header's: a boundary block is re-proposed.
        if certificate.claim != expected || certificate.claim.view() < header.view {
            return Err(LightError::OtherClaim);
        }
        certificate.verify(&trusted.context, &trusted.validators)?;
        Ok(Finalized {
            signers: certificate.signers.count(),
            validators: trusted.validators.len(),
            header,
            block,
            outcome,
        })
    }
}

/// What leads from one epoch to the next: the last block of the epoch, finalized by its validators, and
/// those who vote after it. Unverified until checked.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Handover {
    /// The last block of the epoch, which is the anchor of the next one.
    pub boundary: FinalityProof,
    /// Validators of the next epoch: those whose hash is in the boundary's outcome.
    pub validators: ValidatorSet,
}

impl Handover {
    /// Decodes the canonical bytes.
    ///
    /// # Errors
    /// [`LightError::Encoding`].
    pub fn decode(bytes: &[u8]) -> Result<Self, LightError> {
        codec::decode(bytes, HANDOVER_BYTES_MAX)
            .map_err(|source| LightError::Encoding { what: "handover", source })
    }

    /// Checks that the trusted epoch ends with this block, that it names these validators, and that its
    /// own quorum signed it. Gives the next epoch.
    ///
    /// # Errors
    /// [`LightError`] naming the first thing that is not as it must be.
    pub fn verify(self, trusted: &TrustedEpoch) -> Result<TrustedEpoch, LightError> {
        let Self { boundary, validators } = self;
        trusted.check_place(&boundary.header)?;
        let (expected, found) = (trusted.last, boundary.header.height);
        if found != expected {
            return Err(LightError::NotBoundary { expected, found });
        }
        let (expected, found) = (boundary.outcome.next_validators, validators.hash());
        if found != expected {
            return Err(LightError::OtherValidators { expected, found });
        }
        let boundary = boundary.verify(trusted)?;
        let identity = trusted.identity.successor(boundary.block, &boundary.outcome);
        Ok(TrustedEpoch::new(identity, trusted.parameters.clone(), validators))
    }

    /// The epoch that this handover began, without its signatures being checked: the caller vouches that
    /// it verified the handover before, and that nobody else could write where it was kept. `genesis` is
    /// the first epoch of the chain.
    ///
    /// # Errors
    /// [`LightError::OtherChain`], [`LightError::NotBoundary`] or [`LightError::OtherValidators`] for what
    /// cannot be such a handover.
    pub fn remembered_unchecked(self, genesis: &TrustedEpoch) -> Result<TrustedEpoch, LightError> {
        let Self { boundary: FinalityProof { header, outcome, .. }, validators } = self;
        let before = EpochIdentity { epoch: header.epoch, ..genesis.identity };
        if header.chain != before.chain {
            return Err(LightError::OtherChain { expected: before.chain, found: header.chain });
        }
        let (expected, found) = (genesis.parameters.last_of(header.epoch), header.height);
        if found != expected {
            return Err(LightError::NotBoundary { expected, found });
        }
        let (expected, found) = (outcome.next_validators, validators.hash());
        if found != expected {
            return Err(LightError::OtherValidators { expected, found });
        }
        let identity = before.successor(header.id(), &outcome);
        Ok(TrustedEpoch::new(identity, genesis.parameters.clone(), validators))
    }
}

/// A block that a quorum finalized, with the ledger after it. Only [`FinalityProof::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finalized {
    header: Header,
    block: Hash,
    outcome: Outcome,
    signers: usize,
    validators: usize,
}

/// A value that follows from a quorum's certificate. Only [`Finalized`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved<T>(T);

impl<T> Proved<T> {
    /// The proven value.
    #[must_use]
    pub fn get(&self) -> &T {
        &self.0
    }

    /// The proven value.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl Finalized {
    /// Height of the block.
    #[must_use]
    pub fn height(&self) -> Height {
        self.header.height
    }

    /// Time of the block.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.header.time
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The block's id.
    #[must_use]
    pub fn block(&self) -> Hash {
        self.block
    }

    /// What the block did.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// How many of how many validators signed.
    #[must_use]
    pub fn signers(&self) -> (usize, usize) {
        (self.signers, self.validators)
    }

    /// Proves one value of the state, or that there is none.
    ///
    /// # Errors
    /// [`LightError::Proof`] if the proof does not lead to the certified state root,
    /// [`LightError::Encoding`] if the proven bytes are no such value.
    pub fn value<T: BorshDeserialize>(
        &self,
        key: &StateKey,
        bytes: Option<&[u8]>,
        proof: &StateProof,
    ) -> Result<Proved<Option<T>>, LightError> {
        proof.verify(&self.outcome.state_root, key, bytes)?;
        bytes.map(decode_value).transpose().map(Proved)
    }

    /// Proves all values of a group.
    ///
    /// # Errors
    /// As [`Finalized::value`].
    pub fn group<T: BorshDeserialize>(
        &self,
        group: &StateGroup,
        values: Vec<(StateKey, Vec<u8>)>,
        proof: &GroupProof,
    ) -> Result<Proved<Vec<(StateKey, T)>>, LightError> {
        proof.verify(&self.outcome.state_root, group, &values)?;
        let decode = |(key, bytes): (StateKey, Vec<u8>)| decode_value(&bytes).map(|value| (key, value));
        values.into_iter().map(decode).collect::<Result<_, _>>().map(Proved)
    }

    /// Proves that this block gave this receipt for the transaction with this id.
    ///
    /// # Errors
    /// [`LightError::OtherSubject`] for another transaction's receipt, [`LightError::Proof`] if it is
    /// not in the block's list.
    pub fn receipt(
        &self,
        transaction: &Hash,
        receipt: Receipt,
        proof: &ListProof,
    ) -> Result<Proved<Receipt>, LightError> {
        if receipt.transaction != *transaction {
            return Err(LightError::OtherSubject { what: "the receipt is of another transaction" });
        }
        proof.verify(&self.outcome.receipts_root, &receipt.leaf())?;
        Ok(Proved(receipt))
    }

    /// Proves an older block and its outcome through the history of this one. The proven ledger
    /// carries this block's signers, since it is they who vouch for it.
    ///
    /// # Errors
    /// [`LightError::OtherSubject`] if the height does not fit the position, [`LightError::Proof`] if
    /// the block is not in the history.
    pub fn ancestor(
        &self,
        header: Header,
        outcome: Outcome,
        proof: &ListProof,
    ) -> Result<Finalized, LightError> {
        // Position 0 of the history is the block at height 1.
        let position = header.height.previous().map(Height::get);
        let earlier = self.header.height.previous().map(Height::get);
        if position != Some(proof.index) || earlier != Some(proof.count) || header.chain != self.header.chain
        {
            return Err(LightError::OtherSubject { what: "the history proof is of another height" });
        }
        let block = header.id();
        proof.verify(&self.outcome.history_root, &history_leaf(header.height, block, outcome.digest()))?;
        Ok(Finalized { header, block, outcome, signers: self.signers, validators: self.validators })
    }
}

fn decode_value<T: BorshDeserialize>(bytes: &[u8]) -> Result<T, LightError> {
    codec::decode(bytes, usize::MAX).map_err(|source| LightError::Encoding { what: "state value", source })
}
