//! Reading a TOML text so that every fault can say in which line and field it stands.
use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use quorate_primitives::numbers::Timestamp;

use crate::error::{Fault, GenesisError};
use crate::time;

/// Longest piece of a value that a message repeats, in characters.
const SHOWN_MAX: usize = 80;

/// Where the lines of a text begin.
#[derive(Debug)]
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn of(text: &str) -> Self {
        let after = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(std::iter::once(0).chain(after.map(|(position, _)| position.saturating_add(1))).collect())
    }

    /// Line, counted from 1, of a byte position.
    pub(crate) fn line(&self, position: usize) -> usize {
        self.0.partition_point(|start| *start <= position).max(1)
    }
}

/// A field's line and path.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) field: String,
}

impl Place {
    pub(crate) fn fault(&self, fault: Fault) -> GenesisError {
        GenesisError { line: self.line, field: self.field.clone(), fault }
    }

    /// A value that may not stand here.
    pub(crate) fn refuse(&self, found: &impl Display, allowed: impl Display) -> GenesisError {
        self.fault(Fault::Value { found: found.to_string(), allowed: allowed.to_string() })
    }

    /// A value that stands elsewhere already.
    pub(crate) fn repeats(&self, found: &impl Display, first: &Place) -> GenesisError {
        self.fault(Fault::Duplicate { found: found.to_string(), first: first.line })
    }
}

/// Quotes a text so that it stays on one line and short.
pub(crate) fn shown(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{cut:?}{more}")
}

/// A table of the text.
#[derive(Clone, Debug)]
pub(crate) struct Table<'a> {
    lines: &'a Lines,
    table: &'a DeTable<'a>,
    pub(crate) place: Place,
}

impl<'a> Table<'a> {
    pub(crate) fn root(lines: &'a Lines, table: &'a DeTable<'a>) -> Self {
        Self { lines, table, place: Place { line: 1, field: String::new() } }
    }

    fn place_of(&self, key: &str, position: usize) -> Place {
        let dot = if self.place.field.is_empty() { "" } else { "." };
        Place { line: self.lines.line(position), field: format!("{}{dot}{key}", self.place.field) }
    }

    /// Refuses every key but these.
    pub(crate) fn allow(&self, keys: &'static [&'static str]) -> Result<(), GenesisError> {
        for key in self.table.keys() {
            let found: &str = key.get_ref();
            if !keys.contains(&found) {
                let nearest = nearest(found, keys.iter().copied()).unwrap_or_default();
                // A strange key is repeated in the path of the field, so it is quoted and cut there.
                let name: String = found.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect();
                let place = self.place_of(&name, key.span().start);
                return Err(place.fault(Fault::UnknownKey { nearest, allowed: keys.join(", ") }));
            }
        }
        Ok(())
    }

    pub(crate) fn optional(&self, key: &str) -> Option<Value<'a>> {
        let value = self.table.get(key)?;
        Some(Value { lines: self.lines, value, place: self.place_of(key, value.span().start) })
    }

    pub(crate) fn required(&self, key: &str, allowed: impl Display) -> Result<Value<'a>, GenesisError> {
        let missing = || {
            let place = Place { line: self.place.line, ..self.place_of(key, 0) };
            place.fault(Fault::Missing { allowed: allowed.to_string() })
        };
        self.optional(key).ok_or_else(missing)
    }

    /// The tables of a list of tables; none if the key is absent.
    pub(crate) fn tables(&self, key: &str) -> Result<Vec<Table<'a>>, GenesisError> {
        let Some(list) = self.optional(key) else { return Ok(Vec::new()) };
        let kind = || format!("a list of tables, each headed [[{key}]],");
        let items = list.items().ok_or_else(|| list.refuse(kind()))?;
        items.into_iter().map(|item| item.table().ok_or_else(|| item.refuse("a table"))).collect()
    }
}

/// A value of the text.
#[derive(Clone, Debug)]
pub(crate) struct Value<'a> {
    lines: &'a Lines,
    value: &'a Spanned<DeValue<'a>>,
    pub(crate) place: Place,
}

