//! Who is who: validators by index and by key.
use quorate_consensus::Epoch;
use quorate_primitives::validators::Signers;
use quorate_primitives::{EpochNumber, PublicKey, View};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The validators of the epoch.
#[derive(Clone)]
pub(crate) struct Members(pub(crate) Arc<Epoch>);

impl Members {
    /// Which epoch.
    pub(crate) fn number(&self) -> EpochNumber {
        self.0.number
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Votes that make a certificate.
    pub(crate) fn quorum(&self) -> usize {
        self.0.quorum()
    }

    /// Who leads a view.
    pub(crate) fn leader(&self, view: View) -> u8 {
        self.0.leader(view)
    }

    /// The key of a validator.
    pub(crate) fn key(&self, index: u8) -> Option<PublicKey> {
        self.0.validators.key(index).copied()
    }

    /// The index of a validator.
    pub(crate) fn index_of(&self, key: &PublicKey) -> Option<u8> {
        self.0.validators.index_of(key)
    }

    /// The keys of these validators without `me`.
    pub(crate) fn keys(&self, of: Signers, me: Option<u8>) -> Vec<PublicKey> {
        of.iter().filter(|index| Some(*index) != me).filter_map(|index| self.key(index)).collect()
    }

    /// The keys of all validators without `me`.
    pub(crate) fn others(&self, me: Option<u8>) -> Vec<PublicKey> {
        self.keys(self.0.everybody(), me)
    }

    /// Whom to ask, in this order: the connected ones of `first`, other connected validators, other
    /// connected peers.
    pub(crate) fn candidates(
        &self,
        first: Signers,
        me: Option<u8>,
        connected: &BTreeSet<PublicKey>,
    ) -> Vec<PublicKey> {
        let rest = self.0.everybody().difference(first);
        let mut found: Vec<PublicKey> = self.keys(first, me);
        found.extend(self.keys(rest, me));
        found.retain(|key| connected.contains(key));
        found.extend(connected.iter().filter(|key| self.index_of(key).is_none()).copied());
        found
    }
}
