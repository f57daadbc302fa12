//! What goes to standard output: text for people, or JSON for scripts.
use serde_json::{Map, Value, json};
use std::fmt;
use std::io::{self, Write};

use crate::arguments::Format;
use crate::failure::{Exit, Failure};

/// Version of the JSON output. Fields are only ever added to a version.
pub const OUTPUT_SCHEMA: u32 = 1;

/// What a command found or did.
#[derive(Clone, Debug)]
pub struct Report {
    text: String,
    fields: Map<String, Value>,
    rows: Option<&'static str>,
}

impl Report {
    /// A report with its text for people; `fields` must be an object.
    #[must_use]
    pub fn new(text: impl Into<String>, fields: Value) -> Self {
        let fields = match fields {
            Value::Object(fields) => fields,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        Self { text: text.into(), fields, rows: None }
    }

    /// A report whose field of this name is a list: with `ndjson` each row is a line.
    #[must_use]
    pub fn with_rows(mut self, field: &'static str) -> Self {
        self.rows = Some(field);
        self
    }

    /// Writes the report.
    ///
    /// # Errors
    /// Whatever the writer gives.
    pub fn write(self, format: Format, out: &mut impl Write) -> io::Result<()> {
        let Self { text, mut fields, rows } = self;
        match (format, rows) {
            (Format::Text, _) => write!(out, "{text}")?,
            (Format::Ndjson, Some(name)) => {
                let list = fields.remove(name).unwrap_or_default();
                for row in list.as_array().into_iter().flatten() {
                    let row = row.as_object().cloned().unwrap_or_default();
                    writeln!(out, "{}", versioned(fields.clone().into_iter().chain(row)))?;
                }
            }
            (Format::Json | Format::Ndjson, _) => writeln!(out, "{}", versioned(fields))?,
        }
        out.flush()
    }
}

fn versioned(fields: impl IntoIterator<Item = (String, Value)>) -> Value {
    let schema = ("schema".to_owned(), json!(OUTPUT_SCHEMA));
    Value::Object([schema].into_iter().chain(fields).collect())
}

/// Writes a failure: one line to standard error and, for scripts, an object to standard output. The
/// object is written even if nobody reads the line.
///
/// # Errors
/// Whatever `out` gives.
pub fn write_failure(
    failure: &Failure,
    format: Format,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> io::Result<()> {
    let note = match failure.exit {
        Exit::Distrust => {
            "note: nothing that this node says was used; compare with another node (--rpc URL)\n"
        }
        _ => "",
    };
    let _ = write!(messages, "error: {failure}\n{note}");
    if format != Format::Text {
        let Failure { exit, message, details } = failure;
        let error =
            json!({ "exit": exit.code(), "name": exit.name(), "message": message, "details": details });
        writeln!(out, "{}", versioned([("error".to_owned(), error)]))?;
    }
    out.flush()
}

/// Writes to standard error what does not change how the command ends.
pub fn warn(what: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "warning: {what}");
}

/// Writes rows under a heading in columns that are as wide as they must be.
#[must_use]
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[&str]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let mut line = padded.collect::<Vec<_>>().join("  ").trim_end().to_owned();
        line.push('\n');
        line
    };
    let body = rows.iter().map(|row| line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
    [line(heading)].into_iter().chain(body).collect()
}