impl<'a> Value<'a> {
    /// The fault of a value that may not stand here.
    pub(crate) fn refuse(&self, allowed: impl Display) -> GenesisError {
        let found = match self.value.get_ref() {
            DeValue::String(text) => shown(text),
            DeValue::Integer(number) => number.to_string().chars().take(SHOWN_MAX).collect(),
            DeValue::Datetime(moment) => moment.to_string(),
            DeValue::Boolean(answer) => answer.to_string(),
            DeValue::Float(number) => number.to_string().chars().take(SHOWN_MAX).collect(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        self.place.refuse(&found, allowed)
    }

    /// A name of something that is not in the document.
    pub(crate) fn unknown<'n>(
        &self,
        kinds: &'static str,
        names: impl Iterator<Item = &'n str>,
    ) -> GenesisError {
        let found = self.value.get_ref().as_str().unwrap_or_default();
        let hint = nearest(found, names).map_or_else(String::new, |name| format!(", did you mean {name:?}?"));
        self.place.fault(Fault::Unknown { found: found.chars().take(SHOWN_MAX).collect(), kinds, hint })
    }

    pub(crate) fn text(&self, allowed: impl Display) -> Result<&'a str, GenesisError> {
        self.value.get_ref().as_str().ok_or_else(|| self.refuse(allowed))
    }

    /// A text that has a meaning.
    pub(crate) fn parsed<T, E>(
        &self,
        allowed: impl Display + Copy,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, GenesisError> {
        parse(self.text(allowed)?).map_err(|_| self.refuse(allowed))
    }

    pub(crate) fn integer(&self, range: RangeInclusive<u64>) -> Result<u64, GenesisError> {
        let number = match self.value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            DeValue::String(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        let outside =
            || self.refuse(format_args!("a whole number from {} to {}", range.start(), range.end()));
        number.filter(|number| range.contains(number)).ok_or_else(outside)
    }

    pub(crate) fn moment(&self) -> Result<Timestamp, GenesisError> {
        let moment = self.value.get_ref().as_datetime().and_then(time::from_datetime);
        let form = "a date and time since 1970 in whole milliseconds, with offset and without quotes, such as \
                    2026-11-20T12:00:00.000Z,";
        moment.filter(|moment| *moment <= time::TIME_MAX).ok_or_else(|| self.refuse(form))
    }

    pub(crate) fn items(&self) -> Option<Vec<Value<'a>>> {
        let array = self.value.get_ref().as_array()?;
        let item = |(index, value): (usize, &'a Spanned<DeValue<'a>>)| Value {
            lines: self.lines,
            value,
            place: Place {
                line: self.lines.line(value.span().start),
                field: format!("{}[{index}]", self.place.field),
            },
        };
        Some(array.iter().enumerate().map(item).collect())
    }

    pub(crate) fn table(&self) -> Option<Table<'a>> {
        let table = self.value.get_ref().as_table()?;
        Some(Table { lines: self.lines, table, place: self.place.clone() })
    }
}

/// The name most like `found`, with the fewest letters to insert, delete or replace.
pub(crate) fn nearest<'n>(found: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // Names are short; a long text is a slip of another kind and gains nothing from an exact answer.
    let found: Vec<char> = found.chars().take(SHOWN_MAX).collect();
    names.min_by_key(|name| distance(&found, name))
}

fn distance(found: &[char], name: &str) -> usize {
    let mut row: Vec<usize> = (0..=found.len()).collect();
    for (line, letter) in name.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line.saturating_add(1);
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, other) in row.iter_mut().skip(1).zip(found) {
            let replaced = diagonal.saturating_add(usize::from(letter != *other));
            diagonal = *cell;
            left = replaced.min(left.saturating_add(1)).min(diagonal.saturating_add(1));
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Lines, distance, nearest};

    #[test]
    fn lines_are_counted_from_one() {
        let lines = Lines::of("a\nbc\n\nd");
        let found: Vec<usize> = (0..7).map(|position| lines.line(position)).collect();
        assert_eq!(found, [1, 1, 2, 2, 2, 3, 4]);
    }

    #[test]
    fn the_nearest_name_needs_the_fewest_edits() {
        let letters = |text: &str| text.chars().collect::<Vec<char>>();
        assert_eq!(distance(&letters("kitten"), "sitting"), 3);
        assert_eq!(distance(&letters(""), "abc"), 3);
        assert_eq!(distance(&letters("abc"), ""), 3);
        assert_eq!(nearest("treshold", ["key", "keys", "threshold"].into_iter()), Some("threshold"));
        assert_eq!(nearest("x", std::iter::empty()), None);
    }
}
