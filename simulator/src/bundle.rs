//! What is kept of a run that failed, so that it can be run again: in one JSON file.
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::campaign::Task;
use crate::run::Report;

/// Version of the file's layout.
const FORMAT: u32 = 1;
/// Longest bundle that is read, in bytes: ten thousand lines of text and the options.
const BUNDLE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A failed run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bundle {
    /// Version of the layout.
    pub format: u32,
    /// Version of the program that ran it.
    pub program: String,
    /// What a replay needs.
    pub task: Task,
    /// What was promised and not kept.
    pub property: String,
    /// What was found instead.
    pub detail: String,
    /// When, in seconds of virtual time.
    pub at: String,
    /// Hash of everything that happened.
    pub trace: String,
    /// Every node in one line.
    pub nodes: Vec<String>,
    /// The last events.
    pub events: Vec<String>,
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// More bytes than any bundle has.
    #[error("{}: {found} bytes, but at most {BUNDLE_BYTES_MAX} are allowed", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// Its length.
        found: u64,
    },
    /// Not a bundle.
    #[error("{}: not a bundle of a failed run: {source}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// Written by a program with another layout.
    #[error("{}: format {found}, but {FORMAT} is expected", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

impl Bundle {
    /// What is kept of a failed run; nothing of one that passed.
    #[must_use]
    pub fn of(task: &Task, report: &Report) -> Option<Self> {
        let violation = report.violation.as_ref()?;
        Some(Self {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            task: task.clone(),
            property: violation.property.to_owned(),
            detail: violation.detail.clone(),
            at: violation.at.to_string(),
            trace: report.hash.to_string(),
            nodes: report.nodes.clone(),
            events: report.last.clone(),
        })
    }

    /// Name of the file.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("quorate-simulate-{}-{}.json", self.task.profile(), self.task.seed())
    }

    /// Writes it into a folder; returns the path. The file is there completely or not at all.
    ///
    /// # Errors
    /// [`BundleError::File`].
    #[expect(clippy::disallowed_methods, reason = "the run is over")]
    pub fn write(&self, folder: &Path) -> Result<PathBuf, BundleError> {
        let path = folder.join(self.file_name());
        let failed = |source| BundleError::File { path: path.clone(), source };
        let temporary = path.with_extension("tmp");
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(io::Error::other(error)))?;
        fs::create_dir_all(folder).map_err(failed)?;
        fs::write(&temporary, text).map_err(failed)?;
        fs::rename(&temporary, &path).map_err(failed)?;
        Ok(path)
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`BundleError`] naming the file and what is wrong with it.
    #[expect(clippy::disallowed_methods, reason = "the run has not begun")]
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        let failed = |source| BundleError::File { path: path.to_owned(), source };
        let found = fs::metadata(path).map_err(failed)?.len();
        if found > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLong { path: path.to_owned(), found });
        }
        let bytes = fs::read(path).map_err(failed)?;
        let bundle: Self = serde_json::from_slice(&bytes)
            .map_err(|source| BundleError::Syntax { path: path.to_owned(), source })?;
        if bundle.format != FORMAT {
            return Err(BundleError::Format { path: path.to_owned(), found: bundle.format });
        }
        Ok(bundle)
    }
}
