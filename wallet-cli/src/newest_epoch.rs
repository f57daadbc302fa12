//! The newest epoch of a network whose validators were ever verified in this home, so that the way to
//! them need not be gone again from the genesis.
//!
//! What is kept is the handover that began the epoch. Its signatures cannot be checked again without the
//! epoch before: the file is believed because it is the wallet's own. It is bound to the genesis, and to
//! what every vote of the epoch signs, so that a file which was damaged is noticed. One that cannot be
//! used costs no more than the way from the genesis.
use quorate_keystore::files::{self, FileError};
use quorate_primitives::codec;
use quorate_primitives::light::{HANDOVER_BYTES_MAX, Handover, TrustedEpoch};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::verify::Reached;

const SCHEMA: u32 = 1;
/// Longest file in bytes: a handover in hexadecimal and a little more.
const BYTES_MAX: usize = 4 * HANDOVER_BYTES_MAX;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: u32,
    chain: String,
    epoch: String,
    context: String,
    handover: String,
}

/// The file with the newest verified epoch of a network.
pub struct NewestEpoch {
    path: PathBuf,
}

impl NewestEpoch {
    /// The file at this path, which need not exist.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The epoch that was remembered, if there is one. `genesis` is the first epoch of the chain.
    ///
    /// # Errors
    /// A line for people that says why the file cannot be used; the genesis is to be gone back to.
    pub fn read(&self, genesis: &TrustedEpoch) -> Result<Option<TrustedEpoch>, String> {
        match files::read_text(&self.path, BYTES_MAX) {
            Ok(text) => {
                parse(&text, genesis).map(Some).map_err(|reason| format!("{}: {reason}", self.path.display()))
            }
            Err(FileError::Missing { .. }) => Ok(None),
            Err(other) => Err(other.to_string()),
        }
    }

    /// Remembers a verified epoch in place of the one that is there.
    ///
    /// # Errors
    /// [`Exit::Configuration`](crate::failure::Exit::Configuration) if the file cannot be written.
    pub fn keep(&self, reached: &Reached) -> Result<(), Failure> {
        Ok(files::replace(&self.path, text(reached).as_bytes())?)
    }
}

fn text(Reached { epoch, handover }: &Reached) -> String {
    let document = Document {
        schema: SCHEMA,
        chain: epoch.identity().chain.to_string(),
        epoch: epoch.number().to_string(),
        context: epoch.context().to_string(),
        handover: hex::encode(codec::encode(handover)),
    };
    // Strings and a number: there is nothing that JSON cannot hold.
    serde_json::to_string(&document).unwrap_or_default()
}

fn parse(text: &str, genesis: &TrustedEpoch) -> Result<TrustedEpoch, String> {
    let document: Document = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if document.schema != SCHEMA {
        return Err(format!("schema: expected {SCHEMA}, found {}", document.schema));
    }
    let same = |field: &str, expected: String, found: &str| {
        let found: String = found.chars().take(80).collect();
        if expected == found { Ok(()) } else { Err(format!("{field}: expected {expected}, found {found:?}")) }
    };
    same("chain", genesis.identity().chain.to_string(), &document.chain)?;
    let bytes = hex::decode(&document.handover).map_err(|error| format!("handover: {error}"))?;
    let handover = Handover::decode(&bytes).map_err(|error| error.to_string())?;
    let epoch = handover.remembered_unchecked(genesis).map_err(|error| format!("handover: {error}"))?;
    same("epoch", epoch.number().to_string(), &document.epoch)?;
    same("context", epoch.context().to_string(), &document.context)?;
    Ok(epoch)
}
