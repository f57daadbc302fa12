//! Parameters as they come from outside: by name or by position, checked against the table of
//! methods before anything looks at them.
use serde::Deserialize;
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

use crate::api::{ApiError, ErrorKind, Method, Presence};
use crate::json::values::shortened;

/// Parameters of one call by name, taken out one by one.
pub(crate) struct Arguments {
    method: &'static Method,
    values: Vec<(String, Value)>,
}

/// What stands in `params`.
enum Given {
    Positions(Vec<Value>),
    Names(Vec<(String, Value)>),
}

struct GivenVisitor;

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of parameters")
    }

    fn visit_unit<E>(self) -> Result<Given, E> {
        Ok(Given::Positions(Vec::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Given, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Given::Positions(values))
    }

    // Pairs and not a map: of two parameters with one name, a map would silently drop one.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Given::Names(pairs))
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GivenVisitor)
    }
}

impl Arguments {
    /// Reads the parameters of a call; `depth_max` bounds how deep they may be nested.
    pub(crate) fn parse(
        method: &'static Method,
        raw: Option<&str>,
        depth_max: usize,
    ) -> Result<Self, ApiError> {
        let raw = raw.unwrap_or("[]");
        if let Err(found) = measure(raw.as_bytes(), depth_max) {
            return Err(too_deep(found, depth_max));
        }
        let wrong = |reason| ApiError::new(ErrorKind::InvalidParams, format_args!("parameters: {reason}"));
        let given = serde_json::from_str(raw).map_err(wrong)?;
        let values = match given {
            Given::Positions(values) => by_position(method, values)?,
            Given::Names(pairs) => by_name(method, pairs)?,
        };
        let mut arguments = Self { method, values };
        arguments.values.retain(|(_, value)| !value.is_null());
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

    /// Takes an optional parameter.
    pub(crate) fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        let Some(position) = self.values.iter().position(|(known, _)| known == name) else {
            return Ok(None);
        };
        let (_, value) = self.values.swap_remove(position);
        T::deserialize(value).map(Some).map_err(|reason| invalid(name, reason))
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

/// A request that is nested too deep.
pub(crate) fn too_deep(found: usize, allowed: usize) -> ApiError {
    let message = format!("JSON nested at least {found} deep, but at most {allowed} is allowed");
    ApiError::new(ErrorKind::InvalidRequest, message)
}

fn names(method: &Method) -> String {
    let names: Vec<&str> = method.parameters.iter().map(|parameter| parameter.name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn by_position(method: &Method, values: Vec<Value>) -> Result<Vec<(String, Value)>, ApiError> {
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

fn by_name(method: &Method, pairs: Vec<(String, Value)>) -> Result<Vec<(String, Value)>, ApiError> {
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
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
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

fn skip_string<'a>(bytes: &mut impl Iterator<Item = &'a u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                let _escaped = bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Result<Arguments, ApiError> {
        Arguments::parse(Method::by_name("chain_getBlock").unwrap(), Some(raw), 30)
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(measure(br#"["[[[[", "\"[[", {"a":"],"}]"#, 2), Ok(Shape { items: 3 }));
        assert_eq!(measure(b"[[[1]]]", 2), Err(3));
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
