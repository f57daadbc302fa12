//! Parameters as they come from outside: by name or by position, checked against the table of
//! methods before anything looks at them.
use serde::Deserialize;
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

use crate::api::{ApiError, ErrorKind, Method, Presence};
use crate::json::values::shortened;

/// Parameters of one call by name, taken out one by one. Each is read when it is taken.
pub(crate) struct Arguments<'a> {
    method: &'static Method,
    raw: &'a str,
    values: Vec<(String, &'a RawValue)>,
}

/// What stands in `params`.
enum Given<'a> {
    Positions(Vec<&'a RawValue>),
    Names(Vec<(String, &'a RawValue)>),
}

struct GivenVisitor;

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = Given<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of parameters")
    }

    fn visit_unit<E>(self) -> Result<Given<'de>, E> {
        Ok(Given::Positions(Vec::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Given<'de>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Given::Positions(values))
    }

    // Pairs and not a map: of two parameters with one name, a map would silently drop one.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given<'de>, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Given::Names(pairs))
    }
}

impl<'de> Deserialize<'de> for Given<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GivenVisitor)
    }
}

impl<'a> Arguments<'a> {
    /// Reads the parameters of a call; `depth_max` bounds how deep they may be nested.
    pub(crate) fn parse(
        method: &'static Method,
        raw: Option<&'a str>,
        depth_max: usize,
    ) -> Result<Self, ApiError> {
        let raw = raw.unwrap_or("[]");
        if let Err(found) = measure(raw.as_bytes(), depth_max) {
            return Err(too_deep(found, depth_max));
        }
        let given = serde_json::from_str(raw).map_err(unreadable)?;
        let values = match given {
            Given::Positions(values) => by_position(method, values)?,
            Given::Names(pairs) => by_name(method, pairs)?,
        };
        let mut arguments = Self { method, raw, values };
        arguments.values.retain(|(_, value)| value.get() != "null");
        arguments.check_required()?;
        Ok(arguments)
    }

    fn check_required(&self) -> Result<(), ApiError> {
        let given = |name: &str| self.values.iter().any(|(known, _)| known == name);
        let required =
            self.method.parameters.iter().filter(|parameter| parameter.presence == Presence::Required);
        match required.into_iter().find(|parameter| !given(parameter.name)) {
            None => Ok(()),
            Some(missing) => {
                let message = format!(
                    "{} needs the parameter {:?}: {}",
                    self.method.name, missing.name, missing.summary
                );
                Err(ApiError::new(ErrorKind::InvalidParams, message).in_field(missing.name))
            }
        }
    }

    fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let position = self.values.iter().position(|(known, _)| known == name)?;
        Some(self.values.swap_remove(position).1)
    }

    /// Reads one parameter.
    fn read<T: DeserializeOwned>(&self, name: &str, value: &RawValue) -> Result<T, ApiError> {
        let Ok(value) = serde_json::from_str::<Value>(value.get()) else {
            // What is said of a value names its place among all.
            let reason = serde_json::from_str::<Value>(self.raw).err();
            return Err(reason.map_or_else(|| invalid(name, "no value"), unreadable));
        };
        T::deserialize(value).map_err(|reason| invalid(name, reason))
    }

    /// Takes an optional parameter.
    pub(crate) fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        self.take(name).map(|value| self.read(name, value)).transpose()
    }

    /// Takes a required list, whose items are not read.
    pub(crate) fn items(&mut self, name: &str) -> Result<Vec<&'a RawValue>, ApiError> {
        let value = self.take(name).ok_or_else(|| invalid(name, "missing"))?;
        serde_json::from_str(value.get()).or_else(|_| {
            // This says what is there instead.
            self.read::<Vec<Value>>(name, value)?;
            Err(invalid(name, "no list"))
        })
    }

    /// Takes a required parameter, which [`Arguments::parse`] has found to be there.
    pub(crate) fn required<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, ApiError> {
        self.optional(name)?.ok_or_else(|| invalid(name, "missing"))
    }
}

/// A parameter whose value cannot be used.
pub(crate) fn invalid(name: &str, reason: impl fmt::Display) -> ApiError {
    ApiError::new(ErrorKind::InvalidParams, format_args!("parameter {name:?}: {reason}")).in_field(name)
}

/// Parameters that are no JSON.
fn unreadable(reason: serde_json::Error) -> ApiError {
    ApiError::new(ErrorKind::InvalidParams, format_args!("parameters: {reason}"))
}

/// A request that is nested too deep.
pub(crate) fn too_deep(found: usize, allowed: usize) -> ApiError {
    let message = format!("JSON nested at least {found} deep, but at most {allowed} is allowed");
    ApiError::new(ErrorKind::InvalidRequest, message)
}

fn names(method: &Method) -> String {
    let names: Vec<&str> = method.parameters.iter().map(|parameter| parameter.name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn by_position<'a>(
    method: &Method,
    values: Vec<&'a RawValue>,
) -> Result<Vec<(String, &'a RawValue)>, ApiError> {
    let (found, allowed) = (values.len(), method.parameters.len());
    if found > allowed {
        let message = format!(
            "{found} parameters, but {} takes at most {allowed}; allowed are: {}",
            method.name,
            names(method)
        );
        return Err(ApiError::new(ErrorKind::InvalidParams, message));
    }
    let known = method.parameters.iter().map(|parameter| parameter.name.to_owned());
    Ok(known.zip(values).collect())
}

fn by_name<'a>(
    method: &Method,
    pairs: Vec<(String, &'a RawValue)>,
) -> Result<Vec<(String, &'a RawValue)>, ApiError> {
    for (position, (name, _)) in pairs.iter().enumerate() {
        let shown = shortened(name);
        let fault = if !method.parameters.iter().any(|parameter| parameter.name == name) {
            format!("unknown parameter {shown:?}, but {} allows: {}", method.name, names(method))
        } else if pairs.iter().take(position).any(|(earlier, _)| earlier == name) {
            format!("parameter {shown:?} is given twice")
        } else {
            continue;
        };
        return Err(ApiError::new(ErrorKind::InvalidParams, fault).in_field(shown));
    }
    Ok(pairs)
}

/// How a JSON text is built, as far as that can be seen without understanding it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Items of the outermost array or object; one for anything else.
    pub(crate) items: usize,
}

