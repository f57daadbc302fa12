//! Votes of single validators, and certificates of a quorum.
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;

use crate::codec::List;
use crate::hash::{Domain, Hash};
use crate::keys::{SecretKey, Signature, SignatureCheck};
use crate::numbers::View;
use crate::validators::{Signers, VALIDATORS_MAX, ValidatorSet};
use crate::zoo::{self, Bug};

/// What a vote says. The order of the variants is part of the format.
///
/// Tags 3 and 4 are reserved for late votes of a later protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum Claim {
    /// The block is the one of this view; its payload is here and well formed.
    Notarize {
        /// Turn.
        view: View,
        /// Block id.
        block: Hash,
    },
    /// This view may be skipped.
    Nullify {
        /// Turn.
        view: View,
    },
    /// The block is final, and executing it gave this outcome.
    Finalize {
        /// Turn.
        view: View,
        /// Block id.
        block: Hash,
        /// Digest of the outcome.
        outcome: Hash,
    },
}

/// A claim without its content. Order: as the tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum ClaimKind {
    /// See [`Claim::Notarize`].
    Notarize,
    /// See [`Claim::Nullify`].
    Nullify,
    /// See [`Claim::Finalize`].
    Finalize,
}

impl Claim {
    /// The turn it is about.
    #[must_use]
    pub fn view(&self) -> View {
        match self {
            Self::Notarize { view, .. } | Self::Nullify { view } | Self::Finalize { view, .. } => *view,
        }
    }

    /// Which kind of claim.
    #[must_use]
    pub fn kind(&self) -> ClaimKind {
        match self {
            Self::Notarize { .. } => ClaimKind::Notarize,
            Self::Nullify { .. } => ClaimKind::Nullify,
            Self::Finalize { .. } => ClaimKind::Finalize,
        }
    }

    /// The block it names, if any.
    #[must_use]
    pub fn block(&self) -> Option<Hash> {
        match self {
            Self::Notarize { block, .. } | Self::Finalize { block, .. } => Some(*block),
            Self::Nullify { .. } => None,
        }
    }

    /// What is signed after the tag: context (32) ‖ kind (1: 1 notarize, 2 nullify, 3 finalize) ‖
    /// view (8, big endian) ‖ block (32, not for nullify) ‖ outcome (32, finalize only).
    #[must_use]
    pub fn message(&self, context: &Hash) -> Vec<u8> {
        let mut message = Vec::with_capacity(105);
        message.extend(context.as_bytes());
        message.push(match self.kind() {
            ClaimKind::Notarize => 1,
            ClaimKind::Nullify => 2,
            ClaimKind::Finalize => 3,
        });
        message.extend(self.view().get().to_be_bytes());
        match self {
            Self::Notarize { block, .. } => message.extend(block.as_bytes()),
            Self::Nullify { .. } => {}
            Self::Finalize { block, outcome, .. } => {
                message.extend(block.as_bytes());
                message.extend(outcome.as_bytes());
            }
        }
        message
    }

    /// Signs the claim in an epoch.
    #[must_use]
    pub fn sign(self, context: &Hash, signer: u8, key: &SecretKey) -> Vote {
        let signature = key.sign(Domain::SignVote, &self.message(context));
        Vote { claim: self, signer, signature }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in view {}", self.kind(), self.view())
    }
}

/// One validator's signed claim; unverified until checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Vote {
    /// What is claimed.
    pub claim: Claim,
    /// Index of the validator in the epoch's set.
    pub signer: u8,
    /// Over [`Claim::message`].
    pub signature: Signature,
}

impl Vote {
    /// The check that proves the vote, if the signer exists.
    #[must_use]
    pub fn signature_check(&self, context: &Hash, set: &ValidatorSet) -> Option<SignatureCheck> {
        let message = self.claim.message(context);
        let key = *set.key(self.signer)?;
        Some(SignatureCheck { key, domain: Domain::SignVote, message, signature: self.signature })
    }
}

/// A quorum's signed claim; unverified until checked.
///
/// The set of signers of one claim is not unique, and nothing may depend on which it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Certificate {
    /// What is claimed.
    pub claim: Claim,
    /// Who signed.
    pub signers: Signers,
    /// One for each signer, in ascending order of index.
    pub signatures: List<Signature, 1, VALIDATORS_MAX>,
}

/// Why a certificate proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// A signer that is not in the set.
    #[error("signer {index} is not one of {validators} validators")]
    UnknownSigner {
        /// Index named.
        index: u8,
        /// Size of the set.
        validators: usize,
    },
    /// Not one signature for each signer.
    #[error("{signatures} signatures for {signers} signers")]
    Count {
        /// Signatures carried.
        signatures: usize,
        /// Signers named.
        signers: usize,
    },
    /// Too few signers.
    #[error("{found} signers, but a quorum is {quorum}")]
    NoQuorum {
        /// Signers named.
        found: usize,
        /// Signers needed.
        quorum: usize,
    },
    /// Every signature must be valid, also those beyond the quorum.
    #[error("the signature of validator {index} is invalid")]
    BadSignature {
        /// Whose.
        index: u8,
    },
}

impl Certificate {
    /// The signature checks that the certificate stands or falls by, after everything that can be
    /// checked without cryptography.
    ///
    /// # Errors
    /// [`CertificateError`] for unknown signers, miscounted signatures or no quorum.
    pub fn signature_checks(
        &self,
        context: &Hash,
        set: &ValidatorSet,
    ) -> Result<Vec<SignatureCheck>, CertificateError> {
        let signers = self.signers.count();
        let signers = if zoo::has(Bug::SignersCountedTwice) { self.signatures.len() } else { signers };
        if signers != self.signatures.len() {
            return Err(CertificateError::Count { signatures: self.signatures.len(), signers });
        }
        let quorum = set.quorum().saturating_sub(usize::from(zoo::has(Bug::UnderfullAccepted)));
        if signers < quorum {
            return Err(CertificateError::NoQuorum { found: signers, quorum });
        }
        let message = self.claim.message(context);
        let check = |(index, signature): (u8, &Signature)| {
            let unknown = CertificateError::UnknownSigner { index, validators: set.len() };
            let key = *set.key(index).ok_or(unknown)?;
            Ok(SignatureCheck {
                key,
                domain: Domain::SignVote,
                message: message.clone(),
                signature: *signature,
            })
        };
        self.signers.iter().zip(self.signatures.iter()).map(check).collect()
    }

    /// Checks everything, each signature by itself: what a client does.
    ///
    /// # Errors
    /// [`CertificateError`] naming the first fault.
    pub fn verify(&self, context: &Hash, set: &ValidatorSet) -> Result<(), CertificateError> {
        let checks = self.signature_checks(context, set)?;
        for (index, check) in self.signers.iter().zip(checks) {
            if !check.key.verify(check.domain, &check.message, &check.signature) {
                return Err(CertificateError::BadSignature { index });
            }
        }
        Ok(())
    }
}
