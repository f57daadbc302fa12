//! Roots of lists, level by level: pairs are joined, and one that is left over goes up as it is.
//!
//! That gives the tree of RFC 9162, section 2.1, in another way than the product, which divides from the top.
use quorate_primitives::Hash;
use quorate_primitives::hash::{Domain, hash};

/// Root of a list of leaf hashes, which binds their number.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    let count = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        let join = |pair: &[Hash]| match pair {
            [left, right] => hash(Domain::ListInner, &[left.as_bytes(), right.as_bytes()]),
            rest => rest.first().copied().unwrap_or(Hash::ZERO),
        };
        level = level.chunks(2).map(join).collect();
    }
    let top = level.first().copied().unwrap_or(Hash::ZERO);
    hash(Domain::ListRoot, &[&count.to_be_bytes(), top.as_bytes()])
}

#[cfg(all(test, not(feature = "zoo")))]
mod tests {
    use super::*;
    use quorate_primitives::merkle::list_root;

    #[test]
    fn both_ways_to_the_root_of_a_list_lead_to_the_same() {
        let leaves: Vec<Hash> = (0..70).map(|number| Hash::from_bytes([number; 32])).collect();
        for count in 0..leaves.len() {
            assert_eq!(root(&leaves[..count]), list_root(&leaves[..count]), "{count} leaves");
        }
    }
}