/// Measures a JSON text without recursion. Whether it is JSON is for the parser to say.
///
/// # Errors
/// The first depth of nesting that is more than allowed.
pub(crate) fn measure(text: &[u8], allowed: usize) -> Result<Shape, usize> {
    let (mut depth, mut items) = (0_usize, 1_usize);
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => rest = after_string(rest),
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                if depth > allowed {
                    return Err(depth);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 1 => items = items.saturating_add(1),
            _ => {}
        }
    }
    Ok(Shape { items })
}

/// Bytes of a string that are looked at together: most strings are long, and have nothing to be seen.
const STEP: usize = 32;

/// What follows a string whose first quote was read.
fn after_string(mut text: &[u8]) -> &[u8] {
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\');
    loop {
        while let Some((step, rest)) = text.split_first_chunk::<STEP>()
            && !step.iter().fold(false, |found, byte| found | is_special(byte))
        {
            text = rest;
        }
        let place = text.iter().position(is_special);
        match place.and_then(|place| text.get(place..)) {
            Some([b'"', rest @ ..]) => return rest,
            Some([_, _escaped, rest @ ..]) => text = rest,
            Some(_) | None => return &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Result<Arguments<'_>, ApiError> {
        Arguments::parse(Method::by_name("chain_getBlock").unwrap(), Some(raw), 30)
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(measure(br#"["[[[[", "\"[[", {"a":"],"}]"#, 2), Ok(Shape { items: 3 }));
        assert_eq!(measure(b"[[[1]]]", 2), Err(3));
    }

    #[test]
    fn strings_end_where_they_end_however_long_they_are() {
        let text = |length: usize, tail: &str| format!("[\"{}{tail}\", 7]", "[".repeat(length));
        for length in 0..100 {
            for tail in ["", r"\\", r#"\""#, r#"\"\""#, r#"\\\"["#, r"\u005b"] {
                let found = measure(text(length, tail).as_bytes(), 1);
                assert_eq!(found, Ok(Shape { items: 2 }), "{length} and {tail}");
            }
            assert_eq!(measure(text(length, r"\\\").as_bytes(), 1), Ok(Shape { items: 1 }), "{length}");
            let open = format!("[\"{}\\", ",".repeat(length));
            assert_eq!(measure(open.as_bytes(), 1), Ok(Shape { items: 1 }), "{length}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_kept_is_named_with_its_place() {
        let error = parse(r#"[1, null, 1e999]"#).and_then(|mut given| given.optional::<bool>("bodies"));
        let message = error.unwrap_err().message;
        assert_eq!(message, "parameters: number out of range at line 1 column 15");
    }

    #[test]
    fn items_are_left_as_they_stand_and_what_is_no_list_is_named() {
        let method = Method::by_name("tx_submitMany").unwrap();
        let items = |raw| Arguments::parse(method, Some(raw), 30)?.items("transactions");
        let texts = |raw| items(raw).map(|items| items.iter().map(|item| item.get()).collect::<Vec<_>>());
        assert_eq!(texts(r#"[[ "00" , {"a": [1]},7]]"#).unwrap(), [r#""00""#, r#"{"a": [1]}"#, "7"]);
        assert!(texts(r#"{"transactions": []}"#).unwrap().is_empty());
        let error = items(r#"["text"]"#).unwrap_err();
        assert_eq!(
            error.message,
            "parameter \"transactions\": invalid type: string \"text\", expected a sequence"
        );
    }

    #[test]
    fn a_million_brackets_are_refused_without_recursion() {
        let text = "[".repeat(1_000_000);
        assert_eq!(measure(text.as_bytes(), 32), Err(33));
    }

    #[test]
    fn names_and_positions_give_the_same() {
        for raw in [r#"{"bodies": true, "height": "7"}"#, r#"["7", null, true]"#] {
            let mut arguments = parse(raw).unwrap();
            assert_eq!(arguments.optional::<String>("height").unwrap().as_deref(), Some("7"));
            assert_eq!(arguments.optional::<bool>("bodies").unwrap(), Some(true));
            assert_eq!(arguments.optional::<String>("block").unwrap(), None);
        }
    }

    #[test]
    fn unknown_repeated_and_surplus_parameters_are_named() {
        let unknown = parse(r#"{"heigth": 1}"#).err().unwrap();
        assert_eq!(unknown.field.as_deref(), Some("heigth"));
        assert!(unknown.message.contains("height, block, bodies, from_bundle"), "{}", unknown.message);
        assert!(parse(r#"{"height": 1, "height": 2}"#).err().unwrap().message.contains("twice"));
        assert!(parse("[1,2,3,4,5]").err().unwrap().message.contains("at most 4"));
    }

    #[test]
    fn a_missing_parameter_is_named() {
        let error = Arguments::parse(Method::by_name("tx_get").unwrap(), Some("{}"), 30).err().unwrap();
        assert_eq!(error.field.as_deref(), Some("tx_id"));
    }
}
