//! Every table on disk, what it maps to what, and the version of the whole.
//!
//! Numbers in keys are big endian, so that the order of the bytes is the order of the numbers.
use quorate_primitives::Height;

/// Version of everything below. A database of another version is refused.
pub const FORMAT: u32 = 5;

macro_rules! tables {
    ($($variant:ident = $name:literal, $doc:literal;)*) => {
        /// A table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Table { $(#[doc = $doc] $variant,)* }

        impl Table {
            /// All tables in order.
            pub const ALL: &'static [Table] = &[$(Table::$variant,)*];

            /// The name on disk.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Table::$variant => $name,)* }
            }
        }
    };
}

tables! {
    Meta = "meta", "Name of a fact → its value: [`META_FORMAT`], [`META_CHAIN`], [`META_HEAD`], [`META_SWEPT`].";
    State = "state", "State key of all but markers, canonical bytes → canonical value without the zeros at its end ‖ number of those (1).";
    Markers = "markers", "Period (8) ‖ height (8) → markers that this block left of transactions which expire in that period: canonical state key ‖ canonical value of each.";
    Blocks = "blocks", "Height (8) → header and outcome.";
    Bundles = "bundles", "Height (8) ‖ place in the block (2) → bundle.";
    Certificates = "certificates", "Height (8) → finalize certificate, for blocks that have their own.";
    Receipts = "receipts", "Height (8) ‖ position of the last of them (4) → receipts of the block that follow each other, without what they repeat: `chain::packed`.";
    ReceiptLeaves = "receipt_leaves", "Height (8) → leaf hashes of the block's receipts, joined.";
    Heights = "heights", "Block id (32) → height (8).";
    Positions = "positions", "Transaction id (32) → where it was executed.";
    History = "history", "Level (1) ‖ index (8) → top of that complete subtree of the history list (32).";
}

/// Fact: [`FORMAT`] of the database, 4 bytes little endian.
pub const META_FORMAT: &[u8] = b"format";
/// Fact: genesis hash, 32 bytes.
pub const META_CHAIN: &[u8] = b"chain";
/// Fact: height (8, big endian) ‖ id (32) ‖ outcome digest (32) of the last block.
pub const META_HEAD: &[u8] = b"head";

/// Facts: these bytes ‖ number of a slice of the markers (1) → time (8, big endian): the markers of the slice
/// whose transactions were valid until before it are not in the state any more. Absent for a slice that was
/// never swept.
pub const META_SWEPT: &[u8; 5] = b"swept";

/// Name of the fact about a slice.
#[must_use]
pub fn swept_key(slice: u8) -> [u8; 6] {
    joined(META_SWEPT, &[slice])
}

/// Length of the periods by which markers stand together, in milliseconds: few rows for a block, and few
/// markers that are read in vain when a database is opened. Periods are counted from the epoch of the clock.
pub const PERIOD_MS: u64 = 4_000;

/// Key of the markers that a block left for a period.
#[must_use]
pub fn markers_key(period: u64, height: Height) -> [u8; 16] {
    joined(&period.to_be_bytes(), &height.get().to_be_bytes())
}

/// Key of what there is once for each height.
#[must_use]
pub fn height_key(height: Height) -> [u8; 8] {
    height.get().to_be_bytes()
}

/// Key of a bundle.
#[must_use]
pub fn bundle_key(height: Height, place: u16) -> [u8; 10] {
    joined(&height.get().to_be_bytes(), &place.to_be_bytes())
}

/// Bytes at which a page of receipts is full: enough that writing it costs little, few enough that reading
/// one receipt does too.
pub const RECEIPTS_PAGE_BYTES: usize = 8 * 1024;

/// Key of the page of receipts whose last one has this position. From any position on, the first key is
/// that of the page which holds it.
#[must_use]
pub fn receipts_key(height: Height, last: u32) -> [u8; 12] {
    joined(&height.get().to_be_bytes(), &last.to_be_bytes())
}

/// Key of a node of the history list.
#[must_use]
pub fn history_key(level: u8, index: u64) -> [u8; 9] {
    joined(&[level], &index.to_be_bytes())
}

/// The bytes of both, one after the other, which are `N`.
fn joined<const N: usize>(first: &[u8], second: &[u8]) -> [u8; N] {
    let mut key = [0; N];
    key.iter_mut().zip(first.iter().chain(second)).for_each(|(to, from)| *to = *from);
    key
}
