//! What validators send each other.
//!
//! Claims, votes and certificates are vocabulary of every crate and live in
//! [`quorate_primitives::certificate`]; the proof that one of them broke the rules lives in
//! [`quorate_primitives::evidence`].
use borsh::{BorshDeserialize, BorshSerialize};

use quorate_primitives::View;
use quorate_primitives::block::Header;
use quorate_primitives::certificate::{Certificate, ClaimKind, Vote};
use quorate_primitives::codec::List;

pub use quorate_primitives::evidence::{Evidence, EvidenceKind, conflict};

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
