//! Bugs that are planted on purpose, one at a time, to test whoever looks for bugs.
//!
//! Product code asks [`has`] at the places where a bug would sit. Without the feature `zoo` the answer is a
//! constant, no bug can be planted, and nothing of this is left in a program. With it, `plant` says which
//! bug the code of the present thread has from now on. No program that is shipped enables the feature.
use std::fmt;
use std::str::FromStr;

macro_rules! bugs {
    ($($(#[doc = $doc:literal])+ $bug:ident = $name:literal,)+) => {
        /// A bug, by what goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug {
            $($(#[doc = $doc])+ $bug,)+
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Bug] = &[$(Bug::$bug,)+];

            /// Its name on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Bug::$bug => $name,)+
                }
            }
        }
    };
}

bugs! {
    // What a validator says.

    /// Finalizes a block of a view that it gave up before.
    FinalizeAfterNullify = "finalize-after-nullify",
    /// Considers every proposal of a view anew, and votes for each.
    SecondProposal = "second-proposal",
    /// Takes views for nullified of which no certificate is known.
    ViewsSkipped = "views-skipped",
    /// Builds on the last block of an epoch within the epoch, and votes for that.
    BoundaryChild = "boundary-child",
    /// Never sets the timer that ends a view.
    ViewTimerNotSet = "view-timer-not-set",

    // What it writes down before it says so.

    /// The claim is not in the journal.
    ClaimNotWritten = "claim-not-written",
    /// The certificates by which a view was entered are not in the journal.
    EntryNotWritten = "entry-not-written",
    /// The notarization of what it finalizes is not in the journal.
    NotarizationNotWritten = "notarization-not-written",
    /// The latest finalization is not in the journal.
    FinalizationNotWritten = "finalization-not-written",
    /// The body of the block that it votes for is not in the journal.
    BodyNotWritten = "body-not-written",
    /// Blocks are committed before the journal has their bodies.
    CommitBeforeBodies = "commit-before-bodies",
    /// Own claims in the journal are not taken back at a restart.
    OwnRecordsIgnored = "own-records-ignored",
    /// Given up views are left out when the journal is rewritten.
    NullifyDroppedAtRewrite = "nullify-dropped-at-rewrite",
    /// The journal is not synced before the vote leaves.
    VoteBeforeSync = "vote-before-sync",
    /// An unfinished record at the end of the vote log is kept when the log goes on.
    TornEndKept = "torn-end-kept",
    /// The marker beside the signing key never names a vote log.
    MarkerNotWritten = "marker-not-written",
    /// A validator that lost its log votes like any other.
    QuarantineIgnored = "quarantine-ignored",

    // How votes become certificates.

    /// Own votes do not reach the own tally.
    OwnVoteNotCounted = "own-vote-not-counted",
    /// All votes of one kind in a view are counted together, whatever block they name.
    TallyWithoutBlock = "tally-without-block",
    /// Votes count before their signatures are checked.
    UncheckedVotesCount = "unchecked-votes-count",
    /// One vote less than a quorum is made a certificate.
    OneVoteLess = "one-vote-less",
    /// Certificates of others that lack one vote are accepted.
    UnderfullAccepted = "underfull-accepted",
    /// A quorum is computed as `2f + 1`, which is too few unless `n = 3f + 1`.
    QuorumOfTwoFPlusOne = "quorum-of-two-f-plus-one",
    /// A certificate is measured by its signatures, even if one signer gave them all.
    SignersCountedTwice = "signers-counted-twice",
    /// Votes of views that are any distance ahead are kept.
    ViewWindowUnbounded = "view-window-unbounded",
    /// Votes that contradict each other are not reported.
    EvidenceIgnored = "evidence-ignored",
    /// Messages of other epochs are taken for those of the current one.
    EpochTagIgnored = "epoch-tag-ignored",

    // How others come to know.

    /// Certificates are never passed on, not even with proposals.
    CertificatesKept = "certificates-kept",
    /// What was said is not said again.
    RetryOff = "retry-off",
    /// Who is behind never asks for blocks.
    CatchingUpOff = "catching-up-off",
    /// Blocks of others are stored although the signatures of their certificate are wrong.
    SyncUnverified = "sync-unverified",
    /// Blocks of any time in the future are voted for at once.
    FutureBlocks = "future-blocks",
    /// A transaction that is in the ledger is taken into the pool like a new one.
    DuplicateAnsweredNew = "duplicate-answered-new",

    // What blocks do.

    /// Every second validator executes the bundles of a block in another order.
    OrderDependsOnNode = "order-depends-on-node",
    /// A transaction that fails leaves its nonce free.
    NonceFreeAfterFailure = "nonce-free-after-failure",
    /// A transaction that was executed before is executed again.
    DuplicateExecuted = "duplicate-executed",
    /// A transaction is executed although its validity has ended.
    ExpiredExecuted = "expired-executed",
    /// Markers of transactions are removed with the next block.
    MarkersSweptEarly = "markers-swept-early",
    /// What is burned still counts as supply.
    SupplyKeptAtBurn = "supply-kept-at-burn",
    /// Payments to many are not taken from who pays.
    MoneyFromNothing = "money-from-nothing",
    /// A list with an odd number of leaves has the root of one whose last leaf stands there twice.
    OddLeafDuplicated = "odd-leaf-duplicated",

    // How they are kept.

    /// The head moves in a batch of its own before the block is written.
    CommitSplit = "commit-split",
    /// A ledger that ends below where it once was safe is used.
    HighWaterIgnored = "high-water-ignored",
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No bug has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no bug {found:?}")]
pub struct UnknownBug {
    /// What was given.
    pub found: String,
}

impl FromStr for Bug {
    type Err = UnknownBug;
    fn from_str(text: &str) -> Result<Self, UnknownBug> {
        let found = Self::ALL.iter().find(|bug| bug.name() == text);
        found.copied().ok_or_else(|| UnknownBug { found: text.to_owned() })
    }
}

/// Whether the code of this thread has a bug. Never without the feature `zoo`.
#[cfg(not(feature = "zoo"))]
#[must_use]
#[inline]
pub const fn has(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "zoo")]
std::thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Whether the code of this thread has a bug.
#[cfg(feature = "zoo")]
#[must_use]
pub fn has(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Gives the code of this thread a bug, or none, in place of the one that it had.
#[cfg(feature = "zoo")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_bug_is_found_by_its_name_and_has_one_of_its_own() {
        let names: BTreeSet<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        assert_eq!(names.len(), Bug::ALL.len());
        assert!(Bug::ALL.iter().all(|bug| bug.name().parse() == Ok(*bug)));
        assert!("none".parse::<Bug>().is_err());
    }

    #[cfg(not(feature = "zoo"))]
    #[test]
    fn no_bug_is_there_without_the_feature() {
        assert!(Bug::ALL.iter().all(|bug| !has(*bug)));
    }
}
