//! What validators send each other, and the proof that one of them broke the rules.
//!
//! Claims, votes and certificates are vocabulary of every crate and live in
//! [`quorate_primitives::certificate`].
use borsh::{BorshDeserialize, BorshSerialize};

use quorate_primitives::View;
use quorate_primitives::block::Header;
use quorate_primitives::certificate::{Certificate, Claim, ClaimKind, Vote};
use quorate_primitives::codec::List;

/// Most certificates that travel with a proposal; a voter asks for the rest (rule R11).
pub const PROOF_MAX: usize = 8;
/// Longest encoding of a message, in bytes: a proposal with eight certificates of 128 signatures.
pub const MESSAGE_BYTES_MAX: usize = 68 * 1024;

/// Everything that validators tell each other about agreement.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// The leader's block for a view.
    Propose(Proposal),
    /// One validator's claim. Only its signer may send it.
    Vote(Vote),
    /// A quorum's claim. Anybody may send it, since it proves itself.
    Certificate(Certificate),
    /// A question that is answered with a certificate.
    Want(Want),
}

/// A leader's block for a view, with what others need to see that it may follow its parent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Proposal {
    /// Turn in which it is proposed.
    pub view: View,
    /// Turn in which the parent was certified: `header.parent_view`. Only for the epoch's last block,
    /// which is proposed again until it is final, the turn in which that block itself was certified.
    pub parent: View,
    /// The block.
    pub header: Header,
    /// The leader's own vote for the block.
    pub vote: Vote,
    /// The parent's certificate and nullifications of the views between parent and view. It may be
    /// incomplete.
    pub proof: List<Certificate, 0, PROOF_MAX>,
}

/// A question that is answered with one certificate (rule R11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum Want {
    /// The certificate of this view and kind. The other kind of that view, or a finalization at or
    /// above it, answers it as well.
    Certificate {
        /// Turn.
        view: View,
        /// Which kind the asker would like best.
        kind: ClaimKind,
    },
}

/// Which rule a validator broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum EvidenceKind {
    /// Two Notarize in one view for different blocks. Covers a leader that proposes two blocks.
    DoubleNotarize,
    /// Two Finalize in one view for different blocks or outcomes.
    DoubleFinalize,
    /// Nullify and Finalize in one view.
    NullifyAndFinalize,
}

/// Two votes that no honest validator signs both.
///
/// Verified when the engine reports it; whoever gets it from elsewhere checks both votes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Evidence {
    /// The vote that was seen first.
    pub first: Vote,
    /// The vote that conflicts with it.
    pub second: Vote,
}

impl Evidence {
    /// Which rule the two votes break, or nothing if they do not conflict.
    #[must_use]
    pub fn kind(&self) -> Option<EvidenceKind> {
        if self.first.signer == self.second.signer {
            conflict(&self.first.claim, &self.second.claim)
        } else {
            None
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn signer(&self) -> u8 {
        self.first.signer
    }
}

/// Which rule one signer breaks by making both claims (protocol, section 2.9).
#[must_use]
pub fn conflict(first: &Claim, second: &Claim) -> Option<EvidenceKind> {
    if first == second || first.view() != second.view() {
        return None;
    }
    match (first.kind(), second.kind()) {
        (ClaimKind::Notarize, ClaimKind::Notarize) => Some(EvidenceKind::DoubleNotarize),
        (ClaimKind::Finalize, ClaimKind::Finalize) => Some(EvidenceKind::DoubleFinalize),
        (ClaimKind::Nullify, ClaimKind::Finalize) | (ClaimKind::Finalize, ClaimKind::Nullify) => {
            Some(EvidenceKind::NullifyAndFinalize)
        }
        // Notarize with anything of another kind is legal: a voter may give up on a block.
        (ClaimKind::Notarize, ClaimKind::Nullify | ClaimKind::Finalize)
        | (ClaimKind::Nullify | ClaimKind::Finalize, ClaimKind::Notarize)
        | (ClaimKind::Nullify, ClaimKind::Nullify) => None,
    }
}
