//! The highest block of a network that was ever verified in this home, so that no node can show an
//! older ledger as the newest one.
use quorate_keystore::files::{self, FileError};
use quorate_primitives::light::Finalized;
use quorate_primitives::{Hash, Height};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

use crate::failure::{Exit, Failure};
use crate::verify::Distrust;

const SCHEMA: u32 = 1;
const BYTES_MAX: usize = 4 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: u32,
    chain: String,
    height: String,
    block: String,
}

#[derive(Clone, Copy)]
struct Highest {
    chain: Hash,
    height: Height,
    block: Hash,
}

/// The file with the highest verified block of a network.
pub struct Remembered {
    path: PathBuf,
    highest: Option<Highest>,
}

impl Remembered {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// [`Exit::Configuration`] naming the file, if it holds something else.
    pub fn open(path: PathBuf) -> Result<Self, Failure> {
        let text = match files::read_text(&path, BYTES_MAX) {
            Ok(text) => text,
            Err(FileError::Missing { .. }) => return Ok(Self { path, highest: None }),
            Err(other) => return Err(other.into()),
        };
        match parse(&text) {
            Ok(highest) => Ok(Self { path, highest: Some(highest) }),
            Err(reason) => {
                Err(Failure::new(Exit::Configuration, format_args!("{}: {reason}", path.display())))
            }
        }
    }

    /// Whether a verified block may be newer than, or is, the highest one so far.
    ///
    /// # Errors
    /// [`Distrust::WentBack`] for a lower height, [`Distrust::Fork`] for another block at the same one.
    pub fn check(&self, ledger: &Finalized) -> Result<(), Distrust> {
        let (found, second) = (ledger.height(), ledger.block());
        // A home that was used with another chain of the same name remembers nothing about this one.
        let Some(highest) = self.highest.filter(|highest| highest.chain == ledger.header().chain) else {
            return Ok(());
        };
        if found < highest.height {
            return Err(Distrust::WentBack { remembered: highest.height, found });
        }
        if found == highest.height && second != highest.block {
            return Err(Distrust::Fork { height: found, first: highest.block, second });
        }
        Ok(())
    }

    /// Remembers a verified block that passed the check.
    ///
    /// # Errors
    /// [`Exit::Configuration`] if the file cannot be written.
    pub fn keep(&mut self, ledger: &Finalized) -> Result<(), Failure> {
        let (chain, height, block) = (ledger.header().chain, ledger.height(), ledger.block());
        if self.highest.is_some_and(|highest| highest.chain == chain && highest.height >= height) {
            return Ok(());
        }
        let document = Document {
            schema: SCHEMA,
            chain: chain.to_string(),
            height: height.to_string(),
            block: block.to_string(),
        };
        let text = serde_json::to_string(&document).unwrap_or_default();
        // This process goes by it even if the file cannot be written.
        self.highest = Some(Highest { chain, height, block });
        Ok(files::replace(&self.path, text.as_bytes())?)
    }
}

fn parse(text: &str) -> Result<Highest, String> {
    let document: Document = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if document.schema != SCHEMA {
        return Err(format!("schema: expected {SCHEMA}, found {}", document.schema));
    }
    let hash = |field: &str, text: &str| text.parse().map_err(|error| format!("{field}: {error}"));
    let height = document.height.parse();
    Ok(Highest {
        chain: hash("chain", &document.chain)?,
        height: height
            .map_err(|_| format!("height: expected a whole number, found {:?}", document.height))?,
        block: hash("block", &document.block)?,
    })
}
