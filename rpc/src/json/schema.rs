//! How a type describes itself as JSON Schema, and the macros that define a type and its description
//! in one place, so that the two cannot disagree.
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Named schemas gathered while a document is built; ordered, so the document is reproducible.
pub type Definitions = BTreeMap<&'static str, Value>;

/// A type that can say what its JSON looks like.
pub trait Schema {
    /// The schema, or a reference to one that it put among the definitions.
    fn schema(definitions: &mut Definitions) -> Value;
}

/// Defines `name` once and returns a reference to it.
pub fn define(
    name: &'static str,
    definitions: &mut Definitions,
    describe: impl FnOnce(&mut Definitions) -> Value,
) -> Value {
    if !definitions.contains_key(name) {
        // Reserved first, so that a type may contain itself.
        definitions.insert(name, Value::Null);
        let schema = describe(definitions);
        definitions.insert(name, schema);
    }
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Joins doc comment lines into one description.
#[must_use]
pub fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// A field's schema with its description beside it.
#[must_use]
pub fn described(schema: Value, lines: &[&str]) -> Value {
    let mut object = match schema {
        Value::Object(object) if !object.contains_key("$ref") => object,
        other => Map::from_iter([("allOf".to_owned(), json!([other]))]),
    };
    object.insert("description".to_owned(), Value::String(joined(lines)));
    Value::Object(object)
}

impl Schema for String {
    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string" })
    }
}

impl Schema for bool {
    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "boolean" })
    }
}

macro_rules! small_integer {
    ($($type:ty),*) => {
        $(impl Schema for $type {
            fn schema(_: &mut Definitions) -> Value {
                json!({ "type": "integer", "minimum": <$type>::MIN, "maximum": <$type>::MAX })
            }
        })*
    };
}
small_integer!(u8, u16, u32, i32);

impl<T: Schema> Schema for Option<T> {
    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "oneOf": [T::schema(definitions), { "type": "null" }] })
    }
}

impl<T: Schema> Schema for Vec<T> {
    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "type": "array", "items": T::schema(definitions) })
    }
}

/// Defines a JSON object: every field is always present, absent values are `null`.
macro_rules! object {
    (
        $(#[doc = $doc:literal])+
        pub struct $name:ident {
            $($(#[doc = $field_doc:literal])+ pub $field:ident: $type:ty,)*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $($(#[doc = $field_doc])+ pub $field: $type,)*
        }

        impl $crate::json::schema::Schema for $name {
            fn schema(definitions: &mut $crate::json::schema::Definitions) -> serde_json::Value {
                use $crate::json::schema::{define, described, joined};
                define(stringify!($name), definitions, |definitions| {
                    let _ = &definitions;
                    let mut properties = serde_json::Map::new();
                    $(properties.insert(
                        stringify!($field).to_owned(),
                        described(<$type as $crate::json::schema::Schema>::schema(definitions), &[$($field_doc),+]),
                    );)*
                    let required: &[&str] = &[$(stringify!($field)),*];
                    serde_json::json!({
                        "type": "object",
                        "description": joined(&[$($doc),+]),
                        "properties": properties,
                        "required": required,
                    })
                })
            }
        }
    };
}

/// Defines a JSON object with a `type` that says which fields follow.
macro_rules! tagged {
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident {
            $($(#[doc = $variant_doc:literal])+ $variant:ident = $tag:literal {
                $($(#[doc = $field_doc:literal])+ $field:ident: $type:ty,)*
            })*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type")]
        pub enum $name {
            $(
                $(#[doc = $variant_doc])+
                #[serde(rename = $tag)]
                $variant { $($(#[doc = $field_doc])+ $field: $type,)* },
            )*
        }

        impl $crate::json::schema::Schema for $name {
            fn schema(definitions: &mut $crate::json::schema::Definitions) -> serde_json::Value {
                use $crate::json::schema::{define, described, joined};
                define(stringify!($name), definitions, |definitions| {
                    let mut variants = Vec::new();
                    $({
                        let mut properties = serde_json::Map::new();
                        properties.insert("type".to_owned(), serde_json::json!({ "const": $tag }));
                        $(properties.insert(
                            stringify!($field).to_owned(),
                            described(<$type as $crate::json::schema::Schema>::schema(definitions), &[$($field_doc),+]),
                        );)*
                        let required: &[&str] = &["type" $(, stringify!($field))*];
                        variants.push(serde_json::json!({
                            "type": "object",
                            "description": joined(&[$($variant_doc),+]),
                            "properties": properties,
                            "required": required,
                        }));
                    })*
                    serde_json::json!({ "description": joined(&[$($doc),+]), "oneOf": variants })
                })
            }
        }
    };
}

/// Defines a closed list of words.
macro_rules! words {
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident { $($(#[doc = $variant_doc:literal])+ $variant:ident = $word:literal,)* }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[doc = $variant_doc])+ #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// The word as it stands in JSON.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl $crate::json::schema::Schema for $name {
            fn schema(definitions: &mut $crate::json::schema::Definitions) -> serde_json::Value {
                use $crate::json::schema::{define, joined};
                define(stringify!($name), definitions, |_| {
                    let words = [$(serde_json::json!({
                        "const": $word, "description": joined(&[$($variant_doc),+]),
                    })),*];
                    serde_json::json!({ "description": joined(&[$($doc),+]), "type": "string", "oneOf": words })
                })
            }
        }
    };
}

pub(crate) use {object, tagged, words};
