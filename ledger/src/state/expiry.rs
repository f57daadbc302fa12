//! When markers expire.
use quorate_primitives::Timestamp;
use quorate_primitives::state::Path;

/// When a marker expires, and where it lies in the state tree. Ordered by the end of validity, then by the
/// second half of the path, then by the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Expiry {
    time: Timestamp,
    item: [u8; 32],
    group: [u8; 32],
}

impl Expiry {
    pub(crate) fn new(time: Timestamp, path: &Path) -> Self {
        let (group, item) = path.halves();
        Self { time, item: *item, group: *group }
    }

    /// End of the validity of the marker's transaction.
    pub(crate) fn time(&self) -> Timestamp {
        self.time
    }

    /// Where the marker lies.
    pub(crate) fn path(&self) -> Path {
        Path::from_halves(&self.group, &self.item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_gives_its_path_back() {
        let bytes: [u8; 64] = std::array::from_fn(|position| u8::try_from(position).unwrap());
        let path = Path::from_bytes(bytes);
        assert_eq!(Expiry::new(Timestamp::new(1), &path).path(), path);
    }
}
