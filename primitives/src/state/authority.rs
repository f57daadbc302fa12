//! Who may act for an account.
use borsh::{BorshDeserialize, BorshSerialize};

use crate::codec::List;
use crate::keys::{KeyError, PublicKey};

/// A key and what its signature counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WeightedKey {
    /// The key.
    pub key: PublicKey,
    /// Range: 1 to 65,535.
    pub weight: u16,
}

/// Who may act for an account: signatures whose weights reach the threshold.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Authority {
    /// Weight needed. Range: 1 to the sum of all weights.
    pub threshold: u32,
    /// Keys strictly ascending, with their weights.
    pub keys: List<WeightedKey, 1, 16>,
    /// Counts replacements; the first is 0.
    pub version: u32,
}

/// Why an authority may not enter the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// Keys not strictly ascending.
    #[error("keys must be strictly ascending")]
    KeyOrder,
    /// A key without weight.
    #[error("weight 0 of key {key}, but 1 to 65535 are allowed")]
    Weight {
        /// Whose.
        key: PublicKey,
    },
    /// A threshold that nobody needs or nobody reaches.
    #[error("threshold {found}, but 1 to {sum} (the sum of the weights) are allowed")]
    Threshold {
        /// Given.
        found: u32,
        /// Sum of the weights.
        sum: u32,
    },
    /// A key that may not control anything.
    #[error("key {key}: {source}")]
    Key {
        /// Which.
        key: PublicKey,
        /// What is wrong.
        source: KeyError,
    },
}

impl Authority {
    /// One key that acts alone, at version 0.
    #[must_use]
    pub fn single(key: PublicKey) -> Self {
        Self { threshold: 1, keys: List::of_one(WeightedKey { key, weight: 1 }), version: 0 }
    }

    /// Checks order, weights, threshold and keys.
    ///
    /// # Errors
    /// [`AuthorityError`] naming the first fault.
    pub fn check(&self) -> Result<(), AuthorityError> {
        if !self.keys.iter().is_sorted_by(|a, b| a.key < b.key) {
            return Err(AuthorityError::KeyOrder);
        }
        let mut sum = 0_u32;
        for WeightedKey { key, weight } in &self.keys {
            key.check().map_err(|source| AuthorityError::Key { key: *key, source })?;
            if *weight == 0 {
                return Err(AuthorityError::Weight { key: *key });
            }
            sum = sum.saturating_add(u32::from(*weight));
        }
        if !(1..=sum).contains(&self.threshold) {
            return Err(AuthorityError::Threshold { found: self.threshold, sum });
        }
        Ok(())
    }

    /// Whether these signers together may act.
    #[must_use]
    pub fn is_satisfied_by(&self, signers: &[PublicKey]) -> bool {
        let counted = self.keys.iter().filter(|weighted| signers.contains(&weighted.key));
        counted.fold(0_u32, |sum, weighted| sum.saturating_add(u32::from(weighted.weight))) >= self.threshold
    }
}
