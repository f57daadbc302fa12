//! What may be wrong with a founding document, said in one line that tells how to mend it.

/// The first fault of a founding document and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {field}: {fault}")]
pub struct GenesisError {
    /// Line of the text, counted from 1.
    pub line: usize,
    /// Path of the field, such as `validators[2].key`; `document` for the whole.
    pub field: String,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a field. Values are quoted and cut, so that a message is always one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The text is longer than a founding document may be.
    #[error("{found} bytes, but at most {allowed} are allowed")]
    TooLong {
        /// Bytes given.
        found: usize,
        /// Most bytes allowed.
        allowed: usize,
    },
    /// The text is not TOML.
    #[error("not valid TOML: {message}")]
    Syntax {
        /// What the parser met.
        message: String,
    },
    /// A key that the document does not have; most often a slip of the pen.
    #[error("unknown key, did you mean {nearest:?}? allowed are {allowed}")]
    UnknownKey {
        /// The most similar key.
        nearest: &'static str,
        /// All keys that may stand here.
        allowed: String,
    },
    /// A key that must be there is not.
    #[error("missing, but {allowed} is needed")]
    Missing {
        /// What must stand there.
        allowed: String,
    },
    /// A value of the wrong type or outside its range.
    #[error("found {found}, but {allowed} is allowed")]
    Value {
        /// What stands there.
        found: String,
        /// What may stand there.
        allowed: String,
    },
    /// A name that nothing in the document has.
    #[error("found {found:?}, but only {kinds} of this document are allowed{hint}")]
    Unknown {
        /// The name given.
        found: String,
        /// What it should be a name of, in the plural.
        kinds: &'static str,
        /// The most similar name, as a question, or nothing.
        hint: String,
    },
    /// Something that must be unique and is not.
    #[error("found {found} again, but it is allowed once and stands in line {first}")]
    Duplicate {
        /// What is repeated.
        found: String,
        /// Where it stands first.
        first: usize,
    },
}
