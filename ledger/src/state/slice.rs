//! Which markers a block sweeps.
//!
//! Markers are swept not as soon as they may, but slice by slice in the order of their paths, each block one:
//! so those that go are neighbours, and taking them out costs a fraction of taking each out alone.
use quorate_primitives::Height;
use quorate_primitives::state::Path;

use super::tree::Prefix;

/// One slice of the markers: those whose paths have this number in bits 1 to 8, after bit 0, which is set for
/// all markers. Each block sweeps the slice that is the lowest byte of its height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice(u8);

/// Bits of a path that say that it is in a slice.
const BITS: u16 = 9;

impl Slice {
    /// How many there are: each is swept once in so many blocks.
    pub(crate) const COUNT: usize = 256;

    /// All of them, in order.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }

    /// The one that a block sweeps.
    pub(crate) fn of_block(height: Height) -> Self {
        let [lowest, ..] = height.get().to_le_bytes();
        Self(lowest)
    }

    /// The one in which a marker lies.
    pub(crate) fn of_path(path: &Path) -> Self {
        let [first, second, ..] = path.as_bytes();
        Self(first << 1 | second >> 7)
    }

    /// Its number, from 0 on.
    pub(crate) fn number(self) -> u8 {
        self.0
    }

    /// The lowest path that it may hold.
    pub(crate) fn first_path(self) -> Path {
        let mut bytes = [0; 64];
        let [first, second, ..] = &mut bytes;
        *first = 0x80 | self.0 >> 1;
        *second = self.0 << 7;
        Path::from_bytes(bytes)
    }

    /// Where it lies in the tree, by its lowest path.
    pub(crate) fn prefix(first: &Path) -> Prefix<'_> {
        Prefix { first, bits: BITS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_primitives::Hash;
    use quorate_primitives::state::StateKey;
    use std::collections::BTreeSet;

    #[test]
    fn every_marker_lies_in_the_slice_that_its_path_shares_the_first_bits_with() {
        let mut met = BTreeSet::new();
        for number in 0..=u8::MAX {
            let path = StateKey::Unauthorised(Hash::from_bytes([number; 32])).path();
            let slice = Slice::of_path(&path);
            let is_inside =
                |slice: &Slice| path.first_difference(&slice.first_path()).is_none_or(|bit| bit >= BITS);
            assert_eq!(Slice::all().filter(is_inside).collect::<Vec<_>>(), [slice]);
            met.insert(slice.number());
        }
        assert!(met.len() > 100, "{met:?}");
    }

    #[test]
    fn all_slices_are_swept_in_turn() {
        let heights = (1_000..).take(Slice::COUNT).map(Height::new);
        let swept: BTreeSet<u8> = heights.map(|height| Slice::of_block(height).number()).collect();
        assert!(swept.into_iter().eq(Slice::all().map(Slice::number)));
    }
}
