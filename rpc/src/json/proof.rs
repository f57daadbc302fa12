//! What a client needs to believe nobody, as hexadecimal of canonical bytes.
use quorate_primitives::block;
use quorate_primitives::light::FinalityProof;
use quorate_primitives::merkle::{GroupProof, ListProof, StateProof};
use quorate_primitives::state::StateKey;

use super::schema::object;
use super::values::HexBytes;

object! {
    /// A quorum's signature of a block, and the way from it to an older block if the answer is about
    /// one.
    pub struct Finality {
        /// Canonical bytes of a `FinalityProof`: header, outcome, certificate.
        pub certified: HexBytes,
        /// The older block that the answer is about, if it has no certificate of its own.
        pub ancestor: Option<Ancestor>,
    }
}

impl Finality {
    /// The proof of a certified block itself.
    #[must_use]
    pub fn of(proof: &FinalityProof) -> Self {
        Self { certified: HexBytes::of(proof), ancestor: None }
    }

    /// The proof of an older block through the history of a certified one.
    #[must_use]
    pub fn of_ancestor(
        proof: &FinalityProof,
        header: &block::Header,
        outcome: &block::Outcome,
        history_proof: &ListProof,
    ) -> Self {
        let ancestor = Ancestor {
            header: HexBytes::of(header),
            outcome: HexBytes::of(outcome),
            history_proof: HexBytes::of(history_proof),
        };
        Self { certified: HexBytes::of(proof), ancestor: Some(ancestor) }
    }
}

object! {
    /// An older block within the history of a certified one.
    pub struct Ancestor {
        /// Canonical bytes of its header.
        pub header: HexBytes,
        /// Canonical bytes of its outcome.
        pub outcome: HexBytes,
        /// Canonical bytes of the `ListProof` that leads to the certified history root.
        pub history_proof: HexBytes,
    }
}

object! {
    /// Shows that a key of the state has a value, or has none.
    pub struct ValueEvidence {
        /// The block after which it is so.
        pub finality: Finality,
        /// Canonical bytes of the key.
        pub key: HexBytes,
        /// Canonical bytes of the value; `null` if the key is absent.
        pub value: Option<HexBytes>,
        /// Canonical bytes of the `StateProof`.
        pub state: HexBytes,
    }
}

impl ValueEvidence {
    /// Puts together what shows one value or its absence.
    #[must_use]
    pub fn new(finality: Finality, key: &StateKey, value: Option<&[u8]>, proof: &StateProof) -> Self {
        let value = value.map(|bytes| HexBytes(bytes.to_vec()));
        Self { finality, key: HexBytes::of(key), value, state: HexBytes::of(proof) }
    }
}

object! {
    /// One value of a proven group.
    pub struct ProvenValue {
        /// Canonical bytes of the key.
        pub key: HexBytes,
        /// Canonical bytes of the value.
        pub value: HexBytes,
    }
}

object! {
    /// Shows that these are all values of a group, such as all balances of an account.
    pub struct GroupEvidence {
        /// The block after which it is so.
        pub finality: Finality,
        /// Canonical bytes of the `GroupProof`.
        pub group: HexBytes,
        /// All values, ascending by path.
        pub values: Vec<ProvenValue>,
    }
}

impl GroupEvidence {
    /// Puts together what shows a whole group.
    #[must_use]
    pub fn new(finality: Finality, values: &[(StateKey, Vec<u8>)], proof: &GroupProof) -> Self {
        let entry = |(key, value): &(StateKey, Vec<u8>)| ProvenValue {
            key: HexBytes::of(key),
            value: HexBytes(value.clone()),
        };
        Self { finality, group: HexBytes::of(proof), values: values.iter().map(entry).collect() }
    }
}

object! {
    /// Shows what a transaction did in which block.
    pub struct ReceiptEvidence {
        /// The block that holds the transaction.
        pub finality: Finality,
        /// Canonical bytes of the `Receipt`.
        pub receipt: HexBytes,
        /// Canonical bytes of the `ListProof` that leads to the block's receipts root.
        pub receipt_proof: HexBytes,
    }
}

impl ReceiptEvidence {
    /// Puts together what shows one receipt.
    #[must_use]
    pub fn new(
        finality: Finality,
        receipt: &quorate_primitives::receipt::Receipt,
        proof: &ListProof,
    ) -> Self {
        Self { finality, receipt: HexBytes::of(receipt), receipt_proof: HexBytes::of(proof) }
    }
}
